//! A disk that is full.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::common::{DONE, ENVIRONMENT, Place, Running, TINY};

/// Lets the program write no file longer than this: writing more fails, as on a full disk.
#[allow(unsafe_code, reason = "the standard library sets no limits")]
fn limit(command: &mut Command, bytes: u64) {
    let set = move || {
        let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
        // SAFETY: two system calls; the limit outlives the call that reads it.
        let refused = unsafe {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) != 0
        };
        if refused { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: what runs between fork and exec makes system calls and nothing else.
    unsafe { command.pre_exec(set) };
}

#[test]
fn a_full_disk_names_the_file_and_leaves_the_checkpoints_before_it() {
    let place = Place::new(&TINY.replace("cosine: { end: 0.1 }", "step: { every: 5, factor: 0.9 }"));
    place.train(&["--set", "name=whole", "--set", "training.epochs=3"]).expect(DONE);
    place.train(&["--set", "training.epochs=1"]).expect(DONE);
    let before = place.remains("tiny");
    let model = before.0["model.safetensors"].len() as u64;
    // The model fits, and the optimizer's two moments do not.
    let mut command =
        place.program(&["train", "run.yaml", "--quiet", "--resume", "--set", "training.epochs=3"]);
    limit(&mut command, model * 3 / 2);
    Running::start(command).wait().expect(ENVIRONMENT).says(&[
        "runs/tiny/checkpoints/",
        "optimizer.safetensors",
        "File too large",
    ]);
    let left = std::fs::read_dir(place.path("runs/tiny/checkpoints")).unwrap();
    for entry in left {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.starts_with("step-"), "{name} takes room on a full disk");
    }
    assert_eq!(place.remains("tiny").0["model.safetensors"], before.0["model.safetensors"]);
    place.run(&["eval", "run.yaml", "--checkpoint", "latest"]).expect(DONE);
    place.train(&["--resume", "--set", "training.epochs=3"]).expect(DONE);
    place.remains("tiny").assert_equal(&place.remains("whole"), "after the disk was full");
}

#[test]
fn a_full_disk_leaves_the_files_of_a_run_as_they_were() {
    let place = Place::new(TINY);
    place.train(&["--set", "training.epochs=1"]).expect(DONE);
    let read = || {
        ["config.yaml", "configuration.json", "metrics.jsonl", "metrics.csv", "summary.json"]
            .map(|name| std::fs::read_to_string(place.path("runs/tiny").join(name)).unwrap())
    };
    let before = read();
    let mut command =
        place.program(&["train", "run.yaml", "--quiet", "--resume", "--set", "loader.workers=0"]);
    limit(&mut command, 500);
    Running::start(command).wait().expect(ENVIRONMENT).says(&["runs/tiny/", "File too large"]);
    assert_eq!(read(), before);
}

#[test]
fn a_disk_that_is_full_from_the_start_is_an_error_of_the_environment() {
    let place = Place::new(TINY);
    for (out, arguments) in [
        ("runs/tiny/", &["train", "run.yaml", "--quiet"][..]),
        ("sheet.png", &["preview", "run.yaml", "--out", "sheet.png"]),
        ("batch/image.npy", &["batch", "run.yaml", "--epoch", "0", "--index", "0", "--out", "batch"]),
    ] {
        let mut command = place.program(arguments);
        limit(&mut command, 100);
        Running::start(command).wait().expect(ENVIRONMENT).says(&[out, "File too large"]);
    }
}
