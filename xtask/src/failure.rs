//! What is told to the person at the keyboard when something does not work.

use std::fmt;
use std::io;
use std::path::Path;

/// A result whose error is a [`Failure`].
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Why a task stopped: a message, and the exit code to leave with.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// A failure that ends with exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1 }
    }

    /// A wrong command line: exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 2 }
    }

    /// Says what was tried on which path, and why that failed.
    pub(crate) fn path(tried: &str, path: &Path, cause: impl fmt::Display) -> Self {
        Self::new(format!("cannot {tried} {}: {cause}", path.display()))
    }

    /// The exit code to leave with.
    pub(crate) fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Adds the path to an error of the file system.
pub(crate) trait OnPath<T> {
    /// Turns the error into "cannot TRIED PATH: cause".
    fn on_path(self, tried: &str, path: &Path) -> Result<T>;
}

impl<T> OnPath<T> for io::Result<T> {
    fn on_path(self, tried: &str, path: &Path) -> Result<T> {
        self.map_err(|cause| Failure::path(tried, path, cause))
    }
}
