//! What patches are made of.

use crate::augment::Augmentation;
use crate::error::Error;
use crate::gather::{Interpolation, LabelInterpolation, Outside};
use crate::options::{Io, ReadOptions};
use crate::orientation::Orientation;
use crate::places::PatchOptions;
use crate::preprocess::{Crop, LabelOptions, NanPolicy, NormalizeChannels};

/// What patches are made of, and how. Lists are x, y, z.
#[derive(Clone, Debug, PartialEq)]
pub struct PatchSetOptions {
    /// How files are read; by [`PatchSetOptions::new`], uncompressed ones are mapped ([`Io::Mmap`]), which is nearly twice as
    /// fast for patches.
    pub read: ReadOptions,
    /// Which way x, y and z of a patch point; as they are stored, if nothing is said.
    pub orientation: Option<Orientation>,
    /// The distance of a patch's voxels in mm; as they are stored, if nothing is said.
    pub spacing: Option<[f64; 3]>,
    /// Which part of a volume patches are cut from, if not all of it.
    pub crop: Option<Crop>,
    /// What intensities are brought to.
    pub normalize: NormalizeChannels,
    /// What becomes of voxels that are no numbers.
    pub nan: NanPolicy,
    /// What becomes of labels.
    pub labels: LabelOptions,
    /// Whether samples have the field `label` where subjects have label maps; without it, those still say where patches lie.
    pub label_field: bool,
    /// The size of patches, and where they lie.
    pub patch: PatchOptions,
    /// How patches are varied.
    pub augmentation: Augmentation,
    /// What patches show outside of their volume; by default what the preset says, or else 0.
    pub outside: Option<Outside>,
    /// How intensities between voxels are made.
    pub interpolation: Interpolation,
    /// How labels between voxels are made; by default what the preset says, or else the nearest.
    pub label_interpolation: Option<LabelInterpolation>,
    /// Whether images are smoothed where they are made smaller.
    pub antialias: bool,
}

impl PatchSetOptions {
    /// Makes options of patches that are as they are stored.
    pub fn new(patch: PatchOptions) -> Self {
        Self {
            read: ReadOptions { io: Io::Mmap, ..ReadOptions::default() },
            orientation: None,
            spacing: None,
            crop: None,
            normalize: NormalizeChannels::default(),
            nan: NanPolicy::default(),
            labels: LabelOptions::default(),
            label_field: true,
            patch,
            augmentation: Augmentation::default(),
            outside: None,
            interpolation: Interpolation::default(),
            label_interpolation: None,
            antialias: true,
        }
    }

    /// Returns what is shown outside of a volume.
    pub fn outside(&self) -> Outside {
        let preset = || self.augmentation.preset().map(crate::augment::Preset::outside);
        self.outside.or_else(preset).unwrap_or_default()
    }

    /// Returns how labels between voxels are made.
    pub fn label_interpolation(&self) -> LabelInterpolation {
        let preset = || self.augmentation.preset().map(crate::augment::Preset::label_interpolation);
        self.label_interpolation.or_else(preset).unwrap_or_default()
    }

    /// Checks what types cannot say; keys are those below `key`.
    ///
    /// # Errors
    /// Names the first key that cannot be.
    pub fn check(&self, key: &str) -> Result<(), Error> {
        let Self {
            read,
            orientation: _,
            spacing,
            crop,
            normalize,
            nan: _,
            labels,
            label_field: _,
            patch,
            augmentation: _,
            outside,
            interpolation: _,
            label_interpolation: _,
            antialias: _,
        } = self;
        read.check(&format!("{key}.read"))?;
        if let Some(spacing) = spacing
            && !spacing.iter().all(|mm| (1e-3..=1e4).contains(mm))
        {
            let expected = "three lengths from 0.001 to 10000 mm";
            return Err(Error::choice(format!("{key}.spacing"), expected, format!("{spacing:?}")));
        }
        crop.as_ref().map_or(Ok(()), |crop| crop.check(&format!("{key}.crop")))?;
        match normalize {
            NormalizeChannels::All(normalize) => normalize.check(&format!("{key}.normalize"))?,
            // How many there must be, the subjects say.
            NormalizeChannels::Each(list) => normalize.check(&format!("{key}.normalize"), list.len())?,
        }
        labels.check(&format!("{key}.labels"))?;
        patch.check(&format!("{key}.patch"))?;
        outside.map_or(Ok(()), |outside| outside.check(&format!("{key}.outside")))
    }

    /// Returns the options of validation and test: the same, at fixed places, unchanged by chance.
    #[must_use]
    pub fn for_validation(&self) -> Self {
        Self { patch: self.patch.for_validation(), ..self.unchanged() }
    }

    /// Returns the options of the same patches, at the same places, unchanged by chance.
    #[must_use]
    pub fn unchanged(&self) -> Self {
        Self {
            augmentation: Augmentation::default(),
            outside: Some(self.outside()),
            label_interpolation: Some(self.label_interpolation()),
            ..self.clone()
        }
    }
}
