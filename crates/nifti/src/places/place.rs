//! The places that a patch can have in a volume, and the draws among them.

use std::ops::RangeInclusive;

use batchwright_core::Stream;
use serde::{Deserialize, Serialize};

use super::fallbacks::Fallback;
use crate::affine::Affine;
use crate::error::Error;
use crate::region::Region;

/// Where a patch lies, and how it came there. Lists are x, y, z, in voxels of the processed grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The first voxel of the patch. Below 0 where the patch is longer than the volume.
    pub origin: [i64; 3],
    /// The voxel that the patch was laid around, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voxel: Option<[i64; 3]>,
    /// The class of that voxel, if it was drawn by its class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<i64>,
    /// What could not be had, so that something else was drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
}

impl Place {
    /// Makes a place that nothing else is to be said about.
    pub fn at(origin: [i64; 3]) -> Self {
        Self { origin, voxel: None, class: None, fallback: None }
    }
}

/// The places that a patch of one size can have in a volume of one shape.
///
/// On each axis a patch of s voxels in a volume of n begins anywhere from `min(0, n - s)` to `max(0, n - s)`, both
/// included: where the patch is not longer than the volume it lies inside, and where it is longer the volume lies
/// inside of it, anywhere. Axes do not influence each other. A flat patch, of size 1 on an axis, is a slice: it begins at
/// any of the n voxels.
///
/// ```
/// use batchwright_core::Stream;
/// use batchwright_nifti::Places;
/// let places = Places::new([240, 240, 10], [96, 96, 16])?;
/// assert_eq!(places.valid(), [0..=144, 0..=144, -6..=0]);
/// assert_eq!(places.center(), [72, 72, -3]);
/// let origin = places.uniform(&mut Stream::new(42, 0, 7, "place"));
/// assert!(places.contains(origin));
/// # Ok::<(), batchwright_nifti::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    // Invariant: all are 1 or more and at most LONGEST.
    shape: [i64; 3],
    size: [i64; 3],
}

/// The longest axis; sums and differences of a few of them are far from the limits of `i64`, and exact in `f64`.
const LONGEST: usize = 1 << 40;

impl Places {
    /// Takes the shape of a volume (after orientation and spacing) and the size of a patch.
    ///
    /// # Errors
    /// Refuses a volume without voxels and a patch without voxels.
    pub fn new(shape: [usize; 3], size: [usize; 3]) -> Result<Self, Error> {
        Region::whole(shape)?;
        if shape.iter().any(|&n| LONGEST < n) {
            return Err(Error::RegionOutside { origin: [0; 3], size, shape });
        }
        if size.iter().any(|&n| n == 0 || LONGEST < n) {
            return Err(Error::choice(
                "patch.size",
                "three whole numbers of at least 1",
                format!("{size:?}"),
            ));
        }
        Ok(Self { shape: shape.map(|n| n as i64), size: size.map(|n| n as i64) })
    }

    /// Returns the shape of the volume.
    pub fn shape(&self) -> [usize; 3] {
        self.shape.map(|n| n as usize)
    }

    /// Returns the size of the patch.
    pub fn size(&self) -> [usize; 3] {
        self.size.map(|n| n as usize)
    }

    /// Returns where a patch can begin on each axis.
    pub fn valid(&self) -> [RangeInclusive<i64>; 3] {
        [0, 1, 2].map(|axis| {
            let rest = self.shape[axis] - self.size[axis];
            rest.min(0)..=rest.max(0)
        })
    }

    /// Returns whether a patch can begin at `origin`.
    pub fn contains(&self, origin: [i64; 3]) -> bool {
        self.valid().iter().zip(&origin).all(|(valid, at)| valid.contains(at))
    }

    /// Returns the place in the middle: `floor((n - s) / 2)` on each axis, also where that is negative.
    pub fn center(&self) -> [i64; 3] {
        [0, 1, 2].map(|axis| (self.shape[axis] - self.size[axis]).div_euclid(2))
    }

    /// Draws one of all places, each equally likely: one [`Stream::below`] for each of x, y and z.
    pub fn uniform(&self, stream: &mut Stream) -> [i64; 3] {
        self.valid().map(|valid| draw(&valid, stream))
    }

    /// Draws a place around a voxel: one [`Stream::below`] for each of x, y and z.
    ///
    /// On an axis of s voxels the voxel comes to lie anywhere in the middle half of the patch, `q ..= s - 1 - q` with
    /// `q = floor((s + 1) / 4)`, each of the [valid](Places::valid) places that have it there equally likely. Where
    /// none has, because the voxel is close to the border of the volume, it is the valid place nearest to those. So the
    /// voxel is always in the patch, and not always in its centre; one in the middle half of a cube stays in it under
    /// any rotation about its centre. A voxel outside of the volume counts as the nearest one inside.
    pub fn around(&self, voxel: [i64; 3], stream: &mut Stream) -> [i64; 3] {
        let valid = self.valid();
        [0, 1, 2].map(|axis| {
            let size = self.size[axis];
            let margin = (size + 1) / 4;
            let voxel = voxel[axis].clamp(0, self.shape[axis] - 1);
            let (low, high) = (*valid[axis].start(), *valid[axis].end());
            let first = (voxel - (size - 1 - margin)).clamp(low, high);
            let last = (voxel - margin).clamp(low, high);
            draw(&(first..=last), stream)
        })
    }

    /// Returns the voxel of this grid that a voxel of a stored volume falls on, the nearest one inside if it is outside.
    /// `map` takes stored voxels to this grid.
    pub fn nearest(&self, stored: [usize; 3], map: &Affine) -> [i64; 3] {
        let point = map.apply(stored.map(|x| x as f64));
        // A number too large for the type, or none, ends at one of its limits or at 0, and then inside.
        [0, 1, 2].map(|axis| ((point[axis] + 0.5).floor() as i64).clamp(0, self.shape[axis] - 1))
    }
}

/// Draws one of a range that is not empty.
fn draw(range: &RangeInclusive<i64>, stream: &mut Stream) -> i64 {
    range.start() + stream.below(range.start().abs_diff(*range.end()) + 1) as i64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream(position: u64) -> Stream {
        Stream::new(3, 0, position, "test")
    }

    /// What the statistic of a chi-square test with `cells` cells stays below but for a probability of e^-20 (Laurent
    /// and Massart 2000, lemma 1: P(X >= k + 2 sqrt(k t) + 2 t) <= e^-t).
    fn chi_square_bound(cells: usize) -> f64 {
        let k = cells as f64 - 1.0;
        k + 2.0 * (k * 20.0).sqrt() + 40.0
    }

    #[test]
    fn every_place_up_to_the_last_is_equally_likely() {
        // Smaller, as long as, and larger than the volume.
        for (shape, size) in [([7, 5, 9], [3, 5, 8]), ([4, 6, 1], [6, 2, 1]), ([1, 1, 12], [1, 1, 1])] {
            let places = Places::new(shape, size).unwrap();
            let valid = places.valid();
            let lengths = valid.clone().map(Iterator::count);
            let cells: usize = lengths.iter().product();
            let draws = 1000 * cells;
            let mut counts = vec![0_u64; cells];
            let mut stream = stream(0);
            for _ in 0..draws {
                let origin = places.uniform(&mut stream);
                let [x, y, z] = [0, 1, 2].map(|axis| (origin[axis] - valid[axis].start()) as usize);
                counts[(z * lengths[1] + y) * lengths[0] + x] += 1;
            }
            let statistic: f64 = counts.iter().map(|&n| (n as f64 - 1000.0).powi(2) / 1000.0).sum();
            assert!(
                statistic < chi_square_bound(cells),
                "{shape:?} {size:?}: {statistic} over {cells} places"
            );
        }
    }

    #[test]
    fn a_long_axis_is_drawn_evenly() {
        // Dvoretzky, Kiefer, Wolfowitz (Massart 1990): P(sup |F_n - F| > e) <= 2 exp(-2 n e^2).
        let n = 20_000;
        let places = Places::new([1 << 39, 1, 1], [64, 1, 1]).unwrap();
        let last = *places.valid()[0].end();
        let mut stream = stream(1);
        let mut drawn: Vec<f64> =
            (0..n).map(|_| places.uniform(&mut stream)[0] as f64 / (last + 1) as f64).collect();
        drawn.sort_by(f64::total_cmp);
        let apart = drawn
            .iter()
            .enumerate()
            .map(|(i, x)| (x - i as f64 / n as f64).abs().max((x - (i + 1) as f64 / n as f64).abs()))
            .fold(0.0, f64::max);
        assert!(apart < ((20.0 + 2_f64.ln()) / (2.0 * n as f64)).sqrt(), "{apart}");
    }

    #[test]
    fn a_voxel_lies_anywhere_in_the_middle_half_of_its_patch() {
        let places = Places::new([100; 3], [8, 3, 1]).unwrap();
        let mut stream = stream(2);
        let mut counts = [0_u64; 8];
        for _ in 0..8000 {
            let origin = places.around([50, 50, 50], &mut stream);
            counts[(50 - origin[0]) as usize] += 1;
            assert_eq!(origin[1..], [49, 50], "three slices have it in the middle, one is the slice");
        }
        assert_eq!(counts[..2], [0, 0]);
        assert_eq!(counts[6..], [0, 0]);
        let statistic: f64 = counts[2..6].iter().map(|&n| (n as f64 - 2000.0).powi(2) / 2000.0).sum();
        assert!(statistic < chi_square_bound(4), "{counts:?}");
    }

    #[test]
    fn voxels_at_both_borders_have_their_patch_inside() {
        let places = Places::new([100; 3], [10; 3]).unwrap();
        let mut stream = stream(3);
        for _ in 0..100 {
            assert_eq!(places.around([0, 1, 99], &mut stream), [0, 0, 90]);
            assert_eq!(places.around([-5, 98, 1000], &mut stream), [0, 90, 90]);
        }
    }

    #[test]
    fn a_stored_voxel_falls_on_the_nearest_one_of_the_grid() {
        let places = Places::new([10, 10, 10], [4; 3]).unwrap();
        let map = Affine([[-1.0, 0.0, 0.0, 9.0], [0.0, 0.0, 0.5, 0.0], [0.0, 3.0, 0.0, 0.25]]);
        assert_eq!(places.nearest([2, 1, 5], &map), [7, 3, 3]);
        assert_eq!(places.nearest([12, 9, 1], &map), [0, 1, 9]);
        let broken = Affine([[f64::NAN, 0.0, 0.0, 0.0], [1e300, 0.0, 0.0, 0.0], [-1e300, 0.0, 0.0, 0.0]]);
        assert_eq!(places.nearest([1, 1, 1], &broken), [0, 9, 0]);
    }

    #[test]
    fn a_place_is_written_and_read_back() {
        let place = Place {
            origin: [-3, 0, 7],
            voxel: Some([1, 2, 9]),
            class: Some(2),
            fallback: Some(Fallback::ClassAbsent(4)),
        };
        let text = serde_json::to_string(&place).unwrap();
        assert_eq!(serde_json::from_str::<Place>(&text).unwrap(), place);
        assert_eq!(serde_json::to_string(&Place::at([1, 2, 3])).unwrap(), r#"{"origin":[1,2,3]}"#);
    }

    #[test]
    fn a_volume_or_patch_without_voxels_is_refused() {
        assert!(matches!(Places::new([0, 1, 1], [1; 3]), Err(Error::RegionOutside { .. })));
        assert!(matches!(Places::new([usize::MAX, 1, 1], [1; 3]), Err(Error::RegionOutside { .. })));
        assert!(matches!(Places::new([1; 3], [1, 0, 1]), Err(Error::Choice { .. })));
        assert!(matches!(Places::new([1; 3], [1, usize::MAX, 1]), Err(Error::Choice { .. })));
    }

    proptest! {
        #[test]
        fn every_draw_is_valid_and_has_its_voxel(
            shape in prop::array::uniform3(1_usize..40),
            size in prop::array::uniform3(1_usize..40),
            voxel in prop::array::uniform3(0_usize..40),
            position in 0_u64..1000,
        ) {
            let places = Places::new(shape, size).unwrap();
            let mut stream = stream(position);
            let voxel = [0, 1, 2].map(|axis| (voxel[axis] % shape[axis]) as i64);
            for origin in [places.center(), places.uniform(&mut stream), places.around(voxel, &mut stream)] {
                prop_assert!(places.contains(origin));
            }
            let origin = places.around(voxel, &mut stream);
            for axis in 0..3 {
                let (n, s) = (shape[axis] as i64, size[axis] as i64);
                prop_assert!((origin[axis]..origin[axis] + s).contains(&voxel[axis]));
                // The smaller of the two lies in the larger.
                if s <= n {
                    prop_assert!(0 <= origin[axis] && origin[axis] + s <= n);
                } else {
                    prop_assert!(origin[axis] <= 0 && n <= origin[axis] + s);
                }
                // The centre leaves as much before as behind, to half a voxel.
                let center = places.center()[axis];
                prop_assert!((2 * center + s - n).abs() <= 1);
            }
        }
    }
}
