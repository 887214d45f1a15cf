//! What can be wrong with volumes, their files and the choices made about them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use batchwright_core::{SampleError, fault_of_io};

use crate::affine::Affine;
use crate::finding::{Finding, Problem};

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
    /// A file is not as it must be.
    #[error("{}: {finding}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        finding: Finding,
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
    /// A list of subjects says something that cannot be used.
    #[error("{}{place}: expected {expected}, found {found}", path.display())]
    Manifest {
        /// The list.
        path: PathBuf,
        /// The place in it, with a comma and a space before.
        place: String,
        /// What should stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A list of subjects names a file that is not there.
    #[error("{}{place}: there is no file {}", manifest.display(), path.display())]
    MissingFile {
        /// The list.
        manifest: PathBuf,
        /// The place in it, with a comma and a space before.
        place: String,
        /// The file.
        path: PathBuf,
    },
    /// Two files of a subject do not have the same shape.
    #[error(
        "subject `{subject}`: {} has the shape {:?}, and {} has {:?} (x, y, z)",
        first.display(), shapes[0], second.display(), shapes[1]
    )]
    Shapes {
        /// The subject.
        subject: String,
        /// The one file.
        first: PathBuf,
        /// The other file.
        second: PathBuf,
        /// The shape of each.
        shapes: Box<[[usize; 3]; 2]>,
    },
    /// Two files of a subject do not lie at the same place.
    #[error(
        "subject `{subject}`: {} and {} lie {apart:.3} mm apart at a corner, and at most {tolerance} mm are tolerated; \
         their affines are {:?} and {:?}",
        first.display(), second.display(), affines[0].0, affines[1].0
    )]
    Affines {
        /// The subject.
        subject: String,
        /// The one file.
        first: PathBuf,
        /// The other file.
        second: PathBuf,
        /// Where the voxels of each lie.
        affines: Box<[Affine; 2]>,
        /// The greatest distance between corners of the volumes, in millimetres.
        apart: f64,
        /// The greatest distance that is tolerated.
        tolerance: f64,
    },
    /// A volume has voxels that are no numbers, and `nan: error` was chosen.
    #[error(
        "{} has {nan} voxels that are NaN and {infinite} that are infinite, of {voxels}; \
         choose `nan: zero` or `nan: minimum` to replace them",
        path.display()
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// How many voxels are NaN.
        nan: u64,
        /// How many are infinite.
        infinite: u64,
        /// How many there are.
        voxels: u64,
    },
    /// A voxel of a label map, after scaling, is no integer that a label can be.
    #[error("{} has the value {value} at voxel {place:?} (x, y, z), and labels are {expected}", path.display())]
    LabelValue {
        /// The file.
        path: PathBuf,
        /// The value.
        value: f64,
        /// The voxel.
        place: [usize; 3],
        /// What labels may be.
        expected: &'static str,
    },
    /// A statistic that a normalisation needs was not computed, or there is no voxel to compute it of.
    #[error("`{key}` needs {needed}, and {problem}")]
    NoStatistic {
        /// The choice, by the key it has in a configuration.
        key: String,
        /// What is needed.
        needed: String,
        /// Why it is not there.
        problem: String,
    },
    /// Subjects cannot be shared as a split says.
    #[error("the split {split} {problem}")]
    Split {
        /// The split.
        split: String,
        /// What is wrong.
        problem: String,
    },
    /// Something happened with a volume of a subject.
    #[error("subject `{subject}`")]
    Subject {
        /// The subject.
        subject: String,
        /// What happened.
        source: Box<Error>,
    },
    /// A volume is said to have another number of voxels than there are.
    #[error("{}: expected {expected} voxels by the shape, found {found}", path.display())]
    VoxelCount {
        /// The file.
        path: PathBuf,
        /// How many the shape has.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A weight of a volume of weights cannot be one.
    #[error(
        "{}: the weight at voxel {voxel:?} (x, y, z) is {value}; weights must be finite and at least 0, and so their sum",
        path.display()
    )]
    Weight {
        /// The file.
        path: PathBuf,
        /// Where, x, y, z.
        voxel: [usize; 3],
        /// What it is.
        value: f64,
    },
    /// A label map has too many classes.
    #[error("{}: more than {most} different labels; is this a label map?", path.display())]
    Classes {
        /// The file.
        path: PathBuf,
        /// How many there may be.
        most: usize,
    },
    /// A patch came out of turn.
    #[error("patch {found} of {patches} was given where patch {expected} comes next")]
    PatchOrder {
        /// The one that comes next.
        expected: usize,
        /// The one that was given.
        found: usize,
        /// How many there are.
        patches: usize,
    },
    /// A patch has another number of values than the grid's.
    #[error("patch {patch} has {found} values, and {expected} were expected")]
    PatchLength {
        /// Which one.
        patch: usize,
        /// How many values it should have.
        expected: usize,
        /// How many it has.
        found: usize,
    },
    /// Patches are missing where a volume was to be finished.
    #[error("a volume of {patches} patches cannot be finished after {found} of them")]
    PatchesMissing {
        /// How many came.
        found: usize,
        /// How many there are.
        patches: usize,
    },
    /// Planes are missing where a file was to be ended.
    #[error("{}: a file of {planes} planes cannot be ended after {found} of them", path.display())]
    PlanesMissing {
        /// The file.
        path: PathBuf,
        /// How many planes were written.
        found: usize,
        /// How many there are, of all channels.
        planes: usize,
    },
    /// A box of voxels does not have as many voxels as its size says.
    #[error("a box of size {size:?} (x, y, z) was given {found} voxels")]
    BoxVoxels {
        /// The box's size.
        size: [usize; 3],
        /// How many voxels there are.
        found: usize,
    },
    /// A spatial map leads nowhere: it is not finite, or too far.
    #[error(
        "the map {affine:?} of a patch of size {size:?} (x, y, z) is not finite, or reaches beyond 2^29 voxels"
    )]
    MapTooFar {
        /// The affine part of the map.
        affine: Box<[[f64; 4]; 3]>,
        /// The patch's size.
        size: [usize; 3],
    },
    /// A place in the world has nothing of a volume.
    #[error(
        "the patch from {:?} to {:?} lies outside of {}, which reaches from {:?} to {:?} (mm to the right, front and top)",
        boxes[0][0], boxes[0][1], path.display(), boxes[1][0], boxes[1][1]
    )]
    PlaceOutside {
        /// The volume.
        path: PathBuf,
        /// The lowest and the highest place of the patch, and of the volume, in mm.
        boxes: Box<[[[f64; 3]; 2]; 2]>,
    },
    /// A patch needs voxels that its source does not hold.
    #[error(
        "the patch needs the voxels from {:?} of size {:?}, the source has those from {:?} of size {:?} (x, y, z)",
        needed.0, needed.1, found.0, found.1
    )]
    SourceMissing {
        /// The first voxel and size of the box that is needed.
        needed: ([usize; 3], [usize; 3]),
        /// The first voxel and size of the box that is there.
        found: ([usize; 3], [usize; 3]),
    },
    /// A decoded volume has more bytes than a number of this machine can say.
    #[error("{channels} channels of {shape:?} voxels (x, y, z) are more than this machine can address")]
    TooManyVoxels {
        /// The volume's shape.
        shape: [usize; 3],
        /// Its channels.
        channels: usize,
    },
    /// The system has no memory for a decoded volume.
    #[error("cannot get {bytes} bytes of memory for a decoded volume")]
    Memory {
        /// How many bytes it has.
        bytes: u64,
        /// What the system said.
        source: io::Error,
    },
    /// A file was written while it was read.
    #[error("{} changed while it was read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A folder is not what it was taken for.
    #[error("{} is not the directory of a cache: it has no CACHEDIR.TAG", path.display())]
    NotACache {
        /// The folder.
        path: PathBuf,
    },
    /// An error that several threads got, because one did the work for all.
    #[error(transparent)]
    Shared(Arc<Error>),
}

impl Error {
    /// Returns the error itself, where several threads share it.
    fn own(&self) -> &Self {
        match self {
            Self::Shared(error) => error.own(),
            _ => self,
        }
    }

    /// Returns the kind of thing that is wrong with a file, or nothing where it is not about one.
    pub fn problem(&self) -> Option<Problem> {
        match self.own() {
            Self::Io { .. } => Some(Problem::Io),
            Self::File { finding, .. } => Some(finding.problem),
            _ => None,
        }
    }

    /// Makes an error of a finding.
    pub(crate) fn file(path: &Path, finding: Finding) -> Self {
        Self::File { path: path.to_owned(), finding }
    }

    /// Makes an error of what a reader said: of the finding inside, or of the operation.
    pub(crate) fn reading(doing: &'static str, path: &Path, error: io::Error) -> Self {
        match Finding::inside(error) {
            Ok(finding) => Self::file(path, finding),
            Err(error) => Self::io(doing, path, error),
        }
    }

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

impl Error {
    /// Names the subject on which an error happened.
    pub(crate) fn of_subject(self, subject: &str) -> Self {
        Self::Subject { subject: subject.to_owned(), source: Box::new(self) }
    }
}

impl From<Error> for SampleError {
    fn from(error: Error) -> Self {
        match error.own() {
            Error::Io { source, .. } if fault_of_io(source) == batchwright_core::Fault::Environment => {
                Self::environment(error)
            }
            Error::Memory { .. } => Self::environment(error),
            _ => Self::data(error),
        }
    }
}
