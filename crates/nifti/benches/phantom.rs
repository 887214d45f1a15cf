//! How long a generated subject takes.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use batchwright_nifti::{Body, Phantom};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn phantom(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("phantom");
    for (name, body, channels, side) in [
        ("head 64", Body::Head, 1, 64),
        ("trunk 64", Body::Trunk, 1, 64),
        ("head 96, 3 channels", Body::Head, 3, 96),
    ] {
        let phantom = Phantom { body, channels, shape: [side; 3], ..Phantom::default() };
        let (mut image, mut label) = (vec![0.0; channels * side * side * side], vec![0; side * side * side]);
        group.throughput(Throughput::Elements(label.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| phantom.draw(0, &mut image, &mut label).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, phantom);
criterion_main!(benches);
