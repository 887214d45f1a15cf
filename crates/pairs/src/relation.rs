//! Which samples may stand with an anchor, and one of them drawn.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use batchwright_core::{Fingerprint, Stream};
use serde::Serialize;

/// Which samples may stand with an anchor, and a fair draw among them.
///
/// The laws:
///
/// 1. [`draw`](Relation::draw) is a function of the anchor and the stream, and gives a sample for which
///    [`holds`](Relation::holds) is true, each as likely as the implementor says (uniform, unless it says otherwise).
/// 2. [`has_partner`](Relation::has_partner) is true exactly for anchors that have such a sample, and answers at once.
/// 3. Nothing of it changes while it is in use, but the counts of [`tries`](Relation::tries).
pub trait Relation: fmt::Debug + Send + Sync {
    /// Returns how many samples there are.
    fn samples(&self) -> usize;

    /// Returns whether `partner` may stand with `anchor`.
    fn holds(&self, anchor: usize, partner: usize) -> bool;

    /// Returns whether any sample may stand with `anchor`.
    fn has_partner(&self, anchor: usize) -> bool;

    /// Draws a sample that may stand with `anchor`. May panic where [`has_partner`](Relation::has_partner) is false.
    fn draw(&self, anchor: usize, stream: &mut Stream) -> usize;

    /// Returns what this relation is: rules, and a digest of the facts they speak of.
    fn fingerprint(&self) -> Fingerprint;

    /// Returns how much trying draws have taken so far, over all threads. It decides nothing.
    fn tries(&self) -> Tries {
        Tries::default()
    }
}

impl<R: Relation + ?Sized> Relation for Arc<R> {
    fn samples(&self) -> usize {
        (**self).samples()
    }
    fn holds(&self, anchor: usize, partner: usize) -> bool {
        (**self).holds(anchor, partner)
    }
    fn has_partner(&self, anchor: usize) -> bool {
        (**self).has_partner(anchor)
    }
    fn draw(&self, anchor: usize, stream: &mut Stream) -> usize {
        (**self).draw(anchor, stream)
    }
    fn fingerprint(&self) -> Fingerprint {
        (**self).fingerprint()
    }
    fn tries(&self) -> Tries {
        (**self).tries()
    }
}

/// How much trying draws have taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tries {
    /// Candidates that were drawn and did not fit.
    pub rejected: u64,
    /// Draws that gave up trying and listed all samples that fit.
    pub listed: u64,
}

/// Candidates tried before all that fit are listed.
pub(crate) const TRIES: u64 = 64;

/// Counts of tries, from any thread.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    rejected: AtomicU64,
    listed: AtomicU64,
}

impl Counts {
    /// Draws candidates until one fits, [`TRIES`] at most; whoever gets none lists those that fit, which is counted here.
    #[inline]
    pub(crate) fn tried<T>(&self, mut one: impl FnMut() -> Option<T>) -> Option<T> {
        let found = (0..TRIES).find_map(|tried| Some((tried, one()?)));
        let rejected = found.as_ref().map_or(TRIES, |(tried, _)| *tried);
        if 0 < rejected {
            self.rejected.fetch_add(rejected, Ordering::Relaxed);
        }
        if found.is_none() {
            self.listed();
        }
        found.map(|(_, one)| one)
    }

    pub(crate) fn listed(&self) {
        self.listed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Tries {
        Tries { rejected: self.rejected.load(Ordering::Relaxed), listed: self.listed.load(Ordering::Relaxed) }
    }
}
