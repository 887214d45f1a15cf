//! A generated data set in which each fault is planted: every one is found, and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::affine::{Affine, VoxelToWorld};
use crate::cache::{Cache, CacheOptions, KeyBy};
use crate::error::Error;
use crate::patch_set::{PatchSet, PatchSetOptions};
use crate::places::PatchOptions;
use crate::subjects::{DatasetJson, Manifest, Subject};
use crate::voxels::VoxelSlice;
use crate::write::{NewVolume, WriteOptions};

const SHAPE: [usize; 3] = [8, 9, 10];

/// A smooth ball with some noise, different for each subject.
fn image(subject: usize) -> Vec<f32> {
    (0..720)
        .map(|i| {
            let [x, y, z] = [i % 8, i / 8 % 9, i / 72].map(|x| x as f32 - 4.0);
            let noise = ((i * 7919 + subject * 104_729) % 1009) as f32 / 1009.0;
            100.0 * (-(x * x + y * y + z * z) / 18.0).exp() + 5.0 * noise + subject as f32 * 0.1
        })
        .collect()
}

/// Two classes, which lie a little differently for each subject.
fn label(subject: usize) -> Vec<u8> {
    (0..720)
        .map(|i| match (i % 8 + i / 72, (i + subject) % 97) {
            (_, 0) => 2,
            (6..9, _) => 1,
            _ => 0,
        })
        .collect()
}

fn write(path: &Path, voxels: VoxelSlice<'_>, shape: [usize; 3], affine: Affine) {
    let volume = NewVolume { voxels, shape, channels: 1, voxel_to_world: VoxelToWorld(affine) };
    volume.write(path, &WriteOptions::default()).unwrap();
}

/// Writes a data set without faults, and returns its list.
fn made(root: &Path, subjects: usize) -> Manifest {
    fs::create_dir_all(root.join("imagesTr")).unwrap();
    fs::create_dir_all(root.join("labelsTr")).unwrap();
    let mut entries = Vec::new();
    for subject in 0..subjects {
        let spacing = 1.0 + 0.01 * (subject % 3) as f64;
        let affine =
            Affine::translation([subject as f64, 0.0, 0.0]).after(&Affine::scale([spacing, 1.5, 2.0]));
        let name = name(subject);
        write(&root.join(format!("imagesTr/{name}")), VoxelSlice::F32(&image(subject)), SHAPE, affine);
        write(&root.join(format!("labelsTr/{name}")), VoxelSlice::U8(&label(subject)), SHAPE, affine);
        entries.push(format!(r#"{{"image":"imagesTr/{name}","label":"labelsTr/{name}"}}"#));
    }
    let json = format!(
        r#"{{"labels":{{"0":"background","1":"head","2":"dots"}},"training":[{}]}}"#,
        entries.join(",")
    );
    fs::write(root.join("dataset.json"), json).unwrap();
    Manifest::DatasetJson(DatasetJson { file: "dataset.json".into(), part: crate::JsonPart::Training })
}

fn name(subject: usize) -> String {
    format!("s{subject:02}.nii{}", if subject.is_multiple_of(2) { ".gz" } else { "" })
}

fn affine(subject: usize) -> Affine {
    let spacing = 1.0 + 0.01 * (subject % 3) as f64;
    Affine::translation([subject as f64, 0.0, 0.0]).after(&Affine::scale([spacing, 1.5, 2.0]))
}

#[test]
fn a_data_set_without_faults_has_no_problems() {
    let root = tempfile::tempdir().unwrap();
    let subjects = made(root.path(), 12).subjects(root.path()).unwrap();
    let report = check(&subjects, &CheckOptions::default());
    assert_eq!(report.problems, [], "{report}");
    assert_eq!((report.subjects, report.volumes, report.has_errors()), (12, 24, false));
    assert_eq!(report.labels[&1].name.as_deref(), Some("head"));
    assert_eq!(report.labels[&2].subjects, 12);
    assert!(report.to_string().ends_with("mm: 0 errors, 0 warnings\n"), "{report}");
}

#[test]
fn every_planted_fault_is_found_and_none_besides() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let manifest = made(root, 30);
    let image_of = |subject: usize| root.join("imagesTr").join(name(subject));
    let label_of = |subject: usize| root.join("labelsTr").join(name(subject));
    let mut planted: BTreeSet<(CheckKind, String)> = BTreeSet::new();
    let mut plant = |kind: CheckKind, subject: usize| {
        planted.insert((kind, format!("s{subject:02}")));
    };
    let floats = |subject: usize, voxels: &[f32]| {
        write(&image_of(subject), VoxelSlice::F32(voxels), SHAPE, affine(subject));
    };
    let bytes = |subject: usize, voxels: &[u8]| {
        write(&label_of(subject), VoxelSlice::U8(voxels), SHAPE, affine(subject));
    };

    plant(CheckKind::NotFinite, 0);
    let mut voxels = image(0);
    (voxels[3], voxels[77]) = (f32::NAN, f32::INFINITY);
    floats(0, &voxels);
    plant(CheckKind::Constant, 1);
    floats(1, &[7.0; 720]);
    plant(CheckKind::Empty, 2);
    floats(2, &[0.0; 720]);
    plant(CheckKind::Empty, 3);
    plant(CheckKind::NotFinite, 3);
    floats(3, &[f32::NAN; 720]);
    plant(CheckKind::IntensityOutlier, 4);
    floats(4, &image(4).iter().map(|x| x * 50.0).collect::<Vec<_>>());
    plant(CheckKind::Duplicate, 6);
    plant(CheckKind::Duplicate, 7);
    // One is compressed and the other is not.
    floats(6, &image(7));
    plant(CheckKind::NotInteger, 8);
    let mut halves: Vec<f32> = label(8).iter().map(|&x| f32::from(x)).collect();
    halves[100] = 0.5;
    write(&label_of(8), VoxelSlice::F32(&halves), SHAPE, affine(8));
    plant(CheckKind::UndeclaredLabel, 9);
    let mut voxels = label(9);
    voxels[5] = 9;
    bytes(9, &voxels);
    plant(CheckKind::EmptyLabel, 10);
    bytes(10, &[0; 720]);
    plant(CheckKind::MissingClass, 11);
    bytes(11, &label(11).iter().map(|&x| x % 2).collect::<Vec<_>>());
    plant(CheckKind::Shape, 12);
    write(&label_of(12), VoxelSlice::U8(&label(12)[..648]), [8, 9, 9], affine(12));
    plant(CheckKind::Place, 13);
    let moved = Affine::translation([0.0, 2.5, 0.0]).after(&affine(13));
    write(&label_of(13), VoxelSlice::U8(&label(13)), SHAPE, moved);
    plant(CheckKind::SpacingOutlier, 14);
    for path in [image_of(14), label_of(14)] {
        let wide = Affine::scale([1.0, 1.0, 2.0]).after(&affine(14));
        if path == image_of(14) {
            write(&path, VoxelSlice::F32(&image(14)), SHAPE, wide);
        } else {
            write(&path, VoxelSlice::U8(&label(14)), SHAPE, wide);
        }
    }
    plant(CheckKind::Unreadable, 15);
    let cut = fs::read(image_of(15)).unwrap();
    fs::write(image_of(15), &cut[..cut.len() - 10]).unwrap();
    plant(CheckKind::Missing, 16);
    fs::remove_file(label_of(16)).unwrap();
    plant(CheckKind::Forms, 17);
    let mut file = fs::read(image_of(17)).unwrap();
    // qoffset_x of NIfTI-1.
    file[268..272].copy_from_slice(&500.0_f32.to_le_bytes());
    fs::write(image_of(17), file).unwrap();
    plant(CheckKind::DuplicateLabel, 18);
    plant(CheckKind::DuplicateLabel, 19);
    bytes(18, &label(19));
    plant(CheckKind::Channels, 20);
    let double = [image(20), image(20)].concat();
    let volume = NewVolume {
        voxels: VoxelSlice::F32(&double),
        shape: SHAPE,
        channels: 2,
        voxel_to_world: VoxelToWorld(affine(20)),
    };
    volume.write(&image_of(20), &WriteOptions::default()).unwrap();
    plant(CheckKind::Unreadable, 21);
    fs::write(image_of(21), b"no volume").unwrap();
    fs::write(root.join("imagesTr/left.nii"), b"").unwrap();
    fs::write(root.join("imagesTr/._hidden.nii"), b"").unwrap();

    let subjects = manifest.subjects(root).unwrap();
    let report = check(&subjects, &CheckOptions::default());
    let mut found: BTreeSet<(CheckKind, String)> = BTreeSet::new();
    for problem in &report.problems {
        assert!(!problem.files.is_empty(), "{problem}");
        found.extend(problem.subjects.iter().map(|subject| (problem.kind, subject.clone())));
    }
    assert_eq!(found, planted, "\n{report}");
    let orphans: Vec<_> = report.of_kind(CheckKind::Orphan).collect();
    assert_eq!(orphans.len(), 1, "{report}");
    assert!(orphans[0].files.len() == 1 && orphans[0].files[0].ends_with("imagesTr/left.nii"));
    assert!(report.has_errors() && report.problems[0].severity == Severity::Error);
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<CheckReport>(&json).unwrap(), report);
    let text = report.to_string();
    assert!(text.contains("error: subject `s01`: every voxel is 7: "), "{text}");
    assert!(text.contains("warning: 1 files in "), "{text}");

    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| check(&subjects, &CheckOptions::default()))
    };
    assert!(with(1) == report && with(5) == report);
    let replaced = check(&subjects, &CheckOptions { nan: NanPolicy::Zero, ..CheckOptions::default() });
    assert_eq!(replaced.of_kind(CheckKind::NotFinite).count(), 0);
    assert_eq!(replaced.of_kind(CheckKind::Replaced).count(), 2);
}

#[test]
fn weights_of_another_place_or_value_are_told_and_refused_when_patches_are_made() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let subjects = made(root, 6).subjects(root).unwrap();
    fs::create_dir(root.join("weights")).unwrap();
    let weights_of = |subject: usize| root.join(format!("weights/s{subject:02}.nii"));
    let count = SHAPE.iter().product();
    for subject in 0..6 {
        write(&weights_of(subject), VoxelSlice::F32(&vec![0.5; count]), SHAPE, affine(subject));
    }
    let options = CheckOptions { weights: Some("weights/{id}.nii".to_owned()), ..CheckOptions::default() };
    let report = check(&subjects, &options);
    assert_eq!((report.problems.as_slice(), report.volumes), (&[][..], 18), "{report}");
    write(&weights_of(1), VoxelSlice::F32(&vec![0.5; count]), SHAPE, affine(5));
    let [x, y, z] = SHAPE;
    write(&weights_of(2), VoxelSlice::F32(&vec![0.5; count / z * (z - 1)]), [x, y, z - 1], affine(2));
    write(&weights_of(3), VoxelSlice::F32(&vec![-0.5; count]), SHAPE, affine(3));
    fs::remove_file(weights_of(4)).unwrap();
    let found: Vec<_> = check(&subjects, &options)
        .problems
        .iter()
        .map(|problem| (problem.kind, problem.subjects.concat()))
        .collect();
    let expected = [
        (CheckKind::Missing, "s04".to_owned()),
        (CheckKind::Shape, "s02".to_owned()),
        (CheckKind::Place, "s01".to_owned()),
        (CheckKind::Weights, "s03".to_owned()),
    ];
    assert_eq!(found, expected);
    let patch: PatchOptions =
        serde_json::from_str(r#"{ "size": [4, 4, 4], "sampler": { "weights": "weights/{id}.nii" } }"#)
            .unwrap();
    let opened = |of: usize| {
        let one = subjects.subset(&[of]);
        let options = PatchSetOptions::new(patch.clone());
        PatchSet::new(
            &one,
            options,
            &[],
            None,
            Arc::new(
                Cache::new(CacheOptions { budget: 1 << 20, directory: None, key: KeyBy::default() }).unwrap(),
            ),
        )
    };
    assert!(opened(0).is_ok());
    assert!(matches!(opened(1), Err(Error::Affines { .. })));
    assert!(matches!(opened(2), Err(Error::Shapes { .. })));
}

#[test]
fn subjects_without_what_others_have_are_told() {
    let root = tempfile::tempdir().unwrap();
    let subjects = made(root.path(), 4).subjects(root.path()).unwrap();
    let mut list = subjects.as_slice().to_vec();
    list[2].label = None;
    list[0].class = Some("ill".to_owned());
    let report = check(&Subjects::new(list).unwrap(), &CheckOptions::default());
    let told: Vec<_> = report
        .of_kind(CheckKind::Incomplete)
        .map(|problem| (problem.subjects.concat(), problem.message.as_str()))
        .collect();
    let class = "no class, and 1 of 4 subjects have one";
    let expected = [
        ("s01", class),
        ("s02", class),
        ("s02", "no label map, and 3 of 4 subjects have one"),
        ("s03", class),
    ];
    assert_eq!(told, expected.map(|(id, message)| (id.to_owned(), message)));
    assert!(report.has_errors());
}

#[test]
fn a_class_that_is_declared_and_nowhere_is_told_with_the_list() {
    let root = tempfile::tempdir().unwrap();
    let manifest = made(root.path(), 3);
    let json = fs::read_to_string(root.path().join("dataset.json")).unwrap();
    fs::write(root.path().join("dataset.json"), json.replace(r#""2":"dots""#, r#""2":"dots","5":"tail""#))
        .unwrap();
    let report = check(&manifest.subjects(root.path()).unwrap(), &CheckOptions::default());
    assert_eq!(report.problems.len(), 1, "{report}");
    assert_eq!(report.problems[0].message, "the class 5 (tail) is declared, and no label map has it");
    assert!(report.problems[0].files[0].ends_with("dataset.json"));
    // Merged labels are not those that are declared.
    let options = CheckOptions {
        labels: serde_json::from_str(r#"{"map":{"2":1}}"#).unwrap(),
        ..CheckOptions::default()
    };
    let report = check(&manifest.subjects(root.path()).unwrap(), &options);
    assert_eq!((report.problems.len(), report.labels.len()), (0, 2), "{report}");
}

#[test]
fn a_list_of_nothing_that_can_be_read_is_told_and_no_more() {
    let subject = Subject { id: "a".to_owned(), images: vec!["/nowhere/a.nii".into()], ..Subject::default() };
    let report = check(&Subjects::new(vec![subject]).unwrap(), &CheckOptions::default());
    assert_eq!(report.problems.len(), 1);
    assert_eq!(report.problems[0].kind, CheckKind::Missing);
}
