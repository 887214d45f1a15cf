//! Pairs and triplets by number: drawn, listed or mined, in the same way.

use std::fmt;
use std::sync::Arc;

use batchwright_core::{Context, Fingerprint};
use serde::{Deserialize, Serialize};

/// Two samples that stand together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The first, the anchor.
    pub a: usize,
    /// The second.
    pub b: usize,
    /// 1 for a positive, 0 for a negative, or the score of a list.
    pub same: f32,
}

/// Three samples that stand together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Triplet {
    /// The one that the others are compared with.
    pub anchor: usize,
    /// One that is like it.
    pub positive: usize,
    /// One that is not.
    pub negative: usize,
}

/// Pairs by number: who stands with whom.
///
/// The laws:
///
/// 1. [`tuple`](PairSource::tuple) is a function of its arguments (a mined table changes at the border of epochs only, and
///    then its fingerprint). Randomness comes from [`Context::stream`] alone.
/// 2. Its first sample is [`anchor`](PairSource::anchor) of the same number, whatever the context.
/// 3. `len`, `samples` and `anchor` do not change while the source is in use.
pub trait PairSource: fmt::Debug + Send + Sync {
    /// Returns the number of pairs of an epoch.
    fn len(&self) -> usize;

    /// Returns whether there is no pair.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many samples there are to pair: indices are below it.
    fn samples(&self) -> usize;

    /// Returns the first sample of pair `index`. May panic if `len() <= index`.
    fn anchor(&self, index: usize) -> usize;

    /// Returns pair `index` at a place of the run: what [`PairDataset`](crate::PairDataset) reads there.
    fn tuple(&self, index: usize, context: &Context<'_>) -> Pair;

    /// Returns whether the rules allow a pair; a list allows what it lists.
    fn allows(&self, _pair: &Pair) -> bool {
        true
    }

    /// Returns pair `index` if it is the same at every place.
    fn fixed(&self, _index: usize) -> Option<Pair> {
        None
    }

    /// Returns what the pairs depend on: rules, facts, lists, tables.
    fn fingerprint(&self) -> Fingerprint;
}

/// Triplets by number: who stands with whom. The laws are those of [`PairSource`].
pub trait TripletSource: fmt::Debug + Send + Sync {
    /// Returns the number of triplets of an epoch.
    fn len(&self) -> usize;

    /// Returns whether there is no triplet.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many samples there are to choose from: indices are below it.
    fn samples(&self) -> usize;

    /// Returns the anchor of triplet `index`. May panic if `len() <= index`.
    fn anchor(&self, index: usize) -> usize;

    /// Returns triplet `index` at a place of the run: what [`TripletDataset`](crate::TripletDataset) reads there.
    fn tuple(&self, index: usize, context: &Context<'_>) -> Triplet;

    /// Returns whether the rules allow a triplet; a list allows what it lists.
    fn allows(&self, _triplet: &Triplet) -> bool {
        true
    }

    /// Returns triplet `index` if it is the same at every place.
    fn fixed(&self, _index: usize) -> Option<Triplet> {
        None
    }

    /// Returns what the triplets depend on: rules, facts, lists, tables.
    fn fingerprint(&self) -> Fingerprint;
}

macro_rules! forward {
    ($source:ident, $tuple:ident, $($generics:tt)*) => {
        impl<$($generics)* {
            fn len(&self) -> usize {
                (**self).len()
            }
            fn is_empty(&self) -> bool {
                (**self).is_empty()
            }
            fn samples(&self) -> usize {
                (**self).samples()
            }
            fn anchor(&self, index: usize) -> usize {
                (**self).anchor(index)
            }
            fn tuple(&self, index: usize, context: &Context<'_>) -> $tuple {
                (**self).tuple(index, context)
            }
            fn allows(&self, tuple: &$tuple) -> bool {
                (**self).allows(tuple)
            }
            fn fixed(&self, index: usize) -> Option<$tuple> {
                (**self).fixed(index)
            }
            fn fingerprint(&self) -> Fingerprint {
                (**self).fingerprint()
            }
        }
    };
}
forward!(PairSource, Pair, S: PairSource + ?Sized> PairSource for Arc<S>);
forward!(PairSource, Pair, S: PairSource + ?Sized> PairSource for Box<S>);
forward!(PairSource, Pair, S: PairSource + ?Sized> PairSource for &S);
forward!(TripletSource, Triplet, S: TripletSource + ?Sized> TripletSource for Arc<S>);
forward!(TripletSource, Triplet, S: TripletSource + ?Sized> TripletSource for Box<S>);
forward!(TripletSource, Triplet, S: TripletSource + ?Sized> TripletSource for &S);
