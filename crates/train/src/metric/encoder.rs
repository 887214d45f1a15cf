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
/// convolution with its normalization, and the halved input, mapped by a 1 x 1 convolution, is added before the last nonlinearity. Further blocks
/// keep the sides. The mean over the places (or all places) of the last block goes through a linear layer, or each place through a convolution. Weights begin as `PyTorch`'s do by default.
#[derive(Debug)]
pub struct Encoder {
    orientations: Option<i64>,
    blocks: Vec<Block>,
    last: Last,
    /// Of a learned embedding.
    numbers: i64,
    histogram: Option<f64>,
    activation: Activation,
    dropout: f64,
    normalize: bool,
}

/// What makes an embedding of the last block.
#[derive(Debug)]
enum Last {
    Mean(Linear),
    Flatten(Linear),
    Map(Convolution),
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
        let orientations = settings.orientations.map(|n| positive("encoder.orientations", n)).transpose()?;
        if orientations.is_some() && (shape.len() != 3 || shape[0] != 1) {
            let why = "edges have directions in images with one channel";
            return Err(MetricError::Together { key: "encoder.orientations", with: "these samples", why });
        }
        if let Some(length) = settings.histogram {
            if !(0.0 < length && length.is_finite()) {
                let (key, expected) = ("encoder.histogram", "finite and above 0");
                return Err(MetricError::Range { key, found: length, expected });
            }
            if shape.len() != 3 || shape[0] != 1 || shape[1..].iter().any(|&side| side < LEAST_SIDE) {
                let why = "it is of images with one channel, at least 28 x 28";
                return Err(MetricError::Together { key: "encoder.histogram", with: "these samples", why });
            }
        }
        let halvings = channels.len() + usize::from(orientations.is_some());
        let least = 1_i64.checked_shl(halvings as u32).filter(|least| 0 < *least).unwrap_or(i64::MAX);
        if shape[1..].iter().any(|side| *side < least) {
            return Err(MetricError::TooSmall { sides: shape[1..].to_vec(), blocks: halvings, least });
        }
        if let Some(orientations) = orientations {
            shape = vec![1 + orientations, shape[1] / 2, shape[2] / 2];
        }
        let mut blocks = Vec::new();
        for (i, &to) in channels.iter().enumerate() {
            let halve = Some(settings.halve);
            blocks.push(Block::new(&(path / i), shape[0], to, shape.len() - 1, halve, settings)?);
            shape[0] = to;
            shape[1..].iter_mut().for_each(|side| *side /= 2);
        }
        for (i, &to) in settings.further.iter().enumerate() {
            let to = positive("encoder.further", to)?;
            let at = path / (channels.len() + i);
            blocks.push(Block::new(&at, shape[0], to, shape.len() - 1, None, settings)?);
            shape[0] = to;
        }
        let places: i64 = shape[1..].iter().product();
        let path = path / "embedding";
        let (last, numbers) = match settings.pool {
            Pool::Mean => (Last::Mean(Linear::new(&path, shape[0], embedding)?), embedding),
            Pool::Flatten => (Last::Flatten(Linear::new(&path, shape[0] * places, embedding)?), embedding),
            Pool::Map => {
                let map = Convolution::new(&path, [shape[0], embedding], 3, 1, shape.len() - 1, true)?;
                (Last::Map(map), embedding * places)
            }
        };
        Ok(Self {
            orientations,
            blocks,
            last,
            numbers,
            histogram: settings.histogram,
            activation: settings.activation,
            dropout: settings.dropout,
            normalize,
        })
    }

    /// Returns how many numbers an embedding has: with the histogram, where there is one and it is not trained.
    pub fn numbers(&self, training: bool) -> usize {
        let beside = if self.histogram.is_some() && !training { histogram_numbers() } else { 0 };
        (self.numbers + beside) as usize
    }

    /// Encodes floats `[N, C, y, x]` or `[N, C, z, y, x]` into `[N, embedding]`. In training, features are dropped and running statistics of a batch
    /// normalization move on.
    ///
    /// # Errors
    /// Gives libtorch's error where it refuses.
    pub fn encode(&self, samples: &Tensor, training: bool) -> Result<Tensor, TchError> {
        let mut x = match self.orientations {
            Some(directions) => edges(samples, directions)?,
            None => samples.shallow_clone(),
        };
        for block in &self.blocks {
            x = block.forward(&x, self.activation, training)?;
        }
        x = match &self.last {
            Last::Mean(_) => x.f_flatten(2, -1)?.f_mean_dim(-1_i64, false, None)?,
            Last::Flatten(_) => x.f_flatten(1, -1)?,
            Last::Map(_) => x,
        };
        if training && 0.0 < self.dropout {
            x = x.f_dropout(self.dropout, true)?;
        }
        x = match &self.last {
            Last::Mean(linear) | Last::Flatten(linear) => linear.forward(&x)?,
            Last::Map(map) => map.forward(&x)?.f_flatten(1, -1)?,
        };
        let x = if self.normalize { unit(&x)? } else { x };
        match self.histogram {
            Some(length) if !training => Tensor::f_cat(&[x, histogram(samples)?.f_mul_scalar(length)?], 1),
            _ => Ok(x),
        }
    }
}

/// Over how many pixels a drawing is smoothed before its edges are looked for: those that are learned from, and those of a histogram.
const SMOOTHED: i64 = 3;
const SMOOTHED_MORE: i64 = 5;
/// The directions of a histogram, and its cells along each side, which overlap by half.
const DIRECTIONS: i64 = 8;
const CELLS: i64 = 13;
/// The least side that a histogram is of.
const LEAST_SIDE: i64 = 2 * (CELLS + 1);

/// Returns how strong the edges of drawings `[N, 1, y, x]` are in each of so many directions, `[N, directions, y, x]`.
///
/// The gradient g of the image (smoothed, central differences, 0 outside) has the direction t, modulo pi. Direction i of n takes
/// `|g| max(0, 1 - |t - i pi / n| n / pi)`, so that each gradient is shared by its two neighbours.
fn directed(samples: &Tensor, smoothed: i64, directions: i64) -> Result<Tensor, TchError> {
    let smooth = samples.f_avg_pool2d([smoothed; 2], [1, 1], [smoothed / 2; 2], false, true, None)?;
    let padded = smooth.f_constant_pad_nd([1, 1, 1, 1])?;
    let (height, width) = (samples.size()[2], samples.size()[3]);
    let columns = padded.f_narrow(2, 1, height)?;
    let rows = padded.f_narrow(3, 1, width)?;
    let gx = columns.f_narrow(3, 2, width)?.f_sub(&columns.f_narrow(3, 0, width)?)?;
    let gy = rows.f_narrow(2, 2, height)?.f_sub(&rows.f_narrow(2, 0, height)?)?;
    let strength = gx.f_square()?.f_add(&gy.f_square()?)?.f_add_scalar(1e-12)?.f_sqrt()?;
    let angle = gy.f_atan2(&gx)?;
    let pi = std::f64::consts::PI;
    let step = pi / directions as f64;
    let mut channels = Vec::new();
    for direction in 0..directions {
        let away = angle.f_sub_scalar(direction as f64 * step - pi / 2.0)?.f_remainder(pi)?;
        let away = away.f_sub_scalar(pi / 2.0)?.f_abs()?;
        let share = away.f_mul_scalar(-1.0 / step)?.f_add_scalar(1.0)?.f_relu()?;
        channels.push(share.f_mul(&strength)?);
    }
    Tensor::f_cat(&channels, 1)
}

/// Returns the mean of 2 x 2 pixels, and how strong edges are there in each of so many directions: `[N, 1 + directions, y / 2, x / 2]` of
/// `[N, 1, y, x]`. The square root of the mean over 2 x 2 pixels evens out the weak and the strong.
fn edges(samples: &Tensor, directions: i64) -> Result<Tensor, TchError> {
    let mean = halved(&directed(samples, SMOOTHED, directions)?, false)?;
    // The root is steep at 0; the shift brings nothing to nothing.
    let roots = mean.f_add_scalar(1e-4)?.f_sqrt()?.f_sub_scalar(1e-2)?;
    Tensor::f_cat(&[halved(samples, false)?, roots], 1)
}

/// Returns how many numbers a histogram has.
fn histogram_numbers() -> i64 {
    DIRECTIONS * CELLS * CELLS
}

/// Returns the edges of drawings `[N, 1, y, x]` in each direction and cell, of length 1.
fn histogram(samples: &Tensor) -> Result<Tensor, TchError> {
    let edges = directed(samples, SMOOTHED_MORE, DIRECTIONS)?;
    let stride = [2, 3].map(|axis: usize| samples.size()[axis] / (CELLS + 1));
    let cells = edges.f_avg_pool2d(stride.map(|stride| 2 * stride), stride, [0, 0], false, true, None)?;
    let cells = cells.f_narrow(2, 0, CELLS)?.f_narrow(3, 0, CELLS)?;
    unit(&cells.f_sqrt()?.f_flatten(1, -1)?)
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
    halve: Option<Halve>,
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
        halve: Option<Halve>,
        settings: &config::Encoder,
    ) -> Result<Self, TchError> {
        let (kernel, stride) = match halve {
            Some(Halve::Pool) | None => (3, 1),
            Some(Halve::Stride) => (4, 2),
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
            halve,
            rest,
        })
    }

    fn forward(&self, x: &Tensor, activation: Activation, training: bool) -> Result<Tensor, TchError> {
        let mut y = self.first.forward(x)?;
        // Before the normalization, which then has a quarter of the work.
        if self.halve == Some(Halve::Pool) {
            y = halved(&y, true)?;
        }
        y = activate(&self.first_norm.forward(&y, training)?, activation)?;
        let Some(Rest { second, second_norm, around }) = &self.rest else { return Ok(y) };
        y = second_norm.forward(&second.forward(&y)?, training)?;
        let around = match self.halve {
            Some(_) => around.forward(&halved(x, false)?)?,
            None => around.forward(x)?,
        };
        activate(&y.f_add(&around)?, activation)
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
