//! The list of a checkpoint's files, with their lengths and digests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::CheckpointError;

const VERSION: u32 = 1;

/// What stands in `MANIFEST.json`, in one canonical form: any other byte in the file is damage.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    version: u32,
    pub(super) files: BTreeMap<String, FileEntry>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileEntry {
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

impl Manifest {
    pub(super) fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let entry = |bytes: &[u8]| FileEntry { bytes: bytes.len() as u64, sha256: sha256(bytes) };
        let files = files.into_iter().map(|(name, bytes)| (name.to_owned(), entry(bytes))).collect();
        Self { version: VERSION, files }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers are always JSON")
    }

    pub(super) fn parse(bytes: &[u8], names: &[&str]) -> Result<Self, CheckpointError> {
        let damaged = |reason: String| CheckpointError::Manifest { reason };
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        if manifest.version != VERSION {
            return Err(damaged(format!("its version is {}; expected {VERSION}", manifest.version)));
        }
        if manifest.to_bytes() != bytes {
            return Err(damaged("it is not in the form this program writes".to_owned()));
        }
        let mut names = names.to_vec();
        names.sort_unstable();
        if !manifest.files.keys().map(String::as_str).eq(names.iter().copied()) {
            let found: Vec<_> = manifest.files.keys().cloned().collect();
            return Err(damaged(format!("it lists {}; expected {}", found.join(", "), names.join(", "))));
        }
        Ok(manifest)
    }
}

/// Returns the SHA-256 of bytes as hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
