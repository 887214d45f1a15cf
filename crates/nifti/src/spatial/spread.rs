//! Ranges to draw from.

use batchwright_core::Stream;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// What a number is drawn from, uniformly: a number `a` stands for the range from `-a` to `a` about the middle (1 for
/// factors, 0 for all else); `[low, high]` is the range itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Spread {
    /// From `-a` to `a` about the middle.
    Around(f64),
    /// From the first to the second.
    Between([f64; 2]),
}

impl Spread {
    /// Returns the ends of the range about a middle.
    pub fn about(self, middle: f64) -> [f64; 2] {
        match self {
            Self::Around(by) => [middle - by, middle + by],
            Self::Between(range) => range,
        }
    }

    pub(super) fn draw(self, middle: f64, stream: &mut Stream) -> f64 {
        let [low, high] = self.about(middle);
        stream.uniform_in(low, high)
    }

    /// Checks that the range runs upwards and lies from `least` to `most`.
    fn check(self, key: &str, middle: f64, [least, most]: [f64; 2]) -> Result<(), Error> {
        let [low, high] = self.about(middle);
        if least <= low && low <= high && high <= most {
            return Ok(());
        }
        let expected = format!("a number, or [low, high], within {least} to {most} and low <= high");
        Err(Error::choice(key, expected, format!("[{low}, {high}]")))
    }
}

/// What three numbers are drawn from, one for each axis: one [`Spread`] for all, or a list of three for x, y and z.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Spreads {
    /// The same for each axis, drawn for each apart.
    All(Spread),
    /// For x, y and z.
    Each([Spread; 3]),
}

impl Spreads {
    /// The range that is `middle` alone.
    pub const NONE: Self = Self::All(Spread::Around(0.0));

    pub(super) fn each(self) -> [Spread; 3] {
        match self {
            Self::All(spread) => [spread; 3],
            Self::Each(spreads) => spreads,
        }
    }

    pub(super) fn draw(self, middle: f64, stream: &mut Stream) -> [f64; 3] {
        self.each().map(|spread| spread.draw(middle, stream))
    }

    pub(super) fn check(self, key: &str, middle: f64, within: [f64; 2]) -> Result<(), Error> {
        self.each().into_iter().try_for_each(|spread| spread.check(key, middle, within))
    }
}

/// Checks a probability.
pub(super) fn check_probability(key: &str, probability: f64) -> Result<(), Error> {
    if (0.0..=1.0).contains(&probability) {
        return Ok(());
    }
    Err(Error::choice(key, "a probability from 0 to 1", probability))
}

pub(super) fn always() -> f64 {
    1.0
}
