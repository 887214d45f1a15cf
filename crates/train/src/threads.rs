//! How the processor's cores are shared by training and loading.

use std::num::NonZeroUsize;
use std::thread::available_parallelism;

use batchwright_config::Threads;

/// Returns how many threads libtorch computes with: the number that is configured, or the cores less the loader's workers, at
/// least 1.
pub fn resolve_threads(threads: Threads, workers: usize) -> NonZeroUsize {
    match threads {
        Threads::Count(count) => count,
        Threads::Auto(_) => NonZeroUsize::new(cores().saturating_sub(workers)).unwrap_or(NonZeroUsize::MIN),
    }
}

/// Returns a warning where training and loading together want more cores than there are.
pub(crate) fn crowded(threads: NonZeroUsize, workers: usize) -> Option<String> {
    let (wanted, cores) = (threads.get() + workers, cores());
    // Workers mostly wait where the training is the slower of the two; one thread of training cannot be lowered.
    (cores < wanted && 1 < threads.get()).then(|| {
        format!(
            "{threads} threads of training (`training.threads`) and {workers} workers of the loader (`loader.workers`) share {cores} \
             cores: each step can become many times slower; make them {cores} together"
        )
    })
}

fn cores() -> usize {
    available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Tells libtorch's thread pool (libgomp) not to spin while it waits, by starting this program anew, once, with
/// `OMP_WAIT_POLICY=passive` and `GOMP_SPINCOUNT=0` in its environment. Call it first in `main`.
///
/// libgomp reads its settings when it is loaded, before `main`, so setting them afterwards has no effect. Spinning threads that share
/// their cores with busy loader threads make a step many times slower. Where either variable is set already, and on
/// systems without `exec`, it does nothing. It returns only where it does nothing or fails.
///
/// # Errors
/// Gives the system's error where the program cannot be started anew; going on is fine.
pub fn prepare_process() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        let is_set = |name| std::env::var_os(name).is_some();
        if is_set("OMP_WAIT_POLICY") || is_set("GOMP_SPINCOUNT") {
            return Ok(());
        }
        let mut arguments = std::env::args_os();
        let mut command = std::process::Command::new(std::env::current_exe()?);
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        Err(command.args(arguments).env("OMP_WAIT_POLICY", "passive").env("GOMP_SPINCOUNT", "0").exec())
    }
    #[cfg(not(unix))]
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use batchwright_config::Auto;

    #[test]
    fn automatic_threads_leave_the_workers_their_cores_but_keep_one() {
        assert_eq!(resolve_threads(Threads::Auto(Auto::Auto), 0).get(), cores());
        assert_eq!(resolve_threads(Threads::Auto(Auto::Auto), 10_000).get(), 1);
        let three = NonZeroUsize::new(3).unwrap();
        assert_eq!(resolve_threads(Threads::Count(three), 64), three);
    }

    #[test]
    fn too_many_threads_are_warned_of_with_the_keys_to_change() {
        let warning = crowded(NonZeroUsize::new(1000).unwrap(), 4).unwrap();
        assert!(warning.contains("training.threads") && warning.contains("loader.workers"), "{warning}");
        assert_eq!(crowded(NonZeroUsize::MIN, 10_000), None);
    }
}
