//! A table of facts that joins subjects by their ids.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::csv_file::Table;
use super::{Subjects, list};
use crate::error::Error;

/// A table (CSV, or TSV by its ending) with a row for each subject: age, sex, class, visit.
///
/// Columns named `group` and `class` become the subject's group and class, all others facts. A row whose id no subject
/// has is left alone; empty cells are no facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FactsTable {
    /// The table, relative to the root of the data.
    pub file: PathBuf,
    /// The column of ids; by default `id` where there is one, otherwise the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Whether subjects may be missing from the table; by default they may not.
    #[serde(default)]
    pub partial: bool,
}

impl From<PathBuf> for FactsTable {
    fn from(file: PathBuf) -> Self {
        Self { file, id: None, partial: false }
    }
}

impl FactsTable {
    /// Deserializes a table that is written as its path alone or as a mapping: for `deserialize_with`.
    ///
    /// # Errors
    /// Those of the format.
    pub fn path_or_mapping<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Self>, D::Error> {
        from.deserialize_any(super::PathOr(std::marker::PhantomData)).map(Some)
    }
}

impl Subjects {
    /// Adds the facts of a table, which is found relative to `root`. A fact that is known already is replaced.
    ///
    /// # Errors
    /// Names the table and the line: an unreadable row, no column of ids, an id that comes twice, a subject that the table
    /// does not have.
    pub fn with_facts(mut self, table: &FactsTable, root: &Path) -> Result<Self, Error> {
        let path = root.join(&table.file);
        let mut rows = Table::open(&path)?;
        let id = match &table.id {
            Some(id) => rows.column(id)?,
            None => rows.names().iter().position(|name| name == "id").unwrap_or(0),
        };
        let names = rows.names().to_vec();
        let mut found: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
        while let Some((place, row)) = rows.next()? {
            let key = row[id].clone();
            if found.contains_key(&key) {
                let expected = "an id that no other line has".to_owned();
                return Err(Error::Manifest { path, place, expected, found: format!("`{key}` again") });
            }
            found.insert(key, (place, row));
        }
        for subject in &mut self.list {
            let Some((_, row)) = found.get(&subject.id) else {
                if table.partial {
                    continue;
                }
                let some: Vec<&str> = found.keys().take(3).map(String::as_str).collect();
                return Err(Error::Manifest {
                    path,
                    place: String::new(),
                    expected: format!("a line for the subject `{}` (or `partial: true`)", subject.id),
                    found: format!("none; ids of the column `{}` are: {}", names[id], list(&some)),
                });
            };
            for (column, (name, value)) in names.iter().zip(row).enumerate() {
                if column == id || value.is_empty() {
                    continue;
                }
                match name.as_str() {
                    "group" => subject.group = Some(value.clone()),
                    "class" => subject.class = Some(value.clone()),
                    _ => drop(subject.facts.insert(name.clone(), value.clone())),
                }
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::subject;
    use super::*;

    #[test]
    fn facts_join_by_id_and_a_subject_without_a_line_is_an_error_unless_that_is_chosen() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("f.csv"), "MRID,Age,class,Site\nb,31.5,x,\na,46,y,HH\nz,1,y,HH\n")
            .unwrap();
        let table = FactsTable::from(PathBuf::from("f.csv"));
        let subjects = Subjects::new(vec![subject("a"), subject("b")]).unwrap();
        let joined = subjects.with_facts(&table, folder.path()).unwrap();
        assert_eq!(joined.as_slice()[0].facts["Age"], "46");
        assert_eq!(joined.as_slice()[1].class.as_deref(), Some("x"));
        assert!(!joined.as_slice()[1].facts.contains_key("Site"), "an empty cell is no fact");

        let more = Subjects::new(vec![subject("a"), subject("c")]).unwrap();
        let error = more.clone().with_facts(&table, folder.path()).unwrap_err();
        assert!(
            error.to_string().ends_with(
                "f.csv: expected a line for the subject `c` (or `partial: true`), found none; ids of the column `MRID` \
                 are: a, b, z"
            ),
            "{error}"
        );
        let joined = more.with_facts(&FactsTable { partial: true, ..table.clone() }, folder.path()).unwrap();
        assert!(joined.as_slice()[1].facts.is_empty());

        std::fs::write(folder.path().join("f.csv"), "id,Age\na,1\na,2\n").unwrap();
        let error = joined.with_facts(&table, folder.path()).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("f.csv, line 3: expected an id that no other line has, found `a` again")
        );
    }
}
