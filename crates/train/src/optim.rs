//! Optimizers whose state is named tensors.

use std::collections::BTreeMap;

use batchwright_config as config;
use batchwright_torch::{AdamSettings, WeightDecay, fused_adam};
use tch::{Kind, TchError, Tensor};

use crate::error::{Doing, Error};

/// An optimizer over named parameters. Its state is named tensors, which a checkpoint keeps.
///
/// Results equal `PyTorch`'s optimizers of the same names up to the rounding of single precision.
#[derive(Debug)]
pub struct Optimizer {
    settings: config::Optimizer,
    names: Vec<String>,
    parameters: Vec<Tensor>,
    state: State,
}

#[derive(Debug)]
enum State {
    Adam {
        means: Vec<Tensor>,
        squares: Vec<Tensor>,
        /// How many steps each parameter had a gradient in.
        steps: Vec<u64>,
        step: Tensor,
    },
    /// The velocity of each parameter, once it had a gradient.
    Sgd { velocities: Vec<Option<Tensor>> },
}

impl Optimizer {
    /// Makes an optimizer of the parameters, in the order of their names.
    ///
    /// # Errors
    /// Gives libtorch's error where there is no memory for the state.
    pub fn new(settings: config::Optimizer, parameters: BTreeMap<String, Tensor>) -> Result<Self, Error> {
        let (names, parameters): (Vec<_>, Vec<_>) = parameters.into_iter().unzip();
        let zeros = || {
            parameters
                .iter()
                .map(Tensor::f_zeros_like)
                .collect::<Result<Vec<_>, _>>()
                .doing("make the optimizer's state")
        };
        let state = match settings {
            config::Optimizer::Adam(_) | config::Optimizer::Adamw(_) => {
                let device = parameters.first().map_or(tch::Device::Cpu, Tensor::device);
                State::Adam {
                    means: zeros()?,
                    squares: zeros()?,
                    steps: vec![0; names.len()],
                    step: Tensor::f_zeros([1], (Kind::Float, device)).doing("make the optimizer's state")?,
                }
            }
            config::Optimizer::Sgd(_) => State::Sgd { velocities: names.iter().map(|_| None).collect() },
        };
        Ok(Self { settings, names, parameters, state })
    }

    /// Returns the parameters.
    pub fn parameters(&self) -> &[Tensor] {
        &self.parameters
    }

    /// Returns the learning rate of the settings.
    pub fn rate(&self) -> f64 {
        match self.settings {
            config::Optimizer::Adam(adam) | config::Optimizer::Adamw(adam) => adam.lr,
            config::Optimizer::Sgd(sgd) => sgd.lr,
        }
    }

    /// Makes one step with the gradients of the parameters, in their order. A parameter without a gradient (an undefined tensor) stays as it is.
    ///
    /// # Errors
    /// Gives libtorch's error where it refuses.
    pub fn step(&mut self, gradients: &[Tensor], rate: f64) -> Result<(), Error> {
        let _guard = tch::no_grad_guard();
        match (&mut self.state, self.settings) {
            (State::Adam { means, squares, steps, step }, config::Optimizer::Adam(settings)) => adam(
                &self.parameters,
                gradients,
                (means, squares),
                steps,
                step,
                &settings,
                rate,
                WeightDecay::Gradient,
            ),
            (State::Adam { means, squares, steps, step }, config::Optimizer::Adamw(settings)) => adam(
                &self.parameters,
                gradients,
                (means, squares),
                steps,
                step,
                &settings,
                rate,
                WeightDecay::Decoupled,
            ),
            (State::Sgd { velocities }, config::Optimizer::Sgd(settings)) => {
                sgd(&mut self.parameters, gradients, velocities, &settings, rate).doing("make a step of SGD")
            }
            _ => unreachable!("the state is made for the settings"),
        }
    }

    /// Returns the state by name: `exp_avg/NAME`, `exp_avg_sq/NAME` and `step/NAME` of Adam, `momentum/NAME` of SGD.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        let mut all = BTreeMap::new();
        match &self.state {
            State::Adam { means, squares, steps, .. } => {
                for (i, name) in self.names.iter().enumerate() {
                    all.insert(format!("exp_avg/{name}"), means[i].shallow_clone());
                    all.insert(format!("exp_avg_sq/{name}"), squares[i].shallow_clone());
                    all.insert(format!("step/{name}"), Tensor::from_slice(&[steps[i] as i64]));
                }
            }
            State::Sgd { velocities } => {
                for (name, velocity) in self.names.iter().zip(velocities) {
                    if let Some(velocity) = velocity {
                        all.insert(format!("momentum/{name}"), velocity.shallow_clone());
                    }
                }
            }
        }
        all
    }

    /// Returns the names, shapes and kinds that a state may have, and whether each has to be there.
    pub(crate) fn expected(&self) -> BTreeMap<String, (Vec<i64>, Kind, bool)> {
        let mut all = BTreeMap::new();
        for (name, parameter) in self.names.iter().zip(&self.parameters) {
            let described = |required| (parameter.size(), parameter.kind(), required);
            match &self.state {
                State::Adam { .. } => {
                    all.insert(format!("exp_avg/{name}"), described(true));
                    all.insert(format!("exp_avg_sq/{name}"), described(true));
                    all.insert(format!("step/{name}"), (vec![1], Kind::Int64, true));
                }
                State::Sgd { .. } => {
                    all.insert(format!("momentum/{name}"), described(false));
                }
            }
        }
        all
    }

    /// Takes back a state that [`Optimizer::state`] gave; the names, shapes and kinds were checked.
    pub(crate) fn restore(&mut self, from: &BTreeMap<String, Tensor>) -> Result<(), TchError> {
        let _guard = tch::no_grad_guard();
        match &mut self.state {
            State::Adam { means, squares, steps, .. } => {
                for (i, name) in self.names.iter().enumerate() {
                    if let Some(mean) = from.get(&format!("exp_avg/{name}")) {
                        means[i].f_copy_(mean)?;
                    }
                    if let Some(square) = from.get(&format!("exp_avg_sq/{name}")) {
                        squares[i].f_copy_(square)?;
                    }
                    if let Some(step) = from.get(&format!("step/{name}")) {
                        steps[i] = step.f_int64_value(&[0])?.max(0) as u64;
                    }
                }
            }
            State::Sgd { velocities } => {
                for ((velocity, name), parameter) in
                    velocities.iter_mut().zip(&self.names).zip(&self.parameters)
                {
                    *velocity = match from.get(&format!("momentum/{name}")) {
                        Some(kept) => Some(kept.f_to_device(parameter.device())?.f_detach_copy()?),
                        None => None,
                    };
                }
            }
        }
        Ok(())
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of one state, borrowed apart")]
fn adam(
    parameters: &[Tensor],
    gradients: &[Tensor],
    (means, squares): (&[Tensor], &[Tensor]),
    steps: &mut [u64],
    step: &mut Tensor,
    settings: &config::Adam,
    rate: f64,
    decay: WeightDecay,
) -> Result<(), Error> {
    let config::Adam { lr: _, betas, eps, weight_decay } = *settings;
    let settings = AdamSettings { lr: rate, betas, eps, weight_decay };
    // Parameters that take part at the same step go together: all of them, unless some had no gradient once.
    let mut groups: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (i, gradient) in gradients.iter().enumerate() {
        if gradient.defined() {
            steps[i] += 1;
            groups.entry(steps[i]).or_default().push(i);
        }
    }
    for (number, group) in groups {
        let _ = step.f_fill_(number as f64).doing("make a step of Adam")?;
        let made = if group.len() == parameters.len() && gradients.iter().all(Tensor::is_contiguous) {
            fused_adam(parameters, gradients, means, squares, step, &settings, decay)
        } else {
            let pick = |from: &[Tensor]| group.iter().map(|&i| from[i].shallow_clone()).collect::<Vec<_>>();
            let contiguous: Vec<_> = group.iter().map(|&i| gradients[i].contiguous()).collect();
            fused_adam(&pick(parameters), &contiguous, &pick(means), &pick(squares), step, &settings, decay)
        };
        made.map_err(|source| Error::Tensor { source })?;
    }
    Ok(())
}

fn sgd(
    parameters: &mut [Tensor],
    gradients: &[Tensor],
    velocities: &mut [Option<Tensor>],
    settings: &config::Sgd,
    rate: f64,
) -> Result<(), TchError> {
    let config::Sgd { lr: _, momentum, nesterov, weight_decay } = *settings;
    for ((parameter, gradient), velocity) in parameters.iter_mut().zip(gradients).zip(velocities) {
        if !gradient.defined() {
            continue;
        }
        let decayed = if weight_decay == 0.0 {
            gradient.shallow_clone()
        } else {
            gradient.f_add(&parameter.f_mul_scalar(weight_decay)?)?
        };
        let direction = if momentum == 0.0 {
            decayed
        } else {
            match velocity {
                Some(velocity) => {
                    let _ = velocity.f_mul_scalar_(momentum)?.f_add_(&decayed)?;
                }
                // The first velocity is the gradient itself, as in PyTorch.
                None => *velocity = Some(decayed.f_detach_copy()?),
            }
            match velocity {
                Some(velocity) if nesterov => decayed.f_add(&velocity.f_mul_scalar(momentum)?)?,
                Some(velocity) => velocity.shallow_clone(),
                None => decayed,
            }
        };
        let _ = parameter.f_sub_(&direction.f_mul_scalar(rate)?)?;
    }
    Ok(())
}
