//! Optimizers against PyTorch's: `oracle/optimizers.py`.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;

use batchwright_config as config;
use batchwright_train::Optimizer;
use serde::Deserialize;
use tch::Tensor;

type Numbers = BTreeMap<String, Vec<f64>>;

#[derive(Deserialize)]
struct Oracle {
    shapes: BTreeMap<String, Vec<i64>>,
    start: Numbers,
    gradients: Vec<Numbers>,
    cases: BTreeMap<String, Case>,
}

#[derive(Deserialize)]
struct Case {
    settings: config::Optimizer,
    clip: Option<f64>,
    end: Numbers,
}

fn oracle() -> Oracle {
    serde_json::from_str(include_str!("oracle/optimizers.json")).unwrap()
}

fn tensors(shapes: &BTreeMap<String, Vec<i64>>, numbers: &Numbers) -> BTreeMap<String, Tensor> {
    let tensor = |name: &String| {
        let values: Vec<f32> = numbers[name].iter().map(|&value| value as f32).collect();
        Tensor::from_slice(&values).reshape(shapes[name].as_slice())
    };
    shapes.keys().map(|name| (name.clone(), tensor(name))).collect()
}

fn compare(case: &str, parameters: &BTreeMap<String, Tensor>, end: &Numbers) {
    for (name, parameter) in parameters {
        let values = Vec::<f32>::try_from(parameter.flatten(0, -1)).unwrap();
        for (value, expected) in values.iter().zip(&end[name]) {
            let tolerance = 1e-6 * expected.abs().max(1.0);
            assert!(
                (f64::from(*value) - expected).abs() <= tolerance,
                "{case}, {name}: {value}, expected {expected}"
            );
        }
    }
}

#[test]
fn every_optimizer_steps_as_pytorchs_does() {
    let Oracle { shapes, start, gradients, cases } = oracle();
    let mut checked = 0;
    for (name, case) in cases.iter().filter(|(_, case)| case.clip.is_none()) {
        let parameters = tensors(&shapes, &start);
        let shared = parameters.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
        let mut optimizer = Optimizer::new(case.settings, shared).unwrap();
        for step in &gradients {
            let gradients: Vec<_> = tensors(&shapes, step).into_values().collect();
            optimizer.step(&gradients, optimizer.rate()).unwrap();
        }
        compare(name, &parameters, &case.end);
        checked += 1;
    }
    assert_eq!(checked, 6);
}

#[test]
fn a_parameter_without_a_gradient_stays_and_its_moments_too() {
    let Oracle { shapes, start, gradients, cases } = oracle();
    for name in ["adam", "adamw", "sgd_momentum"] {
        let parameters = tensors(&shapes, &start);
        let shared = parameters.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
        let mut optimizer = Optimizer::new(cases[name].settings, shared).unwrap();
        let is = |name: &str, ends: [&Numbers; 2]| {
            for (parameter, end) in ["a", "b"].into_iter().zip(ends) {
                let one = BTreeMap::from([(parameter.to_owned(), parameters[parameter].shallow_clone())]);
                compare(name, &one, end);
            }
        };
        let end = &cases[name].end;
        for step in &gradients {
            // `b` takes part in no step; for it nothing happened.
            let step = tensors(&shapes, step);
            optimizer.step(&[step["a"].shallow_clone(), Tensor::new()], optimizer.rate()).unwrap();
        }
        is(name, [end, &start]);
        for step in &gradients {
            let step = tensors(&shapes, step);
            optimizer.step(&[Tensor::new(), step["b"].shallow_clone()], optimizer.rate()).unwrap();
        }
        is(name, [end, end]);
    }
}
