//! Why a checkpoint cannot be written or used.

use std::path::PathBuf;

use tch::{Kind, TchError};

/// Why a checkpoint cannot be written or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A file could not be read or written.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file is larger than anything this program writes there.
    #[error("`{file}` has {found} bytes, more than the limit of {limit}")]
    TooLarge {
        /// The file.
        file: String,
        /// How long it is.
        found: u64,
        /// How long it may be.
        limit: u64,
    },
    /// The manifest is damaged.
    #[error("`MANIFEST.json` is damaged: {reason}")]
    Manifest {
        /// In which way.
        reason: String,
    },
    /// A file has another length than the manifest says.
    #[error("`{file}` has {found} bytes; the manifest says {expected}")]
    Length {
        /// The file.
        file: String,
        /// What the manifest says.
        expected: u64,
        /// How long it is.
        found: u64,
    },
    /// A file has other bytes than the manifest says.
    #[error("`{file}` is damaged: its SHA-256 is {found}; the manifest says {expected}")]
    Digest {
        /// The file.
        file: String,
        /// What the manifest says.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The state is no state of this program.
    #[error("`state.json` cannot be understood")]
    State {
        /// Why not.
        source: serde_json::Error,
    },
    /// The state was written by another version.
    #[error("`state.json` has version {found}; this program reads version {expected}")]
    Version {
        /// The file's.
        found: u32,
        /// This program's.
        expected: u32,
    },
    /// The tensors cannot be read or written.
    #[error("`{file}` cannot be understood")]
    Format {
        /// The file.
        file: &'static str,
        /// Why not.
        source: safetensors::SafeTensorError,
    },
    /// A tensor is missing.
    #[error("`{file}` has no tensor `{name}`")]
    Missing {
        /// The file.
        file: &'static str,
        /// The tensor.
        name: String,
    },
    /// There is a tensor that nothing wants.
    #[error("`{file}` has a tensor `{name}` that this task does not have")]
    Unexpected {
        /// The file.
        file: &'static str,
        /// The tensor.
        name: String,
    },
    /// A tensor has another shape.
    #[error("`{name}` in `{file}` has the shape {found:?}; expected {expected:?}")]
    Shape {
        /// The file.
        file: &'static str,
        /// The tensor.
        name: String,
        /// What the task has.
        expected: Vec<i64>,
        /// What the file has.
        found: Vec<usize>,
    },
    /// A tensor has another kind.
    #[error("`{name}` in `{file}` holds {found}; expected {expected:?}")]
    Kind {
        /// The file.
        file: &'static str,
        /// The tensor.
        name: String,
        /// What the task has.
        expected: Kind,
        /// What the file has.
        found: String,
    },
    /// A tensor holds an infinity or not a number.
    #[error("`{name}` in `{file}` holds a value that is not finite")]
    NotFinite {
        /// The file.
        file: &'static str,
        /// The tensor.
        name: String,
    },
    /// libtorch refused an operation.
    #[error("libtorch cannot {doing}")]
    Torch {
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: TchError,
    },
}

/// A checkpoint that could not be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its folder.
    pub path: PathBuf,
    /// The error and its causes.
    pub reason: String,
}

/// Returns the refused checkpoints as one line.
pub(crate) fn list(rejected: &[Rejected]) -> String {
    if rejected.is_empty() {
        return "there is none".to_owned();
    }
    let each: Vec<_> = rejected.iter().map(|one| format!("{}: {}", one.path.display(), one.reason)).collect();
    each.join("; ")
}
