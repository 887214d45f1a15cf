//! Every kind of file, read whole and in boxes.

use batchwright_nifti::{
    ByteOrder, Color, Complex, Frames, Io, Problem, ReadOptions, Region, Version, Volume, VoxelType,
};
use proptest::prelude::*;

use super::model::{DATATYPES, Model};

fn models() -> impl Strategy<Value = Model> {
    let shape = prop::collection::vec(1_usize..6, 1..6);
    let layout = (any::<bool>(), any::<bool>(), prop_oneof![Just(0_u64), Just(353), Just(368), Just(4096)]);
    let scaling = prop_oneof![Just((1.0, 0.0)), Just((0.0, 5.0)), Just((2.0, -3.5)), Just((-0.25, 0.0))];
    (shape, prop::sample::select(&DATATYPES[..]), layout, 0_usize..4, scaling).prop_map(
        |(shape, datatype, (two, big, offset), members, (slope, inter))| Model {
            shape,
            datatype,
            version: if two { Version::Two } else { Version::One },
            order: if big { ByteOrder::Big } else { ByteOrder::Little },
            offset,
            members,
            slope,
            inter,
        },
    )
}

fn options() -> impl Strategy<Value = ReadOptions> {
    let complex = prop_oneof![
        Just(Complex::Refuse),
        Just(Complex::Magnitude),
        Just(Complex::Real),
        Just(Complex::Imaginary)
    ];
    let color = prop_oneof![Just(Color::Refuse), Just(Color::Channels), Just(Color::Luminance)];
    let frames = prop_oneof![3 => Just(Frames::All), 2 => (0_usize..6).prop_map(Frames::One)];
    let io = prop_oneof![Just(Io::Read), Just(Io::Mmap)];
    (complex, color, frames, io).prop_map(|(complex, color, frames, io)| ReadOptions {
        lenient: true,
        complex,
        color,
        frames,
        io,
        ..ReadOptions::default()
    })
}

fn native(voxel: VoxelType, bytes: &[u8]) -> Vec<f64> {
    fn all<const N: usize>(bytes: &[u8], to: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        bytes.as_chunks::<N>().0.iter().map(|&x| to(x)).collect()
    }
    match voxel {
        VoxelType::U8 => all(bytes, |x| u8::from_ne_bytes(x).into()),
        VoxelType::I8 => all(bytes, |x| i8::from_ne_bytes(x).into()),
        VoxelType::U16 => all(bytes, |x| u16::from_ne_bytes(x).into()),
        VoxelType::I16 => all(bytes, |x| i16::from_ne_bytes(x).into()),
        VoxelType::U32 => all(bytes, |x| u32::from_ne_bytes(x).into()),
        VoxelType::I32 => all(bytes, |x| i32::from_ne_bytes(x).into()),
        VoxelType::U64 => all(bytes, |x| u64::from_ne_bytes(x) as f64),
        VoxelType::I64 => all(bytes, |x| i64::from_ne_bytes(x) as f64),
        VoxelType::F32 => all(bytes, |x| f32::from_ne_bytes(x).into()),
        VoxelType::F64 => all(bytes, f64::from_ne_bytes),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whole_volumes_and_boxes_are_what_was_written(
        model in models(),
        options in options(),
        corner in prop::array::uniform3(any::<prop::sample::Index>()),
        extent in prop::array::uniform3(any::<prop::sample::Index>()),
        channel in any::<prop::sample::Index>(),
        lead in 0_usize..5000,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = model.write(folder.path());
        let expected = model.values(options.complex, options.color, options.frames);
        let volume = match (Volume::open_with(&path, &options), expected.is_some()) {
            (Ok(volume), true) => volume,
            (Err(error), false) => {
                let problem = error.problem();
                prop_assert!(matches!(problem, Some(Problem::UnsupportedDatatype | Problem::BadDim)), "{}", error);
                return Ok(());
            }
            (opened, _) => {
                prop_assert!(false, "{opened:?}");
                return Ok(());
            }
        };
        let expected = expected.unwrap();
        let voxel = volume.voxel_type();
        let close = |found: &[f64]| {
            found.len() == expected.len()
                && found.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 1e-6 * b.abs())
        };

        let mut whole = vec![0; volume.stored_bytes() as usize];
        volume.read_all(&mut whole).unwrap();
        prop_assert!(close(&native(voxel, &whole)), "{:?} {:?}", native(voxel, &whole), expected);
        let mut room = vec![0x77; lead + whole.len() + 9];
        volume.read_all_at(&mut room, lead).unwrap();
        prop_assert_eq!(&room[lead..lead + whole.len()], &whole);
        prop_assert_eq!(&room[lead + whole.len()..], &[0x77; 9]);

        let scaling = volume.scaling();
        let mut scaled = vec![0.0; expected.len()];
        volume.read_f32_all(&mut scaled).unwrap();
        for (&value, &stored) in scaled.iter().zip(&native(voxel, &whole)) {
            prop_assert_eq!(value, scaling.apply(stored) as f32);
        }

        let shape = volume.shape();
        let origin = std::array::from_fn(|axis| corner[axis].index(shape[axis]));
        let size = std::array::from_fn(|axis| 1 + extent[axis].index(shape[axis] - origin[axis]));
        let region = Region::new(origin, size, shape).unwrap();
        let channel = channel.index(volume.channels());
        let mut bytes = vec![0; region.voxels() * voxel.size()];
        volume.read_region(&region, channel, &mut bytes).unwrap();
        let mut values = vec![0.0; region.voxels()];
        volume.read_region_f32(&region, channel, &mut values).unwrap();
        let mut index = 0;
        for z in origin[2]..origin[2] + size[2] {
            for y in origin[1]..origin[1] + size[1] {
                for x in origin[0]..origin[0] + size[0] {
                    let at = ((channel * shape[2] + z) * shape[1] + y) * shape[0] + x;
                    prop_assert_eq!(values[index], scaled[at]);
                    let n = voxel.size();
                    prop_assert_eq!(&bytes[index * n..(index + 1) * n], &whole[at * n..(at + 1) * n]);
                    index += 1;
                }
            }
        }
    }
}

#[test]
fn a_box_of_a_volume_that_needs_many_reads_is_read_whole() {
    let model = Model {
        shape: vec![300, 200, 40],
        datatype: DATATYPES[2],
        version: Version::One,
        order: ByteOrder::Big,
        offset: 352,
        members: 0,
        slope: 1.0,
        inter: 0.0,
    };
    let folder = tempfile::tempdir().unwrap();
    let volume = Volume::open(model.write(folder.path())).unwrap();
    let all = model.values(Complex::Refuse, Color::Refuse, Frames::All).unwrap();
    for (origin, size) in [
        ([7, 9, 3], [96, 96, 30]),
        ([0, 0, 0], [300, 200, 40]),
        ([0, 9, 3], [300, 150, 2]),
        ([299, 0, 0], [1, 200, 40]),
    ] {
        let region = Region::new(origin, size, volume.shape()).unwrap();
        let mut values = vec![0.0; region.voxels()];
        volume.read_region_f32(&region, 0, &mut values).unwrap();
        let mut expected = Vec::new();
        for z in origin[2]..origin[2] + size[2] {
            for y in origin[1]..origin[1] + size[1] {
                let row = (z * 200 + y) * 300;
                expected.extend(all[row + origin[0]..row + origin[0] + size[0]].iter().map(|&x| x as f32));
            }
        }
        assert_eq!(values, expected);
    }
}

#[test]
fn what_does_not_fit_the_volume_is_refused() {
    let model = Model {
        shape: vec![4, 3, 2],
        datatype: DATATYPES[3],
        version: Version::One,
        order: ByteOrder::Little,
        offset: 352,
        members: 0,
        slope: 1.0,
        inter: 0.0,
    };
    let folder = tempfile::tempdir().unwrap();
    let volume = Volume::open(model.write(folder.path())).unwrap();
    let region = Region::whole([4, 3, 2]).unwrap();
    assert!(volume.read_region(&Region::whole([4, 3, 3]).unwrap(), 0, &mut [0; 72]).is_err());
    assert!(volume.read_region(&region, 1, &mut [0; 48]).is_err());
    assert!(volume.read_region(&region, 0, &mut [0; 47]).is_err());
    assert!(volume.read_region_f32(&region, 0, &mut [0.0; 25]).is_err());
    assert!(volume.read_all(&mut [0; 49]).is_err());
    assert!(volume.read_all_at(&mut [0; 49], 2).is_err());
    assert!(volume.read_all_at(&mut [0; 49], usize::MAX).is_err());
    assert!(volume.read_f32_all(&mut [0.0; 23]).is_err());
}
