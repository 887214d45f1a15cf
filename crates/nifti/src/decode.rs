//! All voxels of a volume, into memory of the caller.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::os::unix::fs::FileExt;

use crate::container;
use crate::convert::{self, Part};
use crate::datatype::Datatype;
use crate::error::Error;
use crate::finding::{Finding, Problem};
use crate::gzip::{Gunzip, Whole, inflate_whole};
use crate::volume::Volume;

/// Bytes in front of the voxels that are decoded together with them at most.
const MOST_HEAD_ROOM: u64 = 1 << 20;

/// Bytes of voxels that are converted at once; a multiple of the size of every type, 3 included.
const CHUNK: usize = 3 << 16;

thread_local! {
    /// The compressed bytes of a file, kept so that their memory is not asked for again for each file.
    static INPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Capacity of the compressed bytes that is kept.
const KEPT_INPUT: usize = 64 << 20;

impl Volume {
    /// Returns how many bytes of room in front of the voxels let [`read_all_at`](Self::read_all_at) decode at full speed:
    /// those of the header in front of compressed voxels, otherwise 0.
    pub fn head_room(&self) -> usize {
        let offset = self.located.header.vox_offset;
        if self.is_compressed() && self.comes_as_stored() && offset <= MOST_HEAD_ROOM {
            offset as usize
        } else {
            0
        }
    }

    /// Reads all voxels to `room[at..at + stored_bytes]`. What lies before `at` may be overwritten, what lies behind is not.
    ///
    /// If `at` is at least [`head_room`](Self::head_room), a compressed file is inflated right into `room`, header and all,
    /// at the speed of libdeflate and without a second buffer of that size. Otherwise, and where complex numbers, colours or
    /// one frame of many are read, it is inflated in pieces, at about a third of the speed.
    ///
    /// # Errors
    /// Fails where the file is damaged, cut short, or was changed since it was opened; `room` then holds anything.
    pub fn read_all_at(&self, room: &mut [u8], at: usize) -> Result<(), Error> {
        let bytes = self.stored_bytes() as usize;
        let end = at.checked_add(bytes).filter(|&end| end <= room.len()).ok_or_else(|| {
            Error::choice("room", format!("at least {bytes} bytes from {at} on"), room.len())
        })?;
        if !self.is_compressed() {
            return self.read_plain(&mut room[at..end]);
        }
        let head = self.head_room();
        let at_once = self.comes_as_stored() && self.located.header.vox_offset == head as u64 && head <= at;
        self.with_input(|input| {
            let whole = if at_once { inflate_whole(input, &mut room[at - head..end]) } else { Whole::Full };
            match whole {
                Whole::Done(written) if written == head + bytes => {
                    self.turn_around(&mut room[at..end]);
                    Ok(())
                }
                Whole::Done(written) => Err(self.truncated(written as u64)),
                // More behind the voxels, or damage, of which reading in pieces finds out what it is.
                Whole::Full | Whole::Bad => self.read_stream(input, &mut room[at..end]),
            }
        })?
    }

    /// Reads all voxels into `out`, which has [`stored_bytes`](Self::stored_bytes) bytes.
    ///
    /// This decodes a compressed file into a buffer of its own first; [`read_all_at`](Self::read_all_at) does not.
    ///
    /// # Errors
    /// As [`read_all_at`](Self::read_all_at).
    pub fn read_all(&self, out: &mut [u8]) -> Result<(), Error> {
        let head = self.head_room();
        if out.len() as u64 != self.stored_bytes() {
            return Err(Error::choice("out", format!("{} bytes", self.stored_bytes()), out.len()));
        }
        if head == 0 {
            return self.read_all_at(out, 0);
        }
        let mut room = vec![0; head + out.len()];
        self.read_all_at(&mut room, head)?;
        out.copy_from_slice(&room[head..]);
        Ok(())
    }

    /// Returns all voxels as stored, with the room that they were decoded in: they start at the place that is returned.
    pub(crate) fn decoded(&self) -> Result<(Vec<u8>, usize), Error> {
        let head = self.head_room();
        let mut room = vec![0; head + self.stored_bytes() as usize];
        self.read_all_at(&mut room, head)?;
        Ok((room, head))
    }

    /// Returns whether the bytes that come out are those that are stored, but for their order.
    pub(crate) fn comes_as_stored(&self) -> bool {
        matches!(self.recipe.datatype, Datatype::Real(_)) && self.frames() == self.located.header.frames()
    }

    fn turn_around(&self, voxels: &mut [u8]) {
        if self.recipe.swaps() {
            convert::swap(voxels, self.recipe.datatype.swapped_size());
        }
    }

    pub(crate) fn truncated(&self, found: u64) -> Error {
        let header = &self.located.header;
        let expected = format!("at least {} bytes", header.vox_offset + header.voxel_bytes());
        let finding = Finding::new(Problem::Truncated, "what the file holds", expected, found);
        Error::file(&self.located.image_path, finding)
    }

    fn reading(&self, error: io::Error) -> Error {
        Error::reading("read the voxels of", &self.located.image_path, error)
    }

    /// Reads `out.len()` bytes at a place of the file of voxels.
    pub(crate) fn read_at(&self, file: &File, out: &mut [u8], offset: u64) -> Result<(), Error> {
        file.read_exact_at(out, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.truncated(file.metadata().map_or(0, |data| data.len())),
            _ => self.reading(error),
        })
    }

    /// Gives the bytes of the file of voxels to `with`.
    fn with_input<T>(&self, with: impl FnOnce(&[u8]) -> T) -> Result<T, Error> {
        if let Some(map) = &self.map {
            return Ok(with(map));
        }
        let path = &self.located.image_path;
        let (file, bytes) = container::open(path)?;
        let mut input = INPUT.take();
        // As many as there were on opening, which was compared with what the header says; more is not read.
        let bytes = bytes.min(self.located.file_bytes) as usize;
        if input.len() < bytes {
            input.resize(bytes, 0);
        }
        self.read_at(&file, &mut input[..bytes], 0)?;
        let result = with(&input[..bytes]);
        input.truncate(KEPT_INPUT);
        input.shrink_to(KEPT_INPUT);
        INPUT.set(input);
        Ok(result)
    }

    /// Reads uncompressed voxels.
    fn read_plain(&self, out: &mut [u8]) -> Result<(), Error> {
        let header = &self.located.header;
        let frame = header.voxel_bytes() / header.frames() as u64;
        let start = header.vox_offset + frame * self.first_frame() as u64;
        if let Some(map) = &self.map {
            let end = start + frame * self.frames() as u64;
            let stored =
                map.get(start as usize..end as usize).ok_or_else(|| self.truncated(map.len() as u64))?;
            return self.take_stream(stored, out).map_err(|error| self.reading(error));
        }
        let (file, _) = container::open(&self.located.image_path)?;
        if matches!(self.recipe.datatype, Datatype::Real(_)) {
            self.read_at(&file, out, start)?;
            self.turn_around(out);
            return Ok(());
        }
        let source = At { volume: self, file, offset: start };
        self.take_stream(source, out).map_err(|error| self.reading(error))
    }

    /// Reads compressed voxels in pieces, and on to the end of the stream, so that its checksums are compared.
    fn read_stream(&self, input: impl BufRead, out: &mut [u8]) -> Result<(), Error> {
        let header = &self.located.header;
        let frame = header.voxel_bytes() / header.frames() as u64;
        let before = header.vox_offset + frame * self.first_frame() as u64;
        let behind = frame * (header.frames() - self.first_frame() - self.frames()) as u64;
        let mut stream = Gunzip::new(input, self.options.lenient);
        let skip = |stream: &mut Gunzip<_>, bytes: u64| -> Result<(), io::Error> {
            let skipped = io::copy(&mut stream.take(bytes), &mut io::sink())?;
            if skipped == bytes { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
        };
        let read = skip(&mut stream, before)
            .and_then(|()| self.take_stream(&mut stream, out))
            .and_then(|()| skip(&mut stream, behind))
            .and_then(|()| stream.finish());
        match read {
            Ok(0) => Ok(()),
            Ok(more) => {
                log::debug!("{}: {more} bytes behind the voxels", self.located.image_path.display());
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                let found = "the end of the stream before that";
                let expected = format!("at least {} bytes", header.vox_offset + header.voxel_bytes());
                let finding = Finding::new(Problem::Truncated, "what the file holds", expected, found);
                Err(Error::file(&self.located.image_path, finding))
            }
            Err(error) => Err(self.reading(error)),
        }
    }

    /// Fills `out` with the voxels of the frames that come out, which `source` starts with.
    fn take_stream(&self, mut source: impl Read, out: &mut [u8]) -> io::Result<()> {
        if let Datatype::Real(_) = self.recipe.datatype {
            source.read_exact(out)?;
            self.turn_around(out);
            return Ok(());
        }
        let (channel, number) = (self.channel_bytes(), self.voxel_type().size());
        let stored = self.recipe.datatype.size();
        let mut chunk = vec![0; CHUNK];
        for frame in out.chunks_exact_mut(channel * self.parts().len()) {
            let mut done = 0;
            while done < channel {
                let voxels = ((channel - done) / number).min(CHUNK / stored);
                let chunk = &mut chunk[..voxels * stored];
                source.read_exact(chunk)?;
                let parts: &[Part] = self.parts();
                for (&part, plane) in parts.iter().zip(frame.chunks_exact_mut(channel)) {
                    self.recipe.bytes(chunk, part, &mut plane[done..done + voxels * number]);
                }
                done += voxels * number;
            }
        }
        Ok(())
    }
}

/// A file read from a place on.
struct At<'a> {
    volume: &'a Volume,
    file: File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(out, self.offset)?;
        if read == 0 && !out.is_empty() {
            let found = self.file.metadata().map_or(0, |data| data.len());
            if let Error::File { finding, .. } = self.volume.truncated(found) {
                return Err(finding.into());
            }
        }
        self.offset += read as u64;
        Ok(read)
    }
}
