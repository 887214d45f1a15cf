//! The header of a cache file.

use super::checksum::checksum;
use super::key::Key;
use super::voxels::Facts;
use crate::voxels::VoxelType;

/// The bytes of the header. Voxels start at a multiple of it, so that they are aligned for every type.
pub(super) const HEADER_BYTES: usize = 4096;
const MAGIC: [u8; 8] = *b"BWvoxels";
const VERSION: u32 = 1;
/// Where the text that names the source starts, and how long it may be. The checksum ends the header.
const TEXT: usize = 96;
const MOST_TEXT: usize = HEADER_BYTES - TEXT - 8;

/// What the header of a cache file says. The file is the header, as much more as is decoded
/// in front of the voxels, then the voxels, and nothing else.
///
/// All numbers are little-endian, except the voxels and a mark that tells in which order they are:
///
/// | bytes | |
/// |---|---|
/// | 0..8 | `BWvoxels` |
/// | 8..12 | version of the format |
/// | 12..16 | the number 0x01020304 in the order of the voxels |
/// | 16..32 | the key, which is also the file's name |
/// | 32..64 | x, y, z, channels |
/// | 64..68 | type of the voxels |
/// | 68..72 | length of the text |
/// | 72..80 | bytes of the voxels |
/// | 80..88 | checksum of the voxels |
/// | 88..96 | where the voxels start |
/// | 96.. | text: the file that the voxels came from, for `batchwright cache stat` |
/// | 4088..4096 | checksum of all before |
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) key: Key,
    pub(super) facts: Facts,
    pub(super) start: usize,
    pub(super) checksum: u64,
    pub(super) source: String,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let Self {
            key,
            facts: Facts { shape: [x, y, z], channels, voxel_type },
            start,
            checksum: sum,
            source,
        } = self;
        let mut header = [0; HEADER_BYTES];
        let bytes = x * y * z * channels * voxel_type.size();
        // The end of a path says more than its start.
        let mut from = source.len().saturating_sub(MOST_TEXT);
        while !source.is_char_boundary(from) {
            from += 1;
        }
        let text = &source.as_bytes()[from..];
        header[..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[12..16].copy_from_slice(&0x0102_0304_u32.to_ne_bytes());
        header[16..32].copy_from_slice(&key.bytes());
        for (i, number) in [*x, *y, *z, *channels].into_iter().enumerate() {
            header[32 + 8 * i..40 + 8 * i].copy_from_slice(&(number as u64).to_le_bytes());
        }
        header[64..68].copy_from_slice(&code(*voxel_type).to_le_bytes());
        header[68..72].copy_from_slice(&(text.len() as u32).to_le_bytes());
        header[72..80].copy_from_slice(&(bytes as u64).to_le_bytes());
        header[80..88].copy_from_slice(&sum.to_le_bytes());
        header[88..96].copy_from_slice(&(*start as u64).to_le_bytes());
        header[TEXT..TEXT + text.len()].copy_from_slice(text);
        let sum = checksum(&header[..HEADER_BYTES - 8]);
        header[HEADER_BYTES - 8..].copy_from_slice(&sum.to_le_bytes());
        header
    }

    /// Reads a header, or nothing where it is damaged, foreign, or does not fit a file of `length` bytes.
    pub(super) fn decode(header: &[u8; HEADER_BYTES], length: u64) -> Option<Self> {
        let number = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
        let small = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
        let ours = header[..8] == MAGIC
            && small(8) == VERSION
            && header[12..16] == 0x0102_0304_u32.to_ne_bytes()
            && number(HEADER_BYTES - 8) == checksum(&header[..HEADER_BYTES - 8]);
        if !ours {
            return None;
        }
        let key = Key::from_bytes(header[16..32].try_into().expect("sixteen bytes"));
        let mut sizes = [0; 4];
        for (i, size) in sizes.iter_mut().enumerate() {
            *size = usize::try_from(number(32 + 8 * i)).ok()?;
        }
        let [x, y, z, channels] = sizes;
        let facts = Facts { shape: [x, y, z], channels, voxel_type: type_of(small(64))? };
        let bytes = facts.bytes()? as u64;
        let text = small(68) as usize;
        let start = usize::try_from(number(88)).ok()?;
        let fits = number(72) == bytes
            && bytes.checked_add(start as u64) == Some(length)
            && HEADER_BYTES <= start
            && start.is_multiple_of(HEADER_BYTES)
            && 0 < channels
            && text <= MOST_TEXT;
        fits.then(|| Self {
            key,
            facts,
            start,
            checksum: number(80),
            source: String::from_utf8_lossy(&header[TEXT..TEXT + text]).into_owned(),
        })
    }
}

fn code(voxel_type: VoxelType) -> u32 {
    TYPES.iter().position(|&each| each == voxel_type).expect("all types are listed") as u32
}

fn type_of(code: u32) -> Option<VoxelType> {
    TYPES.get(code as usize).copied()
}

const TYPES: [VoxelType; 10] = [
    VoxelType::U8,
    VoxelType::I8,
    VoxelType::U16,
    VoxelType::I16,
    VoxelType::U32,
    VoxelType::I32,
    VoxelType::U64,
    VoxelType::I64,
    VoxelType::F32,
    VoxelType::F64,
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(source: &str) -> Header {
        let facts = Facts { shape: [5, 6, 7], channels: 2, voxel_type: VoxelType::I16 };
        Header { key: Key::from_bytes([9; 16]), facts, start: 8192, checksum: 77, source: source.to_owned() }
    }

    const LENGTH: u64 = 8192 + 5 * 6 * 7 * 2 * 2;

    #[test]
    fn a_header_reads_back_and_only_with_its_length() {
        let header = header("/data/a.nii.gz");
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes, LENGTH), Some(header));
        for length in [0, 8192, LENGTH - 1, LENGTH + 1, u64::MAX] {
            assert_eq!(Header::decode(&bytes, length), None);
        }
        assert_eq!(Header::decode(&[0; HEADER_BYTES], LENGTH), None);
    }

    #[test]
    fn a_long_path_keeps_its_end() {
        let path = format!("/{}/ä.nii", "é".repeat(3000));
        let read = Header::decode(&header(&path).encode(), LENGTH).unwrap();
        assert!(path.ends_with(&read.source) && 3900 < read.source.len());
    }

    #[test]
    fn all_types_have_their_code() {
        for (i, voxel_type) in TYPES.into_iter().enumerate() {
            assert_eq!((code(voxel_type), type_of(i as u32)), (i as u32, Some(voxel_type)));
        }
        assert_eq!(type_of(10), None);
    }

    proptest! {
        #[test]
        fn a_changed_bit_is_noticed(at in 0..HEADER_BYTES, bit in 0..8_u32) {
            let mut bytes = header("x").encode();
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(Header::decode(&bytes, LENGTH), None);
        }

        #[test]
        fn any_bytes_with_a_right_checksum_do_no_harm(
            mut bytes in prop::collection::vec(any::<u8>(), HEADER_BYTES),
            length in any::<u64>(),
        ) {
            bytes[..16].copy_from_slice(&header("x").encode()[..16]);
            let sum = checksum(&bytes[..HEADER_BYTES - 8]);
            bytes[HEADER_BYTES - 8..].copy_from_slice(&sum.to_le_bytes());
            let read = Header::decode(&bytes.try_into().unwrap(), length);
            prop_assert!(read.is_none_or(|read| read.facts.bytes().is_some()));
        }
    }
}
