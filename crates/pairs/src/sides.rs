//! The two relations that tuples are drawn by, and who is an anchor in both.

use std::sync::Arc;

use batchwright_core::Stream;

use crate::anchors::{Anchors, Report};
use crate::error::{Error, Side};
use crate::facts::Facts;
use crate::partners::Partners;
use crate::relation::{Relation, Tries};
use crate::rule::{Draw, Rule};

/// Who may be a positive and who a negative of an anchor, and the anchors: what samplers of pairs and triplets share.
#[derive(Debug)]
pub(crate) struct Sides {
    pub(crate) positive: Arc<dyn Relation>,
    pub(crate) negative: Arc<dyn Relation>,
    pub(crate) anchors: Anchors,
    pub(crate) report: Report,
}

impl Sides {
    /// Makes two rules ready for the samples of `facts`; `need` says whether anchors must have a positive and a negative.
    pub(crate) fn by_rules(
        facts: &Facts,
        (positive, negative): (&Rule, &Rule),
        negatives: Draw,
        need: [bool; 2],
    ) -> Result<Self, Error> {
        let positive = Partners::of(facts, positive, Draw::Uniform, Side::Positive)?;
        let negative = Partners::of(facts, negative, negatives, Side::Negative)?;
        check_rules(facts, &positive, &negative, need)?;
        let unknown = (0..facts.len()).filter(|&at| !positive.knows(at) || !negative.knows(at)).count();
        Self::made(Arc::new(positive), Arc::new(negative), need, unknown)
    }

    /// Takes any two relations. That no pair is in both is tried on up to 1000 pairs.
    pub(crate) fn by_relations(
        positive: Arc<dyn Relation>,
        negative: Arc<dyn Relation>,
        need: [bool; 2],
    ) -> Result<Self, Error> {
        let sides = Self::made(positive, negative, need, 0)?;
        try_overlap(&sides, need)?;
        Ok(sides)
    }

    fn made(
        positive: Arc<dyn Relation>,
        negative: Arc<dyn Relation>,
        need: [bool; 2],
        unknown: usize,
    ) -> Result<Self, Error> {
        let (anchors, report) = Anchors::find(positive.as_ref(), negative.as_ref(), need, unknown)?;
        Ok(Self { positive, negative, anchors, report })
    }

    /// Returns how much trying the draws so far have taken, positives and negatives together.
    pub(crate) fn tries(&self) -> Tries {
        let (a, b) = (self.positive.tries(), self.negative.tries());
        Tries { rejected: a.rejected + b.rejected, listed: a.listed + b.listed }
    }
}

/// Checks that rules allow what is needed, and no pair as a positive and a negative at once.
fn check_rules(
    facts: &Facts,
    positive: &Partners,
    negative: &Partners,
    need: [bool; 2],
) -> Result<(), Error> {
    for (side, rule, needed) in [(Side::Positive, positive, need[0]), (Side::Negative, negative, need[1])] {
        if needed && (0..facts.len()).all(|index| !rule.has_partner(index)) {
            let steps = rule.steps();
            return Err(Error::NoPartner { side, rule: rule.rule().to_string(), steps });
        }
    }
    if let Some((a, b)) = overlap(facts, positive, negative)? {
        let (positive, negative) = (positive.rule().to_string(), negative.rule().to_string());
        return Err(Error::Overlap { positive, negative, a, b });
    }
    Ok(())
}

/// Finds two samples that both rules allow together.
fn overlap(facts: &Facts, positive: &Partners, negative: &Partners) -> Result<Option<(usize, usize)>, Error> {
    let (p, n) = (positive.rule(), negative.rule());
    // Samples with themselves are never different ones.
    if p.is_itself() != n.is_itself() {
        return Ok(None);
    }
    if p.is_itself() {
        return Ok(Some((0, 0)));
    }
    let clash = |a: &[String], b: &[String]| a.iter().any(|fact| b.contains(fact));
    if clash(&p.same, &n.different) || clash(&n.same, &p.different) {
        return Ok(None);
    }
    // A pair that both allow is one that both rules together allow.
    let both =
        Rule { same: [&p.same[..], &n.same].concat(), different: [&p.different[..], &n.different].concat() };
    let both = Partners::of(facts, &both, Draw::Uniform, Side::Rule)?;
    let Some(a) = (0..facts.len()).find(|&index| both.has_partner(index)) else { return Ok(None) };
    Ok((0..facts.len()).find(|&b| both.holds(a, b)).map(|b| (a, b)))
}

/// Draws some partners of each kind and asks the other relation about them.
fn try_overlap(sides: &Sides, need: [bool; 2]) -> Result<(), Error> {
    let Sides { positive, negative, anchors, .. } = sides;
    for nth in 0..anchors.len().min(500) {
        let a = anchors.at(nth * (anchors.len() / anchors.len().min(500)));
        let mut stream = Stream::new(0, 0, nth as u64, "pairs/overlap");
        let drawn = [
            need[0].then(|| positive.draw(a, &mut stream)).filter(|&b| negative.holds(a, b)),
            need[1].then(|| negative.draw(a, &mut stream)).filter(|&b| positive.holds(a, b)),
        ];
        if let Some(b) = drawn.into_iter().flatten().next() {
            let name = |relation: &Arc<dyn Relation>| {
                relation.fingerprint().facts().get("rule").cloned().unwrap_or_default()
            };
            return Err(Error::Overlap { positive: name(positive), negative: name(negative), a, b });
        }
    }
    Ok(())
}
