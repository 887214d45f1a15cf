//! The box around what matters in a volume.

use serde::{Deserialize, Serialize};

use super::statistics::{Mask, Statistics, StatisticsOptions};
use crate::convert::Scaling;
use crate::error::Error;
use crate::region::Region;
use crate::voxels::{Voxel, VoxelSlice, with_voxels};

/// `crop:` the box around the foreground of a subject, of all its channels together; what lies outside is never sampled. A
/// subject without foreground is not cropped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Crop {
    /// Which voxels are foreground: `nonzero`, which is the default, `{ above: VALUE }`, `{ above_percentile: PERCENT }` or
    /// `label`.
    #[serde(default)]
    pub foreground: Foreground,
    /// How far the box reaches beyond the foreground on every side, in millimetres; by default 0.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub margin: f64,
}

/// `crop.foreground:` which voxels are foreground. Values are those after the scaling of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Foreground {
    /// Those that are not 0.
    #[default]
    Nonzero,
    /// Those above a value.
    Above(f64),
    /// Those above a percentile of their channel.
    AbovePercentile(f64),
    /// Those whose label is not 0.
    Label,
}

impl Crop {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// Names the key below `key` and what it must be.
    pub fn check(&self, key: &str) -> Result<(), Error> {
        if !(self.margin.is_finite() && 0.0 <= self.margin) {
            return Err(Error::choice(format!("{key}.margin"), "0 mm or more", self.margin));
        }
        match self.foreground {
            Foreground::Above(bound) if !bound.is_finite() => {
                Err(Error::choice(format!("{key}.foreground.above"), "a finite number", bound))
            }
            Foreground::AbovePercentile(percent) if !(0.0..=100.0).contains(&percent) => {
                Err(Error::choice(format!("{key}.foreground.above_percentile"), "from 0 to 100", percent))
            }
            Foreground::Nonzero
            | Foreground::Above(_)
            | Foreground::AbovePercentile(_)
            | Foreground::Label => Ok(()),
        }
    }

    /// Begins to look for the foreground of a subject whose volumes have a shape.
    pub fn search(&self, shape: [usize; 3]) -> ForegroundSearch {
        ForegroundSearch { crop: self.clone(), shape, found: Bounds::NONE }
    }
}

/// A search for the box around the foreground of a subject, channel by channel, none of which has to stay in memory.
#[derive(Clone, Debug)]
pub struct ForegroundSearch {
    crop: Crop,
    shape: [usize; 3],
    found: Bounds,
}

impl ForegroundSearch {
    /// Looks through a channel. NaN is no foreground; nor is anything where labels say what is.
    ///
    /// # Errors
    /// Gives the errors of [`Statistics::of`], where a percentile bounds the foreground.
    ///
    /// # Panics
    /// Panics if the number of voxels does not fit the shape.
    pub fn channel(&mut self, voxels: VoxelSlice<'_>, scaling: Scaling) -> Result<(), Error> {
        let (shape, found) = (self.shape, &mut self.found);
        let bound = match self.crop.foreground {
            Foreground::Label => return Ok(()),
            Foreground::Nonzero => None,
            Foreground::Above(bound) => Some(bound),
            Foreground::AbovePercentile(percent) => {
                let options = StatisticsOptions { mask: Mask::Whole, percentiles: vec![percent] };
                Statistics::of(voxels, scaling, None, &options)?.percentile(percent)
            }
        };
        with_voxels!(voxels, voxels => match bound {
            Some(bound) => found.add(voxels, shape, |voxel| bound < scaling.apply(voxel.to_f64())),
            None => found.add(voxels, shape, |voxel| {
                let value = scaling.apply(voxel.to_f64());
                value != 0.0 && !value.is_nan()
            }),
        });
        Ok(())
    }

    /// Ends the search: returns the box, in stored voxels. `inside` has a byte for each voxel, not 0 where its label is not 0,
    /// and `spacing` is that of the stored voxels.
    ///
    /// # Errors
    /// Says so if labels are needed and not there.
    ///
    /// # Panics
    /// Panics if the number of bytes does not fit the shape.
    pub fn region(mut self, inside: Option<&[u8]>, spacing: [f64; 3]) -> Result<Region, Error> {
        if self.crop.foreground == Foreground::Label {
            let inside = inside.ok_or_else(|| Error::NoStatistic {
                key: "crop.foreground: label".to_owned(),
                needed: "a label map".to_owned(),
                problem: "there is none".to_owned(),
            })?;
            self.found.add(inside, self.shape, |label| label != 0);
        }
        let margin = spacing.map(|spacing| {
            // A margin of 3 voxels is not 4 because 3 * 1.1 / 1.1 is rounded up.
            let voxels = (self.crop.margin / spacing - 1e-6).ceil();
            if voxels.is_finite() { voxels.max(0.0) as usize } else { 0 }
        });
        self.found.region(self.shape, margin)
    }
}

/// The first and the last voxel of something along each axis.
#[derive(Clone, Debug)]
struct Bounds {
    first: [usize; 3],
    last: [usize; 3],
}

impl Bounds {
    const NONE: Self = Self { first: [usize::MAX; 3], last: [0; 3] };

    fn add<T: Copy>(&mut self, voxels: &[T], shape @ [nx, ny, _]: [usize; 3], is_inside: impl Fn(T) -> bool) {
        assert_eq!(voxels.len(), shape.iter().product::<usize>(), "a voxel for each place");
        if voxels.is_empty() {
            return;
        }
        for (row, voxels) in voxels.chunks_exact(nx).enumerate() {
            let Some(first) = voxels.iter().position(|&voxel| is_inside(voxel)) else { continue };
            let last = voxels.iter().rposition(|&voxel| is_inside(voxel)).unwrap_or(first);
            let [y, z] = [row % ny, row / ny];
            for (axis, [low, high]) in [[first, last], [y, y], [z, z]].into_iter().enumerate() {
                self.first[axis] = self.first[axis].min(low);
                self.last[axis] = self.last[axis].max(high);
            }
        }
    }

    fn region(&self, shape: [usize; 3], margin: [usize; 3]) -> Result<Region, Error> {
        if self.first[0] == usize::MAX {
            return Region::whole(shape);
        }
        let origin = [0, 1, 2].map(|axis| self.first[axis].saturating_sub(margin[axis]));
        let end = |axis: usize| (self.last[axis] + 1).saturating_add(margin[axis]).min(shape[axis]);
        Region::new(origin, [0, 1, 2].map(|axis| end(axis) - origin[axis]), shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: [usize; 3] = [6, 5, 4];
    const PLAIN: Scaling = Scaling { slope: 1.0, inter: 0.0 };

    fn with(places: &[([usize; 3], f32)]) -> Vec<f32> {
        let mut voxels = vec![0.0; 120];
        for ([x, y, z], value) in places {
            voxels[(z * 5 + y) * 6 + x] = *value;
        }
        voxels
    }

    fn found(text: &str, voxels: &[&[f32]], inside: Option<&[u8]>) -> ([usize; 3], [usize; 3]) {
        let crop: Crop = serde_json::from_str(text).unwrap();
        crop.check("crop").unwrap();
        let mut search = crop.search(SHAPE);
        for voxels in voxels {
            search.channel(VoxelSlice::F32(voxels), PLAIN).unwrap();
        }
        let region = search.region(inside, [1.0, 2.0, 1.1]).unwrap();
        (region.origin(), region.size())
    }

    #[test]
    fn the_box_holds_the_foreground_of_all_channels_and_its_margin() {
        let first = with(&[([2, 1, 3], 5.0), ([3, 2, 1], -1.0), ([0, 0, 0], f32::NAN)]);
        let second = with(&[([1, 1, 2], 2.0)]);
        assert_eq!(found("{}", &[&first], None), ([2, 1, 1], [2, 2, 3]));
        assert_eq!(found("{}", &[&first, &second], None), ([1, 1, 1], [3, 2, 3]));
        assert_eq!(found(r#"{"foreground":{"above":3}}"#, &[&first, &second], None), ([2, 1, 3], [1, 1, 1]));
        // 2 mm are 2 voxels of x, 1 of y and 2 of z; 1.1 mm are 1 of z.
        let margin = |mm: f64| format!(r#"{{"foreground":{{"above":3}},"margin":{mm}}}"#);
        assert_eq!(found(&margin(2.0), &[&first], None), ([0, 0, 1], [5, 3, 3]));
        assert_eq!(found(&margin(1.1), &[&first], None), ([0, 0, 2], [5, 3, 2]));
        assert_eq!(found(&margin(1e9), &[&first], None), ([0; 3], SHAPE));
    }

    #[test]
    fn percentiles_and_labels_bound_the_foreground_and_without_any_there_is_no_crop() {
        let voxels = with(&[([2, 1, 3], 5.0), ([3, 2, 1], 1.0)]);
        assert_eq!(
            found(r#"{"foreground":{"above_percentile":99.5}}"#, &[&voxels], None),
            ([2, 1, 3], [1, 1, 1])
        );
        assert_eq!(found(r#"{"foreground":{"above":9}}"#, &[&voxels], None), ([0; 3], SHAPE));
        let mut inside = vec![0; 120];
        inside[119] = 1;
        assert_eq!(found(r#"{"foreground":"label"}"#, &[&voxels], Some(&inside)), ([5, 4, 3], [1; 3]));
        let crop = Crop { foreground: Foreground::Label, margin: 0.0 };
        assert!(crop.search(SHAPE).region(None, [1.0; 3]).is_err());
        assert!(Crop { margin: -1.0, ..Crop::default() }.check("crop").is_err());
    }
}
