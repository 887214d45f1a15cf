//! Images in memory.

use std::fmt;
use std::sync::OnceLock;

use batchwright_core::{Fingerprint, SampleError, bytes_of, prefer_huge_pages};

use crate::convert;
use crate::error::Error;
use crate::source::{ImageSource, LABEL_LIMIT, PixelType, PixelView, Scratch, check_facts, classes_of, size};

/// The pixels of images in memory, [N, C, H, W].
#[derive(Clone, PartialEq)]
pub enum Pixels {
    /// Bytes.
    U8(Vec<u8>),
    /// Floats.
    F32(Vec<f32>),
}

impl Pixels {
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

impl fmt::Debug for Pixels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::U8(_) => "u8",
            Self::F32(_) => "f32",
        };
        write!(f, "{} pixels of {name}", self.len())
    }
}

/// How the images of a set are called.
#[derive(Clone, Debug)]
enum Ids {
    /// By the name of their file and their number in it.
    Numbered(String),
    Listed(Vec<String>),
}

/// Images of one size in memory, with their labels if they have any.
///
/// ```
/// use batchwright_images::{ImageSource, Images};
/// let images = Images::from_u8([1, 2, 2], vec![0, 64, 128, 255, 1, 2, 3, 4])?.with_labels(vec![1, 0])?;
/// assert_eq!((images.len(), images.classes(), images.id(1)), (2, 2, "image[1]".to_owned()));
/// # Ok::<(), batchwright_images::Error>(())
/// ```
#[derive(Debug)]
pub struct Images {
    // Invariant: the pixels are `count` images of this shape, and are finite.
    shape: [usize; 3],
    /// Whether the first axis is depth.
    volumes: bool,
    count: usize,
    pixels: Pixels,
    full_scale: f32,
    // Invariant: as long as `count`, if there are any; likewise listed ids and groups.
    labels: Option<Vec<i64>>,
    classes: usize,
    class_names: Vec<String>,
    ids: Ids,
    groups: Option<Vec<String>>,
    facts: Vec<String>,
    // Invariant: one list for each fact, as long as `count`.
    fact_values: Vec<Vec<String>>,
    digest: OnceLock<Fingerprint>,
}

impl Images {
    /// Makes a set of bytes [N, C, H, W]; `shape` is [C, H, W]. Full brightness is 255.
    ///
    /// # Errors
    /// Refuses a shape with a zero, and pixels that are no whole number of images.
    pub fn from_u8(shape: [usize; 3], pixels: Vec<u8>) -> Result<Self, Error> {
        Self::new(shape, Pixels::U8(pixels), 255.0)
    }

    /// Makes a set of floats [N, C, H, W]; `shape` is [C, H, W]. Full brightness is 1.
    ///
    /// # Errors
    /// As [`Images::from_u8`]; refuses pixels that are not finite.
    pub fn from_f32(shape: [usize; 3], pixels: Vec<f32>) -> Result<Self, Error> {
        Self::new(shape, Pixels::F32(pixels), 1.0)
    }

    fn new(shape: [usize; 3], pixels: Pixels, full_scale: f32) -> Result<Self, Error> {
        let size = size(shape)?;
        let count = pixels.len() / size;
        if count * size != pixels.len() {
            let expected = format!("a whole number of images of {shape:?}, {size} pixels each");
            return Err(Error::choice("pixels", expected, format!("{} pixels", pixels.len())));
        }
        if let Pixels::F32(values) = &pixels
            && let Some(at) = values.iter().position(|value| !value.is_finite())
        {
            let found = format!("{} at pixel {} of image {}", values[at], at % size, at / size);
            return Err(Error::choice("pixels", "finite numbers", found));
        }
        prefer_huge_pages(match &pixels {
            Pixels::U8(pixels) => pixels,
            Pixels::F32(pixels) => bytes_of(pixels),
        });
        Ok(Self {
            shape,
            volumes: false,
            count,
            pixels,
            full_scale,
            labels: None,
            classes: 0,
            class_names: Vec::new(),
            ids: Ids::Numbered("image".to_owned()),
            groups: None,
            facts: Vec::new(),
            fact_values: Vec::new(),
            digest: OnceLock::new(),
        })
    }

    /// Gives each image a label. There are then at least as many classes as one more than the largest label; where
    /// class names were given that are more, as many as those. A negative label is no class.
    ///
    /// # Errors
    /// Refuses another number of labels than images, and a label of 2^24 or more.
    pub fn with_labels(mut self, labels: Vec<i64>) -> Result<Self, Error> {
        self.check_count("the list of labels", labels.len())?;
        let classes = classes_of(&labels).map_err(|(index, label)| Error::LargeLabel {
            index,
            id: self.id(index),
            label,
            limit: LABEL_LIMIT,
        })?;
        self.classes = self.classes.max(classes);
        self.labels = Some(labels);
        self.digest = OnceLock::new();
        Ok(self)
    }

    /// Names the classes, which also sets how many there are at least.
    #[must_use]
    pub fn with_class_names(mut self, names: Vec<String>) -> Self {
        self.classes = self.classes.max(names.len());
        self.class_names = names;
        self.digest = OnceLock::new();
        self
    }

    /// Names each image.
    ///
    /// # Errors
    /// Refuses another number of names than images.
    pub fn with_ids(mut self, ids: Vec<String>) -> Result<Self, Error> {
        self.check_count("the list of ids", ids.len())?;
        self.ids = Ids::Listed(ids);
        self.digest = OnceLock::new();
        Ok(self)
    }

    /// Names the images after a file: `name[0]`, `name[1]`, ...
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.ids = Ids::Numbered(name.into());
        self.digest = OnceLock::new();
        self
    }

    /// Says what each image belongs to (a patient, a writer), for a split that keeps groups together.
    ///
    /// # Errors
    /// Refuses another number of groups than images.
    pub fn with_groups(mut self, groups: Vec<String>) -> Result<Self, Error> {
        self.check_count("the list of groups", groups.len())?;
        self.groups = Some(groups);
        self.digest = OnceLock::new();
        Ok(self)
    }

    /// Says something else about each image (its patient, its visit), by a name.
    ///
    /// # Errors
    /// Refuses another number of values than images, a name that was given before, and `class`, `index` and `group`.
    pub fn with_fact(mut self, name: impl Into<String>, values: Vec<String>) -> Result<Self, Error> {
        let name = name.into();
        self.check_count(&format!("the list of `{name}`"), values.len())?;
        self.facts.push(name);
        check_facts(&self.facts)?;
        self.fact_values.push(values);
        self.digest = OnceLock::new();
        Ok(self)
    }

    /// Sets the stored value that stands for full brightness.
    #[must_use]
    pub fn with_full_scale(mut self, full_scale: f32) -> Self {
        self.full_scale = full_scale;
        self.digest = OnceLock::new();
        self
    }

    /// Says that each image is a volume of one channel: its shape is depth, height and width.
    #[must_use]
    pub fn with_volumes(mut self) -> Self {
        self.volumes = true;
        self.digest = OnceLock::new();
        self
    }

    /// Returns the pixels, [N, C, H, W].
    pub fn pixels(&self) -> &Pixels {
        &self.pixels
    }

    /// Returns the labels, one an image, if there are any.
    pub fn labels(&self) -> Option<&[i64]> {
        self.labels.as_deref()
    }

    fn check_count(&self, what: &str, found: usize) -> Result<(), Error> {
        if found == self.count {
            return Ok(());
        }
        Err(Error::Count {
            what: what.to_owned(),
            found,
            of: "the set of images".to_owned(),
            expected: self.count,
        })
    }

    #[inline]
    fn size(&self) -> usize {
        self.shape[0] * self.shape[1] * self.shape[2]
    }
}

impl ImageSource for Images {
    fn len(&self) -> usize {
        self.count
    }

    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn pixel_type(&self) -> PixelType {
        match self.pixels {
            Pixels::U8(_) => PixelType::U8,
            Pixels::F32(_) => PixelType::F32,
        }
    }

    fn full_scale(&self) -> f32 {
        self.full_scale
    }

    #[inline]
    fn label(&self, index: usize) -> Option<i64> {
        self.labels.as_ref().map(|labels| labels[index])
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn class_name(&self, class: usize) -> Option<&str> {
        self.class_names.get(class).map(String::as_str)
    }

    fn id(&self, index: usize) -> String {
        match &self.ids {
            Ids::Numbered(name) => format!("{name}[{index}]"),
            Ids::Listed(ids) => ids[index].clone(),
        }
    }

    fn group(&self, index: usize) -> Option<&str> {
        self.groups.as_ref().map(|groups| groups[index].as_str())
    }

    fn fact(&self, index: usize, name: &str) -> Option<String> {
        if name == "group" {
            return self.group(index).map(str::to_owned);
        }
        let at = self.facts.iter().position(|other| other == name)?;
        Some(self.fact_values[at][index].clone())
    }

    fn facts(&self) -> Vec<String> {
        let group = self.groups.iter().map(|_| "group".to_owned());
        group.chain(self.facts.iter().cloned()).collect()
    }

    fn is_volume(&self) -> bool {
        self.volumes
    }

    #[inline]
    fn fetch<'a>(&'a self, index: usize, _: &'a mut Scratch) -> Result<PixelView<'a>, SampleError> {
        let range = index * self.size()..(index + 1) * self.size();
        Ok(match &self.pixels {
            Pixels::U8(pixels) => PixelView::U8(&pixels[range]),
            Pixels::F32(pixels) => PixelView::F32(&pixels[range]),
        })
    }

    fn in_memory(&self) -> bool {
        true
    }

    #[inline]
    fn prefetch(&self, index: usize) {
        let range = index * self.size()..(index + 1) * self.size();
        match &self.pixels {
            Pixels::U8(pixels) => convert::prefetch(&pixels[range]),
            Pixels::F32(pixels) => convert::prefetch(bytes_of(&pixels[range])),
        }
        if let Some(labels) = &self.labels {
            convert::prefetch(bytes_of(&labels[index..=index]));
        }
    }

    fn fingerprint(&self) -> Fingerprint {
        let digest = || {
            let bytes = match &self.pixels {
                Pixels::U8(pixels) => pixels.as_slice(),
                Pixels::F32(pixels) => bytes_of(pixels),
            };
            let mut facts = Fingerprint::default()
                .with("images", self.count)
                .with("shape", format!("{:?}", self.shape))
                .with("full_scale", self.full_scale)
                .with_digest("pixels", [bytes]);
            if self.volumes {
                facts = facts.with("volumes", true);
            }
            if let Some(labels) = &self.labels {
                facts = facts.with("classes", self.classes).with_digest("labels", [bytes_of(labels)]);
            }
            if !self.class_names.is_empty() {
                facts = facts.with_digest("class_names", &self.class_names);
            }
            facts = match &self.ids {
                Ids::Numbered(name) => facts.with("name", name),
                Ids::Listed(ids) => facts.with_digest("ids", ids),
            };
            if let Some(groups) = &self.groups {
                facts = facts.with_digest("groups", groups);
            }
            if !self.facts.is_empty() {
                facts =
                    facts.with_digest("facts", self.facts.iter().chain(self.fact_values.iter().flatten()));
            }
            facts
        };
        self.digest.get_or_init(digest).clone()
    }
}
