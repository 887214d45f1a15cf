//! Embeddings of batches gone by.

use super::bytes::{Reader, Writer};
use super::embeddings::{Embeddings, check_finite};
use super::error::EmbeddingError;

const MAGIC: [u8; 8] = *b"BWCROSS1";

/// The embeddings and labels of the last samples, as many as its capacity: more negatives than a batch has (Wang, Zhang, Huang
/// and Scott 2020, "Cross-batch memory for embedding learning").
///
/// A ring: sample number s of all that were pushed lies in place s modulo the capacity, so a full memory replaces its oldest.
///
/// ```
/// use batchwright_pairs::mining::CrossBatchMemory;
/// let mut memory = CrossBatchMemory::new(3, 1)?;
/// memory.push(&[1.0, 2.0], &[7, 8])?;
/// memory.push(&[3.0, 4.0], &[9, 7])?;
/// assert_eq!((memory.values(), memory.labels()), (&[4.0, 2.0, 3.0][..], &[7, 8, 9][..]));
/// # Ok::<(), batchwright_pairs::EmbeddingError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CrossBatchMemory {
    capacity: usize,
    dims: usize,
    /// All samples ever pushed.
    pushed: u64,
    // Invariant: min(pushed, capacity) labels, and as many rows of finite numbers.
    values: Vec<f32>,
    labels: Vec<u32>,
}

impl CrossBatchMemory {
    /// Makes an empty memory of `capacity` embeddings of `dims` numbers; memory is taken as it fills.
    ///
    /// # Errors
    /// Refuses 0 of either, and more samples than an index of 32 bits can name.
    pub fn new(capacity: usize, dims: usize) -> Result<Self, EmbeddingError> {
        if capacity == 0 || u32::try_from(capacity).is_err() {
            let expected = format!("a whole number from 1 to {}", u32::MAX);
            return Err(EmbeddingError::choice("the capacity of a cross-batch memory", expected, capacity));
        }
        if dims == 0 {
            return Err(EmbeddingError::Size { values: 0, dims, labels: 0 });
        }
        Ok(Self { capacity, dims, pushed: 0, values: Vec::new(), labels: Vec::new() })
    }

    /// Adds a batch, row after row; of more than the capacity, the last ones stay.
    ///
    /// # Errors
    /// Refuses another number of values than labels say, and values that are not finite; the memory is then as before.
    pub fn push(&mut self, values: &[f32], labels: &[u32]) -> Result<(), EmbeddingError> {
        let dims = self.dims;
        if labels.len().checked_mul(dims) != Some(values.len()) {
            return Err(EmbeddingError::Size { values: values.len(), dims, labels: labels.len() });
        }
        check_finite(values, dims)?;
        for (row, &label) in values.chunks_exact(dims).zip(labels) {
            let place = (self.pushed % self.capacity as u64) as usize;
            if place == self.labels.len() {
                self.labels.push(label);
                self.values.extend_from_slice(row);
            } else {
                self.labels[place] = label;
                self.values[place * dims..(place + 1) * dims].copy_from_slice(row);
            }
            self.pushed += 1;
        }
        Ok(())
    }

    /// Returns how many embeddings it holds.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Returns whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Returns how many embeddings it can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Returns the numbers of one embedding.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// Returns the embeddings, place after place.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Returns the labels, place after place.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Returns a copy of what it holds.
    pub fn embeddings(&self) -> Embeddings {
        Embeddings::new(self.values.clone(), self.dims, self.labels.clone()).expect("pushes are checked")
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.pushed = 0;
        self.values.clear();
        self.labels.clear();
    }

    /// Writes the state: `BWCROSS1`, capacity, dimensions and samples pushed (as u64), labels (u32), values (f32), all
    /// little-endian, then the SHA-256 of all that.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { capacity, dims, pushed, values, labels } = self;
        let mut writer = Writer::new(MAGIC);
        for value in [*capacity as u64, *dims as u64, *pushed] {
            writer.u64(value);
        }
        writer.u32s(labels.iter().copied());
        writer.u32s(values.iter().map(|value| value.to_bits()));
        writer.finish()
    }

    /// Reads a state.
    ///
    /// # Errors
    /// Refuses bytes that are not exactly those of a state.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EmbeddingError> {
        let mut reader = Reader::new(bytes, MAGIC, "a cross-batch memory")?;
        let (capacity, dims, pushed) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let size = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        let mut memory = Self::new(size(capacity), size(dims))?;
        let held = pushed.min(capacity);
        memory.labels = reader.u32s(held)?;
        memory.values = reader.u32s(held.saturating_mul(dims))?.into_iter().map(f32::from_bits).collect();
        memory.pushed = pushed;
        reader.end()?;
        check_finite(&memory.values, memory.dims)?;
        Ok(memory)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_the_last_samples_and_survives_bytes(
            capacity in 1_usize..20,
            sizes in proptest::collection::vec(0_usize..30, 0..10),
        ) {
            let mut memory = CrossBatchMemory::new(capacity, 2).unwrap();
            let mut all = Vec::new();
            for size in sizes {
                let from = all.len() as u32;
                let labels: Vec<u32> = (from..from + size as u32).collect();
                let values: Vec<f32> = labels.iter().flat_map(|&l| [l as f32, -(l as f32)]).collect();
                memory.push(&values, &labels).unwrap();
                all.extend(labels);
                memory = CrossBatchMemory::from_bytes(&memory.to_bytes()).unwrap();
                let mut held = memory.labels().to_vec();
                held.sort_unstable();
                prop_assert_eq!(&held[..], &all[all.len().saturating_sub(capacity)..]);
                prop_assert_eq!(memory.len(), held.len());
                let set = memory.embeddings();
                for (place, &label) in memory.labels().iter().enumerate() {
                    prop_assert_eq!(set.row(place), &[label as f32, -(label as f32)]);
                    prop_assert_eq!(label as usize % capacity, place);
                }
            }
        }
    }

    #[test]
    fn wrong_batches_leave_it_as_it_was_and_damage_is_found() {
        let mut memory = CrossBatchMemory::new(3, 2).unwrap();
        memory.push(&[1.0, 2.0], &[4]).unwrap();
        let before = memory.clone();
        assert_eq!(
            memory.push(&[1.0, 2.0, 3.0], &[1]).unwrap_err().to_string(),
            "3 numbers are not 1 embeddings (one a label) of 2 dimensions"
        );
        assert_eq!(
            memory.push(&[1.0, 2.0, 3.0, f32::NAN], &[1, 2]).unwrap_err().to_string(),
            "dimension 1 of embedding 1 is NaN, not a finite number"
        );
        assert_eq!(memory, before);
        assert!(CrossBatchMemory::new(0, 2).is_err() && CrossBatchMemory::new(2, 0).is_err());
        let bytes = memory.to_bytes();
        for place in 0..bytes.len() {
            assert!(CrossBatchMemory::from_bytes(&bytes[..place]).is_err());
            let mut damaged = bytes.clone();
            damaged[place] ^= 4;
            assert!(CrossBatchMemory::from_bytes(&damaged).is_err());
        }
        assert!(
            super::super::Mined::from_bytes(&bytes)
                .unwrap_err()
                .to_string()
                .contains("do not begin with \"BWMINED1\"")
        );
    }
}
