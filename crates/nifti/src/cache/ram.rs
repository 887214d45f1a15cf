//! Entries in memory, under a budget of bytes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use batchwright_core::ALIGNMENT;

use super::CacheStatistics;
use super::flight::{Flights, Shelf, find_or_make, lock};
use super::key::Key;
use super::memory::Memory;
use super::source::Source;
use super::voxels::Voxels;
use crate::error::Error;

/// Decoded volumes in memory.
///
/// Before memory is taken for a volume, entries that nobody uses leave, the longest unused first, until it fits into the
/// budget; the pages of one of them become those of the new volume. What is in use stays: where that alone is more than
/// the budget allows, the budget is exceeded by it, which is at most one volume for each thread that holds one.
#[derive(Debug)]
pub(super) struct Ram(Mutex<State>);

#[derive(Debug)]
struct State {
    budget: u64,
    entries: BTreeMap<Key, Entry>,
    flights: Flights,
    /// Counts up with every use: the order of uses.
    uses: u64,
    /// Bytes of entries and of volumes that are being decoded.
    held: u64,
    statistics: CacheStatistics,
}

#[derive(Debug)]
struct Entry {
    voxels: Arc<Voxels>,
    used: u64,
}

impl Ram {
    pub(super) fn new(budget: u64) -> Self {
        Self(Mutex::new(State {
            budget,
            entries: BTreeMap::new(),
            flights: Flights::default(),
            uses: 0,
            held: 0,
            statistics: CacheStatistics::default(),
        }))
    }

    pub(super) fn voxels(&self, key: &Key, source: &impl Source) -> Result<Arc<Voxels>, Error> {
        find_or_make(&self.0, key, || {
            let facts = source.facts();
            // What is decoded in front of the voxels leaves them aligned.
            let start = source.head_room().next_multiple_of(ALIGNMENT);
            let bytes = facts.bytes_behind(start)?;
            let mut room = Room { ram: self, bytes: bytes as u64 };
            let mut memory = room.memory(bytes)?;
            source.decode(memory.bytes_mut(), start)?;
            let voxels = Arc::new(Voxels::in_memory(facts, memory, start));
            // It counts as the entry's from now on.
            room.bytes = 0;
            Ok(voxels)
        })
    }

    /// Returns whether an entry is there, or being made.
    pub(super) fn has(&self, key: &Key) -> bool {
        let mut state = lock(&self.0);
        state.entries.contains_key(key) || state.flights().has(key)
    }

    pub(super) fn statistics(&self) -> CacheStatistics {
        let state = lock(&self.0);
        CacheStatistics { entries: state.entries.len() as u64, bytes: state.held, ..state.statistics }
    }
}

/// Bytes that are counted for a volume until it is an entry.
struct Room<'a> {
    ram: &'a Ram,
    bytes: u64,
}

impl Room<'_> {
    /// Counts the bytes, makes entries leave for them, and returns memory for them.
    fn memory(&mut self, bytes: usize) -> Result<Memory, Error> {
        let failed = |error| Error::Memory { bytes: bytes as u64, source: error };
        let mut left = {
            let mut state = lock(&self.ram.0);
            state.statistics.decoded += 1;
            let mut left = state.make_room(self.bytes);
            // The pages of the one whose length is nearest serve again. The others go while the lock is held: nobody takes
            // the room that they leave before they have left.
            left.sort_by_key(|memory| memory.bytes().len().abs_diff(bytes));
            left.truncate(1);
            state.held += self.bytes;
            state.statistics.most_bytes = state.statistics.most_bytes.max(state.held);
            left
        };
        match left.pop() {
            Some(memory) => memory.resized(bytes).map_err(failed),
            None => Memory::new(bytes).map_err(failed),
        }
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        lock(&self.ram.0).held -= self.bytes;
    }
}

impl State {
    /// Makes unused entries leave until `bytes` more fit into the budget, and returns their memory.
    fn make_room(&mut self, bytes: u64) -> Vec<Memory> {
        let mut left = Vec::new();
        while self.budget < self.held.saturating_add(bytes) {
            // Nobody can take a second reference while this lock is held, unless they have one.
            let unused = self.entries.iter().filter(|(_, entry)| Arc::strong_count(&entry.voxels) == 1);
            let Some(key) = unused.min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone()) else {
                break;
            };
            let entry = self.entries.remove(&key).expect("its key was just found");
            self.held -= entry.voxels.held_bytes() as u64;
            self.statistics.evicted += 1;
            left.extend(Arc::into_inner(entry.voxels).and_then(Voxels::into_memory));
        }
        left
    }
}

impl Shelf for State {
    fn find(&mut self, key: &Key) -> Option<Arc<Voxels>> {
        let entry = self.entries.get_mut(key)?;
        self.uses += 1;
        entry.used = self.uses;
        self.statistics.hits += 1;
        Some(Arc::clone(&entry.voxels))
    }

    fn keep(&mut self, key: &Key, made: &Arc<Voxels>) {
        self.uses += 1;
        self.entries.insert(key.clone(), Entry { voxels: Arc::clone(made), used: self.uses });
    }

    fn flights(&mut self) -> &mut Flights {
        &mut self.flights
    }

    fn count_wait(&mut self) {
        self.statistics.waited += 1;
    }
}
