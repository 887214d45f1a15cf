//! The weight of the KL term as a function of the step.

use batchwright_config as config;

/// The weight of the KL term as a function of the step alone.
#[derive(Clone, Copy, Debug)]
pub struct Beta(config::Beta);

impl Beta {
    /// Makes it of the configuration.
    pub fn new(beta: config::Beta) -> Self {
        Self(beta)
    }

    /// Returns the weight at `step`, counted from 0.
    pub fn at(self, step: u64) -> f64 {
        match self.0 {
            config::Beta::Constant(beta) => beta,
            config::Beta::Schedule(config::BetaSchedule::Linear { from, to, steps }) => {
                let part = if steps == 0 { 1.0 } else { (step as f64 / steps as f64).min(1.0) };
                from + (to - from) * part
            }
            config::Beta::Schedule(config::BetaSchedule::Sigmoid { to, steps, steepness }) => {
                let part = if steps == 0 { f64::INFINITY } else { step as f64 / steps as f64 - 0.5 };
                to / (1.0 + (-steepness * part).exp())
            }
            config::Beta::Schedule(config::BetaSchedule::Cyclical { to, period, ramp }) => {
                let period = period.max(1);
                let part = (step % period) as f64 / period as f64;
                if part < ramp { to * part / ramp } else { to }
            }
        }
    }

    /// Returns the weight that the schedule leads to, by which losses of different steps can be compared.
    pub fn end(self) -> f64 {
        match self.0 {
            config::Beta::Constant(beta) => beta,
            config::Beta::Schedule(
                config::BetaSchedule::Linear { to, .. }
                | config::BetaSchedule::Sigmoid { to, .. }
                | config::BetaSchedule::Cyclical { to, .. },
            ) => to,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::BetaSchedule;

    fn at(schedule: BetaSchedule, steps: &[u64]) -> Vec<f64> {
        let beta = Beta::new(config::Beta::Schedule(schedule));
        steps.iter().map(|&step| (beta.at(step) * 1e6).round() / 1e6).collect()
    }

    #[test]
    fn a_constant_is_the_same_at_every_step() {
        let beta = Beta::new(config::Beta::Constant(0.7));
        assert_eq!((beta.at(0), beta.at(u64::MAX), beta.end()), (0.7, 0.7, 0.7));
    }

    #[test]
    fn a_line_rises_and_stays() {
        let linear = BetaSchedule::Linear { from: 0.5, to: 1.5, steps: 100 };
        assert_eq!(at(linear, &[0, 25, 100, 1000]), [0.5, 0.75, 1.5, 1.5]);
        assert_eq!(at(BetaSchedule::Linear { from: 0.0, to: 1.0, steps: 0 }, &[0]), [1.0]);
    }

    #[test]
    fn a_logistic_curve_is_half_at_half_its_steps() {
        let sigmoid = BetaSchedule::Sigmoid { to: 2.0, steps: 100, steepness: 10.0 };
        // 2 / (1 + e^5), 1, 2 / (1 + e^-5)
        assert_eq!(at(sigmoid, &[0, 50, 100]), [0.013_386, 1.0, 1.986_614]);
    }

    #[test]
    fn cycles_rise_over_their_ramp_and_start_again() {
        let cyclical = BetaSchedule::Cyclical { to: 4.0, period: 100, ramp: 0.5 };
        assert_eq!(at(cyclical, &[0, 25, 50, 99, 100, 125]), [0.0, 2.0, 4.0, 4.0, 0.0, 2.0]);
        let steep = BetaSchedule::Cyclical { to: 4.0, period: 100, ramp: 0.0 };
        assert_eq!(at(steep, &[0, 50]), [4.0, 4.0]);
    }
}
