//! How far neighbouring patches of a grid lie over each other.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// How far neighbouring patches of a grid lie over each other: a whole number of voxels for all axes, a list of three
/// (x, y, z), or a part of the patch's size such as `25 %`. By default 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Overlap {
    /// So many voxels on every axis on which the patch is not flat.
    All(usize),
    /// So many voxels on x, y and z.
    Each([usize; 3]),
    /// A part of the patch's size, rounded down to whole voxels on each axis.
    Part(Percent),
}

impl Default for Overlap {
    fn default() -> Self {
        Self::All(0)
    }
}

/// A number of hundredths, written `25 %`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", schemars(with = "String"))]
pub struct Percent(f64);

impl Percent {
    /// Takes a number from 0 to below 100.
    ///
    /// # Errors
    /// Says what it may be.
    pub fn new(percent: f64) -> Result<Self, String> {
        if (0.0..100.0).contains(&percent) {
            Ok(Self(percent))
        } else {
            Err(format!("{percent} % is not from 0 to below 100 %"))
        }
    }

    /// Returns the number of hundredths.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<String> for Percent {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = text.strip_suffix('%').and_then(|number| number.trim().parse().ok());
        Self::new(
            number.ok_or_else(|| format!("`{text}` is not a number with a percent sign, as in `25 %`"))?,
        )
    }
}

impl From<Percent> for String {
    fn from(percent: Percent) -> Self {
        format!("{} %", percent.0)
    }
}

impl Overlap {
    /// Returns the overlap in voxels on each axis, for a patch of `size`; below the size, so that a grid goes on.
    pub fn voxels(&self, size: [usize; 3]) -> [usize; 3] {
        let voxels = match self {
            Self::All(voxels) => [*voxels; 3],
            Self::Each(voxels) => *voxels,
            Self::Part(percent) => size.map(|n| (n as f64 * percent.0 / 100.0) as usize),
        };
        [0, 1, 2].map(|axis| voxels[axis].min(size[axis].saturating_sub(1)))
    }

    /// Checks that the overlap is smaller than the patch on each axis; a number for all axes leaves out flat ones.
    ///
    /// # Errors
    /// Names the key.
    pub fn check(&self, key: &str, size: [usize; 3]) -> Result<(), Error> {
        let (fits, found) = match self {
            Self::All(voxels) => (size.iter().all(|&n| n == 1 || *voxels < n), voxels.to_string()),
            Self::Each(voxels) => (voxels.iter().zip(&size).all(|(a, b)| a < b), format!("{voxels:?}")),
            Self::Part(_) => (true, String::new()),
        };
        if fits {
            Ok(())
        } else {
            Err(Error::choice(key, format!("smaller than the patch, {size:?}, on each axis"), found))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlap_is_a_number_a_list_or_a_part() {
        let read = |text| serde_json::from_str::<Overlap>(text);
        assert_eq!(read("16").unwrap().voxels([96, 96, 1]), [16, 16, 0]);
        assert_eq!(read("[48, 0, 8]").unwrap().voxels([96, 96, 16]), [48, 0, 8]);
        assert_eq!(read("\"50 %\"").unwrap().voxels([96, 33, 1]), [48, 16, 0]);
        assert_eq!(read("\"12.5%\"").unwrap(), Overlap::Part(Percent::new(12.5).unwrap()));
        for wrong in ["\"100 %\"", "\"-1 %\"", "\"NaN %\"", "\"half\"", "0.5", "-1", "[1, 2]"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        for text in ["16", "[48,0,8]", "\"12.5 %\""] {
            assert_eq!(serde_json::to_string(&read(text).unwrap()).unwrap(), text);
        }
    }

    #[test]
    fn an_overlap_as_large_as_the_patch_is_refused() {
        assert!(Overlap::All(15).check("overlap", [16, 16, 1]).is_ok());
        assert!(Overlap::All(16).check("overlap", [16, 32, 1]).is_err());
        assert!(Overlap::Each([0, 0, 1]).check("overlap", [16, 32, 1]).is_err());
        assert!(Overlap::Each([15, 31, 0]).check("overlap", [16, 32, 1]).is_ok());
    }
}
