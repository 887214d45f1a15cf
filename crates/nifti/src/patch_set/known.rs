//! What is known about the subjects of a set before a patch is made.

use std::fmt;

use batchwright_core::Fingerprint;

use crate::cache::Cache;
use crate::error::Error;
use crate::places::{LabelMap, LabelRegion, PatchPlan, PatchSampler};
use crate::preprocess::{DatasetStatistics, LabelOptions, LabelType, LabelVoxels};
use crate::region::Region;
use crate::voxels::VoxelType;

use super::memory::Memory;
use super::options::PatchSetOptions;
use super::prepared::Prepared;
use super::scan::Scan;

/// Checks that there are subjects, that all have what the first has, and that this is what the options need.
pub(super) fn check(subjects: &[Prepared], options: &PatchSetOptions) -> Result<(), Error> {
    let Some(first) = subjects.first() else {
        return Err(Error::choice("subjects", "at least one", 0));
    };
    let channels = first.channels();
    options.normalize.check("normalize", channels)?;
    for other in subjects {
        let has = |subject: &Prepared| if subject.label.is_some() { "a label map" } else { "no label map" };
        if other.channels() != channels {
            let key = format!("the channels of {}", other.images[0].path().display());
            let expected = format!("{channels}, as those of {}", first.images[0].path().display());
            return Err(Error::choice(key, expected, other.channels()));
        }
        if other.label.is_some() != first.label.is_some() {
            let key = format!("what `{}` has", other.id);
            return Err(Error::choice(key, format!("{}, as `{}` has", has(first), first.id), has(other)));
        }
        if other.class.is_some() != first.class.is_some() {
            let key = format!("the class of `{}`", other.id);
            return Err(Error::choice(
                key,
                format!("given for all subjects or none; see `{}`", first.id),
                "not",
            ));
        }
    }
    if first.label.is_none() && options.patch.needs_labels() {
        let expected = "one that needs no labels, which the subjects do not have";
        return Err(Error::choice("patch.sampler", expected, "one that does"));
    }
    Ok(())
}

/// Returns the number of a class among all.
pub(super) fn class_number(classes: &[String], class: &str) -> Result<u32, Error> {
    let number = classes.iter().position(|other| other == class);
    number.and_then(|number| u32::try_from(number).ok()).ok_or_else(|| {
        Error::choice("class", format!("one of {}", classes.join(", ")), format_args!("`{class}`"))
    })
}

/// Returns the smallest type that holds the labels of all subjects. Maps of unscaled bytes are not looked into, where what
/// they are merged to are bytes, too.
pub(super) fn label_type(
    subjects: &[Prepared],
    options: &PatchSetOptions,
    cache: &Cache,
) -> Result<LabelType, Error> {
    let LabelOptions { map, default } = &options.labels;
    let merged_to_bytes = map.values().chain(default).all(|&label| LabelType::of(label) == LabelType::U8);
    let of = |subject: &Prepared| -> Result<LabelType, Error> {
        let Some(scan) = &subject.label else { return Ok(LabelType::default()) };
        if merged_to_bytes && scan.scaling().is_identity() && scan.voxel_type() == VoxelType::U8 {
            return Ok(LabelType::U8);
        }
        let (path, shape) = (scan.path(), scan.shape());
        let mut memory = Memory::default();
        scan.at_hand(cache)?.with(0, &Region::whole(shape)?, &mut memory.stored, |source| {
            let voxels = LabelVoxels { path: &path, shape, voxels: source.voxels(), scaling: scan.scaling() };
            let counts = voxels.count(&options.labels)?;
            let (min, max) = (counts.keys().next().copied(), counts.keys().last().copied());
            Ok(LabelType::of_range(min.unwrap_or(0), max.unwrap_or(0)))
        })
    };
    // One after the other: a volume may be decoded, which is waited for, and rayon must not steal under that wait.
    subjects.iter().map(of).try_fold(LabelType::default(), |widest, found| Ok(widest.max(found?)))
}

/// Finds the regions that patches lie about, if the sampler lays them so: reads all label maps.
pub(super) fn find_regions(
    subjects: &mut [Prepared],
    options: &PatchSetOptions,
    cache: &Cache,
) -> Result<(), Error> {
    let PatchSampler::Regions(regions) = &options.patch.sampler else { return Ok(()) };
    let mut memory = Memory::default();
    let mut found = Vec::with_capacity(subjects.len());
    for subject in &*subjects {
        let Some(scan) = &subject.label else { continue };
        let (path, shape, scaling) = (scan.path(), scan.shape(), scan.scaling());
        let label = |stored| Ok(i64::from(options.labels.apply(scaling.apply(stored).round() as i32)));
        let of = scan.at_hand(cache)?.with(0, &Region::whole(shape)?, &mut memory.stored, |source| {
            LabelRegion::find(&LabelMap { path: &path, voxels: source.voxels(), shape }, label)
        })?;
        found.push((subject.id.as_str(), of));
    }
    let chosen = regions.of(&found)?;
    for (subject, chosen) in subjects.iter_mut().zip(chosen) {
        subject.regions = chosen;
    }
    Ok(())
}

/// Returns which sample is which patch of which subject.
pub(super) fn plan(
    subjects: &[Prepared],
    options: &PatchSetOptions,
    cache: &Cache,
) -> Result<PatchPlan, Error> {
    match &options.patch.sampler {
        PatchSampler::Grid { .. } => {}
        PatchSampler::Regions(_) => {
            let most = subjects.iter().map(|subject| subject.regions.len()).max().unwrap_or(0);
            return if subjects.iter().all(|subject| subject.regions.len() == most) {
                PatchPlan::even(subjects.len(), most)
            } else {
                PatchPlan::uneven(subjects.iter().map(|subject| subject.regions.len()))
            };
        }
        PatchSampler::Uniform
        | PatchSampler::Center
        | PatchSampler::Foreground(_)
        | PatchSampler::Classes(_)
        | PatchSampler::Weights(_) => return PatchPlan::even(subjects.len(), options.patch.per_volume),
    }
    let mut memory = Memory::default();
    let counts = subjects
        .iter()
        .map(|subject| options.patch.patches(subject.grid(options, cache, &mut memory)?.shape));
    PatchPlan::uneven(counts.collect::<Result<Vec<_>, Error>>()?)
}

/// What patches depend on: names, lengths and headers of files, and the options.
pub(super) fn fingerprint(
    subjects: &[Prepared],
    options: &PatchSetOptions,
    training: Option<&DatasetStatistics>,
) -> Fingerprint {
    let of = |subject: &Prepared| -> String {
        let scans: Vec<String> = subject.scans().map(Scan::identity).collect();
        format!("{} {:?} {}", subject.id, subject.class, scans.join(" "))
    };
    let facts = Fingerprint::default()
        .with_digest("subjects", subjects.iter().map(of))
        .with("options", format!("{:?}", Changing(options)));
    match training {
        Some(training) => facts.with("training_statistics", format!("{training:?}")),
        None => facts,
    }
}

/// The options without those that change no patch.
struct Changing<'a>(&'a PatchSetOptions);

impl fmt::Debug for Changing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut options = self.0.clone();
        options.read.io = crate::options::Io::default();
        options.read.max_bytes = 0;
        fmt::Debug::fmt(&options, f)
    }
}
