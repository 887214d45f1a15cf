//! `batchwright preview`.

use std::num::NonZeroUsize;
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use batchwright_config::{SampleBatches, Samples};
use batchwright_core::{Batch, Context as At, DType, Dataset, SampleError, Sequence};
use batchwright_images::{Grid, write_png};
use batchwright_nifti::{Changes, Montage, MontageOptions, Patch, PatchRecord, PatchSet, View};
use ndarray::{Array4, ArrayView4, Axis, concatenate};

use crate::arguments::Preview;
use crate::failure::{Failure, Result};
use crate::{learned, open, print};

pub(crate) fn run(arguments: &Preview) -> Result<ExitCode> {
    let config = open::config(&arguments.configuration)?;
    let opened = open::data(&arguments.configuration, &config)?;
    learned::take_up_of(&opened, arguments.split, arguments.learned.checkpoint.as_deref(), arguments.epoch)?;
    let batches = open::set(opened, arguments.split)?;
    if let Some(folder) = arguments.out.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))
            .map_err(Failure::environment)?;
    }
    if let Samples::Patches(patches) = batches.dataset() {
        return volumes(arguments, &batches, patches, config.seed);
    }
    let most = arguments.count.map_or(64, NonZeroUsize::get);
    let mut shown: Vec<Array4<f32>> = Vec::new();
    let mut count = 0;
    for index in 0..batches.len() {
        if most <= count {
            break;
        }
        let batch = batches.read(arguments.epoch, index).map_err(Failure::load)?;
        count += batch.len();
        shown.push(images(&batch)?);
    }
    let views: Vec<ArrayView4<'_, f32>> = shown.iter().map(|images| images.view()).collect();
    let mut all = concatenate(Axis(0), &views).map_err(|error| Failure::ours(error.into()))?;
    all = all.slice_move(ndarray::s![..most.min(count), .., .., ..]);
    let (low, high) =
        all.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &x| (low.min(x), high.max(x)));
    // Values in 0 to 1 are shown as they are; normalised ones are stretched between their least and greatest.
    if (low < 0.0 || 1.0 < high) && low < high {
        all.mapv_inplace(|x| (x - low) / (high - low));
    }
    let sheet = Grid::default().sheet(all.view());
    write_png(&arguments.out, sheet.view()).map_err(|error| Failure::environment(error.into()))?;
    print(&format!(
        "{}: {} samples of epoch {}, values {low} to {high}",
        arguments.out.display(),
        all.len_of(Axis(0)),
        arguments.epoch
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Draws patches in three planes each, before and after their random changes, labels outlined.
fn volumes(arguments: &Preview, batches: &SampleBatches, patches: &PatchSet, seed: u64) -> Result<ExitCode> {
    let most = arguments.count.map_or(8, NonZeroUsize::get);
    let ours = |error: batchwright_nifti::Error| Failure::ours(error.into());
    let read = |error: SampleError| Failure::data(anyhow!(error.chain()));
    let columns = if patches.options().augmentation.is_empty() { 2 } else { 1 };
    let options = MontageOptions { columns, ..MontageOptions::default() };
    let mut montage = Montage::new(options).map_err(ours)?;
    let mut count = 0;
    'all: for index in 0..batches.len() {
        for sample in batches.plan().batch(arguments.epoch, index) {
            if most <= count {
                break 'all;
            }
            count += 1;
            let context = At::new(seed, arguments.epoch, sample.position);
            let record = patches.draw(sample.index, &context).map_err(read)?;
            let after = patches.patch(sample.index, &record).map_err(read)?;
            let changes: Vec<&str> = record
                .changes
                .spatial
                .iter()
                .map(|change| change.name.as_str())
                .chain(record.changes.intensity.iter().map(|change| change.name.as_str()))
                .collect();
            let [x, y, z] = record.place.origin;
            let caption = format!("{} at {x}, {y}, {z}", patches.id(sample.index));
            if changes.is_empty() {
                montage.add(&caption, &[view(&after).map_err(ours)?]);
                continue;
            }
            let plain = PatchRecord { changes: Changes::default(), ..record.clone() };
            let before = patches.patch(sample.index, &plain).map_err(read)?;
            let views = [
                view(&before).map_err(ours)?.with_title("before"),
                view(&after).map_err(ours)?.with_title("after"),
            ];
            montage.add(&format!("{caption}: {}", changes.join(", ")), &views);
        }
    }
    montage.write_png(&arguments.out).map_err(|error| Failure::environment(error.into()))?;
    print(&format!("{}: {count} patches of epoch {}", arguments.out.display(), arguments.epoch))?;
    for line in patches.fallbacks().report() {
        print(&line)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn view(patch: &Patch) -> std::result::Result<View<'_>, batchwright_nifti::Error> {
    let shape = &patch.shape;
    let mut view = View::new(&patch.image, shape.channels, shape.size, shape.spacing)?;
    if let Some(labels) = &patch.labels {
        view = view.with_label(labels.as_slice())?;
    }
    Ok(match patch.orientation {
        Some(orientation) => view.with_orientation(orientation),
        None => view,
    })
}

/// Returns the images of a batch as floats, bytes as fractions of 255; the parts of pairs and triplets side by side.
fn images(batch: &Batch) -> Result<Array4<f32>> {
    let ours = |error: anyhow::Error| Failure::ours(error);
    let mut parts: Vec<Array4<f32>> = Vec::new();
    for name in ["image", "a", "b", "anchor", "positive", "negative"] {
        let Some(field) = batch.fields().iter().find(|field| field.name == name) else { continue };
        let array = match field.dtype {
            DType::F32 => batch.view::<f32>(name).map(|view| view.to_owned()),
            DType::U8 => batch.view::<u8>(name).map(|view| view.mapv(|x| f32::from(x) / 255.0)),
            found => return Err(ours(anyhow!("images of the type {found:?} cannot be shown"))),
        };
        let array = array.map_err(|error| ours(error.into()))?;
        parts.push(if array.ndim() == 5 {
            // Of volumes the middle slice of the first channel.
            let volume = array.into_dimensionality::<ndarray::Ix5>().map_err(|error| ours(error.into()))?;
            let middle = volume.len_of(Axis(2)) / 2;
            volume.index_axis_move(Axis(2), middle).slice_move(ndarray::s![.., ..1, .., ..])
        } else {
            array.into_dimensionality().map_err(|error| ours(error.into()))?
        });
    }
    stack(&parts)
}

/// Puts the parts of tuples beside each other.
fn stack(parts: &[Array4<f32>]) -> Result<Array4<f32>> {
    let views: Vec<ArrayView4<'_, f32>> = parts.iter().map(|part| part.view()).collect();
    concatenate(Axis(3), &views).map_err(|error| Failure::ours(error.into()))
}
