//! Uses batchwright-pairs as somebody would who takes this crate alone.

use batchwright_core::{
    BatchOptions, Batches, BoxError, Context, Dataset, Field, SampleError, Sequence as _, Shuffled, Slot,
};
use batchwright_pairs::{Facts, PairDataset, PairOptions, PairSampler, Parts};

/// The numbers from 0 on, in classes by their last digit.
pub struct Numbers {
    fields: Vec<Field>,
    len: usize,
}

impl Numbers {
    /// The numbers below `len`.
    pub fn new(len: usize) -> Self {
        Self { fields: vec![Field::new::<f32>("number", &[])], len }
    }
}

impl Dataset for Numbers {
    fn len(&self) -> usize {
        self.len
    }

    fn fields(&self) -> &[Field] {
        &self.fields
    }

    fn write(&self, index: usize, slot: &mut Slot<'_>, _: &Context<'_>) -> Result<(), SampleError> {
        slot.named::<f32>("number")[0] = index as f32;
        Ok(())
    }

    fn class(&self, index: usize) -> Option<u32> {
        Some(index as u32 % 10)
    }
}

/// All pairs of an epoch: two numbers, and whether they end in the same digit.
pub fn epoch(
    len: usize,
    batch_size: usize,
    seed: u64,
    epoch: u64,
) -> Result<Vec<(f32, f32, bool)>, BoxError> {
    let numbers = Numbers::new(len);
    let sampler = PairSampler::new(&Facts::of(&numbers)?, &PairOptions::default())?;
    let pairs = PairDataset::new(numbers, sampler, Parts::Independent)?;
    let order = Shuffled::new(pairs.len());
    let batches = Batches::new(pairs, order, BatchOptions { seed, batch_size, ..BatchOptions::default() })?;
    let mut all = Vec::new();
    for index in 0..batches.len() {
        let batch = batches.get(epoch, index)?;
        let (a, b) = (batch.get::<f32>("a")?, batch.get::<f32>("b")?);
        let same = batch.get::<f32>("same")?;
        all.extend((0..batch.len()).map(|row| (a[row], b[row], same[row] == 1.0)));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_first_once_and_half_of_the_pairs_are_alike() {
        let pairs = epoch(1000, 64, 42, 0).unwrap();
        let mut first: Vec<f32> = pairs.iter().map(|pair| pair.0).collect();
        first.sort_by(f32::total_cmp);
        assert_eq!(first, (0..1000).map(|n| n as f32).collect::<Vec<_>>());
        assert!(pairs.iter().all(|&(a, b, same)| a != b && (a % 10.0 == b % 10.0) == same));
        assert_eq!(pairs.iter().filter(|pair| pair.2).count(), 500);
    }
}
