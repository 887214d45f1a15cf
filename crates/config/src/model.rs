//! `model:` which network is trained.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::siamese::Siamese;

/// `model:` the network; one key names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Model {
    /// A variational autoencoder of images or volumes.
    Vae(Vae),
    /// An encoder of images or volumes that is trained by comparing them.
    Siamese(Siamese),
}

/// `model.vae:` a variational autoencoder of images or volumes. Either `hidden` or `channels` is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["hidden"] }, { "required": ["channels"] }]))]
pub struct Vae {
    /// Widths of the fully connected layers of the encoder; the decoder has them in reverse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), inner(range(min = 1, max = 1_000_000)))]
    pub hidden: Option<Vec<usize>>,
    /// Channels of the convolutional layers of the encoder, each halving the sides of the image or volume (2D or 3D convolutions, as the
    /// samples are); the decoder has them in reverse. With n layers each side needs at least 2^n pixels or voxels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), inner(range(min = 1, max = 65_536)))]
    pub channels: Option<Vec<usize>>,
    /// Dimensions of the latent space.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub latent: usize,
    /// The distribution of a pixel or voxel given the latent code.
    #[serde(default)]
    pub likelihood: Likelihood,
    /// The weight of the KL term, constant or over the steps.
    #[serde(default)]
    pub beta: Beta,
    /// The KL of each latent dimension below which it is not pushed further down, in nats (batch mean).
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub free_bits: f64,
    /// The nonlinearity between layers.
    #[serde(default)]
    pub activation: Activation,
    /// The fraction of activations dropped between layers, in training.
    #[serde(default)]
    #[schemars(range(min = 0), extend("exclusiveMaximum" = 1))]
    pub dropout: f64,
}

/// `model.vae.likelihood:` the distribution of a pixel or voxel given the latent code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Likelihood {
    /// Pixels in 0 to 1 are probabilities (binary cross-entropy).
    #[default]
    Bernoulli,
    /// Pixels are normal around the reconstruction; written `gaussian` (sigma 1) or `gaussian: { sigma: ... }`.
    Gaussian {
        /// The standard deviation: a number, or `learned`.
        #[serde(default)]
        sigma: Sigma,
    },
}

/// `sigma:` a number, or `learned` (one value for all pixels, trained with the weights).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Sigma {
    /// A fixed standard deviation.
    Fixed(#[schemars(extend("exclusiveMinimum" = 0))] f64),
    /// Trained with the weights.
    Learned(Learned),
}

impl Default for Sigma {
    fn default() -> Self {
        Self::Fixed(1.0)
    }
}

/// The word `learned`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Learned {
    /// The word itself.
    Learned,
}

/// `model.vae.beta:` the weight of the KL term: a number, or one of `linear`, `sigmoid`, `cyclical`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Beta {
    /// The same at every step.
    Constant(#[schemars(range(min = 0))] f64),
    /// A function of the step.
    Schedule(BetaSchedule),
}

impl Default for Beta {
    fn default() -> Self {
        Self::Constant(1.0)
    }
}

/// How beta changes with the step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BetaSchedule {
    /// From `from` to `to` in a straight line over `steps` steps, then `to`.
    Linear {
        /// At step 0.
        #[serde(default)]
        #[schemars(range(min = 0))]
        from: f64,
        /// At the end.
        #[schemars(range(min = 0))]
        to: f64,
        /// How many steps.
        #[schemars(range(min = 1))]
        steps: u64,
    },
    /// From 0 to `to` along a logistic curve: `to / (1 + exp(-steepness (step / steps - 1/2)))`.
    Sigmoid {
        /// The limit.
        #[schemars(range(min = 0))]
        to: f64,
        /// The step at which it is half of `to` is half of this.
        #[schemars(range(min = 1))]
        steps: u64,
        /// How steep the curve is (10 by default).
        #[serde(default = "ten")]
        #[schemars(extend("exclusiveMinimum" = 0))]
        steepness: f64,
    },
    /// Cycles of `period` steps: a straight line from 0 to `to` over the part `ramp` of the cycle, then `to` (Fu 2019).
    Cyclical {
        /// The plateau.
        #[schemars(range(min = 0))]
        to: f64,
        /// The steps of one cycle.
        #[schemars(range(min = 1))]
        period: u64,
        /// Which part of a cycle rises (0.5 by default).
        #[serde(default = "half")]
        #[schemars(range(max = 1), extend("exclusiveMinimum" = 0))]
        ramp: f64,
    },
}

fn ten() -> f64 {
    10.0
}

fn half() -> f64 {
    0.5
}

/// A nonlinearity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(0, x).
    #[default]
    Relu,
    /// x sigmoid(x).
    Silu,
    /// x Phi(x).
    Gelu,
    /// x, or 0.01 x below 0.
    LeakyRelu,
    /// The hyperbolic tangent.
    Tanh,
}
