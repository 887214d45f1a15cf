//! The training loop.

use std::collections::BTreeMap;
use std::time::Instant;

use batchwright_core::{Loader, LoaderOptions, Sequence as _, Stream, chain};
use tch::Tensor;

use crate::checkpoint::{
    self, Checkpoint, CheckpointError, LogLengths, MODEL, OPTIMIZER, State, write_tensors,
};
use crate::clip::clip;
use crate::clock::Clock;
use crate::error::{Doing, Error};
use crate::evaluate::{Shared, evaluate};
use crate::logs::Logs;
use crate::optim::Optimizer;
use crate::pictures::Pictures;
use crate::progress::Reporter;
use crate::schedule::LearningRate;
use crate::summary::{Best, Outcome, Summary};
use crate::task::{Step, Task};
use crate::tensors::TensorBatch;
use crate::trainer::Trainer;
use crate::window::Window;

/// One call of [`Trainer::fit`].
pub(crate) struct Fit<'a> {
    pub(crate) trainer: &'a mut Trainer,
    pub(crate) task: &'a dyn Task,
    pub(crate) optimizer: Optimizer,
    pub(crate) loader: Loader,
    pub(crate) rate: LearningRate,
    /// In an epoch.
    pub(crate) steps: u64,
    /// In the whole run.
    pub(crate) total: u64,
    /// Made so far.
    pub(crate) step: u64,
    /// The step of the last checkpoint.
    pub(crate) saved: Option<u64>,
    pub(crate) window: Window,
    pub(crate) window_from: u64,
    pub(crate) logs: Option<Logs>,
    pub(crate) reporter: Reporter,
    pub(crate) validation: Option<Shared>,
    pub(crate) metrics: BTreeMap<String, f64>,
    pub(crate) clock: Clock,
}

impl Fit<'_> {
    pub(crate) fn run(&mut self) -> Result<Outcome, Error> {
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
            let batch =
                batch.map_err(|source| Error::Load { name: "train".to_owned(), source: Box::new(source) })?;
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
            source => Error::Checkpoint { doing: "write", path, source: Box::new(source) },
        };
        let saved = write_tensors(MODEL, &variables).and_then(|model| {
            let optimizer = write_tensors(OPTIMIZER, &self.optimizer.state())?;
            run.store.save(&state, &model, &optimizer)
        });
        saved.map(|_| ()).map_err(failed)
    }

    pub(crate) fn finish(self, outcome: Outcome, resumed_from: Option<u64>) -> Result<Summary, Error> {
        let trainer = self.trainer;
        let best = trainer.run.as_ref().and_then(|run| run.store.best().cloned()).and_then(|best| {
            let Checkpoint { path, step, epoch, val_loss } = best;
            Some(Best { step, epoch, val_loss: val_loss?, path })
        });
        let (samples_per_second, waited) = self.clock.rates();
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

/// Draws a task's pictures.
pub(crate) fn draw(
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
