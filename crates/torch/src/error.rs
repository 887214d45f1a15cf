//! What can go wrong between a buffer and a tensor.

use tch::Kind;

/// Why a buffer did not become a tensor, or memory or a device could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor of this kind cannot share a buffer's memory.
    #[error(
        "cannot make a tensor of kind {kind:?} from a buffer (possible: Uint8, Int8, Int16, Int, Int64, Float, Double, Bool)"
    )]
    Kind {
        /// The kind that was asked for.
        kind: Kind,
    },
    /// The shape has a negative length, or more elements than memory has addresses.
    #[error("cannot make a tensor of shape {shape:?}: a length is negative or the product too large")]
    Shape {
        /// The shape that was asked for.
        shape: Vec<i64>,
    },
    /// The buffer is not as long as the shape says.
    #[error(
        "a tensor of shape {shape:?} and kind {kind:?} needs a buffer of {expected} bytes, found {found}"
    )]
    Size {
        /// The shape that was asked for.
        shape: Vec<i64>,
        /// The kind that was asked for.
        kind: Kind,
        /// Bytes that the tensor has.
        expected: usize,
        /// Bytes of the buffer.
        found: usize,
    },
    /// The buffer begins at an address that does not suit the kind.
    #[error(
        "a tensor of kind {kind:?} needs a buffer at a multiple of {expected} bytes, found one {found} bytes behind such an address"
    )]
    Alignment {
        /// The kind that was asked for.
        kind: Kind,
        /// The alignment of the kind.
        expected: usize,
        /// The buffer's address modulo that alignment.
        found: usize,
    },
    /// A byte of a buffer for `Kind::Bool` is neither 0 nor 1.
    #[error("byte {offset} of a buffer of booleans is {value}, expected 0 or 1")]
    Boolean {
        /// Where the byte is.
        offset: usize,
        /// What it is.
        value: u8,
    },
    /// Something needs CUDA, and this libtorch or this machine has none.
    #[error("cannot {tried} without CUDA: this libtorch sees no CUDA device")]
    NoCuda {
        /// What was tried.
        tried: &'static str,
    },
    /// A device that is no CUDA device of this machine.
    #[error("cannot {tried} {device}: expected one of the {found} CUDA devices of this machine")]
    Device {
        /// What was tried.
        tried: &'static str,
        /// The device, as it was asked for.
        device: String,
        /// How many CUDA devices there are.
        found: usize,
    },
    /// Tensors that a fused step of an optimizer takes together do not fit together.
    #[error(
        "a fused step of Adam needs equally long lists of contiguous float tensors of one shape and device; parameter {parameter} has not"
    )]
    Adam {
        /// The first parameter that does not fit.
        parameter: usize,
    },
    /// libtorch has thrown an exception.
    #[error("libtorch could not {tried}: {message}")]
    Libtorch {
        /// What was tried.
        tried: &'static str,
        /// The message of the exception.
        message: String,
    },
}
