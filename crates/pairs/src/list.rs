//! Pairs and triplets that are written in a list.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use batchwright_core::{Context, Dataset, Fingerprint};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Line};
use crate::facts::check_samples;
use crate::source::{Pair, PairSource, Triplet, TripletSource};

/// How a list names samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ListedBy {
    /// By the id of the sample: the path of a file, the name of a row.
    #[default]
    Id,
    /// By its number in the data set, from 0.
    Index,
}

/// The samples that a list can name.
#[derive(Clone, Debug)]
pub struct Names {
    samples: usize,
    ids: Option<BTreeMap<String, u32>>,
}

impl Names {
    /// Takes the ids of a data set, or its indices.
    ///
    /// # Errors
    /// Refuses two samples of one id, no samples, and 2^32 - 1 or more.
    pub fn of(dataset: &(impl Dataset + ?Sized), by: ListedBy) -> Result<Self, Error> {
        let samples = check_samples(dataset.len())?;
        let ids = match by {
            ListedBy::Index => None,
            ListedBy::Id => {
                let mut ids = BTreeMap::new();
                for index in 0..samples {
                    let id = dataset.id(index);
                    if let Some(first) = ids.insert(id.clone(), index as u32) {
                        return Err(Error::SameId { id, first: first as usize, second: index });
                    }
                }
                Some(ids)
            }
        };
        Ok(Self { samples, ids })
    }

    fn find(&self, text: &str, at: &Line) -> Result<u32, Error> {
        let unknown = |hint| Error::UnknownSample { at: at.clone(), found: text.to_owned(), hint };
        if let Some(ids) = &self.ids {
            ids.get(text).copied().ok_or_else(|| {
                let example = ids.keys().next().map(String::as_str).unwrap_or_default();
                unknown(format!("; samples are named as `{example}`"))
            })
        } else {
            let index = text.parse::<u32>().ok().filter(|&index| (index as usize) < self.samples);
            index.ok_or_else(|| unknown(format!("; indices are 0 to {}", self.samples - 1)))
        }
    }
}

/// Pairs in the order of a list; any core [`Sampler`](batchwright_core::Sampler) gives them another.
///
/// A CSV file with a header: the columns `a`, `b` and `same` (1 or 0, true or false), or `score` (any finite number), in any
/// order. What stands in `a` and `b` are ids of samples or indices ([`Names`]). The same pair may come again, but not as
/// both the same and not.
///
/// ```
/// # use batchwright_core::{Context, Dataset, Field, SampleError, Slot};
/// # struct Faces(Vec<Field>);
/// # impl Dataset for Faces {
/// #     fn len(&self) -> usize { 3 }
/// #     fn fields(&self) -> &[Field] { &self.0 }
/// #     fn write(&self, _: usize, _: &mut Slot<'_>, _: &Context<'_>) -> Result<(), SampleError> { Ok(()) }
/// #     fn id(&self, index: usize) -> String { ["ann/1.png", "ann/2.png", "bob/1.png"][index].to_owned() }
/// # }
/// # let faces = Faces(Vec::new());
/// use batchwright_pairs::{ListedBy, Names, PairList, PairSource};
/// let names = Names::of(&faces, ListedBy::Id)?;
/// let list = PairList::parse("pairs.csv", "a,b,same\nann/1.png,ann/2.png,1\nann/1.png,bob/1.png,0\n", &names)?;
/// assert_eq!((list.len(), list.positives()), (2, 1));
/// let error = PairList::parse("pairs.csv", "a,b,same\nann/1.png,ann/3.png,1\n", &names).unwrap_err();
/// assert_eq!(error.to_string(), "pairs.csv, line 2: there is no sample `ann/3.png`; samples are named as `ann/1.png`");
/// # Ok::<(), batchwright_pairs::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PairList {
    samples: usize,
    rows: Arc<[(u32, u32, f32)]>,
}

impl PairList {
    /// Reads a list from a file.
    ///
    /// # Errors
    /// Names the file and the line of what cannot be read: other columns, a sample that there is not, a sample with itself, a
    /// value that is none, two lines that disagree; and an empty list.
    pub fn read(path: &Path, names: &Names) -> Result<Self, Error> {
        Self::parse(path, &text_of(path)?, names)
    }

    /// Reads a list from text; `path` stands in errors.
    ///
    /// # Errors
    /// As [`PairList::read`].
    pub fn parse(path: impl AsRef<Path>, text: &str, names: &Names) -> Result<Self, Error> {
        let path = path.as_ref();
        let expected = "`a`, `b` and `same` (or `score`)";
        let table = Table::read(path, text, expected, &[&["a", "b", "same"], &["a", "b", "score"]])?;
        let mut rows = Vec::with_capacity(table.rows.len());
        let mut before: BTreeMap<(u32, u32), (bool, u64)> = BTreeMap::new();
        for (line, [a_id, b_id, value]) in table.rows {
            let at = Line { path: path.to_owned(), line };
            let (a, b) = (names.find(&a_id, &at)?, names.find(&b_id, &at)?);
            if a == b {
                return Err(Error::Itself { at, id: a_id });
            }
            let wrong = |expected: &str| Error::Malformed {
                at: at.clone(),
                expected: expected.to_owned(),
                found: format!("`{value}`"),
            };
            if table.which == 0 {
                let same = match value.to_ascii_lowercase().as_str() {
                    "1" | "true" => true,
                    "0" | "false" => false,
                    _ => return Err(wrong("1 or 0 (or true or false) in `same`")),
                };
                let (known, first) = *before.entry((a.min(b), a.max(b))).or_insert((same, line));
                if known != same {
                    return Err(Error::Disagreeing { at, before: first, a: a_id, b: b_id, same });
                }
                rows.push((a, b, f32::from(u8::from(same))));
            } else {
                let score = value.parse::<f32>().ok().filter(|score| score.is_finite());
                rows.push((a, b, score.ok_or_else(|| wrong("a finite number in `score`"))?));
            }
        }
        Ok(Self { samples: names.samples, rows: rows.into() })
    }

    /// Returns how many pairs have a value above 0.
    pub fn positives(&self) -> usize {
        self.rows.iter().filter(|row| 0.0 < row.2).count()
    }

    fn pair(&self, index: usize) -> Pair {
        let (a, b, same) = self.rows[index];
        Pair { a: a as usize, b: b as usize, same }
    }
}

impl PairSource for PairList {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn samples(&self) -> usize {
        self.samples
    }

    fn anchor(&self, index: usize) -> usize {
        self.rows[index].0 as usize
    }

    fn tuple(&self, index: usize, _: &Context<'_>) -> Pair {
        self.pair(index)
    }

    fn fixed(&self, index: usize) -> Option<Pair> {
        Some(self.pair(index))
    }

    fn fingerprint(&self) -> Fingerprint {
        let bytes = |&(a, b, same): &(u32, u32, f32)| [a, b, same.to_bits()].map(u32::to_le_bytes).concat();
        Fingerprint::default().with("kind", "list of pairs").with_digest("rows", self.rows.iter().map(bytes))
    }
}

/// Triplets in the order of a list; any core [`Sampler`](batchwright_core::Sampler) gives them another.
///
/// A CSV file with a header: the columns `anchor`, `positive` and `negative`, in any order, as in [`PairList`].
#[derive(Clone, Debug)]
pub struct TripletList {
    samples: usize,
    rows: Arc<[[u32; 3]]>,
}

impl TripletList {
    /// Reads a list from a file.
    ///
    /// # Errors
    /// Names the file and the line of what cannot be read: other columns, a sample that there is not, a sample that stands
    /// twice in a line; and an empty list.
    pub fn read(path: &Path, names: &Names) -> Result<Self, Error> {
        Self::parse(path, &text_of(path)?, names)
    }

    /// Reads a list from text; `path` stands in errors.
    ///
    /// # Errors
    /// As [`TripletList::read`].
    pub fn parse(path: impl AsRef<Path>, text: &str, names: &Names) -> Result<Self, Error> {
        let path = path.as_ref();
        let expected = "`anchor`, `positive` and `negative`";
        let table = Table::read(path, text, expected, &[&["anchor", "positive", "negative"]])?;
        let mut rows = Vec::with_capacity(table.rows.len());
        for (line, ids) in table.rows {
            let at = Line { path: path.to_owned(), line };
            let mut row = [0; 3];
            for (place, id) in row.iter_mut().zip(&ids) {
                *place = names.find(id, &at)?;
            }
            let twice = (1..3).find(|&place| row[..place].contains(&row[place]));
            if let Some(place) = twice {
                return Err(Error::Itself { at, id: ids[place].clone() });
            }
            rows.push(row);
        }
        Ok(Self { samples: names.samples, rows: rows.into() })
    }

    fn triplet(&self, index: usize) -> Triplet {
        let [anchor, positive, negative] = self.rows[index].map(|sample| sample as usize);
        Triplet { anchor, positive, negative }
    }
}

impl TripletSource for TripletList {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn samples(&self) -> usize {
        self.samples
    }

    fn anchor(&self, index: usize) -> usize {
        self.rows[index][0] as usize
    }

    fn tuple(&self, index: usize, _: &Context<'_>) -> Triplet {
        self.triplet(index)
    }

    fn fixed(&self, index: usize) -> Option<Triplet> {
        Some(self.triplet(index))
    }

    fn fingerprint(&self) -> Fingerprint {
        let bytes = |row: &[u32; 3]| row.map(u32::to_le_bytes).concat();
        Fingerprint::default()
            .with("kind", "list of triplets")
            .with_digest("rows", self.rows.iter().map(bytes))
    }
}

fn text_of(path: &Path) -> Result<String, Error> {
    let io = |source| Error::Io { doing: "read", path: path.to_owned(), source };
    let mut text = String::new();
    std::fs::File::open(path).map_err(io)?.read_to_string(&mut text).map_err(io)?;
    Ok(text)
}

/// The rows of a CSV text with three known columns, in the order of their names, with the line of each.
struct Table {
    /// Which of the possible headers it has.
    which: usize,
    rows: Vec<(u64, [String; 3])>,
}

impl Table {
    fn read(path: &Path, text: &str, expected: &'static str, headers: &[&[&str; 3]]) -> Result<Self, Error> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader =
            csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
        let malformed = |line: u64, expected: String, found: String| Error::Malformed {
            at: Line { path: path.to_owned(), line },
            expected,
            found,
        };
        let found =
            reader.headers().map_err(|error| malformed(1, "a line of CSV".to_owned(), error.to_string()))?;
        let place = |name: &str| found.iter().position(|column| column == name);
        let which = headers
            .iter()
            .position(|header| found.len() == 3 && header.iter().all(|name| place(name).is_some()));
        let Some(which) = which else {
            let names: Vec<String> = found.iter().map(|name| format!("`{name}`")).collect();
            let found = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(Error::Columns { path: path.to_owned(), found, expected });
        };
        let places = headers[which].map(|name| place(name).unwrap_or_default());
        let mut rows = Vec::new();
        // Where lines were counted up to. A record is said to begin before the empty lines in front of it.
        let (mut byte, mut lines) = (0, 1);
        let mut line_of = |position: Option<&csv::Position>| {
            let start = position.map_or(byte, |position| position.byte() as usize);
            let empty = text[start..].bytes().take_while(|&byte| byte == b'\n' || byte == b'\r').count();
            lines += text[byte..start + empty].bytes().filter(|&byte| byte == b'\n').count() as u64;
            byte = start + empty;
            lines
        };
        for record in reader.records() {
            let record = record.map_err(|error| {
                malformed(line_of(error.position()), "a line of CSV".to_owned(), error.to_string())
            })?;
            let line = line_of(record.position());
            if record.len() != 3 {
                return Err(malformed(line, "3 values".to_owned(), format!("{}", record.len())));
            }
            rows.push((line, places.map(|place| record[place].to_owned())));
        }
        if rows.is_empty() {
            Err(Error::EmptyList { path: path.to_owned() })
        } else {
            Ok(Self { which, rows })
        }
    }
}
