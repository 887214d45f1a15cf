//! Which samples stand in which batch, on which rank.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Arc, PoisonError};

use serde::{Deserialize, Serialize};

use crate::batch::SampleId;
use crate::fingerprint::Fingerprint;
use crate::sampler::{Order, Sampler};
use crate::sync::{Condvar, Mutex};

/// What happens to the samples that do not fill the last batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastBatch {
    /// The last batch is shorter.
    #[default]
    Short,
    /// They are not in this epoch (`drop_last`).
    Drop,
}

/// What happens where the last batch cannot be shared equally among the ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Uneven {
    /// Shares differ by at most one sample; a rank without a share has one batch fewer.
    #[default]
    Exact,
    /// The first samples of the epoch are repeated, marked as padded, until shares are equal.
    Pad,
    /// The samples that are over are not in this epoch.
    Drop,
}

/// One of several processes that train together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rank {
    /// Which one, from 0.
    pub index: usize,
    /// How many there are.
    pub world: usize,
}

impl Default for Rank {
    fn default() -> Self {
        Self { index: 0, world: 1 }
    }
}

/// Settings that make no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The batch size is 0.
    #[error("the batch size must be at least 1")]
    BatchSize,
    /// There is no such rank.
    #[error("rank {index} of {world} does not exist; ranks are 0 to one below their number")]
    Rank {
        /// Which one.
        index: usize,
        /// How many there are.
        world: usize,
    },
    /// The batch cannot be shared.
    #[error("a batch of {batch_size} (over all ranks together) cannot be shared equally by {world} ranks")]
    Shared {
        /// The batch size.
        batch_size: usize,
        /// How many ranks there are.
        world: usize,
    },
    /// An epoch has no batch.
    #[error("an epoch of {samples} samples has no batch of {batch_size} for rank {rank} of {world}")]
    Empty {
        /// The positions of an epoch.
        samples: u64,
        /// The batch size.
        batch_size: usize,
        /// Which rank.
        rank: usize,
        /// How many ranks there are.
        world: usize,
    },
    /// The sampler draws from another number of samples than there are.
    #[error("the sampler draws from {sampler} samples, the data set has {dataset}")]
    Samples {
        /// What the sampler says.
        sampler: u64,
        /// What the data set says.
        dataset: usize,
    },
    /// The data set does not go with the settings (its fields, its classes).
    #[error("{0}")]
    Dataset(String),
}

/// Which samples stand in which batch: a function of (seed, epoch), sliced by ranks out of one global order.
///
/// Batch `i` covers the positions `i * batch_size ..` of the epoch, over all ranks together; rank r of w takes the r-th
/// of w equal parts of it. So 1, 2 and 4 ranks see the same global batches, and a position's random draws are the same
/// wherever it is read.
///
/// Planning takes the memory of a sampler's [`Order`] and of one batch: any batch of 10^9 samples is planned at once.
///
/// ```
/// use batchwright_core::{LastBatch, Plan, Rank, Shuffled, Uneven};
/// let plan = Plan::new(Shuffled::new(10), 42, 4, LastBatch::Short, Rank::default(), Uneven::Exact)?;
/// assert_eq!(plan.len(), 3);
/// assert_eq!(plan.batch(0, 2).len(), 2);
/// # Ok::<(), batchwright_core::PlanError>(())
/// ```
#[derive(Debug)]
pub struct Plan {
    sampler: Arc<dyn Sampler>,
    seed: u64,
    batch_size: NonZeroUsize,
    last: LastBatch,
    rank: Rank,
    uneven: Uneven,
    len: usize,
    orders: Mutex<Orders>,
    made: Condvar,
}

#[derive(Debug, Default)]
struct Orders {
    kept: VecDeque<(u64, Arc<dyn Order>)>,
    /// Epochs whose order a thread is making.
    making: Vec<u64>,
}

/// Lets the others go on when an order is made, or its sampler has panicked.
struct Making<'a> {
    plan: &'a Plan,
    epoch: u64,
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        let mut orders = self.plan.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.making.retain(|&epoch| epoch != self.epoch);
        drop(orders);
        self.plan.made.notify_all();
    }
}

impl Plan {
    /// Plans batches of `batch_size`, which is that of all ranks together.
    ///
    /// # Errors
    /// Refuses a batch size that is 0 or not a multiple of the number of ranks, a rank that does not exist, and an epoch
    /// without a batch.
    pub fn new(
        sampler: impl Sampler + 'static,
        seed: u64,
        batch_size: usize,
        last: LastBatch,
        rank: Rank,
        uneven: Uneven,
    ) -> Result<Self, PlanError> {
        Self::shared(Arc::new(sampler), seed, batch_size, last, rank, uneven)
    }

    /// As [`Plan::new`], for a sampler that is shared already.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn shared(
        sampler: Arc<dyn Sampler>,
        seed: u64,
        batch_size: usize,
        last: LastBatch,
        rank: Rank,
        uneven: Uneven,
    ) -> Result<Self, PlanError> {
        let size = NonZeroUsize::new(batch_size).ok_or(PlanError::BatchSize)?;
        if rank.world <= rank.index {
            return Err(PlanError::Rank { index: rank.index, world: rank.world });
        }
        if !batch_size.is_multiple_of(rank.world) {
            return Err(PlanError::Shared { batch_size, world: rank.world });
        }
        let samples = sampler.len();
        let mut plan = Self {
            sampler,
            seed,
            batch_size: size,
            last,
            rank,
            uneven,
            len: 0,
            orders: Mutex::new(Orders::default()),
            made: Condvar::new(),
        };
        plan.len = plan.full_batches() + usize::from(!plan.share(plan.last_length()).is_empty());
        if plan.len == 0 {
            let (index, world) = (rank.index, rank.world);
            return Err(PlanError::Empty { samples, batch_size, rank: index, world });
        }
        Ok(plan)
    }

    /// Returns the plan of another rank of the same run, or of another number of ranks.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn for_rank(&self, rank: Rank) -> Result<Self, PlanError> {
        Self::shared(
            Arc::clone(&self.sampler),
            self.seed,
            self.batch_size.get(),
            self.last,
            rank,
            self.uneven,
        )
    }

    /// Returns the number of batches of an epoch on this rank.
    #[expect(clippy::len_without_is_empty, reason = "a plan without a batch cannot be made")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns the most samples that a batch has on this rank.
    pub fn rows(&self) -> usize {
        self.batch_size.get() / self.rank.world
    }

    /// Returns the batch size of all ranks together.
    pub fn batch_size(&self) -> usize {
        self.batch_size.get()
    }

    /// Returns the seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns the sampler.
    pub fn sampler(&self) -> &dyn Sampler {
        self.sampler.as_ref()
    }

    /// Returns the rank it is for.
    pub fn rank(&self) -> Rank {
        self.rank
    }

    /// Returns how many of the sampler's positions are not in an epoch, over all ranks, by the user's choice.
    pub fn dropped(&self) -> u64 {
        self.rest().saturating_sub(self.last_length()) as u64
    }

    /// Returns how many positions of an epoch repeat others to make the ranks' shares equal.
    pub fn padded(&self) -> u64 {
        self.last_length().saturating_sub(self.rest()) as u64
    }

    /// Returns the number of full batches of an epoch.
    fn full_batches(&self) -> usize {
        (self.sampler.len() / self.batch_size.get() as u64) as usize
    }

    /// Returns the number of positions that do not fill a batch.
    fn rest(&self) -> usize {
        (self.sampler.len() % self.batch_size.get() as u64) as usize
    }

    /// Returns the length of the short last batch over all ranks, padding included; 0 if there is none.
    fn last_length(&self) -> usize {
        let rest = self.rest();
        match (self.last, self.uneven) {
            (LastBatch::Drop, _) => 0,
            (LastBatch::Short, Uneven::Exact) => rest,
            (LastBatch::Short, Uneven::Pad) => rest.next_multiple_of(self.rank.world),
            (LastBatch::Short, Uneven::Drop) => rest - rest % self.rank.world,
        }
    }

    /// Returns the number of batches of an epoch over all ranks: a rank without a share of the last one has one fewer.
    pub fn global_len(&self) -> usize {
        self.full_batches() + usize::from(0 < self.last_length())
    }

    /// What becomes of uneven ends. Where samples are repeated or left out for it, it depends on the number of ranks.
    fn uneven_fact(&self) -> String {
        match self.uneven {
            Uneven::Exact => "exact".to_owned(),
            Uneven::Pad => format!("pad for {} ranks", self.rank.world),
            Uneven::Drop => format!("drop for {} ranks", self.rank.world),
        }
    }

    /// Returns this rank's part of a batch of `length` samples.
    fn share(&self, length: usize) -> Range<usize> {
        let Rank { index, world } = self.rank;
        length * index / world..length * (index + 1) / world
    }

    /// Returns the samples of batch `index` of an epoch, in order.
    ///
    /// # Panics
    /// Panics if `self.len() <= index`.
    pub fn batch(&self, epoch: u64, index: usize) -> Vec<SampleId> {
        assert!(index < self.len, "batch {index} of a plan with {}", self.len);
        let order = self.order(epoch);
        let start = index as u64 * self.batch_size.get() as u64;
        let samples = self.sampler.len();
        let whole = if index < self.full_batches() { self.batch_size.get() } else { self.last_length() };
        self.share(whole)
            .map(|at| {
                let position = start + at as u64;
                let index = order.at(position % samples) as usize;
                SampleId { index, position, attempt: 0, padded: samples <= position }
            })
            .collect()
    }

    /// Returns the order of an epoch; those of the last two epochs asked for are kept. One thread makes an order while
    /// others that want it wait, without holding a lock: a sampler may be anyone's code.
    pub fn order(&self, epoch: u64) -> Arc<dyn Order> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some((_, order)) = orders.kept.iter().find(|(at, _)| *at == epoch) {
                return Arc::clone(order);
            }
            if !orders.making.contains(&epoch) {
                break;
            }
            orders = self.made.wait(orders).unwrap_or_else(PoisonError::into_inner);
        }
        orders.making.push(epoch);
        drop(orders);
        let making = Making { plan: self, epoch };
        let order = self.sampler.order(self.seed, epoch);
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if orders.kept.len() == 2 {
            orders.kept.pop_front();
        }
        orders.kept.push_back((epoch, Arc::clone(&order)));
        drop(orders);
        drop(making);
        order
    }

    /// Returns what the global order of batches depends on; not the rank, so that a run may go on with another number.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::default()
            .with("seed", self.seed)
            .with("batch_size", self.batch_size)
            .with("last_batch", format!("{:?}", self.last).to_lowercase())
            .with("positions", self.sampler.len())
            .with("uneven", self.uneven_fact())
            .with_part("sampler", &self.sampler.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sampler::Shuffled;

    fn plan(
        n: usize,
        batch_size: usize,
        last: LastBatch,
        rank: Rank,
        uneven: Uneven,
    ) -> Result<Plan, PlanError> {
        Plan::new(Shuffled::new(n), 5, batch_size, last, rank, uneven)
    }

    proptest! {
        #[test]
        fn ranks_together_see_the_batches_of_one(
            n in 1_usize..200, share in 1_usize..9, world in 1_usize..6, drop_last: bool, uneven in 0_usize..3,
        ) {
            let batch_size = share * world;
            let last = if drop_last { LastBatch::Drop } else { LastBatch::Short };
            let uneven = [Uneven::Exact, Uneven::Pad, Uneven::Drop][uneven];
            let one = plan(n, batch_size, last, Rank::default(), uneven);
            let ranks: Vec<_> =
                (0..world).map(|index| plan(n, batch_size, last, Rank { index, world }, uneven)).collect();
            let len = one.as_ref().map_or(0, Plan::len);
            for batch in 0..len {
                let alone = one.as_ref().unwrap().batch(3, batch);
                let together: Vec<_> = ranks
                    .iter()
                    .flatten()
                    .filter(|plan| batch < plan.len())
                    .flat_map(|plan| plan.batch(3, batch))
                    .collect();
                let real: Vec<_> = together.iter().filter(|sample| !sample.padded).copied().collect();
                match uneven {
                    Uneven::Exact => prop_assert_eq!(&together, &alone),
                    Uneven::Pad => prop_assert_eq!(&real, &alone),
                    Uneven::Drop => prop_assert_eq!(&together[..], &alone[..alone.len() / world * world]),
                }
                if uneven != Uneven::Exact {
                    let lens: Vec<_> = ranks.iter().flatten()
                        .map(|plan| if batch < plan.len() { plan.batch(3, batch).len() } else { 0 }).collect();
                    prop_assert!(lens.windows(2).all(|pair| pair[0] == pair[1]), "{:?}", lens);
                }
            }
            for rank in ranks.iter().flatten() {
                let total: usize = (0..rank.len()).map(|batch| rank.batch(0, batch).len()).sum();
                prop_assert!(0 < total);
                prop_assert!((0..rank.len()).all(|batch| !rank.batch(0, batch).is_empty()));
            }
        }
    }

    #[test]
    fn settings_that_make_no_plan_say_why() {
        let rank = Rank { index: 2, world: 2 };
        assert_eq!(
            plan(10, 4, LastBatch::Short, rank, Uneven::Exact).unwrap_err().to_string(),
            "rank 2 of 2 does not exist; ranks are 0 to one below their number"
        );
        let rank = Rank { index: 0, world: 3 };
        assert_eq!(
            plan(10, 4, LastBatch::Short, rank, Uneven::Exact).unwrap_err().to_string(),
            "a batch of 4 (over all ranks together) cannot be shared equally by 3 ranks"
        );
        assert!(plan(3, 4, LastBatch::Drop, Rank::default(), Uneven::Exact).is_err());
        assert!(plan(0, 4, LastBatch::Short, Rank::default(), Uneven::Exact).is_err());
    }

    #[test]
    fn a_batch_far_out_in_a_billion_samples_is_planned_at_once() {
        let plan = plan(1_000_000_000, 64, LastBatch::Short, Rank::default(), Uneven::Exact).unwrap();
        // The least of some times: other programs of the machine count in single ones.
        let time = |epoch| {
            let start = std::time::Instant::now();
            plan.batch(epoch, 15_432_098);
            start.elapsed()
        };
        assert!((0..20).map(time).min().unwrap() < std::time::Duration::from_millis(1));
        let batch = plan.batch(0, 15_432_098);
        assert_eq!(batch.len(), 64);
        assert_eq!(batch[0].position, 15_432_098 * 64);
    }
}
