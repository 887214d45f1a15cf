#![doc = include_str!("../README.md")]

mod check;
mod coherence;
mod config;
mod data;
mod error;
mod file;
mod loader;
mod model;
#[cfg(feature = "nifti")]
mod nifti;
mod node;
#[cfg(feature = "images")]
mod open;
#[cfg(feature = "images")]
mod open_error;
#[cfg(feature = "pairs")]
mod open_pairs;
#[cfg(feature = "nifti")]
mod open_volumes;
#[cfg(feature = "pairs")]
mod pairing;
mod place;
#[cfg(feature = "images")]
mod read;
mod reference;
#[cfg(feature = "images")]
mod samples;
mod schema;
mod settings;
mod siamese;
mod sources;
mod suggest;
mod training;
mod units;
mod yaml;

pub use config::{Config, FREE, remove_free};
pub use data::{
    Align, Angle, Augment, Data, Elastic, Flip, Fold, Held, ImageType, MeanStd, Noise, Normalize,
    QuarterTurns, Scale, Shift, Split, SplitBy, Zoom,
};
pub use error::{ConfigError, Mistake};
pub use loader::{
    Balanced, BalancedWord, Blocks, ClassWeight, Loader, OnError, Ranks, Sampler, Shuffle, Uneven, Weight,
    Weighted, Window, Windowed,
};
pub use model::{Activation, Beta, BetaSchedule, Learned, Likelihood, Model, Sigma, Vae};
#[cfg(feature = "nifti")]
pub use nifti::Nifti;
#[cfg(feature = "images")]
pub use open::{DataRoot, Opened, Singles};
#[cfg(feature = "images")]
pub use open_error::OpenError;
#[cfg(feature = "pairs")]
pub use pairing::{Pairing, Pairs, Triplets};
pub use place::Place;
#[cfg(feature = "images")]
pub use read::folder_options;
pub use reference::reference;
#[cfg(feature = "images")]
pub use samples::{SampleBatches, Samples};
pub use schema::schema;
pub use siamese::{
    CrossBatchMemory, Distance, Encoder, Halve, Margin, MetricLoss, Mining, Norm, Pool, Siamese, Soft,
};
pub use sources::{
    Bits, ChannelAxis, Channels, Column, Csv, Fit, Folder, Glyphs, Idx, IdxFiles, LabelKind, Npz, NpzArrays,
    PathTable, PixelType, Source,
};
pub use training::{
    Adam, Auto, Checkpoint, ClipGradient, EarlyStopping, Logging, Optimizer, Schedule, Sgd, Threads, Training,
};
pub use units::{ByteSize, TimeSpan, UnitError};
