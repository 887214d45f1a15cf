//! The one map from the voxels of a patch to stored voxels.

use super::{Displacement, Lattice, SpatialDrawn};
use crate::affine::Affine;
use crate::error::Error;
use crate::gather::{Support, reach};
use crate::region::Region;

/// Where a patch lies in the grid it is cut from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The voxel of the grid that is the patch's first; below 0 or so far up that the patch reaches out of the grid, if
    /// it does.
    pub origin: [i64; 3],
    /// The patch's size.
    pub size: [usize; 3],
}

/// From the voxels of a patch to stored voxels: `affine(p + displacement(p))`.
///
/// It is made of orientation, spacing, every spatial change and the crop, and is evaluated once, at the voxels of the
/// patch.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// The affine part.
    pub affine: Affine,
    /// The elastic part, which comes first.
    pub displacement: Option<Displacement>,
}

impl Map {
    /// The map that changes nothing.
    pub const IDENTITY: Self = Self { affine: Affine::IDENTITY, displacement: None };

    /// Composes the map of a patch of a grid, changed by what was drawn, in order.
    ///
    /// # Errors
    /// Refuses a second elastic change, and records whose numbers make no map.
    pub fn compose<'a>(
        grid: &Lattice,
        patch: Placement,
        drawn: impl IntoIterator<Item = &'a SpatialDrawn>,
    ) -> Result<Self, Error> {
        let Placement { origin, size } = patch;
        let mut affine = grid.to_stored.after(&Affine::translation(origin.map(|x| x as f64)));
        let mut displacement = None;
        for drawn in drawn {
            let change = match drawn {
                SpatialDrawn::Flip(flip) => flip.source(size),
                SpatialDrawn::Rotate90(rotate) => rotate.source(size),
                SpatialDrawn::Affine(change) => change.source(size, grid.spacing).ok_or_else(|| {
                    Error::choice("affine", "a change that can be undone", format!("{change:?}"))
                })?,
                SpatialDrawn::Elastic(elastic) => {
                    if displacement.replace(elastic.over(size, grid.spacing)?).is_some() {
                        return Err(Error::choice("elastic", "there once in a list of changes", "two"));
                    }
                    continue;
                }
            };
            affine = affine.after(&change);
        }
        Ok(Self { affine, displacement })
    }

    /// Returns where a point of the patch lies among the stored voxels.
    pub fn apply(&self, point: [f64; 3]) -> [f64; 3] {
        let by = self.displacement.as_ref().map_or([0.0; 3], |displacement| displacement.at(point));
        self.affine.apply([0, 1, 2].map(|axis| point[axis] + by[axis]))
    }

    /// Returns the map back, from stored voxels to voxels of the patch, or nothing where there is none or where it is not
    /// affine: then [`Map::find`] gives it point by point.
    pub fn inverse(&self) -> Option<Self> {
        let affine = if self.displacement.is_none() { self.affine.inverse()? } else { return None };
        Some(Self { affine, displacement: None })
    }

    /// Returns the point of the patch that a stored point is shown at, within 1e-9 voxels of the patch, or nothing where
    /// it is not found: where the affine part has no inverse, or the picture folds.
    ///
    /// It iterates p = q - d(p), which converges wherever [`Displacement::contraction`] is below 1; the point may lie
    /// outside of the patch, where the displacement is that of the edge.
    pub fn find(&self, stored: [f64; 3]) -> Option<[f64; 3]> {
        let target = self.affine.inverse()?.apply(stored);
        let Some(displacement) = &self.displacement else { return Some(target) };
        let mut point = target;
        for _ in 0..1000 {
            let by = displacement.at(point);
            let next = [0, 1, 2].map(|axis| target[axis] - by[axis]);
            let change = (0..3).map(|axis| (next[axis] - point[axis]).abs()).fold(0.0, f64::max);
            point = next;
            if change <= 1e-10 {
                let landed = displacement.at(point);
                let off =
                    (0..3).map(|axis| (point[axis] + landed[axis] - target[axis]).abs()).fold(0.0, f64::max);
                return (off <= 1e-9).then_some(point);
            }
        }
        None
    }

    /// Returns the box of stored voxels that [`gather`](crate::gather()) reads for a patch of `size` from a volume of
    /// `shape`, and a voxel more on each side where there is one; a box of one voxel where it reads none.
    ///
    /// # Errors
    /// Refuses maps that are not finite or reach farther than 2^29 voxels, and patches and volumes without voxels.
    pub fn source_region(
        &self,
        size: [usize; 3],
        support: &Support,
        shape: [usize; 3],
    ) -> Result<Region, Error> {
        reach::source_region(self, size, support, shape)
    }
}
