//! What was asked for and could not be had, counted.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::fraction::Fraction;
use super::place::Place;

/// Why a patch does not lie where the sampler would have laid it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// The class that was drawn is not in the volume; the patch went to the others, in proportion to their ratios.
    ClassAbsent(i64),
    /// None of the classes is in the volume; the patch lies anywhere.
    ClassesAbsent,
    /// The volume has no foreground; the patch lies anywhere.
    NoForeground,
    /// All weights of the volume are 0; the patch lies anywhere.
    NoWeight,
    /// No try had the fraction of foreground that was asked for; the nearest was taken.
    Fraction,
}

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClassAbsent(class) => {
                write!(f, "class {class} is not in their volume, so another class was drawn")
            }
            Self::ClassesAbsent => {
                f.write_str("no class with a ratio is in their volume, so they lie anywhere")
            }
            Self::NoForeground => f.write_str("their volume has no foreground, so they lie anywhere"),
            Self::NoWeight => f.write_str("all weights of their volume are 0, so they lie anywhere"),
            Self::Fraction => {
                f.write_str("no try had the fraction of foreground asked for, so the nearest was taken")
            }
        }
    }
}

/// Counts of patches and of their fall-backs, shared by all threads that draw.
///
/// They report and never influence a draw: each place says itself what happened to it.
#[derive(Debug, Default)]
pub struct Fallbacks(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    patches: u64,
    fallbacks: BTreeMap<Fallback, u64>,
}

impl Fallbacks {
    /// Counts a patch: its place, and its fraction of foreground if one was asked for.
    pub fn count(&self, place: &Place, fraction: Option<&Fraction>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.patches += 1;
        let missed = fraction.filter(|fraction| !fraction.met).map(|_| Fallback::Fraction);
        for fallback in place.fallback.into_iter().chain(missed) {
            *counts.fallbacks.entry(fallback).or_default() += 1;
        }
    }

    /// Returns how many patches were counted.
    pub fn patches(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).patches
    }

    /// Returns how often each fall-back happened.
    pub fn counts(&self) -> BTreeMap<Fallback, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fallbacks.clone()
    }

    /// Returns one line for each fall-back that happened: `3 of 400 patches: …`.
    pub fn report(&self) -> Vec<String> {
        let patches = self.patches();
        self.counts()
            .iter()
            .map(|(fallback, count)| format!("{count} of {patches} patches: {fallback}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fallback_is_counted_and_reported() {
        let counted = Fallbacks::default();
        let absent = Place { fallback: Some(Fallback::ClassAbsent(3)), ..Place::at([0; 3]) };
        counted.count(&Place::at([0; 3]), None);
        counted.count(&absent, Some(&Fraction { fraction: 0.5, tries: 1, met: true }));
        counted.count(&absent, Some(&Fraction { fraction: 0.0, tries: 9, met: false }));
        assert_eq!(counted.patches(), 3);
        assert_eq!(counted.counts(), [(Fallback::ClassAbsent(3), 2), (Fallback::Fraction, 1)].into());
        assert_eq!(
            counted.report(),
            [
                "2 of 3 patches: class 3 is not in their volume, so another class was drawn",
                "1 of 3 patches: no try had the fraction of foreground asked for, so the nearest was taken",
            ]
        );
    }
}
