//! Why the data of a configuration cannot be opened.

use std::path::PathBuf;

use batchwright_core::{PlanError, SamplerError};

/// Data that cannot be opened. Each names the key of the configuration that it is about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A file or folder is not there.
    #[error("{key}: there is no `{}`{}; set {hint}", path.display(), belongs(.origin.as_ref()))]
    Missing {
        /// The key that names it.
        key: String,
        /// What is not there.
        path: PathBuf,
        /// Where it can be had.
        origin: Option<String>,
        /// What to set.
        hint: String,
    },
    /// The images cannot be used.
    #[error("{key}: the images cannot be used")]
    Images {
        /// The key that names them.
        key: String,
        /// Why not.
        source: Box<batchwright_images::Error>,
    },
    /// The volumes cannot be used.
    #[cfg(feature = "nifti")]
    #[error("{key}: the volumes cannot be used")]
    Volumes {
        /// The key that names them.
        key: String,
        /// Why not.
        source: Box<batchwright_nifti::Error>,
    },
    /// The samples cannot be paired.
    #[cfg(feature = "pairs")]
    #[error("{key}: the samples cannot be paired so")]
    Pairs {
        /// The key of the rules.
        key: String,
        /// Why not.
        source: Box<batchwright_pairs::Error>,
    },
    /// A list has negative pairs where the loss takes positive ones alone.
    #[cfg(feature = "pairs")]
    #[error(
        "{key}.list: of the pairs in {}, {negatives} are not the same, and `nt_xent` takes the two of every pair for the same",
        path.display()
    )]
    Negatives {
        /// The key of the pairs.
        key: String,
        /// The list.
        path: PathBuf,
        /// How many there are.
        negatives: usize,
    },
    /// Partners cannot be mined so.
    #[cfg(feature = "pairs")]
    #[error("{key}.mining: partners cannot be mined so")]
    Mining {
        /// The key of the rules.
        key: String,
        /// Why not.
        source: Box<batchwright_pairs::EmbeddingError>,
    },
    /// The list of validation samples cannot be read.
    #[error("data.split.validation: cannot read the list {}", path.display())]
    List {
        /// The list.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Two sets of a run do not go together.
    #[error("{key}: expected {expected} as in the training set, found {found}")]
    Different {
        /// The key of the set.
        key: String,
        /// What the training set has.
        expected: String,
        /// What this one has.
        found: String,
    },
    /// A sample's class has no weight, or it has no class.
    #[error("{key}: {message}")]
    Classes {
        /// The key that asks for classes.
        key: &'static str,
        /// What is wrong.
        message: String,
    },
    /// The sampler cannot draw.
    #[error("{key}: the samples cannot be drawn so")]
    Sampler {
        /// The key of the sampler.
        key: &'static str,
        /// Why not.
        source: SamplerError,
    },
    /// The samples of a set make no batches.
    #[error("loader: the {set} set makes no batches")]
    Plan {
        /// Which set.
        set: &'static str,
        /// Why not.
        source: PlanError,
    },
}

impl OpenError {
    /// Returns whether the configuration is at fault rather than the data.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Images { source, .. } => matches!(**source, batchwright_images::Error::Choice { .. }),
            #[cfg(feature = "nifti")]
            Self::Volumes { source, .. } => matches!(**source, batchwright_nifti::Error::Choice { .. }),
            #[cfg(feature = "pairs")]
            Self::Pairs { source, .. } => {
                use batchwright_pairs::Error;
                // What stands in a list is data.
                !matches!(
                    **source,
                    Error::Io { .. }
                        | Error::Columns { .. }
                        | Error::Malformed { .. }
                        | Error::UnknownSample { .. }
                        | Error::Itself { .. }
                        | Error::Disagreeing { .. }
                        | Error::EmptyList { .. }
                )
            }
            #[cfg(feature = "pairs")]
            Self::Negatives { .. } => false,
            #[cfg(feature = "pairs")]
            Self::Mining { .. } => true,
            Self::Classes { .. } | Self::Sampler { .. } | Self::Plan { .. } => true,
            Self::Missing { .. } | Self::List { .. } | Self::Different { .. } => false,
        }
    }
}

fn belongs(origin: Option<&String>) -> String {
    origin.map(|origin| format!(" (it belongs to {origin})")).unwrap_or_default()
}
