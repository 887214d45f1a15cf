//! `batchwright cache`.

use std::process::ExitCode;

use batchwright_core::{Fault, SampleError};
use batchwright_nifti::{Cache, CacheCleared, CacheReport, Error};
use indicatif::BinaryBytes;

use crate::arguments::{CacheCommand, CacheDirectory};
use crate::failure::{Failure, Result};
use crate::print;

pub(crate) fn run(command: &CacheCommand) -> Result<ExitCode> {
    match command {
        CacheCommand::Stat(CacheDirectory { directory, json }) => {
            let report = Cache::report(directory).map_err(failure)?;
            let text = if *json { json_of(&report)? } else { table(&report) };
            print(&text)?;
        }
        CacheCommand::Clear(CacheDirectory { directory, json }) => {
            let cleared = Cache::clear(directory).map_err(failure)?;
            let text = if *json { json_of(&cleared)? } else { sentence(&cleared) };
            print(&text)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn json_of(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Failure::ours(error.into()))
}

/// A folder that is not there or is no cache is a mistake of the command line.
fn failure(error: Error) -> Failure {
    let error = SampleError::from(error);
    match error.fault() {
        Fault::Data => Failure::usage(anyhow::Error::from_boxed(error.into_source())),
        Fault::Environment => Failure::environment(anyhow::Error::from_boxed(error.into_source())),
    }
}

fn table(report: &CacheReport) -> String {
    use std::fmt::Write as _;
    let CacheReport { directory, bytes, entries, being_made, left_unfinished } = report;
    let in_use = entries.iter().filter(|entry| entry.in_use).count();
    let damaged = entries.iter().filter(|entry| entry.source.is_none()).count();
    let mut text = format!(
        "{}: {} volumes, {}; {in_use} in use, {being_made} being made, {left_unfinished} left unfinished, {damaged} damaged\n",
        directory.display(),
        entries.len(),
        BinaryBytes(*bytes)
    );
    for entry in entries {
        let [x, y, z] = entry.shape;
        let size = BinaryBytes(entry.bytes).to_string();
        let mark = if entry.in_use { " (in use)" } else { "" };
        let _ = match (&entry.source, entry.voxel_type) {
            (Some(source), Some(voxel_type)) => {
                writeln!(
                    text,
                    "{size:>12}  {} x {x} x {y} x {z} {voxel_type}  {source}{mark}",
                    entry.channels
                )
            }
            _ => writeln!(text, "{size:>12}  damaged, will be made anew  {}{mark}", entry.file),
        };
    }
    text
}

fn sentence(cleared: &CacheCleared) -> String {
    let CacheCleared { directory, removed, bytes, in_use } = cleared;
    let stay = match in_use {
        0 => String::new(),
        count => format!("; {count} in use stay"),
    };
    format!("{}: {removed} files removed, {}{stay}", directory.display(), BinaryBytes(*bytes))
}
