//! Whether a run may go on under a configuration.

use std::collections::BTreeMap;

use serde_json::Value;

/// What may change between the parts of one run: nothing here changes what a step computes. More or fewer epochs change the
/// learning rate of the schedules that look at the end, from there on.
const FREE: [&str; 10] = [
    "name",
    "data.root",
    "loader.workers",
    "loader.max_queue_size",
    "loader.queue_bytes",
    "loader.timeout",
    "logging",
    "training.checkpoint",
    "training.epochs",
    "training.threads",
];

/// Returns what changed from `was` to `is` that may not change, one line a key.
pub(crate) fn changes(was: &Value, is: &Value) -> Vec<String> {
    let (was, is) = (flat(was), flat(is));
    let mut keys: Vec<_> = was.keys().chain(is.keys()).collect();
    keys.sort();
    keys.dedup();
    let shown = |value: Option<&String>| value.map_or_else(|| "(absent)".to_owned(), Clone::clone);
    keys.into_iter()
        .filter(|key| was.get(*key) != is.get(*key) && !is_free(key))
        .map(|key| format!("`{key}` was {}, is {}", shown(was.get(key)), shown(is.get(key))))
        .collect()
}

fn is_free(key: &str) -> bool {
    FREE.iter()
        .any(|free| key.strip_prefix(free).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
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
            "seed": 1, "loader": { "workers": 2, "batch_size": 8 },
            "training": { "epochs": 3, "optimizer": { "adam": { "lr": 0.1 } } }, "logging": { "dir": "a" }
        });
        let is = json!({
            "seed": 1, "loader": { "workers": 4, "batch_size": 16 },
            "training": { "epochs": 5, "optimizer": { "sgd": { "lr": 0.1 } } }, "logging": { "dir": "b", "log_every": 1 }
        });
        assert_eq!(
            changes(&was, &is),
            [
                "`loader.batch_size` was 8, is 16",
                "`training.optimizer.adam.lr` was 0.1, is (absent)",
                "`training.optimizer.sgd.lr` was (absent), is 0.1",
            ]
        );
        assert!(changes(&was, &was).is_empty());
    }
}
