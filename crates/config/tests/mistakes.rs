//! The text of errors: one small document for each kind of mistake, beside what is said about it.

use std::fmt::Write;
use std::path::PathBuf;

use batchwright_config::Config;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes")
}

/// `UPDATE_GOLDEN=1` rewrites what is expected.
#[test]
fn each_kind_of_mistake_is_said_as_agreed() {
    let mut documents: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    documents.sort();
    let mut different = String::new();
    for path in &documents {
        let name = path.file_name().unwrap().to_str().unwrap();
        let content = std::fs::read_to_string(path).unwrap();
        // A first line `# --set KEY=VALUE` gives a setting.
        let settings: Vec<&str> = content.lines().filter_map(|line| line.strip_prefix("# --set ")).collect();
        let said = match Config::from_str(&content, name, &settings) {
            Ok(_) => "no mistake\n".to_owned(),
            Err(error) => {
                assert!(!error.mistakes().is_empty(), "{name}");
                for mistake in error.mistakes() {
                    assert!(1 <= mistake.place.line && 1 <= mistake.place.column, "{name}: {mistake}");
                }
                format!("{error}\n")
            }
        };
        let golden = path.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &said).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        if said != expected {
            writeln!(different, "--- {name} expected\n{expected}--- said\n{said}").unwrap();
        }
        assert!(!said.starts_with("no mistake"), "{name} has no mistake");
    }
    assert!(different.is_empty(), "{different}");
    assert!(27 <= documents.len(), "{} documents", documents.len());
}
