//! Patterns of paths whose wildcards have names.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Folders within folders that `**` looks into.
const MOST_DEPTH: usize = 32;

/// Wildcards of one name of a pattern; matching takes time that grows with this power.
const MOST_WILDCARDS: usize = 8;

/// A pattern of paths: `*` and `{name}` match one or more characters of a single file or folder name, `?` matches one,
/// `**` as a whole name any number of folders. Where there are several ways to match, wildcards to the left take as few
/// characters as they can. A name that comes again must match the same characters.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    text: String,
    absolute: bool,
    names: Vec<Name>,
}

#[derive(Clone, Debug)]
enum Name {
    Folders,
    Pieces(Vec<Piece>),
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Star,
    Any,
    Named(String),
}

/// What wildcards have matched: `*` with an empty name, each in the order of the pattern.
pub(super) type Captures = Vec<(String, String)>;

impl Pattern {
    /// Reads a pattern that stands at `key` of a configuration.
    pub(super) fn parse(key: &str, text: &str) -> Result<Self, Error> {
        let wrong = |expected: &str| Error::choice(key, expected, format_args!("`{text}`"));
        let mut names = Vec::new();
        let (absolute, rest) = text.strip_prefix('/').map_or((false, text), |rest| (true, rest));
        for name in rest.split('/') {
            match name {
                "" => return Err(wrong("a pattern of paths without empty names")),
                "." => {}
                "**" => names.push(Name::Folders),
                _ => {
                    let pieces =
                        pieces(name).ok_or_else(|| wrong("a pattern whose braces enclose names: {id}"))?;
                    let wildcards = pieces.iter().filter(|piece| !matches!(piece, Piece::Text(_))).count();
                    if MOST_WILDCARDS < wildcards {
                        return Err(wrong("a pattern with at most 8 wildcards in one name"));
                    }
                    names.push(Name::Pieces(pieces));
                }
            }
        }
        if !matches!(names.last(), Some(Name::Pieces(_))) {
            return Err(wrong("a pattern that ends in the name of a file"));
        }
        Ok(Self { text: text.to_owned(), absolute, names })
    }

    /// Returns the pattern as it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the names in braces, in order; `*` is an empty one.
    pub(super) fn wildcards(&self) -> impl Iterator<Item = &str> {
        let pieces = self.names.iter().flat_map(|name| match name {
            Name::Pieces(pieces) => pieces.as_slice(),
            Name::Folders => &[],
        });
        pieces.filter_map(|piece| match piece {
            Piece::Star => Some(""),
            Piece::Named(name) => Some(name.as_str()),
            Piece::Text(_) | Piece::Any => None,
        })
    }

    /// Returns every file below `root` that matches, in the order of paths. Names that begin with a dot are matched only
    /// by patterns that do.
    pub(super) fn find(&self, root: &Path) -> Result<Vec<(PathBuf, Captures)>, Error> {
        let start = if self.absolute { Path::new("/") } else { root };
        let mut found = Vec::new();
        walk(start, &self.names, &mut Captures::new(), 0, &mut found)?;
        found.sort();
        // `**` twice can find a file in several ways.
        found.dedup_by(|a, b| a.0 == b.0);
        Ok(found)
    }

    /// Puts what is known in place of names; what is left are `*`, `?` and `**`.
    ///
    /// # Errors
    /// Returns the name that is not known.
    pub(super) fn with(&self, known: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut filled = self.clone();
        for name in &mut filled.names {
            let Name::Pieces(pieces) = name else { continue };
            for piece in pieces {
                if let Piece::Named(name) = piece {
                    *piece = Piece::Text(known.get(name).ok_or_else(|| name.clone())?.clone());
                }
            }
        }
        Ok(filled)
    }

    /// Returns the path that this pattern is, if it has no wildcards.
    pub(super) fn path(&self, root: &Path) -> Option<PathBuf> {
        let mut path = if self.absolute { PathBuf::from("/") } else { root.to_owned() };
        for name in &self.names {
            let Name::Pieces(pieces) = name else { return None };
            path.push(literal(pieces)?);
        }
        Some(path)
    }
}

fn pieces(name: &str) -> Option<Vec<Piece>> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let (piece, length) = match first {
            '*' => (Piece::Star, 1),
            '?' => (Piece::Any, 1),
            '{' => {
                let end = rest.find('}')?;
                let inner = &rest[1..end];
                let is_name =
                    !inner.is_empty() && inner.chars().all(|c| c.is_alphanumeric() || "_-".contains(c));
                (is_name.then(|| Piece::Named(inner.to_owned()))?, end + 1)
            }
            '}' => return None,
            _ => {
                let end = rest.find(['*', '?', '{', '}']).unwrap_or(rest.len());
                (Piece::Text(rest[..end].to_owned()), end)
            }
        };
        pieces.push(piece);
        rest = &rest[length..];
    }
    Some(pieces)
}

/// Returns the text of pieces without wildcards.
fn literal(pieces: &[Piece]) -> Option<String> {
    pieces
        .iter()
        .map(|piece| if let Piece::Text(text) = piece { Some(text.as_str()) } else { None })
        .collect()
}

fn walk(
    folder: &Path,
    names: &[Name],
    captures: &mut Captures,
    depth: usize,
    found: &mut Vec<(PathBuf, Captures)>,
) -> Result<(), Error> {
    let Some((name, rest)) = names.split_first() else { return Ok(()) };
    match name {
        Name::Folders => {
            walk(folder, rest, captures, depth, found)?;
            if depth < MOST_DEPTH {
                for (_, path) in entries(folder)? {
                    // A link to a folder is not followed: it may lead above itself.
                    if fs::symlink_metadata(&path).is_ok_and(|facts| facts.is_dir()) {
                        walk(&path, names, captures, depth + 1, found)?;
                    }
                }
            }
        }
        Name::Pieces(pieces) => {
            if let Some(text) = literal(pieces) {
                return step(&folder.join(text), rest, captures, depth, found);
            }
            for (text, path) in entries(folder)? {
                let before = captures.len();
                let hidden = text.starts_with('.')
                    && !matches!(pieces.first(), Some(Piece::Text(text)) if text.starts_with('.'));
                if !hidden && matches(pieces, &text, captures) {
                    step(&path, rest, captures, depth, found)?;
                }
                captures.truncate(before);
            }
        }
    }
    Ok(())
}

fn step(
    path: &Path,
    rest: &[Name],
    captures: &mut Captures,
    depth: usize,
    found: &mut Vec<(PathBuf, Captures)>,
) -> Result<(), Error> {
    if !rest.is_empty() {
        if path.is_dir() {
            walk(path, rest, captures, depth, found)?;
        }
    } else if path.is_file() {
        found.push((path.to_owned(), captures.clone()));
    }
    Ok(())
}

/// Lists a folder in the order of names; a name that is no UTF-8 matches nothing.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let failed = |e| Error::io("list", folder, e);
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if let Ok(name) = entry.file_name().into_string() {
            entries.push((name, entry.path()));
        }
    }
    entries.sort();
    Ok(entries)
}

fn matches(pieces: &[Piece], text: &str, captures: &mut Captures) -> bool {
    let Some((piece, rest)) = pieces.split_first() else { return text.is_empty() };
    match piece {
        Piece::Text(start) => {
            text.strip_prefix(start.as_str()).is_some_and(|text| matches(rest, text, captures))
        }
        Piece::Any => {
            let mut characters = text.chars();
            characters.next().is_some() && matches(rest, characters.as_str(), captures)
        }
        Piece::Named(name) if captures.iter().any(|(known, _)| known == name) => {
            let value = captures.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
            value.is_some_and(|value| {
                text.strip_prefix(value.as_str()).is_some_and(|text| matches(rest, text, captures))
            })
        }
        Piece::Star | Piece::Named(_) => {
            let name = if let Piece::Named(name) = piece { name.as_str() } else { "" };
            for (end, _) in text.char_indices().skip(1).chain([(text.len(), ' ')]) {
                if end == 0 {
                    return false;
                }
                let before = captures.len();
                captures.push((name.to_owned(), text[..end].to_owned()));
                if matches(rest, &text[end..], captures) {
                    return true;
                }
                captures.truncate(before);
            }
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(pattern: &str, text: &str) -> Option<Vec<String>> {
        let mut captures = Captures::new();
        let pieces = pieces(pattern).unwrap();
        matches(&pieces, text, &mut captures).then(|| captures.into_iter().map(|(_, value)| value).collect())
    }

    #[test]
    fn wildcards_take_as_little_as_they_can_and_at_least_one_character() {
        assert_eq!(captured("*_T1.nii", "a_b_T1.nii").unwrap(), ["a_b"]);
        assert_eq!(captured("{id}_{visit}.nii", "a_b_c.nii").unwrap(), ["a", "b_c"]);
        assert_eq!(captured("{id}-{id}.nii", "a-a-a-a.nii").unwrap(), ["a-a"]);
        assert_eq!(captured("{id}-{id}.nii", "a-b.nii"), None);
        assert_eq!(captured("*.nii", ".nii"), None);
        assert_eq!(captured("s?.nii", "sé.nii").unwrap(), [""; 0]);
        assert_eq!(captured("s?.nii", "s12.nii"), None);
        assert_eq!(captured("é*", "éß").unwrap(), ["ß"]);
    }

    #[test]
    fn files_are_found_below_named_folders_and_below_any_in_the_order_of_paths() {
        let root = tempfile::tempdir().unwrap();
        for file in
            ["p2/v1/a.nii", "p1/v2/a.nii", "p1/v1/a.nii", "p1/v1/._a.nii", "p1/.git/a.nii", "top/a.nii"]
        {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let find = |text: &str| -> Vec<String> {
            let found = Pattern::parse("images", text).unwrap().find(root.path()).unwrap();
            found
                .into_iter()
                .map(|(path, captures)| {
                    let captures: Vec<String> =
                        captures.iter().map(|(name, value)| format!("{name}={value}")).collect();
                    format!("{} {}", path.strip_prefix(root.path()).unwrap().display(), captures.join(","))
                })
                .collect()
        };
        assert_eq!(
            find("{patient}/{visit}/*.nii"),
            [
                "p1/v1/a.nii patient=p1,visit=v1,=a",
                "p1/v2/a.nii patient=p1,visit=v2,=a",
                "p2/v1/a.nii patient=p2,visit=v1,=a"
            ]
        );
        assert_eq!(find("p1/**/*.nii").len(), 3, "a hidden folder is one of any");
        assert_eq!(find("**/**/a.nii").len(), 5);
        assert_eq!(find("p1/v1/a.nii"), ["p1/v1/a.nii "]);
        assert!(find("p9/*.nii").is_empty());
    }

    #[test]
    fn a_pattern_that_cannot_be_is_refused_with_its_key() {
        for text in ["", "a//b", "a/{}.nii", "a/{id.nii", "a/id}.nii", "a/**", "********* "] {
            let error = Pattern::parse("images", text).unwrap_err().to_string();
            assert!(error.starts_with("`images` must be a pattern"), "{error}");
        }
    }
}
