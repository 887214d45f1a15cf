//! A patch, made of what was drawn for it.

use std::sync::Arc;

use batchwright_core::{Context, SampleError, Slot};

use crate::affine::VoxelToWorld;
use crate::augment::Changes;
use crate::error::Error;
use crate::gather::{
    Border, Label, LabelSampling, Outside, Rescale, Sampling, SourceBox, gather, gather_labels,
};
use crate::intensity::{PatchShape, apply_all};
use crate::orientation::Orientation;
use crate::places::Place;
use crate::preprocess::{LabelType, Labels};
use crate::spatial::{Lattice, Map, Placement};

use super::facts::Facts;
use super::memory::{Memory, with_memory};
use super::prepared::Prepared;
use super::record::PatchRecord;
use super::scan::Scan;
use super::set::PatchSet;

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

/// What a patch is made of.
struct Recipe<'a> {
    subject: &'a Prepared,
    facts: Arc<Facts>,
    /// Of the patch's voxels, before random changes.
    spacing: [f64; 3],
    voxel_to_world: VoxelToWorld,
    map: Map,
    changes: &'a Changes,
}

impl PatchSet {
    /// Makes the patch of a record of sample `index`: what [`write`](batchwright_core::Dataset::write) writes where that
    /// was drawn.
    ///
    /// # Errors
    /// Gives the errors of reading the volumes; refuses a record that does not fit the subject.
    ///
    /// # Panics
    /// Panics if there is no such sample.
    pub fn patch(&self, index: usize, record: &PatchRecord) -> Result<Patch, SampleError> {
        with_memory(|memory| self.alone(index, record, memory)).map_err(Into::into)
    }

    fn alone(&self, index: usize, record: &PatchRecord, memory: &mut Memory) -> Result<Patch, Error> {
        let context = Context::new(0, 0, 0);
        let recipe = self.recipe(index, record, memory)?;
        let mut image = vec![0.0; self.shape.channels * self.shape.voxels()];
        self.image(&recipe, &mut image, &context, memory)?;
        let labels = match (self.labels, &recipe.subject.label) {
            (Some(labels), Some(scan)) => Some(match labels {
                LabelType::U8 => Labels::U8(self.label_alone(scan, &recipe.map, memory)?),
                LabelType::I16 => Labels::I16(self.label_alone(scan, &recipe.map, memory)?),
                LabelType::I32 => Labels::I32(self.label_alone(scan, &recipe.map, memory)?),
            }),
            _ => None,
        };
        let shape = PatchShape { spacing: recipe.spacing, ..self.shape };
        Ok(Patch { image, labels, shape, orientation: Orientation::of(&recipe.voxel_to_world) })
    }

    fn label_alone<L: Label>(&self, scan: &Scan, map: &Map, memory: &mut Memory) -> Result<Vec<L>, Error> {
        let mut labels = vec![L::nearest(0.0); self.shape.voxels()];
        self.label(scan, map, &mut labels, memory)?;
        Ok(labels)
    }

    /// Makes the patch of a record of sample `index` into a slot.
    pub(super) fn make(
        &self,
        index: usize,
        record: &PatchRecord,
        slot: &mut Slot<'_>,
        context: &Context<'_>,
        memory: &mut Memory,
    ) -> Result<(), Error> {
        let recipe = self.recipe(index, record, memory)?;
        let Recipe { subject, map, .. } = &recipe;
        self.image(&recipe, slot.get::<f32>(0), context, memory)?;
        if let (Some(labels), Some(scan)) = (self.labels, &subject.label) {
            context.stage("gather label", || match labels {
                LabelType::U8 => self.label(scan, map, slot.get::<u8>(1), memory),
                LabelType::I16 => self.label(scan, map, slot.get::<i16>(1), memory),
                LabelType::I32 => self.label(scan, map, slot.get::<i32>(1), memory),
            })?;
        }
        if let (Some(field), Some(class)) = (self.class_field, subject.class) {
            slot.get::<i64>(field)[0] = i64::from(class);
        }
        memory.stored.trim();
        Ok(())
    }

    fn recipe<'a>(
        &'a self,
        index: usize,
        record: &'a PatchRecord,
        memory: &mut Memory,
    ) -> Result<Recipe<'a>, Error> {
        let subject = &self.subjects[self.plan.at(index).0];
        if record.subject != subject.id {
            let expected = format!("`{}`", subject.id);
            return Err(Error::choice("subject", expected, format_args!("`{}`", record.subject)));
        }
        let facts = self.facts_of(subject, memory)?;
        let changes = &record.changes;
        let (grid, map) = match &record.at {
            None => (facts.grid, self.map(&facts, &record.place, changes)?),
            Some(at) => {
                let frame = self.frame(subject, &facts.grid, at)?;
                let placement = Placement { origin: [0; 3], size: self.options.patch.size };
                let drawn = changes.spatial.iter().map(|change| &change.drawn);
                (frame, Map::compose(&frame, placement, drawn)?)
            }
        };
        let Lattice { spacing, voxel_to_world, .. } = grid;
        Ok(Recipe { subject, facts, spacing, voxel_to_world, map, changes })
    }

    /// Returns the map of a patch at a place.
    pub(super) fn map(&self, facts: &Facts, place: &Place, changes: &Changes) -> Result<Map, Error> {
        let placement = Placement { origin: place.origin, size: self.options.patch.size };
        Map::compose(&facts.grid, placement, changes.spatial.iter().map(|change| &change.drawn))
    }

    /// Gathers the channels of a patch, and changes their intensities.
    fn image(
        &self,
        recipe: &Recipe<'_>,
        out: &mut [f32],
        context: &Context<'_>,
        memory: &mut Memory,
    ) -> Result<(), Error> {
        let Recipe { subject, facts, spacing, map, changes, .. } = recipe;
        let size = self.options.patch.size;
        let mut channels = facts.channels.iter().zip(out.chunks_exact_mut(self.shape.voxels()));
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
                let gather = |source: &SourceBox<'_>, out: &mut [f32]| {
                    gather(source, map, &sampling, &facts.rescale, size, out)
                };
                context.stage("gather image", || {
                    at_hand.with(channel, &region, stored, |source| match &facts.mend {
                        None => gather(source, out),
                        Some(statistics) => {
                            let (policy, scaling) = (self.options.nan, scan.scaling());
                            mended.with_mended(source, &region, policy, scaling, statistics, |source| {
                                gather(source, out)
                            })
                        }
                    })
                })?;
            }
        }
        if changes.intensity.is_empty() {
            return Ok(());
        }
        let drawn = changes.intensity.iter().map(|change| &change.drawn);
        let shape = PatchShape { spacing: *spacing, ..self.shape };
        context.stage("intensity", || apply_all(drawn, out, &shape, &mut memory.scratch))
    }

    /// Gathers the labels of a patch, merged as the options say. That they fit into the type was seen when the set was
    /// made.
    pub(super) fn label<L: Label>(
        &self,
        scan: &Scan,
        map: &Map,
        out: &mut [L],
        memory: &mut Memory,
    ) -> Result<(), Error> {
        let merge = &self.options.labels;
        if merge.is_identity() {
            return self.stored_label(scan, map, out, memory);
        }
        let mut stored = std::mem::take(&mut memory.unmerged);
        stored.resize(out.len(), 0);
        let done = self.stored_label(scan, map, &mut stored, memory);
        let (mut last, mut becomes) = (0, merge.apply(0));
        for (to, &label) in out.iter_mut().zip(&stored) {
            if label != last {
                (last, becomes) = (label, merge.apply(label));
            }
            *to = L::nearest(f64::from(becomes));
        }
        memory.unmerged = stored;
        done
    }

    fn stored_label<L: Label>(
        &self,
        scan: &Scan,
        map: &Map,
        out: &mut [L],
        memory: &mut Memory,
    ) -> Result<(), Error> {
        let border = match self.options.outside() {
            Outside::Edge => Border::Edge,
            Outside::Reflect => Border::Reflect,
            Outside::Constant(_) | Outside::Minimum => Border::Constant(L::nearest(0.0)),
        };
        let sampling = LabelSampling { interpolation: self.options.label_interpolation(), border };
        let size = self.options.patch.size;
        let region = map.source_region(size, &sampling.support(), scan.shape())?;
        let rescale = Rescale { slope: scan.scaling().slope, inter: scan.scaling().inter, clamp: None };
        scan.at_hand(&self.cache)?.with(0, &region, &mut memory.stored, |source| {
            gather_labels(source, map, &sampling, &rescale, size, out)
        })
    }
}
