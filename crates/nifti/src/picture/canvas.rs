//! A rectangle of coloured pixels, and what can be put on it.

use std::io;
use std::path::Path;

use image::{ExtendedColorType, ImageEncoder as _, codecs::png::PngEncoder};

use super::font;
use crate::error::Error;

/// Red, green and blue.
pub type Rgb = [u8; 3];

/// A picture under construction: pixels in rows from the top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canvas {
    // Invariant: width * height pixels.
    width: usize,
    height: usize,
    pixels: Vec<Rgb>,
}

impl Canvas {
    /// Makes a canvas of one colour.
    pub fn new(width: usize, height: usize, color: Rgb) -> Self {
        Self { width, height, pixels: vec![color; width * height] }
    }

    /// Returns the width.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns the height.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Returns a pixel, or nothing beyond the edges.
    pub fn at(&self, x: usize, y: usize) -> Option<Rgb> {
        (x < self.width && y < self.height).then(|| self.pixels[y * self.width + x])
    }

    /// Colours a pixel; beyond the edges nothing happens.
    pub fn set(&mut self, x: usize, y: usize, color: Rgb) {
        if x < self.width && y < self.height {
            self.pixels[y * self.width + x] = color;
        }
    }

    /// Puts another canvas on this one, its upper left corner at (x, y); what reaches beyond the edges is cut off.
    pub fn place(&mut self, other: &Self, x: usize, y: usize) {
        for (row, pixels) in other.pixels.chunks_exact(other.width.max(1)).enumerate() {
            for (column, &color) in pixels.iter().enumerate() {
                self.set(x.saturating_add(column), y.saturating_add(row), color);
            }
        }
    }

    /// Writes a line of text, its upper left corner at (x, y), each dot of a letter `zoom` pixels wide. Letters that are
    /// not ASCII appear as question marks.
    pub fn text(&mut self, text: &str, x: usize, y: usize, zoom: usize, color: Rgb) {
        for (index, letter) in text.chars().enumerate() {
            let left = x + index * (font::WIDTH + 1) * zoom;
            for (row, bits) in font::glyph(letter).into_iter().enumerate() {
                for column in (0..font::WIDTH).filter(|column| bits >> (font::WIDTH - 1 - column) & 1 == 1) {
                    for dot in 0..zoom * zoom {
                        let (dx, dy) = (dot % zoom, dot / zoom);
                        self.set(left + column * zoom + dx, y + row * zoom + dy, color);
                    }
                }
            }
        }
    }

    /// Returns the width and height that a line of text takes.
    pub fn text_size(text: &str, zoom: usize) -> (usize, usize) {
        ((text.chars().count() * (font::WIDTH + 1)).saturating_sub(1) * zoom, font::HEIGHT * zoom)
    }

    /// Writes the picture as PNG.
    ///
    /// # Errors
    /// Refuses a picture without pixels; says which file cannot be written.
    pub fn write_png(&self, path: &Path) -> Result<(), Error> {
        let side = |n: usize| u32::try_from(n).ok().filter(|&n| 0 < n);
        let (Some(width), Some(height)) = (side(self.width), side(self.height)) else {
            let found = format!("{} by {} pixels", self.width, self.height);
            return Err(Error::choice("picture", "from 1 to 2^32 - 1 pixels a side", found));
        };
        let mut file = Vec::new();
        PngEncoder::new(&mut file)
            .write_image(self.pixels.as_flattened(), width, height, ExtendedColorType::Rgb8)
            .map_err(|source| Error::io("encode", path, io::Error::other(source)))?;
        std::fs::write(path, file).map_err(|source| Error::io("write", path, source))
    }
}

/// Divides a text into lines of at most `letters`, between words where that is possible.
pub(super) fn wrap(text: &str, letters: usize) -> Vec<String> {
    let letters = letters.max(1);
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        loop {
            let line = lines.last_mut().expect("there is a line from the start");
            let used = line.chars().count();
            let space = usize::from(0 < used);
            if used + space + word.len() <= letters {
                line.extend([' '].iter().take(space));
                line.extend(&word);
                break;
            }
            if used == 0 {
                line.extend(word.drain(..letters));
            }
            lines.push(String::new());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_stand_where_they_are_put_and_are_read_back_from_the_file() {
        let mut canvas = Canvas::new(12, 9, [0; 3]);
        canvas.text("T", 1, 1, 1, [9, 8, 7]);
        let row = |canvas: &Canvas, y| (0..12).map(|x| canvas.at(x, y).unwrap()[0] / 9).collect::<Vec<_>>();
        assert_eq!(row(&canvas, 1), [0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(row(&canvas, 2), [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(row(&canvas, 8), [0; 12]);
        assert_eq!((Canvas::text_size("ab", 2), Canvas::text_size("", 1)), ((22, 16), (0, 8)));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        canvas.write_png(&path).unwrap();
        let read = image::open(&path).unwrap().to_rgb8();
        assert_eq!((read.dimensions(), read.get_pixel(3, 2).0), ((12, 9), [9, 8, 7]));
        assert!(Canvas::new(0, 3, [0; 3]).write_png(&path).is_err());
        let missing = canvas.write_png(&folder.path().join("no/a.png")).unwrap_err();
        assert!(missing.to_string().starts_with("cannot write"), "{missing}");
    }

    #[test]
    fn beyond_the_edges_nothing_is_drawn() {
        let mut canvas = Canvas::new(3, 3, [1; 3]);
        canvas.place(&Canvas::new(3, 3, [5; 3]), 2, 1);
        canvas.place(&Canvas::new(0, 0, [6; 3]), 0, 0);
        canvas.set(3, 0, [7; 3]);
        canvas.text("\u{e9}W", 1, 100, 3, [8; 3]);
        let changed = (0..9).filter(|i| canvas.at(i % 3, i / 3) != Some([1; 3])).collect::<Vec<_>>();
        assert_eq!(changed, [5, 8]);
        assert_eq!(canvas.at(0, 3), None);
    }

    #[test]
    fn lines_break_between_words_and_within_one_that_is_too_long() {
        assert_eq!(wrap("gamma 0.7, inverted", 12), ["gamma 0.7,", "inverted"]);
        assert_eq!(wrap("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!((wrap("", 5), wrap("a", 0)), (vec![String::new()], vec!["a".to_owned()]));
    }
}
