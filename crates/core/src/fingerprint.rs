//! What a data set and a plan are, as named facts that can be compared.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Named facts about what batches depend on: names, sizes, headers, settings. No absolute path and no time is among
/// them, so that a copied data set is the same data set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(BTreeMap<String, String>);

impl Fingerprint {
    /// Adds a fact.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.0.insert(name.to_owned(), value.to_string());
        self
    }

    /// Adds a fact of many parts (the names of all files, say) as their number and the SHA-256 of them all.
    #[must_use]
    pub fn with_digest<I>(self, name: &str, parts: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let mut hash = Sha256::new();
        let mut count = 0_u64;
        for part in parts {
            let part = part.as_ref();
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
            count += 1;
        }
        self.with(name, format!("{count} parts, sha256 {}", hex(&hash.finalize())))
    }

    /// Adds all facts of another fingerprint, their names below `prefix` and a dot.
    #[must_use]
    pub fn with_part(mut self, prefix: &str, other: &Self) -> Self {
        for (name, value) in &other.0 {
            self.0.insert(format!("{prefix}.{name}"), value.clone());
        }
        self
    }

    /// Returns the facts.
    pub fn facts(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// Returns what differs in `now` from this fingerprint, one line a fact; empty where they are the same.
    pub fn changes(&self, now: &Self) -> Vec<String> {
        let mut names: Vec<_> = self.0.keys().chain(now.0.keys()).collect();
        names.sort();
        names.dedup();
        let shown = |value: Option<&String>| value.map_or_else(|| "(absent)".to_owned(), Clone::clone);
        names
            .into_iter()
            .filter(|&name| self.0.get(name) != now.0.get(name))
            .map(|name| format!("{name}: was {}, is {}", shown(self.0.get(name)), shown(now.0.get(name))))
            .collect()
    }
}

/// Returns bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_named_with_both_values() {
        let was = Fingerprint::default().with("len", 10).with("size", "2x2").with_digest("files", ["a", "b"]);
        let is = Fingerprint::default().with("len", 11).with_digest("files", ["a", "b"]).with("scale", 1);
        assert_eq!(
            was.changes(&is),
            ["len: was 10, is 11", "scale: was (absent), is 1", "size: was 2x2, is (absent)"]
        );
        assert!(was.changes(&was).is_empty());
        // The border between parts counts.
        assert!(
            !Fingerprint::default()
                .with_digest("f", ["ab", "c"])
                .changes(&Fingerprint::default().with_digest("f", ["a", "bc"]))
                .is_empty()
        );
    }
}
