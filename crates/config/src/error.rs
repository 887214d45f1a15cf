//! What is wrong with a configuration, all at once.

use std::fmt::{self, Write};
use std::path::PathBuf;

use crate::place::Place;

/// One mistake in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mistake {
    /// Where it stands.
    pub place: Place,
    /// The key it is about, as in `loader.batch_size`; empty for the whole document.
    pub key: String,
    /// What is wrong: what was expected, what was found.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        writeln!(f, "{}", self.message)?;
        self.place.draw(f)?;
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is too large to be a configuration.
    #[error("the configuration {} has {bytes} bytes; at most {most} are read", path.display())]
    Large {
        /// Which file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The limit.
        most: usize,
    },
    /// The file is no text.
    #[error("the configuration {} is not UTF-8 (the first wrong byte is number {at})", path.display())]
    Encoding {
        /// Which file.
        path: PathBuf,
        /// How many bytes before are right.
        at: usize,
    },
    /// There are mistakes in it.
    #[error("{}", list(.0))]
    Mistakes(Vec<Mistake>),
    /// It could not be written as YAML.
    #[error("cannot write the configuration as YAML: {0}")]
    Write(String),
}

impl ConfigError {
    /// Returns the mistakes, if the file could be read.
    pub fn mistakes(&self) -> &[Mistake] {
        match self {
            Self::Mistakes(mistakes) => mistakes,
            Self::Read { .. } | Self::Large { .. } | Self::Encoding { .. } | Self::Write(_) => &[],
        }
    }
}

/// More mistakes than this are counted, not shown.
const SHOWN: usize = 20;

fn list(mistakes: &[Mistake]) -> String {
    let mut text = match mistakes.len() {
        1 => String::new(),
        n => format!("{n} mistakes in the configuration\n\n"),
    };
    let shown: Vec<String> = mistakes.iter().take(SHOWN).map(ToString::to_string).collect();
    text.push_str(&shown.join("\n\n"));
    if SHOWN < mistakes.len() {
        let _ = write!(text, "\n\nand {} more", mistakes.len() - SHOWN);
    }
    text
}
