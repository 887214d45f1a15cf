//! Commands one after the other, with headings and times, up to the first that fails.

use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::failure::{Failure, Result};

/// One command with a title.
#[derive(Debug)]
pub(crate) struct Step {
    /// What is checked, for a reader.
    pub(crate) title: String,
    /// How.
    pub(crate) command: Command,
}

/// Runs one command and waits for it; a failure names the command and how it ended.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!("{shown} failed ({status})"))),
        Err(cause) => Err(Failure::new(format!("cannot run {shown}: {cause}"))),
    }
}

/// Runs all steps up to the first failure, and sums up the times.
pub(crate) fn run_all(steps: Vec<Step>) -> Result<()> {
    let total = steps.len();
    let started = Instant::now();
    let mut times = Vec::new();
    for (number, mut step) in steps.into_iter().enumerate() {
        eprintln!("\n== {} of {total}: {}\n   {}", number + 1, step.title, shown(&step.command));
        let started = Instant::now();
        let result = run(&mut step.command);
        times.push((step.title, started.elapsed()));
        if let Err(failure) = result {
            eprintln!("\n{}", summary(&times, Some(total)));
            return Err(failure);
        }
    }
    eprintln!(
        "\n{}all of {total} steps passed in {:.0} s",
        summary(&times, None),
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

/// The steps that ran with their times; with `stopped` the last one has failed, out of that many.
fn summary(times: &[(String, Duration)], stopped: Option<usize>) -> String {
    let mut text = String::new();
    for (index, (title, time)) in times.iter().enumerate() {
        let failed = stopped.is_some() && index + 1 == times.len();
        let word = if failed { "FAILED" } else { "ok" };
        let _ = writeln!(text, "{:>7.1} s  {word:6}  {title}", time.as_secs_f64());
    }
    if let Some(total) = stopped {
        let _ = writeln!(text, "not run: {} of {total} steps", total - times.len());
    }
    text
}

/// A command as it would be typed, with the variables that were set for it and matter.
fn shown(command: &Command) -> String {
    let mut words = Vec::new();
    for (name, value) in command.get_envs() {
        if let Some(value) = value.filter(|_| name == "RUSTFLAGS" || name == "RUSTDOCFLAGS") {
            words.push(format!("{}=\"{}\"", name.display(), value.display()));
        }
    }
    let program = std::path::Path::new(command.get_program());
    words.push(program.file_name().unwrap_or(command.get_program()).display().to_string());
    words.extend(command.get_args().map(|argument| argument.display().to_string()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(title: &str, script: &str) -> Step {
        let mut command = Command::new("sh");
        command.arg("-c").arg(script);
        Step { title: title.to_owned(), command }
    }

    #[test]
    fn what_comes_after_a_failure_is_not_run() {
        let folder = tempfile::tempdir().unwrap();
        let mark = |name: &str| format!("touch {}", folder.path().join(name).display());
        let steps = vec![step("a", &mark("a")), step("b", "exit 3"), step("c", &mark("c"))];
        let message = run_all(steps).unwrap_err().to_string();
        assert_eq!(message, "sh -c exit 3 failed (exit status: 3)");
        assert!(folder.path().join("a").exists());
        assert!(!folder.path().join("c").exists());
    }

    #[test]
    fn all_steps_run_where_none_fails() {
        let folder = tempfile::tempdir().unwrap();
        let mark = |name: &str| format!("touch {}", folder.path().join(name).display());
        run_all(vec![step("a", &mark("a")), step("b", &mark("b"))]).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn the_summary_says_which_step_failed_and_how_many_did_not_run() {
        let times =
            [("fmt".to_owned(), Duration::from_secs(1)), ("clippy".to_owned(), Duration::from_millis(2500))];
        assert_eq!(
            summary(&times, Some(5)),
            "    1.0 s  ok      fmt\n    2.5 s  FAILED  clippy\nnot run: 3 of 5 steps\n"
        );
        assert_eq!(summary(&times[..1], None), "    1.0 s  ok      fmt\n");
    }

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        let mut command = Command::new("/usr/bin/cargo");
        command.args(["doc", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings").env("OTHER", "x");
        assert_eq!(shown(&command), "RUSTDOCFLAGS=\"-D warnings\" cargo doc --no-deps");
    }
}
