//! What finding the classes of a label map, drawing places, and blending patches cost.

#![allow(clippy::result_large_err, reason = "the closures return the crate's error")]

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use batchwright_core::Stream;
use batchwright_nifti::{
    Affine, Aggregator, Blend, ClassIndex, Grid, LabelMap, Overlap, PatchSampler, Percent, PlaceSources,
    Places, VoxelSlice, WeightSums, Weights,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const SHAPE: [usize; 3] = [240, 240, 155];

/// Three balls in each other, as a tumour has its parts.
fn labels() -> Vec<u8> {
    let [nx, ny, nz] = SHAPE;
    let mut labels = Vec::with_capacity(nx * ny * nz);
    for z in 0..nz {
        for y in 0..ny {
            for x in 0..nx {
                let far =
                    [x as f64 - 130.0, y as f64 - 100.0, z as f64 - 70.0].map(|d| d * d).iter().sum::<f64>();
                labels.push([30.0, 22.0, 12.0].iter().filter(|&&radius| far < radius * radius).count() as u8);
            }
        }
    }
    labels
}

fn index(c: &mut Criterion) {
    let voxels = labels();
    let labels = LabelMap { path: Path::new("label.nii"), voxels: VoxelSlice::U8(&voxels), shape: SHAPE };
    let mut group = c.benchmark_group("index");
    group.sample_size(10).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements(voxels.len() as u64));
    group.bench_function("classes", |b| {
        b.iter(|| ClassIndex::of(&labels, ClassIndex::CAP, |stored| Ok(stored as i64)).expect("labels"));
    });
    group.bench_function("weights", |b| {
        b.iter(|| WeightSums::of(labels.path, labels.voxels, SHAPE, 1.0, 0.0).expect("weights"));
    });
    group.finish();
}

fn draw(c: &mut Criterion) {
    let voxels = labels();
    let labels = LabelMap { path: Path::new("label.nii"), voxels: VoxelSlice::U8(&voxels), shape: SHAPE };
    let index = ClassIndex::of(&labels, ClassIndex::CAP, |stored| Ok(stored as i64)).expect("labels");
    let sums = WeightSums::of(labels.path, labels.voxels, SHAPE, 1.0, 0.0).expect("weights");
    let row = |[y, z]: [usize; 2]| {
        let start = (z * SHAPE[1] + y) * SHAPE[0];
        Ok((start..start + SHAPE[0]).map(|at| labels.voxels.at(at)).collect())
    };
    let sources = PlaceSources {
        classes: Some((&index, Affine::IDENTITY)),
        weights: Some(Weights { sums: &sums, row: &row, map: Affine::IDENTITY }),
        regions: None,
    };
    let places = Places::new(SHAPE, [96; 3]).expect("a patch");
    let mut group = c.benchmark_group("draw");
    group.sample_size(10).measurement_time(Duration::from_secs(1));
    for (name, sampler) in [
        ("uniform", PatchSampler::Uniform),
        ("foreground", PatchSampler::Foreground(0.5)),
        ("classes", PatchSampler::Classes([(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0)].into())),
        ("weights", PatchSampler::Weights("weights".to_owned())),
    ] {
        let mut stream = Stream::new(1, 0, 0, "place");
        group.bench_function(name, |b| {
            b.iter(|| sampler.draw(&places, &sources, 0, &mut stream).expect("a place"));
        });
    }
    group.finish();
}

fn aggregate(c: &mut Criterion) {
    let grid =
        Grid::new(SHAPE, [96; 3], &Overlap::Part(Percent::new(50.0).expect("a part"))).expect("a grid");
    let patch = vec![0.5_f32; 96 * 96 * 96];
    let mut group = c.benchmark_group("aggregate");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    group.throughput(Throughput::Elements((grid.len() * patch.len()) as u64));
    group.bench_function("gaussian, half overlap, 96^3", |b| {
        b.iter(|| {
            let planes = |_: usize, _: usize, voxels: &[f32]| {
                black_box(voxels);
                Ok(())
            };
            let mut aggregator = Aggregator::new(grid, 1, Blend::GAUSSIAN, planes).expect("an aggregator");
            for index in 0..grid.len() {
                aggregator.push(index, &patch).expect("a patch");
            }
            let _closure = aggregator.finish().expect("all patches");
        });
    });
    group.finish();
}

criterion_group!(benches, index, draw, aggregate);
criterion_main!(benches);
