//! The sums of patches, plane by plane.

use std::ops::Range;

use super::blend::Blend;
use super::planes::Planes;
use crate::error::Error;
use crate::places::Grid;

/// Puts the patches of a [`Grid`] together to a volume, and hands out planes as soon as no later patch touches them.
///
/// A voxel becomes the mean of what the patches have there, weighted by a [`Blend`]. Sums are taken in double precision
/// and in the order of the grid, so the result does not depend on how patches were batched, and patches that were cut out
/// of a volume give that volume back bit for bit, whatever the overlap and the blend (where not more than 2^20 patches lie
/// over each other; what is not a number stays so). What lies outside of the volume, in patches that are longer than it, is left away.
///
/// It keeps the sums of the planes that patches not yet complete can touch: 8 bytes a voxel, in as many planes as a patch
/// is deep, of each channel ([`Aggregator::bytes`]). The weights need no memory like that, for in a grid their sum is a
/// product of sums along the axes.
///
/// ```
/// use batchwright_nifti::{Aggregator, Blend, Grid, Overlap, Whole};
/// let grid = Grid::new([5, 1, 1], [3, 1, 1], &Overlap::All(1))?;
/// let mut aggregator = Aggregator::new(grid, 1, Blend::Constant, Whole::new(1, [5, 1, 1]))?;
/// aggregator.push(0, &[1.0, 2.0, 3.0])?;
/// aggregator.push(1, &[5.0, 6.0, 7.0])?;
/// assert_eq!(aggregator.finish()?.voxels(), [1.0, 2.0, 4.0, 6.0, 7.0]);
/// # Ok::<(), batchwright_nifti::Error>(())
/// ```
#[derive(Debug)]
pub struct Aggregator<P> {
    grid: Grid,
    channels: usize,
    /// The weights of a patch's voxels on x, y and z.
    weights: [Vec<f64>; 3],
    /// The sums of weights at the volume's voxels on x, y and z.
    totals: [Vec<f64>; 3],
    /// Weighted sums, [C, z modulo the depth, y, x], from -0 on: the only number that changes nothing when added to.
    sums: Vec<f64>,
    depth: usize,
    /// The next patch.
    next: usize,
    /// How many planes were handed out.
    done: usize,
    plane: Vec<f32>,
    planes: P,
}

impl<P: Planes> Aggregator<P> {
    /// Makes an aggregator of patches [`channels`, z, y, x] that hands finished planes to `planes`.
    ///
    /// # Errors
    /// Refuses a blend that cannot be, no channels, and sums that do not fit into the memory there can be.
    pub fn new(grid: Grid, channels: usize, blend: Blend, planes: P) -> Result<Self, Error> {
        blend.check("blend")?;
        let [nx, ny, nz] = grid.shape();
        let depth = grid.size()[2].min(nz);
        let Some(bytes) = Self::bytes(&grid, channels).filter(|_| 0 < channels) else {
            return Err(Error::choice(
                "the channels of a prediction",
                "at least 1, and to fit into memory",
                channels,
            ));
        };
        let weights =
            grid.size().map(|size| blend.weights(size).into_iter().map(f64::from).collect::<Vec<_>>());
        let totals = [0, 1, 2].map(|axis| {
            let mut totals = vec![0.0; grid.shape()[axis]];
            for nth in 0..grid.counts()[axis] {
                let Inside { volume, patch } = inside(&grid, axis, nth);
                for (total, weight) in totals[volume].iter_mut().zip(&weights[axis][patch]) {
                    *total += weight;
                }
            }
            totals
        });
        let sums = vec![-0.0; bytes / size_of::<f64>()];
        let plane = vec![0.0; nx * ny];
        Ok(Self { grid, channels, weights, totals, sums, depth, next: 0, done: 0, plane, planes })
    }

    /// Returns the bytes that the sums take, or nothing if they cannot be counted.
    pub fn bytes(grid: &Grid, channels: usize) -> Option<usize> {
        let [nx, ny, nz] = grid.shape();
        let depth = grid.size()[2].min(nz);
        [nx, ny, depth, channels]
            .into_iter()
            .try_fold(size_of::<f64>(), usize::checked_mul)
            .filter(|&bytes| isize::try_from(bytes).is_ok())
    }

    /// Returns the number of the patch that must come next.
    pub fn next(&self) -> usize {
        self.next
    }

    /// Adds patch `index` of the grid, [C, z, y, x], and hands out the planes that are finished before it.
    ///
    /// # Errors
    /// Refuses a patch out of turn or of another length, before anything is changed, and passes on what `planes` fails
    /// with, after which the aggregator cannot go on.
    pub fn push(&mut self, index: usize, patch: &[f32]) -> Result<(), Error> {
        if index != self.next || self.grid.len() <= index {
            return Err(Error::PatchOrder { expected: self.next, found: index, patches: self.grid.len() });
        }
        let [sx, sy, sz] = self.grid.size();
        let expected = self.channels * sx * sy * sz;
        if patch.len() != expected {
            return Err(Error::PatchLength { patch: index, expected, found: patch.len() });
        }
        let nth = self.grid.nth(index);
        let [x, y, z] = [0, 1, 2].map(|axis| inside(&self.grid, axis, nth[axis]));
        self.hand_out(z.volume.start)?;
        let [nx, ny, _] = self.grid.shape();
        let weights_x = &self.weights[0][x.patch.clone()];
        for (channel, patch) in patch.chunks_exact(sx * sy * sz).enumerate() {
            for (at_z, from_z) in z.volume.clone().zip(z.patch.clone()) {
                let plane = (channel * self.depth + at_z % self.depth) * ny;
                for (at_y, from_y) in y.volume.clone().zip(y.patch.clone()) {
                    let weight = self.weights[2][from_z] * self.weights[1][from_y];
                    let row = (plane + at_y) * nx;
                    let sums = &mut self.sums[row + x.volume.start..row + x.volume.end];
                    let from = (from_z * sy + from_y) * sx;
                    let values = &patch[from + x.patch.start..from + x.patch.end];
                    for ((sum, weight_x), value) in sums.iter_mut().zip(weights_x).zip(values) {
                        *sum += weight * weight_x * f64::from(*value);
                    }
                }
            }
        }
        self.next += 1;
        Ok(())
    }

    /// Hands out the last planes and returns what took them.
    ///
    /// # Errors
    /// Refuses to end before the last patch, and passes on what `planes` fails with.
    pub fn finish(mut self) -> Result<P, Error> {
        if self.next != self.grid.len() {
            return Err(Error::PatchesMissing { found: self.next, patches: self.grid.len() });
        }
        self.hand_out(self.grid.shape()[2])?;
        Ok(self.planes)
    }

    /// Hands out the planes before `end`, and makes their sums ready for others.
    fn hand_out(&mut self, end: usize) -> Result<(), Error> {
        let [nx, ny, _] = self.grid.shape();
        for z in self.done..end {
            for channel in 0..self.channels {
                let start = (channel * self.depth + z % self.depth) * ny * nx;
                let sums = &mut self.sums[start..start + ny * nx];
                let rows = sums.chunks_exact_mut(nx).zip(self.plane.chunks_exact_mut(nx));
                for ((sums, voxels), total_y) in rows.zip(&self.totals[1]) {
                    let total = self.totals[2][z] * total_y;
                    for ((sum, voxel), total_x) in sums.iter_mut().zip(voxels).zip(&self.totals[0]) {
                        *voxel = (*sum / (total * total_x)) as f32;
                        *sum = -0.0;
                    }
                }
                self.planes.plane(channel, z, &self.plane)?;
            }
            self.done = z + 1;
        }
        Ok(())
    }
}

/// The part of a patch that lies in the volume, on one axis: counted in the volume, and in the patch.
struct Inside {
    volume: Range<usize>,
    patch: Range<usize>,
}

fn inside(grid: &Grid, axis: usize, nth: usize) -> Inside {
    let start = grid.start(axis, nth);
    let first = start.max(0) as usize;
    let before = start.min(0).unsigned_abs() as usize;
    let length = (grid.size()[axis] - before).min(grid.shape()[axis] - first);
    Inside { volume: first..first + length, patch: before..before + length }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;
    use crate::aggregate::Whole;
    use crate::places::Overlap;

    #[derive(Deserialize)]
    struct Blended {
        shape: [usize; 3],
        size: [usize; 3],
        overlap: [usize; 3],
        channels: usize,
        blend: Blend,
        patches: usize,
        voxels: Vec<f64>,
    }

    #[test]
    fn blended_volumes_are_those_of_numpy() {
        let cases: Vec<Blended> =
            serde_json::from_str(include_str!("../../tests/fixtures/aggregate/blended.json")).unwrap();
        assert_eq!(cases.len(), 5);
        for Blended { shape, size, overlap, channels, blend, patches, voxels } in cases {
            let grid = Grid::new(shape, size, &Overlap::Each(overlap)).unwrap();
            assert_eq!(grid.len(), patches);
            let whole = Whole::new(channels, shape);
            let mut aggregator = Aggregator::new(grid, channels, blend, whole).unwrap();
            for index in 0..patches {
                let length = channels * size.iter().product::<usize>();
                let patch: Vec<f32> =
                    (0..length).map(|i| ((7919 * index + 104_729 * i) % 1009) as f32 - 500.0).collect();
                aggregator.push(index, &patch).unwrap();
            }
            let ours = aggregator.finish().unwrap().into_voxels();
            assert_eq!(ours.len(), voxels.len());
            for (i, (&ours, &expected)) in ours.iter().zip(&voxels).enumerate() {
                // Values are up to 509; weights differ by 6e-6 of theirs at most (see the windows' test), on three axes.
                assert!(
                    (f64::from(ours) - expected).abs() < 509.0 * 2.0 * 1.8e-5,
                    "{size:?} {blend:?}, voxel {i}: {ours} and {expected}"
                );
            }
        }
    }

    /// Cuts a patch out of [C, z, y, x]; outside there is `outside`.
    fn cut(volume: &[f32], channels: usize, grid: &Grid, index: usize, outside: f32) -> Vec<f32> {
        let ([nx, ny, nz], [sx, sy, sz], [ox, oy, oz]) = (grid.shape(), grid.size(), grid.origin(index));
        let mut patch = Vec::new();
        for c in 0..channels {
            for z in 0..sz {
                for y in 0..sy {
                    for x in 0..sx {
                        let at = [ox + x as i64, oy + y as i64, oz + z as i64].map(usize::try_from);
                        patch.push(match at {
                            [Ok(x), Ok(y), Ok(z)] if x < nx && y < ny && z < nz => {
                                volume[((c * nz + z) * ny + y) * nx + x]
                            }
                            _ => outside,
                        });
                    }
                }
            }
        }
        patch
    }

    /// Numbers of all kinds: signs, exponents, zeros of both signs, subnormal, infinite.
    fn value(seed: u64, i: usize) -> f32 {
        let bits = (seed ^ i as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        match bits >> 60 {
            0 => -0.0,
            1 => 0.0,
            2 => f32::from_bits((bits >> 20) as u32 & 0x807f_ffff),
            3 => f32::INFINITY,
            _ => {
                let value = f32::from_bits((bits >> 20) as u32);
                if value.is_nan() { f32::MAX } else { value }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
        #[test]
        fn patches_of_a_volume_give_it_back_bit_for_bit(
            shape in prop::array::uniform3(1_usize..14),
            size in prop::array::uniform3(1_usize..12),
            overlap in prop::array::uniform3(0_usize..12),
            channels in 1_usize..3,
            blend in prop::sample::select(vec![
                Blend::Constant, Blend::GAUSSIAN, Blend::Gaussian(0.01), Blend::Gaussian(0.7), Blend::Hann,
            ]),
            seed: u64,
        ) {
            let overlap = [0, 1, 2].map(|axis| overlap[axis] % size[axis]);
            let grid = Grid::new(shape, size, &Overlap::Each(overlap)).unwrap();
            let voxels = shape.iter().product::<usize>();
            let volume: Vec<f32> = (0..channels * voxels).map(|i| value(seed, i)).collect();
            let mut order = Vec::new();
            let mut result = Whole::new(channels, shape);
            let planes = |channel: usize, z: usize, voxels: &[f32]| {
                order.push((z, channel));
                result.plane(channel, z, voxels)
            };
            let mut aggregator = Aggregator::new(grid, channels, blend, planes).unwrap();
            for index in 0..grid.len() {
                aggregator.push(index, &cut(&volume, channels, &grid, index, f32::NAN)).unwrap();
            }
            let _closure = aggregator.finish().unwrap();
            let expected: Vec<_> = (0..shape[2]).flat_map(|z| (0..channels).map(move |c| (z, c))).collect();
            prop_assert_eq!(order, expected);
            for (i, (x, y)) in result.voxels().iter().zip(&volume).enumerate() {
                prop_assert_eq!(x.to_bits(), y.to_bits(), "voxel {}: {} and {}", i, x, y);
            }
        }
    }

    #[test]
    fn planes_are_handed_out_as_soon_as_no_later_patch_touches_them() {
        let grid = Grid::new([4, 4, 100], [4, 2, 8], &Overlap::Each([0, 0, 4])).unwrap();
        assert_eq!(Aggregator::<Whole>::bytes(&grid, 3), Some(4 * 4 * 8 * 3 * 8));
        let mut last = None;
        let mut aggregator = Aggregator::new(grid, 3, Blend::Hann, |_: usize, z: usize, _: &[f32]| {
            last = Some(z);
            Ok(())
        })
        .unwrap();
        assert_eq!(aggregator.sums.len() * 8, 4 * 4 * 8 * 3 * 8);
        for index in 0..grid.len() {
            aggregator.push(index, &[1.0; 3 * 4 * 2 * 8]).unwrap();
            assert_eq!(aggregator.done as i64, grid.origin(index)[2]);
        }
        let _closure = aggregator.finish().unwrap();
        assert_eq!(last, Some(99));
    }

    #[test]
    fn patches_out_of_turn_or_of_another_length_change_nothing() {
        let grid = Grid::new([4, 1, 1], [2, 1, 1], &Overlap::default()).unwrap();
        let mut aggregator = Aggregator::new(grid, 1, Blend::Constant, Whole::new(1, [4, 1, 1])).unwrap();
        assert!(matches!(
            aggregator.push(1, &[0.0; 2]),
            Err(Error::PatchOrder { expected: 0, found: 1, patches: 2 })
        ));
        aggregator.push(0, &[1.0, 2.0]).unwrap();
        assert!(matches!(aggregator.push(0, &[9.0; 2]), Err(Error::PatchOrder { expected: 1, .. })));
        assert!(matches!(
            aggregator.push(1, &[9.0; 3]),
            Err(Error::PatchLength { patch: 1, expected: 2, found: 3 })
        ));
        aggregator.push(1, &[3.0, 4.0]).unwrap();
        assert!(matches!(aggregator.push(2, &[9.0; 2]), Err(Error::PatchOrder { .. })));
        assert_eq!(aggregator.finish().unwrap().voxels(), [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn a_volume_with_missing_patches_is_not_finished() {
        let grid = Grid::new([4, 1, 1], [2, 1, 1], &Overlap::default()).unwrap();
        let mut aggregator = Aggregator::new(grid, 1, Blend::Constant, Whole::new(1, [4, 1, 1])).unwrap();
        aggregator.push(0, &[1.0, 2.0]).unwrap();
        assert!(matches!(aggregator.finish(), Err(Error::PatchesMissing { found: 1, patches: 2 })));
    }

    #[test]
    fn what_fails_to_take_a_plane_ends_it_with_its_error() {
        let grid = Grid::new([1, 1, 2], [1, 1, 1], &Overlap::default()).unwrap();
        let full = |_: usize, _: usize, _: &[f32]| Err(Error::choice("disk", "free", "full"));
        let mut aggregator = Aggregator::new(grid, 1, Blend::Constant, full).unwrap();
        aggregator.push(0, &[1.0]).unwrap();
        assert!(aggregator.push(1, &[1.0]).unwrap_err().to_string().contains("disk"));
    }

    #[test]
    fn no_channels_and_too_many_are_refused() {
        let grid = Grid::new([4, 4, 4], [2, 2, 2], &Overlap::default()).unwrap();
        assert!(Aggregator::new(grid, 0, Blend::Constant, Whole::new(0, [4; 3])).is_err());
        assert!(Aggregator::new(grid, usize::MAX / 16, Blend::Constant, Whole::new(0, [4; 3])).is_err());
    }
}
