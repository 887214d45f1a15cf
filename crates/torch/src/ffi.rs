//! The one place with `unsafe`: calls of the shim, wrapped so that no caller can misuse them.
#![allow(unsafe_code, reason = "the boundary to C++; everything that leaves this module is safe")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};

use tch::Tensor;
use torch_sys::C_tensor;

use crate::Error;

#[repr(C)]
struct RawEvent {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    fn bw_free(text: *mut c_char);
    fn bw_from_owner(
        data: *mut c_void,
        sizes: *const i64,
        n_sizes: usize,
        kind: c_int,
        owner: *mut c_void,
        drop: unsafe extern "C" fn(*mut c_void),
        out: *mut *mut C_tensor,
    ) -> *mut c_char;
    fn bw_pinned(n_bytes: i64, out: *mut *mut C_tensor) -> *mut c_char;
    fn bw_copy_start(
        source: *const C_tensor,
        device: c_int,
        out: *mut *mut C_tensor,
        done: *mut *mut RawEvent,
    ) -> *mut c_char;
    fn bw_event_query(event: *const RawEvent, done: *mut bool) -> *mut c_char;
    fn bw_event_wait(event: *const RawEvent) -> *mut c_char;
    fn bw_event_free(event: *mut RawEvent);
    fn bw_fused_adam(
        parameters: *const *mut C_tensor,
        gradients: *const *mut C_tensor,
        means: *const *mut C_tensor,
        squares: *const *mut C_tensor,
        n: usize,
        step: *const C_tensor,
        lr: f64,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        eps: f64,
        decoupled: bool,
    ) -> *mut c_char;
    fn bw_version() -> *const c_char;
    fn bw_cpu_capability(out: *mut *mut c_char) -> *mut c_char;
}

/// An owner on the heap, which does not move until it is dropped.
///
/// Invariant: the pointer came out of `Box::into_raw` and nobody else frees it.
pub(crate) struct Fixed<O>(NonNull<O>);

impl<O: Send + 'static> Fixed<O> {
    /// Puts the owner on the heap.
    pub(crate) fn new(owner: O) -> Self {
        Self(NonNull::from(Box::leak(Box::new(owner))))
    }

    /// The owner's bytes. They stay valid as long as `self` does: `&mut` for any lifetime can only come out of the
    /// owner itself (or live for ever), and the owner is neither moved nor lent again.
    pub(crate) fn bytes(&mut self, bytes: impl for<'a> FnOnce(&'a mut O) -> &'a mut [u8]) -> *mut [u8] {
        // SAFETY: the pointer is valid and, by the invariant and `&mut self`, not lent to anybody else.
        bytes(unsafe { self.0.as_mut() })
    }

    /// Makes a tensor of `data`, which [`Fixed::bytes`] gave, and hands the owner over to it.
    ///
    /// `kind` is libtorch's number of an element type that `data` is aligned and long enough for; checked by the caller,
    /// as is that any bytes are valid for it.
    pub(crate) fn into_tensor(self, data: *mut [u8], shape: &[i64], kind: c_int) -> Result<Tensor, Error> {
        let owner = self.0;
        std::mem::forget(self);
        let mut out = ptr::null_mut();
        // SAFETY: `data` lives as long as the owner, which the shim keeps until the storage is freed and then gives
        // to `drop_owner::<O>` once, also on failure. `O: Send`, so that may happen on any thread.
        let message = unsafe {
            bw_from_owner(
                data.cast(),
                shape.as_ptr(),
                shape.len(),
                kind,
                owner.as_ptr().cast(),
                drop_owner::<O>,
                &raw mut out,
            )
        };
        check("make a tensor of a buffer", message)?;
        // SAFETY: without a message `out` is a new tensor that nobody else frees.
        Ok(unsafe { Tensor::from_ptr(out) })
    }
}

impl<O> Drop for Fixed<O> {
    fn drop(&mut self) {
        // SAFETY: by the invariant this is the box's pointer, freed here only.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// Drops an owner for libtorch. A panic in the owner's `Drop` ends here, for it must not unwind through C++.
unsafe extern "C" fn drop_owner<O>(owner: *mut c_void) {
    // SAFETY: called once, with the pointer of the `Box<O>` that `into_tensor` gave away.
    let owner = unsafe { Box::from_raw(owner.cast::<O>()) };
    if let Err(payload) = catch_unwind(AssertUnwindSafe(move || drop(owner))) {
        // Dropping the payload could panic once more.
        std::mem::forget(payload);
    }
}

/// Pinned host memory, zeroed.
///
/// Invariant: the tensor is a contiguous byte tensor on the CPU and has no other view.
#[derive(Debug)]
pub(crate) struct PinnedBytes {
    tensor: Tensor,
    len: usize,
}

impl PinnedBytes {
    pub(crate) fn new(len: usize) -> Result<Self, Error> {
        let tried = "allocate pinned memory";
        let n_bytes = i64::try_from(len)
            .map_err(|_| Error::Libtorch { tried, message: format!("{len} bytes are too many") })?;
        let mut out = ptr::null_mut();
        // SAFETY: `out` is valid for a write.
        let message = unsafe { bw_pinned(n_bytes, &raw mut out) };
        check(tried, message)?;
        // SAFETY: without a message `out` is a new tensor that nobody else frees.
        let tensor = unsafe { Tensor::from_ptr(out) };
        if 0 < len {
            // SAFETY: the storage has `len` bytes; after this all of them are initialized.
            unsafe { ptr::write_bytes(tensor.data_ptr().cast::<u8>(), 0, len) };
        }
        Ok(Self { tensor, len })
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: `len` initialized bytes, by the invariant shared with nobody while `self` is borrowed.
        unsafe { std::slice::from_raw_parts(self.tensor.data_ptr().cast::<u8>(), self.len) }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        if self.len == 0 {
            return &mut [];
        }
        // SAFETY: as above, and `&mut self` makes it exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.tensor.data_ptr().cast::<u8>(), self.len) }
    }
}

/// Something that a device does behind the copies it was given before.
#[derive(Debug)]
pub(crate) struct Event(NonNull<RawEvent>);

// SAFETY: an event of libtorch is not bound to a thread; without `Sync` it is used by one at a time.
unsafe impl Send for Event {}

impl Event {
    pub(crate) fn is_done(&self) -> Result<bool, Error> {
        let mut done = false;
        // SAFETY: the event is alive; `done` is valid for a write.
        check("ask for a copy", unsafe { bw_event_query(self.0.as_ptr(), &raw mut done) })?;
        Ok(done)
    }

    pub(crate) fn wait(&self) -> Result<(), Error> {
        // SAFETY: the event is alive.
        check("wait for a copy", unsafe { bw_event_wait(self.0.as_ptr()) })
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: made by `bw_copy_start`, freed here only.
        unsafe { bw_event_free(self.0.as_ptr()) };
    }
}

/// Starts a copy to CUDA device `device`; `source` has to be kept until the event is done.
pub(crate) fn copy_start(source: &Tensor, device: c_int) -> Result<(Tensor, Event), Error> {
    let (mut out, mut done) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: the source is alive during the call; both outputs are valid for a write.
    let message = unsafe { bw_copy_start(source.as_ptr(), device, &raw mut out, &raw mut done) };
    check("start a copy to the GPU", message)?;
    let event = NonNull::new(done).expect("the shim sets the event where it returns no message");
    // SAFETY: without a message `out` is a new tensor that nobody else frees.
    Ok((unsafe { Tensor::from_ptr(out) }, Event(event)))
}

/// One step of Adam. The lists are equally long, and tensor by tensor of one shape, kind, layout and device; checked by the caller.
pub(crate) fn fused_adam(
    lists: [&[Tensor]; 4],
    step: &Tensor,
    settings: &crate::AdamSettings,
    decoupled: bool,
) -> Result<(), Error> {
    let [parameters, gradients, means, squares] =
        lists.map(|list| list.iter().map(|tensor| tensor.as_ptr().cast_mut()).collect::<Vec<_>>());
    let crate::AdamSettings { lr, betas: [beta1, beta2], eps, weight_decay } = *settings;
    // SAFETY: every tensor is alive during the call, and the lists have the length that is passed with them.
    let message = unsafe {
        bw_fused_adam(
            parameters.as_ptr(),
            gradients.as_ptr(),
            means.as_ptr(),
            squares.as_ptr(),
            parameters.len(),
            step.as_ptr(),
            lr,
            beta1,
            beta2,
            weight_decay,
            eps,
            decoupled,
        )
    };
    check("make a step of Adam", message)
}

/// The version of libtorch.
pub(crate) fn version() -> String {
    // SAFETY: a string literal in the shim.
    unsafe { CStr::from_ptr(bw_version()) }.to_string_lossy().into_owned()
}

/// The instruction set that libtorch has chosen.
pub(crate) fn cpu_capability() -> Result<String, Error> {
    let mut out = ptr::null_mut();
    // SAFETY: `out` is valid for a write.
    let message = unsafe { bw_cpu_capability(&raw mut out) };
    check("tell its CPU capability", message)?;
    // SAFETY: without a message `out` is a string that is ours to free.
    Ok(unsafe { take(out) })
}

fn check(tried: &'static str, message: *mut c_char) -> Result<(), Error> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: a message of the shim is a string that is ours to free.
    Err(Error::Libtorch { tried, message: unsafe { take(message) } })
}

/// Copies and frees a string of the shim.
///
/// # Safety
/// `text` was given out by the shim and is not used afterwards.
unsafe fn take(text: *mut c_char) -> String {
    // SAFETY: by contract a string that ends in a zero.
    let copy = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
    // SAFETY: by contract freed here only.
    unsafe { bw_free(text) };
    copy
}
