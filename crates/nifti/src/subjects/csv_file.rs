//! Tables with a row for each subject.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Subject, Subjects, list, stem};
use crate::error::Error;

/// A table (CSV, or TSV by its ending) with a row for each subject and a first row that names the columns.
///
/// Columns that no key below takes become facts; empty cells are no facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CsvManifest {
    /// The table, relative to the root of the data.
    pub file: PathBuf,
    /// The folder that the paths in the table are relative to, itself relative to the root; by default the table's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// The columns of images, in the order of channels; by default `image` and those that begin with `image_`, in the
    /// order of the table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// The column of label maps; by default `label` where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The column of ids; by default `id` where there is one, otherwise subjects are named after their first image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The column of groups; by default `group` where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The column of classes; by default `class` where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
}

impl From<PathBuf> for CsvManifest {
    fn from(file: PathBuf) -> Self {
        Self { file, folder: None, images: Vec::new(), label: None, id: None, group: None, class: None }
    }
}

impl CsvManifest {
    /// Lists the subjects of the table. A row without a label has none; every row has all images.
    pub(super) fn subjects(&self, root: &Path) -> Result<Subjects, Error> {
        let Self { file, folder, images, label, id, group, class } = self;
        let path = root.join(file);
        let folder = folder.as_ref().map_or_else(
            || path.parent().map_or_else(PathBuf::new, Path::to_owned),
            |folder| root.join(folder),
        );
        let mut table = Table::open(&path)?;
        let images: Vec<usize> = if images.is_empty() {
            let is_image = |name: &str| name == "image" || name.starts_with("image_");
            (0..table.names().len()).filter(|&at| is_image(&table.names()[at])).collect()
        } else {
            images.iter().map(|name| table.column(name)).collect::<Result<_, _>>()?
        };
        if images.is_empty() {
            let names: Vec<&str> = table.names().iter().map(String::as_str).collect();
            return Err(Error::Manifest {
                path,
                place: ", line 1".to_owned(),
                expected: "a column named `image` (or `images:` that names the columns)".to_owned(),
                found: list(&names),
            });
        }
        let find = |chosen: &Option<String>, default: &str| match chosen {
            Some(name) => table.column(name).map(Some),
            None => Ok(table.names().iter().position(|name| name == default)),
        };
        let (label, id) = (find(label, "label")?, find(id, "id")?);
        let (group, class) = (find(group, "group")?, find(class, "class")?);
        let names = table.names().to_vec();
        let taken =
            |column: usize| images.contains(&column) || [label, id, group, class].contains(&Some(column));
        let (mut subjects, mut places) = (Vec::new(), Vec::new());
        while let Some((place, row)) = table.next()? {
            let cell =
                |column: Option<usize>| column.map(|at| &row[at]).filter(|text| !text.is_empty()).cloned();
            let mut files = Vec::with_capacity(images.len());
            for &column in &images {
                let Some(image) = cell(Some(column)) else {
                    return Err(Error::Manifest {
                        path,
                        place: format!("{place}, column `{}`", names[column]),
                        expected: "the path of an image".to_owned(),
                        found: "an empty cell".to_owned(),
                    });
                };
                files.push(folder.join(image));
            }
            let id = match id {
                Some(column) => row[column].clone(),
                None => stem(&files[0]),
            };
            let facts =
                names.iter().zip(&row).enumerate().filter(|(at, (_, text))| !taken(*at) && !text.is_empty());
            subjects.push(Subject {
                id,
                images: files,
                label: cell(label).map(|path| folder.join(path)),
                group: cell(group),
                class: cell(class),
                facts: facts.map(|(_, (name, text))| (name.clone(), text.clone())).collect(),
            });
            places.push(place);
        }
        Subjects::listed(&path, subjects, places)
    }
}

/// A table being read, whose first row names the columns.
pub(super) struct Table {
    path: PathBuf,
    reader: csv::Reader<File>,
    names: Vec<String>,
}

impl Table {
    /// Opens a table and reads the names of its columns.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
        let is_tsv = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("tsv"));
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(if is_tsv { b'\t' } else { b',' })
            .trim(csv::Trim::All)
            .from_reader(file);
        let header = reader.headers().map_err(|e| unreadable(path, &e))?;
        let mut names: Vec<String> = header.iter().map(str::to_owned).collect();
        // Spreadsheets write a byte-order mark.
        if let Some(name) = names.first_mut()
            && let Some(rest) = name.strip_prefix('\u{feff}')
        {
            *name = rest.trim_matches('"').to_owned();
        }
        let wrong = |found: String| Error::Manifest {
            path: path.to_owned(),
            place: ", line 1".to_owned(),
            expected: "names of columns that differ".to_owned(),
            found,
        };
        if let Some(twice) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
            return Err(wrong(format!("`{}` twice", twice.1)));
        }
        if names.is_empty() {
            return Err(wrong("nothing".to_owned()));
        }
        Ok(Self { path: path.to_owned(), reader, names })
    }

    /// Returns the names of the columns.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Finds a column.
    pub(super) fn column(&self, name: &str) -> Result<usize, Error> {
        self.names.iter().position(|column| column == name).ok_or_else(|| {
            let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
            Error::Manifest {
                path: self.path.clone(),
                place: ", line 1".to_owned(),
                expected: format!("a column named `{name}`"),
                found: list(&names),
            }
        })
    }

    /// Reads the next row, with its place: a comma, a space and the line.
    pub(super) fn next(&mut self) -> Result<Option<(String, Vec<String>)>, Error> {
        let mut record = csv::StringRecord::new();
        if !self.reader.read_record(&mut record).map_err(|e| unreadable(&self.path, &e))? {
            return Ok(None);
        }
        let line = record.position().map_or(0, csv::Position::line);
        Ok(Some((format!(", line {line}"), record.iter().map(str::to_owned).collect())))
    }
}

fn unreadable(path: &Path, error: &csv::Error) -> Error {
    let place = error.position().map_or_else(String::new, |position| format!(", line {}", position.line()));
    let (expected, found) = match error.kind() {
        csv::ErrorKind::Io(source) => {
            return Error::io("read", path, std::io::Error::new(source.kind(), source.to_string()));
        }
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            (format!("{expected_len} columns, as in the first line"), len.to_string())
        }
        _ => ("a row of UTF-8 text".to_owned(), error.to_string()),
    };
    Error::Manifest { path: path.to_owned(), place, expected, found }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, options: impl FnOnce(&mut CsvManifest)) -> Result<Subjects, Error> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("d")).unwrap();
        std::fs::write(folder.path().join("d/t.csv"), text).unwrap();
        let mut manifest = CsvManifest::from(PathBuf::from("d/t.csv"));
        options(&mut manifest);
        manifest.subjects(folder.path())
    }

    fn message(result: Result<Subjects, Error>) -> String {
        let text = result.unwrap_err().to_string();
        text[text.find("t.csv").unwrap()..].to_owned()
    }

    #[test]
    fn columns_become_channels_labels_and_facts_with_the_usual_names_or_chosen_ones() {
        let subjects =
            read("\u{feff}id,image,image_t2,label,group,class,age\ns1,a.nii,b.nii,l.nii,p1,x,40\ns2,c.nii,d.nii,,p1,,\n", |_| ())
                .unwrap();
        let [first, second] = subjects.as_slice() else { panic!("{subjects:?}") };
        assert_eq!((first.id.as_str(), first.images.len()), ("s1", 2));
        assert!(first.images[1].ends_with("d/b.nii") && first.label.as_ref().unwrap().ends_with("d/l.nii"));
        assert_eq!((first.group.as_deref(), first.class.as_deref()), (Some("p1"), Some("x")));
        assert_eq!(first.facts.iter().collect::<Vec<_>>(), [(&"age".to_owned(), &"40".to_owned())]);
        assert_eq!((&second.label, &second.class, second.facts.len()), (&None, &None, 0));
        assert_eq!(subjects.place(1), "line 3");

        let subjects = read("t1,flair,seg\nx/s7_T1.nii.gz,f.nii,l.nii\n", |manifest| {
            manifest.images = vec!["flair".to_owned(), "t1".to_owned()];
            manifest.label = Some("seg".to_owned());
            manifest.folder = Some(PathBuf::from("/elsewhere"));
        })
        .unwrap();
        let only = &subjects.as_slice()[0];
        assert_eq!(only.id, "f");
        assert_eq!(only.images, [Path::new("/elsewhere/f.nii"), Path::new("/elsewhere/x/s7_T1.nii.gz")]);
    }

    #[test]
    fn what_is_wrong_with_a_table_is_told_with_its_line() {
        assert_eq!(
            message(read("id,picture\na,b\n", |_| ())),
            "t.csv, line 1: expected a column named `image` (or `images:` that names the columns), found id, picture"
        );
        assert_eq!(
            message(read("id,image\na,b\nc\n", |_| ())),
            "t.csv, line 3: expected 2 columns, as in the first line, found 1"
        );
        assert_eq!(
            message(read("id,image\na,\n", |_| ())),
            "t.csv, line 2, column `image`: expected the path of an image, found an empty cell"
        );
        assert_eq!(
            message(read("id,image\na,b\na,c\n", |_| ())),
            "t.csv, line 3: expected an id that no other subject has, found `a` again, which is at line 2"
        );
        assert_eq!(
            message(read("id,image,id\n", |_| ())),
            "t.csv, line 1: expected names of columns that differ, found `id` twice"
        );
        assert_eq!(
            message(read("id,image\na,b\n", |m| m.label = Some("seg".to_owned()))),
            "t.csv, line 1: expected a column named `seg`, found id, image"
        );
    }
}
