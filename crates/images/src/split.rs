//! Training and validation: who is on which side.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::source::ImageSource;

/// How samples are shared between training and validation.
///
/// Fractions are not counted off but hashed: a name is in the validation side if `hash(seed, name)`, a number uniform in
/// [0, 1), lies below the fraction. So a sample's side depends on its name alone, and a new sample moves no other; the
/// sizes of the sides are near the fraction, not at it. Folds are dealt out in the order of the hash instead, so that
/// their sizes differ by at most one name; there a new sample may move others. A test set is no part of a split: its files are named apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// By the hash of each sample's id.
    Fraction {
        /// What the hash is keyed by.
        seed: u64,
        /// The share of the validation side.
        validation: f64,
    },
    /// By the hash of each sample's group, so that a group (a patient, a writer) is never on both sides.
    Groups {
        /// What the hash is keyed by.
        seed: u64,
        /// The share of groups on the validation side.
        validation: f64,
    },
    /// By the hash of each sample's id, in folds: over all of them every sample is validated on once.
    Fold {
        /// What the hash is keyed by.
        seed: u64,
        /// Which fold is the validation side, from 0.
        fold: u32,
        /// How many folds there are.
        of: u32,
    },
    /// By the hash of each sample's group, in folds.
    GroupFold {
        /// What the hash is keyed by.
        seed: u64,
        /// Which fold is the validation side, from 0.
        fold: u32,
        /// How many folds there are.
        of: u32,
    },
    /// By the hash of each sample's class, its name or else its number, so that whole classes are held out: for what is to
    /// be told apart without having been seen.
    Classes {
        /// What the hash is keyed by.
        seed: u64,
        /// The share of classes on the validation side.
        validation: f64,
    },
    /// By the hash of each sample's class, in folds.
    ClassFold {
        /// What the hash is keyed by.
        seed: u64,
        /// Which fold is the validation side, from 0.
        fold: u32,
        /// How many folds there are.
        of: u32,
    },
    /// By a list of the ids on the validation side.
    List {
        /// The ids.
        validation: Vec<String>,
    },
}

/// The indices on each side of a split, ascending; neither is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sides {
    /// What is trained on.
    pub training: Vec<usize>,
    /// What is validated on.
    pub validation: Vec<usize>,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fraction { validation, .. } => write!(f, "by fraction ({validation} for validation)"),
            Self::Groups { validation, .. } => write!(f, "by group ({validation} for validation)"),
            Self::Fold { fold, of, .. } => write!(f, "by fold ({fold} of {of} for validation)"),
            Self::GroupFold { fold, of, .. } => {
                write!(f, "by fold of groups ({fold} of {of} for validation)")
            }
            Self::Classes { validation, .. } => write!(f, "by class ({validation} for validation)"),
            Self::ClassFold { fold, of, .. } => {
                write!(f, "by fold of classes ({fold} of {of} for validation)")
            }
            Self::List { validation } => write!(f, "by list ({} ids for validation)", validation.len()),
        }
    }
}

impl Split {
    /// Shares the images of a source.
    ///
    /// # Errors
    /// Refuses a fraction outside of (0, 1), a split by group where there are no groups or by class where a sample has
    /// none, a list with an id that is not there, and a side without samples.
    pub fn of(&self, source: &(impl ImageSource + ?Sized)) -> Result<Sides, Error> {
        let without = |problem: &str| Error::Split { split: self.to_string(), problem: problem.to_owned() };
        let no_group = || without("needs groups, and the data set has none");
        let no_class = || without("needs classes, and there is a sample without one");
        let name = |index: usize| match self {
            Self::Fraction { .. } | Self::Fold { .. } | Self::List { .. } => Ok(source.id(index)),
            Self::Groups { .. } | Self::GroupFold { .. } => {
                Ok(source.group(index).ok_or_else(no_group)?.to_owned())
            }
            Self::Classes { .. } | Self::ClassFold { .. } => {
                let class = source.label(index).and_then(|label| usize::try_from(label).ok());
                let class = class.ok_or_else(no_class)?;
                Ok(source.class_name(class).map_or_else(|| class.to_string(), str::to_owned))
            }
        };
        self.of_names((0..source.len()).map(name).collect::<Result<Vec<_>, _>>()?)
    }

    /// Shares samples of any kind by their names: ids, or the groups or classes they belong to.
    ///
    /// # Errors
    /// As [`Split::of`].
    pub fn of_names(&self, names: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Sides, Error> {
        let names = names.into_iter();
        let (mut training, mut validation) = (Vec::new(), Vec::new());
        match self {
            Self::Fraction { seed, validation: fraction }
            | Self::Groups { seed, validation: fraction }
            | Self::Classes { seed, validation: fraction } => {
                if !(0.0 < *fraction && *fraction < 1.0) {
                    return Err(Error::choice("validation", "a fraction between 0 and 1", fraction));
                }
                for (index, name) in names.enumerate() {
                    let side =
                        if hash(*seed, name.as_ref()) < *fraction { &mut validation } else { &mut training };
                    side.push(index);
                }
            }
            Self::Fold { seed, fold, of }
            | Self::GroupFold { seed, fold, of }
            | Self::ClassFold { seed, fold, of } => {
                if of <= fold || *of < 2 {
                    return Err(Error::choice(
                        "validation",
                        "a fold of at least 2, from 0",
                        format!("fold {fold} of {of}"),
                    ));
                }
                let names: Vec<_> = names.collect();
                let distinct: BTreeSet<(u64, &str)> =
                    names.iter().map(|name| (hash_bits(*seed, name.as_ref()), name.as_ref())).collect();
                let held: BTreeSet<&str> = distinct
                    .into_iter()
                    .map(|(_, name)| name)
                    .skip(*fold as usize)
                    .step_by(*of as usize)
                    .collect();
                for (index, name) in names.iter().enumerate() {
                    let side = if held.contains(name.as_ref()) { &mut validation } else { &mut training };
                    side.push(index);
                }
            }
            Self::List { validation: list } => {
                let listed: BTreeSet<&str> = list.iter().map(String::as_str).collect();
                let mut missing = listed.clone();
                for (index, name) in names.enumerate() {
                    let side = if listed.contains(name.as_ref()) { &mut validation } else { &mut training };
                    side.push(index);
                    missing.remove(name.as_ref());
                }
                if let Some(first) = missing.first() {
                    let problem =
                        format!("names {} ids that are not there; the first is `{first}`", missing.len());
                    return Err(Error::Split { split: self.to_string(), problem });
                }
            }
        }
        let samples = training.len() + validation.len();
        for (side, indices) in [("training", &training), ("validation", &validation)] {
            if indices.is_empty() {
                return Err(Error::EmptySide { side, split: self.to_string(), samples });
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
    let first = digest.iter().take(8).fold(0_u64, |bits, &byte| bits << 8 | u64::from(byte));
    first >> 11
}

/// Returns those bits as a number in [0, 1).
fn hash(seed: u64, name: &str) -> f64 {
    hash_bits(seed, name) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::Images;

    fn names(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("sample {i}")).collect()
    }

    #[test]
    fn a_new_sample_moves_no_other_and_the_order_does_not_matter() {
        let split = Split::Fraction { seed: 7, validation: 0.3 };
        let all = names(200);
        let of = |names: &[String]| -> BTreeSet<String> {
            let sides = split.of_names(names).unwrap();
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
    fn the_share_is_near_the_fraction_and_changes_with_the_seed() {
        for seed in 0..5 {
            let sides = Split::Fraction { seed, validation: 0.2 }.of_names(names(10_000)).unwrap();
            // Five standard deviations of a binomial: 5 sqrt(10000 0.2 0.8) = 200.
            assert!((1800..2200).contains(&sides.validation.len()), "{}", sides.validation.len());
            assert_eq!(sides.training.len() + sides.validation.len(), 10_000);
        }
        let side = |seed| Split::Fraction { seed, validation: 0.5 }.of_names(names(50)).unwrap();
        assert_ne!(side(0), side(1));
    }

    #[test]
    fn the_hash_is_what_its_definition_says() {
        // python3: int.from_bytes(hashlib.sha256(b"batchwright/split\0" + (42).to_bytes(8, "little") + b"abc")
        //          .digest()[:8], "big") >> 11, divided by 2**53
        assert_eq!(hash(42, "abc"), 0.063_123_699_377_138_58);
    }

    #[test]
    fn a_group_is_never_on_both_sides() {
        let groups: Vec<String> = (0..100).map(|i| format!("patient {}", i % 20)).collect();
        let images = Images::from_u8([1, 1, 1], vec![0; 100]).unwrap();
        let split = Split::Groups { seed: 3, validation: 0.4 };
        assert!(
            split.of(&images).unwrap_err().to_string().ends_with("needs groups, and the data set has none")
        );
        let images = images.with_groups(groups.clone()).unwrap();
        let sides = split.of(&images).unwrap();
        let of = |side: &[usize]| -> BTreeSet<&String> { side.iter().map(|&index| &groups[index]).collect() };
        assert!(of(&sides.training).is_disjoint(&of(&sides.validation)));
    }

    #[test]
    fn whole_classes_are_held_out_and_over_all_folds_each_once() {
        let labels: Vec<i64> = (0..120).map(|i| i % 12).collect();
        let images = Images::from_u8([1, 1, 1], vec![0; 120]).unwrap();
        let share = Split::Classes { seed: 3, validation: 0.3 };
        let error = share.of(&images).unwrap_err().to_string();
        assert!(error.ends_with("needs classes, and there is a sample without one"), "{error}");
        let images = images.with_labels(labels.clone()).unwrap();
        let of = |side: &[usize]| -> BTreeSet<i64> { side.iter().map(|&index| labels[index]).collect() };
        let sides = share.of(&images).unwrap();
        assert!(of(&sides.training).is_disjoint(&of(&sides.validation)));
        let mut times = [0; 12];
        for fold in 0..4 {
            let sides = Split::ClassFold { seed: 3, fold, of: 4 }.of(&images).unwrap();
            assert!(of(&sides.training).is_disjoint(&of(&sides.validation)));
            assert_eq!(of(&sides.validation).len(), 3);
            for class in of(&sides.validation) {
                times[class as usize] += 1;
            }
        }
        assert_eq!(times, [1; 12]);
        // The name decides where there is one, so that a new class moves no other.
        let names = ["a"].into_iter().chain(["b"; 11]).map(str::to_owned).collect();
        let named = images.with_class_names(names);
        let sides = Split::Classes { seed: 0, validation: 0.5 };
        assert_eq!(hash(0, "a") < 0.5, sides.of(&named).is_ok_and(|sides| sides.validation.contains(&0)));
    }

    #[test]
    fn every_sample_is_in_the_validation_side_of_one_fold() {
        let all = names(60);
        let mut times = vec![0; 60];
        for fold in 0..4 {
            let sides = Split::Fold { seed: 5, fold, of: 4 }.of_names(&all).unwrap();
            assert_eq!((sides.training.len(), sides.validation.len()), (45, 15));
            sides.validation.iter().for_each(|&index| times[index] += 1);
        }
        assert_eq!(times, vec![1; 60]);
        assert!(Split::Fold { seed: 5, fold: 4, of: 4 }.of_names(&all).is_err());
    }

    #[test]
    fn a_list_is_followed_and_an_unknown_name_in_it_is_an_error() {
        let split = |ids: &[&str]| Split::List { validation: ids.iter().map(|&id| id.to_owned()).collect() };
        let sides = split(&["sample 3", "sample 1"]).of_names(names(5)).unwrap();
        assert_eq!((sides.training, sides.validation), (vec![0, 2, 4], vec![1, 3]));
        assert_eq!(
            split(&["sample 9", "sample 1"]).of_names(names(5)).unwrap_err().to_string(),
            "the split by list (2 ids for validation) names 1 ids that are not there; the first is `sample 9`"
        );
    }

    #[test]
    fn an_empty_side_is_an_error_that_says_so() {
        let error = Split::Fraction { seed: 0, validation: 0.001 }.of_names(names(3)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the validation side of the split by fraction (0.001 for validation) is empty: all 3 samples are on the \
             other side"
        );
        assert!(Split::Fraction { seed: 0, validation: 1.0 }.of_names(names(3)).is_err());
        assert!(Split::Fraction { seed: 0, validation: f64::NAN }.of_names(names(3)).is_err());
        let all = Split::List { validation: names(3) };
        assert!(all.of_names(names(3)).unwrap_err().to_string().starts_with("the training side"));
    }
}
