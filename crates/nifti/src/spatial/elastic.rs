//! Bending.

use batchwright_core::Stream;
use serde::{Deserialize, Serialize};

use super::displacement::Displacement;
use super::spread::{always, check_probability};
use crate::error::Error;

/// Bends the picture by a cubic B-spline over a coarse grid of control points, each displaced along x, y and z by a draw
/// of its own, uniform from `-max_displacement` to `max_displacement`.
///
/// n control points along an axis make n - 3 cells, which span the patch from edge to edge. The voxel at p shows what lay
/// at p + d(p). Displacements above 0.4 of a cell may fold the picture over itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Elastic {
    /// How many control points lie along x, y and z, 4 to 64; by default 7 each.
    #[serde(default = "sevens")]
    pub control_points: [usize; 3],
    /// How far control points are displaced at most along x, y and z, in mm; by default 7.5 each.
    #[serde(default = "displacements")]
    pub max_displacement: [f64; 3],
    /// How many of the outermost layers of control points stay in place, on every side, 0 to 3: with 3 the faces of the
    /// patch do not move at all. By default 2.
    #[serde(default = "two")]
    pub locked_borders: usize,
    /// How often the change happens; by default always.
    #[serde(default = "always")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1)))]
    pub probability: f64,
    /// The name of its draws; by default `elastic`.
    #[serde(default)]
    pub name: Option<String>,
}

/// The displacements of control points that were made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElasticDrawn {
    /// How many control points lie along x, y and z.
    pub control_points: [usize; 3],
    /// How far each is displaced along x, y and z in mm; x varies fastest.
    pub displacements: Vec<[f32; 3]>,
}

fn sevens() -> [usize; 3] {
    [7; 3]
}

fn displacements() -> [f64; 3] {
    [7.5; 3]
}

fn two() -> usize {
    2
}

impl Default for Elastic {
    fn default() -> Self {
        Self {
            control_points: sevens(),
            max_displacement: displacements(),
            locked_borders: 2,
            probability: 1.0,
            name: None,
        }
    }
}

impl Elastic {
    pub(super) fn check(&self, key: &str) -> Result<(), Error> {
        let Self { control_points, max_displacement, locked_borders, probability, name: _ } = self;
        check_probability(&format!("{key}.probability"), *probability)?;
        if !control_points.iter().all(|n| Displacement::CONTROL_POINTS.contains(n)) {
            let found = format!("{control_points:?}");
            return Err(Error::choice(format!("{key}.control_points"), "three numbers from 4 to 64", found));
        }
        if 3 < *locked_borders || control_points.iter().any(|n| *n <= 2 * locked_borders) {
            let expected = "0 to 3, and less than half of `control_points`";
            return Err(Error::choice(format!("{key}.locked_borders"), expected, locked_borders));
        }
        if !max_displacement.iter().all(|most| (0.0..=1000.0).contains(most)) {
            let found = format!("{max_displacement:?}");
            return Err(Error::choice(
                format!("{key}.max_displacement"),
                "three lengths from 0 to 1000 mm",
                found,
            ));
        }
        Ok(())
    }

    /// A locked control point draws nothing: the others are drawn in order, x fastest, each along x, y and z.
    pub(super) fn draw(&self, stream: &mut Stream) -> Option<ElasticDrawn> {
        if !stream.chance(self.probability) {
            return None;
        }
        let [nx, ny, nz] = self.control_points;
        let mut displacements = Vec::with_capacity(nx * ny * nz);
        let locked = |i: usize, n: usize| i < self.locked_borders || n <= i + self.locked_borders;
        for z in 0..nz {
            for y in 0..ny {
                for x in 0..nx {
                    displacements.push(if locked(x, nx) || locked(y, ny) || locked(z, nz) {
                        [0.0; 3]
                    } else {
                        self.max_displacement.map(|most| stream.uniform_in(-most, most) as f32)
                    });
                }
            }
        }
        Some(ElasticDrawn { control_points: self.control_points, displacements })
    }
}

impl ElasticDrawn {
    /// Returns the displacement over a patch of a size in voxels of a spacing in mm.
    ///
    /// # Errors
    /// Refuses as many displacements as do not fit the control points, and numbers that are not finite or too large.
    pub(super) fn over(&self, size: [usize; 3], spacing: [f64; 3]) -> Result<Displacement, Error> {
        let control = self.displacements.iter().map(|by| [0, 1, 2].map(|a| f64::from(by[a]) / spacing[a]));
        Displacement::new(self.control_points, control.collect(), size)
    }
}
