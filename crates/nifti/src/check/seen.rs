//! What is seen of a subject when all its voxels are read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use batchwright_core::chain;
use sha2::{Digest, Sha256};

use super::CheckOptions;
use super::report::{CheckKind, CheckProblem};

use crate::cast::{bytes_of, bytes_of_mut};
use crate::convert::Scaling;
use crate::error::Error;
use crate::geometry::{Geometry, GeometrySource};
use crate::places::WeightSums;
use crate::preprocess::{LabelVoxels, NanPolicy, Statistics, StatisticsOptions};
use crate::subjects::{Subjects, compare, corners_apart};
use crate::volume::Volume;
use crate::voxels::VoxelSlice;

/// Room for one volume, which threads use again.
#[derive(Debug, Default)]
pub(super) struct Buffer(Vec<u64>);

/// A volume that was read.
#[derive(Clone, Debug)]
pub(super) struct SeenVolume {
    pub(super) path: PathBuf,
    pub(super) spacing: [f64; 3],
    pub(super) channels: Vec<Statistics>,
    /// The SHA-256 of shape, type, scaling and voxels.
    pub(super) content: [u8; 32],
    /// How often each label comes, if it is a label map of integers.
    pub(super) labels: Option<BTreeMap<i32, u64>>,
}

impl SeenVolume {
    /// Returns whether each channel has one value, or none.
    pub(super) fn is_constant(&self) -> bool {
        self.channels.iter().all(|channel| channel.min == channel.max)
    }
}

/// A subject whose volumes were read as far as they can be.
#[derive(Debug)]
pub(super) struct SeenSubject {
    pub(super) id: String,
    pub(super) images: Vec<SeenVolume>,
    pub(super) label: Option<SeenVolume>,
    /// The file of its weights, if they could be read.
    pub(super) weights: Option<PathBuf>,
    /// The files of pairs that the list does not name.
    pub(super) others: Vec<PathBuf>,
    /// Whether every image could be read.
    pub(super) is_whole: bool,
    pub(super) problems: Vec<CheckProblem>,
}

impl SeenSubject {
    /// Reads the subject of this number in the list.
    pub(super) fn of(subjects: &Subjects, index: usize, options: &CheckOptions, buffer: &mut Buffer) -> Self {
        let subject = &subjects.as_slice()[index];
        let mut seen = Self {
            id: subject.id.clone(),
            images: Vec::new(),
            label: None,
            weights: None,
            others: Vec::new(),
            is_whole: true,
            problems: Vec::new(),
        };
        let mut first: Option<Volume> = None;
        for path in &subject.images {
            let Some((volume, image)) = seen.read(path, false, options, buffer) else {
                seen.is_whole = false;
                continue;
            };
            seen.images.push(image);
            seen.compare(first.as_ref(), &volume, options);
            first.get_or_insert(volume);
        }
        if let Some(path) = &subject.label
            && let Some((volume, label)) = seen.read(path, true, options, buffer)
        {
            seen.label = Some(label);
            seen.compare(first.as_ref(), &volume, options);
        }
        if let Some(name) = &options.weights {
            match subjects.file_of(index, name) {
                Ok(path) => seen.weigh(path, first.as_ref(), options, buffer),
                Err(error) => {
                    seen.tell(CheckKind::Missing, vec![subjects.manifest().to_owned()], chain(&error));
                }
            }
        }
        seen
    }

    /// Looks at the weights that places are drawn by.
    fn weigh(&mut self, path: PathBuf, first: Option<&Volume>, options: &CheckOptions, buffer: &mut Buffer) {
        let Some((volume, bytes)) = self.load(&path, options, buffer) else { return };
        self.compare(first, &volume, options);
        if volume.channels() == 1 {
            let voxels = VoxelSlice::of_bytes(bytes, volume.voxel_type())
                .expect("channels are whole voxels, from a multiple of 8 on");
            let Scaling { slope, inter } = volume.scaling();
            if let Err(error) = WeightSums::of(&path, voxels, volume.shape(), slope, inter) {
                self.tell(CheckKind::Weights, vec![path.clone()], chain(&error));
            }
        } else {
            let message = format!("a weight map of {} frames", volume.channels());
            self.tell(CheckKind::Channels, vec![path.clone()], message);
        }
        self.weights = Some(path);
    }

    /// Returns how many channels its images have together.
    pub(super) fn channels(&self) -> usize {
        self.images.iter().map(|image| image.channels.len()).sum()
    }

    /// Returns a channel of its images, counted over all of them.
    pub(super) fn channel(&self, channel: usize) -> Option<(&SeenVolume, &Statistics)> {
        let mut channels =
            self.images.iter().flat_map(|image| image.channels.iter().map(move |c| (image, c)));
        // With an image missing, channels cannot be told apart by their number.
        channels.nth(channel).filter(|_| self.is_whole)
    }

    fn tell(&mut self, kind: CheckKind, files: Vec<PathBuf>, message: String) {
        let problem = CheckProblem::new(kind, &[&self.id], files, message);
        self.problems.push(problem);
    }

    fn compare(&mut self, first: Option<&Volume>, volume: &Volume, options: &CheckOptions) {
        let Some(first) = first else { return };
        let Err(error) = compare(&self.id, first, volume, options.tolerance) else { return };
        let files = vec![first.path().to_owned(), volume.path().to_owned()];
        let (kind, message) = match &error {
            Error::Shapes { shapes, .. } => {
                (CheckKind::Shape, format!("shapes {:?} and {:?} (x, y, z)", shapes[0], shapes[1]))
            }
            Error::Affines { affines, apart, tolerance, .. } => {
                let message = format!(
                    "corners {apart:.3} mm apart, and at most {tolerance} mm are tolerated; affines {:?} and {:?}",
                    affines[0].0, affines[1].0
                );
                (CheckKind::Place, message)
            }
            _ => (CheckKind::Unreadable, chain(&error)),
        };
        self.tell(kind, files, message);
    }

    /// Opens and reads a volume, and tells of what is wrong with its file.
    fn load<'a>(
        &mut self,
        path: &Path,
        options: &CheckOptions,
        buffer: &'a mut Buffer,
    ) -> Option<(Volume, &'a [u8])> {
        let file = || vec![path.to_owned()];
        if !path.is_file() {
            self.tell(CheckKind::Missing, file(), "there is no such file".to_owned());
            return None;
        }
        let read = Volume::open_with(path, &options.read).and_then(|volume| {
            let bytes = volume.stored_bytes() as usize;
            let head = volume.head_room().next_multiple_of(8);
            let words = (head + bytes).div_ceil(8);
            if buffer.0.len() < words {
                // The old room goes first, and the new one is no larger than it must be.
                drop(std::mem::take(&mut buffer.0));
                buffer.0 = vec![0; words];
            }
            volume.read_all_at(bytes_of_mut(&mut buffer.0), head)?;
            Ok((volume, head, bytes))
        });
        let (volume, head, bytes) = match read {
            Ok(read) => read,
            Err(error) => {
                self.tell(CheckKind::Unreadable, file(), chain(&error));
                return None;
            }
        };
        let bytes = &bytes_of(&buffer.0)[head..head + bytes];
        for warning in volume.warnings() {
            self.tell(CheckKind::Header, file(), warning.to_string());
        }
        if let Some(apart) = forms_apart(&volume).filter(|apart| options.tolerance < *apart) {
            self.tell(
                CheckKind::Forms,
                file(),
                format!("sform and qform are {apart:.3} mm apart at a corner"),
            );
        }
        for part in [volume.image_path(), volume.header_path()] {
            if part != path {
                self.others.push(part.to_owned());
            }
        }
        Some((volume, bytes))
    }

    /// Opens and reads a volume, and tells of what is wrong with it by itself.
    fn read(
        &mut self,
        path: &Path,
        is_label: bool,
        options: &CheckOptions,
        buffer: &mut Buffer,
    ) -> Option<(Volume, SeenVolume)> {
        let (volume, bytes) = self.load(path, options, buffer)?;
        let mut seen = SeenVolume {
            path: path.to_owned(),
            spacing: volume.geometry().spacing(),
            channels: Vec::new(),
            content: content(&volume, bytes),
            labels: None,
        };
        for (channel, bytes) in bytes.chunks_exact(volume.channel_bytes().max(1)).enumerate() {
            let voxels = VoxelSlice::of_bytes(bytes, volume.voxel_type())
                .expect("channels are whole voxels, from a multiple of 8 on");
            let statistics = Statistics::of(voxels, volume.scaling(), None, &StatisticsOptions::default());
            match statistics {
                Ok(statistics) => {
                    if !is_label {
                        self.judge(path, channel, volume.channels(), &statistics, options);
                    }
                    seen.channels.push(statistics);
                }
                Err(error) => self.tell(CheckKind::Unreadable, vec![path.to_owned()], chain(&error)),
            }
        }
        if is_label {
            self.count(&volume, bytes, options, &mut seen);
        }
        Some((volume, seen))
    }

    /// Tells of a channel without information.
    fn judge(
        &mut self,
        path: &Path,
        channel: usize,
        channels: usize,
        of: &Statistics,
        options: &CheckOptions,
    ) {
        let place = if channels == 1 { String::new() } else { format!("channel {channel}: ") };
        let file = || vec![path.to_owned()];
        if 0 < of.nan + of.infinite {
            let kind =
                if options.nan == NanPolicy::Error { CheckKind::NotFinite } else { CheckKind::Replaced };
            let message =
                format!("{place}{} voxels are NaN and {} infinite, of {}", of.nan, of.infinite, of.voxels);
            self.tell(kind, file(), message);
        }
        if of.count == 0 {
            self.tell(CheckKind::Empty, file(), format!("{place}no voxel is a finite number"));
        } else if of.min == of.max && of.min == 0.0 {
            self.tell(CheckKind::Empty, file(), format!("{place}every voxel is 0"));
        } else if of.min == of.max {
            self.tell(CheckKind::Constant, file(), format!("{place}every voxel is {}", of.min));
        }
    }

    fn count(&mut self, volume: &Volume, bytes: &[u8], options: &CheckOptions, seen: &mut SeenVolume) {
        let file = || vec![volume.path().to_owned()];
        if volume.channels() != 1 {
            self.tell(CheckKind::Channels, file(), format!("a label map of {} frames", volume.channels()));
            return;
        }
        let voxels = VoxelSlice::of_bytes(bytes, volume.voxel_type()).expect("as its only channel");
        let map =
            LabelVoxels { path: volume.path(), shape: volume.shape(), voxels, scaling: volume.scaling() };
        match map.count(&options.labels) {
            Ok(counts) => seen.labels = Some(counts),
            Err(Error::LabelValue { value, place, expected, .. }) => {
                let message =
                    format!("the value {value} at voxel {place:?} (x, y, z), and labels are {expected}");
                self.tell(CheckKind::NotInteger, file(), message);
            }
            Err(error) => self.tell(CheckKind::Unreadable, file(), chain(&error)),
        }
    }
}

/// Returns how far the corners of a volume are apart under its sform and its qform, if it has both.
fn forms_apart(volume: &Volume) -> Option<f64> {
    if volume.geometry().source() != GeometrySource::Sform {
        return None;
    }
    let mut header = volume.header().clone();
    header.sform_code = 0;
    let (other, _) = Geometry::of(&header);
    let affines = [volume.geometry().voxel_to_world().0, other.voxel_to_world().0];
    (other.source() == GeometrySource::Qform).then(|| corners_apart(&affines, volume.shape()))
}

/// Returns a hash of what a volume shows, whatever its compression and byte order.
fn content(volume: &Volume, bytes: &[u8]) -> [u8; 32] {
    let scaling = volume.scaling();
    let mut hash = Sha256::new();
    hash.update(volume.voxel_type().name());
    for number in volume.shape().into_iter().chain([volume.channels()]) {
        hash.update((number as u64).to_le_bytes());
    }
    for number in [scaling.slope, scaling.inter] {
        hash.update(number.to_bits().to_le_bytes());
    }
    hash.update(bytes);
    hash.finalize().into()
}
