//! What is drawn for a patch.

use std::cell::RefCell;

use batchwright_core::{Context, SampleError};

use crate::error::Error;
use crate::intensity::PatchShape;
use crate::places::{ForegroundFraction, Place, PlaceSources, Places};
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
                let memory = RefCell::new(memory);
                let (place, fraction) = bounds.choose(
                    |_| place(&mut memory.borrow_mut()),
                    |place| {
                        let map = self.map(&facts, place, &changes)?;
                        self.foreground_fraction(subject, &map, &mut memory.borrow_mut())
                    },
                )?;
                (place, Some(fraction))
            }
        };
        self.fallbacks.count(&place, foreground.as_ref());
        Ok(PatchRecord { subject: subject.id.clone(), patch, place, foreground, changes })
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
