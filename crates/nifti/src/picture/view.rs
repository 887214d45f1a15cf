//! Three orthogonal planes of a volume.

use serde::{Deserialize, Serialize};

use super::canvas::{Canvas, Rgb};
use super::window::Window;
use crate::error::Error;
use crate::orientation::Orientation;
use crate::voxels::VoxelSlice;

/// Which side of a picture the patient's left is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Convention {
    /// The patient's left is on the right, as if one stood at the feet of someone who lies on the back.
    #[default]
    Radiological,
    /// The patient's left is on the left, as if one looked from behind or from above.
    Neurological,
}

/// Which planes of a volume are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Position {
    /// Those through the middle.
    #[default]
    Center,
    /// Those with the most labelled voxels, each by itself; the middle ones where nothing is labelled.
    Label,
    /// Those through this voxel: x, y, z as stored, at most the last one of each axis.
    At([usize; 3]),
}

/// A plane through a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Seen from below or above: left, right, anterior, posterior.
    Axial,
    /// Seen from the front or behind: left, right, superior, inferior.
    Coronal,
    /// Seen from the side: anterior on the left, posterior, superior, inferior.
    Sagittal,
}

impl Section {
    /// All three, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Axial, Self::Coronal, Self::Sagittal];

    /// Returns the world axis that goes across, whether it goes to the right, and the world axis that goes up.
    fn axes(self, convention: Convention) -> (usize, bool, usize) {
        let rightwards = convention == Convention::Neurological;
        match self {
            Self::Axial => (0, rightwards, 1),
            Self::Coronal => (0, rightwards, 2),
            Self::Sagittal => (1, false, 2),
        }
    }
}

/// A volume to be shown: its voxels, borrowed, and how they lie.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    // Invariant: as `new` checks.
    image: &'a [f32],
    shape: [usize; 3],
    channels: usize,
    spacing: [f64; 3],
    label: Option<VoxelSlice<'a>>,
    orientation: Orientation,
    window: Option<Window>,
    title: &'a str,
}

/// Colours of what is labelled, far from each other and from grey; further classes begin anew.
const PALETTE: [Rgb; 12] = [
    [255, 75, 60],
    [70, 220, 90],
    [85, 150, 255],
    [255, 210, 40],
    [215, 95, 255],
    [45, 225, 225],
    [255, 145, 35],
    [175, 240, 45],
    [255, 120, 175],
    [150, 130, 255],
    [0, 175, 140],
    [205, 160, 115],
];

/// The colour of voxels that are not a number.
const NOT_A_NUMBER: Rgb = [255, 0, 255];

impl<'a> View<'a> {
    /// Makes a view of voxels [C, z, y, x] with the spacing of x, y and z, whose axes point to right, anterior, superior.
    ///
    /// # Errors
    /// Refuses a number of voxels that does not fit the shape, a volume without voxels, and a spacing that is not positive.
    pub fn new(
        image: &'a [f32],
        channels: usize,
        shape: [usize; 3],
        spacing: [f64; 3],
    ) -> Result<Self, Error> {
        let voxels = shape.iter().try_fold(channels, |product, &n| product.checked_mul(n));
        if voxels.is_none_or(|voxels| voxels == 0 || voxels != image.len()) {
            let expected = format!("{channels} times the voxels of {shape:?}, which are not 0");
            return Err(Error::choice("image", expected, image.len()));
        }
        if !spacing.iter().all(|&x| 0.0 < x && x.is_finite()) {
            return Err(Error::choice("spacing", "positive and finite", format!("{spacing:?}")));
        }
        let orientation = Orientation::RAS;
        Ok(Self { image, shape, channels, spacing, label: None, orientation, window: None, title: "" })
    }

    /// Adds a label per voxel, [z, y, x]; 0 is nothing.
    ///
    /// # Errors
    /// Refuses another number of labels than voxels of one channel.
    pub fn with_label(self, label: VoxelSlice<'a>) -> Result<Self, Error> {
        let voxels: usize = self.shape.iter().product();
        if label.len() != voxels {
            return Err(Error::choice("label", format!("{voxels} voxels"), label.len()));
        }
        Ok(Self { label: Some(label), ..self })
    }

    /// Says which way the axes point, where it is not right, anterior, superior.
    #[must_use]
    pub fn with_orientation(self, orientation: Orientation) -> Self {
        Self { orientation, ..self }
    }

    /// Says what is black and what is white, for all channels; otherwise each channel's [`Window::robust`] decides.
    #[must_use]
    pub fn with_window(self, window: Window) -> Self {
        Self { window: Some(window), ..self }
    }

    /// Adds a word above the picture.
    #[must_use]
    pub fn with_title(self, title: &'a str) -> Self {
        Self { title, ..self }
    }

    /// Returns the number of channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    pub(super) fn own_window(&self) -> Option<Window> {
        self.window
    }

    pub(super) fn title(&self) -> &str {
        self.title
    }

    /// Returns the window of a channel.
    ///
    /// # Panics
    /// Panics if there is no such channel.
    pub fn window(&self, channel: usize) -> Window {
        self.window.unwrap_or_else(|| Window::robust(self.channel(channel)))
    }

    /// Returns the length of the longest side in millimetres.
    pub(super) fn extent(&self) -> f64 {
        (0..3).fold(0.0, |longest, axis| f64::max(longest, self.shape[axis] as f64 * self.spacing[axis]))
    }

    fn channel(&self, channel: usize) -> &'a [f32] {
        let voxels: usize = self.shape.iter().product();
        &self.image[channel * voxels..][..voxels]
    }

    /// Returns which planes there is something to see of: those that are wider than one voxel both ways, or the first.
    pub(super) fn planes(&self) -> Vec<Section> {
        let wide = |world: usize| 1 < self.shape[self.stored(world).0];
        let mut planes = Section::ALL.to_vec();
        planes.retain(|plane| {
            let (across, _, up) = plane.axes(Convention::default());
            wide(across) && wide(up)
        });
        if planes.is_empty() {
            planes.push(Section::Axial);
        }
        planes
    }

    /// Returns the stored axis that lies along an axis of the world, and whether it points the same way.
    fn stored(&self, world: usize) -> (usize, bool) {
        let directions = self.orientation.directions();
        let axis = (0..3).find(|&axis| directions[axis].world_axis() == world).unwrap_or(world);
        (axis, directions[axis].is_positive())
    }

    /// Returns the voxel that the planes go through.
    pub(super) fn through(&self, position: Position) -> [usize; 3] {
        let center = self.shape.map(|n| n / 2);
        let label = self.label.filter(|_| position == Position::Label);
        match (position, label) {
            (Position::At(voxel), _) => [0, 1, 2].map(|axis| voxel[axis].min(self.shape[axis] - 1)),
            (_, Some(label)) => {
                let [nx, ny, _] = self.shape;
                let mut counts = self.shape.map(|n| vec![0_usize; n]);
                for index in (0..label.len()).filter(|&index| label.at(index) != 0.0) {
                    counts[0][index % nx] += 1;
                    counts[1][index / nx % ny] += 1;
                    counts[2][index / (nx * ny)] += 1;
                }
                [0, 1, 2].map(|axis| {
                    // Of planes with as many, the nearest to the middle.
                    let rank = |at: &usize| (counts[axis][*at], usize::MAX - at.abs_diff(center[axis]));
                    (0..self.shape[axis]).max_by_key(rank).unwrap_or(center[axis])
                })
            }
            _ => center,
        }
    }

    /// Draws a plane of a channel at a scale of pixels a millimetre, with outlines of the labels.
    pub(super) fn draw(
        &self,
        channel: usize,
        plane: Section,
        convention: Convention,
        through: [usize; 3],
        scale: f64,
        letters: bool,
    ) -> Canvas {
        let (across, rightwards, up) = plane.axes(convention);
        let (h, h_positive) = self.stored(across);
        let (v, v_positive) = self.stored(up);
        // From a pixel to the stored voxels, as a number with a fraction.
        let pixels = |axis: usize| {
            let length = self.shape[axis] as f64 * self.spacing[axis] * scale;
            (length.round() as usize).clamp(1, 1 << 14)
        };
        let (width, height) = (pixels(h), pixels(v));
        let places = |axis: usize, count: usize, forwards: bool| -> Vec<f64> {
            let n = self.shape[axis] as f64;
            (0..count)
                .map(|pixel| {
                    let at = ((pixel as f64 + 0.5) / count as f64 * n - 0.5).clamp(0.0, n - 1.0);
                    if forwards { at } else { n - 1.0 - at }
                })
                .collect()
        };
        let columns = places(h, width, h_positive == rightwards);
        let rows = places(v, height, !v_positive);
        let voxels = self.channel(channel);
        let [nx, ny, _] = self.shape;
        let strides = [1, nx, nx * ny];
        let base: usize =
            (0..3).filter(|&axis| axis != h && axis != v).map(|a| through[a] * strides[a]).sum();
        let window = self.window(channel);
        let mut canvas = Canvas::new(width, height, [0; 3]);
        for (y, &row) in rows.iter().enumerate() {
            let (r0, r1, fr) = neighbours(row, self.shape[v]);
            for (x, &column) in columns.iter().enumerate() {
                let (c0, c1, fc) = neighbours(column, self.shape[h]);
                let at = |r: usize, c: usize| f64::from(voxels[base + r * strides[v] + c * strides[h]]);
                let mix =
                    |a: f64, b: f64, part: f64| if part == 0.0 { a } else { a * (1.0 - part) + b * part };
                let value = mix(mix(at(r0, c0), at(r0, c1), fc), mix(at(r1, c0), at(r1, c1), fc), fr);
                let grey = window.brightness(value as f32);
                canvas.set(x, y, grey.map_or(NOT_A_NUMBER, |grey| [grey; 3]));
            }
        }
        if let Some(label) = self.label {
            let nearest = |places: &[f64]| places.iter().map(|x| x.round() as usize).collect::<Vec<_>>();
            let (columns, rows) = (nearest(&columns), nearest(&rows));
            let at = |x: usize, y: usize| label.at(base + rows[y] * strides[v] + columns[x] * strides[h]);
            outline(&mut canvas, at);
        }
        if letters {
            draw_letters(&mut canvas, across, rightwards, up);
        }
        canvas
    }
}

/// Returns the voxels on both sides of a place, and how far it is from the first.
fn neighbours(at: f64, n: usize) -> (usize, usize, f64) {
    let low = (at as usize).min(n - 1);
    (low, (low + 1).min(n - 1), at - low as f64)
}

/// Colours the pixels of each label that have another label beside them.
fn outline(canvas: &mut Canvas, label: impl Fn(usize, usize) -> f64) {
    let (width, height) = (canvas.width(), canvas.height());
    for y in 0..height {
        for x in 0..width {
            let own = label(x, y);
            if own == 0.0 || own.is_nan() {
                continue;
            }
            let differs = (0 < x && label(x - 1, y) != own)
                || (x + 1 < width && label(x + 1, y) != own)
                || (0 < y && label(x, y - 1) != own)
                || (y + 1 < height && label(x, y + 1) != own);
            if differs {
                canvas.set(x, y, label_color(own as i64));
            }
        }
    }
}

/// Returns the colour of a class.
pub(super) fn label_color(label: i64) -> Rgb {
    PALETTE[(label - 1).rem_euclid(PALETTE.len() as i64) as usize]
}

/// Writes at the edges which way they lie.
fn draw_letters(canvas: &mut Canvas, across: usize, rightwards: bool, up: usize) {
    const NAMES: [[&str; 2]; 3] = [["L", "R"], ["P", "A"], ["I", "S"]];
    const COLOR: Rgb = [255, 230, 120];
    let (width, height) = (canvas.width(), canvas.height());
    let (letter, tall) = Canvas::text_size("R", 1);
    if width < 5 * letter || height < 5 * tall {
        return;
    }
    let (left, right) = (NAMES[across][usize::from(!rightwards)], NAMES[across][usize::from(rightwards)]);
    canvas.text(left, 2, (height - tall) / 2, 1, COLOR);
    canvas.text(right, width - letter - 2, (height - tall) / 2, 1, COLOR);
    canvas.text(NAMES[up][1], (width - letter) / 2, 2, 1, COLOR);
    canvas.text(NAMES[up][0], (width - letter) / 2, height - tall - 1, 1, COLOR);
}
