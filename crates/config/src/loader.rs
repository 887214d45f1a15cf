//! `loader:` how samples become batches, and who reads them.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{ByteSize, TimeSpan};

/// `loader:` how samples become batches, and who reads them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Loader {
    /// The samples of a batch, over all ranks together.
    #[schemars(range(min = 1, max = 16_777_216))]
    pub batch_size: NonZeroUsize,
    /// The order of training samples: `true` (a new one each epoch), `false` (as they are stored), or `window`.
    #[serde(default)]
    pub shuffle: Shuffle,
    /// Draws training samples in another way than once each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampler: Option<Sampler>,
    /// A weight for the loss of each class's samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_weight: Option<ClassWeight>,
    /// Whether training samples that do not fill the last batch are left out of the epoch.
    #[serde(default)]
    pub drop_last: bool,
    /// Threads that read; 0 reads in the training thread. Changes no batch.
    #[serde(default = "two")]
    #[schemars(range(max = 1024))]
    pub workers: usize,
    /// Batches that are read ahead. Changes no batch.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_queue_size: usize,
    /// The most memory for batches that are read ahead, as in `512 MiB`; by default `max_queue_size` alone counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_budget: Option<ByteSize>,
    /// What to do about a sample whose data are bad.
    #[serde(default)]
    pub on_error: OnError,
    /// How long a batch may take before the run stops and names the sample being read, as in `60 s`; by default for
    /// ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<TimeSpan>,
    /// Which part of each batch is read here, where several processes train together.
    #[serde(default)]
    pub ranks: Ranks,
}

fn two() -> usize {
    2
}

fn ten() -> usize {
    10
}

impl Loader {
    /// Makes a loader section with the defaults for everything but the batch size.
    pub fn new(batch_size: NonZeroUsize) -> Self {
        Self {
            batch_size,
            shuffle: Shuffle::default(),
            sampler: None,
            class_weight: None,
            drop_last: false,
            workers: two(),
            max_queue_size: ten(),
            queue_budget: None,
            on_error: OnError::default(),
            timeout: None,
            ranks: Ranks::default(),
        }
    }
}

/// `loader.shuffle:` the order of training samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Shuffle {
    /// `true`: a new order each epoch. `false`: as they are stored.
    Whole(bool),
    /// Blocks are shuffled, then the samples of a few blocks at a time: for data that are expensive to open.
    Windowed(Windowed),
}

impl Default for Shuffle {
    fn default() -> Self {
        Self::Whole(true)
    }
}

/// The mapping with the key `window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Windowed {
    /// Blocks are shuffled, then the samples of a few blocks at a time. A number counts volumes, whose patches are a block.
    Window(Window),
}

/// `loader.shuffle.window:` how many blocks are open at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Window {
    /// This many volumes; a block is the patches of one.
    Volumes(#[schemars(range(min = 1, max = 1_000_000_000))] usize),
    /// Blocks of neighbouring samples.
    Blocks(Blocks),
}

/// `loader.shuffle.window:` blocks of neighbouring samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Blocks {
    /// The samples of a block, which are neighbours in the files.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub block: usize,
    /// How many blocks are open at a time.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub blocks: usize,
}

/// `loader.sampler:` which training samples are drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Sampler {
    /// Every class as often as the others, with repetitions of the rare ones.
    Balanced(Balanced),
    /// By a weight for each class.
    Weighted(Weighted),
    /// Batches of a number of classes with a number of samples each; `batch_size` is their product.
    #[cfg(feature = "pairs")]
    ClassBatches(batchwright_pairs::ClassBatchOptions),
}

/// `loader.sampler.balanced:` its settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Balanced {
    /// How many samples an epoch has; by default as many as there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draws: Option<NonZeroUsize>,
}

/// `loader.sampler.weighted:` its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Weighted {
    /// How often samples of a class are drawn, compared with others: a number for each class, as in `{ 0: 1, 1: 5 }`.
    pub classes: BTreeMap<u32, Weight>,
    /// How many samples an epoch has; by default as many as there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draws: Option<NonZeroUsize>,
    /// Whether a sample can come several times in an epoch.
    #[serde(default = "yes")]
    pub replacement: bool,
}

fn yes() -> bool {
    true
}

/// A weight: finite, and at least 0.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Weight(
    /// The number.
    #[schemars(range(min = 0))]
    pub f32,
);

/// `loader.class_weight:` a weight for the loss of each class's samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ClassWeight {
    /// The word `balanced`: samples / (classes x samples of the class), from the training samples.
    Balanced(BalancedWord),
    /// A number for each class, as in `{ 0: 1, 1: 5 }`.
    Given(#[serde(deserialize_with = "numbered")] BTreeMap<u32, Weight>),
}

/// Reads a mapping whose keys are numbers: inside an untagged choice, serde hands keys out as texts alone.
fn numbered<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<u32, Weight>, D::Error> {
    let named = BTreeMap::<String, Weight>::deserialize(deserializer)?;
    named
        .into_iter()
        .map(|(key, weight)| Ok((key.parse().map_err(serde::de::Error::custom)?, weight)))
        .collect()
}

/// The word `balanced`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BalancedWord {
    /// The word itself.
    Balanced,
}

/// `loader.on_error:` what to do about a sample whose data are bad: the same error at every read. Errors of the
/// environment always stop the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum OnError {
    /// The run stops.
    #[default]
    Fail,
    /// It is left out, and its batch is shorter.
    Skip {
        /// How many different samples of a run may be left out.
        #[schemars(range(max = 1_000_000_000))]
        budget: usize,
    },
    /// Another sample takes its place.
    Substitute {
        /// How many different samples of a run may be left out.
        #[schemars(range(max = 1_000_000_000))]
        budget: usize,
    },
}

/// `loader.ranks:` which part of each batch is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ranks {
    /// Which process this is, from 0.
    #[schemars(range(max = 1_000_000))]
    pub index: usize,
    /// How many processes there are.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub world: usize,
    /// What happens where the last batch cannot be shared equally.
    pub uneven: Uneven,
}

impl Default for Ranks {
    fn default() -> Self {
        Self { index: 0, world: 1, uneven: Uneven::default() }
    }
}

/// `loader.ranks.uneven:` what happens where the last batch cannot be shared equally.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Uneven {
    /// Shares differ by at most one sample.
    #[default]
    Exact,
    /// The first samples of the epoch are repeated, marked as padded, until shares are equal.
    Pad,
    /// The samples that are over are not in this epoch.
    Drop,
}
