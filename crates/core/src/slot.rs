//! The places of samples in a batch's memory, and how threads share them.
#![expect(unsafe_code, reason = "lends disjoint rows of one block to several threads")]

use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::buffer::{ALIGNMENT, Block, Element};
use crate::error::BoxError;
use crate::field::{DType, Field};
use crate::sync::{AtomicUsize, Ordering};

/// Where each field's array starts in the block of a batch.
#[derive(Debug)]
pub struct Layout {
    fields: Vec<Field>,
    offsets: Vec<usize>,
    rows: usize,
    bytes: usize,
}

impl Layout {
    /// Lays out `rows` samples of the given fields, each array aligned to [`ALIGNMENT`].
    ///
    /// # Errors
    /// Refuses two fields of one name, and sizes beyond the address space.
    pub fn new(fields: Vec<Field>, rows: usize) -> Result<Self, BoxError> {
        let mut offsets = Vec::with_capacity(fields.len());
        let mut bytes = 0_usize;
        for (i, field) in fields.iter().enumerate() {
            if fields[..i].iter().any(|other| other.name == field.name) {
                return Err(format!("two fields are named `{}`", field.name).into());
            }
            offsets.push(bytes);
            let end = field
                .shape
                .iter()
                .try_fold(field.dtype.size(), |product, &n| product.checked_mul(n))
                .and_then(|sample| sample.checked_mul(rows))
                .and_then(|array| array.checked_next_multiple_of(ALIGNMENT))
                .and_then(|array| array.checked_add(bytes))
                .filter(|&end| end <= isize::MAX as usize - ALIGNMENT);
            bytes =
                end.ok_or_else(|| format!("{rows} samples of {field} do not fit into the address space"))?;
        }
        Ok(Self { fields, offsets, rows, bytes })
    }

    /// Returns the fields.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Returns how many samples there is room for.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the bytes of the whole.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the offset of field number `field`, in bytes.
    pub(crate) fn offset(&self, field: usize) -> usize {
        self.offsets[field]
    }

    /// Returns the number of the field of this name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }
}

/// The place of one sample in a batch: for each field, the elements to write.
///
/// A reader must write every element: the memory is recycled, and what is not written is arbitrary.
#[derive(Debug)]
pub struct Slot<'a> {
    base: NonNull<u8>,
    layout: &'a Layout,
    row: usize,
    first: usize,
    count: usize,
    /// What its fields are called here, if not as in the layout.
    called: Option<&'a [Field]>,
    lent: PhantomData<&'a mut [u8]>,
}

impl Slot<'_> {
    /// Returns the fields of this slot.
    pub fn fields(&self) -> &[Field] {
        self.called.unwrap_or(&self.layout.fields[self.first..self.first + self.count])
    }

    /// Returns the elements of field number `field`, to write.
    ///
    /// # Panics
    /// Panics if there is no such field or its type is not `T`.
    #[inline]
    pub fn get<T: Element>(&mut self, field: usize) -> &mut [T] {
        assert!(field < self.count, "field {field} of a slot with {} fields", self.count);
        let at = self.first + field;
        let described = &self.layout.fields[at];
        if described.dtype != T::DTYPE {
            wrong_type(described, T::DTYPE);
        }
        let elements = described.elements();
        let offset = self.layout.offsets[at] + self.row * elements * size_of::<T>();
        // SAFETY: the row lies in the block (`Rows` hands out rows below `layout.rows` only) and belongs to this slot
        // alone, which is borrowed for as long as the result; arrays start aligned and rows are whole elements; the
        // bytes are initialised and every pattern is a value of T.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr().add(offset).cast(), elements) }
    }

    /// Returns the elements of the field named `name`, to write.
    ///
    /// # Panics
    /// Panics if there is no such field or its type is not `T`.
    pub fn named<T: Element>(&mut self, name: &str) -> &mut [T] {
        let field = self.fields().iter().position(|field| field.name == name);
        match field {
            Some(field) => self.get(field),
            None => panic!("there is no field `{name}`; there are {}", names(self.fields())),
        }
    }

    /// Returns the slot of the fields `range` alone, for a data set that is a part of another.
    ///
    /// # Panics
    /// Panics if the range goes beyond the fields.
    pub fn part(&mut self, range: Range<usize>) -> Slot<'_> {
        assert!(range.start <= range.end && range.end <= self.count, "fields {range:?} of {}", self.count);
        Slot {
            base: self.base,
            layout: self.layout,
            row: self.row,
            first: self.first + range.start,
            count: range.len(),
            called: self.called.map(|fields| &fields[range]),
            lent: PhantomData,
        }
    }

    /// As [`Slot::part`], with the fields called as the data set that is the part calls them, so that it finds them by name.
    ///
    /// # Panics
    /// Panics if the range goes beyond the fields, or `fields` are not as many, of the same types and shapes.
    pub fn part_as<'b>(&'b mut self, range: Range<usize>, fields: &'b [Field]) -> Slot<'b> {
        let part = self.part(range);
        let alike = |(a, b): (&Field, &Field)| a.dtype == b.dtype && a.shape == b.shape;
        assert!(
            part.count == fields.len() && part.fields().iter().zip(fields).all(alike),
            "the fields {} are written as {}",
            names(part.fields()),
            names(fields)
        );
        Slot { called: Some(fields), ..part }
    }
}

#[cold]
fn wrong_type(field: &Field, asked: DType) -> ! {
    panic!("the field `{}` holds {}, and {asked} was asked for", field.name, field.dtype)
}

pub(crate) fn names(fields: &[Field]) -> String {
    fields.iter().map(|field| format!("`{}`", field.name)).collect::<Vec<_>>().join(", ")
}

/// The rows of one batch while they are being written: each is claimed once, by one thread.
pub(crate) struct Rows {
    layout: Arc<Layout>,
    count: usize,
    base: NonNull<u8>,
    block: UnsafeCell<Option<Block>>,
    next: AtomicUsize,
    left: AtomicUsize,
}

// SAFETY: rows are handed out once each (`next`), the block is taken once, by whoever finishes the last row (`left`).
unsafe impl Send for Rows {}
// SAFETY: as above.
unsafe impl Sync for Rows {}

impl Rows {
    /// Lends the first `rows` rows of a block with this layout.
    ///
    /// # Panics
    /// Panics if the block or the layout is too small, or `rows` is 0.
    pub(crate) fn new(layout: Arc<Layout>, rows: usize, block: Block) -> Self {
        assert!(0 < rows && rows <= layout.rows && layout.bytes <= block.len(), "the block is too small");
        Self {
            count: rows,
            base: block.start(),
            layout,
            block: UnsafeCell::new(Some(block)),
            next: AtomicUsize::new(0),
            left: AtomicUsize::new(rows),
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.count
    }

    /// Returns whether there are rows that nobody has claimed.
    pub(crate) fn unclaimed(&self) -> bool {
        self.next.load(Ordering::Relaxed) < self.count
    }

    /// Claims up to `at_most` rows that nobody has claimed yet.
    pub(crate) fn claim(&self, at_most: usize) -> Option<Claim<'_>> {
        if !self.unclaimed() {
            return None;
        }
        let count = at_most.clamp(1, self.count);
        let start = self.next.fetch_add(count, Ordering::Relaxed);
        (start < self.count).then(|| Claim { shared: self, range: start..self.count.min(start + count) })
    }
}

/// Rows that one thread has claimed. They count as written when [`Claim::finish`] is called.
pub(crate) struct Claim<'a> {
    shared: &'a Rows,
    range: Range<usize>,
}

impl Claim<'_> {
    pub(crate) fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// Returns the slot of row `row`.
    #[inline]
    pub(crate) fn slot(&mut self, row: usize) -> Slot<'_> {
        assert!(self.range.contains(&row), "row {row} is not claimed");
        Slot {
            base: self.shared.base,
            layout: &self.shared.layout,
            row,
            first: 0,
            count: self.shared.layout.fields.len(),
            called: None,
            lent: PhantomData,
        }
    }

    /// Gives the rows back as written. Whoever finishes the last rows of the batch receives the block.
    pub(crate) fn finish(self) -> Option<Block> {
        let count = self.range.len();
        // Release what this thread wrote; acquire what all others wrote.
        if self.shared.left.fetch_sub(count, Ordering::AcqRel) == count {
            // SAFETY: all rows are claimed and finished, so no slot is left, and only one thread sees this count.
            unsafe { (*self.shared.block.get()).take() }
        } else {
            None
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    fn layout() -> Arc<Layout> {
        let fields = vec![Field::new::<f32>("image", &[2, 3]), Field::new::<i64>("label", &[])];
        Arc::new(Layout::new(fields, 7).expect("two small fields"))
    }

    #[test]
    fn arrays_are_aligned_and_follow_each_other() {
        let layout = layout();
        assert_eq!((layout.offset(0), layout.offset(1), layout.bytes()), (0, 192, 256));
        assert!(Layout::new(vec![Field::new::<u8>("a", &[]), Field::new::<u8>("a", &[])], 1).is_err());
        assert!(Layout::new(vec![Field::new::<f64>("a", &[usize::MAX / 4])], 2).is_err());
    }

    #[test]
    fn threads_write_disjoint_rows_and_the_last_one_gets_the_block() {
        let layout = layout();
        let rows = Rows::new(Arc::clone(&layout), 7, Block::zeroed(layout.bytes()).unwrap());
        let blocks = std::sync::Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while let Some(mut claim) = rows.claim(2) {
                        for row in claim.range() {
                            let mut slot = claim.slot(row);
                            slot.get::<f32>(0).fill(row as f32);
                            slot.part(1..2).named::<i64>("label")[0] = row as i64 * 10;
                        }
                        blocks.lock().unwrap().extend(claim.finish());
                    }
                });
            }
        });
        let blocks = blocks.into_inner().unwrap();
        assert_eq!(blocks.len(), 1);
        let images = blocks[0].elements::<f32>(0, 42);
        assert!(images.iter().enumerate().all(|(i, &value)| value == (i / 6) as f32));
        assert_eq!(blocks[0].elements::<i64>(192, 7), [0, 10, 20, 30, 40, 50, 60]);
    }

    #[test]
    #[should_panic(expected = "the field `label` holds i64, and f32 was asked for")]
    fn asking_for_another_type_says_so() {
        let layout = layout();
        let rows = Rows::new(Arc::clone(&layout), 1, Block::zeroed(layout.bytes()).unwrap());
        rows.claim(1).unwrap().slot(0).named::<f32>("label");
    }
}
