//! What can be wrong with embeddings and with what is asked of them.

/// What [mining](crate::mining) and [metrics](crate::metrics) refuse.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddingError {
    /// The numbers do not make the rows.
    #[error("{values} numbers are not {labels} embeddings (one a label) of {dims} dimensions")]
    Size {
        /// The numbers there are.
        values: usize,
        /// The dimensions of one embedding.
        dims: usize,
        /// The labels, one an embedding.
        labels: usize,
    },
    /// More samples than an index of 32 bits can name.
    #[error("{samples} embeddings are more than the {} that can be told apart", u32::MAX)]
    TooMany {
        /// The samples.
        samples: usize,
    },
    /// A number of an embedding is not finite.
    #[error("dimension {dimension} of embedding {sample} is {value}, not a finite number")]
    NotFinite {
        /// The row.
        sample: usize,
        /// The column.
        dimension: usize,
        /// The number found.
        value: f32,
    },
    /// An embedding of length 0, which has no direction.
    #[error("embedding {sample} has length 0, so there is no cosine with it")]
    NoDirection {
        /// The row.
        sample: usize,
    },
    /// Two sets of embeddings do not have the same dimensions.
    #[error("embeddings of {found} dimensions cannot be compared with those of {expected}")]
    Dimensions {
        /// The dimensions of the references.
        expected: usize,
        /// The dimensions of the queries.
        found: usize,
    },
    /// A column does not have one value a sample.
    #[error("{found} values of {what} for {expected} samples")]
    Column {
        /// What the column says.
        what: &'static str,
        /// The samples.
        expected: usize,
        /// The values.
        found: usize,
    },
    /// Nothing to work on.
    #[error("there are no {what}")]
    Empty {
        /// What there is none of.
        what: &'static str,
    },
    /// A score is not a number.
    #[error("{what} {index} is {value}, not a finite number")]
    Score {
        /// What it is.
        what: &'static str,
        /// Which of them.
        index: usize,
        /// The number found.
        value: f32,
    },
    /// A verification without both kinds of pairs.
    #[error(
        "{same} pairs of the same and {different} of different classes: verification takes at least one of each"
    )]
    OneKind {
        /// The pairs of the same class.
        same: usize,
        /// The pairs of different classes.
        different: usize,
    },
    /// More neighbours wanted than there are.
    #[error("cannot ask {wanted} neighbours of {available} samples")]
    Neighbours {
        /// The neighbours wanted.
        wanted: usize,
        /// The samples that can be neighbours.
        available: usize,
    },
    /// No query shares its class with any reference.
    #[error("none of {queries} queries has another sample of its class among {references} references")]
    NoMatch {
        /// The queries.
        queries: usize,
        /// The references.
        references: usize,
    },
    /// No group has enough classes of enough samples for an episode.
    #[error(
        "an episode of {ways} classes takes {per_class} samples of each; at most {found} classes {of} have as many"
    )]
    Episode {
        /// The classes of an episode.
        ways: usize,
        /// The samples of each: shots and queries.
        per_class: usize,
        /// The most classes with enough samples.
        found: usize,
        /// Of what: one group, or the whole set.
        of: &'static str,
    },
    /// An option out of its range.
    #[error("{key} is {found}; it takes {expected}")]
    Choice {
        /// The key, as written.
        key: String,
        /// What it takes.
        expected: String,
        /// What was written.
        found: String,
    },
    /// Bytes that are not what they should be.
    #[error("cannot read {what} from {length} bytes: {problem}")]
    Bytes {
        /// What the bytes should hold.
        what: &'static str,
        /// How many there are.
        length: usize,
        /// What does not fit.
        problem: String,
    },
}

impl EmbeddingError {
    pub(crate) fn choice(
        key: impl Into<String>,
        expected: impl Into<String>,
        found: impl std::fmt::Display,
    ) -> Self {
        Self::Choice { key: key.into(), expected: expected.into(), found: found.to_string() }
    }
}
