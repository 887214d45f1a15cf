//! What is trained: a loss of a batch, and what is said about it.

use std::collections::BTreeMap;

use batchwright_core::BoxError;
use tch::Tensor;

use crate::pictures::Pictures;
use crate::tensors::TensorBatch;

/// Where in a run a batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many steps were made before it, over all epochs.
    pub step: u64,
    /// The epoch, from 0.
    pub epoch: u64,
    /// Whether the loss is going to be differentiated: dropout is on.
    pub training: bool,
}

/// The loss of a batch, and figures to go with it, all as tensors on the device: nothing here waits for it.
#[derive(Debug)]
pub struct Losses {
    /// The mean over the batch's samples, a scalar to be minimised.
    pub loss: Tensor,
    /// Named scalars: means over the batch's samples. The mean over all samples is written down.
    pub metrics: Vec<(&'static str, Tensor)>,
    /// Named numbers that are known without the device; the last one is written down.
    pub values: Vec<(&'static str, f64)>,
    /// Named tensors that are added up over the batches of an evaluation, for [`Task::conclude`].
    pub sums: Vec<(&'static str, Tensor)>,
    /// Named tensors whose rows are put one after the other over the batches of an evaluation, for [`Task::conclude`]. They are kept on the CPU
    /// until its end: rows of 64 floats of a million samples are 256 MB. A training throws them away.
    pub rows: Vec<(&'static str, Tensor)>,
}

impl Losses {
    /// Starts with the loss.
    pub fn new(loss: Tensor) -> Self {
        Self { loss, metrics: Vec::new(), values: Vec::new(), sums: Vec::new(), rows: Vec::new() }
    }

    /// Adds a figure: a scalar tensor, the mean over the batch's samples.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Tensor) -> Self {
        self.metrics.push((name, value));
        self
    }

    /// Adds a number that is known without the device.
    #[must_use]
    pub fn with_value(mut self, name: &'static str, value: f64) -> Self {
        self.values.push((name, value));
        self
    }

    /// Adds a tensor that is added up over the batches of an evaluation.
    #[must_use]
    pub fn with_sum(mut self, name: &'static str, value: Tensor) -> Self {
        self.sums.push((name, value));
        self
    }

    /// Adds a tensor whose rows are collected over the batches of an evaluation.
    #[must_use]
    pub fn with_rows(mut self, name: &'static str, rows: Tensor) -> Self {
        self.rows.push((name, rows));
        self
    }
}

/// What was added up over the batches of an evaluation.
#[derive(Debug)]
pub struct Totals {
    /// After how many steps of the training.
    pub step: u64,
    /// How many samples there were.
    pub samples: u64,
    /// The sums, by name, in double precision on the CPU.
    pub sums: BTreeMap<&'static str, Tensor>,
    /// The rows of all batches, by name, in the order of the batches, on the CPU.
    pub rows: BTreeMap<&'static str, Tensor>,
    /// The means of the metrics, by name.
    pub metrics: BTreeMap<String, f64>,
}

/// What a task says at the end of an evaluation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conclusion {
    /// Further metrics.
    pub metrics: Vec<(&'static str, f64)>,
    /// What the user should know, with the remedy; it is shown, and stands in the summary.
    pub warnings: Vec<String>,
}

/// What is trained. Its parameters live in the variable store of the [`Trainer`](crate::Trainer), under names:
/// build it with [`Trainer::root`](crate::Trainer::root).
///
/// The laws:
///
/// 1. [`loss`](Task::loss) is a function of the variables of the store, the batch, the step, and libtorch's generator, which is seeded from
///    (seed, step) before each call. It keeps nothing from one call to the next but in variables that are not trained (running statistics, a memory of
///    embeddings), which checkpoints have, and which it changes only where [`Step::training`] says so.
/// 2. Parameters have names, and the same names, shapes and kinds every time it is built.
/// 3. It does not read numbers back from the device (`double_value` and the like) in `loss`: that would make the device wait.
///
/// A task is object safe.
pub trait Task {
    /// Computes the loss of a batch.
    ///
    /// # Errors
    /// Says what is wrong with the batch; the run stops.
    fn loss(&self, batch: &TensorBatch, step: Step) -> Result<Losses, BoxError>;

    /// Computes what is validated, without gradients; by default the loss.
    ///
    /// # Errors
    /// Says what is wrong with the batch; the run stops.
    fn validate(&self, batch: &TensorBatch, step: Step) -> Result<Losses, BoxError> {
        self.loss(batch, step)
    }

    /// Embeds the samples of a batch, without gradients: one row of numbers for each, on any device.
    ///
    /// # Errors
    /// Says what is wrong with the batch; by default that the task has no embeddings.
    fn embed(&self, _batch: &TensorBatch) -> Result<Tensor, BoxError> {
        Err("this task has no embeddings".into())
    }

    /// Computes further metrics, and warnings, of the totals of an evaluation; none by default.
    fn conclude(&self, _totals: &Totals) -> Conclusion {
        Conclusion::default()
    }

    /// Draws pictures of a batch, without gradients; none by default.
    ///
    /// # Errors
    /// Says why there is no picture. The run goes on, with a warning.
    fn pictures(&self, _batch: &TensorBatch, _step: Step, _to: &mut dyn Pictures) -> Result<(), BoxError> {
        Ok(())
    }
}
