//! What stands around the compressed data of a gzip member.

use std::fmt;
use std::io::{self, BufRead};

use flate2::Crc;

use crate::finding::{Finding, Problem};
use crate::gzip::MAGIC;

const HEADER_CHECKSUM: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;

/// Makes the error of something wrong with member `member`, counted from 0.
pub(super) fn bad(
    member: u64,
    what: &str,
    expected: impl Into<String>,
    found: impl fmt::Display,
) -> io::Error {
    let what = format!("{what} of gzip member {}", member + 1);
    Finding::new(Problem::Gzip, what, expected, found).into()
}

/// Bytes of a header, which a checksum may stand behind.
struct Header<'a, R> {
    source: &'a mut R,
    member: u64,
    checksum: Crc,
}

impl<R: BufRead> Header<'_, R> {
    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        match self.source.read_exact(&mut bytes) {
            Ok(()) => self.checksum.update(&bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(bad(self.member, "the header", "whole", "the end of the file"));
            }
            Err(error) => return Err(error),
        }
        Ok(bytes)
    }

    fn skip_text(&mut self) -> io::Result<()> {
        while self.take::<1>()? != [0] {}
        Ok(())
    }
}

/// Reads the header of member `member` up to its compressed data.
pub(super) fn read_header(source: &mut impl BufRead, member: u64) -> io::Result<()> {
    let mut header = Header { source, member, checksum: Crc::new() };
    let magic = header.take::<2>()?;
    if magic != MAGIC {
        return Err(bad(
            member,
            "the first bytes",
            "1f 8b",
            format_args!("{:02x} {:02x}", magic[0], magic[1]),
        ));
    }
    let [method, flags] = header.take::<2>()?;
    if method != 8 {
        return Err(bad(member, "the method", "8, DEFLATE", method));
    }
    if flags & RESERVED != 0 {
        return Err(bad(member, "the flags", "none of the reserved ones", format_args!("{flags:#04x}")));
    }
    header.take::<6>()?;
    if flags & EXTRA != 0 {
        for _ in 0..u16::from_le_bytes(header.take()?) {
            header.take::<1>()?;
        }
    }
    if flags & NAME != 0 {
        header.skip_text()?;
    }
    if flags & COMMENT != 0 {
        header.skip_text()?;
    }
    if flags & HEADER_CHECKSUM != 0 {
        let expected = header.checksum.sum() as u16;
        let found = u16::from_le_bytes(header.take()?);
        if found != expected {
            return Err(bad(member, "the checksum of the header", format!("{expected:#06x}"), found));
        }
    }
    Ok(())
}

/// Reads the 8 bytes behind the data of member `member` and compares them with what came out.
pub(super) fn read_trailer(
    source: &mut impl BufRead,
    member: u64,
    checksum: u32,
    length: u32,
) -> io::Result<()> {
    let mut bytes = [0; 8];
    match source.read_exact(&mut bytes) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            let expected = "8 bytes of checksum and length";
            return Err(bad(member, "the end", expected, "the end of the file"));
        }
        Err(error) => return Err(error),
    }
    let [a, b, c, d, e, f, g, h] = bytes;
    let written = u32::from_le_bytes([a, b, c, d]);
    if written != checksum {
        let found = format!("{checksum:#010x} of the data");
        return Err(bad(member, "the CRC-32", format!("{written:#010x}, as the file says,"), found));
    }
    let written = u32::from_le_bytes([e, f, g, h]);
    if written != length {
        return Err(bad(member, "the length modulo 2^32", format!("{written}, as the file says,"), length));
    }
    Ok(())
}

/// Reads zeros up to the end of the file: the padding of a tape. Returns whether there was something else.
pub(super) fn skip_zeros(source: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let bytes = source.fill_buf()?;
        if bytes.is_empty() {
            return Ok(false);
        }
        if bytes.iter().any(|&byte| byte != 0) {
            return Ok(true);
        }
        let read = bytes.len();
        source.consume(read);
    }
}
