#![doc = include_str!("../README.md")]

mod model;
mod training;

pub use model::{Activation, Beta, BetaSchedule, Learned, Likelihood, Model, Sigma, Vae};
pub use training::{
    Adam, Auto, Checkpoint, ClipGradient, Logging, Optimizer, Schedule, Sgd, Threads, Training,
};
