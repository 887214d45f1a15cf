//! `batchwright batch`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use batchwright_config::ImageBatches;
use batchwright_core::{Batch as Made, Context, Dataset, Sequence};
use batchwright_images::write_npy;
use serde_json::{Value, json};

use crate::arguments::Batch;
use crate::failure::{Failure, Result};
use crate::{open, print};

pub(crate) fn run(arguments: &Batch) -> Result<ExitCode> {
    let config = open::config(&arguments.configuration)?;
    let batches = open::set(open::data(&arguments.configuration, &config)?, arguments.split)?;
    if batches.len() <= arguments.index {
        let text = format!("there is no batch {}: an epoch has {}, from 0", arguments.index, batches.len());
        return Err(Failure::usage(anyhow!(text)));
    }
    let batch = batches.read(arguments.epoch, arguments.index).map_err(Failure::load)?;
    let out = &arguments.out;
    std::fs::create_dir_all(out)
        .with_context(|| format!("cannot make the folder {}", out.display()))
        .map_err(Failure::environment)?;
    for (at, field) in batch.fields().iter().enumerate() {
        let shape = batch.shape(&field.name).map_err(|error| Failure::ours(error.into()))?;
        let path = out.join(format!("{}.npy", field.name));
        write_npy(&path, field.dtype, &shape, batch.bytes(at))
            .map_err(|error| Failure::environment(error.into()))?;
        print(&format!("{}: {} {shape:?}", path.display(), field.dtype))?;
    }
    let path = out.join("batch.json");
    write_json(&path, &facts(&batches, &batch, config.seed))?;
    print(&format!("{}: {} samples and what was drawn for them", path.display(), batch.len()))?;
    Ok(ExitCode::SUCCESS)
}

/// Says who is in the batch, and what was drawn for each.
fn facts(batches: &ImageBatches, batch: &Made, seed: u64) -> Value {
    let data = batches.dataset();
    let samples: Vec<Value> = batch
        .samples
        .iter()
        .enumerate()
        .map(|(row, sample)| {
            let context = Context::new(seed, batch.epoch, sample.position).with_attempt(sample.attempt);
            json!({
                "index": sample.index,
                "id": data.id(sample.index),
                "class": data.class(sample.index),
                "position": sample.position,
                "attempt": sample.attempt,
                "padded": sample.padded,
                "weight": batch.weights.as_ref().map(|weights| weights[row]),
                "drawn": data.dataset().drawn(&context),
            })
        })
        .collect();
    let fields: Vec<Value> = batch
        .fields()
        .iter()
        .map(|field| {
            let axes: Vec<&str> = std::iter::once("N").chain(field.axes.iter().map(String::as_str)).collect();
            json!({ "name": field.name, "dtype": field.dtype.name(), "axes": axes })
        })
        .collect();
    json!({
        "seed": seed,
        "epoch": batch.epoch,
        "index": batch.index,
        "fields": fields,
        "samples": samples,
        "left_out": batch.left_out(),
    })
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::ours(error.into()))?;
    std::fs::write(path, text + "\n")
        .with_context(|| format!("cannot write {}", path.display()))
        .map_err(Failure::environment)
}
