//! Damaged files: every prefix, every flipped byte, and files that change after they were opened.

use batchwright_nifti::{ByteOrder, Error, Io, Problem, ReadOptions, Version, Volume};

use super::model::{DATATYPES, Model, compress};

fn models() -> Vec<Model> {
    let plain = Model {
        shape: vec![4, 3, 2],
        datatype: DATATYPES[3],
        version: Version::One,
        order: ByteOrder::Little,
        offset: 352,
        members: 0,
        slope: 2.0,
        inter: 1.0,
    };
    vec![
        Model { members: 1, ..plain.clone() },
        Model { members: 3, datatype: DATATYPES[8], ..plain.clone() },
        Model { version: Version::Two, order: ByteOrder::Big, ..plain.clone() },
        Model { version: Version::Two, members: 2, shape: vec![3, 2, 2, 2], ..plain.clone() },
        Model { offset: 400, order: ByteOrder::Big, ..plain.clone() },
        Model { datatype: DATATYPES[10], shape: vec![2, 2, 2], ..plain.clone() },
        plain,
    ]
}

fn read(path: &std::path::Path, options: &ReadOptions) -> Result<Vec<u8>, Error> {
    let volume = Volume::open_with(path, options)?;
    let mut out = vec![0; volume.stored_bytes() as usize];
    volume.read_all(&mut out)?;
    volume.extensions()?;
    Ok(out)
}

fn both_strictnesses() -> [ReadOptions; 2] {
    // A damaged header can ask for as much as the limit allows.
    let strict = ReadOptions {
        max_bytes: 1 << 20,
        complex: batchwright_nifti::Complex::Real,
        ..ReadOptions::default()
    };
    let lenient = ReadOptions { lenient: true, io: Io::Mmap, ..strict.clone() };
    [strict, lenient]
}

#[test]
fn every_prefix_of_a_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut prefixes = 0;
    for model in models() {
        let path = model.write(folder.path());
        let bytes = std::fs::read(&path).unwrap();
        for options in both_strictnesses() {
            read(&path, &options).unwrap();
        }
        for end in 0..bytes.len() {
            std::fs::write(&path, &bytes[..end]).unwrap();
            for options in both_strictnesses() {
                let error = read(&path, &options).unwrap_err();
                let problem = error.problem();
                assert!(
                    matches!(problem, Some(Problem::TooShort | Problem::Truncated | Problem::Gzip)),
                    "{end}: {error}"
                );
                prefixes += 1;
            }
        }
    }
    println!("{prefixes} prefixes");
    assert!(4000 < prefixes, "{prefixes}");
}

#[test]
fn every_flipped_byte_is_an_error_or_another_volume_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    for model in models() {
        let path = model.write(folder.path());
        let bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                std::fs::write(&path, &damaged).unwrap();
                for options in both_strictnesses() {
                    let _ = read(&path, &options);
                }
            }
        }
    }
}

#[test]
fn a_file_that_was_cut_after_it_was_opened_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for model in models() {
        let path = model.write(folder.path());
        let options = ReadOptions { complex: batchwright_nifti::Complex::Real, ..ReadOptions::default() };
        let volume = Volume::open_with(&path, &options).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
        let error = volume.read_all(&mut vec![0; volume.stored_bytes() as usize]).unwrap_err();
        assert!(matches!(error.problem(), Some(Problem::Truncated | Problem::Gzip)), "{error}");
    }
}

#[test]
fn a_limit_on_decoded_bytes_is_kept_before_anything_is_decoded() {
    let folder = tempfile::tempdir().unwrap();
    for model in models() {
        let path = model.write(folder.path());
        let bytes = model.header().voxel_bytes();
        let most = bytes.max(model.header().vox_offset());
        let options = ReadOptions { complex: batchwright_nifti::Complex::Real, ..ReadOptions::default() };
        let open = |max_bytes| Volume::open_with(&path, &ReadOptions { max_bytes, ..options.clone() });
        assert!(open(most).is_ok());
        assert_eq!(open(most - 1).unwrap_err().problem(), Some(Problem::TooLarge));
    }
}

#[test]
fn what_a_lenient_reader_goes_on_with_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let model = models().pop().unwrap();
    let raw = model.raw();
    let changed = |at: usize, bytes: &[u8]| {
        let mut raw = raw.clone();
        raw[at..at + bytes.len()].copy_from_slice(bytes);
        raw
    };
    let mut extension = raw.clone();
    extension[348] = 1;
    extension[108..112].copy_from_slice(&368.0_f32.to_le_bytes());
    extension.splice(352..352, [0; 16]);
    let mut garbage = compress(&raw);
    garbage.extend([0xaa; 16]);
    let cases = [
        (Problem::BadSizeofHdr, changed(0, &0_i32.to_le_bytes())),
        (Problem::BitpixMismatch, changed(72, &8_i16.to_le_bytes())),
        (Problem::BadVoxOffset, changed(108, &0.0_f32.to_le_bytes())),
        (Problem::BadVoxOffset, changed(108, &352.5_f32.to_le_bytes())),
        (Problem::BadScaling, changed(116, &f32::NAN.to_le_bytes())),
        (Problem::BadExtension, extension),
        (Problem::Gzip, garbage),
    ];
    let good = folder.path().join("good.nii");
    std::fs::write(&good, &raw).unwrap();
    let expected = read(&good, &ReadOptions::default()).unwrap();
    let path = folder.path().join("a.nii");
    for (problem, bytes) in cases {
        std::fs::write(&path, &bytes).unwrap();
        let error = read(&path, &ReadOptions::default()).unwrap_err();
        assert_eq!(error.problem(), Some(problem), "{error}");
        assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
        let options = ReadOptions { lenient: true, ..ReadOptions::default() };
        let volume = Volume::open_with(&path, &options).unwrap();
        let mut out = vec![0; expected.len()];
        volume.read_all(&mut out).unwrap();
        assert_eq!(out, expected, "{problem:?}");
        // What stands behind a compressed stream is seen only when it is read.
        if problem != Problem::Gzip {
            assert!(volume.warnings().iter().any(|finding| finding.problem == problem), "{problem:?}");
        }
    }
}
