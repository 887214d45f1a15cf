//! `batchwright eval`.

use std::process::ExitCode;

use anyhow::anyhow;
use batchwright_config::Model;
use batchwright_train::Trainer;
use serde_json::{Map, Value, json};

use crate::arguments::{Eval, Held, Set, Which};
use crate::failure::{Failure, Result};
use crate::train::{failure, folder, options};
use crate::{embeddings, network, open, print};

pub(crate) fn run(arguments: &Eval) -> Result<ExitCode> {
    let config = open::config(&arguments.configuration)?;
    let settings = network::model(&config)?;
    let is_siamese = matches!(settings, Model::Siamese(_));
    if !is_siamese && let Some(option) = arguments.of_embeddings() {
        let text = format!("{option} is for embeddings, and the network of this configuration has none");
        return Err(Failure::usage(anyhow!(text)));
    }
    let opened = open::data(&arguments.configuration, &config)?;
    let sample = network::sample_shape(&opened.training)?;
    let split = arguments.split.unwrap_or(if opened.test.is_some() { Held::Test } else { Held::Validation });
    let (name, set) = match split {
        Held::Validation => ("val", Set::Validation),
        Held::Test => ("test", Set::Test),
    };
    let singles = opened.singles.clone();
    let batches = open::set(opened, set)?;
    embeddings::check(arguments, &singles, split)?;
    let folder = arguments.run.clone().unwrap_or_else(|| folder(&config));
    let mut options = options(&config)?.silent();
    options.folder = Some(folder);
    let mut trainer = Trainer::read(options).map_err(failure)?;
    let task = network::task(&trainer, settings, &sample)?;
    let checkpoint = match arguments.checkpoint {
        Which::Best => trainer.load_best(),
        Which::Latest => trainer.load_latest(),
    }
    .map_err(failure)?;
    let evaluation = trainer.evaluate(task.as_ref(), batches, name).map_err(failure)?;
    let more = if is_siamese {
        let encoder = embeddings::Encoder {
            config: &config,
            trainer: &mut trainer,
            task: task.as_ref(),
            views: arguments.views.get(),
        };
        embeddings::evaluate(arguments, encoder, &singles, split, name)?
    } else {
        Map::new()
    };
    if arguments.json {
        let mut line =
            json!({ "step": checkpoint.step, "epoch": checkpoint.epoch, "samples": evaluation.samples });
        for (name, value) in &evaluation.metrics {
            line[name] = json!(value);
        }
        for (name, value) in more {
            line[name] = value;
        }
        print(&line.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&format!(
        "{} samples of the {name} set, checkpoint {}",
        evaluation.samples,
        checkpoint.path.display()
    ))?;
    // Figures of embeddings that are known better here, of more samples or with neighbours among the training samples, stand once.
    for (name, value) in evaluation.metrics.iter().filter(|(name, _)| !more.contains_key(name.as_str())) {
        print(&format!("  {name:<32} {value:.4}"))?;
    }
    for (name, value) in &more {
        match value {
            Value::Number(number) => {
                print(&format!("  {name:<32} {:.4}", number.as_f64().unwrap_or(f64::NAN)))?;
            }
            Value::Array(items) if name == "confused" => {
                for item in items {
                    print(&format!(
                        "  {} of {} samples of class {} are nearest to class {}",
                        item["count"], item["of"], item["class"], item["nearest"]
                    ))?;
                }
            }
            _ => {}
        }
    }
    for warning in &evaluation.warnings {
        print(&format!("warning: {warning}"))?;
    }
    if let Some(out) = &arguments.out {
        print(&format!("embeddings and pictures: {}", out.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
