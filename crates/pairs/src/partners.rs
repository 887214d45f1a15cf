//! A rule made ready: the samples that it allows with an anchor, in ranges.

use std::sync::Arc;

use batchwright_core::{Fingerprint, Stream};

use crate::error::{Error, Side};
use crate::facts::{CLASS, Column, Facts, INDEX, Key, NONE, determines};
use crate::relation::{Counts, Relation, TRIES, Tries};
use crate::rule::{Draw, Rule};

/// Facts that must differ at once, of which none decides another. Their combinations are counted, 2^6 at most.
const MOST_DIFFERENT: usize = 6;

/// The samples that a [`Rule`] allows with an anchor: ready after time linear in the samples, then a draw takes the same
/// time whatever their number.
///
/// Samples lie in buckets, those that are the same in all facts of `same`; inside a bucket those that share the first fact
/// of `different` lie side by side, so that one number drawn from the bucket without this stretch is a fair draw. Where
/// more facts must differ (and none decides another), candidates that do not differ in them are drawn again, at most 64
/// times; after that the samples that fit are listed, and one is drawn from the list. Both are uniform, and counted
/// ([`Relation::tries`]).
///
/// Takes 8 bytes a sample, and 4 more where candidates may be rejected.
///
/// ```
/// use batchwright_core::Stream;
/// use batchwright_pairs::{Draw, Facts, Partners, Relation, Rule};
/// let facts = Facts::new(&[0, 0, 0, 1, 2])?;
/// let others = Partners::new(&facts, &Rule::different(["class"]), Draw::Uniform)?;
/// assert!(3 <= others.draw(0, &mut Stream::new(42, 0, 0, "example")));
/// let alike = Partners::new(&facts, &Rule::same(["class"]), Draw::Uniform)?;
/// assert!(alike.has_partner(0) && !alike.has_partner(3));
/// # Ok::<(), batchwright_pairs::Error>(())
/// ```
#[derive(Debug)]
pub struct Partners {
    rule: Rule,
    draw: Draw,
    samples: usize,
    print: Fingerprint,
    same: Vec<Arc<Column>>,
    different: Vec<Arc<Column>>,
    /// Where a sample is paired with others, not with itself.
    table: Option<Table>,
    counts: Counts,
}

/// Samples sorted by bucket, then by the group whose members lie side by side.
#[derive(Debug)]
struct Table {
    /// The samples that have all facts of the rule.
    members: Vec<u32>,
    /// The first place in `members` of each run (one group of one bucket), and the end.
    runs: Vec<u32>,
    /// The bucket of each run.
    bucket_of: Vec<u32>,
    /// The first run of each bucket, and the end.
    buckets: Vec<u32>,
    /// The run of each sample; [`NONE`] where it lacks a fact.
    run_of: Vec<u32>,
    /// Whether an anchor's own run is out.
    apart: bool,
    /// What must differ besides, tested on each candidate.
    rest: Vec<Arc<Column>>,
    /// How many samples fit each anchor, where candidates are tested.
    fitting: Option<Vec<u32>>,
}

impl Partners {
    /// Makes a rule ready for the samples of `facts`.
    ///
    /// # Errors
    /// Refuses a fact that there is not, and a rule that contradicts itself. A rule that allows nothing for any sample is
    /// no error here but where a sampler needs it.
    pub fn new(facts: &Facts, rule: &Rule, draw: Draw) -> Result<Self, Error> {
        Self::of(facts, rule, draw, Side::Rule)
    }

    pub(crate) fn of(facts: &Facts, rule: &Rule, draw: Draw, side: Side) -> Result<Self, Error> {
        if let Some(fact) = rule.same.iter().find(|fact| rule.different.contains(fact)) {
            return Err(Error::Contradiction { side, rule: rule.clone(), fact: fact.clone() });
        }
        let known = |name: &String| {
            facts.column(name).map(Arc::clone).ok_or_else(|| Error::UnknownFact {
                side,
                fact: name.clone(),
                known: facts.known(),
            })
        };
        let columns = |names: &[String]| {
            let mut names: Vec<&String> = names.iter().filter(|name| *name != INDEX).collect();
            names.sort();
            names.dedup();
            names.into_iter().map(known).collect::<Result<Vec<_>, _>>()
        };
        let same = columns(&rule.same)?;
        // In the order they were written: the first is the one that takes no trying.
        let mut different: Vec<Arc<Column>> = Vec::new();
        for name in rule.different.iter().filter(|name| *name != INDEX) {
            let column = known(name)?;
            if !different.iter().any(|other| Arc::ptr_eq(other, &column)) {
                different.push(column);
            }
        }
        let names = rule.same.iter().chain(&rule.different).map(String::as_str);
        let mut print = Fingerprint::default()
            .with("rule", rule)
            .with("draw", format!("{draw:?}").to_lowercase())
            .with_part("facts", &facts.fingerprint(names));
        let samples = facts.len();
        let table = if rule.is_itself() {
            if !rule.different.is_empty() {
                let fact = rule.different[0].clone();
                return Err(Error::Contradiction { side, rule: rule.clone(), fact });
            }
            None
        } else {
            let by_class = match draw {
                Draw::Uniform => None,
                Draw::ByClass => {
                    print = print.with_part("facts", &facts.fingerprint([CLASS]));
                    Some(known(&CLASS.to_owned())?)
                }
            };
            let found = needed(&different).len();
            if MOST_DIFFERENT < found {
                return Err(Error::ManyDifferent { side, found, most: MOST_DIFFERENT });
            }
            Some(Table::new(samples, &same, &different, by_class))
        };
        let (rule, counts) = (rule.clone(), Counts::default());
        Ok(Self { rule, draw, samples, print, same, different, table, counts })
    }

    /// Returns the rule.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Returns how many samples may stand with `anchor`.
    pub fn fitting(&self, anchor: usize) -> usize {
        self.table.as_ref().map_or(1, |table| table.fitting(anchor) as usize)
    }

    /// Returns whether a sample has all facts that the rule names.
    pub fn knows(&self, sample: usize) -> bool {
        assert!(sample < self.samples, "sample {sample} of {}", self.samples);
        self.same.iter().chain(&self.different).all(|column| column.codes[sample] != NONE)
    }

    /// Says how far each part of the rule gets, for a rule that allows nothing.
    pub(crate) fn steps(&self) -> String {
        let count = |fits: &dyn Fn(usize) -> bool| (0..self.samples).filter(|&index| fits(index)).count();
        let known = count(&|index| self.knows(index));
        let mut text = format!("of {} samples {known} have the facts it names", self.samples);
        let mut rule = Rule::default();
        let step = |rule: &Rule, same: &[Arc<Column>], different: &[Arc<Column>]| {
            // Samples that lack a fact of the whole rule are no partners at any step.
            let all: Vec<Arc<Column>> = self.same.iter().chain(&self.different).map(Arc::clone).collect();
            let table = Table::of(self.samples, same, different, None, &all);
            let found = (0..self.samples).filter(|&index| 0 < table.fitting(index)).count();
            format!("; {found} of them have another with {rule}")
        };
        if !self.rule.same.is_empty() && !self.rule.different.is_empty() {
            rule.same.clone_from(&self.rule.same);
            text += &step(&rule, &self.same, &[]);
        }
        if 0 < known {
            text += &step(&self.rule, &self.same, &self.different);
        }
        text
    }
}

impl Relation for Partners {
    fn samples(&self) -> usize {
        self.samples
    }

    fn holds(&self, anchor: usize, partner: usize) -> bool {
        if self.table.is_none() {
            return anchor == partner;
        }
        let both = |column: &Column| {
            let (a, b) = (column.codes[anchor], column.codes[partner]);
            (a != NONE && b != NONE).then_some(a == b)
        };
        anchor != partner
            && self.same.iter().all(|column| both(column) == Some(true))
            && self.different.iter().all(|column| both(column) == Some(false))
    }

    fn has_partner(&self, anchor: usize) -> bool {
        0 < self.fitting(anchor)
    }

    #[inline]
    fn draw(&self, anchor: usize, stream: &mut Stream) -> usize {
        match (&self.table, self.draw) {
            (None, _) => anchor,
            (Some(table), Draw::Uniform) => table.draw(anchor as u32, stream, &self.counts) as usize,
            (Some(table), Draw::ByClass) => table.draw_by_group(anchor as u32, stream, &self.counts) as usize,
        }
    }

    fn fingerprint(&self) -> Fingerprint {
        self.print.clone()
    }

    fn tries(&self) -> Tries {
        self.counts.get()
    }
}

/// Drops facts whose difference follows from that of another: where equal in `a` means equal in `b`, different in `b`
/// means different in `a`.
fn needed(different: &[Arc<Column>]) -> Vec<Arc<Column>> {
    let mut kept: Vec<Arc<Column>> = different.to_vec();
    let mut at = 0;
    while at < kept.len() {
        let follows = kept.iter().enumerate().any(|(other, column)| {
            // Where samples lack a fact nothing follows.
            let whole = !column.codes.contains(&NONE) && !kept[at].codes.contains(&NONE);
            other != at && whole && determines(&kept[at], column)
        });
        if follows {
            kept.remove(at);
        } else {
            at += 1;
        }
    }
    kept
}

impl Table {
    fn new(
        samples: usize,
        same: &[Arc<Column>],
        different: &[Arc<Column>],
        by_class: Option<Arc<Column>>,
    ) -> Self {
        let mut all: Vec<Arc<Column>> = same.iter().chain(different).map(Arc::clone).collect();
        all.extend(by_class.iter().map(Arc::clone));
        Self::of(samples, same, different, by_class, &all)
    }

    /// Sorts the samples that have all facts of `known`.
    fn of(
        samples: usize,
        same: &[Arc<Column>],
        different: &[Arc<Column>],
        by_class: Option<Arc<Column>>,
        known: &[Arc<Column>],
    ) -> Self {
        let different = needed(different);
        let group = by_class.or_else(|| different.first().map(Arc::clone));
        let apart =
            group.as_ref().is_some_and(|group| different.iter().any(|other| Arc::ptr_eq(group, other)));
        let rest: Vec<Arc<Column>> = different
            .iter()
            .filter(|column| !group.as_ref().is_some_and(|group| Arc::ptr_eq(group, column)))
            .map(Arc::clone)
            .collect();
        let bucket = Key::of(same.iter().map(AsRef::as_ref));
        let complete = |index: &u32| known.iter().all(|column| column.codes[*index as usize] != NONE);
        let mut members: Vec<u32> = (0..samples as u32).filter(complete).collect();
        // Sorted by the second key first: counting sorts keep the order of equals.
        if let Some(group) = &group {
            members = sorted(&members, &group.codes, group.count());
        }
        if let Some(bucket) = &bucket {
            members = sorted(&members, &bucket.codes, bucket.count);
        }
        let mut table = Self {
            members,
            runs: Vec::new(),
            bucket_of: Vec::new(),
            buckets: Vec::new(),
            run_of: vec![NONE; samples],
            apart,
            rest,
            fitting: None,
        };
        let mut last = None;
        for (at, &sample) in table.members.iter().enumerate() {
            let of_bucket = bucket.as_ref().map_or(0, |bucket| bucket.codes[sample as usize]);
            let of_group = group.as_ref().map_or(0, |group| group.codes[sample as usize]);
            if last.is_none_or(|(bucket, _)| bucket != of_bucket) {
                table.buckets.push(table.runs.len() as u32);
            }
            if last != Some((of_bucket, of_group)) {
                table.runs.push(at as u32);
                table.bucket_of.push(table.buckets.len() as u32 - 1);
                last = Some((of_bucket, of_group));
            }
            table.run_of[sample as usize] = table.runs.len() as u32 - 1;
        }
        table.buckets.push(table.runs.len() as u32);
        table.runs.push(table.members.len() as u32);
        if !table.rest.is_empty() {
            table.fitting = Some(fitting(samples, same, &different, known));
        }
        table
    }

    /// Returns how many samples fit an anchor.
    fn fitting(&self, anchor: usize) -> u32 {
        let run = self.run_of[anchor];
        match &self.fitting {
            _ if run == NONE => 0,
            Some(fitting) => fitting[anchor],
            None => {
                let (bucket, own) = (self.bucket(run), self.run(run));
                (bucket.1 - bucket.0) - if self.apart { own.1 - own.0 } else { 1 }
            }
        }
    }

    #[inline]
    fn run(&self, run: u32) -> (u32, u32) {
        (self.runs[run as usize], self.runs[run as usize + 1])
    }

    #[inline]
    fn bucket(&self, run: u32) -> (u32, u32) {
        let bucket = self.bucket_of[run as usize] as usize;
        (self.runs[self.buckets[bucket] as usize], self.runs[self.buckets[bucket + 1] as usize])
    }

    /// Whether a candidate from a range that is right in all else fits.
    #[inline]
    fn fits(&self, anchor: u32, candidate: u32) -> bool {
        anchor != candidate
            && self
                .rest
                .iter()
                .all(|column| column.codes[anchor as usize] != column.codes[candidate as usize])
    }

    #[inline]
    fn draw(&self, anchor: u32, stream: &mut Stream, counts: &Counts) -> u32 {
        let run = self.run_of[anchor as usize];
        let (bucket, own) = (self.bucket(run), self.run(run));
        let size = bucket.1 - bucket.0;
        let one = |stream: &mut Stream| {
            if self.apart {
                // Uniform over the bucket without the anchor's stretch.
                let at = bucket.0 + stream.below32(size - (own.1 - own.0));
                self.members[(if own.0 <= at { at + (own.1 - own.0) } else { at }) as usize]
            } else {
                // Uniform over the bucket without its last member, which stands in for the anchor.
                let drawn = self.members[(bucket.0 + stream.below32(size - 1)) as usize];
                if drawn == anchor { self.members[bucket.1 as usize - 1] } else { drawn }
            }
        };
        if self.rest.is_empty() {
            return one(stream);
        }
        let fits = |candidate: u32| self.fits(anchor, candidate).then_some(candidate);
        if let Some(candidate) = counts.tried(|| fits(one(stream))) {
            return candidate;
        }
        let nth = stream.below32(self.fitting(anchor as usize)) as usize;
        let (before, after) = if self.apart { (own.0, own.1) } else { (bucket.1, bucket.1) };
        (bucket.0..before)
            .chain(after..bucket.1)
            .map(|at| self.members[at as usize])
            .filter(|&candidate| self.fits(anchor, candidate))
            .nth(nth)
            .expect("as many samples fit as were counted")
    }

    /// Draws a run of the bucket that has a sample that fits, then one of those that fit.
    fn draw_by_group(&self, anchor: u32, stream: &mut Stream, counts: &Counts) -> u32 {
        let own = self.run_of[anchor as usize];
        let bucket = self.bucket_of[own as usize] as usize;
        let (first, end) = (self.buckets[bucket], self.buckets[bucket + 1]);
        let (start, stop) = self.run(own);
        // The anchor's own run is out if it must be, or if there is nobody else in it.
        let apart = self.apart || stop - start == 1;
        let fits_of = |run: u32| {
            let (start, stop) = self.run(run);
            (start..stop).map(|at| self.members[at as usize]).filter(|&one| self.fits(anchor, one))
        };
        for _ in 0..TRIES {
            let run = if apart {
                let run = first + stream.below32(end - first - 1);
                if own <= run { run + 1 } else { run }
            } else {
                first + stream.below32(end - first)
            };
            let (start, stop) = self.run(run);
            let found = counts.tried(|| {
                let candidate = self.members[(start + stream.below32(stop - start)) as usize];
                self.fits(anchor, candidate).then_some(candidate)
            });
            if let Some(candidate) = found {
                return candidate;
            }
            let fit = fits_of(run).count();
            if 0 < fit {
                let nth = stream.below32(fit as u32) as usize;
                return fits_of(run).nth(nth).expect("as many samples fit as were counted");
            }
        }
        counts.listed();
        let runs: Vec<u32> =
            (first..end).filter(|&run| (run != own || !apart) && fits_of(run).next().is_some()).collect();
        let run = runs[stream.below32(runs.len() as u32) as usize];
        let nth = stream.below32(fits_of(run).count() as u32) as usize;
        fits_of(run).nth(nth).expect("as many samples fit as were counted")
    }
}

/// Sorts samples by their codes, keeping the order of equals.
fn sorted(samples: &[u32], codes: &[u32], count: usize) -> Vec<u32> {
    let mut starts = vec![0_u32; count + 1];
    for &sample in samples {
        starts[codes[sample as usize] as usize + 1] += 1;
    }
    for code in 0..count {
        starts[code + 1] += starts[code];
    }
    let mut out = vec![0; samples.len()];
    for &sample in samples {
        let at = &mut starts[codes[sample as usize] as usize];
        out[*at as usize] = sample;
        *at += 1;
    }
    out
}

/// Counts the samples that fit each: of those in its bucket, those that differ in every fact, by inclusion and exclusion
/// over the facts in which they are equal.
fn fitting(
    samples: usize,
    same: &[Arc<Column>],
    different: &[Arc<Column>],
    known: &[Arc<Column>],
) -> Vec<u32> {
    // A fact that is missing somewhere takes the sample out of every count.
    let complete: Vec<bool> =
        (0..samples).map(|index| known.iter().all(|column| column.codes[index] != NONE)).collect();
    let mut counts = vec![0_i64; samples];
    for subset in 0..1_u32 << different.len() {
        let equal =
            different.iter().enumerate().filter(|(at, _)| subset >> at & 1 == 1).map(|(_, column)| column);
        let key = Key::of(same.iter().chain(equal).map(AsRef::as_ref));
        let sign = if subset.count_ones() % 2 == 0 { 1 } else { -1 };
        let everybody = complete.iter().filter(|complete| **complete).count() as i64;
        let sizes = key.as_ref().map(|key| {
            let mut sizes = vec![0_i64; key.count];
            for index in (0..samples).filter(|&index| complete[index]) {
                sizes[key.codes[index] as usize] += 1;
            }
            sizes
        });
        for index in (0..samples).filter(|&index| complete[index]) {
            counts[index] += sign
                * match (&key, &sizes) {
                    (Some(key), Some(sizes)) => sizes[key.codes[index] as usize],
                    _ => everybody,
                };
        }
    }
    counts.into_iter().map(|count| count as u32).collect()
}
