//! Classes and facts of samples, as dense numbers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use batchwright_core::{Dataset, Fingerprint};

use crate::error::Error;

/// The code of a fact that a sample does not have.
pub(crate) const NONE: u32 = u32::MAX;
/// The fact that is the class.
pub(crate) const CLASS: &str = "class";
/// The fact that is the sample itself.
pub(crate) const INDEX: &str = "index";

/// What samplers of pairs know of samples: the class and any facts by name (`patient`, `visit`, `site`), never the samples
/// themselves.
///
/// Each fact takes four bytes a sample. Two names are given: `class` is the class of a sample, `index` the sample itself.
/// A sample may lack a fact, and is then left out by rules that name it.
///
/// ```
/// use batchwright_pairs::Facts;
/// let facts = Facts::new(&[0, 0, 1, 1])?
///     .with("patient", ["ann", "ann", "bob", "cy"])?
///     .with_optional("site", [Some("x"), Some("y"), None, Some("x")])?;
/// assert_eq!(facts.names(), ["class", "patient", "site"]);
/// assert_eq!(facts.value("site", 1).as_deref(), Some("y"));
/// # Ok::<(), batchwright_pairs::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Facts {
    samples: usize,
    columns: BTreeMap<String, Arc<Column>>,
}

/// One fact of all samples. Invariant: each code is below the number of values or [`NONE`], and every value has a sample.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) codes: Vec<u32>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Numbers(Vec<u32>),
    Texts(Vec<String>),
}

impl Facts {
    /// Takes the class of each sample.
    ///
    /// # Errors
    /// Refuses no samples, 2^32 - 1 or more, and the class 2^32 - 1.
    pub fn new(classes: &[u32]) -> Result<Self, Error> {
        let mut facts = Self::unlabelled(classes.len())?;
        facts.put_classes(classes.iter().map(|&class| Some(class)))?;
        Ok(facts)
    }

    /// Counts samples without classes, to which facts can be added.
    ///
    /// # Errors
    /// Refuses no samples, and 2^32 - 1 or more.
    pub fn unlabelled(samples: usize) -> Result<Self, Error> {
        Ok(Self { samples: check_samples(samples)?, columns: BTreeMap::new() })
    }

    /// Asks a data set for the class and the facts of every sample. Reads no sample.
    ///
    /// # Errors
    /// As [`Facts::new`].
    pub fn of(dataset: &(impl Dataset + ?Sized)) -> Result<Self, Error> {
        let mut facts = Self::unlabelled(dataset.len())?;
        if (0..dataset.len()).any(|index| dataset.class(index).is_some()) {
            facts.put_classes((0..dataset.len()).map(|index| dataset.class(index)))?;
        }
        for name in dataset.facts() {
            // These two are the class and the sample, whatever a data set calls so.
            if name != CLASS && name != INDEX {
                let values = (0..dataset.len()).map(|index| dataset.fact(index, &name));
                facts = facts.with_optional(&name, values)?;
            }
        }
        Ok(facts)
    }

    /// Adds a fact that every sample has.
    ///
    /// # Errors
    /// Refuses another number of values than samples, and a name that is taken.
    pub fn with<V: AsRef<str>>(self, name: &str, values: impl IntoIterator<Item = V>) -> Result<Self, Error> {
        self.with_optional(name, values.into_iter().map(Some))
    }

    /// Adds a fact that some samples do not have.
    ///
    /// # Errors
    /// As [`Facts::with`].
    pub fn with_optional<V: AsRef<str>>(
        self,
        name: &str,
        values: impl IntoIterator<Item = Option<V>>,
    ) -> Result<Self, Error> {
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        let mut codes = Vec::with_capacity(self.samples);
        for value in values {
            let Some(value) = value else {
                codes.push(NONE);
                continue;
            };
            let next = seen.len() as u32;
            codes.push(match seen.get(value.as_ref()) {
                Some(&code) => code,
                None => *seen.entry(value.as_ref().to_owned()).or_insert(next),
            });
        }
        // Numbered anew in the order of the values, so that no number depends on which sample came first.
        let mut rank = vec![0; seen.len()];
        for (nth, &code) in seen.values().enumerate() {
            rank[code as usize] = nth as u32;
        }
        for code in codes.iter_mut().filter(|code| **code != NONE) {
            *code = rank[*code as usize];
        }
        self.put(name, Column { codes, values: Values::Texts(seen.into_keys().collect()) })
    }

    /// Adds a fact whose values are numbers; cheaper than text for many samples.
    ///
    /// # Errors
    /// As [`Facts::with`]; refuses the number 2^32 - 1.
    pub fn with_numbers(self, name: &str, values: &[u32]) -> Result<Self, Error> {
        let column = Column::of_numbers(name, values.iter().map(|&value| Some(value)))?;
        self.put(name, column)
    }

    /// Adds a fact that the class decides: its super-class, as the alphabet of a letter. `None` where it has none.
    ///
    /// # Errors
    /// As [`Facts::with`].
    pub fn with_super_class<V: AsRef<str>>(
        self,
        name: &str,
        mut of: impl FnMut(u32) -> Option<V>,
    ) -> Result<Self, Error> {
        let names: Vec<Option<String>> = match self.columns.get(CLASS).map(|column| &column.values) {
            Some(Values::Numbers(classes)) => {
                classes.iter().map(|&class| of(class).map(|name| name.as_ref().to_owned())).collect()
            }
            _ => Vec::new(),
        };
        let codes = self.columns.get(CLASS).map(Arc::clone);
        let values = (0..self.samples).map(|index| {
            let code = codes.as_ref()?.codes[index];
            names.get(code as usize)?.as_deref()
        });
        let values: Vec<Option<&str>> = values.collect();
        self.with_optional(name, values)
    }

    /// Returns the number of samples.
    #[expect(clippy::len_without_is_empty, reason = "there are no facts of no samples")]
    pub fn len(&self) -> usize {
        self.samples
    }

    /// Returns the names of the facts, `class` among them where samples have classes; without `index`.
    pub fn names(&self) -> Vec<&str> {
        self.columns.keys().map(String::as_str).collect()
    }

    /// Returns the class of a sample, if it has one.
    ///
    /// # Panics
    /// Panics if there is no such sample.
    pub fn class(&self, index: usize) -> Option<u32> {
        assert!(index < self.samples, "sample {index} of {}", self.samples);
        let column = self.columns.get(CLASS)?;
        column.number(column.codes[index])
    }

    /// Returns a fact of a sample as text, if it has it.
    ///
    /// # Panics
    /// Panics if there is no such sample.
    pub fn value(&self, name: &str, index: usize) -> Option<String> {
        assert!(index < self.samples, "sample {index} of {}", self.samples);
        if name == INDEX {
            return Some(index.to_string());
        }
        let column = self.columns.get(name)?;
        column.name(column.codes[index])
    }

    /// Returns a digest of the facts of these names.
    pub fn fingerprint<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Fingerprint {
        let mut print = Fingerprint::default().with("samples", self.samples);
        for name in names {
            if let Some(column) = self.columns.get(name) {
                print = column.join(print, name);
            }
        }
        print
    }

    pub(crate) fn column(&self, name: &str) -> Option<&Arc<Column>> {
        self.columns.get(name)
    }

    /// Names what rules can speak of, for an error.
    pub(crate) fn known(&self) -> String {
        let mut names: Vec<String> = self.columns.keys().map(|name| format!("`{name}`")).collect();
        names.push(format!("`{INDEX}`"));
        names.join(", ")
    }

    fn put_classes(&mut self, classes: impl Iterator<Item = Option<u32>>) -> Result<(), Error> {
        self.columns.insert(CLASS.to_owned(), Arc::new(Column::of_numbers(CLASS, classes)?));
        Ok(())
    }

    fn put(mut self, name: &str, column: Column) -> Result<Self, Error> {
        if column.codes.len() != self.samples {
            let (name, found) = (name.to_owned(), column.codes.len());
            return Err(Error::FactLength { name, found, samples: self.samples });
        }
        if name == INDEX || name == CLASS || self.columns.contains_key(name) {
            return Err(Error::FactTwice { name: name.to_owned() });
        }
        self.columns.insert(name.to_owned(), Arc::new(column));
        Ok(self)
    }
}

impl Column {
    fn of_numbers(name: &str, values: impl Iterator<Item = Option<u32>>) -> Result<Self, Error> {
        let mut codes = Vec::with_capacity(values.size_hint().0);
        for (index, value) in values.enumerate() {
            if value == Some(NONE) {
                return Err(Error::FactNumber { name: name.to_owned(), index });
            }
            codes.push(value.unwrap_or(NONE));
        }
        let values = dense(&mut codes);
        Ok(Self { codes, values: Values::Numbers(values) })
    }

    /// Returns how many values there are.
    pub(crate) fn count(&self) -> usize {
        match &self.values {
            Values::Numbers(values) => values.len(),
            Values::Texts(values) => values.len(),
        }
    }

    /// Returns the number that a code stands for.
    pub(crate) fn number(&self, code: u32) -> Option<u32> {
        match &self.values {
            Values::Numbers(values) => values.get(code as usize).copied(),
            Values::Texts(_) => None,
        }
    }

    /// Returns the value of a code.
    pub(crate) fn name(&self, code: u32) -> Option<String> {
        match &self.values {
            Values::Numbers(values) => values.get(code as usize).map(u32::to_string),
            Values::Texts(values) => values.get(code as usize).cloned(),
        }
    }

    /// Adds digests of codes and values to a fingerprint.
    fn join(&self, print: Fingerprint, name: &str) -> Fingerprint {
        let bytes = |part: &[u32]| part.iter().flat_map(|code| code.to_le_bytes()).collect::<Vec<u8>>();
        let print = print.with_digest(&format!("{name}.codes"), self.codes.chunks(4096).map(bytes));
        let values = format!("{name}.values");
        match &self.values {
            Values::Numbers(numbers) => {
                print.with_digest(&values, numbers.iter().map(|number| number.to_le_bytes()))
            }
            Values::Texts(texts) => print.with_digest(&values, texts),
        }
    }
}

/// Refuses no samples, and more than 32 bits can count.
pub(crate) fn check_samples(samples: usize) -> Result<usize, Error> {
    match samples {
        0 => Err(Error::Empty),
        _ if samples < NONE as usize => Ok(samples),
        _ => Err(Error::TooMany { samples }),
    }
}

/// Replaces numbers by their ranks among the different ones, which are returned; [`NONE`] stays.
fn dense(numbers: &mut [u32]) -> Vec<u32> {
    let most = numbers.iter().copied().filter(|&number| number != NONE).max();
    let Some(most) = most else { return Vec::new() };
    if (most as usize) < 4 * numbers.len() + 1024 {
        let mut ranks = vec![NONE; most as usize + 1];
        for &number in numbers.iter().filter(|number| **number != NONE) {
            ranks[number as usize] = 0;
        }
        let mut values = Vec::new();
        for (number, rank) in ranks.iter_mut().enumerate().filter(|(_, rank)| **rank == 0) {
            *rank = values.len() as u32;
            values.push(number as u32);
        }
        for number in numbers.iter_mut().filter(|number| **number != NONE) {
            *number = ranks[*number as usize];
        }
        values
    } else {
        let mut values: Vec<u32> = numbers.iter().copied().filter(|&number| number != NONE).collect();
        values.sort_unstable();
        values.dedup();
        for number in numbers.iter_mut().filter(|number| **number != NONE) {
            *number = values.binary_search(number).expect("every number is among the values") as u32;
        }
        values
    }
}

/// A number for each sample such that two are equal where all given facts are. [`NONE`] where one is missing.
#[derive(Clone, Debug)]
pub(crate) struct Key<'a> {
    pub(crate) codes: Cow<'a, [u32]>,
    pub(crate) count: usize,
}

impl<'a> Key<'a> {
    /// Returns the key of some facts; `None` of none.
    pub(crate) fn of(columns: impl IntoIterator<Item = &'a Column>) -> Option<Self> {
        let mut columns = columns.into_iter();
        let first = columns.next()?;
        let key = Self { codes: Cow::Borrowed(&first.codes), count: first.count() };
        Some(columns.fold(key, |key, column| key.and(column)))
    }

    /// Returns the key that knows one more fact.
    fn and(&self, column: &Column) -> Self {
        let (n, other) = (self.codes.len(), column.count() as u64);
        let pair = |index: usize| {
            let (a, b) = (self.codes[index], column.codes[index]);
            (a != NONE && b != NONE).then(|| u64::from(a) * other + u64::from(b))
        };
        let most = self.count as u64 * other;
        if most < 4 * n as u64 + 1024 {
            let mut ranks = vec![NONE; most as usize];
            for at in (0..n).filter_map(pair) {
                ranks[at as usize] = 0;
            }
            let mut count = 0;
            for rank in ranks.iter_mut().filter(|rank| **rank == 0) {
                *rank = count;
                count += 1;
            }
            let codes: Vec<u32> =
                (0..n).map(|index| pair(index).map_or(NONE, |at| ranks[at as usize])).collect();
            Self { codes: codes.into(), count: count as usize }
        } else {
            let mut values: Vec<u64> = (0..n).filter_map(pair).collect();
            values.sort_unstable();
            values.dedup();
            let rank = |at: u64| values.binary_search(&at).expect("every pair is among the values") as u32;
            let codes: Vec<u32> = (0..n).map(|index| pair(index).map_or(NONE, rank)).collect();
            Self { codes: codes.into(), count: values.len() }
        }
    }
}

/// Returns whether samples that are equal in `a` are equal in `b`, as far as both are known.
pub(crate) fn determines(a: &Column, b: &Column) -> bool {
    let mut of = vec![NONE; a.count()];
    a.codes.iter().zip(&b.codes).all(|(&a, &b)| {
        if a == NONE || b == NONE {
            return true;
        }
        let known = &mut of[a as usize];
        if *known == NONE {
            *known = b;
        }
        *known == b
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_ranks_whether_near_or_far_apart() {
        for far in [1, 100_000] {
            let mut numbers: Vec<u32> =
                [7, NONE, 3, 7, 9].iter().map(|n: &u32| n.saturating_mul(far)).collect();
            assert_eq!(dense(&mut numbers), [3 * far, 7 * far, 9 * far]);
            assert_eq!(numbers, [1, NONE, 0, 1, 2]);
        }
    }

    #[test]
    fn values_do_not_depend_on_which_sample_comes_first() {
        let a = Facts::new(&[4, 4, 9]).unwrap().with("p", ["x", "y", "x"]).unwrap();
        let b = Facts::new(&[4, 4, 9]).unwrap().with("p", ["y", "x", "y"]).unwrap();
        assert_eq!(a.column("p").unwrap().codes, [0, 1, 0]);
        assert_eq!(b.column("p").unwrap().codes, [1, 0, 1]);
        assert_ne!(a.fingerprint(["p"]), b.fingerprint(["p"]));
        assert_eq!(a.fingerprint(["class"]), b.fingerprint(["class"]));
        assert_eq!((a.class(2), a.value("index", 2)), (Some(9), Some("2".to_owned())));
    }

    #[test]
    fn a_super_class_is_a_fact_that_the_class_decides() {
        let facts = Facts::new(&[10, 20, 11])
            .unwrap()
            .with_super_class("ten", |class| (class < 20).then(|| format!("from {}", class / 10 * 10)))
            .unwrap();
        let values: Vec<_> = (0..3).map(|index| facts.value("ten", index)).collect();
        assert_eq!(values, [Some("from 10".to_owned()), None, Some("from 10".to_owned())]);
        assert!(determines(facts.column("class").unwrap(), facts.column("ten").unwrap()));
        assert!(!determines(facts.column("ten").unwrap(), facts.column("class").unwrap()));
    }

    #[test]
    fn keys_of_several_facts_are_equal_where_all_are() {
        for far in [1_u32, 4_000_000] {
            let facts = Facts::unlabelled(6)
                .unwrap()
                .with_numbers("a", &[0, 0, far, far, 0, far])
                .unwrap()
                .with_optional("b", [Some("x"), Some("y"), Some("x"), Some("x"), None, Some("y")])
                .unwrap();
            let key = Key::of(["a", "b"].map(|name| &**facts.column(name).unwrap())).unwrap();
            assert_eq!((key.count, &*key.codes), (4, &[0, 1, 2, 2, NONE, 3][..]));
        }
    }

    #[test]
    fn facts_that_cannot_be_say_why() {
        assert_eq!(Facts::new(&[]).unwrap_err().to_string(), "there is no sample to pair");
        let facts = || Facts::new(&[0, 1]).unwrap();
        assert_eq!(
            facts().with("site", ["a"]).unwrap_err().to_string(),
            "the fact `site` has 1 values for 2 samples"
        );
        assert_eq!(
            facts().with("class", ["a", "b"]).unwrap_err().to_string(),
            "the fact `class` is there already (`class` is the class of a sample, `index` the sample itself)"
        );
        assert_eq!(
            Facts::new(&[0, NONE]).unwrap_err().to_string(),
            "`class` of sample 1 is 4294967295, which stands for a missing value; give another number"
        );
    }
}
