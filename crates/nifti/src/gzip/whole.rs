//! A gzip stream inflated at once, from memory to memory.

use std::cell::RefCell;

use crate::gzip::libdeflate::{Decompressor, Member};

/// What became of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whole {
    /// All members ended as they should, and this many bytes came out.
    Done(usize),
    /// More comes out than fits.
    Full,
    /// It is damaged, or something stands behind it.
    Bad,
}

thread_local! {
    static DECOMPRESSOR: RefCell<Option<Decompressor>> = const { RefCell::new(None) };
}

/// Inflates all members of `input` into the start of `out`, each checked; zeros may follow them. What is in `out` is the
/// stream's only if the answer is [`Whole::Done`].
pub(crate) fn inflate_whole(input: &[u8], out: &mut [u8]) -> Whole {
    DECOMPRESSOR.with_borrow_mut(|decompressor| {
        if decompressor.is_none() {
            *decompressor = Decompressor::new();
        }
        let Some(decompressor) = decompressor else { return Whole::Bad };
        let (mut at, mut end) = (0, 0);
        loop {
            match decompressor.gzip(&input[at..], &mut out[end..]) {
                Member::Whole { read, written } => {
                    at += read;
                    end += written;
                }
                Member::Full => return Whole::Full,
                Member::Bad => return Whole::Bad,
            }
            let rest = &input[at..];
            if rest.first().is_none_or(|&byte| byte == 0) {
                return if rest.iter().all(|&byte| byte == 0) { Whole::Done(end) } else { Whole::Bad };
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;
    use crate::gzip::Gunzip;

    fn member(bytes: &[u8]) -> Vec<u8> {
        let mut to = GzEncoder::new(Vec::new(), Compression::fast());
        to.write_all(bytes).unwrap();
        to.finish().unwrap()
    }

    proptest! {
        #[test]
        fn both_ways_give_what_went_in_however_it_is_cut(
            parts in prop::collection::vec(prop::collection::vec(0_u8..4, 0..300), 1..5),
            zeros in 0_usize..5,
            spare in 0_usize..3,
        ) {
            let bytes: Vec<u8> = parts.concat();
            let mut stream: Vec<u8> = parts.iter().flat_map(|part| member(part)).collect();
            stream.resize(stream.len() + zeros, 0);
            let mut out = vec![9; bytes.len() + spare];
            prop_assert_eq!(inflate_whole(&stream, &mut out), Whole::Done(bytes.len()));
            prop_assert_eq!(&out[..bytes.len()], &bytes);
            let mut out = Vec::new();
            Gunzip::new(stream.as_slice(), false).read_to_end(&mut out).unwrap();
            prop_assert_eq!(out, bytes.clone());
            if let Some(less) = bytes.len().checked_sub(1) {
                prop_assert_eq!(inflate_whole(&stream, &mut vec![0; less]), Whole::Full);
            }
        }

        #[test]
        fn a_flipped_bit_is_found_by_both_or_by_none(
            bytes in prop::collection::vec(0_u8..4, 1..200),
            at in any::<prop::sample::Index>(),
            bit in 0_u8..8,
        ) {
            let mut stream = member(&bytes);
            let at = at.index(stream.len());
            stream[at] ^= 1 << bit;
            let mut out = vec![0; bytes.len()];
            let whole = inflate_whole(&stream, &mut out);
            let mut streamed = Vec::new();
            let result = Gunzip::new(stream.as_slice(), false).read_to_end(&mut streamed);
            // The time, the level and the system in the header are covered by no checksum.
            if let Whole::Done(length) = whole {
                prop_assert!(result.is_ok());
                prop_assert_eq!(length, bytes.len());
            }
            if result.is_ok() {
                prop_assert_eq!(&streamed, &bytes);
                prop_assert_eq!(whole, Whole::Done(bytes.len()));
            }
        }
    }
}
