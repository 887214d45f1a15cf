//! Statistics of one volume.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::moments::{Moments, NotFinite, moments};
use super::nan::NanPolicy;
use super::percentile::{self, Keyed};
use crate::convert::Scaling;
use crate::error::Error;
use crate::voxels::{Voxel, VoxelSlice, with_voxels};

/// Which voxels a statistic is of. Values are those after the scaling of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Mask {
    /// All.
    #[default]
    Whole,
    /// Those that are not 0.
    Nonzero,
    /// Those above a value.
    Above(f64),
    /// Those whose label is not 0.
    Label,
}

/// What is computed of a volume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatisticsOptions {
    /// Which voxels count.
    pub mask: Mask,
    /// Percentiles that are wanted, from 0 to 100.
    pub percentiles: Vec<f64>,
}

/// Statistics of the voxels of a volume or a data set, after the scaling of the files. Only finite voxels count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statistics {
    /// How many voxels there are.
    pub voxels: u64,
    /// How many of them are NaN.
    pub nan: u64,
    /// How many of them are infinite.
    pub infinite: u64,
    /// How many are finite and in the mask: what the rest is of. Without any, the rest is 0.
    pub count: u64,
    /// The smallest value.
    pub min: f64,
    /// The greatest value.
    pub max: f64,
    /// The mean.
    pub mean: f64,
    /// The standard deviation, divided by the count.
    pub std: f64,
    /// Percentiles: how many percent, and the value, linear between ranks as NumPy computes it by default.
    pub percentiles: Vec<(f64, f64)>,
}

impl Statistics {
    /// Computes statistics of one channel. `inside` has a byte for each voxel, not 0 where its label is not 0; it is
    /// looked at for [`Mask::Label`] alone.
    ///
    /// Integers of 8 and 16 bits are counted, and everything is exact; sums of the others are in double precision, in 8
    /// lanes in a fixed order. Percentiles are exact; no copy of voxels is made but for types of 64 bits. Runs on the
    /// calling thread.
    ///
    /// # Errors
    /// Says so if labels are needed and not there, and refuses percentiles out of 0 to 100.
    ///
    /// # Panics
    /// Panics if `inside` has another length than the voxels.
    pub fn of(
        voxels: VoxelSlice<'_>,
        scaling: Scaling,
        inside: Option<&[u8]>,
        options: &StatisticsOptions,
    ) -> Result<Self, Error> {
        let wanted = options.wanted(scaling)?;
        let (moments, bad, values) = measure(voxels, scaling, inside, options.mask, &wanted)?;
        let values = values.into_iter().map(|value| scaling.apply(value));
        let values = options.percentiles.iter().copied().zip(values).collect();
        Ok(Self::new(moments, bad, voxels.len() as u64, values))
    }

    pub(super) fn new(moments: Moments, bad: NotFinite, voxels: u64, percentiles: Vec<(f64, f64)>) -> Self {
        let NotFinite { nan, infinite } = bad;
        let std = moments.std();
        let Moments { count, min, max, mean, .. } = moments;
        let (min, max) = if count == 0 { (0.0, 0.0) } else { (min, max) };
        Self { voxels, nan, infinite, count, min, max, mean, std, percentiles }
    }

    /// Returns a percentile, if it was computed.
    pub fn percentile(&self, percent: f64) -> Option<f64> {
        self.percentiles.iter().find(|&&(p, _)| p == percent).map(|&(_, value)| value)
    }

    /// Refuses a volume with voxels that are no numbers, where they are not to be replaced.
    ///
    /// # Errors
    /// Names the file and how many there are.
    pub fn check_finite(&self, policy: NanPolicy, path: &Path) -> Result<(), Error> {
        if policy == NanPolicy::Error && 0 < self.nan + self.infinite {
            let (path, nan, infinite, voxels) = (path.to_owned(), self.nan, self.infinite, self.voxels);
            return Err(Error::NotFinite { path, nan, infinite, voxels });
        }
        Ok(())
    }
}

impl StatisticsOptions {
    /// Returns the percentiles of stored values that give those of scaled ones: a negative slope turns the order over.
    fn wanted(&self, scaling: Scaling) -> Result<Vec<f64>, Error> {
        let stored = |&percent: &f64| {
            if !(0.0..=100.0).contains(&percent) {
                return Err(Error::choice("percentiles", "from 0 to 100", percent));
            }
            Ok(if scaling.slope < 0.0 { 100.0 - percent } else { percent })
        };
        self.percentiles.iter().map(stored).collect()
    }
}

/// Computes moments of scaled values, and percentiles of stored ones.
pub(super) fn measure(
    voxels: VoxelSlice<'_>,
    scaling: Scaling,
    inside: Option<&[u8]>,
    mask: Mask,
    percentiles: &[f64],
) -> Result<(Moments, NotFinite, Vec<f64>), Error> {
    let (moments, bad, values) = match mask {
        Mask::Label => {
            let inside = labels(inside, voxels.len())?;
            of_slice(voxels, percentiles, |at, _| inside[at] != 0)
        }
        Mask::Whole => of_slice(voxels, percentiles, |_, _| true),
        Mask::Nonzero => of_slice(voxels, percentiles, |_, value| scaling.apply(value) != 0.0),
        Mask::Above(bound) => of_slice(voxels, percentiles, |_, value| bound < scaling.apply(value)),
    };
    Ok((moments.scaled(scaling.slope, scaling.inter), bad, values))
}

/// Hands the finite voxels in a mask to `visit`, scaled.
pub(super) fn each_scaled(
    voxels: VoxelSlice<'_>,
    scaling: Scaling,
    inside: Option<&[u8]>,
    mask: Mask,
    mut visit: impl FnMut(f64),
) -> Result<(), Error> {
    let inside = if mask == Mask::Label { labels(inside, voxels.len())? } else { &[] };
    with_voxels!(voxels, voxels => {
        for (at, &voxel) in voxels.iter().enumerate() {
            let stored = voxel.to_f64();
            let value = scaling.apply(stored);
            let kept = match mask {
                Mask::Whole => true,
                Mask::Nonzero => value != 0.0,
                Mask::Above(bound) => bound < value,
                Mask::Label => inside[at] != 0,
            };
            if stored.is_finite() && kept {
                visit(value);
            }
        }
    });
    Ok(())
}

/// Returns a byte for each voxel, where there are labels.
fn labels(inside: Option<&[u8]>, voxels: usize) -> Result<&[u8], Error> {
    let inside = inside.ok_or_else(|| Error::NoStatistic {
        key: "mask: label".to_owned(),
        needed: "a label map".to_owned(),
        problem: "there is none".to_owned(),
    })?;
    assert_eq!(inside.len(), voxels, "a label for each voxel");
    Ok(inside)
}

/// Computes moments and percentiles of stored values; `keep` is given a voxel's place and stored value.
fn of_slice(
    voxels: VoxelSlice<'_>,
    percentiles: &[f64],
    keep: impl Fn(usize, f64) -> bool + Copy,
) -> (Moments, NotFinite, Vec<f64>) {
    match voxels {
        VoxelSlice::U8(voxels) => counted(voxels, 0, percentiles, keep),
        VoxelSlice::I8(voxels) => counted(voxels, i64::from(i8::MIN), percentiles, keep),
        VoxelSlice::U16(voxels) => counted(voxels, 0, percentiles, keep),
        VoxelSlice::I16(voxels) => counted(voxels, i64::from(i16::MIN), percentiles, keep),
        VoxelSlice::U32(voxels) => selected(voxels, percentiles, keep),
        VoxelSlice::I32(voxels) => selected(voxels, percentiles, keep),
        VoxelSlice::F32(voxels) => selected(voxels, percentiles, keep),
        VoxelSlice::U64(voxels) => copied(voxels, percentiles, keep),
        VoxelSlice::I64(voxels) => copied(voxels, percentiles, keep),
        VoxelSlice::F64(voxels) => copied(voxels, percentiles, keep),
    }
}

/// An integer that there are few values of.
trait Small: Voxel {
    /// How many values there are.
    const VALUES: usize;
    /// The value less the smallest there is.
    fn place(self) -> usize;
}

macro_rules! small {
    ($($rust:ident),*) => {
        $(
            impl Small for $rust {
                const VALUES: usize = 1 << $rust::BITS;
                #[inline]
                fn place(self) -> usize {
                    (i32::from(self) - i32::from($rust::MIN)) as usize
                }
            }
        )*
    };
}
small!(u8, i8, u16, i16);

/// Tables that take turns, so that an increment need not wait for the one before it.
const TABLES: usize = 4;

fn counted<T: Small>(
    voxels: &[T],
    smallest: i64,
    percentiles: &[f64],
    keep: impl Fn(usize, f64) -> bool,
) -> (Moments, NotFinite, Vec<f64>) {
    let mut tables = vec![0_u64; T::VALUES * TABLES];
    for (at, &voxel) in voxels.iter().enumerate() {
        tables[voxel.place() * TABLES + at % TABLES] += u64::from(keep(at, voxel.to_f64()));
    }
    let counts = || {
        let times = tables.chunks_exact(TABLES).map(|times| times.iter().sum::<u64>());
        (smallest..).zip(times).filter(|&(_, times)| 0 < times)
    };
    let values: Vec<(f64, u64)> = counts().map(|(value, times)| (value as f64, times)).collect();
    (Moments::of_counts(counts()), NotFinite::default(), percentile::of_counts(&values, percentiles))
}

fn selected<T: Keyed>(
    voxels: &[T],
    percentiles: &[f64],
    keep: impl Fn(usize, f64) -> bool + Copy,
) -> (Moments, NotFinite, Vec<f64>) {
    let (moments, bad) = moments(voxels, keep);
    let values =
        ends(&moments, percentiles).unwrap_or_else(|| percentile::of_voxels(voxels, percentiles, keep));
    (moments, bad, values)
}

fn copied<T: Voxel>(
    voxels: &[T],
    percentiles: &[f64],
    keep: impl Fn(usize, f64) -> bool + Copy,
) -> (Moments, NotFinite, Vec<f64>) {
    let (moments, bad) = moments(voxels, keep);
    let values = ends(&moments, percentiles).unwrap_or_else(|| {
        let values = voxels.iter().map(|voxel| voxel.to_f64()).enumerate();
        let kept = values.filter(|&(at, value)| value.is_finite() && keep(at, value)).map(|(_, value)| value);
        percentile::of_values(&mut kept.collect::<Vec<_>>(), percentiles)
    });
    (moments, bad, values)
}

/// Returns the percentiles if they are the extremes alone.
fn ends(moments: &Moments, percentiles: &[f64]) -> Option<Vec<f64>> {
    let Moments { count, min, max, .. } = *moments;
    let end = |&percent: &f64| match percent {
        _ if count == 0 => Some(0.0),
        0.0 => Some(min + 0.0),
        100.0 => Some(max + 0.0),
        _ => None,
    };
    percentiles.iter().map(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A case of tests/oracle/statistics.py.
    #[derive(Deserialize)]
    struct Case {
        dtype: String,
        slope: f64,
        inter: f64,
        mask: Mask,
        nan: u64,
        infinite: u64,
        count: u64,
        min: f64,
        max: f64,
        mean: f64,
        std: f64,
        percentiles: Vec<(f64, f64)>,
    }

    #[derive(Deserialize)]
    struct Fixture {
        cases: Vec<Case>,
    }

    const N: i64 = 5003;

    fn formula() -> Vec<i64> {
        (0..N).map(|i| if i % 7 == 0 { 504 } else { (i * i * 31 + i * 7919) % 1009 }).collect()
    }

    fn floats() -> Vec<f64> {
        let value = |(i, k): (usize, i64)| match i {
            _ if i % 1501 == 19 => f64::NEG_INFINITY,
            _ if i % 1001 == 18 => f64::INFINITY,
            _ if i % 501 == 17 => f64::NAN,
            _ => (k - 504) as f64 * 0.37,
        };
        formula().into_iter().enumerate().map(value).collect()
    }

    fn statistics(case: &Case) -> Statistics {
        let scaling = Scaling { slope: case.slope, inter: case.inter };
        let percentiles = case.percentiles.iter().map(|&(percent, _)| percent).collect();
        let options = StatisticsOptions { mask: case.mask, percentiles };
        let inside: Vec<u8> = (0..N).map(|i| u8::from(i % 3 == 1)).collect();
        let of = |voxels: VoxelSlice<'_>| Statistics::of(voxels, scaling, Some(&inside), &options).unwrap();
        let k = formula();
        match case.dtype.as_str() {
            "uint8" => of(VoxelSlice::U8(&k.iter().map(|k| (k % 256) as u8).collect::<Vec<_>>())),
            "int8" => of(VoxelSlice::I8(&k.iter().map(|k| (k % 256 - 128) as i8).collect::<Vec<_>>())),
            "uint16" => of(VoxelSlice::U16(&k.iter().map(|&k| k as u16).collect::<Vec<_>>())),
            "int16" => of(VoxelSlice::I16(&k.iter().map(|k| (k - 504) as i16).collect::<Vec<_>>())),
            "uint32" => of(VoxelSlice::U32(&k.iter().map(|k| (k * 1000) as u32).collect::<Vec<_>>())),
            "int32" => of(VoxelSlice::I32(&k.iter().map(|k| ((k - 504) * 1000) as i32).collect::<Vec<_>>())),
            "uint64" => of(VoxelSlice::U64(&k.iter().map(|k| (k * 1000) as u64).collect::<Vec<_>>())),
            "int64" => of(VoxelSlice::I64(&k.iter().map(|k| (k - 504) * 1000).collect::<Vec<_>>())),
            "float32" => of(VoxelSlice::F32(&floats().iter().map(|&x| x as f32).collect::<Vec<_>>())),
            "float64" => of(VoxelSlice::F64(&floats())),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn statistics_of_every_type_mask_and_scaling_are_those_of_numpy() {
        let fixture: Fixture =
            serde_json::from_str(include_str!("../../tests/fixtures/statistics.json")).unwrap();
        assert_eq!(fixture.cases.len(), 80);
        for case in &fixture.cases {
            let found = statistics(case);
            let what = format!("{} {} {:?} {found:?}", case.dtype, case.slope, case.mask);
            assert_eq!(
                (found.nan, found.infinite, found.count),
                (case.nan, case.infinite, case.count),
                "{what}"
            );
            assert_eq!((found.min, found.max), (case.min, case.max), "{what}");
            let scale = case.min.abs().max(case.max.abs());
            assert!((found.mean - case.mean).abs() <= 1e-13 * scale, "{what} {}", case.mean);
            assert!((found.std - case.std).abs() <= 1e-13 * scale, "{what} {}", case.std);
            for (&(percent, value), &(_, expected)) in found.percentiles.iter().zip(&case.percentiles) {
                assert!((value - expected).abs() <= 1e-13 * scale, "{what} {percent} {expected}");
            }
        }
    }

    #[test]
    fn an_empty_mask_gives_zeros_and_a_missing_label_map_is_an_error() {
        let of = |mask| {
            let options = StatisticsOptions { mask, percentiles: vec![50.0] };
            Statistics::of(VoxelSlice::F32(&[0.0, f32::NAN]), Scaling::IDENTITY, None, &options)
        };
        let empty = of(Mask::Nonzero).unwrap();
        assert_eq!((empty.voxels, empty.nan, empty.count, empty.mean, empty.max), (2, 1, 0, 0.0, 0.0));
        assert_eq!(empty.percentile(50.0), Some(0.0));
        assert_eq!(
            of(Mask::Label).unwrap_err().to_string(),
            "`mask: label` needs a label map, and there is none"
        );
        let options = StatisticsOptions { mask: Mask::Whole, percentiles: vec![101.0] };
        assert!(Statistics::of(VoxelSlice::U8(&[1]), Scaling::IDENTITY, None, &options).is_err());
    }

    #[test]
    fn voxels_that_are_no_numbers_are_an_error_or_are_replaced_as_chosen() {
        let voxels = [1.0_f32, f32::NAN, -3.0, f32::INFINITY];
        let scaling = Scaling { slope: 2.0, inter: 1.0 };
        let statistics =
            Statistics::of(VoxelSlice::F32(&voxels), scaling, None, &StatisticsOptions::default()).unwrap();
        assert_eq!(
            statistics.check_finite(NanPolicy::Error, Path::new("a.nii")).unwrap_err().to_string(),
            "a.nii has 1 voxels that are NaN and 1 that are infinite, of 4; choose `nan: zero` or `nan: minimum` to \
             replace them"
        );
        statistics.check_finite(NanPolicy::Zero, Path::new("a.nii")).unwrap();
        let replaced = |policy: NanPolicy| {
            let mut bytes: Vec<u8> = voxels.iter().flat_map(|voxel| voxel.to_ne_bytes()).collect();
            let count = policy.replace(VoxelType::F32, &mut bytes, scaling, &statistics);
            let values: Vec<f32> =
                bytes.as_chunks().0.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect();
            (count, values[1], values[3])
        };
        assert_eq!(replaced(NanPolicy::Zero), (2, -0.5, -0.5));
        assert_eq!(replaced(NanPolicy::Minimum), (2, -3.0, -3.0));
        assert_eq!(replaced(NanPolicy::Error).0, 0);
        let mut doubles: Vec<u8> = f64::NAN.to_ne_bytes().to_vec();
        assert_eq!(NanPolicy::Zero.replace(VoxelType::F64, &mut doubles, scaling, &statistics), 1);
        assert_eq!(doubles, (-0.5_f64).to_ne_bytes());
    }

    use crate::voxels::VoxelType;
}
