//! Mean and standard deviation of images.

use rayon::prelude::*;

use crate::error::Error;
use crate::options::{MeanStd, Scale};
use crate::source::{ImageSource, PixelView, Scratch, size};

/// Lanes of the sums over floats: as many as the widest vectors hold, on every system.
const LANES: usize = 8;

/// Count, mean and sum of squared deviations of some values.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Joins the moments of other values (Chan, Golub, `LeVeque` 1979).
    fn join(self, other: Self) -> Self {
        let count = self.count + other.count;
        if count == 0.0 {
            return self;
        }
        let apart = other.mean - self.mean;
        Self {
            count,
            mean: self.mean + apart * (other.count / count),
            squares: self.squares + other.squares + apart * apart * (self.count * other.count / count),
        }
    }

    /// Sums are of whole numbers, and exact.
    fn of_bytes(values: &[u8]) -> Self {
        let sum: u64 = values.iter().map(|&x| u64::from(x)).sum();
        let squares: u64 = values.iter().map(|&x| u64::from(x) * u64::from(x)).sum();
        let count = values.len() as u64;
        // count * squares - sum^2 is a whole number, which has no rounding to lose.
        let scatter = u128::from(count) * u128::from(squares) - u128::from(sum) * u128::from(sum);
        let count = count.max(1) as f64;
        Self { count: values.len() as f64, mean: sum as f64 / count, squares: scatter as f64 / count }
    }

    fn of_floats(values: &[f32]) -> Self {
        let count = values.len().max(1) as f64;
        let mean = sum(values, |x| x) / count;
        let squares = sum(values, |x| (x - mean) * (x - mean));
        Self { count: values.len() as f64, mean, squares }
    }
}

fn sum(values: &[f32], term: impl Fn(f64) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    for chunk in values.chunks(LANES) {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += term(f64::from(value));
        }
    }
    lanes.iter().sum()
}

impl MeanStd {
    /// Computes mean and standard deviation of each channel over the given images of a source (the training side of a
    /// split), divided as `scale` says. Images are read on all cores; the result is the same for any number of them:
    /// each image is summed by itself in `f64`, and images are joined in the order of `indices`.
    ///
    /// # Errors
    /// Refuses no images and a shape with a zero; names the image that cannot be read.
    pub fn of(source: &(impl ImageSource + ?Sized), indices: &[usize], scale: Scale) -> Result<Self, Error> {
        source.check()?;
        let shape = source.shape();
        let expected = size(shape)?;
        let channels = if source.is_volume() { 1 } else { shape[0] };
        let plane = expected / channels;
        let divisor = f64::from(match scale {
            Scale::FullRange => source.full_scale(),
            Scale::None => 1.0,
            Scale::Divide(divisor) => divisor,
        });
        let image = |scratch: &mut Scratch, index: usize| -> Result<Vec<Moments>, Error> {
            match source.fetch(index, scratch) {
                Ok(pixels) if pixels.len() != expected => {
                    Err(Error::Pixels { index, id: source.id(index), shape, expected, found: pixels.len() })
                }
                Ok(PixelView::U8(pixels)) => Ok(pixels.chunks(plane).map(Moments::of_bytes).collect()),
                Ok(PixelView::F32(pixels)) => Ok(pixels.chunks(plane).map(Moments::of_floats).collect()),
                Err(error) => Err(Error::Image { index, id: source.id(index), source: error.into_source() }),
            }
        };
        let mut all = vec![Moments::default(); channels];
        // In blocks, so that memory does not grow with the number of images.
        for block in indices.chunks(1 << 14) {
            let moments: Vec<Result<Vec<Moments>, Error>> = block
                .par_iter()
                .map_init(Scratch::default, |scratch, &index| image(scratch, index))
                .collect();
            for moments in moments {
                for (all, moments) in all.iter_mut().zip(moments?) {
                    *all = all.join(moments);
                }
            }
        }
        if indices.is_empty() {
            return Err(Error::choice("normalize", "at least one image to compute it from", 0));
        }
        Ok(Self {
            mean: all.iter().map(|moments| (moments.mean / divisor) as f32).collect(),
            std: all
                .iter()
                .map(|moments| ((moments.squares / moments.count).sqrt() / divisor) as f32)
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::Images;

    #[test]
    fn moments_are_those_of_the_chosen_images_by_channel() {
        let pixels = vec![0, 255, 10, 20, 255, 255, 30, 40, 9, 9, 9, 9];
        let images = Images::from_u8([2, 1, 2], pixels).unwrap();
        let found = MeanStd::of(&images, &[0, 1], Scale::FullRange).unwrap();
        assert_eq!(found.mean, [0.75, 25.0 / 255.0]);
        let std = [(3.0_f64 / 16.0).sqrt() as f32, (125.0_f64.sqrt() / 255.0) as f32];
        assert_eq!(found.std, std);
        let raw = MeanStd::of(&images, &[2], Scale::None).unwrap();
        assert_eq!((raw.mean, raw.std), (vec![9.0, 9.0], vec![0.0, 0.0]));
        assert!(MeanStd::of(&images, &[], Scale::None).is_err());
    }

    #[test]
    fn the_bits_are_the_same_for_any_number_of_threads_and_near_the_definition() {
        let values: Vec<f32> = (0..300 * 35).map(|i| ((i * 7919) % 1000) as f32 * 0.37 + 1000.0).collect();
        let images = Images::from_f32([1, 5, 7], values.clone()).unwrap();
        let all: Vec<usize> = (0..300).collect();
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| MeanStd::of(&images, &all, Scale::None).unwrap())
        };
        let one = with(1);
        assert!((2..6).all(|threads| with(threads) == one));
        let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / values.len() as f64;
        let variance =
            values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / values.len() as f64;
        assert!((f64::from(one.mean[0]) - mean).abs() < 1e-4);
        assert!((f64::from(one.std[0]) / variance.sqrt() - 1.0).abs() < 1e-6);
    }
}
