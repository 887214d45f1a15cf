//! Where the files of a set lie: in folders of the system, or in a zip archive.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zip::ZipArchive;

use crate::error::{At, Error};
use crate::file::Bytes;

/// Folders within folders.
const MOST_DEPTH: usize = 32;

/// Folders below links, each counted as often as links lead to it: a few links can lead to many.
const MOST_LINKED: usize = 1 << 16;

/// Bytes of an archive, which is kept in memory as it is.
const MOST_ARCHIVE: u64 = 1 << 32;

/// What the first bytes of an archive are: of its first member, or of the end of an empty one.
const MAGIC: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];

/// A file of a tree.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Where it lies, for errors; below an archive, the path that it would have there.
    pub(crate) path: PathBuf,
    /// The path relative to the root, with `/`.
    pub(crate) id: String,
    /// How long it is said to be.
    pub(crate) bytes: u64,
    /// Its number in the archive.
    member: Option<usize>,
}

/// Where the bytes of files come from.
#[derive(Debug)]
pub(crate) enum Tree {
    /// The system.
    Folder,
    /// An archive, with its bytes.
    Zip(Box<ZipArchive<Cursor<Arc<[u8]>>>>),
}

impl Tree {
    /// Lists the files below a folder, or in a zip archive, in the order of their ids. What begins with a dot is left
    /// out, and so is what macOS adds to an archive.
    pub(crate) fn open(root: &Path) -> Result<(Self, Vec<Entry>), Error> {
        let mut entries = Vec::new();
        let tree = if root.is_file() {
            let archive = archive(root)?;
            let refused = |source| Error::decode(root, At::File, source);
            for member in 0..archive.len() {
                let entry = archive.by_index_data(member).map_err(refused)?;
                let id = entry.name().map_err(refused)?.into_owned();
                let hidden = |part: &str| part.starts_with('.') || part == "__MACOSX";
                if entry.is_dir() || entry.is_symlink() || id.split('/').any(hidden) {
                    continue;
                }
                let (path, bytes) = (root.join(&id), entry.size());
                entries.push(Entry { path, id, bytes, member: Some(member) });
            }
            Self::Zip(Box::new(archive))
        } else {
            let mut listing = Listing { files: &mut entries, linked: 0, most_linked: MOST_LINKED };
            list(root, "", &mut Vec::new(), false, &mut listing)?;
            Self::Folder
        };
        entries.sort_by(|a, b| a.id.cmp(&b.id));
        Ok((tree, entries))
    }

    /// Reads a file of at most `most` bytes.
    pub(crate) fn read(&self, root: &Path, entry: &Entry, most: u64) -> Result<Vec<u8>, Error> {
        match (self, entry.member) {
            (Self::Zip(archive), Some(member)) => {
                if most < entry.bytes {
                    return Err(too_long(&entry.path, most, format!("{} bytes", entry.bytes)));
                }
                // Shares the bytes and the list of members; what it has of its own is where it reads.
                let mut archive = archive.as_ref().clone();
                let at = || At::Member { name: entry.id.clone(), byte: 0 };
                let file = archive.by_index(member).map_err(|source| Error::decode(root, at(), source))?;
                let packed = file.compressed_size();
                let mut bytes = Bytes::member(root, &entry.id, file, packed);
                let all = Bytes::take(&mut bytes, entry.bytes, "a file");
                // The archive is in memory: the system has no part in what goes wrong.
                all.and_then(|all| bytes.finish().map(|()| all)).map_err(|error| match error {
                    Error::Io { source, .. } => Error::decode(root, at(), source),
                    other => other,
                })
            }
            (Self::Zip(_) | Self::Folder, _) => read(&entry.path, most),
        }
    }

    /// Makes the entry of a file of the system.
    pub(crate) fn entry(path: PathBuf, id: String) -> Result<Entry, Error> {
        let bytes = std::fs::metadata(&path).map_err(|source| Error::io("find", &path, source))?.len();
        Ok(Entry { path, id, bytes, member: None })
    }
}

/// Takes the first folder off the ids of files if all lie in it and `below` says of each rest that it stands for itself.
pub(crate) fn skip_top(entries: &mut [Entry], below: impl Fn(&str) -> bool) {
    let Some(top) = entries.first().and_then(|entry| entry.id.split_once('/')).map(|(top, _)| top.to_owned())
    else {
        return;
    };
    let rest = |id: &str| id.strip_prefix(top.as_str())?.strip_prefix('/').map(str::to_owned);
    if entries.iter().all(|entry| rest(&entry.id).is_some_and(|rest| below(&rest))) {
        for entry in entries {
            if let Some(rest) = rest(&entry.id) {
                entry.id = rest;
            }
        }
    }
}

fn archive(path: &Path) -> Result<ZipArchive<Cursor<Arc<[u8]>>>, Error> {
    let length = std::fs::metadata(path).map_err(|source| Error::io("open", path, source))?.len();
    if MOST_ARCHIVE < length {
        let expected = format!("a zip archive of at most {MOST_ARCHIVE} bytes");
        return Err(Error::malformed(path, At::File, expected, format!("{length} bytes")));
    }
    let bytes = read(path, MOST_ARCHIVE)?;
    if !MAGIC.iter().any(|magic| bytes.starts_with(magic)) {
        return Err(Error::malformed(path, At::File, "a folder or a zip archive", "another file"));
    }
    let archive = ZipArchive::new(Cursor::new(Arc::from(bytes)));
    let archive = archive.map_err(|source| Error::decode(path, At::File, source))?;
    if archive.has_duplicate_names() {
        return Err(Error::malformed(path, At::File, "members of different names", "two of one name"));
    }
    Ok(archive)
}

fn too_long(path: &Path, most: u64, found: String) -> Error {
    Error::malformed(path, At::File, format!("the file of a picture, at most {most} bytes"), found)
}

/// Reads a file of at most `most` bytes. What the system says about its length is not believed: it may be a device.
fn read(path: &Path, most: u64) -> Result<Vec<u8>, Error> {
    let file = File::open(path).map_err(|source| Error::io("open", path, source))?;
    let length = file.metadata().map_err(|source| Error::io("open", path, source))?.len();
    if most < length {
        return Err(too_long(path, most, format!("{length} bytes")));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    let reading = file.take(most.saturating_add(1)).read_to_end(&mut bytes);
    reading.map_err(|source| Error::io("read", path, source))?;
    if most < bytes.len() as u64 { Err(too_long(path, most, "more".to_owned())) } else { Ok(bytes) }
}

/// What was found so far.
pub(crate) struct Listing<'a> {
    pub(crate) files: &'a mut Vec<Entry>,
    /// Folders below links.
    pub(crate) linked: usize,
    pub(crate) most_linked: usize,
}

/// Lists a folder. `above` are the folders it lies in, without links in their paths, and `linked` says whether a link is
/// among them.
pub(crate) fn list(
    folder: &Path,
    prefix: &str,
    above: &mut Vec<PathBuf>,
    linked: bool,
    listing: &mut Listing<'_>,
) -> Result<(), Error> {
    let here = folder.canonicalize().map_err(|source| Error::io("find", folder, source))?;
    if above.contains(&here) {
        log::warn!("{} links to a folder that it lies in, and is left out", folder.display());
        return Ok(());
    }
    listing.linked += usize::from(linked);
    for (found, most, what) in [
        (above.len(), MOST_DEPTH, "folders in each other"),
        (listing.linked, listing.most_linked, "folders below links"),
    ] {
        if most < found {
            return Err(Error::malformed(folder, At::File, format!("at most {most} {what}"), "more"));
        }
    }
    above.push(here);
    let reading = |source| Error::io("list", folder, source);
    for entry in std::fs::read_dir(folder).map_err(reading)? {
        let entry = entry.map_err(reading)?;
        let path = entry.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let facts = std::fs::metadata(&path).map_err(|source| Error::io("find", &path, source))?;
        let id = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        if facts.is_dir() {
            let linked = linked || entry.file_type().map_err(reading)?.is_symlink();
            list(&path, &id, above, linked, listing)?;
        } else if facts.is_file() {
            listing.files.push(Entry { path, id, bytes: facts.len(), member: None });
        }
    }
    above.pop();
    Ok(())
}
