#![doc = include_str!("../README.md")]

mod checkpoint;
mod clip;
mod error;
mod evaluate;
mod logs;
mod optim;
mod options;
mod pictures;
mod progress;
mod resume;
mod run;
mod schedule;
mod stop;
mod summary;
mod task;
mod tensors;
mod threads;
mod trainer;
mod vae;
mod window;

pub use checkpoint::{Checkpoint, CheckpointError, Rejected};
pub use error::{Error, Fault};
pub use evaluate::Evaluation;
pub use optim::Optimizer;
pub use options::{Progress, Resume, TrainerOptions};
pub use pictures::{Picture, Pictures, PngPictures};
pub use schedule::LearningRate;
pub use stop::StopFlag;
pub use summary::{Best, Outcome, Summary};
pub use task::{Conclusion, Losses, Step, Task, Totals};
pub use tensors::{Feeder, TensorBatch, tensor_of_array};
pub use threads::{prepare_process, resolve_threads};
pub use trainer::Trainer;
pub use vae::{ACTIVE, Beta, Vae, VaeError, uniform_fan_in};
