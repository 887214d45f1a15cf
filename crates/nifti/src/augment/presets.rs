//! Lists of changes that are known by their names.

use serde::{Deserialize, Serialize};

use super::transform::{Choice, OneOf, Transform};
use crate::gather::{LabelInterpolation, Outside};
use crate::intensity::{
    Anisotropy, BiasField, Blur, Brightness, Contrast, Factors, Gamma, GammaOf, Ghosting, Intensity,
    LowResolution, Motion, Noise, Offset, ScaleIntensity, ShiftIntensity, Spike, Width,
};
use crate::spatial::{Elastic, Flip, RandomAffine, Rotate90, Spatial, Spread, Spreads};

/// A list of changes that is known by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// What nnU-Net v2 trains with in 3D (`nnUNetTrainer.get_training_transforms`): rotation by up to 30 degrees, zoom, noise,
    /// blur, brightness, contrast, low resolution, gamma, mirroring. 0 outside of the volume; labels are interpolated.
    /// Rotations are made in millimetres, where nnU-Net makes them in voxels.
    NnunetV2,
    /// TorchIO's random transforms with their defaults, at probabilities of our own choice, as TorchIO names none: affine,
    /// elastic, anisotropy, one of motion, ghosting and spike, bias field, blur, noise, gamma. The volume's minimum outside.
    TorchioMri,
    /// What MONAI's tutorials make of CT: flips, quarter turns, small changes of scale and offset, noise. Needs intensities
    /// from 0 to 1 (`normalize: { ct_window: … }`). The edge goes on outside.
    MonaiCt,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 3] = [Self::NnunetV2, Self::TorchioMri, Self::MonaiCt];

    /// Returns what it shows outside of a volume.
    pub fn outside(self) -> Outside {
        match self {
            Self::NnunetV2 => Outside::Constant(0.0),
            Self::TorchioMri => Outside::Minimum,
            Self::MonaiCt => Outside::Edge,
        }
    }

    /// Returns how it interpolates labels.
    pub fn label_interpolation(self) -> LabelInterpolation {
        match self {
            Self::NnunetV2 => LabelInterpolation::Linear,
            Self::TorchioMri | Self::MonaiCt => LabelInterpolation::Nearest,
        }
    }

    /// Returns its changes in their order.
    pub fn transforms(self) -> Vec<Transform> {
        let (spatial, intensity) = match self {
            Self::NnunetV2 => nnunet_v2(),
            Self::TorchioMri => return torchio_mri(),
            Self::MonaiCt => monai_ct(),
        };
        spatial
            .into_iter()
            .map(Transform::Spatial)
            .chain(intensity.into_iter().map(Transform::Intensity))
            .collect()
    }
}

fn nnunet_v2() -> (Vec<Spatial>, Vec<Intensity>) {
    let spatial = vec![
        Spatial::Affine(RandomAffine {
            rotation: Some(Spreads::All(Spread::Around(30.0))),
            probability: 0.2,
            name: Some("rotation".to_owned()),
            ..RandomAffine::default()
        }),
        Spatial::Affine(RandomAffine {
            shrink: Some(Spreads::All(Spread::Between([0.7, 1.4]))),
            isotropic: true,
            probability: 0.2,
            name: Some("scaling".to_owned()),
            ..RandomAffine::default()
        }),
        Spatial::Flip(Flip { axes: [0.5; 3], name: Some("mirror".to_owned()), ..Flip::default() }),
    ];
    let gamma = Gamma {
        gamma: Factors::AroundOne([0.7, 1.5]),
        of: GammaOf::Range,
        retain_statistics: true,
        ..Gamma::default()
    };
    let intensity = vec![
        Intensity::Noise(Noise { sigma: [0.0, 0.1], probability: 0.1, ..Noise::default() }),
        Intensity::Blur(Blur {
            sigma: Width::Voxels([0.5, 1.0]),
            probability: 0.2,
            channel_probability: 0.5,
            ..Blur::default()
        }),
        Intensity::Brightness(Brightness {
            factor: Factors::AroundOne([0.75, 1.25]),
            probability: 0.15,
            ..Brightness::default()
        }),
        Intensity::Contrast(Contrast {
            factor: Factors::AroundOne([0.75, 1.25]),
            preserve_range: true,
            probability: 0.15,
            ..Contrast::default()
        }),
        Intensity::LowResolution(LowResolution {
            zoom: [0.5, 1.0],
            probability: 0.25,
            channel_probability: 0.5,
            ..LowResolution::default()
        }),
        Intensity::Gamma(Gamma {
            invert: true,
            probability: 0.1,
            name: Some("gamma_inverted".to_owned()),
            ..gamma.clone()
        }),
        Intensity::Gamma(Gamma { probability: 0.3, ..gamma }),
    ];
    (spatial, intensity)
}

fn torchio_mri() -> Vec<Transform> {
    let artefacts = vec![
        Transform::Intensity(Intensity::Motion(Motion::default())),
        Transform::Intensity(Intensity::Ghosting(Ghosting::default())),
        Transform::Intensity(Intensity::Spike(Spike::default())),
    ];
    vec![
        Transform::Spatial(Spatial::Affine(RandomAffine {
            rotation: Some(Spreads::All(Spread::Around(10.0))),
            scale: Some(Spreads::All(Spread::Around(0.1))),
            isotropic: false,
            probability: 0.8,
            ..RandomAffine::default()
        })),
        Transform::Spatial(Spatial::Elastic(Elastic { probability: 0.2, ..Elastic::default() })),
        Transform::Intensity(Intensity::Anisotropy(Anisotropy {
            factor: [1.5, 5.0],
            probability: 0.25,
            ..Anisotropy::default()
        })),
        Transform::Choice(Choice::OneOf(OneOf {
            transforms: artefacts,
            weights: None,
            probability: 0.2,
            name: None,
        })),
        Transform::Intensity(Intensity::BiasField(BiasField { probability: 0.3, ..BiasField::default() })),
        Transform::Intensity(Intensity::Blur(Blur {
            sigma: Width::Millimetres([0.0, 2.0]),
            probability: 0.25,
            ..Blur::default()
        })),
        Transform::Intensity(Intensity::Noise(Noise {
            sigma: [0.0, 0.25],
            probability: 0.25,
            ..Noise::default()
        })),
        Transform::Intensity(Intensity::Gamma(Gamma {
            gamma: Factors::ExpOf([-0.3, 0.3]),
            of: GammaOf::Size,
            probability: 0.3,
            ..Gamma::default()
        })),
    ]
}

fn monai_ct() -> (Vec<Spatial>, Vec<Intensity>) {
    let spatial = vec![
        Spatial::Flip(Flip { axes: [0.5; 3], ..Flip::default() }),
        Spatial::Rotate90(Rotate90 { probability: 0.1, ..Rotate90::default() }),
    ];
    let intensity = vec![
        Intensity::ScaleIntensity(ScaleIntensity {
            factor: Factors::Between([0.9, 1.1]),
            probability: 0.1,
            ..ScaleIntensity::default()
        }),
        Intensity::ShiftIntensity(ShiftIntensity {
            offset: Offset::Values([-0.1, 0.1]),
            probability: 0.5,
            ..ShiftIntensity::default()
        }),
        Intensity::Noise(Noise { sigma: [0.0, 0.1], probability: 0.1, ..Noise::default() }),
    ];
    (spatial, intensity)
}
