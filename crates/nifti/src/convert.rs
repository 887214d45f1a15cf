//! Stored bytes become numbers of this machine.

use serde::{Deserialize, Serialize};

use crate::datatype::Datatype;
use crate::header::ByteOrder;
use crate::voxels::VoxelType;

/// What a stored value means: `slope * value + inter`, in double precision.
///
/// A `scl_slope` of 0, or one that is no finite number, means that values mean themselves. Colours are never scaled; of the
/// magnitude of a complex number only the absolute slope counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// The factor.
    pub slope: f64,
    /// What is added.
    pub inter: f64,
}

impl Scaling {
    /// Values mean themselves.
    pub const IDENTITY: Self = Self { slope: 1.0, inter: 0.0 };

    /// Returns whether values mean themselves.
    pub fn is_identity(&self) -> bool {
        *self == Self::IDENTITY
    }

    /// Returns what a value means.
    #[inline]
    pub fn apply(&self, value: f64) -> f64 {
        value * self.slope + self.inter
    }
}

/// Which number of a stored voxel is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The real number that it is.
    Whole,
    /// Of a complex number.
    Real,
    /// Of a complex number.
    Imaginary,
    /// Of a complex number.
    Magnitude,
    /// A byte of a colour.
    Byte(usize),
    /// Of a colour.
    Luminance,
}

/// How stored voxels are turned into numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe {
    pub(crate) datatype: Datatype,
    pub(crate) order: ByteOrder,
}

/// Turns around the bytes of each number of `size` bytes.
pub(crate) fn swap(bytes: &mut [u8], size: usize) {
    fn each<const N: usize>(bytes: &mut [u8]) {
        bytes.as_chunks_mut::<N>().0.iter_mut().for_each(|number| number.reverse());
    }
    match size {
        2 => each::<2>(bytes),
        4 => each::<4>(bytes),
        8 => each::<8>(bytes),
        _ => {}
    }
}

/// Runs an expression with a type bound to the Rust type of a [`VoxelType`].
macro_rules! with_type {
    ($voxel:expr, $name:ident => $body:expr) => {
        match $voxel {
            VoxelType::U8 => {
                type $name = u8;
                $body
            }
            VoxelType::I8 => {
                type $name = i8;
                $body
            }
            VoxelType::U16 => {
                type $name = u16;
                $body
            }
            VoxelType::I16 => {
                type $name = i16;
                $body
            }
            VoxelType::U32 => {
                type $name = u32;
                $body
            }
            VoxelType::I32 => {
                type $name = i32;
                $body
            }
            VoxelType::U64 => {
                type $name = u64;
                $body
            }
            VoxelType::I64 => {
                type $name = i64;
                $body
            }
            VoxelType::F32 => {
                type $name = f32;
                $body
            }
            VoxelType::F64 => {
                type $name = f64;
                $body
            }
        }
    };
}

impl Recipe {
    /// Returns whether numbers must be turned around.
    pub(crate) fn swaps(self) -> bool {
        self.order != ByteOrder::NATIVE
    }

    /// Returns the type of the numbers that come out.
    pub(crate) fn voxel_type(self) -> VoxelType {
        match self.datatype {
            Datatype::Real(voxel) => voxel,
            Datatype::Complex64 => VoxelType::F32,
            Datatype::Complex128 => VoxelType::F64,
            Datatype::Rgb24 | Datatype::Rgba32 => VoxelType::U8,
        }
    }

    /// Turns stored voxels into the bytes of one number each.
    pub(crate) fn bytes(self, stored: &[u8], part: Part, out: &mut [u8]) {
        match self.datatype {
            Datatype::Real(voxel) => {
                out.copy_from_slice(stored);
                if self.swaps() {
                    swap(out, voxel.size());
                }
            }
            Datatype::Complex64 => {
                let numbers = out.as_chunks_mut::<4>().0.iter_mut().zip(stored.as_chunks::<8>().0);
                for (out, &number) in numbers {
                    *out = (self.complex64(number, part) as f32).to_ne_bytes();
                }
            }
            Datatype::Complex128 => {
                let numbers = out.as_chunks_mut::<8>().0.iter_mut().zip(stored.as_chunks::<16>().0);
                for (out, &number) in numbers {
                    *out = self.complex128(number, part).to_ne_bytes();
                }
            }
            Datatype::Rgb24 | Datatype::Rgba32 => {
                for (out, color) in out.iter_mut().zip(stored.chunks_exact(self.datatype.size())) {
                    *out = color_byte(color, part);
                }
            }
        }
    }

    /// Turns stored voxels into what they mean.
    pub(crate) fn f32(self, stored: &[u8], part: Part, scaling: Scaling, out: &mut [f32]) {
        match self.datatype {
            Datatype::Real(voxel) => with_type!(voxel, T => {
                const SIZE: usize = size_of::<T>();
                let stored = stored.as_chunks::<SIZE>().0;
                match (scaling.is_identity(), self.order) {
                    (true, ByteOrder::Little) => fill(out, stored, |bytes| f64::from_number(T::from_le_bytes(bytes)) as f32),
                    (true, ByteOrder::Big) => fill(out, stored, |bytes| f64::from_number(T::from_be_bytes(bytes)) as f32),
                    (false, ByteOrder::Little) => {
                        fill(out, stored, |bytes| scaling.apply(f64::from_number(T::from_le_bytes(bytes))) as f32);
                    }
                    (false, ByteOrder::Big) => {
                        fill(out, stored, |bytes| scaling.apply(f64::from_number(T::from_be_bytes(bytes))) as f32);
                    }
                }
            }),
            Datatype::Complex64 => {
                fill(out, stored.as_chunks::<8>().0, |bytes| {
                    // Rounded first, so that both ways of reading give the same.
                    let value = f64::from(self.complex64(bytes, part) as f32);
                    (if scaling.is_identity() { value } else { scaling.apply(value) }) as f32
                });
            }
            Datatype::Complex128 => fill(out, stored.as_chunks::<16>().0, |bytes| {
                let value = self.complex128(bytes, part);
                (if scaling.is_identity() { value } else { scaling.apply(value) }) as f32
            }),
            Datatype::Rgb24 | Datatype::Rgba32 => {
                for (out, color) in out.iter_mut().zip(stored.chunks_exact(self.datatype.size())) {
                    *out = f32::from(color_byte(color, part));
                }
            }
        }
    }

    fn complex64(self, bytes: [u8; 8], part: Part) -> f64 {
        let [a, b, c, d, e, f, g, h] = bytes;
        let [real, imaginary] = [[a, b, c, d], [e, f, g, h]].map(|bytes| {
            f64::from(match self.order {
                ByteOrder::Little => f32::from_le_bytes(bytes),
                ByteOrder::Big => f32::from_be_bytes(bytes),
            })
        });
        match part {
            Part::Real => real,
            Part::Imaginary => imaginary,
            _ => (real * real + imaginary * imaginary).sqrt(),
        }
    }

    fn complex128(self, bytes: [u8; 16], part: Part) -> f64 {
        let [real, imaginary] = [0, 8].map(|at| {
            let bytes: [u8; 8] = std::array::from_fn(|index| bytes[at + index]);
            match self.order {
                ByteOrder::Little => f64::from_le_bytes(bytes),
                ByteOrder::Big => f64::from_be_bytes(bytes),
            }
        });
        match part {
            Part::Real => real,
            Part::Imaginary => imaginary,
            _ => magnitude(real, imaginary),
        }
    }
}

/// The length of a vector, without overflow on the way.
fn magnitude(a: f64, b: f64) -> f64 {
    let (a, b) = (a.abs(), b.abs());
    if a.is_infinite() || b.is_infinite() {
        return f64::INFINITY;
    }
    let (long, short) = if a < b { (b, a) } else { (a, b) };
    if long == 0.0 {
        return 0.0;
    }
    let ratio = short / long;
    long * (1.0 + ratio * ratio).sqrt()
}

fn color_byte(color: &[u8], part: Part) -> u8 {
    if let Part::Byte(index) = part {
        return color[index];
    }
    // ITU-R BT.601; at most 255 as the weights add up to 1000.
    let [red, green, blue] = [0, 1, 2].map(|index| u32::from(color[index]));
    ((299 * red + 587 * green + 114 * blue + 500) / 1000) as u8
}

fn fill<const N: usize>(out: &mut [f32], stored: &[[u8; N]], value: impl Fn([u8; N]) -> f32) {
    for (out, &stored) in out.iter_mut().zip(stored) {
        *out = value(stored);
    }
}

/// Turns numbers of this machine into what they mean.
pub(crate) fn native_to_f32(voxel: VoxelType, stored: &[u8], scaling: Scaling, out: &mut [f32]) {
    let recipe = Recipe { datatype: Datatype::Real(voxel), order: ByteOrder::NATIVE };
    recipe.f32(stored, Part::Whole, scaling, out);
}

/// The nearest double of a number.
trait FromNumber<T> {
    fn from_number(number: T) -> Self;
}

macro_rules! from_number {
    ($($number:ty),*) => {
        $(impl FromNumber<$number> for f64 {
            #[inline(always)]
            fn from_number(number: $number) -> Self {
                number as Self
            }
        })*
    };
}
from_number!(u8, i8, u16, i16, u32, i32, u64, i64, f32, f64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complex_numbers_of_both_orders_come_apart() {
        for (order, bytes) in [
            (ByteOrder::Little, [3.0_f32.to_le_bytes(), (-4.0_f32).to_le_bytes()].concat()),
            (ByteOrder::Big, [3.0_f32.to_be_bytes(), (-4.0_f32).to_be_bytes()].concat()),
        ] {
            let recipe = Recipe { datatype: Datatype::Complex64, order };
            for (part, expected) in [(Part::Real, 3.0), (Part::Imaginary, -4.0), (Part::Magnitude, 5.0)] {
                let mut out = [0.0];
                recipe.f32(&bytes, part, Scaling { slope: 2.0, inter: 1.0 }, &mut out);
                assert_eq!(out, [expected * 2.0 + 1.0]);
                let mut out = [0; 4];
                recipe.bytes(&bytes, part, &mut out);
                assert_eq!(f32::from_ne_bytes(out), expected);
            }
        }
        let bytes = [3e300_f64.to_be_bytes(), 4e300_f64.to_be_bytes()].concat();
        let mut out = [0; 8];
        Recipe { datatype: Datatype::Complex128, order: ByteOrder::Big }.bytes(
            &bytes,
            Part::Magnitude,
            &mut out,
        );
        assert!((f64::from_ne_bytes(out) / 5e300 - 1.0).abs() < 1e-15);
        assert_eq!(magnitude(0.0, -0.0), 0.0);
        assert_eq!(magnitude(f64::NEG_INFINITY, f64::NAN), f64::INFINITY);
    }

    #[test]
    fn colours_keep_their_order_in_a_file_of_any_byte_order() {
        for order in [ByteOrder::Little, ByteOrder::Big] {
            let recipe = Recipe { datatype: Datatype::Rgba32, order };
            let stored = [255, 0, 7, 9, 255, 255, 255, 0];
            let mut out = [0; 2];
            recipe.bytes(&stored, Part::Byte(2), &mut out);
            assert_eq!(out, [7, 255]);
            recipe.bytes(&stored, Part::Luminance, &mut out);
            assert_eq!(out, [77, 255]);
        }
    }

    #[test]
    fn values_are_scaled_in_double_precision_and_left_alone_by_the_identity() {
        let mut out = [0.0];
        let scaling = Scaling { slope: 17.514_570_236_206_055, inter: 0.1 };
        native_to_f32(VoxelType::I16, &(-321_i16).to_ne_bytes(), scaling, &mut out);
        assert_eq!(out, [(-321.0 * 17.514_570_236_206_055 + 0.1) as f32]);
        native_to_f32(VoxelType::F32, &(-0.0_f32).to_ne_bytes(), Scaling::IDENTITY, &mut out);
        assert!(out[0].is_sign_negative());
        native_to_f32(VoxelType::I64, &((1_i64 << 53) + 1).to_ne_bytes(), Scaling::IDENTITY, &mut out);
        assert_eq!(out, [9_007_199_254_740_992.0]);
    }
}
