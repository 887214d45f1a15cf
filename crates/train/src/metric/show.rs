//! Pictures of what an encoder finds hard, and of where it puts samples.

use batchwright_core::BoxError;
use batchwright_pairs::Embeddings;
use batchwright_pairs::metrics::principal_components;
use ndarray::ArrayD;
use tch::Tensor;

use super::embed::{floats, whole};
use super::{Parts, Siamese, squared_distances};
use crate::pictures::{Picture, Pictures};
use crate::task::Step;
use crate::tensors::TensorBatch;
use crate::vae::{array, limits, stretched};

/// Pairs, or triplets, of a picture, at most, and of one of its rows.
const SHOWN: usize = 16;
const IN_A_ROW: usize = 4;
/// The side of a scatter plot, its border, and of a point, in pixels.
const SIDE: usize = 384;
const BORDER: usize = 12;
const POINT: usize = 4;

/// Gives out the hardest pairs (triplets) of a batch, the hardest first, and where its embeddings lie.
pub(super) fn show(
    task: &Siamese,
    batch: &TensorBatch,
    step: Step,
    to: &mut dyn Pictures,
) -> Result<(), BoxError> {
    if batch.is_empty() {
        return Ok(());
    }
    let mut give = |name: &str, images: &Tensor, groups: &[Vec<usize>]| -> Result<(), BoxError> {
        let Some(first) = groups.first() else { return Ok(()) };
        let order: Vec<i64> = groups.iter().flatten().map(|&sample| sample as i64).collect();
        let shown = images.f_index_select(0, &Tensor::f_from_slice(&order)?.f_to_device(images.device())?)?;
        let array = array(&stretched(&shown, limits(&shown)?)?)?;
        let columns = first.len() * IN_A_ROW.min(groups.len());
        to.picture(&Picture { name, step: step.step, epoch: step.epoch, array, columns, samples: &[] })
    };
    match task.parts(batch)? {
        Parts::Pairs { a, b, same } => {
            let n = batch.len();
            let alike = floats(&task.alike(&task.encode(&a)?, &task.encode(&b)?)?)?;
            let same: Vec<bool> = floats(&same)?.into_iter().map(|same| 0.5 < same).collect();
            let images = Tensor::f_cat(&[a, b], 0)?;
            let (alike, same) = (&alike, &same);
            let pairs =
                |of: bool| (0..n).filter(move |&i| same[i] == of).map(move |i| (alike[i], vec![i, n + i]));
            give("hardest-positives", &images, &hardest(pairs(true), false))?;
            give("hardest-negatives", &images, &hardest(pairs(false), true))
        }
        Parts::Triplets { anchor, positive, negative } => {
            let n = batch.len();
            let embedded = task.encode(&anchor)?;
            let near = floats(&task.alike(&embedded, &task.encode(&positive)?)?)?;
            let far = floats(&task.alike(&embedded, &task.encode(&negative)?)?)?;
            let images = Tensor::f_cat(&[anchor, positive, negative], 0)?;
            let triplets = (0..n).map(|i| (far[i] - near[i], vec![i, n + i, 2 * n + i]));
            give("hardest-triplets", &images, &hardest(triplets, true))
        }
        Parts::Classes { image, label } => {
            let embedded = task.encode(&image)?;
            let labels = whole(&label)?;
            let distances = floats(&squared_distances(&embedded, &embedded)?)?;
            let n = labels.len();
            let pairs = |same: bool| {
                let all = (0..n).flat_map(move |a| (0..a).map(move |b| (a, b)));
                let kind = all.filter(|&(a, b)| (labels[a] == labels[b]) == same);
                kind.map(|(a, b)| (distances[a * n + b], vec![b, a])).collect::<Vec<_>>()
            };
            give("hardest-positives", &image, &hardest(pairs(true).into_iter(), true))?;
            give("hardest-negatives", &image, &hardest(pairs(false).into_iter(), false))?;
            let array = scatter(&principal(&embedded)?, &labels);
            let (step, epoch, name) = (step.step, step.epoch, "embeddings");
            to.picture(&Picture { name, step, epoch, array, columns: 1, samples: &batch.samples })
        }
    }
}

/// The first of what is listed with a number, by that number.
fn hardest(listed: impl Iterator<Item = (f32, Vec<usize>)>, greatest: bool) -> Vec<Vec<usize>> {
    let mut listed: Vec<_> = listed.collect();
    listed.sort_by(|(a, _), (b, _)| if greatest { b.total_cmp(a) } else { a.total_cmp(b) });
    listed.truncate(SHOWN);
    listed.into_iter().map(|(_, samples)| samples).collect()
}

/// Returns where embeddings `[n, d]` lie along the two directions in which they vary most. Those of one number get 0 for the second.
fn principal(embeddings: &Tensor) -> Result<Vec<[f32; 2]>, BoxError> {
    let size = embeddings.size();
    let (n, dimensions) = (size[0] as usize, size[1] as usize);
    let embeddings = Embeddings::new(floats(embeddings)?, dimensions, vec![0; n])?;
    let kept = dimensions.min(2);
    let places = principal_components(&embeddings, kept)?.project(&embeddings)?;
    let of = |row: &[f32]| [row[0], row.get(1).copied().unwrap_or(0.0)];
    Ok(places.chunks_exact(kept).map(of).collect())
}

/// Draws points in the colours of their labels: an array `[1, 3, y, x]` of values 0 to 1, the second coordinate up.
///
/// # Panics
/// Panics where there are fewer labels than points.
pub fn scatter(points: &[[f32; 2]], labels: &[i64]) -> ArrayD<f32> {
    let mut array = ArrayD::from_elem(vec![1, 3, SIDE, SIDE], 1.0);
    let finite = || points.iter().flatten().copied().filter(|x| x.is_finite());
    let reach = finite().map(f32::abs).fold(f32::MIN_POSITIVE, f32::max);
    let half = (SIDE / 2 - BORDER) as f32;
    for (point, &label) in points.iter().zip(labels) {
        assert!(points.len() <= labels.len(), "every point has a label");
        if !point.iter().all(|x| x.is_finite()) {
            continue;
        }
        let [x, y] = point.map(|x| x / reach * half);
        let (left, top) = ((SIDE as f32 / 2.0 + x) as usize, (SIDE as f32 / 2.0 - y) as usize);
        let colour = colour(label);
        for (dy, dx) in (0..POINT).flat_map(|dy| (0..POINT).map(move |dx| (dy, dx))) {
            let (row, column) = (top + dy - POINT / 2, left + dx - POINT / 2);
            for (channel, value) in colour.into_iter().enumerate() {
                array[[0, channel, row, column]] = value;
            }
        }
    }
    array
}

/// Colours of labels: hues by steps of the golden ratio, so that neighbours differ.
fn colour(label: i64) -> [f32; 3] {
    let hue = (label as f64 * 0.618_033_988_749_895).rem_euclid(1.0) as f32;
    [0.0, 1.0 / 3.0, 2.0 / 3.0]
        .map(|shift| 0.1 + 0.7 * (0.5 + 0.5 * (std::f32::consts::TAU * (hue - shift)).cos()))
}
