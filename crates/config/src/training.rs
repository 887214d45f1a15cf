//! `training:` and `logging:` how it is trained, and what is written down.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `training:` how the network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// How many times the training set is gone through.
    #[schemars(range(min = 1))]
    pub epochs: u64,
    /// The optimizer.
    #[serde(default)]
    pub optimizer: Optimizer,
    /// How the learning rate changes with the step.
    #[serde(default)]
    pub schedule: Schedule,
    /// Steps over which the learning rate rises from 0 to its value, before the schedule begins.
    #[serde(default)]
    pub warmup_steps: u64,
    /// The bound on the gradient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_gradient: Option<ClipGradient>,
    /// `auto` (CUDA where there is one), `cpu` or `cuda:N`.
    #[serde(default = "auto")]
    #[schemars(extend("format" = "device", "pattern" = "^(auto|cpu|cuda(:[0-9]{1,3})?)$"))]
    pub device: String,
    /// Threads that libtorch computes with: `auto` (the cores there are less the loader's workers, at least 1) or a number.
    /// Resolved once and kept by a run.
    #[serde(default)]
    pub threads: Threads,
    /// Epochs between two validations.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub validate_every: u64,
    /// When to end before the epochs are over, because the validation loss no longer falls. By default never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
    /// What is kept of the run.
    #[serde(default)]
    pub checkpoint: Checkpoint,
}

fn auto() -> String {
    "auto".to_owned()
}

fn one() -> u64 {
    1
}

/// `training.threads:` `auto` or a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Threads {
    /// A number of threads.
    Count(#[schemars(range(min = 1, max = 4096))] std::num::NonZeroUsize),
    /// The cores there are less the loader's workers, at least 1.
    Auto(Auto),
}

impl Default for Threads {
    fn default() -> Self {
        Self::Auto(Auto::Auto)
    }
}

/// The word `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Auto {
    /// The word itself.
    Auto,
}

/// `training.optimizer:` one key names it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Optimizer {
    /// Kingma and Ba 2015; weight decay is added to the gradient.
    Adam(Adam),
    /// Loshchilov and Hutter 2019; weight decay is apart from the gradient.
    Adamw(Adam),
    /// Stochastic gradient descent.
    Sgd(Sgd),
}

impl Default for Optimizer {
    fn default() -> Self {
        Self::Adam(Adam::default())
    }
}

/// The settings of Adam and `AdamW`; the defaults are `PyTorch`'s Adam's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Adam {
    /// The learning rate.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub lr: f64,
    /// The decay rates of the two moments.
    #[schemars(extend("items" = { "type": "number", "format": "double", "minimum": 0, "exclusiveMaximum": 1 }))]
    pub betas: [f64; 2],
    /// Added to the denominator.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub eps: f64,
    /// How strongly weights decay.
    #[schemars(range(min = 0))]
    pub weight_decay: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Self { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0 }
    }
}

/// The settings of stochastic gradient descent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sgd {
    /// The learning rate.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub lr: f64,
    /// The decay rate of the velocity.
    #[schemars(range(min = 0), extend("exclusiveMaximum" = 1))]
    pub momentum: f64,
    /// Whether the gradient is taken ahead, at the place where the velocity leads.
    pub nesterov: bool,
    /// How strongly weights decay.
    #[schemars(range(min = 0))]
    pub weight_decay: f64,
}

impl Default for Sgd {
    fn default() -> Self {
        Self { lr: 1e-2, momentum: 0.0, nesterov: false, weight_decay: 0.0 }
    }
}

/// `training.schedule:` the learning rate as a fraction of the optimizer's, over the steps of the whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// Always the same.
    #[default]
    Constant,
    /// Times `factor` every `every` steps.
    Step {
        /// Steps between two drops.
        #[schemars(range(min = 1))]
        every: u64,
        /// What the rate is multiplied by.
        #[schemars(range(max = 1), extend("exclusiveMinimum" = 0))]
        factor: f64,
    },
    /// Down to `end` (a fraction) along half a cosine.
    Cosine {
        /// The fraction at the end of the run.
        #[serde(default)]
        #[schemars(range(min = 0, max = 1))]
        end: f64,
    },
    /// `end + (1 - end) (1 - step / steps)^power`.
    Polynomial {
        /// The power (0.9 is nnU-Net's).
        #[schemars(extend("exclusiveMinimum" = 0))]
        power: f64,
        /// The fraction at the end of the run.
        #[serde(default)]
        #[schemars(range(min = 0, max = 1))]
        end: f64,
    },
}

/// `training.clip_gradient:` one key names what is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ClipGradient {
    /// The Euclidean norm of all gradients together.
    Norm(#[schemars(extend("exclusiveMinimum" = 0))] f64),
    /// The size of each element.
    Value(#[schemars(extend("exclusiveMinimum" = 0))] f64),
}

/// `training.early_stopping:` when a training ends that no longer gets better.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// How many validations in a row may pass without a lower loss; the last of them ends the training.
    #[schemars(range(min = 1))]
    pub patience: u64,
    /// By how much the loss must be lower than the lowest so far to count (0 by default).
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub min_delta: f64,
}

/// `training.checkpoint:` what is kept of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Checkpoint {
    /// Steps between two checkpoints; without it, one at the end of every epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub every_steps: Option<u64>,
    /// How many of the latest are kept; the best (by validation loss) is kept besides.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub keep: usize,
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self { every_steps: None, keep: 2 }
    }
}

/// `logging:` what is written down, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Logging {
    /// The folder that runs are folders of; relative to where the program is started.
    pub dir: PathBuf,
    /// Steps between two lines of training figures.
    #[schemars(range(min = 1))]
    pub log_every: u64,
    /// Epochs between two sets of pictures; 0 for none.
    pub pictures_every: u64,
}

impl Default for Logging {
    fn default() -> Self {
        Self { dir: PathBuf::from("runs"), log_every: 50, pictures_every: 1 }
    }
}
