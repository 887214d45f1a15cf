//! A checked list of random changes, and what is drawn from it.

use batchwright_core::Context;
use serde::{Deserialize, Serialize};

use super::presets::Preset;
use super::transform::{Augment, Choice, Kind, OneOf, SomeOf, Transform};
use crate::error::Error;
use crate::intensity::{Draws, IntensityDrawn, PatchShape};
use crate::spatial::{Spatial, SpatialDrawn};

/// A list of random changes that was checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Augmentation {
    // Invariant: changes of space come first; names differ; every choice can be drawn from.
    transforms: Vec<Transform>,
    preset: Option<Preset>,
}

/// A change that was drawn, with the name it was drawn by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named<T> {
    /// The name of the draw.
    pub name: String,
    /// What was drawn.
    pub drawn: T,
}

/// All changes that were drawn for one patch, in the order in which they are made. Numbers read back bit for bit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Changes {
    /// Changes of space, composed into one map.
    pub spatial: Vec<Named<SpatialDrawn>>,
    /// Changes of intensities, made one after the other.
    pub intensity: Vec<Named<IntensityDrawn>>,
}

impl Augmentation {
    /// Takes a list; `key` is where it stands in a configuration.
    ///
    /// # Errors
    /// Names the first change that cannot be: a change of space behind one of intensities, a name that comes twice, more
    /// than one elastic change, parameters out of their ranges.
    pub fn new(augment: &Augment, key: &str) -> Result<Self, Error> {
        let (transforms, preset) = match augment {
            Augment::Preset(name) => (name.preset.transforms(), Some(name.preset)),
            Augment::List(list) => (list.clone(), None),
        };
        let mut names = Vec::new();
        let mut intensities: Option<&str> = None;
        let mut bent = false;
        for (i, transform) in transforms.iter().enumerate() {
            let key = format!("{key}[{i}]");
            transform.check(&key, &mut names)?;
            match (transform.kind(), intensities) {
                (Some(Kind::Space), Some(before)) => {
                    let expected = format!("before `{before}`: space is changed before intensities");
                    return Err(Error::choice(
                        key,
                        expected,
                        format_args!("`{}` behind it", transform.name()),
                    ));
                }
                (Some(Kind::Intensities), None) => intensities = Some(transform.name()),
                _ => {}
            }
            let bends = bends(transform);
            if 1 < bends || (bent && bends == 1) {
                return Err(Error::choice(key, "the only elastic change that can be drawn", "another one"));
            }
            bent |= bends == 1;
        }
        Ok(Self { transforms, preset })
    }

    /// Returns the preset that it is, if it is one.
    pub fn preset(&self) -> Option<Preset> {
        self.preset
    }

    /// Returns the changes that may be drawn.
    pub fn transforms(&self) -> &[Transform] {
        &self.transforms
    }

    /// Returns whether nothing can happen.
    pub fn is_empty(&self) -> bool {
        self.transforms.is_empty()
    }

    /// Draws what happens to the patch of this context. Every change draws from a stream of its own name.
    pub fn draw(&self, context: &Context<'_>, shape: &PatchShape) -> Changes {
        let mut changes = Changes::default();
        for transform in &self.transforms {
            match transform {
                Transform::Spatial(_) | Transform::Intensity(_) => {
                    one(transform, context, shape, &mut changes);
                }
                Transform::Choice(choice) => {
                    for chosen in chosen(choice, transform.name(), context) {
                        one(chosen, context, shape, &mut changes);
                    }
                }
            }
        }
        changes
    }
}

/// Returns how many elastic changes can be drawn of it at once.
fn bends(transform: &Transform) -> usize {
    let of = |transforms: &[Transform]| transforms.iter().map(bends).sum::<usize>();
    match transform {
        Transform::Spatial(Spatial::Elastic(_)) => 1,
        Transform::Spatial(_) | Transform::Intensity(_) => 0,
        Transform::Choice(Choice::OneOf(one)) => of(&one.transforms).min(1),
        Transform::Choice(Choice::SomeOf(some)) => of(&some.transforms).min(some.count[1]),
    }
}

fn one(transform: &Transform, context: &Context<'_>, shape: &PatchShape, changes: &mut Changes) {
    let name = transform.name();
    match transform {
        Transform::Spatial(spatial) => {
            let mut stream = context.stream(&format!("augment/{name}"));
            if let Some(drawn) = spatial.draw(&mut stream) {
                changes.spatial.push(Named { name: name.to_owned(), drawn });
            }
        }
        Transform::Intensity(intensity) => {
            if let Some(drawn) = intensity.draw(&Draws::new(context, name), shape) {
                changes.intensity.push(Named { name: name.to_owned(), drawn });
            }
        }
        Transform::Choice(_) => {}
    }
}

/// Draws which changes of a choice are made: whether any is, which or how many, then which those are.
fn chosen<'a>(choice: &'a Choice, name: &str, context: &Context<'_>) -> Vec<&'a Transform> {
    let mut stream = context.stream(&format!("augment/{name}"));
    match choice {
        Choice::OneOf(OneOf { transforms, weights, probability, name: _ }) => {
            if !stream.chance(*probability) {
                return Vec::new();
            }
            let at = match weights {
                None => stream.below(transforms.len() as u64) as usize,
                Some(weights) => {
                    let mut left = stream.uniform() * weights.iter().sum::<f64>();
                    let last = weights.iter().rposition(|weight| 0.0 < *weight).unwrap_or(0);
                    let found = weights.iter().position(|weight| {
                        left -= weight;
                        left < 0.0
                    });
                    found.unwrap_or(last)
                }
            };
            vec![&transforms[at]]
        }
        Choice::SomeOf(SomeOf { transforms, count: [low, high], probability, name: _ }) => {
            if !stream.chance(*probability) {
                return Vec::new();
            }
            let count = low + stream.below((high - low) as u64 + 1) as usize;
            let mut order: Vec<usize> = (0..transforms.len()).collect();
            stream.shuffle(&mut order);
            let mut taken = order[..count].to_vec();
            taken.sort_unstable();
            taken.into_iter().map(|at| &transforms[at]).collect()
        }
    }
}
