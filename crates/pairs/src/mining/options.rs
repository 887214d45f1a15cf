//! What a user says about mining.

use serde::{Deserialize, Serialize};

use super::distance::Distance;
use super::error::EmbeddingError;

/// Which negatives an anchor gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Negatives {
    /// The nearest (default).
    #[default]
    Hard,
    /// The nearest that are farther than the positive, by less than `margin`.
    SemiHard {
        /// How much farther than the positive a negative may be, in units of the distance.
        #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
        margin: f64,
    },
    /// Drawn with weights against the density of distances between random points of a sphere, so that all distances come
    /// up (Wu, Manmatha, Smola and Krähenbühl 2017, "Sampling matters in deep embedding learning", equation 3). Embeddings are
    /// scaled to length 1 first.
    DistanceWeighted {
        /// Distances below this are taken for this, which bounds the weights (0.5 in the paper).
        #[serde(default = "default_cutoff")]
        #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 2)))]
        cutoff: f64,
        /// Negatives at this distance or farther are not drawn, as they make no loss (1.4 in the paper).
        #[serde(default = "default_nonzero_loss_cutoff")]
        #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 2)))]
        nonzero_loss_cutoff: f64,
    },
}

fn default_cutoff() -> f64 {
    0.5
}

fn default_nonzero_loss_cutoff() -> f64 {
    1.4
}

/// How negatives are taken from the candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Take {
    /// The nearest of them (default).
    #[default]
    Top,
    /// Uniformly drawn ones, without replacement.
    Random,
}

/// Which positive an anchor gets, and is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Positive {
    /// The farthest (default).
    #[default]
    Hardest,
    /// The nearest.
    Nearest,
    /// A uniformly drawn one.
    Random,
    /// None: only for `hard` and `distance_weighted` negatives without margins.
    None,
}

/// Mining of negatives over a whole set of embeddings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default, rename_all = "snake_case")]
pub struct MiningOptions {
    /// The distance: `euclidean` (default), `squared_euclidean` or `cosine`.
    pub distance: Distance,
    /// Which negatives: `hard` (default), `semi_hard: { margin: … }` or `distance_weighted: { … }`.
    pub negatives: Negatives,
    /// Which positive each anchor is given and compared with: `hardest` (default), `nearest`, `random` or `none`.
    pub positive: Positive,
    /// Negatives of each anchor, at most (default 1).
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub num_negatives: usize,
    /// How many of the nearest negatives to pass over (default 0): the nearest may be wrongly labelled.
    pub range_min: usize,
    /// How many of the nearest negatives to look at, those passed over included (default: all).
    pub range_max: Option<usize>,
    /// Keeps negatives that are farther than the positive by at least this, in units of the distance (default: no such bound).
    pub absolute_margin: Option<f64>,
    /// Keeps negatives whose distance is at least that of the positive times 1 plus this (default: no such bound).
    pub relative_margin: Option<f64>,
    /// Keeps negatives at this distance or farther (default: no such bound).
    pub min_distance: Option<f64>,
    /// Keeps negatives at this distance or nearer (default: no such bound).
    pub max_distance: Option<f64>,
    /// How negatives are taken from those that are kept: `top` (the nearest, default) or `random`. Not for
    /// `distance_weighted`, which draws by its weights.
    pub strategy: Take,
    /// Negatives of all anchors together, at most (default: no limit). The first of each anchor come before the second of
    /// any; which anchors have the last ones is drawn.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub limit: Option<u64>,
}

impl Default for MiningOptions {
    fn default() -> Self {
        Self {
            distance: Distance::Euclidean,
            negatives: Negatives::Hard,
            positive: Positive::Hardest,
            num_negatives: 1,
            range_min: 0,
            range_max: None,
            absolute_margin: None,
            relative_margin: None,
            min_distance: None,
            max_distance: None,
            strategy: Take::Top,
            limit: None,
        }
    }
}

impl MiningOptions {
    /// Checks the ranges, and that the choices go together; `key` is where the options stand.
    pub fn check(&self, key: &str) -> Result<(), EmbeddingError> {
        let Self {
            distance: _,
            negatives,
            positive,
            num_negatives,
            range_min,
            range_max,
            absolute_margin,
            relative_margin,
            min_distance,
            max_distance,
            strategy,
            limit,
        } = self;
        let refuse = |name: &str, expected: String, found: String| {
            Err(EmbeddingError::choice(format!("{key}.{name}"), expected, found))
        };
        if *num_negatives == 0 {
            return refuse("num_negatives", "a whole number of at least 1".to_owned(), "0".to_owned());
        }
        if let Some(range_max) = range_max
            && range_max <= range_min
        {
            let expected = format!("more than {range_min} (`range_min`)");
            return refuse("range_max", expected, range_max.to_string());
        }
        for (name, value) in [
            ("absolute_margin", absolute_margin),
            ("relative_margin", relative_margin),
            ("min_distance", min_distance),
            ("max_distance", max_distance),
        ] {
            if let Some(value) = value
                && !(value.is_finite() && 0.0 <= *value)
            {
                return refuse(name, "a finite number of at least 0".to_owned(), value.to_string());
            }
        }
        if let (Some(min), Some(max)) = (min_distance, max_distance)
            && max < min
        {
            return refuse("max_distance", format!("at least {min} (`min_distance`)"), max.to_string());
        }
        match negatives {
            Negatives::Hard => {}
            Negatives::SemiHard { margin } if margin.is_finite() && 0.0 < *margin => {}
            Negatives::SemiHard { margin } => {
                let expected = "a finite number above 0".to_owned();
                return refuse("negatives.semi_hard.margin", expected, margin.to_string());
            }
            Negatives::DistanceWeighted { cutoff, nonzero_loss_cutoff } => {
                if !(0.0 < *cutoff && *cutoff < 2.0) {
                    let expected = "a number between 0 and 2".to_owned();
                    return refuse("negatives.distance_weighted.cutoff", expected, cutoff.to_string());
                }
                if !(*cutoff < *nonzero_loss_cutoff && *nonzero_loss_cutoff <= 2.0) {
                    return refuse(
                        "negatives.distance_weighted.nonzero_loss_cutoff",
                        format!("above {cutoff} (`cutoff`), at most 2"),
                        nonzero_loss_cutoff.to_string(),
                    );
                }
                if *strategy == Take::Random {
                    let expected = "`top` (not written) with `distance_weighted`, which draws by its weights";
                    return refuse("strategy", expected.to_owned(), "`random`".to_owned());
                }
            }
        }
        if *positive == Positive::None && self.compares() {
            let expected = "a positive to compare with, for `semi_hard` and margins";
            return refuse("positive", expected.to_owned(), "`none`".to_owned());
        }
        if *limit == Some(0) {
            return refuse("limit", "a whole number of at least 1".to_owned(), "0".to_owned());
        }
        Ok(())
    }

    /// Returns whether negatives are compared with the positive.
    pub(crate) fn compares(&self) -> bool {
        matches!(self.negatives, Negatives::SemiHard { .. })
            || self.absolute_margin.is_some()
            || self.relative_margin.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_they_are_written() {
        let text = r#"{"negatives": {"distance_weighted": {}}, "distance": "cosine", "num_negatives": 3}"#;
        let options: MiningOptions = serde_json::from_str(text).unwrap();
        let negatives = Negatives::DistanceWeighted { cutoff: 0.5, nonzero_loss_cutoff: 1.4 };
        let wanted =
            MiningOptions { negatives, distance: Distance::Cosine, num_negatives: 3, ..Default::default() };
        assert_eq!(options, wanted);
        assert_eq!(options.check("mining"), Ok(()));
        let semi = serde_json::to_string(&Negatives::SemiHard { margin: 0.5 }).unwrap();
        assert_eq!(semi, r#"{"semi_hard":{"margin":0.5}}"#);
        assert_eq!(serde_json::from_str::<Negatives>("\"hard\"").unwrap(), Negatives::Hard);
        assert!(serde_json::from_str::<MiningOptions>(r#"{"negative": "hard"}"#).is_err());
    }

    #[test]
    fn options_that_do_not_go_together_are_refused_by_key() {
        let base = MiningOptions::default;
        let weighted =
            |cutoff, nonzero_loss_cutoff| Negatives::DistanceWeighted { cutoff, nonzero_loss_cutoff };
        for (options, text) in [
            (
                MiningOptions { num_negatives: 0, ..base() },
                "m.num_negatives is 0; it takes a whole number of at least 1",
            ),
            (
                MiningOptions { range_min: 3, range_max: Some(3), ..base() },
                "m.range_max is 3; it takes more than 3 (`range_min`)",
            ),
            (
                MiningOptions { min_distance: Some(f64::NAN), ..base() },
                "m.min_distance is NaN; it takes a finite number of at least 0",
            ),
            (
                MiningOptions { min_distance: Some(2.0), max_distance: Some(1.0), ..base() },
                "m.max_distance is 1; it takes at least 2 (`min_distance`)",
            ),
            (
                MiningOptions { negatives: Negatives::SemiHard { margin: 0.0 }, ..base() },
                "m.negatives.semi_hard.margin is 0; it takes a finite number above 0",
            ),
            (
                MiningOptions { negatives: weighted(0.0, 1.0), ..base() },
                "m.negatives.distance_weighted.cutoff is 0; it takes a number between 0 and 2",
            ),
            (
                MiningOptions { negatives: weighted(1.0, 1.0), ..base() },
                "m.negatives.distance_weighted.nonzero_loss_cutoff is 1; it takes above 1 (`cutoff`), at most 2",
            ),
            (
                MiningOptions { negatives: weighted(0.5, 1.4), strategy: Take::Random, ..base() },
                "m.strategy is `random`; it takes `top` (not written) with `distance_weighted`, which draws by its weights",
            ),
            (
                MiningOptions { positive: Positive::None, relative_margin: Some(0.1), ..base() },
                "m.positive is `none`; it takes a positive to compare with, for `semi_hard` and margins",
            ),
            (
                MiningOptions { limit: Some(0), ..base() },
                "m.limit is 0; it takes a whole number of at least 1",
            ),
        ] {
            assert_eq!(options.check("m").unwrap_err().to_string(), text);
        }
    }
}
