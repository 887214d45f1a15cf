//! Pictures of volumes: planes, outlines of labels, sheets of many with captions.

mod canvas;
mod font;
mod montage;
mod view;
mod window;

pub use canvas::{Canvas, Rgb};
pub use montage::{Montage, MontageOptions};
pub use view::{Convention, Position, Section, View};
pub use window::Window;

#[cfg(test)]
mod tests;
