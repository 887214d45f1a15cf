//! Bytes as voxels, and words as bytes.

#![expect(unsafe_code, reason = "views memory as another plain type")]

use crate::voxels::{Voxel, VoxelSlice, VoxelType};

/// Returns bytes as voxels of `T`, or nothing where they do not start or end where voxels do.
fn cast<T: Voxel>(bytes: &[u8]) -> Option<&[T]> {
    // SAFETY: `Voxel` is sealed, and its types are the integers and floats, of which every pattern of bits is a value.
    let (before, voxels, after) = unsafe { bytes.align_to::<T>() };
    (before.is_empty() && after.is_empty()).then_some(voxels)
}

impl<'a> VoxelSlice<'a> {
    /// Takes bytes of this machine's order as voxels; nothing where they do not start or end where voxels do.
    pub(crate) fn of_bytes(bytes: &'a [u8], voxel_type: VoxelType) -> Option<Self> {
        Some(match voxel_type {
            VoxelType::U8 => Self::U8(bytes),
            VoxelType::I8 => Self::I8(cast(bytes)?),
            VoxelType::U16 => Self::U16(cast(bytes)?),
            VoxelType::I16 => Self::I16(cast(bytes)?),
            VoxelType::U32 => Self::U32(cast(bytes)?),
            VoxelType::I32 => Self::I32(cast(bytes)?),
            VoxelType::U64 => Self::U64(cast(bytes)?),
            VoxelType::I64 => Self::I64(cast(bytes)?),
            VoxelType::F32 => Self::F32(cast(bytes)?),
            VoxelType::F64 => Self::F64(cast(bytes)?),
        })
    }
}

/// Returns voxels as their bytes.
pub(crate) fn bytes_of_voxels<T: Voxel>(voxels: &[T]) -> &[u8] {
    // SAFETY: a byte may begin anywhere, and integers and floats have no byte that is not part of their value.
    unsafe { voxels.align_to::<u8>().1 }
}

/// Returns words as their bytes.
pub(crate) fn bytes_of(words: &[u64]) -> &[u8] {
    // SAFETY: a byte may begin anywhere, and every byte of a word is one.
    unsafe { words.align_to::<u8>().1 }
}

/// Returns words as their bytes, to write.
pub(crate) fn bytes_of_mut(words: &mut [u64]) -> &mut [u8] {
    // SAFETY: as above; whatever bytes are written make words.
    unsafe { words.align_to_mut::<u8>().1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_voxels_where_they_start_and_end_as_voxels_do() {
        let mut words = [0_u64; 3];
        bytes_of_mut(&mut words)[2..4].copy_from_slice(&(-7_i16).to_ne_bytes());
        let bytes = bytes_of(&words);
        let Some(VoxelSlice::I16(voxels)) = VoxelSlice::of_bytes(bytes, VoxelType::I16) else {
            panic!("24 bytes that start at a word are 12 voxels");
        };
        assert_eq!((voxels.len(), voxels[1]), (12, -7));
        assert!(VoxelSlice::of_bytes(&bytes[1..], VoxelType::I16).is_none());
        assert!(VoxelSlice::of_bytes(&bytes[..3], VoxelType::F32).is_none());
        assert_eq!(VoxelSlice::of_bytes(&bytes[1..4], VoxelType::U8).map(|voxels| voxels.len()), Some(3));
        assert_eq!(VoxelSlice::of_bytes(&[], VoxelType::F64).map(|voxels| voxels.len()), Some(0));
    }
}
