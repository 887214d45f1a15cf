//! What a trainer is told.

use std::path::PathBuf;

use batchwright_config as config;
use batchwright_core::LoaderOptions;

use crate::stop::StopFlag;

/// What to do about a run that is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resume {
    /// It is an error.
    #[default]
    Never,
    /// Go on with it; that there is none is an error.
    Always,
    /// Go on with it if it is there.
    IfThere,
}

/// What is shown on standard error while training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// A bar on a terminal, lines elsewhere.
    #[default]
    Auto,
    /// Nothing.
    Silent,
}

/// What a [`Trainer`](crate::Trainer) is told. Every field may be changed.
#[derive(Clone, Debug)]
pub struct TrainerOptions {
    /// What the initial weights and every draw of the training are keyed by.
    pub seed: u64,
    /// Epochs, optimizer, schedule, device, threads, checkpoints.
    pub training: config::Training,
    /// How often figures and pictures are written. Its `dir` is not looked at.
    pub logging: config::Logging,
    /// How batches are read ahead. `epochs` is the trainer's to set, and on CUDA so is `memory`.
    pub loader: LoaderOptions,
    /// The folder of the run; without one nothing is written, and nothing can be resumed.
    pub folder: Option<PathBuf>,
    /// What to do if the run is there already.
    pub resume: Resume,
    /// The resolved configuration, kept with the run; a run is not resumed under another one. By default the seed and the
    /// `training` section stand for it.
    pub configuration: serde_json::Value,
    /// How to ask it to stop.
    pub stop: StopFlag,
    /// What is shown.
    pub progress: Progress,
}

impl TrainerOptions {
    /// Trains for `epochs` epochs with Adam, a learning rate of 1e-3, and the defaults of the configuration file.
    pub fn new(seed: u64, epochs: u64) -> Self {
        let training = config::Training {
            epochs,
            optimizer: config::Optimizer::default(),
            schedule: config::Schedule::default(),
            warmup_steps: 0,
            clip_gradient: None,
            device: "auto".to_owned(),
            threads: config::Threads::default(),
            validate_every: 1,
            early_stopping: None,
            checkpoint: config::Checkpoint::default(),
        };
        Self::with(seed, training)
    }

    /// Trains as the `training` section of a configuration file says.
    pub fn with(seed: u64, training: config::Training) -> Self {
        Self {
            seed,
            training,
            logging: config::Logging::default(),
            loader: LoaderOptions::default(),
            folder: None,
            resume: Resume::default(),
            configuration: serde_json::Value::Null,
            stop: StopFlag::default(),
            progress: Progress::default(),
        }
    }

    /// Keeps the run in a folder, and says what to do if it is there already.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>, resume: Resume) -> Self {
        self.folder = Some(folder.into());
        self.resume = resume;
        self
    }

    /// Shows nothing.
    #[must_use]
    pub fn silent(mut self) -> Self {
        self.progress = Progress::Silent;
        self
    }
}
