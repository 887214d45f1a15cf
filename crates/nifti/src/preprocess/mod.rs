//! What is done to volumes before patches are cut: decided once, applied where a patch is gathered.

mod dataset;
mod foreground;
mod labels;
mod moments;
mod nan;
mod normalize;
mod percentile;
mod statistics;

pub use dataset::{ChannelReader, DatasetStatistics, Labelled, Visit};
pub use foreground::{Crop, Foreground, ForegroundSearch};
pub use labels::{LabelOptions, LabelType, LabelVoxels, Labels};
pub use nan::NanPolicy;
pub use normalize::{
    Clip, CtWindow, MeanStdOptions, MinMax, Needs, Normalize, NormalizeChannels, Percentiles, TrainingZScore,
    ZScore,
};
pub use statistics::{Mask, Statistics, StatisticsOptions};
