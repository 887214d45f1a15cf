//! What the embeddings of a Siamese network are worth: neighbours, verification, episodes, pictures.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use batchwright_config::{Config, Plain, SampleBatches, Source};
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
/// Pairs of each kind in the picture of the hardest.
const HARDEST: usize = 8;
/// Couples of classes that are taken for each other, in the report.
const CONFUSED: usize = 10;

/// A set, embedded.
struct Embedded {
    rows: Embeddings,
    labels: Option<Vec<u32>>,
}

fn refused(error: EmbeddingError) -> Failure {
    Failure::usage(anyhow!(error).context("the embeddings cannot be compared so"))
}

fn ours(error: impl Into<anyhow::Error>) -> Failure {
    Failure::ours(error.into())
}

/// One view of a sequence: its batches of one epoch.
struct View {
    batches: Arc<SampleBatches>,
    epoch: u64,
}

impl Sequence for View {
    fn len(&self) -> usize {
        self.batches.len()
    }
    fn get(&self, _: u64, index: usize) -> std::result::Result<Batch, BoxError> {
        self.batches.get(self.epoch, index)
    }
}

/// Embeds each sample of a set: as it is, and, if there are to be more views, the mean with those.
fn embed(
    trainer: &mut Trainer,
    task: &dyn Task,
    plain: &Arc<SampleBatches>,
    varied: Option<&Arc<SampleBatches>>,
    views: usize,
) -> Result<Embedded> {
    let of = |batches: &Arc<SampleBatches>, epoch| -> Arc<dyn Sequence> {
        Arc::new(View { batches: Arc::clone(batches), epoch })
    };
    let mut all = trainer.embed(task, of(plain, 0)).map_err(failure)?;
    if let Some(varied) = varied {
        for view in 1..views {
            let more = trainer.embed(task, of(varied, view as u64)).map_err(failure)?;
            for (sum, value) in all.values.iter_mut().zip(more.values) {
                *sum += value;
            }
        }
    }
    for value in &mut all.values {
        *value /= views as f32;
    }
    let data = plain.dataset();
    // Samples left out as bad are not among them.
    let labels: Option<Vec<u32>> = all.samples.iter().map(|&index| data.class(index)).collect();
    let given = labels.clone().unwrap_or_else(|| vec![0; all.samples.len()]);
    let rows = Embeddings::new(all.values, all.dimensions, given).map_err(refused)?;
    Ok(Embedded { rows, labels })
}

/// Numbers the values of a fact of each sample.
fn groups(data: &impl Dataset, fact: &str) -> Result<Vec<u32>> {
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
fn verification(data: &impl Dataset, rows: &Embeddings, seed: u64) -> Option<(Vec<f32>, Vec<bool>)> {
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

/// What is known of a set beyond the figures of its loss.
pub(crate) fn evaluate(
    arguments: &Eval,
    config: &Config,
    plain: Plain,
    trainer: &mut Trainer,
    task: &dyn Task,
    split: Held,
) -> Result<Map<String, Value>> {
    let views = arguments.views.get();
    let varied = if 1 < views { Some(open::data(&arguments.configuration, &config.views())?) } else { None };
    let Plain { training, validation, test } = plain;
    let (varied_training, varied_validation, varied_test) = match varied {
        Some(opened) => (Some(opened.training), opened.validation, opened.test),
        None => (None, None, None),
    };
    let share = |batches: Option<SampleBatches>| batches.map(Arc::new);
    let (training, varied_training) = (Arc::new(training), share(varied_training));
    let (validation, varied_validation) = (share(validation), share(varied_validation));
    let (test, varied_test) = (share(test), share(varied_test));
    let (name, set, varied_set) = match split {
        Held::Validation => ("val", &validation, &varied_validation),
        Held::Test => ("test", &test, &varied_test),
    };
    let set = set.as_ref().ok_or_else(|| Failure::usage(anyhow!("the configuration has no such set")))?;
    let embedded = embed(trainer, task, set, varied_set.as_ref(), views)?;
    let mut report = Map::new();
    let mut say = |key: &str, value: f64| {
        report.insert(format!("{name}_{key}"), json!(value));
    };
    let data = set.dataset();
    if let Some(labels) = &embedded.labels
        && labels.len() == data.len()
        && 1 < labels.len()
    {
        // Classes that were trained on are looked for among the training samples, new ones among themselves.
        let known: std::collections::BTreeSet<u32> =
            (0..training.dataset().len()).filter_map(|index| training.dataset().class(index)).collect();
        let is_known = labels.iter().all(|label| known.contains(label));
        let references = if is_known {
            Some(embed(trainer, task, &training, varied_training.as_ref(), views)?.rows)
        } else {
            None
        };
        let among = references.as_ref();
        let available = among.map_or(labels.len() - 1, Embeddings::len);
        let k = arguments.neighbours.get().min(available);
        say("knn_accuracy", neighbours(&embedded.rows, among, DISTANCE, k).map_err(refused)?.accuracy);
        if let Ok(found) = retrieval(&embedded.rows, None, DISTANCE) {
            say("precision_at_1", found.precision_at_1);
            say("r_precision", found.r_precision);
            say("map_at_r", found.map_at_r);
        }
        if let Some((distances, same)) = verification(data, &embedded.rows, config.seed) {
            let verified = Verification::of_distances(&distances, &same).map_err(refused)?;
            say("verification_auc", verified.auc());
            say("verification_eer", verified.equal_error().rate);
            // The threshold is chosen where nothing is reported: for a test, on the validation set.
            if let (Held::Test, Some(validation)) = (split, &validation) {
                let chosen = embed(trainer, task, validation, varied_validation.as_ref(), views)?;
                let of = verification(validation.dataset(), &chosen.rows, config.seed);
                if let Some((chosen_distances, chosen_same)) = of {
                    let threshold = Verification::of_distances(&chosen_distances, &chosen_same)
                        .map_err(refused)?
                        .best_threshold();
                    let accuracy = threshold.accuracy(&distances, &same).map_err(refused)?;
                    say("verification_accuracy", accuracy);
                }
            }
        }
        if let Some(ways) = arguments.ways {
            let rows = match &arguments.within {
                Some(fact) => embedded.rows.clone().with_groups(groups(data, fact)?).map_err(refused)?,
                None => embedded.rows.clone(),
            };
            let scope = if arguments.within.is_some() { EpisodeScope::Within } else { EpisodeScope::Across };
            let options = EpisodeOptions {
                ways,
                shots: arguments.shots,
                queries: 1,
                episodes: arguments.episodes,
                scope,
                prototype: Prototype::Mean,
            };
            let found = few_shot(&rows, &options, DISTANCE, config.seed).map_err(refused)?;
            say("few_shot_error", found.mean_error);
            say("few_shot_error_half_width", found.half_width);
        }
        let confused = confused_classes(&embedded.rows, among, DISTANCE, CONFUSED).map_err(refused)?;
        let confused: Vec<Value> = confused
            .iter()
            .map(|couple| {
                json!({ "class": couple.class, "nearest": couple.nearest, "count": couple.count, "of": couple.of })
            })
            .collect();
        report.insert("confused".to_owned(), Value::Array(confused));
    }
    if let Some(path) = &arguments.one_shot {
        let (error, runs) = one_shot(path, arguments, config, trainer, task, views)?;
        report.insert("one_shot_error".to_owned(), json!(error));
        report.insert("one_shot_runs".to_owned(), Value::Array(runs));
    }
    if let Some(out) = &arguments.out {
        write_out(out, data, &embedded)?;
    }
    Ok(report)
}

/// Runs of one-shot classification from files: their mean error, and that of each.
fn one_shot(
    path: &Path,
    arguments: &Eval,
    config: &Config,
    trainer: &mut Trainer,
    task: &dyn Task,
    views: usize,
) -> Result<(f64, Vec<Value>)> {
    let Source::Folder(folder) = &config.data.source else {
        return Err(Failure::usage(anyhow!(
            "--one-shot reads pictures as `data.folder` does, and the samples of this configuration come from `data.{}`",
            config.data.source.key()
        )));
    };
    let opened = open::data(&arguments.configuration, config)?;
    let image = opened
        .training
        .dataset()
        .image_options()
        .cloned()
        .ok_or_else(|| Failure::usage(anyhow!("--one-shot needs a configuration of images")))?;
    // Without a size, pictures have that of the first one, as those of the configuration had.
    let options = batchwright_config::folder_options(folder, folder.size);
    let runs = OneShotRuns::open(path, &options)
        .with_context(|| format!("cannot read the runs in {}", path.display()))
        .map_err(Failure::data)?;
    let batch_size = config.loader.batch_size.get();
    let seed = config.seed;
    let mut sum: Vec<f32> = Vec::new();
    let mut dimensions = 0;
    let (pictures, runs) = runs.into_parts();
    let pictures = config.aligned(Arc::new(pictures)).map_err(open::failure)?;
    for view in 0..views {
        let augment = if view == 0 { None } else { image.augment.clone() };
        let options = ImageOptions { augment, one_hot: false, classes: None, ..image.clone() };
        let set = ImageSet::new(Arc::clone(&pictures), options).map_err(ours)?;
        let n = set.len();
        let options = BatchOptions { seed, batch_size, ..BatchOptions::default() };
        let batches = Batches::new(set, Sequential::new(n), options).map_err(ours)?;
        let embedded = trainer.embed(task, Arc::new(AtEpoch(batches, view as u64))).map_err(failure)?;
        dimensions = embedded.dimensions;
        if sum.is_empty() {
            sum = embedded.values;
        } else {
            sum.iter_mut().zip(embedded.values).for_each(|(sum, value)| *sum += value);
        }
    }
    let count = sum.len() / dimensions.max(1);
    let all = Embeddings::new(sum, dimensions, vec![0; count]).map_err(refused)?;
    let (mut wrong, mut of, mut each) = (0, 0, Vec::new());
    for run in &runs {
        let pick = |indices: &[usize], labels: Vec<u32>| {
            let values = indices.iter().flat_map(|&index| all.row(index).to_vec()).collect();
            Embeddings::new(values, dimensions, labels).map_err(refused)
        };
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

/// A sequence whose every epoch is one of another's.
struct AtEpoch<S>(S, u64);

impl<S: Sequence> Sequence for AtEpoch<S> {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn get(&self, _: u64, index: usize) -> std::result::Result<Batch, BoxError> {
        self.0.get(self.1, index)
    }
}

/// Writes embeddings for other programs, and pictures of them.
fn write_out(out: &Path, data: &batchwright_config::Samples, embedded: &Embedded) -> Result<()> {
    let Embedded { rows, labels } = embedded;
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
    if labels.is_some()
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
fn hardest_picture(path: &Path, data: &batchwright_config::Samples, hardest: &HardestPairs) -> Result<()> {
    let indices: Vec<usize> =
        hardest.positives.iter().chain(&hardest.negatives).flat_map(|pair| [pair.a, pair.b]).collect();
    if indices.is_empty() {
        return Ok(());
    }
    let n = indices.len();
    let chosen = Subset::new(data, indices).map_err(ours)?;
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
