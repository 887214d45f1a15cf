//! Samples with several labels each.

use std::sync::Arc;

use batchwright_core::{Fingerprint, Stream};

use crate::error::Error;
use crate::facts::{NONE, check_samples};
use crate::relation::{Counts, Relation, Tries};
use crate::tried::tried;

/// The labels of each sample, any number of them: four bytes a label, and eight a sample.
#[derive(Clone, Debug)]
pub struct Labels {
    /// The labels of all samples, sample after sample, each sample's ascending and different.
    labels: Vec<u32>,
    /// Where those of each sample start, and the end.
    starts: Vec<usize>,
}

impl Labels {
    /// Takes the labels of each sample; one given twice counts once.
    ///
    /// # Errors
    /// Refuses no samples, and 2^32 - 1 or more.
    pub fn new<L: IntoIterator<Item = u32>>(samples: impl IntoIterator<Item = L>) -> Result<Self, Error> {
        let (mut labels, mut starts) = (Vec::new(), vec![0]);
        for sample in samples {
            let mut own: Vec<u32> = sample.into_iter().collect();
            own.sort_unstable();
            own.dedup();
            labels.extend(own);
            starts.push(labels.len());
        }
        check_samples(starts.len() - 1)?;
        Ok(Self { labels, starts })
    }

    /// Returns the number of samples.
    #[expect(clippy::len_without_is_empty, reason = "there are no labels of no samples")]
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Returns the labels of a sample, ascending.
    ///
    /// # Panics
    /// Panics if there is no such sample.
    pub fn of(&self, sample: usize) -> &[u32] {
        &self.labels[self.starts[sample]..self.starts[sample + 1]]
    }

    /// Returns how many labels two samples have in common.
    ///
    /// # Panics
    /// Panics if there is no such sample.
    pub fn shared(&self, a: usize, b: usize) -> usize {
        let (mut a, mut b, mut count) = (self.of(a), self.of(b), 0);
        while let ([x, left @ ..], [y, right @ ..]) = (a, b) {
            count += usize::from(x == y);
            (a, b) = (if x <= y { left } else { a }, if y <= x { right } else { b });
        }
        count
    }
}

/// Samples that share at least so many labels, or at most so many.
///
/// A partner that must share labels is drawn from those that have one of the anchor's: each label's samples are as likely as
/// the label has samples, and a candidate that shares s labels, which is s times as likely, is kept with probability 1/s; so
/// all that fit are equally likely. A partner that must not is any other sample, tried until it fits. Either way at most 64
/// candidates are tried; then those that fit are listed and one is drawn from the list. Both are uniform, and counted
/// ([`Relation::tries`]).
///
/// ```
/// use std::sync::Arc;
/// use batchwright_pairs::{Labels, PairSampler, SharedLabels};
/// let labels = Arc::new(Labels::new([vec![1, 2, 3], vec![2, 3], vec![3, 4], vec![5], vec![1, 2]])?);
/// let alike = SharedLabels::at_least(Arc::clone(&labels), 2)?;
/// let unlike = SharedLabels::at_most(labels, 0)?;
/// let pairs = PairSampler::of(Arc::new(alike), Arc::new(unlike), 0.5)?;
/// assert_eq!(pairs.report().without_positive_first, [2, 3]);
/// # Ok::<(), batchwright_pairs::Error>(())
/// ```
#[derive(Debug)]
pub struct SharedLabels {
    labels: Arc<Labels>,
    bound: Bound,
    /// The samples of each label, ascending, label after label; and where those of the labels of each sample start, in the
    /// order of its labels.
    members: Vec<u32>,
    ranges: Vec<(u32, u32)>,
    has_partner: Vec<bool>,
    counts: Counts,
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    AtLeast(usize),
    AtMost(usize),
}

impl SharedLabels {
    /// Relates samples that share at least `count` labels, 1 or more.
    ///
    /// # Errors
    /// Refuses 0, which would be any sample, and 2^32 - 1 or more labels in all.
    pub fn at_least(labels: Arc<Labels>, count: usize) -> Result<Self, Error> {
        if count == 0 {
            let (what, expected) = ("the number of labels to share", "1 or more".to_owned());
            return Err(Error::Setting { what, found: count.to_string(), expected });
        }
        Self::new(labels, Bound::AtLeast(count))
    }

    /// Relates samples that share at most `count` labels; 0 for none.
    ///
    /// # Errors
    /// Refuses 2^32 - 1 or more labels in all.
    pub fn at_most(labels: Arc<Labels>, count: usize) -> Result<Self, Error> {
        Self::new(labels, Bound::AtMost(count))
    }

    fn new(labels: Arc<Labels>, bound: Bound) -> Result<Self, Error> {
        if NONE as usize <= labels.labels.len() {
            let (what, expected) = ("the number of labels of all samples", "below 4294967295".to_owned());
            return Err(Error::Setting { what, found: labels.labels.len().to_string(), expected });
        }
        let samples = labels.len();
        let (mut members, mut ranges) = (Vec::new(), Vec::new());
        if let Bound::AtLeast(_) = bound {
            // Sorted by label, then by sample.
            let mut all: Vec<(u32, u32)> = (0..samples)
                .flat_map(|sample| labels.of(sample).iter().map(move |&label| (label, sample as u32)))
                .collect();
            all.sort_unstable();
            let mut of_label: Vec<(u32, (u32, u32))> = Vec::new();
            for (at, &(label, sample)) in all.iter().enumerate() {
                members.push(sample);
                match of_label.last_mut() {
                    Some((last, range)) if *last == label => range.1 += 1,
                    _ => of_label.push((label, (at as u32, at as u32 + 1))),
                }
            }
            let range = |label: &u32| {
                let at = of_label.binary_search_by_key(label, |entry| entry.0);
                of_label[at.expect("every label has a range")].1
            };
            ranges = labels.labels.iter().map(range).collect();
        }
        let (has_partner, counts) = (Vec::new(), Counts::default());
        let mut made = Self { labels, bound, members, ranges, has_partner, counts };
        made.has_partner = (0..samples)
            .map(|anchor| {
                let mut stream = Stream::new(0, 0, anchor as u64, "pairs/partner/any");
                made.draw_any(anchor, &mut stream).is_some()
            })
            .collect();
        made.counts = Counts::default();
        Ok(made)
    }

    fn draw_any(&self, anchor: usize, stream: &mut Stream) -> Option<usize> {
        match self.bound {
            Bound::AtMost(most) => tried(self.labels.len(), anchor, stream, &self.counts, |one| {
                self.labels.shared(anchor, one) <= most
            }),
            Bound::AtLeast(least) => self.draw_sharing(anchor, least, stream),
        }
    }

    fn draw_sharing(&self, anchor: usize, least: usize, stream: &mut Stream) -> Option<usize> {
        let ranges = &self.ranges[self.labels.starts[anchor]..self.labels.starts[anchor + 1]];
        // Each label's samples but the anchor, which is one of them.
        let others: u64 = ranges.iter().map(|range| u64::from(range.1 - range.0 - 1)).sum();
        if others == 0 || ranges.len() < least {
            return None;
        }
        let found = self.counts.tried(|| {
            let mut at = stream.below(others);
            let mut candidate = anchor;
            for range in ranges {
                let count = u64::from(range.1 - range.0 - 1);
                if at < count {
                    let drawn = self.members[range.0 as usize + at as usize] as usize;
                    // The last one stands in for the anchor.
                    candidate =
                        if drawn == anchor { self.members[range.1 as usize - 1] as usize } else { drawn };
                    break;
                }
                at -= count;
            }
            let shared = self.labels.shared(anchor, candidate);
            (least <= shared && stream.below32(shared as u32) == 0).then_some(candidate)
        });
        if found.is_some() {
            return found;
        }
        let mut all: Vec<u32> = ranges
            .iter()
            .flat_map(|range| &self.members[range.0 as usize..range.1 as usize])
            .copied()
            .filter(|&one| one as usize != anchor)
            .collect();
        all.sort_unstable();
        let fit: Vec<u32> =
            all.chunk_by(|a, b| a == b).filter(|same| least <= same.len()).map(|same| same[0]).collect();
        (!fit.is_empty()).then(|| fit[stream.below32(fit.len() as u32) as usize] as usize)
    }
}

impl Relation for SharedLabels {
    fn samples(&self) -> usize {
        self.labels.len()
    }

    fn holds(&self, anchor: usize, partner: usize) -> bool {
        let shared = self.labels.shared(anchor, partner);
        anchor != partner
            && match self.bound {
                Bound::AtLeast(least) => least <= shared,
                Bound::AtMost(most) => shared <= most,
            }
    }

    fn has_partner(&self, anchor: usize) -> bool {
        self.has_partner[anchor]
    }

    fn draw(&self, anchor: usize, stream: &mut Stream) -> usize {
        self.draw_any(anchor, stream).expect("the anchor has a partner, as it had when this was set up")
    }

    fn fingerprint(&self) -> Fingerprint {
        let rule = match self.bound {
            Bound::AtLeast(count) => format!("at least {count} labels in common"),
            Bound::AtMost(count) => format!("at most {count} labels in common"),
        };
        let bytes = |at| self.labels.of(at).iter().flat_map(|label| label.to_le_bytes()).collect::<Vec<u8>>();
        Fingerprint::default().with("rule", rule).with_digest("labels", (0..self.labels.len()).map(bytes))
    }

    fn tries(&self) -> Tries {
        self.counts.get()
    }
}
