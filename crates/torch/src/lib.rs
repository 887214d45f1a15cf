#![doc = include_str!("../README.md")]

mod adam;
mod error;
mod facts;
mod ffi;
mod owner;
mod pinned;
mod transfers;

pub use adam::{AdamSettings, WeightDecay, fused_adam};
pub use error::Error;
pub use facts::{Facts, facts, set_threads};
pub use owner::tensor_from_owner;
pub use pinned::PinnedBuffer;
pub use transfers::Transfers;
