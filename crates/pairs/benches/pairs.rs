//! Pairs, triplets and batches of classes per second, indices alone.
//!
//! `cargo bench -p batchwright-pairs --bench pairs`. 60,000 samples in 10 or 100 classes, of a random class each, as in the
//! comparison with other libraries; one epoch of one thread, the order of anchors included.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark fails by panicking")]

use std::hint::black_box;

use batchwright_core::{Context, Sampler, Shuffled, Stream};
use batchwright_pairs::{
    ClassBatchOptions, ClassBatches, Draw, Facts, PairOptions, PairSampler, PairSource, Rule, TripletOptions,
    TripletSampler, TripletSource,
};
use criterion::{Criterion, Throughput};

const SAMPLES: usize = 60_000;

fn classes(count: u32) -> Vec<u32> {
    let mut stream = Stream::new(0, 0, 0, "classes");
    (0..SAMPLES).map(|_| stream.below32(count)).collect()
}

fn main() {
    let mut criterion = Criterion::default().sample_size(20).configure_from_args();
    let mut group = criterion.benchmark_group("indices");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    for count in [10, 100] {
        let facts = Facts::new(&classes(count))
            .unwrap()
            .with_numbers("visit", &(0..SAMPLES as u32).map(|index| index % 7).collect::<Vec<_>>())
            .unwrap();
        let plain = PairOptions::default();
        let by_class = PairOptions { negatives: Draw::ByClass, ..PairOptions::default() };
        let visits = PairOptions { negative: Rule::different(["class", "visit"]), ..PairOptions::default() };
        for (name, options) in [("pairs", plain), ("pairs by class", by_class), ("pairs, two differ", visits)]
        {
            let sampler = PairSampler::new(&facts, &options).unwrap();
            let order = Shuffled::new(sampler.len());
            group.bench_function(format!("{name}, {count} classes"), |bencher| {
                bencher.iter(|| {
                    let order = order.order(1, 0);
                    (0..sampler.len() as u64)
                        .map(|at| {
                            let index = order.at(at) as usize;
                            sampler.tuple(black_box(index), &Context::new(1, 0, at)).b
                        })
                        .fold(0, usize::wrapping_add)
                });
            });
        }
        let sampler = TripletSampler::new(&facts, &TripletOptions::default()).unwrap();
        let order = Shuffled::new(sampler.len());
        group.bench_function(format!("triplets, {count} classes"), |bencher| {
            bencher.iter(|| {
                let order = order.order(1, 0);
                (0..sampler.len() as u64)
                    .map(|at| {
                        let index = order.at(at) as usize;
                        sampler.tuple(black_box(index), &Context::new(1, 0, at)).negative
                    })
                    .fold(0, usize::wrapping_add)
            });
        });
        let (width, each) = if 64 <= count { (64, 2) } else { (8, 16) };
        let batches = ClassBatches::new(&facts, &ClassBatchOptions::new(width, each)).unwrap();
        let mut epoch = 0;
        group.throughput(Throughput::Elements(batches.len()));
        group.bench_function(format!("class batches {width} x {each}, {count} classes"), |bencher| {
            bencher.iter(|| {
                epoch += 1;
                let order = batches.order(1, epoch);
                (0..batches.len()).map(|at| order.at(black_box(at))).fold(0, u64::wrapping_add)
            });
        });
        group.throughput(Throughput::Elements(SAMPLES as u64));
    }
    group.finish();
    criterion.final_summary();
}
