//! Tensors that share the memory of something Rust owns.

use std::ffi::c_int;

use tch::{Kind, Tensor};

use crate::Error;
use crate::ffi::Fixed;

/// Makes a tensor that shares memory with `owner`, with no copy.
///
/// `bytes` lends the memory: the tensor's elements in native byte order, the last axis contiguous. The owner moves to the heap
/// first, so memory inside of it may be lent as well. Writes through the tensor are writes to that memory.
///
/// The owner is dropped once, when the last view of the tensor is gone and autograd holds none any more, on the thread
/// where that happens. A panic in its `Drop` is caught there and goes no further. Where this function fails the owner is dropped
/// before it returns.
///
/// The kinds are `Uint8`, `Int8`, `Int16`, `Int`, `Int64`, `Float`, `Double` and `Bool`; bytes of a `Bool` are read once, to check
/// that they are 0 or 1.
///
/// # Errors
/// [`Error::Kind`], [`Error::Shape`], [`Error::Size`], [`Error::Alignment`] and [`Error::Boolean`] where buffer, shape and kind do
/// not fit together, [`Error::Libtorch`] where libtorch refuses.
///
/// # Example
/// ```
/// use batchwright_torch::tensor_from_owner;
/// use tch::Kind;
///
/// struct Batch { pixels: [u8; 6] }
/// let batch = Batch { pixels: [1, 2, 3, 4, 5, 6] };
/// let tensor = tensor_from_owner(batch, |batch| &mut batch.pixels, &[2, 3], Kind::Uint8)?;
/// assert_eq!(tensor.sum(Kind::Int64).int64_value(&[]), 21);
/// # Ok::<(), batchwright_torch::Error>(())
/// ```
///
/// What is lent has to come out of the owner; a buffer from elsewhere does not compile:
/// ```compile_fail,E0521
/// use batchwright_torch::tensor_from_owner;
///
/// fn wrong(elsewhere: &mut [u8]) {
///     let _ = tensor_from_owner((), |()| elsewhere, &[1], tch::Kind::Uint8);
/// }
/// ```
pub fn tensor_from_owner<O, F>(owner: O, bytes: F, shape: &[i64], kind: Kind) -> Result<Tensor, Error>
where
    O: Send + 'static,
    F: for<'a> FnOnce(&'a mut O) -> &'a mut [u8],
{
    let mut fixed = Fixed::new(owner);
    let mut result = Ok(0);
    let data = fixed.bytes(|owner| {
        let data = bytes(owner);
        result = check(data, shape, kind);
        data
    });
    fixed.into_tensor(data, shape, result?)
}

/// Checks everything that must hold for the memory to be a tensor; gives libtorch's number of the kind.
fn check(data: &[u8], shape: &[i64], kind: Kind) -> Result<c_int, Error> {
    let (number, size) = layout(kind)?;
    let expected = shape
        .iter()
        .try_fold(size, |product, &length| product.checked_mul(usize::try_from(length).ok()?))
        .filter(|&bytes| isize::try_from(bytes).is_ok())
        .ok_or_else(|| Error::Shape { shape: shape.to_vec() })?;
    if data.len() != expected {
        return Err(Error::Size { shape: shape.to_vec(), kind, expected, found: data.len() });
    }
    let found = data.as_ptr().addr() % size;
    if found != 0 && !data.is_empty() {
        return Err(Error::Alignment { kind, expected: size, found });
    }
    if kind == Kind::Bool
        && let Some((offset, &value)) = data.iter().enumerate().find(|(_, value)| 1 < **value)
    {
        return Err(Error::Boolean { offset, value });
    }
    Ok(number)
}

/// libtorch's number of a kind (`c10::ScalarType`), and the bytes of an element, to which it is aligned.
fn layout(kind: Kind) -> Result<(c_int, usize), Error> {
    match kind {
        Kind::Uint8 => Ok((0, 1)),
        Kind::Int8 => Ok((1, 1)),
        Kind::Int16 => Ok((2, 2)),
        Kind::Int => Ok((3, 4)),
        Kind::Int64 => Ok((4, 8)),
        Kind::Float => Ok((6, 4)),
        Kind::Double => Ok((7, 8)),
        Kind::Bool => Ok((11, 1)),
        _ => Err(Error::Kind { kind }),
    }
}
