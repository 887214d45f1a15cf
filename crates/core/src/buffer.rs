//! Memory of batches: 64-byte aligned blocks, reused through a pool.
#![expect(unsafe_code, reason = "owns raw memory that tensors and worker threads share")]

use std::alloc::Layout as AllocLayout;
use std::fmt;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::BoxError;
use crate::field::DType;

/// The alignment of every array of a batch, in bytes.
pub const ALIGNMENT: usize = 64;

mod sealed {
    pub trait Sealed {}
}

/// A type that an array of a batch can hold: plain numbers, for which every pattern of bits is a value.
pub trait Element: sealed::Sealed + Copy + Default + PartialEq + fmt::Debug + Send + Sync + 'static {
    /// The name of this type.
    const DTYPE: DType;
}

macro_rules! elements {
    ($($type:ty => $dtype:ident),*) => {$(
        impl sealed::Sealed for $type {}
        impl Element for $type {
            const DTYPE: DType = DType::$dtype;
        }
    )*};
}
elements!(u8 => U8, i16 => I16, i32 => I32, i64 => I64, f32 => F32, f64 => F64);

/// Returns the bytes of a slice of numbers, as they stand in memory.
pub fn bytes_of<T: Element>(values: &[T]) -> &[u8] {
    // SAFETY: every Element is a plain number without padding, and u8 has no alignment.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// Asks the system to back memory with large pages, where it is long enough and the system has them: reading small
/// samples from many places of a large array is otherwise bounded by looking up addresses. A hint: nothing is promised,
/// and contents do not change.
pub fn prefer_huge_pages<T: Element>(memory: &[T]) {
    advise_huge_pages(memory.as_ptr().cast(), size_of_val(memory), true);
}

/// Advises large pages for those that lie whole in a block; for pages that are in use already, now if `now` is true.
fn advise_huge_pages(start: *const u8, bytes: usize, now: bool) {
    #[cfg(all(target_os = "linux", not(miri)))]
    {
        const HUGE: usize = 2 << 20;
        let first = (start as usize).next_multiple_of(HUGE);
        let end = (start as usize + bytes) / HUGE * HUGE;
        if first < end {
            let advice: &[i32] =
                if now { &[libc::MADV_HUGEPAGE, libc::MADV_COLLAPSE] } else { &[libc::MADV_HUGEPAGE] };
            for &advice in advice {
                // SAFETY: the whole pages between first and end belong to the block; this advice changes how they are
                // backed, never what they contain. A refusal is no failure.
                unsafe { libc::madvise(first as *mut libc::c_void, end - first, advice) };
            }
        }
    }
    #[cfg(not(all(target_os = "linux", not(miri))))]
    let _ = (start, bytes, now);
}

/// Where blocks come from. Implement it to supply pinned or shared memory.
///
/// # Safety
/// `allocate(bytes)` returns a block of at least `bytes` initialised bytes, aligned to [`ALIGNMENT`], used by no one
/// else until it is given to `release` with the same length.
pub unsafe trait Memory: fmt::Debug + Send + Sync {
    /// Allocates a block.
    ///
    /// # Errors
    /// Says why there is no such block.
    fn allocate(&self, bytes: usize) -> Result<NonNull<u8>, BoxError>;

    /// Takes a block back.
    ///
    /// # Safety
    /// The block came from `allocate(bytes)` of the same value, is released once, and is not used afterwards.
    unsafe fn release(&self, block: NonNull<u8>, bytes: usize);
}

/// Memory of the process's heap, zeroed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heap;

fn heap_layout(bytes: usize) -> Result<AllocLayout, BoxError> {
    Ok(AllocLayout::from_size_align(bytes.max(1), ALIGNMENT)?)
}

// SAFETY: the global allocator gives zeroed, aligned blocks that are ours until deallocated with the same layout.
unsafe impl Memory for Heap {
    fn allocate(&self, bytes: usize) -> Result<NonNull<u8>, BoxError> {
        // SAFETY: the layout has a size of at least one byte.
        let block = unsafe { std::alloc::alloc_zeroed(heap_layout(bytes)?) };
        if !block.is_null() {
            // Before the first page is touched, so that none has to be moved.
            advise_huge_pages(block, bytes, false);
        }
        NonNull::new(block).ok_or_else(|| "the allocator has no such block".into())
    }

    unsafe fn release(&self, block: NonNull<u8>, bytes: usize) {
        let layout = heap_layout(bytes).expect("the block was allocated with this layout");
        // SAFETY: the caller hands back a block of `allocate`, which used this layout.
        unsafe { std::alloc::dealloc(block.as_ptr(), layout) };
    }
}

/// A store of equally long blocks. A block that is dropped comes back, and the last one back is the first one out,
/// because its memory is the likeliest to be in the processor's cache.
#[derive(Clone, Debug)]
pub struct Pool(Arc<Shelf>);

#[derive(Debug)]
struct Shelf {
    memory: Arc<dyn Memory>,
    bytes: usize,
    keep: usize,
    free: Mutex<Vec<Address>>,
}

#[derive(Debug)]
struct Address(NonNull<u8>);

// SAFETY: an address on the shelf is owned by the shelf alone.
unsafe impl Send for Address {}

impl Pool {
    /// Makes a pool of blocks of `bytes` each, which keeps at most `keep` unused ones. Allocates nothing yet.
    pub fn new(memory: Arc<dyn Memory>, bytes: usize, keep: usize) -> Self {
        Self(Arc::new(Shelf { memory, bytes, keep, free: Mutex::new(Vec::with_capacity(keep.min(1024))) }))
    }

    /// Takes a block: an unused one, else a new one. Its contents are arbitrary.
    ///
    /// # Errors
    /// Gives the allocator's error when there is no memory.
    pub fn take(&self) -> Result<Block, BoxError> {
        let recycled = self.0.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let start = match recycled {
            Some(Address(start)) => start,
            None => self.0.memory.allocate(self.0.bytes)?,
        };
        Ok(Block { start, shelf: Arc::clone(&self.0) })
    }

    /// Returns the bytes of one block.
    pub fn block_bytes(&self) -> usize {
        self.0.bytes
    }

    /// Returns how many unused blocks are kept now.
    pub fn unused(&self) -> usize {
        self.0.free.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        for Address(start) in self.free.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // SAFETY: the shelf owns what lies on it, allocated by this memory with this length.
            unsafe { self.memory.release(start, self.bytes) };
        }
    }
}

/// A block of memory on loan from a [`Pool`]; dropping it gives it back.
pub struct Block {
    start: NonNull<u8>,
    shelf: Arc<Shelf>,
}

// SAFETY: a block owns its bytes; shared references only read them.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    /// Returns a block of its own, of `bytes` zeros from the heap.
    pub(crate) fn zeroed(bytes: usize) -> Result<Self, BoxError> {
        Pool::new(Arc::new(Heap), bytes, 0).take()
    }

    /// Returns the length.
    pub fn len(&self) -> usize {
        self.shelf.bytes
    }

    /// Returns whether the length is 0.
    pub fn is_empty(&self) -> bool {
        self.shelf.bytes == 0
    }

    /// Copies the bytes of another block of the same length.
    ///
    /// # Panics
    /// Panics if it has another length.
    pub fn copy_from(&mut self, other: &Self) {
        let bytes = self.len();
        self.elements_mut::<u8>(0, bytes).copy_from_slice(other.elements(0, other.len()));
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Returns the elements of the bytes `offset..offset + count * size`.
    pub(crate) fn elements<T: Element>(&self, offset: usize, count: usize) -> &[T] {
        self.check::<T>(offset, count);
        // SAFETY: the range lies in the block and is aligned (checked); the bytes are initialised, and every pattern
        // is a value of T; `&self` rules out writers.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(offset).cast(), count) }
    }

    /// Returns the elements of the bytes `offset..offset + count * size`, to write.
    pub(crate) fn elements_mut<T: Element>(&mut self, offset: usize, count: usize) -> &mut [T] {
        self.check::<T>(offset, count);
        // SAFETY: as in `elements`, and `&mut self` rules out everyone else.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().add(offset).cast(), count) }
    }

    fn check<T: Element>(&self, offset: usize, count: usize) {
        let bytes = count.checked_mul(size_of::<T>()).and_then(|bytes| bytes.checked_add(offset));
        assert!(bytes.is_some_and(|end| end <= self.len()), "the range lies outside the block");
        assert!(offset.is_multiple_of(align_of::<T>()), "the offset is not aligned");
    }
}

/// A range of a shared block that nobody else reads or writes.
pub(crate) struct Part {
    block: Arc<Block>,
    // Invariant: disjoint from the ranges of all other parts of the block.
    range: Range<usize>,
}

impl Block {
    /// Divides the block into ranges that can be owned apart; it goes back to its pool with the last of them.
    ///
    /// # Panics
    /// Panics if the ranges are not ascending and disjoint, or go beyond the block.
    pub(crate) fn into_parts(self, ranges: &[Range<usize>]) -> Vec<Part> {
        let mut end = 0;
        for range in ranges {
            assert!(end <= range.start && range.start <= range.end, "ranges overlap");
            end = range.end;
        }
        assert!(end <= self.len(), "a range goes beyond the block");
        let block = Arc::new(self);
        ranges.iter().map(|range| Part { block: Arc::clone(&block), range: range.clone() }).collect()
    }
}

impl Part {
    /// Returns the bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the range lies in the block, and `&self` rules out `bytes_mut` of this part, the only writer to it.
        unsafe {
            std::slice::from_raw_parts(self.block.start.as_ptr().add(self.range.start), self.range.len())
        }
    }

    /// Returns the bytes, to write.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the range lies in the block and belongs to this part alone, and `&mut self` rules out other users.
        unsafe {
            std::slice::from_raw_parts_mut(self.block.start.as_ptr().add(self.range.start), self.range.len())
        }
    }

    /// Returns the elements.
    pub(crate) fn elements<T: Element>(&self) -> &[T] {
        self.block.elements(self.range.start, self.range.len() / size_of::<T>())
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part({:?} of {:?})", self.range, self.block)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let mut free = self.shelf.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < self.shelf.keep {
            free.push(Address(self.start));
        } else {
            drop(free);
            // SAFETY: the block owns these bytes, allocated by this memory with this length, and is gone now.
            unsafe { self.shelf.memory.release(self.start, self.shelf.bytes) };
        }
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_comes_back_to_its_pool_and_is_used_again() {
        let pool = Pool::new(Arc::new(Heap), 1000, 2);
        let mut first = pool.take().unwrap();
        first.elements_mut::<f32>(64, 10).fill(1.5);
        let address = first.start();
        assert_eq!(address.as_ptr() as usize % ALIGNMENT, 0);
        drop(first);
        assert_eq!(pool.unused(), 1);
        let again = pool.take().unwrap();
        assert_eq!(again.start(), address);
        assert_eq!(again.elements::<f32>(64, 10), [1.5; 10]);
        let others: Vec<_> = (0..3).map(|_| pool.take().unwrap()).collect();
        drop(others);
        assert_eq!(pool.unused(), 2, "no more than `keep` are kept");
        drop(pool);
        drop(again);
    }

    #[test]
    fn advice_on_pages_leaves_contents_alone() {
        let values: Vec<u8> = (0..5_000_000_u32).map(|i| i as u8).collect();
        prefer_huge_pages(&values);
        prefer_huge_pages(&values[..10]);
        assert!(values.iter().enumerate().all(|(i, &value)| value == i as u8));
    }

    #[test]
    fn parts_of_a_block_are_written_by_different_owners_and_go_back_with_the_last() {
        let pool = Pool::new(Arc::new(Heap), 256, 1);
        let mut parts = pool.take().unwrap().into_parts(&[0..64, 128..256]);
        let mut second = parts.pop().unwrap();
        let thread = std::thread::spawn(move || {
            second.bytes_mut().fill(2);
            second
        });
        parts[0].bytes_mut().fill(1);
        let second = thread.join().unwrap();
        assert!(parts[0].bytes() == [1; 64] && second.bytes() == [2; 128]);
        drop(parts);
        assert_eq!(pool.unused(), 0);
        drop(second);
        assert_eq!(pool.unused(), 1);
    }

    #[test]
    #[should_panic(expected = "outside the block")]
    fn a_range_beyond_the_block_is_refused() {
        Block::zeroed(16).unwrap().elements::<f64>(8, 2);
    }
}
