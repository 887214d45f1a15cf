//! `model.siamese:` an encoder that is trained by comparing samples.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Activation;

/// `model.siamese:` an encoder of images or volumes that is trained by comparing them: near for the same class, far for others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Siamese {
    /// The layers of the encoder, the same weights for all parts of a pair or triplet.
    pub encoder: Encoder,
    /// Numbers of an embedding; with `pool: map`, of each place of it.
    #[serde(default = "embedding")]
    #[schemars(range(min = 1, max = 65_536))]
    pub embedding: usize,
    /// Whether embeddings are scaled to length 1, so that margins and temperatures mean the same for any network.
    #[serde(default = "yes")]
    pub normalize: bool,
    /// What is minimised; it decides which batches are needed (pairs, triplets, or images with labels).
    pub loss: MetricLoss,
    /// The last embeddings with their labels, which a batch of images with labels is compared with besides itself (cross-batch memory, Wang 2020).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<CrossBatchMemory>,
}

/// `model.siamese.encoder:` convolutional blocks, each of which halves the sides (2D or 3D, as the samples are), and a linear layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Encoder {
    /// Channels of the blocks. With n blocks each side needs at least 2^n pixels or voxels.
    #[schemars(length(min = 1, max = 16), inner(range(min = 1, max = 65_536)))]
    pub channels: Vec<usize>,
    /// Directions of edges (gradients, shared out softly among so many directions) that take the place of the pixels, at half the sides, beside
    /// the mean of 2 x 2 pixels: for drawings, images with one channel. By default pixels are taken as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 64))]
    pub orientations: Option<usize>,
    /// Channels of further blocks behind those, which keep the sides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(range(min = 1, max = 65_536)))]
    pub further: Vec<usize>,
    /// Whether a block has two convolutions and a way around them (a 1 x 1 convolution of the halved input).
    #[serde(default)]
    pub residual: bool,
    /// How activations are normalized.
    #[serde(default)]
    pub norm: Norm,
    /// The nonlinearity.
    #[serde(default)]
    pub activation: Activation,
    /// What halves the sides.
    #[serde(default)]
    pub halve: Halve,
    /// What becomes of the places of the last block.
    #[serde(default)]
    pub pool: Pool,
    /// The length of a fixed histogram of edge directions (over 13 x 13 overlapping cells, 8 directions; after Dalal and Triggs 2005)
    /// that stands beside the learned embedding wherever samples are compared, but in the loss of training: it sees what was never
    /// trained on. For drawings, images with one channel of at least 28 x 28. By default there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub histogram: Option<f64>,
    /// The fraction of features dropped before the embedding, in training.
    #[serde(default)]
    #[schemars(range(min = 0), extend("exclusiveMaximum" = 1))]
    pub dropout: f64,
}

/// `norm:` how activations are normalized.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Over groups of channels of one sample (at most 8 groups of equal size); a sample's embedding depends on no other.
    #[default]
    Group,
    /// Over the batch in training, with running statistics (a part of the checkpoint) in evaluation.
    Batch,
    /// Not at all.
    None,
}

/// `halve:` what halves the sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Halve {
    /// The greatest of 2 x 2 places after a convolution of kernel 3.
    #[default]
    Pool,
    /// A convolution of kernel 4 and stride 2: a third to a fifth of the time.
    Stride,
}

/// `pool:` what becomes of the places of the last block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// Their mean: where something is does not matter.
    #[default]
    Mean,
    /// All of them, one after the other.
    Flatten,
    /// All of them, each mapped to `embedding` numbers by a convolution in place of the linear layer, so that an embedding is a
    /// small map of the sample: `embedding` numbers for each place.
    Map,
}

/// `model.siamese.loss:` what is minimised; one key names it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum MetricLoss {
    /// Squared distance of the same, squared shortfall from a margin of others (Hadsell 2006). Takes pairs; or images with labels, of
    /// which all pairs count: the mean over positive pairs plus the mean over negative pairs nearer than the margin.
    Contrastive {
        /// The distance beyond which others are left alone (1 by default; embeddings of length 1 are at most 2 apart).
        #[serde(default = "one")]
        #[schemars(extend("exclusiveMinimum" = 0))]
        margin: f64,
    },
    /// The positive nearer than the negative by a margin (Schroff 2015). Takes triplets; or images with labels, of which `mining` chooses triplets.
    Triplet {
        /// By how much nearer: a number, or `soft` (`log(1 + exp(positive - negative))`, Hermans 2017).
        #[serde(default)]
        margin: Margin,
        /// Which distance.
        #[serde(default)]
        distance: Distance,
        /// Which triplets of a batch of images with labels; not looked at with batches of triplets.
        #[serde(default)]
        mining: Mining,
    },
    /// A learned weighting of the differences of each number, as a probability of being the same (binary cross-entropy, Koch 2015). Takes pairs.
    Similarity,
    /// Which of all other views in the batch is the other view of the same (Chen 2020). Takes pairs of two views (`positives: 1`).
    NtXent {
        /// What similarities (cosines for embeddings of length 1) are divided by (0.5 by default).
        #[serde(default = "half")]
        #[schemars(extend("exclusiveMinimum" = 0))]
        temperature: f64,
    },
    /// Every other sample of the class against all samples (Khosla 2020). Takes images with labels.
    SupervisedContrastive {
        /// What similarities (cosines for embeddings of length 1) are divided by (0.1 by default).
        #[serde(default = "tenth")]
        #[schemars(extend("exclusiveMinimum" = 0))]
        temperature: f64,
    },
    /// Similarities weighed by how far they are from where they should be, and by each other (Wang 2019). Takes images with labels.
    MultiSimilarity {
        /// How steeply positives are weighed (2 by default).
        #[serde(default = "two")]
        #[schemars(extend("exclusiveMinimum" = 0))]
        alpha: f64,
        /// How steeply negatives are weighed (50 by default).
        #[serde(default = "fifty")]
        #[schemars(extend("exclusiveMinimum" = 0))]
        beta: f64,
        /// The similarity between near and far (0.5 by default).
        #[serde(default = "half")]
        base: f64,
        /// How far behind the hardest of the other kind a similarity still counts; without it all count (0.1 by default).
        #[serde(default = "some_tenth")]
        #[schemars(range(min = 0))]
        epsilon: Option<f64>,
    },
    /// Which class's mean of a few support samples a query is nearest to (Snell 2017). Takes images with labels, best P classes x K samples.
    Prototypical {
        /// Samples of each class that make its prototype, the first in the batch; the others are queries (1 by default).
        #[serde(default = "one_shot")]
        #[schemars(range(min = 1, max = 65_536))]
        shots: usize,
        /// What squared distances are divided by (1 by default; 0.1 suits embeddings of length 1).
        #[serde(default = "one")]
        #[schemars(extend("exclusiveMinimum" = 0))]
        temperature: f64,
    },
}

impl MetricLoss {
    /// Returns its name in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Contrastive { .. } => "contrastive",
            Self::Triplet { .. } => "triplet",
            Self::Similarity => "similarity",
            Self::NtXent { .. } => "nt_xent",
            Self::SupervisedContrastive { .. } => "supervised_contrastive",
            Self::MultiSimilarity { .. } => "multi_similarity",
            Self::Prototypical { .. } => "prototypical",
        }
    }

    /// Returns whether a cross-batch memory can go with it.
    pub fn takes_memory(&self) -> bool {
        matches!(
            self,
            Self::Contrastive { .. }
                | Self::Triplet { .. }
                | Self::SupervisedContrastive { .. }
                | Self::MultiSimilarity { .. }
        )
    }
}

/// `margin:` a number, or `soft`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Margin {
    /// By how much nearer.
    Hard(#[schemars(extend("exclusiveMinimum" = 0))] f64),
    /// As near as can be, without an end.
    Soft(Soft),
}

impl Default for Margin {
    fn default() -> Self {
        Self::Hard(0.2)
    }
}

/// The word `soft`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Soft {
    /// The word itself.
    Soft,
}

/// `distance:` between two embeddings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// The length of their difference.
    #[default]
    Euclidean,
    /// Its square.
    Squared,
}

/// `mining:` which triplets of a batch count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Mining {
    /// Of each anchor the farthest positive and the nearest negative (batch-hard, Hermans 2017).
    #[default]
    Hard,
    /// Of each anchor and positive the nearest negative that is farther than the positive; the farthest negative where none is (Schroff 2015).
    SemiHard {
        /// The positives of an anchor that are looked at, the farthest first (16 by default).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 1))]
        cap: Option<usize>,
    },
    /// Of each anchor the nearest positive and the farthest negative.
    Easy,
    /// All triplets that do not keep the margin; memory grows with the square of the batch. Needs a margin that is a number.
    All,
    /// Of each anchor the positive and the negative at a place between easy (0) and hard (1) that moves with the step.
    Scheduled {
        /// The hardness at step 0 (0 by default).
        #[serde(default)]
        #[schemars(range(min = 0, max = 1))]
        from: f64,
        /// The hardness after `steps` steps (1 by default).
        #[serde(default = "one")]
        #[schemars(range(min = 0, max = 1))]
        to: f64,
        /// How many steps it takes.
        #[schemars(range(min = 1))]
        steps: u64,
    },
}

/// `model.siamese.memory:` the last embeddings with their labels, without gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CrossBatchMemory {
    /// How many embeddings.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub size: usize,
    /// From which step on batches are compared with it: early embeddings change too fast.
    #[serde(default)]
    pub from: u64,
}

fn embedding() -> usize {
    64
}

fn yes() -> bool {
    true
}

fn tenth() -> f64 {
    0.1
}

#[expect(clippy::unnecessary_wraps, reason = "the default of an optional key")]
fn some_tenth() -> Option<f64> {
    Some(0.1)
}

fn half() -> f64 {
    0.5
}

fn one() -> f64 {
    1.0
}

fn two() -> f64 {
    2.0
}

fn fifty() -> f64 {
    50.0
}

fn one_shot() -> usize {
    1
}
