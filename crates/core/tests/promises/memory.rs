//! Memory is bounded by what the user sets.

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use batchwright_core::{
    BoxError, Heap, LastBatch, Loader, LoaderOptions, Memory, Plan, Rank, Sequential, Shuffled, Uneven,
};

use crate::common::{Samples, batches, within_a_minute};

/// The heap, counting what is taken from it.
#[derive(Debug, Default)]
struct Counting {
    now: AtomicUsize,
    most: AtomicUsize,
    total: AtomicUsize,
}

#[expect(unsafe_code, reason = "implements an unsafe trait by forwarding to the heap")]
// SAFETY: every call is passed to the heap's implementation.
unsafe impl Memory for Counting {
    fn allocate(&self, bytes: usize) -> Result<NonNull<u8>, BoxError> {
        let now = self.now.fetch_add(bytes, Ordering::SeqCst) + bytes;
        self.most.fetch_max(now, Ordering::SeqCst);
        self.total.fetch_add(1, Ordering::SeqCst);
        Heap.allocate(bytes)
    }

    unsafe fn release(&self, block: NonNull<u8>, bytes: usize) {
        self.now.fetch_sub(bytes, Ordering::SeqCst);
        // SAFETY: the block came from `allocate`, which took it from the heap with this length.
        unsafe { Heap.release(block, bytes) };
    }
}

#[test]
fn buffers_are_reused_and_bounded_by_the_queue() {
    within_a_minute(|| {
        let memory = Arc::new(Counting::default());
        let options = LoaderOptions {
            workers: 4,
            max_queue_size: 3,
            epochs: Some(50),
            memory: Arc::clone(&memory) as Arc<dyn Memory>,
            ..LoaderOptions::default()
        };
        let mut loader = Loader::new(batches(Samples::new(40), Sequential::new(40), |_| ()), options);
        let mut count = 0;
        while let Some(batch) = loader.next_batch() {
            batch.unwrap();
            count += 1;
        }
        assert_eq!(count, 500);
        // Three in the queue and one with the consumer.
        assert!(memory.total.load(Ordering::SeqCst) <= 5, "{} buffers", memory.total.load(Ordering::SeqCst));
        drop(loader);
        assert_eq!(memory.now.load(Ordering::SeqCst), 0, "all memory goes back");
    });
}

#[test]
fn a_budget_in_bytes_bounds_the_queue() {
    within_a_minute(|| {
        let memory = Arc::new(Counting::default());
        let sequence = batches(Samples::new(400), Sequential::new(400), |_| ());
        let options = LoaderOptions {
            workers: 4,
            max_queue_size: 50,
            queue_bytes: Some(600),
            memory: Arc::clone(&memory) as Arc<dyn Memory>,
            ..LoaderOptions::default()
        };
        let mut loader = Loader::new(sequence, options);
        // A batch is 64 + 64 + 64 bytes: three fit.
        assert_eq!(loader.statistics().max_depth, 3);
        for _ in 0..40 {
            loader.next_batch().unwrap().unwrap();
            std::thread::yield_now();
        }
        assert!(memory.most.load(Ordering::SeqCst) <= 5 * 192, "{}", memory.most.load(Ordering::SeqCst));
    });
}

#[test]
fn no_memory_is_an_error_and_not_an_abort() {
    #[derive(Debug)]
    struct None;
    #[expect(unsafe_code, reason = "implements an unsafe trait that gives out nothing")]
    // SAFETY: no block is ever given out.
    unsafe impl Memory for None {
        fn allocate(&self, _: usize) -> Result<NonNull<u8>, BoxError> {
            Err("the pinned heap is full".into())
        }
        unsafe fn release(&self, _: NonNull<u8>, _: usize) {}
    }
    let options = LoaderOptions { memory: Arc::new(None), ..LoaderOptions::default() };
    let mut loader = Loader::new(batches(Samples::new(4), Sequential::new(4), |_| ()), options);
    let error = loader.next_batch().unwrap().unwrap_err();
    assert_eq!(
        batchwright_core::chain(&error),
        "cannot allocate 192 bytes for the batch of epoch 0, batch 0: the pinned heap is full"
    );
}

/// Resident memory of this process in bytes, where the system tells.
fn resident() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(text.split(' ').nth(1)?.parse::<usize>().ok()? * 4096)
}

#[test]
fn a_plan_over_a_billion_samples_takes_no_memory() {
    let before = resident();
    let plan =
        Plan::new(Shuffled::new(1_000_000_000), 1, 64, LastBatch::Short, Rank::default(), Uneven::Exact)
            .unwrap();
    let mut last = 0;
    for index in (0..plan.len()).step_by(100_000) {
        last = plan.batch(7, index).last().unwrap().index;
    }
    assert!(last < 1_000_000_000);
    if let (Some(before), Some(after)) = (before, resident()) {
        assert!(after.saturating_sub(before) < 20_000_000, "{} bytes more", after - before);
    }
}
