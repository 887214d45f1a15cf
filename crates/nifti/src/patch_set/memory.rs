//! Memory that a thread uses for one patch after another.

use std::cell::RefCell;

use crate::convert::Scaling;
use crate::error::Error;
use crate::gather::SourceBox;
use crate::intensity::Scratch;
use crate::preprocess::{NanPolicy, Statistics};
use crate::region::Region;
use crate::voxels::{Voxel, VoxelSlice, VoxelType, with_voxels};

/// Bytes that begin where any voxel may begin.
#[derive(Debug, Default)]
pub(super) struct Bytes(Vec<u64>);

/// What is kept of it for the next patch.
const KEPT: usize = 256 << 20;

impl Bytes {
    /// Returns `count` bytes, whose contents are arbitrary.
    pub(super) fn take(&mut self, count: usize) -> &mut [u8] {
        let words = count.div_ceil(8);
        if self.0.len() < words {
            // A fresh vector: what was in the old one need not be moved.
            self.0 = Vec::new();
            self.0 = vec![0; words];
        }
        &mut crate::cast::bytes_of_mut(&mut self.0)[..count]
    }

    /// Does something with a copy of the voxels of a region in which those that are no numbers are replaced.
    pub(super) fn with_mended<R>(
        &mut self,
        source: &SourceBox<'_>,
        region: &Region,
        policy: NanPolicy,
        scaling: Scaling,
        statistics: &Statistics,
        work: impl FnOnce(&SourceBox<'_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let voxel_type = source.voxels().voxel_type();
        let bytes = self.take(region.voxels() * voxel_type.size());
        with_voxels!(source.voxels(), voxels => copy_region(voxels, source.region(), region, bytes));
        policy.replace(voxel_type, bytes, scaling, statistics);
        work(&SourceBox::new(voxels_of(bytes, voxel_type), region)?)
    }

    /// Gives large memory back.
    pub(super) fn trim(&mut self) {
        if KEPT < self.0.len() * 8 {
            self.0 = Vec::new();
        }
    }
}

/// Returns memory of [`Bytes`] as voxels.
pub(super) fn voxels_of(bytes: &[u8], voxel_type: VoxelType) -> VoxelSlice<'_> {
    VoxelSlice::of_bytes(bytes, voxel_type).expect("the memory is of words, and whole voxels were taken")
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Voxels that were read.
    pub(super) stored: Bytes,
    /// Voxels that were mended.
    pub(super) mended: Bytes,
    /// Labels of a patch that may be drawn again.
    pub(super) labels: Vec<i32>,
    /// Labels of a patch before they are merged.
    pub(super) unmerged: Vec<i32>,
    /// That of intensity changes.
    pub(super) scratch: Scratch,
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::new(Memory::default());
}

/// Does something with the memory of the thread.
pub(super) fn with_memory<R>(work: impl FnOnce(&mut Memory) -> R) -> R {
    MEMORY.with_borrow_mut(work)
}

/// Copies the voxels of a region out of a larger one.
fn copy_region<T: Voxel>(voxels: &[T], from: &Region, region: &Region, out: &mut [u8]) {
    let [nx, ny, nz] = region.size();
    let offset = [0, 1, 2].map(|axis| region.origin()[axis] - from.origin()[axis]);
    let [from_nx, from_ny, _] = from.size();
    let mut rows = out.chunks_exact_mut(nx * size_of::<T>());
    for z in 0..nz {
        for (y, row) in (0..ny).zip(&mut rows) {
            let start = ((z + offset[2]) * from_ny + y + offset[1]) * from_nx + offset[0];
            row.copy_from_slice(crate::cast::bytes_of_voxels(&voxels[start..start + nx]));
        }
    }
}
