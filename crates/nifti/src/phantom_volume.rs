//! One volume of a generated subject, to be drawn when it is asked for.

use std::sync::Arc;

use crate::affine::VoxelToWorld;
use crate::error::Error;
use crate::phantom::Phantom;
use crate::voxels::VoxelType;

/// Which volume of a generated subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PhantomPart {
    Image,
    Label,
}

/// One volume of a generated subject.
#[derive(Clone, Debug)]
pub(crate) struct PhantomVolume {
    phantom: Arc<Phantom>,
    index: usize,
    part: PhantomPart,
}

impl PhantomVolume {
    pub(crate) fn new(phantom: Arc<Phantom>, index: usize, part: PhantomPart) -> Self {
        Self { phantom, index, part }
    }

    pub(crate) fn part(&self) -> PhantomPart {
        self.part
    }

    pub(crate) fn id(&self) -> String {
        self.phantom.id(self.index)
    }

    pub(crate) fn shape(&self) -> [usize; 3] {
        self.phantom.shape
    }

    pub(crate) fn channels(&self) -> usize {
        match self.part {
            PhantomPart::Image => self.phantom.channels,
            PhantomPart::Label => 1,
        }
    }

    pub(crate) fn voxel_type(&self) -> VoxelType {
        match self.part {
            PhantomPart::Image => VoxelType::F32,
            PhantomPart::Label => VoxelType::U8,
        }
    }

    pub(crate) fn voxel_to_world(&self) -> Result<VoxelToWorld, Error> {
        self.phantom.voxel_to_world(self.index)
    }

    /// Says all that its voxels depend on.
    pub(crate) fn identity(&self) -> String {
        format!("{:?} {} {:?}", self.phantom, self.index, self.part)
    }

    /// Draws it: native-endian, channel by channel.
    pub(crate) fn draw(&self, out: &mut [u8]) -> Result<(), Error> {
        let subject = self.phantom.subject(self.index)?;
        let bytes = match self.part {
            PhantomPart::Image => crate::cast::bytes_of_voxels(&subject.image),
            PhantomPart::Label => &subject.label,
        };
        if bytes.len() != out.len() {
            return Err(Error::choice("room", format!("{} bytes", bytes.len()), out.len()));
        }
        out.copy_from_slice(bytes);
        Ok(())
    }
}
