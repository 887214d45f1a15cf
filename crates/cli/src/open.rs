//! From a command line to a configuration and its data.

use std::io::Write as _;

use anyhow::anyhow;
use batchwright_config::{Config, ConfigError, DataRoot, OpenError, Opened, SampleBatches};
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
    config.open(&DataRoot::from_environment(arguments.data.clone())).map_err(failure)
}

/// Turns an error of opening data into a failure by whose fault it is.
pub(crate) fn failure(error: OpenError) -> Failure {
    if error.is_configuration() {
        Failure::usage(error.into())
    } else if is_environment(&error) {
        Failure::environment(error.into())
    } else {
        Failure::data(error.into())
    }
}

/// Says how often volumes will be decoded, where that is more than once, and which line would change it.
pub(crate) fn advise(config: &Config, opened: &Opened) {
    if let Some(advice) = opened.decoding(config) {
        let _ = writeln!(std::io::stderr(), "note: {advice}");
    }
}

/// Returns whether the machine is at fault: permissions or a failing disk, not a missing or malformed file.
fn is_environment(error: &(dyn std::error::Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|error| fault_of_io(error) == Fault::Environment)
}

/// Takes one set out of the data.
pub(crate) fn set(opened: Opened, set: Set) -> Result<SampleBatches> {
    let (name, batches) = match set {
        Set::Train => ("training", Some(opened.training)),
        Set::Validation => ("validation", opened.validation),
        Set::Test => ("test", opened.test),
    };
    batches.ok_or_else(|| Failure::usage(anyhow!("the configuration has no {name} set")))
}

/// Returns the bytes of all fields of one sample.
pub(crate) fn sample_bytes(batches: &SampleBatches) -> usize {
    batches.dataset().fields().iter().map(batchwright_core::Field::bytes).sum()
}

/// Returns what a sample is called.
pub(crate) fn unit(batches: &SampleBatches) -> &'static str {
    match (batches.dataset().parts(), batches.dataset().patches()) {
        (2, _) => "pairs",
        (3, _) => "triplets",
        (_, Some(_)) => "patches",
        (_, None) => "images",
    }
}

/// Returns the bytes that the voxels of one sample have where they are stored; nothing for images.
pub(crate) fn stored_bytes(batches: &SampleBatches) -> Option<usize> {
    let patches = batches.dataset().patches()?;
    Some(patches.stored_bytes() * batches.dataset().parts())
}

/// Returns the compressed files that an epoch is decoded from, each once.
pub(crate) fn compressed_files(batches: &SampleBatches) -> Vec<std::path::PathBuf> {
    batches.dataset().patches().map(batchwright_nifti::PatchSet::compressed_files).unwrap_or_default()
}
