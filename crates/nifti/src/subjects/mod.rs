//! Subjects: what is loaded together, from lists, tables and patterns.

mod csv_file;
mod facts;
mod manifest;
mod msd;
mod pattern;
mod set;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::Error;

pub use csv_file::CsvManifest;
pub use facts::FactsTable;
pub use manifest::{GlobManifest, Manifest, Patterns};
pub use msd::{DatasetJson, JsonPart};
pub use set::{GEOMETRY_TOLERANCE, OpenSubject, SubjectSet};
pub(crate) use set::{compare, corners_apart, one_frame};

/// What is loaded together: images of one place, which become channels, a label map, and what is known about them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Its name, by which it is split and reported.
    pub id: String,
    /// The files of its images, in the order of channels.
    pub images: Vec<PathBuf>,
    /// The file of its label map.
    pub label: Option<PathBuf>,
    /// What it belongs to: a patient, a family.
    pub group: Option<String>,
    /// Its class.
    pub class: Option<String>,
    /// What else is known: age, sex, visit.
    pub facts: BTreeMap<String, String>,
}

/// A list of subjects, each id once, with what the list says about channels and labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subjects {
    // Invariant: `places` is as long as `list`; ids differ; each subject has an image.
    list: Vec<Subject>,
    places: Vec<String>,
    manifest: PathBuf,
    /// What paths in facts are relative to.
    root: PathBuf,
    channel_names: Vec<String>,
    label_names: BTreeMap<i64, String>,
}

impl Subjects {
    /// Makes a list of subjects that no file describes.
    ///
    /// # Errors
    /// Refuses an id that comes twice and a subject without images.
    pub fn new(list: Vec<Subject>) -> Result<Self, Error> {
        let places = (0..list.len()).map(|index| format!(", number {index}")).collect();
        Self::listed(Path::new("list of subjects"), list, places)
    }

    /// Makes a list of subjects that stand at `places` of a file.
    fn listed(manifest: &Path, list: Vec<Subject>, places: Vec<String>) -> Result<Self, Error> {
        let mut seen = BTreeMap::new();
        for (subject, place) in list.iter().zip(&places) {
            let wrong = |expected: String, found: String| Error::Manifest {
                path: manifest.to_owned(),
                place: place.clone(),
                expected,
                found,
            };
            if subject.id.is_empty() {
                return Err(wrong("the id of a subject".to_owned(), "an empty one".to_owned()));
            }
            if subject.images.is_empty() {
                return Err(wrong("an image".to_owned(), format!("none for the subject `{}`", subject.id)));
            }
            if let Some(first) = seen.insert(&subject.id, place) {
                let first = first.trim_start_matches(", ");
                return Err(wrong(
                    "an id that no other subject has".to_owned(),
                    format!("`{}` again, which is at {first}", subject.id),
                ));
            }
        }
        Ok(Self {
            list,
            places,
            manifest: manifest.to_owned(),
            root: PathBuf::new(),
            channel_names: Vec::new(),
            label_names: BTreeMap::new(),
        })
    }

    /// Returns how many subjects there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Iterates over the subjects.
    pub fn iter(&self) -> std::slice::Iter<'_, Subject> {
        self.list.iter()
    }

    /// Returns the subjects.
    pub fn as_slice(&self) -> &[Subject] {
        &self.list
    }

    /// Returns the file that lists them, or the folder that a pattern was looked for in.
    pub fn manifest(&self) -> &Path {
        &self.manifest
    }

    /// Returns the file of a subject that is named by a fact (a column of the list), or else by a pattern of paths with `{id}`;
    /// relative to the root of the data.
    ///
    /// # Errors
    /// Refuses a name that is neither, and a file that is not there.
    ///
    /// # Panics
    /// Panics if there is no such subject.
    pub fn file_of(&self, index: usize, name: &str) -> Result<PathBuf, Error> {
        let subject = &self.list[index];
        let path = match subject.facts.get(name) {
            Some(path) => self.root.join(path),
            None if name.contains("{id}") => self.root.join(name.replace("{id}", &subject.id)),
            None => {
                let known: Vec<&str> = subject.facts.keys().map(String::as_str).collect();
                let expected = format!(
                    "a fact of every subject, or a pattern with `{{id}}`; `{}` has: {}",
                    subject.id,
                    list(&known)
                );
                return Err(Error::choice("patch.sampler.weights", expected, format_args!("`{name}`")));
            }
        };
        if path.is_file() {
            return Ok(path);
        }
        let (manifest, place) = (self.manifest.clone(), self.places[index].clone());
        Err(Error::MissingFile { manifest, place, path })
    }

    /// Returns where in the list subject `index` stands, in words.
    ///
    /// # Panics
    /// Panics if there is no such subject.
    pub fn place(&self, index: usize) -> &str {
        self.places[index].trim_start_matches(", ")
    }

    /// Returns the names of the channels, where the list gives them.
    pub fn channel_names(&self) -> &[String] {
        &self.channel_names
    }

    /// Returns the names of the values of label maps, where the list gives them.
    pub fn label_names(&self) -> &BTreeMap<i64, String> {
        &self.label_names
    }

    /// Returns the classes of the subjects, in alphabetical order, which numbers them from 0.
    pub fn classes(&self) -> Vec<&str> {
        let classes: BTreeSet<&str> =
            self.list.iter().filter_map(|subject| subject.class.as_deref()).collect();
        classes.into_iter().collect()
    }

    /// Returns some of the subjects, in the order of `indices`.
    ///
    /// # Panics
    /// Panics if there is no such subject, or an index comes twice.
    pub fn subset(&self, indices: &[usize]) -> Self {
        let distinct: BTreeSet<&usize> = indices.iter().collect();
        assert_eq!(distinct.len(), indices.len(), "an index comes twice");
        Self {
            list: indices.iter().map(|&index| self.list[index].clone()).collect(),
            places: indices.iter().map(|&index| self.places[index].clone()).collect(),
            manifest: self.manifest.clone(),
            root: self.root.clone(),
            channel_names: self.channel_names.clone(),
            label_names: self.label_names.clone(),
        }
    }

    /// Looks whether every file is there; opens none.
    ///
    /// # Errors
    /// Names the first file that is not there and where it is listed.
    pub fn check_files(&self) -> Result<(), Error> {
        self.missing_files().into_iter().next().map_or(Ok(()), |(index, path)| {
            Err(Error::MissingFile {
                manifest: self.manifest.clone(),
                place: self.places[index].clone(),
                path,
            })
        })
    }

    /// Returns every file that is not there, with the index of its subject.
    pub fn missing_files(&self) -> Vec<(usize, PathBuf)> {
        let missing = |(index, subject): (usize, &Subject)| -> Vec<(usize, PathBuf)> {
            let files = subject.images.iter().chain(&subject.label);
            files.filter(|path| !path.is_file()).map(|path| (index, path.clone())).collect()
        };
        self.list.par_iter().enumerate().map(missing).collect::<Vec<_>>().into_iter().flatten().collect()
    }

    /// Takes a fact for what subjects belong to.
    ///
    /// # Errors
    /// Names a subject without this fact.
    pub fn grouped_by(mut self, fact: &str) -> Result<Self, Error> {
        self.take("group", fact, |subject| &mut subject.group)?;
        Ok(self)
    }

    /// Takes a fact for the class of subjects.
    ///
    /// # Errors
    /// Names a subject without this fact.
    pub fn classed_by(mut self, fact: &str) -> Result<Self, Error> {
        self.take("class", fact, |subject| &mut subject.class)?;
        Ok(self)
    }

    fn take(
        &mut self,
        key: &str,
        fact: &str,
        field: impl Fn(&mut Subject) -> &mut Option<String>,
    ) -> Result<(), Error> {
        for subject in &mut self.list {
            let Some(value) = subject.facts.get(fact).cloned() else {
                let known: Vec<&str> = subject.facts.keys().map(String::as_str).collect();
                return Err(Error::choice(
                    key,
                    format!("a fact of every subject; `{}` has: {}", subject.id, list(&known)),
                    format_args!("`{fact}`"),
                ));
            };
            *field(subject) = Some(value);
        }
        Ok(())
    }
}

impl<'a> IntoIterator for &'a Subjects {
    type Item = &'a Subject;
    type IntoIter = std::slice::Iter<'a, Subject>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Joins words for a message.
fn list(words: &[&str]) -> String {
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

/// Returns the name of a file without its folder and the endings of NIfTI.
pub(crate) fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    without_ending(&name).unwrap_or(&name).to_owned()
}

/// Returns the name of a NIfTI file without its ending, or nothing where it has none of the known ones.
pub(crate) fn without_ending(name: &str) -> Option<&str> {
    let lower = name.to_ascii_lowercase();
    let ending =
        [".nii.gz", ".nii", ".hdr.gz", ".hdr", ".img.gz", ".img"].into_iter().find(|e| lower.ends_with(e))?;
    // The endings are of ASCII, so lower case has the same length from the end.
    name.get(..name.len() - ending.len())
}

/// Deserializes what is written as a path alone or as a mapping.
struct PathOr<T>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de> + From<PathBuf>> serde::de::Visitor<'de> for PathOr<T> {
    type Value = T;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a path or a mapping")
    }

    fn visit_str<E: serde::de::Error>(self, path: &str) -> Result<T, E> {
        Ok(T::from(PathBuf::from(path)))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(serde::de::value::MapAccessDeserializer::new(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn subject(id: &str) -> Subject {
        Subject { id: id.to_owned(), images: vec![PathBuf::from(format!("{id}.nii"))], ..Subject::default() }
    }

    #[test]
    fn an_id_that_comes_twice_and_a_subject_without_images_are_errors() {
        let twice = Subjects::new(vec![subject("a"), subject("b"), subject("a")]).unwrap_err();
        assert!(twice.to_string().ends_with("found `a` again, which is at number 0"), "{twice}");
        let bare = Subjects::new(vec![Subject { id: "a".to_owned(), ..Subject::default() }]).unwrap_err();
        assert!(bare.to_string().ends_with("expected an image, found none for the subject `a`"), "{bare}");
    }

    #[test]
    fn a_fact_becomes_the_group_or_the_class_and_a_missing_one_is_named() {
        let with = |id: &str, sex: &str| Subject {
            facts: BTreeMap::from([("sex".to_owned(), sex.to_owned())]),
            ..subject(id)
        };
        let subjects = Subjects::new(vec![with("a", "M"), with("b", "F")]).unwrap();
        let classed = subjects.clone().classed_by("sex").unwrap();
        assert_eq!(classed.classes(), ["F", "M"]);
        assert_eq!(
            subjects.grouped_by("patient").unwrap_err().to_string(),
            "`group` must be a fact of every subject; `a` has: sex, found `patient`"
        );
    }

    #[test]
    fn endings_are_known_in_any_case() {
        for name in ["x.y.nii", "x.y.NII.GZ", "x.y.hdr", "x.y.img.gz"] {
            assert_eq!(without_ending(name), Some("x.y"));
        }
        assert_eq!(without_ending("x.txt"), None);
        assert_eq!(stem(Path::new("a/b.nii.gz")), "b");
    }
}
