//! Encoders and decoders: fully connected and convolutional.

use batchwright_config::Activation;
use tch::{TchError, Tensor, nn};

use super::VaeError;

/// Draws weights as `PyTorch` does by default: uniform within `1 / sqrt(fan_in)` (Kaiming's rule with `a = sqrt(5)`).
pub fn uniform_fan_in(fan_in: i64) -> nn::Init {
    let bound = 1.0 / (fan_in.max(1) as f64).sqrt();
    nn::Init::Uniform { lo: -bound, up: bound }
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

/// A convolution of kernel 4, stride 2, padding 1, which halves each side: from `n` to `n / 2`, rounded down.
#[derive(Debug)]
struct Halving {
    weight: Tensor,
    bias: Tensor,
}

impl Halving {
    fn new(path: &nn::Path<'_>, from: i64, to: i64, axes: usize) -> Result<Self, TchError> {
        let init = uniform_fan_in(from * kernel(axes).product::<i64>());
        Ok(Self {
            weight: path.f_var(
                "weight",
                &[to, from].into_iter().chain(kernel(axes)).collect::<Vec<_>>(),
                init,
            )?,
            bias: path.f_var("bias", &[to], init)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let axes = x.dim() - 2;
        let [ones, twos] = [1, 2].map(|n| vec![n; axes]);
        x.f_convolution(&self.weight, Some(&self.bias), twos, &ones, &ones, false, vec![0; axes], 1)
    }
}

/// The transpose of [`Halving`], which gives back the size that it had, odd or even.
#[derive(Debug)]
struct Doubling {
    weight: Tensor,
    bias: Tensor,
    /// 1 along an axis whose larger size is odd.
    more: Vec<i64>,
}

impl Doubling {
    /// Gives images of the shape `larger`, `[C, y, x]` or `[C, z, y, x]`.
    fn new(path: &nn::Path<'_>, from: i64, larger: &[i64]) -> Result<Self, TchError> {
        let (to, axes) = (larger[0], larger.len() - 1);
        // PyTorch counts the fan of a transposed convolution over its second axis, the channels that come out.
        let init = uniform_fan_in(to * kernel(axes).product::<i64>());
        Ok(Self {
            weight: path.f_var(
                "weight",
                &[from, to].into_iter().chain(kernel(axes)).collect::<Vec<_>>(),
                init,
            )?,
            bias: path.f_var("bias", &[to], init)?,
            more: larger[1..].iter().map(|size| size % 2).collect(),
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let [ones, twos] = [1, 2].map(|n| vec![n; self.more.len()]);
        x.f_convolution(&self.weight, Some(&self.bias), twos, &ones, &ones, true, &self.more, 1)
    }
}

const KERNEL: i64 = 4;

fn kernel(axes: usize) -> impl Iterator<Item = i64> {
    std::iter::repeat_n(KERNEL, axes)
}

#[derive(Debug)]
enum Body {
    Full { encoder: Vec<Linear>, decoder: Vec<Linear> },
    Convolutional { encoder: Vec<Halving>, decoder: Vec<Doubling>, inner: Vec<i64> },
}

/// An encoder to `2 * latent` numbers and a decoder to as many numbers as an image has.
#[derive(Debug)]
pub(super) struct Network {
    body: Body,
    head: Linear,
    neck: Linear,
    activation: Activation,
    dropout: f64,
    image: Vec<i64>,
}

impl Network {
    /// Fully connected layers of the given widths.
    pub(super) fn full(
        path: &nn::Path<'_>,
        image: &[i64],
        widths: &[i64],
        latent: i64,
        activation: Activation,
        dropout: f64,
    ) -> Result<Self, TchError> {
        let pixels: i64 = image.iter().product();
        let (encoder, decoder) = (path / "encoder", path / "decoder");
        let mut sizes = vec![pixels];
        sizes.extend_from_slice(widths);
        let last = *sizes.last().expect("the list begins with the pixels");
        let layers = sizes.windows(2).enumerate();
        let down = layers
            .map(|(i, pair)| Linear::new(&(&encoder / i), pair[0], pair[1]))
            .collect::<Result<_, _>>()?;
        let head = Linear::new(&(&encoder / "head"), last, 2 * latent)?;
        let neck = Linear::new(&(&decoder / "neck"), latent, last)?;
        sizes.reverse();
        let layers = sizes.windows(2).enumerate();
        let up = layers
            .map(|(i, pair)| Linear::new(&(&decoder / i), pair[0], pair[1]))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            body: Body::Full { encoder: down, decoder: up },
            head,
            neck,
            activation,
            dropout,
            image: image.to_vec(),
        })
    }

    /// Convolutional layers of the given channels, each of which halves the sides of images of the shape `[C, y, x]` or
    /// `[C, z, y, x]`.
    pub(super) fn convolutional(
        path: &nn::Path<'_>,
        image: &[i64],
        channels: &[i64],
        latent: i64,
        activation: Activation,
        dropout: f64,
    ) -> Result<Self, VaeError> {
        let least = 1_i64.checked_shl(channels.len() as u32).filter(|least| 0 < *least).unwrap_or(i64::MAX);
        if image[1..].iter().any(|size| *size < least) {
            return Err(VaeError::TooSmall { sides: image[1..].to_vec(), layers: channels.len(), least });
        }
        let axes = image.len() - 1;
        let (encoder, decoder) = (path / "encoder", path / "decoder");
        let mut shapes = vec![image.to_vec()];
        let mut down = Vec::new();
        let mut inner = image.to_vec();
        for (i, &out) in channels.iter().enumerate() {
            down.push(Halving::new(&(&encoder / i), inner[0], out, axes)?);
            inner[0] = out;
            inner[1..].iter_mut().for_each(|size| *size /= 2);
            shapes.push(inner.clone());
        }
        let flat: i64 = inner.iter().product();
        let head = Linear::new(&(&encoder / "head"), flat, 2 * latent)?;
        let neck = Linear::new(&(&decoder / "neck"), latent, flat)?;
        let pairs = shapes.windows(2).rev().enumerate();
        let up = pairs
            .map(|(i, pair)| Doubling::new(&(&decoder / i), pair[1][0], &pair[0]))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            body: Body::Convolutional { encoder: down, decoder: up, inner },
            head,
            neck,
            activation,
            dropout,
            image: image.to_vec(),
        })
    }

    /// Encodes images `[N, C, ...]` into means and logarithms of variances, `[N, latent]` each.
    pub(super) fn encode(&self, images: &Tensor, training: bool) -> Result<(Tensor, Tensor), TchError> {
        let mut x = images.shallow_clone();
        match &self.body {
            Body::Full { encoder, .. } => {
                x = x.f_flatten(1, -1)?;
                for layer in encoder {
                    x = self.between(&layer.forward(&x)?, training)?;
                }
            }
            Body::Convolutional { encoder, .. } => {
                for layer in encoder {
                    x = self.between(&layer.forward(&x)?, training)?;
                }
                x = x.f_flatten(1, -1)?;
            }
        }
        let mut halves = self.head.forward(&x)?.f_chunk(2, 1)?;
        let log_variance = halves.pop().expect("there are two chunks");
        let mean = halves.pop().expect("there are two chunks");
        Ok((mean, log_variance))
    }

    /// Decodes codes `[N, latent]` into images `[N, C, ...]`: logits of a Bernoulli, means of a Gaussian distribution.
    pub(super) fn decode(&self, codes: &Tensor, training: bool) -> Result<Tensor, TchError> {
        let of = |shape: &[i64]| [&[-1], shape].concat();
        let layers = match &self.body {
            Body::Full { decoder, .. } => decoder.len(),
            Body::Convolutional { decoder, .. } => decoder.len(),
        };
        let mut x = self.neck.forward(codes)?;
        // Without layers the neck is the output.
        if 0 < layers {
            x = self.between(&x, training)?;
        }
        match &self.body {
            Body::Full { decoder, .. } => {
                for (i, layer) in decoder.iter().enumerate() {
                    x = layer.forward(&x)?;
                    if i + 1 < layers {
                        x = self.between(&x, training)?;
                    }
                }
                x.f_view(of(&self.image).as_slice())
            }
            Body::Convolutional { decoder, inner, .. } => {
                x = x.f_view(of(inner).as_slice())?;
                for (i, layer) in decoder.iter().enumerate() {
                    x = layer.forward(&x)?;
                    if i + 1 < layers {
                        x = self.between(&x, training)?;
                    }
                }
                Ok(x)
            }
        }
    }

    fn between(&self, x: &Tensor, training: bool) -> Result<Tensor, TchError> {
        let y = match self.activation {
            Activation::Relu => x.f_relu(),
            Activation::Silu => x.f_silu(),
            Activation::Gelu => x.f_gelu("none"),
            Activation::LeakyRelu => x.f_leaky_relu(),
            Activation::Tanh => x.f_tanh(),
        }?;
        if training && 0.0 < self.dropout { y.f_dropout(self.dropout, true) } else { Ok(y) }
    }
}
