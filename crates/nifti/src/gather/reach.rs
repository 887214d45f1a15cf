//! Which stored voxels a patch needs.

use super::antialias;
use super::border::Border;
use super::course::FARTHEST;
use super::{Interpolation, LabelInterpolation, LabelSampling, Sampling, SourceBox};
use crate::error::Error;
use crate::region::Region;
use crate::spatial::Map;

/// How far around a point sampling reads, and what it reads beyond the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Support {
    /// Voxels below and above the interval between voxels that holds the point.
    taps: i64,
    /// Voxels of smoothing along each stored axis.
    blur: [i64; 3],
    border: Border<()>,
}

fn kind<T: Copy>(border: Border<T>) -> Border<()> {
    match border {
        Border::Constant(_) => Border::Constant(()),
        Border::Edge => Border::Edge,
        Border::Reflect => Border::Reflect,
    }
}

impl Sampling {
    /// Returns how far around a point a patch of an image is read.
    pub fn support(&self, map: &Map) -> Support {
        let blur = if self.antialias { antialias::sigmas(map).map(antialias::radius) } else { [0; 3] };
        let taps = match self.interpolation {
            Interpolation::Nearest | Interpolation::Linear => 0,
            Interpolation::Cubic => 1,
        };
        Support { taps, blur, border: kind(self.border) }
    }
}

impl<L: Copy> LabelSampling<L> {
    /// Returns how far around a point a patch of labels is read.
    pub fn support(&self) -> Support {
        match self.interpolation {
            LabelInterpolation::Nearest | LabelInterpolation::Linear => {}
        }
        Support { taps: 0, blur: [0; 3], border: kind(self.border) }
    }
}

/// The lowest and highest stored coordinate that a patch maps to, or an error where it is not finite or too far.
fn extent(map: &Map, size: [usize; 3]) -> Result<[[f64; 2]; 3], Error> {
    let mut bounds = map.affine.0.map(|row| {
        let ends = (0..3).map(|axis| row[axis] * (size[axis] as f64 - 1.0));
        let low = ends.clone().map(|end| end.min(0.0)).sum::<f64>();
        let high = ends.map(|end| end.max(0.0)).sum::<f64>();
        [row[3] + low, row[3] + high]
    });
    if let Some(displacement) = &map.displacement {
        // A B-spline lies in the hull of its control points.
        let mut bend = [[0.0_f64; 2]; 3];
        for by in displacement.control() {
            for ([low, high], by) in bend.iter_mut().zip(map.affine.apply_linear(*by)) {
                (*low, *high) = (low.min(by), high.max(by));
            }
        }
        for ([low, high], [by_low, by_high]) in bounds.iter_mut().zip(bend) {
            (*low, *high) = (*low + by_low, *high + by_high);
        }
    }
    let far = |x: &f64| x.is_nan() || FARTHEST <= x.abs();
    if size.contains(&0) || bounds.iter().flatten().any(far) {
        return Err(Error::MapTooFar { affine: Box::new(map.affine.0), size });
    }
    Ok(bounds)
}

pub(crate) fn source_region(
    map: &Map,
    size: [usize; 3],
    support: &Support,
    shape: [usize; 3],
) -> Result<Region, Error> {
    let bounds = extent(map, size)?;
    if shape.iter().any(|&n| n == 0 || FARTHEST <= n as f64) {
        return Err(Error::RegionOutside { origin: [0; 3], size: [1; 3], shape });
    }
    let Support { taps, blur, border } = *support;
    let (mut origin, mut extent) = ([0; 3], [0; 3]);
    for axis in 0..3 {
        let last = shape[axis] as i64 - 1;
        // One voxel more, for what rounding does to coordinates.
        let low = bounds[axis][0].floor() as i64 - taps - 1;
        let high = bounds[axis][1].floor() as i64 + taps + 2;
        let (low, high) = match border {
            Border::Constant(()) | Border::Edge => (low.clamp(0, last), high.clamp(0, last)),
            Border::Reflect if 0 <= low && high <= last => (low, high),
            Border::Reflect => {
                let least = if last < high { low.min(2 * last - high) } else { low };
                let most = if low < 0 { high.max(-low) } else { high };
                (least.max(0), most.min(last))
            }
        };
        let (low, high) = ((low - blur[axis]).max(0), (high + blur[axis]).min(last));
        origin[axis] = low.max(0) as usize;
        extent[axis] = (high - low + 1).max(0) as usize;
    }
    Region::new(origin, extent, shape)
}

/// Checks that a source has the voxels that a patch needs.
pub(super) fn check_source(
    source: &SourceBox<'_>,
    map: &Map,
    size: [usize; 3],
    support: &Support,
) -> Result<(), Error> {
    let needed = source_region(map, size, support, source.shape())?;
    let has = source.region();
    let holds = (0..3).all(|axis| {
        has.origin()[axis] <= needed.origin()[axis]
            && needed.origin()[axis] + needed.size()[axis] <= has.origin()[axis] + has.size()[axis]
    });
    if holds {
        return Ok(());
    }
    Err(Error::SourceMissing { needed: (needed.origin(), needed.size()), found: (has.origin(), has.size()) })
}
