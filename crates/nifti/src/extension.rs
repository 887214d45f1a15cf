//! Header extensions: blocks of bytes between the header and the voxels.

use std::io::{self, Read};

use crate::finding::{Finding, Problem};
use crate::header::ByteOrder;

/// A block of bytes that someone put behind the header; what it means depends on the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Whose it is: 4 is AFNI's XML, 6 a comment, 2 DICOM; nibabel has the list.
    pub code: i32,
    /// The bytes, with the padding of zeros that was written.
    pub bytes: Vec<u8>,
}

impl Extension {
    /// Returns the bytes as they are written, a multiple of 16.
    pub fn encode(&self, order: ByteOrder) -> Vec<u8> {
        let size = (8 + self.bytes.len()).next_multiple_of(16);
        let mut bytes = Vec::with_capacity(size);
        for number in [i32::try_from(size).unwrap_or(i32::MAX), self.code] {
            bytes.extend(match order {
                ByteOrder::Little => number.to_le_bytes(),
                ByteOrder::Big => number.to_be_bytes(),
            });
        }
        bytes.extend_from_slice(&self.bytes);
        bytes.resize(size, 0);
        bytes
    }
}

/// Goes through the extensions between byte `from` and byte `end` of a file: `each` gets the code of one and its bytes,
/// which it may leave. What is odd but can be read goes to `odd`, once. Nothing is kept.
///
/// The chain must fill the place up to `end`, except for fewer than 8 bytes, in which no extension fits.
pub(crate) fn walk(
    mut source: impl Read,
    order: ByteOrder,
    from: u64,
    end: u64,
    mut each: impl FnMut(i32, &mut io::Take<&mut dyn Read>) -> io::Result<()>,
    mut odd: impl FnMut(Finding),
) -> io::Result<()> {
    let mut at = from;
    let mut said = false;
    while at + 8 <= end {
        let mut start = [0; 8];
        source.read_exact(&mut start)?;
        let [size, code] = [0, 4].map(|at| {
            let bytes = [start[at], start[at + 1], start[at + 2], start[at + 3]];
            match order {
                ByteOrder::Little => i32::from_le_bytes(bytes),
                ByteOrder::Big => i32::from_be_bytes(bytes),
            }
        });
        let left = end - at;
        let fits = u64::try_from(size).ok().filter(|size| (8..=left).contains(size));
        let Some(bytes) = fits else {
            let what = format!("the size of the extension at byte {at}");
            let expected = format!("8 to {left}, up to the voxels");
            return Err(Finding::new(Problem::BadExtension, what, expected, size).into());
        };
        if bytes % 16 != 0 && !said {
            said = true;
            let what = format!("the size of the extension at byte {at}");
            odd(Finding::new(Problem::BadExtension, what, "a multiple of 16", size));
        }
        let source: &mut dyn Read = &mut source;
        let mut body = source.take(bytes - 8);
        each(code, &mut body)?;
        let left = body.limit();
        if io::copy(&mut body, &mut io::sink())? != left {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        at += bytes;
    }
    Ok(())
}

/// Returns the extensions in `bytes`, which lie between the header and the voxels.
pub(crate) fn parse(bytes: &[u8], order: ByteOrder) -> io::Result<Vec<Extension>> {
    let mut found = Vec::new();
    walk(
        bytes,
        order,
        0,
        bytes.len() as u64,
        |code, body| {
            let mut bytes = Vec::new();
            body.read_to_end(&mut bytes)?;
            found.push(Extension { code, bytes });
            Ok(())
        },
        |_| {},
    )?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for order in [ByteOrder::Little, ByteOrder::Big] {
            let comment = Extension { code: 6, bytes: b"hello comment\0\0\0\0\0\0\0\0\0\0\0".to_vec() };
            let other = Extension { code: 44, bytes: b"12345678".to_vec() };
            let mut bytes = comment.encode(order);
            bytes.extend(other.encode(order));
            assert_eq!(bytes.len(), 48);
            assert_eq!(parse(&bytes, order).unwrap(), [comment, other]);
        }
    }

    #[test]
    fn a_broken_chain_is_refused_and_ends() {
        for size in [0_i32, -16, 7, 33, i32::MAX, i32::MIN] {
            let mut bytes = vec![0; 32];
            bytes[..4].copy_from_slice(&size.to_le_bytes());
            let error = parse(&bytes, ByteOrder::Little).unwrap_err();
            let finding = Finding::inside(error).unwrap();
            assert_eq!(finding.problem, Problem::BadExtension, "{size}");
        }
        assert_eq!(parse(&[0; 7], ByteOrder::Little).unwrap(), []);
    }
}
