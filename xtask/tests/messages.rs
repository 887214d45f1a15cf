//! What a person sees on a machine that lacks something.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::process::{Command, Output};

fn setup_with_path(path: &std::path::Path) -> Output {
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
    for name in ["LIBTORCH", "LIBTORCH_USE_PYTORCH", "CXX", "XDG_CACHE_HOME", "HOME"] {
        xtask.env_remove(name);
    }
    xtask.arg("setup").env("PATH", path).env("CARGO_MANIFEST_DIR", path.join("workspace/xtask"));
    xtask.env("HOME", path.join("home")).output().unwrap()
}

#[test]
fn setup_on_a_bare_machine_says_what_to_install() {
    let path = tempfile::tempdir().unwrap();
    let output = setup_with_path(path.path());
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("error: no C++ compiler in PATH"), "{text}");
    assert!(text.contains("apt-get install g++"), "{text}");

    // Found, and never started.
    std::fs::write(path.path().join("c++"), "").unwrap();
    let output = setup_with_path(path.path());
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("error: neither python3 nor python is in PATH"), "{text}");

    // Found, and does not start, as a Python without pip does not start pip.
    std::fs::write(path.path().join("python3"), "").unwrap();
    let output = setup_with_path(path.path());
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("python3 has no pip"), "{text}");
    assert!(!path.path().join("workspace/target").exists(), "nothing is linked");
}

#[test]
fn help_needs_nothing() {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask")).env("PATH", "").output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().contains("cargo xtask TASK"));
}
