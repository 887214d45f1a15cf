//! Checkpoints that were damaged, and two trainers that want the same folder.

use std::fs;

use crate::common::{DONE, ENVIRONMENT, Place, Remains, TINY};

const FILES: [&str; 4] = ["MANIFEST.json", "model.safetensors", "optimizer.safetensors", "state.json"];

/// Copies a run under another name.
fn copy(place: &Place, from: &str, to: &str) {
    let (from, to) = (place.path("runs").join(from), place.path("runs").join(to));
    let status = std::process::Command::new("cp").arg("-r").args([&from, &to]).status().unwrap();
    assert!(status.success());
}

/// What can happen to a file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Damage {
    Cut,
    Flip,
}

impl Damage {
    fn of(self, mut bytes: Vec<u8>) -> Vec<u8> {
        let middle = bytes.len() / 2;
        match self {
            Self::Cut => bytes.truncate(middle),
            Self::Flip => bytes[middle] ^= 1,
        }
        bytes
    }
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_it_is_used() {
    let place = Place::new(TINY);
    place.train(&["--set", "name=whole"]).expect(DONE);
    let expected: Remains = place.remains("whole");
    for file in FILES {
        for damage in [Damage::Cut, Damage::Flip] {
            let name = format!("{damage:?}-{}", file.replace('.', "-"));
            copy(&place, "whole", &name);
            let last = place.checkpoints(&name).pop().unwrap().join(file);
            fs::write(&last, damage.of(fs::read(&last).unwrap())).unwrap();
            let named = format!("name={name}");
            let mut arguments = vec!["train", "run.yaml", "--set", &named, "--resume"];
            // What is said on the way and what is said at the end; `--quiet` has only the end.
            let quiet = damage == Damage::Cut;
            arguments.extend(quiet.then_some("--quiet"));
            let ended = place.run(&arguments).expect(DONE);
            let folder = last.parent().unwrap().file_name().unwrap().to_str().unwrap();
            for text in [folder, "is not used", file] {
                assert!(ended.stdout.contains(text), "`{text}` is not in: {}", ended.stdout);
                assert!(quiet || ended.stderr.contains(text), "`{text}` is not in: {}", ended.stderr);
            }
            assert!(ended.stdout.contains("resumed from step 42"), "{}", ended.stdout);
            place.remains(&name).assert_equal(&expected, &name);
        }
    }
}

#[test]
fn without_a_whole_checkpoint_each_is_listed_and_nothing_is_trained() {
    let place = Place::new(TINY);
    place.train(&[]).expect(DONE);
    let checkpoints = place.checkpoints("tiny");
    assert_eq!(checkpoints.len(), 2);
    for checkpoint in &checkpoints {
        fs::write(checkpoint.join("model.safetensors"), "").unwrap();
    }
    let names: Vec<&str> =
        checkpoints.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    place.train(&["--resume"]).expect(ENVIRONMENT).says(&names).says(&["model.safetensors"]);
    place.run(&["eval", "run.yaml"]).expect(ENVIRONMENT).says(&names);
    assert_eq!(place.checkpoints("tiny"), checkpoints);
}

#[test]
fn a_second_trainer_in_one_folder_is_refused_and_disturbs_nothing() {
    let place = Place::new(TINY);
    place.train(&["--set", "name=whole", "--set", "training.epochs=12"]).expect(DONE);
    let mut first = place.start(&["--set", "training.epochs=12"]);
    assert!(first.until(|| !place.checkpoints("tiny").is_empty()));
    first.signal(libc::SIGSTOP);
    place
        .train(&["--set", "training.epochs=12", "--resume"])
        .expect(ENVIRONMENT)
        .says(&["another process", "runs/tiny"]);
    place.train(&["--set", "training.epochs=12"]).expect(ENVIRONMENT).says(&["another process", "runs/tiny"]);
    // Looking is allowed.
    place.run(&["eval", "run.yaml", "--checkpoint", "latest"]).expect(DONE);
    first.signal(libc::SIGCONT);
    first.wait().expect(DONE);
    place.remains("tiny").assert_equal(&place.remains("whole"), "the first trainer");
}
