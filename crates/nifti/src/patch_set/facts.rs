//! What is found out about a subject when its voxels are first at hand, and kept.

use crate::affine::Affine;
use crate::cache::Cache;
use crate::error::Error;
use crate::gather::{Border, Outside, Rescale};
use crate::places::{ClassIndex, LabelMap, WeightSums};
use crate::preprocess::{
    Crop, DatasetStatistics, Foreground, LabelVoxels, Mask, NanPolicy, Needs, Statistics, StatisticsOptions,
};
use crate::region::Region;
use crate::spatial::Lattice;
use crate::voxels::VoxelType;

use super::memory::{Bytes, Memory, voxels_of};
use super::options::PatchSetOptions;
use super::prepared::Prepared;
use super::scan::Scan;

/// What is known about the channels and labels of a subject.
#[derive(Debug)]
pub(super) struct Facts {
    /// The grid that patches are cut from: after orientation, spacing and cropping.
    pub(super) grid: Lattice,
    /// For each channel what becomes of its values, and what lies around it.
    pub(super) channels: Vec<ChannelFacts>,
    /// Where its classes are, if places are drawn by them.
    pub(super) classes: Option<ClassIndex>,
    /// The sums of its weights, if places are drawn by them.
    pub(super) weights: Option<WeightSums>,
    /// From stored voxels to voxels of the grid.
    pub(super) from_stored: Affine,
}

/// What is known about a channel.
#[derive(Debug)]
pub(super) struct ChannelFacts {
    /// From stored to normalised values.
    pub(super) rescale: Rescale,
    /// What is shown around the volume.
    pub(super) border: Border<f32>,
    /// Statistics of a channel with voxels that are no numbers, which are to be replaced.
    pub(super) mend: Option<Statistics>,
}

impl Facts {
    /// Finds out what the options need to know. `training` are the statistics of the training subjects, by channel.
    pub(super) fn of(
        prepared: &Prepared,
        options: &PatchSetOptions,
        training: Option<&DatasetStatistics>,
        cache: &Cache,
        memory: &mut Memory,
    ) -> Result<Self, Error> {
        let inside = inside(prepared, options, cache, memory)?;
        let mut channels = Vec::new();
        for scan in &prepared.images {
            let at_hand = scan.at_hand(cache)?;
            let whole = Region::whole(scan.shape())?;
            for channel in 0..scan.channels() {
                let number = channels.len();
                let normalize = options.normalize.channel(number);
                let needs = normalize.needs();
                let wanted = match &needs {
                    Needs::Volume(wanted) => Some(wanted.clone()),
                    Needs::Nothing | Needs::Training(_) => None,
                };
                let is_float = matches!(scan.voxel_type(), VoxelType::F32 | VoxelType::F64);
                let minimum = options.outside() == Outside::Minimum;
                let statistics = if wanted.is_some() || is_float || minimum {
                    let wanted = wanted.unwrap_or_default();
                    at_hand
                        .with(channel, &whole, &mut memory.stored, |source| {
                            Statistics::of(source.voxels(), scan.scaling(), inside.as_deref(), &wanted)
                        })
                        .map(Some)?
                } else {
                    None
                };
                let mut mend = None;
                if let Some(statistics) = &statistics {
                    statistics.check_finite(options.nan, &scan.path())?;
                    if options.nan != NanPolicy::Error && 0 < statistics.nan + statistics.infinite {
                        mend = Some(statistics.clone());
                    }
                }
                let of = match &needs {
                    Needs::Training(_) => training.and_then(|training| training.channel(number)),
                    Needs::Nothing | Needs::Volume(_) => statistics.as_ref(),
                };
                let rescale = normalize.rescale(of, scan.scaling())?;
                let border = match (&statistics, minimum) {
                    (Some(statistics), true) => {
                        // Of all voxels, not of those in the mask of the normalisation.
                        let all = at_hand.with(channel, &whole, &mut memory.stored, |source| {
                            Statistics::of(
                                source.voxels(),
                                scan.scaling(),
                                None,
                                &StatisticsOptions::default(),
                            )
                        })?;
                        let lowest = if all.count == 0 { statistics.min } else { all.min };
                        let scaling = scan.scaling();
                        Border::Constant(rescale.apply((lowest - scaling.inter) / scaling.slope))
                    }
                    _ => options.outside().border(|| 0.0),
                };
                channels.push(ChannelFacts { rescale, border, mend });
            }
        }
        let grid = match &options.crop {
            None => prepared.grid,
            Some(crop) => cropped(&prepared.grid, &foreground(crop, prepared, inside.as_deref(), cache)?)?,
        };
        let from_stored = grid.to_stored.inverse().ok_or_else(|| {
            Error::choice("spacing", "a grid that can be inverted", format!("{:?}", grid.to_stored))
        })?;
        let classes = classes(prepared, options, cache, memory)?;
        let weights = match &prepared.weights {
            None => None,
            Some(scan) => {
                let (path, shape, scaling) = (scan.path(), scan.shape(), scan.scaling());
                let whole = Region::whole(shape)?;
                Some(scan.at_hand(cache)?.with(0, &whole, &mut memory.stored, |source| {
                    WeightSums::of(&path, source.voxels(), shape, scaling.slope, scaling.inter)
                })?)
            }
        };
        memory.stored.trim();
        Ok(Self { grid, channels, classes, weights, from_stored })
    }
}

/// Returns a byte for each voxel, not 0 where its label is not 0, if a normalisation looks at labels.
fn inside(
    prepared: &Prepared,
    options: &PatchSetOptions,
    cache: &Cache,
    memory: &mut Memory,
) -> Result<Option<Vec<u8>>, Error> {
    let channels: usize = prepared.images.iter().map(Scan::channels).sum();
    let crops = options.crop.as_ref().is_some_and(|crop| crop.foreground == Foreground::Label);
    let needed = crops
        || (0..channels).any(|channel| match options.normalize.channel(channel).needs() {
            Needs::Volume(wanted) | Needs::Training(wanted) => wanted.mask == Mask::Label,
            Needs::Nothing => false,
        });
    let Some(scan) = prepared.label.as_ref().filter(|_| needed) else { return Ok(None) };
    inside_of(scan, options, cache, memory).map(Some)
}

/// Returns a byte for each voxel of a label map, not 0 where its label is not 0.
pub(super) fn inside_of(
    scan: &Scan,
    options: &PatchSetOptions,
    cache: &Cache,
    memory: &mut Memory,
) -> Result<Vec<u8>, Error> {
    let (path, shape) = (scan.path(), scan.shape());
    scan.at_hand(cache)?.with(0, &Region::whole(shape)?, &mut memory.stored, |source| {
        let labels = LabelVoxels { path: &path, shape, voxels: source.voxels(), scaling: scan.scaling() };
        labels.inside(&options.labels)
    })
}

/// Finds the box of the foreground, of all channels together.
fn foreground(
    crop: &Crop,
    prepared: &Prepared,
    inside: Option<&[u8]>,
    cache: &Cache,
) -> Result<Region, Error> {
    let shape = prepared.images[0].shape();
    let whole = Region::whole(shape)?;
    let mut read: Vec<Bytes> = Vec::new();
    let at_hand = prepared.images.iter().map(|scan| scan.at_hand(cache)).collect::<Result<Vec<_>, _>>()?;
    for (scan, at_hand) in prepared.images.iter().zip(&at_hand) {
        for channel in (0..scan.channels()).filter(|_| at_hand.is_elsewhere()) {
            let mut bytes = Bytes::default();
            at_hand.with(channel, &whole, &mut bytes, |_| Ok(()))?;
            read.push(bytes);
        }
    }
    let mut read = read.iter();
    let mut channels = Vec::new();
    for (scan, at_hand) in prepared.images.iter().zip(&at_hand) {
        for channel in 0..scan.channels() {
            let voxels = at_hand.slice(channel).or_else(|| {
                let count = whole.voxels() * scan.voxel_type().size();
                read.next().map(|bytes| voxels_of(bytes.get(count), scan.voxel_type()))
            });
            channels.extend(voxels.map(|voxels| (voxels, scan.scaling())));
        }
    }
    let spacing = prepared.images[0].voxel_to_world()?.0.column_lengths();
    crop.region(&channels, inside, shape, spacing)
}

/// Finds the classes of the label map, if places are drawn by them.
fn classes(
    prepared: &Prepared,
    options: &PatchSetOptions,
    cache: &Cache,
    memory: &mut Memory,
) -> Result<Option<ClassIndex>, Error> {
    if !options.patch.sampler.needs_classes() {
        return Ok(None);
    }
    let Some(scan) = &prepared.label else { return Ok(None) };
    let (path, shape) = (scan.path(), scan.shape());
    let index = scan.at_hand(cache)?.with(0, &Region::whole(shape)?, &mut memory.stored, |source| {
        let map = LabelMap { path: &path, voxels: source.voxels(), shape };
        let values = LabelVoxels { path: &path, shape, voxels: source.voxels(), scaling: scan.scaling() };
        // Every value is looked at, and a bad one is found with its place.
        values.count(&options.labels)?;
        ClassIndex::of(&map, ClassIndex::CAP, |stored| {
            Ok(i64::from(options.labels.apply(scan.scaling().apply(stored).round() as i32)))
        })
    })?;
    Ok(Some(index))
}

/// Returns the part of a grid that shows a box of stored voxels, and at least one voxel of it.
fn cropped(grid: &Lattice, region: &Region) -> Result<Lattice, Error> {
    let back = grid.to_stored.inverse().ok_or_else(|| {
        Error::choice("spacing", "a grid that can be inverted", format!("{:?}", grid.to_stored))
    })?;
    let (mut low, mut high) = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
    for corner in 0..8 {
        let stored = [0, 1, 2].map(|axis| {
            let last = (region.size()[axis] - 1) * (corner >> axis & 1);
            (region.origin()[axis] + last) as f64
        });
        for (axis, at) in back.apply(stored).into_iter().enumerate() {
            (low[axis], high[axis]) = (low[axis].min(at), high[axis].max(at));
        }
    }
    // Half a voxel of rounding is none.
    let last = |axis: usize| grid.shape[axis] as f64 - 1.0;
    let from = [0, 1, 2].map(|axis| (low[axis] + 1e-6).floor().clamp(0.0, last(axis)));
    let to = [0, 1, 2].map(|axis| (high[axis] - 1e-6).ceil().clamp(from[axis], last(axis)));
    let shift = Affine::translation(from);
    Ok(Lattice {
        shape: [0, 1, 2].map(|axis| (to[axis] - from[axis]) as usize + 1),
        to_stored: grid.to_stored.after(&shift),
        voxel_to_world: crate::VoxelToWorld(grid.voxel_to_world.0.after(&shift)),
        spacing: grid.spacing,
    })
}
