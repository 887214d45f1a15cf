//! Statistics of the voxels of a file.

use std::collections::BTreeMap;

use super::checksum::in_c_order;
use super::{ColorFacts, ComplexFacts, RealFacts};
use crate::error::Error;
use crate::volume::Volume;
use crate::voxels::VoxelType;

/// Labels that are counted at most.
const MOST_LABELS: usize = 256;

fn read(volume: &Volume) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; volume.stored_bytes() as usize];
    volume.read_all(&mut bytes)?;
    Ok(bytes)
}

/// Bytes of voxels of one type, as numbers.
struct Numbers<'a> {
    bytes: &'a [u8],
    voxel_type: VoxelType,
}

macro_rules! number {
    ($self:ident, $index:ident, $as:ty, $($name:ident: $rust:ty),*) => {
        match $self.voxel_type {
            $(VoxelType::$name => {
                const SIZE: usize = size_of::<$rust>();
                let mut bytes = [0; SIZE];
                bytes.copy_from_slice(&$self.bytes[$index * SIZE..][..SIZE]);
                <$rust>::from_ne_bytes(bytes) as $as
            })*
        }
    };
}

impl Numbers<'_> {
    #[inline]
    fn float(&self, index: usize) -> f64 {
        number!(self, index, f64, U8: u8, I8: i8, U16: u16, I16: i16, U32: u32, I32: i32, U64: u64, I64: i64,
            F32: f32, F64: f64)
    }

    #[inline]
    fn integer(&self, index: usize) -> i64 {
        number!(self, index, i64, U8: u8, I8: i8, U16: u16, I16: i16, U32: u32, I32: i32, U64: u64, I64: i64,
            F32: f32, F64: f64)
    }

    fn len(&self) -> usize {
        self.bytes.len() / self.voxel_type.size()
    }
}

pub(super) fn real(volume: &Volume) -> Result<RealFacts, Error> {
    let bytes = read(volume)?;
    let stored = Numbers { bytes: &bytes, voxel_type: volume.voxel_type() };
    let scaling = volume.scaling();
    let plain = scaling.is_identity();
    let value = |index: usize| {
        let value = stored.float(index);
        if plain { value } else { scaling.apply(value) }
    };
    let (mut nan_count, mut infinite_count, mut finite) = (0, 0, 0_u64);
    let (mut min, mut max, mut sum) = (f64::INFINITY, f64::NEG_INFINITY, 0.0);
    for index in 0..stored.len() {
        let value = value(index);
        if value.is_finite() {
            finite += 1;
            (min, max, sum) = (min.min(value), max.max(value), sum + value);
        } else if value.is_nan() {
            nan_count += 1;
        } else {
            infinite_count += 1;
        }
    }
    let mean = sum / finite as f64;
    let mut squares = 0.0;
    for index in 0..stored.len() {
        let value = value(index);
        if value.is_finite() {
            squares += (value - mean) * (value - mean);
        }
    }
    let some = |x: f64| (0 < finite).then_some(x);
    let shape = volume.header().shape();
    let sha256_f32 = in_c_order(shape, |index| {
        let value = value(index) as f32;
        if value.is_nan() { 0x7fc0_0000_u32.to_le_bytes() } else { value.to_le_bytes() }
    });
    let integers = plain && !matches!(stored.voxel_type, VoxelType::F32 | VoxelType::F64);
    Ok(RealFacts {
        sha256_f32,
        nan_count,
        infinite_count,
        min: some(min),
        max: some(max),
        mean: some(mean),
        std: some((squares / finite as f64).sqrt()),
        sha256_i64: integers.then(|| in_c_order(shape, |index| stored.integer(index).to_le_bytes())),
        label_counts: if integers { counts(&stored) } else { None },
    })
}

/// Returns how often each value comes, if there are few.
fn counts(stored: &Numbers<'_>) -> Option<BTreeMap<i64, u64>> {
    let mut counts = BTreeMap::new();
    let mut run = (stored.integer(0), 0);
    for index in 0..stored.len() {
        let value = stored.integer(index);
        if value == run.0 {
            run.1 += 1;
        } else {
            *counts.entry(run.0).or_insert(0) += run.1;
            run = (value, 1);
            if MOST_LABELS < counts.len() {
                return None;
            }
        }
    }
    *counts.entry(run.0).or_insert(0) += run.1;
    (counts.len() <= MOST_LABELS).then_some(counts)
}

pub(super) fn color(volume: &Volume) -> Result<ColorFacts, Error> {
    let bytes = read(volume)?;
    let parts = volume.header().datatype().size();
    let voxels: usize = volume.header().shape().iter().product();
    // Planar: of each frame the parts one after the other.
    let frame = volume.shape().iter().product::<usize>();
    let at = |index: usize, part: usize| bytes[(index / frame * parts + part) * frame + index % frame];
    let of = |part: usize| (0..voxels).map(move |index| at(index, part));
    let shape = volume.header().shape();
    let sha256_u8 = if parts == 3 {
        in_c_order(shape, |index| [0, 1, 2].map(|part| at(index, part)))
    } else {
        in_c_order(shape, |index| [0, 1, 2, 3].map(|part| at(index, part)))
    };
    Ok(ColorFacts {
        sha256_u8,
        channel_min: (0..parts).map(|part| of(part).min().unwrap_or(0)).collect(),
        channel_max: (0..parts).map(|part| of(part).max().unwrap_or(0)).collect(),
        channel_mean: (0..parts).map(|part| of(part).map(f64::from).sum::<f64>() / voxels as f64).collect(),
    })
}

pub(super) fn complex(real: &Volume, imaginary: &Volume) -> Result<ComplexFacts, Error> {
    let (bytes, more) = (read(real)?, read(imaginary)?);
    let voxel_type = real.voxel_type();
    let (real_part, imaginary_part) =
        (Numbers { bytes: &bytes, voxel_type }, Numbers { bytes: &more, voxel_type });
    let scaling = real.scaling();
    let scaled = |value: f64| if scaling.is_identity() { value } else { scaling.apply(value) };
    let parts = |index: usize| [scaled(real_part.float(index)), imaginary_part.float(index) * scaling.slope];
    let sha256_c64 = in_c_order(real.header().shape(), |index| {
        let [[a, b, c, d], [e, f, g, h]] = parts(index).map(|part| (part as f32).to_le_bytes());
        [a, b, c, d, e, f, g, h]
    });
    let absolute = |index: usize| {
        let [a, b] = parts(index);
        (a * a + b * b).sqrt()
    };
    let count = real_part.len();
    Ok(ComplexFacts {
        sha256_c64,
        abs_min: (0..count).map(absolute).fold(f64::INFINITY, f64::min),
        abs_max: (0..count).map(absolute).fold(0.0, f64::max),
        abs_mean: (0..count).map(absolute).sum::<f64>() / count as f64,
    })
}
