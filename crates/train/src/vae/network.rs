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

/// A convolution of kernel 4, stride 2, padding 1, which halves the image: from `n` to `n / 2`, rounded down.
#[derive(Debug)]
struct Halving {
    weight: Tensor,
    bias: Tensor,
}

/// The transpose of [`Halving`], which gives back the size that it had, odd or even.
#[derive(Debug)]
struct Doubling {
    weight: Tensor,
    bias: Tensor,
    /// 1 along an axis whose larger size is odd.
    more: [i64; 2],
}

const KERNEL: i64 = 4;

#[derive(Debug)]
enum Body {
    Full { encoder: Vec<Linear>, decoder: Vec<Linear> },
    Convolutional { encoder: Vec<Halving>, decoder: Vec<Doubling>, inner: [i64; 3] },
}

/// An encoder to `2 * latent` numbers and a decoder to as many numbers as an image has.
#[derive(Debug)]
pub(super) struct Network {
    body: Body,
    head: Linear,
    neck: Linear,
    activation: Activation,
    dropout: f64,
    image: [i64; 3],
}

impl Network {
    /// Fully connected layers of the given widths.
    pub(super) fn full(
        path: &nn::Path<'_>,
        image: [i64; 3],
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
        Ok(Self { body: Body::Full { encoder: down, decoder: up }, head, neck, activation, dropout, image })
    }

    /// Convolutional layers of the given channels, each of which halves the image.
    pub(super) fn convolutional(
        path: &nn::Path<'_>,
        image: [i64; 3],
        channels: &[i64],
        latent: i64,
        activation: Activation,
        dropout: f64,
    ) -> Result<Self, VaeError> {
        let least = 1_i64.checked_shl(channels.len() as u32).filter(|least| 0 < *least).unwrap_or(i64::MAX);
        let [_, height, width] = image;
        if height < least || width < least {
            return Err(VaeError::TooSmall { height, width, layers: channels.len(), least });
        }
        let (encoder, decoder) = (path / "encoder", path / "decoder");
        let mut sizes = vec![image];
        let mut down = Vec::new();
        for (i, &out) in channels.iter().enumerate() {
            let [from, height, width] = *sizes.last().expect("the list begins with the image");
            let path = &encoder / i;
            let init = uniform_fan_in(from * KERNEL * KERNEL);
            down.push(Halving {
                weight: path.f_var("weight", &[out, from, KERNEL, KERNEL], init)?,
                bias: path.f_var("bias", &[out], init)?,
            });
            sizes.push([out, height / 2, width / 2]);
        }
        let inner = *sizes.last().expect("the list begins with the image");
        let flat: i64 = inner.iter().product();
        let head = Linear::new(&(&encoder / "head"), flat, 2 * latent)?;
        let neck = Linear::new(&(&decoder / "neck"), latent, flat)?;
        let mut up = Vec::new();
        for (i, pair) in sizes.windows(2).rev().enumerate() {
            let ([to, height, width], [from, _, _]) = (pair[0], pair[1]);
            let path = &decoder / i;
            // PyTorch counts the fan of a transposed convolution over its second axis, the channels that come out.
            let init = uniform_fan_in(to * KERNEL * KERNEL);
            up.push(Doubling {
                weight: path.f_var("weight", &[from, to, KERNEL, KERNEL], init)?,
                bias: path.f_var("bias", &[to], init)?,
                more: [height % 2, width % 2],
            });
        }
        Ok(Self {
            body: Body::Convolutional { encoder: down, decoder: up, inner },
            head,
            neck,
            activation,
            dropout,
            image,
        })
    }

    /// Encodes images `[N, C, H, W]` into means and logarithms of variances, `[N, latent]` each.
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
                    let y = x.f_conv2d(&layer.weight, Some(&layer.bias), [2, 2], [1, 1], [1, 1], 1)?;
                    x = self.between(&y, training)?;
                }
                x = x.f_flatten(1, -1)?;
            }
        }
        let mut halves = self.head.forward(&x)?.f_chunk(2, 1)?;
        let log_variance = halves.pop().expect("there are two chunks");
        let mean = halves.pop().expect("there are two chunks");
        Ok((mean, log_variance))
    }

    /// Decodes codes `[N, latent]` into images `[N, C, H, W]`: logits of a Bernoulli, means of a Gaussian distribution.
    pub(super) fn decode(&self, codes: &Tensor, training: bool) -> Result<Tensor, TchError> {
        let [channels, height, width] = self.image;
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
                x.f_view([-1, channels, height, width])
            }
            Body::Convolutional { decoder, inner: [inner_channels, inner_height, inner_width], .. } => {
                x = x.f_view([-1, *inner_channels, *inner_height, *inner_width])?;
                for (i, layer) in decoder.iter().enumerate() {
                    let (weight, bias) = (&layer.weight, Some(&layer.bias));
                    x = x.f_conv_transpose2d(weight, bias, [2, 2], [1, 1], layer.more, 1, [1, 1])?;
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
