//! What is seen while training.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::options::Progress;

/// Shows how a training goes on: a bar on a terminal, else lines, or nothing.
#[derive(Debug)]
pub(crate) struct Reporter {
    bar: Option<ProgressBar>,
    lines: bool,
    epochs: u64,
    last: Option<Instant>,
}

/// Lines come no more often than this.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

impl Reporter {
    pub(crate) fn new(progress: Progress, epochs: u64) -> Self {
        let shown = progress == Progress::Auto;
        let terminal = shown && std::io::stderr().is_terminal();
        let bar = terminal.then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(8));
            let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg}");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, lines: shown && !terminal, epochs, last: None }
    }

    pub(crate) fn epochs(&self) -> u64 {
        self.epochs
    }

    /// Begins an epoch of `steps` steps, `done` of which are made.
    pub(crate) fn epoch(&self, epoch: u64, done: u64, steps: u64) {
        if let Some(bar) = &self.bar {
            bar.reset();
            bar.set_length(steps);
            bar.set_position(done);
            bar.set_prefix(format!("epoch {}/{}", epoch + 1, self.epochs));
        }
    }

    pub(crate) fn step(&self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// Shows figures of a window of steps.
    pub(crate) fn figures(&mut self, epoch: u64, step: u64, loss: f64, rate: f64, waited: f64) {
        let text = format!("loss {loss:.4}  {rate:.0} samples/s  waiting {:.0} %", 100.0 * waited);
        if let Some(bar) = &self.bar {
            bar.set_message(text);
        } else if self.lines && self.last.is_none_or(|last| BETWEEN_LINES <= last.elapsed()) {
            self.last = Some(Instant::now());
            self.write(&format!("epoch {}/{}  step {step}  {text}", epoch + 1, self.epochs));
        }
    }

    /// Shows a line that stays.
    pub(crate) fn say(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.suspend(|| self.write(text));
        } else if self.lines {
            self.write(text);
        }
    }

    #[expect(clippy::unused_self, reason = "only a reporter writes")]
    fn write(&self, text: &str) {
        // Nobody listens to a closed pipe; the training goes on.
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
