//! What the loader did with its time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::sync::{AtomicU64, Mutex, Ordering};

/// What a loader has done since it was made, and what it waited for.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Statistics {
    /// Batches delivered.
    pub batches: u64,
    /// Samples delivered.
    pub samples: u64,
    /// Time since the loader was made.
    pub elapsed: Duration,
    /// Time until the first batch was delivered.
    pub first_batch: Option<Duration>,
    /// Time the consumer waited for batches. Near 0, the loader keeps up; near `elapsed`, it is the bottleneck.
    pub waited: Duration,
    /// Time spent reading samples, added up over workers (and the consumer, where it reads instead of waiting).
    pub reading: Duration,
    /// Time the workers spent waiting for room in the queue (or for the epoch's hook), added up over workers.
    pub idle: Duration,
    /// The workers.
    pub workers: usize,
    /// The most batches read ahead.
    pub max_depth: usize,
    /// Batches that stood ready when the consumer asked for one, on average.
    pub mean_ready: f64,
    /// Time in the stages that the data set names, added up over workers.
    pub stages: BTreeMap<String, Duration>,
}

impl Statistics {
    /// Returns samples per second since the loader was made.
    pub fn samples_per_second(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if 0.0 < seconds { self.samples as f64 / seconds } else { 0.0 }
    }

    /// Returns the part of the time that the consumer waited, 0 to 1.
    pub fn waiting(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if 0.0 < seconds { (self.waited.as_secs_f64() / seconds).min(1.0) } else { 0.0 }
    }

    /// Says in a sentence what limits the throughput.
    pub fn bottleneck(&self) -> String {
        let waiting = self.waiting();
        if waiting < 0.05 {
            return format!(
                "the consumer: it waited for data {:.1} % of the time; more workers would not help",
                waiting * 100.0
            );
        }
        let available = self.elapsed.as_secs_f64() * self.workers.max(1) as f64;
        // The consumer may have read too, so that more than all workers' time was spent.
        let busy = (self.reading.as_secs_f64() / available.max(1e-9)).min(1.0);
        let largest = self.stages.iter().max_by_key(|(_, time)| **time);
        let stage = largest.map_or_else(String::new, |(name, time)| {
            let share = time.as_secs_f64() / self.reading.as_secs_f64().max(1e-9);
            format!("; most of it in `{name}` ({:.0} %)", share * 100.0)
        });
        if self.workers == 0 {
            format!("reading on the consumer's own thread{stage}; set `workers` to 1 or more to read ahead")
        } else if 0.8 < busy {
            format!(
                "reading: {} workers were busy {:.0} % of the time{stage}; add workers if there are cores",
                self.workers,
                busy * 100.0
            )
        } else {
            format!("handing over: workers were busy {:.0} % of the time only{stage}", busy * 100.0)
        }
    }
}

/// Counters that workers add to.
#[derive(Debug)]
pub(super) struct Counters {
    pub(super) start: Instant,
    reading: AtomicU64,
    idle: AtomicU64,
    stages: Mutex<BTreeMap<&'static str, Duration>>,
}

impl Counters {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            reading: AtomicU64::new(0),
            idle: AtomicU64::new(0),
            stages: Mutex::new(BTreeMap::new()),
        }
    }

    pub(super) fn add_reading(&self, time: Duration) {
        self.reading.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    pub(super) fn add_idle(&self, time: Duration) {
        self.idle.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    pub(super) fn add_stages(&self, stages: BTreeMap<&'static str, Duration>) {
        if stages.is_empty() {
            return;
        }
        let mut all = self.stages.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (name, time) in stages {
            *all.entry(name).or_default() += time;
        }
    }

    pub(super) fn read(&self, into: &mut Statistics) {
        into.elapsed = self.start.elapsed();
        into.reading = Duration::from_nanos(self.reading.load(Ordering::Relaxed));
        into.idle = Duration::from_nanos(self.idle.load(Ordering::Relaxed));
        let stages = self.stages.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        into.stages = stages.iter().map(|(&name, &time)| (name.to_owned(), time)).collect();
    }
}
