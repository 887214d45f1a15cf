//! Checkpoints: folders that are whole or not there.
//!
//! A checkpoint is written into `.tmp-step-S-PID/`: the tensors, the state, then `MANIFEST.json` with the length and SHA-256 of each, every file flushed to
//! the disk. The folder is renamed to `step-S/`, and the folder above it flushed. A kill at any instant leaves the
//! checkpoints before it as they were. At the end of an epoch it is written before the validation, whose outcome joins it later as
//! `VALIDATED`, in one rename; without that file the validation is made again. The latest one is found by looking: the highest step whose manifest holds.

mod error;
mod manifest;
mod state;
mod store;
mod weights;

pub(crate) use error::list;
pub use error::{CheckpointError, Rejected};
pub(crate) use manifest::sha256;
pub(crate) use state::{LogLengths, State, Validated};
pub(crate) use store::{Contents, Store, any, read};
pub(crate) use weights::{Expected, read_tensors, write_tensors};

use std::path::PathBuf;

/// A checkpoint that was read and found whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Its folder.
    pub path: PathBuf,
    /// After how many steps it was made.
    pub step: u64,
    /// In which epoch, from 0.
    pub epoch: u64,
    /// The validation loss at that step, if it was validated there.
    pub val_loss: Option<f64>,
}

pub(crate) const MODEL: &str = "model.safetensors";
pub(crate) const OPTIMIZER: &str = "optimizer.safetensors";
pub(crate) const STATE: &str = "state.json";
pub(crate) const VALIDATED: &str = "VALIDATED";
