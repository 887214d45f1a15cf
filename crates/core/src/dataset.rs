//! Samples in random access.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::SampleError;
use crate::field::Field;
use crate::fingerprint::Fingerprint;
use crate::random::{Name, Stream, StreamKey};
use crate::slot::Slot;

/// Samples in random access: how many there are, what fields one has, and how one is written into its slot of a batch.
///
/// The laws, which `testing::check_dataset` (feature `testing`) tries on any implementation:
///
/// 1. [`write`](Dataset::write) is a function of its index and its context: the same bits from any thread, at any
///    time, in any order. Randomness comes from [`Context::stream`] alone.
/// 2. It writes every element of every field, because slots are recycled memory.
/// 3. `len`, `fields`, `id`, `class` and facts do not change while the data set is in use.
/// 4. Bad input is an `Err`, the same at every try. A panic is caught, and stops the run.
///
/// `write` is called from several threads at once, on the loader's own threads: it may block on files.
pub trait Dataset: Send + Sync {
    /// Returns the number of samples.
    fn len(&self) -> usize;

    /// Returns whether there is no sample.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the arrays that each sample has.
    fn fields(&self) -> &[Field];

    /// Writes sample `index` into `slot`. May panic if `len() <= index`, as a slice does.
    ///
    /// # Errors
    /// Says whether the data or the environment is at fault; only the former may be left out by policy.
    fn write(&self, index: usize, slot: &mut Slot<'_>, context: &Context<'_>) -> Result<(), SampleError>;

    /// Returns a name for sample `index` that a person can look up: a path, a row. Used in errors and reports.
    fn id(&self, index: usize) -> String {
        index.to_string()
    }

    /// Returns the class of sample `index`, if it has one: for class weights and balanced samplers.
    fn class(&self, _index: usize) -> Option<u32> {
        None
    }

    /// Returns a fact of sample `index` by its name, as in `patient`, `visit` or `group`, if it has one: for pairs that are
    /// chosen by facts. Asked for once, when a sampler is made.
    fn fact(&self, _index: usize, _name: &str) -> Option<String> {
        None
    }

    /// Returns the names of the facts that samples have.
    fn facts(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns what this data set is, by names, sizes and headers (no absolute paths, no times), so that a run is not
    /// resumed on another one. Joined by the fields and the length, which need not be repeated.
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::default()
    }

    /// Hints that sample `index` will be written soon by the calling thread. Must return at once; does nothing by
    /// default.
    #[inline]
    fn prefetch(&self, _index: usize) {}
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
            fn fields(&self) -> &[Field] {
                (**self).fields()
            }
            fn write(&self, index: usize, slot: &mut Slot<'_>, context: &Context<'_>) -> Result<(), SampleError> {
                (**self).write(index, slot, context)
            }
            fn id(&self, index: usize) -> String {
                (**self).id(index)
            }
            fn class(&self, index: usize) -> Option<u32> {
                (**self).class(index)
            }
            fn fact(&self, index: usize, name: &str) -> Option<String> {
                (**self).fact(index, name)
            }
            fn facts(&self) -> Vec<String> {
                (**self).facts()
            }
            fn fingerprint(&self) -> Fingerprint {
                (**self).fingerprint()
            }
            fn prefetch(&self, index: usize) {
                (**self).prefetch(index);
            }
        }
    };
}
forward!(D: Dataset + ?Sized> Dataset for Box<D>);
forward!(D: Dataset + ?Sized> Dataset for Arc<D>);
forward!(D: Dataset + ?Sized> Dataset for &D);

/// Time spent in named stages of reading a sample, by the thread that reads it.
#[derive(Debug, Default)]
pub struct Stages(RefCell<BTreeMap<&'static str, Duration>>);

impl Stages {
    /// Takes the times collected so far.
    pub fn take(&self) -> BTreeMap<&'static str, Duration> {
        std::mem::take(&mut *self.0.borrow_mut())
    }
}

/// What a data set is told about the sample it writes: where in the run it stands, and the randomness that belongs
/// to that place.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    seed: u64,
    epoch: u64,
    position: u64,
    attempt: u64,
    part: Option<Name>,
    stages: Option<&'a Stages>,
}

impl<'a> Context<'a> {
    /// Makes the context of a position in an epoch.
    pub fn new(seed: u64, epoch: u64, position: u64) -> Self {
        Self { seed, epoch, position, attempt: 0, part: None, stages: None }
    }

    /// Makes it the context of a substitute taken at the given try, whose draws differ from the first sample's.
    #[must_use]
    pub fn with_attempt(self, attempt: u64) -> Self {
        Self { attempt, ..self }
    }

    /// Collects the times of stages.
    #[must_use]
    pub fn with_stages(self, stages: &'a Stages) -> Self {
        Self { stages: Some(stages), ..self }
    }

    /// Returns the context of a part of this sample (one half of a pair), whose draws are named apart.
    #[must_use]
    pub fn part(&self, name: &str) -> Self {
        Self { part: Some(self.part.map_or_else(|| Name::new(name), |part| part.join(name))), ..*self }
    }

    /// Opens the random stream that `name` draws from at this place. Each name has its own: adding a draw leaves all
    /// others as they were.
    pub fn stream(&self, name: &str) -> Stream {
        self.key(name).open()
    }

    /// Returns the key of the stream that [`stream`](Self::stream) opens, to be written down.
    pub fn key(&self, name: &str) -> StreamKey {
        let name = self.part.map_or_else(|| Name::new(name), |part| part.join(name)).bits();
        let Self { seed, epoch, position, attempt, part: _, stages: _ } = *self;
        StreamKey { seed, epoch, position, name, attempt }
    }

    /// Returns the epoch, from 0.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Returns the position in the epoch, unique over all batches and ranks.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Returns 0, or the try in which this sample was taken as a substitute.
    pub fn attempt(&self) -> u64 {
        self.attempt
    }

    /// Runs `work` and counts its time under `stage` in the loader's statistics.
    pub fn stage<T>(&self, stage: &'static str, work: impl FnOnce() -> T) -> T {
        let Some(stages) = self.stages else { return work() };
        let start = Instant::now();
        let result = work();
        *stages.0.borrow_mut().entry(stage).or_default() += start.elapsed();
        result
    }
}
