//! Documents made to hurt fail fast.

use std::fmt::Write;
use std::time::{Duration, Instant};

use batchwright_config::{Config, ConfigError};

const NONE: &[&str] = &[];

/// The promise is 0.1 s; a busy machine is given ten times as much.
fn fails_fast(name: &str, document: &str) -> ConfigError {
    let start = Instant::now();
    let error = Config::from_str(document, name, NONE).expect_err(name);
    let took = start.elapsed();
    println!("{name}: {:.4} s for {} bytes", took.as_secs_f64(), document.len());
    assert!(took < Duration::from_secs(1), "{name} took {took:?}");
    let text = error.to_string();
    assert!(text.len() < 20_000, "{name}: {} bytes of error", text.len());
    error
}

#[test]
fn a_hundred_thousand_brackets_fail_fast() {
    let text = fails_fast("brackets.yaml", &"[".repeat(100_000)).to_string();
    assert!(text.contains("brackets.yaml:1:"), "{text}");
    fails_fast("closed.yaml", &format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)));
    fails_fast("braces.yaml", &"{a: ".repeat(100_000));
    let deep: String = (0..700).fold(String::new(), |mut text, i| {
        writeln!(text, "{}a:", " ".repeat(i)).unwrap();
        text
    });
    fails_fast("indented.yaml", &deep);
}

#[test]
fn an_alias_bomb_fails_fast() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..10 {
        let before = format!("*a{}", i - 1);
        writeln!(bomb, "a{i}: &a{i} [{}]", [before.as_str(); 10].join(", ")).unwrap();
    }
    fails_fast("bomb.yaml", &bomb);
}

#[test]
fn millions_of_elements_fail_fast() {
    let list = format!("seed: [{}]", "1, ".repeat(3_000_000));
    let text = fails_fast("list.yaml", &list).to_string();
    assert!(text.contains("at most 1048576 are read"), "{text}");
    fails_fast("list-below-the-limit.yaml", &format!("seed: [{}]", "1,".repeat(500_000)));
}

#[test]
fn hundreds_of_thousands_of_anchors_fail_fast() {
    let anchors: String = (0..300_000).fold(String::from("seed: ["), |mut text, i| {
        write!(text, "&a{i} 1,").unwrap();
        text
    });
    fails_fast("anchors.yaml", &anchors);
    fails_fast("anchors-below-the-limit.yaml", &anchors[..1_000_000]);
}

#[test]
fn thousands_of_keys_and_long_texts_fail_fast() {
    let keys: String = (0..40_000).fold(String::new(), |mut text, i| {
        writeln!(text, "key{i}: 1").unwrap();
        text
    });
    fails_fast("keys.yaml", &keys);
    let same = "seed: 1\n".repeat(40_000);
    fails_fast("same.yaml", &same);
    fails_fast("text.yaml", &format!("name: {}\n", "x".repeat(1_000_000)));
    fails_fast("key.yaml", &format!("? {}\n: 1\n", "x".repeat(1_000_000)));
    fails_fast("line.yaml", &format!("seed: 1 {}\n", "# ".repeat(500_000)));
}

#[test]
fn a_file_that_is_no_text_or_too_large_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrong.yaml");
    std::fs::write(&path, b"seed: \xff\xfe").unwrap();
    let error = Config::from_path(&path, NONE).unwrap_err().to_string();
    assert!(error.ends_with("wrong.yaml is not UTF-8 (the first wrong byte is number 6)"), "{error}");
    std::fs::write(&path, vec![b'#'; 2 << 20]).unwrap();
    let error = Config::from_path(&path, NONE).unwrap_err().to_string();
    assert!(error.ends_with("wrong.yaml has 2097152 bytes; at most 1048576 are read"), "{error}");
    let error = Config::from_path(folder.path().join("none.yaml"), NONE).unwrap_err();
    assert!(error.to_string().ends_with("none.yaml"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
}
