//! Settings, checked once.

use batchwright_config as config;
use tch::Device;

use crate::error::Error;
use crate::options::TrainerOptions;

/// Finds the device of that name.
pub(crate) fn device(name: &str) -> Result<Device, Error> {
    let cuda = if tch::Cuda::is_available() { tch::Cuda::device_count() } else { 0 };
    let index = match name {
        "auto" => return Ok(if 0 < cuda { Device::Cuda(0) } else { Device::Cpu }),
        "cpu" => return Ok(Device::Cpu),
        "cuda" => Some(0),
        name => name.strip_prefix("cuda:").and_then(|index| index.parse::<usize>().ok()),
    };
    match index {
        Some(index) if (index as i64) < cuda => Ok(Device::Cuda(index)),
        _ => Err(Error::Setting {
            key: "training.device",
            found: name.to_owned(),
            expected: format!("`auto`, `cpu` or `cuda:N`, where libtorch sees {cuda} CUDA devices"),
        }),
    }
}

/// Refuses numbers that no training can be made with.
pub(crate) fn check(options: &TrainerOptions) -> Result<(), Error> {
    let refuse = |key, found: f64, expected: &str| {
        Err(Error::Setting { key, found: found.to_string(), expected: expected.to_owned() })
    };
    let rate = |key, rate: f64| {
        if 0.0 <= rate && rate.is_finite() { Ok(()) } else { refuse(key, rate, "finite and at least 0") }
    };
    match options.training.optimizer {
        config::Optimizer::Adam(adam) | config::Optimizer::Adamw(adam) => {
            rate("training.optimizer.lr", adam.lr)?;
            rate("training.optimizer.weight_decay", adam.weight_decay)?;
            rate("training.optimizer.eps", adam.eps)?;
            for beta in adam.betas {
                if !(0.0..1.0).contains(&beta) {
                    return refuse("training.optimizer.betas", beta, "at least 0 and below 1");
                }
            }
        }
        config::Optimizer::Sgd(sgd) => {
            rate("training.optimizer.lr", sgd.lr)?;
            rate("training.optimizer.weight_decay", sgd.weight_decay)?;
            rate("training.optimizer.momentum", sgd.momentum)?;
            if sgd.nesterov && sgd.momentum == 0.0 {
                return refuse("training.optimizer.momentum", 0.0, "above 0 with `nesterov: true`");
            }
        }
    }
    if let Some(config::EarlyStopping { patience, min_delta }) = options.training.early_stopping {
        if patience == 0 {
            return refuse("training.early_stopping.patience", 0.0, "at least 1");
        }
        rate("training.early_stopping.min_delta", min_delta)?;
    }
    match options.training.clip_gradient {
        Some(config::ClipGradient::Norm(bound) | config::ClipGradient::Value(bound))
            if !(0.0 < bound && bound.is_finite()) =>
        {
            refuse("training.clip_gradient", bound, "finite and above 0")
        }
        _ => Ok(()),
    }
}
