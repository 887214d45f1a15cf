//! Subjects whose headers were read and agree.

use rayon::prelude::*;

use super::{Subject, Subjects};
use crate::affine::Affine;
use crate::error::Error;
use crate::options::ReadOptions;
use crate::volume::Volume;

/// How far apart, in millimetres, the corners of two volumes of a subject may lie, unless something else is said: more than
/// affines in single precision differ by, less than matters.
pub const GEOMETRY_TOLERANCE: f64 = 0.1;

/// The volumes of a subject, opened: headers alone.
#[derive(Debug)]
pub struct OpenSubject {
    /// Its images; their channels, one image after the other, are the subject's.
    pub images: Vec<Volume>,
    /// Its label map.
    pub label: Option<Volume>,
}

/// Subjects whose files are there, whose headers were read, and whose volumes have one shape and one place each.
#[derive(Debug)]
pub struct SubjectSet {
    // Invariant: `opened` is as long as `subjects`, and each has `channels` channels.
    subjects: Subjects,
    opened: Vec<OpenSubject>,
    channels: usize,
}

impl SubjectSet {
    /// Opens all volumes, on all threads of the current rayon pool, and compares those of each subject. Reads headers alone.
    ///
    /// `tolerance` is how far apart, in millimetres, the corners of two volumes of a subject may lie.
    ///
    /// # Errors
    /// Names the first subject in the order of the list with a file that is not there or cannot be read, two files that do
    /// not have the same shape or lie apart, a label map of several frames, or another number of channels than the first
    /// subject has.
    pub fn open(subjects: Subjects, read: &ReadOptions, tolerance: f64) -> Result<Self, Error> {
        if tolerance.is_nan() || tolerance < 0.0 {
            return Err(Error::choice("tolerance", "0 mm or more", tolerance));
        }
        subjects.check_files()?;
        let open = |subject: &Subject| OpenSubject::open(subject, read, tolerance);
        let opened: Vec<Result<OpenSubject, Error>> = subjects.as_slice().par_iter().map(open).collect();
        let opened = opened.into_iter().collect::<Result<Vec<_>, _>>()?;
        let channels = opened.first().map_or(0, OpenSubject::channels);
        for (subject, opened) in subjects.iter().zip(&opened) {
            if opened.channels() != channels {
                let expected = format!("{channels} channels, as `{}` has", subjects.as_slice()[0].id);
                let found = opened.channels();
                return Err(Error::choice("images", expected, found).of_subject(&subject.id));
            }
        }
        Ok(Self { subjects, opened, channels })
    }

    /// Returns the list.
    pub fn subjects(&self) -> &Subjects {
        &self.subjects
    }

    /// Returns how many subjects there are.
    pub fn len(&self) -> usize {
        self.opened.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.opened.is_empty()
    }

    /// Returns how many channels each subject has.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Returns the volumes of a subject.
    ///
    /// # Panics
    /// Panics if there is no such subject.
    pub fn volumes(&self, index: usize) -> &OpenSubject {
        &self.opened[index]
    }
}

impl OpenSubject {
    /// Opens the volumes of a subject and compares them; reads headers alone.
    ///
    /// # Errors
    /// Names the file that cannot be read, or two files that do not have the same shape or lie apart by more than
    /// `tolerance` mm at a corner.
    pub fn open(subject: &Subject, read: &ReadOptions, tolerance: f64) -> Result<Self, Error> {
        let open = |path| Volume::open_with(path, read).map_err(|error| error.of_subject(&subject.id));
        let images = subject.images.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let label = subject.label.as_ref().map(open).transpose()?;
        for other in images.iter().skip(1).chain(&label) {
            compare(&subject.id, &images[0], other, tolerance)?;
        }
        if let Some(label) = &label {
            one_frame("label", label).map_err(|error| error.of_subject(&subject.id))?;
        }
        Ok(Self { images, label })
    }

    /// Returns how many channels its images have together.
    pub fn channels(&self) -> usize {
        self.images.iter().map(Volume::channels).sum()
    }
}

/// Refuses a map of several frames.
pub(crate) fn one_frame(what: &str, map: &Volume) -> Result<(), Error> {
    if map.channels() == 1 {
        return Ok(());
    }
    Err(Error::choice(format!("the {what} map {}", map.path().display()), "of one frame", map.channels()))
}

/// Compares shape and place of two volumes of a subject.
pub(crate) fn compare(subject: &str, first: &Volume, second: &Volume, tolerance: f64) -> Result<(), Error> {
    if first.shape() != second.shape() {
        return Err(Error::Shapes {
            subject: subject.to_owned(),
            first: first.path().to_owned(),
            second: second.path().to_owned(),
            shapes: Box::new([first.shape(), second.shape()]),
        });
    }
    let affines = [first, second].map(|volume| volume.geometry().voxel_to_world().0);
    let apart = corners_apart(&affines, first.shape());
    if tolerance < apart {
        return Err(Error::Affines {
            subject: subject.to_owned(),
            first: first.path().to_owned(),
            second: second.path().to_owned(),
            affines: Box::new(affines),
            apart,
            tolerance,
        });
    }
    Ok(())
}

/// Returns the greatest distance between corners of a shape under two maps, in millimetres. Maps are affine, so nothing
/// within lies further apart.
pub(crate) fn corners_apart(affines: &[Affine; 2], shape: [usize; 3]) -> f64 {
    let corner =
        |number: usize| [0, 1, 2].map(|axis| ((shape[axis].max(1) - 1) * (number >> axis & 1)) as f64);
    let apart = |number: usize| {
        let [a, b] = [&affines[0], &affines[1]].map(|affine| affine.apply(corner(number)));
        (0..3).map(|axis| (a[axis] - b[axis]) * (a[axis] - b[axis])).sum::<f64>().sqrt()
    };
    (0..8).map(apart).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::affine::VoxelToWorld;
    use crate::voxels::VoxelSlice;
    use crate::write::{NewVolume, WriteOptions};

    fn write(folder: &Path, name: &str, shape: [usize; 3], affine: Affine) -> PathBuf {
        let path = folder.join(name);
        let voxels = vec![1_u8; shape.iter().product()];
        let volume = NewVolume {
            voxels: VoxelSlice::U8(&voxels),
            shape,
            channels: 1,
            voxel_to_world: VoxelToWorld(affine),
        };
        volume.write(&path, &WriteOptions::default()).unwrap();
        path
    }

    fn open(images: Vec<PathBuf>, label: Option<PathBuf>) -> Result<SubjectSet, Error> {
        let subject = Subject { id: "s".to_owned(), images, label, ..Subject::default() };
        SubjectSet::open(Subjects::new(vec![subject]).unwrap(), &ReadOptions::default(), GEOMETRY_TOLERANCE)
    }

    #[test]
    fn volumes_of_a_subject_that_do_not_agree_are_an_error_that_names_both() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str, shape, affine| write(folder.path(), name, shape, affine);
        let first = at("a.nii", [4, 5, 6], Affine::IDENTITY);
        let near = at("near.nii.gz", [4, 5, 6], Affine::translation([0.05, 0.0, 0.0]));
        let far = at("far.nii", [4, 5, 6], Affine::scale([1.0, 1.0, 1.1]));
        let small = at("small.nii", [4, 5, 5], Affine::IDENTITY);
        let set = open(vec![first.clone(), near.clone()], Some(near)).unwrap();
        assert_eq!((set.channels(), set.len(), set.volumes(0).images.len()), (2, 1, 2));
        let text = |result: Result<SubjectSet, Error>| {
            result.unwrap_err().to_string().replace(folder.path().to_str().unwrap(), "DIR")
        };
        assert_eq!(
            text(open(vec![first.clone()], Some(small))),
            "subject `s`: DIR/a.nii has the shape [4, 5, 6], and DIR/small.nii has [4, 5, 5] (x, y, z)"
        );
        let message = text(open(vec![first.clone(), far], None));
        assert!(
            message.starts_with(
                "subject `s`: DIR/a.nii and DIR/far.nii lie 0.500 mm apart at a corner, and at most 0.1 mm"
            ),
            "{message}"
        );
        let message = text(open(vec![first], Some(folder.path().join("none.nii"))));
        assert_eq!(message, "list of subjects, number 0: there is no file DIR/none.nii");
    }

    #[test]
    fn subjects_with_other_numbers_of_channels_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), "a.nii", [2, 2, 2], Affine::IDENTITY);
        let subject =
            |id: &str, n| Subject { id: id.to_owned(), images: vec![path.clone(); n], ..Subject::default() };
        let subjects = Subjects::new(vec![subject("a", 1), subject("b", 2)]).unwrap();
        let error = SubjectSet::open(subjects, &ReadOptions::default(), 0.0).unwrap_err();
        assert_eq!(
            batchwright_core::chain(&error),
            "subject `b`: `images` must be 1 channels, as `a` has, found 2"
        );
    }
}
