//! `dataset.json` of the Medical Segmentation Decathlon and of nnU-Net.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Subject, Subjects, list, stem};
use crate::error::Error;

/// Bytes of a `dataset.json`; more is taken for another file.
const MOST_BYTES: u64 = 1 << 28;

/// A `dataset.json` of the Medical Segmentation Decathlon (lists of files) or of nnU-Net (channels by the endings of
/// names, `case_0000.nii.gz`, in folders named `imagesTr`, `labelsTr` and `imagesTs`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DatasetJson {
    /// The file, relative to the root of the data.
    pub file: PathBuf,
    /// Which part of it: `training`, which is the default, or `test`.
    #[serde(default)]
    pub part: JsonPart,
}

/// A part of a `dataset.json`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum JsonPart {
    /// What has labels.
    #[default]
    Training,
    /// What may have none.
    Test,
}

impl JsonPart {
    fn key(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Test => "test",
        }
    }

    fn folders(self) -> [&'static str; 2] {
        match self {
            Self::Training => ["imagesTr", "labelsTr"],
            Self::Test => ["imagesTs", "labelsTs"],
        }
    }
}

impl From<PathBuf> for DatasetJson {
    fn from(file: PathBuf) -> Self {
        Self { file, part: JsonPart::default() }
    }
}

impl DatasetJson {
    pub(super) fn subjects(&self, root: &Path) -> Result<Subjects, Error> {
        let path = root.join(&self.file);
        let bytes = fs::metadata(&path).map_err(|e| Error::io("open", &path, e))?.len();
        let reader = Reader { folder: path.parent().unwrap_or(Path::new("")), path: &path, part: self.part };
        if MOST_BYTES < bytes {
            return Err(reader.wrong("", "a dataset.json of at most 256 MiB", format!("{bytes} bytes")));
        }
        let text = fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
        let file: Map<String, Value> =
            serde_json::from_slice(&text).map_err(|e| reader.wrong("", "a JSON object", e.to_string()))?;
        let channel_names = reader.channel_names(&file)?;
        let mut subjects = if file.contains_key(self.part.key()) {
            reader.listed(&file, channel_names.len())?
        } else if file.contains_key("file_ending") {
            reader.folders(&file, channel_names.len())?
        } else {
            let keys: Vec<&str> = file.keys().map(String::as_str).collect();
            let expected = format!("a list named `{}`, or `file_ending` as nnU-Net has it", self.part.key());
            return Err(reader.wrong("", &expected, list(&keys)));
        };
        subjects.label_names = reader.label_names(&file)?;
        subjects.channel_names = channel_names;
        Ok(subjects)
    }
}

struct Reader<'a> {
    path: &'a Path,
    folder: &'a Path,
    part: JsonPart,
}

impl Reader<'_> {
    fn wrong(&self, place: &str, expected: &str, found: String) -> Error {
        let place = if place.is_empty() { String::new() } else { format!(", `{place}`") };
        Error::Manifest { path: self.path.to_owned(), place, expected: expected.to_owned(), found }
    }

    /// Reads `channel_names` or `modality`: names by numbers from 0, or a list.
    fn channel_names(&self, file: &Map<String, Value>) -> Result<Vec<String>, Error> {
        let Some((key, value)) =
            ["channel_names", "modality"].into_iter().find_map(|key| file.get_key_value(key))
        else {
            return Ok(Vec::new());
        };
        let expected = "names of channels by their numbers, from \"0\" on";
        match value {
            Value::Array(names) => {
                let name = |name: &Value| name.as_str().map(str::to_owned);
                names
                    .iter()
                    .map(name)
                    .collect::<Option<_>>()
                    .ok_or_else(|| self.wrong(key, expected, brief(value)))
            }
            Value::Object(names) => (0..names.len())
                .map(|channel| names.get(&channel.to_string()).and_then(Value::as_str).map(str::to_owned))
                .collect::<Option<_>>()
                .ok_or_else(|| self.wrong(key, expected, brief(value))),
            _ => Err(self.wrong(key, expected, brief(value))),
        }
    }

    /// Reads `labels`: names by values, as the Decathlon writes them, or values (or lists of them) by names, as nnU-Net.
    fn label_names(&self, file: &Map<String, Value>) -> Result<BTreeMap<i64, String>, Error> {
        let mut labels: BTreeMap<i64, String> = BTreeMap::new();
        let Some(value) = file.get("labels") else { return Ok(labels) };
        let wrong = |found: &Value| {
            self.wrong(
                "labels",
                "names by values (\"1\": \"tumour\") or values by names (\"tumour\": 1)",
                brief(found),
            )
        };
        let Value::Object(entries) = value else { return Err(wrong(value)) };
        for (key, entry) in entries {
            let values = match entry {
                Value::String(name) => {
                    labels.insert(
                        key.trim().parse().map_err(|_| wrong(&Value::from(key.as_str())))?,
                        name.clone(),
                    );
                    continue;
                }
                Value::Number(_) => std::slice::from_ref(entry),
                Value::Array(values) => values.as_slice(),
                _ => return Err(wrong(entry)),
            };
            for value in values {
                let value = value.as_i64().ok_or_else(|| wrong(value))?;
                // Regions of nnU-Net overlap: a value then has the names of all of them.
                labels
                    .entry(value)
                    .and_modify(|name| *name = format!("{name}, {key}"))
                    .or_insert_with(|| key.clone());
            }
        }
        Ok(labels)
    }

    /// Reads the list of the Decathlon: objects with `image` and `label`, or the paths of images alone.
    fn listed(&self, file: &Map<String, Value>, channels: usize) -> Result<Subjects, Error> {
        let key = self.part.key();
        let Value::Array(entries) = &file[key] else {
            return Err(self.wrong(key, "a list", brief(&file[key])));
        };
        let (mut subjects, mut places) = (Vec::new(), Vec::new());
        for (index, entry) in entries.iter().enumerate() {
            let place = format!("{key}[{index}]");
            let mut subject = Subject::default();
            match entry {
                Value::String(image) => subject.images.push(self.folder.join(image)),
                Value::Object(fields) => {
                    for (field, value) in fields {
                        let at = format!("{place}.{field}");
                        let path = |value: &Value| match value {
                            Value::String(path) if !path.is_empty() => Ok(self.folder.join(path)),
                            _ => Err(self.wrong(&at, "the path of a file", brief(value))),
                        };
                        match (field.as_str(), value) {
                            ("image", Value::Array(list)) => {
                                subject.images = list.iter().map(path).collect::<Result<_, _>>()?;
                            }
                            ("image", value) => subject.images.push(path(value)?),
                            ("label", value) => subject.label = Some(path(value)?),
                            ("id", Value::String(id)) => subject.id.clone_from(id),
                            ("group", Value::String(group)) => subject.group = Some(group.clone()),
                            ("class", Value::String(class)) => subject.class = Some(class.clone()),
                            (_, Value::Null) => {}
                            (_, Value::String(text)) => {
                                drop(subject.facts.insert(field.clone(), text.clone()));
                            }
                            (_, Value::Number(_) | Value::Bool(_)) => {
                                subject.facts.insert(field.clone(), value.to_string());
                            }
                            (_, value) => return Err(self.wrong(&at, "a text or a number", brief(value))),
                        }
                    }
                }
                _ => {
                    return Err(self.wrong(
                        &place,
                        "a path, or an object with `image` and `label`",
                        brief(entry),
                    ));
                }
            }
            let Some(first) = subject.images.first() else {
                return Err(self.wrong(&place, "an `image`", brief(entry)));
            };
            if subject.id.is_empty() {
                subject.id = stem(first);
            }
            if subject.images.len() == 1 {
                subject.images = by_channel(first, channels);
            }
            subjects.push(subject);
            places.push(format!(", `{place}`"));
        }
        Subjects::listed(self.path, subjects, places)
    }

    /// Lists the folders of nnU-Net, or reads its `dataset`: files by the names of cases.
    fn folders(&self, file: &Map<String, Value>, channels: usize) -> Result<Subjects, Error> {
        let ending = match &file["file_ending"] {
            Value::String(ending) if !ending.is_empty() => ending,
            other => {
                return Err(self.wrong("file_ending", "an ending of files, as \".nii.gz\"", brief(other)));
            }
        };
        if channels == 0 {
            return Err(self.wrong("channel_names", "names of channels", "none".to_owned()));
        }
        if let (Some(cases), JsonPart::Training) = (file.get("dataset"), self.part) {
            return self.cases(cases);
        }
        let [images, labels] = self.part.folders().map(|name| self.folder.join(name));
        let failed = |e| Error::io("list", &images, e);
        let mut cases: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for entry in fs::read_dir(&images).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            let Some(stem) = name.strip_suffix(ending.as_str()).filter(|_| !name.starts_with('.')) else {
                continue;
            };
            let channel = stem.rsplit_once('_').and_then(|(case, channel)| {
                let is_number = channel.len() == 4 && channel.bytes().all(|b| b.is_ascii_digit());
                Some((case, channel.parse().ok().filter(|_| is_number)?))
            });
            match channel {
                Some((case, channel)) if channel < channels => {
                    cases.entry(case.to_owned()).or_default().push(channel);
                }
                _ => {
                    return Err(Error::Manifest {
                        path: images.join(&name),
                        place: String::new(),
                        expected: format!("a name that ends in _0000 to _{:04} and {ending}", channels - 1),
                        found: format!("`{name}`"),
                    });
                }
            }
        }
        let (mut subjects, mut places) = (Vec::new(), Vec::new());
        for case in cases.into_keys() {
            let label = labels.join(format!("{case}{ending}"));
            subjects.push(Subject {
                images: (0..channels).map(|c| images.join(format!("{case}_{c:04}{ending}"))).collect(),
                // A test set may have labels or not; a training set has them.
                label: (self.part == JsonPart::Training || label.is_file()).then_some(label),
                id: case.clone(),
                ..Subject::default()
            });
            places.push(format!(", case `{case}`"));
        }
        Subjects::listed(self.path, subjects, places)
    }

    fn cases(&self, cases: &Value) -> Result<Subjects, Error> {
        let Value::Object(cases) = cases else {
            return Err(self.wrong("dataset", "files by the names of cases", brief(cases)));
        };
        let (mut subjects, mut places) = (Vec::new(), Vec::new());
        for (case, entry) in cases {
            let place = format!("dataset.{case}");
            let path = |value: &Value| value.as_str().map(|path| self.folder.join(path));
            let images =
                entry.get("images").and_then(Value::as_array).map(|list| list.iter().map(path).collect());
            let (Some(Some(images)), Some(label)) = (images, entry.get("label").and_then(path)) else {
                return Err(self.wrong(&place, "a list named `images` and a `label`", brief(entry)));
            };
            subjects.push(Subject { id: case.clone(), images, label: Some(label), ..Subject::default() });
            places.push(format!(", `{place}`"));
        }
        Subjects::listed(self.path, subjects, places)
    }
}

/// Returns the files of an image that the first nnU-Net lists without the numbers of channels.
fn by_channel(image: &Path, channels: usize) -> Vec<PathBuf> {
    let name = image.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = stem(image);
    let with = |channel: usize| image.with_file_name(format!("{stem}_{channel:04}{}", &name[stem.len()..]));
    if channels == 0 || image.exists() || !with(0).exists() {
        return vec![image.to_owned()];
    }
    (0..channels).map(with).collect()
}

/// Returns a value as it may stand in a message.
fn brief(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(json: &str, files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        fs::write(root.path().join("dataset.json"), json).unwrap();
        root
    }

    fn read(root: &tempfile::TempDir, part: JsonPart) -> Result<Subjects, Error> {
        DatasetJson { file: "dataset.json".into(), part }.subjects(root.path())
    }

    fn message(json: &str) -> String {
        let error = read(&folder(json, &[]), JsonPart::Training).unwrap_err().to_string();
        error[error.find("dataset.json").unwrap()..].to_owned()
    }

    #[test]
    fn the_lists_of_the_decathlon_give_subjects_with_names_of_channels_and_labels() {
        let root = folder(
            r#"{ "modality": { "0": "MRI" }, "labels": { "0": "background", "1": "Anterior" }, "numTraining": 2,
                 "training": [ { "image": "./imagesTr/h_001.nii.gz", "label": "./labelsTr/h_001.nii.gz", "fold": 2 },
                               { "image": ["a.nii", "b.nii"], "id": "two", "group": "p" } ],
                 "test": ["./imagesTs/h_009.nii.gz"] }"#,
            &[],
        );
        let subjects = read(&root, JsonPart::Training).unwrap();
        let [first, second] = subjects.as_slice() else { panic!() };
        assert_eq!((first.id.as_str(), first.facts["fold"].as_str()), ("h_001", "2"));
        assert!(first.label.as_ref().unwrap().ends_with("labelsTr/h_001.nii.gz"));
        assert_eq!((second.id.as_str(), second.images.len(), second.group.as_deref()), ("two", 2, Some("p")));
        assert_eq!(subjects.channel_names(), ["MRI"]);
        assert_eq!(subjects.label_names()[&1], "Anterior");
        assert_eq!(subjects.place(1), "`training[1]`");
        let test = read(&root, JsonPart::Test).unwrap();
        assert_eq!((test.as_slice()[0].id.as_str(), &test.as_slice()[0].label), ("h_009", &None));
        let error = subjects.check_files().unwrap_err().to_string();
        assert!(error.contains("dataset.json, `training[0]`: there is no file "), "{error}");
    }

    #[test]
    fn the_first_nnunet_lists_images_without_the_numbers_of_their_channels() {
        let json = r#"{ "modality": { "0": "T1", "1": "T2" }, "training": [ { "image": "i/c.nii.gz", "label": "l/c.nii.gz" } ] }"#;
        let root = folder(json, &["i/c_0000.nii.gz", "i/c_0001.nii.gz"]);
        let subjects = read(&root, JsonPart::Training).unwrap();
        let names: Vec<String> = subjects.as_slice()[0].images.iter().map(|path| stem(path)).collect();
        assert_eq!(
            (subjects.as_slice()[0].id.as_str(), names),
            ("c", vec!["c_0000".to_owned(), "c_0001".to_owned()])
        );
    }

    #[test]
    fn the_folders_of_nnunet_give_a_subject_for_each_case() {
        let json = r#"{ "channel_names": { "0": "T1", "1": "FLAIR" }, "file_ending": ".nii.gz", "numTraining": 2,
            "labels": { "background": 0, "whole": [1, 2], "core": [2], "ignore": 3 } }"#;
        let files = [
            "imagesTr/b_7_0001.nii.gz",
            "imagesTr/b_7_0000.nii.gz",
            "imagesTr/a_0000.nii.gz",
            "imagesTr/._a_0000.nii.gz",
            "imagesTr/notes.txt",
            "imagesTs/t_0000.nii.gz",
        ];
        let root = folder(json, &files);
        let subjects = read(&root, JsonPart::Training).unwrap();
        let ids: Vec<&str> = subjects.iter().map(|subject| subject.id.as_str()).collect();
        assert_eq!(ids, ["a", "b_7"]);
        assert!(subjects.as_slice()[1].images[1].ends_with("imagesTr/b_7_0001.nii.gz"));
        assert!(subjects.as_slice()[1].label.as_ref().unwrap().ends_with("labelsTr/b_7.nii.gz"));
        assert_eq!(subjects.label_names()[&2], "core, whole");
        let missing: Vec<usize> = subjects.missing_files().iter().map(|(index, _)| *index).collect();
        assert_eq!(missing, [0, 0, 1], "a channel and both labels");
        assert_eq!(read(&root, JsonPart::Test).unwrap().as_slice()[0].label, None);

        fs::write(root.path().join("imagesTr/c_0002.nii.gz"), "").unwrap();
        let error = read(&root, JsonPart::Training).unwrap_err().to_string();
        assert!(
            error.ends_with("expected a name that ends in _0000 to _0001 and .nii.gz, found `c_0002.nii.gz`")
        );
    }

    #[test]
    fn what_is_wrong_with_a_dataset_json_is_told_with_its_place() {
        assert!(message("[]").starts_with("dataset.json: expected a JSON object, found "));
        assert_eq!(
            message(r#"{ "name": "x" }"#),
            "dataset.json: expected a list named `training`, or `file_ending` as nnU-Net has it, found name"
        );
        assert_eq!(
            message(r#"{ "training": [ { "image": "a.nii" }, { "image": 7 } ] }"#),
            "dataset.json, `training[1].image`: expected the path of a file, found 7"
        );
        assert_eq!(
            message(r#"{ "training": [ { "label": "a.nii" } ] }"#),
            r#"dataset.json, `training[0]`: expected an `image`, found {"label":"a.nii"}"#
        );
        assert_eq!(
            message(r#"{ "training": [ "a/x.nii", "b/x.nii" ] }"#),
            "dataset.json, `training[1]`: expected an id that no other subject has, found `x` again, which is at \
             `training[0]`"
        );
        assert_eq!(
            message(r#"{ "training": [], "modality": { "1": "MRI" } }"#),
            r#"dataset.json, `modality`: expected names of channels by their numbers, from "0" on, found {"1":"MRI"}"#
        );
        assert!(
            message(r#"{ "training": [], "labels": { "x": "y" } }"#)
                .contains("`labels`: expected names by values")
        );
    }
}
