//! The set-up with a pip that is a script and wheels of a few bytes.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};
use zip::write::SimpleFileOptions;

use super::wheels::{Platform, Wheel};
use super::*;
use crate::testing::program;

const HEADER: &str = "include/torch/csrc/api/include/torch/torch.h";

/// A machine: a cache, a workspace, and a python whose pip copies one wheel and keeps count.
struct Machine {
    temp: tempfile::TempDir,
    environment: Environment,
    platform: Platform,
}

impl Machine {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        fs::create_dir(at("bin")).unwrap();
        fs::create_dir(at("workspace")).unwrap();
        let wheel = at("torch-2.11.0-any.whl");
        let mut writer = zip::ZipWriter::new(File::create(&wheel).unwrap());
        for (name, text) in
            [(format!("torch/{HEADER}"), "header"), ("torch/lib/libtorch.so".to_owned(), "library")]
        {
            writer.start_file(name, SimpleFileOptions::default()).unwrap();
            writer.write_all(text.as_bytes()).unwrap();
        }
        writer.finish().unwrap();
        let sha256 = format!("{:x}", Sha256::digest(fs::read(&wheel).unwrap()));
        let python = format!(
            "[ \"$3\" = --version ] && exit 0\n\
             echo called >> '{calls}'\n\
             while [ $# -gt 0 ]; do [ \"$1\" = -d ] && to=$2; shift; done\n\
             sleep 0.2\n\
             cp '{wheel}' \"$to/\"",
            calls = at("calls").display(),
            wheel = wheel.display()
        );
        program(&at("bin/python3"), &python);
        program(&at("bin/c++"), "");
        let wheels: &'static [Wheel] = Box::leak(Box::new([Wheel {
            package: "torch",
            version: VERSION,
            sha256: Box::leak(sha256.into_boxed_str()),
            take: &[("torch/include/", "include/"), ("torch/lib/libtorch.so", "lib/libtorch.so")],
        }]));
        let environment = Environment {
            root: at("workspace"),
            libtorch: None,
            use_pytorch: None,
            cache: Some(at("cache")),
            cxx: None,
            path: at("bin").into(),
        };
        let platform =
            Platform { name: "test", tags: &["any"], wheels, written: &[], libraries: &["libtorch.so"] };
        Self { temp, environment, platform }
    }

    fn cached(&self) -> Result<PathBuf> {
        cached(&self.environment, &self.platform)
    }

    fn calls_of_pip(&self) -> usize {
        fs::read_to_string(self.temp.path().join("calls")).map_or(0, |text| text.lines().count())
    }

    fn in_cache(&self) -> Vec<String> {
        let folder = self.temp.path().join("cache/batchwright");
        let entries = fs::read_dir(folder).unwrap();
        let mut names =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>();
        names.sort();
        names
    }
}

#[test]
fn the_folder_is_made_once_and_the_wheels_do_not_stay() {
    let machine = Machine::new();
    let folder = machine.cached().unwrap();
    assert_eq!(fs::read_to_string(folder.join("build-version")).unwrap(), "2.11.0\n");
    assert_eq!(fs::read_to_string(folder.join(HEADER)).unwrap(), "header");
    assert_eq!(machine.cached().unwrap(), folder);
    assert_eq!(machine.calls_of_pip(), 1);
    assert_eq!(machine.in_cache(), ["libtorch-2.11.0-test", "libtorch-2.11.0-test.lock"]);
}

#[test]
fn four_at_once_download_once() {
    let machine = Machine::new();
    std::thread::scope(|scope| {
        let all = [0; 4].map(|_| scope.spawn(|| machine.cached().unwrap()));
        for one in all {
            assert!(complete(&one.join().unwrap(), &machine.platform));
        }
    });
    assert_eq!(machine.calls_of_pip(), 1);
}

#[test]
fn what_an_interrupted_run_left_is_removed() {
    let machine = Machine::new();
    let making = machine.temp.path().join("cache/batchwright/libtorch-2.11.0-test.making");
    fs::create_dir_all(making.join("wheels")).unwrap();
    fs::write(making.join("wheels/torch-2.11.0-half.whl"), "half a wheel").unwrap();
    assert!(complete(&machine.cached().unwrap(), &machine.platform));
    assert!(!making.exists());
}

#[test]
fn a_folder_that_has_lost_a_library_is_made_anew() {
    let machine = Machine::new();
    let folder = machine.cached().unwrap();
    fs::remove_file(folder.join("lib/libtorch.so")).unwrap();
    assert!(complete(&machine.cached().unwrap(), &machine.platform));
    assert_eq!(machine.calls_of_pip(), 2);
    assert_eq!(machine.in_cache(), ["libtorch-2.11.0-test", "libtorch-2.11.0-test.lock"]);
}

#[test]
fn a_wheel_with_another_hash_is_refused_and_nothing_stays() {
    let machine = Machine::new();
    fs::write(machine.temp.path().join("torch-2.11.0-any.whl"), "changed on the way").unwrap();
    let message = machine.cached().unwrap_err().to_string();
    assert!(message.contains("is not the wheel of torch 2.11.0 that is pinned"), "{message}");
    assert_eq!(machine.in_cache(), ["libtorch-2.11.0-test.lock"]);
}

#[test]
fn a_failing_pip_is_reported_and_nothing_stays() {
    let machine = Machine::new();
    program(&machine.temp.path().join("bin/python3"), "[ \"$3\" = --version ]");
    let message = machine.cached().unwrap_err().to_string();
    assert!(message.starts_with("pip could not download libtorch (exit status: 1)"), "{message}");
    assert_eq!(machine.in_cache(), ["libtorch-2.11.0-test.lock"]);
}

#[test]
fn pip_is_told_to_check_hashes_too() {
    let machine = Machine::new();
    let text = requirements_text(&machine.platform);
    assert_eq!(text, format!("torch==2.11.0 --hash=sha256:{}\n", machine.platform.wheels[0].sha256));
}

#[test]
fn a_libtorch_of_the_shell_is_respected_and_nothing_is_fetched() {
    let mut machine = Machine::new();
    machine.environment.libtorch = Some("/opt/libtorch".into());
    let ready = provide(&machine.environment).unwrap();
    assert_eq!(ready.variables, [("LIBTORCH", "/opt/libtorch".into())]);
    machine.environment.use_pytorch = Some("1".into());
    let ready = provide(&machine.environment).unwrap();
    assert_eq!(ready.variables, [("LIBTORCH_USE_PYTORCH", "1".into())]);
    assert_eq!(machine.calls_of_pip(), 0);
    assert!(!machine.environment.link().exists());
}

#[test]
fn without_a_compiler_nothing_is_fetched() {
    let machine = Machine::new();
    fs::remove_file(machine.temp.path().join("bin/c++")).unwrap();
    let message = provide(&machine.environment).unwrap_err().to_string();
    assert!(message.starts_with("no C++ compiler in PATH"), "{message}");
    assert_eq!(machine.calls_of_pip(), 0);
}

#[test]
fn without_a_home_there_is_a_message() {
    let mut machine = Machine::new();
    machine.environment.cache = None;
    let message = machine.cached().unwrap_err().to_string();
    assert!(message.starts_with("neither XDG_CACHE_HOME nor HOME is set"), "{message}");
}

#[test]
fn a_complete_folder_behind_the_link_is_used_whoever_made_it() {
    let machine = Machine::new();
    let folder = machine.cached().unwrap();
    let link = machine.environment.link();
    link::point(&link, &folder).unwrap();
    assert!(complete(&link, &machine.platform));
    fs::write(folder.join("build-version"), "2.10.0").unwrap();
    assert!(!complete(&link, &machine.platform), "another version is not");
}
