//! NPY arrays and NPZ archives of them, the formats of NumPy.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use batchwright_core::DType;
use serde::{Deserialize, Serialize};
use zip::ZipArchive;

use crate::error::{At, Error};
use crate::file::{Bytes, file_name};
use crate::images::{Images, Pixels};
use crate::npy_header::{Header, parse};
use crate::numbers::{Number, of_pixels};

const MAGIC: &[u8] = b"\x93NUMPY";

/// A longer header than this is no header of an array of numbers.
const MOST_HEADER: u64 = 1 << 16;

/// Where the channels stand in an array of four axes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channels {
    /// [N, C, H, W].
    #[default]
    First,
    /// [N, H, W, C].
    Last,
    /// Nowhere, for the images are volumes of one channel: [N, D, H, W].
    Depth,
}

/// Reads images, and their labels if a second file is given, from NPY files.
///
/// Images are [N, H, W], or four axes with the channels where `channels` says or of volumes, of booleans, integers of 8 to 64 bits or
/// floats of 32 or 64, of either byte order, in C or Fortran order. Bytes stay bytes (and booleans become 0 and 1),
/// anything else becomes `f32`, rounded where it has more digits. Labels are `[N]` or `[N, 1]` whole numbers. Full
/// brightness is 255 for u8, 65535 for u16, and 1 for all else. Samples are named after the file: `train.npy[123]`.
///
/// # Errors
/// Names the file, the byte, what was expected and what was found. Nothing in a file is executed.
pub fn read_npy(images: &Path, labels: Option<&Path>, channels: Channels) -> Result<Images, Error> {
    let set = Array::read(Bytes::open(images)?)?.into_images(images, channels)?.with_name(file_name(images));
    match labels {
        Some(path) => set.with_labels(Array::read(Bytes::open(path)?)?.labels(path)?),
        None => Ok(set),
    }
}

/// Reads images, and their labels if a member for them is named, from an NPZ archive, as [`read_npy`] does. Members are
/// named as in NumPy, without `.npy`. Samples are named after file and member: `pneumonia.npz/train_images[123]`.
///
/// # Errors
/// As [`read_npy`]; says which members there are where the one asked for is missing.
pub fn read_npz(
    path: &Path,
    images: &str,
    labels: Option<&str>,
    channels: Channels,
) -> Result<Images, Error> {
    let file = File::open(path).map_err(|source| Error::io("open", path, source))?;
    let mut archive =
        ZipArchive::new(BufReader::new(file)).map_err(|source| Error::decode(path, At::File, source))?;
    let mut read = |name: &str| {
        let member = format!("{name}.npy");
        if archive.index_for_name(&member).is_none() {
            let names = archive.file_names().filter_map(Result::ok).take(100);
            let members: Vec<String> =
                names.map(|name| name.strip_suffix(".npy").unwrap_or(&name).to_owned()).collect();
            return Err(Error::malformed(path, At::File, format!("an array `{name}`"), members.join(", ")));
        }
        let at = || At::Member { name: name.to_owned(), byte: 0 };
        let entry = archive.by_name(&member).map_err(|source| Error::decode(path, at(), source))?;
        let packed = entry.compressed_size();
        Array::read(Bytes::member(path, name, entry, packed))
    };
    let name = format!("{}/{images}", file_name(path));
    let set = read(images)?.into_images(path, channels)?.with_name(name);
    match labels {
        Some(labels) => set.with_labels(read(labels)?.labels(path)?),
        None => Ok(set),
    }
}

/// Writes an array in C order as NPY, from its bytes as they stand in memory.
///
/// # Errors
/// Says which file cannot be written; refuses bytes that are not as many as the shape has.
pub fn write_npy(path: &Path, dtype: DType, shape: &[usize], bytes: &[u8]) -> Result<(), Error> {
    let expected = shape.iter().try_fold(dtype.size(), |product, &n| product.checked_mul(n));
    if expected != Some(bytes.len()) {
        return Err(Error::choice("bytes", format!("{dtype} {shape:?}"), format!("{} bytes", bytes.len())));
    }
    let order = if cfg!(target_endian = "little") { '<' } else { '>' };
    let descr = match dtype {
        DType::U8 => "|u1".to_owned(),
        DType::I16 => format!("{order}i2"),
        DType::I32 => format!("{order}i4"),
        DType::I64 => format!("{order}i8"),
        DType::F32 => format!("{order}f4"),
        DType::F64 => format!("{order}f8"),
    };
    let sizes: Vec<String> = shape.iter().map(|n| format!("{n},")).collect();
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}), }}", sizes.join(" "));
    // Magic, version, length, header and a line feed fill a multiple of 64 bytes.
    while !(MAGIC.len() + 4 + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let length = u16::try_from(header.len()).map_err(|_| {
        Error::choice("shape", "a header of at most 65535 bytes", format!("{} axes", shape.len()))
    })?;
    let mut file = MAGIC.to_vec();
    file.extend([1, 0]);
    file.extend(length.to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(bytes);
    std::fs::write(path, file).map_err(|source| Error::io("write", path, source))
}

struct Array {
    header: Header,
    bytes: Vec<u8>,
    /// Where the numbers start, to name places in an error.
    start: At,
}

impl Array {
    fn read(mut file: Bytes<'_>) -> Result<Self, Error> {
        let path = file.path().to_owned();
        let magic = file.take(8, "the magic number of an NPY file")?;
        if &magic[..6] != MAGIC {
            let found = magic[..6].escape_ascii();
            return Err(Error::malformed(
                &path,
                file.at(0),
                "\\x93NUMPY, the magic number of an NPY file",
                found,
            ));
        }
        let length = match magic[6] {
            1 => {
                file.take(2, "the length of the header")?.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b))
            }
            2 | 3 => {
                file.take(4, "the length of the header")?.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b))
            }
            other => return Err(Error::malformed(&path, file.at(6), "version 1, 2 or 3", other)),
        };
        if MOST_HEADER < length {
            let expected = format!("a header of at most {MOST_HEADER} bytes");
            return Err(Error::malformed(&path, file.at(8), expected, format!("{length} bytes")));
        }
        let start = file.offset();
        let text = file.take(length, "the header")?;
        let header = parse(&text).map_err(|error| {
            Error::malformed(&path, file.at(start + error.at as u64), error.expected, error.found)
        })?;
        let count =
            header.shape.iter().try_fold(header.number.size(), |product, &n| product.checked_mul(n as u64));
        let Some(count) = count else {
            let found = format!("{:?}", header.shape);
            return Err(Error::malformed(&path, file.at(start), "a shape that a file can have", found));
        };
        let start = file.at(file.offset());
        let bytes = file.take(count, &format!("an array {:?}", header.shape))?;
        file.finish()?;
        if header.number == Number::Bool
            && let Some(place) = bytes.iter().position(|&byte| 1 < byte)
        {
            let at = start.further(place as u64);
            return Err(Error::malformed(&path, at, "a boolean, 00 or 01", format!("{:02x}", bytes[place])));
        }
        Ok(Self { header, bytes, start })
    }

    fn into_images(self, path: &Path, channels: Channels) -> Result<Images, Error> {
        let Self { header: Header { number, endian, fortran, shape }, bytes, start } = self;
        // The size and the axis in the file of N, C, H and W.
        let (sizes, axes) = match (shape.as_slice(), channels) {
            (rows @ &[_, _, _], Channels::Depth) => {
                let expected = "4 axes of volumes, [N, D, H, W]";
                return Err(Error::malformed(path, start, expected, format!("3 axes: {rows:?}")));
            }
            (&[n, h, w], _) => ([n, 1, h, w], [0, 4, 1, 2]),
            (&[n, c, h, w], Channels::First | Channels::Depth) => ([n, c, h, w], [0, 1, 2, 3]),
            (&[n, h, w, c], Channels::Last) => ([n, c, h, w], [0, 3, 1, 2]),
            (rows @ [_, _], _) => {
                let expected = "3 or 4 axes of images (NumPy gives rows of pixels their height and width by \
                                `array.reshape(len(array), height, width)`)";
                return Err(Error::malformed(path, start, expected, format!("rows of pixels: {rows:?}")));
            }
            (other, _) => {
                let found = format!("{} axes: {other:?}", other.len());
                return Err(Error::malformed(path, start, "3 or 4 axes of images", found));
            }
        };
        if shape.contains(&0) {
            let found = format!("{shape:?}");
            return Err(Error::malformed(path, start, "at least one image of at least one pixel", found));
        }
        let stride = |axis: usize| -> usize {
            match shape.len() {
                axes if axes <= axis => 0,
                _ if fortran => shape[..axis].iter().product(),
                _ => shape[axis + 1..].iter().product(),
            }
        };
        let strides = axes.map(stride);
        let full_scale = number.full_scale();
        let pixels = match number.pixels(bytes, endian) {
            pixels if !fortran && (shape.len() == 3 || channels != Channels::Last) => pixels,
            Pixels::U8(pixels) => Pixels::U8(permute(&pixels, sizes, strides)),
            Pixels::F32(pixels) => Pixels::F32(permute(&pixels, sizes, strides)),
        };
        let images = of_pixels(path, [sizes[1], sizes[2], sizes[3]], pixels, full_scale)?;
        Ok(if channels == Channels::Depth { images.with_volumes() } else { images })
    }

    fn labels(self, path: &Path) -> Result<Vec<i64>, Error> {
        let Header { number, endian, fortran: _, shape } = self.header;
        match *shape.as_slice() {
            [_] | [_, 1] => {}
            _ => {
                let found = format!("{shape:?}");
                return Err(Error::malformed(path, self.start, "labels of shape [N] or [N, 1]", found));
            }
        }
        number.labels(&self.bytes, endian).map_err(|(at, found)| {
            let offset = at as u64 * number.size();
            Error::malformed(path, self.start.further(offset), "a label, a whole number", found)
        })
    }
}

/// Gathers an array of any order into C order.
fn permute<T: Copy>(from: &[T], sizes: [usize; 4], strides: [usize; 4]) -> Vec<T> {
    let mut to = Vec::with_capacity(from.len());
    for n in 0..sizes[0] {
        for c in 0..sizes[1] {
            for y in 0..sizes[2] {
                let row = n * strides[0] + c * strides[1] + y * strides[2];
                to.extend((0..sizes[3]).map(|x| from[row + x * strides[3]]));
            }
        }
    }
    to
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tempfile::TempDir;
    use zip::write::SimpleFileOptions;

    use super::*;
    use crate::source::ImageSource;

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn dict(descr: &str, fortran: &str, shape: &str) -> String {
        format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n")
    }

    fn read(bytes: &[u8], channels: Channels) -> Result<Images, Error> {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a.npy");
        std::fs::write(&path, bytes).unwrap();
        read_npy(&path, None, channels)
    }

    fn npz(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, bytes) in members {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn every_order_of_axes_and_elements_gives_the_same_images() {
        let value = |n: usize, c: usize, y: usize, x: usize| (n * 100 + c * 30 + y * 10 + x) as u8;
        let (n, c, h, w) = (2, 3, 2, 4);
        let mut expected = Vec::new();
        let (mut c_last, mut f_first, mut f_last) = (vec![0; 48], vec![0; 48], vec![0; 48]);
        for (i, j, y, x) in (0..n).flat_map(|i| {
            (0..c).flat_map(move |j| (0..h).flat_map(move |y| (0..w).map(move |x| (i, j, y, x))))
        }) {
            let v = value(i, j, y, x);
            expected.push(v);
            c_last[((i * h + y) * w + x) * c + j] = v;
            f_first[i + n * (j + c * (y + h * x))] = v;
            f_last[i + n * (y + h * (x + w * j))] = v;
        }
        for (order, channels, shape, data) in [
            ("False", Channels::First, "(2, 3, 2, 4)", &expected),
            ("False", Channels::Last, "(2, 2, 4, 3)", &c_last),
            ("True", Channels::First, "(2, 3, 2, 4)", &f_first),
            ("True", Channels::Last, "(2, 2, 4, 3)", &f_last),
        ] {
            let images = read(&npy(&dict("|u1", order, shape), data), channels).unwrap();
            assert_eq!(images.shape(), [3, 2, 4]);
            assert_eq!(images.pixels(), &Pixels::U8(expected.clone()), "{order} {channels:?}");
        }
        let grey = read(&npy(&dict("|u1", "True", "(2, 2, 1)"), &[1, 2, 3, 4]), Channels::Last).unwrap();
        assert_eq!((grey.shape(), grey.pixels()), ([1, 2, 1], &Pixels::U8(vec![1, 3, 2, 4])));
    }

    #[test]
    fn every_type_in_either_byte_order_is_read() {
        let value = 3.0_f32;
        for (descr, bytes) in [
            ("|b1", vec![1]),
            ("|i1", (3_i8).to_le_bytes().to_vec()),
            ("<u2", (3_u16).to_le_bytes().to_vec()),
            (">u2", (3_u16).to_be_bytes().to_vec()),
            ("<i2", (3_i16).to_le_bytes().to_vec()),
            (">i4", (3_i32).to_be_bytes().to_vec()),
            ("<i8", (3_i64).to_le_bytes().to_vec()),
            (">f4", (3_f32).to_be_bytes().to_vec()),
            ("<f8", (3_f64).to_le_bytes().to_vec()),
            (">f8", (3_f64).to_be_bytes().to_vec()),
        ] {
            let images = read(&npy(&dict(descr, "False", "(1, 1, 1)"), &bytes), Channels::First).unwrap();
            match images.pixels() {
                Pixels::U8(pixels) => assert_eq!((pixels.as_slice(), descr), (&[1][..], "|b1")),
                Pixels::F32(pixels) => assert_eq!(pixels, &[value], "{descr}"),
            }
            assert_eq!(images.full_scale(), if descr.ends_with("u2") { 65535.0 } else { 1.0 });
        }
    }

    #[test]
    fn arrays_of_volumes_become_samples_of_four_axes_and_refuse_what_is_for_pictures() {
        use batchwright_core::{BatchOptions, Batches, Dataset, Sequence, Sequential};

        use crate::{Augment, ImageOptions, ImageSet, MeanStd, Scale};

        // Voxel (z, y, x) of volume n is 100 n + 12 z + 4 y + x, in Fortran order too.
        let at = |n: usize, z: usize, y: usize, x: usize| (100 * n + 12 * z + 4 * y + x) as u8;
        let (mut c, mut f) = (Vec::new(), vec![0; 48]);
        for (n, z, y, x) in (0..48).map(|i| (i / 24, i / 12 % 2, i / 4 % 3, i % 4)) {
            c.push(at(n, z, y, x));
            f[n + 2 * (z + 2 * (y + 3 * x))] = at(n, z, y, x);
        }
        for (fortran, data) in [("False", &c), ("True", &f)] {
            let volumes = read(&npy(&dict("|u1", fortran, "(2, 2, 3, 4)"), data), Channels::Depth).unwrap();
            assert!(volumes.is_volume());
            let statistics = MeanStd::of(&volumes, &[0, 1], Scale::None).unwrap();
            let mean = c.iter().map(|&v| f32::from(v)).sum::<f32>() / 48.0;
            assert!((statistics.mean[0] - mean).abs() < 1e-4 && statistics.mean.len() == 1);
            let normalize = Some(MeanStd { mean: vec![3.0], std: vec![2.0] });
            let options = ImageOptions { scale: Scale::None, normalize, ..ImageOptions::default() };
            let set = ImageSet::new(volumes, options).unwrap();
            let field = &set.fields()[0];
            assert_eq!((field.shape.as_slice(), field.axes.join("")), (&[1, 2, 3, 4][..], "Czyx".to_owned()));
            let options = BatchOptions { batch_size: 2, ..BatchOptions::default() };
            let batch = Batches::new(set, Sequential::new(2), options).unwrap().get(0, 0).unwrap();
            let expected: Vec<f32> = c.iter().map(|&v| (f32::from(v) - 3.0) / 2.0).collect();
            assert_eq!(batch.get::<f32>("image").unwrap(), expected);
        }
        let volumes = || read(&npy(&dict("|u1", "False", "(2, 2, 3, 4)"), &c), Channels::Depth).unwrap();
        let augment = Some(Augment::default());
        let error =
            ImageSet::new(volumes(), ImageOptions { augment, ..ImageOptions::default() }).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`augment`: expected left out, as the source holds volumes and these changes are of pictures, found it given"
        );
        let error = read(&npy(&dict("|u1", "False", "(2, 2, 3)"), &c[..12]), Channels::Depth).unwrap_err();
        assert!(
            error.to_string().ends_with("expected 4 axes of volumes, [N, D, H, W], found 3 axes: [2, 2, 3]"),
            "{error}"
        );
    }

    #[test]
    fn adrenal_glands_are_read_with_volumes() {
        let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
        let root = std::env::var_os("BATCHWRIGHT_DATA").map_or_else(beside, std::path::PathBuf::from);
        let path = root.join("adrenalmnist3d/adrenalmnist3d_trainval.npz");
        if !path.is_file() {
            return;
        }
        for (part, count) in [("train", 1188), ("val", 98)] {
            let (images, labels) = (format!("{part}_images"), format!("{part}_labels"));
            let volumes = read_npz(&path, &images, Some(&labels), Channels::Depth).unwrap();
            assert_eq!((volumes.len(), volumes.shape(), volumes.classes()), (count, [28, 28, 28], 2));
            let Pixels::U8(voxels) = volumes.pixels() else { panic!("masks are bytes") };
            assert!(voxels.iter().all(|&voxel| voxel == 0 || voxel == 255));
        }
    }

    #[test]
    fn members_of_an_archive_are_found_by_name() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a.npz");
        let images = npy(&dict("|u1", "False", "(2, 1, 2)"), &[1, 2, 3, 4]);
        let labels =
            npy(&dict("<i8", "False", "(2, 1)"), &[5_i64.to_le_bytes(), 0_i64.to_le_bytes()].concat());
        let good = npz(&[("train_images.npy", images.clone()), ("train_labels.npy", labels)]);
        std::fs::write(&path, &good).unwrap();
        let set = read_npz(&path, "train_images", Some("train_labels"), Channels::First).unwrap();
        assert_eq!((set.labels().unwrap(), set.id(1)), (&[5, 0][..], "a.npz/train_images[1]".to_owned()));
        let error = read_npz(&path, "test_images", None, Channels::First).unwrap_err().to_string();
        assert!(
            error.ends_with("expected an array `test_images`, found train_images, train_labels"),
            "{error}"
        );
        for end in 0..good.len() {
            std::fs::write(&path, &good[..end]).unwrap();
            assert!(read_npz(&path, "train_images", None, Channels::First).is_err(), "{end}");
        }
        // One wrong bit in the data is found by the checksum.
        let at = good.windows(images.len()).position(|window| window == images);
        let mut stored = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let plain = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        stored.start_file("a.npy", plain).unwrap();
        stored.write_all(&images).unwrap();
        let mut stored = stored.finish().unwrap().into_inner();
        assert!(at.is_none());
        let at = stored.windows(images.len()).position(|window| window == images).unwrap();
        stored[at + images.len() - 1] ^= 1;
        std::fs::write(&path, &stored).unwrap();
        assert!(matches!(read_npz(&path, "a", None, Channels::First), Err(Error::Decode { .. })));
    }

    #[test]
    fn every_prefix_is_an_error_and_hostile_shapes_fail_fast() {
        let good = npy(&dict("<f4", "False", "(2, 1, 2)"), &[0; 16]);
        for end in 0..good.len() {
            assert!(read(&good[..end], Channels::First).is_err(), "{end}");
        }
        assert!(read(&good, Channels::First).is_ok());
        for shape in [
            "(99999999999, 99999, 9999999)",
            "(4294967296, 1, 1)",
            "(1, 0, 1)",
            "(0, 9223372036854775807, 9223372036854775807)",
            "(18446744073709551616,1,1)",
        ] {
            assert!(read(&npy(&dict("<f4", "False", shape), &[0; 16]), Channels::First).is_err(), "{shape}");
        }
    }

    #[test]
    fn booleans_are_0_and_1_and_nothing_else() {
        let images = read(&npy(&dict("|b1", "False", "(2, 1, 1)"), &[1, 0]), Channels::First).unwrap();
        assert_eq!((images.pixels(), images.full_scale()), (&Pixels::U8(vec![1, 0]), 1.0));
        let header = dict("|b1", "False", "(2, 1, 1)");
        let error = read(&npy(&header, &[1, 255]), Channels::First).unwrap_err().to_string();
        let expected =
            format!("a.npy at byte {}: expected a boolean, 00 or 01, found ff", 10 + header.len() + 1);
        assert!(error.ends_with(&expected), "{error}");
    }

    #[test]
    fn rows_of_pixels_are_an_error_that_says_how_they_become_images() {
        let rows = npy(&dict("|u1", "False", "(2, 4)"), &[0; 8]);
        let error = read(&rows, Channels::First).unwrap_err().to_string();
        assert!(
            error.ends_with(
                "expected 3 or 4 axes of images (NumPy gives rows of pixels their height and width by \
                 `array.reshape(len(array), height, width)`), found rows of pixels: [2, 4]"
            ),
            "{error}"
        );
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a.npy");
        let values = [1.5_f32, -2.0, 0.0, 4.0];
        write_npy(&path, DType::F32, &[2, 1, 2], batchwright_core::bytes_of(&values)).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!((bytes.len() - 16) % 64, 0);
        let images = read_npy(&path, None, Channels::First).unwrap();
        assert_eq!(images.pixels(), &Pixels::F32(values.to_vec()));
        write_npy(&path, DType::I64, &[2], batchwright_core::bytes_of(&[7_i64, 8])).unwrap();
        let labels = Array::read(Bytes::open(&path).unwrap()).unwrap().labels(&path).unwrap();
        assert_eq!(labels, [7, 8]);
        write_npy(&path, DType::U8, &[], &[9]).unwrap();
        assert!(Array::read(Bytes::open(&path).unwrap()).unwrap().header.shape.is_empty());
        assert!(write_npy(&path, DType::U8, &[3], &[9]).is_err());
    }
}
