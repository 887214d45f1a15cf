//! A run can be cut anywhere and goes on the same.

use std::sync::Mutex;

use batchwright_core::testing::{check_sequence, digest};
use batchwright_core::{
    Batch, BoxError, Field, Loader, LoaderOptions, LoaderState, Rank, ResumeError, Sequence, Shuffled,
};
use proptest::prelude::*;

use crate::common::{Samples, batches, within_a_minute};

fn options(workers: usize) -> LoaderOptions {
    LoaderOptions { workers, max_queue_size: 3, epochs: Some(3), ..LoaderOptions::default() }
}

fn rest(loader: &mut Loader) -> Vec<String> {
    std::iter::from_fn(|| loader.next_batch()).map(|batch| digest(&batch.unwrap())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn a_run_cut_several_times_is_the_run(
        n in 1_usize..40, batch_size in 1_usize..9,
        cuts in proptest::collection::vec((0_usize..20, 0_usize..5), 1..5),
    ) {
        within_a_minute(move || {
            let make = || batches(Samples::new(n), Shuffled::new(n), |options| options.batch_size = batch_size);
            let whole = rest(&mut Loader::new(make(), options(0)));
            let mut parts = Vec::new();
            let mut state: Option<String> = None;
            for (steps, workers) in cuts {
                let mut loader = match &state {
                    None => Loader::new(make(), options(workers)),
                    Some(text) => {
                        let state: LoaderState = serde_json::from_str(text).unwrap();
                        Loader::resume(make(), options(workers), &state).unwrap()
                    }
                };
                parts.extend((0..steps).map_while(|_| loader.next_batch()).map(|batch| digest(&batch.unwrap())));
                state = Some(serde_json::to_string(&loader.state()).unwrap());
            }
            let state: LoaderState = serde_json::from_str(&state.unwrap()).unwrap();
            parts.extend(rest(&mut Loader::resume(make(), options(2), &state).unwrap()));
            assert_eq!(parts, whole);
        });
    }
}

#[test]
fn the_state_taken_at_the_end_of_an_epoch_goes_on_with_the_next() {
    let make = || batches(Samples::new(8), Shuffled::new(8), |_| ());
    let mut loader = Loader::new(make(), options(2));
    loader.next_batch().unwrap().unwrap();
    loader.next_batch().unwrap().unwrap();
    let state = loader.state();
    assert_eq!((state.epoch, state.next_batch), (0, 2));
    let mut resumed = Loader::resume(make(), options(1), &state).unwrap();
    let next = resumed.next_batch().unwrap().unwrap();
    assert_eq!((next.epoch, next.index), (1, 0));
    assert_eq!(rest(&mut resumed).len(), 3);
}

#[test]
fn a_changed_data_set_or_plan_is_refused_with_what_changed() {
    let state = Loader::new(batches(Samples::new(8), Shuffled::new(8), |_| ()), options(1)).state();
    let mut other = Samples::new(9);
    other.name = "others";
    let sequence = batches(other, Shuffled::new(9), |options| options.seed = 43);
    let error = Loader::resume(sequence, options(1), &state).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the data set or the plan has changed: data.name: was samples, is others; data.samples: was 8, is 9; \
         plan.positions: was 8, is 9; plan.seed: was 42, is 43"
    );
    // Another number of ranks or workers is no change.
    let rank = Rank { index: 1, world: 2 };
    let sequence = batches(Samples::new(8), Shuffled::new(8), |options| options.rank = rank);
    assert!(Loader::resume(sequence, options(7), &state).is_ok());
    let mut beyond = state.clone();
    beyond.next_batch = 3;
    let sequence = batches(Samples::new(8), Shuffled::new(8), |_| ());
    assert!(matches!(Loader::resume(sequence, options(1), &beyond), Err(ResumeError::Beyond { .. })));
}

/// A sequence whose hook changes what comes next: it counts the epochs it has seen end, and the batches say so.
struct Counting {
    ended: u64,
    reads_while_hook: Mutex<Vec<(u64, u64)>>,
    resumed: bool,
}

impl Counting {
    fn new() -> Self {
        Self { ended: 0, reads_while_hook: Mutex::default(), resumed: false }
    }
}

impl Sequence for Counting {
    fn len(&self) -> usize {
        4
    }

    fn get(&self, epoch: u64, index: usize) -> Result<Batch, BoxError> {
        self.reads_while_hook.lock().unwrap().push((epoch, self.ended));
        let mut batch = Batch::zeroed(vec![Field::new::<i64>("value", &[])], 1)?;
        batch.get_mut::<i64>("value")?[0] = (self.ended * 100) as i64 + (epoch * 10) as i64 + index as i64;
        Ok(batch)
    }

    fn on_epoch_end(&mut self, epoch: u64) {
        // Nothing of the next epoch was read before this call, and all of this one was (what a resumed run has to read).
        let reads = self.reads_while_hook.get_mut().unwrap();
        assert!(!reads.is_empty() || self.resumed);
        assert!(reads.iter().all(|&(read, ended)| read == epoch && ended == self.ended));
        reads.clear();
        self.ended += epoch + 1;
    }

    fn has_epoch_hook(&self) -> bool {
        true
    }

    fn state(&self) -> Vec<u8> {
        self.ended.to_le_bytes().to_vec()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), BoxError> {
        self.ended = u64::from_le_bytes(state.try_into()?);
        self.resumed = true;
        Ok(())
    }
}

#[test]
fn the_hook_runs_once_an_epoch_between_its_batches_and_the_next_ones() {
    within_a_minute(|| {
        for workers in [0, 1, 3, 8] {
            let mut loader = Loader::new(Counting::new(), options(workers));
            let mut values = Vec::new();
            while let Some(batch) = loader.next_batch() {
                values.push(batch.unwrap().get::<i64>("value").unwrap()[0]);
            }
            assert_eq!(values, [0, 1, 2, 3, 110, 111, 112, 113, 320, 321, 322, 323], "{workers} workers");
            // Also after the last epoch: 1 + 2 + 3.
            let state = loader.state();
            assert_eq!((state.epoch, state.next_batch, state.hook.as_deref()), (3, 0, Some("BgAAAAAAAAA=")));
            assert!(loader.next_batch().is_none());
            assert_eq!(loader.state(), state);
        }
    });
}

#[test]
fn what_a_hook_keeps_is_part_of_the_state() {
    within_a_minute(|| {
        // The hook's state differs within the epochs; the check cuts after every batch.
        check_sequence(|| {
            let mut counting = Counting::new();
            counting.ended = 0;
            counting
        });
        let mut loader = Loader::new(Counting::new(), options(2));
        for _ in 0..5 {
            loader.next_batch().unwrap().unwrap();
        }
        let state = loader.state();
        assert!(state.fingerprint.facts().contains_key("hook.sha256"));
        let mut damaged = state.clone();
        damaged.hook = Some("AAAAAAAAAAA=".to_owned());
        let error = Loader::resume(Counting::new(), options(2), &damaged).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the stored state is damaged: the sha256 of what the hook keeps is"),
            "{error}"
        );
    });
}

struct Fragile;

impl Sequence for Fragile {
    fn len(&self) -> usize {
        2
    }

    fn get(&self, epoch: u64, index: usize) -> Result<Batch, BoxError> {
        match (epoch, index) {
            (0, 0) => Err("no such batch".into()),
            (0, 1) => panic!("slipped"),
            _ => Batch::zeroed(vec![Field::new::<u8>("x", &[])], 1),
        }
    }

    fn on_epoch_end(&mut self, epoch: u64) {
        assert!(epoch == 0, "hook slipped");
    }

    fn has_epoch_hook(&self) -> bool {
        true
    }
}

#[test]
fn errors_and_panics_of_a_handwritten_sequence_arrive_in_their_place() {
    within_a_minute(|| {
        for workers in [0, 2] {
            let mut loader = Loader::new(Fragile, options(workers));
            let next =
                |loader: &mut Loader| batchwright_core::chain(&loader.next_batch().unwrap().unwrap_err());
            assert_eq!(next(&mut loader), "cannot make the batch of epoch 0, batch 0: no such batch");
            assert_eq!(next(&mut loader), "making the batch of epoch 0, batch 1 panicked: slipped");
            assert!(loader.next_batch().unwrap().is_ok());
            assert!(loader.next_batch().unwrap().is_ok());
            assert_eq!(next(&mut loader), "the hook at the end of epoch 1 panicked: hook slipped");
            // The state is that before the hook: a run that goes on runs it again.
            assert_eq!((loader.state().epoch, loader.state().next_batch), (1, 2));
            assert_eq!(next(&mut loader), "the loader was closed by an earlier error");
            assert!(loader.next_batch().is_none());
        }
    });
}

#[test]
fn the_end_of_an_epoch_is_that_of_all_ranks() {
    // 9 samples in batches of 4: one rank has three batches, three of four ranks have two.
    let make = |index, world| {
        batches(Samples::new(9), Shuffled::new(9), |options| options.rank = Rank { index, world })
    };
    let mut one = Loader::new(make(0, 1), options(1));
    assert_eq!((0..3).map_while(|_| one.next_batch()).count(), 3);
    let state = one.state();
    assert_eq!(state.next_batch, 3);
    for index in 0..4 {
        let mut rank = Loader::resume(make(index, 4), options(1), &state).unwrap();
        assert_eq!(rank.next_batch().unwrap().unwrap().epoch, 1, "rank {index}");
    }
    let mut rank = Loader::new(make(0, 4), options(1));
    assert_eq!((0..2).map_while(|_| rank.next_batch()).count(), 2);
    let mut one = Loader::resume(make(0, 1), options(1), &rank.state()).unwrap();
    assert_eq!(one.next_batch().unwrap().unwrap().epoch, 1, "no sample of the ended epoch comes again");
}

#[test]
fn what_becomes_of_uneven_ends_is_part_of_the_plan() {
    let make = |uneven| batches(Samples::new(9), Shuffled::new(9), |options| options.uneven = uneven);
    let state = Loader::new(make(batchwright_core::Uneven::Exact), options(1)).state();
    let error = Loader::resume(make(batchwright_core::Uneven::Drop), options(1), &state).unwrap_err();
    assert!(error.to_string().ends_with("plan.uneven: was exact, is drop for 1 ranks"), "{error}");
}

#[test]
fn a_sequence_that_always_fails_keeps_the_laws() {
    struct Failing;
    impl Sequence for Failing {
        fn len(&self) -> usize {
            1
        }
        fn get(&self, _: u64, _: usize) -> Result<Batch, BoxError> {
            Err("no".into())
        }
    }
    within_a_minute(|| check_sequence(|| Failing));
}
