//! From easy negatives to hard ones, as training goes on.

use serde::{Deserialize, Serialize};

use super::error::EmbeddingError;

/// How hard negatives are, as a function of the step: hardness 0 is the farthest negative of an anchor, 1 the nearest, 0.5
/// the median.
///
/// ```
/// use batchwright_pairs::mining::Hardness;
/// let hardness = Hardness { from: 0.5, to: 1.0, start: 100, steps: 200 };
/// assert_eq!((hardness.at(0), hardness.at(200), hardness.at(9999)), (0.5, 0.75, 1.0));
/// // Of 5 negatives, nearest first.
/// assert_eq!((Hardness::rank(1.0, 5), Hardness::rank(0.5, 5), Hardness::rank(0.0, 5)), (Some(0), Some(2), Some(4)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default, rename_all = "snake_case")]
pub struct Hardness {
    /// The hardness at first, from 0 (the farthest negative) to 1 (the nearest); default 0.5, the median.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1)))]
    pub from: f64,
    /// The hardness at last (default 1).
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1)))]
    pub to: f64,
    /// The step at which it begins to change (default 0).
    pub start: u64,
    /// In how many steps it goes from the one to the other, in a straight line (default 1000; 0 for at once).
    pub steps: u64,
}

impl Default for Hardness {
    fn default() -> Self {
        Self { from: 0.5, to: 1.0, start: 0, steps: 1000 }
    }
}

impl Hardness {
    /// Checks the ranges; `key` is where the options stand.
    pub fn check(&self, key: &str) -> Result<(), EmbeddingError> {
        let Self { from, to, start: _, steps: _ } = self;
        for (name, value) in [("from", from), ("to", to)] {
            if !(0.0..=1.0).contains(value) {
                return Err(EmbeddingError::choice(format!("{key}.{name}"), "from 0 to 1", value));
            }
        }
        Ok(())
    }

    /// Returns the hardness at a step: `from` up to `start`, `to` from `start + steps` on.
    pub fn at(&self, step: u64) -> f64 {
        let part = match step.checked_sub(self.start) {
            None => 0.0,
            Some(done) if self.steps <= done => 1.0,
            Some(done) => done as f64 / self.steps as f64,
        };
        self.from * (1.0 - part) + self.to * part
    }

    /// Returns the place of a hardness among `n` negatives, nearest first: (1 - hardness) (n - 1), rounded, halves up.
    /// Nothing where there are none.
    pub fn rank(hardness: f64, n: usize) -> Option<usize> {
        let last = n.checked_sub(1)?;
        Some((((1.0 - hardness) * last as f64 + 0.5).floor() as usize).min(last))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn hardness_goes_from_one_to_the_other_and_never_back(
            from in 0.0_f64..=1.0,
            to in 0.0_f64..=1.0,
            start in 0_u64..1000,
            steps in 0_u64..1000,
            n in 1_usize..500,
        ) {
            let hardness = Hardness { from, to, start, steps };
            prop_assert_eq!(hardness.check("h"), Ok(()));
            if start != 0 {
                prop_assert_eq!(hardness.at(0), from);
                prop_assert_eq!(hardness.at(start - 1), from);
            }
            prop_assert_eq!(hardness.at(start), if steps == 0 { to } else { from });
            for step in [start + steps, start + steps + 1, u64::MAX] {
                prop_assert_eq!(hardness.at(step), to);
            }
            let way = |a: f64, b: f64| if from <= to { a <= b + 1e-15 } else { b <= a + 1e-15 };
            for step in 0..2100 {
                let (now, next) = (hardness.at(step), hardness.at(step + 1));
                prop_assert!(way(now, next) && (0.0..=1.0).contains(&now));
                let (rank, after) = (Hardness::rank(now, n).unwrap(), Hardness::rank(next, n).unwrap());
                let onward = if from <= to { after <= rank } else { rank <= after };
                prop_assert!(rank < n && onward);
            }
            // In a straight line: half way at half time.
            if steps != 0 {
                let half = hardness.at(start + steps / 2);
                let part = (steps / 2) as f64 / steps as f64;
                prop_assert!((half - (from + (to - from) * part)).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn a_change_at_once_waits_for_its_step() {
        let hardness = Hardness { from: 0.25, to: 1.0, start: 3, steps: 0 };
        assert_eq!([0, 2, 3, 4].map(|step| hardness.at(step)), [0.25, 0.25, 1.0, 1.0]);
    }

    #[test]
    fn the_ends_are_the_farthest_and_the_nearest() {
        assert_eq!(Hardness::rank(0.3, 0), None);
        for n in 1..50 {
            assert_eq!((Hardness::rank(0.0, n), Hardness::rank(1.0, n)), (Some(n - 1), Some(0)));
        }
        assert_eq!(Hardness::rank(0.5, 2), Some(1));
        let wrong = Hardness { to: 1.5, ..Hardness::default() };
        assert_eq!(
            wrong.check("mining.hardness").unwrap_err().to_string(),
            "mining.hardness.to is 1.5; it takes from 0 to 1"
        );
    }
}
