//! From stored values to those of the patch.

use super::tap::Real;
use serde::{Deserialize, Serialize};

/// What is done to interpolated stored values v: `f32(f64(v) * slope + inter)`, then clamped. Scaling of the file and
/// normalisation are folded together in it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rescale {
    /// What values are multiplied by.
    pub slope: f64,
    /// What is then added.
    pub inter: f64,
    /// The lowest and highest value that comes out.
    pub clamp: Option<[f32; 2]>,
}

impl Rescale {
    /// Values as they are stored.
    pub const IDENTITY: Self = Self { slope: 1.0, inter: 0.0, clamp: None };

    /// Returns the value of the patch for a stored one. NaN stays NaN.
    #[inline]
    pub fn apply(&self, stored: f64) -> f32 {
        self.clamped(if self.is_linear() { (stored * self.slope + self.inter) as f32 } else { stored as f32 })
    }

    /// Returns whether values stay as they are.
    pub(super) fn is_identity(&self) -> bool {
        !self.is_linear() && self.clamp.is_none()
    }

    #[inline]
    fn is_linear(&self) -> bool {
        self.slope != 1.0 || self.inter != 0.0
    }

    #[inline(always)]
    fn clamped(&self, value: f32) -> f32 {
        match self.clamp {
            Some([low, _]) if value < low => low,
            Some([_, high]) if high < value => high,
            _ => value,
        }
    }

    /// Applies it to a row.
    #[inline(always)]
    pub(super) fn finish_row<A: Real>(&self, from: &[A], to: &mut [f32]) {
        if self.is_linear() {
            for (to, from) in to.iter_mut().zip(from) {
                *to = (from.to_f64() * self.slope + self.inter) as f32;
            }
        } else {
            for (to, from) in to.iter_mut().zip(from) {
                *to = from.to_f32();
            }
        }
        if let Some([low, high]) = self.clamp {
            for to in to {
                let raised = if *to < low { low } else { *to };
                *to = if high < raised { high } else { raised };
            }
        }
    }
}
