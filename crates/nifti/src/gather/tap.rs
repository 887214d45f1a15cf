//! The numbers that voxels are interpolated in.

use crate::voxels::Voxel;
use std::ops::{Add, Mul, Sub};

/// A floating-point type to interpolate in.
pub(super) trait Real:
    Copy + Send + Sync + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self>
{
    /// Returns the fraction of a coordinate: the bits after its point.
    fn fraction(bits: u32) -> Self;
    fn of(value: f32) -> Self;
    fn to_f32(self) -> f32;
    fn to_f64(self) -> f64;
}

impl Real for f32 {
    /// The upper 24 bits, which are all that an `f32` holds.
    #[inline(always)]
    fn fraction(bits: u32) -> Self {
        (bits >> 8) as f32 * (1.0 / (1 << 24) as f32)
    }
    #[inline(always)]
    fn of(value: f32) -> Self {
        value
    }
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    #[inline(always)]
    fn fraction(bits: u32) -> Self {
        f64::from(bits) * (1.0 / (1_u64 << 32) as f64)
    }
    #[inline(always)]
    fn of(value: f32) -> Self {
        f64::from(value)
    }
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self as f32
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
}

/// A voxel, as a number to interpolate.
pub(super) trait Tap: Voxel {
    /// `f32` where it holds every value, otherwise `f64`.
    type Real: Real;
    const ZERO: Self::Real;
    fn real(self) -> Self::Real;
}

macro_rules! tap {
    ($($voxel:ty => $real:ty),*) => {
        $(
            impl Tap for $voxel {
                type Real = $real;
                const ZERO: $real = 0.0;
                #[inline(always)]
                fn real(self) -> $real {
                    self as $real
                }
            }
        )*
    };
}
tap!(u8 => f32, i8 => f32, u16 => f32, i16 => f32, f32 => f32);
tap!(u32 => f64, i32 => f64, u64 => f64, i64 => f64, f64 => f64);
