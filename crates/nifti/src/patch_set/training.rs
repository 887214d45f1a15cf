//! A set read volume by volume, for the statistics that its normalisation needs of the training subjects.

use crate::error::Error;
use crate::preprocess::{ChannelReader, DatasetStatistics, Labelled, Needs, StatisticsOptions, Visit};
use crate::region::Region;

use super::facts::inside_of;
use super::memory::Memory;
use super::set::PatchSet;

impl PatchSet {
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
