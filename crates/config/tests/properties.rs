//! Whatever a document says, it is read or it is an error with a line.

use batchwright_config::{Config, ConfigError};
use proptest::prelude::*;

const VALID: &str = include_str!("../../../configs/vae-pneumonia.yaml");
const NONE: &[&str] = &[];

fn reads_or_says_where(document: &str) {
    match Config::from_str(document, "x.yaml", NONE) {
        Ok(config) => {
            let again = Config::from_str(&config.to_yaml().unwrap(), "x.yaml", NONE);
            assert_eq!(again.map_err(|error| error.to_string()), Ok(config));
        }
        Err(ConfigError::Mistakes(mistakes)) => {
            assert!(!mistakes.is_empty());
            for mistake in &mistakes {
                assert!(1 <= mistake.place.line && !mistake.message.is_empty(), "{mistake}");
            }
        }
        Err(error) => panic!("{error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_documents_are_read_or_refused_with_a_line(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..4, any::<char>(), 0_usize..12), 1..6),
    ) {
        let mut characters: Vec<char> = VALID.chars().collect();
        let special: Vec<char> = ":-[]{}#&*!|>'\"%@`,? \n\t0.~<".chars().collect();
        for (at, kind, character, length) in edits {
            let at = at.index(characters.len());
            match kind {
                0 => characters[at] = character,
                1 => characters.insert(at, special[character as usize % special.len()]),
                2 => {
                    let end = (at + length).min(characters.len());
                    if 1 < characters.len() - (end - at) {
                        characters.drain(at..end);
                    }
                }
                _ => {
                    let end = (at + 5 * length).min(characters.len());
                    let copy: Vec<char> = characters[at..end].to_vec();
                    characters.splice(at..at, copy);
                }
            }
        }
        reads_or_says_where(&characters.into_iter().collect::<String>());
    }

    #[test]
    fn documents_with_lines_taken_out_or_doubled_are_read_or_refused_with_a_line(
        lines in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 1..5),
    ) {
        let mut document: Vec<&str> = VALID.lines().collect();
        for (at, out) in lines {
            let at = at.index(document.len());
            if out && 1 < document.len() {
                document.remove(at);
            } else {
                document.insert(at, document[at]);
            }
        }
        reads_or_says_where(&document.join("\n"));
    }

    #[test]
    fn any_text_is_read_or_refused_with_a_line(document in "\\PC*") {
        reads_or_says_where(&document);
    }

    #[test]
    fn any_setting_is_taken_or_refused_with_a_line(setting in "(loader|data|model|training|seed|[a-z]{0,4})[.a-z0-9]{0,20}=?\\PC{0,20}") {
        match Config::from_str(VALID, "x.yaml", &[setting]) {
            Ok(_) => {}
            Err(ConfigError::Mistakes(mistakes)) => prop_assert!(!mistakes.is_empty()),
            Err(error) => panic!("{error}"),
        }
    }
}
