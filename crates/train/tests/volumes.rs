//! A VAE of volumes: trained, validated, resumed, drawn.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use batchwright_config as config;
use batchwright_core::{Batch, BoxError, Field, Fingerprint, Sequence, Stream};
use batchwright_train::{Picture, Pictures, Resume, Summary, Trainer, TrainerOptions, Vae};

/// Smooth blobs at random places, the same in every epoch.
struct Blobs {
    samples: usize,
    side: usize,
    seed: u64,
}

const BATCH: usize = 8;

impl Sequence for Blobs {
    fn len(&self) -> usize {
        self.samples.div_ceil(BATCH)
    }

    fn get(&self, _epoch: u64, index: usize) -> Result<Batch, BoxError> {
        let Self { samples, side, seed } = *self;
        let rows = BATCH.min(samples - index * BATCH);
        let mut batch = Batch::zeroed(vec![Field::new::<f32>("image", &[1, side, side, side])], rows)?;
        for (row, image) in batch.get_mut::<f32>("image")?.chunks_exact_mut(side.pow(3)).enumerate() {
            let mut draws = Stream::new(seed, 0, (index * BATCH + row) as u64, "blobs");
            let place = [(); 3].map(|()| draws.uniform_in(0.3, 0.7));
            let square = |i: usize, axis: usize| (i as f64 / side as f64 - place[axis]).powi(2);
            let mut voxels = image.iter_mut();
            for (z, y, x) in
                (0..side).flat_map(|z| (0..side).flat_map(move |y| (0..side).map(move |x| (z, y, x))))
            {
                let distance = square(x, 0) + square(y, 1) + square(z, 2);
                *voxels.next().unwrap() = (-0.5 * distance / 0.15_f64.powi(2)).exp() as f32;
            }
        }
        Ok(batch)
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::default().with("samples", self.samples).with("seed", self.seed)
    }
}

fn blobs(side: usize) -> Blobs {
    Blobs { samples: 64, side, seed: 1 }
}

/// Other blobs.
fn held_out(side: usize) -> Blobs {
    Blobs { samples: 20, side, seed: 2 }
}

fn vae(likelihood: config::Likelihood) -> config::Vae {
    config::Vae {
        hidden: None,
        channels: Some(vec![8, 16]),
        latent: 6,
        likelihood,
        beta: config::Beta::Constant(1.0),
        free_bits: 0.0,
        activation: config::Activation::Silu,
        dropout: 0.0,
    }
}

fn gaussian(sigma: f64) -> config::Likelihood {
    config::Likelihood::Gaussian { sigma: config::Sigma::Fixed(sigma) }
}

fn options(epochs: u64) -> TrainerOptions {
    let mut options = TrainerOptions::new(7, epochs).silent();
    options.training.threads = config::Threads::Count(std::num::NonZeroUsize::MIN);
    options.training.optimizer =
        config::Optimizer::Adam(config::Adam { lr: 3e-3, ..config::Adam::default() });
    options
}

/// libtorch's generator and threads belong to the process: one training at a time.
fn alone() -> MutexGuard<'static, ()> {
    static TRAINING: Mutex<()> = Mutex::new(());
    TRAINING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The mean over the voxels of the squared distance of each held-out blob from the mean of the training's: what a network reaches
/// whose decoder ignores the code.
fn variance(side: usize) -> f64 {
    let all = |blobs: &Blobs| -> Vec<Vec<f32>> {
        let batches = (0..blobs.len()).map(|i| blobs.get(0, i).unwrap());
        let voxels =
            batches.flat_map(|batch| batch.get::<f32>("image").unwrap().to_vec()).collect::<Vec<_>>();
        voxels.chunks_exact(side.pow(3)).map(<[f32]>::to_vec).collect()
    };
    let (training, validation) = (all(&blobs(side)), all(&held_out(side)));
    let mean = |voxel: usize| {
        training.iter().map(|blob| f64::from(blob[voxel])).sum::<f64>() / training.len() as f64
    };
    let squares = (0..side.pow(3)).map(|voxel| {
        let mean = mean(voxel);
        validation.iter().map(|blob| (f64::from(blob[voxel]) - mean).powi(2)).sum::<f64>()
    });
    squares.sum::<f64>() / (validation.len() * side.pow(3)) as f64
}

#[test]
fn volumes_are_reconstructed_from_their_codes() {
    let _alone = alone();
    let (side, sigma) = (32, 0.1);
    let mut trainer = Trainer::new(options(10)).unwrap();
    let task = Vae::new(&trainer.root(), &vae(gaussian(sigma)), [1, side, side, side]).unwrap();
    let before = trainer.evaluate(&task, held_out(side), "val").unwrap();
    let summary = trainer.fit(&task, blobs(side), Some(Box::new(held_out(side)))).unwrap();
    // The likelihood's constant taken off, the mean of the squared errors is left.
    let voxels = side.pow(3) as f64;
    let constant = voxels * (sigma.ln() + 0.5 * std::f64::consts::TAU.ln());
    let error = |reconstruction: f64| 2.0 * sigma * sigma * (reconstruction - constant) / voxels;
    let (before, after) =
        (error(before.get("reconstruction").unwrap()), error(summary.metrics["val_reconstruction"]));
    let unexplained = variance(side);
    println!(
        "mean squared error {before:.5} -> {after:.5}, of the mean volume {unexplained:.5}, {:?}",
        summary.metrics
    );
    assert!(after < 0.25 * unexplained, "{before} -> {after}; {unexplained}");
    assert!(3.0 <= summary.metrics["val_active_units"], "a place has three coordinates");
}

#[test]
fn a_stopped_run_on_volumes_goes_on_with_the_same_bits_and_its_pictures_are_planes() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let [whole, stopped] = ["whole", "stopped"].map(|name| folder.path().join(name));
    let side = 9;
    let train = |run: &Path, epochs, resume| -> Summary {
        let mut trainer = Trainer::new(options(epochs).folder(run, resume)).unwrap();
        let task =
            Vae::new(&trainer.root(), &vae(config::Likelihood::Bernoulli), [1, side, side, side]).unwrap();
        trainer.fit(&task, blobs(side), Some(Box::new(held_out(side)))).unwrap()
    };
    let summary = train(&whole, 3, Resume::Never);
    assert!(summary.warnings.iter().all(|warning| !warning.contains("pictures")), "{:?}", summary.warnings);
    train(&stopped, 2, Resume::Never);
    let resumed = train(&stopped, 3, Resume::Always);
    assert_eq!(resumed.resumed_from, Some(16));
    for file in ["metrics.jsonl", "checkpoints/step-0000000024/model.safetensors"] {
        assert!(fs::read(whole.join(file)).unwrap() == fs::read(stopped.join(file)).unwrap(), "{file}");
    }
    for metric in ["val_elbo", "val_kl", "val_reconstruction", "val_active_units"] {
        assert!(summary.metrics[metric].is_finite(), "{metric}");
    }
    // Three planes of 9 voxels, each drawn as 7 x 7 pixels, and gaps of 1 pixel; 2 pixels between volumes.
    let tile = 3 * 63 + 2;
    for (name, columns, rows) in [("reconstructions", 4, 4), ("samples", 4, 4), ("traversal", 7, 5)] {
        let path = whole.join(format!("pictures/epoch-0002-{name}.png"));
        let size = image::image_dimensions(&path).unwrap();
        assert_eq!(size, (2 + columns * (tile + 2), 2 + rows * (63 + 2)), "{name}");
    }
}

#[test]
fn whole_volumes_go_to_whoever_takes_pictures() {
    struct Shapes(std::sync::mpsc::Sender<(String, Vec<usize>, usize)>);
    impl Pictures for Shapes {
        fn picture(&mut self, picture: &Picture<'_>) -> Result<(), BoxError> {
            let shape = picture.array.shape().to_vec();
            Ok(self.0.send((picture.name.to_owned(), shape, picture.columns))?)
        }
    }
    let _alone = alone();
    let mut trainer = Trainer::new(options(1)).unwrap();
    let (to, from) = std::sync::mpsc::channel();
    trainer.set_pictures(Shapes(to));
    let task = Vae::new(&trainer.root(), &vae(gaussian(1.0)), [1, 8, 8, 8]).unwrap();
    trainer.fit(&task, blobs(8), Some(Box::new(held_out(8)))).unwrap();
    assert_eq!(
        from.try_iter().collect::<Vec<_>>(),
        [
            ("reconstructions".to_owned(), vec![16, 1, 8, 8, 8], 4),
            ("samples".to_owned(), vec![16, 1, 8, 8, 8], 4),
            ("traversal".to_owned(), vec![35, 1, 8, 8, 8], 7),
        ]
    );
}
