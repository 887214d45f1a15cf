//! Triplets of one batch.

use batchwright_core::{Name, Permutation, Stream};

use super::distance::{Distance, References};
use super::embeddings::Embeddings;
use super::error::EmbeddingError;
use super::hardness::Hardness;
use crate::Triplet;

const LIMIT: Name = Name::new("pairs/in_batch/limit");

/// Returns for each sample its farthest positive and its nearest negative (Hermans, Beyer and Leibe 2017); of equal ones the
/// first. Samples without either give no triplet.
///
/// # Errors
/// Refuses, for the cosine, embeddings of length 0.
pub fn batch_hard(batch: &Embeddings, distance: Distance) -> Result<Vec<Triplet>, EmbeddingError> {
    let triplets = References::new(batch, distance)?.rows(batch, |anchor, keys| {
        let label = batch.label(anchor);
        let (mut positive, mut negative): (Option<usize>, Option<usize>) = (None, None);
        for (other, (&key, &other_label)) in keys.iter().zip(batch.labels()).enumerate() {
            if other_label != label {
                if negative.is_none_or(|best| key < keys[best]) {
                    negative = Some(other);
                }
            } else if other != anchor && positive.is_none_or(|best| keys[best] < key) {
                positive = Some(other);
            }
        }
        Some(triplet(anchor, positive?, negative?))
    })?;
    Ok(triplets.into_iter().flatten().collect())
}

/// Returns for each anchor and positive the nearest negative that is farther than the positive, by less than `margin` (in
/// units of the distance): Schroff, Kalenichenko and Philbin 2015. Couples without one give no triplet.
///
/// Of more couples of anchor and positive than `limit`, that many are looked at, drawn uniformly.
///
/// # Errors
/// Refuses a margin that is not above 0 and, for the cosine, embeddings of length 0.
pub fn semi_hard(
    batch: &Embeddings,
    distance: Distance,
    margin: f64,
    limit: Limit,
) -> Result<Vec<Triplet>, EmbeddingError> {
    if margin.is_nan() || margin <= 0.0 {
        return Err(EmbeddingError::choice("semi_hard.margin", "a number above 0", margin));
    }
    let couples = Couples::new(batch.labels(), limit);
    let triplets = References::new(batch, distance)?.rows(batch, |anchor, keys| {
        let mut positives = couples.positives(anchor).peekable();
        let mut found = Vec::new();
        if positives.peek().is_none() {
            return found;
        }
        let negatives = couples.sorted_negatives(anchor, keys);
        for positive in positives {
            let next = negatives.partition_point(|&(key, _)| key <= keys[positive]);
            // Keys that differ may have the same distance.
            let near = f64::from(distance.of_key(keys[positive]));
            let farther = negatives[next..].iter().find(|&&(key, _)| near < f64::from(distance.of_key(key)));
            if let Some(&(key, negative)) = farther
                && f64::from(distance.of_key(key)) < near + margin
            {
                found.push(triplet(anchor, positive, negative));
            }
        }
        found
    })?;
    Ok(triplets.concat())
}

/// Returns for each anchor and positive the negative of a hardness from 0 (the farthest) to 1 (the nearest): of the anchor's n
/// negatives in the order of their distance, the one at [`Hardness::rank`]. `limit` as for [`semi_hard`].
///
/// # Errors
/// Refuses a hardness outside 0 to 1 and, for the cosine, embeddings of length 0.
pub fn at_hardness(
    batch: &Embeddings,
    distance: Distance,
    hardness: f64,
    limit: Limit,
) -> Result<Vec<Triplet>, EmbeddingError> {
    if !(0.0..=1.0).contains(&hardness) {
        return Err(EmbeddingError::choice("hardness", "from 0 to 1", hardness));
    }
    let couples = Couples::new(batch.labels(), limit);
    let triplets = References::new(batch, distance)?.rows(batch, |anchor, keys| {
        let mut positives = couples.positives(anchor).peekable();
        if positives.peek().is_none() {
            return Vec::new();
        }
        let negatives = couples.sorted_negatives(anchor, keys);
        let Some(rank) = Hardness::rank(hardness, negatives.len()) else { return Vec::new() };
        positives.map(|positive| triplet(anchor, positive, negatives[rank].1)).collect()
    })?;
    Ok(triplets.concat())
}

/// Returns all triplets that labels allow, in the order of anchor, positive, negative; of more than `limit`, that many drawn
/// uniformly without replacement, without making the others.
pub fn all_triplets(labels: &[u32], limit: Limit) -> Vec<Triplet> {
    let classes = Classes::new(labels);
    let ends: Vec<u64> = running(labels.len(), |anchor| {
        let members = classes.members(anchor).len() as u64;
        (members - 1) * (labels.len() as u64 - members)
    });
    limit
        .ranks(ends.last().copied().unwrap_or(0))
        .map(|rank| {
            let (anchor, rank) = place(&ends, rank);
            let members = classes.members(anchor);
            let n_negatives = (labels.len() - members.len()) as u64;
            let (positive, negative) = ((rank / n_negatives) as usize, (rank % n_negatives) as usize);
            // Member i has i members before it, so members[i] - i others.
            let before = partition(members.len(), |i| members[i] as usize - i <= negative);
            triplet(anchor, classes.positive(anchor, positive), negative + before)
        })
        .collect()
}

/// How many are kept at most, and the key of the draws that choose them: the stream (`seed`, `epoch`, `step`,
/// `pairs/in_batch/limit`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How many at most; nothing for all.
    pub most: Option<u64>,
    /// The seed of the run.
    pub seed: u64,
    /// The epoch.
    pub epoch: u64,
    /// The step of the epoch.
    pub step: u64,
}

impl Limit {
    /// All are kept, nothing is drawn.
    pub const NONE: Self = Self { most: None, seed: 0, epoch: 0, step: 0 };

    /// Returns which of 0..`n` are kept, ascending.
    fn ranks(self, n: u64) -> impl Iterator<Item = u64> {
        let chosen = self.most.filter(|&most| most < n).map(|most| {
            let order = Permutation::new(n, &mut Stream::new(self.seed, self.epoch, self.step, LIMIT));
            let mut chosen: Vec<u64> = (0..most).map(|place| order.at(place)).collect();
            chosen.sort_unstable();
            chosen
        });
        let all = if chosen.is_some() { 0 } else { n };
        chosen.into_iter().flatten().chain(0..all)
    }
}

fn triplet(anchor: usize, positive: usize, negative: usize) -> Triplet {
    Triplet { anchor, positive, negative }
}

/// Returns the sums of `of` up to each of 0..n, that one included.
fn running(n: usize, of: impl Fn(usize) -> u64) -> Vec<u64> {
    (0..n)
        .scan(0, |sum, i| {
            *sum += of(i);
            Some(*sum)
        })
        .collect()
}

/// Returns whose stretch holds `rank`, and the rank in it.
fn place(ends: &[u64], rank: u64) -> (usize, u64) {
    let owner = ends.partition_point(|&end| end <= rank);
    (owner, rank - if owner == 0 { 0 } else { ends[owner - 1] })
}

/// Returns how many of 0..n come before the first that `holds` does not hold for.
fn partition(n: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, n);
    while low < high {
        let middle = usize::midpoint(low, high);
        if holds(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// The samples of each class, ascending.
struct Classes {
    samples: Vec<u32>,
    /// Where the class of each sample begins and ends in `samples`.
    ranges: Vec<(u32, u32)>,
}

impl Classes {
    fn new(labels: &[u32]) -> Self {
        let mut samples: Vec<u32> = (0..labels.len() as u32).collect();
        samples.sort_by_key(|&sample| labels[sample as usize]);
        let mut ranges = vec![(0, 0); labels.len()];
        let mut from = 0;
        for class in samples.chunk_by(|&a, &b| labels[a as usize] == labels[b as usize]) {
            let to = from + class.len() as u32;
            for &sample in class {
                ranges[sample as usize] = (from, to);
            }
            from = to;
        }
        Self { samples, ranges }
    }

    fn members(&self, sample: usize) -> &[u32] {
        let (from, to) = self.ranges[sample];
        &self.samples[from as usize..to as usize]
    }

    /// Returns the member of this number, the sample itself not counted.
    fn positive(&self, sample: usize, number: usize) -> usize {
        let members = self.members(sample);
        // Members ascend, so the sample is among the first ones if the last of them is not below it.
        let skip = usize::from(sample <= members[number] as usize);
        members[number + skip] as usize
    }
}

/// The couples of anchor and positive that are looked at.
struct Couples<'a> {
    labels: &'a [u32],
    classes: Classes,
    /// Where the couples of each anchor end, of all there are.
    ends: Vec<u64>,
    /// Those that are kept, ascending; nothing for all.
    kept: Option<Vec<u64>>,
}

impl<'a> Couples<'a> {
    fn new(labels: &'a [u32], limit: Limit) -> Self {
        let classes = Classes::new(labels);
        let ends = running(labels.len(), |anchor| classes.members(anchor).len() as u64 - 1);
        let n = ends.last().copied().unwrap_or(0);
        let kept = limit.most.filter(|&most| most < n).map(|_| limit.ranks(n).collect());
        Self { labels, classes, ends, kept }
    }

    fn positives(&self, anchor: usize) -> impl Iterator<Item = usize> {
        let (from, to) = (if anchor == 0 { 0 } else { self.ends[anchor - 1] }, self.ends[anchor]);
        let (chosen, all) = match &self.kept {
            None => (&[][..], 0..to - from),
            Some(kept) => {
                let at = |rank| kept.partition_point(|&other| other < rank);
                (&kept[at(from)..at(to)], 0..0)
            }
        };
        chosen
            .iter()
            .map(move |rank| rank - from)
            .chain(all)
            .map(move |number| self.classes.positive(anchor, number as usize))
    }

    fn sorted_negatives(&self, anchor: usize, keys: &[f32]) -> Vec<(f32, usize)> {
        let label = self.labels[anchor];
        let mut negatives: Vec<(f32, usize)> = keys
            .iter()
            .copied()
            .enumerate()
            .filter(|&(other, _)| self.labels[other] != label)
            .map(|(i, k)| (k, i))
            .collect();
        negatives.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        negatives
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::distance::tests::clusters;
    use super::super::distances;
    use super::*;

    fn limit(most: u64) -> Limit {
        Limit { most: Some(most), seed: 1, epoch: 2, step: 3 }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn triplets_are_those_of_the_definitions(
            n in 0_usize..40,
            classes in 1_u32..12,
            seed in 0_u64..100,
            margin in 0.05_f64..2.0,
            hardness in 0.0_f64..=1.0,
            most in 0_u64..60,
            cosine in any::<bool>(),
        ) {
            let batch = clusters(n, 3, classes, 1.0, seed);
            let distance = if cosine { Distance::Cosine } else { Distance::Euclidean };
            let all = distances(&batch, &batch, distance).unwrap();
            let d = |a: usize, b: usize| all[a * n + b];
            let label = |i: usize| batch.label(i);
            let (mut wanted_all, mut wanted_semi, mut wanted_hard, mut wanted_at) = (vec![], vec![], vec![], vec![]);
            for anchor in 0..n {
                let positives: Vec<usize> = (0..n).filter(|&p| p != anchor && label(p) == label(anchor)).collect();
                let mut negatives: Vec<usize> = (0..n).filter(|&p| label(p) != label(anchor)).collect();
                for &positive in &positives {
                    wanted_all.extend(negatives.iter().map(|&negative| Triplet { anchor, positive, negative }));
                }
                negatives.sort_by(|&a, &b| d(anchor, a).total_cmp(&d(anchor, b)).then(a.cmp(&b)));
                if let (Some(&first), Some(&negative)) = (positives.first(), negatives.first()) {
                    let positive =
                        positives.iter().fold(first, |a, &b| if d(anchor, a) < d(anchor, b) { b } else { a });
                    wanted_hard.push(Triplet { anchor, positive, negative });
                    let rank = ((1.0 - hardness) * (negatives.len() - 1) as f64).round() as usize;
                    let negative = negatives[rank];
                    wanted_at.extend(positives.iter().map(|&positive| Triplet { anchor, positive, negative }));
                }
                for &positive in &positives {
                    let farther = negatives.iter().find(|&&n| d(anchor, positive) < d(anchor, n));
                    wanted_semi.extend(
                        farther
                            .filter(|&&n| f64::from(d(anchor, n)) < f64::from(d(anchor, positive)) + margin)
                            .map(|&negative| Triplet { anchor, positive, negative }),
                    );
                }
            }
            prop_assert_eq!(&batch_hard(&batch, distance).unwrap(), &wanted_hard);
            prop_assert_eq!(&all_triplets(batch.labels(), Limit::NONE), &wanted_all);
            prop_assert_eq!(&semi_hard(&batch, distance, margin, Limit::NONE).unwrap(), &wanted_semi);
            prop_assert_eq!(&at_hardness(&batch, distance, hardness, Limit::NONE).unwrap(), &wanted_at);

            let some = all_triplets(batch.labels(), limit(most));
            prop_assert_eq!(some.len() as u64, most.min(wanted_all.len() as u64));
            let place = |t: &Triplet| (t.anchor, t.positive, t.negative);
            prop_assert!(some.is_sorted_by(|a, b| place(a) < place(b)));
            prop_assert!(some.iter().all(|t| wanted_all.binary_search_by_key(&place(t), place).is_ok()));
            let couples = wanted_at.len() as u64;
            let some = at_hardness(&batch, distance, hardness, limit(most)).unwrap();
            prop_assert_eq!(some.len() as u64, most.min(couples));
            prop_assert!(some.iter().all(|triplet| wanted_at.contains(triplet)));
            let some = semi_hard(&batch, distance, margin, limit(most)).unwrap();
            prop_assert!(some.len() as u64 <= most && some.iter().all(|triplet| wanted_semi.contains(triplet)));
        }
    }

    #[test]
    fn triplets_are_those_of_pytorch_metric_learning() {
        let oracle: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/oracle/mining.json")).unwrap();
        let values =
            oracle["values"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
        let labels =
            oracle["labels"].as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as u32).collect();
        let batch = Embeddings::new(values, 6, labels).unwrap();
        let triplets = |key: &str| -> Vec<Triplet> {
            let number = |x: &serde_json::Value| x.as_u64().unwrap() as usize;
            let rows = oracle[key].as_array().unwrap().iter();
            rows.map(|row| triplet(number(&row[0]), number(&row[1]), number(&row[2]))).collect()
        };
        assert_eq!(batch_hard(&batch, Distance::Euclidean).unwrap(), triplets("batch_hard"));
        // Of its semi-hard triplets the nearest negative of each couple.
        let nearest = semi_hard(&batch, Distance::Euclidean, 0.2, Limit::NONE).unwrap();
        assert_eq!(nearest, triplets("semi_hard_nearest"));
        assert!(20 < nearest.len());
        assert_eq!(all_triplets(batch.labels(), Limit::NONE).len(), oracle["all"].as_u64().unwrap() as usize);
    }

    #[test]
    fn a_limit_draws_triplets_uniformly() {
        // 4 samples of two classes: 4 anchors x 1 positive x 2 negatives.
        let labels = [3, 9, 3, 9];
        let mut counts = std::collections::BTreeMap::new();
        for step in 0..8000 {
            let kept = all_triplets(&labels, Limit { most: Some(2), seed: 1, epoch: 0, step });
            for triplet in kept {
                let place = (triplet.anchor, triplet.positive, triplet.negative);
                *counts.entry(place).or_insert(0_u32) += 1;
            }
        }
        // 2000 each, in 4.4 standard deviations (of 38.7).
        assert!(counts.len() == 8 && counts.values().all(|count| count.abs_diff(2000) < 170), "{counts:?}");
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let batch = clusters(4, 2, 2, 1.0, 1);
        assert_eq!(
            semi_hard(&batch, Distance::Euclidean, 0.0, Limit::NONE).unwrap_err().to_string(),
            "semi_hard.margin is 0; it takes a number above 0"
        );
        assert_eq!(
            at_hardness(&batch, Distance::Euclidean, 1.5, Limit::NONE).unwrap_err().to_string(),
            "hardness is 1.5; it takes from 0 to 1"
        );
    }
}
