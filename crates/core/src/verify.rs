//! Proof that every sample comes exactly once, by running the plan.

use serde::Serialize;

use crate::plan::Plan;
use crate::sampler::Coverage;

/// What running a plan over all ranks has shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The epoch.
    pub epoch: u64,
    /// How many ranks took part.
    pub world: usize,
    /// The samples of the data set.
    pub samples: u64,
    /// The batches of each rank.
    pub batches: Vec<usize>,
    /// Samples that came exactly once.
    pub once: u64,
    /// Samples that did not come: dropped, or not drawn.
    pub never: u64,
    /// Samples that came more than once.
    pub repeated: u64,
    /// Positions that repeat others to make the ranks' shares equal, by choice.
    pub padded: u64,
    /// Positions dropped from the last batch, by choice.
    pub dropped: u64,
}

/// A plan that does not keep its promise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The plans are not those of all ranks of one run.
    #[error("plan {index} is of rank {rank} of {world}; expected the plans of ranks 0 to {} in order", plans - 1)]
    Ranks {
        /// Which plan.
        index: usize,
        /// Its rank.
        rank: usize,
        /// Its number of ranks.
        world: usize,
        /// How many plans there are.
        plans: usize,
    },
    /// A sample came up although it had come already.
    #[error(
        "epoch {epoch}: sample {index} came a second time, at position {position}, batch {batch} of rank {rank}"
    )]
    Twice {
        /// The epoch.
        epoch: u64,
        /// Its index.
        index: usize,
        /// Where it came again.
        position: u64,
        /// In which batch.
        batch: usize,
        /// On which rank.
        rank: usize,
    },
    /// A position came up that is not the next one of its global batch.
    #[error("epoch {epoch}: batch {batch} of rank {rank} has position {position}, expected {expected}")]
    Position {
        /// The epoch.
        epoch: u64,
        /// In which batch.
        batch: usize,
        /// On which rank.
        rank: usize,
        /// What came.
        position: u64,
        /// What should have come.
        expected: u64,
    },
    /// A sample index is beyond the data set.
    #[error("epoch {epoch}: position {position} has sample {index}, there are {samples}")]
    Beyond {
        /// The epoch.
        epoch: u64,
        /// Where.
        position: u64,
        /// What came.
        index: usize,
        /// How many there are.
        samples: u64,
    },
    /// Not as many samples came as should have.
    #[error("epoch {epoch}: {came} positions came, expected {expected}")]
    Missing {
        /// The epoch.
        epoch: u64,
        /// How many came.
        came: u64,
        /// How many should have.
        expected: u64,
    },
}

/// Runs one epoch of the plans of all ranks and proves that positions are covered exactly once, in order, over all ranks
/// together, and samples as often as the sampler promises. Takes one byte a sample.
///
/// # Errors
/// Names the first place where a promise is broken.
pub fn verify(plans: &[Plan], epoch: u64) -> Result<Verified, VerifyError> {
    for (index, plan) in plans.iter().enumerate() {
        let rank = plan.rank();
        if rank.index != index || rank.world != plans.len() {
            return Err(VerifyError::Ranks {
                index,
                rank: rank.index,
                world: rank.world,
                plans: plans.len(),
            });
        }
    }
    let Some(first) = plans.first() else {
        return Err(VerifyError::Ranks { index: 0, rank: 0, world: 0, plans: 1 });
    };
    let samples = first.sampler().samples();
    let once = first.sampler().coverage() != Coverage::Repeating;
    let mut seen = vec![0_u8; samples as usize];
    let mut came = 0;
    let batches: Vec<usize> = plans.iter().map(Plan::len).collect();
    for batch in 0..batches.iter().copied().max().unwrap_or(0) {
        for (rank, plan) in plans.iter().enumerate().filter(|(_, plan)| batch < plan.len()) {
            for sample in plan.batch(epoch, batch) {
                let position = sample.position;
                if position != came {
                    return Err(VerifyError::Position { epoch, batch, rank, position, expected: came });
                }
                came += 1;
                if samples <= sample.index as u64 {
                    return Err(VerifyError::Beyond { epoch, position, index: sample.index, samples });
                }
                if sample.padded {
                    continue;
                }
                let count = &mut seen[sample.index];
                *count = count.saturating_add(1);
                if once && 1 < *count {
                    return Err(VerifyError::Twice { epoch, index: sample.index, position, batch, rank });
                }
            }
        }
    }
    let (padded, dropped) = (first.padded(), first.dropped());
    let expected = first.sampler().len() + padded - dropped;
    if came != expected {
        return Err(VerifyError::Missing { epoch, came, expected });
    }
    let count = |wanted: fn(u8) -> bool| seen.iter().filter(|&&count| wanted(count)).count() as u64;
    let verified = Verified {
        epoch,
        world: plans.len(),
        samples,
        batches,
        once: count(|count| count == 1),
        never: count(|count| count == 0),
        repeated: count(|count| 1 < count),
        padded,
        dropped,
    };
    if first.sampler().coverage() == Coverage::Once && verified.never != dropped {
        return Err(VerifyError::Missing {
            epoch,
            came: samples - verified.never,
            expected: samples - dropped,
        });
    }
    Ok(verified)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fingerprint::Fingerprint;
    use crate::plan::{LastBatch, Rank, Uneven};
    use crate::random::Stream;
    use crate::sampler::{Order, Sampler, Shuffled, Weighted};

    fn plans(sampler: impl Sampler + 'static, world: usize, last: LastBatch, uneven: Uneven) -> Vec<Plan> {
        let sampler: Arc<dyn Sampler> = Arc::new(sampler);
        let plan = |index| {
            Plan::shared(Arc::clone(&sampler), 1, 12, last, Rank { index, world }, uneven).expect("a plan")
        };
        (0..world).map(plan).collect()
    }

    #[test]
    fn shuffled_epochs_are_proved_over_ranks() {
        for world in [1, 2, 3, 4] {
            let proof =
                verify(&plans(Shuffled::new(1001), world, LastBatch::Short, Uneven::Exact), 5).unwrap();
            assert_eq!((proof.once, proof.never, proof.repeated), (1001, 0, 0));
            let proof =
                verify(&plans(Shuffled::new(1001), world, LastBatch::Drop, Uneven::Exact), 5).unwrap();
            assert_eq!((proof.once, proof.never, proof.dropped), (996, 5, 5));
            let proof = verify(&plans(Shuffled::new(1001), world, LastBatch::Short, Uneven::Pad), 5).unwrap();
            assert_eq!((proof.once, proof.never), (1001, 0));
            assert_eq!(proof.padded, (5_u64.next_multiple_of(world as u64)) - 5);
        }
        let weighted = Weighted::with_replacement(vec![1.0; 100], 100).unwrap();
        let proof = verify(&plans(weighted, 2, LastBatch::Short, Uneven::Exact), 0).unwrap();
        assert!(0 < proof.repeated && 0 < proof.never);
    }

    /// Claims to take each sample once and takes sample 3 twice.
    #[derive(Clone, Debug)]
    struct Liar;

    impl Sampler for Liar {
        fn len(&self) -> u64 {
            24
        }
        fn samples(&self) -> u64 {
            24
        }
        fn order(&self, _: u64, _: u64) -> Arc<dyn Order> {
            Arc::new(Liar)
        }
        fn coverage(&self) -> crate::sampler::Coverage {
            crate::sampler::Coverage::Once
        }
        fn fingerprint(&self) -> Fingerprint {
            Fingerprint::default()
        }
    }

    impl Order for Liar {
        fn at(&self, position: u64) -> u64 {
            if position == 20 { 3 } else { position }
        }
        fn substitute(&self, _: &mut Stream) -> u64 {
            0
        }
    }

    #[test]
    fn a_sampler_that_repeats_itself_is_found_out() {
        let error = verify(&plans(Liar, 2, LastBatch::Short, Uneven::Exact), 0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "epoch 0: sample 3 came a second time, at position 20, batch 1 of rank 1"
        );
    }
}
