//! What mining takes of memory, in a process of its own.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use batchwright_core::Stream;
use batchwright_pairs::mining::{
    ByLabel, CrossBatchMemory, Limit, MiningOptions, Negatives, all_triplets, at_hardness, batch_hard, mine,
    semi_hard,
};
use batchwright_pairs::{Distance, Embeddings};

/// Returns the most that this process has had in memory, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn set(n: usize, classes: u32) -> Embeddings {
    let mut values = vec![0.0; n * 128];
    Stream::new(1, 0, 0, "values").fill_normal(&mut values);
    Embeddings::new(values, 128, (0..n as u32).map(|i| i % classes).collect()).unwrap().normalized().unwrap()
}

#[test]
fn a_batch_of_4096_is_mined_within_256_mb() {
    // The process itself, with the two megabytes of the batch.
    let batch = set(4096, 1024);
    let before = peak();
    let limit = Limit { most: Some(1_000_000), seed: 1, epoch: 0, step: 0 };
    assert_eq!(batch_hard(&batch, Distance::Euclidean).unwrap().len(), 4096);
    assert!(!semi_hard(&batch, Distance::Euclidean, 0.2, Limit::NONE).unwrap().is_empty());
    assert_eq!(at_hardness(&batch, Distance::Cosine, 0.5, Limit::NONE).unwrap().len(), 4096 * 3);
    // Of 4096 x 3 x 4092 = 50 million.
    assert_eq!(all_triplets(batch.labels(), limit).len(), 1_000_000);
    // Two classes: 8 million couples of anchor and positive, and 17 thousand million triplets.
    let two = set(4096, 2);
    assert_eq!(all_triplets(two.labels(), limit).len(), 1_000_000);
    assert_eq!(at_hardness(&two, Distance::Euclidean, 1.0, limit).unwrap().len(), 1_000_000);
    for negatives in [Negatives::Hard, Negatives::DistanceWeighted { cutoff: 0.5, nonzero_loss_cutoff: 1.4 }]
    {
        let options = MiningOptions { negatives, num_negatives: 10, ..MiningOptions::default() };
        assert_eq!(mine(&batch, &ByLabel(batch.labels()), &options, 1, 0).unwrap().report().kept, 40_960);
    }
    let mut memory = CrossBatchMemory::new(20_000, 128).unwrap();
    for _ in 0..10 {
        memory.push(batch.values(), batch.labels()).unwrap();
    }
    let peak = peak();
    println!("{} MB before, {} MB at most", before >> 20, peak >> 20);
    assert!(peak < 256_000_000, "{peak} bytes");
}
