//! What the embeddings of a set are worth.

use batchwright_core::{Permutation, Stream};
use batchwright_pairs::metrics::{Verification, neighbours, retrieval};
use batchwright_pairs::{Distance, EmbeddingError, Embeddings};
use tch::{Device, Kind, TchError, Tensor};

use super::MetricError;
use crate::task::{Conclusion, Totals};

/// Neighbours that vote for a class.
const NEIGHBOURS: usize = 5;
/// Of more samples than this, as many are drawn, always the same: figures of neighbours take time that grows with their square.
const RETRIEVED: usize = 10_000;
/// As [`RETRIEVED`], for the figures of all pairs.
const VERIFIED: usize = 1_024;

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

/// At most `most` samples, drawn from all: samples at equal steps could be of one class.
fn some(embeddings: &Embeddings, most: usize) -> Embeddings {
    let n = embeddings.len() as u64;
    let drawn = Permutation::new(n, &mut Stream::new(0, 0, 0, "evaluation/subset"));
    let mut rows: Vec<usize> = (0..n.min(most as u64)).map(|position| drawn.at(position) as usize).collect();
    rows.sort_unstable();
    embeddings.select(&rows)
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
        ("knn_accuracy", voted.accuracy),
        ("precision_at_1", found.precision_at_1),
        ("r_precision", found.r_precision),
        ("map_at_r", found.map_at_r),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_that_stand_for_all_are_of_all_classes() {
        // Sixteen drawings of a class after each other: every sixteenth is the first of its class.
        let labels: Vec<u32> = (0..2048).map(|sample| sample / 16).collect();
        let all = Embeddings::new(vec![0.5; 2048], 1, labels).unwrap();
        let drawn = some(&all, 128);
        assert_eq!(drawn.len(), 128);
        let mut classes = drawn.labels().to_vec();
        classes.dedup();
        assert!(
            (60..120).contains(&classes.len()),
            "{} classes, some of them with several samples",
            classes.len()
        );
        assert_eq!(some(&all, 128).labels(), drawn.labels());
        assert_eq!(some(&all, 5000).len(), 2048);
    }
}
