//! Subjects of the real sets, where they are.

use std::path::PathBuf;

use batchwright_nifti::{
    CheckKind, CheckOptions, FactsTable, GEOMETRY_TOLERANCE, GlobManifest, Manifest, Patterns, ReadOptions,
    Severity, Split, SplitBy, SubjectSet, check,
};

fn data(set: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("BATCHWRIGHT_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let folder = folder.join(set);
    if !folder.is_dir() {
        println!("skipped: no {}", folder.display());
        return None;
    }
    Some(folder)
}

#[test]
fn the_hippocampus_is_listed_by_its_dataset_json_and_its_volumes_agree() {
    let Some(root) = data("hippocampus") else { return };
    let subjects = Manifest::File("dataset.json".into()).subjects(&root).unwrap();
    assert!(subjects.len() == 208 || subjects.len() == 104, "{}", subjects.len());
    assert_eq!(subjects.channel_names(), ["MRI"]);
    assert_eq!(subjects.label_names()[&2], "Posterior");
    let sides = Split::Folds { seed: 1, folds: 4, fold: 0, by: SplitBy::Subject }.of(&subjects).unwrap();
    assert_eq!(sides.validation.len() * 4, subjects.len());
    let some = subjects.subset(&(0..40).collect::<Vec<_>>());
    let set = SubjectSet::open(subjects, &ReadOptions::default(), GEOMETRY_TOLERANCE).unwrap();
    assert_eq!(set.channels(), 1);
    let report = check(&some, &CheckOptions::default());
    print!("{report}");
    assert_eq!(report.volumes, 80);
    assert_eq!(report.labels.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(report.count(Severity::Error), 0);
    // The other subjects of the whole set.
    assert_eq!(
        report.of_kind(CheckKind::Orphan).map(|problem| problem.files.len()).sum::<usize>(),
        2 * (set.len() - 40)
    );
}

#[test]
fn ixi_is_listed_by_patterns_and_joined_with_its_participants() {
    let Some(root) = data("ixi-t1-2mm") else { return };
    let manifest = Manifest::Glob(GlobManifest {
        images: Patterns::One("t1/*_T1.nii.gz".to_owned()),
        labels: Some("dlmuse/{id}_T1_DLMUSE.nii.gz".to_owned()),
    });
    let facts = FactsTable { file: "participants.csv".into(), id: Some("MRID".to_owned()), partial: false };
    let subjects =
        manifest.subjects(&root).unwrap().with_facts(&facts, &root).unwrap().classed_by("Sex").unwrap();
    assert_eq!(subjects.len(), 48);
    assert_eq!(subjects.classes(), ["F", "M"]);
    let first = &subjects.as_slice()[0];
    assert_eq!((first.id.as_str(), first.facts["Age"].as_str()), ("IXI013-HH-1212", "46.71"));
    let set = SubjectSet::open(subjects.clone(), &ReadOptions::default(), GEOMETRY_TOLERANCE).unwrap();
    assert_eq!(set.volumes(0).label.as_ref().unwrap().shape(), [120, 120, 90]);
    let report = check(&subjects.subset(&(0..8).collect::<Vec<_>>()), &CheckOptions::default());
    print!("{report}");
    assert!(report.labels.contains_key(&207));
    assert_eq!(report.count(Severity::Error), 0);
}

#[test]
fn the_visits_of_patients_are_groups_by_the_names_of_folders() {
    let Some(root) = data("longitudinal-ms") else { return };
    let images = Patterns::One("{group}/{visit}_FLAIR.nii.gz".to_owned());
    let subjects = Manifest::Glob(GlobManifest { images, labels: None }).subjects(&root).unwrap();
    let ids: Vec<&str> = subjects.iter().map(|subject| subject.id.as_str()).collect();
    assert_eq!(ids[..2], ["patient01_study1", "patient01_study2"]);
    assert_eq!((subjects.len(), subjects.as_slice()[5].facts["visit"].as_str()), (6, "study2"));
    let sides = Split::Folds { seed: 0, folds: 3, fold: 1, by: SplitBy::Group }.of(&subjects).unwrap();
    assert_eq!(sides.validation.len(), 2);
    SubjectSet::open(subjects, &ReadOptions::default(), GEOMETRY_TOLERANCE).unwrap();
}
