//! What can be wrong with volumes, their files and the choices made about them.

use std::io;
use std::path::{Path, PathBuf};

use batchwright_core::{SampleError, fault_of_io};

/// Why volumes cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system could not do something with a file.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A choice makes no sense, or does not fit the data.
    #[error("`{key}` must be {expected}, found {found}")]
    Choice {
        /// The choice, by the key it has in a configuration.
        key: String,
        /// What it may be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A box of voxels reaches out of its volume.
    #[error(
        "the box from {origin:?} of size {size:?} does not fit into a volume of shape {shape:?} (x, y, z)"
    )]
    RegionOutside {
        /// The first voxel of the box.
        origin: [usize; 3],
        /// Its size.
        size: [usize; 3],
        /// The volume's shape.
        shape: [usize; 3],
    },
}

impl Error {
    /// Makes an error of an input or output operation.
    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), source }
    }

    /// Makes an error of a choice.
    pub(crate) fn choice(
        key: impl Into<String>,
        expected: impl Into<String>,
        found: impl std::fmt::Display,
    ) -> Self {
        Self::Choice { key: key.into(), expected: expected.into(), found: found.to_string() }
    }
}

impl From<Error> for SampleError {
    fn from(error: Error) -> Self {
        match &error {
            Error::Io { source, .. } if fault_of_io(source) == batchwright_core::Fault::Environment => {
                Self::environment(error)
            }
            _ => Self::data(error),
        }
    }
}
