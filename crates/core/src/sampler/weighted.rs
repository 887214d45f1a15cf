//! Samples drawn by weight.

use std::sync::Arc;

use super::{Coverage, Order, Sampler, SamplerError};
use crate::fingerprint::Fingerprint;
use crate::random::{Name, Stream};

const WITH: Name = Name::new("order/weighted");
const WITHOUT: Name = Name::new("order/weighted/without_replacement");

/// Samples drawn with chances proportional to their weights, with replacement or without.
///
/// With replacement every position is one independent draw from the stream (seed, epoch, position, `order/weighted`),
/// in constant time by an alias table (Walker 1977, Vose 1991) of 64-bit chances: no limit on the number of samples.
/// Without replacement an epoch is the first `draws` samples in ascending order of E / weight, where E = -ln(1 - uniform) is a
/// standard exponential draw of the stream (seed, epoch, index, `order/weighted/without_replacement`) (Efraimidis and Spirakis
/// 2006); a sample of weight 0 never comes up.
#[derive(Clone, Debug)]
pub struct Weighted {
    draws: u64,
    weights: Arc<[f64]>,
    table: Option<Arc<Alias>>,
}

impl Weighted {
    /// Draws `draws` samples an epoch, with replacement.
    ///
    /// # Errors
    /// Refuses weights that are negative, not finite, or all zero.
    pub fn with_replacement(weights: Vec<f64>, draws: usize) -> Result<Self, SamplerError> {
        check(&weights)?;
        let table = Some(Arc::new(Alias::new(&weights)));
        Ok(Self { draws: draws as u64, weights: weights.into(), table })
    }

    /// Draws `draws` different samples an epoch.
    ///
    /// # Errors
    /// Refuses weights that are negative, not finite, or all zero, and more draws than samples with a weight.
    pub fn without_replacement(weights: Vec<f64>, draws: usize) -> Result<Self, SamplerError> {
        check(&weights)?;
        let available = weights.iter().filter(|&&weight| 0.0 < weight).count() as u64;
        if available < draws as u64 {
            return Err(SamplerError::Draws { draws: draws as u64, available });
        }
        Ok(Self { draws: draws as u64, weights: weights.into(), table: None })
    }
}

fn check(weights: &[f64]) -> Result<(), SamplerError> {
    if weights.is_empty() {
        return Err(SamplerError::Empty);
    }
    if let Some(index) = weights.iter().position(|&weight| !(weight.is_finite() && 0.0 <= weight)) {
        return Err(SamplerError::Weight { index, weight: weights[index] });
    }
    if weights.iter().all(|&weight| weight == 0.0) {
        return Err(SamplerError::Weight { index: 0, weight: 0.0 });
    }
    Ok(())
}

impl Sampler for Weighted {
    fn len(&self) -> u64 {
        self.draws
    }

    fn samples(&self) -> u64 {
        self.weights.len() as u64
    }

    fn order(&self, seed: u64, epoch: u64) -> Arc<dyn Order> {
        if let Some(table) = &self.table {
            return Arc::new(Draws { table: Arc::clone(table), seed, epoch });
        }
        let largest = self.weights.iter().copied().fold(0.0, f64::max);
        let mut keys: Vec<(f64, u64)> = self
            .weights
            .iter()
            .enumerate()
            .filter(|&(_, &weight)| 0.0 < weight)
            .map(|(index, &weight)| {
                let mut stream = Stream::new(seed, epoch, index as u64, WITHOUT);
                // The logarithm of a number in (0, 1]; libm's is the same on every system.
                let exponential = -libm::log(1.0 - stream.uniform());
                (exponential / (weight / largest), index as u64)
            })
            .collect();
        keys.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        keys.truncate(self.draws as usize);
        Arc::new(Chosen { indices: keys.into_iter().map(|(_, index)| index).collect() })
    }

    fn coverage(&self) -> Coverage {
        if self.table.is_some() { Coverage::Repeating } else { Coverage::AtMostOnce }
    }

    fn fingerprint(&self) -> Fingerprint {
        let kind = if self.table.is_some() { "weighted" } else { "weighted, without replacement" };
        Fingerprint::default()
            .with("kind", kind)
            .with("draws", self.draws)
            .with_digest("weights", self.weights.iter().map(|weight| weight.to_le_bytes()))
    }
}

/// An alias table: column i keeps i with chance `keep[i]` / 2^64, else gives `alias[i]`.
#[derive(Debug)]
struct Alias {
    keep: Vec<u64>,
    alias: Vec<u64>,
}

impl Alias {
    fn new(weights: &[f64]) -> Self {
        let n = weights.len();
        // Scaled by the largest first, so that neither the sum nor the products overflow.
        let largest = weights.iter().copied().fold(0.0, f64::max);
        let sum: f64 = weights.iter().map(|weight| weight / largest).sum();
        let mut share: Vec<f64> = weights.iter().map(|weight| weight / largest / sum * n as f64).collect();
        let mut alias: Vec<u64> = (0..n as u64).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..n).partition(|&i| share[i] < 1.0);
        let mut keep = vec![u64::MAX; n];
        while let (Some(&giver), Some(poor)) = (large.last(), small.pop()) {
            keep[poor] = (share[poor] * 18_446_744_073_709_551_616.0) as u64;
            alias[poor] = giver as u64;
            share[giver] -= 1.0 - share[poor];
            if share[giver] < 1.0 {
                large.pop();
                small.push(giver);
            }
        }
        // What is left over is full but for rounding. A weight of 0 must never be kept by rounding.
        for &i in &small {
            if weights[i] == 0.0 {
                let heaviest = (0..n).max_by(|&a, &b| weights[a].total_cmp(&weights[b])).unwrap_or(0);
                (keep[i], alias[i]) = (0, heaviest as u64);
            }
        }
        Self { keep, alias }
    }

    fn draw(&self, stream: &mut Stream) -> u64 {
        let column = stream.below(self.keep.len() as u64) as usize;
        if stream.bits64() < self.keep[column] { column as u64 } else { self.alias[column] }
    }
}

#[derive(Debug)]
struct Draws {
    table: Arc<Alias>,
    seed: u64,
    epoch: u64,
}

impl Order for Draws {
    fn at(&self, position: u64) -> u64 {
        self.table.draw(&mut Stream::new(self.seed, self.epoch, position, WITH))
    }

    fn substitute(&self, stream: &mut Stream) -> u64 {
        self.table.draw(stream)
    }
}

#[derive(Debug)]
struct Chosen {
    indices: Vec<u64>,
}

impl Order for Chosen {
    fn at(&self, position: u64) -> u64 {
        self.indices[position as usize]
    }

    fn substitute(&self, stream: &mut Stream) -> u64 {
        self.indices[stream.below(self.indices.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_follow_the_weights() {
        let weights = vec![1.0, 0.0, 3.0, 6.0, 1e-12];
        let draws = 100_000;
        let order = Weighted::with_replacement(weights.clone(), draws).unwrap().order(1, 0);
        let mut counts = [0_u64; 5];
        for position in 0..draws as u64 {
            counts[order.at(position) as usize] += 1;
        }
        assert_eq!(counts[1], 0);
        for (count, weight) in counts.iter().zip(&weights) {
            let p = weight / 10.0;
            // Binomial; 6 standard deviations (and one for the rare one).
            let bound = 6.0 * (draws as f64 * p * (1.0 - p)).sqrt() + 1.0;
            assert!((*count as f64 - draws as f64 * p).abs() <= bound, "{counts:?}");
        }
    }

    #[test]
    fn without_replacement_no_sample_comes_twice_and_heavy_ones_come_first() {
        let mut firsts = [0_u64; 3];
        for epoch in 0..20_000 {
            let order = Weighted::without_replacement(vec![1.0, 2.0, 5.0, 0.0], 3).unwrap().order(3, epoch);
            let mut all: Vec<u64> = (0..3).map(|position| order.at(position)).collect();
            firsts[all[0] as usize] += 1;
            all.sort_unstable();
            assert_eq!(all, [0, 1, 2]);
        }
        // The first draw has chances 1/8, 2/8, 5/8; 6 standard deviations.
        for (count, p) in firsts.iter().zip([0.125, 0.25, 0.625]) {
            let bound = 6.0 * f64::sqrt(20_000.0 * p * (1.0 - p));
            assert!((*count as f64 - 20_000.0 * p).abs() < bound, "{firsts:?}");
        }
    }

    #[test]
    fn weights_of_any_size_give_another_order_every_epoch() {
        for weight in [1e-300, 1e-40, 1e46, 1e300] {
            let sampler = Weighted::without_replacement(vec![weight; 50], 50).unwrap();
            let order = |epoch| -> Vec<u64> {
                let order = sampler.order(1, epoch);
                (0..50).map(|position| order.at(position)).collect()
            };
            assert!(order(0) != order(1) && !order(0).is_sorted(), "{weight}");
        }
    }

    #[test]
    fn weights_that_mean_nothing_are_refused() {
        let error = Weighted::with_replacement(vec![1.0, f64::NAN], 2).unwrap_err();
        assert!(error.to_string().starts_with("weight 1 is NaN"), "{error}");
        assert!(Weighted::with_replacement(vec![0.0], 2).is_err());
        assert_eq!(
            Weighted::without_replacement(vec![1.0, 0.0], 2).unwrap_err(),
            SamplerError::Draws { draws: 2, available: 1 }
        );
        let huge = Weighted::with_replacement(vec![f64::MAX, f64::MAX, f64::MIN_POSITIVE], 2).unwrap();
        assert!(huge.order(0, 0).at(0) < 2);
    }
}
