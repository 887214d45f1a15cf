//! What the cache needs to know of a volume.

use std::path::Path;

use super::voxels::Facts;
use crate::convert::Recipe;
use crate::error::Error;
use crate::phantom_volume::PhantomVolume;
use crate::volume::Volume;

/// Something whose voxels can be decoded into memory.
pub(super) trait Source {
    /// Returns the files that the voxels come from.
    fn files(&self) -> Vec<&Path>;

    /// Returns what is done to the voxels on the way: a text that differs where they do.
    fn options(&self) -> String;

    /// Returns what the voxels are.
    fn facts(&self) -> Facts;

    /// Returns how many bytes in front of the voxels [`decode`](Self::decode) has a use for.
    fn head_room(&self) -> usize;

    /// Writes all voxels from `room[at]` to its end: native-endian, channel by channel. Every byte of them, or an error;
    /// anything before them.
    fn decode(&self, room: &mut [u8], at: usize) -> Result<(), Error>;
}

impl Source for PhantomVolume {
    fn files(&self) -> Vec<&Path> {
        Vec::new()
    }

    fn options(&self) -> String {
        self.identity()
    }

    fn facts(&self) -> Facts {
        Facts { shape: self.shape(), channels: self.channels(), voxel_type: self.voxel_type() }
    }

    fn head_room(&self) -> usize {
        0
    }

    fn decode(&self, room: &mut [u8], at: usize) -> Result<(), Error> {
        self.draw(&mut room[at..])
    }
}

impl Source for Volume {
    fn files(&self) -> Vec<&Path> {
        let mut files = vec![self.image_path(), self.header_path()];
        files.dedup();
        files
    }

    /// All that decoding depends on but the bytes of the file: a file that is changed after it was opened is not taken for
    /// what was opened later.
    fn options(&self) -> String {
        let Recipe { datatype, order } = self.recipe;
        format!(
            "{datatype:?} {order:?} from byte {}, {} frames from {} on, {:?}, lenient {}",
            self.located.header.vox_offset,
            self.frames(),
            self.first_frame(),
            self.parts(),
            self.options.lenient
        )
    }

    fn facts(&self) -> Facts {
        Facts { shape: self.shape(), channels: self.channels(), voxel_type: self.voxel_type() }
    }

    fn head_room(&self) -> usize {
        Self::head_room(self)
    }

    fn decode(&self, room: &mut [u8], at: usize) -> Result<(), Error> {
        self.read_all_at(room, at)
    }
}
