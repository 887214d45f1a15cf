//! The data of a configuration, opened.

use std::path::{Path, PathBuf};

use batchwright_config::{Config, DataRoot, OpenError};
use batchwright_core::{Dataset, Loader, LoaderOptions, Sequence};

fn read(yaml: &str, settings: &[&str]) -> Config {
    Config::from_str(yaml, "x.yaml", settings).unwrap_or_else(|error| panic!("{error}"))
}

const GLYPHS: &str = "
seed: 3
data:
  glyphs: { classes: 4, drawings: 50, test_drawings: 5, size: 12 }
  split: { validation: 0.2 }
  one_hot: true
  augment: { shift: { x: [-2, 2], y: [-2, 2] } }
loader: { batch_size: 16, drop_last: true, workers: 2 }
";

#[test]
fn glyphs_are_opened_with_training_validation_and_test() {
    let config = read(GLYPHS, &[]);
    let data = config.open(&DataRoot::default()).unwrap();
    let (training, validation, test) = (data.training, data.validation.unwrap(), data.test.unwrap());
    assert_eq!(training.dataset().len() + validation.dataset().len(), 200);
    assert!((20..=60).contains(&validation.dataset().len()));
    assert_eq!(test.dataset().len(), 20);
    assert_eq!(training.len(), training.dataset().len() / 16);
    assert_eq!(validation.len(), validation.dataset().len().div_ceil(16));
    let batch = training.get(0, 0).unwrap();
    assert_eq!(batch.get::<f32>("image").unwrap().len(), 16 * 12 * 12);
    assert_eq!(batch.get::<f32>("one_hot").unwrap().len(), 16 * 4);
    assert!(batch.get::<f32>("image").unwrap().iter().all(|pixel| (0.0..=1.0).contains(pixel)));
}

#[test]
fn training_is_shuffled_and_augmented_and_validation_is_neither() {
    let data = read(GLYPHS, &[]).open(&DataRoot::default()).unwrap();
    let plain = read(GLYPHS, &["data.augment=null"]).open(&DataRoot::default()).unwrap();
    let validation = data.validation.as_ref().unwrap();
    let image = |batches: &batchwright_config::SampleBatches, epoch| {
        batches.get(epoch, 0).unwrap().get::<f32>("image").unwrap().to_vec()
    };
    assert_eq!(image(validation, 0), image(validation, 1));
    assert_eq!(image(validation, 0), image(plain.validation.as_ref().unwrap(), 0));
    assert_ne!(image(&data.training, 0), image(&plain.training, 0));
    assert_ne!(image(&plain.training, 0), image(&plain.training, 1));
    let batch = validation.get(0, 0).unwrap();
    assert!(batch.samples.windows(2).all(|pair| pair[0].index + 1 == pair[1].index));
}

/// Files of classes lie one after the other, and a loss that compares the samples of a batch has nothing to compare in one class.
#[test]
fn what_is_validated_within_batches_is_mixed_always_alike() {
    let yaml = GLYPHS.replace("one_hot: true", "").replace("data:\n", "data:\n  unseen_classes: false\n")
        + "model: { siamese: { encoder: { channels: [4] }, loss: { contrastive: {} } } }\ntraining: { epochs: 1 }\n";
    let opened = |settings: &[&str]| read(&yaml, settings).open(&DataRoot::default()).unwrap();
    let order = |batches: &batchwright_config::SampleBatches, epoch| -> Vec<u64> {
        (0..batches.len())
            .flat_map(|index| batches.get(epoch, index).unwrap().samples)
            .map(|sample| sample.index as u64)
            .collect()
    };
    for set in [opened(&[]).validation.unwrap(), opened(&[]).test.unwrap()] {
        let mixed = order(&set, 0);
        let mut sorted = mixed.clone();
        sorted.sort_unstable();
        assert_ne!(mixed, sorted);
        assert_eq!(sorted, (0..set.dataset().len() as u64).collect::<Vec<_>>());
        assert_eq!(mixed.len(), set.dataset().len());
    }
    assert_eq!(order(&opened(&[]).test.unwrap(), 0), order(&opened(&["loader.workers=0"]).test.unwrap(), 0));
    let paired = opened(&["data.pairs={}"]).test.unwrap();
    assert!(order(&paired, 0).is_sorted());
}

#[test]
fn the_mean_is_that_of_the_training_side() {
    let data = read(GLYPHS, &["data.normalize=mean_std", "data.augment=null", "loader.drop_last=false"])
        .open(&DataRoot::default())
        .unwrap();
    let (mut sum, mut count) = (0.0_f64, 0_usize);
    for index in 0..data.training.len() {
        let batch = data.training.get(0, index).unwrap();
        for pixel in batch.get::<f32>("image").unwrap() {
            sum += f64::from(*pixel);
            count += 1;
        }
    }
    assert!((sum / count as f64).abs() < 1e-5, "{}", sum / count as f64);
}

#[test]
fn a_loader_delivers_what_the_sequence_says() {
    let config = read(GLYPHS, &[]);
    let sequence = config.open(&DataRoot::default()).unwrap().training;
    let loaded = config.open(&DataRoot::default()).unwrap().training;
    let options = LoaderOptions { epochs: Some(1), ..config.loader_options() };
    assert_eq!((options.workers, options.max_queue_size), (2, 10));
    let mut loader = Loader::new(loaded, options);
    let mut index = 0;
    while let Some(batch) = loader.next_batch() {
        let (batch, expected) = (batch.unwrap(), sequence.get(0, index).unwrap());
        assert_eq!(batch.get::<f32>("image").unwrap(), expected.get::<f32>("image").unwrap());
        index += 1;
    }
    assert_eq!(index, sequence.len());
}

#[test]
fn class_weights_and_samplers_reach_the_batches() {
    let data = read(GLYPHS, &["loader.class_weight=balanced"]).open(&DataRoot::default()).unwrap();
    assert!(data.training.get(0, 0).unwrap().weights.is_some());
    assert!(data.validation.unwrap().get(0, 0).unwrap().weights.is_none());
    let settings =
        ["loader.sampler.weighted.classes={0: 0, 1: 1, 2: 0, 3: 0}", "loader.sampler.weighted.draws=64"];
    let data = read(GLYPHS, &settings).open(&DataRoot::default()).unwrap();
    assert_eq!(data.training.len(), 4);
    assert!(data.training.get(0, 0).unwrap().get::<i64>("label").unwrap().iter().all(|label| *label == 1));
    let settings = ["loader.sampler.weighted.classes={0: 1}"];
    let error = read(GLYPHS, &settings).open(&DataRoot::default()).unwrap_err();
    assert_eq!(error.to_string(), "loader.sampler.weighted: class 1 has no weight in `classes`");
    assert!(error.is_configuration());
}

#[test]
fn ranks_share_the_global_batches() {
    let whole = read(GLYPHS, &[]).open(&DataRoot::default()).unwrap().training.get(0, 1).unwrap();
    let share = |index: usize| {
        let settings = [format!("loader.ranks={{ index: {index}, world: 2 }}")];
        let config = Config::from_str(GLYPHS, "x.yaml", &settings).unwrap();
        let batch = config.open(&DataRoot::default()).unwrap().training.get(0, 1).unwrap();
        batch.get::<i64>("label").unwrap().to_vec()
    };
    assert_eq!([share(0), share(1)].concat(), whole.get::<i64>("label").unwrap());
}

#[test]
fn every_rank_validates_and_tests_on_all_samples() {
    let sets = |settings: &[&str]| {
        let data = read(GLYPHS, settings).open(&DataRoot::default()).unwrap();
        [data.validation.unwrap(), data.test.unwrap()].map(|set| {
            let batches = (0..set.len()).map(|index| set.get(0, index).unwrap());
            batches.flat_map(|batch| batch.get::<i64>("label").unwrap().to_vec()).collect::<Vec<_>>()
        })
    };
    assert_eq!(sets(&["loader.ranks={ index: 1, world: 2 }"]), sets(&[]));
}

/// Two IDX files of `count` images of 2 x 3 bytes, labels 0, 1, 2, 0, ...
fn write_idx(folder: &Path, name: &str, count: u32) {
    std::fs::create_dir_all(folder).unwrap();
    let mut images = vec![0, 0, 8, 3];
    images.extend([count, 2, 3].into_iter().flat_map(u32::to_be_bytes));
    images.extend((0..count * 6).map(|i| i as u8));
    std::fs::write(folder.join(format!("{name}-images")), images).unwrap();
    let mut labels = vec![0, 0, 8, 1];
    labels.extend(count.to_be_bytes());
    labels.extend((0..count).map(|i| (i % 3) as u8));
    std::fs::write(folder.join(format!("{name}-labels")), labels).unwrap();
}

const IDX: &str = "
seed: 3
data:
  root: ../data
  origin: a set that was made up
  idx:
    train: { images: set/train-images, labels: set/train-labels }
    test: { images: set/test-images, labels: set/test-labels }
loader: { batch_size: 4 }
";

#[test]
fn a_relative_root_is_relative_to_the_file() {
    let folder = tempfile::tempdir().unwrap();
    write_idx(&folder.path().join("data/set"), "train", 10);
    write_idx(&folder.path().join("data/set"), "test", 6);
    std::fs::create_dir(folder.path().join("configs")).unwrap();
    let path = folder.path().join("configs/run.yaml");
    std::fs::write(&path, IDX).unwrap();
    let config = Config::from_path(&path, &["data.one_hot=true"]).unwrap();
    let data = config.open(&DataRoot::default()).unwrap();
    assert_eq!((data.training.len(), data.test.as_ref().unwrap().len()), (3, 2));
    assert!(data.validation.is_none());
    assert_eq!(
        data.describe(),
        "training: 10 samples, 3 batches an epoch\ntest: 6 samples, 2 batches an epoch\n\
         fields: image: f32 [1, 2, 3]; label: i64 []; one_hot: f32 [3]; 3 classes"
    );
    // A copy of the configuration that lies with a run.
    let saved = read(&config.to_yaml().unwrap(), &[]);
    assert!(matches!(saved.open(&DataRoot::default()), Err(OpenError::Missing { .. })));
    assert!(saved.clone().with_folder(config.folder()).open(&DataRoot::default()).is_ok());
    assert!(saved.open(&DataRoot::new(folder.path().join("data"))).is_ok());
}

#[test]
fn missing_files_are_told_with_where_they_can_be_had_and_what_to_set() {
    let config = read(IDX, &[]).with_folder("/nowhere/configs");
    let error = config.open(&DataRoot::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "data.idx.train.images: there is no `/nowhere/configs/../data/set/train-images` (it belongs to a set that was made \
         up); set --data DIR, BATCHWRIGHT_DATA or `data.root` to the folder that `set/train-images` lies in; now it is \
         `/nowhere/configs/../data`"
    );
    assert!(!error.is_configuration());
}

#[test]
fn a_test_set_of_other_images_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_idx(&folder.path().join("set"), "train", 2);
    write_idx(&folder.path().join("set"), "test", 6);
    let error = read(IDX, &[]).open(&DataRoot::new(folder.path())).unwrap_err();
    let text = batchwright_core::chain(&error);
    assert!(text.starts_with("data.idx: the images cannot be used: ") && text.contains("label 2"), "{text}");
}

#[test]
fn a_list_names_the_validation_side() {
    let folder = tempfile::tempdir().unwrap();
    write_idx(&folder.path().join("set"), "train", 10);
    write_idx(&folder.path().join("set"), "test", 6);
    std::fs::write(folder.path().join("list.txt"), "train-images[3]\ntrain-images[7]\n\n").unwrap();
    let data = read(IDX, &["data.split.validation=list.txt"]).open(&DataRoot::new(folder.path())).unwrap();
    let validation = data.validation.unwrap();
    assert_eq!((validation.dataset().len(), data.training.dataset().len()), (2, 8));
    assert_eq!(validation.dataset().id(1), "train-images[7]");
}

#[test]
fn turned_images_are_classes_of_training_alone() {
    let settings = ["data.quarter_turns=as_classes", "data.augment=null", "data.split.by=class"];
    let data = read(GLYPHS, &settings).open(&DataRoot::default()).unwrap();
    let plain = read(GLYPHS, &settings[1..]).open(&DataRoot::default()).unwrap();
    let (training, validation) = (data.training.dataset(), data.validation.as_ref().unwrap().dataset());
    assert_eq!(training.len(), 4 * plain.training.dataset().len());
    assert_eq!(validation.len(), plain.validation.as_ref().unwrap().dataset().len());
    let classes = |set: &batchwright_config::Samples| {
        (0..set.len()).map(|index| set.class(index).unwrap()).collect::<std::collections::BTreeSet<_>>()
    };
    let (training_classes, held) = (classes(training), classes(validation));
    assert!(held.iter().all(|class| class.is_multiple_of(4)));
    assert!(training_classes.iter().all(|class| !held.contains(&(class / 4 * 4))));
    assert_eq!(training_classes.len() + 4 * held.len(), 16);
    assert_eq!(training.classes(), 16);
    // Those of the test set are as they are, and numbered as those of training.
    let (test, plain_test) = (data.test.unwrap(), plain.test.unwrap());
    let (turned, as_it_is) = (test.get(0, 0).unwrap(), plain_test.get(0, 0).unwrap());
    assert_eq!(turned.get::<f32>("image").unwrap(), as_it_is.get::<f32>("image").unwrap());
    let labels = as_it_is.get::<i64>("label").unwrap().iter().map(|label| 4 * label);
    assert_eq!(turned.get::<i64>("label").unwrap(), labels.collect::<Vec<_>>());
    assert_ne!(training.fingerprint(), plain.training.dataset().fingerprint());
    assert_eq!(training.fact(training.len() - 1, "turn").as_deref(), Some("3"));
}

#[test]
fn a_test_set_may_have_characters_that_training_never_sees() {
    let settings = [
        "data.one_hot=false",
        "data.glyphs.test_classes=6",
        "data.glyphs.alphabets=3",
        "data.split.by=group",
        "data.augment.elastic={ displacement: [0.5, 1] }",
    ];
    let data = read(GLYPHS, &settings).open(&DataRoot::default()).unwrap();
    let test = data.test.unwrap();
    let test = test.dataset();
    assert_eq!((test.len(), test.classes(), test.class(5)), (30, 6, Some(5)));
    assert_eq!(test.id(0), "glyph 4, drawing 50");
    assert_eq!(test.fact(0, "group").as_deref(), Some("alphabet 001"));
    let error = Config::from_str(GLYPHS, "x.yaml", &settings[1..]).unwrap_err().to_string();
    assert!(error.contains("classes that training does not have are not among its own"), "{error}");
}

#[test]
fn whole_classes_and_whole_alphabets_can_be_held_out() {
    let data = read(GLYPHS, &["data.split={ by: class, validation: { fold: 0, of: 4 } }"])
        .open(&DataRoot::default());
    let data = data.unwrap();
    let classes = |batches: &batchwright_config::SampleBatches| {
        let set = batches.dataset();
        (0..set.len()).map(|index| set.class(index).unwrap()).collect::<std::collections::BTreeSet<_>>()
    };
    let (training, validation) = (classes(&data.training), classes(data.validation.as_ref().unwrap()));
    assert_eq!((training.len(), validation.len()), (3, 1));
    assert!(training.is_disjoint(&validation));
    let root = tempfile::tempdir().unwrap();
    for (at, id) in ["latin/a", "latin/b", "greek/a", "korean/x"].into_iter().enumerate() {
        let folder = root.path().join("set").join(id);
        std::fs::create_dir_all(&folder).unwrap();
        for number in 0..3_u8 {
            let pixels = [at as u8, number, 255, 0];
            batchwright_images::write_png_gray(&folder.join(format!("{number}.png")), &pixels, 2).unwrap();
        }
    }
    let yaml = "{ seed: 1, data: { folder: { train: set, invert: true, in_memory: true, size: [1, 1], fit: area }, \
                split: { by: group, validation: { fold: 1, of: 3 } } }, loader: { batch_size: 3 } }";
    let open = |root: &Path| read(yaml, &[]).open(&DataRoot::new(root)).unwrap();
    let data = open(root.path());
    let groups = |batches: &batchwright_config::SampleBatches| {
        let set = batches.dataset();
        assert_eq!(set.facts(), ["group", "super_class"]);
        let group = |index| set.fact(index, "group").unwrap();
        (0..set.len()).map(group).collect::<std::collections::BTreeSet<_>>()
    };
    let (training, validation) = (groups(&data.training), groups(data.validation.as_ref().unwrap()));
    assert_eq!((training.len(), validation.len()), (2, 1));
    assert!(training.is_disjoint(&validation));
    std::fs::remove_dir_all(root.path().join("set/korean")).unwrap();
    std::fs::rename(root.path().join("set/latin/a"), root.path().join("set/a")).unwrap();
    let error = read(yaml, &[]).open(&DataRoot::new(root.path())).unwrap_err();
    assert!(batchwright_core::chain(&error).contains("needs groups, and the data set has none"));
}

#[test]
fn the_configurations_that_ship_open() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let data =
        std::env::var_os("BATCHWRIGHT_DATA").map_or_else(|| root.join("../shared/data"), PathBuf::from);
    for (name, samples, validation, test) in [
        ("vae-glyphs", 0, true, 800),
        ("bench-small", 60_000, false, 0),
        ("vae-fashion", 60_000, false, 10_000),
        ("vae-pneumonia", 2428, true, 0),
    ] {
        let none: &[&str] = &[];
        let config = Config::from_path(root.join(format!("configs/{name}.yaml")), none).unwrap();
        let opened = match config.open(&DataRoot::new(&data)) {
            Err(OpenError::Missing { path, .. }) => {
                println!("{name} is skipped: there is no {}", path.display());
                continue;
            }
            opened => opened.unwrap_or_else(|error| panic!("{name}: {}", batchwright_core::chain(&error))),
        };
        println!("{name}\n{}", opened.describe());
        assert!(samples == 0 || opened.training.dataset().len() == samples, "{name}");
        assert_eq!(opened.validation.is_some(), validation, "{name}");
        assert_eq!(opened.test.map_or(0, |test| test.dataset().len()), test, "{name}");
        opened.training.get(0, 0).unwrap();
    }
}
