//! Numbers as files store them, and what they become.

use std::path::Path;

use crate::error::{At, Error};
use crate::images::{Images, Pixels};

/// The type of stored numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

/// The order of the bytes of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endian {
    Little,
    Big,
}

/// Makes images of pixels of a file, which an error names.
pub(crate) fn of_pixels(
    path: &Path,
    shape: [usize; 3],
    pixels: Pixels,
    full_scale: f32,
) -> Result<Images, Error> {
    let images = match pixels {
        Pixels::U8(pixels) => Images::from_u8(shape, pixels),
        Pixels::F32(pixels) => Images::from_f32(shape, pixels),
    };
    let in_file = |error| match error {
        Error::Choice { expected, found, .. } => Error::malformed(path, At::File, expected, found),
        other => other,
    };
    Ok(images.map_err(in_file)?.with_full_scale(full_scale))
}

macro_rules! read {
    ($bytes:expr, $endian:expr, $type:ty, $map:expr) => {{
        let numbers = $bytes.as_chunks::<{ size_of::<$type>() }>().0.iter();
        match $endian {
            Endian::Little => numbers.map(|&b| $map(<$type>::from_le_bytes(b))).collect(),
            Endian::Big => numbers.map(|&b| $map(<$type>::from_be_bytes(b))).collect(),
        }
    }};
}

impl Number {
    pub(crate) fn size(self) -> u64 {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// Returns the value of full brightness: the largest of the unsigned types that pictures have, else 1.
    pub(crate) fn full_scale(self) -> f32 {
        match self {
            Self::U8 => 255.0,
            Self::U16 => 65535.0,
            Self::Bool
            | Self::I8
            | Self::I16
            | Self::U32
            | Self::I32
            | Self::U64
            | Self::I64
            | Self::F32
            | Self::F64 => 1.0,
        }
    }

    /// Makes images of the numbers of a file, [N, C, H, W].
    pub(crate) fn images(
        self,
        path: &Path,
        shape: [usize; 3],
        bytes: Vec<u8>,
        endian: Endian,
    ) -> Result<Images, Error> {
        of_pixels(path, shape, self.pixels(bytes, endian), self.full_scale())
    }

    /// Returns stored numbers as pixels: bytes stay bytes, anything else becomes `f32`.
    pub(crate) fn pixels(self, bytes: Vec<u8>, endian: Endian) -> Pixels {
        Pixels::F32(match self {
            Self::U8 | Self::Bool => return Pixels::U8(bytes),
            Self::I8 => bytes.iter().map(|&b| f32::from(b.cast_signed())).collect(),
            Self::U16 => read!(bytes, endian, u16, f32::from),
            Self::I16 => read!(bytes, endian, i16, f32::from),
            Self::U32 => read!(bytes, endian, u32, |x| x as f32),
            Self::I32 => read!(bytes, endian, i32, |x| x as f32),
            Self::U64 => read!(bytes, endian, u64, |x| x as f32),
            Self::I64 => read!(bytes, endian, i64, |x| x as f32),
            Self::F32 => read!(bytes, endian, f32, |x| x),
            Self::F64 => read!(bytes, endian, f64, |x| x as f32),
        })
    }

    /// Returns stored numbers as labels, or the first that is no label: its place and what it is.
    pub(crate) fn labels(self, bytes: &[u8], endian: Endian) -> Result<Vec<i64>, (usize, String)> {
        let whole = |x: f64| {
            let fits = x.fract() == 0.0 && x.abs() < 9_007_199_254_740_992.0;
            if fits { Ok(x as i64) } else { Err(x.to_string()) }
        };
        let labels: Vec<Result<i64, String>> = match self {
            Self::U8 | Self::Bool => bytes.iter().map(|&b| Ok(i64::from(b))).collect(),
            Self::I8 => bytes.iter().map(|&b| Ok(i64::from(b.cast_signed()))).collect(),
            Self::U16 => read!(bytes, endian, u16, |x| Ok(i64::from(x))),
            Self::I16 => read!(bytes, endian, i16, |x| Ok(i64::from(x))),
            Self::U32 => read!(bytes, endian, u32, |x| Ok(i64::from(x))),
            Self::I32 => read!(bytes, endian, i32, |x| Ok(i64::from(x))),
            Self::U64 => read!(bytes, endian, u64, |x: u64| i64::try_from(x).map_err(|_| x.to_string())),
            Self::I64 => read!(bytes, endian, i64, Ok),
            Self::F32 => read!(bytes, endian, f32, |x| whole(f64::from(x))),
            Self::F64 => read!(bytes, endian, f64, whole),
        };
        labels.into_iter().enumerate().map(|(at, label)| label.map_err(|found| (at, found))).collect()
    }
}
