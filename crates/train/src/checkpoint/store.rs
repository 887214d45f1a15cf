//! The folder of a run's checkpoints.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use batchwright_core::{Fingerprint, chain};

use crate::stopping::Patience;

use super::manifest::Manifest;
use super::{
    Checkpoint, CheckpointError, LogLengths, MODEL, OPTIMIZER, Rejected, STATE, State, VALIDATED, Validated,
    sha256,
};

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

/// A checkpoint, and what its loss was measured on.
#[derive(Debug)]
struct Known {
    checkpoint: Checkpoint,
    validation: Option<Fingerprint>,
}

/// The folder of a run's checkpoints.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    keep: usize,
    /// The checkpoints by step: the latest was read in full, of those before it the state, until they are used.
    whole: BTreeMap<u64, Known>,
    /// The state of the latest.
    latest: Option<State>,
    /// What is validated on: only losses on it compare.
    validation: Option<Fingerprint>,
    /// What went wrong without harm, to be told.
    warnings: Vec<String>,
}

impl Store {
    /// Makes the folder where it is not there, removes what killed writers left, and looks for checkpoints. The caller holds the
    /// lock of the run.
    pub(crate) fn open(folder: &Path, keep: usize) -> Result<(Self, Vec<Rejected>), CheckpointError> {
        let io = |doing, source| CheckpointError::Io { doing, path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(|source| io("create", source))?;
        let mut warnings = Vec::new();
        for entry in fs::read_dir(folder).map_err(|source| io("read", source))? {
            let entry = entry.map_err(|source| io("read", source))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(".tmp-") || name.starts_with(".trash-") {
                warnings.extend(remove(&entry.path()).err().map(|error| chain(&error)));
            }
        }
        let (mut store, rejected) = Self::read(folder, keep)?;
        store.warnings = warnings;
        Ok((store, rejected))
    }

    /// Looks for checkpoints and changes nothing.
    pub(crate) fn read(folder: &Path, keep: usize) -> Result<(Self, Vec<Rejected>), CheckpointError> {
        let mut store = Self {
            folder: folder.to_owned(),
            keep,
            whole: BTreeMap::new(),
            latest: None,
            validation: None,
            warnings: Vec::new(),
        };
        let mut rejected = Vec::new();
        for (step, path) in steps(folder)?.into_iter().rev() {
            let found = match &store.latest {
                None => read(&path).map(|contents| contents.state),
                Some(_) => read_state(&path),
            };
            match found {
                Ok(state) => {
                    store.whole.insert(step, describe(path, &state));
                    if store.latest.is_none() {
                        store.validation.clone_from(&state.validation);
                        store.latest = Some(state);
                    }
                }
                Err(error) => rejected.push(Rejected { path, reason: chain(&error) }),
            }
        }
        Ok((store, rejected))
    }

    /// Returns the state of the latest checkpoint that there was when the folder was opened.
    pub(crate) fn latest(&self) -> Option<&State> {
        self.latest.as_ref()
    }

    /// Returns the checkpoints, the latest first.
    pub(crate) fn latest_first(&self) -> Vec<Checkpoint> {
        self.whole.values().rev().map(|known| known.checkpoint.clone()).collect()
    }

    /// Returns the checkpoint with the lowest validation loss on the present validation set; the earliest of equals.
    pub(crate) fn best(&self) -> Option<&Checkpoint> {
        let mut best: Option<(f64, &Checkpoint)> = None;
        for Known { checkpoint, validation } in self.whole.values() {
            if let Some(loss) = checkpoint.val_loss
                && *validation == self.validation
                && best.is_none_or(|(least, _)| loss < least)
            {
                best = Some((loss, checkpoint));
            }
        }
        best.map(|(_, checkpoint)| checkpoint)
    }

    /// Returns what is validated on.
    pub(crate) fn validation(&self) -> Option<&Fingerprint> {
        self.validation.as_ref()
    }

    /// Says what is validated on from now on.
    pub(crate) fn validate_on(&mut self, validation: Fingerprint) {
        self.validation = Some(validation);
    }

    /// Hands over what went wrong without harm.
    pub(crate) fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// Adds the outcome of a validation to the checkpoint of `step`, which was written before it.
    pub(crate) fn validated(
        &mut self,
        step: u64,
        val_loss: Option<f64>,
        patience: Option<Patience>,
        logs: LogLengths,
        warnings: Vec<String>,
    ) -> Result<(), CheckpointError> {
        let Some(known) = self.whole.get_mut(&step) else { return Ok(()) };
        let folder = known.checkpoint.path.clone();
        let state = read_file(&folder.join(STATE), STATE_LIMIT)?;
        let validated = Validated { state_sha256: sha256(&state), val_loss, patience, logs, warnings };
        let (temporary, target) = (folder.join(format!(".{VALIDATED}")), folder.join(VALIDATED));
        let io = |doing, path: &Path, source| CheckpointError::Io { doing, path: path.to_owned(), source };
        // Left by a writer that was killed.
        let _ = fs::remove_file(&temporary);
        write_file(&temporary, &validated.to_bytes())?;
        fs::rename(&temporary, &target).map_err(|source| io("rename to its name", &temporary, source))?;
        sync_folder(&folder)?;
        known.checkpoint.val_loss = val_loss;
        self.purge();
        Ok(())
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
    ) -> Result<(), CheckpointError> {
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
        self.whole.insert(step, describe(target, &contents.state));
        self.purge();
        Ok(())
    }

    fn write(
        &mut self,
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

    /// Keeps the last few and the best. Damaged ones count for nothing and are not touched. What cannot be removed stays, with a
    /// warning.
    fn purge(&mut self) {
        let best = self.best().map(|checkpoint| checkpoint.step);
        let keep: Vec<u64> = self.whole.keys().rev().take(self.keep.max(1)).copied().chain(best).collect();
        let surplus: Vec<u64> = self.whole.keys().filter(|step| !keep.contains(step)).copied().collect();
        for step in surplus {
            if let Some(known) = self.whole.remove(&step)
                && let Err(error) = self.discard(&known.checkpoint.path)
            {
                self.warnings.push(format!("an old checkpoint stays: {}", chain(&error)));
            }
        }
    }

    /// Removes a folder by renaming it first, so that no half of it is ever taken for a checkpoint.
    fn discard(&mut self, path: &Path) -> Result<(), CheckpointError> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let trash = self.folder.join(format!(".trash-{name}-{}", std::process::id()));
        remove(&trash)?;
        fs::rename(path, &trash).map_err(|source| CheckpointError::Io {
            doing: "rename for removal",
            path: path.to_owned(),
            source,
        })?;
        if let Err(error) = remove(&trash) {
            self.warnings.push(format!("an old checkpoint stays: {}", chain(&error)));
        }
        Ok(())
    }
}

fn describe(path: PathBuf, state: &State) -> Known {
    let checkpoint = Checkpoint { path, step: state.step, epoch: state.epoch, val_loss: state.val_loss };
    Known { checkpoint, validation: state.validation.clone() }
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

/// Reads a checkpoint in full and checks every byte of it against the manifest.
pub(crate) fn read(path: &Path) -> Result<Contents, CheckpointError> {
    let files = Files::open(path)?;
    let state = files.state()?;
    let (model, optimizer) = (files.read(MODEL, TENSORS_LIMIT)?, files.read(OPTIMIZER, TENSORS_LIMIT)?);
    Ok(Contents { state, model, optimizer })
}

/// Reads the state of a checkpoint, and of the tensors only how long they are.
fn read_state(path: &Path) -> Result<State, CheckpointError> {
    let files = Files::open(path)?;
    files.length(MODEL)?;
    files.length(OPTIMIZER)?;
    files.state()
}

/// The files of a checkpoint as its manifest lists them.
struct Files<'a> {
    path: &'a Path,
    manifest: Manifest,
}

impl<'a> Files<'a> {
    fn open(path: &'a Path) -> Result<Self, CheckpointError> {
        let bytes = read_file(&path.join(MANIFEST), MANIFEST_LIMIT)?;
        Ok(Self { path, manifest: Manifest::parse(&bytes, &[MODEL, OPTIMIZER, STATE])? })
    }

    /// Checks how long a file is, so that a damaged one costs no memory.
    fn length(&self, name: &str) -> Result<u64, CheckpointError> {
        let expected = self.manifest.files[name].bytes;
        let at = self.path.join(name);
        let found = fs::metadata(&at)
            .map_err(|source| CheckpointError::Io { doing: "read", path: at.clone(), source })?
            .len();
        if found == expected {
            Ok(found)
        } else {
            Err(CheckpointError::Length { file: name.to_owned(), expected, found })
        }
    }

    fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, CheckpointError> {
        let bytes = read_file(&self.path.join(name), limit.min(self.length(name)?))?;
        let (expected, found) = (&self.manifest.files[name].sha256, sha256(&bytes));
        if found == *expected {
            Ok(bytes)
        } else {
            Err(CheckpointError::Digest { file: name.to_owned(), expected: expected.clone(), found })
        }
    }

    /// Reads the state, and what a validation changed of it. A damaged outcome counts for none: the validation is made again.
    fn state(&self) -> Result<State, CheckpointError> {
        let mut state = State::parse(&self.read(STATE, STATE_LIMIT)?)?;
        let validated = read_file(&self.path.join(VALIDATED), STATE_LIMIT).ok();
        if let Some(validated) = validated.as_deref().and_then(Validated::parse)
            && state.pending
            && validated.state_sha256 == self.manifest.files[STATE].sha256
        {
            state.validated(validated);
        }
        Ok(state)
    }
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
