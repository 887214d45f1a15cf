//! One core, a patch of 128^3 voxels out of 256^3 of `i16` (and labels of `u8`): copied, turned and scaled, bent.
//!
//! Times are those of the thread's own processor time, so that other programs disturb them less. Each line is followed by
//! the rate: Melem/s are millions of voxels a second.

use std::hint::black_box;
use std::time::Duration;

use batchwright_nifti::{
    Affine, AffineDrawn, Axes, Border, Elastic, FlipDrawn, Interpolation, LabelInterpolation, LabelSampling,
    Lattice, Map, Placement, Plane, Region, Rescale, Rotate90Drawn, Sampling, SourceBox, Spatial,
    SpatialDrawn, TranslationDrawn, VoxelSlice, VoxelToWorld, gather, gather_labels,
};
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// The processor time of the thread.
struct ThreadTime;

#[expect(unsafe_code, reason = "the clock of a thread is only in libc")]
fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of ours.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(failed, 0, "the clock of the thread is there");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

impl Measurement for ThreadTime {
    type Intermediate = Duration;
    type Value = Duration;
    fn start(&self) -> Duration {
        thread_time()
    }
    fn end(&self, start: Duration) -> Duration {
        thread_time().saturating_sub(start)
    }
    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }
    fn zero(&self) -> Duration {
        Duration::ZERO
    }
    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }
    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

const SHAPE: [usize; 3] = [256; 3];
const SIZE: [usize; 3] = [128; 3];

/// What is measured: it writes a patch of an image, of labels, or both.
type Work<'a> = dyn FnMut(&Map, &mut [f32], &mut [u8]) + 'a;

fn map(drawn: &[SpatialDrawn]) -> Map {
    let grid = Lattice::new(&VoxelToWorld(Affine::IDENTITY), SHAPE, &Axes::STORED, None).expect("a grid");
    Map::compose(&grid, Placement { origin: [64; 3], size: SIZE }, drawn).expect("a map")
}

fn patches(criterion: &mut Criterion<ThreadTime>) {
    let voxels: usize = SHAPE.iter().product();
    let image: Vec<i16> = (0..voxels).map(|i| (i * 7919 % 4001) as i16).collect();
    let floats: Vec<f32> = image.iter().map(|&v| f32::from(v)).collect();
    let labels: Vec<u8> = (0..voxels).map(|i| (i / 4096 % 5) as u8).collect();
    let region = Region::whole(SHAPE).expect("voxels");
    let image = SourceBox::new(VoxelSlice::I16(&image), &region).expect("as many");
    let floats = SourceBox::new(VoxelSlice::F32(&floats), &region).expect("as many");
    let labels = SourceBox::new(VoxelSlice::U8(&labels), &region).expect("as many");

    let turned = SpatialDrawn::Affine(AffineDrawn {
        rotation: [20.0, -15.0, 25.0],
        scale: [0.9, 1.1, 1.0],
        shear: [0.0; 6],
        translation: TranslationDrawn::Voxels([0.0; 3]),
    });
    let mut stream = batchwright_core::Stream::new(0, 0, 0, "elastic");
    let bent = Spatial::Elastic(Elastic::default()).draw(&mut stream).expect("always");
    let flipped = SpatialDrawn::Flip(FlipDrawn { axes: [true, false, true] });
    let quarter = |plane| SpatialDrawn::Rotate90(Rotate90Drawn { plane, k: 1 });

    let rescale = Rescale { slope: 0.001, inter: -1.0, clamp: None };
    let linear =
        Sampling { interpolation: Interpolation::Linear, border: Border::Constant(0.0), antialias: false };
    let nearest = LabelSampling { interpolation: LabelInterpolation::Nearest, border: Border::Constant(0) };
    let heaviest = LabelSampling { interpolation: LabelInterpolation::Linear, border: Border::Constant(0) };
    let (mut out, mut out_labels) = (vec![0_f32; 128 * 128 * 128], vec![0_u8; 128 * 128 * 128]);

    let mut group = criterion.benchmark_group("gather 128^3");
    group.throughput(Throughput::Elements(out.len() as u64)).sample_size(10);
    let affine = map(std::slice::from_ref(&turned));
    let elastic = map(&[bent, turned]);
    let mut run = |name: &str, map: &Map, what: &mut Work<'_>| {
        group.bench_function(name, |bencher| {
            bencher.iter(|| what(black_box(map), black_box(&mut out), black_box(&mut out_labels)));
        });
    };
    let fits = "the whole volume is there";
    let mut both = |map: &Map, out: &mut [f32], out_labels: &mut [u8]| {
        gather(&image, map, &linear, &rescale, SIZE, out).expect(fits);
        gather_labels(&labels, map, &nearest, &Rescale::IDENTITY, SIZE, out_labels).expect(fits);
    };
    run("affine, linear i16 + nearest label", &affine, &mut both);
    run("elastic and affine, linear i16 + nearest label", &elastic, &mut both);
    run("crop, i16 + label", &map(&[]), &mut both);
    run("flip x and z, i16 + label", &map(&[flipped]), &mut both);
    run("quarter turn xy, i16 + label", &map(&[quarter(Plane::Xy)]), &mut both);
    run("quarter turn xz, i16 + label", &map(&[quarter(Plane::Xz)]), &mut both);
    run("affine, linear i16", &affine, &mut |map, out, _| {
        gather(&image, map, &linear, &rescale, SIZE, out).expect(fits);
    });
    run("affine, nearest label", &affine, &mut |map, _, out| {
        gather_labels(&labels, map, &nearest, &Rescale::IDENTITY, SIZE, out).expect(fits);
    });
    run("affine, linear f32", &affine, &mut |map, out, _| {
        gather(&floats, map, &linear, &rescale, SIZE, out).expect(fits);
    });
    run("affine, cubic i16", &affine, &mut |map, out, _| {
        let cubic = Sampling { interpolation: Interpolation::Cubic, ..linear };
        gather(&image, map, &cubic, &rescale, SIZE, out).expect(fits);
    });
    run("affine, one-hot label", &affine, &mut |map, _, out| {
        gather_labels(&labels, map, &heaviest, &Rescale::IDENTITY, SIZE, out).expect(fits);
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .with_measurement(ThreadTime)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    targets = patches
}
criterion_main!(benches);
