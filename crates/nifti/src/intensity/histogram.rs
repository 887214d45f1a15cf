//! A random curve that intensities are sent through.

use serde::{Deserialize, Serialize};

use super::PatchShape;
use super::chain::{Chain, Op};
use super::loops::POINTS;
use super::options::{Draws, check_channels, check_number, options, per_channel};
use crate::Error;

options! {
    /// Sends the intensities of each channel, between its least and its greatest, through a piecewise linear curve that rises
    /// everywhere and keeps both ends. From the lower end on, each inner point of the identity is moved to a place uniform
    /// between the point before, where it is now, and the point after. Stream `augment/histogram_shift`.
    pub struct HistogramShift {
        /// The points of the curve with both ends, from 2 to 64; 10 by default.
        #[cfg_attr(feature = "schema", schemars(range(min = 2, max = 64)))]
        points: usize = 10,
    }
}

/// Curves that were drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistogramShiftDrawn {
    /// For each channel the values of its curve at equal distances, where 0 is the least intensity of the channel and 1 the
    /// greatest; none where it is left as it is.
    pub channels: Vec<Option<Vec<f64>>>,
}

fn check_points(key: &str, points: usize) -> Result<(), Error> {
    check_number(key, points as f64, 2.0, POINTS as f64)
}

impl HistogramShift {
    pub(super) fn check(&self, key: &str) -> Result<(), Error> {
        check_points(&format!("{key}.points"), self.points)
    }

    pub(super) fn draw(&self, draws: &Draws<'_>, shape: &PatchShape) -> Option<HistogramShiftDrawn> {
        let mut stream = draws.stream();
        if !stream.chance(self.probability) {
            return None;
        }
        let last = self.points - 1;
        let channels = per_channel(&mut stream, shape, self.channel_probability, |stream, _| {
            let mut curve: Vec<f64> = (0..=last).map(|i| i as f64 / last as f64).collect();
            for i in 1..last {
                curve[i] = stream.uniform_in(curve[i - 1], curve[i + 1]);
            }
            curve
        })?;
        Some(HistogramShiftDrawn { channels })
    }
}

impl HistogramShiftDrawn {
    pub(super) fn check(&self, shape: &PatchShape) -> Result<(), Error> {
        for curve in self.channels.iter().flatten() {
            check_points("histogram_shift.channels", curve.len())?;
            for value in curve {
                check_number("histogram_shift.channels", *value, 0.0, 1.0)?;
            }
        }
        check_channels("histogram_shift.channels", self.channels.len(), shape)
    }

    pub(super) fn run(&self, chain: &mut Chain<'_>) {
        let Some(curve) = &self.channels[chain.channel] else { return };
        let last = curve.len() - 1;
        if curve.iter().enumerate().all(|(i, &value)| value == i as f64 / last as f64) {
            return;
        }
        let before = chain.moments();
        let range = before.maximum() - before.minimum();
        let scale = last as f32 / range;
        if !(0.0 < range && range.is_finite() && scale.is_finite()) {
            return;
        }
        let mut points = Box::new([0.0; POINTS]);
        for (point, &value) in points.iter_mut().zip(curve) {
            *point = value as f32;
        }
        chain.push(Op::Curve { low: before.minimum(), scale, range, points, last });
    }
}
