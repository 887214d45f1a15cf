//! Uses batchwright-core as somebody would who takes this crate alone.

use batchwright_core::{
    BatchOptions, Batches, BoxError, Context, Dataset, Field, SampleError, Sequence as _, Shuffled, Slot,
};

/// The numbers from 0 on, and whether they are even.
pub struct Numbers {
    fields: Vec<Field>,
    len: usize,
}

impl Numbers {
    /// The numbers below `len`.
    pub fn new(len: usize) -> Self {
        Self { fields: vec![Field::new::<f32>("number", &[]), Field::new::<u8>("even", &[])], len }
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
        slot.named::<u8>("even")[0] = u8::from(index % 2 == 0);
        Ok(())
    }
}

/// All numbers of an epoch, in the order of its batches.
pub fn epoch(len: usize, batch_size: usize, seed: u64, epoch: u64) -> Result<Vec<f32>, BoxError> {
    let options = BatchOptions { seed, batch_size, ..BatchOptions::default() };
    let batches = Batches::new(Numbers::new(len), Shuffled::new(len), options)?;
    let mut all = Vec::new();
    for index in 0..batches.len() {
        all.extend_from_slice(batches.get(epoch, index)?.get::<f32>("number")?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_up_once_in_another_order_each_epoch() {
        let mut first = epoch(1000, 64, 42, 0).unwrap();
        let second = epoch(1000, 64, 42, 1).unwrap();
        assert_ne!(first, second);
        first.sort_by(f32::total_cmp);
        assert_eq!(first, (0..1000).map(|n| n as f32).collect::<Vec<_>>());
    }
}
