//! Which sample stands at which position of an epoch.

mod balanced;
mod permutation;
mod recent;
mod sequential;
mod shuffled;
mod weighted;
mod windowed;
mod windowed_blocks;

use std::fmt;
use std::sync::Arc;

pub use balanced::Balanced;
pub use permutation::Permutation;
pub use sequential::Sequential;
pub use shuffled::Shuffled;
pub use weighted::Weighted;
pub use windowed::Windowed;
pub use windowed_blocks::WindowedBlocks;

use crate::fingerprint::Fingerprint;
use crate::random::Stream;

/// Which sample stands at which position, as a function of (seed, epoch).
///
/// The laws, which `testing::check_sampler` (feature `testing`) tries on any implementation:
///
/// 1. [`order`](Sampler::order) is a function of its arguments, and [`Order::at`] of its own.
/// 2. Every position below [`len`](Sampler::len) has an index below [`samples`](Sampler::samples).
/// 3. If [`coverage`](Sampler::coverage) is [`Coverage::Once`], every index comes up exactly once in an epoch.
pub trait Sampler: fmt::Debug + Send + Sync {
    /// Returns the positions of one epoch; the same for every epoch.
    fn len(&self) -> u64;

    /// Returns whether an epoch has no position.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the samples that positions point to: indices are below it.
    fn samples(&self) -> u64;

    /// Returns the order of an epoch.
    fn order(&self, seed: u64, epoch: u64) -> Arc<dyn Order>;

    /// Returns how often samples come up in an epoch.
    fn coverage(&self) -> Coverage;

    /// Returns what this sampler is and its settings.
    fn fingerprint(&self) -> Fingerprint;
}

/// The order of one epoch, in random access.
pub trait Order: fmt::Debug + Send + Sync {
    /// Returns the index of the sample at `position`. May panic beyond the epoch's length.
    fn at(&self, position: u64) -> u64;

    /// Returns an index to take instead of the sample at a position, drawn from `stream`: what a second order of the
    /// same kind would have there. For every order that is a permutation that is a uniform draw.
    fn substitute(&self, stream: &mut Stream) -> u64;
}

/// How often a sampler takes each sample in an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// Each exactly once.
    Once,
    /// Each at most once.
    AtMostOnce,
    /// Some may come up more often than others, by the user's choice.
    Repeating,
}

/// Settings that make no sampler.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SamplerError {
    /// There is no sample.
    #[error("there is no sample to draw from")]
    Empty,
    /// A weight is negative, not finite, or all are zero.
    #[error("weight {index} is {weight}; weights must be finite, at least 0, and one of them above 0")]
    Weight {
        /// Which one.
        index: usize,
        /// What it is.
        weight: f64,
    },
    /// More draws without replacement than samples with a weight.
    #[error(
        "{draws} draws without replacement were asked for, and only {available} samples have a weight above 0"
    )]
    Draws {
        /// How many were asked for.
        draws: u64,
        /// How many there can be.
        available: u64,
    },
    /// More samples than can be counted.
    #[error("there are more samples than can be counted in 64 bits")]
    TooMany,
    /// A size that must be at least 1 is 0.
    #[error("{what} must be at least 1")]
    Zero {
        /// Which one.
        what: &'static str,
    },
}
