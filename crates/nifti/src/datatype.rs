//! The types of voxels that a file can hold.

use std::fmt;

use nifti::NiftiType;

use crate::voxels::VoxelType;

/// The type of the voxels of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Datatype {
    /// A real number.
    Real(VoxelType),
    /// A real and an imaginary part of single precision.
    Complex64,
    /// A real and an imaginary part of double precision.
    Complex128,
    /// Red, green and blue, a byte each.
    Rgb24,
    /// Red, green, blue and opacity, a byte each.
    Rgba32,
}

const CODES: [(NiftiType, Datatype); 14] = [
    (NiftiType::Uint8, Datatype::Real(VoxelType::U8)),
    (NiftiType::Int8, Datatype::Real(VoxelType::I8)),
    (NiftiType::Uint16, Datatype::Real(VoxelType::U16)),
    (NiftiType::Int16, Datatype::Real(VoxelType::I16)),
    (NiftiType::Uint32, Datatype::Real(VoxelType::U32)),
    (NiftiType::Int32, Datatype::Real(VoxelType::I32)),
    (NiftiType::Uint64, Datatype::Real(VoxelType::U64)),
    (NiftiType::Int64, Datatype::Real(VoxelType::I64)),
    (NiftiType::Float32, Datatype::Real(VoxelType::F32)),
    (NiftiType::Float64, Datatype::Real(VoxelType::F64)),
    (NiftiType::Complex64, Datatype::Complex64),
    (NiftiType::Complex128, Datatype::Complex128),
    (NiftiType::Rgb24, Datatype::Rgb24),
    (NiftiType::Rgba32, Datatype::Rgba32),
];

impl Datatype {
    /// Returns the type that a header means by `code`; nothing for types that are not read (128-bit floats, single
    /// bits) and for codes that mean nothing.
    pub fn from_code(code: i16) -> Option<Self> {
        CODES.into_iter().find(|&(known, _)| known as i32 == i32::from(code)).map(|(_, datatype)| datatype)
    }

    /// Returns the code that a header has for it.
    pub fn code(self) -> i16 {
        let known = CODES.into_iter().find(|&(_, datatype)| datatype == self);
        known.map_or(0, |(code, _)| code as i16)
    }

    /// Returns the bytes of one voxel in a file.
    pub const fn size(self) -> usize {
        match self {
            Self::Real(voxel) => voxel.size(),
            Self::Complex64 => 8,
            Self::Complex128 => 16,
            Self::Rgb24 => 3,
            Self::Rgba32 => 4,
        }
    }

    /// Returns the bytes that are turned around in a file of the other byte order.
    pub(crate) const fn swapped_size(self) -> usize {
        match self {
            Self::Real(voxel) => voxel.size(),
            Self::Complex64 => 4,
            Self::Complex128 => 8,
            Self::Rgb24 | Self::Rgba32 => 1,
        }
    }

    /// Returns its name: `int16`, `complex64`, `rgb24`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Real(voxel) => voxel.name(),
            Self::Complex64 => "complex64",
            Self::Complex128 => "complex128",
            Self::Rgb24 => "rgb24",
            Self::Rgba32 => "rgba32",
        }
    }

    /// Returns whether it is a complex number.
    pub const fn is_complex(self) -> bool {
        matches!(self, Self::Complex64 | Self::Complex128)
    }

    /// Returns whether it is a colour.
    pub const fn is_color(self) -> bool {
        matches!(self, Self::Rgb24 | Self::Rgba32)
    }
}

impl fmt::Display for Datatype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_sizes_are_those_of_the_crate_nifti() {
        for (known, datatype) in CODES {
            assert_eq!(Datatype::from_code(known as i16), Some(datatype));
            assert_eq!(datatype.code(), known as i16);
            assert_eq!(datatype.size(), known.size_of());
        }
        for code in [0, 1, 999, -4, 1536, 2048] {
            assert_eq!(Datatype::from_code(code), None);
        }
    }
}
