//! Each intensity transform on a patch of 128^3 voxels, one thread; and scaling, gamma and noise together. Every figure
//! contains a copy of the patch, which stands alone as `copy`.

use std::hint::black_box;

use batchwright_core::{Context, Stream};
use batchwright_nifti::{Draws, Intensity, IntensityDrawn, PatchShape, Scratch, apply_all};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const SHAPE: PatchShape = PatchShape { channels: 1, size: [128; 3], spacing: [1.0; 3] };
const SCALE: &str = r#"{"scale_intensity": {}}"#;

fn drawn(text: &str) -> IntensityDrawn {
    let transform: Intensity = serde_json::from_str(text).expect("a transform");
    transform.check("augment").expect("choices that fit");
    let context = Context::new(1, 0, 3);
    transform.draw(&Draws::new(&context, transform.name()), &SHAPE).expect("it happens")
}

fn patch() -> Vec<f32> {
    let mut patch = vec![0.0; SHAPE.voxels()];
    Stream::new(1, 2, 3, "patch").fill_normal(&mut patch);
    patch
}

fn transforms(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("intensity");
    group.throughput(Throughput::Elements(SHAPE.voxels() as u64)).sample_size(20);
    let (from, mut patch, mut scratch) = (patch(), patch(), Scratch::new());
    group.bench_function("copy", |bencher| {
        bencher.iter(|| black_box(&mut patch).copy_from_slice(black_box(&from)));
    });
    let chains: &[(&str, &[&str])] = &[
        ("scale + gamma + noise", &[SCALE, r#"{"gamma": {}}"#, r#"{"noise": {}}"#]),
        ("noise", &[r#"{"noise": {}}"#]),
        ("rician", &[r#"{"rician": {}}"#]),
        ("gamma", &[r#"{"gamma": {}}"#]),
        ("gamma, statistics retained", &[r#"{"gamma": {"retain_statistics": true}}"#]),
        ("contrast", &[r#"{"contrast": {}}"#]),
        ("brightness", &[r#"{"brightness": {}}"#]),
        ("shift by deviations", &[r#"{"shift_intensity": {"offset": {"deviations": [-1, 1]}}}"#]),
        ("blur, sigma 1", &[r#"{"blur": {"sigma": {"voxels": [1, 1]}}}"#]),
        ("sharpen", &[r#"{"sharpen": {}}"#]),
        ("low resolution", &[r#"{"low_resolution": {}}"#]),
        ("anisotropy", &[r#"{"anisotropy": {}}"#]),
        ("bias field", &[r#"{"bias_field": {}}"#]),
        ("histogram shift", &[r#"{"histogram_shift": {}}"#]),
        ("motion", &[r#"{"motion": {}}"#]),
        ("ghosting along x", &[r#"{"ghosting": {"axes": [true, false, false]}}"#]),
        ("ghosting along z", &[r#"{"ghosting": {"axes": [false, false, true]}}"#]),
        ("spike", &[r#"{"spike": {}}"#]),
        ("gibbs", &[r#"{"gibbs": {"alpha": [0.5, 0.5]}}"#]),
        ("cut out", &[r#"{"cut_out": {}}"#]),
        ("swap", &[r#"{"swap": {}}"#]),
    ];
    for (name, texts) in chains {
        let drawn: Vec<_> = texts.iter().map(|text| drawn(text)).collect();
        group.bench_function(*name, |bencher| {
            bencher.iter(|| {
                patch.copy_from_slice(&from);
                apply_all(&drawn, &mut patch, &SHAPE, &mut scratch).expect("it fits");
            });
        });
    }
    group.bench_function("normal draws alone", |bencher| {
        let mut stream = Stream::new(1, 2, 3, "noise");
        bencher.iter(|| patch.chunks_mut(2048).for_each(|piece| stream.fill_normal(piece)));
    });
    group.finish();
}

criterion_group!(benches, transforms);
criterion_main!(benches);
