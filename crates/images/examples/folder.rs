//! How many pictures of a folder or a zip archive come a second, as they are, kept in memory, and augmented:
//! `cargo run --release -p batchwright-images --example folder -- images_background_small1.zip`

#![expect(clippy::print_stdout, reason = "a program that says what it measured")]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use batchwright_core::{BatchOptions, Batches, BoxError, Dataset, Loader, LoaderOptions, Shuffled};
use batchwright_images::{
    Augment, Elastic, Fit, Folder, FolderOptions, ImageOptions, ImageSet, QuarterTurns, Rotate, Shear, Shift,
    Zoom,
};

fn main() -> Result<(), BoxError> {
    let path = std::env::args().nth(1).ok_or("the folder or the archive is missing")?;
    let affine = Augment {
        scale: Some(Zoom { factor: [0.8, 1.2], probability: 1.0 }),
        shear: Some(Shear { degrees: [-15.0, 15.0], probability: 1.0 }),
        rotate: Some(Rotate { degrees: [-15.0, 15.0], probability: 1.0 }),
        shift: Some(Shift { x: [-2.0, 2.0], y: [-2.0, 2.0], probability: 1.0 }),
        ..Augment::default()
    };
    let elastic = Some(Elastic { displacement: [0.5, 1.0], cells: 4, probability: 1.0 });
    let deformed = Augment { elastic, ..affine.clone() };
    for in_memory in [false, true] {
        let options = FolderOptions {
            size: Some([28, 28]),
            fit: Fit::Area,
            invert: true,
            in_memory,
            ..FolderOptions::default()
        };
        let start = Instant::now();
        let folder = Folder::open(Path::new(&path), options)?;
        println!("in memory: {in_memory}; opened in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
        let turned = Arc::new(QuarterTurns::new(folder)?);
        for (name, augment) in [("plain", None), ("affine", Some(&affine)), ("elastic", Some(&deformed))] {
            let options = ImageOptions { augment: augment.cloned(), ..ImageOptions::default() };
            let set = Arc::new(ImageSet::new(Arc::clone(&turned), options)?);
            for workers in [0, 1] {
                let rate = rate(&set, workers)?;
                println!("  {name:8} {workers} workers: {rate:.0} images/s");
            }
        }
    }
    Ok(())
}

/// Returns how many samples come a second, over an epoch after the first.
fn rate(set: &Arc<impl Dataset + 'static>, workers: usize) -> Result<f64, BoxError> {
    let samples = set.len();
    let options = BatchOptions { seed: 1, batch_size: 256, ..BatchOptions::default() };
    let batches = Batches::new(Arc::clone(set), Shuffled::new(samples), options)?;
    let epochs = Some(3);
    let mut loader = Loader::new(batches, LoaderOptions { workers, epochs, ..LoaderOptions::default() });
    let per_epoch = samples.div_ceil(256);
    for _ in 0..per_epoch {
        loader.next_batch().transpose()?;
    }
    let start = Instant::now();
    for _ in 0..2 * per_epoch {
        loader.next_batch().transpose()?;
    }
    Ok(2.0 * samples as f64 / start.elapsed().as_secs_f64())
}
