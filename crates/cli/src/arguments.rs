//! What can be typed.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Trains, evaluates, previews, benchmarks and verifies from one YAML file.
#[derive(Debug, Parser)]
#[command(name = "batchwright", version, about, long_about = None)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a network; into the folder `logging.dir`/`name`
    Train(Train),
    /// Metrics of a run's checkpoint on a set
    Eval(Eval),
    /// A picture of what the network will see
    Preview(Preview),
    /// One batch as NPY files, with every drawn parameter as JSON
    Batch(Batch),
    /// The loader alone: samples a second, time per stage, what limits it
    Bench(Bench),
    /// Proof that every sample comes exactly once, over ranks, by running the plan
    Verify(Verify),
    /// What one NIfTI file is: header, statistics, three planes as PNG
    Inspect(Inspect),
    /// A generated data set of volumes with labels, without a download
    Phantom(Phantom),
    /// Decoded volumes in the directory of a cache
    Cache(Cache),
    /// The volumes of a data set, looked through before training: geometry, labels, NaN, missing files, outliers
    Check(Check),
    /// The JSON Schema of configuration files
    Schema,
}

/// A configuration and what is changed in it.
#[derive(Debug, Args)]
pub(crate) struct Configuration {
    /// The YAML file of the run
    pub(crate) config: PathBuf,
    /// Change a key, as in `--set loader.workers=8`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) settings: Vec<String>,
    /// The folder that data are looked for in, instead of `data.root` [env: `BATCHWRIGHT_DATA`]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Train {
    #[command(flatten)]
    pub(crate) configuration: Configuration,
    /// Go on with the run where it was saved last; `--resume=RUN` names its folder, if it is not `logging.dir`/`name`
    #[arg(long, value_name = "RUN", num_args = 0..=1, require_equals = true)]
    #[expect(clippy::option_option, reason = "clap's way to say: absent, bare, or with a value")]
    pub(crate) resume: Option<Option<PathBuf>>,
    /// Show no progress
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Set {
    /// What is trained on, as training sees it: shuffled and augmented
    Train,
    /// What is validated on
    Validation,
    /// What is tested on
    Test,
}

/// What a network is evaluated on: every sample once, as it is.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Held {
    /// What is validated on
    Validation,
    /// What is tested on
    Test,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    /// The one with the lowest validation loss; the latest where none was validated
    Best,
    /// The latest
    Latest,
}

#[derive(Debug, Args)]
pub(crate) struct Eval {
    #[command(flatten)]
    pub(crate) configuration: Configuration,
    /// The set to evaluate; by default the test set, or the validation set where there is none
    #[arg(long, value_name = "SET")]
    pub(crate) split: Option<Held>,
    /// The folder of the run; by default `logging.dir`/`name`
    #[arg(long, value_name = "DIR")]
    pub(crate) run: Option<PathBuf>,
    /// Which checkpoint
    #[arg(long, default_value = "best")]
    pub(crate) checkpoint: Which,
    /// Neighbours that vote for the class of a sample; by default 5 (embeddings)
    #[arg(long, value_name = "K")]
    pub(crate) neighbours: Option<NonZeroUsize>,
    /// Run episodes in which each sample is told among so many classes (embeddings)
    #[arg(long, value_name = "N")]
    pub(crate) ways: Option<usize>,
    /// Samples that stand for a class in an episode
    #[arg(long, default_value_t = 1, value_name = "K", requires = "ways")]
    pub(crate) shots: usize,
    /// How many episodes
    #[arg(long, default_value_t = 400, value_name = "N", requires = "ways")]
    pub(crate) episodes: usize,
    /// Take the classes of an episode from one group: samples that have this fact in common, as in `group`
    #[arg(long, value_name = "FACT", requires = "ways")]
    pub(crate) within: Option<String>,
    /// Embed each sample as the mean of so many views of it: as it is, and varied as training samples are (embeddings)
    #[arg(long, default_value = "1", value_name = "N")]
    pub(crate) views: NonZeroUsize,
    /// Runs of one-shot classification in files, with a `class_labels.txt` each: their folder or zip archive (embeddings)
    #[arg(long, value_name = "DIR")]
    pub(crate) one_shot: Option<PathBuf>,
    /// Write embeddings (NPY, and TSV for TensorBoard's projector), their two main directions and the hardest pairs into this
    /// folder (embeddings)
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Print the figures as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl Eval {
    /// Returns an option that was given and is for embeddings.
    #[cfg(feature = "train")]
    pub(crate) fn of_embeddings(&self) -> Option<&'static str> {
        let others = [
            (1 < self.views.get(), "--views"),
            (self.one_shot.is_some(), "--one-shot"),
            (self.out.is_some(), "--out"),
        ];
        let other = || others.into_iter().find_map(|(given, option)| given.then_some(option));
        self.of_classes().or_else(other)
    }

    /// Returns an option that was given and is for embeddings of samples with classes. Those of episodes need `--ways`.
    #[cfg(feature = "train")]
    pub(crate) fn of_classes(&self) -> Option<&'static str> {
        if self.ways.is_some() { Some("--ways") } else { self.neighbours.map(|_| "--neighbours") }
    }
}

/// A checkpoint of a run, for batches that depend on what the run has learned.
#[derive(Debug, Args)]
pub(crate) struct Learned {
    /// Where partners are mined: the run whose latest checkpoint has them, or the folder of one of its checkpoints
    #[arg(long, value_name = "CHECKPOINT")]
    pub(crate) checkpoint: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Preview {
    #[command(flatten)]
    pub(crate) configuration: Configuration,
    /// The set to show
    #[arg(long, default_value = "train", value_name = "SET")]
    pub(crate) split: Set,
    /// The epoch
    #[arg(long, default_value_t = 0)]
    pub(crate) epoch: u64,
    /// How many samples, from the first batch on; by default 64 images or 8 patches
    #[arg(long)]
    pub(crate) count: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(crate) learned: Learned,
    /// The picture
    #[arg(long, default_value = "preview.png", value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Batch {
    #[command(flatten)]
    pub(crate) configuration: Configuration,
    /// The set to take it from
    #[arg(long, default_value = "train", value_name = "SET")]
    pub(crate) split: Set,
    /// The epoch, from 0
    #[arg(long)]
    pub(crate) epoch: u64,
    /// The batch within the epoch, from 0
    #[arg(long)]
    pub(crate) index: usize,
    /// The folder to write into
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) learned: Learned,
    /// Make the samples of a `batch.json` again, of what was drawn for them, instead of drawing (patches of volumes)
    #[arg(long, value_name = "FILE")]
    pub(crate) replay: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(flatten)]
    pub(crate) configuration: Configuration,
    /// Seconds that are timed
    #[arg(long, default_value_t = 5.0)]
    pub(crate) seconds: f64,
    /// Seconds that are run before, after the first batch
    #[arg(long, default_value_t = 1.0)]
    pub(crate) warm: f64,
    /// Time the first epoch as well, before the warm-up: for data that are decoded once, into a cache
    #[arg(long)]
    pub(crate) first_epoch: bool,
    /// Print one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) configuration: Configuration,
    /// How many epochs
    #[arg(long, default_value_t = 2)]
    pub(crate) epochs: u64,
    /// The first epoch
    #[arg(long, default_value_t = 0, value_name = "EPOCH")]
    pub(crate) from: u64,
    #[command(flatten)]
    pub(crate) learned: Learned,
    /// How many ranks, instead of `loader.ranks.world`
    #[arg(long)]
    pub(crate) ranks: Option<NonZeroUsize>,
    /// Print the proofs as JSON, one a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) configuration: Configuration,
    /// Print the reports as one JSON object, by set
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct Inspect {
    /// A NIfTI file
    pub(crate) file: PathBuf,
    /// Print the facts as JSON: shape, type, affine, codes, orientation, scaling, statistics, SHA-256 of the voxels
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw three orthogonal planes into this file, with letters at the edges
    #[arg(long, value_name = "PNG")]
    pub(crate) out: Option<PathBuf>,
    /// A file of labels on the same grid, to be outlined in the picture
    #[arg(long, value_name = "FILE", requires = "out")]
    pub(crate) label: Option<PathBuf>,
    /// The planes of the picture, as a voxel; by default those with most labels, or the middle
    #[arg(long, value_name = "X,Y,Z", value_parser = three::<usize>, requires = "out")]
    pub(crate) at: Option<[usize; 3]>,
    /// The frame of the picture, from 0
    #[arg(long, default_value_t = 0, requires = "out")]
    pub(crate) frame: usize,
    /// Draw the patient's left on the left; by default it is on the right
    #[arg(long, requires = "out")]
    pub(crate) neurological: bool,
    /// Pixels of the longest side in the picture
    #[arg(long, default_value_t = 320, requires = "out", value_name = "PIXELS")]
    pub(crate) size: usize,
    /// Read the header only
    #[arg(long)]
    pub(crate) header: bool,
    /// Read files that break the format where there is no doubt about their voxels, with a warning
    #[arg(long)]
    pub(crate) lenient: bool,
}

/// Which part of a body is generated.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Body {
    /// A head in magnetic resonance: T1, T2, FLAIR
    Head,
    /// A trunk in computed tomography, then magnetic resonance
    Trunk,
}

#[derive(Debug, Args)]
pub(crate) struct Phantom {
    /// The folder to make: imagesTr, labelsTr and dataset.json
    pub(crate) folder: PathBuf,
    /// How many subjects
    #[arg(long, default_value_t = 16, value_name = "N")]
    pub(crate) subjects: usize,
    /// Voxels along x, y and z
    #[arg(long, default_value = "64,64,64", value_name = "X,Y,Z", value_parser = three::<usize>)]
    pub(crate) shape: [usize; 3],
    /// How many contrasts each has; more than one make images of four dimensions
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) channels: usize,
    /// How many kinds of organs are labelled
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub(crate) classes: usize,
    /// What everything is drawn from
    #[arg(long, default_value_t = 42)]
    pub(crate) seed: u64,
    /// The number of the first subject, so that a second set has others
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) first: usize,
    /// What is imitated
    #[arg(long, default_value = "head")]
    pub(crate) body: Body,
    /// Millimetres between voxels; by default so that the body fits
    #[arg(long, value_name = "X,Y,Z", value_parser = three::<f64>)]
    pub(crate) spacing: Option<[f64; 3]>,
    /// The strength of the noise; 0 is none
    #[arg(long, default_value_t = 1.0)]
    pub(crate) noise: f32,
    /// All alike: upright in the orientation RAS, one spacing, 16 bits, little-endian, compressed; by default each varies
    #[arg(long)]
    pub(crate) uniform: bool,
    /// Compress all files, or none; by default it varies, or all are with --uniform
    #[arg(long, value_name = "BOOL")]
    pub(crate) compress: Option<bool>,
}

/// Reads three numbers with commas between.
fn three<T: std::str::FromStr>(text: &str) -> Result<[T; 3], String> {
    let numbers: Option<Vec<T>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
    let numbers = numbers.and_then(|numbers| <[T; 3]>::try_from(numbers).ok());
    numbers.ok_or_else(|| "three numbers are expected, with commas between: 64,64,48".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct Cache {
    #[command(subcommand)]
    pub(crate) command: CacheCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// What is there, the longest unused first, and who uses it
    Stat(CacheDirectory),
    /// Remove what no process uses
    Clear(CacheDirectory),
}

#[derive(Debug, Args)]
pub(crate) struct CacheDirectory {
    /// The directory of the cache
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Print it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn resume_takes_a_run_only_behind_an_equals_sign() {
        let parsed = Arguments::try_parse_from(["batchwright", "train", "--resume", "a.yaml"]).unwrap();
        let Command::Train(train) = parsed.command else { panic!("another command") };
        assert_eq!((train.resume, train.configuration.config), (Some(None), PathBuf::from("a.yaml")));
        let parsed =
            Arguments::try_parse_from(["batchwright", "train", "--resume=runs/x", "a.yaml"]).unwrap();
        let Command::Train(train) = parsed.command else { panic!("another command") };
        assert_eq!(train.resume, Some(Some(PathBuf::from("runs/x"))));
    }

    #[test]
    fn lists_of_three_are_three_numbers() {
        assert_eq!(three::<usize>("64, 48,3"), Ok([64, 48, 3]));
        for wrong in ["64", "1,2", "1,2,3,4", "1,2,x", "1,2,-3", ""] {
            assert!(three::<usize>(wrong).is_err(), "{wrong}");
        }
    }
}
