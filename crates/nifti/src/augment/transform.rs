//! A list of random changes as it is written.

use serde::{Deserialize, Serialize};

use super::presets::Preset;
use crate::error::Error;
use crate::intensity::Intensity;
use crate::spatial::Spatial;

/// How patches are varied: a list of changes, made in its order, or a preset.
///
/// Changes of space stand before changes of intensities, for space is sampled once, and intensities are changed after
/// normalisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Augment {
    /// A list that is known by its name.
    Preset(PresetName),
    /// Changes in the order in which they are made.
    List(Vec<Transform>),
}

/// The name of a preset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PresetName {
    /// Which list: `nnunet_v2`, `torchio_mri` or `monai_ct`.
    pub preset: Preset,
}

/// A random change of a patch, or a choice among several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "lists are short, and a box would be in every literal of one")]
pub enum Transform {
    /// A change of space.
    Spatial(Spatial),
    /// A change of intensities.
    Intensity(Intensity),
    /// A choice among changes.
    Choice(Choice),
}

/// A choice among changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// One of several changes.
    OneOf(OneOf),
    /// Some of several changes.
    SomeOf(SomeOf),
}

/// One of several changes, drawn anew for each patch. Stream `augment/one_of`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OneOf {
    /// The changes, all of space or all of intensities. The one that is drawn is made with its own probability.
    pub transforms: Vec<Transform>,
    /// How often each is drawn, compared with the others; by default all alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Vec<f64>>,
    /// How often one is drawn at all; 1 by default.
    #[serde(default = "always")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1)))]
    pub probability: f64,
    /// What its draws are named by; by default its key. Needed where a key comes twice in a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Some of several changes, drawn anew for each patch and made in the order of the list. Stream `augment/some_of`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SomeOf {
    /// The changes, all of space or all of intensities. Those that are drawn are made with their own probabilities.
    pub transforms: Vec<Transform>,
    /// The least and the greatest number of them; each number between is drawn alike.
    pub count: [usize; 2],
    /// How often some are drawn at all; 1 by default.
    #[serde(default = "always")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1)))]
    pub probability: f64,
    /// What its draws are named by; by default its key. Needed where a key comes twice in a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

fn always() -> f64 {
    1.0
}

/// What a change is made to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Space,
    Intensities,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Space => "of space",
            Self::Intensities => "of intensities",
        }
    }
}

impl Transform {
    /// Returns the name of its draws: its `name`, or its key.
    pub fn name(&self) -> &str {
        match self {
            Self::Spatial(spatial) => spatial.name(),
            Self::Intensity(intensity) => intensity.name(),
            Self::Choice(Choice::OneOf(one)) => one.name.as_deref().unwrap_or("one_of"),
            Self::Choice(Choice::SomeOf(some)) => some.name.as_deref().unwrap_or("some_of"),
        }
    }

    /// Returns what it is made to; nothing for a choice among nothing, or among nested choices.
    pub(super) fn kind(&self) -> Option<Kind> {
        match self {
            Self::Spatial(_) => Some(Kind::Space),
            Self::Intensity(_) => Some(Kind::Intensities),
            Self::Choice(choice) => match choice.transforms().first() {
                Some(Self::Spatial(_)) => Some(Kind::Space),
                Some(Self::Intensity(_)) => Some(Kind::Intensities),
                Some(Self::Choice(_)) | None => None,
            },
        }
    }

    /// Checks a change that stands at `key`, and notes the names that it draws by.
    pub(super) fn check<'a>(&'a self, key: &str, names: &mut Vec<&'a str>) -> Result<(), Error> {
        let name = self.name();
        if name.is_empty() || name.contains('/') {
            let expected = "a name that is not empty and has no `/`";
            return Err(Error::choice(format!("{key}.name"), expected, format_args!("`{name}`")));
        }
        if names.contains(&name) {
            let expected = "given where a key comes twice, and different";
            return Err(Error::choice(format!("{key}.name"), expected, format_args!("`{name}` again")));
        }
        names.push(name);
        match self {
            Self::Spatial(spatial) => spatial.check(key),
            Self::Intensity(intensity) => intensity.check(key),
            Self::Choice(choice) => choice.check(key, names),
        }
    }
}

impl Choice {
    pub(super) fn transforms(&self) -> &[Transform] {
        match self {
            Self::OneOf(one) => &one.transforms,
            Self::SomeOf(some) => &some.transforms,
        }
    }

    fn check<'a>(&'a self, key: &str, names: &mut Vec<&'a str>) -> Result<(), Error> {
        let (key, probability) = match self {
            Self::OneOf(one) => (format!("{key}.one_of"), one.probability),
            Self::SomeOf(some) => (format!("{key}.some_of"), some.probability),
        };
        if !(0.0..=1.0).contains(&probability) {
            return Err(Error::choice(
                format!("{key}.probability"),
                "a probability from 0 to 1",
                probability,
            ));
        }
        let transforms = self.transforms();
        let kind = transforms.first().and_then(Transform::kind);
        for (i, transform) in transforms.iter().enumerate() {
            let key = format!("{key}.transforms[{i}]");
            if matches!(transform, Transform::Choice(_)) {
                return Err(Error::choice(key, "a change", "a choice among changes"));
            }
            if transform.kind() != kind {
                let expected = format!("a change {}, as the first of them is", kind.map_or("", Kind::name));
                return Err(Error::choice(key, expected, format_args!("`{}`", transform.name())));
            }
            transform.check(&key, names)?;
        }
        match self {
            _ if transforms.is_empty() => {
                Err(Error::choice(format!("{key}.transforms"), "at least one change", "none"))
            }
            Self::OneOf(OneOf { weights: Some(weights), .. }) => {
                let sum: f64 = weights.iter().sum();
                let fit = weights.len() == transforms.len()
                    && weights.iter().all(|weight| 0.0 <= *weight)
                    && 0.0 < sum
                    && sum.is_finite();
                if fit {
                    return Ok(());
                }
                let expected = format!("{} numbers of at least 0, not all of them 0", transforms.len());
                Err(Error::choice(format!("{key}.weights"), expected, format!("{weights:?}")))
            }
            Self::OneOf(OneOf { weights: None, .. }) => Ok(()),
            Self::SomeOf(SomeOf { count: [low, high], .. }) => {
                if low <= high && *high <= transforms.len() {
                    return Ok(());
                }
                let expected = format!("[least, greatest] with least <= greatest <= {}", transforms.len());
                Err(Error::choice(format!("{key}.count"), expected, format!("[{low}, {high}]")))
            }
        }
    }
}
