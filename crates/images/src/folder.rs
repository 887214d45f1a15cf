//! Folders and archives of pictures, read when they are asked for or kept in memory.

use std::io::Cursor;
use std::panic::{UnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use batchwright_core::{Fingerprint, SampleError, bytes_of, prefer_huge_pages};
use image::imageops::FilterType;
use image::{DynamicImage, ImageReader, ImageResult};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::area;
use crate::convert;
use crate::csv_file::{Column, LabelKind, Table, classes, text};
use crate::error::{At, Error};
use crate::images::Pixels;
use crate::jpeg::{has_end, is_jpeg};
use crate::source::{ImageSource, LABEL_LIMIT, PixelType, PixelView, Scratch, check_facts, classes_of};
use crate::tree::{Entry, Tree, skip_top};

/// Pixels of one picture; more is taken for a hostile header.
const MOST_PIXELS: u64 = 1 << 28;

/// Bytes of the file of a picture, unless another limit is set.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Bytes of all decoded pictures of a set that is kept in memory.
const MOST_MEMORY: u64 = 16 << 30;

/// What pictures become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Color {
    /// One channel; colours are weighted as in Rec. 709.
    #[default]
    Gray,
    /// Red, green and blue. Transparency is dropped.
    Rgb,
}

/// How many bits of a picture are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Depth {
    /// Bytes; pictures of 16 bits are rounded to them.
    #[default]
    Eight,
    /// Floats from 0 to 65535; pictures of 8 bits are widened, so that white is white.
    Sixteen,
}

/// What happens to a picture of another size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// It is an error of the data.
    #[default]
    Exact,
    /// It is scaled linearly; where it shrinks, over as many pixels as it shrinks by (a triangle twice as wide as an output
    /// pixel, as Pillow's `BILINEAR`), so that thin lines are blurred and not lost.
    Resize,
    /// It is scaled, each pixel the mean of the part of the picture that it covers, exactly. Sharper than `Resize` where
    /// a picture shrinks; no good choice to enlarge one.
    Area,
}

/// How pictures are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FolderOptions {
    /// What they become; by default grey.
    pub color: Color,
    /// How many bits are kept; by default 8.
    pub depth: Depth,
    /// Height and width; by default those in the header of the first picture.
    pub size: Option<[usize; 2]>,
    /// What happens to a picture of another size; by default it is an error.
    pub fit: Fit,
    /// Whether dark and bright change places, after all else: black ink on white paper becomes bright on nothing. By
    /// default not.
    pub invert: bool,
    /// Whether all pictures are decoded when the set is opened, on all cores, and kept in memory, at most 16 GiB of pixels. A
    /// picture that cannot be decoded is then an error of opening. By default they are decoded whenever they are asked for.
    pub in_memory: bool,
}

/// A table of pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTable {
    /// The column of paths, relative to the folder; by default `path`.
    pub path: Column,
    /// The column of labels, if there is one; by default `label`.
    pub label: Option<Column>,
    /// How labels are written; by default as numbers.
    pub labels: LabelKind,
    /// The column of groups, if there is one.
    pub group: Option<Column>,
    /// Further columns, by their names: facts of the same names.
    pub facts: Vec<String>,
}

impl Default for PathTable {
    fn default() -> Self {
        Self {
            path: "path".into(),
            label: Some("label".into()),
            labels: LabelKind::default(),
            group: None,
            facts: Vec::new(),
        }
    }
}

/// Pictures (PNG or JPEG, told by their first bytes) in a folder or a zip archive. Opening it lists files and reads at most
/// one of them; the pictures are read by whoever asks for them, each file of at most 1 GiB unless
/// [another limit](Folder::with_max_file_bytes) is set. With [`in_memory`](FolderOptions::in_memory) they are all read when it is
/// opened.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    tree: Tree,
    files: Vec<PictureFile>,
    classes: usize,
    class_names: Vec<String>,
    /// Whether groups are the folders that class folders lie in, which the ids tell already.
    nested: bool,
    facts: Vec<String>,
    size: [usize; 2],
    options: FolderOptions,
    max_file_bytes: u64,
    /// The decoded pictures, where they are kept.
    memory: Option<Pixels>,
}

#[derive(Debug)]
struct PictureFile {
    entry: Entry,
    label: Option<i64>,
    group: Option<Arc<str>>,
    /// One for each name of a fact.
    facts: Vec<String>,
}

/// What a list of pictures says about their classes.
struct Classes {
    count: usize,
    names: Vec<String>,
    nested: bool,
    facts: Vec<String>,
}

impl Folder {
    /// Lists all pictures (`.png`, `.jpg`, `.jpeg`) below a folder, or in a `.zip` archive. The class of a picture is the
    /// path of its folder relative to `root`; classes are numbered in alphabetical order. Where every class folder lies in
    /// another one (alphabet/character), that one is the group of its samples and their fact `super_class`. Pictures directly in
    /// `root` have no class, and then no picture may have one. Samples are in the order of their relative paths, by
    /// which they are named. What begins with a dot is left out. Links are followed, but for a link to a folder that it
    /// lies in.
    ///
    /// An archive is kept in memory as it is, and has at most 4 GiB. If all its pictures lie below one folder, and none
    /// directly in it, paths are relative to that folder.
    ///
    /// # Errors
    /// Says which folder cannot be read; refuses a folder without pictures, more than 32 folders in each other, more
    /// than 65536 folders below links, and a file that is no archive.
    pub fn open(root: &Path, options: FolderOptions) -> Result<Self, Error> {
        let (tree, mut entries) = Tree::open(root)?;
        entries.retain(|entry| is_picture(&entry.path));
        if matches!(tree, Tree::Zip(_)) {
            skip_top(&mut entries, |rest| rest.contains('/'));
        }
        let class = |entry: &Entry| entry.id.rsplit_once('/').map(|(folder, _)| folder.to_owned());
        let mut names: Vec<String> = entries.iter().filter_map(class).collect();
        names.sort();
        names.dedup();
        if !names.is_empty()
            && let Some(stray) = entries.iter().find(|entry| class(entry).is_none())
        {
            let expected = "a folder for each class, as other pictures of this folder have";
            return Err(Error::malformed(&stray.path, At::File, expected, "a picture beside the folders"));
        }
        let above: Option<Vec<Arc<str>>> =
            names.iter().map(|name| name.rsplit_once('/').map(|(above, _)| Arc::from(above))).collect();
        let above = above.filter(|above| !above.is_empty());
        let file = |entry: Entry| {
            let at = class(&entry).map(|name| names.partition_point(|other| *other < name));
            let group = at.and_then(|at| above.as_ref().map(|above| Arc::clone(&above[at])));
            PictureFile { entry, label: at.map(|at| at as i64), group, facts: Vec::new() }
        };
        let files = entries.into_iter().map(file).collect();
        let (count, nested) = (names.len(), above.is_some());
        Self::new(root, tree, files, Classes { count, names, nested, facts: Vec::new() }, options)
    }

    /// Lists the pictures that a table names, in its order. Paths are relative to `root`, and must stay below it.
    ///
    /// # Errors
    /// Names the line of the table where it is wrong, or names a file that is not there. Refuses a label of 2^24 or more,
    /// and a fact that is named twice, or `class`, `index` or `group`.
    pub fn from_csv(
        root: &Path,
        table: &Path,
        columns: &PathTable,
        options: FolderOptions,
    ) -> Result<Self, Error> {
        let PathTable { path: path_column, label, labels: kind, group, facts } = columns;
        check_facts(facts)?;
        let mut rows = Table::open(table, true, b',', 0)?;
        let path_at = rows.find(path_column)?;
        let label_at = label.as_ref().map(|column| rows.find(column)).transpose()?;
        let group_at = group.as_ref().map(|column| rows.find(column)).transpose()?;
        let facts_at: Vec<usize> =
            facts.iter().map(|name| rows.find(&Column::Name(name.clone()))).collect::<Result<_, _>>()?;
        let (mut files, mut labels) = (Vec::new(), Vec::new());
        while let Some(row) = rows.next()? {
            let line = row.position().map_or(0, csv::Position::line);
            let id = text(table, row, path_at)?;
            let relative = Path::new(&id);
            if id.is_empty()
                || !relative.components().all(|part| matches!(part, std::path::Component::Normal(_)))
            {
                let at = At::Cell { line, column: path_at + 1 };
                return Err(Error::malformed(table, at, "a path below the folder", format!("`{id}`")));
            }
            if let Some(column) = label_at {
                labels.push((At::Cell { line, column: column + 1 }, text(table, row, column)?));
            }
            let group = group_at.map(|column| text(table, row, column)).transpose()?.map(Arc::from);
            let facts = facts_at.iter().map(|&column| text(table, row, column)).collect::<Result<_, _>>()?;
            let entry = Tree::entry(root.join(relative), id)?;
            files.push(PictureFile { entry, label: None, group, facts });
        }
        let (numbers, names) = classes(table, labels, *kind)?;
        let count = classes_of(&numbers).map_err(|(index, label)| Error::LargeLabel {
            index,
            id: files[index].entry.id.clone(),
            label,
            limit: LABEL_LIMIT,
        })?;
        for (file, label) in files.iter_mut().zip(numbers) {
            file.label = Some(label);
        }
        let classes = Classes { count, names, nested: false, facts: facts.clone() };
        Self::new(root, Tree::Folder, files, classes, options)
    }

    /// Takes these files, in this order, without classes.
    pub(crate) fn of_entries(
        root: &Path,
        tree: Tree,
        entries: Vec<Entry>,
        options: FolderOptions,
    ) -> Result<Self, Error> {
        let file = |entry| PictureFile { entry, label: None, group: None, facts: Vec::new() };
        let classes = Classes { count: 0, names: Vec::new(), nested: false, facts: Vec::new() };
        Self::new(root, tree, entries.into_iter().map(file).collect(), classes, options)
    }

    fn new(
        root: &Path,
        tree: Tree,
        files: Vec<PictureFile>,
        classes: Classes,
        options: FolderOptions,
    ) -> Result<Self, Error> {
        let Some(first) = files.first() else {
            return Err(Error::NoImages {
                path: root.to_owned(),
                hint: "files named .png, .jpg or .jpeg are looked for",
            });
        };
        let size = match options.size {
            Some(size) => size,
            None => size_in_header(&first.entry.path, &tree.read(root, &first.entry, MAX_FILE_BYTES)?)?,
        };
        if size.contains(&0) || MOST_PIXELS < (size[0] as u64).saturating_mul(size[1] as u64) {
            return Err(Error::choice("size", format!("1 to {MOST_PIXELS} pixels"), format!("{size:?}")));
        }
        let Classes { count: classes, names: class_names, nested, facts } = classes;
        let mut folder = Self {
            root: root.to_owned(),
            tree,
            files,
            classes,
            class_names,
            nested,
            facts,
            size,
            options,
            max_file_bytes: MAX_FILE_BYTES,
            memory: None,
        };
        if folder.options.in_memory {
            folder.memory = Some(folder.decode_all()?);
            // An archive is not needed any more.
            folder.tree = Tree::Folder;
        }
        Ok(folder)
    }

    /// Decodes all pictures, on all cores. Of several that cannot be, the first is named.
    fn decode_all(&self) -> Result<Pixels, Error> {
        let [channels, height, width] = self.shape();
        let size = channels * height * width;
        let bytes = match self.pixel_type() {
            PixelType::U8 => 1,
            PixelType::F32 => 4,
        };
        let all = (self.files.len() as u64).saturating_mul((size * bytes) as u64);
        if MOST_MEMORY < all {
            let found = format!("{} pictures of {:?}, {all} bytes", self.files.len(), self.shape());
            return Err(Error::choice("in_memory", format!("at most {MOST_MEMORY} bytes of pixels"), found));
        }
        let count = self.files.len() * size;
        match self.pixel_type() {
            PixelType::U8 => {
                let mut pixels = vec![0; count];
                prefer_huge_pages(&pixels);
                let copy = |scratch: &mut Scratch, (index, to): (usize, &mut [u8])| {
                    if let PixelView::U8(from) = self.decoded(index, scratch)? {
                        to.copy_from_slice(from);
                    }
                    Ok(())
                };
                let done = pixels.par_chunks_exact_mut(size).enumerate().map_init(Scratch::default, copy);
                done.find_map_first(Result::err).map_or(Ok(Pixels::U8(pixels)), Err)
            }
            PixelType::F32 => {
                let mut pixels = vec![0.0; count];
                prefer_huge_pages(bytes_of(&pixels));
                let copy = |scratch: &mut Scratch, (index, to): (usize, &mut [f32])| {
                    if let PixelView::F32(from) = self.decoded(index, scratch)? {
                        to.copy_from_slice(from);
                    }
                    Ok(())
                };
                let done = pixels.par_chunks_exact_mut(size).enumerate().map_init(Scratch::default, copy);
                done.find_map_first(Result::err).map_or(Ok(Pixels::F32(pixels)), Err)
            }
        }
    }

    /// Sets how many bytes the file of a picture may have; by default 2^30. A longer one is an error of the data, before
    /// more is read.
    #[must_use]
    pub fn with_max_file_bytes(mut self, bytes: u64) -> Self {
        self.max_file_bytes = bytes;
        self
    }

    fn decode(&self, path: &Path, bytes: &[u8]) -> Result<DynamicImage, Error> {
        let found @ [height, width] = size_in_header(path, bytes)?;
        if found != self.size && self.options.fit == Fit::Exact {
            return Err(Error::Size { path: path.to_owned(), found, expected: self.size });
        }
        if MOST_PIXELS < (height as u64).saturating_mul(width as u64) {
            let expected = format!("a picture of at most {MOST_PIXELS} pixels");
            return Err(Error::malformed(path, At::File, expected, format!("{width} x {height}")));
        }
        if is_jpeg(bytes) && !has_end(bytes) {
            return Err(Error::malformed(path, At::File, "a whole JPEG file", "one that is cut off"));
        }
        let picture = decoding(path, || reader(bytes)?.decode())?;
        if found == self.size || self.options.fit == Fit::Area {
            return Ok(picture);
        }
        let [height, width] = self.size;
        Ok(picture.resize_exact(width as u32, height as u32, FilterType::Triangle))
    }

    /// Reads and decodes a picture into `scratch`.
    fn decoded<'a>(&self, index: usize, scratch: &'a mut Scratch) -> Result<PixelView<'a>, Error> {
        let entry = &self.files[index].entry;
        let bytes = self.tree.read(&self.root, entry, self.max_file_bytes)?;
        let picture = self.decode(&entry.path, &bytes)?;
        let found = [picture.height() as usize, picture.width() as usize];
        let plane = found[0] * found[1];
        match (self.options.depth, self.options.color) {
            (Depth::Eight, Color::Gray) => scratch.bytes = picture.into_luma8().into_raw(),
            (Depth::Eight, Color::Rgb) => {
                planes(&picture.into_rgb8().into_raw(), plane, |x| x, &mut scratch.bytes);
            }
            (Depth::Sixteen, Color::Gray) => {
                scratch.floats = picture.into_luma16().iter().map(|&x| f32::from(x)).collect();
            }
            (Depth::Sixteen, Color::Rgb) => {
                planes(&picture.into_rgb16().into_raw(), plane, f32::from, &mut scratch.floats);
            }
        }
        let full = self.full_scale();
        Ok(match self.options.depth {
            Depth::Eight => {
                if found != self.size {
                    scratch.bytes = scaled(&scratch.bytes, found, self.size, |mean| (mean + 0.5) as u8);
                }
                if self.options.invert {
                    scratch.bytes.iter_mut().for_each(|x| *x = 255 - *x);
                }
                PixelView::U8(&scratch.bytes)
            }
            Depth::Sixteen => {
                if found != self.size {
                    scratch.floats = scaled(&scratch.floats, found, self.size, |mean| mean as f32);
                }
                if self.options.invert {
                    scratch.floats.iter_mut().for_each(|x| *x = full - *x);
                }
                PixelView::F32(&scratch.floats)
            }
        })
    }
}

/// Scales every channel by area.
fn scaled<T: Copy + Into<f64>>(
    pixels: &[T],
    from: [usize; 2],
    to: [usize; 2],
    round: impl Fn(f64) -> T,
) -> Vec<T> {
    let (mut scaled, mut means) = (Vec::new(), Vec::new());
    for plane in pixels.chunks_exact(from[0] * from[1]) {
        area::scale(plane, from, to, &mut means);
        scaled.extend(means.iter().map(|&mean| round(mean)));
    }
    scaled
}

/// Reads height and width from the header of a picture.
fn size_in_header(path: &Path, bytes: &[u8]) -> Result<[usize; 2], Error> {
    let (width, height) = decoding(path, || reader(bytes)?.into_dimensions())?;
    Ok([height as usize, width as usize])
}

fn reader(bytes: &[u8]) -> ImageResult<ImageReader<Cursor<&[u8]>>> {
    Ok(ImageReader::new(Cursor::new(bytes)).with_guessed_format()?)
}

/// Runs a decoder. One that panics is one that cannot decode.
fn decoding<T>(path: &Path, decoder: impl FnOnce() -> ImageResult<T> + UnwindSafe) -> Result<T, Error> {
    catch_unwind(decoder)
        .map_err(|_| Error::decode(path, At::File, "the decoder panicked"))?
        .map_err(|source| Error::decode(path, At::File, source))
}

pub(crate) fn is_picture(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    ["png", "jpg", "jpeg"].iter().any(|known| extension == *known)
}

impl ImageSource for Folder {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn shape(&self) -> [usize; 3] {
        let channels = match self.options.color {
            Color::Gray => 1,
            Color::Rgb => 3,
        };
        [channels, self.size[0], self.size[1]]
    }

    fn pixel_type(&self) -> PixelType {
        match self.options.depth {
            Depth::Eight => PixelType::U8,
            Depth::Sixteen => PixelType::F32,
        }
    }

    fn full_scale(&self) -> f32 {
        match self.options.depth {
            Depth::Eight => 255.0,
            Depth::Sixteen => 65535.0,
        }
    }

    fn label(&self, index: usize) -> Option<i64> {
        self.files[index].label
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn class_name(&self, class: usize) -> Option<&str> {
        self.class_names.get(class).map(String::as_str)
    }

    fn id(&self, index: usize) -> String {
        self.files[index].entry.id.clone()
    }

    fn group(&self, index: usize) -> Option<&str> {
        self.files[index].group.as_deref()
    }

    fn fact(&self, index: usize, name: &str) -> Option<String> {
        match name {
            "group" => self.group(index).map(str::to_owned),
            "super_class" if self.nested => self.group(index).map(str::to_owned),
            name => {
                let at = self.facts.iter().position(|other| other == name)?;
                self.files[index].facts.get(at).cloned()
            }
        }
    }

    fn facts(&self) -> Vec<String> {
        let group = self.files.first().is_some_and(|file| file.group.is_some());
        let known = [("group", group), ("super_class", self.nested)];
        let known = known.iter().filter(|(_, is)| *is).map(|(name, _)| (*name).to_owned());
        known.chain(self.facts.iter().cloned()).collect()
    }

    #[inline]
    fn fetch<'a>(&'a self, index: usize, scratch: &'a mut Scratch) -> Result<PixelView<'a>, SampleError> {
        let size = self.shape().iter().product::<usize>();
        let range = index * size..(index + 1) * size;
        Ok(match &self.memory {
            Some(Pixels::U8(pixels)) => PixelView::U8(&pixels[range]),
            Some(Pixels::F32(pixels)) => PixelView::F32(&pixels[range]),
            None => self.decoded(index, scratch)?,
        })
    }

    fn in_memory(&self) -> bool {
        self.memory.is_some()
    }

    #[inline]
    fn prefetch(&self, index: usize) {
        let size = self.shape().iter().product::<usize>();
        let range = index * size..(index + 1) * size;
        match &self.memory {
            Some(Pixels::U8(pixels)) => convert::prefetch(&pixels[range]),
            Some(Pixels::F32(pixels)) => convert::prefetch(bytes_of(&pixels[range])),
            None => {}
        }
    }

    /// The same for the same pictures in a folder, in an archive and in memory.
    fn fingerprint(&self) -> Fingerprint {
        let FolderOptions { color, depth, size: _, fit, invert, in_memory: _ } = &self.options;
        let files = self.files.iter().map(|file| {
            let PictureFile { entry: Entry { id, bytes, .. }, label, group, facts: _ } = file;
            let group = group.as_ref().filter(|_| !self.nested);
            format!("{id}\n{bytes}\n{label:?}\n{group:?}")
        });
        let mut facts = Fingerprint::default()
            .with("pictures", format!("{color:?}, {depth:?}, {fit:?}, {:?}", self.size))
            .with_digest("files", files)
            .with_digest("class_names", &self.class_names);
        if *invert {
            facts = facts.with("invert", true);
        }
        if !self.facts.is_empty() {
            let values = self.files.iter().flat_map(|file| &file.facts);
            facts = facts.with_digest("facts", self.facts.iter().chain(values));
        }
        facts
    }
}

/// Takes the colours of pixels apart, [H, W, 3] to [3, H, W].
fn planes<T: Copy, U>(from: &[T], plane: usize, convert: impl Fn(T) -> U, to: &mut Vec<U>) {
    to.clear();
    to.reserve(plane * 3);
    for channel in 0..3 {
        to.extend(from.iter().skip(channel).step_by(3).map(|&x| convert(x)));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use batchwright_core::Fault;
    use image::{ImageBuffer, Luma, Rgb};
    use tempfile::TempDir;

    use super::*;
    use crate::tree::{Listing, list};

    fn gray(path: &Path, pixels: &[u8], width: u32) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let height = pixels.len() as u32 / width;
        ImageBuffer::<Luma<u8>, _>::from_raw(width, height, pixels.to_vec()).unwrap().save(path).unwrap();
    }

    fn bytes(folder: &Folder, index: usize) -> Vec<u8> {
        let mut scratch = Scratch::default();
        match folder.fetch(index, &mut scratch).unwrap() {
            PixelView::U8(pixels) => pixels.to_vec(),
            PixelView::F32(_) => panic!("bytes were asked for"),
        }
    }

    #[test]
    fn classes_are_folders_in_alphabetical_order() {
        let root = TempDir::new().unwrap();
        gray(&root.path().join("b/deep/2.png"), &[5, 6], 2);
        gray(&root.path().join("a/1.png"), &[1, 2], 2);
        gray(&root.path().join("a/0.PNG"), &[3, 4], 2);
        std::fs::write(root.path().join("a/notes.txt"), "no picture").unwrap();
        std::fs::write(root.path().join("a/._0.png"), "hidden").unwrap();
        let folder = Folder::open(root.path(), FolderOptions::default()).unwrap();
        let facts: Vec<_> =
            (0..3).map(|i| (folder.id(i), folder.label(i).unwrap(), bytes(&folder, i))).collect();
        assert_eq!(
            facts,
            [
                ("a/0.PNG".to_owned(), 0, vec![3, 4]),
                ("a/1.png".to_owned(), 0, vec![1, 2]),
                ("b/deep/2.png".to_owned(), 1, vec![5, 6])
            ]
        );
        assert_eq!((folder.classes(), folder.class_name(1), folder.shape()), (2, Some("b/deep"), [1, 1, 2]));
        gray(&root.path().join("stray.png"), &[1, 2], 2);
        let error = Folder::open(root.path(), FolderOptions::default()).unwrap_err().to_string();
        assert!(error.ends_with("stray.png: expected a folder for each class, as other pictures of this folder have, found a picture beside the folders"), "{error}");
    }

    #[test]
    fn a_table_names_paths_labels_and_groups() {
        let root = TempDir::new().unwrap();
        for (name, value) in [("x.png", 1), ("y.png", 2)] {
            gray(&root.path().join(name), &[value, value], 1);
        }
        let table = root.path().join("t.csv");
        std::fs::write(&table, "label,path,who\ncat,y.png,p\nant,x.png,q\n").unwrap();
        let columns =
            PathTable { labels: LabelKind::Name, group: Some("who".into()), ..PathTable::default() };
        let open = || Folder::from_csv(root.path(), &table, &columns, FolderOptions::default());
        let folder = open().unwrap();
        assert_eq!((folder.id(0).as_str(), folder.label(0), folder.group(1)), ("y.png", Some(1), Some("q")));
        assert_eq!((bytes(&folder, 0), folder.classes(), folder.class_name(0)), (vec![2, 2], 2, Some("ant")));
        std::fs::write(&table, "label,path,who\ncat,../y.png,p\n").unwrap();
        let error = open().unwrap_err().to_string();
        assert!(
            error.ends_with("at line 2, column 2: expected a path below the folder, found `../y.png`"),
            "{error}"
        );
        std::fs::write(&table, "label,path,who\ncat,z.png,p\n").unwrap();
        assert!(open().unwrap_err().to_string().starts_with("cannot find "));
    }

    #[test]
    fn sixteen_bits_and_colours_are_kept_or_reduced_as_chosen() {
        let root = TempDir::new().unwrap();
        let path = root.path().join("a.png");
        ImageBuffer::<Luma<u16>, _>::from_raw(2, 1, vec![1000_u16, 65535]).unwrap().save(&path).unwrap();
        let deep = FolderOptions { depth: Depth::Sixteen, ..FolderOptions::default() };
        let folder = Folder::open(root.path(), deep).unwrap();
        let mut scratch = Scratch::default();
        assert_eq!(folder.fetch(0, &mut scratch).unwrap(), PixelView::F32(&[1000.0, 65535.0]));
        assert_eq!(bytes(&Folder::open(root.path(), FolderOptions::default()).unwrap(), 0), [4, 255]);
        let colours = vec![1_u8, 2, 3, 4, 5, 6];
        ImageBuffer::<Rgb<u8>, _>::from_raw(2, 1, colours).unwrap().save(&path).unwrap();
        let rgb = FolderOptions { color: Color::Rgb, ..FolderOptions::default() };
        let folder = Folder::open(root.path(), rgb).unwrap();
        assert_eq!((folder.shape(), bytes(&folder, 0)), ([3, 1, 2], vec![1, 4, 2, 5, 3, 6]));
        assert_eq!(folder.label(0), None);
    }

    #[test]
    fn another_size_is_the_datas_fault_unless_resizing_is_chosen() {
        let root = TempDir::new().unwrap();
        gray(&root.path().join("a.png"), &[1, 2, 3, 4], 2);
        gray(&root.path().join("b.png"), &[7; 32], 8);
        let folder = Folder::open(root.path(), FolderOptions::default()).unwrap();
        let error = folder.fetch(1, &mut Scratch::default()).unwrap_err();
        assert_eq!(error.fault(), Fault::Data);
        assert!(error.to_string().ends_with(
            "b.png is 8 x 4 pixels (width x height), and the data set's images are 2 x 2; choose `resize` to scale it"
        ));
        let resize = FolderOptions { fit: Fit::Resize, ..FolderOptions::default() };
        assert_eq!(bytes(&Folder::open(root.path(), resize).unwrap(), 1), [7; 4]);
    }

    #[test]
    fn prefixes_of_a_jpeg_are_errors_of_the_data() {
        let root = TempDir::new().unwrap();
        let pixels: Vec<u8> = (0..=255).map(|i: u8| i.wrapping_mul(37)).collect();
        gray(&root.path().join("a.jpg"), &pixels, 16);
        let good = std::fs::read(root.path().join("a.jpg")).unwrap();
        let options = FolderOptions { size: Some([16, 16]), ..FolderOptions::default() };
        let folder = Folder::open(root.path(), options).unwrap();
        let whole = bytes(&folder, 0);
        assert_eq!(whole.len(), 256);
        for end in 0..good.len() {
            std::fs::write(root.path().join("a.jpg"), &good[..end]).unwrap();
            let error = folder.fetch(0, &mut Scratch::default()).unwrap_err();
            assert_eq!(error.fault(), Fault::Data, "{end}");
            if end + 1 == good.len() {
                let expected = "a.jpg: expected a whole JPEG file, found one that is cut off";
                assert!(error.to_string().ends_with(expected), "{error}");
            }
        }
    }

    #[test]
    fn a_file_beyond_the_limit_is_bad_data_and_not_read() {
        let root = TempDir::new().unwrap();
        gray(&root.path().join("a.png"), &[1, 2], 2);
        let length = std::fs::metadata(root.path().join("a.png")).unwrap().len();
        let open =
            |most| Folder::open(root.path(), FolderOptions::default()).unwrap().with_max_file_bytes(most);
        assert_eq!(bytes(&open(length), 0), [1, 2]);
        let error = open(length - 1).fetch(0, &mut Scratch::default()).unwrap_err();
        assert_eq!(error.fault(), Fault::Data);
        let expected = format!(
            "a.png: expected the file of a picture, at most {} bytes, found {length} bytes",
            length - 1
        );
        assert!(error.to_string().ends_with(&expected), "{error}");
        // A sparse file of 2 GiB: what lies behind its name is not read.
        std::fs::File::create(root.path().join("a.png")).unwrap().set_len(2 << 30).unwrap();
        let error = Folder::open(root.path(), FolderOptions::default()).unwrap_err().to_string();
        assert!(error.ends_with("at most 1073741824 bytes, found 2147483648 bytes"), "{error}");
    }

    #[test]
    fn a_decoder_that_panics_cannot_decode() {
        let error = decoding::<()>(Path::new("a.png"), || panic!("in a decoder")).unwrap_err();
        assert_eq!(SampleError::from(error).chain(), "cannot decode a.png: the decoder panicked");
    }

    /// Puts all files of a folder into an archive, below `prefix`.
    fn packed(root: &Path, prefix: &str, archive: &Path) {
        let mut writer = zip::ZipWriter::new(std::fs::File::create(archive).unwrap());
        let (_, entries) = Tree::open(root).unwrap();
        for entry in entries {
            let options = zip::write::SimpleFileOptions::default();
            writer.start_file(format!("{prefix}{}", entry.id), options).unwrap();
            writer.write_all(&std::fs::read(&entry.path).unwrap()).unwrap();
        }
        writer.finish().unwrap();
    }

    fn alphabets() -> TempDir {
        let root = TempDir::new().unwrap();
        for (at, id) in ["latin/a/1", "latin/b/1", "greek/a/1", "greek/a/2"].into_iter().enumerate() {
            gray(&root.path().join(format!("{id}.png")), &[at as u8, 100, 200, 255], 2);
        }
        root
    }

    #[test]
    fn folders_of_class_folders_are_groups_and_super_classes() {
        let root = alphabets();
        let folder = Folder::open(root.path(), FolderOptions::default()).unwrap();
        assert_eq!((folder.classes(), folder.class_name(1)), (3, Some("latin/a")));
        let groups: Vec<_> = (0..4).map(|index| folder.group(index).unwrap()).collect();
        assert_eq!(groups, ["greek", "greek", "latin", "latin"]);
        assert_eq!(folder.facts(), ["group", "super_class"]);
        assert_eq!(folder.fact(3, "super_class").as_deref(), Some("latin"));
        assert_eq!(folder.fact(3, "patient"), None);
        // One class that lies in no other folder: then there are no groups.
        gray(&root.path().join("digits/1.png"), &[1, 2, 3, 4], 2);
        let folder = Folder::open(root.path(), FolderOptions::default()).unwrap();
        assert_eq!((folder.classes(), folder.group(0), folder.facts()), (4, None, Vec::new()));
    }

    #[test]
    fn an_archive_a_folder_and_memory_hold_the_same_pictures() {
        let root = alphabets();
        std::fs::write(root.path().join("notes.txt"), "no picture").unwrap();
        let other = TempDir::new().unwrap();
        let archive = other.path().join("set.zip");
        let plain = Folder::open(root.path(), FolderOptions::default()).unwrap();
        let facts = |folder: &Folder| {
            let fact = |index| {
                (folder.id(index), folder.label(index), folder.fact(index, "group"), bytes(folder, index))
            };
            (
                folder.fingerprint(),
                folder.class_names.clone(),
                (0..folder.len()).map(fact).collect::<Vec<_>>(),
            )
        };
        for prefix in ["", "set/"] {
            packed(root.path(), prefix, &archive);
            for in_memory in [false, true] {
                let options = FolderOptions { in_memory, ..FolderOptions::default() };
                let folder = Folder::open(&archive, options.clone()).unwrap();
                assert_eq!(ImageSource::in_memory(&folder), in_memory);
                assert_eq!(facts(&folder), facts(&plain), "{prefix} {in_memory}");
                assert_eq!(facts(&Folder::open(root.path(), options).unwrap()), facts(&plain));
            }
        }
        // A class folder is no top folder to be left out.
        packed(&root.path().join("greek"), "", &archive);
        let one = Folder::open(&archive, FolderOptions::default()).unwrap();
        assert_eq!((one.class_name(0), one.group(0)), (Some("a"), None));
    }

    #[test]
    fn archives_that_are_wrong_are_errors_of_the_data() {
        let root = alphabets();
        let other = TempDir::new().unwrap();
        let archive = other.path().join("set.zip");
        packed(root.path(), "", &archive);
        let good = std::fs::read(&archive).unwrap();
        let options = || FolderOptions { size: Some([2, 2]), ..FolderOptions::default() };
        for end in 0..good.len() {
            std::fs::write(&archive, &good[..end]).unwrap();
            let error = Folder::open(&archive, options()).unwrap_err();
            assert_eq!(SampleError::from(error).fault(), Fault::Data, "{end}");
        }
        // Every byte wrong once: the same pictures, or an error.
        let whole: Vec<_> = {
            std::fs::write(&archive, &good).unwrap();
            let folder = Folder::open(&archive, options()).unwrap();
            (0..4).map(|index| bytes(&folder, index)).collect()
        };
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x20;
            std::fs::write(&archive, &bad).unwrap();
            let Ok(folder) = Folder::open(&archive, options()) else { continue };
            for index in 0..folder.len().min(4) {
                let mut scratch = Scratch::default();
                match folder.fetch(index, &mut scratch) {
                    Ok(PixelView::U8(pixels)) => assert!(whole.iter().any(|one| one == pixels), "{at}"),
                    Ok(PixelView::F32(_)) => panic!("bytes were asked for"),
                    Err(error) => assert_eq!(error.fault(), Fault::Data, "{at}"),
                }
            }
        }
        std::fs::write(&archive, "no archive").unwrap();
        let error = Folder::open(&archive, options()).unwrap_err().to_string();
        assert!(
            error.ends_with("set.zip: expected a folder or a zip archive, found another file"),
            "{error}"
        );
        std::fs::write(&archive, &good).unwrap();
        let folder = Folder::open(&archive, options()).unwrap().with_max_file_bytes(10);
        let error = folder.fetch(0, &mut Scratch::default()).unwrap_err();
        assert_eq!(error.fault(), Fault::Data);
        assert!(
            error
                .to_string()
                .contains("set.zip/greek/a/1.png: expected the file of a picture, at most 10 bytes")
        );
    }

    #[test]
    fn ink_is_inverted_after_it_is_scaled() {
        let root = TempDir::new().unwrap();
        gray(&root.path().join("a.png"), &[0, 255, 255, 255, 0, 0, 0, 255, 255], 3);
        let read = |depth, invert, in_memory| {
            let options = FolderOptions {
                depth,
                size: Some([2, 1]),
                fit: Fit::Area,
                invert,
                in_memory,
                ..FolderOptions::default()
            };
            let folder = Folder::open(root.path(), options).unwrap();
            match folder.fetch(0, &mut Scratch::default()).unwrap() {
                PixelView::U8(pixels) => pixels.iter().map(|&x| f32::from(x)).collect::<Vec<_>>(),
                PixelView::F32(pixels) => pixels.to_vec(),
            }
        };
        for in_memory in [false, true] {
            // Both halves are (0 + 255 + 255 + (255 + 0 + 0) / 2) / 4.5 = 141.67.
            assert_eq!(read(Depth::Eight, false, in_memory), [142.0, 142.0]);
            assert_eq!(read(Depth::Eight, true, in_memory), [113.0, 113.0]);
            let deep = read(Depth::Sixteen, true, in_memory);
            assert!((deep[0] - (65535.0 - 141.666_67 * 257.0)).abs() < 0.1, "{deep:?}");
        }
    }

    #[test]
    fn the_first_picture_that_cannot_be_decoded_is_named_when_all_are() {
        let root = alphabets();
        std::fs::write(root.path().join("greek/a/2.png"), "no picture").unwrap();
        std::fs::write(root.path().join("latin/a/1.png"), "no picture").unwrap();
        let options = FolderOptions { in_memory: true, ..FolderOptions::default() };
        let error = Folder::open(root.path(), options.clone()).unwrap_err().to_string();
        assert!(error.ends_with("2.png"), "{error}");
        let large =
            FolderOptions { size: Some([16384, 16384]), fit: Fit::Area, depth: Depth::Sixteen, ..options };
        for copy in 0..20 {
            let to = root.path().join(format!("greek/a/3{copy}.png"));
            std::fs::copy(root.path().join("greek/a/1.png"), to).unwrap();
        }
        let error = Folder::open(root.path(), large).unwrap_err().to_string();
        assert!(
            error.starts_with("`in_memory`: expected at most 17179869184 bytes of pixels, found 24 pictures")
        );
    }

    #[test]
    fn columns_of_a_table_are_facts() {
        let root = TempDir::new().unwrap();
        gray(&root.path().join("x.png"), &[1, 2], 1);
        let table = root.path().join("t.csv");
        std::fs::write(&table, "label,path,who,visit\n0,x.png,p,2\n").unwrap();
        let open = |facts: &[&str]| {
            let facts = facts.iter().map(|&name| name.to_owned()).collect();
            let columns = PathTable { group: Some("who".into()), facts, ..PathTable::default() };
            Folder::from_csv(root.path(), &table, &columns, FolderOptions::default())
        };
        let folder = open(&["visit", "who"]).unwrap();
        assert_eq!(folder.facts(), ["group", "visit", "who"]);
        assert_eq!(folder.fact(0, "visit").as_deref(), Some("2"));
        assert_eq!(folder.fact(0, "group"), folder.fact(0, "who"));
        assert_ne!(folder.fingerprint(), open(&["visit"]).unwrap().fingerprint());
        let error = open(&["visit", "visit"]).unwrap_err().to_string();
        assert_eq!(error, "`facts`: expected different columns, found `visit` twice");
        assert!(
            open(&["class"]).unwrap_err().to_string().starts_with("`facts`: expected columns by their names")
        );
        assert!(open(&["site"]).unwrap_err().to_string().contains("expected column `site`, found 4 columns"));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_but_not_in_circles() {
        use std::os::unix::fs::symlink;
        let root = TempDir::new().unwrap();
        gray(&root.path().join("a/x/1.png"), &[1], 1);
        gray(&root.path().join("b/2.png"), &[2], 1);
        for link in ["a/up", "a/again", "a/x/up", "a/x/again"] {
            symlink(root.path().join("a"), root.path().join(link)).unwrap();
        }
        symlink("..", root.path().join("b/all")).unwrap();
        symlink("../b", root.path().join("a/b")).unwrap();
        let ids = || {
            let folder = Folder::open(root.path(), FolderOptions::default()).unwrap();
            (0..folder.len()).map(|index| folder.id(index)).collect::<Vec<_>>()
        };
        assert_eq!(ids(), ["a/b/2.png", "a/x/1.png", "b/2.png"]);
        // No circle, but 2^20 ways down.
        for level in 0..20 {
            let folder = root.path().join(format!("c/{level}"));
            std::fs::create_dir_all(&folder).unwrap();
            for link in ["l", "r"] {
                symlink(root.path().join(format!("c/{}", level + 1)), folder.join(link)).unwrap();
            }
        }
        std::fs::create_dir_all(root.path().join("c/20")).unwrap();
        let mut listing = Listing { files: &mut Vec::new(), linked: 0, most_linked: 1000 };
        let error = list(root.path(), "", &mut Vec::new(), false, &mut listing).unwrap_err().to_string();
        assert!(error.ends_with("expected at most 1000 folders below links, found more"), "{error}");
    }

    #[test]
    fn pictures_are_not_read_before_they_are_asked_for_and_bad_ones_are_errors() {
        let root = TempDir::new().unwrap();
        gray(&root.path().join("a.png"), &[1, 2, 3, 4], 2);
        let good = std::fs::read(root.path().join("a.png")).unwrap();
        let options = FolderOptions { size: Some([2, 2]), ..FolderOptions::default() };
        for end in 0..good.len() {
            std::fs::write(root.path().join("b.png"), &good[..end]).unwrap();
            let folder = Folder::open(root.path(), options.clone()).unwrap();
            // The end of a PNG carries no pixels: without it the picture may still be right.
            match folder.fetch(1, &mut Scratch::default()) {
                Ok(pixels) => assert_eq!(pixels, PixelView::U8(&[1, 2, 3, 4]), "{end}"),
                Err(error) => assert_eq!(error.fault(), Fault::Data, "{end}"),
            }
        }
        let folder = Folder::open(root.path(), options).unwrap();
        std::fs::remove_file(root.path().join("b.png")).unwrap();
        assert_eq!(folder.fetch(1, &mut Scratch::default()).unwrap_err().fault(), Fault::Data);
        let none = TempDir::new().unwrap();
        let error = Folder::open(none.path(), FolderOptions::default()).unwrap_err().to_string();
        assert!(error.starts_with("there is no image in "), "{error}");
    }
}
