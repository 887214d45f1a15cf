//! Images brought to the same place and size, by where their ink is.

use batchwright_core::{Fingerprint, SampleError};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::source::{ImageSource, PixelType, PixelView, Scratch, check_pixels, size};

/// Samples taken along each side of a pixel, so that thin lines survive where images shrink.
const OVERSAMPLED: usize = 3;

/// Where the ink of an image is brought to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Align {
    /// Height and width of the images that come out; by default those of the images.
    pub size: Option<usize>,
    /// The standard deviation of the ink along each axis, as a fraction of the side; by default 0.21.
    pub spread: f64,
    /// The least that ink spreads along an axis, as a fraction of its spread along both together, to be widened to `spread`:
    /// what is thinner stays thin, as the bar of an I. By default 0.5.
    pub aspect: f64,
}

impl Default for Align {
    fn default() -> Self {
        Self { size: None, spread: 0.21, aspect: 0.5 }
    }
}

/// A source whose images are moved and scaled so that their ink lies alike: its centre of mass in the middle, its standard
/// deviations along x and y a part of the side. Brightness is taken for ink, so dark ink on white paper is to be inverted first.
///
/// With the centre c and standard deviations s of the ink (pixels weighed by their values), s' = sqrt((sx² + sy²) / 2) and
/// r = max(s, `aspect` s') along each axis, a place p of the output, as a fraction of its side from the middle, shows the place
/// c + p r / `spread` of the image, interpolated linearly, 0 outside; 3 x 3 places a pixel are averaged. An image without ink
/// is scaled to the size alone.
///
/// ```
/// use batchwright_images::{Align, Aligned, ImageSource, Images, PixelView, Scratch};
/// let mut corner = vec![0; 64];
/// for place in [9, 10, 17, 18] {
///     corner[place] = 255;
/// }
/// let images = Images::from_u8([1, 8, 8], corner)?;
/// let aligned = Aligned::new(images, Align::default())?;
/// let mut scratch = Scratch::default();
/// let Ok(PixelView::U8(pixels)) = aligned.fetch(0, &mut scratch) else { unreachable!("bytes stay bytes") };
/// assert!(pixels[3 * 8 + 3] == 255 && pixels[4 * 8 + 4] == 255 && pixels[0] < 64);
/// # Ok::<(), batchwright_images::Error>(())
/// ```
#[derive(Debug)]
pub struct Aligned<S> {
    source: S,
    align: Align,
    shape: [usize; 3],
}

impl<S: ImageSource> Aligned<S> {
    /// Aligns the images of `source`.
    ///
    /// # Errors
    /// Refuses volumes, images that are not square or have several channels, and choices out of their range.
    pub fn new(source: S, align: Align) -> Result<Self, Error> {
        source.check()?;
        if source.is_volume() {
            return Err(Error::choice("align", "images", "volumes"));
        }
        size(source.shape())?;
        let [channels, height, width] = source.shape();
        if channels != 1 || height != width {
            let found = format!("{channels} x {height} x {width} (channels, height, width)");
            return Err(Error::choice("align", "square images with one channel", found));
        }
        let Align { size, spread, aspect } = align;
        let side = size.unwrap_or(height);
        if !(1..=16_384).contains(&side) {
            return Err(Error::choice("align.size", "1 to 16384 pixels", side));
        }
        if !(0.01..=1.0).contains(&spread) {
            return Err(Error::choice("align.spread", "0.01 to 1", spread));
        }
        if !(0.01..=1.0).contains(&aspect) {
            return Err(Error::choice("align.aspect", "0.01 to 1", aspect));
        }
        Ok(Self { source, align, shape: [1, side, side] })
    }

    /// Brings one image to its place.
    fn align<T: Copy + Into<f32>>(&self, from: &[T], side: usize, mut put: impl FnMut(f32)) {
        let to = self.shape[1];
        let (center, reach) = self.frame(from, side);
        let parts = to * OVERSAMPLED;
        // Along each axis, where every sample lies.
        let places = [0, 1].map(|axis| {
            let place = |at: usize| {
                let p = (at as f32 + 0.5) / parts as f32 - 0.5;
                center[axis] + p * reach[axis]
            };
            (0..parts).map(place).collect::<Vec<f32>>()
        });
        let last = side as isize;
        let value = |x: isize, y: isize| -> f32 {
            if (0..last).contains(&x) && (0..last).contains(&y) {
                from[y as usize * side + x as usize].into()
            } else {
                0.0
            }
        };
        for rows in places[1].chunks_exact(OVERSAMPLED) {
            for columns in places[0].chunks_exact(OVERSAMPLED) {
                let mut sum = 0.0;
                for y in rows {
                    let (top, dy) = (y.floor(), y - y.floor());
                    for x in columns {
                        let (left, dx) = (x.floor(), x - x.floor());
                        let (x, y) = (left as isize, top as isize);
                        let upper = value(x, y) * (1.0 - dx) + value(x + 1, y) * dx;
                        let lower = value(x, y + 1) * (1.0 - dx) + value(x + 1, y + 1) * dx;
                        sum += upper * (1.0 - dy) + lower * dy;
                    }
                }
                put(sum / (OVERSAMPLED * OVERSAMPLED) as f32);
            }
        }
    }

    /// Returns the centre of the ink, and how many pixels the side of the output shows, along x and y.
    fn frame<T: Copy + Into<f32>>(&self, from: &[T], side: usize) -> ([f32; 2], [f32; 2]) {
        let (mut mass, mut first, mut second) = (0.0_f64, [0.0_f64; 2], [0.0_f64; 2]);
        for (y, row) in from.chunks_exact(side).enumerate() {
            for (x, &pixel) in row.iter().enumerate() {
                let ink = f64::from(pixel.into()).max(0.0);
                if 0.0 < ink {
                    mass += ink;
                    for (axis, at) in [x as f64, y as f64].into_iter().enumerate() {
                        first[axis] += ink * at;
                        second[axis] += ink * at * at;
                    }
                }
            }
        }
        let middle = (side as f32 - 1.0) / 2.0;
        if !(0.0 < mass && mass.is_finite()) {
            return ([middle; 2], [side as f32; 2]);
        }
        let center = first.map(|sum| sum / mass);
        let variance = [0, 1].map(|axis| (second[axis] / mass - center[axis] * center[axis]).max(0.0));
        let both = f64::midpoint(variance[0], variance[1]).sqrt();
        if both < 1e-3 {
            // A single point of ink has no size.
            return (center.map(|at| at as f32), [side as f32; 2]);
        }
        let Align { spread, aspect, .. } = self.align;
        let reach = variance.map(|variance| (variance.sqrt().max(aspect * both) / spread) as f32);
        (center.map(|at| at as f32), reach)
    }
}

impl<S: ImageSource> ImageSource for Aligned<S> {
    fn len(&self) -> usize {
        self.source.len()
    }

    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn pixel_type(&self) -> PixelType {
        self.source.pixel_type()
    }

    fn full_scale(&self) -> f32 {
        self.source.full_scale()
    }

    fn label(&self, index: usize) -> Option<i64> {
        self.source.label(index)
    }

    fn classes(&self) -> usize {
        self.source.classes()
    }

    fn class_name(&self, class: usize) -> Option<&str> {
        self.source.class_name(class)
    }

    fn id(&self, index: usize) -> String {
        self.source.id(index)
    }

    fn group(&self, index: usize) -> Option<&str> {
        self.source.group(index)
    }

    fn fact(&self, index: usize, name: &str) -> Option<String> {
        self.source.fact(index, name)
    }

    fn facts(&self) -> Vec<String> {
        self.source.facts()
    }

    fn fetch<'a>(&'a self, index: usize, scratch: &'a mut Scratch) -> Result<PixelView<'a>, SampleError> {
        let [_, side, _] = self.source.shape();
        let mut below = Scratch::default();
        let pixels = self.source.fetch(index, &mut below)?;
        check_pixels(&self.source, index, pixels)?;
        Ok(match pixels {
            PixelView::U8(from) => {
                scratch.bytes.clear();
                self.align(from, side, |value| scratch.bytes.push((value + 0.5) as u8));
                PixelView::U8(&scratch.bytes)
            }
            PixelView::F32(from) => {
                scratch.floats.clear();
                self.align(from, side, |value| scratch.floats.push(value));
                PixelView::F32(&scratch.floats)
            }
        })
    }

    fn fingerprint(&self) -> Fingerprint {
        self.source.fingerprint().with("align", format!("{:?}", self.align))
    }

    fn prefetch(&self, index: usize) {
        self.source.prefetch(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::Images;
    use crate::source::Short;

    /// An ellipse of ink in an image of side 64.
    fn ellipse(center: [f64; 2], radii: [f64; 2]) -> Vec<u8> {
        let inside = |x: usize, y: usize| {
            let square = |at: usize, axis: usize| ((at as f64 - center[axis]) / radii[axis]).powi(2);
            square(x, 0) + square(y, 1) <= 1.0
        };
        (0..64 * 64).map(|at| if inside(at % 64, at / 64) { 255 } else { 0 }).collect()
    }

    fn aligned(pixels: Vec<u8>, align: Align) -> Vec<u8> {
        let images = Images::from_u8([1, 64, 64], pixels).unwrap();
        let aligned = Aligned::new(images, align).unwrap();
        let mut scratch = Scratch::default();
        let Ok(PixelView::U8(pixels)) = aligned.fetch(0, &mut scratch) else { panic!("bytes stay bytes") };
        pixels.to_vec()
    }

    fn moments(pixels: &[u8], side: usize) -> ([f64; 2], [f64; 2]) {
        let mass: f64 = pixels.iter().map(|&ink| f64::from(ink)).sum();
        let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
            let ink = |(at, &ink): (usize, &u8)| f64::from(ink) * f((at % side) as f64, (at / side) as f64);
            pixels.iter().enumerate().map(ink).sum::<f64>() / mass
        };
        let center = [sum(&|x, _| x), sum(&|_, y| y)];
        let spread =
            [sum(&|x, _| (x - center[0]).powi(2)).sqrt(), sum(&|_, y| (y - center[1]).powi(2)).sqrt()];
        (center, spread)
    }

    #[test]
    fn ink_comes_to_the_middle_and_to_one_size_wherever_and_however_large_it_is() {
        for (center, radii) in
            [([20.0, 30.0], [9.0, 6.0]), ([40.0, 25.0], [12.0, 12.0]), ([32.0, 32.0], [7.0, 10.0])]
        {
            for size in [64, 48] {
                let align = Align { size: Some(size), ..Align::default() };
                let (at, spread) = moments(&aligned(ellipse(center, radii), align), size);
                let (middle, wanted) = ((size as f64 - 1.0) / 2.0, 0.21 * size as f64);
                for axis in 0..2 {
                    assert!((at[axis] - middle).abs() < 0.1, "{at:?} of {size}");
                    // Averaging and interpolation spread ink by less than half a pixel.
                    assert!((spread[axis] - wanted).abs() < 0.5, "{spread:?}, {wanted} is wanted");
                }
            }
        }
    }

    #[test]
    fn thin_ink_stays_thin_and_nothing_stays_nothing() {
        let (_, spread) = moments(&aligned(ellipse([30.0, 30.0], [2.0, 20.0]), Align::default()), 64);
        // s' = sqrt((1² + 10²) / 2) of radii of 2 and 20, whose standard deviations are 1 and 10; r = max(1, 3.55) and 10.
        assert!((spread[1] - 0.21 * 64.0).abs() < 0.6 && spread[0] < 0.3 * spread[1], "{spread:?}");
        // Of standard deviations of 2.5 and 5, with s' = 3.95, x is scaled by s' and y by its own.
        let wide = Align { aspect: 1.0, ..Align::default() };
        let (_, spread) = moments(&aligned(ellipse([30.0, 30.0], [5.0, 10.0]), wide), 64);
        assert!((spread[0] / spread[1] - 2.5 / 3.95).abs() < 0.03, "{spread:?}");
        assert!(aligned(vec![0; 64 * 64], Align::default()).iter().all(|&pixel| pixel == 0));
        let mut point = vec![0; 64 * 64];
        point[5] = 255;
        assert_eq!(aligned(point, Align::default()).iter().filter(|&&pixel| 0 < pixel).count(), 4);
    }

    #[test]
    fn what_cannot_be_aligned_is_refused() {
        let of = |shape: [usize; 3], align| {
            let images = Images::from_u8(shape, vec![0; shape.iter().product()]).unwrap();
            Aligned::new(images, align).map(|_| ()).map_err(|error| error.to_string())
        };
        assert!(of([3, 8, 8], Align::default()).unwrap_err().contains("one channel"));
        assert!(of([1, 8, 9], Align::default()).unwrap_err().contains("square"));
        assert!(
            of([1, 8, 8], Align { spread: 0.0, ..Align::default() }).unwrap_err().contains("align.spread")
        );
        assert!(
            of([1, 8, 8], Align { aspect: 2.0, ..Align::default() }).unwrap_err().contains("align.aspect")
        );
        assert!(
            of([1, 8, 8], Align { size: Some(0), ..Align::default() }).unwrap_err().contains("align.size")
        );
    }

    #[test]
    fn volumes_and_images_of_another_number_of_pixels_are_refused() {
        let volumes = Images::from_u8([4, 4, 4], vec![0; 64]).unwrap().with_volumes();
        let error = Aligned::new(volumes, Align::default()).unwrap_err().to_string();
        assert!(error.ends_with("expected images, found volumes"), "{error}");
        let error = Aligned::new(Short, Align::default())
            .unwrap()
            .fetch(0, &mut Scratch::default())
            .unwrap_err()
            .chain();
        assert!(error.contains("short") && error.contains('9') && error.contains("16"), "{error}");
    }
}
