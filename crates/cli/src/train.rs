//! `batchwright train`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use batchwright_config::{Config, DataRoot, Training};
use batchwright_core::Sequence;
use batchwright_pairs::Refreshed;
use batchwright_train::{
    Error, Fault, Outcome, Progress, Resume, StopFlag, Summary, Trainer, TrainerOptions,
};

use crate::arguments::Train;
use crate::failure::{Failure, Result};
use crate::{network, open, print, signals};

/// The exit code of a run that was stopped and saved: a queue may start it again.
const STOPPED: u8 = 75;

pub(crate) fn run(arguments: &Train) -> Result<ExitCode> {
    let config = open::config(&arguments.configuration)?;
    let settings = network::model(&config)?;
    let (folder, resume) = match &arguments.resume {
        None => (folder(&config), Resume::Never),
        Some(None) => (folder(&config), Resume::Always),
        Some(Some(run)) => (run.clone(), Resume::Always),
    };
    if 1 < config.loader.ranks.world {
        let text = "`loader.ranks` divides batches among processes, but training and evaluation run in one and would see a part \
                    of the data; set `loader.ranks.world` to 1 (`bench`, `batch` and `verify` know ranks)";
        return Err(Failure::usage(anyhow!(text)));
    }
    let opened = open::data(&arguments.configuration, &config)?;
    let stop = StopFlag::default();
    signals::stop_at(stop.clone())?;
    let mut options = options(&config)?.folder(&folder, resume);
    options.stop = stop;
    if arguments.quiet || arguments.json {
        options.progress = Progress::Silent;
    } else {
        let _ = writeln!(std::io::stderr(), "{}", opened.describe());
        open::advise(&config, &opened);
    }
    let sample = network::sample_shape(&opened.training)?;
    let statistics = opened.training_statistics();
    let mut trainer = Trainer::new(options).map_err(failure)?;
    write_config(
        &config,
        &DataRoot::from_environment(arguments.configuration.data.clone()).of(&config),
        &folder,
    )?;
    if let Some(statistics) = statistics {
        write(&folder, "data-statistics.json", &statistics)?;
    }
    let task = network::task(&trainer, settings, &sample)?;
    let validation = opened.validation.map(|batches| Box::new(batches) as Box<dyn Sequence>);
    let training = match opened.mining {
        None => Box::new(opened.training) as Box<dyn Sequence>,
        Some(mined) => {
            let samples = opened.singles.training.unchanged();
            let samples = config.in_order(samples, "training").map_err(open::failure)?;
            trainer.set_feedback(network::Mining::new(&mined, samples));
            Box::new(Refreshed::new(opened.training, mined))
        }
    };
    let mut summary = trainer.fit(task.as_ref(), training, validation).map_err(failure)?;
    if let (Outcome::Finished | Outcome::NoLongerBetter, Some(test)) = (summary.outcome, opened.test) {
        let evaluation = trainer.evaluate(task.as_ref(), test, "test").map_err(failure)?;
        summary.warnings.extend(evaluation.warnings);
        summary.metrics.extend(evaluation.metrics);
        let text = serde_json::to_string_pretty(&summary).map_err(|error| Failure::ours(error.into()))?;
        write(&folder, "summary.json", &text)?;
    }
    let text = if arguments.json {
        serde_json::to_string(&summary).map_err(|error| Failure::ours(error.into()))?
    } else {
        describe(&summary, &folder)
    };
    match print(&text) {
        // The run has ended as it has, whether or not anyone reads on.
        Err(failure) if !failure.is_broken_pipe() => return Err(failure),
        _ => {}
    }
    match summary.outcome {
        Outcome::Finished | Outcome::NoLongerBetter => Ok(ExitCode::SUCCESS),
        Outcome::Stopped { .. } => Ok(ExitCode::from(STOPPED)),
    }
}

/// Returns the folder of a configuration's run.
pub(crate) fn folder(config: &Config) -> PathBuf {
    config.logging.dir.join(&config.name)
}

/// Returns what the trainer is told.
pub(crate) fn options(config: &Config) -> Result<TrainerOptions> {
    let training: Training = config.training.clone().ok_or_else(|| {
        Failure::usage(anyhow!("the configuration has no `training`: it does not say how long"))
    })?;
    let mut options = TrainerOptions::with(config.seed, training);
    options.logging = config.logging.clone();
    options.loader = config.loader_options();
    options.configuration = config.identity();
    Ok(options)
}

/// Keeps the resolved configuration with the run, as YAML that can be trained again; `data.root` is where the data were.
fn write_config(config: &Config, root: &Path, folder: &Path) -> Result<()> {
    let mut config = config.clone();
    if config.data.root.is_some() {
        config.data.root = Some(std::path::absolute(root).unwrap_or_else(|_| root.to_owned()));
    }
    write(folder, "config.yaml", &config.to_yaml().map_err(|error| Failure::ours(error.into()))?)
}

/// Writes a file of the run: whole, or not at all.
fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let (path, part) = (folder.join(name), folder.join(format!(".{name}.part")));
    std::fs::write(&part, text)
        .and_then(|()| std::fs::rename(&part, &path))
        .inspect_err(|_| drop(std::fs::remove_file(&part)))
        .with_context(|| format!("cannot write {}", path.display()))
        .map_err(Failure::environment)
}

/// Turns an error of the trainer into a failure by whose fault it is.
pub(crate) fn failure(error: Error) -> Failure {
    if let Error::RunExists { path } = &error {
        let text = format!(
            "the run {} is there already; go on with it with --resume, or start another with --set name=NAME",
            path.display()
        );
        return Failure::usage(anyhow!(text));
    }
    match error.fault() {
        Some(Fault::Usage) => Failure::usage(error.into()),
        Some(Fault::Data) => Failure::data(error.into()),
        Some(Fault::Environment) => Failure::environment(error.into()),
        None => Failure::ours(error.into()),
    }
}

fn describe(summary: &Summary, folder: &Path) -> String {
    let mut text = String::new();
    match summary.outcome {
        Outcome::Finished => {
            let _ = writeln!(text, "finished {} epochs, {} steps", summary.epochs, summary.steps);
        }
        Outcome::NoLongerBetter => {
            let _ = writeln!(
                text,
                "ended after {} epochs, {} steps: the validation loss no longer fell (`training.early_stopping`)",
                summary.epochs, summary.steps
            );
        }
        Outcome::Stopped { reason } => {
            let _ = writeln!(
                text,
                "stopped by signal {reason} after step {}, and saved; go on with --resume",
                summary.steps
            );
        }
    }
    if let Some(step) = summary.resumed_from {
        let _ = writeln!(text, "resumed from step {step}");
    }
    let _ = writeln!(
        text,
        "{:.1} s, {:.0} samples/s, {:.1} % of the time waiting for data; {} parameters, {} threads on {}",
        summary.seconds,
        summary.samples_per_second,
        summary.waited * 100.0,
        summary.parameters,
        summary.threads,
        summary.device
    );
    for (name, value) in &summary.metrics {
        let _ = writeln!(text, "  {name:<24} {value:.4}");
    }
    if let Some(best) = &summary.best {
        let _ = writeln!(
            text,
            "best: step {}, val_loss {:.4}, {}",
            best.step,
            best.val_loss,
            best.path.display()
        );
    }
    for left_out in &summary.left_out {
        let _ = writeln!(
            text,
            "left out: sample {} ({}), {} times: {}",
            left_out.index, left_out.id, left_out.times, left_out.error
        );
    }
    for warning in &summary.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    if let (true, Some(best)) = (summary.metrics.keys().any(|name| name.starts_with("test_")), &summary.best)
        && best.step != summary.steps
    {
        let _ = writeln!(
            text,
            "the test figures are of the last weights; `batchwright eval` gives those of the best"
        );
    }
    let _ = write!(text, "run: {}", folder.display());
    text
}
