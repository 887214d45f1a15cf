//! Which files a volume is made of, found by their content; names only say where the other half of a pair is.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::extension;
use crate::finding::{Finding, Judge, Problem};
use crate::gzip::{self, Gunzip};
use crate::header::{Header, Storage};

/// Bytes that are read of a file before it is known what it is: the header of NIfTI-2 and the four behind it.
const HEAD: u64 = 544;

/// The most bytes behind the header of a pair.
const MOST_EXTENSION_BYTES: u64 = 64 << 20;

/// The files of a volume, and what their heads say.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) header: Header,
    pub(crate) header_path: PathBuf,
    pub(crate) image_path: PathBuf,
    pub(crate) compressed: bool,
    /// The length of the file of the voxels, as it is on disk.
    pub(crate) file_bytes: u64,
    pub(crate) warnings: Vec<Finding>,
}

/// A file read from its start, inflated if it is compressed.
pub(crate) enum Source {
    Plain(BufReader<File>),
    Gzip(Box<Gunzip<BufReader<File>>>),
}

impl Source {
    /// Opens a file and returns its length on disk, too.
    pub(crate) fn open(path: &Path, lenient: bool) -> Result<(Self, u64), Error> {
        let (file, bytes) = open(path)?;
        let mut reader = BufReader::new(file);
        let start = reader.fill_buf().map_err(|error| Error::io("read", path, error))?;
        if start.starts_with(&gzip::MAGIC) {
            Ok((Self::Gzip(Box::new(Gunzip::new(reader, lenient))), bytes))
        } else {
            Ok((Self::Plain(reader), bytes))
        }
    }
}

impl Read for Source {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(out),
            Self::Gzip(reader) => reader.read(out),
        }
    }
}

/// Opens a regular file; opening anything else could wait for ever.
pub(crate) fn open(path: &Path) -> Result<(File, u64), Error> {
    let metadata = fs::metadata(path).map_err(|error| Error::io("read", path, error))?;
    if metadata.is_dir() {
        return Err(Error::io("read", path, io::ErrorKind::IsADirectory.into()));
    }
    if !metadata.is_file() {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
        return Err(Error::io("read", path, error));
    }
    let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
    Ok((file, metadata.len()))
}

/// Finds out what `path` is and where its voxels are, and checks all that can be checked without decoding them.
pub(crate) fn locate(path: &Path, lenient: bool, max_bytes: u64) -> Result<Located, Error> {
    let mut judge = Judge::new(lenient);
    let (header_path, image) = match Kind::of(path) {
        Kind::Image => match sibling(path, "hdr") {
            Some(header) => (header, Some(path.to_owned())),
            None => (path.to_owned(), None),
        },
        Kind::Header => (path.to_owned(), sibling(path, "img")),
        Kind::Other => (path.to_owned(), None),
    };
    let (mut source, mut file_bytes) = Source::open(&header_path, lenient)?;
    let reading = |error| Error::reading("read the header of", &header_path, error);
    let mut head = Vec::new();
    (&mut source).take(HEAD).read_to_end(&mut head).map_err(reading)?;
    let mut compressed = matches!(source, Source::Gzip(_));
    let header = Header::judged(&head, image.is_some(), &mut judge).map_err(|finding| {
        let finding = if compressed { finding } else { not_compressed(&header_path, &head, finding) };
        Error::file(&header_path, finding)
    })?;
    let image_path = match (header.storage, image) {
        (Storage::Single, _) => header_path.clone(),
        (Storage::Pair, image) => {
            let image = image.or_else(|| sibling(&header_path, "img")).ok_or_else(|| {
                let expected = "a file beside it, of the same name with .img or .img.gz";
                let finding =
                    Finding::new(Problem::MissingImage, "the image of the header", expected, "none");
                Error::file(&header_path, finding)
            })?;
            let (source, bytes) = Source::open(&image, lenient)?;
            compressed = matches!(source, Source::Gzip(_));
            file_bytes = bytes;
            image
        }
    };
    check_length(&header, compressed, file_bytes, max_bytes, &mut judge)
        .map_err(|finding| Error::file(&image_path, finding))?;
    let rest = &head[header.version.header_bytes()..];
    check_extensions(&header, rest, source, &mut judge)
        .map_err(|error| Error::reading("read the extensions of", &header_path, error))?;
    Ok(Located { header, header_path, image_path, compressed, file_bytes, warnings: judge.warnings })
}

/// Compares what the header says with the length of the file, before anything is allocated.
fn check_length(
    header: &Header,
    compressed: bool,
    file_bytes: u64,
    max_bytes: u64,
    judge: &mut Judge,
) -> Result<(), Finding> {
    let bytes = header.voxel_bytes();
    // The header was checked: this is below 2^63.
    let end = header.vox_offset + bytes;
    let most = if compressed { file_bytes.saturating_mul(gzip::MOST_RATIO) } else { file_bytes };
    if most < end {
        let found = if compressed {
            format!("{file_bytes} compressed bytes, which hold at most {most}")
        } else {
            format!("{file_bytes}")
        };
        let expected = format!("at least {end} bytes ({} before {bytes} of voxels)", header.vox_offset);
        return Err(Finding::new(Problem::Truncated, "the file", expected, found));
    }
    if max_bytes < bytes || max_bytes < header.vox_offset {
        let expected = format!("at most {max_bytes} bytes, which `max_bytes` allows");
        let found = format!("{bytes} from byte {} on", header.vox_offset);
        return Err(Finding::new(Problem::TooLarge, "the voxels", expected, found));
    }
    if !compressed && end < file_bytes {
        let expected = format!("at byte {end}");
        judge.warn(Finding::new(Problem::TrailingData, "the end of the file", expected, file_bytes));
    }
    Ok(())
}

/// Goes through the extensions without keeping them. `rest` is what was read behind the header, `source` goes on there.
fn check_extensions(header: &Header, rest: &[u8], mut source: Source, judge: &mut Judge) -> io::Result<()> {
    let Some(from) = flagged(header, rest) else { return Ok(()) };
    let mut odd = Vec::new();
    let checked = match header.storage {
        Storage::Single => {
            let source = rest[4..].chain(source);
            extension::walk(
                source,
                header.byte_order,
                from,
                header.vox_offset,
                |_, _| Ok(()),
                |f| odd.push(f),
            )
        }
        Storage::Pair => {
            let bytes = behind_header(rest, &mut source)?;
            let end = from + bytes.len() as u64;
            extension::walk(bytes.as_slice(), header.byte_order, from, end, |_, _| Ok(()), |f| odd.push(f))
        }
    };
    judge.warnings.extend(odd);
    match checked.map_err(Finding::inside) {
        Ok(()) => Ok(()),
        Err(Ok(finding)) if finding.problem == Problem::BadExtension => {
            judge.tolerate(finding).map_err(io::Error::from)
        }
        Err(Ok(finding)) => Err(finding.into()),
        Err(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Finding::new(
            Problem::Truncated,
            "the file",
            format!("at least {} bytes before the voxels", header.vox_offset),
            "its end among the extensions",
        )
        .into()),
        Err(Err(error)) => Err(error),
    }
}

/// Returns where the extensions start if the four bytes behind the header say that there are some.
pub(crate) fn flagged(header: &Header, rest: &[u8]) -> Option<u64> {
    rest.get(..4).filter(|flag| flag[0] != 0).map(|_| header.version.header_bytes() as u64 + 4)
}

/// Returns all that stands behind the header of a pair and the four bytes after that.
pub(crate) fn behind_header(rest: &[u8], source: &mut Source) -> io::Result<Vec<u8>> {
    let mut bytes = rest[4..].to_vec();
    source.take(MOST_EXTENSION_BYTES + 1).read_to_end(&mut bytes)?;
    if MOST_EXTENSION_BYTES < bytes.len() as u64 {
        let expected = format!("at most {MOST_EXTENSION_BYTES} bytes");
        return Err(Finding::new(Problem::TooLarge, "what follows the header", expected, "more").into());
    }
    Ok(bytes)
}

/// A file that is called compressed, is not, and is nothing else either, is a damaged compressed file.
fn not_compressed(path: &Path, head: &[u8], finding: Finding) -> Finding {
    let named = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gz"));
    let unknown = match finding.problem {
        Problem::TooShort => !head.is_empty(),
        Problem::NotNifti => finding.found.starts_with("sizeof_hdr"),
        _ => false,
    };
    if named && unknown {
        let found = head.iter().take(2).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
        Finding::new(Problem::Gzip, "the first bytes of a file called .gz", "1f 8b", found)
    } else {
        finding
    }
}

enum Kind {
    Header,
    Image,
    Other,
}

impl Kind {
    fn of(path: &Path) -> Self {
        match split(path) {
            Some((_, ending, _)) if ending.eq_ignore_ascii_case("hdr") => Self::Header,
            Some((_, ending, _)) if ending.eq_ignore_ascii_case("img") => Self::Image,
            _ => Self::Other,
        }
    }
}

/// Returns a name without its ending, the ending, and whether .gz follows.
fn split(path: &Path) -> Option<(&str, &str, bool)> {
    let name = path.file_name()?.to_str()?;
    let cut = |name: &str| {
        let at = name.rfind('.')?;
        Some((at, &path.file_name()?.to_str()?[at + 1..name.len()]))
    };
    let (at, ending) = cut(name)?;
    if ending.eq_ignore_ascii_case("gz") {
        let (before, inner) = cut(&name[..at])?;
        Some((&name[..before], inner, true))
    } else {
        Some((&name[..at], ending, false))
    }
}

/// Returns the other half of a pair if it is there: the same name with `ending`, compressed as `path` is if both are there,
/// in lower or upper case.
fn sibling(path: &Path, ending: &str) -> Option<PathBuf> {
    let (stem, _, compressed) = split(path)?;
    let upper = ending.to_ascii_uppercase();
    let mut names = [
        (format!("{stem}.{ending}"), false),
        (format!("{stem}.{ending}.gz"), true),
        (format!("{stem}.{upper}"), false),
        (format!("{stem}.{upper}.GZ"), true),
        (format!("{stem}.{upper}.gz"), true),
    ];
    names.sort_by_key(|&(_, is_compressed)| is_compressed != compressed);
    names.into_iter().map(|(name, _)| path.with_file_name(name)).find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_at_their_endings() {
        let parts = |name: &'static str| split(Path::new(name));
        assert_eq!(parts("a/b.run-1.nii.gz"), Some(("b.run-1", "nii", true)));
        assert_eq!(parts("b.NII"), Some(("b", "NII", false)));
        assert_eq!(parts("b.hdr.GZ"), Some(("b", "hdr", true)));
        assert_eq!(parts("b"), None);
        assert_eq!(parts("b.gz"), None);
    }

    #[test]
    fn the_half_of_a_pair_that_is_compressed_alike_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert_eq!(sibling(&at("a.hdr"), "img"), None);
        for name in ["a.img", "a.img.gz", "B.IMG"] {
            fs::write(at(name), []).unwrap();
        }
        assert_eq!(sibling(&at("a.hdr"), "img"), Some(at("a.img")));
        assert_eq!(sibling(&at("a.hdr.gz"), "img"), Some(at("a.img.gz")));
        assert_eq!(sibling(&at("B.HDR"), "img"), Some(at("B.IMG")));
    }
}
