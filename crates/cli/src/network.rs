//! The network of a configuration, and what its training feeds back.

use std::sync::Arc;

use anyhow::anyhow;
use batchwright_config::{Config, Model, SampleBatches};
use batchwright_core::{BoxError, Dataset, Sequence};
use batchwright_pairs::{Embeddings, MinedPartners, Refreshed};
use batchwright_train::{Embedded, Feedback, Siamese, Task, Trainer, Vae};

use crate::failure::{Failure, Result};

/// Checks that there is a network to train or to evaluate.
pub(crate) fn model(config: &Config) -> Result<&Model> {
    config.model.as_ref().ok_or_else(|| {
        Failure::usage(anyhow!("the configuration has no `model`: there is nothing to train or evaluate"))
    })
}

/// Builds the network for samples of the shape [C, y, x] or [C, z, y, x].
pub(crate) fn task(trainer: &Trainer, model: &Model, sample: &[usize]) -> Result<Box<dyn Task>> {
    Ok(match model {
        Model::Vae(settings) => Box::new(
            Vae::new(&trainer.root(), settings, sample)
                .map_err(|error| Failure::usage(anyhow::Error::from(error).context("model.vae")))?,
        ),
        Model::Siamese(settings) => Box::new(
            Siamese::new(&trainer.root(), settings, sample)
                .map_err(|error| Failure::usage(anyhow::Error::from(error).context("model.siamese")))?,
        ),
    })
}

/// Returns what is trained on: with the hook that takes up mined partners, where any are mined.
pub(crate) fn trained_on(
    trainer: &mut Trainer,
    training: SampleBatches,
    mining: Option<Arc<MinedPartners>>,
    plain: Option<Arc<dyn Sequence>>,
) -> Box<dyn Sequence> {
    let (Some(mined), Some(samples)) = (mining, plain) else { return Box::new(training) };
    trainer.set_feedback(Mining { mined: Arc::clone(&mined), samples });
    Box::new(Refreshed::new(training, mined))
}

/// Partners that are mined from the embeddings of the training samples.
struct Mining {
    mined: Arc<MinedPartners>,
    samples: Arc<dyn Sequence>,
}

impl Feedback for Mining {
    fn is_due(&self, epoch: u64) -> bool {
        self.mined.is_due(epoch)
    }

    fn samples(&self) -> Arc<dyn Sequence> {
        Arc::clone(&self.samples)
    }

    fn refresh(&self, epoch: u64, embedded: Embedded) -> std::result::Result<(), BoxError> {
        // Samples left out as bad have no embedding: the others would stand in the wrong rows.
        if let Some(at) = embedded.samples.iter().enumerate().find(|(at, index)| at != *index) {
            return Err(format!("sample {} could not be embedded; mining needs all samples", at.0).into());
        }
        let labels = vec![0; embedded.len()];
        let report =
            self.mined.refresh(epoch, &Embeddings::new(embedded.values, embedded.dimensions, labels)?)?;
        log::info!("partners of epoch {epoch}: {report:?}");
        Ok(())
    }
}

/// Returns the shape of one sample, or of one part of a pair or triplet: [C, H, W] or [C, z, y, x].
pub(crate) fn sample_shape(batches: &SampleBatches) -> Result<Vec<usize>> {
    let field = batches.dataset().fields().first();
    field.map(|field| field.shape.clone()).ok_or_else(|| Failure::ours(anyhow!("samples have no field")))
}
