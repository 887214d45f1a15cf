//! What a checkpoint knows besides tensors.

use batchwright_core::{Fingerprint, LoaderState};
use serde::{Deserialize, Serialize};

use super::{CheckpointError, sha256};
use crate::stopping::Patience;
use crate::window::WindowState;

const VERSION: u32 = 2;

/// What stands in `state.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    pub(crate) version: u32,
    pub(crate) libtorch: String,
    pub(crate) cpu_capability: String,
    pub(crate) device: String,
    pub(crate) threads: usize,
    pub(crate) seed: u64,
    pub(crate) epoch: u64,
    pub(crate) step: u64,
    pub(crate) loader: LoaderState,
    pub(crate) window: WindowState,
    /// After which step the window begins.
    pub(crate) window_from: u64,
    pub(crate) logs: LogLengths,
    /// Whether the validation of this step was still to come.
    pub(crate) pending: bool,
    pub(crate) val_loss: Option<f64>,
    /// How long ago the validation loss was lowest, where that may end the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) patience: Option<Patience>,
    /// What is validated on: losses on other data do not compare.
    pub(crate) validation: Option<Fingerprint>,
    /// What the user was told.
    pub(crate) warnings: Vec<String>,
    pub(crate) configuration: serde_json::Value,
}

/// What a validation changes of a checkpoint that was written before it, in a file of its own beside the state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Validated {
    /// The digest of the state that this belongs to.
    pub(crate) state_sha256: String,
    pub(crate) val_loss: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) patience: Option<Patience>,
    pub(crate) logs: LogLengths,
    pub(crate) warnings: Vec<String>,
}

impl Validated {
    /// Writes it, with its own digest in front.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let text = serde_json::to_string(self).expect("strings and finite numbers are always JSON");
        format!("{}\n{text}\n", sha256(text.as_bytes())).into_bytes()
    }

    /// Reads it; `None` where any of its bytes is another.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (digest, text) = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?.split_once('\n')?;
        if digest != sha256(text.as_bytes()) {
            return None;
        }
        serde_json::from_str(text).ok()
    }
}

/// How long the logs are at a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogLengths {
    pub(crate) metrics: u64,
    pub(crate) timing: u64,
}

impl State {
    pub(crate) const VERSION: u32 = VERSION;

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, CheckpointError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let understood = |source| CheckpointError::State { source };
        let Version { version } = serde_json::from_slice(bytes).map_err(understood)?;
        if version != VERSION {
            return Err(CheckpointError::Version { found: version, expected: VERSION });
        }
        serde_json::from_slice(bytes).map_err(understood)
    }

    /// Takes over what a validation after it changed.
    pub(crate) fn validated(&mut self, validated: Validated) {
        let Validated { state_sha256: _, val_loss, patience, logs, warnings } = validated;
        self.pending = false;
        self.val_loss = val_loss;
        self.patience = patience;
        self.logs = logs;
        self.warnings = warnings;
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("strings and finite numbers are always JSON")
    }
}
