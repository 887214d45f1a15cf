//! Ctrl-C, SIGTERM, SIGUSR1 (a queue's warning) and SIGHUP (a closed session): finish the step, save, say so; a second one stops at once.

use std::io::Write;

use batchwright_train::StopFlag;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use crate::failure::{Failure, Result};

/// Sets `stop` at the first signal, and ends the program at the second.
pub(crate) fn stop_at(stop: StopFlag) -> Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM, SIGUSR1])
        .map_err(|error| Failure::environment(error.into()))?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let again = stop.get().is_some();
            stop.set(signal as u8);
            // What it says may have no reader any more; the signal counts all the same.
            if again {
                let text = "stopped at once; the run goes on from its last checkpoint with --resume";
                let _ = writeln!(std::io::stderr(), "\n{text}");
                // Without the destructors of libtorch, whose threads may be computing.
                signal_hook::low_level::exit(128 + signal);
            }
            let text = "stopping: the step in hand is finished and saved; once more stops at once";
            let _ = writeln!(std::io::stderr(), "\n{text}");
        }
    });
    Ok(())
}
