//! How often volumes are inflated under a budget, worked out before anything is read.

use std::fmt;

/// In which order an epoch visits the patches of volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeOrder {
    /// One volume after the other, all its patches in a row.
    Sequential,
    /// All patches of all volumes, shuffled together (`shuffle: true`).
    Shuffled,
    /// The patches of so many volumes at a time, shuffled together (`shuffle: { window: N }`).
    Windowed {
        /// How many volumes.
        volumes: usize,
    },
}

/// How often each volume is inflated, and what would make that once an epoch.
///
/// ```
/// use batchwright_nifti::{Inflations, VolumeOrder};
/// let gib = 1 << 30;
/// let inflations = Inflations::new(VolumeOrder::Shuffled, 4 * gib, &vec![gib / 4; 64], 8, 2);
/// assert_eq!(inflations.advice, Some(14));
/// assert_eq!(
///     inflations.to_string(),
///     "64 decoded volumes take 16 GiB, the cache holds 4 GiB: in this order each volume will be inflated about 6.2 times an \
///      epoch; `shuffle: { window: 14 }` would make that once"
/// );
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Inflations {
    /// How many volumes there are.
    pub volumes: usize,
    /// The bytes of all of them, decoded.
    pub bytes: u64,
    /// The budget that they are held against.
    pub budget: u64,
    /// How often each volume is inflated in an epoch, on average, after the first; 0 where all fit.
    pub per_epoch: f64,
    /// The `N` of `shuffle: { window: N }` (in volumes) that makes it at most once an epoch, where this order does not.
    pub advice: Option<usize>,
}

/// A window of so many volumes is as good as a full shuffle for most sets; a larger one only takes memory.
const MOST_WINDOW: usize = 16;

impl Inflations {
    /// Works it out for volumes of `sizes` bytes (decoded), `per_volume` patches of each in an epoch, and `workers` that
    /// read at a time.
    ///
    /// The figure for a full shuffle is what to expect of many volumes of equal size where the longest unused leaves. With
    /// the share `a` of the volumes missing from the cache, a patch after another of the same epoch misses its volume with
    /// probability `a`: as many other volumes come between two of k patches as keep them apart, and the gap between
    /// them has the distribution `(1 - gap)^k`. The first of an epoch looks back over two shuffles, which makes it `a (1 - ln a)`.
    /// In windows, the first patch of a volume is taken to miss. The order is not run.
    pub fn new(order: VolumeOrder, budget: u64, sizes: &[u64], per_volume: usize, workers: usize) -> Self {
        let bytes = sizes.iter().fold(0_u64, |sum, &size| sum.saturating_add(size));
        let largest = sizes.iter().copied().max().unwrap_or(0).max(1);
        let patches = per_volume as f64;
        // While the last patches of one window are read, the first of the next come.
        let held = usize::try_from(budget / largest).unwrap_or(usize::MAX);
        let fitting = held.saturating_sub(workers);
        let within = |volumes: usize| {
            let among = volumes.min(sizes.len()) as f64 * bytes as f64 / sizes.len().max(1) as f64;
            // The first of a volume's patches in its window always inflates it.
            let missed = (1.0 - budget as f64 / among).max(0.0);
            1.0 + (patches - 1.0) * missed
        };
        let shuffled = || {
            let missing = 1.0 - budget as f64 / bytes as f64;
            (patches - 1.0) * missing + missing * (1.0 - missing.ln())
        };
        let per_epoch = if bytes <= budget || per_volume == 0 {
            0.0
        } else {
            match order {
                VolumeOrder::Sequential => 1.0,
                VolumeOrder::Windowed { volumes } if volumes < sizes.len() => within(volumes),
                VolumeOrder::Shuffled | VolumeOrder::Windowed { .. } => shuffled(),
            }
        };
        // Patches in a row need no more than what workers hold, which the budget does not limit.
        let window = fitting.clamp(1, MOST_WINDOW);
        let advice = (1.0 < per_epoch - 1e-9 && window < sizes.len()).then_some(window);
        Self { volumes: sizes.len(), bytes, budget, per_epoch, advice }
    }

    /// Returns whether each volume is inflated at most once in the whole run.
    pub fn is_once(&self) -> bool {
        self.per_epoch == 0.0
    }
}

impl fmt::Display for Inflations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { volumes, bytes, budget, per_epoch, advice } = self;
        write!(f, "{volumes} decoded volumes take {}, the cache holds {}: ", Bytes(*bytes), Bytes(*budget))?;
        if self.is_once() {
            return f.write_str("each volume will be inflated once");
        }
        write!(f, "in this order each volume will be inflated about {per_epoch:.1} times an epoch")?;
        match advice {
            Some(window) => write!(f, "; `shuffle: {{ window: {window} }}` would make that once"),
            None => Ok(()),
        }
    }
}

/// A number of bytes in the largest unit that leaves at least one, with up to one decimal.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
        match units.iter().find(|(_, bits)| 1 << bits <= self.0) {
            None => write!(f, "{} B", self.0),
            Some((unit, bits)) => {
                let tenths = (self.0 as f64 / f64::from(1_u32 << (bits - 10)) / 1024.0 * 10.0).round() / 10.0;
                write!(f, "{tenths} {unit}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use batchwright_core::{Sampler, Sequential, Shuffled, Windowed};

    use super::*;

    /// Runs epochs of a sampler against a cache of so many equal volumes, and returns the inflations of each in an epoch
    /// after the first.
    fn run(sampler: &dyn Sampler, volumes: usize, per_volume: usize, held: usize) -> f64 {
        let epochs = 6;
        // The longest unused is first.
        let mut cache: Vec<u64> = Vec::new();
        let mut inflated = 0;
        for epoch in 0..=epochs {
            let order = sampler.order(7, epoch);
            for position in 0..sampler.len() {
                let volume = order.at(position) / per_volume as u64;
                match cache.iter().position(|&held| held == volume) {
                    Some(at) => drop(cache.remove(at)),
                    None => inflated += u64::from(0 < epoch),
                }
                cache.push(volume);
                if held < cache.len() {
                    cache.remove(0);
                }
            }
        }
        inflated as f64 / epochs as f64 / volumes as f64
    }

    #[test]
    fn the_estimate_is_what_happens_with_the_samplers_of_core() {
        let mut cases = 0;
        for (volumes, per_volume, held) in
            [(64, 8, 16), (64, 8, 48), (100, 2, 30), (100, 1, 50), (40, 16, 2), (200, 4, 150), (30, 4, 30)]
        {
            let samples = volumes * per_volume;
            let sizes = vec![10; volumes];
            let estimate = |order| Inflations::new(order, 10 * held as u64, &sizes, per_volume, 1).per_epoch;
            let windowed = |window| Windowed::new(samples, per_volume, window).unwrap();
            let mut check = |order, sampler: &dyn Sampler| {
                let (expected, found) = (estimate(order), run(sampler, volumes, per_volume, held));
                // An epoch finds some of what the one before left; the estimate leaves that out where it is small.
                let tolerance = 0.12 * expected.max(found) + 0.12;
                assert!(
                    (expected - found).abs() <= tolerance
                        || order != VolumeOrder::Shuffled && found <= expected,
                    "{order:?} {volumes} {per_volume} {held}: {expected} {found}"
                );
                cases += 1;
            };
            check(VolumeOrder::Sequential, &Sequential::new(samples));
            check(VolumeOrder::Shuffled, &Shuffled::new(samples));
            for volumes in [1, 4, 16, 1000] {
                check(VolumeOrder::Windowed { volumes }, &windowed(volumes));
            }
        }
        assert_eq!(cases, 42);
    }

    #[test]
    fn advice_is_given_where_it_helps_and_holds() {
        let sizes = vec![10; 64];
        let order = VolumeOrder::Shuffled;
        for (budget, workers, expected) in
            [(160, 2, Some(14)), (500, 4, Some(16)), (30, 2, Some(1)), (0, 8, Some(1)), (640, 2, None)]
        {
            let inflations = Inflations::new(order, budget, &sizes, 8, workers);
            assert_eq!(inflations.advice, expected, "{budget}");
            if let Some(volumes) = inflations.advice.filter(|_| 0 < budget) {
                let windowed = VolumeOrder::Windowed { volumes };
                let inflations = Inflations::new(windowed, budget, &sizes, 8, workers);
                assert_eq!((inflations.per_epoch, inflations.advice), (1.0, None));
                let run = run(&Windowed::new(512, 8, volumes).unwrap(), 64, 8, budget as usize / 10);
                assert!(run <= 1.0, "{run}");
            }
        }
        // One patch of each: no order saves anything. None at all: nothing to say.
        assert_eq!(Inflations::new(order, 160, &sizes, 1, 2).advice, None);
        assert_eq!(Inflations::new(order, 160, &sizes, 0, 2).advice, None);
        assert!(Inflations::new(order, 160, &[], 8, 2).is_once());
        assert_eq!(Inflations::new(VolumeOrder::Sequential, 0, &sizes, 8, 2).advice, None);
    }

    #[test]
    fn what_is_said_names_the_line_to_add() {
        let shuffled = Inflations::new(VolumeOrder::Shuffled, 1536, &[1 << 20; 8], 4, 1);
        assert_eq!(
            shuffled.to_string(),
            "8 decoded volumes take 8 MiB, the cache holds 1.5 KiB: in this order each volume will be inflated about 4.0 \
             times an epoch; `shuffle: { window: 1 }` would make that once"
        );
        let all = Inflations::new(VolumeOrder::Shuffled, 1 << 40, &[100; 8], 4, 1);
        assert_eq!(
            all.to_string(),
            "8 decoded volumes take 800 B, the cache holds 1 TiB: each volume will be inflated once"
        );
    }
}
