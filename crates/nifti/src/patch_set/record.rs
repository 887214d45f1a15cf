//! What was drawn for a patch.

use serde::{Deserialize, Serialize};

use crate::augment::Changes;
use crate::places::{Fraction, Place};

use super::world::PatchPlace;

/// Everything that was drawn for one patch: with the files and the options, all that it takes to make it again. Numbers
/// read back bit for bit; noise is recorded as the key of its stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchRecord {
    /// The subject.
    pub subject: String,
    /// Which of its patches, from 0.
    pub patch: usize,
    /// Where it lies in the grid after orientation, spacing and cropping; with `at`, the voxel nearest to its first.
    pub place: Place,
    /// Where it lies in the world, if it was laid there and not by the sampler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<PatchPlace>,
    /// What came of asking for a fraction of foreground.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreground: Option<Fraction>,
    /// The random changes.
    #[serde(default)]
    pub changes: Changes,
}
