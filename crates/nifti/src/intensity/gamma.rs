//! Powers of the intensity.

use serde::{Deserialize, Serialize};

use super::PatchShape;
use super::chain::{Chain, Op};
use super::options::{Draws, Factors, check_channels, check_number, options, per_channel};
use crate::Error;

/// What the power is taken of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GammaOf {
    /// Where the voxel lies between the least and the greatest of its channel, from 0 to 1:
    /// `((x - min) / (max - min))^gamma (max - min) + min`.
    #[default]
    Range,
    /// The size of the voxel, keeping its sign: `sign(x) |x|^gamma`.
    Size,
}

options! {
    /// Raises intensities to a power, drawn for each channel. A channel whose range is 0 or not finite is left as it is.
    /// Stream `augment/gamma`.
    pub struct Gamma {
        /// The power; `around_one: [0.7, 1.5]` by default.
        gamma: Factors = Factors::AroundOne([0.7, 1.5]),
        /// What the power is taken of; `range` by default.
        of: GammaOf = GammaOf::Range,
        /// Whether the negative of the image is changed, so that the bright end moves most; false by default.
        invert: bool = false,
        /// Whether the channel gets back its mean and standard deviation; false by default.
        retain_statistics: bool = false,
    }
}

/// Powers that were drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GammaDrawn {
    /// For each channel its power; none where it is left as it is.
    pub channels: Vec<Option<f64>>,
    /// What the power is taken of.
    pub of: GammaOf,
    /// Whether the negative is changed.
    pub invert: bool,
    /// Whether the channel gets back its mean and standard deviation.
    pub retain_statistics: bool,
}

impl Gamma {
    pub(super) fn check(&self, key: &str) -> Result<(), Error> {
        self.gamma.check(&format!("{key}.gamma"), 0.01, 100.0)
    }

    pub(super) fn draw(&self, draws: &Draws<'_>, shape: &PatchShape) -> Option<GammaDrawn> {
        let Self { gamma, of, invert, retain_statistics, probability, channel_probability, name: _ } = *self;
        let mut stream = draws.stream();
        if !stream.chance(probability) {
            return None;
        }
        let channels = per_channel(&mut stream, shape, channel_probability, |stream, _| gamma.draw(stream))?;
        Some(GammaDrawn { channels, of, invert, retain_statistics })
    }
}

impl GammaDrawn {
    pub(super) fn check(&self, shape: &PatchShape) -> Result<(), Error> {
        for gamma in self.channels.iter().flatten() {
            check_number("gamma.channels", *gamma, 0.01, 100.0)?;
        }
        check_channels("gamma.channels", self.channels.len(), shape)
    }

    pub(super) fn run(&self, chain: &mut Chain<'_>) {
        let Some(gamma) = self.channels[chain.channel] else { return };
        if gamma == 1.0 {
            return;
        }
        let gamma = gamma as f32;
        let needs_statistics = self.retain_statistics || self.of == GammaOf::Range;
        let before = needs_statistics.then(|| chain.moments());
        match (self.of, &before) {
            (GammaOf::Range, Some(before)) => {
                let (minimum, maximum) = (before.minimum(), before.maximum());
                let range = maximum - minimum;
                let inverse = 1.0 / range;
                if !(0.0 < range && range.is_finite() && inverse.is_finite()) {
                    return;
                }
                let (sign, low) = if self.invert { (-1.0, -maximum) } else { (1.0, minimum) };
                chain.push(Op::Power { sign, low, inverse, range, gamma });
            }
            _ => chain.push(Op::SignedPower { gamma }),
        }
        if let (true, Some(before)) = (self.retain_statistics, before) {
            let after = chain.moments();
            let scale = if after.deviation() == 0.0 { 1.0 } else { before.deviation() / after.deviation() };
            let scale = if scale.is_finite() { scale as f32 } else { 1.0 };
            let offset = before.mean() - after.mean() * f64::from(scale);
            chain.push(Op::Affine { scale, offset: offset as f32 });
        }
    }
}
