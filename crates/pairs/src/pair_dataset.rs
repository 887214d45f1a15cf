//! Pairs of samples as samples.

use std::fmt;
use std::sync::Arc;

use batchwright_core::{Context, Dataset, Field, Fingerprint, SampleError, Slot};

use crate::error::Error;
use crate::parts::{Parted, Parts, Placed, Places};
use crate::source::{Pair, PairSource};

/// Pairs of samples of any data set, as samples.
///
/// The fields are those of the first sample, its first field named `a` and any other `a_<name>`; those of the second, `b` and
/// `b_<name>`; `same`, an `f32`: 1 for a positive, 0 for a negative, or the score of a list; `a_index` and `b_index`, `i64`:
/// which samples they are. Class and facts are those of the first.
///
/// Who stands with an anchor depends on the place in the run, so [`id`](Dataset::id) names both samples only where pairs are
/// fixed; an error names the sample that could not be read, and [`tuple`](Self::tuple) tells who it was.
///
/// ```
/// # use batchwright_core::{Context, Dataset, Field, SampleError, Slot};
/// # struct Numbers(Vec<Field>);
/// # impl Dataset for Numbers {
/// #     fn len(&self) -> usize { 6 }
/// #     fn fields(&self) -> &[Field] { &self.0 }
/// #     fn write(&self, index: usize, slot: &mut Slot<'_>, _: &Context<'_>) -> Result<(), SampleError> {
/// #         slot.get::<f32>(0)[0] = index as f32;
/// #         Ok(())
/// #     }
/// #     fn class(&self, index: usize) -> Option<u32> { Some(index as u32 / 2) }
/// # }
/// # let numbers = Numbers(vec![Field::new::<f32>("number", &[])]);
/// use batchwright_core::{BatchOptions, Batches, Sequence, Shuffled};
/// use batchwright_pairs::{Facts, PairDataset, PairOptions, PairSampler, Parts};
/// let sampler = PairSampler::new(&Facts::of(&numbers)?, &PairOptions::default())?;
/// let pairs = PairDataset::new(numbers, sampler, Parts::Independent)?;
/// let n = pairs.len();
/// let options = BatchOptions { seed: 42, batch_size: 4, ..BatchOptions::default() };
/// let batch = Batches::new(pairs, Shuffled::new(n), options)?.get(0, 0)?;
/// let (a, b, same) = (batch.get::<f32>("a")?, batch.get::<f32>("b")?, batch.get::<f32>("same")?);
/// for i in 0..4 {
///     assert_eq!((a[i] as u32 / 2 == b[i] as u32 / 2), same[i] == 1.0);
/// }
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
pub struct PairDataset<D, S = Arc<dyn PairSource>> {
    parted: Parted<D>,
    source: S,
}

impl<D: Dataset, S: PairSource> PairDataset<D, S> {
    /// Reads the pairs of `source` from `dataset`.
    ///
    /// # Errors
    /// Refuses a source of another number of samples, and fields whose names would come twice.
    pub fn new(dataset: D, source: S, parts: Parts) -> Result<Self, Error> {
        if source.samples() != dataset.len() {
            let (source_samples, dataset) = (source.samples(), dataset.len());
            return Err(Error::Samples { source_samples, dataset });
        }
        let parted = Parted::new(dataset, &["a", "b"], vec![Field::new::<f32>("same", &[])], parts)?;
        Ok(Self { parted, source })
    }

    /// As [`PairDataset::new`], with all samples of a pair taken at the place of the first, or at places that overlap it.
    ///
    /// # Errors
    /// As [`PairDataset::new`]; refuses an overlap that is not above 0 and at most 1.
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

    /// Returns where the pairs come from.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// Returns the contexts that the parts are read in.
    pub fn contexts<'c>(&self, context: &Context<'c>) -> [Context<'c>; 2] {
        std::array::from_fn(|part| self.parted.context(part, context))
    }

    /// Returns where in their images or volumes the parts are taken, if together.
    pub fn places(&self) -> Option<Places> {
        self.parted.places()
    }

    /// Returns who stands together in sample `index` at a place of the run.
    pub fn tuple(&self, index: usize, context: &Context<'_>) -> Pair {
        self.source.tuple(index, context)
    }
}

impl<D: Dataset, S: PairSource> Dataset for PairDataset<D, S> {
    fn len(&self) -> usize {
        self.source.len()
    }

    fn fields(&self) -> &[Field] {
        &self.parted.fields
    }

    fn write(&self, index: usize, slot: &mut Slot<'_>, context: &Context<'_>) -> Result<(), SampleError> {
        let Pair { a, b, same } = self.source.tuple(index, context);
        let at = self.parted.rest();
        slot.get::<f32>(at)[0] = same;
        self.parted.write(&[a, b], slot, context)
    }

    fn id(&self, index: usize) -> String {
        let id = |index| self.parted.dataset.id(index);
        match self.source.fixed(index) {
            Some(Pair { a, b, same: _ }) => format!("{} with {}", id(a), id(b)),
            None => format!("{} with another", id(self.source.anchor(index))),
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
            .with_part("pairs", &self.source.fingerprint())
            .with_part("of", &self.parted.dataset.fingerprint())
    }

    #[inline]
    fn prefetch(&self, index: usize) {
        self.parted.dataset.prefetch(self.source.anchor(index));
    }
}

impl<D, S: fmt::Debug> fmt::Debug for PairDataset<D, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PairDataset")
            .field("parted", &self.parted)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}
