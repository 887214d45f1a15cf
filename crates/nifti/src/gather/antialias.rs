//! Smoothing before a map shrinks.

use batchwright_core::math;

use super::SourceBox;
use super::tap::{Real, Tap};
use crate::region::Region;
use crate::spatial::Map;

/// The strongest smoothing, in stored voxels: a map that shrinks more is smoothed by this.
const STRONGEST: f64 = 64.0;

/// Returns the sigma of the Gaussian along each stored axis: sqrt(f^2 - 1) / 2 voxels, where f is the length of the
/// axis' row of the map.
///
/// Where it is so small that a neighbour's weight is below 2^-25 of the middle's, which no `f32` shows, it is 0.
pub(super) fn sigmas(map: &Map) -> [f64; 3] {
    map.affine.0.map(|[a, b, c, _]| {
        let variance = (a * a + b * b + c * c - 1.0) / 4.0;
        // exp(-1 / (2 sigma^2)) < 2^-25.
        if variance <= 1.0 / (50.0 * std::f64::consts::LN_2) { 0.0 } else { variance.sqrt().min(STRONGEST) }
    })
}

/// Returns how many voxels a Gaussian reaches to each side: four sigma.
pub(super) fn radius(sigma: f64) -> i64 {
    (4.0 * sigma).ceil() as i64
}

/// The weights of the voxels from `-radius` to `radius`; their sum is 1.
fn weights(sigma: f64) -> Vec<f32> {
    let radius = radius(sigma);
    let weight = |k: i64| {
        if sigma == 0.0 { 1.0 } else { math::exp((-((k * k) as f64) / (2.0 * sigma * sigma)) as f32) }
    };
    let all: Vec<f32> = (-radius..=radius).map(weight).collect();
    let sum: f64 = all.iter().map(|&w| f64::from(w)).sum();
    all.iter().map(|&w| (f64::from(w) / sum) as f32).collect()
}

/// Returns the voxels of `taps` after a Gaussian; beyond the volume, voxels are those of its edge.
pub(super) fn smooth<T: Tap>(
    voxels: &[T],
    source: &SourceBox<'_>,
    sigma: [f64; 3],
    taps: &Region,
) -> Vec<f32> {
    let shape = source.shape();
    let whole = source.region();
    let reach = sigma.map(radius);
    let (mut origin, mut size) = ([0; 3], [0; 3]);
    for axis in 0..3 {
        let low = (taps.origin()[axis] as i64 - reach[axis]).max(0);
        let high = ((taps.origin()[axis] + taps.size()[axis]) as i64 + reach[axis]).min(shape[axis] as i64);
        (origin[axis], size[axis]) = (low as usize, (high - low) as usize);
    }
    let mut values = Vec::with_capacity(size.iter().product());
    let start = [0, 1, 2].map(|axis| origin[axis] - whole.origin()[axis]);
    for z in 0..size[2] {
        for y in 0..size[1] {
            let at = ((z + start[2]) * whole.size()[1] + y + start[1]) * whole.size()[0] + start[0];
            values.extend(voxels[at..at + size[0]].iter().map(|voxel| voxel.real().to_f32()));
        }
    }
    for axis in 0..3 {
        // The places along the axis that the voxels of each new place come from.
        let place = |at: i64| (at.clamp(0, shape[axis] as i64 - 1) as usize) - origin[axis];
        let (first, n) = (taps.origin()[axis], taps.size()[axis]);
        if sigma[axis] != 0.0 || (origin[axis], size[axis]) != (first, n) {
            let weights = weights(sigma[axis]);
            let inner: usize = size[..axis].iter().product();
            let outer: usize = size[axis + 1..].iter().product();
            let mut next = vec![0.0; inner * n * outer];
            for (from, to) in values.chunks_exact(inner * size[axis]).zip(next.chunks_exact_mut(inner * n)) {
                for (at, to) in to.chunks_exact_mut(inner).enumerate() {
                    for (k, weight) in weights.iter().enumerate() {
                        let from =
                            &from[inner * place((first + at) as i64 + k as i64 - reach[axis])..][..inner];
                        for (to, from) in to.iter_mut().zip(from) {
                            *to += weight * from;
                        }
                    }
                }
            }
            values = next;
        }
        (origin[axis], size[axis]) = (first, n);
    }
    values
}
