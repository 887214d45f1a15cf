//! Shuffling for data that is expensive to open.

use std::sync::Arc;

use super::recent::{Recent, recent};
use super::{Coverage, Order, Permutation, Sampler, SamplerError};
use crate::fingerprint::Fingerprint;
use crate::random::{Name, Stream};

pub(super) const BLOCKS: Name = Name::new("order/windowed/blocks");
pub(super) const WINDOW: Name = Name::new("order/windowed/window");

/// Every sample once, in an order that opens few blocks at a time: blocks of neighbouring samples (the patches of one
/// volume, the rows of one file) are shuffled, then the samples inside each window of so many blocks.
///
/// The order of blocks is the [`Permutation`] of the stream (seed, epoch, 0, `order/windowed/blocks`), that of window
/// w the one of (seed, epoch, w, `order/windowed/window`). A window is the user's choice, never a matter of free memory,
/// because the order depends on it. A window of all blocks is a full shuffle.
#[derive(Clone, Copy, Debug)]
pub struct Windowed {
    samples: u64,
    block: u64,
    window: u64,
}

impl Windowed {
    /// Shuffles `samples` samples in blocks of `block` (the last may be shorter), `window` blocks at a time.
    ///
    /// # Errors
    /// Refuses a block or a window of 0.
    pub fn new(samples: usize, block: usize, window: usize) -> Result<Self, SamplerError> {
        if block == 0 {
            return Err(SamplerError::Zero { what: "the length of a block" });
        }
        if window == 0 {
            return Err(SamplerError::Zero { what: "the window" });
        }
        Ok(Self { samples: samples as u64, block: block as u64, window: window as u64 })
    }
}

impl Sampler for Windowed {
    fn len(&self) -> u64 {
        self.samples
    }

    fn samples(&self) -> u64 {
        self.samples
    }

    fn order(&self, seed: u64, epoch: u64) -> Arc<dyn Order> {
        let n_blocks = self.samples.div_ceil(self.block);
        let blocks = Permutation::new(n_blocks, &mut Stream::new(seed, epoch, 0, BLOCKS));
        let missing = (n_blocks * self.block).wrapping_sub(self.samples);
        // Where the short block, which is the last of the data set, comes in the order of blocks.
        let short_at = if missing == 0 { n_blocks } else { blocks.position_of(n_blocks - 1) };
        Arc::new(WindowedOrder {
            sampler: *self,
            seed,
            epoch,
            blocks,
            n_blocks,
            missing,
            short_at,
            recent: Recent::default(),
        })
    }

    fn coverage(&self) -> Coverage {
        Coverage::Once
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::default().with("kind", "windowed").with("block", self.block).with("window", self.window)
    }
}

#[derive(Debug)]
struct WindowedOrder {
    sampler: Windowed,
    seed: u64,
    epoch: u64,
    blocks: Permutation,
    n_blocks: u64,
    missing: u64,
    short_at: u64,
    /// The permutation of the window asked for last; positions come in order, so it is nearly always the next one too.
    recent: Recent,
}

impl WindowedOrder {
    /// Returns how many samples the first `blocks` blocks of the order have.
    fn samples_before(&self, blocks: u64) -> u64 {
        blocks * self.sampler.block - if self.short_at < blocks { self.missing } else { 0 }
    }

    fn permutation(&self, window: u64, length: u64) -> Permutation {
        recent(&self.recent, window, || {
            Permutation::new(length, &mut Stream::new(self.seed, self.epoch, window, WINDOW))
        })
    }
}

impl Order for WindowedOrder {
    fn at(&self, position: u64) -> u64 {
        let Windowed { samples, block, window } = self.sampler;
        assert!(position < samples, "position {position} of {samples}");
        // The window of the position: full windows but for the missing samples of the short block.
        let full = window.saturating_mul(block);
        let mut at = position / full;
        if self.samples_before(((at + 1) * window).min(self.n_blocks)) <= position {
            at += 1;
        }
        let first = at * window;
        let last = (first + window).min(self.n_blocks);
        let start = self.samples_before(first);
        let length = self.samples_before(last) - start;
        let within = self.permutation(at, length).at(position - start);
        // The block of that sample, which the short one may come before.
        let mut nth = within / block;
        if self.samples_before(first + nth + 1) - start <= within {
            nth += 1;
        }
        let offset = within - (self.samples_before(first + nth) - start);
        self.blocks.at(first + nth) * block + offset
    }

    fn substitute(&self, stream: &mut Stream) -> u64 {
        stream.below(self.sampler.samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_comes_once_and_a_window_opens_only_its_blocks() {
        for (samples, block, window) in [
            (1, 1, 1),
            (10, 3, 2),
            (11, 4, 3),
            (100, 7, 4),
            (99, 10, 1),
            (60, 5, 100),
            (5, 9, 2),
            (70_001, 300, 16),
        ] {
            for seed in 0..4 {
                let sampler = Windowed::new(samples, block, window).unwrap();
                let order = sampler.order(seed, 1);
                let all: Vec<u64> = (0..samples as u64).map(|position| order.at(position)).collect();
                let mut sorted = all.clone();
                sorted.sort_unstable();
                assert!(sorted.iter().enumerate().all(|(i, &v)| i as u64 == v), "{samples} {block} {window}");
                // Any `window * block` neighbouring positions touch at most two windows of blocks.
                for part in all.chunks(window * block) {
                    let mut blocks: Vec<u64> = part.iter().map(|v| v / block as u64).collect();
                    blocks.sort_unstable();
                    blocks.dedup();
                    assert!(blocks.len() <= 2 * window, "{} blocks open", blocks.len());
                }
            }
        }
    }

    #[test]
    fn any_position_can_be_asked_for_first() {
        let order = Windowed::new(1003, 10, 4).unwrap().order(5, 2);
        let forward: Vec<u64> = (0..1003).map(|position| order.at(position)).collect();
        let fresh = Windowed::new(1003, 10, 4).unwrap().order(5, 2);
        let backward: Vec<u64> = (0..1003).rev().map(|position| fresh.at(position)).collect();
        assert!(forward.iter().eq(backward.iter().rev()));
        assert!(!forward.is_sorted());
    }
}
