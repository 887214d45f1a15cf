//! The training loop's overhead over a bare loop of the same model, on a batch that is in memory already.
//!
//! `cargo run --release -p batchwright-train --example loop_overhead [threads] [rounds]`
//!
//! The model is the VAE 784-400-20-400-784, Bernoulli, Adam 1e-3, batches of 128. Three loops take turns, round by round, each round 60 steps; the medians over the
//! rounds are compared:
//!
//! - bare, tch's optimizer: loss, `backward_step`, nothing else;
//! - bare, our optimizer: the same model and seedless steps with [`Optimizer`], nothing else;
//! - `Trainer::fit`: batches through a loader, seeding of every step, figures, logs (no run folder); the time
//!   that it waited for data is taken off.
#![expect(clippy::print_stdout, reason = "an example that prints its measurements")]

use std::sync::Arc;
use std::time::Instant;

use batchwright_config as config;
use batchwright_core::{
    BatchOptions, Batches, BoxError, Context, Dataset, Field, SampleError, Sequential, Slot, Stream,
};
use batchwright_train::{Optimizer, Step, Task, TensorBatch, Trainer, TrainerOptions, Vae};
use tch::nn::OptimizerConfig as _;
use tch::{Device, Tensor, nn};

const BATCH: usize = 128;
const STEPS: usize = 60;

/// The same pixels in every batch.
struct Same {
    fields: Vec<Field>,
    pixels: Arc<Vec<f32>>,
}

impl Dataset for Same {
    fn len(&self) -> usize {
        BATCH * STEPS
    }
    fn fields(&self) -> &[Field] {
        &self.fields
    }
    fn write(&self, index: usize, slot: &mut Slot<'_>, _: &Context<'_>) -> Result<(), SampleError> {
        let start = index % BATCH * 784;
        slot.get::<f32>(0).copy_from_slice(&self.pixels[start..start + 784]);
        Ok(())
    }
}

fn model(path: &nn::Path<'_>) -> Result<Vae, BoxError> {
    let settings = config::Vae {
        hidden: Some(vec![400]),
        channels: None,
        latent: 20,
        likelihood: config::Likelihood::Bernoulli,
        beta: config::Beta::Constant(1.0),
        free_bits: 0.0,
        activation: config::Activation::Relu,
        dropout: 0.0,
    };
    Ok(Vae::new(path, &settings, [1, 28, 28])?)
}

fn main() -> Result<(), BoxError> {
    batchwright_train::prepare_process()?;
    let mut arguments = std::env::args().skip(1);
    let threads: usize = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let rounds: usize = arguments.next().map_or(Ok(25), |text| text.parse())?;
    tch::set_num_threads(i32::try_from(threads)?);
    let mut draws = Stream::new(1, 0, 0, "pixels");
    let pixels: Vec<f32> = (0..BATCH * 784).map(|_| draws.uniform() as f32).collect();
    let pixels = Arc::new(pixels);
    let images = Tensor::from_slice(&pixels).view([BATCH as i64, 1, 28, 28]);
    let batch = TensorBatch::of(vec![(Field::new::<f32>("image", &[1, 28, 28]), images)], None);
    let step = Step { step: 0, epoch: 0, training: true };

    let mut times = [const { Vec::new() }; 3];
    for round in 0..=rounds {
        // All three begin with a model of their own, whose memory is fresh.
        let bare_variables = nn::VarStore::new(Device::Cpu);
        let bare_model = model(&bare_variables.root())?;
        let mut bare_optimizer = nn::Adam::default().build(&bare_variables, 1e-3)?;

        let our_variables = nn::VarStore::new(Device::Cpu);
        let our_model = model(&our_variables.root())?;
        let parameters = our_variables.variables().into_iter().collect();
        let mut our_optimizer = Optimizer::new(config::Optimizer::default(), parameters)?;

        let start = Instant::now();
        for _ in 0..STEPS {
            let losses = bare_model.loss(&batch, step)?;
            bare_optimizer.backward_step(&losses.loss);
        }
        let bare = start.elapsed().as_secs_f64();

        let start = Instant::now();
        for _ in 0..STEPS {
            let losses = our_model.loss(&batch, step)?;
            let gradients =
                Tensor::f_run_backward(&[&losses.loss], our_optimizer.parameters(), false, false)?;
            our_optimizer.step(&gradients, 1e-3)?;
        }
        let ours = start.elapsed().as_secs_f64();

        let mut options = TrainerOptions::new(1, 1).silent();
        options.training.threads = config::Threads::Count(threads.try_into()?);
        // Read on the training thread, in time that is counted as waiting.
        options.loader.workers = 0;
        let mut trainer = Trainer::new(options)?;
        let task = model(&trainer.root())?;
        let data =
            Same { fields: vec![Field::new::<f32>("image", &[1, 28, 28])], pixels: Arc::clone(&pixels) };
        let options = BatchOptions { seed: 1, batch_size: BATCH, ..BatchOptions::default() };
        let summary =
            trainer.fit(&task, Batches::new(data, Sequential::new(BATCH * STEPS), options)?, None)?;
        // The batch is in memory already: reading it again is no part of this comparison.
        let fit = (1.0 - summary.waited) * (BATCH * STEPS) as f64 / summary.samples_per_second;
        // The first round warms up.
        if 0 < round {
            for (times, time) in times.iter_mut().zip([bare, ours, fit]) {
                times.push(1e3 * time / STEPS as f64);
            }
        }
    }
    let [bare, ours, fit] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    println!("threads {threads}, medians of {rounds} rounds of {STEPS} steps, ms a step");
    println!("bare loop, tch's Adam        {bare:.3}");
    println!("bare loop, this crate's Adam {ours:.3}  ({:+.1} %)", 100.0 * (ours / bare - 1.0));
    println!(
        "Trainer::fit                 {fit:.3}  ({:+.1} % over tch's, {:+.1} % over this crate's bare loop)",
        100.0 * (fit / bare - 1.0),
        100.0 * (fit / ours - 1.0)
    );
    Ok(())
}
