//! When a training that no longer gets better ends.

use batchwright_config::EarlyStopping;
use serde::{Deserialize, Serialize};

/// How long ago the validation loss was lower than ever. A function of the losses seen, so that a run that goes on ends where it would have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Patience {
    /// The loss that another one must be lower than.
    lowest: Option<f64>,
    /// How many validations were made since then.
    since: u64,
}

impl Patience {
    /// Takes the loss of a validation into account; one that is not finite is no better than any.
    pub(crate) fn see(&mut self, loss: Option<f64>, options: EarlyStopping) {
        let loss = loss.filter(|loss| loss.is_finite());
        match (loss, self.lowest) {
            (Some(loss), lowest) if lowest.is_none_or(|lowest| loss < lowest - options.min_delta) => {
                *self = Self { lowest: Some(loss), since: 0 };
            }
            _ => self.since = self.since.saturating_add(1),
        }
    }

    pub(crate) fn is_over(self, options: EarlyStopping) -> bool {
        options.patience <= self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(losses: &[f64], patience: u64, min_delta: f64) -> Option<usize> {
        let options = EarlyStopping { patience, min_delta };
        let mut state = Patience::default();
        (0..losses.len()).find(|&at| {
            state.see(Some(losses[at]), options);
            state.is_over(options)
        })
    }

    #[test]
    fn it_ends_when_as_many_validations_as_asked_were_no_better_by_more_than_the_least_gain() {
        let losses = [3.0, 2.0, 2.0, 1.9, 1.95, 1.95, 1.0];
        assert_eq!(ends(&losses, 1, 0.0), Some(2));
        assert_eq!(ends(&losses, 2, 0.0), Some(5));
        assert_eq!(ends(&losses, 3, 0.0), None);
        // 1.9 is lower than 2 by less than 0.5.
        assert_eq!(ends(&losses, 3, 0.5), Some(4));
        // Small gains add up: each is compared with the lowest that counted.
        assert_eq!(ends(&[1.0, 0.9, 0.8, 0.7, 0.6], 3, 0.15), None);
        assert_eq!(ends(&[f64::NAN, 2.0, f64::NAN, f64::INFINITY], 2, 0.0), Some(3));
        assert_eq!(ends(&[f64::NAN, f64::NAN], 2, 0.0), Some(1));
    }
}
