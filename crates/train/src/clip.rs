//! Bounds on the gradient, computed on the device without waiting for it.
//!
//! Gradients as libtorch gives them out may share their memory (those of `a` and `b` in a loss of `a + b`) or be one number shown as
//! many, so none is changed in place.

use batchwright_config::ClipGradient;
use tch::{TchError, Tensor};

/// Replaces the gradients by bounded ones. By norm it also returns the norm before that, as a scalar tensor.
///
/// As `PyTorch`'s `clip_grad_norm_` and `clip_grad_value_`: the norm of the norms of all tensors, a factor `bound / (norm + 1e-6)`, at most 1.
pub(crate) fn clip(gradients: &mut [Tensor], bound: ClipGradient) -> Result<Option<Tensor>, TchError> {
    match bound {
        ClipGradient::Value(bound) => {
            for gradient in gradients.iter_mut().filter(|gradient| gradient.defined()) {
                *gradient = gradient.f_clamp(-bound, bound)?;
            }
            Ok(None)
        }
        ClipGradient::Norm(bound) => {
            let norms: Vec<Tensor> = gradients
                .iter()
                .filter(|gradient| gradient.defined())
                .map(Tensor::f_norm)
                .collect::<Result<_, _>>()?;
            if norms.is_empty() {
                return Ok(None);
            }
            let norm = Tensor::f_stack(&norms, 0)?.f_norm()?;
            let factor = norm.f_add_scalar(1e-6)?.f_reciprocal()?.f_mul_scalar(bound)?.f_clamp_max(1.0)?;
            for gradient in gradients.iter_mut().filter(|gradient| gradient.defined()) {
                *gradient = gradient.f_mul(&factor)?;
            }
            Ok(Some(norm))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradients() -> Vec<Tensor> {
        vec![Tensor::from_slice(&[3.0_f32, 0.0]), Tensor::new(), Tensor::from_slice(&[-4.0_f32])]
    }

    #[test]
    fn the_norm_of_all_gradients_together_is_bounded() {
        let mut clipped = gradients();
        let norm = clip(&mut clipped, ClipGradient::Norm(2.5)).unwrap().unwrap();
        assert_eq!(norm.double_value(&[]), 5.0);
        assert!((clipped[0].double_value(&[0]) - 1.5).abs() < 1e-6);
        assert!((clipped[2].double_value(&[0]) + 2.0).abs() < 1e-6);
        let mut small = gradients();
        clip(&mut small, ClipGradient::Norm(5.1)).unwrap();
        assert_eq!(small[0].double_value(&[0]), 3.0, "below the bound nothing changes");
    }

    #[test]
    fn each_element_is_bounded() {
        let mut clipped = gradients();
        assert!(clip(&mut clipped, ClipGradient::Value(1.0)).unwrap().is_none());
        assert_eq!(clipped[0].double_value(&[0]), 1.0);
        assert_eq!(clipped[2].double_value(&[0]), -1.0);
    }

    #[test]
    fn gradients_that_share_memory_are_each_bounded_once() {
        let parameter = || Tensor::ones([3], (tch::Kind::Float, tch::Device::Cpu)).set_requires_grad(true);
        let (a, b, w) = (parameter(), parameter(), parameter());
        let shared = || Tensor::run_backward(&[(&a + &b).sum(tch::Kind::Float)], &[&a, &b], false, false);
        let expanded = || Tensor::run_backward(&[w.sum(tch::Kind::Float)], &[&w], false, false);
        for (mut gradients, norm) in [(shared(), 6.0_f64.sqrt()), (expanded(), 3.0_f64.sqrt())] {
            let found = clip(&mut gradients, ClipGradient::Norm(0.5)).unwrap().unwrap();
            assert!((found.double_value(&[]) - norm).abs() < 1e-6);
            for gradient in &gradients {
                let expected = 0.5 / norm;
                assert!((gradient.double_value(&[1]) - expected).abs() < 1e-5, "{gradient:?}");
            }
        }
        for mut gradients in [shared(), expanded()] {
            clip(&mut gradients, ClipGradient::Value(0.25)).unwrap();
            assert!(gradients.iter().all(|gradient| gradient.double_value(&[2]) == 0.25));
        }
    }

    #[test]
    fn clipping_by_norm_is_pytorchs() {
        use std::collections::BTreeMap;
        let oracle: serde_json::Value =
            serde_json::from_str(include_str!("../tests/oracle/optimizers.json")).unwrap();
        let numbers = |value: &serde_json::Value| {
            let numbers = value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32);
            Tensor::from_slice(&numbers.collect::<Vec<_>>())
        };
        let case = &oracle["cases"]["sgd_clipped"];
        let settings = serde_json::from_value(case["settings"].clone()).unwrap();
        let parameters = ["a", "b"].map(|name| (name.to_owned(), numbers(&oracle["start"][name])));
        let mut optimizer = crate::Optimizer::new(settings, BTreeMap::from(parameters)).unwrap();
        for step in oracle["gradients"].as_array().unwrap() {
            let mut gradients = ["a", "b"].map(|name| numbers(&step[name]));
            clip(&mut gradients, ClipGradient::Norm(case["clip"].as_f64().unwrap())).unwrap();
            optimizer.step(&gradients, optimizer.rate()).unwrap();
        }
        for (parameter, name) in optimizer.parameters().iter().zip(["a", "b"]) {
            let most = (parameter - numbers(&case["end"][name])).abs().max().double_value(&[]);
            assert!(most < 1e-6, "{name}: {most}");
        }
    }
}
