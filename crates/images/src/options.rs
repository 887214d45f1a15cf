//! What a sample made of an image looks like.

use serde::{Deserialize, Serialize};

use crate::augment::Augment;
use crate::error::Error;

/// The type of the field `image`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageType {
    /// Scaled floats.
    #[default]
    F32,
    /// Bytes as they are stored.
    U8,
}

/// What stored pixels are divided by, to the last bit as IEEE division does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// By the value of full brightness, so that images lie in 0 to 1: 255 for bytes, 65535 for 16 bits, and 1 (as they
    /// are) for floats.
    #[default]
    FullRange,
    /// By nothing: pixels keep their values.
    None,
    /// By this number.
    Divide(f32),
}

/// The mean and the standard deviation of each channel of scaled images, which become `(value - mean) / std`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeanStd {
    /// The mean of each channel.
    pub mean: Vec<f32>,
    /// The standard deviation of each channel.
    pub std: Vec<f32>,
}

impl MeanStd {
    /// Checks that there is one finite mean and one positive standard deviation for each of `channels`.
    pub(crate) fn check(&self, channels: usize) -> Result<(), Error> {
        let Self { mean, std } = self;
        if mean.len() != channels || !mean.iter().all(|mean| mean.is_finite()) {
            return Err(Error::choice(
                "mean",
                format!("{channels} finite numbers, one a channel"),
                format!("{mean:?}"),
            ));
        }
        // The reciprocal is what samples are multiplied by.
        if std.len() != channels
            || !std.iter().all(|std| 0.0 < *std && std.is_normal() && (1.0 / std).is_normal())
        {
            return Err(Error::choice(
                "std",
                format!("{channels} positive numbers, one a channel"),
                format!("{std:?}"),
            ));
        }
        Ok(())
    }
}

/// What a sample made of an image looks like.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImageOptions {
    /// The type of the field `image`; by default `f32`.
    pub dtype: ImageType,
    /// What pixels are divided by; by default their full range.
    pub scale: Scale,
    /// Mean and standard deviation to bring to 0 and 1, see [`MeanStd::of`]; by default none.
    pub normalize: Option<MeanStd>,
    /// Whether there is a field `one_hot`, f32 `[classes]`, 1 at the label and 0 elsewhere; by default not.
    pub one_hot: bool,
    /// The number of classes, where it is not one more than the largest label of the source.
    pub classes: Option<usize>,
    /// Random changes, for training; by default none.
    pub augment: Option<Augment>,
}
