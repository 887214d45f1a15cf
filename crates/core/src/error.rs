//! What can go wrong while batches are made, by whose fault it is.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Any error that can cross a thread.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Whose fault an error of a sample is, which decides whether it may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The bytes of the sample are wrong, and will be wrong again: it may be left out, by policy.
    Data,
    /// The machine failed (permissions, a disk, a time-out): the run stops, whatever the policy.
    Environment,
}

/// The error of one sample, as a [`Dataset`](crate::Dataset) reports it.
#[derive(Debug)]
pub struct SampleError {
    fault: Fault,
    source: BoxError,
}

impl SampleError {
    /// Reports bad data: the same bytes will give the same error again.
    pub fn data(source: impl Into<BoxError>) -> Self {
        Self { fault: Fault::Data, source: source.into() }
    }

    /// Reports a failure of the machine.
    pub fn environment(source: impl Into<BoxError>) -> Self {
        Self { fault: Fault::Environment, source: source.into() }
    }

    /// Reports an input or output error on a file. A missing, short or malformed file is the data's fault, anything
    /// else (permissions, devices) the environment's.
    pub fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        let fault = fault_of_io(&source);
        Self { fault, source: Box::new(FileError { doing, path: path.to_owned(), source }) }
    }

    /// Returns whose fault it is.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// Returns the error itself.
    pub fn into_source(self) -> BoxError {
        self.source
    }

    /// Returns the whole chain of messages, as one line; two reads of one bad sample give the same.
    pub fn chain(&self) -> String {
        chain(self.source.as_ref())
    }
}

impl fmt::Display for SampleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.source, f)
    }
}

/// Returns whose fault an input or output error is: a missing, short or malformed file is the data's.
pub fn fault_of_io(error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::InvalidData
        | io::ErrorKind::InvalidInput => Fault::Data,
        _ => Fault::Environment,
    }
}

/// An input or output error with the file it happened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}", path.display())]
struct FileError {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Returns an error and its causes as one line.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// Where in the stream of batches something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The epoch, from 0.
    pub epoch: u64,
    /// The batch within the epoch, from 0.
    pub batch: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {}, batch {}", self.epoch, self.batch)
    }
}

/// A batch that could not be made; it arrives in the batch's place in the order.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A sample could not be read.
    #[error("cannot read sample {index} ({id}) at {place}, position {position}")]
    Sample {
        /// Its index in the data set.
        index: usize,
        /// Its name in the data set.
        id: String,
        /// Where it stood.
        place: Place,
        /// Its position in the epoch.
        position: u64,
        /// Whose fault it is.
        fault: Fault,
        /// What happened.
        source: BoxError,
    },
    /// Reading a sample a second time gave another result than the first: a failing disk, or a data set whose
    /// samples are not a function of their index.
    #[error(
        "sample {index} ({id}) at {place}, position {position}, failed with `{first}`, and on a second read {second}; \
         it is not left out, because its data cannot be trusted"
    )]
    Unstable {
        /// Its index in the data set.
        index: usize,
        /// Its name in the data set.
        id: String,
        /// Where it stood.
        place: Place,
        /// Its position in the epoch.
        position: u64,
        /// The first error.
        first: String,
        /// What the second read gave.
        second: String,
    },
    /// The code that reads a sample panicked.
    #[error("reading sample {index} ({id}) at {place}, position {position}, panicked: {message}")]
    Panic {
        /// Its index in the data set.
        index: usize,
        /// Its name in the data set.
        id: String,
        /// Where it stood.
        place: Place,
        /// Its position in the epoch.
        position: u64,
        /// What the panic said.
        message: String,
    },
    /// A hand-written [`Sequence`](crate::Sequence) could not make a batch.
    #[error("cannot make the batch of {place}")]
    Batch {
        /// Where it stood.
        place: Place,
        /// What happened.
        source: BoxError,
    },
    /// A hand-written [`Sequence`](crate::Sequence) panicked while making a batch.
    #[error("making the batch of {place} panicked: {message}")]
    BatchPanic {
        /// Where it stood.
        place: Place,
        /// What the panic said.
        message: String,
    },
    /// No substitute could be read for a bad sample.
    #[error(
        "found no substitute for the sample at {place}, position {position}, in {tries} tries; the last was {last}"
    )]
    NoSubstitute {
        /// Where it stood.
        place: Place,
        /// Its position in the epoch.
        position: u64,
        /// How many were tried.
        tries: u64,
        /// The last one's error.
        last: String,
    },
    /// More samples had to be left out than the budget allows.
    #[error(
        "{left_out} samples had to be left out, the budget is {budget}; the last one, sample {index} ({id}), \
         failed with: {error}"
    )]
    Budget {
        /// How many different samples were left out, this one included.
        left_out: usize,
        /// How many may be.
        budget: usize,
        /// The last one's index.
        index: usize,
        /// The last one's name.
        id: String,
        /// The last one's error.
        error: String,
    },
    /// A batch did not arrive in time.
    #[error("the batch of {place} did not arrive within {waited:?}; being read: {reading}")]
    Timeout {
        /// Where it stands.
        place: Place,
        /// How long was waited.
        waited: Duration,
        /// Which samples are being read, by which worker.
        reading: String,
    },
    /// The hook at the end of an epoch panicked.
    #[error("the hook at the end of epoch {epoch} panicked: {message}")]
    Hook {
        /// The epoch that had ended.
        epoch: u64,
        /// What the panic said.
        message: String,
    },
    /// There is no memory for a batch.
    #[error("cannot allocate {bytes} bytes for the batch of {place}")]
    Memory {
        /// Where it stood.
        place: Place,
        /// How many bytes.
        bytes: usize,
        /// What the allocator said.
        source: BoxError,
    },
    /// An earlier error had closed the loader.
    #[error("the loader was closed by an earlier error")]
    Closed,
}

impl LoadError {
    /// Returns whose fault it is; `None` for a defect in code (a panic).
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Sample { fault, .. } => Some(*fault),
            Self::NoSubstitute { .. } | Self::Budget { .. } | Self::Batch { .. } => Some(Fault::Data),
            Self::Unstable { .. } | Self::Timeout { .. } | Self::Memory { .. } => Some(Fault::Environment),
            Self::Panic { .. } | Self::BatchPanic { .. } | Self::Hook { .. } | Self::Closed => None,
        }
    }
}

/// Returns what a panic said.
pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "(no message)".to_owned()
    }
}
