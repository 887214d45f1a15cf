#![doc = include_str!("../README.md")]

mod augment;
mod convert;
mod csv_file;
mod error;
mod file;
mod folder;
mod glyphs;
mod idx;
mod images;
mod jpeg;
mod npy;
mod npy_header;
mod numbers;
mod options;
mod picture;
mod set;
mod source;
mod split;
mod statistics;
mod subset;

pub use augment::{Augment, Drawn, Flip, Noise, Rotate, Shear, Shift, Zoom};
pub use csv_file::{Column, CsvOptions, LabelKind, PixelColumns, read_csv};
pub use error::{At, Error};
pub use folder::{Color, Depth, Fit, Folder, FolderOptions, PathTable};
pub use glyphs::Glyphs;
pub use idx::read_idx;
pub use images::{Images, Pixels};
pub use npy::{Channels, read_npy, read_npz, write_npy};
pub use options::{ImageOptions, ImageType, MeanStd, Scale};
pub use picture::{Grid, write_png, write_png_gray, write_png_rgb};
pub use set::ImageSet;
pub use source::{ImageSource, PixelType, PixelView, Scratch};
pub use split::{Sides, Split};
pub use subset::Subset;
