//! Several processes that share a directory: this test's own program, started again.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use super::*;

const SHAPE: [usize; 3] = [32, 32, 32];
const FILE: usize = 32 * 32 * 32 * 2 * 2 + 4096;
const WAIT: Duration = Duration::from_mins(1);

/// Work of a child, as `what|folder|milliseconds of decoding|budget`.
const WORK: &str = "BATCHWRIGHT_TEST_CACHE_CHILD";

/// Not a test of itself: what a child does.
#[test]
fn a_child() {
    let Ok(work) = std::env::var(WORK) else { return };
    let parts: Vec<&str> = work.split('|').collect();
    let [what, folder, takes, budget] = parts[..] else { panic!("{work}") };
    let folder = Path::new(folder);
    let takes = Duration::from_millis(takes.parse().unwrap());
    let cache = in_directory(&folder.join("cache"), budget.parse().unwrap());
    let source = |i: usize| Made { takes, ..Made::of(folder.join(format!("{i}")), SHAPE, i as i16) };
    match what {
        "one" => source(0).check(&cache.decoded(&source(0)).unwrap()),
        // Many volumes over and over, more than the budget holds, each checked.
        "many" => {
            for round in 0..120 {
                let i = (round * 7 + std::process::id() as usize) % 12;
                source(i).check(&cache.decoded(&source(i)).unwrap());
            }
        }
        "hold" => {
            let voxels = cache.decoded(&source(0)).unwrap();
            std::fs::write(folder.join("holds"), "").unwrap();
            thread::sleep(WAIT);
            drop(voxels);
        }
        "full" => {
            let voxels = cache.decoded(&source(0)).unwrap();
            source(0).check(&voxels);
            assert!(!voxels.is_mapped(), "there is no room for it");
            assert_eq!(cache.statistics().unwritten, 1);
            assert_eq!(Cache::report(&folder.join("cache")).unwrap().bytes, 0);
        }
        _ => panic!("{work}"),
    }
}

fn work(folder: &Path, what: &str, takes: u64, budget: usize) -> String {
    format!("{what}|{}|{takes}|{budget}", folder.display())
}

fn start(mut command: Command, work: &str) -> Child {
    command.args(["--exact", "cache::tests::processes::a_child", "--nocapture"]).env(WORK, work);
    command.stdout(Stdio::null()).spawn().unwrap()
}

fn child(folder: &Path, what: &str, takes: u64, budget: usize) -> Child {
    start(Command::new(std::env::current_exe().unwrap()), &work(folder, what, takes, budget))
}

fn volumes(folder: &Path, count: usize) -> Vec<Made> {
    (0..count).map(|i| Made::new(folder, &format!("{i}"), SHAPE, i as i16)).collect()
}

fn wait_for(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < WAIT, "waited too long");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn one_process_decodes_while_others_wait() {
    let folder = tempfile::tempdir().unwrap();
    let source = &volumes(folder.path(), 1)[0];
    let children: Vec<Child> = (0..4).map(|_| child(folder.path(), "one", 400, 100 * FILE)).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(source.decodings(), 1);
}

#[test]
fn a_process_killed_while_it_decodes_leaves_nothing_to_wait_for() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("cache");
    let source = &volumes(folder.path(), 1)[0];
    let mut killed = child(folder.path(), "one", 60_000, 100 * FILE);
    wait_for(|| source.decodings() == 1);
    assert_eq!(Cache::report(&directory).unwrap().being_made, 1);
    // Another waits for it already when it dies.
    let mut waits = child(folder.path(), "one", 0, 100 * FILE);
    thread::sleep(Duration::from_millis(100));
    assert_eq!(source.decodings(), 1);
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(waits.wait().unwrap().success());
    assert_eq!(source.decodings(), 2);
    let report = Cache::report(&directory).unwrap();
    assert_eq!((report.entries.len(), report.bytes, report.left_unfinished), (1, FILE as u64, 0));
    // And one that dies with nobody waiting.
    Cache::clear(&directory).unwrap();
    let mut killed = child(folder.path(), "one", 60_000, 100 * FILE);
    wait_for(|| source.decodings() == 3);
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(Cache::report(&directory).unwrap().left_unfinished, 1);
    source.check(&in_directory(&directory, 100 * FILE).decoded(source).unwrap());
    assert_eq!(Cache::report(&directory).unwrap().left_unfinished, 0);
}

#[test]
fn what_another_process_uses_does_not_leave() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("cache");
    let sources = volumes(folder.path(), 3);
    let mut holder = child(folder.path(), "hold", 0, FILE);
    wait_for(|| folder.path().join("holds").exists());
    let cache = in_directory(&directory, FILE);
    cache.decoded(&sources[1]).unwrap();
    cache.decoded(&sources[2]).unwrap();
    let report = Cache::report(&directory).unwrap();
    let held: Vec<_> = report.entries.iter().filter(|entry| entry.in_use).collect();
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].source.as_deref(), Some(&*sources[0].path.to_string_lossy()));
    // Killed, it holds nothing any more.
    holder.kill().unwrap();
    holder.wait().unwrap();
    cache.decoded(&sources[1]).unwrap();
    let report = Cache::report(&directory).unwrap();
    assert_eq!((report.bytes, report.entries.len()), (FILE as u64, 1));
}

#[test]
fn processes_that_make_room_at_once_and_are_killed_give_right_voxels() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("cache");
    let sources = volumes(folder.path(), 12);
    let mut children: Vec<Child> = (0..3).map(|_| child(folder.path(), "many", 1, 5 * FILE)).collect();
    for _ in 0..5 {
        let mut killed = child(folder.path(), "many", 3, 5 * FILE);
        thread::sleep(Duration::from_millis(60));
        killed.kill().unwrap();
        killed.wait().unwrap();
        // The budget, and one volume for each of the processes.
        let bytes = Cache::report(&directory).unwrap().bytes;
        assert!(bytes <= (5 + 4) * FILE as u64, "{bytes}");
    }
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    let cache = in_directory(&directory, 5 * FILE);
    for source in &sources {
        source.check(&cache.decoded(source).unwrap());
    }
    let report = Cache::report(&directory).unwrap();
    assert!(report.bytes <= 5 * FILE as u64 && report.left_unfinished == 0, "{report:?}");
}

/// A limit on the length of files stands for a full disk: the system says so at the same places, by another number.
#[test]
fn a_full_disk_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let source = &volumes(folder.path(), 1)[0];
    let mut shell = Command::new("sh");
    let program = std::env::current_exe().unwrap();
    shell.args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\""]).arg(program);
    assert!(start(shell, &work(folder.path(), "full", 0, 100 * FILE)).wait().unwrap().success());
    assert_eq!(source.decodings(), 1);
}

/// A file system of 64 KiB, where this user may mount one.
#[test]
fn a_really_full_disk_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("cache");
    std::fs::create_dir(&directory).unwrap();
    volumes(folder.path(), 1);
    let mount =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(&directory).output();
    if !mount.is_ok_and(|output| output.status.success()) {
        println!("left out: file systems cannot be mounted here");
        return;
    }
    let outcome = child(folder.path(), "full", 0, 100 * FILE).wait();
    assert!(Command::new("umount").arg(&directory).status().unwrap().success());
    assert!(outcome.unwrap().success());
}
