//! Which values are black and which are white.

/// The values that are shown as black and as white.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Shown as black, as is everything below.
    pub low: f32,
    /// Shown as white, as is everything above.
    pub high: f32,
}

/// Most values that percentiles are looked for in; of more, evenly spaced ones are taken.
const MOST_VALUES: usize = 1 << 18;

impl Window {
    /// Returns the window from one percentile of the finite values to another, at least from the least value to the
    /// greatest where those percentiles coincide.
    pub fn percentiles(values: &[f32], from: f64, to: f64) -> Self {
        let step = values.len().div_ceil(MOST_VALUES).max(1);
        let mut sorted: Vec<f32> = values.iter().step_by(step).copied().filter(|x| x.is_finite()).collect();
        sorted.sort_unstable_by(f32::total_cmp);
        let (Some(&least), Some(&greatest)) = (sorted.first(), sorted.last()) else {
            return Self { low: 0.0, high: 1.0 };
        };
        let at = |percent: f64| {
            let index = (sorted.len() - 1) as f64 * (percent / 100.0).clamp(0.0, 1.0);
            sorted[index.round() as usize]
        };
        let (low, high) = (at(from), at(to));
        if low < high { Self { low, high } } else { Self { low: least, high: greatest } }
    }

    /// Returns the window from the percentile 0.5 to 99.5: a few hot voxels do not make everything else dark.
    pub fn robust(values: &[f32]) -> Self {
        Self::percentiles(values, 0.5, 99.5)
    }

    /// Returns the brightness of a value; nothing for what is not a number. A window without width shows grey.
    pub fn brightness(&self, value: f32) -> Option<u8> {
        if value.is_nan() {
            return None;
        }
        let width = f64::from(self.high) - f64::from(self.low);
        if width <= 0.0 || !width.is_finite() {
            return Some(128);
        }
        let part = (f64::from(value) - f64::from(self.low)) / width;
        Some((part.clamp(0.0, 1.0) * 255.0).round() as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hot_voxel_and_what_is_no_number_do_not_move_the_window() {
        let mut values: Vec<f32> = (0..1000).map(|i| i as f32 / 1000.0).collect();
        values.extend([1e9, f32::NAN, f32::INFINITY]);
        let window = Window::robust(&values);
        assert!((0.0..0.01).contains(&window.low) && (0.99..1.0).contains(&window.high), "{window:?}");
        assert_eq!(window.brightness(-5.0), Some(0));
        assert_eq!(window.brightness(1e9), Some(255));
        assert_eq!(window.brightness(f32::NAN), None);
    }

    #[test]
    fn few_voxels_that_differ_are_seen_and_a_constant_is_grey() {
        let mut values = vec![0.0; 10_000];
        values[77] = 3.0;
        assert_eq!(Window::robust(&values), Window { low: 0.0, high: 3.0 });
        assert_eq!(Window::robust(&[2.0; 9]).brightness(2.0), Some(128));
        assert_eq!(Window::robust(&[f32::NAN]), Window { low: 0.0, high: 1.0 });
        assert_eq!(Window { low: f32::MIN, high: f32::MAX }.brightness(0.0), Some(128));
    }
}
