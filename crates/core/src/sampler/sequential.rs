//! The order as it stands.

use std::sync::Arc;

use super::{Coverage, Order, Sampler};
use crate::fingerprint::Fingerprint;
use crate::random::Stream;

/// Every sample in the order of the data set.
#[derive(Clone, Copy, Debug)]
pub struct Sequential(u64);

impl Sequential {
    /// Orders `samples` samples.
    pub fn new(samples: usize) -> Self {
        Self(samples as u64)
    }
}

impl Sampler for Sequential {
    fn len(&self) -> u64 {
        self.0
    }

    fn samples(&self) -> u64 {
        self.0
    }

    fn order(&self, _seed: u64, _epoch: u64) -> Arc<dyn Order> {
        Arc::new(*self)
    }

    fn coverage(&self) -> Coverage {
        Coverage::Once
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::default().with("kind", "sequential")
    }
}

impl Order for Sequential {
    fn at(&self, position: u64) -> u64 {
        assert!(position < self.0, "position {position} of {}", self.0);
        position
    }

    fn substitute(&self, stream: &mut Stream) -> u64 {
        stream.below(self.0)
    }
}
