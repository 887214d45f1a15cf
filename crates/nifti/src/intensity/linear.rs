//! Factors and offsets.

use serde::{Deserialize, Serialize};

use super::PatchShape;
use super::chain::{Chain, Op};
use super::options::{
    Draws, Factors, check_channels, check_number, check_range, options, per_channel, uniform,
};
use crate::Error;

/// Factors and offsets up to this keep finite voxels finite.
const MOST: f64 = 1e6;
const MOST_OFFSET: f64 = 1e30;

options! {
    /// Spreads intensities around their mean, by a factor drawn for each channel: `(x - mean) factor + mean`.
    /// Stream `augment/contrast`.
    pub struct Contrast {
        /// The factor; `around_one: [0.75, 1.25]` by default.
        factor: Factors = Factors::AroundOne([0.75, 1.25]),
        /// Whether the result is clamped to the least and the greatest that the channel had; true by default.
        preserve_range: bool = true,
    }
}

options! {
    /// Multiplies intensities by a factor drawn for each channel. Stream `augment/brightness`.
    pub struct Brightness {
        /// The factor; `around_one: [0.75, 1.25]` by default.
        factor: Factors = Factors::AroundOne([0.75, 1.25]),
    }
}

options! {
    /// Multiplies intensities by a factor, one for all channels. Stream `augment/scale_intensity`.
    pub struct ScaleIntensity {
        /// The factor; `between: [0.9, 1.1]` by default.
        factor: Factors = Factors::Between([0.9, 1.1]),
        /// Whether each channel keeps its mean; false by default.
        keep_mean: bool = false,
    }
}

/// What is added to intensities.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Offset {
    /// Uniform in [low, high], in the units of the normalised image; one for all channels.
    Values([f64; 2]),
    /// Uniform in [low, high], in the units of the normalised image; drawn for each channel.
    PerChannel([f64; 2]),
    /// Uniform in [low, high], in standard deviations of each channel; one for all channels.
    Deviations([f64; 2]),
}

options! {
    /// Adds a number to all voxels. Stream `augment/shift_intensity`.
    pub struct ShiftIntensity {
        /// The number; `values: [-0.1, 0.1]` by default.
        offset: Offset = Offset::Values([-0.1, 0.1]),
    }
}

/// Changes of contrast that were drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContrastDrawn {
    /// For each channel its factor; none where it is left as it is.
    pub channels: Vec<Option<f64>>,
    /// Whether the result is clamped to what the channel had.
    pub preserve_range: bool,
}

/// Factors that were drawn, of [`Brightness`] or [`ScaleIntensity`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactorDrawn {
    /// For each channel its factor; none where it is left as it is.
    pub channels: Vec<Option<f64>>,
    /// Whether each channel keeps its mean.
    pub keep_mean: bool,
}

/// Offsets that were drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShiftDrawn {
    /// For each channel what is added; none where it is left as it is.
    pub channels: Vec<Option<f64>>,
    /// Whether that is in standard deviations of the channel.
    pub deviations: bool,
}

impl Contrast {
    pub(super) fn check(&self, key: &str) -> Result<(), Error> {
        self.factor.check(&format!("{key}.factor"), 0.0, MOST)
    }

    pub(super) fn draw(&self, draws: &Draws<'_>, shape: &PatchShape) -> Option<ContrastDrawn> {
        let mut stream = draws.stream();
        if !stream.chance(self.probability) {
            return None;
        }
        let factor = |stream: &mut _, _| self.factor.draw(stream);
        let channels = per_channel(&mut stream, shape, self.channel_probability, factor)?;
        Some(ContrastDrawn { channels, preserve_range: self.preserve_range })
    }
}

impl ContrastDrawn {
    pub(super) fn check(&self, shape: &PatchShape) -> Result<(), Error> {
        for factor in self.channels.iter().flatten() {
            check_number("contrast.channels", *factor, 0.0, MOST)?;
        }
        check_channels("contrast.channels", self.channels.len(), shape)
    }

    pub(super) fn run(&self, chain: &mut Chain<'_>) {
        let Some(factor) = self.channels[chain.channel] else { return };
        if factor == 1.0 {
            return;
        }
        let before = chain.moments();
        let (low, high) = if self.preserve_range {
            (before.minimum(), before.maximum())
        } else {
            (f32::NEG_INFINITY, f32::INFINITY)
        };
        chain.push(Op::Contrast { mean: before.mean() as f32, factor: factor as f32, low, high });
    }
}

impl Brightness {
    pub(super) fn check(&self, key: &str) -> Result<(), Error> {
        self.factor.check(&format!("{key}.factor"), 0.0, MOST)
    }

    pub(super) fn draw(&self, draws: &Draws<'_>, shape: &PatchShape) -> Option<FactorDrawn> {
        let mut stream = draws.stream();
        if !stream.chance(self.probability) {
            return None;
        }
        let factor = |stream: &mut _, _| self.factor.draw(stream);
        let channels = per_channel(&mut stream, shape, self.channel_probability, factor)?;
        Some(FactorDrawn { channels, keep_mean: false })
    }
}

impl ScaleIntensity {
    pub(super) fn check(&self, key: &str) -> Result<(), Error> {
        self.factor.check(&format!("{key}.factor"), 0.0, MOST)
    }

    pub(super) fn draw(&self, draws: &Draws<'_>, shape: &PatchShape) -> Option<FactorDrawn> {
        let mut stream = draws.stream();
        if !stream.chance(self.probability) {
            return None;
        }
        let factor = self.factor.draw(&mut stream);
        let channels = per_channel(&mut stream, shape, self.channel_probability, |_, _| factor)?;
        Some(FactorDrawn { channels, keep_mean: self.keep_mean })
    }
}

impl FactorDrawn {
    pub(super) fn check(&self, shape: &PatchShape) -> Result<(), Error> {
        for factor in self.channels.iter().flatten() {
            check_number("factor.channels", *factor, 0.0, MOST)?;
        }
        check_channels("factor.channels", self.channels.len(), shape)
    }

    pub(super) fn run(&self, chain: &mut Chain<'_>) {
        let Some(factor) = self.channels[chain.channel] else { return };
        if factor == 1.0 {
            return;
        }
        let scale = factor as f32;
        let offset = if self.keep_mean {
            let mean = chain.moments().mean();
            (mean - mean * f64::from(scale)) as f32
        } else {
            0.0
        };
        chain.push(Op::Affine { scale, offset });
    }
}

impl ShiftIntensity {
    pub(super) fn check(&self, key: &str) -> Result<(), Error> {
        match self.offset {
            Offset::Values(range) => {
                check_range(&format!("{key}.offset.values"), range, -MOST_OFFSET, MOST_OFFSET)
            }
            Offset::PerChannel(range) => {
                check_range(&format!("{key}.offset.per_channel"), range, -MOST_OFFSET, MOST_OFFSET)
            }
            Offset::Deviations(range) => check_range(&format!("{key}.offset.deviations"), range, -MOST, MOST),
        }
    }

    pub(super) fn draw(&self, draws: &Draws<'_>, shape: &PatchShape) -> Option<ShiftDrawn> {
        let mut stream = draws.stream();
        if !stream.chance(self.probability) {
            return None;
        }
        let probability = self.channel_probability;
        let (channels, deviations) = match self.offset {
            Offset::Values(range) => {
                let offset = uniform(&mut stream, range);
                (per_channel(&mut stream, shape, probability, |_, _| offset)?, false)
            }
            Offset::PerChannel(range) => {
                (per_channel(&mut stream, shape, probability, |stream, _| uniform(stream, range))?, false)
            }
            Offset::Deviations(range) => {
                let offset = uniform(&mut stream, range);
                (per_channel(&mut stream, shape, probability, |_, _| offset)?, true)
            }
        };
        Some(ShiftDrawn { channels, deviations })
    }
}

impl ShiftDrawn {
    pub(super) fn check(&self, shape: &PatchShape) -> Result<(), Error> {
        for offset in self.channels.iter().flatten() {
            check_number("shift_intensity.channels", *offset, -MOST_OFFSET, MOST_OFFSET)?;
        }
        check_channels("shift_intensity.channels", self.channels.len(), shape)
    }

    pub(super) fn run(&self, chain: &mut Chain<'_>) {
        let Some(offset) = self.channels[chain.channel] else { return };
        if offset == 0.0 {
            return;
        }
        let offset = if self.deviations { offset * chain.moments().deviation() } else { offset };
        chain.push(Op::Affine { scale: 1.0, offset: offset as f32 });
    }
}
