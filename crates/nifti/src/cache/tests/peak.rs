//! The most memory that the cache takes, as the system counts it, in a process of its own.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::*;

const SHAPE: [usize; 3] = [128, 128, 64];
const BYTES: usize = 128 * 128 * 64 * 2 * 2 + HEAD;
const WORK: &str = "BATCHWRIGHT_TEST_CACHE_PEAK";
const WORKERS: usize = 3;

/// Returns anonymous and shared memory of this process, in bytes.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let lines = status.lines().filter(|line| line.starts_with("RssAnon:") || line.starts_with("RssShmem:"));
    lines.map(|line| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024).sum()
}

/// Not a test of itself: what a child does. `folder|budget in volumes|directory or not`.
#[test]
fn a_child() {
    let Ok(work) = std::env::var(WORK) else { return };
    let parts: Vec<&str> = work.split('|').collect();
    let [folder, budget, directory] = parts[..] else { panic!("{work}") };
    let folder = Path::new(folder);
    let budget: usize = budget.parse().unwrap();
    let cache = match directory {
        "" => in_memory(budget * BYTES),
        directory => in_directory(Path::new(directory), budget * (BYTES - HEAD + 4096)),
    };
    // Lengths differ, so that pages cannot simply be handed on.
    let sources: Vec<Made> = (0..12)
        .map(|i| Made::of(folder.join(format!("{i}")), [SHAPE[0], SHAPE[1], SHAPE[2] - i % 5], i as i16))
        .collect();
    let (done, most) = (AtomicBool::new(false), AtomicU64::new(0));
    let before = memory();
    thread::scope(|scope| {
        let (cache, sources, done, most) = (&cache, &sources, &done, &most);
        let watch = scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                most.fetch_max(memory(), Ordering::Relaxed);
            }
        });
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                scope.spawn(move || {
                    for round in 0..40 {
                        let source = &sources[(round * 5 + worker * 7) % sources.len()];
                        source.check(&cache.decoded(source).unwrap());
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        watch.join().unwrap();
    });
    let most = most.into_inner() - before;
    let bound = match directory {
        "" => (budget + WORKERS) * BYTES,
        // Files are not this process's memory.
        _ => 0,
    } + (2 << 20);
    println!(
        "PEAK {:.1} MiB, bound {:.1} MiB, {:?}",
        most as f64 / 1_048_576.0,
        bound as f64 / 1_048_576.0,
        cache.statistics()
    );
    assert!(most <= bound as u64, "{most} bytes, more than {bound}");
    assert!(cache.statistics().most_bytes <= (budget.max(WORKERS) * BYTES) as u64);
    assert!(
        !directory.is_empty() || (budget * BYTES) as u64 / 2 < most || budget == 0,
        "it measures something: {most}"
    );
}

fn run(budget: usize, directory: Option<&str>) {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..12 {
        Made::new(folder.path(), &format!("{i}"), SHAPE, i);
    }
    let directory = directory.map_or_else(String::new, |name| folder.path().join(name).display().to_string());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "cache::tests::peak::a_child", "--nocapture"]);
    let output =
        command.env(WORK, format!("{}|{budget}|{directory}", folder.path().display())).output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    println!("{}", text.lines().find(|line| line.contains("PEAK")).unwrap());
}

#[test]
fn memory_is_the_budget_and_a_volume_a_worker_at_most() {
    run(4, None);
}

#[test]
fn without_a_budget_it_is_a_volume_a_worker() {
    run(0, None);
}

#[test]
fn with_a_directory_it_is_none() {
    run(4, Some("cache"));
}
