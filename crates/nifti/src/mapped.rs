//! A file mapped into memory.

#![expect(unsafe_code, reason = "a map changes when the file does")]

use std::fs::File;
use std::io;

use memmap2::{Mmap, MmapOptions};

use crate::datatype::Datatype;
use crate::volume::Volume;
use crate::voxels::VoxelSlice;

/// Maps the first `bytes` bytes of a file.
pub(crate) fn map(file: &File, bytes: usize) -> io::Result<Mmap> {
    // SAFETY: the map is read as plain bytes only, of which every pattern is valid, and never across two reads that must
    // agree for memory safety. What remains is that the file may change under it: then the voxels do, or the process gets
    // SIGBUS, which the choice of a map says.
    unsafe { MmapOptions::new().len(bytes).map(file) }
}

impl Volume {
    /// Returns the voxels of a channel where they lie in the mapped file: nothing if it is not mapped, or if the voxels that
    /// come out are not those that are stored, in this machine's byte order.
    pub(crate) fn mapped(&self, channel: usize) -> Option<VoxelSlice<'_>> {
        let map = self.map.as_ref()?;
        let as_stored = matches!(self.recipe.datatype, Datatype::Real(_)) && !self.recipe.swaps();
        if self.is_compressed() || !as_stored {
            return None;
        }
        let bytes = self.channel_bytes();
        let start = self.header().vox_offset() as usize + (self.first_frame() + channel) * bytes;
        VoxelSlice::of_bytes(map.get(start..start.checked_add(bytes)?)?, self.voxel_type())
    }
}
