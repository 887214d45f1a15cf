//! Against PyTorch (`tests/oracle/vae.py`), and against known collapse.

use std::collections::BTreeMap;

use batchwright_core::Field;
use serde::Deserialize;
use tch::Device;

use super::*;

#[derive(Deserialize)]
struct Oracle {
    n: i64,
    shape: [i64; 3],
    latent: i64,
    mean: Vec<f32>,
    log_variance: Vec<f32>,
    images: Vec<f32>,
    decoded: Vec<f32>,
    divergence: Vec<f64>,
    likelihoods: BTreeMap<String, Vec<f64>>,
    networks: BTreeMap<String, Outputs>,
    volumes: Volumes,
}

#[derive(Deserialize)]
struct Outputs {
    encoded: Vec<f64>,
    decoded: Vec<f64>,
}

#[derive(Deserialize)]
struct Volumes {
    shape: [i64; 4],
    voxels: Vec<f32>,
    encoded: Vec<f64>,
    decoded: Vec<f64>,
    /// With the mean of the posterior as the code.
    elbo: BTreeMap<String, Vec<f64>>,
}

fn oracle() -> Oracle {
    serde_json::from_str(include_str!("../../tests/oracle/vae.json")).unwrap()
}

fn close(what: &str, tensor: &Tensor, expected: &[f64], tolerance: f64) {
    let found = Vec::<f64>::try_from(tensor.to_kind(Kind::Double).flatten(0, -1)).unwrap();
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() <= tolerance * expected.abs().max(1.0),
            "{what}: {found}, expected {expected}"
        );
    }
}

fn settings() -> config::Vae {
    config::Vae {
        hidden: Some(vec![6, 5]),
        channels: None,
        latent: 4,
        likelihood: config::Likelihood::Bernoulli,
        beta: config::Beta::Constant(1.0),
        free_bits: 0.0,
        activation: config::Activation::Silu,
        dropout: 0.0,
    }
}

fn image_batch(images: Tensor, weights: Option<Tensor>) -> TensorBatch {
    let shape: Vec<usize> = images.size()[1..].iter().map(|&n| n as usize).collect();
    TensorBatch::of(vec![(Field::new::<f32>("image", &shape), images)], weights)
}

/// libtorch's generator belongs to the process: tests that seed it or draw from it (weights, codes) run one at a time.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static GENERATOR: std::sync::Mutex<()> = std::sync::Mutex::new(());
    GENERATOR.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

const STEP: Step = Step { step: 0, epoch: 0, training: true };

#[test]
fn likelihoods_and_divergences_are_pytorchs_in_nats() {
    let _alone = alone();
    let Oracle {
        n,
        shape: [c, h, w],
        latent,
        mean,
        log_variance,
        images,
        decoded,
        divergence: expected,
        likelihoods,
        ..
    } = oracle();
    let codes = |values: &[f32]| Tensor::from_slice(values).view([n, latent]);
    let grid = |values: &[f32]| Tensor::from_slice(values).view([n, c, h, w]);
    close("divergence", &divergence(&codes(&mean), &codes(&log_variance)).unwrap(), &expected, 1e-6);
    let (images, decoded) = (grid(&images), grid(&decoded));
    let vs = nn::VarStore::new(Device::Cpu);
    let gaussian = |sigma| config::Likelihood::Gaussian { sigma };
    let cases = [
        ("bernoulli", config::Likelihood::Bernoulli),
        ("gaussian_1", gaussian(config::Sigma::Fixed(1.0))),
        ("gaussian_1", gaussian(config::Sigma::Learned(config::Learned::Learned))),
        ("gaussian_0.3", gaussian(config::Sigma::Fixed(0.3))),
    ];
    for (name, likelihood) in cases {
        let likelihood = Likelihood::new(&vs.root(), likelihood).unwrap();
        let expected = &likelihoods[name];
        close(name, &likelihood.negative_log(&decoded, &images, Per::Sample).unwrap(), expected, 1e-6);
        let mean = expected.iter().sum::<f64>() / n as f64;
        close(name, &likelihood.negative_log(&decoded, &images, Per::Batch).unwrap(), &[mean], 1e-6);
    }
}

/// The weights of `oracle/vae.py`, in the order that PyTorch counts parameters in.
fn fill(vs: &nn::VarStore, part: &str, names: &[&str]) {
    let variables: BTreeMap<String, Tensor> = vs.variables().into_iter().collect();
    let _guard = tch::no_grad_guard();
    let all = names.iter().flat_map(|name| ["weight", "bias"].map(|kind| format!("{part}.{name}.{kind}")));
    for (k, name) in all.enumerate() {
        let mut variable = variables[&name].shallow_clone();
        let value = |i: usize| ((5 * i + 3 * k) % 7) as f32 / 16.0 - 3.0 / 16.0;
        let values: Vec<f32> = (0..variable.numel()).map(value).collect();
        variable.copy_(&Tensor::from_slice(&values).view(variable.size().as_slice()));
    }
}

#[test]
fn both_networks_compute_what_pytorchs_modules_do_at_odd_sizes() {
    let _alone = alone();
    let Oracle { n, shape, latent, mean, images, networks, .. } = oracle();
    let image = shape.map(|n| n as usize);
    let [c, h, w] = shape;
    let images = Tensor::from_slice(&images).view([n, c, h, w]);
    let codes = Tensor::from_slice(&mean).view([n, latent]);
    let channels = config::Vae {
        hidden: None,
        channels: Some(vec![3, 4]),
        activation: config::Activation::Relu,
        ..settings()
    };
    for (name, settings) in [("hidden", settings()), ("channels", channels)] {
        let vs = nn::VarStore::new(Device::Cpu);
        let vae = Vae::new(&vs.root(), &settings, image).unwrap();
        fill(&vs, "encoder", &["0", "1", "head"]);
        fill(&vs, "decoder", &["neck", "0", "1"]);
        let (mean, log_variance) = vae.encode(&images).unwrap();
        close(name, &Tensor::cat(&[mean, log_variance], 1), &networks[name].encoded, 1e-5);
        let decoded = vae.network.decode(&codes, false).unwrap();
        assert_eq!(decoded.size(), [n, c, h, w]);
        close(name, &decoded, &networks[name].decoded, 1e-5);
    }
}

/// Settings of two convolutional layers, of 3 and 4 channels.
fn convolutional() -> config::Vae {
    let channels = Some(vec![3, 4]);
    config::Vae { hidden: None, channels, activation: config::Activation::Relu, ..settings() }
}

#[test]
fn the_network_of_volumes_computes_what_pytorchs_modules_do_at_odd_sizes() {
    let _alone = alone();
    let Oracle { n, latent, mean, volumes, .. } = oracle();
    let Volumes { shape, voxels, encoded, decoded, elbo } = volumes;
    let [c, d, h, w] = shape;
    let voxels = Tensor::from_slice(&voxels).view([n, c, d, h, w]);
    let codes = Tensor::from_slice(&mean).view([n, latent]);
    let gaussian = config::Likelihood::Gaussian { sigma: config::Sigma::Fixed(0.3) };
    for (name, likelihood) in [("bernoulli", config::Likelihood::Bernoulli), ("gaussian_0.3", gaussian)] {
        let vs = nn::VarStore::new(Device::Cpu);
        let settings = config::Vae { likelihood, ..convolutional() };
        let vae = Vae::new(&vs.root(), &settings, shape.map(|n| n as usize)).unwrap();
        fill(&vs, "encoder", &["0", "1", "head"]);
        fill(&vs, "decoder", &["neck", "0", "1"]);
        let (mean, log_variance) = vae.encode(&voxels).unwrap();
        close("encoded", &Tensor::cat(&[&mean, &log_variance], 1), &encoded, 1e-5);
        let found = vae.network.decode(&codes, false).unwrap();
        assert_eq!(found.size(), [n, c, d, h, w]);
        close("decoded", &found, &decoded, 1e-5);
        let reconstructed = vae.network.decode(&mean, false).unwrap();
        let reconstruction = vae.likelihood.negative_log(&reconstructed, &voxels, Per::Sample).unwrap();
        let kl = divergence(&mean, &log_variance).unwrap().sum_dim_intlist(1_i64, false, None::<Kind>);
        close(name, &-(reconstruction + kl), &elbo[name], 1e-5);
    }
}

/// The formula is written out over all voxels, in double precision, with the same draw of the code.
#[test]
fn the_bound_of_volumes_is_that_of_the_formula() {
    let _alone = alone();
    let (n, side, latent) = (3_usize, 8_usize, 4_usize);
    let gaussian = config::Likelihood::Gaussian { sigma: config::Sigma::Fixed(0.3) };
    for likelihood in [config::Likelihood::Bernoulli, gaussian] {
        tch::manual_seed(8);
        let vs = nn::VarStore::new(Device::Cpu);
        let vae = Vae::new(&vs.root(), &config::Vae { likelihood, ..convolutional() }, [2, side, side, side])
            .unwrap();
        let side = side as i64;
        let voxels = Tensor::rand([n as i64, 2, side, side, side], (Kind::Float, Device::Cpu));
        tch::manual_seed(9);
        let losses = vae.loss(&image_batch(voxels.shallow_clone(), None), STEP).unwrap();
        tch::manual_seed(9);
        let (mean, log_variance) = vae.encode(&voxels).unwrap();
        let noise = Tensor::randn([n as i64, latent as i64], (Kind::Float, Device::Cpu));
        let decoded = vae.network.decode(&(&mean + (&log_variance * 0.5).exp() * noise), false).unwrap();
        let numbers =
            |x: &Tensor| Vec::<f64>::try_from(x.to_kind(Kind::Double).flatten(0, -1)).unwrap().into_iter();
        let log_likelihood: f64 = numbers(&voxels)
            .zip(numbers(&decoded))
            .map(|(x, y)| match likelihood {
                config::Likelihood::Bernoulli => {
                    let p = 1.0 / (1.0 + (-y).exp());
                    x * p.ln() + (1.0 - x) * (1.0 - p).ln()
                }
                config::Likelihood::Gaussian { .. } => {
                    let z = (x - y) / 0.3;
                    -0.5 * z * z - 0.3_f64.ln() - 0.5 * std::f64::consts::TAU.ln()
                }
            })
            .sum();
        let kl: f64 =
            numbers(&mean).zip(numbers(&log_variance)).map(|(m, l)| 0.5 * (m * m + l.exp() - 1.0 - l)).sum();
        let n = n as f64;
        let metric = |name| &losses.metrics.iter().find(|(known, _)| *known == name).unwrap().1;
        close("reconstruction", metric("reconstruction"), &[-log_likelihood / n], 1e-5);
        close("kl", metric("kl"), &[kl / n], 1e-5);
        close("elbo", metric("elbo"), &[(log_likelihood - kl) / n], 1e-5);
        close("loss", &losses.loss, &[(kl - log_likelihood) / n], 1e-5);
    }
}

#[test]
fn a_volume_comes_back_in_its_own_size() {
    let _alone = alone();
    for sides in [[4, 4, 4], [5, 6, 7], [9, 4, 11], [12, 17, 6]] {
        let vs = nn::VarStore::new(Device::Cpu);
        let [z, y, x] = sides;
        let vae = Vae::new(&vs.root(), &convolutional(), [1, z, y, x]).unwrap();
        let volumes = Tensor::zeros([2, 1, z as i64, y as i64, x as i64], (Kind::Float, Device::Cpu));
        let (mean, log_variance) = vae.encode(&volumes).unwrap();
        assert_eq!((mean.size(), log_variance.size()), (vec![2, 4], vec![2, 4]));
        assert_eq!(vae.decode(&mean).unwrap().size(), volumes.size());
    }
    let vs = nn::VarStore::new(Device::Cpu);
    let vae = Vae::new(&vs.root(), &settings(), [1, 2, 3, 4]).unwrap();
    let codes = Tensor::zeros([2, 4], (Kind::Float, Device::Cpu));
    assert_eq!(vae.decode(&codes).unwrap().size(), [2, 1, 2, 3, 4], "fully connected");
}

/// Checkpoints are read by these names and shapes.
#[test]
fn parameters_keep_their_names_and_shapes() {
    let _alone = alone();
    let found = |image: &[usize]| -> Vec<String> {
        let vs = nn::VarStore::new(Device::Cpu);
        let sigma = config::Sigma::Learned(config::Learned::Learned);
        let likelihood = config::Likelihood::Gaussian { sigma };
        Vae::new(&vs.root(), &config::Vae { likelihood, ..convolutional() }, image).unwrap();
        let all: BTreeMap<String, Tensor> = vs.variables().into_iter().collect();
        all.iter().map(|(name, tensor)| format!("{name} {:?}", tensor.size())).collect()
    };
    assert_eq!(
        found(&[2, 9, 8]),
        [
            "decoder.0.bias [3]",
            "decoder.0.weight [4, 3, 4, 4]",
            "decoder.1.bias [2]",
            "decoder.1.weight [3, 2, 4, 4]",
            "decoder.neck.bias [16]",
            "decoder.neck.weight [16, 4]",
            "encoder.0.bias [3]",
            "encoder.0.weight [3, 2, 4, 4]",
            "encoder.1.bias [4]",
            "encoder.1.weight [4, 3, 4, 4]",
            "encoder.head.bias [8]",
            "encoder.head.weight [8, 16]",
            "log_sigma [1]",
        ]
    );
    assert_eq!(
        found(&[2, 12, 9, 8]),
        [
            "decoder.0.bias [3]",
            "decoder.0.weight [4, 3, 4, 4, 4]",
            "decoder.1.bias [2]",
            "decoder.1.weight [3, 2, 4, 4, 4]",
            "decoder.neck.bias [48]",
            "decoder.neck.weight [48, 4]",
            "encoder.0.bias [3]",
            "encoder.0.weight [3, 2, 4, 4, 4]",
            "encoder.1.bias [4]",
            "encoder.1.weight [4, 3, 4, 4, 4]",
            "encoder.head.bias [8]",
            "encoder.head.weight [8, 48]",
            "log_sigma [1]",
        ]
    );
}

#[test]
fn weights_begin_uniform_within_one_over_the_root_of_the_fan() {
    let _alone = alone();
    tch::manual_seed(3);
    let vs = nn::VarStore::new(Device::Cpu);
    let settings = config::Vae { hidden: None, channels: Some(vec![32, 64]), ..settings() };
    Vae::new(&(vs.root() / "2d"), &settings, [1, 28, 28]).unwrap();
    Vae::new(&(vs.root() / "3d"), &settings, [1, 8, 8, 8]).unwrap();
    let variables = vs.variables();
    let bounds = [("encoder.1", 32), ("decoder.0", 32), ("decoder.1", 1)];
    for (dimensions, elements) in [("2d", 16), ("3d", 64)] {
        for (name, channels) in bounds {
            let bound = 1.0 / f64::from(channels * elements).sqrt();
            let most = variables[&format!("{dimensions}.{name}.weight")].abs().max().double_value(&[]);
            assert!(0.95 * bound < most && most <= bound * 1.000_001, "{name}: {most}, bound {bound}");
        }
    }
}

#[test]
fn the_loss_is_made_of_its_parts_and_weights_count() {
    let _alone = alone();
    tch::manual_seed(4);
    let vs = nn::VarStore::new(Device::Cpu);
    let settings = config::Vae { beta: config::Beta::Constant(0.5), ..settings() };
    let vae = Vae::new(&vs.root(), &settings, [1, 3, 3]).unwrap();
    let images = Tensor::rand([4, 1, 3, 3], (Kind::Float, Device::Cpu));
    let loss = |weights: Option<&[f32]>| {
        tch::manual_seed(5);
        let batch = image_batch(images.shallow_clone(), weights.map(Tensor::from_slice));
        let losses = vae.loss(&batch, STEP).unwrap();
        let metric =
            |name| losses.metrics.iter().find(|(known, _)| *known == name).unwrap().1.double_value(&[]);
        (losses.loss.double_value(&[]), metric("reconstruction"), metric("kl"), metric("elbo"))
    };
    let (plain, reconstruction, kl, elbo) = loss(None);
    assert!((plain - (reconstruction + 0.5 * kl)).abs() < 1e-5);
    assert!((elbo + reconstruction + kl).abs() < 1e-5);
    let (ones, ..) = loss(Some(&[1.0; 4]));
    assert!((ones - plain).abs() < 1e-5);
    let (first, unweighted, ..) = loss(Some(&[4.0, 0.0, 0.0, 0.0]));
    let (second, ..) = loss(Some(&[0.0, 4.0, 4.0, 4.0]));
    assert!((first + second - 4.0 * plain).abs() < 1e-4, "{first} + {second}, 4 * {plain}");
    assert!((unweighted - reconstruction).abs() < 1e-5, "figures are not weighted");
}

#[test]
fn free_bits_hold_the_loss_but_not_the_figures() {
    let _alone = alone();
    tch::manual_seed(6);
    let vs = nn::VarStore::new(Device::Cpu);
    let settings = config::Vae { free_bits: 5.0, ..settings() };
    let vae = Vae::new(&vs.root(), &settings, [1, 3, 3]).unwrap();
    let batch = image_batch(Tensor::rand([4, 1, 3, 3], (Kind::Float, Device::Cpu)), None);
    let losses = vae.loss(&batch, STEP).unwrap();
    let metric = |name| losses.metrics.iter().find(|(known, _)| *known == name).unwrap().1.double_value(&[]);
    assert!(metric("kl") < 5.0);
    // Four dimensions, each below 5 nats.
    assert!((losses.loss.double_value(&[]) - (metric("reconstruction") + 20.0)).abs() < 1e-4);
}

/// Totals of codes whose first `active` of 20 dimensions vary.
fn totals(active: usize) -> Totals {
    let n = 100;
    let square = |dimension| if dimension < active { 0.5 * f64::from(n) } else { 1e-4 * f64::from(n) };
    let squares: Vec<f64> = (0..20).map(square).collect();
    let sums =
        BTreeMap::from([("mean", Tensor::from_slice(&[0.0; 20])), ("square", Tensor::from_slice(&squares))]);
    Totals { step: 1, samples: 100, sums, rows: BTreeMap::new(), metrics: BTreeMap::new() }
}

#[test]
fn a_collapsed_posterior_raises_an_alarm_that_names_remedies() {
    let _alone = alone();
    let vs = nn::VarStore::new(Device::Cpu);
    let vae = Vae::new(&vs.root(), &config::Vae { latent: 20, ..settings() }, [1, 3, 3]).unwrap();
    let healthy = vae.conclude(&totals(12));
    assert_eq!(healthy, Conclusion { metrics: vec![("active_units", 12.0)], warnings: Vec::new() });
    let collapsed = vae.conclude(&totals(1));
    assert_eq!(collapsed.metrics, [("active_units", 1.0)]);
    let warning = &collapsed.warnings[0];
    assert!(
        warning.contains("1 of 20") && warning.contains("free_bits") && warning.contains("beta"),
        "{warning}"
    );
}

#[test]
fn there_is_no_alarm_while_beta_still_rises() {
    let _alone = alone();
    let vs = nn::VarStore::new(Device::Cpu);
    let beta = config::Beta::Schedule(config::BetaSchedule::Linear { from: 0.0, to: 1.0, steps: 10 });
    let vae = Vae::new(&vs.root(), &config::Vae { latent: 20, beta, ..settings() }, [1, 3, 3]).unwrap();
    let warnings = |step| vae.conclude(&Totals { step, ..totals(0) }).warnings.len();
    assert_eq!((warnings(5), warnings(10)), (0, 1));
}

#[test]
fn what_cannot_be_built_is_refused_with_what_can() {
    let _alone = alone();
    let refused = |settings: config::Vae, image: &[usize]| {
        let vs = nn::VarStore::new(Device::Cpu);
        Vae::new(&vs.root(), &settings, image).unwrap_err().to_string()
    };
    let deep = config::Vae { hidden: None, channels: Some(vec![2; 3]), ..settings() };
    assert_eq!(
        refused(deep.clone(), &[1, 9, 7]),
        "images of 9 x 7 pixels are too small for 3 convolutional layers, each of which halves them: both sides must have \
         at least 8 pixels (any such size fits); give fewer `channels`"
    );
    assert_eq!(
        refused(deep.clone(), &[1, 12, 9, 7]),
        "volumes of 7 x 9 x 12 voxels (x, y, z) are too small for 3 convolutional layers, each of which halves them: all \
         sides must have at least 8 voxels (any such size fits); give fewer `channels`"
    );
    assert_eq!(
        refused(deep, &[9, 7]),
        "the field `image` has samples of the shape [9, 7]; a `vae` takes images [C, y, x] and volumes [C, z, y, x]"
    );
    let both = config::Vae { channels: Some(vec![2]), ..settings() };
    assert!(refused(both, &[1, 9, 9]).ends_with("found both"));
    let none = config::Vae { latent: 0, ..settings() };
    assert_eq!(refused(none, &[1, 9, 9]), "`model.vae.latent` is 0; expected at least 1");
}

#[test]
fn a_batch_that_does_not_fit_is_refused_with_its_shape_or_range() {
    let _alone = alone();
    let vs = nn::VarStore::new(Device::Cpu);
    let vae = Vae::new(&vs.root(), &settings(), [1, 3, 3]).unwrap();
    let error = vae.loss(&image_batch(Tensor::zeros([2, 1, 3, 4], (Kind::Float, Device::Cpu)), None), STEP);
    assert_eq!(
        error.unwrap_err().to_string(),
        "the field `image` has the shape [2, 1, 3, 4]; expected [N, 1, 3, 3]"
    );
    let volumes = Vae::new(&(vs.root() / "volumes"), &settings(), [1, 2, 3, 3]).unwrap();
    let flat = image_batch(Tensor::zeros([2, 1, 3, 3], (Kind::Float, Device::Cpu)), None);
    assert_eq!(
        volumes.loss(&flat, STEP).unwrap_err().to_string(),
        "the field `image` has the shape [2, 1, 3, 3]; expected [N, 1, 2, 3, 3]"
    );
    let bright = Tensor::ones([2, 1, 3, 3], (Kind::Float, Device::Cpu)) * 255;
    let error = vae.loss(&image_batch(bright, None), STEP).unwrap_err();
    assert!(
        error.to_string().contains("between 255 and 255; a Bernoulli likelihood needs 0 to 1"),
        "{error}"
    );
    let bytes = Tensor::ones([2, 1, 3, 3], (Kind::Uint8, Device::Cpu)) * 255;
    assert!(vae.loss(&image_batch(bytes, None), STEP).is_ok(), "u8 is scaled");
}
