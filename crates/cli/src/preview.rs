//! `batchwright preview`.

use std::process::ExitCode;

use anyhow::{Context, anyhow};
use batchwright_core::{Batch, DType, Sequence};
use batchwright_images::{Grid, write_png};
use ndarray::{Array4, ArrayView4, Axis, concatenate};

use crate::arguments::Preview;
use crate::failure::{Failure, Result};
use crate::{open, print};

pub(crate) fn run(arguments: &Preview) -> Result<ExitCode> {
    let config = open::config(&arguments.configuration)?;
    let batches = open::set(open::data(&arguments.configuration, &config)?, arguments.split)?;
    let mut shown: Vec<Array4<f32>> = Vec::new();
    let mut count = 0;
    for index in 0..batches.len() {
        if arguments.count.get() <= count {
            break;
        }
        let batch = batches.read(arguments.epoch, index).map_err(Failure::load)?;
        count += batch.len();
        shown.push(images(&batch)?);
    }
    let views: Vec<ArrayView4<'_, f32>> = shown.iter().map(|images| images.view()).collect();
    let mut all = concatenate(Axis(0), &views).map_err(|error| Failure::ours(error.into()))?;
    all = all.slice_move(ndarray::s![..arguments.count.get().min(count), .., .., ..]);
    let (low, high) =
        all.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &x| (low.min(x), high.max(x)));
    // Values in 0 to 1 are shown as they are; normalised ones are stretched between their least and greatest.
    if (low < 0.0 || 1.0 < high) && low < high {
        all.mapv_inplace(|x| (x - low) / (high - low));
    }
    let sheet = Grid::default().sheet(all.view());
    if let Some(folder) = arguments.out.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))
            .map_err(Failure::environment)?;
    }
    write_png(&arguments.out, sheet.view()).map_err(|error| Failure::environment(error.into()))?;
    print(&format!(
        "{}: {} samples of epoch {}, values {low} to {high}",
        arguments.out.display(),
        all.len_of(Axis(0)),
        arguments.epoch
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the images of a batch as floats; bytes as fractions of 255.
fn images(batch: &Batch) -> Result<Array4<f32>> {
    let field = batch.fields().iter().find(|field| field.name == "image");
    let array = match field.map(|field| field.dtype) {
        Some(DType::F32) => batch.view::<f32>("image").map(|view| view.to_owned()),
        Some(DType::U8) => batch.view::<u8>("image").map(|view| view.mapv(|x| f32::from(x) / 255.0)),
        found => return Err(Failure::ours(anyhow!("images of the type {found:?} cannot be shown"))),
    };
    let array = array.map_err(|error| Failure::ours(error.into()))?;
    array.into_dimensionality().map_err(|error| Failure::ours(error.into()))
}
