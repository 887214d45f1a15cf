//! `batchwright check`: a data set of volumes before training.

use std::process::ExitCode;

use anyhow::anyhow;
use batchwright_config::DataRoot;
use serde_json::{Map, json};

use crate::arguments::Check;
use crate::failure::{Failure, Result};
use crate::{open, print};

/// The exit code where something is wrong with the data.
const WRONG: u8 = 3;

pub(crate) fn run(arguments: &Check) -> Result<ExitCode> {
    let config = open::config(&arguments.configuration)?;
    let root = DataRoot::from_environment(arguments.configuration.data.clone());
    let Some((sets, options)) = config.volumes(&root).map_err(open::failure)? else {
        let text = "the samples are not patches of files: only volumes of `data.nifti.manifest` are checked; images are checked \
                    when they are opened (`verify`)";
        return Err(Failure::usage(anyhow!(text)));
    };
    let mut wrong = false;
    let mut all = Map::new();
    for (set, subjects) in sets {
        let report = batchwright_nifti::check(&subjects, &options);
        wrong |= report.has_errors();
        if arguments.json {
            let report = serde_json::to_value(&report).map_err(|error| Failure::ours(error.into()))?;
            all.insert(set.to_owned(), report);
        } else {
            print(&format!("{set}: {} subjects of {}", subjects.len(), subjects.manifest().display()))?;
            print(&report.to_string())?;
        }
    }
    if arguments.json {
        print(&json!(all).to_string())?;
    }
    Ok(if wrong { ExitCode::from(WRONG) } else { ExitCode::SUCCESS })
}
