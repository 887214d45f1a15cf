//! Copies to a GPU that the program does not wait for.

use std::collections::VecDeque;
use std::ffi::c_int;

use tch::{Device, Tensor};

use crate::Error;
use crate::facts::cuda_devices;
use crate::ffi::{self, Event};

/// Copies tensors to one CUDA device without waiting for the copies.
///
/// The copy of a tensor in pinned memory runs while the program goes on; operations on the result start after it by themselves.
/// The source is kept until its copy has arrived (and so is the buffer behind it, which a pool would else hand out
/// for writing too early). Sources that have arrived are let go at each [`send`](Transfers::send); dropping `Transfers` waits for the rest.
#[derive(Debug)]
pub struct Transfers {
    device: c_int,
    on_the_way: VecDeque<(Event, Tensor)>,
}

impl Transfers {
    /// Prepares copies to `device`.
    ///
    /// # Errors
    /// [`Error::NoCuda`] where there is no CUDA device, [`Error::Device`] where `device` is not one of them.
    pub fn new(device: Device) -> Result<Self, Error> {
        let tried = "copy to the GPU";
        let found = cuda_devices();
        if found == 0 {
            return Err(Error::NoCuda { tried });
        }
        let index = match device {
            Device::Cuda(index) if index < found => c_int::try_from(index).ok(),
            Device::Cuda(_) | Device::Cpu | Device::Mps | Device::Vulkan => None,
        };
        let device = index.ok_or_else(|| Error::Device { tried, device: format!("{device:?}"), found })?;
        Ok(Self { device, on_the_way: VecDeque::new() })
    }

    /// Starts the copy of `source` and returns its tensor on the device.
    ///
    /// # Errors
    /// [`Error::Libtorch`] where the copy cannot be started, as when the device's memory is full.
    pub fn send(&mut self, source: Tensor) -> Result<Tensor, Error> {
        while let Some((event, _)) = self.on_the_way.front() {
            if !event.is_done()? {
                break;
            }
            self.on_the_way.pop_front();
        }
        let (copy, event) = ffi::copy_start(&source, self.device)?;
        self.on_the_way.push_back((event, source));
        Ok(copy)
    }

    /// How many sources are kept because their copies may not have arrived.
    pub fn on_the_way(&self) -> usize {
        self.on_the_way.len()
    }
}

impl Drop for Transfers {
    fn drop(&mut self) {
        for (event, source) in self.on_the_way.drain(..) {
            if event.wait().is_err() {
                // Nobody knows whether the device still reads: memory that is lost is better than memory that is reused.
                std::mem::forget(source);
            }
        }
    }
}
