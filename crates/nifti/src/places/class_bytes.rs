//! A class index as bytes, to keep it beside a cache.
//!
//! Little-endian: the 8 bytes `BWCLASS1`; the shape and the cap, 8 bytes each; the number of classes and the bytes of an
//! offset (4 or 8), 4 bytes each; each class, its count and its number of offsets, 8 bytes each, and the offsets; the
//! CRC-32 of all that.

use flate2::Crc;

use super::class_index::{Class, ClassIndex, Offsets};
use crate::error::Error;

const MAGIC: &[u8; 8] = b"BWCLASS1";

impl ClassIndex {
    /// Returns the bytes that [`ClassIndex::from_bytes`] reads.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(52 + 24 * self.classes.len() + self.bytes());
        let narrow = self.classes.iter().all(|class| matches!(class.offsets, Offsets::Narrow(_)));
        bytes.extend(MAGIC);
        bytes.extend(self.shape.iter().flat_map(|&n| (n as u64).to_le_bytes()));
        bytes.extend(self.cap.to_le_bytes());
        bytes.extend((self.classes.len() as u32).to_le_bytes());
        bytes.extend(if narrow { 4_u32 } else { 8 }.to_le_bytes());
        for Class { label, count, offsets } in &self.classes {
            bytes.extend(label.to_le_bytes());
            bytes.extend(count.to_le_bytes());
            bytes.extend((offsets.len() as u64).to_le_bytes());
            match offsets {
                Offsets::Narrow(offsets) => {
                    bytes.extend(offsets.iter().flat_map(|offset| offset.to_le_bytes()));
                }
                Offsets::Wide(offsets) => {
                    bytes.extend(offsets.iter().flat_map(|offset| offset.to_le_bytes()));
                }
            }
        }
        let mut crc = Crc::new();
        crc.update(&bytes);
        bytes.extend(crc.sum().to_le_bytes());
        bytes
    }

    /// Reads what [`ClassIndex::to_bytes`] wrote.
    ///
    /// # Errors
    /// Refuses bytes that are not such an index, whole and undamaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let Some((content, crc)) = bytes.split_last_chunk() else {
            return Err(damaged("it is cut short"));
        };
        let mut sum = Crc::new();
        sum.update(content);
        if sum.sum() != u32::from_le_bytes(*crc) {
            return Err(damaged("its checksum does not fit"));
        }
        let mut reader = Reader(content);
        if reader.take()? != *MAGIC {
            return Err(damaged("it does not begin with BWCLASS1"));
        }
        let shape = [reader.number()?, reader.number()?, reader.number()?];
        let voxels = shape.iter().try_fold(1_u64, |product, &n| product.checked_mul(n));
        let (Some(voxels @ 1..), cap @ 1..) = (voxels, reader.number()?) else {
            return Err(damaged("its shape or cap is impossible"));
        };
        let count = u32::from_le_bytes(reader.take()?);
        let narrow = match u32::from_le_bytes(reader.take()?) {
            4 if voxels <= 1 << 32 => true,
            8 if 1 << 32 < voxels => false,
            _ => return Err(damaged("its offsets have the wrong width")),
        };
        let mut classes: Vec<Class> = Vec::new();
        for _ in 0..count {
            let class = reader.class(narrow, voxels, cap)?;
            if classes.last().is_some_and(|before| class.label <= before.label) {
                return Err(damaged("its classes are not in order"));
            }
            classes.push(class);
        }
        let counted = classes.iter().try_fold(0_u64, |sum, class| sum.checked_add(class.count));
        if counted != Some(voxels) || !reader.0.is_empty() {
            return Err(damaged("its counts do not sum up to its voxels"));
        }
        Ok(Self { shape: shape.map(|n| n as usize), cap, classes })
    }
}

fn damaged(reason: &'static str) -> Error {
    Error::ClassIndexBytes { reason }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.0.split_first_chunk().ok_or_else(|| damaged("it is cut short"))?;
        self.0 = rest;
        Ok(*taken)
    }

    fn number(&mut self) -> Result<u64, Error> {
        self.take().map(u64::from_le_bytes)
    }

    fn class(&mut self, narrow: bool, voxels: u64, cap: u64) -> Result<Class, Error> {
        let label = self.number()? as i64;
        let (count, kept) = (self.number()?, self.number()?);
        if count == 0 || kept != count.min(cap) {
            return Err(damaged("a class has the wrong number of offsets"));
        }
        let width = if narrow { 4 } else { 8 };
        let bytes = usize::try_from(kept).ok().and_then(|kept| kept.checked_mul(width));
        let Some((taken, rest)) = bytes.and_then(|bytes| self.0.split_at_checked(bytes)) else {
            return Err(damaged("it is cut short"));
        };
        self.0 = rest;
        let offsets = if narrow {
            Offsets::Narrow(taken.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect())
        } else {
            Offsets::Wide(taken.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect())
        };
        let rising = (1..offsets.len()).all(|index| offsets.at(index - 1) < offsets.at(index));
        if !rising || voxels <= offsets.at(offsets.len() - 1) {
            return Err(damaged("its offsets are not in order"));
        }
        Ok(Class { label, count, offsets })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::class_index::LabelMap;
    use super::*;
    use crate::voxels::VoxelSlice;

    fn index() -> ClassIndex {
        let labels: Vec<u8> = (0..60).map(|i| if i % 7 == 0 { 2 } else { u8::from(i % 3 == 0) }).collect();
        let labels = LabelMap { path: Path::new("l"), voxels: VoxelSlice::U8(&labels), shape: [5, 4, 3] };
        ClassIndex::of(&labels, 12, |stored| Ok(stored as i64 - 1)).unwrap()
    }

    #[test]
    fn an_index_is_written_and_read_back() {
        assert_eq!(ClassIndex::from_bytes(&index().to_bytes()).unwrap(), index());
    }

    #[test]
    fn every_prefix_and_every_changed_byte_is_refused() {
        let bytes = index().to_bytes();
        for length in 0..bytes.len() {
            assert!(ClassIndex::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            assert!(ClassIndex::from_bytes(&changed).is_err(), "byte {at}");
        }
    }

    #[test]
    fn wrong_contents_with_a_right_checksum_never_pass_or_panic() {
        let bytes = index().to_bytes();
        let mut refused = 0;
        for at in 0..bytes.len() - 4 {
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = bytes[..bytes.len() - 4].to_vec();
                if changed[at] == value {
                    continue;
                }
                changed[at] = value;
                let mut crc = Crc::new();
                crc.update(&changed);
                changed.extend(crc.sum().to_le_bytes());
                match ClassIndex::from_bytes(&changed) {
                    Ok(index) => assert_eq!(index.to_bytes(), changed, "byte {at}"),
                    Err(_) => refused += 1,
                }
            }
        }
        assert!(600 < refused, "{refused}");
    }
}
