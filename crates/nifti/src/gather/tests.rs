use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::affine::Affine;
use crate::region::Region;
use crate::spatial::Displacement;
use crate::voxels::{Voxel, VoxelSlice};

/// Every level that this machine has.
fn levels() -> Vec<Level> {
    let mut levels = vec![Level::Scalar, Level::detect()];
    levels.dedup();
    levels
}

fn sampling(interpolation: Interpolation, border: Border<f32>) -> Sampling {
    Sampling { interpolation, border, antialias: false }
}

/// Gathers from a whole volume, by all levels, which must agree.
fn whole<T: Voxel>(
    voxels: &[T],
    shape: [usize; 3],
    map: &Map,
    sampling: &Sampling,
    rescale: &Rescale,
    size: [usize; 3],
) -> Vec<f32> {
    let source = SourceBox::new(T::slice(voxels), &Region::whole(shape).unwrap()).unwrap();
    let all: Vec<Vec<f32>> = levels()
        .into_iter()
        .map(|level| {
            let mut out = vec![f32::NAN; size.iter().product()];
            gather_at(level, &source, map, sampling, rescale, size, &mut out).unwrap();
            out
        })
        .collect();
    for other in &all[1..] {
        for (a, b) in other.iter().zip(&all[0]) {
            assert_eq!(a.to_bits(), b.to_bits(), "levels differ");
        }
    }
    all[0].clone()
}

fn affine(rows: [[f64; 4]; 3]) -> Map {
    Map { affine: Affine(rows), displacement: None }
}

#[test]
fn patches_are_those_of_scipy() {
    #[derive(Deserialize)]
    struct Case {
        shape: [usize; 3],
        size: [usize; 3],
        voxels: Vec<i16>,
        affine: Affine,
        control_points: Option<[usize; 3]>,
        control: Option<Vec<[f64; 3]>>,
        interpolation: Interpolation,
        border: String,
        value: f32,
        expected: Vec<f32>,
    }
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../tests/fixtures/gather.json")).unwrap();
    assert_eq!(cases.len(), 24);
    for (number, case) in cases.into_iter().enumerate() {
        let displacement = case
            .control_points
            .map(|n| Displacement::new(n, case.control.clone().unwrap(), case.size).unwrap());
        let map = Map { affine: case.affine, displacement };
        let border = match case.border.as_str() {
            "edge" => Border::Edge,
            "reflect" => Border::Reflect,
            _ => Border::Constant(case.value),
        };
        let sampling = sampling(case.interpolation, border);
        let out = whole(&case.voxels, case.shape, &map, &sampling, &Rescale::IDENTITY, case.size);
        // Values change by up to 1000 from voxel to voxel. Displacements are rounded to 2^-20 voxels along each of
        // three axes, and summed in single precision.
        let tolerance = if map.displacement.is_some() { 0.01 } else { 1e-3 };
        for (at, (out, expected)) in out.iter().zip(&case.expected).enumerate() {
            assert!((out - expected).abs() < tolerance, "case {number} at {at}: {out}, SciPy has {expected}");
        }
    }
}

/// A patch by its definition, in double precision: linear, voxel by voxel.
fn definition(
    voxels: &[f64],
    shape: [usize; 3],
    map: &Map,
    border: Border<f32>,
    size: [usize; 3],
) -> Vec<f64> {
    let at = |index: [i64; 3]| {
        let place = [0, 1, 2].map(|axis| border.index(index[axis], shape[axis]));
        match (place, border) {
            ([Some(x), Some(y), Some(z)], _) => voxels[(z * shape[1] + y) * shape[0] + x],
            (_, Border::Constant(value)) => f64::from(value),
            _ => unreachable!("only a constant has no voxel"),
        }
    };
    let mut out = Vec::new();
    for z in 0..size[2] {
        for y in 0..size[1] {
            for x in 0..size[0] {
                let point = map.apply([x as f64, y as f64, z as f64]);
                let mut sum = 0.0;
                for tap in 0..8 {
                    let bits = [tap & 1, tap >> 1 & 1, tap >> 2];
                    let index = [0, 1, 2].map(|axis| point[axis].floor() as i64 + bits[axis]);
                    let weight: f64 =
                        (0..3).map(|axis| 1.0 - (point[axis] - index[axis] as f64).abs()).product();
                    if 1e-12 < weight {
                        sum += weight * at(index);
                    }
                }
                out.push(sum);
            }
        }
    }
    out
}

fn border() -> impl Strategy<Value = Border<f32>> {
    prop_oneof![(-9.0_f32..9.0).prop_map(Border::Constant), Just(Border::Edge), Just(Border::Reflect)]
}

/// Maps that turn, stretch, and lead out of the volume, some of them elastic, some with axes that stay whole.
fn map(size: [usize; 3]) -> impl Strategy<Value = Map> {
    let number = prop_oneof![3 => -1.5..1.5_f64, 1 => Just(0.0), 1 => Just(1.0), 1 => Just(-1.0)];
    let shift = prop_oneof![3 => -4.0..30.0_f64, 2 => (-4..30_i32).prop_map(f64::from)];
    let rows = prop::array::uniform3((prop::array::uniform3(number), shift));
    let control = proptest::collection::vec(prop::array::uniform3(-2.0..2.0_f64), 4 * 5 * 4);
    (rows, proptest::option::of(control)).prop_map(move |(rows, control)| Map {
        affine: Affine(rows.map(|([a, b, c], d)| [a, b, c, d])),
        displacement: control.map(|control| Displacement::new([4, 5, 4], control, size).unwrap()),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_patch_is_what_its_definition_says(
        shape in prop::array::uniform3(1..14_usize),
        (size, map) in (1..40_usize, 1..9_usize, 1..9_usize)
            .prop_flat_map(|(x, y, z)| (Just([x, y, z]), map([x, y, z]))),
        border in border(),
        seed in 0..1000_u64,
    ) {
        let count = shape.iter().product();
        let mut stream = batchwright_core::Stream::new(seed, 0, 0, "volume");
        let voxels: Vec<i16> = (0..count).map(|_| stream.below(2000) as i16 - 1000).collect();
        let sampling = sampling(Interpolation::Linear, border);
        let rescale = Rescale { slope: 0.01, inter: 0.5, clamp: None };
        let out = whole(&voxels, shape, &map, &sampling, &rescale, size);
        let scaled: Vec<f64> = voxels.iter().map(|&v| f64::from(v) * 0.01 + 0.5).collect();
        let expected = definition(&scaled, shape, &map, border, size);
        for (at, (out, expected)) in out.iter().zip(&expected).enumerate() {
            prop_assert!((f64::from(*out) - expected).abs() < 1e-3, "{} at {}: {} {}", size[0], at, out, expected);
        }
        // Other types give the same; a box of no more than is needed gives the same bits.
        let doubles: Vec<f64> = voxels.iter().map(|&v| f64::from(v)).collect();
        for (a, b) in whole(&doubles, shape, &map, &sampling, &rescale, size).iter().zip(&out) {
            prop_assert!((a - b).abs() < 1e-4);
        }
        let region = map.source_region(size, &sampling.support(&map), shape).unwrap();
        let mut part = Vec::new();
        for z in 0..region.size()[2] {
            for y in 0..region.size()[1] {
                let [ox, oy, oz] = region.origin();
                let at = ((z + oz) * shape[1] + y + oy) * shape[0] + ox;
                part.extend_from_slice(&voxels[at..at + region.size()[0]]);
            }
        }
        let source = SourceBox::new(VoxelSlice::I16(&part), &region).unwrap();
        let mut again = vec![f32::NAN; out.len()];
        gather(&source, &map, &sampling, &rescale, size, &mut again).unwrap();
        for (a, b) in again.iter().zip(&out) {
            prop_assert_eq!(a.to_bits(), b.to_bits());
        }
    }
}

#[test]
fn a_linear_ramp_stays_one_under_any_affine_map() {
    let shape = [20, 18, 16];
    let ramp = |[x, y, z]: [f64; 3]| 3.0 * x - 5.0 * y + 7.0 * z + 11.0;
    let mut voxels = Vec::new();
    for z in 0..16 {
        for y in 0..18 {
            for x in 0..20 {
                voxels.push(ramp([f64::from(x), f64::from(y), f64::from(z)]) as i16);
            }
        }
    }
    let map = affine([[0.6, -0.3, 0.2, 5.3], [0.25, 0.5, 0.1, 3.7], [-0.1, 0.3, 0.55, 4.9]]);
    for interpolation in [Interpolation::Linear, Interpolation::Cubic] {
        let sampling = sampling(interpolation, Border::Constant(f32::NAN));
        let out = whole(&voxels, shape, &map, &sampling, &Rescale::IDENTITY, [17, 9, 8]);
        for (at, value) in out.iter().enumerate() {
            let point = [at % 17, at / 17 % 9, at / (17 * 9)].map(|x| x as f64);
            let expected = ramp(map.apply(point));
            assert!((f64::from(*value) - expected).abs() < 2e-5 * 160.0, "{value} {expected}");
        }
    }
}

#[test]
fn a_map_of_whole_voxels_is_a_plain_crop_bit_for_bit() {
    let shape = [9, 8, 7];
    let voxels: Vec<i16> = (0..9 * 8 * 7).map(|i| (i * 7919 % 4001) as i16 - 2000).collect();
    let rescale = Rescale { slope: 0.123_456_789, inter: -3.21, clamp: Some([-100.0, 90.0]) };
    let crop = affine([[1.0, 0.0, 0.0, 2.0], [0.0, 1.0, 0.0, 3.0], [0.0, 0.0, 1.0, 1.0]]);
    for interpolation in [Interpolation::Nearest, Interpolation::Linear, Interpolation::Cubic] {
        let sampling = Sampling { antialias: true, ..sampling(interpolation, Border::Edge) };
        let out = whole(&voxels, shape, &crop, &sampling, &rescale, [5, 4, 6]);
        for (at, value) in out.iter().enumerate() {
            let [x, y, z] = [at % 5 + 2, at / 5 % 4 + 3, at / 20 + 1];
            let stored = f64::from(voxels[(z * 8 + y) * 9 + x]);
            assert_eq!(*value, ((stored * 0.123_456_789 - 3.21) as f32).clamp(-100.0, 90.0));
        }
    }
    // NaN and negative zero pass; the constant is not clamped.
    let odd = [f32::NAN, -0.0, f32::INFINITY, 1.5];
    let shifted = affine([[-1.0, 0.0, 0.0, 3.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]);
    let rescale = Rescale { clamp: Some([-1.0, 1.0]), ..Rescale::IDENTITY };
    let linear = sampling(Interpolation::Linear, Border::Constant(7.0));
    let out = whole(&odd, [4, 1, 1], &shifted, &linear, &rescale, [5, 1, 1]);
    let bits: Vec<u32> = out.iter().map(|x| x.to_bits()).collect();
    assert_eq!(bits, [1.0, 1.0, -0.0, f32::NAN, 7.0].map(f32::to_bits));
}

#[test]
fn what_the_source_lacks_and_where_a_map_leads_nowhere_is_an_error() {
    let voxels = [0_u8; 8];
    let region = Region::new([4, 4, 4], [2, 2, 2], [9, 9, 9]).unwrap();
    let source = SourceBox::new(VoxelSlice::U8(&voxels), &region).unwrap();
    let linear = sampling(Interpolation::Linear, Border::Edge);
    let mut out = [0.0; 8];
    let error =
        gather(&source, &Map::IDENTITY, &linear, &Rescale::IDENTITY, [2, 2, 2], &mut out).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the patch needs the voxels from [0, 0, 0] of size [4, 4, 4], the source has those from [4, 4, 4] of size \
         [2, 2, 2] (x, y, z)"
    );
    for bad in [f64::NAN, f64::INFINITY, 1e300, 1e9] {
        let map = affine([[1.0, 0.0, 0.0, bad], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]);
        let error = gather(&source, &map, &linear, &Rescale::IDENTITY, [2, 2, 2], &mut out).unwrap_err();
        assert!(matches!(error, Error::MapTooFar { .. }), "{error}");
    }
    assert!(SourceBox::new(VoxelSlice::U8(&voxels[1..]), &region).is_err());
}

/// Labels from a whole volume, by all levels, which must agree.
fn whole_labels<T: Voxel, L: Label>(
    voxels: &[T],
    shape: [usize; 3],
    map: &Map,
    sampling: &LabelSampling<L>,
    size: [usize; 3],
) -> Vec<L> {
    let source = SourceBox::new(T::slice(voxels), &Region::whole(shape).unwrap()).unwrap();
    let all: Vec<Vec<L>> = levels()
        .into_iter()
        .map(|level| {
            let mut out = vec![L::nearest(99.0); size.iter().product()];
            labels::gather_labels_at(level, &source, map, sampling, &Rescale::IDENTITY, size, &mut out)
                .unwrap();
            out
        })
        .collect();
    assert!(all.iter().all(|other| *other == all[0]), "levels differ");
    all[0].clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn labels_are_those_of_the_nearest_voxel_or_of_the_largest_interpolated_indicator(
        shape in prop::array::uniform3(1..14_usize),
        (size, map) in (1..40_usize, 1..9_usize, 1..9_usize)
            .prop_flat_map(|(x, y, z)| (Just([x, y, z]), map([x, y, z]))),
        border in prop_oneof![Just(Border::Constant(7_u8)), Just(Border::Edge), Just(Border::Reflect)],
        seed in 0..1000_u64,
    ) {
        let mut stream = batchwright_core::Stream::new(seed, 0, 0, "labels");
        let voxels: Vec<u8> = (0..shape.iter().product()).map(|_| stream.below(4) as u8).collect();
        let borders = match border {
            Border::Constant(label) => Border::Constant(f32::from(label)),
            Border::Edge => Border::Edge,
            Border::Reflect => Border::Reflect,
        };
        let nearest = LabelSampling { interpolation: LabelInterpolation::Nearest, border };
        let found = whole_labels(&voxels, shape, &map, &nearest, size);
        let expected = whole(
            &voxels, shape, &map, &sampling(Interpolation::Nearest, borders), &Rescale::IDENTITY, size,
        );
        for (found, expected) in found.iter().zip(expected) {
            prop_assert_eq!(f32::from(*found), expected);
        }
        let doubles: Vec<f64> = voxels.iter().map(|&v| f64::from(v)).collect();
        prop_assert_eq!(&whole_labels(&doubles, shape, &map, &nearest, size), &found);
        // The indicator of each label, interpolated: the label found has the largest, up to rounding.
        let linear = LabelSampling { interpolation: LabelInterpolation::Linear, border };
        let found = whole_labels(&voxels, shape, &map, &linear, size);
        let indicators: Vec<Vec<f64>> = (0..8)
            .map(|label| {
                let of: Vec<f64> = voxels.iter().map(|&v| f64::from(u8::from(v == label))).collect();
                let border = match border {
                    Border::Constant(outside) => Border::Constant(f32::from(u8::from(outside == label))),
                    Border::Edge => Border::Edge,
                    Border::Reflect => Border::Reflect,
                };
                definition(&of, shape, &map, border, size)
            })
            .collect();
        for (at, label) in found.iter().enumerate() {
            let most = indicators.iter().map(|of| of[at]).fold(0.0, f64::max);
            prop_assert!(most - 1e-3 < indicators[usize::from(*label)][at], "{} at {}", label, at);
        }
    }
}

#[test]
fn of_equally_heavy_labels_the_smallest_is_taken() {
    let half = affine([[1.0, 0.0, 0.0, 0.5], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]);
    let linear = LabelSampling { interpolation: LabelInterpolation::Linear, border: Border::Constant(0_u8) };
    assert_eq!(whole_labels(&[5_u8, 2, 2, 9], [4, 1, 1], &half, &linear, [4, 1, 1]), [2, 2, 2, 0]);
    let nearest = LabelSampling { interpolation: LabelInterpolation::Nearest, ..linear };
    assert_eq!(whole_labels(&[5_u8, 2, 2, 9], [4, 1, 1], &half, &nearest, [4, 1, 1]), [2, 2, 9, 0]);
}

/// The bits of patches of every type, kernel, border and kind of map, on every level, as they were when this was written:
/// a change is one of the results of everyone's runs.
#[test]
fn every_level_gives_the_committed_bits() {
    let (shape, size) = ([23, 21, 19], [27, 11, 9]);
    let count: usize = shape.iter().product();
    let mut stream = batchwright_core::Stream::new(1, 2, 3, "golden");
    let voxels: Vec<i16> = (0..count).map(|_| stream.bits32() as i16).collect();
    let turned = affine([[0.6, -0.3, 0.2, 5.3], [0.25, 0.9, 0.1, 3.7], [-0.1, 0.3, 0.75, 4.9]]);
    let flat = affine([[0.8, -0.3, 0.0, 5.3], [0.3, 0.8, 0.0, 1.7], [0.0, 0.0, 1.0, 4.0]]);
    let coarse = affine([[1.9, -0.3, 0.0, 5.3], [0.3, 1.4, 0.0, 1.7], [0.0, 0.2, 1.1, 4.0]]);
    let control = (0..5 * 6 * 4).map(|_| [(); 3].map(|()| stream.uniform_in(-2.0, 2.0))).collect();
    let bent =
        Map { displacement: Some(Displacement::new([5, 6, 4], control, size).unwrap()), ..turned.clone() };
    let crop = affine([[0.0, 1.0, 0.0, -2.0], [-1.0, 0.0, 0.0, 27.0], [0.0, 0.0, 1.0, 3.0]]);
    let rescale = Rescale { slope: 0.37, inter: -11.0, clamp: Some([-5000.0, 7000.0]) };
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |bits: u32| {
        for byte in bits.to_le_bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    for map in [&turned, &flat, &coarse, &bent, &crop] {
        for border in [Border::Constant(0.5), Border::Edge, Border::Reflect] {
            for interpolation in [Interpolation::Nearest, Interpolation::Linear, Interpolation::Cubic] {
                let sampling = Sampling { antialias: true, ..sampling(interpolation, border) };
                let mut out = whole(&voxels, shape, map, &sampling, &rescale, size);
                macro_rules! also {
                    ($($voxel:ty),*) => {$(
                        let other: Vec<$voxel> = voxels.iter().map(|&v| v as $voxel).collect();
                        out.extend(whole(&other, shape, map, &sampling, &rescale, size));
                    )*};
                }
                also!(u8, i8, u16, f32, i32, f64);
                for value in &out {
                    add(value.to_bits());
                }
            }
        }
        let labels: Vec<u8> = voxels.iter().map(|&v| (v & 3) as u8).collect();
        for interpolation in [LabelInterpolation::Nearest, LabelInterpolation::Linear] {
            let sampling = LabelSampling { interpolation, border: Border::Constant(1_u8) };
            let out = whole_labels(&labels, shape, map, &sampling, size);
            for label in &out {
                add(u32::from(*label));
            }
        }
    }
    assert_eq!(format!("{hash:016x}"), "5a776f4760d48f16");
}

#[test]
fn smoothing_before_shrinking_is_a_gaussian_of_the_stated_width() {
    // One bright line, shrunk by 3 along x: its share in the patch is a Gaussian of sigma sqrt(8) / 2 around it.
    let shape = [61, 3, 3];
    let mut voxels = vec![0.0_f32; 61 * 9];
    for row in 0..9 {
        voxels[row * 61 + 30] = 1.0;
    }
    let map = affine([[3.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 1.0, 1.0]]);
    let smooth = Sampling { antialias: true, ..sampling(Interpolation::Linear, Border::Edge) };
    let out = whole(&voxels, shape, &map, &smooth, &Rescale::IDENTITY, [21, 1, 1]);
    let sigma = 8.0_f64.sqrt() / 2.0;
    let all: f64 = (-6..=6).map(|k| (-f64::from(k * k) / (2.0 * sigma * sigma)).exp()).sum();
    for (x, value) in out.iter().enumerate() {
        let distance = 3.0 * (x as f64 - 10.0);
        let gauss = (-distance * distance / (2.0 * sigma * sigma)).exp() / all;
        let expected = if distance.abs() <= 6.0 { gauss } else { 0.0 };
        assert!((f64::from(*value) - expected).abs() < 1e-6, "{x}: {value} {expected}");
    }
    // A part of the source that is just large enough gives the same bits.
    let region = map.source_region([5, 1, 1], &smooth.support(&map), shape).unwrap();
    assert!(region.size()[0] < 61);
    let part: Vec<f32> =
        (0..9).flat_map(|row| voxels[row * 61 + region.origin()[0]..][..region.size()[0]].to_vec()).collect();
    let source = SourceBox::new(VoxelSlice::F32(&part), &region).unwrap();
    let mut again = [0.0; 5];
    gather(&source, &map, &smooth, &Rescale::IDENTITY, [5, 1, 1], &mut again).unwrap();
    assert_eq!(again[..], whole(&voxels, shape, &map, &smooth, &Rescale::IDENTITY, [5, 1, 1])[..]);
}
