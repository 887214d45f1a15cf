//! Voxels that are no numbers.

use serde::{Deserialize, Serialize};

use super::statistics::Statistics;
use crate::convert::Scaling;
use crate::voxels::VoxelType;

/// `nan:` what happens to voxels that are NaN or infinite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum NanPolicy {
    /// They are an error that names the file and how many there are.
    #[default]
    Error,
    /// They become 0, before normalisation.
    Zero,
    /// They become the smallest finite value of the volume.
    Minimum,
}

impl NanPolicy {
    /// Replaces the voxels that are NaN or infinite in a channel's bytes, which are of the machine's byte order, and returns
    /// how many they were. `statistics` are those of the whole channel. Of [`NanPolicy::Error`], and of integers, it leaves
    /// everything as it is.
    pub fn replace(
        self,
        voxels: VoxelType,
        bytes: &mut [u8],
        scaling: Scaling,
        statistics: &Statistics,
    ) -> u64 {
        let value = match self {
            Self::Error => return 0,
            Self::Zero => 0.0,
            Self::Minimum => statistics.min,
        };
        let stored = (value - scaling.inter) / scaling.slope;
        let mut replaced = 0;
        match voxels {
            VoxelType::F32 => {
                for voxel in bytes.as_chunks_mut().0 {
                    if !f32::from_ne_bytes(*voxel).is_finite() {
                        *voxel = (stored as f32).to_ne_bytes();
                        replaced += 1;
                    }
                }
            }
            VoxelType::F64 => {
                for voxel in bytes.as_chunks_mut().0 {
                    if !f64::from_ne_bytes(*voxel).is_finite() {
                        *voxel = stored.to_ne_bytes();
                        replaced += 1;
                    }
                }
            }
            VoxelType::U8
            | VoxelType::I8
            | VoxelType::U16
            | VoxelType::I16
            | VoxelType::U32
            | VoxelType::I32
            | VoxelType::U64
            | VoxelType::I64 => {}
        }
        replaced
    }
}
