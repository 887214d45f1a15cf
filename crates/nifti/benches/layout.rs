//! In which layout a decoded volume gives patches fastest: flat, bricks of 32^3, or bricks compressed with LZ4.
//!
//! ```text
//! cargo bench -p batchwright-nifti --bench layout [-- DIRECTORY]
//! ```
//!
//! Writes a volume of each size and layout into files of a directory (by default that of temporary files), maps them, and cuts
//! patches at drawn places into `f32`, as the sampler of patches does where there is nothing to interpolate. Memory:
//! from anonymous memory with large pages, as the cache has without a directory. Warm: from the mapped file, all of it in
//! the system's memory. Cold: before each patch the file's pages are dropped from the system's memory (`posix_fadvise`), and
//! `/proc/self/io` tells how many bytes came from the disk. It prints the table of `docs/volume-layout.md`: of each
//! time the first tenth, and the median in brackets.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement that prints a table")]
#![expect(unsafe_code, reason = "maps files and drops their pages")]

use std::fs::File;
use std::hint::black_box;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use memmap2::{Advice, Mmap, MmapMut};

const BRICK: usize = 32;
const WARM_PATCHES: usize = 151;
const COLD_PATCHES: usize = 15;

#[derive(Clone, Copy, PartialEq)]
enum Layout {
    Flat,
    Bricks,
    Lz4,
}

/// Numbers without a pattern that matters here.
struct Draws(u64);

impl Draws {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

/// A volume in a file.
struct Stored {
    layout: Layout,
    shape: [usize; 3],
    file: File,
    bytes: u64,
    /// Where each compressed brick is.
    index: Vec<(usize, usize)>,
}

fn main() {
    let given = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).map(PathBuf::from);
    let directory = given.unwrap_or_else(std::env::temp_dir);
    let path = directory.join(format!("layout-{}.volume", std::process::id()));
    println!(
        "| volume (i16) | patch | layout | file, MiB | memory, ms | warm, ms | cold, ms | read, MiB | the next, ms |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for shape in [[240, 240, 155], [512, 512, 400]] {
        let voxels = made_up(shape);
        for layout in [Layout::Flat, Layout::Bricks, Layout::Lz4] {
            let stored = Stored::write(&path, layout, shape, &voxels);
            for size in [64, 96] {
                row(&stored, &voxels, size);
            }
        }
    }
    std::fs::remove_file(&path).unwrap();
}

/// Makes a volume like a scan: nothing around, something smooth with noise inside.
fn made_up([nx, ny, nz]: [usize; 3]) -> Vec<i16> {
    let mut draws = Draws(1);
    let mut voxels = Vec::with_capacity(nx * ny * nz);
    for z in 0..nz {
        for y in 0..ny {
            for x in 0..nx {
                let at = |i: usize, n: usize| 2.0 * (i as f32 + 0.5) / n as f32 - 1.0;
                let (x, y, z) = (at(x, nx), at(y, ny), at(z, nz));
                let inside = x * x + y * y + z * z < 0.7;
                let value = 600.0 + 300.0 * (4.0 * x).sin() * (5.0 * y).cos() * (3.0 * z).sin();
                voxels.push(if inside { value as i16 + draws.below(32) as i16 } else { 0 });
            }
        }
    }
    voxels
}

fn row(stored: &Stored, voxels: &[i16], size: usize) {
    let mut draws = Draws(2);
    let mut out = vec![0_f32; size * size * size];
    let place = |draws: &mut Draws| stored.shape.map(|n| draws.below(n - size + 1));
    // What comes out is right.
    let map = stored.map();
    let at = place(&mut draws);
    stored.cut(&map, at, size, &mut out, &mut Vec::new());
    check(voxels, stored.shape, at, size, &out);
    let mut scratch = Vec::new();
    let timed = |map: &[u8], at: [usize; 3], out: &mut [f32], scratch: &mut Vec<u8>| {
        let start = Instant::now();
        stored.cut(map, at, size, out, scratch);
        black_box(out);
        start.elapsed().as_secs_f64() * 1e3
    };
    black_box(map.iter().step_by(4096).map(|&byte| u64::from(byte)).sum::<u64>());
    let warm: Vec<f64> =
        (0..WARM_PATCHES).map(|_| timed(&map, place(&mut draws), &mut out, &mut scratch)).collect();
    // The cache in memory has large pages, the maps of files have not.
    let mut memory = MmapMut::map_anon(map.len()).unwrap();
    let _ = memory.advise(Advice::HugePage);
    memory.copy_from_slice(&map);
    let in_memory: Vec<f64> =
        (0..WARM_PATCHES).map(|_| timed(&memory, place(&mut draws), &mut out, &mut scratch)).collect();
    drop((map, memory));
    let (mut cold, mut then, mut read) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..COLD_PATCHES {
        stored.forget();
        let map = stored.map();
        let at = place(&mut draws);
        let before = bytes_read();
        cold.push(timed(&map, at, &mut out, &mut scratch));
        read.push((bytes_read() - before) as f64 / f64::from(1 << 20));
        // Another patch of the same volume, which the first has partly brought.
        then.push(timed(&map, place(&mut draws), &mut out, &mut scratch));
    }
    let [x, y, z] = stored.shape;
    println!(
        "| {x} x {y} x {z} | {size}^3 | {} | {:.1} | {} | {} | {} | {:.1} | {} |",
        match stored.layout {
            Layout::Flat => "flat",
            Layout::Bricks => "bricks",
            Layout::Lz4 => "bricks, LZ4",
        },
        stored.bytes as f64 / f64::from(1 << 20),
        quick_and_median(in_memory),
        quick_and_median(warm),
        quick_and_median(cold),
        median(&mut read),
        quick_and_median(then)
    );
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The time that a tenth stay below, which is about what the work takes by itself on a machine that does other things
/// meanwhile, and the median in brackets.
fn quick_and_median(mut values: Vec<f64>) -> String {
    let median = median(&mut values);
    format!("{:.2} ({median:.2})", values[values.len() / 10])
}

/// Returns the bytes that the disk has given this process.
fn bytes_read() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap();
    text.lines().find_map(|line| line.strip_prefix("read_bytes: ")).unwrap().parse().unwrap()
}

fn check(voxels: &[i16], [nx, ny, _]: [usize; 3], [x, y, z]: [usize; 3], size: usize, out: &[f32]) {
    for (i, &value) in out.iter().enumerate() {
        let [dx, dy, dz] = [i % size, i / size % size, i / size / size];
        assert_eq!(value, f32::from(voxels[((z + dz) * ny + y + dy) * nx + x + dx]));
    }
}

fn convert(from: &[u8], to: &mut [f32]) {
    for (voxel, out) in from.as_chunks::<2>().0.iter().zip(to) {
        *out = f32::from(i16::from_ne_bytes(*voxel));
    }
}

impl Stored {
    fn write(path: &Path, layout: Layout, shape: [usize; 3], voxels: &[i16]) -> Self {
        let mut index = Vec::new();
        let bytes = match layout {
            Layout::Flat => voxels.iter().flat_map(|voxel| voxel.to_ne_bytes()).collect(),
            Layout::Bricks | Layout::Lz4 => {
                let mut bytes = Vec::new();
                let [bx, by, bz] = shape.map(|n| n.div_ceil(BRICK));
                for brick in 0..bx * by * bz {
                    let brick = brick_of(voxels, shape, [brick % bx, brick / bx % by, brick / bx / by]);
                    let start = bytes.len();
                    if layout == Layout::Lz4 {
                        bytes.extend(lz4_flex::block::compress(&brick));
                    } else {
                        bytes.extend(brick);
                    }
                    index.push((start, bytes.len()));
                }
                bytes
            }
        };
        std::fs::write(path, &bytes).unwrap();
        let file = File::open(path).unwrap();
        // Dirty pages cannot be dropped.
        file.sync_all().unwrap();
        Self { layout, shape, file, bytes: bytes.len() as u64, index }
    }

    fn map(&self) -> Mmap {
        // SAFETY: nobody writes the file while it is mapped.
        unsafe { Mmap::map(&self.file) }.unwrap()
    }

    /// Drops the file's pages from the system's memory.
    fn forget(&self) {
        // SAFETY: the descriptor is open; the advice touches no memory of ours, and nothing is mapped.
        let code = unsafe { libc::posix_fadvise(self.file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        assert_eq!(code, 0);
    }

    /// Copies a patch.
    fn cut(&self, map: &[u8], [x, y, z]: [usize; 3], size: usize, out: &mut [f32], scratch: &mut Vec<u8>) {
        let [nx, ny, _] = self.shape;
        if self.layout == Layout::Flat {
            for (row, out) in out.chunks_exact_mut(size).enumerate() {
                let start = 2 * (((z + row / size) * ny + y + row % size) * nx + x);
                convert(&map[start..start + 2 * size], out);
            }
            return;
        }
        let [bx, by, _] = self.shape.map(|n| n.div_ceil(BRICK));
        let bricks = |from: usize| from / BRICK..=(from + size - 1) / BRICK;
        scratch.resize(2 * BRICK * BRICK * BRICK, 0);
        for kz in bricks(z) {
            for ky in bricks(y) {
                for kx in bricks(x) {
                    let (start, end) = self.index[(kz * by + ky) * bx + kx];
                    let brick = if self.layout == Layout::Lz4 {
                        lz4_flex::block::decompress_into(&map[start..end], scratch).unwrap();
                        &scratch[..]
                    } else {
                        &map[start..end]
                    };
                    let [xs, ys, zs] = [(x, kx), (y, ky), (z, kz)]
                        .map(|(from, k)| from.max(k * BRICK)..(from + size).min((k + 1) * BRICK));
                    for vz in zs {
                        for vy in ys.clone() {
                            let from = 2 * ((vz % BRICK * BRICK + vy % BRICK) * BRICK + xs.start % BRICK);
                            let to = ((vz - z) * size + vy - y) * size + xs.start - x;
                            convert(&brick[from..from + 2 * xs.len()], &mut out[to..to + xs.len()]);
                        }
                    }
                }
            }
        }
    }
}

/// Returns the voxels of a brick; zeros where it reaches out of the volume.
fn brick_of(voxels: &[i16], [nx, ny, nz]: [usize; 3], [kx, ky, kz]: [usize; 3]) -> Vec<u8> {
    let mut brick = vec![0; 2 * BRICK * BRICK * BRICK];
    for (row, out) in brick.chunks_exact_mut(2 * BRICK).enumerate() {
        let [x, y, z] = [kx * BRICK, ky * BRICK + row % BRICK, kz * BRICK + row / BRICK];
        if y < ny && z < nz {
            let start = (z * ny + y) * nx + x;
            for (voxel, out) in
                voxels[start..start + BRICK.min(nx - x)].iter().zip(out.as_chunks_mut::<2>().0)
            {
                *out = voxel.to_ne_bytes();
            }
        }
    }
    brick
}
