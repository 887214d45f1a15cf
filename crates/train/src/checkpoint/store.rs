//! The folder of a run's checkpoints.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use batchwright_core::chain;

use super::manifest::Manifest;
use super::{Checkpoint, CheckpointError, MODEL, OPTIMIZER, Rejected, STATE, State};

const MANIFEST: &str = "MANIFEST.json";
const MANIFEST_LIMIT: u64 = 1 << 16;
/// The loader's state holds the samples that were left out and what hooks keep.
const STATE_LIMIT: u64 = 1 << 28;
const TENSORS_LIMIT: u64 = 1 << 38;

/// The files of a checkpoint, whole.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) state: State,
    pub(crate) model: Vec<u8>,
    pub(crate) optimizer: Vec<u8>,
}

/// The folder of a run's checkpoints.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    keep: usize,
    /// The checkpoints that were read and found whole, by step.
    whole: BTreeMap<u64, Checkpoint>,
}

impl Store {
    /// Makes the folder where it is not there, removes what killed writers left, and reads every checkpoint. The caller holds the
    /// lock of the run.
    pub(crate) fn open(folder: &Path, keep: usize) -> Result<(Self, Vec<Rejected>), CheckpointError> {
        let io = |doing, source| CheckpointError::Io { doing, path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(|source| io("create", source))?;
        for entry in fs::read_dir(folder).map_err(|source| io("read", source))? {
            let entry = entry.map_err(|source| io("read", source))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(".tmp-") || name.starts_with(".trash-") {
                remove(&entry.path())?;
            }
        }
        Self::read(folder, keep)
    }

    /// Reads every checkpoint and changes nothing.
    pub(crate) fn read(folder: &Path, keep: usize) -> Result<(Self, Vec<Rejected>), CheckpointError> {
        let mut store = Self { folder: folder.to_owned(), keep, whole: BTreeMap::new() };
        let mut rejected = Vec::new();
        for (step, path) in steps(folder)?.into_iter().rev() {
            match read(&path) {
                Ok(contents) => {
                    store.whole.insert(step, describe(path, &contents.state));
                }
                Err(error) => rejected.push(Rejected { path, reason: chain(&error) }),
            }
        }
        Ok((store, rejected))
    }

    /// Returns the checkpoints that are whole, the latest first.
    pub(crate) fn latest_first(&self) -> Vec<Checkpoint> {
        self.whole.values().rev().cloned().collect()
    }

    /// Returns the checkpoint with the lowest validation loss; the earliest of equals.
    pub(crate) fn best(&self) -> Option<&Checkpoint> {
        let mut best: Option<(f64, &Checkpoint)> = None;
        for checkpoint in self.whole.values() {
            if let Some(loss) = checkpoint.val_loss
                && best.is_none_or(|(least, _)| loss < least)
            {
                best = Some((loss, checkpoint));
            }
        }
        best.map(|(_, checkpoint)| checkpoint)
    }

    /// Forgets checkpoints after `step`, which turned out to be of no use; they are replaced when that step comes.
    pub(crate) fn forget_after(&mut self, step: u64) {
        self.whole.retain(|&other, _| other <= step);
    }

    /// Writes a checkpoint, reads it back, and then removes those that are not to be kept.
    pub(crate) fn save(
        &mut self,
        state: &State,
        model: &[u8],
        optimizer: &[u8],
    ) -> Result<Checkpoint, CheckpointError> {
        let step = state.step;
        let name = format!("step-{step:010}");
        let temporary = self.folder.join(format!(".tmp-{name}-{}", std::process::id()));
        let target = self.folder.join(&name);
        let written = self.write(&temporary, &target, state, model, optimizer);
        if written.is_err() {
            // What was begun is of no use, and a full disk needs the room.
            let _ = fs::remove_dir_all(&temporary);
        }
        written?;
        let contents = read(&target)?;
        let checkpoint = describe(target, &contents.state);
        self.whole.insert(step, checkpoint.clone());
        self.purge()?;
        Ok(checkpoint)
    }

    fn write(
        &self,
        temporary: &Path,
        target: &Path,
        state: &State,
        model: &[u8],
        optimizer: &[u8],
    ) -> Result<(), CheckpointError> {
        remove(temporary)?;
        let io = |doing, path: &Path, source| CheckpointError::Io { doing, path: path.to_owned(), source };
        fs::create_dir(temporary).map_err(|source| io("create", temporary, source))?;
        let state = state.to_bytes();
        let files = [(MODEL, model), (OPTIMIZER, optimizer), (STATE, state.as_slice())];
        for (file, bytes) in files {
            write_file(&temporary.join(file), bytes)?;
        }
        write_file(&temporary.join(MANIFEST), &Manifest::of(files).to_bytes())?;
        sync_folder(temporary)?;
        if target.exists() {
            // A damaged one, or one that a resumed run did not use; a whole one of this run is never replaced.
            self.discard(target)?;
        }
        fs::rename(temporary, target).map_err(|source| io("rename to its name", temporary, source))?;
        sync_folder(&self.folder)
    }

    /// Keeps the last few and the best. Damaged ones count for nothing and are not touched.
    fn purge(&mut self) -> Result<(), CheckpointError> {
        let best = self.best().map(|checkpoint| checkpoint.step);
        let keep: Vec<u64> = self.whole.keys().rev().take(self.keep.max(1)).copied().chain(best).collect();
        let surplus: Vec<u64> = self.whole.keys().filter(|step| !keep.contains(step)).copied().collect();
        for step in surplus {
            if let Some(checkpoint) = self.whole.remove(&step) {
                self.discard(&checkpoint.path)?;
            }
        }
        Ok(())
    }

    /// Removes a folder by renaming it first, so that no half of it is ever taken for a checkpoint.
    fn discard(&self, path: &Path) -> Result<(), CheckpointError> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let trash = self.folder.join(format!(".trash-{name}-{}", std::process::id()));
        remove(&trash)?;
        fs::rename(path, &trash).map_err(|source| CheckpointError::Io {
            doing: "rename for removal",
            path: path.to_owned(),
            source,
        })?;
        remove(&trash)
    }
}

fn describe(path: PathBuf, state: &State) -> Checkpoint {
    Checkpoint { path, step: state.step, epoch: state.epoch, val_loss: state.val_loss }
}

/// Whether there is any checkpoint in a folder, whole or damaged.
pub(crate) fn any(folder: &Path) -> Result<bool, CheckpointError> {
    Ok(folder.is_dir() && !steps(folder)?.is_empty())
}

/// Returns the folders that are named like checkpoints, by step.
fn steps(folder: &Path) -> Result<BTreeMap<u64, PathBuf>, CheckpointError> {
    let io = |source| CheckpointError::Io { doing: "read", path: folder.to_owned(), source };
    let mut steps = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name();
        let digits = name.to_str().and_then(|name| name.strip_prefix("step-"));
        if let Some(step) = digits.and_then(|digits| digits.parse().ok()) {
            steps.insert(step, entry.path());
        }
    }
    Ok(steps)
}

/// Reads a checkpoint in full and gives its state.
pub(crate) fn read_state(path: &Path) -> Result<State, CheckpointError> {
    Ok(read(path)?.state)
}

/// Reads a checkpoint in full and checks every byte of it against the manifest.
pub(crate) fn read(path: &Path) -> Result<Contents, CheckpointError> {
    let manifest =
        Manifest::parse(&read_file(&path.join(MANIFEST), MANIFEST_LIMIT)?, &[MODEL, OPTIMIZER, STATE])?;
    let file = |name: &str, limit: u64| {
        let entry = &manifest.files[name];
        let at = path.join(name);
        let found = fs::metadata(&at)
            .map_err(|source| CheckpointError::Io { doing: "read", path: at.clone(), source })?
            .len();
        // Before anything of it is read, so that a damaged file costs no memory.
        if found != entry.bytes {
            return Err(CheckpointError::Length { file: name.to_owned(), expected: entry.bytes, found });
        }
        let bytes = read_file(&at, limit.min(entry.bytes))?;
        let digest = super::manifest::sha256(&bytes);
        if digest != entry.sha256 {
            return Err(CheckpointError::Digest {
                file: name.to_owned(),
                expected: entry.sha256.clone(),
                found: digest,
            });
        }
        Ok(bytes)
    };
    let state = State::parse(&file(STATE, STATE_LIMIT)?)?;
    Ok(Contents { state, model: file(MODEL, TENSORS_LIMIT)?, optimizer: file(OPTIMIZER, TENSORS_LIMIT)? })
}

fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, CheckpointError> {
    let io = |source| CheckpointError::Io { doing: "read", path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    let found = file.metadata().map_err(io)?.len();
    if limit < found {
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        return Err(CheckpointError::TooLarge { file, found, limit });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(found).unwrap_or(0));
    file.take(found).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    let io = |doing, source| CheckpointError::Io { doing, path: path.to_owned(), source };
    let mut file = File::create_new(path).map_err(|source| io("create", source))?;
    file.write_all(bytes).map_err(|source| io("write", source))?;
    file.sync_all().map_err(|source| io("flush to the disk", source))
}

fn sync_folder(path: &Path) -> Result<(), CheckpointError> {
    if cfg!(unix) {
        File::open(path).and_then(|folder| folder.sync_all()).map_err(|source| CheckpointError::Io {
            doing: "flush to the disk",
            path: path.to_owned(),
            source,
        })?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), CheckpointError> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(CheckpointError::Io { doing: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}
