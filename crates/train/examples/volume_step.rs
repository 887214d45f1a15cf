//! The time of a training step of the VAE on volumes, which are in memory already.
//!
//! `cargo run --release -p batchwright-train --example volume_step [side] [batch] [threads] [steps]`
//!
//! The model has the channels 8, 16, 32, a latent space of 32 dimensions, `SiLU` and a Gaussian likelihood, trained by Adam. Printed are the medians over the steps:
//! of the loss, of its gradients, of the optimizer, and of all three.
#![expect(clippy::print_stdout, reason = "an example that prints its measurements")]

use std::time::Instant;

use batchwright_config as config;
use batchwright_core::{BoxError, Field};
use batchwright_train::{Optimizer, Step, Task as _, TensorBatch, Vae};
use tch::{Device, Kind, Tensor, nn};

fn main() -> Result<(), BoxError> {
    batchwright_train::prepare_process()?;
    let mut arguments = std::env::args().skip(1);
    let mut argument = |default: usize| arguments.next().map_or(Ok(default), |text| text.parse());
    let (side, batch, threads, steps) = (argument(48)?, argument(4)?, argument(1)?, argument(30)?);
    tch::set_num_threads(i32::try_from(threads)?);
    let steps = steps.max(1);
    tch::manual_seed(1);
    let settings = config::Vae {
        hidden: None,
        channels: Some(vec![8, 16, 32]),
        latent: 32,
        likelihood: config::Likelihood::Gaussian { sigma: config::Sigma::Learned(config::Learned::Learned) },
        beta: config::Beta::Constant(1.0),
        free_bits: 0.0,
        activation: config::Activation::Silu,
        dropout: 0.0,
    };
    let variables = nn::VarStore::new(Device::Cpu);
    let vae = Vae::new(&variables.root(), &settings, [1, side, side, side])?;
    let parameters = variables.variables().into_iter().collect();
    let mut optimizer = Optimizer::new(config::Optimizer::default(), parameters)?;
    let n = i64::try_from(side)?;
    let volumes = Tensor::f_rand([i64::try_from(batch)?, 1, n, n, n], (Kind::Float, Device::Cpu))?;
    let batch = TensorBatch::of(vec![(Field::new::<f32>("image", &[1, side, side, side]), volumes)], None);

    let mut times = [const { Vec::new() }; 4];
    // The first steps warm up.
    for step in 0..steps + 3 {
        let begin = Instant::now();
        let losses = vae.loss(&batch, Step { step: step as u64, epoch: 0, training: true })?;
        let forward = begin.elapsed();
        let begin = Instant::now();
        let gradients = Tensor::f_run_backward(&[&losses.loss], optimizer.parameters(), false, false)?;
        let backward = begin.elapsed();
        let begin = Instant::now();
        optimizer.step(&gradients, 1e-3)?;
        let update = begin.elapsed();
        if 3 <= step {
            let parts = [forward, backward, update, forward + backward + update];
            times.iter_mut().zip(parts).for_each(|(times, time)| times.push(1e3 * time.as_secs_f64()));
        }
    }
    let [forward, backward, update, all] = times.map(|mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    println!("loss {forward:.1} ms, gradients {backward:.1} ms, optimizer {update:.1} ms, step {all:.1} ms");
    Ok(())
}
