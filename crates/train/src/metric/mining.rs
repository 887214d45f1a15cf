//! Which triplets of a batch count. Works on a few rows of distances at a time, without gradients.

use batchwright_config::{Distance, Margin, Mining};
use tch::{Kind, TchError, Tensor, no_grad};

use super::losses::{Candidates, FAR, distances, masked_mean, triplet};

/// The numbers of a block of distances that is looked at together.
const BLOCK: i64 = 1 << 20;
/// Positives of an anchor that are looked at for semi-hard negatives, where no cap is given.
const POSITIVES: i64 = 16;

/// Triplets as rows: anchors of the batch, positives and negatives of all candidates.
#[derive(Debug)]
pub struct Triplets {
    /// `[t]`, whole numbers.
    pub anchors: Tensor,
    /// `[t]`, whole numbers.
    pub positives: Tensor,
    /// `[t]`, whole numbers.
    pub negatives: Tensor,
    /// `[t]`: whether it is one; an anchor without a positive or without a negative has none. So the number of rows needs no waiting for the device.
    pub valid: Tensor,
}

/// Returns how hard triplets are at a step, from 0 (easy) to 1.
pub fn hardness(mining: Mining, step: u64) -> f64 {
    match mining {
        Mining::Easy => 0.0,
        Mining::Hard | Mining::SemiHard { .. } | Mining::All => 1.0,
        Mining::Scheduled { from, to, steps } => {
            let progress = (step as f64 / steps.max(1) as f64).min(1.0);
            from + (to - from) * progress
        }
    }
}

/// Chooses triplets of a batch as [`Mining`] says: one for each anchor, but for `semi_hard` one for each anchor and positive.
/// `all` chooses as `hard` does; [`all_triplets`] counts all without a list.
///
/// It takes memory for a block of distances and for the triplets, not for the square of the batch.
///
/// # Errors
/// Gives libtorch's error where it refuses.
pub fn mine(candidates: &Candidates, mining: Mining, step: u64) -> Result<Triplets, TchError> {
    let mut parts: Vec<[Tensor; 4]> = Vec::new();
    let hardness = hardness(mining, step);
    blocks(candidates, |start, rows, block, positive, negative| {
        let anchors = Tensor::f_arange_start(start, start + rows, (Kind::Int64, block.device()))?;
        let near = block.f_masked_fill(&positive.f_logical_not()?, FAR)?;
        let counts = |mask: &Tensor| mask.f_sum_dim_intlist(1_i64, true, Some(Kind::Int64));
        let part = match mining {
            Mining::SemiHard { cap } => {
                let cap = cap.map_or(POSITIVES, |cap| i64::try_from(cap).unwrap_or(i64::MAX).max(1));
                let cap = cap.min(block.size()[1]);
                let masked = block.f_masked_fill(&positive.f_logical_not()?, -FAR)?;
                let (values, positives) = masked.f_topk(cap, 1, true, true)?;
                let (sorted, order) =
                    block.f_masked_fill(&negative.f_logical_not()?, FAR)?.f_sort(1, false)?;
                let count = counts(negative)?;
                let place =
                    values.f_contiguous()?.f_searchsorted(&sorted, false, true, "right", None::<&Tensor>)?;
                let last = count.f_sub_scalar(1)?.f_clamp_min(0)?;
                let negatives = order.f_gather(1, &place.f_minimum(&last)?, false)?;
                let valid = values.f_gt(-FAR / 2.0)?.f_logical_and(&count.f_gt(0)?)?;
                let anchors = anchors.f_unsqueeze(1)?.f_expand_as(&positives)?;
                [
                    anchors.f_reshape(-1)?,
                    positives.f_flatten(0, 1)?,
                    negatives.f_flatten(0, 1)?,
                    valid.f_flatten(0, 1)?,
                ]
            }
            Mining::Hard | Mining::All | Mining::Easy | Mining::Scheduled { .. } => {
                let valid = counts(positive)?.f_gt(0)?.f_logical_and(&counts(negative)?.f_gt(0)?)?;
                let positives = at(&near, &counts(positive)?, hardness)?;
                let far = block.f_masked_fill(&negative.f_logical_not()?, FAR)?;
                let negatives = at(&far, &counts(negative)?, 1.0 - hardness)?;
                [anchors, positives, negatives, valid.f_squeeze_dim(1)?]
            }
        };
        parts.push(part);
        Ok(())
    })?;
    let column = |k: usize| Tensor::f_cat(&parts.iter().map(|part| &part[k]).collect::<Vec<_>>(), 0);
    Ok(Triplets { anchors: column(0)?, positives: column(1)?, negatives: column(2)?, valid: column(3)? })
}

/// Returns which column holds the value at a place between the least (0) and the greatest (1) of the first `count` values of each row in order;
/// what is masked comes last.
fn at(values: &Tensor, count: &Tensor, place: f64) -> Result<Tensor, TchError> {
    if place <= 0.0 {
        return values.f_argmin(1, false);
    }
    if 1.0 <= place {
        // What is masked is no maximum.
        return values.f_masked_fill(&values.f_ge(FAR / 2.0)?, -FAR)?.f_argmax(1, false);
    }
    let (_, order) = values.f_sort(1, false)?;
    let last = count.f_sub_scalar(1)?.f_clamp_min(0)?.f_to_kind(Kind::Double)?;
    let place = last.f_mul_scalar(place)?.f_add_scalar(0.5)?.f_floor()?.f_to_kind(Kind::Int64)?;
    order.f_gather(1, &place, false)?.f_squeeze_dim(1)
}

/// Goes over the distances from the anchors to all candidates: the first anchor of a block, how many there are, their squared distances, and their
/// positives and negatives.
fn blocks(
    candidates: &Candidates,
    mut each: impl FnMut(i64, i64, &Tensor, &Tensor, &Tensor) -> Result<(), TchError>,
) -> Result<(), TchError> {
    no_grad(|| {
        let (batch, all) = (candidates.batch.f_detach()?, candidates.all.f_detach()?);
        let (n, m) = (batch.size()[0], all.size()[0]);
        let many = (BLOCK / m.max(1)).clamp(1, n.max(1));
        let mut start = 0;
        while start < n {
            let rows = many.min(n - start);
            let part = |x: &Tensor| x.f_narrow(0, start, rows);
            let block = distances(&part(&batch)?, &all, Distance::Squared)?;
            each(start, rows, &block, &part(&candidates.positive)?, &part(&candidates.negative)?)?;
            start += rows;
        }
        Ok(())
    })
}

/// The triplet loss of a batch, and which part of the triplets does not keep the margin yet (for `all`: how many they are, of one anchor): two scalars.
///
/// # Errors
/// Gives libtorch's error where it refuses.
pub fn triplet_in_batch(
    candidates: &Candidates,
    margin: Margin,
    distance: Distance,
    mining: Mining,
    step: u64,
) -> Result<(Tensor, Tensor), TchError> {
    if let (Mining::All, Margin::Hard(margin)) = (mining, margin) {
        return all_triplets(candidates, margin, distance);
    }
    let Triplets { anchors, positives, negatives, valid } = mine(candidates, mining, step)?;
    let losses = triplet(
        &candidates.batch.f_index_select(0, &anchors)?,
        &candidates.all.f_index_select(0, &positives)?,
        &candidates.all.f_index_select(0, &negatives)?,
        margin,
        distance,
    )?;
    let above = if matches!(margin, Margin::Hard(_)) { 0.0 } else { std::f64::consts::LN_2 };
    let active = losses.f_detach()?.f_gt(above)?.f_to_kind(Kind::Float)?;
    Ok((masked_mean(&losses, &valid)?, masked_mean(&active, &valid)?))
}

/// The mean of the triplet loss over all triplets that do not keep the margin, and how many they are of one anchor: two scalars.
///
/// No triplet is listed. Each distance to a positive counts as often as there are negatives nearer than it plus the margin, and the other way
/// round, which sorting tells; so memory grows with the square of the batch, and time with that times its logarithm.
///
/// # Errors
/// Gives libtorch's error where it refuses.
pub fn all_triplets(
    candidates: &Candidates,
    margin: f64,
    distance: Distance,
) -> Result<(Tensor, Tensor), TchError> {
    let n = candidates.batch.size()[0];
    let mut weights: Vec<Tensor> = Vec::new();
    let mut triplets: Vec<Tensor> = Vec::new();
    blocks(candidates, |_, _, squares, positive, negative| {
        let block = match distance {
            Distance::Squared => squares.shallow_clone(),
            Distance::Euclidean => squares.f_sqrt()?,
        };
        let reach = block.f_add_scalar(margin)?;
        let sorted = |values: &Tensor, mask: &Tensor| -> Result<Tensor, TchError> {
            Ok(values.f_masked_fill(&mask.f_logical_not()?, FAR)?.f_sort(1, false)?.0)
        };
        let none = None::<&Tensor>;
        // Negatives within the reach of a positive, and positives whose reach holds a negative: the same comparison.
        let of_positives = reach.f_searchsorted(&sorted(&block, negative)?, false, false, "left", none)?;
        let beyond = block.f_searchsorted(&sorted(&reach, positive)?, false, true, "right", none)?;
        let count = positive.f_sum_dim_intlist(1_i64, true, Some(Kind::Int64))?;
        let of_negatives = count.f_sub(&beyond)?;
        let of_positives = of_positives.f_mul(positive)?;
        triplets.push(of_positives.f_sum(Some(Kind::Double))?);
        weights.push(of_positives.f_sub(&of_negatives.f_mul(negative)?)?.f_to_kind(Kind::Float)?);
        Ok(())
    })?;
    let weights = Tensor::f_cat(&weights, 0)?;
    let triplets = Tensor::f_stack(&triplets, 0)?.f_sum(None)?;
    let all = distances(&candidates.batch, &candidates.all, distance)?;
    let sum = all.f_mul(&weights)?.f_sum(Some(Kind::Double))?.f_add(&triplets.f_mul_scalar(margin)?)?;
    let loss = sum.f_div(&triplets.f_clamp_min(1.0)?)?.f_to_kind(Kind::Float)?;
    Ok((loss, triplets.f_div_scalar(n.max(1) as f64)?.f_to_kind(Kind::Float)?))
}
