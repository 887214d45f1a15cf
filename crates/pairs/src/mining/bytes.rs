//! Numbers to bytes and back, with a version and a hash.

use sha2::{Digest, Sha256};

use super::error::EmbeddingError;

/// Little-endian numbers behind eight letters, closed by their SHA-256.
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new(magic: [u8; 8]) -> Self {
        Self(magic.to_vec())
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn u32s(&mut self, values: impl IntoIterator<Item = u32>) {
        self.0.extend(values.into_iter().flat_map(u32::to_le_bytes));
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        let hash = Sha256::digest(&self.0);
        self.0.extend_from_slice(&hash);
        self.0
    }
}

/// Reads what a [`Writer`] wrote; its hash is checked first.
pub(super) struct Reader<'a> {
    what: &'static str,
    length: usize,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], magic: [u8; 8], what: &'static str) -> Result<Self, EmbeddingError> {
        let reader = Self { what, length: bytes.len(), rest: bytes };
        let Some(rest) = bytes.strip_prefix(&magic) else {
            return Err(
                reader.refuse(format!("they do not begin with {:?}", String::from_utf8_lossy(&magic)))
            );
        };
        let Some(end) = rest.len().checked_sub(32) else {
            return Err(reader.refuse("they end too early"));
        };
        let (content, hash) = bytes.split_at(magic.len() + end);
        if Sha256::digest(content).as_slice() != hash {
            return Err(reader.refuse("their SHA-256 is not the one at their end"));
        }
        Ok(Self { what, length: bytes.len(), rest: &rest[..end] })
    }

    pub(super) fn refuse(&self, problem: impl Into<String>) -> EmbeddingError {
        EmbeddingError::Bytes { what: self.what, length: self.length, problem: problem.into() }
    }

    pub(super) fn u64(&mut self) -> Result<u64, EmbeddingError> {
        let Some((value, rest)) = self.rest.split_first_chunk() else {
            return Err(self.refuse("they end too early"));
        };
        self.rest = rest;
        Ok(u64::from_le_bytes(*value))
    }

    /// Reads `count` numbers; more than there are bytes for is refused before anything is allocated.
    pub(super) fn u32s(&mut self, count: u64) -> Result<Vec<u32>, EmbeddingError> {
        let bytes = usize::try_from(count).ok().and_then(|count| count.checked_mul(4));
        let Some((values, rest)) = bytes.and_then(|bytes| self.rest.split_at_checked(bytes)) else {
            return Err(self.refuse(format!("they end before {count} numbers")));
        };
        self.rest = rest;
        Ok(values.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect())
    }

    pub(super) fn end(&self) -> Result<(), EmbeddingError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.refuse(format!("{} bytes are left over", self.rest.len())))
        }
    }
}
