#![doc = include_str!("../README.md")]

mod error;
mod facts;
mod ffi;
mod owner;
mod pinned;
mod transfers;

pub use error::Error;
pub use facts::{Facts, facts, set_threads};
pub use owner::tensor_from_owner;
pub use pinned::PinnedBuffer;
pub use transfers::Transfers;
