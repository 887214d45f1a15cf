use std::io::Read;
use std::process::Command;

use serde::Deserialize;

use super::*;
use proptest::prelude::*;

use crate::affine::Affine;
use crate::geometry::GeometrySource;
use crate::volume::Volume;
use crate::voxels::{Voxel, VoxelType};

/// Calls a function with the slice 0, 5, 10, ... modulo 101 of a type, `count` long.
macro_rules! of_type {
    ($name:expr, $count:expr, $voxels:ident => $body:expr) => {
        of_type!(@ $name, $count, $voxels => $body,
            "uint8" u8, "int8" i8, "uint16" u16, "int16" i16, "uint32" u32, "int32" i32, "uint64" u64, "int64" i64,
            "float32" f32, "float64" f64)
    };
    (@ $name:expr, $count:expr, $voxels:ident => $body:expr, $($text:literal $rust:ty),*) => {
        match $name {
            $($text => {
                let voxels: Vec<$rust> = (0..$count).map(|i| (i * 5 % 101) as $rust).collect();
                let $voxels = <$rust as Voxel>::slice(&voxels);
                $body
            })*
            other => panic!("no type {other}"),
        }
    };
}

const TYPES: [&str; 10] =
    ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"];

fn small(voxels: &[i16]) -> NewVolume<'_> {
    NewVolume {
        voxels: VoxelSlice::I16(voxels),
        shape: [voxels.len(), 1, 1],
        channels: 1,
        voxel_to_world: VoxelToWorld(Affine::IDENTITY),
    }
}

#[derive(Deserialize)]
struct Case {
    #[serde(rename = "type")]
    name: String,
    shape: Vec<usize>,
    affine: Affine,
    two: bool,
    big: bool,
    hex: String,
}

#[test]
fn a_file_has_the_bytes_that_nibabel_writes() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../tests/fixtures/written.json")).unwrap();
    assert_eq!(cases.len(), 20);
    let folder = tempfile::tempdir().unwrap();
    for case in cases {
        let options = WriteOptions {
            version: case.two.then_some(Version::Two),
            byte_order: if case.big { ByteOrder::Big } else { ByteOrder::Little },
            ..WriteOptions::default()
        };
        let path = folder.path().join("x.nii");
        of_type!(case.name.as_str(), case.shape.iter().product::<usize>(), voxels => NewVolume {
            voxels,
            shape: [case.shape[0], case.shape[1], case.shape[2]],
            channels: case.shape.get(3).copied().unwrap_or(1),
            voxel_to_world: VoxelToWorld(case.affine),
        }.write(&path, &options).unwrap());
        let mut written = std::fs::read(&path).unwrap();
        let mut expected: Vec<u8> = (0..case.hex.len() / 2)
            .map(|i| u8::from_str_radix(&case.hex[2 * i..2 * i + 2], 16).unwrap())
            .collect();
        // The quaternion is computed in another way there: the same number to single precision, not the same bits.
        let (at, size) = if case.two { (352, 8) } else { (256, 4) };
        for i in 0..3 {
            let number = |bytes: &[u8]| {
                let mut bytes = bytes[at + i * size..at + (i + 1) * size].to_vec();
                if case.big {
                    bytes.reverse();
                }
                match bytes.as_slice().try_into() {
                    Ok(bytes) => f64::from_le_bytes(bytes),
                    Err(_) => f32::from_le_bytes(bytes.as_slice().try_into().unwrap()).into(),
                }
            };
            let (ours, theirs) = (number(&written), number(&expected));
            assert!((ours - theirs).abs() < 1e-6, "quaternion {i}: {ours} {theirs}");
        }
        for bytes in [&mut written, &mut expected] {
            bytes[at..at + 3 * size].fill(0);
        }
        let differ = (0..written.len()).find(|&i| written.get(i) != expected.get(i));
        assert_eq!(
            (written.len(), differ),
            (expected.len(), None),
            "{} {} {}",
            case.name,
            case.two,
            case.big
        );
    }
}

/// The interpreter with nibabel, if the machine has one.
fn nibabel() -> Option<String> {
    let named = std::env::var("BATCHWRIGHT_PYTHON").ok();
    let mut candidates = named.into_iter().chain(["python3".to_owned()]);
    candidates.find(|python| {
        let output = Command::new(python).args(["-c", "import nibabel, numpy"]).output();
        output.is_ok_and(|output| output.status.success())
    })
}

#[test]
fn nibabel_reads_the_same_voxels_and_affine() {
    let Some(python) = nibabel() else {
        eprintln!("not run: no nibabel; name a Python that has it in BATCHWRIGHT_PYTHON");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let affine = Affine([[0.0, 0.25, 2.0, -70.5], [-2.0, 0.0, 0.5, 116.75], [0.0, 2.0, 0.0, -136.125]]);
    let mut count = 0;
    for name in TYPES {
        for (version, end) in [(Version::One, "nii"), (Version::Two, "nii.gz")] {
            for byte_order in [ByteOrder::Little, ByteOrder::Big] {
                let path = folder.path().join(format!("{name}.{byte_order:?}.run-1.{end}"));
                let options = WriteOptions {
                    version: Some(version),
                    byte_order,
                    scaling: Scaling { slope: 0.5, inter: -3.0 },
                    ..WriteOptions::default()
                };
                of_type!(name, 5 * 4 * 3 * 2, voxels => NewVolume {
                    voxels, shape: [5, 4, 3], channels: 2, voxel_to_world: VoxelToWorld(affine),
                }.write(&path, &options).unwrap());
                count += 1;
            }
        }
    }
    let script = "
import sys, pathlib, nibabel, numpy
affine = numpy.array([[0, 0.25, 2, -70.5], [-2, 0, 0.5, 116.75], [0, 2, 0, -136.125], [0, 0, 0, 1]])
count = 0
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    image = nibabel.load(path)
    name, order = path.name.split('.')[:2]
    assert image.get_data_dtype().name == name, (path, image.get_data_dtype())
    assert image.header.endianness == {'Little': '<', 'Big': '>'}[order], path
    assert (image.affine == affine).all(), (path, image.affine)
    assert image.header.get_sform(coded=True)[1] == 1 and image.header.get_qform(coded=True)[1] == 0, path
    expected = (numpy.arange(120) * 5 % 101).reshape((5, 4, 3, 2), order='F') * 0.5 - 3
    assert (image.get_fdata() == expected).all(), path
    assert image.header.get_xyzt_units()[0] == 'mm'
    count += 1
print(count)
";
    let output = Command::new(python).args(["-c", script]).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), count.to_string());
}

#[test]
fn a_file_has_the_name_it_was_given_and_nothing_else_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["x.run-1.nii", "x.nii", "X.NII.GZ", "a b.nii.gz", ".nii"];
    for name in names {
        small(&[1, 2, 3]).write(&folder.path().join(name), &WriteOptions::default()).unwrap();
    }
    let mut found: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    let mut names = names.map(str::to_owned);
    names.sort();
    assert_eq!(found, names);
    assert_eq!(std::fs::read(folder.path().join("X.NII.GZ")).unwrap()[..2], [0x1f, 0x8b]);
    for name in ["x.hdr", "x.nii.bz2", "x", "nii"] {
        let error = small(&[1]).write(&folder.path().join(name), &WriteOptions::default()).unwrap_err();
        assert!(error.to_string().contains(".nii.gz"), "{error}");
    }
}

#[test]
fn a_long_axis_makes_the_file_nifti_2_and_nifti_1_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.nii");
    let voxels = vec![3; 32768];
    small(&voxels[1..]).write(&path, &WriteOptions::default()).unwrap();
    assert_eq!(std::fs::read(&path).unwrap()[..4], 348_i32.to_le_bytes());
    small(&voxels).write(&path, &WriteOptions::default()).unwrap();
    assert_eq!(std::fs::read(&path).unwrap()[..4], 540_i32.to_le_bytes());
    let one = WriteOptions { version: Some(Version::One), ..WriteOptions::default() };
    assert!(small(&voxels).write(&path, &one).unwrap_err().to_string().contains("32767"));
}

#[test]
fn what_no_reader_could_use_is_refused_and_the_file_that_was_there_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.nii");
    std::fs::write(&path, "before").unwrap();
    let voxels = [1, 2, 3];
    let options = WriteOptions::default();
    let fine = small(&voxels);
    let flat = VoxelToWorld(Affine::scale([1.0, 0.0, 1.0]));
    let infinite = VoxelToWorld(Affine::translation([f64::INFINITY, 0.0, 0.0]));
    let beyond_single = VoxelToWorld(Affine::translation([1e300, 0.0, 0.0]));
    let tries = [
        ("voxels", NewVolume { shape: [2, 1, 1], ..fine }, options.clone()),
        ("voxels", NewVolume { shape: [usize::MAX, 3, 1], ..fine }, options.clone()),
        ("voxels", NewVolume { channels: 0, ..fine }, options.clone()),
        ("voxel_to_world", NewVolume { voxel_to_world: flat, ..fine }, options.clone()),
        ("voxel_to_world", NewVolume { voxel_to_world: infinite, ..fine }, options.clone()),
        ("voxel_to_world", NewVolume { voxel_to_world: beyond_single, ..fine }, options.clone()),
        ("scaling", fine, WriteOptions { scaling: Scaling { slope: 0.0, inter: 0.0 }, ..options.clone() }),
        ("scaling", fine, WriteOptions { scaling: Scaling { slope: 1e-60, inter: 0.0 }, ..options.clone() }),
        (
            "scaling",
            fine,
            WriteOptions { scaling: Scaling { slope: 1.0, inter: f64::NAN }, ..options.clone() },
        ),
        ("level", fine, WriteOptions { level: 10, ..options.clone() }),
    ];
    for (key, volume, options) in tries {
        let error = volume.write(&path, &options).unwrap_err();
        assert!(matches!(&error, Error::Choice { key: found, .. } if found == key), "{key}: {error}");
    }
    let missing = fine.write(&folder.path().join("no/x.nii"), &options).unwrap_err();
    assert!(missing.to_string().starts_with("cannot write"), "{missing}");
    assert_eq!(std::fs::read(&path).unwrap(), b"before");
    let two = WriteOptions { version: Some(Version::Two), ..options };
    NewVolume { voxel_to_world: beyond_single, ..fine }.write(&path, &two).unwrap();
}

/// Takes a number of bytes, and then none.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disk_that_is_full_at_any_byte_is_an_error() {
    let voxels: Vec<i16> = (0..700).map(|i| i * 31 % 97).collect();
    let volume = small(&voxels);
    let header = volume.header(&WriteOptions::default()).unwrap();
    for level in [None, Some(6)] {
        let mut whole = Vec::new();
        volume.write_to(&mut whole, &header, level).unwrap();
        for room in 0..whole.len() {
            let error = volume.write_to(Full(room), &header, level).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull, "room for {room} bytes");
        }
        volume.write_to(Full(whole.len()), &header, level).unwrap();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_an_error() {
    let volume = small(&[1, 2, 3]);
    let header = volume.header(&WriteOptions::default()).unwrap();
    for level in [None, Some(6)] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let error = volume.write_to(full, &header, level).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}

/// Run by the test below, in a process that may write no file of more than 4 KiB.
#[test]
#[ignore = "needs a limit on file sizes; run by a_limit_of_the_system_leaves_the_old_file"]
#[cfg(unix)]
fn write_where_files_may_not_grow() {
    let folder = std::env::var("BATCHWRIGHT_TEST_FOLDER").expect("run by another test");
    let noise: Vec<i16> = (0..9000_i64).map(|i| (i * i * 7919 % 32749) as i16).collect();
    for name in ["x.nii", "x.nii.gz"] {
        let error =
            small(&noise).write(&Path::new(&folder).join(name), &WriteOptions::default()).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(batchwright_core::SampleError::from(error).fault(), batchwright_core::Fault::Environment);
    }
}

#[cfg(unix)]
#[test]
fn a_limit_of_the_system_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["x.nii", "x.nii.gz"] {
        std::fs::write(folder.path().join(name), "before").unwrap();
    }
    let run = "trap '' XFSZ; ulimit -f 8; exec \"$0\" --exact write::tests::write_where_files_may_not_grow --ignored";
    let output = Command::new("sh")
        .args(["-c", run])
        .arg(std::env::current_exe().unwrap())
        .env("BATCHWRIGHT_TEST_FOLDER", folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        assert_eq!(std::fs::read(entry.unwrap().path()).unwrap(), b"before");
    }
}

#[test]
fn compressed_files_hold_the_same_bytes_as_plain_ones_and_are_the_same_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let voxels: Vec<i16> = (0..20_000).map(|i| (i % 251) as i16).collect();
    let write = |name: &str, level| {
        let path = folder.path().join(name);
        small(&voxels).write(&path, &WriteOptions { level, ..WriteOptions::default() }).unwrap();
        std::fs::read(path).unwrap()
    };
    let plain = write("a.nii", 6);
    assert_eq!(plain.len(), 352 + 40_000);
    for level in [0, 1, 6, 9] {
        let packed = write("a.nii.gz", level);
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == plain && write("a.nii.gz", level) == packed, "level {level}");
    }
}

#[test]
fn a_header_of_another_volume_is_written_with_new_voxels_in_the_same_space() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.nii");
    let affine = Affine([[0.0, 0.25, 2.0, -70.5], [-2.0, 0.0, 0.5, 116.75], [0.0, 2.0, 0.0, -136.125]]);
    let voxels = [5_i16; 24];
    let source = NewVolume { shape: [4, 3, 2], voxel_to_world: VoxelToWorld(affine), ..small(&voxels) };
    source.write(&path, &WriteOptions { space: Space::Mni152, ..WriteOptions::default() }).unwrap();
    let opened = Volume::open(&path).unwrap();
    let labels = vec![3_u8; 24];
    let label = NewVolume {
        voxels: VoxelSlice::U8(&labels),
        voxel_to_world: VoxelToWorld(Affine::IDENTITY),
        ..source
    };
    let header = opened.header().of_same_space(&[4, 3, 2], Datatype::Real(VoxelType::U8)).unwrap();
    let copy = folder.path().join("b.nii.gz");
    label.write_as(&copy, &header, 9).unwrap();
    let read = Volume::open(&copy).unwrap();
    assert_eq!(read.geometry(), opened.geometry());
    assert_eq!((read.header().sform_code(), read.voxel_type()), (4, VoxelType::U8));
    for (other, why) in [
        (NewVolume { shape: [3, 4, 2], ..label }, "another shape"),
        (NewVolume { voxels: VoxelSlice::I16(&voxels), ..label }, "another type"),
        (NewVolume { voxels: VoxelSlice::U8(&labels[1..]), ..label }, "too few voxels"),
    ] {
        assert!(other.write_as(&copy, &header, 9).is_err(), "{why}");
    }
    assert!(label.write_as(&copy, &header, 10).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]
    #[test]
    fn a_written_volume_is_read_back_as_it_was(
        name in prop::sample::select(&TYPES[..]),
        shape in prop::array::uniform3(1..7_usize),
        channels in 1..4_usize,
        axis in prop::array::uniform3(-1.0..1.0_f64),
        turns in -0.5..0.5_f64,
        zooms in prop::array::uniform3(0.1..8.0_f64),
        shear in prop::sample::select(&[0.0, 0.2][..]),
        mirrored: bool,
        big: bool,
        two: bool,
        gzip: bool,
        scaled: bool,
        space in prop::sample::select(&[Space::Scanner, Space::Aligned, Space::Talairach, Space::Mni152][..]),
    ) {
        let length = axis.iter().map(|x| x * x).sum::<f64>().sqrt();
        prop_assume!(0.1 < length);
        // Rodrigues' rotation.
        let (sin, cos) = (turns * std::f64::consts::TAU).sin_cos();
        let [x, y, z] = axis.map(|x| x / length);
        let c = 1.0 - cos;
        let mut linear = [
            [cos + x * x * c, x * y * c - z * sin, x * z * c + y * sin],
            [y * x * c + z * sin, cos + y * y * c, y * z * c - x * sin],
            [z * x * c - y * sin, z * y * c + x * sin, cos + z * z * c],
        ];
        for row in &mut linear {
            for (value, zoom) in row.iter_mut().zip(zooms) {
                *value *= zoom;
            }
            row[2] *= if mirrored { -1.0 } else { 1.0 };
            row[1] += shear * row[0];
        }
        let single = |x: f64| if two { x } else { f64::from(x as f32) };
        let affine = Affine(linear.map(|[x, y, z]| [single(x), single(y), single(z), single(10.0 * x - 3.3)]));
        let scaling = if scaled { Scaling { slope: -0.25, inter: 7.0 } } else { Scaling::IDENTITY };
        let options = WriteOptions {
            version: two.then_some(Version::Two),
            byte_order: if big { ByteOrder::Big } else { ByteOrder::Little },
            level: 1,
            space,
            scaling,
            ..WriteOptions::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(if gzip { "x.y.nii.gz" } else { "x.y.nii" });
        let count = shape.iter().product::<usize>() * channels;
        of_type!(name, count, voxels => {
            let volume = NewVolume { voxels, shape, channels, voxel_to_world: VoxelToWorld(affine) };
            volume.write(&path, &options).unwrap();
            let read = Volume::open(&path).unwrap();
            prop_assert_eq!(read.warnings(), &[][..]);
            prop_assert_eq!((read.shape(), read.channels()), (shape, channels));
            prop_assert_eq!((read.voxel_type(), read.scaling()), (voxels.voxel_type(), scaling));
            prop_assert_eq!(read.geometry().voxel_to_world(), VoxelToWorld(affine));
            prop_assert_eq!(read.geometry().source(), GeometrySource::Sform);
            prop_assert_eq!(read.header().sform_code(), space.code());
            // Next to half a turn the real part, which is not written, is lost in the single precision of the others.
            let real_part = (turns * std::f64::consts::PI).cos();
            let qform = read.header().qform_code();
            if shear != 0.0 {
                prop_assert_eq!(qform, 0);
            } else if 5e-3 < real_part || qform != 0 {
                prop_assert_eq!(qform, space.code());
            }
            let mut bytes = vec![0; read.stored_bytes() as usize];
            read.read_all(&mut bytes).unwrap();
            let expected: Vec<u8> = with_voxels!(voxels, voxels => voxels.iter().flat_map(|x| x.to_ne_bytes()).collect());
            prop_assert!(bytes == expected);
        });
    }
}
