//! What the neighbours of an embedding say about its class.

use crate::mining::{Distance, EmbeddingError, Embeddings, Nearest, References};

/// What [`neighbours`] found.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbours {
    /// The class that the neighbours of each query voted for.
    pub classes: Vec<u32>,
    /// The part of the queries whose class that is.
    pub accuracy: f64,
}

/// Classifies each query by its `k` nearest among `references`, or among all other queries (leave one out) without.
///
/// Each of the k has one vote; of classes with as many votes, the one with the nearest member wins. References at the same
/// distance are neighbours in the order of their indices.
///
/// # Errors
/// Refuses no queries, a `k` of 0 or of more than there are to choose from, sets of different dimensions and, for the
/// cosine, embeddings of length 0.
pub fn neighbours(
    queries: &Embeddings,
    references: Option<&Embeddings>,
    distance: Distance,
    k: usize,
) -> Result<Neighbours, EmbeddingError> {
    let among = references.unwrap_or(queries);
    if queries.is_empty() {
        return Err(EmbeddingError::Empty { what: "queries" });
    }
    let available = if references.is_some() { among.len() } else { among.len() - 1 };
    if k == 0 || available < k {
        return Err(EmbeddingError::Neighbours { wanted: k, available });
    }
    let classes = References::new(among, distance)?.rows(queries, |query, keys| {
        let mut nearest = Nearest::new(k);
        nearest.show_row(keys, 0, |index| references.is_some() || index != query);
        vote(nearest.into_sorted().map(|(_, index)| among.label(index)))
    })?;
    let right = classes.iter().zip(queries.labels()).filter(|(a, b)| a == b).count();
    Ok(Neighbours { accuracy: right as f64 / queries.len() as f64, classes })
}

/// Returns the class with most votes, the first among equals; classes come nearest first.
pub(super) fn vote(classes: impl Iterator<Item = u32>) -> u32 {
    let mut places: Vec<(u32, usize)> = classes.enumerate().map(|(place, class)| (class, place)).collect();
    places.sort_unstable();
    let by_class = places.chunk_by(|a, b| a.0 == b.0);
    let most = by_class.max_by_key(|members| (members.len(), std::cmp::Reverse(members[0].1)));
    most.expect("a vote has at least one voter")[0].0
}

/// How well samples find those of their class; means over the queries that have any to find.
///
/// R of a query is how many references of its class there are (itself not counted). Musgrave, Belongie and Lim 2020, "A
/// metric learning reality check", section 3.1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retrieval {
    /// The queries that count.
    pub queries: usize,
    /// The queries left out: their class is not among the references.
    pub without_match: usize,
    /// Precision at 1: whether the nearest is of the class.
    pub precision_at_1: f64,
    /// R-precision: the part of the R nearest that is of the class.
    pub r_precision: f64,
    /// Mean average precision at R: over the R nearest, the precision up to each that is of the class, summed and divided
    /// by R.
    pub map_at_r: f64,
}

/// Looks for the class of each query among `references`, or among all other queries without.
///
/// References at the same distance come in the order of their indices. Time is that of all distances and of sorting R
/// neighbours a query; memory is that of one row of distances a thread and some more.
///
/// # Errors
/// Refuses queries none of which has a match, sets of different dimensions and, for the cosine, embeddings of length 0.
pub fn retrieval(
    queries: &Embeddings,
    references: Option<&Embeddings>,
    distance: Distance,
) -> Result<Retrieval, EmbeddingError> {
    let among = references.unwrap_or(queries);
    let mut sorted = among.labels().to_vec();
    sorted.sort_unstable();
    let members = |label: u32| {
        sorted.partition_point(|&other| other <= label) - sorted.partition_point(|&other| other < label)
    };
    let scores = References::new(among, distance)?.rows(queries, |query, keys| {
        let label = queries.label(query);
        let r = members(label) - usize::from(references.is_none());
        if r == 0 {
            return None;
        }
        let mut nearest = Nearest::new(r);
        nearest.show_row(keys, 0, |index| references.is_some() || index != query);
        let (mut found, mut first, mut average) = (0_u32, false, 0.0);
        for (place, (_, index)) in nearest.into_sorted().enumerate() {
            if among.label(index) == label {
                found += 1;
                first |= place == 0;
                average += f64::from(found) / (place + 1) as f64;
            }
        }
        Some((first, f64::from(found) / r as f64, average / r as f64))
    })?;
    let (mut counted, mut first, mut precision, mut average) = (0_usize, 0_usize, 0.0, 0.0);
    for (is_first, r_precision, map_at_r) in scores.into_iter().flatten() {
        counted += 1;
        first += usize::from(is_first);
        precision += r_precision;
        average += map_at_r;
    }
    if counted == 0 {
        return Err(EmbeddingError::NoMatch { queries: queries.len(), references: among.len() });
    }
    let n = counted as f64;
    Ok(Retrieval {
        queries: counted,
        without_match: queries.len() - counted,
        precision_at_1: first as f64 / n,
        r_precision: precision / n,
        map_at_r: average / n,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::{floats, integers, oracle};

    fn set(value: &serde_json::Value) -> Embeddings {
        let labels = integers(&value["labels"]);
        Embeddings::new(floats(&value["values"]), value["dims"].as_u64().unwrap() as usize, labels).unwrap()
    }

    fn distance(value: &serde_json::Value) -> Distance {
        serde_json::from_value(value.clone()).unwrap()
    }

    #[test]
    fn votes_are_those_of_scikit_learn() {
        let oracle = oracle();
        let (train, test) = (set(&oracle["train"]), set(&oracle["test"]));
        for case in oracle["neighbours"].as_array().unwrap() {
            let references = (case["among"] == "train").then_some(&train);
            let k = case["k"].as_u64().unwrap() as usize;
            let found = neighbours(&test, references, distance(&case["distance"]), k).unwrap();
            assert_eq!(found.classes, integers(&case["classes"]), "k {k} {}", case["distance"]);
            assert!((found.accuracy - case["accuracy"].as_f64().unwrap()).abs() < 1e-12);
        }
    }

    #[test]
    fn precisions_are_those_of_pytorch_metric_learning() {
        let oracle = oracle();
        let (train, test) = (set(&oracle["train"]), set(&oracle["test"]));
        for case in oracle["retrieval"].as_array().unwrap() {
            let references = (case["among"] == "train").then_some(&train);
            let found = retrieval(&test, references, distance(&case["distance"])).unwrap();
            let close = |found: f64, key: &str| {
                let want = case[key].as_f64().unwrap();
                assert!((found - want).abs() < 1e-7, "{key}: {found} is not {want}");
            };
            close(found.precision_at_1, "precision_at_1");
            close(found.r_precision, "r_precision");
            close(found.map_at_r, "map_at_r");
            assert_eq!(found.without_match as u64, case["without_match"].as_u64().unwrap());
            assert_eq!(found.queries + found.without_match, test.len());
        }
    }

    #[test]
    fn of_classes_with_as_many_votes_the_nearest_wins() {
        assert_eq!(vote([3, 1, 1, 3, 2].into_iter()), 3);
        assert_eq!(vote([2, 1, 1, 3, 3].into_iter()), 1);
        let line = Embeddings::new(vec![0.0, 2.0, -1.0, 1.0], 1, vec![0, 1, 8, 9]).unwrap();
        // Both at distance 1: the lower index.
        assert_eq!(neighbours(&line, None, Distance::Euclidean, 1).unwrap().classes, [8, 9, 0, 0]);
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let set = Embeddings::new(vec![0.0, 2.0], 1, vec![0, 1]).unwrap();
        let none = Embeddings::new(vec![], 1, vec![]).unwrap();
        let text = |error: EmbeddingError| error.to_string();
        assert_eq!(
            text(neighbours(&set, None, Distance::Euclidean, 2).unwrap_err()),
            "cannot ask 2 neighbours of 1 samples"
        );
        assert_eq!(
            text(neighbours(&none, None, Distance::Euclidean, 1).unwrap_err()),
            "there are no queries"
        );
        assert_eq!(
            text(retrieval(&set, None, Distance::Euclidean).unwrap_err()),
            "none of 2 queries has another sample of its class among 2 references"
        );
    }
}
