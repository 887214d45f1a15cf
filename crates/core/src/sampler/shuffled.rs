//! A new random order every epoch.

use std::sync::Arc;

use super::{Coverage, Order, Permutation, Sampler};
use crate::fingerprint::Fingerprint;
use crate::random::{Name, Stream};

const ORDER: Name = Name::new("order/shuffled");

/// Every sample once, in an order drawn anew for every epoch: a [`Permutation`] drawn from the stream
/// (seed, epoch, 0, `order/shuffled`).
///
/// ```
/// use batchwright_core::{Sampler, Shuffled};
/// let order = Shuffled::new(1_000_000_000).order(42, 3);  // takes no memory
/// assert!(order.at(999_999_999) < 1_000_000_000);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Shuffled(u64);

impl Shuffled {
    /// Shuffles `samples` samples.
    pub fn new(samples: usize) -> Self {
        Self(samples as u64)
    }
}

impl Sampler for Shuffled {
    fn len(&self) -> u64 {
        self.0
    }

    fn samples(&self) -> u64 {
        self.0
    }

    fn order(&self, seed: u64, epoch: u64) -> Arc<dyn Order> {
        let permutation = Permutation::new(self.0, &mut Stream::new(seed, epoch, 0, ORDER));
        Arc::new(ShuffledOrder { permutation, samples: self.0 })
    }

    fn coverage(&self) -> Coverage {
        Coverage::Once
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::default().with("kind", "shuffled")
    }
}

#[derive(Debug)]
struct ShuffledOrder {
    permutation: Permutation,
    samples: u64,
}

impl Order for ShuffledOrder {
    fn at(&self, position: u64) -> u64 {
        self.permutation.at(position)
    }

    fn substitute(&self, stream: &mut Stream) -> u64 {
        stream.below(self.samples)
    }
}
