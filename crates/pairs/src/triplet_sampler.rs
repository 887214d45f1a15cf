//! Triplets drawn by rules.

use std::sync::Arc;

use batchwright_core::{Context, Fingerprint, Stream};
use serde::{Deserialize, Serialize};

use crate::anchors::Report;
use crate::error::Error;
use crate::facts::Facts;
use crate::pair_sampler::PARTNER;
use crate::relation::{Relation, Tries};
use crate::rule::{Draw, Rule};
use crate::sides::Sides;
use crate::source::{Triplet, TripletSource};

/// How triplets are drawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct TripletOptions {
    /// Which sample is like an anchor. Default: `{ same: [class] }`. `{ same: [index] }` is a second view of it.
    pub positive: Rule,
    /// Which sample is unlike an anchor. Default: `{ different: [class] }`. No sample may be both.
    pub negative: Rule,
    /// Whether negatives are `uniform` over samples or `by_class`: over classes first, so that small classes come as often as
    /// large ones. Default: `uniform`.
    pub negatives: Draw,
}

impl Default for TripletOptions {
    fn default() -> Self {
        Self { positive: Rule::same_class(), negative: Rule::other_class(), negatives: Draw::Uniform }
    }
}

/// Triplets drawn by rules: each anchor once an epoch, its positive and its negative fair draws among the samples that the
/// rules allow.
///
/// Triplet `index` belongs to the anchor of that number. The positive is drawn first, then the negative, both from the
/// stream `pairs/partner` of the place. Samples without a positive or a negative are never anchors, but may be negatives of
/// others; see [`report`](Self::report).
///
/// ```
/// use batchwright_core::Context;
/// use batchwright_pairs::{Facts, Rule, TripletOptions, TripletSampler, TripletSource};
/// // Scans of two patients at two visits, and one scan of a third patient.
/// let facts = Facts::unlabelled(5)?
///     .with("patient", ["ann", "ann", "bob", "bob", "cy"])?
///     .with("visit", ["1", "2", "1", "2", "1"])?;
/// let options = TripletOptions {
///     positive: Rule::same(["patient"]).differing(["visit"]),
///     negative: Rule::different(["patient"]),
///     ..TripletOptions::default()
/// };
/// let triplets = TripletSampler::new(&facts, &options)?;
/// assert_eq!(triplets.report().to_string(), "4 of 5 samples are anchors; 1 have no positive (4)");
/// let triplet = triplets.tuple(0, &Context::new(42, 0, 0));
/// assert_eq!(triplet.positive, 1);
/// assert!(2 <= triplet.negative);
/// # Ok::<(), batchwright_pairs::Error>(())
/// ```
#[derive(Debug)]
pub struct TripletSampler {
    sides: Sides,
}

impl TripletSampler {
    /// Makes the rules ready for the samples of `facts`.
    ///
    /// # Errors
    /// Refuses rules that name a fact there is not, contradict themselves, allow nothing, or allow one sample as both a
    /// positive and a negative.
    pub fn new(facts: &Facts, options: &TripletOptions) -> Result<Self, Error> {
        let TripletOptions { positive, negative, negatives } = options;
        Ok(Self { sides: Sides::by_rules(facts, (positive, negative), *negatives, [true; 2])? })
    }

    /// Takes any two relations. That no sample is in both is tried on up to 1000 pairs.
    ///
    /// # Errors
    /// Refuses relations of different samples, and that allow nothing or one sample as both.
    pub fn of(positive: Arc<dyn Relation>, negative: Arc<dyn Relation>) -> Result<Self, Error> {
        Ok(Self { sides: Sides::by_relations(positive, negative, [true; 2])? })
    }

    /// Returns who is an anchor, and who is not.
    pub fn report(&self) -> &Report {
        &self.sides.report
    }

    /// Returns the number of the triplets whose anchor is `sample`, if it is one.
    pub fn index_of(&self, sample: usize) -> Option<usize> {
        self.sides.anchors.find_sample(sample)
    }

    /// Draws triplet `index` from a stream: what [`tuple`](TripletSource::tuple) does with the stream `pairs/partner` of
    /// its place.
    #[inline]
    pub fn triplet(&self, index: usize, stream: &mut Stream) -> Triplet {
        let anchor = self.sides.anchors.at(index);
        let positive = self.sides.positive.draw(anchor, stream);
        let negative = self.sides.negative.draw(anchor, stream);
        Triplet { anchor, positive, negative }
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

impl TripletSource for TripletSampler {
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
    fn tuple(&self, index: usize, context: &Context<'_>) -> Triplet {
        self.triplet(index, &mut context.stream(PARTNER))
    }

    fn allows(&self, triplet: &Triplet) -> bool {
        let Triplet { anchor, positive, negative } = *triplet;
        self.sides.positive.holds(anchor, positive) && self.sides.negative.holds(anchor, negative)
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::default()
            .with("kind", "triplets")
            .with_part("positive", &self.sides.positive.fingerprint())
            .with_part("negative", &self.sides.negative.fingerprint())
    }
}
