//! The subcommands besides `train`.

use std::fs;

use crate::common::{DONE, Place, TINY, USAGE, repository};

#[test]
fn schema_prints_the_schema_that_is_checked_in() {
    let place = Place::new(TINY);
    let printed = place.run(&["schema"]).expect(DONE).stdout;
    let kept = fs::read_to_string(repository("configs/schema.json")).unwrap();
    assert_eq!(
        printed.trim_end(),
        kept.trim_end(),
        "write it anew: batchwright schema > configs/schema.json"
    );
}

#[test]
fn verify_proves_that_every_sample_comes_once_over_any_number_of_ranks() {
    let place = Place::new(TINY);
    let lines = |arguments: &[&str]| -> Vec<serde_json::Value> {
        let ended = place.run(&[&["verify", "run.yaml"], arguments].concat()).expect(DONE);
        ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let mut samples = None;
    for ranks in ["1", "2", "4"] {
        // 88 or so samples: the last batch is short, and has to be divided too.
        let proofs = lines(&["--ranks", ranks, "--epochs", "3", "--json", "--set", "data.split=null"]);
        assert_eq!(proofs.len(), 3);
        for proof in proofs {
            assert_eq!((&proof["once"], &proof["never"]), (&proof["samples"], &0.into()), "{proof}");
            assert_eq!(proof["repeated"], 0, "{proof}");
            assert_eq!(proof["batches"].as_array().unwrap().len().to_string(), ranks, "{proof}");
            assert_eq!(*samples.get_or_insert(proof["samples"].clone()), proof["samples"]);
        }
    }
    assert_eq!(samples, Some(112.into()));
    let text = place.run(&["verify", "run.yaml", "--ranks", "2"]).expect(DONE).stdout;
    assert!(text.contains("0 never") && text.contains("over 2 ranks"), "{text}");
    // 8 samples cannot be shared by 3.
    place.run(&["verify", "run.yaml", "--ranks", "3"]).expect(USAGE).says(&["3", "8"]);
}

#[test]
fn preview_draws_the_pictures_it_was_asked_for() {
    let place = Place::new(TINY);
    // As many columns as rows, a pixel between and around, everything twice as large.
    for (count, columns, size, out) in [("16", 4, 12, "sheet.png"), ("9", 3, 20, "deeper/sheet.png")] {
        let set = format!("data.glyphs.size={size}");
        let ended =
            place.run(&["preview", "run.yaml", "--count", count, "--out", out, "--set", &set]).expect(DONE);
        assert!(ended.stdout.contains(&format!("{count} samples of epoch 0")), "{}", ended.stdout);
        let picture = image::open(place.path(out)).unwrap();
        let side = 2 * (columns * size + columns + 1);
        assert_eq!((picture.width(), picture.height()), (side, side));
    }
    let other = |name: &str, epoch: &str| {
        place.run(&["preview", "run.yaml", "--epoch", epoch, "--out", name]).expect(DONE);
        fs::read(place.path(name)).unwrap()
    };
    let first = other("a.png", "0");
    assert!(first == other("b.png", "0") && first != other("c.png", "1"), "a picture of the wrong epoch");
}

#[test]
fn preview_batch_and_eval_take_the_set_they_are_asked_for() {
    let place = Place::new(TINY);
    let batch = |set: &str| {
        let at = ["--epoch", "0", "--index", "0", "--out", set, "--split", set];
        place.run(&[&["batch", "run.yaml"][..], &at].concat()).expect(DONE);
        let facts: serde_json::Value =
            serde_json::from_slice(&fs::read(place.path(set).join("batch.json")).unwrap()).unwrap();
        facts["samples"][0].clone()
    };
    let (training, validation, test) = (batch("train"), batch("validation"), batch("test"));
    assert!(training["drawn"]["rotate"].is_f64(), "{training}");
    for plain in [&validation, &test] {
        assert!(!plain["drawn"]["rotate"].is_f64(), "augmented: {plain}");
        assert_eq!(plain["position"], 0);
    }
    assert_ne!(validation["id"], test["id"]);
    place.run(&["preview", "run.yaml", "--split", "test", "--count", "99"]).expect(DONE);
    place.train(&["--set", "training.epochs=1"]).expect(DONE);
    for (split, name, samples) in [("validation", "val_elbo", None), ("test", "test_elbo", Some(16))] {
        let line = place.run(&["eval", "run.yaml", "--json", "--split", split]).expect(DONE).json();
        assert!(line[name].is_f64(), "{line}");
        assert!(samples.is_none_or(|samples: u64| line["samples"] == samples), "{line}");
    }
    let none = ["preview", "run.yaml", "--split", "test", "--set", "data.glyphs.test_drawings=0"];
    place.run(&none).expect(USAGE).says(&["no test set"]);
}

#[test]
fn batch_refuses_what_is_not_there() {
    let place = Place::new(TINY);
    place
        .run(&["batch", "run.yaml", "--epoch", "0", "--index", "99", "--out", "out"])
        .expect(USAGE)
        .says(&["no batch 99"]);
    place
        .run(&[
            "batch",
            "run.yaml",
            "--set",
            "data.split=null",
            "--set",
            "loader.batch_size=112",
            "--epoch",
            "0",
            "--index",
            "1",
            "--out",
            "out",
        ])
        .expect(USAGE)
        .says(&["an epoch has 1"]);
    assert!(!place.path("out").exists());
}

#[test]
fn bench_prints_the_figures_that_others_are_compared_by() {
    let place = Place::new(TINY);
    let bench = |more: &[&str]| {
        place.run(&[&["bench", "run.yaml", "--seconds", "0.3", "--warm", "0.1"], more].concat()).expect(DONE)
    };
    let line = bench(&["--json"]).json();
    assert_eq!(
        (&line["system"], &line["workload"], &line["unit"]),
        (&"batchwright".into(), &"tiny".into(), &"images/s".into())
    );
    for key in ["rate", "ttfb_s", "cpu_ms_per_item", "cores", "max_gap_s", "out_mb_s", "of_memcpy"] {
        let value = line[key].as_f64();
        assert!(value.is_some_and(|value| value.is_finite() && 0.0 <= value), "{key} is {}", line[key]);
    }
    // A picture of 144 floats and a label of 8 bytes.
    let bytes = line["out_mb_s"].as_f64().unwrap() * 1e6 / line["rate"].as_f64().unwrap();
    assert!((bytes - 584.0).abs() < 1e-6, "{bytes}");
    let text = bench(&[]).stdout;
    assert!(text.contains("images/s") && text.contains("limited by"), "{text}");
    place.run(&["bench", "run.yaml", "--seconds", "-1"]).expect(USAGE);
}

#[test]
fn eval_gives_the_figures_of_the_summary() {
    let place = Place::new(TINY);
    place.train(&[]).expect(DONE);
    let summary = place.summary("tiny");
    let eval =
        |more: &[&str]| place.run(&[&["eval", "run.yaml", "--json"], more].concat()).expect(DONE).json();
    let figures = |name: &str, line: &serde_json::Value| -> Vec<(String, serde_json::Value)> {
        let all = line.as_object().unwrap().iter().filter(|(key, _)| key.starts_with(name));
        all.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let test = figures("test_", &eval(&["--checkpoint", "latest", "--set", "loader.workers=3"]));
    assert!(test.iter().any(|(name, _)| name == "test_elbo") && 4 <= test.len(), "{test:?}");
    assert_eq!(test, figures("test_", &summary["metrics"]));
    let best = eval(&["--checkpoint", "best", "--run", "runs/tiny"]);
    assert_eq!((&best["step"], &best["samples"]), (&summary["best"]["step"], &16.into()));
}
