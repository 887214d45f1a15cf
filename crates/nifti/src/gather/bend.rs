//! A displacement along rows, in stored voxels.

use super::course::POINT;
use super::level::Level;
use crate::affine::Affine;
use crate::spatial::Displacement;

/// The bits of a displacement after its point: displacements below 2048 voxels fit into 32 bits.
pub(super) const BEND_POINT: u32 = 20;

/// The longest displacement in stored voxels, with room for rounding.
const MOST: f64 = 2040.0;

/// The first of four control points along an axis, and their weights, for a voxel of the patch.
type Place = (usize, [f32; 4]);

/// A displacement over the voxels of a patch: control points in stored voxels, times 2^20, and the weights of each voxel.
#[derive(Debug)]
pub(super) struct Bend {
    n: [usize; 3],
    control: Vec<[f32; 3]>,
    /// The voxels of each cell along x, with the cell's first control point.
    cells: Vec<(std::ops::Range<usize>, usize)>,
    /// The four weights of each voxel along x.
    across: [Vec<f32>; 4],
    rows: Vec<Place>,
    slices: Vec<Place>,
}

impl Bend {
    /// Tabulates a displacement that `affine` maps, or returns nothing where it is too long.
    pub(super) fn new(displacement: &Displacement, affine: &Affine, size: [usize; 3]) -> Option<Self> {
        let mut control = Vec::with_capacity(displacement.control().len());
        for by in displacement.control() {
            let by = affine.apply_linear(*by);
            if !by.iter().all(|by| by.abs() <= MOST) {
                return None;
            }
            control.push(by.map(|by| (by * f64::from(1 << BEND_POINT)) as f32));
        }
        let places = |axis: usize| {
            let place = |at: usize| {
                let (first, weights) = displacement.weights(axis, at as f64);
                (first, weights.map(|w| w as f32))
            };
            (0..size[axis]).map(place).collect::<Vec<Place>>()
        };
        let along = places(0);
        let mut cells: Vec<(std::ops::Range<usize>, usize)> = Vec::new();
        for (x, &(first, _)) in along.iter().enumerate() {
            match cells.last_mut() {
                Some((range, cell)) if *cell == first => range.end = x + 1,
                _ => cells.push((x..x + 1, first)),
            }
        }
        let across = [0, 1, 2, 3].map(|tap| along.iter().map(|(_, weights)| weights[tap]).collect());
        Some(Self {
            n: displacement.control_points(),
            control,
            cells,
            across,
            rows: places(1),
            slices: places(2),
        })
    }
}

/// The displacements of one row.
#[derive(Debug)]
pub(super) struct BendRow {
    /// The control points reduced along z, by y and x.
    plane: Vec<[f32; 3]>,
    /// Reduced along y, too.
    line: Vec<[f32; 3]>,
    /// For each stored axis, the displacement of each voxel in units of 2^-20.
    by: [Vec<i32>; 3],
    bounds: [[i64; 2]; 3],
}

#[inline(always)]
fn mix(w: &[f32; 4], c: [f32; 4]) -> f32 {
    w[0] * c[0] + w[1] * c[1] + w[2] * c[2] + w[3] * c[3]
}

impl BendRow {
    pub(super) fn new(bend: &Bend, nx: usize) -> Self {
        Self {
            plane: vec![[0.0; 3]; bend.n[0] * bend.n[1]],
            line: vec![[0.0; 3]; bend.n[0]],
            by: [(); 3].map(|()| vec![0; nx]),
            bounds: [[0; 2]; 3],
        }
    }

    /// Goes to the rows of a z.
    pub(super) fn set_z(&mut self, bend: &Bend, z: usize) {
        let (first, weights) = &bend.slices[z];
        let stride = bend.n[0] * bend.n[1];
        for (at, sum) in self.plane.iter_mut().enumerate() {
            let c = [0, 1, 2, 3].map(|k| bend.control[(first + k) * stride + at]);
            *sum = [0, 1, 2].map(|a| mix(weights, c.map(|c| c[a])));
        }
    }

    /// Goes to the row of a y.
    pub(super) fn set_y(&mut self, level: Level, bend: &Bend, y: usize) {
        let (first, weights) = &bend.rows[y];
        for (at, sum) in self.line.iter_mut().enumerate() {
            let c = [0, 1, 2, 3].map(|k| self.plane[(first + k) * bend.n[0] + at]);
            *sum = [0, 1, 2].map(|a| mix(weights, c.map(|c| c[a])));
        }
        for axis in 0..3 {
            let by = &mut self.by[axis];
            for (range, first) in &bend.cells {
                let c = [0, 1, 2, 3].map(|k| self.line[first + k][axis]);
                let [w0, w1, w2, w3] = [0, 1, 2, 3].map(|k| &bend.across[k][range.clone()]);
                let by = &mut by[range.clone()];
                let done = match level {
                    Level::Scalar => 0,
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx2(proof) => super::avx2::bend(proof, [w0, w1, w2, w3], c, by),
                };
                for x in done..by.len() {
                    by[x] = mix(&[w0[x], w1[x], w2[x], w3[x]], c) as i32;
                }
            }
            let by = &self.by[axis];
            let ends = |(low, high): (i32, i32), &x: &i32| (low.min(x), high.max(x));
            let (least, most) = level.run(|| by.iter().fold((i32::MAX, i32::MIN), ends));
            self.bounds[axis] = [least, most].map(Self::fixed);
        }
    }

    #[inline(always)]
    fn fixed(by: i32) -> i64 {
        i64::from(by) << (POINT - BEND_POINT)
    }

    /// Returns the displacements of voxel x along the stored axes, in units of 2^-32 voxels.
    #[inline(always)]
    pub(super) fn at(&self, x: usize) -> [i64; 3] {
        [0, 1, 2].map(|axis| Self::fixed(self.by[axis][x]))
    }

    #[cfg(target_arch = "x86_64")]
    /// Returns the displacements of a row along a stored axis, in units of 2^-20 voxels.
    pub(super) fn along(&self, axis: usize) -> &[i32] {
        &self.by[axis]
    }

    /// Returns the lowest and highest displacement of the row along a stored axis.
    #[inline]
    pub(super) fn bounds(&self, axis: usize) -> [i64; 2] {
        self.bounds[axis]
    }
}
