//! Draws of voxels by a volume of weights.

use std::fmt;
use std::path::Path;

use batchwright_core::Stream;

use super::voxel_at;
use crate::affine::Affine;
use crate::error::Error;
use crate::region::Region;
use crate::voxels::{Voxel, VoxelSlice, with_voxels};

/// The sums of a volume of weights, row by row: enough to draw a voxel by its weight while the volume is at hand.
///
/// It keeps one number for each row of x, not one for each voxel. A weight is `stored * slope + inter`, in double
/// precision; sums are taken in the order of the voxels.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightSums {
    shape: [usize; 3],
    slope: f64,
    inter: f64,
    /// The sum of all weights up to the end of each row.
    rows: Vec<f64>,
}

impl WeightSums {
    /// Sums the weights of a volume, of the file at `path`.
    ///
    /// # Errors
    /// Refuses a weight that is negative or not finite, a sum that is not finite, and voxels that are not those of `shape`.
    pub fn of(
        path: &Path,
        voxels: VoxelSlice<'_>,
        shape: [usize; 3],
        slope: f64,
        inter: f64,
    ) -> Result<Self, Error> {
        let region = Region::whole(shape)?;
        check_length(path, voxels, region.voxels())?;
        let mut rows = Vec::with_capacity(shape[1] * shape[2]);
        let mut sum = 0.0;
        with_voxels!(voxels, voxels => for (row, voxels) in voxels.chunks_exact(shape[0]).enumerate() {
            let of_row = row_sum(voxels, slope, inter).map_err(|(x, value)| Error::Weight {
                path: path.to_owned(),
                voxel: voxel_at((row * shape[0] + x) as u64, shape),
                value,
            })?;
            sum += of_row;
            rows.push(sum);
        });
        if !f64::is_finite(sum) {
            return Err(Error::Weight { path: path.to_owned(), voxel: [0; 3], value: sum });
        }
        Ok(Self { shape, slope, inter, rows })
    }

    /// Returns the sum of all weights.
    pub fn total(&self) -> f64 {
        self.rows[self.rows.len() - 1]
    }

    /// Returns the shape of the volume.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Draws a voxel with a probability in proportion to its weight, or none if all weights are 0.
    ///
    /// `row` gives the stored weights of all x of one y and z: those that were summed. It takes one [`Stream::uniform`], so
    /// its steps are 2^-53 of the total; a voxel of weight 0 is never drawn.
    ///
    /// # Errors
    /// Passes on what `row` fails with.
    pub fn draw<E>(
        &self,
        row: impl FnOnce([usize; 2]) -> Result<Vec<f64>, E>,
        stream: &mut Stream,
    ) -> Result<Option<[usize; 3]>, E> {
        let ny = self.shape[1];
        let at = stream.uniform() * self.total();
        let number = self.rows.partition_point(|&sum| sum <= at);
        if number == self.rows.len() {
            return Ok(None);
        }
        let rest = at - if number == 0 { 0.0 } else { self.rows[number - 1] };
        let [y, z] = [number % ny, number / ny];
        let mut sum = 0.0;
        let mut last = None;
        for (x, stored) in row([y, z])?.into_iter().enumerate() {
            let weight = weight(stored, self.slope, self.inter);
            sum += weight;
            if 0.0 < weight {
                last = Some(x);
                if rest < sum {
                    break;
                }
            }
        }
        Ok(last.map(|x| [x, y, z]))
    }
}

/// Reads the stored weights of all x of one y and z.
pub type WeightRow<'a> = dyn Fn([usize; 2]) -> Result<Vec<f64>, Error> + 'a;

/// A volume of weights to draw from: it is read a row at a time.
#[derive(Clone, Copy)]
pub struct Weights<'a> {
    /// The sums of its weights.
    pub sums: &'a WeightSums,
    /// Reads a row of it.
    pub row: &'a WeightRow<'a>,
    /// The map from its voxels to the processed grid.
    pub map: Affine,
}

impl fmt::Debug for Weights<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Weights").field("sums", &self.sums).field("map", &self.map).finish_non_exhaustive()
    }
}

#[inline]
fn weight<V: Voxel>(voxel: V, slope: f64, inter: f64) -> f64 {
    voxel.to_f64() * slope + inter
}

/// Sums a row, or returns which weight cannot be.
fn row_sum<V: Voxel>(voxels: &[V], slope: f64, inter: f64) -> Result<f64, (usize, f64)> {
    let mut sum = 0.0;
    for (x, voxel) in voxels.iter().enumerate() {
        let weight = weight(*voxel, slope, inter);
        if !(weight.is_finite() && 0.0 <= weight) {
            return Err((x, weight));
        }
        sum += weight;
    }
    Ok(sum)
}

/// Checks that there are as many voxels as the shape has.
pub(super) fn check_length(path: &Path, voxels: VoxelSlice<'_>, expected: usize) -> Result<(), Error> {
    if voxels.len() == expected {
        Ok(())
    } else {
        Err(Error::VoxelCount { path: path.to_owned(), expected, found: voxels.len() })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Draws from voxels that are all in memory.
    fn draw(sums: &WeightSums, voxels: VoxelSlice<'_>, stream: &mut Stream) -> Option<[usize; 3]> {
        let [nx, ny, _] = sums.shape();
        let row = |[y, z]: [usize; 2]| Ok((0..nx).map(|x| voxels.at((z * ny + y) * nx + x)).collect());
        sums.draw::<Infallible>(row, stream).unwrap_or_else(|never| match never {})
    }

    fn sums(voxels: VoxelSlice<'_>, shape: [usize; 3]) -> Result<WeightSums, Error> {
        WeightSums::of(Path::new("weights.nii"), voxels, shape, 1.0, 0.0)
    }

    #[test]
    fn voxels_are_drawn_in_proportion_to_their_weights() {
        let weights = [0_u8, 1, 2, 0, 0, 0, 5, 0, 0, 0, 0, 2];
        let voxels = VoxelSlice::U8(&weights);
        let sums = sums(voxels, [3, 2, 2]).unwrap();
        assert_eq!(sums.total(), 10.0);
        let mut stream = Stream::new(8, 0, 0, "test");
        let mut counts = [0_u64; 12];
        for _ in 0..20_000 {
            let [x, y, z] = draw(&sums, voxels, &mut stream).unwrap();
            counts[(z * 2 + y) * 3 + x] += 1;
        }
        let mut statistic = 0.0;
        for (&weight, &count) in weights.iter().zip(&counts) {
            let expected = 2000.0 * f64::from(weight);
            if weight == 0 {
                assert_eq!(count, 0);
            } else {
                statistic += (count as f64 - expected).powi(2) / expected;
            }
        }
        // Laurent and Massart 2000 with t = 20 and 3 degrees of freedom.
        assert!(statistic < 3.0 + 2.0 * 60.0_f64.sqrt() + 40.0, "{counts:?}");
    }

    #[test]
    fn weights_of_zero_give_no_voxel_and_impossible_ones_are_named() {
        let zero = [0.0_f32; 8];
        let mut stream = Stream::new(8, 0, 0, "test");
        let voxels = VoxelSlice::F32(&zero);
        assert_eq!(draw(&sums(voxels, [2; 3]).unwrap(), voxels, &mut stream), None);
        for wrong in [-1.0, f32::NAN, f32::INFINITY] {
            let mut weights = zero;
            weights[5] = wrong;
            let error = sums(VoxelSlice::F32(&weights), [2; 3]).unwrap_err();
            assert!(matches!(error, Error::Weight { voxel: [1, 0, 1], .. }), "{error}");
        }
        assert!(sums(VoxelSlice::F64(&[f64::MAX; 8]), [2; 3]).is_err());
        assert!(matches!(sums(VoxelSlice::F32(&zero), [2, 2, 3]), Err(Error::VoxelCount { .. })));
    }

    #[test]
    fn stored_weights_are_scaled() {
        let stored = [0_i16, 1, 2];
        let sums = WeightSums::of(Path::new("w"), VoxelSlice::I16(&stored), [3, 1, 1], -0.5, 1.0).unwrap();
        assert_eq!(sums.total(), 1.5);
        let mut stream = Stream::new(8, 0, 0, "test");
        assert!((0..1000).all(|_| draw(&sums, VoxelSlice::I16(&stored), &mut stream).unwrap()[0] < 2));
    }
}
