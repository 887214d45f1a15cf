//! The same configuration gives the same bytes: again, with any number of workers, from another process.

use std::fs;

use batchwright_config::{Config, DataRoot};
use batchwright_core::testing::digest;
use batchwright_core::{Loader, LoaderOptions, Sequence};
use batchwright_images::write_npy;
use sha2::{Digest, Sha256};

use crate::common::{DONE, Place, Running, TINY, real_data, repository};

#[test]
fn training_twice_gives_the_same_bytes_and_another_seed_gives_others() {
    let place = Place::new(TINY);
    place.train(&[]).expect(DONE);
    // Here the program has to see to libgomp's settings itself.
    let mut again = place.program(&["train", "run.yaml", "--set", "name=again"]);
    again.env_remove("OMP_WAIT_POLICY").env_remove("GOMP_SPINCOUNT");
    Running::start(again).wait().expect(DONE);
    place.train(&["--set", "name=other", "--set", "seed=8"]).expect(DONE);
    place.remains("tiny").assert_equal(&place.remains("again"), "the second time");
    let (tiny, other) = (place.remains("tiny").0, place.remains("other").0);
    for name in ["model.safetensors", "metrics.jsonl"] {
        assert_ne!(tiny[name], other[name], "{name} does not depend on the seed");
    }
}

/// The SHA-256 over everything that the batches of three epochs are, as the loader streams them.
fn stream(config: &Config, root: &DataRoot, workers: usize) -> String {
    let training = config.open(root).unwrap().training;
    let expected = 3 * training.len();
    let options = LoaderOptions { workers, epochs: Some(3), ..config.loader_options() };
    let mut loader = Loader::new(training, options);
    let (mut hash, mut count) = (Sha256::new(), 0);
    while let Some(batch) = loader.next_batch() {
        hash.update(digest(&batch.unwrap()));
        count += 1;
    }
    assert_eq!(count, expected);
    format!("{:x}", hash.finalize())
}

fn assert_workers_change_nothing(config: &Config, root: &DataRoot) {
    let expected = stream(config, root, 0);
    for workers in [1, 2, 4, 8, 16] {
        assert_eq!(stream(config, root, workers), expected, "{workers} workers");
    }
}

#[test]
fn batches_of_three_epochs_are_the_same_for_any_number_of_workers() {
    let config = Config::from_str(TINY, "tiny", &["data.glyphs.drawings=150", "data.one_hot=true"]).unwrap();
    assert_workers_change_nothing(&config, &DataRoot::new("."));
}

#[test]
fn batches_of_fashion_mnist_are_the_same_for_any_number_of_workers() {
    let Some(data) = real_data("fashion-mnist/train-images-idx3-ubyte.gz") else { return };
    let config = Config::from_path(repository("configs/vae-fashion.yaml"), &[] as &[&str]).unwrap();
    assert_workers_change_nothing(&config, &DataRoot::new(data));
}

/// Patches of generated heads with everything that is drawn: places, changes of space, artefacts.
const HEADS: &str = "
seed: 7
data:
  nifti:
    phantom: { subjects: 6, shape: [24, 22, 20], varied: true }
    orientation: RAS
    normalize: { percentiles: { low: 0.5, high: 99.5, to: [0, 1] } }
    patch: { size: [16, 12, 14], per_volume: 3, sampler: { foreground: 0.5 } }
    augment: { preset: torchio_mri }
loader: { batch_size: 4 }
";

#[test]
fn patches_of_three_epochs_are_the_same_for_any_number_of_workers_and_any_cache() {
    let root = DataRoot::new(".");
    let config = |settings: &[&str]| Config::from_str(HEADS, "heads", settings).unwrap();
    assert_workers_change_nothing(&config(&[]), &root);
    // Room for all volumes, and for not even one.
    let small = config(&["data.nifti.cache.budget=1 KiB"]);
    for workers in [0, 4] {
        assert_eq!(stream(&small, &root, workers), stream(&config(&[]), &root, 0), "{workers} workers");
    }
}

/// Pairs and triplets of characters and of heads: everything that is drawn for them besides.
#[test]
fn pairs_and_batches_of_classes_are_the_same_for_any_number_of_workers() {
    let root = DataRoot::new(".");
    let characters = |settings: &[&str]| {
        let settings: Vec<&str> = ["data.glyphs.drawings=50", "model=null", "training=null"]
            .iter()
            .chain(settings)
            .copied()
            .collect();
        Config::from_str(TINY, "tiny", &settings).unwrap()
    };
    assert_workers_change_nothing(&characters(&["data.pairs={ positives: 0.3 }"]), &root);
    assert_workers_change_nothing(
        &characters(&["data.triplets={ parts: shared, negatives: by_class }"]),
        &root,
    );
    let classes = "loader.sampler={ class_batches: { classes: 2, samples: 4 } }";
    assert_workers_change_nothing(&characters(&[classes]), &root);
    let heads = |pairs: &str| Config::from_str(HEADS, "heads", &[format!("data.pairs={pairs}")]).unwrap();
    let views = "{ positives: 1, positive: { same: [subject] }, negative: { different: [subject] }, places: { overlapping: 0.5 } }";
    assert_workers_change_nothing(&heads(views), &root);
}

#[test]
fn patches_of_hippocampi_are_the_same_for_any_number_of_workers() {
    let Some(data) = real_data("hippocampus/dataset.json") else { return };
    // Those below 10.
    let files = |part: &str| format!("'hippocampus/{part}/hippocampus_00{{id}}.nii.gz'");
    let (images, labels) = (files("imagesTr"), files("labelsTr"));
    let few = format!("data.nifti.manifest={{ glob: {{ images: {images}, labels: {labels} }} }}");
    let settings = [few.as_str(), "data.nifti.patch.per_volume=2", "loader.shuffle={ window: 4 }"];
    let config = Config::from_path(repository("configs/vae-hippocampus.yaml"), &settings).unwrap();
    assert_workers_change_nothing(&config, &DataRoot::new(data));
}

#[test]
fn a_batch_by_number_is_what_the_loader_streams_and_what_another_process_writes() {
    let place = Place::new(TINY);
    let config = Config::from_path(place.path("run.yaml"), &[] as &[&str]).unwrap();
    let training = config.open(&DataRoot::new(".")).unwrap().training;
    let (epoch, index) = (1, training.len() - 2);
    let mut loader = Loader::new(training, config.loader_options());
    let streamed = std::iter::from_fn(|| loader.next_batch())
        .map(Result::unwrap)
        .find(|batch| (batch.epoch, batch.index) == (epoch, index))
        .unwrap();

    let (epoch, index) = (epoch.to_string(), index.to_string());
    for (out, set) in [("one", "loader.workers=1"), ("two", "loader.workers=7")] {
        let at = ["--epoch", &epoch, "--index", &index, "--out", out, "--set", set];
        place.run(&[&["batch", "run.yaml"][..], &at].concat()).expect(DONE);
    }
    for (at, field) in streamed.fields().iter().enumerate() {
        let name = format!("{}.npy", field.name);
        let shape = streamed.shape(&field.name).unwrap();
        write_npy(&place.path("expected.npy"), field.dtype, &shape, streamed.bytes(at)).unwrap();
        let expected = fs::read(place.path("expected.npy")).unwrap();
        for out in ["one", "two"] {
            assert!(fs::read(place.path(out).join(&name)).unwrap() == expected, "{out}/{name}");
        }
    }
    let facts: serde_json::Value =
        serde_json::from_slice(&fs::read(place.path("one/batch.json")).unwrap()).unwrap();
    assert_eq!(
        fs::read(place.path("one/batch.json")).unwrap(),
        fs::read(place.path("two/batch.json")).unwrap()
    );
    let indices: Vec<u64> =
        facts["samples"].as_array().unwrap().iter().map(|s| s["index"].as_u64().unwrap()).collect();
    let expected: Vec<u64> = streamed.samples.iter().map(|sample| sample.index as u64).collect();
    assert_eq!(indices, expected);
    assert!(facts["samples"][0]["drawn"]["rotate"].is_f64(), "{}", facts["samples"][0]);
}
