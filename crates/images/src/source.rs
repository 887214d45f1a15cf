//! Where images come from.

use std::sync::Arc;

use batchwright_core::{Fingerprint, SampleError};
use serde::{Deserialize, Serialize};

/// The stored pixels of one image, [C, H, W].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PixelView<'a> {
    /// Bytes.
    U8(&'a [u8]),
    /// Floats; all finite.
    F32(&'a [f32]),
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
    /// Returns the number of images.
    fn len(&self) -> usize;

    /// Returns whether there is no image.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns channels, height and width of every image.
    fn shape(&self) -> [usize; 3];

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
            fn len(&self) -> usize {
                (**self).len()
            }
            fn is_empty(&self) -> bool {
                (**self).is_empty()
            }
            fn shape(&self) -> [usize; 3] {
                (**self).shape()
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
