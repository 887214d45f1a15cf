//! The loops over voxels, each compiled as the program is, for AVX2 and for AVX-512; the bits are the same.
//!
//! Nothing is contracted into a fused multiply-add, each voxel is computed alone, and sums have 16 lanes that are added in one order.
#![expect(unsafe_code, reason = "calls loops compiled for AVX2 and AVX-512 after asking the processor")]

use batchwright_core::math;

/// Which instructions the loops use; the bits are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// What the program was compiled for.
    Portable,
    /// AVX2; made by [`Path::all`] alone, on a processor that has it.
    #[cfg(target_arch = "x86_64")]
    Avx2(Detected),
    /// AVX-512, likewise.
    #[cfg(target_arch = "x86_64")]
    Avx512(Detected),
}

/// Proof that the processor has the instructions. Invariant: made after asking it.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Detected(());

impl Path {
    /// Returns those that this processor has, the fastest last.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let wide = [
            std::arch::is_x86_feature_detected!("avx2").then_some(Self::Avx2(Detected(()))),
            std::arch::is_x86_feature_detected!("avx512f").then_some(Self::Avx512(Detected(()))),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let wide: [Option<Self>; 0] = [];
        std::iter::once(Self::Portable).chain(wide.into_iter().flatten())
    }

    /// Returns the fastest that this processor has.
    pub(super) fn detect() -> Self {
        Self::all().last().unwrap_or(Self::Portable)
    }
}

/// The terms in x of a bias field.
pub(super) const TERMS: usize = 4;

/// The most points of a curve.
pub(super) const POINTS: usize = 64;

/// Sums are kept in this many lanes.
pub(super) const LANES: usize = 16;

/// What a sweep over a channel finds out. Voxel `i` belongs to lane `i % 16`.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    low: [f32; LANES],
    high: [f32; LANES],
    sum: [f64; LANES],
    squares: [f64; LANES],
    count: u64,
}

impl Moments {
    pub(super) fn new() -> Self {
        Self {
            low: [f32::INFINITY; LANES],
            high: [f32::NEG_INFINITY; LANES],
            sum: [0.0; LANES],
            squares: [0.0; LANES],
            count: 0,
        }
    }

    /// Takes in a piece of a channel; all but the last have a length that is a multiple of the lanes.
    pub(super) fn take(&mut self, path: Path, voxels: &[f32]) {
        debug_assert!(self.count.is_multiple_of(LANES as u64));
        self.count += voxels.len() as u64;
        moments(path, voxels, &mut self.low, &mut self.high, &mut self.sum, &mut self.squares);
    }

    pub(super) fn minimum(&self) -> f32 {
        self.low.iter().fold(f32::INFINITY, |a, &b| if b < a { b } else { a })
    }

    pub(super) fn maximum(&self) -> f32 {
        self.high.iter().fold(f32::NEG_INFINITY, |a, &b| if a < b { b } else { a })
    }

    pub(super) fn mean(&self) -> f64 {
        self.sum.iter().sum::<f64>() / self.count as f64
    }

    /// Returns the standard deviation, dividing by the number of voxels.
    pub(super) fn deviation(&self) -> f64 {
        let mean = self.mean();
        let variance = self.squares.iter().sum::<f64>() / self.count as f64 - mean * mean;
        if 0.0 < variance { variance.sqrt() } else { 0.0 }
    }
}

/// Defines a loop and compiles it as the program is compiled, for AVX2 and for AVX-512.
macro_rules! loops {
    ($($(#[$meta:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) $body:block)*) => {$(
        $(#[$meta])*
        #[inline]
        pub(super) fn $name(path: Path, $($argument: $type),*) {
            #[inline(always)]
            fn body($($argument: $type),*) $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn avx2($($argument: $type),*) {
                body($($argument),*);
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f")]
            fn avx512($($argument: $type),*) {
                body($($argument),*);
            }

            match path {
                Path::Portable => body($($argument),*),
                #[cfg(target_arch = "x86_64")]
                // SAFETY: a `Detected` exists only where the processor has AVX2.
                Path::Avx2(Detected(())) => unsafe { avx2($($argument),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: likewise.
                Path::Avx512(Detected(())) => unsafe { avx512($($argument),*) },
            }
        }
    )*};
}

loops! {
    /// x = x * scale + offset
    fn affine(voxels: &mut [f32], scale: f32, offset: f32) {
        for x in voxels {
            *x = *x * scale + offset;
        }
    }

    /// x = (x - mean) * factor + mean, between `low` and `high`
    fn contrast(voxels: &mut [f32], mean: f32, factor: f32, low: f32, high: f32) {
        for x in voxels {
            let y = (*x - mean) * factor + mean;
            let y = if y < low { low } else { y };
            *x = if high < y { high } else { y };
        }
    }

    /// x = sign * (((sign x - low) / range)^gamma range + low), where `inverse` is 1 / range
    fn power(voxels: &mut [f32], sign: f32, low: f32, inverse: f32, range: f32, gamma: f32) {
        for x in voxels {
            let t = (sign * *x - low) * inverse;
            let y = math::pow(t, gamma);
            let y = if t < f32::MIN_POSITIVE { 0.0 } else { y };
            let y = if 1.0 < y { 1.0 } else { y };
            *x = sign * (y * range + low);
        }
    }

    /// x = sign(x) |x|^gamma
    fn signed_power(voxels: &mut [f32], gamma: f32) {
        for x in voxels {
            let t = x.abs();
            let y = math::pow(t, gamma);
            let y = if t < f32::MIN_POSITIVE { 0.0 } else { y };
            *x = y.copysign(*x);
        }
    }

    /// x += sigma * noise
    fn add(voxels: &mut [f32], noise: &[f32], sigma: f32) {
        for (x, n) in voxels.iter_mut().zip(noise) {
            *x += sigma * *n;
        }
    }

    /// x = sqrt((x + sigma a)^2 + (sigma b)^2)
    fn magnitude(voxels: &mut [f32], a: &[f32], b: &[f32], sigma: f32) {
        for ((x, a), b) in voxels.iter_mut().zip(a).zip(b) {
            let (real, imaginary) = (*x + sigma * *a, sigma * *b);
            *x = (real * real + imaginary * imaginary).sqrt();
        }
    }

    /// Takes voxels into the lanes of [`Moments`].
    fn moments(
        voxels: &[f32],
        low: &mut [f32; LANES],
        high: &mut [f32; LANES],
        sum: &mut [f64; LANES],
        squares: &mut [f64; LANES],
    ) {
        let (mut l, mut h, mut s, mut q) = (*low, *high, *sum, *squares);
        let mut groups = voxels.chunks_exact(LANES);
        for group in &mut groups {
            for lane in 0..LANES {
                let x = group[lane];
                l[lane] = if x < l[lane] { x } else { l[lane] };
                h[lane] = if h[lane] < x { x } else { h[lane] };
                let x = f64::from(x);
                s[lane] += x;
                q[lane] += x * x;
            }
        }
        for (lane, &x) in groups.remainder().iter().enumerate() {
            l[lane] = if x < l[lane] { x } else { l[lane] };
            h[lane] = if h[lane] < x { x } else { h[lane] };
            s[lane] += f64::from(x);
            q[lane] += f64::from(x) * f64::from(x);
        }
        (*low, *high, *sum, *squares) = (l, h, s, q);
    }

    /// to[i] = half[0] f[i] + half[1] (f[i - stride] + f[i + stride]) + ..., where f[0] is the voxel below `to[0]`
    fn convolve(to: &mut [f32], from: &[f32], stride: usize, half: &[f32]) {
        const BLOCK: usize = 32;
        let centre = (half.len() - 1) * stride;
        let from = &from[..to.len() + 2 * centre];
        let mut start = 0;
        let mut blocks = to.chunks_exact_mut(BLOCK);
        for block in &mut blocks {
            let at = start + centre;
            let mut sums = [0.0_f32; BLOCK];
            for (sum, x) in sums.iter_mut().zip(&from[at..at + BLOCK]) {
                *sum = half[0] * *x;
            }
            for (k, &weight) in half.iter().enumerate().skip(1) {
                let (before, after) = (at - k * stride, at + k * stride);
                let (before, after) = (&from[before..before + BLOCK], &from[after..after + BLOCK]);
                for lane in 0..BLOCK {
                    sums[lane] += weight * (before[lane] + after[lane]);
                }
            }
            block.copy_from_slice(&sums);
            start += BLOCK;
        }
        for (i, to) in blocks.into_remainder().iter_mut().enumerate() {
            let at = start + i + centre;
            let mut sum = half[0] * from[at];
            for (k, &weight) in half.iter().enumerate().skip(1) {
                sum += weight * (from[at - k * stride] + from[at + k * stride]);
            }
            *to = sum;
        }
    }

    /// to = a + weight (b - a)
    fn blend(to: &mut [f32], a: &[f32], b: &[f32], weight: f32) {
        for ((to, a), b) in to.iter_mut().zip(a).zip(b) {
            *to = *a + weight * (*b - *a);
        }
    }

    /// to = to + amount (to - from)
    fn sharpen(to: &mut [f32], from: &[f32], amount: f32) {
        for (to, from) in to.iter_mut().zip(from) {
            *to += amount * (*to - *from);
        }
    }

    /// to[i] = a + weight[i] (b - a), with a and b the values of `from` at the places of `pairs`
    fn pick(to: &mut [f32], from: &[f32], pairs: &[[u32; 2]], weights: &[f32]) {
        for ((to, &[a, b]), weight) in to.iter_mut().zip(pairs).zip(weights) {
            let (a, b) = (from[a as usize], from[b as usize]);
            *to = a + weight * (b - a);
        }
    }

    /// x = x exp(terms[0] + terms[1] p + terms[2] p^2 + terms[3] p^3), where p is the place of x
    fn bias(voxels: &mut [f32], places: &[f32], terms: [f32; TERMS]) {
        let [a, b, c, d] = terms;
        for (x, &p) in voxels.iter_mut().zip(places) {
            *x *= math::exp(((d * p + c) * p + b) * p + a);
        }
    }

    /// x = y range + low, where y lies between the points around (x - low) scale; `last` is the last point
    fn curve(voxels: &mut [f32], low: f32, scale: f32, range: f32, points: &[f32; POINTS], last: usize) {
        let most = (last - 1) as u32;
        for x in voxels {
            let place = (*x - low) * scale;
            let below = (place as u32).min(most);
            let (a, b) = (points[below as usize % POINTS], points[(below + 1) as usize % POINTS]);
            *x = (a + (place - below as f32) * (b - a)) * range + low;
        }
    }

    /// x += cos cosines - sin sines
    fn wave(voxels: &mut [f32], cosines: &[f32], sines: &[f32], cos: f32, sin: f32) {
        for ((x, c), s) in voxels.iter_mut().zip(cosines).zip(sines) {
            *x += cos * *c - sin * *s;
        }
    }
}
