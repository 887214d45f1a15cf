//! What the fuzz targets run; ordinary tests replay their corpus through the same functions. Each panics where a law breaks.

use std::io::Read as _;

use crate::extension;
use crate::finding::Finding;
use crate::geometry::Geometry;
use crate::gzip::{Gunzip, Whole, inflate_whole};
use crate::header::{ByteOrder, Header, MOST_BYTES};
use crate::read::Runs;
use crate::region::Region;

/// The most bytes that come out of a gzip stream here.
const ROOM: usize = 1 << 16;

/// Parses any bytes as a header: what is accepted keeps its promises, and is written and read again as the same.
pub fn header(bytes: &[u8]) {
    for lenient in [false, true] {
        let Ok((header, _)) = Header::parse(bytes, lenient) else { continue };
        assert!(!header.shape().is_empty() && !header.shape().contains(&0));
        assert!(header.voxel_bytes() <= MOST_BYTES);
        assert!(header.vox_offset().checked_add(header.voxel_bytes()).is_some());
        let (geometry, _) = Geometry::of(&header);
        assert!(geometry.voxel_to_world().0.0.iter().flatten().all(|x| x.is_finite()));
        assert!(geometry.world_to_voxel().0.0.iter().flatten().all(|x| x.is_finite()));
        let written = header.encode();
        let (again, _) = match Header::parse(&written, false) {
            Ok(again) => again,
            Err(finding) => panic!("what was written is refused: {finding}"),
        };
        assert_eq!(again.encode(), written);
    }
}

/// Parses any bytes but the first, which is the byte order, as extensions.
pub fn extensions(bytes: &[u8]) {
    let Some((order, bytes)) = bytes.split_first() else { return };
    let order = if order & 1 == 0 { ByteOrder::Little } else { ByteOrder::Big };
    match extension::parse(bytes, order) {
        Ok(found) => {
            let used: usize = found.iter().map(|extension| 8 + extension.bytes.len()).sum();
            assert!(used <= bytes.len() && bytes.len() < used + 8);
        }
        Err(error) => assert!(Finding::inside(error).is_ok(), "bytes in memory were not read"),
    }
}

/// Inflates any bytes in both ways, which must agree where both accept them.
pub fn gzip(bytes: &[u8]) {
    let mut whole = vec![0; ROOM];
    let result = inflate_whole(bytes, &mut whole);
    for lenient in [false, true] {
        let mut streamed = Vec::new();
        let read = Gunzip::new(bytes, lenient).take(ROOM as u64 + 1).read_to_end(&mut streamed);
        match (result, read) {
            (Whole::Done(length), Ok(_)) => assert_eq!(whole[..length], streamed),
            (_, Ok(length)) => assert!(lenient || ROOM < length || result != Whole::Full),
            (_, Err(error)) => assert!(Finding::inside(error).is_ok(), "bytes in memory were not read"),
        }
    }
}

/// Plans the reads of any box of any volume that exists.
pub fn region(bytes: &[u8]) {
    let mut numbers = bytes.chunks(8).map(|bytes| {
        let mut number = [0; 8];
        number[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(number)
    });
    let mut next = || numbers.next().unwrap_or(0);
    let [shape, origin, size] = std::array::from_fn(|_| std::array::from_fn(|_| next() as usize));
    let (start, element, gap, most) = (next(), 1 + (next() % 16) as usize, next(), next() % (1 << 16));
    let Ok(region) = Region::new(origin, size, shape) else { return };
    let array = shape.iter().try_fold(element as u64, |bytes, &n| bytes.checked_mul(n as u64));
    let Some(end) = array.and_then(|bytes| bytes.checked_add(start)).filter(|&end| end < i64::MAX as u64)
    else {
        return;
    };
    let runs = Runs::of(&region, element, start);
    assert_eq!(runs.len() * runs.bytes(), region.voxels() * element);
    let mut run = 0;
    let mut before = start;
    for read in runs.reads(gap, most).take(200) {
        assert_eq!(read.runs.start, run);
        assert!(before <= read.offset && read.offset + read.bytes as u64 <= end);
        (run, before) = (read.runs.end, read.offset + read.bytes as u64);
    }
    let last = runs.offset(runs.len() - 1) + runs.bytes() as u64;
    assert!(last <= end);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    fn replay(target: &str, run: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let mut files = 0;
        for entry in std::fs::read_dir(&folder).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            run(&bytes);
            for end in 0..bytes.len() {
                run(&bytes[..end]);
            }
            files += 1;
        }
        assert!(4 <= files, "{}", folder.display());
    }

    #[test]
    fn the_corpus_of_headers_and_its_prefixes_keep_the_laws() {
        replay("header", super::header);
    }

    #[test]
    fn the_corpus_of_extensions_and_its_prefixes_keep_the_laws() {
        replay("extensions", super::extensions);
    }

    #[test]
    fn the_corpus_of_gzip_and_its_prefixes_keep_the_laws() {
        replay("gzip", super::gzip);
    }

    #[test]
    fn the_corpus_of_regions_and_its_prefixes_keep_the_laws() {
        replay("region", super::region);
    }
}
