//! Gaussian blur and its opposite.

use batchwright_core::{Stream, math};
use serde::{Deserialize, Serialize};

use super::PatchShape;
use super::chain::Chain;
use super::options::{Draws, check_channels, check_number, check_range, options, per_channel, uniform};
use super::{Scratch, lines, loops};
use crate::Error;

/// The greatest standard deviation of a blur, in voxels.
const MOST: f64 = 64.0;

/// A width, [low, high], drawn uniformly for each axis.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Width {
    /// In voxels.
    Voxels([f64; 2]),
    /// In millimetres: divided by the spacing of the axis.
    Millimetres([f64; 2]),
}

impl Width {
    fn check(self, key: &str) -> Result<(), Error> {
        match self {
            Self::Voxels(range) => check_range(&format!("{key}.voxels"), range, 0.0, MOST),
            Self::Millimetres(range) => check_range(&format!("{key}.millimetres"), range, 0.0, 1000.0),
        }
    }

    /// Draws one for each axis, x first, in voxels; at most 64.
    fn draw(self, stream: &mut Stream, spacing: [f64; 3]) -> [f64; 3] {
        match self {
            Self::Voxels(range) => [(); 3].map(|()| uniform(stream, range)),
            Self::Millimetres(range) => spacing.map(|mm| (uniform(stream, range) / mm).min(MOST)),
        }
    }
}

options! {
    /// Blurs with a Gaussian, cut off at 4 standard deviations and mirrored at the borders of the patch. Widths are drawn for
    /// each channel and axis. Stream `augment/blur`.
    pub struct Blur {
        /// The standard deviation; `voxels: [0.5, 1]` by default.
        sigma: Width = Width::Voxels([0.5, 1.0]),
    }
}

options! {
    /// Sharpens: the image is blurred twice, by `sigma` and then by `detail`, and what the second took away is added again,
    /// `amount` times. Drawn for each channel. Stream `augment/sharpen`.
    pub struct Sharpen {
        /// The standard deviation of the first blur; `voxels: [0.5, 1]` by default.
        sigma: Width = Width::Voxels([0.5, 1.0]),
        /// The standard deviation of the second; `voxels: [0.5, 0.5]` by default.
        detail: Width = Width::Voxels([0.5, 0.5]),
        /// How often the detail is added; [10, 30] by default.
        amount: [f64; 2] = [10.0, 30.0],
    }
}

/// Blurs that were drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlurDrawn {
    /// For each channel the standard deviations in voxels, along x, y and z; none where it is left as it is.
    pub channels: Vec<Option<[f64; 3]>>,
}

/// How one channel is sharpened.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sharper {
    /// The standard deviations of the first blur, in voxels.
    pub sigma: [f64; 3],
    /// Those of the second.
    pub detail: [f64; 3],
    /// How often the detail is added.
    pub amount: f64,
}

/// Sharpening that was drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharpenDrawn {
    /// For each channel what happens to it; none where it is left as it is.
    pub channels: Vec<Option<Sharper>>,
}

/// Writes one half of a Gaussian kernel, the middle first, cut off at 4 standard deviations.
fn gaussian(sigma: f64, half: &mut Vec<f32>) {
    let reach = (4.0 * sigma + 0.5) as usize;
    let weight = |k: usize| {
        let z = k as f64 / sigma;
        f64::from(math::exp((-0.5 * z * z) as f32))
    };
    let sum = 1.0 + 2.0 * (1..=reach).map(weight).sum::<f64>();
    half.clear();
    half.push((1.0 / sum) as f32);
    half.extend((1..=reach).map(|k| (weight(k) / sum) as f32));
}

/// Blurs a channel; a width below 1/8 voxel, or along an axis of one voxel, changes nothing.
fn blur(plane: &mut [f32], size: [usize; 3], sigma: [f64; 3], scratch: &mut Scratch) {
    let Scratch { half, lines, path, .. } = scratch;
    for (axis, sigma) in sigma.into_iter().enumerate() {
        if 1 < size[axis] && 0.125 <= sigma {
            gaussian(sigma, half);
            lines::convolve(plane, size, axis, half, lines, *path);
        }
    }
}

impl Blur {
    pub(super) fn check(&self, key: &str) -> Result<(), Error> {
        self.sigma.check(&format!("{key}.sigma"))
    }

    pub(super) fn draw(&self, draws: &Draws<'_>, shape: &PatchShape) -> Option<BlurDrawn> {
        let mut stream = draws.stream();
        if !stream.chance(self.probability) {
            return None;
        }
        let sigma = |stream: &mut _, _| self.sigma.draw(stream, shape.spacing);
        Some(BlurDrawn { channels: per_channel(&mut stream, shape, self.channel_probability, sigma)? })
    }
}

impl BlurDrawn {
    pub(super) fn check(&self, shape: &PatchShape) -> Result<(), Error> {
        for sigma in self.channels.iter().flatten().flatten() {
            check_number("blur.channels", *sigma, 0.0, MOST)?;
        }
        check_channels("blur.channels", self.channels.len(), shape)
    }

    pub(super) fn run(&self, chain: &mut Chain<'_>) {
        if let Some(sigma) = self.channels[chain.channel] {
            let size = chain.shape.size;
            let (plane, scratch) = chain.voxels();
            blur(plane, size, sigma, scratch);
        }
    }
}

impl Sharpen {
    pub(super) fn check(&self, key: &str) -> Result<(), Error> {
        self.sigma.check(&format!("{key}.sigma"))?;
        self.detail.check(&format!("{key}.detail"))?;
        check_range(&format!("{key}.amount"), self.amount, 0.0, 1e6)
    }

    pub(super) fn draw(&self, draws: &Draws<'_>, shape: &PatchShape) -> Option<SharpenDrawn> {
        let mut stream = draws.stream();
        if !stream.chance(self.probability) {
            return None;
        }
        let sharper = |stream: &mut Stream, _| Sharper {
            sigma: self.sigma.draw(stream, shape.spacing),
            detail: self.detail.draw(stream, shape.spacing),
            amount: uniform(stream, self.amount),
        };
        Some(SharpenDrawn { channels: per_channel(&mut stream, shape, self.channel_probability, sharper)? })
    }
}

impl SharpenDrawn {
    pub(super) fn check(&self, shape: &PatchShape) -> Result<(), Error> {
        for Sharper { sigma, detail, amount } in self.channels.iter().flatten() {
            for sigma in sigma.iter().chain(detail) {
                check_number("sharpen.channels", *sigma, 0.0, MOST)?;
            }
            check_number("sharpen.channels.amount", *amount, 0.0, 1e6)?;
        }
        check_channels("sharpen.channels", self.channels.len(), shape)
    }

    pub(super) fn run(&self, chain: &mut Chain<'_>) {
        let Some(Sharper { sigma, detail, amount }) = self.channels[chain.channel] else { return };
        let size = chain.shape.size;
        let (plane, scratch) = chain.voxels();
        blur(plane, size, sigma, scratch);
        if amount != 0.0 {
            let mut smooth = std::mem::take(&mut scratch.copy);
            smooth.clear();
            smooth.extend_from_slice(plane);
            blur(&mut smooth, size, detail, scratch);
            loops::sharpen(scratch.path, plane, &smooth, amount as f32);
            scratch.copy = smooth;
        }
    }
}
