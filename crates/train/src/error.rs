//! What can stop a training.

use std::path::PathBuf;

use batchwright_core::{BoxError, LoadError, ResumeError};
use tch::TchError;

use crate::checkpoint::{CheckpointError, Rejected};
use crate::metric::MetricError;
use crate::vae::VaeError;

/// Whose fault an error is, as the exit code of a program says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Of the configuration, or of how the library is used.
    Usage,
    /// Of the data.
    Data,
    /// Of the machine: a disk, libtorch, a device.
    Environment,
}

/// Why a training stopped or did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A run of this name is there, and resuming was not asked for.
    #[error("the run folder {} is there already; resume it or choose another name", path.display())]
    RunExists {
        /// The folder.
        path: PathBuf,
    },
    /// There is no run to resume.
    #[error("cannot resume {}: there is no run", path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// There is no run to read.
    #[error("there is no run with a checkpoint in {}", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
    },
    /// Another trainer works in the run folder.
    #[error("another process trains in {}; wait for it or choose another name", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// A file of the run could not be read or written.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// No checkpoint of the run can be used.
    #[error("no checkpoint of {} can be used: {}", path.display(), crate::checkpoint::list(rejected))]
    NoCheckpoint {
        /// The run folder.
        path: PathBuf,
        /// The checkpoints that were tried, and why each was refused.
        rejected: Vec<Rejected>,
    },
    /// A checkpoint could not be written or read.
    #[error("cannot {doing} a checkpoint in {}", path.display())]
    Checkpoint {
        /// What was tried.
        doing: &'static str,
        /// The folder of the checkpoint.
        path: PathBuf,
        /// Why not.
        source: Box<CheckpointError>,
    },
    /// The configuration is another than the one the run was started with.
    #[error("the configuration of the run in {} has changed: {}", path.display(), changes.join("; "))]
    ConfigurationChanged {
        /// The run folder.
        path: PathBuf,
        /// What changed, one fact each.
        changes: Vec<String>,
    },
    /// A setting cannot be used.
    #[error("`{key}` is {found}; expected {expected}")]
    Setting {
        /// The key as the configuration names it.
        key: &'static str,
        /// What it is.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// The training or validation set has no batch.
    #[error("the {name} set has no batch")]
    Empty {
        /// Which one.
        name: String,
    },
    /// A batch could not be loaded.
    #[error("cannot load a batch of the {name} set")]
    Load {
        /// Which one.
        name: String,
        /// Why not.
        source: Box<LoadError>,
    },
    /// There were fewer batches than the epochs need.
    #[error("the {name} set ended after {step} steps; the epochs have {total}")]
    Ended {
        /// Which one.
        name: String,
        /// After how many steps.
        step: u64,
        /// How many there should have been.
        total: u64,
    },
    /// The loader does not go on from the state in the checkpoint.
    #[error("cannot go on where the checkpoint stands")]
    ResumeData {
        /// Why not.
        source: Box<ResumeError>,
    },
    /// The task failed.
    #[error("the task failed to {doing} at step {step}")]
    Task {
        /// What it was asked for.
        doing: &'static str,
        /// After how many steps.
        step: u64,
        /// What it said.
        source: BoxError,
    },
    /// The loss is not a finite number any more.
    #[error(
        "{name} is {value} between steps {from} and {step}: the training has diverged; lower the learning rate or clip the \
         gradient (`training.clip_gradient`) in a new run"
    )]
    Diverged {
        /// Which figure.
        name: String,
        /// What it is.
        value: f64,
        /// After which step it was still finite.
        from: u64,
        /// By which step it was not.
        step: u64,
    },
    /// The task has no parameter to train.
    #[error("the task has no parameter in the trainer's variable store; build it with `Trainer::root`")]
    NoParameters,
    /// libtorch refused an operation.
    #[error("libtorch cannot {doing}")]
    Torch {
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: TchError,
    },
    /// A buffer did not become a tensor.
    #[error("cannot hand a batch to libtorch")]
    Tensor {
        /// Why not.
        source: batchwright_torch::Error,
    },
}

impl Error {
    /// Returns whose fault it is; `None` for a defect in code.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::RunExists { .. }
            | Self::NoRun { .. }
            | Self::NotARun { .. }
            | Self::ConfigurationChanged { .. }
            | Self::Setting { .. }
            | Self::Diverged { .. }
            | Self::NoParameters => Some(Fault::Usage),
            Self::Empty { .. } | Self::Ended { .. } | Self::ResumeData { .. } => Some(Fault::Data),
            Self::Task { source, .. } if source.is::<MetricError>() => {
                match source.downcast_ref::<MetricError>() {
                    Some(MetricError::Fields { .. } | MetricError::Weights { .. }) => Some(Fault::Usage),
                    Some(MetricError::Torch { .. }) => Some(Fault::Environment),
                    _ => Some(Fault::Data),
                }
            }
            Self::Task { source, .. } => match source.downcast_ref::<VaeError>() {
                Some(VaeError::Pixels { .. }) => Some(Fault::Usage),
                Some(VaeError::Torch { .. }) => Some(Fault::Environment),
                _ if source.is::<TchError>() => Some(Fault::Environment),
                _ => Some(Fault::Data),
            },
            Self::Load { source, .. } => source.fault().map(|fault| match fault {
                batchwright_core::Fault::Data => Fault::Data,
                batchwright_core::Fault::Environment => Fault::Environment,
            }),
            Self::Locked { .. }
            | Self::Io { .. }
            | Self::NoCheckpoint { .. }
            | Self::Checkpoint { .. }
            | Self::Torch { .. }
            | Self::Tensor { .. } => Some(Fault::Environment),
        }
    }
}

/// Turns libtorch's errors into ours.
pub(crate) trait Doing<T> {
    /// Says what was tried.
    fn doing(self, doing: &'static str) -> Result<T, Error>;
}

impl<T> Doing<T> for Result<T, TchError> {
    fn doing(self, doing: &'static str) -> Result<T, Error> {
        self.map_err(|source| Error::Torch { doing, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fault_of_a_task_is_that_of_what_it_says() {
        let fault = |source: BoxError| Error::Task { doing: "x", step: 0, source }.fault();
        assert_eq!(fault(TchError::Kind("no memory".to_owned()).into()), Some(Fault::Environment));
        assert_eq!(fault(VaeError::Pixels { least: -1.0, greatest: 2.0 }.into()), Some(Fault::Usage));
        assert_eq!(fault("a field is missing".into()), Some(Fault::Data));
    }
}
