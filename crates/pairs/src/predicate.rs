//! A relation that the user writes.

use std::fmt;

use batchwright_core::{Fingerprint, Stream};

use crate::error::Error;
use crate::facts::check_samples;
use crate::relation::{Counts, Relation, Tries};
use crate::tried::tried;

/// Any relation that a closure decides: whether the second sample may stand with the first.
///
/// Partners are drawn by trying any other sample, at most 64 times; then those that fit are listed and one is drawn from the
/// list. Both are uniform, and counted ([`Relation::tries`]). Setting up asks for a partner of every sample in the same way,
/// so it takes some calls a sample where partners are common, and as many as there are samples where they are rare.
///
/// The closure must be a function of its arguments. Its name stands for it in the fingerprint: change it with the closure.
///
/// ```
/// use std::sync::Arc;
/// use batchwright_core::Context;
/// use batchwright_pairs::{PairSampler, PairSource, Predicate};
/// let ages = [20, 22, 31, 64, 66, 90];
/// let near = Predicate::new("at most 5 years apart", 6, move |a, b| i32::abs(ages[a] - ages[b]) <= 5)?;
/// let far = Predicate::new("at least 20 years apart", 6, move |a, b| 20 <= i32::abs(ages[a] - ages[b]))?;
/// let pairs = PairSampler::of(Arc::new(near), Arc::new(far), 0.5)?;
/// assert_eq!(pairs.report().without_positive_first, [2, 5]);
/// # Ok::<(), batchwright_pairs::Error>(())
/// ```
pub struct Predicate<F> {
    name: String,
    samples: usize,
    holds: F,
    has_partner: Vec<bool>,
    counts: Counts,
}

impl<F: Fn(usize, usize) -> bool + Send + Sync> Predicate<F> {
    /// Takes a relation among `samples` samples. It is never asked about a sample and itself.
    ///
    /// # Errors
    /// Refuses no samples, and 2^32 - 1 or more.
    pub fn new(name: &str, samples: usize, holds: F) -> Result<Self, Error> {
        check_samples(samples)?;
        let counts = Counts::default();
        let has_partner = (0..samples)
            .map(|anchor| {
                let mut stream = Stream::new(0, 0, anchor as u64, "pairs/partner/any");
                tried(samples, anchor, &mut stream, &counts, |one| holds(anchor, one)).is_some()
            })
            .collect();
        Ok(Self { name: name.to_owned(), samples, holds, has_partner, counts: Counts::default() })
    }
}

impl<F: Fn(usize, usize) -> bool + Send + Sync> Relation for Predicate<F> {
    fn samples(&self) -> usize {
        self.samples
    }

    fn holds(&self, anchor: usize, partner: usize) -> bool {
        anchor != partner && (self.holds)(anchor, partner)
    }

    fn has_partner(&self, anchor: usize) -> bool {
        self.has_partner[anchor]
    }

    fn draw(&self, anchor: usize, stream: &mut Stream) -> usize {
        tried(self.samples, anchor, stream, &self.counts, |one| (self.holds)(anchor, one))
            .expect("the anchor has a partner, as it had when the relation was set up")
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::default().with("rule", &self.name).with("samples", self.samples)
    }

    fn tries(&self) -> Tries {
        self.counts.get()
    }
}

impl<F> fmt::Debug for Predicate<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Predicate")
            .field("name", &self.name)
            .field("samples", &self.samples)
            .finish_non_exhaustive()
    }
}
