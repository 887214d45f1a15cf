//! The header of a file.

use crate::datatype::Datatype;
use crate::error::Error;

/// The version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// NIfTI-1: a header of 348 bytes, axes of at most 32767 voxels.
    One,
    /// NIfTI-2: a header of 540 bytes.
    Two,
}

impl Version {
    /// Returns the bytes of a header.
    pub const fn header_bytes(self) -> usize {
        match self {
            Self::One => 348,
            Self::Two => 540,
        }
    }

    /// Returns the most voxels that an axis can have.
    pub const fn most_voxels(self) -> u64 {
        match self {
            Self::One => i16::MAX as u64,
            Self::Two => i64::MAX as u64,
        }
    }
}

/// The order of the bytes of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// The lowest byte first.
    Little,
    /// The highest byte first.
    Big,
}

impl ByteOrder {
    /// The order of this machine.
    pub const NATIVE: Self = if cfg!(target_endian = "little") { Self::Little } else { Self::Big };

    /// Returns `little` or `big`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Little => "little",
            Self::Big => "big",
        }
    }
}

/// Where the voxels are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Storage {
    /// Behind the header, in one file (`.nii`).
    Single,
    /// In a file beside the one of the header (`.hdr` and `.img`).
    Pair,
}

/// The most bytes of voxels: what can be addressed, with room for offsets.
pub(crate) const MOST_BYTES: u64 = isize::MAX as u64 / 2 + 1;

/// A header whose fields have been checked: the axes have voxels, the type is known, the sizes do not overflow.
///
/// Fields that only describe are kept as they are in the file, so that [`encode`](Self::encode) gives them back.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    // Invariant: 1 <= rank <= 7; 0 < dim[i] for i < rank, and dim[i] == 1 behind; the bytes of all voxels are at
    // most MOST_BYTES, and vox_offset + that is an i64 and an isize.
    pub(crate) version: Version,
    pub(crate) byte_order: ByteOrder,
    pub(crate) storage: Storage,
    pub(crate) rank: usize,
    pub(crate) dim: [usize; 7],
    pub(crate) datatype: Datatype,
    pub(crate) vox_offset: u64,
    pub(crate) pixdim: [f64; 8],
    pub(crate) slope: f64,
    pub(crate) inter: f64,
    pub(crate) qform_code: i32,
    pub(crate) sform_code: i32,
    pub(crate) quatern: [f64; 3],
    pub(crate) qoffset: [f64; 3],
    pub(crate) srow: [[f64; 4]; 3],
    pub(crate) rest: Descriptive,
}

/// Fields that say nothing about where voxels are or what they mean in numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Descriptive {
    pub(crate) xyzt_units: i32,
    pub(crate) dim_info: u8,
    pub(crate) intent_code: i32,
    pub(crate) intent_p: [f64; 3],
    pub(crate) intent_name: [u8; 16],
    pub(crate) slice_start: i64,
    pub(crate) slice_end: i64,
    pub(crate) slice_code: i32,
    pub(crate) slice_duration: f64,
    pub(crate) toffset: f64,
    pub(crate) cal_max: f64,
    pub(crate) cal_min: f64,
    pub(crate) descrip: [u8; 80],
    pub(crate) aux_file: [u8; 24],
}

impl Header {
    /// Makes the header of a file of `shape` (x, y, z, frames, …) and `datatype`: NIfTI-1 in one file, of this machine's
    /// byte order, or NIfTI-2 where an axis is too long for that. Millimetres and seconds, spacing 1, no scaling.
    ///
    /// # Errors
    /// Refuses no axes, more than 7, an axis without voxels, and more bytes than can be addressed.
    pub fn new(shape: &[usize], datatype: Datatype) -> Result<Self, Error> {
        let choice = |expected: &str| Error::choice("shape", expected, format_args!("{shape:?}"));
        if shape.is_empty() || 7 < shape.len() || shape.contains(&0) {
            return Err(choice("1 to 7 axes of at least one voxel"));
        }
        let bytes = shape.iter().try_fold(datatype.size() as u64, |bytes, &n| bytes.checked_mul(n as u64));
        if bytes.is_none_or(|bytes| MOST_BYTES < bytes) {
            return Err(choice("at most 2^62 bytes of voxels"));
        }
        let longest = shape.iter().copied().max().unwrap_or(1) as u64;
        let version = if longest <= Version::One.most_voxels() { Version::One } else { Version::Two };
        let mut dim = [1; 7];
        dim[..shape.len()].copy_from_slice(shape);
        Ok(Self {
            version,
            byte_order: ByteOrder::NATIVE,
            storage: Storage::Single,
            rank: shape.len(),
            dim,
            datatype,
            vox_offset: version.header_bytes() as u64 + 4,
            pixdim: [1.0; 8],
            slope: 1.0,
            inter: 0.0,
            qform_code: 0,
            sform_code: 0,
            quatern: [0.0; 3],
            qoffset: [0.0; 3],
            srow: [[0.0; 4]; 3],
            rest: Descriptive {
                xyzt_units: nifti::Unit::Mm as i32 | nifti::Unit::Sec as i32,
                dim_info: 0,
                intent_code: 0,
                intent_p: [0.0; 3],
                intent_name: [0; 16],
                slice_start: 0,
                slice_end: 0,
                slice_code: 0,
                slice_duration: 0.0,
                toffset: 0.0,
                cal_max: 0.0,
                cal_min: 0.0,
                descrip: [0; 80],
                aux_file: [0; 24],
            },
        })
    }

    /// Returns a header for other voxels at the same place in the world: the geometry, units and description stay, shape
    /// and type are new, nothing is scaled, and display limits, the intent and the timing of slices are gone.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of_same_space(&self, shape: &[usize], datatype: Datatype) -> Result<Self, Error> {
        let new = Self::new(shape, datatype)?;
        Ok(Self {
            pixdim: self.pixdim,
            qform_code: self.qform_code,
            sform_code: self.sform_code,
            quatern: self.quatern,
            qoffset: self.qoffset,
            srow: self.srow,
            rest: Descriptive {
                xyzt_units: self.rest.xyzt_units,
                descrip: self.rest.descrip,
                dim_info: self.rest.dim_info,
                ..new.rest
            },
            ..new
        })
    }

    /// Says how a header is written: its version, the order of bytes, where the voxels are and where they start in their
    /// file. Offsets below the first that is possible become that one.
    ///
    /// # Errors
    /// Refuses NIfTI-1 where an axis is longer than 32767 voxels or the offset is above 2^24, beyond which single
    /// precision does not hold every whole number.
    pub fn with_layout(
        mut self,
        version: Version,
        byte_order: ByteOrder,
        storage: Storage,
        vox_offset: u64,
    ) -> Result<Self, Error> {
        if version == Version::One {
            if self.dim.iter().any(|&n| Version::One.most_voxels() < n as u64) {
                let found = format!("{:?}", self.shape());
                return Err(Error::choice("version", "2 for axes of more than 32767 voxels", found));
            }
            if 1 << 24 < vox_offset {
                return Err(Error::choice("vox_offset", "at most 2^24 in NIfTI-1", vox_offset));
            }
        }
        let first = match storage {
            Storage::Single => version.header_bytes() as u64 + 4,
            Storage::Pair => 0,
        };
        let vox_offset = vox_offset.max(first);
        if vox_offset.checked_add(self.voxel_bytes()).is_none_or(|end| i64::MAX as u64 <= end) {
            return Err(Error::choice("vox_offset", "less than 2^63 bytes before the end", vox_offset));
        }
        self.version = version;
        self.byte_order = byte_order;
        self.storage = storage;
        self.vox_offset = vox_offset;
        Ok(self)
    }

    /// Says that stored values mean `slope * value + inter`.
    #[must_use]
    pub fn with_scaling(mut self, slope: f64, inter: f64) -> Self {
        self.slope = slope;
        self.inter = inter;
        self
    }

    /// Puts a text of at most 79 bytes into `descrip`; what is longer is cut at a character.
    #[must_use]
    pub fn with_description(mut self, text: &str) -> Self {
        let mut end = text.len().min(79);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.rest.descrip = [0; 80];
        self.rest.descrip[..end].copy_from_slice(&text.as_bytes()[..end]);
        self
    }

    /// Says what the values are: an intent code of the format, such as 1002 for labels.
    #[must_use]
    pub fn with_intent(mut self, code: i16) -> Self {
        self.rest.intent_code = i32::from(code);
        self
    }

    /// Returns the version of the format.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Returns the order of bytes, of the header and of the voxels.
    pub fn byte_order(&self) -> ByteOrder {
        self.byte_order
    }

    /// Returns where the voxels are.
    pub fn storage(&self) -> Storage {
        self.storage
    }

    /// Returns the length of each axis as in the file: x, y, z, frames, ….
    pub fn shape(&self) -> &[usize] {
        &self.dim[..self.rank]
    }

    /// Returns the length of x, y and z; 1 where there is no such axis.
    pub fn space(&self) -> [usize; 3] {
        [self.dim[0], self.dim[1], self.dim[2]]
    }

    /// Returns how many volumes there are: the product of the axes behind z.
    pub fn frames(&self) -> usize {
        self.dim[3..].iter().product()
    }

    /// Returns the type of the voxels.
    pub fn datatype(&self) -> Datatype {
        self.datatype
    }

    /// Returns the bytes of all voxels of the file.
    pub fn voxel_bytes(&self) -> u64 {
        self.dim.iter().map(|&n| n as u64).product::<u64>() * self.datatype.size() as u64
    }

    /// Returns where in their file the voxels start.
    pub fn vox_offset(&self) -> u64 {
        self.vox_offset
    }

    /// Returns `pixdim` as in the file: the sign of the quaternion's form, then the spacing of each axis.
    pub fn pixdim(&self) -> [f64; 8] {
        self.pixdim
    }

    /// Returns `scl_slope` and `scl_inter` as in the file; see [`Scaling`](crate::Scaling) for what they mean.
    pub fn raw_scaling(&self) -> [f64; 2] {
        [self.slope, self.inter]
    }

    /// Returns `qform_code` as in the file.
    pub fn qform_code(&self) -> i32 {
        self.qform_code
    }

    /// Returns `sform_code` as in the file.
    pub fn sform_code(&self) -> i32 {
        self.sform_code
    }

    /// Returns `xyzt_units` as in the file.
    pub fn xyzt_units(&self) -> i32 {
        self.rest.xyzt_units
    }

    /// Returns the code of what the values are.
    pub fn intent_code(&self) -> i32 {
        self.rest.intent_code
    }

    /// Returns `cal_min` and `cal_max`, the values to show as black and white.
    pub fn display_range(&self) -> [f64; 2] {
        [self.rest.cal_min, self.rest.cal_max]
    }

    /// Returns `descrip`, up to its first zero byte; bytes that are not UTF-8 are replaced.
    pub fn description(&self) -> String {
        text(&self.rest.descrip)
    }

    /// Returns `intent_name`, as [`description`](Self::description).
    pub fn intent_name(&self) -> String {
        text(&self.rest.intent_name)
    }

    /// Returns `aux_file`, as [`description`](Self::description).
    pub fn aux_file(&self) -> String {
        text(&self.rest.aux_file)
    }
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
