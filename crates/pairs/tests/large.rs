//! What a set of ten million samples takes to be set up, in a process of its own.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use batchwright_core::{Context, Sampler, Stream};
use batchwright_pairs::{
    ClassBatchOptions, ClassBatches, Facts, PairOptions, PairSampler, PairSource, TripletOptions,
    TripletSampler, TripletSource,
};

const SAMPLES: usize = 10_000_000;

/// Returns the most that this process has had in memory, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn ten_million_samples_are_set_up_within_500_mb() {
    let mut stream = Stream::new(1, 0, 0, "classes");
    let classes: Vec<u32> = (0..SAMPLES).map(|_| stream.below32(10_000)).collect();
    // Each by itself: a run has one of them. What came before is in the peak, too.
    let pairs = PairSampler::new(&Facts::new(&classes).unwrap(), &PairOptions::default()).unwrap();
    for index in [0, 4_999_999, SAMPLES - 1] {
        let pair = pairs.tuple(index, &Context::new(7, 3, index as u64));
        assert!(pair.a != pair.b && (classes[pair.a] == classes[pair.b]) == (pair.same == 1.0), "{pair:?}");
    }
    drop(pairs);
    let triplets = TripletSampler::new(&Facts::new(&classes).unwrap(), &TripletOptions::default()).unwrap();
    for index in [0, 4_999_999, SAMPLES - 1] {
        let of = triplets.tuple(index, &Context::new(7, 3, index as u64));
        assert!(of.anchor != of.positive && classes[of.anchor] == classes[of.positive], "{of:?}");
        assert_ne!(classes[of.anchor], classes[of.negative], "{of:?}");
    }
    drop(triplets);
    let batches = ClassBatches::new(&Facts::new(&classes).unwrap(), &ClassBatchOptions::new(64, 2)).unwrap();
    let order = batches.order(7, 3);
    let batch: Vec<usize> = (0..128).map(|position| order.at(position) as usize).collect();
    assert!(batch.chunks(2).all(|two| two[0] != two[1] && classes[two[0]] == classes[two[1]]));
    let peak = peak();
    println!("{} MB at most, the {} MB of the classes among them", peak / 1_000_000, SAMPLES * 4 / 1_000_000);
    assert!(peak < 500_000_000, "{peak} bytes");
}
