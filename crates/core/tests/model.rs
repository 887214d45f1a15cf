//! The loader under the model checker: `RUSTFLAGS="--cfg shuttle" cargo test -p batchwright-core --test model`.
//!
//! Every run takes another order of the threads' steps; a deadlock, a lost wake-up or a batch out of place fails.
#![cfg(shuttle)]
#![allow(clippy::unwrap_used, reason = "helpers of tests, too, fail by panicking")]

use batchwright_core::{
    Batch, BatchOptions, Batches, BoxError, Context, Dataset, Field, Loader, LoaderOptions, SampleError,
    Sequence, Sequential, Slot, Slots,
};

struct Numbers(Vec<Field>);

impl Dataset for Numbers {
    fn len(&self) -> usize {
        6
    }
    fn fields(&self) -> &[Field] {
        &self.0
    }
    fn write(&self, index: usize, slot: &mut Slot<'_>, _: &Context<'_>) -> Result<(), SampleError> {
        slot.get::<i64>(0)[0] = index as i64;
        if index == 4 { Err(SampleError::data("four is broken")) } else { Ok(()) }
    }
}

fn options(workers: usize, depth: usize) -> LoaderOptions {
    LoaderOptions { workers, max_queue_size: depth, epochs: Some(2), ..LoaderOptions::default() }
}

/// Batches of 2 wait for each other as expensive ones do; of 3, the consumer reads too (see `is_cheap` in the queue).
fn batches(batch_size: usize) -> Batches<Numbers> {
    let dataset = Numbers(vec![Field::new::<i64>("n", &[])]);
    let options = BatchOptions { batch_size, ..Default::default() };
    Batches::new(dataset, Sequential::new(6), options).unwrap()
}

fn slots(batch_size: usize, workers: usize, depth: usize, take: usize) {
    let len = 6 / batch_size;
    let mut loader = Loader::new(batches(batch_size), options(workers, depth));
    for at in 0..take {
        let start = (at % len * batch_size) as i64;
        match loader.next_batch() {
            None => assert!(2 * len <= at),
            Some(Err(_)) => assert!((start..start + batch_size as i64).contains(&4)),
            Some(Ok(batch)) => {
                assert!(batch.get::<i64>("n").unwrap().iter().copied().eq(start..start + batch_size as i64));
                assert_eq!(batch.epoch, (at / len) as u64);
            }
        }
    }
}

#[test]
fn slots_are_filled_and_delivered_in_order() {
    for batch_size in [2, 3] {
        for (workers, depth) in [(1, 1), (1, 4), (2, 1), (3, 2), (2, 3)] {
            shuttle::check_random(move || slots(batch_size, workers, depth, 7), 400);
            shuttle::check_pct(move || slots(batch_size, workers, depth, 7), 200, 3);
        }
    }
}

#[test]
fn a_loader_can_be_dropped_at_any_time() {
    for batch_size in [2, 3] {
        shuttle::check_random(move || slots(batch_size, 2, 2, 0), 300);
        shuttle::check_random(move || slots(batch_size, 3, 2, 2), 300);
    }
}

/// Slots with a hook: workers that help with a batch may still hold the sequence when the batch is delivered.
struct HookedSlots(Batches<Numbers>, u64);

impl Sequence for HookedSlots {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn get(&self, epoch: u64, index: usize) -> Result<Batch, BoxError> {
        self.0.get(epoch, index)
    }
    fn on_epoch_end(&mut self, _: u64) {
        self.1 += 1;
    }
    fn has_epoch_hook(&self) -> bool {
        true
    }
    fn state(&self) -> Vec<u8> {
        self.1.to_le_bytes().to_vec()
    }
    fn slots(&self) -> Option<&dyn Slots> {
        self.0.slots()
    }
}

#[test]
fn the_hook_waits_until_no_worker_holds_the_sequence() {
    for batch_size in [2, 3] {
        shuttle::check_random(
            move || {
                let mut loader = Loader::new(HookedSlots(batches(batch_size), 0), options(3, 2));
                let mut count = 0;
                while loader.next_batch().is_some() {
                    count += 1;
                }
                assert_eq!(count, 12 / batch_size);
                assert_eq!(loader.state().hook.as_deref(), Some("AgAAAAAAAAA="));
            },
            600,
        );
    }
}

struct Hooked(i64);

impl Sequence for Hooked {
    fn len(&self) -> usize {
        2
    }
    fn get(&self, _: u64, index: usize) -> Result<Batch, BoxError> {
        let mut batch = Batch::zeroed(vec![Field::new::<i64>("n", &[])], 1)?;
        batch.get_mut::<i64>("n")?[0] = self.0 * 10 + index as i64;
        Ok(batch)
    }
    fn on_epoch_end(&mut self, _: u64) {
        self.0 += 1;
    }
    fn has_epoch_hook(&self) -> bool {
        true
    }
}

#[test]
fn the_hook_runs_between_epochs() {
    shuttle::check_random(
        || {
            let mut loader = Loader::new(Hooked(0), options(2, 3));
            for expected in [0, 1, 10, 11] {
                let batch = loader.next_batch().unwrap().unwrap();
                assert_eq!(batch.get::<i64>("n").unwrap(), [expected]);
            }
            assert!(loader.next_batch().is_none());
        },
        400,
    );
}
