//! Adam over all parameters in one pass, which the bindings do not expose.

use tch::{Kind, Tensor};

use crate::{Error, ffi};

/// The settings of a step of Adam.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamSettings {
    /// The learning rate of this step.
    pub lr: f64,
    /// The decay rates of the two moments.
    pub betas: [f64; 2],
    /// Added to the denominator.
    pub eps: f64,
    /// How strongly weights decay.
    pub weight_decay: f64,
}

/// Where the weight decay of Adam enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightDecay {
    /// It is added to the gradient (Kingma and Ba 2015).
    Gradient,
    /// It is apart from the gradient (`AdamW`, Loshchilov and Hutter 2019).
    Decoupled,
}

/// Makes one step of Adam in place, with libtorch's fused kernel: parameters and both moments are read and written once.
///
/// `step` is a float tensor of one element on the parameters' device: the number of this step, counted from 1.
///
/// # Errors
/// [`Error::Adam`] where the tensors do not fit together, [`Error::Libtorch`] where libtorch refuses.
pub fn fused_adam(
    parameters: &[Tensor],
    gradients: &[Tensor],
    means: &[Tensor],
    squares: &[Tensor],
    step: &Tensor,
    settings: &AdamSettings,
    decay: WeightDecay,
) -> Result<(), Error> {
    let n = parameters.len();
    if [gradients.len(), means.len(), squares.len()] != [n; 3]
        || step.kind() != Kind::Float
        || step.numel() != 1
    {
        return Err(Error::Adam { parameter: n });
    }
    for (i, parameter) in parameters.iter().enumerate() {
        let fits = |other: &Tensor| {
            other.defined()
                && other.kind() == Kind::Float
                && other.is_contiguous()
                && other.device() == step.device()
                && other.size() == parameter.size()
        };
        if ![parameter, &gradients[i], &means[i], &squares[i]].into_iter().all(fits) {
            return Err(Error::Adam { parameter: i });
        }
    }
    ffi::fused_adam([parameters, gradients, means, squares], step, settings, decay == WeightDecay::Decoupled)
}
