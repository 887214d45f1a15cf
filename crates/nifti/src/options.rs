//! What a reader is asked for.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// What becomes of complex numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Complex {
    /// A file of complex numbers is an error.
    #[default]
    Refuse,
    /// The absolute value.
    Magnitude,
    /// The real part.
    Real,
    /// The imaginary part.
    Imaginary,
}

/// What becomes of colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Color {
    /// A file of colours is an error.
    #[default]
    Refuse,
    /// A channel each for red, green, blue and, where there is one, opacity.
    Channels,
    /// One channel of (299 red + 587 green + 114 blue) / 1000, rounded; opacity is left out.
    Luminance,
}

/// What becomes of the axes behind z: time, directions, the parts of a vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Frames {
    /// Every frame is a channel, in the order of the file.
    #[default]
    All,
    /// One frame, counted from 0.
    One(usize),
}

/// How the bytes of a file are come by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Io {
    /// Read at their place.
    #[default]
    Read,
    /// Mapped into memory. If a mapped file is cut short or its disk goes away while it is read, the system kills the
    /// process (SIGBUS); no error can be given.
    Mmap,
}

/// How volumes are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct ReadOptions {
    /// Read files that break the format in a way that leaves no doubt about their voxels, with a warning. Default: false.
    pub lenient: bool,
    /// The most bytes that the voxels of one file may have, decoded. Default: 16 GiB.
    pub max_bytes: u64,
    /// What becomes of complex numbers. Default: `refuse`.
    pub complex: Complex,
    /// What becomes of colours. Default: `refuse`.
    pub color: Color,
    /// What becomes of the axes behind z. Default: `all`, as channels.
    pub frames: Frames,
    /// How the bytes of a file are come by. Default: `read`.
    pub io: Io,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            lenient: false,
            max_bytes: 16 << 30,
            complex: Complex::default(),
            color: Color::default(),
            frames: Frames::default(),
            io: Io::default(),
        }
    }
}

impl ReadOptions {
    /// Checks what the types do not say; `key` is where the options stand.
    ///
    /// # Errors
    /// Refuses a limit of 0 bytes.
    pub fn check(&self, key: &str) -> Result<(), Error> {
        if self.max_bytes == 0 {
            return Err(Error::choice(format!("{key}.max_bytes"), "at least 1", 0));
        }
        Ok(())
    }
}
