//! Motion while an image is taken.

use batchwright_core::math;
use serde::{Deserialize, Serialize};

use super::PatchShape;
use super::chain::Chain;
use super::kspace::even_mask;
use super::options::{
    Draws, check_channels, check_number, check_range, check_whole, options, uniform, which_channels, whole,
};
use super::resolution::{check_axes, draw_axis};
use crate::Error;

options! {
    /// Composes k-space of slabs, each taken of the patch in another position: rotated around its middle and shifted. There is
    /// one slab more than there are moves, of about equal widths along one axis of k-space, and the one in the middle of k-space
    /// is of the patch as it is. Beyond its border the patch is continued by its outermost voxels. The same for all channels.
    /// Stream `augment/motion`.
    pub struct Motion {
        /// The angles around x, y and z in degrees, each drawn for itself; [-10, 10] by default.
        degrees: [f64; 2] = [-10.0, 10.0],
        /// The shifts along x, y and z in millimetres, each drawn for itself; [-10, 10] by default.
        millimetres: [f64; 2] = [-10.0, 10.0],
        /// How many moves, [least, most]; [2, 2] by default.
        moves: [u32; 2] = [2, 2],
        /// Which axes the slabs may follow one another along, of x, y and z; z alone by default.
        axes: [bool; 3] = [false, false, true],
    }
}

/// A position of the patch: voxel p is read at R (p - c) + c + t, in millimetres, with c the middle of the patch and
/// R = Rz Ry Rx.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// The angles of Rx, Ry and Rz.
    pub degrees: [f64; 3],
    /// The shift t.
    pub millimetres: [f64; 3],
    /// Where in k-space, from 0 at one edge to 1 at the other, this move happens.
    pub time: f64,
}

/// Moves that were drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MotionDrawn {
    /// The axis of k-space along which slabs follow one another: 0 is x, 1 is y, 2 is z.
    pub axis: usize,
    /// The moves, in the order of time.
    pub moves: Vec<Move>,
    /// Which channels it happens to.
    pub channels: Vec<bool>,
}

/// How far the time of a move may be from its middle, in parts of the width of a slab.
const JITTER: f64 = 0.3;
const MOST_MOVES: u32 = 100;

impl Motion {
    pub(super) fn check(&self, key: &str) -> Result<(), Error> {
        check_range(&format!("{key}.degrees"), self.degrees, -180.0, 180.0)?;
        check_range(&format!("{key}.millimetres"), self.millimetres, -1e4, 1e4)?;
        check_whole(&format!("{key}.moves"), self.moves, 0, MOST_MOVES)?;
        check_axes(&format!("{key}.axes"), self.axes)
    }

    pub(super) fn draw(&self, draws: &Draws<'_>, shape: &PatchShape) -> Option<MotionDrawn> {
        let mut stream = draws.stream();
        if !stream.chance(self.probability) {
            return None;
        }
        let count = whole(&mut stream, self.moves);
        let axis = draw_axis(&mut stream, self.axes);
        let width = 1.0 / f64::from(count + 1);
        let moves = (1..=count).map(|k| Move {
            degrees: [(); 3].map(|()| uniform(&mut stream, self.degrees)),
            millimetres: [(); 3].map(|()| uniform(&mut stream, self.millimetres)),
            time: width * (f64::from(k) + stream.uniform_in(-JITTER, JITTER)),
        });
        let moves = moves.collect();
        let channels = which_channels(&mut stream, shape, self.channel_probability)?;
        Some(MotionDrawn { axis, moves, channels })
    }
}

impl MotionDrawn {
    pub(super) fn check(&self, shape: &PatchShape) -> Result<(), Error> {
        check_number("motion.axis", self.axis as f64, 0.0, 2.0)?;
        check_number("motion.moves", self.moves.len() as f64, 0.0, f64::from(MOST_MOVES))?;
        let mut before = 0.0;
        for Move { degrees, millimetres, time } in &self.moves {
            for (degrees, millimetres) in degrees.iter().zip(millimetres) {
                check_number("motion.moves.degrees", *degrees, -180.0, 180.0)?;
                check_number("motion.moves.millimetres", *millimetres, -1e4, 1e4)?;
            }
            check_number("motion.moves.time", *time, before, 1.0)?;
            before = *time;
        }
        check_channels("motion.channels", self.channels.len(), shape)
    }

    pub(super) fn run(&self, chain: &mut Chain<'_>) {
        let PatchShape { size, spacing, .. } = *chain.shape;
        let n = size[self.axis];
        let still = |m: &Move| m.degrees == [0.0; 3] && m.millimetres == [0.0; 3];
        if !self.channels[chain.channel] || self.moves.iter().all(still) {
            return;
        }
        let (plane, scratch) = chain.voxels();
        let slab = |place: usize| self.moves.iter().filter(|m| m.time * n as f64 <= place as f64).count();
        let unmoved = slab(n / 2);
        let (mut copy, mut moved) = (std::mem::take(&mut scratch.copy), std::mem::take(&mut scratch.lines));
        copy.clear();
        copy.extend_from_slice(plane);
        even_mask(n, &mut scratch.weights, |place| f64::from(u8::from(slab(place) == unmoved)));
        scratch.fourier.filter(plane, size, self.axis, &scratch.weights);
        let others = (0..=self.moves.len()).filter(|&s| s != unmoved);
        for (s, position) in others.zip(&self.moves) {
            even_mask(n, &mut scratch.weights, |place| f64::from(u8::from(slab(place) == s)));
            moved.clear();
            moved.resize(plane.len(), 0.0);
            read_at(position, &copy, size, spacing, &mut moved);
            scratch.fourier.filter(&mut moved, size, self.axis, &scratch.weights);
            for (to, from) in plane.iter_mut().zip(&moved) {
                *to += *from;
            }
        }
        (scratch.copy, scratch.lines) = (copy, moved);
    }
}

/// The matrix of a position, from voxels to voxels.
fn matrix(degrees: [f64; 3], spacing: [f64; 3]) -> [[f64; 3]; 3] {
    let [x, y, z] = degrees.map(|degrees| {
        let (sin, cos) = math::sin_cos_turns((degrees / 360.0) as f32);
        (f64::from(sin), f64::from(cos))
    });
    let ((sx, cx), (sy, cy), (sz, cz)) = (x, y, z);
    let rotation = [
        [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
        [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
        [-sy, cy * sx, cy * cx],
    ];
    std::array::from_fn(|i| std::array::from_fn(|j| rotation[i][j] * spacing[j] / spacing[i]))
}

/// Reads a channel, linearly, at another position.
fn read_at(position: &Move, from: &[f32], size: [usize; 3], spacing: [f64; 3], to: &mut [f32]) {
    let [nx, ny, _] = size;
    let m = matrix(position.degrees, spacing);
    let middle = size.map(|n| (n - 1) as f64 / 2.0);
    // The two voxels around a place along an axis, and the part of the second.
    let around = |axis: usize, place: f64| {
        let place = place.clamp(0.0, (size[axis] - 1) as f64);
        let below = place as usize;
        (below, (below + 1).min(size[axis] - 1), (place - below as f64) as f32)
    };
    let blend = |a: f32, b: f32, weight: f32| a + weight * (b - a);
    for (row, voxels) in to.chunks_exact_mut(nx).enumerate() {
        let (y, z) = ((row % ny) as f64 - middle[1], (row / ny) as f64 - middle[2]);
        let start: [f64; 3] = std::array::from_fn(|i| {
            m[i][1] * y + m[i][2] * z + middle[i] + position.millimetres[i] / spacing[i]
        });
        for (x, voxel) in voxels.iter_mut().enumerate() {
            let x = x as f64 - middle[0];
            let (x0, x1, fx) = around(0, m[0][0] * x + start[0]);
            let (y0, y1, fy) = around(1, m[1][0] * x + start[1]);
            let (z0, z1, fz) = around(2, m[2][0] * x + start[2]);
            let line = |y: usize, z: usize| {
                let row = &from[(z * ny + y) * nx..][..nx];
                blend(row[x0], row[x1], fx)
            };
            let slice = |z: usize| blend(line(y0, z), line(y1, z), fy);
            *voxel = blend(slice(z0), slice(z1), fz);
        }
    }
}
