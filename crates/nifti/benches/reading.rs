//! Reading: a compressed volume beside libdeflate alone, and patches out of a plain one.
//!
//! `cargo bench -p batchwright-nifti --bench reading`

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "a measurement")]
#![allow(unsafe_code, reason = "libdeflate alone, as the limit")]

use std::ffi::c_void;
use std::hint::black_box;
use std::io::Write as _;
use std::time::Duration;

use batchwright_nifti::{Datatype, Header, Io, ReadOptions, Region, Volume, VoxelType};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flate2::Compression;
use flate2::write::GzEncoder;

const SHAPE: [usize; 3] = [240, 240, 155];

/// A head-like volume: a smooth ellipsoid with noise in it, and zeros around.
fn voxels() -> Vec<u8> {
    let mut noise = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::new();
    for z in 0..SHAPE[2] {
        for y in 0..SHAPE[1] {
            for x in 0..SHAPE[0] {
                noise ^= noise << 13;
                noise ^= noise >> 7;
                noise ^= noise << 17;
                let [a, b, c] = [(x, 120.0, 75.0), (y, 120.0, 90.0), (z, 77.0, 65.0)]
                    .map(|(at, centre, radius): (usize, f64, f64)| (at as f64 - centre) / radius);
                let r = a * a + b * b + c * c;
                let value = if r < 1.0 { 200.0 + 600.0 * (1.0 - r) + (noise % 60) as f64 } else { 0.0 };
                bytes.extend((value as i16).to_ne_bytes());
            }
        }
    }
    bytes
}

/// Inflates one member with nothing around it: a lower limit of the time.
fn libdeflate(input: &[u8], out: &mut [u8]) {
    let mut written = 0;
    // SAFETY: the pointers come with the lengths of their slices, and the decompressor is freed once.
    let result = unsafe {
        let tables = libdeflate_sys::libdeflate_alloc_decompressor();
        let result = libdeflate_sys::libdeflate_gzip_decompress(
            tables,
            input.as_ptr().cast::<c_void>(),
            input.len(),
            out.as_mut_ptr().cast::<c_void>(),
            out.len(),
            &raw mut written,
        );
        libdeflate_sys::libdeflate_free_decompressor(tables);
        result
    };
    assert_eq!((result, written), (0, out.len()));
}

fn reading(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let header = Header::new(&SHAPE, Datatype::Real(VoxelType::I16)).unwrap();
    let mut raw = header.encode();
    raw.extend([0; 4]);
    raw.extend(voxels());
    let (plain, packed) = (folder.path().join("a.nii"), folder.path().join("a.nii.gz"));
    std::fs::write(&plain, &raw).unwrap();
    let mut to = GzEncoder::new(Vec::new(), Compression::default());
    to.write_all(&raw).unwrap();
    let compressed = to.finish().unwrap();
    std::fs::write(&packed, &compressed).unwrap();
    println!("{} bytes, {} compressed", raw.len(), compressed.len());

    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Bytes(raw.len() as u64));
    group.bench_function("libdeflate alone, into fresh memory", |b| {
        b.iter(|| {
            let mut out = vec![0; raw.len()];
            libdeflate(&compressed, &mut out);
            black_box(out);
        });
    });
    group.bench_function("open and read_all_at, into fresh memory", |b| {
        b.iter(|| {
            let volume = Volume::open(&packed).unwrap();
            let head = volume.head_room();
            let mut out = vec![0; head + volume.stored_bytes() as usize];
            volume.read_all_at(&mut out, head).unwrap();
            black_box(out);
        });
    });
    group.bench_function("open and read_all, into fresh memory", |b| {
        b.iter(|| {
            let volume = Volume::open(&packed).unwrap();
            let mut out = vec![0; volume.stored_bytes() as usize];
            volume.read_all(&mut out).unwrap();
            black_box(out);
        });
    });
    group.bench_function("open only", |b| b.iter(|| black_box(Volume::open(&packed).unwrap())));
    group.finish();

    for size in [64, 96] {
        let region = Region::new([31, 47, 20], [size; 3], SHAPE).unwrap();
        let mut group = c.benchmark_group(format!("a box of {size}^3 out of a plain file"));
        group.throughput(Throughput::Elements(region.voxels() as u64));
        for io in [Io::Read, Io::Mmap] {
            let volume = Volume::open_with(&plain, &ReadOptions { io, ..ReadOptions::default() }).unwrap();
            let mut bytes = vec![0; region.voxels() * 2];
            group.bench_function(format!("{io:?}, as stored"), |b| {
                b.iter(|| volume.read_region(black_box(&region), 0, &mut bytes).unwrap());
            });
            let mut values = vec![0.0; region.voxels()];
            group.bench_function(format!("{io:?}, f32"), |b| {
                b.iter(|| volume.read_region_f32(black_box(&region), 0, &mut values).unwrap());
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(15).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = reading
}
criterion_main!(benches);
