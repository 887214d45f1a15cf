//! What a training has learned and its batches depend on: mined partners.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use batchwright_config::{Opened, SampleBatches};
use batchwright_core::{Batch, BoxError, Fingerprint, LoaderState, Sequence, Slots};
use batchwright_pairs::MinedPartners;
use serde::Deserialize;

use crate::arguments::Set;
use crate::failure::{Failure, Result};

/// What is read of the state of a checkpoint.
#[derive(Deserialize)]
struct State {
    loader: LoaderState,
}

/// Training batches whose mined partners are to be taken back.
struct Training<'a> {
    batches: &'a SampleBatches,
    mined: Arc<MinedPartners>,
}

impl Sequence for Training<'_> {
    fn len(&self) -> usize {
        self.batches.len()
    }
    fn global_len(&self) -> usize {
        self.batches.global_len()
    }
    fn get(&self, epoch: u64, index: usize) -> std::result::Result<Batch, BoxError> {
        self.batches.get(epoch, index)
    }
    fn restore(&mut self, state: &[u8]) -> std::result::Result<(), BoxError> {
        self.mined.restore(state)
    }
    fn fingerprint(&self) -> Fingerprint {
        self.batches.fingerprint()
    }
    fn slots(&self) -> Option<&dyn Slots> {
        self.batches.slots()
    }
}

/// As [`take_up`], for batches of any set: those of validation and test depend on nothing that is learned.
pub(crate) fn take_up_of(opened: &Opened, set: Set, checkpoint: Option<&Path>, epoch: u64) -> Result<()> {
    match (set, checkpoint) {
        (Set::Train, _) => take_up(opened, checkpoint, [epoch]),
        (Set::Validation | Set::Test, None) => Ok(()),
        (Set::Validation | Set::Test, Some(_)) => {
            Err(Failure::usage(anyhow!("--checkpoint is for batches of the training set")))
        }
    }
}

/// Gives the training batches the partners that were mined until a checkpoint, if partners are mined; says so where an epoch
/// that is asked for depends on what is not known here.
pub(crate) fn take_up(
    opened: &Opened,
    checkpoint: Option<&Path>,
    epochs: impl IntoIterator<Item = u64>,
) -> Result<()> {
    let Some(mined) = &opened.mining else {
        return match checkpoint {
            None => Ok(()),
            Some(_) => Err(Failure::usage(anyhow!(
                "--checkpoint is for batches that depend on what a training learns, and nothing is mined here"
            ))),
        };
    };
    if let Some(path) = checkpoint {
        let file = state_file(path)?;
        let doing = || format!("cannot take mined partners from {}", file.display());
        let text = std::fs::read_to_string(&file).with_context(doing).map_err(Failure::data)?;
        let State { loader } = serde_json::from_str(&text).with_context(doing).map_err(Failure::data)?;
        let mut training = Training { batches: &opened.training, mined: Arc::clone(mined) };
        loader.restore(&mut training).with_context(doing).map_err(Failure::data)?;
    }
    for epoch in epochs {
        mined.holds(epoch).map_err(|error| {
            let help = match checkpoint {
                None => "name a run or one of its checkpoints: --checkpoint runs/NAME",
                Some(_) => "another checkpoint of the run knows them",
            };
            Failure::usage(anyhow!("{error}; {help}"))
        })?;
    }
    Ok(())
}

/// Finds the state of a checkpoint: in its folder, or in that of the latest checkpoint of a run.
fn state_file(path: &Path) -> Result<PathBuf> {
    let own = path.join("state.json");
    if own.is_file() {
        return Ok(own);
    }
    let folder = path.join("checkpoints");
    let mut found: Vec<PathBuf> = std::fs::read_dir(&folder)
        .with_context(|| format!("{} is neither a checkpoint nor a run with checkpoints", path.display()))
        .map_err(Failure::usage)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path().join("state.json")))
        .filter(|state| state.is_file())
        .collect();
    found.sort();
    found.pop().ok_or_else(|| Failure::usage(anyhow!("there is no checkpoint in {}", folder.display())))
}
