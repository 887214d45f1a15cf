//! Boxes of voxels.

use crate::error::Error;

/// A box of voxels that fits into its volume; it cannot be made otherwise. Lists are x, y, z.
///
/// ```
/// use batchwright_nifti::Region;
/// let region = Region::new([1, 0, 2], [3, 4, 1], [4, 4, 3])?;
/// assert_eq!(region.voxels(), 12);
/// assert!(Region::new([2, 0, 0], [3, 1, 1], [4, 4, 3]).is_err());
/// # Ok::<(), batchwright_nifti::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Region {
    // Invariant: on each axis 0 < size and origin + size <= shape; the product of the sizes is a usize.
    origin: [usize; 3],
    size: [usize; 3],
    shape: [usize; 3],
}

impl Region {
    /// Makes the box of `size` voxels from `origin` on, in a volume of `shape`.
    ///
    /// # Errors
    /// Refuses a box without voxels and one that reaches out of the volume.
    pub fn new(origin: [usize; 3], size: [usize; 3], shape: [usize; 3]) -> Result<Self, Error> {
        let fits = (0..3).all(|axis| {
            0 < size[axis] && origin[axis].checked_add(size[axis]).is_some_and(|end| end <= shape[axis])
        });
        let voxels = size.iter().try_fold(1_usize, |product, &n| product.checked_mul(n));
        if fits && voxels.is_some() {
            Ok(Self { origin, size, shape })
        } else {
            Err(Error::RegionOutside { origin, size, shape })
        }
    }

    /// Returns the whole of a volume of `shape`.
    ///
    /// # Errors
    /// Refuses a volume without voxels.
    pub fn whole(shape: [usize; 3]) -> Result<Self, Error> {
        Self::new([0; 3], shape, shape)
    }

    /// Returns the first voxel.
    pub fn origin(&self) -> [usize; 3] {
        self.origin
    }

    /// Returns the size.
    pub fn size(&self) -> [usize; 3] {
        self.size
    }

    /// Returns the shape of the volume it lies in.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Returns how many voxels it has.
    pub fn voxels(&self) -> usize {
        self.size.iter().product()
    }
}
