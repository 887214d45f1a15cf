//! The samples that tuples are drawn for, and those that cannot be.

use std::fmt;

use serde::Serialize;

use crate::error::{Error, Side};
use crate::facts::Facts;
use crate::partners::Partners;
use crate::relation::Relation;

/// How many samples a report names.
const NAMED: usize = 10;

/// Who is an anchor in every epoch, and who is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How many samples there are.
    pub samples: usize,
    /// How many of them are anchors, each exactly once an epoch.
    pub anchors: usize,
    /// The positive pairs of an epoch.
    pub positives: u64,
    /// Samples that have no positive, as the only one of its class: never anchors, but negatives of others.
    pub without_positive: usize,
    /// The first ten of them.
    pub without_positive_first: Vec<usize>,
    /// Samples that have no negative: never anchors.
    pub without_negative: usize,
    /// The first ten of them.
    pub without_negative_first: Vec<usize>,
    /// Samples that lack a fact which a rule names. They are among those without a positive or a negative.
    pub unknown: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} samples are anchors", self.anchors, self.samples)?;
        let mut part = |count: usize, first: &[usize], what: &str| {
            if count == 0 {
                return Ok(());
            }
            let names: Vec<String> = first.iter().map(usize::to_string).collect();
            let more = if first.len() < count { ", …" } else { "" };
            write!(f, "; {count} have no {what} ({}{more})", names.join(", "))
        };
        part(self.without_positive, &self.without_positive_first, "positive")?;
        part(self.without_negative, &self.without_negative_first, "negative")?;
        if 0 < self.unknown {
            write!(f, "; {} lack a fact that a rule names", self.unknown)?;
        }
        Ok(())
    }
}

/// The anchors in order: all samples, or those listed.
#[derive(Debug)]
pub(crate) struct Anchors {
    list: Option<Vec<u32>>,
    len: usize,
}

impl Anchors {
    /// Finds the samples that have whatever is needed, and reports the others.
    pub(crate) fn find(
        positive: &dyn Relation,
        negative: &dyn Relation,
        need: [bool; 2],
        unknown: usize,
    ) -> Result<(Self, Report), Error> {
        let samples = positive.samples();
        if samples != negative.samples() {
            return Err(Error::Relations { positive: samples, negative: negative.samples() });
        }
        let mut report = Report {
            samples,
            anchors: 0,
            positives: 0,
            without_positive: 0,
            without_positive_first: Vec::new(),
            without_negative: 0,
            without_negative_first: Vec::new(),
            unknown,
        };
        let mut list = Vec::new();
        for index in 0..samples {
            let (has_positive, has_negative) = (positive.has_partner(index), negative.has_partner(index));
            if !has_positive {
                report.without_positive += 1;
                if report.without_positive_first.len() < NAMED {
                    report.without_positive_first.push(index);
                }
            }
            if !has_negative {
                report.without_negative += 1;
                if report.without_negative_first.len() < NAMED {
                    report.without_negative_first.push(index);
                }
            }
            if (has_positive || !need[0]) && (has_negative || !need[1]) {
                // As long as all samples are anchors there is no list.
                if !list.is_empty() || report.anchors != index {
                    if list.is_empty() {
                        list.extend(0..report.anchors as u32);
                    }
                    list.push(index as u32);
                }
                report.anchors += 1;
            }
        }
        if report.anchors == 0 {
            let (positive, negative) = (samples - report.without_positive, samples - report.without_negative);
            return Err(Error::NoAnchor { samples, positive, negative });
        }
        let len = report.anchors;
        let list = (len < samples).then(|| if list.is_empty() { (0..len as u32).collect() } else { list });
        Ok((Self { list, len }, report))
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn at(&self, index: usize) -> usize {
        assert!(index < self.len, "anchor {index} of {}", self.len);
        self.list.as_ref().map_or(index, |list| list[index] as usize)
    }

    /// Returns the number of an anchor among the anchors.
    pub(crate) fn find_sample(&self, sample: usize) -> Option<usize> {
        match &self.list {
            None => (sample < self.len).then_some(sample),
            Some(list) => list.binary_search(&u32::try_from(sample).ok()?).ok(),
        }
    }
}

/// The two rules of a sampler made ready: no pair is a positive and a negative at once.
pub(crate) fn two_rules(
    facts: &Facts,
    positive: Partners,
    negative: Partners,
    need: [bool; 2],
) -> Result<(Partners, Partners), Error> {
    for (side, rule, needed) in [(Side::Positive, &positive, need[0]), (Side::Negative, &negative, need[1])] {
        if needed && (0..facts.len()).all(|index| !rule.has_partner(index)) {
            let steps = rule.steps();
            return Err(Error::NoPartner { side, rule: rule.rule().to_string(), steps });
        }
    }
    if let Some((a, b)) = overlap(facts, &positive, &negative)? {
        let (positive, negative) = (positive.rule().to_string(), negative.rule().to_string());
        return Err(Error::Overlap { positive, negative, a, b });
    }
    Ok((positive, negative))
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
    let both = crate::Rule {
        same: [&p.same[..], &n.same].concat(),
        different: [&p.different[..], &n.different].concat(),
    };
    let both = Partners::of(facts, &both, crate::Draw::Uniform, Side::Rule)?;
    let Some(a) = (0..facts.len()).find(|&index| both.has_partner(index)) else { return Ok(None) };
    Ok((0..facts.len()).find(|&b| both.holds(a, b)).map(|b| (a, b)))
}
