//! Label maps: integers after scaling, merged as the user says, of the smallest type that holds them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::convert::Scaling;
use crate::error::Error;
use crate::voxels::{Voxel, VoxelSlice, VoxelType, with_voxels};

/// How far from an integer a scaled value may be: a `scl_slope` is written in single precision.
const ROUNDING: f64 = 1e-3;

/// `labels:` what becomes of the values of label maps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LabelOptions {
    /// New values by old ones: `{ 1: 1, 2: 1, 17: 3 }` merges 1 and 2. By default values stay as they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub map: BTreeMap<i32, i32>,
    /// What values that `map` does not name become, but for 0, which stays 0 unless `map` names it; by default they stay
    /// as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<i32>,
}

impl LabelOptions {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// Refuses a default without a map: it would make one label of all.
    pub fn check(&self, key: &str) -> Result<(), Error> {
        match self.default {
            Some(default) if self.map.is_empty() => {
                Err(Error::choice(format!("{key}.default"), "with a `map` that names the others", default))
            }
            _ => Ok(()),
        }
    }

    /// Returns what becomes of a value.
    pub fn apply(&self, value: i32) -> i32 {
        match (self.map.get(&value), self.default) {
            (Some(&new), _) => new,
            (None, Some(default)) if value != 0 => default,
            (None, _) => value,
        }
    }

    /// Returns whether every value stays as it is.
    pub fn is_identity(&self) -> bool {
        self.default.is_none() && self.map.iter().all(|(old, new)| old == new)
    }
}

/// The type of labels as they are delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelType {
    /// 8 bits, without sign.
    #[default]
    U8,
    /// 16 bits.
    I16,
    /// 32 bits.
    I32,
}

impl LabelType {
    /// Returns the smallest type that holds a value.
    pub fn of(value: i32) -> Self {
        if u8::try_from(value).is_ok() {
            Self::U8
        } else if i16::try_from(value).is_ok() {
            Self::I16
        } else {
            Self::I32
        }
    }

    /// Returns the smallest type that holds all values, each of which is from `min` to `max`.
    pub fn of_range(min: i32, max: i32) -> Self {
        Self::of(min).max(Self::of(max))
    }

    /// Returns the type of voxels that it is.
    pub fn voxel_type(self) -> VoxelType {
        match self {
            Self::U8 => VoxelType::U8,
            Self::I16 => VoxelType::I16,
            Self::I32 => VoxelType::I32,
        }
    }
}

/// The labels of a volume, in the order of its voxels.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is a list of the type it is named after")]
pub enum Labels {
    U8(Vec<u8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
}

impl Labels {
    /// Returns the labels as voxels.
    pub fn as_slice(&self) -> VoxelSlice<'_> {
        match self {
            Self::U8(labels) => VoxelSlice::U8(labels),
            Self::I16(labels) => VoxelSlice::I16(labels),
            Self::I32(labels) => VoxelSlice::I32(labels),
        }
    }

    /// Returns the type of the labels.
    pub fn label_type(&self) -> LabelType {
        match self {
            Self::U8(_) => LabelType::U8,
            Self::I16(_) => LabelType::I16,
            Self::I32(_) => LabelType::I32,
        }
    }
}

/// The label map of a file, ready to be read as labels.
#[derive(Clone, Copy, Debug)]
pub struct LabelVoxels<'a> {
    /// The file, for messages.
    pub path: &'a Path,
    /// The shape of the volume.
    pub shape: [usize; 3],
    /// Its voxels.
    pub voxels: VoxelSlice<'a>,
    /// The scaling of the file.
    pub scaling: Scaling,
}

impl LabelVoxels<'_> {
    /// Counts the labels, after merging.
    ///
    /// # Errors
    /// Names the file, the value and the voxel that is no integer of 32 bits: after a scaling by 1 and 0 exactly, after
    /// another one to within 1/1000.
    pub fn count(&self, options: &LabelOptions) -> Result<BTreeMap<i32, u64>, Error> {
        let mut counts: BTreeMap<i32, u64> = BTreeMap::new();
        let (mut last, mut times) = (0, 0);
        self.each(options, |_, label| {
            // Labels come in runs.
            if label != last {
                *counts.entry(last).or_default() += times;
                (last, times) = (label, 0);
            }
            times += 1;
        })?;
        *counts.entry(last).or_default() += times;
        counts.retain(|_, times| 0 < *times);
        Ok(counts)
    }

    /// Returns the labels, after merging, in the smallest type that is at least `least` and holds them all.
    ///
    /// # Errors
    /// As [`LabelVoxels::count`].
    pub fn labels(&self, options: &LabelOptions, least: LabelType) -> Result<Labels, Error> {
        let (mut min, mut max) = (0, 0);
        self.each(options, |_, label| {
            min = min.min(label);
            max = max.max(label);
        })?;
        let count = self.voxels.len();
        Ok(match LabelType::of_range(min, max).max(least) {
            LabelType::U8 => {
                let mut labels = vec![0; count];
                self.each(options, |at, label| labels[at] = label as u8)?;
                Labels::U8(labels)
            }
            LabelType::I16 => {
                let mut labels = vec![0; count];
                self.each(options, |at, label| labels[at] = label as i16)?;
                Labels::I16(labels)
            }
            LabelType::I32 => {
                let mut labels = vec![0; count];
                self.each(options, |at, label| labels[at] = label)?;
                Labels::I32(labels)
            }
        })
    }

    /// Returns a byte for each voxel, 1 where the label, after merging, is not 0: for [`Mask::Label`](crate::Mask).
    ///
    /// # Errors
    /// As [`LabelVoxels::count`].
    pub fn inside(&self, options: &LabelOptions) -> Result<Vec<u8>, Error> {
        let mut inside = vec![0; self.voxels.len()];
        self.each(options, |at, label| inside[at] = u8::from(label != 0))?;
        Ok(inside)
    }

    fn each(&self, options: &LabelOptions, mut visit: impl FnMut(usize, i32)) -> Result<(), Error> {
        if let VoxelSlice::U8(voxels) = self.voxels
            && self.scaling.is_identity()
        {
            let table: Vec<i32> = (0..256).map(|value| options.apply(value)).collect();
            voxels.iter().enumerate().for_each(|(at, &voxel)| visit(at, table[usize::from(voxel)]));
            return Ok(());
        }
        let merges = !options.is_identity();
        let (mut last, mut last_label) = (f64::NAN, 0);
        with_voxels!(self.voxels, voxels => {
            for (at, &voxel) in voxels.iter().enumerate() {
                let stored = voxel.to_f64();
                if stored != last {
                    let value = self.integer(at, stored)?;
                    last_label = if merges { options.apply(value) } else { value };
                    last = stored;
                }
                visit(at, last_label);
            }
        });
        Ok(())
    }

    fn integer(&self, at: usize, stored: f64) -> Result<i32, Error> {
        let value = self.scaling.apply(stored);
        let nearest = value.round();
        let tolerance = if self.scaling.is_identity() { 0.0 } else { ROUNDING };
        let wrong = |expected: &'static str| {
            let [nx, ny, _] = self.shape.map(|n| n.max(1));
            let place = [at % nx, at / nx % ny, at / nx / ny];
            Err(Error::LabelValue { path: self.path.to_owned(), value, place, expected })
        };
        if !value.is_finite() || tolerance < (value - nearest).abs() {
            return wrong("integers");
        }
        if nearest < f64::from(i32::MIN) || f64::from(i32::MAX) < nearest {
            return wrong("integers of 32 bits");
        }
        Ok(nearest as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(voxels: VoxelSlice<'_>, scaling: Scaling) -> LabelVoxels<'_> {
        LabelVoxels { path: Path::new("l.nii"), shape: [2, 2, 2], voxels, scaling }
    }

    const PLAIN: LabelOptions = LabelOptions { map: BTreeMap::new(), default: None };

    fn labels(voxels: VoxelSlice<'_>, options: &LabelOptions) -> Labels {
        map(voxels, Scaling::IDENTITY).labels(options, LabelType::U8).unwrap()
    }

    #[test]
    fn labels_have_the_type_that_the_largest_value_needs() {
        assert_eq!(labels(VoxelSlice::F32(&[0.0, 255.0]), &PLAIN), Labels::U8(vec![0, 255]));
        assert_eq!(labels(VoxelSlice::U16(&[0, 256]), &PLAIN), Labels::I16(vec![0, 256]));
        assert_eq!(labels(VoxelSlice::I8(&[-1, 3]), &PLAIN), Labels::I16(vec![-1, 3]));
        assert_eq!(labels(VoxelSlice::F64(&[0.0, 32768.0]), &PLAIN), Labels::I32(vec![0, 32768]));
        let least = map(VoxelSlice::U8(&[1, 2]), Scaling::IDENTITY).labels(&PLAIN, LabelType::I16).unwrap();
        assert_eq!(least, Labels::I16(vec![1, 2]));
    }

    #[test]
    fn values_merge_and_those_not_named_stay_or_become_the_default_but_for_0() {
        let merged: LabelOptions = serde_json::from_str(r#"{"map":{"1":1,"2":1,"17":300}}"#).unwrap();
        assert_eq!(labels(VoxelSlice::U8(&[0, 1, 2, 5, 17]), &merged), Labels::I16(vec![0, 1, 1, 5, 300]));
        let merged = LabelOptions { default: Some(9), ..merged };
        assert_eq!(labels(VoxelSlice::I32(&[0, 1, 2, 5, 17]), &merged), Labels::I16(vec![0, 1, 1, 9, 300]));
        let counts =
            map(VoxelSlice::U8(&[0, 0, 1, 2, 1, 5, 0, 0]), Scaling::IDENTITY).count(&merged).unwrap();
        assert_eq!(counts, BTreeMap::from([(0, 4), (1, 3), (9, 1)]));
        assert!(LabelOptions { default: Some(1), ..PLAIN }.check("labels").is_err());
        merged.check("labels").unwrap();
        let inside = map(VoxelSlice::I16(&[0, 2, 0, -1]), Scaling::IDENTITY).inside(&PLAIN).unwrap();
        assert_eq!(inside, [0, 1, 0, 1]);
    }

    #[test]
    fn what_is_no_integer_after_scaling_is_an_error_with_its_place() {
        let error =
            |voxels: VoxelSlice<'_>, scaling| map(voxels, scaling).count(&PLAIN).unwrap_err().to_string();
        assert_eq!(
            error(VoxelSlice::F32(&[0.0, 1.0, 2.0, 2.0, 0.0, 0.0, 1.5, 1.0]), Scaling::IDENTITY),
            "l.nii has the value 1.5 at voxel [0, 1, 1] (x, y, z), and labels are integers"
        );
        assert!(
            error(VoxelSlice::F32(&[0.0, f32::NAN]), Scaling::IDENTITY)
                .contains("the value NaN at voxel [1, 0, 0]")
        );
        assert!(error(VoxelSlice::F64(&[f64::INFINITY]), Scaling::IDENTITY).contains("the value inf"));
        assert!(
            error(VoxelSlice::U32(&[u32::MAX]), Scaling::IDENTITY)
                .ends_with("labels are integers of 32 bits")
        );
        assert!(error(VoxelSlice::F32(&[1.000_1]), Scaling::IDENTITY).contains("integers"));
        assert!(error(VoxelSlice::U8(&[1]), Scaling { slope: 0.5, inter: 0.0 }).contains("the value 0.5"));
        // 1/255 in single precision, as a file has it.
        let slope = f64::from(1.0_f32 / 255.0);
        let scaled = map(VoxelSlice::U8(&[0, 255, 0, 255]), Scaling { slope, inter: 0.0 });
        assert_eq!(scaled.count(&PLAIN).unwrap(), BTreeMap::from([(0, 2), (1, 2)]));
    }
}
