//! Ctrl-C and SIGTERM: finish the step, save, say so; a second one stops at once.

use batchwright_train::StopFlag;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use crate::failure::{Failure, Result};

/// Sets `stop` at the first signal, and ends the program at the second.
pub(crate) fn stop_at(stop: StopFlag) -> Result<()> {
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGUSR1]).map_err(|error| Failure::environment(error.into()))?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if stop.get().is_some() {
                eprintln!("\nstopped at once; the run goes on from its last checkpoint with --resume");
                std::process::exit(128 + signal);
            }
            eprintln!("\nstopping: the step in hand is finished and saved; once more stops at once");
            stop.set(signal as u8);
        }
    });
    Ok(())
}
