//! The files that ship: configurations, their schema, and the reference of keys.

use std::path::{Path, PathBuf};

use batchwright_config::{Config, reference, schema};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Compares a file that is made with what it is made of; `UPDATE_SCHEMA=1` rewrites it.
fn is_current(path: &str, content: &str) {
    let path = root().join(path);
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, content).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == content, "{} is not current; UPDATE_SCHEMA=1 rewrites it", path.display());
}

#[test]
fn the_schema_that_ships_is_that_of_the_types() {
    is_current("configs/schema.json", &format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap()));
}

#[test]
fn the_reference_that_ships_is_that_of_the_types() {
    is_current("docs/configuration.md", &reference());
}

#[test]
fn every_key_is_described() {
    let text = reference();
    for line in text.lines().filter(|line| line.trim_start().starts_with("- `")) {
        let (_, rest) = line.split_once(": ").unwrap();
        assert!(rest.contains(". ") && 20 < rest.len(), "{line}");
    }
    assert!(100 < text.lines().count());
}

#[test]
fn every_configuration_that_ships_is_valid_and_names_its_schema() {
    let schema = schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut count = 0;
    for entry in std::fs::read_dir(root().join("configs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# yaml-language-server: $schema=schema.json\n"), "{}", path.display());
        let value: serde_json::Value = serde_yaml::from_str(&text).unwrap();
        let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
        let none: &[&str] = &[];
        let config = Config::from_path(&path, none).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(Some(config.name.as_str()), path.file_stem().unwrap().to_str());
        let written: serde_json::Value = serde_yaml::from_str(&config.to_yaml().unwrap()).unwrap();
        let errors: Vec<String> = validator.iter_errors(&written).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{} resolved: {errors:?}", path.display());
        count += 1;
    }
    println!("{count} configurations");
    assert!(4 <= count, "{count}");
}

/// What the schema says of a document with a mistake and what the check says agree.
#[test]
fn the_schema_refuses_mistakes_too() {
    let schema = schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let none: &[&str] = &[];
    let valid = "seed: 1\ndata: { glyphs: {} }\nloader: { batch_size: 8 }\n";
    let check = |text: &str| {
        let value: serde_json::Value = serde_yaml::from_str(text).unwrap();
        assert_eq!(validator.is_valid(&value), Config::from_str(text, "x.yaml", none).is_ok(), "{text}");
        validator.is_valid(&value)
    };
    assert!(check(valid));
    for (from, to) in [
        ("seed: 1", "seed: -1"),
        ("seed: 1", "seed: 1.5"),
        ("batch_size: 8", "batch_size: 0"),
        ("batch_size: 8", "batch_sise: 8"),
        ("batch_size: 8", "batch_size: 8, queue_budget: 12"),
        ("batch_size: 8", "batch_size: 8, timeout: 12 parsecs"),
        ("batch_size: 8", "batch_size: 8, on_error: { skip: {} }"),
        ("glyphs: {}", "glyphs: {}, idx: { train: { images: a } }"),
        ("glyphs: {}", "split: { validation: 0.1 }"),
        ("glyphs: {}", "glyphs: {}, split: { validation: 1.5 }"),
        ("glyphs: {}", "glyphs: {}, dtype: f64"),
    ] {
        assert!(!check(&valid.replace(from, to)), "{to}");
    }
    for (from, to) in [
        ("batch_size: 8", "batch_size: 8, queue_budget: 12 MiB"),
        ("batch_size: 8", "batch_size: 8, sampler: balanced"),
        ("batch_size: 8", "batch_size: 8, class_weight: { 0: 1, 1: 2.5 }"),
        ("batch_size: 8", "batch_size: 8, shuffle: { window: { block: 4, blocks: 2 } }"),
        ("glyphs: {}", "glyphs: {}, normalize: mean_std"),
        ("glyphs: {}", "glyphs: {}, split: { validation: names.txt }"),
    ] {
        assert!(check(&valid.replace(from, to)), "{to}");
    }
}
