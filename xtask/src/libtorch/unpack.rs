//! Checks a wheel and takes the needed files out of it, as a stream: the largest is half a gigabyte.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Component, Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::wheels::Wheel;
use crate::failure::{Failure, OnPath as _, Result};

/// Checks that `file` is the pinned wheel.
pub(crate) fn check(file: &Path, wheel: &Wheel) -> Result<()> {
    let mut reader = File::open(file).on_path("open", file)?;
    let mut hasher = Sha256::new();
    let mut block = vec![0; 1 << 20];
    loop {
        let n = reader.read(&mut block).on_path("read", file)?;
        if n == 0 {
            break;
        }
        hasher.update(&block[..n]);
    }
    let found = format!("{:x}", hasher.finalize());
    if found == wheel.sha256 {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} is not the wheel of {} {} that is pinned: expected SHA-256 {}, found {found}",
        file.display(),
        wheel.package,
        wheel.version,
        wheel.sha256
    )))
}

/// Writes what `wheel` names below `folder`; a name that matches nothing in the file is an error.
pub(crate) fn extract(file: &Path, wheel: &Wheel, folder: &Path) -> Result<()> {
    let reader = BufReader::with_capacity(1 << 20, File::open(file).on_path("open", file)?);
    let mut archive =
        zip::ZipArchive::new(reader).map_err(|cause| Failure::path("read the wheel", file, cause))?;
    let mut found = vec![false; wheel.take.len()];
    for index in 0..archive.len() {
        let mut entry =
            archive.by_index(index).map_err(|cause| Failure::path("read the wheel", file, cause))?;
        if entry.is_dir() {
            continue;
        }
        let name = entry.name().map_err(|cause| Failure::path("read the wheel", file, cause))?;
        let Some((rule, target)) = target(&name, wheel.take) else { continue };
        found[rule] = true;
        let path = folder.join(target);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).on_path("create", parent)?;
        }
        let mut writer = BufWriter::with_capacity(1 << 20, File::create(&path).on_path("create", &path)?);
        io::copy(&mut entry, &mut writer).on_path("write", &path)?;
        writer.flush().on_path("write", &path)?;
    }
    match found.iter().position(|found| !found) {
        None => Ok(()),
        Some(rule) => Err(Failure::new(format!("{} holds no {}", file.display(), wheel.take[rule].0))),
    }
}

/// Which rule takes the entry `name`, and where it goes. Never out of the folder.
fn target(name: &str, take: &[(&str, &str)]) -> Option<(usize, PathBuf)> {
    take.iter().enumerate().find_map(|(rule, (from, to))| {
        let rest = name.strip_prefix(from)?;
        let path = PathBuf::from(format!("{to}{rest}"));
        let whole = from.ends_with('/') || rest.is_empty();
        let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
        (whole && inside).then_some((rule, path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use zip::write::SimpleFileOptions;

    const TAKE: &[(&str, &str)] = &[("torch/include/", "include/"), ("torch/lib/a.so", "lib/a.so")];

    fn wheel_file(folder: &Path, entries: &[(&str, &str)]) -> PathBuf {
        let path = folder.join("w.whl");
        let mut writer = zip::ZipWriter::new(File::create(&path).unwrap());
        for (name, text) in entries {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(text.as_bytes()).unwrap();
        }
        writer.finish().unwrap();
        path
    }

    fn wheel(sha256: &'static str) -> Wheel {
        Wheel { package: "torch", version: "1", sha256, take: TAKE }
    }

    #[test]
    fn a_file_with_another_hash_is_refused_with_both_hashes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("torch-1-x.whl");
        fs::write(&file, "abc").unwrap();
        let right = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        check(&file, &wheel(right)).unwrap();
        fs::write(&file, "abd").unwrap();
        let message = check(&file, &wheel(right)).unwrap_err().to_string();
        assert!(message.contains("is not the wheel of torch 1 that is pinned"), "{message}");
        assert!(message.contains(right), "{message}");
        assert!(message.contains("found a52d159f262b2c6ddb724a61840befc36eb30c88877a4030b65cbe86298449c9"));
    }

    #[test]
    fn only_the_named_files_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        let file = wheel_file(
            folder.path(),
            &[
                ("torch/include/ATen/x.h", "x"),
                ("torch/lib/a.so", "a"),
                ("torch/lib/a.so.extra", "no"),
                ("torch/lib/b.so", "no"),
                ("other/torch/include/y.h", "no"),
            ],
        );
        let out = folder.path().join("out");
        extract(&file, &wheel(""), &out).unwrap();
        assert_eq!(fs::read_to_string(out.join("include/ATen/x.h")).unwrap(), "x");
        assert_eq!(fs::read_to_string(out.join("lib/a.so")).unwrap(), "a");
        assert_eq!(fs::read_dir(out.join("lib")).unwrap().count(), 1);
        assert_eq!(fs::read_dir(&out).unwrap().count(), 2);
    }

    #[test]
    fn a_wheel_without_a_needed_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = wheel_file(folder.path(), &[("torch/include/x.h", "x")]);
        let message = extract(&file, &wheel(""), &folder.path().join("out")).unwrap_err().to_string();
        assert!(message.ends_with("w.whl holds no torch/lib/a.so"), "{message}");
    }

    #[test]
    fn an_entry_that_climbs_out_is_not_taken() {
        assert_eq!(target("torch/include/../../../etc/x", TAKE), None);
        assert_eq!(target("torch/include/x", TAKE), Some((0, PathBuf::from("include/x"))));
    }
}
