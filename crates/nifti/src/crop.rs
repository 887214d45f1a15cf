//! A box of voxels of a volume, into memory of the caller.

use std::cell::RefCell;

use crate::container;
use crate::convert::{self, Part, Recipe, Scaling};
use crate::datatype::Datatype;
use crate::error::Error;
use crate::read::Runs;
use crate::region::Region;
use crate::volume::Volume;
use crate::voxels::VoxelType;

/// Bytes between two runs that cost less to read than another call does.
const GAP: u64 = 8 << 10;

/// Bytes of one read of several runs, and of one piece of a run that is converted.
const MOST: usize = 3 << 18;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Where voxels go.
trait Target {
    /// Returns the memory of voxels of which the bytes can be read right there, to be put in order by `finish`.
    fn place(&mut self, first: usize, voxels: usize) -> Option<&mut [u8]>;
    /// Takes the stored bytes of some voxels.
    fn put(&mut self, first: usize, stored: &[u8]);
    /// Is told that all is there.
    fn finish(&mut self);
}

struct AsStored<'a> {
    out: &'a mut [u8],
    recipe: Recipe,
    part: Part,
}

impl Target for AsStored<'_> {
    fn place(&mut self, first: usize, voxels: usize) -> Option<&mut [u8]> {
        let size = self.recipe.voxel_type().size();
        (self.part == Part::Whole).then(|| &mut self.out[first * size..(first + voxels) * size])
    }

    fn put(&mut self, first: usize, stored: &[u8]) {
        let voxels = stored.len() / self.recipe.datatype.size();
        let size = self.recipe.voxel_type().size();
        let out = &mut self.out[first * size..(first + voxels) * size];
        if self.part == Part::Whole {
            out.copy_from_slice(stored);
        } else {
            self.recipe.bytes(stored, self.part, out);
        }
    }

    fn finish(&mut self) {
        if self.part == Part::Whole && self.recipe.swaps() {
            convert::swap(self.out, self.recipe.datatype.swapped_size());
        }
    }
}

struct AsF32<'a> {
    out: &'a mut [f32],
    recipe: Recipe,
    part: Part,
    scaling: Scaling,
}

impl Target for AsF32<'_> {
    fn place(&mut self, _: usize, _: usize) -> Option<&mut [u8]> {
        None
    }

    fn put(&mut self, first: usize, stored: &[u8]) {
        let voxels = stored.len() / self.recipe.datatype.size();
        self.recipe.f32(stored, self.part, self.scaling, &mut self.out[first..first + voxels]);
    }

    fn finish(&mut self) {}
}

impl Volume {
    /// Reads a box of one channel as stored, in the byte order of this machine: `region.voxels()` times the size of
    /// [`voxel_type`](Self::voxel_type) bytes.
    ///
    /// Of an uncompressed file only the box is read, and gaps that are too short to be worth a call of their own. A
    /// compressed file is inflated whole each time; a [`Cache`](crate) does that once.
    ///
    /// # Errors
    /// As [`read_all_at`](Self::read_all_at).
    pub fn read_region(&self, region: &Region, channel: usize, out: &mut [u8]) -> Result<(), Error> {
        let (frame, part) = self.checked(region, channel, out.len(), self.voxel_type().size())?;
        if self.is_compressed() {
            let (room, at) = self.decoded()?;
            let plane = &room[at + channel * self.channel_bytes()..];
            let recipe = native(self.voxel_type());
            copy(plane, region, &mut AsStored { out, recipe, part: Part::Whole }, recipe.datatype.size());
            return Ok(());
        }
        self.read_box(region, frame, &mut AsStored { out, recipe: self.recipe, part })
    }

    /// Reads a box of one channel, scaled, as `f32`: each value is worked out in double precision and rounded once.
    ///
    /// # Errors
    /// As [`read_region`](Self::read_region).
    pub fn read_region_f32(&self, region: &Region, channel: usize, out: &mut [f32]) -> Result<(), Error> {
        let (frame, part) = self.checked(region, channel, out.len(), 1)?;
        let scaling = self.scaling();
        if self.is_compressed() {
            let (room, at) = self.decoded()?;
            let plane = &room[at + channel * self.channel_bytes()..];
            let recipe = native(self.voxel_type());
            copy(
                plane,
                region,
                &mut AsF32 { out, recipe, part: Part::Whole, scaling },
                recipe.datatype.size(),
            );
            return Ok(());
        }
        self.read_box(region, frame, &mut AsF32 { out, recipe: self.recipe, part, scaling })
    }

    /// Reads all channels, scaled, as `f32`.
    ///
    /// # Errors
    /// As [`read_all_at`](Self::read_all_at).
    pub fn read_f32_all(&self, out: &mut [f32]) -> Result<(), Error> {
        let plane: usize = self.shape().iter().product();
        let voxels = plane * self.channels();
        if out.len() != voxels {
            return Err(Error::choice("out", format!("{voxels} voxels"), out.len()));
        }
        if self.is_compressed() {
            let (room, at) = self.decoded()?;
            convert::native_to_f32(self.voxel_type(), &room[at..], self.scaling(), out);
            return Ok(());
        }
        let region = Region::whole(self.shape())?;
        for (channel, out) in out.chunks_exact_mut(plane).enumerate() {
            self.read_region_f32(&region, channel, out)?;
        }
        Ok(())
    }

    /// Returns the frame and part of a channel, after all has been compared.
    fn checked(
        &self,
        region: &Region,
        channel: usize,
        out: usize,
        size: usize,
    ) -> Result<(usize, Part), Error> {
        if region.shape() != self.shape() {
            let expected = format!("a box in a volume of {:?}", self.shape());
            return Err(Error::choice("region", expected, format_args!("one of {:?}", region.shape())));
        }
        if self.channels() <= channel {
            return Err(Error::choice("channel", format!("less than {}", self.channels()), channel));
        }
        if out != region.voxels() * size {
            return Err(Error::choice("out", format!("a length of {}", region.voxels() * size), out));
        }
        let parts = self.parts();
        Ok((self.first_frame() + channel / parts.len(), parts[channel % parts.len()]))
    }

    fn read_box(&self, region: &Region, frame: usize, to: &mut impl Target) -> Result<(), Error> {
        let header = &self.located.header;
        let frame_bytes = header.voxel_bytes() / header.frames() as u64;
        let start = header.vox_offset + frame as u64 * frame_bytes;
        let size = self.recipe.datatype.size();
        if let Some(map) = &self.map {
            let frame = map.get(start as usize..(start + frame_bytes) as usize);
            copy(frame.ok_or_else(|| self.truncated(map.len() as u64))?, region, to, size);
            return Ok(());
        }
        let runs = Runs::of(region, size, start);
        let voxels = runs.bytes() / size;
        let (file, _) = container::open(&self.located.image_path)?;
        let mut buffer = BUFFER.take();
        // A read that holds one run only goes right to its place, or piece by piece.
        let piece = MOST / size;
        for read in runs.reads(GAP, MOST as u64) {
            let first = read.runs.start * voxels;
            if read.runs.len() == 1 {
                if let Some(out) = to.place(first, voxels) {
                    self.read_at(&file, out, read.offset)?;
                    continue;
                }
                for done in (0..voxels).step_by(piece) {
                    let bytes = piece.min(voxels - done) * size;
                    let buffer = sized(&mut buffer, bytes);
                    self.read_at(&file, buffer, read.offset + (done * size) as u64)?;
                    to.put(first + done, buffer);
                }
                continue;
            }
            let buffer = sized(&mut buffer, read.bytes);
            self.read_at(&file, buffer, read.offset)?;
            for run in read.runs {
                let at = (runs.offset(run) - read.offset) as usize;
                to.put(run * voxels, &buffer[at..at + runs.bytes()]);
            }
        }
        BUFFER.set(buffer);
        to.finish();
        Ok(())
    }
}

fn native(voxel: VoxelType) -> Recipe {
    Recipe { datatype: Datatype::Real(voxel), order: crate::header::ByteOrder::NATIVE }
}

fn sized(buffer: &mut Vec<u8>, bytes: usize) -> &mut [u8] {
    if buffer.len() < bytes {
        buffer.resize(bytes, 0);
    }
    &mut buffer[..bytes]
}

/// Takes a box out of a plane in memory.
fn copy(plane: &[u8], region: &Region, to: &mut impl Target, size: usize) {
    let runs = Runs::of(region, size, 0);
    for run in 0..runs.len() {
        let at = runs.offset(run) as usize;
        to.put(run * (runs.bytes() / size), &plane[at..at + runs.bytes()]);
    }
    to.finish();
}
