//! `cargo xtask demo`: from nothing to a trained model, and what came out of it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::cargo;
use crate::failure::{Failure, OnPath as _, Result};
use crate::libtorch::{self, Environment};
use crate::steps;

/// What is trained: volumes that are generated, so nothing is downloaded.
const CONFIGURATION: &str = "configs/vae-phantom.yaml";

/// Sets up, builds, trains into a fresh folder and lists it. `arguments` go to the program behind our own.
pub(crate) fn run(environment: &Environment, arguments: &[OsString]) -> Result<()> {
    let configuration = environment.root.join(CONFIGURATION);
    if !configuration.is_file() {
        return Err(Failure::new(format!(
            "the configuration of the demo is missing: {}",
            configuration.display()
        )));
    }
    let started = Instant::now();
    let mut stages = Vec::new();

    let stage = Instant::now();
    let ready = libtorch::provide(environment)?;
    stages.push(("set-up", stage.elapsed()));

    let stage = Instant::now();
    eprintln!("building (the first time takes some minutes) ...");
    steps::run(&mut cargo::build_program(environment, &ready))?;
    stages.push(("build", stage.elapsed()));

    let stage = Instant::now();
    let runs = environment.root.join("runs");
    let name = fresh(&runs, "demo");
    let mut train = cargo::program(environment, &ready);
    // The configuration's folder of runs is relative to where the program is started.
    train.current_dir(&environment.root);
    train.args(["train", CONFIGURATION, "--set"]).arg(format!("name={name}")).args(arguments);
    steps::run(&mut train)?;
    stages.push(("train", stage.elapsed()));

    println!("\nThe demo took {:.0} s:", started.elapsed().as_secs_f64());
    for (name, time) in stages {
        println!("{:>7.1} s  {name}", time.as_secs_f64());
    }
    report(&environment.root, &runs.join(name))
}

/// The first of `demo`, `demo-2`, `demo-3`, ... that is not there.
fn fresh(runs: &Path, name: &str) -> String {
    let names = std::iter::once(name.to_owned()).chain((2_u64..).map(|n| format!("{name}-{n}")));
    names.into_iter().find(|name| !runs.join(name).exists()).unwrap_or_else(|| name.to_owned())
}

/// Prints the files of a run, pictures first, as paths that can be opened from the root.
fn report(root: &Path, run: &Path) -> Result<()> {
    let mut files = Vec::new();
    list(run, &mut files)?;
    let (pictures, others): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|(path, _)| path.extension().is_some_and(|extension| extension == "png"));
    println!("\nIt is all in {}", run.display());
    for (title, files) in [("pictures", pictures), ("files", others)] {
        println!("{title}:");
        for (path, bytes) in files {
            println!("{:>10}  {}", size(bytes), path.strip_prefix(root).unwrap_or(&path).display());
        }
    }
    Ok(())
}

/// Collects the files below a folder with their sizes, in the order of their names.
fn list(folder: &Path, files: &mut Vec<(PathBuf, u64)>) -> Result<()> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).on_path("list", folder)? {
        paths.push(entry.on_path("list", folder)?.path());
    }
    paths.sort();
    for path in paths {
        let facts = fs::symlink_metadata(&path).on_path("look at", &path)?;
        if facts.is_dir() {
            list(&path, files)?;
        } else {
            files.push((path, facts.len()));
        }
    }
    Ok(())
}

/// Bytes for a reader.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_never_goes_into_a_folder_that_is_there() {
        let runs = tempfile::tempdir().unwrap();
        for expected in ["demo", "demo-2", "demo-3"] {
            assert_eq!(fresh(runs.path(), "demo"), expected);
            fs::create_dir(runs.path().join(expected)).unwrap();
        }
    }

    #[test]
    fn files_are_listed_with_their_sizes_through_all_folders() {
        let run = tempfile::tempdir().unwrap();
        fs::create_dir(run.path().join("pictures")).unwrap();
        fs::write(run.path().join("pictures/b.png"), [0; 1500]).unwrap();
        fs::write(run.path().join("a.yaml"), "x").unwrap();
        let mut files = Vec::new();
        list(run.path(), &mut files).unwrap();
        let found = files
            .iter()
            .map(|(path, bytes)| {
                format!("{} {}", path.strip_prefix(run.path()).unwrap().display(), size(*bytes))
            })
            .collect::<Vec<_>>();
        assert_eq!(found, ["a.yaml 1 B", "pictures/b.png 1.5 kB"]);
    }
}
