//! Some of the samples of a data set.

use batchwright_core::{Context, Dataset, Field, Fingerprint, SampleError, Slot};

use crate::error::Error;
use crate::set::ImageSet;
use crate::source::ImageSource;

/// Some samples of a data set, by their indices in it, in the order given: a side of a split.
///
/// ```
/// use batchwright_core::Dataset;
/// use batchwright_images::{Glyphs, ImageOptions, ImageSet, Split, Subset};
/// let glyphs = Glyphs { drawings: 50, ..Glyphs::default() }.images()?;
/// let sides = Split::Fraction { seed: 42, validation: 0.2 }.of(&glyphs)?;
/// let set = ImageSet::new(glyphs, ImageOptions::default())?;
/// let training = Subset::new(&set, sides.training)?;
/// let validation = Subset::new(&set, sides.validation)?;
/// assert_eq!(training.len() + validation.len(), 500);
/// # Ok::<(), batchwright_images::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Subset<D> {
    dataset: D,
    // Invariant: each lies in the data set.
    indices: Vec<usize>,
    /// Whether they are all there are, in order: then they need not be looked up, which for small samples costs as much
    /// as reading one.
    all: bool,
}

impl<D: Dataset> Subset<D> {
    /// Chooses samples of `dataset`.
    ///
    /// # Errors
    /// Refuses an index that the data set does not have.
    pub fn new(dataset: D, indices: Vec<usize>) -> Result<Self, Error> {
        let len = dataset.len();
        if let Some(index) = indices.iter().find(|&&index| len <= index) {
            return Err(Error::choice("indices", format!("indices below {len}"), index));
        }
        let all = indices.len() == len && indices.iter().copied().eq(0..len);
        Ok(Self { dataset, indices, all })
    }

    /// Returns the data set that this is a part of.
    pub fn dataset(&self) -> &D {
        &self.dataset
    }

    #[inline]
    fn at(&self, index: usize) -> usize {
        if self.all && index < self.indices.len() { index } else { self.indices[index] }
    }

    /// Returns the indices in the data set.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }
}

impl<S: ImageSource + Clone> Subset<ImageSet<S>> {
    /// Returns the same samples without random changes.
    #[must_use]
    pub fn unchanged(&self) -> Self {
        Self { dataset: self.dataset.unchanged(), indices: self.indices.clone(), all: self.all }
    }
}

impl<D: Dataset> Dataset for Subset<D> {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn fields(&self) -> &[Field] {
        self.dataset.fields()
    }

    #[inline]
    fn write(&self, index: usize, slot: &mut Slot<'_>, context: &Context<'_>) -> Result<(), SampleError> {
        self.dataset.write(self.at(index), slot, context)
    }

    fn id(&self, index: usize) -> String {
        self.dataset.id(self.at(index))
    }

    fn class(&self, index: usize) -> Option<u32> {
        self.dataset.class(self.at(index))
    }

    fn fact(&self, index: usize, name: &str) -> Option<String> {
        self.dataset.fact(self.at(index), name)
    }

    fn facts(&self) -> Vec<String> {
        self.dataset.facts()
    }

    fn fingerprint(&self) -> Fingerprint {
        let bytes = self.indices.iter().map(|&index| (index as u64).to_le_bytes());
        self.dataset.fingerprint().with_digest("subset", bytes)
    }

    #[inline]
    fn prefetch(&self, index: usize) {
        self.dataset.prefetch(self.at(index));
    }
}
