//! Generated handwriting: characters that no one has seen, drawn by many hands.
//!
//! A character is a few strokes, each a smooth curve through control points, decided by (seed, class). A drawing moves
//! the control points a little, slants, turns, scales and shifts the whole, and chooses a pen, decided by
//! (seed, class, drawing). Ink is the distance to the nearest point of a stroke, softened over one pixel.

use std::sync::LazyLock;

use batchwright_core::{Fingerprint, SampleError, Stream, math};
use rayon::prelude::*;

use crate::error::Error;
use crate::images::Images;
use crate::source::{ImageSource, LABEL_LIMIT, PixelType, PixelView, Scratch};

type Point = [f32; 2];

/// Points of a curve between two control points.
const STEPS: usize = 5;

/// Strokes tried for each that is added to a character.
const CANDIDATES: usize = 6;

/// Alphabets that have names.
const MOST_ALPHABETS: usize = 1000;

/// The names of alphabets, which sources lend out.
static ALPHABETS: LazyLock<Vec<String>> =
    LazyLock::new(|| (0..MOST_ALPHABETS).map(|number| format!("alphabet {number:03}")).collect());

/// Nearer than this, strokes run together.
const NEAR: f32 = 0.27;

/// Generated characters that look handwritten, as many classes and drawings of each as one likes: the data set that is
/// always there.
///
/// Drawing `d` of class `c` is sample `d * classes + c`, a function of (seed, c, d) alone: the same at any number of
/// classes and drawings, on any system. (From another first character or drawing on, c and d are counted from there.) Character
/// `c` belongs to alphabet `c % alphabets`, which is its group and its fact `super_class`.
///
/// ```
/// use batchwright_images::{Glyphs, ImageSource};
/// let glyphs = Glyphs { classes: 5, drawings: 20, ..Glyphs::default() };
/// let images = glyphs.images()?;
/// assert_eq!((images.len(), images.shape(), images.label(7)), (100, [1, 28, 28], Some(2)));
/// # Ok::<(), batchwright_images::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glyphs {
    /// What the characters and the hands are drawn from; by default 42.
    pub seed: u64,
    /// How many characters; by default 10.
    pub classes: usize,
    /// How many drawings of each; by default 1000.
    pub drawings: usize,
    /// The first drawing, so that a test set has others than its training set; by default 0.
    pub first_drawing: usize,
    /// The first character, so that a test set has others than its training set; classes are numbered from it. By default 0.
    pub first_class: usize,
    /// Among how many alphabets the characters are dealt out in turn, so that there are groups; by default 0, no alphabets.
    pub alphabets: usize,
    /// Height and width of an image in pixels; by default 28.
    pub size: usize,
}

impl Default for Glyphs {
    fn default() -> Self {
        Self {
            seed: 42,
            classes: 10,
            drawings: 1000,
            first_drawing: 0,
            first_class: 0,
            alphabets: 0,
            size: 28,
        }
    }
}

impl Glyphs {
    /// Draws all of them into memory, on all cores.
    ///
    /// # Errors
    /// Refuses no classes or more than 2^24, no drawings, a size below 8 or above 1024, and more than 2^36 pixels.
    pub fn images(&self) -> Result<Images, Error> {
        self.check()?;
        let size = self.size * self.size;
        let mut pixels = vec![0; self.len() * size];
        let characters: Vec<Character> =
            (0..self.classes).map(|class| Character::new(self.seed, self.character(class))).collect();
        pixels.par_chunks_exact_mut(size).enumerate().for_each(|(index, image)| {
            characters[index % self.classes].draw(self.seed, self.drawing(index), self.size, image);
        });
        let labels = (0..self.len()).map(|index| (index % self.classes) as i64).collect();
        let ids = (0..self.len()).map(|index| self.id(index)).collect();
        let images = Images::from_u8(self.shape(), pixels)?.with_labels(labels)?.with_ids(ids)?;
        if self.alphabets == 0 {
            return Ok(images);
        }
        let groups: Vec<String> =
            (0..self.len()).map(|index| ALPHABETS[self.alphabet(index)].clone()).collect();
        images.with_fact("super_class", groups.clone())?.with_groups(groups)
    }

    /// Checks that there is something to draw.
    ///
    /// # Errors
    /// As [`Glyphs::images`].
    pub fn check(&self) -> Result<(), Error> {
        if self.classes == 0 {
            return Err(Error::choice("classes", "at least 1", 0));
        }
        if (LABEL_LIMIT as usize) < self.classes {
            return Err(Error::choice("classes", "at most 2^24", self.classes));
        }
        if self.drawings == 0 {
            return Err(Error::choice("drawings", "at least 1", 0));
        }
        if !(8..=1024).contains(&self.size) {
            return Err(Error::choice("size", "8 to 1024 pixels", self.size));
        }
        if MOST_ALPHABETS < self.alphabets {
            let expected = format!("at most {MOST_ALPHABETS}");
            return Err(Error::choice("alphabets", expected, self.alphabets));
        }
        if self.first_class.checked_add(self.classes).is_none() {
            return Err(Error::choice("first_class", "a character that can be counted", self.first_class));
        }
        let pixels = self
            .classes
            .checked_mul(self.drawings)
            .and_then(|count| count.checked_mul(self.size * self.size))
            .filter(|&pixels| pixels as u64 <= 1 << 36);
        if pixels.is_none() || self.first_drawing.checked_add(self.drawings).is_none() {
            let found = format!("{} classes of {} drawings", self.classes, self.drawings);
            return Err(Error::choice("drawings", "at most 2^36 pixels in all", found));
        }
        Ok(())
    }

    /// Returns the character of a class.
    fn character(&self, class: usize) -> usize {
        self.first_class.saturating_add(class)
    }

    /// Returns the alphabet of a sample, where there are alphabets.
    fn alphabet(&self, index: usize) -> usize {
        self.character(index % self.classes) % self.alphabets
    }

    fn drawing(&self, index: usize) -> usize {
        self.first_drawing.saturating_add(index / self.classes)
    }
}

/// Draws when asked, without keeping anything: for sets larger than memory.
impl ImageSource for Glyphs {
    fn check(&self) -> Result<(), Error> {
        self.check()
    }

    fn len(&self) -> usize {
        self.classes.saturating_mul(self.drawings)
    }

    fn shape(&self) -> [usize; 3] {
        [1, self.size, self.size]
    }

    fn pixel_type(&self) -> PixelType {
        PixelType::U8
    }

    fn full_scale(&self) -> f32 {
        255.0
    }

    fn label(&self, index: usize) -> Option<i64> {
        Some((index % self.classes) as i64)
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn id(&self, index: usize) -> String {
        format!("glyph {}, drawing {}", self.character(index % self.classes), self.drawing(index))
    }

    fn group(&self, index: usize) -> Option<&str> {
        if self.alphabets == 0 {
            return None;
        }
        ALPHABETS.get(self.alphabet(index)).map(String::as_str)
    }

    fn fact(&self, index: usize, name: &str) -> Option<String> {
        if ["group", "super_class"].contains(&name) { self.group(index).map(str::to_owned) } else { None }
    }

    fn facts(&self) -> Vec<String> {
        let names: &[&str] = if self.alphabets == 0 { &[] } else { &["group", "super_class"] };
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn fetch<'a>(&'a self, index: usize, scratch: &'a mut Scratch) -> Result<PixelView<'a>, SampleError> {
        self.check().map_err(SampleError::environment)?;
        scratch.bytes.resize(self.size * self.size, 0);
        let character = Character::new(self.seed, self.character(index % self.classes));
        character.draw(self.seed, self.drawing(index), self.size, &mut scratch.bytes);
        Ok(PixelView::U8(&scratch.bytes))
    }

    fn fingerprint(&self) -> Fingerprint {
        let Self { seed, classes, drawings, first_drawing, first_class, alphabets, size } = self;
        let mut facts = Fingerprint::default()
            .with("glyphs.version", 1)
            .with("glyphs.seed", seed)
            .with("glyphs.classes", classes)
            .with("glyphs.drawings", drawings)
            .with("glyphs.first_drawing", first_drawing)
            .with("glyphs.size", size);
        // What came later is left out where it is not chosen, so that older runs are known again.
        for (name, value) in [("glyphs.first_class", first_class), ("glyphs.alphabets", alphabets)] {
            if *value != 0 {
                facts = facts.with(name, value);
            }
        }
        facts
    }
}

/// A character: strokes in a square from -1 to 1, y downwards.
struct Character {
    class: usize,
    strokes: Vec<Stroke>,
}

#[derive(Clone)]
struct Stroke {
    points: Vec<Point>,
    bend: Bend,
}

/// How a stroke runs through its control points.
#[derive(Clone, Copy, PartialEq)]
enum Bend {
    Smooth,
    Sharp,
}

impl Character {
    fn new(seed: u64, class: usize) -> Self {
        let mut stream = Stream::new(seed, 0, class as u64, "glyphs/class");
        let count = match stream.uniform() {
            u if u < 0.15 => 1,
            u if u < 0.65 => 2,
            _ => 3,
        };
        let mut strokes: Vec<Stroke> = Vec::with_capacity(count);
        for _ in 0..count {
            let stroke = if strokes.is_empty() {
                main_stroke(count, &mut stream)
            } else {
                // The one of a few that leaves the others most legible.
                (0..CANDIDATES)
                    .map(|_| further_stroke(&strokes, &mut stream))
                    .map(|stroke| (clutter(&strokes, &stroke), stroke))
                    .min_by(|(a, _), (b, _)| a.total_cmp(b))
                    .map_or_else(|| strokes[0].clone(), |(_, stroke)| stroke)
            };
            strokes.push(stroke);
        }
        fit(&mut strokes);
        Self { class, strokes }
    }

    /// Draws the character as one hand did, one time.
    fn draw(&self, seed: u64, drawing: usize, size: usize, image: &mut [u8]) {
        let mut stream = Stream::new(seed, drawing as u64, self.class as u64, "glyphs/drawing");
        let mut normal = |sigma: f32| stream.normal().clamp(-2.5, 2.5) * sigma;
        let unit = size as f32 / 28.0;
        let pen = (1.25 + normal(0.18)) * unit;
        let ink = (0.98 + normal(0.04)).min(1.0);
        let (sin, cos) = math::sin_cos_turns(normal(0.014));
        let slant = -0.10 + normal(0.12);
        let (wide, tall) = (1.0 + normal(0.07), 1.0 + normal(0.07));
        let scale = 8.6 * unit * (1.0 + normal(0.05));
        let middle = size as f32 / 2.0 - 0.5;
        let (right, down) = (middle + normal(0.7) * unit, middle + normal(0.7) * unit);
        let place = |[x, y]: Point| {
            let (x, y) = (x * wide + slant * y, y * tall);
            [right + scale * (cos * x - sin * y), down + scale * (sin * x + cos * y)]
        };
        let mut cover = vec![0_f32; size * size];
        for stroke in &self.strokes {
            let jitter = 0.055;
            let (move_x, move_y) = (normal(0.03), normal(0.03));
            let points: Vec<Point> = stroke
                .points
                .iter()
                .map(|&[x, y]| place([x + move_x + normal(jitter), y + move_y + normal(jitter)]))
                .collect();
            let curve = Stroke { points, bend: stroke.bend }.curve();
            let (start, end) = (1.0 + normal(0.06), 0.86 + normal(0.08));
            for (i, pair) in curve.windows(2).enumerate() {
                let along = i as f32 / (curve.len() - 1) as f32;
                stamp(&mut cover, size, pair[0], pair[1], pen * (start + (end - start) * along));
            }
        }
        for (pixel, cover) in image.iter_mut().zip(&cover) {
            *pixel = (cover * ink * 255.0 + 0.5) as u8;
        }
    }
}

impl Stroke {
    /// Returns points along the stroke: a Catmull-Rom spline through the control points, or straight lines.
    fn curve(&self) -> Vec<Point> {
        let points = &self.points;
        let at = |i: isize| points[i.clamp(0, points.len() as isize - 1) as usize];
        let mut curve = vec![points[0]];
        for i in 0..points.len() as isize - 1 {
            if self.bend == Bend::Sharp {
                curve.push(at(i + 1));
                continue;
            }
            let (a, b, c, d) = (at(i - 1), at(i), at(i + 1), at(i + 2));
            for step in 1..=STEPS {
                let t = step as f32 / STEPS as f32;
                curve.push([0, 1].map(|k| {
                    let cubic = 3.0 * (b[k] - c[k]) + d[k] - a[k];
                    let square = 2.0 * a[k] - 5.0 * b[k] + 4.0 * c[k] - d[k];
                    b[k] + 0.5 * t * ((c[k] - a[k]) + t * (square + t * cubic))
                }));
            }
        }
        curve
    }
}

/// Draws the stroke that a character is built around.
fn main_stroke(count: usize, stream: &mut Stream) -> Stroke {
    // A stem or a bar alone would be hardly a character.
    let kind = if count == 1 { 2 + stream.below(5) } else { stream.below(7) };
    let mut near = |value: f32| value + stream.uniform_in(-0.18, 0.18) as f32;
    match kind {
        // A stem, upright or slightly bent.
        0 => smooth(vec![[near(0.0), -1.0], [near(0.0), near(0.0)], [near(0.0), 1.0]]),
        // A bar.
        1 => smooth(vec![[-0.9, near(-0.4)], [near(0.0), near(-0.45)], [0.9, near(-0.4)]]),
        // A bow open to one side.
        2 => {
            let (from, sweep) = (stream.below(4) as f32 * 0.25 + 0.08, stream.uniform_in(0.5, 0.72) as f32);
            smooth(arc([0.0, 0.0], [0.8, 0.95], from, sweep))
        }
        // A ring.
        3 => smooth(arc([0.0, near(0.0)], [near(0.65), near(0.75)], 0.75, 1.02)),
        // A double bow.
        4 => {
            let side = if stream.chance(0.5) { 1.0 } else { -1.0 };
            smooth(vec![
                [side * 0.7, -0.8],
                [side * 0.0, -1.0],
                [side * -0.65, -0.55],
                [0.0, 0.0],
                [side * 0.65, 0.5],
                [side * 0.0, 1.0],
                [side * -0.7, 0.75],
            ])
        }
        // A stem that ends in a hook.
        5 => {
            let side = if stream.chance(0.5) { 1.0 } else { -1.0 };
            smooth(vec![
                [side * -0.3, -1.0],
                [side * -0.3, -0.2],
                [side * -0.25, 0.55],
                [side * 0.15, 0.95],
                [side * 0.65, 0.5],
            ])
        }
        // A corner or a zigzag.
        _ => {
            let shapes: [&[Point]; 4] = [
                &[[-0.8, -0.8], [0.7, -0.8], [-0.3, 1.0]],
                &[[-0.7, -1.0], [-0.7, 0.8], [0.8, 0.8]],
                &[[-0.8, -0.7], [0.7, -0.8], [-0.7, 0.8], [0.8, 0.8]],
                &[[-0.9, 0.9], [-0.1, -1.0], [0.8, 0.9]],
            ];
            let chosen = shapes[stream.below(shapes.len() as u64) as usize];
            Stroke { points: chosen.to_vec(), bend: Bend::Sharp }
        }
    }
}

/// Returns how much a stroke hides of the others, and how far it runs out of the square.
fn clutter(strokes: &[Stroke], stroke: &Stroke) -> f32 {
    let there: Vec<Point> = strokes.iter().flat_map(Stroke::curve).collect();
    let curve = stroke.curve();
    let hidden =
        |&&[x, y]: &&Point| there.iter().any(|&[a, b]| (a - x) * (a - x) + (b - y) * (b - y) < NEAR * NEAR);
    let outside = curve.iter().map(|[x, y]| (x.abs().max(y.abs()) - 1.2).max(0.0)).fold(0.0, f32::max);
    curve.iter().filter(hidden).count() as f32 / curve.len() as f32 + outside
}

/// Draws a stroke that begins at, crosses or stands beside what is there.
fn further_stroke(strokes: &[Stroke], stream: &mut Stream) -> Stroke {
    let host = strokes[stream.below(strokes.len() as u64) as usize].curve();
    let places = [0.0, 0.3, 0.5, 0.7, 1.0];
    let place = places[stream.below(places.len() as u64) as usize];
    let [x, y] = host[(place * (host.len() - 1) as f32) as usize];
    // Into the free half of the square.
    let side = if x < -0.05 || (x < 0.05 && stream.chance(0.5)) { 1.0 } else { -1.0 };
    let turn = stream.below(8) as f32 / 8.0 + stream.uniform_in(-0.02, 0.02) as f32;
    let (sin, cos) = math::sin_cos_turns(turn);
    match stream.below(6) {
        // A straight line that starts here.
        0 => {
            let length = stream.uniform_in(0.9, 1.4) as f32;
            let to =
                [x + side * length * cos.abs().max(0.3), y + length * sin * if 0.0 < y { -1.0 } else { 1.0 }];
            smooth(vec![[x, y], [f32::midpoint(x, to[0]), f32::midpoint(y, to[1])], to])
        }
        // A line across.
        1 => {
            let half = stream.uniform_in(0.5, 0.85) as f32;
            smooth(vec![[x - half * cos, y - half * sin], [x, y], [x + half * cos, y + half * sin]])
        }
        // A bow that starts here and swings round.
        2 | 3 => {
            let (rx, ry) = (stream.uniform_in(0.4, 0.7) as f32, stream.uniform_in(0.35, 0.6) as f32);
            let from = if 0.0 < side { 0.5 } else { 0.0 };
            let direction = if stream.chance(0.5) { 1.0 } else { -1.0 };
            smooth(arc([x + side * rx, y], [rx, ry], from, direction * stream.uniform_in(0.45, 0.95) as f32))
        }
        // A small ring beside it.
        4 => {
            let radius = stream.uniform_in(0.26, 0.4) as f32;
            smooth(arc([x + side * radius, y], [radius, radius], if 0.0 < side { 0.5 } else { 0.0 }, 1.0))
        }
        // A wave.
        _ => {
            let step = side * stream.uniform_in(0.4, 0.5) as f32;
            let height = stream.uniform_in(0.3, 0.5) as f32;
            smooth(vec![
                [x, y],
                [x + step, y - height],
                [x + 2.0 * step, y],
                [x + 3.0 * step, y + height * 0.8],
            ])
        }
    }
}

fn smooth(points: Vec<Point>) -> Stroke {
    Stroke { points, bend: Bend::Smooth }
}

/// Returns control points along an ellipse, from a turn on, clockwise on the screen.
fn arc(centre: Point, radius: Point, from: f32, sweep: f32) -> Vec<Point> {
    let count = (sweep.abs() * 8.0) as usize + 2;
    (0..count)
        .map(|i| {
            let (sin, cos) = math::sin_cos_turns(from + sweep * i as f32 / (count - 1) as f32);
            [centre[0] + radius[0] * cos, centre[1] + radius[1] * sin]
        })
        .collect()
}

/// Moves and scales the strokes so that they fill the square; narrow characters stay narrow.
fn fit(strokes: &mut [Stroke]) {
    let (mut low, mut high) = ([f32::MAX; 2], [f32::MIN; 2]);
    for point in strokes.iter().flat_map(Stroke::curve) {
        for k in 0..2 {
            low[k] = low[k].min(point[k]);
            high[k] = high[k].max(point[k]);
        }
    }
    let half = [0, 1].map(|k| ((high[k] - low[k]) / 2.0).max(1e-3));
    let largest = half[0].max(half[1]);
    // The shorter side is stretched by up to a third.
    let scale = half.map(|half| (1.0 / half).min(1.33 / largest));
    for point in strokes.iter_mut().flat_map(|stroke| &mut stroke.points) {
        for k in 0..2 {
            point[k] = (point[k] - f32::midpoint(low[k], high[k])) * scale[k];
        }
    }
}

/// Inks the pixels within `radius` of the line from `a` to `b`, each as far as it is covered.
fn stamp(cover: &mut [f32], size: usize, a: Point, b: Point, radius: f32) {
    let range = |k: usize| {
        let (low, high) = (a[k].min(b[k]) - radius - 1.0, a[k].max(b[k]) + radius + 1.0);
        (low.max(0.0) as usize, ((high + 1.0).max(0.0) as usize).min(size))
    };
    let ((left, right), (top, bottom)) = (range(0), range(1));
    let along = [b[0] - a[0], b[1] - a[1]];
    let inverse = 1.0 / (along[0] * along[0] + along[1] * along[1]).max(1e-12);
    for y in top..bottom {
        for x in left..right {
            let from = [x as f32 - a[0], y as f32 - a[1]];
            let t = ((from[0] * along[0] + from[1] * along[1]) * inverse).clamp(0.0, 1.0);
            let off = [from[0] - t * along[0], from[1] - t * along[1]];
            let distance = (off[0] * off[0] + off[1] * off[1]).sqrt();
            let inked = (radius + 0.5 - distance).clamp(0.0, 1.0);
            let pixel = &mut cover[y * size + x];
            *pixel = pixel.max(inked);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::Pixels;
    use crate::options::ImageOptions;
    use crate::set::ImageSet;

    fn bytes(glyphs: &Glyphs) -> Vec<u8> {
        match glyphs.images().unwrap().pixels() {
            Pixels::U8(pixels) => pixels.clone(),
            Pixels::F32(_) => unreachable!(),
        }
    }

    #[test]
    fn a_drawing_depends_on_seed_class_and_drawing_alone() {
        let small = Glyphs { classes: 3, drawings: 4, ..Glyphs::default() };
        let large = Glyphs { classes: 5, drawings: 9, ..Glyphs::default() };
        let (few, many) = (bytes(&small), bytes(&large));
        let image = |all: &[u8], index: usize| all[index * 784..][..784].to_vec();
        for class in 0..3 {
            for drawing in 0..4 {
                assert_eq!(image(&few, drawing * 3 + class), image(&many, drawing * 5 + class));
            }
        }
        assert_ne!(image(&few, 0), image(&few, 3));
        assert_ne!(bytes(&Glyphs { seed: 1, ..small.clone() }), few);
        let later = bytes(&Glyphs { first_drawing: 2, drawings: 2, ..small });
        assert_eq!(image(&later, 0), image(&few, 6));
    }

    #[test]
    fn a_test_set_may_have_other_characters_of_the_same_alphabets() {
        let all = Glyphs { classes: 7, drawings: 2, alphabets: 3, ..Glyphs::default() };
        let rest = Glyphs { classes: 3, first_class: 4, ..all.clone() };
        let image = |all: &[u8], index: usize| all[index * 784..][..784].to_vec();
        for (drawing, class) in [(0, 0), (1, 2)] {
            let (one, other) = (drawing * 3 + class, drawing * 7 + class + 4);
            assert_eq!(image(&bytes(&rest), one), image(&bytes(&all), other));
            assert_eq!((rest.id(one), rest.group(one)), (all.id(other), all.group(other)));
            assert_eq!(rest.label(one), Some(class as i64));
        }
        assert_eq!(rest.group(0), Some("alphabet 001"));
        let images = rest.images().unwrap();
        for index in 0..6 {
            for name in rest.facts() {
                assert_eq!(images.fact(index, &name), rest.fact(index, &name));
                assert!(rest.fact(index, &name).is_some());
            }
        }
        assert_eq!(images.facts(), rest.facts());
        let none = Glyphs { alphabets: 0, ..rest.clone() };
        assert_eq!(
            (none.group(0), none.facts(), none.images().unwrap().facts()),
            (None, Vec::new(), Vec::new())
        );
        assert!(Glyphs { alphabets: 1001, ..rest.clone() }.images().is_err());
        assert_ne!(rest.fingerprint(), none.fingerprint());
    }

    #[test]
    fn drawing_on_the_fly_gives_what_memory_holds() {
        let glyphs = Glyphs { classes: 4, drawings: 3, size: 40, seed: 9, ..Glyphs::default() };
        let images = glyphs.images().unwrap();
        for index in 0..glyphs.len() {
            let (mut a, mut b) = (Scratch::default(), Scratch::default());
            assert_eq!(glyphs.fetch(index, &mut a).unwrap(), images.fetch(index, &mut b).unwrap());
            assert_eq!((glyphs.label(index), glyphs.id(index)), (images.label(index), images.id(index)));
        }
    }

    #[test]
    fn every_character_has_ink_and_keeps_off_the_border() {
        let glyphs = Glyphs { classes: 60, drawings: 5, ..Glyphs::default() };
        let all = bytes(&glyphs);
        for (index, image) in all.chunks_exact(784).enumerate() {
            let ink = image.iter().map(|&x| f64::from(x)).sum::<f64>() / 255.0;
            assert!((20.0..350.0).contains(&ink), "{}: {ink}", glyphs.id(index));
            let border = image[..28].iter().chain(&image[756..]).filter(|&&x| 128 < x).count();
            assert!(border < 8, "{} runs out of its image", glyphs.id(index));
        }
    }

    #[test]
    fn drawings_of_a_class_are_nearer_to_each_other_than_to_other_classes() {
        let glyphs = Glyphs { classes: 10, drawings: 20, ..Glyphs::default() };
        let all = bytes(&glyphs);
        let image = |drawing: usize, class: usize| &all[(drawing * 10 + class) * 784..][..784];
        let distance = |a: &[u8], b: &[u8]| -> f64 {
            a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
        };
        let mut right = 0;
        for drawing in 10..20 {
            for class in 0..10 {
                let nearest = (0..100).map(|i| (i / 10, i % 10)).min_by(|&(d, c), &(e, f)| {
                    let a = distance(image(drawing, class), image(d, c));
                    a.total_cmp(&distance(image(drawing, class), image(e, f)))
                });
                right += usize::from(nearest.unwrap().1 == class);
            }
        }
        assert!(75 <= right, "{right} of 100 have their nearest neighbour in their class");
    }

    #[test]
    fn the_bits_are_the_same_everywhere() {
        let facts = Glyphs { classes: 20, drawings: 10, seed: 42, ..Glyphs::default() };
        let digest = facts.images().unwrap().fingerprint();
        assert_eq!(
            digest.facts()["pixels"],
            "1 parts, sha256 30faf5987f4175e3e26c5146ab41f78584860df7ec33a4bce67ece3b7fbf2e92"
        );
    }

    #[test]
    fn nothing_to_draw_is_an_error() {
        let error = Glyphs { classes: 0, ..Glyphs::default() }.images().unwrap_err();
        assert_eq!(error.to_string(), "`classes`: expected at least 1, found 0");
        assert!(Glyphs { classes: usize::MAX, ..Glyphs::default() }.images().is_err());
        assert!(Glyphs { size: 3, ..Glyphs::default() }.images().is_err());
    }

    #[test]
    fn more_than_can_be_counted_is_an_error_before_it_is_counted() {
        let options = ImageOptions { one_hot: true, ..ImageOptions::default() };
        for glyphs in [
            Glyphs { drawings: usize::MAX, ..Glyphs::default() },
            Glyphs { classes: usize::MAX, ..Glyphs::default() },
            Glyphs { classes: (1 << 24) + 1, drawings: 1, size: 8, ..Glyphs::default() },
            Glyphs { size: usize::MAX, ..Glyphs::default() },
            Glyphs { first_drawing: usize::MAX, ..Glyphs::default() },
        ] {
            assert!(0 < glyphs.len());
            assert!(glyphs.id(10).starts_with("glyph "));
            assert!(matches!(ImageSet::new(glyphs, options.clone()), Err(Error::Choice { .. })));
        }
    }
}
