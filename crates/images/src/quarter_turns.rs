//! Quarter turns of images as further classes.

use batchwright_core::{Fingerprint, SampleError};

use crate::error::Error;
use crate::source::{ImageSource, LABEL_LIMIT, PixelType, PixelView, Scratch, check_pixels, size};

/// Quarter turns that there are.
const TURNS: usize = 4;

/// A source in which every image also stands turned by 90, 180 and 270 degrees, as samples of classes of their own: for
/// characters, of which a turned one is another one.
///
/// Of n images, sample `turn * n + i` is image i turned `turn` times by 90 degrees counter-clockwise, as seen; its pixels
/// are moved, not interpolated. Class c turned is class `4 * c + turn`. So the first n samples are the images as they are. What
/// a sample belongs to and its other facts are those of its image, and the fact `turn` is 0 to 3.
///
/// ```
/// use batchwright_images::{ImageSource, Images, PixelView, QuarterTurns, Scratch};
/// let images = Images::from_u8([1, 2, 2], vec![1, 2, 3, 4])?.with_labels(vec![5])?;
/// let turned = QuarterTurns::new(images)?;
/// assert_eq!((turned.len(), turned.label(1), turned.id(1)), (4, Some(21), "image[0] turned by 90".to_owned()));
/// assert_eq!(turned.fetch(1, &mut Scratch::default()).ok(), Some(PixelView::U8(&[2, 4, 1, 3])));
/// # Ok::<(), batchwright_images::Error>(())
/// ```
#[derive(Debug)]
pub struct QuarterTurns<S> {
    // Invariant: its images are square, and four times its samples and its classes can be counted.
    source: S,
    class_names: Vec<String>,
}

impl<S: ImageSource> QuarterTurns<S> {
    /// Turns the images of `source`.
    ///
    /// # Errors
    /// Refuses volumes, images that are not square, and more than 2^22 classes.
    pub fn new(source: S) -> Result<Self, Error> {
        source.check()?;
        if source.is_volume() {
            return Err(Error::choice("quarter_turns", "images", "volumes"));
        }
        size(source.shape())?;
        let [_, height, width] = source.shape();
        if height != width {
            let found = format!("{width} x {height} (width x height)");
            return Err(Error::choice("quarter_turns", "square images", found));
        }
        let most = LABEL_LIMIT as usize / TURNS;
        if most < source.classes() {
            let expected = format!("at most {most} classes");
            return Err(Error::choice("quarter_turns", expected, source.classes()));
        }
        if source.len().checked_mul(TURNS).is_none() {
            return Err(Error::choice("quarter_turns", "fewer samples", source.len()));
        }
        // Names are those of the first classes.
        let names = (0..source.classes()).map_while(|class| source.class_name(class));
        let class_names =
            names.flat_map(|name| (0..TURNS).map(move |turn| named(name.to_owned(), turn))).collect();
        Ok(Self { source, class_names })
    }

    /// Returns the source of the images as they are.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// Returns the image and the turn of a sample.
    #[inline]
    fn at(&self, index: usize) -> (usize, usize) {
        (index % self.source.len(), index / self.source.len())
    }
}

fn named(name: String, turn: usize) -> String {
    if turn == 0 { name } else { format!("{name} turned by {}", 90 * turn) }
}

/// Turns every channel of a square image counter-clockwise.
fn turned<T: Copy>(from: &[T], side: usize, turn: usize, to: &mut Vec<T>) {
    to.clear();
    to.reserve(from.len());
    let last = side - 1;
    for plane in from.chunks_exact(side * side) {
        for y in 0..side {
            match turn {
                // What was on the right comes to the top.
                1 => to.extend((0..side).map(|x| plane[x * side + last - y])),
                2 => to.extend(plane[(last - y) * side..][..side].iter().rev()),
                3 => to.extend((0..side).map(|x| plane[(last - x) * side + y])),
                _ => to.extend(&plane[y * side..][..side]),
            }
        }
    }
}

impl<S: ImageSource> ImageSource for QuarterTurns<S> {
    fn len(&self) -> usize {
        TURNS * self.source.len()
    }

    fn shape(&self) -> [usize; 3] {
        self.source.shape()
    }

    fn pixel_type(&self) -> PixelType {
        self.source.pixel_type()
    }

    fn full_scale(&self) -> f32 {
        self.source.full_scale()
    }

    fn label(&self, index: usize) -> Option<i64> {
        let (index, turn) = self.at(index);
        // A negative label is no class.
        self.source.label(index).map(|label| if label < 0 { label } else { 4 * label + turn as i64 })
    }

    fn classes(&self) -> usize {
        TURNS * self.source.classes()
    }

    fn class_name(&self, class: usize) -> Option<&str> {
        self.class_names.get(class).map(String::as_str)
    }

    fn id(&self, index: usize) -> String {
        let (index, turn) = self.at(index);
        named(self.source.id(index), turn)
    }

    fn group(&self, index: usize) -> Option<&str> {
        self.source.group(self.at(index).0)
    }

    fn fact(&self, index: usize, name: &str) -> Option<String> {
        let (index, turn) = self.at(index);
        if name == "turn" { Some(turn.to_string()) } else { self.source.fact(index, name) }
    }

    fn facts(&self) -> Vec<String> {
        let mut facts = self.source.facts();
        facts.retain(|name| name != "turn");
        facts.push("turn".to_owned());
        facts
    }

    fn fetch<'a>(&'a self, index: usize, scratch: &'a mut Scratch) -> Result<PixelView<'a>, SampleError> {
        let (index, turn) = self.at(index);
        if turn == 0 {
            return self.source.fetch(index, scratch);
        }
        let [_, side, _] = self.shape();
        let mut below = Scratch::default();
        let pixels = self.source.fetch(index, &mut below)?;
        check_pixels(&self.source, index, pixels)?;
        Ok(match pixels {
            PixelView::U8(from) => {
                turned(from, side, turn, &mut scratch.bytes);
                PixelView::U8(&scratch.bytes)
            }
            PixelView::F32(from) => {
                turned(from, side, turn, &mut scratch.floats);
                PixelView::F32(&scratch.floats)
            }
        })
    }

    fn in_memory(&self) -> bool {
        self.source.in_memory()
    }

    #[inline]
    fn prefetch(&self, index: usize) {
        self.source.prefetch(self.at(index).0);
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::default().with_part("turned", &self.source.fingerprint()).with("turns", TURNS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::Images;
    use crate::source::Short;

    fn fetched(source: &impl ImageSource, index: usize) -> Vec<f32> {
        match source.fetch(index, &mut Scratch::default()).unwrap() {
            PixelView::U8(pixels) => pixels.iter().map(|&x| f32::from(x)).collect(),
            PixelView::F32(pixels) => pixels.to_vec(),
        }
    }

    #[test]
    fn turns_are_those_of_numpy_in_every_channel() {
        // numpy.rot90(numpy.arange(9).reshape(3, 3), turn)
        let expected: [[u8; 9]; 4] = [
            [0, 1, 2, 3, 4, 5, 6, 7, 8],
            [2, 5, 8, 1, 4, 7, 0, 3, 6],
            [8, 7, 6, 5, 4, 3, 2, 1, 0],
            [6, 3, 0, 7, 4, 1, 8, 5, 2],
        ];
        let bytes: Vec<u8> = (0..36).collect();
        let floats = bytes.iter().map(|&x| f32::from(x)).collect();
        let bytes = QuarterTurns::new(Images::from_u8([2, 3, 3], bytes).unwrap()).unwrap();
        let floats = QuarterTurns::new(Images::from_f32([2, 3, 3], floats).unwrap()).unwrap();
        for image in 0..2_u8 {
            for (turn, expected) in expected.iter().enumerate() {
                let index = turn * 2 + usize::from(image);
                let both: Vec<f32> = (0..2)
                    .flat_map(|channel| expected.iter().map(move |x| f32::from(x + 9 * channel + 18 * image)))
                    .collect();
                assert_eq!((fetched(&bytes, index), fetched(&floats, index)), (both.clone(), both));
            }
        }
    }

    #[test]
    fn a_turned_image_has_a_class_of_its_own_and_the_facts_of_its_image() {
        let names = ["a", "b"].map(str::to_owned).to_vec();
        let images = Images::from_u8([1, 1, 1], vec![7, 8, 9]).unwrap();
        let images = images.with_labels(vec![1, 0, -1]).unwrap().with_class_names(names);
        let images = images.with_groups(["g", "h", "i"].map(str::to_owned).to_vec()).unwrap();
        let print = images.fingerprint();
        let turned = QuarterTurns::new(images).unwrap();
        assert_eq!((turned.len(), turned.classes()), (12, 8));
        let labels: Vec<_> = (0..12).map(|index| turned.label(index).unwrap()).collect();
        assert_eq!(labels, [4, 0, -1, 5, 1, -1, 6, 2, -1, 7, 3, -1]);
        assert_eq!((turned.class_name(4), turned.class_name(7)), (Some("b"), Some("b turned by 270")));
        assert_eq!(
            (turned.group(4), turned.facts()),
            (Some("h"), vec!["group".to_owned(), "turn".to_owned()])
        );
        assert_eq!(
            (turned.fact(4, "turn").as_deref(), turned.fact(4, "group").as_deref()),
            (Some("1"), Some("h"))
        );
        assert_ne!(turned.fingerprint(), print);
    }

    #[test]
    fn images_that_are_not_square_cannot_be_turned() {
        let error = QuarterTurns::new(Images::from_u8([1, 2, 3], vec![0; 6]).unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`quarter_turns`: expected square images, found 3 x 2 (width x height)"
        );
    }

    #[test]
    fn volumes_and_images_of_another_number_of_pixels_are_refused() {
        let volumes = Images::from_u8([4, 4, 4], vec![0; 64]).unwrap().with_volumes();
        let error = QuarterTurns::new(volumes).unwrap_err().to_string();
        assert!(error.ends_with("expected images, found volumes"), "{error}");
        let error = QuarterTurns::new(Short).unwrap().fetch(1, &mut Scratch::default()).unwrap_err().chain();
        assert!(error.contains("short") && error.contains('9') && error.contains("16"), "{error}");
    }
}
