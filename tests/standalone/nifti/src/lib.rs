//! Uses batchwright-nifti as somebody would who takes this crate alone.

use std::sync::Arc;

use batchwright_core::{BatchOptions, Batches, BoxError, WindowedBlocks};
use batchwright_nifti::{
    Cache, CacheOptions, FixedSampler, KeyBy, PatchOptions, PatchSampler, PatchSet, PatchSetOptions, Phantom,
};

/// Patches of generated heads, half of them around an organ.
pub fn patches(phantom: &Phantom, size: [usize; 3]) -> Result<PatchSet, BoxError> {
    let patch = PatchOptions {
        size,
        per_volume: 2,
        sampler: PatchSampler::Foreground(0.5),
        foreground_fraction: None,
        validation: FixedSampler::Center,
    };
    let cache = Cache::new(CacheOptions { budget: 64 << 20, directory: None, key: KeyBy::default() })?;
    let subjects: Vec<usize> = (0..phantom.subjects).collect();
    Ok(PatchSet::phantom(phantom, &subjects, PatchSetOptions::new(patch), None, Arc::new(cache))?)
}

/// Batches of four patches, of two heads at a time.
pub fn batches(patches: PatchSet, seed: u64) -> Result<Batches<PatchSet>, BoxError> {
    let order = WindowedBlocks::new(patches.plan().blocks(), 2)?;
    Ok(Batches::new(patches, order, BatchOptions { seed, batch_size: 4, ..BatchOptions::default() })?)
}

#[cfg(test)]
mod tests {
    use batchwright_core::{Context, Sequence as _};

    use super::*;

    #[test]
    fn a_batch_has_the_voxels_of_the_phantom_where_the_records_say() {
        let (seed, epoch, [nx, ny, nz]) = (5, 3, [16, 12, 8]);
        let phantom = Phantom { subjects: 3, shape: [24, 26, 22], ..Phantom::default() };
        let batches = batches(patches(&phantom, [nx, ny, nz]).unwrap(), seed).unwrap();
        assert_eq!(batches.len(), 2);
        let batch = batches.get(epoch, 0).unwrap();
        assert_eq!(batch.shape("image").unwrap(), [4, 1, nz, ny, nx]);
        assert_eq!(batch.shape("label").unwrap(), [4, 1, nz, ny, nx]);
        let images = batch.get::<f32>("image").unwrap().chunks_exact(nx * ny * nz);
        let labels = batch.get::<u8>("label").unwrap().chunks_exact(nx * ny * nz);
        for (sample, (image, label)) in batch.samples.iter().zip(images.zip(labels)) {
            let context = Context::new(seed, epoch, sample.position);
            let record = batches.dataset().draw(sample.index, &context).unwrap();
            let subject = phantom.subject(sample.index / 2).unwrap();
            let [x0, y0, z0] = record.place.origin.map(|at| at as usize);
            let [width, height, _] = subject.shape;
            for z in 0..nz {
                for y in 0..ny {
                    let (row, from) = ((z * ny + y) * nx, ((z + z0) * height + y + y0) * width + x0);
                    assert_eq!(image[row..row + nx], subject.image[from..from + nx]);
                    assert_eq!(label[row..row + nx], subject.label[from..from + nx]);
                }
            }
        }
    }
}
