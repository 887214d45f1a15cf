//! Artefacts of MRI that arise in k-space, here the Fourier transform of the patch.
//!
//! A scanner measures the k-space of the whole field of view; a patch has one of its own, coarser by as much as it is
//! smaller. What is done to it shows the same kinds of artefact, but their lengths are parts of the patch and not of the
//! field of view: ghosts are displaced by parts of the patch and wrap around at its faces, a spike is a wave with a whole
//! number of periods along the patch, and rings run along its faces, where opposite sides differ, as well as along edges.
//! What lies outside of the patch leaves no trace in it. Gibbs ringing along edges does not depend on the patch.

use batchwright_core::math;
use serde::{Deserialize, Serialize};

use super::chain::Chain;
use super::options::{
    Draws, check_channels, check_number, check_range, check_whole, options, uniform, which_channels, whole,
};
use super::resolution::{check_axes, draw_axis};
use super::{PatchShape, loops};
use crate::Error;

options! {
    /// Repeats the patch faintly along an axis, as periodic motion does: every n-th plane of k-space, counted from its edge, is
    /// weakened; the central plane is not. The same for all channels. Stream `augment/ghosting`.
    pub struct Ghosting {
        /// Every how many planes, [least, most]; [4, 10] by default.
        ghosts: [u32; 2] = [4, 10],
        /// By which part those planes are weakened; [0.5, 1] by default.
        intensity: [f64; 2] = [0.5, 1.0],
        /// Which axes it may be along, of x, y and z; each by default.
        axes: [bool; 3] = [true; 3],
    }
}

options! {
    /// Adds waves, as sparks do that add to single places of k-space. The places are the same for all channels, uniform over
    /// k-space. Stream `augment/spike`.
    pub struct Spike {
        /// How many, [least, most]; [1, 1] by default.
        spikes: [u32; 2] = [1, 1],
        /// What is added, in parts of the largest magnitude of the channel's k-space; may be negative; [1, 3] by default.
        intensity: [f64; 2] = [1.0, 3.0],
    }
}

options! {
    /// Removes high frequencies, so that edges ring: what is left of k-space is a ball whose radius is 1 - alpha of what contains
    /// all of it, in cycles per voxel. 0 removes nothing. The same for all channels. Stream `augment/gibbs`.
    pub struct Gibbs {
        /// By how much the radius shrinks, from 0 to 1; [0, 1] by default.
        alpha: [f64; 2] = [0.0, 1.0],
    }
}

/// Ghosts that were drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GhostingDrawn {
    /// The axis: 0 is x, 1 is y, 2 is z.
    pub axis: usize,
    /// Every how many planes of k-space.
    pub ghosts: u32,
    /// By which part they are weakened.
    pub intensity: f64,
    /// Which channels it happens to.
    pub channels: Vec<bool>,
}

/// Spikes that were drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpikeDrawn {
    /// The frequencies: periods along the patch in x, y and z, each from -n / 2 to (n - 1) / 2 (rounded down).
    pub frequencies: Vec<[i64; 3]>,
    /// What is added, in parts of the largest magnitude.
    pub intensity: f64,
    /// Which channels it happens to.
    pub channels: Vec<bool>,
}

/// A loss of high frequencies that was drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GibbsDrawn {
    /// By how much the radius shrinks.
    pub alpha: f64,
    /// Which channels it happens to.
    pub channels: Vec<bool>,
}

/// Makes a mask, given by places counted from the edge of k-space (the middle is n / 2), one for frequencies counted from 0,
/// even in the frequency: taking the real part of what comes back does as much.
pub(super) fn even_mask(n: usize, mask: &mut Vec<f32>, at: impl Fn(usize) -> f64) {
    let shifted = |k: usize| at((k + n / 2) % n);
    mask.clear();
    mask.extend((0..n).map(|k| (0.5 * (shifted(k) + shifted((n - k) % n))) as f32));
}

impl Ghosting {
    pub(super) fn check(&self, key: &str) -> Result<(), Error> {
        check_whole(&format!("{key}.ghosts"), self.ghosts, 1, 10_000)?;
        check_range(&format!("{key}.intensity"), self.intensity, 0.0, 1.0)?;
        check_axes(&format!("{key}.axes"), self.axes)
    }

    pub(super) fn draw(&self, draws: &Draws<'_>, shape: &PatchShape) -> Option<GhostingDrawn> {
        let mut stream = draws.stream();
        if !stream.chance(self.probability) {
            return None;
        }
        let ghosts = whole(&mut stream, self.ghosts);
        let intensity = uniform(&mut stream, self.intensity);
        let axis = draw_axis(&mut stream, self.axes);
        let channels = which_channels(&mut stream, shape, self.channel_probability)?;
        Some(GhostingDrawn { axis, ghosts, intensity, channels })
    }
}

impl GhostingDrawn {
    pub(super) fn check(&self, shape: &PatchShape) -> Result<(), Error> {
        check_number("ghosting.axis", self.axis as f64, 0.0, 2.0)?;
        check_number("ghosting.ghosts", f64::from(self.ghosts), 1.0, 10_000.0)?;
        check_number("ghosting.intensity", self.intensity, 0.0, 1.0)?;
        check_channels("ghosting.channels", self.channels.len(), shape)
    }

    pub(super) fn run(&self, chain: &mut Chain<'_>) {
        let size = chain.shape.size;
        let n = size[self.axis];
        if !self.channels[chain.channel] || n < 2 || self.intensity == 0.0 {
            return;
        }
        let (plane, scratch) = chain.voxels();
        even_mask(n, &mut scratch.weights, |place| {
            if place.is_multiple_of(self.ghosts as usize) && place != n / 2 {
                1.0 - self.intensity
            } else {
                1.0
            }
        });
        scratch.fourier.filter(plane, size, self.axis, &scratch.weights);
    }
}

impl Spike {
    pub(super) fn check(&self, key: &str) -> Result<(), Error> {
        check_whole(&format!("{key}.spikes"), self.spikes, 0, 1000)?;
        check_range(&format!("{key}.intensity"), self.intensity, -1e3, 1e3)
    }

    pub(super) fn draw(&self, draws: &Draws<'_>, shape: &PatchShape) -> Option<SpikeDrawn> {
        let mut stream = draws.stream();
        if !stream.chance(self.probability) {
            return None;
        }
        let spikes = whole(&mut stream, self.spikes);
        let intensity = uniform(&mut stream, self.intensity);
        let mut frequency = |n: usize| stream.below(n.max(1) as u64) as i64 - (n / 2) as i64;
        let frequencies = (0..spikes).map(|_| shape.size.map(&mut frequency)).collect();
        let channels = which_channels(&mut stream, shape, self.channel_probability)?;
        Some(SpikeDrawn { frequencies, intensity, channels })
    }
}

impl SpikeDrawn {
    pub(super) fn check(&self, shape: &PatchShape) -> Result<(), Error> {
        check_number("spike.intensity", self.intensity, -1e3, 1e3)?;
        for frequency in &self.frequencies {
            for (&k, &n) in frequency.iter().zip(&shape.size) {
                let half = (n / 2) as f64;
                check_number("spike.frequencies", k as f64, -half, (n as f64 - half - 1.0).max(0.0))?;
            }
        }
        check_channels("spike.channels", self.channels.len(), shape)
    }

    pub(super) fn run(&self, chain: &mut Chain<'_>) {
        if !self.channels[chain.channel] || self.intensity == 0.0 || self.frequencies.is_empty() {
            return;
        }
        let size @ [nx, ny, nz] = chain.shape.size;
        let (plane, scratch) = chain.voxels();
        let largest = scratch.fourier.largest(plane, size);
        let height = (self.intensity * largest / plane.len() as f64) as f32;
        // Whole turns are taken off before anything is rounded.
        let turn = |k: i64, i: usize, n: usize| (k * i as i64).rem_euclid(n as i64) as f64 / n as f64;
        for &[kx, ky, kz] in &self.frequencies {
            let (cosines, sines) = (&mut scratch.weights, &mut scratch.half);
            cosines.clear();
            sines.clear();
            for i in 0..nx {
                let (sin, cos) = math::sin_cos_turns(turn(kx, i, nx) as f32);
                cosines.push(cos);
                sines.push(sin);
            }
            for (row, voxels) in plane.chunks_exact_mut(nx).enumerate() {
                let turns = turn(ky, row % ny, ny) + turn(kz, row / ny, nz);
                let (sin, cos) = math::sin_cos_turns(turns as f32);
                loops::wave(scratch.path, voxels, cosines, sines, height * cos, height * sin);
            }
        }
    }
}

impl Gibbs {
    pub(super) fn check(&self, key: &str) -> Result<(), Error> {
        check_range(&format!("{key}.alpha"), self.alpha, 0.0, 1.0)
    }

    pub(super) fn draw(&self, draws: &Draws<'_>, shape: &PatchShape) -> Option<GibbsDrawn> {
        let mut stream = draws.stream();
        if !stream.chance(self.probability) {
            return None;
        }
        let alpha = uniform(&mut stream, self.alpha);
        let channels = which_channels(&mut stream, shape, self.channel_probability)?;
        Some(GibbsDrawn { alpha, channels })
    }
}

impl GibbsDrawn {
    pub(super) fn check(&self, shape: &PatchShape) -> Result<(), Error> {
        check_number("gibbs.alpha", self.alpha, 0.0, 1.0)?;
        check_channels("gibbs.channels", self.channels.len(), shape)
    }

    pub(super) fn run(&self, chain: &mut Chain<'_>) {
        if !self.channels[chain.channel] || self.alpha == 0.0 {
            return;
        }
        let size = chain.shape.size;
        let square = |[x, y, z]: [f64; 3]| x * x + y * y + z * z;
        let whole = square(size.map(|n| (n / 2) as f64 / n as f64));
        let radius = (1.0 - self.alpha) * (1.0 - self.alpha) * whole;
        let (plane, scratch) = chain.voxels();
        scratch.fourier.keep(plane, size, |frequency| square(frequency) <= radius);
    }
}
