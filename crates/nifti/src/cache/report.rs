//! What is in a cache's directory, and removing it.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::Serialize;

use super::directory::{Listed, is_cache, list, look, remove_unless_in_use};
use crate::error::Error;

/// What is in a cache's directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CacheReport {
    /// The directory.
    pub directory: PathBuf,
    /// The bytes of all its files.
    pub bytes: u64,
    /// Its entries, the longest unused first.
    pub entries: Vec<CacheEntry>,
    /// How many entries are being made now.
    pub being_made: u64,
    /// How many were left unfinished by processes that died; the next that opens the cache removes them.
    pub left_unfinished: u64,
}

/// An entry of a cache's directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CacheEntry {
    /// Its file in the directory.
    pub file: String,
    /// The file that it was decoded from, or the end of its path; none where the entry is damaged.
    pub source: Option<String>,
    /// x, y, z.
    pub shape: [usize; 3],
    /// How many channels.
    pub channels: usize,
    /// The type of the voxels, as NumPy calls it.
    pub voxel_type: Option<&'static str>,
    /// The length of the file.
    pub bytes: u64,
    /// When it was used last, in seconds since 1970, to a second or so.
    pub last_used: u64,
    /// Whether a process uses it now.
    pub in_use: bool,
}

/// What was removed from a cache's directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CacheCleared {
    /// The directory.
    pub directory: PathBuf,
    /// How many files are gone.
    pub removed: u64,
    /// The bytes they had.
    pub bytes: u64,
    /// How many stay, because a process uses or makes them.
    pub in_use: u64,
}

fn listed(directory: &Path) -> Result<Vec<Listed>, Error> {
    let mut listed = list(directory)?;
    if !is_cache(directory) {
        return Err(Error::NotACache { path: directory.to_owned() });
    }
    listed.sort_by(|a, b| (a.used, &a.path).cmp(&(b.used, &b.path)));
    Ok(listed)
}

pub(super) fn report(directory: &Path) -> Result<CacheReport, Error> {
    let mut report = CacheReport {
        directory: directory.to_owned(),
        bytes: 0,
        entries: Vec::new(),
        being_made: 0,
        left_unfinished: 0,
    };
    for listed in listed(directory)? {
        // One that has left since is not there.
        let Ok((header, in_use)) = look(&listed.path) else { continue };
        report.bytes += listed.length;
        if !listed.finished {
            if in_use {
                report.being_made += 1;
            } else {
                report.left_unfinished += 1;
            }
            continue;
        }
        let header = header.filter(|header| header.key == listed.key);
        let facts = header.as_ref().map(|header| header.facts);
        report.entries.push(CacheEntry {
            file: listed.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            source: header.map(|header| header.source),
            shape: facts.map_or([0; 3], |facts| facts.shape),
            channels: facts.map_or(0, |facts| facts.channels),
            voxel_type: facts.map(|facts| facts.voxel_type.name()),
            bytes: listed.length,
            last_used: listed.used.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            in_use,
        });
    }
    Ok(report)
}

pub(super) fn clear(directory: &Path) -> Result<CacheCleared, Error> {
    let mut cleared = CacheCleared { directory: directory.to_owned(), removed: 0, bytes: 0, in_use: 0 };
    for listed in listed(directory)? {
        if remove_unless_in_use(&listed.path) {
            cleared.removed += 1;
            cleared.bytes += listed.length;
        } else if listed.path.exists() {
            cleared.in_use += 1;
        }
    }
    Ok(cleared)
}
