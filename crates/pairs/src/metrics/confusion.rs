//! Which classes lie next to each other.

use std::cmp::Reverse;

use super::retrieval::neighbours;
use crate::mining::{Distance, EmbeddingError, Embeddings};

/// How many samples of a class have their nearest in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confused {
    /// The class of the samples.
    pub class: u32,
    /// The class of their nearest.
    pub nearest: u32,
    /// How many samples that is so for.
    pub count: usize,
    /// The samples of the class.
    pub of: usize,
}

/// Counts the classes of the nearest neighbours, `top` couples of different classes, the most frequent first (of as many, the
/// lower classes): of each query among `references`, or among all other queries without.
///
/// # Errors
/// As [`neighbours`] with 1 neighbour.
pub fn confused_classes(
    queries: &Embeddings,
    references: Option<&Embeddings>,
    distance: Distance,
    top: usize,
) -> Result<Vec<Confused>, EmbeddingError> {
    let nearest = neighbours(queries, references, distance, 1)?.classes;
    let mut couples: Vec<(u32, u32)> = queries.labels().iter().copied().zip(nearest).collect();
    couples.sort_unstable();
    let mut confused = Vec::new();
    for class in couples.chunk_by(|a, b| a.0 == b.0) {
        for couple in class.chunk_by(|a, b| a.1 == b.1).filter(|couple| couple[0].0 != couple[0].1) {
            let (class_, nearest) = couple[0];
            confused.push(Confused { class: class_, nearest, count: couple.len(), of: class.len() });
        }
    }
    confused.sort_by_key(|couple| Reverse(couple.count));
    confused.truncate(top);
    Ok(confused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn couples_of_classes_come_by_how_often_they_are_confused() {
        let labels = vec![5, 5, 5, 1, 1, 2, 2];
        let line = vec![0.0, 0.4, 2.1, 0.1, 2.0, 9.0, 9.1];
        let set = Embeddings::new(line, 1, labels).unwrap();
        let found = confused_classes(&set, None, Distance::Euclidean, 9).unwrap();
        let confused = |class, nearest, count, of| Confused { class, nearest, count, of };
        assert_eq!(found, [confused(5, 1, 3, 3), confused(1, 5, 2, 2)]);
        assert_eq!(confused_classes(&set, None, Distance::Euclidean, 1).unwrap().len(), 1);
        let one = set.select(&[5]);
        let between = confused_classes(&set, Some(&one), Distance::Cosine, 9);
        assert_eq!(between, Err(EmbeddingError::NoDirection { sample: 0 }));
        let between = confused_classes(&set, Some(&one), Distance::Euclidean, 9).unwrap();
        assert_eq!(between, [confused(5, 2, 3, 3), confused(1, 2, 2, 2)]);
    }
}
