//! Coordinates as fixed-point numbers: an affine map in steps, and which steps of a row lie between two bounds.

use std::ops::Range;

use crate::affine::Affine;

/// The bits of a coordinate after its point.
pub(super) const POINT: u32 = 32;

/// One voxel.
pub(super) const ONE: i64 = 1 << POINT;

/// How far from the first voxel a map may reach, and how long an axis may be.
pub(super) const FARTHEST: f64 = (1 << 29) as f64;

/// An affine map from whole numbers to stored coordinates, in units of 2^-32 voxels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    // Invariant: over the patch it was made for, every coordinate and sum on the way is below 2^62.
    pub(super) start: [i64; 3],
    /// By axis of the patch, then stored axis.
    pub(super) steps: [[i64; 3]; 3],
}

impl Course {
    /// Rounds a map, or returns nothing where a corner of the patch is not finite or lies too far.
    pub(super) fn new(affine: &Affine, size: [usize; 3]) -> Option<Self> {
        let far = affine.0.iter().any(|row| {
            let ends = (0..3).map(|axis| row[axis].abs() * size[axis] as f64);
            {
                let far = ends.sum::<f64>() + row[3].abs();
                far.is_nan() || FARTHEST <= far
            }
        });
        if far {
            return None;
        }
        let fixed = |x: f64| (x * ONE as f64).round() as i64;
        Some(Self {
            start: affine.0.map(|row| fixed(row[3])),
            steps: [0, 1, 2].map(|axis| affine.0.map(|row| fixed(row[axis]))),
        })
    }

    /// Returns whether a stored coordinate is whole everywhere on a patch.
    pub(super) fn is_whole(&self, stored: usize, size: [usize; 3]) -> bool {
        let fraction = |x: i64| x & (ONE - 1);
        fraction(self.start[stored]) == 0
            && (0..3).all(|axis| size[axis] == 1 || fraction(self.steps[axis][stored]) == 0)
    }

    /// Returns where a row begins.
    #[inline]
    pub(super) fn row(&self, y: usize, z: usize) -> [i64; 3] {
        [0, 1, 2].map(|a| self.start[a] + y as i64 * self.steps[1][a] + z as i64 * self.steps[2][a])
    }
}

/// Returns the x of 0..n with `low <= start + x step < high`.
#[inline]
pub(super) fn between(start: i64, step: i64, n: usize, low: i64, high: i64) -> Range<usize> {
    let within = |c: i64| low <= c && c < high;
    if n == 0 || within(start) && within(start + step * (n as i64 - 1)) {
        return 0..n;
    }
    if step < 0 {
        return between_up(-start, -step, n, 1 - high, 1 - low);
    }
    between_up(start, step, n, low, high)
}

fn between_up(start: i64, step: i64, n: usize, low: i64, high: i64) -> Range<usize> {
    if step == 0 {
        return if low <= start && start < high { 0..n } else { 0..0 };
    }
    let ceil = |a: i64| -(-a).div_euclid(step);
    let first = ceil(low - start).clamp(0, n as i64) as usize;
    let end = ceil(high - start).clamp(0, n as i64) as usize;
    first..end.max(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_between_two_bounds_are_those_that_a_loop_finds() {
        let mut cases = 0;
        for start in -9..9 {
            for step in -4..=4 {
                for (low, high) in [(-5, 5), (0, 1), (3, 3), (4, -4), (-20, 20)] {
                    let expected: Vec<usize> =
                        (0..7).filter(|&x| (low..high).contains(&(start + x as i64 * step))).collect();
                    let found: Vec<usize> = between(start, step, 7, low, high).collect();
                    assert_eq!(found, expected, "{start} {step} {low} {high}");
                    cases += 1;
                }
            }
        }
        assert_eq!(cases, 18 * 9 * 5);
    }
}
