#![doc = include_str!("../README.md")]

mod batch;
mod batches;
mod buffer;
mod dataset;
mod error;
mod field;
mod fingerprint;
mod loader;
pub mod math;
mod normal;
mod plan;
mod random;
mod sampler;
mod sequence;
mod slot;
mod slots;
mod state;
mod sync;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod verify;

pub use batch::{Array, Batch, FieldError, LeftOut, SampleId};
pub use batches::{BatchOptions, Batches};
pub use buffer::{ALIGNMENT, Block, Element, Heap, Memory, Pool, bytes_of, prefer_huge_pages};
pub use dataset::{Context, Dataset, Stages};
pub use error::{BoxError, Fault, LoadError, Place, SampleError, chain, fault_of_io};
pub use field::{DType, Field};
pub use fingerprint::Fingerprint;
pub use loader::{Epoch, Loader, LoaderOptions, Statistics};
pub use plan::{LastBatch, Plan, PlanError, Rank, Uneven};
pub use random::{Name, Stream, StreamKey};
pub use sampler::{
    Balanced, Coverage, Order, Permutation, Sampler, SamplerError, Sequential, Shuffled, Weighted, Windowed,
    WindowedBlocks,
};
pub use sequence::Sequence;
pub use slot::{Layout, Slot};
pub use slots::{OnError, Slots};
pub use state::{LoaderState, ResumeError};
pub use verify::{Verified, VerifyError, verify};
