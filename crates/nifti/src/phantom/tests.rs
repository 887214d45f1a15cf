use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::*;
use crate::orientation::Orientation;
use crate::volume::Volume;
use crate::voxels::VoxelType;

/// Cubic millimetres of each class.
fn volumes(subject: &PhantomSubject, classes: usize) -> Vec<f64> {
    let voxel = subject.voxel_to_world.0.determinant().abs();
    let count = |class: usize| subject.label.iter().filter(|&&label| usize::from(label) == class).count();
    (1..=classes).map(|class| count(class) as f64 * voxel).collect()
}

#[test]
fn voxels_are_the_same_bits_on_every_system() {
    let mut hash = Sha256::new();
    for body in [Body::Head, Body::Trunk] {
        let phantom = Phantom {
            body,
            shape: [20, 24, 22],
            channels: 4,
            classes: 10,
            varied: true,
            ..Phantom::default()
        };
        for index in 0..4 {
            let subject = phantom.subject(index).unwrap();
            subject.image.iter().for_each(|x| hash.update(x.to_le_bytes()));
            hash.update(&subject.label);
            subject.voxel_to_world.0.0.iter().flatten().for_each(|x| hash.update(x.to_le_bytes()));
        }
    }
    assert_eq!(
        format!("{:x}", hash.finalize()),
        "60a1432b9628ceb244602c6869982862fbaf68e703d4efe29d33ae03542aaaf1"
    );
}

#[test]
fn a_subject_depends_on_the_seed_and_its_number_alone() {
    let phantom = Phantom { shape: [16, 20, 18], subjects: 5, varied: true, ..Phantom::default() };
    let subject = phantom.subject(3).unwrap();
    let more = Phantom { subjects: 50, ..phantom.clone() };
    let later = Phantom { first_subject: 2, ..phantom.clone() };
    assert_eq!(subject, more.subject(3).unwrap());
    assert_eq!(subject, later.subject(1).unwrap());
    assert_eq!(phantom.id(3), later.id(1));
    assert_ne!(subject.image, phantom.subject(2).unwrap().image);
    assert_ne!(subject.image, Phantom { seed: 43, ..phantom.clone() }.subject(3).unwrap().image);
    // What is labelled, and further channels, do not change the image.
    let labelled = Phantom { classes: 7, channels: 3, ..phantom }.subject(3).unwrap();
    assert_eq!(subject.image, labelled.image[..subject.image.len()]);
    assert_ne!(subject.label, labelled.label);
}

#[test]
fn every_class_is_in_every_subject_at_a_size_that_varies() {
    for (body, classes) in [(Body::Head, 9), (Body::Trunk, 8)] {
        let phantom = Phantom { body, classes, subjects: 6, shape: [56; 3], ..Phantom::default() };
        let all: Vec<Vec<f64>> =
            (0..6).map(|index| volumes(&phantom.subject(index).unwrap(), classes)).collect();
        for class in 0..classes {
            let sizes: Vec<f64> = all.iter().map(|volumes| volumes[class]).collect();
            let (least, most) =
                (sizes.iter().copied().fold(f64::MAX, f64::min), sizes.iter().copied().fold(0.0, f64::max));
            assert!(
                100.0 < least && 1.02 * least < most,
                "{body:?} {}: {sizes:?}",
                body.class_name(class + 1)
            );
        }
    }
}

#[test]
fn a_body_is_the_same_on_every_grid() {
    let phantom = Phantom { classes: 5, noise: 0.0, shape: [64; 3], ..Phantom::default() };
    let fine = Phantom { shape: [90, 80, 100], ..phantom.clone() };
    let varied = Phantom { shape: [84; 3], varied: true, ..phantom.clone() };
    for index in 0..3 {
        let expected = volumes(&phantom.subject(index).unwrap(), 5);
        for other in [&fine, &varied] {
            let found = volumes(&other.subject(index).unwrap(), 5);
            for (class, (a, b)) in expected.iter().zip(&found).enumerate() {
                assert!((a / b - 1.0).abs() < 0.06, "class {}: {a} {b} mm^3", class + 1);
            }
        }
    }
}

#[test]
fn tissues_differ_as_they_do_in_scans() {
    let head = Phantom { classes: 2, channels: 3, ..Phantom::default() }.subject(1).unwrap();
    let voxels = head.label.len();
    let mean = |channel: usize, class: u8| {
        let of: Vec<f64> = (0..voxels)
            .filter(|&i| head.label[i] == class)
            .map(|i| f64::from(head.image[channel * voxels + i]))
            .collect();
        of.iter().sum::<f64>() / of.len() as f64
    };
    // Fluid is dark in T1 and FLAIR, bright in T2.
    assert!(mean(0, 2) < 0.6 * mean(0, 1) && mean(2, 2) < 0.6 * mean(2, 1) && 1.5 * mean(1, 1) < mean(1, 2));
    assert!(head.image.iter().all(|&x| (0.0..3000.0).contains(&x)));
    let trunk = Phantom { body: Body::Trunk, ..Phantom::default() }.subject(0).unwrap();
    let air = trunk.image.iter().filter(|&&x| x < -900.0).count();
    assert!(trunk.image.len() / 10 < air && trunk.image.iter().any(|&x| 300.0 < x), "Hounsfield units");
}

#[test]
fn a_varied_set_has_several_orientations_and_spacings_and_none_otherwise() {
    let facts = |varied| {
        let phantom = Phantom { varied, subjects: 24, shape: [3, 4, 5], ..Phantom::default() };
        let mut orientations = BTreeSet::new();
        let mut spacings = BTreeSet::new();
        for index in 0..24 {
            let map = phantom.subject(index).unwrap().voxel_to_world;
            orientations.insert(Orientation::of(&map).unwrap().to_string());
            spacings.insert(map.0.column_lengths().map(f64::to_bits));
        }
        (orientations, spacings.len())
    };
    let (orientations, spacings) = facts(true);
    assert_eq!((orientations.len(), spacings), (6, 24), "{orientations:?}");
    let (orientations, spacings) = facts(false);
    assert_eq!((orientations.into_iter().next().as_deref(), spacings), (Some("RAS"), 1));
    let given = Phantom { spacing: Some([1.5, 2.0, 3.0]), ..Phantom::default() };
    assert_eq!(given.subject(0).unwrap().voxel_to_world.0.column_lengths(), [1.5, 2.0, 3.0]);
}

#[test]
fn choices_that_make_no_sense_are_refused_by_name() {
    let fine = Phantom { shape: [4, 4, 4], ..Phantom::default() };
    fine.check("").unwrap();
    for (key, phantom) in [
        ("subjects", Phantom { subjects: 0, ..fine.clone() }),
        ("shape", Phantom { shape: [4, 0, 4], ..fine.clone() }),
        ("shape", Phantom { shape: [usize::MAX, 2, 4], ..fine.clone() }),
        ("channels", Phantom { channels: 0, ..fine.clone() }),
        ("channels", Phantom { channels: 65, ..fine.clone() }),
        ("classes", Phantom { classes: 65, ..fine.clone() }),
        ("spacing", Phantom { spacing: Some([1.0, f64::NAN, 1.0]), ..fine.clone() }),
        ("noise", Phantom { noise: -1.0, ..fine.clone() }),
    ] {
        let error = phantom.check("data.phantom").unwrap_err().to_string();
        assert!(error.contains(&format!("`data.phantom.{key}`")), "{error}");
        assert!(phantom.subject(0).is_err());
    }
    assert!(fine.subject(16).is_err());
    assert!(fine.draw(0, &mut [0.0; 64], &mut [0; 63]).is_err());
    for n in [1, 2] {
        // Shapes of few voxels are drawn as well.
        Phantom { shape: [n, 1, n], varied: true, classes: 64, channels: 64, ..fine.clone() }
            .subject(0)
            .unwrap();
    }
}

#[test]
fn options_are_written_and_read_as_yaml_would() {
    let phantom: Phantom =
        serde_json::from_str(r#"{ "body": "trunk", "shape": [8, 9, 10], "classes": 3 }"#).unwrap();
    assert_eq!((phantom.body, phantom.shape, phantom.seed), (Body::Trunk, [8, 9, 10], 42));
    let again: Phantom = serde_json::from_value(serde_json::to_value(&phantom).unwrap()).unwrap();
    assert_eq!(again, phantom);
    assert!(serde_json::from_str::<Phantom>(r#"{ "size": 3 }"#).is_err());
}

#[test]
fn a_set_of_files_is_read_back_as_it_was_drawn() {
    let folder = tempfile::tempdir().unwrap();
    for (body, channels) in [(Body::Head, 1), (Body::Trunk, 2)] {
        let phantom = Phantom {
            body,
            channels,
            subjects: 20,
            shape: [9, 8, 10],
            varied: true,
            classes: 8,
            ..Phantom::default()
        };
        let place = folder.path().join(format!("{body:?}"));
        let summary = phantom.write(&place, PhantomFiles { varied: true, compressed: None }).unwrap();
        let summary: serde_json::Value = serde_json::from_slice(&std::fs::read(summary).unwrap()).unwrap();
        assert_eq!((&summary["numTraining"], summary["labels"].as_object().unwrap().len()), (&20.into(), 9));
        assert_eq!(summary["modality"].as_object().unwrap().len(), channels);
        let mut forms = BTreeSet::new();
        for (index, pair) in summary["training"].as_array().unwrap().iter().enumerate() {
            let open = |part: &str| Volume::open(place.join(pair[part].as_str().unwrap())).unwrap();
            let (image, label) = (open("image"), open("label"));
            let subject = phantom.subject(index).unwrap();
            for volume in [&image, &label] {
                assert_eq!(volume.geometry().voxel_to_world(), subject.voxel_to_world);
                assert_eq!(volume.shape(), subject.shape);
                assert_eq!(volume.warnings(), &[]);
            }
            let mut voxels = vec![0.0; 720 * channels];
            image.read_f32_all(&mut voxels).unwrap();
            // Stored as whole numbers, or in 255 steps.
            let step = if image.voxel_type() == VoxelType::U8 { image.scaling().slope } else { 1.0 };
            for (found, drawn) in voxels.iter().zip(&subject.image) {
                assert!(f64::from((found - drawn).abs()) <= 0.5001 * step, "{index}: {found} {drawn}");
            }
            let mut labels = vec![0.0; 720];
            label.read_f32_all(&mut labels).unwrap();
            assert!(labels.iter().zip(&subject.label).all(|(found, drawn)| *found == f32::from(*drawn)));
            forms.insert(format!(
                "{} {:?} {:?} {}",
                image.voxel_type(),
                image.header().byte_order(),
                image.header().version(),
                image.is_compressed()
            ));
        }
        assert!(10 < forms.len(), "{forms:?}");
        let again = phantom.write(&place, PhantomFiles::default()).unwrap_err().to_string();
        assert!(again.contains("dataset.json"), "{again}");
    }
}

#[test]
fn files_are_alike_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let phantom = Phantom { shape: [5, 6, 7], subjects: 3, ..Phantom::default() };
    for (name, compressed, ending) in
        [("a", None, "nii.gz"), ("b", Some(false), "nii"), ("c", Some(true), "nii.gz")]
    {
        let place = folder.path().join(name);
        phantom.write(&place, PhantomFiles { varied: false, compressed }).unwrap();
        for index in 0..3 {
            let volume =
                Volume::open(place.join(format!("imagesTr/{}.{ending}", phantom.id(index)))).unwrap();
            assert_eq!((volume.voxel_type(), volume.is_compressed()), (VoxelType::I16, ending == "nii.gz"));
        }
    }
    let first =
        |name: &str| std::fs::read(folder.path().join(name).join("labelsTr/phantom_002.nii.gz")).unwrap();
    assert_eq!(first("a"), first("c"));
}
