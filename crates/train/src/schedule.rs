//! The learning rate as a function of the step.

use std::f64::consts::PI;

use batchwright_config::Schedule;

/// The learning rate as a function of the step alone.
#[derive(Clone, Copy, Debug)]
pub struct LearningRate {
    rate: f64,
    schedule: Schedule,
    warmup: u64,
    steps: u64,
}

impl LearningRate {
    /// Makes it of the optimizer's rate, the schedule, the steps of warm-up, and the steps of the whole run.
    pub fn new(rate: f64, schedule: Schedule, warmup: u64, steps: u64) -> Self {
        Self { rate, schedule, warmup, steps }
    }

    /// Returns the rate at `step`, counted from 0.
    ///
    /// In the warm-up of `w` steps it is `(step + 1) / (w + 1)` of the first value of the schedule, so that no step is made with a rate of 0. The schedule
    /// counts its steps from the end of the warm-up.
    pub fn at(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.rate * (step + 1) as f64 / (self.warmup + 1) as f64;
        }
        let (step, steps) = (step - self.warmup, self.steps.saturating_sub(self.warmup).max(1));
        let part = (step as f64 / steps as f64).min(1.0);
        let fraction = match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Step { every, factor } => {
                let drops = step / every.max(1);
                factor.powi(drops.min(i32::MAX as u64) as i32)
            }
            Schedule::Cosine { end } => end + (1.0 - end) * 0.5 * (1.0 + (PI * part).cos()),
            Schedule::Polynomial { power, end } => end + (1.0 - end) * (1.0 - part).powf(power),
        };
        self.rate * fraction
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(schedule: Schedule, warmup: u64, steps: &[u64]) -> Vec<f64> {
        let rate = LearningRate::new(0.1, schedule, warmup, 100 + warmup);
        steps.iter().map(|&step| (rate.at(step) * 1e9).round() / 1e9).collect()
    }

    #[test]
    fn each_schedule_has_its_values() {
        assert_eq!(at(Schedule::Constant, 0, &[0, 99]), [0.1, 0.1]);
        let step = Schedule::Step { every: 30, factor: 0.5 };
        assert_eq!(at(step, 0, &[0, 29, 30, 60, 99]), [0.1, 0.1, 0.05, 0.025, 0.0125]);
        let cosine = Schedule::Cosine { end: 0.1 };
        // 0.1 (0.1 + 0.9 (1 + cos(pi / 4)) / 2) = 0.086819805
        assert_eq!(at(cosine, 0, &[0, 25, 50, 100, 200]), [0.1, 0.086_819_805, 0.055, 0.01, 0.01]);
        // 0.1 * 0.5^0.9 = 0.053588673
        let polynomial = Schedule::Polynomial { power: 0.9, end: 0.0 };
        assert_eq!(at(polynomial, 0, &[0, 50, 100]), [0.1, 0.053_588_673, 0.0]);
    }

    #[test]
    fn the_warm_up_rises_to_the_schedules_beginning() {
        let cosine = Schedule::Cosine { end: 0.0 };
        assert_eq!(at(cosine, 4, &[0, 1, 2, 3, 4, 54]), [0.02, 0.04, 0.06, 0.08, 0.1, 0.05]);
    }
}
