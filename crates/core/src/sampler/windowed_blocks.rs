//! Windowed shuffling where blocks differ in length.

use std::sync::Arc;

use super::recent::{Recent, recent};
use super::windowed::{BLOCKS, WINDOW};
use super::{Coverage, Order, Permutation, Sampler, SamplerError};
use crate::fingerprint::Fingerprint;
use crate::random::Stream;

/// The order of [`Windowed`](super::Windowed) for blocks that differ in length, such as volumes cut into a grid of patches.
///
/// It draws from the same streams, so for blocks of one length (the last may be shorter) it is the same order. It keeps
/// one number for each block, and an epoch one more.
#[derive(Clone, Debug)]
pub struct WindowedBlocks {
    /// The first sample of each block, and after the last.
    firsts: Arc<[u64]>,
    window: u64,
}

impl WindowedBlocks {
    /// Shuffles blocks of so many neighbouring samples, `window` blocks at a time.
    ///
    /// # Errors
    /// Refuses a block without samples, more samples than can be counted, and a window of 0.
    pub fn new(blocks: impl IntoIterator<Item = u64>, window: usize) -> Result<Self, SamplerError> {
        if window == 0 {
            return Err(SamplerError::Zero { what: "the window" });
        }
        let mut firsts = vec![0_u64];
        let mut sum = 0_u64;
        for block in blocks {
            if block == 0 {
                return Err(SamplerError::Zero { what: "the length of each block" });
            }
            sum = sum.checked_add(block).ok_or(SamplerError::TooMany)?;
            firsts.push(sum);
        }
        Ok(Self { firsts: firsts.into(), window: window as u64 })
    }
}

impl Sampler for WindowedBlocks {
    fn len(&self) -> u64 {
        self.firsts[self.firsts.len() - 1]
    }

    fn samples(&self) -> u64 {
        self.len()
    }

    fn order(&self, seed: u64, epoch: u64) -> Arc<dyn Order> {
        let n_blocks = self.firsts.len() - 1;
        let blocks = Permutation::new(n_blocks as u64, &mut Stream::new(seed, epoch, 0, BLOCKS));
        let mut starts = Vec::with_capacity(n_blocks + 1);
        let mut start = 0;
        starts.push(start);
        for nth in 0..n_blocks {
            let block = blocks.at(nth as u64) as usize;
            start += self.firsts[block + 1] - self.firsts[block];
            starts.push(start);
        }
        Arc::new(BlocksOrder {
            sampler: self.clone(),
            seed,
            epoch,
            blocks,
            starts,
            recent: Recent::default(),
        })
    }

    fn coverage(&self) -> Coverage {
        Coverage::Once
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::default()
            .with("kind", "windowed blocks")
            .with_digest("blocks", self.firsts.windows(2).map(|pair| (pair[1] - pair[0]).to_le_bytes()))
            .with("window", self.window)
    }
}

#[derive(Debug)]
struct BlocksOrder {
    sampler: WindowedBlocks,
    seed: u64,
    epoch: u64,
    blocks: Permutation,
    /// The position before each block of the order is shuffled with its window, and after the last.
    starts: Vec<u64>,
    recent: Recent,
}

impl BlocksOrder {
    /// Returns which block of the order a position falls into.
    fn nth(&self, position: u64) -> usize {
        self.starts.partition_point(|&start| start <= position) - 1
    }
}

impl Order for BlocksOrder {
    fn at(&self, position: u64) -> u64 {
        let samples = self.sampler.len();
        assert!(position < samples, "position {position} of {samples}");
        let n_blocks = self.starts.len() as u64 - 1;
        let at = self.nth(position) as u64 / self.sampler.window;
        let first = at * self.sampler.window;
        let last = first.saturating_add(self.sampler.window).min(n_blocks);
        let (start, end) = (self.starts[first as usize], self.starts[last as usize]);
        let permutation = recent(&self.recent, at, || {
            Permutation::new(end - start, &mut Stream::new(self.seed, self.epoch, at, WINDOW))
        });
        let within = start + permutation.at(position - start);
        let nth = self.nth(within);
        self.sampler.firsts[self.blocks.at(nth as u64) as usize] + within - self.starts[nth]
    }

    fn substitute(&self, stream: &mut Stream) -> u64 {
        stream.below(self.sampler.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Windowed;
    use super::*;
    use crate::testing::check_sampler;

    #[test]
    fn every_sample_comes_once_and_a_window_opens_only_its_blocks() {
        for (blocks, window) in [
            (vec![1], 1),
            (vec![5, 1, 9, 2, 2, 30, 7], 3),
            (vec![4, 4, 4, 4], 10),
            ((1..200).collect::<Vec<u64>>(), 16),
            (vec![70_000, 3, 80_000], 2),
            (vec![2, 3], usize::MAX),
        ] {
            let sampler = WindowedBlocks::new(blocks.iter().copied(), window).unwrap();
            check_sampler(&sampler);
            let order = sampler.order(3, 1);
            let of: Vec<usize> = (0..sampler.len())
                .map(|position| {
                    let index = order.at(position);
                    sampler.firsts.partition_point(|&first| first <= index) - 1
                })
                .collect();
            // Blocks are opened once, in groups: the blocks of a window are all finished before those of the next begin.
            let (mut position, mut opened) = (0, 0);
            while position < of.len() {
                let mut group = std::collections::BTreeSet::new();
                let mut left = 0;
                while group.len() < window && (position < of.len()) && (group.is_empty() || 0 < left) {
                    if group.insert(of[position]) {
                        left += blocks[of[position]];
                    }
                    left -= 1;
                    position += 1;
                }
                while 0 < left {
                    assert!(group.contains(&of[position]), "{blocks:?} {window}");
                    left -= 1;
                    position += 1;
                }
                opened += group.len();
            }
            assert_eq!(opened, blocks.len());
        }
    }

    #[test]
    fn blocks_of_one_length_have_the_order_of_equal_blocks() {
        for (samples, block, window) in [(1, 1, 1), (10, 3, 2), (100, 7, 4), (70_001, 300, 16), (5, 9, 2)] {
            let equal = Windowed::new(samples, block, window).unwrap();
            let lengths = (0..samples).step_by(block).map(|start| block.min(samples - start) as u64);
            let blocks = WindowedBlocks::new(lengths, window).unwrap();
            for seed in 0..4 {
                let (equal, blocks) = (equal.order(seed, 2), blocks.order(seed, 2));
                assert!(
                    (0..samples as u64).all(|at| equal.at(at) == blocks.at(at)),
                    "{samples} {block} {window}"
                );
            }
        }
    }

    #[test]
    fn impossible_blocks_are_refused() {
        assert!(matches!(WindowedBlocks::new([1, 0], 1), Err(SamplerError::Zero { .. })));
        assert!(matches!(WindowedBlocks::new([1], 0), Err(SamplerError::Zero { .. })));
        assert!(matches!(WindowedBlocks::new([u64::MAX, 1], 1), Err(SamplerError::TooMany)));
        assert_eq!(WindowedBlocks::new([], 1).unwrap().len(), 0);
    }
}
