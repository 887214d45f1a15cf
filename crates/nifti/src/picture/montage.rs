//! Many volumes on one sheet.

use std::path::Path;

use super::canvas::{Canvas, Rgb, wrap};
use super::view::{Convention, Position, View, label_color};
use crate::error::Error;

const BACKGROUND: Rgb = [28, 30, 34];
const TEXT: Rgb = [225, 225, 225];
const QUIET: Rgb = [150, 155, 165];

/// Pixels between two planes, between two views, and around a cell.
const BETWEEN_PLANES: usize = 2;
const BETWEEN_VIEWS: usize = 10;
const AROUND: usize = 6;

/// How a montage is laid out.
#[derive(Clone, Debug, PartialEq)]
pub struct MontageOptions {
    /// Pixels of the longest side of a view; by default 128.
    pub panel: usize,
    /// How many cells stand beside each other; by default 1.
    pub columns: usize,
    /// How many channels are shown, one below the other; by default 4.
    pub channels: usize,
    /// Which side the patient's left is on; by default the right one, as radiologists have it.
    pub convention: Convention,
    /// Which planes are shown; by default the middle ones.
    pub position: Position,
    /// Whether the edges are marked with R, L, A, P, S, I; by default yes.
    pub letters: bool,
    /// Pixels of a dot of a letter of the captions; by default 1.
    pub text: usize,
}

impl Default for MontageOptions {
    fn default() -> Self {
        Self {
            panel: 128,
            columns: 1,
            channels: 4,
            convention: Convention::default(),
            position: Position::default(),
            letters: true,
            text: 1,
        }
    }
}

/// A sheet of cells: each a caption over one or more views side by side, such as a patch before and after augmentation;
/// each view in three planes with its labels outlined, a line per channel.
///
/// ```
/// use batchwright_nifti::{Montage, MontageOptions, View, VoxelSlice};
/// let (image, label) = (vec![0.5; 16 * 16 * 8], vec![1_u8; 16 * 16 * 8]);
/// let before = View::new(&image, 1, [16, 16, 8], [1.0, 1.0, 2.0])?.with_label(VoxelSlice::U8(&label))?;
/// let mut montage = Montage::new(MontageOptions { panel: 64, ..MontageOptions::default() })?;
/// montage.add("flip x", &[before.with_title("before"), before.with_title("after")]);
/// let picture = montage.canvas();
/// assert!(6 * 64 < picture.width());
/// # Ok::<(), batchwright_nifti::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Montage {
    options: MontageOptions,
    cells: Vec<Canvas>,
}

impl Montage {
    /// Makes an empty sheet.
    ///
    /// # Errors
    /// Refuses panels below 8 or above 4096 pixels, no columns, no channels, and letters without dots or of more than 8.
    pub fn new(options: MontageOptions) -> Result<Self, Error> {
        let within = |key, value: usize, low: usize, high: usize| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(Error::choice(key, format!("from {low} to {high}"), value))
            }
        };
        within("panel", options.panel, 8, 4096)?;
        within("columns", options.columns, 1, 1024)?;
        within("channels", options.channels, 1, 1024)?;
        within("text", options.text, 1, 8)?;
        Ok(Self { options, cells: Vec::new() })
    }

    /// Adds a cell. A view without a window of its own is shown in that of the first view, if it has as many channels, so
    /// that brightness before and after can be compared.
    pub fn add(&mut self, caption: &str, views: &[View<'_>]) {
        let options = &self.options;
        let first = views.first();
        let drawn: Vec<Canvas> = views
            .iter()
            .map(|view| {
                let like = first.filter(|first| first.channels() == view.channels());
                self.draw(view, like.unwrap_or(view))
            })
            .collect();
        let zoom = options.text;
        let titled = views.iter().any(|view| !view.title().is_empty());
        let line = Canvas::text_size("", zoom).1 + 2;
        let width = drawn.iter().map(|view| view.width() + BETWEEN_VIEWS).sum::<usize>().max(1);
        let width = width.saturating_sub(BETWEEN_VIEWS).max(12 * Canvas::text_size("m", zoom).0);
        let letters = (width + zoom) / (Canvas::text_size("m", zoom).0 + zoom);
        let caption = if caption.is_empty() { Vec::new() } else { wrap(caption, letters) };
        let top = caption.len() * line + if titled { line } else { 0 };
        let height = top + drawn.iter().map(Canvas::height).max().unwrap_or(0);
        let mut cell = Canvas::new(width + 2 * AROUND, height + 2 * AROUND, BACKGROUND);
        for (index, text) in caption.iter().enumerate() {
            cell.text(text, AROUND, AROUND + index * line, zoom, TEXT);
        }
        let mut x = AROUND;
        for (view, canvas) in views.iter().zip(&drawn) {
            cell.text(view.title(), x, (AROUND + top).saturating_sub(line), zoom, QUIET);
            cell.place(canvas, x, AROUND + top);
            x += canvas.width() + BETWEEN_VIEWS;
        }
        self.cells.push(cell);
    }

    /// Adds a cell with the colours of classes and their names.
    pub fn add_legend(&mut self, names: &[(i64, &str)]) {
        let zoom = self.options.text;
        let line = Canvas::text_size("", zoom).1 + 3;
        let letters = names.iter().map(|(_, name)| Canvas::text_size(name, zoom).0).max().unwrap_or(0);
        let mark = 2 * line;
        let mut cell = Canvas::new(mark + letters + 2 * AROUND, names.len() * line + 2 * AROUND, BACKGROUND);
        for (index, &(label, name)) in names.iter().enumerate() {
            let y = AROUND + index * line;
            cell.place(&Canvas::new(mark - line / 2, line - 3, label_color(label)), AROUND, y);
            cell.text(name, AROUND + mark, y, zoom, TEXT);
        }
        self.cells.push(cell);
    }

    /// Returns how many cells there are.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Returns whether there is no cell.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Draws the planes of a view beside each other, the channels below each other.
    fn draw(&self, view: &View<'_>, like: &View<'_>) -> Canvas {
        let options = &self.options;
        let through = view.through(options.position);
        let scale = options.panel as f64 / view.extent();
        let lines: Vec<Vec<Canvas>> = (0..view.channels().min(options.channels))
            .map(|channel| {
                let shown = view.with_window(view.own_window().unwrap_or_else(|| like.window(channel)));
                let draw =
                    |plane| shown.draw(channel, plane, options.convention, through, scale, options.letters);
                view.planes().into_iter().map(draw).collect()
            })
            .collect();
        let wide =
            |line: &Vec<Canvas>| line.iter().map(|plane| plane.width() + BETWEEN_PLANES).sum::<usize>();
        let tall = |line: &Vec<Canvas>| line.iter().map(Canvas::height).max().unwrap_or(0) + BETWEEN_PLANES;
        let width = lines.iter().map(wide).max().unwrap_or(0).saturating_sub(BETWEEN_PLANES);
        let height = lines.iter().map(tall).sum::<usize>().saturating_sub(BETWEEN_PLANES);
        let mut canvas = Canvas::new(width, height, BACKGROUND);
        let mut y = 0;
        for line in &lines {
            let height = tall(line) - BETWEEN_PLANES;
            let mut x = 0;
            for plane in line {
                canvas.place(plane, x, y + (height - plane.height()) / 2);
                x += plane.width() + BETWEEN_PLANES;
            }
            y += height + BETWEEN_PLANES;
        }
        canvas
    }

    /// Returns the sheet: the cells row by row, a column as wide as its widest cell.
    pub fn canvas(&self) -> Canvas {
        let columns = self.options.columns.min(self.cells.len()).max(1);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                self.cells.iter().skip(column).step_by(columns).map(Canvas::width).max().unwrap_or(0)
            })
            .collect();
        let rows: Vec<&[Canvas]> = self.cells.chunks(columns).collect();
        let tall = |row: &&[Canvas]| row.iter().map(Canvas::height).max().unwrap_or(0);
        let mut sheet = Canvas::new(
            widths.iter().sum::<usize>().max(1),
            rows.iter().map(tall).sum::<usize>().max(1),
            BACKGROUND,
        );
        let mut y = 0;
        for row in &rows {
            let mut x = 0;
            for (cell, width) in row.iter().zip(&widths) {
                sheet.place(cell, x, y);
                x += width;
            }
            y += tall(row);
        }
        sheet
    }

    /// Writes the sheet as PNG.
    ///
    /// # Errors
    /// Says which file cannot be written.
    pub fn write_png(&self, path: &Path) -> Result<(), Error> {
        self.canvas().write_png(path)
    }
}
