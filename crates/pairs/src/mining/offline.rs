//! Negatives of every anchor of a whole set.

use batchwright_core::{Name, Permutation, Stream, math};

use super::distance::{Distance, References};
use super::embeddings::Embeddings;
use super::error::EmbeddingError;
use super::mined::{Mined, MiningReport};
use super::nearest::Nearest;
use super::options::{MiningOptions, Negatives, Positive, Take};
use crate::Relation;

const POSITIVE: Name = Name::new("pairs/mining/positive");
const NEGATIVES: Name = Name::new("pairs/mining/negatives");
const LIMIT: Name = Name::new("pairs/mining/limit");

/// Which samples may be paired, whatever their distance. An anchor is never asked about itself.
pub trait Eligible: Sync {
    /// Returns how many samples there are.
    fn samples(&self) -> usize;
    /// Returns whether `other` may be a positive of `anchor`.
    fn positive(&self, anchor: usize, other: usize) -> bool;
    /// Returns whether `other` may be a negative of `anchor`.
    fn negative(&self, anchor: usize, other: usize) -> bool;
}

/// Samples of one label are positives of each other, of different labels negatives.
#[derive(Clone, Copy, Debug)]
pub struct ByLabel<'a>(pub &'a [u32]);

impl Eligible for ByLabel<'_> {
    fn samples(&self) -> usize {
        self.0.len()
    }

    #[inline]
    fn positive(&self, anchor: usize, other: usize) -> bool {
        self.0[anchor] == self.0[other]
    }

    #[inline]
    fn negative(&self, anchor: usize, other: usize) -> bool {
        self.0[anchor] != self.0[other]
    }
}

/// Samples are positives and negatives as two relations say, which may be rules over facts ([`Partners`](crate::Partners)).
#[derive(Clone, Copy, Debug)]
pub struct ByRelation<'a> {
    /// Who may be a positive of an anchor.
    pub positive: &'a dyn Relation,
    /// Who may be a negative of an anchor.
    pub negative: &'a dyn Relation,
}

impl Eligible for ByRelation<'_> {
    fn samples(&self) -> usize {
        // Different numbers are those of no set of embeddings.
        if self.positive.samples() == self.negative.samples() { self.positive.samples() } else { usize::MAX }
    }

    fn positive(&self, anchor: usize, other: usize) -> bool {
        self.positive.holds(anchor, other)
    }

    fn negative(&self, anchor: usize, other: usize) -> bool {
        self.negative.holds(anchor, other)
    }
}

/// Why an anchor has no negative.
#[derive(Clone, Copy, Debug)]
enum Lack {
    Positive,
    Negative,
    Window,
    Bounds,
}

/// Mines a positive and negatives for every sample, among all others that `eligible` allows.
///
/// Eligible negatives are ranked by distance, the nearest first; `range_min` and `range_max` cut that list; margins, bounds
/// and `semi_hard` keep some of what is left; `num_negatives` of those are taken, nearest first or drawn. Draws come from the
/// streams (`seed`, `epoch`, anchor, `pairs/mining/positive` and `pairs/mining/negatives`), those of `limit` from
/// (`seed`, `epoch`, 0, `pairs/mining/limit`): the table is a function of the arguments.
///
/// Time is that of all n² distances; memory is that of the embeddings twice, the table, and at most 32 rows of n distances a
/// thread (8 MiB, or 4 rows if those are longer).
///
/// # Errors
/// Refuses options out of range, another number of samples than `eligible` knows and, for the cosine and for weights by
/// distance, embeddings of length 0.
pub fn mine(
    embeddings: &Embeddings,
    eligible: &(impl Eligible + ?Sized),
    options: &MiningOptions,
    seed: u64,
    epoch: u64,
) -> Result<Mined, EmbeddingError> {
    options.check("mining")?;
    if eligible.samples() != embeddings.len() {
        return Err(EmbeddingError::Column {
            what: "who may be paired",
            expected: embeddings.len(),
            found: eligible.samples(),
        });
    }
    let scaled;
    let embeddings = match options.negatives {
        Negatives::Hard | Negatives::SemiHard { .. } => embeddings,
        Negatives::DistanceWeighted { .. } => {
            scaled = embeddings.normalized()?;
            &scaled
        }
    };
    let dims = embeddings.dims();
    let anchors = References::new(embeddings, options.distance)?.rows(embeddings, |anchor, keys| {
        Anchor { index: anchor, keys, eligible, options, dims, seed, epoch }.mine()
    })?;
    let mut report = MiningReport { anchors: anchors.len() as u64, ..MiningReport::default() };
    for (_, found) in &anchors {
        match found {
            Ok(negatives) => report.found += negatives.len() as u64,
            Err(Lack::Positive) => report.without_positive += 1,
            Err(Lack::Negative) => report.without_negative += 1,
            Err(Lack::Window) => report.outside_window += 1,
            Err(Lack::Bounds) => report.outside_bounds += 1,
        }
    }
    let limit = options.limit.unwrap_or(u64::MAX).min(u64::from(u32::MAX));
    let counts = limited(&anchors, limit, seed, epoch);
    let mut offsets = Vec::with_capacity(anchors.len() + 1);
    let (mut positives, mut negatives) = (Vec::with_capacity(anchors.len()), Vec::new());
    offsets.push(0);
    for ((positive, found), count) in anchors.into_iter().zip(counts) {
        positives.push(positive);
        if let Ok(found) = found {
            negatives.extend_from_slice(&found[..count as usize]);
        }
        offsets.push(negatives.len() as u32);
    }
    report.kept = negatives.len() as u64;
    report.mined = offsets.windows(2).filter(|pair| pair[0] < pair[1]).count() as u64;
    Ok(Mined::from_parts(seed, epoch, report, positives, offsets, negatives))
}

type Found = (u32, Result<Vec<u32>, Lack>);

/// Returns how many negatives each anchor keeps, so that all together keep at most `limit`: one each before two of any, the
/// last ones for drawn anchors.
fn limited(anchors: &[Found], limit: u64, seed: u64, epoch: u64) -> Vec<u32> {
    let has = |anchor: &Found| anchor.1.as_ref().map_or(0, Vec::len) as u32;
    let mut counts: Vec<u32> = anchors.iter().map(has).collect();
    if counts.iter().map(|&count| u64::from(count)).sum::<u64>() <= limit {
        return counts;
    }
    // The most rounds that fit in full.
    let (mut rounds, mut kept) = (0, 0);
    loop {
        let more = counts.iter().filter(|&&count| rounds < count).count() as u64;
        if limit < kept + more {
            break;
        }
        (rounds, kept) = (rounds + 1, kept + more);
    }
    let longer: Vec<usize> = (0..counts.len()).filter(|&anchor| rounds < counts[anchor]).collect();
    for count in &mut counts {
        *count = rounds.min(*count);
    }
    let order = Permutation::new(longer.len() as u64, &mut Stream::new(seed, epoch, 0, LIMIT));
    for place in 0..limit - kept {
        counts[longer[order.at(place) as usize]] += 1;
    }
    counts
}

struct Anchor<'a, E: ?Sized> {
    index: usize,
    keys: &'a [f32],
    eligible: &'a E,
    options: &'a MiningOptions,
    dims: usize,
    seed: u64,
    epoch: u64,
}

impl<E: Eligible + ?Sized> Anchor<'_, E> {
    fn mine(&self) -> Found {
        let positive = self.positive();
        let found = match positive {
            None if self.options.compares() => Err(Lack::Positive),
            _ => self.negatives(positive),
        };
        (positive.map_or(Mined::NONE, |positive| positive as u32), found)
    }

    fn others(&self) -> impl Iterator<Item = usize> {
        (0..self.index).chain(self.index + 1..self.keys.len())
    }

    fn positive(&self) -> Option<usize> {
        let positives = || self.others().filter(|&other| self.eligible.positive(self.index, other));
        let key = |other: usize| self.keys[other];
        match self.options.positive {
            Positive::None => None,
            // Of equal ones the first.
            Positive::Hardest => {
                positives().reduce(|best, other| if key(best) < key(other) { other } else { best })
            }
            Positive::Nearest => {
                positives().reduce(|best, other| if key(other) < key(best) { other } else { best })
            }
            Positive::Random => match positives().count() {
                0 => None,
                n => {
                    let mut stream = Stream::new(self.seed, self.epoch, self.index as u64, POSITIVE);
                    positives().nth(stream.below(n as u64) as usize)
                }
            },
        }
    }

    fn negatives(&self, positive: Option<usize>) -> Result<Vec<u32>, Lack> {
        let options = self.options;
        let is_negative = |other: usize| other != self.index && self.eligible.negative(self.index, other);
        let bounds = self.bounds(positive);
        let n = self.keys.len();
        let weighted = match options.negatives {
            Negatives::Hard | Negatives::SemiHard { .. } => None,
            Negatives::DistanceWeighted { cutoff, nonzero_loss_cutoff } => {
                Some((cutoff as f32, nonzero_loss_cutoff as f32))
            }
        };
        let kept = |other: usize| bounds.keep(options.distance.of_key(self.keys[other]));
        let mut candidates: Vec<(f32, usize)> = if options.range_min == 0 && options.range_max.is_none() {
            if weighted.is_none() && options.strategy == Take::Top {
                let mut nearest = Nearest::new(options.num_negatives.min(n));
                nearest.show_row(self.keys, 0, |other| is_negative(other) && kept(other));
                nearest.into_sorted().collect()
            } else {
                let all = self.others().filter(|&other| is_negative(other) && kept(other));
                all.map(|other| (self.keys[other], other)).collect()
            }
        } else {
            let mut nearest = Nearest::new(options.range_max.unwrap_or(n).min(n));
            nearest.show_row(self.keys, 0, is_negative);
            let window: Vec<_> = nearest.into_sorted().skip(options.range_min).collect();
            if window.is_empty() && self.others().any(is_negative) {
                return Err(Lack::Window);
            }
            window.into_iter().filter(|&(_, other)| kept(other)).collect()
        };
        if candidates.is_empty() {
            return Err(if self.others().any(is_negative) { Lack::Bounds } else { Lack::Negative });
        }
        let stream = || Stream::new(self.seed, self.epoch, self.index as u64, NEGATIVES);
        match (weighted, options.strategy) {
            (Some((cutoff, nonzero)), _) => {
                candidates = self.weighted(&candidates, cutoff, nonzero, &mut stream());
                if candidates.is_empty() {
                    return Err(Lack::Bounds);
                }
            }
            (None, Take::Random) => {
                let (mut stream, count) = (stream(), candidates.len());
                let wanted = options.num_negatives.min(count);
                for place in 0..wanted {
                    candidates.swap(place, place + stream.below((count - place) as u64) as usize);
                }
                candidates.truncate(wanted);
            }
            (None, Take::Top) => candidates.truncate(options.num_negatives),
        }
        Ok(candidates.into_iter().map(|(_, other)| other as u32).collect())
    }

    fn bounds(&self, positive: Option<usize>) -> Bounds {
        let options = self.options;
        let mut bounds = Bounds {
            least: options.min_distance.unwrap_or(0.0),
            most: options.max_distance.unwrap_or(f64::INFINITY),
            above: f64::NEG_INFINITY,
            below: f64::INFINITY,
        };
        if let Some(positive) = positive {
            let distance = f64::from(options.distance.of_key(self.keys[positive]));
            if let Some(margin) = options.absolute_margin {
                bounds.least = bounds.least.max(distance + margin);
            }
            if let Some(margin) = options.relative_margin {
                bounds.least = bounds.least.max(distance * (1.0 + margin));
            }
            if let Negatives::SemiHard { margin } = options.negatives {
                (bounds.above, bounds.below) = (distance, distance + margin);
            }
        }
        bounds
    }

    /// Draws by the weights of distances, without replacement: a draw u takes the first candidate with u times the sum of all
    /// weights left below its running sum. Sums are those of sums of [`STRETCH`] weights, so that a draw sums few.
    fn weighted(
        &self,
        candidates: &[(f32, usize)],
        cutoff: f32,
        nonzero: f32,
        stream: &mut Stream,
    ) -> Vec<(f32, usize)> {
        // The embeddings have length 1, so d² = 2 (1 - cos).
        let scale = match self.options.distance {
            Distance::Euclidean | Distance::SquaredEuclidean => 1.0,
            Distance::Cosine => 2.0,
        };
        let log = |&(key, _): &(f32, usize)| log_weight((scale * key).sqrt(), self.dims, cutoff, nonzero);
        let mut weights: Vec<f32> = candidates.iter().map(log).collect();
        let most = weights.iter().fold(f32::NEG_INFINITY, |most, &log| if most < log { log } else { most });
        if most == f32::NEG_INFINITY {
            return Vec::new();
        }
        for weight in &mut weights {
            *weight = math::exp(*weight - most);
        }
        let sum = |weights: &[f32]| weights.iter().map(|&weight| f64::from(weight)).sum::<f64>();
        let mut sums: Vec<f64> = weights.chunks(STRETCH).map(sum).collect();
        let mut drawn = Vec::new();
        for _ in 0..self.options.num_negatives {
            let total: f64 = sums.iter().sum();
            if total == 0.0 {
                break;
            }
            let at = stream.uniform() * total;
            let (stretch, before) = first_beyond(sums.iter().copied(), 0.0, at);
            let from = stretch * STRETCH;
            let to = (from + STRETCH).min(weights.len());
            let (place, _) =
                first_beyond(weights[from..to].iter().map(|&weight| f64::from(weight)), before, at);
            weights[from + place] = 0.0;
            sums[stretch] = sum(&weights[from..to]);
            drawn.push(candidates[from + place]);
        }
        drawn
    }
}

/// Weights that are summed together.
const STRETCH: usize = 64;

/// Returns the first number above 0 with which the running sum, from `before`, goes beyond `at`, and the sum before it; where
/// rounding lets none, the last above 0.
fn first_beyond(numbers: impl Iterator<Item = f64>, before: f64, at: f64) -> (usize, f64) {
    let (mut running, mut last) = (before, (0, before));
    for (place, number) in numbers.enumerate() {
        if 0.0 < number {
            last = (place, running);
            running += number;
            if at < running {
                break;
            }
        }
    }
    last
}

/// Returns the logarithm of 1 / q(d), q being the density of the distance between two random points of the unit sphere in
/// `dims` dimensions, up to a constant: q(d) = d^(dims - 2) (1 - d²/4)^((dims - 3) / 2). That of 0 from `nonzero` on.
#[inline]
fn log_weight(d: f32, dims: usize, cutoff: f32, nonzero: f32) -> f32 {
    let dims = dims as f32;
    let wide = if d < cutoff { cutoff } else { d };
    let log = (2.0 - dims) * math::ln(wide) + (3.0 - dims) / 2.0 * math::ln(1.0 - 0.25 * wide * wide);
    if d < nonzero { log } else { f32::NEG_INFINITY }
}

/// What distances of negatives are kept.
struct Bounds {
    least: f64,
    most: f64,
    above: f64,
    below: f64,
}

impl Bounds {
    fn keep(&self, distance: f32) -> bool {
        let d = f64::from(distance);
        self.least <= d && d <= self.most && self.above < d && d < self.below
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::distance::tests::clusters;
    use super::*;
    use crate::{Draw, Facts, Partners, Rule};

    /// The definition: all pairs, sorted, cut, filtered.
    fn expected(set: &Embeddings, options: &MiningOptions, anchor: usize) -> (Option<usize>, Vec<usize>) {
        let all = super::super::distances(set, set, options.distance).unwrap();
        let d = |other: usize| all[anchor * set.len() + other];
        let others = || (0..set.len()).filter(|&other| other != anchor);
        let positives = || others().filter(|&other| set.label(other) == set.label(anchor));
        let positive = match options.positive {
            Positive::Hardest => {
                let most = positives().map(d).fold(-1.0, f32::max);
                positives().find(|&p| d(p) == most)
            }
            Positive::Nearest => {
                let least = positives().map(d).fold(f32::INFINITY, f32::min);
                positives().find(|&p| d(p) == least)
            }
            Positive::Random | Positive::None => None,
        };
        let mut negatives: Vec<usize> =
            others().filter(|&other| set.label(other) != set.label(anchor)).collect();
        negatives.sort_by(|&a, &b| d(a).total_cmp(&d(b)).then(a.cmp(&b)));
        negatives.truncate(options.range_max.unwrap_or(usize::MAX));
        negatives.drain(..options.range_min.min(negatives.len()));
        let to_positive = positive.map(|p| f64::from(d(p)));
        negatives.retain(|&n| {
            let d = f64::from(d(n));
            let margins = [
                options.absolute_margin.map(|m| to_positive.is_some_and(|p| p + m <= d)),
                options.relative_margin.map(|m| to_positive.is_some_and(|p| p * (1.0 + m) <= d)),
                options.min_distance.map(|m| m <= d),
                options.max_distance.map(|m| d <= m),
            ];
            let semi = match options.negatives {
                Negatives::SemiHard { margin } => to_positive.is_some_and(|p| p < d && d < p + margin),
                _ => true,
            };
            semi && margins.into_iter().flatten().all(|kept| kept)
        });
        (positive, negatives)
    }

    fn options() -> impl proptest::strategy::Strategy<Value = MiningOptions> {
        let distance =
            prop_oneof![Just(Distance::Euclidean), Just(Distance::SquaredEuclidean), Just(Distance::Cosine)];
        let negatives =
            prop_oneof![Just(Negatives::Hard), (0.1..2.0).prop_map(|margin| Negatives::SemiHard { margin })];
        let positive = prop_oneof![Just(Positive::Hardest), Just(Positive::Nearest)];
        let some = |range: std::ops::Range<f64>| proptest::option::weighted(0.3, range);
        (
            (distance, negatives, positive, 1_usize..6, 0_usize..4, proptest::option::of(0_usize..20)),
            (some(0.0..0.5), some(0.0..0.5), some(0.0..0.8), some(0.8..3.0)),
        )
            .prop_map(|((distance, negatives, positive, num_negatives, range_min, more), bounds)| {
                MiningOptions {
                    distance,
                    negatives,
                    positive,
                    num_negatives,
                    range_min,
                    range_max: more.map(|more| range_min + 1 + more),
                    absolute_margin: bounds.0,
                    relative_margin: bounds.1,
                    min_distance: bounds.2,
                    max_distance: bounds.3,
                    strategy: Take::Top,
                    limit: None,
                }
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn what_is_mined_is_what_sorting_all_pairs_gives(
            options in options(),
            n in 1_usize..60,
            classes in 1_u32..30,
            seed in 0_u64..100,
        ) {
            let set = clusters(n, 5, classes, 1.0, seed);
            let mined = mine(&set, &ByLabel(set.labels()), &options, seed, 0).unwrap();
            let mut lacking = 0;
            for anchor in 0..n {
                let (positive, mut negatives) = expected(&set, &options, anchor);
                let all = negatives.clone();
                negatives.truncate(options.num_negatives);
                prop_assert_eq!(mined.positive(anchor), positive);
                let found: Vec<usize> = mined.negatives(anchor).iter().map(|&n| n as usize).collect();
                prop_assert_eq!(&found, &negatives);
                lacking += u64::from(found.is_empty());
                // Drawn ones are of the same candidates, as many as wanted, without repetition.
                let random = MiningOptions { strategy: Take::Random, ..options.clone() };
                if anchor == 0 {
                    let drawn = mine(&set, &ByLabel(set.labels()), &random, seed, 3).unwrap();
                    let mut drawn: Vec<usize> = drawn.negatives(0).iter().map(|&n| n as usize).collect();
                    prop_assert_eq!(drawn.len(), negatives.len());
                    prop_assert!(drawn.iter().all(|n| all.contains(n)));
                    drawn.sort_unstable();
                    drawn.dedup();
                    prop_assert_eq!(drawn.len(), negatives.len());
                }
            }
            let report = mined.report();
            let reasons = report.without_positive + report.without_negative + report.outside_window + report.outside_bounds;
            prop_assert_eq!((reasons, report.mined + lacking), (lacking, n as u64));
        }

        #[test]
        fn a_limit_keeps_one_of_each_anchor_before_two_of_any(limit in 1_u64..200, seed in 0_u64..50) {
            let set = clusters(40, 3, 4, 1.0, seed);
            let free = MiningOptions { num_negatives: 4, max_distance: Some(2.0), ..Default::default() };
            let all = mine(&set, &ByLabel(set.labels()), &free, seed, 1).unwrap();
            let capped = MiningOptions { limit: Some(limit), ..free };
            let some = mine(&set, &ByLabel(set.labels()), &capped, seed, 1).unwrap();
            prop_assert_eq!(some.report().kept, limit.min(all.report().kept));
            prop_assert_eq!(some.report().found, all.report().kept);
            let mut most = 0;
            for anchor in 0..40 {
                prop_assert!(all.negatives(anchor).starts_with(some.negatives(anchor)));
                most = most.max(some.negatives(anchor).len());
            }
            for anchor in 0..40 {
                prop_assert!(most <= some.negatives(anchor).len() + 1 || some.negatives(anchor) == all.negatives(anchor));
            }
        }
    }

    #[test]
    fn anchors_without_negatives_are_counted_by_their_reason() {
        // Sample 3 is alone of its class; everything is at distance 1 to 9.
        let set = Embeddings::new(vec![0.0, 1.0, 9.0, 10.0], 1, vec![0, 0, 1, 2]).unwrap();
        let report =
            |options: &MiningOptions| *mine(&set, &ByLabel(set.labels()), options, 0, 0).unwrap().report();
        let hard = MiningOptions::default();
        assert_eq!(
            report(&hard),
            MiningReport { anchors: 4, mined: 4, found: 4, kept: 4, ..Default::default() }
        );
        let margin = MiningOptions { absolute_margin: Some(0.0), ..hard.clone() };
        assert_eq!(
            report(&margin),
            MiningReport {
                anchors: 4,
                mined: 2,
                found: 2,
                kept: 2,
                without_positive: 2,
                ..Default::default()
            }
        );
        let window = MiningOptions { range_min: 2, ..hard.clone() };
        assert_eq!(
            report(&window),
            MiningReport { anchors: 4, mined: 2, found: 2, kept: 2, outside_window: 2, ..Default::default() }
        );
        let near = MiningOptions { max_distance: Some(0.5), ..hard.clone() };
        assert_eq!(report(&near), MiningReport { anchors: 4, outside_bounds: 4, ..Default::default() });
        let none = mine(&set, &ByLabel(&[5; 4]), &hard, 0, 0).unwrap();
        assert_eq!(*none.report(), MiningReport { anchors: 4, without_negative: 4, ..Default::default() });
    }

    #[test]
    fn what_is_not_eligible_is_never_mined() {
        struct Patients(Vec<u32>);
        impl Eligible for Patients {
            fn samples(&self) -> usize {
                self.0.len()
            }
            fn positive(&self, anchor: usize, other: usize) -> bool {
                self.0[anchor] == self.0[other] && anchor % 2 != other % 2
            }
            fn negative(&self, anchor: usize, other: usize) -> bool {
                self.0[anchor].abs_diff(self.0[other]) == 1
            }
        }
        let set = clusters(90, 4, 9, 1.0, 5);
        let patients = Patients(set.labels().to_vec());
        for negatives in
            [Negatives::Hard, Negatives::DistanceWeighted { cutoff: 0.5, nonzero_loss_cutoff: 2.0 }]
        {
            for positive in [Positive::Hardest, Positive::Nearest, Positive::Random, Positive::None] {
                let options = MiningOptions { negatives, positive, num_negatives: 5, ..Default::default() };
                let mined = mine(&set, &patients, &options, 7, 7).unwrap();
                for anchor in 0..90 {
                    let found = mined.positive(anchor).is_some_and(|p| patients.positive(anchor, p));
                    assert_eq!(found, positive != Positive::None);
                    assert_eq!(mined.negatives(anchor).len(), 5);
                    assert!(mined.negatives(anchor).iter().all(|&n| patients.negative(anchor, n as usize)));
                }
            }
        }
    }

    #[test]
    fn relations_by_rules_decide_who_is_mined() {
        // Two visits of each of 10 patients at 2 sites.
        let facts = Facts::new(&[0; 20]).unwrap();
        let facts = facts.with_numbers("patient", &(0..20).map(|i| i / 2).collect::<Vec<_>>()).unwrap();
        let facts = facts.with_numbers("site", &(0..20).map(|i| i / 10).collect::<Vec<_>>()).unwrap();
        let of = |rule| Partners::new(&facts, &rule, Draw::Uniform).unwrap();
        let (positive, negative) =
            (of(Rule::same(["patient"])), of(Rule::different(["patient"]).matching(["site"])));
        let eligible = ByRelation { positive: &positive, negative: &negative };
        let set = clusters(20, 4, 3, 1.0, 6);
        let options = MiningOptions { num_negatives: 30, ..Default::default() };
        let mined = mine(&set, &eligible, &options, 0, 0).unwrap();
        for anchor in 0..20 {
            assert_eq!(mined.positive(anchor), Some(anchor ^ 1));
            let mut found = mined.negatives(anchor).to_vec();
            found.sort_unstable();
            let site = anchor as u32 / 10 * 10..anchor as u32 / 10 * 10 + 10;
            assert_eq!(found, site.filter(|n| n / 2 != anchor as u32 / 2).collect::<Vec<_>>());
        }
        let fewer = set.select(&[0, 1]);
        let error = mine(&fewer, &eligible, &options, 0, 0).unwrap_err();
        assert_eq!(error.to_string(), "20 values of who may be paired for 2 samples");
    }

    #[test]
    fn weights_are_against_the_density_of_distances_on_the_sphere() {
        // q(d) in double precision.
        for dims in [3_usize, 16, 128] {
            for d in [0.1_f32, 0.5, 0.9, 1.3] {
                let wide = f64::from(d).max(0.5);
                let m = dims as f64;
                let want = -((m - 2.0) * wide.ln() + (m - 3.0) / 2.0 * (1.0 - wide * wide / 4.0).ln());
                let found = log_weight(d, dims, 0.5, 1.4);
                assert!((f64::from(found) - want).abs() < 1e-5 * want.abs().max(1.0), "{found} {want}");
            }
        }
        assert_eq!(log_weight(1.4, 128, 0.5, 1.4), f32::NEG_INFINITY);
        assert_eq!(log_weight(2.5, 128, 0.5, 1.4), f32::NEG_INFINITY);
        // Drawn as often as they weigh: chi-squared of the draws of one anchor over many epochs.
        let set = clusters(24, 6, 2, 1.0, 11);
        let negatives = Negatives::DistanceWeighted { cutoff: 0.5, nonzero_loss_cutoff: 1.4 };
        let options = MiningOptions { negatives, distance: Distance::Cosine, ..Default::default() };
        let unit = set.normalized().unwrap();
        let d = super::super::distances(&unit, &unit, Distance::Euclidean).unwrap();
        let weights: Vec<f64> = (0..24)
            .map(|other| match log_weight(d[other], 6, 0.5, 1.4) {
                log if set.label(other) != set.label(0) => f64::from(log).exp(),
                _ => 0.0,
            })
            .collect();
        let sum: f64 = weights.iter().sum();
        let mut counts = [0.0; 24];
        let draws = 4000;
        for epoch in 0..draws {
            let mined = mine(&set, &ByLabel(set.labels()), &options, 1, epoch).unwrap();
            counts[mined.negatives(0)[0] as usize] += 1.0;
        }
        let (mut chi, mut degrees) = (0.0, -1.0);
        for (count, weight) in counts.iter().zip(&weights) {
            let want = weight / sum * draws as f64;
            if *weight == 0.0 {
                assert_eq!(*count, 0.0);
            } else {
                chi += (count - want) * (count - want) / want;
                degrees += 1.0;
            }
        }
        // Mean `degrees`, variance twice that: 5 standard deviations.
        assert!(3.0 < degrees && chi < degrees + 5.0 * (2.0_f64 * degrees).sqrt(), "{chi} of {degrees}");
    }

    #[test]
    fn weights_are_those_of_pytorch_metric_learning() {
        let oracle: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/oracle/mining.json")).unwrap();
        let draws = &oracle["distance_weighted"];
        let numbers = |key: &str| -> Vec<f64> {
            draws[key].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
        };
        let (distances, counts) = (numbers("distances"), numbers("counts"));
        let weights: Vec<f64> =
            distances.iter().map(|&d| f64::from(log_weight(d as f32, 6, 0.5, 1.4)).exp()).collect();
        let (sum, total) = (weights.iter().sum::<f64>(), counts.iter().sum::<f64>());
        let mut chi = 0.0;
        for (weight, count) in weights.iter().zip(&counts) {
            let want = weight / sum * total;
            assert!(0.0 < want || *count == 0.0);
            chi += if 0.0 < want { (count - want).powi(2) / want } else { 0.0 };
        }
        let degrees = weights.iter().filter(|&&weight| 0.0 < weight).count() as f64 - 1.0;
        assert!(5.0 < degrees && chi < degrees + 5.0 * (2.0 * degrees).sqrt(), "{chi} of {degrees}");
    }

    #[test]
    fn the_table_does_not_depend_on_the_number_of_threads() {
        let set = clusters(300, 16, 7, 1.0, 2);
        let options = MiningOptions {
            negatives: Negatives::DistanceWeighted { cutoff: 0.5, nonzero_loss_cutoff: 1.4 },
            num_negatives: 3,
            limit: Some(500),
            ..Default::default()
        };
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| mine(&set, &ByLabel(set.labels()), &options, 3, 4)).unwrap().sha256()
        };
        assert_eq!(run(1), run(3));
        let other = mine(&set, &ByLabel(set.labels()), &options, 3, 5).unwrap().sha256();
        assert_ne!(run(1), other);
    }
}
