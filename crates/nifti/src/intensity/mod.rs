//! Random changes of the intensities of a patch, in place over [C, z, y, x].
//!
//! What happens is drawn first and is a value that can be written down; applying it is a function of the value and the
//! voxels alone, with the same bits on every machine. A channel is changed by itself, so nothing mixes channels.

mod bias;
mod blur;
mod boxes;
mod chain;
mod fourier;
mod gamma;
mod histogram;
mod kspace;
mod linear;
mod lines;
mod loops;
mod motion;
mod noise;
mod options;
mod resolution;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::bias::{BiasField, BiasFieldDrawn};
pub use self::blur::{Blur, BlurDrawn, Sharpen, SharpenDrawn, Sharper, Width};
pub use self::boxes::{CutOut, CutOutDrawn, Fill, Swap, SwapDrawn};
use self::chain::{Chain, Op, PieceNoise, piece_noise};
use self::fourier::Fourier;
pub use self::gamma::{Gamma, GammaDrawn, GammaOf};
pub use self::histogram::{HistogramShift, HistogramShiftDrawn};
pub use self::kspace::{Ghosting, GhostingDrawn, Gibbs, GibbsDrawn, Spike, SpikeDrawn};
pub use self::linear::{
    Brightness, Contrast, ContrastDrawn, FactorDrawn, Offset, ScaleIntensity, ShiftDrawn, ShiftIntensity,
};
use self::loops::Path;
pub use self::motion::{Motion, MotionDrawn, Move};
pub use self::noise::{Noise, NoiseDrawn, Rician, RicianDrawn};
use self::options::check_probability;
pub use self::options::{Draws, Factors};
pub use self::resolution::{Anisotropy, AnisotropyDrawn, LowResolution, LowResolutionDrawn};
use crate::Error;

/// The shape of a patch of several channels, [C, z, y, x] in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PatchShape {
    /// How many channels it has.
    pub channels: usize,
    /// The voxels of a channel: x, y, z.
    pub size: [usize; 3],
    /// The distance between voxels in millimetres: x, y, z.
    pub spacing: [f64; 3],
}

impl PatchShape {
    /// Returns the number of voxels of one channel.
    pub fn voxels(&self) -> usize {
        self.size.iter().product()
    }
}

/// Memory that transforms use again and again; each thread has its own.
pub struct Scratch {
    ops: Vec<Op>,
    noise: PieceNoise,
    half: Vec<f32>,
    lines: Vec<f32>,
    copy: Vec<f32>,
    pairs: Vec<[u32; 2]>,
    weights: Vec<f32>,
    fourier: Fourier,
    path: Path,
}

impl Scratch {
    /// Makes empty memory.
    pub fn new() -> Self {
        Self::with_path(Path::detect())
    }

    fn with_path(path: Path) -> Self {
        Self {
            ops: Vec::new(),
            noise: piece_noise(),
            half: Vec::new(),
            lines: Vec::new(),
            copy: Vec::new(),
            pairs: Vec::new(),
            weights: Vec::new(),
            fourier: Fourier::new(),
            path,
        }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Defines the choice of a transform and the record of one.
macro_rules! transforms {
    ($($(#[doc = $doc:literal])* $key:literal $variant:ident($options:ident) -> $drawn:ident;)*) => {
        /// A random change of intensities.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(rename_all = "snake_case")]
        pub enum Intensity {
            $($(#[doc = $doc])* $variant($options),)*
        }

        /// What was drawn for one sample: all that it takes, with the voxels, to make the change again.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum IntensityDrawn {
            $($(#[doc = $doc])* $variant($drawn),)*
        }

        impl Intensity {
            /// Returns the key of the transform in a list.
            pub fn key(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $key,)*
                }
            }

            /// Returns the name that its draws have: its `name`, or its key.
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$variant(options) => options.name.as_deref().unwrap_or($key),)*
                }
            }

            /// Returns how often it happens.
            pub fn probability(&self) -> f64 {
                match self {
                    $(Self::$variant(options) => options.probability,)*
                }
            }

            /// Checks the choices, which have the given key in the configuration.
            ///
            /// # Errors
            /// Names the first that cannot be.
            pub fn check(&self, key: &str) -> Result<(), Error> {
                match self {
                    $(Self::$variant(options) => {
                        let key = format!("{key}.{}", $key);
                        check_probability(&format!("{key}.probability"), options.probability)?;
                        check_probability(&format!("{key}.channel_probability"), options.channel_probability)?;
                        options.check(&key)
                    })*
                }
            }

            /// Draws what happens to a patch, or `None` if nothing does.
            ///
            /// A stream gives, in this order: whether it happens; what all channels share, in the order of the fields; then for
            /// each channel whether it takes part, and what is drawn for it.
            pub fn draw(&self, draws: &Draws<'_>, shape: &PatchShape) -> Option<IntensityDrawn> {
                match self {
                    $(Self::$variant(options) => options.draw(draws, shape).map(IntensityDrawn::$variant),)*
                }
            }
        }

        impl IntensityDrawn {
            /// Returns the key of the transform.
            pub fn key(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $key,)*
                }
            }

            /// Checks that it fits a patch of this shape, as a record that was read back may not.
            ///
            /// # Errors
            /// Names the first part that does not.
            pub fn check(&self, shape: &PatchShape) -> Result<(), Error> {
                match self {
                    $(Self::$variant(drawn) => drawn.check(shape),)*
                }
            }

            /// Does it, or puts it off, for one channel.
            fn run(&self, chain: &mut Chain<'_>) {
                match self {
                    $(Self::$variant(drawn) => drawn.run(chain),)*
                }
            }
        }
    };
}

transforms! {
    /// Normal noise.
    "noise" Noise(Noise) -> NoiseDrawn;
    /// Noise of a magnitude image.
    "rician" Rician(Rician) -> RicianDrawn;
    /// Gaussian blur.
    "blur" Blur(Blur) -> BlurDrawn;
    /// More detail.
    "sharpen" Sharpen(Sharpen) -> SharpenDrawn;
    /// Powers of the intensity.
    "gamma" Gamma(Gamma) -> GammaDrawn;
    /// Spread around the mean.
    "contrast" Contrast(Contrast) -> ContrastDrawn;
    /// A factor for each channel.
    "brightness" Brightness(Brightness) -> FactorDrawn;
    /// A factor for all channels.
    "scale_intensity" ScaleIntensity(ScaleIntensity) -> FactorDrawn;
    /// An offset.
    "shift_intensity" ShiftIntensity(ShiftIntensity) -> ShiftDrawn;
    /// A coarser scan.
    "low_resolution" LowResolution(LowResolution) -> LowResolutionDrawn;
    /// A scan coarser along one axis.
    "anisotropy" Anisotropy(Anisotropy) -> AnisotropyDrawn;
    /// The brightness that a coil leaves.
    "bias_field" BiasField(BiasField) -> BiasFieldDrawn;
    /// A random curve for the intensities.
    "histogram_shift" HistogramShift(HistogramShift) -> HistogramShiftDrawn;
    /// Motion during the scan.
    "motion" Motion(Motion) -> MotionDrawn;
    /// Ghosts of periodic motion.
    "ghosting" Ghosting(Ghosting) -> GhostingDrawn;
    /// Waves of sparks.
    "spike" Spike(Spike) -> SpikeDrawn;
    /// Ringing of edges.
    "gibbs" Gibbs(Gibbs) -> GibbsDrawn;
    /// Boxes cut out.
    "cut_out" CutOut(CutOut) -> CutOutDrawn;
    /// Boxes that change places.
    "swap" Swap(Swap) -> SwapDrawn;
}

impl IntensityDrawn {
    /// Changes a patch, [C, z, y, x].
    ///
    /// # Errors
    /// Says what of the record does not fit the patch; the patch is then as it was.
    pub fn apply(&self, patch: &mut [f32], shape: &PatchShape, scratch: &mut Scratch) -> Result<(), Error> {
        apply_all([self], patch, shape, scratch)
    }
}

/// Changes a patch, [C, z, y, x], by several transforms, one after another: the same bits as applying each by itself,
/// in fewer sweeps over the voxels.
///
/// # Errors
/// Says what of a record does not fit the patch; the patch is then as it was.
pub fn apply_all<'a>(
    drawn: impl IntoIterator<Item = &'a IntensityDrawn, IntoIter: Clone>,
    patch: &mut [f32],
    shape: &PatchShape,
    scratch: &mut Scratch,
) -> Result<(), Error> {
    if Some(patch.len()) != shape.voxels().checked_mul(shape.channels) {
        let expected = format!("{} channels of {:?} voxels (x, y, z)", shape.channels, shape.size);
        return Err(Error::choice("patch", expected, format!("{} voxels", patch.len())));
    }
    let drawn = drawn.into_iter();
    for drawn in drawn.clone() {
        drawn.check(shape)?;
    }
    if patch.is_empty() {
        return Ok(());
    }
    for (channel, plane) in patch.chunks_exact_mut(shape.voxels()).enumerate() {
        let mut chain = Chain::new(plane, shape, channel, scratch);
        for drawn in drawn.clone() {
            drawn.run(&mut chain);
        }
        chain.flush();
    }
    Ok(())
}

#[cfg(test)]
mod tests;
