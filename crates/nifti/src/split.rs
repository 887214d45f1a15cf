//! Training and validation: which subjects are on which side.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::subjects::Subjects;

/// How subjects are shared between training and validation.
///
/// Fractions are not counted off but hashed: a name is in the validation side if `hash(seed, name)`, a number uniform in
/// [0, 1), lies below the fraction. So a subject's side depends on its name alone, and a new subject moves no other; the
/// sizes of the sides are near the fraction, not at it. The hash is that of `batchwright-images`. Folds are dealt out in
/// the order of the hash instead, so that their sizes differ by at most one name; there a new subject may move others.
/// A test set is no part of a split: its files are named apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Split {
    /// By the hash of each subject's id, or of its group, so that a group (a patient) is never on both sides.
    Fraction {
        /// What the hash is keyed by.
        seed: u64,
        /// The share of the validation side.
        validation: f64,
        /// What falls to one side together.
        by: SplitBy,
    },
    /// Into as many folds as are wanted, one of which is validated on.
    Folds {
        /// What the hash is keyed by.
        seed: u64,
        /// How many folds there are.
        folds: usize,
        /// Which one is the validation side, from 0.
        fold: usize,
        /// What falls to one fold together.
        by: SplitBy,
    },
    /// By a list of the names on the validation side.
    List {
        /// The names: ids, or groups.
        validation: Vec<String>,
        /// What the names are of.
        by: SplitBy,
    },
}

/// What falls to one side of a split together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SplitBy {
    /// Every subject for itself.
    #[default]
    Subject,
    /// All subjects of a group (the visits of a patient).
    Group,
}

/// The indices of the subjects on each side of a split, ascending; neither is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sides {
    /// What is trained on.
    pub training: Vec<usize>,
    /// What is validated on.
    pub validation: Vec<usize>,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Fraction { by, .. } | Self::Folds { by, .. } | Self::List { by, .. }) = self;
        let what = match by {
            SplitBy::Subject => "subject",
            SplitBy::Group => "group",
        };
        match self {
            Self::Fraction { validation, .. } => write!(f, "by {what} ({validation} for validation)"),
            Self::Folds { folds, fold, .. } => {
                write!(f, "by {what} into {folds} folds (fold {fold} for validation)")
            }
            Self::List { validation, .. } => {
                write!(f, "by a list of each {what} ({} for validation)", validation.len())
            }
        }
    }
}

impl Split {
    /// Shares subjects.
    ///
    /// # Errors
    /// Refuses a fraction outside of (0, 1), fewer than two folds, a fold that is not there, a split by group where a
    /// subject has none, a list with a name that is not there, and a side without subjects.
    pub fn of(&self, subjects: &Subjects) -> Result<Sides, Error> {
        let (Self::Fraction { by, .. } | Self::Folds { by, .. } | Self::List { by, .. }) = self;
        let names = subjects.iter().map(|subject| match by {
            SplitBy::Subject => Ok(subject.id.as_str()),
            SplitBy::Group => subject.group.as_deref().ok_or_else(|| Error::Split {
                split: self.to_string(),
                problem: format!("needs groups, and the subject `{}` has none", subject.id),
            }),
        });
        self.of_names(&names.collect::<Result<Vec<_>, _>>()?)
    }

    /// Shares things of any kind by their names: ids, or the groups they belong to.
    ///
    /// # Errors
    /// As [`Split::of`].
    pub fn of_names(&self, names: &[impl AsRef<str>]) -> Result<Sides, Error> {
        let held: BTreeSet<&str> = match self {
            Self::Fraction { seed, validation, .. } => {
                if !(0.0 < *validation && *validation < 1.0) {
                    return Err(Error::choice("validation", "a fraction between 0 and 1", validation));
                }
                names.iter().map(AsRef::as_ref).filter(|name| hash(*seed, name) < *validation).collect()
            }
            Self::Folds { seed, folds, fold, .. } => {
                if *folds < 2 {
                    return Err(Error::choice("folds", "2 or more", folds));
                }
                if *folds <= *fold {
                    return Err(Error::choice("fold", format!("from 0 to {}", folds - 1), fold));
                }
                let distinct: BTreeSet<(u64, &str)> =
                    names.iter().map(|name| (hash_bits(*seed, name.as_ref()), name.as_ref())).collect();
                distinct.into_iter().map(|(_, name)| name).skip(*fold).step_by(*folds).collect()
            }
            Self::List { validation, .. } => {
                let there: BTreeSet<&str> = names.iter().map(AsRef::as_ref).collect();
                let listed: BTreeSet<&str> = validation.iter().map(String::as_str).collect();
                let mut missing = listed.difference(&there);
                if let Some(first) = missing.next() {
                    let problem =
                        format!("names {} that are not there; the first is `{first}`", missing.count() + 1);
                    return Err(Error::Split { split: self.to_string(), problem });
                }
                listed
            }
        };
        let (validation, training): (Vec<usize>, Vec<usize>) =
            (0..names.len()).partition(|&index| held.contains(names[index].as_ref()));
        for (side, indices) in [("training", &training), ("validation", &validation)] {
            if indices.is_empty() {
                let problem = format!("leaves the {side} side empty: {} subjects are there", names.len());
                return Err(Error::Split { split: self.to_string(), problem });
            }
        }
        Ok(Sides { training, validation })
    }
}

/// Returns 53 uniform bits: the upper ones of the first 8 bytes, read as a big-endian number, of the SHA-256 of
/// `batchwright/split`, a zero byte, the seed as 8 little-endian bytes, and the name.
fn hash_bits(seed: u64, name: &str) -> u64 {
    let digest = Sha256::new()
        .chain_update(b"batchwright/split\0")
        .chain_update(seed.to_le_bytes())
        .chain_update(name.as_bytes())
        .finalize();
    digest.iter().take(8).fold(0_u64, |bits, &byte| bits << 8 | u64::from(byte)) >> 11
}

/// Returns those bits as a number in [0, 1).
fn hash(seed: u64, name: &str) -> f64 {
    hash_bits(seed, name) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("sample {i}")).collect()
    }

    fn fraction(seed: u64, validation: f64) -> Split {
        Split::Fraction { seed, validation, by: SplitBy::Subject }
    }

    fn folds(folds: usize, fold: usize) -> Split {
        Split::Folds { seed: 3, folds, fold, by: SplitBy::Subject }
    }

    #[test]
    fn the_hash_is_what_its_definition_says() {
        // python3: int.from_bytes(hashlib.sha256(b"batchwright/split\0" + (42).to_bytes(8, "little") + b"abc")
        //          .digest()[:8], "big") >> 11, divided by 2**53. The same value stands in batchwright-images.
        assert_eq!(hash(42, "abc"), 0.063_123_699_377_138_58);
    }

    #[test]
    fn a_new_subject_moves_no_other_and_the_order_does_not_matter() {
        let all = names(200);
        let of = |names: &[String]| -> BTreeSet<String> {
            let sides = fraction(7, 0.3).of_names(names).unwrap();
            sides.validation.into_iter().map(|index| names[index].clone()).collect()
        };
        let before = of(&all[..199]);
        let mut after = of(&all);
        after.remove("sample 199");
        assert_eq!(before, after);
        let reversed: Vec<String> = all.iter().rev().cloned().collect();
        assert_eq!(of(&all), of(&reversed));
    }

    #[test]
    fn every_subject_is_validated_on_in_exactly_one_fold_and_folds_have_one_size() {
        let all = names(23);
        let mut seen = vec![0; 23];
        for fold in 0..5 {
            let sides = folds(5, fold).of_names(&all).unwrap();
            assert!((4..=5).contains(&sides.validation.len()));
            assert_eq!(sides.training.len() + sides.validation.len(), 23);
            for index in sides.validation {
                seen[index] += 1;
            }
        }
        assert_eq!(seen, [1; 23]);
        let reversed: Vec<String> = all.iter().rev().cloned().collect();
        let of = |names: &[String]| -> BTreeSet<String> {
            folds(5, 2).of_names(names).unwrap().validation.into_iter().map(|i| names[i].clone()).collect()
        };
        assert_eq!(of(&all), of(&reversed));
        assert!(folds(1, 0).of_names(&all).is_err());
        assert_eq!(
            folds(5, 5).of_names(&all).unwrap_err().to_string(),
            "`fold` must be from 0 to 4, found 5"
        );
    }

    #[test]
    fn a_group_is_never_on_both_sides() {
        let groups: Vec<String> = (0..100).map(|i| format!("patient {}", i % 20)).collect();
        for split in [
            Split::Fraction { seed: 3, validation: 0.4, by: SplitBy::Group },
            Split::Folds { seed: 3, folds: 4, fold: 1, by: SplitBy::Group },
        ] {
            let sides = split.of_names(&groups).unwrap();
            let of =
                |side: &[usize]| -> BTreeSet<&String> { side.iter().map(|&index| &groups[index]).collect() };
            assert!(of(&sides.training).is_disjoint(&of(&sides.validation)));
        }
    }

    #[test]
    fn a_list_is_followed_and_an_unknown_name_in_it_is_an_error() {
        let split = |ids: &[&str]| Split::List {
            validation: ids.iter().map(|&id| id.to_owned()).collect(),
            by: SplitBy::Subject,
        };
        let sides = split(&["sample 3", "sample 1"]).of_names(&names(5)).unwrap();
        assert_eq!((sides.training, sides.validation), (vec![0, 2, 4], vec![1, 3]));
        assert_eq!(
            split(&["sample 9", "sample 1"]).of_names(&names(5)).unwrap_err().to_string(),
            "the split by a list of each subject (2 for validation) names 1 that are not there; the first is `sample 9`"
        );
    }

    #[test]
    fn an_empty_side_is_an_error_that_says_so() {
        assert_eq!(
            fraction(0, 0.001).of_names(&names(3)).unwrap_err().to_string(),
            "the split by subject (0.001 for validation) leaves the validation side empty: 3 subjects are there"
        );
        assert!(fraction(0, 1.0).of_names(&names(3)).is_err());
        assert!(fraction(0, f64::NAN).of_names(&names(3)).is_err());
    }
}
