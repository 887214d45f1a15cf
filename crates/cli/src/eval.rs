//! `batchwright eval`.

use std::process::ExitCode;

use batchwright_train::{Trainer, Vae};
use serde_json::json;

use crate::arguments::{Eval, Held, Set, Which};
use crate::failure::{Failure, Result};
use crate::train::{failure, folder, model, options};
use crate::{open, print};

pub(crate) fn run(arguments: &Eval) -> Result<ExitCode> {
    let config = open::config(&arguments.configuration)?;
    let settings = model(&config)?;
    let opened = open::data(&arguments.configuration, &config)?;
    let image = open::image_shape(&opened.training)?;
    let split = arguments.split.unwrap_or(if opened.test.is_some() { Held::Test } else { Held::Validation });
    let (name, set) = match split {
        Held::Validation => ("val", Set::Validation),
        Held::Test => ("test", Set::Test),
    };
    let batches = open::set(opened, set)?;
    let folder = arguments.run.clone().unwrap_or_else(|| folder(&config));
    let mut options = options(&config)?.silent();
    options.folder = Some(folder);
    let mut trainer = Trainer::read(options).map_err(failure)?;
    let vae = Vae::new(&trainer.root(), settings, image)
        .map_err(|error| Failure::usage(anyhow::Error::from(error).context("model.vae")))?;
    let checkpoint = match arguments.checkpoint {
        Which::Best => trainer.load_best(),
        Which::Latest => trainer.load_latest(),
    }
    .map_err(failure)?;
    let evaluation = trainer.evaluate(&vae, batches, name).map_err(failure)?;
    if arguments.json {
        let mut line =
            json!({ "step": checkpoint.step, "epoch": checkpoint.epoch, "samples": evaluation.samples });
        for (name, value) in &evaluation.metrics {
            line[name] = json!(value);
        }
        print(&line.to_string())?;
    } else {
        print(&format!(
            "{} samples of the {name} set, checkpoint {}",
            evaluation.samples,
            checkpoint.path.display()
        ))?;
        for (name, value) in &evaluation.metrics {
            print(&format!("  {name:<24} {value:.4}"))?;
        }
        for warning in &evaluation.warnings {
            print(&format!("warning: {warning}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
