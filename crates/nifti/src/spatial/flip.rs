//! Mirroring.

use batchwright_core::Stream;
use serde::{Deserialize, Serialize};

use super::spread::{always, check_probability};
use crate::affine::Affine;
use crate::error::Error;

/// Mirrors axes of the patch, each by a draw of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Flip {
    /// The probability that x, y and z are mirrored, where the change happens at all; by default 0.5 each.
    #[serde(default = "halves")]
    pub axes: [f64; 3],
    /// How often the change happens; by default always.
    #[serde(default = "always")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1)))]
    pub probability: f64,
    /// The name of its draws; by default `flip`.
    #[serde(default)]
    pub name: Option<String>,
}

/// Which of x, y and z were mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlipDrawn {
    /// Whether x, y and z were mirrored.
    pub axes: [bool; 3],
}

fn halves() -> [f64; 3] {
    [0.5; 3]
}

impl Default for Flip {
    fn default() -> Self {
        Self { axes: halves(), probability: 1.0, name: None }
    }
}

impl Flip {
    pub(super) fn check(&self, key: &str) -> Result<(), Error> {
        let Self { axes, probability, name: _ } = self;
        check_probability(&format!("{key}.probability"), *probability)?;
        axes.iter().try_for_each(|&axis| check_probability(&format!("{key}.axes"), axis))
    }

    pub(super) fn draw(&self, stream: &mut Stream) -> Option<FlipDrawn> {
        stream.chance(self.probability).then(|| FlipDrawn { axes: self.axes.map(|axis| stream.chance(axis)) })
    }
}

impl FlipDrawn {
    /// Returns where the voxels of a mirrored patch come from.
    pub(super) fn source(self, size: [usize; 3]) -> Affine {
        let mut map = Affine::IDENTITY;
        for axis in (0..3).filter(|&axis| self.axes[axis]) {
            map.0[axis][axis] = -1.0;
            map.0[axis][3] = size[axis] as f64 - 1.0;
        }
        map
    }
}
