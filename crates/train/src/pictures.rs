//! Pictures that a task gives out, and who takes them.

use std::fs;
use std::path::{Path, PathBuf};

use batchwright_core::{BoxError, SampleId};
use ndarray::ArrayD;

/// Arrays to look at, with the identities of the samples they were made of.
#[derive(Debug)]
pub struct Picture<'a> {
    /// What it shows, as in `reconstructions`: a part of a file's name.
    pub name: &'a str,
    /// After how many steps.
    pub step: u64,
    /// In which epoch, from 0.
    pub epoch: u64,
    /// The arrays, `[N, C, y, x]` (or with more axes), values 0 to 1 from black to white.
    pub array: ArrayD<f32>,
    /// How many of them make a row.
    pub columns: usize,
    /// The samples they were made of, in order; empty where they were made of none.
    pub samples: &'a [SampleId],
}

/// Who takes pictures: a folder of PNG files, or what another crate does with arrays of its kind.
pub trait Pictures {
    /// Takes a picture.
    ///
    /// # Errors
    /// Says why it cannot be kept. The run goes on, with a warning.
    fn picture(&mut self, picture: &Picture<'_>) -> Result<(), BoxError>;
}

/// Writes pictures of 2D images, grey or in colour, as grids into a folder: `epoch-0000-reconstructions.png`.
#[derive(Clone, Debug)]
pub struct PngPictures {
    folder: PathBuf,
}

impl PngPictures {
    /// Writes into `folder`, which is made with the first picture.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Pixels between two images of a grid.
const GAP: usize = 2;
/// Small images are enlarged until a grid's tile has at least this side.
const LEAST_SIDE: usize = 56;

impl Pictures for PngPictures {
    fn picture(&mut self, picture: &Picture<'_>) -> Result<(), BoxError> {
        let &[n, channels, height, width] = picture.array.shape() else {
            let shape = picture.array.shape();
            return Err(format!("a PNG needs arrays of the shape [N, C, y, x], found {shape:?}").into());
        };
        if n == 0 || height == 0 || width == 0 || !matches!(channels, 1 | 3) {
            let shape = picture.array.shape();
            return Err(format!("a PNG needs images with 1 or 3 channels, found the shape {shape:?}").into());
        }
        let columns = picture.columns.clamp(1, n);
        let rows = n.div_ceil(columns);
        let scale = LEAST_SIDE.div_ceil(height.max(width)).max(1);
        let (tile_height, tile_width) = (height * scale + GAP, width * scale + GAP);
        let too_large =
            || format!("a grid of {rows} x {columns} images of {height} x {width} pixels is too large");
        let image_width = u32::try_from(columns * tile_width + GAP).map_err(|_| too_large())?;
        let image_height = u32::try_from(rows * tile_height + GAP).map_err(|_| too_large())?;
        let mut grid = image::RgbImage::from_pixel(image_width, image_height, image::Rgb([32; 3]));
        for tile in 0..n {
            let (top, left) = (GAP + tile / columns * tile_height, GAP + tile % columns * tile_width);
            for y in 0..height * scale {
                for x in 0..width * scale {
                    let value = |channel: usize| {
                        let value = picture.array[[tile, channel, y / scale, x / scale]];
                        // Not a number becomes black.
                        (value.clamp(0.0, 1.0) * 255.0).round() as u8
                    };
                    let pixel = if channels == 1 { [value(0); 3] } else { [value(0), value(1), value(2)] };
                    grid.put_pixel((left + x) as u32, (top + y) as u32, image::Rgb(pixel));
                }
            }
        }
        fs::create_dir_all(&self.folder)?;
        let path = self.folder.join(format!("epoch-{:04}-{}.png", picture.epoch, picture.name));
        grid.save(&path).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_has_each_image_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let mut array = ArrayD::zeros(vec![3, 1, 56, 56]);
        array.index_axis_mut(ndarray::Axis(0), 2).fill(1.0);
        let picture = Picture { name: "test", step: 9, epoch: 0, array, columns: 2, samples: &[] };
        PngPictures::new(folder.path()).picture(&picture).unwrap();
        let read = image::open(folder.path().join("epoch-0000-test.png")).unwrap().to_rgb8();
        assert_eq!(read.dimensions(), (2 * 58 + 2, 2 * 58 + 2));
        assert_eq!(read.get_pixel(10, 10).0, [0; 3]);
        assert_eq!(read.get_pixel(10, 70).0, [255; 3], "the third image begins the second row");
        assert_eq!(read.get_pixel(70, 70).0, [32; 3], "there is no fourth image");
    }

    #[test]
    fn an_array_that_is_no_image_is_an_error_that_says_its_shape() {
        let folder = tempfile::tempdir().unwrap();
        let picture = Picture {
            name: "x",
            step: 0,
            epoch: 0,
            array: ArrayD::zeros(vec![1, 2, 4, 4]),
            columns: 1,
            samples: &[],
        };
        let error = PngPictures::new(folder.path()).picture(&picture).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a PNG needs images with 1 or 3 channels, found the shape [1, 2, 4, 4]"
        );
    }
}
