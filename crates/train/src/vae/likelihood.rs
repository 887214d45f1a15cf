//! Likelihoods of images, and the divergence of the posterior from the prior, in nats.

use std::f64::consts::TAU;

use batchwright_config as config;
use tch::{Kind, Reduction, TchError, Tensor, nn};

/// The distribution of pixels around what the decoder gives.
#[derive(Debug)]
pub(super) enum Likelihood {
    /// The decoder gives logits.
    Bernoulli,
    /// The decoder gives means.
    Gaussian { log_sigma: LogSigma },
}

#[derive(Debug)]
pub(super) enum LogSigma {
    Fixed(f64),
    Learned(Tensor),
}

impl Likelihood {
    pub(super) fn new(path: &nn::Path<'_>, likelihood: config::Likelihood) -> Result<Self, TchError> {
        Ok(match likelihood {
            config::Likelihood::Bernoulli => Self::Bernoulli,
            config::Likelihood::Gaussian { sigma: config::Sigma::Fixed(sigma) } => {
                Self::Gaussian { log_sigma: LogSigma::Fixed(sigma.ln()) }
            }
            config::Likelihood::Gaussian { sigma: config::Sigma::Learned(_) } => {
                // Sigma starts at 1.
                let log_sigma = path.f_var("log_sigma", &[1], nn::Init::Const(0.0))?;
                Self::Gaussian { log_sigma: LogSigma::Learned(log_sigma) }
            }
        })
    }

    /// Returns minus the logarithm of the likelihood of each image, `[N]`, or its mean over the images.
    pub(super) fn negative_log(
        &self,
        decoded: &Tensor,
        images: &Tensor,
        per: Per,
    ) -> Result<Tensor, TchError> {
        let n = images.size()[0];
        let pixels = images.numel() as f64 / n.max(1) as f64;
        // A sum over everything at once saves a pass over memory where samples are not weighted.
        let reduce = |x: Tensor| match per {
            Per::Sample => x.f_flatten(1, -1)?.f_sum_dim_intlist(1_i64, false, None::<Kind>),
            Per::Batch => x.f_sum(None::<Kind>)?.f_div_scalar(n as f64),
        };
        match self {
            Self::Bernoulli => match per {
                Per::Sample => reduce(decoded.f_binary_cross_entropy_with_logits::<Tensor>(
                    images,
                    None,
                    None,
                    Reduction::None,
                )?),
                Per::Batch => decoded
                    .f_binary_cross_entropy_with_logits::<Tensor>(images, None, None, Reduction::Sum)?
                    .f_div_scalar(n as f64),
            },
            Self::Gaussian { log_sigma } => {
                let squares = reduce(decoded.f_sub(images)?.f_square()?)?;
                match log_sigma {
                    LogSigma::Fixed(log_sigma) => squares
                        .f_mul_scalar(0.5 * (-2.0 * log_sigma).exp())?
                        .f_add_scalar(pixels * (log_sigma + 0.5 * TAU.ln())),
                    LogSigma::Learned(log_sigma) => {
                        let log_sigma = log_sigma.f_squeeze()?;
                        let precision = log_sigma.f_mul_scalar(-2.0)?.f_exp()?.f_mul_scalar(0.5)?;
                        let constant = log_sigma.f_add_scalar(0.5 * TAU.ln())?.f_mul_scalar(pixels)?;
                        squares.f_mul(&precision)?.f_add(&constant)
                    }
                }
            }
        }
    }

    /// Returns the mean image of what the decoder gives.
    pub(super) fn mean(&self, decoded: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Self::Bernoulli => decoded.f_sigmoid(),
            Self::Gaussian { .. } => Ok(decoded.shallow_clone()),
        }
    }

    /// Returns the trained standard deviation, if there is one.
    pub(super) fn learned_sigma(&self) -> Result<Option<Tensor>, TchError> {
        match self {
            Self::Gaussian { log_sigma: LogSigma::Learned(log_sigma) } => Ok(Some(log_sigma.f_exp()?)),
            Self::Bernoulli | Self::Gaussian { log_sigma: LogSigma::Fixed(_) } => Ok(None),
        }
    }
}

/// Whether a likelihood is wanted for each sample or as the mean over the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Per {
    Sample,
    Batch,
}

/// Returns the divergence of N(mean, variance) from N(0, 1) for each sample and dimension, `[N, latent]`:
/// `(mean^2 + variance - 1 - ln variance) / 2` (Kingma and Welling 2014, appendix B).
pub(super) fn divergence(mean: &Tensor, log_variance: &Tensor) -> Result<Tensor, TchError> {
    mean.f_square()?.f_add(&log_variance.f_exp()?)?.f_sub(log_variance)?.f_sub_scalar(1.0)?.f_mul_scalar(0.5)
}
