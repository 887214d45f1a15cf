//! A patch, row by row: which voxels of a row lie inside of the source, and what each is.

use std::ops::Range;

use super::bend::{Bend, BendRow};
use super::border::Border;
use super::course::{Course, POINT, between};
use super::kernel::Interpolate;
use super::level::Level;
use super::rescale::Rescale;
use super::source::SourceBox;
use super::tap::{Real, Tap};
use crate::error::Error;
use crate::spatial::Map;
use crate::voxels::Voxel;

/// How many rows along y are made for one z before the next: neighbours of a row, in y and in z, read much of what it
/// read, and few rows come between. Of 4, 8, 16, 32 and 128, 4 and 8 were a tenth faster than the others.
const BLOCK: usize = 8;

/// What a patch is made of and by which map.
#[derive(Debug)]
pub(super) struct Patch<'a, T> {
    voxels: &'a [T],
    /// Where the box of voxels lies.
    origin: [i64; 3],
    /// How large it is.
    extent: [usize; 3],
    /// The volume it lies in.
    shape: [usize; 3],
    course: Course,
    /// Where stored coordinates are whole all over the patch: no neighbour is needed there.
    whole: [bool; 3],
    bend: Option<Bend>,
    pub(super) size: [usize; 3],
}

impl<'a, T: Voxel> Patch<'a, T> {
    pub(super) fn new(
        voxels: &'a [T],
        source: &SourceBox<'_>,
        map: &Map,
        size: [usize; 3],
    ) -> Result<Self, Error> {
        let too_far = || Error::MapTooFar { affine: Box::new(map.affine.0), size };
        let course = Course::new(&map.affine, size).ok_or_else(too_far)?;
        let bend = match &map.displacement {
            None => None,
            Some(displacement) => Some(Bend::new(displacement, &map.affine, size).ok_or_else(too_far)?),
        };
        let region = source.region();
        assert_eq!(voxels.len(), region.voxels(), "the source has its voxels");
        Ok(Self {
            voxels,
            origin: region.origin().map(|x| x as i64),
            extent: region.size(),
            shape: region.shape(),
            whole: [0, 1, 2].map(|axis| bend.is_none() && course.is_whole(axis, size)),
            course,
            bend,
            size,
        })
    }

    /// Calls `each` with every row and its part of `out`.
    pub(super) fn rows<K: Interpolate, O>(
        &self,
        level: Level,
        out: &mut [O],
        mut each: impl FnMut(Row<'_, T>, &mut [O]),
    ) {
        let [nx, ny, nz] = self.size;
        let mut bent = self.bend.as_ref().map(|bend| BendRow::new(bend, nx));
        for block in (0..ny).step_by(BLOCK) {
            for z in 0..nz {
                if let (Some(bend), Some(bent)) = (&self.bend, &mut bent) {
                    bent.set_z(bend, z);
                }
                for y in block..ny.min(block + BLOCK) {
                    if let (Some(bend), Some(bent)) = (&self.bend, &mut bent) {
                        bent.set_y(level, bend, y);
                    }
                    let at = (z * ny + y) * nx;
                    let start = self.course.row(y, z).map(|c| c + K::SHIFT);
                    let row = Row { patch: self, start, step: self.course.steps[0], bend: bent.as_ref() };
                    each(row, &mut out[at..at + nx]);
                }
            }
        }
    }
}

/// One row of a patch.
#[derive(Debug)]
pub(super) struct Row<'a, T> {
    pub(super) patch: &'a Patch<'a, T>,
    /// The coordinate of the first voxel, in units of 2^-32 stored voxels, from the first voxel of the volume.
    start: [i64; 3],
    step: [i64; 3],
    bend: Option<&'a BendRow>,
}

impl<T: Voxel> Row<'_, T> {
    /// Returns the x whose taps all lie in the box.
    pub(super) fn inside<K: Interpolate>(&self) -> Range<usize> {
        let Patch { origin, extent, whole, .. } = self.patch;
        self.all(|axis| {
            // Vector code reads pairs of neighbours along x even where the second is not needed.
            let whole = whole[axis] && (axis != 0 || extent[0] == 1);
            let (first, last) = if whole { (0, 0) } else { (K::FIRST, K::FIRST + K::TAPS as i64 - 1) };
            let (low, high) = (origin[axis] - first, origin[axis] + extent[axis] as i64 - last);
            let [least, most] = self.bounds(axis);
            (low << POINT, high << POINT, least, most)
        })
    }

    /// Returns the x any of whose taps may lie in the volume.
    pub(super) fn touched<K: Interpolate>(&self) -> Range<usize> {
        self.all(|axis| {
            let (first, last) = (K::FIRST, K::FIRST + K::TAPS as i64 - 1);
            let [least, most] = self.bounds(axis);
            (-last << POINT, (self.patch.shape[axis] as i64 - first) << POINT, most, least)
        })
    }

    /// Returns the x at which each coordinate c has `low <= c + below` and `c + above < high`.
    fn all(&self, limits: impl Fn(usize) -> (i64, i64, i64, i64)) -> Range<usize> {
        let mut range = 0..self.patch.size[0];
        for axis in 0..3 {
            let (low, high, below, above) = limits(axis);
            let one =
                between(self.start[axis], self.step[axis], self.patch.size[0], low - below, high - above);
            range = range.start.max(one.start)..range.end.min(one.end);
        }
        range.start..range.end.max(range.start)
    }

    fn bounds(&self, axis: usize) -> [i64; 2] {
        self.bend.map_or([0; 2], |bend| bend.bounds(axis))
    }

    /// Returns the coordinate of voxel x.
    #[inline(always)]
    fn at(&self, x: usize) -> [i64; 3] {
        let [a, b, c] = [0, 1, 2].map(|axis| self.start[axis] + x as i64 * self.step[axis]);
        match self.bend {
            None => [a, b, c],
            Some(bend) => {
                let [da, db, dc] = bend.at(x);
                [a + da, b + db, c + dc]
            }
        }
    }

    /// Returns the place in the box of a voxel whose index lies in it.
    #[inline(always)]
    pub(super) fn nearest(&self, x: usize) -> usize {
        let [i, j, k] = self.at(x);
        let [ox, oy, oz] = self.patch.origin;
        let [nx, ny, _] = self.patch.extent;
        let (i, j, k) = ((i >> POINT) - ox, (j >> POINT) - oy, (k >> POINT) - oz);
        i as usize + nx * (j as usize + ny * k as usize)
    }

    /// Returns the eight voxels around a point whose linear taps all lie in the box, x fastest, and the fractions.
    #[inline(always)]
    pub(super) fn corners(&self, x: usize) -> ([T; 8], [u32; 3]) {
        let Patch { voxels, extent, whole, .. } = self.patch;
        let base = self.nearest(x);
        let tap = |axis: usize, stride: usize| if whole[axis] { 0 } else { stride };
        let [dx, dy, dz] = [tap(0, 1), tap(1, extent[0]), tap(2, extent[0] * extent[1])];
        let at = |place: usize| voxels[base + place];
        let corners =
            [at(0), at(dx), at(dy), at(dx + dy), at(dz), at(dx + dz), at(dy + dz), at(dx + dy + dz)];
        (corners, self.at(x).map(|c| c as u32))
    }

    /// Returns which voxels around a point take part along each axis: the first, and the step from one to the next.
    #[inline(always)]
    fn taps<K: Interpolate>(&self) -> ([i64; 3], [i64; 3]) {
        let whole = self.patch.whole;
        (whole.map(|whole| if whole { 0 } else { K::FIRST }), whole.map(|whole| i64::from(!whole)))
    }

    /// Calls `combine` with the voxels, as indices of the volume, and the fractions of point x.
    #[inline(always)]
    pub(super) fn around<K: Interpolate, R>(
        &self,
        x: usize,
        combine: impl FnOnce([u32; 3], &dyn Fn(usize, usize) -> i64) -> R,
    ) -> R {
        let at = self.at(x);
        let (first, step) = self.taps::<K>();
        let index =
            move |axis: usize, tap: usize| (at[axis] >> POINT) + first[axis] + step[axis] * tap as i64;
        combine(at.map(|c| c as u32), &index)
    }

    /// Returns the voxel at indices of the volume.
    #[inline]
    pub(super) fn voxel(&self, index: [usize; 3]) -> T {
        let Patch { voxels, origin, extent, .. } = self.patch;
        let [i, j, k] = [0, 1, 2].map(|axis| index[axis] - origin[axis] as usize);
        voxels[i + extent[0] * (j + extent[1] * k)]
    }

    /// Returns the voxels that are read for indices that may lie outside of the volume.
    #[inline]
    pub(super) fn bordered<B>(&self, index: [i64; 3], border: &Border<B>) -> Option<T> {
        let [nx, ny, nz] = self.patch.shape;
        let inside = [border.index(index[0], nx)?, border.index(index[1], ny)?, border.index(index[2], nz)?];
        Some(self.voxel(inside))
    }
}

/// Voxels of a row whose taps all lie in the box.
#[cfg(target_arch = "x86_64")]
#[derive(Debug)]
pub(super) struct InnerRow<'a, T> {
    pub(super) voxels: &'a [T],
    /// The coordinate of the first, from the first voxel of the box, and the step to the next.
    pub(super) start: [i64; 3],
    pub(super) step: [i64; 3],
    /// Displacements in units of 2^-20 voxels.
    pub(super) bend: Option<[&'a [i32]; 3]>,
    /// How far apart rows and slices of the box are.
    pub(super) pitch: [usize; 2],
    /// How far apart the two taps along each axis are.
    pub(super) taps: [usize; 3],
}

#[cfg(target_arch = "x86_64")]
impl<'a, T: Voxel> Row<'a, T> {
    /// Returns the `n` voxels from `first` on, if all of their taps (of two, both, even where the second is not needed
    /// along x) lie in the box, and places in the box are 32-bit numbers.
    pub(super) fn inner_row<K: Interpolate>(&self, first: usize, n: usize) -> Option<InnerRow<'a, T>> {
        let Patch { voxels, origin, extent, whole, .. } = self.patch;
        let inside = self.inside::<K>();
        if first < inside.start
            || inside.end < first + n
            || extent[0] < 2
            || i32::MAX as usize <= voxels.len()
        {
            return None;
        }
        let pitch = [extent[0], extent[0] * extent[1]];
        let tap = |axis: usize, stride: usize| if whole[axis] { 0 } else { stride };
        Some(InnerRow {
            voxels,
            start: [0, 1, 2]
                .map(|axis| self.start[axis] - (origin[axis] << POINT) + first as i64 * self.step[axis]),
            step: self.step,
            bend: self.bend.map(|bend| [0, 1, 2].map(|axis| &bend.along(axis)[first..first + n])),
            pitch,
            taps: [tap(0, 1), tap(1, pitch[0]), tap(2, pitch[1])],
        })
    }
}

impl<T: Tap> Row<'_, T> {
    /// Returns the interpolated stored value at x, all of whose taps lie in the box.
    #[inline(always)]
    pub(super) fn inner<K: Interpolate>(&self, x: usize) -> T::Real {
        let Patch { voxels, origin, extent, .. } = self.patch;
        let at = self.at(x);
        let (first, step) = self.taps::<K>();
        let [i, j, k] = [0, 1, 2].map(|axis| ((at[axis] >> POINT) + first[axis] - origin[axis]) as usize);
        let base = i + extent[0] * (j + extent[1] * k);
        let steps =
            [step[0] as usize, step[1] as usize * extent[0], step[2] as usize * extent[0] * extent[1]];
        K::combine(at.map(|c| T::Real::fraction(c as u32)), |x, y, z| {
            voxels[base + x * steps[0] + y * steps[1] + z * steps[2]].real()
        })
    }

    /// Returns the value at x, wherever its taps lie.
    pub(super) fn outer<K: Interpolate>(&self, x: usize, border: Border<f32>, rescale: &Rescale) -> f32 {
        self.around::<K, _>(x, |fractions, index| {
            let t = fractions.map(T::Real::fraction);
            let constant = if let Border::Constant(value) = border { Some(value) } else { None };
            let inside = |axis: usize| {
                let within = |tap: &usize| (0..self.patch.shape[axis] as i64).contains(&index(axis, *tap));
                (0..K::TAPS).filter(within).count()
            };
            let inside = if constant.is_some() { [0, 1, 2].map(inside) } else { [K::TAPS; 3] };
            let place = |x, y, z| [index(0, x), index(1, y), index(2, z)];
            match constant {
                Some(value) if inside.contains(&0) => value,
                Some(value) if inside != [K::TAPS; 3] => {
                    K::combine(fractions.map(f32::fraction), |x, y, z| {
                        let voxel = self.bordered(place(x, y, z), &border);
                        voxel.map_or(value, |voxel| rescale.apply(voxel.to_f64()))
                    })
                }
                _ => {
                    let stored = K::combine(t, |x, y, z| {
                        self.bordered(place(x, y, z), &border).map_or(T::ZERO, Tap::real)
                    });
                    let mut finished = [0.0];
                    rescale.finish_row(&[stored], &mut finished);
                    finished[0]
                }
            }
        })
    }
}
