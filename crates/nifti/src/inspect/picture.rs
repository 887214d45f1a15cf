//! A picture of one file.

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::options::{Color, Complex, Frames, ReadOptions};
use crate::picture::{Canvas, Convention, Montage, MontageOptions, View};
use crate::volume::Volume;
use crate::voxels::VoxelSlice;

/// How a file is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct PictureOptions {
    /// A file of labels on the same grid, to be outlined; by default none.
    pub label: Option<PathBuf>,
    /// The frame that is shown, from 0; by default the first.
    pub frame: usize,
    /// How large, and which planes; by default 320 pixels, through the middle, the patient's left on the right.
    pub montage: MontageOptions,
}

impl Default for PictureOptions {
    fn default() -> Self {
        let montage = MontageOptions { panel: 320, ..MontageOptions::default() };
        Self { label: None, frame: 0, montage }
    }
}

/// Draws three orthogonal planes of a file, in the proportions of the body, with letters at the edges. Colours are shown
/// by their luminance, complex numbers by their magnitude.
///
/// # Errors
/// As [`Volume::open_with`] and [`Volume::read_all`]; refuses a label of another shape.
pub fn picture(path: &Path, read: &ReadOptions, options: &PictureOptions) -> Result<Canvas, Error> {
    let open = |path: &Path, frame| {
        let frames = Frames::One(frame);
        let (complex, color) = (Complex::Magnitude, Color::Luminance);
        Volume::open_with(path, &ReadOptions { complex, color, frames, ..read.clone() })
    };
    let load = |volume: &Volume| {
        let mut voxels = vec![0.0; volume.shape().iter().product()];
        volume.read_f32_all(&mut voxels)?;
        Ok::<_, Error>(voxels)
    };
    let volume = open(path, options.frame)?;
    let (shape, spacing) = (volume.shape(), volume.geometry().spacing());
    let orientation = volume.geometry().orientation();
    let voxels = load(&volume)?;
    let mut view = View::new(&voxels, 1, shape, spacing)?.with_orientation(orientation);
    let mut outlined = Vec::new();
    if let Some(label) = &options.label {
        let label = open(label, 0)?;
        if label.shape() != shape {
            let expected = format!("{shape:?}, the shape of {}", path.display());
            let found = format!("{:?} in {}", label.shape(), label.path().display());
            return Err(Error::choice("label", expected, found));
        }
        outlined = load(&label)?;
    }
    if !outlined.is_empty() {
        view = view.with_label(VoxelSlice::F32(&outlined))?;
    }
    let mut montage = Montage::new(options.montage.clone())?;
    let window = view.window(0);
    let [x, y, z] = spacing.map(|spacing| (spacing * 1000.0).round() / 1000.0);
    let convention = match options.montage.convention {
        Convention::Radiological => "radiological: the patient's left is on the right",
        Convention::Neurological => "neurological: the patient's left is on the left",
    };
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let frame =
        if volume.header().frames() == 1 { String::new() } else { format!(", frame {}", options.frame) };
    let caption = format!(
        "{name}{frame}: {}x{}x{} {}, {orientation}, {x} x {y} x {z} mm, shown from {} to {}; {convention}",
        shape[0],
        shape[1],
        shape[2],
        volume.header().datatype(),
        window.low,
        window.high,
    );
    montage.add(&caption, &[view]);
    Ok(montage.canvas())
}
