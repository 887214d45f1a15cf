//! Pictures of images: PNG files and sheets of many.

use std::path::Path;

use image::{ExtendedColorType, ImageEncoder as _, codecs::png::PngEncoder};
use ndarray::{Array3, ArrayView3, ArrayView4};

use crate::error::Error;

/// How images are laid out on a sheet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    /// How many images stand beside each other; by default as many as make the sheet about square.
    pub columns: Option<usize>,
    /// Pixels between images and around them, before enlarging; by default 1.
    pub padding: usize,
    /// The value between images; by default 0.25.
    pub background: f32,
    /// By what whole number everything is enlarged; by default 2.
    pub zoom: usize,
}

impl Default for Grid {
    fn default() -> Self {
        Self { columns: None, padding: 1, background: 0.25, zoom: 2 }
    }
}

impl Grid {
    /// Lays out images [N, C, H, W] with values in 0 to 1 on one sheet [C, height, width], row by row.
    #[expect(clippy::needless_pass_by_value, reason = "a view is handed over, as ndarray does")]
    pub fn sheet(&self, images: ArrayView4<'_, f32>) -> Array3<f32> {
        let (count, channels, height, width) = images.dim();
        let square = (1..=count).find(|n| count <= n * n).unwrap_or(1);
        let columns = self.columns.unwrap_or(square).clamp(1, count.max(1));
        let rows = count.div_ceil(columns);
        let (down, right) = (height + self.padding, width + self.padding);
        let zoom = self.zoom.max(1);
        let shape = (channels, (rows * down + self.padding) * zoom, (columns * right + self.padding) * zoom);
        Array3::from_shape_fn(shape, |(channel, y, x)| {
            let place = |at: usize, step: usize, size: usize| {
                let at = (at / zoom).checked_sub(self.padding)?;
                (at % step < size).then_some((at / step, at % step))
            };
            let inside = place(y, down, height).zip(place(x, right, width));
            inside
                .map(|((row, y), (column, x))| (row * columns + column, y, x))
                .filter(|(index, _, _)| *index < count)
                .map_or(self.background, |(index, y, x)| images[[index, channel, y, x]])
        })
    }
}

/// Writes an image [C, H, W] with values in 0 to 1 as PNG: grey for one channel, red, green and blue for three; of any
/// other number the first channel. Values beyond are clipped, and what is no number is black.
///
/// # Errors
/// Says which file cannot be written; refuses an image without pixels.
#[expect(clippy::needless_pass_by_value, reason = "a view is handed over, as ndarray does")]
pub fn write_png(path: &Path, image: ArrayView3<'_, f32>) -> Result<(), Error> {
    let (channels, height, width) = image.dim();
    let byte = |value: f32| (value * 255.0 + 0.5) as u8;
    let mut pixels = Vec::with_capacity(image.len());
    let shown = if channels == 3 { 3 } else { channels.min(1) };
    for y in 0..height {
        for x in 0..width {
            pixels.extend((0..shown).map(|channel| byte(image[[channel, y, x]])));
        }
    }
    if channels == 3 { write_png_rgb(path, &pixels, width) } else { write_png_gray(path, &pixels, width) }
}

/// Writes grey bytes, row by row, as PNG.
///
/// # Errors
/// Says which file cannot be written; refuses pixels that are no whole number of rows.
pub fn write_png_gray(path: &Path, pixels: &[u8], width: usize) -> Result<(), Error> {
    encode(path, pixels, width, 1, ExtendedColorType::L8)
}

/// Writes bytes of red, green and blue, row by row, as PNG.
///
/// # Errors
/// As [`write_png_gray`].
pub fn write_png_rgb(path: &Path, pixels: &[u8], width: usize) -> Result<(), Error> {
    encode(path, pixels, width, 3, ExtendedColorType::Rgb8)
}

fn encode(
    path: &Path,
    pixels: &[u8],
    width: usize,
    channels: usize,
    color: ExtendedColorType,
) -> Result<(), Error> {
    let row = width * channels;
    if pixels.is_empty() || row == 0 || !pixels.len().is_multiple_of(row) {
        let expected = format!("rows of {width} pixels of {channels} bytes");
        return Err(Error::choice("pixels", expected, format!("{} bytes", pixels.len())));
    }
    let size = |n: usize| u32::try_from(n).map_err(|_| Error::choice("pixels", "at most 2^32 - 1 a side", n));
    let (width, height) = (size(width)?, size(pixels.len() / row)?);
    let mut file = Vec::new();
    PngEncoder::new(&mut file)
        .write_image(pixels, width, height, color)
        .map_err(|source| Error::Encode { path: path.to_owned(), source: source.into() })?;
    std::fs::write(path, file).map_err(|source| Error::io("write", path, source))
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;

    use super::*;

    #[test]
    fn a_sheet_places_images_row_by_row() {
        let images = Array4::from_shape_fn((3, 1, 2, 2), |(n, _, _, _)| (n + 1) as f32 / 4.0);
        let grid = Grid { columns: Some(2), padding: 1, background: 0.0, zoom: 1 };
        let sheet = grid.sheet(images.view());
        assert_eq!(sheet.dim(), (1, 7, 7));
        assert_eq!((sheet[[0, 1, 1]], sheet[[0, 2, 5]], sheet[[0, 4, 1]]), (0.25, 0.5, 0.75));
        assert_eq!((sheet[[0, 0, 0]], sheet[[0, 1, 3]], sheet[[0, 4, 4]]), (0.0, 0.0, 0.0));
        let large = Grid { zoom: 3, ..grid }.sheet(images.view());
        assert_eq!((large.dim(), large[[0, 3, 3]], large[[0, 2, 3]]), ((1, 21, 21), 0.25, 0.0));
        assert_eq!(Grid::default().sheet(Array4::zeros((0, 1, 2, 2)).view()).dim(), (1, 2, 8));
    }

    #[test]
    fn a_picture_is_read_back_as_it_was_written() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("a.png");
        let colours = Array3::from_shape_fn((3, 4, 5), |(c, y, x)| (c * 20 + y * 5 + x) as f32 / 255.0);
        write_png(&path, colours.view()).unwrap();
        let read = image::open(&path).unwrap().to_rgb8();
        assert_eq!(read.dimensions(), (5, 4));
        assert_eq!(read.get_pixel(3, 2).0, [13, 33, 53]);
        write_png(&path, ndarray::array![[[-1.0, 2.0, f32::NAN]]].view()).unwrap();
        assert_eq!(image::open(&path).unwrap().to_luma8().into_raw(), [0, 255, 0]);
        assert!(write_png_gray(&path, &[1, 2, 3], 2).is_err());
        assert!(
            write_png_gray(&folder.path().join("no/such"), &[1], 1)
                .unwrap_err()
                .to_string()
                .starts_with("cannot write")
        );
    }
}
