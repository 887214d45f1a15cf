//! The folder of a run, and who may write there.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::checkpoint::{Rejected, Store};
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

impl Run {
    /// Opens the folder to train in it; also says whether there was a run before.
    pub(crate) fn open(folder: &Path, resume: Resume, keep: usize) -> Result<(Self, bool), Error> {
        let path = || folder.to_owned();
        let is_there = folder.join("checkpoints").exists();
        match resume {
            Resume::Never if is_there => return Err(Error::RunExists { path: path() }),
            Resume::Always if !is_there => return Err(Error::NoRun { path: path() }),
            Resume::Never | Resume::Always | Resume::IfThere => {}
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
        let checkpoints = folder.join("checkpoints");
        let (store, rejected) = Store::open(&checkpoints, keep).map_err(|source| Error::Checkpoint {
            doing: "look for",
            path: checkpoints,
            source: Box::new(source),
        })?;
        Ok((Self { folder: path(), store, rejected, _lock: Some(lock) }, is_there))
    }

    /// Opens the folder of a run to read its checkpoints, while it is trained or not.
    pub(crate) fn read(folder: &Path) -> Result<Self, Error> {
        let checkpoints = folder.join("checkpoints");
        if !checkpoints.exists() {
            return Err(Error::NoRun { path: folder.to_owned() });
        }
        let (store, rejected) = Store::read(&checkpoints, usize::MAX).map_err(|source| {
            Error::Checkpoint { doing: "look for", path: checkpoints, source: Box::new(source) }
        })?;
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
    fs::rename(&temporary, path).map_err(|source| io("write", source))
}
