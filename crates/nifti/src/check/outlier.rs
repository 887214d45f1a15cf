//! How far a value is from the others.

/// Median and robust spread of some values.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    pub(super) median: f64,
    /// 1.4826 times the median absolute deviation, which for a normal distribution is its standard deviation; or the floor.
    scale: f64,
}

impl Spread {
    /// Finds median and spread; the spread is at least `floor` of the median. Of no values there are none.
    pub(super) fn of(mut values: Vec<f64>, floor: impl Fn(f64) -> f64) -> Option<Self> {
        let median = median(&mut values)?;
        let mut apart: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
        let scale = (1.4826 * self::median(&mut apart)?).max(floor(median));
        Some(Self { median, scale })
    }

    /// Returns how many spreads a value is from the median.
    pub(super) fn distance(&self, value: f64) -> f64 {
        if value == self.median { 0.0 } else { (value - self.median).abs() / self.scale }
    }
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len().is_multiple_of(2) { f64::midpoint(values[middle - 1], upper) } else { upper })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_far_off_moves_neither_median_nor_spread_and_equal_values_are_spread_by_the_floor() {
        let spread = Spread::of(vec![1.0, 2.0, 3.0, 4.0, 1e9], |_| 0.0).unwrap();
        assert_eq!((spread.median, spread.distance(3.0)), (3.0, 0.0));
        assert!((spread.distance(4.0) - 1.0 / 1.4826).abs() < 1e-12);
        let spread = Spread::of(vec![2.0, 2.0, 2.0, 2.0, 5.0], |median| 0.1 * median).unwrap();
        assert!((spread.distance(5.0) - 15.0).abs() < 1e-12);
        assert!(Spread::of(Vec::new(), |_| 0.0).is_none());
        assert_eq!(Spread::of(vec![1.0, 2.0], |_| 1.0).unwrap().median, 1.5);
    }
}
