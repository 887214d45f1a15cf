//! Convolutional encoders to embeddings.

use batchwright_config as config;
use batchwright_config::{Activation, Halve, Norm, Pool};
use tch::{TchError, Tensor, nn};

use super::MetricError;
use crate::vae::uniform_fan_in;

/// Groups of a group normalization, at most.
const GROUPS: i64 = 8;
/// Is added to variances.
const EPSILON: f64 = 1e-5;
/// How much of a running statistic the latest batch is.
const MOMENTUM: f64 = 0.1;
/// Is added to the squared length of an embedding before it is divided by its length.
const LEAST_LENGTH: f64 = 1e-12;

/// Maps images `[N, C, y, x]` or volumes `[N, C, z, y, x]` to embeddings `[N, embedding]`.
///
/// A block is a convolution, what halves the sides (rounded down), a normalization and the nonlinearity; a residual one has a second
/// convolution with its normalization, and the halved input, mapped by a 1 x 1 convolution, is added before the last nonlinearity. The mean over the
/// places (or all places) of the last block goes through a linear layer. Weights begin as `PyTorch`'s do by default.
#[derive(Debug)]
pub struct Encoder {
    blocks: Vec<Block>,
    embedding: Linear,
    activation: Activation,
    pool: Pool,
    dropout: f64,
    normalize: bool,
}

impl Encoder {
    /// Builds it for images of the shape `[C, y, x]` or volumes `[C, z, y, x]`, its parameters below `path`.
    ///
    /// # Errors
    /// Refuses settings out of their range, other numbers of axes, and images too small for the blocks.
    pub fn new(
        path: &nn::Path<'_>,
        settings: &config::Encoder,
        embedding: usize,
        normalize: bool,
        sample: impl AsRef<[usize]>,
    ) -> Result<Self, MetricError> {
        let sample = sample.as_ref();
        let positive = |key, n: usize| match i64::try_from(n) {
            Ok(n) if 0 < n => Ok(n),
            _ => Err(MetricError::Range { key, found: n as f64, expected: "at least 1" }),
        };
        if !matches!(sample.len(), 3 | 4) {
            return Err(MetricError::Axes { shape: sample.to_vec() });
        }
        let embedding = positive("embedding", embedding)?;
        let mut shape =
            sample.iter().map(|&n| positive("encoder (a side)", n)).collect::<Result<Vec<_>, _>>()?;
        let channels = settings
            .channels
            .iter()
            .map(|&n| positive("encoder.channels", n))
            .collect::<Result<Vec<_>, _>>()?;
        if channels.is_empty() {
            let expected = "at least one block";
            return Err(MetricError::Range { key: "encoder.channels (how many)", found: 0.0, expected });
        }
        if !(0.0 <= settings.dropout && settings.dropout < 1.0) {
            let expected = "at least 0 and below 1";
            return Err(MetricError::Range { key: "encoder.dropout", found: settings.dropout, expected });
        }
        let least = 1_i64.checked_shl(channels.len() as u32).filter(|least| 0 < *least).unwrap_or(i64::MAX);
        if shape[1..].iter().any(|side| *side < least) {
            return Err(MetricError::TooSmall { sides: shape[1..].to_vec(), blocks: channels.len(), least });
        }
        let mut blocks = Vec::new();
        for (i, &to) in channels.iter().enumerate() {
            blocks.push(Block::new(&(path / i), shape[0], to, shape.len() - 1, settings)?);
            shape[0] = to;
            shape[1..].iter_mut().for_each(|side| *side /= 2);
        }
        let features = match settings.pool {
            Pool::Mean => shape[0],
            Pool::Flatten => shape.iter().product(),
        };
        Ok(Self {
            blocks,
            embedding: Linear::new(&(path / "embedding"), features, embedding)?,
            activation: settings.activation,
            pool: settings.pool,
            dropout: settings.dropout,
            normalize,
        })
    }

    /// Encodes floats `[N, C, y, x]` or `[N, C, z, y, x]` into `[N, embedding]`. In training, features are dropped and running statistics of a batch
    /// normalization move on.
    ///
    /// # Errors
    /// Gives libtorch's error where it refuses.
    pub fn encode(&self, samples: &Tensor, training: bool) -> Result<Tensor, TchError> {
        let mut x = samples.shallow_clone();
        for block in &self.blocks {
            x = block.forward(&x, self.activation, training)?;
        }
        x = x.f_flatten(2, -1)?;
        x = match self.pool {
            Pool::Mean => x.f_mean_dim(-1_i64, false, None)?,
            Pool::Flatten => x.f_flatten(1, -1)?,
        };
        if training && 0.0 < self.dropout {
            x = x.f_dropout(self.dropout, true)?;
        }
        x = self.embedding.forward(&x)?;
        if self.normalize { unit(&x) } else { Ok(x) }
    }
}

/// Scales rows to length 1.
pub(super) fn unit(x: &Tensor) -> Result<Tensor, TchError> {
    let squares = x.f_square()?.f_sum_dim_intlist(-1_i64, true, None)?;
    x.f_mul(&squares.f_add_scalar(LEAST_LENGTH)?.f_rsqrt()?)
}

#[derive(Debug)]
struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    fn new(path: &nn::Path<'_>, from: i64, to: i64) -> Result<Self, TchError> {
        Ok(Self {
            weight: path.f_var("weight", &[to, from], uniform_fan_in(from))?,
            bias: path.f_var("bias", &[to], uniform_fan_in(from))?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_linear(&self.weight, Some(&self.bias))
    }
}

#[derive(Debug)]
struct Block {
    first: Convolution,
    first_norm: Normalization,
    halve: Halve,
    rest: Option<Rest>,
}

/// What a residual block has besides.
#[derive(Debug)]
struct Rest {
    second: Convolution,
    second_norm: Normalization,
    around: Convolution,
}

impl Block {
    fn new(
        path: &nn::Path<'_>,
        from: i64,
        to: i64,
        axes: usize,
        settings: &config::Encoder,
    ) -> Result<Self, TchError> {
        let (kernel, stride) = match settings.halve {
            Halve::Pool => (3, 1),
            Halve::Stride => (4, 2),
        };
        // The shift of a normalization takes the place of a bias.
        let bias = settings.norm == Norm::None;
        let rest = if settings.residual {
            Some(Rest {
                second: Convolution::new(&(path / "second"), [to, to], 3, 1, axes, bias)?,
                second_norm: Normalization::new(&(path / "second_norm"), to, settings.norm)?,
                around: Convolution::new(&(path / "around"), [from, to], 1, 1, axes, true)?,
            })
        } else {
            None
        };
        Ok(Self {
            first: Convolution::new(&(path / "first"), [from, to], kernel, stride, axes, bias)?,
            first_norm: Normalization::new(&(path / "first_norm"), to, settings.norm)?,
            halve: settings.halve,
            rest,
        })
    }

    fn forward(&self, x: &Tensor, activation: Activation, training: bool) -> Result<Tensor, TchError> {
        let mut y = self.first.forward(x)?;
        // Before the normalization, which then has a quarter of the work.
        if self.halve == Halve::Pool {
            y = halved(&y, true)?;
        }
        y = activate(&self.first_norm.forward(&y, training)?, activation)?;
        let Some(Rest { second, second_norm, around }) = &self.rest else { return Ok(y) };
        y = second_norm.forward(&second.forward(&y)?, training)?;
        activate(&y.f_add(&around.forward(&halved(x, false)?)?)?, activation)
    }
}

/// Halves the sides, rounded down: the greatest or the mean of 2 x 2 places.
fn halved(x: &Tensor, greatest: bool) -> Result<Tensor, TchError> {
    match (x.dim(), greatest) {
        (4, true) => x.f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false),
        (4, false) => x.f_avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None),
        (_, true) => x.f_max_pool3d([2, 2, 2], [2, 2, 2], [0, 0, 0], [1, 1, 1], false),
        (_, false) => x.f_avg_pool3d([2, 2, 2], [2, 2, 2], [0, 0, 0], false, true, None),
    }
}

#[derive(Debug)]
struct Convolution {
    weight: Tensor,
    bias: Option<Tensor>,
    stride: i64,
    padding: i64,
}

impl Convolution {
    fn new(
        path: &nn::Path<'_>,
        [from, to]: [i64; 2],
        kernel: i64,
        stride: i64,
        axes: usize,
        bias: bool,
    ) -> Result<Self, TchError> {
        let kernels = vec![kernel; axes];
        let init = uniform_fan_in(from * kernels.iter().product::<i64>());
        Ok(Self {
            weight: path.f_var("weight", &[&[to, from], kernels.as_slice()].concat(), init)?,
            bias: if bias { Some(path.f_var("bias", &[to], init)?) } else { None },
            stride,
            padding: (kernel - 1) / 2,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let all = |n: i64| vec![n; x.dim() - 2];
        let (stride, padding) = (all(self.stride), all(self.padding));
        x.f_convolution(&self.weight, self.bias.as_ref(), stride, padding, all(1), false, all(0), 1)
    }
}

#[derive(Debug)]
enum Normalization {
    None,
    Group { groups: i64, scale: Tensor, shift: Tensor },
    Batch { scale: Tensor, shift: Tensor, mean: Tensor, variance: Tensor },
}

impl Normalization {
    fn new(path: &nn::Path<'_>, channels: i64, norm: Norm) -> Result<Self, TchError> {
        let affine = || -> Result<_, TchError> {
            let scale = path.f_var("scale", &[channels], nn::Init::Const(1.0))?;
            Ok((scale, path.f_var("shift", &[channels], nn::Init::Const(0.0))?))
        };
        Ok(match norm {
            Norm::None => Self::None,
            Norm::Group => {
                let groups = (1..=GROUPS).rev().find(|groups| channels % groups == 0).unwrap_or(1);
                let (scale, shift) = affine()?;
                Self::Group { groups, scale, shift }
            }
            Norm::Batch => {
                let (scale, shift) = affine()?;
                let mean = path.f_zeros_no_train("mean", &[channels])?;
                let variance = path.f_ones_no_train("variance", &[channels])?;
                Self::Batch { scale, shift, mean, variance }
            }
        })
    }

    fn forward(&self, x: &Tensor, training: bool) -> Result<Tensor, TchError> {
        match self {
            Self::None => Ok(x.shallow_clone()),
            Self::Group { groups, scale, shift } => {
                x.f_group_norm(*groups, Some(scale), Some(shift), EPSILON, true)
            }
            Self::Batch { scale, shift, mean, variance } => x.f_batch_norm(
                Some(scale),
                Some(shift),
                Some(mean),
                Some(variance),
                training,
                MOMENTUM,
                EPSILON,
                true,
            ),
        }
    }
}

fn activate(x: &Tensor, activation: Activation) -> Result<Tensor, TchError> {
    match activation {
        Activation::Relu => x.f_relu(),
        Activation::Silu => x.f_silu(),
        Activation::Gelu => x.f_gelu("none"),
        Activation::LeakyRelu => x.f_leaky_relu(),
        Activation::Tanh => x.f_tanh(),
    }
}
