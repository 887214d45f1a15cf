//! Negatives from a mined table in the place of drawn ones.

use std::sync::Arc;

use batchwright_core::{Context, Fingerprint};

use crate::error::Error;
use crate::mining::{ByRelation, Eligible, Mined};
use crate::pair_sampler::PairSampler;
use crate::source::{Pair, PairSource, Triplet, TripletSource};
use crate::triplet_sampler::TripletSampler;

const MINED: &str = "pairs/mined";

/// A sampler whose negatives come from a mined table, where it has some for the anchor.
///
/// Everything is drawn as by the sampler alone, from the same streams; then, of negatives, the share that was asked for is
/// replaced by one of the table's for the anchor, each as likely as the others (from the stream `pairs/mined` of the place). Where the table has
/// a positive for the anchor, a triplet with a mined negative takes that one too, since the negative was chosen beside it.
///
/// The table is set at the border of epochs ([`set`](Self::set)); its hash is part of the fingerprint. Without one it is
/// the sampler as it was.
///
/// ```
/// use std::sync::Arc;
/// use batchwright_core::Context;
/// use batchwright_pairs::mining::{MiningOptions, mine};
/// use batchwright_pairs::{Embeddings, Facts, MinedNegatives, TripletOptions, TripletSampler, TripletSource};
/// let embeddings = Embeddings::new(vec![0.0, 0.4, 1.0, 3.0], 1, vec![0, 0, 1, 1])?;
/// let sampler = TripletSampler::new(&Facts::new(&[0, 0, 1, 1])?, &TripletOptions::default())?;
/// let mut triplets = MinedNegatives::new(sampler, 1.0)?;
/// let table = mine(&embeddings, &triplets.sampler().eligible(), &MiningOptions::default(), 42, 0)?;
/// triplets.set(Some(Arc::new(table)))?;
/// assert_eq!(triplets.tuple(0, &Context::new(42, 1, 0)).negative, 2); // the nearest of the other class
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct MinedNegatives<S> {
    sampler: S,
    share: f64,
    table: Option<Arc<Mined>>,
}

impl PairSampler {
    /// Returns which samples may be positives and negatives of an anchor, for mining.
    pub fn eligible(&self) -> ByRelation<'_> {
        ByRelation { positive: self.positive(), negative: self.negative() }
    }
}

impl TripletSampler {
    /// Returns which samples may be positives and negatives of an anchor, for mining.
    pub fn eligible(&self) -> ByRelation<'_> {
        ByRelation { positive: self.positive(), negative: self.negative() }
    }
}

impl<S> MinedNegatives<S> {
    /// Takes a share of negatives, from 0 to 1, from the table that is to come.
    ///
    /// # Errors
    /// Refuses a share that is not from 0 to 1.
    pub fn new(sampler: S, share: f64) -> Result<Self, Error> {
        if !(0.0..=1.0).contains(&share) {
            let (what, expected) = ("the share of mined negatives", "from 0 to 1".to_owned());
            return Err(Error::Setting { what, found: share.to_string(), expected });
        }
        Ok(Self { sampler, share, table: None })
    }

    /// Returns the sampler.
    pub fn sampler(&self) -> &S {
        &self.sampler
    }

    /// Returns the table.
    pub fn table(&self) -> Option<&Arc<Mined>> {
        self.table.as_ref()
    }

    fn check(table: Option<&Mined>, samples: usize, related: ByRelation<'_>) -> Result<(), Error> {
        let Some(table) = table else { return Ok(()) };
        if table.anchors() != samples {
            return Err(Error::MinedSamples { found: table.anchors(), samples });
        }
        for anchor in 0..samples {
            let wrong = |&&other: &&u32| {
                let other = other as usize;
                samples <= other || !related.negative(anchor, other)
            };
            if let Some(&other) = table.negatives(anchor).iter().find(wrong) {
                return Err(Error::MinedPartner { kind: "negative", anchor, other: other as usize });
            }
            if let Some(other) = table.positive(anchor)
                && (samples <= other || !related.positive(anchor, other))
            {
                return Err(Error::MinedPartner { kind: "positive", anchor, other });
            }
        }
        Ok(())
    }

    /// Draws a negative of the table.
    #[inline]
    fn mined(&self, anchor: usize, context: &Context<'_>) -> Option<(&Mined, usize)> {
        let table = self.table.as_deref()?;
        let negatives = table.negatives(anchor);
        if negatives.is_empty() {
            return None;
        }
        let mut stream = context.stream(MINED);
        let taken = stream.chance(self.share);
        taken.then(|| (table, negatives[stream.below32(negatives.len() as u32) as usize] as usize))
    }

    fn join(&self, print: Fingerprint) -> Fingerprint {
        let table = self.table.as_ref().map_or_else(|| "none".to_owned(), |table| table.sha256());
        print.with("mined.share", self.share).with("mined.table", table)
    }
}

impl MinedNegatives<PairSampler> {
    /// Sets the table, or none.
    ///
    /// # Errors
    /// Refuses a table of other samples, and one with a negative or a positive that the rules do not allow.
    pub fn set(&mut self, table: Option<Arc<Mined>>) -> Result<(), Error> {
        Self::check(table.as_deref(), self.sampler.samples(), self.sampler.eligible())?;
        self.table = table;
        Ok(())
    }
}

impl MinedNegatives<TripletSampler> {
    /// Sets the table, or none.
    ///
    /// # Errors
    /// Refuses a table of other samples, and one with a negative or a positive that the rules do not allow.
    pub fn set(&mut self, table: Option<Arc<Mined>>) -> Result<(), Error> {
        Self::check(table.as_deref(), self.sampler.samples(), self.sampler.eligible())?;
        self.table = table;
        Ok(())
    }
}

impl PairSource for MinedNegatives<PairSampler> {
    fn len(&self) -> usize {
        self.sampler.len()
    }

    fn samples(&self) -> usize {
        self.sampler.samples()
    }

    fn anchor(&self, index: usize) -> usize {
        self.sampler.anchor(index)
    }

    #[inline]
    fn tuple(&self, index: usize, context: &Context<'_>) -> Pair {
        let pair = self.sampler.tuple(index, context);
        if pair.same != 0.0 {
            return pair;
        }
        self.mined(pair.a, context).map_or(pair, |(_, b)| Pair { b, ..pair })
    }

    fn fingerprint(&self) -> Fingerprint {
        self.join(self.sampler.fingerprint())
    }
}

impl TripletSource for MinedNegatives<TripletSampler> {
    fn len(&self) -> usize {
        self.sampler.len()
    }

    fn samples(&self) -> usize {
        self.sampler.samples()
    }

    fn anchor(&self, index: usize) -> usize {
        self.sampler.anchor(index)
    }

    #[inline]
    fn tuple(&self, index: usize, context: &Context<'_>) -> Triplet {
        let triplet = self.sampler.tuple(index, context);
        self.mined(triplet.anchor, context).map_or(triplet, |(table, negative)| {
            let positive = table.positive(triplet.anchor).unwrap_or(triplet.positive);
            Triplet { positive, negative, ..triplet }
        })
    }

    fn fingerprint(&self) -> Fingerprint {
        self.join(self.sampler.fingerprint())
    }
}
