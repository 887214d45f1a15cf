//! A gzip stream read in pieces.

use std::io::{self, BufRead, Read};

use flate2::{Crc, Decompress, FlushDecompress, Status};

use crate::gzip::MAGIC;
use crate::gzip::framing::{bad, read_header, read_trailer, skip_zeros};

/// Gives out the bytes of all members of a gzip stream, one after the other. Checksum and length of each member are checked
/// when its end is reached; zeros behind the last member are skipped, anything else there is an error, or passed over if
/// `lenient`.
pub(crate) struct Gunzip<R> {
    source: R,
    lenient: bool,
    inflate: Decompress,
    checksum: Crc,
    member: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Before,
    Inside,
    Done,
}

impl<R: BufRead> Gunzip<R> {
    /// Starts at the first member.
    pub(crate) fn new(source: R, lenient: bool) -> Self {
        let inflate = Decompress::new(false);
        Self { source, lenient, inflate, checksum: Crc::new(), member: 0, state: State::Before }
    }

    /// Reads on to the end of the stream, which is checked and thrown away, and returns how many bytes that were.
    pub(crate) fn finish(&mut self) -> io::Result<u64> {
        io::copy(self, &mut io::sink())
    }

    fn begin(&mut self) -> io::Result<()> {
        let bytes = self.source.fill_buf()?;
        let first = bytes.first().copied();
        if 0 < self.member {
            let garbage = match first {
                None => false,
                Some(0) => skip_zeros(&mut self.source)?,
                Some(byte) => byte != MAGIC[0],
            };
            if garbage && !self.lenient {
                let found = "something else";
                return Err(bad(
                    self.member - 1,
                    "what follows the end",
                    "a member, zeros or nothing",
                    found,
                ));
            }
            if garbage || first.is_none_or(|byte| byte == 0) {
                self.state = State::Done;
                return Ok(());
            }
        }
        read_header(&mut self.source, self.member)?;
        self.inflate.reset(false);
        self.checksum.reset();
        self.state = State::Inside;
        Ok(())
    }

    fn inflate(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let input = self.source.fill_buf()?;
        let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
        let at_end = input.is_empty();
        let status = self.inflate.decompress(input, out, FlushDecompress::None);
        let status = status.map_err(|_| {
            bad(
                self.member,
                "the compressed data",
                "DEFLATE",
                format_args!("nonsense after {before_out} bytes"),
            )
        })?;
        let read = (self.inflate.total_in() - before_in) as usize;
        let written = (self.inflate.total_out() - before_out) as usize;
        self.source.consume(read);
        self.checksum.update(&out[..written]);
        if status == Status::StreamEnd {
            let length = self.inflate.total_out() as u32;
            read_trailer(&mut self.source, self.member, self.checksum.sum(), length)?;
            self.member += 1;
            self.state = State::Before;
        } else if at_end && written == 0 {
            let found = format!("the end of the file after {before_out} bytes");
            return Err(bad(self.member, "the compressed data", "whole", found));
        } else if read == 0 && written == 0 {
            return Err(bad(self.member, "the compressed data", "DEFLATE", "a stream that gives nothing"));
        }
        Ok(written)
    }
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            match self.state {
                State::Before => self.begin()?,
                State::Inside => {
                    let written = self.inflate(out)?;
                    if 0 < written {
                        return Ok(written);
                    }
                }
                State::Done => return Ok(0),
            }
        }
    }
}
