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
use crate::slots::id_of;
use crate::state::{LoaderState, ResumeError, facts};
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
    /// Where the memory of batches comes from; the heap by default. A sequence written by hand makes its own.
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
    options: LoaderOptions,
    pool: Option<Pool>,
    fingerprint: Fingerprint,
    /// The batch to deliver next.
    place: Place,
    /// Where a run would go on: before the first batch that was not delivered whole.
    resume_at: Place,
    left_out: Vec<LeftOut>,
    life: Life,
    /// The state before a hook that panicked.
    before_panic: Option<LoaderState>,
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
        // A rank with fewer batches than others has ended its epoch before them.
        let place = Place { batch: place.batch.min(sequence.len()), ..place };
        Ok(Self::start(Arc::new(sequence), options, place, state.left_out.clone()))
    }

    fn start(source: Source, options: LoaderOptions, place: Place, left_out: Vec<LeftOut>) -> Self {
        let len = source.len();
        let hook = source.has_epoch_hook();
        // Once: it may read through all of the data set, and a state is taken at every checkpoint.
        let fingerprint = facts(source.as_ref());
        let rows = source.slots().map_or(0, |slots| slots.layout().rows());
        let pool = source.slots().map(|slots| {
            let bytes = slots.layout().bytes();
            let fit =
                options.queue_bytes.map_or(usize::MAX, |budget| (budget / bytes.max(1) as u64) as usize);
            // Those read ahead, one with the consumer and one on its way.
            let keep = fit.clamp(1, options.max_queue_size.max(1)).saturating_add(2);
            Pool::new(Arc::clone(&options.memory), bytes, keep)
        });
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
            .map_while(|worker| {
                let shared = Arc::clone(&shared);
                // Fewer threads give the same batches, later; none, and the consumer reads.
                spawn(worker, move || shared.work(worker))
                    .inspect_err(|error| log::warn!("reading with {worker} of {workers} workers: {error}"))
                    .ok()
            })
            .collect::<Vec<_>>();
        let statistics =
            Statistics { workers: threads.len(), max_depth: shared.depth(), ..Statistics::default() };
        Self {
            shared,
            threads,
            len,
            hook,
            options,
            pool,
            fingerprint,
            place,
            resume_at: place,
            left_out,
            life: Life::Open,
            before_panic: None,
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

    /// Returns what the batches depend on, as the state stores it.
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
    /// Gives the error in the place of its batch; the next call gives the batch after it (after a time-out it waits for the
    /// same batch again). After a panic of the hook, or
    /// beyond the budget of samples left out, the loader is closed.
    pub fn next_batch(&mut self) -> Option<Result<Batch, LoadError>> {
        match self.life {
            Life::Open => {}
            Life::Closed => {
                self.life = Life::Over;
                return Some(Err(LoadError::Closed));
            }
            Life::Over => return None,
        }
        if self.len == 0 {
            return None;
        }
        if self.place.batch == self.len
            && let Err(error) = self.end_epoch()
        {
            return Some(Err(error));
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
        Epoch { loader: self, number: epoch, over: false }
    }

    /// Returns where the run stands: after the last batch that was delivered whole. An error is passed over when a later
    /// batch is delivered or the next epoch begins; until then a run goes on before it.
    pub fn state(&self) -> LoaderState {
        if let Some(state) = &self.before_panic {
            return state.clone();
        }
        let source = self.shared.source().expect("the sequence is away only while the hook runs");
        let Place { epoch, batch } = self.resume_at;
        LoaderState::new(source.as_ref(), self.fingerprint.clone(), epoch, batch, self.left_out.clone())
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

    fn deliver(&mut self, batch: Batch) -> Result<Batch, LoadError> {
        if !batch.left_out.is_empty() {
            // The list is a part of the state: it changes only with a batch that is delivered.
            let mut all = self.left_out.clone();
            for left_out in &batch.left_out {
                match all.iter_mut().find(|known| known.index == left_out.index) {
                    Some(known) => known.times += 1,
                    None => all.push(left_out.clone()),
                }
                if batch.budget < all.len() {
                    self.life = Life::Closed;
                    return Err(LoadError::Budget {
                        left_out: all.len(),
                        budget: batch.budget,
                        index: left_out.index,
                        id: left_out.id.clone(),
                        error: left_out.error.clone(),
                    });
                }
            }
            self.left_out = all;
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
            let before = self.state();
            let mut source = self.shared.take_out().expect("the sequence is away only while the hook runs");
            let sequence = Arc::get_mut(&mut source).expect("no worker holds the sequence");
            let outcome = catch_unwind(AssertUnwindSafe(|| sequence.on_epoch_end(over)));
            self.shared.put_back(source, over + 1);
            if let Err(payload) = outcome {
                self.life = Life::Closed;
                self.before_panic = Some(before);
                self.shared.close();
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

    /// Says in a time-out what is being read, with the names of samples.
    fn name_samples(&self, mut error: LoadError) -> LoadError {
        if let LoadError::Timeout { reading, .. } = &mut error {
            let source = self.shared.source();
            let slots = source.as_deref().and_then(Sequence::slots);
            let described = self.shared.reading().into_iter().map(|what| match (slots, what.sample) {
                (Some(slots), Some((index, _))) => format!("{} ({what})", id_of(slots, index)),
                _ => what.to_string(),
            });
            *reading = described.collect::<Vec<_>>().join("; ");
            if reading.is_empty() {
                "nothing: no worker has begun it".clone_into(reading);
            }
        }
        error
    }

    fn shut(&mut self) -> Vec<String> {
        self.shared.close();
        let threads = std::mem::take(&mut self.threads);
        match self.shared.wait_gone(threads.len(), self.options.grace) {
            Ok(()) => {
                for (worker, thread) in threads.into_iter().enumerate() {
                    if thread.join().is_err() {
                        log::error!("worker {worker} of the loader panicked");
                    }
                }
                Vec::new()
            }
            Err(left_behind) => {
                let left_behind: Vec<String> = left_behind.iter().map(ToString::to_string).collect();
                log::warn!("left threads behind that do not return: {}", left_behind.join("; "));
                left_behind
            }
        }
    }
}

/// Whether a loader still delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Open,
    /// An error closed it; the next call says so.
    Closed,
    Over,
}

#[cfg(not(shuttle))]
fn spawn(worker: usize, work: impl FnOnce() + Send + 'static) -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(format!("batchwright-{worker}")).spawn(work)
}

#[cfg(shuttle)]
fn spawn(_worker: usize, work: impl FnOnce() + Send + 'static) -> std::io::Result<thread::JoinHandle<()>> {
    Ok(thread::spawn(work))
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
    number: u64,
    over: bool,
}

impl Iterator for Epoch<'_> {
    type Item = Result<Batch, LoadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over || self.loader.life != Life::Open {
            return None;
        }
        if self.loader.place == (Place { epoch: self.number, batch: self.loader.len }) {
            self.over = true;
            // The epoch is over with its last batch: its hook runs now, also after the last epoch.
            return self.loader.end_epoch().err().map(Err);
        }
        self.loader.next_batch()
    }
}
