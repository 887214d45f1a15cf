//! A volume: one image on disk.

use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::container::{self, Located, Source};
use crate::convert::{Part, Recipe, Scaling};
use crate::datatype::Datatype;
use crate::error::Error;
use crate::extension::{self, Extension};
use crate::finding::{Finding, Judge, Problem};
use crate::geometry::Geometry;
use crate::header::{Header, Storage};
use crate::mapped;
use crate::options::{Color, Complex, Frames, Io, ReadOptions};
use crate::voxels::VoxelType;

/// One image on disk: its header, which has been checked against the file, its geometry, and how to get at its voxels.
///
/// Opening reads the header only. A compressed file is checked for damage whenever its voxels are read, to its very end.
/// Arrays are planar, [C, z, y, x] with x contiguous, in the byte order of this machine.
///
/// ```no_run
/// use batchwright_nifti::{Region, Volume};
/// let volume = Volume::open("brain.nii")?;
/// let region = Region::new([10, 20, 30], [32, 32, 32], volume.shape())?;
/// let mut patch = vec![0.0; region.voxels()];
/// volume.read_region_f32(&region, 0, &mut patch)?;
/// # Ok::<(), batchwright_nifti::Error>(())
/// ```
#[derive(Debug)]
pub struct Volume {
    // Invariant: the voxels that the options ask for are not more than the header says.
    pub(crate) path: PathBuf,
    pub(crate) located: Located,
    pub(crate) options: ReadOptions,
    pub(crate) recipe: Recipe,
    pub(crate) map: Option<Mmap>,
    geometry: Geometry,
    scaling: Scaling,
}

impl Volume {
    /// Opens a volume with the default options.
    ///
    /// # Errors
    /// As [`open_with`](Self::open_with).
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(path, &ReadOptions::default())
    }

    /// Opens a volume: `.nii`, or one file of an `.hdr`/`.img` pair; each may be compressed. What a file is, is found by its
    /// content.
    ///
    /// # Errors
    /// Names the file, the field, what it must be and what it is; [`Error::problem`] is the kind.
    pub fn open_with(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Self, Error> {
        let path = path.as_ref();
        let mut located = container::locate(path, options.lenient, options.max_bytes)?;
        let mut judge = Judge::new(options.lenient);
        let header = &located.header;
        let at_header = |finding| Error::file(&located.header_path, finding);
        check_choices(header, options).map_err(at_header)?;
        let scaling = scaling(header, options.complex, &mut judge).map_err(at_header)?;
        let geometry = Geometry::judged(header, &mut judge);
        let recipe = Recipe { datatype: header.datatype, order: header.byte_order };
        let map = match options.io {
            // A compressed file is read once, from end to end: a map would only add faults.
            Io::Read | Io::Mmap if located.compressed => None,
            Io::Read => None,
            Io::Mmap => {
                let (file, bytes) = container::open(&located.image_path)?;
                // Neither more than was checked, nor more than there is now.
                let bytes = bytes.min(located.file_bytes) as usize;
                let map = mapped::map(&file, bytes);
                Some(map.map_err(|error| Error::io("map", &located.image_path, error))?)
            }
        };
        located.warnings.extend(judge.warnings);
        let options = options.clone();
        Ok(Self { path: path.to_owned(), located, options, recipe, map, geometry, scaling })
    }

    /// Returns the path that it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the file that holds the voxels; for a pair, this is not that of the header.
    pub fn image_path(&self) -> &Path {
        &self.located.image_path
    }

    /// Returns the file that holds the header.
    pub fn header_path(&self) -> &Path {
        &self.located.header_path
    }

    /// Returns the header.
    pub fn header(&self) -> &Header {
        &self.located.header
    }

    /// Returns what is odd about the file.
    pub fn warnings(&self) -> &[Finding] {
        &self.located.warnings
    }

    /// Returns where the voxels lie in the world.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Returns the length of x, y and z.
    pub fn shape(&self) -> [usize; 3] {
        self.located.header.space()
    }

    /// Returns how many channels come out: the frames that the options ask for, times the parts of a colour.
    pub fn channels(&self) -> usize {
        self.frames() * self.parts().len()
    }

    /// Returns the type of the voxels that come out.
    pub fn voxel_type(&self) -> VoxelType {
        self.recipe.voxel_type()
    }

    /// Returns what the voxels that come out mean.
    pub fn scaling(&self) -> Scaling {
        self.scaling
    }

    /// Returns whether the voxels are compressed on disk, so that any read of them inflates them all.
    pub fn is_compressed(&self) -> bool {
        self.located.compressed
    }

    /// Returns the bytes of one channel that comes out.
    pub fn channel_bytes(&self) -> usize {
        self.shape().iter().product::<usize>() * self.voxel_type().size()
    }

    /// Returns the bytes of all channels that come out.
    pub fn stored_bytes(&self) -> u64 {
        self.channels() as u64 * self.channel_bytes() as u64
    }

    /// Reads the header extensions, which were checked on opening.
    ///
    /// # Errors
    /// Fails where the file cannot be read any more, or where only a lenient reader passed over them.
    pub fn extensions(&self) -> Result<Vec<Extension>, Error> {
        let Located { header, header_path, .. } = &self.located;
        let (mut source, _) = Source::open(header_path, self.options.lenient)?;
        let reading = |error| Error::reading("read the extensions of", header_path, error);
        let mut head = vec![0; header.version.header_bytes()];
        std::io::Read::read_exact(&mut source, &mut head).map_err(reading)?;
        let mut rest = Vec::new();
        std::io::Read::read_to_end(&mut std::io::Read::take(&mut source, 4), &mut rest).map_err(reading)?;
        let Some(from) = container::flagged(header, &rest) else { return Ok(Vec::new()) };
        let bytes = match header.storage {
            // At most `max_bytes`, which was checked.
            Storage::Single => {
                let mut bytes = Vec::new();
                let mut place = std::io::Read::take(source, header.vox_offset - from);
                std::io::Read::read_to_end(&mut place, &mut bytes).map_err(reading)?;
                bytes
            }
            Storage::Pair => container::behind_header(&rest, &mut source).map_err(reading)?,
        };
        extension::parse(&bytes, header.byte_order).map_err(reading)
    }

    /// Returns the frames that come out.
    pub(crate) fn frames(&self) -> usize {
        match self.options.frames {
            Frames::All => self.located.header.frames(),
            Frames::One(_) => 1,
        }
    }

    /// Returns the first frame that comes out.
    pub(crate) fn first_frame(&self) -> usize {
        match self.options.frames {
            Frames::All => 0,
            Frames::One(frame) => frame,
        }
    }

    /// Returns the numbers that come out of each stored voxel, a channel each.
    pub(crate) fn parts(&self) -> &'static [Part] {
        match (self.recipe.datatype, self.options.complex, self.options.color) {
            (Datatype::Real(_), ..) => &[Part::Whole],
            (Datatype::Complex64 | Datatype::Complex128, Complex::Real, _) => &[Part::Real],
            (Datatype::Complex64 | Datatype::Complex128, Complex::Imaginary, _) => &[Part::Imaginary],
            (Datatype::Complex64 | Datatype::Complex128, ..) => &[Part::Magnitude],
            (Datatype::Rgb24, _, Color::Channels) => &[Part::Byte(0), Part::Byte(1), Part::Byte(2)],
            (Datatype::Rgba32, _, Color::Channels) => {
                &[Part::Byte(0), Part::Byte(1), Part::Byte(2), Part::Byte(3)]
            }
            (Datatype::Rgb24 | Datatype::Rgba32, ..) => &[Part::Luminance],
        }
    }
}

/// Checks that the options fit what the file holds.
fn check_choices(header: &Header, options: &ReadOptions) -> Result<(), Finding> {
    let datatype = header.datatype;
    let refused = (datatype.is_complex() && options.complex == Complex::Refuse)
        || (datatype.is_color() && options.color == Color::Refuse);
    if refused {
        let expected = if datatype.is_complex() {
            "real, or read with `complex: magnitude`, `real` or `imaginary`"
        } else {
            "real, or read with `color: channels` or `luminance`"
        };
        return Err(Finding::new(Problem::UnsupportedDatatype, "the type of the voxels", expected, datatype));
    }
    if let Frames::One(frame) = options.frames
        && header.frames() <= frame
    {
        let expected = format!("less than {}, the frames of the file", header.frames());
        return Err(Finding::new(Problem::BadDim, "`frames: one`", expected, frame));
    }
    let channels = match (datatype, options.color) {
        (Datatype::Rgba32, Color::Channels) => 4,
        (Datatype::Rgb24, Color::Channels) => 3,
        _ => 1,
    };
    // Colours come apart into as many bytes as they have, and everything else into at most as many.
    debug_assert!(channels <= datatype.size(), "{datatype}");
    Ok(())
}

fn scaling(header: &Header, complex: Complex, judge: &mut Judge) -> Result<Scaling, Finding> {
    let [slope, inter] = header.raw_scaling();
    if header.datatype.is_color() || slope == 0.0 || !slope.is_finite() {
        return Ok(Scaling::IDENTITY);
    }
    if header.datatype.is_complex() && complex == Complex::Magnitude {
        if inter != 0.0 {
            let expected = "0 where the magnitude of complex numbers is read";
            judge.tolerate(Finding::new(Problem::BadScaling, "scl_inter", expected, inter))?;
        }
        return Ok(Scaling { slope: slope.abs(), inter: 0.0 });
    }
    Ok(Scaling { slope, inter })
}
