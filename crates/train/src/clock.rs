//! Where the time of a training goes.

use std::time::{Duration, Instant};

/// Where the time of a part of a run goes.
#[derive(Debug)]
pub(crate) struct Clock {
    pub(crate) begun: Instant,
    /// Time of training steps, waiting for data included.
    pub(crate) training: Duration,
    pub(crate) waiting: Duration,
    pub(crate) samples: u64,
    /// The same at the last line.
    then: (Duration, Duration, u64),
}

impl Default for Clock {
    fn default() -> Self {
        let zero = Duration::ZERO;
        Self { begun: Instant::now(), training: zero, waiting: zero, samples: 0, then: (zero, zero, 0) }
    }
}

impl Clock {
    /// Samples a second, and the fraction of the time that was waited.
    pub(crate) fn rates(&self) -> (f64, f64) {
        rates(self.training, self.waiting, self.samples)
    }

    /// Samples a second, and the fraction of the time that was waited, since the last call.
    pub(crate) fn since_last(&mut self) -> (f64, f64) {
        let (training, waiting, samples) = self.then;
        self.then = (self.training, self.waiting, self.samples);
        rates(
            self.training.saturating_sub(training),
            self.waiting.saturating_sub(waiting),
            self.samples - samples,
        )
    }
}

fn rates(training: Duration, waiting: Duration, samples: u64) -> (f64, f64) {
    let seconds = training.as_secs_f64().max(1e-9);
    (samples as f64 / seconds, waiting.as_secs_f64() / seconds)
}
