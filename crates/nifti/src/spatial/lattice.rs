//! The grid of voxels that a model sees: a volume after orientation and spacing, as a map and no voxels.

use crate::affine::{Affine, VoxelToWorld};
use crate::error::Error;
use crate::orientation::Axes;

/// The grid that patches are cut from: a volume turned and resampled, of which only the geometry exists.
///
/// Voxel centres lie at whole numbers. Without a spacing, each voxel of the grid is a stored voxel, and the map a
/// permutation of axes. With one, an axis of n voxels of s mm becomes max(1, round(n s / s')) voxels of s' mm, and the
/// middle of both fields of view is the same place: stored = (n - 1) / 2 + (s' / s) (x - (n' - 1) / 2). An axis whose
/// spacing is wanted as it is, within one millionth, is not resampled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lattice {
    /// How many voxels it has along x, y and z.
    pub shape: [usize; 3],
    /// Where its voxels lie among the stored voxels.
    pub to_stored: Affine,
    /// Where its voxels lie in the world.
    pub voxel_to_world: VoxelToWorld,
    /// The distance of its voxels in mm.
    pub spacing: [f64; 3],
}

impl Lattice {
    /// Returns the grid over a volume of a shape and a place in the world, along `axes`, with voxels `spacing` mm apart,
    /// or as far apart as they are stored.
    ///
    /// # Errors
    /// Refuses volumes without voxels, stored spacings that are 0 or not finite where a spacing is wanted, and wanted
    /// spacings that are not above 0, not finite, or give more than 2^24 voxels along an axis.
    pub fn new(
        voxel_to_world: &VoxelToWorld,
        shape: [usize; 3],
        axes: &Axes,
        spacing: Option<[f64; 3]>,
    ) -> Result<Self, Error> {
        if shape.contains(&0) {
            return Err(Error::RegionOutside { origin: [0; 3], size: shape, shape });
        }
        let stored_spacing = voxel_to_world.0.column_lengths();
        let mut to_stored = Affine([[0.0; 4]; 3]);
        let mut grid = Self {
            shape,
            to_stored,
            voxel_to_world: *voxel_to_world,
            spacing: axes.stored().map(|axis| stored_spacing[axis]),
        };
        for (axis, (stored, reversed)) in axes.stored().into_iter().zip(axes.reversed()).enumerate() {
            let n = shape[stored];
            let (voxels, step) = match spacing {
                None => (n, 1.0),
                Some(wanted) => resampled(n, stored_spacing[stored], wanted[axis])?,
            };
            if step != 1.0 {
                grid.spacing[axis] = stored_spacing[stored] * step;
            }
            grid.shape[axis] = voxels;
            let step = if reversed { -step } else { step };
            to_stored.0[stored][axis] = step;
            to_stored.0[stored][3] = (n as f64 - 1.0) / 2.0 - step * ((voxels as f64 - 1.0) / 2.0);
        }
        grid.to_stored = to_stored;
        grid.voxel_to_world = VoxelToWorld(voxel_to_world.0.after(&to_stored));
        Ok(grid)
    }
}

/// Returns how many voxels of `wanted` mm there are for `n` of `stored` mm, and one's length in stored voxels.
fn resampled(n: usize, stored: f64, wanted: f64) -> Result<(usize, f64), Error> {
    let positive = |spacing: f64| 0.0 < spacing && spacing.is_finite();
    if !positive(wanted) {
        return Err(Error::choice("spacing", "three lengths above 0 in mm", wanted));
    }
    if !positive(stored) {
        return Err(Error::choice(
            "spacing",
            "absent, where the volume's own spacing is not above 0",
            stored,
        ));
    }
    if (wanted - stored).abs() <= 1e-6 * stored {
        return Ok((n, 1.0));
    }
    let voxels = (n as f64 * stored / wanted).round().max(1.0);
    if f64::from(1 << 24) < voxels {
        return Err(Error::choice("spacing", "coarse enough for 2^24 voxels along each axis", wanted));
    }
    Ok((voxels as usize, wanted / stored))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orientation::Orientation;

    fn world() -> VoxelToWorld {
        VoxelToWorld(Affine([[-2.0, 0.0, 0.0, 30.0], [0.0, 0.0, 3.0, -7.0], [0.0, 1.5, 0.0, 11.0]]))
    }

    #[test]
    fn without_spacing_a_grid_is_a_permutation_of_the_stored_voxels() {
        // Stored axes run towards L, S, A.
        let axes = Axes::between("LSA".parse().unwrap(), Orientation::RAS);
        let grid = Lattice::new(&world(), [4, 5, 6], &axes, None).unwrap();
        assert_eq!(grid.shape, [4, 6, 5]);
        assert_eq!(grid.to_stored.apply([0.0, 0.0, 0.0]), [3.0, 0.0, 0.0]);
        assert_eq!(grid.to_stored.apply([1.0, 2.0, 3.0]), [2.0, 3.0, 2.0]);
        assert_eq!(grid.spacing, [2.0, 3.0, 1.5]);
        let matrix = grid.voxel_to_world.0.0;
        assert_eq!((matrix[0][0], matrix[1][1], matrix[2][2]), (2.0, 3.0, 1.5));
        let same = Lattice::new(&world(), [4, 5, 6], &axes, Some([2.0, 3.0 + 1e-7, 1.5])).unwrap();
        assert_eq!(same.to_stored, grid.to_stored);
    }

    #[test]
    fn a_spacing_keeps_the_middle_and_is_exact() {
        let grid = Lattice::new(&world(), [4, 5, 6], &Axes::STORED, Some([1.0, 1.0, 1.0])).unwrap();
        assert_eq!(grid.shape, [8, 8, 18]);
        assert_eq!(grid.to_stored.apply([3.5, 3.5, 8.5]), [1.5, 2.0, 2.5]);
        // Twice as many voxels of half the size cover the same field of view: the first lies a quarter inside.
        assert_eq!(grid.to_stored.apply([0.0, 3.5, 8.5])[0], -0.25);
        for length in grid.voxel_to_world.0.column_lengths() {
            assert!((length - 1.0).abs() < 1e-12);
        }
        let flat = Lattice::new(&world(), [1, 5, 6], &Axes::STORED, Some([9.0, 1.5, 3.0])).unwrap();
        assert_eq!((flat.shape, flat.to_stored.0[0]), ([1, 5, 6], [4.5, 0.0, 0.0, 0.0]));
    }

    #[test]
    fn impossible_grids_are_refused() {
        let new = |shape, spacing| Lattice::new(&world(), shape, &Axes::STORED, spacing);
        assert!(new([0, 1, 1], None).is_err());
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-9] {
            assert!(new([4, 5, 6], Some([1.0, bad, 1.0])).is_err(), "{bad}");
        }
        let flat = VoxelToWorld(Affine::scale([1.0, 0.0, 1.0]));
        assert!(Lattice::new(&flat, [2, 2, 2], &Axes::STORED, Some([1.0; 3])).is_err());
        assert!(Lattice::new(&flat, [2, 2, 2], &Axes::STORED, None).is_ok());
    }
}
