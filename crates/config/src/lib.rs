#![doc = include_str!("../README.md")]

mod check;
mod coherence;
mod config;
mod data;
mod error;
mod file;
mod loader;
mod model;
mod node;
#[cfg(feature = "images")]
mod open;
#[cfg(feature = "images")]
mod open_error;
mod place;
#[cfg(feature = "images")]
mod read;
mod reference;
mod schema;
mod settings;
mod sources;
mod suggest;
mod training;
mod units;
mod yaml;

pub use config::{Config, FREE, remove_free};
pub use data::{
    Angle, Augment, Data, Flip, Held, ImageType, MeanStd, Noise, Normalize, Scale, Shift, Split, SplitBy,
    Zoom,
};
pub use error::{ConfigError, Mistake};
pub use loader::{
    Balanced, BalancedWord, ClassWeight, Loader, OnError, Ranks, Sampler, Shuffle, Uneven, Weight, Weighted,
    Windowed,
};
pub use model::{Activation, Beta, BetaSchedule, Learned, Likelihood, Model, Sigma, Vae};
#[cfg(feature = "images")]
pub use open::{DataRoot, ImageBatches, ImageData, Opened};
#[cfg(feature = "images")]
pub use open_error::OpenError;
pub use place::Place;
pub use reference::reference;
pub use schema::schema;
pub use sources::{
    Bits, ChannelAxis, Channels, Column, Csv, Fit, Folder, Glyphs, Idx, IdxFiles, LabelKind, Npz, NpzArrays,
    PathTable, PixelType, Source,
};
pub use training::{
    Adam, Auto, Checkpoint, ClipGradient, Logging, Optimizer, Schedule, Sgd, Threads, Training,
};
pub use units::{ByteSize, TimeSpan, UnitError};
