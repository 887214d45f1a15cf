//! Uses batchwright-images as somebody would who takes this crate alone.

use std::path::Path;

use batchwright_images::{Error, Glyphs, ImageSource as _, Images, Pixels, write_png_gray};

/// Draws `drawings` of each of three characters.
pub fn draw(drawings: usize) -> Result<Images, Error> {
    Glyphs { classes: 3, drawings, ..Glyphs::default() }.images()
}

/// Writes all images as one PNG, one below the other.
pub fn write(images: &Images, path: &Path) -> Result<(), Error> {
    let [_, _, width] = images.shape();
    match images.pixels() {
        Pixels::U8(pixels) => write_png_gray(path, pixels, width),
        Pixels::F32(_) => unreachable!("glyphs are bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawings_are_labelled_and_become_a_picture() {
        let images = draw(4).unwrap();
        assert_eq!(images.len(), 12);
        assert_eq!(images.labels().unwrap()[..4], [0, 1, 2, 0]);
        let path = std::env::temp_dir().join(format!("standalone-images-{}.png", std::process::id()));
        write(&images, &path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(bytes.starts_with(b"\x89PNG"));
    }
}
