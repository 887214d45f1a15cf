//! IDX files, the format of the MNIST family.

use std::path::Path;

use crate::error::{At, Error};
use crate::file::{Bytes, file_name};
use crate::images::Images;
use crate::numbers::{Endian, Number};

/// Axes of an array, and so four bytes each in a header.
const MOST_AXES: u8 = 8;

/// Reads images, and their labels if a second file is given, from IDX files, compressed with gzip or not.
///
/// The file of images holds [N, H, W] or [N, C, H, W] of any IDX type; bytes stay bytes, other types become `f32`. The
/// file of labels holds `[N]` whole numbers. Each file is read to its end, its length must be what its header says, and
/// where it is compressed its checksum is checked. Samples are named after the file: `train-images-idx3-ubyte.gz[123]`.
///
/// # Errors
/// Names the file, the byte, what was expected and what was found.
pub fn read_idx(images: &Path, labels: Option<&Path>) -> Result<Images, Error> {
    let array = Array::read(images)?;
    let shape = match *array.shape.as_slice() {
        [_, height, width] => [1, height, width],
        [_, channels, height, width] => [channels, height, width],
        _ => {
            let found = format!("{} axes", array.shape.len());
            return Err(Error::malformed(images, At::Byte(3), "3 or 4 axes of images", found));
        }
    };
    if array.shape.contains(&0) {
        let found = format!("{:?}", array.shape);
        return Err(Error::malformed(images, At::Byte(4), "at least one image of at least one pixel", found));
    }
    let set = array.number.images(images, shape, array.bytes, Endian::Big)?.with_name(file_name(images));
    let Some(path) = labels else { return Ok(set) };
    let count = array.shape[0];
    let array = Array::read(path)?;
    if array.shape.len() != 1 {
        let found = format!("{} axes", array.shape.len());
        return Err(Error::malformed(path, At::Byte(3), "1 axis of labels", found));
    }
    if array.shape[0] != count {
        return Err(Error::Count {
            what: path.display().to_string(),
            found: array.shape[0],
            of: images.display().to_string(),
            expected: count,
        });
    }
    let labels = array.number.labels(&array.bytes, Endian::Big).map_err(|(at, found)| {
        let byte = array.data_start + at as u64 * array.number.size();
        Error::malformed(path, At::Byte(byte), "a label, a whole number", found)
    })?;
    set.with_labels(labels)
}

struct Array {
    number: Number,
    shape: Vec<usize>,
    data_start: u64,
    bytes: Vec<u8>,
}

impl Array {
    fn read(path: &Path) -> Result<Self, Error> {
        let mut file = Bytes::open(path)?;
        let magic = file.take(4, "the magic number of an IDX file")?;
        let number = match magic[2] {
            _ if magic[..2] != [0, 0] => {
                let found = format!("{:02x} {:02x}", magic[0], magic[1]);
                return Err(Error::malformed(
                    path,
                    At::Byte(0),
                    "00 00, the magic number of an IDX file",
                    found,
                ));
            }
            0x08 => Number::U8,
            0x09 => Number::I8,
            0x0b => Number::I16,
            0x0c => Number::I32,
            0x0d => Number::F32,
            0x0e => Number::F64,
            other => {
                let expected = "an IDX type (08, 09, 0b, 0c, 0d or 0e)";
                return Err(Error::malformed(path, At::Byte(2), expected, format!("{other:02x}")));
            }
        };
        if magic[3] == 0 || MOST_AXES < magic[3] {
            return Err(Error::malformed(path, At::Byte(3), format!("1 to {MOST_AXES} axes"), magic[3]));
        }
        let sizes = file.take(u64::from(magic[3]) * 4, "the sizes of the axes")?;
        let shape: Vec<usize> =
            sizes.as_chunks::<4>().0.iter().map(|&size| u32::from_be_bytes(size) as usize).collect();
        let bytes = shape
            .iter()
            .try_fold(number.size(), |product, &size| product.checked_mul(size as u64))
            .ok_or_else(|| {
            let expected = "sizes of the axes that a file can have";
            Error::malformed(path, At::Byte(4), expected, format!("{shape:?}"))
        })?;
        let data_start = file.offset();
        let bytes = file.take(bytes, &format!("an array {shape:?}"))?;
        file.finish()?;
        Ok(Self { number, shape, data_start, bytes })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tempfile::TempDir;

    use super::*;
    use crate::images::Pixels;
    use crate::source::ImageSource;

    fn idx(kind: u8, shape: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, kind, shape.len() as u8];
        for size in shape {
            bytes.extend(size.to_be_bytes());
        }
        bytes.extend(data);
        bytes
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(images: &[u8], labels: Option<&[u8]>) -> Result<Images, Error> {
        let folder = TempDir::new().unwrap();
        let (at, of) = (folder.path().join("images"), folder.path().join("labels"));
        std::fs::write(&at, images).unwrap();
        if let Some(labels) = labels {
            std::fs::write(&of, labels).unwrap();
        }
        read_idx(&at, labels.map(|_| of.as_path()))
    }

    /// The text of an error without the folder of the test.
    fn text(result: Result<Images, Error>) -> String {
        let text = result.unwrap_err().to_string();
        text.rsplit_once(std::path::MAIN_SEPARATOR).map_or(text.clone(), |(_, rest)| rest.to_owned())
    }

    #[test]
    fn images_and_labels_are_read_whether_compressed_or_not() {
        let (images, labels) = (idx(8, &[2, 2, 3], &(0..12).collect::<Vec<_>>()), idx(8, &[2], &[7, 3]));
        for (images, labels) in [(images.clone(), labels.clone()), (gzip(&images), gzip(&labels))] {
            let set = read(&images, Some(&labels)).unwrap();
            assert_eq!((set.len(), set.shape(), set.classes()), (2, [1, 2, 3], 8));
            assert_eq!(set.pixels(), &Pixels::U8((0..12).collect()));
            assert_eq!((set.labels(), set.id(1)), (Some(&[7, 3][..]), "images[1]".to_owned()));
        }
    }

    #[test]
    fn the_other_types_become_floats() {
        let data: Vec<u8> = [-2_i16, 300].iter().flat_map(|x| x.to_be_bytes()).collect();
        assert_eq!(
            read(&idx(0x0b, &[2, 1, 1], &data), None).unwrap().pixels(),
            &Pixels::F32(vec![-2.0, 300.0])
        );
        let data: Vec<u8> = [0.5_f64, -1.25].iter().flat_map(|x| x.to_be_bytes()).collect();
        let set = read(&idx(0x0e, &[1, 2, 1, 1], &data), None).unwrap();
        assert_eq!((set.shape(), set.pixels()), ([2, 1, 1], &Pixels::F32(vec![0.5, -1.25])));
    }

    #[test]
    fn errors_name_the_byte_and_both_values() {
        let good = idx(8, &[2, 1, 1], &[5, 6]);
        let mut magic = good.clone();
        magic[1] = 1;
        assert_eq!(
            text(read(&magic, None)),
            "images at byte 0: expected 00 00, the magic number of an IDX file, found 00 01"
        );
        assert_eq!(
            text(read(&good[..17], None)),
            "images at byte 16: expected an array [2, 1, 1] of 2 bytes, found at most 1 bytes left"
        );
        let mut more = good.clone();
        more.push(0);
        assert_eq!(
            text(read(&more, None)),
            "images at byte 18: expected the end of the file, found more bytes"
        );
        assert!(text(read(&good, Some(&idx(8, &[3], &[0, 1, 2])))).contains("has 2"));
        let label = idx(0x0d, &[2], &[1.0_f32.to_be_bytes(), 1.5_f32.to_be_bytes()].concat());
        assert_eq!(
            text(read(&good, Some(&label))),
            "labels at byte 12: expected a label, a whole number, found 1.5"
        );
        let nan = idx(0x0d, &[2, 1, 1], &[1.0_f32.to_be_bytes(), f32::NAN.to_be_bytes()].concat());
        assert!(text(read(&nan, None)).ends_with("expected finite numbers, found NaN at pixel 0 of image 1"));
    }

    #[test]
    fn no_image_is_an_error() {
        for shape in [[0, 2, 2], [2, 0, 2]] {
            let found =
                text(read(&idx(8, &shape, &[]), Some(&idx(8, &shape[..1], &[0; 2][..shape[0] as usize]))));
            let expected = "images at byte 4: expected at least one image of at least one pixel, found";
            assert_eq!(found, format!("{expected} {shape:?}"));
        }
    }

    #[test]
    fn a_label_that_numbers_no_class_is_an_error_with_its_sample() {
        let labels = [1_i32, 1 << 24].iter().flat_map(|x| x.to_be_bytes()).collect::<Vec<_>>();
        let found = text(read(&idx(8, &[2, 1, 1], &[5, 6]), Some(&idx(0x0c, &[2], &labels))));
        assert_eq!(
            found,
            "sample 1 (images[1]) has the label 16777216, and labels number classes from 0: expected one below 16777216"
        );
        let labels = [1_i32, (1 << 24) - 1, -7].iter().flat_map(|x| x.to_be_bytes()).collect::<Vec<_>>();
        let set = read(&idx(8, &[3, 1, 1], &[5, 6, 7]), Some(&idx(0x0c, &[3], &labels))).unwrap();
        assert_eq!(set.classes(), 1 << 24);
    }

    #[test]
    fn a_wrong_checksum_is_an_error() {
        let mut packed = gzip(&idx(8, &[2, 1, 1], &[5, 6]));
        let crc = packed.len() - 8;
        packed[crc] ^= 1;
        assert!(matches!(read(&packed, None), Err(Error::Decode { .. })));
    }

    #[test]
    fn a_header_that_promises_too_much_fails_fast() {
        for shape in [&[u32::MAX, u32::MAX, u32::MAX][..], &[1 << 20, 1 << 10, 1 << 10], &[1, 0, 5]] {
            for bytes in [idx(8, shape, &[0; 10]), gzip(&idx(8, shape, &[0; 10]))] {
                assert!(read(&bytes, None).is_err(), "{shape:?}");
            }
        }
    }

    #[test]
    fn every_prefix_of_a_file_is_an_error() {
        let good = idx(8, &[3, 2, 2], &[9; 12]);
        for bytes in [good.clone(), gzip(&good)] {
            for end in 0..bytes.len() {
                assert!(read(&bytes[..end], None).is_err(), "{end} of {}", bytes.len());
            }
            assert!(read(&bytes, None).is_ok());
        }
    }
}
