//! Host memory that a GPU reads directly.

use crate::Error;
use crate::facts::cuda_devices;
use crate::ffi::PinnedBytes;

/// A buffer in pinned (page-locked) host memory, zeroed when made, aligned for every kind.
///
/// A copy from it to a GPU runs beside the program's work; see [`Transfers`](crate::Transfers). Pinned memory is dear to allocate
/// and taken from the whole system: make few and reuse them.
#[derive(Debug)]
pub struct PinnedBuffer {
    bytes: PinnedBytes,
}

impl PinnedBuffer {
    /// Allocates `len` bytes.
    ///
    /// # Errors
    /// [`Error::NoCuda`] where there is no CUDA device, [`Error::Libtorch`] where memory is short.
    pub fn new(len: usize) -> Result<Self, Error> {
        if cuda_devices() == 0 {
            return Err(Error::NoCuda { tried: "allocate pinned memory" });
        }
        Ok(Self { bytes: PinnedBytes::new(len)? })
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// The bytes, to be written. `PinnedBuffer::as_mut_slice` can be given to
    /// [`tensor_from_owner`](crate::tensor_from_owner).
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.bytes.as_mut_slice()
    }
}
