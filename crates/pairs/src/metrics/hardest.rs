//! The pairs that embeddings get most wrong.

use std::cmp::Reverse;
use std::sync::{Mutex, PoisonError};

use crate::mining::{Distance, EmbeddingError, Embeddings, Nearest, References};

/// Two samples, `a` before `b`, and their distance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairDistance {
    /// The one.
    pub a: usize,
    /// The other.
    pub b: usize,
    /// How far they are from each other.
    pub distance: f32,
}

/// The pairs that embeddings get most wrong, the worst first.
#[derive(Clone, Debug, PartialEq)]
pub struct HardestPairs {
    /// The most distant pairs of one label.
    pub positives: Vec<PairDistance>,
    /// The nearest pairs of two labels.
    pub negatives: Vec<PairDistance>,
}

/// Finds the `count` most distant pairs of one label and the `count` nearest of two. Of pairs as far, those with the lower
/// `a`, then `b` come first.
///
/// # Errors
/// Refuses, for the cosine, embeddings of length 0.
pub fn hardest_pairs(
    embeddings: &Embeddings,
    distance: Distance,
    count: usize,
) -> Result<HardestPairs, EmbeddingError> {
    // What threads add in any order: the best of them all are the same in each.
    let worst = Mutex::new((Vec::new(), Vec::new()));
    References::new(embeddings, distance)?.rows(embeddings, |a, keys| {
        let label = embeddings.label(a);
        let mut near = Nearest::new(count);
        near.show_row(&keys[a + 1..], a + 1, |b| embeddings.label(b) != label);
        let mut far: Vec<(Reverse<u32>, usize, usize)> = (a + 1..keys.len())
            .filter(|&b| embeddings.label(b) == label)
            .map(|b| (Reverse(keys[b].to_bits()), a, b))
            .collect();
        keep(&mut far, count);
        let mut worst = worst.lock().unwrap_or_else(PoisonError::into_inner);
        worst.0.extend(far);
        worst.1.extend(near.into_sorted().map(|(key, b)| (key.to_bits(), a, b)));
        if 4 * count < worst.0.len() {
            keep(&mut worst.0, count);
        }
        if 4 * count < worst.1.len() {
            keep(&mut worst.1, count);
        }
    })?;
    let (mut positives, mut negatives) = worst.into_inner().unwrap_or_else(PoisonError::into_inner);
    keep(&mut positives, count);
    keep(&mut negatives, count);
    positives.sort_unstable();
    negatives.sort_unstable();
    let pair = |key: u32, a, b| PairDistance { a, b, distance: distance.of_key(f32::from_bits(key)) };
    Ok(HardestPairs {
        positives: positives.into_iter().map(|(Reverse(key), a, b)| pair(key, a, b)).collect(),
        negatives: negatives.into_iter().map(|(key, a, b)| pair(key, a, b)).collect(),
    })
}

fn keep<T: Ord>(pairs: &mut Vec<T>, count: usize) {
    if count < pairs.len() {
        pairs.select_nth_unstable(count);
        pairs.truncate(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mining::{clusters, distances};

    #[test]
    fn the_hardest_pairs_are_those_of_sorting_all() {
        for (n, count) in [(1, 3), (40, 7), (40, 100_000), (30, 0)] {
            let set = clusters(n, 3, 4, 1.0, 8);
            let all = distances(&set, &set, Distance::Euclidean).unwrap();
            let pairs = (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b)));
            let pairs = pairs.map(|(a, b)| PairDistance { a, b, distance: all[a * n + b] });
            let (mut same, mut other): (Vec<_>, Vec<_>) =
                pairs.partition(|p| set.label(p.a) == set.label(p.b));
            same.sort_by(|x, y| y.distance.total_cmp(&x.distance));
            other.sort_by(|x, y| x.distance.total_cmp(&y.distance));
            same.truncate(count);
            other.truncate(count);
            let found = hardest_pairs(&set, Distance::Euclidean, count).unwrap();
            assert_eq!(found, HardestPairs { positives: same, negatives: other });
        }
    }
}
