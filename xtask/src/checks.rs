//! `cargo xtask test`: everything that has to hold, the quick things first.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::cargo;
use crate::failure::{OnPath as _, Result};
use crate::libtorch::{self, Environment, Ready};
use crate::steps::{self, Step};

/// How much is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Everything.
    Everything,
    /// What builds without libtorch and without Python.
    WithoutLibtorch,
}

/// The folders of `crates/` that need libtorch; every other crate must build without it.
const ON_LIBTORCH: [&str; 3] = ["torch", "train", "cli"];

/// Sets up and runs the checks.
pub(crate) fn run(environment: &Environment, extent: Extent) -> Result<()> {
    let started = Instant::now();
    let ready = match extent {
        Extent::Everything => Some(libtorch::provide(environment)?),
        Extent::WithoutLibtorch => None,
    };
    if ready.is_some() {
        eprintln!("set-up took {:.1} s", started.elapsed().as_secs_f64());
    }
    seed_locks(&environment.root)?;
    steps::run_all(steps(environment, ready.as_ref())?)
}

/// Gives the packages outside the workspace its `Cargo.lock`, so that they build on the same versions.
fn seed_locks(root: &Path) -> Result<()> {
    let lock = root.join("Cargo.lock");
    for package in standalone(root)? {
        let copy = root.join("tests/standalone").join(package).join("Cargo.lock");
        fs::copy(&lock, &copy).on_path("write", &copy)?;
    }
    Ok(())
}

/// The checks in order; those that need libtorch only where it is ready.
fn steps(environment: &Environment, ready: Option<&Ready>) -> Result<Vec<Step>> {
    let root = &environment.root;
    let bare = |title: &str, arguments: &[&str]| {
        let mut command = cargo::bare(environment);
        command.args(arguments);
        Step { title: title.to_owned(), command }
    };
    let light = light_packages(root)?;
    let packages = light.iter().flat_map(|name| ["--package", name.as_str()]).collect::<Vec<_>>();
    let with = |before: &[&'static str], after: &[&'static str]| {
        before
            .iter()
            .copied()
            .chain(packages.iter().copied())
            .chain(after.iter().copied())
            .collect::<Vec<_>>()
    };

    let mut steps = vec![
        bare("format", &["fmt", "--all", "--check"]),
        bare(
            "lints of what needs no libtorch",
            &with(&["clippy"], &["--all-targets", "--", "-D", "warnings"]),
        ),
        bare("tests of what needs no libtorch", &with(&["test"], &[])),
    ];
    if root.join("crates/core/tests/model.rs").is_file() {
        let mut step = bare(
            "model of the queue under every schedule that shuttle finds",
            &["test", "--package", "batchwright-core", "--test", "model", "--target-dir", "target/shuttle"],
        );
        step.command.env("RUSTFLAGS", "--cfg shuttle");
        steps.push(step);
    }
    steps.push(bare(
        "the configuration alone",
        &["check", "--package", "batchwright-config", "--no-default-features"],
    ));
    steps.push(bare(
        "the configuration with images alone",
        &["check", "--package", "batchwright-config", "--no-default-features", "--features", "images"],
    ));
    if root.join("crates/nifti/fuzz/Cargo.toml").is_file() {
        let mut step = bare(
            "fuzz targets",
            &["check", "--manifest-path", "crates/nifti/fuzz/Cargo.toml", "--target-dir", "target/fuzz"],
        );
        // As cargo-fuzz builds them.
        step.command.env("RUSTFLAGS", "--cfg fuzzing");
        steps.push(step);
    }
    steps.push(bare(
        "the program without libtorch",
        &["check", "--package", "batchwright", "--no-default-features"],
    ));
    for package in standalone(root)? {
        let manifest = format!("tests/standalone/{package}/Cargo.toml");
        steps.push(bare(
            &format!("a package that uses {package} alone"),
            &["test", "--quiet", "--manifest-path", &manifest, "--target-dir", "target/standalone"],
        ));
    }

    let Some(ready) = ready else {
        let mut doc = bare("documentation of what needs no libtorch", &with(&["doc", "--no-deps"], &[]));
        doc.command.env("RUSTDOCFLAGS", "-D warnings");
        steps.push(doc);
        return Ok(steps);
    };
    let full = |title: &str, arguments: &[&str]| {
        let mut command = cargo::cargo(environment, ready);
        command.args(arguments);
        Step { title: title.to_owned(), command }
    };
    steps.push(full("lints", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]));
    steps.push(full(
        "tests on libtorch",
        &[
            "test",
            "--package",
            "batchwright-torch",
            "--package",
            "batchwright-train",
            "--package",
            "batchwright",
        ],
    ));
    let mut doc = full("documentation", &["doc", "--workspace", "--no-deps"]);
    doc.command.env("RUSTDOCFLAGS", "-D warnings");
    steps.push(doc);
    if cargo_deny(environment) {
        steps.push(full(
            "licences and sources of dependencies",
            &["deny", "check", "licenses", "bans", "sources"],
        ));
    }
    Ok(steps)
}

/// The packages of the workspace that need no libtorch.
fn light_packages(root: &Path) -> Result<Vec<String>> {
    let mut packages = folders_with_manifest(&root.join("crates"))?
        .into_iter()
        .filter(|folder| !ON_LIBTORCH.contains(&folder.as_str()))
        .map(|folder| format!("batchwright-{folder}"))
        .collect::<Vec<_>>();
    packages.push("xtask".to_owned());
    Ok(packages)
}

/// The packages outside the workspace that show that one crate can be used without the others.
fn standalone(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("tests/standalone");
    if folder.is_dir() { folders_with_manifest(&folder) } else { Ok(Vec::new()) }
}

/// The names of the packages' folders in `folder`, sorted.
fn folders_with_manifest(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).on_path("list", folder)? {
        let entry = entry.on_path("list", folder)?;
        if entry.path().join("Cargo.toml").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn cargo_deny(environment: &Environment) -> bool {
    let mut command: Command = cargo::bare(environment);
    command.args(["deny", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(step: &Step) -> Vec<String> {
        step.command.get_args().map(|word| word.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn without_libtorch_no_step_builds_a_crate_that_needs_it() {
        let steps = steps(&Environment::new(), None).unwrap();
        assert!(5 <= steps.len());
        for step in &steps {
            let words = words(step);
            assert!(!words.contains(&"--workspace".to_owned()), "{words:?}");
            for package in ["batchwright-torch", "batchwright-train"] {
                assert!(!words.contains(&package.to_owned()), "{words:?}");
            }
            if words.contains(&"batchwright".to_owned()) {
                assert!(words.contains(&"--no-default-features".to_owned()), "{words:?}");
            }
        }
    }

    #[test]
    fn every_crate_of_the_workspace_is_tested() {
        let environment = Environment::new();
        let ready = Ready { variables: Vec::new() };
        let steps = steps(&environment, Some(&ready)).unwrap();
        let tested = steps.iter().map(words).filter(|words| words.first().is_some_and(|word| word == "test"));
        let tested = tested.flatten().collect::<Vec<_>>();
        let mut n = 0;
        for folder in folders_with_manifest(&environment.root.join("crates")).unwrap() {
            let package =
                if folder == "cli" { "batchwright".to_owned() } else { format!("batchwright-{folder}") };
            assert!(tested.contains(&package), "{package}");
            n += 1;
        }
        assert!(6 <= n);
        assert!(tested.contains(&"xtask".to_owned()));
    }

    #[test]
    fn the_first_check_is_the_quickest_and_libtorch_comes_last() {
        let environment = Environment::new();
        let light = steps(&environment, None).unwrap().len();
        let all = steps(&environment, Some(&Ready { variables: Vec::new() })).unwrap();
        assert_eq!(words(&all[0]), ["fmt", "--all", "--check"]);
        // All light steps but their documentation, which is part of the documentation of everything.
        let first = all.iter().position(|step| words(step).contains(&"--workspace".to_owned())).unwrap();
        assert_eq!(first, light - 1);
    }
}
