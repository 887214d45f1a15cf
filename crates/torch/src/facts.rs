//! What the results of a run depend on, besides its configuration.

use std::num::NonZeroUsize;

use crate::{Error, ffi};

/// What libtorch says about itself and the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Version of libtorch, as in `2.11.0`.
    pub version: String,
    /// The instruction set its CPU kernels use, as in `AVX2`; `ATEN_CPU_CAPABILITY` can lower it.
    pub cpu_capability: String,
    /// Threads of one operation on the CPU.
    pub threads: usize,
    /// How many CUDA devices it sees.
    pub cuda_devices: usize,
}

impl Facts {
    /// Whether there is a CUDA device.
    pub fn has_cuda(&self) -> bool {
        0 < self.cuda_devices
    }
}

/// Asks libtorch for its [`Facts`].
///
/// # Errors
/// [`Error::Libtorch`] if it does not say.
pub fn facts() -> Result<Facts, Error> {
    Ok(Facts {
        version: ffi::version(),
        cpu_capability: ffi::cpu_capability()?,
        threads: usize::try_from(tch::get_num_threads()).unwrap_or(1),
        cuda_devices: cuda_devices(),
    })
}

/// Sets the threads of one operation on the CPU, for the whole process.
///
/// Sums of floats on the CPU are the same from run to run at one number of threads, and differ between numbers.
///
/// # Errors
/// [`Error::Libtorch`] for more than libtorch can count.
pub fn set_threads(threads: NonZeroUsize) -> Result<(), Error> {
    let n = i32::try_from(threads.get()).map_err(|_| Error::Libtorch {
        tried: "set its threads",
        message: format!("{threads} are more than it can count"),
    })?;
    tch::set_num_threads(n);
    Ok(())
}

/// How many CUDA devices there are, without a panic where there is no CUDA.
pub(crate) fn cuda_devices() -> usize {
    if tch::Cuda::is_available() { usize::try_from(tch::Cuda::device_count()).unwrap_or(0) } else { 0 }
}
