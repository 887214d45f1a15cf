//! Sources of a configuration, turned into images.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use batchwright_images::{self as images, ImageSource};

use crate::data::{Augment, Data, ImageType, Scale};
use crate::open_error::OpenError;
use crate::sources::{
    Bits, ChannelAxis, Channels, Column, Csv, Fit, Folder, Glyphs, IdxFiles, LabelKind, Npz, NpzArrays,
    PixelType, Source,
};

/// Images of any source.
pub(crate) type AnyImages = Arc<dyn ImageSource>;

/// One of the sets of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Set {
    Training,
    Validation,
    Test,
}

impl Set {
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Training => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// Reads the sets of a source below a folder.
pub(crate) struct Reader<'a> {
    pub(crate) data: &'a Data,
    pub(crate) root: &'a Path,
}

impl Reader<'_> {
    /// Reads a set, if the configuration has it. `size` is that of the training images, once they are known.
    pub(crate) fn read(&self, set: Set, size: Option<[usize; 2]>) -> Result<Option<AnyImages>, OpenError> {
        let key = format!("data.{}.{}", self.data.source.key(), set.key());
        let refused = |source| OpenError::Images { key: key.clone(), source: Box::new(source) };
        match &self.data.source {
            Source::Idx(idx) => {
                let files = pick(set, Some(&idx.train), idx.validation.as_ref(), idx.test.as_ref());
                let Some(IdxFiles { images, labels }) = files else { return Ok(None) };
                let images = self.find(&format!("{key}.images"), images)?;
                let labels = match labels {
                    Some(labels) => Some(self.find(&format!("{key}.labels"), labels)?),
                    None => None,
                };
                Ok(Some(Arc::new(images::read_idx(&images, labels.as_deref()).map_err(refused)?)))
            }
            Source::Csv(csv) => {
                let file = pick(set, Some(&csv.train), csv.validation.as_ref(), csv.test.as_ref());
                let Some(file) = file else { return Ok(None) };
                let path = self.find(&key, file)?;
                Ok(Some(Arc::new(images::read_csv(&path, &csv_options(csv)).map_err(refused)?)))
            }
            Source::Npz(npz) => {
                let arrays = pick(set, Some(&npz.train), npz.validation.as_ref(), npz.test.as_ref());
                let Some(arrays) = arrays else { return Ok(None) };
                Ok(Some(Arc::new(self.arrays(npz, arrays, &key)?)))
            }
            Source::Folder(folder) => {
                let path = pick(set, Some(&folder.train), folder.validation.as_ref(), folder.test.as_ref());
                let Some(path) = path else { return Ok(None) };
                Ok(Some(Arc::new(self.folder(folder, path, size, &key)?)))
            }
            Source::Glyphs(glyphs) => {
                let Glyphs { classes, drawings, test_drawings, test_classes, alphabets, size, seed } =
                    *glyphs;
                let all = images::Glyphs {
                    seed,
                    classes,
                    drawings,
                    first_drawing: 0,
                    first_class: 0,
                    alphabets,
                    size,
                };
                // Those of the test set come after the others, and so are other drawings.
                let glyphs = match set {
                    Set::Training => all,
                    Set::Test if 0 < test_drawings => {
                        let test = images::Glyphs { first_drawing: drawings, drawings: test_drawings, ..all };
                        match test_classes {
                            0 => test,
                            others => images::Glyphs { first_class: classes, classes: others, ..test },
                        }
                    }
                    Set::Validation | Set::Test => return Ok(None),
                };
                Ok(Some(Arc::new(glyphs.images().map_err(refused)?)))
            }
            // Opened elsewhere: volumes are no images.
            #[cfg(feature = "nifti")]
            Source::Nifti(_) => Ok(None),
        }
    }

    /// Returns the path of a file or folder that must be there.
    pub(crate) fn find(&self, key: &str, path: &Path) -> Result<PathBuf, OpenError> {
        let whole = self.root.join(path);
        if whole.exists() {
            return Ok(whole);
        }
        let hint = if path.is_absolute() {
            format!("`{key}` to where it lies")
        } else {
            let lies = format!("the folder that `{}` lies in", path.display());
            format!(
                "--data DIR, BATCHWRIGHT_DATA or `data.root` to {lies}; now it is `{}`",
                self.root.display()
            )
        };
        Err(OpenError::Missing { key: key.to_owned(), path: whole, origin: self.data.origin.clone(), hint })
    }

    fn arrays(&self, npz: &Npz, arrays: &NpzArrays, key: &str) -> Result<images::Images, OpenError> {
        let NpzArrays { images, labels } = arrays;
        let channels = channel_axis(npz.channels);
        let read = if let Some(file) = &npz.file {
            let file = self.find("data.npz.file", file)?;
            images::read_npz(&file, images, labels.as_deref(), channels)
        } else {
            let images = self.find(&format!("{key}.images"), Path::new(images))?;
            let labels = match labels {
                Some(labels) => Some(self.find(&format!("{key}.labels"), Path::new(labels))?),
                None => None,
            };
            images::read_npy(&images, labels.as_deref(), channels)
        };
        read.map_err(|source| OpenError::Images { key: key.to_owned(), source: Box::new(source) })
    }

    fn folder(
        &self,
        folder: &Folder,
        path: &Path,
        size: Option<[usize; 2]>,
        key: &str,
    ) -> Result<images::Folder, OpenError> {
        let refused = |source| OpenError::Images { key: key.to_owned(), source: Box::new(source) };
        let root = self.find(key, path)?;
        let options = folder_options(folder, folder.size.or(size));
        let Some(table) = &folder.table else {
            return images::Folder::open(&root, options).map_err(refused);
        };
        let columns = images::PathTable {
            path: column(&table.path),
            label: table.label.as_ref().map(column),
            labels: label_kind(table.labels),
            group: table.group.as_ref().map(column),
            facts: table.facts.clone(),
        };
        let file = self.find("data.folder.table.file", &path.join(&table.file))?;
        images::Folder::from_csv(&root, &file, &columns, options).map_err(refused)
    }
}

/// Returns how the pictures of `data.folder` are read; `size` is height and width.
pub fn folder_options(folder: &Folder, size: Option<[usize; 2]>) -> images::FolderOptions {
    images::FolderOptions {
        color: match folder.channels {
            Channels::Grey => images::Color::Gray,
            Channels::Colour => images::Color::Rgb,
        },
        depth: match folder.bits {
            Bits::Eight => images::Depth::Eight,
            Bits::Sixteen => images::Depth::Sixteen,
        },
        size,
        fit: match folder.fit {
            Fit::Exact => images::Fit::Exact,
            Fit::Resize => images::Fit::Resize,
            Fit::Area => images::Fit::Area,
        },
        invert: folder.invert,
        in_memory: folder.in_memory,
    }
}

fn pick<'a, T>(
    set: Set,
    training: Option<&'a T>,
    validation: Option<&'a T>,
    test: Option<&'a T>,
) -> Option<&'a T> {
    match set {
        Set::Training => training,
        Set::Validation => validation,
        Set::Test => test,
    }
}

fn csv_options(csv: &Csv) -> images::CsvOptions {
    let Csv { shape, channels, pixels, header, label, labels, id, group, facts, .. } = csv;
    images::CsvOptions {
        header: *header,
        label: label.as_ref().map(column),
        labels: label_kind(*labels),
        channels: channel_axis(*channels),
        pixel_type: match pixels {
            PixelType::U8 => images::PixelType::U8,
            PixelType::F32 => images::PixelType::F32,
        },
        id: id.as_ref().map(column),
        group: group.as_ref().map(column),
        facts: facts.clone(),
        ..images::CsvOptions::new(*shape)
    }
}

fn column(column: &Column) -> images::Column {
    match column {
        Column::Position(position) => images::Column::Position(*position),
        Column::Name(name) => images::Column::Name(name.clone()),
    }
}

fn label_kind(kind: LabelKind) -> images::LabelKind {
    match kind {
        LabelKind::Numbers => images::LabelKind::Number,
        LabelKind::Names => images::LabelKind::Name,
    }
}

fn channel_axis(axis: ChannelAxis) -> images::Channels {
    match axis {
        ChannelAxis::First => images::Channels::First,
        ChannelAxis::Last => images::Channels::Last,
        ChannelAxis::Depth => images::Channels::Depth,
    }
}

pub(crate) fn image_type(dtype: ImageType) -> images::ImageType {
    match dtype {
        ImageType::F32 => images::ImageType::F32,
        ImageType::U8 => images::ImageType::U8,
    }
}

pub(crate) fn scale(scale: Scale) -> images::Scale {
    match scale {
        Scale::FullRange => images::Scale::FullRange,
        Scale::None => images::Scale::None,
        Scale::Divide(divisor) => images::Scale::Divide(divisor),
    }
}

pub(crate) fn augment(augment: Augment) -> images::Augment {
    let Augment { flip, scale, shear, rotate, shift, elastic, noise, fill } = augment;
    images::Augment {
        flip: flip.map(|flip| images::Flip { x: flip.x, y: flip.y }),
        scale: scale.map(|scale| images::Zoom { factor: scale.factor, probability: scale.probability }),
        shear: shear.map(|shear| images::Shear { degrees: shear.degrees, probability: shear.probability }),
        rotate: rotate
            .map(|rotate| images::Rotate { degrees: rotate.degrees, probability: rotate.probability }),
        shift: shift.map(|shift| images::Shift { x: shift.x, y: shift.y, probability: shift.probability }),
        elastic: elastic.map(|elastic| images::Elastic {
            displacement: elastic.displacement,
            cells: elastic.cells,
            probability: elastic.probability,
        }),
        noise: noise.map(|noise| images::Noise {
            sigma: noise.sigma,
            clip: noise.clip,
            probability: noise.probability,
        }),
        fill,
    }
}
