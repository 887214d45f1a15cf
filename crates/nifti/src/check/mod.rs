//! The deep check of a data set: every voxel is read, every problem is told, and nothing stops it.

mod outlier;
mod report;
mod seen;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::options::ReadOptions;
use crate::preprocess::{LabelOptions, NanPolicy};
use crate::subjects::{GEOMETRY_TOLERANCE, Subjects, without_ending};
use outlier::Spread;
use seen::{Buffer, SeenSubject, SeenVolume};

pub use report::{CheckKind, CheckProblem, CheckReport, LabelCount, Severity};

/// How a data set is checked.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckOptions {
    /// How files are read.
    pub read: ReadOptions,
    /// How far apart, in millimetres, the corners of two volumes of a subject may lie, and those of the sform and the qform
    /// of one file; by default 0.1.
    pub tolerance: f64,
    /// What becomes of labels before they are looked at.
    pub labels: LabelOptions,
    /// What is done to voxels that are no numbers: an error if that is an error, otherwise a warning.
    pub nan: NanPolicy,
    /// How many robust standard deviations (1.4826 times the median absolute deviation) from the median spacings, means and
    /// standard deviations are told as outliers; by default 8.
    pub outlier: f64,
    /// The weight maps that places of patches are drawn by, as [`Subjects::file_of`] finds them; by default none.
    pub weights: Option<String>,
    /// Which share of the label maps must have a class for a label map without it to be told; by default 0.9.
    pub common: f64,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            read: ReadOptions::default(),
            tolerance: GEOMETRY_TOLERANCE,
            labels: LabelOptions::default(),
            nan: NanPolicy::default(),
            outlier: 8.0,
            weights: None,
            common: 0.9,
        }
    }
}

/// Fewer subjects than this have no outliers, and no classes that most of them have.
const FEWEST: usize = 8;

/// Checks a data set, all of it, on all threads of the current rayon pool. A thread holds one volume at a time, and for a
/// label map at most a byte a voxel more. The report is the same for any number of threads.
///
/// It tells: files that are missing or cannot be read, and what is odd about their headers; shapes and places that differ
/// within a subject; subjects without the label map, the class or as many channels as others have; weights that cannot be; sform and qform that disagree; voxels that are no numbers; channels that are empty or constant; labels
/// that are no integers or not declared; classes that are missing; spacings and intensities far from those of the others;
/// files of the same content; files beside the listed ones that no subject uses. Outliers are told from 8 subjects on.
pub fn check(subjects: &Subjects, options: &CheckOptions) -> CheckReport {
    let seen: Vec<SeenSubject> = (0..subjects.len())
        .into_par_iter()
        .map_init(Buffer::default, |buffer, index| SeenSubject::of(subjects, index, options, buffer))
        .collect();
    let mut report = CheckReport { subjects: subjects.len(), ..CheckReport::default() };
    for subject in &seen {
        report.volumes += subject.images.len()
            + usize::from(subject.label.is_some())
            + usize::from(subject.weights.is_some());
        report.problems.extend(subject.problems.iter().cloned());
    }
    labels(subjects, &seen, options, &mut report);
    channels(&seen, &mut report);
    incomplete(subjects, &mut report);
    spacings(&seen, options, &mut report);
    intensities(&seen, options, &mut report);
    duplicates(&seen, &mut report);
    orphans(subjects, &seen, &mut report);
    report.problems.sort();
    report.problems.dedup();
    report
}

/// Counts labels, and tells of values that are not declared and classes that are missing.
fn labels(subjects: &Subjects, seen: &[SeenSubject], options: &CheckOptions, report: &mut CheckReport) {
    let maps: Vec<(&SeenSubject, &SeenVolume, &BTreeMap<i32, u64>)> = seen
        .iter()
        .filter_map(|subject| {
            let label = subject.label.as_ref()?;
            Some((subject, label, label.labels.as_ref()?))
        })
        .collect();
    for (_, _, counts) in &maps {
        for (&label, &voxels) in *counts {
            let count = report.labels.entry(label).or_default();
            count.subjects += 1;
            count.voxels += voxels;
        }
    }
    let names = subjects.label_names();
    let name =
        |label: i32| names.get(&i64::from(label)).map_or_else(String::new, |name| format!(" ({name})"));
    for (label, count) in &mut report.labels {
        count.name = names.get(&i64::from(*label)).cloned();
    }
    // After merging, values are not those that the list declares.
    let declared = !names.is_empty() && options.labels == LabelOptions::default();
    if declared && !maps.is_empty() {
        for (&label, name) in names.iter().filter(|&(&label, _)| label != 0) {
            if i32::try_from(label).is_ok_and(|label| !report.labels.contains_key(&label)) {
                let message = format!("the class {label} ({name}) is declared, and no label map has it");
                let files = vec![subjects.manifest().to_owned()];
                report.problems.push(CheckProblem::new(CheckKind::MissingClass, &[], files, message));
            }
        }
    }
    let common: Vec<i32> = report
        .labels
        .iter()
        .filter(|(label, count)| **label != 0 && options.common * maps.len() as f64 <= count.subjects as f64)
        .map(|(&label, _)| label)
        .collect();
    for (subject, label, counts) in maps.iter().copied() {
        let mut tell = |kind, message| {
            let files = vec![label.path.clone()];
            report.problems.push(CheckProblem::new(kind, &[&subject.id], files, message));
        };
        if counts.keys().all(|&label| label == 0) {
            tell(CheckKind::EmptyLabel, "every label is 0".to_owned());
            continue;
        }
        if declared {
            for (&value, voxels) in counts {
                if !names.contains_key(&i64::from(value)) {
                    let message = format!("{voxels} voxels have the label {value}, which is not declared");
                    tell(CheckKind::UndeclaredLabel, message);
                }
            }
        }
        if FEWEST <= maps.len() {
            for &class in common.iter().filter(|class| !counts.contains_key(class)) {
                let others = report.labels.get(&class).map_or(0, |count| count.subjects);
                let message = format!(
                    "the class {class}{} is missing, which {others} of {} label maps have",
                    name(class),
                    maps.len()
                );
                tell(CheckKind::MissingClass, message);
            }
        }
    }
}

/// Tells of subjects with another number of channels than most.
fn channels(seen: &[SeenSubject], report: &mut CheckReport) {
    let whole = |subject: &&SeenSubject| !subject.images.is_empty() && subject.is_whole;
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for subject in seen.iter().filter(whole) {
        *counts.entry(subject.channels()).or_default() += 1;
    }
    let Some((&usual, _)) =
        counts.iter().max_by_key(|&(channels, subjects)| (subjects, std::cmp::Reverse(channels)))
    else {
        return;
    };
    for subject in seen.iter().filter(whole).filter(|subject| subject.channels() != usual) {
        let message = format!("{} channels, and others have {usual}", subject.channels());
        let files = subject.images.iter().map(|image| image.path.clone()).collect();
        report.problems.push(CheckProblem::new(CheckKind::Channels, &[&subject.id], files, message));
    }
}

/// Tells of subjects without what others have: a set has label maps and classes for all of its subjects, or for none.
fn incomplete(subjects: &Subjects, report: &mut CheckReport) {
    let label: Vec<bool> = subjects.iter().map(|subject| subject.label.is_some()).collect();
    let class: Vec<bool> = subjects.iter().map(|subject| subject.class.is_some()).collect();
    for (what, has) in [("label map", label), ("class", class)] {
        let with = has.iter().filter(|has| **has).count();
        if with == 0 {
            continue;
        }
        for (subject, _) in subjects.iter().zip(&has).filter(|(_, has)| !**has) {
            let message = format!("no {what}, and {with} of {} subjects have one", subjects.len());
            let files = vec![subjects.manifest().to_owned()];
            report.problems.push(CheckProblem::new(CheckKind::Incomplete, &[&subject.id], files, message));
        }
    }
}

/// Tells of spacings far from the others. An axis counts as spread by at least 2 % of its median.
fn spacings(seen: &[SeenSubject], options: &CheckOptions, report: &mut CheckReport) {
    let firsts: Vec<(&SeenSubject, &SeenVolume)> =
        seen.iter().filter_map(|subject| Some((subject, subject.images.first()?))).collect();
    for (axis, letter) in ["x", "y", "z"].into_iter().enumerate() {
        let values = firsts.iter().map(|(_, volume)| volume.spacing[axis]).collect();
        let Some(spread) = Spread::of(values, |median| 0.02 * median.abs()) else { continue };
        report.spacing[axis] = spread.median;
        if firsts.len() < FEWEST {
            continue;
        }
        for (subject, volume) in &firsts {
            let value = volume.spacing[axis];
            if options.outlier < spread.distance(value) {
                let message = format!(
                    "the spacing along {letter} is {value} mm, {:.1} robust standard deviations from the median {}",
                    spread.distance(value),
                    spread.median
                );
                let files = vec![volume.path.clone()];
                report.problems.push(CheckProblem::new(
                    CheckKind::SpacingOutlier,
                    &[&subject.id],
                    files,
                    message,
                ));
            }
        }
    }
}

/// Tells of means and standard deviations far from those of other subjects, channel by channel. Both count as spread by at
/// least 5 % of the median standard deviation.
fn intensities(seen: &[SeenSubject], options: &CheckOptions, report: &mut CheckReport) {
    let most = seen.iter().map(SeenSubject::channels).max().unwrap_or(0);
    for channel in 0..most {
        let of: Vec<_> = seen
            .iter()
            .filter_map(|subject| {
                let (volume, statistics) = subject.channel(channel)?;
                // What is constant or empty is told as that.
                (0 < statistics.count && statistics.min < statistics.max)
                    .then_some((subject, volume, statistics))
            })
            .collect();
        if of.len() < FEWEST {
            continue;
        }
        let Some(stds) = Spread::of(of.iter().map(|(_, _, s)| s.std).collect(), |median| 0.05 * median)
        else {
            continue;
        };
        let floor = 0.05 * stds.median;
        let Some(means) = Spread::of(of.iter().map(|(_, _, s)| s.mean).collect(), |_| floor) else {
            continue;
        };
        for (subject, volume, statistics) in &of {
            for (what, value, spread) in
                [("mean", statistics.mean, &means), ("standard deviation", statistics.std, &stds)]
            {
                if options.outlier < spread.distance(value) {
                    let message = format!(
                        "the {what} of channel {channel} is {value:.6}, {:.1} robust standard deviations from the median \
                         {:.6}",
                        spread.distance(value),
                        spread.median
                    );
                    let files = vec![volume.path.clone()];
                    let kind = CheckKind::IntensityOutlier;
                    report.problems.push(CheckProblem::new(kind, &[&subject.id], files, message));
                }
            }
        }
    }
}

/// Tells of files with the same voxels. Constant ones are told as that, and empty label maps too.
fn duplicates(seen: &[SeenSubject], report: &mut CheckReport) {
    let mut images: BTreeMap<[u8; 32], Vec<(&SeenSubject, &SeenVolume)>> = BTreeMap::new();
    let mut labels = images.clone();
    for subject in seen {
        for image in subject.images.iter().filter(|image| !image.is_constant()) {
            images.entry(image.content).or_default().push((subject, image));
        }
        for label in subject.label.iter().filter(|label| !label.is_constant()) {
            labels.entry(label.content).or_default().push((subject, label));
        }
    }
    for (kind, what, same) in [
        (CheckKind::Duplicate, "images", images.into_values()),
        (CheckKind::DuplicateLabel, "label maps", labels.into_values()),
    ] {
        for same in same.filter(|same| 1 < same.len()) {
            let ids: BTreeSet<&str> = same.iter().map(|(subject, _)| subject.id.as_str()).collect();
            let ids: Vec<&str> = ids.into_iter().collect();
            let files = same.iter().map(|(_, volume)| volume.path.clone()).collect();
            let message = format!("{} {what} have the same voxels", same.len());
            report.problems.push(CheckProblem::new(kind, &ids, files, message));
        }
    }
}

/// Tells of NIfTI files in the folders of listed ones that no subject uses: one problem for each folder.
fn orphans(subjects: &Subjects, seen: &[SeenSubject], report: &mut CheckReport) {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let (mut used, mut pairs, mut folders) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let listed = subjects.iter().flat_map(|subject| subject.images.iter().chain(&subject.label));
    let weights = seen.iter().filter_map(|subject| subject.weights.as_ref());
    for path in listed.chain(weights).chain(seen.iter().flat_map(|subject| &subject.others)) {
        let path = real(path);
        folders.extend(path.parent().map(Path::to_owned));
        pairs.extend(pair(&path));
        used.insert(path);
    }
    for folder in folders {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        let mut files: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let known = without_ending(&name).is_some() && !name.starts_with('.') && path.is_file();
                known && !used.contains(&real(path)) && !pair(path).is_some_and(|pair| pairs.contains(&pair))
            })
            .collect();
        files.sort();
        if !files.is_empty() {
            let message = format!("{} files in {} belong to no subject", files.len(), folder.display());
            report.problems.push(CheckProblem::new(CheckKind::Orphan, &[], files, message));
        }
    }
}

/// Returns what the header and the image of a pair have in common.
fn pair(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
    let is_pair = [".hdr", ".img", ".hdr.gz", ".img.gz"].iter().any(|ending| name.ends_with(ending));
    let name = path.file_name()?.to_string_lossy();
    is_pair.then(|| path.with_file_name(without_ending(&name).unwrap_or(&name)))
}
