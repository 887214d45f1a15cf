//! Decoded volumes, kept under a budget: a compressed file is inflated once, whoever asks first.

mod advice;
mod checksum;
mod directory;
mod flight;
mod format;
mod key;
mod memory;
mod ram;
mod report;
mod source;
#[cfg(test)]
mod tests;
mod voxels;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use advice::{Inflations, VolumeOrder};
pub use key::KeyBy;
pub use report::{CacheCleared, CacheEntry, CacheReport};
pub use voxels::Voxels;

use crate::error::Error;
use crate::phantom_volume::PhantomVolume;
use crate::volume::Volume;
use directory::Directory;
use key::{FileFacts, Keys, files_of};
use ram::Ram;
use source::Source;
use voxels::Facts;

/// Where decoded volumes are kept, and how many bytes of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct CacheOptions {
    /// The most bytes that decoded volumes may take: of memory, or of the directory's files. What the workers use at a
    /// time is kept whatever the budget: the cache takes at most the budget and one volume a worker.
    pub budget: u64,
    /// A folder for decoded volumes as memory-mapped files, which processes of this machine share and the next run finds
    /// again. Default: none, volumes are kept in memory.
    #[serde(default)]
    pub directory: Option<PathBuf>,
    /// What tells a changed file from the one that was decoded: `modified_time` (and path and length; the default) or
    /// `content`.
    #[serde(default)]
    pub key: KeyBy,
}

/// Decoded volumes, in memory or in the files of a directory, shared by all threads.
///
/// - One thread decodes a volume, straight into its place, while others that want it wait; in a directory, one of all
///   processes of the machine does. Its error goes to all who wait, and the next one tries again.
/// - Entries that nobody uses leave, the longest unused first, before room is taken for another. What somebody uses stays,
///   so the cache takes at most `max(budget, what is in use)` bytes: the budget and one volume for each thread that uses
///   one. In memory the pages of what leaves are used again.
/// - An entry's name is a digest of the length of the file, its path and modification time or its content
///   ([`KeyBy`]), the options it is read with, and its shape, channels and type. A file that changes while it is read is an
///   error.
/// - In a directory, a process that dies leaves nothing that another has to wait for, and a damaged file is made anew. A
///   file is checked when a process maps it first, at the speed of memory. Where the disk is full (or a quota, or a
///   limit on the length of files is reached), and for volumes longer than the budget, volumes are decoded into memory
///   for as long as they are used; the first time is a warning. Other failures of the directory are errors.
///
/// What it gives does not depend on any of this.
#[derive(Debug)]
pub struct Cache {
    keys: Keys,
    store: Store,
}

#[derive(Debug)]
enum Store {
    Ram(Ram),
    Directory(Directory),
}

/// What a cache has done in this process so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CacheStatistics {
    /// How often a volume was there.
    pub hits: u64,
    /// How often one was decoded, or tried to.
    pub decoded: u64,
    /// How often somebody waited for another thread that was decoding the same.
    pub waited: u64,
    /// How many entries have left to make room.
    pub evicted: u64,
    /// How many files of the directory were damaged, and made anew.
    pub damaged: u64,
    /// How many volumes found no room on the disk.
    pub unwritten: u64,
    /// How many entries there are now; with a directory, those that this process has mapped.
    pub entries: u64,
    /// Bytes of decoded volumes in memory now; mapped files are not counted.
    pub bytes: u64,
    /// The most that this ever was.
    pub most_bytes: u64,
}

impl Cache {
    /// Makes a cache. Makes its directory if need be, and removes from it what processes that died have left.
    ///
    /// # Errors
    /// Gives the system's errors about the directory.
    pub fn new(options: CacheOptions) -> Result<Self, Error> {
        let CacheOptions { budget, directory, key } = options;
        let store = match directory {
            None => Store::Ram(Ram::new(budget)),
            Some(directory) => Store::Directory(Directory::open(&directory, budget)?),
        };
        Ok(Self { keys: Keys::new(key), store })
    }

    /// Returns the voxels of a volume as it delivers them: from the cache, or decoded into it. Blocks while another thread
    /// or process decodes the same.
    ///
    /// # Errors
    /// Gives the reader's errors, to all who wait for them; the next caller tries again. Gives an error where the file
    /// changes meanwhile, where there is no memory, and the system's errors about a directory.
    pub fn voxels(&self, volume: &Volume) -> Result<Arc<Voxels>, Error> {
        self.decoded(volume)
    }

    /// Returns the voxels of a generated volume: from the cache, or drawn into it.
    pub(crate) fn generated(&self, volume: &PhantomVolume) -> Result<Arc<Voxels>, Error> {
        self.decoded(volume)
    }

    /// Returns what was done so far.
    pub fn statistics(&self) -> CacheStatistics {
        match &self.store {
            Store::Ram(ram) => ram.statistics(),
            Store::Directory(directory) => directory.statistics(),
        }
    }

    /// Returns what is in a cache's directory.
    ///
    /// # Errors
    /// Refuses a folder that no cache has been in, and gives the system's errors.
    pub fn report(directory: &Path) -> Result<CacheReport, Error> {
        report::report(directory)
    }

    /// Removes the entries of a cache's directory, except those in use; no other file of the folder.
    ///
    /// # Errors
    /// Refuses a folder that no cache has been in, and gives the system's errors.
    pub fn clear(directory: &Path) -> Result<CacheCleared, Error> {
        report::clear(directory)
    }

    fn decoded(&self, source: &impl Source) -> Result<Arc<Voxels>, Error> {
        let files = files_of(source)?;
        let key = self.keys.key(source, &files)?;
        let source = Checked { source, files };
        match &self.store {
            Store::Ram(ram) => ram.voxels(&key, &source),
            Store::Directory(directory) => directory.voxels(&key, &source),
        }
    }
}

/// A source whose files must be the same after it was decoded as when its key was made.
struct Checked<'a, S> {
    source: &'a S,
    files: Vec<FileFacts>,
}

impl<S: Source> Source for Checked<'_, S> {
    fn files(&self) -> Vec<&Path> {
        self.source.files()
    }

    fn options(&self) -> String {
        self.source.options()
    }

    fn facts(&self) -> Facts {
        self.source.facts()
    }

    fn head_room(&self) -> usize {
        self.source.head_room()
    }

    fn decode(&self, room: &mut [u8], at: usize) -> Result<(), Error> {
        self.source.decode(room, at)?;
        let now = files_of(self.source)?;
        match self.files.iter().zip(&now).find(|(was, is)| was != is) {
            Some((was, _)) => Err(Error::Changed { path: was.path().to_owned() }),
            None => Ok(()),
        }
    }
}
