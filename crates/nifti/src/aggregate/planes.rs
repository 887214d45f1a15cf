//! Where finished planes go.

use crate::error::Error;

/// Takes the planes of a volume as they are finished.
///
/// Each plane of each channel comes exactly once: z rising, and the channels of one z in order. A closure
/// `|channel, z, voxels| …` is one too.
pub trait Planes {
    /// Takes plane `z` of `channel`, x fastest, then y.
    ///
    /// # Errors
    /// What goes wrong ends the aggregation.
    fn plane(&mut self, channel: usize, z: usize, voxels: &[f32]) -> Result<(), Error>;
}

impl<F: FnMut(usize, usize, &[f32]) -> Result<(), Error>> Planes for F {
    fn plane(&mut self, channel: usize, z: usize, voxels: &[f32]) -> Result<(), Error> {
        self(channel, z, voxels)
    }
}

/// A volume in memory, [C, z, y, x].
#[derive(Clone, Debug, PartialEq)]
pub struct Whole {
    shape: [usize; 3],
    voxels: Vec<f32>,
}

impl Whole {
    /// Makes a volume of zeros; `shape` is x, y, z.
    pub fn new(channels: usize, shape: [usize; 3]) -> Self {
        Self { shape, voxels: vec![0.0; channels * shape.iter().product::<usize>()] }
    }

    /// Returns the voxels.
    pub fn voxels(&self) -> &[f32] {
        &self.voxels
    }

    /// Returns the voxels.
    pub fn into_voxels(self) -> Vec<f32> {
        self.voxels
    }
}

impl Planes for Whole {
    fn plane(&mut self, channel: usize, z: usize, voxels: &[f32]) -> Result<(), Error> {
        let plane = self.shape[0] * self.shape[1];
        let start = (channel * self.shape[2] + z) * plane;
        self.voxels[start..start + plane].copy_from_slice(voxels);
        Ok(())
    }
}
