//! Why samples cannot be paired.

use std::fmt;
use std::io;
use std::path::PathBuf;

use batchwright_core::BoxError;

use crate::rule::Rule;

/// Which rule an error speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Side {
    /// A rule used by itself.
    Rule,
    /// The rule of positives.
    Positive,
    /// The rule of negatives.
    Negative,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rule => "the rule",
            Self::Positive => "the rule of positives",
            Self::Negative => "the rule of negatives",
        })
    }
}

/// A place in a list: the file and the line, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The file, or what stands for it.
    pub path: PathBuf,
    /// The line.
    pub line: u64,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}", self.path.display(), self.line)
    }
}

/// Why samples cannot be paired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no sample.
    #[error("there is no sample to pair")]
    Empty,
    /// More samples than indices of 32 bits.
    #[error("there are {samples} samples; pairs are drawn among fewer than 4294967295")]
    TooMany {
        /// How many there are.
        samples: usize,
    },
    /// A fact has another number of values than there are samples.
    #[error("the fact `{name}` has {found} values for {samples} samples")]
    FactLength {
        /// The fact.
        name: String,
        /// Its values.
        found: usize,
        /// The samples.
        samples: usize,
    },
    /// A fact was given twice.
    #[error(
        "the fact `{name}` is there already (`class` is the class of a sample, `index` the sample itself)"
    )]
    FactTwice {
        /// The fact.
        name: String,
    },
    /// The one number that cannot be a value.
    #[error(
        "`{name}` of sample {index} is 4294967295, which stands for a missing value; give another number"
    )]
    FactNumber {
        /// The fact.
        name: String,
        /// The sample.
        index: usize,
    },
    /// A rule names a fact that samples do not have.
    #[error("{side} names `{fact}`, which samples do not have; they have {known}")]
    UnknownFact {
        /// Which rule.
        side: Side,
        /// What it names.
        fact: String,
        /// What there is.
        known: String,
    },
    /// A rule asks for a fact to be the same and different.
    #[error("{side} ({rule}) contradicts itself: two samples that are the same so cannot differ in `{fact}`")]
    Contradiction {
        /// Which rule.
        side: Side,
        /// The rule.
        rule: Rule,
        /// The fact.
        fact: String,
    },
    /// A rule asks for too many facts to differ at once.
    #[error(
        "{side} asks for {found} facts to differ at once, of which none decides another; at most {most} can"
    )]
    ManyDifferent {
        /// Which rule.
        side: Side,
        /// How many it asks for.
        found: usize,
        /// How many can be.
        most: usize,
    },
    /// A rule allows no two samples.
    #[error("{side} ({rule}) pairs nothing: {steps}")]
    NoPartner {
        /// Which rule.
        side: Side,
        /// The rule.
        rule: String,
        /// How far each part of it gets.
        steps: String,
    },
    /// No sample has both a positive and a negative.
    #[error(
        "no sample has both a positive and a negative: of {samples} samples {positive} have a positive and \
         {negative} a negative"
    )]
    NoAnchor {
        /// How many samples there are.
        samples: usize,
        /// How many have a positive.
        positive: usize,
        /// How many have a negative.
        negative: usize,
    },
    /// Two samples are a positive and a negative at once.
    #[error(
        "the rules of positives ({positive}) and of negatives ({negative}) allow the same pair, as samples {a} and {b}: \
         it would be a false negative; let negatives differ in what positives share"
    )]
    Overlap {
        /// The rule of positives.
        positive: String,
        /// The rule of negatives.
        negative: String,
        /// A sample.
        a: usize,
        /// Another.
        b: usize,
    },
    /// The two relations are about different numbers of samples.
    #[error("positives are drawn among {positive} samples, negatives among {negative}")]
    Relations {
        /// The samples of the one.
        positive: usize,
        /// The samples of the other.
        negative: usize,
    },
    /// A share of positives that is none.
    #[error("the share of positives is {found}; it must be from 0 to 1")]
    Positives {
        /// What was given.
        found: f64,
    },
    /// A setting is out of its range.
    #[error("{what} is {found}; it must be {expected}")]
    Setting {
        /// Which setting.
        what: &'static str,
        /// What was given.
        found: String,
        /// What can be.
        expected: String,
    },
    /// Batches of classes were asked of samples without classes.
    #[error("batches of classes need a class for every sample; sample {index} has none")]
    NoClass {
        /// The first sample without one.
        index: usize,
    },
    /// Classes have a single sample, where each must have two.
    #[error(
        "{count} classes have a single sample, as {examples}; a batch takes two samples or more of each class. Exclude \
         them by choice (`singletons: exclude`), or give them more samples"
    )]
    Singletons {
        /// How many.
        count: usize,
        /// The first ones.
        examples: String,
    },
    /// Fewer classes than a batch takes.
    #[error("a batch takes {wanted} classes{of}, and there are {found}")]
    FewClasses {
        /// How many a batch takes.
        wanted: usize,
        /// Of which super-class, if any.
        of: String,
        /// How many there are.
        found: usize,
    },
    /// Fewer super-classes than a batch takes classes of.
    #[error("a batch takes classes of {wanted} different `{fact}`, and there are {found}")]
    FewSuperClasses {
        /// The fact that names super-classes.
        fact: String,
        /// How many a batch takes.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
    /// A class lies in several super-classes.
    #[error("class {class} has samples of several `{fact}`, as {first} and {second}")]
    Straddling {
        /// The class.
        class: u32,
        /// The fact that names super-classes.
        fact: String,
        /// One value.
        first: String,
        /// Another.
        second: String,
    },
    /// A class has no super-class.
    #[error("sample {index} has no `{fact}`, which batches are chosen by")]
    NoSuperClass {
        /// The sample.
        index: usize,
        /// The fact.
        fact: String,
    },
    /// The sampler is of other samples than the data set.
    #[error("pairs are drawn among {source_samples} samples, the data set has {dataset}")]
    Samples {
        /// Among how many.
        source_samples: usize,
        /// How many there are.
        dataset: usize,
    },
    /// The fields of a data set make no pair.
    #[error("the fields of the data set make no pair")]
    Fields {
        /// Why.
        source: BoxError,
    },
    /// A list could not be read.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A list has other columns than it should.
    #[error("{}: the columns are {found}; expected {expected}", path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// What there is.
        found: String,
        /// What should be there.
        expected: &'static str,
    },
    /// A line of a list cannot be read.
    #[error("{at}: expected {expected}, found {found}")]
    Malformed {
        /// Where.
        at: Line,
        /// What should stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A line names a sample that there is not.
    #[error("{at}: there is no sample `{found}`{hint}")]
    UnknownSample {
        /// Where.
        at: Line,
        /// What it names.
        found: String,
        /// What names look like.
        hint: String,
    },
    /// A line pairs a sample with itself.
    #[error("{at}: sample `{id}` stands with itself")]
    Itself {
        /// Where.
        at: Line,
        /// The sample.
        id: String,
    },
    /// Two lines say different things of one pair.
    #[error(
        "{at}: `{a}` and `{b}` are {}the same, which line {before} says otherwise", if *same { "" } else { "not " }
    )]
    Disagreeing {
        /// The later line.
        at: Line,
        /// The earlier line.
        before: u64,
        /// One sample.
        a: String,
        /// The other.
        b: String,
        /// What the later line says.
        same: bool,
    },
    /// A list has no line.
    #[error("{}: the list is empty", path.display())]
    EmptyList {
        /// The file.
        path: PathBuf,
    },
    /// Samples are named by ids that are not unique.
    #[error("samples {first} and {second} are both named `{id}`; name samples by index")]
    SameId {
        /// The name.
        id: String,
        /// One sample.
        first: usize,
        /// Another.
        second: usize,
    },
}
