//! What a checkpoint knows besides tensors.

use batchwright_core::LoaderState;
use serde::{Deserialize, Serialize};

use super::CheckpointError;
use crate::window::WindowState;

const VERSION: u32 = 1;

/// What stands in `state.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    pub(crate) version: u32,
    /// The version of this program.
    pub(crate) program: String,
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
    pub(crate) val_loss: Option<f64>,
    /// What the user was told.
    pub(crate) warnings: Vec<String>,
    pub(crate) configuration_sha256: String,
    pub(crate) configuration: serde_json::Value,
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

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("strings and finite numbers are always JSON")
    }
}
