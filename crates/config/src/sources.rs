//! The sources of `data:`: where images are read from.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(feature = "nifti")]
use crate::nifti::Nifti;

/// Where images are read from; the key of each stands in `data:`.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// IDX files.
    Idx(Idx),
    /// Tables.
    Csv(Csv),
    /// `NumPy` arrays.
    Npz(Npz),
    /// Folders of images.
    Folder(Folder),
    /// Generated characters.
    Glyphs(Glyphs),
    /// Volumes.
    #[cfg(feature = "nifti")]
    Nifti(Box<Nifti>),
}

impl Source {
    /// Returns the key of the source in `data:`.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Idx(_) => "idx",
            Self::Csv(_) => "csv",
            Self::Npz(_) => "npz",
            Self::Folder(_) => "folder",
            Self::Glyphs(_) => "glyphs",
            #[cfg(feature = "nifti")]
            Self::Nifti(_) => "nifti",
        }
    }

    /// Returns whether training samples have labels, as far as the configuration tells.
    pub(crate) fn has_labels(&self) -> bool {
        match self {
            Self::Idx(idx) => idx.train.labels.is_some(),
            Self::Csv(csv) => csv.label.is_some(),
            Self::Npz(npz) => npz.train.labels.is_some(),
            Self::Folder(folder) => folder.table.as_ref().is_none_or(|table| table.label.is_some()),
            Self::Glyphs(_) => true,
            // The files alone tell whether subjects have classes.
            #[cfg(feature = "nifti")]
            Self::Nifti(_) => true,
        }
    }

    /// Returns whether training samples have groups, as far as the configuration tells.
    pub(crate) fn has_groups(&self) -> bool {
        match self {
            Self::Csv(csv) => csv.group.is_some(),
            // Without a table, the folders alone tell whether class folders lie in others.
            Self::Folder(folder) => folder.table.as_ref().is_none_or(|table| table.group.is_some()),
            Self::Glyphs(glyphs) => 0 < glyphs.alphabets,
            Self::Idx(_) | Self::Npz(_) => false,
            #[cfg(feature = "nifti")]
            Self::Nifti(_) => true,
        }
    }

    /// Returns whether there is a validation set of its own.
    pub(crate) fn has_validation(&self) -> bool {
        match self {
            Self::Idx(idx) => idx.validation.is_some(),
            Self::Csv(csv) => csv.validation.is_some(),
            Self::Npz(npz) => npz.validation.is_some(),
            Self::Folder(folder) => folder.validation.is_some(),
            Self::Glyphs(_) => false,
            #[cfg(feature = "nifti")]
            Self::Nifti(nifti) => nifti.validation.is_some(),
        }
    }

    /// Returns whether its samples are patches of volumes.
    pub(crate) fn is_volumes(&self) -> bool {
        match self {
            Self::Idx(_) | Self::Csv(_) | Self::Npz(_) | Self::Folder(_) | Self::Glyphs(_) => false,
            #[cfg(feature = "nifti")]
            Self::Nifti(_) => true,
        }
    }
}

/// `data.idx:` IDX files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Idx {
    /// The training set.
    pub train: IdxFiles,
    /// The validation set, where it has files of its own; otherwise see `split`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<IdxFiles>,
    /// The test set; never part of a split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<IdxFiles>,
}

/// The files of one set in `data.idx`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdxFiles {
    /// The file of images.
    pub images: PathBuf,
    /// The file of labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<PathBuf>,
}

/// `data.csv:` tables with a row for each image, compressed with gzip or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Csv {
    /// The table of the training set.
    pub train: PathBuf,
    /// The table of the validation set, where it has one of its own; otherwise see `split`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<PathBuf>,
    /// The table of the test set; never part of a split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// Channels, height and width of an image, whose pixels are the columns that are nothing else, from left to right.
    #[schemars(inner(range(min = 1, max = 1_000_000)))]
    pub shape: [usize; 3],
    /// Where the channels of a pixel stand: `first` for [C, H, W], `last` for [H, W, C].
    #[serde(default)]
    pub channels: ChannelAxis,
    /// What pixels are: `u8` for bytes from 0 to 255, `f32` for any numbers.
    #[serde(default)]
    pub pixels: PixelType,
    /// Whether the first row names the columns.
    #[serde(default = "yes")]
    pub header: bool,
    /// The column of labels, by its name, or by its position from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Column>,
    /// How labels are written: as whole `numbers`, or as `names`, which are numbered in alphabetical order.
    #[serde(default)]
    pub labels: LabelKind,
    /// The column that names samples; by default the name of the file and the number of the row do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Column>,
    /// The column that says what a sample belongs to (a patient, a writer), for `split: { by: group }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Column>,
    /// Further columns, by their names in the first row: facts of the samples by which pairs can be chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<String>,
}

fn yes() -> bool {
    true
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Column {
    /// By its position, from 0.
    Position(#[schemars(range(max = 10_000_000))] usize),
    /// By its name in the first row.
    Name(String),
}

/// `data.csv.pixels:` what pixels are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PixelType {
    /// Bytes, 0 to 255.
    #[default]
    U8,
    /// Any numbers.
    F32,
}

/// `labels:` how classes are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LabelKind {
    /// As whole numbers.
    #[default]
    Numbers,
    /// As names; their alphabetical order numbers them from 0.
    Names,
}

/// `data.npz:` `NumPy` arrays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Npz {
    /// The `.npz` file that holds the arrays named below. Without it, they are `.npy` files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Where the channels stand in arrays of four axes: `first` for [N, C, H, W], `last` for [N, H, W, C]; `depth` for volumes of
    /// one channel, [N, D, H, W], of which samples are [1, z, y, x] and are not augmented.
    #[serde(default)]
    pub channels: ChannelAxis,
    /// The training set.
    pub train: NpzArrays,
    /// The validation set, where it has arrays of its own; otherwise see `split`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<NpzArrays>,
    /// The test set; never part of a split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<NpzArrays>,
}

/// The arrays of one set in `data.npz`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NpzArrays {
    /// The array of images, of three axes [N, H, W] or four.
    pub images: String,
    /// The array of labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
}

/// `data.npz.channels:` where the channels stand in arrays of four axes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChannelAxis {
    /// [N, C, H, W].
    #[default]
    First,
    /// [N, H, W, C].
    Last,
    /// [N, D, H, W], volumes of one channel.
    Depth,
}

/// `data.folder:` PNG and JPEG files in folders or zip archives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Folder {
    /// The folder of the training set, or a `.zip` archive of it: a folder for each class in it, unless there is a `table`.
    /// Where class folders lie in other folders (alphabet/character), those are the groups for `split: { by: group }`.
    pub train: PathBuf,
    /// The folder of the validation set, where it has one of its own; otherwise see `split`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<PathBuf>,
    /// The folder of the test set; never part of a split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// Height and width of an image; by default those of the first picture of the training set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(inner(range(min = 1, max = 16_384)))]
    pub size: Option<[usize; 2]>,
    /// What happens to a picture of another size: `exact` makes it an error of the data, `resize` scales it linearly, `area`
    /// takes the mean of what each pixel covers, which is sharper where pictures shrink.
    #[serde(default)]
    pub fit: Fit,
    /// 1 for grey, 3 for colours.
    #[serde(default)]
    pub channels: Channels,
    /// How many bits of a pixel are kept: 8 (bytes) or 16 (floats from 0 to 65535).
    #[serde(default)]
    pub bits: Bits,
    /// Whether dark and bright change places, after all else: black ink on white paper becomes bright on nothing.
    #[serde(default)]
    pub invert: bool,
    /// Whether all pictures are decoded once, when the set is opened, and kept in memory, at most 16 GiB of pixels. A
    /// picture that cannot be decoded then stops the run. By default they are decoded whenever they are asked for.
    #[serde(default)]
    pub in_memory: bool,
    /// A table in each set's folder that names its pictures and their labels, instead of class folders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<PathTable>,
}

/// `data.folder.table:` a table of pictures, with a header line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PathTable {
    /// The name of the table, in the folder of each set.
    pub file: PathBuf,
    /// The column of paths, which are relative to the folder.
    #[serde(default = "path")]
    pub path: Column,
    /// The column of labels, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Column>,
    /// How labels are written: as whole `numbers`, or as `names`, which are numbered in alphabetical order.
    #[serde(default)]
    pub labels: LabelKind,
    /// The column that says what a sample belongs to (a patient, a writer), for `split: { by: group }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Column>,
    /// Further columns, by their names in the first row: facts of the samples by which pairs can be chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<String>,
}

fn path() -> Column {
    Column::Name("path".to_owned())
}

/// `data.folder.fit:` what happens to a picture of another size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// It is an error of the data.
    #[default]
    Exact,
    /// It is scaled linearly; where it shrinks, over as many pixels as it shrinks by.
    Resize,
    /// It is scaled, each pixel the mean of the part of the picture that it covers.
    Area,
}

/// `data.folder.bits:` how many bits of a pixel are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Bits {
    /// Bytes.
    #[default]
    Eight,
    /// Floats from 0 to 65535.
    Sixteen,
}

impl TryFrom<u8> for Bits {
    type Error = &'static str;

    fn try_from(bits: u8) -> Result<Self, Self::Error> {
        match bits {
            8 => Ok(Self::Eight),
            16 => Ok(Self::Sixteen),
            _ => Err("expected 8 or 16"),
        }
    }
}

impl From<Bits> for u8 {
    fn from(bits: Bits) -> Self {
        match bits {
            Bits::Eight => 8,
            Bits::Sixteen => 16,
        }
    }
}

impl JsonSchema for Bits {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Bits".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "enum": [8, 16] })
    }
}

/// `data.folder.channels:` 1 for grey, 3 for colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Channels {
    /// One channel.
    #[default]
    Grey,
    /// Red, green and blue.
    Colour,
}

impl TryFrom<u8> for Channels {
    type Error = &'static str;

    fn try_from(channels: u8) -> Result<Self, Self::Error> {
        match channels {
            1 => Ok(Self::Grey),
            3 => Ok(Self::Colour),
            _ => Err("expected 1 (grey) or 3 (colours)"),
        }
    }
}

impl From<Channels> for u8 {
    fn from(channels: Channels) -> Self {
        match channels {
            Channels::Grey => 1,
            Channels::Colour => 3,
        }
    }
}

impl JsonSchema for Channels {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Channels".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "enum": [1, 3] })
    }
}

/// `data.glyphs:` generated characters that look handwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Glyphs {
    /// How many different characters.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub classes: usize,
    /// How many training drawings of each.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub drawings: usize,
    /// How many further drawings of each form the test set; 0 for no test set.
    #[schemars(range(max = 1_000_000))]
    pub test_drawings: usize,
    /// How many further characters, which training never sees, form the test set, with `test_drawings` of each; with 0,
    /// the default, it has the characters of training.
    #[schemars(range(max = 1_000_000))]
    pub test_classes: usize,
    /// Among how many alphabets the characters are dealt out in turn: their groups, as for `split: { by: group }`. With 0, the
    /// default, there are none.
    #[schemars(range(max = 1000))]
    pub alphabets: usize,
    /// Height and width of a drawing in pixels.
    #[schemars(range(min = 8, max = 1024))]
    pub size: usize,
    /// What the characters are drawn from; independent of the run's seed, so that runs can be compared.
    pub seed: u64,
}

impl Default for Glyphs {
    fn default() -> Self {
        Self {
            classes: 10,
            drawings: 1000,
            test_drawings: 100,
            test_classes: 0,
            alphabets: 0,
            size: 28,
            seed: 0,
        }
    }
}
