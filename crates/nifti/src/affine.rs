//! Affine maps of space, and the two spaces of a volume as types.

use serde::{Deserialize, Serialize};

/// An affine map of three-dimensional space: rows of a 3 x 4 matrix, the last column being the translation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Affine(pub [[f64; 4]; 3]);

impl Affine {
    /// The map that changes nothing.
    pub const IDENTITY: Self = Self([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]);

    /// Returns the map that moves by `by`.
    pub fn translation(by: [f64; 3]) -> Self {
        let mut map = Self::IDENTITY;
        for (row, by) in map.0.iter_mut().zip(by) {
            row[3] = by;
        }
        map
    }

    /// Returns the map that multiplies each axis by a factor.
    pub fn scale(by: [f64; 3]) -> Self {
        let mut map = Self::IDENTITY;
        for (axis, by) in by.into_iter().enumerate() {
            map.0[axis][axis] = by;
        }
        map
    }

    /// Returns where a point goes.
    #[inline]
    pub fn apply(&self, [x, y, z]: [f64; 3]) -> [f64; 3] {
        self.0.map(|[a, b, c, d]| a * x + b * y + c * z + d)
    }

    /// Returns where a direction goes: without the translation.
    #[inline]
    pub fn apply_linear(&self, [x, y, z]: [f64; 3]) -> [f64; 3] {
        self.0.map(|[a, b, c, _]| a * x + b * y + c * z)
    }

    /// Returns the map that does `first`, then this one.
    #[must_use]
    pub fn after(&self, first: &Self) -> Self {
        let mut result = Self([[0.0; 4]; 3]);
        for (row, of) in result.0.iter_mut().zip(&self.0) {
            for (column, value) in row.iter_mut().enumerate() {
                *value = of[0] * first.0[0][column] + of[1] * first.0[1][column] + of[2] * first.0[2][column];
            }
            row[3] += of[3];
        }
        result
    }

    /// Returns the determinant of the linear part.
    pub fn determinant(&self) -> f64 {
        let [[a, b, c, _], [d, e, f, _], [g, h, i, _]] = self.0;
        a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    }

    /// Returns the inverse, or nothing where the determinant is 0 or not finite, or an entry of the inverse is not finite.
    pub fn inverse(&self) -> Option<Self> {
        let [[a, b, c, u], [d, e, f, v], [g, h, i, w]] = self.0;
        let determinant = self.determinant();
        if determinant == 0.0 || !determinant.is_finite() {
            return None;
        }
        let m = [
            [e * i - f * h, c * h - b * i, b * f - c * e],
            [f * g - d * i, a * i - c * g, c * d - a * f],
            [d * h - e * g, b * g - a * h, a * e - b * d],
        ]
        .map(|row| row.map(|x| x / determinant));
        let inverse = Self(m.map(|[x, y, z]| [x, y, z, -(x * u + y * v + z * w)]));
        inverse.0.iter().flatten().all(|x| x.is_finite()).then_some(inverse)
    }

    /// Returns the length of each column of the linear part: the spacing, where this maps voxels to millimetres.
    pub fn column_lengths(&self) -> [f64; 3] {
        [0, 1, 2].map(|c| (0..3).map(|r| self.0[r][c] * self.0[r][c]).sum::<f64>().sqrt())
    }
}

/// A place among the voxels of a volume, in units of voxels along the stored axes; centres lie at whole numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VoxelPoint(pub [f64; 3]);

/// A place in the world, in millimetres: right, anterior and superior are positive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorldPoint(pub [f64; 3]);

/// The map from the voxels of a volume to the world.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VoxelToWorld(pub Affine);

/// The map from the world to the voxels of a volume.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorldToVoxel(pub Affine);

impl VoxelToWorld {
    /// Returns where in the world a voxel lies.
    pub fn apply(&self, point: VoxelPoint) -> WorldPoint {
        WorldPoint(self.0.apply(point.0))
    }

    /// Returns the map back, or nothing where there is none.
    pub fn inverse(&self) -> Option<WorldToVoxel> {
        self.0.inverse().map(WorldToVoxel)
    }
}

impl WorldToVoxel {
    /// Returns which voxel lies at a place of the world.
    pub fn apply(&self, point: WorldPoint) -> VoxelPoint {
        VoxelPoint(self.0.apply(point.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inverse_undoes_its_map_and_a_flat_map_has_none() {
        let map = Affine([[0.0, -2.0, 0.5, 3.0], [1.5, 0.1, 0.0, -7.0], [0.2, 0.0, 3.0, 11.0]]);
        let back = map.inverse().unwrap().after(&map);
        for (row, expected) in back.0.iter().zip(&Affine::IDENTITY.0) {
            for (x, y) in row.iter().zip(expected) {
                assert!((x - y).abs() < 1e-12, "{back:?}");
            }
        }
        assert_eq!(map.apply([1.0, 1.0, 2.0]), [2.0, -5.4, 17.2]);
        assert_eq!(Affine::scale([1.0, 0.0, 1.0]).inverse(), None);
        assert_eq!(Affine::scale([1.0, f64::NAN, 1.0]).inverse(), None);
        assert_eq!(Affine::scale([2.0, 3.0, 4.0]).column_lengths(), [2.0, 3.0, 4.0]);
    }
}
