//! Distances of many embeddings to many others, a block at a time.

use std::borrow::Cow;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::embeddings::{Embeddings, scale_to_one};
use super::error::EmbeddingError;

/// References whose distances are computed together: two vectors of 128 bits.
const COLUMNS: usize = 8;
/// Queries whose distances are computed together; with [`COLUMNS`], what the 16 registers of SSE2 hold.
const ROWS: usize = 4;
/// Queries whose rows of distances are held at the same time, per thread, unless the rows are long.
const BLOCK: usize = 32;
/// The bytes of the rows of distances held at the same time, per thread, unless fewer than [`ROWS`] rows need more.
const BLOCK_BYTES: usize = 8 << 20;

/// How far two embeddings are from each other.
///
/// Squares of differences (or products of rows scaled to length 1) are summed in `f32` in the order of the dimensions,
/// never contracted: the same bits in both directions, in any block and on any system; 0 for equal rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// The length of the difference (default).
    #[default]
    Euclidean,
    /// The square of that length.
    SquaredEuclidean,
    /// 1 minus the cosine of the angle between the two: from 0 (the same direction) to 2.
    Cosine,
}

impl Distance {
    /// Turns what is compared (a square, where the distance is Euclidean) into the distance.
    pub(crate) fn of_key(self, key: f32) -> f32 {
        match self {
            Self::Euclidean => key.sqrt(),
            Self::SquaredEuclidean | Self::Cosine => key,
        }
    }

    /// Returns the embeddings as [`Distance::key`] wants them: of length 1 for the cosine.
    pub(crate) fn prepare(self, embeddings: &Embeddings) -> Result<Cow<'_, Embeddings>, EmbeddingError> {
        match self {
            Self::Euclidean | Self::SquaredEuclidean => Ok(Cow::Borrowed(embeddings)),
            Self::Cosine => embeddings.normalized().map(Cow::Owned),
        }
    }

    /// Returns what is compared of two prepared embeddings: never below 0, the same bits as [`References::rows`].
    pub(crate) fn key(self, a: &[f32], b: &[f32]) -> f32 {
        match self {
            Self::Euclidean | Self::SquaredEuclidean => a.iter().zip(b).fold(0.0, |sum, (a, b)| {
                let difference = a - b;
                sum + difference * difference
            }),
            Self::Cosine => of_cosine(a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b)),
        }
    }
}

fn of_cosine(cosine: f32) -> f32 {
    let distance = 1.0 - cosine;
    if 0.0 < distance { distance } else { 0.0 }
}

/// Computes all distances of `queries` to `references`, a row for each query: n times m numbers, for small sets.
///
/// # Errors
/// Refuses sets of different dimensions, and, for the cosine, embeddings of length 0.
pub fn distances(
    queries: &Embeddings,
    references: &Embeddings,
    distance: Distance,
) -> Result<Vec<f32>, EmbeddingError> {
    let rows = References::new(references, distance)?
        .rows(queries, |_, keys| keys.iter().map(|&key| distance.of_key(key)).collect::<Vec<_>>())?;
    Ok(rows.concat())
}

/// Embeddings laid out to be compared with many others: [`COLUMNS`] of them side by side, dimension after dimension.
#[derive(Debug)]
pub(crate) struct References {
    panels: Vec<f32>,
    n: usize,
    dims: usize,
    distance: Distance,
}

impl References {
    pub(crate) fn new(embeddings: &Embeddings, distance: Distance) -> Result<Self, EmbeddingError> {
        let (n, dims) = (embeddings.len(), embeddings.dims());
        let mut panels = vec![0.0; n.div_ceil(COLUMNS) * COLUMNS * dims];
        let mut row = Vec::with_capacity(dims);
        for sample in 0..n {
            row.clear();
            row.extend_from_slice(embeddings.row(sample));
            if distance == Distance::Cosine {
                scale_to_one(&mut row).ok_or(EmbeddingError::NoDirection { sample })?;
            }
            let panel = &mut panels[sample / COLUMNS * COLUMNS * dims..];
            for (dimension, &value) in row.iter().enumerate() {
                panel[dimension * COLUMNS + sample % COLUMNS] = value;
            }
        }
        Ok(Self { panels, n, dims, distance })
    }

    /// Calls `visit` with each query and what is compared of its distances to all references, in their order, and
    /// returns what it returns, in the order of the queries.
    ///
    /// Blocks of queries go to threads; a thread holds one block of rows, so memory is that of a few rows.
    pub(crate) fn rows<T: Send>(
        &self,
        queries: &Embeddings,
        visit: impl Fn(usize, &[f32]) -> T + Sync,
    ) -> Result<Vec<T>, EmbeddingError> {
        if queries.dims() != self.dims {
            return Err(EmbeddingError::Dimensions { expected: self.dims, found: queries.dims() });
        }
        let padded = self.n.div_ceil(COLUMNS) * COLUMNS;
        let rows = (BLOCK_BYTES / 4 / padded.max(1) / ROWS * ROWS).clamp(ROWS, BLOCK);
        let scratch = || (vec![0.0; rows * self.dims], vec![0.0; rows * padded]);
        let blocks: Vec<Vec<T>> = (0..queries.len().div_ceil(rows))
            .into_par_iter()
            .map_init(scratch, |(packed, keys), block| {
                let first = block * rows;
                let count = rows.min(queries.len() - first);
                self.pack(queries, first, count, packed)?;
                self.block(packed, count.div_ceil(ROWS), keys);
                Ok((0..count)
                    .map(|row| visit(first + row, &keys[row * padded..row * padded + self.n]))
                    .collect())
            })
            .collect::<Result<_, _>>()?;
        Ok(blocks.into_iter().flatten().collect())
    }

    /// Lays out queries as references are, [`ROWS`] of them side by side; what is left of the last few is 0.
    fn pack(
        &self,
        queries: &Embeddings,
        first: usize,
        count: usize,
        packed: &mut [f32],
    ) -> Result<(), EmbeddingError> {
        let mut row = Vec::with_capacity(self.dims);
        for place in 0..count.div_ceil(ROWS) * ROWS {
            row.clear();
            if place < count {
                row.extend_from_slice(queries.row(first + place));
                if self.distance == Distance::Cosine {
                    let sample = first + place;
                    scale_to_one(&mut row).ok_or(EmbeddingError::NoDirection { sample })?;
                }
            } else {
                row.resize(self.dims, 0.0);
            }
            let panel = &mut packed[place / ROWS * ROWS * self.dims..];
            for (dimension, &value) in row.iter().enumerate() {
                panel[dimension * ROWS + place % ROWS] = value;
            }
        }
        Ok(())
    }

    fn block(&self, packed: &[f32], groups: usize, keys: &mut [f32]) {
        match self.distance {
            Distance::Euclidean | Distance::SquaredEuclidean => {
                self.fill(packed, groups, keys, squares, |sum| sum);
            }
            Distance::Cosine => self.fill(packed, groups, keys, products, of_cosine),
        }
    }

    #[inline]
    fn fill(
        &self,
        packed: &[f32],
        groups: usize,
        keys: &mut [f32],
        tile: impl Fn(&[f32], &[f32]) -> [[f32; COLUMNS]; ROWS],
        finish: impl Fn(f32) -> f32,
    ) {
        let padded = self.n.div_ceil(COLUMNS) * COLUMNS;
        for (column, panel) in self.panels.chunks_exact(COLUMNS * self.dims).enumerate() {
            for (group, queries) in packed.chunks_exact(ROWS * self.dims).take(groups).enumerate() {
                for (row, sums) in tile(queries, panel).iter().enumerate() {
                    let at = (group * ROWS + row) * padded + column * COLUMNS;
                    keys[at..at + COLUMNS].copy_from_slice(&sums.map(&finish));
                }
            }
        }
    }
}

#[inline]
fn squares(queries: &[f32], panel: &[f32]) -> [[f32; COLUMNS]; ROWS] {
    let mut sums = [[0.0; COLUMNS]; ROWS];
    let ((queries, _), (panel, _)) = (queries.as_chunks::<ROWS>(), panel.as_chunks::<COLUMNS>());
    for (queries, references) in queries.iter().zip(panel) {
        for (sums, query) in sums.iter_mut().zip(queries) {
            for (sum, reference) in sums.iter_mut().zip(references) {
                let difference = query - reference;
                *sum += difference * difference;
            }
        }
    }
    sums
}

#[inline]
fn products(queries: &[f32], panel: &[f32]) -> [[f32; COLUMNS]; ROWS] {
    let mut sums = [[0.0; COLUMNS]; ROWS];
    let ((queries, _), (panel, _)) = (queries.as_chunks::<ROWS>(), panel.as_chunks::<COLUMNS>());
    for (queries, references) in queries.iter().zip(panel) {
        for (sums, query) in sums.iter_mut().zip(queries) {
            for (sum, reference) in sums.iter_mut().zip(references) {
                *sum += query * reference;
            }
        }
    }
    sums
}

#[cfg(test)]
pub(crate) mod tests {
    use batchwright_core::Stream;

    use super::*;

    /// Draws embeddings around the centres of their classes, which repeat from the first.
    pub(crate) fn clusters(n: usize, dims: usize, classes: u32, spread: f32, seed: u64) -> Embeddings {
        let mut values = vec![0.0; n * dims];
        Stream::new(seed, 0, 0, "noise").fill_normal(&mut values);
        let mut centres = vec![0.0; classes as usize * dims];
        Stream::new(seed, 0, 0, "centres").fill_normal(&mut centres);
        let labels: Vec<u32> = (0..n as u32).map(|i| i % classes).collect();
        for (i, value) in values.iter_mut().enumerate() {
            let class = labels[i / dims] as usize;
            *value = *value * spread + centres[class * dims + i % dims];
        }
        Embeddings::new(values, dims, labels).unwrap()
    }

    #[test]
    fn a_block_gives_the_bits_of_one_pair_at_a_time() {
        for (n, m, dims) in [(1, 1, 1), (5, 9, 3), (67, 41, 17), (33, 8, 128)] {
            let (a, b) = (clusters(n, dims, 3, 0.5, 1), clusters(m, dims, 3, 0.5, 2));
            for distance in [Distance::Euclidean, Distance::SquaredEuclidean, Distance::Cosine] {
                let all = distances(&a, &b, distance).unwrap();
                let (a, b) = (distance.prepare(&a).unwrap(), distance.prepare(&b).unwrap());
                for i in 0..n {
                    for j in 0..m {
                        let one = distance.of_key(distance.key(a.row(i), b.row(j)));
                        assert_eq!(all[i * m + j].to_bits(), one.to_bits(), "{distance:?} {i} {j}");
                    }
                }
            }
        }
    }

    #[test]
    fn distances_are_those_of_double_precision() {
        let (a, b) = (clusters(20, 64, 3, 1.0, 3), clusters(30, 64, 3, 1.0, 4));
        let double = |i: usize, j: usize, distance| {
            let pairs = || a.row(i).iter().zip(b.row(j)).map(|(&x, &y)| (f64::from(x), f64::from(y)));
            match distance {
                Distance::Euclidean => pairs().map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt(),
                Distance::SquaredEuclidean => pairs().map(|(x, y)| (x - y).powi(2)).sum(),
                Distance::Cosine => {
                    let [dot, aa, bb] =
                        pairs().fold([0.0; 3], |[d, a, b], (x, y)| [d + x * y, a + x * x, b + y * y]);
                    1.0 - dot / (aa * bb).sqrt()
                }
            }
        };
        for distance in [Distance::Euclidean, Distance::SquaredEuclidean, Distance::Cosine] {
            let all = distances(&a, &b, distance).unwrap();
            for (place, &found) in all.iter().enumerate() {
                let want = double(place / 30, place % 30, distance);
                assert!(
                    (f64::from(found) - want).abs() <= 2e-6 * want.max(1.0),
                    "{distance:?} {found} {want}"
                );
            }
        }
    }

    #[test]
    fn sets_that_cannot_be_compared_are_refused() {
        let (a, b) = (clusters(3, 4, 1, 1.0, 1), clusters(3, 5, 1, 1.0, 1));
        assert_eq!(
            distances(&a, &b, Distance::Euclidean).unwrap_err().to_string(),
            "embeddings of 4 dimensions cannot be compared with those of 5"
        );
        let zero = Embeddings::new(vec![0.0; 4], 4, vec![0]).unwrap();
        for error in [distances(&a, &zero, Distance::Cosine), distances(&zero, &a, Distance::Cosine)] {
            assert_eq!(error, Err(EmbeddingError::NoDirection { sample: 0 }));
        }
        assert!(distances(&zero, &a, Distance::Euclidean).is_ok());
    }
}
