//! Smooth random functions of space.

use batchwright_core::Stream;

/// Cells along each axis, after which a field repeats; a power of two.
const PERIOD: usize = 16;

/// By what the coefficients are multiplied so that the functions have a variance of about 1: the integral of the square of
/// the cubic B-spline is 151/315, and there are three axes.
const GAIN: f32 = 3.012_9;

/// Four smooth random functions of space, each about standard normal: uniform cubic B-splines over a lattice of random
/// coefficients, which repeats.
#[derive(Debug)]
pub(super) struct Field {
    coefficients: Vec<[f32; 4]>,
    /// Cells a millimetre.
    frequency: f32,
}

impl Field {
    /// Draws a field whose hills are about `cell` millimetres wide.
    pub(super) fn new(stream: &mut Stream, cell: f32) -> Self {
        let mut coefficients = vec![[0.0; 4]; PERIOD * PERIOD * PERIOD];
        stream.fill_normal(coefficients.as_flattened_mut());
        coefficients.as_flattened_mut().iter_mut().for_each(|x| *x *= GAIN);
        Self { coefficients, frequency: 1.0 / cell }
    }

    /// Returns the four functions at a point, in millimetres.
    #[inline]
    pub(super) fn at(&self, point: [f32; 3]) -> [f32; 4] {
        let [(x, wx), (y, wy), (z, wz)] = point.map(|p| taps(p * self.frequency));
        let mut sum = [0.0; 4];
        for (z, wz) in z.into_iter().zip(wz) {
            let mut plane = [0.0; 4];
            for (y, wy) in y.into_iter().zip(wy) {
                let row = (z * PERIOD + y) * PERIOD;
                let mut line = [0.0; 4];
                for (x, wx) in x.into_iter().zip(wx) {
                    add(&mut line, self.coefficients[row + x], wx);
                }
                add(&mut plane, line, wy);
            }
            add(&mut sum, plane, wz);
        }
        sum
    }
}

#[inline]
fn add(sum: &mut [f32; 4], what: [f32; 4], weight: f32) {
    for (sum, what) in sum.iter_mut().zip(what) {
        *sum += what * weight;
    }
}

/// Returns the four places along an axis whose coefficients reach a point, and their weights (the uniform cubic B-spline).
#[inline]
fn taps(at: f32) -> ([usize; 4], [f32; 4]) {
    let cell = at.floor();
    let t = at - cell;
    let first = cell as i32;
    let places = [-1, 0, 1, 2].map(|i| (first.wrapping_add(i) & (PERIOD as i32 - 1)) as usize);
    let u = 1.0 - t;
    let (t2, u2) = (t * t, u * u);
    let sixth = 1.0 / 6.0;
    let weights = [
        u2 * u * sixth,
        (4.0 - 6.0 * t2 + 3.0 * t2 * t) * sixth,
        (4.0 - 6.0 * u2 + 3.0 * u2 * u) * sixth,
        t2 * t * sixth,
    ];
    (places, weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_smooth_repeats_and_has_the_variance_of_one() {
        let field = Field::new(&mut Stream::new(1, 0, 0, "field"), 10.0);
        let (mut sum, mut squares, mut steepest) = ([0.0; 4], [0.0; 4], 0.0_f32);
        let n = 20_000;
        for i in 0..n {
            let point = [i as f32 * 0.77 % 160.0, i as f32 * 1.31 % 160.0, i as f32 * 2.03 % 160.0];
            let (here, beside) = (field.at(point), field.at([point[0] + 0.1, point[1], point[2]]));
            for lane in 0..4 {
                sum[lane] += f64::from(here[lane]);
                squares[lane] += f64::from(here[lane] * here[lane]);
                steepest = steepest.max((here[lane] - beside[lane]).abs());
            }
        }
        for lane in 0..4 {
            let variance = squares[lane] / f64::from(n);
            assert!((sum[lane] / f64::from(n)).abs() < 0.15 && (0.8..1.2).contains(&variance), "{variance}");
        }
        assert!(0.005 < steepest && steepest < 0.1, "{steepest}");
        let (a, b) = (field.at([12.5, -40.25, 7.0]), field.at([172.5, 119.75, 7.0]));
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4), "{a:?} {b:?}");
    }
}
