//! Volumes: generated, looked at, checked, cut into patches, kept in a cache, and trained on.

use std::fs;
use std::path::Path;

use batchwright_config::{Config, DataRoot, Samples};
use batchwright_core::Context;
use batchwright_nifti::{NewVolume, Volume, VoxelSlice, WriteOptions};
use serde_json::{Value, json};

use crate::common::{DATA, DONE, Ended, Place, TINY, USAGE, real_data, repository};

/// Patches of the files in `set`, with everything that is drawn: places, changes of space, artefacts.
const PATCHES: &str = "
name: patches
seed: 7
data:
  root: set
  nifti:
    manifest: dataset.json
    orientation: RAS
    normalize: { percentiles: { low: 0.5, high: 99.5, to: [0, 1] } }
    patch: { size: [16, 12, 14], per_volume: 3, sampler: { foreground: 0.5 } }
    augment: { preset: torchio_mri }
loader: { batch_size: 4, workers: 2 }
";

/// A small 3D VAE of generated heads: 16 steps.
const NETWORK: &str = "
name: heads
seed: 11
data:
  nifti:
    phantom: { subjects: 10, shape: [20, 20, 20], varied: true }
    orientation: RAS
    normalize: { percentiles: { low: 0.5, high: 99.5, to: [0, 1] } }
    patch: { size: [16, 16, 16], per_volume: 4, sampler: { foreground: 0.5 } }
    augment: { preset: torchio_mri }
  split: { validation: { fold: 0, of: 5 }, by: subject }
loader: { batch_size: 4, workers: 2 }
model:
  vae: { channels: [4, 8], latent: 4, dropout: 0.1, likelihood: { gaussian: { sigma: learned } } }
training:
  epochs: 2
  threads: 1
  optimizer: { adam: { lr: 2e-3 } }
  checkpoint: { every_steps: 2, keep: 2 }
logging: { dir: runs, log_every: 1, pictures_every: 0 }
";

/// A folder with [`PATCHES`] and six phantoms in `set`.
fn phantoms(more: &[&str]) -> Place {
    let place = Place::new(PATCHES);
    let six = ["phantom", "set", "--subjects", "6", "--shape", "24,22,20"];
    place.run(&[&six[..], more].concat()).expect(DONE);
    place
}

/// Writes one batch into the folder `out`, and returns its files.
fn batch(place: &Place, out: &str, more: &[&str]) -> [Vec<u8>; 2] {
    let at = ["batch", "run.yaml", "--epoch", "1", "--index", "2", "--out", out];
    place.run(&[&at[..], more].concat()).expect(DONE);
    ["image.npy", "label.npy"].map(|name| fs::read(place.path(out).join(name)).unwrap())
}

/// Makes the voxel in the middle of a file NaN.
fn plant_nan(path: &Path) {
    let volume = Volume::open(path).unwrap();
    let (shape, channels) = (volume.shape(), volume.channels());
    let mut voxels = vec![0.0; shape.iter().product::<usize>() * channels];
    volume.read_f32_all(&mut voxels).unwrap();
    let middle = voxels.len() / 2;
    voxels[middle] = f32::NAN;
    let voxel_to_world = volume.geometry().voxel_to_world();
    let new = NewVolume { voxels: VoxelSlice::F32(&voxels), shape, channels, voxel_to_world };
    new.write(path, &WriteOptions::default()).unwrap();
}

#[test]
fn phantoms_are_inspected_as_they_were_asked_for() {
    let place = phantoms(&["--uniform"]);
    let facts = |file: &str| place.run(&["inspect", file, "--json"]).expect(DONE).json();
    let image = facts("set/imagesTr/phantom_003.nii.gz");
    assert_eq!(image["shape"], json!([24, 22, 20]));
    assert_eq!((&image["dtype"], &image["orientation"]), (&json!("int16"), &json!("RAS")));
    assert_eq!((&image["gzip"], &image["header"]["nifti_version"]), (&json!(true), &json!(1)));
    assert_eq!(image["warnings"], json!([]));
    let other = facts("set/imagesTr/phantom_004.nii.gz");
    assert_ne!(image["voxels"]["sha256_f32_C"], other["voxels"]["sha256_f32_C"], "two subjects are one");
    let label = facts("set/labelsTr/phantom_003.nii.gz");
    assert_eq!((&label["dtype"], &label["affine"]), (&json!("uint8"), &image["affine"]));
    let counts = label["voxels"]["label_counts"].as_object().unwrap();
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["0", "1", "2"]);
    assert_eq!(counts.values().map(|count| count.as_u64().unwrap()).sum::<u64>(), 24 * 22 * 20);

    let text = place.run(&["inspect", "set/imagesTr/phantom_003.nii.gz"]).expect(DONE).stdout;
    assert!(text.contains("24 x 22 x 20") && text.contains("RAS by the sform"), "{text}");
    let outlined = ["--out", "pictures/x.png", "--label", "set/labelsTr/phantom_003.nii.gz"];
    place.run(&[&["inspect", "set/imagesTr/phantom_003.nii.gz"], &outlined[..]].concat()).expect(DONE);
    let picture = image::open(place.path("pictures/x.png")).unwrap();
    assert!(100 < picture.width() && 100 < picture.height());

    // The same again is the same, and a set that is there is kept.
    place.run(&["phantom", "set"]).expect(USAGE).says(&["set", "dataset.json"]);
    let again = phantoms(&["--uniform"]);
    for file in ["imagesTr/phantom_005.nii.gz", "labelsTr/phantom_000.nii.gz", "dataset.json"] {
        let [one, two] = [&place, &again].map(|place| fs::read(place.path("set").join(file)).unwrap());
        assert!(one == two, "{file}");
    }
}

#[test]
fn a_file_that_is_missing_cut_or_something_else_is_named() {
    let place = phantoms(&["--uniform", "--compress", "false"]);
    let inspect = |file: &str| place.run(&["inspect", file]).expect(DATA).says(&[file]);
    inspect("set/imagesTr/phantom_006.nii").says(&["No such file"]);
    inspect("run.yaml");
    inspect("set/dataset.json");
    let packed = phantoms(&["--uniform"]);
    fs::copy(packed.path("set/imagesTr/phantom_001.nii.gz"), place.path("packed.nii.gz")).unwrap();
    for file in ["set/imagesTr/phantom_001.nii", "packed.nii.gz"] {
        let whole = fs::read(place.path(file)).unwrap();
        for length in [0, 100, whole.len() / 2, whole.len() - 1] {
            fs::write(place.path(file), &whole[..length]).unwrap();
            inspect(file);
        }
    }
    // What cannot be inspected cannot be drawn either.
    place
        .run(&["inspect", "packed.nii.gz", "--header", "--out", "x.png"])
        .expect(DATA)
        .says(&["packed.nii.gz"]);
    assert!(!place.path("x.png").exists());
}

#[test]
fn real_volumes_are_what_another_reader_found_them_to_be() {
    let Some(data) = real_data("hippocampus/manifest.json") else { return };
    let place = Place::new(TINY);
    let folder = data.join("hippocampus");
    let manifest: Value = serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let volumes = manifest["volumes"].as_array().unwrap();
    for expected in volumes.iter().step_by(volumes.len() / 3) {
        let file = folder.join(expected["file"].as_str().unwrap());
        let file = file.to_str().unwrap();
        let found = place.run(&["inspect", file, "--json", "--out", "x.png"]).expect(DONE).json();
        for key in ["shape", "dtype", "orientation", "gzip"] {
            assert_eq!(found[key], expected[key], "{key} of {file}");
        }
        assert_eq!(found["voxels"]["sha256_f32_C"], expected["voxels"]["sha256_f32_C"], "{file}");
        image::open(place.path("x.png")).unwrap();
        fs::remove_file(place.path("x.png")).unwrap();
    }
    let config = repository("configs/vae-hippocampus.yaml");
    let check = ["check", config.to_str().unwrap(), "--json", "--data", data.to_str().unwrap()];
    let report = place.run(&check).expect(DONE).json();
    assert_eq!(report["training"]["subjects"].as_u64().map(|n| 100 < n), Some(true), "{report}");
}

/// Every problem of a report, as its kind and its first file.
fn problems(report: &Value) -> Vec<(String, String)> {
    let problems = report["training"]["problems"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    problems.iter().map(|problem| (text(&problem["kind"]), text(&problem["files"][0]))).collect()
}

#[test]
fn check_lets_a_clean_set_pass_and_names_every_file_that_is_wrong() {
    let place = phantoms(&["--compress", "true"]);
    let check = |more: &[&str]| place.run(&[&["check", "run.yaml"], more].concat());
    let clean = check(&[]).expect(DONE).stdout;
    assert!(clean.contains("training: 6 subjects of set/dataset.json"), "{clean}");
    assert!(clean.contains("12 volumes") && clean.contains(" 0 errors"), "{clean}");
    assert_eq!(problems(&check(&["--json"]).expect(DONE).json()), []);

    // All patches of an epoch, so that every file is read.
    let read = || {
        let all = ["--epoch", "0", "--index", "0", "--set", "loader.batch_size=18", "--out", "out"];
        place.run(&[&["batch", "run.yaml"], &all[..]].concat()).expect(DATA)
    };
    let says = |ended: Ended, file: &str| {
        let ended = ended.expect(DATA);
        assert!(ended.stdout.contains(file), "{file} is not in: {}", ended.stdout);
    };
    let short = "imagesTr/phantom_001.nii.gz";
    let path = place.path("set").join(short);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 9]).unwrap();
    says(check(&[]), short);
    read().says(&[short]);
    fs::write(&path, &whole).unwrap();
    let gone = "labelsTr/phantom_003.nii.gz";
    let label = fs::read(place.path("set").join(gone)).unwrap();
    fs::remove_file(place.path("set").join(gone)).unwrap();
    says(check(&[]), gone);
    read().says(&["set/dataset.json", gone]);
    fs::write(place.path("set").join(gone), label).unwrap();
    let nan = "imagesTr/phantom_002.nii.gz";
    plant_nan(&place.path("set").join(nan));
    says(check(&[]), nan);
    read().says(&[nan, "NaN"]);
    // Unless they are to be replaced.
    let replaced = check(&["--json", "--set", "data.nifti.nan=zero"]).expect(DONE).json();
    let found = problems(&replaced);
    assert!(matches!(&found[..], [(kind, file)] if kind == "replaced" && file.ends_with(nan)), "{replaced}");

    // All at once.
    fs::write(&path, &whole[..whole.len() - 9]).unwrap();
    fs::remove_file(place.path("set").join(gone)).unwrap();
    let report = check(&["--json"]).expect(DATA).json();
    for (kind, file) in [("missing", gone), ("unreadable", short), ("not_finite", nan)] {
        let is_told = problems(&report).iter().any(|(found, at)| found == kind && at.ends_with(file));
        assert!(is_told, "{kind} {file}: {report}");
    }
    assert_eq!(problems(&report).len(), 3, "{report}");
}

#[test]
fn check_is_for_files_of_volumes() {
    for yaml in [TINY, NETWORK] {
        Place::new(yaml).run(&["check", "run.yaml"]).expect(USAGE).says(&["data.nifti.manifest"]);
    }
    let place = Place::new(PATCHES);
    let texts = ["data.nifti.manifest", "set/dataset.json", "BATCHWRIGHT_DATA"];
    place.run(&["check", "run.yaml"]).expect(DATA).says(&texts);
}

#[test]
fn a_batch_is_made_again_of_its_record_alone() {
    let place = phantoms(&[]);
    let drawn = batch(&place, "a", &[]);
    let record: Value = serde_json::from_slice(&fs::read(place.path("a/batch.json")).unwrap()).unwrap();
    let changes = |sample: &Value| sample["drawn"]["changes"]["intensity"].as_array().unwrap().len();
    assert!(record["samples"].as_array().unwrap().iter().any(|sample| 0 < changes(sample)), "{record}");
    // Nothing is drawn, so the seed does not matter.
    for more in [&[][..], &["--set", "seed=8", "--set", "loader.workers=0"]] {
        let again = batch(&place, "b", &[&["--replay", "a/batch.json"], more].concat());
        assert!(again == drawn, "replayed with {more:?}");
    }
    assert!(batch(&place, "c", &["--set", "seed=8"]) != drawn, "the seed changes nothing");
}

#[test]
fn a_damaged_record_is_refused_with_what_is_wrong() {
    let place = phantoms(&[]);
    batch(&place, "a", &[]);
    let text = fs::read_to_string(place.path("a/batch.json")).unwrap();
    let record: Value = serde_json::from_str(&text).unwrap();
    let replay = |record: &str| {
        fs::write(place.path("damaged.json"), record).unwrap();
        let at = ["--epoch", "1", "--index", "2", "--out", "b", "--replay", "damaged.json"];
        place.run(&[&["batch", "run.yaml"], &at[..]].concat()).expect(DATA).says(&["damaged.json"])
    };
    replay(&text[..text.len() / 2]);
    replay("{}").says(&["samples"]);
    replay("{ \"samples\": [] }").says(&["no samples"]);
    let with = |pointer: &str, value: Value| {
        let mut record = record.clone();
        *record.pointer_mut(pointer).unwrap() = value;
        replay(&record.to_string())
    };
    with("/samples/1/index", json!(18)).says(&["sample 1", "18"]);
    with("/samples/1/index", json!(-1));
    with("/samples/2/drawn/subject", json!("nobody")).says(&["sample 2", "nobody", "phantom_"]);
    with("/samples/0/drawn", Value::Null);
    for far in [1_i64 << 40, i64::MAX, i64::MIN] {
        with("/samples/3/drawn/place/origin", json!([far, 0, 0])).says(&["sample 3"]);
    }
    with("/samples/3/drawn/place", json!({ "origin": [0, 0, 0], "plane": 1 })).says(&["plane"]);
    assert!(!place.path("b").exists(), "something was written");

    let at = ["batch", "run.yaml", "--epoch", "0", "--index", "0", "--out", "b", "--replay", "none.json"];
    place.run(&at).expect(DATA).says(&["none.json", "No such file"]);
    Place::new(TINY).run(&at).expect(USAGE).says(&["--replay"]);
}

/// Everything that can be drawn, drawn always.
const EVERY_CHANGE: &str = "data.nifti.augment=[
  { flip: {} }, { rotate90: {} }, { affine: { rotation: 20, scale: 0.2, shear: 0.05 } }, { elastic: {} },
  { low_resolution: {} }, { anisotropy: {} }, { noise: {} }, { rician: {} }, { blur: {} }, { sharpen: {} },
  { brightness: {} }, { contrast: {} }, { gamma: {} }, { scale_intensity: {} }, { shift_intensity: {} },
  { histogram_shift: {} }, { bias_field: {} }, { motion: {} }, { ghosting: {} }, { spike: {} }, { gibbs: {} },
  { cut_out: {} }, { swap: {} }]";

/// Finds the pointers to the numbers of a value; of long lists, to the first and the last.
fn numbers(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Number(_) => found.push(at.to_owned()),
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                if i < 3 || i + 1 == items.len() {
                    numbers(item, &format!("{at}/{i}"), found);
                }
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                numbers(field, &format!("{at}/{name}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[test]
fn a_record_in_which_any_number_is_another_is_made_or_refused() {
    let place = Place::new(NETWORK);
    let config = Config::from_path(place.path("run.yaml"), &[EVERY_CHANGE]).unwrap();
    let training = config.open(&DataRoot::new(".")).unwrap().training;
    let Samples::Patches(patches) = training.dataset() else { panic!("not of volumes") };
    let (mut made, mut refused) = (0, 0);
    for index in [0, 7] {
        let record = patches.draw(index, &Context::new(config.seed, 0, index as u64)).unwrap();
        let record = serde_json::to_value(record).unwrap();
        let mut all = Vec::new();
        numbers(&record, "", &mut all);
        for at in &all {
            for other in [
                json!(0),
                json!(-1),
                json!(3),
                json!(1e30),
                json!(-1e300),
                json!(1e-300),
                json!(u64::MAX),
                json!(i64::MIN),
            ] {
                let mut changed = record.clone();
                *changed.pointer_mut(at).unwrap() = other.clone();
                let Ok(changed) = serde_json::from_value(changed) else { continue };
                match patches.patch(index, &changed) {
                    Ok(patch) => {
                        made += 1;
                        assert_eq!(patch.image.len(), 16 * 16 * 16);
                    }
                    Err(error) => {
                        refused += 1;
                        assert!(!error.chain().is_empty(), "{at} = {other}");
                    }
                }
            }
        }
    }
    println!("{made} made, {refused} refused");
    assert!(100 < made && 100 < refused, "{made} made, {refused} refused");
}

#[test]
fn a_batch_depends_on_neither_workers_nor_caches_nor_how_files_are_packed_and_read() {
    let packed = phantoms(&["--compress", "true"]);
    let plain = phantoms(&["--compress", "false"]);
    let record = |place: &Place, out: &str| fs::read(place.path(out).join("batch.json")).unwrap();
    let expected = batch(&packed, "expected", &[]);
    let drawn = record(&packed, "expected");
    for (place, settings) in [
        (&packed, &["loader.workers=0"][..]),
        (&packed, &["loader.workers=1", "data.nifti.cache.budget=1 KiB"]),
        (&packed, &["loader.workers=4", "data.nifti.cache.budget=1 GiB"]),
        (&packed, &["data.nifti.cache.directory=cache"]),
        // From the files of that.
        (&packed, &["data.nifti.cache.directory=cache"]),
        (&packed, &["data.nifti.cache.directory=small", "data.nifti.cache.budget=1 KiB"]),
        (&packed, &["data.nifti.cache.key=content"]),
        (&plain, &["data.nifti.read.io=read"]),
        (&plain, &["data.nifti.read.io=mmap", "loader.workers=0"]),
    ] {
        let set: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        assert!(batch(place, "out", &set) == expected, "{settings:?}");
        assert!(record(place, "out") == drawn, "what was drawn with {settings:?}");
    }
}

#[test]
fn preview_draws_patches_before_and_after_their_changes() {
    let place = phantoms(&[]);
    let preview = |out: &str, more: &[&str]| {
        let drawn = ["preview", "run.yaml", "--count", "3", "--out", out];
        let ended = place.run(&[&drawn[..], more].concat()).expect(DONE);
        assert!(ended.stdout.contains("3 patches of epoch"), "{}", ended.stdout);
        let picture = image::open(place.path(out)).unwrap();
        (fs::read(place.path(out)).unwrap(), picture.width())
    };
    let (first, width) = preview("deeper/a.png", &[]);
    let again = preview("b.png", &["--epoch", "0", "--set", "loader.workers=0"]);
    assert!(first == again.0, "another picture of the same");
    assert!(first != preview("c.png", &["--epoch", "1"]).0, "a picture of the wrong epoch");
    let split = ["--split", "validation", "--set", "data.split={ validation: { fold: 0, of: 2 } }"];
    let plain = preview("d.png", &split);
    assert!(first != plain.0 && 3 * 14 < width, "{width}");
}

#[test]
fn bench_says_how_fast_volumes_are_decoded_and_which_line_would_save_decoding() {
    let place = phantoms(&["--uniform"]);
    let bench = |place: &Place, more: &[&str]| {
        let short = ["bench", "run.yaml", "--seconds", "0.2", "--warm", "0"];
        place.run(&[&short[..], more].concat()).expect(DONE)
    };
    let ended = bench(&place, &["--first-epoch", "--json"]);
    let line = ended.json();
    assert_eq!((&line["workload"], &line["unit"]), (&json!("patches"), &json!("patches/s")));
    for key in ["rate", "first_epoch_rate", "decode_rate", "of_memcpy"] {
        assert!(line[key].as_f64().is_some_and(|rate| rate.is_finite() && 0.0 < rate), "{key}: {line}");
    }
    // An image of f32 and labels of bytes.
    let bytes = line["out_mb_s"].as_f64().unwrap() * 1e6 / line["rate"].as_f64().unwrap();
    assert!((bytes - 5.0 * 16.0 * 12.0 * 14.0).abs() < 1e-6, "{bytes}");
    assert!(!ended.stderr.contains("note:"), "{}", ended.stderr);
    let text = bench(&place, &["--first-epoch"]).stdout;
    assert!(text.contains("libdeflate alone") && text.contains("in the first epoch"), "{text}");

    let small = ["--set", "data.nifti.cache.budget=64 KiB"];
    let ended = bench(&place, &small).says(&["note: 6 decoded volumes take", "the cache holds 64 KiB"]);
    let (_, advice) = ended.stderr.split_once("`shuffle: ").unwrap_or_else(|| panic!("{}", ended.stderr));
    let (window, _) = advice.split_once('`').unwrap();
    assert!(window.starts_with("{ window:"), "{window}");
    // Who does so is not told again.
    let followed = format!("loader.shuffle={window}");
    let ended = bench(&place, &[&small[..], &["--set", &followed]].concat());
    assert!(!ended.stderr.contains("`shuffle:"), "{}", ended.stderr);

    // Nothing is decoded of what is not compressed.
    let plain = phantoms(&["--uniform", "--compress", "false"]);
    let ended = bench(&plain, &[&small[..], &["--first-epoch", "--json"]].concat());
    assert_eq!((&ended.json()["decode_rate"], ended.stderr.contains("note:")), (&Value::Null, false));
}

#[test]
fn the_directory_of_a_cache_is_filled_listed_mended_and_cleared() {
    let place = phantoms(&["--uniform"]);
    let kept = ["--set", "data.nifti.cache.directory=cache"];
    let cache = |command: &str| place.run(&["cache", command, "cache", "--json"]).expect(DONE).json();
    place.run(&["cache", "stat", "cache"]).expect(USAGE).says(&["cache"]);
    place.run(&["cache", "clear", "set"]).expect(USAGE).says(&["set is not the directory of a cache"]);
    let short = ["bench", "run.yaml", "--seconds", "0.1", "--warm", "0", "--first-epoch"];
    place.run(&[&short[..], &kept].concat()).expect(DONE);

    let report = cache("stat");
    let entries = report["entries"].as_array().unwrap();
    let sources: Vec<&str> = entries.iter().map(|entry| entry["source"].as_str().unwrap()).collect();
    for subject in 0..6 {
        for part in ["imagesTr", "labelsTr"] {
            let file = format!("{part}/phantom_{subject:03}.nii.gz");
            assert_eq!(
                sources.iter().filter(|source| source.ends_with(&file)).count(),
                1,
                "{file}: {report}"
            );
        }
    }
    assert_eq!((entries.len(), &entries[0]["in_use"]), (12, &json!(false)), "{report}");
    assert_eq!(entries[0]["shape"], json!([24, 22, 20]));
    let text = place.run(&["cache", "stat", "cache"]).expect(DONE).stdout;
    assert!(text.starts_with("cache: 12 volumes") && text.lines().count() == 13, "{text}");

    // What is damaged is made anew.
    let expected = batch(&place, "out", &kept);
    for entry in entries {
        let path = place.path("cache").join(entry["file"].as_str().unwrap());
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..].fill(0xA5);
        fs::write(&path, bytes).unwrap();
    }
    assert!(batch(&place, "out", &kept) == expected, "from a damaged cache");
    assert!(batch(&place, "out", &[]) == expected, "without a cache");

    let cleared = cache("clear");
    assert_eq!((&cleared["removed"], &cleared["in_use"]), (&json!(12), &json!(0)), "{cleared}");
    let report = cache("stat");
    assert_eq!((&report["entries"], &report["bytes"]), (&json!([]), &json!(0)), "{report}");
    assert!(batch(&place, "out", &kept) == expected, "after it was cleared");
}

#[test]
fn training_on_volumes_that_is_killed_and_resumed_with_other_workers_ends_as_one_that_was_not() {
    let place = Place::new(NETWORK);
    place.train(&["--set", "name=whole"]).expect(DONE);
    let steps = |path: Option<&std::path::PathBuf>| -> u64 {
        let name = path.map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
        name.map_or(0, |name| name.trim_start_matches("step-").parse().unwrap())
    };
    for (kill_at, more) in [
        (2, &["--set", "loader.workers=4"][..]),
        (8, &["--resume", "--set", "loader.workers=0", "--set", "data.nifti.cache.budget=1 KiB"]),
    ] {
        let mut running = place.start(more);
        assert!(running.until(|| kill_at <= steps(place.checkpoints("heads").last())));
        running.kill();
        let ended = running.wait();
        assert_eq!(ended.signal, Some(libc::SIGKILL), "it was over at step {kill_at}: {ended:?}");
    }
    place.train(&["--resume", "--set", "loader.workers=1"]).expect(DONE);
    place.remains("heads").assert_equal(&place.remains("whole"), "killed twice");
    assert_eq!(place.summary("heads")["steps"], 16);
    place.run(&["eval", "run.yaml", "--split", "validation", "--json"]).expect(DONE);
}

#[test]
fn mistakes_about_volumes_are_said_with_their_line() {
    for (right, wrong, texts) in [
        ("per_volume: 3", "per_volumes: 3", &["data.nifti.patch.per_volumes", "`per_volume`"][..]),
        ("foreground: 0.5", "foreground: 1.5", &["data.nifti.patch.sampler.foreground", "at most 1"]),
        ("torchio_mri", "torchio_mir", &["data.nifti.augment", "`torchio_mri`"]),
        ("[16, 12, 14]", "[16, 12]", &["data.nifti.patch.size", "a list of 3"]),
        ("orientation: RAS", "orientation: RAR", &["data.nifti.orientation"]),
        ("manifest: dataset.json", "manifest: dataset.txt", &["data.nifti.manifest", ".json"]),
        (
            "augment: { preset: torchio_mri }",
            "augment: [{ noise: {} }, { affine: { rotation: 10 } }]",
            &["data.nifti.augment[1]", "before `noise`", "`affine` behind it"],
        ),
        ("root: set", "normalize: mean_std", &["data.normalize", "inside of `data.nifti`"]),
        ("root: set", "one_hot: true", &["data.one_hot", "patches of volumes"]),
    ] {
        let yaml = PATCHES.replace(right, wrong);
        let line = 1 + yaml.lines().position(|line| line.contains(wrong)).unwrap();
        let place = Place::new(&yaml);
        for command in ["verify", "check"] {
            let ended = place.run(&[command, "run.yaml"]).expect(USAGE).says(texts);
            ended.says(&[&format!("run.yaml:{line}:")]);
        }
    }
    // On several lines, the one that is wrong.
    let list = "augment:\n      - noise: {}\n      - flip: {}";
    let place = Place::new(&PATCHES.replace("augment: { preset: torchio_mri }", list));
    place.run(&["verify", "run.yaml"]).expect(USAGE).says(&["run.yaml:13:9", "`flip` behind it"]);
}
