//! Draws a sheet of generated characters: `cargo run -p batchwright-images --example glyphs -- sheet.png [seed]`.

use batchwright_images::{Glyphs, Grid, Images, Pixels, write_png};
use ndarray::ArrayView4;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "glyphs.png".to_owned());
    let seed = arguments.next().map_or(Ok(42), |seed| seed.parse())?;
    let glyphs = Glyphs { seed, classes: 20, drawings: 10, ..Glyphs::default() };
    let images: Images = glyphs.images()?;
    let Pixels::U8(pixels) = images.pixels() else { return Err("glyphs are bytes".into()) };
    let values: Vec<f32> = pixels.iter().map(|&x| f32::from(x) / 255.0).collect();
    let grid = Grid { columns: Some(20), ..Grid::default() };
    write_png(path.as_ref(), grid.sheet(ArrayView4::from_shape((200, 1, 28, 28), &values)?).view())?;
    Ok(())
}
