#![doc = include_str!("../README.md")]

mod affine;
mod aggregate;
mod augment;
mod cache;
mod cast;
mod check;
mod container;
mod convert;
mod crop;
mod datatype;
mod decode;
mod encode;
mod error;
mod extension;
mod finding;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod gather;
mod geometry;
mod gzip;
mod header;
mod inspect;
mod intensity;
mod mapped;
mod options;
mod orientation;
mod parse;
mod patch_set;
mod phantom;
mod phantom_volume;
mod picture;
mod places;
mod preprocess;
mod read;
mod region;
mod spatial;
mod split;
mod subjects;
mod volume;
mod voxels;
mod write;

pub use affine::{Affine, VoxelPoint, VoxelToWorld, WorldPoint, WorldToVoxel};
pub use aggregate::{Aggregator, Blend, Planes, Whole};
pub use augment::{
    Augment, Augmentation, Changes, Choice, Named, OneOf, Preset, PresetName, SomeOf, Transform,
};
pub use cache::{
    Cache, CacheCleared, CacheEntry, CacheOptions, CacheReport, CacheStatistics, Inflations, KeyBy,
    VolumeOrder, Voxels,
};
pub use check::{CheckKind, CheckOptions, CheckProblem, CheckReport, LabelCount, Severity, check};
pub use convert::Scaling;
pub use datatype::Datatype;
pub use error::Error;
pub use extension::Extension;
pub use finding::{Finding, Problem};
pub use gather::{
    Border, Interpolation, Label, LabelInterpolation, LabelSampling, Outside, Rescale, Sampling, SourceBox,
    Support, gather, gather_labels,
};
pub use geometry::{Geometry, GeometrySource};
pub use gzip::inflate_alone;
pub use header::{ByteOrder, Header, Storage, Version};
pub use inspect::{
    ColorFacts, ComplexFacts, Facts, HeaderFacts, PictureOptions, RealFacts, VoxelFacts,
    picture as picture_of,
};
pub use intensity::{
    Anisotropy, AnisotropyDrawn, BiasField, BiasFieldDrawn, Blur, BlurDrawn, Brightness, Contrast,
    ContrastDrawn, CutOut, CutOutDrawn, Draws, FactorDrawn, Factors, Fill, Gamma, GammaDrawn, GammaOf,
    Ghosting, GhostingDrawn, Gibbs, GibbsDrawn, HistogramShift, HistogramShiftDrawn, Intensity,
    IntensityDrawn, LowResolution, LowResolutionDrawn, Motion, MotionDrawn, Move, Noise, NoiseDrawn, Offset,
    PatchShape, Rician, RicianDrawn, ScaleIntensity, Scratch, Sharpen, SharpenDrawn, Sharper, ShiftDrawn,
    ShiftIntensity, Spike, SpikeDrawn, Swap, SwapDrawn, Width, apply_all,
};
pub use options::{Color, Complex, Frames, Io, ReadOptions};
pub use orientation::{Axes, Direction, Orientation};
pub use patch_set::{Patch, PatchPlace, PatchRecord, PatchSet, PatchSetOptions};
pub use phantom::{Body, Phantom, PhantomFiles, PhantomSubject};
pub use picture::{Canvas, Convention, Montage, MontageOptions, Position, Rgb, Section, View, Window};
pub use places::{
    AllLabels, ClassIndex, Fallback, Fallbacks, FixedSampler, ForegroundFraction, Fraction, Grid, LabelMap,
    LabelRegion, MissingRegion, Overlap, PatchOptions, PatchPlan, PatchSampler, Percent, Place, PlaceSources,
    Places, RegionLabels, RegionMiddle, Regions, WeightRow, WeightSums, Weights,
};
pub use preprocess::{
    ChannelReader, Clip, Crop, CtWindow, DatasetStatistics, Foreground, ForegroundSearch, LabelOptions,
    LabelType, LabelVoxels, Labelled, Labels, Mask, MeanStdOptions, MinMax, NanPolicy, Needs, Normalize,
    NormalizeChannels, Percentiles, Statistics, StatisticsOptions, TrainingZScore, Visit, ZScore,
};
pub use region::Region;
pub use spatial::{
    AffineDrawn, Displacement, Elastic, ElasticDrawn, Flip, FlipDrawn, Lattice, Map, Placement, Plane,
    RandomAffine, Rotate90, Rotate90Drawn, Spatial, SpatialDrawn, Spread, Spreads, Translation,
    TranslationDrawn,
};
pub use split::{Sides, Split, SplitBy};
pub use subjects::{
    CsvManifest, DatasetJson, FactsTable, GEOMETRY_TOLERANCE, GlobManifest, JsonPart, Manifest, OpenSubject,
    Patterns, Subject, SubjectSet, Subjects,
};
pub use volume::Volume;
pub use voxels::{Voxel, VoxelSlice, VoxelType};
pub use write::{NewVolume, Space, VolumeFile, WriteOptions};
