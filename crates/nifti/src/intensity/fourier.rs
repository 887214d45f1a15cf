//! Fourier transforms of a channel, in `f32` by the scalar code of `rustfft`, so that the bits do not depend on the
//! processor.

use rustfft::num_complex::Complex32;
use rustfft::{Fft, FftPlannerScalar};
use std::sync::Arc;

/// Lines that are transformed together.
const TOGETHER: usize = 16;

/// Plans and memory for transforms.
pub(super) struct Fourier {
    planner: FftPlannerScalar<f32>,
    half: Vec<Complex32>,
    block: Vec<Complex32>,
    work: Vec<Complex32>,
}

impl Fourier {
    pub(super) fn new() -> Self {
        Self { planner: FftPlannerScalar::new(), half: Vec::new(), block: Vec::new(), work: Vec::new() }
    }

    /// Filters every line of a channel along an axis: the spectrum of each is multiplied by `mask`, which is real and even in
    /// the frequency, so that what comes back is real. Two lines share a transform, as real and imaginary part.
    pub(super) fn filter(&mut self, plane: &mut [f32], size: [usize; 3], axis: usize, mask: &[f32]) {
        let n = size[axis];
        let (forward, inverse) = (self.planner.plan_fft_forward(n), self.planner.plan_fft_inverse(n));
        let inner: usize = size[..axis].iter().product();
        // Along x, lines lie one after another; along y and z, side by side.
        let (line, step) = if axis == 0 { (n, 1) } else { (1, inner) };
        let group = if axis == 0 { plane.len() } else { n * inner };
        for group in plane.chunks_exact_mut(group) {
            let lines = group.len() / n;
            for first in (0..lines).step_by(2 * TOGETHER) {
                let count = (lines - first).min(2 * TOGETHER);
                self.block.clear();
                self.block.resize(count.div_ceil(2) * n, Complex32::ZERO);
                let place = |i: usize, l: usize| (first + l) * line + i * step;
                for i in 0..n {
                    for l in 0..count {
                        let to = &mut self.block[l / 2 * n + i];
                        let part = if l % 2 == 0 { &mut to.re } else { &mut to.im };
                        *part = group[place(i, l)];
                    }
                }
                run(&forward, &mut self.block, &mut self.work);
                for line in self.block.chunks_exact_mut(n) {
                    for (value, mask) in line.iter_mut().zip(mask) {
                        *value *= *mask / n as f32;
                    }
                }
                run(&inverse, &mut self.block, &mut self.work);
                for i in 0..n {
                    for l in 0..count {
                        let from = self.block[l / 2 * n + i];
                        group[place(i, l)] = if l % 2 == 0 { from.re } else { from.im };
                    }
                }
            }
        }
    }

    /// Transforms a channel along all axes into the half of its spectrum with frequencies 0 to nx / 2 along x:
    /// [nz, ny, nx / 2 + 1].
    fn forward(&mut self, plane: &[f32], [nx, ny, nz]: [usize; 3]) {
        let hx = nx / 2 + 1;
        let fft = self.planner.plan_fft_forward(nx);
        self.half.clear();
        self.half.resize(nz * ny * hx, Complex32::ZERO);
        for (to, rows) in self.half.chunks_mut(2 * hx).zip(plane.chunks(2 * nx)) {
            self.block.clear();
            self.block
                .extend((0..nx).map(|i| Complex32::new(rows[i], rows.get(nx + i).copied().unwrap_or(0.0))));
            run(&fft, &mut self.block, &mut self.work);
            for k in 0..hx {
                let (z, mirrored) = (self.block[k], self.block[(nx - k) % nx].conj());
                to[k] = (z + mirrored) * 0.5;
                if let Some(to) = to.get_mut(hx + k) {
                    let twice = z - mirrored;
                    *to = Complex32::new(twice.im, -twice.re) * 0.5;
                }
            }
        }
        let fft = self.planner.plan_fft_forward(ny);
        self.along(&fft, hx);
        let fft = self.planner.plan_fft_forward(nz);
        self.along(&fft, hx * ny);
    }

    /// Transforms the half spectrum back into the channel.
    fn inverse(&mut self, plane: &mut [f32], [nx, ny, nz]: [usize; 3]) {
        let hx = nx / 2 + 1;
        let fft = self.planner.plan_fft_inverse(nz);
        self.along(&fft, hx * ny);
        let fft = self.planner.plan_fft_inverse(ny);
        self.along(&fft, hx);
        let fft = self.planner.plan_fft_inverse(nx);
        let scale = 1.0 / (nx * ny * nz) as f32;
        for (from, rows) in self.half.chunks(2 * hx).zip(plane.chunks_mut(2 * nx)) {
            self.block.clear();
            self.block.extend((0..nx).map(|k| {
                let at = |k: usize| (from[k], from.get(hx + k).copied().unwrap_or(Complex32::ZERO));
                let (a, b) = if k < hx { at(k) } else { at(nx - k) };
                let (a, b) = if k < hx { (a, b) } else { (a.conj(), b.conj()) };
                a + Complex32::new(-b.im, b.re)
            }));
            run(&fft, &mut self.block, &mut self.work);
            for (i, value) in self.block.iter().enumerate() {
                rows[i] = value.re * scale;
                if let Some(second) = rows.get_mut(nx + i) {
                    *second = value.im * scale;
                }
            }
        }
    }

    /// Transforms the half spectrum along the axis whose neighbours are `inner` apart.
    fn along(&mut self, fft: &Arc<dyn Fft<f32>>, inner: usize) {
        let n = fft.len();
        if n < 2 {
            return;
        }
        for group in self.half.chunks_exact_mut(n * inner) {
            for first in (0..inner).step_by(TOGETHER) {
                let count = (inner - first).min(TOGETHER);
                self.block.clear();
                self.block.resize(count * n, Complex32::ZERO);
                for i in 0..n {
                    for (l, &value) in group[i * inner + first..][..count].iter().enumerate() {
                        self.block[l * n + i] = value;
                    }
                }
                run(fft, &mut self.block, &mut self.work);
                for i in 0..n {
                    for (l, value) in group[i * inner + first..][..count].iter_mut().enumerate() {
                        *value = self.block[l * n + i];
                    }
                }
            }
        }
    }

    /// Returns the largest magnitude of the spectrum of a channel.
    pub(super) fn largest(&mut self, plane: &[f32], size: [usize; 3]) -> f64 {
        self.forward(plane, size);
        let square = |z: &Complex32| f64::from(z.re) * f64::from(z.re) + f64::from(z.im) * f64::from(z.im);
        self.half.iter().map(square).fold(0.0, |a, b| if a < b { b } else { a }).sqrt()
    }

    /// Removes from a channel the frequencies that `keep` does not want, given in cycles per voxel along x, y and z, from
    /// -1/2 to 1/2. It must want -f where it wants f.
    pub(super) fn keep(&mut self, plane: &mut [f32], size: [usize; 3], keep: impl Fn([f64; 3]) -> bool) {
        self.forward(plane, size);
        let [nx, ny, _] = size;
        let hx = nx / 2 + 1;
        for (row, values) in self.half.chunks_exact_mut(hx).enumerate() {
            let (fy, fz) = (frequency(row % ny, ny), frequency(row / ny, size[2]));
            for (k, value) in values.iter_mut().enumerate() {
                if !keep([frequency(k, nx), fy, fz]) {
                    *value = Complex32::ZERO;
                }
            }
        }
        self.inverse(plane, size);
    }
}

/// Returns the cycles per voxel of place `k` of a spectrum of `n`.
fn frequency(k: usize, n: usize) -> f64 {
    let k = if 2 * k <= n { k as f64 } else { k as f64 - n as f64 };
    k / n as f64
}

fn run(fft: &Arc<dyn Fft<f32>>, block: &mut [Complex32], work: &mut Vec<Complex32>) {
    work.resize(fft.get_inplace_scratch_len(), Complex32::ZERO);
    fft.process_with_scratch(block, work);
}
