//! How much foreground a patch may have.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// How much of a patch is foreground (any class but 0) in its labels as delivered, after all spatial transforms.
///
/// Places are drawn until one is within the bounds, and at most `tries` times; if none is, the one nearest to the bounds
/// is taken, the first of equals, and counted as a fall-back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ForegroundFraction {
    /// The least fraction; by default 0.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1)))]
    pub min: f64,
    /// The largest fraction; by default 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1)))]
    pub max: f64,
    /// How many places are tried for a patch; by default 10. Each costs the interpolation of a label patch.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1000)))]
    pub tries: u32,
}

impl Default for ForegroundFraction {
    fn default() -> Self {
        Self { min: 0.0, max: 1.0, tries: 10 }
    }
}

/// What came of asking for a fraction of foreground.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fraction {
    /// The fraction that the patch has.
    pub fraction: f64,
    /// How many places were tried.
    pub tries: u32,
    /// Whether it is within the bounds.
    pub met: bool,
}

impl ForegroundFraction {
    /// Checks the bounds and the number of tries.
    ///
    /// # Errors
    /// Names the first that cannot be.
    pub fn check(&self, key: &str) -> Result<(), Error> {
        let Self { min, max, tries } = *self;
        if !(0.0..=1.0).contains(&min) {
            return Err(Error::choice(format!("{key}.min"), "from 0 to 1", min));
        }
        if !(min..=1.0).contains(&max) {
            return Err(Error::choice(format!("{key}.max"), format!("from {min} (`min`) to 1"), max));
        }
        if !(1..=1000).contains(&tries) {
            return Err(Error::choice(format!("{key}.tries"), "from 1 to 1000", tries));
        }
        Ok(())
    }

    /// Returns which part of a label patch is foreground: any class but 0, padding included as the patch has it. 0 of none.
    pub fn of<T: Copy + Into<i64>>(labels: &[T]) -> f64 {
        let foreground = labels.iter().filter(|&&label| label.into() != 0).count();
        foreground as f64 / labels.len().max(1) as f64
    }

    /// Draws candidates until the fraction of one is within the bounds, or takes the nearest of `tries`.
    ///
    /// `candidate` is called for try 0, 1, … in order, and draws from the one stream that it holds; whether there is a
    /// further try depends on the fractions alone. What a candidate is, is the caller's: a place, or a place with the
    /// spatial transforms that go with it. A fraction that is not a number counts as infinitely far away.
    ///
    /// # Errors
    /// Passes on what `candidate` and `fraction` fail with.
    pub fn choose<T, E>(
        &self,
        mut candidate: impl FnMut(u32) -> Result<T, E>,
        mut fraction: impl FnMut(&T) -> Result<f64, E>,
    ) -> Result<(T, Fraction), E> {
        let mut rate = |candidate: &T| -> Result<(f64, f64), E> {
            let fraction = fraction(candidate)?;
            let far = (self.min - fraction).max(fraction - self.max).max(0.0);
            Ok((fraction, if fraction.is_nan() { f64::INFINITY } else { far }))
        };
        let mut best = candidate(0)?;
        let (mut of_best, mut far) = rate(&best)?;
        let mut tries = 1;
        while 0.0 < far && tries < self.tries {
            let next = candidate(tries)?;
            let (of_next, next_far) = rate(&next)?;
            tries += 1;
            if next_far < far {
                (best, of_best, far) = (next, of_next, next_far);
            }
        }
        Ok((best, Fraction { fraction: of_best, tries, met: far == 0.0 }))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use batchwright_core::Stream;

    use super::*;

    fn choose(bounds: ForegroundFraction, fractions: &[f64]) -> (usize, Fraction) {
        bounds
            .choose(|attempt| Ok::<_, Infallible>(attempt as usize), |&attempt| Ok(fractions[attempt]))
            .unwrap()
    }

    #[test]
    fn the_first_within_the_bounds_is_taken() {
        let bounds = ForegroundFraction { min: 0.1, max: 0.5, tries: 4 };
        let taken = choose(bounds, &[0.0, 0.9, 0.5, 0.2]);
        assert_eq!(taken, (2, Fraction { fraction: 0.5, tries: 3, met: true }));
        let taken = choose(ForegroundFraction::default(), &[0.0]);
        assert_eq!(taken, (0, Fraction { fraction: 0.0, tries: 1, met: true }));
    }

    #[test]
    fn without_one_the_nearest_of_bounded_tries_is_taken_and_marked() {
        let bounds = ForegroundFraction { min: 0.25, max: 0.5, tries: 5 };
        let taken = choose(bounds, &[f64::NAN, 0.75, 0.125, 0.125, 0.0, 0.3]);
        assert_eq!(taken, (2, Fraction { fraction: 0.125, tries: 5, met: false }));
    }

    #[test]
    fn tries_take_the_draws_of_one_stream_in_order() {
        let bounds = ForegroundFraction { min: 0.9, max: 1.0, tries: 100 };
        let mut stream = Stream::new(1, 0, 0, "place");
        let (place, outcome) =
            bounds.choose(|_| Ok::<_, Infallible>(stream.uniform()), |&place| Ok(place)).unwrap();
        let mut again = Stream::new(1, 0, 0, "place");
        let nth = (0..outcome.tries).map(|_| again.uniform()).last().unwrap();
        assert_eq!(nth, place);
        assert!(outcome.met && 1 < outcome.tries);
    }

    #[test]
    fn foreground_is_any_class_but_0() {
        assert_eq!(ForegroundFraction::of(&[0_u8, 3, 1, 0]), 0.5);
        assert_eq!(ForegroundFraction::of(&[-1_i16, 0, 0, 0]), 0.25);
        assert_eq!(ForegroundFraction::of::<i32>(&[]), 0.0);
    }

    #[test]
    fn an_error_ends_the_tries() {
        let bounds = ForegroundFraction { min: 1.0, ..ForegroundFraction::default() };
        assert_eq!(bounds.choose(|_| Err::<(), _>("no label"), |()| Ok(0.0)), Err("no label"));
    }

    #[test]
    fn bounds_that_cannot_be_are_named() {
        let found = |min, max, tries| {
            ForegroundFraction { min, max, tries }.check("patch.foreground_fraction").unwrap_err().to_string()
        };
        assert!(found(-0.1, 1.0, 1).contains("foreground_fraction.min"));
        assert!(found(f64::NAN, 1.0, 1).contains("foreground_fraction.min"));
        assert!(found(0.5, 0.4, 1).contains("foreground_fraction.max"));
        assert!(found(0.5, 1.5, 1).contains("foreground_fraction.max"));
        assert!(found(0.5, 1.0, 0).contains("foreground_fraction.tries"));
    }
}
