//! A channel on its way through transforms. What changes each voxel by itself is put off and done together, piece by
//! piece, so that the channel is swept as seldom as it can be.

use batchwright_core::{Stream, StreamKey};

use super::loops::{self, LANES, Moments, POINTS, Path};
use super::{PatchShape, Scratch};

/// Voxels of a piece: few enough to stay in the first cache with their noise.
const PIECE: usize = 2048;
const _: () = assert!(PIECE.is_multiple_of(LANES));

/// What is done to each voxel by itself.
#[derive(Debug)]
pub(super) enum Op {
    Affine { scale: f32, offset: f32 },
    Contrast { mean: f32, factor: f32, low: f32, high: f32 },
    Power { sign: f32, low: f32, inverse: f32, range: f32, gamma: f32 },
    SignedPower { gamma: f32 },
    Curve { low: f32, scale: f32, range: f32, points: Box<[f32; POINTS]>, last: usize },
    Noise { stream: Box<Stream>, sigma: f32 },
    Magnitude { streams: Box<[Stream; 2]>, sigma: f32 },
}

impl Op {
    pub(super) fn noise(key: StreamKey, sigma: f32) -> Self {
        Self::Noise { stream: Box::new(key.open()), sigma }
    }

    pub(super) fn magnitude(keys: [StreamKey; 2], sigma: f32) -> Self {
        Self::Magnitude { streams: Box::new(keys.map(StreamKey::open)), sigma }
    }

    fn run(&mut self, path: Path, piece: &mut [f32], noise: &mut [[f32; PIECE]; 2]) {
        let [first, second] = noise;
        let (first, second) = (&mut first[..piece.len()], &mut second[..piece.len()]);
        match self {
            Self::Affine { scale, offset } => loops::affine(path, piece, *scale, *offset),
            Self::Contrast { mean, factor, low, high } => {
                loops::contrast(path, piece, *mean, *factor, *low, *high);
            }
            Self::Power { sign, low, inverse, range, gamma } => {
                loops::power(path, piece, *sign, *low, *inverse, *range, *gamma);
            }
            Self::SignedPower { gamma } => loops::signed_power(path, piece, *gamma),
            Self::Curve { low, scale, range, points, last } => {
                loops::curve(path, piece, *low, *scale, *range, points, *last);
            }
            Self::Noise { stream, sigma } => {
                stream.fill_normal(first);
                loops::add(path, piece, first, *sigma);
            }
            Self::Magnitude { streams, sigma } => {
                streams[0].fill_normal(first);
                streams[1].fill_normal(second);
                loops::magnitude(path, piece, first, second, *sigma);
            }
        }
    }
}

/// One channel of a patch, and what is still to be done to it.
pub(super) struct Chain<'a> {
    plane: &'a mut [f32],
    pub(super) shape: &'a PatchShape,
    pub(super) channel: usize,
    scratch: &'a mut Scratch,
}

impl<'a> Chain<'a> {
    pub(super) fn new(
        plane: &'a mut [f32],
        shape: &'a PatchShape,
        channel: usize,
        scratch: &'a mut Scratch,
    ) -> Self {
        scratch.ops.clear();
        Self { plane, shape, channel, scratch }
    }

    /// Puts off something.
    pub(super) fn push(&mut self, op: Op) {
        self.scratch.ops.push(op);
    }

    /// Does what was put off.
    pub(super) fn flush(&mut self) {
        if !self.scratch.ops.is_empty() {
            self.sweep(None);
        }
    }

    /// Does what was put off, and finds out about the result in the same sweep.
    pub(super) fn moments(&mut self) -> Moments {
        let mut moments = Moments::new();
        self.sweep(Some(&mut moments));
        moments
    }

    fn sweep(&mut self, mut moments: Option<&mut Moments>) {
        let Scratch { ops, noise, path, .. } = &mut *self.scratch;
        for piece in self.plane.chunks_mut(PIECE) {
            for op in &mut *ops {
                op.run(*path, piece, noise);
            }
            if let Some(moments) = &mut moments {
                moments.take(*path, piece);
            }
        }
        ops.clear();
    }

    /// Does what was put off, and gives the voxels of the channel, [z, y, x], and the scratch memory.
    pub(super) fn voxels(&mut self) -> (&mut [f32], &mut Scratch) {
        self.flush();
        (self.plane, self.scratch)
    }
}

/// Memory for the noise of a piece.
pub(super) type PieceNoise = Box<[[f32; PIECE]; 2]>;

pub(super) fn piece_noise() -> PieceNoise {
    Box::new([[0.0; PIECE]; 2])
}
