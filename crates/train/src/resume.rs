//! Whether a run may go on under a configuration.

use std::collections::BTreeMap;

use serde_json::Value;

/// The keys that say what a network is and what becomes of its images before it sees them.
const READ: [&str; 4] = ["model", "data.scale", "data.normalize", "data.dtype"];

/// Returns what changed from `was` to `is` that may not change within a run, one line a key.
pub(crate) fn changes(was: &Value, is: &Value) -> Vec<String> {
    differences(was, is, |_| true)
}

/// Returns what changed from `was` to `is` that weights of a run cannot be used under, one line a key.
pub(crate) fn changes_for_reading(was: &Value, is: &Value) -> Vec<String> {
    differences(was, is, |key| {
        READ.iter()
            .any(|read| key.strip_prefix(read).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    })
}

fn differences(was: &Value, is: &Value, counts: impl Fn(&str) -> bool) -> Vec<String> {
    let decisive = |value: &Value| {
        let mut value = value.clone();
        batchwright_config::remove_free(&mut value);
        flat(&value)
    };
    let (was, is) = (decisive(was), decisive(is));
    let mut keys: Vec<_> = was.keys().chain(is.keys()).collect();
    keys.sort();
    keys.dedup();
    let shown = |value: Option<&String>| value.map_or_else(|| "(absent)".to_owned(), Clone::clone);
    keys.into_iter()
        .filter(|key| was.get(*key) != is.get(*key) && counts(key))
        .map(|key| format!("`{key}` was {}, is {}", shown(was.get(key)), shown(is.get(key))))
        .collect()
}

fn flat(value: &Value) -> BTreeMap<String, String> {
    fn walk(key: String, value: &Value, all: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                for (name, value) in map {
                    let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                    walk(key, value, all);
                }
            }
            value => {
                all.insert(key, value.to_string());
            }
        }
    }
    let mut all = BTreeMap::new();
    walk(String::new(), value, &mut all);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_change_that_changes_the_training_is_named_and_others_are_free() {
        let was = json!({
            "seed": 1, "loader": { "workers": 2, "queue_budget": "1 GiB", "batch_size": 8 },
            "data": { "idx": { "train": "a", "test": "b" }, "scale": "none" },
            "training": { "epochs": 3, "optimizer": { "adam": { "lr": 0.1 } } }, "logging": { "dir": "a" }
        });
        let is = json!({
            "seed": 1, "loader": { "workers": 4, "batch_size": 16 },
            "data": { "idx": { "train": "a", "test": "c" }, "scale": "full_range" },
            "training": { "epochs": 5, "optimizer": { "sgd": { "lr": 0.1 } } }, "logging": { "dir": "b", "log_every": 1 }
        });
        assert_eq!(
            changes(&was, &is),
            [
                "`data.scale` was \"none\", is \"full_range\"",
                "`loader.batch_size` was 8, is 16",
                "`training.optimizer.adam.lr` was 0.1, is (absent)",
                "`training.optimizer.sgd.lr` was (absent), is 0.1",
            ]
        );
        assert!(changes(&was, &was).is_empty());
        assert_eq!(changes_for_reading(&was, &is), ["`data.scale` was \"none\", is \"full_range\""]);
    }
}
