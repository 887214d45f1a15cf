//! A subject whose headers were read.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::cache::Cache;
use crate::error::Error;
use crate::orientation::Axes;
use crate::places::LabelRegion;
use crate::preprocess::DatasetStatistics;
use crate::spatial::Lattice;
use crate::subjects::{GEOMETRY_TOLERANCE, OpenSubject, Subject, compare, one_frame};
use crate::volume::Volume;

use super::facts::{Facts, cropped};
use super::memory::Memory;
use super::options::PatchSetOptions;
use super::scan::Scan;

/// A subject whose headers were read, and what was found out about its voxels.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) id: String,
    /// Of one shape, in one place.
    pub(super) images: Vec<Scan>,
    pub(super) label: Option<Scan>,
    pub(super) weights: Option<Scan>,
    /// The number of its class, if it has one.
    pub(super) class: Option<u32>,
    /// The regions that its patches lie about, in their order; none with other samplers.
    pub(super) regions: Vec<LabelRegion>,
    /// What it belongs to.
    pub(super) group: Option<String>,
    /// What else is known about it.
    pub(super) about: BTreeMap<String, String>,
    /// The grid over the whole volume.
    pub(super) whole: Lattice,
    /// The part of it that patches are cut from, where it was looked for.
    cropped: OnceLock<Lattice>,
    facts: Mutex<Option<Arc<Facts>>>,
}

impl Prepared {
    /// Opens the files of a subject, of which the headers are read.
    pub(super) fn open(
        subject: &Subject,
        weights: Option<&Path>,
        options: &PatchSetOptions,
        class: Option<u32>,
    ) -> Result<Self, Error> {
        let opened = OpenSubject::open(subject, &options.read, GEOMETRY_TOLERANCE)?;
        let weights = weights.map(|path| Volume::open_with(path, &options.read)).transpose()?;
        if let (Some(weights), Some(first)) = (&weights, opened.images.first()) {
            compare(&subject.id, first, weights, GEOMETRY_TOLERANCE)?;
            one_frame("weight", weights).map_err(|error| error.of_subject(&subject.id))?;
        }
        let file = |volume| Scan::File(Box::new(volume));
        let images = opened.images.into_iter().map(file).collect();
        let label = opened.label.map(file);
        let weights = weights.map(file);
        let new = Self::new(subject.id.clone(), images, label, weights, options, class)?;
        Ok(Self { group: subject.group.clone(), about: subject.facts.clone(), ..new })
    }

    /// Joins volumes of one shape and place.
    pub(super) fn new(
        id: String,
        images: Vec<Scan>,
        label: Option<Scan>,
        weights: Option<Scan>,
        options: &PatchSetOptions,
        class: Option<u32>,
    ) -> Result<Self, Error> {
        let first = &images[0];
        let axes = match &options.orientation {
            None => Axes::STORED,
            Some(want) => Axes::between(first.orientation()?, *want),
        };
        let whole = Lattice::new(&first.voxel_to_world()?, first.shape(), &axes, options.spacing)?;
        let (cropped, facts) = (OnceLock::new(), Mutex::new(None));
        let (regions, group, about) = (Vec::new(), None, BTreeMap::new());
        Ok(Self { id, images, label, weights, class, regions, group, about, whole, cropped, facts })
    }

    /// Returns how many channels its images have together.
    pub(super) fn channels(&self) -> usize {
        self.images.iter().map(Scan::channels).sum()
    }

    /// Returns the grid that patches are cut from; looks for the foreground the first time, if volumes are cropped to it.
    pub(super) fn grid(
        &self,
        options: &PatchSetOptions,
        cache: &Cache,
        memory: &mut Memory,
    ) -> Result<Lattice, Error> {
        let Some(crop) = &options.crop else { return Ok(self.whole) };
        if let Some(grid) = self.cropped.get() {
            return Ok(*grid);
        }
        let grid = cropped(self, crop, options, cache, memory)?;
        Ok(*self.cropped.get_or_init(|| grid))
    }

    /// Returns what is known about its voxels; finds it out the first time. Who asks meanwhile waits. An error is found
    /// again by whoever asks next.
    pub(super) fn facts(
        &self,
        options: &PatchSetOptions,
        training: Option<&DatasetStatistics>,
        cache: &Cache,
        memory: &mut Memory,
    ) -> Result<Arc<Facts>, Error> {
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(facts) = &*facts {
            return Ok(Arc::clone(facts));
        }
        let found = Arc::new(Facts::of(self, options, training, cache, memory)?);
        *facts = Some(Arc::clone(&found));
        Ok(found)
    }

    /// Returns all its volumes.
    pub(super) fn scans(&self) -> impl Iterator<Item = &Scan> {
        self.images.iter().chain(&self.label).chain(&self.weights)
    }
}
