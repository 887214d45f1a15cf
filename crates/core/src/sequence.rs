//! Batches by index: the contract of Keras' `Sequence`.

use crate::batch::Batch;
use crate::error::BoxError;
use crate::fingerprint::Fingerprint;
use crate::slots::Slots;

/// Batches by index: the contract of Keras' `Sequence`.
///
/// The laws, which `testing::check_sequence` (feature `testing`) tries on any implementation:
///
/// 1. [`get`](Sequence::get) is a function of its arguments, of what the sequence was made of, and of what its hook
///    keeps: the same batch from any thread, at any time, in any order.
/// 2. [`len`](Sequence::len) does not change within a run.
/// 3. What the hook keeps is all in [`state`](Sequence::state), and [`restore`](Sequence::restore) brings it back.
///
/// [`Batches`](crate::Batches) makes one out of a [`Dataset`](crate::Dataset) and a [`Sampler`](crate::Sampler). Written
/// by hand, it needs `len` and `get`.
pub trait Sequence: Send + Sync {
    /// Returns the number of batches of an epoch.
    fn len(&self) -> usize;

    /// Returns whether an epoch has no batch.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of batches of an epoch over all ranks of a distributed run; [`len`](Sequence::len) by default.
    fn global_len(&self) -> usize {
        self.len()
    }

    /// Returns batch `index` of `epoch`. May panic if `self.len() <= index`, as a slice does.
    ///
    /// # Errors
    /// Says why there is no such batch; the loader passes the error on in the batch's place.
    fn get(&self, epoch: u64, index: usize) -> Result<Batch, BoxError>;

    /// Runs once at the end of each epoch: after its last batch was taken, when no thread reads from the sequence, before
    /// anything of the next epoch is read. Does nothing by default.
    ///
    /// An order that changes with the epoch needs no hook: `get` knows the epoch.
    fn on_epoch_end(&mut self, _epoch: u64) {}

    /// Returns whether [`on_epoch_end`](Sequence::on_epoch_end) does anything. If not, which is the default, the loader
    /// reads across the border of epochs; if so, it waits there.
    fn has_epoch_hook(&self) -> bool {
        false
    }

    /// Returns what the hook keeps, as bytes for a checkpoint. Nothing by default.
    fn state(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes back what [`state`](Sequence::state) gave.
    ///
    /// # Errors
    /// Says why the bytes are no state of this sequence.
    fn restore(&mut self, state: &[u8]) -> Result<(), BoxError> {
        if state.is_empty() { Ok(()) } else { Err("this sequence keeps no state, and was given some".into()) }
    }

    /// Returns what the batches depend on, so that a run is not resumed on other data.
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::default()
    }

    /// Returns the seed of its draws, if it has one, for the loader's state.
    fn seed(&self) -> Option<u64> {
        None
    }

    /// Returns the batches as slots that several threads can fill at once. Only [`Batches`](crate::Batches) does; a
    /// sequence written by hand is read by one thread a batch.
    fn slots(&self) -> Option<&dyn Slots> {
        None
    }
}

impl<S: Sequence + ?Sized> Sequence for Box<S> {
    fn len(&self) -> usize {
        (**self).len()
    }
    fn is_empty(&self) -> bool {
        (**self).is_empty()
    }
    fn global_len(&self) -> usize {
        (**self).global_len()
    }
    fn get(&self, epoch: u64, index: usize) -> Result<Batch, BoxError> {
        (**self).get(epoch, index)
    }
    fn on_epoch_end(&mut self, epoch: u64) {
        (**self).on_epoch_end(epoch);
    }
    fn has_epoch_hook(&self) -> bool {
        (**self).has_epoch_hook()
    }
    fn state(&self) -> Vec<u8> {
        (**self).state()
    }
    fn restore(&mut self, state: &[u8]) -> Result<(), BoxError> {
        (**self).restore(state)
    }
    fn fingerprint(&self) -> Fingerprint {
        (**self).fingerprint()
    }
    fn seed(&self) -> Option<u64> {
        (**self).seed()
    }
    fn slots(&self) -> Option<&dyn Slots> {
        (**self).slots()
    }
}
