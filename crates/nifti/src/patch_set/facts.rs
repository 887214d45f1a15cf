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
use crate::voxels::{VoxelSlice, VoxelType};

use super::memory::Memory;
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
            for channel in 0..scan.channels() {
                let number = channels.len();
                let training = training.and_then(|training| training.channel(number));
                let found =
                    at_hand.with(channel, &Region::whole(scan.shape())?, &mut memory.stored, |source| {
                        ChannelFacts::of(scan, source.voxels(), number, options, training, inside.as_deref())
                    })?;
                channels.push(found);
            }
        }
        let grid = prepared.grid(options, cache, memory)?;
        let from_stored = inverse(&grid)?;
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

impl ChannelFacts {
    /// Finds out what becomes of the channel of this number. `training` are its statistics over the training subjects.
    fn of(
        scan: &Scan,
        voxels: VoxelSlice<'_>,
        number: usize,
        options: &PatchSetOptions,
        training: Option<&Statistics>,
        inside: Option<&[u8]>,
    ) -> Result<Self, Error> {
        let scaling = scan.scaling();
        let normalize = options.normalize.channel(number);
        let needs = normalize.needs();
        let own = match &needs {
            Needs::Volume(wanted) => Some(Statistics::of(voxels, scaling, inside, wanted)?),
            Needs::Nothing | Needs::Training(_) => None,
        };
        let is_float = matches!(scan.voxel_type(), VoxelType::F32 | VoxelType::F64);
        let minimum = options.outside() == Outside::Minimum;
        let is_of_all = matches!(&needs, Needs::Volume(wanted) if wanted.mask == Mask::Whole);
        // What lies around a volume, and what replaces a voxel that is no number, is of all voxels, not of those that the
        // normalisation looks at.
        let all = if is_of_all {
            own.clone()
        } else if is_float || minimum {
            Some(Statistics::of(voxels, scaling, None, &StatisticsOptions::default())?)
        } else {
            None
        };
        if let Some(all) = &all {
            all.check_finite(options.nan, &scan.path())?;
        }
        let rescale = normalize.rescale(own.as_ref().or(training), scaling)?;
        let border = match &all {
            Some(all) if minimum => {
                Border::Constant(rescale.apply((all.min - scaling.inter) / scaling.slope))
            }
            _ => options.outside().border(|| 0.0),
        };
        let mends = |all: &Statistics| options.nan != NanPolicy::Error && 0 < all.nan + all.infinite;
        Ok(Self { rescale, border, mend: all.filter(mends) })
    }
}

/// Returns a byte for each voxel, not 0 where its label is not 0, if a normalisation looks at labels.
fn inside(
    prepared: &Prepared,
    options: &PatchSetOptions,
    cache: &Cache,
    memory: &mut Memory,
) -> Result<Option<Vec<u8>>, Error> {
    let needed = (0..prepared.channels()).any(|channel| match options.normalize.channel(channel).needs() {
        Needs::Volume(wanted) | Needs::Training(wanted) => wanted.mask == Mask::Label,
        Needs::Nothing => false,
    });
    let label = prepared.label.as_ref().filter(|_| needed);
    label.map(|scan| inside_of(scan, options, cache, memory)).transpose()
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

/// Returns the grid that patches are cut from, where volumes are cropped.
pub(super) fn cropped(
    prepared: &Prepared,
    crop: &Crop,
    options: &PatchSetOptions,
    cache: &Cache,
    memory: &mut Memory,
) -> Result<Lattice, Error> {
    let first = &prepared.images[0];
    let mut search = crop.search(first.shape());
    let whole = Region::whole(first.shape())?;
    let by_label = crop.foreground == Foreground::Label;
    let label = prepared.label.as_ref().filter(|_| by_label);
    let inside = label.map(|scan| inside_of(scan, options, cache, memory)).transpose()?;
    for scan in prepared.images.iter().filter(|_| !by_label) {
        let at_hand = scan.at_hand(cache)?;
        for channel in 0..scan.channels() {
            at_hand.with(channel, &whole, &mut memory.stored, |source| {
                search.channel(source.voxels(), scan.scaling())
            })?;
        }
    }
    let spacing = first.voxel_to_world()?.0.column_lengths();
    part(&prepared.whole, &search.region(inside.as_deref(), spacing)?)
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
        ClassIndex::of(&map, ClassIndex::CAP, |stored| {
            Ok(i64::from(options.labels.apply(scan.scaling().apply(stored).round() as i32)))
        })
    })?;
    Ok(Some(index))
}

/// Returns the part of a grid that shows a box of stored voxels, and at least one voxel of it.
fn part(grid: &Lattice, region: &Region) -> Result<Lattice, Error> {
    let back = inverse(grid)?;
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
    // A corner on a voxel is on it, whatever rounding did to it.
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

/// Returns where stored voxels lie in a grid.
fn inverse(grid: &Lattice) -> Result<Affine, Error> {
    grid.to_stored.inverse().ok_or_else(|| {
        Error::choice("spacing", "a grid that can be inverted", format!("{:?}", grid.to_stored))
    })
}
