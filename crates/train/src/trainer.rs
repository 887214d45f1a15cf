//! Trains a task on batches, and can be killed at any instant.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::Arc;

use batchwright_config as config;
use batchwright_core::{Loader, LoaderOptions, Sequence, Stream, chain};
use serde_json::json;
use tch::{Device, Tensor, nn};

use crate::checkpoint::{
    self, Checkpoint, CheckpointError, Contents, Expected, MODEL, OPTIMIZER, Rejected, State, read_tensors,
};
use crate::clock::Clock;
use crate::embed::{Embedded, Feedback, embed};
use crate::error::{Doing, Error};
use crate::evaluate::{Evaluation, Shared, evaluate};
use crate::fit::{Fit, draw};
use crate::logs::Logs;
use crate::optim::Optimizer;
use crate::options::TrainerOptions;
use crate::pictures::{Pictures, PngPictures};
use crate::progress::Reporter;
use crate::resume::{changes, changes_for_reading};
use crate::run::{Before, Run};
use crate::schedule::LearningRate;
use crate::settings::{check, device};
use crate::summary::Summary;
use crate::task::{Step, Task};
use crate::tensors::Feeder;
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
    pub(crate) options: TrainerOptions,
    pub(crate) configuration: serde_json::Value,
    pub(crate) variables: nn::VarStore,
    pub(crate) threads: NonZeroUsize,
    pub(crate) feeder: Feeder,
    pub(crate) run: Option<Run>,
    /// The run's checkpoints to go on from, the latest first; with the latest one's state.
    pub(crate) candidates: VecDeque<Checkpoint>,
    pub(crate) pictures: Option<Box<dyn Pictures>>,
    pub(crate) feedback: Option<Box<dyn Feedback>>,
    pub(crate) warnings: Vec<String>,
}

/// What a run's folder is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Training,
    Reading,
}

/// What can fail before anything is made on the disk.
struct Ready {
    device: Device,
    feeder: Feeder,
}

impl Ready {
    fn new(options: &TrainerOptions) -> Result<Self, Error> {
        check(options)?;
        let device = device(&options.training.device)?;
        Ok(Self { device, feeder: Feeder::new(device)? })
    }
}

impl Trainer {
    /// Prepares a training: opens the run's folder, resolves device and threads, and seeds libtorch's generator for the
    /// initial weights.
    ///
    /// # Errors
    /// Refuses a folder that is in use, or is there against [`Resume`](crate::Resume); a run of another configuration; a device that is not there;
    /// and settings out of their range.
    pub fn new(options: TrainerOptions) -> Result<Self, Error> {
        let ready = Ready::new(&options)?;
        let run = match &options.folder {
            Some(folder) => Some(Run::open(folder, options.resume, options.training.checkpoint.keep)?),
            None => None,
        };
        Self::build(options, ready, run, Purpose::Training)
    }

    /// Prepares an evaluation of a run that is trained or was trained: reads its folder and changes nothing there.
    /// Load weights with [`load_best`](Trainer::load_best) or [`load_latest`](Trainer::load_latest) once the task is built.
    ///
    /// # Errors
    /// As [`new`](Trainer::new); the folder has to be one of a run.
    pub fn read(options: TrainerOptions) -> Result<Self, Error> {
        let Some(folder) = &options.folder else {
            return Err(Error::NotARun { path: std::path::PathBuf::new() });
        };
        let ready = Ready::new(&options)?;
        let run = Run::read(folder)?;
        Self::build(options, ready, Some((run, Before::Checkpoints)), Purpose::Reading)
    }

    fn build(
        options: TrainerOptions,
        ready: Ready,
        run: Option<(Run, Before)>,
        purpose: Purpose,
    ) -> Result<Self, Error> {
        let Ready { device, feeder } = ready;
        let (mut run, before) = run.map_or((None, Before::Nothing), |(run, before)| (Some(run), before));
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
        if before == Before::Begun {
            warnings.push("the run had no checkpoint yet, so it begins anew".to_owned());
        }
        if let (Some(run), Before::Checkpoints) = (&run, before) {
            candidates.extend(run.store.latest_first());
            if candidates.is_empty() {
                let rejected = run.rejected.clone();
                return Err(Error::NoCheckpoint { path: run.folder.clone(), rejected });
            }
            let state = run.store.latest().expect("the latest checkpoint has a state");
            let mut changes = match purpose {
                Purpose::Training => changes(&state.configuration, &configuration),
                Purpose::Reading => changes_for_reading(&state.configuration, &configuration),
            };
            if purpose == Purpose::Training && state.seed != options.seed && changes.is_empty() {
                changes.push(format!("`seed` was {}, is {}", state.seed, options.seed));
            }
            if !changes.is_empty() {
                return Err(Error::ConfigurationChanged { path: run.folder.clone(), changes });
            }
            let kept = NonZeroUsize::new(state.threads).unwrap_or(threads);
            if purpose == Purpose::Training {
                if let config::Threads::Count(given) = options.training.threads
                    && given != kept
                {
                    warnings.push(format!(
                        "`training.threads` is {given}; the run goes on with the {kept} it began with, for the same losses"
                    ));
                }
                warnings.extend(other_machine(state, device)?);
            }
            threads = kept;
            warnings.extend(run.rejected.iter().map(|rejected| {
                format!("the checkpoint {} is not used: {}", rejected.path.display(), rejected.reason)
            }));
        }
        if let Some(run) = &mut run {
            warnings.extend(run.store.take_warnings());
        }
        warnings.extend(crowded(threads, options.loader.workers));
        batchwright_torch::set_threads(threads).map_err(|source| Error::Tensor { source })?;
        let pictures = options.folder.as_ref().map(|folder| {
            let png: Box<dyn Pictures> = Box::new(PngPictures::new(folder.join("pictures")));
            png
        });
        tch::manual_seed(Stream::new(options.seed, 0, 0, "train/init").bits64() as i64);
        let variables = nn::VarStore::new(device);
        Ok(Self {
            options,
            configuration,
            variables,
            threads,
            feeder,
            run,
            candidates,
            pictures,
            feedback: None,
            warnings,
        })
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

    /// Chooses batches by what the run learns: see [`Feedback`].
    pub fn set_feedback(&mut self, feedback: impl Feedback + 'static) {
        self.feedback = Some(Box::new(feedback));
    }

    /// Embeds every sample of a sequence, once, with the weights as they are.
    ///
    /// # Errors
    /// Says which batch could not be loaded, or what the task said.
    pub fn embed(&mut self, task: &dyn Task, sequence: Arc<dyn Sequence>) -> Result<Embedded, Error> {
        let options = LoaderOptions { memory: self.loader_memory(), ..self.options.loader.clone() };
        let step = self.candidates.front().map_or(0, |checkpoint| checkpoint.step);
        let embedded = embed(task, Shared(sequence), &mut self.feeder, &options, None, step)?;
        Ok(embedded.expect("nothing asks it to stop"))
    }

    /// Returns the checkpoints of the run that are whole, the latest first.
    pub fn checkpoints(&self) -> Vec<Checkpoint> {
        self.run.as_ref().map(|run| run.store.latest_first()).unwrap_or_default()
    }

    /// Trains until the epochs are over, until `early_stopping` ends it, or until it is asked to stop; then it has saved.
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
        if let (Some(early), None) = (self.options.training.early_stopping, &validation) {
            return Err(Error::Setting {
                key: "training.early_stopping",
                found: format!("patience {}", early.patience),
                expected: "none, where nothing is validated on".to_owned(),
            });
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
                .map_err(|source| Error::ResumeData { source: Box::new(source) })?,
            None => Loader::new(train, options),
        };
        let total = self.options.training.epochs.saturating_mul(steps);
        let training = &self.options.training;
        let rate = LearningRate::new(optimizer.rate(), training.schedule, training.warmup_steps, total);
        let at = start.as_ref().map(|state| state.logs).unwrap_or_default();
        let mut logs = match &self.run {
            Some(run) => Some(Logs::open(&run.folder, at)?),
            None => None,
        };
        if let Some(logs) = &mut logs {
            self.warnings.append(&mut logs.warnings);
        }
        let mut same_validation = true;
        if let (Some(run), Some(validation)) = (&mut self.run, &validation) {
            let now = validation.fingerprint();
            if let Some(was) = run.store.validation().filter(|was| **was != now) {
                self.warnings.push(format!(
                    "the validation set has changed ({}): the best checkpoint so far is forgotten",
                    was.changes(&now).join("; ")
                ));
                same_validation = false;
            }
            run.store.validate_on(now);
        }
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
            pending: start.as_ref().is_some_and(|state| state.pending),
            patience: start.as_ref().and_then(|state| state.patience).filter(|_| same_validation),
            window,
            window_from: start.as_ref().map_or(step, |state| state.window_from),
            reporter,
            validation: validation.map(|validation| Shared(Arc::from(validation))),
            metrics: logs.as_ref().map(Logs::figures).unwrap_or_default(),
            logs,
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
        let sequence = Shared(Arc::new(sequence));
        let evaluation =
            evaluate(task, sequence, name, at, self.options.seed, &mut self.feeder, &options, None)?;
        Ok(evaluation.expect("nothing asks it to stop"))
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

    pub(crate) fn all_variables(&self) -> BTreeMap<String, Tensor> {
        self.variables.variables().into_iter().collect()
    }

    fn trained(&self) -> BTreeMap<String, Tensor> {
        self.all_variables().into_iter().filter(|(_, variable)| variable.requires_grad()).collect()
    }

    pub(crate) fn loader_memory(&self) -> Arc<dyn batchwright_core::Memory> {
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

/// Says where a checkpoint was made under conditions that other bits come out of.
fn other_machine(state: &State, device: Device) -> Result<Vec<String>, Error> {
    let mut warnings = Vec::new();
    let kind = |device: &str| device.split('(').next().unwrap_or_default().to_owned();
    let (was, is) = (kind(&state.device), kind(&format!("{device:?}")));
    if was != is {
        warnings.push(format!(
            "the run was trained on {was}, and goes on on {is}: its losses are not those it would have had"
        ));
    }
    let facts = batchwright_torch::facts().map_err(|source| Error::Tensor { source })?;
    let (was, is) = ((&state.libtorch, &state.cpu_capability), (&facts.version, &facts.cpu_capability));
    if was != is {
        warnings.push(format!(
            "the run was trained with libtorch {} on {}, and goes on with {} on {}: its losses may differ in the last digits",
            was.0, was.1, is.0, is.1
        ));
    }
    Ok(warnings)
}
