//! Real files, and what nibabel says of them: the manifests beside them.

use std::path::Path;

use batchwright_nifti::{Color, Complex, Header, Orientation, ReadOptions, Region, Volume};
use rayon::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::shared;

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

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().unwrap()],
    }
}

/// The order of the manifests: the last axis fastest, where the file has the first fastest.
fn last_fastest<T: Copy>(shape: &[usize], values: &[T]) -> Vec<T> {
    let mut strides = vec![1; shape.len()];
    for axis in 1..shape.len() {
        strides[axis] = strides[axis - 1] * shape[axis - 1];
    }
    let mut out = Vec::with_capacity(values.len());
    let mut index = vec![0; shape.len()];
    for _ in 0..values.len() {
        out.push(values[index.iter().zip(&strides).map(|(i, s)| i * s).sum::<usize>()]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    out
}

fn hash<B: AsRef<[u8]>>(pieces: impl IntoIterator<Item = B>) -> String {
    let mut hash = Sha256::new();
    let mut buffer = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece.as_ref());
        if 1 << 16 < buffer.len() {
            hash.update(&buffer);
            buffer.clear();
        }
    }
    hash.update(&buffer);
    format!("{:x}", hash.finalize())
}

fn hash_f32(shape: &[usize], values: &[f32]) -> String {
    let canonical = |x: f32| if x.is_nan() { 0x7fc0_0000_u32.to_le_bytes() } else { x.to_le_bytes() };
    hash(last_fastest(shape, values).into_iter().map(canonical))
}

fn hash_stored(volume: &Volume, shape: &[usize], bytes: &[u8]) -> String {
    let wide: Vec<i64> = match volume.voxel_type().name() {
        "uint8" => bytes.iter().map(|&x| x.into()).collect(),
        "int8" => bytes.iter().map(|&x| (x as i8).into()).collect(),
        "uint16" => bytes.as_chunks().0.iter().map(|&x| u16::from_ne_bytes(x).into()).collect(),
        "int16" => bytes.as_chunks().0.iter().map(|&x| i16::from_ne_bytes(x).into()).collect(),
        "uint32" => bytes.as_chunks().0.iter().map(|&x| u32::from_ne_bytes(x).into()).collect(),
        "int32" => bytes.as_chunks().0.iter().map(|&x| i32::from_ne_bytes(x).into()).collect(),
        "uint64" | "int64" => bytes.as_chunks().0.iter().map(|&x| i64::from_ne_bytes(x)).collect(),
        other => panic!("{other} is no integer"),
    };
    hash(last_fastest(shape, &wide).into_iter().map(i64::to_le_bytes))
}

fn check(folder: &Path, entry: &Value) {
    let file = entry["file"].as_str().unwrap();
    let path = folder.join(file);
    let dtype = entry["dtype"].as_str().unwrap();
    let options = ReadOptions { complex: Complex::Real, color: Color::Channels, ..ReadOptions::default() };
    let volume = Volume::open_with(&path, &options).unwrap_or_else(|error| panic!("{error}"));
    let header = volume.header();
    let shape: Vec<usize> = numbers(&entry["shape"]).into_iter().map(|n| n as usize).collect();
    assert_eq!(header.shape(), shape, "{file}");
    assert_eq!(header.datatype().name(), dtype, "{file}");
    assert_eq!(volume.is_compressed(), entry["gzip"].as_bool().unwrap(), "{file}");
    let fields = &entry["header"];
    assert_eq!(header.byte_order().name(), fields["endianness"], "{file}");
    assert_eq!(header.vox_offset() as f64, fields["vox_offset"].as_f64().unwrap(), "{file}");
    assert_eq!(header.sform_code(), fields["sform_code"].as_i64().unwrap() as i32, "{file}");
    assert_eq!(header.qform_code(), fields["qform_code"].as_i64().unwrap() as i32, "{file}");
    assert_eq!(header.pixdim().to_vec(), numbers(&fields["pixdim"]), "{file}");
    assert_eq!(volume.scaling().slope, entry["scl_slope"].as_f64().unwrap(), "{file}");
    assert_eq!(volume.scaling().inter, entry["scl_inter"].as_f64().unwrap(), "{file}");
    let written = header.encode();
    assert_eq!(Header::parse(&written, false).unwrap().0.encode(), written, "{file}");
    assert_eq!(volume.extensions().unwrap().len(), entry["extensions"].as_u64().unwrap() as usize, "{file}");
    let source = entry["affine_source"].as_str().unwrap();
    let name = volume.geometry().source().name();
    assert!(source == name || (source.starts_with("base") && name == "pixdim"), "{file}: {source}, {name}");
    assert_eq!(volume.geometry().orientation().to_string(), entry["orientation"], "{file}");
    let affine = volume.geometry().voxel_to_world().0.0;
    let largest = affine.as_flattened().iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    // A matrix is read as it is; a quaternion is worked out in single precision by nibabel in places.
    let tolerance = if name == "qform" { 1e-6 * largest } else { 0.0 };
    for (x, expected) in affine.as_flattened().iter().zip(numbers(&entry["affine"])) {
        assert!((x - expected).abs() <= tolerance, "{file}: {affine:?}");
    }

    let voxels = &entry["voxels"];
    let mut stored = vec![0; volume.stored_bytes() as usize];
    volume.read_all(&mut stored).unwrap_or_else(|error| panic!("{error}"));
    if let Some(expected) = voxels["sha256_u8_channels_last_C"].as_str() {
        let plane = volume.channel_bytes();
        let channels: Vec<Vec<u8>> = stored.chunks(plane).map(|plane| last_fastest(&shape, plane)).collect();
        let last = (0..plane).map(|voxel| channels.iter().map(|channel| channel[voxel]).collect::<Vec<u8>>());
        assert_eq!(hash(last), expected, "{file}");
        return;
    }
    if let Some(expected) = voxels["sha256_c64_C"].as_str() {
        let options = ReadOptions { complex: Complex::Imaginary, ..ReadOptions::default() };
        let mut imaginary = vec![0; stored.len()];
        Volume::open_with(&path, &options).unwrap().read_all(&mut imaginary).unwrap();
        let [real, imaginary] =
            [&stored, &imaginary].map(|part| last_fastest(&shape, part.as_chunks::<4>().0));
        let both = real.into_iter().zip(imaginary).map(|(a, b)| [a, b].concat());
        assert_eq!(hash(both), expected, "{file}");
        return;
    }
    let mut values = vec![0.0; shape.iter().product()];
    volume.read_f32_all(&mut values).unwrap();
    assert_eq!(hash_f32(&shape, &values), voxels["sha256_f32_C"], "{file}");
    if let Some(expected) = voxels["sha256_raw_int64_C"].as_str() {
        assert_eq!(hash_stored(&volume, &shape, &stored), expected, "{file}");
    }
    let nans = values.iter().filter(|x| x.is_nan()).count();
    assert_eq!(nans as u64, voxels["nan_count"].as_u64().unwrap(), "{file}");
    for probe in voxels["probes"].as_array().into_iter().flatten() {
        let at: Vec<usize> = numbers(&probe["index"]).into_iter().map(|n| n as usize).collect();
        if let Some(expected) = probe["value"].as_f64() {
            let place = at.iter().zip(&shape).rev().fold(0, |place, (i, n)| place * n + i);
            assert_eq!(values[place], expected as f32, "{file} {at:?}");
        }
    }
    if !volume.is_compressed() {
        let [nx, ny, nz] = volume.shape();
        let region =
            Region::new([nx / 3, ny / 3, nz / 3], [nx - nx / 3, 1, nz - nz / 3], [nx, ny, nz]).unwrap();
        for channel in 0..volume.channels() {
            let mut out = vec![0.0; region.voxels()];
            volume.read_region_f32(&region, channel, &mut out).unwrap();
            let mut expected = Vec::new();
            for z in nz / 3..nz {
                let row = ((channel * nz + z) * ny + ny / 3) * nx;
                expected.extend_from_slice(&values[row + nx / 3..row + nx]);
            }
            assert_eq!(out, expected, "{file}");
        }
    }
    if let Some(canonical) = voxels["canonical_ras"].as_object() {
        let (seen, map) = volume.geometry().orientation().seen_as(Orientation::RAS, volume.shape());
        let expected: Vec<usize> = numbers(&canonical["shape"]).into_iter().map(|n| n as usize).collect();
        assert_eq!(seen.to_vec(), expected[..3], "{file}");
        let affine = volume.geometry().voxel_to_world().0.after(&map);
        for (x, expected) in affine.0.as_flattened().iter().zip(numbers(&canonical["affine"])) {
            assert!((x - expected).abs() <= 1e-6 * largest.max(100.0), "{file}: {affine:?}");
        }
        if let (3, Some(expected)) = (shape.len(), canonical["sha256_f32_C"].as_str()) {
            let [nx, ny, _] = volume.shape();
            let mut turned = Vec::with_capacity(values.len());
            for z in 0..seen[2] {
                for y in 0..seen[1] {
                    for x in 0..seen[0] {
                        let [x, y, z] = map.apply([x as f64, y as f64, z as f64]).map(|at| at as usize);
                        turned.push(values[(z * ny + y) * nx + x]);
                    }
                }
            }
            assert_eq!(hash_f32(&seen, &turned), expected, "{file}");
        }
    }
}

#[test]
fn every_file_is_what_its_manifest_says() {
    let Some(folder) = shared("BATCHWRIGHT_DATA", "data") else {
        println!("skipped: no data beside the workspace and no BATCHWRIGHT_DATA");
        return;
    };
    for (set, least) in [("volumes", 35), ("hippocampus", 416), ("ixi-t1-2mm", 48), ("longitudinal-ms", 6)] {
        let folder = folder.join(set);
        let Ok(manifest) = std::fs::read(folder.join("manifest.json")) else {
            println!("skipped: no {}", folder.display());
            continue;
        };
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let mut found = Vec::new();
        volumes(&manifest["volumes"], &mut found);
        found.par_iter().for_each(|entry| check(&folder, entry));
        println!("{set}: {} files", found.len());
        assert!(least <= found.len(), "{set}: {}", found.len());
    }
}
