//! Reading ahead with threads.

mod queue;
mod statistics;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use queue::{Setup, Shared, Source};
pub use statistics::Statistics;

use crate::batch::{Batch, LeftOut};
use crate::buffer::{Heap, Memory, Pool};
use crate::error::{LoadError, Place, panic_message};
use crate::fingerprint::Fingerprint;
use crate::sequence::Sequence;
use crate::state::{LoaderState, ResumeError};
use crate::sync::thread;

/// How a [`Loader`] reads ahead. Nothing here changes what the batches are.
#[derive(Clone, Debug)]
pub struct LoaderOptions {
    /// Threads that read; 0 to read on the consumer's thread, when it asks. 2 by default.
    pub workers: usize,
    /// The most batches that are read ahead, those being read included; at least 1. 10 by default.
    pub max_queue_size: usize,
    /// The most bytes of batches that are read ahead, if bounded; one batch is always allowed.
    pub queue_bytes: Option<u64>,
    /// How long the consumer waits for one batch before it is an error; for ever by default. Needs a worker.
    pub timeout: Option<Duration>,
    /// How many epochs there are to read; without end by default.
    pub epochs: Option<u64>,
    /// How long [`Drop`] waits for calls in hand before it leaves their threads behind; 5 seconds by default.
    pub grace: Duration,
    /// Where the memory of batches comes from; the heap by default.
    pub memory: Arc<dyn Memory>,
}

impl Default for LoaderOptions {
    fn default() -> Self {
        Self {
            workers: 2,
            max_queue_size: 10,
            queue_bytes: None,
            timeout: None,
            epochs: None,
            grace: Duration::from_secs(5),
            memory: Arc::new(Heap),
        }
    }
}

/// Delivers the batches of a [`Sequence`] in order, read ahead by threads of its own.
///
/// Of a sequence that has [`Slots`](crate::Slots) (which [`Batches`](crate::Batches) has) the samples of one batch are
/// read by several threads at once (where they take microseconds, by the consumer too, instead of waiting); of any other,
/// one thread reads one batch. Errors and panics arrive in the batch's
/// place in the order, and the batches after it still come. Dropping the loader ends its threads as soon as the calls
/// they are in return; one that does not return within [`LoaderOptions::grace`] is named in the log and left behind.
///
/// ```
/// # use batchwright_core::{Batch, BoxError, Field, Loader, LoaderOptions, Sequence};
/// struct Numbers;
///
/// impl Sequence for Numbers {
///     fn len(&self) -> usize {
///         3
///     }
///     fn get(&self, epoch: u64, index: usize) -> Result<Batch, BoxError> {
///         let mut batch = Batch::zeroed(vec![Field::new::<i64>("number", &[])], 1)?;
///         batch.get_mut::<i64>("number")?[0] = 10 * epoch as i64 + index as i64;
///         Ok(batch)
///     }
/// }
///
/// let mut loader = Loader::new(Numbers, LoaderOptions { epochs: Some(2), ..LoaderOptions::default() });
/// let mut numbers = Vec::new();
/// while let Some(batch) = loader.next_batch() {
///     numbers.push(batch?.get::<i64>("number")?[0]);
/// }
/// assert_eq!(numbers, [0, 1, 2, 10, 11, 12]);
/// # Ok::<(), BoxError>(())
/// ```
pub struct Loader {
    shared: Arc<Shared>,
    threads: Vec<thread::JoinHandle<()>>,
    len: usize,
    hook: bool,
    budget: Option<usize>,
    options: LoaderOptions,
    pool: Option<Pool>,
    fingerprint: Fingerprint,
    /// The batch to deliver next.
    place: Place,
    /// Where a run would go on: before the first batch that was not delivered whole.
    resume_at: Place,
    left_out: Vec<LeftOut>,
    closed: bool,
    statistics: Statistics,
    ready: u64,
}

impl Loader {
    /// Starts to read ahead, from the first batch of epoch 0.
    pub fn new(sequence: impl Sequence + 'static, options: LoaderOptions) -> Self {
        Self::start(Arc::new(sequence), options, Place { epoch: 0, batch: 0 }, Vec::new())
    }

    /// Starts to read ahead from where a run stood.
    ///
    /// # Errors
    /// Refuses a state of another data set or plan, saying what changed, and a damaged one.
    pub fn resume(
        mut sequence: impl Sequence + 'static,
        options: LoaderOptions,
        state: &LoaderState,
    ) -> Result<Self, ResumeError> {
        state.restore(&mut sequence)?;
        let place = Place { epoch: state.epoch, batch: state.next_batch };
        Ok(Self::start(Arc::new(sequence), options, place, state.left_out.clone()))
    }

    fn start(source: Source, options: LoaderOptions, place: Place, left_out: Vec<LeftOut>) -> Self {
        let len = source.len();
        let hook = source.has_epoch_hook();
        let fingerprint = source.fingerprint();
        let rows = source.slots().map_or(0, |slots| slots.layout().rows());
        let (pool, budget) = match source.slots() {
            Some(slots) => {
                let keep = options.max_queue_size.max(1) + 2;
                let pool = Pool::new(Arc::clone(&options.memory), slots.layout().bytes(), keep);
                (Some(pool), Some(slots.on_error().budget()))
            }
            None => (None, None),
        };
        let shared = Arc::new(Shared::new(
            source,
            Setup {
                len,
                start: place,
                hook,
                epochs: options.epochs,
                max_queue_size: options.max_queue_size,
                queue_bytes: options.queue_bytes,
                pool: pool.clone(),
                rows,
                workers: options.workers,
            },
        ));
        // An empty sequence has nothing to read.
        let workers = if len == 0 { 0 } else { options.workers };
        let threads = (0..workers)
            .map(|worker| {
                let shared = Arc::clone(&shared);
                spawn(worker, move || shared.work(worker))
            })
            .collect();
        let statistics = Statistics { workers, max_depth: shared.depth(), ..Statistics::default() };
        Self {
            shared,
            threads,
            len,
            hook,
            budget,
            options,
            pool,
            fingerprint,
            place,
            resume_at: place,
            left_out,
            closed: false,
            statistics,
            ready: 0,
        }
    }

    /// Returns the number of batches of an epoch.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether an epoch has no batch.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns what the batches depend on.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Returns the epoch and the index of the batch that is delivered next.
    pub fn place(&self) -> Place {
        if self.place.batch == self.len {
            Place { epoch: self.place.epoch + 1, batch: 0 }
        } else {
            self.place
        }
    }

    /// Returns the samples left out so far by the policy for bad samples, each once.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Delivers the next batch, going on over the ends of epochs; `None` after the last epoch to read.
    ///
    /// # Errors
    /// Gives the error in the place of its batch; the next call gives the batch after it. After a panic of the hook, or
    /// beyond the budget of samples left out, the loader is closed.
    pub fn next_batch(&mut self) -> Option<Result<Batch, LoadError>> {
        if self.closed {
            return Some(Err(LoadError::Closed));
        }
        if self.len == 0 {
            return None;
        }
        if self.place.batch == self.len {
            if self.options.epochs.is_some_and(|epochs| epochs <= self.place.epoch + 1) {
                return None;
            }
            if let Err(error) = self.end_epoch() {
                return Some(Err(error));
            }
        }
        if self.options.epochs.is_some_and(|epochs| epochs <= self.place.epoch) {
            return None;
        }
        let start = Instant::now();
        let taken = if self.threads.is_empty() {
            Ok((self.read_here(), 0))
        } else {
            self.shared.take(self.options.timeout)
        };
        self.statistics.waited += start.elapsed();
        let (result, ready) = match taken {
            Ok(taken) => taken,
            Err(error) => return Some(Err(self.name_samples(error))),
        };
        self.ready += ready as u64;
        self.place.batch += 1;
        Some(result.and_then(|batch| self.deliver(batch)))
    }

    /// Returns the rest of the current epoch (or the next one, if it is over) as an iterator.
    pub fn epoch(&mut self) -> Epoch<'_> {
        let epoch = self.place().epoch;
        Epoch { loader: self, epoch }
    }

    /// Returns where the run stands: after the last batch that was delivered. If a batch was an error, before it.
    pub fn state(&self) -> LoaderState {
        let source = self.shared.source().expect("the sequence is away only while the hook runs");
        let Place { epoch, batch } = self.resume_at;
        LoaderState::new(source.as_ref(), epoch, batch, self.left_out.clone())
    }

    /// Returns what was done so far, and what was waited for.
    pub fn statistics(&self) -> Statistics {
        let mut statistics = self.statistics.clone();
        self.shared.counters.read(&mut statistics);
        statistics.max_depth = self.shared.depth();
        if 0 < statistics.batches {
            statistics.mean_ready = self.ready as f64 / statistics.batches as f64;
        }
        statistics
    }

    /// Ends the loader as [`Drop`] does, and returns what was being read by threads that had to be left behind.
    pub fn close(mut self) -> Vec<String> {
        self.shut()
    }

    fn deliver(&mut self, mut batch: Batch) -> Result<Batch, LoadError> {
        for left_out in &mut batch.left_out {
            if let Some(known) = self.left_out.iter_mut().find(|known| known.index == left_out.index) {
                known.times += 1;
                continue;
            }
            self.left_out.push(left_out.clone());
            let budget = self.budget.unwrap_or(0);
            if budget < self.left_out.len() {
                self.closed = true;
                return Err(LoadError::Budget {
                    left_out: self.left_out.len(),
                    budget,
                    index: left_out.index,
                    id: left_out.id.clone(),
                    error: left_out.error.clone(),
                });
            }
        }
        self.resume_at = self.place;
        self.statistics.batches += 1;
        self.statistics.samples += batch.len() as u64;
        self.statistics.first_batch.get_or_insert_with(|| self.shared.counters.start.elapsed());
        Ok(batch)
    }

    /// Runs the hook of the epoch that is over, and turns to the next.
    fn end_epoch(&mut self) -> Result<(), LoadError> {
        let over = self.place.epoch;
        if self.hook {
            let mut source = self.shared.take_out().expect("the sequence is away only while the hook runs");
            let sequence = Arc::get_mut(&mut source).expect("no worker holds the sequence");
            let outcome = catch_unwind(AssertUnwindSafe(|| sequence.on_epoch_end(over)));
            self.shared.put_back(source, over + 1);
            if let Err(payload) = outcome {
                self.closed = true;
                let message = panic_message(payload.as_ref());
                return Err(LoadError::Hook { epoch: over, message });
            }
        }
        self.place = Place { epoch: over + 1, batch: 0 };
        self.resume_at = self.place;
        Ok(())
    }

    fn read_here(&self) -> Result<Batch, LoadError> {
        let source = self.shared.source().expect("the sequence is away only while the hook runs");
        let start = Instant::now();
        let result = match (&self.pool, source.slots()) {
            (Some(pool), Some(slots)) => queue::open(source.as_ref(), self.place, pool).and_then(|filling| {
                let stages = crate::dataset::Stages::default();
                let claim = filling.rows().claim(usize::MAX).expect("nobody else claims rows");
                let batch =
                    filling.write(slots, claim, Some(&stages), |_| {}).expect("all rows were claimed");
                self.shared.counters.add_stages(stages.take());
                batch
            }),
            _ => queue::get(source.as_ref(), self.place),
        };
        self.shared.counters.add_reading(start.elapsed());
        result
    }

    /// Adds the names of the samples being read to a time-out.
    fn name_samples(&self, mut error: LoadError) -> LoadError {
        if let LoadError::Timeout { reading, .. } = &mut error
            && let Some(source) = self.shared.source()
            && let Some(slots) = source.slots()
        {
            let names: Vec<_> = self.shared.indices().iter().map(|&index| slots.id(index)).collect();
            if !names.is_empty() {
                *reading = format!("{} ({reading})", names.join(", "));
            }
        }
        error
    }

    fn shut(&mut self) -> Vec<String> {
        self.shared.close();
        let left_behind = self.shared.wait_gone(self.threads.len(), self.options.grace);
        for (worker, thread) in self.threads.drain(..).enumerate() {
            if left_behind.is_empty() {
                if thread.join().is_err() {
                    log::error!("worker {worker} of the loader panicked");
                }
            } else if let Some(reading) =
                left_behind.iter().find(|text| text.starts_with(&format!("worker {worker}:")))
            {
                log::warn!("left a thread behind that does not return, {reading}");
            }
        }
        left_behind
    }
}

#[cfg(not(shuttle))]
fn spawn(worker: usize, work: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
    thread::Builder::new()
        .name(format!("batchwright-{worker}"))
        .spawn(work)
        .expect("the system has threads for the loader")
}

#[cfg(shuttle)]
fn spawn(_worker: usize, work: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
    thread::spawn(work)
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.shut();
    }
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("place", &self.place)
            .field("len", &self.len)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// The rest of one epoch; see [`Loader::epoch`].
#[derive(Debug)]
pub struct Epoch<'a> {
    loader: &'a mut Loader,
    epoch: u64,
}

impl Iterator for Epoch<'_> {
    type Item = Result<Batch, LoadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.loader.place == (Place { epoch: self.epoch, batch: self.loader.len }) {
            return None;
        }
        self.loader.next_batch()
    }
}
