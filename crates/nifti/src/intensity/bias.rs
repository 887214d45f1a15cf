//! The slow change of brightness over an image that a coil leaves.

use serde::{Deserialize, Serialize};

use super::PatchShape;
use super::chain::Chain;
use super::loops::{self, TERMS};
use super::options::{Draws, check_channels, check_number, check_range, options, uniform, which_channels};
use crate::Error;

options! {
    /// Multiplies the patch by e to the power of a polynomial of the place, the same for all channels:
    /// exp(sum of c x^i y^j z^k over i + j + k <= order), where x, y and z go from -1 at the middle of the first voxel to 1 at
    /// the middle of the last; 0 on an axis of one voxel. Stream `augment/bias_field`.
    pub struct BiasField {
        /// The coefficients, each drawn for itself; [-0.5, 0.5] by default.
        coefficients: [f64; 2] = [-0.5, 0.5],
        /// The order of the polynomial, from 0 to 3; 3 by default, which has 20 coefficients.
        #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 3)))]
        order: usize = 3,
    }
}

/// A bias field that was drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BiasFieldDrawn {
    /// The order of the polynomial.
    pub order: usize,
    /// The coefficients of x^i y^j z^k, by i, then j, then k.
    pub coefficients: Vec<f64>,
    /// Which channels it happens to.
    pub channels: Vec<bool>,
}

/// With coefficients up to this, a field is between e^-80 and e^80.
const MOST: f64 = 4.0;

/// The coefficients of order 3.
const MOST_TERMS: usize = 20;

/// The exponents (i, j, k), in the order of the coefficients.
fn exponents(order: usize) -> impl Iterator<Item = [usize; 3]> {
    (0..=order)
        .flat_map(move |i| (0..=order - i).flat_map(move |j| (0..=order - i - j).map(move |k| [i, j, k])))
}

/// The place of voxel `i` of `n`, from -1 to 1.
fn place(i: usize, n: usize) -> f64 {
    if n < 2 { 0.0 } else { (2.0 * i as f64 - (n - 1) as f64) / (n - 1) as f64 }
}

impl BiasField {
    pub(super) fn check(&self, key: &str) -> Result<(), Error> {
        check_range(&format!("{key}.coefficients"), self.coefficients, -MOST, MOST)?;
        check_number(&format!("{key}.order"), self.order as f64, 0.0, (TERMS - 1) as f64)
    }

    pub(super) fn draw(&self, draws: &Draws<'_>, shape: &PatchShape) -> Option<BiasFieldDrawn> {
        let mut stream = draws.stream();
        if !stream.chance(self.probability) {
            return None;
        }
        let coefficients = exponents(self.order).map(|_| uniform(&mut stream, self.coefficients)).collect();
        let channels = which_channels(&mut stream, shape, self.channel_probability)?;
        Some(BiasFieldDrawn { order: self.order, coefficients, channels })
    }
}

impl BiasFieldDrawn {
    pub(super) fn check(&self, shape: &PatchShape) -> Result<(), Error> {
        check_number("bias_field.order", self.order as f64, 0.0, (TERMS - 1) as f64)?;
        let terms = exponents(self.order).count();
        if self.coefficients.len() != terms {
            let expected = format!("{terms} numbers for order {}", self.order);
            return Err(Error::choice("bias_field.coefficients", expected, self.coefficients.len()));
        }
        for coefficient in &self.coefficients {
            check_number("bias_field.coefficients", *coefficient, -MOST, MOST)?;
        }
        check_channels("bias_field.channels", self.channels.len(), shape)
    }

    pub(super) fn run(&self, chain: &mut Chain<'_>) {
        if !self.channels[chain.channel] {
            return;
        }
        let [nx, ny, nz] = chain.shape.size;
        let (plane, scratch) = chain.voxels();
        scratch.weights.clear();
        scratch.weights.extend((0..nx).map(|i| place(i, nx) as f32));
        let mut polynomial = [(0.0, [0; 3]); MOST_TERMS];
        for (term, of) in
            polynomial.iter_mut().zip(self.coefficients.iter().copied().zip(exponents(self.order)))
        {
            *term = of;
        }
        let polynomial = &polynomial[..self.coefficients.len()];
        for (row, voxels) in plane.chunks_exact_mut(nx).enumerate() {
            let (y, z) = (place(row % ny, ny), place(row / ny, nz));
            let powers = |x: f64| [1.0, x, x * x, x * x * x];
            let (y, z) = (powers(y), powers(z));
            let mut terms = [0.0; TERMS];
            for (c, [i, j, k]) in polynomial {
                terms[*i] += c * y[*j] * z[*k];
            }
            let terms = terms.map(|term| term as f32);
            loops::bias(scratch.path, voxels, &scratch.weights, terms);
        }
    }
}
