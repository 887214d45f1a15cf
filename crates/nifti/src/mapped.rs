//! A file mapped into memory.

#![expect(unsafe_code, reason = "a map changes when the file does")]

use std::fs::File;
use std::io;

use memmap2::{Mmap, MmapOptions};

/// Maps the first `bytes` bytes of a file.
pub(crate) fn map(file: &File, bytes: usize) -> io::Result<Mmap> {
    // SAFETY: the map is read as plain bytes only, of which every pattern is valid, and never across two reads that must
    // agree for memory safety. What remains is that the file may change under it: then the voxels do, or the process gets
    // SIGBUS, which the choice of a map says.
    unsafe { MmapOptions::new().len(bytes).map(file) }
}
