//! Patches of subjects as a data set.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use batchwright_core::{Context, Dataset, Field, Fingerprint, SampleError, Slot};
use rayon::prelude::*;

use crate::cache::Cache;
use crate::error::Error;
use crate::intensity::PatchShape;
use crate::phantom::Phantom;
use crate::places::{Fallbacks, PatchPlan, PatchSampler};
use crate::preprocess::{DatasetStatistics, LabelType};
use crate::subjects::Subjects;

use super::facts::Facts;
use super::known;
use super::memory::{Memory, with_memory};
use super::options::PatchSetOptions;
use super::prepared::Prepared;
use super::scan::Scan;

/// Patches of subjects as a [`Dataset`].
///
/// Its fields, in order:
///
/// | field | type and shape | |
/// |---|---|---|
/// | `image` | f32 [C, z, y, x] | interpolated once, normalised, varied |
/// | `label` | u8, i16 or i32 [1, z, y, x] | where subjects have label maps, unless left out; of the type that the largest value needs |
/// | `class` | i64 | where subjects have classes |
///
/// Sample `i` is patch `i % per_volume` of subject `i / per_volume` (a grid sampler has its own numbers, see
/// [`PatchPlan`]). A patch is a function of the files, the options, its index and its context: [`draw`](Self::draw) says
/// everything that is drawn for it, and [`patch`](Self::patch) makes it of that.
///
/// Compressed volumes are decoded once, into the cache; of others the voxels that a patch needs are read. What a
/// normalisation or a sampler needs to know about a volume as a whole is found out when its first patch is made, and kept.
pub struct PatchSet {
    pub(super) subjects: Arc<Vec<Prepared>>,
    pub(super) options: PatchSetOptions,
    pub(super) training: Option<DatasetStatistics>,
    pub(super) plan: PatchPlan,
    fields: Vec<Field>,
    pub(super) shape: PatchShape,
    pub(super) labels: Option<LabelType>,
    classes: Vec<String>,
    /// The number of the field `class`.
    pub(super) class_field: Option<usize>,
    pub(super) cache: Arc<Cache>,
    pub(super) fallbacks: Fallbacks,
    fingerprint: Fingerprint,
}

impl fmt::Debug for PatchSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("PatchSet");
        debug.field("subjects", &self.subjects.len()).field("fields", &self.fields);
        debug.finish_non_exhaustive()
    }
}

impl PatchSet {
    /// Makes a data set of the patches of subjects. Reads their headers; voxels only where a label map's type does not say
    /// which values it has, where patches lie about its regions, and where a grid is laid over volumes that are cropped to their foreground.
    ///
    /// `classes` are the names of all classes (of the training subjects); a subject's class is its number among them.
    /// `training` are the statistics of the training subjects by channel, which some normalisations need.
    ///
    /// # Errors
    /// Refuses options that cannot be, subjects that differ in their channels, a class that is not among those, and
    /// subjects without a label map beside others that have one. Gives the errors of reading files.
    pub fn new(
        subjects: &Subjects,
        options: PatchSetOptions,
        classes: &[String],
        training: Option<DatasetStatistics>,
        cache: Arc<Cache>,
    ) -> Result<Self, Error> {
        options.check("")?;
        let prepared: Vec<Prepared> = subjects
            .as_slice()
            .par_iter()
            .enumerate()
            .map(|(index, subject)| {
                let weights = match &options.patch.sampler {
                    PatchSampler::Weights(name) => Some(subjects.file_of(index, name)?),
                    _ => None,
                };
                let class =
                    subject.class.as_ref().map(|class| known::class_number(classes, class)).transpose()?;
                Prepared::open(subject, weights.as_deref(), &options, class)
            })
            .collect::<Result<_, Error>>()?;
        Self::of(prepared, options, classes, training, cache)
    }

    /// Makes a data set of the patches of generated subjects, without files.
    ///
    /// # Errors
    /// As [`PatchSet::new`]; refuses a phantom that cannot be.
    pub fn phantom(
        phantom: &Phantom,
        indices: &[usize],
        options: PatchSetOptions,
        training: Option<DatasetStatistics>,
        cache: Arc<Cache>,
    ) -> Result<Self, Error> {
        options.check("")?;
        phantom.check("phantom")?;
        let phantom = Arc::new(phantom.clone());
        let prepared = indices.iter().map(|&index| {
            let [image, label] = Scan::generated(&phantom, index);
            Prepared::new(phantom.id(index), vec![image], Some(label), None, &options, None)
        });
        Self::of(prepared.collect::<Result<_, Error>>()?, options, &[], training, cache)
    }

    fn of(
        mut subjects: Vec<Prepared>,
        options: PatchSetOptions,
        classes: &[String],
        training: Option<DatasetStatistics>,
        cache: Arc<Cache>,
    ) -> Result<Self, Error> {
        known::check(&subjects, &options)?;
        known::find_regions(&mut subjects, &options, &cache)?;
        let first = &subjects[0];
        let channels = first.channels();
        let labels = (first.label.is_some() && options.label_field)
            .then(|| known::label_type(&subjects, &options, &cache))
            .transpose()?;
        let plan = known::plan(&subjects, &options, &cache)?;
        let [x, y, z] = options.patch.size;
        let mut fields = vec![Field::new::<f32>("image", &[channels, z, y, x])];
        fields.extend(labels.map(|labels| match labels {
            LabelType::U8 => Field::new::<u8>("label", &[1, z, y, x]),
            LabelType::I16 => Field::new::<i16>("label", &[1, z, y, x]),
            LabelType::I32 => Field::new::<i32>("label", &[1, z, y, x]),
        }));
        let class_field = first.class.is_some().then_some(fields.len());
        fields.extend(class_field.map(|_| Field::new::<i64>("class", &[])));
        let shape = PatchShape { channels, size: options.patch.size, spacing: first.whole.spacing };
        let fingerprint = known::fingerprint(&subjects, &options, training.as_ref());
        Ok(Self {
            subjects: Arc::new(subjects),
            options,
            training,
            plan,
            fields,
            shape,
            labels,
            classes: classes.to_vec(),
            class_field,
            cache,
            fallbacks: Fallbacks::default(),
            fingerprint,
        })
    }

    /// Returns the data set of the same patches without random changes. Reads nothing: the two share their subjects, and what is
    /// found out about them.
    #[must_use]
    pub fn unchanged(&self) -> Self {
        // What lies around a volume stays as it was, so that facts of subjects serve both.
        let options = self.options.unchanged();
        let fingerprint = known::fingerprint(&self.subjects, &options, self.training.as_ref());
        Self {
            subjects: Arc::clone(&self.subjects),
            options,
            training: self.training.clone(),
            plan: self.plan.clone(),
            fields: self.fields.clone(),
            shape: self.shape,
            labels: self.labels,
            classes: self.classes.clone(),
            class_field: self.class_field,
            cache: Arc::clone(&self.cache),
            fallbacks: Fallbacks::default(),
            fingerprint,
        }
    }

    /// Returns the names of the classes; none where subjects have no class.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Returns what patches are made of.
    pub fn options(&self) -> &PatchSetOptions {
        &self.options
    }

    /// Returns the statistics of the training subjects that it was given.
    pub fn used_statistics(&self) -> Option<&DatasetStatistics> {
        self.training.as_ref()
    }

    /// Returns which sample is which patch of which subject.
    pub fn plan(&self) -> &PatchPlan {
        &self.plan
    }

    /// Returns how often patches did not lie where the sampler would have laid them, so far.
    pub fn fallbacks(&self) -> &Fallbacks {
        &self.fallbacks
    }

    /// Returns the bytes that the decoded volumes of each subject take in the cache.
    pub fn cached_bytes(&self) -> Vec<u64> {
        let cached = |subject: &Prepared| -> u64 {
            subject.scans().filter(|scan| scan.is_cached()).map(Scan::stored_bytes).sum()
        };
        self.subjects.iter().map(cached).collect()
    }

    /// Returns the bytes of the voxels of one patch as they are stored.
    pub fn stored_bytes(&self) -> usize {
        let voxels: usize = self.options.patch.size.iter().product();
        let subject = &self.subjects[0];
        let images: usize =
            subject.images.iter().map(|scan| scan.channels() * scan.voxel_type().size()).sum();
        voxels * (images + subject.label.as_ref().map_or(0, |scan| scan.voxel_type().size()))
    }

    /// Returns the files that are decoded into the cache.
    pub fn compressed_files(&self) -> Vec<PathBuf> {
        let scans = self.subjects.iter().flat_map(Prepared::scans);
        scans.filter(|scan| scan.is_compressed()).map(Scan::image_path).collect()
    }

    /// Returns what is known about the voxels of a subject.
    pub(super) fn facts_of(&self, subject: &Prepared, memory: &mut Memory) -> Result<Arc<Facts>, Error> {
        subject.facts(&self.options, self.training.as_ref(), &self.cache, memory)
    }
}

impl Dataset for PatchSet {
    fn len(&self) -> usize {
        self.plan.len()
    }

    fn fields(&self) -> &[Field] {
        &self.fields
    }

    fn write(&self, index: usize, slot: &mut Slot<'_>, context: &Context<'_>) -> Result<(), SampleError> {
        with_memory(|memory| {
            let record = context.stage("draw", || self.drawn(index, context, memory))?;
            self.make(index, &record, slot, context, memory)
        })
        .map_err(Into::into)
    }

    fn id(&self, index: usize) -> String {
        let (subject, patch) = self.plan.at(index);
        let subject = &self.subjects[subject];
        match subject.regions.get(patch) {
            Some(region) => format!("{}, region {}", subject.id, region.label),
            None => format!("{}, patch {patch}", subject.id),
        }
    }

    fn class(&self, index: usize) -> Option<u32> {
        self.subjects[self.plan.at(index).0].class
    }

    fn fact(&self, index: usize, name: &str) -> Option<String> {
        let (subject, patch) = self.plan.at(index);
        let subject = &self.subjects[subject];
        match name {
            "subject" | "volume" => Some(subject.id.clone()),
            "group" => subject.group.clone(),
            "region" if !subject.regions.is_empty() => {
                subject.regions.get(patch).map(|region| region.label.to_string())
            }
            _ => subject.about.get(name).cloned(),
        }
    }

    fn facts(&self) -> Vec<String> {
        let mut names = vec!["subject".to_owned(), "volume".to_owned()];
        names.extend(self.subjects.iter().any(|subject| subject.group.is_some()).then(|| "group".to_owned()));
        let by_region = matches!(self.options.patch.sampler, PatchSampler::Regions(_));
        names.extend(by_region.then(|| "region".to_owned()));
        let about: BTreeSet<&String> =
            self.subjects.iter().flat_map(|subject| subject.about.keys()).collect();
        let others = about.into_iter().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>();
        names.extend(others);
        names
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.clone()
    }
}
