//! The generator that the crate's README builds, put through the laws.

use batchwright_core::testing::check_sequence;
use batchwright_core::{Batch, BoxError, Field, Name, Permutation, Sequence, Stream};

use crate::common::within_a_minute;

/// Rows of a label and pixels, as batches of images and one-hot labels.
struct CustomDataGenerator {
    labels: Vec<u8>,
    pixels: Vec<u8>,
    seed: u64,
}

impl Sequence for CustomDataGenerator {
    fn len(&self) -> usize {
        self.labels.len().div_ceil(4)
    }

    fn get(&self, epoch: u64, index: usize) -> Result<Batch, BoxError> {
        const ORDER: Name = Name::new("custom/order");
        let n = self.labels.len();
        let order = Permutation::new(n as u64, &mut Stream::new(self.seed, epoch, 0, ORDER));
        let rows: Vec<usize> =
            (index * 4..n.min(index * 4 + 4)).map(|at| order.at(at as u64) as usize).collect();
        let fields = vec![Field::new::<f32>("image", &[1, 2, 2]), Field::new::<f32>("label", &[3])];
        let mut batch = Batch::zeroed(fields, rows.len())?;
        for (image, &row) in batch.get_mut::<f32>("image")?.chunks_exact_mut(4).zip(&rows) {
            for (out, &pixel) in image.iter_mut().zip(&self.pixels[row * 4..row * 4 + 4]) {
                *out = f32::from(pixel) / 255.0;
            }
        }
        for (one_hot, &row) in batch.get_mut::<f32>("label")?.chunks_exact_mut(3).zip(&rows) {
            one_hot[usize::from(self.labels[row])] = 1.0;
        }
        Ok(batch)
    }
}

#[test]
fn the_articles_generator_keeps_the_laws() {
    within_a_minute(|| {
        check_sequence(|| CustomDataGenerator {
            labels: (0..10).map(|i| i % 3).collect(),
            pixels: (0..40).collect(),
            seed: 1,
        });
    });
}
