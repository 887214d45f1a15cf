//! The bytes of a header, read and checked: nothing of a file is used before.

use crate::datatype::Datatype;
use crate::encode::MAGIC_2_TAIL;
use crate::finding::{Finding, Judge, Problem};
use crate::header::{ByteOrder, Descriptive, Header, MOST_BYTES, Storage, Version};

/// Numbers out of the bytes of a header, which are long enough for the places that are asked for.
struct Fields<'a> {
    bytes: &'a [u8],
    order: ByteOrder,
}

impl Fields<'_> {
    fn take<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut little = [0; N];
        little.copy_from_slice(&self.bytes[at..at + N]);
        if self.order == ByteOrder::Big {
            little.reverse();
        }
        little
    }

    fn raw<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.bytes[at..at + N]);
        bytes
    }

    fn i16(&self, at: usize) -> i16 {
        i16::from_le_bytes(self.take(at))
    }

    fn i32(&self, at: usize) -> i32 {
        i32::from_le_bytes(self.take(at))
    }

    fn i64(&self, at: usize) -> i64 {
        i64::from_le_bytes(self.take(at))
    }

    fn f32(&self, at: usize) -> f64 {
        f64::from(f32::from_le_bytes(self.take(at)))
    }

    fn f64(&self, at: usize) -> f64 {
        f64::from_le_bytes(self.take(at))
    }

    fn f32s<const N: usize>(&self, at: usize) -> [f64; N] {
        std::array::from_fn(|index| self.f32(at + 4 * index))
    }

    fn f64s<const N: usize>(&self, at: usize) -> [f64; N] {
        std::array::from_fn(|index| self.f64(at + 8 * index))
    }
}

/// The version and the order of bytes of a header, or what the bytes are instead.
fn identify(bytes: &[u8], judge: &mut Judge) -> Result<(Version, ByteOrder), Finding> {
    if let Some(what) = something_else(bytes) {
        return Err(Finding::new(Problem::NotNifti, "the file", "a NIfTI header", what));
    }
    let short = |version: Version| {
        let expected = format!("at least {} bytes", version.header_bytes());
        Finding::new(Problem::TooShort, "the header", expected, format_args!("{} bytes", bytes.len()))
    };
    if bytes.len() < Version::One.header_bytes() {
        return Err(short(Version::One));
    }
    let little = Fields { bytes, order: ByteOrder::Little };
    let big = Fields { bytes, order: ByteOrder::Big };
    let dims = |fields: &Fields<'_>| (1..=7).contains(&fields.i16(40));
    let wrong_size = |found: String| {
        let expected = "348 or 540, in the byte order of the other fields";
        Finding::new(Problem::BadSizeofHdr, "sizeof_hdr (byte 0)", expected, found)
    };
    match (little.i32(0), big.i32(0)) {
        (348, _) => Ok((Version::One, ByteOrder::Little)),
        // Both cannot be right: a size in one order and dimensions that make sense in the other order only.
        (found, 348) if dims(&little) && !dims(&big) => {
            judge.tolerate(wrong_size(format!("{found} in the little-endian order that dim[0] is in")))?;
            Ok((Version::One, ByteOrder::Little))
        }
        (_, 348) => Ok((Version::One, ByteOrder::Big)),
        (540, _) | (_, 540) if bytes.len() < Version::Two.header_bytes() => Err(short(Version::Two)),
        (540, _) => Ok((Version::Two, ByteOrder::Little)),
        (_, 540) => Ok((Version::Two, ByteOrder::Big)),
        (found, _) => {
            let magic_1 = little.raw::<4>(344);
            let magic_2 = little.raw::<4>(4);
            if matches!(&magic_1, b"n+1\0" | b"ni1\0") {
                judge.tolerate(wrong_size(found.to_string()))?;
                Ok((Version::One, if dims(&little) { ByteOrder::Little } else { ByteOrder::Big }))
            } else if matches!(&magic_2, b"n+2\0" | b"ni2\0") {
                Err(wrong_size(found.to_string()))
            } else {
                let found = format!("sizeof_hdr {found} and magic {}", magic_1.escape_ascii());
                Err(Finding::new(Problem::NotNifti, "the file", "a NIfTI header", found))
            }
        }
    }
}

/// What a file is that is clearly no volume.
fn something_else(bytes: &[u8]) -> Option<&'static str> {
    let text = bytes.trim_ascii_start();
    if bytes.starts_with(b"version https://git-lfs") {
        Some("a Git LFS pointer: the file itself was not fetched (`git lfs pull`)")
    } else if text.starts_with(b"<!") || text.starts_with(b"<html") || text.starts_with(b"<?xml") {
        Some("a page of HTML or XML, perhaps the answer of a failed download")
    } else if bytes.starts_with(&[0x1f, 0x8b]) {
        Some("a gzip stream inside a gzip stream: the file was compressed twice")
    } else if bytes.starts_with(b"PK\x03\x04") {
        Some("a ZIP archive")
    } else if bytes.get(128..132) == Some(b"DICM") {
        Some("a DICOM file")
    } else {
        None
    }
}

impl Header {
    /// Reads and checks a header; `bytes` may go on behind it. Returns what is odd but can be read, too.
    ///
    /// When `lenient`, these are warnings instead of errors: a wrong `sizeof_hdr` of NIfTI-1, `bitpix`, a non-finite
    /// `scl_inter` (read as 0), a fraction of a byte in `vox_offset` (dropped), and `vox_offset` 0 in a single file (read
    /// as the first possible).
    ///
    /// # Errors
    /// Names the field, what it must be and what it is.
    pub fn parse(bytes: &[u8], lenient: bool) -> Result<(Self, Vec<Finding>), Finding> {
        let mut judge = Judge::new(lenient);
        let header = Self::judged(bytes, false, &mut judge)?;
        Ok((header, judge.warnings))
    }

    /// As [`parse`](Self::parse); where there is an image beside the header, the header must say so.
    pub(crate) fn judged(bytes: &[u8], beside_image: bool, judge: &mut Judge) -> Result<Self, Finding> {
        let (version, byte_order) = identify(bytes, judge)?;
        let fields = Fields { bytes, order: byte_order };
        let mut storage = storage(version, &fields)?;
        if beside_image && storage == Storage::Single {
            let expected = "\"ni1\" or \"ni2\" of a header beside an image";
            judge.tolerate(Finding::new(Problem::BadMagic, "magic", expected, "that of a single file"))?;
            storage = Storage::Pair;
        }
        let (rank, dim) = match version {
            Version::One => dims(std::array::from_fn(|index| i64::from(fields.i16(40 + 2 * index))))?,
            Version::Two => dims(std::array::from_fn(|index| fields.i64(16 + 8 * index)))?,
        };
        let at = match version {
            Version::One => 70,
            Version::Two => 12,
        };
        let datatype = datatype(fields.i16(at), fields.i16(at + 2), at, judge)?;
        let bytes = dim.iter().try_fold(datatype.size() as u64, |bytes, &n| bytes.checked_mul(n));
        let bytes = bytes.filter(|&bytes| bytes <= MOST_BYTES).ok_or_else(|| {
            let found = format!("{:?} of {datatype}", &dim[..rank]);
            Finding::new(Problem::TooLarge, "dim", "at most 2^62 bytes of voxels", found)
        })?;
        let vox_offset = vox_offset(version, storage, &fields, bytes, judge)?;
        let [slope, mut inter] = match version {
            Version::One => fields.f32s(112),
            Version::Two => fields.f64s(176),
        };
        // A slope of 0, or one that is no number, means that nothing is scaled, and then the other does not count.
        if slope.is_finite() && slope != 0.0 && !inter.is_finite() && !datatype.is_color() {
            judge.tolerate(Finding::new(Problem::BadScaling, "scl_inter", "a finite number", inter))?;
            inter = 0.0;
        }
        let common = |codes: [i32; 2], quatern, qoffset, srow: [f64; 12], pixdim, rest| Self {
            version,
            byte_order,
            storage,
            rank,
            // Each is at most the product, which is an isize.
            dim: dim.map(|n| n as usize),
            datatype,
            vox_offset,
            pixdim,
            slope,
            inter,
            qform_code: codes[0],
            sform_code: codes[1],
            quatern,
            qoffset,
            srow: std::array::from_fn(|row| std::array::from_fn(|column| srow[4 * row + column])),
            rest,
        };
        Ok(match version {
            Version::One => common(
                [i32::from(fields.i16(252)), i32::from(fields.i16(254))],
                fields.f32s(256),
                fields.f32s(268),
                fields.f32s(280),
                fields.f32s(76),
                Descriptive {
                    xyzt_units: i32::from(fields.bytes[123]),
                    dim_info: fields.bytes[39],
                    intent_code: i32::from(fields.i16(68)),
                    intent_p: fields.f32s(56),
                    intent_name: fields.raw(328),
                    slice_start: i64::from(fields.i16(74)),
                    slice_end: i64::from(fields.i16(120)),
                    slice_code: i32::from(fields.bytes[122]),
                    slice_duration: fields.f32(132),
                    toffset: fields.f32(136),
                    cal_max: fields.f32(124),
                    cal_min: fields.f32(128),
                    descrip: fields.raw(148),
                    aux_file: fields.raw(228),
                },
            ),
            Version::Two => common(
                [fields.i32(344), fields.i32(348)],
                fields.f64s(352),
                fields.f64s(376),
                fields.f64s(400),
                fields.f64s(104),
                Descriptive {
                    xyzt_units: fields.i32(500),
                    dim_info: fields.bytes[524],
                    intent_code: fields.i32(504),
                    intent_p: fields.f64s(80),
                    intent_name: fields.raw(508),
                    slice_start: fields.i64(224),
                    slice_end: fields.i64(232),
                    slice_code: fields.i32(496),
                    slice_duration: fields.f64(208),
                    toffset: fields.f64(216),
                    cal_max: fields.f64(192),
                    cal_min: fields.f64(200),
                    descrip: fields.raw(240),
                    aux_file: fields.raw(320),
                },
            ),
        })
    }
}

fn storage(version: Version, fields: &Fields<'_>) -> Result<Storage, Finding> {
    let bad = |expected: &str, found: &[u8]| {
        Finding::new(Problem::BadMagic, "magic", expected, format_args!("\"{}\"", found.escape_ascii()))
    };
    match version {
        Version::One => match &fields.raw::<4>(344) {
            b"n+1\0" => Ok(Storage::Single),
            b"ni1\0" => Ok(Storage::Pair),
            [0, 0, 0, 0] => {
                let found = "ANALYZE 7.5, or nothing: convert it with a tool that knows its orientation";
                Err(Finding::new(
                    Problem::AnalyzeUnsupported,
                    "magic (byte 344)",
                    "\"n+1\" or \"ni1\"",
                    found,
                ))
            }
            other => Err(bad("\"n+1\\0\" or \"ni1\\0\" at byte 344", other)),
        },
        Version::Two => {
            let magic = fields.raw::<8>(4);
            match (&magic[..4], magic[4..] == MAGIC_2_TAIL) {
                (b"n+2\0", true) => Ok(Storage::Single),
                (b"ni2\0", true) => Ok(Storage::Pair),
                _ => {
                    let expected = "\"n+2\\0\\r\\n\\x1a\\n\" or \"ni2\\0\\r\\n\\x1a\\n\" at byte 4 (newlines as they were)";
                    Err(bad(expected, &magic))
                }
            }
        }
    }
}

fn dims(dims: [i64; 8]) -> Result<(usize, [u64; 7]), Finding> {
    let rank = dims[0];
    if !(1..=7).contains(&rank) {
        return Err(Finding::new(Problem::BadDimCount, "dim[0]", "1 to 7 axes", rank));
    }
    let rank = rank as usize;
    let mut dim = [1; 7];
    for axis in 1..=rank {
        dim[axis - 1] = u64::try_from(dims[axis]).ok().filter(|&n| n != 0).ok_or_else(|| {
            Finding::new(Problem::BadDim, format!("dim[{axis}]"), "at least one voxel", dims[axis])
        })?;
    }
    Ok((rank, dim))
}

fn datatype(code: i16, bitpix: i16, at: usize, judge: &mut Judge) -> Result<Datatype, Finding> {
    let datatype = Datatype::from_code(code).ok_or_else(|| {
        let name = match code {
            1 => " (single bits)",
            1536 => " (128-bit floats)",
            2048 => " (256-bit complex numbers)",
            _ => "",
        };
        let expected = "a type of 8 to 64 bits, complex64, complex128, rgb24 or rgba32";
        Finding::new(
            Problem::UnsupportedDatatype,
            format!("datatype (byte {at})"),
            expected,
            format_args!("{code}{name}"),
        )
    })?;
    if i64::from(bitpix) != 8 * datatype.size() as i64 {
        let what = format!("bitpix (byte {})", at + 2);
        let expected = format!("{}, as {datatype} has", 8 * datatype.size());
        judge.tolerate(Finding::new(Problem::BitpixMismatch, what, expected, bitpix))?;
    }
    Ok(datatype)
}

fn vox_offset(
    version: Version,
    storage: Storage,
    fields: &Fields<'_>,
    bytes: u64,
    judge: &mut Judge,
) -> Result<u64, Finding> {
    let first = match storage {
        Storage::Single => version.header_bytes() as u64 + 4,
        Storage::Pair => 0,
    };
    let expected = match storage {
        Storage::Single => format!("a whole number of bytes from {first} on"),
        Storage::Pair => "a whole number of bytes from 0 on".to_owned(),
    };
    let bad = |found: &dyn std::fmt::Display| {
        Finding::new(Problem::BadVoxOffset, "vox_offset", expected.clone(), found)
    };
    let offset = match version {
        Version::One => {
            let offset = fields.f32(108);
            // What a float holds up to 2^63 fits into an i64; NaN fails the comparison.
            if !(0.0..9.2e18).contains(&offset) {
                return Err(bad(&offset));
            }
            if offset.fract() != 0.0 {
                judge.tolerate(bad(&offset))?;
            }
            offset as u64
        }
        Version::Two => u64::try_from(fields.i64(168)).map_err(|_| bad(&fields.i64(168)))?,
    };
    let offset = if offset == 0 && first != 0 {
        judge.tolerate(bad(&offset))?;
        first
    } else {
        offset
    };
    if offset < first || offset.checked_add(bytes).is_none_or(|end| isize::MAX as u64 <= end) {
        return Err(bad(&offset));
    }
    if offset % 16 != 0 {
        let expected = "a multiple of 16, by the letter of the format";
        judge.warn(Finding::new(Problem::BadVoxOffset, "vox_offset", expected, offset));
    }
    Ok(offset)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::voxels::VoxelType;

    proptest! {
        #[test]
        fn a_header_that_was_written_is_read_as_it_was(
            shape in prop::collection::vec(1_usize..40, 1..8),
            datatype in prop::sample::select(vec![
                Datatype::Real(VoxelType::U8), Datatype::Real(VoxelType::F64), Datatype::Complex128, Datatype::Rgb24,
            ]),
            (two, big, pair) in any::<(bool, bool, bool)>(),
            offset in 0_u64..10_000,
            // Whole numbers and quarters, which single precision holds.
            numbers in prop::array::uniform32(-4000_i16..4000),
            codes in prop::array::uniform2(0_i32..6),
            text in "[a-z ]{0,90}",
        ) {
            let version = if two { Version::Two } else { Version::One };
            let order = if big { ByteOrder::Big } else { ByteOrder::Little };
            let storage = if pair { Storage::Pair } else { Storage::Single };
            let number = |index: usize| f64::from(numbers[index]) / 4.0;
            let header = Header::new(&shape, datatype).unwrap();
            let mut header = header.with_layout(version, order, storage, offset).unwrap();
            header = header.with_scaling(number(0), number(1)).with_description(&text).with_intent(1002);
            header.pixdim = std::array::from_fn(|index| number(2 + index));
            header.quatern = std::array::from_fn(|index| number(10 + index));
            header.qoffset = std::array::from_fn(|index| number(13 + index));
            header.srow = std::array::from_fn(|row| std::array::from_fn(|column| number(16 + 4 * row + column)));
            [header.qform_code, header.sform_code] = codes;
            let written = header.encode();
            prop_assert_eq!(written.len(), version.header_bytes());
            prop_assert_eq!(Header::parse(&written, false).unwrap().0, header.clone());
            prop_assert_eq!(header.description(), text.chars().take(79).collect::<String>());
        }
    }

    #[test]
    fn what_is_clearly_something_else_is_called_by_its_name() {
        for (bytes, name) in [
            (&b"version https://git-lfs.github.com/spec/v1\n"[..], "git lfs pull"),
            (b"\n<!DOCTYPE html>", "HTML"),
            (b"\x1f\x8b\x08", "compressed twice"),
            (b"PK\x03\x04", "ZIP"),
        ] {
            let finding = Header::parse(bytes, true).unwrap_err();
            assert_eq!(finding.problem, Problem::NotNifti);
            assert!(finding.to_string().contains(name), "{finding}");
        }
    }
}
