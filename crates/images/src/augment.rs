//! Small random changes of images, so that a model sees more than there is.
//!
//! All spatial changes of a sample compose into one map from output pixels to stored pixels, which is evaluated once.

use batchwright_core::{Context, Stream, math};
use serde::{Deserialize, Serialize};

use crate::elastic::{Displacements, Field};
use crate::error::Error;

/// Random changes of images. Each is drawn from a stream of its own, so adding one leaves the draws of the others as
/// they were. By default none is made.
///
/// Conventions: x goes right and y down; pixel centres lie at whole numbers, and everything turns around the middle of
/// the image, ((width - 1) / 2, (height - 1) / 2). The picture is mirrored, then scaled, sheared, rotated, shifted, and
/// deformed.
/// Each output pixel is interpolated linearly between the four stored pixels around the place it comes from, and pixels
/// outside of the image have the value `fill`.
///
/// A range is `[low, high]`, drawn from uniformly; each change happens with its `probability`, 1 unless given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// Mirrors the picture. Stream `augment/flip`.
    pub flip: Option<Flip>,
    /// Enlarges or shrinks the picture. Stream `augment/scale`.
    pub scale: Option<Zoom>,
    /// Shears the picture. Stream `augment/shear`.
    pub shear: Option<Shear>,
    /// Turns the picture. Stream `augment/rotate`.
    pub rotate: Option<Rotate>,
    /// Moves the picture. Stream `augment/shift`.
    pub shift: Option<Shift>,
    /// Deforms the picture. Stream `augment/elastic` for how much, `augment/elastic_values` for the control points.
    pub elastic: Option<Elastic>,
    /// Adds noise. Stream `augment/noise` for its strength, `augment/noise_values` for the noise.
    pub noise: Option<Noise>,
    /// The value around the image, after scaling and before normalising; by default 0.
    pub fill: f32,
}

fn always() -> f64 {
    1.0
}

fn four() -> usize {
    4
}

/// Mirrors the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Flip {
    /// The probability that left and right change places.
    pub x: f64,
    /// The probability that top and bottom change places.
    pub y: f64,
}

/// Enlarges or shrinks the picture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zoom {
    /// By how much; above 1 enlarges.
    pub factor: [f64; 2],
    /// How often.
    #[serde(default = "always")]
    pub probability: f64,
}

/// Shears the picture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shear {
    /// By what angle upright lines lean; above 0 moves lower rows to the right.
    pub degrees: [f64; 2],
    /// How often.
    #[serde(default = "always")]
    pub probability: f64,
}

/// Turns the picture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotate {
    /// By what angle; above 0 turns counter-clockwise, as seen.
    pub degrees: [f64; 2],
    /// How often.
    #[serde(default = "always")]
    pub probability: f64,
}

/// Moves the picture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shift {
    /// By how many pixels to the right.
    pub x: [f64; 2],
    /// By how many pixels down.
    pub y: [f64; 2],
    /// How often.
    #[serde(default = "always")]
    pub probability: f64,
}

/// Deforms the picture smoothly. A grid of cells covers it; its control points, those within and one more row around, are
/// displaced by independent normal draws, and between them a cubic B-spline leads. Where the displacement is well below half of a
/// cell nothing folds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Elastic {
    /// How far pixels move along each axis: the root of the mean square, in pixels.
    pub displacement: [f64; 2],
    /// How many cells lie along each side; more make smaller waves. By default 4.
    #[serde(default = "four")]
    pub cells: usize,
    /// How often.
    #[serde(default = "always")]
    pub probability: f64,
}

/// Adds independent normal noise to each pixel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// Its standard deviation, after scaling and before normalising.
    pub sigma: [f64; 2],
    /// What noisy values are clipped to; by default nothing.
    #[serde(default)]
    pub clip: Option<[f32; 2]>,
    /// How often.
    #[serde(default = "always")]
    pub probability: f64,
}

/// What was drawn for one sample: `None` where a change does not happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Drawn {
    /// Whether left and right change places.
    pub flip_x: bool,
    /// Whether top and bottom change places.
    pub flip_y: bool,
    /// The factor of scaling.
    pub scale: Option<f64>,
    /// The angle of shearing in degrees.
    pub shear: Option<f64>,
    /// The angle of rotation in degrees.
    pub rotate: Option<f64>,
    /// The shift in pixels, right and down.
    pub shift: Option<[f64; 2]>,
    /// How far pixels are displaced.
    pub elastic: Option<f64>,
    /// The standard deviation of the noise.
    pub noise: Option<f64>,
}

impl Augment {
    /// Checks every range and probability.
    ///
    /// # Errors
    /// Names the first that cannot be.
    pub fn check(&self) -> Result<(), Error> {
        let Self { flip, scale, shear, rotate, shift, elastic, noise, fill } = self;
        if let Some(Flip { x, y }) = flip {
            check_probability("augment.flip.x", *x)?;
            check_probability("augment.flip.y", *y)?;
        }
        if let Some(Zoom { factor, probability }) = scale {
            check_range("augment.scale.factor", *factor, 0.01, 100.0)?;
            check_probability("augment.scale.probability", *probability)?;
        }
        if let Some(Shear { degrees, probability }) = shear {
            check_range("augment.shear.degrees", *degrees, -80.0, 80.0)?;
            check_probability("augment.shear.probability", *probability)?;
        }
        if let Some(Rotate { degrees, probability }) = rotate {
            check_range("augment.rotate.degrees", *degrees, -360.0, 360.0)?;
            check_probability("augment.rotate.probability", *probability)?;
        }
        if let Some(Shift { x, y, probability }) = shift {
            check_range("augment.shift.x", *x, -65536.0, 65536.0)?;
            check_range("augment.shift.y", *y, -65536.0, 65536.0)?;
            check_probability("augment.shift.probability", *probability)?;
        }
        if let Some(Elastic { displacement, cells, probability }) = elastic {
            check_range("augment.elastic.displacement", *displacement, 0.0, 1024.0)?;
            if !(1..=64).contains(cells) {
                return Err(Error::choice("augment.elastic.cells", "1 to 64", cells));
            }
            check_probability("augment.elastic.probability", *probability)?;
        }
        if let Some(Noise { sigma, clip, probability }) = noise {
            check_range("augment.noise.sigma", *sigma, 0.0, 1e6)?;
            if let Some([low, high]) = clip {
                check_range("augment.noise.clip", [f64::from(*low), f64::from(*high)], -1e30, 1e30)?;
            }
            check_probability("augment.noise.probability", *probability)?;
        }
        if !fill.is_finite() {
            return Err(Error::choice("augment.fill", "a finite number", fill));
        }
        Ok(())
    }

    /// Draws what happens to the sample of this context.
    pub fn draw(&self, context: &Context<'_>) -> Drawn {
        let uniform = |stream: &mut Stream, [low, high]: [f64; 2]| stream.uniform_in(low, high);
        let mut drawn = Drawn::default();
        if let Some(Flip { x, y }) = self.flip {
            let mut stream = context.stream("augment/flip");
            (drawn.flip_x, drawn.flip_y) = (stream.chance(x), stream.chance(y));
        }
        if let Some(Zoom { factor, probability }) = self.scale {
            let mut stream = context.stream("augment/scale");
            drawn.scale = stream.chance(probability).then(|| uniform(&mut stream, factor));
        }
        if let Some(Shear { degrees, probability }) = self.shear {
            let mut stream = context.stream("augment/shear");
            drawn.shear = stream.chance(probability).then(|| uniform(&mut stream, degrees));
        }
        if let Some(Rotate { degrees, probability }) = self.rotate {
            let mut stream = context.stream("augment/rotate");
            drawn.rotate = stream.chance(probability).then(|| uniform(&mut stream, degrees));
        }
        if let Some(Shift { x, y, probability }) = self.shift {
            let mut stream = context.stream("augment/shift");
            drawn.shift =
                stream.chance(probability).then(|| [uniform(&mut stream, x), uniform(&mut stream, y)]);
        }
        if let Some(Elastic { displacement, cells: _, probability }) = self.elastic {
            let mut stream = context.stream("augment/elastic");
            drawn.elastic = stream.chance(probability).then(|| uniform(&mut stream, displacement));
        }
        if let Some(Noise { sigma, clip: _, probability }) = self.noise {
            let mut stream = context.stream("augment/noise");
            drawn.noise = stream.chance(probability).then(|| uniform(&mut stream, sigma));
        }
        drawn
    }

    /// Returns how the pixels of an image move, if they are deformed.
    pub(crate) fn displacements(
        &self,
        drawn: &Drawn,
        context: &Context<'_>,
        height: usize,
        width: usize,
    ) -> Option<Displacements> {
        let (Elastic { cells, .. }, displacement) = (self.elastic?, drawn.elastic?);
        Some(Field::draw(context, cells, displacement).at_pixels(height, width))
    }

    /// Returns what a fingerprint says of these choices; what came later is left out where it is not chosen, so that older
    /// runs are known again.
    pub(crate) fn text(&self) -> String {
        format!("{self:?}").replace("elastic: None, ", "")
    }

    /// Adds the noise that was drawn, if any.
    pub(crate) fn add_noise(&self, drawn: &Drawn, context: &Context<'_>, image: &mut [f32]) {
        let (Some(Noise { clip, .. }), Some(sigma)) = (self.noise, drawn.noise) else { return };
        let sigma = sigma as f32;
        let mut stream = context.stream("augment/noise_values");
        let mut values = [0.0; 128];
        for chunk in image.chunks_mut(values.len()) {
            let values = &mut values[..chunk.len()];
            stream.fill_normal(values);
            for (pixel, value) in chunk.iter_mut().zip(values) {
                *pixel += sigma * *value;
            }
        }
        if let Some([low, high]) = clip {
            for pixel in image {
                *pixel = pixel.clamp(low, high);
            }
        }
    }
}

fn check_probability(key: &'static str, probability: f64) -> Result<(), Error> {
    if (0.0..=1.0).contains(&probability) {
        return Ok(());
    }
    Err(Error::choice(key, "a probability from 0 to 1", probability))
}

fn check_range(key: &'static str, [low, high]: [f64; 2], least: f64, most: f64) -> Result<(), Error> {
    if least <= low && low <= high && high <= most {
        return Ok(());
    }
    let expected = format!("[low, high] with {least} <= low <= high <= {most}");
    Err(Error::choice(key, expected, format!("[{low}, {high}]")))
}

/// From output pixels to stored pixels: `x = m[0][0] x' + m[0][1] y' + m[0][2]`, and `y` by the second row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Map([[f64; 3]; 2]);

impl Drawn {
    /// Returns the map of all spatial changes but the deformation, or `None` if there are none.
    pub(crate) fn map(&self, height: usize, width: usize) -> Option<Map> {
        let Self { flip_x, flip_y, scale, shear, rotate, shift, elastic: _, noise: _ } = *self;
        if !flip_x && !flip_y && scale.is_none() && shear.is_none() && rotate.is_none() && shift.is_none() {
            return None;
        }
        let sin_cos = |degrees: f64| {
            let (sin, cos) = math::sin_cos_turns((degrees / 360.0) as f32);
            (f64::from(sin), f64::from(cos))
        };
        let (sin, cos) = rotate.map_or((0.0, 1.0), sin_cos);
        let lean = shear.map_or(0.0, |degrees| {
            let (sin, cos) = sin_cos(degrees);
            sin / cos
        });
        let factor = scale.unwrap_or(1.0);
        let side = |flip: bool| if flip { -1.0 } else { 1.0 };
        // The inverse of each change, from the last one back: turn back, stand upright, shrink, mirror.
        let m = [
            [side(flip_x) * (cos - lean * sin) / factor, side(flip_x) * (-sin - lean * cos) / factor],
            [side(flip_y) * sin / factor, side(flip_y) * cos / factor],
        ];
        let middle = [(width as f64 - 1.0) / 2.0, (height as f64 - 1.0) / 2.0];
        let [right, down] = shift.unwrap_or([0.0; 2]);
        let back = [middle[0] + right, middle[1] + down];
        let row = |k: usize| [m[k][0], m[k][1], middle[k] - (m[k][0] * back[0] + m[k][1] * back[1])];
        Some(Map([row(0), row(1)]))
    }
}

impl Map {
    /// Every pixel stays where it is.
    pub(crate) const STILL: Self = Self([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);

    /// Evaluates one channel, [H, W], at every output pixel, displaced if it is.
    pub(crate) fn warp<T: Copy + Into<f32>>(
        &self,
        from: &[T],
        width: usize,
        displaced: Option<&Displacements>,
        fill: f32,
        to: &mut [f32],
    ) {
        let height = from.len() / width.max(1);
        let [[xx, xy, x0], [yx, yy, y0]] = self.0;
        // One beyond the border still has a neighbour inside.
        let (right, bottom) = (width as f64, height as f64);
        for (row, line) in to.chunks_exact_mut(width.max(1)).enumerate() {
            let (x_start, y_start) = (xy * row as f64 + x0, yy * row as f64 + y0);
            for (column, pixel) in line.iter_mut().enumerate() {
                let (x, y) = match displaced {
                    None => (xx * column as f64 + x_start, yx * column as f64 + y_start),
                    Some(Displacements { right, down }) => {
                        let at = row * width + column;
                        let (column, row) = (column as f64 + right[at], row as f64 + down[at]);
                        (xx * column + (xy * row + x0), yx * column + (yy * row + y0))
                    }
                };
                if !(-1.0 < x && x < right && -1.0 < y && y < bottom) {
                    *pixel = fill;
                    continue;
                }
                // Truncation is the floor of what is not negative.
                let (left, top) = ((x + 1.0) as usize, (y + 1.0) as usize);
                let at = |row: usize, column: usize| {
                    if (1..=height).contains(&row) && (1..=width).contains(&column) {
                        from[(row - 1) * width + column - 1].into()
                    } else {
                        fill
                    }
                };
                let (fx, fy) = ((x + 1.0 - left as f64) as f32, (y + 1.0 - top as f64) as f32);
                let (a, b) = (at(top, left), at(top, left + 1));
                let (c, d) = (at(top + 1, left), at(top + 1, left + 1));
                let (upper, lower) = (a + fx * (b - a), c + fx * (d - c));
                *pixel = upper + fy * (lower - upper);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Augment {
        Augment {
            flip: Some(Flip { x: 0.5, y: 0.5 }),
            scale: Some(Zoom { factor: [0.8, 1.2], probability: 1.0 }),
            shear: Some(Shear { degrees: [-10.0, 10.0], probability: 1.0 }),
            rotate: Some(Rotate { degrees: [-15.0, 15.0], probability: 0.5 }),
            shift: Some(Shift { x: [-2.0, 2.0], y: [-3.0, 3.0], probability: 1.0 }),
            elastic: Some(Elastic { displacement: [0.5, 1.5], cells: 4, probability: 0.8 }),
            noise: Some(Noise { sigma: [0.0, 0.1], clip: Some([0.0, 1.0]), probability: 1.0 }),
            fill: 0.0,
        }
    }

    #[test]
    fn warped_images_are_those_of_scipy() {
        #[derive(Deserialize)]
        struct Case {
            drawn: Drawn,
            fill: f32,
            height: usize,
            width: usize,
            image: Vec<f32>,
            expected: Vec<f32>,
        }
        let cases: Vec<Case> = serde_json::from_str(include_str!("../tests/fixtures/affine.json")).unwrap();
        assert_eq!(cases.len(), 9);
        for Case { drawn, fill, height, width, image, expected } in cases {
            let map = drawn.map(height, width).unwrap();
            let mut out = vec![f32::NAN; image.len()];
            map.warp(&image, width, None, fill, &mut out);
            for (at, (out, expected)) in out.iter().zip(&expected).enumerate() {
                assert!((out - expected).abs() < 2e-3, "{drawn:?} at {at}: {out}, SciPy has {expected}");
            }
        }
    }

    #[test]
    fn whole_pixels_move_exactly() {
        let image: Vec<u8> = (0..12).collect();
        let warp = |drawn: Drawn, fill| {
            let mut out = vec![f32::NAN; 12];
            drawn.map(3, 4).unwrap().warp(&image, 4, None, fill, &mut out);
            out
        };
        let shifted = warp(Drawn { shift: Some([1.0, -1.0]), ..Drawn::default() }, 99.0);
        assert_eq!(shifted, [99.0, 4.0, 5.0, 6.0, 99.0, 8.0, 9.0, 10.0, 99.0, 99.0, 99.0, 99.0]);
        let flipped = warp(Drawn { flip_x: true, ..Drawn::default() }, 0.0);
        assert_eq!(flipped, [3.0, 2.0, 1.0, 0.0, 7.0, 6.0, 5.0, 4.0, 11.0, 10.0, 9.0, 8.0]);
        let still = warp(Drawn { scale: Some(1.0), ..Drawn::default() }, 0.0);
        assert_eq!(still, (0..12_u8).map(f32::from).collect::<Vec<_>>());
    }

    #[test]
    fn adding_a_change_leaves_the_draws_of_the_others() {
        let context = Context::new(42, 3, 17);
        let drawn = all().draw(&context);
        let fewer = Augment { scale: None, elastic: None, noise: None, ..all() }.draw(&context);
        assert_eq!(fewer, Drawn { scale: None, elastic: None, noise: None, ..drawn });
        assert_eq!(all().draw(&context), drawn);
        assert_ne!(all().draw(&Context::new(42, 3, 18)), drawn);
        assert_eq!(Augment::default().draw(&context), Drawn::default());
    }

    #[test]
    fn deformed_images_are_those_of_scipy() {
        #[derive(Deserialize)]
        struct Case {
            drawn: Drawn,
            cells: usize,
            points: Vec<f32>,
            fill: f32,
            height: usize,
            width: usize,
            image: Vec<f32>,
            expected: Vec<f32>,
        }
        let cases: Vec<Case> = serde_json::from_str(include_str!("../tests/fixtures/elastic.json")).unwrap();
        assert_eq!(cases.len(), 4);
        for Case { drawn, cells, points, fill, height, width, image, expected } in cases {
            let field = Field::new(cells, points, drawn.elastic.unwrap());
            let map = drawn.map(height, width).unwrap_or(Map::STILL);
            let mut out = vec![f32::NAN; image.len()];
            map.warp(&image, width, Some(&field.at_pixels(height, width)), fill, &mut out);
            for (at, (out, expected)) in out.iter().zip(&expected).enumerate() {
                assert!((out - expected).abs() < 2e-3, "{drawn:?} at {at}: {out}, SciPy has {expected}");
            }
        }
    }

    #[test]
    fn a_deformation_has_draws_of_its_own_and_one_of_no_size_changes_nothing() {
        let context = Context::new(42, 3, 17);
        let with = |displacement| Augment {
            elastic: Some(Elastic { displacement, cells: 3, probability: 1.0 }),
            ..Augment::default()
        };
        let moves = |augment: Augment, context: &Context<'_>| {
            let drawn = augment.draw(context);
            augment.displacements(&drawn, context, 9, 7).unwrap()
        };
        let still = moves(with([0.0, 0.0]), &context);
        assert!(still.right.iter().chain(&still.down).all(|&x| x == 0.0));
        let image: Vec<u8> = (0..63).collect();
        let mut out = vec![f32::NAN; 63];
        Map::STILL.warp(&image, 7, Some(&still), 0.0, &mut out);
        assert_eq!(out, image.iter().map(|&x| f32::from(x)).collect::<Vec<_>>());
        let moved = moves(with([1.0, 1.0]), &context);
        assert_ne!(moved.right, moved.down);
        assert_eq!(moved, moves(with([1.0, 1.0]), &context));
        assert_ne!(moved, moves(with([1.0, 1.0]), &context.part("a")));
        // The control points are the same at any strength.
        let double = moves(with([2.0, 2.0]), &context);
        assert!(moved.right.iter().zip(&double.right).all(|(one, two)| (2.0 * one - two).abs() < 1e-12));
        assert!(
            !Augment::default().text().contains("elastic") && with([1.0, 1.0]).text().contains("elastic")
        );
    }

    #[test]
    fn draws_stay_in_their_ranges_and_happen_as_often_as_said() {
        let draws: Vec<Drawn> = (0..2000).map(|position| all().draw(&Context::new(1, 0, position))).collect();
        assert!(draws.iter().all(|drawn| (0.8..1.2).contains(&drawn.scale.unwrap())));
        assert!(draws.iter().all(|drawn| drawn.shift.unwrap()[1].abs() <= 3.0));
        let turned = draws.iter().filter(|drawn| drawn.rotate.is_some()).count();
        // Five standard deviations of a binomial: 5 sqrt(2000 / 4) = 112.
        assert!((888..1112).contains(&turned), "{turned}");
    }

    #[test]
    fn noise_has_its_strength_and_is_clipped() {
        let context = Context::new(0, 0, 0);
        let augment = Augment {
            noise: Some(Noise { sigma: [0.2, 0.2], clip: None, probability: 1.0 }),
            ..Augment::default()
        };
        let mut image = vec![0.5; 10_000];
        augment.add_noise(&augment.draw(&context), &context, &mut image);
        let mean = image.iter().map(|&x| f64::from(x)).sum::<f64>() / 1e4;
        let variance = image.iter().map(|&x| (f64::from(x) - 0.5).powi(2)).sum::<f64>() / 1e4;
        assert!((mean - 0.5).abs() < 0.01 && (variance.sqrt() - 0.2).abs() < 0.01, "{mean} {variance}");
        let clipped = Augment {
            noise: Some(Noise { sigma: [9.0, 9.0], clip: Some([0.0, 1.0]), probability: 1.0 }),
            ..Augment::default()
        };
        clipped.add_noise(&clipped.draw(&context), &context, &mut image);
        assert!(image.iter().all(|x| (0.0..=1.0).contains(x)));
    }

    #[test]
    fn ranges_that_cannot_be_are_named() {
        let turned = |low, high| Augment {
            rotate: Some(Rotate { degrees: [low, high], probability: 1.0 }),
            ..Augment::default()
        };
        assert_eq!(
            turned(5.0, -5.0).check().unwrap_err().to_string(),
            "`augment.rotate.degrees`: expected [low, high] with -360 <= low <= high <= 360, found [5, -5]"
        );
        assert!(turned(f64::NAN, 1.0).check().is_err());
        assert!(Augment { flip: Some(Flip { x: 1.5, y: 0.0 }), ..Augment::default() }.check().is_err());
        let elastic = |displacement, cells| {
            let elastic = Some(Elastic { displacement, cells, probability: 1.0 });
            Augment { elastic, ..Augment::default() }.check()
        };
        assert!(elastic([0.0, 1.0], 64).is_ok());
        assert!(elastic([-1.0, 1.0], 4).is_err() && elastic([0.0, 1.0], 0).is_err());
        assert!(Augment { fill: f32::INFINITY, ..Augment::default() }.check().is_err());
        all().check().unwrap();
    }
}
