//! 60,000 images of 28 x 28 bytes in memory, shuffled, divided by 255, in batches of 64 and 256: per batch through a
//! loader with one and two workers, with and without prefetching, beside a plain copy of as many output bytes.

use std::hint::black_box;

use batchwright_core::{
    BatchOptions, Batches, Context, Dataset, Field, Loader, LoaderOptions, SampleError, Shuffled, Slot,
};
use batchwright_images::{ImageOptions, ImageSet, Images};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// The same data set without its hint.
struct Unhinted(ImageSet<Images>);

impl Dataset for Unhinted {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn fields(&self) -> &[Field] {
        self.0.fields()
    }
    fn write(&self, index: usize, slot: &mut Slot<'_>, context: &Context<'_>) -> Result<(), SampleError> {
        self.0.write(index, slot, context)
    }
}

fn set() -> ImageSet<Images> {
    let pixels = (0..60_000_usize * 784).map(|i| (i * 31 + i / 784) as u8).collect();
    let labels = (0..60_000).map(|i| i % 10).collect();
    let images = Images::from_u8([1, 28, 28], pixels).expect("the shape fits").with_labels(labels);
    ImageSet::new(images.expect("as many labels"), ImageOptions { one_hot: true, ..ImageOptions::default() })
        .expect("the choices fit")
}

fn loader(set: impl Dataset + 'static, batch_size: usize, workers: usize) -> Loader {
    let options = BatchOptions { seed: 1, batch_size, ..BatchOptions::default() };
    let batches = Batches::new(set, Shuffled::new(60_000), options).expect("the options fit");
    Loader::new(batches, LoaderOptions { workers, epochs: None, ..LoaderOptions::default() })
}

fn hot_path(criterion: &mut Criterion) {
    for batch_size in [64, 256] {
        let mut group = criterion.benchmark_group(format!("batch of {batch_size}"));
        group.throughput(Throughput::Elements(batch_size as u64));
        let (from, mut to) = (vec![1_f32; batch_size * 784], vec![0_f32; batch_size * 784]);
        group.bench_function("memcpy", |bencher| {
            bencher.iter(|| black_box(&mut to).copy_from_slice(black_box(&from)));
        });
        for workers in [0, 1, 2] {
            let mut hinted = loader(set(), batch_size, workers);
            group.bench_function(format!("{workers} workers"), |bencher| {
                bencher.iter(|| hinted.next_batch().expect("endless").expect("good data"));
            });
            let mut unhinted = loader(Unhinted(set()), batch_size, workers);
            group.bench_function(format!("{workers} workers, no prefetch"), |bencher| {
                bencher.iter(|| unhinted.next_batch().expect("endless").expect("good data"));
            });
        }
    }
}

criterion_group!(benches, hot_path);
criterion_main!(benches);
