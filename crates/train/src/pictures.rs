//! Pictures that a task gives out, and who takes them.

use std::fs;
use std::path::{Path, PathBuf};

use batchwright_core::{BoxError, SampleId};
use ndarray::{ArrayD, ArrayViewD, Axis};

/// Arrays to look at, with the identities of the samples they were made of.
#[derive(Debug)]
pub struct Picture<'a> {
    /// What it shows, as in `reconstructions`: a part of a file's name.
    pub name: &'a str,
    /// After how many steps.
    pub step: u64,
    /// In which epoch, from 0.
    pub epoch: u64,
    /// The arrays, `[N, C, y, x]` or `[N, C, z, y, x]`, values 0 to 1 from black to white.
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

/// Writes pictures of images, grey or in colour, as grids into a folder: `epoch-0000-reconstructions.png`.
///
/// A volume is shown as its three central planes side by side: axial (x to the right, y up), coronal (x, z), sagittal (y, z). Where
/// its axes are R, A and S, anterior and superior are up, and the right side of the body is on the right. Of volumes with other
/// than 1 or 3 channels, the first is shown.
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
/// Pixels between the planes of a volume.
const PLANE_GAP: usize = 1;
/// The colour of gaps.
const BACKGROUND: [u8; 3] = [32; 3];
/// Small images are enlarged until a grid's tile has at least this side.
const LEAST_SIDE: usize = 56;

impl Pictures for PngPictures {
    fn picture(&mut self, picture: &Picture<'_>) -> Result<(), BoxError> {
        let shape = picture.array.shape();
        let (&[n, channels, .., height, width], 4 | 5) = (shape, shape.len()) else {
            let text =
                format!("a PNG needs arrays of the shape [N, C, y, x] or [N, C, z, y, x], found {shape:?}");
            return Err(text.into());
        };
        if shape.contains(&0) || (shape.len() == 4 && !matches!(channels, 1 | 3)) {
            return Err(format!("a PNG needs images with 1 or 3 channels, found the shape {shape:?}").into());
        }
        let columns = picture.columns.clamp(1, n);
        let rows = n.div_ceil(columns);
        let scale = LEAST_SIDE.div_ceil(shape[2..].iter().copied().max().unwrap_or(1)).max(1);
        // The planes of one sample: how far each begins from the left, and the size of all of them.
        let (mut lefts, mut tile_width, mut tile_height) = (Vec::new(), 0, 0);
        for plane in planes(picture.array.index_axis(Axis(0), 0)) {
            lefts.push(tile_width + if lefts.is_empty() { 0 } else { PLANE_GAP });
            tile_width = lefts[lefts.len() - 1] + plane.shape()[2] * scale;
            tile_height = tile_height.max(plane.shape()[1] * scale);
        }
        let too_large =
            || format!("a grid of {rows} x {columns} images of {height} x {width} pixels is too large");
        let image_width = u32::try_from(columns * (tile_width + GAP) + GAP).map_err(|_| too_large())?;
        let image_height = u32::try_from(rows * (tile_height + GAP) + GAP).map_err(|_| too_large())?;
        let mut grid = image::RgbImage::from_pixel(image_width, image_height, image::Rgb(BACKGROUND));
        for (i, sample) in picture.array.outer_iter().enumerate() {
            let (top, left) =
                (GAP + i / columns * (tile_height + GAP), GAP + i % columns * (tile_width + GAP));
            for (plane, at) in planes(sample).into_iter().zip(&lefts) {
                let (rows, columns) = (plane.shape()[1] * scale, plane.shape()[2] * scale);
                let (top, left) = (top + (tile_height - rows) / 2, left + at);
                for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
                    let value = |channel: usize| {
                        let value = plane[[channel, y / scale, x / scale]];
                        // Not a number becomes black.
                        (value.clamp(0.0, 1.0) * 255.0).round() as u8
                    };
                    let pixel = if channels == 3 { [value(0), value(1), value(2)] } else { [value(0); 3] };
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

/// Returns what is shown of a sample, `[C, rows, columns]` each: an image itself, or the central planes of a volume `[C, z, y, x]`,
/// axial, coronal and sagittal, whose rows go against y and z.
fn planes(sample: ArrayViewD<'_, f32>) -> Vec<ArrayViewD<'_, f32>> {
    if sample.ndim() == 3 {
        return vec![sample];
    }
    let central = |axis: usize| {
        let mut plane = sample.clone().index_axis_move(Axis(axis), sample.shape()[axis] / 2);
        plane.invert_axis(Axis(1));
        plane
    };
    vec![central(1), central(2), central(3)]
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
    fn a_volume_is_shown_as_three_central_planes_with_anterior_and_superior_up() {
        let folder = tempfile::tempdir().unwrap();
        // Which of its halves a voxel lies in, along x (1), y (2) and z (4), sevenths of white.
        let [nx, ny, nz] = [56, 30, 20];
        let mut array = ArrayD::zeros(vec![2, 2, nz, ny, nx]);
        for (z, y, x) in (0..nz).flat_map(|z| (0..ny).flat_map(move |y| (0..nx).map(move |x| (z, y, x)))) {
            let halves = u8::from(nx / 2 < x) + 2 * u8::from(ny / 2 < y) + 4 * u8::from(nz / 2 < z);
            array[[0, 0, z, y, x]] = f32::from(halves) / 7.0;
        }
        let picture = Picture { name: "test", step: 9, epoch: 0, array, columns: 2, samples: &[] };
        PngPictures::new(folder.path()).picture(&picture).unwrap();
        let read = image::open(folder.path().join("epoch-0000-test.png")).unwrap().to_rgb8();
        let tile = 56 + 1 + 56 + 1 + 30;
        assert_eq!(read.dimensions(), (2 + 2 * (tile + 2), 2 + 30 + 2));
        let shade = |x: u32, y: u32| {
            let image::Rgb([red, green, blue]) = *read.get_pixel(2 + x, 2 + y);
            assert!(red == green && green == blue);
            (f32::from(red) / 255.0 * 7.0).round() as u8
        };
        // Axial: y up, x to the right.
        assert_eq!([shade(0, 0), shade(55, 0), shade(0, 29), shade(55, 29)], [2, 3, 0, 1]);
        // Coronal: z up, 20 rows, in the middle of 30.
        assert_eq!([shade(57, 5), shade(57 + 55, 5), shade(57, 24), shade(57 + 55, 24)], [4, 5, 0, 1]);
        assert_eq!(read.get_pixel(2 + 57, 2 + 4).0, BACKGROUND);
        assert_eq!(read.get_pixel(2 + 57, 2 + 25).0, BACKGROUND);
        // Sagittal: z up, y to the right.
        assert_eq!([shade(114, 5), shade(114 + 29, 5), shade(114, 24), shade(114 + 29, 24)], [4, 6, 0, 2]);
        assert_eq!(read.get_pixel(2 + 56, 10).0, BACKGROUND, "there is a gap between planes");
        // The second sample is black: of two channels the first is shown.
        assert_eq!(read.get_pixel(2 + tile + 2, 2).0, [0; 3]);
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
