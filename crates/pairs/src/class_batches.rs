//! Batches of P classes with K samples each.

use std::fmt;
use std::sync::Arc;

use batchwright_core::{Coverage, Fingerprint, Name, Order, Sampler, Stream};
use serde::{Deserialize, Serialize};

use crate::deal::{Deal, Dealt, Names};
use crate::error::Error;
use crate::facts::{Facts, NONE};

const SHUFFLE: Name = Name::new("order/class_batches/samples");
const TURN: Name = Name::new("order/class_batches/turn");
/// The groups of P classes (over S super-classes, of P / S) within one super-class.
const INNER: Names = Names {
    kinds: Name::new("order/class_batches/classes"),
    rows: Name::new("order/class_batches/groups"),
    mix: Name::new("order/class_batches/classes/mix"),
};
/// The super-classes of a batch.
const OUTER: Names = Names {
    kinds: Name::new("order/class_batches/super"),
    rows: Name::new("order/class_batches/batches"),
    mix: Name::new("order/class_batches/super/mix"),
};

/// What batches of classes are made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct ClassBatchOptions {
    /// How many different classes a batch has (P), 2 or more.
    #[cfg_attr(feature = "schema", schemars(range(min = 2)))]
    pub classes: usize,
    /// How many samples of each (K), 2 or more. The batch size is `classes` x `samples`.
    #[cfg_attr(feature = "schema", schemars(range(min = 2)))]
    pub samples: usize,
    /// What happens to classes with a single sample: `error` or `exclude`. Default: `error`.
    #[serde(default)]
    pub singletons: Singletons,
    /// Take the classes of a batch from few super-classes, so that they are harder to tell apart. Default: from all.
    #[serde(default)]
    pub within: Option<Within>,
}

/// From how many super-classes the classes of a batch are taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Within {
    /// The fact that names the super-class, as in `alphabet`; the same for all samples of a class.
    pub fact: String,
    /// From how many super-classes, each giving as many classes; `classes` must be a multiple. Default: 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    #[serde(default = "one")]
    pub groups: usize,
}

fn one() -> usize {
    1
}

/// What happens to classes with a single sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Singletons {
    /// They are an error.
    #[default]
    Error,
    /// They do not come at all.
    Exclude,
}

impl ClassBatchOptions {
    /// Takes `classes` classes with `samples` samples each.
    pub fn new(classes: usize, samples: usize) -> Self {
        Self { classes, samples, singletons: Singletons::Error, within: None }
    }
}

/// How often samples of classes come in an epoch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassReport {
    /// The batches of an epoch.
    pub batches: u64,
    /// The positions of an epoch: batches x P x K.
    pub positions: u64,
    /// The samples that come, each at least once.
    pub samples: u64,
    /// The samples of classes that have no other, which do not come by choice.
    pub excluded: u64,
    /// The classes that come.
    pub classes: usize,
    /// How often a sample comes on average: positions / samples.
    pub mean_repeats: f64,
    /// How often a sample of each class comes on average, in the order of the classes.
    pub repeats: Vec<ClassRepeats>,
}

/// How often the samples of one class come in an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ClassRepeats {
    /// The class.
    pub class: u32,
    /// Its samples.
    pub samples: u64,
    /// The batches that it is in.
    pub batches: u64,
    /// How often a sample of it comes on average; each comes this often, rounded down or up.
    pub repeats: f64,
    /// Whether it has fewer samples than a batch takes of a class, so that samples come twice in one batch.
    pub doubles: bool,
}

impl fmt::Display for ClassReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} batches an epoch; {} samples of {} classes come {:.2} times on average",
            self.batches, self.samples, self.classes, self.mean_repeats
        )?;
        let most =
            self.repeats.iter().max_by(|a, b| a.repeats.total_cmp(&b.repeats).then(b.class.cmp(&a.class)));
        if let Some(most) = most {
            write!(
                f,
                ", those of class {} ({} samples) {:.2} times",
                most.class, most.samples, most.repeats
            )?;
        }
        let doubles = self.repeats.iter().filter(|class| class.doubles).count();
        if 0 < doubles {
            write!(f, "; classes smaller than their share of a batch, which repeat within it: {doubles}")?;
        }
        if 0 < self.excluded {
            write!(f, "; samples alone in their class, which are left out: {}", self.excluded)?;
        }
        Ok(())
    }
}

/// Batches of P classes with K samples each, as an order of samples: a core [`Sampler`].
///
/// Position p lies in batch p / (P K), so the batch size must be [`batch_size`](Self::batch_size); an epoch is whole
/// batches. In a batch the samples of one class stand side by side.
///
/// - The classes of a batch are different; the samples of one class too, if it has K or more.
/// - Every sample comes at least once an epoch. An epoch is as short as that allows: its batches are the most groups of K
///   that a class has, or all groups by P, whichever is more. Places that are over are given to the classes whose samples
///   have come least, so that nothing repeats more than it must. [`report`](Self::report) says how often.
/// - Two samples of one class come equally often, to one.
/// - By choice the classes of a batch come from one super-class, or from a number of them, as many from each.
///
/// A function of (seed, epoch). An epoch takes four bytes a sample, and is ready after one pass over them; a batch of it, any,
/// takes the time of its block of 256 batches at first, and nearly none after that.
///
/// The order within a class is that of one shuffle an epoch, gone through from the front, K samples at a time, and round
/// again. Where the class has been gone through so often that groups would come again as they were (after K / gcd(K, size)
/// passes), the next turn mixes the places of the shuffle anew.
///
/// ```
/// use batchwright_core::{LastBatch, Plan, Rank, Uneven};
/// use batchwright_pairs::{ClassBatchOptions, ClassBatches, Facts};
/// let classes: Vec<u32> = (0..100).map(|index| index % 9).collect();
/// let batches = ClassBatches::new(&Facts::new(&classes)?, &ClassBatchOptions::new(4, 3))?;
/// assert_eq!(batches.report().batches, 9);
/// let size = batches.batch_size();
/// let plan = Plan::new(batches, 42, size, LastBatch::Drop, Rank::default(), Uneven::Exact)?;
/// let batch = plan.batch(0, 5);
/// let of = |place: usize| classes[batch[place].index];
/// assert!((0..4).all(|class| of(3 * class) == of(3 * class + 1) && of(3 * class) == of(3 * class + 2)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClassBatches {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    samples: u64,
    options: ClassBatchOptions,
    /// The samples that come, class after class.
    members: Vec<u32>,
    /// The classes, super-class after super-class.
    classes: Vec<Class>,
    /// The first class of each super-class, and after the last.
    supers: Vec<usize>,
    /// How the groups of each super-class are dealt.
    inner: Vec<Deal>,
    /// How super-classes are dealt to batches.
    outer: Deal,
    report: ClassReport,
    print: Fingerprint,
}

#[derive(Clone, Copy, Debug)]
struct Class {
    number: u32,
    /// Where its samples start in `members`.
    first: u32,
    size: u32,
    /// Its samples of an epoch, repeats counted.
    drawn: u64,
}

impl ClassBatches {
    /// Plans batches over the classes of `facts`.
    ///
    /// # Errors
    /// Refuses fewer than two classes or samples of each, samples without a class, fewer classes than a batch takes, and
    /// classes with a single sample unless they are excluded. With super-classes, refuses a number of them that does not
    /// share the classes of a batch equally, more than there are, one with too few classes, a class in several, and a sample
    /// in none.
    pub fn new(facts: &Facts, options: &ClassBatchOptions) -> Result<Self, Error> {
        let ClassBatchOptions { classes: width, samples: each, singletons, within } = options;
        let (width, each) = (*width, *each);
        for (what, found) in
            [("the number of classes of a batch", width), ("the samples of each class", each)]
        {
            if !(2..=u32::MAX as usize).contains(&found) {
                return Err(Error::Setting {
                    what,
                    found: found.to_string(),
                    expected: "2 or more".to_owned(),
                });
            }
        }
        let column = facts.column("class").ok_or(Error::NoClass { index: 0 })?;
        if let Some(index) = column.codes.iter().position(|&code| code == NONE) {
            return Err(Error::NoClass { index });
        }
        let mut sizes = vec![0_u32; column.count()];
        for &code in &column.codes {
            sizes[code as usize] += 1;
        }
        let number = |code: usize| column.number(code as u32).expect("classes are numbers");
        let single: Vec<usize> = (0..sizes.len()).filter(|&code| sizes[code] == 1).collect();
        if !single.is_empty() && *singletons == Singletons::Error {
            let first: Vec<String> = single.iter().take(5).map(|&code| number(code).to_string()).collect();
            return Err(Error::Singletons { count: single.len(), examples: first.join(", ") });
        }
        let groups = within.as_ref().map_or(1, |within| within.groups);
        if groups == 0 || !width.is_multiple_of(groups) {
            let expected = format!("1 or more and share {width} classes equally");
            let what = "the number of super-classes of a batch";
            return Err(Error::Setting { what, found: groups.to_string(), expected });
        }
        let super_of = match within {
            None => vec![0; sizes.len()],
            Some(within) => super_classes(facts, &within.fact)?,
        };
        // Classes in the order of their super-classes, then of their numbers; without the excluded ones.
        let mut order: Vec<usize> = (0..sizes.len()).filter(|&code| 1 < sizes[code]).collect();
        order.sort_by_key(|&code| (super_of[code], code));
        let mut rank = vec![NONE; sizes.len()];
        let mut classes = Vec::with_capacity(order.len());
        let (mut first, mut supers, mut last) = (0, Vec::new(), None);
        for (nth, &code) in order.iter().enumerate() {
            if last != Some(super_of[code]) {
                supers.push(nth);
                last = Some(super_of[code]);
            }
            rank[code] = nth as u32;
            classes.push(Class { number: number(code), first, size: sizes[code], drawn: 0 });
            first += sizes[code];
        }
        supers.push(classes.len());
        let mut places: Vec<u32> = classes.iter().map(|class| class.first).collect();
        let mut members = vec![0; first as usize];
        for (index, &code) in column.codes.iter().enumerate() {
            if let Some(place) = places.get_mut(rank[code as usize] as usize) {
                members[*place as usize] = index as u32;
                *place += 1;
            }
        }
        if classes.len() < width {
            return Err(Error::FewClasses { wanted: width, of: String::new(), found: classes.len() });
        }
        if let Some(within) = within
            && supers.len() - 1 < groups
        {
            let (fact, found) = (within.fact.clone(), supers.len() - 1);
            return Err(Error::FewSuperClasses { fact, wanted: groups, found });
        }
        let share = width / groups;
        for ends in supers.windows(2) {
            let (start, end) = (ends[0], ends[1]);
            if end - start < share {
                let of = within.as_ref().map_or_else(String::new, |within| {
                    let sample = classes.get(start).map(|class| members[class.first as usize] as usize);
                    let value = sample.and_then(|sample| facts.value(&within.fact, sample));
                    format!(" of `{}` {}", within.fact, value.unwrap_or_default())
                });
                return Err(Error::FewClasses { wanted: share, of, found: end - start });
            }
        }
        let (inner, outer) = deals(&classes, &supers, share as u64, groups as u64, each as u64)?;
        let mut repeats = Vec::with_capacity(classes.len());
        for (nth, deal) in inner.iter().enumerate() {
            for (class, &count) in classes[supers[nth]..supers[nth + 1]].iter_mut().zip(deal.counts()) {
                class.drawn = u64::from(count) * each as u64;
                repeats.push(ClassRepeats {
                    class: class.number,
                    samples: u64::from(class.size),
                    batches: u64::from(count),
                    repeats: class.drawn as f64 / f64::from(class.size),
                    doubles: (class.size as usize) < each,
                });
            }
        }
        repeats.sort_by_key(|class| class.class);
        let positions = outer.rows() * (width * each) as u64;
        let report = ClassReport {
            batches: outer.rows(),
            positions,
            samples: members.len() as u64,
            excluded: single.len() as u64,
            classes: classes.len(),
            mean_repeats: positions as f64 / members.len() as f64,
            repeats,
        };
        let names = std::iter::once("class").chain(within.iter().map(|within| within.fact.as_str()));
        let mut print = Fingerprint::default()
            .with("kind", "class batches")
            .with("classes", width)
            .with("samples", each)
            .with("singletons", format!("{singletons:?}").to_lowercase())
            .with_part("facts", &facts.fingerprint(names));
        if let Some(within) = within {
            print = print.with("within", format!("{} of {}", within.groups, within.fact));
        }
        let (samples, options) = (facts.len() as u64, options.clone());
        let shared = Shared { samples, options, members, classes, supers, inner, outer, report, print };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Returns the samples of a batch, P x K: what the batch size must be.
    pub fn batch_size(&self) -> usize {
        self.shared.options.classes * self.shared.options.samples
    }

    /// Returns how many batches there are in an epoch, and how often samples come.
    pub fn report(&self) -> &ClassReport {
        &self.shared.report
    }
}

/// Returns the code of the super-class of each class.
fn super_classes(facts: &Facts, fact: &str) -> Result<Vec<u32>, Error> {
    let classes = facts.column("class").expect("there are classes");
    let column = facts.column(fact).ok_or_else(|| Error::UnknownFact {
        side: crate::Side::Rule,
        fact: fact.to_owned(),
        known: facts.known(),
    })?;
    let mut of = vec![NONE; classes.count()];
    for (index, (&class, &group)) in classes.codes.iter().zip(&column.codes).enumerate() {
        if group == NONE {
            return Err(Error::NoSuperClass { index, fact: fact.to_owned() });
        }
        let known = &mut of[class as usize];
        if *known == NONE {
            *known = group;
        }
        if *known != group {
            let name = |code| column.name(code).unwrap_or_default();
            let class = classes.number(class).expect("classes are numbers");
            let (first, second) = (name(*known), name(group));
            return Err(Error::Straddling { class, fact: fact.to_owned(), first, second });
        }
    }
    Ok(of)
}

/// Deals groups of K within super-classes, and those to batches.
fn deals(
    classes: &[Class],
    supers: &[usize],
    share: u64,
    groups: u64,
    each: u64,
) -> Result<(Vec<Deal>, Deal), Error> {
    let of = |nth: usize| &classes[supers[nth]..supers[nth + 1]];
    let least =
        |nth: usize| of(nth).iter().map(|class| u64::from(class.size).div_ceil(each)).collect::<Vec<u64>>();
    let sizes = |nth: usize| of(nth).iter().map(|class| u64::from(class.size)).collect::<Vec<u64>>();
    let n = supers.len() - 1;
    let rows: Vec<u64> = (0..n)
        .map(|nth| Deal::new(&least(nth), &sizes(nth), share, None).map(|deal| deal.rows()))
        .collect::<Result<_, _>>()?;
    let totals: Vec<u64> = (0..n).map(|nth| sizes(nth).iter().sum()).collect();
    let outer = Deal::new(&rows, &totals, groups, None)?;
    let inner = (0..n)
        .map(|nth| Deal::new(&least(nth), &sizes(nth), share, Some(u64::from(outer.counts()[nth]))))
        .collect::<Result<_, _>>()?;
    Ok((inner, outer))
}

impl Sampler for ClassBatches {
    fn len(&self) -> u64 {
        self.shared.report.positions
    }

    fn samples(&self) -> u64 {
        self.shared.samples
    }

    fn order(&self, seed: u64, epoch: u64) -> Arc<dyn Order> {
        let shared = Arc::clone(&self.shared);
        let mut members = shared.members.clone();
        for (nth, class) in shared.classes.iter().enumerate() {
            let own = &mut members[class.first as usize..(class.first + class.size) as usize];
            Stream::new(seed, epoch, nth as u64, SHUFFLE).shuffle(own);
        }
        let inner = shared
            .inner
            .iter()
            .enumerate()
            .map(|(nth, deal)| deal.dealt(seed, epoch, nth as u64, INNER))
            .collect();
        let outer = (1 < shared.supers.len() - 1).then(|| shared.outer.dealt(seed, epoch, 0, OUTER));
        Arc::new(ClassOrder { shared, seed, epoch, members, inner, outer })
    }

    fn coverage(&self) -> Coverage {
        let ClassReport { positions, samples, .. } = self.shared.report;
        if positions == samples && samples == self.shared.samples {
            Coverage::Once
        } else {
            Coverage::Repeating
        }
    }

    fn fingerprint(&self) -> Fingerprint {
        self.shared.print.clone()
    }
}

#[derive(Debug)]
struct ClassOrder {
    shared: Arc<Shared>,
    seed: u64,
    epoch: u64,
    /// The samples, class after class, each class shuffled.
    members: Vec<u32>,
    inner: Vec<Dealt>,
    /// Where there are several super-classes.
    outer: Option<Dealt>,
}

impl Order for ClassOrder {
    fn at(&self, position: u64) -> u64 {
        let shared = &*self.shared;
        assert!(position < shared.report.positions, "position {position} of {}", shared.report.positions);
        let ClassBatchOptions { classes: width, samples: each, within, singletons: _ } = &shared.options;
        let (width, each) = (*width as u64, *each as u64);
        let (group, at) = (position / each, position % each);
        let (batch, place) = (group / width, group % width);
        let share = width / within.as_ref().map_or(1, |within| within.groups as u64);
        let (super_class, row) = match &self.outer {
            None => (0, batch),
            Some(outer) => {
                let dealt = outer.at(batch, place / share);
                (dealt.kind as usize, u64::from(dealt.nth))
            }
        };
        let dealt = self.inner[super_class].at(row, place % share);
        let nth = shared.supers[super_class] + dealt.kind as usize;
        self.member(nth, u64::from(dealt.nth) * each + at)
    }

    fn substitute(&self, stream: &mut Stream) -> u64 {
        // A class as often as it comes, then any sample of it: the sum of what is drawn is the length of the epoch.
        let mut at = stream.below(self.shared.report.positions);
        for (nth, class) in self.shared.classes.iter().enumerate() {
            match at.checked_sub(class.drawn) {
                Some(rest) => at = rest,
                None => return self.member(nth, stream.below(u64::from(class.size))),
            }
        }
        unreachable!("the classes make up the epoch")
    }
}

impl ClassOrder {
    /// Returns the sample that comes as number `drawn` of a class in this epoch.
    fn member(&self, nth: usize, drawn: u64) -> u64 {
        let class = self.shared.classes[nth];
        let (size, each) = (u64::from(class.size), self.shared.options.samples as u64);
        // After this many samples, whole passes and whole groups at once, groups would come again as they were.
        let period = size * (each / gcd(size, each));
        let (turn, at) = (drawn / period, drawn % size);
        let at = if turn == 0 {
            at
        } else {
            let key = turn * self.shared.classes.len() as u64 + nth as u64;
            turned(at as u32, class.size, &mut Stream::new(self.seed, self.epoch, key, TURN))
        };
        u64::from(self.members[class.first as usize + at as usize])
    }
}

/// Returns where place `at` of a class goes in a later turn: a permutation that is cheap to draw, of a class that is
/// shuffled already.
///
/// On the bits of an index, four times: times an odd number, plus a number, then xored with its upper half; results beyond
/// the class are sent through again.
fn turned(at: u32, size: u32, stream: &mut Stream) -> u64 {
    let bits = 32 - (size - 1).leading_zeros();
    let (mask, half) = (u32::MAX >> (32 - bits), (bits / 2).max(1));
    let rounds: [(u32, u32); 4] = std::array::from_fn(|_| (stream.bits32() | 1, stream.bits32()));
    let mut x = at;
    loop {
        for (times, plus) in rounds {
            x = x.wrapping_mul(times).wrapping_add(plus) & mask;
            x ^= x >> half;
        }
        if x < size {
            return u64::from(x);
        }
    }
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
