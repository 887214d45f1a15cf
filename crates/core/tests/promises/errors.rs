//! Errors and panics arrive in their place; bad samples are left out by policy, within a budget.

use std::time::{Duration, Instant};

use batchwright_core::testing::check_sequence;
use batchwright_core::{
    Fault, LoadError, Loader, LoaderOptions, OnError, Sequence, Sequential, Shuffled, chain,
};

use crate::common::{Fate, Samples, batches, within_a_minute};

fn loader(samples: Samples, workers: usize, on_error: OnError) -> Loader {
    let n = samples.n;
    let sequence = batches(samples, Sequential::new(n), |options| options.on_error = on_error);
    Loader::new(sequence, LoaderOptions { workers, epochs: Some(1), ..LoaderOptions::default() })
}

fn indices(batch: &batchwright_core::Batch) -> Vec<i64> {
    batch.get::<i64>("index").unwrap().to_vec()
}

#[test]
fn an_error_and_a_panic_arrive_in_the_place_of_their_batch() {
    for workers in [0, 1, 4] {
        within_a_minute(move || {
            let samples = Samples::new(20).with(6, Fate::Bad).with(13, Fate::Panics).with(15, Fate::Denied);
            let mut loader = loader(samples, workers, OnError::Fail);
            assert_eq!(indices(&loader.next_batch().unwrap().unwrap()), [0, 1, 2, 3]);
            let error = loader.next_batch().unwrap().unwrap_err();
            assert_eq!(
                chain(&error),
                "cannot read sample 6 (row-6) at epoch 0, batch 1, position 6: sample 6 is broken"
            );
            assert_eq!(error.fault(), Some(Fault::Data));
            assert_eq!(loader.state().next_batch, 1, "a run goes on before the batch that was an error");
            assert_eq!(indices(&loader.next_batch().unwrap().unwrap()), [8, 9, 10, 11]);
            let error = loader.next_batch().unwrap().unwrap_err();
            assert_eq!(
                chain(&error),
                "reading sample 13 (row-13) at epoch 0, batch 3, position 13, panicked: index 13 out of luck"
            );
            assert_eq!(error.fault(), None);
            assert_eq!(indices(&loader.next_batch().unwrap().unwrap()), [16, 17, 18, 19]);
            assert!(loader.next_batch().is_none());
        });
    }
}

#[test]
fn skip_closes_the_batch_up_and_reports_what_it_left_out() {
    within_a_minute(|| {
        let samples = || Samples::new(12).with(1, Fate::Bad).with(2, Fate::Bad).with(8, Fate::Bad);
        let mut loader = loader(samples(), 3, OnError::Skip { budget: 3 });
        assert_eq!(indices(&loader.next_batch().unwrap().unwrap()), [0, 3]);
        assert_eq!(indices(&loader.next_batch().unwrap().unwrap()), [4, 5, 6, 7]);
        let last = loader.next_batch().unwrap().unwrap();
        assert_eq!(indices(&last), [9, 10, 11]);
        assert_eq!(last.samples.iter().map(|sample| sample.index).collect::<Vec<_>>(), [9, 10, 11]);
        assert_eq!(last.get::<u8>("bytes").unwrap()[10..20], [10; 10]);
        let left_out: Vec<_> = loader.left_out().iter().map(|left_out| left_out.index).collect();
        assert_eq!(left_out, [1, 2, 8]);
        assert_eq!(loader.left_out()[2].error, "sample 8 is broken");
        assert_eq!(loader.state().left_out, loader.left_out());
        check_sequence(move || {
            batches(samples(), Shuffled::new(12), |options| options.on_error = OnError::Skip { budget: 3 })
        });
    });
}

#[test]
fn substitute_fills_the_place_the_same_way_for_any_number_of_workers() {
    within_a_minute(|| {
        let samples = || Samples::new(12).with(1, Fate::Bad).with(2, Fate::Bad).with(3, Fate::Bad);
        let make = || {
            batches(samples(), Shuffled::new(12), |options| {
                options.on_error = OnError::Substitute { budget: 3 };
            })
        };
        check_sequence(make);
        for epoch in 0..20 {
            for index in 0..3 {
                let batch = make().get(epoch, index).unwrap();
                assert_eq!(batch.len(), 4);
                assert!(indices(&batch).iter().all(|index| !(1..=3).contains(index)));
                for (sample, index) in batch.samples.iter().zip(indices(&batch)) {
                    assert_eq!(sample.index as i64, index);
                }
            }
        }
    });
}

#[test]
fn the_budget_counts_different_samples_and_stops_the_run() {
    within_a_minute(|| {
        let samples = Samples::new(8).with(1, Fate::Bad).with(5, Fate::Bad);
        let sequence = batches(samples.clone(), Sequential::new(8), |options| {
            options.on_error = OnError::Skip { budget: 2 };
        });
        let mut patient =
            Loader::new(sequence, LoaderOptions { epochs: Some(5), ..LoaderOptions::default() });
        while let Some(batch) = patient.next_batch() {
            assert_eq!(batch.unwrap().len(), 3);
        }
        assert_eq!(patient.left_out().iter().map(|left_out| left_out.times).collect::<Vec<_>>(), [5, 5]);

        let mut strict = loader(samples, 2, OnError::Skip { budget: 1 });
        assert_eq!(strict.next_batch().unwrap().unwrap().len(), 3);
        let error = strict.next_batch().unwrap().unwrap_err();
        assert_eq!(
            error.to_string(),
            "2 samples had to be left out, the budget is 1; the last one, sample 5 (row-5), failed with: sample 5 is broken"
        );
        // What was not delivered is in no state: a run that goes on meets it again.
        let state = strict.state();
        assert_eq!((state.next_batch, state.left_out.len()), (1, 1));
        assert!(matches!(strict.next_batch(), Some(Err(LoadError::Closed))));
        assert!(strict.next_batch().is_none());
        assert_eq!(strict.epoch().count(), 0);
        let sequence =
            batches(Samples::new(8).with(1, Fate::Bad).with(5, Fate::Bad), Sequential::new(8), |options| {
                options.on_error = OnError::Skip { budget: 1 }
            });
        let mut resumed = Loader::resume(sequence, LoaderOptions::default(), &state).unwrap();
        assert!(matches!(resumed.next_batch(), Some(Err(LoadError::Budget { left_out: 2, budget: 1, .. }))));
    });
}

#[test]
fn errors_of_the_environment_and_of_unstable_reads_stop_the_run_whatever_the_policy() {
    within_a_minute(|| {
        let mut denied = loader(Samples::new(4).with(2, Fate::Denied), 1, OnError::Skip { budget: 9 });
        let error = denied.next_batch().unwrap().unwrap_err();
        assert_eq!(error.fault(), Some(Fault::Environment));
        assert!(chain(&error).contains("cannot open scan.nii: permission denied"), "{}", chain(&error));
        let mut flaky = loader(Samples::new(4).with(2, Fate::Flaky), 1, OnError::Skip { budget: 9 });
        let error = flaky.next_batch().unwrap().unwrap_err();
        assert_eq!(
            error.to_string(),
            "sample 2 (row-2) at epoch 0, batch 0, position 2, failed with `read error at byte 7`, and on a second read \
             succeeded; it is not left out, because its data cannot be trusted"
        );
    });
}

#[test]
fn when_no_substitute_can_be_read_it_is_an_error() {
    within_a_minute(|| {
        let samples = (0..5).fold(Samples::new(5), |samples, index| samples.with(index, Fate::Bad));
        let mut loader = loader(samples, 2, OnError::Substitute { budget: 1000 });
        let error = loader.next_batch().unwrap().unwrap_err();
        assert!(matches!(error, LoadError::NoSubstitute { tries: 100, .. }), "{error}");
    });
}

#[test]
fn a_time_out_says_which_sample_is_being_read() {
    within_a_minute(|| {
        let samples = Samples::new(8).with(5, Fate::Slow(Duration::from_secs(3)));
        let sequence = batches(samples, Sequential::new(8), |_| ());
        let options = LoaderOptions {
            workers: 2,
            timeout: Some(Duration::from_millis(200)),
            epochs: Some(1),
            grace: Duration::ZERO,
            ..LoaderOptions::default()
        };
        let mut loader = Loader::new(sequence, options);
        loader.next_batch().unwrap().unwrap();
        let start = Instant::now();
        let error = loader.next_batch().unwrap().unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(2));
        let text = error.to_string();
        assert!(text.starts_with("the batch of epoch 0, batch 1 did not arrive within "), "{text}");
        assert!(
            text.contains("row-5") && text.contains("sample 5 at epoch 0, batch 1, position 5"),
            "{text}"
        );
        // The stuck thread is named and left behind, not waited for.
        let left_behind = loader.close();
        assert_eq!(left_behind.len(), 1, "{left_behind:?}");
        assert!(left_behind[0].contains("sample 5"), "{left_behind:?}");
        assert!(start.elapsed() < Duration::from_secs(2));
    });
}

/// Batches behind a sequence written by hand, as a user may wrap them.
struct Wrapped(batchwright_core::Batches<Samples>);

impl Sequence for Wrapped {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn get(&self, epoch: u64, index: usize) -> Result<batchwright_core::Batch, batchwright_core::BoxError> {
        self.0.get(epoch, index)
    }
}

#[test]
fn a_sequence_around_batches_keeps_their_policy_and_budget() {
    within_a_minute(|| {
        let make = |budget| {
            let samples = Samples::new(8).with(1, Fate::Bad).with(5, Fate::Bad);
            Wrapped(batches(samples, Sequential::new(8), |options| {
                options.on_error = OnError::Skip { budget }
            }))
        };
        let options = LoaderOptions { epochs: Some(1), ..LoaderOptions::default() };
        let mut loader = Loader::new(make(2), options.clone());
        assert_eq!(std::iter::from_fn(|| loader.next_batch()).flatten().count(), 2);
        assert_eq!(loader.left_out().len(), 2);
        let mut loader = Loader::new(make(1), options);
        assert!(loader.next_batch().unwrap().is_ok());
        assert!(matches!(loader.next_batch(), Some(Err(LoadError::Budget { .. }))));
    });
}

/// A data set whose classes cannot be told twice.
struct Fickle(Samples, std::sync::atomic::AtomicUsize);

impl batchwright_core::Dataset for Fickle {
    fn len(&self) -> usize {
        4
    }
    fn fields(&self) -> &[batchwright_core::Field] {
        self.0.fields()
    }
    fn write(
        &self,
        index: usize,
        slot: &mut batchwright_core::Slot<'_>,
        context: &batchwright_core::Context<'_>,
    ) -> Result<(), batchwright_core::SampleError> {
        self.0.write(index, slot, context)
    }
    fn class(&self, _: usize) -> Option<u32> {
        assert!(self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 4, "asked too often");
        Some(0)
    }
}

#[test]
fn a_panic_outside_of_reading_is_an_error_too() {
    within_a_minute(|| {
        let options = batchwright_core::BatchOptions {
            batch_size: 4,
            class_weight: Some([(0, 1.0)].into()),
            ..Default::default()
        };
        let fickle = Fickle(Samples::new(4), std::sync::atomic::AtomicUsize::default());
        let sequence = batchwright_core::Batches::new(fickle, Sequential::new(4), options).unwrap();
        let mut loader = Loader::new(sequence, LoaderOptions::default());
        let error = loader.next_batch().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "making the batch of epoch 0, batch 0 panicked: asked too often");
    });
}
