//! What goes wrong is said in words that help, with an exit code that says whose fault it is.

use std::fs;
use std::path::Path;

use crate::common::{DATA, DONE, Place, Running, TINY, USAGE};

/// Training on IDX files that the test writes.
const IDX: &str = "
name: idx
seed: 3
data:
  root: numbers
  origin: the cellar of the house
  idx: { train: { images: images, labels: labels } }
loader: { batch_size: 8, workers: 1 }
model: { vae: { hidden: [8], latent: 2 } }
training: { epochs: 2, threads: 1 }
logging: { dir: runs, pictures_every: 0 }
";

fn write_idx(folder: &Path, images: u32) {
    fs::create_dir_all(folder).unwrap();
    let header = |magic: u32, sizes: &[u32]| -> Vec<u8> {
        [magic].iter().chain(sizes).flat_map(|number| number.to_be_bytes()).collect()
    };
    let pixels = (0..images * 64).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8);
    let file = header(0x0803, &[images, 8, 8]).into_iter().chain(pixels);
    fs::write(folder.join("images"), file.collect::<Vec<u8>>()).unwrap();
    let labels = header(0x0801, &[images]).into_iter().chain((0..images).map(|i| (i % 4) as u8));
    fs::write(folder.join("labels"), labels.collect::<Vec<u8>>()).unwrap();
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    let place = Place::new(TINY);
    for command in ["train", "eval", "verify", "preview", "bench"] {
        place.run(&[command, "nowhere/run.yaml"]).expect(USAGE).says(&["nowhere/run.yaml", "No such file"]);
    }
    place.run(&["train", "."]).expect(USAGE);
    place.run(&["teach", "run.yaml"]).expect(USAGE).says(&["teach"]);
    place.run(&["train", "run.yaml", "--sett", "a=b"]).expect(USAGE).says(&["--set"]);
}

#[test]
fn misspelt_keys_are_all_named_with_their_place_and_what_was_meant() {
    let yaml = TINY.replace("batch_size:", "batchsize:").replace("latent:", "latnet:");
    let place = Place::new(&yaml);
    place.train(&[]).expect(USAGE).says(&[
        "run.yaml:14:11",
        "batchsize",
        "`batch_size`",
        "run.yaml:16:24",
        "latnet",
        "`latent`",
    ]);
    assert!(!place.path("runs").exists(), "a run was begun");
    let place = Place::new(TINY);
    place.train(&["--set", "loader.wokers=2"]).expect(USAGE).says(&["--set loader.wokers=2", "`workers`"]);
    place.train(&["--set", "training.epochs=0"]).expect(USAGE).says(&["training.epochs"]);
}

#[test]
fn missing_data_are_named_with_where_they_are_had_and_what_to_set() {
    let place = Place::new(IDX);
    let texts = ["numbers/images", "the cellar of the house", "--data", "BATCHWRIGHT_DATA"];
    place.train(&[]).expect(DATA).says(&texts);
    assert!(!place.path("runs").exists(), "a run was begun");
    // Either of what it names helps.
    write_idx(&place.path("elsewhere"), 40);
    place.train(&["--data", "elsewhere"]).expect(DONE);
    let mut command = place.program(&["verify", "run.yaml"]);
    command.env("BATCHWRIGHT_DATA", place.path("elsewhere"));
    Running::start(command).wait().expect(DONE);
}

#[test]
fn a_file_that_was_cut_is_named_with_what_was_expected_and_found() {
    let place = Place::new(IDX);
    write_idx(&place.path("numbers"), 40);
    let images = place.path("numbers/images");
    let whole = fs::read(&images).unwrap();
    for length in [0, 3, 15, whole.len() / 2, whole.len() - 1] {
        fs::write(&images, &whole[..length]).unwrap();
        place.train(&[]).expect(DATA).says(&["numbers/images", "expected", "found"]);
    }
    fs::write(&images, &whole).unwrap();
    fs::remove_file(place.path("numbers/labels")).unwrap();
    place.run(&["verify", "run.yaml"]).expect(DATA).says(&["numbers/labels"]);
}

#[test]
#[allow(unsafe_code, reason = "root may read everything until it gives that up")]
fn a_file_that_may_not_be_read_is_named() {
    use std::os::unix::{fs::PermissionsExt, process::CommandExt};
    // As root even files without permission can be read, unless these two capabilities are given up.
    const CAP_DAC_OVERRIDE: libc::c_ulong = 1;
    const CAP_DAC_READ_SEARCH: libc::c_ulong = 2;
    let place = Place::new(IDX);
    write_idx(&place.path("numbers"), 40);
    let images = place.path("numbers/images");
    fs::set_permissions(&images, fs::Permissions::from_mode(0o000)).unwrap();
    let drop_powers = || {
        for capability in [CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH] {
            // SAFETY: one system call, with numbers alone.
            let _ = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        }
        Ok(())
    };
    let mut probe = std::process::Command::new("cat");
    // SAFETY: what runs between fork and exec makes two system calls and nothing else.
    unsafe { probe.arg(&images).pre_exec(drop_powers) };
    if probe.output().unwrap().status.success() {
        println!("skipped: this user may read every file");
        return;
    }
    let mut command = place.program(&["train", "run.yaml", "--quiet"]);
    // SAFETY: as above.
    unsafe { command.pre_exec(drop_powers) };
    let ended = Running::start(command).wait().says(&["numbers/images", "Permission denied"]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
}

#[test]
fn a_run_that_is_there_is_neither_overwritten_nor_is_one_that_is_not_resumed() {
    let place = Place::new(TINY);
    place.train(&["--resume"]).expect(USAGE).says(&["cannot resume", "runs/tiny", "no run"]);
    place.train(&["--resume=elsewhere"]).expect(USAGE).says(&["cannot resume elsewhere"]);
    place.run(&["eval", "run.yaml"]).expect(USAGE).says(&["no run with a checkpoint in runs/tiny"]);
    assert!(!place.path("runs").exists() && !place.path("elsewhere").exists(), "a run was begun");
    place.train(&[]).expect(DONE);
    let before = place.remains("tiny");
    place.train(&[]).expect(USAGE).says(&["runs/tiny is there already", "--resume", "--set name="]);
    place.remains("tiny").assert_equal(&before, "a refused run");
}

#[test]
fn a_configuration_or_data_that_changed_are_refused_with_what_changed() {
    let place = Place::new(IDX);
    write_idx(&place.path("numbers"), 40);
    place.train(&["--set", "training.epochs=1"]).expect(DONE);
    let before = place.remains("idx");
    for (setting, texts) in [
        ("model.vae.latent=3", ["model.vae.latent", "was 2, is 3"]),
        ("seed=4", ["seed", "was 3, is 4"]),
        ("loader.batch_size=4", ["batch_size", "8"]),
        ("loader.shuffle=false", ["loader.shuffle", "was true, is false"]),
        ("training.optimizer={ adam: { lr: 0.5 } }", ["training.optimizer.adam.lr", "is 0.5"]),
    ] {
        place.train(&["--resume", "--set", setting]).expect(USAGE).says(&["has changed"]).says(&texts);
    }
    write_idx(&place.path("numbers"), 48);
    let ended = place.train(&["--resume"]).expect(DATA).says(&["40", "48"]);
    assert!(ended.stderr.contains("numbers") || ended.stderr.contains("samples"), "{}", ended.stderr);
    place.remains("idx").assert_equal(&before, "a refused run");
    // The same files in another place are the same data.
    write_idx(&place.path("copied"), 40);
    place.train(&["--resume", "--data", "copied"]).expect(DONE);
    place.train(&["--set", "name=whole", "--data", "copied"]).expect(DONE);
    place.remains("idx").assert_equal(&place.remains("whole"), "resumed on copied data");
}
