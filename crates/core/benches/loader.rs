//! What the engine itself costs: small samples in memory, where a batch takes microseconds.
//!
//! `cargo bench -p batchwright-core`. The work is that of many small images: 60,000 of 28x28 bytes, shuffled, written as
//! floats times 1/255 with a label, in batches of 64 and 256; and the copy of one batch's bytes between two buffers, by
//! as many threads, which is what the memory allows.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use batchwright_core::{
    BatchOptions, Batches, Context, Dataset, Field, LastBatch, Loader, LoaderOptions, Plan, Rank,
    SampleError, Shuffled, Slot, Uneven,
};
use criterion::{Criterion, Throughput};

struct Images {
    pixels: Vec<u8>,
    fields: Vec<Field>,
}

impl Dataset for Images {
    fn len(&self) -> usize {
        self.pixels.len() / 784
    }
    fn fields(&self) -> &[Field] {
        &self.fields
    }
    fn write(&self, index: usize, slot: &mut Slot<'_>, _: &Context<'_>) -> Result<(), SampleError> {
        let from = &self.pixels[index * 784..(index + 1) * 784];
        for (to, &from) in slot.get::<f32>(0).iter_mut().zip(from) {
            *to = f32::from(from) * (1.0 / 255.0);
        }
        slot.get::<i64>(1)[0] = 1;
        Ok(())
    }
}

fn images() -> Images {
    Images {
        pixels: (0..60_000 * 784).map(|i| (i * 7) as u8).collect(),
        fields: vec![Field::new::<f32>("image", &[1, 28, 28]), Field::new::<i64>("label", &[])],
    }
}

fn stream(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stream");
    for batch_size in [64, 256] {
        group.throughput(Throughput::Elements(batch_size as u64));
        for workers in [0, 1, 2] {
            group.bench_function(format!("batch {batch_size}, {workers} workers"), |bencher| {
                let options =
                    BatchOptions { seed: 1, batch_size, last: LastBatch::Drop, ..BatchOptions::default() };
                let batches = Batches::new(images(), Shuffled::new(60_000), options).unwrap();
                let mut loader = Loader::new(batches, LoaderOptions { workers, ..LoaderOptions::default() });
                bencher.iter(|| black_box(loader.next_batch().unwrap().unwrap().len()));
            });
        }
        group.bench_function(format!("batch {batch_size}, memcpy, 2 threads"), |bencher| {
            bencher.iter_custom(|iterations| copy(batch_size * 784 * 4, 2, iterations));
        });
    }
    group.finish();
}

/// The time that `threads` threads take to copy `bytes` between buffers `iterations` times in all.
fn copy(bytes: usize, threads: usize, iterations: u64) -> Duration {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let (from, mut to) = (vec![1_u8; bytes], vec![0_u8; bytes]);
                for _ in 0..iterations.div_ceil(threads as u64) {
                    to.copy_from_slice(black_box(&from));
                    black_box(&mut to);
                }
            });
        }
    });
    start.elapsed()
}

fn plan(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plan");
    for n in [60_000, 1_000_000_000] {
        let plan =
            Plan::new(Shuffled::new(n), 1, 64, LastBatch::Short, Rank::default(), Uneven::Exact).unwrap();
        let mut index = 0;
        group.throughput(Throughput::Elements(64));
        group.bench_function(format!("a batch of 64 of {n}"), |bencher| {
            bencher.iter(|| {
                index = (index + 7919) % plan.len();
                black_box(plan.batch(3, index).len())
            });
        });
    }
    group.bench_function("open the order of an epoch of 60,000", |bencher| {
        let mut epoch = 0;
        bencher.iter(|| {
            epoch += 1;
            batchwright_core::Sampler::order(&Shuffled::new(60_000), 1, epoch).at(5)
        });
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args();
    stream(&mut criterion);
    plan(&mut criterion);
    criterion.final_summary();
}
