//! Every configuration that ships, used.

use std::fs;

use crate::common::{DATA, DONE, Place, Running, TINY, real_data, repository};

/// What makes a shipped configuration small enough for a test, and the data it needs.
struct Shipped {
    name: &'static str,
    needs: Option<&'static str>,
    trains: bool,
    smaller: &'static [&'static str],
}

const SHIPPED: [Shipped; 12] = [
    Shipped {
        name: "bench-augment",
        needs: Some("w123/sub-000_t1.nii.gz"),
        trains: false,
        smaller: &["data.nifti.patch.size=[32, 32, 32]"],
    },
    Shipped {
        name: "bench-patches",
        needs: Some("w123/sub-000_t1.nii.gz"),
        trains: false,
        smaller: &["data.nifti.patch.size=[32, 32, 32]"],
    },
    Shipped { name: "bench-small", needs: None, trains: false, smaller: &["data.glyphs.drawings=100"] },
    Shipped {
        name: "siamese-glyphs",
        needs: None,
        trains: true,
        smaller: &["data.glyphs.classes=20", "data.glyphs.drawings=6", "loader.batch_size=16"],
    },
    Shipped {
        name: "siamese-ixi",
        needs: Some("ixi-t1-2mm/manifest.json"),
        trains: true,
        smaller: &[
            "data.nifti.patch.size=[16, 16, 16]",
            "data.nifti.patch.sampler.regions.labels=[59, 60]",
            "model.siamese.encoder.channels=[4, 8]",
        ],
    },
    Shipped {
        name: "siamese-omniglot",
        needs: Some("omniglot/images_background_small1.zip"),
        trains: true,
        smaller: &[
            "data.align.size=28",
            "model.siamese.encoder.channels=[4]",
            "model.siamese.encoder.further=[4]",
        ],
    },
    Shipped {
        name: "triplet-fashion",
        needs: Some("fashion-mnist/train-images-idx3-ubyte.gz"),
        trains: true,
        smaller: &[
            "loader.batch_size=1000",
            "loader.sampler.class_batches.samples=100",
            "model.siamese.encoder.channels=[4, 4, 4]",
        ],
    },
    Shipped {
        name: "vae-fashion",
        needs: Some("fashion-mnist/train-images-idx3-ubyte.gz"),
        trains: true,
        smaller: &["loader.batch_size=1000", "model.vae.hidden=[32]"],
    },
    Shipped {
        name: "vae-glyphs",
        needs: None,
        trains: true,
        smaller: &["data.glyphs.drawings=20", "data.glyphs.test_drawings=4"],
    },
    Shipped {
        name: "vae-hippocampus",
        needs: Some("hippocampus/dataset.json"),
        trains: true,
        smaller: &[
            "data.nifti.patch.size=[16, 16, 16]",
            "data.nifti.patch.per_volume=1",
            "model.vae.channels=[4, 8]",
        ],
    },
    Shipped {
        name: "vae-phantom",
        needs: None,
        trains: true,
        smaller: &[
            "data.nifti.phantom.subjects=12",
            "data.nifti.phantom.shape=[24, 24, 24]",
            "data.nifti.patch.size=[16, 16, 16]",
            "model.vae.channels=[4, 8]",
        ],
    },
    Shipped {
        name: "vae-pneumonia",
        needs: Some("pneumoniamnist-balanced/pneumoniamnist_balanced_trainval.npz"),
        trains: true,
        smaller: &["loader.batch_size=256", "model.vae.channels=[4, 8]"],
    },
];

#[test]
fn every_shipped_configuration_is_listed_here() {
    let mut names: Vec<String> = fs::read_dir(repository("configs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, SHIPPED.map(|shipped| shipped.name));
}

fn exercise(name: &str) {
    let shipped = SHIPPED.iter().find(|shipped| shipped.name == name).unwrap();
    let place = Place::new(TINY);
    let config = repository("configs").join(format!("{name}.yaml"));
    let config = config.to_str().unwrap();
    let data = match shipped.needs.map(real_data) {
        Some(None) => {
            // Even then it says what to do.
            let mut command = place.program(&["verify", config]);
            command.env("BATCHWRIGHT_DATA", place.path("nowhere"));
            Running::start(command).wait().expect(DATA).says(&["it belongs to", "BATCHWRIGHT_DATA"]);
            return;
        }
        Some(Some(data)) => Some(data),
        None => None,
    };
    let mut common: Vec<&str> = shipped.smaller.iter().flat_map(|setting| ["--set", setting]).collect();
    if let Some(data) = &data {
        common.extend(["--data", data.to_str().unwrap()]);
    }
    let run =
        |command: &str, more: &[&str]| place.run(&[&[command, config], more, &common].concat()).expect(DONE);
    // As it ships, not made smaller.
    let whole: Vec<&str> = common[2 * shipped.smaller.len()..].to_vec();
    let proof =
        place.run(&[&["verify", config, "--epochs", "1", "--json"], &whole[..]].concat()).expect(DONE).json();
    // Batches of classes repeat the samples of small ones, and leave none out.
    let by_class = ["siamese-omniglot", "triplet-fashion"].contains(&name);
    if by_class {
        assert_eq!((&proof["never"], &proof["dropped"]), (&0.into(), &0.into()), "{proof}");
    } else {
        assert_eq!((&proof["never"], &proof["repeated"]), (&proof["dropped"], &0.into()), "{proof}");
    }
    assert_eq!(0 < proof["dropped"].as_u64().unwrap(), name == "bench-small", "{proof}");
    // Pairs are half positives; of triplets each has one.
    let parts = match name {
        "siamese-glyphs" => 2,
        "siamese-ixi" => 3,
        _ => 1,
    };
    if 1 < parts {
        let tuples = &proof["tuples"];
        let (count, positives) = (tuples["count"].as_u64().unwrap(), tuples["positives"].as_u64().unwrap());
        let expected = if parts == 2 { count / 2 } else { count };
        assert!(positives.abs_diff(expected) <= 1 && tuples["wrong"] == 0, "{proof}");
    }
    run("batch", &["--epoch", "3", "--index", "1", "--out", "batch"]);
    assert!(place.path("batch").join(["image.npy", "b.npy", "negative.npy"][parts - 1]).exists());
    run("preview", &["--count", "16"]);
    run("bench", &["--seconds", "0.2", "--warm", "0", "--json"]);
    if shipped.trains {
        let threads = ["--set", "training.epochs=1", "--set", "training.threads=1"];
        run("train", &[&threads[..], &["--quiet"]].concat());
        let summary = place.summary(name);
        assert_eq!(summary["outcome"], "finished");
        let pictures = fs::read_dir(place.path("runs").join(name).join("pictures")).unwrap().count();
        if name.starts_with("vae") {
            assert!(summary["metrics"]["train_elbo"].is_f64(), "{summary}");
            assert_eq!(pictures, 3, "reconstructions, samples, traversal");
        } else {
            assert!(summary["metrics"]["val_auc"].is_f64(), "{summary}");
            // Hardest positives and negatives, and where samples stand alone their map; or hardest triplets.
            assert_eq!(pictures, [3, 2, 1][parts - 1]);
        }
        run("eval", &[&threads[..], &["--checkpoint", "latest"]].concat());
    }
}

#[test]
fn bench_small_works() {
    exercise("bench-small");
}

#[test]
fn siamese_glyphs_works() {
    exercise("siamese-glyphs");
}

#[test]
fn siamese_ixi_works() {
    exercise("siamese-ixi");
}

#[test]
fn siamese_omniglot_works() {
    exercise("siamese-omniglot");
}

#[test]
fn triplet_fashion_works() {
    exercise("triplet-fashion");
}

#[test]
fn vae_fashion_works() {
    exercise("vae-fashion");
}

#[test]
fn vae_glyphs_works() {
    exercise("vae-glyphs");
}

#[test]
fn vae_hippocampus_works() {
    exercise("vae-hippocampus");
}

#[test]
fn vae_phantom_works() {
    exercise("vae-phantom");
}

#[test]
fn bench_patches_works() {
    exercise("bench-patches");
    exercise("bench-augment");
}

#[test]
fn vae_pneumonia_works() {
    exercise("vae-pneumonia");
}
