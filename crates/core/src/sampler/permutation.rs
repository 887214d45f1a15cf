//! A random permutation in random access.

use std::sync::Arc;

use crate::random::Stream;

/// Below this many elements a permutation is a list, exactly uniform.
const LIST_BELOW: u64 = 1 << 16;
/// Rounds of the Feistel network: each half of an index is replaced this many times by two.
const ROUNDS: usize = 12;

/// A random permutation of 0..n, drawn from a stream.
///
/// Below 65,536 elements it is a list shuffled by Fisher and Yates, exactly uniform. From there on it is a Feistel
/// network of 12 rounds over the bits of an index, whose round keys are drawn from the stream; results beyond n are
/// sent through again until they are below it ("cycle walking": fewer than two passes on average, since the
/// network's domain is less than 2n). It then takes no memory, whatever n, and any position costs the same.
#[derive(Clone, Debug)]
pub struct Permutation(Kind);

#[derive(Clone, Debug)]
enum Kind {
    List(Arc<[u16]>),
    Network(Network),
}

impl Permutation {
    /// Draws a permutation of 0..`n`.
    pub fn new(n: u64, stream: &mut Stream) -> Self {
        if n < LIST_BELOW {
            let mut list: Vec<u16> = (0..n as u16).collect();
            stream.shuffle(&mut list);
            Self(Kind::List(list.into()))
        } else {
            Self(Kind::Network(Network::new(n, stream)))
        }
    }

    /// Returns the element at `position`.
    ///
    /// # Panics
    /// Panics if `position` is not below n.
    #[inline]
    pub fn at(&self, position: u64) -> u64 {
        match &self.0 {
            Kind::List(list) => u64::from(list[position as usize]),
            Kind::Network(network) => network.forward(position),
        }
    }

    /// Returns the position of `element`; for a list by searching it.
    ///
    /// # Panics
    /// Panics if `element` is not below n.
    pub fn position_of(&self, element: u64) -> u64 {
        match &self.0 {
            Kind::List(list) => {
                list.iter()
                    .position(|&at| u64::from(at) == element)
                    .expect("a permutation has every element below its length") as u64
            }
            Kind::Network(network) => network.backward(element),
        }
    }
}

/// A Feistel network over `low_bits + high_bits` bits; rounds replace the low and the high part in turn.
#[derive(Clone, Debug)]
struct Network {
    n: u64,
    low_bits: u32,
    low_mask: u64,
    high_mask: u64,
    keys: [u64; ROUNDS],
}

impl Network {
    fn new(n: u64, stream: &mut Stream) -> Self {
        let bits = (64 - (n - 1).leading_zeros()).max(2);
        let low_bits = bits / 2;
        let mut keys = [0; ROUNDS];
        keys.fill_with(|| stream.bits64());
        Self { n, low_bits, low_mask: (1 << low_bits) - 1, high_mask: (1 << (bits - low_bits)) - 1, keys }
    }

    /// The round function: 64 bits of a half and a key, mixed by the finalizer of `SplitMix64` (Steele, Lea and Flood
    /// 2014).
    #[inline]
    fn mix(half: u64, key: u64) -> u64 {
        let mut z = half ^ key;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    #[inline]
    fn forward(&self, position: u64) -> u64 {
        assert!(position < self.n, "position {position} of a permutation of {}", self.n);
        let mut x = position;
        loop {
            let (mut low, mut high) = (x & self.low_mask, x >> self.low_bits);
            for keys in self.keys.chunks_exact(2) {
                low ^= Self::mix(high, keys[0]) & self.low_mask;
                high ^= Self::mix(low, keys[1]) & self.high_mask;
            }
            x = high << self.low_bits | low;
            if x < self.n {
                return x;
            }
        }
    }

    fn backward(&self, element: u64) -> u64 {
        assert!(element < self.n, "element {element} of a permutation of {}", self.n);
        let mut x = element;
        loop {
            let (mut low, mut high) = (x & self.low_mask, x >> self.low_bits);
            for keys in self.keys.chunks_exact(2).rev() {
                high ^= Self::mix(low, keys[1]) & self.high_mask;
                low ^= Self::mix(high, keys[0]) & self.low_mask;
            }
            x = high << self.low_bits | low;
            if x < self.n {
                return x;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_permutation(n: u64, at: impl Fn(u64) -> u64) -> bool {
        let mut seen = vec![false; n as usize];
        (0..n).all(|position| !std::mem::replace(&mut seen[at(position) as usize], true))
    }

    #[test]
    fn every_length_up_to_1000_and_around_the_border_is_permuted() {
        for n in (1..=1000).chain(65_530..65_542).chain([131_071, 131_072, 131_073]) {
            for seed in 0..if n <= 1000 { 3 } else { 1 } {
                let permutation = Permutation::new(n, &mut Stream::new(seed, 0, 0, "test"));
                assert!(is_permutation(n, |position| permutation.at(position)), "n = {n}, seed {seed}");
            }
        }
    }

    #[test]
    fn the_network_permutes_every_length_and_knows_its_inverse() {
        for n in 1..=1000 {
            let network = Network::new(n, &mut Stream::new(n, 0, 0, "test"));
            assert!(is_permutation(n, |position| network.forward(position)), "n = {n}");
            assert!(
                (0..n).all(|position| network.backward(network.forward(position)) == position),
                "n = {n}"
            );
        }
        let large = Permutation::new(1 << 40, &mut Stream::new(1, 0, 0, "test"));
        for position in (0..1 << 40).step_by(1 << 33) {
            assert_eq!(large.position_of(large.at(position)), position);
        }
    }

    /// Counts how often element e stands at position p over many keys. Each of the n^2 counts is binomial(trials, 1/n).
    /// By Bernstein's inequality P(|count - mean| > t) <= 2 exp(-t^2 / (2 variance + 2 t / 3)). With
    /// t = 6.5 sd and mean >= 600 the exponent is at least 6.5^2 / (2 + 2 * 6.5 / (3 * sqrt(600 * 15/16))) = 19.4, so all
    /// 256 counts hold but for a chance of 256 * 2 * e^-19.4 < 2e-6; and the keys are fixed, so the test is not random.
    fn counts_are_uniform(n: usize, trials: u64, draw: impl Fn(u64) -> Vec<usize>) {
        let mut counts = vec![0_u64; n * n];
        for trial in 0..trials {
            for (position, element) in draw(trial).into_iter().enumerate() {
                counts[position * n + element] += 1;
            }
        }
        let mean = trials as f64 / n as f64;
        let sd = (mean * (1.0 - 1.0 / n as f64)).sqrt();
        assert!(600.0 <= mean);
        for (at, &count) in counts.iter().enumerate() {
            let off = (count as f64 - mean).abs() / sd;
            assert!(off < 6.5, "element {} at position {}: {count}, mean {mean}", at % n, at / n);
        }
        // The sum of squares over the cells of one row is chi-square with n - 1 degrees of freedom; over all rows
        // (n - 1)^2 degrees. Within 6 standard deviations (sqrt(2 dof)) of its mean.
        let chi2: f64 = counts.iter().map(|&c| (c as f64 - mean).powi(2) / mean).sum();
        let dof = ((n - 1) * (n - 1)) as f64;
        assert!(
            (chi2 - dof).abs() < 6.0 * (2.0 * dof).sqrt(),
            "chi-square {chi2} for {dof} degrees of freedom"
        );
    }

    #[test]
    fn each_element_is_equally_likely_at_each_position_of_a_list() {
        counts_are_uniform(16, 12_000, |trial| {
            let permutation = Permutation::new(16, &mut Stream::new(7, trial, 0, "test"));
            (0..16).map(|position| permutation.at(position) as usize).collect()
        });
    }

    #[test]
    fn each_element_is_equally_likely_at_each_position_of_the_network() {
        // 16 blocks of a domain beyond the border: 65,536 + 4,464 elements, cycle walking included.
        let n = 70_000;
        counts_are_uniform(16, 12_000, |trial| {
            let network = Network::new(n, &mut Stream::new(7, trial, 0, "test"));
            // One probe per sixteenth; the elements' sixteenths are near enough independent (16 of 70,000).
            (0..16)
                .map(|block| (network.forward(block * (n / 16) + trial % 4000) * 16 / n) as usize)
                .collect()
        });
        // And small networks, where halves are two bits: the hardest case for the rounds.
        counts_are_uniform(16, 12_000, |trial| {
            let network = Network::new(16, &mut Stream::new(9, trial, 0, "test"));
            (0..16).map(|position| network.forward(position) as usize).collect()
        });
    }

    #[test]
    fn neighbours_do_not_stay_neighbours() {
        // The chance that successor follows predecessor is 1/n per place: about one such pair in all.
        let n = 100_000;
        let network = Network::new(n, &mut Stream::new(3, 0, 0, "test"));
        let kept = (1..n).filter(|&p| network.forward(p) == network.forward(p - 1) + 1).count();
        assert!(kept < 9, "{kept} successors kept; Poisson(1) exceeds 8 with chance 1e-6");
    }
}
