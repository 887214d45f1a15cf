//! Where a list of subjects comes from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::pattern::{Captures, Pattern};
use super::{CsvManifest, DatasetJson, PathOr, Subject, Subjects};
use crate::error::Error;

/// Where subjects are listed: a file, told by its ending (`.json`, `.csv`, `.tsv`), or one of `dataset_json`, `csv` and
/// `glob` with their settings.
///
/// ```
/// use batchwright_nifti::Manifest;
/// let file: Manifest = serde_json::from_str(r#""hippocampus/dataset.json""#)?;
/// let glob: Manifest = serde_json::from_str(
///     r#"{ "glob": { "images": "t1/*_T1.nii.gz", "labels": "dlmuse/{id}_T1_DLMUSE.nii.gz" } }"#,
/// )?;
/// # assert!(matches!((file, glob), (Manifest::File(_), Manifest::Glob(_))));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Manifest {
    /// A `dataset.json` of the Medical Segmentation Decathlon or of nnU-Net.
    DatasetJson(DatasetJson),
    /// A table with a row for each subject.
    Csv(CsvManifest),
    /// Patterns of paths.
    Glob(GlobManifest),
    /// A file whose ending says what it is, relative to the root of the data.
    #[serde(untagged)]
    File(PathBuf),
}

/// What a manifest is as a mapping.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mapping {
    DatasetJson(DatasetJson),
    Csv(CsvManifest),
    Glob(GlobManifest),
}

struct Either(Manifest);

impl From<PathBuf> for Either {
    fn from(path: PathBuf) -> Self {
        Self(Manifest::File(path))
    }
}

impl<'de> Deserialize<'de> for Either {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(match Mapping::deserialize(from)? {
            Mapping::DatasetJson(json) => Manifest::DatasetJson(json),
            Mapping::Csv(csv) => Manifest::Csv(csv),
            Mapping::Glob(glob) => Manifest::Glob(glob),
        }))
    }
}

impl<'de> Deserialize<'de> for Manifest {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(PathOr::<Either>(std::marker::PhantomData)).map(|either| either.0)
    }
}

/// Patterns that find the files of subjects: `*` and `{name}` match one or more characters of one file or folder name,
/// `?` one, `**` any number of folders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GlobManifest {
    /// The pattern of the image of each subject, relative to the root of the data, or a list of them, one for each
    /// channel. The first finds the subjects: what its `{id}` matches is the id, or else what all its wildcards match,
    /// joined by `_`. `{group}` and `{class}` give group and class, other names give facts. The further ones are
    /// completed with these names; what `*` is left in them must match one file.
    pub images: Patterns,
    /// The pattern of the label map of each subject; its names are those of `images`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
}

/// A pattern, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Patterns {
    /// One channel.
    One(String),
    /// As many channels as there are patterns.
    List(Vec<String>),
}

impl Manifest {
    /// Checks what the types cannot say; touches no file.
    ///
    /// # Errors
    /// Names the key below `key` and what it must be.
    pub fn check(&self, key: &str) -> Result<(), Error> {
        match self {
            Self::File(path) => Self::of_file(path, key).map(drop),
            Self::Glob(glob) => glob.patterns(&format!("{key}.glob")).map(drop),
            Self::DatasetJson(_) | Self::Csv(_) => Ok(()),
        }
    }

    fn of_file(path: &Path, key: &str) -> Result<Self, Error> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        match ending.as_deref() {
            Some("json") => Ok(Self::DatasetJson(DatasetJson::from(path.to_owned()))),
            Some("csv" | "tsv") => Ok(Self::Csv(CsvManifest::from(path.to_owned()))),
            _ => Err(Error::choice(
                key,
                "a file that ends in .json, .csv or .tsv, or a mapping",
                path.display(),
            )),
        }
    }

    /// Lists the subjects; reads the list or the folders, and opens no volume. Whether the files are there,
    /// [`Subjects::check_files`] tells.
    ///
    /// # Errors
    /// Names the list and the place in it that cannot be used, or the pattern that matches nothing.
    pub fn subjects(&self, root: &Path) -> Result<Subjects, Error> {
        let mut subjects = match self {
            Self::File(path) => return Self::of_file(path, "manifest")?.subjects(root),
            Self::DatasetJson(json) => json.subjects(root)?,
            Self::Csv(csv) => csv.subjects(root)?,
            Self::Glob(glob) => glob.subjects(root)?,
        };
        if subjects.is_empty() {
            return Err(Error::Manifest {
                path: subjects.manifest().to_owned(),
                place: String::new(),
                expected: "at least one subject".to_owned(),
                found: "none".to_owned(),
            });
        }
        root.clone_into(&mut subjects.root);
        Ok(subjects)
    }

    /// Returns the file, or the folder, relative to the root of the data, without which there are no subjects.
    pub fn needs(&self) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::DatasetJson(json) => json.file.clone(),
            Self::Csv(csv) => csv.file.clone(),
            Self::Glob(glob) => {
                let first = match &glob.images {
                    Patterns::One(one) => one.as_str(),
                    Patterns::List(list) => list.first().map_or("", String::as_str),
                };
                let is_plain = |part: &&std::ffi::OsStr| !part.to_string_lossy().contains(['*', '?', '{']);
                Path::new(first).iter().take_while(is_plain).collect()
            }
        }
    }
}

impl GlobManifest {
    /// Reads the patterns: the first of images, the others, that of labels.
    fn patterns(&self, key: &str) -> Result<(Pattern, Vec<Pattern>, Option<Pattern>), Error> {
        let at = format!("{key}.images");
        let mut images = match &self.images {
            Patterns::One(one) => vec![Pattern::parse(&at, one)?],
            Patterns::List(list) => {
                list.iter().map(|text| Pattern::parse(&at, text)).collect::<Result<_, _>>()?
            }
        };
        if images.is_empty() {
            return Err(Error::choice(at, "a pattern or a list of them", "an empty list"));
        }
        let others = images.split_off(1);
        let first = images.remove(0);
        if first.wildcards().next().is_none() {
            return Err(Error::choice(
                at,
                "a pattern with `*` or `{id}`",
                format_args!("`{}`", first.text()),
            ));
        }
        let labels =
            self.labels.as_ref().map(|text| Pattern::parse(&format!("{key}.labels"), text)).transpose()?;
        for (key, pattern) in
            others.iter().map(|p| (at.clone(), p)).chain(labels.iter().map(|p| (format!("{key}.labels"), p)))
        {
            let known: Vec<&str> = first.wildcards().filter(|name| !name.is_empty()).chain(["id"]).collect();
            if let Some(unknown) = pattern.wildcards().find(|name| !name.is_empty() && !known.contains(name))
            {
                let expected = format!("a pattern with the names {}", known.join(", "));
                return Err(Error::choice(
                    key,
                    expected,
                    format_args!("`{unknown}` in `{}`", pattern.text()),
                ));
            }
        }
        Ok((first, others, labels))
    }

    fn subjects(&self, root: &Path) -> Result<Subjects, Error> {
        let (first, others, labels) = self.patterns("manifest.glob")?;
        let found = first.find(root)?;
        if found.is_empty() {
            return Err(Error::Manifest {
                path: root.to_owned(),
                place: String::new(),
                expected: format!("files that match `{}`", first.text()),
                found: "none".to_owned(),
            });
        }
        let (mut subjects, mut places) = (Vec::new(), Vec::new());
        for (image, captures) in found {
            let mut names = names(captures);
            let place = format!(", pattern `{}`, file {}", first.text(), image.display());
            let companion = |pattern: &Pattern| companion(pattern, &names, root, &place);
            let mut images = vec![image.clone()];
            for pattern in &others {
                images.push(companion(pattern)?);
            }
            let label = labels.as_ref().map(companion).transpose()?;
            subjects.push(Subject {
                id: names.remove("id").unwrap_or_default(),
                images,
                label,
                group: names.remove("group"),
                class: names.remove("class"),
                facts: names,
            });
            places.push(place);
        }
        Subjects::listed(root, subjects, places)
    }
}

/// Returns what names have matched, and the id.
fn names(captures: Captures) -> BTreeMap<String, String> {
    let all: Vec<&str> = captures.iter().map(|(_, value)| value.as_str()).collect();
    let id = all.join("_");
    let mut names: BTreeMap<String, String> =
        captures.into_iter().filter(|(name, _)| !name.is_empty()).collect();
    names.entry("id".to_owned()).or_insert(id);
    names
}

/// Finds the file that belongs to a subject by a pattern.
fn companion(
    pattern: &Pattern,
    names: &BTreeMap<String, String>,
    root: &Path,
    place: &str,
) -> Result<PathBuf, Error> {
    let wrong = |expected: String, found: String| Error::Manifest {
        path: root.to_owned(),
        place: place.to_owned(),
        expected,
        found,
    };
    let filled =
        pattern.with(names).map_err(|name| wrong(format!("a value for `{{{name}}}`"), "none".to_owned()))?;
    if let Some(path) = filled.path(root) {
        return Ok(path);
    }
    let mut found = filled.find(root)?;
    match found.len() {
        1 => Ok(found.remove(0).0),
        n => Err(wrong(
            format!("one file that matches `{}` for the subject `{}`", pattern.text(), names["id"]),
            format!(
                "{n}{}",
                found.first().map_or_else(String::new, |(path, _)| format!(", as {}", path.display()))
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        root
    }

    fn glob(images: &[&str], labels: Option<&str>) -> Manifest {
        let images = Patterns::List(images.iter().map(|&text| text.to_owned()).collect());
        Manifest::Glob(GlobManifest { images, labels: labels.map(str::to_owned) })
    }

    #[test]
    fn a_star_is_the_id_and_labels_and_channels_follow_it() {
        let root =
            folder(&["t1/s2_T1.nii", "t1/s1_T1.nii", "t2/s1_T2_v9.nii", "t2/s2_T2_v3.nii", "seg/s1.nii"]);
        let subjects =
            glob(&["t1/*_T1.nii", "t2/{id}_T2_*.nii"], Some("seg/{id}.nii")).subjects(root.path()).unwrap();
        let ids: Vec<&str> = subjects.iter().map(|subject| subject.id.as_str()).collect();
        assert_eq!(ids, ["s1", "s2"]);
        assert!(subjects.as_slice()[1].images[1].ends_with("t2/s2_T2_v3.nii"));
        assert!(subjects.as_slice()[1].label.as_ref().unwrap().ends_with("seg/s2.nii"));
        let error = subjects.check_files().unwrap_err().to_string();
        assert!(error.contains("pattern `t1/*_T1.nii`, file "), "{error}");
        assert!(error.contains(": there is no file ") && error.ends_with("seg/s2.nii"), "{error}");
    }

    #[test]
    fn names_become_group_class_and_facts_and_an_id_is_made_of_them() {
        let root = folder(&["ill/p1/v1_T1.nii", "well/p2/v1_T1.nii", "well/p2/v2_T1.nii"]);
        let subjects = glob(&["{class}/{group}/{visit}_T1.nii"], None).subjects(root.path()).unwrap();
        let last = &subjects.as_slice()[2];
        assert_eq!(last.id, "well_p2_v2");
        assert_eq!((last.group.as_deref(), last.class.as_deref()), (Some("p2"), Some("well")));
        assert_eq!(last.facts["visit"], "v2");
    }

    #[test]
    fn what_matches_nothing_or_twice_and_unknown_names_are_errors() {
        let root = folder(&["a/s1.nii", "b/s1_x.nii", "b/s1_y.nii"]);
        let message = |manifest: Manifest| {
            manifest
                .subjects(root.path())
                .unwrap_err()
                .to_string()
                .replace(root.path().to_str().unwrap(), "ROOT")
        };
        assert_eq!(
            message(glob(&["a/*.nii.gz"], None)),
            "ROOT: expected files that match `a/*.nii.gz`, found none"
        );
        assert_eq!(
            message(glob(&["a/*.nii"], Some("b/{id}_*.nii"))),
            "ROOT, pattern `a/*.nii`, file ROOT/a/s1.nii: expected one file that matches `b/{id}_*.nii` for the subject \
             `s1`, found 2, as ROOT/b/s1_x.nii"
        );
        assert_eq!(
            message(glob(&["a/*.nii"], Some("b/{visit}.nii"))),
            "`manifest.glob.labels` must be a pattern with the names id, found `visit` in `b/{visit}.nii`"
        );
        assert_eq!(
            message(glob(&["a/s1.nii"], None)),
            "`manifest.glob.images` must be a pattern with `*` or `{id}`, found `a/s1.nii`"
        );
        assert_eq!(
            message(Manifest::File("a/list.txt".into())),
            "`manifest` must be a file that ends in .json, .csv or .tsv, or a mapping, found a/list.txt"
        );
    }

    #[test]
    fn a_manifest_is_written_as_a_path_or_a_mapping_and_comes_back() {
        for text in [
            r#""a/dataset.json""#,
            r#"{"csv":{"file":"t.csv","images":["t1","t2"]}}"#,
            r#"{"glob":{"images":"*.nii","labels":"l/{id}.nii"}}"#,
            r#"{"dataset_json":{"file":"d.json","part":"test"}}"#,
        ] {
            let manifest: Manifest = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&manifest).unwrap(), text);
        }
        let error =
            serde_json::from_str::<Manifest>(r#"{"glob":{"images":"*.nii","lables":"x"}}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `lables`"), "{error}");
        let error = serde_json::from_str::<Manifest>(r#"{"xml":{}}"#).unwrap_err();
        assert!(error.to_string().contains("unknown variant `xml`"), "{error}");
    }
}
