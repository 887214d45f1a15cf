//! Promises seen from outside: the laws of data sets for every source, and real data where they are at hand.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests; what is skipped is said")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use batchwright_core::testing::check_dataset;
use batchwright_core::{
    BatchOptions, Batches, Context, Dataset, Fingerprint, Loader, LoaderOptions, SampleError, Sequence,
    Sequential,
};
use batchwright_images::{
    Augment, Channels, Elastic, Fit, Flip, Folder, FolderOptions, Glyphs, ImageOptions, ImageSet,
    ImageSource, ImageType, Images, MeanStd, Noise, PixelType, PixelView, Pixels, QuarterTurns, Rotate,
    Scale, Scratch, Shear, Shift, Split, Subset, Zoom, read_idx, read_npz, write_png_gray,
};

/// The folder of real data, or `None` with a word about it.
fn data(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("BATCHWRIGHT_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is not there (set BATCHWRIGHT_DATA)", path.display());
    None
}

fn augment() -> Augment {
    Augment {
        flip: Some(Flip { x: 0.5, y: 0.1 }),
        scale: Some(Zoom { factor: [0.9, 1.1], probability: 0.7 }),
        shear: Some(Shear { degrees: [-5.0, 5.0], probability: 0.7 }),
        rotate: Some(Rotate { degrees: [-10.0, 10.0], probability: 0.7 }),
        shift: Some(Shift { x: [-2.0, 2.0], y: [-2.0, 2.0], probability: 0.7 }),
        elastic: Some(Elastic { displacement: [0.0, 1.0], cells: 3, probability: 0.5 }),
        noise: Some(Noise { sigma: [0.0, 0.1], clip: None, probability: 0.5 }),
        fill: 0.1,
    }
}

fn float_images() -> Images {
    let pixels = (0..6 * 2 * 5 * 3).map(|i| i as f32 * 0.25 - 7.0).collect();
    Images::from_f32([2, 5, 3], pixels).unwrap().with_labels(vec![0, 1, 2, 0, 1, 2]).unwrap()
}

/// Reads all samples in order as one batch.
fn all(set: &impl Dataset) -> batchwright_core::Batch {
    let options = BatchOptions { seed: 7, batch_size: set.len(), ..BatchOptions::default() };
    Batches::new(set, Sequential::new(set.len()), options).unwrap().get(0, 0).unwrap()
}

#[test]
fn every_source_and_choice_keeps_the_laws_of_data_sets() {
    let glyphs = Glyphs { classes: 4, drawings: 5, size: 20, ..Glyphs::default() };
    let normalize = Some(MeanStd { mean: vec![0.3], std: vec![0.2] });
    let mut tried = 0;
    for augment in [None, Some(augment())] {
        for (dtype, normalize) in
            [(ImageType::F32, None), (ImageType::F32, normalize.clone()), (ImageType::U8, None)]
        {
            let options = ImageOptions {
                dtype,
                normalize,
                one_hot: true,
                augment: augment.clone(),
                ..ImageOptions::default()
            };
            check_dataset(&ImageSet::new(glyphs.images().unwrap(), options.clone()).unwrap(), 20);
            check_dataset(&ImageSet::new(glyphs.clone(), options.clone()).unwrap(), 20);
            let turned = QuarterTurns::new(glyphs.images().unwrap()).unwrap();
            check_dataset(&ImageSet::new(turned, options.clone()).unwrap(), 80);
            let set = Arc::new(ImageSet::new(&glyphs, options).unwrap());
            check_dataset(&Subset::new(set, vec![3, 1, 3, 7]).unwrap(), 4);
            tried += 4;
        }
        let options = ImageOptions { augment, scale: Scale::Divide(2.0), ..ImageOptions::default() };
        check_dataset(&ImageSet::new(float_images(), options).unwrap(), 6);
        tried += 1;
    }
    assert_eq!(tried, 26);
}

#[test]
fn fields_are_what_was_asked_for() {
    let images =
        Arc::new(Images::from_u8([1, 1, 2], vec![0, 255, 51, 102]).unwrap().with_labels(vec![2, 0]).unwrap());
    let options = ImageOptions {
        one_hot: true,
        normalize: Some(MeanStd { mean: vec![0.5], std: vec![0.25] }),
        ..ImageOptions::default()
    };
    let batch = all(&ImageSet::new(Arc::clone(&images), options).unwrap());
    assert_eq!(batch.get::<f32>("image").unwrap(), [-2.0, 2.0, (0.2 - 0.5) * 4.0, (0.4 - 0.5) * 4.0]);
    assert_eq!(batch.get::<i64>("label").unwrap(), [2, 0]);
    assert_eq!(batch.get::<f32>("one_hot").unwrap(), [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
    assert_eq!(batch.fields()[0].axes, ["C", "y", "x"]);
    let bytes = ImageOptions { dtype: ImageType::U8, ..ImageOptions::default() };
    assert_eq!(all(&ImageSet::new(&images, bytes).unwrap()).get::<u8>("image").unwrap(), [0, 255, 51, 102]);
    let unlabelled =
        ImageSet::new(Images::from_u8([1, 1, 1], vec![9]).unwrap(), ImageOptions::default()).unwrap();
    assert_eq!((unlabelled.fields().len(), unlabelled.class(0)), (1, None));
}

#[test]
fn choices_that_do_not_fit_are_errors_that_say_so() {
    let error = |options: ImageOptions| ImageSet::new(float_images(), options).unwrap_err().to_string();
    let default = ImageOptions::default;
    assert_eq!(
        error(ImageOptions { dtype: ImageType::U8, ..default() }),
        "`dtype`: expected f32, as the source holds floats, found u8"
    );
    assert_eq!(
        error(ImageOptions { scale: Scale::Divide(0.0), ..default() }),
        "`scale`: expected a positive, finite divisor, found 0"
    );
    assert_eq!(
        error(ImageOptions { classes: Some(2), ..default() }),
        "sample 2 (image[2]) has the label 2, and the classes are 0 to 1"
    );
    assert_eq!(
        error(ImageOptions { normalize: Some(MeanStd { mean: vec![0.0], std: vec![1.0] }), ..default() }),
        "`mean`: expected 2 finite numbers, one a channel, found [0.0]"
    );
    let largest = Images::from_u8([1, 1, 1], vec![9]).unwrap().with_labels(vec![i64::MAX]).unwrap_err();
    assert_eq!(
        largest.to_string(),
        "sample 0 (image[0]) has the label 9223372036854775807, and labels number classes from 0: expected one below 16777216"
    );
    assert_eq!(
        error(ImageOptions { classes: Some((1 << 24) + 1), one_hot: true, ..default() }),
        "`classes`: expected at most 2^24, found 16777217"
    );
    let unlabelled = Images::from_u8([1, 1, 1], vec![9]).unwrap();
    assert!(ImageSet::new(unlabelled, ImageOptions { one_hot: true, ..default() }).is_err());
}

#[test]
fn labels_and_names_of_classes_may_come_in_any_order() {
    let images = || Images::from_u8([1, 1, 1], vec![9, 8]).unwrap();
    let names = |count: usize| (0..count).map(|i| i.to_string()).collect::<Vec<_>>();
    for (count, expected) in [(2, 4), (4, 4), (6, 6)] {
        let first = images().with_class_names(names(count)).with_labels(vec![3, -1]).unwrap();
        let last = images().with_labels(vec![3, -1]).unwrap().with_class_names(names(count));
        assert_eq!((first.classes(), last.classes()), (expected, expected));
    }
}

/// A source of a user, which may say one shape and give another number of pixels.
struct Own {
    shape: [usize; 3],
    given: usize,
    floats: bool,
}

impl ImageSource for Own {
    fn len(&self) -> usize {
        2
    }

    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn pixel_type(&self) -> PixelType {
        if self.floats { PixelType::F32 } else { PixelType::U8 }
    }

    fn full_scale(&self) -> f32 {
        255.0
    }

    fn label(&self, _: usize) -> Option<i64> {
        None
    }

    fn classes(&self) -> usize {
        0
    }

    fn id(&self, index: usize) -> String {
        format!("own {index}")
    }

    fn fetch<'a>(&'a self, _: usize, scratch: &'a mut Scratch) -> Result<PixelView<'a>, SampleError> {
        scratch.bytes = vec![7; self.given];
        scratch.floats = vec![7.0; self.given];
        Ok(if self.floats { PixelView::F32(&scratch.floats) } else { PixelView::U8(&scratch.bytes) })
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::default()
    }
}

#[test]
fn a_source_that_gives_another_number_of_pixels_than_its_shape_has_is_bad_data() {
    let shape = [1, 2, 3];
    for (given, floats) in [(5, false), (7, false), (0, false), (5, true), (12, true)] {
        let augment = Augment { flip: Some(Flip { x: 1.0, y: 0.0 }), ..Augment::default() };
        let plain = ImageOptions::default();
        let normalize = Some(MeanStd { mean: vec![0.5], std: vec![0.5] });
        let mut choices = vec![
            plain.clone(),
            ImageOptions { normalize, ..plain.clone() },
            ImageOptions { augment: Some(augment), ..plain.clone() },
        ];
        if !floats {
            choices.push(ImageOptions { dtype: ImageType::U8, ..plain });
        }
        for options in choices {
            let set = ImageSet::new(Own { shape, given, floats }, options).unwrap();
            let options = BatchOptions { seed: 7, batch_size: 2, ..BatchOptions::default() };
            let error = Batches::new(set, Sequential::new(2), options).unwrap().get(0, 0).unwrap_err();
            let text = batchwright_core::chain(error.as_ref());
            let expected = format!("image 0 (own 0): expected the 6 pixels of [1, 2, 3], found {given}");
            assert!(text.contains(&expected), "{text}");
        }
        let error = MeanStd::of(&Own { shape, given, floats }, &[1], Scale::None).unwrap_err().to_string();
        assert_eq!(error, format!("image 1 (own 1): expected the 6 pixels of [1, 2, 3], found {given}"));
    }
}

#[test]
fn a_shape_with_a_zero_is_an_error() {
    for shape in [[0, 2, 2], [1, 0, 2], [1, 2, 0], [usize::MAX, 2, 2]] {
        let own = || Own { shape, given: 0, floats: false };
        let expected = format!("`shape`: expected channels, height and width of at least 1, found {shape:?}");
        let options = ImageOptions { augment: Some(augment()), ..ImageOptions::default() };
        assert_eq!(ImageSet::new(own(), options).map(|_| ()).unwrap_err().to_string(), expected);
        assert_eq!(MeanStd::of(&own(), &[0], Scale::None).unwrap_err().to_string(), expected);
    }
}

#[test]
fn reading_and_augmenting_pictures_show_up_in_the_loaders_statistics() {
    let root = tempfile::TempDir::new().unwrap();
    let glyphs = Glyphs { classes: 2, drawings: 4, ..Glyphs::default() }.images().unwrap();
    let Pixels::U8(pixels) = glyphs.pixels() else { panic!("bytes") };
    for (index, image) in pixels.chunks_exact(784).enumerate() {
        write_png_gray(&root.path().join(format!("{index}.png")), image, 28).unwrap();
    }
    let stages = |augment: Option<Augment>| {
        let folder = Folder::open(root.path(), FolderOptions::default()).unwrap();
        let set = ImageSet::new(folder, ImageOptions { augment, ..ImageOptions::default() }).unwrap();
        let options = BatchOptions { seed: 7, batch_size: 4, ..BatchOptions::default() };
        let batches = Batches::new(set, Sequential::new(8), options).unwrap();
        let options = LoaderOptions { workers: 1, epochs: Some(1), ..LoaderOptions::default() };
        let mut loader = Loader::new(batches, options);
        let mut samples = 0;
        while let Some(batch) = loader.next_batch() {
            samples += batch.unwrap().samples.len();
        }
        assert_eq!(samples, 8);
        let statistics = loader.statistics();
        assert!(statistics.stages.values().all(|time| !time.is_zero() && *time <= statistics.reading));
        statistics.stages.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(stages(Some(augment())), ["augment", "read and decode"]);
    assert_eq!(stages(None), ["read and decode"]);
}

#[test]
fn an_augmentation_that_never_happens_changes_no_bit_and_validation_has_none() {
    let glyphs = Arc::new(Glyphs { drawings: 3, ..Glyphs::default() }.images().unwrap());
    let normalize = Some(MeanStd { mean: vec![0.3], std: vec![0.2] });
    let plain = ImageOptions { normalize, ..ImageOptions::default() };
    let never = Augment {
        rotate: Some(Rotate { degrees: [10.0, 20.0], probability: 0.0 }),
        scale: Some(Zoom { factor: [1.0, 1.0], probability: 1.0 }),
        ..Augment::default()
    };
    let idle = ImageOptions { augment: Some(never), ..plain.clone() };
    let training = ImageOptions { augment: Some(augment()), ..plain.clone() };
    let image = |options: ImageOptions| {
        let set = ImageSet::new(Arc::clone(&glyphs), options).unwrap();
        (set.drawn(&Context::new(7, 0, 0)).is_some(), all(&set).get::<f32>("image").unwrap().to_vec())
    };
    assert_eq!(image(plain.clone()).1, image(idle).1);
    assert_ne!(image(plain.clone()).1, image(training.clone()).1);
    assert_eq!((image(plain).0, image(training).0), (false, true));
}

#[test]
fn the_fingerprint_follows_the_content_and_not_the_path() {
    let print = |value: u8, name: &str| {
        Images::from_u8([1, 1, 2], vec![1, value]).unwrap().with_name(name).fingerprint()
    };
    assert_eq!(print(3, "a"), print(3, "a"));
    assert_ne!(print(3, "a"), print(4, "a"));
    assert_ne!(print(3, "a"), print(3, "b"));
}

#[test]
fn fashion_mnist_is_read_to_the_last_pixel() {
    let Some(folder) = data("fashion-mnist") else { return };
    let read = |name: &str| {
        read_idx(
            &folder.join(format!("{name}-images-idx3-ubyte.gz")),
            Some(&folder.join(format!("{name}-labels-idx1-ubyte.gz"))),
        )
        .unwrap()
    };
    for (name, count, sum) in [("train", 60_000, 3_431_114_169), ("t10k", 10_000, 573_469_082)] {
        let images = read(name);
        assert_eq!((images.len(), images.shape(), images.classes()), (count, [1, 28, 28], 10));
        let Pixels::U8(pixels) = images.pixels() else { panic!("bytes") };
        assert_eq!(pixels.iter().map(|&x| u64::from(x)).sum::<u64>(), sum);
        let mut counts = BTreeMap::new();
        images.labels().unwrap().iter().for_each(|label| *counts.entry(*label).or_insert(0) += 1);
        assert_eq!(counts.into_values().collect::<Vec<_>>(), [count / 10; 10]);
    }
    let images = read("train");
    assert_eq!(images.id(123), "train-images-idx3-ubyte.gz[123]");
    assert_eq!(&images.labels().unwrap()[..5], [9, 0, 0, 3, 0]);
    let indices: Vec<usize> = (0..60_000).collect();
    let found = MeanStd::of(&images, &indices, Scale::FullRange).unwrap();
    // The figures everyone uses for this set.
    assert!((found.mean[0] - 0.2860).abs() < 5e-5 && (found.std[0] - 0.3530).abs() < 5e-5, "{found:?}");
    let sides = Split::Fraction { seed: 42, validation: 0.1 }.of(&images).unwrap();
    assert!((5600..6400).contains(&sides.validation.len()));
}

#[test]
fn an_npz_archive_of_medmnist_is_read_by_member() {
    let Some(folder) = data("pneumoniamnist-balanced") else { return };
    let path = folder.join("pneumoniamnist_balanced_trainval.npz");
    for (side, count) in [("train", 2428), ("val", 270)] {
        let images =
            read_npz(&path, &format!("{side}_images"), Some(&format!("{side}_labels")), Channels::First)
                .unwrap();
        assert_eq!((images.len(), images.shape(), images.classes()), (count, [1, 28, 28], 2));
    }
}

#[test]
fn omniglot_is_read_from_its_archive_and_from_its_folders() {
    let Some(folder) = data("omniglot") else { return };
    let archive = folder.join("images_background_small1.zip");
    let options = FolderOptions {
        size: Some([28, 28]),
        fit: Fit::Area,
        invert: true,
        in_memory: true,
        ..FolderOptions::default()
    };
    let small = Folder::open(&archive, options.clone()).unwrap();
    assert_eq!((small.len(), small.classes(), small.shape()), (2720, 136, [1, 28, 28]));
    let (mut drawings, mut alphabets) = (vec![0; 136], BTreeMap::new());
    for index in 0..small.len() {
        drawings[small.label(index).unwrap() as usize] += 1;
        *alphabets.entry(small.group(index).unwrap().to_owned()).or_insert(0) += 1;
    }
    assert_eq!(drawings, [20; 136]);
    let expected = [("Balinese", 24), ("Early_Aramaic", 22), ("Greek", 24), ("Korean", 40), ("Latin", 26)];
    let expected: BTreeMap<_, _> =
        expected.into_iter().map(|(name, characters)| (name.to_owned(), 20 * characters)).collect();
    assert_eq!(alphabets, expected);
    assert_eq!(small.class_name(0), Some("Balinese/character01"));
    // Whole alphabets are left out, and over five folds each once.
    let mut held = BTreeMap::new();
    for fold in 0..5 {
        let sides = Split::GroupFold { seed: 42, fold, of: 5 }.of(&small).unwrap();
        for index in sides.validation {
            *held.entry(small.group(index).unwrap().to_owned()).or_insert(0) += 1;
        }
    }
    assert_eq!(held, expected);
    let root = tempfile::TempDir::new().unwrap();
    zip::ZipArchive::new(std::fs::File::open(&archive).unwrap()).unwrap().extract(root.path()).unwrap();
    let files = root.path().join("images_background_small1");
    let whole = Folder::open(&files, FolderOptions::default()).unwrap();
    assert_eq!((whole.len(), whole.classes(), whole.shape()), (2720, 136, [1, 105, 105]));
    let plain = Folder::open(&files, FolderOptions { in_memory: false, ..options }).unwrap();
    assert_eq!(plain.fingerprint(), small.fingerprint());
    let set = ImageSet::new(whole, ImageOptions::default()).unwrap();
    check_dataset(&set, 40);
    let batch = all(&Subset::new(&set, (0..64).collect()).unwrap());
    assert!(batch.get::<f32>("image").unwrap().iter().all(|&x| x == 0.0 || x == 1.0));
    let set = |folder| {
        Subset::new(ImageSet::new(folder, ImageOptions::default()).unwrap(), vec![0, 7, 2719]).unwrap()
    };
    let (small, plain) = (set(small), set(plain));
    assert_eq!(small.facts(), ["group", "super_class"]);
    assert_eq!(small.fact(2, "super_class").as_deref(), Some("Latin"));
    check_dataset(&small, 3);
    let (small, plain) = (all(&small), all(&plain));
    assert_eq!(small.get::<f32>("image").unwrap(), plain.get::<f32>("image").unwrap());
    // Ink is bright, and as much as the white of a page is black.
    let ink: f32 = small.get::<f32>("image").unwrap().iter().sum::<f32>() / (3.0 * 784.0);
    assert!((0.01..0.25).contains(&ink), "{ink}");
}
