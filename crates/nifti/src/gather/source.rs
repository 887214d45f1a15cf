//! The voxels that a patch is made of.

use crate::error::Error;
use crate::region::Region;
use crate::voxels::VoxelSlice;

/// A box of voxels of a volume in memory, x fastest: the whole of it, or at least what [`Map::source_region`] names.
///
/// [`Map::source_region`]: crate::Map::source_region
#[derive(Clone, Copy, Debug)]
pub struct SourceBox<'a> {
    // Invariant: as many voxels as the region has.
    voxels: VoxelSlice<'a>,
    region: Region,
}

impl<'a> SourceBox<'a> {
    /// Takes the voxels of a region.
    ///
    /// # Errors
    /// Refuses more or fewer voxels than the region has.
    pub fn new(voxels: VoxelSlice<'a>, region: &Region) -> Result<Self, Error> {
        if voxels.len() != region.voxels() {
            return Err(Error::BoxVoxels { size: region.size(), found: voxels.len() });
        }
        Ok(Self { voxels, region: *region })
    }

    /// Returns the voxels.
    pub fn voxels(&self) -> VoxelSlice<'a> {
        self.voxels
    }

    /// Returns where they lie.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Returns the shape of the volume.
    pub fn shape(&self) -> [usize; 3] {
        self.region.shape()
    }
}
