use std::collections::BTreeMap;

use batchwright_core::{Context, bytes_of};
use sha2::{Digest, Sha256};

use super::*;

fn paths() -> Vec<Path> {
    Path::all().collect()
}

fn shape(channels: usize, size: [usize; 3]) -> PatchShape {
    PatchShape { channels, size, spacing: [1.0, 0.8, 2.0] }
}

/// A patch without symmetry, from -2 to 3.
fn patch(shape: &PatchShape) -> Vec<f32> {
    let mut stream = batchwright_core::Stream::new(1, 2, 3, "patch");
    (0..shape.channels * shape.voxels())
        .map(|i| (stream.uniform() * 2.0 + (i % 100) as f64 * 0.03 - 2.0) as f32)
        .collect()
}

fn read(yaml: &str) -> Intensity {
    serde_json::from_str(yaml).unwrap()
}

/// Each transform, in a form where all it can do happens.
fn all() -> Vec<Intensity> {
    ALL.iter().map(|text| read(text)).collect()
}

const ALL: &[&str] = &[
    r#"{"noise": {"sigma": [0.05, 0.3]}}"#,
    r#"{"rician": {"sigma": [0.05, 0.3]}}"#,
    r#"{"blur": {"sigma": {"millimetres": [0.5, 2]}}}"#,
    r#"{"sharpen": {}}"#,
    r#"{"gamma": {"gamma": {"around_one": [0.7, 1.5]}, "retain_statistics": true}}"#,
    r#"{"gamma": {"gamma": {"between": [0.7, 1.5]}, "invert": true, "name": "gamma_inverted"}}"#,
    r#"{"gamma": {"gamma": {"exp_of": [-0.3, 0.3]}, "of": "size", "name": "gamma_size"}}"#,
    r#"{"contrast": {}}"#,
    r#"{"brightness": {}}"#,
    r#"{"scale_intensity": {"keep_mean": true}}"#,
    r#"{"shift_intensity": {}}"#,
    r#"{"shift_intensity": {"offset": {"deviations": [-1, 1]}, "name": "shift_deviations"}}"#,
    r#"{"shift_intensity": {"offset": {"per_channel": [-1, 1]}, "name": "shift_channels"}}"#,
    r#"{"low_resolution": {"zoom": [0.4, 0.7]}}"#,
    r#"{"anisotropy": {}}"#,
    r#"{"bias_field": {}}"#,
    r#"{"histogram_shift": {}}"#,
    r#"{"motion": {}}"#,
    r#"{"ghosting": {}}"#,
    r#"{"spike": {"spikes": [2, 3]}}"#,
    r#"{"gibbs": {"alpha": [0.3, 0.8]}}"#,
    r#"{"cut_out": {"boxes": [2, 4], "size": [3, 2, 4], "fill": "mean"}}"#,
    r#"{"swap": {"times": [3, 5], "size": [2, 3, 1]}}"#,
];

fn draw(transform: &Intensity, context: &Context<'_>, shape: &PatchShape) -> Option<IntensityDrawn> {
    transform.draw(&Draws::new(context, transform.name()), shape)
}

fn bits(patch: &[f32]) -> Vec<u32> {
    patch.iter().map(|x| x.to_bits()).collect()
}

fn applied(drawn: &[IntensityDrawn], from: &[f32], shape: &PatchShape, path: Path) -> Vec<f32> {
    let mut patch = from.to_vec();
    apply_all(drawn, &mut patch, shape, &mut Scratch::with_path(path)).unwrap();
    patch
}

#[test]
fn results_are_those_of_numpy_and_scipy() {
    #[derive(Deserialize)]
    struct Patch {
        size: [usize; 3],
        spacing: [f64; 3],
        voxels: Vec<f32>,
    }
    #[derive(Deserialize)]
    struct Case {
        patch: String,
        record: IntensityDrawn,
        expected: Vec<f32>,
    }
    #[derive(Deserialize)]
    struct Fixture {
        patches: BTreeMap<String, Patch>,
        cases: Vec<Case>,
    }
    let fixture: Fixture = serde_json::from_str(include_str!("../../tests/fixtures/intensity.json")).unwrap();
    assert!(CASES <= fixture.cases.len(), "{} cases", fixture.cases.len());
    for Case { patch, record, expected } in &fixture.cases {
        let Patch { size, spacing, voxels } = &fixture.patches[patch];
        let shape = PatchShape { channels: 2, size: *size, spacing: *spacing };
        let largest = expected.iter().fold(1.0_f32, |a, x| a.max(x.abs()));
        for path in paths() {
            let out = applied(std::slice::from_ref(record), voxels, &shape, path);
            for (at, (out, expected)) in out.iter().zip(expected).enumerate() {
                let apart = (out - expected).abs();
                assert!(apart < 4e-6 * largest, "{patch} {record:?} at {at}: {out}, NumPy has {expected}");
            }
        }
    }
}

const CASES: usize = 80;

#[test]
fn a_record_that_was_written_down_gives_the_same_bits() {
    let context = Context::new(7, 1, 5);
    for size in [[13, 7, 6], [8, 9, 9], [40, 40, 5]] {
        let shape = shape(3, size);
        let patch = patch(&shape);
        for transform in all() {
            let drawn = draw(&transform, &context, &shape).unwrap();
            let text = serde_json::to_string(&drawn).unwrap();
            let again: IntensityDrawn = serde_json::from_str(&text).unwrap();
            assert_eq!(again, drawn);
            let out = applied(&[drawn], &patch, &shape, Path::detect());
            assert_ne!(bits(&out), bits(&patch), "{transform:?}");
            assert_eq!(bits(&out), bits(&applied(&[again], &patch, &shape, Path::detect())), "{transform:?}");
        }
    }
}

#[test]
fn every_path_gives_the_golden_bits() {
    let context = Context::new(7, 1, 5);
    for path in paths() {
        let mut hash = Sha256::new();
        for size in [[13, 7, 5], [33, 17, 9], [1, 6, 1], [64, 40, 2]] {
            let shape = shape(2, size);
            let patch = patch(&shape);
            for transform in all() {
                if let Some(drawn) = draw(&transform, &context, &shape) {
                    hash.update(bytes_of(&applied(&[drawn], &patch, &shape, path)));
                }
            }
        }
        assert_eq!(format!("{:x}", hash.finalize()), GOLDEN, "{path:?}");
    }
}

const GOLDEN: &str = "dbb9b1e46336847364e5543003083fc5855ebb31ef0371d27250f3cf95449e62";

#[test]
fn transforms_together_are_the_transforms_one_after_another() {
    let context = Context::new(3, 0, 9);
    let shape = shape(2, [31, 20, 11]);
    let patch = patch(&shape);
    let drawn: Vec<_> = all().iter().filter_map(|transform| draw(transform, &context, &shape)).collect();
    let mut one_by_one = patch.clone();
    // The memory is used again on purpose.
    let mut scratch = Scratch::new();
    for drawn in &drawn {
        drawn.apply(&mut one_by_one, &shape, &mut scratch).unwrap();
    }
    assert_eq!(bits(&applied(&drawn, &patch, &shape, Path::detect())), bits(&one_by_one));
}

#[test]
fn finite_patches_stay_finite_whatever_their_shape() {
    for size in [[1, 1, 1], [1, 1, 7], [5, 1, 1], [9, 6, 1], [1, 8, 4], [6, 5, 4]] {
        let shape = shape(2, size);
        let n = 2 * shape.voxels();
        let mut patches = vec![patch(&shape), vec![0.0; n], vec![-3.5; n], vec![1e-42; n]];
        patches.push(patch(&shape).iter().map(|x| x * 1e30).collect());
        patches.push(patch(&shape).iter().map(|x| x * 1e-40).collect());
        patches.push((0..n).map(|i| if i == n / 3 { 1e20 } else { 0.0 }).collect());
        for (which, patch) in patches.iter().enumerate() {
            for position in 0..20 {
                let context = Context::new(11, 0, position);
                for transform in all() {
                    if let Some(drawn) = draw(&transform, &context, &shape) {
                        let out = applied(&[drawn], patch, &shape, Path::detect());
                        assert!(
                            out.iter().all(|x| !x.is_nan()),
                            "{transform:?} on {which} of {size:?}: {out:?}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn neutral_parameters_leave_every_bit() {
    let shape = shape(2, [9, 7, 5]);
    let mut patch = patch(&shape);
    patch[3] = -0.0;
    for text in NEUTRAL {
        let transform = read(text);
        transform.check("augment").unwrap();
        let drawn = draw(&transform, &Context::new(1, 1, 1), &shape).unwrap();
        assert_eq!(bits(&applied(&[drawn], &patch, &shape, Path::detect())), bits(&patch), "{text}");
    }
}

const NEUTRAL: &[&str] = &[
    r#"{"noise": {"sigma": [0, 0]}}"#,
    r#"{"blur": {"sigma": {"voxels": [0, 0]}}}"#,
    r#"{"sharpen": {"sigma": {"voxels": [0, 0]}, "amount": [0, 0]}}"#,
    r#"{"gamma": {"gamma": {"between": [1, 1]}, "invert": true, "retain_statistics": true}}"#,
    r#"{"gamma": {"gamma": {"between": [1, 1]}, "of": "size"}}"#,
    r#"{"contrast": {"factor": {"between": [1, 1]}}}"#,
    r#"{"brightness": {"factor": {"between": [1, 1]}}}"#,
    r#"{"scale_intensity": {"factor": {"between": [1, 1]}, "keep_mean": true}}"#,
    r#"{"shift_intensity": {"offset": {"values": [0, 0]}}}"#,
    r#"{"low_resolution": {"zoom": [1, 1]}}"#,
    r#"{"anisotropy": {"factor": [1, 1]}}"#,
    r#"{"bias_field": {"coefficients": [0, 0]}}"#,
    r#"{"histogram_shift": {"points": 2}}"#,
    r#"{"motion": {"degrees": [0, 0], "millimetres": [0, 0]}}"#,
    r#"{"motion": {"moves": [0, 0]}}"#,
    r#"{"ghosting": {"intensity": [0, 0]}}"#,
    r#"{"spike": {"intensity": [0, 0]}}"#,
    r#"{"spike": {"spikes": [0, 0]}}"#,
    r#"{"gibbs": {"alpha": [0, 0]}}"#,
    r#"{"cut_out": {"boxes": [0, 0]}}"#,
    r#"{"swap": {"times": [0, 0]}}"#,
    r#"{"swap": {"size": [99, 99, 99]}}"#,
];

#[test]
fn what_does_not_happen_is_not_drawn_and_each_draws_from_its_own_name() {
    let shape = shape(2, [4, 4, 4]);
    let context = Context::new(5, 6, 7);
    let never = |text: &str| {
        let mut value: serde_json::Value = serde_json::from_str(text).unwrap();
        let options = value.as_object_mut().unwrap().values_mut().next().unwrap();
        options["probability"] = 0.0.into();
        read(&value.to_string())
    };
    for text in ALL {
        assert_eq!(draw(&never(text), &context, &shape), None, "{text}");
    }
    let named = read(r#"{"brightness": {"name": "other"}}"#);
    let plain = read(r#"{"brightness": {}}"#);
    assert_eq!((named.name(), plain.name(), named.key()), ("other", "brightness", "brightness"));
    assert_ne!(draw(&named, &context, &shape), draw(&plain, &context, &shape));
    assert_ne!(draw(&plain, &context.part("left"), &shape), draw(&plain, &context, &shape));
}

#[test]
fn noise_is_that_of_its_stream() {
    let shape = shape(2, [31, 9, 17]);
    let patch = patch(&shape);
    let drawn = draw(&read(r#"{"noise": {"sigma": [0.5, 0.5]}}"#), &Context::new(1, 2, 3), &shape).unwrap();
    let IntensityDrawn::Noise(noise) = &drawn else { panic!("{drawn:?}") };
    let mut expected = patch.clone();
    for (plane, key) in expected.chunks_exact_mut(shape.voxels()).zip(&noise.channels) {
        let mut stream = key.unwrap().open();
        let mut values = vec![0.0; plane.len()];
        stream.fill_normal(&mut values);
        for (x, n) in plane.iter_mut().zip(values) {
            *x += 0.5 * n;
        }
    }
    assert_ne!(noise.channels[0], noise.channels[1]);
    assert_eq!(bits(&applied(&[drawn], &patch, &shape, Path::detect())), bits(&expected));
}

#[test]
fn rician_noise_on_nothing_has_the_mean_of_rayleighs_distribution() {
    let shape = shape(1, [64, 64, 16]);
    let drawn = draw(&read(r#"{"rician": {"sigma": [2, 2]}}"#), &Context::new(1, 2, 3), &shape).unwrap();
    let out = applied(&[drawn], &vec![0.0; shape.voxels()], &shape, Path::detect());
    let n = out.len() as f64;
    let mean = out.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let square = out.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n;
    // sigma sqrt(pi/2), and 2 sigma^2; five standard errors of each.
    let pi = std::f64::consts::PI;
    assert!((mean - 2.0 * (pi / 2.0).sqrt()).abs() < 5.0 * (4.0 * (2.0 - pi / 2.0) / n).sqrt(), "{mean}");
    assert!((square - 8.0).abs() < 5.0 * 8.0 / n.sqrt(), "{square}");
}

/// Checks draws against a distribution: the largest distance between the distribution functions stays below what it
/// exceeds once in a million, sqrt(ln(2e6) / 2 n) [Massart 1990].
fn kolmogorov_smirnov(what: &str, mut draws: Vec<f64>, cumulative: impl Fn(f64) -> f64) {
    draws.sort_by(f64::total_cmp);
    let n = draws.len() as f64;
    let apart = draws.iter().enumerate().fold(0.0_f64, |apart, (i, &x)| {
        let f = cumulative(x);
        apart.max(f - i as f64 / n).max((i + 1) as f64 / n - f)
    });
    assert!(500 < draws.len(), "{what}: {} draws", draws.len());
    assert!(apart < (2e6_f64.ln() / (2.0 * n)).sqrt(), "{what}: {apart}");
}

fn between(low: f64, high: f64) -> impl Fn(f64) -> f64 {
    move |x| ((x - low) / (high - low)).clamp(0.0, 1.0)
}

fn around_one(low: f64, high: f64) -> impl Fn(f64) -> f64 {
    move |x| {
        if x < 1.0 {
            0.5 * ((x - low) / (1.0 - low)).clamp(0.0, 1.0)
        } else {
            0.5 + 0.5 * ((x - 1.0) / (high - 1.0)).clamp(0.0, 1.0)
        }
    }
}

/// The numbers that `of` finds in the records of 4000 samples.
fn drawn_numbers(text: &str, of: impl Fn(&serde_json::Value) -> Vec<f64>) -> Vec<f64> {
    let (transform, shape) = (read(text), shape(2, [8, 8, 8]));
    transform.check("augment").unwrap();
    let draws = (0..4000).filter_map(|position| draw(&transform, &Context::new(9, 2, position), &shape));
    draws
        .flat_map(|drawn| {
            let value = serde_json::to_value(&drawn).unwrap();
            of(&value[transform.key()])
        })
        .collect()
}

fn channel(c: usize) -> impl Fn(&serde_json::Value) -> Vec<f64> {
    move |record| record["channels"][c].as_f64().into_iter().collect()
}

#[test]
fn parameters_have_the_distribution_that_is_stated() {
    let sigma = |record: &serde_json::Value| vec![record["sigma"].as_f64().unwrap()];
    kolmogorov_smirnov(
        "noise",
        drawn_numbers(r#"{"noise": {"probability": 0.3}}"#, sigma),
        between(0.0, 0.1),
    );
    kolmogorov_smirnov("rician", drawn_numbers(r#"{"rician": {}}"#, sigma), between(0.0, 0.1));
    for c in [0, 1] {
        let gammas = drawn_numbers(r#"{"gamma": {"channel_probability": 0.5}}"#, channel(c));
        kolmogorov_smirnov("gamma", gammas, around_one(0.7, 1.5));
        let logs = drawn_numbers(r#"{"gamma": {"gamma": {"exp_of": [-0.3, 0.3]}}}"#, channel(c));
        kolmogorov_smirnov("log gamma", logs.into_iter().map(f64::ln).collect(), between(-0.3, 0.3));
        kolmogorov_smirnov(
            "contrast",
            drawn_numbers(r#"{"contrast": {}}"#, channel(c)),
            around_one(0.75, 1.25),
        );
        let factors = drawn_numbers(r#"{"brightness": {}}"#, channel(c));
        kolmogorov_smirnov("brightness", factors, around_one(0.75, 1.25));
        let factors = drawn_numbers(r#"{"scale_intensity": {}}"#, channel(c));
        kolmogorov_smirnov("scale", factors, between(0.9, 1.1));
        let offsets = drawn_numbers(r#"{"shift_intensity": {}}"#, channel(c));
        kolmogorov_smirnov("shift", offsets, between(-0.1, 0.1));
        let zooms = drawn_numbers(r#"{"low_resolution": {}}"#, channel(c));
        kolmogorov_smirnov("low resolution", zooms, between(0.5, 1.0));
    }
    let factor = |record: &serde_json::Value| vec![record["factor"].as_f64().unwrap()];
    kolmogorov_smirnov("anisotropy", drawn_numbers(r#"{"anisotropy": {}}"#, factor), between(1.5, 5.0));
    let axis = |record: &serde_json::Value| vec![record["axis"].as_f64().unwrap()];
    let axes = drawn_numbers(r#"{"anisotropy": {"axes": [true, false, true]}}"#, axis);
    // Five standard deviations of a binomial.
    let first = axes.iter().filter(|&&axis| axis == 0.0).count() as f64;
    assert!((first - 2000.0).abs() < 5.0 * 1000.0_f64.sqrt() && !axes.contains(&1.0), "{first}");
    for term in [0, 7, 19] {
        let of = |record: &serde_json::Value| vec![record["coefficients"][term].as_f64().unwrap()];
        kolmogorov_smirnov("bias field", drawn_numbers(r#"{"bias_field": {}}"#, of), between(-0.5, 0.5));
    }
    let intensity = |record: &serde_json::Value| vec![record["intensity"].as_f64().unwrap()];
    kolmogorov_smirnov("ghosting", drawn_numbers(r#"{"ghosting": {}}"#, intensity), between(0.5, 1.0));
    kolmogorov_smirnov("spike", drawn_numbers(r#"{"spike": {}}"#, intensity), between(1.0, 3.0));
    let alpha = |record: &serde_json::Value| vec![record["alpha"].as_f64().unwrap()];
    kolmogorov_smirnov("gibbs", drawn_numbers(r#"{"gibbs": {}}"#, alpha), between(0.0, 1.0));
    for m in [0, 1] {
        let time = |record: &serde_json::Value| vec![record["moves"][m]["time"].as_f64().unwrap()];
        let middle = (m + 1) as f64 / 3.0;
        kolmogorov_smirnov(
            "time",
            drawn_numbers(r#"{"motion": {}}"#, time),
            between(middle - 0.1, middle + 0.1),
        );
        let degrees = |record: &serde_json::Value| vec![record["moves"][m]["degrees"][2].as_f64().unwrap()];
        kolmogorov_smirnov("degrees", drawn_numbers(r#"{"motion": {}}"#, degrees), between(-10.0, 10.0));
        let shift = |record: &serde_json::Value| vec![record["moves"][m]["millimetres"][0].as_f64().unwrap()];
        kolmogorov_smirnov("shift", drawn_numbers(r#"{"motion": {}}"#, shift), between(-10.0, 10.0));
    }
    // Of three points the middle one is uniform; of four, the third is uniform above the second.
    let middle = |record: &serde_json::Value| vec![record["channels"][0][1].as_f64().unwrap()];
    let middles = drawn_numbers(r#"{"histogram_shift": {"points": 3}}"#, middle);
    kolmogorov_smirnov("histogram shift", middles, between(0.0, 1.0));
    let third = |record: &serde_json::Value| {
        let [second, third] = [1, 2].map(|i| record["channels"][1][i].as_f64().unwrap());
        vec![(third - second) / (1.0 - second)]
    };
    let thirds = drawn_numbers(r#"{"histogram_shift": {"points": 4}}"#, third);
    kolmogorov_smirnov("histogram shift", thirds, between(0.0, 1.0));
    for axis in 0..3 {
        let of = |record: &serde_json::Value| vec![record["channels"][1][axis].as_f64().unwrap()];
        kolmogorov_smirnov("blur", drawn_numbers(r#"{"blur": {}}"#, of), between(0.5, 1.0));
        let millimetres = drawn_numbers(r#"{"blur": {"sigma": {"millimetres": [0, 2]}}}"#, of);
        let most = 2.0 / [1.0, 0.8, 2.0][axis];
        kolmogorov_smirnov("blur in millimetres", millimetres, between(0.0, most));
    }
}

/// Checks that whole numbers are uniform over `low..=high`, each within five standard deviations.
fn equally_often(what: &str, draws: &[f64], low: i64, high: i64) {
    let (n, p) = (draws.len() as f64, 1.0 / (high - low + 1) as f64);
    for value in low..=high {
        let times = draws.iter().filter(|&&x| x == value as f64).count() as f64;
        assert!(
            (times - n * p).abs() <= 5.0 * (n * p * (1.0 - p)).sqrt(),
            "{what}: {value} {times} times of {n}"
        );
    }
    assert!(draws.iter().all(|&x| low as f64 <= x && x <= high as f64), "{what}");
}

#[test]
fn places_and_numbers_come_equally_often_the_last_one_too() {
    let ghosts = |record: &serde_json::Value| vec![record["ghosts"].as_f64().unwrap()];
    equally_often("ghosts", &drawn_numbers(r#"{"ghosting": {}}"#, ghosts), 4, 10);
    let axis = |record: &serde_json::Value| vec![record["axis"].as_f64().unwrap()];
    equally_often("axis", &drawn_numbers(r#"{"ghosting": {}}"#, axis), 0, 2);
    equally_often("axis", &drawn_numbers(r#"{"motion": {}}"#, axis), 2, 2);
    for axis in 0..3 {
        let frequency = |record: &serde_json::Value| vec![record["frequencies"][0][axis].as_f64().unwrap()];
        equally_often("frequency", &drawn_numbers(r#"{"spike": {}}"#, frequency), -4, 3);
        let origin = |record: &serde_json::Value| vec![record["origins"][0][axis].as_f64().unwrap()];
        equally_often("cut out", &drawn_numbers(r#"{"cut_out": {"size": [3, 3, 3]}}"#, origin), 0, 5);
        let swapped = |record: &serde_json::Value| vec![record["pairs"][0][1][axis].as_f64().unwrap()];
        let last = drawn_numbers(r#"{"swap": {"size": [2, 2, 2]}}"#, swapped);
        assert!(last.contains(&6.0) && last.contains(&0.0) && !last.contains(&7.0));
    }
}

#[test]
fn exchanges_end_and_keep_every_voxel() {
    for size in [[1, 1, 1], [2, 2, 2], [3, 3, 3], [16, 1, 1], [5, 6, 7]] {
        let shape = shape(1, size);
        let patch = patch(&shape);
        for position in 0..50 {
            let drawn =
                draw(&read(r#"{"swap": {"size": [2, 2, 2]}}"#), &Context::new(1, 0, position), &shape);
            let mut out = applied(&[drawn.unwrap()], &patch, &shape, Path::detect());
            let mut all = patch.clone();
            out.sort_by(f32::total_cmp);
            all.sort_by(f32::total_cmp);
            assert_eq!(out, all);
        }
    }
}

#[test]
fn transforms_happen_and_take_channels_as_often_as_said() {
    let text = r#"{"brightness": {"probability": 0.4, "channel_probability": 0.5}}"#;
    let taken = drawn_numbers(text, channel(0)).len() as f64;
    // Five standard deviations of a binomial of 4000 with p = 0.4 * 0.5.
    assert!((taken - 800.0).abs() < 5.0 * (4000.0 * 0.2 * 0.8_f64).sqrt(), "{taken}");
    let happened = drawn_numbers(text, |_| vec![1.0]).len() as f64;
    assert!((happened - 1200.0).abs() < 5.0 * (4000.0 * 0.3 * 0.7_f64).sqrt(), "{happened}");
}

#[test]
fn choices_that_cannot_be_are_named() {
    for text in ALL.iter().chain(NEUTRAL) {
        read(text).check("augment").unwrap();
    }
    for (text, key) in [
        (r#"{"noise": {"sigma": [-1, 1]}}"#, "augment.noise.sigma"),
        (r#"{"noise": {"sigma": [2, 1]}}"#, "augment.noise.sigma"),
        (r#"{"noise": {"probability": 1.5}}"#, "augment.noise.probability"),
        (r#"{"rician": {"channel_probability": -0.5}}"#, "augment.rician.channel_probability"),
        (r#"{"blur": {"sigma": {"voxels": [0, 1e9]}}}"#, "augment.blur.sigma.voxels"),
        (r#"{"sharpen": {"amount": [-1, 1]}}"#, "augment.sharpen.amount"),
        (r#"{"gamma": {"gamma": {"between": [0, 1]}}}"#, "augment.gamma.gamma.between"),
        (r#"{"gamma": {"gamma": {"around_one": [1.1, 1.5]}}}"#, "augment.gamma.gamma.around_one"),
        (r#"{"contrast": {"factor": {"exp_of": [0, 9]}}}"#, "augment.contrast.factor.exp_of"),
        (
            r#"{"shift_intensity": {"offset": {"values": [0, 1e39]}}}"#,
            "augment.shift_intensity.offset.values",
        ),
    ] {
        let error = read(text).check("augment").unwrap_err().to_string();
        assert!(error.starts_with(&format!("`{key}` must be")), "{text}: {error}");
    }
    for bad in [f64::NAN, f64::INFINITY] {
        let noise = Noise { sigma: [0.0, bad], ..Noise::default() };
        assert!(Intensity::Noise(noise).check("augment").is_err());
        let blur = Blur { probability: bad, ..Blur::default() };
        assert!(Intensity::Blur(blur).check("augment").is_err());
    }
    assert!(serde_json::from_str::<Intensity>(r#"{"noise": {"sigmas": [0, 1]}}"#).is_err());
}

#[test]
fn records_that_do_not_fit_are_refused_and_leave_the_patch() {
    let shape = shape(2, [4, 4, 4]);
    let mut patch = patch(&shape);
    let before = patch.clone();
    for text in UNFIT {
        let drawn: IntensityDrawn = serde_json::from_str(text).unwrap();
        assert!(drawn.apply(&mut patch, &shape, &mut Scratch::new()).is_err(), "{text}");
        assert_eq!(patch, before);
    }
    let drawn: IntensityDrawn =
        serde_json::from_str(r#"{"brightness": {"channels": [2, 2], "keep_mean": false}}"#).unwrap();
    assert!(drawn.apply(&mut patch[1..], &shape, &mut Scratch::new()).is_err());
}

const UNFIT: &[&str] = &[
    r#"{"noise": {"sigma": 1, "channels": [null]}}"#,
    r#"{"noise": {"sigma": -1, "channels": [null, null]}}"#,
    r#"{"blur": {"channels": [[1e9, 1, 1], null]}}"#,
    r#"{"gamma": {"channels": [0, 1], "of": "range", "invert": false, "retain_statistics": false}}"#,
    r#"{"contrast": {"channels": [-1, null], "preserve_range": false}}"#,
    r#"{"low_resolution": {"channels": [2, null]}}"#,
    r#"{"anisotropy": {"axis": 3, "factor": 2, "channels": [true, true]}}"#,
    r#"{"bias_field": {"order": 1, "coefficients": [0, 0, 0], "channels": [true, true]}}"#,
    r#"{"histogram_shift": {"channels": [[0.5], null]}}"#,
    r#"{"histogram_shift": {"channels": [[0, 2, 1], null]}}"#,
    r#"{"motion": {"axis": 2, "moves": [{"degrees": [0, 0, 0], "millimetres": [0, 0, 0], "time": 2}], "channels": [true, true]}}"#,
    r#"{"motion": {"axis": 3, "moves": [], "channels": [true, true]}}"#,
    r#"{"ghosting": {"axis": 0, "ghosts": 0, "intensity": 1, "channels": [true, true]}}"#,
    r#"{"spike": {"frequencies": [[0, 0, 2]], "intensity": 1, "channels": [true, true]}}"#,
    r#"{"spike": {"frequencies": [[-3, 0, 0]], "intensity": 1, "channels": [true, true]}}"#,
    r#"{"gibbs": {"alpha": 2, "channels": [true, true]}}"#,
    r#"{"cut_out": {"origins": [[0, 0, 3]], "size": [1, 1, 2], "fill": "mean", "channels": [true, true]}}"#,
    r#"{"cut_out": {"origins": [[18446744073709551615, 0, 3]], "size": [1, 1, 1], "fill": "mean", "channels": [true, true]}}"#,
    r#"{"swap": {"pairs": [[[0, 0, 0], [1, 1, 1]]], "size": [2, 2, 2], "channels": [true, true]}}"#,
    r#"{"swap": {"pairs": [[[0, 0, 0], [4, 0, 0]]], "size": [2, 2, 2], "channels": [true, true]}}"#,
    r#"{"bias_field": {"order": 99999999999, "coefficients": [0, 0, 0], "channels": [true, true]}}"#,
];
