use batchwright_core::Context;
use proptest::prelude::*;

use super::*;
use crate::affine::{Affine, VoxelToWorld};
use crate::orientation::{Axes, Orientation};

fn grid(spacing: [f64; 3]) -> Lattice {
    Lattice::new(&VoxelToWorld(Affine::scale(spacing)), [20, 20, 20], &Axes::STORED, None).unwrap()
}

fn draw(spatial: &Spatial, position: u64) -> Option<SpatialDrawn> {
    spatial.draw(&mut Context::new(7, 0, position).stream(spatial.name()))
}

fn close(a: [f64; 3], b: [f64; 3], tolerance: f64) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance)
}

fn turn(rotation: [f64; 3]) -> AffineDrawn {
    AffineDrawn {
        rotation,
        scale: [1.0; 3],
        shear: [0.0; 6],
        translation: TranslationDrawn::Voxels([0.0; 3]),
    }
}

/// Where voxel `at` of a 5 x 5 x 5 patch at the origin comes from.
fn source(drawn: &[SpatialDrawn], spacing: [f64; 3], at: [f64; 3]) -> [f64; 3] {
    let patch = Placement { origin: [0; 3], size: [5; 3] };
    Map::compose(&grid(spacing), patch, drawn).unwrap().apply(at)
}

#[test]
fn directions_are_as_documented() {
    let one = |change| [SpatialDrawn::Affine(change)];
    // About z from x to y: what lay at +x is shown at +y.
    let z = one(turn([0.0, 0.0, 90.0]));
    assert_eq!(source(&z, [1.0; 3], [2.0, 4.0, 2.0]), [4.0, 2.0, 2.0]);
    let x = one(turn([90.0, 0.0, 0.0]));
    assert_eq!(source(&x, [1.0; 3], [2.0, 2.0, 4.0]), [2.0, 4.0, 2.0]);
    let y = one(turn([0.0, 90.0, 0.0]));
    assert_eq!(source(&y, [1.0; 3], [4.0, 2.0, 2.0]), [2.0, 2.0, 4.0]);
    // About x first, then z: y goes to z and stays there.
    let both = one(turn([90.0, 0.0, 90.0]));
    assert!(close(source(&both, [1.0; 3], [2.0, 2.0, 4.0]), [2.0, 4.0, 2.0], 1e-12));
    // In millimetres: 2 voxels of 1 mm along x are 1 voxel of 2 mm along y.
    assert_eq!(source(&z, [1.0, 2.0, 1.0], [2.0, 3.0, 2.0]), [4.0, 2.0, 2.0]);
    // A factor above 1 enlarges: neighbours come from less than a voxel apart.
    let larger = one(AffineDrawn { scale: [2.0; 3], ..turn([0.0; 3]) });
    assert_eq!(source(&larger, [1.0; 3], [4.0, 2.0, 0.0]), [3.0, 2.0, 1.0]);
    // The picture moves by +1 mm: half a voxel of 2 mm.
    let moved = one(AffineDrawn { translation: TranslationDrawn::Mm([1.0, 0.0, 0.0]), ..turn([0.0; 3]) });
    assert_eq!(source(&moved, [2.0; 3], [2.0, 2.0, 2.0]), [1.5, 2.0, 2.0]);
    // x moves by 0.25 mm per mm of y.
    let leaning = one(AffineDrawn { shear: [0.25, 0.0, 0.0, 0.0, 0.0, 0.0], ..turn([0.0; 3]) });
    assert_eq!(source(&leaning, [1.0; 3], [2.0, 4.0, 2.0]), [1.5, 4.0, 2.0]);
    // Scaled before turned: x is what was enlarged, and is shown along y.
    let long = one(AffineDrawn { scale: [2.0, 1.0, 1.0], ..turn([0.0, 0.0, 90.0]) });
    assert_eq!(source(&long, [1.0; 3], [2.0, 4.0, 2.0]), [3.0, 2.0, 2.0]);
    // Changes are made in the order of the list: moved along x, then turned to y.
    let list = [moved[0].clone(), z[0].clone()];
    assert!(close(source(&list, [1.0; 3], [2.0, 3.0, 2.0]), [2.0, 2.0, 2.0], 1e-12));
}

#[test]
fn parameters_of_the_identity_give_it_exactly() {
    let patch = Placement { origin: [-3, 4, 5], size: [6, 5, 4] };
    for spacing in [[1.0; 3], [0.7, 1.3, 2.9]] {
        let map = Map::compose(&grid(spacing), patch, &[SpatialDrawn::Affine(turn([0.0; 3]))]).unwrap();
        assert_eq!(map.affine, Affine::translation([-3.0, 4.0, 5.0]));
    }
}

fn spatials() -> Vec<Spatial> {
    vec![
        Spatial::Flip(Flip { axes: [0.5, 0.2, 1.0], probability: 0.7, ..Flip::default() }),
        Spatial::Rotate90(Rotate90 { probability: 0.5, ..Rotate90::default() }),
        Spatial::Affine(RandomAffine {
            rotation: Some(Spreads::Each([
                Spread::Around(30.0),
                Spread::Between([-5.0, 10.0]),
                Spread::Around(0.0),
            ])),
            scale: Some(Spreads::All(Spread::Around(0.2))),
            isotropic: false,
            shear: Some(Spread::Around(0.1)),
            translation: Some(Translation::Mm(Spreads::All(Spread::Between([1.0, 4.0])))),
            probability: 0.8,
            ..RandomAffine::default()
        }),
        Spatial::Elastic(Elastic { max_displacement: [1.0, 2.0, 0.5], ..Elastic::default() }),
    ]
}

/// The numbers that a record holds.
fn numbers(drawn: &SpatialDrawn) -> Vec<u64> {
    match drawn {
        SpatialDrawn::Flip(flip) => flip.axes.map(u64::from).to_vec(),
        SpatialDrawn::Rotate90(turn) => vec![turn.plane as u64, u64::from(turn.k)],
        SpatialDrawn::Affine(AffineDrawn { rotation, scale, shear, translation }) => {
            let (TranslationDrawn::Mm(by) | TranslationDrawn::Voxels(by)) = translation;
            [&rotation[..], scale, shear, by].concat().iter().map(|x| x.to_bits()).collect()
        }
        SpatialDrawn::Elastic(elastic) => {
            elastic.displacements.iter().flatten().map(|x| u64::from(x.to_bits())).collect()
        }
    }
}

#[test]
fn a_record_read_back_is_the_same_bit_for_bit() {
    let mut cases = 0;
    for spatial in spatials() {
        spatial.check("augment").unwrap();
        for position in 0..50 {
            if let Some(drawn) = draw(&spatial, position) {
                let read: SpatialDrawn =
                    serde_json::from_str(&serde_json::to_string(&drawn).unwrap()).unwrap();
                assert_eq!(numbers(&read), numbers(&drawn));
                assert_eq!(read, drawn);
                cases += 1;
            }
        }
    }
    assert!(100 < cases, "{cases}");
}

#[test]
fn options_are_written_as_documented() {
    let read = |text: &str| serde_json::from_str::<Spatial>(text);
    let text = r#"{ "affine": { "rotation": [10, [0, 5], 0], "shrink": [0.7, 1.4], "translation": { "voxels": 3 } } }"#;
    let Spatial::Affine(affine) = read(text).unwrap() else { panic!("not affine") };
    assert_eq!(affine.shrink, Some(Spreads::All(Spread::Between([0.7, 1.4]))));
    assert_eq!(affine.translation, Some(Translation::Voxels(Spreads::All(Spread::Around(3.0)))));
    let expected = [Spread::Around(10.0), Spread::Between([0.0, 5.0]), Spread::Around(0.0)];
    assert_eq!(affine.rotation, Some(Spreads::Each(expected)));
    assert_eq!(read(r#"{ "flip": {} }"#).unwrap(), Spatial::Flip(Flip::default()));
    assert_eq!(read(r#"{ "rotate90": { "planes": ["xy"], "name": "spin" } }"#).unwrap().name(), "spin");
    assert!(read(r#"{ "elastic": { "control_point": 7 } }"#).is_err());
}

#[test]
fn choices_that_cannot_be_are_named() {
    let error = |spatial: Spatial| spatial.check("augment[0]").unwrap_err().to_string();
    let affine = |affine| error(Spatial::Affine(affine));
    for bad in [f64::NAN, f64::INFINITY, 400.0] {
        let rotation = Some(Spreads::All(Spread::Around(bad)));
        let text = affine(RandomAffine { rotation, ..RandomAffine::default() });
        assert!(text.starts_with("`augment[0].affine.rotation` must be a number, or [low, high]"), "{text}");
    }
    let all = |low, high| Some(Spreads::All(Spread::Between([low, high])));
    for (low, high) in [(1.2, 0.8), (0.0, 1.0), (f64::NAN, 1.0), (-1.0, 1.0)] {
        affine(RandomAffine { scale: all(low, high), ..RandomAffine::default() });
        affine(RandomAffine { shrink: all(low, high), ..RandomAffine::default() });
    }
    affine(RandomAffine { scale: all(1.0, 1.1), shrink: all(1.0, 1.1), ..RandomAffine::default() });
    affine(RandomAffine { shear: Some(Spread::Around(0.5)), ..RandomAffine::default() });
    affine(RandomAffine { probability: 1.5, ..RandomAffine::default() });
    let shift = Translation::Mm(Spreads::All(Spread::Around(f64::NAN)));
    affine(RandomAffine { translation: Some(shift), ..RandomAffine::default() });
    error(Spatial::Flip(Flip { axes: [0.0, -0.1, 0.0], ..Flip::default() }));
    error(Spatial::Rotate90(Rotate90 { k: vec![1, 4], ..Rotate90::default() }));
    error(Spatial::Rotate90(Rotate90 { planes: vec![], ..Rotate90::default() }));
    error(Spatial::Elastic(Elastic { control_points: [3, 7, 7], ..Elastic::default() }));
    error(Spatial::Elastic(Elastic { control_points: [4, 7, 7], ..Elastic::default() }));
    error(Spatial::Elastic(Elastic { max_displacement: [1.0, f64::NAN, 1.0], ..Elastic::default() }));
}

#[test]
fn records_that_make_no_map_are_refused() {
    let patch = Placement { origin: [0; 3], size: [4; 3] };
    let compose = |drawn: &[SpatialDrawn]| Map::compose(&grid([1.0; 3]), patch, drawn);
    let elastic = |count, value| {
        SpatialDrawn::Elastic(ElasticDrawn { control_points: [4; 3], displacements: vec![[value; 3]; count] })
    };
    assert!(compose(&[elastic(64, 0.5)]).is_ok());
    assert!(compose(&[elastic(63, 0.5)]).is_err());
    assert!(compose(&[elastic(64, f32::NAN)]).is_err());
    assert!(compose(&[elastic(64, 0.5), elastic(64, 0.5)]).is_err());
    let flat = AffineDrawn { scale: [0.0, 1.0, 1.0], ..turn([0.0; 3]) };
    assert!(compose(&[SpatialDrawn::Affine(flat)]).is_err());
    assert!(compose(&[SpatialDrawn::Affine(turn([f64::NAN, 0.0, 0.0]))]).is_err());
}

/// The largest distance between the distribution of `draws` and the uniform one from `low` to `high`.
fn distance(mut draws: Vec<f64>, low: f64, high: f64) -> f64 {
    draws.sort_by(f64::total_cmp);
    let n = draws.len() as f64;
    let gap = |(i, x): (usize, &f64)| {
        let expected = (x - low) / (high - low);
        (expected - i as f64 / n).abs().max((expected - (i + 1) as f64 / n).abs())
    };
    draws.iter().enumerate().map(gap).fold(0.0, f64::max)
}

#[test]
fn draws_are_uniform_over_their_ranges() {
    let spatial = &spatials()[2];
    let drawn: Vec<AffineDrawn> = (0..4000)
        .filter_map(|position| match draw(spatial, position)? {
            SpatialDrawn::Affine(drawn) => Some(drawn),
            _ => None,
        })
        .collect();
    // Five standard deviations of a binomial: 5 sqrt(4000 0.8 0.2) = 126.
    assert!((3200 - 126..3200 + 126).contains(&drawn.len()), "{}", drawn.len());
    // Kolmogorov: P(D > d) < 2 exp(-2 n d^2), which is 1e-7 for n d^2 = 8.4.
    let bound = (8.4 / drawn.len() as f64).sqrt();
    let check = |of: &dyn Fn(&AffineDrawn) -> f64, low, high| {
        let distance = distance(drawn.iter().map(of).collect(), low, high);
        assert!(distance < bound, "{distance} {low} {high}");
    };
    check(&|d| d.rotation[0], -30.0, 30.0);
    check(&|d| d.rotation[1], -5.0, 10.0);
    assert!(drawn.iter().all(|d| d.rotation[2] == 0.0));
    for axis in 0..3 {
        check(&|d| d.scale[axis], 0.8, 1.2);
        check(
            &|d| match d.translation {
                TranslationDrawn::Mm(by) => by[axis],
                TranslationDrawn::Voxels(_) => f64::NAN,
            },
            1.0,
            4.0,
        );
    }
    for pair in 0..6 {
        check(&|d| d.shear[pair], -0.1, 0.1);
    }
    // The reciprocal of what shrinks is uniform, and one factor serves all axes.
    let shrink = Spatial::Affine(RandomAffine {
        shrink: Some(Spreads::All(Spread::Between([0.7, 1.4]))),
        ..RandomAffine::default()
    });
    let steps: Vec<f64> = (0..4000)
        .filter_map(|position| match draw(&shrink, position)? {
            SpatialDrawn::Affine(drawn) => {
                assert_eq!(drawn.scale, [drawn.scale[0]; 3]);
                Some(1.0 / drawn.scale[0])
            }
            _ => None,
        })
        .collect();
    assert!(distance(steps, 0.7, 1.4) < bound);
}

#[test]
fn flips_quarter_turns_and_displacements_are_drawn_as_said() {
    let [flip, rotate, _, elastic] = <[Spatial; 4]>::try_from(spatials()).unwrap();
    let (mut flips, mut axes, mut turns) = (0, [0; 3], [0; 9]);
    for position in 0..6000 {
        if let Some(SpatialDrawn::Flip(drawn)) = draw(&flip, position) {
            flips += 1;
            for (count, flipped) in axes.iter_mut().zip(drawn.axes) {
                *count += i32::from(flipped);
            }
        }
        if let Some(SpatialDrawn::Rotate90(drawn)) = draw(&rotate, position) {
            turns[drawn.plane as usize * 3 + usize::from(drawn.k) - 1] += 1;
        }
    }
    // Five standard deviations of each binomial are below 5 sqrt(6000 / 4) = 194.
    for (found, expected) in [(flips, 4200), (axes[0], 2100), (axes[1], 840), (axes[2], flips)] {
        assert!((found - expected).abs() < 194, "{found} {expected}");
    }
    assert_eq!(axes[2], flips);
    for count in turns {
        assert!((count - 333_i32).abs() < 90, "{turns:?}");
    }
    let mut along_y = Vec::new();
    for position in 0..100 {
        let Some(SpatialDrawn::Elastic(drawn)) = draw(&elastic, position) else { panic!("always") };
        for (at, by) in drawn.displacements.iter().enumerate() {
            let place = [at % 7, at / 7 % 7, at / 49];
            if place.iter().any(|i| !(2..5).contains(i)) {
                assert_eq!(*by, [0.0; 3]);
            } else {
                along_y.push(f64::from(by[1]));
            }
        }
    }
    let bound = (8.4 / along_y.len() as f64).sqrt();
    assert!(distance(along_y, -2.0, 2.0) < bound);
}

#[test]
fn three_locked_borders_hold_the_faces_of_the_patch() {
    let elastic =
        Spatial::Elastic(Elastic { control_points: [8, 9, 10], locked_borders: 3, ..Elastic::default() });
    let drawn = draw(&elastic, 0).unwrap();
    let patch = Placement { origin: [0; 3], size: [16, 16, 1] };
    let map = Map::compose(&grid([1.0; 3]), patch, &[drawn]).unwrap();
    for place in [[-0.5, 3.0, 0.0], [15.5, 8.0, 0.0], [4.0, -0.5, 0.0], [9.0, 15.5, 0.0]] {
        assert!(close(map.apply(place), place, 1e-12), "{:?}", map.apply(place));
    }
    assert!(!close(map.apply([8.0, 8.0, 0.0]), [8.0, 8.0, 0.0], 0.1));
}

proptest! {
    #[test]
    fn whole_changes_move_indices(
        size in prop::array::uniform3(1..8_usize),
        flips in prop::array::uniform3(any::<bool>()),
        plane in prop_oneof![Just(Plane::Xy), Just(Plane::Xz), Just(Plane::Yz)],
        k in 0..4_u8,
        origin in prop::array::uniform3(-5..20_i64),
    ) {
        let patch = Placement { origin, size };
        let drawn = [
            SpatialDrawn::Flip(FlipDrawn { axes: flips }),
            SpatialDrawn::Rotate90(Rotate90Drawn { plane, k }),
        ];
        let axes = Axes::between(Orientation::RAS, "PIR".parse().unwrap());
        let shape = [20, 21, 22];
        let grid = Lattice::new(&VoxelToWorld(Affine::IDENTITY), shape, &axes, None).unwrap();
        let map = Map::compose(&grid, patch, &drawn).unwrap();
        let [a, b] = match plane { Plane::Xy => [0, 1], Plane::Xz => [0, 2], Plane::Yz => [1, 2] };
        // Twice the place, so that middles are whole.
        let double = |x: i64, n: usize| 2 * x - (n as i64 - 1);
        for at in [[0, 0, 0], [1, 2, 3], [5, 0, 2]] {
            let mut p: [i64; 3] = at;
            // The quarter turns back, one by one, about the middle.
            let (mut pa, mut pb) = (double(p[a], size[a]), double(p[b], size[b]));
            for _ in 0..k {
                (pa, pb) = (pb, -pa);
            }
            p[a] = (pa + size[a] as i64 - 1).div_euclid(2);
            p[b] = (pb + size[b] as i64 - 1).div_euclid(2);
            for axis in 0..3 {
                if flips[axis] {
                    p[axis] = size[axis] as i64 - 1 - p[axis];
                }
                p[axis] += origin[axis];
            }
            // x of the grid runs along stored y backwards, y along z backwards, z along x.
            let expected = [p[2], 20 - p[0], 21 - p[1]].map(|x| x as f64);
            prop_assert_eq!(map.apply(at.map(|x| x as f64)), expected);
        }
    }

    #[test]
    fn maps_are_inverted_where_they_can_be(
        rotation in prop::array::uniform3(-180.0..180.0_f64),
        scale in prop::array::uniform3(0.5..2.0_f64),
        shear in prop::collection::vec(-0.2..0.2_f64, 6),
        at in prop::array::uniform3(-10.0..30.0_f64),
        position in 0..1000_u64,
    ) {
        let affine = AffineDrawn {
            rotation,
            scale,
            shear: shear.try_into().unwrap(),
            translation: TranslationDrawn::Mm([1.0, -2.0, 3.0]),
        };
        let elastic = Spatial::Elastic(Elastic { max_displacement: [1.0, 0.8, 0.5], ..Elastic::default() });
        let patch = Placement { origin: [3, 4, 5], size: [40, 36, 32] };
        let grid = Lattice::new(&VoxelToWorld(Affine::IDENTITY), [50; 3], &Axes::STORED, None).unwrap();
        let map = Map::compose(&grid, patch, &[SpatialDrawn::Affine(affine)]).unwrap();
        let back = map.inverse().unwrap();
        prop_assert!(close(back.apply(map.apply(at)), at, 1e-9));
        prop_assert!(close(map.find(map.apply(at)).unwrap(), at, 1e-9));
        let map =
            Map::compose(&grid, patch, &[draw(&elastic, position).unwrap(), SpatialDrawn::Affine(affine)]).unwrap();
        prop_assert!(map.displacement.as_ref().unwrap().contraction() < 1.0);
        prop_assert!(map.inverse().is_none());
        prop_assert!(close(map.find(map.apply(at)).unwrap(), at, 1e-8));
    }
}
