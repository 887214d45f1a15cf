//! What tests of several modules need.

use std::path::Path;
use std::process::Command;

/// Writes a shell script that can be run.
///
/// A process of its own writes it: while this process held the file open for writing, a test on another thread that
/// starts a program would pass the open file on, and the script could not be started ("text file busy").
pub(crate) fn program(path: &Path, body: &str) {
    let status = Command::new("sh")
        .args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$2\" > \"$1\" && chmod 755 \"$1\"", "sh"])
        .arg(path)
        .arg(body)
        .status()
        .expect("sh is there");
    assert!(status.success());
}
