//! Voxels of a whole volume, as the cache gives them out.

use std::fmt;
use std::fs::File;
use std::sync::Arc;

use memmap2::Mmap;

use super::memory::{Memory, voxels_of};
use crate::error::Error;
use crate::region::Region;
use crate::voxels::{VoxelSlice, VoxelType};

/// What the voxels of a volume are: how many, of which type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// Columns, rows, slices: x, y, z.
    pub(super) shape: [usize; 3],
    pub(super) channels: usize,
    pub(super) voxel_type: VoxelType,
}

impl Facts {
    /// Returns the bytes of all voxels, or nothing where that is not a number of this machine.
    pub(super) fn bytes(&self) -> Option<usize> {
        let [x, y, z] = self.shape;
        [y, z, self.channels, self.voxel_type.size()].into_iter().try_fold(x, usize::checked_mul)
    }

    /// Returns the bytes of all voxels together with `start` bytes in front of them.
    pub(super) fn bytes_behind(&self, start: usize) -> Result<usize, Error> {
        let bytes = self.bytes().and_then(|bytes| bytes.checked_add(start));
        bytes.ok_or(Error::TooManyVoxels { shape: self.shape, channels: self.channels })
    }
}

/// The voxels of a whole volume, decoded: native-endian, channel by channel, x contiguous in each.
///
/// As long as one is held, the cache does not let its entry go.
pub struct Voxels {
    // Invariant: `backing` has `facts.bytes()` bytes from its start on, and `facts.channels` is not 0.
    facts: Facts,
    backing: Backing,
}

enum Backing {
    Memory { memory: Memory, start: usize },
    File { map: Arc<Mmap>, start: usize, lock: SharedLock },
}

/// The shared lock of a file, which says to all processes that it is in use. Closing the file would not end it, because
/// a map keeps what was opened open.
#[derive(Debug)]
pub(super) struct SharedLock(File);

impl SharedLock {
    /// Takes a file whose shared lock is held.
    pub(super) fn held(file: File) -> Self {
        Self(file)
    }

    pub(super) fn file(&self) -> &File {
        &self.0
    }
}

impl Drop for SharedLock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

impl Voxels {
    pub(super) fn in_memory(facts: Facts, memory: Memory, start: usize) -> Self {
        assert_eq!(
            facts.bytes().map(|bytes| bytes + start),
            Some(memory.bytes().len()),
            "the memory is as long as the voxels"
        );
        Self { facts, backing: Backing::Memory { memory, start } }
    }

    pub(super) fn mapped(facts: Facts, map: Arc<Mmap>, start: usize, lock: SharedLock) -> Self {
        assert_eq!(
            facts.bytes().map(|bytes| bytes + start),
            Some(map.len()),
            "the map is as long as the voxels"
        );
        Self { facts, backing: Backing::File { map, start, lock } }
    }

    pub(super) fn into_memory(self) -> Option<Memory> {
        match self.backing {
            Backing::Memory { memory, start: _ } => Some(memory),
            Backing::File { .. } => None,
        }
    }

    /// Returns the map and the locked file, where they lie in one.
    pub(super) fn map(&self) -> Option<(&Arc<Mmap>, &File)> {
        match &self.backing {
            Backing::Memory { .. } => None,
            Backing::File { map, lock, start: _ } => Some((map, lock.file())),
        }
    }

    /// Returns the size along x, y and z.
    pub fn shape(&self) -> [usize; 3] {
        self.facts.shape
    }

    /// Returns the number of channels.
    pub fn channels(&self) -> usize {
        self.facts.channels
    }

    /// Returns the type of a voxel.
    pub fn voxel_type(&self) -> VoxelType {
        self.facts.voxel_type
    }

    /// Returns the box that has all voxels of a channel.
    ///
    /// # Errors
    /// Refuses a volume without voxels.
    pub fn whole(&self) -> Result<Region, Error> {
        Region::whole(self.facts.shape)
    }

    /// Returns the bytes that they take in the cache.
    pub(super) fn held_bytes(&self) -> usize {
        match &self.backing {
            Backing::Memory { memory, start: _ } => memory.bytes().len(),
            Backing::File { map, .. } => map.len(),
        }
    }

    /// Returns whether they lie in a file of the cache's directory, not in memory of this process.
    pub fn is_mapped(&self) -> bool {
        matches!(self.backing, Backing::File { .. })
    }

    /// Returns the bytes of all channels.
    pub fn bytes(&self) -> &[u8] {
        match &self.backing {
            Backing::Memory { memory, start } => &memory.bytes()[*start..],
            Backing::File { map, start, .. } => &map[*start..],
        }
    }

    /// Returns the voxels of a channel: voxel (x, y, z) is number `(z * ny + y) * nx + x`.
    ///
    /// # Panics
    /// Panics if there is no such channel.
    pub fn slice(&self, channel: usize) -> VoxelSlice<'_> {
        let Facts { channels, voxel_type, .. } = self.facts;
        assert!(channel < channels, "channel {channel} of {channels}");
        let bytes = self.bytes();
        let each = bytes.len() / channels;
        voxels_of(&bytes[channel * each..(channel + 1) * each], voxel_type)
    }
}

impl fmt::Debug for Voxels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Facts { shape: [x, y, z], channels, voxel_type } = self.facts;
        let place = if self.is_mapped() { "a file" } else { "memory" };
        write!(f, "Voxels({channels} x {x} x {y} x {z} {voxel_type} in {place})")
    }
}
