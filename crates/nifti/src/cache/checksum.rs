//! A checksum that finds accidental damage at the speed of memory.

/// Eight words of state, each stirred by every eighth word of the input: the processor works on all of them at once.
const LANES: usize = 8;
const BLOCK: usize = LANES * 8;
/// Odd, with about half its bits set: 2^64 divided by the golden ratio.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Returns the checksum of bytes. Not for secrets: anybody can make bytes that have a given one.
///
/// Every step is a one-to-one function of the lane for a given word, and of the word for a given lane, so a single
/// changed word always shows; other damage escapes with a probability near 2^-64.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    let mut lanes: [u64; LANES] = std::array::from_fn(|lane| MULTIPLIER.wrapping_mul(2 * lane as u64 + 1));
    let mut blocks = bytes.chunks_exact(BLOCK);
    for block in &mut blocks {
        stir(&mut lanes, block);
    }
    let rest = blocks.remainder();
    if !rest.is_empty() {
        let mut block = [0; BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        stir(&mut lanes, &block);
    }
    lanes.iter().fold(step(MULTIPLIER, bytes.len() as u64), |sum, &lane| {
        let sum = step(sum, lane);
        sum ^ (sum >> 32)
    })
}

#[inline]
fn stir(lanes: &mut [u64; LANES], block: &[u8]) {
    for (lane, word) in lanes.iter_mut().zip(block.chunks_exact(8)) {
        *lane = step(*lane, u64::from_le_bytes(word.try_into().expect("chunks have eight bytes")));
    }
}

/// The rotation brings the high bits, which a product only passes upwards, back below.
#[inline]
fn step(state: u64, word: u64) -> u64 {
    (state ^ word).wrapping_mul(MULTIPLIER).rotate_left(29)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_golden_value_keeps_files_of_older_builds_readable() {
        let bytes: Vec<u8> = (0..1000_u32).map(|i| (i * 7) as u8).collect();
        assert_eq!(checksum(&bytes), GOLDEN);
        assert_ne!(checksum(&[]), checksum(&[0]));
    }

    /// Worked out by `tests/oracle/cache_checksum.py`.
    const GOLDEN: u64 = 0x83ce_a601_e278_c435;

    proptest! {
        #[test]
        fn changed_bytes_and_another_length_show(
            bytes in prop::collection::vec(any::<u8>(), 1..400),
            at in any::<prop::sample::Index>(),
            then in any::<prop::sample::Index>(),
            flip in 1_u8..,
        ) {
            let sum = checksum(&bytes);
            let mut changed = bytes.clone();
            changed[at.index(bytes.len())] ^= flip;
            prop_assert_ne!(checksum(&changed), sum);
            // The same bit of another byte too: the top bit of two words is the classical blind spot of products.
            changed[then.index(bytes.len())] ^= flip;
            prop_assert_eq!(checksum(&changed) == sum, changed == bytes);
            let mut longer = bytes.clone();
            longer.push(0);
            prop_assert_ne!(checksum(&longer), sum);
            prop_assert_ne!(checksum(&bytes[1..]), sum);
        }
    }

    /// `cargo test --release -p batchwright-nifti --lib checksum -- --ignored --nocapture`
    #[test]
    #[ignore = "a measurement, run by hand: see the command above"]
    fn how_fast_it_is() {
        let bytes = vec![1_u8; 64 << 20];
        let mut times: Vec<f64> = (0..9)
            .map(|_| {
                let start = std::time::Instant::now();
                std::hint::black_box(checksum(std::hint::black_box(&bytes)));
                start.elapsed().as_secs_f64()
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!("{:.1} GB/s of 64 MiB, median of 9", bytes.len() as f64 / times[4] / 1e9);
    }
}
