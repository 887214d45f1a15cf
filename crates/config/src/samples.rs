//! The samples of a run, of whatever kind they are.

use std::fmt;
use std::sync::Arc;

use batchwright_core::{Batches, Context, Dataset, Field, Fingerprint, SampleError, Slot};
use batchwright_images::{ImageSet, ImageSource, Subset};
#[cfg(feature = "nifti")]
use batchwright_nifti::PatchSet;
use serde_json::Value;

/// The samples of one set of a run: images, or patches of volumes.
#[non_exhaustive]
pub enum Samples {
    /// Images: a side of a split, or all of them.
    Images(Box<Subset<ImageSet<Arc<dyn ImageSource>>>>),
    /// Patches of volumes.
    #[cfg(feature = "nifti")]
    Patches(Box<PatchSet>),
}

/// The batches of one set.
pub type SampleBatches = Batches<Samples>;

/// Runs an expression on whichever data set there is.
macro_rules! each {
    ($samples:expr, $set:ident => $body:expr) => {
        match $samples {
            Samples::Images($set) => $body,
            #[cfg(feature = "nifti")]
            Samples::Patches($set) => $body,
        }
    };
}

impl fmt::Debug for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Samples").field("len", &self.len()).field("fields", &self.fields()).finish()
    }
}

impl Samples {
    /// Returns the number of classes; 0 without labels.
    pub fn classes(&self) -> usize {
        match self {
            Self::Images(images) => images.dataset().classes(),
            #[cfg(feature = "nifti")]
            Self::Patches(patches) => patches.classes().len(),
        }
    }

    /// Returns everything that is drawn at random for sample `index` in this context, as JSON; null where nothing is.
    ///
    /// # Errors
    /// Says why the sample cannot be read, where what is drawn depends on it.
    pub fn drawn(&self, index: usize, context: &Context<'_>) -> Result<Value, SampleError> {
        let json = |drawn: Result<Value, serde_json::Error>| drawn.map_err(SampleError::environment);
        match self {
            Self::Images(images) => {
                let _ = index;
                json(serde_json::to_value(images.dataset().drawn(context)))
            }
            #[cfg(feature = "nifti")]
            Self::Patches(patches) => json(serde_json::to_value(patches.draw(index, context)?)),
        }
    }
}

impl Dataset for Samples {
    fn len(&self) -> usize {
        each!(self, set => set.len())
    }

    fn fields(&self) -> &[Field] {
        each!(self, set => set.fields())
    }

    #[inline]
    fn write(&self, index: usize, slot: &mut Slot<'_>, context: &Context<'_>) -> Result<(), SampleError> {
        each!(self, set => set.write(index, slot, context))
    }

    fn id(&self, index: usize) -> String {
        each!(self, set => set.id(index))
    }

    fn class(&self, index: usize) -> Option<u32> {
        each!(self, set => set.class(index))
    }

    fn fact(&self, index: usize, name: &str) -> Option<String> {
        each!(self, set => set.fact(index, name))
    }

    fn facts(&self) -> Vec<String> {
        each!(self, set => set.facts())
    }

    fn fingerprint(&self) -> Fingerprint {
        each!(self, set => set.fingerprint())
    }

    #[inline]
    fn prefetch(&self, index: usize) {
        each!(self, set => set.prefetch(index));
    }
}
