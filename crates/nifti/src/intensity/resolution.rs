//! Images as from a coarser scan.

use serde::{Deserialize, Serialize};

use super::PatchShape;
use super::chain::Chain;
use super::lines;
use super::options::{
    Draws, check_channels, check_number, check_range, options, per_channel, uniform, which_channels,
};
use crate::Error;

options! {
    /// Makes the patch coarser along all axes by a zoom drawn for each channel, and fine again: the voxel nearest to the middle
    /// of each coarse voxel is taken, and those are interpolated linearly. Stream `augment/low_resolution`.
    pub struct LowResolution {
        /// How many coarse voxels there are for one voxel along each axis; [0.5, 1] by default.
        zoom: [f64; 2] = [0.5, 1.0],
    }
}

options! {
    /// Makes the patch coarser along one axis, as thick slices are, and fine again as in [`LowResolution`]. The axis and the
    /// factor are the same for all channels. Stream `augment/anisotropy`.
    pub struct Anisotropy {
        /// How many voxels become one; [1.5, 5] by default.
        factor: [f64; 2] = [1.5, 5.0],
        /// Which axes it may be, of x, y and z; each by default.
        axes: [bool; 3] = [true; 3],
    }
}

/// Zooms that were drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LowResolutionDrawn {
    /// For each channel its zoom; none where it is left as it is.
    pub channels: Vec<Option<f64>>,
}

/// A loss of resolution along one axis that was drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnisotropyDrawn {
    /// The axis: 0 is x, 1 is y, 2 is z.
    pub axis: usize,
    /// How many voxels become one.
    pub factor: f64,
    /// Which channels it happens to.
    pub channels: Vec<bool>,
}

/// Draws one of the axes that are allowed, of which there is one at least.
pub(super) fn draw_axis(stream: &mut batchwright_core::Stream, axes: [bool; 3]) -> usize {
    let allowed: Vec<usize> = (0..3).filter(|&axis| axes[axis]).collect();
    allowed[stream.below(allowed.len() as u64) as usize]
}

pub(super) fn check_axes(key: &str, axes: [bool; 3]) -> Result<(), Error> {
    if axes.contains(&true) {
        return Ok(());
    }
    Err(Error::choice(key, "three of true or false, one true at least", format!("{axes:?}")))
}

/// Takes `coarse` voxels along an axis, nearest, and interpolates them linearly.
fn coarsen(chain: &mut Chain<'_>, axis: usize, coarse: usize) {
    let size = chain.shape.size;
    let fine = size[axis];
    if fine <= coarse {
        return;
    }
    let (plane, scratch) = chain.voxels();
    let super::Scratch { lines: memory, pairs, weights, path, .. } = scratch;
    // The voxel at the middle of coarse voxel j, the upper one where the middle lies between two.
    let taken = |j: usize| ((2 * j + 1) * fine / (2 * coarse)) as u32;
    pairs.clear();
    weights.clear();
    for i in 0..fine {
        let place = ((i as f64 + 0.5) * coarse as f64 / fine as f64 - 0.5).clamp(0.0, coarse as f64 - 1.0);
        let below = place as usize;
        pairs.push([taken(below), taken((below + 1).min(coarse - 1))]);
        weights.push((place - below as f64) as f32);
    }
    lines::blend(plane, size, axis, pairs, weights, memory, *path);
}

impl LowResolution {
    pub(super) fn check(&self, key: &str) -> Result<(), Error> {
        check_range(&format!("{key}.zoom"), self.zoom, 0.01, 1.0)
    }

    pub(super) fn draw(&self, draws: &Draws<'_>, shape: &PatchShape) -> Option<LowResolutionDrawn> {
        let mut stream = draws.stream();
        if !stream.chance(self.probability) {
            return None;
        }
        let zoom = |stream: &mut _, _| uniform(stream, self.zoom);
        Some(LowResolutionDrawn {
            channels: per_channel(&mut stream, shape, self.channel_probability, zoom)?,
        })
    }
}

impl LowResolutionDrawn {
    pub(super) fn check(&self, shape: &PatchShape) -> Result<(), Error> {
        for zoom in self.channels.iter().flatten() {
            check_number("low_resolution.channels", *zoom, 0.0, 1.0)?;
        }
        check_channels("low_resolution.channels", self.channels.len(), shape)
    }

    pub(super) fn run(&self, chain: &mut Chain<'_>) {
        let Some(zoom) = self.channels[chain.channel] else { return };
        for axis in 0..3 {
            let coarse = (chain.shape.size[axis] as f64 * zoom).round().max(1.0);
            coarsen(chain, axis, coarse as usize);
        }
    }
}

impl Anisotropy {
    pub(super) fn check(&self, key: &str) -> Result<(), Error> {
        check_range(&format!("{key}.factor"), self.factor, 1.0, 100.0)?;
        check_axes(&format!("{key}.axes"), self.axes)
    }

    pub(super) fn draw(&self, draws: &Draws<'_>, shape: &PatchShape) -> Option<AnisotropyDrawn> {
        let mut stream = draws.stream();
        if !stream.chance(self.probability) {
            return None;
        }
        let factor = uniform(&mut stream, self.factor);
        let axis = draw_axis(&mut stream, self.axes);
        let channels = which_channels(&mut stream, shape, self.channel_probability)?;
        Some(AnisotropyDrawn { axis, factor, channels })
    }
}

impl AnisotropyDrawn {
    pub(super) fn check(&self, shape: &PatchShape) -> Result<(), Error> {
        check_number("anisotropy.factor", self.factor, 1.0, 100.0)?;
        check_number("anisotropy.axis", self.axis as f64, 0.0, 2.0)?;
        check_channels("anisotropy.channels", self.channels.len(), shape)
    }

    pub(super) fn run(&self, chain: &mut Chain<'_>) {
        if self.channels[chain.channel] {
            let coarse = (chain.shape.size[self.axis] as f64 / self.factor).round().max(1.0);
            coarsen(chain, self.axis, coarse as usize);
        }
    }
}
