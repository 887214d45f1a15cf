//! Noise of measurement.

use batchwright_core::StreamKey;
use serde::{Deserialize, Serialize};

use super::PatchShape;
use super::chain::{Chain, Op};
use super::options::{Draws, check_channels, check_number, check_range, options, per_channel, uniform};
use crate::Error;

options! {
    /// Adds independent normal noise to each voxel. One standard deviation serves all channels; the noise of each is
    /// its own. Streams `augment/noise`, and `augment/noise/values/<channel>` for the noise.
    pub struct Noise {
        /// The standard deviation, in the units of the normalised image; [0, 0.1] by default.
        sigma: [f64; 2] = [0.0, 0.1],
    }
}

options! {
    /// Makes each voxel the magnitude of a complex number to whose parts independent normal noise was added, as in
    /// magnitude images of MRI: sqrt((x + a)^2 + b^2). Of a negative voxel it takes the magnitude too. One standard deviation
    /// serves all channels. Streams `augment/rician`, and `augment/rician/real/<channel>` and `…/imaginary/<channel>` for
    /// the noise.
    pub struct Rician {
        /// The standard deviation of each part, in the units of the normalised image; [0, 0.1] by default.
        sigma: [f64; 2] = [0.0, 0.1],
    }
}

/// Noise that was drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoiseDrawn {
    /// Its standard deviation.
    pub sigma: f64,
    /// For each channel the stream of its noise, in the order of its voxels; none where it is left as it is.
    pub channels: Vec<Option<StreamKey>>,
}

/// Rician noise that was drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RicianDrawn {
    /// The standard deviation of each part.
    pub sigma: f64,
    /// For each channel the streams of the noise of both parts; none where it is left as it is.
    pub channels: Vec<Option<[StreamKey; 2]>>,
}

/// Above this the square of noise would not be finite.
const MOST: f64 = 1e15;

impl Noise {
    pub(super) fn check(&self, key: &str) -> Result<(), Error> {
        check_range(&format!("{key}.sigma"), self.sigma, 0.0, MOST)
    }

    pub(super) fn draw(&self, draws: &Draws<'_>, shape: &PatchShape) -> Option<NoiseDrawn> {
        let mut stream = draws.stream();
        if !stream.chance(self.probability) {
            return None;
        }
        let sigma = uniform(&mut stream, self.sigma);
        let key = |_: &mut _, c| draws.key(&format!("values/{c}"));
        Some(NoiseDrawn { sigma, channels: per_channel(&mut stream, shape, self.channel_probability, key)? })
    }
}

impl NoiseDrawn {
    pub(super) fn check(&self, shape: &PatchShape) -> Result<(), Error> {
        check_number("noise.sigma", self.sigma, 0.0, MOST)?;
        check_channels("noise.channels", self.channels.len(), shape)
    }

    pub(super) fn run(&self, chain: &mut Chain<'_>) {
        if let Some(key) = self.channels[chain.channel]
            && self.sigma != 0.0
        {
            chain.push(Op::noise(key, self.sigma as f32));
        }
    }
}

impl Rician {
    pub(super) fn check(&self, key: &str) -> Result<(), Error> {
        check_range(&format!("{key}.sigma"), self.sigma, 0.0, MOST)
    }

    pub(super) fn draw(&self, draws: &Draws<'_>, shape: &PatchShape) -> Option<RicianDrawn> {
        let mut stream = draws.stream();
        if !stream.chance(self.probability) {
            return None;
        }
        let sigma = uniform(&mut stream, self.sigma);
        let keys = |_: &mut _, c| ["real", "imaginary"].map(|part| draws.key(&format!("{part}/{c}")));
        Some(RicianDrawn {
            sigma,
            channels: per_channel(&mut stream, shape, self.channel_probability, keys)?,
        })
    }
}

impl RicianDrawn {
    pub(super) fn check(&self, shape: &PatchShape) -> Result<(), Error> {
        check_number("rician.sigma", self.sigma, 0.0, MOST)?;
        check_channels("rician.channels", self.channels.len(), shape)
    }

    pub(super) fn run(&self, chain: &mut Chain<'_>) {
        if let Some(keys) = self.channels[chain.channel] {
            chain.push(Op::magnitude(keys, self.sigma as f32));
        }
    }
}
