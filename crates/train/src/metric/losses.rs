//! Losses of embeddings. Embeddings are rows of a matrix; nothing here waits for the device.

use batchwright_config::{Distance, Margin};
use tch::{Kind, TchError, Tensor};

/// Stands for an infinity in a masked place: its exponential is 0, and it makes no NaN.
pub(super) const FAR: f64 = 1e30;
/// The least squared distance that a root is taken of.
const LEAST_SQUARE: f64 = 1e-12;

/// What the samples of a batch are compared with: the batch itself, and after it the rows of a memory.
#[derive(Debug)]
pub struct Candidates {
    /// The embeddings of the batch, `[n, d]`.
    pub batch: Tensor,
    /// The embeddings that each of them is compared with, `[m, d]`; the first n are the batch.
    pub all: Tensor,
    /// `[n, m]`: which are of the same class, itself not.
    pub positive: Tensor,
    /// `[n, m]`: which are of another class.
    pub negative: Tensor,
}

impl Candidates {
    /// Compares a batch with itself: embeddings `[n, d]`, labels `[n]` of whole numbers.
    ///
    /// # Errors
    /// Gives libtorch's error where it refuses.
    pub fn new(batch: &Tensor, labels: &Tensor) -> Result<Self, TchError> {
        Self::with(batch, labels, None)
    }

    /// Compares a batch with itself and with more rows: their embeddings, labels, and which of them count.
    ///
    /// # Errors
    /// Gives libtorch's error where it refuses.
    pub fn with(
        batch: &Tensor,
        labels: &Tensor,
        more: Option<(&Tensor, &Tensor, &Tensor)>,
    ) -> Result<Self, TchError> {
        let n = labels.size()[0];
        let column = labels.f_unsqueeze(1)?;
        let own = column.f_eq_tensor(&labels.f_unsqueeze(0)?)?;
        let other = own.f_logical_not()?;
        let itself = Tensor::f_eye(n, (Kind::Bool, labels.device()))?;
        let own = own.f_logical_and(&itself.f_logical_not()?)?;
        Ok(match more {
            None => Self {
                batch: batch.shallow_clone(),
                all: batch.shallow_clone(),
                positive: own,
                negative: other,
            },
            Some((rows, their_labels, valid)) => {
                let same = column.f_eq_tensor(&their_labels.f_unsqueeze(0)?)?;
                let valid = valid.f_unsqueeze(0)?;
                let positive = same.f_logical_and(&valid)?;
                let negative = same.f_logical_not()?.f_logical_and(&valid)?;
                Self {
                    batch: batch.shallow_clone(),
                    all: Tensor::f_cat(&[batch, rows], 0)?,
                    positive: Tensor::f_cat(&[own, positive], 1)?,
                    negative: Tensor::f_cat(&[other, negative], 1)?,
                }
            }
        })
    }

    /// Dot products over a temperature, `[n, m]`.
    fn similarities(&self) -> Result<Tensor, TchError> {
        self.batch.f_matmul(&self.all.f_tr()?)
    }

    /// Which rows of all are compared with at all, `[n, m]`.
    fn compared(&self) -> Result<Tensor, TchError> {
        self.positive.f_logical_or(&self.negative)
    }
}

/// Returns the squared distances of rows, `[n, m]`, in memory that grows with n times m.
///
/// # Errors
/// Gives libtorch's error where it refuses.
pub fn squared_distances(a: &Tensor, b: &Tensor) -> Result<Tensor, TchError> {
    let squares = |x: &Tensor| x.f_square()?.f_sum_dim_intlist(1_i64, true, None);
    let sum = squares(a)?.f_add(&squares(b)?.f_tr()?)?;
    sum.f_addmm(&a.f_mul_scalar(-2.0)?, &b.f_tr()?)?.f_clamp_min(0.0)
}

/// Returns the distances of rows with rows, `[n, m]`.
pub(super) fn distances(a: &Tensor, b: &Tensor, distance: Distance) -> Result<Tensor, TchError> {
    of_squares(squared_distances(a, b)?, distance)
}

fn of_squares(squares: Tensor, distance: Distance) -> Result<Tensor, TchError> {
    match distance {
        Distance::Squared => Ok(squares),
        Distance::Euclidean => squares.f_clamp_min(LEAST_SQUARE)?.f_sqrt(),
    }
}

/// Returns the distances of the rows of a from the same rows of b, `[n]`.
///
/// # Errors
/// Gives libtorch's error where it refuses.
pub fn pairwise(a: &Tensor, b: &Tensor, distance: Distance) -> Result<Tensor, TchError> {
    of_squares(a.f_sub(b)?.f_square()?.f_sum_dim_intlist(1_i64, false, None)?, distance)
}

/// The contrastive loss of pairs, `[n]`: `same d^2 + (1 - same) max(0, margin - d)^2` (Hadsell, Chopra and `LeCun` 2006, without their half).
///
/// # Errors
/// Gives libtorch's error where it refuses.
pub fn contrastive(a: &Tensor, b: &Tensor, same: &Tensor, margin: f64) -> Result<Tensor, TchError> {
    let squares = pairwise(a, b, Distance::Squared)?;
    let short = short_of(&of_squares(squares.shallow_clone(), Distance::Euclidean)?, margin)?;
    squares.f_mul(same)?.f_add(&short.f_square()?.f_mul(&same.f_neg()?.f_add_scalar(1.0)?)?)
}

/// `max(0, margin - d)`.
fn short_of(distances: &Tensor, margin: f64) -> Result<Tensor, TchError> {
    distances.f_neg()?.f_add_scalar(margin)?.f_relu()
}

/// The contrastive loss over all pairs of a batch, a scalar: the mean of `d^2` over positive pairs plus the mean of `(margin - d)^2` over negative pairs
/// nearer than the margin.
///
/// # Errors
/// Gives libtorch's error where it refuses.
pub fn contrastive_in_batch(candidates: &Candidates, margin: f64) -> Result<Tensor, TchError> {
    let squares = squared_distances(&candidates.batch, &candidates.all)?;
    let short = short_of(&of_squares(squares.shallow_clone(), Distance::Euclidean)?, margin)?;
    let negative = candidates.negative.f_logical_and(&short.f_detach()?.f_gt(0.0)?)?;
    masked_mean(&squares, &candidates.positive)?.f_add(&masked_mean(&short.f_square()?, &negative)?)
}

/// The triplet loss of triplets, `[n]`: `max(0, d(anchor, positive) - d(anchor, negative) + margin)`, or its soft form `log(1 + exp(...))` without a
/// margin.
///
/// # Errors
/// Gives libtorch's error where it refuses.
pub fn triplet(
    anchor: &Tensor,
    positive: &Tensor,
    negative: &Tensor,
    margin: Margin,
    distance: Distance,
) -> Result<Tensor, TchError> {
    let near = pairwise(anchor, positive, distance)?;
    let excess = near.f_sub(&pairwise(anchor, negative, distance)?)?;
    match margin {
        Margin::Hard(margin) => excess.f_add_scalar(margin)?.f_relu(),
        Margin::Soft(_) => excess.f_softplus(),
    }
}

/// The normalized temperature-scaled cross-entropy of two views of n samples (NT-Xent, Chen 2020): `[2n]`, first those of `a`.
///
/// # Errors
/// Gives libtorch's error where it refuses.
pub fn nt_xent(a: &Tensor, b: &Tensor, temperature: f64) -> Result<Tensor, TchError> {
    let n = a.size()[0];
    let views = Tensor::f_cat(&[a, b], 0)?;
    let itself = Tensor::f_eye(2 * n, (Kind::Bool, a.device()))?;
    let logits = views.f_matmul(&views.f_tr()?)?.f_div_scalar(temperature)?.f_masked_fill(&itself, -FAR)?;
    let own = a.f_mul(b)?.f_sum_dim_intlist(1_i64, false, None)?.f_div_scalar(temperature)?;
    logits.f_logsumexp(1_i64, false)?.f_sub(&own.f_repeat(2_i64)?)
}

/// The supervised contrastive loss (Khosla 2020, the mean outside of the logarithm), a scalar: the mean over the anchors that have positives.
///
/// # Errors
/// Gives libtorch's error where it refuses.
pub fn supervised_contrastive(candidates: &Candidates, temperature: f64) -> Result<Tensor, TchError> {
    let logits = candidates.similarities()?.f_div_scalar(temperature)?;
    let others = logits.f_masked_fill(&candidates.compared()?.f_logical_not()?, -FAR)?;
    let positive = candidates.positive.f_to_kind(Kind::Float)?;
    let count = positive.f_sum_dim_intlist(1_i64, false, None)?;
    let sum = logits.f_mul(&positive)?.f_sum_dim_intlist(1_i64, false, None)?;
    let own = sum.f_div(&count.f_clamp_min(1.0)?)?;
    masked_mean(&others.f_logsumexp(1_i64, false)?.f_sub(&own)?, &count.f_gt(0.0)?)
}

/// The multi-similarity loss (Wang 2019), a scalar: the mean over all anchors. With `epsilon`, pairs count only where they lie less than that behind
/// the hardest pair of the other kind.
///
/// # Errors
/// Gives libtorch's error where it refuses.
pub fn multi_similarity(
    candidates: &Candidates,
    alpha: f64,
    beta: f64,
    base: f64,
    epsilon: Option<f64>,
) -> Result<Tensor, TchError> {
    let similarities = candidates.similarities()?;
    let (mut positive, mut negative) =
        (candidates.positive.shallow_clone(), candidates.negative.shallow_clone());
    if let Some(epsilon) = epsilon {
        let fixed = similarities.f_detach()?;
        let nearest = fixed.f_masked_fill(&negative.f_logical_not()?, -FAR)?.f_amax(1_i64, true)?;
        let farthest = fixed.f_masked_fill(&positive.f_logical_not()?, FAR)?.f_amin(1_i64, true)?;
        positive = positive.f_logical_and(&fixed.f_lt_tensor(&nearest.f_add_scalar(epsilon)?)?)?;
        negative = negative.f_logical_and(&fixed.f_gt_tensor(&farthest.f_sub_scalar(epsilon)?)?)?;
    }
    let centred = similarities.f_sub_scalar(base)?;
    // log(1 + sum exp(factor x)) / |factor| over the places of a mask.
    let term = |factor: f64, mask: &Tensor| -> Result<Tensor, TchError> {
        let scaled = centred.f_mul_scalar(factor)?.f_masked_fill(&mask.f_logical_not()?, -FAR)?;
        scaled.f_logsumexp(1_i64, false)?.f_softplus()?.f_div_scalar(factor.abs())
    };
    term(-alpha, &positive)?.f_add(&term(beta, &negative)?)?.f_mean(None)
}

/// The loss of prototypical networks (Snell 2017) and the accuracy of the queries, two scalars.
///
/// The first `shots` samples of each class are its support, whose mean is its prototype; the other samples are queries. Each is a
/// cross-entropy over the classes of the batch, of minus the squared distances over `temperature`; the mean over queries is the loss.
///
/// # Errors
/// Gives libtorch's error where it refuses.
pub fn prototypical(
    embeddings: &Tensor,
    labels: &Tensor,
    shots: usize,
    temperature: f64,
) -> Result<(Tensor, Tensor), TchError> {
    let own = labels.f_unsqueeze(1)?.f_eq_tensor(&labels.f_unsqueeze(0)?)?.f_to_kind(Kind::Float)?;
    // How many samples of its class come before it.
    let rank = own.f_tril(-1)?.f_sum_dim_intlist(1_i64, false, None)?;
    let support = rank.f_lt(shots as f64)?.f_to_kind(Kind::Float)?;
    let query = rank.f_ge(shots as f64)?;
    let first = rank.f_eq(0.0)?;
    // The prototype of the class of each sample.
    let members = own.f_mul(&support.f_unsqueeze(0)?)?;
    let shares = members.f_div(&members.f_sum_dim_intlist(1_i64, true, None)?)?;
    let prototypes = shares.f_matmul(embeddings)?;
    // A class is named by its first sample.
    let logits = squared_distances(embeddings, &prototypes)?
        .f_div_scalar(-temperature)?
        .f_masked_fill(&first.f_logical_not()?.f_unsqueeze(0)?, -FAR)?;
    let target = own.f_mul(&first.f_to_kind(Kind::Float)?.f_unsqueeze(0)?)?.f_argmax(1, true)?;
    let right = logits.f_gather(1, &target, false)?.f_squeeze_dim(1)?;
    let loss = masked_mean(&logits.f_logsumexp(1_i64, false)?.f_sub(&right)?, &query)?;
    let hit = logits.f_detach()?.f_argmax(1, true)?.f_eq_tensor(&target)?.f_squeeze_dim(1)?;
    Ok((loss, masked_mean(&hit.f_to_kind(Kind::Float)?, &query)?))
}

/// The mean over the places of a mask; 0 where it has none.
pub(super) fn masked_mean(values: &Tensor, mask: &Tensor) -> Result<Tensor, TchError> {
    let zeros = values.f_masked_fill(&mask.f_logical_not()?, 0.0)?;
    let count = mask.f_sum(Some(Kind::Float))?.f_clamp_min(1.0)?;
    zeros.f_sum(None)?.f_div(&count)
}
