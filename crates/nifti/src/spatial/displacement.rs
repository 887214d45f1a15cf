//! A cubic B-spline of displacements over a patch.

use crate::error::Error;

/// How far each point of a patch is displaced: a tensor product of uniform cubic B-splines over a coarse grid of control
/// points, in voxels of the patch.
///
/// n control points along an axis make n - 3 cells from the outer edge of the first voxel to that of the last. At a place
/// t in 0..1 of cell i the weights of the points i to i + 3 are (1-t)^3 / 6, (3t^3 - 6t^2 + 4) / 6,
/// (-3t^3 + 3t^2 + 3t + 1) / 6 and t^3 / 6. Beyond the patch it stays what it is at the edge.
#[derive(Clone, Debug, PartialEq)]
pub struct Displacement {
    // Invariant: n.product() control points, finite and at most `MOST`; n within `CONTROL_POINTS`; no size is 0.
    n: [usize; 3],
    control: Vec<[f64; 3]>,
    size: [usize; 3],
}

impl Displacement {
    /// How many control points there may be along an axis.
    pub const CONTROL_POINTS: std::ops::RangeInclusive<usize> = 4..=64;

    /// The longest displacement along an axis, in voxels of the patch and, once mapped, in stored voxels.
    pub const MOST: f64 = 1000.0;

    /// Makes it of `n` control points along x, y and z (x fastest), displaced by so many voxels of a patch of `size`.
    ///
    /// # Errors
    /// Refuses numbers of control points that do not fit, and displacements that are not finite or above [`Self::MOST`].
    pub fn new(n: [usize; 3], control: Vec<[f64; 3]>, size: [usize; 3]) -> Result<Self, Error> {
        if !n.iter().all(|n| Self::CONTROL_POINTS.contains(n)) || control.len() != n.iter().product::<usize>()
        {
            let expected = "4 to 64 control points along each axis, and a displacement for each";
            return Err(Error::choice(
                "elastic",
                expected,
                format!("{n:?} and {} displacements", control.len()),
            ));
        }
        if let Some(by) = control.iter().flatten().find(|by| by.is_nan() || Self::MOST < by.abs()) {
            return Err(Error::choice("elastic", "displacements of at most 1000 voxels", by));
        }
        if size.contains(&0) {
            return Err(Error::RegionOutside { origin: [0; 3], size, shape: size });
        }
        Ok(Self { n, control, size })
    }

    /// Returns how many control points lie along x, y and z.
    pub fn control_points(&self) -> [usize; 3] {
        self.n
    }

    /// Returns their displacements in voxels of the patch, x fastest.
    pub fn control(&self) -> &[[f64; 3]] {
        &self.control
    }

    /// Returns the first of the four control points of a place along an axis, and their weights.
    pub(crate) fn weights(&self, axis: usize, at: f64) -> (usize, [f64; 4]) {
        let cells = (self.n[axis] - 3) as f64;
        let place = ((at + 0.5) / self.size[axis] as f64 * cells).clamp(0.0, cells);
        let cell = place.floor().min(cells - 1.0);
        let t = place - cell;
        let s = 1.0 - t;
        let weights = [
            s * s * s / 6.0,
            (t * t * (3.0 * t - 6.0) + 4.0) / 6.0,
            (s * s * (3.0 * s - 6.0) + 4.0) / 6.0,
            t * t * t / 6.0,
        ];
        (cell as usize, weights)
    }

    /// Returns the displacement at a point of the patch, in voxels of the patch.
    pub fn at(&self, point: [f64; 3]) -> [f64; 3] {
        let [(x, wx), (y, wy), (z, wz)] = [0, 1, 2].map(|axis| self.weights(axis, point[axis]));
        let mut sum = [0.0; 3];
        for (k, wz) in wz.into_iter().enumerate() {
            for (j, wy) in wy.into_iter().enumerate() {
                let row = ((z + k) * self.n[1] + y + j) * self.n[0] + x;
                for (control, wx) in self.control[row..].iter().zip(wx) {
                    for (sum, by) in sum.iter_mut().zip(control) {
                        *sum += wz * wy * wx * by;
                    }
                }
            }
        }
        sum
    }

    /// Returns a bound of how much farther apart two points may be displaced than they lie apart, both measured along
    /// the axis where it is most. Below 1, no two points meet, and [`Map::find`](crate::Map::find) succeeds.
    ///
    /// The derivative of a B-spline is one of lower degree over the differences of its control points, divided by the
    /// length of a cell, with weights that sum to 1.
    pub fn contraction(&self) -> f64 {
        let [nx, ny, _] = self.n;
        let strides = [1, nx, nx * ny];
        let mut slopes = [[0.0_f64; 3]; 3];
        for (index, here) in self.control.iter().enumerate() {
            for (axis, stride) in strides.into_iter().enumerate() {
                if index / stride % self.n[axis] + 1 < self.n[axis] {
                    let cell = self.size[axis] as f64 / (self.n[axis] - 3) as f64;
                    for component in 0..3 {
                        let slope = (self.control[index + stride][component] - here[component]).abs() / cell;
                        slopes[component][axis] = slopes[component][axis].max(slope);
                    }
                }
            }
        }
        slopes.iter().map(|slopes| slopes.iter().sum::<f64>()).fold(0.0, f64::max)
    }
}
