//! What the options of all intensity transforms share: ranges, how often, names.

use batchwright_core::{Context, Stream, StreamKey, math};
use serde::{Deserialize, Serialize};

use super::PatchShape;
use crate::Error;

/// Defines the options of a transform: its fields with their defaults, and those that every transform has.
macro_rules! options {
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$field_meta:meta])* $field:ident: $type:ty = $default:expr,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields, default, rename_all = "snake_case")]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
            /// How often it happens; 1 by default.
            #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1)))]
            pub probability: f64,
            /// How often each channel takes part where it happens, drawn for each; 1 by default.
            #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1)))]
            pub channel_probability: f64,
            /// What its draws are named by; by default its key. Needed where a key comes twice in a list.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub name: Option<String>,
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    $($field: $default,)*
                    probability: 1.0,
                    channel_probability: 1.0,
                    name: None,
                }
            }
        }
    };
}
pub(super) use options;

/// The random streams of one transform for one sample: `augment/<name>`, and `augment/<name>/<part>` for values.
#[derive(Clone, Debug)]
pub struct Draws<'a> {
    context: &'a Context<'a>,
    name: String,
}

impl<'a> Draws<'a> {
    /// Makes the streams of the transform called `name`.
    pub fn new(context: &'a Context<'a>, name: &str) -> Self {
        Self { context, name: format!("augment/{name}") }
    }

    /// Opens the stream of the transform's parameters.
    pub fn stream(&self) -> Stream {
        self.context.stream(&self.name)
    }

    /// Returns the key of the stream of a part, to be written down and opened later.
    pub fn key(&self, part: &str) -> StreamKey {
        self.context.key(&format!("{}/{part}", self.name))
    }
}

/// A factor, drawn anew each time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Factors {
    /// Uniform in [low, high].
    Between([f64; 2]),
    /// [low, high] with low <= 1 <= high: below 1 as often as above, uniform on either side.
    AroundOne([f64; 2]),
    /// e to the power of what is uniform in [low, high].
    ExpOf([f64; 2]),
}

impl Factors {
    pub(super) fn check(self, key: &str, least: f64, most: f64) -> Result<(), Error> {
        match self {
            Self::Between(range) => check_range(&format!("{key}.between"), range, least, most),
            Self::AroundOne(range @ [low, high]) => {
                let key = format!("{key}.around_one");
                check_range(&key, range, least, most)?;
                if low <= 1.0 && 1.0 <= high {
                    return Ok(());
                }
                Err(Error::choice(key, "[low, high] with low <= 1 <= high", format!("[{low}, {high}]")))
            }
            Self::ExpOf(range) => check_range(&format!("{key}.exp_of"), range, -4.0, 4.0),
        }
    }

    /// Draws one: for `around_one` first the side, then the place.
    pub(super) fn draw(self, stream: &mut Stream) -> f64 {
        match self {
            Self::Between(range) => uniform(stream, range),
            Self::AroundOne([low, high]) => {
                if stream.chance(0.5) {
                    stream.uniform_in(low, 1.0)
                } else {
                    stream.uniform_in(1.0, high)
                }
            }
            Self::ExpOf(range) => f64::from(math::exp(uniform(stream, range) as f32)),
        }
    }
}

pub(super) fn uniform(stream: &mut Stream, [low, high]: [f64; 2]) -> f64 {
    stream.uniform_in(low, high)
}

/// Draws a whole number uniform in `low..=high`.
pub(super) fn whole(stream: &mut Stream, [low, high]: [u32; 2]) -> u32 {
    low + stream.below(u64::from(high - low) + 1) as u32
}

/// Draws for each channel whether it takes part, and what it needs; `None` if none does.
pub(super) fn per_channel<T>(
    stream: &mut Stream,
    shape: &PatchShape,
    probability: f64,
    mut draw: impl FnMut(&mut Stream, usize) -> T,
) -> Option<Vec<Option<T>>> {
    let channels: Vec<_> =
        (0..shape.channels).map(|c| stream.chance(probability).then(|| draw(stream, c))).collect();
    channels.iter().any(Option::is_some).then_some(channels)
}

/// Draws for each channel whether it takes part; `None` if none does.
pub(super) fn which_channels(stream: &mut Stream, shape: &PatchShape, probability: f64) -> Option<Vec<bool>> {
    let channels: Vec<_> = (0..shape.channels).map(|_| stream.chance(probability)).collect();
    channels.contains(&true).then_some(channels)
}

pub(super) fn check_probability(key: &str, probability: f64) -> Result<(), Error> {
    if (0.0..=1.0).contains(&probability) {
        return Ok(());
    }
    Err(Error::choice(key, "a probability from 0 to 1", probability))
}

pub(super) fn check_range(key: &str, [low, high]: [f64; 2], least: f64, most: f64) -> Result<(), Error> {
    if least <= low && low <= high && high <= most {
        return Ok(());
    }
    let expected = format!("[low, high] with {least} <= low <= high <= {most}");
    Err(Error::choice(key, expected, format!("[{low}, {high}]")))
}

pub(super) fn check_whole(key: &str, [low, high]: [u32; 2], least: u32, most: u32) -> Result<(), Error> {
    if least <= low && low <= high && high <= most {
        return Ok(());
    }
    let expected = format!("[low, high] with {least} <= low <= high <= {most}");
    Err(Error::choice(key, expected, format!("[{low}, {high}]")))
}

/// Checks a number of a record.
pub(super) fn check_number(key: &str, x: f64, least: f64, most: f64) -> Result<(), Error> {
    if least <= x && x <= most {
        return Ok(());
    }
    Err(Error::choice(key, format!("a number from {least} to {most}"), x))
}

/// Checks that a record has as many channels as the patch.
pub(super) fn check_channels(key: &str, channels: usize, shape: &PatchShape) -> Result<(), Error> {
    if channels == shape.channels {
        return Ok(());
    }
    Err(Error::choice(key, format!("one entry for each of {} channels", shape.channels), channels))
}
