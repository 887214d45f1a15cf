//! What decoding costs at the least.

use std::path::Path;

use super::whole::{Whole, inflate_whole};
use crate::error::Error;

/// Reads a gzip file and inflates it with libdeflate into fresh memory, and nothing else; returns what came out.
/// It is what [`Cache`](crate::Cache) is measured against: files that are not volumes, or of several members of more than
/// 4 GiB, are inflated as well.
///
/// # Errors
/// Gives the system's errors, and says so where the stream is damaged.
pub fn inflate_alone(path: &Path) -> Result<Vec<u8>, Error> {
    let input = std::fs::read(path).map_err(|error| Error::io("read", path, error))?;
    // The length of the last member, modulo 2^32; more room is made where it is not that of the whole.
    let length = input.last_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize);
    let mut room = length.max(input.len());
    loop {
        let mut out = vec![0; room];
        match inflate_whole(&input, &mut out) {
            Whole::Done(written) => {
                out.truncate(written);
                return Ok(out);
            }
            // Deflate makes a byte of at most 1032.
            Whole::Full if room < input.len().saturating_mul(1032) => room *= 2,
            Whole::Full | Whole::Bad => {
                let problem =
                    std::io::Error::new(std::io::ErrorKind::InvalidData, "the gzip stream is damaged");
                return Err(Error::io("inflate", path, problem));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn everything_comes_out_and_damage_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut stream = Vec::new();
        for member in [vec![7; 100_000], vec![3; 10]] {
            let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            to.write_all(&member).unwrap();
            stream.extend(to.finish().unwrap());
        }
        std::fs::write(file.path(), &stream).unwrap();
        assert_eq!(inflate_alone(file.path()).unwrap().len(), 100_010);
        stream[20] ^= 0xFF;
        std::fs::write(file.path(), &stream).unwrap();
        assert!(inflate_alone(file.path()).unwrap_err().to_string().starts_with("cannot inflate"));
    }
}
