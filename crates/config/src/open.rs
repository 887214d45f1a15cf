//! The data of a configuration, opened: training, validation and test batches.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use batchwright_core::{
    self as core, BatchOptions, Batches, Dataset, LastBatch, LoaderOptions, Rank, Sequence, Sequential,
};
use batchwright_images::{self as images, ImageOptions, ImageSet, Subset};

use crate::config::Config;
use crate::data::{Fold, Held, MeanStd, Normalize, QuarterTurns, Split, SplitBy};
use crate::loader::{Blocks, ClassWeight, OnError, Sampler, Shuffle, Uneven, Window, Windowed};
use crate::model::Model;
use crate::open_error::OpenError;
#[cfg(feature = "pairs")]
use crate::open_pairs::Paired;
#[cfg(feature = "pairs")]
use crate::pairing::Pairing;
use crate::read::{self, AnyImages, Reader, Set};
use crate::samples::{SampleBatches, Samples};
use crate::sources::Source;

/// Where the data of a configuration are looked for: below `data.root`, unless a folder is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataRoot(Option<PathBuf>);

impl DataRoot {
    /// Looks below the given folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(Some(folder.into()))
    }

    /// Looks below `given` (the `--data DIR` of a command line); without it, below what the environment variable
    /// `BATCHWRIGHT_DATA` says; without that, below `data.root`.
    pub fn from_environment(given: Option<PathBuf>) -> Self {
        let named = || std::env::var_os("BATCHWRIGHT_DATA").filter(|value| !value.is_empty());
        Self(given.or_else(|| named().map(PathBuf::from)))
    }

    /// Returns the folder that the paths of `config` are relative to.
    pub fn of(&self, config: &Config) -> PathBuf {
        match (&self.0, &config.data.root) {
            (Some(folder), _) => folder.clone(),
            (None, Some(root)) => config.folder().join(root),
            (None, None) if config.folder() == Path::new("") => PathBuf::from("."),
            (None, None) => config.folder().to_owned(),
        }
    }
}

/// The data of a run, ready for loaders.
#[derive(Debug)]
pub struct Opened {
    /// What is trained on, in the order and with the changes that the configuration asks for.
    pub training: SampleBatches,
    /// What is validated on, if anything: every sample once, unchanged; in order, or mixed (always alike) where the loss compares
    /// the samples of a batch.
    pub validation: Option<SampleBatches>,
    /// What is tested on, if anything: every sample once, unchanged; in order, or mixed (always alike) where the loss compares
    /// the samples of a batch.
    pub test: Option<SampleBatches>,
    /// The samples of all sets one by one, not paired, varied as those of training are. They share all that is read with the
    /// sets above; see [`Config::in_order`].
    pub singles: Singles,
    /// The partners that are mined for the training samples, if they are.
    #[cfg(feature = "pairs")]
    pub mining: Option<Arc<batchwright_pairs::MinedPartners>>,
    /// Who is an anchor of pairs and who is not, and how often samples of classes come: a line each.
    notes: Vec<String>,
}

/// The samples of all sets.
#[derive(Clone, Debug)]
pub struct Singles {
    /// Those that are trained on.
    pub training: Samples,
    /// Those that are validated on, if any.
    pub validation: Option<Samples>,
    /// Those that are tested on, if any.
    pub test: Option<Samples>,
}

impl Opened {
    /// Returns the number of classes; 0 without labels.
    pub fn classes(&self) -> usize {
        self.training.dataset().classes()
    }

    /// Returns the statistics of the training subjects that all sets are normalised with, as JSON, where there are any.
    pub fn training_statistics(&self) -> Option<String> {
        #[cfg(feature = "nifti")]
        let statistics =
            self.training.dataset().patches().and_then(batchwright_nifti::PatchSet::used_statistics);
        #[cfg(not(feature = "nifti"))]
        let statistics: Option<()> = None;
        statistics.and_then(|statistics| serde_json::to_string_pretty(&statistics).ok())
    }

    /// Says how often each volume will be decoded, and which line would change it, where that is more than once in the run.
    pub fn decoding(&self, config: &Config) -> Option<String> {
        #[cfg(feature = "nifti")]
        if let (Some(patches), Source::Nifti(nifti)) =
            (self.training.dataset().patches(), &config.data.source)
        {
            use batchwright_nifti::{Inflations, VolumeOrder};
            let sizes = patches.cached_bytes();
            let order = match config.loader.shuffle {
                // Partners come from anywhere, whatever the order of the anchors.
                _ if 1 < self.training.dataset().parts() => VolumeOrder::Shuffled,
                Shuffle::Whole(true) => VolumeOrder::Shuffled,
                Shuffle::Whole(false) => VolumeOrder::Sequential,
                Shuffle::Windowed(Windowed::Window(Window::Volumes(volumes))) => {
                    VolumeOrder::Windowed { volumes }
                }
                Shuffle::Windowed(Windowed::Window(Window::Blocks(Blocks { block, blocks }))) => {
                    let volumes = (block * blocks / patches.options().patch.per_volume.max(1)).max(1);
                    VolumeOrder::Windowed { volumes }
                }
            };
            let per_volume = patches.len() / sizes.len().max(1) * self.training.dataset().parts();
            let budget = nifti.cache.budget.bytes();
            let inflations = Inflations::new(order, budget, &sizes, per_volume, config.loader.workers);
            return (!inflations.is_once()).then(|| inflations.to_string());
        }
        let _ = config;
        None
    }

    /// Describes the sets in a few lines.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        let sets = [
            ("training", Some(&self.training)),
            ("validation", self.validation.as_ref()),
            ("test", self.test.as_ref()),
        ];
        for (name, batches) in sets {
            let Some(batches) = batches else { continue };
            let (samples, count) = (batches.dataset().len(), batches.len());
            let _ = writeln!(text, "{name}: {samples} samples, {count} batches an epoch");
        }
        let fields: Vec<String> = self.training.dataset().fields().iter().map(ToString::to_string).collect();
        let _ = write!(text, "fields: {}", fields.join("; "));
        if 0 < self.classes() {
            let _ = write!(text, "; {} classes", self.classes());
        }
        for note in &self.notes {
            let _ = write!(text, "\n{note}");
        }
        text
    }
}

impl Config {
    /// Opens the data: reads files into memory, or lists them where they are read later.
    ///
    /// ```
    /// use batchwright_config::{Config, DataRoot};
    /// use batchwright_core::{Loader, LoaderOptions};
    /// let yaml = "{ seed: 1, data: { glyphs: { classes: 3, drawings: 20 } }, loader: { batch_size: 10 } }";
    /// let config = Config::from_str(yaml, "example", &["loader.workers=1"])?;
    /// let data = config.open(&DataRoot::from_environment(None))?;
    /// let options = LoaderOptions { epochs: Some(1), ..config.loader_options() };
    /// let mut loader = Loader::new(data.training, options);
    /// let mut samples = 0;
    /// while let Some(batch) = loader.next_batch() {
    ///     samples += batch?.samples.len();
    /// }
    /// assert_eq!(samples, 60);
    /// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    /// ```
    ///
    /// # Errors
    /// Names the key, the path, where the files can be had and what to set where they are missing.
    pub fn open(&self, root: &DataRoot) -> Result<Opened, OpenError> {
        let root = root.of(self);
        let singles = match &self.data.source {
            #[cfg(feature = "nifti")]
            Source::Nifti(nifti) => self.open_volumes(nifti, &root)?,
            Source::Idx(_) | Source::Csv(_) | Source::Npz(_) | Source::Folder(_) | Source::Glyphs(_) => {
                self.open_images(&root)?
            }
        };
        let mut notes = Vec::new();
        let training = singles.training.clone();
        #[cfg(feature = "pairs")]
        let Paired { data: training, mined: mining, report } = self.paired(training, Set::Training, &root)?;
        #[cfg(feature = "pairs")]
        notes.extend(report);
        let held = |data: &Option<Samples>, set: Set| {
            let Some(data) = data else { return Ok(None) };
            #[cfg(feature = "pairs")]
            let varied = self.data.pairing.as_ref().is_some_and(Pairing::augments_validation);
            #[cfg(not(feature = "pairs"))]
            let varied = false;
            let data = if varied { data.clone() } else { data.unchanged() };
            #[cfg(feature = "pairs")]
            let Paired { data, .. } = self.paired(data, set, &root)?;
            if self.compares_within_batches() {
                // Files often lie class by class, and a batch of one class compares nothing.
                let sampler = core::Shuffled::new(data.len());
                return self.every_one(data, sampler, set.name()).map(Some);
            }
            self.in_order(data, set.name()).map(Some)
        };
        Ok(Opened {
            training: self.training_batches(training, &mut notes)?,
            validation: held(&singles.validation, Set::Validation)?,
            test: held(&singles.test, Set::Test)?,
            singles,
            #[cfg(feature = "pairs")]
            mining,
            notes,
        })
    }

    fn open_images(&self, root: &Path) -> Result<Singles, OpenError> {
        let reader = Reader { data: &self.data, root };
        let key = format!("data.{}", self.data.source.key());
        let turned = |images: AnyImages| -> Result<AnyImages, OpenError> {
            match self.data.quarter_turns {
                QuarterTurns::None => Ok(images),
                QuarterTurns::AsClasses => match images::QuarterTurns::new(images) {
                    Ok(turned) => Ok(Arc::new(turned)),
                    Err(source) => {
                        let key = "data.quarter_turns".to_owned();
                        Err(OpenError::Images { key, source: Box::new(source) })
                    }
                },
            }
        };
        let source = read_training(&reader)?;
        let [_, height, width] = source.shape();
        let stored = [height, width];
        let source = self.aligned(source)?;
        let (training, split) = match &self.data.split {
            Some(split) => {
                let sides = self.sides(split, &source, &reader)?;
                (sides.training, Some(sides.validation))
            }
            None => ((0..source.len()).collect(), None),
        };
        // The images as they are come first, so that the sides hold for turned ones, too.
        let as_they_are = source.len();
        let source = turned(source)?;
        let options = self.image_options(&source, &training)?;
        let turns = 0..source.len() / as_they_are.max(1);
        let training: Vec<usize> =
            turns.flat_map(|turn| training.iter().map(move |index| turn * as_they_are + index)).collect();
        let set = |source: AnyImages, options: ImageOptions, indices: Vec<usize>| {
            let refused = |source| OpenError::Images { key: key.clone(), source: Box::new(source) };
            let images = Subset::new(ImageSet::new(source, options).map_err(refused)?, indices);
            images.map(|images| Samples::Images(Arc::new(images))).map_err(refused)
        };
        let other = |which: Set| -> Result<Option<Samples>, OpenError> {
            let Some(images) = reader.read(which, Some(stored))? else { return Ok(None) };
            let images = self.aligned(images)?;
            let indices = (0..images.len()).collect();
            let images = turned(images)?;
            let unseen = self.has_unseen_classes();
            goes_with(&source, &images, unseen, &format!("{key}.{}", which.key()))?;
            let classes = if unseen { Some(images.classes()) } else { options.classes };
            set(images, ImageOptions { classes, ..options.clone() }, indices).map(Some)
        };
        let validation = match split {
            Some(indices) => Some(set(Arc::clone(&source), options.clone(), indices)?),
            None => other(Set::Validation)?,
        };
        let test = other(Set::Test)?;
        Ok(Singles { training: set(Arc::clone(&source), options.clone(), training)?, validation, test })
    }

    /// Brings the ink of images to one place and size, if it is to be.
    pub fn aligned(
        &self,
        images: Arc<dyn images::ImageSource>,
    ) -> Result<Arc<dyn images::ImageSource>, OpenError> {
        let Some(crate::data::Align { size, spread, aspect }) = self.data.align else { return Ok(images) };
        match images::Aligned::new(images, images::Align { size, spread, aspect }) {
            Ok(aligned) => Ok(Arc::new(aligned)),
            Err(source) => Err(OpenError::Images { key: "data.align".to_owned(), source: Box::new(source) }),
        }
    }

    /// Returns whether the classes of validation and test files are others than those of training, so that equal numbers mean
    /// nothing.
    pub fn has_unseen_classes(&self) -> bool {
        self.data.has_unseen_classes()
    }

    /// Returns how loaders of this run read ahead. Which epochs there are is left to whoever reads.
    pub fn loader_options(&self) -> LoaderOptions {
        LoaderOptions {
            workers: self.loader.workers,
            max_queue_size: self.loader.max_queue_size,
            queue_bytes: self.loader.queue_budget.map(crate::ByteSize::bytes),
            timeout: self.loader.timeout.map(crate::TimeSpan::duration),
            ..LoaderOptions::default()
        }
    }

    fn sides(
        &self,
        split: &Split,
        source: &AnyImages,
        reader: &Reader<'_>,
    ) -> Result<images::Sides, OpenError> {
        let seed = self.seed;
        let rule = match (&split.validation, split.by) {
            (Held::Fraction(validation), SplitBy::Sample | SplitBy::Subject) => {
                images::Split::Fraction { seed, validation: *validation }
            }
            (Held::Fraction(validation), SplitBy::Group) => {
                images::Split::Groups { seed, validation: *validation }
            }
            (Held::Fold(Fold { fold, of }), SplitBy::Sample | SplitBy::Subject) => {
                images::Split::Fold { seed, fold: *fold, of: *of }
            }
            (Held::Fold(Fold { fold, of }), SplitBy::Group) => {
                images::Split::GroupFold { seed, fold: *fold, of: *of }
            }
            (Held::Fraction(validation), SplitBy::Class) => {
                images::Split::Classes { seed, validation: *validation }
            }
            (Held::Fold(Fold { fold, of }), SplitBy::Class) => {
                images::Split::ClassFold { seed, fold: *fold, of: *of }
            }
            (Held::Listed(list), SplitBy::Sample | SplitBy::Subject | SplitBy::Group | SplitBy::Class) => {
                let path = reader.find("data.split.validation", list)?;
                let text = std::fs::read_to_string(&path)
                    .map_err(|source| OpenError::List { path: path.clone(), source })?;
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                images::Split::List { validation: lines.map(str::to_owned).collect() }
            }
        };
        rule.of(source)
            .map_err(|source| OpenError::Images { key: "data.split".to_owned(), source: Box::new(source) })
    }

    fn image_options(&self, source: &AnyImages, training: &[usize]) -> Result<ImageOptions, OpenError> {
        let scale = read::scale(self.data.scale);
        let normalize = match &self.data.normalize {
            Normalize::None => None,
            Normalize::MeanStd(MeanStd { mean: Some(mean), std: Some(std) }) => {
                Some(images::MeanStd { mean: mean.clone(), std: std.clone() })
            }
            Normalize::MeanStd(_) => {
                let of = images::MeanStd::of(source, training, scale);
                let key = "data.normalize".to_owned();
                Some(of.map_err(|source| OpenError::Images { key, source: Box::new(source) })?)
            }
        };
        Ok(ImageOptions {
            dtype: read::image_type(self.data.dtype),
            scale,
            normalize,
            one_hot: self.data.one_hot,
            classes: (0 < source.classes()).then(|| source.classes()),
            augment: self.data.augment.map(read::augment),
        })
    }

    fn training_batches(&self, data: Samples, notes: &mut Vec<String>) -> Result<SampleBatches, OpenError> {
        let loader = &self.loader;
        let class_weight = match &loader.class_weight {
            None => None,
            Some(ClassWeight::Given(classes)) => {
                Some(classes.iter().map(|(class, weight)| (*class, weight.0)).collect())
            }
            Some(ClassWeight::Balanced(_)) => Some(balanced_weights(&data)?),
        };
        let options = BatchOptions {
            last: if loader.drop_last { LastBatch::Drop } else { LastBatch::Short },
            uneven: match loader.ranks.uneven {
                Uneven::Exact => core::Uneven::Exact,
                Uneven::Pad => core::Uneven::Pad,
                Uneven::Drop => core::Uneven::Drop,
            },
            class_weight,
            ..self.batch_options()
        };
        let sampler = self.sampler(&data, notes)?;
        Batches::shared(data, sampler, options)
            .map_err(|source| OpenError::Plan { set: Set::Training.name(), source })
    }

    /// Puts samples in order: every one once an epoch, whatever the order of training is, and all of them on every rank. `set` is
    /// what an error calls them.
    ///
    /// # Errors
    /// Says why they make no batches.
    pub fn in_order(&self, data: Samples, set: &'static str) -> Result<SampleBatches, OpenError> {
        let sampler = Sequential::new(data.len());
        self.every_one(data, sampler, set)
    }

    fn every_one(
        &self,
        data: Samples,
        sampler: impl core::Sampler + 'static,
        set: &'static str,
    ) -> Result<SampleBatches, OpenError> {
        let options = BatchOptions { rank: Rank { index: 0, world: 1 }, ..self.batch_options() };
        Batches::new(data, sampler, options).map_err(|source| OpenError::Plan { set, source })
    }

    /// Returns whether the loss compares the samples of a batch with each other.
    fn compares_within_batches(&self) -> bool {
        #[cfg(feature = "pairs")]
        let tuples = self.data.pairing.is_some();
        #[cfg(not(feature = "pairs"))]
        let tuples = false;
        matches!(self.model, Some(Model::Siamese(_))) && !tuples
    }

    fn batch_options(&self) -> BatchOptions {
        BatchOptions {
            seed: self.seed,
            batch_size: self.loader.batch_size.get(),
            last: LastBatch::Short,
            rank: Rank { index: self.loader.ranks.index, world: self.loader.ranks.world },
            uneven: core::Uneven::Exact,
            on_error: match self.loader.on_error {
                OnError::Fail => core::OnError::Fail,
                OnError::Skip { budget } => core::OnError::Skip { budget },
                OnError::Substitute { budget } => core::OnError::Substitute { budget },
            },
            class_weight: None,
        }
    }

    /// Returns the order of training samples, and notes what the user should know of it.
    fn sampler(&self, data: &Samples, notes: &mut Vec<String>) -> Result<Arc<dyn core::Sampler>, OpenError> {
        #[cfg(not(feature = "pairs"))]
        let _ = notes;
        let samples = data.len();
        match &self.loader.sampler {
            None => {}
            Some(Sampler::Balanced(balanced)) => {
                let key = "loader.sampler.balanced";
                let draws = balanced.draws.map_or(samples, usize::from);
                let sampler = core::Balanced::new(&classes(data, key)?, draws)
                    .map_err(|source| OpenError::Sampler { key, source })?;
                return Ok(Arc::new(sampler));
            }
            Some(Sampler::Weighted(weighted)) => {
                let key = "loader.sampler.weighted";
                let weight = |class: &u32| {
                    let weight = weighted.classes.get(class).map(|weight| f64::from(weight.0));
                    let message = format!("class {class} has no weight in `classes`");
                    weight.ok_or(OpenError::Classes { key, message })
                };
                let weights: Vec<f64> =
                    classes(data, key)?.iter().map(weight).collect::<Result<_, OpenError>>()?;
                let draws = weighted.draws.map_or(samples, usize::from);
                let sampler = if weighted.replacement {
                    core::Weighted::with_replacement(weights, draws)
                } else {
                    core::Weighted::without_replacement(weights, draws)
                };
                return Ok(Arc::new(sampler.map_err(|source| OpenError::Sampler { key, source })?));
            }
            #[cfg(feature = "pairs")]
            Some(Sampler::ClassBatches(options)) => {
                let batches = Self::class_batches(options, data)?;
                notes.push(format!("classes: {}", batches.report()));
                return Ok(Arc::new(batches));
            }
        }
        match self.loader.shuffle {
            Shuffle::Whole(true) => Ok(Arc::new(core::Shuffled::new(samples))),
            Shuffle::Whole(false) => Ok(Arc::new(Sequential::new(samples))),
            Shuffle::Windowed(Windowed::Window(window)) => {
                let key = "loader.shuffle.window";
                let refused = |source| OpenError::Sampler { key, source };
                match (window, data) {
                    #[cfg(feature = "nifti")]
                    (Window::Volumes(volumes), Samples::Patches(patches)) => {
                        let sampler = core::WindowedBlocks::new(patches.plan().blocks(), volumes);
                        Ok(Arc::new(sampler.map_err(refused)?))
                    }
                    // Of images and of pairs, a number was refused with the configuration.
                    (Window::Volumes(blocks), _) => {
                        Ok(Arc::new(core::Windowed::new(samples, 1, blocks).map_err(refused)?))
                    }
                    (Window::Blocks(Blocks { block, blocks }), _) => {
                        Ok(Arc::new(core::Windowed::new(samples, block, blocks).map_err(refused)?))
                    }
                }
            }
        }
    }
}

fn read_training(reader: &Reader<'_>) -> Result<AnyImages, OpenError> {
    let images = reader.read(Set::Training, None)?;
    Ok(images.expect("every source has a training set"))
}

/// Checks that a set has images and, unless they are `unseen`, classes like those of the training set.
fn goes_with(training: &AnyImages, other: &AnyImages, unseen: bool, key: &str) -> Result<(), OpenError> {
    let different =
        |expected: String, found: String| Err(OpenError::Different { key: key.to_owned(), expected, found });
    if training.shape() != other.shape() {
        return different(format!("images of {:?}", training.shape()), format!("{:?}", other.shape()));
    }
    let labelled = |images: &AnyImages| !images.is_empty() && images.label(0).is_some();
    if labelled(training) != labelled(other) && !other.is_empty() {
        let say = |is: bool| if is { "labels".to_owned() } else { "no labels".to_owned() };
        return different(say(labelled(training)), say(labelled(other)));
    }
    if unseen {
        return Ok(());
    }
    // Names are those of the first classes: where neither set has one, no further class has.
    for class in 0..other.classes() {
        let names = (training.class_name(class), other.class_name(class));
        if names == (None, None) {
            break;
        }
        if names.0 != names.1 {
            let say = |name: Option<&str>| match name {
                Some(name) => format!("class {class} to be `{name}`"),
                None => format!("no name for class {class}"),
            };
            return different(say(names.0), say(names.1));
        }
    }
    Ok(())
}

fn classes(data: &Samples, key: &'static str) -> Result<Vec<u32>, OpenError> {
    let class = |index: usize| {
        let message = format!("sample {index} ({}) has no class", data.id(index));
        data.class(index).ok_or(OpenError::Classes { key, message })
    };
    (0..data.len()).map(class).collect()
}

/// Weights that make every class count the same: samples / (classes x samples of the class).
fn balanced_weights(data: &Samples) -> Result<BTreeMap<u32, f32>, OpenError> {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for class in classes(data, "loader.class_weight")? {
        *counts.entry(class).or_default() += 1;
    }
    let (samples, classes) = (data.len() as f64, counts.len() as f64);
    Ok(counts
        .into_iter()
        .map(|(class, count)| (class, (samples / (classes * count as f64)) as f32))
        .collect())
}

#[cfg(test)]
mod tests {
    use batchwright_images::{Glyphs, Images};

    use super::*;

    fn named(names: &[&str]) -> AnyImages {
        let images = Images::from_u8([1, 1, 1], vec![0]).unwrap().with_labels(vec![0]).unwrap();
        Arc::new(images.with_class_names(names.iter().map(|&name| name.to_owned()).collect()))
    }

    #[test]
    fn names_of_classes_are_compared_and_classes_without_names_are_not_counted() {
        let text =
            |training, other| goes_with(&training, &other, false, "data.csv.test").map_err(|e| e.to_string());
        let (ab, a, ac) = (named(&["a", "b"]), named(&["a"]), named(&["a", "c"]));
        assert_eq!(text(Arc::clone(&ab), Arc::clone(&a)), Ok(()));
        assert!(goes_with(&ab, &ac, true, "data.csv.test").is_ok());
        let error = text(Arc::clone(&ab), ac).unwrap_err();
        assert!(error.contains("class 1 to be `b`") && error.contains("class 1 to be `c`"), "{error}");
        assert!(text(a, Arc::clone(&ab)).unwrap_err().contains("no name for class 1"));
        assert!(text(ab, named(&[])).unwrap_err().contains("no name for class 0"));
        // As many classes as a number can say: counting them would take years.
        let many: AnyImages = Arc::new(Glyphs { classes: usize::MAX, drawings: 1, ..Glyphs::default() });
        assert_eq!(text(Arc::clone(&many), many), Ok(()));
    }
}
