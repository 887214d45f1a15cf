//! Exact percentiles without sorting: counts by the upper and then the lower half of an ordered key.
//!
//! The percentile p of n values is at the rank h = (n - 1) p / 100, linearly between the values at the ranks floor(h) and
//! floor(h) + 1: what NumPy computes by default ("linear", the 7th definition of Hyndman and Fan 1996).

use crate::voxels::Voxel;

/// Counts of the upper 16 bits of keys.
pub(crate) type HighCounts = Box<[u64]>;

/// How many values 16 bits have.
const HALF: usize = 1 << 16;

/// A voxel of 32 bits with a key that is ordered as its values are.
pub(crate) trait Keyed: Voxel {
    fn key(self) -> u32;
    fn value(key: u32) -> f64;
}

impl Keyed for f32 {
    /// Negative numbers with all bits turned over, others with the sign turned over.
    #[inline]
    fn key(self) -> u32 {
        let bits = self.to_bits();
        bits ^ ((bits as i32 >> 31) as u32 | 0x8000_0000)
    }

    fn value(key: u32) -> f64 {
        let bits = if key & 0x8000_0000 == 0 { !key } else { key ^ 0x8000_0000 };
        // Zero has two keys and one value.
        f64::from(f32::from_bits(bits)) + 0.0
    }
}

impl Keyed for i32 {
    #[inline]
    fn key(self) -> u32 {
        self as u32 ^ 0x8000_0000
    }

    fn value(key: u32) -> f64 {
        f64::from((key ^ 0x8000_0000) as i32)
    }
}

impl Keyed for u32 {
    #[inline]
    fn key(self) -> u32 {
        self
    }

    fn value(key: u32) -> f64 {
        f64::from(key)
    }
}

/// Makes counts of upper halves, all 0.
pub(crate) fn no_high_counts() -> HighCounts {
    vec![0; HALF].into_boxed_slice()
}

/// Counts the upper half of a key.
#[inline]
pub(crate) fn count_high(counts: &mut [u64], key: u32) {
    counts[(key >> 16) as usize] += 1;
}

/// Which keys the ranks lie among, once upper halves are counted, and the counts of lower halves there.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    count: u64,
    /// Ranks that are wanted, ascending, each with its table and the rank within it.
    ranks: Vec<(u64, usize, u64)>,
    /// Upper half to number of its table, from 1; 0 is none.
    table_of: Box<[u16]>,
    highs: Vec<u32>,
    lows: Vec<u64>,
}

impl Selection {
    /// Finds where the ranks of percentiles lie; percentiles are from 0 to 100.
    pub(crate) fn new(highs: &[u64], percentiles: &[f64]) -> Self {
        let count = highs.iter().sum();
        let mut selection = Self {
            count,
            ranks: Vec::new(),
            table_of: vec![0; HALF].into_boxed_slice(),
            highs: Vec::new(),
            lows: Vec::new(),
        };
        let (mut high, mut before) = (0, 0);
        for rank in ranks(count, percentiles) {
            while before + highs[high] <= rank {
                before += highs[high];
                high += 1;
            }
            if selection.table_of[high] == 0 {
                selection.highs.push(high as u32);
                selection.table_of[high] = selection.highs.len() as u16;
            }
            selection.ranks.push((rank, usize::from(selection.table_of[high]) - 1, rank - before));
        }
        selection.lows = vec![0; selection.highs.len() * HALF];
        selection
    }

    /// Counts the lower half of a key, where that is wanted.
    #[inline]
    pub(crate) fn count(&mut self, key: u32) {
        let table = usize::from(self.table_of[(key >> 16) as usize]);
        if table != 0 {
            self.lows[(table - 1) * HALF + (key & 0xffff) as usize] += 1;
        }
    }

    /// Adds what another counted for the same ranks.
    pub(crate) fn add(&mut self, other: &Self) {
        for (count, other) in self.lows.iter_mut().zip(&other.lows) {
            *count += other;
        }
    }

    /// Returns the percentiles, given how keys become values.
    pub(crate) fn percentiles(&self, percentiles: &[f64], value: impl Fn(u32) -> f64) -> Vec<f64> {
        let at = |wanted: u64| {
            let found = self.ranks.iter().find(|&&(rank, _, _)| rank == wanted);
            let &(_, table, mut rank) = found.expect("`new` was given the same percentiles");
            let lows = &self.lows[table * HALF..][..HALF];
            let mut low = 0;
            while lows[low] <= rank {
                rank -= lows[low];
                low += 1;
            }
            value(self.highs[table] << 16 | low as u32)
        };
        percentiles.iter().map(|&p| between(self.count, p, at)).collect()
    }
}

/// Returns the ranks that percentiles of `count` values need, ascending, each once.
fn ranks(count: u64, percentiles: &[f64]) -> Vec<u64> {
    let Some(last) = count.checked_sub(1) else { return Vec::new() };
    let mut ranks: Vec<u64> = Vec::new();
    for &percentile in percentiles {
        let low = rank(count, percentile).0;
        ranks.extend([low, (low + 1).min(last)]);
    }
    ranks.sort_unstable();
    ranks.dedup();
    ranks
}

/// Returns the rank at or below a percentile, and the fraction to the next.
fn rank(count: u64, percentile: f64) -> (u64, f64) {
    let last = count.saturating_sub(1);
    let place = last as f64 * (percentile / 100.0);
    let low = (place.floor() as u64).min(last);
    (low, place - low as f64)
}

/// Interpolates between the values at two ranks; of no values it is 0.
fn between(count: u64, percentile: f64, at: impl Fn(u64) -> f64) -> f64 {
    if count == 0 {
        return 0.0;
    }
    let (low, part) = rank(count, percentile);
    let (a, b) = (at(low), at((low + 1).min(count - 1)));
    // From the nearer end, so that the result is between them in spite of rounding.
    if part < 0.5 { a + (b - a) * part } else { b - (b - a) * (1.0 - part) }
}

/// Returns percentiles of values that come as often as `counts` says; the values ascend.
pub(crate) fn of_counts(counts: &[(f64, u64)], percentiles: &[f64]) -> Vec<f64> {
    let count = counts.iter().map(|&(_, times)| times).sum();
    let at = |rank: u64| {
        let mut before = 0;
        let found = counts.iter().find(|&&(_, times)| {
            before += times;
            rank < before
        });
        found.expect("ranks are below the count").0
    };
    percentiles.iter().map(|&p| between(count, p, at)).collect()
}

/// Returns percentiles of values, which are reordered.
pub(crate) fn of_values(values: &mut [f64], percentiles: &[f64]) -> Vec<f64> {
    let count = values.len() as u64;
    let mut start = 0;
    for rank in ranks(count, percentiles) {
        let rank = rank as usize;
        // What was selected before stays where it is.
        values[start..].select_nth_unstable_by(rank - start, f64::total_cmp);
        start = rank + 1;
    }
    let values = &*values;
    percentiles.iter().map(|&p| between(count, p, |rank| values[rank as usize] + 0.0)).collect()
}

/// Returns percentiles of the voxels of 32 bits that `keep` keeps, given a voxel's place and value.
pub(crate) fn of_voxels<T: Keyed>(
    voxels: &[T],
    percentiles: &[f64],
    keep: impl Fn(usize, f64) -> bool,
) -> Vec<f64> {
    let mut highs = no_high_counts();
    let kept = |at: usize, voxel: T| {
        let value = voxel.to_f64();
        value.is_finite() & keep(at, value)
    };
    for (at, &voxel) in voxels.iter().enumerate() {
        highs[(voxel.key() >> 16) as usize] += u64::from(kept(at, voxel));
    }
    let mut selection = Selection::new(&highs, percentiles);
    for (at, &voxel) in voxels.iter().enumerate() {
        if kept(at, voxel) {
            selection.count(voxel.key());
        }
    }
    selection.percentiles(percentiles, T::value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition: sort, then interpolate.
    fn sorted(mut values: Vec<f64>, percentiles: &[f64]) -> Vec<f64> {
        values.sort_by(f64::total_cmp);
        percentiles
            .iter()
            .map(|&p| between(values.len() as u64, p, |rank| values[rank as usize] + 0.0))
            .collect()
    }

    const SOME: [f64; 7] = [0.0, 0.5, 25.0, 50.0, 99.5, 99.99, 100.0];

    proptest! {
        #[test]
        fn selecting_gives_what_sorting_gives(
            floats in prop::collection::vec(prop_oneof![any::<f32>(), -3.0_f32..3.0, Just(0.0), Just(-0.0)], 1..300),
            integers in prop::collection::vec(prop_oneof![any::<i32>(), -5..5_i32], 1..300),
        ) {
            let finite: Vec<f64> = floats.iter().filter(|x| x.is_finite()).map(|&x| f64::from(x)).collect();
            prop_assert_eq!(of_voxels(&floats, &SOME, |_, _| true), sorted(finite.clone(), &SOME));
            prop_assert_eq!(of_values(&mut finite.clone(), &SOME), sorted(finite, &SOME));
            let values: Vec<f64> = integers.iter().map(|&x| f64::from(x)).collect();
            prop_assert_eq!(of_voxels(&integers, &SOME, |_, _| true), sorted(values.clone(), &SOME));
            let unsigned: Vec<u32> = integers.iter().map(|&x| x as u32).collect();
            let values = unsigned.iter().map(|&x| f64::from(x)).collect();
            prop_assert_eq!(of_voxels(&unsigned, &SOME, |_, _| true), sorted(values, &SOME));
        }

        #[test]
        fn keys_are_ordered_as_values_and_give_them_back(a in any::<f32>(), b in any::<f32>()) {
            prop_assume!(a.is_finite() && b.is_finite());
            if a < b {
                prop_assert!(a.key() < b.key());
            }
            prop_assert_eq!(f32::value(a.key()), f64::from(a) + 0.0);
        }
    }

    #[test]
    fn of_nothing_percentiles_are_0() {
        assert_eq!(of_voxels::<f32>(&[], &[50.0], |_, _| true), [0.0]);
        assert_eq!(of_values(&mut [], &[50.0]), [0.0]);
        assert_eq!(of_counts(&[], &[50.0]), [0.0]);
        assert_eq!(of_voxels(&[1.0_f32, f32::NAN], &[50.0], |_, _| true), [1.0]);
    }
}
