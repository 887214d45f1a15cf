//! Patches of subjects as a data set.

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use batchwright_core::{Context, Dataset, Field, Fingerprint, SampleError, Slot};
use rayon::prelude::*;

use crate::cache::Cache;
use crate::error::Error;
use crate::gather::{Border, LabelSampling, Rescale, Sampling, gather, gather_labels};
use crate::intensity::{PatchShape, apply_all};
use crate::orientation::Orientation;
use crate::phantom::Phantom;
use crate::places::{Fallbacks, PatchPlan, PatchSampler, Place, PlaceSources, Places};
use crate::preprocess::{
    ChannelReader, DatasetStatistics, LabelType, LabelVoxels, Labelled, Labels, NanPolicy, Needs,
    StatisticsOptions, Visit,
};
use crate::region::Region;
use crate::spatial::{Map, Placement, SpatialDrawn};
use crate::subjects::Subjects;
use crate::voxels::VoxelType;

use super::facts::{Facts, inside_of};
use super::memory::Memory;
use super::options::PatchSetOptions;
use super::prepared::Prepared;
use super::record::PatchRecord;
use super::scan::Scan;

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::new(Memory::default());
}

/// One patch.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch {
    /// The image, [C, z, y, x].
    pub image: Vec<f32>,
    /// The labels, [z, y, x], if there are any.
    pub labels: Option<Labels>,
    /// The number of channels, the size x, y, z, and the spacing.
    pub shape: PatchShape,
    /// Which way x, y and z point, before random changes.
    pub orientation: Option<Orientation>,
}

/// Patches of subjects as a [`Dataset`].
///
/// Its fields, in order:
///
/// | field | type and shape | |
/// |---|---|---|
/// | `image` | f32 [C, z, y, x] | interpolated once, normalised, varied |
/// | `label` | u8, i16 or i32 [1, z, y, x] | where subjects have label maps; of the type that the largest value needs |
/// | `class` | i64 | where subjects have classes |
///
/// Sample `i` is patch `i % per_volume` of subject `i / per_volume` (a grid sampler has its own numbers, see
/// [`PatchPlan`]). A patch is a function of the files, the options, its index and its context: [`draw`](Self::draw) says
/// everything that is drawn for it, and [`apply`](Self::apply) makes it of that.
///
/// Compressed volumes are decoded once, into the cache; of others the voxels that a patch needs are read. What a
/// normalisation or a sampler needs to know about a volume as a whole is found out when its first patch is made, and kept.
pub struct PatchSet {
    subjects: Vec<Prepared>,
    options: PatchSetOptions,
    training: Option<DatasetStatistics>,
    plan: PatchPlan,
    fields: Vec<Field>,
    shape: PatchShape,
    labels: Option<LabelType>,
    classes: Vec<String>,
    /// The number of the field `class`.
    class_field: Option<usize>,
    cache: Arc<Cache>,
    fallbacks: Fallbacks,
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
    /// which values it has, and where a grid is laid over volumes that are cropped to their foreground.
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
                let class = subject.class.as_ref().map(|class| class_number(classes, class)).transpose()?;
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
        subjects: Vec<Prepared>,
        options: PatchSetOptions,
        classes: &[String],
        training: Option<DatasetStatistics>,
        cache: Arc<Cache>,
    ) -> Result<Self, Error> {
        let Some(first) = subjects.first() else {
            return Err(Error::choice("subjects", "at least one", 0));
        };
        let channels = first.channels();
        options.normalize.check("normalize", channels)?;
        for other in &subjects {
            let has =
                |subject: &Prepared| if subject.label.is_some() { "a label map" } else { "no label map" };
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
        let labels = first.label.is_some().then(|| label_type(&subjects, &options, &cache)).transpose()?;
        let plan = plan(&subjects, &options, training.as_ref(), &cache)?;
        let [x, y, z] = options.patch.size;
        let mut fields = vec![Field::new::<f32>("image", &[channels, z, y, x])];
        fields.extend(labels.map(|labels| match labels {
            LabelType::U8 => Field::new::<u8>("label", &[1, z, y, x]),
            LabelType::I16 => Field::new::<i16>("label", &[1, z, y, x]),
            LabelType::I32 => Field::new::<i32>("label", &[1, z, y, x]),
        }));
        let class_field = first.class.is_some().then_some(fields.len());
        fields.extend(class_field.map(|_| Field::new::<i64>("class", &[])));
        let shape = PatchShape { channels, size: options.patch.size, spacing: first.grid.spacing };
        let fingerprint = fingerprint(&subjects, &options, training.as_ref());
        Ok(Self {
            subjects,
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

    /// Returns where decoded volumes are kept.
    pub fn cache(&self) -> &Cache {
        &self.cache
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

    /// Draws everything that is drawn for sample `index` in this context.
    ///
    /// # Errors
    /// Gives the errors of reading the volumes, where a place depends on them.
    ///
    /// # Panics
    /// Panics if there is no such sample.
    pub fn draw(&self, index: usize, context: &Context<'_>) -> Result<PatchRecord, SampleError> {
        MEMORY.with_borrow_mut(|memory| self.drawn(index, context, memory)).map_err(Into::into)
    }

    /// Makes the patch of a record of sample `index` into a slot.
    ///
    /// # Errors
    /// Gives the errors of reading the volumes; refuses a record that does not fit the subject.
    ///
    /// # Panics
    /// Panics if there is no such sample.
    pub fn apply(
        &self,
        index: usize,
        record: &PatchRecord,
        slot: &mut Slot<'_>,
        context: &Context<'_>,
    ) -> Result<(), SampleError> {
        MEMORY.with_borrow_mut(|memory| self.make(index, record, slot, context, memory)).map_err(Into::into)
    }

    /// Computes statistics of each channel over all subjects, where the normalisation needs them: of the training set, to be
    /// given to all sets.
    ///
    /// # Errors
    /// Gives the errors of reading the volumes.
    pub fn training_statistics(&self) -> Result<DatasetStatistics, Error> {
        let wanted: Vec<Option<StatisticsOptions>> = (0..self.shape.channels)
            .map(|channel| match self.options.normalize.channel(channel).needs() {
                Needs::Training(wanted) => Some(wanted),
                Needs::Nothing | Needs::Volume(_) => None,
            })
            .collect();
        let all: Vec<usize> = (0..self.subjects.len()).collect();
        DatasetStatistics::of(self, &all, &wanted)
    }

    fn facts(&self, subject: &Prepared, memory: &mut Memory) -> Result<Arc<Facts>, Error> {
        subject.facts(&self.options, self.training.as_ref(), &self.cache, memory)
    }

    fn drawn(&self, index: usize, context: &Context<'_>, memory: &mut Memory) -> Result<PatchRecord, Error> {
        let (number, patch) = self.plan.at(index);
        let subject = &self.subjects[number];
        let facts = self.facts(subject, memory)?;
        let shape = PatchShape { spacing: facts.grid.spacing, ..self.shape };
        let changes = self.options.augmentation.draw(context, &shape);
        let places = Places::new(facts.grid.shape, self.options.patch.size)?;
        let weights = match (&facts.weights, &subject.weights) {
            (Some(sums), Some(scan)) => {
                Some((sums, scan.at_hand(&self.cache)?, Region::whole(scan.shape())?))
            }
            _ => None,
        };
        let classes = facts.classes.as_ref().map(|classes| (classes, facts.from_stored));
        let mut stream = context.stream("patch/place");
        let mut place = |memory: &mut Memory| -> Result<Place, Error> {
            let sampler = &self.options.patch.sampler;
            match &weights {
                None => sampler.draw(&places, &PlaceSources { classes, weights: None }, patch, &mut stream),
                Some((sums, at_hand, whole)) => at_hand.with(0, whole, &mut memory.stored, |source| {
                    let weights = Some((*sums, source.voxels(), facts.from_stored));
                    sampler.draw(&places, &PlaceSources { classes, weights }, patch, &mut stream)
                }),
            }
        };
        let (place, foreground) = match &self.options.patch.foreground_fraction {
            None => (place(memory)?, None),
            Some(bounds) => {
                let spatial: Vec<SpatialDrawn> =
                    changes.spatial.iter().map(|change| change.drawn.clone()).collect();
                let memory = RefCell::new(memory);
                let (place, fraction) = bounds.choose(
                    |_| place(&mut memory.borrow_mut()),
                    |place| self.fraction(subject, &facts, place, &spatial, &mut memory.borrow_mut()),
                )?;
                (place, Some(fraction))
            }
        };
        self.fallbacks.count(&place, foreground.as_ref());
        Ok(PatchRecord { subject: subject.id.clone(), patch, place, foreground, changes })
    }

    /// Returns the fraction of a patch's labels that is not 0.
    fn fraction(
        &self,
        subject: &Prepared,
        facts: &Facts,
        place: &Place,
        spatial: &[SpatialDrawn],
        memory: &mut Memory,
    ) -> Result<f64, Error> {
        let size = self.options.patch.size;
        let map = Map::compose(&facts.grid, Placement { origin: place.origin, size }, spatial)?;
        let mut labels = std::mem::take(&mut memory.labels);
        labels.resize(size.iter().product(), 0);
        let done = self.labels_into(subject, &map, &mut labels, memory);
        let foreground = labels.iter().filter(|&&label| label != 0).count();
        let all = labels.len();
        memory.labels = labels;
        done?;
        Ok(foreground as f64 / all as f64)
    }

    /// Gathers labels, merged, as 32-bit numbers.
    fn labels_into(
        &self,
        subject: &Prepared,
        map: &Map,
        out: &mut [i32],
        memory: &mut Memory,
    ) -> Result<(), Error> {
        let Some(scan) = &subject.label else { return Ok(()) };
        self.gather_label(scan, map, out, memory)?;
        let options = &self.options.labels;
        if !options.is_identity() {
            let (mut last, mut becomes) = (0, options.apply(0));
            for label in out {
                if *label != last {
                    (last, becomes) = (*label, options.apply(*label));
                }
                *label = becomes;
            }
        }
        Ok(())
    }

    fn gather_label<L: crate::gather::Label>(
        &self,
        scan: &Scan,
        map: &Map,
        out: &mut [L],
        memory: &mut Memory,
    ) -> Result<(), Error> {
        let border = match self.options.outside() {
            crate::gather::Outside::Edge => Border::Edge,
            crate::gather::Outside::Reflect => Border::Reflect,
            crate::gather::Outside::Constant(_) | crate::gather::Outside::Minimum => {
                Border::Constant(L::nearest(0.0))
            }
        };
        let sampling = LabelSampling { interpolation: self.options.label_interpolation(), border };
        let size = self.options.patch.size;
        let region = map.source_region(size, &sampling.support(), scan.shape())?;
        let rescale = Rescale { slope: scan.scaling().slope, inter: scan.scaling().inter, clamp: None };
        scan.at_hand(&self.cache)?.with(0, &region, &mut memory.stored, |source| {
            gather_labels(source, map, &sampling, &rescale, size, out)
        })
    }

    fn make(
        &self,
        index: usize,
        record: &PatchRecord,
        slot: &mut Slot<'_>,
        context: &Context<'_>,
        memory: &mut Memory,
    ) -> Result<(), Error> {
        let subject = self.subject_of(index, record)?;
        let facts = self.facts(subject, memory)?;
        let map = self.map(&facts, record)?;
        self.image(subject, &facts, &map, slot.get::<f32>(0), context, memory)?;
        if let (Some(labels), Some(scan)) = (self.labels, &subject.label) {
            context.stage("gather label", || match labels {
                LabelType::U8 => self.bytes_into(subject, scan, &map, slot.get::<u8>(1), memory),
                LabelType::I16 => self.shorts_into(subject, &map, slot.get::<i16>(1), memory),
                LabelType::I32 => self.labels_into(subject, &map, slot.get::<i32>(1), memory),
            })?;
        }
        if let (Some(field), Some(class)) = (self.class_field, subject.class) {
            slot.get::<i64>(field)[0] = i64::from(class);
        }
        self.change(&facts, record, slot.get::<f32>(0), context, memory)?;
        memory.stored.trim();
        Ok(())
    }

    fn subject_of(&self, index: usize, record: &PatchRecord) -> Result<&Prepared, Error> {
        let subject = &self.subjects[self.plan.at(index).0];
        if record.subject == subject.id {
            return Ok(subject);
        }
        Err(Error::choice("subject", format!("`{}`", subject.id), format_args!("`{}`", record.subject)))
    }

    fn map(&self, facts: &Facts, record: &PatchRecord) -> Result<Map, Error> {
        let placement = Placement { origin: record.place.origin, size: self.options.patch.size };
        let spatial: Vec<SpatialDrawn> =
            record.changes.spatial.iter().map(|change| change.drawn.clone()).collect();
        Map::compose(&facts.grid, placement, &spatial)
    }

    /// Gathers the channels of a patch.
    fn image(
        &self,
        subject: &Prepared,
        facts: &Facts,
        map: &Map,
        out: &mut [f32],
        context: &Context<'_>,
        memory: &mut Memory,
    ) -> Result<(), Error> {
        let size = self.options.patch.size;
        let mut channels = facts.channels.iter().zip(out.chunks_exact_mut(size.iter().product()));
        for scan in &subject.images {
            let at_hand = context.stage("decode", || scan.at_hand(&self.cache))?;
            for channel in 0..scan.channels() {
                let Some((facts, out)) = channels.next() else { break };
                let sampling = Sampling {
                    interpolation: self.options.interpolation,
                    border: facts.border,
                    antialias: self.options.antialias,
                };
                let region = map.source_region(size, &sampling.support(map), scan.shape())?;
                let Memory { stored, mended, .. } = &mut *memory;
                context.stage("gather image", || {
                    at_hand.with(channel, &region, stored, |source| match &facts.mend {
                        None => gather(source, map, &sampling, &facts.rescale, size, out),
                        Some(statistics) => {
                            let policy: NanPolicy = self.options.nan;
                            mended.with_mended(
                                source,
                                &region,
                                policy,
                                scan.scaling(),
                                statistics,
                                |source| gather(source, map, &sampling, &facts.rescale, size, out),
                            )
                        }
                    })
                })?;
            }
        }
        Ok(())
    }

    /// Makes the changes of intensities.
    fn change(
        &self,
        facts: &Facts,
        record: &PatchRecord,
        image: &mut [f32],
        context: &Context<'_>,
        memory: &mut Memory,
    ) -> Result<(), Error> {
        if record.changes.intensity.is_empty() {
            return Ok(());
        }
        let drawn: Vec<_> = record.changes.intensity.iter().map(|change| change.drawn.clone()).collect();
        let shape = PatchShape { spacing: facts.grid.spacing, ..self.shape };
        context.stage("intensity", || apply_all(&drawn, image, &shape, &mut memory.scratch))
    }

    /// Makes the patch of a record of sample `index`: what [`apply`](Self::apply) writes.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    ///
    /// # Panics
    /// Panics if there is no such sample.
    pub fn patch(&self, index: usize, record: &PatchRecord) -> Result<Patch, SampleError> {
        MEMORY.with_borrow_mut(|memory| self.whole_patch(index, record, memory)).map_err(Into::into)
    }

    fn whole_patch(&self, index: usize, record: &PatchRecord, memory: &mut Memory) -> Result<Patch, Error> {
        let context = Context::new(0, 0, 0);
        let subject = self.subject_of(index, record)?;
        let facts = self.facts(subject, memory)?;
        let map = self.map(&facts, record)?;
        let voxels: usize = self.options.patch.size.iter().product();
        let mut image = vec![0.0; self.shape.channels * voxels];
        self.image(subject, &facts, &map, &mut image, &context, memory)?;
        self.change(&facts, record, &mut image, &context, memory)?;
        let labels = match (self.labels, &subject.label) {
            (Some(LabelType::U8), Some(scan)) => {
                let mut labels = vec![0; voxels];
                self.bytes_into(subject, scan, &map, &mut labels, memory)?;
                Some(Labels::U8(labels))
            }
            (Some(LabelType::I16), Some(_)) => {
                let mut labels = vec![0; voxels];
                self.shorts_into(subject, &map, &mut labels, memory)?;
                Some(Labels::I16(labels))
            }
            (Some(LabelType::I32), Some(_)) => {
                let mut labels = vec![0; voxels];
                self.labels_into(subject, &map, &mut labels, memory)?;
                Some(Labels::I32(labels))
            }
            _ => None,
        };
        let orientation = Orientation::of(&facts.grid.voxel_to_world);
        let shape = PatchShape { spacing: facts.grid.spacing, ..self.shape };
        Ok(Patch { image, labels, shape, orientation })
    }

    fn bytes_into(
        &self,
        subject: &Prepared,
        scan: &Scan,
        map: &Map,
        out: &mut [u8],
        memory: &mut Memory,
    ) -> Result<(), Error> {
        if self.options.labels.is_identity() && scan.voxel_type() == VoxelType::U8 {
            return self.gather_label(scan, map, out, memory);
        }
        self.narrowed(subject, map, out, |label| label as u8, memory)
    }

    fn shorts_into(
        &self,
        subject: &Prepared,
        map: &Map,
        out: &mut [i16],
        memory: &mut Memory,
    ) -> Result<(), Error> {
        self.narrowed(subject, map, out, |label| label as i16, memory)
    }

    /// Gathers labels by way of numbers that hold all of them; that they fit was seen when the set was made.
    fn narrowed<L>(
        &self,
        subject: &Prepared,
        map: &Map,
        out: &mut [L],
        narrow: impl Fn(i32) -> L,
        memory: &mut Memory,
    ) -> Result<(), Error> {
        let mut wide = std::mem::take(&mut memory.labels);
        wide.resize(out.len(), 0);
        let done = self.labels_into(subject, map, &mut wide, memory);
        for (to, from) in out.iter_mut().zip(&wide) {
            *to = narrow(*from);
        }
        memory.labels = wide;
        done
    }
}

fn class_number(classes: &[String], class: &str) -> Result<u32, Error> {
    let number = classes.iter().position(|other| other == class);
    number.and_then(|number| u32::try_from(number).ok()).ok_or_else(|| {
        Error::choice("class", format!("one of {}", classes.join(", ")), format_args!("`{class}`"))
    })
}

/// Returns the smallest type that holds the labels of all subjects. Maps of unscaled bytes are not looked into.
fn label_type(subjects: &[Prepared], options: &PatchSetOptions, cache: &Cache) -> Result<LabelType, Error> {
    let of = |subject: &Prepared| -> Result<LabelType, Error> {
        let Some(scan) = &subject.label else { return Ok(LabelType::default()) };
        let plain = options.labels.is_identity() && scan.scaling().is_identity();
        if plain && scan.voxel_type() == VoxelType::U8 {
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

fn plan(
    subjects: &[Prepared],
    options: &PatchSetOptions,
    training: Option<&DatasetStatistics>,
    cache: &Cache,
) -> Result<PatchPlan, Error> {
    if !matches!(options.patch.sampler, PatchSampler::Grid { .. }) {
        return PatchPlan::even(subjects.len(), options.patch.per_volume);
    }
    let mut memory = Memory::default();
    let counts = subjects.iter().map(|subject| {
        let shape = match options.crop {
            None => subject.grid.shape,
            Some(_) => subject.facts(options, training, cache, &mut memory)?.grid.shape,
        };
        options.patch.patches(shape)
    });
    PatchPlan::uneven(counts.collect::<Result<Vec<_>, Error>>()?)
}

/// What patches depend on: names, lengths and headers of files, and the options.
fn fingerprint(
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

impl ChannelReader for PatchSet {
    fn read(
        &self,
        subject: usize,
        channel: usize,
        labels: Labelled,
        visit: &mut Visit<'_>,
    ) -> Result<(), Error> {
        let subject = &self.subjects[subject];
        let mut memory = Memory::default();
        let inside = match (labels, &subject.label) {
            (Labelled::Yes, Some(scan)) => Some(inside_of(scan, &self.options, &self.cache, &mut memory)?),
            _ => None,
        };
        let mut rest = channel;
        for scan in &subject.images {
            if rest < scan.channels() {
                let whole = Region::whole(scan.shape())?;
                return scan.at_hand(&self.cache)?.with(rest, &whole, &mut memory.stored, |source| {
                    visit(source.voxels(), scan.scaling(), inside.as_deref())
                });
            }
            rest -= scan.channels();
        }
        Err(Error::choice("channel", format!("below {}", self.shape.channels), channel))
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
        MEMORY
            .with_borrow_mut(|memory| {
                let record = context.stage("draw", || self.drawn(index, context, memory))?;
                self.make(index, &record, slot, context, memory)
            })
            .map_err(Into::into)
    }

    fn id(&self, index: usize) -> String {
        let (subject, patch) = self.plan.at(index);
        format!("{}, patch {patch}", self.subjects[subject].id)
    }

    fn class(&self, index: usize) -> Option<u32> {
        self.subjects[self.plan.at(index).0].class
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.clone()
    }
}
