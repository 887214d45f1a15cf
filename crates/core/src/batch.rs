//! A batch: named arrays in one block of memory, and who is in it.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{ArrayViewD, ArrayViewMutD, IxDyn};
use serde::{Deserialize, Serialize};

use crate::buffer::{Block, Element, Part};
use crate::error::BoxError;
use crate::field::{DType, Field};
use crate::slot::{Layout, names};

/// Which sample stands in a place of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleId {
    /// Its index in the data set.
    pub index: usize,
    /// Its position in the epoch, over all ranks: what its random draws are keyed by.
    pub position: u64,
    /// 0, or the number of the try in which it was taken as a substitute for a bad sample.
    pub attempt: u64,
    /// Whether it repeats a sample of the epoch to make the ranks' shares equal.
    pub padded: bool,
}

/// A sample that was left out, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its index in the data set.
    pub index: usize,
    /// Its name in the data set.
    pub id: String,
    /// The epoch in which it was left out first.
    pub epoch: u64,
    /// Its position in that epoch.
    pub position: u64,
    /// How many times it came up so far.
    pub times: u64,
    /// The error and its causes.
    pub error: String,
}

/// A field was asked for that the batch does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// There is no field of this name.
    #[error("the batch has no field `{name}`; it has {known}")]
    Missing {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The field holds another type.
    #[error("the field `{name}` holds {found}, and {asked} was asked for")]
    Type {
        /// The field.
        name: String,
        /// What it holds.
        found: DType,
        /// What was asked for.
        asked: DType,
    },
}

/// Samples as named, contiguous, 64-byte aligned arrays with one more axis `N` in front.
///
/// The memory belongs to a pool and goes back to it when the batch, or the last of its [`Array`]s, is dropped.
#[derive(Debug)]
pub struct Batch {
    /// The epoch it belongs to.
    pub epoch: u64,
    /// Its index within the epoch.
    pub index: usize,
    /// Who is in it, in order; a [`Sequence`](crate::Sequence) written by hand may leave it empty.
    pub samples: Vec<SampleId>,
    /// A weight for each sample's loss, if any.
    pub weights: Option<Vec<f32>>,
    pub(crate) left_out: Vec<LeftOut>,
    /// How many different samples of a run may be left out.
    pub(crate) budget: usize,
    layout: Arc<Layout>,
    rows: usize,
    block: Block,
}

impl Batch {
    /// Makes a batch of `rows` samples with the given fields, all zero: for a [`Sequence`](crate::Sequence) written by
    /// hand, which then fills the arrays with [`Batch::get_mut`].
    ///
    /// # Errors
    /// Refuses two fields of one name; says so when there is no memory.
    pub fn zeroed(fields: Vec<Field>, rows: usize) -> Result<Self, BoxError> {
        let layout = Arc::new(Layout::new(fields, rows)?);
        let block = Block::zeroed(layout.bytes())?;
        Ok(Self::from_block(layout, rows, block))
    }

    pub(crate) fn from_block(layout: Arc<Layout>, rows: usize, block: Block) -> Self {
        Self {
            epoch: 0,
            index: 0,
            samples: Vec::new(),
            weights: None,
            left_out: Vec::new(),
            budget: 0,
            layout,
            rows,
            block,
        }
    }

    /// Returns how many samples it holds.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Returns whether it holds none, which happens only where every sample was left out.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Returns the fields.
    pub fn fields(&self) -> &[Field] {
        self.layout.fields()
    }

    /// Returns the samples that were left out of this batch by the policy for bad samples.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Returns the shape of a field's array: the number of samples, then the shape of one.
    ///
    /// # Errors
    /// Refuses a field that is not there.
    pub fn shape(&self, name: &str) -> Result<Vec<usize>, FieldError> {
        let field = &self.fields()[self.find(name)?];
        Ok(std::iter::once(self.rows).chain(field.shape.iter().copied()).collect())
    }

    /// Returns the elements of a field's array, sample after sample.
    ///
    /// # Errors
    /// Refuses a field that is not there or holds another type.
    pub fn get<T: Element>(&self, name: &str) -> Result<&[T], FieldError> {
        let at = self.typed::<T>(name)?;
        Ok(self.block.elements(self.layout.offset(at), self.rows * self.fields()[at].elements()))
    }

    /// Returns the elements of a field's array, to write.
    ///
    /// # Errors
    /// Refuses a field that is not there or holds another type.
    pub fn get_mut<T: Element>(&mut self, name: &str) -> Result<&mut [T], FieldError> {
        let at = self.typed::<T>(name)?;
        let count = self.rows * self.fields()[at].elements();
        Ok(self.block.elements_mut(self.layout.offset(at), count))
    }

    /// Returns a field's array as an `ndarray` view, with the axis `N` in front.
    ///
    /// # Errors
    /// Refuses a field that is not there or holds another type.
    pub fn view<T: Element>(&self, name: &str) -> Result<ArrayViewD<'_, T>, FieldError> {
        let shape = self.shape(name)?;
        let elements = self.get::<T>(name)?;
        Ok(ArrayViewD::from_shape(IxDyn(&shape), elements)
            .expect("the shape has as many elements as the array"))
    }

    /// Returns a field's array as an `ndarray` view, to write.
    ///
    /// # Errors
    /// Refuses a field that is not there or holds another type.
    pub fn view_mut<T: Element>(&mut self, name: &str) -> Result<ArrayViewMutD<'_, T>, FieldError> {
        let shape = self.shape(name)?;
        let elements = self.get_mut::<T>(name)?;
        Ok(ArrayViewMutD::from_shape(IxDyn(&shape), elements)
            .expect("the shape has as many elements as the array"))
    }

    /// Returns the bytes of the whole block.
    pub(crate) fn block_bytes(&self) -> u64 {
        self.block.len() as u64
    }

    /// Returns the bytes of field number `field`, as they stand in memory.
    ///
    /// # Panics
    /// Panics if there is no such field.
    pub fn bytes(&self, field: usize) -> &[u8] {
        self.block.elements(self.layout.offset(field), self.rows * self.fields()[field].bytes())
    }

    /// Takes the batch apart into its arrays, which share its memory; the memory goes back to the pool with the last.
    pub fn into_arrays(self) -> Vec<Array> {
        let Self { layout, rows, block, .. } = self;
        let ranges: Vec<Range<usize>> = (0..layout.fields().len())
            .map(|field| {
                let start = layout.offset(field);
                start..start + rows * layout.fields()[field].bytes()
            })
            .collect();
        let parts = block.into_parts(&ranges).into_iter().enumerate();
        parts.map(|(field, part)| Array { layout: Arc::clone(&layout), field, rows, part }).collect()
    }

    /// Closes up the batch: drops the rows named (in ascending order) and moves the others up.
    pub(crate) fn remove_rows(&mut self, removed: &[usize]) {
        for at in 0..self.fields().len() {
            let row = self.fields()[at].bytes();
            let offset = self.layout.offset(at);
            let bytes = self.block.elements_mut::<u8>(offset, self.rows * row);
            let mut end = 0;
            for kept in (0..self.rows).filter(|row| removed.binary_search(row).is_err()) {
                bytes.copy_within(kept * row..(kept + 1) * row, end);
                end += row;
            }
        }
        let mut place = 0..;
        self.samples.retain(|_| removed.binary_search(&place.next().expect("endless")).is_err());
        if let Some(weights) = &mut self.weights {
            let mut place = 0..;
            weights.retain(|_| removed.binary_search(&place.next().expect("endless")).is_err());
        }
        self.rows -= removed.len();
    }

    fn find(&self, name: &str) -> Result<usize, FieldError> {
        self.layout
            .position(name)
            .ok_or_else(|| FieldError::Missing { name: name.to_owned(), known: names(self.fields()) })
    }

    fn typed<T: Element>(&self, name: &str) -> Result<usize, FieldError> {
        let at = self.find(name)?;
        let found = self.fields()[at].dtype;
        if found == T::DTYPE {
            Ok(at)
        } else {
            Err(FieldError::Type { name: name.to_owned(), found, asked: T::DTYPE })
        }
    }
}

/// One array of a batch that owns its share of the batch's memory; what a tensor without a copy is made of.
#[derive(Debug)]
pub struct Array {
    layout: Arc<Layout>,
    field: usize,
    rows: usize,
    part: Part,
}

impl Array {
    /// Returns the field.
    pub fn field(&self) -> &Field {
        &self.layout.fields()[self.field]
    }

    /// Returns the shape: the number of samples, then the shape of one.
    pub fn shape(&self) -> Vec<usize> {
        std::iter::once(self.rows).chain(self.field().shape.iter().copied()).collect()
    }

    /// Returns the elements.
    ///
    /// # Errors
    /// Refuses another type than the field's.
    pub fn get<T: Element>(&self) -> Result<&[T], FieldError> {
        let field = self.field();
        if field.dtype != T::DTYPE {
            return Err(FieldError::Type { name: field.name.clone(), found: field.dtype, asked: T::DTYPE });
        }
        Ok(self.part.elements())
    }

    /// Returns the bytes, as they stand in memory, aligned to 64. They stay there until the array is dropped.
    pub fn bytes(&self) -> &[u8] {
        self.part.bytes()
    }

    /// Returns the bytes, to write; they stay where they are until the array is dropped.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.part.bytes_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_found_by_name_and_type() {
        let fields = vec![Field::new::<f32>("image", &[1, 2, 2]), Field::new::<u8>("label", &[])];
        let mut batch = Batch::zeroed(fields, 3).unwrap();
        batch.get_mut::<u8>("label").unwrap().copy_from_slice(&[7, 8, 9]);
        batch.view_mut::<f32>("image").unwrap()[[2, 0, 1, 0]] = 5.0;
        assert_eq!(batch.get::<f32>("image").unwrap()[10], 5.0);
        assert_eq!(batch.shape("label").unwrap(), [3]);
        let error = batch.get::<f32>("label").unwrap_err();
        assert_eq!(error.to_string(), "the field `label` holds u8, and f32 was asked for");
        let error = batch.get::<f32>("lable").unwrap_err();
        assert_eq!(error.to_string(), "the batch has no field `lable`; it has `image`, `label`");
        let arrays = batch.into_arrays();
        assert_eq!(arrays[1].get::<u8>().unwrap(), [7, 8, 9]);
        assert_eq!(arrays[0].field().axes, ["C", "y", "x"]);
        assert_eq!(arrays[0].bytes().as_ptr() as usize % 64, 0);
    }

    #[test]
    fn removing_rows_closes_up_every_array() {
        let fields = vec![Field::new::<i32>("a", &[2]), Field::new::<u8>("b", &[])];
        let mut batch = Batch::zeroed(fields, 4).unwrap();
        batch.get_mut::<i32>("a").unwrap().copy_from_slice(&[0, 1, 10, 11, 20, 21, 30, 31]);
        batch.get_mut::<u8>("b").unwrap().copy_from_slice(&[0, 1, 2, 3]);
        batch.weights = Some(vec![0.0, 1.0, 2.0, 3.0]);
        batch.remove_rows(&[0, 2]);
        assert_eq!(batch.get::<i32>("a").unwrap(), [10, 11, 30, 31]);
        assert_eq!(batch.get::<u8>("b").unwrap(), [1, 3]);
        assert_eq!((batch.len(), batch.weights), (2, Some(vec![1.0, 3.0])));
    }
}
