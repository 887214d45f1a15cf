//! Memory for volumes: pages of our own that grow and shrink without being made anew, maps of files, typed views.
#![expect(unsafe_code, reason = "maps files and memory, and views bytes as voxels")]

use std::fs::File;
use std::io;

use memmap2::{Mmap, MmapMut, MmapOptions};

use crate::voxels::{Voxel, VoxelSlice, VoxelType};

/// Anonymous pages. A fresh page costs the system more than filling it costs us, so a volume that leaves hands its pages
/// to the one that comes ([`resized`](Memory::resized)), whatever their sizes.
#[derive(Debug)]
pub(super) struct Memory(MmapMut);

impl Memory {
    /// Takes `bytes` zeroed bytes from the system.
    pub(super) fn new(bytes: usize) -> io::Result<Self> {
        let map = MmapMut::map_anon(bytes)?;
        // Patches touch a volume in many places, which large pages make cheaper to look up. Advice: nothing depends on it.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Ok(Self(map))
    }

    /// Makes it `bytes` long. Pages that both lengths have stay, with arbitrary contents.
    pub(super) fn resized(self, bytes: usize) -> io::Result<Self> {
        if self.0.len() == bytes {
            return Ok(self);
        }
        #[cfg(target_os = "linux")]
        {
            let mut map = self.0;
            // SAFETY: the map is anonymous and ours alone, so no reference into it exists that moving could break, and
            // no file could be shorter than the new length.
            unsafe { map.remap(bytes, memmap2::RemapOptions::new().may_move(true))? };
            Ok(Self(map))
        }
        #[cfg(not(target_os = "linux"))]
        {
            drop(self);
            Self::new(bytes)
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// Maps a whole finished cache file of `bytes`, to read.
///
/// The caller holds a lock on the file and has seen this length under it. Batchwright never shortens or changes a
/// finished file; a process that does so against the lock may end this one by a signal, as with every map.
pub(super) fn map(file: &File, bytes: usize) -> io::Result<Mmap> {
    let mut options = MmapOptions::new();
    options.len(bytes).populate();
    // SAFETY: the file's contents do not change while it is mapped, by the protocol stated above.
    unsafe { options.map(file) }
}

/// Maps a whole unfinished cache file of `bytes`, to write.
///
/// The caller holds the exclusive lock of the file, and the system has reserved its blocks.
pub(super) fn map_mut(file: &File, bytes: usize) -> io::Result<MmapMut> {
    let mut options = MmapOptions::new();
    options.len(bytes);
    // SAFETY: the file is written by the holder of its exclusive lock alone, and nobody reads it before it is finished.
    unsafe { options.map_mut(file) }
}

/// Reserves `bytes` of disk for a file and makes it that long, so that writing through a map cannot fail.
///
/// Returns false where the file system cannot reserve.
pub(super) fn reserve(file: &File, bytes: u64) -> io::Result<bool> {
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        let length = libc::off_t::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge)?;
        loop {
            // SAFETY: the descriptor is open as long as `file` is borrowed; the call touches no memory of ours.
            if unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, length) } == 0 {
                return Ok(true);
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::EOPNOTSUPP | libc::ENOSYS) => return Ok(false),
                _ => return Err(error),
            }
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (file, bytes);
        Ok(false)
    }
}

/// Views native-endian bytes as voxels.
///
/// # Panics
/// Panics if the bytes are not aligned for the type, or not a whole number of voxels.
pub(super) fn voxels_of(bytes: &[u8], voxel_type: VoxelType) -> VoxelSlice<'_> {
    match voxel_type {
        VoxelType::U8 => VoxelSlice::U8(bytes),
        VoxelType::I8 => VoxelSlice::I8(typed(bytes)),
        VoxelType::U16 => VoxelSlice::U16(typed(bytes)),
        VoxelType::I16 => VoxelSlice::I16(typed(bytes)),
        VoxelType::U32 => VoxelSlice::U32(typed(bytes)),
        VoxelType::I32 => VoxelSlice::I32(typed(bytes)),
        VoxelType::U64 => VoxelSlice::U64(typed(bytes)),
        VoxelType::I64 => VoxelSlice::I64(typed(bytes)),
        VoxelType::F32 => VoxelSlice::F32(typed(bytes)),
        VoxelType::F64 => VoxelSlice::F64(typed(bytes)),
    }
}

fn typed<T: Voxel>(bytes: &[u8]) -> &[T] {
    // SAFETY: voxels are plain numbers (the trait is sealed): every pattern of bits is a value of T.
    let (before, voxels, after) = unsafe { bytes.align_to::<T>() };
    assert!(before.is_empty() && after.is_empty(), "the bytes are whole, aligned voxels");
    voxels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_keeps_its_pages_when_it_grows_and_shrinks() {
        let mut memory = Memory::new(3 << 20).unwrap();
        memory.bytes_mut().fill(7);
        let grown = memory.resized(5 << 20).unwrap();
        assert_eq!(grown.bytes().len(), 5 << 20);
        if cfg!(target_os = "linux") {
            assert!(grown.bytes()[..3 << 20].iter().all(|&byte| byte == 7));
        }
        let shrunk = grown.resized(10).unwrap();
        assert_eq!(shrunk.bytes().len(), 10);
    }

    #[test]
    fn bytes_are_seen_as_voxels_of_each_type() {
        let mut memory = Memory::new(16).unwrap();
        memory.bytes_mut()[..4].copy_from_slice(&(-3.5_f32).to_ne_bytes());
        assert_eq!(voxels_of(memory.bytes(), VoxelType::F32).at(0), -3.5);
        for (voxel_type, len) in [
            (VoxelType::U8, 16),
            (VoxelType::I8, 16),
            (VoxelType::U16, 8),
            (VoxelType::I16, 8),
            (VoxelType::U32, 4),
            (VoxelType::I32, 4),
            (VoxelType::U64, 2),
            (VoxelType::I64, 2),
            (VoxelType::F64, 2),
        ] {
            let voxels = voxels_of(memory.bytes(), voxel_type);
            assert_eq!((voxels.voxel_type(), voxels.len()), (voxel_type, len));
        }
    }

    #[test]
    #[should_panic(expected = "whole, aligned voxels")]
    fn half_a_voxel_is_refused() {
        voxels_of(Memory::new(15).unwrap().bytes(), VoxelType::I16);
    }
}
