//! The embeddings of a whole set, and what they are worth.

use batchwright_core::{Loader, LoaderOptions, SampleId, Sequence};
use batchwright_pairs::metrics::{Verification, neighbours, retrieval};
use batchwright_pairs::{Distance, EmbeddingError, Embeddings};
use tch::{Device, Kind, TchError, Tensor};

use super::{MetricError, Siamese};
use crate::error::{Doing, Error};
use crate::task::{Conclusion, Totals};
use crate::tensors::Feeder;

/// Neighbours that vote for a class.
const NEIGHBOURS: usize = 5;
/// Of more samples than this, as many are taken at equal steps: figures of neighbours take time that grows with their square.
const RETRIEVED: usize = 10_000;
/// As [`RETRIEVED`], for the figures of all pairs.
const VERIFIED: usize = 1_024;

/// The embeddings of a set, in the order that they came in.
#[derive(Clone, Debug)]
pub struct Embedded {
    /// The embeddings, with the labels of the samples; 0 for all where they have none.
    pub embeddings: Embeddings,
    /// Whether the samples have labels (a field `label`).
    pub labelled: bool,
    /// The index of each sample in the data set; counted from 0 where the sequence does not say.
    pub indices: Vec<usize>,
    /// Who they are; empty where the sequence does not say.
    pub samples: Vec<SampleId>,
    /// Samples that were left out.
    pub warnings: Vec<String>,
}

/// Embeds the field `image` of every sample of epoch 0 of a sequence, which should be one without augmentation and in order: without gradients, with a
/// loader of its own. What `task` has learned and its memory stay as they are.
///
/// It keeps `4 * embedding` bytes of each sample.
///
/// # Errors
/// Says which batch could not be loaded, or does not fit the network.
pub fn embed(
    task: &Siamese,
    sequence: impl Sequence + 'static,
    options: &LoaderOptions,
) -> Result<Embedded, Error> {
    let name = "embedded";
    let _guard = tch::no_grad_guard();
    let mut feeder = Feeder::new(task.device())?;
    let memory = match task.device() {
        Device::Cuda(_) => feeder.memory(),
        _ => std::sync::Arc::clone(&options.memory),
    };
    let mut loader = Loader::new(sequence, LoaderOptions { epochs: Some(1), memory, ..options.clone() });
    let (mut values, mut labels, mut samples, mut labelled) = (Vec::new(), Vec::new(), Vec::new(), true);
    while let Some(batch) = loader.next_batch() {
        let batch =
            batch.map_err(|source| Error::Load { name: name.to_owned(), source: Box::new(source) })?;
        if batch.is_empty() {
            continue;
        }
        let batch = feeder.feed(batch)?;
        let failed = |source| Error::Task { doing: "embed a batch", step: 0, source };
        let images = task.samples(&batch, "image").map_err(failed)?;
        let rows = task.encode(&images).doing("embed a batch")?;
        values.extend(floats(&rows).doing("fetch embeddings")?);
        if batch.fields().any(|field| field.name == "label") {
            let column = Siamese::column(&batch, "label").map_err(failed)?;
            let column = whole(&column).doing("fetch labels")?;
            labels.extend(numbered(&column).map_err(|error| failed(error.into()))?);
        } else {
            labelled = false;
            labels.resize(labels.len() + batch.len(), 0);
        }
        samples.extend_from_slice(&batch.samples);
    }
    if labels.is_empty() {
        return Err(Error::Empty { name: name.to_owned() });
    }
    let indices = if samples.len() == labels.len() {
        samples.iter().map(|sample| sample.index).collect()
    } else {
        samples.clear();
        (0..labels.len()).collect()
    };
    let warnings = loader.left_out().iter().map(|left_out| {
        format!("sample {} ({}) was left out: {}", left_out.index, left_out.id, left_out.error)
    });
    let warnings = warnings.collect();
    let embeddings = Embeddings::new(values, task.embedding(), labels).map_err(|source| Error::Task {
        doing: "embed a set",
        step: 0,
        source: source.into(),
    })?;
    Ok(Embedded { embeddings, labelled, indices, samples, warnings })
}

pub(super) fn floats(tensor: &Tensor) -> Result<Vec<f32>, TchError> {
    Vec::try_from(tensor.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?.f_view(-1)?)
}

pub(super) fn whole(tensor: &Tensor) -> Result<Vec<i64>, TchError> {
    Vec::try_from(tensor.f_to_device(Device::Cpu)?.f_to_kind(Kind::Int64)?.f_contiguous()?)
}

/// Labels as the metrics take them.
fn numbered(labels: &[i64]) -> Result<Vec<u32>, MetricError> {
    labels.iter().map(|&found| u32::try_from(found).map_err(|_| MetricError::Label { found })).collect()
}

/// Figures of an evaluation: of pairs how well they are told apart, of images with labels besides how good their neighbours are.
pub(super) fn conclude(totals: &Totals, embedding: usize) -> Conclusion {
    let mut conclusion = Conclusion::default();
    let mut add = |what: &str, figures: Result<Vec<(&'static str, f64)>, EvaluationError>| match figures {
        Ok(figures) => conclusion.metrics.extend(figures),
        Err(error) => conclusion.warnings.push(format!("there are no figures of {what}: {error}")),
    };
    if let (Some(alike), Some(same)) = (totals.rows.get("alike"), totals.rows.get("same")) {
        add("verification", of_pairs(alike, same));
    }
    if let (Some(rows), Some(labels)) = (totals.rows.get("embedding"), totals.rows.get("label")) {
        match embeddings(rows, labels, embedding) {
            Ok(embeddings) => {
                add("verification", verification(&embeddings));
                add("neighbours", of_neighbours(&embeddings));
            }
            Err(error) => add("embeddings", Err(error)),
        }
    }
    conclusion
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
enum EvaluationError {
    #[error("{0}")]
    Torch(#[from] TchError),
    #[error("{0}")]
    Embedding(#[from] EmbeddingError),
    #[error("{0}")]
    Metric(#[from] MetricError),
}

fn embeddings(rows: &Tensor, labels: &Tensor, dims: usize) -> Result<Embeddings, EvaluationError> {
    Ok(Embeddings::new(floats(rows)?, dims, numbered(&whole(labels)?)?)?)
}

/// At most `most` samples, at equal steps.
fn some(embeddings: &Embeddings, most: usize) -> Embeddings {
    let step = embeddings.len().div_ceil(most).max(1);
    embeddings.select(&(0..embeddings.len()).step_by(step).collect::<Vec<_>>())
}

fn figures(verification: &Verification) -> Vec<(&'static str, f64)> {
    vec![
        ("auc", verification.auc()),
        ("eer", verification.equal_error().rate),
        ("accuracy", verification.best_threshold().chosen_accuracy),
    ]
}

fn of_pairs(alike: &Tensor, same: &Tensor) -> Result<Vec<(&'static str, f64)>, EvaluationError> {
    let same: Vec<bool> = floats(same)?.into_iter().map(|same| 0.5 < same).collect();
    Ok(figures(&Verification::of_scores(&floats(alike)?, &same)?))
}

fn verification(embeddings: &Embeddings) -> Result<Vec<(&'static str, f64)>, EvaluationError> {
    let some = some(embeddings, VERIFIED);
    let (mut distances, mut same) = (Vec::new(), Vec::new());
    for a in 0..some.len() {
        for b in 0..a {
            let square: f32 = some.row(a).iter().zip(some.row(b)).map(|(x, y)| (x - y) * (x - y)).sum();
            distances.push(square);
            same.push(some.label(a) == some.label(b));
        }
    }
    Ok(figures(&Verification::of_distances(&distances, &same)?))
}

fn of_neighbours(embeddings: &Embeddings) -> Result<Vec<(&'static str, f64)>, EvaluationError> {
    let some = some(embeddings, RETRIEVED);
    let k = NEIGHBOURS.min(some.len().saturating_sub(1));
    let voted = neighbours(&some, None, Distance::Euclidean, k)?;
    let found = retrieval(&some, None, Distance::Euclidean)?;
    Ok(vec![
        ("knn", voted.accuracy),
        ("precision_at_1", found.precision_at_1),
        ("r_precision", found.r_precision),
        ("map_r", found.map_at_r),
    ])
}
