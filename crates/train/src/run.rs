//! The folder of a run, and who may write there.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::checkpoint::{self, Rejected, Store};
use crate::error::Error;
use crate::options::Resume;

/// The folder of a run, held by this process alone as long as this lives.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) folder: PathBuf,
    pub(crate) store: Store,
    pub(crate) rejected: Vec<Rejected>,
    /// The lock goes with the file.
    _lock: Option<File>,
}

/// What was in a run's folder before it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// There was no folder, or nothing of a run in it.
    Nothing,
    /// A run that was killed before its first checkpoint.
    Begun,
    /// A run with checkpoints, whole or damaged.
    Checkpoints,
}

impl Run {
    /// Opens the folder to train in it; also says what was there before. Where it refuses, nothing was made.
    pub(crate) fn open(folder: &Path, resume: Resume, keep: usize) -> Result<(Self, Before), Error> {
        let path = || folder.to_owned();
        let was_there = folder.exists();
        if resume == Resume::Always && !was_there {
            return Err(Error::NoRun { path: path() });
        }
        fs::create_dir_all(folder).map_err(|source| Error::Io { doing: "create", path: path(), source })?;
        let lock_path = folder.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|source| Error::Io { doing: "open", path: lock_path.clone(), source })?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Locked { path: path() }),
            Err(TryLockError::Error(source)) => {
                return Err(Error::Io { doing: "lock", path: lock_path, source });
            }
        }
        // Nobody else changes the folder from here on.
        let checkpoints = folder.join("checkpoints");
        let failed = |source| Error::Checkpoint {
            doing: "look for",
            path: checkpoints.clone(),
            source: Box::new(source),
        };
        let before = if checkpoint::any(&checkpoints).map_err(failed)? {
            Before::Checkpoints
        } else if has_figures(folder) || (was_there && resume == Resume::Always) {
            Before::Begun
        } else {
            Before::Nothing
        };
        if resume == Resume::Never && before != Before::Nothing {
            return Err(Error::RunExists { path: path() });
        }
        let (store, rejected) = Store::open(&checkpoints, keep).map_err(failed)?;
        sync_folder(folder)?;
        sync_folder(parent_of(folder))?;
        Ok((Self { folder: path(), store, rejected, _lock: Some(lock) }, before))
    }

    /// Opens the folder of a run to read its checkpoints, while it is trained or not.
    pub(crate) fn read(folder: &Path) -> Result<Self, Error> {
        let checkpoints = folder.join("checkpoints");
        let failed = |source| Error::Checkpoint {
            doing: "look for",
            path: checkpoints.clone(),
            source: Box::new(source),
        };
        if !checkpoint::any(&checkpoints).map_err(failed)? {
            return Err(Error::NotARun { path: folder.to_owned() });
        }
        let (store, rejected) = Store::read(&checkpoints, usize::MAX).map_err(failed)?;
        Ok(Self { folder: folder.to_owned(), store, rejected, _lock: None })
    }

    /// Writes a small file whole or not at all.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        write_whole(&self.folder.join(name), bytes)
    }
}

/// Writes a file under another name, then renames it.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let io = |doing, source| Error::Io { doing, path: path.to_owned(), source };
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let mut file = File::create(&temporary).map_err(|source| io("create", source))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|source| io("write", source))?;
    fs::rename(&temporary, path).map_err(|source| io("write", source))?;
    sync_folder(parent_of(path))
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Flushes a folder's names to the disk, so that they outlive a loss of power.
pub(crate) fn sync_folder(path: &Path) -> Result<(), Error> {
    if cfg!(unix) {
        File::open(path).and_then(|folder| folder.sync_all()).map_err(|source| Error::Io {
            doing: "flush to the disk",
            path: path.to_owned(),
            source,
        })?;
    }
    Ok(())
}

/// Whether figures were written, which a run that begins anew would lose.
fn has_figures(folder: &Path) -> bool {
    fs::metadata(folder.join("metrics.jsonl")).is_ok_and(|metrics| 0 < metrics.len())
}
