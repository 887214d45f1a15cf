//! How a training is asked to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// A flag that asks a training to stop: it finishes the step in hand, saves, and returns. The handler of a signal may set it.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<AtomicU8>);

impl StopFlag {
    /// Asks to stop; `reason` is kept (a signal's number, or any other than 0).
    pub fn set(&self, reason: u8) {
        self.0.store(reason.max(1), Ordering::Relaxed);
    }

    /// Returns the reason, if stopping was asked for.
    pub fn get(&self) -> Option<u8> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            reason => Some(reason),
        }
    }
}
