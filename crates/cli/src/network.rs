//! The network of a configuration, and what its training feeds back.

use std::sync::Arc;

use anyhow::anyhow;
use batchwright_config::{Config, Model, SampleBatches};
use batchwright_core::{BoxError, Dataset, Sequence};
use batchwright_pairs::{Embeddings, MinedPartners};
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

/// Partners that are mined from the embeddings of the training samples.
pub(crate) struct Mining {
    mined: Arc<MinedPartners>,
    samples: Arc<dyn Sequence>,
}

impl Mining {
    /// Embeds `samples`, each once in order, for the partners of `mined`.
    pub(crate) fn new(mined: &Arc<MinedPartners>, samples: SampleBatches) -> Self {
        Self { mined: Arc::clone(mined), samples: Arc::new(samples) }
    }
}

impl Feedback for Mining {
    fn is_due(&self, epoch: u64) -> bool {
        self.mined.is_due(epoch)
    }

    fn samples(&self) -> Arc<dyn Sequence> {
        Arc::clone(&self.samples)
    }

    fn refresh(&self, epoch: u64, embedded: Embedded) -> std::result::Result<(), BoxError> {
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
