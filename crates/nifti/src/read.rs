//! Which bytes of a file a box of voxels is: the box becomes runs of bytes, and the runs become reads.

use std::ops::Range;

use crate::region::Region;

/// Runs of bytes, all of one length, at the distances of two nested loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Runs {
    first: u64,
    bytes: usize,
    rows: usize,
    row_stride: u64,
    slabs: usize,
    slab_stride: u64,
}

/// One read, and the runs that are in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) offset: u64,
    pub(crate) bytes: usize,
    pub(crate) runs: Range<usize>,
}

impl Runs {
    /// Returns the runs of a box in an array of voxels of `size` bytes that starts at byte `start`; one run where the box is
    /// of one piece. The array must end below 2^63.
    pub(crate) fn of(region: &Region, size: usize, start: u64) -> Self {
        let [nx, ny, _] = region.shape().map(|n| n as u64);
        let [x, y, z] = region.origin().map(|n| n as u64);
        let [sx, sy, sz] = region.size();
        let size_u64 = size as u64;
        let runs = Self {
            first: start + ((z * ny + y) * nx + x) * size_u64,
            bytes: sx * size,
            rows: sy,
            row_stride: nx * size_u64,
            slabs: sz,
            slab_stride: nx * ny * size_u64,
        };
        let whole_rows = sx as u64 == nx;
        let whole_slabs = whole_rows && sy as u64 == ny;
        if whole_slabs || (whole_rows && sz == 1) {
            Self { bytes: runs.bytes * sy * sz, rows: 1, slabs: 1, ..runs }
        } else if whole_rows {
            Self { bytes: runs.bytes * sy, rows: 1, ..runs }
        } else {
            runs
        }
    }

    /// Returns how many runs there are.
    pub(crate) fn len(&self) -> usize {
        self.rows * self.slabs
    }

    /// Returns the bytes of each.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns where a run starts.
    pub(crate) fn offset(&self, run: usize) -> u64 {
        let (slab, row) = (run / self.rows, run % self.rows);
        self.first + slab as u64 * self.slab_stride + row as u64 * self.row_stride
    }

    /// Returns reads that hold the runs, in order: runs with at most `gap` bytes between them are read at once, together
    /// with the gap, as long as the read has at most `most` bytes.
    pub(crate) fn reads(self, gap: u64, most: u64) -> impl Iterator<Item = Read> {
        let mut next = 0;
        std::iter::from_fn(move || {
            if next == self.len() {
                return None;
            }
            let first = next;
            let offset = self.offset(first);
            let mut end = offset + self.bytes as u64;
            next += 1;
            while next < self.len() {
                let start = self.offset(next);
                let new_end = start + self.bytes as u64;
                if gap < start - end || most < new_end - offset {
                    break;
                }
                end = new_end;
                next += 1;
            }
            Some(Read { offset, bytes: (end - offset) as usize, runs: first..next })
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A shape, and a box in it.
    fn regions() -> impl Strategy<Value = Region> {
        prop::array::uniform3((1_usize..8, any::<prop::sample::Index>(), any::<prop::sample::Index>()))
            .prop_map(|axes| {
                let shape = axes.map(|(n, _, _)| n);
                let origin = axes.map(|(n, a, _)| a.index(n));
                let size = std::array::from_fn(|axis| 1 + axes[axis].2.index(shape[axis] - origin[axis]));
                Region::new(origin, size, shape).unwrap()
            })
    }

    fn one_by_one(region: &Region, size: usize, start: u64) -> Vec<u64> {
        let [nx, ny, _] = region.shape();
        let mut bytes = Vec::new();
        for z in 0..region.size()[2] {
            for y in 0..region.size()[1] {
                for x in 0..region.size()[0] {
                    let [ox, oy, oz] = region.origin();
                    let voxel = ((oz + z) * ny + oy + y) * nx + ox + x;
                    bytes.extend((0..size).map(|byte| start + (voxel * size + byte) as u64));
                }
            }
        }
        bytes
    }

    proptest! {
        #[test]
        fn runs_are_the_bytes_of_the_box_in_order(
            region in regions(), size in 1_usize..9, start in 0_u64..1000,
        ) {
            let runs = Runs::of(&region, size, start);
            let bytes: Vec<u64> =
                (0..runs.len()).flat_map(|run| runs.offset(run)..runs.offset(run) + runs.bytes() as u64).collect();
            prop_assert_eq!(bytes, one_by_one(&region, size, start));
            for run in 1..runs.len() {
                prop_assert!(runs.offset(run - 1) + (runs.bytes() as u64) < runs.offset(run), "runs that touch");
            }
        }

        #[test]
        fn reads_hold_each_run_once_and_keep_to_their_limits(
            region in regions(), size in 1_usize..9, gap in 0_u64..40, most in 1_u64..200,
        ) {
            let runs = Runs::of(&region, size, 352);
            let mut next = 0;
            for read in runs.reads(gap, most) {
                prop_assert_eq!(read.runs.start, next);
                prop_assert!(!read.runs.is_empty());
                next = read.runs.end;
                prop_assert_eq!(read.offset, runs.offset(read.runs.start));
                let end = runs.offset(read.runs.end - 1) + runs.bytes() as u64;
                prop_assert_eq!(read.offset + read.bytes as u64, end);
                prop_assert!(read.bytes as u64 <= most || read.runs.len() == 1);
            }
            prop_assert_eq!(next, runs.len());
        }
    }

    #[test]
    fn places_far_behind_4_gib_do_not_wrap() {
        let region = Region::new([0, 0, 99_999], [1, 1, 1], [100_000, 100_000, 100_000]).unwrap();
        let runs = Runs::of(&region, 8, 352);
        assert_eq!(runs.offset(0), 352 + 99_999 * 10_u64.pow(10) * 8);
    }
}
