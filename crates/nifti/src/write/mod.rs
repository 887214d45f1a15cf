//! Volumes into files.

mod form;
mod planes;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use flate2::{Compression, GzBuilder};
use tempfile::NamedTempFile;

use crate::affine::VoxelToWorld;
use crate::convert::Scaling;
use crate::datatype::Datatype;
use crate::error::Error;
use crate::header::{ByteOrder, Header, Storage, Version};
use crate::voxels::{VoxelSlice, with_voxels};

use form::QuaternionForm;
pub use planes::VolumeFile;

/// What the world coordinates of a file refer to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Space {
    /// The scanner.
    #[default]
    Scanner,
    /// Another image that this one was aligned to.
    Aligned,
    /// The atlas of Talairach and Tournoux.
    Talairach,
    /// The MNI 152 template.
    Mni152,
}

impl Space {
    /// Returns the code that headers have for it.
    pub const fn code(self) -> i32 {
        match self {
            Self::Scanner => 1,
            Self::Aligned => 2,
            Self::Talairach => 3,
            Self::Mni152 => 4,
        }
    }
}

/// How a volume is written.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteOptions {
    /// The layout of the header; by default NIfTI-1, or NIfTI-2 where an axis is longer than 32767.
    pub version: Option<Version>,
    /// The order of the bytes; by default little-endian.
    pub byte_order: ByteOrder,
    /// How hard `.nii.gz` is compressed, from 0 to 9; by default 6.
    pub level: u32,
    /// What the world coordinates refer to; by default the scanner.
    pub space: Space,
    /// What stored voxels mean to a reader; by default themselves. NIfTI-1 keeps it in single precision.
    pub scaling: Scaling,
    /// A text of at most 79 bytes; the rest is cut off. By default `batchwright`.
    pub description: String,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            version: None,
            byte_order: ByteOrder::Little,
            level: 6,
            space: Space::Scanner,
            scaling: Scaling::IDENTITY,
            description: "batchwright".to_owned(),
        }
    }
}

/// Voxels with their geometry, to be written.
///
/// ```
/// use batchwright_nifti::{Affine, NewVolume, VoxelSlice, VoxelToWorld, WriteOptions};
/// let folder = tempfile::tempdir()?;
/// let voxels = vec![7_i16; 4 * 3 * 2];
/// let volume = NewVolume {
///     voxels: VoxelSlice::I16(&voxels),
///     shape: [4, 3, 2],
///     channels: 1,
///     voxel_to_world: VoxelToWorld(Affine::scale([1.0, 1.0, 2.5])),
/// };
/// volume.write(&folder.path().join("seven.run-1.nii.gz"), &WriteOptions::default())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct NewVolume<'a> {
    /// The voxels as they are to be stored: channel after channel, each [z, y, x].
    pub voxels: VoxelSlice<'a>,
    /// The shape of one channel: x, y, z.
    pub shape: [usize; 3],
    /// How many channels there are. More than one make a file of four dimensions.
    pub channels: usize,
    /// Where the voxels lie. Written as the sform, and as the qform where it is a rotation with a scale per axis.
    pub voxel_to_world: VoxelToWorld,
}

impl NewVolume<'_> {
    /// Writes the file `path`, which ends in `.nii` or `.nii.gz` (in any case): under another name in the same folder
    /// first, which takes the place of `path` when all of it has reached the disk. A failure leaves what was there.
    ///
    /// # Errors
    /// Refuses another ending, a number of voxels that does not fit the shape, a map that is not finite or flat, a
    /// scaling that is not finite or 0, NIfTI-1 for an axis longer than 32767; says what the system refused.
    pub fn write(&self, path: &Path, options: &WriteOptions) -> Result<(), Error> {
        self.write_as(path, &self.header(options)?, options.level)
    }

    /// Writes a file as [`write`](Self::write) does, with another header, such as one of [`Header::of_same_space`]: the
    /// geometry and the scaling are what the header says.
    ///
    /// # Errors
    /// As [`write`](Self::write); refuses a header of another shape or type, or of a pair of files.
    pub fn write_as(&self, path: &Path, header: &Header, level: u32) -> Result<(), Error> {
        let gzip = is_gzip(path)?;
        if 9 < level {
            return Err(Error::choice("level", "from 0 to 9", level));
        }
        let datatype = Datatype::Real(self.voxels.voxel_type());
        let fits = header.space() == self.shape && header.frames() == self.channels;
        if header.storage() != Storage::Single || header.datatype() != datatype || !fits {
            let expected =
                format!("of one file with {datatype} of {:?}, {} times", self.shape, self.channels);
            let found = format!("{:?} of {} and {:?}", header.storage(), header.datatype(), header.shape());
            return Err(Error::choice("header", expected, found));
        }
        self.check_voxels()?;
        let level = gzip.then_some(level);
        let mut file = temporary(path)?;
        self.write_to(file.as_file_mut(), header, level)
            .map_err(|source| Error::io("write", path, source))?;
        persist(file, path)
    }

    /// Writes header and voxels, and everything that buffers hold.
    fn write_to(&self, to: impl Write, header: &Header, level: Option<u32>) -> io::Result<()> {
        let start = start_of(header);
        let mut to = BufWriter::with_capacity(1 << 16, to);
        if let Some(level) = level {
            let mut gzip = GzBuilder::new().write(&mut to, Compression::new(level));
            gzip.write_all(&start)?;
            self.write_voxels(&mut gzip, header.byte_order())?;
            gzip.finish()?;
        } else {
            to.write_all(&start)?;
            self.write_voxels(&mut to, header.byte_order())?;
        }
        to.flush()
    }

    fn write_voxels(&self, to: &mut impl Write, order: ByteOrder) -> io::Result<()> {
        /// Voxels that are turned into bytes at a time.
        const CHUNK: usize = 8192;
        let mut bytes = Vec::with_capacity(CHUNK * self.voxels.voxel_type().size());
        with_voxels!(self.voxels, voxels => for chunk in voxels.chunks(CHUNK) {
            bytes.clear();
            match order {
                ByteOrder::Little => chunk.iter().for_each(|x| bytes.extend_from_slice(&x.to_le_bytes())),
                ByteOrder::Big => chunk.iter().for_each(|x| bytes.extend_from_slice(&x.to_be_bytes())),
            }
            to.write_all(&bytes)?;
        });
        Ok(())
    }

    fn check_voxels(&self) -> Result<(), Error> {
        let voxels = self.shape.iter().try_fold(self.channels, |product, &n| product.checked_mul(n));
        if voxels.is_none_or(|n| n == 0 || n != self.voxels.len()) {
            let expected = format!("{} times as many as {:?} has, which is not 0", self.channels, self.shape);
            return Err(Error::choice("voxels", expected, self.voxels.len()));
        }
        Ok(())
    }

    /// Returns the header that [`write`](Self::write) writes.
    ///
    /// # Errors
    /// As [`write`](Self::write), of choices.
    pub fn header(&self, options: &WriteOptions) -> Result<Header, Error> {
        self.check_voxels()?;
        let mut dims = self.shape.to_vec();
        if self.channels != 1 {
            dims.push(self.channels);
        }
        let header = Header::new(&dims, Datatype::Real(self.voxels.voxel_type()))?;
        let version = options.version.unwrap_or(header.version());
        let mut header = header
            .with_layout(version, options.byte_order, Storage::Single, 0)?
            .with_description(&options.description);
        // Numbers as the file will hold them.
        let kept = |x: f64| if version == Version::One { f64::from(x as f32) } else { x };
        let Scaling { slope, inter } = options.scaling;
        (header.slope, header.inter) = (kept(slope), kept(inter));
        if !header.slope.is_finite() || header.slope == 0.0 || !header.inter.is_finite() {
            let expected = "finite and with a slope that is not 0, in the file's precision";
            return Err(Error::choice("scaling", expected, format!("slope {slope}, inter {inter}")));
        }
        let mut affine = self.voxel_to_world.0;
        affine.0.iter_mut().flatten().for_each(|x| *x = kept(*x));
        let zooms = affine.column_lengths();
        if affine.inverse().is_none() || !zooms.iter().all(|&zoom| 0.0 < kept(zoom) && kept(zoom).is_finite())
        {
            let found = format!("{:?}", self.voxel_to_world.0.0);
            return Err(Error::choice("voxel_to_world", "an invertible map of finite numbers", found));
        }
        header.srow = affine.0;
        header.sform_code = options.space.code();
        header.pixdim[1..4].copy_from_slice(&zooms);
        if let Some(form) = QuaternionForm::of(&affine, zooms) {
            header.qform_code = options.space.code();
            header.pixdim[0] = form.handedness;
            (header.quatern, header.qoffset) = (form.vector, form.offset);
        }
        // Channels have no unit, as time would have.
        header.rest.xyzt_units = nifti::Unit::Mm as i32;
        Ok(header)
    }
}

/// Returns everything before the voxels.
fn start_of(header: &Header) -> Vec<u8> {
    let mut start = header.encode();
    // The four bytes that say that no extension follows, and whatever is left out before the voxels.
    start.resize(header.vox_offset() as usize, 0);
    start
}

/// Returns the folder that a file is to lie in.
fn folder_of(path: &Path) -> Result<&Path, Error> {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Ok(Path::new(".")),
        Some(folder) => Ok(folder),
        None => Err(Error::choice("path", "the name of a file", path.display())),
    }
}

/// Makes a file of another name in the folder of `path`, which is gone again unless it is persisted.
fn temporary(path: &Path) -> Result<NamedTempFile, Error> {
    let mut temporary = tempfile::Builder::new();
    temporary.prefix(".").suffix(".part");
    #[cfg(unix)]
    {
        // As files are made otherwise: what the umask allows. The default is for the owner's eyes only.
        use std::os::unix::fs::PermissionsExt;
        temporary.permissions(std::fs::Permissions::from_mode(0o666));
    }
    temporary.tempfile_in(folder_of(path)?).map_err(|source| Error::io("write", path, source))
}

/// Gives a file its name when all of it has reached the disk.
fn persist(file: NamedTempFile, path: &Path) -> Result<(), Error> {
    let failed = |source| Error::io("write", path, source);
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    // The name is on the disk when the folder is.
    File::open(folder_of(path)?).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// Returns whether the name of a file asks for compression.
fn is_gzip(path: &Path) -> Result<bool, Error> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    match name.rsplit_once('.') {
        Some((_, "nii")) => Ok(false),
        Some((name, "gz")) if name.rsplit_once('.').is_some_and(|(_, ending)| ending == "nii") => Ok(true),
        _ => Err(Error::choice("path", "a name that ends in .nii or .nii.gz", path.display())),
    }
}

#[cfg(test)]
mod tests;
