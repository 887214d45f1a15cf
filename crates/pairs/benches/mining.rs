//! What neighbours, metrics and mining cost.
//!
//! `cargo bench -p batchwright-pairs --bench mining`; `N=60000` in the environment for other than 10,000 embeddings, of 128
//! dimensions in 10 classes. Time grows with the square of the number.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark fails by panicking")]

use std::hint::black_box;

use batchwright_core::Stream;
use batchwright_pairs::metrics::{hardest_pairs, neighbours, principal_components, retrieval};
use batchwright_pairs::mining::{
    ByLabel, Limit, MiningOptions, Negatives, all_triplets, batch_hard, mine, semi_hard,
};
use batchwright_pairs::{Distance, Embeddings};
use criterion::{Criterion, Throughput};

/// Draws embeddings around the centres of their classes.
fn clusters(n: usize, dims: usize, classes: u32) -> Embeddings {
    let mut values = vec![0.0; n * dims];
    Stream::new(1, 0, 0, "noise").fill_normal(&mut values);
    let mut centres = vec![0.0; classes as usize * dims];
    Stream::new(1, 0, 0, "centres").fill_normal(&mut centres);
    let labels: Vec<u32> = (0..n as u32).map(|i| i % classes).collect();
    for (i, value) in values.iter_mut().enumerate() {
        *value = *value * 0.7 + centres[labels[i / dims] as usize * dims + i % dims];
    }
    Embeddings::new(values, dims, labels).unwrap().normalized().unwrap()
}

fn metrics(criterion: &mut Criterion) {
    let n = std::env::var("N").map_or(10_000, |n| n.parse().unwrap());
    let set = clusters(n, 128, 10);
    let mut group = criterion.benchmark_group(format!("{n} x 128"));
    group.sample_size(10).throughput(Throughput::Elements((n * n) as u64));
    for distance in [Distance::Euclidean, Distance::Cosine] {
        group.bench_function(format!("5 neighbours, {distance:?}"), |bencher| {
            bencher.iter(|| black_box(neighbours(&set, None, distance, 5).unwrap().accuracy));
        });
    }
    group.bench_function("hardest pairs", |bencher| {
        bencher.iter(|| black_box(hardest_pairs(&set, Distance::Euclidean, 100).unwrap().positives.len()));
    });
    group.bench_function("principal components", |bencher| {
        bencher.iter(|| black_box(principal_components(&set, 2).unwrap().explained));
    });
    group.bench_function("retrieval", |bencher| {
        bencher.iter(|| black_box(retrieval(&set, None, Distance::Euclidean).unwrap()));
    });
}

fn offline(criterion: &mut Criterion) {
    let n = std::env::var("N").map_or(10_000, |n| n.parse().unwrap());
    let set = clusters(n, 128, 10);
    let mut group = criterion.benchmark_group(format!("mining {n} x 128"));
    group.sample_size(10).throughput(Throughput::Elements((n * n) as u64));
    for (name, negatives) in [
        ("hard", Negatives::Hard),
        ("semi-hard", Negatives::SemiHard { margin: 0.2 }),
        ("distance-weighted", Negatives::DistanceWeighted { cutoff: 0.5, nonzero_loss_cutoff: 1.4 }),
    ] {
        let options = MiningOptions { negatives, num_negatives: 5, ..MiningOptions::default() };
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(mine(&set, &ByLabel(set.labels()), &options, 1, 0).unwrap().anchors()));
        });
    }
}

fn in_batch(criterion: &mut Criterion) {
    let batch = clusters(4096, 128, 1024);
    let mut group = criterion.benchmark_group("batch 4096 x 128");
    group.sample_size(10);
    group.bench_function("hard", |bencher| {
        bencher.iter(|| black_box(batch_hard(&batch, Distance::Euclidean).unwrap().len()));
    });
    group.bench_function("semi-hard", |bencher| {
        bencher.iter(|| black_box(semi_hard(&batch, Distance::Euclidean, 0.2, Limit::NONE).unwrap().len()));
    });
    group.bench_function("all, 100000 kept", |bencher| {
        let limit = Limit { most: Some(100_000), ..Limit::NONE };
        bencher.iter(|| black_box(all_triplets(batch.labels(), limit).len()));
    });
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    metrics(&mut criterion);
    offline(&mut criterion);
    in_batch(&mut criterion);
    criterion.final_summary();
}
