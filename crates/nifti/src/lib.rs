#![doc = include_str!("../README.md")]

mod affine;
mod aggregate;
mod error;
mod intensity;
mod places;
mod region;
mod split;
mod subjects;
mod voxels;
#[allow(unreachable_pub, reason = "names that reading brings, until it is merged")]
mod write;

pub use affine::{Affine, VoxelPoint, VoxelToWorld, WorldPoint, WorldToVoxel};
pub use aggregate::{Aggregator, Blend, Planes, Whole};
pub use error::Error;
pub use intensity::{
    Anisotropy, AnisotropyDrawn, BiasField, BiasFieldDrawn, Blur, BlurDrawn, Brightness, Contrast,
    ContrastDrawn, Draws, FactorDrawn, Factors, Gamma, GammaDrawn, GammaOf, Intensity, IntensityDrawn,
    LowResolution, LowResolutionDrawn, Noise, NoiseDrawn, Offset, PatchShape, Rician, RicianDrawn,
    ScaleIntensity, Scratch, Sharpen, SharpenDrawn, Sharper, ShiftDrawn, ShiftIntensity, Width, apply_all,
};
pub use places::{
    ClassIndex, Fallback, Fallbacks, ForegroundFraction, Fraction, Grid, LabelMap, Overlap, PatchOptions,
    PatchPlan, PatchSampler, Percent, Place, PlaceSources, Places, WeightSums,
};
pub use region::Region;
pub use split::{Sides, Split, SplitBy};
pub use subjects::{
    CsvManifest, DatasetJson, FactsTable, GlobManifest, JsonPart, Manifest, Patterns, Subject, Subjects,
};
pub use voxels::{Voxel, VoxelSlice, VoxelType};
pub use write::{NewVolume, Space, WriteOptions};
