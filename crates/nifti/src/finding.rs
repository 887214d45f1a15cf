//! What can be wrong with one file.

use std::{fmt, io};

/// The kind of thing that is wrong with a file of a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Problem {
    /// Shorter than a header.
    TooShort,
    /// The magic string is none of NIfTI's, or not the one of this kind of file.
    BadMagic,
    /// Something else than NIfTI.
    NotNifti,
    /// ANALYZE 7.5, which says neither orientation nor byte order for sure.
    AnalyzeUnsupported,
    /// `sizeof_hdr` is wrong or contradicts the rest of the header.
    BadSizeofHdr,
    /// `dim[0]` is not a number of axes.
    BadDimCount,
    /// An axis has no voxels, or fewer.
    BadDim,
    /// More bytes than can be addressed, or than `max_bytes` allows.
    TooLarge,
    /// A type of voxel that is not read, or not without a choice.
    UnsupportedDatatype,
    /// `bitpix` contradicts `datatype`.
    BitpixMismatch,
    /// The voxels cannot start where the header says.
    BadVoxOffset,
    /// The file ends before its voxels do.
    Truncated,
    /// There is more in the file than its voxels.
    TrailingData,
    /// The compressed stream is damaged.
    Gzip,
    /// The scaling makes no number.
    BadScaling,
    /// The chain of header extensions is broken.
    BadExtension,
    /// The header has no image beside it, or the image no header.
    MissingImage,
    /// The geometry is not usable as it is written.
    BadAffine,
    /// The system could not read it.
    Io,
}

impl Problem {
    /// Returns its name: `TooShort`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooShort => "TooShort",
            Self::BadMagic => "BadMagic",
            Self::NotNifti => "NotNifti",
            Self::AnalyzeUnsupported => "AnalyzeUnsupported",
            Self::BadSizeofHdr => "BadSizeofHdr",
            Self::BadDimCount => "BadDimCount",
            Self::BadDim => "BadDim",
            Self::TooLarge => "TooLarge",
            Self::UnsupportedDatatype => "UnsupportedDatatype",
            Self::BitpixMismatch => "BitpixMismatch",
            Self::BadVoxOffset => "BadVoxOffset",
            Self::Truncated => "Truncated",
            Self::TrailingData => "TrailingData",
            Self::Gzip => "Gzip",
            Self::BadScaling => "BadScaling",
            Self::BadExtension => "BadExtension",
            Self::MissingImage => "MissingImage",
            Self::BadAffine => "BadAffine",
            Self::Io => "Io",
        }
    }
}

/// One thing that is wrong with a file: an error, or a warning where it can be read all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {expected}, found {found}")]
pub struct Finding {
    /// Its kind.
    pub problem: Problem,
    /// The field or part of the file.
    pub what: String,
    /// What it must be.
    pub expected: String,
    /// What it is.
    pub found: String,
}

impl Finding {
    /// Makes a finding.
    pub(crate) fn new(
        problem: Problem,
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl fmt::Display,
    ) -> Self {
        Self { problem, what: what.into(), expected: expected.into(), found: found.to_string() }
    }
}

impl Finding {
    /// Takes the finding out of an error that it travelled in, or gives the error back.
    pub(crate) fn inside(error: io::Error) -> Result<Self, io::Error> {
        error.downcast()
    }
}

/// A finding travels through readers as an error of theirs.
impl From<Finding> for io::Error {
    fn from(finding: Finding) -> Self {
        Self::new(io::ErrorKind::InvalidData, finding)
    }
}

/// What becomes of findings: errors when strict, warnings when lenient.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    pub(crate) lenient: bool,
    pub(crate) warnings: Vec<Finding>,
}

impl Judge {
    pub(crate) fn new(lenient: bool) -> Self {
        Self { lenient, warnings: Vec::new() }
    }

    /// Takes what only a lenient reader goes on with.
    pub(crate) fn tolerate(&mut self, finding: Finding) -> Result<(), Finding> {
        if self.lenient {
            self.warnings.push(finding);
            Ok(())
        } else {
            Err(finding)
        }
    }

    /// Takes what every reader goes on with.
    pub(crate) fn warn(&mut self, finding: Finding) {
        self.warnings.push(finding);
    }
}
