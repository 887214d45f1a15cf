//! Counts, extremes, mean and squares of voxels, the same bits on every machine.

use crate::voxels::Voxel;

/// Lanes of the sums: as many as the widest vectors hold in single precision, on every machine.
const LANES: usize = 8;

/// Count, extremes, mean and sum of squared deviations of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moments {
    pub(crate) count: u64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) mean: f64,
    pub(crate) squares: f64,
}

impl Moments {
    pub(crate) const NONE: Self =
        Self { count: 0, min: f64::INFINITY, max: f64::NEG_INFINITY, mean: 0.0, squares: 0.0 };

    /// Joins the moments of other values (Chan, Golub, `LeVeque` 1979).
    pub(crate) fn join(self, other: Self) -> Self {
        if self.count == 0 {
            return other;
        }
        if other.count == 0 {
            return self;
        }
        let count = self.count + other.count;
        let (of_self, of_other, of_all) = (self.count as f64, other.count as f64, count as f64);
        let apart = other.mean - self.mean;
        Self {
            count,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            mean: self.mean + apart * (of_other / of_all),
            squares: self.squares + other.squares + apart * apart * (of_self * of_other / of_all),
        }
    }

    /// Returns the moments of `slope * value + inter`.
    pub(crate) fn scaled(self, slope: f64, inter: f64) -> Self {
        if self.count == 0 {
            return self;
        }
        let ends = [self.min * slope + inter, self.max * slope + inter];
        Self {
            count: self.count,
            min: ends[0].min(ends[1]),
            max: ends[0].max(ends[1]),
            mean: self.mean * slope + inter,
            squares: self.squares * slope * slope,
        }
    }

    /// Returns the standard deviation, divided by the count.
    pub(crate) fn std(&self) -> f64 {
        if self.count == 0 { 0.0 } else { (self.squares / self.count as f64).sqrt() }
    }

    /// Returns the moments of integers that come as often as `counts` says; the sums are of integers, and exact.
    pub(crate) fn of_counts(counts: impl Iterator<Item = (i64, u64)>) -> Self {
        let (mut count, mut sum, mut squares) = (0_u64, 0_i128, 0_i128);
        let (mut min, mut max) = (i64::MAX, i64::MIN);
        for (value, times) in counts.filter(|&(_, times)| 0 < times) {
            count += times;
            let part = i128::from(value) * i128::from(times);
            sum += part;
            squares += part * i128::from(value);
            min = min.min(value);
            max = max.max(value);
        }
        if count == 0 {
            return Self::NONE;
        }
        // Below 2^16 values and 2^40 voxels nothing here reaches 2^127.
        let scatter = i128::from(count) * squares - sum * sum;
        let n = count as f64;
        Self { count, min: min as f64, max: max as f64, mean: sum as f64 / n, squares: scatter as f64 / n }
    }
}

/// How many voxels are no numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NotFinite {
    pub(crate) nan: u64,
    pub(crate) infinite: u64,
}

/// Returns the moments of the finite voxels that `keep` keeps, given a voxel's place and value, in stored values.
///
/// Voxel i goes to lane i mod 8 of each sum; lanes are joined from the first to the last.
pub(crate) fn moments<T: Voxel>(voxels: &[T], keep: impl Fn(usize, f64) -> bool) -> (Moments, NotFinite) {
    let mut sums = [0.0_f64; LANES];
    let mut counts = [0_u64; LANES];
    let mut mins = [f64::INFINITY; LANES];
    let mut maxs = [f64::NEG_INFINITY; LANES];
    let (mut nans, mut infinites) = ([0_u64; LANES], [0_u64; LANES]);
    let mut block = |at: usize, chunk: &[T]| {
        for (lane, &voxel) in chunk.iter().enumerate() {
            let value = voxel.to_f64();
            let kept = value.is_finite() & keep(at + lane, value);
            sums[lane] += if kept { value } else { 0.0 };
            counts[lane] += u64::from(kept);
            let low = if kept { value } else { f64::INFINITY };
            let high = if kept { value } else { f64::NEG_INFINITY };
            mins[lane] = if low < mins[lane] { low } else { mins[lane] };
            maxs[lane] = if maxs[lane] < high { high } else { maxs[lane] };
            nans[lane] += u64::from(value.is_nan());
            infinites[lane] += u64::from(value.is_infinite());
        }
    };
    each_block(voxels, &mut block);
    let count: u64 = counts.iter().sum();
    let bad = NotFinite { nan: nans.iter().sum(), infinite: infinites.iter().sum() };
    if count == 0 {
        return (Moments::NONE, bad);
    }
    let min = mins.into_iter().fold(f64::INFINITY, f64::min);
    let max = maxs.into_iter().fold(f64::NEG_INFINITY, f64::max);
    if min == max {
        // Rounding of the sum must not make a constant volume look as if it varied.
        return (Moments { count, min, max, mean: min, squares: 0.0 }, bad);
    }
    let mean = sums.iter().sum::<f64>() / count as f64;
    let mut squares = [0.0_f64; LANES];
    let mut block = |at: usize, chunk: &[T]| {
        for (lane, &voxel) in chunk.iter().enumerate() {
            let value = voxel.to_f64();
            let kept = value.is_finite() & keep(at + lane, value);
            let apart = if kept { value - mean } else { 0.0 };
            squares[lane] += apart * apart;
        }
    };
    each_block(voxels, &mut block);
    (Moments { count, min, max, mean, squares: squares.iter().sum() }, bad)
}

/// Runs over voxels in blocks of as many as there are lanes, the last one shorter.
#[inline]
fn each_block<T>(voxels: &[T], block: &mut impl FnMut(usize, &[T])) {
    let mut chunks = voxels.chunks_exact(LANES);
    let mut at = 0;
    for chunk in &mut chunks {
        block(at, chunk);
        at += LANES;
    }
    block(at, chunks.remainder());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_and_scaled_moments_are_those_of_all_values() {
        let values: Vec<f64> = (0..1000).map(|i| f64::from((i * 7919) % 1000) * 0.37 - 100.0).collect();
        let all = moments(&values, |_, _| true).0;
        let joined = moments(&values[..300], |_, _| true).0.join(moments(&values[300..], |_, _| true).0);
        assert_eq!((joined.count, joined.min, joined.max), (all.count, all.min, all.max));
        assert!((joined.mean - all.mean).abs() < 1e-10 && (joined.squares / all.squares - 1.0).abs() < 1e-12);
        let scaled: Vec<f64> = values.iter().map(|x| x * -2.0 + 3.0).collect();
        let (scaled, direct) = (all.scaled(-2.0, 3.0), moments(&scaled, |_, _| true).0);
        assert_eq!((scaled.min, scaled.max), (direct.min, direct.max));
        assert!((scaled.std() - direct.std()).abs() < 1e-10 && (scaled.mean - direct.mean).abs() < 1e-10);
        assert_eq!(Moments::NONE.join(all), all);
        assert_eq!(all.join(Moments::NONE), all);
    }

    #[test]
    fn a_constant_volume_has_no_spread_whatever_its_value() {
        let found = moments(&[0.1_f32; 1001], |_, _| true).0;
        assert_eq!((found.mean, found.squares), (f64::from(0.1_f32), 0.0));
    }

    #[test]
    fn voxels_that_are_no_numbers_are_counted_and_left_out() {
        let values = [1.0_f32, f32::NAN, 3.0, f32::INFINITY, f32::NEG_INFINITY, 8.0, f32::NAN, 0.0, 5.0];
        let (found, bad) = moments(&values, |at, _| at != 5);
        assert_eq!(bad, NotFinite { nan: 2, infinite: 2 });
        assert_eq!((found.count, found.min, found.max, found.mean), (4, 0.0, 5.0, 2.25));
    }
}
