//! Counter-based randomness: a stream of bits named by what draws it, never by who draws or when.

use std::convert::Infallible;

use chacha20::ChaCha8Rng;
use rand::rand_core::{Rng, SeedableRng, TryRng};
use serde::{Deserialize, Serialize};

use crate::{math, normal};

/// The name of what draws, as the 64 bits that enter the key of its stream.
///
/// A name is the FNV-1a hash (64 bits) of its UTF-8 bytes. Parts of a name are joined with `/`, and
/// [`Name::join`] gives what hashing the whole path would give:
///
/// ```
/// use batchwright_core::Name;
/// const ROTATE: Name = Name::new("augment/rotate");
/// assert_eq!(Name::new("augment").join("rotate"), ROTATE);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(u64);

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

const fn fnv1a(mut hash: u64, text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(FNV_PRIME);
        i += 1;
    }
    hash
}

impl Name {
    /// Returns the name of `text`.
    pub const fn new(text: &str) -> Self {
        Self(fnv1a(FNV_OFFSET, text))
    }

    /// Returns the name of the part `text` below this name, as `"<self>/<text>"`.
    pub const fn join(self, text: &str) -> Self {
        Self(fnv1a(fnv1a(self.0, "/"), text))
    }

    /// Returns the 64 bits that enter the key.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

/// The key of a [`Stream`], as a value that can be written down and opened again later.
///
/// ```
/// use batchwright_core::{Context, Stream};
/// let key = Context::new(42, 0, 7).key("noise");
/// let written = serde_json::to_string(&key)?;
/// let read: batchwright_core::StreamKey = serde_json::from_str(&written)?;
/// assert_eq!(read.open().bits64(), Stream::new(42, 0, 7, "noise").bits64());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamKey {
    /// The seed of the run.
    pub seed: u64,
    /// The epoch, from 0.
    pub epoch: u64,
    /// The position in the epoch.
    pub position: u64,
    /// The bits of the [`Name`] of what draws.
    pub name: u64,
    /// 0, or the try in which a sample was taken as a substitute.
    pub attempt: u64,
}

impl StreamKey {
    /// Opens the stream of this key, at its beginning.
    pub fn open(self) -> Stream {
        Stream::with_attempt(self.seed, self.epoch, self.position, Name(self.name), self.attempt)
    }
}

/// A stream of random bits, a pure function of its key (seed, epoch, position, name, attempt).
///
/// `ChaCha` with 8 rounds: the 256-bit key is the four numbers `seed`, `epoch`, `position` and the bits of
/// `name`, each as 8 little-endian bytes, in this order; the 64-bit nonce is `attempt`; the block counter starts
/// at 0. The tuple *is* the key: nothing is added or mixed, so no two tuples share a stream.
/// The output is the sequence of little-endian 32-bit words of the key stream; 64-bit draws take two words, the
/// low one first. `docs/reproducibility.md` says how words become numbers.
///
/// ```
/// use batchwright_core::Stream;
/// let mut a = Stream::new(42, 0, 7, "rotate");
/// let mut b = Stream::new(42, 0, 7, "rotate");
/// assert_eq!(a.uniform(), b.uniform());
/// assert_ne!(a.uniform(), Stream::new(42, 1, 7, "rotate").uniform());
/// ```
#[derive(Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// Opens the stream of a key, at its beginning, for attempt 0.
    pub fn new(seed: u64, epoch: u64, position: u64, name: impl Into<Name>) -> Self {
        Self::with_attempt(seed, epoch, position, name, 0)
    }

    /// Opens the stream of a key for a later attempt at the same position (a substituted sample).
    pub fn with_attempt(seed: u64, epoch: u64, position: u64, name: impl Into<Name>, attempt: u64) -> Self {
        let mut key = [0; 32];
        for (bytes, number) in key.chunks_exact_mut(8).zip([seed, epoch, position, name.into().bits()]) {
            bytes.copy_from_slice(&number.to_le_bytes());
        }
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(attempt);
        Self(rng)
    }

    /// Returns the next 32 bits.
    #[inline]
    pub fn bits32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Returns the next 64 bits.
    #[inline]
    pub fn bits64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Returns a number uniform in [0, 1): the upper 53 bits of 64, times 2^-53.
    #[inline]
    pub fn uniform(&mut self) -> f64 {
        (self.bits64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Returns a number uniform from `low` to `high`: `low + (high - low) * uniform()`, which is `high` by rounding only.
    #[inline]
    pub fn uniform_in(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Returns true with probability `p`: whether `uniform() < p`. `p <= 0` is never, `1 <= p` always.
    #[inline]
    pub fn chance(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// Returns an integer uniform in 0..`n`, exactly (multiply and reject, Lemire 2019, on 64 bits).
    ///
    /// # Panics
    /// Panics if `n` is 0.
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(0 < n, "there is no integer below 0");
        loop {
            let product = u128::from(self.bits64()) * u128::from(n);
            // The low half below 2^64 mod n marks the draws that would favour some results.
            if n <= product as u64 || n.wrapping_neg() % n <= product as u64 {
                return (product >> 64) as u64;
            }
        }
    }

    /// Returns a number of the standard normal distribution (see [`Stream::fill_normal`]), from two 32-bit words.
    #[inline]
    pub fn normal(&mut self) -> f32 {
        let (a, b) = (self.bits32(), self.bits32());
        math::box_muller(a, b).0
    }

    /// Fills `out` with independent draws of the standard normal distribution.
    ///
    /// Box and Muller 1958, in `f32` by the polynomials of this crate's `math`: each pair of results takes two
    /// words (a, b); u = (a / 2^8 + 1) / 2^24, v = (b / 2^8) / 2^24 (whole divisions by 2^8), r = sqrt(-2 ln u); the
    /// pair is (r cos 2 pi v, r sin 2 pi v). An odd last one is the cosine of its pair. No value lies beyond 5.77.
    pub fn fill_normal(&mut self, out: &mut [f32]) {
        let position = self.0.get_word_pos();
        // Up to the beginning of a block one by one, then many blocks at a time, if pairs do not straddle blocks.
        let before = (position.wrapping_neg() % 16) as usize;
        if before.is_multiple_of(2) && before + normal::GROUP <= out.len() {
            let (first, rest) = out.split_at_mut(before);
            self.fill_pairs(first);
            let (groups, last) = rest.split_at_mut(rest.len() / normal::GROUP * normal::GROUP);
            let start = self.0.get_word_pos();
            normal::fill(self.0.get_seed(), self.0.get_stream(), (start / 16) as u64, groups);
            self.0.set_word_pos(start + groups.len() as u128);
            self.fill_pairs(last);
        } else {
            self.fill_pairs(out);
        }
    }

    fn fill_pairs(&mut self, out: &mut [f32]) {
        let mut pairs = out.chunks_exact_mut(2);
        for pair in &mut pairs {
            let (a, b) = (self.bits32(), self.bits32());
            (pair[0], pair[1]) = math::box_muller(a, b);
        }
        if let [last] = pairs.into_remainder() {
            *last = self.normal();
        }
    }

    /// Returns an integer uniform in 0..`n`, exactly, from 32 bits where [`Stream::below`] takes 64.
    ///
    /// # Panics
    /// Panics if `n` is 0.
    #[inline]
    pub fn below32(&mut self, n: u32) -> u32 {
        assert!(0 < n, "there is no integer below 0");
        loop {
            let product = u64::from(self.bits32()) * u64::from(n);
            if n <= product as u32 || n.wrapping_neg() % n <= product as u32 {
                return (product >> 32) as u32;
            }
        }
    }

    /// Shuffles `items`: Fisher and Yates from the last element down, each swapped with one uniform among those not
    /// yet placed, drawn with [`Stream::below32`], or [`Stream::below`] where there are 2^32 or more.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = match u32::try_from(i + 1) {
                Ok(n) => self.below32(n) as usize,
                Err(_) => self.below(i as u64 + 1) as usize,
            };
            items.swap(i, j);
        }
    }
}

/// A stream is a generator of the `rand` family, so its distributions work on it.
impl TryRng for Stream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.bits32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.bits64())
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill_bytes(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_normal_draws_are_those_of_drawing_pair_by_pair() {
        for skip in [0, 1, 2, 7, 14, 16, 30, 61] {
            for length in [0, 1, 5, 255, 256, 257, 270, 271, 272, 600, 2048, 4097] {
                let open = || {
                    let mut stream = Stream::with_attempt(u64::MAX, 3, 1 << 40, "normal", 9);
                    (0..skip).for_each(|_| _ = stream.bits32());
                    stream
                };
                let (mut many, mut pairs) = (open(), open());
                let (mut a, mut b) = (vec![f32::NAN; length], vec![f32::NAN; length]);
                many.fill_normal(&mut a);
                pairs.fill_pairs(&mut b);
                let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&a), bits(&b), "{length} after {skip}");
                assert_eq!(many.bits64(), pairs.bits64(), "after {length} after {skip}");
            }
        }
    }
}
