//! What makes another entry.

use std::fs::{File, FileTimes};

use super::*;

const SHAPE: [usize; 3] = [4, 5, 6];

fn by(key: KeyBy) -> Cache {
    Cache::new(CacheOptions { budget: 1 << 20, directory: None, key }).unwrap()
}

/// Returns how many decodings it takes to ask for a source again after a change.
fn decodings_after(key: KeyBy, change: impl FnOnce(&mut Made)) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let mut source = Made::new(folder.path(), "a.nii.gz", SHAPE, 3);
    let cache = by(key);
    cache.decoded(&source).unwrap();
    cache.decoded(&source).unwrap();
    assert_eq!(cache.statistics().decoded, 1);
    change(&mut source);
    source.check(&cache.decoded(&source).unwrap());
    cache.statistics().decoded
}

fn touch(source: &Made) {
    let file = File::options().append(true).open(&source.path).unwrap();
    let time = file.metadata().unwrap().modified().unwrap() + Duration::from_millis(4);
    file.set_times(FileTimes::new().set_modified(time)).unwrap();
}

fn rewrite(source: &Made, text: &str) {
    let time = std::fs::metadata(&source.path).unwrap().modified().unwrap();
    std::fs::write(&source.path, text).unwrap();
    let file = File::options().append(true).open(&source.path).unwrap();
    file.set_times(FileTimes::new().set_modified(time)).unwrap();
}

fn copy(source: &mut Made) {
    let copy = source.path.with_file_name("b.nii.gz");
    std::fs::copy(&source.path, &copy).unwrap();
    source.path = copy;
}

#[test]
fn each_fact_of_the_key_makes_another_entry() {
    use KeyBy::{Content, ModifiedTime};
    for key in [ModifiedTime, Content] {
        assert_eq!(decodings_after(key, |_| ()), 1);
        assert_eq!(decodings_after(key, |source| rewrite(source, "longer than it was")), 2, "length");
        assert_eq!(decodings_after(key, |source| source.options = "magnitude".into()), 2, "options");
        assert_eq!(decodings_after(key, |source| source.facts.shape = [6, 5, 4]), 2, "shape");
    }
    assert_eq!(decodings_after(ModifiedTime, |source| touch(source)), 2, "time");
    assert_eq!(decodings_after(ModifiedTime, copy), 2, "path");
    assert_eq!(decodings_after(ModifiedTime, |source| rewrite(source, "volume 4")), 1, "nothing shows");
    assert_eq!(decodings_after(Content, |source| rewrite(source, "volume 4")), 1, "it is read once in a run");
    assert_eq!(decodings_after(Content, |source| touch(source)), 1, "the same bytes");
    assert_eq!(decodings_after(Content, copy), 1, "a copy has the same bytes");
    let rewritten = |source: &mut Made| {
        rewrite(source, "volume 4");
        touch(source);
    };
    assert_eq!(decodings_after(Content, rewritten), 2, "other bytes");
}

#[test]
fn a_relative_path_is_the_same_file() {
    let folder = tempfile::tempdir_in(".").unwrap();
    let source = Made::new(folder.path(), "a", SHAPE, 3);
    let absolute = Made::of(std::path::absolute(&source.path).unwrap(), SHAPE, 3);
    let cache = by(KeyBy::ModifiedTime);
    cache.decoded(&source).unwrap();
    cache.decoded(&absolute).unwrap();
    assert_eq!(cache.statistics().decoded, 1);
}

#[test]
fn a_missing_file_is_an_error_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let source = Made::of(folder.path().join("none"), SHAPE, 3);
    let error = by(KeyBy::Content).decoded(&source).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot find out about {}", source.path.display()));
}

#[test]
fn options_are_written_as_in_the_configuration() {
    let options: CacheOptions = serde_json::from_str(r#"{"budget": 5, "key": "content"}"#).unwrap();
    assert_eq!(options, CacheOptions { budget: 5, directory: None, key: KeyBy::Content });
    assert!(serde_json::from_str::<CacheOptions>(r#"{"budget": 5, "dir": "x"}"#).is_err());
}
