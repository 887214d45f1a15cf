//! The loader under the model checker: `RUSTFLAGS="--cfg shuttle" cargo test -p batchwright-core --test model`.
//!
//! Every run takes another order of the threads' steps; a deadlock, a lost wake-up or a batch out of place fails.
#![cfg(shuttle)]
#![allow(clippy::unwrap_used, reason = "helpers of tests, too, fail by panicking")]

use batchwright_core::{
    Batch, BatchOptions, Batches, BoxError, Context, Dataset, Field, Loader, LoaderOptions, SampleError,
    Sequence, Sequential, Slot,
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

fn slots(workers: usize, depth: usize, take: usize) {
    let dataset = Numbers(vec![Field::new::<i64>("n", &[])]);
    let batches =
        Batches::new(dataset, Sequential::new(6), BatchOptions { batch_size: 2, ..Default::default() })
            .unwrap();
    let mut loader = Loader::new(batches, options(workers, depth));
    for at in 0..take {
        match loader.next_batch() {
            None => assert!(6 <= at),
            Some(Err(_)) => assert_eq!(at % 3, 2),
            Some(Ok(batch)) => {
                let start = (at % 3 * 2) as i64;
                assert_eq!(batch.get::<i64>("n").unwrap(), [start, start + 1]);
                assert_eq!(batch.epoch, at as u64 / 3);
            }
        }
    }
}

#[test]
fn slots_are_filled_and_delivered_in_order() {
    shuttle::check_random(|| slots(3, 2, 7), 400);
    shuttle::check_random(|| slots(2, 1, 7), 400);
    shuttle::check_pct(|| slots(2, 3, 7), 300, 3);
}

#[test]
fn a_loader_can_be_dropped_at_any_time() {
    shuttle::check_random(|| slots(2, 2, 0), 200);
    shuttle::check_random(|| slots(3, 2, 2), 200);
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
