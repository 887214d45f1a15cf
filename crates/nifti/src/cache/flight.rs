//! One maker of an entry, while others wait for what it makes.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::key::Key;
use super::voxels::Voxels;
use crate::error::Error;

/// The entries that are being made.
#[derive(Debug, Default)]
pub(super) struct Flights(BTreeMap<Key, Arc<Flight>>);

impl Flights {
    pub(super) fn has(&self, key: &Key) -> bool {
        self.0.contains_key(key)
    }
}

#[derive(Debug, Default)]
struct Flight {
    outcome: Mutex<Option<Outcome>>,
    landed: Condvar,
}

#[derive(Clone, Debug)]
enum Outcome {
    Made(Arc<Voxels>),
    Failed(Arc<Error>),
    /// Its maker has panicked; somebody else may try.
    Abandoned,
}

/// What holds entries, and which of them are being made.
pub(super) trait Shelf {
    /// Returns an entry that is there.
    fn find(&mut self, key: &Key) -> Option<Arc<Voxels>>;
    /// Puts down an entry that was made.
    fn keep(&mut self, key: &Key, made: &Arc<Voxels>);
    /// Returns which are being made.
    fn flights(&mut self) -> &mut Flights;
    /// Counts somebody who waits for another's work.
    fn count_wait(&mut self);
}

/// Returns the entry of `key`: the one that is there, or the one that another thread is making, or the one that `make`
/// makes. An error goes to all who wait for it, and is forgotten then: the next caller tries again.
///
/// The wait is for a condition variable; `make` runs on the calling thread, without the lock.
pub(super) fn find_or_make<S: Shelf>(
    shelf: &Mutex<S>,
    key: &Key,
    make: impl FnOnce() -> Result<Arc<Voxels>, Error>,
) -> Result<Arc<Voxels>, Error> {
    loop {
        let mut guard = lock(shelf);
        if let Some(voxels) = guard.find(key) {
            return Ok(voxels);
        }
        if let Some(flight) = guard.flights().0.get(key) {
            let flight = Arc::clone(flight);
            guard.count_wait();
            drop(guard);
            match flight.wait() {
                Outcome::Made(voxels) => return Ok(voxels),
                Outcome::Failed(error) => return Err(Error::Shared(error)),
                Outcome::Abandoned => continue,
            }
        }
        let flight = Arc::new(Flight::default());
        guard.flights().0.insert(key.clone(), Arc::clone(&flight));
        drop(guard);
        let mut pilot = Pilot { shelf, key, flight, outcome: Outcome::Abandoned };
        return match make() {
            Ok(voxels) => {
                pilot.outcome = Outcome::Made(Arc::clone(&voxels));
                drop(pilot);
                Ok(voxels)
            }
            Err(error) => {
                let error = Arc::new(error);
                pilot.outcome = Outcome::Failed(Arc::clone(&error));
                drop(pilot);
                // Nobody waited, or all have gone: the error as it was.
                Err(Arc::try_unwrap(error).unwrap_or_else(Error::Shared))
            }
        };
    }
}

/// Locks; a panic elsewhere leaves what we lock whole, because it is changed in single steps.
pub(super) fn lock<S>(mutex: &Mutex<S>) -> MutexGuard<'_, S> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Flight {
    fn wait(&self) -> Outcome {
        let outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        let landed = self.landed.wait_while(outcome, |outcome| outcome.is_none());
        landed.unwrap_or_else(PoisonError::into_inner).clone().expect("waited until it is there")
    }
}

/// Says how the work ended, whatever way it ended.
struct Pilot<'a, S: Shelf> {
    shelf: &'a Mutex<S>,
    key: &'a Key,
    flight: Arc<Flight>,
    outcome: Outcome,
}

impl<S: Shelf> Drop for Pilot<'_, S> {
    fn drop(&mut self) {
        let mut shelf = lock(self.shelf);
        shelf.flights().0.remove(self.key);
        if let Outcome::Made(voxels) = &self.outcome {
            shelf.keep(self.key, voxels);
        }
        drop(shelf);
        *lock(&self.flight.outcome) = Some(self.outcome.clone());
        self.flight.landed.notify_all();
    }
}
