//! Threads come and go as promised; samples of one batch are read at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use batchwright_core::{Context, Dataset, Field, Loader, LoaderOptions, SampleError, Sequential, Slot};

use crate::common::{Fate, Samples, Sleepy, batches, within_a_minute};

/// Counts how many samples are read at once.
#[derive(Clone)]
struct Crowd {
    fields: Vec<Field>,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    opened: Arc<AtomicUsize>,
}

impl Dataset for Crowd {
    fn len(&self) -> usize {
        64
    }
    fn fields(&self) -> &[Field] {
        &self.fields
    }
    fn write(&self, index: usize, slot: &mut Slot<'_>, _: &Context<'_>) -> Result<(), SampleError> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        self.opened.fetch_max(index, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(5));
        slot.get::<i64>(0)[0] = index as i64;
        self.now.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }
}

fn crowd() -> Crowd {
    Crowd {
        fields: vec![Field::new::<i64>("index", &[])],
        now: Arc::default(),
        most: Arc::default(),
        opened: Arc::default(),
    }
}

fn loader(crowd: &Crowd, workers: usize, depth: usize) -> Loader {
    let options = batchwright_core::BatchOptions { batch_size: 8, ..Default::default() };
    let sequence = batchwright_core::Batches::new(crowd.clone(), Sequential::new(64), options).unwrap();
    Loader::new(
        sequence,
        LoaderOptions { workers, max_queue_size: depth, epochs: Some(1), ..Default::default() },
    )
}

#[test]
fn several_threads_fill_one_batch() {
    within_a_minute(|| {
        let crowd = crowd();
        let mut loader = loader(&crowd, 8, 1);
        loader.next_batch().unwrap().unwrap();
        assert!(4 <= crowd.most.load(Ordering::SeqCst));
    });
}

#[test]
fn the_queue_is_bounded() {
    within_a_minute(|| {
        for depth in [1, 3] {
            let crowd = crowd();
            let mut loader = loader(&crowd, 4, depth);
            loader.next_batch().unwrap().unwrap();
            std::thread::sleep(Duration::from_millis(300));
            // One batch taken, `depth` read ahead.
            assert_eq!(crowd.opened.load(Ordering::SeqCst), (1 + depth) * 8 - 1, "depth {depth}");
            assert_eq!(loader.by_ref_count(), 7);
        }
    });
}

trait Count {
    fn by_ref_count(&mut self) -> usize;
}

impl Count for Loader {
    fn by_ref_count(&mut self) -> usize {
        std::iter::from_fn(|| self.next_batch()).count()
    }
}

#[test]
fn dropping_a_loader_ends_its_threads_wherever_it_stands() {
    within_a_minute(|| {
        for taken in [0, 1, 5, 8] {
            let crowd = crowd();
            let mut loader = loader(&crowd, 6, 2);
            for _ in 0..taken {
                loader.next_batch().unwrap().unwrap();
            }
            let start = Instant::now();
            drop(loader);
            assert!(start.elapsed() < Duration::from_secs(1));
            assert_eq!(crowd.now.load(Ordering::SeqCst), 0, "nothing is read after the drop");
            assert_eq!(Arc::strong_count(&crowd.now), 1, "the threads and their data set are gone");
        }
    });
}

#[test]
fn a_drop_waits_for_the_calls_in_hand_and_no_longer() {
    within_a_minute(|| {
        let samples = Samples::new(4).with(2, Fate::Slow(Duration::from_millis(400)));
        let loader = Loader::new(batches(samples, Sequential::new(4), |_| ()), LoaderOptions::default());
        std::thread::sleep(Duration::from_millis(50));
        let start = Instant::now();
        assert!(loader.close().is_empty());
        assert!(start.elapsed() < Duration::from_secs(2));
    });
}

#[test]
fn statistics_say_who_waits_for_whom() {
    within_a_minute(|| {
        let crowd = crowd();
        let mut loader = loader(&crowd, 1, 2);
        while loader.next_batch().is_some() {}
        let statistics = loader.statistics();
        assert_eq!((statistics.batches, statistics.samples), (8, 64));
        assert!(Duration::from_millis(300) < statistics.reading);
        assert!(0.8 < statistics.waiting(), "{statistics:?}");
        assert!(
            statistics.bottleneck().starts_with("reading: 1 workers were busy"),
            "{}",
            statistics.bottleneck()
        );
        assert!(statistics.first_batch.is_some());
    });
}

#[test]
fn a_call_of_a_handwritten_sequence_that_does_not_return_is_named_and_left_behind() {
    within_a_minute(|| {
        let options = LoaderOptions {
            workers: 2,
            timeout: Some(Duration::from_millis(100)),
            grace: Duration::ZERO,
            ..LoaderOptions::default()
        };
        let mut loader = Loader::new(Sleepy(Duration::from_secs(3)), options);
        let start = Instant::now();
        let error = loader.next_batch().unwrap().unwrap_err().to_string();
        assert!(
            error.contains("worker 0: epoch 0, batch ") && error.contains("worker 1: epoch 0"),
            "{error}"
        );
        let left_behind = loader.close();
        assert_eq!(left_behind.len(), 2, "{left_behind:?}");
        assert!(start.elapsed() < Duration::from_secs(2));
    });
}

#[test]
fn a_drop_does_not_wait_for_the_rest_of_a_batch() {
    within_a_minute(|| {
        let samples = (0..64).fold(Samples::new(64), |samples, index| {
            samples.with(index, Fate::Slow(Duration::from_millis(100)))
        });
        let sequence = batches(samples, Sequential::new(64), |options| options.batch_size = 64);
        let loader = Loader::new(sequence, LoaderOptions::default());
        std::thread::sleep(Duration::from_millis(150));
        let start = Instant::now();
        // The batch would take three seconds more; the samples in hand take a tenth of one.
        assert!(loader.close().is_empty());
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    });
}
