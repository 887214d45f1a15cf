//! Figures over every sample of a set, each exactly once.

use std::collections::BTreeMap;
use std::sync::Arc;

use batchwright_core::{Batch, BoxError, Fingerprint, Loader, LoaderOptions, Sequence, Slots, Stream};
use serde::Serialize;
use tch::{Device, Kind, TchError, Tensor};

use crate::error::{Doing, Error};
use crate::stop::StopFlag;
use crate::task::{Step, Task, Totals};
use crate::tensors::Feeder;
use crate::window::Window;

/// The means of a task's figures over all samples of a set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// The name of the set, as in `val` or `test`.
    pub name: String,
    /// How many samples there were.
    pub samples: u64,
    /// The figures, named with the set's name in front: `test_elbo`.
    pub metrics: Vec<(String, f64)>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl Evaluation {
    /// Returns the figure of a name, with or without the set's name in front.
    pub fn get(&self, name: &str) -> Option<f64> {
        let full = format!("{}_{name}", self.name);
        self.metrics.iter().find(|(known, _)| known == name || *known == full).map(|(_, value)| *value)
    }
}

/// A sequence that several loaders read, one after the other, always its epoch 0.
#[derive(Clone)]
pub(crate) struct Shared(pub(crate) Arc<dyn Sequence>);

impl Sequence for Shared {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn get(&self, epoch: u64, index: usize) -> Result<Batch, BoxError> {
        self.0.get(epoch, index)
    }
    fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint()
    }
    fn seed(&self) -> Option<u64> {
        self.0.seed()
    }
    fn slots(&self) -> Option<&dyn Slots> {
        self.0.slots()
    }
}

/// Goes once through epoch 0 of a sequence. Draws depend on the seed, the set's name and the batch alone, so that evaluations at different steps
/// compare. `None` where it was asked to stop.
#[expect(clippy::too_many_arguments, reason = "what an evaluation depends on")]
pub(crate) fn evaluate(
    task: &dyn Task,
    sequence: Shared,
    name: &str,
    at: (u64, u64),
    seed: u64,
    feeder: &mut Feeder,
    options: &LoaderOptions,
    stop: Option<&StopFlag>,
) -> Result<Option<Evaluation>, Error> {
    if sequence.is_empty() {
        return Err(Error::Empty { name: name.to_owned() });
    }
    let _guard = tch::no_grad_guard();
    let (step, epoch) = at;
    let stream_name = format!("train/evaluate/{name}");
    let doing = "add up an evaluation";
    let mut loader = Loader::new(sequence, LoaderOptions { epochs: Some(1), ..options.clone() });
    let mut window = Window::default();
    let mut sums: BTreeMap<&'static str, Tensor> = BTreeMap::new();
    let mut rows: BTreeMap<&'static str, Vec<Tensor>> = BTreeMap::new();
    let mut samples = 0;
    while let Some(batch) = loader.next_batch() {
        if stop.is_some_and(|stop| stop.get().is_some()) {
            return Ok(None);
        }
        let batch =
            batch.map_err(|source| Error::Load { name: name.to_owned(), source: Box::new(source) })?;
        if batch.is_empty() {
            continue;
        }
        let index = batch.index as u64;
        let batch = feeder.feed(batch)?;
        tch::manual_seed(Stream::new(seed, 0, index, stream_name.as_str()).bits64() as i64);
        let losses = task
            .validate(&batch, Step { step, epoch, training: false })
            .map_err(|source| Error::Task { doing: "validate a batch", step, source })?;
        window.add(&losses, &[], batch.len()).doing(doing)?;
        for (name, sum) in losses.sums {
            let sum = sum.f_to_kind(Kind::Double).doing(doing)?;
            match sums.get_mut(name) {
                Some(total) => {
                    let _ = total.f_add_(&sum).doing(doing)?;
                }
                None => {
                    sums.insert(name, sum.f_detach_copy().doing(doing)?);
                }
            }
        }
        for (name, part) in losses.rows {
            // A copy, for a view would keep all of the batch alive.
            let part = part.f_detach_copy().and_then(|part| part.f_to_device(Device::Cpu)).doing(doing)?;
            rows.entry(name).or_default().push(part);
        }
        samples += batch.len() as u64;
    }
    if samples == 0 {
        return Err(Error::Empty { name: name.to_owned() });
    }
    let means = window.take().doing("fetch an evaluation")?;
    for sum in sums.values_mut() {
        *sum = sum.f_to_device(Device::Cpu).doing("fetch an evaluation")?;
    }
    let rows = rows
        .into_iter()
        .map(|(name, parts)| Ok((name, Tensor::f_cat(&parts, 0)?)))
        .collect::<Result<_, TchError>>()
        .doing("collect the rows of an evaluation")?;
    let totals = Totals { step, samples, sums, rows, metrics: means.iter().cloned().collect() };
    let conclusion = task.conclude(&totals);
    let further = conclusion.metrics.into_iter().map(|(name, value)| (name.to_owned(), value));
    let metrics = means.into_iter().chain(further).map(|(metric, value)| (format!("{name}_{metric}"), value));
    let left_out = loader.left_out().iter().map(|left_out| {
        format!("{name} set: sample {} ({}) was left out: {}", left_out.index, left_out.id, left_out.error)
    });
    let conclusions = conclusion.warnings.into_iter().map(|warning| format!("{name} set: {warning}"));
    Ok(Some(Evaluation {
        name: name.to_owned(),
        samples,
        metrics: metrics.collect(),
        warnings: left_out.chain(conclusions).collect(),
    }))
}
