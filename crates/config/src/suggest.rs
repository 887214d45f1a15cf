//! What somebody may have meant.

use std::collections::BTreeMap;

use crate::check::shorten;
use crate::schema::Shape;

/// Words of other libraries for keys of ours.
const ALIASES: [(&str, &str); 26] = [
    ("batch", "batch_size"),
    ("bs", "batch_size"),
    ("num_workers", "workers"),
    ("n_workers", "workers"),
    ("nb_workers", "workers"),
    ("max_workers", "workers"),
    ("threads_per_worker", "threads"),
    ("num_threads", "threads"),
    ("prefetch", "max_queue_size"),
    ("prefetch_factor", "max_queue_size"),
    ("queue_size", "max_queue_size"),
    ("queue", "max_queue_size"),
    ("learning_rate", "lr"),
    ("n_epochs", "epochs"),
    ("num_epochs", "epochs"),
    ("max_epochs", "epochs"),
    ("gpu", "device"),
    ("lr_scheduler", "schedule"),
    ("scheduler", "schedule"),
    ("latent_dim", "latent"),
    ("z_dim", "latent"),
    ("p", "probability"),
    ("prob", "probability"),
    ("weights", "class_weight"),
    ("random_state", "seed"),
    ("random_seed", "seed"),
];

/// The keys of the whole schema: which key stands where.
#[derive(Debug, Default)]
pub(crate) struct Known(BTreeMap<String, Vec<String>>);

impl Known {
    /// Collects the keys of a schema.
    pub(crate) fn of(schema: &serde_json::Value) -> Self {
        let mut known = Self::default();
        crate::schema::walk(schema, &mut |path, shape| {
            if let Shape::Object { keys, .. } = shape {
                for key in keys {
                    let places = known.0.entry(key.clone()).or_default();
                    if !places.iter().any(|place| place == path) {
                        places.push(path.to_owned());
                    }
                }
            }
        });
        known
    }

    /// Says what an unknown key of an object, which has the keys `here`, may have been meant to be.
    pub(crate) fn explain(&self, key: &str, here: &[String]) -> String {
        let shown = shorten(key);
        let meant = normal(key);
        if let Some(same) = here.iter().find(|name| normal(name) == meant) {
            return format!("did you mean `{same}`?");
        }
        let near = nearest(key, here.iter().map(String::as_str));
        if let Some((name, 1)) = near {
            return format!("did you mean `{name}`?");
        }
        let alias = ALIASES.iter().find(|(other, _)| *other == meant).map(|(_, ours)| *ours);
        for name in [Some(key), alias].into_iter().flatten() {
            if name != key && here.iter().any(|other| other == name) {
                return format!("`{shown}` is called `{name}` here");
            }
            if let Some(places) = self.0.get(name) {
                let called = if name == key { String::new() } else { format!("is called `{name}` and ") };
                let places: Vec<String> = places.iter().map(|place| in_words(place)).collect();
                return format!("`{shown}` {called}belongs {}", join(&places, "or"));
            }
        }
        if let Some((name, _)) = near {
            return format!("did you mean `{name}`?");
        }
        if let Some((name, _)) = nearest(key, self.0.keys().map(String::as_str)) {
            let places: Vec<String> = self.0[name].iter().map(|place| in_words(place)).collect();
            return format!("did you mean `{name}`, which belongs {}?", join(&places, "or"));
        }
        if here.is_empty() {
            return "no key is known here".to_owned();
        }
        format!("known here: {}", here.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
    }
}

fn in_words(place: &str) -> String {
    if place.is_empty() { "at the top of the file".to_owned() } else { format!("to `{place}`") }
}

/// Joins names as a sentence does, three of them at most.
pub(crate) fn join(names: &[String], word: &str) -> String {
    let shown = &names[..names.len().min(3)];
    match shown {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} {word} {last}", first.join(", ")),
    }
}

fn normal(key: &str) -> String {
    key.to_lowercase().replace(['-', ' ', '.'], "_")
}

/// Returns the nearest name and its distance, if it is near enough to be a slip.
fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<(&'a str, usize)> {
    let word = normal(word);
    // Longer words are no slips of ours, and distances cost their product.
    if 64 < word.chars().count() {
        return None;
    }
    let most = (word.chars().count() / 3).max(1);
    names
        .map(|name| (name, strsim::damerau_levenshtein(&word, name)))
        .filter(|(name, distance)| *distance <= most && *distance < name.chars().count())
        .min_by_key(|(_, distance)| *distance)
}

/// Returns the suggestion for a word that is none of `words`.
pub(crate) fn word(found: &str, words: &[String]) -> Option<String> {
    if let Some(same) = words.iter().find(|name| normal(name) == normal(found)) {
        return Some(format!("did you mean `{same}`?"));
    }
    nearest(found, words.iter().map(String::as_str)).map(|(name, _)| format!("did you mean `{name}`?"))
}
