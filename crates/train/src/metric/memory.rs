//! The last embeddings of a training.

use batchwright_config::CrossBatchMemory;
use tch::{Kind, TchError, Tensor, nn, no_grad};

/// A ring of the last embeddings with their labels (cross-batch memory, Wang 2020). It lies in variables of the store that are not trained, so that
/// checkpoints have it.
#[derive(Debug)]
pub(super) struct Memory {
    embeddings: Tensor,
    labels: Tensor,
    /// How many embeddings ever came in.
    count: Tensor,
    size: i64,
    from: u64,
}

impl Memory {
    pub(super) fn new(
        path: &nn::Path<'_>,
        settings: CrossBatchMemory,
        embedding: i64,
    ) -> Result<Self, TchError> {
        let size = settings.size as i64;
        let whole = |shape: &[i64]| Tensor::f_zeros(shape, (Kind::Int64, path.device()));
        Ok(Self {
            embeddings: path.f_zeros_no_train("embeddings", &[size, embedding])?,
            labels: path.add("labels", whole(&[size])?, false),
            count: path.add("count", whole(&[1])?, false),
            size,
            from: settings.from,
        })
    }

    /// Returns its embeddings, their labels, and which of its rows are filled; `None` before the step that it begins at.
    pub(super) fn rows(&self, step: u64) -> Result<Option<(Tensor, Tensor, Tensor)>, TchError> {
        if step < self.from {
            return Ok(None);
        }
        let places = Tensor::f_arange(self.size, (Kind::Int64, self.count.device()))?;
        let valid = places.f_lt_tensor(&self.count)?;
        Ok(Some((self.embeddings.shallow_clone(), self.labels.shallow_clone(), valid)))
    }

    /// Takes the embeddings of a batch in, the last of them where they are more than it holds.
    pub(super) fn push(&self, embeddings: &Tensor, labels: &Tensor) -> Result<(), TchError> {
        no_grad(|| {
            let n = labels.size()[0];
            let kept = n.min(self.size);
            let places = Tensor::f_arange_start(n - kept, n, (Kind::Int64, self.count.device()))?;
            let places = places.f_add(&self.count)?.f_remainder(self.size)?;
            let last = |x: &Tensor| x.f_detach()?.f_narrow(0, n - kept, kept);
            let (mut rows, mut their_labels, mut count) =
                (self.embeddings.shallow_clone(), self.labels.shallow_clone(), self.count.shallow_clone());
            let _ = rows.f_index_copy_(0, &places, &last(embeddings)?)?;
            let _ = their_labels.f_index_copy_(0, &places, &last(labels)?)?;
            let _ = count.f_add_scalar_(n)?;
            Ok(())
        })
    }
}
