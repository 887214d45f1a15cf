//! Volumes into files.

mod form;
mod header;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use flate2::{Compression, GzBuilder};

use crate::affine::VoxelToWorld;
use crate::error::Error;
use crate::voxels::{VoxelSlice, with_voxels};

use form::QuaternionForm;
use header::Fields;
pub use header::{ByteOrder, NiftiVersion, Space};

/// The longest axis that NIfTI-1 has room for.
const LONGEST_IN_ONE: usize = 32767;

/// How a volume is written.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteOptions {
    /// The layout of the header; by default NIfTI-1, or NIfTI-2 where an axis is longer than 32767.
    pub version: Option<NiftiVersion>,
    /// The order of the bytes; by default little-endian.
    pub byte_order: ByteOrder,
    /// How hard `.nii.gz` is compressed, from 0 to 9; by default 6.
    pub level: u32,
    /// What the world coordinates refer to; by default the scanner.
    pub space: Space,
    /// A reader multiplies stored voxels by this ...; by default 1. NIfTI-1 keeps it in single precision.
    pub slope: f64,
    /// ... and adds this; by default 0.
    pub inter: f64,
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
            slope: 1.0,
            inter: 0.0,
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
        let gzip = is_gzip(path)?;
        let header = self.header(options)?.encode();
        let level = gzip.then_some(options.level);
        let folder = match path.parent() {
            Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
            Some(folder) => folder,
            None => return Err(Error::choice("path", "the name of a file", path.display())),
        };
        let failed = |source| Error::io("write", path, source);
        let mut temporary = tempfile::Builder::new();
        temporary.prefix(".").suffix(".part");
        #[cfg(unix)]
        {
            // As files are made otherwise: what the umask allows. The default is for the owner's eyes only.
            use std::os::unix::fs::PermissionsExt;
            temporary.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let mut file = temporary.tempfile_in(folder).map_err(failed)?;
        self.write_to(file.as_file_mut(), &header, options.byte_order, level).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(path).map_err(|error| failed(error.error))?;
        // The name is on the disk when the folder is.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }

    /// Writes header and voxels, and everything that buffers hold.
    fn write_to(
        &self,
        to: impl Write,
        header: &[u8],
        order: ByteOrder,
        level: Option<u32>,
    ) -> io::Result<()> {
        let mut to = BufWriter::with_capacity(1 << 16, to);
        if let Some(level) = level {
            let mut gzip = GzBuilder::new().write(&mut to, Compression::new(level));
            gzip.write_all(header)?;
            self.write_voxels(&mut gzip, order)?;
            gzip.finish()?;
        } else {
            to.write_all(header)?;
            self.write_voxels(&mut to, order)?;
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

    /// Checks everything and returns what goes into the header.
    fn header(&self, options: &WriteOptions) -> Result<Fields, Error> {
        let mut dims = self.shape.to_vec();
        if self.channels != 1 {
            dims.push(self.channels);
        }
        let voxels = dims.iter().try_fold(1_usize, |product, &n| product.checked_mul(n));
        if voxels.is_none_or(|n| n == 0 || n != self.voxels.len()) {
            let expected = format!("as many as the shape {dims:?} has, which is not 0");
            return Err(Error::choice("voxels", expected, self.voxels.len()));
        }
        let fits = dims.iter().all(|&n| n <= LONGEST_IN_ONE);
        let version = match options.version {
            None if fits => NiftiVersion::One,
            None => NiftiVersion::Two,
            Some(NiftiVersion::One) if !fits => {
                let expected = "NIfTI-2 where an axis is longer than 32767";
                return Err(Error::choice("version", expected, format!("NIfTI-1 for {dims:?}")));
            }
            Some(version) => version,
        };
        if 9 < options.level {
            return Err(Error::choice("level", "from 0 to 9", options.level));
        }
        // Numbers as the file will hold them.
        let kept = |x: f64| if version == NiftiVersion::One { f64::from(x as f32) } else { x };
        let (slope, inter) = (kept(options.slope), kept(options.inter));
        if !slope.is_finite() || slope == 0.0 {
            return Err(Error::choice("slope", "finite and not 0 in the file's precision", options.slope));
        }
        if !inter.is_finite() {
            return Err(Error::choice("inter", "finite in the file's precision", options.inter));
        }
        let mut affine = self.voxel_to_world.0;
        affine.0.iter_mut().flatten().for_each(|x| *x = kept(*x));
        let zooms = affine.column_lengths();
        if affine.inverse().is_none() || !zooms.iter().all(|&zoom| 0.0 < kept(zoom) && kept(zoom).is_finite())
        {
            let found = format!("{:?}", self.voxel_to_world.0.0);
            return Err(Error::choice("voxel_to_world", "an invertible map of finite numbers", found));
        }
        Ok(Fields {
            version,
            order: options.byte_order,
            dims,
            voxel_type: self.voxels.voxel_type(),
            affine,
            zooms,
            quaternion: QuaternionForm::of(&affine, zooms),
            space: options.space,
            slope,
            inter,
            description: options.description.clone(),
        })
    }
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
