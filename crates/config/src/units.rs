//! Sizes and times, written with their unit.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A number of bytes, written with its unit: `512 MiB`, `20 GiB`.
///
/// ```
/// use batchwright_config::ByteSize;
/// assert_eq!("1.5 KiB".parse::<ByteSize>()?.bytes(), 1536);
/// assert_eq!(ByteSize::new(20 << 30).to_string(), "20 GiB");
/// assert!("20".parse::<ByteSize>().is_err());
/// # Ok::<(), batchwright_config::UnitError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("format" = "byte-size", "pattern" = BYTES_PATTERN, "examples" = ["512 MiB", "20 GiB"]))]
pub struct ByteSize(u64);

const BYTES_PATTERN: &str = r"^ *[0-9]+(\.[0-9]+)? *(B|kB|KiB|MB|MiB|GB|GiB|TB|TiB) *$";
const BYTES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl ByteSize {
    /// Makes a size of a number of bytes.
    pub fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Returns the number of bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split(text, "a size", "512 MiB", &BYTES.map(|(name, _)| name))?;
        let factor = BYTES.iter().find(|(name, _)| *name == unit).map_or(1, |(_, factor)| *factor);
        let bytes = number * factor as f64;
        // 2^53: above it not every whole number is an f64.
        if 9_007_199_254_740_992.0 < bytes {
            return Err(UnitError::TooLarge { text: text.to_owned(), most: "8192 TiB" });
        }
        Ok(Self(bytes.round() as u64))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |(_, factor): &&(&str, u64)| self.0 != 0 && self.0.is_multiple_of(*factor);
        let (name, factor) = BYTES.iter().find(whole).copied().unwrap_or(("B", 1));
        write!(f, "{} {name}", self.0 / factor)
    }
}

impl TryFrom<String> for ByteSize {
    type Error = UnitError;

    fn try_from(text: String) -> Result<Self, UnitError> {
        text.parse()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

/// A time span, written with its unit: `60 s`, `500 ms`, `5 min`, `1 h`.
///
/// ```
/// use batchwright_config::TimeSpan;
/// assert_eq!("1.5 min".parse::<TimeSpan>()?.duration().as_secs(), 90);
/// assert!("60".parse::<TimeSpan>().is_err());
/// # Ok::<(), batchwright_config::UnitError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("format" = "time-span", "pattern" = TIME_PATTERN, "examples" = ["60 s", "5 min"]))]
pub struct TimeSpan(u64);

const TIME_PATTERN: &str = r"^ *[0-9]+(\.[0-9]+)? *(ms|s|min|h) *$";
/// In milliseconds.
const TIMES: [(&str, u64); 4] = [("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];

impl TimeSpan {
    /// Makes a time span of milliseconds.
    pub fn from_millis(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    /// Returns it as the standard library's.
    pub fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl FromStr for TimeSpan {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split(text, "a time", "60 s", &TIMES.map(|(name, _)| name))?;
        let factor = TIMES.iter().find(|(name, _)| *name == unit).map_or(1, |(_, factor)| *factor);
        let milliseconds = (number * factor as f64).round();
        // A year; a timeout beyond it is a mistake.
        if 31_536_000_000.0 < milliseconds {
            return Err(UnitError::TooLarge { text: text.to_owned(), most: "8760 h" });
        }
        if milliseconds < 1.0 {
            return Err(UnitError::TooSmall { text: text.to_owned(), least: "1 ms" });
        }
        Ok(Self(milliseconds as u64))
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |(_, factor): &&(&str, u64)| self.0.is_multiple_of(*factor);
        let (name, factor) = TIMES.iter().find(whole).copied().unwrap_or(("ms", 1));
        write!(f, "{} {name}", self.0 / factor)
    }
}

impl TryFrom<String> for TimeSpan {
    type Error = UnitError;

    fn try_from(text: String) -> Result<Self, UnitError> {
        text.parse()
    }
}

impl From<TimeSpan> for String {
    fn from(span: TimeSpan) -> Self {
        span.to_string()
    }
}

/// A text that is no size or time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitError {
    /// There is no number in front.
    #[error("expected {what} such as `{example}`, found `{text}`")]
    Number {
        /// What was expected.
        what: &'static str,
        /// How it may look.
        example: &'static str,
        /// What was found.
        text: String,
    },
    /// The unit is missing or unknown.
    #[error("expected {what} with its unit ({units}), such as `{example}`, found `{text}`")]
    Unit {
        /// What was expected.
        what: &'static str,
        /// The units there are.
        units: String,
        /// How it may look.
        example: &'static str,
        /// What was found.
        text: String,
    },
    /// It is beyond what can be meant.
    #[error("`{text}` is more than {most}")]
    TooLarge {
        /// What was found.
        text: String,
        /// The most.
        most: &'static str,
    },
    /// It is below what can be meant.
    #[error("`{text}` is less than {least}")]
    TooSmall {
        /// What was found.
        text: String,
        /// The least.
        least: &'static str,
    },
}

fn split(
    text: &str,
    what: &'static str,
    example: &'static str,
    units: &[&'static str],
) -> Result<(f64, &'static str), UnitError> {
    let trimmed = text.trim();
    let end = trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(trimmed.len());
    let number = trimmed[..end].parse::<f64>().map_err(|_| UnitError::Number {
        what,
        example,
        text: text.to_owned(),
    })?;
    let written = trimmed[end..].trim();
    match units.iter().find(|unit| **unit == written) {
        Some(unit) => Ok((number, unit)),
        None => Err(UnitError::Unit { what, units: units.join(", "), example, text: text.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_they_are_read() {
        for text in ["512 MiB", "20 GiB", "3 B", "1 kB", "1025 B", "0 B"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
        assert_eq!("0.5GiB".parse::<ByteSize>().unwrap().to_string(), "512 MiB");
    }

    #[test]
    fn times_are_written_as_they_are_read() {
        for text in ["60 ms", "5 min", "7 s", "2 h"] {
            assert_eq!(text.parse::<TimeSpan>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_number_without_its_unit_is_an_error_that_names_the_units() {
        let error = "512".parse::<ByteSize>().unwrap_err().to_string();
        assert!(error.contains("MiB") && error.contains("`512`"), "{error}");
        for text in ["", "MiB", "1 mib", "-1 MiB", "1e3 MiB", "1..2 MiB", "99999999 TiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
        for text in ["", "s", "5", "5 m", "0 s", "1e99 s", "99999999 h"] {
            assert!(text.parse::<TimeSpan>().is_err(), "{text}");
        }
    }
}
