//! Where the patches of a volume lie: what can be chosen, how a place is drawn, and what the draws need to know of labels
//! and weights.

mod class_index;
mod fallbacks;
mod fraction;
mod grid;
mod options;
mod overlap;
mod place;
mod plan;
mod regions;
mod weights;

pub use class_index::{ClassIndex, LabelMap};
pub use fallbacks::{Fallback, Fallbacks};
pub use fraction::{ForegroundFraction, Fraction};
pub use grid::Grid;
pub use options::{FixedSampler, PatchOptions, PatchSampler, PlaceSources};
pub use overlap::{Overlap, Percent};
pub use place::{Place, Places};
pub use plan::PatchPlan;
pub use regions::{AllLabels, LabelRegion, MissingRegion, RegionLabels, RegionMiddle, Regions};
pub use weights::{WeightRow, WeightSums, Weights};

/// Returns the place x, y, z of the voxel at an offset into a volume of a shape.
fn voxel_at(offset: u64, shape: [usize; 3]) -> [usize; 3] {
    let [nx, ny] = [shape[0] as u64, shape[1] as u64];
    [(offset % nx) as usize, (offset / nx % ny) as usize, (offset / nx / ny) as usize]
}
