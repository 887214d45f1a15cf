//! The sources of `data:`: where images are read from.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// `data.csv:` tables with a header line and a row for each image.
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
    /// Channels, height and width of an image, whose pixels are the columns that are neither label nor group, in
    /// order.
    #[schemars(inner(range(min = 1, max = 1_000_000)))]
    pub shape: [usize; 3],
    /// The column of labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The column that says what a sample belongs to (a patient, a writer), for `split: { by: group }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// `data.npz:` `NumPy` arrays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Npz {
    /// The `.npz` file that holds the arrays named below. Without it, they are `.npy` files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Where the channels stand in arrays of four axes: `first` for [N, C, H, W], `last` for [N, H, W, C].
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
}

/// `data.folder:` PNG and JPEG files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Folder {
    /// The folder of the training set: a folder for each class in it, unless `labels` is given.
    pub train: PathBuf,
    /// The folder of the validation set, where it has one of its own; otherwise see `split`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<PathBuf>,
    /// The folder of the test set; never part of a split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// Height and width that every image is brought to.
    #[schemars(inner(range(min = 1, max = 16_384)))]
    pub size: [usize; 2],
    /// 1 for grey, 3 for colours.
    #[serde(default)]
    pub channels: Channels,
    /// A table in each set's folder, with the columns `path` and `label` (and `group`), instead of class folders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<PathBuf>,
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
    /// Height and width of a drawing in pixels.
    #[schemars(range(min = 8, max = 1024))]
    pub size: usize,
    /// What the characters are drawn from; independent of the run's seed, so that runs can be compared.
    pub seed: u64,
}

impl Default for Glyphs {
    fn default() -> Self {
        Self { classes: 10, drawings: 1000, test_drawings: 100, size: 28, seed: 0 }
    }
}
