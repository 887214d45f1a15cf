#![doc = include_str!("../README.md")]

pub mod metrics;
pub mod mining;

pub use mining::{Distance, EmbeddingError, Embeddings};
