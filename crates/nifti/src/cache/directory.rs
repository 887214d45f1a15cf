//! Entries in files of a directory, mapped, shared by the processes of a machine.
//!
//! The protocol, all of it by advisory locks (`flock`) of the files themselves, which the system releases when their
//! process ends, however it ends:
//!
//! - `KEY.voxels` is a finished entry. Who uses it holds its shared lock. It is never written again nor shortened.
//! - `KEY.part` is an entry that the holder of its exclusive lock is making; it is renamed to `KEY.voxels` under that
//!   lock. One that nobody has locked was left by a process that died, and is removed.
//! - An entry leaves by being removed under its exclusive lock, tried without waiting: never one in use.
//! - Room is made and reserved under the lock of `CACHEDIR.TAG`, so that two processes do not take the same room.
//! - Whoever has got a lock looks whether the name still belongs to the file, and starts over if not.
//!
//! Nothing is flushed to the disk: what a power failure leaves is found by the checksums.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use memmap2::Mmap;

use super::CacheStatistics;
use super::checksum::checksum;
use super::flight::{Flights, Shelf, find_or_make, lock};
use super::format::{HEADER_BYTES, Header};
use super::key::Key;
use super::memory::{self, Memory};
use super::ram::Ram;
use super::source::Source;
use super::voxels::{Facts, SharedLock, Voxels};
use crate::error::Error;

const FINISHED: &str = "voxels";
const UNFINISHED: &str = "part";
const TAG: &str = "CACHEDIR.TAG";
/// What <https://bford.info/cachedir/> asks for; programs that make backups leave such a folder out.
const TAG_TEXT: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # Decoded volumes of batchwright. All of it can be made anew: `batchwright cache clear` removes it.\n";
/// How often a process looks whether others have removed entries that it has mapped, and how exact the order of uses is.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Decoded volumes in the files of a directory, under a budget of their lengths.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    budget: u64,
    state: Mutex<State>,
    /// What cannot be written goes here: for those who use it now, and no longer.
    spill: Ram,
}

#[derive(Debug)]
struct State {
    entries: BTreeMap<Key, Entry>,
    flights: Flights,
    statistics: CacheStatistics,
    looked: Instant,
    warned: bool,
}

/// An entry that this process has checked and mapped.
#[derive(Debug)]
struct Entry {
    current: Weak<Voxels>,
    /// Stays mapped while nobody uses it and nobody removes it; without a lock.
    map: Arc<Mmap>,
    identity: Identity,
    touched: Instant,
}

/// What tells a file from all others: its device and its number there.
type Identity = (u64, u64);

fn identity(metadata: &Metadata) -> Identity {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        (metadata.dev(), metadata.ino())
    }
    #[cfg(not(unix))]
    (0, metadata.len())
}

/// What a cache file has, and where.
#[derive(Clone, Copy)]
struct Place {
    facts: Facts,
    start: usize,
    length: usize,
}

impl Place {
    fn of(source: &impl Source) -> Result<Self, Error> {
        let facts = source.facts();
        let start = source.head_room().max(1).next_multiple_of(HEADER_BYTES);
        Ok(Self { facts, start, length: facts.bytes_behind(start)? })
    }
}

/// What there is under a key.
enum Found {
    Whole(Arc<Voxels>),
    Nothing,
    Damaged,
}

impl Directory {
    /// Opens a directory, makes it if need be, and removes what processes that died have left.
    pub(super) fn open(path: &Path, budget: u64) -> Result<Self, Error> {
        std::fs::create_dir_all(path).map_err(|error| Error::io("create the folder", path, error))?;
        let tag = path.join(TAG);
        match OpenOptions::new().write(true).create_new(true).open(&tag) {
            Ok(mut file) => {
                file.write_all(TAG_TEXT.as_bytes()).map_err(|error| Error::io("write", &tag, error))?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io("create", &tag, error)),
        }
        let now = Instant::now();
        let state = State {
            entries: BTreeMap::new(),
            flights: Flights::default(),
            statistics: CacheStatistics::default(),
            looked: now,
            warned: false,
        };
        for listed in list(path)? {
            if !listed.finished {
                let _ = remove_unless_in_use(&listed.path);
            }
        }
        let path = path.to_owned();
        Ok(Self { path, budget, state: Mutex::new(state), spill: Ram::new(0) })
    }

    pub(super) fn statistics(&self) -> CacheStatistics {
        let memory = self.spill.statistics();
        let state = lock(&self.state);
        CacheStatistics {
            entries: state.entries.len() as u64,
            bytes: memory.bytes,
            most_bytes: memory.most_bytes,
            decoded: state.statistics.decoded + memory.decoded,
            hits: state.statistics.hits + memory.hits,
            ..state.statistics
        }
    }

    pub(super) fn voxels(&self, key: &Key, source: &impl Source) -> Result<Arc<Voxels>, Error> {
        find_or_make(&self.state, key, || {
            let place = Place::of(source)?;
            if let Found::Whole(voxels) = self.read(key, place)? {
                return Ok(voxels);
            }
            if self.budget < place.length as u64 || self.spill.has(key) {
                return self.spill.voxels(key, source);
            }
            match self.make(key, source, place) {
                // It may be the reader's error, too: then the reader says it again.
                Err(Error::Io { source: error, .. }) if is_full(&error) => {
                    self.warn(&error);
                    self.spill.voxels(key, source)
                }
                outcome => outcome,
            }
        })
    }

    fn warn(&self, error: &io::Error) {
        let mut state = lock(&self.state);
        state.statistics.unwritten += 1;
        if !std::mem::replace(&mut state.warned, true) {
            drop(state);
            log::warn!(
                "there is no room for a volume in the cache {}: {error}; such volumes are decoded into memory, each time \
                 anew",
                self.path.display()
            );
        }
    }

    fn file(&self, key: &Key, ending: &str) -> PathBuf {
        self.path.join(format!("{key}.{ending}"))
    }

    /// Returns a finished entry under its shared lock.
    fn read(&self, key: &Key, place: Place) -> Result<Found, Error> {
        let path = self.file(key, FINISHED);
        let failed = |doing| {
            let path = path.clone();
            move |error| Error::io(doing, &path, error)
        };
        self.look_again();
        loop {
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
                Err(error) => return Err(Error::io("open", &path, error)),
            };
            wait(|| file.lock_shared()).map_err(failed("lock"))?;
            let lock_held = SharedLock::held(file);
            let file = lock_held.file();
            let metadata = file.metadata().map_err(failed("find out about"))?;
            if !still_named(&path, &metadata).map_err(failed("find out about"))? {
                continue;
            }
            let identity = identity(&metadata);
            let known = {
                let state = lock(&self.state);
                let known = state
                    .entries
                    .get(key)
                    .filter(|entry| entry.identity == identity && entry.map.len() as u64 == metadata.len());
                known.map(|entry| (Arc::clone(&entry.map), entry.touched))
            };
            let touch = known.as_ref().is_none_or(|(_, touched)| LOOK_AGAIN < touched.elapsed());
            let map = match known {
                Some((map, _)) => map,
                None => match check(file, &metadata, key, place).map_err(failed("read"))? {
                    Some(map) => Arc::new(map),
                    None => return Ok(Found::Damaged),
                },
            };
            if touch {
                // The order in which entries leave. It is no failure where the file belongs to another user.
                #[expect(clippy::disallowed_methods, reason = "which entries leave first reaches no sample")]
                let _ = file.set_modified(SystemTime::now());
            }
            lock(&self.state).statistics.hits += 1;
            return Ok(Found::Whole(Arc::new(Voxels::mapped(place.facts, map, place.start, lock_held))));
        }
    }

    /// Makes an entry, or waits for the process that is making it.
    fn make(&self, key: &Key, source: &impl Source, place: Place) -> Result<Arc<Voxels>, Error> {
        let Place { facts, start, length } = place;
        let path = self.file(key, UNFINISHED);
        let part = Part::take(&path)?;
        // Another process may have made it while this one waited.
        match self.read(key, place)? {
            Found::Whole(voxels) => return Ok(voxels),
            Found::Nothing => {}
            Found::Damaged => {
                lock(&self.state).statistics.damaged += 1;
                let path = self.file(key, FINISHED);
                log::warn!("the cache file {} is damaged and is made anew", path.display());
            }
        }
        let failed = |doing: &'static str| {
            let path = path.clone();
            move |error| Error::io(doing, &path, error)
        };
        let reserved = {
            let tag = self.path.join(TAG);
            let tag_file = OpenOptions::new().append(true).create(true).open(&tag).map_err(failed("open"))?;
            wait(|| tag_file.lock()).map_err(failed("lock the folder of"))?;
            self.make_room(length as u64)?;
            memory::reserve(&part.file, length as u64).map_err(failed("reserve room for"))?
        };
        lock(&self.state).statistics.decoded += 1;
        let source_name = source.files().first().map_or_else(String::new, |path| path.display().to_string());
        let header = |voxels: &[u8]| {
            Header { key: key.clone(), facts, start, checksum: checksum(voxels), source: source_name }
                .encode()
        };
        let map = if reserved {
            let mut map = memory::map_mut(&part.file, length).map_err(failed("map"))?;
            source.decode(&mut map, start)?;
            let header = header(&map[start..]);
            map[..HEADER_BYTES].copy_from_slice(&header);
            map.make_read_only().map_err(failed("map"))?
        } else {
            let mut room =
                Memory::new(length).map_err(|error| Error::Memory { bytes: length as u64, source: error })?;
            source.decode(room.bytes_mut(), start)?;
            let header = header(&room.bytes()[start..]);
            room.bytes_mut()[..HEADER_BYTES].copy_from_slice(&header);
            let mut file = &part.file;
            file.write_all(room.bytes()).map_err(failed("write"))?;
            memory::map(&part.file, length).map_err(failed("map"))?
        };
        let file = part.finish(&self.file(key, FINISHED))?;
        Ok(Arc::new(Voxels::mapped(facts, Arc::new(map), start, file)))
    }

    /// Removes entries that nobody uses, the longest unused first, until `length` more bytes fit into the budget. The
    /// caller holds the lock of the directory.
    fn make_room(&self, length: u64) -> Result<(), Error> {
        let mut listed = list(&self.path)?;
        listed.sort_by(|a, b| (a.used, &a.path).cmp(&(b.used, &b.path)));
        let mut total: u64 = listed.iter().map(|listed| listed.length).sum();
        let mut there: BTreeSet<Key> = listed.iter().filter(|l| l.finished).map(|l| l.key.clone()).collect();
        let mut evicted = 0;
        for listed in &listed {
            let leaves = !listed.finished || self.budget < total.saturating_add(length);
            if leaves && remove_unless_in_use(&listed.path) {
                total -= listed.length;
                if listed.finished {
                    there.remove(&listed.key);
                    evicted += 1;
                }
            }
        }
        let mut state = lock(&self.state);
        state.statistics.evicted += evicted;
        // A map keeps its file on the disk.
        state.entries.retain(|key, entry| there.contains(key) || 0 < entry.current.strong_count());
        Ok(())
    }

    /// Lets maps go whose files other processes have removed, because a map keeps its file on the disk.
    fn look_again(&self) {
        let mut state = lock(&self.state);
        if state.looked.elapsed() < LOOK_AGAIN {
            return;
        }
        state.looked = Instant::now();
        state.entries.retain(|key, entry| {
            0 < entry.current.strong_count()
                || std::fs::metadata(self.file(key, FINISHED))
                    .is_ok_and(|metadata| identity(&metadata) == entry.identity)
        });
    }
}

impl Shelf for State {
    fn find(&mut self, key: &Key) -> Option<Arc<Voxels>> {
        let voxels = self.entries.get(key)?.current.upgrade()?;
        self.statistics.hits += 1;
        Some(voxels)
    }

    fn keep(&mut self, key: &Key, made: &Arc<Voxels>) {
        let Some((map, file)) = made.map() else { return };
        // Without its identity it would only be mapped again at the next use.
        let Ok(metadata) = file.metadata() else { return };
        let touched = self.entries.get(key).map_or_else(Instant::now, |entry| {
            if LOOK_AGAIN < entry.touched.elapsed() { Instant::now() } else { entry.touched }
        });
        let (current, map) = (Arc::downgrade(made), Arc::clone(map));
        self.entries.insert(key.clone(), Entry { current, map, identity: identity(&metadata), touched });
    }

    fn flights(&mut self) -> &mut Flights {
        &mut self.flights
    }

    fn count_wait(&mut self) {
        self.statistics.waited += 1;
    }
}

/// Maps a finished file whose lock is held, or returns nothing where it is not what it should be.
fn check(file: &File, metadata: &Metadata, key: &Key, place: Place) -> io::Result<Option<Mmap>> {
    let Some(header) = read_header(file, metadata)? else { return Ok(None) };
    if header.key != *key || header.facts != place.facts || header.start != place.start {
        return Ok(None);
    }
    let map = memory::map(file, metadata.len() as usize)?;
    Ok((checksum(&map[place.start..]) == header.checksum).then_some(map))
}

fn read_header(mut file: &File, metadata: &Metadata) -> io::Result<Option<Header>> {
    use std::io::Read as _;
    let mut header = [0; HEADER_BYTES];
    match file.read_exact(&mut header) {
        Ok(()) => Ok(Header::decode(&header, metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file that is being made, under its exclusive lock; it is removed unless it is finished.
struct Part<'a> {
    path: &'a Path,
    file: File,
    finished: bool,
}

impl<'a> Part<'a> {
    fn take(path: &'a Path) -> Result<Self, Error> {
        let failed = |doing: &'static str| move |error| Error::io(doing, path, error);
        loop {
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create(true).truncate(false).open(path);
            let file = file.map_err(failed("create"))?;
            wait(|| file.lock()).map_err(failed("lock"))?;
            let metadata = file.metadata().map_err(failed("find out about"))?;
            if !still_named(path, &metadata).map_err(failed("find out about"))? {
                continue;
            }
            if metadata.len() != 0 {
                // Its maker has died. Nobody maps it, but a new file costs nothing.
                std::fs::remove_file(path).map_err(failed("remove"))?;
                continue;
            }
            return Ok(Self { path, file, finished: false });
        }
    }

    /// Gives the file its final name and keeps a shared lock of it.
    fn finish(mut self, name: &Path) -> Result<SharedLock, Error> {
        let failed = |error| Error::io("finish", name, error);
        std::fs::rename(self.path, name).map_err(failed)?;
        self.finished = true;
        let file = self.file.try_clone().map_err(failed)?;
        wait(|| file.lock_shared()).map_err(failed)?;
        Ok(SharedLock::held(file))
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        if !self.finished {
            let _ = std::fs::remove_file(self.path);
        }
    }
}

/// A file of a cache's directory.
pub(super) struct Listed {
    pub(super) key: Key,
    pub(super) path: PathBuf,
    pub(super) finished: bool,
    pub(super) length: u64,
    /// When it was used last.
    pub(super) used: SystemTime,
}

/// Returns the files of a cache's directory that are ours.
pub(super) fn list(directory: &Path) -> Result<Vec<Listed>, Error> {
    let failed = |error| Error::io("list", directory, error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        let name = entry.file_name();
        let Some((stem, ending)) = name.to_str().and_then(|name| name.rsplit_once('.')) else { continue };
        let Some(key) = Key::parse(stem).filter(|_| ending == FINISHED || ending == UNFINISHED) else {
            continue;
        };
        // One that is gone since is not there.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file() {
            let used = metadata.modified().unwrap_or(UNIX_EPOCH);
            found.push(Listed { key, path, finished: ending == FINISHED, length: metadata.len(), used });
        }
    }
    Ok(found)
}

/// Returns whether a directory is one that a cache has been in.
pub(super) fn is_cache(directory: &Path) -> bool {
    directory.join(TAG).is_file()
}

/// What is found in a file of the cache, and whether somebody uses it.
pub(super) fn look(path: &Path) -> Result<(Option<Header>, bool), Error> {
    let failed = |error| Error::io("read", path, error);
    let file = File::open(path).map_err(failed)?;
    let in_use = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
    let metadata = file.metadata().map_err(failed)?;
    Ok((read_header(&file, &metadata).map_err(failed)?, in_use))
}

/// Removes a file unless somebody has locked it; returns whether it is gone.
pub(super) fn remove_unless_in_use(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    if file.try_lock().is_err() {
        return false;
    }
    let same = file.metadata().and_then(|metadata| still_named(path, &metadata));
    same.unwrap_or(false) && std::fs::remove_file(path).is_ok()
}

/// Returns whether a path still leads to the file that was opened by it.
fn still_named(path: &Path, metadata: &Metadata) -> io::Result<bool> {
    match std::fs::metadata(path) {
        Ok(now) => Ok(identity(&now) == identity(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Waits for a lock, also across signals.
fn wait(mut lock: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    loop {
        match lock() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// Returns whether an error says that there is no room: on the disk, in a quota, by a limit on files.
fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), FileTooLarge | QuotaExceeded | StorageFull)
}
