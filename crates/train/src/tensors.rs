//! From the arrays of a batch to tensors, without a copy on the CPU.
#![expect(unsafe_code, reason = "supplies the loader's pool with pinned memory")]

use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use batchwright_core::{Array, Batch, BoxError, DType, Field, Heap, Memory, SampleId};
use batchwright_torch::{PinnedBuffer, Transfers, tensor_from_owner};
use tch::{Device, Kind, Tensor};

use crate::error::Error;

/// A batch as tensors on the device.
#[derive(Debug)]
pub struct TensorBatch {
    /// The epoch it belongs to.
    pub epoch: u64,
    /// Its index within the epoch.
    pub index: usize,
    /// Who is in it, in order; empty where the sequence does not say.
    pub samples: Vec<SampleId>,
    /// A weight for each sample's loss, if any: a float tensor of shape `[N]`.
    pub weights: Option<Tensor>,
    len: usize,
    fields: Vec<(Field, Tensor)>,
}

/// A batch has no tensor of the name that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the batch has no field `{name}`; it has {known}")]
pub struct NoField {
    name: String,
    known: String,
}

impl TensorBatch {
    /// Makes a batch of tensors that are there already: for tests, and for the inference of a trained task.
    pub fn of(fields: Vec<(Field, Tensor)>, weights: Option<Tensor>) -> Self {
        let len = fields.first().map_or(0, |(_, tensor)| tensor.size().first().map_or(0, |&n| n as usize));
        Self { epoch: 0, index: 0, samples: Vec::new(), weights, len, fields }
    }

    /// Returns how many samples it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the tensor of a field: the samples along its first axis.
    ///
    /// # Errors
    /// Refuses a field that is not there.
    pub fn get(&self, name: &str) -> Result<&Tensor, NoField> {
        let found = self.fields.iter().find(|(field, _)| field.name == name);
        found.map(|(_, tensor)| tensor).ok_or_else(|| {
            let known = self.fields.iter().map(|(field, _)| format!("`{}`", field.name)).collect::<Vec<_>>();
            NoField { name: name.to_owned(), known: known.join(", ") }
        })
    }

    /// Returns the fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().map(|(field, _)| field)
    }
}

/// Makes a tensor of an array of a batch, which shares its memory: the memory goes back to the pool when the last view of
/// the tensor is gone and autograd holds none.
///
/// # Errors
/// Gives libtorch's error where it refuses.
pub fn tensor_of_array(array: Array) -> Result<Tensor, Error> {
    let kind = match array.field().dtype {
        DType::U8 => Kind::Uint8,
        DType::I16 => Kind::Int16,
        DType::I32 => Kind::Int,
        DType::I64 => Kind::Int64,
        DType::F32 => Kind::Float,
        DType::F64 => Kind::Double,
    };
    let shape: Vec<i64> = array.shape().iter().map(|&n| n as i64).collect();
    tensor_from_owner(array, Array::bytes_mut, &shape, kind).map_err(|source| Error::Tensor { source })
}

/// Makes batches into tensors on one device. On CUDA the copy runs beside the program's work where the batch lies in pinned
/// memory ([`Feeder::memory`]).
#[derive(Debug)]
pub struct Feeder {
    device: Device,
    transfers: Option<Transfers>,
}

impl Feeder {
    /// Prepares for a device.
    ///
    /// # Errors
    /// Refuses a device that this machine has not.
    pub fn new(device: Device) -> Result<Self, Error> {
        let transfers = match device {
            Device::Cuda(_) => Some(Transfers::new(device).map_err(|source| Error::Tensor { source })?),
            Device::Cpu | Device::Mps | Device::Vulkan => None,
        };
        Ok(Self { device, transfers })
    }

    /// Returns the memory that a loader should make its batches in: pinned for CUDA, else the heap.
    pub fn memory(&self) -> Arc<dyn Memory> {
        if self.transfers.is_some() { Arc::new(Pinned::default()) } else { Arc::new(Heap) }
    }

    /// Makes a batch into tensors.
    ///
    /// # Errors
    /// Gives libtorch's error where it refuses, as when the device's memory is full.
    pub fn feed(&mut self, batch: Batch) -> Result<TensorBatch, Error> {
        let (epoch, index, len) = (batch.epoch, batch.index, batch.len());
        let mut batch = batch;
        let samples = std::mem::take(&mut batch.samples);
        let weights = batch.weights.take();
        let mut fields = Vec::with_capacity(batch.fields().len());
        for array in batch.into_arrays() {
            let field = array.field().clone();
            fields.push((field, tensor_of_array(array)?));
        }
        let mut weights = weights
            .map(|weights| Tensor::f_from_slice(&weights))
            .transpose()
            .map_err(|source| Error::Torch { doing: "make a tensor of sample weights", source })?;
        if let Some(transfers) = &mut self.transfers {
            let mut send = |tensor: Tensor| transfers.send(tensor).map_err(|source| Error::Tensor { source });
            for (_, tensor) in &mut fields {
                *tensor = send(tensor.shallow_clone())?;
            }
            weights = weights.map(send).transpose()?;
        } else if self.device != Device::Cpu {
            let there = |tensor: &Tensor| {
                tensor
                    .f_to_device(self.device)
                    .map_err(|source| Error::Torch { doing: "copy a batch to the device", source })
            };
            for (_, tensor) in &mut fields {
                *tensor = there(tensor)?;
            }
            weights = weights.as_ref().map(there).transpose()?;
        }
        Ok(TensorBatch { epoch, index, samples, weights, len, fields })
    }
}

/// Pinned memory for the pool of a loader.
#[derive(Debug, Default)]
struct Pinned(Mutex<BTreeMap<usize, PinnedBuffer>>);

// SAFETY: each block is a pinned buffer of its own, at least `bytes` long, zeroed, aligned to pages (well above 64; checked), kept
// in the table until it is released.
unsafe impl Memory for Pinned {
    fn allocate(&self, bytes: usize) -> Result<NonNull<u8>, BoxError> {
        let mut buffer = PinnedBuffer::new(bytes.max(1))?;
        let start = NonNull::from(buffer.as_mut_slice()).cast::<u8>();
        if !start.addr().get().is_multiple_of(batchwright_core::ALIGNMENT) {
            return Err("pinned memory is not aligned to 64 bytes".into());
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(start.addr().get(), buffer);
        Ok(start)
    }

    unsafe fn release(&self, block: NonNull<u8>, _bytes: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&block.addr().get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_becomes_tensors_that_share_its_memory() {
        let fields = vec![Field::new::<f32>("image", &[1, 2, 2]), Field::new::<u8>("label", &[])];
        let mut batch = Batch::zeroed(fields, 3).unwrap();
        batch.get_mut::<f32>("image").unwrap()[5] = 2.5;
        batch.get_mut::<u8>("label").unwrap()[2] = 7;
        batch.weights = Some(vec![1.0, 2.0, 3.0]);
        let address = batch.get::<f32>("image").unwrap().as_ptr().addr();
        let tensors = Feeder::new(Device::Cpu).unwrap().feed(batch).unwrap();
        let image = tensors.get("image").unwrap();
        assert_eq!(image.size(), [3, 1, 2, 2]);
        assert_eq!(image.double_value(&[1, 0, 0, 1]), 2.5);
        assert_eq!(image.data_ptr().addr(), address, "the memory is shared");
        assert_eq!(tensors.get("label").unwrap().int64_value(&[2]), 7);
        assert_eq!(tensors.weights.as_ref().unwrap().size(), [3]);
        assert_eq!(
            tensors.get("mask").unwrap_err().to_string(),
            "the batch has no field `mask`; it has `image`, `label`"
        );
    }
}
