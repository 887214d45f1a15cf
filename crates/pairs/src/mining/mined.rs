//! What was mined, as a table.

use sha2::{Digest, Sha256};

use super::bytes::{Reader, Writer};
use super::error::EmbeddingError;

/// The letters and the version a table begins with.
const MAGIC: [u8; 8] = *b"BWMINED1";

/// How much was mined, and why not more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MiningReport {
    /// The samples of the set, each of which is an anchor.
    pub anchors: u64,
    /// The anchors that have a negative.
    pub mined: u64,
    /// The negatives before the limit.
    pub found: u64,
    /// The negatives in the table.
    pub kept: u64,
    /// The anchors without any positive to compare with.
    pub without_positive: u64,
    /// The anchors without any eligible negative.
    pub without_negative: u64,
    /// The anchors whose negatives all lie outside the window of ranks.
    pub outside_window: u64,
    /// The anchors whose negatives (in the window) all lie outside the margins and bounds.
    pub outside_bounds: u64,
}

/// For every anchor a positive, by choice, and its negatives: what [`mine`](super::mine) found.
///
/// It is data a run feeds back into its batches: it can be written into a checkpoint and has a hash.
///
/// ```
/// use batchwright_pairs::Embeddings;
/// use batchwright_pairs::mining::{ByLabel, Mined, MiningOptions, mine};
///
/// let set = Embeddings::new(vec![0.0, 0.4, 1.0, 3.0], 1, vec![0, 0, 1, 1])?;
/// let mined = mine(&set, &ByLabel(set.labels()), &MiningOptions::default(), 42, 0)?;
/// assert_eq!((mined.positive(0), mined.negatives(0)), (Some(1), &[2][..]));
/// assert_eq!(Mined::from_bytes(&mined.to_bytes())?, mined);
/// # Ok::<(), batchwright_pairs::EmbeddingError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mined {
    seed: u64,
    epoch: u64,
    report: MiningReport,
    // Invariant: one an anchor, an anchor or `NONE`.
    positives: Vec<u32>,
    // Invariant: anchors + 1 ascending numbers, from 0 to the number of negatives.
    offsets: Vec<u32>,
    // Invariant: anchors, never that of their own row.
    negatives: Vec<u32>,
}

impl Mined {
    pub(super) const NONE: u32 = u32::MAX;

    pub(super) fn from_parts(
        seed: u64,
        epoch: u64,
        report: MiningReport,
        positives: Vec<u32>,
        offsets: Vec<u32>,
        negatives: Vec<u32>,
    ) -> Self {
        Self { seed, epoch, report, positives, offsets, negatives }
    }

    /// Returns the number of anchors, all samples of the set.
    pub fn anchors(&self) -> usize {
        self.positives.len()
    }

    /// Returns the seed that was drawn with.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns the epoch that was drawn for.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Returns the positive of an anchor, if it has one and one was asked for.
    ///
    /// # Panics
    /// Panics if there is no such anchor.
    pub fn positive(&self, anchor: usize) -> Option<usize> {
        let positive = self.positives[anchor];
        (positive != Self::NONE).then_some(positive as usize)
    }

    /// Returns the negatives of an anchor, the nearest (or the one drawn first) first; none where none was found.
    ///
    /// # Panics
    /// Panics if there is no such anchor.
    pub fn negatives(&self, anchor: usize) -> &[u32] {
        &self.negatives[self.offsets[anchor] as usize..self.offsets[anchor + 1] as usize]
    }

    /// Returns how much was mined, and why not more.
    pub fn report(&self) -> &MiningReport {
        &self.report
    }

    /// Writes the table: `BWMINED1`, then seed, epoch, the eight numbers of the report (as u64), the positives (2^32 - 1 for
    /// none), the offsets and the negatives (as u32), all little-endian, then the SHA-256 of all that.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { seed, epoch, report, positives, offsets, negatives } = self;
        let MiningReport {
            anchors,
            mined,
            found,
            kept,
            without_positive,
            without_negative,
            outside_window,
            outside_bounds,
        } = *report;
        let mut writer = Writer::new(MAGIC);
        for value in [
            *seed,
            *epoch,
            anchors,
            mined,
            found,
            kept,
            without_positive,
            without_negative,
            outside_window,
            outside_bounds,
        ] {
            writer.u64(value);
        }
        writer.u32s(positives.iter().chain(offsets).chain(negatives).copied());
        writer.finish()
    }

    /// Reads a table.
    ///
    /// # Errors
    /// Refuses bytes that are not exactly those of a table.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EmbeddingError> {
        let mut reader = Reader::new(bytes, MAGIC, "a table of mined pairs")?;
        let (seed, epoch) = (reader.u64()?, reader.u64()?);
        let report = MiningReport {
            anchors: reader.u64()?,
            mined: reader.u64()?,
            found: reader.u64()?,
            kept: reader.u64()?,
            without_positive: reader.u64()?,
            without_negative: reader.u64()?,
            outside_window: reader.u64()?,
            outside_bounds: reader.u64()?,
        };
        let positives = reader.u32s(report.anchors)?;
        let offsets = reader.u32s(report.anchors.saturating_add(1))?;
        let negatives = reader.u32s(report.kept)?;
        reader.end()?;
        if offsets[0] != 0 || !offsets.is_sorted() || u64::from(offsets[positives.len()]) != report.kept {
            return Err(reader.refuse("the offsets of the negatives do not ascend from 0 to their number"));
        }
        let n = positives.len() as u32;
        for (anchor, (&positive, ends)) in positives.iter().zip(offsets.windows(2)).enumerate() {
            let anchor = anchor as u32;
            let negatives = &negatives[ends[0] as usize..ends[1] as usize];
            let wrong = |other: u32| n <= other || other == anchor;
            if (positive != Self::NONE && wrong(positive)) || negatives.iter().any(|&other| wrong(other)) {
                return Err(
                    reader.refuse(format!("anchor {anchor} of {n} has itself or none of them for a partner"))
                );
            }
        }
        Ok(Self { seed, epoch, report, positives, offsets, negatives })
    }

    /// Returns the SHA-256 of the table, as 64 hexadecimal digits: that of [`Mined::to_bytes`].
    pub fn sha256(&self) -> String {
        use std::fmt::Write as _;
        Sha256::digest(self.to_bytes()).iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::distance::tests::clusters;
    use super::super::{ByLabel, MiningOptions, mine};
    use super::*;

    fn table() -> Mined {
        let set = clusters(30, 3, 9, 1.0, 1);
        let options = MiningOptions { num_negatives: 3, max_distance: Some(1.5), ..Default::default() };
        mine(&set, &ByLabel(set.labels()), &options, 5, 6).unwrap()
    }

    #[test]
    fn a_table_survives_bytes_and_every_damage_to_them_is_found() {
        let table = table();
        assert!(table.report().outside_bounds != 0 && table.report().mined != 0);
        let bytes = table.to_bytes();
        assert_eq!(Mined::from_bytes(&bytes).unwrap(), table);
        for length in 0..bytes.len() {
            assert!(Mined::from_bytes(&bytes[..length]).is_err());
            let mut damaged = bytes.clone();
            damaged[length] ^= 1;
            assert!(Mined::from_bytes(&damaged).is_err(), "byte {length}");
        }
    }

    #[test]
    fn a_table_that_is_hashed_rightly_and_wrong_is_refused() {
        let text = |table: Mined| Mined::from_bytes(&table.to_bytes()).unwrap_err().to_string();
        let mut wrong = table();
        wrong.positives[4] = 4;
        assert!(text(wrong).ends_with("anchor 4 of 30 has itself or none of them for a partner"));
        let mut wrong = table();
        wrong.negatives[0] = 30;
        assert!(text(wrong).contains("of 30 has itself or none"));
        let mut wrong = table();
        wrong.offsets[1] = 200;
        assert!(text(wrong).ends_with("the offsets of the negatives do not ascend from 0 to their number"));
        let mut wrong = table();
        wrong.report.anchors = u64::MAX;
        assert!(text(wrong).ends_with(&format!("they end before {} numbers", u64::MAX)));
        let mut wrong = table();
        wrong.negatives.push(0);
        assert!(text(wrong).ends_with("4 bytes are left over"));
    }
}
