//! What is said at the end of a training.

use std::collections::BTreeMap;
use std::path::PathBuf;

use batchwright_core::LeftOut;
use serde::Serialize;

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All epochs were trained.
    Finished,
    /// The validation loss no longer fell, as `early_stopping` says; the run is over before its epochs are.
    NoLongerBetter,
    /// It was asked to stop, and saved.
    Stopped {
        /// What [`StopFlag::set`](crate::StopFlag::set) was given.
        reason: u8,
    },
}

/// The checkpoint with the lowest validation loss.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Best {
    /// Its step.
    pub step: u64,
    /// Its epoch, from 0.
    pub epoch: u64,
    /// Its loss.
    pub val_loss: f64,
    /// Its folder.
    pub path: PathBuf,
}

/// What is said at the end of a training; also written as `summary.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// How it ended.
    pub outcome: Outcome,
    /// How many steps were made, over all parts of the run.
    pub steps: u64,
    /// How many epochs were finished.
    pub epochs: u64,
    /// The step that this part of the run went on from.
    pub resumed_from: Option<u64>,
    /// Numbers that were trained.
    pub parameters: u64,
    /// Threads that libtorch computed with.
    pub threads: usize,
    /// Where it was trained.
    pub device: String,
    /// The last figures of each name: those of the weights at the end, also where a program adds figures of a test set. Those of the
    /// best checkpoint are got by evaluating it.
    pub metrics: BTreeMap<String, f64>,
    /// The best checkpoint.
    pub best: Option<Best>,
    /// Samples that were left out by the policy for bad samples.
    pub left_out: Vec<LeftOut>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// Seconds of this part of the run, validation and saving included.
    pub seconds: f64,
    /// Samples a second of the training steps of this part.
    pub samples_per_second: f64,
    /// The fraction of the training's time that it waited for data.
    pub waited: f64,
    /// The folder of the run.
    pub folder: Option<PathBuf>,
}
