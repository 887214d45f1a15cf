//! `| head -1`: a reader that has seen enough is no failure.

use std::io::pipe;
use std::process::Stdio;

use crate::common::{DONE, Place, TINY};

#[test]
fn standard_output_that_nobody_reads_any_more_is_no_error() {
    let place = Place::new(TINY);
    let bench = ["bench", "run.yaml", "--seconds", "0.05", "--warm", "0"];
    for arguments in [
        &["schema"][..],
        &["--help"],
        &["verify", "run.yaml"],
        &["verify", "run.yaml", "--json"],
        &["preview", "run.yaml"],
        &["batch", "run.yaml", "--epoch", "0", "--index", "0", "--out", "batch"],
        &bench,
        &[&bench[..], &["--json"]].concat(),
        &["train", "run.yaml", "--quiet"],
        &["eval", "run.yaml"],
    ] {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let child = place.program(arguments).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(DONE), "{arguments:?}: {stderr}");
        assert!(!stderr.contains("error") && !stderr.contains("panicked"), "{arguments:?}: {stderr}");
    }
    assert_eq!(place.summary("tiny")["outcome"], "finished");
}

#[test]
fn standard_error_that_nobody_reads_any_more_stops_no_training() {
    let place = Place::new(TINY);
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let status = place.program(&["train", "run.yaml"]).stderr(writer).stdout(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(DONE));
    assert_eq!(place.summary("tiny")["outcome"], "finished");
}
