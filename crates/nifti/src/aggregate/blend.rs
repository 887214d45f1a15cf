//! How much each voxel of a patch counts where patches lie over each other.

use batchwright_core::math;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// How much each voxel of a patch counts where patches lie over each other: the product of a weight for each axis.
///
/// For voxel i of s on an axis, with its distance d = i - (s - 1) / 2 from the middle:
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Blend {
    /// All count the same: 1. The default.
    #[default]
    Constant,
    /// `exp(-d^2 / (2 (f s)^2))`; the number is f, the standard deviation in parts of the patch's size. 0.125 is usual
    /// (MONAI, nnU-Net). No weight is taken below e^-80.
    Gaussian(#[cfg_attr(feature = "schema", schemars(range(min = 0.001, max = 1000)))] f64),
    /// `sin^2(pi (i + 1) / (s + 1))`: Hann's window, less its zeros at the ends.
    Hann,
}

impl Blend {
    /// The usual Gaussian: a standard deviation of an eighth of the patch's size.
    pub const GAUSSIAN: Self = Self::Gaussian(0.125);

    /// Checks the standard deviation.
    ///
    /// # Errors
    /// Names the key.
    pub fn check(&self, key: &str) -> Result<(), Error> {
        match self {
            Self::Gaussian(sigma) if !(0.001..=1000.0).contains(sigma) => {
                Err(Error::choice(format!("{key}.gaussian"), "from 0.001 to 1000", sigma))
            }
            _ => Ok(()),
        }
    }

    /// Returns the weights of the voxels of an axis, all above 0 and at most 1.
    pub fn weights(&self, size: usize) -> Vec<f32> {
        let s = size as f64;
        (0..size)
            .map(|i| match self {
                Self::Constant => 1.0,
                Self::Gaussian(sigma) => {
                    let far = (i as f64 - (s - 1.0) / 2.0) / (sigma * s);
                    // As a whole number of halves is exact, both ends of the window are alike.
                    math::exp((-0.5 * far * far).max(-80.0) as f32)
                }
                Self::Hann => {
                    // From the nearer end, where the sine is small and relatively exact; both ends are alike.
                    let nearer = (i + 1).min(size - i) as f64;
                    let (sine, _) = math::sin_cos_turns((0.5 * nearer / (s + 1.0)) as f32);
                    (sine * sine).max(f32::MIN_POSITIVE)
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    pub(in crate::aggregate) struct Window {
        size: usize,
        blend: Blend,
        weights: Vec<f64>,
    }

    #[test]
    fn windows_are_those_of_numpy() {
        let windows: Vec<Window> =
            serde_json::from_str(include_str!("../../tests/fixtures/aggregate/windows.json")).unwrap();
        assert_eq!(windows.len(), 24);
        for Window { size, blend, weights } in windows {
            let ours = blend.weights(size);
            assert_eq!(ours.len(), weights.len());
            for (i, (&ours, &expected)) in ours.iter().zip(&weights).enumerate() {
                // The argument is rounded to f32 (relative 2^-24, up to 80 in the exponent).
                let apart = (f64::from(ours) - expected).abs() / expected;
                assert!(apart < 6e-6, "{blend:?} {size}, voxel {i}: {ours} and {expected}");
            }
        }
    }

    #[test]
    fn weights_are_symmetric_and_above_zero() {
        for blend in
            [Blend::Constant, Blend::GAUSSIAN, Blend::Gaussian(0.001), Blend::Gaussian(1e3), Blend::Hann]
        {
            for size in [1, 2, 3, 8, 97, 5000] {
                let weights = blend.weights(size);
                assert!(weights.iter().all(|&w| 0.0 < w && w <= 1.0), "{blend:?} {size}");
                assert!(weights.iter().eq(weights.iter().rev()), "{blend:?} {size}");
                assert!(weights[..size.div_ceil(2)].is_sorted(), "{blend:?} {size}");
            }
        }
    }

    #[test]
    fn a_blend_is_a_word_or_a_standard_deviation() {
        let read = |text| serde_json::from_str::<Blend>(text).unwrap();
        assert_eq!(read("\"hann\""), Blend::Hann);
        assert_eq!(read(r#"{ "gaussian": 0.125 }"#), Blend::GAUSSIAN);
        assert!(Blend::Gaussian(0.0).check("blend").is_err());
        assert!(Blend::Gaussian(f64::NAN).check("blend").is_err());
        assert!(Blend::GAUSSIAN.check("blend").is_ok());
    }
}
