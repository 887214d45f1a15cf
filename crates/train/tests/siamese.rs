//! Siamese networks on small sequences of their own: trained, stopped, resumed, embedded.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use batchwright_config as config;
use batchwright_config::{MetricLoss, Mining};
use batchwright_core::{Batch, BoxError, Field, Sequence, Stream};
use batchwright_train::{
    Conclusion, Losses, Resume, Siamese, Step, Summary, Task, TensorBatch, Totals, Trainer, TrainerOptions,
};

const SIDE: usize = 8;
const CLASSES: usize = 4;

/// What a batch of bars consists of.
#[derive(Clone, Copy, PartialEq)]
enum Of {
    Classes,
    Pairs,
    Triplets,
}

/// Bars at a place that is their class, under noise.
#[derive(Clone, Copy)]
struct Bars {
    of: Of,
    batches: usize,
}

impl Bars {
    fn draw(image: &mut [f32], class: usize, draws: &mut Stream) {
        for (i, pixel) in image.iter_mut().enumerate() {
            let bar = i / SIDE == 2 * class;
            *pixel = if bar { 0.7 } else { 0.0 } + 0.3 * draws.uniform_in(0.0, 1.0) as f32;
        }
    }
}

impl Sequence for Bars {
    fn len(&self) -> usize {
        self.batches
    }

    fn get(&self, epoch: u64, index: usize) -> Result<Batch, BoxError> {
        let n = 12;
        let image = |name: &str| Field::new::<f32>(name, &[1, SIDE, SIDE]);
        let mut draws = Stream::new(9, epoch, index as u64, "bars");
        let (names, last): (&[&str], Option<Field>) = match self.of {
            Of::Classes => (&["image"], Some(Field::new::<u8>("label", &[]))),
            Of::Pairs => (&["a", "b"], Some(Field::new::<f32>("same", &[]))),
            Of::Triplets => (&["anchor", "positive", "negative"], None),
        };
        let fields = names.iter().map(|name| image(name)).chain(last).collect();
        let mut batch = Batch::zeroed(fields, n)?;
        for row in 0..n {
            let class = row % CLASSES;
            let other = (class + 1 + draws.below(CLASSES as u64 - 1) as usize) % CLASSES;
            let same = row < n / 2;
            let of_part = match self.of {
                Of::Classes => vec![class],
                Of::Pairs => vec![class, if same { class } else { other }],
                Of::Triplets => vec![class, class, other],
            };
            for (name, class) in names.iter().zip(of_part) {
                let images = batch.get_mut::<f32>(name)?;
                Self::draw(&mut images[row * SIDE * SIDE..][..SIDE * SIDE], class, &mut draws);
            }
            match self.of {
                Of::Classes => batch.get_mut::<u8>("label")?[row] = class as u8,
                Of::Pairs => batch.get_mut::<f32>("same")?[row] = f32::from(u8::from(same)),
                Of::Triplets => {}
            }
        }
        Ok(batch)
    }
}

fn settings(loss: MetricLoss) -> config::Siamese {
    config::Siamese {
        encoder: config::Encoder {
            channels: vec![8, 8],
            orientations: None,
            further: Vec::new(),
            histogram: None,
            residual: false,
            norm: config::Norm::Batch,
            activation: config::Activation::Relu,
            halve: config::Halve::Pool,
            pool: config::Pool::Flatten,
            dropout: 0.1,
        },
        embedding: 6,
        normalize: true,
        loss,
        memory: None,
    }
}

fn options(folder: &Path, resume: Resume, epochs: u64) -> TrainerOptions {
    let mut options = TrainerOptions::new(3, epochs).folder(folder, resume).silent();
    options.training.threads = config::Threads::Count(std::num::NonZeroUsize::MIN);
    options.training.optimizer =
        config::Optimizer::Adam(config::Adam { lr: 5e-3, ..config::Adam::default() });
    options.logging.log_every = 3;
    options.loader.workers = 1;
    options
}

/// A task that fails at a step, as if it were killed there.
struct Killed {
    task: Siamese,
    at: Option<u64>,
}

impl Task for Killed {
    fn loss(&self, batch: &TensorBatch, step: Step) -> Result<Losses, BoxError> {
        if self.at == Some(step.step) { Err("killed".into()) } else { self.task.loss(batch, step) }
    }
    fn validate(&self, batch: &TensorBatch, step: Step) -> Result<Losses, BoxError> {
        self.task.validate(batch, step)
    }
    fn conclude(&self, totals: &Totals) -> Conclusion {
        self.task.conclude(totals)
    }
    fn pictures(
        &self,
        batch: &TensorBatch,
        step: Step,
        to: &mut dyn batchwright_train::Pictures,
    ) -> Result<(), BoxError> {
        self.task.pictures(batch, step, to)
    }
}

fn train(
    options: TrainerOptions,
    settings: &config::Siamese,
    of: Of,
    kill: Option<u64>,
) -> Result<(Summary, Trainer, Siamese), batchwright_train::Error> {
    let mut trainer = Trainer::new(options)?;
    let task = Siamese::new(&trainer.root(), settings, [1, SIDE, SIDE]).unwrap();
    let task = Killed { task, at: kill };
    let validation: Box<dyn Sequence> = Box::new(Bars { of, batches: 2 });
    let summary = trainer.fit(&task, Bars { of, batches: 10 }, Some(validation))?;
    Ok((summary, trainer, task.task))
}

/// libtorch's threads and generator belong to the process: one training at a time.
fn alone() -> MutexGuard<'static, ()> {
    static TRAINING: Mutex<()> = Mutex::new(());
    TRAINING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn margin(margin: f64) -> config::Margin {
    config::Margin::Hard(margin)
}

#[test]
fn every_loss_learns_to_tell_four_classes_apart() {
    let _alone = alone();
    let distance = config::Distance::Euclidean;
    let triplet = |mining| MetricLoss::Triplet { margin: margin(0.3), distance, mining };
    let soft = config::Margin::Soft(config::Soft::Soft);
    let cases = [
        (Of::Pairs, MetricLoss::Contrastive { margin: 1.0 }),
        (Of::Classes, MetricLoss::Contrastive { margin: 1.0 }),
        (Of::Triplets, triplet(Mining::Hard)),
        (Of::Classes, triplet(Mining::Hard)),
        (Of::Classes, triplet(Mining::SemiHard { cap: None })),
        (Of::Classes, triplet(Mining::All)),
        (Of::Classes, triplet(Mining::Scheduled { from: 0.0, to: 1.0, steps: 20 })),
        (Of::Classes, MetricLoss::Triplet { margin: soft, distance, mining: Mining::Hard }),
        (Of::Pairs, MetricLoss::Similarity),
        (Of::Classes, MetricLoss::SupervisedContrastive { temperature: 0.1 }),
        (Of::Classes, MetricLoss::MultiSimilarity { alpha: 2.0, beta: 50.0, base: 0.5, epsilon: Some(0.1) }),
        (Of::Classes, MetricLoss::Prototypical { shots: 1, temperature: 0.1 }),
    ];
    for (of, loss) in cases {
        let folder = tempfile::tempdir().unwrap();
        let (summary, ..) =
            train(options(folder.path(), Resume::IfThere, 6), &settings(loss), of, None).unwrap();
        let auc = summary.metrics["val_auc"];
        assert!(0.99 < auc, "{loss:?}: {:?}", summary.metrics);
        if of == Of::Classes {
            assert!(
                0.9 < summary.metrics["val_precision_at_1"] && 0.9 < summary.metrics["val_knn_accuracy"],
                "{loss:?}"
            );
        }
        assert!(
            summary.warnings.iter().all(|warning| !warning.contains("pictures")),
            "{:?}",
            summary.warnings
        );
        let pictures = fs::read_dir(folder.path().join("pictures")).unwrap().count();
        assert!(0 < pictures, "{loss:?}");
    }
}

/// With a memory, running statistics and dropout.
#[test]
fn a_run_that_was_killed_goes_on_with_the_same_memory_and_losses_bit_for_bit() {
    let _alone = alone();
    let loss = MetricLoss::SupervisedContrastive { temperature: 0.1 };
    let memory = Some(config::CrossBatchMemory { size: 50, from: 3 });
    let settings = config::Siamese { memory, ..settings(loss) };
    let every = |mut options: TrainerOptions| {
        options.training.checkpoint.every_steps = Some(std::num::NonZeroU64::new(4).unwrap().get());
        options
    };
    let files = |folder: &Path| {
        let log = fs::read(folder.join("metrics.jsonl")).unwrap();
        let mut checkpoints: Vec<_> =
            fs::read_dir(folder.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path()).collect();
        checkpoints.sort();
        (log, fs::read(checkpoints.last().unwrap().join("model.safetensors")).unwrap())
    };
    let whole = tempfile::tempdir().unwrap();
    train(every(options(whole.path(), Resume::IfThere, 2)), &settings, Of::Classes, None).unwrap();
    let expected = files(whole.path());
    let again = tempfile::tempdir().unwrap();
    train(every(options(again.path(), Resume::IfThere, 2)), &settings, Of::Classes, None).unwrap();
    assert_eq!(expected, files(again.path()), "two runs are the same");
    for at in [2, 6, 11, 19] {
        let folder = tempfile::tempdir().unwrap();
        let first =
            train(every(options(folder.path(), Resume::IfThere, 2)), &settings, Of::Classes, Some(at));
        assert!(first.is_err());
        train(every(options(folder.path(), Resume::IfThere, 2)), &settings, Of::Classes, None).unwrap();
        assert_eq!(expected, files(folder.path()), "killed at {at}");
    }
}

#[test]
fn a_set_is_embedded_in_its_order() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let loss = MetricLoss::SupervisedContrastive { temperature: 0.1 };
    let (_, mut trainer, task) =
        train(options(folder.path(), Resume::IfThere, 1), &settings(loss), Of::Classes, None).unwrap();
    let set = Bars { of: Of::Classes, batches: 3 };
    let embedded = trainer.embed(&task, Arc::new(set)).unwrap();
    assert_eq!((embedded.len(), embedded.dimensions), (36, 6));
    assert!(embedded.samples.is_empty(), "a sequence written by hand does not say who is in it");
    assert_eq!(trainer.embed(&task, Arc::new(set)).unwrap(), embedded);
    for row in embedded.values.chunks_exact(6) {
        let length: f32 = row.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-5);
    }
}
