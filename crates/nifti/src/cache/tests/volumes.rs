//! Volumes of files through the cache.

use super::*;
use crate::affine::{Affine, VoxelToWorld};
use crate::header::ByteOrder;
use crate::options::{Color, Complex, Frames, ReadOptions};
use crate::write::{NewVolume, WriteOptions};

const SHAPE: [usize; 3] = [20, 19, 18];

fn write(path: &Path, voxels: &[i16], shape: [usize; 3], options: &WriteOptions) {
    let channels = voxels.len() / shape.iter().product::<usize>();
    let (voxels, voxel_to_world) = (VoxelSlice::I16(voxels), VoxelToWorld(Affine::IDENTITY));
    NewVolume { voxels, shape, channels, voxel_to_world }.write(path, options).unwrap();
}

/// Writes a file of two frames and opens it.
fn written(path: &Path, seed: i16) -> Volume {
    let voxels: Vec<i16> =
        (0..2 * 20 * 19 * 18).map(|i: i32| (i as i16).wrapping_mul(seed) / 3 + seed).collect();
    write(path, &voxels, SHAPE, &WriteOptions::default());
    Volume::open(path).unwrap()
}

fn check(volume: &Volume, voxels: &Voxels) {
    let mut bytes = vec![0; volume.stored_bytes() as usize];
    volume.read_all(&mut bytes).unwrap();
    assert!(voxels.bytes() == bytes, "{}", volume.path().display());
    assert_eq!((voxels.shape(), voxels.channels()), (volume.shape(), volume.channels()));
    assert_eq!(voxels.slice(0).voxel_type(), volume.voxel_type());
    assert_eq!(voxels.slice(volume.channels() - 1).len(), volume.shape().iter().product::<usize>());
}

#[test]
fn real_files_come_out_as_they_are_read() {
    let data = std::env::var_os("BATCHWRIGHT_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let Ok(folder) = std::fs::read_dir(data.join("volumes")) else {
        println!("left out: there are no data at {}", data.display());
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let options =
        ReadOptions { complex: Complex::Magnitude, color: Color::Channels, ..ReadOptions::default() };
    let mut count = 0;
    for entry in folder {
        let path = entry.unwrap().path();
        let text = path.to_string_lossy().to_lowercase();
        if ![".nii", ".nii.gz", ".hdr", ".hdr.gz"].iter().any(|ending| text.ends_with(ending)) {
            continue;
        }
        let volume = Volume::open_with(&path, &options).unwrap();
        let memory = in_memory(1 << 30);
        check(&volume, &memory.voxels(&volume).unwrap());
        for decoded in [1, 0] {
            let cache = in_directory(directory.path(), 1 << 30);
            let voxels = cache.voxels(&volume).unwrap();
            assert!(voxels.is_mapped());
            check(&volume, &voxels);
            assert_eq!(cache.statistics().decoded, decoded);
        }
        count += 1;
    }
    assert!(24 <= count, "only {count} files");
}

#[test]
fn options_that_change_voxels_make_another_entry_and_others_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.nii.gz");
    let all = written(&path, 3);
    let cache = in_memory(1 << 30);
    cache.voxels(&all).unwrap();
    for (frame, decoded) in [(0, 2), (1, 3), (1, 3)] {
        let options = ReadOptions { frames: Frames::One(frame), ..ReadOptions::default() };
        let volume = Volume::open_with(&path, &options).unwrap();
        check(&volume, &cache.voxels(&volume).unwrap());
        assert_eq!(cache.statistics().decoded, decoded);
    }
    let options = ReadOptions { max_bytes: 1 << 20, color: Color::Luminance, ..ReadOptions::default() };
    cache.voxels(&Volume::open_with(&path, &options).unwrap()).unwrap();
    assert_eq!(cache.statistics().decoded, 3);
}

#[test]
fn a_file_that_was_replaced_after_it_was_opened_is_never_taken_for_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.nii");
    let old = written(&path, 3);
    // The same length and type, the other byte order.
    let voxels: Vec<i16> = (0..2 * 20 * 19 * 18).map(|i| i as i16).collect();
    write(&path, &voxels, SHAPE, &WriteOptions { byte_order: ByteOrder::Big, ..WriteOptions::default() });
    let new = Volume::open(&path).unwrap();
    let cache = in_memory(1 << 30);
    let _ = cache.voxels(&old);
    check(&new, &cache.voxels(&new).unwrap());
}

#[test]
fn damage_is_an_error_each_time_and_repair_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.nii.gz");
    let volume = written(&path, 3);
    let whole = std::fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    let at = damaged.len() - 6;
    damaged[at] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    for cache in [in_memory(1 << 30), in_directory(&folder.path().join("cache"), 1 << 30)] {
        for _ in 0..2 {
            let error = cache.voxels(&volume).unwrap_err();
            assert!(error.to_string().contains("a.nii.gz"), "{error}");
            assert!(error.problem().is_some(), "{error:?}");
        }
    }
    // The time may be the same to the clock of the disk; errors are not kept, so nothing is lost.
    std::fs::write(&path, &whole).unwrap();
    let cache = in_directory(&folder.path().join("cache"), 1 << 30);
    check(&volume, &cache.voxels(&volume).unwrap());
}

/// `cargo test --release -p batchwright-nifti --lib how_long -- --ignored --nocapture`
#[test]
#[ignore = "a measurement, run by hand: see the command above"]
fn how_long_a_volume_takes() {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = (0..6).map(|i| folder.path().join(format!("{i}.nii.gz"))).collect();
    let shape = [240, 240, 155];
    for (i, path) in paths.iter().enumerate() {
        let mut state = 1 + i as u32;
        let voxels: Vec<i16> = (0..240 * 240 * 155)
            .map(|voxel| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if voxel % 240 < 100 { 0 } else { 500 + (state >> 26) as i16 }
            })
            .collect();
        write(path, &voxels, shape, &WriteOptions::default());
    }
    let volumes: Vec<Volume> = paths.iter().map(|path| Volume::open(path).unwrap()).collect();
    let bytes = volumes[0].stored_bytes() as usize;
    let median = |what: &str, mut work: Box<dyn FnMut(usize) + '_>| {
        let mut times: Vec<f64> = (0..12)
            .map(|i| {
                let start = std::time::Instant::now();
                work(i);
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!("{what:60} {:9.4} ms, median of 12, {:.4} to {:.4}", times[6], times[0], times[11]);
    };
    let mut room = vec![1_u8; volumes[0].head_room() + bytes];
    let head = volumes[0].head_room();
    median(
        "reader alone, into warm memory",
        Box::new(|i| volumes[i % 6].read_all_at(&mut room, head).unwrap()),
    );
    median(
        "reader alone, into fresh memory",
        Box::new(|i| {
            let mut room = vec![0_u8; head + bytes];
            volumes[i % 6].read_all_at(&mut room, head).unwrap();
        }),
    );
    let fresh = (0..12).map(|_| in_memory(1 << 30)).collect::<Vec<_>>();
    median("memory, decoded into fresh pages", Box::new(|i| drop(fresh[i].voxels(&volumes[i % 6]).unwrap())));
    let cache = in_memory(2 * (bytes + 4096));
    median(
        "memory, decoded into pages of another",
        Box::new(|i| drop(cache.voxels(&volumes[i % 6]).unwrap())),
    );
    let cache = in_memory(1 << 30);
    cache.voxels(&volumes[0]).unwrap();
    median("memory, there", Box::new(|_| drop(cache.voxels(&volumes[0]).unwrap())));
    let directory = folder.path().join("cache");
    let cache = in_directory(&directory, 2 * (bytes + 8192));
    median("directory, decoded into a file", Box::new(|i| drop(cache.voxels(&volumes[i % 6]).unwrap())));
    let cache = in_directory(&directory, 1 << 30);
    cache.voxels(&volumes[0]).unwrap();
    let again = (0..12).map(|_| in_directory(&directory, 1 << 30)).collect::<Vec<_>>();
    median("directory, there, mapped and checked", Box::new(|i| drop(again[i].voxels(&volumes[0]).unwrap())));
    median("directory, there, mapped before", Box::new(|_| drop(cache.voxels(&volumes[0]).unwrap())));
    let held = cache.voxels(&volumes[0]).unwrap();
    median("directory, in use", Box::new(|_| drop(cache.voxels(&volumes[0]).unwrap())));
    drop(held);
}
