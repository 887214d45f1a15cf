//! What lies around a volume.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// What a patch shows outside of its volume: a number (after normalisation), `minimum`, `edge` or `reflect`.
///
/// ```
/// use batchwright_nifti::Outside;
/// let outside: Outside = serde_json::from_str("-1.5")?;
/// assert_eq!(outside, Outside::Constant(-1.5));
/// assert_eq!(serde_json::to_string(&Outside::Edge)?, "\"edge\"");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(from = "Written", into = "Written")]
#[cfg_attr(feature = "schema", schemars(with = "Written"))]
pub enum Outside {
    /// A value, after normalisation.
    Constant(f32),
    /// The lowest value of the volume, after normalisation.
    Minimum,
    /// The value of the nearest voxel of the volume.
    Edge,
    /// The volume, mirrored at the middle of its outermost voxels, which do not repeat: c b | a b c | b a.
    Reflect,
}

/// A number, or a word.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
enum Written {
    /// A value, after normalisation.
    Value(f32),
    /// A rule.
    Rule(Rule),
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
enum Rule {
    /// The lowest value of the volume, after normalisation.
    Minimum,
    /// The value of the nearest voxel of the volume.
    Edge,
    /// The volume, mirrored at its outermost voxels, which do not repeat.
    Reflect,
}

impl From<Written> for Outside {
    fn from(written: Written) -> Self {
        match written {
            Written::Value(value) => Self::Constant(value),
            Written::Rule(Rule::Minimum) => Self::Minimum,
            Written::Rule(Rule::Edge) => Self::Edge,
            Written::Rule(Rule::Reflect) => Self::Reflect,
        }
    }
}

impl From<Outside> for Written {
    fn from(outside: Outside) -> Self {
        match outside {
            Outside::Constant(value) => Self::Value(value),
            Outside::Minimum => Self::Rule(Rule::Minimum),
            Outside::Edge => Self::Rule(Rule::Edge),
            Outside::Reflect => Self::Rule(Rule::Reflect),
        }
    }
}

impl Default for Outside {
    fn default() -> Self {
        Self::Constant(0.0)
    }
}

impl Outside {
    /// Checks that a value is finite.
    ///
    /// # Errors
    /// Names the choice.
    pub fn check(&self, key: &str) -> Result<(), Error> {
        match self {
            Self::Constant(value) if !value.is_finite() => {
                Err(Error::choice(key, "a finite number, `minimum`, `edge` or `reflect`", value))
            }
            Self::Constant(_) | Self::Minimum | Self::Edge | Self::Reflect => Ok(()),
        }
    }

    /// Returns the border of a volume whose lowest value, after normalisation, is given by `minimum`.
    pub fn border(&self, minimum: impl FnOnce() -> f32) -> Border<f32> {
        match *self {
            Self::Constant(value) => Border::Constant(value),
            Self::Minimum => Border::Constant(minimum()),
            Self::Edge => Border::Edge,
            Self::Reflect => Border::Reflect,
        }
    }
}

/// What is read around a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Border<T> {
    /// A value, as it comes out.
    Constant(T),
    /// The nearest voxel.
    Edge,
    /// The volume, mirrored at the middle of its outermost voxels.
    Reflect,
}

impl<T> Border<T> {
    /// Returns the voxel that is read along an axis of `n` voxels, or nothing where it is the constant.
    #[inline]
    pub(super) fn index(&self, at: i64, n: usize) -> Option<usize> {
        let last = n as i64 - 1;
        if 0 <= at && at <= last {
            return Some(at as usize);
        }
        match self {
            Self::Constant(_) => None,
            Self::Edge => Some(at.clamp(0, last) as usize),
            Self::Reflect if last == 0 => Some(0),
            Self::Reflect => {
                let folded = at.rem_euclid(2 * last);
                Some(folded.min(2 * last - folded) as usize)
            }
        }
    }
}
