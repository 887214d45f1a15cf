//! `data.pairs:` and `data.triplets:` which samples stand together.

use std::path::PathBuf;

use batchwright_pairs as pairs;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `data.pairs:` batches of pairs, with the fields `a`, `b` and `same`.
///
/// Every sample that has a positive and a negative stands first in one pair of an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pairs {
    /// The share of positive pairs, exact over an epoch.
    #[schemars(range(min = 0, max = 1))]
    pub positives: f64,
    /// Which two samples are a positive pair: facts they share, and facts in which they differ. `class` is the class, `index`
    /// the sample itself: `{ same: [index] }` is two views of one sample.
    pub positive: pairs::Rule,
    /// Which two samples are a negative pair.
    pub negative: pairs::Rule,
    /// Whether negatives are `uniform` over samples, or `by_class`: over classes first.
    pub negatives: pairs::Draw,
    /// A table of the pairs to take instead (columns `a`, `b` and `same` or `score`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<PathBuf>,
    /// How the list names samples: by their `id` (the path of a file, the name of a row), or by their `index`.
    pub listed_by: pairs::ListedBy,
    /// Whether the two are varied each by itself (`independent`) or alike (`shared`).
    pub parts: pairs::Parts,
    /// Where in their volumes the two are taken: by default each at a place of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub places: Option<pairs::Places>,
    /// Whether pairs of validation and test are varied as those of training are: for views of one sample, which otherwise are
    /// equal. Their draws are those of epoch 0 at every validation.
    pub augment_validation: bool,
    /// Negatives (and positives) chosen by the embeddings of the network that is trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mining: Option<pairs::RefreshOptions>,
}

impl Default for Pairs {
    fn default() -> Self {
        let pairs::PairOptions { positives, positive, negative, negatives } = pairs::PairOptions::default();
        Self {
            positives,
            positive,
            negative,
            negatives,
            list: None,
            listed_by: pairs::ListedBy::default(),
            parts: pairs::Parts::default(),
            places: None,
            augment_validation: false,
            mining: None,
        }
    }
}

/// `data.triplets:` batches of triplets, with the fields `anchor`, `positive` and `negative`.
///
/// Every sample that has a positive and a negative is the anchor of one triplet of an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Triplets {
    /// Which sample is like an anchor: facts they share, and facts in which they differ. `class` is the class, `index` the
    /// sample itself: `{ same: [index] }` is a second view of it.
    pub positive: pairs::Rule,
    /// Which sample is unlike an anchor.
    pub negative: pairs::Rule,
    /// Whether negatives are `uniform` over samples, or `by_class`: over classes first.
    pub negatives: pairs::Draw,
    /// A table of the triplets to take instead (columns `anchor`, `positive` and `negative`, samples by their names or
    /// numbers).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<PathBuf>,
    /// How the list names samples: by their `id` (the path of a file, the name of a row), or by their `index`.
    pub listed_by: pairs::ListedBy,
    /// Whether the three are varied each by itself (`independent`) or alike (`shared`).
    pub parts: pairs::Parts,
    /// Where in their volumes the three are taken: by default each at a place of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub places: Option<pairs::Places>,
    /// Whether triplets of validation and test are varied as those of training are. Their draws are those of epoch 0 at every
    /// validation.
    pub augment_validation: bool,
    /// Negatives (and positives) chosen by the embeddings of the network that is trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mining: Option<pairs::RefreshOptions>,
}

impl Default for Triplets {
    fn default() -> Self {
        let pairs::TripletOptions { positive, negative, negatives } = pairs::TripletOptions::default();
        Self {
            positive,
            negative,
            negatives,
            list: None,
            listed_by: pairs::ListedBy::default(),
            parts: pairs::Parts::default(),
            places: None,
            augment_validation: false,
            mining: None,
        }
    }
}

/// Which samples stand together, if any do.
#[derive(Clone, Debug, PartialEq)]
pub enum Pairing {
    /// Pairs.
    Pairs(Box<Pairs>),
    /// Triplets.
    Triplets(Box<Triplets>),
}

impl Pairing {
    /// Returns the key in `data:`.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Pairs(_) => "pairs",
            Self::Triplets(_) => "triplets",
        }
    }

    /// Returns how partners are mined, if they are.
    pub fn mining(&self) -> Option<&pairs::RefreshOptions> {
        match self {
            Self::Pairs(pairs) => pairs.mining.as_ref(),
            Self::Triplets(triplets) => triplets.mining.as_ref(),
        }
    }

    /// Returns the table of tuples, if they are listed.
    pub fn list(&self) -> Option<&PathBuf> {
        match self {
            Self::Pairs(pairs) => pairs.list.as_ref(),
            Self::Triplets(triplets) => triplets.list.as_ref(),
        }
    }

    /// Returns where in their volumes samples are taken together.
    pub fn places(&self) -> Option<pairs::Places> {
        match self {
            Self::Pairs(pairs) => pairs.places,
            Self::Triplets(triplets) => triplets.places,
        }
    }

    /// Returns whether tuples of validation and test are varied.
    pub fn augments_validation(&self) -> bool {
        match self {
            Self::Pairs(pairs) => pairs.augment_validation,
            Self::Triplets(triplets) => triplets.augment_validation,
        }
    }
}
