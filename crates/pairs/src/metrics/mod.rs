//! How good embeddings are: verification, neighbours, retrieval, episodes of few shots.
//!
//! All are exact (no approximate search, no sampling that is not asked for) and functions of their arguments alone.
//!
//! ```
//! use batchwright_pairs::metrics::{Verification, neighbours};
//! use batchwright_pairs::{Distance, Embeddings};
//!
//! let embeddings = Embeddings::new(vec![0.0, 0.1, 1.0, 1.2], 1, vec![0, 0, 1, 1])?;
//! assert_eq!(neighbours(&embeddings, None, Distance::Euclidean, 1)?.accuracy, 1.0);
//!
//! let validation = Verification::of_distances(&[0.1, 0.2, 0.4, 0.9], &[true, true, false, true])?;
//! let threshold = validation.best_threshold();
//! assert_eq!(threshold.accuracy(&[0.05, 0.35], &[true, false])?, 1.0);
//! # Ok::<(), batchwright_pairs::EmbeddingError>(())
//! ```

mod confusion;
mod few_shot;
mod hardest;
mod projection;
mod retrieval;
mod verification;

pub use confusion::{Confused, confused_classes};
pub use few_shot::{EpisodeOptions, EpisodeScope, FewShot, Prototype, classify, few_shot};
pub use hardest::{HardestPairs, PairDistance, hardest_pairs};
pub use projection::{Projection, principal_components};
pub use retrieval::{Neighbours, Retrieval, neighbours, retrieval};
pub use verification::{EqualError, Threshold, Verification};

#[cfg(test)]
mod tests {
    use serde_json::Value;

    pub(super) fn oracle() -> Value {
        serde_json::from_str(include_str!("../../tests/oracle/metrics.json")).unwrap()
    }

    pub(super) fn floats(value: &Value) -> Vec<f32> {
        value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
    }

    pub(super) fn integers(value: &Value) -> Vec<u32> {
        value.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as u32).collect()
    }
}
