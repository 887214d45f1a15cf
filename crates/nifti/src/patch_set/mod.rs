//! Patches of subjects as a data set.

mod facts;
mod memory;
mod options;
mod prepared;
mod record;
mod scan;
mod set;

pub use options::PatchSetOptions;
pub use record::PatchRecord;
pub use set::{Patch, PatchSet};
