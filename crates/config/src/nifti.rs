//! `data.nifti:` volumes, of which samples are patches.

use std::path::PathBuf;

use batchwright_nifti as nifti;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::ByteSize;

/// `data.nifti:` NIfTI volumes, of which samples are patches. One of `manifest` and `phantom` says which subjects there are.
/// Lists of three are x, y, z. Samples have the fields `image`, f32 [C, z, y, x], where there are labels `label`,
/// [1, z, y, x], and where subjects have classes `class`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["manifest"] }, { "required": ["phantom"] }]))]
pub struct Nifti {
    /// The subjects to train on: a file whose ending says what it is (`dataset.json`, a `.csv`), or patterns of paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<nifti::Manifest>,
    /// Generated subjects; no files are needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phantom: Option<nifti::Phantom>,
    /// The subjects to validate on, where they are listed apart; otherwise see `split`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<nifti::Manifest>,
    /// The subjects to test on; never part of a split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<nifti::Manifest>,
    /// A table with an `id` column whose further columns become facts of the subjects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<PathBuf>,
    /// The fact that is the class of a subject; by default the column `class`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The fact that says which subjects belong together (a patient); by default the column `group`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// How files are read.
    #[serde(default)]
    pub read: Read,
    /// Which way x, y and z of a patch point, as in `RAS`; by default as they are stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orientation: Option<nifti::Orientation>,
    /// The distance of a patch's voxels in mm; by default as they are stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(inner(range(min = 0.001, max = 10000)))]
    pub spacing: Option<[f64; 3]>,
    /// Which part of a volume patches are cut from; by default all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<nifti::Crop>,
    /// What intensities are brought to.
    #[serde(default)]
    pub normalize: nifti::NormalizeChannels,
    /// What happens to voxels that are NaN or infinite.
    #[serde(default)]
    pub nan: nifti::NanPolicy,
    /// What becomes of labels.
    #[serde(default)]
    pub labels: nifti::LabelOptions,
    /// Whether samples have the field `label` where subjects have label maps; by default they have. Without it, label maps still
    /// say where patches lie and which voxels statistics are of.
    #[serde(default = "yes")]
    pub label_field: bool,
    /// The size of patches, and where they lie.
    pub patch: nifti::PatchOptions,
    /// How patches are varied: a list of changes in the order they are made, or `{ preset: … }`. By default not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub augment: Option<nifti::Augment>,
    /// What patches show outside of their volume; by default what the preset says, or else 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside: Option<nifti::Outside>,
    /// How intensities between voxels are made.
    #[serde(default)]
    pub interpolation: nifti::Interpolation,
    /// How labels between voxels are made; by default what the preset says, or else `nearest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_interpolation: Option<nifti::LabelInterpolation>,
    /// Whether images are smoothed where they are made smaller; by default where a `spacing` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub antialias: Option<bool>,
    /// Where decoded volumes are kept.
    #[serde(default)]
    pub cache: VolumeCache,
}

fn yes() -> bool {
    true
}

/// `data.nifti.read:` how files are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Read {
    /// Whether files that break the format in a way that leaves no doubt about their voxels are read, with a warning.
    pub lenient: bool,
    /// The most that the voxels of one file may take, decoded; by default 16 GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size: Option<ByteSize>,
    /// What becomes of complex numbers.
    pub complex: nifti::Complex,
    /// What becomes of colours.
    pub color: nifti::Color,
    /// What becomes of the axes behind z (time, directions).
    pub frames: nifti::Frames,
    /// How the bytes of uncompressed files are come by: `mmap`, which is nearly twice as fast for patches, or `read`. If a
    /// mapped file is cut short or its disk goes away while it is used, the system ends the process (SIGBUS).
    pub io: nifti::Io,
}

impl Default for Read {
    fn default() -> Self {
        Self {
            lenient: false,
            max_size: None,
            complex: nifti::Complex::default(),
            color: nifti::Color::default(),
            frames: nifti::Frames::default(),
            io: nifti::Io::Mmap,
        }
    }
}

/// `data.nifti.cache:` where decoded volumes are kept. Changes no batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VolumeCache {
    /// The most that decoded volumes may take, as in `20 GiB`.
    pub budget: ByteSize,
    /// The folder of files that they are mapped from, shared by all processes of the machine; by default they are kept in
    /// memory. Relative to the folder of the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// What tells that a file is still the one that was decoded.
    pub key: nifti::KeyBy,
}

impl Default for VolumeCache {
    fn default() -> Self {
        Self { budget: ByteSize::new(4 << 30), directory: None, key: nifti::KeyBy::default() }
    }
}

impl Nifti {
    /// Returns what patches are made of.
    /// # Errors
    /// As [`nifti::Augmentation::new`].
    pub(crate) fn options(&self) -> Result<nifti::PatchSetOptions, nifti::Error> {
        let Self { spacing, antialias, augment, read, .. } = self;
        let augmentation = match augment {
            Some(augment) => nifti::Augmentation::new(augment, "data.nifti.augment")?,
            None => nifti::Augmentation::default(),
        };
        let default = nifti::ReadOptions::default();
        Ok(nifti::PatchSetOptions {
            read: nifti::ReadOptions {
                lenient: read.lenient,
                max_bytes: read.max_size.map_or(default.max_bytes, ByteSize::bytes),
                complex: read.complex,
                color: read.color,
                frames: read.frames,
                io: read.io,
            },
            orientation: self.orientation,
            spacing: *spacing,
            crop: self.crop.clone(),
            normalize: self.normalize.clone(),
            nan: self.nan,
            labels: self.labels.clone(),
            label_field: self.label_field,
            patch: self.patch.clone(),
            augmentation,
            outside: self.outside,
            interpolation: self.interpolation,
            label_interpolation: self.label_interpolation,
            antialias: antialias.unwrap_or(spacing.is_some()),
        })
    }

    /// Returns what is wrong that types cannot say: the key, and what it must be.
    pub(crate) fn mistakes(&self) -> Vec<(String, String)> {
        let manifests =
            [("manifest", &self.manifest), ("validation", &self.validation), ("test", &self.test)];
        let mut errors: Vec<nifti::Error> = manifests
            .into_iter()
            .filter_map(|(key, manifest)| manifest.as_ref()?.check(&format!("data.nifti.{key}")).err())
            .collect();
        errors.extend(self.phantom.as_ref().and_then(|phantom| phantom.check("data.nifti.phantom").err()));
        match self.options() {
            Ok(options) => errors.extend(options.check("data.nifti").err()),
            Err(error) => errors.push(error),
        }
        errors
            .into_iter()
            .map(|error| match error {
                nifti::Error::Choice { key, expected, found } => {
                    (key, format!("must be {expected}, found {found}"))
                }
                other => ("data.nifti".to_owned(), other.to_string()),
            })
            .collect()
    }
}
