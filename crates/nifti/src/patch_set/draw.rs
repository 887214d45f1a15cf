//! What is drawn for a patch.

use std::cell::RefCell;

use batchwright_core::{Context, SampleError};

use crate::error::Error;
use crate::intensity::PatchShape;
use crate::places::{ForegroundFraction, PlaceSources, Places, Weights};
use crate::region::Region;
use crate::spatial::Map;

use super::memory::{Memory, with_memory};
use super::prepared::Prepared;
use super::record::PatchRecord;
use super::set::PatchSet;

impl PatchSet {
    /// Draws everything that is drawn for sample `index` in this context.
    ///
    /// # Errors
    /// Gives the errors of reading the volumes, where a place depends on them.
    ///
    /// # Panics
    /// Panics if there is no such sample.
    pub fn draw(&self, index: usize, context: &Context<'_>) -> Result<PatchRecord, SampleError> {
        with_memory(|memory| self.drawn(index, context, memory)).map_err(Into::into)
    }

    pub(super) fn drawn(
        &self,
        index: usize,
        context: &Context<'_>,
        memory: &mut Memory,
    ) -> Result<PatchRecord, Error> {
        let (number, patch) = self.plan.at(index);
        let subject = &self.subjects[number];
        let facts = self.facts_of(subject, memory)?;
        let shape = PatchShape { spacing: facts.grid.spacing, ..self.shape };
        let changes = self.options.augmentation.draw(context, &shape);
        let places = Places::new(facts.grid.shape, self.options.patch.size)?;
        let memory = RefCell::new(memory);
        let at_hand = subject.weights.as_ref().map(|scan| scan.at_hand(&self.cache)).transpose()?;
        let row = |[y, z]: [usize; 2]| {
            let Some((at_hand, scan)) = at_hand.as_ref().zip(subject.weights.as_ref()) else {
                return Ok(Vec::new());
            };
            let nx = scan.shape()[0];
            let region = Region::new([0, y, z], [nx, 1, 1], scan.shape())?;
            at_hand.with(0, &region, &mut memory.borrow_mut().stored, |source| {
                let ([_, from_y, from_z], [_, ny, _]) = (source.region().origin(), source.region().size());
                let start = ((z - from_z) * ny + y - from_y) * nx;
                Ok((start..start + nx).map(|at| source.voxels().at(at)).collect())
            })
        };
        let sources = PlaceSources {
            classes: facts.classes.as_ref().map(|classes| (classes, facts.from_stored)),
            weights: facts.weights.as_ref().map(|sums| Weights { sums, row: &row, map: facts.from_stored }),
            regions: (!subject.regions.is_empty()).then_some((&*subject.regions, facts.from_stored)),
        };
        let mut stream = context.stream("patch/place");
        let mut place = || self.options.patch.sampler.draw(&places, &sources, patch, &mut stream);
        let (place, foreground) = match &self.options.patch.foreground_fraction {
            None => (place()?, None),
            Some(bounds) => {
                let (place, fraction) = bounds.choose(
                    |_| place(),
                    |place| {
                        let map = self.map(&facts, place, &changes)?;
                        self.foreground_fraction(subject, &map, &mut memory.borrow_mut())
                    },
                )?;
                (place, Some(fraction))
            }
        };
        self.fallbacks.count(&place, foreground.as_ref());
        Ok(PatchRecord { subject: subject.id.clone(), patch, place, at: None, foreground, changes })
    }

    /// Returns the fraction of a patch's labels that is not 0.
    fn foreground_fraction(&self, subject: &Prepared, map: &Map, memory: &mut Memory) -> Result<f64, Error> {
        let Some(scan) = &subject.label else { return Ok(0.0) };
        let mut labels = std::mem::take(&mut memory.labels);
        labels.resize(self.shape.voxels(), 0);
        let done = self.label(scan, map, &mut labels, memory);
        let fraction = ForegroundFraction::of(&labels);
        memory.labels = labels;
        done.map(|()| fraction)
    }
}
