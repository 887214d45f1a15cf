//! Every class equally often.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::recent::{Recent, recent};
use super::{Coverage, Order, Permutation, Sampler, SamplerError};
use crate::fingerprint::Fingerprint;
use crate::random::{Name, Stream};

const ROUND: Name = Name::new("order/balanced/round");
const CLASS: Name = Name::new("order/balanced/class");

/// Every class equally often: an epoch is a sequence of rounds in which each class comes once, and each class goes
/// through its own samples in a shuffled order, again from the start (in a new order) when it has run out.
///
/// Within an epoch the counts of two classes differ by at most one, and so do those of two samples of one class. The
/// order of classes in round r is the [`Permutation`] of the stream (seed, epoch, r, `order/balanced/round`); the order
/// of class c in its pass k the one of (seed, epoch, k * classes + c, `order/balanced/class`), c being the rank of the
/// class among those there are.
#[derive(Clone, Debug)]
pub struct Balanced {
    classes: Arc<Vec<Vec<u64>>>,
    samples: u64,
    draws: u64,
}

impl Balanced {
    /// Draws `draws` samples an epoch, balanced over the given class of each sample.
    ///
    /// # Errors
    /// Refuses an empty data set.
    pub fn new(class_of: &[u32], draws: usize) -> Result<Self, SamplerError> {
        if class_of.is_empty() {
            return Err(SamplerError::Empty);
        }
        let mut members: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        for (index, &class) in class_of.iter().enumerate() {
            members.entry(class).or_default().push(index as u64);
        }
        Ok(Self {
            classes: Arc::new(members.into_values().collect()),
            samples: class_of.len() as u64,
            draws: draws as u64,
        })
    }
}

impl Sampler for Balanced {
    fn len(&self) -> u64 {
        self.draws
    }

    fn samples(&self) -> u64 {
        self.samples
    }

    fn order(&self, seed: u64, epoch: u64) -> Arc<dyn Order> {
        let passes = self.classes.iter().map(|_| Recent::default()).collect();
        Arc::new(BalancedOrder {
            classes: Arc::clone(&self.classes),
            seed,
            epoch,
            round: Recent::default(),
            passes,
        })
    }

    fn coverage(&self) -> Coverage {
        Coverage::Repeating
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::default().with("kind", "balanced").with("draws", self.draws).with_digest(
            "members",
            self.classes.iter().map(|class| class.iter().flat_map(|i| i.to_le_bytes()).collect::<Vec<_>>()),
        )
    }
}

#[derive(Debug)]
struct BalancedOrder {
    classes: Arc<Vec<Vec<u64>>>,
    seed: u64,
    epoch: u64,
    /// The permutation of the round asked for last.
    round: Recent,
    /// For each class the permutation of the pass asked for last.
    passes: Vec<Recent>,
}

impl Order for BalancedOrder {
    fn at(&self, position: u64) -> u64 {
        let n_classes = self.classes.len() as u64;
        let round = position / n_classes;
        let class = recent(&self.round, round, || {
            Permutation::new(n_classes, &mut Stream::new(self.seed, self.epoch, round, ROUND))
        })
        .at(position % n_classes);
        let members = &self.classes[class as usize];
        let (pass, place) = (round / members.len() as u64, round % members.len() as u64);
        let permutation = recent(&self.passes[class as usize], pass, || {
            let mut stream = Stream::new(self.seed, self.epoch, pass * n_classes + class, CLASS);
            Permutation::new(members.len() as u64, &mut stream)
        });
        members[permutation.at(place) as usize]
    }

    fn substitute(&self, stream: &mut Stream) -> u64 {
        let members = &self.classes[stream.below(self.classes.len() as u64) as usize];
        members[stream.below(members.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_and_the_samples_within_them_come_equally_often() {
        let class_of: Vec<u32> = (0..100)
            .map(|i| {
                if i < 80 {
                    7
                } else if i < 97 {
                    1
                } else {
                    300
                }
            })
            .collect();
        let sampler = Balanced::new(&class_of, 250).unwrap();
        let order = sampler.order(9, 4);
        let mut per_class = BTreeMap::new();
        let mut per_sample = vec![0; 100];
        for position in 0..250 {
            let index = order.at(position) as usize;
            *per_class.entry(class_of[index]).or_insert(0) += 1;
            per_sample[index] += 1;
        }
        assert_eq!(per_class.into_values().collect::<Vec<_>>().iter().max(), Some(&84));
        for range in [0..80, 80..97, 97..100] {
            let counts = &per_sample[range];
            assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
        }
        // Any position first.
        let fresh = sampler.order(9, 4);
        assert_eq!(fresh.at(249), order.at(249));
        assert_eq!(fresh.at(0), order.at(0));
    }
}
