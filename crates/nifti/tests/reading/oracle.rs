//! The crate `nifti` as an oracle: where it reads right, the same comes out; where it does not, that is written down here.

use batchwright_nifti::{ByteOrder, Datatype, Problem, Version, Volume, VoxelType};
use nifti::{NiftiObject, RandomAccessNiftiVolume, ReaderOptions};

use super::model::{DATATYPES, Model};

fn model(datatype: Datatype) -> Model {
    Model {
        shape: vec![4, 3, 2],
        datatype,
        version: Version::One,
        order: ByteOrder::Little,
        offset: 352,
        members: 0,
        slope: 1.0,
        inter: 0.0,
    }
}

/// Reads with the crate `nifti`.
fn theirs(path: &std::path::Path) -> Vec<f64> {
    let object = ReaderOptions::new().read_file(path).unwrap();
    let mut values = Vec::new();
    for z in 0..2 {
        for y in 0..3 {
            for x in 0..4 {
                values.push(object.volume().get_f64(&[x, y, z]).unwrap());
            }
        }
    }
    values
}

fn ours(path: &std::path::Path) -> Vec<f64> {
    let volume = Volume::open(path).unwrap();
    let mut values = vec![0.0; 24];
    volume.read_f32_all(&mut values).unwrap();
    values.into_iter().map(f64::from).collect()
}

#[test]
fn real_volumes_of_both_orders_are_read_alike() {
    let folder = tempfile::tempdir().unwrap();
    for datatype in DATATYPES {
        let Datatype::Real(_) = datatype else { continue };
        for order in [ByteOrder::Little, ByteOrder::Big] {
            for members in [0, 1] {
                let path =
                    Model { order, members, slope: 0.5, inter: 3.0, ..model(datatype) }.write(folder.path());
                assert_eq!(ours(&path), theirs(&path), "{datatype}");
            }
        }
    }
}

#[test]
fn headers_are_read_alike() {
    let folder = tempfile::tempdir().unwrap();
    for order in [ByteOrder::Little, ByteOrder::Big] {
        let path = Model { order, slope: 0.5, inter: 3.0, ..model(DATATYPES[3]) }.write(folder.path());
        let theirs = nifti::NiftiHeader::from_file(&path).unwrap();
        let volume = Volume::open(&path).unwrap();
        let ours = volume.header();
        assert_eq!(theirs.dim[..4], [3, 4, 3, 2]);
        assert_eq!(ours.shape(), [4, 3, 2]);
        assert_eq!(theirs.data_type().unwrap() as i16, ours.datatype().code());
        assert_eq!(f64::from(theirs.vox_offset), ours.vox_offset() as f64);
        assert_eq!(theirs.pixdim.map(f64::from), ours.pixdim());
        assert_eq!([theirs.scl_slope, theirs.scl_inter].map(f64::from), ours.raw_scaling());
        assert_eq!(i32::from(theirs.xyzt_units), ours.xyzt_units());
    }
}

#[test]
fn nifti_0_18_ignores_the_offset_of_voxels_without_extensions() {
    let folder = tempfile::tempdir().unwrap();
    let path = Model { offset: 368, ..model(Datatype::Real(VoxelType::I16)) }.write(folder.path());
    assert_eq!(ours(&path)[..2], [-50.0, -13.0]);
    assert_eq!(theirs(&path)[..2], [f64::from(0x5555), f64::from(0x5555)]);
}

#[test]
fn nifti_0_18_scales_by_a_slope_that_is_no_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = Model { slope: f64::NAN, ..model(Datatype::Real(VoxelType::I16)) }.write(folder.path());
    assert_eq!(ours(&path)[..2], [-50.0, -13.0]);
    assert!(theirs(&path)[0].is_nan());
}

#[test]
fn nifti_0_18_reads_one_member_of_many() {
    let folder = tempfile::tempdir().unwrap();
    let path = Model { members: 2, ..model(Datatype::Real(VoxelType::I16)) }.write(folder.path());
    assert_eq!(ours(&path)[..2], [-50.0, -13.0]);
    assert!(ReaderOptions::new().read_file(&path).is_err());
}

#[test]
fn nifti_0_18_does_not_see_that_a_checksum_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let model = Model { members: 1, ..model(Datatype::Real(VoxelType::I16)) };
    let path = model.write(folder.path());
    let mut bytes = model.file();
    let at = bytes.len() - 8;
    bytes[at] ^= 0xff;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(theirs(&path)[..2], [-50.0, -13.0]);
    // In a file as small as this, the end is seen on opening.
    let error = Volume::open(&path).and_then(|volume| volume.read_all(&mut [0; 48])).unwrap_err();
    assert_eq!(error.problem(), Some(Problem::Gzip));
    assert!(error.to_string().contains("CRC-32"), "{error}");
}
