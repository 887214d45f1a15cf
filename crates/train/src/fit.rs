//! The training loop.

use std::collections::BTreeMap;
use std::time::Instant;

use batchwright_core::{Loader, LoaderOptions, Sequence as _, Stream, chain};
use tch::Tensor;

use crate::checkpoint::{Checkpoint, CheckpointError, LogLengths, MODEL, OPTIMIZER, State, write_tensors};
use crate::clip::clip;
use crate::clock::Clock;
use crate::embed::embed;
use crate::error::{Doing, Error};
use crate::evaluate::{Shared, evaluate};
use crate::logs::Logs;
use crate::optim::Optimizer;
use crate::pictures::Pictures;
use crate::progress::Reporter;
use crate::schedule::LearningRate;
use crate::stopping::Patience;
use crate::summary::{Best, Outcome, Summary};
use crate::task::{Step, Task};
use crate::tensors::TensorBatch;
use crate::trainer::Trainer;
use crate::window::Window;

/// What comes at the end of some epochs.
#[derive(Clone, Copy, Debug)]
enum Due {
    Validation,
    Pictures,
}

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
    /// Whether the validation of this step is still to come.
    pub(crate) pending: bool,
    /// How long ago the validation loss was lowest, if that may end the run.
    pub(crate) patience: Option<Patience>,
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
        let mut begun = None;
        if self.pending && 0 < self.step {
            self.validate((self.step - 1) / self.steps)?;
        }
        while self.step < self.total && !self.is_over() {
            if stop.get().is_some() {
                break;
            }
            let epoch = self.step / self.steps;
            if begun != Some(epoch) {
                begun = Some(epoch);
                if 0 < epoch && self.step.is_multiple_of(self.steps) && !self.feed_back(epoch)? {
                    break;
                }
                self.reporter.epoch(epoch, self.step % self.steps, self.steps);
            }
            let start = Instant::now();
            let batch = match self.loader.next_batch() {
                Some(Ok(batch)) => batch,
                Some(Err(source)) => {
                    self.rescue();
                    return Err(Error::Load { name: "train".to_owned(), source: Box::new(source) });
                }
                None => {
                    self.rescue();
                    let (step, total) = (self.step, self.total);
                    return Err(Error::Ended { name: "train".to_owned(), step, total });
                }
            };
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
            self.pending = end_of_epoch && self.validation.is_some() && self.is_due(epoch, Due::Validation);
            let due = match every_steps {
                Some(every) => self.step.is_multiple_of(every.max(1)),
                None => end_of_epoch,
            };
            // Before the validation, which may be long: a kill then loses nothing.
            if due {
                self.save(None)?;
            }
            if self.pending {
                self.validate(epoch)?;
            } else if end_of_epoch {
                self.draw(epoch, Some(&batch))?;
            }
        }
        if self.saved != Some(self.step) {
            self.save(None)?;
        }
        Ok(match stop.get() {
            _ if !self.pending && self.is_over() && self.step < self.total => Outcome::NoLongerBetter,
            Some(reason) if self.step < self.total || self.pending => Outcome::Stopped { reason },
            _ => Outcome::Finished,
        })
    }

    /// Embeds the training samples before an epoch whose batches are chosen by their embeddings. Returns whether the run goes
    /// on: asked to stop, it leaves that to whoever resumes.
    fn feed_back(&mut self, epoch: u64) -> Result<bool, Error> {
        let loader =
            LoaderOptions { memory: self.trainer.loader_memory(), ..self.trainer.options.loader.clone() };
        let stop = self.trainer.options.stop.clone();
        let step = self.step;
        let Trainer { feedback, feeder, .. } = &mut *self.trainer;
        let Some(feedback) = feedback.as_ref().filter(|feedback| feedback.is_due(epoch)) else {
            return Ok(true);
        };
        let outcome = match embed(self.task, Shared(feedback.samples()), feeder, &loader, Some(&stop), step) {
            Ok(None) => return Ok(false),
            Ok(Some(embedded)) => feedback.refresh(epoch, embedded).map_err(|source| Error::Task {
                doing: "choose batches by embeddings",
                step,
                source,
            }),
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            self.rescue();
        }
        outcome.map(|()| true)
    }

    /// Returns whether the validations since the lowest loss have used the patience up.
    fn is_over(&self) -> bool {
        let options = self.trainer.options.training.early_stopping;
        options.zip(self.patience).is_some_and(|(options, patience)| patience.is_over(options))
    }

    /// Saves what was trained before an error that ends the run.
    fn rescue(&mut self) {
        if self.saved != Some(self.step)
            && let Err(error) = self.save(None)
        {
            self.warn(format!("the last steps are lost: {}", chain(&error)));
        }
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

    fn is_due(&self, epoch: u64, what: Due) -> bool {
        let options = &self.trainer.options;
        let every = match what {
            Due::Validation => options.training.validate_every,
            Due::Pictures => options.logging.pictures_every,
        };
        0 < every && (self.step == self.total || (epoch + 1).is_multiple_of(every))
    }

    /// Makes the validation at the end of an epoch, draws, and notes the outcome with the checkpoint. Asked to stop, it leaves the
    /// validation to whoever resumes.
    fn validate(&mut self, epoch: u64) -> Result<(), Error> {
        let Some(validation) = self.validation.clone() else {
            self.pending = false;
            return Ok(());
        };
        let loader =
            LoaderOptions { memory: self.trainer.loader_memory(), ..self.trainer.options.loader.clone() };
        let (seed, stop) = (self.trainer.options.seed, self.trainer.options.stop.clone());
        let (at, feeder) = ((self.step, epoch), &mut self.trainer.feeder);
        let evaluation = evaluate(self.task, validation, "val", at, seed, feeder, &loader, Some(&stop));
        let evaluation = match evaluation {
            Ok(Some(evaluation)) => evaluation,
            Ok(None) => return Ok(()),
            Err(error) => {
                self.rescue();
                return Err(error);
            }
        };
        let val_loss = evaluation.get("loss").filter(|loss| loss.is_finite());
        if let Some(logs) = &mut self.logs {
            logs.metrics(self.step, epoch, &evaluation.metrics)?;
        }
        let shown: Vec<_> =
            evaluation.metrics.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
        self.reporter.say(&format!("epoch {}/{}  {}", epoch + 1, self.reporter.epochs(), shown.join("  ")));
        // Of the validations before, which this one overtakes.
        let (before, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.trainer.warnings)
            .into_iter()
            .partition(|warning| warning.starts_with("val set: "));
        self.trainer.warnings = kept;
        for warning in evaluation.warnings {
            if before.contains(&warning) {
                self.trainer.warnings.push(warning);
            } else {
                self.warn(warning);
            }
        }
        self.metrics.extend(evaluation.metrics);
        self.draw(epoch, None)?;
        self.pending = false;
        if let Some(options) = self.trainer.options.training.early_stopping {
            self.patience.get_or_insert_default().see(val_loss, options);
        }
        if self.saved == Some(self.step) {
            self.note(val_loss)
        } else if self.is_best(val_loss) {
            self.save(val_loss)
        } else {
            Ok(())
        }
    }

    /// Notes the outcome of a validation with the checkpoint of this step.
    fn note(&mut self, val_loss: Option<f64>) -> Result<(), Error> {
        let logs = self.lengths()?;
        let warnings = self.trainer.warnings.clone();
        let Some(run) = &mut self.trainer.run else { return Ok(()) };
        run.store.validated(self.step, val_loss, self.patience, logs, warnings).map_err(|source| {
            Error::Checkpoint {
                doing: "note a validation with",
                path: run.folder.clone(),
                source: Box::new(source),
            }
        })?;
        for warning in run.store.take_warnings() {
            self.warn(warning);
        }
        Ok(())
    }

    /// Draws at the end of an epoch, where it is due: of the validation set, or of the batch where there is none.
    fn draw(&mut self, epoch: u64, batch: Option<&TensorBatch>) -> Result<(), Error> {
        if !self.is_due(epoch, Due::Pictures) {
            return Ok(());
        }
        let seed = self.trainer.options.seed;
        let Some(mut pictures) = self.trainer.pictures.take() else { return Ok(()) };
        let step = Step { step: self.step, epoch, training: false };
        let drawn = match (&self.validation, batch) {
            (Some(validation), _) => match validation.get(0, 0) {
                Ok(batch) => {
                    let batch = self.trainer.feeder.feed(batch)?;
                    draw(self.task, &batch, step, seed, pictures.as_mut())
                }
                Err(source) => Err(Error::Task { doing: "load a batch to draw", step: self.step, source }),
            },
            (None, Some(batch)) => draw(self.task, batch, step, seed, pictures.as_mut()),
            (None, None) => Ok(()),
        };
        self.trainer.pictures = Some(pictures);
        if let Err(error) = drawn {
            self.warn(format!("there are no pictures: {}", chain(&error)));
        }
        Ok(())
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

    /// Flushes the logs and says how long they are.
    fn lengths(&self) -> Result<LogLengths, Error> {
        self.logs.as_ref().map_or_else(|| Ok(LogLengths::default()), Logs::lengths)
    }

    /// Writes a checkpoint of this step.
    fn save(&mut self, val_loss: Option<f64>) -> Result<(), Error> {
        self.saved = Some(self.step);
        let logs = self.lengths()?;
        let variables = self.trainer.all_variables();
        let Trainer { options, configuration, threads, variables: store, run, warnings, .. } =
            &mut *self.trainer;
        let Some(run) = run else { return Ok(()) };
        let facts = batchwright_torch::facts().map_err(|source| Error::Tensor { source })?;
        let loader = self.loader.state();
        let state = State {
            version: State::VERSION,
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
            pending: self.pending,
            val_loss,
            patience: self.patience,
            validation: run.store.validation().cloned(),
            warnings: warnings.clone(),
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
        let warnings = run.store.take_warnings();
        saved.map_err(failed)?;
        for warning in warnings {
            self.warn(warning);
        }
        Ok(())
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
        // A second call goes on from here, and validates where this one did not.
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
