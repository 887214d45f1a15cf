//! What a check has found, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Files that a line of text names at most; JSON has all.
const NAMED: usize = 4;

/// Whether a problem stops a training or only deserves a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A training would fail, or learn what is wrong.
    Error,
    /// It may be as it should be.
    Warning,
}

/// What kind of problem it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CheckKind {
    /// A file is not there.
    Missing,
    /// A file cannot be read.
    Unreadable,
    /// Volumes of a subject have different shapes.
    Shape,
    /// Volumes of a subject lie at different places.
    Place,
    /// A subject has another number of channels than others.
    Channels,
    /// A subject has no label map or no class, and others have one.
    Incomplete,
    /// A weight map has weights that cannot be.
    Weights,
    /// Voxels are NaN or infinite, and that was chosen to be an error.
    NotFinite,
    /// Every voxel is 0, or none is finite.
    Empty,
    /// Every voxel has one value.
    Constant,
    /// A value of a label map is no integer.
    NotInteger,
    /// A value of a label map is not declared.
    UndeclaredLabel,
    /// Images have the same voxels.
    Duplicate,
    /// Voxels are NaN or infinite, and will be replaced.
    Replaced,
    /// Label maps have the same voxels.
    DuplicateLabel,
    /// Every label is 0.
    EmptyLabel,
    /// A class is missing that was declared, or that most have.
    MissingClass,
    /// The spacing is far from that of others.
    SpacingOutlier,
    /// The intensities are far from those of others.
    IntensityOutlier,
    /// The sform and the qform of a header say different things.
    Forms,
    /// Something else about a header is odd.
    Header,
    /// Files belong to no subject.
    Orphan,
}

impl CheckKind {
    /// Returns how severe such a problem is.
    pub fn severity(self) -> Severity {
        match self {
            Self::Missing
            | Self::Unreadable
            | Self::Shape
            | Self::Place
            | Self::Channels
            | Self::Incomplete
            | Self::Weights
            | Self::NotFinite
            | Self::Empty
            | Self::Constant
            | Self::NotInteger
            | Self::UndeclaredLabel
            | Self::Duplicate => Severity::Error,
            Self::Replaced
            | Self::DuplicateLabel
            | Self::EmptyLabel
            | Self::MissingClass
            | Self::SpacingOutlier
            | Self::IntensityOutlier
            | Self::Forms
            | Self::Header
            | Self::Orphan => Severity::Warning,
        }
    }
}

/// A problem of a data set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CheckProblem {
    /// How severe it is.
    pub severity: Severity,
    /// What kind it is.
    pub kind: CheckKind,
    /// The subjects that have it.
    pub subjects: Vec<String>,
    /// The files that have it; never none.
    pub files: Vec<PathBuf>,
    /// What it is, with its values.
    pub message: String,
}

impl CheckProblem {
    pub(super) fn new(kind: CheckKind, subjects: &[&str], files: Vec<PathBuf>, message: String) -> Self {
        let subjects = subjects.iter().map(|&id| id.to_owned()).collect();
        Self { severity: kind.severity(), kind, subjects, files, message }
    }
}

/// How often a label comes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelCount {
    /// Its name, where the list of subjects gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How many subjects have it.
    pub subjects: usize,
    /// How many voxels have it.
    pub voxels: u64,
}

/// What a check has found. As text, a line for each problem; by serde, all of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckReport {
    /// How many subjects there are.
    pub subjects: usize,
    /// How many volumes could be read.
    pub volumes: usize,
    /// The median spacing along x, y and z as stored, in millimetres.
    pub spacing: [f64; 3],
    /// The labels, after merging.
    pub labels: BTreeMap<i32, LabelCount>,
    /// The problems, errors first, then by kind, subject and file.
    pub problems: Vec<CheckProblem>,
}

impl CheckReport {
    /// Returns how many problems are this severe.
    pub fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|problem| problem.severity == severity).count()
    }

    /// Returns whether there is an error: what an exit code tells.
    pub fn has_errors(&self) -> bool {
        0 < self.count(Severity::Error)
    }

    /// Returns the problems of a kind.
    pub fn of_kind(&self, kind: CheckKind) -> impl Iterator<Item = &CheckProblem> {
        self.problems.iter().filter(move |problem| problem.kind == kind)
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{problem}")?;
        }
        for (label, count) in &self.labels {
            let name = count.name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
            writeln!(f, "label {label}{name}: {} voxels in {} subjects", count.voxels, count.subjects)?;
        }
        let [x, y, z] = self.spacing;
        writeln!(
            f,
            "{} subjects, {} volumes, median spacing {x:.3} x {y:.3} x {z:.3} mm: {} errors, {} warnings",
            self.subjects,
            self.volumes,
            self.count(Severity::Error),
            self.count(Severity::Warning)
        )
    }
}

impl fmt::Display for CheckProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.severity {
            Severity::Error => "error: ",
            Severity::Warning => "warning: ",
        })?;
        if let [subject] = self.subjects.as_slice() {
            write!(f, "subject `{subject}`: ")?;
        }
        f.write_str(&self.message)?;
        for (number, file) in self.files.iter().take(NAMED).enumerate() {
            write!(f, "{}{}", if number == 0 { ": " } else { ", " }, file.display())?;
        }
        if NAMED < self.files.len() {
            write!(f, " and {} more", self.files.len() - NAMED)?;
        }
        Ok(())
    }
}
