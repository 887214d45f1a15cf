//! Same or different: how well one number per pair tells.

use crate::mining::EmbeddingError;

/// What a number of a pair says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sense {
    /// The less, the more alike.
    Distance,
    /// The more, the more alike.
    Score,
}

/// Pairs, each with a number that should tell those of the same class from those of different classes, and what is true.
///
/// Pairs of equal numbers are told apart by nothing: the curve goes through them in one straight line.
#[derive(Clone, Debug, PartialEq)]
pub struct Verification {
    sense: Sense,
    /// Invariant: one a value that occurs, from the most alike to the least: the value, the pairs of the same class and
    /// those of different classes with this value or a more alike one. The last counts are above 0.
    steps: Vec<(f32, u64, u64)>,
}

/// Where as many pairs of the same class are rejected as pairs of different classes are accepted, as parts of their kinds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EqualError {
    /// Both rates of error, from 0 to 1.
    pub rate: f64,
    /// The number of a pair at which this is so, interpolated as the rate is.
    pub threshold: f64,
}

/// Up to which number a pair is taken for one of the same class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// The threshold: a pair is the same where its distance is at most this, or its score at least.
    pub value: f64,
    /// The part of the pairs on which it was chosen that it decides rightly.
    pub chosen_accuracy: f64,
    sense: Sense,
}

impl Verification {
    /// Takes pairs by their distances: the less, the more alike.
    ///
    /// # Errors
    /// Refuses another number of distances than of truths, distances that are not finite, and pairs of one kind only.
    pub fn of_distances(distances: &[f32], same: &[bool]) -> Result<Self, EmbeddingError> {
        Self::new(distances, same, Sense::Distance)
    }

    /// Takes pairs by their scores (a similarity, a probability of being the same): the more, the more alike.
    ///
    /// # Errors
    /// As [`Verification::of_distances`].
    pub fn of_scores(scores: &[f32], same: &[bool]) -> Result<Self, EmbeddingError> {
        Self::new(scores, same, Sense::Score)
    }

    fn new(values: &[f32], same: &[bool], sense: Sense) -> Result<Self, EmbeddingError> {
        let mut pairs = zip(values, same, sense)?;
        pairs.sort_unstable_by(|a, b| match sense {
            Sense::Distance => a.0.total_cmp(&b.0),
            Sense::Score => b.0.total_cmp(&a.0),
        });
        let mut steps: Vec<(f32, u64, u64)> = Vec::new();
        let (mut n_same, mut n_different) = (0, 0);
        for (value, same) in pairs {
            if same {
                n_same += 1;
            } else {
                n_different += 1;
            }
            match steps.last_mut() {
                Some(last) if last.0 == value => *last = (value, n_same, n_different),
                _ => steps.push((value, n_same, n_different)),
            }
        }
        if n_same == 0 || n_different == 0 {
            let (same, different) = (n_same as usize, n_different as usize);
            return Err(EmbeddingError::OneKind { same, different });
        }
        Ok(Self { sense, steps })
    }

    /// Returns the pairs of the same class and those of different classes.
    pub fn counts(&self) -> (u64, u64) {
        let &(_, same, different) = self.steps.last().expect("there is a pair of each kind");
        (same, different)
    }

    /// Returns the area under the receiver operating characteristic: the probability that a pair of the same class is more
    /// alike than one of different classes, ties counting half. Exact: one division of whole numbers.
    pub fn auc(&self) -> f64 {
        let (same, different) = self.counts();
        let mut twice = 0_u128;
        let (mut same_before, mut different_before) = (0, 0);
        for &(_, s, d) in &self.steps {
            // Different pairs of this step lie below all same pairs before it, and tie with those in it.
            twice += u128::from(d - different_before) * u128::from(s + same_before);
            (same_before, different_before) = (s, d);
        }
        twice as f64 / (2 * u128::from(same) * u128::from(different)) as f64
    }

    /// Returns the points of the characteristic, from the strictest: (part of the different pairs accepted, part of the same
    /// pairs accepted, the number of a pair up to which it is accepted). The first, (0, 0), accepts none and has no number.
    pub fn curve(&self) -> Vec<(f64, f64, Option<f32>)> {
        let (same, different) = self.counts();
        let points = self
            .steps
            .iter()
            .map(|&(v, s, d)| (d as f64 / different as f64, s as f64 / same as f64, Some(v)));
        std::iter::once((0.0, 0.0, None)).chain(points).collect()
    }

    /// Returns the equal error rate: where the characteristic, its points joined by straight lines, meets the line on which
    /// both errors are the same. Between two points the threshold is interpolated as the rate is (before the first point it
    /// is that point's number).
    pub fn equal_error(&self) -> EqualError {
        let (same, different) = self.counts();
        let (same, different) = (same as f64, different as f64);
        let (mut fpr, mut fnr, mut value) = (0.0, 1.0, None);
        for &(v, s, d) in &self.steps {
            let (next_fpr, next_fnr) = (d as f64 / different, 1.0 - s as f64 / same);
            if next_fnr <= next_fpr {
                // fnr - fpr goes from above 0 to at most 0 on this line.
                let part = (fnr - fpr) / ((fnr - fpr) + (next_fpr - next_fnr));
                let from = f64::from(value.unwrap_or(v));
                return EqualError {
                    rate: fpr + part * (next_fpr - fpr),
                    threshold: from + part * (f64::from(v) - from),
                };
            }
            (fpr, fnr, value) = (next_fpr, next_fnr, Some(v));
        }
        unreachable!("the last step accepts all, so nothing of the same class is rejected there")
    }

    /// Returns the threshold that decides most of these pairs rightly; of several, the strictest. It lies midway between two
    /// numbers that occur, or just beyond the last where all pairs are best accepted or rejected.
    pub fn best_threshold(&self) -> Threshold {
        let (same, different) = self.counts();
        // Accepting nothing is right for all different pairs.
        let (mut best, mut right) = (None, different);
        for (step, &(_, s, d)) in self.steps.iter().enumerate() {
            if right < s + (different - d) {
                (best, right) = (Some(step), s + (different - d));
            }
        }
        let outward = match self.sense {
            Sense::Distance => 1.0,
            Sense::Score => -1.0,
        };
        let at = |step: usize| f64::from(self.steps[step].0);
        let value = match best {
            None => at(0) - outward * at(0).abs().max(1.0),
            Some(step) if step + 1 < self.steps.len() => 0.5 * (at(step) + at(step + 1)),
            Some(step) => at(step) + outward * at(step).abs().max(1.0),
        };
        let chosen_accuracy = right as f64 / (same + different) as f64;
        Threshold { value, chosen_accuracy, sense: self.sense }
    }

    /// Returns the part of the same pairs accepted where at most the part `false_accepts` of the different ones are: the
    /// highest point of the characteristic there, nothing interpolated.
    pub fn true_accepts_at(&self, false_accepts: f64) -> f64 {
        let (same, different) = self.counts();
        let within = |&&(_, _, d): &&(f32, u64, u64)| d as f64 / different as f64 <= false_accepts;
        self.steps.iter().take_while(within).last().map_or(0.0, |&(_, s, _)| s as f64 / same as f64)
    }
}

impl Threshold {
    /// Makes the threshold of a distance, chosen elsewhere.
    pub fn of_distance(value: f64) -> Self {
        Self { value, chosen_accuracy: f64::NAN, sense: Sense::Distance }
    }

    /// Makes the threshold of a score, chosen elsewhere.
    pub fn of_score(value: f64) -> Self {
        Self { value, chosen_accuracy: f64::NAN, sense: Sense::Score }
    }

    /// Returns whether a pair of this distance (or score) is taken for one of the same class.
    pub fn accepts(&self, value: f32) -> bool {
        match self.sense {
            Sense::Distance => f64::from(value) <= self.value,
            Sense::Score => self.value <= f64::from(value),
        }
    }

    /// Returns the part of pairs, others than it was chosen on, that it decides rightly.
    ///
    /// # Errors
    /// Refuses no pairs, another number of values than of truths, and values that are not finite.
    pub fn accuracy(&self, values: &[f32], same: &[bool]) -> Result<f64, EmbeddingError> {
        let pairs = zip(values, same, self.sense)?;
        if pairs.is_empty() {
            return Err(EmbeddingError::Empty { what: "pairs" });
        }
        let right = pairs.iter().filter(|&&(value, same)| self.accepts(value) == same).count();
        Ok(right as f64 / pairs.len() as f64)
    }
}

fn zip(values: &[f32], same: &[bool], sense: Sense) -> Result<Vec<(f32, bool)>, EmbeddingError> {
    if values.len() != same.len() {
        return Err(EmbeddingError::Column {
            what: "whether a pair is of one class",
            expected: values.len(),
            found: same.len(),
        });
    }
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        let what = match sense {
            Sense::Distance => "distance",
            Sense::Score => "score",
        };
        return Err(EmbeddingError::Score { what, index, value: values[index] });
    }
    // Adding 0 makes the two zeros one.
    Ok(values.iter().map(|value| value + 0.0).zip(same.iter().copied()).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::metrics::tests::{floats, oracle};

    #[test]
    fn area_equal_error_and_best_accuracy_are_those_of_scikit_learn() {
        let oracle = oracle();
        for case in oracle["verification"].as_array().unwrap() {
            let values = floats(&case["values"]);
            let same: Vec<bool> =
                case["same"].as_array().unwrap().iter().map(|same| same.as_bool().unwrap()).collect();
            let found = if case["sense"] == "distance" {
                Verification::of_distances(&values, &same).unwrap()
            } else {
                Verification::of_scores(&values, &same).unwrap()
            };
            let close = |found: f64, want: &Value| {
                let want = want.as_f64().unwrap();
                assert!((found - want).abs() < 1e-9, "{found} is not {want} ({})", case["name"]);
            };
            close(found.auc(), &case["auc"]);
            close(found.equal_error().rate, &case["eer"]);
            let threshold = found.best_threshold();
            close(threshold.chosen_accuracy, &case["best_accuracy"]);
            close(threshold.accuracy(&values, &same).unwrap(), &case["best_accuracy"]);
            close(found.true_accepts_at(0.1), &case["tpr_at_0.1"]);
        }
    }

    proptest! {
        #[test]
        fn the_area_is_the_part_of_ordered_couples(
            pairs in proptest::collection::vec((0_u8..12, any::<bool>()), 2..60),
        ) {
            let values: Vec<f32> = pairs.iter().map(|&(v, _)| f32::from(v)).collect();
            let same: Vec<bool> = pairs.iter().map(|&(_, same)| same).collect();
            let of = |want: bool| pairs.iter().filter(move |p| p.1 == want).map(|p| p.0);
            prop_assume!(same.contains(&true) && same.contains(&false));
            let mut twice = 0_u32;
            for a in of(true) {
                for b in of(false) {
                    twice += match a.cmp(&b) {
                        std::cmp::Ordering::Less => 2,
                        std::cmp::Ordering::Equal => 1,
                        std::cmp::Ordering::Greater => 0,
                    };
                }
            }
            let couples = 2.0 * of(true).count() as f64 * of(false).count() as f64;
            let found = Verification::of_distances(&values, &same).unwrap();
            prop_assert_eq!(found.auc(), f64::from(twice) / couples);
            let turned: Vec<f32> = values.iter().map(|v| -v).collect();
            let scores = Verification::of_scores(&turned, &same).unwrap();
            prop_assert_eq!(scores.auc(), found.auc());
            prop_assert_eq!(scores.equal_error().rate, found.equal_error().rate);
            // No threshold decides more rightly than the best.
            let best = found.best_threshold();
            prop_assert_eq!(best.accuracy(&values, &same).unwrap(), best.chosen_accuracy);
            for v in 0..13 {
                let other = Threshold::of_distance(f64::from(v) - 0.5);
                prop_assert!(other.accuracy(&values, &same).unwrap() <= best.chosen_accuracy);
            }
        }
    }

    #[test]
    fn what_cannot_be_verified_is_refused() {
        let text = |result: Result<Verification, EmbeddingError>| result.unwrap_err().to_string();
        assert_eq!(
            text(Verification::of_scores(&[0.5, 0.25], &[true, true])),
            "2 pairs of the same and 0 of different classes: verification takes at least one of each"
        );
        assert_eq!(
            text(Verification::of_scores(&[0.5], &[true, true])),
            "2 values of whether a pair is of one class for 1 samples"
        );
        assert_eq!(
            text(Verification::of_distances(&[0.5, f32::INFINITY], &[true, false])),
            "distance 1 is inf, not a finite number"
        );
        assert_eq!(
            Threshold::of_score(0.5).accuracy(&[], &[]).unwrap_err().to_string(),
            "there are no pairs"
        );
    }
}
