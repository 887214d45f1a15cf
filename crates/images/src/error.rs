//! What can be wrong with images, their files and the choices made about them.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use batchwright_core::{BoxError, SampleError};

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// A byte from the start of the file; in a compressed file, of what it inflates to.
    Byte(u64),
    /// A line and a column of a table, both from 1.
    Cell {
        /// The line.
        line: u64,
        /// The column.
        column: usize,
    },
    /// A line of a table, from 1.
    Line(u64),
    /// A byte of a member of an archive, inflated.
    Member {
        /// The member.
        name: String,
        /// The byte.
        byte: u64,
    },
    /// The file as a whole.
    File,
}

impl At {
    /// Returns the place `count` bytes further on, where a place is a byte.
    pub(crate) fn further(self, count: u64) -> Self {
        match self {
            Self::Byte(byte) => Self::Byte(byte + count),
            Self::Member { name, byte } => Self::Member { name, byte: byte + count },
            Self::Cell { .. } | Self::Line(_) | Self::File => self,
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte(byte) => write!(f, " at byte {byte}"),
            Self::Cell { line, column } => write!(f, " at line {line}, column {column}"),
            Self::Line(line) => write!(f, " at line {line}"),
            Self::Member { name, byte } => write!(f, " in `{name}` at byte {byte}"),
            Self::File => Ok(()),
        }
    }
}

/// Why images cannot be used.
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
    /// A file holds something else than its format promises.
    #[error("{}{at}: expected {expected}, found {found}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The place in it.
        at: At,
        /// What should stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// Compressed data, an archive or a picture cannot be decoded.
    #[error("cannot decode {}{at}", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// The place in it.
        at: At,
        /// What the decoder said.
        source: BoxError,
    },
    /// A picture cannot be written.
    #[error("cannot encode {}", path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// What the encoder said.
        source: BoxError,
    },
    /// Two things that belong together do not have the same number of samples.
    #[error("{what} has {found} entries, and {of} has {expected}")]
    Count {
        /// The one.
        what: String,
        /// Its number.
        found: usize,
        /// The other.
        of: String,
        /// Its number.
        expected: usize,
    },
    /// A picture has another size than the data set.
    #[error(
        "{} is {} x {} pixels (width x height), and the data set's images are {} x {}; choose `resize` to scale it",
        path.display(), found[1], found[0], expected[1], expected[0]
    )]
    Size {
        /// The file.
        path: PathBuf,
        /// Its height and width.
        found: [usize; 2],
        /// The data set's.
        expected: [usize; 2],
    },
    /// A label is no class.
    #[error("sample {index} ({id}) has the label {label}, and the classes are 0 to {}", classes.saturating_sub(1))]
    Label {
        /// The sample.
        index: usize,
        /// Its name.
        id: String,
        /// Its label.
        label: i64,
        /// How many classes there are.
        classes: usize,
    },
    /// A label is larger than any that numbers a class.
    #[error(
        "sample {index} ({id}) has the label {label}, and labels number classes from 0: expected one below {limit}"
    )]
    LargeLabel {
        /// The sample.
        index: usize,
        /// Its name.
        id: String,
        /// Its label.
        label: i64,
        /// What labels are below.
        limit: i64,
    },
    /// A source gave another number of pixels than its images have.
    #[error("image {index} ({id}): expected the {expected} pixels of {shape:?}, found {found}")]
    Pixels {
        /// The image.
        index: usize,
        /// Its name.
        id: String,
        /// The shape of the source's images.
        shape: [usize; 3],
        /// How many pixels that is.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A choice has a value that cannot be.
    #[error("`{key}`: expected {expected}, found {found}")]
    Choice {
        /// The choice.
        key: &'static str,
        /// What it may be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// There is no image where some should be.
    #[error("there is no image in {}; {hint}", path.display())]
    NoImages {
        /// The folder or the file.
        path: PathBuf,
        /// What is looked for.
        hint: &'static str,
    },
    /// An image that a statistic needs cannot be read.
    #[error("cannot read image {index} ({id})")]
    Image {
        /// The image.
        index: usize,
        /// Its name.
        id: String,
        /// What happened.
        source: BoxError,
    },
    /// A side of a split has no sample.
    #[error("the {side} side of the split {split} is empty: all {samples} samples are on the other side")]
    EmptySide {
        /// `training` or `validation`.
        side: &'static str,
        /// The split.
        split: String,
        /// How many samples there are.
        samples: usize,
    },
    /// A split names a sample or asks for a group that is not there.
    #[error("the split {split} {problem}")]
    Split {
        /// The split.
        split: String,
        /// What does not fit.
        problem: String,
    },
}

impl Error {
    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), source }
    }

    pub(crate) fn malformed(
        path: &Path,
        at: At,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Self {
        let (expected, found) = (expected.to_string(), found.to_string());
        Self::Malformed { path: path.to_owned(), at, expected, found }
    }

    pub(crate) fn decode(path: &Path, at: At, source: impl Into<BoxError>) -> Self {
        Self::Decode { path: path.to_owned(), at, source: source.into() }
    }

    pub(crate) fn choice(key: &'static str, expected: impl fmt::Display, found: impl fmt::Display) -> Self {
        Self::Choice { key, expected: expected.to_string(), found: found.to_string() }
    }
}

impl From<Error> for SampleError {
    /// A file that the system cannot read is the environment's fault, unless it is missing or short; anything else
    /// is the data's.
    fn from(error: Error) -> Self {
        match error {
            Error::Io { doing, path, source } => Self::io(doing, &path, source),
            other => Self::data(other),
        }
    }
}
