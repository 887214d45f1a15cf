//! Which two samples go together, in words.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::facts::{CLASS, INDEX};

/// Which two samples go together: facts in which they are the same, and facts in which they differ.
///
/// The facts are those of the data set, and two more: `class` is the class of a sample, `index` the sample itself. Two
/// samples are never the same one unless `same` has `index`: then a sample is paired with itself, for two views of it.
/// A sample that lacks a fact of the rule takes no part in it.
///
/// ```
/// use batchwright_pairs::Rule;
/// // Another visit of the same patient.
/// let positive = Rule::same(["patient"]).differing(["visit"]);
/// // Another patient of the same site.
/// let negative = Rule::different(["patient"]).matching(["site"]);
/// assert_eq!(negative.to_string(), "same site, different patient");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Rule {
    /// The facts that both samples have in common, as in `[patient]`; `class` is the class, `index` the sample itself.
    /// Default: none.
    #[serde(default)]
    pub same: Vec<String>,
    /// The facts in which the two samples differ, as in `[visit]`. Default: none.
    #[serde(default)]
    pub different: Vec<String>,
}

impl Rule {
    /// Pairs samples that are the same in these facts.
    pub fn same<S: Into<String>>(facts: impl IntoIterator<Item = S>) -> Self {
        Self::default().matching(facts)
    }

    /// Pairs samples that differ in these facts.
    pub fn different<S: Into<String>>(facts: impl IntoIterator<Item = S>) -> Self {
        Self::default().differing(facts)
    }

    /// Adds facts that both have in common.
    #[must_use]
    pub fn matching<S: Into<String>>(mut self, facts: impl IntoIterator<Item = S>) -> Self {
        self.same.extend(facts.into_iter().map(Into::into));
        self
    }

    /// Adds facts in which both differ.
    #[must_use]
    pub fn differing<S: Into<String>>(mut self, facts: impl IntoIterator<Item = S>) -> Self {
        self.different.extend(facts.into_iter().map(Into::into));
        self
    }

    /// Returns whether it pairs a sample with itself.
    pub(crate) fn is_itself(&self) -> bool {
        self.same.iter().any(|name| name == INDEX)
    }

    /// Returns the default rule of positives: the same class.
    pub(crate) fn same_class() -> Self {
        Self::same([CLASS])
    }

    /// Returns the default rule of negatives: another class.
    pub(crate) fn other_class() -> Self {
        Self::different([CLASS])
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |word: &str, facts: &[String]| {
            if facts.is_empty() { None } else { Some(format!("{word} {}", facts.join(" and "))) }
        };
        let parts: Vec<String> =
            [part("same", &self.same), part("different", &self.different)].into_iter().flatten().collect();
        f.write_str(if parts.is_empty() { "any other" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}

/// How partners are drawn among those that a rule allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Draw {
    /// Every sample that the rule allows is as likely as every other.
    #[default]
    Uniform,
    /// Every class that has such a sample is as likely as every other, then every such sample in it.
    ByClass,
}
