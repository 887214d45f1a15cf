//! The bytes of a header.

use super::form::QuaternionForm;
use crate::affine::Affine;
use crate::voxels::VoxelType;

/// The order of the bytes of a number in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ByteOrder {
    /// Least significant first, as the processors of today have it.
    #[default]
    Little,
    /// Most significant first.
    Big,
}

/// Which of the two header layouts a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NiftiVersion {
    /// 348 bytes; dimensions up to 32767, geometry in single precision.
    One,
    /// 540 bytes; dimensions up to 2^63 - 1, geometry in double precision.
    Two,
}

/// What the world coordinates of a file refer to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Space {
    /// The scanner.
    #[default]
    Scanner,
    /// Another image that this one was aligned to.
    Aligned,
    /// The atlas of Talairach and Tournoux.
    Talairach,
    /// The MNI 152 template.
    Mni152,
}

impl Space {
    /// Returns the code that headers have for it.
    pub const fn code(self) -> i16 {
        match self {
            Self::Scanner => 1,
            Self::Aligned => 2,
            Self::Talairach => 3,
            Self::Mni152 => 4,
        }
    }
}

/// Returns the header's code of a voxel type.
const fn datatype(voxel_type: VoxelType) -> i16 {
    match voxel_type {
        VoxelType::U8 => 2,
        VoxelType::I16 => 4,
        VoxelType::I32 => 8,
        VoxelType::F32 => 16,
        VoxelType::F64 => 64,
        VoxelType::I8 => 256,
        VoxelType::U16 => 512,
        VoxelType::U32 => 768,
        VoxelType::I64 => 1024,
        VoxelType::U64 => 1280,
    }
}

/// Millimetres, in the header's code of units.
const MILLIMETRES: u8 = 2;

/// What goes into a header; everything else in it is 0.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    pub(super) version: NiftiVersion,
    pub(super) order: ByteOrder,
    /// The lengths of the axes, without the leading count; at most 7.
    pub(super) dims: Vec<usize>,
    pub(super) voxel_type: VoxelType,
    pub(super) affine: Affine,
    pub(super) zooms: [f64; 3],
    pub(super) quaternion: Option<QuaternionForm>,
    pub(super) space: Space,
    pub(super) slope: f64,
    pub(super) inter: f64,
    pub(super) description: String,
}

/// A header under construction: numbers put at their offsets.
struct Bytes {
    bytes: Vec<u8>,
    order: ByteOrder,
}

macro_rules! put {
    ($($name:ident: $number:ty),*) => {
        $(
            fn $name(&mut self, offset: usize, number: $number) {
                let bytes = match self.order {
                    ByteOrder::Little => number.to_le_bytes(),
                    ByteOrder::Big => number.to_be_bytes(),
                };
                self.bytes[offset..offset + bytes.len()].copy_from_slice(&bytes);
            }
        )*
    };
}

impl Bytes {
    put!(i16: i16, i32: i32, i64: i64, f32: f32, f64: f64);

    fn text(&mut self, offset: usize, room: usize, text: &[u8]) {
        let length = text.len().min(room);
        self.bytes[offset..offset + length].copy_from_slice(&text[..length]);
    }
}

impl Fields {
    /// Returns the header and the four bytes that say that no extension follows: everything before the voxels.
    pub(super) fn encode(&self) -> Vec<u8> {
        match self.version {
            NiftiVersion::One => self.encode_one(),
            NiftiVersion::Two => self.encode_two(),
        }
    }

    /// `dim[0..8]`: the count of axes, their lengths, and 1 for the others.
    fn dim(&self) -> [i64; 8] {
        let mut dim = [1; 8];
        dim[0] = self.dims.len() as i64;
        for (dim, &length) in dim[1..].iter_mut().zip(&self.dims) {
            *dim = length as i64;
        }
        dim
    }

    /// `pixdim[0..8]`: the handedness of the quaternion, the spacing, and 1 for axes that have no unit.
    fn pixdim(&self) -> [f64; 8] {
        let handedness = self.quaternion.map_or(1.0, |form| form.handedness);
        let [x, y, z] = self.zooms;
        [handedness, x, y, z, 1.0, 1.0, 1.0, 1.0]
    }

    fn encode_one(&self) -> Vec<u8> {
        let mut to = Bytes { bytes: vec![0; 352], order: self.order };
        to.i32(0, 348);
        to.bytes[38] = b'r';
        for (i, dim) in self.dim().into_iter().enumerate() {
            to.i16(40 + 2 * i, dim as i16);
        }
        to.i16(70, datatype(self.voxel_type));
        to.i16(72, 8 * self.voxel_type.size() as i16);
        for (i, pixdim) in self.pixdim().into_iter().enumerate() {
            to.f32(76 + 4 * i, pixdim as f32);
        }
        to.f32(108, 352.0);
        to.f32(112, self.slope as f32);
        to.f32(116, self.inter as f32);
        to.bytes[123] = MILLIMETRES;
        to.text(148, 79, self.description.as_bytes());
        if let Some(form) = self.quaternion {
            to.i16(252, self.space.code());
            for (i, number) in form.numbers().into_iter().enumerate() {
                to.f32(256 + 4 * i, number as f32);
            }
        }
        to.i16(254, self.space.code());
        for (i, number) in self.affine.0.iter().flatten().enumerate() {
            to.f32(280 + 4 * i, *number as f32);
        }
        to.text(344, 4, b"n+1\0");
        to.bytes
    }

    fn encode_two(&self) -> Vec<u8> {
        let mut to = Bytes { bytes: vec![0; 544], order: self.order };
        to.i32(0, 540);
        to.text(4, 8, b"n+2\0\r\n\x1a\n");
        to.i16(12, datatype(self.voxel_type));
        to.i16(14, 8 * self.voxel_type.size() as i16);
        for (i, dim) in self.dim().into_iter().enumerate() {
            to.i64(16 + 8 * i, dim);
        }
        for (i, pixdim) in self.pixdim().into_iter().enumerate() {
            to.f64(104 + 8 * i, pixdim);
        }
        to.i64(168, 544);
        to.f64(176, self.slope);
        to.f64(184, self.inter);
        to.text(240, 79, self.description.as_bytes());
        if let Some(form) = self.quaternion {
            to.i32(344, self.space.code().into());
            for (i, number) in form.numbers().into_iter().enumerate() {
                to.f64(352 + 8 * i, number);
            }
        }
        to.i32(348, self.space.code().into());
        for (i, number) in self.affine.0.iter().flatten().enumerate() {
            to.f64(400 + 8 * i, *number);
        }
        to.i32(500, MILLIMETRES.into());
        to.bytes
    }
}
