//! Embeddings of every sample of a set, and what is learned from them while training.

use std::sync::Arc;

use batchwright_core::{BoxError, Loader, LoaderOptions, Sequence};
use tch::{Device, Kind};

use crate::error::{Doing, Error};
use crate::evaluate::Shared;
use crate::stop::StopFlag;
use crate::task::Task;
use crate::tensors::Feeder;

/// The embeddings of the samples of a sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedded {
    /// One row for each sample, in the order of the sequence.
    pub values: Vec<f32>,
    /// The numbers of a row.
    pub dimensions: usize,
    /// Which samples they are, where the sequence says so.
    pub samples: Vec<usize>,
}

/// What a run learns on the way and feeds back into its batches.
///
/// Before the batches of an epoch that [is due](Feedback::is_due) are read, all samples are embedded with the weights of that
/// moment and handed to [`refresh`](Feedback::refresh); then the hook of the sequence that is trained on
/// ([`Sequence::on_epoch_end`]) takes up what was made of them. A run that is resumed there does it again, with the same weights.
pub trait Feedback {
    /// Returns whether the batches of an epoch are chosen anew. Never asked about epoch 0.
    fn is_due(&self, epoch: u64) -> bool;

    /// Returns the samples to embed: each once, in order, without random changes.
    fn samples(&self) -> Arc<dyn Sequence>;

    /// Takes the embeddings of all samples, for the batches of `epoch`.
    ///
    /// # Errors
    /// Says what is wrong with them; the run stops.
    fn refresh(&self, epoch: u64, embeddings: Embedded) -> Result<(), BoxError>;
}

/// Embeds epoch 0 of a sequence. `None` where it was asked to stop.
pub(crate) fn embed(
    task: &dyn Task,
    sequence: Shared,
    feeder: &mut Feeder,
    options: &LoaderOptions,
    stop: Option<&StopFlag>,
    step: u64,
) -> Result<Option<Embedded>, Error> {
    let _guard = tch::no_grad_guard();
    let doing = "fetch embeddings";
    let mut loader = Loader::new(sequence, LoaderOptions { epochs: Some(1), ..options.clone() });
    let mut all = Embedded { values: Vec::new(), dimensions: 0, samples: Vec::new() };
    while let Some(batch) = loader.next_batch() {
        if stop.is_some_and(|stop| stop.get().is_some()) {
            return Ok(None);
        }
        let batch = batch
            .map_err(|source| Error::Load { name: "embeddings".to_owned(), source: Box::new(source) })?;
        if batch.is_empty() {
            continue;
        }
        let batch = feeder.feed(batch)?;
        let rows =
            task.embed(&batch).map_err(|source| Error::Task { doing: "embed a batch", step, source })?;
        let rows = rows
            .f_to_device(Device::Cpu)
            .and_then(|rows| rows.f_to_kind(Kind::Float)?.f_contiguous())
            .doing(doing)?;
        let size = rows.size();
        let [count, dimensions] = size.as_slice() else {
            let source =
                format!("expected one row of numbers for each sample, found the shape {size:?}").into();
            return Err(Error::Task { doing: "embed a batch", step, source });
        };
        if *count as usize != batch.len() || (0 < all.dimensions && all.dimensions != *dimensions as usize) {
            let text = format!("expected {} rows of as many numbers as before, found {size:?}", batch.len());
            return Err(Error::Task { doing: "embed a batch", step, source: text.into() });
        }
        all.dimensions = *dimensions as usize;
        let values: Vec<f32> = Vec::try_from(rows.f_reshape([-1]).doing(doing)?).doing(doing)?;
        all.values.extend(values);
        all.samples.extend(batch.samples.iter().map(|sample| sample.index));
    }
    // Rows would stand for other samples than their places say.
    if let Some(left_out) = loader.left_out().first() {
        let text = format!(
            "every sample is needed, and {} ({}) was left out: {}",
            left_out.index, left_out.id, left_out.error
        );
        return Err(Error::Task { doing: "embed a set", step, source: text.into() });
    }
    Ok(Some(all))
}

impl Embedded {
    /// Returns how many samples there are.
    pub fn len(&self) -> usize {
        self.values.len().checked_div(self.dimensions).unwrap_or(0)
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
