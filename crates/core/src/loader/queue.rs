//! The batches in flight, between the workers that fill them and the consumer that takes them in order.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::statistics::Counters;
use crate::batch::Batch;
use crate::buffer::Pool;
use crate::dataset::Stages;
use crate::error::{LoadError, Place, panic_message};
use crate::sequence::Sequence;
use crate::slots::Filling;
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, thread};

/// How long a worker goes on with one batch before others may take their part of it. Splitting finer than this costs
/// more in hand-overs than it gains; samples that take longer than this are shared out one by one.
const CLAIM: Duration = Duration::from_micros(100);
/// The consumer reads too, instead of waiting, where a batch is expected to take no longer than this.
#[cfg(not(shuttle))]
const CHEAP_BATCH: Duration = Duration::from_micros(300);
/// How often a thread looks again before it sleeps: waking it costs more than a short wait, above all where the
/// processor is a virtual one. Each look gives other threads the processor first.
const LOOKS: usize = if cfg!(shuttle) { 1 } else { 40 };

pub(super) type Source = Arc<dyn Sequence>;

/// What the consumer and the workers share.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Workers wait here for room in the queue.
    work: Condvar,
    /// The consumer waits here for its batch, for the end of the calls in hand, and for workers to be gone.
    ready: Condvar,
    len: usize,
    epochs: Option<u64>,
    max_queue_size: usize,
    queue_bytes: Option<u64>,
    pool: Option<Pool>,
    desks: Vec<Desk>,
    /// The nanoseconds that a sample takes, a running mean; 0 before the first.
    cost: AtomicU64,
    /// The bytes of the largest batch so far.
    batch_bytes: AtomicU64,
    /// The samples of a full batch, where they are known.
    rows: usize,
    /// Set with `State::closed`, for workers in the middle of a batch.
    closing: AtomicBool,
    pub(super) counters: Counters,
}

struct State {
    /// The batches in flight, the one to deliver next in front.
    entries: VecDeque<Entry>,
    /// The number of the front entry, counted from the start.
    first: u64,
    /// The batch to open next.
    next: Place,
    /// The last epoch that may be opened: with a hook, the current one.
    open_until: u64,
    /// Taken out while the hook runs.
    source: Option<Source>,
    closed: bool,
    idle: usize,
    busy: usize,
    gone: usize,
    consumer_waits: bool,
}

struct Entry {
    place: Place,
    stage: Stage,
}

enum Stage {
    /// A worker plans it, or fills all of it by itself.
    Opened,
    /// There are rows for others to fill.
    Shared(Arc<Filling>),
    Done(Result<Batch, LoadError>),
}

/// What one worker is reading.
#[derive(Default)]
struct Desk {
    busy: AtomicBool,
    epoch: AtomicU64,
    batch: AtomicUsize,
    /// The position plus one; 0 while the batch is planned, or read as a whole.
    position: AtomicU64,
    index: AtomicUsize,
}

enum Job {
    Open(u64, Place, Source),
    Help(u64, Arc<Filling>, Source),
}

/// How the queue is set up.
pub(super) struct Setup {
    pub(super) len: usize,
    pub(super) start: Place,
    pub(super) hook: bool,
    pub(super) epochs: Option<u64>,
    pub(super) max_queue_size: usize,
    pub(super) queue_bytes: Option<u64>,
    pub(super) pool: Option<Pool>,
    pub(super) rows: usize,
    pub(super) workers: usize,
}

impl Shared {
    pub(super) fn new(source: Source, setup: Setup) -> Self {
        let Setup { len, start, hook, epochs, max_queue_size, queue_bytes, pool, rows, workers } = setup;
        let batch_bytes = pool.as_ref().map_or(0, |pool| pool.block_bytes() as u64);
        // A state may stand at the very end of an epoch.
        let next = if start.batch == len { Place { epoch: start.epoch + 1, batch: 0 } } else { start };
        Self {
            state: Mutex::new(State {
                entries: VecDeque::new(),
                first: 0,
                next,
                open_until: if hook { start.epoch } else { u64::MAX },
                source: Some(source),
                closed: false,
                idle: 0,
                busy: 0,
                gone: 0,
                consumer_waits: false,
            }),
            work: Condvar::new(),
            ready: Condvar::new(),
            len,
            epochs,
            max_queue_size: max_queue_size.max(1),
            queue_bytes,
            pool,
            desks: (0..=workers).map(|_| Desk::default()).collect(),
            cost: AtomicU64::new(0),
            batch_bytes: AtomicU64::new(batch_bytes),
            rows,
            closing: AtomicBool::new(false),
            counters: Counters::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many batches may be in flight: `max_queue_size`, or as many as the budget holds, but at least one.
    pub(super) fn depth(&self) -> usize {
        let Some(budget) = self.queue_bytes else { return self.max_queue_size };
        match self.batch_bytes.load(Ordering::Relaxed) {
            0 => 1,
            bytes => ((budget / bytes) as usize).clamp(1, self.max_queue_size),
        }
    }

    // What workers do.

    /// Works until the queue is closed.
    pub(super) fn work(&self, worker: usize) {
        while let Some(job) = self.next_job() {
            self.run(job, &self.desks[worker]);
        }
        let mut state = self.lock();
        state.gone += 1;
        drop(state);
        self.ready.notify_all();
    }

    fn run(&self, job: Job, desk: &Desk) {
        let place = match &job {
            Job::Open(_, place, _) => *place,
            Job::Help(_, filling, _) => filling.place(),
        };
        desk.epoch.store(place.epoch, Ordering::Relaxed);
        desk.batch.store(place.batch, Ordering::Relaxed);
        desk.busy.store(true, Ordering::Relaxed);
        match job {
            Job::Open(ticket, place, source) => self.open(ticket, place, source, desk),
            Job::Help(ticket, filling, source) => self.fill(ticket, &filling, source, desk),
        }
        desk.busy.store(false, Ordering::Relaxed);
        desk.position.store(0, Ordering::Relaxed);
    }

    fn next_job(&self) -> Option<Job> {
        let mut state = self.lock();
        let mut waiting_since = None;
        let mut looks = 0;
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = self.find_job(&mut state) {
                if let Some(since) = waiting_since {
                    self.counters.add_idle(Instant::elapsed(&since));
                }
                return Some(job);
            }
            waiting_since.get_or_insert_with(Instant::now);
            if looks < LOOKS && self.is_cheap() {
                looks += 1;
                drop(state);
                thread::yield_now();
                state = self.lock();
                continue;
            }
            state.idle += 1;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    /// Finds rows of the earliest batch that has any, else opens a batch if there is room.
    fn find_job(&self, state: &mut State) -> Option<Job> {
        let source = state.source.as_ref()?;
        if state.closed {
            return None;
        }
        for (offset, entry) in state.entries.iter().enumerate() {
            if let Stage::Shared(filling) = &entry.stage
                && filling.rows().unclaimed()
            {
                let job = Job::Help(state.first + offset as u64, Arc::clone(filling), Arc::clone(source));
                state.busy += 1;
                return Some(job);
            }
        }
        let place = state.next;
        let over = self.epochs.is_some_and(|epochs| epochs <= place.epoch);
        if over || state.open_until < place.epoch || self.depth() <= state.entries.len() {
            return None;
        }
        let source = Arc::clone(source);
        let ticket = state.first + state.entries.len() as u64;
        state.entries.push_back(Entry { place, stage: Stage::Opened });
        state.next = if place.batch + 1 == self.len {
            Place { epoch: place.epoch + 1, batch: 0 }
        } else {
            Place { epoch: place.epoch, batch: place.batch + 1 }
        };
        state.busy += 1;
        Some(Job::Open(ticket, place, source))
    }

    /// Returns whether batches are so quickly made that handing them over is what costs.
    #[cfg(not(shuttle))]
    fn is_cheap(&self) -> bool {
        let cost = self.cost.load(Ordering::Relaxed);
        0 < cost && cost.saturating_mul(self.rows as u64) <= CHEAP_BATCH.as_nanos() as u64
    }

    /// The model checker has no clock: it tries both, by the size of a batch.
    #[cfg(shuttle)]
    fn is_cheap(&self) -> bool {
        self.rows == 3
    }

    fn open(&self, ticket: u64, place: Place, source: Source, desk: &Desk) {
        let Some(pool) = &self.pool else {
            let start = Instant::now();
            let result = get(source.as_ref(), place);
            self.counters.add_reading(start.elapsed());
            self.done(ticket, source, result);
            return;
        };
        match open(source.as_ref(), place, pool) {
            Ok(filling) => {
                let filling = Arc::new(filling);
                if self.rows_at_once() < filling.rows().rows() {
                    let mut state = self.lock();
                    let at = (ticket - state.first) as usize;
                    state.entries[at].stage = Stage::Shared(Arc::clone(&filling));
                    let idle = state.idle;
                    drop(state);
                    if 0 < idle {
                        self.work.notify_all();
                    }
                }
                self.fill(ticket, &filling, source, desk);
            }
            Err(error) => self.done(ticket, source, Err(error)),
        }
    }

    fn rows_at_once(&self) -> usize {
        if cfg!(shuttle) {
            return 1;
        }
        match self.cost.load(Ordering::Relaxed) {
            0 => 1,
            cost => (CLAIM.as_nanos() as u64 / cost).max(1) as usize,
        }
    }

    /// Fills rows of a batch until all are claimed.
    fn fill(&self, ticket: u64, filling: &Arc<Filling>, source: Source, desk: &Desk) {
        let slots = source.slots().expect("only batches of slots are filled by rows");
        let stages = Stages::default();
        let mut start = Instant::now();
        let mut finished = None;
        while !self.closing.load(Ordering::Relaxed)
            && let Some(claim) = filling.rows().claim(self.rows_at_once())
        {
            let rows = claim.range().len() as u64;
            finished = filling.write(slots, claim, Some(&stages), |sample| {
                desk.index.store(sample.index, Ordering::Relaxed);
                desk.position.store(sample.position + 1, Ordering::Relaxed);
            });
            let end = Instant::now();
            let time = end - start;
            start = end;
            self.counters.add_reading(time);
            let cost = (time.as_nanos() as u64 / rows).max(1);
            let mean = self.cost.load(Ordering::Relaxed);
            self.cost.store(if mean == 0 { cost } else { (mean * 3 + cost) / 4 }, Ordering::Relaxed);
        }
        self.counters.add_stages(stages.take());
        match finished {
            Some(result) => self.done(ticket, source, result),
            None => self.put_down(source),
        }
    }

    /// Puts the sequence down: what follows is no call of its code.
    fn put_down(&self, source: Source) {
        drop(source);
        let mut state = self.lock();
        self.not_busy(&mut state);
    }

    fn not_busy(&self, state: &mut State) {
        state.busy -= 1;
        if state.busy == 0 && state.consumer_waits {
            self.ready.notify_all();
        }
    }

    fn done(&self, ticket: u64, source: Source, result: Result<Batch, LoadError>) {
        drop(source);
        if self.pool.is_none()
            && let Ok(batch) = &result
        {
            self.batch_bytes.fetch_max(batch.block_bytes(), Ordering::Relaxed);
        }
        let mut state = self.lock();
        let at = (ticket - state.first) as usize;
        state.entries[at].stage = Stage::Done(result);
        let wanted = at == 0 && state.consumer_waits;
        self.not_busy(&mut state);
        drop(state);
        if wanted {
            self.ready.notify_all();
        }
    }

    // What the consumer does.

    /// Takes the next batch, and says how many more stand ready.
    ///
    /// # Errors
    /// Gives up at the deadline, saying what is being read.
    pub(super) fn take(
        &self,
        timeout: Option<Duration>,
    ) -> Result<(Result<Batch, LoadError>, usize), LoadError> {
        let mut state = self.lock();
        let start = Instant::now();
        let mut looks = 0;
        loop {
            if let Some(Entry { stage: Stage::Done(_), .. }) = state.entries.front() {
                break;
            }
            // A call that hangs must not hang the consumer where it asked for a time-out.
            if self.is_cheap() && timeout.is_none() {
                if let Some(job) = self.find_job(&mut state) {
                    drop(state);
                    self.run(job, &self.desks[self.desks.len() - 1]);
                    state = self.lock();
                    continue;
                }
                if looks < LOOKS {
                    looks += 1;
                    drop(state);
                    thread::yield_now();
                    state = self.lock();
                    continue;
                }
            }
            state.consumer_waits = true;
            let (guard, expired) = wait(&self.ready, state, timeout, start);
            state = guard;
            state.consumer_waits = false;
            let done = matches!(state.entries.front(), Some(Entry { stage: Stage::Done(_), .. }));
            if expired && !done {
                let place = state.entries.front().map_or(state.next, |entry| entry.place);
                return Err(LoadError::Timeout { place, waited: start.elapsed(), reading: String::new() });
            }
        }
        let ready = state.entries.iter().filter(|entry| matches!(entry.stage, Stage::Done(_))).count();
        let entry = state.entries.pop_front().expect("the front was there");
        state.first += 1;
        // Workers that sleep because the queue was full are woken when half of it is gone: one call for several batches.
        let wake = 0 < state.idle && state.entries.len() <= self.depth() / 2;
        drop(state);
        if wake {
            self.work.notify_all();
        }
        match entry.stage {
            Stage::Done(result) => Ok((result, ready - 1)),
            Stage::Opened | Stage::Shared(_) => unreachable!("the front was done"),
        }
    }

    /// Returns the sequence, to ask it something.
    pub(super) fn source(&self) -> Option<Source> {
        self.lock().source.clone()
    }

    /// Waits until no worker holds the sequence, and takes it out of the queue: nothing is read until
    /// [`Shared::put_back`].
    pub(super) fn take_out(&self) -> Option<Source> {
        let mut state = self.lock();
        let source = state.source.take();
        while 0 < state.busy {
            state.consumer_waits = true;
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.consumer_waits = false;
        }
        source
    }

    /// Puts the sequence back, and lets `epoch` be read.
    pub(super) fn put_back(&self, source: Source, epoch: u64) {
        let mut state = self.lock();
        state.source = Some(source);
        state.open_until = epoch;
        drop(state);
        self.work.notify_all();
    }

    /// Tells the workers to stop after the call in hand.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        self.lock().closed = true;
        self.work.notify_all();
    }

    /// Waits until the workers are gone, at most for `grace`.
    ///
    /// # Errors
    /// Says what those that are not are reading.
    pub(super) fn wait_gone(&self, workers: usize, grace: Duration) -> Result<(), Vec<Reading>> {
        let start = Instant::now();
        let mut state = self.lock();
        while state.gone < workers {
            let (guard, expired) = wait(&self.ready, state, Some(grace), start);
            state = guard;
            if expired && state.gone < workers {
                drop(state);
                return Err(self.reading());
            }
        }
        Ok(())
    }

    /// Returns what every worker is reading.
    pub(super) fn reading(&self) -> Vec<Reading> {
        let busy = self.desks.iter().enumerate().filter(|(_, desk)| desk.busy.load(Ordering::Relaxed));
        busy.map(|(worker, desk)| {
            let position = desk.position.load(Ordering::Relaxed).checked_sub(1);
            let place = Place {
                epoch: desk.epoch.load(Ordering::Relaxed),
                batch: desk.batch.load(Ordering::Relaxed),
            };
            let sample = position.map(|position| (desk.index.load(Ordering::Relaxed), position));
            Reading { worker, place, sample }
        })
        .collect()
    }
}

/// What one worker is reading.
pub(super) struct Reading {
    pub(super) worker: usize,
    pub(super) place: Place,
    /// The index and the position of the sample; none while the batch is planned, or read as a whole.
    pub(super) sample: Option<(usize, u64)>,
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { worker, place, sample } = self;
        match sample {
            Some((index, position)) => {
                write!(f, "worker {worker}: sample {index} at {place}, position {position}")
            }
            None => write!(f, "worker {worker}: {place}"),
        }
    }
}

/// Waits for a signal, until `timeout` after `start`; says whether it has expired.
#[cfg(not(shuttle))]
fn wait<'a>(
    signal: &Condvar,
    state: MutexGuard<'a, State>,
    timeout: Option<Duration>,
    start: Instant,
) -> (MutexGuard<'a, State>, bool) {
    let Some(timeout) = timeout else {
        return (signal.wait(state).unwrap_or_else(PoisonError::into_inner), false);
    };
    let left = timeout.saturating_sub(start.elapsed());
    let (state, _) = signal.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
    (state, timeout <= start.elapsed())
}

/// The model checker has no clock: nothing expires.
#[cfg(shuttle)]
fn wait<'a>(
    signal: &Condvar,
    state: MutexGuard<'a, State>,
    _timeout: Option<Duration>,
    _start: Instant,
) -> (MutexGuard<'a, State>, bool) {
    (signal.wait(state).unwrap_or_else(PoisonError::into_inner), false)
}

/// Asks a sequence written by hand for a batch.
pub(super) fn get(source: &dyn Sequence, place: Place) -> Result<Batch, LoadError> {
    match catch_unwind(AssertUnwindSafe(|| source.get(place.epoch, place.batch))) {
        Ok(Ok(mut batch)) => {
            (batch.epoch, batch.index) = (place.epoch, place.batch);
            Ok(batch)
        }
        // A sequence around `Batches` passes its errors on as they are.
        Ok(Err(error)) => match error.downcast::<LoadError>() {
            Ok(error) => Err(*error),
            Err(source) => Err(LoadError::Batch { place, source }),
        },
        Err(payload) => Err(LoadError::BatchPanic { place, message: panic_message(payload.as_ref()) }),
    }
}

/// Opens a batch of slots.
pub(super) fn open(source: &dyn Sequence, place: Place, pool: &Pool) -> Result<Filling, LoadError> {
    let slots = source.slots().expect("a pool is made for slots only");
    catch_unwind(AssertUnwindSafe(|| Filling::open(slots, place, || pool.take()))).unwrap_or_else(|payload| {
        Err(LoadError::BatchPanic { place, message: panic_message(payload.as_ref()) })
    })
}
