//! The types that a stored voxel can have, and slices of them.

use std::fmt;

/// The type of a stored voxel, after complex numbers and colours have been taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VoxelType {
    /// 8 bits, unsigned.
    U8,
    /// 8 bits, signed.
    I8,
    /// 16 bits, unsigned.
    U16,
    /// 16 bits, signed.
    I16,
    /// 32 bits, unsigned.
    U32,
    /// 32 bits, signed.
    I32,
    /// 64 bits, unsigned.
    U64,
    /// 64 bits, signed.
    I64,
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 double precision.
    F64,
}

impl VoxelType {
    /// Returns the bytes of one voxel.
    pub const fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// Returns the name that NumPy has for it: `uint8`, `float32`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::U8 => "uint8",
            Self::I8 => "int8",
            Self::U16 => "uint16",
            Self::I16 => "int16",
            Self::U32 => "uint32",
            Self::I32 => "int32",
            Self::U64 => "uint64",
            Self::I64 => "int64",
            Self::F32 => "float32",
            Self::F64 => "float64",
        }
    }
}

impl fmt::Display for VoxelType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A Rust type that stored voxels can have.
pub trait Voxel: Copy + Send + Sync + fmt::Debug + PartialEq + sealed::Sealed + 'static {
    /// Its name as a value.
    const TYPE: VoxelType;
    /// Returns the nearest `f32`.
    fn to_f32(self) -> f32;
    /// Returns the nearest `f64`.
    fn to_f64(self) -> f64;
    /// Wraps a slice of them.
    fn slice(voxels: &[Self]) -> VoxelSlice<'_>;
}

/// Voxels of one of the types.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "each is a slice of the type it is named after")]
pub enum VoxelSlice<'a> {
    U8(&'a [u8]),
    I8(&'a [i8]),
    U16(&'a [u16]),
    I16(&'a [i16]),
    U32(&'a [u32]),
    I32(&'a [i32]),
    U64(&'a [u64]),
    I64(&'a [i64]),
    F32(&'a [f32]),
    F64(&'a [f64]),
}

/// Runs an expression with the typed slice of a [`VoxelSlice`] bound to a name.
macro_rules! with_voxels {
    ($slice:expr, $name:ident => $body:expr) => {
        match $slice {
            $crate::voxels::VoxelSlice::U8($name) => $body,
            $crate::voxels::VoxelSlice::I8($name) => $body,
            $crate::voxels::VoxelSlice::U16($name) => $body,
            $crate::voxels::VoxelSlice::I16($name) => $body,
            $crate::voxels::VoxelSlice::U32($name) => $body,
            $crate::voxels::VoxelSlice::I32($name) => $body,
            $crate::voxels::VoxelSlice::U64($name) => $body,
            $crate::voxels::VoxelSlice::I64($name) => $body,
            $crate::voxels::VoxelSlice::F32($name) => $body,
            $crate::voxels::VoxelSlice::F64($name) => $body,
        }
    };
}
pub(crate) use with_voxels;

macro_rules! voxel {
    ($($rust:ty => $name:ident),*) => {
        $(
            impl sealed::Sealed for $rust {}
            impl Voxel for $rust {
                const TYPE: VoxelType = VoxelType::$name;
                #[inline(always)]
                fn to_f32(self) -> f32 {
                    self as f32
                }
                #[inline(always)]
                fn to_f64(self) -> f64 {
                    self as f64
                }
                fn slice(voxels: &[Self]) -> VoxelSlice<'_> {
                    VoxelSlice::$name(voxels)
                }
            }
        )*
    };
}
voxel!(u8 => U8, i8 => I8, u16 => U16, i16 => I16, u32 => U32, i32 => I32, u64 => U64, i64 => I64, f32 => F32, f64 => F64);

impl VoxelSlice<'_> {
    /// Returns the type of the voxels.
    pub fn voxel_type(&self) -> VoxelType {
        match self {
            Self::U8(_) => VoxelType::U8,
            Self::I8(_) => VoxelType::I8,
            Self::U16(_) => VoxelType::U16,
            Self::I16(_) => VoxelType::I16,
            Self::U32(_) => VoxelType::U32,
            Self::I32(_) => VoxelType::I32,
            Self::U64(_) => VoxelType::U64,
            Self::I64(_) => VoxelType::I64,
            Self::F32(_) => VoxelType::F32,
            Self::F64(_) => VoxelType::F64,
        }
    }

    /// Returns how many voxels there are.
    pub fn len(&self) -> usize {
        with_voxels!(*self, voxels => voxels.len())
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns voxel `index` as stored, in double precision.
    ///
    /// # Panics
    /// Panics if there is no such voxel.
    pub fn at(&self, index: usize) -> f64 {
        with_voxels!(*self, voxels => voxels[index].to_f64())
    }
}
