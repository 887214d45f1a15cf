//! Maps that take voxels onto voxels: a copy with strides.

use super::border::Border;
use super::course::FARTHEST;
use super::level::{Level, prefetch};
use super::rescale::Rescale;
use super::source::SourceBox;
use super::tap::{Real, Tap};
use crate::spatial::Map;
use crate::voxels::Voxel;

/// Along each axis of the patch: the stored axis, the step, and along each stored axis where the first voxel lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    axes: [usize; 3],
    by: [i64; 3],
    start: [i64; 3],
}

/// Returns the steps of a map that is a permutation of axes with whole shifts, or nothing.
///
/// Axes along which the patch has one voxel may have any step.
pub(super) fn steps(map: &Map, size: [usize; 3]) -> Option<Steps> {
    if map.displacement.is_some() {
        return None;
    }
    let mut found = Steps { axes: [3; 3], by: [0; 3], start: [0; 3] };
    for (stored, row) in map.affine.0.iter().enumerate() {
        let [linear @ .., shift] = row;
        if *shift != shift.trunc() || FARTHEST <= shift.abs() {
            return None;
        }
        found.start[stored] = *shift as i64;
        for (axis, &step) in linear.iter().enumerate() {
            if size[axis] == 1 || step == 0.0 {
                continue;
            }
            if step.abs() != 1.0 || found.axes[axis] != 3 || found.axes.contains(&stored) {
                return None;
            }
            found.axes[axis] = stored;
            found.by[axis] = step as i64;
        }
    }
    // A patch axis that moves along no stored axis repeats its voxels: not a permutation.
    for axis in 0..3 {
        if found.axes[axis] == 3 {
            if size[axis] != 1 {
                return None;
            }
            found.axes[axis] = (0..3).find(|stored| !found.axes.contains(stored))?;
        }
    }
    Some(found)
}

/// A patch that is copied.
#[derive(Debug)]
pub(super) struct Crop<'a, T, B> {
    pub(super) voxels: &'a [T],
    pub(super) source: &'a SourceBox<'a>,
    pub(super) steps: Steps,
    pub(super) border: Border<B>,
    pub(super) size: [usize; 3],
}

/// Voxels of a row.
pub(super) enum Run<'a, T> {
    /// Next to each other.
    Slice(&'a [T]),
    /// At places.
    Places(&'a [T], &'a [usize]),
}

impl<T: Voxel, B> Crop<'_, T, B> {
    /// For each axis of the patch, where its voxels lie in the box along their stored axis, times the stride; nothing
    /// for those of the constant.
    fn places(&self) -> [Vec<Option<usize>>; 3] {
        let region = self.source.region();
        let [nx, ny, _] = region.size();
        let strides = [1, nx, nx * ny];
        [0, 1, 2].map(|axis| {
            let stored = self.steps.axes[axis];
            let place = |x: usize| {
                let at = self.steps.start[stored] + x as i64 * self.steps.by[axis];
                let index = self.border.index(at, region.shape()[stored]);
                index.map(|i| (i - region.origin()[stored]) * strides[stored])
            };
            (0..self.size[axis]).map(place).collect()
        })
    }

    /// Calls `constant` with the parts of rows that are the constant, and `each` with those that are voxels.
    #[inline(always)]
    pub(super) fn rows<O>(
        &self,
        out: &mut [O],
        constant: impl Fn(&mut [O]),
        mut each: impl FnMut(Run<'_, T>, &mut [O]),
    ) {
        let [xs, ys, zs] = self.places();
        let [nx, ny, _] = self.size;
        let first = xs.iter().position(Option::is_some).unwrap_or(nx);
        let end = xs.iter().rposition(Option::is_some).map_or(first, |last| last + 1);
        let inner: Vec<usize> = xs[first..end].iter().flatten().copied().collect();
        let contiguous = inner.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        // Where axes change places, rows of the same y come next to each other, so that columns of the source stay in the
        // cache.
        let side = if contiguous { ny.max(1) } else { 16 };
        for block in (0..ny).step_by(side) {
            for (z, at_z) in zs.iter().enumerate() {
                for (y, at_y) in ys.iter().enumerate().skip(block).take(side) {
                    let row = &mut out[(z * ny + y) * nx..][..nx];
                    let (Some(at_z), Some(at_y), false) = (at_z, at_y, inner.is_empty()) else {
                        constant(row);
                        continue;
                    };
                    constant(&mut row[..first]);
                    constant(&mut row[end..]);
                    let from = &self.voxels[at_y + at_z..];
                    let run = if contiguous {
                        // The row that comes so many rows later, in the next slice where this one has no more.
                        let (later, slice) =
                            if y + AHEAD < ny { (y + AHEAD, z) } else { (y + AHEAD - ny, z + 1) };
                        if let (Some(Some(at_y)), Some(Some(at_z))) = (ys.get(later), zs.get(slice)) {
                            let start = at_y + at_z + inner[0];
                            prefetch(&self.voxels[start..start + inner.len()]);
                        }
                        Run::Slice(&from[inner[0]..][..inner.len()])
                    } else {
                        Run::Places(from, &inner)
                    };
                    each(run, &mut row[first..end]);
                }
            }
        }
    }
}

/// How many rows ahead voxels are asked for.
const AHEAD: usize = 8;

impl<T: Tap> Crop<'_, T, f32> {
    /// Copies it, rescaled.
    pub(super) fn copy(&self, level: Level, rescale: &Rescale, out: &mut [f32]) {
        let value = if let Border::Constant(value) = self.border { value } else { 0.0 };
        let mut values = vec![T::ZERO; self.size[0]];
        let plain = rescale.is_identity();
        level.run(|| {
            self.rows(
                out,
                |row| row.fill(value),
                |run, row| {
                    let values = &mut values[..row.len()];
                    match run {
                        Run::Slice(from) if plain => {
                            for (to, from) in row.iter_mut().zip(from) {
                                *to = from.real().to_f32();
                            }
                            return;
                        }
                        Run::Slice(from) => {
                            for (value, from) in values.iter_mut().zip(from) {
                                *value = from.real();
                            }
                        }
                        Run::Places(from, places) => {
                            for (value, place) in values.iter_mut().zip(places) {
                                *value = from[*place].real();
                            }
                        }
                    }
                    rescale.finish_row(values, row);
                },
            );
        });
    }
}
