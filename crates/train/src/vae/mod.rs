//! A variational autoencoder of images and volumes.

mod beta;
mod likelihood;
mod network;
mod show;

use std::cell::Cell;

use batchwright_config as config;
use batchwright_core::BoxError;
use tch::{Kind, TchError, Tensor, nn};

pub use beta::Beta;
use likelihood::{Likelihood, Per, divergence};
use network::Network;
pub use network::uniform_fan_in;
pub(crate) use show::{array, limits, stretched};

use crate::pictures::Pictures;
use crate::task::{Conclusion, Losses, Step, Task, Totals};
use crate::tensors::TensorBatch;

/// A latent dimension is active where the variance of its posterior means over the data is above this (Burda, Grosse and Salakhutdinov 2016).
pub const ACTIVE: f64 = 0.01;

/// Why there is no such autoencoder, or a batch does not fit it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaeError {
    /// Neither or both of `hidden` and `channels` are given.
    #[error(
        "`model.vae` needs either `hidden` (fully connected) or `channels` (convolutional), found {found}"
    )]
    Layers {
        /// `both` or `neither`.
        found: &'static str,
    },
    /// A number is out of its range.
    #[error("`model.vae.{key}` is {found}; expected {expected}")]
    Range {
        /// Which one.
        key: &'static str,
        /// What it is.
        found: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// A sample has neither two nor three axes beside its channels.
    #[error(
        "the field `image` has samples of the shape {shape:?}; a `vae` takes images [C, y, x] and volumes [C, z, y, x]"
    )]
    Axes {
        /// The shape of a sample.
        shape: Vec<usize>,
    },
    /// The image or volume is too small for so many layers.
    #[error(
        "{} are too small for {layers} convolutional layers, each of which halves them: {} sides must have at least {least} {} (any \
         such size fits); give fewer `channels`",
        sized(sides), if sides.len() == 2 { "both" } else { "all" }, if sides.len() == 2 { "pixels" } else { "voxels" }
    )]
    TooSmall {
        /// Their sides, as the axes are in memory: height, width, or depth (z), height (y), width (x).
        sides: Vec<i64>,
        /// How many layers.
        layers: usize,
        /// The smallest side that fits.
        least: i64,
    },
    /// A batch has images of another shape.
    #[error("the field `image` has the shape {found:?}; expected [N, {}]", listed(expected))]
    Shape {
        /// What it is.
        found: Vec<i64>,
        /// The shape of one image.
        expected: Vec<i64>,
    },
    /// Pixels are no probabilities.
    #[error(
        "the pixels of the field `image` lie between {least} and {greatest}; a Bernoulli likelihood needs 0 to 1: scale them, or \
         use `likelihood: {{ gaussian: {{ sigma: learned }} }}`"
    )]
    Pixels {
        /// The least.
        least: f64,
        /// The greatest.
        greatest: f64,
    },
    /// libtorch refused an operation.
    #[error("libtorch cannot build the network")]
    Torch {
        /// Why not.
        #[from]
        source: TchError,
    },
}

/// Says how large images (height x width) or volumes (x, y, z) are.
fn sized(sides: &[i64]) -> String {
    if let [height, width] = sides {
        format!("images of {height} x {width} pixels")
    } else {
        let sides: Vec<String> = sides.iter().rev().map(ToString::to_string).collect();
        format!("volumes of {} voxels (x, y, z)", sides.join(" x "))
    }
}

fn listed(shape: &[i64]) -> String {
    shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A variational autoencoder of images or volumes: the field `image`, `[N, C, y, x]` or `[N, C, z, y, x]`, `f32`, or `u8` scaled by 1/255.
///
/// The number of axes decides whether `channels` are layers of 2D or of 3D convolutions; the parameters have the same names.
///
/// Figures are in nats per sample: `reconstruction` (minus the logarithm of the likelihood, with its whole normalising constant), `kl`, and
/// `elbo = -(reconstruction + kl)`, of one draw of the latent code per image. The loss is `reconstruction + beta * kl`, with the KL of each latent dimension (its mean
/// over the batch) held at `free_bits` from below. The loss of a validation is `reconstruction + beta * kl` with the beta that its schedule leads to and without free bits, so that it can be
/// compared between epochs. Weights of samples multiply their terms of the loss, and divide nothing: the loss is `sum(w * l) / N`.
///
/// A validation also gives `active_units`, and warns of a collapsed posterior.
#[derive(Debug)]
pub struct Vae {
    network: Network,
    likelihood: Likelihood,
    beta: Beta,
    free_bits: f64,
    latent: i64,
    image: Vec<i64>,
    checked: Cell<bool>,
}

impl Vae {
    /// Builds it for images of the shape `[C, y, x]` or volumes `[C, z, y, x]`, its parameters below `path`.
    ///
    /// # Errors
    /// Refuses settings out of their range, other numbers of axes, and images too small for the layers.
    pub fn new(
        path: &nn::Path<'_>,
        settings: &config::Vae,
        image: impl AsRef<[usize]>,
    ) -> Result<Self, VaeError> {
        let image = image.as_ref();
        let config::Vae { hidden, channels, latent, likelihood, beta, free_bits, activation, dropout } =
            settings;
        let positive = |key, n: usize| match i64::try_from(n) {
            Ok(n) if 0 < n => Ok(n),
            _ => Err(VaeError::Range { key, found: n as f64, expected: "at least 1" }),
        };
        let many =
            |key, sizes: &[usize]| sizes.iter().map(|&n| positive(key, n)).collect::<Result<Vec<_>, _>>();
        let latent = positive("latent", *latent)?;
        if !(0.0 <= *dropout && *dropout < 1.0) {
            return Err(VaeError::Range {
                key: "dropout",
                found: *dropout,
                expected: "at least 0 and below 1",
            });
        }
        if !(0.0 <= *free_bits && free_bits.is_finite()) {
            return Err(VaeError::Range {
                key: "free_bits",
                found: *free_bits,
                expected: "finite and at least 0",
            });
        }
        if let config::Likelihood::Gaussian { sigma: config::Sigma::Fixed(sigma) } = likelihood
            && !(0.0 < *sigma && sigma.is_finite())
        {
            return Err(VaeError::Range {
                key: "likelihood.gaussian.sigma",
                found: *sigma,
                expected: "finite and above 0",
            });
        }
        if !matches!(image.len(), 3 | 4) {
            return Err(VaeError::Axes { shape: image.to_vec() });
        }
        let shape = many("image", image)?;
        let network = match (hidden, channels) {
            (Some(widths), None) => {
                Network::full(path, &shape, &many("hidden", widths)?, latent, *activation, *dropout)?
            }
            (None, Some(channels)) => Network::convolutional(
                path,
                &shape,
                &many("channels", channels)?,
                latent,
                *activation,
                *dropout,
            )?,
            (Some(_), Some(_)) => return Err(VaeError::Layers { found: "both" }),
            (None, None) => return Err(VaeError::Layers { found: "neither" }),
        };
        Ok(Self {
            network,
            likelihood: Likelihood::new(path, *likelihood)?,
            beta: Beta::new(*beta),
            free_bits: *free_bits,
            latent,
            image: shape,
            checked: Cell::new(false),
        })
    }

    /// Encodes images `[N, C, y, x]` or volumes `[N, C, z, y, x]` into the means and the logarithms of the variances of their codes, `[N, latent]` each.
    ///
    /// # Errors
    /// Gives libtorch's error where it refuses.
    pub fn encode(&self, images: &Tensor) -> Result<(Tensor, Tensor), TchError> {
        self.network.encode(images, false)
    }

    /// Decodes codes `[N, latent]` into mean images `[N, C, y, x]` or volumes `[N, C, z, y, x]`.
    ///
    /// # Errors
    /// Gives libtorch's error where it refuses.
    pub fn decode(&self, codes: &Tensor) -> Result<Tensor, TchError> {
        self.likelihood.mean(&self.network.decode(codes, false)?)
    }

    fn of_volumes(&self) -> bool {
        self.image.len() == 4
    }

    /// Returns the dimensions of the latent space.
    pub fn latent(&self) -> i64 {
        self.latent
    }

    fn images(&self, batch: &TensorBatch) -> Result<Tensor, BoxError> {
        let images = batch.get("image")?;
        let size = images.size();
        if size.len() != 1 + self.image.len() || size[1..] != self.image {
            return Err(VaeError::Shape { found: size, expected: self.image.clone() }.into());
        }
        let images = match images.f_kind()? {
            Kind::Float => images.shallow_clone(),
            Kind::Uint8 => images.f_to_kind(Kind::Float)?.f_div_scalar(255.0)?,
            _ => images.f_to_kind(Kind::Float)?,
        };
        // Once, because it waits for the device.
        if matches!(self.likelihood, Likelihood::Bernoulli) && !self.checked.replace(true) && 0 < size[0] {
            let (least, greatest) =
                (images.f_min()?.f_double_value(&[])?, images.f_max()?.f_double_value(&[])?);
            if !(0.0 <= least && greatest <= 1.0) {
                self.checked.set(false);
                return Err(VaeError::Pixels { least, greatest }.into());
            }
        }
        Ok(images)
    }

    /// The terms of the bound, with `per` sample or as means over the batch.
    fn terms(&self, images: &Tensor, training: bool, per: Per) -> Result<Terms, TchError> {
        let (mean, log_variance) = self.network.encode(images, training)?;
        let deviation = log_variance.f_mul_scalar(0.5)?.f_exp()?;
        let code = mean.f_addcmul(&deviation, &deviation.f_randn_like()?)?;
        let decoded = self.network.decode(&code, training)?;
        let reconstruction = self.likelihood.negative_log(&decoded, images, per)?;
        let divergence = divergence(&mean, &log_variance)?;
        Ok(Terms { mean, reconstruction, divergence })
    }
}

struct Terms {
    mean: Tensor,
    reconstruction: Tensor,
    /// `[N, latent]`.
    divergence: Tensor,
}

impl Task for Vae {
    fn loss(&self, batch: &TensorBatch, step: Step) -> Result<Losses, BoxError> {
        let images = self.images(batch)?;
        let n = batch.len() as f64;
        let beta = self.beta.at(step.step);
        let per = if batch.weights.is_some() { Per::Sample } else { Per::Batch };
        let terms = self.terms(&images, step.training, per)?;
        let of_dimensions = terms.divergence.f_mean_dim(0_i64, false, None::<Kind>)?;
        let kl = of_dimensions.f_sum(None::<Kind>)?;
        let (reconstruction, weighted) = match &batch.weights {
            None => (terms.reconstruction.shallow_clone(), terms.reconstruction),
            Some(weights) => (
                terms.reconstruction.f_mean(None::<Kind>)?,
                terms.reconstruction.f_mul(weights)?.f_sum(None::<Kind>)?.f_div_scalar(n)?,
            ),
        };
        let pushed = match &batch.weights {
            None => of_dimensions,
            Some(weights) => {
                let column = weights.f_unsqueeze(1)?;
                terms.divergence.f_mul(&column)?.f_mean_dim(0_i64, false, None::<Kind>)?
            }
        };
        let pushed = match (self.free_bits, &batch.weights) {
            (0.0, None) => kl.shallow_clone(),
            (0.0, Some(_)) => pushed.f_sum(None::<Kind>)?,
            (free, _) => pushed.f_clamp_min(free)?.f_sum(None::<Kind>)?,
        };
        let loss = weighted.f_add(&pushed.f_mul_scalar(beta)?)?;
        let (reconstruction, kl) = (reconstruction.f_detach()?, kl.f_detach()?);
        let mut losses = Losses::new(loss)
            .with("elbo", reconstruction.f_add(&kl)?.f_neg()?)
            .with("reconstruction", reconstruction)
            .with("kl", kl)
            .with_value("beta", beta);
        if let Some(sigma) = self.likelihood.learned_sigma()? {
            losses = losses.with("sigma", sigma.f_detach()?);
        }
        Ok(losses)
    }

    fn validate(&self, batch: &TensorBatch, _step: Step) -> Result<Losses, BoxError> {
        let images = self.images(batch)?;
        let terms = self.terms(&images, false, Per::Batch)?;
        let kl = terms.divergence.f_sum_dim_intlist(1_i64, false, None::<Kind>)?.f_mean(None::<Kind>)?;
        let reconstruction = terms.reconstruction;
        let means = terms.mean.f_to_kind(Kind::Double)?;
        Ok(Losses::new(reconstruction.f_add(&kl.f_mul_scalar(self.beta.end())?)?)
            .with("elbo", reconstruction.f_add(&kl)?.f_neg()?)
            .with("reconstruction", reconstruction)
            .with("kl", kl)
            .with_sum("mean", means.f_sum_dim_intlist(0_i64, false, None::<Kind>)?)
            .with_sum("square", means.f_square()?.f_sum_dim_intlist(0_i64, false, None::<Kind>)?))
    }

    fn conclude(&self, totals: &Totals) -> Conclusion {
        let numbers =
            |name| totals.sums.get(name).and_then(|sum| Vec::<f64>::try_from(sum).ok()).unwrap_or_default();
        let n = totals.samples as f64;
        let active = numbers("mean")
            .iter()
            .zip(numbers("square"))
            .filter(|(mean, square)| ACTIVE < square / n - (*mean / n) * (*mean / n))
            .count();
        let mut conclusion =
            Conclusion { metrics: vec![("active_units", active as f64)], warnings: Vec::new() };
        // A variance over fewer than a handful of samples says nothing, and no more does a beta that still rises.
        let risen = 0.99 * self.beta.end() <= self.beta.at(totals.step);
        if 8 <= totals.samples && risen && (active == 0 || active * 10 < self.latent as usize) {
            conclusion.warnings.push(format!(
                "the posterior has collapsed: {active} of {} latent dimensions are active (variance of the posterior means over the data above \
                 {ACTIVE}), so the decoder ignores the code; raise beta slowly from 0 (`beta: {{ linear: {{ to: 1, steps: ... }} }}` or `cyclical`), \
                 set `free_bits` (0.1, say), or lower beta or the decoder's size",
                self.latent
            ));
        }
        conclusion
    }

    fn pictures(&self, batch: &TensorBatch, step: Step, to: &mut dyn Pictures) -> Result<(), BoxError> {
        show::show(self, batch, step, to)
    }
}

#[cfg(test)]
mod tests;
