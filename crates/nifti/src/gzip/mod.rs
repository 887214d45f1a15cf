//! Gzip streams (RFC 1952) of any number of members: read in pieces with bounded memory, or whole at libdeflate's speed.

mod alone;
mod framing;
mod libdeflate;
mod stream;
mod whole;

pub(crate) use stream::Gunzip;
pub(crate) use whole::{Whole, inflate_whole};

/// The bytes that a gzip stream starts with.
pub(crate) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// How many bytes one compressed byte can become at most: DEFLATE codes 258 bytes with two codes of one bit.
pub(crate) const MOST_RATIO: u64 = 1032;

pub use alone::inflate_alone;
