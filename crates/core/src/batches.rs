//! A sequence made of a data set and a sampler.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::batch::{Batch, SampleId};
use crate::buffer::Block;
use crate::dataset::{Context, Dataset, Stages};
use crate::error::{BoxError, LoadError, Place, SampleError};
use crate::fingerprint::Fingerprint;
use crate::plan::{LastBatch, Plan, PlanError, Rank, Uneven};
use crate::random::{Name, Stream};
use crate::sampler::Sampler;
use crate::sequence::Sequence;
use crate::slot::{Layout, Slot};
use crate::slots::{Filling, OnError, Slots};

const SUBSTITUTE: Name = Name::new("order/substitute");

/// How a data set becomes batches.
#[derive(Clone, Debug, Default)]
pub struct BatchOptions {
    /// What all draws of the run are keyed by.
    pub seed: u64,
    /// The samples of a batch, over all ranks together.
    pub batch_size: usize,
    /// What happens to the samples that do not fill the last batch; by default it is shorter.
    pub last: LastBatch,
    /// Which part of each batch is read here; by default all of it.
    pub rank: Rank,
    /// What happens where the last batch cannot be shared equally; by default shares differ.
    pub uneven: Uneven,
    /// What to do about a bad sample; by default its batch is an error.
    pub on_error: OnError,
    /// A weight for each class's samples, which fills [`Batch::weights`]; every class must have one.
    pub class_weight: Option<BTreeMap<u32, f32>>,
}

/// A [`Sequence`] made of a [`Dataset`] and a [`Sampler`].
///
/// ```
/// # use batchwright_core::{Batches, BatchOptions, Context, Dataset, Field, SampleError, Sequence, Shuffled, Slot};
/// struct Squares(Vec<Field>);
///
/// impl Dataset for Squares {
///     fn len(&self) -> usize {
///         10
///     }
///     fn fields(&self) -> &[Field] {
///         &self.0
///     }
///     fn write(&self, index: usize, slot: &mut Slot<'_>, _: &Context<'_>) -> Result<(), SampleError> {
///         slot.get::<f32>(0)[0] = (index * index) as f32;
///         Ok(())
///     }
/// }
///
/// let squares = Squares(vec![Field::new::<f32>("square", &[])]);
/// let options = BatchOptions { seed: 42, batch_size: 4, ..BatchOptions::default() };
/// let batches = Batches::new(squares, Shuffled::new(10), options)?;
/// let mut all: Vec<f32> = Vec::new();
/// for index in 0..batches.len() {
///     all.extend(batches.get(0, index)?.get::<f32>("square")?);
/// }
/// all.sort_by(f32::total_cmp);
/// assert_eq!(all, [0.0, 1.0, 4.0, 9.0, 16.0, 25.0, 36.0, 49.0, 64.0, 81.0]);
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
pub struct Batches<D> {
    dataset: D,
    plan: Plan,
    layout: Arc<Layout>,
    on_error: OnError,
    class_weight: Option<BTreeMap<u32, f32>>,
}

impl<D: Dataset> Batches<D> {
    /// Makes batches of `dataset` in the order of `sampler`.
    ///
    /// # Errors
    /// Refuses what makes no [`Plan`], a sampler of another number of samples, fields that make no layout, and class
    /// weights that are missing, negative or not finite, or where samples have no class.
    pub fn new(
        dataset: D,
        sampler: impl Sampler + 'static,
        options: BatchOptions,
    ) -> Result<Self, PlanError> {
        Self::shared(dataset, Arc::new(sampler), options)
    }

    /// As [`Batches::new`], for a sampler that is shared already.
    ///
    /// # Errors
    /// As [`Batches::new`].
    pub fn shared(dataset: D, sampler: Arc<dyn Sampler>, options: BatchOptions) -> Result<Self, PlanError> {
        let BatchOptions { seed, batch_size, last, rank, uneven, on_error, class_weight } = options;
        if sampler.samples() != dataset.len() as u64 {
            return Err(PlanError::Samples { sampler: sampler.samples(), dataset: dataset.len() });
        }
        if let Some(weights) = &class_weight {
            check_weights(&dataset, weights)?;
        }
        let plan = Plan::shared(sampler, seed, batch_size, last, rank, uneven)?;
        let layout = Layout::new(dataset.fields().to_vec(), plan.rows())
            .map_err(|error| PlanError::Dataset(error.to_string()))?;
        Ok(Self { dataset, plan, layout: Arc::new(layout), on_error, class_weight })
    }

    /// Returns the data set.
    pub fn dataset(&self) -> &D {
        &self.dataset
    }

    /// Returns the plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

fn check_weights(dataset: &impl Dataset, weights: &BTreeMap<u32, f32>) -> Result<(), PlanError> {
    if let Some((class, weight)) = weights.iter().find(|(_, weight)| !(weight.is_finite() && 0.0 <= **weight))
    {
        let text = format!("the weight of class {class} is {weight}; it must be finite and at least 0");
        return Err(PlanError::Dataset(text));
    }
    for index in 0..dataset.len() {
        match dataset.class(index) {
            Some(class) if weights.contains_key(&class) => {}
            Some(class) => {
                let text = format!("class {class} of sample {index} ({}) has no weight", dataset.id(index));
                return Err(PlanError::Dataset(text));
            }
            None => {
                let text = format!("sample {index} ({}) has no class to take a weight of", dataset.id(index));
                return Err(PlanError::Dataset(text));
            }
        }
    }
    Ok(())
}

impl<D: Dataset> Sequence for Batches<D> {
    fn len(&self) -> usize {
        self.plan.len()
    }

    fn global_len(&self) -> usize {
        self.plan.global_len()
    }

    fn get(&self, epoch: u64, index: usize) -> Result<Batch, BoxError> {
        Ok(self.read(epoch, index)?)
    }

    fn fingerprint(&self) -> Fingerprint {
        let fields = self.dataset.fields().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let on_error = match self.on_error {
            OnError::Fail => "fail",
            OnError::Skip { .. } => "skip",
            OnError::Substitute { .. } => "substitute",
        };
        let mut fingerprint = Fingerprint::default()
            .with("data.samples", self.dataset.len())
            .with("data.fields", fields)
            .with_part("data", &self.dataset.fingerprint())
            .with_part("plan", &self.plan.fingerprint())
            .with("plan.on_error", on_error);
        if let Some(weights) = &self.class_weight {
            fingerprint = fingerprint.with("plan.class_weight", format!("{weights:?}"));
        }
        fingerprint
    }

    fn seed(&self) -> Option<u64> {
        Some(self.plan.seed())
    }

    fn slots(&self) -> Option<&dyn Slots> {
        Some(self)
    }
}

impl<D: Dataset> Batches<D> {
    /// Reads a batch on the calling thread, as [`Sequence::get`] does, with the error as it is.
    ///
    /// # Errors
    /// Fails as the loader would in this place.
    pub fn read(&self, epoch: u64, index: usize) -> Result<Batch, LoadError> {
        let place = Place { epoch, batch: index };
        let filling = Filling::open(self, place, || Block::zeroed(self.layout.bytes()))?;
        let claim = filling.rows().claim(usize::MAX).expect("nobody else claims rows");
        filling.write(self, claim, None, |_| {}).expect("all rows were claimed")
    }
}

impl<D: Dataset> Slots for Batches<D> {
    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn plan(&self, epoch: u64, index: usize) -> Vec<SampleId> {
        self.plan.batch(epoch, index)
    }

    #[inline]
    fn prefetch(&self, index: usize) {
        self.dataset.prefetch(index);
    }

    #[inline]
    fn write(
        &self,
        epoch: u64,
        sample: &SampleId,
        slot: &mut Slot<'_>,
        stages: Option<&Stages>,
    ) -> Result<(), SampleError> {
        let mut context = Context::new(self.plan.seed(), epoch, sample.position).with_attempt(sample.attempt);
        if let Some(stages) = stages {
            context = context.with_stages(stages);
        }
        self.dataset.write(sample.index, slot, &context)
    }

    fn id(&self, index: usize) -> String {
        self.dataset.id(index)
    }

    fn weight(&self, index: usize) -> Option<f32> {
        let weights = self.class_weight.as_ref()?;
        self.dataset.class(index).and_then(|class| weights.get(&class).copied())
    }

    fn on_error(&self) -> OnError {
        self.on_error
    }

    fn substitute(&self, epoch: u64, position: u64, attempt: u64) -> usize {
        let mut stream = Stream::with_attempt(self.plan.seed(), epoch, position, SUBSTITUTE, attempt);
        self.plan.order(epoch).substitute(&mut stream) as usize
    }
}

impl<D> fmt::Debug for Batches<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches")
            .field("plan", &self.plan)
            .field("on_error", &self.on_error)
            .finish_non_exhaustive()
    }
}
