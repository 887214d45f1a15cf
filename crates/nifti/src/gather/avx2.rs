//! Trilinear interpolation and the nearest voxel, eight at a time.
//!
//! Every operation on a lane is the one that the scalar code does, in its order: the bits are the same.
#![expect(unsafe_code, reason = "unchecked loads of voxels whose places were bounded for the whole row")]
#![allow(clippy::wildcard_imports, reason = "the instructions, whose names say where they come from")]

use std::arch::x86_64::*;

use super::bend::BEND_POINT;
use super::course::POINT;
use super::kernel::{Linear, Nearest};
use super::level::Proof;
use super::row::{InnerRow, Row};
use super::tap::Tap;
use crate::voxels::Voxel;

/// A voxel of which two neighbours along x are loaded at once.
pub(super) trait Pair: Tap<Real = f32> {
    /// Returns the voxels at eight places, and their neighbours `dx` up along x.
    ///
    /// # Safety
    /// The machine has AVX2; from `base`, the voxels at every place and one after it can be read.
    unsafe fn pairs(base: *const Self, at: &[i32; 8], dx: usize) -> (__m256, __m256);
}

/// Reads a number of the size of two voxels at eight places.
macro_rules! read {
    ($base:expr, $at:expr, $as:ty, $set:ident) => {{
        let (base, at) = ($base, $at);
        let load = |lane: usize| base.offset(at[lane] as isize).cast::<$as>().read_unaligned();
        $set(load(0), load(1), load(2), load(3), load(4), load(5), load(6), load(7))
    }};
}

impl Pair for i16 {
    #[inline(always)]
    unsafe fn pairs(base: *const Self, at: &[i32; 8], _: usize) -> (__m256, __m256) {
        // SAFETY: the caller promises AVX2.
        unsafe {
            let both = read!(base, at, i32, _mm256_setr_epi32);
            let low = _mm256_srai_epi32::<16>(_mm256_slli_epi32::<16>(both));
            (_mm256_cvtepi32_ps(low), _mm256_cvtepi32_ps(_mm256_srai_epi32::<16>(both)))
        }
    }
}

impl Pair for u16 {
    #[inline(always)]
    unsafe fn pairs(base: *const Self, at: &[i32; 8], _: usize) -> (__m256, __m256) {
        // SAFETY: the caller promises AVX2.
        unsafe {
            let both = read!(base, at, i32, _mm256_setr_epi32);
            let low = _mm256_and_si256(both, _mm256_set1_epi32(0xffff));
            (_mm256_cvtepi32_ps(low), _mm256_cvtepi32_ps(_mm256_srli_epi32::<16>(both)))
        }
    }
}

impl Pair for u8 {
    #[inline(always)]
    unsafe fn pairs(base: *const Self, at: &[i32; 8], _: usize) -> (__m256, __m256) {
        // SAFETY: the caller promises AVX2.
        unsafe {
            let both = _mm256_cvtepu16_epi32(read!(base, at, i16, _mm_setr_epi16));
            let low = _mm256_and_si256(both, _mm256_set1_epi32(0xff));
            (_mm256_cvtepi32_ps(low), _mm256_cvtepi32_ps(_mm256_srli_epi32::<8>(both)))
        }
    }
}

impl Pair for i8 {
    #[inline(always)]
    unsafe fn pairs(base: *const Self, at: &[i32; 8], _: usize) -> (__m256, __m256) {
        // SAFETY: the caller promises AVX2.
        unsafe {
            let both = _mm256_cvtepi16_epi32(read!(base, at, i16, _mm_setr_epi16));
            let low = _mm256_srai_epi32::<24>(_mm256_slli_epi32::<24>(both));
            (_mm256_cvtepi32_ps(low), _mm256_cvtepi32_ps(_mm256_srai_epi32::<8>(both)))
        }
    }
}

impl Pair for f32 {
    #[inline(always)]
    unsafe fn pairs(base: *const Self, at: &[i32; 8], dx: usize) -> (__m256, __m256) {
        // SAFETY: the caller promises AVX2, and `dx` is 0 or 1.
        unsafe {
            let low = read!(base, at, f32, _mm256_setr_ps);
            (low, read!(base.add(dx), at, f32, _mm256_setr_ps))
        }
    }
}

/// Interpolates the voxels of a row from `first` on; returns how many were, which is all or, where there are fewer than
/// eight, none.
pub(super) fn linear<T: Pair>(_: Proof, row: &Row<'_, T>, first: usize, out: &mut [f32]) -> usize {
    if out.len() < 8 {
        return 0;
    }
    let Some(row) = row.inner_row::<Linear>(first, out.len()) else { return 0 };
    // SAFETY: the proof is of AVX2, and an `InnerRow` of as many voxels as `out`, at least 8, has only inner places.
    unsafe {
        match row.bend {
            None => linear_row::<T, false>(&row, out),
            Some(_) => linear_row::<T, true>(&row, out),
        }
    }
    out.len()
}

/// Takes the nearest voxels of a row from `first` on, as [`linear`] does.
pub(super) fn nearest<T: Voxel, L>(
    _: Proof,
    row: &Row<'_, T>,
    first: usize,
    out: &mut [L],
    convert: impl Fn(T) -> L,
) -> usize {
    if out.len() < 8 {
        return 0;
    }
    let Some(row) = row.inner_row::<Nearest>(first, out.len()) else { return 0 };
    // SAFETY: as in `linear`.
    unsafe {
        match row.bend {
            None => nearest_row::<T, L, false>(&row, out, convert),
            Some(_) => nearest_row::<T, L, true>(&row, out, convert),
        }
    }
    out.len()
}

/// Eight coordinates along an axis in two halves: voxels 0, 1, 4, 5 and 2, 3, 6, 7.
type Eight = [__m256i; 2];

/// Returns the coordinates of voxels 0 to 7, without displacements.
///
/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn lanes<T>(row: &InnerRow<'_, T>) -> [Eight; 3] {
    // SAFETY: the caller promises AVX2.
    [0, 1, 2].map(|axis| unsafe {
        let at = |lane: i64| row.start[axis] + lane * row.step[axis];
        [_mm256_setr_epi64x(at(0), at(1), at(4), at(5)), _mm256_setr_epi64x(at(2), at(3), at(6), at(7))]
    })
}

/// Returns the places in the box of voxels x to x + 7, and the bits of the fractions of their coordinates.
///
/// # Safety
/// The machine has AVX2, and the row has 8 voxels from x on.
#[inline(always)]
unsafe fn eight<T, const BENT: bool>(
    row: &InnerRow<'_, T>,
    lanes: &[Eight; 3],
    x: usize,
) -> (__m256i, [__m256i; 3]) {
    // SAFETY: the caller promises AVX2; the displacements of a row are as many as its voxels.
    unsafe {
        let (mut index, mut fractions) = ([_mm256_setzero_si256(); 3], [_mm256_setzero_si256(); 3]);
        for axis in 0..3 {
            let from = _mm256_set1_epi64x(x as i64 * row.step[axis]);
            let [mut a, mut b] = lanes[axis].map(|lanes| _mm256_add_epi64(lanes, from));
            if let (true, Some(bend)) = (BENT, &row.bend) {
                let by = _mm256_loadu_si256(bend[axis].as_ptr().add(x).cast());
                let by = _mm256_permute4x64_epi64::<0b11_01_10_00>(by);
                let (low, high) = (_mm256_castsi256_si128(by), _mm256_extracti128_si256::<1>(by));
                a = _mm256_add_epi64(a, _mm256_slli_epi64::<WIDEN>(_mm256_cvtepi32_epi64(low)));
                b = _mm256_add_epi64(b, _mm256_slli_epi64::<WIDEN>(_mm256_cvtepi32_epi64(high)));
            }
            let (a, b) = (_mm256_castsi256_ps(a), _mm256_castsi256_ps(b));
            index[axis] = _mm256_castps_si256(_mm256_shuffle_ps::<0b11_01_11_01>(a, b));
            fractions[axis] = _mm256_castps_si256(_mm256_shuffle_ps::<0b10_00_10_00>(a, b));
        }
        let rows = _mm256_mullo_epi32(index[1], _mm256_set1_epi32(row.pitch[0] as i32));
        let slices = _mm256_mullo_epi32(index[2], _mm256_set1_epi32(row.pitch[1] as i32));
        (_mm256_add_epi32(index[0], _mm256_add_epi32(rows, slices)), fractions)
    }
}

/// From the bits of a displacement to those of a coordinate.
const WIDEN: i32 = (POINT - BEND_POINT) as i32;

/// # Safety
/// The row has as many voxels as `out`, at least 8, and all lie inside.
#[target_feature(enable = "avx2")]
unsafe fn linear_row<T: Pair, const BENT: bool>(row: &InnerRow<'_, T>, out: &mut [f32]) {
    // SAFETY: places and their neighbours lie inside; x + 8 is at most the length of `out`; `at` is 32 bytes long.
    unsafe {
        let last = out.len() - 8;
        let [dx, dy, dz] = row.taps;
        let base = row.voxels.as_ptr();
        let lanes = lanes(row);
        let scale = _mm256_set1_ps(1.0 / (1 << 24) as f32);
        let mut at = [0_i32; 8];
        let mut x = 0;
        loop {
            let (places, fractions) = eight::<T, BENT>(row, &lanes, x);
            let [tx, ty, tz] =
                fractions.map(|bits| _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_srli_epi32::<8>(bits)), scale));
            _mm256_storeu_si256(at.as_mut_ptr().cast(), places);
            let (a, b) = T::pairs(base, &at, dx);
            let c00 = mix(a, b, tx);
            let (a, b) = T::pairs(base.add(dy), &at, dx);
            let c10 = mix(a, b, tx);
            let (a, b) = T::pairs(base.add(dz), &at, dx);
            let c01 = mix(a, b, tx);
            let (a, b) = T::pairs(base.add(dy + dz), &at, dx);
            let c11 = mix(a, b, tx);
            let value = mix(mix(c00, c10, ty), mix(c01, c11, ty), tz);
            _mm256_storeu_ps(out.as_mut_ptr().add(x), value);
            if x == last {
                break;
            }
            // The last eight may be made twice.
            x = (x + 8).min(last);
        }
    }
}

/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn mix(a: __m256, b: __m256, t: __m256) -> __m256 {
    // SAFETY: the caller promises AVX2.
    unsafe { _mm256_add_ps(a, _mm256_mul_ps(t, _mm256_sub_ps(b, a))) }
}

/// # Safety
/// The row has as many voxels as `out`, at least 8, and all lie inside.
#[target_feature(enable = "avx2")]
unsafe fn nearest_row<T: Voxel, L, const BENT: bool>(
    row: &InnerRow<'_, T>,
    out: &mut [L],
    convert: impl Fn(T) -> L,
) {
    // SAFETY: places lie inside; x + 8 is at most the length of `out`; `at` is 32 bytes long.
    unsafe {
        let last = out.len() - 8;
        let base = row.voxels.as_ptr();
        let lanes = lanes(row);
        let mut at = [0_i32; 8];
        let mut x = 0;
        loop {
            let (places, _) = eight::<T, BENT>(row, &lanes, x);
            _mm256_storeu_si256(at.as_mut_ptr().cast(), places);
            let values = at.map(|at| convert(base.offset(at as isize).read()));
            out.as_mut_ptr().add(x).cast::<[L; 8]>().write(values);
            if x == last {
                break;
            }
            x = (x + 8).min(last);
        }
    }
}

/// Sums four control points with the weights of as many voxels as `by` has, eight at a time; returns how many were.
/// Results are below 2^31.
pub(super) fn bend(_: Proof, weights: [&[f32]; 4], control: [f32; 4], by: &mut [i32]) -> usize {
    assert!(weights.iter().all(|weights| weights.len() == by.len()), "each voxel has its weights");
    // SAFETY: the proof is of AVX2, and there are as many weights as voxels.
    unsafe { bend_row(weights, control, by) }
}

/// # Safety
/// There are as many of each weight as of `by`.
#[target_feature(enable = "avx2")]
unsafe fn bend_row(weights: [&[f32]; 4], control: [f32; 4], by: &mut [i32]) -> usize {
    let n = by.len() / 8 * 8;
    let control = control.map(|c| _mm256_set1_ps(c));
    for x in (0..n).step_by(8) {
        // SAFETY: x + 8 is at most the number of weights and voxels.
        unsafe {
            let term =
                |tap: usize| _mm256_mul_ps(_mm256_loadu_ps(weights[tap].as_ptr().add(x)), control[tap]);
            let sum = _mm256_add_ps(_mm256_add_ps(_mm256_add_ps(term(0), term(1)), term(2)), term(3));
            _mm256_storeu_si256(by.as_mut_ptr().add(x).cast(), _mm256_cvttps_epi32(sum));
        }
    }
    n
}
