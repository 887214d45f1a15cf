//! Where images come from.

use std::sync::Arc;

use batchwright_core::{Fingerprint, SampleError};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Labels are below this: they number classes, and memory and time go with the number of classes.
pub(crate) const LABEL_LIMIT: i64 = 1 << 24;

/// The stored pixels of one image, [C, H, W].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PixelView<'a> {
    /// Bytes.
    U8(&'a [u8]),
    /// Floats; all finite.
    F32(&'a [f32]),
}

impl PixelView<'_> {
    /// Returns how many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(pixels) => pixels.len(),
            Self::F32(pixels) => pixels.len(),
        }
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Returns the number of pixels of an image of this shape, which has no zero.
pub(crate) fn size(shape: [usize; 3]) -> Result<usize, Error> {
    let size = shape.iter().try_fold(1_usize, |product, &n| product.checked_mul(n)).filter(|&size| 0 < size);
    size.ok_or_else(|| {
        Error::choice("shape", "channels, height and width of at least 1", format!("{shape:?}"))
    })
}

/// Returns the number of classes that labels name, one more than the largest; or the first label that is beyond
/// [`LABEL_LIMIT`], with its place.
pub(crate) fn classes_of(labels: &[i64]) -> Result<usize, (usize, i64)> {
    let largest = labels.iter().copied().max().unwrap_or(-1);
    if LABEL_LIMIT <= largest {
        let at = labels.iter().position(|&label| LABEL_LIMIT <= label).unwrap_or(0);
        return Err((at, labels[at]));
    }
    Ok(usize::try_from(largest.max(-1) + 1).unwrap_or(0))
}

/// Checks the names of facts that are read from columns: each once, and none that means something else.
pub(crate) fn check_facts(names: &[String]) -> Result<(), Error> {
    for (at, name) in names.iter().enumerate() {
        if name.is_empty() || ["class", "index", "group"].contains(&name.as_str()) {
            let expected = "columns by their names, none of them `class`, `index` or `group`";
            return Err(Error::choice("facts", expected, format!("`{name}`")));
        }
        if names[..at].contains(name) {
            return Err(Error::choice("facts", "different columns", format!("`{name}` twice")));
        }
    }
    Ok(())
}

/// Checks that a fetched image has as many pixels as its source says.
pub(crate) fn check_pixels(
    source: &(impl ImageSource + ?Sized),
    index: usize,
    pixels: PixelView<'_>,
) -> Result<(), SampleError> {
    let (shape, found) = (source.shape(), pixels.len());
    let expected = shape.iter().product();
    if found == expected {
        return Ok(());
    }
    Err(SampleError::data(Error::Pixels { index, id: source.id(index), shape, expected, found }))
}

/// The type of the stored pixels of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PixelType {
    /// Bytes.
    U8,
    /// Floats.
    F32,
}

/// Memory that a source may decode into.
#[derive(Debug, Default)]
pub struct Scratch {
    /// For bytes.
    pub bytes: Vec<u8>,
    /// For floats.
    pub floats: Vec<f32>,
}

/// Images of one size in random access, as they are stored; [`ImageSet`](crate::ImageSet) makes a
/// [`Dataset`](batchwright_core::Dataset) of one.
///
/// 1. [`fetch`](ImageSource::fetch) is a function of its index, and gives as many pixels of the source's
///    [`pixel_type`](ImageSource::pixel_type) as its [`shape`](ImageSource::shape) has.
/// 2. Either every sample has a label or none.
pub trait ImageSource: Send + Sync {
    /// Checks what can be wrong with the source as a whole, when a data set is made of it and before anything else is
    /// asked. By default nothing can.
    ///
    /// # Errors
    /// Says what is wrong.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Returns the number of images.
    fn len(&self) -> usize;

    /// Returns whether there is no image.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns channels, height and width of every image; depth, height and width, where images are volumes.
    fn shape(&self) -> [usize; 3];

    /// Returns whether an image is a volume of one channel, whose shape is depth, height and width. False by default.
    fn is_volume(&self) -> bool {
        false
    }

    /// Returns the type of the stored pixels.
    fn pixel_type(&self) -> PixelType;

    /// Returns the stored value that stands for full brightness: 255 for bytes.
    fn full_scale(&self) -> f32;

    /// Returns the label of image `index`.
    fn label(&self, index: usize) -> Option<i64>;

    /// Returns how many classes the labels name; 0 where there are no labels.
    fn classes(&self) -> usize;

    /// Returns the name of a class, where classes have names.
    fn class_name(&self, _class: usize) -> Option<&str> {
        None
    }

    /// Returns a name for image `index` that a person can look up.
    fn id(&self, index: usize) -> String;

    /// Returns what image `index` belongs to (a patient, a writer), where that is known.
    fn group(&self, _index: usize) -> Option<&str> {
        None
    }

    /// Returns a fact of image `index` by its name, where it is known. By default that is its `group`.
    fn fact(&self, index: usize, name: &str) -> Option<String> {
        if name == "group" { self.group(index).map(str::to_owned) } else { None }
    }

    /// Returns the names of the facts that images have.
    fn facts(&self) -> Vec<String> {
        let group = !self.is_empty() && self.group(0).is_some();
        if group { vec!["group".to_owned()] } else { Vec::new() }
    }

    /// Returns the pixels of image `index`, from memory or decoded into `scratch`.
    ///
    /// # Errors
    /// Says whether the data or the environment is at fault.
    fn fetch<'a>(&'a self, index: usize, scratch: &'a mut Scratch) -> Result<PixelView<'a>, SampleError>;

    /// Returns whether images lie in memory, so that fetching one takes less time than timing it would. False by default.
    fn in_memory(&self) -> bool {
        false
    }

    /// Hints that image `index` will be fetched soon by the calling thread.
    #[inline]
    fn prefetch(&self, _index: usize) {}

    /// Returns what the images are, by names, sizes, headers or a digest.
    fn fingerprint(&self) -> Fingerprint;
}

macro_rules! forward {
    ($($generics:tt)*) => {
        impl<$($generics)* {
            fn check(&self) -> Result<(), Error> {
                (**self).check()
            }
            fn len(&self) -> usize {
                (**self).len()
            }
            fn is_empty(&self) -> bool {
                (**self).is_empty()
            }
            fn shape(&self) -> [usize; 3] {
                (**self).shape()
            }
            fn is_volume(&self) -> bool {
                (**self).is_volume()
            }
            fn pixel_type(&self) -> PixelType {
                (**self).pixel_type()
            }
            fn full_scale(&self) -> f32 {
                (**self).full_scale()
            }
            fn label(&self, index: usize) -> Option<i64> {
                (**self).label(index)
            }
            fn classes(&self) -> usize {
                (**self).classes()
            }
            fn class_name(&self, class: usize) -> Option<&str> {
                (**self).class_name(class)
            }
            fn id(&self, index: usize) -> String {
                (**self).id(index)
            }
            fn group(&self, index: usize) -> Option<&str> {
                (**self).group(index)
            }
            fn fact(&self, index: usize, name: &str) -> Option<String> {
                (**self).fact(index, name)
            }
            fn facts(&self) -> Vec<String> {
                (**self).facts()
            }
            fn fetch<'a>(&'a self, index: usize, scratch: &'a mut Scratch) -> Result<PixelView<'a>, SampleError> {
                (**self).fetch(index, scratch)
            }
            fn in_memory(&self) -> bool {
                (**self).in_memory()
            }
            fn prefetch(&self, index: usize) {
                (**self).prefetch(index);
            }
            fn fingerprint(&self) -> Fingerprint {
                (**self).fingerprint()
            }
        }
    };
}
forward!(S: ImageSource + ?Sized> ImageSource for Box<S>);
forward!(S: ImageSource + ?Sized> ImageSource for Arc<S>);
forward!(S: ImageSource + ?Sized> ImageSource for &S);

/// A source that says more pixels than it gives.
#[cfg(test)]
pub(crate) struct Short;

#[cfg(test)]
impl ImageSource for Short {
    fn len(&self) -> usize {
        1
    }
    fn shape(&self) -> [usize; 3] {
        [1, 4, 4]
    }
    fn pixel_type(&self) -> PixelType {
        PixelType::U8
    }
    fn full_scale(&self) -> f32 {
        255.0
    }
    fn label(&self, _: usize) -> Option<i64> {
        None
    }
    fn classes(&self) -> usize {
        0
    }
    fn id(&self, _: usize) -> String {
        "short".to_owned()
    }
    fn fetch<'a>(&'a self, _: usize, _: &'a mut Scratch) -> Result<PixelView<'a>, SampleError> {
        Ok(PixelView::U8(&[1; 9]))
    }
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::default()
    }
}
