//! The numbers that voxels are interpolated in.

use super::level::Level;
use super::row::Row;
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

    /// Does what [`Interpolate::fast`](super::kernel::Interpolate::fast) says, linearly.
    fn linear(_level: Level, _row: &Row<'_, Self>, _first: usize, _out: &mut [Self::Real]) -> usize {
        0
    }
}

macro_rules! tap {
    ($real:ty: $($voxel:ty),*) => {
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
tap!(f64: u32, i32, u64, i64, f64);

macro_rules! tap_f32 {
    ($($voxel:ty),*) => {
        $(
            impl Tap for $voxel {
                type Real = f32;
                const ZERO: f32 = 0.0;
                #[inline(always)]
                fn real(self) -> f32 {
                    self as f32
                }
                fn linear(level: Level, row: &Row<'_, Self>, first: usize, out: &mut [f32]) -> usize {
                    match level {
                        Level::Scalar => 0,
                        #[cfg(target_arch = "x86_64")]
                        Level::Avx2(proof) => super::avx2::linear(proof, row, first, out),
                    }
                }
            }
        )*
    };
}
tap_f32!(u8, i8, u16, i16, f32);
