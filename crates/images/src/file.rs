//! Reading a file once from its start to its end, inflating it where it is compressed.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::error::{At, Error};

/// No byte of deflated data stands for more bytes than this.
const MOST_INFLATION: u64 = 1032;

/// Memory reserved on the word of a header alone; beyond it, memory grows with what is read.
const TRUSTED: usize = 64 << 20;

/// Bytes of a file (or of a member of an archive) in order, with the place where reading stands.
pub(crate) struct Bytes<'a> {
    reader: Box<dyn Read + 'a>,
    path: PathBuf,
    member: Option<String>,
    offset: u64,
    /// More bytes than this do not come.
    most: u64,
}

impl Bytes<'static> {
    /// Opens a file. Whether it is gzip is told from its first two bytes, not from its name.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let opening = |source| Error::io("open", path, source);
        let mut file = File::open(path).map_err(opening)?;
        let length = file.metadata().map_err(opening)?.len();
        let mut magic = Vec::new();
        file.by_ref().take(2).read_to_end(&mut magic).map_err(|source| Error::io("read", path, source))?;
        file.seek(SeekFrom::Start(0)).map_err(|source| Error::io("read", path, source))?;
        let (reader, most): (Box<dyn Read>, u64) = if magic == [0x1f, 0x8b] {
            let inflated = length.saturating_mul(MOST_INFLATION);
            (Box::new(MultiGzDecoder::new(BufReader::with_capacity(1 << 16, file))), inflated)
        } else {
            (Box::new(file), length)
        };
        Ok(Self { reader, path: path.to_owned(), member: None, offset: 0, most })
    }
}

impl<'a> Bytes<'a> {
    /// Reads a member of an archive, of which `packed` bytes are in the file.
    pub(crate) fn member(path: &Path, name: &str, reader: impl Read + 'a, packed: u64) -> Self {
        let most = packed.saturating_mul(MOST_INFLATION);
        Self {
            reader: Box::new(reader),
            path: path.to_owned(),
            member: Some(name.to_owned()),
            offset: 0,
            most,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the place of a byte of this file.
    pub(crate) fn at(&self, byte: u64) -> At {
        match &self.member {
            Some(name) => At::Member { name: name.clone(), byte },
            None => At::Byte(byte),
        }
    }

    /// Reads the next `count` bytes, called `what` in an error.
    pub(crate) fn take(&mut self, count: u64, what: &str) -> Result<Vec<u8>, Error> {
        let start = self.offset;
        let most = self.most.saturating_sub(start);
        if most < count {
            let found = format!("at most {most} bytes left");
            return Err(Error::malformed(
                &self.path,
                self.at(start),
                format!("{what} of {count} bytes"),
                found,
            ));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(count).unwrap_or(TRUSTED).min(TRUSTED));
        let result = self.reader.by_ref().take(count).read_to_end(&mut bytes);
        self.offset += bytes.len() as u64;
        result.map_err(|source| self.failed(source))?;
        if (bytes.len() as u64) < count {
            let found = format!("the end after {} bytes", bytes.len());
            return Err(Error::malformed(
                &self.path,
                self.at(start),
                format!("{what} of {count} bytes"),
                found,
            ));
        }
        Ok(bytes)
    }

    /// Makes sure that nothing follows, which also checks the checksum of what was compressed.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        let more = self.reader.by_ref().take(1).read_to_end(&mut Vec::new());
        match more.map_err(|source| self.failed(source))? {
            0 => Ok(()),
            _ => Err(Error::malformed(&self.path, self.at(self.offset), "the end of the file", "more bytes")),
        }
    }

    fn failed(&self, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
                Error::decode(&self.path, self.at(self.offset), source)
            }
            _ => Error::io("read", &self.path, source),
        }
    }
}

/// Plain reading, for parsers that read on their own.
impl Read for Bytes<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(into)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// Returns the last part of a path, which names its samples.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}
