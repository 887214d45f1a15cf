//! Labels: the nearest, or the heaviest around.

use serde::{Deserialize, Serialize};

use super::border::Border;
use super::kernel::{Interpolate, Linear, Nearest};
use super::level::Level;
use super::rescale::Rescale;
use super::row::{Patch, Row};
use super::source::SourceBox;
use super::{copy, reach};
use crate::error::Error;
use crate::spatial::Map;
use crate::voxels::{Voxel, VoxelSlice, with_voxels};

/// How the label of a point between voxels is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LabelInterpolation {
    /// The label of the nearest voxel; half-way, of the higher index.
    #[default]
    Nearest,
    /// The label whose indicator, interpolated linearly, is largest; of equal ones the smallest label.
    Linear,
}

/// How a patch of labels is sampled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabelSampling<L> {
    /// How the label of a point between voxels is found.
    pub interpolation: LabelInterpolation,
    /// What lies around the volume.
    pub border: Border<L>,
}

mod sealed {
    pub trait Sealed {}
}

/// A type that labels come out as.
pub trait Label: Voxel + Ord + sealed::Sealed {
    /// Returns the voxels, if they are of this type.
    fn same(voxels: VoxelSlice<'_>) -> Option<&[Self]>;
    /// Returns the nearest label; what lies beyond the type's range becomes its end, NaN 0.
    fn nearest(value: f64) -> Self;
}

macro_rules! label {
    ($($rust:ty => $name:ident),*) => {
        $(
            impl sealed::Sealed for $rust {}
            impl Label for $rust {
                fn same(voxels: VoxelSlice<'_>) -> Option<&[Self]> {
                    if let VoxelSlice::$name(voxels) = voxels { Some(voxels) } else { None }
                }
                #[inline(always)]
                fn nearest(value: f64) -> Self {
                    value.round() as $rust
                }
            }
        )*
    };
}
label!(u8 => U8, i16 => I16, i32 => I32);

/// Evaluates a patch of labels of `size` into `out`, as [`gather`](crate::gather()) does for images.
///
/// Stored values are rescaled by slope and intercept, not clamped, and rounded to whole numbers; what does not fit into
/// the type becomes its end (see to it before that all fit).
///
/// # Errors
/// Refuses a map that is not finite or reaches farther than 2^29 voxels, and a source without the voxels of
/// [`Map::source_region`].
///
/// # Panics
/// Panics if `out` is not as long as the patch has voxels.
pub fn gather_labels<L: Label>(
    source: &SourceBox<'_>,
    map: &Map,
    sampling: &LabelSampling<L>,
    rescale: &Rescale,
    size: [usize; 3],
    out: &mut [L],
) -> Result<(), Error> {
    gather_labels_at(Level::detect(), source, map, sampling, rescale, size, out)
}

/// Does what [`gather_labels`] does with the instructions of a level.
pub(crate) fn gather_labels_at<L: Label>(
    level: Level,
    source: &SourceBox<'_>,
    map: &Map,
    sampling: &LabelSampling<L>,
    rescale: &Rescale,
    size: [usize; 3],
    out: &mut [L],
) -> Result<(), Error> {
    assert_eq!(out.len(), size.iter().product::<usize>(), "the output has the patch's voxels");
    reach::check_source(source, map, size, &sampling.support())?;
    let plain = rescale.slope == 1.0 && rescale.inter == 0.0;
    if let (true, Some(voxels)) = (plain, L::same(source.voxels())) {
        return labels(level, voxels, source, (map, size), sampling, |label| label, out);
    }
    with_voxels!(source.voxels(), voxels => {
        let convert = |voxel: f64| L::nearest(voxel * rescale.slope + rescale.inter);
        labels(level, voxels, source, (map, size), sampling, |voxel| convert(voxel.to_f64()), out)
    })
}

fn labels<T: Voxel, L: Label>(
    level: Level,
    voxels: &[T],
    source: &SourceBox<'_>,
    (map, size): (&Map, [usize; 3]),
    sampling: &LabelSampling<L>,
    convert: impl Fn(T) -> L,
    out: &mut [L],
) -> Result<(), Error> {
    let LabelSampling { interpolation, border } = *sampling;
    let constant = if let Border::Constant(label) = border { Some(label) } else { None };
    let fill = |row: &mut [L]| {
        if let Some(label) = constant {
            row.fill(label);
        }
    };
    if let Some(steps) = copy::steps(map, size) {
        let crop = copy::Crop { voxels, source, steps, border, size };
        level.run(|| {
            crop.rows(out, fill, |run, row| match run {
                copy::Run::Slice(from) => {
                    for (to, from) in row.iter_mut().zip(from) {
                        *to = convert(*from);
                    }
                }
                copy::Run::Places(from, places) => {
                    for (to, place) in row.iter_mut().zip(places) {
                        *to = convert(from[*place]);
                    }
                }
            });
        });
        return Ok(());
    }
    let patch = Patch::new(voxels, source, map, size)?;
    match interpolation {
        LabelInterpolation::Nearest => patch.rows::<Nearest, _>(level, out, |row, out| {
            let inside = row.inside::<Nearest>();
            let inner = &mut out[inside.clone()];
            let done = match level {
                Level::Scalar => 0,
                #[cfg(target_arch = "x86_64")]
                Level::Avx2(proof) => super::avx2::nearest(proof, &row, inside.start, inner, &convert),
            };
            for (x, to) in inside.clone().zip(inner).skip(done) {
                *to = convert(voxels[row.nearest(x)]);
            }
            surround::<_, Nearest, _>(&row, inside, constant.is_some(), out, fill, |x| {
                row.around::<Nearest, _>(x, |_, index| {
                    let voxel = row.bordered([index(0, 0), index(1, 0), index(2, 0)], &border);
                    label_of(voxel, constant, &convert)
                })
            });
        }),
        LabelInterpolation::Linear => patch.rows::<Linear, _>(level, out, |row, out| {
            let inside = row.inside::<Linear>();
            for (x, to) in inside.clone().zip(&mut out[inside.clone()]) {
                let (corners, fractions) = row.corners(x);
                *to = if corners.iter().all(|corner| *corner == corners[0]) {
                    convert(corners[0])
                } else {
                    heaviest(corners.map(&convert), fractions)
                };
            }
            surround::<_, Linear, _>(&row, inside, constant.is_some(), out, fill, |x| {
                row.around::<Linear, _>(x, |fractions, index| {
                    let place = |tap: usize| [index(0, tap & 1), index(1, tap >> 1 & 1), index(2, tap >> 2)];
                    let label = |tap| label_of(row.bordered(place(tap), &border), constant, &convert);
                    heaviest([0, 1, 2, 3, 4, 5, 6, 7].map(label), fractions)
                })
            });
        }),
    }
    Ok(())
}

#[inline(always)]
fn label_of<T: Voxel, L: Label>(voxel: Option<T>, constant: Option<L>, convert: impl Fn(T) -> L) -> L {
    match (voxel, constant) {
        (Some(voxel), _) => convert(voxel),
        (None, Some(label)) => label,
        (None, None) => L::nearest(0.0),
    }
}

/// Writes what surrounds the inner part of a row.
#[inline(always)]
fn surround<T: Voxel, K: Interpolate, L>(
    row: &Row<'_, T>,
    inside: std::ops::Range<usize>,
    has_constant: bool,
    out: &mut [L],
    fill: impl Fn(&mut [L]),
    at: impl Fn(usize) -> L,
) {
    if inside == (0..out.len()) {
        return;
    }
    let touched = if has_constant { row.touched::<K>() } else { 0..out.len() };
    fill(&mut out[..touched.start]);
    fill(&mut out[touched.end..]);
    let inside = if inside.is_empty() { touched.end..touched.end } else { inside };
    for x in (touched.start..inside.start).chain(inside.end..touched.end) {
        out[x] = at(x);
    }
}

/// Returns the label that weighs most of the eight around a point, x fastest; of equal ones the smallest.
#[inline]
fn heaviest<L: Label>(labels: [L; 8], fractions: [u32; 3]) -> L {
    // In units of 2^-16, so that sums are exact and equal weights are equal.
    let share = |axis: usize, tap: usize| {
        let upper = u64::from(fractions[axis] >> 16);
        if tap == 0 { (1 << 16) - upper } else { upper }
    };
    let weight = |tap: usize| share(0, tap & 1) * share(1, tap >> 1 & 1) * share(2, tap >> 2);
    let weights = [0, 1, 2, 3, 4, 5, 6, 7].map(weight);
    let mut best = (0, labels[0]);
    for (at, candidate) in labels.into_iter().enumerate() {
        if labels[..at].contains(&candidate) {
            continue;
        }
        let equal = labels.iter().zip(weights).filter(|(label, _)| **label == candidate);
        let total: u64 = equal.map(|(_, weight)| weight).sum();
        if best.0 < total || best.0 == total && candidate < best.1 {
            best = (total, candidate);
        }
    }
    best.1
}
