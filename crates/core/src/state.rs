//! Where a run stands, as a few numbers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::batch::LeftOut;
use crate::error::BoxError;
use crate::fingerprint::{Fingerprint, hex};
use crate::sequence::Sequence;

/// The version of [`LoaderState`] that this crate writes.
const VERSION: u32 = 1;
const HOOK_FACT: &str = "hook.sha256";

/// Where a [`Loader`](crate::Loader) stands: after which batch, on which data. Serialize it as JSON.
///
/// It says nothing about workers or queues: a run may go on with another number of them, on another number of ranks.
/// `next_batch` equal to the number of batches means that the epoch is over and its hook has not run yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoaderState {
    /// The version of this format.
    pub version: u32,
    /// The seed of the draws, for the reader; it is checked as a part of the fingerprint.
    pub seed: Option<u64>,
    /// The epoch, from 0.
    pub epoch: u64,
    /// The batch to deliver next.
    pub next_batch: usize,
    /// What the sequence's hook keeps, in base 64, if it keeps anything.
    pub hook: Option<String>,
    /// The samples left out so far.
    pub left_out: Vec<LeftOut>,
    /// What the batches depend on.
    pub fingerprint: Fingerprint,
}

/// A state that cannot be resumed from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// The state was written by another version.
    #[error("the state has version {found}, this program reads version {expected}")]
    Version {
        /// The state's.
        found: u32,
        /// This program's.
        expected: u32,
    },
    /// The data set or the plan is another one.
    #[error("the data set or the plan has changed: {}", changes.join("; "))]
    Changed {
        /// What changed, one line a fact.
        changes: Vec<String>,
    },
    /// The state names a batch that an epoch does not have.
    #[error("the state stands at batch {next_batch}, an epoch has {len}")]
    Beyond {
        /// The state's next batch.
        next_batch: usize,
        /// The batches of an epoch.
        len: usize,
    },
    /// The state is not what was stored.
    #[error("the stored state is damaged: {0}")]
    Damaged(String),
    /// The sequence did not take its state back.
    #[error("the sequence did not take back its stored state")]
    Restore(#[source] BoxError),
}

/// Returns a sequence's fingerprint; one written by hand may give none, but has a length.
pub(crate) fn facts(sequence: &dyn Sequence) -> Fingerprint {
    let facts = sequence.fingerprint();
    if sequence.slots().is_none() { facts.with("batches", sequence.global_len()) } else { facts }
}

impl LoaderState {
    /// Describes where a sequence stands whose [`facts`] are `fingerprint`.
    pub(crate) fn new(
        sequence: &dyn Sequence,
        mut fingerprint: Fingerprint,
        epoch: u64,
        next_batch: usize,
        left_out: Vec<LeftOut>,
    ) -> Self {
        let kept = sequence.state();
        // The end of an epoch is that of all ranks, so that a run may go on with another number of them.
        let next_batch = if next_batch == sequence.len() { sequence.global_len() } else { next_batch };
        let hook = (!kept.is_empty()).then(|| {
            fingerprint = fingerprint.clone().with(HOOK_FACT, hex(&Sha256::digest(&kept)));
            STANDARD.encode(&kept)
        });
        let seed = sequence.seed();
        Self { version: VERSION, seed, epoch, next_batch, hook, left_out, fingerprint }
    }

    /// Checks that this state belongs to a sequence, and gives the sequence back what its hook kept: for its batches to be
    /// asked for one by one; [`Loader::resume`](crate::Loader::resume) does it by itself.
    ///
    /// # Errors
    /// Refuses a state of another data set or plan, saying what changed, and a damaged one.
    pub fn restore(&self, sequence: &mut dyn Sequence) -> Result<(), ResumeError> {
        let Self { version, seed: _, epoch, next_batch, hook, left_out: _, fingerprint } = self;
        if *version != VERSION {
            return Err(ResumeError::Version { found: *version, expected: VERSION });
        }
        let mut now = facts(sequence);
        let hash = fingerprint.facts().get(HOOK_FACT);
        if let Some(hash) = hash {
            now = now.with(HOOK_FACT, hash);
        }
        let changes = fingerprint.changes(&now);
        if !changes.is_empty() {
            return Err(ResumeError::Changed { changes });
        }
        if sequence.global_len() < *next_batch {
            return Err(ResumeError::Beyond { next_batch: *next_batch, len: sequence.global_len() });
        }
        if i64::MAX as u64 <= *epoch {
            return Err(ResumeError::Damaged(format!("epoch {epoch} cannot be reached")));
        }
        match (hook, hash) {
            (None, None) => Ok(()),
            (Some(text), Some(hash)) => {
                let kept = STANDARD.decode(text).map_err(|error| ResumeError::Damaged(error.to_string()))?;
                let found = hex(&Sha256::digest(&kept));
                if found != *hash {
                    return Err(ResumeError::Damaged(format!(
                        "the sha256 of what the hook keeps is {found}, {hash} was stored"
                    )));
                }
                sequence.restore(&kept).map_err(ResumeError::Restore)
            }
            _ => Err(ResumeError::Damaged("the state and its hash are not both there".to_owned())),
        }
    }
}
