//! A VAE on a small sequence of its own: trained, stopped, resumed, damaged.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use batchwright_config as config;
use batchwright_core::{
    Batch, BatchOptions, Batches, BoxError, Context, Dataset, Field, Fingerprint, OnError, SampleError,
    Sequence, Sequential, Slot, Stream,
};
use batchwright_train::{
    Conclusion, Error, Losses, Outcome, Picture, Pictures, Resume, Step, StopFlag, Summary, Task,
    TensorBatch, Totals, Trainer, TrainerOptions, Vae,
};

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

/// What happens when step `at` is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    Nothing,
    /// The program is asked to stop.
    Stop {
        at: u64,
    },
    /// The step fails, and nothing is saved: as far as files tell, the program was killed.
    Kill {
        at: u64,
    },
    /// The validation after step `at` is killed.
    KillValidation {
        at: u64,
    },
    /// The program is asked to stop in the validation after step `at`.
    StopValidation {
        at: u64,
    },
}

/// A VAE to which something happens.
struct Eventful {
    vae: Vae,
    event: Event,
    stop: StopFlag,
}

impl Task for Eventful {
    fn loss(&self, batch: &TensorBatch, step: Step) -> Result<Losses, BoxError> {
        if self.event == (Event::Stop { at: step.step }) {
            self.stop.set(15);
        }
        if self.event == (Event::Kill { at: step.step }) {
            return Err("killed".into());
        }
        self.vae.loss(batch, step)
    }
    fn validate(&self, batch: &TensorBatch, step: Step) -> Result<Losses, BoxError> {
        if self.event == (Event::StopValidation { at: step.step }) {
            self.stop.set(15);
        }
        if self.event == (Event::KillValidation { at: step.step }) {
            return Err("killed".into());
        }
        self.vae.validate(batch, step)
    }
    fn conclude(&self, totals: &Totals) -> Conclusion {
        self.vae.conclude(totals)
    }
    fn pictures(&self, batch: &TensorBatch, step: Step, to: &mut dyn Pictures) -> Result<(), BoxError> {
        self.vae.pictures(batch, step, to)
    }
}

fn train_with(options: TrainerOptions, event: Event) -> Result<Summary, Error> {
    let stop = options.stop.clone();
    let mut trainer = Trainer::new(options)?;
    let vae = Vae::new(&trainer.root(), &vae(0.1), [1, SIDE, SIDE]).unwrap();
    trainer.fit(&Eventful { vae, event, stop }, bars(), Some(Box::new(Bars { samples: 10 })))
}

fn train(options: TrainerOptions) -> Result<Summary, Error> {
    train_with(options, Event::Nothing)
}

/// libtorch's generator and threads belong to the process: one training at a time.
fn alone() -> MutexGuard<'static, ()> {
    static TRAINING: Mutex<()> = Mutex::new(());
    TRAINING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The checkpoints of a run, oldest first.
fn checkpoints(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> =
        fs::read_dir(folder.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

/// What a run leaves behind that has to be the same, however often it was interrupted.
fn remains(folder: &Path) -> (Vec<u8>, Vec<u8>, String, String) {
    let last = checkpoints(folder).pop().unwrap();
    let bytes = |name: &str| fs::read(last.join(name)).unwrap();
    (
        bytes("model.safetensors"),
        bytes("optimizer.safetensors"),
        read(folder, "metrics.jsonl"),
        read(folder, "metrics.csv"),
    )
}

#[test]
fn a_vae_learns_and_leaves_a_run_behind() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut options = options(&run, Resume::Never);
    options.training.epochs = 60;
    let summary = train(options).unwrap();
    assert_eq!((summary.outcome, summary.steps, summary.epochs), (Outcome::Finished, 360, 60));
    let lines: Vec<serde_json::Value> =
        read(&run, "metrics.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let elbos: Vec<f64> = lines.iter().filter_map(|line| line["val_elbo"].as_f64()).collect();
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
    // The last two and the best.
    let kept: Vec<_> = checkpoints(&run).iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert!(kept.iter().any(|name| best.path.ends_with(name)));
    assert!((2..=3).contains(&kept.len()) && kept.last().unwrap() == "step-0000000360", "{kept:?}");
}

#[test]
fn figures_are_written_at_steps_that_depend_on_nothing_else() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    train(options(&run, Resume::Never)).unwrap();
    let lines: Vec<serde_json::Value> =
        read(&run, "metrics.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let places = |name: &str| -> Vec<(u64, u64)> {
        let lines = lines.iter().filter(|line| line.get(name).is_some());
        lines.map(|line| (line["step"].as_u64().unwrap(), line["epoch"].as_u64().unwrap())).collect()
    };
    // Every 4 steps and at the end of each epoch of 6.
    assert_eq!(places("train_loss"), [(4, 0), (6, 0), (8, 1), (12, 1), (16, 2), (18, 2)]);
    assert_eq!(places("val_loss"), [(6, 0), (12, 1), (18, 2)]);
    let first = &lines[0];
    for name in [
        "train_elbo",
        "train_reconstruction",
        "train_kl",
        "train_beta",
        "train_gradient_norm",
        "learning_rate",
    ] {
        assert!(first[name].is_number(), "{name} in {first}");
    }
    for name in ["val_elbo", "val_reconstruction", "val_kl", "val_active_units"] {
        assert!(lines[2][name].is_number(), "{name} in {}", lines[2]);
    }
}

#[test]
fn a_run_that_was_stopped_after_any_step_goes_on_as_if_it_was_not() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    train(options(&whole, Resume::Never)).unwrap();
    let expected = remains(&whole);
    for at in 0..18 {
        let run = folder.path().join(format!("stopped-{at}"));
        let stopped = train_with(options(&run, Resume::Never), Event::Stop { at }).unwrap();
        // After the last step of an epoch, the validation is left to be done.
        assert_eq!((stopped.outcome, stopped.steps), (Outcome::Stopped { reason: 15 }, at + 1));
        let mut resumed = options(&run, Resume::Always);
        resumed.loader.workers = (at % 4) as usize;
        let summary = train(resumed).unwrap();
        assert_eq!(summary.resumed_from, Some(at + 1));
        assert!(remains(&run) == expected, "stopped at step {at}");
    }
}

#[test]
fn a_run_that_ended_in_a_validation_validates_first_and_loses_no_step() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    for every_steps in [None, Some(5)] {
        let options = |run: &Path, resume| {
            let mut options = options(run, resume);
            options.training.checkpoint = config::Checkpoint { every_steps, keep: 1 };
            options
        };
        let whole = folder.path().join(format!("whole-{every_steps:?}"));
        let expected = train(options(&whole, Resume::Never)).unwrap();
        let best = expected.best.unwrap();
        for at in [6, 12, 18] {
            let run = folder.path().join(format!("killed-{every_steps:?}-{at}"));
            train_with(options(&run, Resume::Never), Event::KillValidation { at }).unwrap_err();
            // Once more, in the same place.
            let stopped = train_with(options(&run, Resume::Always), Event::StopValidation { at }).unwrap();
            assert_eq!((stopped.outcome, stopped.steps), (Outcome::Stopped { reason: 15 }, at));
            let resumed = train(options(&run, Resume::Always)).unwrap();
            assert_eq!((resumed.outcome, resumed.resumed_from), (Outcome::Finished, Some(at)));
            assert!(remains(&run) == remains(&whole), "{every_steps:?}, killed after step {at}");
            assert_eq!(resumed.metrics, expected.metrics);
            let found = resumed.best.unwrap();
            assert_eq!((found.step, found.val_loss), (best.step, best.val_loss));
        }
    }
}

#[test]
fn a_run_ends_when_validation_no_longer_gets_better_wherever_it_was_killed_before() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let early = |run: &Path, resume| {
        let mut options = options(run, resume);
        options.training.epochs = 40;
        // More than any epoch gains after the first: it ends after the third validation.
        options.training.early_stopping = Some(config::EarlyStopping { patience: 2, min_delta: 100.0 });
        options
    };
    let whole = folder.path().join("whole");
    let expected = train(early(&whole, Resume::Never)).unwrap();
    assert_eq!((expected.outcome, expected.steps, expected.epochs), (Outcome::NoLongerBetter, 18, 3));
    // It is over, and stays so, also where it is asked to go on.
    let again = train(early(&whole, Resume::Always)).unwrap();
    assert_eq!((again.outcome, again.steps, again.resumed_from), (Outcome::NoLongerBetter, 18, Some(18)));
    let killed = [6, 12, 18].map(|at| Event::KillValidation { at });
    let stopped = [7, 13, 16].map(|at| Event::Stop { at });
    // Between two checkpoints: what was validated stands in the one before.
    let lost = [8, 14, 17].map(|at| Event::Kill { at });
    for (nth, event) in [killed, stopped, lost].into_iter().flatten().enumerate() {
        let run = folder.path().join(format!("interrupted-{nth}"));
        let interrupted = train_with(early(&run, Resume::Never), event);
        assert_eq!(interrupted.is_ok(), matches!(event, Event::Stop { .. }), "{event:?}");
        let resumed = train(early(&run, Resume::Always)).unwrap();
        assert_eq!((resumed.outcome, resumed.steps), (Outcome::NoLongerBetter, 18), "{event:?}");
        assert!(remains(&run) == remains(&whole), "{event:?}");
    }
    // With more patience it goes on from there.
    let mut patient = early(&whole, Resume::Always);
    patient.training.early_stopping = Some(config::EarlyStopping { patience: 4, min_delta: 100.0 });
    assert_eq!(train(patient).unwrap().epochs, 5);
    let mut options = early(&folder.path().join("blind"), Resume::Never);
    options.folder = None;
    let mut trainer = Trainer::new(options).unwrap();
    let task = Vae::new(&trainer.root(), &vae(0.0), [1, SIDE, SIDE]).unwrap();
    let error = trainer.fit(&task, bars(), None).unwrap_err().to_string();
    assert!(error.starts_with("`training.early_stopping` is patience 2"), "{error}");
}

#[test]
fn a_damaged_outcome_of_a_validation_is_made_again() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let summary = train(options(&run, Resume::Never)).unwrap();
    let last = checkpoints(&run).pop().unwrap();
    let (expected, whole) = (remains(&run), fs::read(last.join("VALIDATED")).unwrap());
    for at in [0, 70, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(last.join("VALIDATED"), damaged).unwrap();
        let again = train(options(&run, Resume::Always)).unwrap();
        assert_eq!((again.resumed_from, &again.metrics), (Some(18), &summary.metrics), "byte {at}");
        assert!(remains(&run) == expected && fs::read(last.join("VALIDATED")).unwrap() == whole, "byte {at}");
    }
}

#[test]
fn a_run_goes_on_bit_for_bit_with_sgd_too() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    for momentum in [0.0, 0.9] {
        let options = |run: &Path, resume| {
            let mut options = options(run, resume);
            let sgd = config::Sgd { lr: 1e-3, momentum, nesterov: 0.0 < momentum, weight_decay: 0.01 };
            options.training.optimizer = config::Optimizer::Sgd(sgd);
            options
        };
        let whole = folder.path().join(format!("whole-{momentum}"));
        train(options(&whole, Resume::Never)).unwrap();
        for at in [0, 5, 10] {
            let run = folder.path().join(format!("stopped-{momentum}-{at}"));
            train_with(options(&run, Resume::Never), Event::Stop { at }).unwrap();
            let summary = train(options(&run, Resume::Always)).unwrap();
            assert_eq!(summary.resumed_from, Some(at + 1));
            assert!(remains(&run) == remains(&whole), "momentum {momentum}, stopped at step {at}");
        }
    }
}

#[test]
fn what_was_trained_before_a_batch_that_cannot_be_loaded_is_saved() {
    struct Bad(Bars, u64);
    impl Sequence for Bad {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn get(&self, epoch: u64, index: usize) -> Result<Batch, BoxError> {
            if epoch * 6 + index as u64 == self.1 {
                Err("unreadable".into())
            } else {
                self.0.get(epoch, index)
            }
        }
        fn fingerprint(&self) -> Fingerprint {
            self.0.fingerprint()
        }
    }
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    train(options(&whole, Resume::Never)).unwrap();
    let run = folder.path().join("run");
    let mut trainer = Trainer::new(options(&run, Resume::Never)).unwrap();
    let vae = Vae::new(&trainer.root(), &vae(0.1), [1, SIDE, SIDE]).unwrap();
    let error = trainer.fit(&vae, Bad(bars(), 9), Some(Box::new(Bars { samples: 10 }))).unwrap_err();
    assert!(matches!(error, Error::Load { .. }), "{error}");
    drop((trainer, vae));
    assert_eq!(train(options(&run, Resume::Always)).unwrap().resumed_from, Some(9));
    assert!(remains(&run) == remains(&whole));
}

#[test]
fn another_validation_set_forgets_the_best_and_says_so() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    train_with(options(&run, Resume::Never), Event::Stop { at: 7 }).unwrap();
    let mut trainer = Trainer::new(options(&run, Resume::Always)).unwrap();
    let vae = Vae::new(&trainer.root(), &vae(0.1), [1, SIDE, SIDE]).unwrap();
    let summary = trainer.fit(&vae, bars(), Some(Box::new(Bars { samples: 9 }))).unwrap();
    let warned =
        |warning: &String| warning.contains("samples: was 10, is 9") && warning.contains("forgotten");
    assert!(summary.warnings.iter().any(warned), "{:?}", summary.warnings);
    assert!(12 <= summary.best.unwrap().step);
}

#[test]
fn an_evaluation_reads_a_run_under_other_settings_of_the_training() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    train(options(&run, Resume::Never)).unwrap();
    let mut other = options(&run, Resume::Never);
    other.training.warmup_steps = 3;
    other.training.threads = config::Threads::Count(std::num::NonZeroUsize::new(2).unwrap());
    let mut trainer = Trainer::read(other).unwrap();
    let _vae = Vae::new(&trainer.root(), &vae(0.1), [1, SIDE, SIDE]).unwrap();
    assert_eq!(trainer.load_latest().unwrap().step, 18);
}

#[test]
fn a_run_that_was_killed_at_any_step_goes_on_from_its_checkpoint_and_its_logs_are_cut_back() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let every_five = |run: &Path, resume| {
        let mut options = options(run, resume);
        options.training.checkpoint = config::Checkpoint { every_steps: Some(5), keep: 3 };
        options.logging.log_every = 1;
        options
    };
    let whole = folder.path().join("whole");
    train(every_five(&whole, Resume::Never)).unwrap();
    let expected = remains(&whole);
    for at in 0..18 {
        let run = folder.path().join(format!("killed-{at}"));
        train_with(every_five(&run, Resume::Never), Event::Kill { at }).unwrap_err();
        // What has figures or checkpoints is a run; where nothing would be lost, there is none yet.
        assert_eq!(Trainer::new(every_five(&run, Resume::Never)).is_err(), 0 < at, "killed at step {at}");
        // Once more, before it gets to the end.
        if at < 14 {
            train_with(every_five(&run, Resume::IfThere), Event::Kill { at: at + 3 }).unwrap_err();
        }
        let summary = train(every_five(&run, Resume::IfThere)).unwrap();
        assert!(at < 5 || summary.resumed_from.is_some_and(|step| 5 <= step), "killed at step {at}");
        assert!(remains(&run) == expected, "killed at step {at}");
    }
}

#[test]
fn more_epochs_go_on_with_a_run_that_had_ended() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let constant = |run: &Path, epochs, resume| {
        let mut options = options(run, resume);
        options.training.epochs = epochs;
        options.training.schedule = config::Schedule::Constant;
        options
    };
    let whole = folder.path().join("whole");
    train(constant(&whole, 3, Resume::Never)).unwrap();
    let run = folder.path().join("run");
    train(constant(&run, 2, Resume::Never)).unwrap();
    let last = train(constant(&run, 3, Resume::Always)).unwrap();
    assert!(remains(&run) == remains(&whole));
    // Nothing is left to do, and the summary is the same.
    let again = train(constant(&run, 3, Resume::Always)).unwrap();
    assert_eq!((again.resumed_from, again.steps, again.metrics), (Some(18), 18, last.metrics));
}

#[test]
fn a_damaged_checkpoint_is_found_whatever_is_damaged_and_the_one_before_it_is_used() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    train(options(&run, Resume::Never)).unwrap();
    let expected = remains(&run);
    let last = checkpoints(&run).pop().unwrap();
    let mut cases = 0;
    for file in ["model.safetensors", "optimizer.safetensors", "state.json", "MANIFEST.json"] {
        let whole = fs::read(last.join(file)).unwrap();
        let mut damages: Vec<(String, Option<Vec<u8>>)> = vec![("removed".to_owned(), None)];
        for part in 0..8 {
            let at = part * (whole.len() - 1) / 7;
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            damages.push((format!("byte {at} flipped"), Some(flipped)));
            if part < 7 {
                damages.push((format!("cut to {at}"), Some(whole[..at].to_vec())));
            }
        }
        damages.push(("longer".to_owned(), Some([whole.as_slice(), b"\n"].concat())));
        for (damage, bytes) in damages {
            match bytes {
                Some(bytes) => fs::write(last.join(file), bytes).unwrap(),
                None => fs::remove_file(last.join(file)).unwrap(),
            }
            let trainer = Trainer::new(options(&run, Resume::Always)).unwrap();
            let whole_ones: Vec<u64> =
                trainer.checkpoints().iter().map(|checkpoint| checkpoint.step).collect();
            assert_eq!(whole_ones[0], 12, "{file}, {damage}");
            cases += 1;
        }
        fs::write(last.join(file), &whole).unwrap();
    }
    assert_eq!(cases, 4 * 17);
    // Training goes on from the older one, says so, and replaces the damaged one.
    fs::write(last.join("state.json"), b"{}").unwrap();
    let summary = train(options(&run, Resume::Always)).unwrap();
    assert_eq!(summary.resumed_from, Some(12));
    assert!(
        summary.warnings[0].contains("step-0000000018 is not used: `state.json` has 2 bytes"),
        "{:?}",
        summary.warnings
    );
    assert!(remains(&run) == expected);
}

#[test]
fn a_run_without_a_whole_checkpoint_is_an_error_that_lists_each() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    train(options(&run, Resume::Never)).unwrap();
    for checkpoint in checkpoints(&run) {
        fs::write(checkpoint.join("MANIFEST.json"), b"{").unwrap();
    }
    let error = Trainer::new(options(&run, Resume::Always)).unwrap_err().to_string();
    assert!(error.contains("step-0000000012") && error.contains("`MANIFEST.json` is damaged"), "{error}");
}

#[test]
fn tensors_of_another_shape_are_refused_even_where_they_would_broadcast() {
    struct Bias(tch::Tensor);
    impl Task for Bias {
        fn loss(&self, batch: &TensorBatch, _: Step) -> Result<Losses, BoxError> {
            let images = batch.get("image")?;
            Ok(Losses::new((images.mean(tch::Kind::Float) - &self.0).square().sum(tch::Kind::Float)))
        }
    }
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let train = |shape: &[i64], name: &str, resume| {
        let mut trainer = Trainer::new(options(&run, resume)).unwrap();
        let task = Bias(trainer.root().var(name, shape, tch::nn::Init::Const(0.5)));
        trainer.fit(&task, bars(), None)
    };
    train(&[1], "bias", Resume::Never).unwrap();
    let error = train(&[64], "bias", Resume::Always).unwrap_err().to_string();
    assert!(error.contains("has the shape [1]; expected [64]"), "{error}");
    let error = train(&[1], "offset", Resume::Always).unwrap_err().to_string();
    assert!(error.contains("has no tensor `exp_avg/offset`"), "{error}");
}

#[test]
fn two_trainers_in_one_folder_are_refused() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let first = Trainer::new(options(&run, Resume::Never)).unwrap();
    let error = Trainer::new(options(&run, Resume::IfThere)).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    drop(first);
    Trainer::new(options(&run, Resume::IfThere)).unwrap();
}

#[test]
fn a_run_is_not_overwritten_and_not_resumed_under_another_configuration() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let error = train(options(&run, Resume::Always)).unwrap_err();
    assert!(matches!(error, Error::NoRun { .. }), "{error}");
    train(options(&run, Resume::Never)).unwrap();
    let error = train(options(&run, Resume::Never)).unwrap_err();
    assert!(matches!(error, Error::RunExists { .. }), "{error}");
    let mut other = options(&run, Resume::Always);
    other.training.warmup_steps = 3;
    let error = train(other).unwrap_err().to_string();
    assert!(error.ends_with("has changed: `training.warmup_steps` was 2, is 3"), "{error}");
    let mut threads = options(&run, Resume::Always);
    threads.training.threads = config::Threads::Count(std::num::NonZeroUsize::new(2).unwrap());
    let mut trainer = Trainer::new(threads).unwrap();
    assert_eq!(trainer.threads().get(), 1, "the threads of the run are kept");
    let task = Vae::new(&trainer.root(), &vae(0.1), [1, SIDE, SIDE]).unwrap();
    let summary = trainer.fit(&task, bars(), Some(Box::new(Bars { samples: 10 }))).unwrap();
    assert!(summary.warnings[0].contains("`training.threads` is 2"), "{:?}", summary.warnings);
}

#[test]
fn what_is_wrong_with_the_settings_leaves_no_folder_behind() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut device = options(&run, Resume::Never);
    device.training.device = "cuda:99".to_owned();
    let mut rate = options(&run, Resume::Never);
    rate.training.optimizer = config::Optimizer::Sgd(config::Sgd { lr: -1.0, ..config::Sgd::default() });
    for refused in [device, rate] {
        let error = Trainer::new(refused).unwrap_err();
        assert!(matches!(error, Error::Setting { .. }), "{error}");
        assert!(!run.exists());
    }
    train(options(&run, Resume::Never)).unwrap();
}

#[test]
fn a_folder_without_a_checkpoint_is_no_run_yet() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let whole = folder.path().join("whole");
    train(options(&whole, Resume::Never)).unwrap();
    fs::create_dir_all(run.join("checkpoints/.tmp-step-0000000006-1")).unwrap();
    fs::write(run.join("metrics.jsonl"), "").unwrap();
    let error = Trainer::read(options(&run, Resume::Always)).unwrap_err().to_string();
    assert!(error.starts_with("there is no run"), "{error}");
    drop(Trainer::new(options(&run, Resume::Never)).unwrap());
    fs::write(run.join("metrics.jsonl"), "{\"step\":4,\"epoch\":0}\n").unwrap();
    let error = Trainer::new(options(&run, Resume::Never)).unwrap_err();
    assert!(matches!(error, Error::RunExists { .. }), "figures would be lost: {error}");
    let summary = train(options(&run, Resume::Always)).unwrap();
    assert_eq!(summary.resumed_from, None);
    assert!(summary.warnings[0].contains("no checkpoint yet"), "{:?}", summary.warnings);
    assert!(remains(&run) == remains(&whole));
}

#[test]
fn other_data_are_refused_with_what_changed() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    train_with(options(&run, Resume::Never), Event::Stop { at: 3 }).unwrap();
    let mut trainer = Trainer::new(options(&run, Resume::Always)).unwrap();
    let task = Vae::new(&trainer.root(), &vae(0.1), [1, SIDE, SIDE]).unwrap();
    let Error::ResumeData { source } = trainer.fit(&task, Bars { samples: 23 }, None).unwrap_err() else {
        panic!("the data are others")
    };
    assert!(source.to_string().contains("samples: was 22, is 23"), "{source}");
}

#[test]
fn what_a_killed_writer_left_is_removed_and_never_read() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    train(options(&run, Resume::Never)).unwrap();
    let last = checkpoints(&run).pop().unwrap();
    for name in [".tmp-step-0000000099-1", ".trash-step-0000000001-1"] {
        let left = run.join("checkpoints").join(name);
        fs::create_dir(&left).unwrap();
        fs::copy(last.join("state.json"), left.join("state.json")).unwrap();
    }
    let trainer = Trainer::new(options(&run, Resume::Always)).unwrap();
    assert_eq!(trainer.checkpoints()[0].step, 18);
    assert!(
        checkpoints(&run).iter().all(|path| !path.file_name().unwrap().to_str().unwrap().starts_with('.'))
    );
}

#[test]
fn what_cannot_be_removed_is_a_warning_and_the_run_goes_on() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    // A file where a folder is to be removed: nobody, not even root, can remove it as one.
    let trash = run.join(format!("checkpoints/.trash-step-0000000006-{}", std::process::id()));
    fs::create_dir_all(run.join("checkpoints")).unwrap();
    fs::write(&trash, "").unwrap();
    let mut options = options(&run, Resume::Never);
    options.training.checkpoint.keep = 1;
    let summary = train(options).unwrap();
    assert_eq!(summary.outcome, Outcome::Finished);
    let stays = |warning: &&String| warning.contains(".trash-step-0000000006");
    assert_eq!(summary.warnings.iter().filter(stays).count(), 2, "{:?}", summary.warnings);
    assert!(run.join("checkpoints/step-0000000006").exists());
}

#[test]
fn samples_left_out_of_a_validation_are_named() {
    struct Values([Field; 1]);
    impl Dataset for Values {
        fn len(&self) -> usize {
            10
        }
        fn fields(&self) -> &[Field] {
            &self.0
        }
        fn write(&self, index: usize, slot: &mut Slot<'_>, _: &Context<'_>) -> Result<(), SampleError> {
            if index == 3 {
                return Err(SampleError::data("unreadable"));
            }
            slot.get::<f32>(0).fill(index as f32);
            Ok(())
        }
    }
    struct Mean(tch::Tensor);
    impl Task for Mean {
        fn loss(&self, batch: &TensorBatch, _: Step) -> Result<Losses, BoxError> {
            Ok(Losses::new((batch.get("value")? * &self.0).mean(tch::Kind::Float)))
        }
    }
    let _alone = alone();
    let mut trainer = Trainer::new(TrainerOptions::new(1, 1).silent()).unwrap();
    let task = Mean(trainer.root().var("one", &[1], tch::nn::Init::Const(1.0)));
    let options =
        BatchOptions { on_error: OnError::Skip { budget: 1 }, batch_size: 4, ..BatchOptions::default() };
    let values = Values([Field::new::<f32>("value", &[])]);
    let batches = Batches::new(values, Sequential::new(10), options).unwrap();
    let evaluation = trainer.evaluate(&task, batches, "test").unwrap();
    assert_eq!(evaluation.samples, 9);
    let warning = &evaluation.warnings[0];
    assert!(warning.starts_with("test set: sample 3 (3) was left out: "), "{warning}");
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_and_saves_nothing_of_it() {
    struct Exploding(tch::Tensor);
    impl Task for Exploding {
        fn loss(&self, _: &TensorBatch, step: Step) -> Result<Losses, BoxError> {
            let factor = if step.step == 9 { f64::INFINITY } else { 1.0 };
            Ok(Losses::new(self.0.square().sum(tch::Kind::Float) * factor))
        }
    }
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut trainer = Trainer::new(options(&run, Resume::Never)).unwrap();
    let weight = trainer.root().var("weight", &[2], tch::nn::Init::Const(1.0));
    let error = trainer.fit(&Exploding(weight), bars(), None).unwrap_err().to_string();
    assert!(
        error.starts_with("train_loss is NaN between steps 8 and 12: the training has diverged"),
        "{error}"
    );
    assert_eq!(trainer.checkpoints()[0].step, 6);
}

#[test]
fn an_evaluation_is_the_mean_over_all_samples_of_any_batch_size_and_repeats() {
    struct Mean(tch::Tensor);
    impl Task for Mean {
        fn loss(&self, batch: &TensorBatch, _: Step) -> Result<Losses, BoxError> {
            Ok(Losses::new((batch.get("value")? * &self.0).mean(tch::Kind::Float)))
        }
    }
    struct Values(usize);
    impl Sequence for Values {
        fn len(&self) -> usize {
            10_usize.div_ceil(self.0)
        }
        fn get(&self, _: u64, index: usize) -> Result<Batch, BoxError> {
            let rows = self.0.min(10 - index * self.0);
            let mut batch = Batch::zeroed(vec![Field::new::<f32>("value", &[])], rows)?;
            for (row, value) in batch.get_mut::<f32>("value")?.iter_mut().enumerate() {
                *value = ((index * self.0 + row) * (index * self.0 + row)) as f32;
            }
            Ok(batch)
        }
    }
    let _alone = alone();
    let mut trainer = Trainer::new(TrainerOptions::new(1, 1).silent()).unwrap();
    let task = Mean(trainer.root().var("one", &[1], tch::nn::Init::Const(1.0)));
    for batch_size in [1, 3, 4, 10] {
        let evaluation = trainer.evaluate(&task, Values(batch_size), "test").unwrap();
        let mean = evaluation.get("loss").unwrap();
        assert!(
            evaluation.samples == 10 && (mean - 28.5).abs() < 1e-5,
            "{mean} with batches of {batch_size}"
        );
        assert_eq!(evaluation.metrics[0].0, "test_loss");
    }
}

#[test]
fn the_weights_of_a_checkpoint_evaluate_to_its_validation_loss() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let trained = train(options(&run, Resume::Never)).unwrap();
    let mut trainer = Trainer::read(options(&run, Resume::Always)).unwrap();
    let task = Vae::new(&trainer.root(), &vae(0.1), [1, SIDE, SIDE]).unwrap();
    let best = trainer.load_best().unwrap();
    let evaluation = trainer.evaluate(&task, Bars { samples: 10 }, "val").unwrap();
    assert_eq!(evaluation.get("loss"), best.val_loss);
    assert_eq!(best.step, trained.best.unwrap().step);
}

#[test]
fn pictures_go_to_whom_they_were_given() {
    struct Names(std::sync::mpsc::Sender<(String, Vec<usize>)>);
    impl Pictures for Names {
        fn picture(&mut self, picture: &Picture<'_>) -> Result<(), BoxError> {
            Ok(self.0.send((picture.name.to_owned(), picture.array.shape().to_vec()))?)
        }
    }
    let _alone = alone();
    let mut options = TrainerOptions::new(7, 1).silent();
    options.logging.pictures_every = 1;
    let mut trainer = Trainer::new(options).unwrap();
    let (to, from) = std::sync::mpsc::channel();
    trainer.set_pictures(Names(to));
    let task = Vae::new(&trainer.root(), &vae(0.0), [1, SIDE, SIDE]).unwrap();
    let summary = trainer.fit(&task, bars(), Some(Box::new(Bars { samples: 10 }))).unwrap();
    assert!(summary.warnings.iter().all(|warning| !warning.contains("pictures")), "{:?}", summary.warnings);
    let all: Vec<_> = from.try_iter().collect();
    assert_eq!(
        all,
        [
            ("reconstructions".to_owned(), vec![8, 1, SIDE, SIDE]),
            ("samples".to_owned(), vec![100, 1, SIDE, SIDE]),
            ("traversal".to_owned(), vec![33, 1, SIDE, SIDE]),
        ]
    );
}
