//! `batchwright`: trains, evaluates, previews, benchmarks and verifies from one YAML file.

mod arguments;
mod batch;
mod bench;
mod cache;
mod check;
#[cfg(feature = "train")]
mod embeddings;
#[cfg(feature = "train")]
mod eval;
mod failure;
mod inspect;
mod learned;
#[cfg(feature = "train")]
mod network;
mod open;
mod phantom;
mod preview;
#[cfg(feature = "train")]
mod signals;
#[cfg(feature = "train")]
mod train;
mod verify;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};
use failure::{Failure, Result};

fn main() -> ExitCode {
    // It fails only where the program cannot be started anew; it works without.
    #[cfg(feature = "train")]
    let _ = batchwright_train::prepare_process();
    log::set_logger(&Log).map(|()| log::set_max_level(log::LevelFilter::Warn)).ok();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    // A panic is our bug: exit code 1, as for all of them.
    let outcome = std::panic::catch_unwind(|| run(&arguments.command));
    let outcome = outcome.unwrap_or_else(|_| Err(Failure::ours(anyhow::anyhow!("a panic, as said above"))));
    match outcome {
        Ok(code) => code,
        // A reader that has seen enough (`| head`) is no failure.
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "error: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

fn run(command: &Command) -> Result<ExitCode> {
    match command {
        #[cfg(feature = "train")]
        Command::Train(arguments) => train::run(arguments),
        #[cfg(feature = "train")]
        Command::Eval(arguments) => eval::run(arguments),
        #[cfg(not(feature = "train"))]
        Command::Train(_) | Command::Eval(_) => {
            let text = "this program was built without libtorch; build it with the feature `train`";
            Err(Failure::environment(anyhow::anyhow!(text)))
        }
        Command::Preview(arguments) => preview::run(arguments),
        Command::Batch(arguments) => batch::run(arguments),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Inspect(arguments) => inspect::run(arguments),
        Command::Phantom(arguments) => phantom::run(arguments),
        Command::Cache(arguments) => cache::run(&arguments.command),
        Command::Check(arguments) => check::run(arguments),
        Command::Schema => {
            let schema = serde_json::to_string_pretty(&batchwright_config::schema());
            print(&schema.map_err(|error| Failure::ours(error.into()))?)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Prints a text to standard output.
fn print(text: &str) -> Result<()> {
    let text = text.trim_end_matches('\n');
    writeln!(std::io::stdout(), "{text}").map_err(|error| Failure::environment(error.into()))
}

/// Warnings of the libraries go to standard error.
struct Log;

impl log::Log for Log {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn && metadata.target().starts_with("batchwright")
    }

    fn log(&self, record: &log::Record<'_>) {
        // The trainer says its warnings itself, above its progress bar.
        if self.enabled(record.metadata()) && !record.target().starts_with("batchwright_train") {
            let _ =
                writeln!(std::io::stderr(), "{}: {}", record.level().as_str().to_lowercase(), record.args());
        }
    }

    fn flush(&self) {}
}
