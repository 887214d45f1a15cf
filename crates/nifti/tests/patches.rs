//! Patches as a data set: the laws, replay, and what must not matter.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use batchwright_core::testing::{check_dataset, check_sequence, digest};
use batchwright_core::{
    Batch, BatchOptions, Batches, Context, Dataset, Loader, LoaderOptions, Sequence, Sequential,
    WindowedBlocks,
};
use batchwright_nifti::{
    Augment, Augmentation, Cache, CacheOptions, Io, KeyBy, Labels, Manifest, NewVolume, PatchRecord,
    PatchSet, PatchSetOptions, Phantom, PhantomFiles, Preset, Region, Subject, Subjects, Volume, VoxelSlice,
    WriteOptions,
};

/// Every kind of change, each likely.
const EVERYTHING: &str = r#"[
    { "flip": {} },
    { "rotate90": { "probability": 0.3 } },
    { "affine": { "rotation": 20, "scale": 0.2, "isotropic": false, "shear": 0.05, "translation": { "mm": 3 }, "probability": 0.8 } },
    { "elastic": { "max_displacement": [4, 4, 4], "probability": 0.5 } },
    { "one_of": { "transforms": [{ "noise": {} }, { "blur": {} }, { "rician": {} }], "weights": [2, 1, 1] } },
    { "some_of": { "transforms": [{ "brightness": {} }, { "contrast": {} }, { "bias_field": {} }], "count": [1, 2] } },
    { "low_resolution": { "probability": 0.3 } },
    { "gamma": { "gamma": { "exp_of": [-0.3, 0.3] }, "retain_statistics": true, "probability": 0.7 } },
    { "gamma": { "name": "second", "invert": true, "probability": 0.5 } }
]"#;

fn augmentation(json: &str) -> Augmentation {
    Augmentation::new(&serde_json::from_str::<Augment>(json).unwrap(), "augment").unwrap()
}

fn options(augment: &str) -> PatchSetOptions {
    let patch = r#"{ "size": [20, 24, 12], "per_volume": 3, "sampler": { "foreground": 0.7 } }"#;
    let mut options = PatchSetOptions::new(serde_json::from_str(patch).unwrap());
    options.orientation = Some("RAS".parse().unwrap());
    options.spacing = Some([4.0, 4.5, 5.0]);
    options.normalize = serde_json::from_str(r#"{ "z_score": { "mask": "nonzero" } }"#).unwrap();
    options.augmentation = augmentation(augment);
    options
}

fn phantom() -> Phantom {
    Phantom { subjects: 4, shape: [40, 44, 36], varied: true, classes: 3, ..Phantom::default() }
}

fn cache(budget: u64) -> Arc<Cache> {
    Arc::new(Cache::new(CacheOptions { budget, directory: None, key: KeyBy::default() }).unwrap())
}

/// Phantoms as files, and their patches.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new(files: PhantomFiles) -> Self {
        let folder = tempfile::tempdir().unwrap();
        phantom().write(folder.path(), files).unwrap();
        Self { folder }
    }

    fn subjects(&self) -> Subjects {
        Manifest::File("dataset.json".into()).subjects(self.folder.path()).unwrap()
    }

    fn patches(&self, options: PatchSetOptions, cache: Arc<Cache>) -> PatchSet {
        PatchSet::new(&self.subjects(), options, &[], None, cache).unwrap()
    }
}

fn batches(patches: PatchSet, batch_size: usize) -> Batches<PatchSet> {
    let order = WindowedBlocks::new(patches.plan().blocks(), 2).unwrap();
    Batches::new(patches, order, BatchOptions { seed: 5, batch_size, ..BatchOptions::default() }).unwrap()
}

/// A digest of what batches hold, of two epochs.
fn digests(patches: PatchSet, workers: usize) -> Vec<String> {
    let options = LoaderOptions { workers, epochs: Some(2), max_queue_size: 3, ..LoaderOptions::default() };
    let mut loader = Loader::new(batches(patches, 4), options);
    let mut all = Vec::new();
    while let Some(batch) = loader.next_batch() {
        all.push(digest(&batch.unwrap()));
    }
    all
}

#[test]
fn patches_keep_the_laws_of_data_sets_and_sequences() {
    let files = Files::new(PhantomFiles { varied: true, compressed: None });
    check_dataset(&files.patches(options(EVERYTHING), cache(1 << 30)), 6);
    check_sequence(|| batches(files.patches(options(EVERYTHING), cache(1 << 30)), 5));
}

#[test]
fn batches_depend_on_neither_workers_nor_budgets_nor_maps_nor_compression() {
    let compressed = Files::new(PhantomFiles { varied: false, compressed: Some(true) });
    let plain = Files::new(PhantomFiles { varied: false, compressed: Some(false) });
    let expected = digests(compressed.patches(options(EVERYTHING), cache(1 << 30)), 0);
    assert_eq!(expected.len(), 6);
    for workers in [1, 2, 4, 8, 16] {
        assert_eq!(digests(compressed.patches(options(EVERYTHING), cache(1 << 30)), workers), expected);
    }
    // Room for one volume at a time, or none.
    for budget in [200_000, 0] {
        assert_eq!(digests(compressed.patches(options(EVERYTHING), cache(budget)), 3), expected, "{budget}");
    }
    for io in [Io::Read, Io::Mmap] {
        let mut options = options(EVERYTHING);
        options.read.io = io;
        assert_eq!(digests(plain.patches(options, cache(0)), 2), expected, "{io:?}");
    }
    let directory = tempfile::tempdir().unwrap();
    let kept = || {
        let directory = Some(directory.path().to_owned());
        Arc::new(Cache::new(CacheOptions { budget: 1 << 30, directory, key: KeyBy::default() }).unwrap())
    };
    for time in ["made", "found"] {
        assert_eq!(digests(compressed.patches(options(EVERYTHING), kept()), 2), expected, "{time}");
    }
}

#[test]
fn batches_of_a_seed_are_those_of_every_version() {
    // Changing this is a breaking release, with an entry under "Reproducibility".
    let found = digests(
        PatchSet::phantom(&phantom(), &[0, 1, 2, 3], options(EVERYTHING), None, cache(1 << 30)).unwrap(),
        2,
    );
    let golden = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/patches.txt"));
    let golden = golden.unwrap_or_default();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/patches.txt"),
            found.join("\n") + "\n",
        )
        .unwrap();
        return;
    }
    assert_eq!(found, golden.lines().collect::<Vec<_>>());
}

fn context(position: u64) -> Context<'static> {
    Context::new(9, 2, position)
}

#[test]
fn a_record_that_went_through_json_makes_the_same_patch() {
    let files = Files::new(PhantomFiles { varied: true, compressed: None });
    for augment in [EVERYTHING.to_owned()]
        .into_iter()
        .chain(Preset::ALL.map(|preset| serde_json::json!({ "preset": preset }).to_string()))
    {
        let mut chosen = options(&augment);
        chosen.patch.foreground_fraction =
            Some(serde_json::from_str(r#"{ "min": 0.05, "tries": 4 }"#).unwrap());
        let patches = files.patches(chosen, cache(1 << 30));
        let mut changed = 0;
        for index in 0..patches.len() {
            let record = patches.draw(index, &context(index as u64)).unwrap();
            let patch = patches.patch(index, &record).unwrap();
            assert_eq!(patch.image.len(), 20 * 24 * 12);
            assert!(patch.image.iter().all(|voxel| voxel.is_finite()));
            let text = serde_json::to_string(&record).unwrap();
            let read: PatchRecord = serde_json::from_str(&text).unwrap();
            assert_eq!(read, record);
            let again = patches.patch(index, &read).unwrap();
            let bits = |image: &[f32]| image.iter().map(|voxel| voxel.to_bits()).collect::<Vec<_>>();
            assert_eq!((bits(&again.image), &again.labels), (bits(&patch.image), &patch.labels));
            changed += record.changes.spatial.len() + record.changes.intensity.len();
            assert!(record.foreground.is_some());
        }
        assert!(12 < changed, "{augment}");
    }
}

#[test]
fn a_record_of_another_subject_is_refused() {
    let patches = PatchSet::phantom(&phantom(), &[0, 1], options("[]"), None, cache(1 << 30)).unwrap();
    let record = patches.draw(0, &context(0)).unwrap();
    let error = patches.patch(3, &record).unwrap_err().to_string();
    assert_eq!(error, "`subject` must be `phantom_001`, found `phantom_000`");
}

#[test]
fn one_more_change_moves_no_other_and_one_of_probability_0_changes_nothing() {
    let set = |augment: &str| {
        PatchSet::phantom(&phantom(), &[0, 1], options(augment), None, cache(1 << 30)).unwrap()
    };
    let few = set(r#"[{ "affine": { "rotation": 20 } }, { "noise": {} }]"#);
    let never = set(
        r#"[{ "flip": { "probability": 0 } }, { "affine": { "rotation": 20 } }, { "blur": { "probability": 0 } },
            { "one_of": { "transforms": [{ "gamma": {} }], "probability": 0 } }, { "noise": {} }]"#,
    );
    let more = set(r#"[{ "flip": {} }, { "affine": { "rotation": 20 } }, { "blur": {} }, { "noise": {} },
            { "noise": { "name": "again" } }]"#);
    for index in 0..few.len() {
        let at = context(40 + index as u64);
        let record = few.draw(index, &at).unwrap();
        let without = never.draw(index, &at).unwrap();
        assert_eq!(record, without);
        assert_eq!(few.patch(index, &record).unwrap(), never.patch(index, &without).unwrap());
        let with = more.draw(index, &at).unwrap();
        assert_eq!(with.place, record.place);
        for change in &record.changes.spatial {
            assert!(with.changes.spatial.contains(change));
        }
        for change in &record.changes.intensity {
            assert!(with.changes.intensity.contains(change));
        }
    }
}

#[test]
fn a_list_that_cannot_be_is_refused_with_its_place() {
    let refused = |json: &str| {
        let augment = serde_json::from_str::<Augment>(json).unwrap();
        Augmentation::new(&augment, "augment").unwrap_err().to_string()
    };
    assert_eq!(
        refused(r#"[{ "noise": {} }, { "flip": {} }]"#),
        "`augment[1]` must be before `noise`: space is changed before intensities, found `flip` behind it"
    );
    assert_eq!(
        refused(r#"[{ "gamma": {} }, { "gamma": {} }]"#),
        "`augment[1].name` must be given where a key comes twice, and different, found `gamma` again"
    );
    assert!(
        refused(r#"[{ "one_of": { "transforms": [{ "flip": {} }, { "noise": {} }] } }]"#)
            .contains("of space")
    );
    assert!(
        refused(r#"[{ "elastic": {} }, { "elastic": { "name": "b" } }]"#).contains("the only elastic change")
    );
    assert!(refused(r#"[{ "noise": { "sigma": [1, 0] } }]"#).starts_with("`augment[0].noise.sigma`"));
    assert!(
        refused(r#"[{ "some_of": { "transforms": [{ "noise": {} }], "count": [0, 2] } }]"#).contains("count")
    );
    for preset in Preset::ALL {
        let augment: Augment = serde_json::from_value(serde_json::json!({ "preset": preset })).unwrap();
        assert!(!Augmentation::new(&augment, "augment").unwrap().is_empty());
    }
}

#[test]
fn every_subject_comes_exactly_as_often_as_it_has_patches() {
    let patches = PatchSet::phantom(&phantom(), &[0, 1, 2, 3], options("[]"), None, cache(1 << 30)).unwrap();
    let batches = batches(patches, 5);
    for epoch in 0..3 {
        let mut counts = [0; 4];
        for index in 0..batches.len() {
            for sample in batches.plan().batch(epoch, index) {
                counts[sample.index / 3] += 1;
            }
        }
        assert_eq!(counts, [3; 4]);
    }
}

/// A subject of one image and one label, as files.
fn subject(
    folder: &Path,
    id: &str,
    image: VoxelSlice<'_>,
    label: VoxelSlice<'_>,
    shape: [usize; 3],
) -> Subject {
    let map = batchwright_nifti::VoxelToWorld(batchwright_nifti::Affine::scale([1.0, 2.0, 3.0]));
    let write = |name: &str, voxels| {
        let path = folder.join(format!("{id}_{name}.nii.gz"));
        NewVolume { voxels, shape, channels: 1, voxel_to_world: map }
            .write(&path, &WriteOptions::default())
            .unwrap();
        path
    };
    Subject {
        id: id.to_owned(),
        images: vec![write("image", image)],
        label: Some(write("label", label)),
        ..Subject::default()
    }
}

fn plain(size: [usize; 3]) -> PatchSetOptions {
    PatchSetOptions::new(
        serde_json::from_value(serde_json::json!({ "size": size, "sampler": "center" })).unwrap(),
    )
}

#[test]
fn a_plain_patch_is_a_crop_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let shape = [13, 11, 9];
    let image: Vec<f32> = (0..13 * 11 * 9).map(|i| (i as f32 * 0.37).sin() * 1e4).collect();
    let label: Vec<u8> = (0..13 * 11 * 9).map(|i| (i % 5) as u8).collect();
    let subject = subject(folder.path(), "a", VoxelSlice::F32(&image), VoxelSlice::U8(&label), shape);
    let path = subject.images[0].clone();
    let subjects = Subjects::new(vec![subject]).unwrap();
    let patches = PatchSet::new(&subjects, plain([6, 5, 4]), &[], None, cache(1 << 20)).unwrap();
    let record = patches.draw(0, &context(0)).unwrap();
    let patch = patches.patch(0, &record).unwrap();
    let origin = record.place.origin.map(|x| x as usize);
    let region = Region::new(origin, [6, 5, 4], shape).unwrap();
    let mut expected = vec![0.0; 120];
    Volume::open(&path).unwrap().read_region_f32(&region, 0, &mut expected).unwrap();
    assert_eq!(patch.image, expected);
    let Some(Labels::U8(labels)) = patch.labels else { panic!("labels of bytes") };
    let at = |x: usize, y: usize, z: usize| ((z + origin[2]) * 11 + y + origin[1]) * 13 + x + origin[0];
    assert_eq!(labels[(2 * 5 + 3) * 6 + 1], label[at(1, 3, 2)]);
}

#[test]
fn voxels_that_are_no_numbers_are_an_error_or_replaced_as_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let mut image: Vec<f32> = (0..125).map(|i| i as f32 + 5.0).collect();
    (image[62], image[63]) = (f32::NAN, f32::INFINITY);
    let label = vec![0_u8; 125];
    let subjects = Subjects::new(vec![subject(
        folder.path(),
        "bad",
        VoxelSlice::F32(&image),
        VoxelSlice::U8(&label),
        [5, 5, 5],
    )])
    .unwrap();
    let normalised = |nan: &str, normalize: &str| {
        let mut options = plain([3, 3, 3]);
        options.nan = serde_json::from_str(nan).unwrap();
        options.normalize = serde_json::from_str(normalize).unwrap();
        let patches = PatchSet::new(&subjects, options, &[], None, cache(1 << 20)).unwrap();
        let record = patches.draw(0, &context(0)).map_err(|error| error.chain())?;
        patches
            .patch(0, &record)
            .map(|patch| (patch.image[13], patch.image[14]))
            .map_err(|error| error.chain())
    };
    let middle = |nan: &str| normalised(nan, "\"none\"");
    let error = middle("\"error\"").unwrap_err();
    assert!(error.contains("bad_image.nii.gz") && error.contains('1') && error.contains("NaN"), "{error}");
    assert_eq!(middle("\"zero\""), Ok((0.0, 0.0)));
    assert_eq!(middle("\"minimum\""), Ok((5.0, 5.0)));
    // The least of all voxels, 5, where the normalisation looks at those from 29 to 129 alone.
    let masked = r#"{ "min_max": { "mask": { "above": 28.5 } } }"#;
    assert_eq!(normalised("\"minimum\"", masked), Ok((-0.24, -0.24)));
}

#[test]
fn labels_have_the_type_that_the_largest_value_of_all_subjects_needs_and_are_merged() {
    let folder = tempfile::tempdir().unwrap();
    let image = vec![1_i16; 27];
    let label = |value: f32| (0..27).map(|i| if i == 13 { value } else { 0.0 }).collect::<Vec<f32>>();
    let list: Vec<Subject> = [("a", 3.0), ("b", 300.0)]
        .into_iter()
        .map(|(id, value)| {
            subject(folder.path(), id, VoxelSlice::I16(&image), VoxelSlice::F32(&label(value)), [3, 3, 3])
        })
        .collect();
    let patch = |labels: &str, index: usize| {
        let mut options = plain([1, 1, 1]);
        options.labels = serde_json::from_str(labels).unwrap();
        let subjects = Subjects::new(list.clone()).unwrap();
        let patches = PatchSet::new(&subjects, options, &[], None, cache(1 << 20)).unwrap();
        let record = patches.draw(index, &context(0)).unwrap();
        (patches.fields()[1].dtype, patches.patch(index, &record).unwrap().labels.unwrap())
    };
    assert_eq!(patch("{}", 0), (batchwright_core::DType::I16, Labels::I16(vec![3])));
    assert_eq!(patch("{}", 1), (batchwright_core::DType::I16, Labels::I16(vec![300])));
    let merged = r#"{ "map": { "3": 1, "300": 2 } }"#;
    assert_eq!(patch(merged, 1), (batchwright_core::DType::U8, Labels::U8(vec![2])));
    let half = subject(folder.path(), "c", VoxelSlice::I16(&image), VoxelSlice::F32(&label(0.5)), [3, 3, 3]);
    let subjects = Subjects::new(vec![half]).unwrap();
    let error =
        PatchSet::new(&subjects, plain([1, 1, 1]), &[], None, cache(1 << 20)).unwrap_err().to_string();
    assert!(error.contains("c_label.nii.gz") && error.contains("0.5"), "{error}");
}

#[test]
fn subjects_that_do_not_go_together_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (image, label) = (vec![1_i16; 27], vec![0_u8; 27]);
    let a = subject(folder.path(), "a", VoxelSlice::I16(&image), VoxelSlice::U8(&label), [3, 3, 3]);
    let mut b = subject(folder.path(), "b", VoxelSlice::I16(&image), VoxelSlice::U8(&label), [3, 3, 3]);
    let refused = |list: Vec<Subject>| {
        let subjects = Subjects::new(list).unwrap();
        PatchSet::new(&subjects, plain([1, 1, 1]), &[], None, cache(1 << 20)).unwrap_err().to_string()
    };
    let without = Subject { label: None, ..b.clone() };
    assert_eq!(
        refused(vec![a.clone(), without]),
        "`what `b` has` must be a label map, as `a` has, found no label map"
    );
    b.images.push(b.images[0].clone());
    assert!(refused(vec![a, b]).contains("the channels of"));
}

#[test]
fn validation_is_the_same_in_every_epoch() {
    let fixed = options(EVERYTHING).for_validation();
    let patches = PatchSet::phantom(&phantom(), &[0, 1, 2], fixed, None, cache(1 << 30)).unwrap();
    let n = patches.len();
    assert_eq!(n, 3);
    let options = BatchOptions { batch_size: 3, ..BatchOptions::default() };
    let batches = Batches::new(patches, Sequential::new(n), options).unwrap();
    let bytes = |batch: &Batch| batch.get::<f32>("image").unwrap().to_vec();
    assert_eq!(bytes(&batches.get(0, 0).unwrap()), bytes(&batches.get(7, 0).unwrap()));
}

#[test]
fn statistics_of_the_training_subjects_normalise_all() {
    let mut options = options("[]");
    options.normalize = serde_json::from_str(r#""training_z_score""#)
        .unwrap_or_else(|_| serde_json::from_str(r#"{ "training_z_score": {} }"#).unwrap());
    let of = |indices: &[usize], statistics| {
        PatchSet::phantom(&phantom(), indices, options.clone(), statistics, cache(1 << 30)).unwrap()
    };
    let statistics = of(&[0, 1, 2], None).training_statistics().unwrap();
    let channel = statistics.channel(0).unwrap();
    assert!(0.0 < channel.std && channel.count == 3 * 40 * 44 * 36);
    let patches = of(&[3], Some(statistics.clone()));
    let record = patches.draw(0, &context(0)).unwrap();
    let mean = patches.patch(0, &record).unwrap().image.iter().sum::<f32>() / (20.0 * 24.0 * 12.0);
    assert!(mean.abs() < 3.0, "{mean}");
    // Without them, the first patch says what is missing.
    assert!(of(&[3], None).draw(0, &context(0)).is_err());
}

#[test]
fn a_grid_over_cropped_volumes_is_laid_before_the_statistics_of_the_training_subjects_are_known() {
    let mut options = PatchSetOptions::new(
        serde_json::from_str(r#"{ "size": [16, 16, 16], "sampler": { "grid": {} } }"#).unwrap(),
    );
    options.normalize = serde_json::from_str(r#"{ "training_z_score": {} }"#).unwrap();
    let open = |options: &PatchSetOptions, statistics| {
        PatchSet::phantom(&phantom(), &[0, 1], options.clone(), statistics, cache(1 << 30)).unwrap()
    };
    let whole = open(&options, None).len();
    options.crop = Some(serde_json::from_str(r#"{ "foreground": "label" }"#).unwrap());
    let cropped = open(&options, None);
    assert!(0 < cropped.len() && cropped.len() < whole, "{} of {whole}", cropped.len());
    let statistics = cropped.training_statistics().unwrap();
    let patches = open(&options, Some(statistics));
    assert_eq!(patches.len(), cropped.len());
    let record = patches.draw(0, &context(0)).unwrap();
    assert!(patches.patch(0, &record).unwrap().image.iter().all(|value| value.is_finite()));
}
