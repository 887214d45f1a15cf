//! n classes from k samples of each: episodes as in one-shot learning.

use std::collections::BTreeMap;

use batchwright_core::{Name, Stream};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::mining::{Distance, EmbeddingError, Embeddings};

const EPISODE: Name = Name::new("pairs/few_shot");

/// From where the classes of an episode are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum EpisodeScope {
    /// From all classes, whatever their group (default).
    #[default]
    Across,
    /// From one group (an alphabet, say), drawn uniformly among those with enough classes.
    Within,
}

/// What stands for a class of an episode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Prototype {
    /// The mean of its shots (default; with the cosine, of the shots scaled to length 1).
    #[default]
    Mean,
    /// Its nearest shot.
    Nearest,
}

/// Episodes: each draws classes, and of each class shots and queries; each query goes to the nearest class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default, rename_all = "snake_case")]
pub struct EpisodeOptions {
    /// Classes of an episode (default 20).
    #[cfg_attr(feature = "schema", schemars(range(min = 2)))]
    pub ways: usize,
    /// Samples of each class that stand for it (default 1).
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub shots: usize,
    /// Samples of each class that are classified (default 1).
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub queries: usize,
    /// Episodes (default 400).
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub episodes: usize,
    /// Whether the classes come from everywhere, `across` (default), or from one group, `within`.
    pub scope: EpisodeScope,
    /// What stands for a class: the `mean` of its shots (default) or the `nearest` of them.
    pub prototype: Prototype,
}

impl Default for EpisodeOptions {
    fn default() -> Self {
        Self {
            ways: 20,
            shots: 1,
            queries: 1,
            episodes: 400,
            scope: EpisodeScope::Across,
            prototype: Prototype::Mean,
        }
    }
}

impl EpisodeOptions {
    /// Checks the ranges; `key` is where the options stand.
    pub fn check(&self, key: &str) -> Result<(), EmbeddingError> {
        let Self { ways, shots, queries, episodes, scope: _, prototype: _ } = self;
        for (name, value, least) in
            [("ways", *ways, 2), ("shots", *shots, 1), ("queries", *queries, 1), ("episodes", *episodes, 1)]
        {
            if value < least {
                let expected = format!("a whole number of at least {least}");
                return Err(EmbeddingError::choice(format!("{key}.{name}"), expected, value));
            }
        }
        Ok(())
    }
}

/// What [`few_shot`] found.
#[derive(Clone, Debug, PartialEq)]
pub struct FewShot {
    /// The mean error over the episodes, from 0 to 1.
    pub mean_error: f64,
    /// Half the width of the 95 % interval of that mean: 1.96 standard errors (0 of one episode).
    pub half_width: f64,
    /// The error of each episode.
    pub errors: Vec<f64>,
}

/// Runs episodes on embeddings.
///
/// Episode e draws from the stream (`seed`, 0, e, `pairs/few_shot`): with [`EpisodeScope::Within`] first a group, then the
/// classes without replacement, then of each class its shots and queries without replacement. A class of two groups is a
/// class of each. Classes are in the order of their (group, label), samples in that of their indices, and a choice of m
/// out of n is the first m of a shuffle from the front: place i is exchanged with one uniform among those from i on.
///
/// # Errors
/// Refuses options out of range, [`EpisodeScope::Within`] without groups, sets without enough classes of enough samples and,
/// for the cosine, embeddings of length 0.
pub fn few_shot(
    embeddings: &Embeddings,
    options: &EpisodeOptions,
    distance: Distance,
    seed: u64,
) -> Result<FewShot, EmbeddingError> {
    options.check("episodes")?;
    let EpisodeOptions { ways, shots, queries, episodes, scope, prototype } = *options;
    let per_class = shots.saturating_add(queries);
    let groups = match (scope, embeddings.groups()) {
        (EpisodeScope::Across, _) => None,
        (EpisodeScope::Within, Some(groups)) => Some(groups),
        (EpisodeScope::Within, None) => {
            return Err(EmbeddingError::Column { what: "a group", expected: embeddings.len(), found: 0 });
        }
    };
    let mut members: BTreeMap<(u32, u32), Vec<usize>> = BTreeMap::new();
    for sample in 0..embeddings.len() {
        let group = groups.map_or(0, |groups| groups[sample]);
        members.entry((group, embeddings.label(sample))).or_default().push(sample);
    }
    let mut by_group: BTreeMap<u32, Vec<Vec<usize>>> = BTreeMap::new();
    for ((group, _), samples) in members {
        let classes = by_group.entry(group).or_default();
        if per_class <= samples.len() {
            classes.push(samples);
        }
    }
    let found = by_group.values().map(Vec::len).max().unwrap_or(0);
    let usable: Vec<Vec<Vec<usize>>> = by_group.into_values().filter(|c| ways <= c.len()).collect();
    if usable.is_empty() {
        let of = if groups.is_some() { "of one group" } else { "of the set" };
        return Err(EmbeddingError::Episode { ways, per_class, found, of });
    }
    let space = distance.prepare(embeddings)?;
    let errors: Vec<f64> = (0..episodes)
        .into_par_iter()
        .map(|episode| {
            let mut stream = Stream::new(seed, 0, episode as u64, EPISODE);
            let group = match groups {
                None => 0,
                Some(_) => stream.below(usable.len() as u64) as usize,
            };
            let mut support = Vec::with_capacity(ways * shots);
            let mut asked = Vec::with_capacity(ways * queries);
            for (way, class) in choose(usable[group].len(), ways, &mut stream).into_iter().enumerate() {
                let samples = &usable[group][class];
                for (place, sample) in choose(samples.len(), per_class, &mut stream).into_iter().enumerate() {
                    let row = space.row(samples[sample]);
                    if place < shots {
                        support.push((way as u32, row));
                    } else {
                        asked.push((way as u32, row));
                    }
                }
            }
            let classifier = Classifier::new(&support, distance, prototype);
            let wrong = asked.iter().filter(|&&(way, row)| classifier.class_of(row) != way).count();
            wrong as f64 / asked.len() as f64
        })
        .collect();
    let n = errors.len() as f64;
    let mean_error = errors.iter().sum::<f64>() / n;
    let half_width = if errors.len() < 2 {
        0.0
    } else {
        let squares: f64 = errors.iter().map(|error| (error - mean_error).powi(2)).sum();
        // The quantile of the standard normal distribution at 0.975.
        1.959_963_984_540_054 * (squares / (n - 1.0) / n).sqrt()
    };
    Ok(FewShot { mean_error, half_width, errors })
}

/// Draws `m` of 0..n without replacement.
fn choose(n: usize, m: usize, stream: &mut Stream) -> Vec<usize> {
    let mut all: Vec<usize> = (0..n).collect();
    for place in 0..m {
        all.swap(place, place + stream.below((n - place) as u64) as usize);
    }
    all.truncate(m);
    all
}

/// Returns the class of each query, as the support's labels tell: for episodes that come from elsewhere. Of classes at the
/// same distance, the lower label.
///
/// # Errors
/// Refuses an empty support, sets of different dimensions and, for the cosine, embeddings of length 0.
pub fn classify(
    support: &Embeddings,
    queries: &Embeddings,
    distance: Distance,
    prototype: Prototype,
) -> Result<Vec<u32>, EmbeddingError> {
    if support.is_empty() {
        return Err(EmbeddingError::Empty { what: "samples of the support" });
    }
    if support.dims() != queries.dims() {
        return Err(EmbeddingError::Dimensions { expected: support.dims(), found: queries.dims() });
    }
    let (support, queries) = (distance.prepare(support)?, distance.prepare(queries)?);
    let rows: Vec<(u32, &[f32])> = (0..support.len()).map(|s| (support.label(s), support.row(s))).collect();
    let classifier = Classifier::new(&rows, distance, prototype);
    Ok((0..queries.len()).into_par_iter().map(|query| classifier.class_of(queries.row(query))).collect())
}

/// Rows that stand for classes, in the order of the classes.
struct Classifier {
    rows: Vec<(u32, Vec<f32>)>,
    distance: Distance,
}

impl Classifier {
    /// Takes prepared rows.
    fn new(support: &[(u32, &[f32])], distance: Distance, prototype: Prototype) -> Self {
        let mut rows: Vec<(u32, Vec<f32>)> = Vec::new();
        match prototype {
            Prototype::Nearest => {
                rows.extend(support.iter().map(|&(class, row)| (class, row.to_vec())));
                rows.sort_by_key(|&(class, _)| class);
            }
            Prototype::Mean => {
                let mut sums: BTreeMap<u32, (f64, Vec<f64>)> = BTreeMap::new();
                for &(class, row) in support {
                    let (count, sum) = sums.entry(class).or_insert_with(|| (0.0, vec![0.0; row.len()]));
                    *count += 1.0;
                    sum.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
                }
                rows.extend(sums.into_iter().map(|(class, (count, sum))| {
                    let mut mean: Vec<f32> = sum.iter().map(|sum| (sum / count) as f32).collect();
                    if distance == Distance::Cosine {
                        // Opposite shots cancel: their mean is at distance 1 of everything.
                        _ = crate::mining::scale_to_one(&mut mean);
                    }
                    (class, mean)
                }));
            }
        }
        Self { rows, distance }
    }

    fn class_of(&self, query: &[f32]) -> u32 {
        let (mut best, mut least) = (self.rows[0].0, f32::INFINITY);
        for (class, row) in &self.rows {
            let key = self.distance.key(row, query);
            if key < least {
                (best, least) = (*class, key);
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::{floats, integers, oracle};
    use crate::mining::clusters;

    #[test]
    fn queries_go_to_the_nearest_mean_as_numpy_says() {
        let oracle = oracle();
        let set = |value: &serde_json::Value| {
            Embeddings::new(
                floats(&value["values"]),
                value["dims"].as_u64().unwrap() as usize,
                integers(&value["labels"]),
            )
            .unwrap()
        };
        let (train, test) = (set(&oracle["train"]), set(&oracle["test"]));
        for case in oracle["classify"].as_array().unwrap() {
            let distance: Distance = serde_json::from_value(case["distance"].clone()).unwrap();
            let prototype: Prototype = serde_json::from_value(case["prototype"].clone()).unwrap();
            let found = classify(&train, &test, distance, prototype).unwrap();
            assert_eq!(found, integers(&case["classes"]), "{distance:?} {prototype:?}");
        }
    }

    #[test]
    fn tight_classes_make_no_error_and_noise_makes_that_of_guessing() {
        let options = EpisodeOptions { ways: 5, shots: 2, queries: 3, episodes: 400, ..Default::default() };
        let tight = few_shot(&clusters(300, 16, 10, 1e-3, 1), &options, Distance::Euclidean, 3).unwrap();
        assert_eq!((tight.mean_error, tight.half_width, tight.errors.len()), (0.0, 0.0, 400));
        for distance in [Distance::Euclidean, Distance::Cosine] {
            let noise = Embeddings::new(
                clusters(3000, 16, 1, 1.0, 2).values().to_vec(),
                16,
                (0..3000).map(|i| i % 10).collect(),
            )
            .unwrap();
            let noise = few_shot(&noise, &options, distance, 3).unwrap();
            // 0.8, within 4 standard errors.
            assert!((noise.mean_error - 0.8).abs() < 4.0 / 1.96 * noise.half_width, "{noise:?}");
            assert!(0.0 < noise.half_width && noise.half_width < 0.02);
        }
    }

    #[test]
    fn episodes_within_groups_never_mix_them() {
        // Two groups of 6 classes on the same six places: only within a group can they be told apart.
        let n = 240;
        let places: Vec<u32> = (0..n).map(|i| i % 12).collect();
        let values = places.iter().map(|c| (c % 6) as f32).collect();
        let groups = places.iter().map(|c| c / 6).collect();
        let set = Embeddings::new(values, 1, places).unwrap().with_groups(groups).unwrap();
        let options = EpisodeOptions { ways: 6, episodes: 100, ..Default::default() };
        let within = EpisodeOptions { scope: EpisodeScope::Within, ..options.clone() };
        let run = |options| few_shot(&set, options, Distance::Euclidean, 1);
        assert_eq!(run(&within).unwrap().mean_error, 0.0);
        assert!(0.05 < run(&options).unwrap().mean_error);
        assert_eq!(run(&within).unwrap(), run(&within).unwrap());
        let seven = EpisodeOptions { ways: 7, ..within.clone() };
        assert_eq!(
            run(&seven).unwrap_err().to_string(),
            "an episode of 7 classes takes 2 samples of each; at most 6 classes of one group have as many"
        );
        let many = EpisodeOptions { shots: 20, ..options };
        assert_eq!(
            run(&many).unwrap_err().to_string(),
            "an episode of 6 classes takes 21 samples of each; at most 0 classes of the set have as many"
        );
        assert_eq!(
            few_shot(&clusters(9, 2, 3, 1.0, 1), &within, Distance::Euclidean, 1).unwrap_err().to_string(),
            "0 values of a group for 9 samples"
        );
    }

    #[test]
    fn options_out_of_range_are_refused_by_key() {
        let one = EpisodeOptions { ways: 1, ..Default::default() };
        assert_eq!(
            one.check("eval.episodes").unwrap_err().to_string(),
            "eval.episodes.ways is 1; it takes a whole number of at least 2"
        );
    }

    #[test]
    fn a_choice_without_replacement_is_uniform() {
        let mut counts = BTreeMap::new();
        for position in 0..6000 {
            let chosen = choose(4, 2, &mut Stream::new(5, 0, position, "choose"));
            let (a, b) = (chosen[0].min(chosen[1]), chosen[0].max(chosen[1]));
            assert!(a < b);
            *counts.entry((a, b)).or_insert(0_u32) += 1;
        }
        // Six subsets of 1000 each, in 4.4 standard deviations (of 29).
        assert!(counts.len() == 6 && counts.values().all(|count| count.abs_diff(1000) < 128), "{counts:?}");
    }
}
