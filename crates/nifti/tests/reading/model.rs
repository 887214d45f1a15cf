//! Files made here, and what is in them by the plainest code there is.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use batchwright_nifti::{ByteOrder, Color, Complex, Datatype, Frames, Header, Storage, Version, VoxelType};
use flate2::Compression;
use flate2::write::GzEncoder;

pub(super) const DATATYPES: [Datatype; 14] = [
    Datatype::Real(VoxelType::U8),
    Datatype::Real(VoxelType::I8),
    Datatype::Real(VoxelType::U16),
    Datatype::Real(VoxelType::I16),
    Datatype::Real(VoxelType::U32),
    Datatype::Real(VoxelType::I32),
    Datatype::Real(VoxelType::U64),
    Datatype::Real(VoxelType::I64),
    Datatype::Real(VoxelType::F32),
    Datatype::Real(VoxelType::F64),
    Datatype::Complex64,
    Datatype::Complex128,
    Datatype::Rgb24,
    Datatype::Rgba32,
];

/// A file with small whole numbers in it, so that each type holds them exactly.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) shape: Vec<usize>,
    pub(super) datatype: Datatype,
    pub(super) version: Version,
    pub(super) order: ByteOrder,
    pub(super) offset: u64,
    pub(super) members: usize,
    pub(super) slope: f64,
    pub(super) inter: f64,
}

pub(super) fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut to = GzEncoder::new(Vec::new(), Compression::fast());
    to.write_all(bytes).unwrap();
    to.finish().unwrap()
}

impl Model {
    /// Returns a number of a voxel: a real number, a part of a complex one, or a byte of a colour.
    fn number(&self, voxel: usize, part: usize) -> f64 {
        let number = (voxel * 37 + part * 11) % 101;
        let unsigned = matches!(
            self.datatype,
            Datatype::Real(VoxelType::U8 | VoxelType::U16 | VoxelType::U32 | VoxelType::U64)
        );
        let signed = !unsigned && !self.datatype.is_color();
        if signed { number as f64 - 50.0 } else { number as f64 }
    }

    fn encode(&self, value: f64, voxel: VoxelType) -> Vec<u8> {
        let mut bytes = match voxel {
            VoxelType::U8 => (value as u8).to_le_bytes().to_vec(),
            VoxelType::I8 => (value as i8).to_le_bytes().to_vec(),
            VoxelType::U16 => (value as u16).to_le_bytes().to_vec(),
            VoxelType::I16 => (value as i16).to_le_bytes().to_vec(),
            VoxelType::U32 => (value as u32).to_le_bytes().to_vec(),
            VoxelType::I32 => (value as i32).to_le_bytes().to_vec(),
            VoxelType::U64 => (value as u64).to_le_bytes().to_vec(),
            VoxelType::I64 => (value as i64).to_le_bytes().to_vec(),
            VoxelType::F32 => (value as f32).to_le_bytes().to_vec(),
            VoxelType::F64 => value.to_le_bytes().to_vec(),
        };
        if self.order == ByteOrder::Big {
            bytes.reverse();
        }
        bytes
    }

    pub(super) fn header(&self) -> Header {
        let header = Header::new(&self.shape, self.datatype).unwrap();
        let header = header.with_layout(self.version, self.order, Storage::Single, self.offset).unwrap();
        header.with_scaling(self.slope, self.inter)
    }

    /// Returns the bytes of the file, before compression.
    pub(super) fn raw(&self) -> Vec<u8> {
        let header = self.header();
        let mut bytes = header.encode();
        bytes.resize(header.vox_offset() as usize, 0x55);
        let end = bytes.len().min(header.version().header_bytes() + 4);
        bytes[header.version().header_bytes()..end].fill(0);
        let (parts, voxel) = match self.datatype {
            Datatype::Real(voxel) => (1, voxel),
            Datatype::Complex64 => (2, VoxelType::F32),
            Datatype::Complex128 => (2, VoxelType::F64),
            Datatype::Rgb24 => (3, VoxelType::U8),
            Datatype::Rgba32 => (4, VoxelType::U8),
        };
        for index in 0..self.shape.iter().product() {
            for part in 0..parts {
                bytes.extend(self.encode(self.number(index, part), voxel));
            }
        }
        bytes
    }

    /// Returns the bytes of the file: as they are, or in gzip members.
    pub(super) fn file(&self) -> Vec<u8> {
        let raw = self.raw();
        if self.members == 0 {
            return raw;
        }
        raw.chunks(raw.len().div_ceil(self.members)).flat_map(compress).collect()
    }

    pub(super) fn write(&self, folder: &Path) -> PathBuf {
        let path = folder.join(if self.members == 0 { "a.nii" } else { "a.nii.gz" });
        std::fs::write(&path, self.file()).unwrap();
        path
    }

    /// Returns the values of all channels, before scaling, or nothing where the choices refuse the file.
    pub(super) fn values(&self, complex: Complex, color: Color, frames: Frames) -> Option<Vec<f64>> {
        let space: usize = self.shape.iter().take(3).product();
        let all: usize = self.shape.iter().skip(3).product();
        let chosen = match frames {
            Frames::All => 0..all,
            Frames::One(frame) if frame < all => frame..frame + 1,
            Frames::One(_) => return None,
        };
        let channels = match self.datatype {
            Datatype::Complex64 | Datatype::Complex128 if complex == Complex::Refuse => return None,
            Datatype::Real(_) | Datatype::Complex64 | Datatype::Complex128 => 1,
            Datatype::Rgb24 | Datatype::Rgba32 => match color {
                Color::Refuse => return None,
                Color::Luminance => 1,
                Color::Channels => self.datatype.size(),
            },
        };
        let mut values = Vec::new();
        for frame in chosen {
            for channel in 0..channels {
                for voxel in frame * space..(frame + 1) * space {
                    let part = |part| self.number(voxel, part);
                    values.push(match (self.datatype, complex, color) {
                        (Datatype::Real(_), ..)
                        | (Datatype::Complex64 | Datatype::Complex128, Complex::Real, _) => part(0),
                        (Datatype::Complex64 | Datatype::Complex128, Complex::Imaginary, _) => part(1),
                        (Datatype::Complex64, ..) => f64::from(part(0).hypot(part(1)) as f32),
                        (Datatype::Complex128, ..) => part(0).hypot(part(1)),
                        (_, _, Color::Luminance) => {
                            (0.299 * part(0) + 0.587 * part(1) + 0.114 * part(2)).round()
                        }
                        _ => part(channel),
                    });
                }
            }
        }
        Some(values)
    }
}
