//! `cargo xtask`: fetches libtorch, then builds, runs and tests.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that talks to the person at the terminal"
)]

mod failure;
mod libtorch;
mod tools;

use std::process::ExitCode;

use failure::{Failure, Result};
use libtorch::Environment;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

fn run() -> Result<ExitCode> {
    let environment = Environment::new();
    match std::env::args().nth(1).as_deref() {
        Some("setup") => {
            let ready = libtorch::provide(&environment)?;
            for (name, value) in ready.variables {
                eprintln!("{name}={}", value.display());
            }
            Ok(ExitCode::SUCCESS)
        }
        other => Err(Failure::usage(format!("unknown task {other:?}"))),
    }
}
