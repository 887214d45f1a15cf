//! Which way the axes of a volume point.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::affine::{Affine, VoxelToWorld};
use crate::error::Error;

/// One of the three axes of the world, and which way along it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Direction {
    // Invariant: world < 3.
    world: u8,
    positive: bool,
}

impl Direction {
    /// Returns the axis of the world: 0 right, 1 anterior, 2 superior.
    pub fn world_axis(self) -> usize {
        usize::from(self.world)
    }

    /// Returns whether it points to right, anterior or superior, and not to left, posterior or inferior.
    pub fn is_positive(self) -> bool {
        self.positive
    }

    const fn letter(self) -> char {
        match (self.world, self.positive) {
            (0, true) => 'R',
            (0, false) => 'L',
            (1, true) => 'A',
            (1, false) => 'P',
            (_, true) => 'S',
            (_, false) => 'I',
        }
    }

    fn of_letter(letter: char) -> Option<Self> {
        let (world, positive) = match letter {
            'R' => (0, true),
            'L' => (0, false),
            'A' => (1, true),
            'P' => (1, false),
            'S' => (2, true),
            'I' => (2, false),
            _ => return None,
        };
        Some(Self { world, positive })
    }
}

/// Which way x, y and z of a volume point, in three letters: `RAS` is right, anterior, superior, `LPS` the opposite of the
/// first two.
///
/// ```
/// use batchwright_nifti::Orientation;
/// let orientation: Orientation = "PSR".parse()?;
/// assert_eq!(orientation.to_string(), "PSR");
/// assert!("RLS".parse::<Orientation>().is_err());
/// # Ok::<(), batchwright_nifti::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Orientation(
    // Invariant: each axis of the world once.
    [Direction; 3],
);

impl Orientation {
    /// Right, anterior, superior.
    pub const RAS: Self = Self([
        Direction { world: 0, positive: true },
        Direction { world: 1, positive: true },
        Direction { world: 2, positive: true },
    ]);

    /// Returns the orientation of the axes of a volume: each axis is called after the axis of the world that it is nearest
    /// to, the clearest axis first. Nearest is decided on the rotation that is nearest to the map, so that shear does not
    /// mislead. Returns nothing for a map without inverse.
    pub fn of(map: &VoxelToWorld) -> Option<Self> {
        let rotation = nearest_rotation(&map.0)?;
        let column = |axis: usize| [0, 1, 2].map(|row| rotation[row][axis]);
        let clearness = |axis: usize| column(axis).into_iter().fold(0.0, |most: f64, x| most.max(x * x));
        let mut order = [0, 1, 2];
        order.sort_by(|&a, &b| clearness(b).total_cmp(&clearness(a)));
        let mut directions = [Direction { world: 0, positive: true }; 3];
        let mut taken = [false; 3];
        for axis in order {
            let along = column(axis);
            let mut best = None;
            for world in 0..3 {
                let better = best.is_none_or(|best: usize| along[best].abs() < along[world].abs());
                if !taken[world] && better {
                    best = Some(world);
                }
            }
            let world = best?;
            taken[world] = true;
            directions[axis] = Direction { world: world as u8, positive: 0.0 < along[world] };
        }
        Some(Self(directions))
    }

    /// Returns the direction of x, of y and of z.
    pub fn directions(&self) -> [Direction; 3] {
        self.0
    }

    /// Returns how a volume of this orientation and `shape` is seen in another orientation: the shape that it has there, and
    /// the map from voxels of that shape to the stored voxels. The map only permutes and mirrors axes; it is exact.
    pub fn seen_as(&self, target: Self, shape: [usize; 3]) -> ([usize; 3], Affine) {
        let Axes { stored, reversed } = Axes::between(*self, target);
        let mut map = Affine([[0.0; 4]; 3]);
        for (new, (old, reversed)) in stored.into_iter().zip(reversed).enumerate() {
            map.0[old][new] = if reversed { -1.0 } else { 1.0 };
            map.0[old][3] = if reversed { shape[old].saturating_sub(1) as f64 } else { 0.0 };
        }
        (stored.map(|old| shape[old]), map)
    }
}

/// Which stored axis each axis of a grid runs along, and whether backwards.
///
/// ```
/// use batchwright_nifti::Axes;
/// let axes = Axes::between("LPS".parse()?, "SAR".parse()?);
/// assert_eq!(axes.stored(), [2, 1, 0]);
/// assert_eq!(axes.reversed(), [false, true, true]);
/// # Ok::<(), batchwright_nifti::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axes {
    // Invariant: a permutation of 0, 1, 2.
    stored: [usize; 3],
    reversed: [bool; 3],
}

impl Axes {
    /// The axes as they are stored.
    pub const STORED: Self = Self { stored: [0, 1, 2], reversed: [false; 3] };

    /// Returns the axes of a grid whose x, y and z point as `want` says, over a volume whose stored axes point as `have`
    /// says.
    pub fn between(have: Orientation, want: Orientation) -> Self {
        let mut axes = Self::STORED;
        for (axis, want) in want.0.into_iter().enumerate() {
            for (stored, have) in have.0.into_iter().enumerate() {
                if have.world == want.world {
                    axes.stored[axis] = stored;
                    axes.reversed[axis] = have.positive != want.positive;
                }
            }
        }
        axes
    }

    /// Returns the stored axis that x, y and z run along.
    pub fn stored(&self) -> [usize; 3] {
        self.stored
    }

    /// Returns whether x, y and z run backwards along it.
    pub fn reversed(&self) -> [bool; 3] {
        self.reversed
    }
}

/// Returns the orthogonal matrix nearest to the linear part of a map after its columns have been made unit vectors: the
/// limit of the average of a matrix with its inverse transposed (Higham 1986, "Computing the polar decomposition").
fn nearest_rotation(map: &Affine) -> Option<[[f64; 3]; 3]> {
    let lengths = map.column_lengths();
    let mut linear = *map;
    for row in &mut linear.0 {
        for (value, length) in row.iter_mut().zip(lengths) {
            *value /= length;
        }
        row[3] = 0.0;
    }
    for _ in 0..100 {
        let inverse = linear.inverse()?;
        let mut next = linear;
        let mut change: f64 = 0.0;
        for row in 0..3 {
            for column in 0..3 {
                next.0[row][column] = 0.5 * (linear.0[row][column] + inverse.0[column][row]);
                change = change.max((next.0[row][column] - linear.0[row][column]).abs());
            }
        }
        linear = next;
        if change < 1e-14 {
            break;
        }
    }
    Some(linear.0.map(|[x, y, z, _]| [x, y, z]))
}

impl fmt::Display for Orientation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|direction| fmt::Write::write_char(f, direction.letter()))
    }
}

impl FromStr for Orientation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || {
            let expected = "three letters, one each of R or L, A or P, S or I, such as RAS";
            Error::choice("orientation", expected, text)
        };
        let letters: Vec<Direction> =
            text.chars().map(Direction::of_letter).collect::<Option<_>>().ok_or_else(wrong)?;
        let directions: [Direction; 3] = letters.try_into().map_err(|_| wrong())?;
        let all = directions.iter().fold(0, |set, direction| set | 1 << direction.world) == 0b111;
        if all { Ok(Self(directions)) } else { Err(wrong()) }
    }
}

impl TryFrom<String> for Orientation {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Orientation> for String {
    fn from(orientation: Orientation) -> Self {
        orientation.to_string()
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Orientation {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Orientation".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "Which way x, y and z point, in three letters: RAS is right, anterior, superior.",
            "pattern": "^[RLAPSI]{3}$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Orientation> {
        let mut all = Vec::new();
        for a in "RLAPSI".chars() {
            for b in "RLAPSI".chars() {
                for c in "RLAPSI".chars() {
                    all.extend(format!("{a}{b}{c}").parse::<Orientation>().ok());
                }
            }
        }
        all
    }

    #[test]
    fn there_are_48_orientations_and_each_is_found_again_in_its_own_map() {
        let all = all();
        assert_eq!(all.len(), 48);
        let shape = [4, 5, 6];
        for &from in &all {
            let (seen, map) = Orientation::RAS.seen_as(from, shape);
            assert_eq!(seen.iter().product::<usize>(), 120);
            assert_eq!(Orientation::of(&VoxelToWorld(map)), Some(from));
            for &to in &all {
                let (there, out) = from.seen_as(to, seen);
                let (back, home) = to.seen_as(from, there);
                assert_eq!(back, seen);
                assert_eq!(out.after(&home), Affine::IDENTITY, "{from} {to}");
            }
        }
    }

    #[test]
    fn an_oblique_map_is_named_after_the_nearest_axes_and_a_flat_one_has_no_name() {
        let map = Affine([[-0.71, -0.03, 0.14, 0.0], [0.03, -0.71, 0.09, 0.0], [0.02, 0.02, 4.0, 0.0]]);
        assert_eq!(Orientation::of(&VoxelToWorld(map)).unwrap().to_string(), "LPS");
        assert_eq!(Orientation::of(&VoxelToWorld(Affine::scale([1.0, 0.0, 1.0]))), None);
    }

    #[test]
    fn what_is_no_orientation_is_refused() {
        for text in ["", "RA", "RASS", "RAX", "RAL", "RLS", "ras", "RAR", "SAA", "RAé"] {
            assert!(text.parse::<Orientation>().is_err(), "{text}");
        }
    }
}
