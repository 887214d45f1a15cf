#![doc = include_str!("../README.md")]

mod convert;
mod error;
mod file;
mod glyphs;
mod idx;
mod images;
mod numbers;
mod options;
mod picture;
mod set;
mod source;

pub use error::{At, Error};
pub use glyphs::Glyphs;
pub use idx::read_idx;
pub use images::{Images, Pixels};
pub use options::{ImageOptions, ImageType, MeanStd, Scale};
pub use picture::{Grid, write_png, write_png_gray, write_png_rgb};
pub use set::ImageSet;
pub use source::{ImageSource, PixelType, PixelView, Scratch};
