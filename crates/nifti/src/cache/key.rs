//! What an entry of the cache is called: everything its voxels depend on.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::flight::lock;
use super::source::Source;
use crate::error::Error;

/// What tells a changed file from the one that was decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum KeyBy {
    /// Its path, length and modification time, which costs nothing. The default.
    #[default]
    ModifiedTime,
    /// The SHA-256 of its bytes, wherever it lies and whenever it was written: copies share an entry, and a file that was
    /// changed without its time is noticed. Each file is read once more for it in every run.
    Content,
}

/// The name of an entry: a digest of its facts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key([u8; 16]);

impl Key {
    /// Digests facts; the border between two of them counts.
    fn of(facts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for fact in facts {
            hash.update((fact.len() as u64).to_le_bytes());
            hash.update(fact);
        }
        let digest = hash.finalize();
        Self(std::array::from_fn(|i| digest[i]))
    }

    pub(super) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> [u8; 16] {
        self.0
    }

    /// Reads what [`Display`](fmt::Display) writes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut key = [0; 16];
        if text.len() != 32 || !text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        for (i, byte) in key.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
        }
        Some(Self(key))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// What the system says about a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileFacts {
    path: PathBuf,
    length: u64,
    /// Nanoseconds since 1970, which may lie after.
    modified: i128,
}

impl FileFacts {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn of(path: &Path) -> Result<Self, Error> {
        let metadata = std::fs::metadata(path).map_err(|error| Error::io("find out about", path, error))?;
        let modified = modified(&metadata).map_err(|error| Error::io("find out the time of", path, error))?;
        // The same file by another working directory is the same file; a link is not followed, because it may change.
        let path = std::path::absolute(path).map_err(|error| Error::io("find the folder of", path, error))?;
        Ok(Self { path, length: metadata.len(), modified })
    }
}

fn modified(metadata: &Metadata) -> std::io::Result<i128> {
    let time = metadata.modified()?;
    let after = time.duration_since(UNIX_EPOCH).map(|after| after.as_nanos() as i128);
    Ok(after.unwrap_or_else(|before| -(before.duration().as_nanos() as i128)))
}

/// What the system says about all files of a source.
pub(super) fn files_of(source: &impl Source) -> Result<Vec<FileFacts>, Error> {
    source.files().into_iter().map(FileFacts::of).collect()
}

/// Makes keys; remembers the digests of contents.
#[derive(Debug)]
pub(super) struct Keys {
    by: KeyBy,
    contents: Mutex<BTreeMap<FileFacts, [u8; 32]>>,
}

impl Keys {
    pub(super) fn new(by: KeyBy) -> Self {
        Self { by, contents: Mutex::default() }
    }

    /// Returns the key of a source whose files are as `files` says.
    pub(super) fn key(&self, source: &impl Source, files: &[FileFacts]) -> Result<Key, Error> {
        let facts = source.facts();
        let [x, y, z] = facts.shape;
        let mut parts: Vec<Vec<u8>> = vec![
            b"batchwright voxels 1".to_vec(),
            source.options().into_bytes(),
            format!("{} {x} {y} {z} {}", facts.channels, facts.voxel_type).into_bytes(),
        ];
        for file in files {
            parts.push(file.length.to_string().into_bytes());
            match self.by {
                KeyBy::ModifiedTime => {
                    parts.push(b"path".to_vec());
                    parts.push(file.path.as_os_str().as_encoded_bytes().to_vec());
                    parts.push(file.modified.to_string().into_bytes());
                }
                KeyBy::Content => {
                    parts.push(b"sha256".to_vec());
                    parts.push(self.content(file)?.to_vec());
                }
            }
        }
        Ok(Key::of(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>()))
    }

    fn content(&self, file: &FileFacts) -> Result<[u8; 32], Error> {
        if let Some(digest) = lock(&self.contents).get(file) {
            return Ok(*digest);
        }
        let failed = |error| Error::io("read", &file.path, error);
        let mut input = File::open(&file.path).map_err(failed)?;
        let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
        loop {
            match input.read(&mut buffer) {
                Ok(0) => break,
                Ok(bytes) => hash.update(&buffer[..bytes]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        let digest = hash.finalize().into();
        lock(&self.contents).insert(file.clone(), digest);
        Ok(digest)
    }
}
