//! A matrix of embeddings with what is known of each row.

use super::error::EmbeddingError;

/// Embeddings of n samples: n rows of d finite numbers, the class of each, and by choice the group of each (an alphabet, a
/// patient, a super-class).
///
/// ```
/// use batchwright_pairs::Embeddings;
/// let two = Embeddings::new(vec![0.0, 1.0, 3.0, 5.0], 2, vec![7, 8])?;
/// assert_eq!((two.len(), two.row(1), two.label(1)), (2, &[3.0, 5.0][..], 8));
/// # Ok::<(), batchwright_pairs::EmbeddingError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    // Invariant: labels.len() * dims finite numbers, 0 < dims, at most u32::MAX rows.
    values: Vec<f32>,
    dims: usize,
    labels: Vec<u32>,
    groups: Option<Vec<u32>>,
}

/// Refuses numbers that are not finite, in rows of `dims`.
pub(super) fn check_finite(values: &[f32], dims: usize) -> Result<(), EmbeddingError> {
    let place = values.iter().position(|value| !value.is_finite());
    place.map_or(Ok(()), |place| {
        let (sample, dimension) = (place / dims, place % dims);
        Err(EmbeddingError::NotFinite { sample, dimension, value: values[place] })
    })
}

impl Embeddings {
    /// Takes `labels.len()` rows of `dims` numbers, row after row.
    ///
    /// # Errors
    /// Refuses another number of values, no dimensions, and numbers that are not finite.
    pub fn new(values: Vec<f32>, dims: usize, labels: Vec<u32>) -> Result<Self, EmbeddingError> {
        if dims == 0 || labels.len().checked_mul(dims) != Some(values.len()) {
            return Err(EmbeddingError::Size { values: values.len(), dims, labels: labels.len() });
        }
        if u32::try_from(labels.len()).is_err() {
            return Err(EmbeddingError::TooMany { samples: labels.len() });
        }
        check_finite(&values, dims)?;
        Ok(Self { values, dims, labels, groups: None })
    }

    /// Adds the group of each sample.
    ///
    /// # Errors
    /// Refuses another number of groups than of samples.
    pub fn with_groups(mut self, groups: Vec<u32>) -> Result<Self, EmbeddingError> {
        if groups.len() != self.len() {
            return Err(EmbeddingError::Column {
                what: "a group",
                expected: self.len(),
                found: groups.len(),
            });
        }
        self.groups = Some(groups);
        Ok(self)
    }

    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Returns whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Returns the numbers of one embedding.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// Returns embedding `sample`.
    ///
    /// # Panics
    /// Panics if there is no such sample.
    pub fn row(&self, sample: usize) -> &[f32] {
        &self.values[sample * self.dims..(sample + 1) * self.dims]
    }

    /// Returns all embeddings, row after row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Returns the class of `sample`.
    ///
    /// # Panics
    /// Panics if there is no such sample.
    pub fn label(&self, sample: usize) -> u32 {
        self.labels[sample]
    }

    /// Returns the class of each sample.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Returns the group of each sample, if groups were given.
    pub fn groups(&self) -> Option<&[u32]> {
        self.groups.as_deref()
    }

    /// Returns the embeddings of `samples`, in their order, with what is known of them.
    ///
    /// # Panics
    /// Panics if there is no such sample.
    pub fn select(&self, samples: &[usize]) -> Self {
        Self {
            values: samples.iter().flat_map(|&sample| self.row(sample)).copied().collect(),
            dims: self.dims,
            labels: samples.iter().map(|&sample| self.labels[sample]).collect(),
            groups: self.groups.as_ref().map(|groups| samples.iter().map(|&sample| groups[sample]).collect()),
        }
    }

    /// Returns the embeddings scaled to length 1.
    ///
    /// # Errors
    /// Refuses an embedding of length 0.
    pub fn normalized(&self) -> Result<Self, EmbeddingError> {
        let mut scaled = self.clone();
        for sample in 0..self.len() {
            let row = &mut scaled.values[sample * self.dims..(sample + 1) * self.dims];
            scale_to_one(row).ok_or(EmbeddingError::NoDirection { sample })?;
        }
        Ok(scaled)
    }
}

/// Scales `row` to length 1, in double precision; nothing of a row of length 0.
pub(crate) fn scale_to_one(row: &mut [f32]) -> Option<()> {
    let square: f64 = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    if square == 0.0 {
        return None;
    }
    let length = square.sqrt();
    for x in row {
        *x = (f64::from(*x) / length) as f32;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_matrix_of_finite_numbers_is_refused_by_name() {
        let text = |result: Result<Embeddings, EmbeddingError>| result.unwrap_err().to_string();
        assert_eq!(
            text(Embeddings::new(vec![0.0; 5], 2, vec![0, 1])),
            "5 numbers are not 2 embeddings (one a label) of 2 dimensions"
        );
        assert_eq!(
            text(Embeddings::new(vec![], 0, vec![])),
            "0 numbers are not 0 embeddings (one a label) of 0 dimensions"
        );
        assert_eq!(
            text(Embeddings::new(vec![0.0, 1.0, 2.0, f32::NAN], 2, vec![0, 1])),
            "dimension 1 of embedding 1 is NaN, not a finite number"
        );
        let two = Embeddings::new(vec![0.0, 0.0, 3.0, 4.0], 2, vec![0, 1]).unwrap();
        assert_eq!(text(two.clone().with_groups(vec![1])), "1 values of a group for 2 samples");
        assert_eq!(text(two.normalized()), "embedding 0 has length 0, so there is no cosine with it");
        assert_eq!(two.select(&[1]).normalized().unwrap().values(), &[0.6, 0.8]);
    }
}
