//! Figures that are added up on the device and fetched now and then.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use crate::task::Losses;

/// The means of named scalars since the last time they were fetched; a part of the checkpoint, so that a resumed run writes
/// the same figures.
#[derive(Debug, Default)]
pub(crate) struct Window {
    names: Vec<String>,
    /// The sum over samples of each figure, in double precision on the device.
    sums: Option<Tensor>,
    samples: u64,
    values: BTreeMap<String, f64>,
}

/// A [`Window`] as numbers; floats as their bits, for JSON does not promise to keep them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WindowState {
    names: Vec<String>,
    sums: Vec<u64>,
    samples: u64,
    values: BTreeMap<String, u64>,
}

impl Window {
    /// Adds the figures of a batch of `samples` samples. Does not wait for the device.
    pub(crate) fn add(
        &mut self,
        losses: &Losses,
        more: &[(&'static str, Tensor)],
        samples: usize,
    ) -> Result<(), TchError> {
        let _guard = tch::no_grad_guard();
        let metrics = losses.metrics.iter().chain(more);
        let mut tensors = vec![losses.loss.f_detach()?.f_reshape([1])?];
        let mut names = vec!["loss"];
        for (name, metric) in metrics {
            tensors.push(metric.f_detach()?.f_reshape([1])?.f_to_device(losses.loss.device())?);
            names.push(name);
        }
        let stacked = Tensor::f_cat(&tensors, 0)?.f_to_kind(Kind::Double)?.f_mul_scalar(samples as f64)?;
        match &mut self.sums {
            Some(sums) if self.names == names => {
                let _ = sums.f_add_(&stacked)?;
            }
            _ => {
                // A task that changes its figures within a window starts the window anew.
                self.samples = 0;
                self.names = names.into_iter().map(str::to_owned).collect();
                self.sums = Some(stacked);
            }
        }
        self.samples += samples as u64;
        for (name, value) in &losses.values {
            self.values.insert((*name).to_owned(), *value);
        }
        Ok(())
    }

    /// Fetches the means, which waits for the device, and starts anew. The values known without the device follow.
    pub(crate) fn take(&mut self) -> Result<Vec<(String, f64)>, TchError> {
        let Some(sums) = self.sums.take() else { return Ok(Vec::new()) };
        let sums = Vec::<f64>::try_from(sums)?;
        let samples = self.samples as f64;
        self.samples = 0;
        let means =
            std::mem::take(&mut self.names).into_iter().zip(sums).map(|(name, sum)| (name, sum / samples));
        Ok(means.chain(std::mem::take(&mut self.values)).collect())
    }

    /// Returns it as numbers.
    pub(crate) fn state(&self) -> Result<WindowState, TchError> {
        let sums = match &self.sums {
            Some(sums) => Vec::<f64>::try_from(sums)?.into_iter().map(f64::to_bits).collect(),
            None => Vec::new(),
        };
        Ok(WindowState {
            names: self.names.clone(),
            sums,
            samples: self.samples,
            values: self.values.iter().map(|(name, value)| (name.clone(), value.to_bits())).collect(),
        })
    }

    /// Takes the numbers back.
    pub(crate) fn restore(state: WindowState, device: tch::Device) -> Result<Self, TchError> {
        let WindowState { names, sums, samples, values } = state;
        let sums = if sums.is_empty() || sums.len() != names.len() {
            None
        } else {
            let sums: Vec<f64> = sums.into_iter().map(f64::from_bits).collect();
            Some(Tensor::f_from_slice(&sums)?.f_to_device(device)?)
        };
        let values = values.into_iter().map(|(name, bits)| (name, f64::from_bits(bits))).collect();
        Ok(Self { names, sums, samples, values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses(loss: f64) -> Losses {
        Losses::new(Tensor::from(loss as f32)).with("kl", Tensor::from(0.1_f32)).with_value("beta", 0.3)
    }

    #[test]
    fn means_weigh_batches_by_their_size_and_survive_a_checkpoint_bit_for_bit() {
        let mut whole = Window::default();
        whole.add(&losses(1.0), &[], 3).unwrap();
        let json = serde_json::to_string(&whole.state().unwrap()).unwrap();
        let mut resumed = Window::restore(serde_json::from_str(&json).unwrap(), tch::Device::Cpu).unwrap();
        for window in [&mut whole, &mut resumed] {
            window.add(&losses(2.0), &[], 1).unwrap();
        }
        let means = whole.take().unwrap();
        assert_eq!(means, resumed.take().unwrap());
        assert_eq!(means[0], ("loss".to_owned(), 1.25));
        assert_eq!(means[2], ("beta".to_owned(), 0.3));
        assert!(whole.take().unwrap().is_empty());
    }
}
