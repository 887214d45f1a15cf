//! Which sample of a data set is which patch of which subject.

use std::ops::Range;

use crate::error::Error;

/// Numbers the patches of all subjects: those of subject 0, then those of subject 1, and so on.
///
/// So every subject comes with exactly its patches wherever every sample comes exactly once, and the patches of one
/// volume are neighbours: a windowed order whose blocks are the patches of a subject opens few volumes at a time
/// (core's `Windowed::new(plan.len(), k, window)` where all have k, else `WindowedBlocks::new(plan.blocks(), window)`).
///
/// ```
/// use batchwright_nifti::PatchPlan;
/// let plan = PatchPlan::even(10, 4)?;
/// assert_eq!((plan.len(), plan.at(9)), (40, (2, 1)));
/// let grid = PatchPlan::uneven(vec![8, 12, 1])?;
/// assert_eq!((grid.len(), grid.at(20), grid.samples(1)), (21, (2, 0), 8..20));
/// # Ok::<(), batchwright_nifti::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchPlan(Plan);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Plan {
    /// As many patches for each subject.
    Even { subjects: usize, patches: usize },
    /// The first sample of each subject, and after the last.
    Uneven { firsts: Vec<usize> },
}

impl PatchPlan {
    /// Plans `patches` patches for each of `subjects` subjects.
    ///
    /// # Errors
    /// Refuses no patches, and more of them than can be counted.
    pub fn even(subjects: usize, patches: usize) -> Result<Self, Error> {
        if patches == 0 || subjects.checked_mul(patches).is_none() {
            return Err(Error::choice("patch.per_volume", "a whole number of at least 1", patches));
        }
        Ok(Self(Plan::Even { subjects, patches }))
    }

    /// Plans as many patches for each subject as `counts` says: of a grid, each has its own number.
    ///
    /// # Errors
    /// Refuses a subject without patches, and more of them than can be counted.
    pub fn uneven(counts: impl IntoIterator<Item = usize>) -> Result<Self, Error> {
        let mut firsts = vec![0];
        let mut sum = 0_usize;
        for count in counts {
            sum = sum.checked_add(count).filter(|_| 0 < count).ok_or_else(|| {
                let subject = firsts.len() - 1;
                Error::choice(
                    "patch",
                    "at least 1 patch for each subject",
                    format!("{count} of subject {subject}"),
                )
            })?;
            firsts.push(sum);
        }
        Ok(Self(Plan::Uneven { firsts }))
    }

    /// Returns how many patches there are of all subjects.
    pub fn len(&self) -> usize {
        match &self.0 {
            Plan::Even { subjects, patches } => subjects * patches,
            Plan::Uneven { firsts } => firsts[firsts.len() - 1],
        }
    }

    /// Returns whether there is no subject.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many subjects there are.
    pub fn subjects(&self) -> usize {
        match &self.0 {
            Plan::Even { subjects, .. } => *subjects,
            Plan::Uneven { firsts } => firsts.len() - 1,
        }
    }

    /// Returns the subject of sample `index`, and which of its patches it is.
    ///
    /// # Panics
    /// Panics if `self.len() <= index`.
    pub fn at(&self, index: usize) -> (usize, usize) {
        assert!(index < self.len(), "sample {index} of {}", self.len());
        match &self.0 {
            Plan::Even { patches, .. } => (index / patches, index % patches),
            Plan::Uneven { firsts } => {
                let subject = firsts.partition_point(|&first| first <= index) - 1;
                (subject, index - firsts[subject])
            }
        }
    }

    /// Returns the samples that are the patches of a subject.
    ///
    /// # Panics
    /// Panics if there is no such subject.
    pub fn samples(&self, subject: usize) -> Range<usize> {
        assert!(subject < self.subjects(), "subject {subject} of {}", self.subjects());
        match &self.0 {
            Plan::Even { patches, .. } => subject * patches..(subject + 1) * patches,
            Plan::Uneven { firsts } => firsts[subject]..firsts[subject + 1],
        }
    }

    /// Returns the number of patches of each subject, in order: the blocks of a windowed order.
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = u64> + '_ {
        (0..self.subjects()).map(|subject| self.samples(subject).len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_patches_are_refused() {
        assert!(PatchPlan::even(3, 0).is_err());
        assert!(PatchPlan::even(usize::MAX, 2).is_err());
        assert!(PatchPlan::uneven([1, 0, 2]).unwrap_err().to_string().contains("0 of subject 1"));
        assert!(PatchPlan::uneven([usize::MAX, 1]).is_err());
        assert!(PatchPlan::uneven([]).unwrap().is_empty());
        assert!(PatchPlan::even(0, 3).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn every_patch_of_every_subject_has_one_number(counts in prop::collection::vec(1_usize..20, 1..20)) {
            let even = PatchPlan::even(counts.len(), counts[0]).unwrap();
            let uneven = PatchPlan::uneven(counts.iter().copied()).unwrap();
            let expected: Vec<_> =
                counts.iter().enumerate().flat_map(|(s, &n)| (0..n).map(move |p| (s, p))).collect();
            prop_assert_eq!((0..uneven.len()).map(|i| uneven.at(i)).collect::<Vec<_>>(), expected);
            prop_assert!((0..even.len()).all(|i| even.at(i) == (i / counts[0], i % counts[0])));
            for plan in [even, uneven] {
                prop_assert_eq!(plan.subjects(), counts.len());
                prop_assert_eq!(plan.blocks().sum::<u64>(), plan.len() as u64);
                for subject in 0..plan.subjects() {
                    prop_assert!(plan.samples(subject).enumerate().all(|(p, i)| plan.at(i) == (subject, p)));
                }
            }
        }
    }
}
