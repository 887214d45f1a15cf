//! Embeddings, their distances, and the choice of hard pairs and triplets among them.
//!
//! Pure Rust on matrices of embeddings, one row a sample: no model, no tensor, no file. Every result is a function of its
//! arguments and not of the number of threads; a distance is summed in the order of the dimensions, so that its bits are the
//! same wherever it is computed, and equal distances are told apart by the index of the sample, the lower first.

mod bytes;
mod distance;
mod embeddings;
mod error;
mod hardness;
mod in_batch;
mod memory;
mod mined;
mod nearest;
mod offline;
mod options;

pub use distance::{Distance, distances};
pub use embeddings::Embeddings;
pub use error::EmbeddingError;
pub use hardness::Hardness;
pub use in_batch::{Limit, all_triplets, at_hardness, batch_hard, semi_hard};
pub use memory::CrossBatchMemory;
pub use mined::{Mined, MiningReport};
pub use offline::{ByLabel, ByRelation, Eligible, mine};
pub use options::{MiningOptions, Negatives, Positive, Take};

pub(crate) use distance::References;
#[cfg(test)]
pub(crate) use distance::tests::clusters;
pub(crate) use embeddings::scale_to_one;
pub(crate) use nearest::Nearest;
