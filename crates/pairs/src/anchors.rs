//! The samples that tuples are drawn for, and those that cannot be.

use std::fmt;

use serde::Serialize;

use crate::error::Error;
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
    /// Finds the samples that have whatever is needed, and reports the others; each anchor counts as a positive pair.
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
        let is_anchor = |&index: &u32| {
            let has = |relation: &dyn Relation, needed: bool| !needed || relation.has_partner(index as usize);
            has(positive, need[0]) && has(negative, need[1])
        };
        let all = 0..samples as u32;
        let len = all.clone().filter(is_anchor).count();
        let without = |relation: &dyn Relation| {
            let lone = (0..samples).filter(|&index| !relation.has_partner(index));
            lone.fold((0, Vec::new()), |(count, mut first), index| {
                if count < NAMED {
                    first.push(index);
                }
                (count + 1, first)
            })
        };
        let (without_positive, without_positive_first) = without(positive);
        let (without_negative, without_negative_first) = without(negative);
        if len == 0 {
            let (positive, negative) = (samples - without_positive, samples - without_negative);
            return Err(Error::NoAnchor { samples, positive, negative });
        }
        let report = Report {
            samples,
            anchors: len,
            positives: len as u64,
            without_positive,
            without_positive_first,
            without_negative,
            without_negative_first,
            unknown,
        };
        let list = (len < samples).then(|| all.filter(is_anchor).collect());
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
