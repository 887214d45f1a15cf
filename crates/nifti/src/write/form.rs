//! The other way to write geometry: a quaternion, an offset and the spacing.

use crate::affine::Affine;

/// How far, in parts of the spacing, the map that a quaternion gives may lie from the one that was meant.
const TOLERANCE: f64 = 1e-4;

/// A rotation as the vector part of a unit quaternion, with the offset and the handedness that go with it: the qform.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct QuaternionForm {
    pub(super) vector: [f64; 3],
    pub(super) offset: [f64; 3],
    /// 1, or -1 where the third axis points the other way.
    pub(super) handedness: f64,
}

impl QuaternionForm {
    /// Returns the form of a map, or nothing where the map is no rotation with one scale per axis, and where single
    /// precision would not give it back.
    pub(super) fn of(affine: &Affine, zooms: [f64; 3]) -> Option<Self> {
        let handedness = if affine.determinant() < 0.0 { -1.0 } else { 1.0 };
        let mut rotation = [[0.0; 3]; 3];
        for (row, of) in rotation.iter_mut().zip(&affine.0) {
            for axis in 0..3 {
                row[axis] = of[axis] / zooms[axis];
            }
            row[2] *= handedness;
        }
        let offset = affine.0.map(|row| row[3]);
        let form = Self { vector: vector_of(&rotation), offset, handedness };
        let back = form.rounded().affine(zooms);
        let fits = (0..3).all(|row| {
            (0..3).all(|axis| (back.0[row][axis] - affine.0[row][axis]).abs() <= TOLERANCE * zooms[axis])
        });
        fits.then_some(form)
    }

    fn rounded(&self) -> Self {
        Self { vector: self.vector.map(|x| f64::from(x as f32)), ..*self }
    }

    /// Returns the map that a reader makes of it.
    fn affine(&self, zooms: [f64; 3]) -> Affine {
        let [b, c, d] = self.vector;
        let a = (1.0 - (b * b + c * c + d * d)).max(0.0).sqrt();
        let rotation = [
            [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
            [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)],
            [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ];
        let mut affine = Affine([[0.0; 4]; 3]);
        for ((row, turned), offset) in affine.0.iter_mut().zip(rotation).zip(self.offset) {
            let [x, y, z] = turned;
            *row = [x * zooms[0], y * zooms[1], z * self.handedness * zooms[2], offset];
        }
        affine
    }
}

/// Returns the vector part of the unit quaternion of a rotation, its scalar part being positive. Of the four ways to
/// get it from the matrix the one is taken that divides by the largest component (Shepperd 1978).
fn vector_of(r: &[[f64; 3]; 3]) -> [f64; 3] {
    let squares = [
        1.0 + r[0][0] + r[1][1] + r[2][2],
        1.0 + r[0][0] - r[1][1] - r[2][2],
        1.0 - r[0][0] + r[1][1] - r[2][2],
        1.0 - r[0][0] - r[1][1] + r[2][2],
    ];
    let largest = (1..4).fold(0, |best, i| if squares[best] < squares[i] { i } else { best });
    // Four times the products of the components: with the scalar, and with each other.
    let with_scalar = [r[2][1] - r[1][2], r[0][2] - r[2][0], r[1][0] - r[0][1]];
    let (xy, xz, yz) = (r[1][0] + r[0][1], r[0][2] + r[2][0], r[2][1] + r[1][2]);
    let double = squares[largest].max(0.0).sqrt();
    let [scalar, b, c, d] = match largest {
        0 => [double * double, with_scalar[0], with_scalar[1], with_scalar[2]],
        1 => [with_scalar[0], double * double, xy, xz],
        2 => [with_scalar[1], xy, double * double, yz],
        _ => [with_scalar[2], xz, yz, double * double],
    }
    .map(|x| x / (2.0 * double));
    if scalar < 0.0 { [-b, -c, -d] } else { [b, c, d] }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_rotation_with_scales_comes_back_and_a_shear_has_no_form(
            axis in prop::array::uniform3(-1.0..1.0_f64),
            turns in 0.0..0.49_f64,
            zooms in prop::array::uniform3(0.2..6.0_f64),
            mirrored: bool,
        ) {
            let length = axis.iter().map(|x| x * x).sum::<f64>().sqrt();
            prop_assume!(0.1 < length);
            let half = turns * std::f64::consts::PI;
            let vector = axis.map(|x| x / length * half.sin());
            let handedness = if mirrored { -1.0 } else { 1.0 };
            let form = QuaternionForm { vector, offset: [1.0, -20.0, 300.0], handedness };
            let affine = form.affine(zooms);
            let found = QuaternionForm::of(&affine, affine.column_lengths()).unwrap();
            prop_assert_eq!(found.handedness, handedness);
            for i in 0..3 {
                prop_assert!((found.vector[i] - vector[i]).abs() < 1e-9, "{:?} {:?}", found, vector);
            }
            let mut sheared = affine;
            for row in 0..3 {
                sheared.0[row][1] += 0.01 * affine.0[row][0] / zooms[0] * zooms[1];
            }
            prop_assert_eq!(QuaternionForm::of(&sheared, sheared.column_lengths()), None);
        }
    }

    #[test]
    fn half_turns_which_many_scanners_write_have_a_form() {
        for signs in [[-1.0, -1.0, 1.0], [-1.0, 1.0, -1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, 1.0], [-1.0; 3]] {
            let affine = Affine::scale([2.0 * signs[0], 3.0 * signs[1], 4.0 * signs[2]]);
            assert!(QuaternionForm::of(&affine, [2.0, 3.0, 4.0]).is_some(), "{signs:?}");
        }
    }
}
