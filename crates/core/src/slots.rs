//! A batch being filled by several threads at once.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use crate::batch::{Batch, LeftOut, SampleId};
use crate::dataset::Stages;
use crate::error::{BoxError, Fault, LoadError, Place, SampleError, panic_message};
use crate::slot::{Claim, Layout, Rows, Slot};

/// Batches whose samples can be written apart from each other, in any order, by several threads.
pub trait Slots: Send + Sync {
    /// Returns where the samples of a batch lie.
    fn layout(&self) -> &Arc<Layout>;

    /// Returns who stands in batch `index` of `epoch`, in order.
    fn plan(&self, epoch: u64, index: usize) -> Vec<SampleId>;

    /// Hints that the calling thread will write a sample soon; as [`Dataset::prefetch`](crate::Dataset::prefetch).
    fn prefetch(&self, index: usize);

    /// Writes one sample into its slot.
    ///
    /// # Errors
    /// As [`Dataset::write`](crate::Dataset::write).
    fn write(
        &self,
        epoch: u64,
        sample: &SampleId,
        slot: &mut Slot<'_>,
        stages: Option<&Stages>,
    ) -> Result<(), SampleError>;

    /// Returns the name of a sample.
    fn id(&self, index: usize) -> String;

    /// Returns the weight of a sample's loss, if samples have weights.
    fn weight(&self, index: usize) -> Option<f32>;

    /// Returns what to do about a bad sample.
    fn on_error(&self) -> OnError;

    /// Returns the sample to take at a position instead of a bad one, in the given try (from 1).
    fn substitute(&self, epoch: u64, position: u64, attempt: u64) -> usize;
}

/// What to do about a sample whose data is bad: the same error at every read. Errors of the environment and panics stop
/// the run, whatever the policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The batch is an error.
    #[default]
    Fail,
    /// The sample is left out, and the batch closes up. As many different samples as `budget` may be.
    Skip {
        /// How many different samples of a run may be left out.
        budget: usize,
    },
    /// Another sample takes its place: the one at the same position of a second order, keyed by
    /// (seed, epoch, position, try). As many different samples as `budget` may be left out.
    Substitute {
        /// How many different samples of a run may be left out.
        budget: usize,
    },
}

impl OnError {
    /// Returns how many samples may be left out.
    pub fn budget(self) -> usize {
        match self {
            Self::Fail => 0,
            Self::Skip { budget } | Self::Substitute { budget } => budget,
        }
    }
}

/// Substitutes tried for one position before giving up.
const MAX_TRIES: u64 = 100;
/// How many samples ahead a data set is told what will be read: reading a small image takes less time than memory takes
/// to answer.
const AHEAD: usize = 4;

/// A batch being filled.
pub(crate) struct Filling {
    place: Place,
    samples: Vec<SampleId>,
    layout: Arc<Layout>,
    rows: Rows,
    marks: Mutex<Marks>,
}

/// What happened to rows that were not simply written.
#[derive(Default)]
struct Marks {
    /// The first row that fails the batch, with its error.
    failed: Option<(usize, LoadError)>,
    skipped: Vec<usize>,
    replaced: Vec<(usize, SampleId)>,
    left_out: Vec<(usize, LeftOut)>,
}

impl Filling {
    /// Opens a batch: plans it, and takes a block for it.
    pub(crate) fn open(
        slots: &dyn Slots,
        place: Place,
        block: impl FnOnce() -> Result<crate::buffer::Block, BoxError>,
    ) -> Result<Self, LoadError> {
        let layout = Arc::clone(slots.layout());
        let block = block().map_err(|source| LoadError::Memory { place, bytes: layout.bytes(), source })?;
        let samples = slots.plan(place.epoch, place.batch);
        let rows = Rows::new(Arc::clone(&layout), samples.len(), block);
        Ok(Self { place, samples, layout, rows, marks: Mutex::default() })
    }

    pub(crate) fn rows(&self) -> &Rows {
        &self.rows
    }

    pub(crate) fn place(&self) -> Place {
        self.place
    }

    fn marks(&self) -> std::sync::MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the rows of a claim. `at` is told the row before each is begun. Returns the batch (or the error in its
    /// place) if these were the last rows of it.
    pub(crate) fn write(
        &self,
        slots: &dyn Slots,
        mut claim: Claim<'_>,
        stages: Option<&Stages>,
        at: impl Fn(&SampleId),
    ) -> Option<Result<Batch, LoadError>> {
        let range = claim.range();
        let mut hinted = range.start;
        let mut row = range.start;
        // Who is being read: a substitute, where the sample was bad.
        let reading = Cell::new(None);
        let begin = |sample: &SampleId| {
            reading.set(Some(*sample));
            at(sample);
        };
        while row < range.end {
            // One landing pad for all rows; a panic is charged to the row it happened in, and the rest goes on.
            let current = &mut row;
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                while *current < range.end {
                    let sample = &self.samples[*current];
                    begin(sample);
                    while hinted < range.end.min(*current + AHEAD) {
                        slots.prefetch(self.samples[hinted].index);
                        hinted += 1;
                    }
                    let mut slot = claim.slot(*current);
                    if let Err(error) = slots.write(self.place.epoch, sample, &mut slot, stages) {
                        self.bad_sample(slots, *current, error, &mut slot, stages, &begin);
                    }
                    *current += 1;
                }
            }));
            if let Err(payload) = outcome {
                let sample = reading.get().unwrap_or(self.samples[row]);
                let error = LoadError::Panic {
                    index: sample.index,
                    id: id_of(slots, sample.index),
                    place: self.place,
                    position: sample.position,
                    message: panic_message(payload.as_ref()),
                };
                self.fail(row, error);
                row += 1;
            }
        }
        let block = claim.finish()?;
        let finished = catch_unwind(AssertUnwindSafe(|| self.complete(slots, block)));
        Some(finished.unwrap_or_else(|payload| {
            Err(LoadError::BatchPanic { place: self.place, message: panic_message(payload.as_ref()) })
        }))
    }

    /// Makes the batch of its block.
    fn complete(&self, slots: &dyn Slots, block: crate::buffer::Block) -> Result<Batch, LoadError> {
        let marks = std::mem::take(&mut *self.marks());
        if let Some((_, error)) = marks.failed {
            return Err(error);
        }
        let mut batch = Batch::from_block(Arc::clone(&self.layout), self.samples.len(), block);
        (batch.epoch, batch.index) = (self.place.epoch, self.place.batch);
        batch.samples.clone_from(&self.samples);
        for (row, sample) in marks.replaced {
            batch.samples[row] = sample;
        }
        batch.weights = batch.samples.iter().map(|sample| slots.weight(sample.index)).collect();
        if !marks.skipped.is_empty() {
            let mut skipped = marks.skipped;
            skipped.sort_unstable();
            batch.remove_rows(&skipped);
        }
        let mut left_out = marks.left_out;
        left_out.sort_by_key(|(row, _)| *row);
        batch.left_out = left_out.into_iter().map(|(_, left_out)| left_out).collect();
        batch.budget = slots.on_error().budget();
        Ok(batch)
    }

    fn fail(&self, row: usize, error: LoadError) {
        let mut marks = self.marks();
        if marks.failed.as_ref().is_none_or(|(first, _)| row < *first) {
            marks.failed = Some((row, error));
        }
    }

    /// Applies the policy to a sample that could not be written.
    #[cold]
    fn bad_sample(
        &self,
        slots: &dyn Slots,
        row: usize,
        error: SampleError,
        slot: &mut Slot<'_>,
        stages: Option<&Stages>,
        begin: &dyn Fn(&SampleId),
    ) {
        let policy = slots.on_error();
        let mut sample = self.samples[row];
        let mut error = error;
        let mut left_out = Vec::new();
        loop {
            if policy == OnError::Fail || error.fault() == Fault::Environment {
                self.fail(row, self.sample_error(slots, &sample, error));
                return;
            }
            // Bad data is bad at every read; what is not cannot be trusted.
            let first = error.chain();
            let again = slots.write(self.place.epoch, &sample, slot, stages);
            let second = match again {
                Ok(()) => "succeeded".to_owned(),
                Err(again) if again.chain() == first => String::new(),
                Err(again) => format!("with `{}`", again.chain()),
            };
            if !second.is_empty() {
                let SampleId { index, position, .. } = sample;
                let id = id_of(slots, index);
                self.fail(row, LoadError::Unstable { index, id, place: self.place, position, first, second });
                return;
            }
            left_out.push((
                row,
                LeftOut {
                    index: sample.index,
                    id: id_of(slots, sample.index),
                    epoch: self.place.epoch,
                    position: sample.position,
                    times: 1,
                    error: first.clone(),
                },
            ));
            if let OnError::Skip { .. } = policy {
                let mut marks = self.marks();
                marks.skipped.push(row);
                marks.left_out.append(&mut left_out);
                return;
            }
            sample.attempt += 1;
            if MAX_TRIES < sample.attempt {
                let (place, position) = (self.place, sample.position);
                self.fail(row, LoadError::NoSubstitute { place, position, tries: MAX_TRIES, last: first });
                return;
            }
            sample.index = slots.substitute(self.place.epoch, sample.position, sample.attempt);
            begin(&sample);
            match slots.write(self.place.epoch, &sample, slot, stages) {
                Ok(()) => {
                    let mut marks = self.marks();
                    marks.replaced.push((row, sample));
                    marks.left_out.append(&mut left_out);
                    return;
                }
                Err(next) => error = next,
            }
        }
    }

    fn sample_error(&self, slots: &dyn Slots, sample: &SampleId, error: SampleError) -> LoadError {
        LoadError::Sample {
            index: sample.index,
            id: id_of(slots, sample.index),
            place: self.place,
            position: sample.position,
            fault: error.fault(),
            source: error.into_source(),
        }
    }
}

/// Returns a sample's name, for an error; a name that panics does not hide the error.
pub(crate) fn id_of(slots: &dyn Slots, index: usize) -> String {
    catch_unwind(AssertUnwindSafe(|| slots.id(index))).unwrap_or_else(|_| index.to_string())
}
