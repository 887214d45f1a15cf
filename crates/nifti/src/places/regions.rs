//! Regions of a label map as places: patch j of every volume lies about region j.

use std::path::Path;

use batchwright_core::Stream;
use serde::{Deserialize, Serialize};

use super::class_index::{ClassIndex, LabelMap};
use super::place::{Place, Places};
use crate::affine::Affine;
use crate::error::Error;
use crate::voxels::{Voxel, with_voxels};

/// One patch about each region of the label map, so that patch j of every volume is the same anatomical place.
///
/// A volume has as many patches as there are labels. A patch has the place in its middle, moved by `jitter`, and lies inside
/// the volume where it fits. The label map is read when the data set is opened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Regions {
    /// The labels whose regions are places, after `labels` has merged them: a list, whose order is that of the patches, or
    /// `all` (the default): every label but 0 that a volume has.
    pub labels: RegionLabels,
    /// Where in its region a patch has its middle.
    pub at: RegionMiddle,
    /// How many voxels a patch is moved at most along each axis, drawn; by default 0.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1024)))]
    pub jitter: u32,
    /// What happens where a volume has no voxel of a label.
    pub missing: MissingRegion,
}

/// Which labels are regions: a list, or `all`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum RegionLabels {
    /// A word.
    All(AllLabels),
    /// These, in this order.
    Listed(Vec<i64>),
}

/// The word `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AllLabels {
    /// Every label but 0 that a volume has, in order.
    All,
}

impl Default for RegionLabels {
    fn default() -> Self {
        Self::All(AllLabels::All)
    }
}

/// Where in its region a patch has its middle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RegionMiddle {
    /// At the centroid: the mean of its voxels, which may lie outside of a hollow region.
    #[default]
    Centroid,
    /// At one of its voxels, drawn, each equally likely.
    Voxel,
}

/// What happens where a volume has no voxel of a label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MissingRegion {
    /// The data set is not opened; the error names the subject and the label.
    #[default]
    Error,
    /// The volume has a patch less.
    Skip,
}

/// A region of a label map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabelRegion {
    /// Its label.
    pub label: i64,
    /// How many voxels it has.
    pub voxels: u64,
    /// The mean of its voxels, x, y, z, as they are stored.
    pub centroid: [f64; 3],
}

impl LabelRegion {
    /// Finds the regions of a label map, in the order of their labels, 0 not among them. `class_of` turns stored values into
    /// labels; it is called once for each run of equal values.
    ///
    /// Sums are of whole numbers, so a centroid is rounded once.
    ///
    /// # Errors
    /// Passes on what `class_of` refuses; refuses more than [`ClassIndex::MOST_CLASSES`] labels.
    pub fn find(
        map: &LabelMap<'_>,
        class_of: impl FnMut(f64) -> Result<i64, Error>,
    ) -> Result<Vec<Self>, Error> {
        let sums = with_voxels!(map.voxels, voxels => sums(map.path, voxels, map.shape, class_of))?;
        let region = |Sums { label, voxels, along }: Sums| Self {
            label,
            voxels,
            centroid: along.map(|sum| sum as f64 / voxels as f64),
        };
        Ok(sums.into_iter().filter(|sums| sums.label != 0).map(region).collect())
    }
}

struct Sums {
    label: i64,
    voxels: u64,
    along: [u128; 3],
}

fn sums<V: Voxel>(
    path: &Path,
    voxels: &[V],
    [nx, ny, _]: [usize; 3],
    mut class_of: impl FnMut(f64) -> Result<i64, Error>,
) -> Result<Vec<Sums>, Error> {
    let mut all: Vec<Sums> = Vec::new();
    for (number, row) in voxels.chunks_exact(nx).enumerate() {
        let (y, z) = (number % ny, number / ny);
        let mut start = 0;
        while start < nx {
            let value = row[start];
            let run = 1 + row[start + 1..].iter().take_while(|&&next| next == value).count();
            let label = class_of(value.to_f64())?;
            let at = all.binary_search_by_key(&label, |sums| sums.label).or_else(|at| {
                if all.len() == ClassIndex::MOST_CLASSES {
                    return Err(Error::Classes { path: path.to_owned(), most: all.len() });
                }
                all.insert(at, Sums { label, voxels: 0, along: [0; 3] });
                Ok(at)
            })?;
            let sums = &mut all[at];
            sums.voxels += run as u64;
            // The sum of run numbers from start on; twice it is even.
            sums.along[0] += (run as u128) * (2 * start + run - 1) as u128 / 2;
            sums.along[1] += (run as u128) * y as u128;
            sums.along[2] += (run as u128) * z as u128;
            start += run;
        }
    }
    Ok(all)
}

impl Regions {
    /// Checks labels and the jitter.
    ///
    /// # Errors
    /// Names the first key that cannot be.
    pub fn check(&self, key: &str) -> Result<(), Error> {
        let Self { labels, at: _, jitter, missing: _ } = self;
        if let RegionLabels::Listed(list) = labels {
            let twice = list.iter().enumerate().find(|(i, label)| list[..*i].contains(label));
            if list.is_empty() || list.contains(&0) || twice.is_some() {
                let expected = "`all`, or a list of labels that are not 0, each once";
                return Err(Error::choice(format!("{key}.labels"), expected, format!("{list:?}")));
            }
        }
        if 1024 < *jitter {
            return Err(Error::choice(format!("{key}.jitter"), "from 0 to 1024 voxels", jitter));
        }
        Ok(())
    }

    /// Returns the same at the same place in every epoch: about centroids, with nothing drawn.
    #[must_use]
    pub fn fixed(&self) -> Self {
        Self { at: RegionMiddle::Centroid, jitter: 0, ..self.clone() }
    }

    /// Returns the regions of each volume that are places, in the order of its patches, from all that it has.
    ///
    /// # Errors
    /// Names a subject that lacks a region, unless those are skipped, and one that has none.
    pub fn of(&self, found: &[(&str, Vec<LabelRegion>)]) -> Result<Vec<Vec<LabelRegion>>, Error> {
        let labels: Vec<i64> = match &self.labels {
            RegionLabels::Listed(list) => list.clone(),
            RegionLabels::All(AllLabels::All) => {
                let all: std::collections::BTreeSet<i64> =
                    found.iter().flat_map(|(_, regions)| regions).map(|region| region.label).collect();
                all.into_iter().collect()
            }
        };
        let of = |(subject, regions): &(&str, Vec<LabelRegion>)| {
            let mut chosen = Vec::with_capacity(labels.len());
            for &label in &labels {
                match (regions.iter().find(|region| region.label == label), self.missing) {
                    (Some(region), _) => chosen.push(*region),
                    (None, MissingRegion::Skip) => {}
                    (None, MissingRegion::Error) => {
                        let expected = "labels that every subject has, or `missing: skip`";
                        let found = format!("{label}, which `{subject}` does not have");
                        return Err(Error::choice("patch.sampler.regions.labels", expected, found));
                    }
                }
            }
            if chosen.is_empty() {
                let expected = "labels of which every subject has one";
                let found = format!("none that `{subject}` has");
                return Err(Error::choice("patch.sampler.regions.labels", expected, found));
            }
            Ok(chosen)
        };
        found.iter().map(of).collect()
    }

    /// Draws the place of a patch about a region: the voxel first, if one is drawn, then the jitter of x, y and z by one
    /// [`Stream::below`] each, if there is any.
    pub(super) fn draw(
        &self,
        places: &Places,
        region: &LabelRegion,
        classes: Option<&ClassIndex>,
        map: &Affine,
        stream: &mut Stream,
    ) -> Result<Place, Error> {
        let stored = match self.at {
            RegionMiddle::Centroid => region.centroid,
            RegionMiddle::Voxel => {
                let drawn = classes.and_then(|classes| classes.draw(region.label, stream));
                drawn
                    .ok_or_else(|| {
                        let expected = "a sampler that needs no label that the volume does not have";
                        Error::choice("patch.sampler", expected, format!("region {}", region.label))
                    })?
                    .map(|at| at as f64)
            }
        };
        let point = map.apply(stored);
        let (valid, size, shape) = (places.valid(), places.size(), places.shape());
        let jitter = i64::from(self.jitter);
        let mut place = Place::at([0; 3]);
        let mut voxel = [0; 3];
        for axis in 0..3 {
            let last = shape[axis] as i64 - 1;
            voxel[axis] = ((point[axis] + 0.5).floor() as i64).clamp(0, last);
            let by = if jitter == 0 { 0 } else { stream.below(2 * jitter as u64 + 1) as i64 - jitter };
            let first = (point[axis] - (size[axis] as f64 - 1.0) / 2.0 + 0.5).floor() as i64;
            place.origin[axis] = first.saturating_add(by).clamp(*valid[axis].start(), *valid[axis].end());
        }
        Ok(Place { voxel: Some(voxel), class: Some(region.label), ..place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voxels::VoxelSlice;

    fn found(labels: &[u8], shape: [usize; 3]) -> Vec<LabelRegion> {
        let map = LabelMap { path: Path::new("l.nii"), voxels: VoxelSlice::U8(labels), shape };
        LabelRegion::find(&map, |stored| Ok(stored as i64)).unwrap()
    }

    #[test]
    fn a_centroid_is_the_mean_of_the_voxels_of_a_label() {
        let shape = [7, 5, 4];
        let labels: Vec<u8> = (0..140_u32).map(|i| (i * i % 11 % 4) as u8).collect();
        let regions = found(&labels, shape);
        assert_eq!(regions.iter().map(|region| region.label).collect::<Vec<_>>(), [1, 3]);
        for region in regions {
            let voxels: Vec<[usize; 3]> = (0..140)
                .filter(|&i| i64::from(labels[i]) == region.label)
                .map(|i| [i % 7, i / 7 % 5, i / 35])
                .collect();
            assert_eq!(region.voxels, voxels.len() as u64);
            for axis in 0..3 {
                let mean = voxels.iter().map(|voxel| voxel[axis] as f64).sum::<f64>() / voxels.len() as f64;
                assert!((region.centroid[axis] - mean).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn a_patch_has_the_centroid_in_its_middle_moved_by_no_more_than_the_jitter_and_lies_inside() {
        let region = LabelRegion { label: 3, voxels: 2, centroid: [20.0, 20.5, 1.0] };
        let places = Places::new([40, 40, 40], [8, 9, 8]).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for (jitter, position) in [(0, 0), (0, 1)].into_iter().chain((0..400).map(|i| (3, i))) {
            let regions = Regions { jitter, ..Regions::default() };
            let mut stream = Stream::new(1, 0, position, "patch/place");
            let place = regions.draw(&places, &region, None, &Affine::IDENTITY, &mut stream).unwrap();
            assert_eq!((place.voxel, place.class), (Some([20, 21, 1]), Some(3)));
            // Of 8 voxels the middle is between the fourth and the fifth; at the border the patch stays inside.
            let expected = [17, 17, 0];
            let by = [0, 1].map(|axis| place.origin[axis] - expected[axis]);
            assert!(by.iter().all(|by| by.abs() <= i64::from(jitter)), "{place:?}");
            assert!((0..=1).contains(&place.origin[2]), "{place:?}");
            seen.insert(by);
        }
        assert_eq!(seen.len(), 49);
    }

    #[test]
    fn a_region_that_a_subject_lacks_is_an_error_that_names_both_or_is_left_out() {
        let regions = |labels: &[u8]| found(labels, [labels.len(), 1, 1]);
        let all = [("a", regions(&[1, 2, 5])), ("b", regions(&[5, 0, 1]))];
        let error = Regions::default().of(&all).unwrap_err().to_string();
        assert_eq!(
            error,
            "`patch.sampler.regions.labels` must be labels that every subject has, or `missing: skip`, found 2, which `b` \
             does not have"
        );
        let labels = |regions: &Regions| {
            let of = regions.of(&all).unwrap();
            of.iter().map(|of| of.iter().map(|region| region.label).collect()).collect::<Vec<Vec<i64>>>()
        };
        assert_eq!(
            labels(&Regions { missing: MissingRegion::Skip, ..Regions::default() }),
            [vec![1, 2, 5], vec![1, 5]]
        );
        let listed =
            |list: &[i64]| Regions { labels: RegionLabels::Listed(list.to_vec()), ..Regions::default() };
        assert_eq!(labels(&listed(&[5, 1])), [[5, 1], [5, 1]]);
        let skip = Regions { missing: MissingRegion::Skip, ..listed(&[2]) };
        assert!(skip.of(&all).unwrap_err().to_string().ends_with("found none that `b` has"));
    }

    #[test]
    fn regions_are_written_as_a_word_or_a_list() {
        let read = |text: &str| serde_json::from_str::<Regions>(text).unwrap();
        assert_eq!(
            read("{}"),
            read(r#"{ "labels": "all", "at": "centroid", "jitter": 0, "missing": "error" }"#)
        );
        assert_eq!(read(r#"{ "labels": [4, 7] }"#).labels, RegionLabels::Listed(vec![4, 7]));
        let key = |text: &str| read(text).check("s.regions").unwrap_err().to_string();
        assert!(key(r#"{ "labels": [4, 4] }"#).contains("s.regions.labels"));
        assert!(key(r#"{ "labels": [0] }"#).contains("s.regions.labels"));
        assert!(key(r#"{ "labels": [] }"#).contains("s.regions.labels"));
        assert!(key(r#"{ "jitter": 2000 }"#).contains("s.regions.jitter"));
    }
}
