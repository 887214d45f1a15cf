//! Tensors as safetensors, checked in full before anything is changed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors, View};
use tch::{Device, Kind, Tensor};

use super::CheckpointError;

/// The names, shapes and kinds that a file may have, and whether each has to be there.
pub(crate) type Expected = BTreeMap<String, (Vec<i64>, Kind, bool)>;

struct Bytes {
    dtype: Dtype,
    shape: Vec<usize>,
    data: Vec<u8>,
}

impl View for &Bytes {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.data)
    }
    fn data_len(&self) -> usize {
        self.data.len()
    }
}

fn dtype(kind: Kind) -> Option<Dtype> {
    match kind {
        Kind::Uint8 => Some(Dtype::U8),
        Kind::Int8 => Some(Dtype::I8),
        Kind::Int16 => Some(Dtype::I16),
        Kind::Int => Some(Dtype::I32),
        Kind::Int64 => Some(Dtype::I64),
        Kind::Half => Some(Dtype::F16),
        Kind::BFloat16 => Some(Dtype::BF16),
        Kind::Float => Some(Dtype::F32),
        Kind::Double => Some(Dtype::F64),
        Kind::Bool => Some(Dtype::BOOL),
        _ => None,
    }
}

/// Writes tensors, in the order of their names. Waits for the device.
pub(crate) fn write_tensors(
    file: &'static str,
    tensors: &BTreeMap<String, Tensor>,
) -> Result<Vec<u8>, CheckpointError> {
    let _guard = tch::no_grad_guard();
    let torch = |source| CheckpointError::Torch { doing: "copy a tensor for a checkpoint", source };
    let mut all = BTreeMap::new();
    for (name, tensor) in tensors {
        let kind = tensor.f_kind().map_err(torch)?;
        let dtype = dtype(kind).ok_or_else(|| CheckpointError::Kind {
            file,
            name: name.clone(),
            expected: Kind::Float,
            found: format!("{kind:?}"),
        })?;
        let here = tensor.f_to_device(Device::Cpu).and_then(|tensor| tensor.f_contiguous()).map_err(torch)?;
        let mut data = vec![0; here.numel() * kind.elt_size_in_bytes()];
        here.f_copy_data_u8(&mut data, here.numel()).map_err(torch)?;
        let shape = here.size().iter().map(|&n| n as usize).collect();
        let bytes = Bytes { dtype, shape, data };
        check_bytes(file, name, dtype, &bytes.data)?;
        all.insert(name.clone(), bytes);
    }
    safetensors::serialize(all.iter(), None).map_err(|source| CheckpointError::Format { file, source })
}

/// Reads tensors onto the CPU after checking their names, shapes, kinds and values.
pub(crate) fn read_tensors(
    file: &'static str,
    bytes: &[u8],
    expected: &Expected,
) -> Result<BTreeMap<String, Tensor>, CheckpointError> {
    let parsed =
        SafeTensors::deserialize(bytes).map_err(|source| CheckpointError::Format { file, source })?;
    if let Some((name, _)) =
        expected.iter().find(|(name, (_, _, required))| *required && parsed.tensor(name).is_err())
    {
        return Err(CheckpointError::Missing { file, name: name.clone() });
    }
    let mut tensors = BTreeMap::new();
    for (name, view) in parsed.iter() {
        let Some((shape, kind, _)) = expected.get(name) else {
            return Err(CheckpointError::Unexpected { file, name: name.to_owned() });
        };
        check(file, name, &view, shape, *kind)?;
        let tensor = Tensor::f_from_data_size(view.data(), shape, *kind).map_err(|source| {
            CheckpointError::Torch { doing: "make a tensor of a checkpoint's bytes", source }
        })?;
        tensors.insert(name.to_owned(), tensor);
    }
    Ok(tensors)
}

fn check(
    file: &'static str,
    name: &str,
    view: &TensorView<'_>,
    shape: &[i64],
    kind: Kind,
) -> Result<(), CheckpointError> {
    if Some(view.dtype()) != dtype(kind) {
        let found = format!("{:?}", view.dtype());
        return Err(CheckpointError::Kind { file, name: name.to_owned(), expected: kind, found });
    }
    if !view.shape().iter().map(|&n| n as i64).eq(shape.iter().copied()) {
        let (expected, found) = (shape.to_vec(), view.shape().to_vec());
        return Err(CheckpointError::Shape { file, name: name.to_owned(), expected, found });
    }
    check_bytes(file, name, view.dtype(), view.data())
}

/// Refuses infinities and what is not a number.
fn check_bytes(file: &'static str, name: &str, dtype: Dtype, data: &[u8]) -> Result<(), CheckpointError> {
    // A float is finite where not all bits of its exponent are set.
    let finite = match dtype {
        Dtype::F32 => data.as_chunks().0.iter().all(|&bytes| f32::from_le_bytes(bytes).is_finite()),
        Dtype::F64 => data.as_chunks().0.iter().all(|&bytes| f64::from_le_bytes(bytes).is_finite()),
        Dtype::F16 => data.as_chunks().0.iter().all(|&bytes| u16::from_le_bytes(bytes) & 0x7c00 != 0x7c00),
        Dtype::BF16 => data.as_chunks().0.iter().all(|&bytes| u16::from_le_bytes(bytes) & 0x7f80 != 0x7f80),
        _ => true,
    };
    if finite { Ok(()) } else { Err(CheckpointError::NotFinite { file, name: name.to_owned() }) }
}
