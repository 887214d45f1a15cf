//! Evaluating a patch: stored voxels through one map, once.

#![expect(clippy::inline_always, reason = "what is called for every voxel is part of its caller's loop")]
#![expect(clippy::needless_range_loop, reason = "an axis indexes several arrays at once")]

mod antialias;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod bend;
mod border;
mod copy;
mod course;
mod kernel;
mod labels;
mod level;
pub(crate) mod reach;
mod rescale;
mod row;
mod source;
mod tap;

use copy::Crop;

use crate::error::Error;
use crate::spatial::Map;
use crate::voxels::with_voxels;

pub use border::{Border, Outside};
pub use labels::{Label, LabelInterpolation, LabelSampling, gather_labels};
pub use reach::Support;
pub use rescale::Rescale;
pub use source::SourceBox;

use kernel::{Cubic, Interpolate, Linear, Nearest};
pub(crate) use level::Level;
use row::Patch;
use serde::{Deserialize, Serialize};
use tap::Tap;

/// How values between voxels are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// The value of the nearest voxel; half-way, of the higher index.
    Nearest,
    /// Trilinear, of 8 voxels.
    #[default]
    Linear,
    /// Catmull and Rom's cubic convolution, of 64 voxels, without a prefilter; it may overshoot.
    Cubic,
}

/// How a patch of an image is sampled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// How values between voxels are made.
    pub interpolation: Interpolation,
    /// What lies around the volume.
    pub border: Border<f32>,
    /// Whether the source is smoothed where the map shrinks it: along each stored axis along which a step through the
    /// patch is f > 1 voxels long, by a Gaussian of sigma sqrt(f^2 - 1) / 2 voxels.
    pub antialias: bool,
}

/// Evaluates a patch of `size` of one channel into `out`: each voxel is interpolated where `map` takes it, then rescaled.
///
/// A map that takes voxels onto voxels (permutations of axes, mirrored or not, and whole shifts) copies them, whatever
/// the interpolation: the values are those of a plain crop, bit for bit. Otherwise coordinates are fixed-point numbers
/// with 32 bits after the point; types that `f32` holds exactly (up to 16 bits, and `f32`) are interpolated in `f32`, x
/// first, then y, then z, and others in `f64`. The bits depend neither on the machine nor on how much of the volume
/// `source` holds.
///
/// Outside of the volume, a constant border's value is given as it is; where only some of the voxels that are
/// interpolated lie outside, inner ones are rescaled first.
///
/// # Errors
/// Refuses a map that is not finite or reaches farther than 2^29 voxels, and a source without the voxels of
/// [`Map::source_region`].
///
/// # Panics
/// Panics if `out` is not as long as the patch has voxels.
pub fn gather(
    source: &SourceBox<'_>,
    map: &Map,
    sampling: &Sampling,
    rescale: &Rescale,
    size: [usize; 3],
    out: &mut [f32],
) -> Result<(), Error> {
    gather_at(Level::detect(), source, map, sampling, rescale, size, out)
}

/// Does what [`gather`] does with the instructions of a level.
pub(crate) fn gather_at(
    level: Level,
    source: &SourceBox<'_>,
    map: &Map,
    sampling: &Sampling,
    rescale: &Rescale,
    size: [usize; 3],
    out: &mut [f32],
) -> Result<(), Error> {
    assert_eq!(out.len(), size.iter().product::<usize>(), "the output has the patch's voxels");
    reach::check_source(source, map, size, &sampling.support(map))?;
    let Sampling { interpolation, border, antialias } = *sampling;
    let blur = if antialias { antialias::sigmas(map) } else { [0.0; 3] };
    if blur != [0.0; 3] {
        let taps = map.source_region(
            size,
            &Sampling { antialias: false, ..*sampling }.support(map),
            source.shape(),
        )?;
        let smooth = with_voxels!(source.voxels(), voxels => antialias::smooth(voxels, source, blur, &taps));
        let smooth = SourceBox::new(crate::voxels::VoxelSlice::F32(&smooth), &taps)?;
        let sampling = Sampling { antialias: false, ..*sampling };
        return gather_at(level, &smooth, map, &sampling, rescale, size, out);
    }
    with_voxels!(source.voxels(), voxels => {
        if let Some(steps) = copy::steps(map, size) {
            Crop { voxels, source, steps, border, size }.copy(level, rescale, out);
            return Ok(());
        }
        let patch = Patch::new(voxels, source, map, size)?;
        match interpolation {
            Interpolation::Nearest => image::<_, Nearest>(level, &patch, border, rescale, out),
            Interpolation::Linear => image::<_, Linear>(level, &patch, border, rescale, out),
            Interpolation::Cubic => image::<_, Cubic>(level, &patch, border, rescale, out),
        }
    });
    Ok(())
}

/// Evaluates a patch with a kernel, row by row: the inner part by the fast way, then what surrounds it.
fn image<T: Tap, K: Interpolate>(
    level: Level,
    patch: &Patch<'_, T>,
    border: Border<f32>,
    rescale: &Rescale,
    out: &mut [f32],
) {
    let mut inner = vec![T::ZERO; patch.size[0]];
    patch.rows::<K, _>(level, out, |row, out| {
        let inside = row.inside::<K>();
        let values = &mut inner[inside.clone()];
        let done = if inside.is_empty() { 0 } else { K::fast(level, &row, inside.start, values) };
        for (x, value) in inside.clone().zip(&mut *values).skip(done) {
            *value = row.inner::<K>(x);
        }
        level.run(|| rescale.finish_row(values, &mut out[inside.clone()]));
        let touched = if matches!(border, Border::Constant(_)) { row.touched::<K>() } else { 0..out.len() };
        if let Border::Constant(value) = border {
            out[..touched.start].fill(value);
            out[touched.end..].fill(value);
        }
        // Where nothing is inside, `inside` is anywhere.
        let (before, after) = if inside.is_empty() {
            (touched, 0..0)
        } else {
            (touched.start..inside.start, inside.end..touched.end)
        };
        for x in before.chain(after) {
            out[x] = row.outer::<K>(x, border, rescale);
        }
    });
}

#[cfg(test)]
mod tests;
