//! Smooth deformations: a coarse grid of displacements, between which cubic B-splines lead.

use batchwright_core::Context;

/// The mean over a cell of the sum of squared weights of a cubic B-spline: its autocorrelation at 0, the central value of the
/// B-spline of degree 7, 151 / 315 (Unser, Aldroubi and Eden 1993).
const MEAN_SQUARE: f64 = 151.0 / 315.0;

/// How far each output pixel is displaced, [H, W].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Displacements {
    pub(crate) right: Vec<f64>,
    pub(crate) down: Vec<f64>,
}

/// A grid of displaced control points.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    cells: usize,
    // Invariant: `cells + 3` a side, the displacements to the right, row by row, then those down.
    points: Vec<f32>,
    /// By how much a control point is multiplied.
    factor: f64,
}

impl Field {
    /// Draws the control points from the stream `augment/elastic_values`: first all for x, row by row, then all for y.
    pub(crate) fn draw(context: &Context<'_>, cells: usize, displacement: f64) -> Self {
        let side = cells + 3;
        let mut points = vec![0.0; 2 * side * side];
        context.stream("augment/elastic_values").fill_normal(&mut points);
        Self::new(cells, points, displacement)
    }

    pub(crate) fn new(cells: usize, points: Vec<f32>, displacement: f64) -> Self {
        // Along two axes, the mean square between control points is MEAN_SQUARE^2 of theirs.
        Self { cells, points, factor: displacement / MEAN_SQUARE }
    }

    /// Evaluates the spline at the middle of every pixel.
    pub(crate) fn at_pixels(&self, height: usize, width: usize) -> Displacements {
        let side = self.cells + 3;
        let columns: Vec<(usize, [f64; 4])> = (0..width).map(|x| self.weights(x, width)).collect();
        let mut blended = vec![0.0; side];
        let mut evaluate = |points: &[f32]| {
            let mut displaced = Vec::with_capacity(height * width);
            for y in 0..height {
                let (first, [a, b, c, d]) = self.weights(y, height);
                for (at, value) in blended.iter_mut().enumerate() {
                    let point = |k: usize| f64::from(points[(first + k) * side + at]);
                    *value = self.factor * (a * point(0) + b * point(1) + c * point(2) + d * point(3));
                }
                displaced.extend(columns.iter().map(|&(first, [a, b, c, d])| {
                    let points = &blended[first..first + 4];
                    a * points[0] + b * points[1] + c * points[2] + d * points[3]
                }));
            }
            displaced
        };
        let (right, down) = self.points.split_at(side * side);
        Displacements { right: evaluate(right), down: evaluate(down) }
    }

    /// Returns the first control point that the middle of a pixel feels, of four, and how much it feels each.
    fn weights(&self, pixel: usize, pixels: usize) -> (usize, [f64; 4]) {
        let place = (pixel as f64 + 0.5) * self.cells as f64 / pixels as f64;
        let first = (place as usize).min(self.cells - 1);
        let t = place - first as f64;
        let (u, tt) = (1.0 - t, t * t);
        let weights = [
            u * u * u / 6.0,
            (3.0 * tt * t - 6.0 * tt + 4.0) / 6.0,
            (3.0 * u * u * u - 6.0 * u * u + 4.0) / 6.0,
            tt * t / 6.0,
        ];
        (first, weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one_and_join_smoothly() {
        let field = Field { cells: 3, points: Vec::new(), factor: 1.0 };
        for pixels in [3, 28, 105] {
            for pixel in 0..pixels {
                let (first, weights) = field.weights(pixel, pixels);
                assert!(first < 3);
                assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-15);
                // Linear control points give a linear function (de Boor): the spline is at its place.
                let linear: f64 = (0..4).map(|k| weights[k] * ((first + k) as f64 - 1.0)).sum();
                let place = (pixel as f64 + 0.5) * 3.0 / pixels as f64;
                assert!((linear - place).abs() < 1e-12, "{linear} {place}");
            }
        }
    }

    #[test]
    fn displacements_are_as_large_as_said_and_smooth() {
        let (mut squares, mut count, mut jump) = (0.0, 0.0, 0.0_f64);
        for position in 0..400 {
            let field = Field::draw(&Context::new(7, 0, position), 4, 1.5);
            let Displacements { right, down } = field.at_pixels(28, 28);
            for values in [&right, &down] {
                squares += values.iter().map(|x| x * x).sum::<f64>();
                count += values.len() as f64;
                let rows = values.chunks_exact(28);
                let steps = rows.flat_map(|row| row.windows(2).map(|pair| (pair[1] - pair[0]).abs()));
                jump = steps.fold(jump, f64::max);
            }
        }
        // Over 400 fields of 2 x 49 control points the mean square has a standard deviation of about
        // sqrt(2 / (400 * 2 * 16)) = 1.2 %; five of them.
        let found = (squares / count).sqrt();
        assert!((found / 1.5 - 1.0).abs() < 0.03, "{found}");
        // The derivative of a spline is at most the largest difference of neighbouring control points, a cell of 7 pixels apart.
        assert!(jump < 2.0 * 5.77 * 1.5 / MEAN_SQUARE / 7.0, "{jump}");
    }
}
