//! Tables with one image a row: a label and pixels.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Read};
use std::path::Path;

use csv::{ByteRecord, ReaderBuilder};
use serde::{Deserialize, Serialize};

use crate::error::{At, Error};
use crate::file::{Bytes, file_name};
use crate::images::{Images, Pixels};
use crate::npy::Channels;
use crate::numbers::of_pixels;
use crate::source::{PixelType, check_facts, size};

/// Bytes of a row beside its pixels: ids, groups, names and columns that are not read.
const MOST_BESIDE: u64 = 4 << 20;

/// Bytes of a pixel in a row, or of its name in the header.
const MOST_PIXEL: u64 = 64;

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Column {
    /// By its position, from 0.
    Position(usize),
    /// By its name in the first row.
    Name(String),
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position(position) => write!(f, "column {position} (from 0)"),
            Self::Name(name) => write!(f, "column `{name}`"),
        }
    }
}

impl From<&str> for Column {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<usize> for Column {
    fn from(position: usize) -> Self {
        Self::Position(position)
    }
}

/// Which columns hold the pixels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PixelColumns {
    /// All that are nothing else, from left to right.
    #[default]
    Rest,
    /// As many as an image has pixels, from this one on.
    From(Column),
    /// These, in this order.
    List(Vec<Column>),
}

/// How classes are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelKind {
    /// As whole numbers.
    #[default]
    Number,
    /// As names; their alphabetical order numbers them from 0.
    Name,
}

/// How a table holds images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvOptions {
    /// Channels, height and width of an image; a row has as many pixels.
    pub shape: [usize; 3],
    /// Whether the first row names the columns; by default it does.
    pub header: bool,
    /// The column of labels, if there is one; by default the first.
    pub label: Option<Column>,
    /// How labels are written; by default as numbers.
    pub labels: LabelKind,
    /// The columns of pixels; by default all others.
    pub pixels: PixelColumns,
    /// Where the channels of a pixel stand: [C, H, W], the default, or [H, W, C]; or volumes of one channel, [D, H, W], which is then
    /// the shape.
    pub channels: Channels,
    /// Whether pixels are bytes, 0 to 255, which is the default, or any numbers.
    pub pixel_type: PixelType,
    /// The column that names samples; by default the file's name and the row's number do.
    pub id: Option<Column>,
    /// The column of groups, if there is one.
    pub group: Option<Column>,
    /// Further columns that are no pixels, by their names: facts of the same names.
    pub facts: Vec<String>,
    /// What separates the columns; by default a comma.
    pub delimiter: u8,
}

impl CsvOptions {
    /// Describes a table of images of one shape: channels, height and width.
    pub fn new(shape: [usize; 3]) -> Self {
        Self {
            shape,
            header: true,
            label: Some(Column::Position(0)),
            labels: LabelKind::default(),
            pixels: PixelColumns::default(),
            channels: Channels::default(),
            pixel_type: PixelType::U8,
            id: None,
            group: None,
            facts: Vec::new(),
            delimiter: b',',
        }
    }
}

/// Reads images from a table, compressed with gzip or not, one a row. A row has at most 64 bytes a pixel and 4 MiB
/// besides.
///
/// # Errors
/// Names the file, the line and the column, what was expected and what was found.
pub fn read_csv(path: &Path, options: &CsvOptions) -> Result<Images, Error> {
    let CsvOptions {
        shape,
        header,
        label,
        labels,
        pixels,
        channels,
        pixel_type,
        id,
        group,
        facts,
        delimiter,
    } = options;
    check_facts(facts)?;
    let size = size(*shape)?;
    let mut table = Table::open(path, *header, *delimiter, size)?;
    let find = |column: &Option<Column>| column.as_ref().map(|column| table.find(column)).transpose();
    let (label, id, group) = (find(label)?, find(id)?, find(group)?);
    let fact_columns: Vec<usize> =
        facts.iter().map(|name| table.find(&Column::Name(name.clone()))).collect::<Result<_, _>>()?;
    let pixels: Vec<usize> = match pixels {
        PixelColumns::Rest => (0..table.width())
            .filter(|at| ![label, id, group].contains(&Some(*at)) && !fact_columns.contains(at))
            .collect(),
        PixelColumns::From(first) => {
            let first = table.find(first)?;
            (first..table.width().min(first.saturating_add(size))).collect()
        }
        PixelColumns::List(list) => list.iter().map(|column| table.find(column)).collect::<Result<_, _>>()?,
    };
    if pixels.len() != size {
        let expected = format!("{size} columns of pixels for images of {shape:?}");
        return Err(Error::malformed(path, At::Line(1), expected, pixels.len()));
    }
    // Where the pixels of a row go.
    let [c, h, w] = *shape;
    let places: Vec<usize> = match channels {
        Channels::First | Channels::Depth => (0..size).collect(),
        Channels::Last => (0..size).map(|at| (at % c) * h * w + at / c).collect(),
    };
    let (mut bytes, mut floats) = (Vec::new(), Vec::new());
    let (mut label_texts, mut ids, mut groups) = (Vec::new(), Vec::new(), Vec::new());
    let mut fact_values = vec![Vec::new(); facts.len()];
    while let Some(row) = table.next()? {
        match pixel_type {
            PixelType::U8 => {
                let start = bytes.len();
                bytes.resize(start + size, 0);
                for (&column, &place) in pixels.iter().zip(&places) {
                    bytes[start + place] = parse(path, row, column, "a byte, 0 to 255")?;
                }
            }
            PixelType::F32 => {
                let start = floats.len();
                floats.resize(start + size, 0.0_f32);
                for (&column, &place) in pixels.iter().zip(&places) {
                    let value: f32 = parse(path, row, column, "a number")?;
                    if !value.is_finite() {
                        return Err(Error::malformed(path, cell(row, column), "a finite number", value));
                    }
                    floats[start + place] = value;
                }
            }
        }
        if let Some(column) = label {
            label_texts.push((cell(row, column), text(path, row, column)?));
        }
        for (column, list) in [(id, &mut ids), (group, &mut groups)] {
            if let Some(column) = column {
                list.push(text(path, row, column)?);
            }
        }
        for (&column, list) in fact_columns.iter().zip(&mut fact_values) {
            list.push(text(path, row, column)?);
        }
    }
    let pixels = match pixel_type {
        PixelType::U8 => Pixels::U8(bytes),
        PixelType::F32 => Pixels::F32(floats),
    };
    if pixels.is_empty() {
        return Err(Error::malformed(path, At::Line(2), "a row for each image", "the end of the table"));
    }
    let full_scale = if *pixel_type == PixelType::U8 { 255.0 } else { 1.0 };
    let mut images = of_pixels(path, *shape, pixels, full_scale)?.with_name(file_name(path));
    if id.is_some() {
        images = images.with_ids(ids)?;
    }
    if label.is_some() {
        let (numbers, names) = classes(path, label_texts, *labels)?;
        images = images.with_labels(numbers)?.with_class_names(names);
    }
    if group.is_some() {
        images = images.with_groups(groups)?;
    }
    for (name, values) in facts.iter().zip(fact_values) {
        images = images.with_fact(name, values)?;
    }
    if *channels == Channels::Depth {
        images = images.with_volumes();
    }
    Ok(images)
}

/// Turns labels as they are written into numbers, and gives the names of the classes where they have names.
pub(crate) fn classes(
    path: &Path,
    labels: Vec<(At, String)>,
    kind: LabelKind,
) -> Result<(Vec<i64>, Vec<String>), Error> {
    match kind {
        LabelKind::Number => {
            let number = |(at, text): (At, String)| {
                let expected = "a label, a whole number (for names choose `labels: name`)";
                text.trim().parse().map_err(|_| Error::malformed(path, at, expected, quoted(text.as_bytes())))
            };
            Ok((labels.into_iter().map(number).collect::<Result<_, _>>()?, Vec::new()))
        }
        LabelKind::Name => {
            let names: BTreeSet<&str> = labels.iter().map(|(_, text)| text.as_str()).collect();
            let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            let number = |(_, text): &(At, String)| names.partition_point(|name| name < text) as i64;
            Ok((labels.iter().map(number).collect(), names))
        }
    }
}

fn cell(row: &ByteRecord, column: usize) -> At {
    At::Cell { line: row.position().map_or(0, csv::Position::line), column: column + 1 }
}

fn quoted(text: &[u8]) -> String {
    format!("`{}`", text[..text.len().min(40)].escape_ascii())
}

fn parse<T: std::str::FromStr>(
    path: &Path,
    row: &ByteRecord,
    column: usize,
    expected: &str,
) -> Result<T, Error> {
    let bytes = row[column].trim_ascii();
    let value = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
    value.ok_or_else(|| Error::malformed(path, cell(row, column), expected, quoted(bytes)))
}

pub(crate) fn text(path: &Path, row: &ByteRecord, column: usize) -> Result<String, Error> {
    let bytes = &row[column];
    let text = std::str::from_utf8(bytes).map(str::to_owned);
    text.map_err(|_| Error::malformed(path, cell(row, column), "text in UTF-8", quoted(bytes)))
}

/// A table read row by row, each as wide as the first.
pub(crate) struct Table {
    reader: csv::Reader<Rationed>,
    most_row: u64,
    path: std::path::PathBuf,
    header: bool,
    first: Vec<String>,
    /// The first row, where it is no header.
    pending: Option<ByteRecord>,
    row: ByteRecord,
}

impl Table {
    /// Opens a table with about `pixels` pixels a row.
    pub(crate) fn open(path: &Path, header: bool, delimiter: u8, pixels: usize) -> Result<Self, Error> {
        let most_row = MOST_PIXEL.saturating_mul(pixels as u64).saturating_add(MOST_BESIDE);
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .buffer_capacity(1 << 16)
            .from_reader(Rationed { bytes: Bytes::open(path)?, left: 0, beyond: false });
        let mut table = Self {
            reader,
            most_row,
            path: path.to_owned(),
            header,
            first: Vec::new(),
            pending: None,
            row: ByteRecord::new(),
        };
        if !table.read()? {
            return Err(Error::malformed(path, At::Line(1), "a table", "nothing"));
        }
        let first = std::mem::take(&mut table.row);
        table.first = first.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
        table.pending = (!header).then_some(first);
        Ok(table)
    }

    pub(crate) fn width(&self) -> usize {
        self.first.len()
    }

    pub(crate) fn find(&self, column: &Column) -> Result<usize, Error> {
        let found = match column {
            Column::Position(position) => (*position < self.width()).then_some(*position),
            Column::Name(name) if self.header => self.first.iter().position(|other| other == name),
            Column::Name(_) => None,
        };
        found.ok_or_else(|| {
            let known = match column {
                Column::Name(_) if !self.header => "no header".to_owned(),
                Column::Name(_) => {
                    let names: Vec<String> =
                        self.first.iter().take(10).map(|name| quoted(name.as_bytes())).collect();
                    let more = if 10 < self.width() { ", ..." } else { "" };
                    format!("{} columns: {}{more}", self.width(), names.join(", "))
                }
                Column::Position(_) => format!("{} columns", self.width()),
            };
            Error::malformed(&self.path, At::Line(1), column, known)
        })
    }

    pub(crate) fn next(&mut self) -> Result<Option<&ByteRecord>, Error> {
        if let Some(first) = self.pending.take() {
            self.row = first;
        } else if !self.read()? {
            return Ok(None);
        }
        if self.row.len() != self.width() {
            let at = At::Line(self.row.position().map_or(0, csv::Position::line));
            let expected = format!("{} columns, as in the first row", self.width());
            return Err(Error::malformed(&self.path, at, expected, self.row.len()));
        }
        Ok(Some(&self.row))
    }

    /// Reads the next row, if there is one.
    fn read(&mut self) -> Result<bool, Error> {
        let line = self.reader.position().line();
        self.reader.get_mut().left = self.most_row;
        let result = self.reader.read_byte_record(&mut self.row);
        if self.reader.get_ref().beyond {
            let expected = format!("a row of at most {} bytes", self.most_row);
            return Err(Error::malformed(&self.path, At::Line(line), expected, "a longer one"));
        }
        result.map_err(|error| failed(&self.path, error))
    }
}

/// Bytes that come as far as one row may reach: a row without an end must not fill the memory.
struct Rationed {
    bytes: Bytes<'static>,
    /// More than these are not read for the row that is being read.
    left: u64,
    /// Whether the row asked for more.
    beyond: bool,
}

impl Read for Rationed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.beyond = most == 0 && !into.is_empty();
        if self.beyond {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the row is too long"));
        }
        let count = self.bytes.read(&mut into[..most])?;
        self.left -= count as u64;
        Ok(count)
    }
}

fn failed(path: &Path, error: csv::Error) -> Error {
    let at = error.position().map_or(At::File, |position| At::Line(position.line()));
    match error.into_kind() {
        csv::ErrorKind::Io(source) => match source.kind() {
            std::io::ErrorKind::InvalidData
            | std::io::ErrorKind::InvalidInput
            | std::io::ErrorKind::UnexpectedEof => Error::decode(path, at, source),
            _ => Error::io("read", path, source),
        },
        kind => Error::decode(path, at, format!("{kind:?}")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tempfile::TempDir;

    use super::*;
    use crate::source::ImageSource;

    fn read(table: &str, options: &CsvOptions) -> Result<Images, Error> {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, table).unwrap();
        read_csv(&path, options)
    }

    fn text(table: &str, options: &CsvOptions) -> String {
        let text = read(table, options).unwrap_err().to_string();
        text.rsplit_once(std::path::MAIN_SEPARATOR).map_or(text.clone(), |(_, rest)| rest.to_owned())
    }

    #[test]
    fn columns_are_found_by_name_or_position() {
        let options = CsvOptions {
            label: Some("kind".into()),
            id: Some(Column::Position(0)),
            group: Some("who".into()),
            ..CsvOptions::new([1, 1, 2])
        };
        let images = read("name,p0,kind,p1,who\na,1,3,2,x\nb,3, 0 ,255,y\n", &options).unwrap();
        assert_eq!(images.pixels(), &Pixels::U8(vec![1, 2, 3, 255]));
        assert_eq!((images.labels().unwrap(), images.classes()), (&[3, 0][..], 4));
        assert_eq!((images.id(1).as_str(), images.group(0)), ("b", Some("x")));
        let facts = CsvOptions { facts: vec!["who".into(), "name".into()], group: None, id: None, ..options };
        let images = read("name,p0,kind,p1,who\na,1,3,2,x\nb,3, 0 ,255,y\n", &facts).unwrap();
        assert_eq!((images.pixels(), images.facts()), (&Pixels::U8(vec![1, 2, 3, 255]), facts.facts.clone()));
        assert_eq!((images.fact(1, "who").as_deref(), images.fact(1, "group")), (Some("y"), None));
        let listed = CsvOptions {
            pixels: PixelColumns::List(vec!["p1".into(), 1.into()]),
            label: None,
            ..CsvOptions::new([1, 2, 1])
        };
        let images = read("name,p0,kind,p1,who\na,1,3,2,x\n", &listed).unwrap();
        assert_eq!((images.pixels(), images.labels()), (&Pixels::U8(vec![2, 1]), None));
        let from =
            CsvOptions { header: false, pixels: PixelColumns::From(1.into()), ..CsvOptions::new([1, 1, 2]) };
        let images = read("7,1,2,9\r\n8,3,4,9", &from).unwrap();
        assert_eq!((images.pixels(), images.id(1).as_str()), (&Pixels::U8(vec![1, 2, 3, 4]), "t.csv[1]"));
    }

    #[test]
    fn labels_may_be_names_and_pixels_any_numbers_with_the_channels_last() {
        let options = CsvOptions {
            labels: LabelKind::Name,
            channels: Channels::Last,
            pixel_type: PixelType::F32,
            ..CsvOptions::new([2, 1, 2])
        };
        let images = read("l,a,b,c,d\nshoe,0.5,1e3,-2,7\nbag,1,2,3,4\n", &options).unwrap();
        assert_eq!(images.pixels(), &Pixels::F32(vec![0.5, -2.0, 1e3, 7.0, 1.0, 3.0, 2.0, 4.0]));
        assert_eq!((images.labels().unwrap(), images.class_name(1)), (&[1, 0][..], Some("shoe")));
    }

    #[test]
    fn errors_name_line_and_column() {
        let options = CsvOptions::new([1, 1, 2]);
        assert_eq!(
            text("l,a,b\n1,2,3\n1,2,256\n", &options),
            "t.csv at line 3, column 3: expected a byte, 0 to 255, found `256`"
        );
        assert_eq!(
            text("l,a,b\n1,2,3\n1,2\n", &options),
            "t.csv at line 3: expected 3 columns, as in the first row, found 2"
        );
        assert_eq!(
            text("l,a,b\nx,2,3\n", &options),
            "t.csv at line 2, column 1: expected a label, a whole number (for names choose `labels: name`), found `x`"
        );
        assert_eq!(
            text("l,a\n1,2\n", &options),
            "t.csv at line 1: expected 2 columns of pixels for images of [1, 1, 2], found 1"
        );
        let named = CsvOptions { label: Some("class".into()), ..options.clone() };
        assert_eq!(
            text("l,a,b\n", &named),
            "t.csv at line 1: expected column `class`, found 3 columns: `l`, `a`, `b`"
        );
        assert_eq!(text("", &options), "t.csv at line 1: expected a table, found nothing");
        let floats = CsvOptions { pixel_type: PixelType::F32, ..options };
        assert!(text("l,a,b\n1,2,NaN\n", &floats).ends_with("column 3: expected a finite number, found NaN"));
    }

    #[test]
    fn a_row_without_an_end_is_an_error_before_it_fills_the_memory() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("t.csv.gz");
        for (table, line) in [("", 1), ("l,a,b\n1,2,3\n", 3), ("l,a,b\n1,2,3\n1,2,\"", 3)] {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(table.as_bytes()).unwrap();
            for _ in 0..8 {
                gzip.write_all(&vec![b'7'; 1 << 20]).unwrap();
            }
            let mut packed = gzip.finish().unwrap();
            // The checksum is wrong, which whoever reads to the end sees.
            let crc = packed.len() - 8;
            packed[crc] ^= 1;
            std::fs::write(&path, packed).unwrap();
            let error = read_csv(&path, &CsvOptions::new([1, 1, 2])).unwrap_err().to_string();
            let expected = format!(
                "t.csv.gz at line {line}: expected a row of at most 4194432 bytes, found a longer one"
            );
            assert!(error.ends_with(&expected), "{error}");
        }
        let wide = format!("l,a,b\n{},2,3\n4,5,6\n", "0".repeat((4 << 20) - 100));
        assert_eq!(read(&wide, &CsvOptions::new([1, 1, 2])).unwrap().labels(), Some(&[0, 4][..]));
    }

    #[test]
    fn a_header_alone_and_a_label_that_numbers_no_class_are_errors() {
        let options = CsvOptions { id: Some(3.into()), ..CsvOptions::new([1, 1, 2]) };
        assert_eq!(
            text("l,a,b,i\n", &options),
            "t.csv at line 2: expected a row for each image, found the end of the table"
        );
        assert_eq!(
            text("l,a,b,i\n1,2,3,x\n9223372036854775807,2,3,y\n", &options),
            "sample 1 (y) has the label 9223372036854775807, and labels number classes from 0: expected one below 16777216"
        );
    }

    #[test]
    fn every_prefix_gives_the_rows_it_holds_or_an_error() {
        let table = "l,a,b\n1,20,30\n2,\"40\",50\n";
        let whole = CsvOptions::new([1, 1, 2]);
        for end in 0..table.len() {
            if let Ok(images) = read(&table[..end], &whole) {
                assert_eq!(images.len(), table[..end].trim_end().lines().count() - 1, "{end}");
            }
        }
    }
}
