//! Triplets of samples as samples.

use std::fmt;
use std::sync::Arc;

use batchwright_core::{Context, Dataset, Field, Fingerprint, SampleError, Slot};

use crate::error::Error;
use crate::parts::{Parted, Parts, Placed, Places};
use crate::source::{Triplet, TripletSource};

/// Triplets of samples of any data set, as samples.
///
/// The fields are those of the anchor, its first field named `anchor` and any other `anchor_<name>`; those of the positive,
/// `positive` and `positive_<name>`; those of the negative, likewise; `anchor_index`, `positive_index` and
/// `negative_index`, `i64`: which samples they are. Class and facts are those of the anchor.
///
/// Who stands with an anchor depends on the place in the run, so [`id`](Dataset::id) names all samples only where triplets
/// are fixed; an error names the sample that could not be read, and [`tuple`](Self::tuple) tells who it was. See
/// [`PairDataset`](crate::PairDataset) for an example.
pub struct TripletDataset<D, S = Arc<dyn TripletSource>> {
    parted: Parted<D>,
    source: S,
}

impl<D: Dataset, S: TripletSource> TripletDataset<D, S> {
    /// Reads the triplets of `source` from `dataset`.
    ///
    /// # Errors
    /// Refuses a source of another number of samples, and fields whose names would come twice.
    pub fn new(dataset: D, source: S, parts: Parts) -> Result<Self, Error> {
        if source.samples() != dataset.len() {
            let (source_samples, dataset) = (source.samples(), dataset.len());
            return Err(Error::Samples { source_samples, dataset });
        }
        let parted = Parted::new(dataset, &["anchor", "positive", "negative"], Vec::new(), parts)?;
        Ok(Self { parted, source })
    }

    /// As [`TripletDataset::new`], with all samples of a triplet taken at the place of the first, or at places that overlap it.
    ///
    /// # Errors
    /// As [`TripletDataset::new`]; refuses an overlap that is not above 0 and at most 1.
    pub fn placed(dataset: D, source: S, parts: Parts, places: Places) -> Result<Self, Error>
    where
        D: Placed,
    {
        let Self { parted, source } = Self::new(dataset, source, parts)?;
        Ok(Self { parted: parted.at(places)?, source })
    }

    /// Returns the data set whose samples are read.
    pub fn dataset(&self) -> &D {
        &self.parted.dataset
    }

    /// Returns where the triplets come from.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// Returns the contexts that the parts are read in.
    pub fn contexts<'c>(&self, context: &Context<'c>) -> [Context<'c>; 3] {
        std::array::from_fn(|part| self.parted.context(part, context))
    }

    /// Returns where in their images or volumes the parts are taken, if together.
    pub fn places(&self) -> Option<Places> {
        self.parted.places()
    }

    /// Returns who stands together in sample `index` at a place of the run.
    pub fn tuple(&self, index: usize, context: &Context<'_>) -> Triplet {
        self.source.tuple(index, context)
    }
}

impl<D: Dataset, S: TripletSource> Dataset for TripletDataset<D, S> {
    fn len(&self) -> usize {
        self.source.len()
    }

    fn fields(&self) -> &[Field] {
        &self.parted.fields
    }

    fn write(&self, index: usize, slot: &mut Slot<'_>, context: &Context<'_>) -> Result<(), SampleError> {
        let Triplet { anchor, positive, negative } = self.source.tuple(index, context);
        self.parted.write(&[anchor, positive, negative], slot, context)
    }

    fn id(&self, index: usize) -> String {
        let id = |index| self.parted.dataset.id(index);
        match self.source.fixed(index) {
            Some(Triplet { anchor, positive, negative }) => {
                format!("{} with {} against {}", id(anchor), id(positive), id(negative))
            }
            None => format!("{} with another against another", id(self.source.anchor(index))),
        }
    }

    fn class(&self, index: usize) -> Option<u32> {
        self.parted.dataset.class(self.source.anchor(index))
    }

    fn fact(&self, index: usize, name: &str) -> Option<String> {
        self.parted.dataset.fact(self.source.anchor(index), name)
    }

    fn facts(&self) -> Vec<String> {
        self.parted.dataset.facts()
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::default()
            .with("parts", self.parted.settings())
            .with("samples", self.parted.dataset.len())
            .with_part("triplets", &self.source.fingerprint())
            .with_part("of", &self.parted.dataset.fingerprint())
    }

    #[inline]
    fn prefetch(&self, index: usize) {
        self.parted.dataset.prefetch(self.source.anchor(index));
    }
}

impl<D, S: fmt::Debug> fmt::Debug for TripletDataset<D, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TripletDataset")
            .field("parted", &self.parted)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}
