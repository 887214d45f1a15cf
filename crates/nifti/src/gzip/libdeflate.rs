//! libdeflate, called safely.

#![expect(unsafe_code, reason = "libdeflate is a C library")]

use std::ffi::c_void;
use std::ptr::NonNull;

use libdeflate_sys as sys;

/// What became of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Member {
    /// It ended as it should, checksum and length included.
    Whole {
        /// Bytes of the stream.
        read: usize,
        /// Bytes that came out.
        written: usize,
    },
    /// More comes out than fits.
    Full,
    /// It is damaged.
    Bad,
}

/// The tables of libdeflate.
pub(super) struct Decompressor(NonNull<sys::libdeflate_decompressor>);

impl Decompressor {
    /// Makes the tables, or nothing if there is no memory for them.
    pub(super) fn new() -> Option<Self> {
        // SAFETY: the function has no conditions; it returns a new decompressor or null.
        NonNull::new(unsafe { sys::libdeflate_alloc_decompressor() }).map(Self)
    }

    /// Inflates the gzip member at the start of `input` into the start of `out`.
    pub(super) fn gzip(&mut self, input: &[u8], out: &mut [u8]) -> Member {
        let (mut read, mut written) = (0, 0);
        // SAFETY: the decompressor is alive and borrowed exclusively; each pointer comes with the length of the slice that
        // it is taken from, and libdeflate reads and writes only within those; the two results point to live integers.
        let result = unsafe {
            sys::libdeflate_gzip_decompress_ex(
                self.0.as_ptr(),
                input.as_ptr().cast::<c_void>(),
                input.len(),
                out.as_mut_ptr().cast::<c_void>(),
                out.len(),
                &raw mut read,
                &raw mut written,
            )
        };
        match result {
            sys::libdeflate_result_LIBDEFLATE_SUCCESS => Member::Whole { read, written },
            sys::libdeflate_result_LIBDEFLATE_INSUFFICIENT_SPACE => Member::Full,
            _ => Member::Bad,
        }
    }
}

impl Drop for Decompressor {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `libdeflate_alloc_decompressor` and is freed once, here.
        unsafe { sys::libdeflate_free_decompressor(self.0.as_ptr()) }
    }
}
