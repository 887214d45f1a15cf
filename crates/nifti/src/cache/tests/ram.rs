//! Volumes in memory.

use std::sync::Barrier;
use std::thread;

use batchwright_core::{Fault, SampleError};

use super::*;

const SHAPE: [usize; 3] = [16, 16, 16];
const BYTES: usize = 16 * 16 * 16 * 2 * 2 + HEAD;

#[test]
fn a_volume_is_decoded_once_however_many_ask_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let source = Made { takes: Duration::from_millis(100), ..Made::new(folder.path(), "a.nii.gz", SHAPE, 1) };
    let cache = in_memory(10 * BYTES);
    let barrier = Barrier::new(8);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                source.check(&cache.decoded(&source).unwrap());
            });
        }
    });
    let again = cache.decoded(&source).unwrap();
    assert_eq!(source.decodings(), 1);
    assert!(!again.is_mapped());
    let statistics = cache.statistics();
    assert_eq!((statistics.decoded, statistics.waited + statistics.hits), (1, 8));
    assert!(0 < statistics.waited, "{statistics:?}");
    assert_eq!((statistics.entries, statistics.bytes), (1, BYTES as u64));
}

#[test]
fn the_longest_unused_leaves_first_and_what_is_in_use_stays() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| Made::new(folder.path(), name, SHAPE, 5));
    let cache = in_memory(3 * BYTES);
    let held = cache.decoded(&a).unwrap();
    cache.decoded(&b).unwrap();
    cache.decoded(&c).unwrap();
    cache.decoded(&b).unwrap();
    // `a` is older, but in use: `c` leaves.
    cache.decoded(&d).unwrap();
    for source in [&a, &b, &d] {
        cache.decoded(source).unwrap();
    }
    assert_eq!([&a, &b, &c, &d].map(Made::decodings), [1, 1, 1, 1]);
    cache.decoded(&c).unwrap();
    assert_eq!(c.decodings(), 2, "it had left");
    assert_eq!(cache.statistics().evicted, 2);
    a.check(&held);
}

#[test]
fn what_is_in_use_exceeds_the_budget_by_no_more_than_itself() {
    let folder = tempfile::tempdir().unwrap();
    let sources: Vec<Made> =
        (0..6).map(|i| Made::new(folder.path(), &format!("{i}"), SHAPE, i as i16)).collect();
    let cache = in_memory(0);
    for _ in 0..3 {
        for pair in sources.chunks(2) {
            // Two workers, each with a volume.
            let held: Vec<_> = pair.iter().map(|source| cache.decoded(source).unwrap()).collect();
            for (source, voxels) in pair.iter().zip(&held) {
                source.check(voxels);
            }
        }
    }
    assert_eq!(cache.statistics().most_bytes, 2 * BYTES as u64);
}

#[test]
fn volumes_of_all_sizes_take_the_pages_of_others_and_keep_to_the_budget() {
    let folder = tempfile::tempdir().unwrap();
    let sources: Vec<Made> = (1..20)
        .map(|i| Made::new(folder.path(), &format!("{i}"), [7 * i % 19 + 1, 40, 30], i as i16))
        .collect();
    let largest = sources.iter().map(Made::held).max().unwrap();
    let cache = in_memory(3 * largest);
    for round in 0..60 {
        let source = &sources[round * 11 % sources.len()];
        source.check(&cache.decoded(source).unwrap());
    }
    let statistics = cache.statistics();
    assert!(statistics.most_bytes <= 3 * largest as u64 && 19 < statistics.decoded, "{statistics:?}");
}

#[test]
fn an_error_goes_to_all_who_wait_and_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let good = Made { takes: Duration::from_millis(200), ..Made::new(folder.path(), "a", SHAPE, 1) };
    let bad = Made { outcome: Does::Fail, ..good.clone() };
    let cache = in_memory(10 * BYTES);
    let barrier = Barrier::new(4);
    let errors: Vec<Error> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    cache.decoded(&bad).unwrap_err()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(bad.decodings(), 1);
    for error in errors {
        assert!(
            error.to_string().starts_with("cannot read ") && error.to_string().ends_with("/a"),
            "{error}"
        );
        let error = SampleError::from(error);
        assert_eq!(error.fault(), Fault::Data);
    }
    assert_eq!(cache.statistics().bytes, 0, "what was taken for it is given back");
    good.check(&cache.decoded(&good).unwrap());
}

#[test]
fn a_panic_of_one_lets_another_try() {
    let folder = tempfile::tempdir().unwrap();
    let good = Made { takes: Duration::from_millis(200), ..Made::new(folder.path(), "a", SHAPE, 1) };
    let bad = Made { outcome: Does::Panic, ..good.clone() };
    let cache = in_memory(10 * BYTES);
    thread::scope(|scope| {
        let first = scope.spawn(|| cache.decoded(&bad));
        while bad.decodings() == 0 {
            thread::yield_now();
        }
        good.check(&cache.decoded(&good).unwrap());
        assert!(first.join().is_err());
    });
    assert_eq!(cache.statistics().bytes, BYTES as u64);
}

#[test]
fn a_file_that_changes_while_it_is_read_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let source = Made { outcome: Does::Change, ..Made::new(folder.path(), "a", SHAPE, 1) };
    let error = in_memory(BYTES).decoded(&source).unwrap_err();
    assert_eq!(error.to_string(), format!("{} changed while it was read", source.path.display()));
}

#[test]
fn a_volume_beyond_all_memory_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut source = Made::new(folder.path(), "a", [1 << 40, 1 << 40, 1], 1);
    let error = in_memory(BYTES).decoded(&source).unwrap_err();
    assert!(error.to_string().contains("more than this machine can address"), "{error}");
    source.facts.shape = [1 << 20, 1 << 20, 1 << 20];
    let error = in_memory(BYTES).decoded(&source).unwrap_err();
    assert_eq!(error.to_string(), "cannot get 4611686018427388288 bytes of memory for a decoded volume");
    assert_eq!(SampleError::from(error).fault(), Fault::Environment);
}
