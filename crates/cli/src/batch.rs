//! `batchwright batch`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use batchwright_config::{SampleBatches, Samples};
use batchwright_core::{Batch as Made, Context, DType, Dataset, Fault, Sequence, fault_of_io};
use batchwright_images::write_npy;
use batchwright_nifti::{Labels, PatchRecord};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::arguments::Batch;
use crate::failure::{Failure, Result};
use crate::{learned, open, print};

pub(crate) fn run(arguments: &Batch) -> Result<ExitCode> {
    let config = open::config(&arguments.configuration)?;
    let opened = open::data(&arguments.configuration, &config)?;
    let checkpoint = arguments.learned.checkpoint.as_deref();
    match (&arguments.replay, checkpoint) {
        (None, _) => learned::take_up_of(&opened, arguments.split, checkpoint, arguments.epoch)?,
        (Some(_), None) => {}
        (Some(_), Some(_)) => {
            return Err(Failure::usage(anyhow!(
                "--replay makes what was drawn again and needs no --checkpoint"
            )));
        }
    }
    let batches = open::set(opened, arguments.split)?;
    if let Some(file) = &arguments.replay {
        return replay(file, &batches, &arguments.out);
    }
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
    write_json(&path, &facts(&batches, &batch, config.seed)?)?;
    print(&format!("{}: {} samples and what was drawn for them", path.display(), batch.len()))?;
    Ok(ExitCode::SUCCESS)
}

/// Makes the patches of a `batch.json` again, of what was drawn for them.
fn replay(file: &Path, batches: &SampleBatches, out: &Path) -> Result<ExitCode> {
    let Samples::Patches(patches) = batches.dataset() else {
        return Err(Failure::usage(anyhow!("--replay makes patches of volumes, and the samples are images")));
    };
    let doing = |doing: &str| format!("cannot {doing} {}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| {
        let fault = fault_of_io(&error);
        let error = anyhow!(error).context(doing("read"));
        match fault {
            Fault::Data => Failure::data(error),
            Fault::Environment => Failure::environment(error),
        }
    })?;
    let written: Written = serde_json::from_str(&text)
        .with_context(|| doing("find what was drawn for patches in"))
        .map_err(Failure::data)?;
    let (mut image, mut labels) = (Vec::new(), Vec::new());
    let mut made = None;
    for (row, sample) in written.samples.iter().enumerate() {
        if patches.len() <= sample.index {
            let text = format!(
                "{}: sample {row} has index {}, and there are {}",
                file.display(),
                sample.index,
                patches.len()
            );
            return Err(Failure::data(anyhow!(text)));
        }
        let patch = patches
            .patch(sample.index, &sample.drawn)
            .map_err(|error| Failure::data(anyhow!("{}: sample {row}: {}", file.display(), error.chain())))?;
        image.extend(patch.image.iter().flat_map(|voxel| voxel.to_ne_bytes()));
        let labelled = patch.labels.as_ref().map(|values| match values {
            Labels::U8(values) => (DType::U8, values.clone()),
            Labels::I16(values) => {
                (DType::I16, values.iter().flat_map(|label| label.to_ne_bytes()).collect())
            }
            Labels::I32(values) => {
                (DType::I32, values.iter().flat_map(|label| label.to_ne_bytes()).collect())
            }
        });
        if let Some((_, bytes)) = &labelled {
            labels.extend_from_slice(bytes);
        }
        made = Some((patch.shape, labelled.map(|(dtype, _)| dtype)));
    }
    let Some((shape, dtype)) = made else {
        return Err(Failure::data(anyhow!("{} has no samples", file.display())));
    };
    std::fs::create_dir_all(out)
        .with_context(|| format!("cannot make the folder {}", out.display()))
        .map_err(Failure::environment)?;
    let ([x, y, z], rows) = (shape.size, written.samples.len());
    let write = |name: &str, dtype: DType, channels: usize, bytes: &[u8]| -> Result<()> {
        let (path, shape) = (out.join(name), [rows, channels, z, y, x]);
        write_npy(&path, dtype, &shape, bytes).map_err(|error| Failure::environment(error.into()))?;
        print(&format!("{}: {dtype} {shape:?}", path.display()))
    };
    write("image.npy", DType::F32, shape.channels, &image)?;
    if let Some(dtype) = dtype {
        write("label.npy", dtype, 1, &labels)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What is read of a `batch.json`.
#[derive(Deserialize)]
struct Written {
    samples: Vec<WrittenSample>,
}

#[derive(Deserialize)]
struct WrittenSample {
    index: usize,
    drawn: PatchRecord,
}

/// Says who is in the batch, and what was drawn for each.
fn facts(batches: &SampleBatches, batch: &Made, seed: u64) -> Result<Value> {
    let data = batches.dataset();
    let samples: Vec<Value> = batch
        .samples
        .iter()
        .enumerate()
        .map(|(row, sample)| {
            let context = Context::new(seed, batch.epoch, sample.position).with_attempt(sample.attempt);
            let drawn = data.drawn(sample.index, &context).map_err(|error| {
                Failure::data(anyhow!("sample {}: {}", data.id(sample.index), error.chain()))
            })?;
            Ok(json!({
                "index": sample.index,
                "id": data.id(sample.index),
                "class": data.class(sample.index),
                "position": sample.position,
                "attempt": sample.attempt,
                "padded": sample.padded,
                "weight": batch.weights.as_ref().map(|weights| weights[row]),
                "drawn": drawn,
            }))
        })
        .collect::<Result<_>>()?;
    let fields: Vec<Value> = batch
        .fields()
        .iter()
        .map(|field| {
            let axes: Vec<&str> = std::iter::once("N").chain(field.axes.iter().map(String::as_str)).collect();
            json!({ "name": field.name, "dtype": field.dtype.name(), "axes": axes })
        })
        .collect();
    Ok(json!({
        "seed": seed,
        "epoch": batch.epoch,
        "index": batch.index,
        "fields": fields,
        "samples": samples,
        "left_out": batch.left_out(),
    }))
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::ours(error.into()))?;
    std::fs::write(path, text + "\n")
        .with_context(|| format!("cannot write {}", path.display()))
        .map_err(Failure::environment)
}
