//! What a sample consists of: named arrays of known shape and type.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::buffer::Element;

/// The type of an array's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DType {
    /// 8 bits, unsigned.
    U8,
    /// 16 bits, signed.
    I16,
    /// 32 bits, signed.
    I32,
    /// 64 bits, signed.
    I64,
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 double precision.
    F64,
}

impl DType {
    /// Returns the bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::I16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }

    /// Returns the name: `u8`, `i16`, `i32`, `i64`, `f32` or `f64`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One array that every sample of a data set has: its name, type, shape and the names of its axes.
///
/// In a [`Batch`](crate::Batch) the array has one more axis in front, named `N`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// The name, as in `image` or `label`.
    pub name: String,
    /// The type of the elements.
    pub dtype: DType,
    /// The shape of one sample, the fastest axis last; empty for a scalar.
    pub shape: Vec<usize>,
    /// The names of the axes, as many as `shape` has.
    pub axes: Vec<String>,
}

impl Field {
    /// Describes an array of `T` with the given shape; axes are named `C, y, x` (or `C, z, y, x`) from the right.
    pub fn new<T: Element>(name: impl Into<String>, shape: &[usize]) -> Self {
        let names: &[&str] = match shape.len() {
            0..=3 => &["C", "y", "x"],
            _ => &["C", "z", "y", "x"],
        };
        let axes = (0..shape.len())
            .map(|axis| {
                let from_right = shape.len() - axis;
                match names.len().checked_sub(from_right) {
                    Some(at) if shape.len() != 1 => names[at].to_owned(),
                    _ if shape.len() == 1 => "C".to_owned(),
                    _ => format!("axis{axis}"),
                }
            })
            .collect();
        Self { name: name.into(), dtype: T::DTYPE, shape: shape.to_vec(), axes }
    }

    /// Names the axes.
    ///
    /// # Panics
    /// Panics if there are not as many names as the shape has axes.
    #[must_use]
    pub fn with_axes(mut self, axes: &[&str]) -> Self {
        assert_eq!(axes.len(), self.shape.len(), "one name an axis");
        self.axes = axes.iter().map(|&axis| axis.to_owned()).collect();
        self
    }

    /// Returns the elements of one sample; the product of the shape.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns the bytes of one sample.
    pub fn bytes(&self) -> usize {
        self.elements() * self.dtype.size()
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {:?}", self.name, self.dtype, self.shape)
    }
}
