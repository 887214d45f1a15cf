//! Generated bodies: volumes that look like heads or trunks, with labels, as many as one likes.

mod anatomy;
mod field;
mod files;
mod render;

use batchwright_core::{Name, Stream};
use serde::{Deserialize, Serialize};

use crate::affine::{Affine, VoxelToWorld};
use crate::error::Error;

pub use anatomy::Body;
pub use files::PhantomFiles;

/// The most channels and classes.
const MOST_CHANNELS: usize = 64;
const MOST_CLASSES: usize = 64;

/// Generated bodies with labels: the data set that is always there.
///
/// Subject `i` is a function of (seed, i) and the choices here, on any system; it does not depend on how many subjects there
/// are. The body is drawn in the world, then seen on a grid: at another shape or spacing it is the same body. A body is a
/// table of ellipsoids whose places, sizes and surfaces vary, filled with tissues, under a bias field, with noise.
///
/// ```
/// use batchwright_nifti::Phantom;
/// let phantom = Phantom { shape: [24, 28, 24], classes: 3, ..Phantom::default() };
/// let subject = phantom.subject(0)?;
/// assert_eq!((subject.image.len(), subject.label.len()), (24 * 28 * 24, 24 * 28 * 24));
/// assert_eq!(subject.label.iter().max(), Some(&3));
/// assert_eq!(subject.image, phantom.subject(0)?.image);
/// # Ok::<(), batchwright_nifti::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Phantom {
    /// What the bodies are drawn from; by default 42.
    pub seed: u64,
    /// How many there are; by default 16.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub subjects: usize,
    /// The first of them, so that a test set has others than its training set; by default 0.
    pub first_subject: usize,
    /// `head` or `trunk`; by default `head`.
    pub body: Body,
    /// Voxels along x, y and z; by default 64, 64, 64.
    pub shape: [usize; 3],
    /// How many contrasts each has, at most 64; by default 1. T1, T2, FLAIR for a head, CT, T1, T2 for a trunk, then
    /// mixtures of them.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 64)))]
    pub channels: usize,
    /// How many kinds of organs are labelled, from 1 on, at most 64; by default 2. The first of a head are the brain,
    /// ventricles, deep nuclei, hippocampi, cerebellum, lesions, brain stem; then come nodules.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 64)))]
    pub classes: usize,
    /// Millimetres between voxels along x, y and z; by default so that the body fits the shape.
    pub spacing: Option<[f64; 3]>,
    /// Whether orientation, tilt and spacing differ between subjects; by default false: right, anterior, superior, upright.
    pub varied: bool,
    /// The strength of the noise, 1 being that of an ordinary scan; by default 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub noise: f32,
}

impl Default for Phantom {
    fn default() -> Self {
        Self {
            seed: 42,
            subjects: 16,
            first_subject: 0,
            body: Body::Head,
            shape: [64; 3],
            channels: 1,
            classes: 2,
            spacing: None,
            varied: false,
            noise: 1.0,
        }
    }
}

/// One generated subject.
#[derive(Clone, Debug, PartialEq)]
pub struct PhantomSubject {
    /// The image: [C, z, y, x].
    pub image: Vec<f32>,
    /// The label: [z, y, x], 0 where there is none.
    pub label: Vec<u8>,
    /// The shape: x, y, z.
    pub shape: [usize; 3],
    /// The number of channels.
    pub channels: usize,
    /// Where the voxels lie.
    pub voxel_to_world: VoxelToWorld,
}

/// Which way x, y and z may point in a varied set: for each the axis of the world, and whether it is the other way. RAS,
/// LPS, LAS, PSR, PIR, RSP (and so on): what scanners write.
const ORIENTATIONS: [[(usize, bool); 3]; 6] = [
    [(0, false), (1, false), (2, false)],
    [(0, true), (1, true), (2, false)],
    [(0, true), (1, false), (2, false)],
    [(1, true), (2, false), (0, false)],
    [(1, true), (2, true), (0, false)],
    [(0, false), (2, false), (1, true)],
];

impl Phantom {
    /// Checks that there is something to draw.
    ///
    /// # Errors
    /// Refuses no subjects, shapes without voxels or of more than 2^31 a channel, no channels or more than 64, more than
    /// 64 classes, spacing that is not positive, noise that is negative or not finite.
    pub fn check(&self, key: &str) -> Result<(), Error> {
        let name = |field: &str| if key.is_empty() { field.to_owned() } else { format!("{key}.{field}") };
        if self.subjects == 0 {
            return Err(Error::choice(name("subjects"), "at least 1", self.subjects));
        }
        let voxels = self.shape.iter().try_fold(1_usize, |product, &n| product.checked_mul(n));
        if voxels.is_none_or(|voxels| voxels == 0 || 1 << 31 < voxels) {
            let found = format!("{:?}", self.shape);
            return Err(Error::choice(name("shape"), "at least 1 an axis, at most 2^31 voxels", found));
        }
        if !(1..=MOST_CHANNELS).contains(&self.channels) {
            return Err(Error::choice(name("channels"), "from 1 to 64", self.channels));
        }
        if MOST_CLASSES < self.classes {
            return Err(Error::choice(name("classes"), "at most 64", self.classes));
        }
        if let Some(spacing) =
            self.spacing.filter(|spacing| !spacing.iter().all(|x| (1e-3..=1e3).contains(x)))
        {
            let found = format!("{spacing:?}");
            return Err(Error::choice(name("spacing"), "from 0.001 to 1000 mm", found));
        }
        if !(0.0..=1e3).contains(&self.noise) {
            return Err(Error::choice(name("noise"), "from 0 to 1000", self.noise));
        }
        Ok(())
    }

    /// Draws subject `index`, from 0.
    ///
    /// # Errors
    /// As [`Phantom::check`]; refuses an index beyond the subjects.
    pub fn subject(&self, index: usize) -> Result<PhantomSubject, Error> {
        self.check("")?;
        let voxels: usize = self.shape.iter().product();
        let mut image = vec![0.0; voxels * self.channels];
        let mut label = vec![0; voxels];
        let voxel_to_world = self.draw(index, &mut image, &mut label)?;
        Ok(PhantomSubject { image, label, shape: self.shape, channels: self.channels, voxel_to_world })
    }

    /// Draws subject `index` into memory that is there: image [C, z, y, x] and label [z, y, x]. Returns where it lies.
    ///
    /// # Errors
    /// As [`Phantom::subject`]; refuses memory of another size.
    pub fn draw(&self, index: usize, image: &mut [f32], label: &mut [u8]) -> Result<VoxelToWorld, Error> {
        self.check("")?;
        if self.subjects <= index {
            return Err(Error::choice("index", format!("below {}", self.subjects), index));
        }
        let voxels: usize = self.shape.iter().product();
        if image.len() != voxels * self.channels || label.len() != voxels {
            let expected = format!("memory for {} and {voxels} voxels", voxels * self.channels);
            return Err(Error::choice("image", expected, format!("{} and {}", image.len(), label.len())));
        }
        let subject = self.number(index);
        let voxel_to_world = self.geometry(subject);
        let contrasts = anatomy::Contrasts::new(self.body, self.seed, self.channels);
        let solids = anatomy::solids(self.body, self.seed, subject, self.classes, &contrasts);
        let drawn = render::Subject::new(self.body, self.seed, subject, solids, self.channels, self.noise);
        drawn.draw(&render::Canvas { shape: self.shape, voxel_to_world }, image, label);
        Ok(voxel_to_world)
    }

    /// Returns where the voxels of subject `index` lie; draws none.
    ///
    /// # Errors
    /// As [`Phantom::subject`].
    pub fn voxel_to_world(&self, index: usize) -> Result<VoxelToWorld, Error> {
        self.check("")?;
        if self.subjects <= index {
            return Err(Error::choice("index", format!("below {}", self.subjects), index));
        }
        Ok(self.geometry(self.number(index)))
    }

    /// Returns the name of subject `index`: `phantom_007`.
    pub fn id(&self, index: usize) -> String {
        format!("phantom_{:03}", self.number(index))
    }

    /// Returns the names of the classes, from class 1 on.
    pub fn class_names(&self) -> Vec<String> {
        (1..=self.classes).map(|class| self.body.class_name(class)).collect()
    }

    /// Returns the names of the channels.
    pub fn channel_names(&self) -> Vec<String> {
        (0..self.channels).map(|channel| self.body.modality(channel)).collect()
    }

    fn number(&self, index: usize) -> u64 {
        (self.first_subject as u64).wrapping_add(index as u64)
    }

    /// Returns where the voxels of a subject lie, in numbers that single precision has, as NIfTI-1 keeps them.
    fn geometry(&self, subject: u64) -> VoxelToWorld {
        let mut stream = Stream::new(self.seed, 0, subject, Name::new("phantom").join("geometry"));
        let orientation = if self.varied { stream.below(ORIENTATIONS.len() as u64) as usize } else { 0 };
        let axes = ORIENTATIONS[orientation];
        let mut uniform =
            |low, high| if self.varied { stream.uniform_in(low, high) } else { f64::midpoint(low, high) };
        let stretch = [0; 3].map(|_| uniform(0.98, 1.16));
        let tilt = [0; 3].map(|_| uniform(-8.0, 8.0) as f32);
        let shift = [0; 3].map(|_| uniform(-6.0, 6.0));
        let extent = self.body.extent();
        let mut linear = Affine([[0.0; 4]; 3]);
        for (axis, (world, other_way)) in axes.into_iter().enumerate() {
            let fitting = extent[world] / self.shape[axis] as f64 * stretch[axis];
            let spacing = self.spacing.map_or(fitting, |spacing| spacing[axis]);
            linear.0[world][axis] = if other_way { -spacing } else { spacing };
        }
        let turn = anatomy::rotation(tilt);
        let turn = Affine([0, 1, 2].map(|row| {
            let [x, y, z] = turn[row].map(f64::from);
            [x, y, z, 0.0]
        }));
        let mut map = turn.after(&linear);
        map.0.iter_mut().flatten().for_each(|x| *x = f64::from(*x as f32));
        let center = map.apply(self.shape.map(|n| (n as f64 - 1.0) / 2.0));
        let middle = self.body.middle();
        for (axis, row) in map.0.iter_mut().enumerate() {
            row[3] = f64::from((middle[axis] + shift[axis] - center[axis]) as f32);
        }
        VoxelToWorld(map)
    }
}

#[cfg(test)]
mod tests;
