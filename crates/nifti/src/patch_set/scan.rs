//! A volume of a subject: in a file, or generated.

use std::path::PathBuf;
use std::sync::Arc;

use crate::affine::VoxelToWorld;
use crate::cache::{Cache, Voxels};
use crate::convert::Scaling;
use crate::error::Error;
use crate::gather::SourceBox;
use crate::orientation::Orientation;
use crate::phantom::Phantom;
use crate::phantom_volume::{PhantomPart, PhantomVolume};
use crate::region::Region;
use crate::volume::Volume;
use crate::voxels::VoxelType;

use super::memory::{Bytes, voxels_of};

/// A volume of a subject.
#[derive(Debug)]
pub(super) enum Scan {
    File(Box<Volume>),
    Generated(PhantomVolume),
}

impl Scan {
    /// Returns the image and the label of a generated subject.
    pub(super) fn generated(phantom: &Arc<Phantom>, index: usize) -> [Self; 2] {
        [PhantomPart::Image, PhantomPart::Label]
            .map(|part| Self::Generated(PhantomVolume::new(Arc::clone(phantom), index, part)))
    }

    pub(super) fn shape(&self) -> [usize; 3] {
        match self {
            Self::File(volume) => volume.shape(),
            Self::Generated(phantom) => phantom.shape(),
        }
    }

    pub(super) fn channels(&self) -> usize {
        match self {
            Self::File(volume) => volume.channels(),
            Self::Generated(phantom) => phantom.channels(),
        }
    }

    pub(super) fn voxel_type(&self) -> VoxelType {
        match self {
            Self::File(volume) => volume.voxel_type(),
            Self::Generated(phantom) => phantom.voxel_type(),
        }
    }

    pub(super) fn scaling(&self) -> Scaling {
        match self {
            Self::File(volume) => volume.scaling(),
            Self::Generated(_) => Scaling::IDENTITY,
        }
    }

    pub(super) fn voxel_to_world(&self) -> Result<VoxelToWorld, Error> {
        match self {
            Self::File(volume) => Ok(volume.geometry().voxel_to_world()),
            Self::Generated(phantom) => phantom.voxel_to_world(),
        }
    }

    /// Returns which way its axes point.
    pub(super) fn orientation(&self) -> Result<Orientation, Error> {
        match self {
            Self::File(volume) => Ok(volume.geometry().orientation()),
            Self::Generated(phantom) => {
                Ok(Orientation::of(&phantom.voxel_to_world()?).unwrap_or(Orientation::RAS))
            }
        }
    }

    /// Returns its file, or what stands for it in messages.
    pub(super) fn path(&self) -> PathBuf {
        match self {
            Self::File(volume) => volume.path().to_owned(),
            Self::Generated(phantom) => PathBuf::from(match phantom.part() {
                PhantomPart::Image => format!("{} (image)", phantom.id()),
                PhantomPart::Label => format!("{} (label)", phantom.id()),
            }),
        }
    }

    /// Returns the file of its voxels.
    pub(super) fn image_path(&self) -> PathBuf {
        match self {
            Self::File(volume) => volume.image_path().to_owned(),
            Self::Generated(_) => self.path(),
        }
    }

    /// Says what it is by its name, its length and its header, wherever it lies.
    pub(super) fn identity(&self) -> String {
        let (shape, voxels) = (self.shape(), self.voxel_type());
        match self {
            Self::File(volume) => {
                let name = volume.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
                let length = std::fs::metadata(volume.image_path()).map_or(0, |facts| facts.len());
                let (channels, scaling) = (volume.channels(), volume.scaling());
                let geometry = volume.geometry().voxel_to_world();
                format!("{name} {length} {channels} {shape:?} {voxels} {scaling:?} {geometry:?}")
            }
            Self::Generated(phantom) => phantom.identity(),
        }
    }

    pub(super) fn is_compressed(&self) -> bool {
        match self {
            Self::File(volume) => volume.is_compressed(),
            Self::Generated(_) => false,
        }
    }

    /// Returns the bytes of all voxels, decoded.
    pub(super) fn stored_bytes(&self) -> u64 {
        let voxels: usize = self.shape().iter().product();
        (voxels * self.channels() * self.voxel_type().size()) as u64
    }

    /// Returns whether its voxels are kept in the cache.
    pub(super) fn is_cached(&self) -> bool {
        match self {
            Self::File(volume) => volume.is_compressed(),
            Self::Generated(_) => true,
        }
    }

    /// Decodes it, or finds it decoded; leaves one that is not compressed where it is.
    pub(super) fn at_hand(&self, cache: &Cache) -> Result<AtHand<'_>, Error> {
        match self {
            Self::File(volume) if volume.is_compressed() => cache.voxels(volume).map(AtHand::Decoded),
            Self::File(volume) => Ok(AtHand::Stored(volume)),
            Self::Generated(phantom) => cache.generated(phantom).map(AtHand::Decoded),
        }
    }
}

/// The voxels of a volume, as far as they are at hand.
#[derive(Debug)]
pub(super) enum AtHand<'a> {
    /// Decoded, all of them.
    Decoded(Arc<Voxels>),
    /// In the file, which is not compressed: read or mapped where they are needed.
    Stored(&'a Volume),
}

impl AtHand<'_> {
    /// Does something with the voxels of a channel that lie in a region, or with more of them. `memory` holds what has to
    /// be read.
    pub(super) fn with<R>(
        &self,
        channel: usize,
        region: &Region,
        memory: &mut Bytes,
        work: impl FnOnce(&SourceBox<'_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        match self {
            Self::Decoded(voxels) => work(&SourceBox::new(voxels.slice(channel), &voxels.whole()?)?),
            Self::Stored(volume) => {
                if let Some(voxels) = volume.mapped(channel) {
                    return work(&SourceBox::new(voxels, &Region::whole(volume.shape())?)?);
                }
                let bytes = memory.take(region.voxels() * volume.voxel_type().size());
                volume.read_region(region, channel, bytes)?;
                work(&SourceBox::new(voxels_of(bytes, volume.voxel_type()), region)?)
            }
        }
    }
}
