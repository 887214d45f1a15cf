//! Many normal draws at a time: several blocks of the key stream side by side, then Box and Muller on the same lanes.
//!
//! The bits are those of drawing pair by pair: the key stream is `ChaCha`'s with 8 rounds, and its words become numbers by
//! the same operations. The rounds are written once for each width of vector, the rest is left to the compiler.
#![expect(
    unsafe_code,
    reason = "calls what is compiled for AVX2 and AVX-512 after asking the processor for it"
)]
#![expect(
    clippy::inline_always,
    clippy::needless_range_loop,
    reason = "loops over lanes, which become part of what is compiled for each path"
)]

use crate::math;

/// Draws are made in groups of a multiple of this many.
pub(crate) const GROUP: usize = 256;

/// What the processor can do. Invariant: other than `Portable` only on a processor that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Path {
    fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx512f") {
                return Self::Avx512;
            }
            if std::arch::is_x86_feature_detected!("avx2") {
                return Self::Avx2;
            }
        }
        Self::Portable
    }
}

/// Fills `out`, whose length is a multiple of [`GROUP`], from the key stream of `seed` and `nonce` from block `block` on.
pub(crate) fn fill(seed: [u8; 32], nonce: u64, block: u64, out: &mut [f32]) {
    fill_on(Path::detect(), seed, nonce, block, out);
}

fn fill_on(path: Path, seed: [u8; 32], nonce: u64, block: u64, out: &mut [f32]) {
    match path {
        Path::Portable => portable(seed, nonce, block, out),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: there is this path only where the processor has the instructions.
        Path::Avx2 => unsafe { x86::avx2(seed, nonce, block, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Path::Avx512 => unsafe { x86::avx512(seed, nonce, block, out) },
    }
}

/// The first state of `LANES` blocks, but for their numbers: 16 words of each.
#[inline(always)]
fn start<const LANES: usize>(seed: [u8; 32], nonce: u64) -> [[u32; LANES]; 16] {
    let mut start = [[0; LANES]; 16];
    for (lanes, word) in start.iter_mut().zip([0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]) {
        *lanes = [word; LANES];
    }
    for (lanes, word) in start[4..12].iter_mut().zip(seed.chunks_exact(4)) {
        *lanes = [u32::from_le_bytes([word[0], word[1], word[2], word[3]]); LANES];
    }
    start[14] = [nonce as u32; LANES];
    start[15] = [(nonce >> 32) as u32; LANES];
    start
}

/// Numbers the blocks from `first` on.
#[inline(always)]
fn number<const LANES: usize>(start: &mut [[u32; LANES]; 16], first: u64) {
    for lane in 0..LANES {
        let block = first.wrapping_add(lane as u64);
        (start[12][lane], start[13][lane]) = (block as u32, (block >> 32) as u32);
    }
}

/// Turns words into draws, in their places.
#[inline(always)]
fn draw<const LANES: usize>(words: &[[u32; LANES]; 16], draws: &mut [[f32; LANES]; 16]) {
    for (words, draws) in words.chunks_exact(2).zip(draws.chunks_exact_mut(2)) {
        let ([a, b], [cos, sin]) = (words, draws) else { continue };
        for lane in 0..LANES {
            (cos[lane], sin[lane]) = math::box_muller(a[lane], b[lane]);
        }
    }
}

/// The rounds of the cipher, given `step(x, a, b, d, r)`: x[a] += x[b], then x[d] = (x[d] ^ x[a]) rotated by the r-th of 16,
/// 12, 8 and 7.
macro_rules! rounds {
    ($x:expr, $step:ident) => {{
        let x = $x;
        // Each line by itself: a loop over the places would keep the words in memory.
        for _ in 0..4 {
            rounds!(x, $step, 0, 4, 8, 12);
            rounds!(x, $step, 1, 5, 9, 13);
            rounds!(x, $step, 2, 6, 10, 14);
            rounds!(x, $step, 3, 7, 11, 15);
            rounds!(x, $step, 0, 5, 10, 15);
            rounds!(x, $step, 1, 6, 11, 12);
            rounds!(x, $step, 2, 7, 8, 13);
            rounds!(x, $step, 3, 4, 9, 14);
        }
    }};
    ($x:ident, $step:ident, $a:literal, $b:literal, $c:literal, $d:literal) => {
        $step::<0>($x, $a, $b, $d);
        $step::<1>($x, $c, $d, $b);
        $step::<2>($x, $a, $b, $d);
        $step::<3>($x, $c, $d, $b);
    };
}

fn portable(seed: [u8; 32], nonce: u64, block: u64, out: &mut [f32]) {
    const LANES: usize = 8;

    #[inline(always)]
    fn step<const R: usize>(x: &mut [[u32; LANES]; 16], a: usize, b: usize, d: usize) {
        for lane in 0..LANES {
            x[a][lane] = x[a][lane].wrapping_add(x[b][lane]);
            x[d][lane] = (x[d][lane] ^ x[a][lane]).rotate_left([16, 12, 8, 7][R]);
        }
    }

    let mut start = start::<LANES>(seed, nonce);
    let mut draws = [[0.0; LANES]; 16];
    for (group, out) in out.chunks_exact_mut(16 * LANES).enumerate() {
        number(&mut start, block.wrapping_add((group * LANES) as u64));
        let mut words = start;
        rounds!(&mut words, step);
        for (word, start) in words.as_flattened_mut().iter_mut().zip(start.as_flattened()) {
            *word = word.wrapping_add(*start);
        }
        draw(&words, &mut draws);
        for (lane, block) in out.chunks_exact_mut(16).enumerate() {
            for (to, draws) in block.iter_mut().zip(&draws) {
                *to = draws[lane];
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256, __m256i, __m512i, _mm256_add_epi32, _mm256_loadu_ps, _mm256_or_si256, _mm256_permute2f128_ps,
        _mm256_setr_epi8, _mm256_shuffle_epi8, _mm256_shuffle_ps, _mm256_slli_epi32, _mm256_srli_epi32,
        _mm256_storeu_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps, _mm256_xor_si256, _mm512_add_epi32,
        _mm512_rol_epi32, _mm512_xor_si512,
    };

    use super::{draw, number, start};

    /// Defines the loop for one width of vector: as many lanes as that has words.
    macro_rules! wide {
        ($name:ident, $feature:literal, $lanes:literal, $vector:ty, $step:ident, $add:ident) => {
            #[target_feature(enable = $feature)]
            pub(super) fn $name(seed: [u8; 32], nonce: u64, block: u64, out: &mut [f32]) {
                // By itself, so that the compiler sees a loop over lanes and not what became of the words.
                #[inline(never)]
                #[target_feature(enable = $feature)]
                fn numbers(words: &[[u32; $lanes]; 16], draws: &mut [[f32; $lanes]; 16]) {
                    draw(words, draws);
                }

                let mut start = start::<$lanes>(seed, nonce);
                let mut draws = [[0.0; $lanes]; 16];
                for (group, out) in out.chunks_exact_mut(16 * $lanes).enumerate() {
                    number(&mut start, block.wrapping_add((group * $lanes) as u64));
                    // SAFETY: both types are as many bits, and any bits are a value of either. Whole arrays, as a closure for
                    // each word would be compiled, and called, by itself.
                    let first = unsafe { std::mem::transmute::<[[u32; $lanes]; 16], [$vector; 16]>(start) };
                    let mut x = first;
                    rounds!(&mut x, $step);
                    for (x, first) in x.iter_mut().zip(first) {
                        *x = $add(*x, first);
                    }
                    // SAFETY: as above.
                    let words = unsafe { std::mem::transmute::<[$vector; 16], [[u32; $lanes]; 16]>(x) };
                    numbers(&words, &mut draws);
                    transpose(draws.as_flattened(), $lanes, out);
                }
            }
        };
    }
    wide!(avx2, "avx2", 8, __m256i, step_avx2, _mm256_add_epi32);
    wide!(avx512, "avx512f,avx2", 16, __m512i, step_avx512, _mm512_add_epi32);

    #[inline]
    #[target_feature(enable = "avx2")]
    fn step_avx2<const R: usize>(x: &mut [__m256i; 16], a: usize, b: usize, d: usize) {
        x[a] = _mm256_add_epi32(x[a], x[b]);
        let y = _mm256_xor_si256(x[d], x[a]);
        x[d] = match R {
            0 => _mm256_shuffle_epi8(
                y,
                _mm256_setr_epi8(
                    2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8,
                    9, 14, 15, 12, 13,
                ),
            ),
            1 => _mm256_or_si256(_mm256_slli_epi32::<12>(y), _mm256_srli_epi32::<20>(y)),
            2 => _mm256_shuffle_epi8(
                y,
                _mm256_setr_epi8(
                    3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14, 3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9,
                    10, 15, 12, 13, 14,
                ),
            ),
            _ => _mm256_or_si256(_mm256_slli_epi32::<7>(y), _mm256_srli_epi32::<25>(y)),
        };
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn step_avx512<const R: usize>(x: &mut [__m512i; 16], a: usize, b: usize, d: usize) {
        x[a] = _mm512_add_epi32(x[a], x[b]);
        let y = _mm512_xor_si512(x[d], x[a]);
        x[d] = match R {
            0 => _mm512_rol_epi32::<16>(y),
            1 => _mm512_rol_epi32::<12>(y),
            2 => _mm512_rol_epi32::<8>(y),
            _ => _mm512_rol_epi32::<7>(y),
        };
    }

    /// Writes draws, 16 rows of `lanes` blocks, block by block. Both lengths are 16 times `lanes`.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn transpose(draws: &[f32], lanes: usize, out: &mut [f32]) {
        assert!(draws.len() == 16 * lanes && out.len() == 16 * lanes && lanes.is_multiple_of(8));
        for lane in (0..lanes).step_by(8) {
            for word in [0, 8] {
                // SAFETY: 8 rows from `word` <= 8 on, of which there are 16, and 8 of their `lanes` values from `lane` on.
                let r: [__m256; 8] = std::array::from_fn(|i| unsafe {
                    _mm256_loadu_ps(draws.as_ptr().add((word + i) * lanes + lane))
                });
                // Pairs of rows, then fours, then both halves of the vectors.
                let [a0, a1, a2, a3] = [0, 2, 4, 6]
                    .map(|i| (_mm256_unpacklo_ps(r[i], r[i + 1]), _mm256_unpackhi_ps(r[i], r[i + 1])));
                let four =
                    |p: __m256, q: __m256| (_mm256_shuffle_ps::<0x44>(p, q), _mm256_shuffle_ps::<0xee>(p, q));
                let ((b0, b1), (b2, b3)) = (four(a0.0, a1.0), four(a0.1, a1.1));
                let ((c0, c1), (c2, c3)) = (four(a2.0, a3.0), four(a2.1, a3.1));
                let columns = [
                    _mm256_permute2f128_ps::<0x20>(b0, c0),
                    _mm256_permute2f128_ps::<0x20>(b1, c1),
                    _mm256_permute2f128_ps::<0x20>(b2, c2),
                    _mm256_permute2f128_ps::<0x20>(b3, c3),
                    _mm256_permute2f128_ps::<0x31>(b0, c0),
                    _mm256_permute2f128_ps::<0x31>(b1, c1),
                    _mm256_permute2f128_ps::<0x31>(b2, c2),
                    _mm256_permute2f128_ps::<0x31>(b3, c3),
                ];
                for (i, column) in columns.into_iter().enumerate() {
                    // SAFETY: 8 of the 16 values, from `word` on, of block `lane + i`, of which there are `lanes`.
                    unsafe { _mm256_storeu_ps(out.as_mut_ptr().add((lane + i) * 16 + word), column) };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_gives_the_same_bits() {
        let seed = std::array::from_fn(|i| (i * 7 + 1) as u8);
        let mut portable = vec![0.0; 2 * GROUP];
        // The second block number carries into its upper word within a group.
        for block in [0, u64::from(u32::MAX) - 3, u64::MAX - 1] {
            fill_on(Path::Portable, seed, 1 << 33, block, &mut portable);
            let mut paths = vec![Path::detect()];
            #[cfg(target_arch = "x86_64")]
            if std::arch::is_x86_feature_detected!("avx2") {
                paths.push(Path::Avx2);
            }
            for path in paths {
                let mut out = vec![f32::NAN; 2 * GROUP];
                fill_on(path, seed, 1 << 33, block, &mut out);
                assert!(out.iter().zip(&portable).all(|(a, b)| a.to_bits() == b.to_bits()), "{path:?}");
            }
        }
    }
}
