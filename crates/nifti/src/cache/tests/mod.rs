//! The cache from outside, over volumes that are made up and count how often they are decoded.

mod directory;
mod keys;
mod peak;
mod processes;
mod ram;
mod volumes;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::source::Source;
use super::voxels::Facts;
use super::*;
use crate::voxels::{VoxelSlice, VoxelType};

/// What comes before voxels in memory: a header of 352 bytes, and what aligns them.
const HEAD: usize = 384;

/// A volume whose voxels follow from a number, "read" from a small file.
#[derive(Clone, Debug)]
struct Made {
    path: PathBuf,
    facts: Facts,
    seed: i16,
    options: String,
    /// How long decoding takes.
    takes: Duration,
    outcome: Does,
}

#[derive(Clone, Debug, PartialEq)]
enum Does {
    Decode,
    Fail,
    Panic,
    /// Changes the file while it is read.
    Change,
}

impl Made {
    /// Makes the file `name` of a folder, and the volume of 2 channels in it.
    fn new(folder: &Path, name: &str, shape: [usize; 3], seed: i16) -> Self {
        let path = folder.join(name);
        std::fs::write(&path, format!("volume {seed}")).unwrap();
        Self::of(path, shape, seed)
    }

    fn of(path: PathBuf, shape: [usize; 3], seed: i16) -> Self {
        let facts = Facts { shape, channels: 2, voxel_type: VoxelType::I16 };
        Self {
            path,
            facts,
            seed,
            options: "as they are".into(),
            takes: Duration::ZERO,
            outcome: Does::Decode,
        }
    }

    /// The bytes of its voxels.
    fn bytes(&self) -> usize {
        self.facts.bytes().unwrap()
    }

    /// What it takes in memory.
    fn held(&self) -> usize {
        HEAD + self.bytes()
    }

    fn voxel(&self, index: usize) -> i16 {
        self.seed.wrapping_mul(31).wrapping_add(index as i16)
    }

    /// The file that gets a line for every decoding.
    fn log(&self) -> PathBuf {
        self.path.with_extension("log")
    }

    fn decodings(&self) -> usize {
        std::fs::read_to_string(self.log()).map_or(0, |text| text.lines().count())
    }

    fn check(&self, voxels: &Voxels) {
        assert_eq!(voxels.shape(), self.facts.shape);
        assert_eq!((voxels.channels(), voxels.voxel_type()), (2, VoxelType::I16));
        let each = self.bytes() / 4;
        for channel in 0..2 {
            let VoxelSlice::I16(slice) = voxels.slice(channel) else { panic!("another type") };
            assert_eq!(slice.len(), each);
            let whole = slice.iter().enumerate().all(|(i, &v)| v == self.voxel(channel * each + i));
            assert!(whole, "voxels of {}", self.path.display());
        }
    }
}

impl Source for Made {
    fn files(&self) -> Vec<&Path> {
        vec![&self.path]
    }

    fn options(&self) -> String {
        self.options.clone()
    }

    fn facts(&self) -> Facts {
        self.facts
    }

    fn head_room(&self) -> usize {
        352
    }

    fn decode(&self, room: &mut [u8], at: usize) -> Result<(), Error> {
        let (head, out) = room.split_at_mut(at);
        head[at - 352..].fill(0xaa);
        let mut log = OpenOptions::new().append(true).create(true).open(self.log()).unwrap();
        log.write_all(b"decoded\n").unwrap();
        std::thread::sleep(self.takes);
        assert_eq!(out.len(), self.bytes());
        match self.outcome {
            Does::Decode => {}
            Does::Fail => return Err(Error::io("read", &self.path, std::io::ErrorKind::InvalidData.into())),
            Does::Panic => panic!("decoding panics"),
            Does::Change => std::fs::write(&self.path, "another length").unwrap(),
        }
        for (i, voxel) in out.chunks_exact_mut(2).enumerate() {
            voxel.copy_from_slice(&self.voxel(i).to_ne_bytes());
        }
        Ok(())
    }
}

fn in_memory(budget: usize) -> Cache {
    let budget = budget as u64;
    Cache::new(CacheOptions { budget, directory: None, key: KeyBy::ModifiedTime }).unwrap()
}

fn in_directory(directory: &Path, budget: usize) -> Cache {
    let (budget, directory) = (budget as u64, Some(directory.to_owned()));
    Cache::new(CacheOptions { budget, directory, key: KeyBy::ModifiedTime }).unwrap()
}
