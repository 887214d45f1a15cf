//! What keys say together: values that are right each for itself, and wrong beside each other.

use crate::check::Check;
use crate::data::{Augment, Data, DataFile, Fold, Held, ImageType, Normalize, QuarterTurns, Scale, SplitBy};
use crate::loader::{ClassWeight, Loader, Sampler, Shuffle, Window, Windowed};
use crate::model::{Likelihood, Model};
use crate::node::Node;
use crate::siamese::{Margin, MetricLoss, Mining, Siamese};
use crate::sources::Source;
use crate::training::{Optimizer, Training};

/// The sections that are right in themselves.
pub(crate) struct Sections {
    pub(crate) data: Option<DataFile>,
    pub(crate) loader: Option<Loader>,
    pub(crate) model: Option<Model>,
    pub(crate) training: Option<Training>,
}

/// Adds the mistakes between keys.
pub(crate) fn check(sections: &Sections, tree: &Node, check: &mut Check<'_>) {
    let Sections { data, loader, model, training } = sections;
    let mut report = Report { tree, check };
    #[cfg(feature = "pairs")]
    if data.as_ref().is_some_and(DataFile::is_paired_twice) {
        let message = "there are `pairs` and `triplets`; the samples of a run are one of them";
        report.add("data.triplets", message, Some("keep one of them"));
    }
    let data = data.clone().and_then(|file| Data::try_from(file).ok());
    if let Some(data) = &data {
        check_data(data, &mut report);
    }
    if let Some(loader) = loader {
        check_loader(loader, &mut report);
    }
    if let (Some(data), Some(loader)) = (&data, loader) {
        check_classes(data, loader, &mut report);
        if let Shuffle::Windowed(Windowed::Window(Window::Volumes(n))) = loader.shuffle
            && !data.source.is_volumes()
        {
            let message = format!("`window: {n}` counts volumes, and the samples are images");
            let help = "say how many neighbours make a block, as in `{ window: { block: 100, blocks: 8 } }`";
            report.add("loader.shuffle.window", message, Some(help));
        }
    }
    #[cfg(feature = "pairs")]
    if let Some(data) = &data {
        check_pairs(data, loader.as_ref(), model.as_ref(), &mut report);
    }
    if let Some(training) = training {
        check_training(training, &mut report);
        if let Some(data) = &data
            && training.early_stopping.is_some()
            && data.split.is_none()
            && !data.source.has_validation()
        {
            let help = "hold some samples out, as in `data.split: { validation: 0.1 }`, or leave it out";
            report.add("training.early_stopping", "there is nothing to validate on", Some(help));
        }
    }
    if let (Some(model), Some(data)) = (model, &data)
        && data.dtype == ImageType::U8
    {
        let name = match model {
            Model::Vae(_) => "vae",
            Model::Siamese(_) => "siamese",
        };
        let help = "leave `dtype` out: a network computes with floats";
        report.add("data.dtype", format!("a `{name}` cannot be trained on `u8` images"), Some(help));
    }
    if let Some(Model::Siamese(siamese)) = model {
        check_siamese(siamese, &mut report);
    }
    if let (Some(Model::Vae(vae)), Some(data)) = (model, &data)
        && vae.likelihood == Likelihood::Bernoulli
        && data.dtype == ImageType::F32
    {
        check_probabilities(data, &mut report);
    }
    if model.is_some() != training.is_some() && tree.get("model").is_some() != tree.get("training").is_some()
    {
        let (given, missing) = if model.is_some() { ("model", "training") } else { ("training", "model") };
        let message = format!("there is `{given}` and no `{missing}`; a run that trains needs both");
        report.add(given, message, None);
    }
}

struct Report<'a, 'b> {
    tree: &'a Node,
    check: &'a mut Check<'b>,
}

impl Report<'_, '_> {
    fn add(&mut self, path: &str, message: impl Into<String>, help: Option<&str>) {
        let steps: Vec<&str> = path.split(['.', '[', ']']).filter(|step| !step.is_empty()).collect();
        self.check.add(self.tree.place_of(&steps), path, message, help.map(str::to_owned));
    }
}

fn check_data(data: &Data, report: &mut Report<'_, '_>) {
    let Data {
        root: _,
        origin: _,
        source,
        split,
        scale,
        normalize,
        dtype,
        one_hot,
        augment,
        align,
        quarter_turns,
        unseen_classes,
        // See `check_pairs`.
        #[cfg(feature = "pairs")]
            pairing: _,
    } = data;
    #[cfg(not(feature = "nifti"))]
    let _ = (align, unseen_classes);
    if split.is_some() && source.has_validation() {
        let message =
            format!("there is a validation set of its own already, `data.{}.validation`", source.key());
        report.add("data.split", message, Some("keep one of them"));
    }
    if let Some(split) = split {
        if split.by == SplitBy::Group && !source.has_groups() {
            let help = "the key `group` of a `csv`, or of the `table` of a `folder`, names their column";
            report.add("data.split.by", "the samples of this source belong to no groups", Some(help));
        }
        if split.by == SplitBy::Subject && !source.is_volumes() {
            let message = "only volumes have subjects; here every sample stands for itself";
            report.add("data.split.by", message, Some("leave it out, or write `sample`"));
        }
        if split.by == SplitBy::Class && !source.has_labels() {
            report.add("data.split.by", "the samples of this source have no classes", None);
        }
        if split.by == SplitBy::Class && source.is_volumes() {
            let message = "only classes of images can be held out";
            report.add("data.split.by", message, Some("volumes are split by `subject` or `group`"));
        }
        if let Held::Fold(Fold { fold, of }) = split.validation
            && of <= fold
        {
            let message = format!("fold {fold} of {of} does not exist; folds are numbered from 0");
            report.add("data.split.validation.fold", message, None);
        }
        let held = match split.by {
            SplitBy::Group => Some(("groups", "group")),
            SplitBy::Class => Some(("classes", "class")),
            SplitBy::Sample | SplitBy::Subject => None,
        };
        if let (Some((names, by)), Held::Listed(_)) = (held, &split.validation) {
            let message = format!("a list names samples, not {names}; `by: {by}` goes with a fraction");
            report.add("data.split.by", message, None);
        }
    }
    #[cfg(feature = "nifti")]
    if let Source::Nifti(nifti) = source {
        let below = "give it inside of `data.nifti`";
        let given = [
            ("data.scale", *scale != Scale::default(), "volumes keep their values until they are normalized"),
            ("data.normalize", *normalize != Normalize::default(), below),
            ("data.augment", augment.is_some(), below),
            ("data.dtype", *dtype != ImageType::default(), "patches are `f32`"),
            ("data.one_hot", *one_hot, "labels of volumes are written as numbers"),
            ("data.align", align.is_some(), "only images are aligned"),
            ("data.quarter_turns", *quarter_turns != QuarterTurns::None, "only images are turned"),
            ("data.unseen_classes", *unseen_classes, "classes of volumes are not compared"),
        ];
        for (key, _, help) in given.into_iter().filter(|(_, given, _)| *given) {
            report.add(key, "this key is for images, and the samples are patches of volumes", Some(help));
        }
        for (key, message) in nifti.mistakes() {
            report.add(&key, message, None);
        }
    }
    if *one_hot && !source.has_labels() {
        report.add(
            "data.one_hot",
            "there are no labels to write as one-hot",
            Some("name the labels of the set"),
        );
    }
    if *one_hot && data.has_unseen_classes() {
        let help = "leave `one_hot` out: a model that compares needs none";
        report.add("data.one_hot", "classes that training does not have are not among its own", Some(help));
    }
    if *quarter_turns != QuarterTurns::None && !source.has_labels() {
        report.add("data.quarter_turns", "there are no classes that turned images could add to", None);
    }
    if *dtype == ImageType::U8 {
        if *normalize != Normalize::None {
            report.add("data.normalize", "bytes cannot be normalized; that needs `dtype: f32`", None);
        }
        if matches!(scale, Scale::Divide(_)) {
            report.add("data.scale", "bytes cannot be scaled; that needs `dtype: f32`", None);
        }
    }
    if let Normalize::MeanStd(given) = normalize {
        match (&given.mean, &given.std) {
            (Some(mean), Some(std)) => {
                if mean.len() != std.len() {
                    let message =
                        format!("there are {} means and {} standard deviations", mean.len(), std.len());
                    report.add("data.normalize.mean_std", message, Some("give one of each for each channel"));
                }
                for (i, std) in std.iter().enumerate() {
                    if *std <= 0.0 {
                        let path = format!("data.normalize.mean_std.std[{i}]");
                        report.add(&path, format!("must be greater than 0, found `{std}`"), None);
                    }
                }
            }
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => {
                let help = "without both, they are taken of the training samples";
                report.add("data.normalize.mean_std", "give both `mean` and `std`, or neither", Some(help));
            }
        }
    }
    for (key, [low, high]) in augment.iter().flat_map(Augment::ranges) {
        if high < low {
            let message = format!("the lowest, `{low}`, is above the highest, `{high}`");
            report.add(&format!("data.augment.{key}"), message, None);
        }
    }
    if let Some(shear) = augment.as_ref().and_then(|augment| augment.shear)
        && shear.degrees.iter().any(|degrees| 80.0 < degrees.abs())
    {
        report.add("data.augment.shear.degrees", "an image cannot be sheared by more than 80 degrees", None);
    }
}

/// Pixels under a Bernoulli likelihood are probabilities.
fn check_probabilities(data: &Data, report: &mut Report<'_, '_>) {
    let help =
        "use `model.vae.likelihood: { gaussian: { sigma: learned } }`, or leave `normalize` and `scale` out";
    if let Normalize::MeanStd(_) = data.normalize {
        let message = "normalized pixels do not lie in 0 to 1, which `likelihood: bernoulli` needs";
        return report.add("data.normalize", message, Some(help));
    }
    // Of the other sources the files alone tell how bright the brightest pixel is.
    let bytes = matches!(data.source, Source::Folder(_) | Source::Glyphs(_));
    let too_bright = match data.scale {
        Scale::FullRange => false,
        Scale::None => true,
        Scale::Divide(divisor) => divisor < 255.0,
    };
    if bytes && too_bright {
        let message =
            "pixels up to 255 scaled in this way do not lie in 0 to 1, which `likelihood: bernoulli` needs";
        report.add("data.scale", message, Some(help));
    }
}

fn check_loader(loader: &Loader, report: &mut Report<'_, '_>) {
    if loader.sampler.is_some() && loader.shuffle != Shuffle::Whole(true) {
        let message = "a `sampler` draws in an order of its own";
        report.add("loader.shuffle", message, Some("leave out `shuffle` or `sampler`"));
    }
    if loader.timeout.is_some() && loader.workers == 0 {
        let message = "with `workers: 0` batches are read in the training thread, which nobody can interrupt";
        report.add("loader.timeout", message, Some("leave `timeout` out, or set `workers` to at least 1"));
    }
    let ranks = &loader.ranks;
    if ranks.world <= ranks.index {
        let message =
            format!("rank {} of {} does not exist; ranks are numbered from 0", ranks.index, ranks.world);
        report.add("loader.ranks.index", message, None);
    }
    let batch_size = loader.batch_size.get();
    if ranks.world != 0 && !batch_size.is_multiple_of(ranks.world) {
        let message = format!("a batch of {batch_size} cannot be shared equally by {} ranks", ranks.world);
        report.add("loader.batch_size", message, Some("it is the batch of all ranks together"));
    }
    let weights = match (&loader.sampler, &loader.class_weight) {
        (Some(Sampler::Weighted(weighted)), _) => {
            Some(("loader.sampler.weighted.classes", &weighted.classes))
        }
        (_, Some(ClassWeight::Given(classes))) => Some(("loader.class_weight", classes)),
        _ => None,
    };
    if let Some((path, classes)) = weights
        && !classes.values().any(|weight| 0.0 < weight.0)
    {
        report.add(path, "at least one class needs a weight greater than 0", None);
    }
}

/// What draws or weighs by class needs labels.
fn check_classes(data: &Data, loader: &Loader, report: &mut Report<'_, '_>) {
    if data.source.has_labels() {
        return;
    }
    if loader.sampler.is_some() {
        report.add("loader.sampler", "the training samples have no labels to draw by", None);
    }
    if loader.class_weight.is_some() {
        report.add("loader.class_weight", "the training samples have no labels to weigh by", None);
    }
}

fn check_siamese(siamese: &Siamese, report: &mut Report<'_, '_>) {
    let loss = siamese.loss;
    if siamese.memory.is_some() && !loss.takes_memory() {
        let message =
            format!("`{}` compares the samples of one batch; it has no use for a memory", loss.name());
        report.add("model.siamese.memory", message, Some("leave it out"));
    }
    if let MetricLoss::Triplet { margin: Margin::Soft(_), mining: Mining::All, .. } = loss {
        let message = "all triplets of a batch are counted by their margin, and `soft` is none";
        let help = "give `margin` a number, or mine `hard` or `semi_hard`";
        report.add("model.siamese.loss.triplet.mining", message, Some(help));
    }
    if let MetricLoss::Triplet { mining: Mining::Scheduled { from, to, .. }, .. } = loss
        && to < from
    {
        let message = format!("mining would go from hard ({from}) to easy ({to})");
        report.add("model.siamese.loss.triplet.mining.scheduled.to", message, Some("begin easy, at 0"));
    }
}

/// What pairs need, and what goes without them.
#[cfg(feature = "pairs")]
fn check_pairs(data: &Data, loader: Option<&Loader>, model: Option<&Model>, report: &mut Report<'_, '_>) {
    if let Some(loader) = loader
        && let Some(Sampler::ClassBatches(options)) = &loader.sampler
    {
        let (classes, samples) = (options.classes, options.samples);
        let (wants, has) = (classes.saturating_mul(samples), loader.batch_size.get());
        if wants != has {
            let message =
                format!("{classes} classes of {samples} samples are a batch of {wants}, found {has}");
            report.add("loader.batch_size", message, Some("make it the product of the two"));
        }
        if let Some(pairing) = &data.pairing {
            let message = format!("`data.{}` has batches of its own", pairing.key());
            report.add("loader.sampler.class_batches", message, Some("keep one of them"));
        }
    }
    if let Some(Model::Siamese(siamese)) = model {
        check_batches_of_loss(data, siamese, report);
        if data.pairing.is_none() && loader.is_some_and(|loader| loader.class_weight.is_some()) {
            let message = format!(
                "`{}` compares the samples of a batch with each other, so that it cannot weigh them",
                siamese.loss.name()
            );
            let help = "leave it out; `sampler: { class_batches: … }` has all classes equally often";
            report.add("loader.class_weight", message, Some(help));
        }
    }
    let Some(pairing) = &data.pairing else { return };
    let key = format!("data.{}", pairing.key());
    if pairing.places().is_some() && !data.source.is_volumes() {
        let message = "only patches of volumes lie at places; images are taken whole";
        report.add(&format!("{key}.places"), message, None);
    }
    if let Some(mining) = pairing.mining() {
        if pairing.list().is_some() {
            let message = "the list says who stands together, so there is nothing to mine";
            report.add(&format!("{key}.mining"), message, Some("leave out `list` or `mining`"));
        }
        if !matches!(model, Some(Model::Siamese(_))) {
            let message =
                "partners are mined from the embeddings of a network: that needs `model: { siamese: … }`";
            report.add(&format!("{key}.mining"), message, None);
        }
        if let Err(error) = mining.check(&format!("{key}.mining")) {
            report.add(&format!("{key}.mining"), error.to_string(), None);
        }
    }
    if matches!(model, Some(Model::Vae(_))) {
        let message =
            format!("a `vae` is trained on samples one by one, and `data.{}` makes tuples", pairing.key());
        report.add(&key, message, Some("leave it out, or train a `siamese` network"));
    }
    if let Some(loader) = loader
        && let Shuffle::Windowed(Windowed::Window(Window::Volumes(_))) = loader.shuffle
    {
        let message = "partners come from any volume, so a window of volumes does not keep them together";
        let help = "leave it out; the cache should hold all volumes";
        report.add("loader.shuffle.window", message, Some(help));
    }
}

/// A loss takes pairs, triplets or images with labels.
#[cfg(feature = "pairs")]
fn check_batches_of_loss(data: &Data, siamese: &Siamese, report: &mut Report<'_, '_>) {
    let loss = siamese.loss;
    let (pairs, triplets, labelled) = match loss {
        MetricLoss::Contrastive { .. } => (true, false, true),
        MetricLoss::Triplet { .. } => (false, true, true),
        MetricLoss::Similarity | MetricLoss::NtXent { .. } => (true, false, false),
        MetricLoss::SupervisedContrastive { .. }
        | MetricLoss::MultiSimilarity { .. }
        | MetricLoss::Prototypical { .. } => (false, false, true),
    };
    let (fits, has) = match &data.pairing {
        Some(crate::pairing::Pairing::Pairs(_)) => (pairs, "pairs"),
        Some(crate::pairing::Pairing::Triplets(_)) => (triplets, "triplets"),
        None => (labelled, "samples one by one"),
    };
    if fits {
        if data.pairing.is_none() && !data.source.has_labels() {
            let message = format!("`{}` compares classes, and the samples have no labels", loss.name());
            let help = "name the labels of the set, or compare two views of a sample: `data.pairs` and the loss `nt_xent`";
            report.add("model.siamese.loss", message, Some(help));
        }
        if let (MetricLoss::NtXent { .. }, Some(crate::pairing::Pairing::Pairs(pairs))) =
            (loss, &data.pairing)
            && pairs.positives != 1.0
        {
            let message = format!(
                "`nt_xent` takes the two of every pair for the same, and of these pairs {} % are",
                (pairs.positives * 1000.0).round() / 10.0
            );
            report.add("data.pairs.positives", message, Some("write `positives: 1`"));
        }
        return;
    }
    let mut takes = Vec::new();
    takes.extend(pairs.then_some("pairs (`data.pairs`)"));
    takes.extend(triplets.then_some("triplets (`data.triplets`)"));
    takes.extend(
        labelled
            .then_some("samples with labels, best in batches of classes (`loader.sampler.class_batches`)"),
    );
    let message = format!("`{}` takes {}; the batches are {has}", loss.name(), takes.join(" or "));
    report.add("model.siamese.loss", message, None);
}

fn check_training(training: &Training, report: &mut Report<'_, '_>) {
    if let Optimizer::Sgd(sgd) = training.optimizer
        && sgd.nesterov
        && sgd.momentum == 0.0
    {
        let message = "Nesterov's method needs a momentum greater than 0";
        report.add("training.optimizer.sgd.nesterov", message, Some("as in `momentum: 0.9`"));
    }
}
