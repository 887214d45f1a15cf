//! The fused step of Adam against the formulas of its papers.
#![allow(clippy::unwrap_used, reason = "tests")]

use batchwright_torch::{AdamSettings, Error, WeightDecay, fused_adam};
use tch::{Device, Kind, Tensor};

const SETTINGS: AdamSettings = AdamSettings { lr: 0.1, betas: [0.9, 0.99], eps: 1e-3, weight_decay: 0.05 };

/// Parameter, mean and square after a step with this gradient, in double precision.
fn formula([p, m, v]: [f64; 3], gradient: f64, step: i32, decay: WeightDecay) -> [f64; 3] {
    let AdamSettings { lr, betas: [b1, b2], eps, weight_decay } = SETTINGS;
    let (p, g) = match decay {
        WeightDecay::Gradient => (p, gradient + weight_decay * p),
        WeightDecay::Decoupled => (p - lr * weight_decay * p, gradient),
    };
    let m = b1 * m + (1.0 - b1) * g;
    let v = b2 * v + (1.0 - b2) * g * g;
    let (unbiased_m, unbiased_v) = (m / (1.0 - b1.powi(step)), v / (1.0 - b2.powi(step)));
    [p - lr * unbiased_m / (unbiased_v.sqrt() + eps), m, v]
}

fn zeros(shape: &[i64]) -> Tensor {
    Tensor::zeros(shape, (Kind::Float, Device::Cpu))
}

#[test]
fn ten_steps_follow_the_formulas_with_either_weight_decay() {
    for decay in [WeightDecay::Gradient, WeightDecay::Decoupled] {
        let starts = [[1.0_f32, -2.0, 0.5], [3.0, 0.0, -0.25]];
        let parameters = starts.map(|start| Tensor::from_slice(&start).set_requires_grad(true));
        let (means, squares) = ([zeros(&[3]), zeros(&[3])], [zeros(&[3]), zeros(&[3])]);
        let mut expected = starts.map(|start| start.map(|p| [f64::from(p), 0.0, 0.0]));
        for step in 1..=10 {
            let gradient = |i: usize, j: usize| (step as f64 * 0.7 + i as f64 * 1.3 + j as f64).sin();
            let gradients = [0, 1].map(|i| Tensor::from_slice(&[0, 1, 2].map(|j| gradient(i, j) as f32)));
            let number = Tensor::from_slice(&[step as f32]);
            fused_adam(&parameters, &gradients, &means, &squares, &number, &SETTINGS, decay).unwrap();
            for (i, row) in expected.iter_mut().enumerate() {
                for (j, state) in row.iter_mut().enumerate() {
                    *state = formula(*state, gradient(i, j), step, decay);
                    let found = [&parameters[i], &means[i], &squares[i]].map(|t| t.double_value(&[j as i64]));
                    for (found, expected) in found.iter().zip(&*state) {
                        assert!((found - expected).abs() < 1e-5, "{decay:?} step {step}: {found} {expected}");
                    }
                }
            }
        }
    }
}

#[test]
fn tensors_that_do_not_fit_together_are_refused_and_stay_as_they_are() {
    let parameters = [zeros(&[3]), zeros(&[2])];
    let step = Tensor::from_slice(&[1.0_f32]);
    let refused = |gradients: &[Tensor], step: &Tensor| {
        let (means, squares) = ([zeros(&[3]), zeros(&[2])], [zeros(&[3]), zeros(&[2])]);
        fused_adam(&parameters, gradients, &means, &squares, step, &SETTINGS, WeightDecay::Gradient)
            .unwrap_err()
    };
    let ones = |shape: &[i64]| Tensor::ones(shape, (Kind::Float, Device::Cpu));
    assert!(matches!(refused(&[ones(&[3])], &step), Error::Adam { parameter: 2 }));
    assert!(matches!(refused(&[ones(&[3]), ones(&[1, 2])], &step), Error::Adam { parameter: 1 }));
    assert!(matches!(
        refused(&[ones(&[3]).to_kind(Kind::Double), ones(&[2])], &step),
        Error::Adam { parameter: 0 }
    ));
    assert!(matches!(refused(&[Tensor::new(), ones(&[2])], &step), Error::Adam { parameter: 0 }));
    let whole = Tensor::from_slice(&[1_i64]);
    assert!(matches!(refused(&[ones(&[3]), ones(&[2])], &whole), Error::Adam { .. }));
    assert_eq!(parameters[0].sum(Kind::Double).double_value(&[]), 0.0);
}
