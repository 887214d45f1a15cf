//! Runs of one-shot classification that someone else drew, in the layout of Omniglot's `all_runs`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{At, Error};
use crate::folder::{Folder, FolderOptions, is_picture};
use crate::tree::{Entry, Tree, skip_top};

/// The file of a run that says which class each test picture shows.
const LABELS: &str = "class_labels.txt";

/// Bytes of such a file.
const MOST_LABELS: u64 = 1 << 20;

/// One run: pictures of a few classes, one each, and pictures of which each shows one of these classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneShotRun {
    /// The name of its folder.
    pub name: String,
    /// The one picture of each class, by its index among all pictures.
    pub support: Vec<usize>,
    /// The pictures to be classified, by their indices among all pictures.
    pub queries: Vec<usize>,
    /// For each query, which entry of `support` shows its class.
    pub truth: Vec<usize>,
}

/// Runs of one-shot classification in files: a folder for each run (`run01`, `run02`, ...), with pictures in its folders
/// `training` and `test` and a file `class_labels.txt`, in which each line names a test picture and the training picture of
/// the same class, as `run01/test/item01.png run01/training/class11.png`.
///
/// The pictures of all runs are one [`ImageSource`](crate::ImageSource), so that a model embeds each of them once.
#[derive(Debug)]
pub struct OneShotRuns {
    pictures: Folder,
    runs: Vec<OneShotRun>,
}

impl OneShotRuns {
    /// Opens all runs in a folder or a zip archive, in the order of their names; a single folder that they all lie in is
    /// looked into. Reads the lists of labels, and pictures as [`Folder::open`] does.
    ///
    /// # Errors
    /// Names the file and the line that is wrong: one that is not two paths of the same run, that names a picture that is not
    /// there or a test picture a second time; and a list that leaves a test picture out, a run without a list, and a folder
    /// without runs.
    pub fn open(root: &Path, options: &FolderOptions) -> Result<Self, Error> {
        let (tree, mut entries) = Tree::open(root)?;
        let is_list = |id: &str| id.rsplit('/').next() == Some(LABELS);
        entries.retain(|entry| is_list(&entry.id) || is_picture(&entry.path));
        skip_top(&mut entries, |rest| rest.contains('/'));
        let (lists, pictures): (Vec<Entry>, Vec<Entry>) =
            entries.into_iter().partition(|entry| is_list(&entry.id));
        let pictures: Vec<Entry> = pictures.into_iter().filter(|entry| place(&entry.id).is_some()).collect();
        if pictures.is_empty() {
            return Err(Error::NoImages {
                path: root.to_owned(),
                hint: "runs are looked for: folders with `class_labels.txt`, `training` and `test`",
            });
        }
        let mut runs: BTreeMap<&str, Pictures<'_>> = BTreeMap::new();
        for (index, entry) in pictures.iter().enumerate() {
            if let Some((run, side)) = place(&entry.id) {
                let run = runs.entry(run).or_default();
                let side = match side {
                    Side::Training => &mut run.training,
                    Side::Test => &mut run.test,
                };
                side.insert(entry.id.as_str(), index);
            }
        }
        let mut read = Vec::with_capacity(runs.len());
        for (name, pictures) in &runs {
            let id = format!("{name}/{LABELS}");
            let Some(list) = lists.iter().find(|list| list.id == id) else {
                let expected = "a run with a file `class_labels.txt`";
                return Err(Error::malformed(&root.join(name), At::File, expected, "none"));
            };
            read.push(run(name, pictures, &list.path, tree.read(root, list, MOST_LABELS)?)?);
        }
        let pictures = Folder::of_entries(root, tree, pictures, options.clone())?;
        Ok(Self { pictures, runs: read })
    }

    /// Returns the pictures of all runs, in the order of their paths. They have no labels.
    pub fn pictures(&self) -> &Folder {
        &self.pictures
    }

    /// Returns the runs.
    pub fn runs(&self) -> &[OneShotRun] {
        &self.runs
    }

    /// Takes pictures and runs apart, so that the pictures can be made a data set.
    pub fn into_parts(self) -> (Folder, Vec<OneShotRun>) {
        (self.pictures, self.runs)
    }
}

/// The pictures of a run by their paths, with their indices.
#[derive(Default)]
struct Pictures<'a> {
    training: BTreeMap<&'a str, usize>,
    test: BTreeMap<&'a str, usize>,
}

enum Side {
    Training,
    Test,
}

/// Returns the run and the side of a picture that lies as those of runs do.
fn place(id: &str) -> Option<(&str, Side)> {
    let (run, rest) = id.split_once('/')?;
    let (side, name) = rest.split_once('/')?;
    let side = match side {
        "training" => Side::Training,
        "test" => Side::Test,
        _ => return None,
    };
    (!name.contains('/')).then_some((run, side))
}

/// Reads the list of a run.
fn run(name: &str, pictures: &Pictures<'_>, path: &Path, list: Vec<u8>) -> Result<OneShotRun, Error> {
    let list = String::from_utf8(list).map_err(|source| Error::decode(path, At::File, source))?;
    let support: Vec<usize> = pictures.training.values().copied().collect();
    let mut truth: BTreeMap<usize, usize> = BTreeMap::new();
    for (number, line) in list.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let malformed = |expected: String, found: &str| {
            Error::malformed(path, At::Line(number as u64 + 1), expected, found)
        };
        let mut words = line.split_whitespace();
        let (Some(query), Some(class), None) = (words.next(), words.next(), words.next()) else {
            let found = format!("`{}`", line.escape_debug().take(80).collect::<String>());
            return Err(malformed("the paths of a test and of a training picture".to_owned(), &found));
        };
        let find = |among: &BTreeMap<&str, usize>, side: &str, picture: &str| {
            let found = among.get(picture).copied();
            let expected = || format!("one of the {} pictures in `{name}/{side}`", among.len());
            found.ok_or_else(|| malformed(expected(), &format!("`{}`", picture.escape_debug())))
        };
        let query_at = find(&pictures.test, "test", query)?;
        let class_at = find(&pictures.training, "training", class)?;
        // They are ascending, as paths and pictures are.
        let class_at = support.partition_point(|&index| index < class_at);
        if truth.insert(query_at, class_at).is_some() {
            return Err(malformed("each test picture once".to_owned(), &format!("`{query}` again")));
        }
    }
    let missing = pictures.test.iter().find(|(_, index)| !truth.contains_key(index));
    if let Some((missing, _)) = missing {
        let expected = format!("a line for each of the {} test pictures", pictures.test.len());
        return Err(Error::malformed(path, At::File, expected, format!("none for `{missing}`")));
    }
    if truth.is_empty() {
        return Err(Error::malformed(path, At::File, "at least one test picture", "none"));
    }
    let (queries, truth) = truth.into_iter().unzip();
    Ok(OneShotRun { name: name.to_owned(), support, queries, truth })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tempfile::TempDir;

    use super::*;
    use crate::folder::Fit;
    use crate::picture::write_png_gray;
    use crate::source::{ImageSource, Scratch};

    /// Two runs of three classes and two queries each, below `top`. Pixels tell the pictures apart.
    fn runs(top: &str) -> TempDir {
        let root = TempDir::new().unwrap();
        let below = root.path().join(top);
        for (run, lines) in [("run01", [(1, 3), (2, 1)]), ("run02", [(1, 2), (2, 2)])] {
            for (side, name, count) in [("training", "class", 3), ("test", "item", 2)] {
                std::fs::create_dir_all(below.join(run).join(side)).unwrap();
                for number in 1..=count {
                    let path = below.join(format!("{run}/{side}/{name}{number:02}.png"));
                    write_png_gray(&path, &[number, 0, 0, 0], 2).unwrap();
                }
            }
            let line = |(item, class): (u8, u8)| {
                format!("{run}/test/item{item:02}.png {run}/training/class{class:02}.png\r\n")
            };
            // In any order.
            let list: String = lines.into_iter().rev().map(line).collect();
            std::fs::write(below.join(run).join(LABELS), list).unwrap();
        }
        std::fs::write(below.join("demo.py"), "print()").unwrap();
        root
    }

    fn check(runs: &OneShotRuns) {
        assert_eq!(runs.pictures().len(), 10);
        assert_eq!(runs.pictures().label(0), None);
        let names: Vec<&str> = runs.runs().iter().map(|run| run.name.as_str()).collect();
        assert_eq!(names, ["run01", "run02"]);
        let ids = |indices: &[usize]| -> Vec<String> {
            indices.iter().map(|&index| runs.pictures().id(index)).collect()
        };
        for (run, truth) in runs.runs().iter().zip([[2, 0], [1, 1]]) {
            let name = &run.name;
            let class = |number| format!("{name}/training/class{number:02}.png");
            assert_eq!(ids(&run.support), [1, 2, 3].map(class));
            assert_eq!(ids(&run.queries), [1, 2].map(|number| format!("{name}/test/item{number:02}.png")));
            assert_eq!(run.truth, truth);
        }
        let set = runs.pictures().fetch(runs.runs()[1].support[2], &mut Scratch::default()).unwrap().len();
        assert_eq!(set, 1);
    }

    fn options() -> FolderOptions {
        FolderOptions { size: Some([1, 1]), fit: Fit::Area, in_memory: true, ..FolderOptions::default() }
    }

    #[test]
    fn runs_are_read_from_a_folder_below_one_and_from_an_archive() {
        for top in ["", "all_runs"] {
            let root = runs(top);
            check(&OneShotRuns::open(root.path(), &options()).unwrap());
            let archive = root.path().join("x.zip");
            let mut writer = zip::ZipWriter::new(std::fs::File::create(&archive).unwrap());
            for entry in Tree::open(root.path()).unwrap().1.iter().filter(|entry| entry.id != "x.zip") {
                writer.start_file(&entry.id, zip::write::SimpleFileOptions::default()).unwrap();
                writer.write_all(&std::fs::read(&entry.path).unwrap()).unwrap();
            }
            writer.finish().unwrap();
            let lazy = FolderOptions { in_memory: false, ..options() };
            check(&OneShotRuns::open(&archive, &lazy).unwrap());
        }
    }

    #[test]
    fn a_single_run_is_no_folder_to_be_looked_into() {
        let root = runs("");
        std::fs::remove_dir_all(root.path().join("run02")).unwrap();
        let runs = OneShotRuns::open(root.path(), &options()).unwrap();
        assert_eq!((runs.runs().len(), runs.runs()[0].name.as_str()), (1, "run01"));
    }

    #[test]
    fn what_is_wrong_is_said_with_file_and_line() {
        let root = runs("");
        let list = root.path().join("run02").join(LABELS);
        let (a, b) = ("run02/test/item01.png", "run02/test/item02.png");
        let class = "run02/training/class01.png";
        let places = "run02/class_labels.txt at line 2: expected";
        for (text, expected) in [
            (
                format!("{a} {class}\n{b}\n"),
                format!("{places} the paths of a test and of a training picture, found `{b}`"),
            ),
            (
                format!("{a} {class}\n{b} {b}\n"),
                format!("{places} one of the 3 pictures in `run02/training`, found `{b}`"),
            ),
            (
                format!("\nrun01/test/item01.png {class}\n"),
                format!("{places} one of the 2 pictures in `run02/test`, found `run01/test/item01.png`"),
            ),
            (
                format!("{a} {class}\n{a} {class}\n"),
                format!("{places} each test picture once, found `{a}` again"),
            ),
            (
                format!("{a} {class}\n"),
                format!(
                    "run02/class_labels.txt: expected a line for each of the 2 test pictures, found none for `{b}`"
                ),
            ),
        ] {
            std::fs::write(&list, text).unwrap();
            let error = OneShotRuns::open(root.path(), &options()).unwrap_err().to_string();
            assert!(error.replace('\\', "/").ends_with(&expected), "{error}");
        }
        std::fs::write(&list, [0xff, 0xfe]).unwrap();
        let error = OneShotRuns::open(root.path(), &options()).unwrap_err().to_string();
        assert!(error.starts_with("cannot decode "), "{error}");
        std::fs::remove_file(&list).unwrap();
        let error = OneShotRuns::open(root.path(), &options()).unwrap_err().to_string();
        assert!(
            error.ends_with("run02: expected a run with a file `class_labels.txt`, found none"),
            "{error}"
        );
        let none = TempDir::new().unwrap();
        let error = OneShotRuns::open(none.path(), &options()).unwrap_err().to_string();
        assert!(error.contains("runs are looked for"), "{error}");
    }
}
