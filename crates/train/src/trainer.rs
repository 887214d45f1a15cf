//! Trains a task on batches, and can be killed at any instant.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use batchwright_config as config;
use batchwright_core::{Loader, LoaderOptions, Sequence, Stream, chain};
use serde_json::json;
use tch::{Device, Tensor, nn};

use crate::checkpoint::{
    self, Checkpoint, CheckpointError, Contents, Expected, LogLengths, MODEL, OPTIMIZER, Rejected, State,
    read_tensors, write_tensors,
};
use crate::clip::clip;
use crate::error::{Doing, Error};
use crate::evaluate::{Evaluation, Shared, evaluate};
use crate::logs::Logs;
use crate::optim::Optimizer;
use crate::options::{Resume, TrainerOptions};
use crate::pictures::{Pictures, PngPictures};
use crate::progress::Reporter;
use crate::resume::changes;
use crate::run::Run;
use crate::schedule::LearningRate;
use crate::summary::{Best, Outcome, Summary};
use crate::task::{Step, Task};
use crate::tensors::{Feeder, TensorBatch};
use crate::threads::{crowded, resolve_threads};
use crate::window::Window;

/// Trains a [`Task`] on batches.
///
/// A trainer owns the variable store that the task's parameters live in, and holds the folder of its run: no other trainer can work
/// there. Make it, build the task on [`root`](Trainer::root), and call [`fit`](Trainer::fit).
///
/// A run that is killed at any instant and resumed gives the same weights, losses and `metrics.jsonl`, bit for bit on the CPU (same build, same kind of CPU), with
/// any number of the loader's workers: the threads of libtorch are resolved once and kept with the run, and libtorch's generator
/// is seeded from (seed, step) before every step.
///
/// libtorch's threads and generator belong to the process: one trainer at a time.
pub struct Trainer {
    options: TrainerOptions,
    configuration: serde_json::Value,
    variables: nn::VarStore,
    threads: NonZeroUsize,
    feeder: Feeder,
    run: Option<Run>,
    /// The run's checkpoints to go on from, the latest first; with the latest one's state.
    candidates: VecDeque<Checkpoint>,
    pictures: Option<Box<dyn Pictures>>,
    warnings: Vec<String>,
}

impl Trainer {
    /// Prepares a training: opens the run's folder, resolves device and threads, and seeds libtorch's generator for the
    /// initial weights.
    ///
    /// # Errors
    /// Refuses a folder that is in use, or is there against [`Resume`]; a run of another configuration; a device that is not there;
    /// and settings out of their range.
    pub fn new(options: TrainerOptions) -> Result<Self, Error> {
        let run = match &options.folder {
            Some(folder) => Some(Run::open(folder, options.resume, options.training.checkpoint.keep)?),
            None => None,
        };
        Self::build(options, run)
    }

    /// Prepares an evaluation of a run that is trained or was trained: reads its folder and changes nothing there.
    /// Load weights with [`load_best`](Trainer::load_best) or [`load_latest`](Trainer::load_latest) once the task is built.
    ///
    /// # Errors
    /// As [`new`](Trainer::new); the folder has to be one of a run.
    pub fn read(mut options: TrainerOptions) -> Result<Self, Error> {
        let Some(folder) = &options.folder else {
            return Err(Error::NoRun { path: std::path::PathBuf::new() });
        };
        let run = Run::read(folder)?;
        options.resume = Resume::Always;
        Self::build(options, Some((run, true)))
    }

    fn build(options: TrainerOptions, run: Option<(Run, bool)>) -> Result<Self, Error> {
        check(&options)?;
        let (run, resumed) = run.map_or((None, false), |(run, resumed)| (Some(run), resumed));
        let configuration = if options.configuration.is_null() {
            json!({ "seed": options.seed, "training": options.training })
        } else {
            options.configuration.clone()
        };
        // Through text, as the one in a checkpoint went.
        let text = configuration.to_string();
        let configuration = serde_json::from_str(&text).unwrap_or(configuration);

        let mut threads = resolve_threads(options.training.threads, options.loader.workers);
        let mut candidates = VecDeque::new();
        let mut warnings = Vec::new();
        if let (Some(run), true) = (&run, resumed) {
            candidates.extend(run.store.latest_first());
            let first = candidates.front().map(|latest| checkpoint::read_state(&latest.path));
            if let Some(state) = first.transpose().map_err(|source| Error::Checkpoint {
                doing: "read",
                path: run.folder.clone(),
                source,
            })? {
                let changes = changes(&state.configuration, &configuration);
                if !changes.is_empty() {
                    return Err(Error::ConfigurationChanged { path: run.folder.clone(), changes });
                }
                threads = NonZeroUsize::new(state.threads).unwrap_or(threads);
                warnings.extend(other_machine(&state)?);
                warnings.extend(run.rejected.iter().map(|rejected| {
                    format!("the checkpoint {} is not used: {}", rejected.path.display(), rejected.reason)
                }));
            } else if !run.rejected.is_empty() {
                let rejected = run.rejected.clone();
                return Err(Error::NoCheckpoint { path: run.folder.clone(), rejected });
            }
        }
        warnings.extend(crowded(threads, options.loader.workers));
        batchwright_torch::set_threads(threads).map_err(|source| Error::Tensor { source })?;
        let device = device(&options.training.device)?;
        let feeder = Feeder::new(device)?;
        let pictures = options.folder.as_ref().map(|folder| {
            let png: Box<dyn Pictures> = Box::new(PngPictures::new(folder.join("pictures")));
            png
        });
        tch::manual_seed(Stream::new(options.seed, 0, 0, "train/init").bits64() as i64);
        let variables = nn::VarStore::new(device);
        Ok(Self { options, configuration, variables, threads, feeder, run, candidates, pictures, warnings })
    }

    /// Returns the place for the task's parameters. Their initial values are drawn from libtorch's generator, which
    /// [`new`](Trainer::new) has seeded.
    pub fn root(&self) -> nn::Path<'_> {
        self.variables.root()
    }

    /// Returns the device that is trained on.
    pub fn device(&self) -> Device {
        self.variables.device()
    }

    /// Returns the threads that libtorch computes with.
    pub fn threads(&self) -> NonZeroUsize {
        self.threads
    }

    /// Gives pictures to `pictures`, instead of writing PNG files into the run's folder.
    pub fn set_pictures(&mut self, pictures: impl Pictures + 'static) {
        self.pictures = Some(Box::new(pictures));
    }

    /// Returns the checkpoints of the run that are whole, the latest first.
    pub fn checkpoints(&self) -> Vec<Checkpoint> {
        self.run.as_ref().map(|run| run.store.latest_first()).unwrap_or_default()
    }

    /// Trains until the epochs are over, or until it is asked to stop; then it has saved.
    ///
    /// Validates on the batches of epoch 0 of `validation`.
    ///
    /// # Errors
    /// Says which batch could not be loaded, what the task said, that the loss is not finite any more, or what could not be
    /// saved. The checkpoints before that stay.
    pub fn fit(
        &mut self,
        task: &dyn Task,
        train: impl Sequence + 'static,
        validation: Option<Box<dyn Sequence>>,
    ) -> Result<Summary, Error> {
        let steps = train.len() as u64;
        if steps == 0 {
            return Err(Error::Empty { name: "train".to_owned() });
        }
        let mut optimizer = Optimizer::new(self.options.training.optimizer, self.trained())?;
        if optimizer.parameters().is_empty() {
            return Err(Error::NoParameters);
        }
        let start = self.start(&mut optimizer)?;
        let options = LoaderOptions {
            epochs: Some(self.options.training.epochs),
            memory: self.loader_memory(),
            ..self.options.loader.clone()
        };
        let loader = match &start {
            Some(state) => Loader::resume(train, options, &state.loader)
                .map_err(|source| Error::ResumeData { source })?,
            None => Loader::new(train, options),
        };
        let total = self.options.training.epochs.saturating_mul(steps);
        let training = &self.options.training;
        let rate = LearningRate::new(optimizer.rate(), training.schedule, training.warmup_steps, total);
        let at = start.as_ref().map(|state| state.logs).unwrap_or_default();
        let logs = match &self.run {
            Some(run) => Some(Logs::open(&run.folder, at)?),
            None => None,
        };
        let reporter = Reporter::new(self.options.progress, training.epochs);
        for warning in &self.warnings {
            log::warn!("{warning}");
            reporter.say(&format!("warning: {warning}"));
        }
        let window = match &start {
            Some(state) => Window::restore(state.window.clone(), self.device())
                .doing("restore the figures of a checkpoint")?,
            None => Window::default(),
        };
        if let Some(state) = &start {
            for warning in &state.warnings {
                if !self.warnings.contains(warning) {
                    self.warnings.push(warning.clone());
                }
            }
        }
        if let Some(run) = &self.run {
            let text = serde_json::to_string_pretty(&self.configuration).unwrap_or_default();
            run.write("configuration.json", text.as_bytes())?;
        }
        let step = start.as_ref().map_or(0, |state| state.step);
        let mut fit = Fit {
            trainer: self,
            task,
            optimizer,
            loader,
            rate,
            steps,
            total,
            step,
            saved: start.as_ref().map(|state| state.step),
            window,
            window_from: start.as_ref().map_or(step, |state| state.window_from),
            logs,
            reporter,
            validation: validation.map(|validation| Shared(Arc::from(validation))),
            metrics: BTreeMap::new(),
            clock: Clock::default(),
        };
        let outcome = fit.run()?;
        fit.finish(outcome, start.as_ref().map(|state| state.step))
    }

    /// Evaluates the task as it is on every sample of a sequence, once. Figures get `name` in front, as in `test_elbo`.
    ///
    /// # Errors
    /// Says which batch could not be loaded, or what the task said.
    pub fn evaluate(
        &mut self,
        task: &dyn Task,
        sequence: impl Sequence + 'static,
        name: &str,
    ) -> Result<Evaluation, Error> {
        let options = LoaderOptions { memory: self.loader_memory(), ..self.options.loader.clone() };
        let at = self.candidates.front().map_or((0, 0), |checkpoint| (checkpoint.step, checkpoint.epoch));
        evaluate(task, Shared(Arc::new(sequence)), name, at, self.options.seed, &mut self.feeder, &options)
    }

    /// Gives the weights of the latest checkpoint to the task.
    ///
    /// # Errors
    /// Says why no checkpoint can be used.
    pub fn load_latest(&mut self) -> Result<Checkpoint, Error> {
        let checkpoints = self.checkpoints();
        self.load_first(checkpoints)
    }

    /// Gives the weights of the checkpoint with the lowest validation loss to the task; of the latest, where none was validated.
    ///
    /// # Errors
    /// Says why no checkpoint can be used.
    pub fn load_best(&mut self) -> Result<Checkpoint, Error> {
        let best = self.run.as_ref().and_then(|run| run.store.best().cloned());
        match best {
            Some(best) => self.load_first(vec![best]),
            None => self.load_latest(),
        }
    }

    /// Draws the task's pictures of the first batch of a sequence.
    ///
    /// # Errors
    /// Says why the batch cannot be loaded, or the pictures not be kept.
    pub fn draw(
        &mut self,
        task: &dyn Task,
        sequence: &dyn Sequence,
        to: &mut dyn Pictures,
    ) -> Result<(), Error> {
        let step = self.candidates.front().map_or(0, |checkpoint| checkpoint.step);
        let epoch = self.candidates.front().map_or(0, |checkpoint| checkpoint.epoch);
        let batch = sequence.get(0, 0).map_err(|source| Error::Task {
            doing: "load a batch to draw",
            step,
            source,
        })?;
        let batch = self.feeder.feed(batch)?;
        draw(task, &batch, Step { step, epoch, training: false }, self.options.seed, to)
    }

    fn load_first(&mut self, checkpoints: Vec<Checkpoint>) -> Result<Checkpoint, Error> {
        let folder = self.run.as_ref().map(|run| run.folder.clone()).unwrap_or_default();
        let mut rejected = self.run.as_ref().map(|run| run.rejected.clone()).unwrap_or_default();
        for checkpoint in checkpoints {
            match checkpoint::read(&checkpoint.path).and_then(|contents| self.load_model(&contents)) {
                Ok(()) => {
                    self.candidates = VecDeque::from([checkpoint.clone()]);
                    return Ok(checkpoint);
                }
                Err(error) => rejected.push(Rejected { path: checkpoint.path, reason: chain(&error) }),
            }
        }
        Err(Error::NoCheckpoint { path: folder, rejected })
    }

    /// Loads the latest checkpoint that fits into variables and optimizer; `None` for a fresh run.
    fn start(&mut self, optimizer: &mut Optimizer) -> Result<Option<State>, Error> {
        if self.candidates.is_empty() {
            return Ok(None);
        }
        let mut rejected = Vec::new();
        while let Some(candidate) = self.candidates.pop_front() {
            let loaded = checkpoint::read(&candidate.path).and_then(|contents| {
                // Both are checked in full before either is changed.
                let state = read_tensors(OPTIMIZER, &contents.optimizer, &optimizer.expected())?;
                self.load_model(&contents)?;
                let torch =
                    |source| CheckpointError::Torch { doing: "restore the optimizer's state", source };
                optimizer.restore(&state).map_err(torch)?;
                Ok(contents.state)
            });
            match loaded {
                Ok(state) => {
                    if let Some(run) = &mut self.run {
                        run.store.forget_after(state.step);
                    }
                    return Ok(Some(state));
                }
                Err(error) => {
                    let reason = chain(&error);
                    self.warnings
                        .push(format!("the checkpoint {} is not used: {reason}", candidate.path.display()));
                    rejected.push(Rejected { path: candidate.path, reason });
                }
            }
        }
        let path = self.run.as_ref().map(|run| run.folder.clone()).unwrap_or_default();
        Err(Error::NoCheckpoint { path, rejected })
    }

    fn load_model(&self, contents: &Contents) -> Result<(), CheckpointError> {
        let all = self.all_variables();
        let expected: Expected =
            all.iter().map(|(name, tensor)| (name.clone(), (tensor.size(), tensor.kind(), true))).collect();
        let tensors = read_tensors(MODEL, &contents.model, &expected)?;
        let _guard = tch::no_grad_guard();
        for (name, mut variable) in all {
            variable
                .f_copy_(&tensors[&name])
                .map_err(|source| CheckpointError::Torch { doing: "restore the weights", source })?;
        }
        Ok(())
    }

    fn all_variables(&self) -> BTreeMap<String, Tensor> {
        self.variables.variables().into_iter().collect()
    }

    fn trained(&self) -> BTreeMap<String, Tensor> {
        self.all_variables().into_iter().filter(|(_, variable)| variable.requires_grad()).collect()
    }

    fn loader_memory(&self) -> Arc<dyn batchwright_core::Memory> {
        match self.device() {
            Device::Cuda(_) => self.feeder.memory(),
            Device::Cpu | Device::Mps | Device::Vulkan => Arc::clone(&self.options.loader.memory),
        }
    }
}

impl std::fmt::Debug for Trainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer")
            .field("options", &self.options)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

/// Where the time of a part of a run goes.
#[derive(Debug)]
struct Clock {
    begun: Instant,
    /// Time of training steps, waiting for data included.
    training: Duration,
    waiting: Duration,
    samples: u64,
    /// The same at the last line.
    then: (Duration, Duration, u64),
}

impl Default for Clock {
    fn default() -> Self {
        let zero = Duration::ZERO;
        Self { begun: Instant::now(), training: zero, waiting: zero, samples: 0, then: (zero, zero, 0) }
    }
}

impl Clock {
    /// Samples a second, and the fraction of the time that was waited, since the last call.
    fn since_last(&mut self) -> (f64, f64) {
        let (training, waiting, samples) = self.then;
        self.then = (self.training, self.waiting, self.samples);
        rates(self.training - training, self.waiting - waiting, self.samples - samples)
    }
}

fn rates(training: Duration, waiting: Duration, samples: u64) -> (f64, f64) {
    let seconds = training.as_secs_f64().max(1e-9);
    (samples as f64 / seconds, waiting.as_secs_f64() / seconds)
}

/// One call of [`Trainer::fit`].
struct Fit<'a> {
    trainer: &'a mut Trainer,
    task: &'a dyn Task,
    optimizer: Optimizer,
    loader: Loader,
    rate: LearningRate,
    /// In an epoch.
    steps: u64,
    /// In the whole run.
    total: u64,
    /// Made so far.
    step: u64,
    /// The step of the last checkpoint.
    saved: Option<u64>,
    window: Window,
    window_from: u64,
    logs: Option<Logs>,
    reporter: Reporter,
    validation: Option<Shared>,
    metrics: BTreeMap<String, f64>,
    clock: Clock,
}

impl Fit<'_> {
    fn run(&mut self) -> Result<Outcome, Error> {
        let options = &self.trainer.options;
        let (stop, log_every) = (options.stop.clone(), options.logging.log_every.max(1));
        let every_steps = options.training.checkpoint.every_steps;
        let mut outcome = Outcome::Finished;
        let mut val_loss = None;
        let mut begun = None;
        while self.step < self.total {
            if let Some(reason) = stop.get() {
                outcome = Outcome::Stopped { reason };
                break;
            }
            let epoch = self.step / self.steps;
            if begun != Some(epoch) {
                begun = Some(epoch);
                self.reporter.epoch(epoch, self.step % self.steps, self.steps);
            }
            let start = Instant::now();
            let Some(batch) = self.loader.next_batch() else { break };
            let batch = batch.map_err(|source| Error::Load { name: "train".to_owned(), source })?;
            self.clock.waiting += start.elapsed();
            let batch = self.trainer.feeder.feed(batch)?;
            let samples = batch.len();
            if 0 < samples {
                self.train(&batch, epoch)?;
            }
            self.step += 1;
            self.clock.samples += samples as u64;
            self.reporter.step();
            let end_of_epoch = self.step.is_multiple_of(self.steps);
            let log = end_of_epoch || self.step.is_multiple_of(log_every);
            let figures =
                if log { self.window.take().doing("fetch the figures of the training")? } else { Vec::new() };
            self.clock.training += start.elapsed();
            if log {
                self.log(epoch, figures)?;
            }
            val_loss = None;
            if end_of_epoch {
                val_loss = self.end_epoch(epoch, &batch)?;
            }
            let due = match every_steps {
                Some(every) => self.step.is_multiple_of(every.max(1)) || self.is_best(val_loss),
                None => end_of_epoch,
            };
            if due {
                self.save(val_loss)?;
            }
        }
        if self.saved != Some(self.step) {
            self.save(val_loss)?;
        }
        Ok(outcome)
    }

    /// Makes one step. Nothing here waits for the device.
    fn train(&mut self, batch: &TensorBatch, epoch: u64) -> Result<(), Error> {
        let step = self.step;
        let Trainer { options, .. } = &*self.trainer;
        tch::manual_seed(Stream::new(options.seed, 0, step, "train/step").bits64() as i64);
        let losses = self
            .task
            .loss(batch, Step { step, epoch, training: true })
            .map_err(|source| Error::Task { doing: "compute the loss of a batch", step, source })?;
        let mut gradients =
            Tensor::f_run_backward(&[&losses.loss], self.optimizer.parameters(), false, false)
                .doing("differentiate the loss")?;
        let mut more = Vec::new();
        if let Some(bound) = options.training.clip_gradient {
            let _guard = tch::no_grad_guard();
            let norm = clip(&mut gradients, bound).doing("bound the gradient")?;
            more.extend(norm.map(|norm| ("gradient_norm", norm)));
        }
        self.optimizer.step(&gradients, self.rate.at(step))?;
        self.window.add(&losses, &more, batch.len()).doing("add up the figures of the training")
    }

    /// Writes the figures of the steps since the last time.
    fn log(&mut self, epoch: u64, figures: Vec<(String, f64)>) -> Result<(), Error> {
        let from = std::mem::replace(&mut self.window_from, self.step);
        if figures.is_empty() {
            return Ok(());
        }
        let mut figures: Vec<_> =
            figures.into_iter().map(|(name, value)| (format!("train_{name}"), value)).collect();
        if let Some((name, value)) = figures.iter().find(|(_, value)| !value.is_finite()) {
            return Err(Error::Diverged { name: name.clone(), value: *value, from, step: self.step });
        }
        figures.push(("learning_rate".to_owned(), self.rate.at(self.step - 1)));
        let (rate, waited) = self.clock.since_last();
        let loss = figures[0].1;
        self.reporter.figures(epoch, self.step, loss, rate, waited);
        if let Some(logs) = &mut self.logs {
            logs.metrics(self.step, epoch, &figures)?;
            let times = [
                ("seconds", self.clock.begun.elapsed().as_secs_f64()),
                ("samples_per_second", rate),
                ("waited", waited),
            ];
            logs.timing(self.step, epoch, &times.map(|(name, value)| (name.to_owned(), value)))?;
        }
        self.metrics.extend(figures);
        Ok(())
    }

    /// Validates and draws, where it is due. Returns the validation loss.
    fn end_epoch(&mut self, epoch: u64, batch: &TensorBatch) -> Result<Option<f64>, Error> {
        let last = self.step == self.total;
        let is_due = |every: u64| 0 < every && (last || (epoch + 1).is_multiple_of(every));
        let options = &self.trainer.options;
        let (seed, validate_every, pictures_every) =
            (options.seed, options.training.validate_every, options.logging.pictures_every);
        let mut val_loss = None;
        if let (Some(validation), true) = (&self.validation, is_due(validate_every)) {
            let loader =
                LoaderOptions { memory: self.trainer.loader_memory(), ..self.trainer.options.loader.clone() };
            let at = (self.step, epoch);
            let feeder = &mut self.trainer.feeder;
            let evaluation = evaluate(self.task, validation.clone(), "val", at, seed, feeder, &loader)?;
            val_loss = evaluation.get("loss").filter(|loss| loss.is_finite());
            if let Some(logs) = &mut self.logs {
                logs.metrics(self.step, epoch, &evaluation.metrics)?;
            }
            let shown: Vec<_> =
                evaluation.metrics.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
            self.reporter.say(&format!(
                "epoch {}/{}  {}",
                epoch + 1,
                self.reporter.epochs(),
                shown.join("  ")
            ));
            for warning in evaluation.warnings {
                self.warn(warning);
            }
            self.metrics.extend(evaluation.metrics);
        }
        if is_due(pictures_every)
            && let Some(mut pictures) = self.trainer.pictures.take()
        {
            let step = Step { step: self.step, epoch, training: false };
            let drawn = match &self.validation {
                Some(validation) => match validation.get(0, 0) {
                    Ok(batch) => {
                        let batch = self.trainer.feeder.feed(batch)?;
                        draw(self.task, &batch, step, seed, pictures.as_mut())
                    }
                    Err(source) => {
                        Err(Error::Task { doing: "load a batch to draw", step: self.step, source })
                    }
                },
                None => draw(self.task, batch, step, seed, pictures.as_mut()),
            };
            self.trainer.pictures = Some(pictures);
            if let Err(error) = drawn {
                self.warn(format!("there are no pictures: {}", chain(&error)));
            }
        }
        Ok(val_loss)
    }

    fn warn(&mut self, warning: String) {
        if !self.trainer.warnings.contains(&warning) {
            log::warn!("{warning}");
            self.reporter.say(&format!("warning: {warning}"));
            self.trainer.warnings.push(warning);
        }
    }

    fn is_best(&self, val_loss: Option<f64>) -> bool {
        let Some(run) = &self.trainer.run else { return false };
        let best = run.store.best().and_then(|best| best.val_loss);
        val_loss.is_some_and(|loss| best.is_none_or(|best| loss < best))
    }

    /// Writes a checkpoint of this step.
    fn save(&mut self, val_loss: Option<f64>) -> Result<(), Error> {
        self.saved = Some(self.step);
        let logs = match &self.logs {
            Some(logs) => logs.lengths()?,
            None => LogLengths::default(),
        };
        let variables = self.trainer.all_variables();
        let Trainer { options, configuration, threads, variables: store, run, warnings, .. } =
            &mut *self.trainer;
        let Some(run) = run else { return Ok(()) };
        let facts = batchwright_torch::facts().map_err(|source| Error::Tensor { source })?;
        let loader = self.loader.state();
        let state = State {
            version: State::VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            libtorch: facts.version,
            cpu_capability: facts.cpu_capability,
            device: format!("{:?}", store.device()),
            threads: threads.get(),
            seed: options.seed,
            epoch: loader.epoch,
            step: self.step,
            loader,
            window: self.window.state().doing("fetch the figures for a checkpoint")?,
            window_from: self.window_from,
            logs,
            val_loss,
            warnings: warnings.clone(),
            configuration_sha256: checkpoint::sha256(configuration.to_string().as_bytes()),
            configuration: configuration.clone(),
        };
        let (from, step, path) = (self.window_from, self.step, run.folder.clone());
        let failed = |source| match source {
            CheckpointError::NotFinite { name, .. } => Error::Diverged { name, value: f64::NAN, from, step },
            source => Error::Checkpoint { doing: "write", path, source },
        };
        let saved = write_tensors(MODEL, &variables).and_then(|model| {
            let optimizer = write_tensors(OPTIMIZER, &self.optimizer.state())?;
            run.store.save(&state, &model, &optimizer)
        });
        saved.map(|_| ()).map_err(failed)
    }

    fn finish(self, outcome: Outcome, resumed_from: Option<u64>) -> Result<Summary, Error> {
        let trainer = self.trainer;
        let best = trainer.run.as_ref().and_then(|run| run.store.best().cloned()).and_then(|best| {
            let Checkpoint { path, step, epoch, val_loss } = best;
            Some(Best { step, epoch, val_loss: val_loss?, path })
        });
        let (samples_per_second, waited) = rates(self.clock.training, self.clock.waiting, self.clock.samples);
        let parameters = self.optimizer.parameters().iter().map(|parameter| parameter.numel() as u64).sum();
        let summary = Summary {
            outcome,
            steps: self.step,
            epochs: self.step / self.steps,
            resumed_from,
            parameters,
            threads: trainer.threads.get(),
            device: format!("{:?}", trainer.variables.device()),
            metrics: self.metrics,
            best,
            left_out: self.loader.state().left_out,
            warnings: trainer.warnings.clone(),
            seconds: self.clock.begun.elapsed().as_secs_f64(),
            samples_per_second,
            waited,
            folder: trainer.options.folder.clone(),
        };
        if let Some(run) = &trainer.run {
            let text = serde_json::to_vec_pretty(&summary).expect("strings and numbers are always JSON");
            run.write("summary.json", &text)?;
        }
        // A second call goes on from here.
        trainer.candidates = trainer.checkpoints().into_iter().take(1).collect();
        Ok(summary)
    }
}

fn draw(
    task: &dyn Task,
    batch: &TensorBatch,
    step: Step,
    seed: u64,
    to: &mut dyn Pictures,
) -> Result<(), Error> {
    let _guard = tch::no_grad_guard();
    // The same codes every time, so that pictures of different epochs compare.
    tch::manual_seed(Stream::new(seed, 0, 0, "train/pictures").bits64() as i64);
    task.pictures(batch, step, to).map_err(|source| Error::Task {
        doing: "draw pictures",
        step: step.step,
        source,
    })
}

/// Says where a checkpoint was made under conditions that other bits come out of.
fn other_machine(state: &State) -> Result<Option<String>, Error> {
    let facts = batchwright_torch::facts().map_err(|source| Error::Tensor { source })?;
    let (was, is) = ((&state.libtorch, &state.cpu_capability), (&facts.version, &facts.cpu_capability));
    Ok((was != is).then(|| {
        format!(
            "the run was trained with libtorch {} on {}, and goes on with {} on {}: its losses may differ in the last digits",
            was.0, was.1, is.0, is.1
        )
    }))
}

fn device(name: &str) -> Result<Device, Error> {
    let cuda = if tch::Cuda::is_available() { tch::Cuda::device_count() } else { 0 };
    let index = match name {
        "auto" => return Ok(if 0 < cuda { Device::Cuda(0) } else { Device::Cpu }),
        "cpu" => return Ok(Device::Cpu),
        "cuda" => Some(0),
        name => name.strip_prefix("cuda:").and_then(|index| index.parse::<usize>().ok()),
    };
    match index {
        Some(index) if (index as i64) < cuda => Ok(Device::Cuda(index)),
        _ => Err(Error::Setting {
            key: "training.device",
            found: name.to_owned(),
            expected: format!("`auto`, `cpu` or `cuda:N`, where libtorch sees {cuda} CUDA devices"),
        }),
    }
}

/// Refuses numbers that no training can be made with.
fn check(options: &TrainerOptions) -> Result<(), Error> {
    let refuse = |key, found: f64, expected: &str| {
        Err(Error::Setting { key, found: found.to_string(), expected: expected.to_owned() })
    };
    let rate = |key, rate: f64| {
        if 0.0 <= rate && rate.is_finite() { Ok(()) } else { refuse(key, rate, "finite and at least 0") }
    };
    match options.training.optimizer {
        config::Optimizer::Adam(adam) | config::Optimizer::Adamw(adam) => {
            rate("training.optimizer.lr", adam.lr)?;
            rate("training.optimizer.weight_decay", adam.weight_decay)?;
            rate("training.optimizer.eps", adam.eps)?;
            for beta in adam.betas {
                if !(0.0 <= beta && beta < 1.0) {
                    return refuse("training.optimizer.betas", beta, "at least 0 and below 1");
                }
            }
        }
        config::Optimizer::Sgd(sgd) => {
            rate("training.optimizer.lr", sgd.lr)?;
            rate("training.optimizer.weight_decay", sgd.weight_decay)?;
            rate("training.optimizer.momentum", sgd.momentum)?;
            if sgd.nesterov && sgd.momentum == 0.0 {
                return refuse("training.optimizer.momentum", 0.0, "above 0 with `nesterov: true`");
            }
        }
    }
    match options.training.clip_gradient {
        Some(config::ClipGradient::Norm(bound) | config::ClipGradient::Value(bound))
            if !(0.0 < bound && bound.is_finite()) =>
        {
            refuse("training.clip_gradient", bound, "finite and above 0")
        }
        _ => Ok(()),
    }
}
