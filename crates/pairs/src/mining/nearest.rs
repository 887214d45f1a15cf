//! The k least of a stream of distances.

/// The k nearest of what it is shown, equal ones by index, in memory of 2k entries.
#[derive(Debug)]
pub(crate) struct Nearest {
    k: usize,
    /// The distance in the upper 32 bits, the index in the lower: bits of floats from 0 up are in the floats' order.
    entries: Vec<u64>,
    /// Entries from here on are none of the k least.
    end: u64,
}

fn entry(key: f32, index: usize) -> u64 {
    u64::from(key.to_bits()) << 32 | index as u64
}

impl Nearest {
    pub(crate) fn new(k: usize) -> Self {
        Self { k, entries: Vec::new(), end: if k == 0 { 0 } else { u64::MAX } }
    }

    /// Shows it a distance (not below 0) of an index; the caller has decided that it may be chosen.
    #[inline]
    pub(crate) fn show(&mut self, key: f32, index: usize) {
        let entry = entry(key, index);
        if entry < self.end {
            self.entries.push(entry);
            if self.entries.len() == (2 * self.k).max(64) {
                self.shrink();
            }
        }
    }

    /// Shows it a row of distances, of indices `first..`; asks `may` only of those near enough.
    #[inline]
    pub(crate) fn show_row(&mut self, keys: &[f32], first: usize, may: impl Fn(usize) -> bool) {
        const LANES: usize = 16;
        for (place, chunk) in keys.chunks(LANES).enumerate() {
            // The bits of infinity are above those of all finite floats, and an entry's upper half at most the end's.
            let end = (self.end >> 32) as u32;
            let near = chunk.iter().fold(false, |near, key| near | (key.to_bits() <= end));
            if near {
                for (lane, &key) in chunk.iter().enumerate() {
                    let index = first + place * LANES + lane;
                    if entry(key, index) < self.end && may(index) {
                        self.show(key, index);
                    }
                }
            }
        }
    }

    fn shrink(&mut self) {
        if self.k < self.entries.len() {
            self.end = *self.entries.select_nth_unstable(self.k - 1).1;
            self.entries.truncate(self.k);
        }
    }

    /// Returns what it has kept, nearest first.
    pub(crate) fn into_sorted(mut self) -> impl Iterator<Item = (f32, usize)> {
        self.shrink();
        self.entries.sort_unstable();
        self.entries
            .into_iter()
            .map(|entry| (f32::from_bits((entry >> 32) as u32), (entry & u64::from(u32::MAX)) as usize))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_least_are_those_of_sorting_all(
            keys in proptest::collection::vec(0_u8..20, 0..400),
            k in 0_usize..90,
            modulus in 1_usize..4,
        ) {
            let keys: Vec<f32> = keys.into_iter().map(|k| if k == 19 { f32::INFINITY } else { f32::from(k) }).collect();
            let mut all: Vec<(f32, usize)> =
                keys.iter().copied().enumerate().map(|(i, key)| (key, i)).filter(|(_, i)| i % modulus == 0).collect();
            all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            all.truncate(k);
            let mut nearest = Nearest::new(k);
            let half = keys.len() / 2;
            nearest.show_row(&keys[..half], 0, |i| i % modulus == 0);
            nearest.show_row(&keys[half..], half, |i| i % modulus == 0);
            prop_assert_eq!(nearest.into_sorted().collect::<Vec<_>>(), all);
        }
    }
}
