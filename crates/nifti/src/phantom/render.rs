//! The voxels of a subject.

use batchwright_core::{Name, Stream, math};

use super::anatomy::{Body, Fold, Solid};
use super::field::Field;
use crate::affine::{Affine, VoxelToWorld};

/// By how much surfaces are bent (standard deviation in millimetres), and the most that is reckoned with.
const BENT: f32 = 2.2;
const BENT_MOST: f32 = 9.0;

/// How wide the hills of what bends are, and of what folds, in millimetres.
const BEND_CELL: f32 = 55.0;
const FOLD_CELL: f32 = 19.0;

/// How an arch falls off: one over millimetres.
const ARCH: f32 = 0.007;

/// How many folds a standard deviation of that field makes.
const TURNS: f32 = 1.15;

/// Brightness of the noise of magnetic resonance and of computed tomography (standard deviation).
const NOISE_MAGNETIC: f32 = 22.0;
const NOISE_HOUNSFIELD: f32 = 14.0;

/// A grid of voxels to draw on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Canvas {
    pub(super) shape: [usize; 3],
    pub(super) voxel_to_world: VoxelToWorld,
}

/// Everything that is drawn for one subject.
#[derive(Debug)]
pub(super) struct Subject {
    body: Body,
    solids: Vec<Solid>,
    channels: usize,
    bend: Field,
    fine: Field,
    /// Of each channel: how the brightness changes along the axes, and along products of two of them.
    bias: Vec<[f32; 6]>,
    seed: u64,
    number: u64,
    noise: f32,
}

/// What is worked out along a row; each list has an entry per voxel, so that loops over them become vector code.
struct Row {
    /// Points of the body's own space: the world, bent.
    points: [Vec<f32>; 3],
    /// How deep folds are here, from 0 to 1.
    depth: Vec<f32>,
    /// A texture of about standard normal.
    texture: Vec<f32>,
    /// How far inside of a solid a voxel is, in widths of a voxel.
    inside: Vec<f32>,
    labels: Vec<u8>,
    values: Vec<f32>,
    noise: [Vec<f32>; 2],
}

impl Row {
    fn new(voxels: usize, channels: usize) -> Self {
        let zeros = || vec![0.0; voxels];
        Self {
            points: [zeros(), zeros(), zeros()],
            depth: zeros(),
            texture: zeros(),
            inside: zeros(),
            labels: vec![0; voxels],
            values: vec![0.0; voxels * channels],
            noise: [zeros(), zeros()],
        }
    }
}

impl Subject {
    pub(super) fn new(
        body: Body,
        seed: u64,
        subject: u64,
        solids: Vec<Solid>,
        channels: usize,
        noise: f32,
    ) -> Self {
        let named = |name: &str| Stream::new(seed, 0, subject, Name::new("phantom").join(name));
        let mut stream = named("bias");
        let bias = (0..channels).map(|_| [0; 6].map(|_| 0.09 * stream.normal())).collect();
        let bend = Field::new(&mut named("bend"), BEND_CELL);
        let fine = Field::new(&mut named("fold"), FOLD_CELL);
        Self { body, solids, channels, bend, fine, bias, seed, number: subject, noise }
    }

    /// Draws image [C, z, y, x] and label [z, y, x].
    pub(super) fn draw(&self, on: &Canvas, image: &mut [f32], label: &mut [u8]) {
        let [nx, ny, nz] = on.shape;
        let voxels = nx * ny * nz;
        let map = &on.voxel_to_world.0;
        let step = map.apply_linear([1.0, 0.0, 0.0]).map(|x| x as f32);
        let voxel = map.column_lengths().iter().fold(0.0, |most: f64, &x| most.max(x)) as f32;
        let soft = soft(map);
        let mut noise: Vec<Stream> = (0..self.channels)
            .map(|channel| {
                let name = Name::new("phantom/noise").join(&channel.to_string());
                Stream::new(self.seed, 0, self.number, name)
            })
            .collect();
        let mut row = Row::new(nx, self.channels);
        for z in 0..nz {
            for y in 0..ny {
                let start = map.apply([0.0, y as f64, z as f64]).map(|x| x as f32);
                self.draw_row(&mut row, start, step, soft, voxel);
                let at = (z * ny + y) * nx;
                label[at..at + nx].copy_from_slice(&row.labels);
                for (channel, stream) in noise.iter_mut().enumerate() {
                    let out = &mut image[channel * voxels + at..][..nx];
                    out.copy_from_slice(&row.values[channel * nx..][..nx]);
                    self.add_noise(out, channel, stream, &mut row.noise);
                }
            }
        }
    }

    fn draw_row(&self, row: &mut Row, start: [f32; 3], step: [f32; 3], soft: f32, voxel: f32) {
        let nx = row.labels.len();
        let point = |x: usize| [0, 1, 2].map(|axis| start[axis] + step[axis] * x as f32);
        let spans: Vec<(usize, usize)> =
            self.solids.iter().map(|solid| span(solid, start, step, nx, BENT_MOST + voxel)).collect();
        let reach = |spans: &mut dyn Iterator<Item = &(usize, usize)>| {
            let within = spans.filter(|(low, high)| low < high);
            within.fold((nx, 0), |(low, high), &(l, h)| (low.min(l), high.max(h)))
        };
        let (low, high) = reach(&mut spans.iter());
        row.labels.fill(0);
        for channel in 0..self.channels {
            let air = if self.body.is_hounsfield(channel) { -1000.0 } else { 0.0 };
            row.values[channel * nx..][..nx].fill(air);
        }
        self.bend(row, low, high, point, voxel);
        let folded = self.solids.iter().zip(&spans).filter(|(solid, _)| solid.fold != Fold::Smooth);
        let (first, last) = reach(&mut folded.map(|(_, span)| span));
        for x in first..last {
            let [fine, ..] = self.fine.at(point(x));
            let (_, cos) = math::sin_cos_turns(fine.clamp(-8.0, 8.0) * TURNS);
            row.depth[x] = 0.5 - 0.5 * cos;
        }
        for (solid, &(low, high)) in self.solids.iter().zip(&spans) {
            if low < high {
                paint(solid, row, low, high, soft);
            }
        }
        for (channel, bias) in self.bias.iter().enumerate() {
            if self.body.is_hounsfield(channel) {
                continue;
            }
            for x in low..high {
                let [a, b, c] = point(x).map(|x| x * 0.01);
                let [p, q, r, s, t, u] = *bias;
                let field = p * a + q * b + r * c + s * a * b + t * a * c + u * b * c;
                let value = &mut row.values[channel * nx + x];
                *value *= (1.0 + field + 0.5 * field * field) * (1.0 + 0.025 * row.texture[x]);
            }
        }
    }

    /// Works out the bent points of a row: at every few voxels, with straight lines between.
    fn bend(&self, row: &mut Row, low: usize, high: usize, point: impl Fn(usize) -> [f32; 3], voxel: f32) {
        let stride = ((BEND_CELL / 4.0 / voxel) as usize).clamp(1, 16);
        let limited = |x: usize| {
            let [a, b, c, texture] = self.bend.at(point(x));
            let limit = |x: f32| (BENT * x).clamp(-BENT_MOST, BENT_MOST);
            [limit(a), limit(b), limit(c), texture]
        };
        let mut from = limited(low);
        for start in (low..high).step_by(stride) {
            let to = limited(start + stride);
            let one = 1.0 / stride as f32;
            for x in start..high.min(start + stride) {
                let part = (x - start) as f32 * one;
                let at = [0, 1, 2, 3].map(|lane| from[lane] + part * (to[lane] - from[lane]));
                let world = point(x);
                for axis in 0..3 {
                    row.points[axis][x] = world[axis] + at[axis];
                }
                row.texture[x] = at[3];
            }
            from = to;
        }
    }

    /// Adds noise: of a magnitude (Rician) in magnetic resonance, Gaussian in computed tomography.
    fn add_noise(&self, row: &mut [f32], channel: usize, stream: &mut Stream, noise: &mut [Vec<f32>; 2]) {
        if self.noise == 0.0 {
            return;
        }
        let [real, imaginary] = noise;
        stream.fill_normal(real);
        if self.body.is_hounsfield(channel) {
            for (value, real) in row.iter_mut().zip(real) {
                *value += self.noise * NOISE_HOUNSFIELD * *real;
            }
        } else {
            stream.fill_normal(imaginary);
            let sigma = self.noise * NOISE_MAGNETIC;
            for ((value, real), imaginary) in row.iter_mut().zip(real).zip(imaginary) {
                let (a, b) = (*value + sigma * *real, sigma * *imaginary);
                *value = (a * a + b * b).sqrt();
            }
        }
    }
}

/// Mixes a solid into what is there: wholly inside, in parts across a voxel's width at the surface.
fn paint(solid: &Solid, row: &mut Row, low: usize, high: usize, soft: f32) {
    let nx = row.labels.len();
    let [[a, b, c], [d, e, f], [g, h, i]] = solid.unit;
    let [cx, cy, cz] = solid.center;
    let [px, py, pz] = row.points.each_ref().map(|points| &points[low..high]);
    let (inside, depth) = (&mut row.inside[low..high], &row.depth[low..high]);
    let center = 0.8 * solid.smallest;
    for ((inside, &px), (&py, &pz)) in inside.iter_mut().zip(px).zip(py.iter().zip(pz)) {
        let (x, y, z) = (px - cx, py - cy, pz - cz);
        let (u, v, w) = (a * x + b * y + c * z, d * x + e * y + f * z, g * x + h * y + i * z);
        let far = (u * u + v * v + w * w).sqrt();
        let (gu, gv, gw) = (a * u + d * v + g * w, b * u + e * v + h * w, c * u + f * v + i * w);
        let slope = (gu * gu + gv * gv + gw * gw).sqrt();
        // The distance to the surface along the gradient; well inside it does not matter.
        let distance = (1.0 - far) * far / slope;
        *inside = if far < 0.2 { center } else { distance };
    }
    match solid.fold {
        Fold::Smooth => {}
        Fold::Furrows(height) => {
            for (inside, depth) in inside.iter_mut().zip(depth) {
                let square = depth * depth;
                *inside -= height * (square * square);
            }
        }
        Fold::Waves(height) => {
            for (inside, depth) in inside.iter_mut().zip(depth) {
                *inside -= height * depth;
            }
        }
    }
    if let Some([width, above]) = solid.slit {
        // An arch: what joins the halves lies lower in front and behind.
        for ((inside, px), (py, pz)) in inside.iter_mut().zip(px).zip(py.iter().zip(pz)) {
            let above = above - ARCH * py * py;
            *inside = inside.min((px.abs() - width).max(above - pz));
        }
    }
    for part in &mut *inside {
        *part = (0.5 + *part * soft).clamp(0.0, 1.0);
    }
    for (channel, own) in solid.values.iter().enumerate() {
        let values = &mut row.values[channel * nx..][low..high];
        for (value, part) in values.iter_mut().zip(&*inside) {
            *value += part * (own - *value);
        }
    }
    for (label, part) in row.labels[low..high].iter_mut().zip(&*inside) {
        *label = if 0.5 < *part { solid.class } else { *label };
    }
}

/// Returns one over the width of a surface in millimetres: the mean width of a voxel.
fn soft(map: &Affine) -> f32 {
    let [x, y, z] = map.column_lengths();
    (3.0 / (x + y + z)) as f32
}

/// Returns which voxels of a row a solid can reach, `margin` millimetres around it included.
fn span(solid: &Solid, start: [f32; 3], step: [f32; 3], nx: usize, margin: f32) -> (usize, usize) {
    let from = [0, 1, 2].map(|axis| start[axis] - solid.center[axis]);
    let apply = |v: [f32; 3]| solid.unit.map(|row| row[0] * v[0] + row[1] * v[1] + row[2] * v[2]);
    let (p, d) = (apply(from), apply(step));
    let dot = |a: [f32; 3], b: [f32; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    // |p + x d| = radius, where moving by a margin changes |p| by at most margin / smallest.
    let radius = 1.0 + margin / solid.smallest;
    let (a, b, c) = (dot(d, d), dot(p, d), dot(p, p) - radius * radius);
    let under = b * b - a * c;
    if under <= 0.0 {
        return (0, 0);
    }
    let (middle, half) = (-b / a, under.sqrt() / a);
    let low = (middle - half).floor().clamp(0.0, nx as f32) as usize;
    let high = ((middle + half).ceil() + 1.0).clamp(0.0, nx as f32) as usize;
    (low, high)
}
