//! From a command line to a configuration and its data.

use anyhow::anyhow;
use batchwright_config::{Config, ConfigError, DataRoot, ImageBatches, Opened};
use batchwright_core::{Dataset, Fault, fault_of_io};

use crate::arguments::{Configuration, Set};
use crate::failure::{Failure, Result};

/// Reads a configuration.
pub(crate) fn config(arguments: &Configuration) -> Result<Config> {
    Config::from_path(&arguments.config, &arguments.settings).map_err(|error| match error {
        ConfigError::Read { .. } => Failure::usage(error.into()),
        _ => Failure::usage(anyhow!("{error}")),
    })
}

/// Opens the data of a configuration.
pub(crate) fn data(arguments: &Configuration, config: &Config) -> Result<Opened> {
    let root = DataRoot::from_environment(arguments.data.clone());
    config.open(&root).map_err(|error| {
        if error.is_configuration() {
            Failure::usage(error.into())
        } else if is_environment(&error) {
            Failure::environment(error.into())
        } else {
            Failure::data(error.into())
        }
    })
}

/// Returns whether the machine is at fault: permissions or a failing disk, not a missing or malformed file.
fn is_environment(error: &(dyn std::error::Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|error| fault_of_io(error) == Fault::Environment)
}

/// Takes one set out of the data.
pub(crate) fn set(opened: Opened, set: Set) -> Result<ImageBatches> {
    let (name, batches) = match set {
        Set::Train => ("training", Some(opened.training)),
        Set::Validation => ("validation", opened.validation),
        Set::Test => ("test", opened.test),
    };
    batches.ok_or_else(|| Failure::usage(anyhow!("the configuration has no {name} set")))
}

/// Returns the shape of one image, [C, H, W].
#[cfg(feature = "train")]
pub(crate) fn image_shape(batches: &ImageBatches) -> Result<[usize; 3]> {
    let fields = batches.dataset().fields();
    let image = fields.iter().find(|field| field.name == "image");
    image.and_then(|field| field.shape.clone().try_into().ok()).ok_or_else(|| {
        Failure::ours(anyhow!("there is no field `image` of the shape [C, H, W] among {fields:?}"))
    })
}

/// Returns the bytes of all fields of one sample.
pub(crate) fn sample_bytes(batches: &ImageBatches) -> usize {
    batches.dataset().fields().iter().map(batchwright_core::Field::bytes).sum()
}
