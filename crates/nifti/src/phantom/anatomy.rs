//! What is inside a body: a table of ellipsoids, from the outside in.

use batchwright_core::{Name, Stream, math};
use serde::{Deserialize, Serialize};

/// Which part of a body is imitated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// A head in magnetic resonance: channels look like T1, T2 and FLAIR.
    #[default]
    Head,
    /// A trunk: the first channel in Hounsfield units as in computed tomography, the next like T1 and T2.
    Trunk,
}

/// What a part is made of; the brightness per contrast is in `contrasts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tissue {
    Air,
    Fat,
    Muscle,
    Bone,
    Marrow,
    Fluid,
    Grey,
    White,
    Lesion,
    Lung,
    Blood,
    Liver,
    Spleen,
    Kidney,
    Pancreas,
    Bowel,
}

impl Tissue {
    /// Returns the brightness in the three contrasts of a body.
    fn contrasts(self, body: Body) -> [f32; 3] {
        // T1, T2, FLAIR; Hounsfield units.
        let (magnetic, hounsfield) = match self {
            Self::Air => ([0.0, 0.0, 0.0], -1000.0),
            Self::Fat => ([820.0, 560.0, 520.0], -100.0),
            Self::Muscle => ([420.0, 260.0, 330.0], 55.0),
            Self::Bone => ([70.0, 50.0, 60.0], 420.0),
            Self::Marrow => ([430.0, 330.0, 310.0], 180.0),
            Self::Fluid => ([150.0, 950.0, 90.0], 8.0),
            Self::Grey => ([500.0, 520.0, 560.0], 38.0),
            Self::White => ([740.0, 380.0, 450.0], 28.0),
            Self::Lesion => ([390.0, 800.0, 900.0], 65.0),
            Self::Lung => ([60.0, 80.0, 70.0], -840.0),
            Self::Blood => ([260.0, 180.0, 200.0], 190.0),
            Self::Liver => ([600.0, 300.0, 380.0], 112.0),
            Self::Spleen => ([400.0, 560.0, 520.0], 128.0),
            Self::Kidney => ([450.0, 640.0, 560.0], 175.0),
            Self::Pancreas => ([660.0, 390.0, 420.0], 88.0),
            Self::Bowel => ([350.0, 480.0, 400.0], 35.0),
        };
        match body {
            Body::Head => magnetic,
            Body::Trunk => [hounsfield, magnetic[0], magnetic[1]],
        }
    }
}

/// What a fold does to a surface.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fold {
    /// Nothing.
    Smooth,
    /// Narrow furrows of a depth in millimetres.
    Furrows(f32),
    /// Waves of a height in millimetres.
    Waves(f32),
}

/// One ellipsoid, or two that mirror each other.
struct Part {
    name: &'static str,
    /// Millimetres to the right, to the front and up.
    center: [f32; 3],
    /// Half axes in millimetres.
    radii: [f32; 3],
    /// Degrees around the three axes, one after the other.
    turned: [f32; 3],
    pair: bool,
    tissue: Tissue,
    class: u8,
    fold: Fold,
    slit: Option<[f32; 2]>,
    /// How far the centre moves between subjects (standard deviation in millimetres), and by which part the radii vary.
    moves: f32,
    varies: f32,
}

const fn part(name: &'static str, center: [f32; 3], radii: [f32; 3], tissue: Tissue, class: u8) -> Part {
    let (turned, pair, fold) = ([0.0; 3], false, Fold::Smooth);
    Part { name, center, radii, turned, pair, tissue, class, fold, slit: None, moves: 1.0, varies: 0.03 }
}

const fn pair(
    name: &'static str,
    center: [f32; 3],
    radii: [f32; 3],
    turned: [f32; 3],
    tissue: Tissue,
    class: u8,
) -> Part {
    Part { turned, pair: true, moves: 1.5, varies: 0.12, ..part(name, center, radii, tissue, class) }
}

/// The class of lesions, in both bodies.
const LESION: u8 = 6;

/// The names of the classes of a head, from 1; further ones are nodules.
const HEAD_CLASSES: [&str; 7] =
    ["brain", "ventricles", "deep_nuclei", "hippocampus", "cerebellum", "lesion", "brainstem"];

const HEAD: &[Part] = &[
    part("neck", [0.0, -22.0, -95.0], [54.0, 56.0, 90.0], Tissue::Fat, 0),
    part("neck_muscle", [0.0, -22.0, -95.0], [47.0, 49.0, 90.0], Tissue::Muscle, 0),
    part("face", [0.0, 30.0, -48.0], [58.0, 60.0, 62.0], Tissue::Fat, 0),
    part("face_muscle", [0.0, 30.0, -48.0], [50.0, 53.0, 56.0], Tissue::Muscle, 0),
    part("scalp", [0.0, 0.0, 12.0], [78.0, 97.0, 80.0], Tissue::Fat, 0),
    part("fossa_bone", [0.0, -46.0, -36.0], [58.0, 42.0, 36.0], Tissue::Bone, 0),
    part("skull", [0.0, 0.0, 12.0], [73.0, 92.0, 75.0], Tissue::Bone, 0),
    pair("eye", [32.0, 70.0, -24.0], [12.5, 13.0, 12.5], [0.0; 3], Tissue::Fluid, 0),
    part("nose", [0.0, 68.0, -48.0], [13.0, 20.0, 24.0], Tissue::Air, 0),
    part("mouth", [0.0, 45.0, -75.0], [18.0, 26.0, 7.0], Tissue::Air, 0),
    part("spine", [0.0, -30.0, -110.0], [15.0, 15.0, 70.0], Tissue::Bone, 0),
    part("fossa", [0.0, -46.0, -35.0], [53.0, 37.0, 31.0], Tissue::Fluid, 0),
    part("fluid", [0.0, 0.0, 13.0], [68.0, 87.0, 69.0], Tissue::Fluid, 0),
    part("cord", [0.0, -29.0, -105.0], [7.0, 7.0, 80.0], Tissue::White, 0),
    Part {
        fold: Fold::Furrows(15.0),
        slit: Some([1.1, 28.0]),
        varies: 0.015,
        ..part("cortex", [0.0, 0.0, 14.0], [66.0, 85.0, 64.0], Tissue::Grey, 1)
    },
    Part {
        fold: Fold::Waves(17.0),
        slit: Some([4.0, 32.0]),
        varies: 0.015,
        ..part("white_matter", [0.0, 0.0, 13.0], [62.5, 81.5, 60.0], Tissue::White, 1)
    },
    part("tentorium", [0.0, -50.0, -34.0], [51.0, 35.0, 28.5], Tissue::Fluid, 0),
    Part {
        fold: Fold::Furrows(4.0),
        ..part("cerebellum", [0.0, -50.0, -36.0], [48.0, 32.0, 26.0], Tissue::Grey, 5)
    },
    Part {
        fold: Fold::Waves(7.0),
        ..part("arbor_vitae", [0.0, -48.0, -36.0], [34.0, 19.0, 14.0], Tissue::White, 5)
    },
    Part {
        turned: [8.0, 0.0, 0.0],
        ..part("brainstem", [0.0, -24.0, -42.0], [14.0, 12.0, 40.0], Tissue::White, 7)
    },
    pair("thalamus", [12.0, -18.0, 8.0], [8.5, 14.0, 8.5], [0.0, 0.0, 20.0], Tissue::Grey, 3),
    pair("putamen", [26.0, 4.0, 4.0], [6.5, 17.0, 9.0], [0.0, 8.0, -10.0], Tissue::Grey, 3),
    pair("caudate", [14.0, 16.0, 16.0], [5.0, 13.0, 8.0], [-10.0, 0.0, -8.0], Tissue::Grey, 3),
    pair("ventricle", [11.0, -2.0, 24.0], [6.0, 30.0, 8.0], [-12.0, 18.0, 9.0], Tissue::Fluid, 2),
    pair("posterior_horn", [22.0, -42.0, 12.0], [5.0, 19.0, 7.0], [10.0, 0.0, 16.0], Tissue::Fluid, 2),
    pair("inferior_horn", [34.0, -20.0, -10.0], [3.5, 18.0, 4.0], [8.0, 0.0, -8.0], Tissue::Fluid, 2),
    Part { varies: 0.15, ..part("third_ventricle", [0.0, -8.0, 6.0], [2.2, 12.0, 9.0], Tissue::Fluid, 2) },
    pair("hippocampus", [26.0, -20.0, -13.0], [6.0, 19.0, 6.0], [8.0, 0.0, -12.0], Tissue::Grey, 4),
];

/// The names of the classes of a trunk, from 1; further ones are nodules.
const TRUNK_CLASSES: [&str; 8] =
    ["liver", "spleen", "kidney", "aorta", "pancreas", "lesion", "lung", "vertebrae"];

const TRUNK: &[Part] = &[
    part("skin", [0.0, 0.0, 0.0], [172.0, 118.0, 2000.0], Tissue::Fat, 0),
    part("wall", [0.0, 0.0, 0.0], [154.0, 101.0, 2000.0], Tissue::Muscle, 0),
    part("ribs", [0.0, 4.0, 90.0], [143.0, 91.0, 160.0], Tissue::Bone, 0),
    part("cavity", [0.0, 5.0, 0.0], [138.0, 86.0, 2000.0], Tissue::Fat, 0),
    pair("back_muscle", [38.0, -82.0, 0.0], [26.0, 20.0, 2000.0], [0.0; 3], Tissue::Muscle, 0),
    pair("psoas", [40.0, -52.0, -110.0], [19.0, 19.0, 80.0], [0.0, -6.0, 0.0], Tissue::Muscle, 0),
    part("vertebrae", [0.0, -62.0, 0.0], [24.0, 20.0, 2000.0], Tissue::Bone, 8),
    part("marrow", [0.0, -61.0, 0.0], [19.0, 15.0, 2000.0], Tissue::Marrow, 8),
    part("canal", [0.0, -84.0, 0.0], [9.0, 8.0, 2000.0], Tissue::Fluid, 0),
    Part {
        fold: Fold::Waves(16.0),
        ..part("bowel", [0.0, 26.0, -95.0], [104.0, 46.0, 75.0], Tissue::Bowel, 0)
    },
    pair("lung", [72.0, 2.0, 135.0], [56.0, 76.0, 100.0], [0.0; 3], Tissue::Lung, 7),
    part("heart", [-18.0, 24.0, 105.0], [52.0, 44.0, 48.0], Tissue::Blood, 0),
    Part {
        moves: 5.0,
        varies: 0.08,
        turned: [0.0, 12.0, 0.0],
        ..part("liver", [58.0, 8.0, 22.0], [78.0, 74.0, 64.0], Tissue::Liver, 1)
    },
    Part {
        moves: 5.0,
        varies: 0.15,
        ..part("stomach", [-62.0, 30.0, 26.0], [44.0, 36.0, 44.0], Tissue::Bowel, 0)
    },
    part("stomach_air", [-62.0, 50.0, 34.0], [24.0, 12.0, 26.0], Tissue::Air, 0),
    Part {
        moves: 5.0,
        varies: 0.15,
        turned: [0.0, 0.0, 25.0],
        ..part("spleen", [-98.0, -34.0, 22.0], [23.0, 38.0, 42.0], Tissue::Spleen, 2)
    },
    pair("kidney", [60.0, -46.0, -55.0], [23.0, 22.0, 44.0], [0.0, 12.0, 0.0], Tissue::Kidney, 3),
    pair("pelvis", [54.0, -44.0, -55.0], [9.0, 9.0, 20.0], [0.0, 12.0, 0.0], Tissue::Fluid, 3),
    Part {
        moves: 3.0,
        varies: 0.12,
        turned: [0.0, -14.0, 8.0],
        ..part("pancreas", [-18.0, 0.0, -18.0], [54.0, 12.0, 13.0], Tissue::Pancreas, 5)
    },
    part("aorta", [-9.0, -32.0, 0.0], [10.5, 10.5, 2000.0], Tissue::Blood, 4),
    part("cava", [18.0, -28.0, 0.0], [11.0, 9.0, 2000.0], Tissue::Blood, 0),
];

impl Body {
    /// Returns the millimetres that a picture of it takes: to the right, to the front and up.
    pub(super) fn extent(self) -> [f64; 3] {
        match self {
            Self::Head => [178.0, 216.0, 200.0],
            Self::Trunk => [372.0, 268.0, 300.0],
        }
    }

    /// Returns the middle of such a picture.
    pub(super) fn middle(self) -> [f64; 3] {
        match self {
            Self::Head => [0.0, 0.0, -4.0],
            Self::Trunk => [0.0, 0.0, 0.0],
        }
    }

    /// Returns the name of class `class`, from 1.
    pub(super) fn class_name(self, class: usize) -> String {
        let names: &[&str] = match self {
            Self::Head => &HEAD_CLASSES,
            Self::Trunk => &TRUNK_CLASSES,
        };
        match names.get(class.wrapping_sub(1)) {
            Some(&name) => name.to_owned(),
            None => format!("nodule_{}", class - names.len()),
        }
    }

    /// Returns how many classes have a place of their own.
    fn named(self) -> usize {
        match self {
            Self::Head => HEAD_CLASSES.len(),
            Self::Trunk => TRUNK_CLASSES.len(),
        }
    }

    /// Returns the name of the contrast of a channel.
    pub(super) fn modality(self, channel: usize) -> String {
        let names = match self {
            Self::Head => ["T1", "T2", "FLAIR"],
            Self::Trunk => ["CT", "T1", "T2"],
        };
        names.get(channel).map_or_else(|| format!("mixture_{channel}"), |&name| name.to_owned())
    }

    /// Returns whether a channel is in Hounsfield units: noise without bias, air below 0.
    pub(super) fn is_hounsfield(self, channel: usize) -> bool {
        self == Self::Trunk && channel == 0
    }
}

/// An ellipsoid of one subject.
#[derive(Debug)]
pub(super) struct Solid {
    pub(super) center: [f32; 3],
    /// From millimetres to units of the half axes.
    pub(super) unit: [[f32; 3]; 3],
    pub(super) smallest: f32,
    pub(super) class: u8,
    pub(super) fold: Fold,
    /// What is left out in the middle: everything nearer to it than this, above that height, which falls off in front and behind.
    pub(super) slit: Option<[f32; 2]>,
    /// The brightness per channel.
    pub(super) values: Vec<f32>,
}

/// How bright tissues are in each channel of a data set.
#[derive(Debug)]
pub(super) struct Contrasts {
    body: Body,
    /// Parts of the three contrasts.
    mixtures: Vec<[f32; 3]>,
}

impl Contrasts {
    /// The first three channels are the three contrasts; further ones are mixtures of them, drawn from the seed.
    pub(super) fn new(body: Body, seed: u64, channels: usize) -> Self {
        let mixtures = (0..channels).map(|channel| match channel {
            0 => [1.0, 0.0, 0.0],
            1 => [0.0, 1.0, 0.0],
            2 => [0.0, 0.0, 1.0],
            _ => {
                let mut stream = Stream::new(seed, 0, channel as u64, "phantom/contrast");
                let parts = [0; 3].map(|_| stream.uniform_in(-0.4, 1.0) as f32);
                // Hounsfield units do not mix with the rest.
                if body == Body::Trunk { [0.0, parts[1].abs(), parts[2].abs()] } else { parts.map(f32::abs) }
            }
        });
        Self { body, mixtures: mixtures.collect() }
    }

    pub(super) fn of(&self, tissue: Tissue) -> Vec<f32> {
        let [a, b, c] = tissue.contrasts(self.body);
        self.mixtures.iter().map(|[x, y, z]| x * a + y * b + z * c).collect()
    }
}

/// Draws what is inside of a subject, from the outside in, with classes up to `classes` marked.
pub(super) fn solids(
    body: Body,
    seed: u64,
    subject: u64,
    classes: usize,
    contrasts: &Contrasts,
) -> Vec<Solid> {
    let named = |name: &str| Stream::new(seed, 0, subject, Name::new("phantom").join(name));
    let mut stream = named("size");
    let size = [0; 3].map(|_| 1.0 + 0.045 * f32::clamp(stream.normal(), -2.0, 2.0));
    let table = match body {
        Body::Head => HEAD,
        Body::Trunk => TRUNK,
    };
    let mark = |class: u8| if usize::from(class) <= classes { class } else { unnamed(body, class, classes) };
    let mut solids = Vec::new();
    for part in table {
        let mut stream = named(part.name);
        // What all of a pair has in common, such as the size of the ventricles, and what each side has.
        let common = part.varies * f32::clamp(stream.normal(), -2.0, 2.0);
        for side in if part.pair { &[1.0, -1.0][..] } else { &[1.0] } {
            let moved = [0; 3].map(|_| part.moves * f32::clamp(stream.normal(), -2.0, 2.0));
            let own = [0; 3]
                .map(|_| math::exp(common + 0.5 * part.varies * f32::clamp(stream.normal(), -2.0, 2.0)));
            let turned =
                [0; 3].map(|_| if part.pair { 4.0 * f32::clamp(stream.normal(), -2.0, 2.0) } else { 0.0 });
            let center = [
                part.center[0] * side + moved[0] * f32::from(u8::from(part.pair)),
                part.center[1] + moved[1],
                part.center[2] + moved[2],
            ];
            let radii = [0, 1, 2].map(|axis| part.radii[axis] * own[axis] * size[axis]);
            // A mirrored ellipsoid is turned the other way around the two axes in the plane of the mirror.
            let turned = [
                part.turned[0] + turned[0],
                side * (part.turned[1] + turned[1]),
                side * (part.turned[2] + turned[2]),
            ];
            solids.push(Solid {
                center: [0, 1, 2].map(|axis| center[axis] * size[axis]),
                unit: unit(radii, turned),
                smallest: radii[0].min(radii[1]).min(radii[2]),
                class: mark(part.class),
                fold: part.fold,
                slit: part.slit,
                values: contrasts.of(part.tissue),
            });
        }
    }
    let mut stream = named("lesion");
    for _ in 0..=stream.below(3) {
        let center = place(&mut stream, body, size);
        let radii =
            [0; 3].map(|_| stream.uniform_in(4.0, 9.0) as f32 * if body == Body::Head { 1.0 } else { 1.6 });
        solids.push(blob(center, radii, mark(LESION), contrasts.of(Tissue::Lesion)));
    }
    for class in body.named() + 1..=classes {
        // Where nodules of a class are is decided once; each subject has its own a little beside that.
        let mut common = Stream::new(seed, 0, class as u64, "phantom/nodule");
        let center = place(&mut common, body, size);
        let bright = common.uniform_in(-0.3, 0.6) as f32;
        let mut stream = named(&format!("nodule_{class}"));
        let center = center.map(|x| x + 3.0 * f32::clamp(stream.normal(), -2.0, 2.0));
        let radii = [0; 3].map(|_| stream.uniform_in(5.0, 9.0) as f32);
        let base = contrasts.of(if body == Body::Head { Tissue::White } else { Tissue::Liver });
        solids.push(blob(center, radii, class as u8, base.iter().map(|x| x * (1.0 + bright)).collect()));
    }
    solids
}

/// Returns the class of what has a class of its own that is not asked for: in a head it is brain.
fn unnamed(body: Body, class: u8, classes: usize) -> u8 {
    u8::from(body == Body::Head && 0 < classes && class != 2)
}

/// Draws a place inside of the white matter, or of the liver.
fn place(stream: &mut Stream, body: Body, size: [f32; 3]) -> [f32; 3] {
    let (center, radii) = match body {
        Body::Head => ([0.0, 0.0, 18.0], [46.0, 62.0, 38.0]),
        Body::Trunk => ([58.0, 8.0, 22.0], [62.0, 58.0, 48.0]),
    };
    loop {
        let unit = [0; 3].map(|_| stream.uniform_in(-1.0, 1.0) as f32);
        let far = unit[0] * unit[0] + unit[1] * unit[1] + unit[2] * unit[2];
        // In a head not in the middle, where the ventricles are.
        if far <= 1.0 && (body == Body::Trunk || 0.35 < unit[0].abs()) {
            return [0, 1, 2].map(|axis| (center[axis] + radii[axis] * unit[axis]) * size[axis]);
        }
    }
}

fn blob(center: [f32; 3], radii: [f32; 3], class: u8, values: Vec<f32>) -> Solid {
    let smallest = radii[0].min(radii[1]).min(radii[2]);
    Solid { center, unit: unit(radii, [0.0; 3]), smallest, class, fold: Fold::Smooth, slit: None, values }
}

/// Returns the matrix that turns back around z, y and x, and divides by the half axes.
fn unit(radii: [f32; 3], degrees: [f32; 3]) -> [[f32; 3]; 3] {
    let turn = rotation(degrees);
    [0, 1, 2].map(|axis| [0, 1, 2].map(|column| turn[column][axis] / radii[axis]))
}

/// Returns the rotation around x, then y, then z.
pub(super) fn rotation(degrees: [f32; 3]) -> [[f32; 3]; 3] {
    let [(sx, cx), (sy, cy), (sz, cz)] = degrees.map(|degrees| math::sin_cos_turns(degrees / 360.0));
    [
        [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
        [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
        [-sy, cy * sx, cy * cx],
    ]
}
