//! A volume written plane by plane, in bounded memory.

use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};
use tempfile::NamedTempFile;

use super::{is_gzip, persist, start_of, temporary};
use crate::aggregate::Planes;
use crate::datatype::Datatype;
use crate::error::Error;
use crate::header::{ByteOrder, Header, Storage};
use crate::voxels::VoxelType;

/// A file of single-precision voxels that takes its planes one by one, as an [`Aggregator`](crate::Aggregator) hands them
/// out; it keeps one plane in memory.
///
/// It is written under another name in the same folder, not compressed; [`finish`](VolumeFile::finish) compresses it if it
/// is to end in `.nii.gz`, and gives it its name. Dropped before, it leaves what was there.
#[derive(Debug)]
pub struct VolumeFile {
    path: PathBuf,
    file: NamedTempFile,
    /// The level of compression, for `.nii.gz`.
    level: Option<u32>,
    order: ByteOrder,
    shape: [usize; 3],
    channels: usize,
    header: u64,
    /// How many planes were written of each channel: they come with z rising.
    written: Vec<usize>,
    bytes: Vec<u8>,
}

impl VolumeFile {
    /// Begins the file `path` with a header, such as one of [`Header::of_same_space`]: it says the shape, the number of
    /// channels (its frames) and where the voxels lie. `level`, from 0 to 9, is how hard `.nii.gz` is compressed.
    ///
    /// # Errors
    /// Refuses another ending, and a header of another type than single precision or of a pair of files; says what the
    /// system refused.
    pub fn create(path: &Path, header: &Header, level: u32) -> Result<Self, Error> {
        let gzip = is_gzip(path)?;
        if 9 < level {
            return Err(Error::choice("level", "from 0 to 9", level));
        }
        let datatype = Datatype::Real(VoxelType::F32);
        if header.storage() != Storage::Single || header.datatype() != datatype {
            let found = format!("{:?} of {}", header.storage(), header.datatype());
            return Err(Error::choice("header", format!("of one file with {datatype}"), found));
        }
        let start = start_of(header);
        let mut file = temporary(path)?;
        file.write_all(&start).map_err(|source| Error::io("write", path, source))?;
        let (shape, channels) = (header.space(), header.frames());
        Ok(Self {
            path: path.to_owned(),
            file,
            level: gzip.then_some(level),
            order: header.byte_order(),
            shape,
            channels,
            header: start.len() as u64,
            written: vec![0; channels],
            bytes: Vec::with_capacity(size_of::<f32>() * shape[0] * shape[1]),
        })
    }

    /// Ends the file and gives it its name.
    ///
    /// # Errors
    /// Refuses to end before the last plane of each channel; says what the system refused.
    pub fn finish(self) -> Result<(), Error> {
        let (found, planes) = (self.written.iter().sum(), self.channels * self.shape[2]);
        if found != planes {
            return Err(Error::PlanesMissing { path: self.path, found, planes });
        }
        let Self { path, mut file, level, .. } = self;
        let Some(level) = level else {
            return persist(file, &path);
        };
        let failed = |source| Error::io("write", &path, source);
        let mut compressed = temporary(&path)?;
        let mut gzip = GzBuilder::new()
            .write(BufWriter::with_capacity(1 << 16, compressed.as_file_mut()), Compression::new(level));
        file.rewind().and_then(|()| io::copy(file.as_file_mut(), &mut gzip)).map_err(failed)?;
        gzip.finish().and_then(|mut buffer| buffer.flush()).map_err(failed)?;
        persist(compressed, &path)
    }
}

impl Planes for VolumeFile {
    fn plane(&mut self, channel: usize, z: usize, voxels: &[f32]) -> Result<(), Error> {
        let length = self.shape[0] * self.shape[1];
        let next = self.written.get(channel).copied().filter(|&next| next < self.shape[2]);
        if next != Some(z) || voxels.len() != length {
            let expected = format!("{length} voxels of plane {next:?} of channel {channel}");
            let found = format!("{} of plane {z}", voxels.len());
            return Err(Error::choice("the next plane", expected, found));
        }
        self.bytes.clear();
        match self.order {
            ByteOrder::Little => self.bytes.extend(voxels.iter().flat_map(|x| x.to_le_bytes())),
            ByteOrder::Big => self.bytes.extend(voxels.iter().flat_map(|x| x.to_be_bytes())),
        }
        let at = self.header + ((channel * self.shape[2] + z) * length * size_of::<f32>()) as u64;
        let file = self.file.as_file_mut();
        file.seek(SeekFrom::Start(at))
            .and_then(|_| file.write_all(&self.bytes))
            .map_err(|source| Error::io("write", &self.path, source))?;
        self.written[channel] += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::affine::{Affine, VoxelToWorld};
    use crate::voxels::VoxelSlice;
    use crate::write::{NewVolume, WriteOptions};

    const SHAPE: [usize; 3] = [4, 3, 5];

    fn volume(voxels: &[f32], channels: usize) -> NewVolume<'_> {
        let map = Affine([[-1.5, 0.0, 0.0, 3.0], [0.0, 2.0, 0.0, -8.0], [0.0, 0.0, 0.75, 1.0]]);
        let voxels = VoxelSlice::F32(&voxels[..60 * channels]);
        NewVolume { voxels, shape: SHAPE, channels, voxel_to_world: VoxelToWorld(map) }
    }

    #[test]
    fn a_file_of_planes_is_the_file_of_the_volume() {
        let folder = tempfile::tempdir().unwrap();
        let voxels: Vec<f32> = (0..120).map(|i| i as f32 * 0.37 - 5.0).collect();
        for (name, channels, order) in [
            ("one.nii", 1, ByteOrder::Little),
            ("two.nii", 2, ByteOrder::Big),
            ("one.nii.gz", 1, ByteOrder::Big),
            ("two.nii.gz", 2, ByteOrder::Little),
        ] {
            let options = WriteOptions { byte_order: order, ..WriteOptions::default() };
            let path = folder.path().join(name);
            let volume = volume(&voxels, channels);
            let mut planes = VolumeFile::create(&path, &volume.header(&options).unwrap(), 6).unwrap();
            for z in 0..5 {
                for channel in 0..channels {
                    let start = (channel * 5 + z) * 12;
                    planes.plane(channel, z, &voxels[start..start + 12]).unwrap();
                }
            }
            planes.finish().unwrap();
            let whole = folder.path().join(format!("whole-{name}"));
            volume.write(&whole, &options).unwrap();
            let content = |path: &Path| {
                let bytes = std::fs::read(path).unwrap();
                let mut content = Vec::new();
                if name.ends_with("gz") {
                    io::copy(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut content).unwrap();
                    content
                } else {
                    bytes
                }
            };
            assert!(content(&path) == content(&whole), "{name}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 8, "nothing else is left");
    }

    #[test]
    fn planes_out_of_turn_are_refused_and_an_unfinished_file_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.nii");
        std::fs::write(&path, "before").unwrap();
        let header = volume(&[0.0; 120], 2).header(&WriteOptions::default()).unwrap();
        let mut planes = VolumeFile::create(&path, &header, 6).unwrap();
        assert!(planes.plane(0, 1, &[0.0; 12]).is_err());
        assert!(planes.plane(2, 0, &[0.0; 12]).is_err());
        assert!(planes.plane(0, 0, &[0.0; 11]).is_err());
        planes.plane(1, 0, &[0.0; 12]).unwrap();
        assert!(planes.plane(1, 0, &[0.0; 12]).is_err());
        let error = planes.finish().unwrap_err();
        assert!(matches!(error, Error::PlanesMissing { found: 1, planes: 10, .. }), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"before");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_a_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let header = volume(&[0.0; 60], 1).header(&WriteOptions::default()).unwrap();
        let create = |name: &str, header: &Header, level| {
            VolumeFile::create(&folder.path().join(name), header, level).map(drop)
        };
        assert!(create("a.nii", &header, 9).is_ok());
        assert!(create("a.npy", &header, 6).is_err());
        assert!(create("a.nii.gz", &header, 10).is_err());
        assert!(create("nowhere/a.nii", &header, 6).is_err());
        let short = header.of_same_space(&SHAPE, Datatype::Real(VoxelType::I16)).unwrap();
        assert!(create("a.nii", &short, 6).unwrap_err().to_string().contains("int16"));
    }
}
