//! Siamese training through the program: mined partners, evaluation, lists, places.

use std::fs;
use std::path::Path;

use batchwright_images::{Glyphs, ImageSource as _, PixelView, Scratch, write_png_gray};
use serde_json::Value;

use crate::common::{DATA, DONE, Place, USAGE};

/// Triplets whose partners are mined anew every second epoch, from the third on. 48 steps.
const MINED: &str = "
name: mined
seed: 7
data:
  glyphs: { classes: 6, drawings: 20, test_drawings: 0, size: 12 }
  split: { validation: 0.2 }
  augment: { rotate: { degrees: [-10, 10] }, noise: { sigma: [0, 0.1], probability: 0.5 } }
  triplets: { mining: { from: 2, every: 2, share: 0.8, candidates: { num_negatives: 3 } } }
loader: { batch_size: 12, workers: 2 }
model:
  siamese: { encoder: { channels: [4, 8], dropout: 0.1 }, embedding: 8, loss: { triplet: { margin: 0.3 } } }
training:
  epochs: 6
  threads: 1
  optimizer: { adam: { lr: 3e-3 } }
  checkpoint: { every_steps: 3, keep: 100 }
logging: { dir: runs, log_every: 2, pictures_every: 0 }
";

#[test]
fn a_run_that_mines_its_partners_can_be_killed_and_goes_on_bit_for_bit() {
    let place = Place::new(MINED);
    place.train(&["--set", "name=whole"]).expect(DONE);
    let expected = place.remains("whole");
    let steps = place.checkpoints("whole").len();
    assert!(10 < steps, "{steps} checkpoints");
    let kills: usize = std::env::var("BATCHWRIGHT_KILLS").map_or(10, |kills| kills.parse().unwrap());
    for kill in 0..kills {
        let named = format!("name=killed-{kill}");
        let name = &named[5..];
        // After every few checkpoints another one: within epochs, at their borders, before and after partners were mined.
        let least = 1 + kill * (steps - 2) / kills;
        let mut running = place.start(&["--set", &named]);
        running.until(|| least <= place.checkpoints(name).len());
        running.kill();
        drop(running.wait());
        let workers = format!("loader.workers={}", [0, 1, 5][kill % 3]);
        if place.checkpoints(name).is_empty() {
            place.train(&["--set", &named, "--set", &workers]).expect(DONE);
        } else {
            place.train(&["--resume", "--set", &named, "--set", &workers]).expect(DONE);
        }
        place.remains(name).assert_equal(&expected, &format!("killed after {least} checkpoints"));
    }
}

#[test]
fn batches_of_a_mined_run_are_made_again_with_its_checkpoint_alone() {
    let place = Place::new(MINED);
    place.train(&["--set", "training.epochs=3"]).expect(DONE);
    let batch = |epoch: &str, more: &[&str]| {
        place
            .run(&[&["batch", "run.yaml", "--epoch", epoch, "--index", "1", "--out", "batch"], more].concat())
    };
    batch("1", &[]).expect(DONE);
    batch("2", &[]).expect(USAGE).says(&["partners of epoch 2 are mined", "--checkpoint runs/NAME"]);
    place
        .run(&["verify", "run.yaml", "--epochs", "3"])
        .expect(USAGE)
        .says(&["partners of epoch 2 are mined"]);
    let preview =
        |epoch: &str, more: &[&str]| place.run(&[&["preview", "run.yaml", "--epoch", epoch], more].concat());
    preview("2", &[]).expect(USAGE).says(&["partners of epoch 2 are mined", "--checkpoint runs/NAME"]);
    let whole = ["--checkpoint", "runs/mined"];
    preview("2", &whole).expect(DONE);
    preview("2", &["--checkpoint", "runs/mined", "--split", "validation"])
        .expect(USAGE)
        .says(&["--checkpoint is for batches of the training set"]);
    let drawn = |more: &[&str]| -> Value {
        batch("2", more).expect(DONE);
        serde_json::from_slice(&fs::read(place.path("batch/batch.json")).unwrap()).unwrap()
    };
    let once = drawn(&whole);
    let anchor = fs::read(place.path("batch/negative.npy")).unwrap();
    assert_eq!(drawn(&whole), once);
    assert_eq!(fs::read(place.path("batch/negative.npy")).unwrap(), anchor);
    // The partners are those of their classes, and the record names them.
    for sample in once["samples"].as_array().unwrap() {
        let class = |part: &str| sample["drawn"][part]["class"].as_u64().unwrap();
        assert!(class("anchor") == class("positive") && class("anchor") != class("negative"), "{sample}");
    }
    let proof = place
        .run(&[&["verify", "run.yaml", "--from", "2", "--epochs", "2", "--json"], &whole[..]].concat())
        .expect(DONE);
    for line in proof.stdout.lines() {
        let proof: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&proof["tuples"]["wrong"], &proof["never"]), (&0.into(), &0.into()), "{proof}");
    }
    batch("5", &whole).expect(USAGE).says(&["partners of epoch 5 are mined", "another checkpoint"]);
    let place = Place::new(
        &MINED
            .replace(", every: 2", "")
            .replace("mining: { from: 2, share: 0.8, candidates: { num_negatives: 3 } }", ""),
    );
    place
        .run(&["batch", "run.yaml", "--epoch", "5", "--index", "0", "--out", "b", "--checkpoint", "x"])
        .expect(USAGE)
        .says(&["nothing is mined"]);
}

/// Writes a one-shot run in the layout of Omniglot's: the training picture of each class, and another drawing of each to classify.
fn write_run(folder: &Path, name: &str, classes: &[usize]) {
    let glyphs = Glyphs { seed: 0, classes: 30, drawings: 2, size: 28, ..Glyphs::default() };
    let (training, test) = (folder.join(name).join("training"), folder.join(name).join("test"));
    fs::create_dir_all(&training).unwrap();
    fs::create_dir_all(&test).unwrap();
    let mut labels = Vec::new();
    for (at, &class) in classes.iter().enumerate() {
        for (drawing, file) in
            [(0, training.join(format!("class{at:02}.png"))), (1, test.join(format!("item{at:02}.png")))]
        {
            let mut scratch = Scratch::default();
            let Ok(PixelView::U8(pixels)) = glyphs.fetch(drawing * 30 + class, &mut scratch) else {
                panic!("bytes")
            };
            write_png_gray(&file, pixels, 28).unwrap();
        }
        labels.push(format!("{name}/test/item{at:02}.png {name}/training/class{at:02}.png\n"));
    }
    fs::write(folder.join(name).join("class_labels.txt"), labels.concat()).unwrap();
}

#[test]
fn embeddings_are_evaluated_written_and_tried_on_runs_from_files() {
    let place = Place::new(
        "
name: folder
seed: 3
data:
  folder: { train: pictures }
  split: { by: class, validation: { fold: 0, of: 3 } }
loader: { batch_size: 24, workers: 1, sampler: { class_batches: { classes: 6, samples: 4 } } }
model:
  siamese: { encoder: { channels: [8, 16], pool: flatten }, embedding: 16, loss: supervised_contrastive }
training: { epochs: 8, threads: 1, optimizer: { adam: { lr: 3e-3 } } }
logging: { dir: runs, pictures_every: 0 }
",
    );
    let glyphs = Glyphs { seed: 0, classes: 30, drawings: 12, size: 28, ..Glyphs::default() };
    for index in 0..glyphs.len() {
        let folder =
            place.path("pictures").join(format!("alphabet{}", index % 3)).join(format!("c{:02}", index % 30));
        fs::create_dir_all(&folder).unwrap();
        let mut scratch = Scratch::default();
        let Ok(PixelView::U8(pixels)) = glyphs.fetch(index, &mut scratch) else { panic!("bytes") };
        write_png_gray(&folder.join(format!("{:02}.png", index / 30)), pixels, 28).unwrap();
    }
    place.train(&[]).expect(DONE);
    for (name, classes) in [("run01", [0, 3, 6, 9, 12]), ("run02", [1, 4, 7, 10, 13])] {
        write_run(&place.path("all_runs"), name, &classes);
    }
    let eval = ["eval", "run.yaml", "--json", "--out", "embedded"];
    let more =
        ["--ways", "3", "--within", "group", "--episodes", "50", "--views", "1", "--one-shot", "all_runs"];
    let figures = place.run(&[&eval[..], &more].concat()).expect(DONE).json();
    for name in
        ["val_knn_accuracy", "val_precision_at_1", "val_r_precision", "val_map_at_r", "val_verification_auc"]
    {
        let value = figures[name].as_f64().unwrap_or_else(|| panic!("{name} is not in {figures}"));
        assert!(0.5 < value && value <= 1.0, "{name} {value}");
    }
    let error = |name: &str| figures[name].as_f64().unwrap();
    // Guessing is wrong two times in three, and four in five.
    assert!(error("val_few_shot_error") < 0.5 && error("one_shot_error") < 0.6, "{figures}");
    assert_eq!(figures["one_shot_runs"].as_array().unwrap().len(), 2);
    assert!(!figures["confused"].as_array().unwrap().is_empty());
    let metadata = fs::read_to_string(place.path("embedded/metadata.tsv")).unwrap();
    let tensors = fs::read_to_string(place.path("embedded/embeddings.tsv")).unwrap();
    assert_eq!((metadata.lines().count(), tensors.lines().count()), (121, 120));
    assert!(metadata.starts_with("id\tclass\tgroup"), "{metadata}");
    assert!(tensors.lines().all(|line| line.split('\t').count() == 16));
    for file in ["embeddings.npy", "pca.png", "hardest-pairs.png"] {
        assert!(place.path("embedded").join(file).exists(), "{file}");
    }
    let text = place.run(&["eval", "run.yaml"]).expect(DONE).stdout;
    for name in ["val_loss", "val_knn_accuracy", "val_map_at_r"] {
        assert_eq!(
            text.lines().filter(|line| line.trim_start().starts_with(name)).count(),
            1,
            "{name}: {text}"
        );
    }
    let wrong = place.path("all_runs/run02/class_labels.txt");
    fs::write(&wrong, "run02/test/item00.png run02/training/class99.png\n").unwrap();
    place
        .run(&[&eval[..], &["--one-shot", "all_runs"]].concat())
        .expect(DATA)
        .says(&["class_labels.txt", "class99.png"]);
    place
        .run(&[&eval[..], &["--ways", "3", "--within", "writer"]].concat())
        .expect(USAGE)
        .says(&["writer", "group"]);
    let pairs = ["--set", "loader.sampler=null", "--set", "data.pairs={}"];
    place
        .train(&[&["--set", "name=pairs"], &pairs[..]].concat())
        .expect(USAGE)
        .says(&["supervised_contrastive", "takes"]);
}

#[test]
fn options_that_compare_classes_are_refused_where_there_are_none_before_a_run_is_looked_for() {
    let place = Place::new(
        "
name: views
seed: 1
data:
  idx: { train: { images: images.idx } }
  split: { validation: 0.5 }
  pairs: { positives: 1, positive: { same: [index] }, negative: { different: [index] }, augment_validation: true }
loader: { batch_size: 4, workers: 0 }
model: { siamese: { encoder: { channels: [4] }, loss: nt_xent } }
training: { epochs: 1 }
",
    );
    let header: Vec<u8> = [0x0803_u32, 20, 8, 8].iter().flat_map(|number| number.to_be_bytes()).collect();
    fs::write(place.path("images.idx"), [header, vec![7; 20 * 64]].concat()).unwrap();
    for option in ["--ways", "--neighbours"] {
        let text = format!("{option} compares samples by their classes; its samples have none");
        place.run(&["eval", "run.yaml", option, "3"]).expect(USAGE).says(&[text.as_str()]);
    }
}

#[test]
fn pairs_come_from_a_list_and_wrong_lines_are_named() {
    let yaml = MINED.replace(
        "triplets: { mining: { from: 2, every: 2, share: 0.8, candidates: { num_negatives: 3 } } }",
        "pairs: { list: pairs.csv, listed_by: index }",
    );
    let yaml = yaml.replace("loss: { triplet: { margin: 0.3 } }", "loss: contrastive");
    let place = Place::new(&yaml.replace("split: { validation: 0.2 }", ""));
    let list = |text: &str| fs::write(place.path("pairs.csv"), text).unwrap();
    list("a,b,same\n0,6,1\n0,1,0\n7,13,1\n5,8,0\n");
    let batch = ["batch", "run.yaml", "--epoch", "0", "--index", "0", "--out", "batch"];
    place.run(&batch).expect(DONE);
    let written: Value = serde_json::from_slice(&fs::read(place.path("batch/batch.json")).unwrap()).unwrap();
    let mut pairs: Vec<_> = written["samples"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sample| {
            let of = |part: &str| sample["drawn"][part]["index"].as_u64().unwrap();
            (of("a"), of("b"), sample["drawn"]["same"].as_f64().unwrap())
        })
        .collect();
    pairs.sort_by(|a, b| a.partial_cmp(b).unwrap());
    assert_eq!(pairs, [(0, 1, 0.0), (0, 6, 1.0), (5, 8, 0.0), (7, 13, 1.0)]);
    let views = ["--set", "data.pairs.positives=1", "--set", "model.siamese.loss=nt_xent"];
    place.run(&[&batch[..], &views].concat()).expect(DATA).says(&[
        "data.pairs.list",
        "pairs.csv, 2 are not the same",
        "nt_xent",
    ]);
    list("a,b,same\n0,6,1\n0,100000,0\n");
    place.run(&batch).expect(DATA).says(&["pairs.csv, line 3", "100000"]);
    list("a,b\n0,6\n");
    place.run(&batch).expect(DATA).says(&["pairs.csv", "columns"]);
    fs::remove_file(place.path("pairs.csv")).unwrap();
    place.run(&batch).expect(DATA).says(&["data.pairs.list", "pairs.csv"]);
}

#[test]
fn two_images_are_shown_at_one_place_and_rules_that_allow_nothing_say_why() {
    let yaml = "
seed: 7
data:
  nifti:
    phantom: { subjects: 6, shape: [24, 24, 24] }
    patch: { size: [12, 12, 12], per_volume: 2 }
  pairs: { positives: 1, positive: { same: [index] }, negative: { different: [subject] }, places: same }
loader: { batch_size: 4 }
";
    let place = Place::new(yaml);
    let batch = ["batch", "run.yaml", "--epoch", "1", "--index", "0", "--out", "batch"];
    place.run(&batch).expect(DONE);
    let read = |name: &str| fs::read(place.path("batch").join(name)).unwrap();
    assert_eq!(read("a.npy"), read("b.npy"), "one scan at one place, not varied");
    let augment = ["--set", "data.nifti.augment=[{ noise: { sigma: [0.1, 0.2] } }]"];
    place.run(&[&batch[..], &augment].concat()).expect(DONE);
    assert_ne!(read("a.npy"), read("b.npy"), "two views");
    place.run(&[&batch[..], &augment, &["--set", "data.pairs.parts=shared"]].concat()).expect(DONE);
    assert_eq!(read("a.npy"), read("b.npy"), "varied alike");
    place.run(&["preview", "run.yaml"]).expect(DONE);
    let rule = |rule: &str, texts: &[&str]| {
        let setting = format!("data.pairs.positive={rule}");
        place.run(&[&batch[..], &["--set", &setting]].concat()).expect(USAGE).says(texts);
    };
    rule("{ same: [visit] }", &["data.pairs", "names `visit`", "subject"]);
    rule("{ same: [subject], different: [subject] }", &["contradicts itself"]);
    rule("{ same: [class] }", &["class"]);
    let images = place.run(&["verify", "run.yaml", "--set", "data={ glyphs: {}, pairs: { places: same } }"]);
    images.expect(USAGE).says(&["data.pairs.places", "patches of volumes"]);
    place
        .run(&["verify", "run.yaml", "--set", "data.triplets={}"])
        .expect(USAGE)
        .says(&["`pairs` and `triplets`"]);
}
