//! `cargo xtask`: fetches libtorch, then builds, runs and tests.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that talks to the person at the terminal"
)]

mod cargo;
mod checks;
mod demo;
mod failure;
mod libtorch;
mod steps;
#[cfg(test)]
mod testing;
mod tools;

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use failure::{Failure, Result};
use libtorch::Environment;

const HELP: &str = "\
cargo xtask TASK

  setup             provide libtorch: the one of LIBTORCH or LIBTORCH_USE_PYTORCH, else a CPU build in the user's cache
  demo [OPTION ...] set up, build, and train the default configuration on generated volumes
  test [--fast]     set up, then run every check there is; --fast leaves out what needs libtorch
  env               print what a shell needs to build with cargo alone: eval \"$(cargo xtask env)\"
  help              this text

These set up, build in release and hand over to the program, with all their arguments:

  train, eval, preview, batch, bench, schema, verify, inspect, check, phantom, cache
";

/// Subcommands of the program.
const PROGRAM: [&str; 11] = [
    "train", "eval", "preview", "batch", "bench", "schema", "verify", "inspect", "check", "phantom", "cache",
];

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let task = arguments.next().unwrap_or_else(|| "help".into());
    match run(&task, &arguments.collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

fn run(task: &OsStr, arguments: &[OsString]) -> Result<()> {
    let environment = Environment::new();
    let none = || match arguments.first() {
        None => Ok(()),
        Some(first) => Err(Failure::usage(format!(
            "{} takes no argument, found {}; see cargo xtask help",
            task.display(),
            first.display()
        ))),
    };
    match task.to_str() {
        Some("setup") => {
            none()?;
            let ready = libtorch::provide(&environment)?;
            for (name, value) in &ready.variables {
                eprintln!("{name}={}", value.display());
            }
            eprintln!("ready: cargo xtask demo, cargo xtask test, or plain cargo");
            Ok(())
        }
        Some("env") => {
            none()?;
            let ready = libtorch::provide(&environment)?;
            for (name, value) in &ready.variables {
                println!("export {name}={}", quoted(value)?);
            }
            Ok(())
        }
        Some("demo") => demo::run(&environment, arguments),
        Some("test") => match arguments {
            [] => checks::run(&environment, checks::Extent::Everything),
            [only] if only == "--fast" => checks::run(&environment, checks::Extent::WithoutLibtorch),
            _ => Err(Failure::usage("test takes nothing or --fast; see cargo xtask help")),
        },
        Some("help" | "-h" | "--help") => {
            print!("{HELP}");
            Ok(())
        }
        Some(name) if PROGRAM.contains(&name) => {
            let ready = libtorch::provide(&environment)?;
            steps::run(&mut cargo::build_program(&environment, &ready))?;
            Err(cargo::become_program(&environment, &ready, task, arguments))
        }
        _ => Err(Failure::usage(format!("no task {}; see cargo xtask help", task.display()))),
    }
}

/// Quotes a value for a POSIX shell.
fn quoted(value: &OsStr) -> Result<String> {
    let text = value.to_str().ok_or_else(|| {
        Failure::new(format!("cannot write {} for a shell: it is not UTF-8", value.display()))
    })?;
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_quoted_so_that_a_shell_reads_it_back() {
        let value = OsStr::new("/a b/it's $HOME");
        let script = format!("printf %s {}", quoted(value).unwrap());
        let output = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
        assert_eq!(output.stdout, value.as_encoded_bytes());
    }

    #[test]
    fn the_help_names_every_subcommand_of_the_program() {
        for name in PROGRAM {
            assert!(HELP.contains(name), "{name}");
        }
    }

    #[test]
    fn a_wrong_command_line_ends_with_2() {
        assert_eq!(run(OsStr::new("tran"), &[]).unwrap_err().code(), 2);
        assert_eq!(run(OsStr::new("test"), &["--fats".into()]).unwrap_err().code(), 2);
        assert_eq!(run(OsStr::new("setup"), &["x".into()]).unwrap_err().code(), 2);
    }
}
