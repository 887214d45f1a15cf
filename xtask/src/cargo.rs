//! Calls of cargo.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::failure::Failure;
use crate::libtorch::{Environment, Ready};

/// Cargo, with the variables that a build on libtorch needs.
pub(crate) fn cargo(environment: &Environment, ready: &Ready) -> Command {
    let mut cargo = bare(environment);
    cargo.envs(ready.variables.iter().map(|(name, value)| (name, value)));
    cargo
}

/// Cargo as it is, for what needs no libtorch.
pub(crate) fn bare(environment: &Environment) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(&environment.root);
    // What `cargo run` has set for this program is not meant for the next cargo.
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Builds the program, with its progress visible: the first time takes minutes.
pub(crate) fn build_program(environment: &Environment, ready: &Ready) -> Command {
    let mut build = cargo(environment, ready);
    build.args(["build", "--release", "--package", "batchwright"]);
    build
}

/// The program, run where the user is, with paths as the user wrote them.
pub(crate) fn program(environment: &Environment, ready: &Ready) -> Command {
    let mut run = cargo(environment, ready);
    if let Ok(here) = std::env::current_dir() {
        run.current_dir(here);
    }
    run.args(["run", "--release", "--quiet", "--package", "batchwright", "--manifest-path"]);
    run.arg(environment.root.join("Cargo.toml"));
    run.arg("--");
    run
}

/// Replaces this process, so that signals reach the program itself and its exit code is ours. Returns only on failure.
pub(crate) fn become_program(
    environment: &Environment,
    ready: &Ready,
    task: &OsStr,
    arguments: &[OsString],
) -> Failure {
    let cause = program(environment, ready).arg(task).args(arguments).exec();
    Failure::new(format!("cannot start cargo: {cause}"))
}
