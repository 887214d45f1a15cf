//! Pairs drawn by rules.

use std::sync::Arc;

use batchwright_core::{Context, Fingerprint, Stream};
use serde::{Deserialize, Serialize};

use crate::anchors::Report;
use crate::error::Error;
use crate::facts::Facts;
use crate::relation::{Relation, Tries};
use crate::rule::{Draw, Rule};
use crate::sides::Sides;
use crate::source::{Pair, PairSource};

/// The stream that partners are drawn from.
pub(crate) const PARTNER: &str = "pairs/partner";
/// 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// How pairs are drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct PairOptions {
    /// The share of positive pairs, from 0 to 1. Default: 0.5. It is exact over an epoch, and over any batch to one pair.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1)))]
    pub positives: f64,
    /// Which two samples are a positive pair. Default: `{ same: [class] }`. `{ same: [index] }` is two views of one sample.
    pub positive: Rule,
    /// Which two samples are a negative pair. Default: `{ different: [class] }`. No pair may be both.
    pub negative: Rule,
    /// Whether negatives are `uniform` over samples or `by_class`: over classes first, so that small classes come as often as
    /// large ones. Default: `uniform`.
    pub negatives: Draw,
}

impl Default for PairOptions {
    fn default() -> Self {
        Self {
            positives: 0.5,
            positive: Rule::same_class(),
            negative: Rule::other_class(),
            negatives: Draw::Uniform,
        }
    }
}

/// Pairs drawn by rules: each anchor once an epoch, its partner a fair draw among the samples that the rule allows.
///
/// Pair `index` belongs to the anchor of that number, so any core [`Sampler`](batchwright_core::Sampler) over the anchors
/// gives an order. Whether a pair is a positive depends on its place in the epoch, not on the anchor: of n places, k =
/// round(n × share) are, spread evenly: place p is a positive if (p k + f) mod n < k, where f = ⌊n × frac(epoch × 2/(1+√5))⌋
/// moves them on from epoch to epoch (to a fresh place each time, as evenly over epochs as within one).
/// The partner is drawn from the stream `pairs/partner` of the place.
///
/// Samples without a positive (the only one of a class, say) are never anchors, but may be negatives of others; see
/// [`report`](Self::report). Takes time to open a stream and little more.
///
/// ```
/// use batchwright_core::Context;
/// use batchwright_pairs::{Facts, PairOptions, PairSampler, PairSource};
/// let facts = Facts::new(&[0, 0, 1, 1, 1, 2])?;
/// let pairs = PairSampler::new(&facts, &PairOptions::default())?;
/// assert_eq!(pairs.len(), 5);  // the last sample is alone in its class
/// let pair = pairs.tuple(0, &Context::new(42, 0, 0));
/// assert_eq!((pair.a, pair.b, pair.same), (0, 1, 1.0));
/// # Ok::<(), batchwright_pairs::Error>(())
/// ```
#[derive(Debug)]
pub struct PairSampler {
    sides: Sides,
    share: f64,
}

impl PairSampler {
    /// Makes the rules ready for the samples of `facts`.
    ///
    /// # Errors
    /// Refuses rules that name a fact there is not, contradict themselves, allow nothing, or allow one pair as both a
    /// positive and a negative; and a share that is not from 0 to 1.
    pub fn new(facts: &Facts, options: &PairOptions) -> Result<Self, Error> {
        let PairOptions { positives, positive, negative, negatives } = options;
        let need = needs(*positives)?;
        Ok(Self::with_share(Sides::by_rules(facts, (positive, negative), *negatives, need)?, *positives))
    }

    /// Takes any two relations. That no pair is in both is tried on up to 1000 pairs.
    ///
    /// # Errors
    /// Refuses relations of different samples, that allow nothing, or one pair as both; and a share that is not from 0
    /// to 1.
    pub fn of(
        positive: Arc<dyn Relation>,
        negative: Arc<dyn Relation>,
        positives: f64,
    ) -> Result<Self, Error> {
        let need = needs(positives)?;
        Ok(Self::with_share(Sides::by_relations(positive, negative, need)?, positives))
    }

    fn with_share(mut sides: Sides, share: f64) -> Self {
        sides.report.positives = (sides.anchors.len() as f64 * share).round() as u64;
        Self { sides, share }
    }

    /// Returns who is an anchor, and who is not.
    pub fn report(&self) -> &Report {
        &self.sides.report
    }

    /// Returns the number of the pairs whose anchor is `sample`, if it is one.
    pub fn index_of(&self, sample: usize) -> Option<usize> {
        self.sides.anchors.find_sample(sample)
    }

    /// Returns whether the pair at a place of an epoch is a positive.
    #[inline]
    pub fn is_positive(&self, epoch: u64, position: u64) -> bool {
        let (n, k) = (self.sides.anchors.len() as u64, self.sides.report.positives);
        // Both are below 2^32.
        let shift = (u128::from(epoch.wrapping_mul(GOLDEN)) * u128::from(n)) >> 64;
        ((position % n) * k + shift as u64) % n < k
    }

    /// Draws pair `index` as a positive or a negative from a stream: what [`tuple`](PairSource::tuple) does with the stream
    /// `pairs/partner` of its place.
    #[inline]
    pub fn pair(&self, index: usize, positive: Kind, stream: &mut Stream) -> Pair {
        let a = self.sides.anchors.at(index);
        match positive {
            Kind::Positive => Pair { a, b: self.sides.positive.draw(a, stream), same: 1.0 },
            Kind::Negative => Pair { a, b: self.sides.negative.draw(a, stream), same: 0.0 },
        }
    }

    /// Returns the relation of positives.
    pub fn positive(&self) -> &Arc<dyn Relation> {
        &self.sides.positive
    }

    /// Returns the relation of negatives.
    pub fn negative(&self) -> &Arc<dyn Relation> {
        &self.sides.negative
    }

    /// Returns how much trying the draws so far have taken, positives and negatives together.
    pub fn tries(&self) -> Tries {
        self.sides.tries()
    }
}

/// Whether a pair is meant to be a positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A positive.
    Positive,
    /// A negative.
    Negative,
}

impl PairSource for PairSampler {
    fn len(&self) -> usize {
        self.sides.anchors.len()
    }

    fn samples(&self) -> usize {
        self.sides.report.samples
    }

    #[inline]
    fn anchor(&self, index: usize) -> usize {
        self.sides.anchors.at(index)
    }

    #[inline]
    fn tuple(&self, index: usize, context: &Context<'_>) -> Pair {
        let kind = if self.is_positive(context.epoch(), context.position()) {
            Kind::Positive
        } else {
            Kind::Negative
        };
        self.pair(index, kind, &mut context.stream(PARTNER))
    }

    fn allows(&self, pair: &Pair) -> bool {
        let relation = if pair.same == 1.0 { &self.sides.positive } else { &self.sides.negative };
        relation.holds(pair.a, pair.b)
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::default()
            .with("kind", "pairs")
            .with("positives", self.share)
            .with_part("positive", &self.sides.positive.fingerprint())
            .with_part("negative", &self.sides.negative.fingerprint())
    }
}

/// Which partners an anchor needs for a share of positives.
fn needs(share: f64) -> Result<[bool; 2], Error> {
    if (0.0..=1.0).contains(&share) {
        Ok([0.0 < share, share < 1.0])
    } else {
        Err(Error::Positives { found: share })
    }
}
