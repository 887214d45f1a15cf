//! Places in the world: the same one in two images, two over each other, the same region of every subject, and facts.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use batchwright_core::testing::digest;
use batchwright_core::{
    BatchOptions, Batches, Context, Dataset, Field, Fingerprint, SampleError, Sequence, Sequential, Slot,
};
use batchwright_nifti::{
    Affine, Augment, Augmentation, Cache, CacheOptions, KeyBy, Labels, Manifest, NewVolume, PatchPlace,
    PatchRecord, PatchSet, PatchSetOptions, Phantom, Region, Subject, Subjects, Volume, VoxelPoint,
    VoxelSlice, VoxelToWorld, WriteOptions,
};

fn cache() -> Arc<Cache> {
    Arc::new(Cache::new(CacheOptions { budget: 1 << 30, directory: None, key: KeyBy::default() }).unwrap())
}

fn context(position: u64) -> Context<'static> {
    Context::new(9, 2, position)
}

fn options(patch: &str, augment: &str) -> PatchSetOptions {
    let mut options = PatchSetOptions::new(serde_json::from_str(patch).unwrap());
    options.augmentation =
        Augmentation::new(&serde_json::from_str::<Augment>(augment).unwrap(), "augment").unwrap();
    options.antialias = false;
    options
}

/// What a voxel at a place of the world holds: trilinear interpolation of it is exact.
fn value([x, y, z]: [f64; 3]) -> f64 {
    3.0 * x - 2.0 * y + 0.7 * z + 500.0
}

/// Turns about x, then about z, then stretches voxels, and moves.
fn oblique(degrees: f64, spacing: [f64; 3], origin: [f64; 3]) -> Affine {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let x = Affine([[1.0, 0.0, 0.0, 0.0], [0.0, cos, -sin, 0.0], [0.0, sin, cos, 0.0]]);
    let z = Affine([[cos, -sin, 0.0, 0.0], [sin, cos, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]);
    Affine::translation(origin).after(&z).after(&x).after(&Affine::scale(spacing))
}

/// Writes an image whose voxels say where in the world they are, and a label map that says it roughly.
fn image(folder: &Path, id: &str, shape: [usize; 3], map: Affine) -> Subject {
    let [nx, ny, _] = shape;
    let world = |i: usize| map.apply([(i % nx) as f64, (i / nx % ny) as f64, (i / nx / ny) as f64]);
    let count: usize = shape.iter().product();
    let image: Vec<f32> = (0..count).map(|i| value(world(i)) as f32).collect();
    let label: Vec<i16> = (0..count).map(|i| value(world(i)).round() as i16).collect();
    let write = |name: &str, voxels| {
        let path = folder.join(format!("{id}_{name}.nii"));
        let volume = NewVolume { voxels, shape, channels: 1, voxel_to_world: VoxelToWorld(map) };
        volume.write(&path, &WriteOptions::default()).unwrap();
        path
    };
    Subject {
        id: id.to_owned(),
        images: vec![write("image", VoxelSlice::F32(&image))],
        label: Some(write("label", VoxelSlice::I16(&label))),
        ..Subject::default()
    }
}

fn open(list: Vec<Subject>, options: PatchSetOptions) -> PatchSet {
    PatchSet::new(&Subjects::new(list).unwrap(), options, &[], None, cache()).unwrap()
}

#[test]
fn one_place_shows_the_same_millimetres_in_images_of_other_spacing_orientation_and_origin() {
    let folder = tempfile::tempdir().unwrap();
    let psr = Affine([[0.0, 0.0, 1.2, -21.0], [-2.0, 0.0, 0.0, 42.0], [0.0, 1.5, 0.0, -30.0]]);
    let list = vec![
        image(
            folder.path(),
            "a",
            [40, 36, 30],
            Affine([[1.0, 0.0, 0.0, -20.0], [0.0, 1.1, 0.0, -19.0], [0.0, 0.0, 1.3, -18.0]]),
        ),
        image(folder.path(), "b", [44, 38, 36], psr),
        image(folder.path(), "c", [60, 76, 70], oblique(21.0, [1.5, 1.25, 1.0], [-20.0, -55.0, -40.0])),
    ];
    let size = [12, 9, 10];
    let set = open(list, options(r#"{ "size": [12, 9, 10] }"#, "[]"));
    let mut shown = 0;
    for first in 0..3 {
        for position in 0..4 {
            let place = set.place(first, &context(position)).unwrap();
            let map = place.voxel_to_world(size);
            for second in 0..3 {
                let record = match set.draw_at(second, &place, &context(position)) {
                    Ok(record) => record,
                    Err(error) => {
                        assert!(
                            first != second && error.chain().contains("lies outside"),
                            "{}",
                            error.chain()
                        );
                        continue;
                    }
                };
                let patch = set.patch(second, &record).unwrap();
                let Some(Labels::I16(labels)) = &patch.labels else { panic!("labels of 16 bits") };
                for (i, found) in patch.image.iter().enumerate() {
                    let voxel = [i % 12, i / 12 % 9, i / 12 / 9].map(|x| x as f64);
                    let world = map.apply(VoxelPoint(voxel)).0;
                    // Not all of the images hold all of each other's places; those that are padded are told apart.
                    if *found == 0.0 {
                        continue;
                    }
                    let off = (f64::from(*found) - value(world)).abs();
                    let is_inner = (0..3).all(|axis| world[axis].abs() < 14.0);
                    assert!(
                        off < 2e-3 || !is_inner,
                        "{first} in {second} at {world:?}: {found} off by {off}"
                    );
                    // Half a voxel along every axis, at most 2 mm long, and rounding.
                    let rough = (f64::from(labels[i]) - value(world)).abs();
                    assert!(rough < 6.7 || !is_inner, "{first} in {second}: label off by {rough}");
                }
                shown += usize::from(first != second);
                // What is padded lies outside.
                let inner = (0..patch.image.len()).filter(|&i| {
                    let voxel = [i % 12, i / 12 % 9, i / 12 / 9].map(|x| x as f64);
                    map.apply(VoxelPoint(voxel)).0.iter().all(|mm| mm.abs() < 14.0)
                });
                for i in inner {
                    assert!(patch.image[i] != 0.0, "{first} in {second}");
                }
            }
        }
    }
    assert!(12 < shown, "{shown} of 24 pairs");
}

#[test]
fn a_scan_stored_otherwise_is_the_plain_copy_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let first = Affine([[1.1, 0.0, 0.0, -20.0], [0.0, 0.9, 0.0, -10.0], [0.0, 0.0, 2.3, 5.0]]);
    // The same voxels with x and z exchanged, and x and y turned round.
    let turned = first.after(&Affine([[0.0, 0.0, -1.0, 29.0], [0.0, -1.0, 0.0, 23.0], [1.0, 0.0, 0.0, 0.0]]));
    let list = vec![
        image(folder.path(), "a", [30, 24, 20], first),
        image(folder.path(), "b", [20, 24, 30], turned),
        image(folder.path(), "c", [30, 24, 20], first),
    ];
    let paths: Vec<PathBuf> = list.iter().map(|subject| subject.images[0].clone()).collect();
    let set = open(list, options(r#"{ "size": [8, 7, 6] }"#, "[]"));
    for position in 0..8 {
        let record = set.draw(0, &context(position)).unwrap();
        let own = set.patch(0, &record).unwrap();
        let place = set.place(0, &context(position)).unwrap();
        let region = Region::new(record.place.origin.map(|x| x as usize), [8, 7, 6], [30, 24, 20]).unwrap();
        let mut expected = vec![0.0; 8 * 7 * 6];
        Volume::open(&paths[0]).unwrap().read_region_f32(&region, 0, &mut expected).unwrap();
        assert_eq!(own.image, expected);
        for other in [0, 1, 2] {
            let patch = set.patch(other, &set.draw_at(other, &place, &context(position)).unwrap()).unwrap();
            // Sums of the same terms in another order, written by two affines, differ in their last bits.
            let off = patch.image.iter().zip(&own.image).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off <= if other == 1 { 2e-4 } else { 0.0 }, "{other}: {off}");
            assert_eq!(patch.labels, own.labels);
            assert_eq!((patch.shape, patch.orientation), (own.shape, own.orientation), "{other}");
        }
        // Every value of the turned scan is one that it stores: nothing was interpolated.
        let stored = Volume::open(&paths[1]).unwrap();
        let mut all = vec![0.0; 30 * 24 * 20];
        stored.read_f32_all(&mut all).unwrap();
        let patch = set.patch(1, &set.draw_at(1, &place, &context(position)).unwrap()).unwrap();
        assert!(patch.image.iter().all(|value| all.contains(value)));
    }
}

/// A set that writes each sample at its own place in the world.
struct AtItsPlace(PatchSet);

impl Dataset for AtItsPlace {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn fields(&self) -> &[Field] {
        self.0.fields()
    }
    fn write(&self, index: usize, slot: &mut Slot<'_>, context: &Context<'_>) -> Result<(), SampleError> {
        let place = self.0.place(index, context)?;
        let text = serde_json::to_string(&place).unwrap();
        let read: PatchPlace = serde_json::from_str(&text).unwrap();
        assert_eq!(read, place);
        self.0.write_at(index, &read, slot, context)
    }
    fn id(&self, index: usize) -> String {
        self.0.id(index)
    }
    fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint()
    }
}

const CHANGES: &str = r#"[
    { "flip": {} }, { "affine": { "rotation": 20, "scale": 0.2 } },
    { "elastic": { "max_displacement": [4, 4, 4], "probability": 0.5 } },
    { "noise": {} }, { "bias_field": {} }, { "blur": { "sigma": { "millimetres": [0, 3] } } }
]"#;

fn digests<D: Dataset>(set: D) -> Vec<String> {
    let n = set.len();
    let options = BatchOptions { seed: 5, batch_size: 3, ..BatchOptions::default() };
    let batches = Batches::new(set, Sequential::new(n), options).unwrap();
    (0..batches.len()).map(|i| digest(&batches.get(1, i).unwrap())).collect()
}

#[test]
fn at_its_own_place_a_sample_has_the_bits_that_it_has_without_one() {
    let phantom =
        Phantom { subjects: 3, shape: [40, 44, 36], varied: true, classes: 3, ..Phantom::default() };
    for (spacing, crop, augment) in [
        (None, None, "[]"),
        (None, None, CHANGES),
        (Some([2.7, 3.1, 4.4]), None, CHANGES),
        (Some([2.7, 3.1, 4.4]), Some(r#"{ "foreground": "label" }"#), CHANGES),
    ] {
        let set = || {
            let mut options = options(
                r#"{ "size": [20, 24, 12], "per_volume": 3, "sampler": { "foreground": 0.7 } }"#,
                augment,
            );
            options.orientation = Some("PIL".parse().unwrap());
            options.spacing = spacing;
            options.crop = crop.map(|crop| serde_json::from_str(crop).unwrap());
            PatchSet::phantom(&phantom, &[0, 1, 2], options, None, cache()).unwrap()
        };
        assert_eq!(digests(AtItsPlace(set())), digests(set()), "{spacing:?} {augment}");
    }
}

#[test]
fn a_record_at_a_place_makes_the_same_patch_again_and_parts_are_changed_apart() {
    let folder = tempfile::tempdir().unwrap();
    let list = vec![
        image(folder.path(), "a", [30, 30, 30], Affine::translation([-15.0; 3])),
        image(folder.path(), "b", [30, 30, 30], oblique(12.0, [1.1; 3], [-14.0, -20.0, -17.0])),
    ];
    let set = open(list, options(r#"{ "size": [12, 12, 12] }"#, CHANGES));
    let context = context(7);
    let [a, b] = ["a", "b"].map(|part| context.part(part));
    let place = set.place(0, &a).unwrap();
    let records = [set.draw_at(0, &place, &a).unwrap(), set.draw_at(1, &place, &b).unwrap()];
    assert_ne!(records[0].changes, records[1].changes);
    for (index, record) in records.iter().enumerate() {
        let read: PatchRecord = serde_json::from_str(&serde_json::to_string(record).unwrap()).unwrap();
        assert_eq!(&read, record);
        assert_eq!(set.patch(index, &read).unwrap(), set.patch(index, record).unwrap());
    }
    // One context for both: the same changes.
    assert_eq!(set.draw_at(1, &place, &a).unwrap().changes, records[0].changes);
}

#[test]
fn a_place_partly_outside_is_padded_and_one_wholly_outside_is_an_error_that_names_both() {
    let folder = tempfile::tempdir().unwrap();
    let list = vec![image(folder.path(), "a", [10, 10, 10], Affine::scale([1.0, 2.0, 3.0]))];
    let path = list[0].images[0].clone();
    let set = open(list, options(r#"{ "size": [4, 4, 4] }"#, "[]"));
    let place = |center| PatchPlace { center, axes: [[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]] };
    let at = |place: &PatchPlace| {
        set.draw_at(0, place, &context(0))
            .and_then(|record| set.patch(0, &record))
            .map_err(|error| error.chain())
    };
    // Voxels 8 to 11 of x: two of them are inside.
    let patch = at(&place([9.5, 9.0, 13.5])).unwrap();
    for (i, value) in patch.image.iter().enumerate() {
        assert_eq!(*value == 0.0, 2 <= i % 4, "{i}: {value}");
    }
    assert!(at(&place([11.4, 9.0, 13.5])).is_ok(), "a tenth of a voxel is inside");
    let error = at(&place([11.6, 9.0, 13.5])).unwrap_err();
    assert_eq!(
        error,
        format!(
            "subject `a`: the patch from [9.6, 5.0, 7.5] to [13.6, 13.0, 19.5] lies outside of {}, which reaches from \
             [-0.5, -1.0, -1.5] to [9.5, 19.0, 28.5] (mm to the right, front and top)",
            path.display()
        )
    );
    let flat = PatchPlace { center: [5.0; 3], axes: [[1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 3.0]] };
    assert!(at(&flat).unwrap_err().contains("three axes that span space"));
    assert!(at(&place([f64::NAN, 0.0, 0.0])).unwrap_err().contains("a finite centre"));
    assert!(at(&place([1e300, 0.0, 0.0])).unwrap_err().contains("lies outside"));
}

#[test]
fn two_places_of_a_volume_share_what_was_asked_and_stay_inside() {
    let phantom = Phantom { subjects: 2, shape: [40, 44, 36], ..Phantom::default() };
    let size = [16, 12, 20];
    let set =
        PatchSet::phantom(&phantom, &[0, 1], options(r#"{ "size": [16, 12, 20] }"#, "[]"), None, cache())
            .unwrap();
    let mut ways = std::collections::BTreeSet::new();
    for (position, overlap) in (0..200).map(|i| (i, [0.0, 0.2, 0.5, 0.9, 1.0][i as usize % 5])) {
        let context = context(position);
        let first = set.place(1, &context).unwrap();
        let second = set.overlapping(1, &first, overlap, &context).unwrap();
        assert_eq!(second, set.overlapping(1, &first, overlap, &context).unwrap());
        let origins = [&first, &second].map(|place| set.draw_at(1, place, &context).unwrap().place.origin);
        let by = [0, 1, 2].map(|axis| (origins[1][axis] - origins[0][axis]) as f64);
        let shared: f64 = (0..3).map(|axis| (1.0 - by[axis].abs() / size[axis] as f64).max(0.0)).product();
        let off: f64 = size.iter().map(|&n| 0.5 / n as f64).sum();
        assert!((shared - overlap).abs() <= off, "{by:?} share {shared} and not {overlap}");
        for axis in 0..3 {
            let last = [40, 44, 36][axis] - size[axis] as i64;
            assert!((0..=last).contains(&origins[1][axis]), "{origins:?}");
        }
        ways.insert(by.map(|by| by as i64));
    }
    assert!(100 < ways.len(), "{} ways", ways.len());
    let first = set.place(0, &context(0)).unwrap();
    let error = set.overlapping(0, &first, 1.5, &context(0)).unwrap_err().chain();
    assert_eq!(error, "`overlap` must be a fraction from 0 to 1, found 1.5");
}

#[test]
fn facts_are_the_columns_of_the_list_the_subject_and_the_group() {
    let folder = tempfile::tempdir().unwrap();
    let images = ["p1_v1", "p1_v2", "p2_v1"].map(|id| image(folder.path(), id, [4, 4, 4], Affine::IDENTITY));
    let mut table = "id,image,patient,visit,age,group\n".to_owned();
    for (subject, row) in images.iter().zip(["p1,1,40,p1", "p1,2,42.5,p1", "p2,1,,p2"]) {
        writeln!(table, "{},{},{row}", subject.id, subject.images[0].display()).unwrap();
    }
    std::fs::write(folder.path().join("list.csv"), table).unwrap();
    let subjects = Manifest::File("list.csv".into()).subjects(folder.path()).unwrap();
    let options = options(r#"{ "size": [2, 2, 2], "per_volume": 2 }"#, "[]");
    let set = PatchSet::new(&subjects, options, &[], None, cache()).unwrap();
    assert_eq!(set.facts(), ["subject", "volume", "group", "age", "patient", "visit"]);
    let fact = |index, name| set.fact(index, name);
    assert_eq!(fact(3, "subject").as_deref(), Some("p1_v2"));
    assert_eq!(fact(3, "volume").as_deref(), Some("p1_v2"));
    assert_eq!(fact(3, "patient").as_deref(), Some("p1"));
    assert_eq!(fact(2, "age").as_deref(), Some("42.5"));
    assert_eq!(fact(4, "group").as_deref(), Some("p2"));
    assert_eq!((fact(4, "age"), fact(0, "color"), fact(0, "class")), (None, None, None));
}

fn shared(path: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("BATCHWRIGHT_DATA").map_or_else(beside, PathBuf::from).join(path);
    let found = folder.is_dir();
    if !found {
        println!("skipped: there is no {}", folder.display());
    }
    found.then_some(folder)
}

/// The trilinear value of a volume at a place of the world, worked out from its definition; nothing near its border.
fn definition(volume: &Volume, voxels: &[f32], world: [f64; 3]) -> Option<f64> {
    let at = volume.geometry().voxel_to_world().0.inverse()?.apply(world);
    let shape = volume.shape();
    let mut sum = 0.0;
    for corner in 0..8 {
        let (mut weight, mut index, mut stride) = (1.0, 0, 1);
        for axis in 0..3 {
            let low = at[axis].floor();
            let up = corner >> axis & 1;
            if low < 0.0 || shape[axis] as f64 <= low + 1.0 {
                return None;
            }
            weight *= if up == 1 { at[axis] - low } else { 1.0 - (at[axis] - low) };
            index += (low as usize + up) * stride;
            stride *= shape[axis];
        }
        sum += weight * f64::from(voxels[index]);
    }
    Some(sum)
}

#[test]
fn two_visits_of_a_patient_are_cut_at_one_place_of_the_world() {
    let Some(folder) = shared("longitudinal-ms") else { return };
    let manifest: Manifest =
        serde_json::from_str(r#"{ "glob": { "images": "{group}/study{visit}_FLAIR.nii.gz" } }"#).unwrap();
    let subjects = manifest.subjects(&folder).unwrap();
    let volumes: Vec<Volume> =
        subjects.iter().map(|subject| Volume::open(&subject.images[0]).unwrap()).collect();
    let set = PatchSet::new(
        &subjects,
        options(r#"{ "size": [40, 36, 9], "sampler": "center" }"#, "[]"),
        &[],
        None,
        cache(),
    )
    .unwrap();
    let mut compared = 0;
    for a in 0..set.len() {
        let partner = (0..set.len()).find(|&b| b != a && set.fact(a, "group") == set.fact(b, "group"));
        let b = partner.expect("every patient came twice");
        assert_ne!(set.fact(a, "visit"), set.fact(b, "visit"));
        let place = set.place(a, &context(a as u64)).unwrap();
        let record = set.draw_at(b, &place, &context(a as u64)).unwrap();
        let patch = set.patch(b, &record).unwrap();
        let mut voxels = vec![0.0; volumes[b].shape().iter().product()];
        volumes[b].read_f32_all(&mut voxels).unwrap();
        let map = place.voxel_to_world([40, 36, 9]);
        for (i, found) in patch.image.iter().enumerate() {
            let world = map.apply(VoxelPoint([i % 40, i / 40 % 36, i / 40 / 36].map(|x| x as f64))).0;
            let Some(expected) = definition(&volumes[b], &voxels, world) else { continue };
            assert!((f64::from(*found) - expected).abs() < 0.5, "{found} and not {expected} at {world:?}");
            compared += 1;
        }
    }
    assert!(3 * 40 * 36 * 9 < compared, "{compared}");
}

/// An image and a label map with blocks of labels: their label, first voxel and size.
fn blocks(folder: &Path, id: &str, blocks: &[(u8, [usize; 3], [usize; 3])]) -> Subject {
    let shape = [30, 32, 34];
    let count: usize = shape.iter().product();
    let (image, mut label) = ((0..count).map(|i| (i % 251) as u8).collect::<Vec<u8>>(), vec![0_u8; count]);
    for (value, first, size) in blocks {
        for (i, label) in label.iter_mut().enumerate() {
            let voxel = [i % 30, i / 30 % 32, i / 30 / 32];
            if (0..3).all(|axis| (first[axis]..first[axis] + size[axis]).contains(&voxel[axis])) {
                *label = *value;
            }
        }
    }
    let map = VoxelToWorld(oblique(10.0, [1.5, 1.0, 2.0], [-20.0, -10.0, 5.0]));
    let write = |name: &str, voxels: &[u8]| {
        let path = folder.join(format!("{id}_{name}.nii.gz"));
        let volume = NewVolume { voxels: VoxelSlice::U8(voxels), shape, channels: 1, voxel_to_world: map };
        volume.write(&path, &WriteOptions::default()).unwrap();
        path
    };
    let (image, label) = (write("image", &image), write("label", &label));
    Subject { id: id.to_owned(), images: vec![image], label: Some(label), ..Subject::default() }
}

#[test]
fn patch_j_of_every_subject_lies_about_region_j_and_labels_need_not_be_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let list = vec![
        blocks(folder.path(), "a", &[(7, [4, 6, 8], [5, 3, 7]), (2, [18, 20, 22], [3, 3, 3])]),
        blocks(
            folder.path(),
            "b",
            &[(7, [9, 9, 9], [5, 5, 5]), (2, [12, 20, 3], [1, 1, 1]), (9, [20, 3, 3], [2, 2, 2])],
        ),
    ];
    let with = |sampler: &str| {
        let mut options = options(&format!(r#"{{ "size": [9, 9, 9], "sampler": {sampler} }}"#), "[]");
        options.label_field = false;
        PatchSet::new(&Subjects::new(list.clone()).unwrap(), options, &[], None, cache())
    };
    let set = with(r#"{ "regions": { "labels": [7, 2] } }"#).unwrap();
    assert_eq!(set.fields().iter().map(|field| field.name.as_str()).collect::<Vec<_>>(), ["image"]);
    assert_eq!((set.len(), set.plan().at(3)), (4, (1, 1)));
    assert_eq!(set.facts(), ["subject", "volume", "region"]);
    let world = oblique(10.0, [1.5, 1.0, 2.0], [-20.0, -10.0, 5.0]);
    let middles = [[6.0, 7.0, 11.0], [19.0, 21.0, 23.0], [11.0, 11.0, 11.0], [12.0, 20.0, 3.0]];
    for (index, middle) in middles.into_iter().enumerate() {
        assert_eq!(set.fact(index, "region").as_deref(), Some(["7", "2"][index % 2]));
        let place = set.place(index, &context(index as u64)).unwrap();
        // At the border the patch stays inside: its middle is no nearer than half of it.
        let middle = middle.map(|at: f64| at.max(4.0));
        let off =
            (0..3).map(|axis| (place.center[axis] - world.apply(middle)[axis]).abs()).fold(0.0, f64::max);
        assert!(off < 1e-4, "{index}: {off} mm");
    }
    assert_eq!(set.id(3), "b, region 2");
    let error = with(r#"{ "regions": {} }"#).unwrap_err().to_string();
    assert!(error.ends_with("`missing: skip`, found 9, which `a` does not have"), "{error}");
    let uneven = with(r#"{ "regions": { "missing": "skip", "at": "voxel", "jitter": 1 } }"#).unwrap();
    assert_eq!(uneven.plan().blocks().collect::<Vec<_>>(), [2, 3]);
    let regions: Vec<Option<String>> = (0..5).map(|index| uneven.fact(index, "region")).collect();
    assert_eq!(regions.iter().flatten().collect::<Vec<_>>(), ["2", "7", "2", "7", "9"]);
    // One voxel, moved by at most one.
    let mut seen = std::collections::BTreeSet::new();
    for position in 0..60 {
        let record = uneven.draw(2, &context(position)).unwrap();
        assert_eq!((record.place.voxel, record.place.class), (Some([12, 20, 3]), Some(2)));
        let by = [record.place.origin[0] - 8, record.place.origin[1] - 16];
        assert!(by.iter().all(|by| by.abs() <= 1), "{by:?}");
        seen.insert(by);
    }
    assert_eq!(seen.len(), 9);
}

#[test]
fn patches_of_validation_lie_about_centroids_and_wrong_options_are_named() {
    let mut options = options(
        r#"{ "size": [9, 9, 9], "sampler": { "regions": { "labels": [3], "at": "voxel", "jitter": 4 } },
            "validation": "regions" }"#,
        CHANGES,
    );
    let fixed = options.for_validation();
    assert!(fixed.patch.sampler.is_fixed() && !options.patch.sampler.is_fixed());
    assert!(fixed.augmentation.is_empty());
    options.check("data.nifti").unwrap();
    options.labels = serde_json::from_str(r#"{ "default": 3 }"#).unwrap();
    let error = options.check("data.nifti").unwrap_err().to_string();
    assert!(error.starts_with("`data.nifti.labels.default` must be with a `map`"), "{error}");
    options.labels = serde_json::from_str("{}").unwrap();
    options.normalize = serde_json::from_str(r#"{ "percentiles": { "low": 9, "high": 3 } }"#).unwrap();
    assert!(
        options.check("data.nifti").unwrap_err().to_string().starts_with("`data.nifti.normalize.percentiles")
    );
}

#[test]
fn every_scan_of_ixi_has_a_patch_about_each_region_of_dlmuse() {
    let Some(folder) = shared("ixi-t1-2mm") else { return };
    let manifest: Manifest = serde_json::from_str(
        r#"{ "glob": { "images": "t1/*_T1.nii.gz", "labels": "dlmuse/{id}_T1_DLMUSE.nii.gz" } }"#,
    )
    .unwrap();
    let subjects = manifest.subjects(&folder).unwrap();
    let mut options =
        options(r#"{ "size": [48, 48, 48], "sampler": { "regions": { "missing": "skip" } } }"#, "[]");
    options.label_field = false;
    options.orientation = Some("RAS".parse().unwrap());
    let set = PatchSet::new(&subjects, options, &[], None, cache()).unwrap();
    assert_eq!(set.plan().subjects(), subjects.len());
    let blocks: Vec<u64> = set.plan().blocks().collect();
    let (least, most) = (blocks.iter().min().unwrap(), blocks.iter().max().unwrap());
    println!("{} subjects, {} patches, {least} to {most} regions each", blocks.len(), set.len());
    assert!(100 < *least && *most < 208);
    // Against centroids worked out from the label maps of some subjects.
    for subject in [0, 17, 40] {
        let volume = Volume::open(subjects.as_slice()[subject].label.as_ref().unwrap()).unwrap();
        let [nx, ny, _] = volume.shape();
        let mut labels = vec![0.0; volume.shape().iter().product()];
        volume.read_f32_all(&mut labels).unwrap();
        for index in set.plan().samples(subject).step_by(29) {
            let region: f32 = set.fact(index, "region").unwrap().parse().unwrap();
            let voxels: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] == region).collect();
            let mean = [0, 1, 2].map(|axis| {
                let of = |i: usize| [i % nx, i / nx % ny, i / nx / ny][axis] as f64;
                voxels.iter().map(|&i| of(i)).sum::<f64>() / voxels.len() as f64
            });
            let expected = volume.geometry().voxel_to_world().0.apply(mean);
            let record = set.draw(index, &context(0)).unwrap();
            let place = set.place(index, &context(0)).unwrap();
            for (axis, expected) in expected.into_iter().enumerate() {
                // To half a voxel of 2 mm, but where the patch would reach out.
                let is_inner = 0 < record.place.origin[axis];
                let last = [120, 90, 120].iter().any(|n| record.place.origin[axis] + 48 == *n);
                let off = (place.center[axis] - expected).abs();
                assert!(off <= 1.01 || !is_inner || last, "{region} of {subject}: {off} mm on axis {axis}");
            }
        }
    }
    let n = set.len();
    let options = BatchOptions { seed: 5, batch_size: 64, ..BatchOptions::default() };
    let batches = Batches::new(set, Sequential::new(n), options).unwrap();
    batches.get(0, 0).unwrap();
    let start = std::time::Instant::now();
    (1..9).for_each(|i| drop(batches.get(0, i).unwrap()));
    println!("{:.0} patches/s on one thread", 512.0 / start.elapsed().as_secs_f64());
}
