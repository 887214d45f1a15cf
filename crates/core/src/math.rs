//! Elementary functions in `f32`, the same bits on every system, for what touches a voxel.
//!
//! `std`'s differ between systems. These use IEEE additions, multiplications, divisions and square roots in a fixed
//! order, never contracted, so that a loop over them may be vectorised without a change of bits. The polynomials are
//! those of the Cephes library's single-precision functions (Moshier 1989), which is where the coefficients come from.

/// Adding this to an f32 below 2^22 rounds it to the nearest integer, even where two are, which is then in the low bits.
const SHIFT: f32 = 12_582_912.0;

/// Returns the integer that was rounded to by adding [`SHIFT`]. Of what is not finite, it means nothing.
#[inline]
fn whole(shifted: f32) -> i32 {
    shifted.to_bits().wrapping_sub(SHIFT.to_bits()) as i32
}

/// Returns the natural logarithm of a positive, normal, finite `x`; error at most 2 units in the last place.
///
/// What is not positive, normal and finite gives a finite number without meaning; callers keep it out.
#[inline]
pub fn ln(x: f32) -> f32 {
    // x = m 2^e with m in [sqrt(1/2), sqrt(2)).
    let bits = x.to_bits();
    let shifted = bits.wrapping_sub(0x3f35_04f3);
    let e = (shifted as i32 >> 23) as f32;
    let m = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(0x3f35_04f3));
    let f = m - 1.0;
    let z = f * f;
    let mut p = 7.037_683_6e-2_f32;
    p = p * f - 1.151_461e-1;
    p = p * f + 1.167_699_87e-1;
    p = p * f - 1.242_014_1e-1;
    p = p * f + 1.424_932_3e-1;
    p = p * f - 1.666_805_8e-1;
    p = p * f + 2.000_071_5e-1;
    p = p * f - 2.499_999_4e-1;
    p = p * f + 3.333_333e-1;
    let mut y = f * z * p;
    y += e * -2.121_944_4e-4;
    y -= 0.5 * z;
    (f + y) + e * 0.693_359_4
}

/// Returns e^x; error at most 2 units in the last place. Below -87.3 it is 0, above 88.7 infinite.
#[inline]
pub fn exp(x: f32) -> f32 {
    let clamped = x.clamp(-87.3, 88.7);
    let shifted = clamped * std::f32::consts::LOG2_E + SHIFT;
    let n = shifted - SHIFT;
    let r = (clamped - n * 0.693_359_4) - n * -2.121_944_4e-4;
    let mut p = 1.987_569_1e-4_f32;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 5.0e-1;
    let y = p * (r * r) + r + 1.0;
    // 2^n in two factors, so that n = 128 does not overflow on the way.
    let whole = whole(shifted);
    let half = whole >> 1;
    let rest = whole.wrapping_sub(half);
    let power = |k: i32| f32::from_bits((k.wrapping_add(127) as u32) << 23);
    let y = y * power(half) * power(rest);
    if x < -87.3 {
        0.0
    } else if 88.7 < x {
        f32::INFINITY
    } else {
        y
    }
}

/// Returns x^y for a positive, normal, finite `x`, as 2^(y log2 x), which is held within 2^-126 and the greatest `f32`; error
/// below 3e-7 (1 + |y log2 x| / 2), relative.
///
/// The coefficients of the logarithm are those of [`ln`], those of 2^r a fit that is least wrong, relatively, for |r| <= 1/2;
/// sums are grouped in pairs, so that less waits for what came before.
#[inline]
pub fn pow(x: f32, y: f32) -> f32 {
    const C: [f32; 9] = [
        3.333_333e-1,
        -2.499_999_4e-1,
        2.000_071_5e-1,
        -1.666_805_8e-1,
        1.424_932_3e-1,
        -1.242_014_1e-1,
        1.167_699_87e-1,
        -1.151_461e-1,
        7.037_683_6e-2,
    ];
    const D: [f32; 6] =
        [6.931_472e-1, 2.402_264_8e-1, 5.550_332_4e-2, 9.618_437e-3, 1.339_887_4e-3, 1.535_336_2e-4];
    // x = m 2^e with m in [sqrt(1/2), sqrt(2)).
    let shifted = x.to_bits().wrapping_sub(0x3f35_04f3);
    let e = (shifted as i32 >> 23) as f32;
    let f = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(0x3f35_04f3)) - 1.0;
    let z = f * f;
    let low = (C[0] + C[1] * f) + (C[2] + C[3] * f) * z;
    let high = (C[4] + C[5] * f) + (C[6] + C[7] * f) * z;
    let p = low + (high + C[8] * (z * z)) * (z * z);
    let ln = f + (f * z * p - 0.5 * z);
    let w = y * (e + ln * std::f32::consts::LOG2_E);
    let w = if w < -126.0 { -126.0 } else { w };
    let w = if 127.999_99 < w { 127.999_99 } else { w };
    let rounded = w + SHIFT;
    let r = w - (rounded - SHIFT);
    let square = r * r;
    let q = (D[0] + D[1] * r) + ((D[2] + D[3] * r) + (D[4] + D[5] * r) * square) * square;
    // 2^n in two factors, as n may be 128.
    let n = whole(rounded);
    let half = n >> 1;
    let power = |k: i32| f32::from_bits((k.wrapping_add(127) as u32) << 23);
    (1.0 + r * q) * power(half) * power(n.wrapping_sub(half))
}

/// Returns (sin, cos) of `turns` whole turns (2 pi radians each), for |turns| below 2^20; error below 2e-7.
#[inline]
pub fn sin_cos_turns(turns: f32) -> (f32, f32) {
    let quarters = turns * 4.0;
    let shifted = quarters + SHIFT;
    let r = (quarters - (shifted - SHIFT)) * std::f32::consts::FRAC_PI_2;
    let z = r * r;
    let mut s = -1.951_529_6e-4_f32;
    s = s * z + 8.332_161e-3;
    s = s * z - 1.666_665_5e-1;
    let s = s * z * r + r;
    let mut c = 2.443_315_7e-5_f32;
    c = c * z - 1.388_731_6e-3;
    c = c * z + 4.166_664_6e-2;
    let c = c * z * z - 0.5 * z + 1.0;
    // The quarter says which of the two is which, and their signs.
    let quarter = whole(shifted) as u32;
    let (sin, cos) = if quarter & 1 == 0 { (s, c) } else { (c, s) };
    let sign = |x: f32, bit: u32| f32::from_bits(x.to_bits() ^ ((bit & 2) << 30));
    (sign(sin, quarter), sign(cos, quarter.wrapping_add(1)))
}

/// Turns two words into two draws of the standard normal distribution.
#[inline]
pub(crate) fn box_muller(a: u32, b: u32) -> (f32, f32) {
    const UNIT: f32 = 1.0 / (1u32 << 24) as f32;
    let u = ((a >> 8) + 1) as f32 * UNIT;
    let v = (b >> 8) as f32 * UNIT;
    let square = -2.0 * ln(u);
    let radius = if 0.0 < square { square.sqrt() } else { 0.0 };
    let (sin, cos) = sin_cos_turns(v);
    (radius * cos, radius * sin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ulps(got: f32, want: f64) -> f64 {
        let unit = f64::from(f32::from_bits((want as f32).abs().max(f32::MIN_POSITIVE).to_bits() + 1))
            - f64::from((want as f32).abs().max(f32::MIN_POSITIVE));
        (f64::from(got) - want).abs() / unit
    }

    #[test]
    fn logarithm_and_exponential_are_within_two_units_of_the_last_place() {
        for i in 1..200_000 {
            let x = i as f32 * 0.001;
            if 0.01 < (x - 1.0).abs() {
                assert!(ulps(ln(x), f64::from(x).ln()) <= 2.0, "ln {x}");
            }
            let x = (i as f32 - 100_000.0) * 0.0008;
            assert!(ulps(exp(x), f64::from(x).exp()) <= 2.0, "exp {x} {}", exp(x));
        }
        assert_eq!((exp(-1000.0), exp(1000.0), exp(0.0), ln(1.0)), (0.0, f32::INFINITY, 1.0, 0.0));
        assert!(exp(88.6).is_finite());
    }

    #[test]
    fn powers_agree_with_double_precision_and_stay_finite() {
        for i in 1..100_000 {
            let x = i as f32 * 1e-5;
            for y in [0.01, 0.7, 1.0, 1.5, 3.3] {
                let want = f64::from(x).powf(f64::from(y));
                let bound = 3e-7 * (1.0 + 0.5 * f64::from(y) * f64::from(x).log2().abs());
                assert!((f64::from(pow(x, y)) / want - 1.0).abs() < bound, "{x}^{y}: {}", pow(x, y));
            }
        }
        assert_eq!((pow(1.0, 0.37), pow(4.0, 2.0), pow(0.25, 0.5)), (1.0, 16.0, 0.5));
        assert!(pow(1e30, 50.0).is_finite() && 1e38 < pow(1e30, 50.0));
        assert!(pow(1e-30, 50.0) < 2e-38 && 0.0 < pow(1e-30, 50.0));
    }

    #[test]
    fn sine_and_cosine_agree_with_double_precision() {
        for i in -50_000..50_000 {
            let turns = i as f32 * 1e-4;
            let (s, c) = sin_cos_turns(turns);
            let angle = f64::from(turns) * std::f64::consts::TAU;
            assert!((f64::from(s) - angle.sin()).abs() < 2e-7, "sin {turns}");
            assert!((f64::from(c) - angle.cos()).abs() < 2e-7, "cos {turns}");
        }
    }
}
