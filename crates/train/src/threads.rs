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

/// Settings of libraries that read them when they are loaded, each with what it is left alone by.
#[cfg(unix)]
const ENVIRONMENT: [(&str, &str, [&str; 2]); 4] = [
    // libgomp: do not spin while waiting.
    ("OMP_WAIT_POLICY", "passive", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"]),
    ("GOMP_SPINCOUNT", "0", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"]),
    // glibc: keep memory that a step frees, for the next step wants it again.
    ("MALLOC_TRIM_THRESHOLD_", "1073741824", ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"]),
    ("MALLOC_MMAP_THRESHOLD_", "1073741824", ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"]),
];

/// Prepares the process for training, by starting this program anew, once, with other settings in its environment. Call it
/// first in `main`.
///
/// libgomp and glibc read their settings when they are loaded, before `main`, so setting them afterwards has no effect:
///
/// - `OMP_WAIT_POLICY=passive`, `GOMP_SPINCOUNT=0`: libtorch's threads that spin while they share their cores with busy loader
///   threads make a step many times slower.
/// - `MALLOC_TRIM_THRESHOLD_`, `MALLOC_MMAP_THRESHOLD_` of 1 GiB: gradients are freed and allocated in every step, and giving their pages back each
///   time costs up to a tenth of the step. The process keeps its peak of memory instead.
///
/// A pair of which one is set already is left as it is; where all are, and on systems without `exec`, nothing is done. It
/// returns only where it does nothing or fails.
///
/// # Errors
/// Gives the system's error where the program cannot be started anew; going on is fine.
pub fn prepare_process() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        let missing = |by: &[&str; 2]| by.iter().all(|name| std::env::var_os(name).is_none());
        let settings: Vec<_> = ENVIRONMENT.iter().filter(|(_, _, by)| missing(by)).collect();
        if settings.is_empty() {
            return Ok(());
        }
        let mut arguments = std::env::args_os();
        let mut command = std::process::Command::new(std::env::current_exe()?);
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        let settings = settings.into_iter().map(|(name, value, _)| (name, value));
        Err(command.args(arguments).envs(settings).exec())
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
