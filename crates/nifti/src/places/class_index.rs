//! Where the voxels of each class of a label map are.

use std::collections::BTreeMap;
use std::path::Path;

use batchwright_core::Stream;

use super::voxel_at;
use super::weights::check_length;
use crate::error::Error;
use crate::region::Region;
use crate::voxels::{Voxel, VoxelSlice, with_voxels};

/// A label map as stored.
#[derive(Clone, Copy, Debug)]
pub struct LabelMap<'a> {
    /// Its file, for errors.
    pub path: &'a Path,
    /// Its voxels, x fastest.
    pub voxels: VoxelSlice<'a>,
    /// Its shape, x, y, z.
    pub shape: [usize; 3],
}

/// Where the voxels of each class of a label map are: all of them for classes of up to `cap` voxels, `cap` of them for
/// others. Counts are always of all.
///
/// Which voxels of a large class are kept is a function of the label map alone: the `cap` with the smallest output number
/// `offset` (x fastest, from 0) of the `SplitMix64` generator of seed 0 (Steele, Lea and Flood 2014), that is, a uniform
/// sample without replacement as good as that generator is. It takes one pass over the voxels and memory for `1.25 cap`
/// offsets a class while it is made; then 4 bytes a kept voxel (8 in volumes of 2^32 voxels and more).
///
/// ```
/// use std::path::Path;
/// use batchwright_nifti::{ClassIndex, LabelMap, VoxelSlice};
/// let labels = LabelMap { path: Path::new("label.nii"), voxels: VoxelSlice::U8(&[0, 0, 2, 1, 0, 2]), shape: [3, 2, 1] };
/// let index = ClassIndex::of(&labels, ClassIndex::CAP, |stored| Ok(stored as i64))?;
/// assert_eq!(index.classes().collect::<Vec<_>>(), [(0, 3), (1, 1), (2, 2)]);
/// assert_eq!(index.voxels(2).collect::<Vec<_>>(), [[2, 0, 0], [2, 1, 0]]);
/// # Ok::<(), batchwright_nifti::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassIndex {
    shape: [usize; 3],
    cap: u64,
    // Invariants: classes rise; each has min(count, cap) offsets, which rise; counts sum up to the voxels of the shape.
    classes: Vec<Class>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Class {
    label: i64,
    count: u64,
    offsets: Offsets,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Offsets {
    Narrow(Vec<u32>),
    Wide(Vec<u64>),
}

impl Offsets {
    fn len(&self) -> usize {
        match self {
            Self::Narrow(offsets) => offsets.len(),
            Self::Wide(offsets) => offsets.len(),
        }
    }

    fn at(&self, index: usize) -> u64 {
        match self {
            Self::Narrow(offsets) => u64::from(offsets[index]),
            Self::Wide(offsets) => offsets[index],
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Narrow(offsets) => 4 * offsets.len(),
            Self::Wide(offsets) => 8 * offsets.len(),
        }
    }
}

/// Output number `n` of `SplitMix64` with seed 0. It never gives the same number twice.
#[inline]
fn split_mix(n: u64) -> u64 {
    let x = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The voxels of a class while they are collected.
#[derive(Debug)]
struct Collected {
    label: i64,
    count: u64,
    cap: usize,
    /// Voxels whose number is above it are not among the first `cap`.
    limit: u64,
    offsets: Vec<u64>,
}

impl Collected {
    fn add(&mut self, start: u64, end: u64) {
        self.count += end - start;
        for offset in start..end {
            if split_mix(offset) <= self.limit {
                self.offsets.push(offset);
                if self.cap + self.cap / 4 < self.offsets.len() {
                    self.cut();
                }
            }
        }
    }

    /// Keeps the `cap` voxels with the smallest numbers.
    fn cut(&mut self) {
        if self.cap < self.offsets.len() {
            let (_, &mut last, _) =
                self.offsets.select_nth_unstable_by_key(self.cap - 1, |&offset| split_mix(offset));
            self.limit = split_mix(last);
            self.offsets.truncate(self.cap);
        }
    }
}

impl ClassIndex {
    /// How many voxels of a class are kept unless said otherwise: 64 KiB of them.
    pub const CAP: usize = 16_384;

    /// The most classes that a label map may have; more are a sign of a picture taken for labels.
    pub const MOST_CLASSES: usize = 4096;

    /// Looks where the classes of a label map are.
    ///
    /// `class_of` turns a stored value into its class. It is called once for each run of equal values.
    ///
    /// # Errors
    /// Passes on what `class_of` refuses; refuses more than [`MOST_CLASSES`](Self::MOST_CLASSES) classes, a cap of 0, and
    /// voxels that are not those of the shape.
    pub fn of(
        labels: &LabelMap<'_>,
        cap: usize,
        class_of: impl FnMut(f64) -> Result<i64, Error>,
    ) -> Result<Self, Error> {
        let LabelMap { path, voxels, shape } = *labels;
        let voxel_count = Region::whole(shape)?.voxels();
        check_length(path, voxels, voxel_count)?;
        if cap == 0 {
            return Err(Error::choice("the voxels kept of a class", "at least 1", cap));
        }
        let collected = with_voxels!(voxels, voxels => collect(path, voxels, cap, class_of))?;
        let narrow = u32::try_from(voxel_count - 1).is_ok();
        let mut classes: Vec<Class> = collected
            .into_iter()
            .map(|mut collected| {
                collected.cut();
                let Collected { label, count, mut offsets, .. } = collected;
                offsets.sort_unstable();
                let offsets = if narrow {
                    Offsets::Narrow(offsets.into_iter().map(|offset| offset as u32).collect())
                } else {
                    offsets.shrink_to_fit();
                    Offsets::Wide(offsets)
                };
                Class { label, count, offsets }
            })
            .collect();
        classes.sort_unstable_by_key(|class| class.label);
        Ok(Self { shape, cap: cap as u64, classes })
    }

    /// Returns the shape of the label map.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Returns the classes of the label map and how many voxels each has, in order.
    pub fn classes(&self) -> impl ExactSizeIterator<Item = (i64, u64)> + '_ {
        self.classes.iter().map(|class| (class.label, class.count))
    }

    /// Returns how many voxels are of a class.
    pub fn count(&self, class: i64) -> u64 {
        self.find(class).map_or(0, |class| class.count)
    }

    /// Returns how many voxels are of any class but 0.
    pub fn foreground(&self) -> u64 {
        self.classes().filter(|&(class, _)| class != 0).map(|(_, count)| count).sum()
    }

    /// Returns the voxels that are kept of a class, in order.
    pub fn voxels(&self, class: i64) -> impl Iterator<Item = [usize; 3]> + '_ {
        self.find(class).into_iter().flat_map(|class| {
            (0..class.offsets.len()).map(|index| voxel_at(class.offsets.at(index), self.shape))
        })
    }

    /// Draws one of the kept voxels of a class, each equally likely, or none if the class is not there.
    pub fn draw(&self, class: i64, stream: &mut Stream) -> Option<[usize; 3]> {
        self.find(class).map(|class| self.draw_of(class, stream))
    }

    /// Draws a voxel that is not of class 0, with its class: a class in proportion to how many voxels it has, then one of
    /// its kept voxels, each equally likely; so of all foreground voxels alike, as far as they are kept. None if there is
    /// no foreground.
    pub fn draw_foreground(&self, stream: &mut Stream) -> Option<(i64, [usize; 3])> {
        let foreground = self.foreground();
        if foreground == 0 {
            return None;
        }
        let mut nth = stream.below(foreground);
        for class in self.classes.iter().filter(|class| class.label != 0) {
            if nth < class.count {
                return Some((class.label, self.draw_of(class, stream)));
            }
            nth -= class.count;
        }
        None
    }

    /// Returns the bytes that it takes in memory, but for a few per class.
    pub fn bytes(&self) -> usize {
        self.classes.iter().map(|class| class.offsets.bytes()).sum()
    }

    fn find(&self, class: i64) -> Option<&Class> {
        self.classes.binary_search_by_key(&class, |class| class.label).ok().map(|at| &self.classes[at])
    }

    fn draw_of(&self, class: &Class, stream: &mut Stream) -> [usize; 3] {
        let index = stream.below(class.offsets.len() as u64) as usize;
        voxel_at(class.offsets.at(index), self.shape)
    }
}

/// Collects the voxels of each class, run by run of equal values.
fn collect<V: Voxel>(
    path: &Path,
    voxels: &[V],
    cap: usize,
    mut class_of: impl FnMut(f64) -> Result<i64, Error>,
) -> Result<Vec<Collected>, Error> {
    let mut collected: Vec<Collected> = Vec::new();
    let mut places: BTreeMap<i64, usize> = BTreeMap::new();
    let mut start = 0;
    while start < voxels.len() {
        let value = voxels[start];
        let end = start + 1 + voxels[start + 1..].iter().take_while(|&&next| next == value).count();
        let label = class_of(value.to_f64())?;
        let at = *places.entry(label).or_insert(collected.len());
        if at == collected.len() {
            if at == ClassIndex::MOST_CLASSES {
                return Err(Error::Classes { path: path.to_owned(), most: at });
            }
            collected.push(Collected { label, count: 0, cap, limit: u64::MAX, offsets: Vec::new() });
        }
        collected[at].add(start as u64, end as u64);
        start = end;
    }
    Ok(collected)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn index(voxels: VoxelSlice<'_>, shape: [usize; 3], cap: usize) -> Result<ClassIndex, Error> {
        let labels = LabelMap { path: Path::new("label.nii"), voxels, shape };
        ClassIndex::of(&labels, cap, |stored| Ok(stored as i64))
    }

    #[test]
    fn the_numbers_are_those_of_split_mix() {
        // The first outputs for seed 0, as published with the generator.
        assert_eq!(split_mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(split_mix(1), 0x6e78_9e6a_a1b9_65f4);
        assert_eq!(split_mix(2), 0x06c4_5d18_8009_454f);
    }

    #[test]
    fn a_small_class_is_whole_and_a_large_one_is_sampled_evenly() {
        // Class 1 is every eighth voxel of 64^3; 7 has four voxels.
        let shape = [64; 3];
        let mut labels: Vec<i16> = (0..64 * 64 * 64).map(|i| i16::from(i % 8 == 3)).collect();
        for at in [0, 77, 100_000, 262_143] {
            labels[at] = 7;
        }
        let index = index(VoxelSlice::I16(&labels), shape, 4096).unwrap();
        assert_eq!(index.classes().collect::<Vec<_>>(), [(0, 229_372), (1, 32_768), (7, 4)]);
        assert_eq!(index.foreground(), 32_772);
        assert_eq!(index.voxels(7).collect::<Vec<_>>(), [[0, 0, 0], [13, 1, 0], [32, 26, 24], [63, 63, 63]]);
        for class in [0, 1] {
            let mut slabs = [0_u64; 16];
            let kept: Vec<_> = index.voxels(class).collect();
            assert_eq!(kept.len(), 4096);
            for &[x, y, z] in &kept {
                assert_eq!(labels[(z * 64 + y) * 64 + x], class as i16);
                slabs[z / 4] += 1;
            }
            // 256 in each slab; without replacement the statistic is smaller than that of independent draws.
            let statistic: f64 = slabs.iter().map(|&n| (n as f64 - 256.0).powi(2) / 256.0).sum();
            assert!(statistic < 15.0 + 2.0 * 300.0_f64.sqrt() + 40.0, "{slabs:?}");
        }
        assert_eq!(index.bytes(), 4 * (4096 + 4096 + 4));
    }

    #[test]
    fn foreground_is_drawn_by_voxels_and_a_class_by_its_own() {
        // 0: 40, 1: 10, 2: 30; at most 15 kept.
        let labels: Vec<u8> = (0..80).map(|i| if i < 40 { 0 } else { 1 + u8::from(50 <= i) }).collect();
        let index = index(VoxelSlice::U8(&labels), [80, 1, 1], 15).unwrap();
        let mut stream = Stream::new(4, 0, 0, "test");
        let mut ones = 0_u64;
        for _ in 0..10_000 {
            let (class, [x, ..]) = index.draw_foreground(&mut stream).unwrap();
            assert_eq!(i64::from(labels[x]), class);
            ones += u64::from(class == 1);
        }
        // Hoeffding: P(|S - n p| > t) <= 2 exp(-2 t^2 / n), here 4e-9.
        assert!((ones as f64 - 2500.0).abs() < (10_000.0_f64 * 10.0).sqrt(), "{ones}");
        assert!((0..100).all(|_| labels[index.draw(2, &mut stream).unwrap()[0]] == 2));
        assert_eq!(index.draw(3, &mut stream), None);
    }

    #[test]
    fn a_volume_of_background_has_no_foreground() {
        let index = index(VoxelSlice::U8(&[0; 8]), [2; 3], 4).unwrap();
        assert_eq!(index.draw_foreground(&mut Stream::new(4, 0, 0, "test")), None);
        assert_eq!((index.count(0), index.count(1)), (8, 0));
    }

    #[test]
    fn what_is_no_label_map_is_refused() {
        let picture: Vec<f32> = (0..5000).map(|i| i as f32).collect();
        let error = index(VoxelSlice::F32(&picture), [5000, 1, 1], 4).unwrap_err();
        assert!(matches!(error, Error::Classes { most: 4096, .. }), "{error}");
        assert!(matches!(index(VoxelSlice::U8(&[0; 7]), [2; 3], 4), Err(Error::VoxelCount { .. })));
        assert!(index(VoxelSlice::U8(&[0; 8]), [2; 3], 0).is_err());
        let labels = LabelMap { path: Path::new("l"), voxels: VoxelSlice::F32(&[0.5]), shape: [1; 3] };
        let refused = ClassIndex::of(&labels, 1, |value| Err(Error::choice("label", "whole", value)));
        assert!(refused.unwrap_err().to_string().contains("0.5"));
    }

    #[test]
    fn classes_can_be_merged() {
        let labels =
            LabelMap { path: Path::new("l"), voxels: VoxelSlice::U8(&[1, 2, 0, 2, 4]), shape: [5, 1, 1] };
        let merged = ClassIndex::of(&labels, 9, |stored| Ok(i64::from(0.0 < stored))).unwrap();
        assert_eq!(merged.voxels(1).map(|[x, ..]| x).collect::<Vec<_>>(), [0, 1, 3, 4]);
    }

    proptest! {
        #[test]
        fn counts_are_exact_and_classes_up_to_the_cap_are_whole(
            labels in prop::collection::vec(0_u8..5, 1..400),
            cap in 1_usize..60,
        ) {
            let index = index(VoxelSlice::U8(&labels), [labels.len(), 1, 1], cap).unwrap();
            for class in 0..5 {
                let all: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] == class).collect();
                let kept: Vec<usize> = index.voxels(i64::from(class)).map(|[x, ..]| x).collect();
                prop_assert_eq!(index.count(i64::from(class)), all.len() as u64);
                // The reference: sort all by their numbers.
                let mut expected = all.clone();
                expected.sort_by_key(|&x| split_mix(x as u64));
                expected.truncate(cap);
                expected.sort_unstable();
                prop_assert_eq!(&kept, &expected);
            }
        }
    }
}
