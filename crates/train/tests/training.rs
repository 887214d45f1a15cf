//! A VAE on a small sequence of its own: trained, stopped, resumed, damaged.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;

use batchwright_config as config;
use batchwright_core::{Batch, BoxError, Field, Fingerprint, LoaderOptions, Sequence, Stream};
use batchwright_train::{Error, Outcome, Resume, Summary, Trainer, TrainerOptions, Vae};

/// Bars, horizontal or vertical, at a random place: 22 samples in batches of 4, the last of which is short.
struct Bars {
    samples: usize,
}

const SIDE: usize = 6;
const BATCH: usize = 4;

fn bars() -> Bars {
    Bars { samples: 22 }
}

impl Sequence for Bars {
    fn len(&self) -> usize {
        self.samples.div_ceil(BATCH)
    }

    fn get(&self, epoch: u64, index: usize) -> Result<Batch, BoxError> {
        let rows = BATCH.min(self.samples - index * BATCH);
        let mut batch = Batch::zeroed(vec![Field::new::<f32>("image", &[1, SIDE, SIDE])], rows)?;
        let image = batch.get_mut::<f32>("image")?;
        for row in 0..rows {
            let mut draws = Stream::new(5, epoch, (index * BATCH + row) as u64, "bars");
            let (place, vertical) = (draws.below(SIDE as u64) as usize, draws.chance(0.5));
            for i in 0..SIDE {
                let pixel = if vertical { i * SIDE + place } else { place * SIDE + i };
                image[row * SIDE * SIDE + pixel] = 1.0;
            }
        }
        Ok(batch)
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::default().with("samples", self.samples)
    }
}

fn vae(dropout: f64) -> config::Vae {
    config::Vae {
        hidden: Some(vec![16]),
        channels: None,
        latent: 3,
        likelihood: config::Likelihood::Bernoulli,
        beta: config::Beta::Schedule(config::BetaSchedule::Linear { from: 0.0, to: 1.0, steps: 9 }),
        free_bits: 0.01,
        activation: config::Activation::Relu,
        dropout,
    }
}

fn options(folder: &Path, resume: Resume) -> TrainerOptions {
    let mut options = TrainerOptions::new(7, 3).folder(folder, resume).silent();
    options.training.threads = config::Threads::Count(std::num::NonZeroUsize::MIN);
    options.training.optimizer =
        config::Optimizer::Adamw(config::Adam { lr: 1e-2, weight_decay: 0.01, ..config::Adam::default() });
    options.training.schedule = config::Schedule::Cosine { end: 0.1 };
    options.training.warmup_steps = 2;
    options.training.clip_gradient = Some(config::ClipGradient::Norm(5.0));
    options.logging.log_every = 4;
    options.loader.workers = 1;
    options
}

fn train(options: TrainerOptions) -> Result<Summary, Error> {
    let mut trainer = Trainer::new(options)?;
    let task = Vae::new(&trainer.root(), &vae(0.1), [1, SIDE, SIDE]).unwrap();
    trainer.fit(&task, bars(), Some(Box::new(Bars { samples: 10 })))
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn a_vae_learns_and_leaves_a_run_behind() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut options = options(&run, Resume::Never);
    options.training.epochs = 60;
    let summary = train(options).unwrap();
    assert_eq!((summary.outcome, summary.steps, summary.epochs), (Outcome::Finished, 360, 60));
    let first = read(&run, "metrics.jsonl");
    let loss_of = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["val_elbo"].as_f64()
    };
    let elbos: Vec<f64> = first.lines().filter_map(loss_of).collect();
    assert_eq!(elbos.len(), 60);
    // 36 ln 2 = 25 nats before anything is learned; 12 bars are ln 12 = 2.5 nats at the best.
    assert!(elbos[0] < -17.0 && -15.0 < elbos[59], "{} -> {}", elbos[0], elbos[59]);
    let best = summary.best.unwrap();
    assert!(best.path.join("MANIFEST.json").exists());
    for name in [
        "metrics.csv",
        "timing.jsonl",
        "summary.json",
        "configuration.json",
        "pictures/epoch-0000-samples.png",
        "pictures/epoch-0059-traversal.png",
        "pictures/epoch-0030-reconstructions.png",
    ] {
        assert!(run.join(name).exists(), "{name}");
    }
}
