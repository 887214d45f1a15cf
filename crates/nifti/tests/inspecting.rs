//! Facts and statistics, against what nibabel and NumPy say: the manifests beside the data.

use std::path::{Path, PathBuf};

use batchwright_nifti::{Facts, MontageOptions, PictureOptions, ReadOptions, picture_of};
use rayon::prelude::*;
use serde_json::Value;

/// The folder of the data, if it is there.
fn data() -> Option<PathBuf> {
    let path = std::env::var_os("BATCHWRIGHT_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    path.exists().then_some(path)
}

/// All volumes of a manifest, those inside others (labels, segmentations) too.
fn volumes(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::Object(map) => {
            if map.contains_key("file") && map.contains_key("shape") && map.contains_key("header") {
                found.push(value.clone());
            }
            map.values().for_each(|value| volumes(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| volumes(value, found)),
        _ => {}
    }
}

/// Whether numbers are the same to 10 digits; sums are taken in another order here.
fn close(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| close(a, b)),
        _ => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => (a - b).abs() <= 1e-10 * a.abs().max(b.abs()).max(1e-3),
            _ => a == b,
        },
    }
}

/// Checks every fact that the manifest has, and returns how many there were.
fn check(folder: &Path, expected: &Value) -> usize {
    let name = expected["file"].as_str().unwrap();
    let facts = Facts::of(&folder.join(name), true, &ReadOptions::default()).unwrap();
    assert!(facts.to_string().contains(name), "the text for a person");
    let facts = serde_json::to_value(&facts).unwrap();
    let mut checked = 0;
    let mut same = |key: &str, found: &Value, expected: &Value, digits: bool| {
        let equal = if digits { close(found, expected) } else { found == expected };
        assert!(equal, "{name}: {key} is {found}, expected {expected}");
        checked += 1;
    };
    for key in [
        "gzip",
        "kind",
        "shape",
        "zooms",
        "affine",
        "orientation",
        "extensions",
        "dtype",
        "scl_slope",
        "scl_inter",
    ] {
        // -0 is 0.
        same(key, &facts[key], &expected[key], key == "affine");
    }
    let source = expected["affine_source"].as_str().unwrap();
    assert!(source.starts_with(facts["affine_source"].as_str().unwrap()), "{name}: {source}");
    for (key, value) in expected["header"].as_object().unwrap() {
        match key.as_str() {
            "has_extension_flag" => {}
            // What lies behind the axes that there are means nothing, and is not kept.
            "dim" => {
                let rank = value[0].as_u64().unwrap() as usize;
                let [found, expected] = [&facts["header"][key], value]
                    .map(|dim| Value::from(dim.as_array().unwrap()[..=rank].to_vec()));
                same(key, &found, &expected, false);
            }
            "vox_offset" => same(key, &facts["header"][key], value, true),
            // What is no number has no word in JSON.
            "scl_slope_raw" | "scl_inter_raw" if !value.is_number() => {
                assert!(facts["header"][key].is_null());
            }
            _ => same(key, &facts["header"][key], value, false),
        }
    }
    for (key, value) in expected["voxels"].as_object().unwrap() {
        match key.as_str() {
            "probes" | "canonical_ras" => {}
            "mean" | "std" | "channel_mean" => same(key, &facts["voxels"][key], value, true),
            // Computed in single precision there.
            "abs_min" | "abs_max" | "abs_mean" => {
                let (a, b) = (facts["voxels"][key].as_f64().unwrap(), value.as_f64().unwrap());
                assert!((a - b).abs() < 1e-6 * b, "{name}: {key}: {a} {b}");
            }
            _ => same(key, &facts["voxels"][key], value, false),
        }
    }
    if let Some(counts) = expected.get("label_counts").filter(|_| facts["voxels"]["label_counts"].is_object())
    {
        same("label_counts", &facts["voxels"]["label_counts"], counts, false);
    }
    checked
}

#[test]
fn facts_are_those_of_the_manifests() {
    let Some(data) = data() else {
        println!("not run: no data");
        return;
    };
    for (set, count) in [("volumes", 35), ("hippocampus", 416), ("ixi-t1-2mm", 96), ("longitudinal-ms", 6)] {
        let folder = data.join(set);
        let Ok(manifest) = std::fs::read(folder.join("manifest.json")) else {
            println!("not run: {set} is not there");
            continue;
        };
        let mut found = Vec::new();
        volumes(&serde_json::from_slice(&manifest).unwrap(), &mut found);
        assert!(count <= found.len(), "{set}: {}", found.len());
        // The large sets are alike inside; every tenth is enough here, and all of the others.
        let step = if count < 50 { 1 } else { 10 };
        let chosen: Vec<&Value> = found.iter().step_by(step).collect();
        let checked: usize = chosen.par_iter().map(|expected| check(&folder, expected)).sum();
        println!("{set}: {} files, {checked} facts", chosen.len());
        assert!(20 * chosen.len() < checked);
    }
}

#[test]
fn every_kind_of_file_has_a_picture() {
    let Some(data) = data().map(|data| data.join("volumes")).filter(|data| data.exists()) else {
        println!("not run: no data");
        return;
    };
    let options = PictureOptions {
        montage: MontageOptions { panel: 64, ..MontageOptions::default() },
        ..PictureOptions::default()
    };
    for name in [
        "ct_perfusion_rgb.nii.gz",
        "complex_image.nii.gz",
        "functional.nii",
        "dtypes/int64.nii",
        "5D_small.nii",
    ] {
        let canvas = picture_of(&data.join(name), &ReadOptions::default(), &options).unwrap();
        assert!(64 <= canvas.width() && 8 < canvas.height(), "{name}");
    }
    let ct = data.join("example_ct_sm.nii.gz");
    let label = |name: &str| PictureOptions { label: Some(data.join(name)), ..options.clone() };
    let plain = picture_of(&ct, &ReadOptions::default(), &options).unwrap();
    let outlined = picture_of(&ct, &ReadOptions::default(), &label("example_seg.nii.gz")).unwrap();
    assert_ne!(plain, outlined);
    let error = picture_of(&ct, &ReadOptions::default(), &label("anatomical.nii")).unwrap_err().to_string();
    assert!(error.contains("`label`") && error.contains("anatomical.nii"), "{error}");
    let later = PictureOptions { frame: 20, ..options };
    assert!(picture_of(&data.join("functional.nii"), &ReadOptions::default(), &later).is_err());
}
