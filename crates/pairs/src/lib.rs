#![doc = include_str!("../README.md")]

mod anchors;
mod error;
mod facts;
pub mod metrics;
pub mod mining;
mod pair_dataset;
mod pair_sampler;
mod partners;
mod parts;
mod relation;
mod rule;
mod source;
mod triplet_dataset;
mod triplet_sampler;

pub use anchors::Report;
pub use error::{Error, Line, Side};
pub use facts::Facts;
pub use mining::{Distance, EmbeddingError, Embeddings};
pub use pair_dataset::PairDataset;
pub use pair_sampler::{Kind, PairOptions, PairSampler};
pub use partners::Partners;
pub use parts::{Parts, Placed, Places};
pub use relation::{Relation, Tries};
pub use rule::{Draw, Rule};
pub use source::{Pair, PairSource, Triplet, TripletSource};
pub use triplet_dataset::TripletDataset;
pub use triplet_sampler::{TripletOptions, TripletSampler};
