//! Volumes in the files of a directory.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Barrier;
use std::thread;

use super::*;

const SHAPE: [usize; 3] = [16, 16, 16];
const BYTES: usize = 16 * 16 * 16 * 2 * 2;
/// What the file of such a volume takes.
const FILE: usize = BYTES + 4096;

fn entry(directory: &Path) -> PathBuf {
    let report = Cache::report(directory).unwrap();
    assert_eq!(report.entries.len(), 1);
    directory.join(&report.entries[0].file)
}

#[test]
fn a_volume_is_decoded_once_for_this_run_and_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("new/cache");
    let source = Made { takes: Duration::from_millis(50), ..Made::new(folder.path(), "a.nii.gz", SHAPE, 1) };
    let cache = in_directory(&directory, 10 * FILE);
    let barrier = Barrier::new(4);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                barrier.wait();
                let voxels = cache.decoded(&source).unwrap();
                assert!(voxels.is_mapped());
                source.check(&voxels);
            });
        }
    });
    let next = in_directory(&directory, 10 * FILE);
    source.check(&next.decoded(&source).unwrap());
    assert_eq!(source.decodings(), 1);
    assert_eq!((next.statistics().decoded, next.statistics().hits), (0, 1));
    let report = Cache::report(&directory).unwrap();
    assert_eq!((report.bytes, report.being_made, report.left_unfinished), (FILE as u64, 0, 0));
    assert_eq!(report.entries[0].source.as_deref(), Some(&*source.path.to_string_lossy()));
    assert_eq!((report.entries[0].shape, report.entries[0].in_use), (SHAPE, false));
}

#[test]
fn files_leave_by_their_last_use_but_never_one_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("cache");
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| Made::new(folder.path(), name, SHAPE, 5));
    let cache = in_directory(&directory, 3 * FILE);
    let held = cache.decoded(&a).unwrap();
    for source in [&b, &c] {
        cache.decoded(source).unwrap();
    }
    // The clock of files is coarse: say which was used first.
    for (source, age) in [(&a, 30), (&b, 10), (&c, 20)] {
        let name = source.path.to_string_lossy();
        let report = Cache::report(&directory).unwrap();
        let found = report.entries.iter().find(|entry| entry.source.as_deref() == Some(&*name)).unwrap();
        assert_eq!(found.in_use, source.path == a.path);
        let file = File::options().append(true).open(directory.join(&found.file)).unwrap();
        let time = file.metadata().unwrap().modified().unwrap() - Duration::from_secs(age);
        file.set_modified(time).unwrap();
    }
    // `c` leaves; then all the others are there.
    cache.decoded(&d).unwrap();
    for source in [&a, &b, &d] {
        source.check(&cache.decoded(source).unwrap());
    }
    assert_eq!([&a, &b, &c, &d].map(Made::decodings), [1, 1, 1, 1]);
    assert_eq!(Cache::report(&directory).unwrap().bytes, 3 * FILE as u64);
    cache.decoded(&c).unwrap();
    assert_eq!((c.decodings(), cache.statistics().evicted), (2, 2));
    a.check(&held);
}

#[test]
fn a_damaged_file_is_found_and_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("cache");
    let source = Made::new(folder.path(), "a", SHAPE, 1);
    in_directory(&directory, 10 * FILE).decoded(&source).unwrap();
    let path = entry(&directory);
    let whole = std::fs::read(&path).unwrap();
    let mut expected = 1;
    // A bit of the header, of the voxels, the last one; too short, too long, empty, all zeros.
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x80;
        bytes
    };
    let damaged = [
        flipped(3),
        flipped(40),
        flipped(4000),
        flipped(4096),
        flipped(BYTES / 2),
        flipped(FILE - 1),
        whole[..FILE - 1].to_vec(),
        whole[..4096].to_vec(),
        whole[..100].to_vec(),
        Vec::new(),
        [&whole[..], &[0]].concat(),
        vec![0; FILE],
    ];
    for bytes in damaged {
        std::fs::write(&path, bytes).unwrap();
        let cache = in_directory(&directory, 10 * FILE);
        source.check(&cache.decoded(&source).unwrap());
        expected += 1;
        assert_eq!((source.decodings(), cache.statistics().damaged), (expected, 1));
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }
}

#[test]
fn an_entry_under_the_name_of_another_is_not_taken_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("cache");
    let [a, b] = ["a", "b"].map(|name| Made::new(folder.path(), name, SHAPE, name.len() as i16));
    let cache = in_directory(&directory, 10 * FILE);
    cache.decoded(&a).unwrap();
    let of_a = entry(&directory);
    cache.decoded(&b).unwrap();
    let report = Cache::report(&directory).unwrap();
    let of_b = report.entries.iter().map(|entry| directory.join(&entry.file)).find(|path| *path != of_a);
    std::fs::copy(&of_a, of_b.unwrap()).unwrap();
    in_directory(&directory, 10 * FILE).decoded(&b).unwrap();
    assert_eq!((a.decodings(), b.decodings()), (1, 2));
}

#[test]
fn a_file_that_another_process_shortens_between_uses_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("cache");
    let source = Made::new(folder.path(), "a", [64, 64, 16], 1);
    let cache = in_directory(&directory, 10 << 20);
    cache.decoded(&source).unwrap();
    File::options().write(true).open(entry(&directory)).unwrap().set_len(5000).unwrap();
    source.check(&cache.decoded(&source).unwrap());
    assert_eq!(source.decodings(), 2);
}

#[test]
fn a_file_that_another_process_removes_is_made_anew_and_its_disk_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("cache");
    let source = Made::new(folder.path(), "a", SHAPE, 1);
    let cache = in_directory(&directory, 10 * FILE);
    let held = cache.decoded(&source).unwrap();
    assert_eq!(Cache::clear(&directory).unwrap().in_use, 1);
    source.check(&cache.decoded(&source).unwrap());
    drop(held);
    let cleared = Cache::clear(&directory).unwrap();
    assert_eq!((cleared.removed, cleared.bytes, cleared.in_use), (1, FILE as u64, 0));
    // Nobody asks for it again, but asks for another: the map goes with it.
    thread::sleep(Duration::from_millis(1100));
    let other = Made::new(folder.path(), "b", SHAPE, 1);
    cache.decoded(&other).unwrap();
    assert_eq!(cache.statistics().entries, 1);
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let directory_text = directory.to_string_lossy();
    let gone = maps.lines().filter(|line| line.contains(&*directory_text) && line.contains("(deleted)"));
    assert_eq!(gone.count(), 0);
    source.check(&cache.decoded(&source).unwrap());
    assert_eq!(source.decodings(), 2);
}

#[test]
fn failures_and_panics_leave_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("cache");
    let source = Made::new(folder.path(), "a", SHAPE, 1);
    let cache = in_directory(&directory, 10 * FILE);
    for outcome in [Does::Fail, Does::Panic] {
        let bad = Made { outcome, ..source.clone() };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| cache.decoded(&bad)));
        assert!(result.is_err() || result.is_ok_and(|result| result.is_err()));
        let report = Cache::report(&directory).unwrap();
        assert_eq!((report.bytes, report.left_unfinished, report.being_made), (0, 0, 0));
    }
    source.check(&cache.decoded(&source).unwrap());
}

#[test]
fn a_volume_longer_than_the_budget_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("cache");
    let source = Made::new(folder.path(), "a", SHAPE, 1);
    let cache = in_directory(&directory, BYTES);
    let (first, second) = (cache.decoded(&source).unwrap(), cache.decoded(&source).unwrap());
    assert!(!first.is_mapped() && !second.is_mapped());
    source.check(&second);
    assert_eq!((source.decodings(), Cache::report(&directory).unwrap().bytes), (1, 0));
    drop((first, second));
    cache.decoded(&Made::new(folder.path(), "b", SHAPE, 1)).unwrap();
    assert_eq!(cache.statistics().bytes, (HEAD + BYTES) as u64, "the one that nobody uses has left");
}

#[test]
fn only_files_of_the_cache_are_removed_and_only_from_a_cache() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("cache");
    let other = ["notes.voxels", "00.part", "0123456789ABCDEF0123456789ABCDEF.voxels"];
    std::fs::create_dir(&directory).unwrap();
    for name in other {
        std::fs::write(directory.join(name), "mine").unwrap();
    }
    let error = Cache::clear(&directory).unwrap_err();
    assert!(
        error.to_string().ends_with("is not the directory of a cache: it has no CACHEDIR.TAG"),
        "{error}"
    );
    assert!(Cache::report(&folder.path().join("none")).is_err());
    let left = directory.join("0123456789abcdef0123456789abcdef.part");
    std::fs::write(&left, "left by a process that died").unwrap();
    std::fs::write(directory.join("CACHEDIR.TAG"), "").unwrap();
    assert_eq!(Cache::report(&directory).unwrap().left_unfinished, 1);
    let cache = in_directory(&directory, 10 * FILE);
    assert!(!left.exists());
    cache.decoded(&Made::new(folder.path(), "a", SHAPE, 1)).unwrap();
    assert_eq!(Cache::clear(&directory).unwrap().removed, 1);
    assert!(other.iter().all(|name| directory.join(name).exists()));
}

#[test]
fn a_damaged_entry_is_listed_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("cache");
    in_directory(&directory, 10 * FILE).decoded(&Made::new(folder.path(), "a", SHAPE, 1)).unwrap();
    File::options().write(true).open(entry(&directory)).unwrap().write_all_at(&[1; 8], 0).unwrap();
    let report = Cache::report(&directory).unwrap();
    assert_eq!((report.entries[0].source.as_deref(), report.entries[0].voxel_type), (None, None));
    assert!(serde_json::to_string(&report).unwrap().contains("\"source\":null"));
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let directory = Some(file.join("cache"));
    let error = Cache::new(CacheOptions { budget: 1, directory, key: KeyBy::Content }).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot create the folder {}", file.join("cache").display()));
}
