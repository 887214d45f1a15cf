//! The samples of a run, of whatever kind they are.

use std::fmt;
use std::sync::Arc;

use batchwright_core::{Batches, Context, Dataset, Field, Fingerprint, SampleError, Slot};
use batchwright_images::{ImageSet, ImageSource, Subset};
#[cfg(feature = "nifti")]
use batchwright_nifti::PatchSet;
#[cfg(feature = "pairs")]
use batchwright_pairs::{PairDataset, Placed, Places, TripletDataset};
use serde_json::Value;
#[cfg(feature = "pairs")]
use serde_json::json;

/// The samples of one set of a run: images, or patches of volumes.
///
/// A clone is the same data set.
#[derive(Clone)]
#[non_exhaustive]
pub enum Samples {
    /// Images: a side of a split, or all of them.
    Images(Arc<Subset<ImageSet<Arc<dyn ImageSource>>>>),
    /// Patches of volumes.
    #[cfg(feature = "nifti")]
    Patches(Arc<PatchSet>),
    /// Pairs of either.
    #[cfg(feature = "pairs")]
    Pairs(Arc<PairDataset<Samples>>),
    /// Triplets of either.
    #[cfg(feature = "pairs")]
    Triplets(Arc<TripletDataset<Samples>>),
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
            #[cfg(feature = "pairs")]
            Samples::Pairs($set) => $body,
            #[cfg(feature = "pairs")]
            Samples::Triplets($set) => $body,
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
            #[cfg(feature = "pairs")]
            Self::Pairs(pairs) => pairs.dataset().classes(),
            #[cfg(feature = "pairs")]
            Self::Triplets(triplets) => triplets.dataset().classes(),
        }
    }

    /// Returns the same samples without random changes. They share what is read and what is known about it.
    #[must_use]
    pub fn unchanged(&self) -> Self {
        match self {
            Self::Images(images) => Self::Images(Arc::new(images.unchanged())),
            #[cfg(feature = "nifti")]
            Self::Patches(patches) => Self::Patches(Arc::new(patches.unchanged())),
            // Made of samples that are changed or not.
            #[cfg(feature = "pairs")]
            Self::Pairs(_) | Self::Triplets(_) => self.clone(),
        }
    }

    /// Returns everything that is drawn at random for sample `index` in this context, as JSON; null where nothing is.
    ///
    /// # Errors
    /// Says why the sample cannot be read, where what is drawn depends on it.
    pub fn drawn(&self, index: usize, context: &Context<'_>) -> Result<Value, SampleError> {
        // Of images nothing depends on which one it is.
        #[cfg(not(feature = "nifti"))]
        let _ = index;
        let json = |drawn: Result<Value, serde_json::Error>| drawn.map_err(SampleError::environment);
        match self {
            Self::Images(images) => json(serde_json::to_value(images.dataset().drawn(context))),
            #[cfg(feature = "nifti")]
            Self::Patches(patches) => json(serde_json::to_value(patches.draw(index, context)?)),
            #[cfg(feature = "pairs")]
            Self::Pairs(pairs) => {
                let pair = pairs.tuple(index, context);
                let parts = pairs.dataset().drawn_parts(
                    &["a", "b"],
                    &[pair.a, pair.b],
                    &pairs.contexts(context),
                    pairs.places(),
                );
                let mut parts = parts?;
                parts["same"] = json!(pair.same);
                Ok(parts)
            }
            #[cfg(feature = "pairs")]
            Self::Triplets(triplets) => {
                let triplet = triplets.tuple(index, context);
                let samples = [triplet.anchor, triplet.positive, triplet.negative];
                let names = ["anchor", "positive", "negative"];
                triplets.dataset().drawn_parts(
                    &names,
                    &samples,
                    &triplets.contexts(context),
                    triplets.places(),
                )
            }
        }
    }

    /// Returns who stands together, by the names of the parts, and what was drawn for each.
    #[cfg(feature = "pairs")]
    fn drawn_parts(
        &self,
        names: &[&str],
        samples: &[usize],
        contexts: &[Context<'_>],
        places: Option<Places>,
    ) -> Result<Value, SampleError> {
        let mut all = serde_json::Map::new();
        let mut first = None;
        for ((name, &sample), context) in names.iter().zip(samples).zip(contexts) {
            let drawn = match places {
                None => self.drawn(sample, context)?,
                Some(places) => {
                    let place = match (&first, places) {
                        (None, _) => self.place(sample, context)?,
                        (Some(first), Places::Same) => *first,
                        (Some(first), Places::Overlapping(overlap)) => {
                            self.overlapping(sample, first, overlap, context)?
                        }
                    };
                    first.get_or_insert(place);
                    self.drawn_at(sample, &place, context)?
                }
            };
            all.insert(
                (*name).to_owned(),
                json!({ "index": sample, "id": self.id(sample), "class": self.class(sample), "drawn": drawn }),
            );
        }
        Ok(Value::Object(all))
    }

    #[cfg(all(feature = "pairs", feature = "nifti"))]
    fn drawn_at(
        &self,
        index: usize,
        place: &SamplePlace,
        context: &Context<'_>,
    ) -> Result<Value, SampleError> {
        match self {
            Self::Patches(patches) => serde_json::to_value(patches.draw_at(index, place, context)?)
                .map_err(SampleError::environment),
            _ => Err(no_places()),
        }
    }

    #[cfg(all(feature = "pairs", not(feature = "nifti")))]
    fn drawn_at(&self, _: usize, _: &SamplePlace, _: &Context<'_>) -> Result<Value, SampleError> {
        Err(no_places())
    }

    /// Returns the patches that samples, or the parts of samples, are.
    #[cfg(feature = "nifti")]
    pub fn patches(&self) -> Option<&PatchSet> {
        match self {
            Self::Images(_) => None,
            Self::Patches(patches) => Some(patches),
            #[cfg(feature = "pairs")]
            Self::Pairs(pairs) => pairs.dataset().patches(),
            #[cfg(feature = "pairs")]
            Self::Triplets(triplets) => triplets.dataset().patches(),
        }
    }

    /// Returns what becomes of images, where the samples, or the parts of samples, are images.
    pub fn image_options(&self) -> Option<&batchwright_images::ImageOptions> {
        match self {
            Self::Images(images) => Some(images.dataset().options()),
            #[cfg(feature = "nifti")]
            Self::Patches(_) => None,
            #[cfg(feature = "pairs")]
            Self::Pairs(pairs) => pairs.dataset().image_options(),
            #[cfg(feature = "pairs")]
            Self::Triplets(triplets) => triplets.dataset().image_options(),
        }
    }

    /// Returns how many samples of the data set stand in one sample: 1, 2 for pairs, 3 for triplets.
    pub fn parts(&self) -> usize {
        match self {
            Self::Images(_) => 1,
            #[cfg(feature = "nifti")]
            Self::Patches(_) => 1,
            #[cfg(feature = "pairs")]
            Self::Pairs(_) => 2,
            #[cfg(feature = "pairs")]
            Self::Triplets(_) => 3,
        }
    }
}

/// A place in the world, of patches.
#[cfg(all(feature = "pairs", feature = "nifti"))]
type SamplePlace = batchwright_nifti::PatchPlace;
/// Without volumes there are no places.
#[cfg(all(feature = "pairs", not(feature = "nifti")))]
type SamplePlace = std::convert::Infallible;

#[cfg(feature = "pairs")]
fn no_places() -> SampleError {
    // Refused with the configuration.
    SampleError::environment("only patches of volumes are taken at places")
}

#[cfg(feature = "pairs")]
impl Placed for Samples {
    type Place = SamplePlace;

    fn place(&self, index: usize, context: &Context<'_>) -> Result<SamplePlace, SampleError> {
        match self {
            #[cfg(feature = "nifti")]
            Self::Patches(patches) => patches.place(index, context),
            _ => {
                let _ = (index, context);
                Err(no_places())
            }
        }
    }

    fn overlapping(
        &self,
        index: usize,
        place: &SamplePlace,
        overlap: f64,
        context: &Context<'_>,
    ) -> Result<SamplePlace, SampleError> {
        match self {
            #[cfg(feature = "nifti")]
            Self::Patches(patches) => patches.overlapping(index, place, overlap, context),
            _ => {
                let _ = (index, place, overlap, context);
                Err(no_places())
            }
        }
    }

    fn write_at(
        &self,
        index: usize,
        place: &SamplePlace,
        slot: &mut Slot<'_>,
        context: &Context<'_>,
    ) -> Result<(), SampleError> {
        match self {
            #[cfg(feature = "nifti")]
            Self::Patches(patches) => patches.write_at(index, place, slot, context),
            _ => {
                let _ = (index, place, slot, context);
                Err(no_places())
            }
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
