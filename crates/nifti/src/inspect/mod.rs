//! What one file is: facts of its header, statistics of its voxels, a picture.

mod checksum;
mod picture;
mod statistics;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::datatype::Datatype;
use crate::error::Error;
use crate::geometry::GeometrySource;
use crate::header::{Header, Storage, Version};
use crate::options::{Color, Complex, ReadOptions};
use crate::volume::Volume;

pub use picture::{PictureOptions, picture};

/// What one file is. As JSON it has the words and conventions of nibabel's manifests: axes i, j, k as in the file, the
/// affine of the sform, else the qform, else the spacing.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// The path that was asked for.
    pub file: String,
    /// Whether the voxels are compressed.
    pub gzip: bool,
    /// `single` or `pair`.
    pub kind: &'static str,
    /// The length of each axis, as in the file.
    pub shape: Vec<usize>,
    /// Fields as they are in the header.
    pub header: HeaderFacts,
    /// The spacing of each axis as the header has it.
    pub zooms: Vec<f64>,
    /// From voxel indices to millimetres: four rows.
    pub affine: [[f64; 4]; 4],
    /// Where the affine comes from: `sform`, `qform` or `base`.
    pub affine_source: &'static str,
    /// Which way the axes point, such as `RAS`.
    pub orientation: String,
    /// How many header extensions there are.
    pub extensions: usize,
    /// The type of a stored voxel, as NumPy calls it.
    pub dtype: &'static str,
    /// What stored voxels are multiplied by.
    pub scl_slope: f64,
    /// What is added then.
    pub scl_inter: f64,
    /// Statistics, where voxels were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voxels: Option<VoxelFacts>,
    /// What is odd about the file.
    pub warnings: Vec<String>,
}

/// Fields as they are in the header.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "each is the field that it is named after")]
pub struct HeaderFacts {
    pub nifti_version: u8,
    pub endianness: &'static str,
    pub sizeof_hdr: usize,
    pub magic: &'static str,
    pub dim: [usize; 8],
    pub datatype_code: i16,
    pub bitpix: usize,
    pub pixdim: [f64; 8],
    pub vox_offset: u64,
    pub scl_slope_raw: f64,
    pub scl_inter_raw: f64,
    pub qform_code: i32,
    pub sform_code: i32,
    pub xyzt_units: i32,
    pub intent_code: i32,
    pub descrip: String,
}

/// Statistics of all voxels of a file.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum VoxelFacts {
    /// Of real numbers, scaled.
    Real(RealFacts),
    /// Of colours, per channel.
    Color(ColorFacts),
    /// Of complex numbers.
    Complex(ComplexFacts),
}

/// Statistics of real voxels; least, greatest, mean and standard deviation over the finite ones, in double precision.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RealFacts {
    /// SHA-256 of the scaled voxels as little-endian `f32`, the last axis fastest; what is no number is 0x7fc00000.
    #[serde(rename = "sha256_f32_C")]
    pub sha256_f32: String,
    /// Voxels that are not a number.
    pub nan_count: u64,
    /// Voxels that are infinite.
    pub infinite_count: u64,
    /// The least; nothing where no voxel is finite, as for the next three.
    pub min: Option<f64>,
    /// The greatest.
    pub max: Option<f64>,
    /// The mean.
    pub mean: Option<f64>,
    /// The standard deviation, of the voxels as a whole and not as a sample.
    pub std: Option<f64>,
    /// For whole numbers without scaling: SHA-256 of them as little-endian `i64`, the last axis fastest.
    #[serde(rename = "sha256_raw_int64_C", skip_serializing_if = "Option::is_none")]
    pub sha256_i64: Option<String>,
    /// For whole numbers without scaling of at most 256 values: how often each comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_counts: Option<BTreeMap<i64, u64>>,
}

/// Statistics of colours.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColorFacts {
    /// SHA-256 of the bytes, the channel fastest, then the last axis.
    #[serde(rename = "sha256_u8_channels_last_C")]
    pub sha256_u8: String,
    /// The least of each channel.
    pub channel_min: Vec<u8>,
    /// The greatest of each channel.
    pub channel_max: Vec<u8>,
    /// The mean of each channel.
    pub channel_mean: Vec<f64>,
}

/// Statistics of complex numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComplexFacts {
    /// SHA-256 of real and imaginary parts as pairs of little-endian `f32`, the last axis fastest.
    #[serde(rename = "sha256_c64_C")]
    pub sha256_c64: String,
    /// The least absolute value.
    pub abs_min: f64,
    /// The greatest absolute value.
    pub abs_max: f64,
    /// The mean absolute value.
    pub abs_mean: f64,
}

impl Facts {
    /// Reads the header of a file, and its voxels if they are asked for. Of the options, what becomes of complex numbers,
    /// colours and frames is not regarded: all of the file is described.
    ///
    /// # Errors
    /// As [`Volume::open_with`] and [`Volume::read_all`].
    pub fn of(path: &Path, voxels: bool, options: &ReadOptions) -> Result<Self, Error> {
        let options = ReadOptions { frames: crate::options::Frames::All, ..options.clone() };
        let with = |complex, color| ReadOptions { complex, color, ..options.clone() };
        let volume = Volume::open_with(path, &with(Complex::Real, Color::Channels))?;
        let header = volume.header();
        let voxels = match header.datatype() {
            _ if !voxels => None,
            Datatype::Real(_) => Some(VoxelFacts::Real(statistics::real(&volume)?)),
            Datatype::Rgb24 | Datatype::Rgba32 => Some(VoxelFacts::Color(statistics::color(&volume)?)),
            Datatype::Complex64 | Datatype::Complex128 => {
                let imaginary = Volume::open_with(path, &with(Complex::Imaginary, Color::Channels))?;
                Some(VoxelFacts::Complex(statistics::complex(&volume, &imaginary)?))
            }
        };
        let geometry = volume.geometry();
        let [a, b, c] = geometry.voxel_to_world().0.0;
        let scaling = volume.scaling();
        Ok(Self {
            file: path.display().to_string(),
            gzip: volume.is_compressed(),
            kind: if header.storage() == Storage::Pair { "pair" } else { "single" },
            shape: header.shape().to_vec(),
            zooms: header.pixdim()[1..=header.shape().len()].to_vec(),
            affine: [a, b, c, [0.0, 0.0, 0.0, 1.0]],
            affine_source: match geometry.source() {
                GeometrySource::Pixdim => "base",
                source => source.name(),
            },
            orientation: geometry.orientation().to_string(),
            extensions: volume.extensions()?.len(),
            dtype: header.datatype().name(),
            scl_slope: scaling.slope,
            scl_inter: scaling.inter,
            warnings: volume.warnings().iter().map(ToString::to_string).collect(),
            header: HeaderFacts::of(header),
            voxels,
        })
    }
}

impl HeaderFacts {
    fn of(header: &Header) -> Self {
        let shape = header.shape();
        let mut dim = [1; 8];
        dim[0] = shape.len();
        dim[1..=shape.len()].copy_from_slice(shape);
        let [scl_slope_raw, scl_inter_raw] = header.raw_scaling();
        Self {
            nifti_version: match header.version() {
                Version::One => 1,
                Version::Two => 2,
            },
            endianness: header.byte_order().name(),
            sizeof_hdr: header.version().header_bytes(),
            magic: match (header.version(), header.storage()) {
                (Version::One, Storage::Single) => "n+1",
                (Version::One, Storage::Pair) => "ni1",
                (Version::Two, Storage::Single) => "n+2",
                (Version::Two, Storage::Pair) => "ni2",
            },
            dim,
            datatype_code: header.datatype().code(),
            bitpix: 8 * header.datatype().size(),
            pixdim: header.pixdim(),
            vox_offset: header.vox_offset(),
            scl_slope_raw,
            scl_inter_raw,
            qform_code: header.qform_code(),
            sform_code: header.sform_code(),
            xyzt_units: header.xyzt_units(),
            intent_code: header.intent_code(),
            descrip: header.description(),
        }
    }
}

/// For a person: a line per fact.
impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = &self.header;
        let join = |numbers: &[f64]| numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(" x ");
        let shape: Vec<String> = self.shape.iter().map(ToString::to_string).collect();
        writeln!(f, "file         {}", self.file)?;
        let files = if self.kind == "pair" { ", header and voxels in two files" } else { "" };
        let packed = if self.gzip { ", compressed" } else { "" };
        writeln!(
            f,
            "format       NIfTI-{}, {}-endian{packed}{files}; {} extensions",
            header.nifti_version, header.endianness, self.extensions
        )?;
        writeln!(f, "shape        {}", shape.join(" x "))?;
        writeln!(f, "spacing      {}", join(&self.zooms))?;
        let scaled = if self.scl_slope == 1.0 && self.scl_inter == 0.0 {
            String::new()
        } else {
            format!(", times {} plus {}", self.scl_slope, self.scl_inter)
        };
        writeln!(f, "voxels       {}{scaled}", self.dtype)?;
        writeln!(
            f,
            "orientation  {} by the {} (sform code {}, qform code {})",
            self.orientation, self.affine_source, header.sform_code, header.qform_code
        )?;
        for (index, row) in self.affine[..3].iter().enumerate() {
            let name = if index == 0 { "affine" } else { "" };
            let row: Vec<String> = row.iter().map(|x| format!("{x:>12.5}")).collect();
            writeln!(f, "{name:<12} {}", row.join(" "))?;
        }
        if !header.descrip.is_empty() {
            writeln!(f, "description  {}", header.descrip)?;
        }
        match &self.voxels {
            None => {}
            Some(VoxelFacts::Real(facts)) => {
                let show = |x: Option<f64>| x.map_or_else(|| "none".to_owned(), |x| x.to_string());
                writeln!(f, "least        {}", show(facts.min))?;
                writeln!(f, "greatest     {}", show(facts.max))?;
                writeln!(f, "mean         {}", show(facts.mean))?;
                writeln!(f, "deviation    {}", show(facts.std))?;
                if 0 < facts.nan_count + facts.infinite_count {
                    writeln!(
                        f,
                        "not finite   {} not a number, {} infinite",
                        facts.nan_count, facts.infinite_count
                    )?;
                }
                if let Some(counts) = facts.label_counts.as_ref().filter(|counts| counts.len() <= 32) {
                    let counts: Vec<String> =
                        counts.iter().map(|(label, count)| format!("{label}: {count}")).collect();
                    writeln!(f, "counts       {}", counts.join(", "))?;
                }
                writeln!(f, "sha256       {} (f32, C order)", facts.sha256_f32)?;
            }
            Some(VoxelFacts::Color(facts)) => {
                writeln!(f, "least        {:?}", facts.channel_min)?;
                writeln!(f, "greatest     {:?}", facts.channel_max)?;
                writeln!(f, "mean         {:?}", facts.channel_mean)?;
                writeln!(f, "sha256       {} (u8, channels last, C order)", facts.sha256_u8)?;
            }
            Some(VoxelFacts::Complex(facts)) => {
                writeln!(f, "magnitude    {} to {}, mean {}", facts.abs_min, facts.abs_max, facts.abs_mean)?;
                writeln!(f, "sha256       {} (c64, C order)", facts.sha256_c64)?;
            }
        }
        for warning in &self.warnings {
            writeln!(f, "warning      {warning}")?;
        }
        Ok(())
    }
}
