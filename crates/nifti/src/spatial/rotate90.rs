//! Quarter turns.

use batchwright_core::Stream;
use serde::{Deserialize, Serialize};

use super::spread::{always, check_probability};
use crate::affine::Affine;
use crate::error::Error;

/// A plane of two axes; quarter turns go from the first axis to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Plane {
    /// From x to y.
    Xy,
    /// From x to z.
    Xz,
    /// From y to z.
    Yz,
}

impl Plane {
    const fn axes(self) -> [usize; 2] {
        match self {
            Self::Xy => [0, 1],
            Self::Xz => [0, 2],
            Self::Yz => [1, 2],
        }
    }
}

/// Turns by quarters in a plane of two axes. Voxels move onto voxels, whatever their spacing: where the voxels of the
/// plane are not square, shapes change, as they do for a grid that is turned by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Rotate90 {
    /// The planes that one is drawn from: `xy`, `xz`, `yz`; by default all three.
    #[serde(default = "planes")]
    pub planes: Vec<Plane>,
    /// The numbers of quarter turns, 1 to 3, that one is drawn from; by default 1, 2 and 3. 1 takes the first axis of the
    /// plane to the second.
    #[serde(default = "turns")]
    pub k: Vec<u8>,
    /// How often the change happens; by default always.
    #[serde(default = "always")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1)))]
    pub probability: f64,
    /// The name of its draws; by default `rotate90`.
    #[serde(default)]
    pub name: Option<String>,
}

/// The quarter turns that were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotate90Drawn {
    /// The plane.
    pub plane: Plane,
    /// How many.
    pub k: u8,
}

fn planes() -> Vec<Plane> {
    vec![Plane::Xy, Plane::Xz, Plane::Yz]
}

fn turns() -> Vec<u8> {
    vec![1, 2, 3]
}

impl Default for Rotate90 {
    fn default() -> Self {
        Self { planes: planes(), k: turns(), probability: 1.0, name: None }
    }
}

impl Rotate90 {
    pub(super) fn check(&self, key: &str) -> Result<(), Error> {
        let Self { planes, k, probability, name: _ } = self;
        check_probability(&format!("{key}.probability"), *probability)?;
        if planes.is_empty() {
            return Err(Error::choice(format!("{key}.planes"), "at least one of xy, xz and yz", "none"));
        }
        if k.is_empty() || k.iter().any(|k| !(1..=3).contains(k)) {
            return Err(Error::choice(format!("{key}.k"), "at least one of 1, 2 and 3", format!("{k:?}")));
        }
        Ok(())
    }

    pub(super) fn draw(&self, stream: &mut Stream) -> Option<Rotate90Drawn> {
        stream.chance(self.probability).then(|| Rotate90Drawn {
            plane: self.planes[stream.below(self.planes.len() as u64) as usize],
            k: self.k[stream.below(self.k.len() as u64) as usize],
        })
    }
}

impl Rotate90Drawn {
    /// Returns where the voxels of a turned patch come from.
    ///
    /// About the middle, voxels meet voxels if the plane's sizes are both even or both odd; otherwise the place is half a
    /// voxel lower along both axes.
    pub(super) fn source(self, size: [usize; 3]) -> Affine {
        let [a, b] = self.plane.axes();
        // The quarter turn back: from the second axis to the first.
        let (sin, cos) = match self.k % 4 {
            0 => (0.0, 1.0),
            1 => (1.0, 0.0),
            2 => (0.0, -1.0),
            _ => (-1.0, 0.0),
        };
        let [ca, cb] = [a, b].map(|axis| (size[axis] as f64 - 1.0) / 2.0);
        let mut map = Affine::IDENTITY;
        map.0[a][a] = cos;
        map.0[a][b] = sin;
        map.0[b][a] = -sin;
        map.0[b][b] = cos;
        map.0[a][3] = (ca - (cos * ca + sin * cb)).floor();
        map.0[b][3] = (cb - (cos * cb - sin * ca)).floor();
        map
    }
}
