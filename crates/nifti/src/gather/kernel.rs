//! Interpolation: which voxels take part, and with which weights.

use super::level::Level;
use super::row::Row;
use super::tap::{Real, Tap};

/// A way to interpolate along three axes.
pub(super) trait Interpolate {
    /// How many voxels take part along an axis.
    const TAPS: usize;
    /// The first of them, from the voxel at or below a coordinate.
    const FIRST: i64;
    /// What is added to coordinates, in units of 2^-32 voxels.
    const SHIFT: i64;

    /// Interpolates: `at(x, y, z)` is a voxel of 0..TAPS each, `t` the fractions.
    fn combine<A: Real>(t: [A; 3], at: impl Fn(usize, usize, usize) -> A) -> A;

    /// Evaluates voxels from `first` on whose taps all lie in the box, as many of `out` as it likes; returns how many.
    #[inline]
    fn fast<T: Tap>(_level: Level, _row: &Row<'_, T>, _first: usize, _out: &mut [T::Real]) -> usize {
        0
    }
}

pub(super) struct Nearest;
pub(super) struct Linear;
pub(super) struct Cubic;

impl Interpolate for Nearest {
    const TAPS: usize = 1;
    const FIRST: i64 = 0;
    const SHIFT: i64 = 1 << 31;

    #[inline(always)]
    fn combine<A: Real>(_: [A; 3], at: impl Fn(usize, usize, usize) -> A) -> A {
        at(0, 0, 0)
    }
}

impl Interpolate for Linear {
    const TAPS: usize = 2;
    const FIRST: i64 = 0;
    const SHIFT: i64 = 0;

    #[inline(always)]
    fn combine<A: Real>(t: [A; 3], at: impl Fn(usize, usize, usize) -> A) -> A {
        let mix = |a: A, b: A, t: A| a + t * (b - a);
        let line = |y, z| mix(at(0, y, z), at(1, y, z), t[0]);
        let plane = |z| mix(line(0, z), line(1, z), t[1]);
        mix(plane(0), plane(1), t[2])
    }

    #[inline]
    fn fast<T: Tap>(level: Level, row: &Row<'_, T>, first: usize, out: &mut [T::Real]) -> usize {
        T::linear(level, row, first, out)
    }
}

/// Weights of Catmull and Rom 1974: cubic convolution with a = -1/2 (Keys 1981).
#[inline(always)]
fn catmull_rom<A: Real>(t: A) -> [A; 4] {
    let [half, one, three_halves, two, five_halves] = [0.5, 1.0, 1.5, 2.0, 2.5].map(A::of);
    [
        ((one - half * t) * t - half) * t,
        (three_halves * t - five_halves) * t * t + one,
        ((two - three_halves * t) * t + half) * t,
        (half * t - half) * t * t,
    ]
}

#[inline(always)]
fn sum<A: Real>(w: [A; 4], of: impl Fn(usize) -> A) -> A {
    w[0] * of(0) + w[1] * of(1) + w[2] * of(2) + w[3] * of(3)
}

impl Interpolate for Cubic {
    const TAPS: usize = 4;
    const FIRST: i64 = -1;
    const SHIFT: i64 = 0;

    #[inline(always)]
    fn combine<A: Real>(t: [A; 3], at: impl Fn(usize, usize, usize) -> A) -> A {
        let [wx, wy, wz] = t.map(catmull_rom);
        sum(wz, |z| sum(wy, |y| sum(wx, |x| at(x, y, z))))
    }
}
