//! Patches that cover a volume.

use super::overlap::Overlap;
use super::place::Places;
use crate::error::Error;

/// Patches of one size that together cover a volume, at places that depend on nothing else.
///
/// On each axis they begin at 0 and follow each other by the size less the overlap; the last is moved back to end with
/// the volume, so it may lie further over the one before. Where the patch is longer than the volume there is one, in the
/// middle. Patches are numbered with x fastest and z slowest, so that the planes of a volume are finished in order.
///
/// ```
/// use batchwright_nifti::{Grid, Overlap};
/// let grid = Grid::new([100, 64, 3], [64, 64, 1], &Overlap::All(16))?;
/// assert_eq!(grid.counts(), [2, 1, 3]);
/// assert_eq!(grid.origin(3), [36, 0, 1]);
/// # Ok::<(), batchwright_nifti::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    places: Places,
    stride: [usize; 3],
    // Invariant: each is 1 or more, and their product is a usize.
    counts: [usize; 3],
}

impl Grid {
    /// Lays patches of `size` over a volume of `shape`.
    ///
    /// # Errors
    /// Refuses a volume or patch without voxels, and an overlap that is not smaller than the patch.
    pub fn new(shape: [usize; 3], size: [usize; 3], overlap: &Overlap) -> Result<Self, Error> {
        let places = Places::new(shape, size)?;
        overlap.check("patch.sampler.grid.overlap", size)?;
        let overlap = overlap.voxels(size);
        let stride = [0, 1, 2].map(|axis| size[axis] - overlap[axis]);
        let counts = [0, 1, 2].map(|axis| 1 + shape[axis].saturating_sub(size[axis]).div_ceil(stride[axis]));
        Ok(Self { places, stride, counts })
    }

    /// Returns how many patches there are.
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        // At most the voxels of the volume, which are a usize.
        self.counts.iter().product()
    }

    /// Returns how many patches there are on each axis.
    pub fn counts(&self) -> [usize; 3] {
        self.counts
    }

    /// Returns the shape of the volume.
    pub fn shape(&self) -> [usize; 3] {
        self.places.shape()
    }

    /// Returns the size of a patch.
    pub fn size(&self) -> [usize; 3] {
        self.places.size()
    }

    /// Returns where on an axis its patch `nth` begins.
    pub(crate) fn start(&self, axis: usize, nth: usize) -> i64 {
        let last = self.shape()[axis] as i64 - self.size()[axis] as i64;
        if last < 0 { self.places.center()[axis] } else { ((nth * self.stride[axis]) as i64).min(last) }
    }

    /// Returns which patch of each axis patch `index` is.
    pub(crate) fn nth(&self, index: usize) -> [usize; 3] {
        let [nx, ny, _] = self.counts;
        [index % nx, index / nx % ny, index / nx / ny]
    }

    /// Returns the first voxel of patch `index`; below 0 on an axis on which the patch is longer than the volume.
    ///
    /// # Panics
    /// Panics if `self.len() <= index`.
    pub fn origin(&self, index: usize) -> [i64; 3] {
        assert!(index < self.len(), "patch {index} of a grid of {}", self.len());
        let nth = self.nth(index);
        [0, 1, 2].map(|axis| self.start(axis, nth[axis]))
    }

    /// Returns the first voxel of each patch, in order.
    pub fn origins(&self) -> impl ExactSizeIterator<Item = [i64; 3]> + '_ {
        (0..self.len()).map(|index| self.origin(index))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_patch_is_moved_inside() {
        let grid = Grid::new([10, 8, 3], [4, 4, 5], &Overlap::Each([1, 0, 0])).unwrap();
        let x: Vec<i64> = (0..3).map(|index| grid.origin(index)[0]).collect();
        assert_eq!(x, [0, 3, 6]);
        assert_eq!(grid.counts(), [3, 2, 1]);
        assert_eq!(grid.origin(5), [6, 4, -1]);
        let grid = Grid::new([9, 1, 1], [4, 1, 1], &Overlap::default()).unwrap();
        assert_eq!(grid.origins().collect::<Vec<_>>(), [[0, 0, 0], [4, 0, 0], [5, 0, 0]]);
    }

    #[test]
    fn slices_of_any_axis_are_flat_patches() {
        for axis in 0..3 {
            let shape = [5, 6, 7];
            let mut size = shape;
            size[axis] = 1;
            let grid = Grid::new(shape, size, &Overlap::Part(crate::Percent::new(50.0).unwrap())).unwrap();
            assert_eq!(grid.len(), shape[axis]);
            let origins: Vec<i64> = grid.origins().map(|origin| origin[axis]).collect();
            assert!(origins.iter().enumerate().all(|(i, &at)| i as i64 == at), "{origins:?}");
        }
    }

    proptest! {
        #[test]
        fn every_voxel_is_covered_in_order_and_patches_keep_their_overlap(
            shape in prop::array::uniform3(1_usize..12),
            size in prop::array::uniform3(1_usize..14),
            overlap in prop::array::uniform3(0_usize..14),
        ) {
            let overlap = [0, 1, 2].map(|axis| overlap[axis] % size[axis]);
            let grid = Grid::new(shape, size, &Overlap::Each(overlap)).unwrap();
            let places = Places::new(shape, size).unwrap();
            let mut covered = vec![0_u32; shape.iter().product()];
            let mut before: Option<[i64; 3]> = None;
            for origin in grid.origins() {
                prop_assert!(places.contains(origin));
                // z slowest, each axis in order, and never twice the same place.
                let [x, y, z] = origin;
                prop_assert!(before.is_none_or(|[bx, by, bz]| [bz, by, bx] < [z, y, x]));
                before = Some(origin);
                let inside = |axis: usize| {
                    origin[axis].max(0) as usize..((origin[axis] + size[axis] as i64) as usize).min(shape[axis])
                };
                for z in inside(2) {
                    for y in inside(1) {
                        for x in inside(0) {
                            covered[(z * shape[1] + y) * shape[0] + x] += 1;
                        }
                    }
                }
            }
            prop_assert!(covered.iter().all(|&n| 0 < n));
            for axis in 0..3 {
                let starts: Vec<i64> = (0..grid.counts()[axis]).map(|nth| grid.start(axis, nth)).collect();
                for (nth, pair) in starts.windows(2).enumerate() {
                    let over = pair[0] + size[axis] as i64 - pair[1];
                    prop_assert!(overlap[axis] as i64 <= over);
                    prop_assert!(over == overlap[axis] as i64 || nth + 2 == starts.len());
                }
            }
        }
    }
}
