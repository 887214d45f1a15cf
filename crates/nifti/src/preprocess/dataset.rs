//! Statistics of the training subjects of a data set.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::moments::{Moments, NotFinite};
use super::percentile::{HighCounts, Keyed, Selection, count_high, no_high_counts};
use super::statistics::{Statistics, StatisticsOptions, each_scaled, measure};
use crate::convert::Scaling;
use crate::error::Error;
use crate::voxels::VoxelSlice;

/// Takes a channel: its voxels, its scaling, and a byte for each voxel that is not 0 where its label is not 0.
pub type Visit<'a> = dyn FnMut(VoxelSlice<'_>, Scaling, Option<&[u8]>) -> Result<(), Error> + 'a;

/// Who reads the channels of subjects: from files, or through a cache. Called by several threads at once.
pub trait ChannelReader: Sync {
    /// Reads a channel of a subject and hands it to `visit`, once, with labels if `labels` asks for them.
    ///
    /// # Errors
    /// Names the file that cannot be read; returns what `visit` returns.
    fn read(
        &self,
        subject: usize,
        channel: usize,
        labels: Labelled,
        visit: &mut Visit<'_>,
    ) -> Result<(), Error>;
}

/// Whether labels are needed with a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labelled {
    /// They are.
    Yes,
    /// They are not.
    No,
}

/// Statistics of each channel of the training subjects of a data set, after the scaling of the files: what is stored with a
/// run, so that validation and later use are normalised in the same way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetStatistics {
    /// How many subjects they are of.
    pub subjects: usize,
    /// Each channel's; nothing for a channel that none was asked of. Percentiles are of values rounded to single precision.
    pub channels: Vec<Option<Statistics>>,
}

/// What is gathered of one channel in the first pass.
struct Gathered {
    /// By the position of the subject in the list.
    parts: Vec<(usize, Moments, NotFinite, u64)>,
    highs: HighCounts,
}

impl DatasetStatistics {
    /// Computes statistics of each channel over the given subjects (the training side of a split), on all threads of the
    /// current rayon pool. `options` has an entry for each channel.
    ///
    /// The result is the same for any number of threads: each volume is summed by itself, volumes are joined in the order of
    /// `subjects`, and counts are integers. Percentiles are exact, over all voxels; they need a second pass over the
    /// subjects. A thread holds what the reader holds, and at most 0.5 MiB for each rank that percentiles need.
    ///
    /// # Errors
    /// Refuses no subjects; returns what the reader returns.
    pub fn of(
        reader: &impl ChannelReader,
        subjects: &[usize],
        options: &[Option<StatisticsOptions>],
    ) -> Result<Self, Error> {
        if subjects.is_empty() {
            return Err(Error::NoStatistic {
                key: "normalize".to_owned(),
                needed: "at least one training subject".to_owned(),
                problem: "there is none".to_owned(),
            });
        }
        for percent in options.iter().flatten().flat_map(|options| &options.percentiles) {
            if !(0.0..=100.0).contains(percent) {
                return Err(Error::choice("percentiles", "from 0 to 100", percent));
            }
        }
        let gathered = first_pass(reader, subjects, options)?;
        let selections = second_pass(reader, subjects, options, &gathered)?;
        let channel = |((options, gathered), selection): (
            (&Option<StatisticsOptions>, Gathered),
            Option<Selection>,
        )| {
            let options = options.as_ref()?;
            let (mut moments, mut bad, mut voxels) = (Moments::NONE, NotFinite::default(), 0);
            let mut parts = gathered.parts;
            parts.sort_by_key(|part| part.0);
            for (_, part, part_bad, part_voxels) in parts {
                moments = moments.join(part);
                bad.nan += part_bad.nan;
                bad.infinite += part_bad.infinite;
                voxels += part_voxels;
            }
            if moments.min == moments.max {
                (moments.mean, moments.squares) = (moments.min, 0.0);
            }
            let values = selection.map_or_else(Vec::new, |selection| {
                let values = selection.percentiles(&options.percentiles, f32::value);
                options.percentiles.iter().copied().zip(values).collect()
            });
            Some(Statistics::new(moments, bad, voxels, values))
        };
        let channels = options.iter().zip(gathered).zip(selections).map(channel).collect();
        Ok(Self { subjects: subjects.len(), channels })
    }

    /// Returns the statistics of a channel, if they were asked for.
    pub fn channel(&self, channel: usize) -> Option<&Statistics> {
        self.channels.get(channel)?.as_ref()
    }
}

impl StatisticsOptions {
    fn labelled(&self) -> Labelled {
        if self.mask == super::Mask::Label { Labelled::Yes } else { Labelled::No }
    }
}

/// Moments of each volume, and counts of the upper halves of all voxels.
fn first_pass(
    reader: &impl ChannelReader,
    subjects: &[usize],
    options: &[Option<StatisticsOptions>],
) -> Result<Vec<Gathered>, Error> {
    let empty = || -> Vec<Gathered> {
        options.iter().map(|_| Gathered { parts: Vec::new(), highs: no_high_counts() }).collect()
    };
    let of_subject = |mut all: Vec<Gathered>, (position, &subject): (usize, &usize)| {
        for (channel, (gathered, options)) in all.iter_mut().zip(options).enumerate() {
            let Some(options) = options else { continue };
            reader.read(subject, channel, options.labelled(), &mut |voxels, scaling, inside| {
                let (moments, bad, _) = measure(voxels, scaling, inside, options.mask, &[])?;
                gathered.parts.push((position, moments, bad, voxels.len() as u64));
                if options.percentiles.is_empty() {
                    return Ok(());
                }
                let highs = &mut gathered.highs;
                each_scaled(voxels, scaling, inside, options.mask, |value| {
                    count_high(highs, (value as f32).key());
                })
            })?;
        }
        Ok(all)
    };
    let join = |mut all: Vec<Gathered>, other: Vec<Gathered>| {
        for (gathered, other) in all.iter_mut().zip(other) {
            gathered.parts.extend(other.parts);
            for (count, other) in gathered.highs.iter_mut().zip(&other.highs) {
                *count += other;
            }
        }
        Ok(all)
    };
    subjects.par_iter().enumerate().try_fold(empty, of_subject).try_reduce(empty, join)
}

/// Counts of the lower halves where percentiles lie.
fn second_pass(
    reader: &impl ChannelReader,
    subjects: &[usize],
    options: &[Option<StatisticsOptions>],
    gathered: &[Gathered],
) -> Result<Vec<Option<Selection>>, Error> {
    let selection = |(options, gathered): (&Option<StatisticsOptions>, &Gathered)| {
        let percentiles = &options.as_ref()?.percentiles;
        (!percentiles.is_empty()).then(|| Selection::new(&gathered.highs, percentiles))
    };
    let selections: Vec<Option<Selection>> = options.iter().zip(gathered).map(selection).collect();
    if selections.iter().all(Option::is_none) {
        return Ok(selections);
    }
    let empty = || selections.clone();
    let of_subject = |mut all: Vec<Option<Selection>>, &subject: &usize| {
        for (channel, (selection, options)) in all.iter_mut().zip(options).enumerate() {
            let (Some(selection), Some(options)) = (selection, options) else { continue };
            reader.read(subject, channel, options.labelled(), &mut |voxels, scaling, inside| {
                each_scaled(voxels, scaling, inside, options.mask, |value| {
                    selection.count((value as f32).key());
                })
            })?;
        }
        Ok(all)
    };
    let join = |mut all: Vec<Option<Selection>>, other: Vec<Option<Selection>>| {
        for (selection, other) in all.iter_mut().zip(&other) {
            if let (Some(selection), Some(other)) = (selection, other) {
                selection.add(other);
            }
        }
        Ok(all)
    };
    subjects.par_iter().try_fold(empty, of_subject).try_reduce(empty, join)
}

#[cfg(test)]
mod tests {
    use super::super::Mask;
    use super::*;

    /// Subjects of two channels: bytes with a scaling, and floats.
    struct Made {
        bytes: Vec<Vec<u8>>,
        floats: Vec<Vec<f32>>,
    }

    impl ChannelReader for Made {
        fn read(
            &self,
            subject: usize,
            channel: usize,
            labels: Labelled,
            visit: &mut Visit<'_>,
        ) -> Result<(), Error> {
            let inside: Vec<u8> = self.bytes[subject].iter().map(|&byte| u8::from(100 < byte)).collect();
            let inside = (labels == Labelled::Yes).then_some(inside.as_slice());
            let scaling = Scaling { slope: -0.25 - subject as f64, inter: 3.0 };
            match channel {
                0 => visit(VoxelSlice::U8(&self.bytes[subject]), scaling, inside),
                _ => {
                    visit(VoxelSlice::F32(&self.floats[subject]), Scaling { slope: 1.0, inter: 0.0 }, inside)
                }
            }
        }
    }

    fn made() -> Made {
        let bytes =
            (0..9).map(|s| (0..500 + s).map(|i| ((i * 7919 + s * 31) % 251) as u8).collect()).collect();
        let floats = (0..9)
            .map(|s| {
                let float = |i: usize| ((i * 104_729 + s * 37) % 1009) as f32 * 0.37 - 100.0;
                let mut floats: Vec<f32> = (0..500 + s).map(float).collect();
                floats[s] = f32::NAN;
                floats
            })
            .collect();
        Made { bytes, floats }
    }

    /// A reader that cannot.
    struct Broken;

    impl ChannelReader for Broken {
        fn read(&self, subject: usize, _: usize, _: Labelled, _: &mut Visit<'_>) -> Result<(), Error> {
            Err(Error::choice("x", "y", subject))
        }
    }

    fn options(mask: Mask) -> StatisticsOptions {
        StatisticsOptions { mask, percentiles: vec![0.5, 50.0, 99.5] }
    }

    #[test]
    fn statistics_of_a_data_set_are_those_of_all_its_voxels_together() {
        let made = made();
        let subjects = [7, 1, 4];
        let found = DatasetStatistics::of(
            &made,
            &subjects,
            &[Some(options(Mask::Label)), Some(options(Mask::Whole))],
        )
        .unwrap();
        let mut first: Vec<f32> = Vec::new();
        let mut second: Vec<f32> = Vec::new();
        for s in subjects {
            let scaled = made.bytes[s].iter().filter(|&&byte| 100 < byte);
            first.extend(scaled.map(|&byte| (f64::from(byte) * (-0.25 - s as f64) + 3.0) as f32));
            second.extend(made.floats[s].iter().filter(|x| x.is_finite()));
        }
        for (channel, values) in [first, second].iter().enumerate() {
            let found = found.channel(channel).unwrap();
            let direct = Statistics::of(
                VoxelSlice::F32(values),
                Scaling { slope: 1.0, inter: 0.0 },
                None,
                &options(Mask::Whole),
            )
            .unwrap();
            assert_eq!((found.count, found.min, found.max), (direct.count, direct.min, direct.max));
            assert_eq!(found.percentiles, direct.percentiles);
            assert!((found.mean - direct.mean).abs() < 1e-9 && (found.std / direct.std - 1.0).abs() < 1e-12);
        }
        assert_eq!(found.channel(1).unwrap().nan, 3);
        assert_eq!(found.subjects, 3);
    }

    #[test]
    fn the_bits_are_the_same_for_any_number_of_threads_and_survive_being_written() {
        let made = made();
        let all: Vec<usize> = (0..9).collect();
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                DatasetStatistics::of(&made, &all, &[Some(options(Mask::Above(-10.0))), None]).unwrap()
            })
        };
        let one = with(1);
        assert!((2..8).all(|threads| with(threads) == one));
        assert!(one.channel(1).is_none());
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(serde_json::from_str::<DatasetStatistics>(&text).unwrap(), one);
    }

    #[test]
    fn no_subjects_and_the_errors_of_the_reader_are_errors() {
        assert!(DatasetStatistics::of(&made(), &[], &[Some(options(Mask::Whole))]).is_err());
        let error = DatasetStatistics::of(&Broken, &[5], &[Some(options(Mask::Whole))]).unwrap_err();
        assert_eq!(error.to_string(), "`x` must be y, found 5");
    }
}
