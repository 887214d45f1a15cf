//! What can be chosen about patches.

use std::collections::BTreeMap;

use batchwright_core::Stream;
use serde::{Deserialize, Serialize};

use super::class_index::ClassIndex;
use super::fallbacks::Fallback;
use super::fraction::ForegroundFraction;
use super::grid::Grid;
use super::overlap::Overlap;
use super::place::{Place, Places};
use super::regions::{LabelRegion, RegionMiddle, Regions};
use super::weights::Weights;
use crate::affine::Affine;
use crate::error::Error;

/// The patches that are cut out of each volume.
///
/// A slice is a flat patch: `size: [192, 192, 1]` is one of z, `[1, 192, 192]` one of x, and `[192, 192, 3]` one with its
/// neighbours; everything else works on it as on any patch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PatchOptions {
    /// The size of a patch in voxels, x, y, z, after orientation and spacing. Around a volume that is smaller is what `outside` says.
    #[cfg_attr(feature = "schema", schemars(inner(range(min = 1))))]
    pub size: [usize; 3],
    /// How many patches of each volume an epoch has; by default 1. With `sampler: grid` and
    /// `sampler: regions` it is left out, for they say.
    #[serde(default = "one")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub per_volume: usize,
    /// Where the patches lie; by default `uniform`.
    #[serde(default)]
    pub sampler: PatchSampler,
    /// How much foreground a patch may have; by default any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreground_fraction: Option<ForegroundFraction>,
    /// Where the patches of validation and test volumes lie: `center` (the default), `{ grid: { overlap: … } }`, or `regions`.
    /// Nothing is drawn there, so that the figures of two epochs compare.
    #[serde(default)]
    pub validation: FixedSampler,
}

/// Where the patches of a volume lie if nothing is to be drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum FixedSampler {
    /// One patch, in the middle.
    #[default]
    Center,
    /// Side by side, so that the patches of a volume cover it.
    Grid {
        /// How far neighbours lie over each other, as in the sampler `grid`; by default 0.
        #[serde(default)]
        overlap: Overlap,
    },
    /// About the centroids of the regions that the sampler says, or of all labels.
    Regions,
}

impl From<FixedSampler> for PatchSampler {
    fn from(sampler: FixedSampler) -> Self {
        match sampler {
            FixedSampler::Center => Self::Center,
            FixedSampler::Grid { overlap } => Self::Grid { overlap },
            FixedSampler::Regions => Self::Regions(Regions::default()),
        }
    }
}

fn one() -> usize {
    1
}

/// Where the patches of a volume lie.
///
/// A patch laid around a voxel has it anywhere in its middle half on each axis, and lies inside the volume as one that is
/// laid anywhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum PatchSampler {
    /// Anywhere, each place equally likely, up to the last one that is inside.
    #[default]
    Uniform,
    /// In the middle. Nothing is drawn.
    Center,
    /// The probability, from 0 to 1, that a patch is laid around a voxel of the foreground (any class but 0), each of
    /// them equally likely; otherwise it lies anywhere. Where a volume has no foreground all lie anywhere, and are counted.
    Foreground(#[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1)))] f64),
    /// The class of the voxel that a patch is laid around, by ratios: `{ 0: 1, 1: 2, 2: 2 }`. Each voxel of a class is
    /// equally likely. The share of a class that a volume lacks goes to the others in proportion, and is counted.
    Classes(BTreeMap<i64, f64>),
    /// The volume of weights (a column of the manifest, or a pattern of paths) by which the voxel is drawn that a patch is
    /// laid around. Weights are 0 or more, not all 0, in any unit.
    Weights(String),
    /// Side by side, so that the patches of a volume cover it. Nothing is drawn; volumes have as many as they need.
    Grid {
        /// How far neighbours lie over each other: voxels, as a number or a list of x, y, z, or a part such as `25 %`; by
        /// default 0. The last patch of an axis is moved back to end with the volume.
        #[serde(default)]
        overlap: Overlap,
    },
    /// One about each region of the label map, so that patch j of every volume is the same anatomical place.
    Regions(Regions),
}

impl PatchOptions {
    /// Checks what types cannot say.
    ///
    /// # Errors
    /// Names the first key that cannot be.
    pub fn check(&self, key: &str) -> Result<(), Error> {
        let Self { size, per_volume, sampler, foreground_fraction, validation } = self;
        if size
            .iter()
            .try_fold(1_usize, |product, &n| product.checked_mul(n))
            .is_none_or(|product| product == 0)
        {
            return Err(Error::choice(
                format!("{key}.size"),
                "three whole numbers of at least 1",
                format!("{size:?}"),
            ));
        }
        if *per_volume == 0 {
            return Err(Error::choice(format!("{key}.per_volume"), "at least 1", per_volume));
        }
        sampler.check(&format!("{key}.sampler"))?;
        if let PatchSampler::Grid { overlap } = sampler {
            overlap.check(&format!("{key}.sampler.grid.overlap"), *size)?;
            if *per_volume != 1 {
                let expected = "left out where the sampler is a grid, which says itself how many there are";
                return Err(Error::choice(format!("{key}.per_volume"), expected, per_volume));
            }
        }
        if matches!(sampler, PatchSampler::Regions(_)) && *per_volume != 1 {
            let expected = "left out where there is a patch for each region";
            return Err(Error::choice(format!("{key}.per_volume"), expected, per_volume));
        }
        if let FixedSampler::Grid { overlap } = validation {
            overlap.check(&format!("{key}.validation.grid.overlap"), *size)?;
        }
        if let Some(fraction) = foreground_fraction {
            fraction.check(&format!("{key}.foreground_fraction"))?;
            if sampler.is_fixed() {
                let expected = "left out where places are fixed, for there is nothing to try";
                return Err(Error::choice(format!("{key}.foreground_fraction"), expected, "it given"));
            }
        }
        Ok(())
    }

    /// Returns the same for validation and test: at fixed places, with as many patches as those are, and any foreground.
    #[must_use]
    pub fn for_validation(&self) -> Self {
        let sampler = match (self.validation, &self.sampler) {
            (FixedSampler::Regions, PatchSampler::Regions(regions)) => PatchSampler::Regions(regions.fixed()),
            (fixed, _) => fixed.into(),
        };
        Self { per_volume: 1, sampler, foreground_fraction: None, ..self.clone() }
    }

    /// Returns how many patches an epoch has of a volume of `shape`. Where they lie about regions the shape does not tell, and it is `per_volume`.
    ///
    /// # Errors
    /// As [`Grid::new`], where the sampler is a grid.
    pub fn patches(&self, shape: [usize; 3]) -> Result<usize, Error> {
        match &self.sampler {
            PatchSampler::Grid { overlap } => Ok(Grid::new(shape, self.size, overlap)?.len()),
            _ => Ok(self.per_volume),
        }
    }

    /// Returns whether labels must be at hand to draw a place or to accept it.
    pub fn needs_labels(&self) -> bool {
        let by_label = self.sampler.needs_classes() || matches!(self.sampler, PatchSampler::Regions(_));
        self.foreground_fraction.is_some() || by_label
    }
}

/// What a subject has for its places to be drawn from.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlaceSources<'a> {
    /// Where its classes are, and the map from the voxels of its label map to the processed grid.
    pub classes: Option<(&'a ClassIndex, Affine)>,
    /// Its weights.
    pub weights: Option<Weights<'a>>,
    /// The regions that its patches lie about, in their order, and the map as of classes.
    pub regions: Option<(&'a [LabelRegion], Affine)>,
}

impl PatchSampler {
    /// Checks probabilities and ratios.
    ///
    /// # Errors
    /// Names the first that cannot be.
    pub fn check(&self, key: &str) -> Result<(), Error> {
        match self {
            Self::Foreground(probability) if (0.0..=1.0).contains(probability) => Ok(()),
            Self::Foreground(probability) => {
                Err(Error::choice(format!("{key}.foreground"), "a probability from 0 to 1", probability))
            }
            Self::Classes(ratios) => {
                for (class, ratio) in ratios {
                    if !(ratio.is_finite() && 0.0 <= *ratio) {
                        let expected = "a ratio of 0 or more";
                        return Err(Error::choice(format!("{key}.classes.{class}"), expected, ratio));
                    }
                }
                let total: f64 = ratios.values().sum();
                if 0.0 < total && total.is_finite() {
                    Ok(())
                } else {
                    let expected = "ratios of classes, at least one of them above 0 and their sum finite";
                    Err(Error::choice(format!("{key}.classes"), expected, format!("{ratios:?}")))
                }
            }
            Self::Weights(place) if place.trim().is_empty() => {
                Err(Error::choice(format!("{key}.weights"), "a column or a pattern of paths", "nothing"))
            }
            Self::Regions(regions) => regions.check(&format!("{key}.regions")),
            Self::Weights(_) | Self::Uniform | Self::Center | Self::Grid { .. } => Ok(()),
        }
    }

    /// Returns whether places do not depend on draws: in the middle, a grid, or about centroids.
    pub fn is_fixed(&self) -> bool {
        match self {
            Self::Center | Self::Grid { .. } => true,
            Self::Regions(regions) => *regions == regions.fixed(),
            Self::Uniform | Self::Foreground(_) | Self::Classes(_) | Self::Weights(_) => false,
        }
    }

    /// Returns whether it draws by class, from a [`ClassIndex`].
    pub fn needs_classes(&self) -> bool {
        match self {
            Self::Foreground(_) | Self::Classes(_) => true,
            Self::Regions(regions) => regions.at == RegionMiddle::Voxel,
            Self::Uniform | Self::Center | Self::Weights(_) | Self::Grid { .. } => false,
        }
    }

    /// Draws the place of a subject's patch number `patch`. Only a grid and regions look at the number.
    ///
    /// # Errors
    /// Refuses a subject without the classes or weights that the sampler needs, and a patch beyond the grid.
    pub fn draw(
        &self,
        places: &Places,
        sources: &PlaceSources<'_>,
        patch: usize,
        stream: &mut Stream,
    ) -> Result<Place, Error> {
        match self {
            Self::Uniform => Ok(Place::at(places.uniform(stream))),
            Self::Center => Ok(Place::at(places.center())),
            Self::Foreground(probability) => {
                let (index, map) = sources.classes.ok_or_else(|| missing("foreground", "a label map"))?;
                if !stream.chance(*probability) {
                    return Ok(Place::at(places.uniform(stream)));
                }
                let drawn = index.draw_foreground(stream);
                Ok(match drawn {
                    Some((class, stored)) => around(places, stored, &map, Some(class), stream),
                    None => anywhere(places, Fallback::NoForeground, stream),
                })
            }
            Self::Classes(ratios) => {
                let (index, map) = sources.classes.ok_or_else(|| missing("classes", "a label map"))?;
                Ok(draw_class(ratios, places, index, &map, stream))
            }
            Self::Weights(_) => {
                let Weights { sums, row, map } =
                    sources.weights.ok_or_else(|| missing("weights", "a volume of weights"))?;
                Ok(match sums.draw(row, stream)? {
                    Some(stored) => around(places, stored, &map, None, stream),
                    None => anywhere(places, Fallback::NoWeight, stream),
                })
            }
            Self::Grid { overlap } => {
                let grid = Grid::new(places.shape(), places.size(), overlap)?;
                if grid.len() <= patch {
                    let expected = format!("below {} for a grid over {:?}", grid.len(), grid.shape());
                    return Err(Error::choice("the number of a patch", expected, patch));
                }
                Ok(Place::at(grid.origin(patch)))
            }
            Self::Regions(regions) => {
                let (of, map) = sources.regions.ok_or_else(|| missing("regions", "a label map"))?;
                let region = of.get(patch).ok_or_else(|| {
                    let expected = format!("below {}, one for each region", of.len());
                    Error::choice("the number of a patch", expected, patch)
                })?;
                regions.draw(places, region, sources.classes.map(|(classes, _)| classes), &map, stream)
            }
        }
    }
}

fn missing(sampler: &str, what: &str) -> Error {
    let expected = format!("a sampler that does not need {what}, which the subject lacks");
    Error::choice("patch.sampler", expected, format!("`{sampler}`"))
}

fn around(
    places: &Places,
    stored: [usize; 3],
    map: &Affine,
    class: Option<i64>,
    stream: &mut Stream,
) -> Place {
    let voxel = places.nearest(stored, map);
    Place { origin: places.around(voxel, stream), voxel: Some(voxel), class, fallback: None }
}

fn anywhere(places: &Places, fallback: Fallback, stream: &mut Stream) -> Place {
    Place { fallback: Some(fallback), ..Place::at(places.uniform(stream)) }
}

/// Draws a class by the ratios, again among those that are there if it is not, then one of its voxels.
fn draw_class(
    ratios: &BTreeMap<i64, f64>,
    places: &Places,
    index: &ClassIndex,
    map: &Affine,
    stream: &mut Stream,
) -> Place {
    let Some(class) = by_ratio(ratios.iter(), stream) else {
        return anywhere(places, Fallback::ClassesAbsent, stream);
    };
    if let Some(stored) = index.draw(class, stream) {
        return around(places, stored, map, Some(class), stream);
    }
    let there = ratios.iter().filter(|(class, _)| 0 < index.count(**class));
    let other = by_ratio(there, stream);
    match other.and_then(|class| Some((class, index.draw(class, stream)?))) {
        Some((other, stored)) => Place {
            fallback: Some(Fallback::ClassAbsent(class)),
            ..around(places, stored, map, Some(other), stream)
        },
        None => anywhere(places, Fallback::ClassesAbsent, stream),
    }
}

/// Draws one with a probability in proportion to its ratio, by one [`Stream::uniform`]; none if all are 0.
fn by_ratio<'a>(
    ratios: impl Iterator<Item = (&'a i64, &'a f64)> + Clone,
    stream: &mut Stream,
) -> Option<i64> {
    let total: f64 = ratios.clone().map(|(_, ratio)| ratio).sum();
    let at = stream.uniform() * total;
    let mut sum = 0.0;
    let mut last = None;
    for (&class, &ratio) in ratios.filter(|(_, ratio)| 0.0 < **ratio) {
        sum += ratio;
        last = Some(class);
        if at < sum {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::class_index::LabelMap;
    use super::super::weights::WeightSums;
    use super::*;
    use crate::voxels::VoxelSlice;

    /// Reads rows of voxels that are all in memory.
    fn rows(
        voxels: VoxelSlice<'_>,
        [nx, ny, _]: [usize; 3],
    ) -> impl Fn([usize; 2]) -> Result<Vec<f64>, Error> + '_ {
        move |[y, z]| Ok((0..nx).map(|x| voxels.at((z * ny + y) * nx + x)).collect())
    }

    fn index(labels: &[u8], shape: [usize; 3]) -> ClassIndex {
        let labels = LabelMap { path: Path::new("label.nii"), voxels: VoxelSlice::U8(labels), shape };
        ClassIndex::of(&labels, ClassIndex::CAP, |stored| Ok(stored as i64)).unwrap()
    }

    /// 20^3 of background with 30 voxels of class 1 and 5 of class 2.
    fn labels() -> Vec<u8> {
        let mut labels = vec![0; 8000];
        labels[4200..4230].fill(1);
        labels[7995..].fill(2);
        labels
    }

    fn stream() -> Stream {
        Stream::new(21, 0, 0, "place")
    }

    /// Asserts that `count` of `n` fits a probability (Hoeffding: beyond it with a probability of 2 e^-20).
    fn assert_share(count: usize, n: usize, probability: f64) {
        let apart = (count as f64 - n as f64 * probability).abs();
        assert!(apart < (n as f64 * 10.0).sqrt(), "{count} of {n} for {probability}");
    }

    #[test]
    fn the_share_of_patches_around_foreground_is_the_one_asked_for() {
        let labels = labels();
        let index = index(&labels, [20; 3]);
        let places = Places::new([20; 3], [6; 3]).unwrap();
        let sources = PlaceSources { classes: Some((&index, Affine::IDENTITY)), ..PlaceSources::default() };
        let sampler = PatchSampler::Foreground(0.25);
        let mut stream = stream();
        let (mut around, mut twos) = (0, 0);
        for _ in 0..8000 {
            let place = sampler.draw(&places, &sources, 0, &mut stream).unwrap();
            assert!(places.contains(place.origin) && place.fallback.is_none());
            if let Some(voxel) = place.voxel {
                around += 1;
                twos += usize::from(place.class == Some(2));
                let [x, y, z] = voxel.map(|at| at as usize);
                assert_eq!(Some(i64::from(labels[(z * 20 + y) * 20 + x])), place.class);
                assert!((0..3).all(|axis| (0..6).contains(&(voxel[axis] - place.origin[axis]))));
            }
        }
        assert_share(around, 8000, 0.25);
        assert_share(twos, around, 5.0 / 35.0);
    }

    #[test]
    fn classes_come_by_their_ratios() {
        let index = index(&labels(), [20; 3]);
        let places = Places::new([20; 3], [6; 3]).unwrap();
        let sources = PlaceSources { classes: Some((&index, Affine::IDENTITY)), ..PlaceSources::default() };
        let sampler = PatchSampler::Classes([(0, 1.0), (1, 2.0), (2, 5.0), (3, 0.0)].into());
        let mut stream = stream();
        let mut counts = [0; 3];
        for _ in 0..8000 {
            let place = sampler.draw(&places, &sources, 0, &mut stream).unwrap();
            assert_eq!(place.fallback, None);
            counts[place.class.unwrap() as usize] += 1;
        }
        for (count, ratio) in counts.into_iter().zip([1.0, 2.0, 5.0]) {
            assert_share(count, 8000, ratio / 8.0);
        }
    }

    #[test]
    fn the_share_of_an_absent_class_goes_to_the_others_and_is_counted() {
        let index = index(&labels(), [20; 3]);
        let places = Places::new([20; 3], [6; 3]).unwrap();
        let sources = PlaceSources { classes: Some((&index, Affine::IDENTITY)), ..PlaceSources::default() };
        let sampler = PatchSampler::Classes([(1, 1.0), (2, 3.0), (9, 4.0)].into());
        let counted = super::super::Fallbacks::default();
        let mut stream = stream();
        let mut ones = 0;
        for _ in 0..8000 {
            let place = sampler.draw(&places, &sources, 0, &mut stream).unwrap();
            counted.count(&place, None);
            ones += usize::from(place.class == Some(1));
        }
        assert_share(ones, 8000, 0.25);
        let counts = counted.counts();
        assert_eq!(counts.keys().copied().collect::<Vec<_>>(), [Fallback::ClassAbsent(9)]);
        assert_share(counts[&Fallback::ClassAbsent(9)] as usize, 8000, 0.5);
    }

    #[test]
    fn without_anything_to_lie_around_patches_lie_anywhere_and_say_so() {
        let index = index(&[0; 8], [2; 3]);
        let zeros = [0_u8; 8];
        let sums = WeightSums::of(Path::new("w"), VoxelSlice::U8(&zeros), [2; 3], 1.0, 0.0).unwrap();
        let sources = PlaceSources {
            classes: Some((&index, Affine::IDENTITY)),
            weights: Some(Weights {
                sums: &sums,
                row: &rows(VoxelSlice::U8(&zeros), [2; 3]),
                map: Affine::IDENTITY,
            }),
            regions: None,
        };
        let places = Places::new([2; 3], [1; 3]).unwrap();
        for (sampler, expected) in [
            (PatchSampler::Foreground(1.0), Fallback::NoForeground),
            (PatchSampler::Classes([(4, 1.0)].into()), Fallback::ClassesAbsent),
            (PatchSampler::Weights("weights".to_owned()), Fallback::NoWeight),
        ] {
            let mut stream = stream();
            let mut seen = [0_usize; 8];
            for _ in 0..8000 {
                let place = sampler.draw(&places, &sources, 0, &mut stream).unwrap();
                assert_eq!((place.fallback, place.voxel), (Some(expected), None));
                let [x, y, z] = place.origin.map(|at| at as usize);
                seen[(z * 2 + y) * 2 + x] += 1;
            }
            for n in seen {
                assert_share(n, 8000, 0.125);
            }
        }
    }

    #[test]
    fn a_weight_map_moves_patches_to_where_it_is_large() {
        let mut weights = [0_f32; 1000];
        weights[555] = 2.5;
        let voxels = VoxelSlice::F32(&weights);
        let sums = WeightSums::of(Path::new("w"), voxels, [10; 3], 1.0, 0.0).unwrap();
        // The grid is mirrored on x.
        let map = Affine([[-1.0, 0.0, 0.0, 9.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]);
        let row = rows(voxels, [10; 3]);
        let sources = PlaceSources {
            weights: Some(Weights { sums: &sums, row: &row, map }),
            ..PlaceSources::default()
        };
        let places = Places::new([10; 3], [3; 3]).unwrap();
        let place = PatchSampler::Weights("w".to_owned()).draw(&places, &sources, 0, &mut stream()).unwrap();
        assert_eq!((place.voxel, place.origin), (Some([4, 5, 5]), [3, 4, 4]));
    }

    #[test]
    fn fixed_places_draw_nothing() {
        let mut stream = stream();
        let places = Places::new([20, 10, 5], [8, 8, 1]).unwrap();
        let sources = PlaceSources::default();
        let grid = PatchSampler::Grid { overlap: Overlap::All(2) };
        let center = PatchSampler::Center.draw(&places, &sources, 3, &mut stream).unwrap();
        assert_eq!(center, Place::at([6, 1, 2]));
        let cover = Grid::new([20, 10, 5], [8, 8, 1], &Overlap::All(2)).unwrap();
        for (patch, origin) in cover.origins().enumerate() {
            assert_eq!(grid.draw(&places, &sources, patch, &mut stream).unwrap(), Place::at(origin));
        }
        assert!(grid.draw(&places, &sources, cover.len(), &mut stream).is_err());
        assert_eq!(stream.bits64(), self::stream().bits64());
        assert!(grid.is_fixed() && PatchSampler::Center.is_fixed() && !PatchSampler::Uniform.is_fixed());
    }

    #[test]
    fn a_sampler_by_class_needs_labels() {
        let places = Places::new([4; 3], [2; 3]).unwrap();
        let sampler = PatchSampler::Foreground(0.0);
        let error = sampler.draw(&places, &PlaceSources::default(), 0, &mut stream()).unwrap_err();
        assert!(error.to_string().contains("a label map"), "{error}");
        assert!(sampler.needs_classes() && !PatchSampler::Uniform.needs_classes());
    }

    #[test]
    fn slices_of_any_axis_are_drawn_evenly_over_it() {
        for axis in 0..3 {
            let mut size = [6, 6, 6];
            size[axis] = 1;
            let places = Places::new([6; 3], size).unwrap();
            let mut counts = [0; 6];
            let mut stream = stream();
            for _ in 0..6000 {
                let place = PatchSampler::Uniform.draw(&places, &PlaceSources::default(), 0, &mut stream);
                let origin = place.unwrap().origin;
                counts[origin[axis] as usize] += 1;
                assert_eq!(origin.iter().sum::<i64>(), origin[axis], "the other axes are whole");
            }
            for n in counts {
                assert_share(n, 6000, 1.0 / 6.0);
            }
        }
    }

    #[test]
    fn options_are_read_from_their_words() {
        let read = |text: &str| serde_json::from_str::<PatchOptions>(text);
        let options = read(r#"{ "size": [96, 96, 1] }"#).unwrap();
        assert_eq!((options.per_volume, &options.sampler), (1, &PatchSampler::Uniform));
        assert_eq!(options.patches([240, 240, 155]).unwrap(), 1);
        let sampler = |text: &str| {
            let text = format!(r#"{{ "size": [64, 64, 64], "sampler": {text} }}"#);
            read(&text).map(|options| options.check("patch").map(|()| options))
        };
        assert_eq!(sampler("\"center\"").unwrap().unwrap().sampler, PatchSampler::Center);
        let foreground = sampler(r#"{ "foreground": 0.5 }"#).unwrap().unwrap();
        assert!(foreground.needs_labels());
        let classes = sampler(r#"{ "classes": { "0": 1, "1": 2, "2": 2 } }"#).unwrap().unwrap();
        assert_eq!(classes.sampler, PatchSampler::Classes([(0, 1.0), (1, 2.0), (2, 2.0)].into()));
        let grid = sampler(r#"{ "grid": { "overlap": "50 %" } }"#).unwrap().unwrap();
        assert_eq!(grid.patches([64, 128, 65]).unwrap(), 3 * 2);
        assert!(sampler(r#"{ "grid": {} }"#).unwrap().is_ok());
        assert!(sampler(r#"{ "weights": "weight" }"#).unwrap().is_ok());
        for (wrong, key) in [
            (r#"{ "foreground": 1.5 }"#, "patch.sampler.foreground"),
            (r#"{ "classes": {} }"#, "patch.sampler.classes"),
            (r#"{ "classes": { "1": 0 } }"#, "patch.sampler.classes"),
            (r#"{ "classes": { "1": 1, "2": -1 } }"#, "patch.sampler.classes.2"),
            (r#"{ "weights": " " }"#, "patch.sampler.weights"),
            (r#"{ "grid": { "overlap": 64 } }"#, "patch.sampler.grid.overlap"),
        ] {
            let error = sampler(wrong).unwrap().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{key}`")), "{error}");
        }
        assert!(sampler("\"random\"").is_err());
        assert!(sampler(r#"{ "grid": { "stride": 3 } }"#).is_err());
    }

    #[test]
    fn validation_is_at_fixed_places() {
        let read = |text: &str| serde_json::from_str::<PatchOptions>(text).unwrap();
        let options = read(
            r#"{ "size": [8, 8, 1], "per_volume": 4, "sampler": { "foreground": 1 }, "foreground_fraction": {} }"#,
        );
        let fixed = options.for_validation();
        assert!(fixed.check("patch").is_ok() && fixed.sampler.is_fixed() && !fixed.needs_labels());
        assert_eq!((fixed.size, fixed.patches([20, 20, 5]).unwrap()), ([8, 8, 1], 1));
        let slices = read(r#"{ "size": [20, 20, 1], "validation": { "grid": {} } }"#).for_validation();
        assert_eq!(slices.patches([20, 20, 5]).unwrap(), 5);
        let wrong = read(r#"{ "size": [20, 20, 1], "validation": { "grid": { "overlap": [0, 0, 1] } } }"#);
        assert!(wrong.check("patch").unwrap_err().to_string().contains("patch.validation.grid.overlap"));
    }

    #[derive(Deserialize)]
    struct Drawn {
        shape: [usize; 3],
        size: [usize; 3],
        cap: usize,
        sampler: PatchSampler,
        origins: Vec<[i64; 3]>,
    }

    /// Places are part of what a seed stands for: a change here changes the batches of every run.
    #[test]
    fn draws_are_those_of_an_independent_implementation() {
        let labels = labels();
        let voxels = VoxelSlice::U8(&labels);
        let cases: Vec<Drawn> =
            serde_json::from_str(include_str!("../../tests/fixtures/places.json")).unwrap();
        assert_eq!(cases.len(), 12);
        for Drawn { shape, size, cap, sampler, origins } in cases {
            let map = LabelMap { path: Path::new("label.nii"), voxels, shape };
            let index = ClassIndex::of(&map, cap, |stored| Ok(stored as i64)).unwrap();
            let sums = WeightSums::of(map.path, voxels, shape, 1.0, 0.0).unwrap();
            let sources = PlaceSources {
                classes: Some((&index, Affine::IDENTITY)),
                weights: Some(Weights { sums: &sums, row: &rows(voxels, shape), map: Affine::IDENTITY }),
                regions: None,
            };
            let places = Places::new(shape, size).unwrap();
            for (position, origin) in origins.into_iter().enumerate() {
                let mut stream = Stream::new(42, 1, position as u64, "place");
                let drawn = sampler.draw(&places, &sources, 0, &mut stream).unwrap();
                assert_eq!(drawn.origin, origin, "{sampler:?}, {size:?}, position {position}");
            }
        }
    }

    #[test]
    fn choices_that_do_not_go_together_are_refused() {
        let options = |text: &str| serde_json::from_str::<PatchOptions>(text).unwrap().check("patch");
        for wrong in [
            r#"{ "size": [0, 1, 1] }"#,
            r#"{ "size": [1, 1, 1], "per_volume": 0 }"#,
            r#"{ "size": [1, 1, 1], "per_volume": 2, "sampler": { "grid": {} } }"#,
            r#"{ "size": [1, 1, 1], "sampler": "center", "foreground_fraction": {} }"#,
            r#"{ "size": [1, 1, 1], "foreground_fraction": { "min": 2 } }"#,
        ] {
            assert!(options(wrong).is_err(), "{wrong}");
        }
        assert!(options(r#"{ "size": [8, 8, 8], "foreground_fraction": { "min": 0.1 } }"#).is_ok());
    }
}
