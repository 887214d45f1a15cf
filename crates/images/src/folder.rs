//! Folders of pictures, read when they are asked for.

use std::fs::File;
use std::io::{Cursor, Read};
use std::panic::{UnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use batchwright_core::{Fingerprint, SampleError};
use image::imageops::FilterType;
use image::{DynamicImage, ImageReader, ImageResult};
use serde::{Deserialize, Serialize};

use crate::csv_file::{Column, LabelKind, Table, classes, text};
use crate::error::{At, Error};
use crate::jpeg::{has_end, is_jpeg};
use crate::source::{ImageSource, LABEL_LIMIT, PixelType, PixelView, Scratch, classes_of};

/// Folders within folders.
const MOST_DEPTH: usize = 32;

/// Folders below links, each counted as often as links lead to it: a few links can lead to many.
const MOST_LINKED: usize = 1 << 16;

/// Pixels of one picture; more is taken for a hostile header.
const MOST_PIXELS: u64 = 1 << 28;

/// Bytes of the file of a picture, unless another limit is set.
const MAX_FILE_BYTES: u64 = 1 << 30;

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
    /// It is scaled, linearly.
    Resize,
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
}

impl Default for PathTable {
    fn default() -> Self {
        Self { path: "path".into(), label: Some("label".into()), labels: LabelKind::default(), group: None }
    }
}

/// Pictures (PNG or JPEG, told by their first bytes) in a folder. Opening it lists files and reads at most one of them;
/// the pictures are read by whoever asks for them, each file of at most 1 GiB unless
/// [another limit](Folder::with_max_file_bytes) is set.
#[derive(Debug)]
pub struct Folder {
    files: Vec<PictureFile>,
    classes: usize,
    class_names: Vec<String>,
    size: [usize; 2],
    options: FolderOptions,
    max_file_bytes: u64,
}

#[derive(Debug)]
struct PictureFile {
    path: PathBuf,
    /// The path relative to the folder, with `/`.
    id: String,
    bytes: u64,
    label: Option<i64>,
    group: Option<String>,
}

impl Folder {
    /// Lists all pictures (`.png`, `.jpg`, `.jpeg`) below a folder. The class of a picture is the path of its folder
    /// relative to `root`; classes are numbered in alphabetical order. Pictures directly in `root` have no class, and
    /// then no picture may have one. Samples are in the order of their relative paths, by which they are named. What
    /// begins with a dot is left out. Links are followed, but for a link to a folder that it lies in.
    ///
    /// # Errors
    /// Says which folder cannot be read; refuses a folder without pictures, more than 32 folders in each other, and more
    /// than 65536 folders below links.
    pub fn open(root: &Path, options: FolderOptions) -> Result<Self, Error> {
        let mut files = Vec::new();
        let mut above = Vec::new();
        list(
            root,
            "",
            &mut above,
            false,
            &mut Listing { files: &mut files, linked: 0, most_linked: MOST_LINKED },
        )?;
        files.sort_by(|a, b| a.id.cmp(&b.id));
        let class = |file: &PictureFile| file.id.rsplit_once('/').map(|(folder, _)| folder.to_owned());
        let mut names: Vec<String> = files.iter().filter_map(class).collect();
        names.sort();
        names.dedup();
        if !names.is_empty()
            && let Some(file) = files.iter().find(|file| class(file).is_none())
        {
            let expected = "a folder for each class, as other pictures of this folder have";
            return Err(Error::malformed(&file.path, At::File, expected, "a picture beside the folders"));
        }
        for file in &mut files {
            file.label = class(file).map(|name| names.partition_point(|other| *other < name) as i64);
        }
        Self::new(root, files, names.len(), names, options)
    }

    /// Lists the pictures that a table names, in its order. Paths are relative to `root`, and must stay below it.
    ///
    /// # Errors
    /// Names the line of the table where it is wrong, or names a file that is not there. Refuses a label of 2^24 or more.
    pub fn from_csv(
        root: &Path,
        table: &Path,
        columns: &PathTable,
        options: FolderOptions,
    ) -> Result<Self, Error> {
        let PathTable { path: path_column, label, labels: kind, group } = columns;
        let mut rows = Table::open(table, true, b',', 0)?;
        let path_at = rows.find(path_column)?;
        let label_at = label.as_ref().map(|column| rows.find(column)).transpose()?;
        let group_at = group.as_ref().map(|column| rows.find(column)).transpose()?;
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
            let group = group_at.map(|column| text(table, row, column)).transpose()?;
            let path = root.join(relative);
            let bytes = std::fs::metadata(&path).map_err(|source| Error::io("find", &path, source))?.len();
            files.push(PictureFile { path, id, bytes, label: None, group });
        }
        let (numbers, names) = classes(table, labels, *kind)?;
        let count = classes_of(&numbers).map_err(|(index, label)| Error::LargeLabel {
            index,
            id: files[index].id.clone(),
            label,
            limit: LABEL_LIMIT,
        })?;
        for (file, label) in files.iter_mut().zip(numbers) {
            file.label = Some(label);
        }
        Self::new(root, files, count, names, options)
    }

    fn new(
        root: &Path,
        files: Vec<PictureFile>,
        classes: usize,
        class_names: Vec<String>,
        options: FolderOptions,
    ) -> Result<Self, Error> {
        let Some(first) = files.first() else {
            return Err(Error::NoImages {
                path: root.to_owned(),
                hint: "files named .png, .jpg or .jpeg are looked for",
            });
        };
        let size = options.size.map_or_else(|| size_of_picture(&first.path), Ok)?;
        if size.contains(&0) || MOST_PIXELS < (size[0] as u64).saturating_mul(size[1] as u64) {
            return Err(Error::choice("size", format!("1 to {MOST_PIXELS} pixels"), format!("{size:?}")));
        }
        Ok(Self { files, classes, class_names, size, options, max_file_bytes: MAX_FILE_BYTES })
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
        if found == self.size {
            return Ok(picture);
        }
        let [height, width] = self.size;
        Ok(picture.resize_exact(width as u32, height as u32, FilterType::Triangle))
    }
}

/// Reads height and width from the header of a picture.
fn size_of_picture(path: &Path) -> Result<[usize; 2], Error> {
    size_in_header(path, &read(path, MAX_FILE_BYTES)?)
}

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

/// Reads a file of at most `most` bytes. What the system says about its length is not believed: it may be a device.
fn read(path: &Path, most: u64) -> Result<Vec<u8>, Error> {
    let file = File::open(path).map_err(|source| Error::io("open", path, source))?;
    let length = file.metadata().map_err(|source| Error::io("open", path, source))?.len();
    let refused = |found: String| {
        Error::malformed(path, At::File, format!("the file of a picture, at most {most} bytes"), found)
    };
    if most < length {
        return Err(refused(format!("{length} bytes")));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    let reading = file.take(most.saturating_add(1)).read_to_end(&mut bytes);
    reading.map_err(|source| Error::io("read", path, source))?;
    if most < bytes.len() as u64 { Err(refused("more".to_owned())) } else { Ok(bytes) }
}

/// What was found so far.
struct Listing<'a> {
    files: &'a mut Vec<PictureFile>,
    /// Folders below links.
    linked: usize,
    most_linked: usize,
}

/// Lists a folder. `above` are the folders it lies in, without links in their paths, and `linked` says whether a link is
/// among them.
fn list(
    folder: &Path,
    prefix: &str,
    above: &mut Vec<PathBuf>,
    linked: bool,
    listing: &mut Listing<'_>,
) -> Result<(), Error> {
    let here = folder.canonicalize().map_err(|source| Error::io("find", folder, source))?;
    if above.contains(&here) {
        log::warn!("{} links to a folder that it lies in, and is left out", folder.display());
        return Ok(());
    }
    listing.linked += usize::from(linked);
    for (found, most, what) in [
        (above.len(), MOST_DEPTH, "folders in each other"),
        (listing.linked, listing.most_linked, "folders below links"),
    ] {
        if most < found {
            return Err(Error::malformed(folder, At::File, format!("at most {most} {what}"), "more"));
        }
    }
    above.push(here);
    let reading = |source| Error::io("list", folder, source);
    for entry in std::fs::read_dir(folder).map_err(reading)? {
        let entry = entry.map_err(reading)?;
        let path = entry.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let facts = std::fs::metadata(&path).map_err(|source| Error::io("find", &path, source))?;
        let id = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        if facts.is_dir() {
            let linked = linked || entry.file_type().map_err(reading)?.is_symlink();
            list(&path, &id, above, linked, listing)?;
        } else if facts.is_file() && is_picture(&path) {
            listing.files.push(PictureFile { path, id, bytes: facts.len(), label: None, group: None });
        } else {
            log::debug!("{} is no picture", path.display());
        }
    }
    above.pop();
    Ok(())
}

fn is_picture(path: &Path) -> bool {
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
        self.files[index].id.clone()
    }

    fn group(&self, index: usize) -> Option<&str> {
        self.files[index].group.as_deref()
    }

    fn fetch<'a>(&'a self, index: usize, scratch: &'a mut Scratch) -> Result<PixelView<'a>, SampleError> {
        let path = &self.files[index].path;
        let bytes = read(path, self.max_file_bytes)?;
        let picture = self.decode(path, &bytes)?;
        let plane = self.size[0] * self.size[1];
        Ok(match (self.options.depth, self.options.color) {
            (Depth::Eight, Color::Gray) => {
                scratch.bytes = picture.into_luma8().into_raw();
                PixelView::U8(&scratch.bytes)
            }
            (Depth::Eight, Color::Rgb) => {
                planes(&picture.into_rgb8().into_raw(), plane, |x| x, &mut scratch.bytes);
                PixelView::U8(&scratch.bytes)
            }
            (Depth::Sixteen, Color::Gray) => {
                scratch.floats = picture.into_luma16().iter().map(|&x| f32::from(x)).collect();
                PixelView::F32(&scratch.floats)
            }
            (Depth::Sixteen, Color::Rgb) => {
                planes(&picture.into_rgb16().into_raw(), plane, f32::from, &mut scratch.floats);
                PixelView::F32(&scratch.floats)
            }
        })
    }

    fn fingerprint(&self) -> Fingerprint {
        let FolderOptions { color, depth, size: _, fit } = &self.options;
        let files = self.files.iter().map(|file| {
            let PictureFile { path: _, id, bytes, label, group } = file;
            format!("{id}\n{bytes}\n{label:?}\n{group:?}")
        });
        Fingerprint::default()
            .with("pictures", format!("{color:?}, {depth:?}, {fit:?}, {:?}", self.size))
            .with_digest("files", files)
            .with_digest("class_names", &self.class_names)
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
    use batchwright_core::Fault;
    use image::{ImageBuffer, Luma, Rgb};
    use tempfile::TempDir;

    use super::*;

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
        File::create(root.path().join("a.png")).unwrap().set_len(2 << 30).unwrap();
        let error = Folder::open(root.path(), FolderOptions::default()).unwrap_err().to_string();
        assert!(error.ends_with("at most 1073741824 bytes, found 2147483648 bytes"), "{error}");
    }

    #[test]
    fn a_decoder_that_panics_cannot_decode() {
        let error = decoding::<()>(Path::new("a.png"), || panic!("in a decoder")).unwrap_err();
        assert_eq!(SampleError::from(error).chain(), "cannot decode a.png: the decoder panicked");
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
