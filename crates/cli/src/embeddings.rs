//! What the embeddings of a Siamese network are worth: neighbours, verification, episodes, pictures.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use batchwright_config::{Config, Samples, Singles, Source};
use batchwright_core::{
    Batch, BatchOptions, Batches, BoxError, Context, DType, Dataset, Sequence, Sequential,
};
use batchwright_images::{Grid, ImageOptions, ImageSet, OneShotRuns, Subset, write_npy, write_png};
use batchwright_pairs::metrics::{
    EpisodeOptions, EpisodeScope, HardestPairs, Prototype, Verification, classify, confused_classes,
    few_shot, hardest_pairs, neighbours, principal_components, retrieval,
};
use batchwright_pairs::{Distance, EmbeddingError, Embeddings, Facts, PairOptions, PairSampler, PairSource};
use batchwright_train::metric::scatter;
use batchwright_train::{Task, Trainer};
use ndarray::{Array4, Axis, Ix4, Ix5, s};
use serde_json::{Map, Value, json};

use crate::arguments::{Eval, Held};
use crate::failure::{Failure, Result};
use crate::open;
use crate::train::failure;

const DISTANCE: Distance = Distance::Euclidean;
/// Neighbours that vote for a class, unless it is said how many.
const NEIGHBOURS: usize = 5;
/// Pairs of each kind in the picture of the hardest.
const HARDEST: usize = 8;
/// Couples of classes that are taken for each other, in the report.
const CONFUSED: usize = 10;

fn refused(error: EmbeddingError) -> Failure {
    Failure::usage(anyhow!(error).context("the embeddings cannot be compared so"))
}

fn ours(error: impl Into<anyhow::Error>) -> Failure {
    Failure::ours(error.into())
}

/// One view of samples: the batches of one epoch.
struct View<S> {
    sequence: S,
    epoch: u64,
}

impl<S: Sequence> Sequence for View<S> {
    fn len(&self) -> usize {
        self.sequence.len()
    }
    fn get(&self, _: u64, index: usize) -> std::result::Result<Batch, BoxError> {
        self.sequence.get(self.epoch, index)
    }
}

/// A trained network, and how samples are given to it.
pub(crate) struct Encoder<'a> {
    pub(crate) config: &'a Config,
    pub(crate) trainer: &'a mut Trainer,
    pub(crate) task: &'a dyn Task,
    /// How often each sample is looked at: as it is, and varied.
    pub(crate) views: usize,
}

impl Encoder<'_> {
    /// Embeds each sample of a set: the mean over its views, of which `view(0)` has the samples as they are.
    fn mean<S: Sequence + 'static>(&mut self, view: impl Fn(u64) -> Result<S>) -> Result<(Vec<f32>, usize)> {
        let mut all = self.trainer.embed(self.task, Arc::new(view(0)?)).map_err(failure)?;
        for epoch in 1..self.views as u64 {
            let varied = View { sequence: view(epoch)?, epoch };
            let more = self.trainer.embed(self.task, Arc::new(varied)).map_err(failure)?;
            all.values.iter_mut().zip(more.values).for_each(|(sum, value)| *sum += value);
        }
        all.values.iter_mut().for_each(|value| *value /= self.views as f32);
        Ok((all.values, all.dimensions))
    }

    /// Embeds each sample of a set, with its class, or class 0 where there are none.
    fn embed(&mut self, samples: &Samples) -> Result<Embeddings> {
        let config = self.config;
        let (values, dimensions) = self.mean(|view| {
            let samples = if view == 0 { samples.unchanged() } else { samples.clone() };
            config.in_order(samples, "evaluated").map_err(open::failure)
        })?;
        let classes = (0..samples.len()).map(|index| samples.class(index).unwrap_or(0)).collect();
        Embeddings::new(values, dimensions, classes).map_err(refused)
    }
}

fn have_classes(samples: &Samples) -> bool {
    (0..samples.len()).all(|index| samples.class(index).is_some())
}

/// Numbers the values of a fact of each sample.
fn groups(data: &Samples, fact: &str) -> Result<Vec<u32>> {
    let mut numbers = BTreeMap::new();
    (0..data.len())
        .map(|index| {
            let value = data.fact(index, fact).ok_or_else(|| {
                let known = data.facts().join("`, `");
                let text = format!(
                    "--within {fact}: sample {index} ({}) has no such fact; there are `{known}`",
                    data.id(index)
                );
                Failure::usage(anyhow!(text))
            })?;
            let next = numbers.len() as u32;
            Ok(*numbers.entry(value).or_insert(next))
        })
        .collect()
}

/// Pairs of samples of one class and of two, as a verification sees them: each sample once as the first, half of them with
/// one of its class.
fn pairs(data: &Samples, rows: &Embeddings, seed: u64) -> Option<(Vec<f32>, Vec<bool>)> {
    let pairs = PairSampler::new(&Facts::of(data).ok()?, &PairOptions::default()).ok()?;
    let (mut distances, mut same) = (Vec::new(), Vec::new());
    for index in 0..pairs.len() {
        let pair = pairs.tuple(index, &Context::new(seed, 0, index as u64));
        let (a, b) = (rows.row(pair.a), rows.row(pair.b));
        let square: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
        distances.push(square.sqrt() as f32);
        same.push(pair.same == 1.0);
    }
    Some((distances, same))
}

/// Returns whether there are samples and classes to compare.
fn can_be_compared(samples: &Samples) -> bool {
    1 < samples.len() && have_classes(samples)
}

/// Refuses options that a set has no classes for, before anything is computed.
pub(crate) fn check(arguments: &Eval, singles: &Singles, split: Held) -> Result<()> {
    if let (Some(option), Some(samples)) = (arguments.of_classes(), held(singles, split))
        && !can_be_compared(samples)
    {
        let text = if samples.len() < 2 { "the set has a single sample" } else { "its samples have none" };
        return Err(Failure::usage(anyhow!("{option} compares samples by their classes; {text}")));
    }
    Ok(())
}

fn held(singles: &Singles, split: Held) -> Option<&Samples> {
    match split {
        Held::Validation => singles.validation.as_ref(),
        Held::Test => singles.test.as_ref(),
    }
}

/// What is known of a set beyond the figures of its loss.
pub(crate) fn evaluate(
    arguments: &Eval,
    mut encoder: Encoder<'_>,
    singles: &Singles,
    split: Held,
    name: &str,
) -> Result<Map<String, Value>> {
    let samples = held(singles, split).expect("a set that was evaluated is there");
    let rows = encoder.embed(samples)?;
    let mut report = Map::new();
    if can_be_compared(samples) {
        let mut figures = Vec::new();
        let references = references(&mut encoder, &rows, &singles.training)?;
        figures.extend(neighbourhood(arguments, &rows, references.as_ref())?);
        if let Some((distances, same)) = pairs(samples, &rows, encoder.config.seed) {
            let verified = Verification::of_distances(&distances, &same).map_err(refused)?;
            figures.push(("verification_auc", verified.auc()));
            figures.push(("verification_eer", verified.equal_error().rate));
            // The threshold is chosen where nothing is reported: for a test, on the validation set.
            if let (Held::Test, Some(validation)) = (split, &singles.validation) {
                let rows = encoder.embed(validation)?;
                if let Some((chosen, same_there)) = pairs(validation, &rows, encoder.config.seed) {
                    let chosen = Verification::of_distances(&chosen, &same_there).map_err(refused)?;
                    let accuracy = chosen.best_threshold().accuracy(&distances, &same).map_err(refused)?;
                    figures.push(("verification_accuracy", accuracy));
                }
            }
        }
        if let Some(ways) = arguments.ways {
            figures.extend(episodes(arguments, ways, samples, &rows, encoder.config.seed)?);
        }
        report.extend(figures.into_iter().map(|(key, value)| (format!("{name}_{key}"), json!(value))));
        let confused = confused_classes(&rows, references.as_ref(), DISTANCE, CONFUSED).map_err(refused)?;
        let confused = confused.iter().map(|couple| {
            json!({ "class": couple.class, "nearest": couple.nearest, "count": couple.count, "of": couple.of })
        });
        report.insert("confused".to_owned(), confused.collect());
    }
    if let Some(path) = &arguments.one_shot {
        let (error, runs) = one_shot(path, &mut encoder, &singles.training)?;
        report.insert("one_shot_error".to_owned(), json!(error));
        report.insert("one_shot_runs".to_owned(), Value::Array(runs));
    }
    if let Some(out) = &arguments.out {
        write_out(out, samples, &rows)?;
    }
    Ok(report)
}

/// Embeds the training samples, if all classes of a set are among theirs (equal numbers of unseen classes are other classes): then
/// neighbours are looked for there, and those of new classes among themselves.
fn references(
    encoder: &mut Encoder<'_>,
    rows: &Embeddings,
    training: &Samples,
) -> Result<Option<Embeddings>> {
    if encoder.config.has_unseen_classes() {
        return Ok(None);
    }
    let known: BTreeSet<u32> = (0..training.len()).filter_map(|index| training.class(index)).collect();
    let is_known = rows.labels().iter().all(|label| known.contains(label));
    is_known.then(|| encoder.embed(training)).transpose()
}

/// What the neighbours of samples say.
fn neighbourhood(
    arguments: &Eval,
    rows: &Embeddings,
    references: Option<&Embeddings>,
) -> Result<Vec<(&'static str, f64)>> {
    let available = references.map_or(rows.len() - 1, Embeddings::len);
    let k = arguments.neighbours.map_or(NEIGHBOURS, NonZeroUsize::get).min(available);
    let voted = neighbours(rows, references, DISTANCE, k).map_err(refused)?;
    let mut figures = vec![("knn_accuracy", voted.accuracy)];
    // Where no sample has another of its class, there is nothing to retrieve.
    if let Ok(found) = retrieval(rows, None, DISTANCE) {
        figures.push(("precision_at_1", found.precision_at_1));
        figures.push(("r_precision", found.r_precision));
        figures.push(("map_at_r", found.map_at_r));
    }
    Ok(figures)
}

/// Runs episodes of few shots.
fn episodes(
    arguments: &Eval,
    ways: usize,
    samples: &Samples,
    rows: &Embeddings,
    seed: u64,
) -> Result<[(&'static str, f64); 2]> {
    let (rows, scope) = match &arguments.within {
        Some(fact) => {
            let groups = groups(samples, fact)?;
            (&rows.clone().with_groups(groups).map_err(refused)?, EpisodeScope::Within)
        }
        None => (rows, EpisodeScope::Across),
    };
    let options = EpisodeOptions {
        ways,
        shots: arguments.shots,
        queries: 1,
        episodes: arguments.episodes,
        scope,
        prototype: Prototype::Mean,
    };
    let found = few_shot(rows, &options, DISTANCE, seed).map_err(refused)?;
    Ok([("few_shot_error", found.mean_error), ("few_shot_error_half_width", found.half_width)])
}

/// Runs of one-shot classification from files: their mean error, and that of each.
fn one_shot(path: &Path, encoder: &mut Encoder<'_>, training: &Samples) -> Result<(f64, Vec<Value>)> {
    let config = encoder.config;
    let (Source::Folder(folder), Some(image)) = (&config.data.source, training.image_options()) else {
        return Err(Failure::usage(anyhow!(
            "--one-shot reads pictures as `data.folder` does, and the samples of this configuration come from `data.{}`",
            config.data.source.key()
        )));
    };
    // Without a size, pictures have that of the first one, as those of the configuration had.
    let options = batchwright_config::folder_options(folder, folder.size);
    let (pictures, runs) = OneShotRuns::open(path, &options)
        .with_context(|| format!("cannot read the runs in {}", path.display()))
        .map_err(Failure::data)?
        .into_parts();
    let pictures = config.aligned(Arc::new(pictures)).map_err(open::failure)?;
    let (values, dimensions) = encoder.mean(|view| {
        let augment = if view == 0 { None } else { image.augment.clone() };
        let options = ImageOptions { augment, one_hot: false, classes: None, ..image.clone() };
        let set = ImageSet::new(Arc::clone(&pictures), options).map_err(ours)?;
        let (order, batch_size) = (Sequential::new(set.len()), config.loader.batch_size.get());
        let options = BatchOptions { seed: config.seed, batch_size, ..BatchOptions::default() };
        Batches::new(set, order, options).map_err(ours)
    })?;
    let pick = |indices: &[usize], classes: Vec<u32>| {
        let row = |&index: &usize| &values[index * dimensions..][..dimensions];
        let values = indices.iter().flat_map(row).copied().collect();
        Embeddings::new(values, dimensions, classes).map_err(refused)
    };
    let (mut wrong, mut of, mut each) = (0, 0, Vec::new());
    for run in &runs {
        let support = pick(&run.support, (0..run.support.len() as u32).collect())?;
        let truth: Vec<u32> = run.truth.iter().map(|&class| class as u32).collect();
        let queries = pick(&run.queries, truth.clone())?;
        let found = classify(&support, &queries, DISTANCE, Prototype::Mean).map_err(refused)?;
        let errors = found.iter().zip(&truth).filter(|(found, truth)| found != truth).count();
        each.push(json!({ "run": run.name, "error": errors as f64 / truth.len().max(1) as f64 }));
        wrong += errors;
        of += truth.len();
    }
    Ok((wrong as f64 / of.max(1) as f64, each))
}

/// Writes embeddings for other programs, and pictures of them.
fn write_out(out: &Path, data: &Samples, rows: &Embeddings) -> Result<()> {
    fs::create_dir_all(out)
        .with_context(|| format!("cannot make the folder {}", out.display()))
        .map_err(Failure::environment)?;
    let bytes: Vec<u8> = rows.values().iter().flat_map(|value| value.to_ne_bytes()).collect();
    write_npy(&out.join("embeddings.npy"), DType::F32, &[rows.len(), rows.dims()], &bytes)
        .map_err(|error| Failure::environment(error.into()))?;
    let text = |name: &str, text: String| {
        let path = out.join(name);
        fs::write(&path, text)
            .with_context(|| format!("cannot write {}", path.display()))
            .map_err(Failure::environment)
    };
    let tsv = |row: &[f32]| row.iter().map(ToString::to_string).collect::<Vec<_>>().join("\t");
    let lines: String = (0..rows.len()).map(|index| tsv(rows.row(index)) + "\n").collect();
    text("embeddings.tsv", lines)?;
    let facts = data.facts();
    let clean = |value: String| value.replace(['\t', '\n', '\r'], " ");
    let row = |cells: Vec<String>| cells.into_iter().map(clean).collect::<Vec<_>>().join("\t");
    let header = ["id", "class"].into_iter().map(str::to_owned).chain(facts.iter().cloned());
    let mut lines = vec![row(header.collect())];
    for index in 0..data.len() {
        let class = data.class(index).map(|class| class.to_string()).unwrap_or_default();
        let more = facts.iter().map(|fact| data.fact(index, fact).unwrap_or_default());
        lines.push(row([data.id(index), class].into_iter().chain(more).collect()));
    }
    text("metadata.tsv", lines.join("\n") + "\n")?;
    if 1 < rows.dims() && 1 < rows.len() {
        draw_map(&out.join("pca.png"), rows)?;
    }
    if have_classes(data)
        && let Ok(hardest) = hardest_pairs(rows, DISTANCE, HARDEST)
    {
        hardest_picture(&out.join("hardest-pairs.png"), data, &hardest)?;
    }
    Ok(())
}

/// Draws the two directions of most variance, a colour for each class.
fn draw_map(path: &Path, rows: &Embeddings) -> Result<()> {
    let places =
        principal_components(rows, 2).and_then(|components| components.project(rows)).map_err(refused)?;
    let places: Vec<[f32; 2]> = places.chunks_exact(2).map(|place| [place[0], place[1]]).collect();
    let labels: Vec<i64> = rows.labels().iter().map(|&label| i64::from(label)).collect();
    let picture = scatter(&places, &labels).into_dimensionality::<Ix4>().map_err(ours)?;
    write_png(path, Grid::default().sheet(picture.view()).view())
        .map_err(|error| Failure::environment(error.into()))
}

/// Shows pairs side by side: the most distant of one class, then the nearest of two.
fn hardest_picture(path: &Path, data: &Samples, hardest: &HardestPairs) -> Result<()> {
    let indices: Vec<usize> =
        hardest.positives.iter().chain(&hardest.negatives).flat_map(|pair| [pair.a, pair.b]).collect();
    if indices.is_empty() {
        return Ok(());
    }
    let n = indices.len();
    let chosen = Subset::new(data.unchanged(), indices).map_err(ours)?;
    let options = BatchOptions { batch_size: n, ..BatchOptions::default() };
    let batch =
        Batches::new(chosen, Sequential::new(n), options).map_err(ours)?.read(0, 0).map_err(Failure::load)?;
    let Some(field) = batch.fields().first() else { return Ok(()) };
    let name = field.name.clone();
    let values = match field.dtype {
        DType::F32 => batch.view::<f32>(&name).map_err(ours)?.to_owned(),
        DType::U8 => batch.view::<u8>(&name).map_err(ours)?.mapv(f32::from),
        DType::I16 | DType::I32 | DType::I64 | DType::F64 => return Ok(()),
    };
    // Of volumes the middle slice, of many channels the first.
    let values: Array4<f32> = if values.ndim() == 5 {
        let volume = values.into_dimensionality::<Ix5>().map_err(ours)?;
        let middle = volume.len_of(Axis(2)) / 2;
        volume.index_axis_move(Axis(2), middle)
    } else {
        values.into_dimensionality::<Ix4>().map_err(ours)?
    };
    let values =
        if matches!(values.len_of(Axis(1)), 1 | 3) { values } else { values.slice_move(s![.., ..1, .., ..]) };
    let (low, high) =
        values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &x| (low.min(x), high.max(x)));
    let shown = values.mapv(|x| if low < high { (x - low) / (high - low) } else { 0.0 });
    let grid = Grid { columns: Some(4), ..Grid::default() };
    write_png(path, grid.sheet(shown.view()).view()).map_err(|error| Failure::environment(error.into()))
}
