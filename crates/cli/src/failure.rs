//! Errors with the exit code that they end the program with.

use std::fmt;
use std::io;

/// What the subcommands return.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Why the program failed, and whose fault it is.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    error: anyhow::Error,
}

impl Failure {
    /// A defect of this program.
    pub(crate) fn ours(error: anyhow::Error) -> Self {
        Self { code: 1, error }
    }

    /// The configuration or the command line.
    pub(crate) fn usage(error: anyhow::Error) -> Self {
        Self { code: 2, error }
    }

    /// The data.
    pub(crate) fn data(error: anyhow::Error) -> Self {
        Self { code: 3, error }
    }

    /// The machine: a disk, libtorch, a device.
    pub(crate) fn environment(error: anyhow::Error) -> Self {
        Self { code: 4, error }
    }

    /// An error of the loader, by its fault.
    pub(crate) fn load(error: batchwright_core::LoadError) -> Self {
        match error.fault() {
            Some(batchwright_core::Fault::Data) => Self::data(error.into()),
            Some(batchwright_core::Fault::Environment) => Self::environment(error.into()),
            None => Self::ours(error.into()),
        }
    }

    /// An error of volumes: of a choice on the command line, of the machine, or of the data.
    pub(crate) fn volume(error: batchwright_nifti::Error) -> Self {
        use batchwright_core::{Fault, fault_of_io};
        match &error {
            batchwright_nifti::Error::Choice { .. } => Self::usage(error.into()),
            batchwright_nifti::Error::Io { source, .. } if fault_of_io(source) == Fault::Environment => {
                Self::environment(error.into())
            }
            _ => Self::data(error.into()),
        }
    }

    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    pub(crate) fn is_broken_pipe(&self) -> bool {
        let cause = self.error.root_cause().downcast_ref::<io::Error>();
        cause.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)?;
        if self.code == 1 {
            f.write_str("\nthis is a defect of batchwright; please report it with the line above")?;
        }
        Ok(())
    }
}
