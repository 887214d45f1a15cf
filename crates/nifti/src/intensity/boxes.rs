//! Boxes that are cut out or change places.

use batchwright_core::Stream;
use serde::{Deserialize, Serialize};

use super::PatchShape;
use super::chain::Chain;
use super::options::{Draws, check_channels, check_number, check_whole, options, which_channels, whole};
use crate::Error;

/// What is put into a box that was cut out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// A number, in the units of the normalised image.
    Value(f32),
    /// The least of the channel.
    Minimum,
    /// The mean of the channel.
    Mean,
}

options! {
    /// Fills boxes at random places, the same for all channels. They lie within the patch and may overlap.
    /// Stream `augment/cut_out`.
    pub struct CutOut {
        /// How many boxes, [least, most]; [1, 1] by default.
        boxes: [u32; 2] = [1, 1],
        /// The size of a box in voxels, x, y, z, where the patch is not smaller; [16, 16, 16] by default.
        size: [usize; 3] = [16; 3],
        /// What they are filled with; `value: 0` by default.
        fill: Fill = Fill::Value(0.0),
    }
}

options! {
    /// Lets the contents of two boxes change places, several times over; the same for all channels. The two do not overlap;
    /// where two such boxes do not fit, or are not found in 100 tries, that exchange does not happen. Stream `augment/swap`.
    pub struct Swap {
        /// How often, [least, most]; [100, 100] by default.
        times: [u32; 2] = [100, 100],
        /// The size of a box in voxels, x, y, z, where the patch is not smaller; [15, 15, 15] by default.
        size: [usize; 3] = [15; 3],
    }
}

/// Boxes to be filled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CutOutDrawn {
    /// The first voxel of each box: x, y, z.
    pub origins: Vec<[usize; 3]>,
    /// The size of each.
    pub size: [usize; 3],
    /// What they are filled with.
    pub fill: Fill,
    /// Which channels it happens to.
    pub channels: Vec<bool>,
}

/// Boxes to change places.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwapDrawn {
    /// The first voxels of the two boxes of each exchange, one after another.
    pub pairs: Vec<[[usize; 3]; 2]>,
    /// The size of each box: x, y, z.
    pub size: [usize; 3],
    /// Which channels it happens to.
    pub channels: Vec<bool>,
}

const TRIES: usize = 100;
const MOST: u32 = 10_000;

fn check_size(key: &str, size: [usize; 3]) -> Result<(), Error> {
    if size.contains(&0) {
        return Err(Error::choice(key, "three sizes from 1", format!("{size:?}")));
    }
    Ok(())
}

fn clipped(size: [usize; 3], shape: &PatchShape) -> [usize; 3] {
    std::array::from_fn(|axis| size[axis].min(shape.size[axis]))
}

/// Draws where a box lies, uniform over all places within the patch; x first.
fn place(stream: &mut Stream, size: [usize; 3], shape: &PatchShape) -> [usize; 3] {
    std::array::from_fn(|axis| {
        stream.below((shape.size[axis].saturating_sub(size[axis]) + 1) as u64) as usize
    })
}

/// Checks that a box lies within a patch.
fn check_place(key: &str, origin: [usize; 3], size: [usize; 3], shape: &PatchShape) -> Result<(), Error> {
    let fits = |axis: usize| origin[axis].checked_add(size[axis]).is_some_and(|end| end <= shape.size[axis]);
    if (0..3).all(fits) {
        return Ok(());
    }
    let expected = format!("a box within {:?} voxels", shape.size);
    Err(Error::choice(key, expected, format!("{size:?} from {origin:?}")))
}

fn overlap(a: [usize; 3], b: [usize; 3], size: [usize; 3]) -> bool {
    (0..3).all(|axis| a[axis].abs_diff(b[axis]) < size[axis])
}

/// The first voxels of the rows of a box, in memory.
fn rows([x, y, z]: [usize; 3], size: [usize; 3], [nx, ny, _]: [usize; 3]) -> impl Iterator<Item = usize> {
    (z..z + size[2]).flat_map(move |z| (y..y + size[1]).map(move |y| (z * ny + y) * nx + x))
}

impl CutOut {
    pub(super) fn check(&self, key: &str) -> Result<(), Error> {
        check_whole(&format!("{key}.boxes"), self.boxes, 0, MOST)?;
        check_size(&format!("{key}.size"), self.size)?;
        match self.fill {
            Fill::Value(value) => check_number(&format!("{key}.fill.value"), f64::from(value), -1e30, 1e30),
            Fill::Minimum | Fill::Mean => Ok(()),
        }
    }

    pub(super) fn draw(&self, draws: &Draws<'_>, shape: &PatchShape) -> Option<CutOutDrawn> {
        let mut stream = draws.stream();
        if !stream.chance(self.probability) {
            return None;
        }
        let (size, boxes) = (clipped(self.size, shape), whole(&mut stream, self.boxes));
        let origins = (0..boxes).map(|_| place(&mut stream, size, shape)).collect();
        let channels = which_channels(&mut stream, shape, self.channel_probability)?;
        Some(CutOutDrawn { origins, size, fill: self.fill, channels })
    }
}

impl CutOutDrawn {
    pub(super) fn check(&self, shape: &PatchShape) -> Result<(), Error> {
        for origin in &self.origins {
            check_place("cut_out.origins", *origin, self.size, shape)?;
        }
        if let Fill::Value(value) = self.fill {
            check_number("cut_out.fill.value", f64::from(value), -1e30, 1e30)?;
        }
        check_channels("cut_out.channels", self.channels.len(), shape)
    }

    pub(super) fn run(&self, chain: &mut Chain<'_>) {
        if !self.channels[chain.channel] {
            return;
        }
        let fill = match self.fill {
            Fill::Value(value) => value,
            Fill::Minimum => chain.moments().minimum(),
            Fill::Mean => chain.moments().mean() as f32,
        };
        let all = chain.shape.size;
        let (plane, _) = chain.voxels();
        for origin in &self.origins {
            for row in rows(*origin, self.size, all) {
                plane[row..row + self.size[0]].fill(fill);
            }
        }
    }
}

impl Swap {
    pub(super) fn check(&self, key: &str) -> Result<(), Error> {
        check_whole(&format!("{key}.times"), self.times, 0, MOST)?;
        check_size(&format!("{key}.size"), self.size)
    }

    pub(super) fn draw(&self, draws: &Draws<'_>, shape: &PatchShape) -> Option<SwapDrawn> {
        let mut stream = draws.stream();
        if !stream.chance(self.probability) {
            return None;
        }
        let (size, times) = (clipped(self.size, shape), whole(&mut stream, self.times));
        let two_fit = (0..3).any(|axis| 2 * size[axis] <= shape.size[axis]);
        let mut pair = |_| {
            let first = place(&mut stream, size, shape);
            let second = (0..TRIES).map(|_| place(&mut stream, size, shape));
            let mut second = second.filter(|&second| !overlap(first, second, size));
            second.next().map(|second| [first, second])
        };
        let pairs = if two_fit { (0..times).filter_map(&mut pair).collect() } else { Vec::new() };
        let channels = which_channels(&mut stream, shape, self.channel_probability)?;
        Some(SwapDrawn { pairs, size, channels })
    }
}

impl SwapDrawn {
    pub(super) fn check(&self, shape: &PatchShape) -> Result<(), Error> {
        for pair in &self.pairs {
            for origin in pair {
                check_place("swap.pairs", *origin, self.size, shape)?;
            }
            if overlap(pair[0], pair[1], self.size) {
                return Err(Error::choice("swap.pairs", "boxes that do not overlap", format!("{pair:?}")));
            }
        }
        check_channels("swap.channels", self.channels.len(), shape)
    }

    pub(super) fn run(&self, chain: &mut Chain<'_>) {
        if !self.channels[chain.channel] {
            return;
        }
        let (all, width) = (chain.shape.size, self.size[0]);
        let (plane, _) = chain.voxels();
        for [first, second] in &self.pairs {
            for (a, b) in rows(*first, self.size, all).zip(rows(*second, self.size, all)) {
                let (low, high) = (a.min(b), a.max(b));
                let (before, after) = plane.split_at_mut(high);
                before[low..low + width].swap_with_slice(&mut after[..width]);
            }
        }
    }
}
