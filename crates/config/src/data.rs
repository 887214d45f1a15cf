//! `data:` which images, how they are split, and what becomes of them.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(feature = "nifti")]
use crate::nifti::Nifti;
#[cfg(feature = "pairs")]
use crate::pairing::{Pairing, Pairs, Triplets};
use crate::sources::{Csv, Folder, Glyphs, Idx, Npz, Source};

/// `data:` which samples there are. One of `idx`, `csv`, `npz`, `folder`, `glyphs` and `nifti` names where they come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "DataFile", into = "DataFile")]
pub struct Data {
    /// The folder that paths are relative to; itself relative to the folder of the configuration file.
    pub root: Option<PathBuf>,
    /// Where the files can be had.
    pub origin: Option<String>,
    /// What the samples are read from.
    pub source: Source,
    /// Which training samples are set aside for validation.
    pub split: Option<Split>,
    /// What stored pixels are divided by.
    pub scale: Scale,
    /// What scaled pixels are brought to.
    pub normalize: Normalize,
    /// The type of the field `image`.
    pub dtype: ImageType,
    /// Whether there is a field `one_hot`.
    pub one_hot: bool,
    /// How training images are varied, if they are.
    pub augment: Option<Augment>,
    /// Where the ink of images is brought to, if anywhere.
    pub align: Option<Align>,
    /// Whether training images also stand turned, as samples of classes of their own.
    pub quarter_turns: QuarterTurns,
    /// Whether validation and test sets of their own have classes that the training set does not have.
    pub unseen_classes: bool,
    /// Which samples stand together, if any do.
    #[cfg(feature = "pairs")]
    pub pairing: Option<Pairing>,
}

/// The section as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename = "Data")]
#[schemars(extend("oneOf" = [
    { "required": ["idx"] }, { "required": ["csv"] }, { "required": ["npz"] }, { "required": ["folder"] },
    { "required": ["glyphs"] }, { "required": ["nifti"] }
]))]
pub(crate) struct DataFile {
    /// The folder that the paths below are relative to; itself relative to the folder of this file, which it is by
    /// default. `--data DIR` and the variable `BATCHWRIGHT_DATA` replace it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root: Option<PathBuf>,
    /// Where the files can be had: what the program says when they are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    /// IDX files, compressed with gzip or not (the MNIST family).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idx: Option<Idx>,
    /// Tables with a row for each image: pixel columns and a label column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    csv: Option<Csv>,
    /// `NumPy` arrays, in one `.npz` file or in `.npy` files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    npz: Option<Npz>,
    /// PNG and JPEG files in folders or zip archives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    folder: Option<Folder>,
    /// Generated characters that look handwritten; no files are needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    glyphs: Option<Glyphs>,
    /// NIfTI volumes, of which samples are patches.
    #[cfg(feature = "nifti")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nifti: Option<Box<Nifti>>,
    /// Which training samples are set aside for validation; without it, and without files of a validation set, there
    /// is no validation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    split: Option<Split>,
    /// What stored pixels are divided by.
    #[serde(default)]
    scale: Scale,
    /// What scaled pixels are brought to.
    #[serde(default)]
    normalize: Normalize,
    /// The type of the field `image`: `f32`, or `u8` for bytes as they are stored.
    #[serde(default)]
    dtype: ImageType,
    /// Whether there is a field `one_hot` of floats, 1 at the label and 0 elsewhere.
    #[serde(default)]
    one_hot: bool,
    /// How training images are varied; never those of validation and test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    augment: Option<Augment>,
    /// Brings the ink of every image to the same place and size, before all else: for characters. Square images with one channel;
    /// brightness is ink, so that dark ink on white paper needs `invert`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    align: Option<Align>,
    /// Whether training images also stand turned by 90, 180 and 270 degrees, as samples of classes of their own; never those of
    /// validation and test. With `as_classes` the training set is four times as large, and class c turned n times is class
    /// 4 c + n, so that classes of validation and test are 4 c.
    #[serde(default)]
    quarter_turns: QuarterTurns,
    /// Whether validation and test sets that are named apart have other classes than the training set: what a model that
    /// compares is to tell apart without having seen it. Their classes are then numbered for themselves.
    #[serde(default)]
    unseen_classes: bool,
    /// Batches of pairs: two samples that are the same in something, or not.
    #[cfg(feature = "pairs")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pairs: Option<Box<Pairs>>,
    /// Batches of triplets: a sample, one that is like it, and one that is not.
    #[cfg(feature = "pairs")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    triplets: Option<Box<Triplets>>,
}

impl Data {
    /// Returns whether the classes of validation and test files are others than those of training.
    pub(crate) fn has_unseen_classes(&self) -> bool {
        self.unseen_classes || matches!(&self.source, Source::Glyphs(glyphs) if 0 < glyphs.test_classes)
    }
}

#[cfg(feature = "pairs")]
impl DataFile {
    /// Returns whether there are two choices of which there can be one.
    pub(crate) fn is_paired_twice(&self) -> bool {
        self.pairs.is_some() && self.triplets.is_some()
    }
}

impl TryFrom<DataFile> for Data {
    type Error = &'static str;

    fn try_from(file: DataFile) -> Result<Self, Self::Error> {
        let DataFile {
            root,
            origin,
            idx,
            csv,
            npz,
            folder,
            glyphs,
            #[cfg(feature = "nifti")]
            nifti,
            split,
            scale,
            normalize,
            dtype,
            one_hot,
            augment,
            align,
            quarter_turns,
            unseen_classes,
            #[cfg(feature = "pairs")]
            pairs,
            #[cfg(feature = "pairs")]
            triplets,
        } = file;
        let mut sources = [
            idx.map(Source::Idx),
            csv.map(Source::Csv),
            npz.map(Source::Npz),
            folder.map(Source::Folder),
            glyphs.map(Source::Glyphs),
            #[cfg(feature = "nifti")]
            nifti.map(Source::Nifti),
        ]
        .into_iter()
        .flatten();
        let (Some(source), None) = (sources.next(), sources.next()) else {
            return Err("expected one of `idx`, `csv`, `npz`, `folder`, `glyphs` and `nifti`");
        };
        #[cfg(feature = "pairs")]
        let pairing = match (pairs, triplets) {
            (None, None) => None,
            (Some(pairs), None) => Some(Pairing::Pairs(pairs)),
            (None, Some(triplets)) => Some(Pairing::Triplets(triplets)),
            (Some(_), Some(_)) => return Err("expected one of `pairs` and `triplets`"),
        };
        Ok(Self {
            root,
            origin,
            source,
            split,
            scale,
            normalize,
            dtype,
            one_hot,
            augment,
            align,
            quarter_turns,
            unseen_classes,
            #[cfg(feature = "pairs")]
            pairing,
        })
    }
}

impl From<Data> for DataFile {
    fn from(data: Data) -> Self {
        let Data {
            root,
            origin,
            source,
            split,
            scale,
            normalize,
            dtype,
            one_hot,
            augment,
            align,
            quarter_turns,
            unseen_classes,
            #[cfg(feature = "pairs")]
            pairing,
        } = data;
        #[cfg(feature = "pairs")]
        let (pairs, triplets) = match pairing {
            None => (None, None),
            Some(Pairing::Pairs(pairs)) => (Some(pairs), None),
            Some(Pairing::Triplets(triplets)) => (None, Some(triplets)),
        };
        let mut file = Self {
            root,
            origin,
            idx: None,
            csv: None,
            npz: None,
            folder: None,
            glyphs: None,
            #[cfg(feature = "nifti")]
            nifti: None,
            split,
            scale,
            normalize,
            dtype,
            one_hot,
            augment,
            align,
            quarter_turns,
            unseen_classes,
            #[cfg(feature = "pairs")]
            pairs,
            #[cfg(feature = "pairs")]
            triplets,
        };
        match source {
            Source::Idx(idx) => file.idx = Some(idx),
            Source::Csv(csv) => file.csv = Some(csv),
            Source::Npz(npz) => file.npz = Some(npz),
            Source::Folder(folder) => file.folder = Some(folder),
            Source::Glyphs(glyphs) => file.glyphs = Some(glyphs),
            #[cfg(feature = "nifti")]
            Source::Nifti(nifti) => file.nifti = Some(nifti),
        }
        file
    }
}

/// `data.split:` which training samples are set aside for validation. Each sample falls to one side by a hash of the
/// seed and its name, so a new sample moves no other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// A fraction of the samples (about), one of several folds, or a file with the name of one validation sample in
    /// each line.
    pub validation: Held,
    /// What falls to one side together.
    #[serde(default)]
    pub by: SplitBy,
}

/// `data.split.validation:` a fraction, or a file of names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Held {
    /// About this fraction of the samples, groups or classes.
    Fraction(#[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))] f64),
    /// The samples whose names stand in this file, one a line.
    Listed(PathBuf),
    /// One of several folds of about the same size, as in `{ fold: 0, of: 5 }`.
    Fold(Fold),
}

/// `data.split.validation:` one of several folds. Over all of them every sample is validated on once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fold {
    /// Which fold is validated on, from 0.
    #[schemars(range(max = 999))]
    pub fold: u32,
    /// How many folds there are.
    #[schemars(range(min = 2, max = 1000))]
    pub of: u32,
}

/// `data.split.by:` what falls to one side together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SplitBy {
    /// Every sample for itself; of volumes, the patches of a subject always go together.
    #[default]
    Sample,
    /// All patches of a subject (volumes).
    Subject,
    /// All samples of a group (a patient, a writer).
    Group,
    /// All samples of a class (images), so that validation is on classes that were never trained on.
    Class,
}

/// `data.align:` where the ink of images is brought to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Align {
    /// Height and width of the images that come out; by default those of the images.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16_384))]
    pub size: Option<usize>,
    /// The standard deviation of the ink along x and along y, as a fraction of the side.
    #[schemars(range(min = 0.01, max = 1))]
    pub spread: f64,
    /// The least spread along an axis, as a fraction of that along both together, that is widened: thinner ink stays thin.
    #[schemars(range(min = 0.01, max = 1))]
    pub aspect: f64,
}

impl Default for Align {
    fn default() -> Self {
        Self { size: None, spread: 0.21, aspect: 0.5 }
    }
}

/// `data.quarter_turns:` whether training images also stand turned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QuarterTurns {
    /// They do not.
    #[default]
    None,
    /// By 90, 180 and 270 degrees counter-clockwise, each as a class of its own: a turned character is another one.
    AsClasses,
}

/// `data.scale:` what stored pixels are divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Scale {
    /// By the value of full brightness, so that images lie in 0 to 1: 255 for bytes, 65535 for 16 bits, and 1 (as they
    /// are) for floats.
    #[default]
    FullRange,
    /// By nothing: pixels keep their values.
    None,
    /// By this number.
    Divide(#[schemars(extend("exclusiveMinimum" = 0))] f32),
}

/// `data.normalize:` what scaled pixels are brought to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Normalize {
    /// Nothing: they stay as they are.
    #[default]
    None,
    /// Mean 0 and standard deviation 1, each channel for itself: of the training samples (written `mean_std`), or by
    /// the numbers given.
    MeanStd(MeanStd),
}

/// `data.normalize.mean_std:` the numbers, both or none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MeanStd {
    /// The mean of each channel, after scaling; by default that of the training samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub mean: Option<Vec<f32>>,
    /// The standard deviation of each channel, after scaling; by default that of the training samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub std: Option<Vec<f32>>,
}

/// `data.dtype:` the type of the field `image`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImageType {
    /// Scaled floats.
    #[default]
    F32,
    /// Bytes as they are stored.
    U8,
}

/// `data.augment:` random changes of training images. Each is made once, in this order: mirrored, scaled, sheared,
/// rotated, shifted and deformed in one interpolation, then made noisy; a key that is not given changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// Mirrors the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flip: Option<Flip>,
    /// Enlarges or shrinks it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<Zoom>,
    /// Slants it sideways.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shear: Option<Angle>,
    /// Turns it about its middle, counter-clockwise above 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotate: Option<Angle>,
    /// Moves it to the right and down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shift: Option<Shift>,
    /// Deforms it smoothly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elastic: Option<Elastic>,
    /// Adds normal noise to each pixel, after scaling and before normalizing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<Noise>,
    /// The value around the image, after scaling and before normalizing.
    pub fill: f32,
}

/// `data.augment.flip:` mirroring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Flip {
    /// The probability that left and right change places.
    #[schemars(range(min = 0, max = 1))]
    pub x: f64,
    /// The probability that top and bottom change places.
    #[schemars(range(min = 0, max = 1))]
    pub y: f64,
}

/// `data.augment.scale:` a change of size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Zoom {
    /// The smallest and the largest factor; above 1 enlarges.
    #[schemars(inner(range(min = 0.01, max = 100)))]
    pub factor: [f64; 2],
    /// How often.
    #[serde(default = "always")]
    #[schemars(range(min = 0, max = 1))]
    pub probability: f64,
}

/// `data.augment.rotate:` and `data.augment.shear:` an angle.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Angle {
    /// The smallest and the largest angle, in degrees.
    #[schemars(inner(range(min = -360, max = 360)))]
    pub degrees: [f64; 2],
    /// How often.
    #[serde(default = "always")]
    #[schemars(range(min = 0, max = 1))]
    pub probability: f64,
}

/// `data.augment.shift:` a distance along each axis.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shift {
    /// The smallest and the largest distance to the right, in pixels.
    #[schemars(inner(range(min = -65536, max = 65536)))]
    pub x: [f64; 2],
    /// The smallest and the largest distance down, in pixels.
    #[schemars(inner(range(min = -65536, max = 65536)))]
    pub y: [f64; 2],
    /// How often.
    #[serde(default = "always")]
    #[schemars(range(min = 0, max = 1))]
    pub probability: f64,
}

/// `data.augment.elastic:` a smooth deformation: control points on a coarse grid are displaced at random, and a cubic spline
/// leads between them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Elastic {
    /// The smallest and the largest distance by which pixels move along each axis (root of the mean square), in pixels.
    #[schemars(inner(range(min = 0, max = 1024)))]
    pub displacement: [f64; 2],
    /// How many cells of the grid lie along each side of the image; more make smaller waves.
    #[serde(default = "four")]
    #[schemars(range(min = 1, max = 64))]
    pub cells: usize,
    /// How often.
    #[serde(default = "always")]
    #[schemars(range(min = 0, max = 1))]
    pub probability: f64,
}

/// `data.augment.noise:` normal noise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// The smallest and the largest standard deviation.
    #[schemars(inner(range(min = 0, max = 1_000_000)))]
    pub sigma: [f64; 2],
    /// What noisy values are clipped to; by default nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<[f32; 2]>,
    /// How often.
    #[serde(default = "always")]
    #[schemars(range(min = 0, max = 1))]
    pub probability: f64,
}

fn four() -> usize {
    4
}

fn always() -> f64 {
    1.0
}

impl Augment {
    /// Returns the ranges there are, each with its key below `data.augment`.
    pub(crate) fn ranges(&self) -> Vec<(&'static str, [f64; 2])> {
        let Self { flip: _, scale, shear, rotate, shift, elastic, noise, fill: _ } = self;
        let mut ranges = Vec::new();
        ranges.extend(scale.map(|scale| ("scale.factor", scale.factor)));
        ranges.extend(shear.map(|shear| ("shear.degrees", shear.degrees)));
        ranges.extend(rotate.map(|rotate| ("rotate.degrees", rotate.degrees)));
        ranges.extend(shift.map(|shift| ("shift.x", shift.x)));
        ranges.extend(shift.map(|shift| ("shift.y", shift.y)));
        ranges.extend(elastic.map(|elastic| ("elastic.displacement", elastic.displacement)));
        ranges.extend(noise.map(|noise| ("noise.sigma", noise.sigma)));
        ranges.extend(noise.and_then(|noise| noise.clip).map(|clip| ("noise.clip", clip.map(f64::from))));
        ranges
    }
}
