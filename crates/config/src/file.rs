//! The configuration as it is written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::DataFile;
use crate::loader::Loader;
use crate::model::Model;
use crate::training::{Logging, Training};

/// One file describes a run: its data, how they are loaded, the network, its training, and what is written down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename = "Run")]
pub(crate) struct File {
    /// The name of the run, and of its folder; by default that of this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "run-name", "pattern" = "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"))]
    pub(crate) name: Option<String>,
    /// What every random draw of the run is keyed by: the same number, the same run.
    pub(crate) seed: u64,
    /// Which samples there are.
    pub(crate) data: DataFile,
    /// How samples become batches, and who reads them.
    pub(crate) loader: Loader,
    /// Which network is trained; runs that only load need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<Model>,
    /// How it is trained; runs that only load need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) training: Option<Training>,
    /// What is written down, and where.
    #[serde(default)]
    pub(crate) logging: Logging,
}
