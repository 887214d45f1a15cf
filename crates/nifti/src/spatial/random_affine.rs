//! Scaling, shearing, rotating, moving.

use batchwright_core::Stream;
use serde::{Deserialize, Serialize};

use super::spread::{Spread, Spreads, always, check_probability};
use super::turn::sin_cos_degrees;
use crate::affine::Affine;
use crate::error::Error;

/// Scales, shears, rotates and moves the picture, in this order, about the middle of the patch, in the millimetres of
/// its axes (so that a rotation is one where voxels are not cubes). What is left out does not happen.
///
/// Where a list of three is given, it is for x, y and z.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RandomAffine {
    /// Angles in degrees about x, y and z, turned in this order; above 0 from y to z, z to x and x to y. 15 draws each
    /// from -15 to 15. By default 0.
    #[serde(default)]
    pub rotation: Option<Spreads>,
    /// Factors that the picture is enlarged by; below 1 shrinks. 0.1 draws from 0.9 to 1.1. By default 1.
    #[serde(default)]
    pub scale: Option<Spreads>,
    /// Factors that the picture is made smaller by, in place of `scale`: what is drawn uniformly is the reciprocal, the
    /// length of a step through the volume (nnU-Net's `scaling`). By default 1.
    #[serde(default)]
    pub shrink: Option<Spreads>,
    /// Whether one factor, drawn from the range of x, is taken for all axes; by default true.
    #[serde(default = "isotropic")]
    pub isotropic: bool,
    /// How far the picture moves along one axis per mm along another, for each pair of axes apart; within -0.45 to 0.45.
    /// By default 0.
    #[serde(default)]
    pub shear: Option<Spread>,
    /// How far the picture moves: `{ mm: 5 }` or `{ voxels: 3 }`, voxels of the patch. By default 0.
    #[serde(default)]
    pub translation: Option<Translation>,
    /// How often the change happens; by default always.
    #[serde(default = "always")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1)))]
    pub probability: f64,
    /// The name of its draws; by default `affine`.
    #[serde(default)]
    pub name: Option<String>,
}

/// What a movement is drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Translation {
    /// In millimetres.
    Mm(Spreads),
    /// In voxels of the patch.
    Voxels(Spreads),
}

/// The parameters of an affine change that was made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AffineDrawn {
    /// The angles about x, y and z in degrees, turned in this order.
    pub rotation: [f64; 3],
    /// The factors along x, y and z that the picture was enlarged by.
    pub scale: [f64; 3],
    /// How far x moves per y, x per z, y per x, y per z, z per x, z per y.
    pub shear: [f64; 6],
    /// How far the picture moved along x, y and z.
    pub translation: TranslationDrawn,
}

/// A movement.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TranslationDrawn {
    /// In millimetres.
    Mm([f64; 3]),
    /// In voxels of the patch.
    Voxels([f64; 3]),
}

fn isotropic() -> bool {
    true
}

impl Default for RandomAffine {
    fn default() -> Self {
        Self {
            rotation: None,
            scale: None,
            shrink: None,
            isotropic: true,
            shear: None,
            translation: None,
            probability: 1.0,
            name: None,
        }
    }
}

impl RandomAffine {
    pub(super) fn check(&self, key: &str) -> Result<(), Error> {
        let Self { rotation, scale, shrink, isotropic: _, shear, translation, probability, name: _ } = self;
        check_probability(&format!("{key}.probability"), *probability)?;
        rotation.map_or(Ok(()), |range| range.check(&format!("{key}.rotation"), 0.0, [-360.0, 360.0]))?;
        let factors = [0.01, 100.0];
        scale.map_or(Ok(()), |range| range.check(&format!("{key}.scale"), 1.0, factors))?;
        shrink.map_or(Ok(()), |range| range.check(&format!("{key}.shrink"), 1.0, factors))?;
        if scale.is_some() && shrink.is_some() {
            return Err(Error::choice(format!("{key}.shrink"), "absent where `scale` is given", "both"));
        }
        shear
            .map_or(Ok(()), |range| Spreads::All(range).check(&format!("{key}.shear"), 0.0, [-0.45, 0.45]))?;
        match translation {
            None => Ok(()),
            Some(Translation::Mm(range)) => range.check(&format!("{key}.translation.mm"), 0.0, [-1e5, 1e5]),
            Some(Translation::Voxels(range)) => {
                range.check(&format!("{key}.translation.voxels"), 0.0, [-1e5, 1e5])
            }
        }
    }

    pub(super) fn draw(&self, stream: &mut Stream) -> Option<AffineDrawn> {
        if !stream.chance(self.probability) {
            return None;
        }
        let factors = |range: Spreads, stream: &mut Stream| {
            if self.isotropic { [range.each()[0].draw(1.0, stream); 3] } else { range.draw(1.0, stream) }
        };
        let rotation = self.rotation.map_or([0.0; 3], |range| range.draw(0.0, stream));
        let scale = match (self.scale, self.shrink) {
            (Some(range), _) => factors(range, stream),
            (None, Some(range)) => factors(range, stream).map(|factor| 1.0 / factor),
            (None, None) => [1.0; 3],
        };
        let shear = self.shear.map_or([0.0; 6], |range| [0; 6].map(|_| range.draw(0.0, stream)));
        let translation = match self.translation {
            None => TranslationDrawn::Voxels([0.0; 3]),
            Some(Translation::Mm(range)) => TranslationDrawn::Mm(range.draw(0.0, stream)),
            Some(Translation::Voxels(range)) => TranslationDrawn::Voxels(range.draw(0.0, stream)),
        };
        Some(AffineDrawn { rotation, scale, shear, translation })
    }
}

/// The rotations about x, then y, then z.
fn rotation(degrees: [f64; 3]) -> Affine {
    let mut all = Affine::IDENTITY;
    for (axis, degrees) in degrees.into_iter().enumerate() {
        let (sin, cos) = sin_cos_degrees(degrees);
        let (a, b) = ((axis + 1) % 3, (axis + 2) % 3);
        let mut one = Affine::IDENTITY;
        one.0[a][a] = cos;
        one.0[a][b] = -sin;
        one.0[b][a] = sin;
        one.0[b][b] = cos;
        all = one.after(&all);
    }
    all
}

impl AffineDrawn {
    /// Returns where the voxels of the changed patch come from, or nothing where the change cannot be undone.
    pub(super) fn source(&self, size: [usize; 3], spacing: [f64; 3]) -> Option<Affine> {
        let Self { rotation: degrees, scale, shear, translation } = *self;
        let [xy, xz, yx, yz, zx, zy] = shear;
        let lean = Affine([[1.0, xy, xz, 0.0], [yx, 1.0, yz, 0.0], [zx, zy, 1.0, 0.0]]).inverse()?;
        // The inverse of a rotation is its transpose.
        let turn = rotation(degrees);
        let mut back = Affine::IDENTITY;
        for (row, line) in back.0.iter_mut().enumerate() {
            for (column, value) in line.iter_mut().take(3).enumerate() {
                *value = turn.0[column][row];
            }
        }
        let mut map = Affine::scale(scale.map(|factor| 1.0 / factor)).after(&lean.after(&back));
        let middle = size.map(|n| (n as f64 - 1.0) / 2.0);
        let moved = match translation {
            TranslationDrawn::Voxels(by) => by,
            TranslationDrawn::Mm(by) => [0, 1, 2].map(|axis| by[axis] / spacing[axis]),
        };
        // From millimetres to voxels; factors that are equal cancel exactly.
        for (row, line) in map.0.iter_mut().enumerate() {
            for (column, value) in line.iter_mut().take(3).enumerate() {
                if row != column {
                    *value = *value * spacing[column] / spacing[row];
                }
            }
        }
        let from = map.apply_linear([0, 1, 2].map(|axis| middle[axis] + moved[axis]));
        for axis in 0..3 {
            map.0[axis][3] = middle[axis] - from[axis];
        }
        map.0.iter().flatten().all(|x| x.is_finite()).then_some(map)
    }
}
