//! Patches of subjects as a data set.

mod draw;
mod facts;
mod known;
mod make;
mod memory;
mod options;
mod prepared;
mod record;
mod scan;
mod set;
mod training;
mod world;

pub use make::Patch;
pub use options::PatchSetOptions;
pub use record::PatchRecord;
pub use set::PatchSet;
pub use world::PatchPlace;
