//! Putting the patches of a grid together to a volume again.

mod aggregator;
mod blend;
mod planes;

pub use aggregator::Aggregator;
pub use blend::Blend;
pub use planes::{Planes, Whole};
