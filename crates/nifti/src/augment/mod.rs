//! Lists of random changes of patches: what may be drawn, and what was drawn.

mod list;
mod presets;
mod transform;

pub use list::{Augmentation, Changes, Named};
pub use presets::Preset;
pub use transform::{Augment, Choice, OneOf, PresetName, SomeOf, Transform};
