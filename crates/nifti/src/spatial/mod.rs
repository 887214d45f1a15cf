//! Random changes of space: what may be drawn, what was drawn, and the one map that they compose into.

mod displacement;
mod elastic;
mod flip;
mod lattice;
mod map;
mod random_affine;
mod rotate90;
mod spread;
mod turn;

use batchwright_core::Stream;
use serde::{Deserialize, Serialize};

use crate::error::Error;

pub use displacement::Displacement;
pub use elastic::{Elastic, ElasticDrawn};
pub use flip::{Flip, FlipDrawn};
pub use lattice::Lattice;
pub use map::{Map, Placement};
pub use random_affine::{AffineDrawn, RandomAffine, Translation, TranslationDrawn};
pub use rotate90::{Plane, Rotate90, Rotate90Drawn};
pub use spread::{Spread, Spreads};

/// A random change of space, made to the picture in the order of the list; the key names it.
///
/// All turn about the middle of the patch, (n - 1) / 2 on each axis. x, y and z are the axes of the patch, after
/// `orientation`; lengths are in mm unless said otherwise. Whatever its place in the list, an elastic deformation is
/// made last, since it is defined on the voxels of the patch; a list has at most one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "a configuration has a handful")]
pub enum Spatial {
    /// Mirrors axes.
    Flip(Flip),
    /// Turns by quarters in the planes of the axes.
    Rotate90(Rotate90),
    /// Scales, shears, rotates and moves.
    Affine(RandomAffine),
    /// Bends.
    Elastic(Elastic),
}

/// What was drawn for a [`Spatial`] change: the record of it. Numbers read back bit for bit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpatialDrawn {
    /// The axes that were mirrored.
    Flip(FlipDrawn),
    /// The quarter turns.
    Rotate90(Rotate90Drawn),
    /// The parameters of the affine change.
    Affine(AffineDrawn),
    /// The displacements of the control points.
    Elastic(ElasticDrawn),
}

impl Spatial {
    /// Returns the name of its draws: its `name`, or its key.
    pub fn name(&self) -> &str {
        let (name, key) = match self {
            Self::Flip(flip) => (&flip.name, "flip"),
            Self::Rotate90(rotate) => (&rotate.name, "rotate90"),
            Self::Affine(affine) => (&affine.name, "affine"),
            Self::Elastic(elastic) => (&elastic.name, "elastic"),
        };
        name.as_deref().unwrap_or(key)
    }

    /// Checks what the types cannot say; `key` is where the change stands in the configuration.
    ///
    /// # Errors
    /// Names the first choice that cannot be.
    pub fn check(&self, key: &str) -> Result<(), Error> {
        match self {
            Self::Flip(flip) => flip.check(&format!("{key}.flip")),
            Self::Rotate90(rotate) => rotate.check(&format!("{key}.rotate90")),
            Self::Affine(affine) => affine.check(&format!("{key}.affine")),
            Self::Elastic(elastic) => elastic.check(&format!("{key}.elastic")),
        }
    }

    /// Draws whether it happens, and how: nothing where it does not. The stream should be of this change alone.
    pub fn draw(&self, stream: &mut Stream) -> Option<SpatialDrawn> {
        match self {
            Self::Flip(flip) => flip.draw(stream).map(SpatialDrawn::Flip),
            Self::Rotate90(rotate) => rotate.draw(stream).map(SpatialDrawn::Rotate90),
            Self::Affine(affine) => affine.draw(stream).map(SpatialDrawn::Affine),
            Self::Elastic(elastic) => elastic.draw(stream).map(SpatialDrawn::Elastic),
        }
    }
}

#[cfg(test)]
mod tests;
