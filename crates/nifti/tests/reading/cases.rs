//! The 208 malformed and odd files of `make_bad_nifti.py`, each in a process of its own, so that its memory can be measured.

use std::path::{Path, PathBuf};
use std::process::Command;

use batchwright_nifti::{Error, Volume};
use rayon::prelude::*;
use serde_json::{Value, json};

use super::shared;

const CASE: &str = "BATCHWRIGHT_READ_CASE";
const ANSWER: &str = "answer of the case: ";

/// Writes the files to `folder` and returns what is wanted of each.
fn generate(folder: &Path) -> Option<Vec<Value>> {
    let script = shared("BATCHWRIGHT_CASES", "nifti-cases")?.join("make_bad_nifti.py");
    let done = Command::new("python3").arg(script).arg(folder).output().ok()?;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let manifest = std::fs::read(folder.join("manifest.json")).unwrap();
    let mut manifest: Value = serde_json::from_slice(&manifest).unwrap();
    match manifest["cases"].take() {
        Value::Array(cases) => Some(cases),
        other => panic!("{other}"),
    }
}

/// Returns a line of `/proc/self/status` in KiB.
fn status_kib(line: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|found| found.strip_prefix(line)?.trim().strip_suffix(" kB")?.trim().parse().ok())
}

fn read(path: &Path) -> Result<(Vec<usize>, Vec<f64>), Error> {
    let volume = Volume::open(path)?;
    let head = volume.head_room();
    let mut room = vec![0; head + volume.stored_bytes() as usize];
    volume.read_all_at(&mut room, head)?;
    let bytes = &room[head..];
    let scaling = volume.scaling();
    let first = bytes.chunks(volume.voxel_type().size()).take(6).map(|x| {
        let value = match volume.voxel_type().name() {
            "uint8" => f64::from(x[0]),
            "int8" => f64::from(x[0] as i8),
            "uint16" => u16::from_ne_bytes(x.try_into().unwrap()).into(),
            "int16" => i16::from_ne_bytes(x.try_into().unwrap()).into(),
            "uint32" => u32::from_ne_bytes(x.try_into().unwrap()).into(),
            "int32" => i32::from_ne_bytes(x.try_into().unwrap()).into(),
            "uint64" => u64::from_ne_bytes(x.try_into().unwrap()) as f64,
            "int64" => i64::from_ne_bytes(x.try_into().unwrap()) as f64,
            "float32" => f32::from_ne_bytes(x.try_into().unwrap()).into(),
            _ => f64::from_ne_bytes(x.try_into().unwrap()),
        };
        f64::from(scaling.apply(value) as f32)
    });
    Ok((volume.header().shape().to_vec(), first.collect()))
}

#[test]
fn one_case_in_a_process_of_its_own() {
    let Some(path) = std::env::var_os(CASE) else { return };
    let before = status_kib("VmRSS:").unwrap_or(0);
    let result = read(Path::new(&path));
    let grown = status_kib("VmHWM:").unwrap_or(0).saturating_sub(before);
    let answer = match result {
        Ok((shape, first)) => {
            let first: Vec<Value> = first
                .into_iter()
                .map(|x| if x.is_finite() { json!(x) } else { json!(x.to_string().to_lowercase()) })
                .collect();
            json!({ "shape": shape, "first": first, "kib": grown })
        }
        Err(error) => json!({
            "problem": error.problem().map(batchwright_nifti::Problem::name),
            "message": error.to_string(),
            "kib": grown,
        }),
    };
    println!("{ANSWER}{answer}");
}

fn check(folder: &Path, case: &Value) -> Vec<String> {
    let id = case["id"].as_str().unwrap();
    let path: PathBuf = folder.join(case["file"].as_str().unwrap());
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "reading::cases::one_case_in_a_process_of_its_own",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(CASE, &path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    let Some(answer) = said.lines().find_map(|line| Some(line.split_once(ANSWER)?.1)) else {
        return vec![format!("{id}: no answer: {said}{}", String::from_utf8_lossy(&child.stderr))];
    };
    let answer: Value = serde_json::from_str(answer).unwrap();
    let mut wrong = Vec::new();
    if case["expect"] == "ok" {
        if answer["shape"] != case["shape"] {
            wrong.push(format!("{id}: {answer}, wanted {}", case["shape"]));
        } else if !case["first"].is_null() && answer["first"] != case["first"] {
            wrong.push(format!("{id}: {answer}, wanted {}", case["first"]));
        }
    } else {
        if answer["problem"] != case["kind"] {
            wrong.push(format!("{id}: {answer}, wanted {}", case["kind"]));
        }
        let message = answer["message"].as_str().unwrap_or("");
        if !message.contains(id) {
            wrong.push(format!("{id}: the message does not name the file: {message}"));
        }
    }
    let (kib, most) = (answer["kib"].as_u64().unwrap(), case["max_rss_mib"].as_u64().unwrap() << 10);
    if most < kib {
        wrong.push(format!("{id}: {kib} KiB, at most {most}"));
    }
    wrong
}

#[test]
fn all_208_cases_give_what_their_manifest_says_within_their_memory() {
    let folder = tempfile::tempdir().unwrap();
    let Some(cases) = generate(folder.path()) else {
        println!("skipped: no nifti-cases beside the workspace and no BATCHWRIGHT_CASES, or no python3");
        return;
    };
    let wrong: Vec<String> = cases.par_iter().flat_map_iter(|case| check(folder.path(), case)).collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(cases.len(), 208);
    println!("{} cases", cases.len());
}
