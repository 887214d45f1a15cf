//! Normalisation: which statistics it needs, and the map that it is.

use serde::{Deserialize, Serialize};

use super::statistics::{Mask, Statistics, StatisticsOptions};
use crate::Rescale;
use crate::convert::Scaling;
use crate::error::Error;

/// `normalize:` what values are brought to, after the scaling of the file. Every voxel is mapped, whatever voxels the
/// statistics are of. A spread of 0 counts as 1, so that a constant volume becomes constant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Normalize {
    /// Nothing: they stay as they are.
    #[default]
    None,
    /// Mean 0 and standard deviation 1 of the voxels in the mask, each volume and channel for itself.
    ZScore(ZScore),
    /// Two percentiles of the voxels in the mask are brought to the ends of an interval, each volume and channel for
    /// itself.
    Percentiles(Percentiles),
    /// The smallest and the greatest value of the voxels in the mask are brought to the ends of an interval, each volume and
    /// channel for itself.
    MinMax(MinMax),
    /// A window of values, the same for all volumes, is brought to an interval, and what lies outside to its ends (Hounsfield
    /// units of CT).
    CtWindow(CtWindow),
    /// Values outside of an interval, the same for all volumes, are brought to its ends; others stay as they are.
    Clip(Clip),
    /// Mean and standard deviation that are given.
    MeanStd(MeanStdOptions),
    /// Mean 0 and standard deviation 1 of the voxels in the mask of all training subjects, each channel for itself.
    TrainingZScore(TrainingZScore),
}

/// `normalize.z_score:` mean 0 and standard deviation 1 of a volume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ZScore {
    /// The voxels that mean and standard deviation are of: `whole`, which is the default, `nonzero`, `{ above: VALUE }` or
    /// `label`.
    #[serde(default)]
    pub mask: Mask,
}

/// `normalize.percentiles:` percentiles of a volume to an interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Percentiles {
    /// The percentile that becomes the lower end; by default 0.5.
    #[serde(default = "half_percent")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub low: f64,
    /// The percentile that becomes the upper end; by default 99.5.
    #[serde(default = "all_but_half_percent")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub high: f64,
    /// The interval; by default 0 to 1.
    #[serde(default = "unit")]
    pub to: [f64; 2],
    /// Whether values outside are brought to the ends; by default they are.
    #[serde(default = "yes")]
    pub clip: bool,
    /// The voxels that the percentiles are of; by default `whole`.
    #[serde(default)]
    pub mask: Mask,
}

impl Default for Percentiles {
    fn default() -> Self {
        Self {
            low: half_percent(),
            high: all_but_half_percent(),
            to: unit(),
            clip: yes(),
            mask: Mask::default(),
        }
    }
}

/// `normalize.min_max:` the extremes of a volume to an interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MinMax {
    /// The interval; by default 0 to 1.
    #[serde(default = "unit")]
    pub to: [f64; 2],
    /// The voxels that the extremes are of; by default `whole`.
    #[serde(default)]
    pub mask: Mask,
}

impl Default for MinMax {
    fn default() -> Self {
        Self { to: unit(), mask: Mask::default() }
    }
}

/// `normalize.ct_window:` a window of values to an interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CtWindow {
    /// The lowest and the highest value of the window, in the units of the files: [-57, 164] for soft tissue.
    pub window: [f64; 2],
    /// The interval; by default 0 to 1.
    #[serde(default = "unit")]
    pub to: [f64; 2],
}

/// `normalize.clip:` values within an interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Clip {
    /// The lowest value.
    pub low: f64,
    /// The highest value.
    pub high: f64,
}

/// `normalize.mean_std:` mean and standard deviation that are given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MeanStdOptions {
    /// What becomes 0.
    pub mean: f64,
    /// What becomes a distance of 1.
    #[cfg_attr(feature = "schema", schemars(extend("exclusiveMinimum" = 0)))]
    pub std: f64,
    /// The lowest and the highest value before that; by default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<[f64; 2]>,
}

/// `normalize.training_z_score:` mean 0 and standard deviation 1 of all training subjects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TrainingZScore {
    /// The voxels that the statistics are of; by default `whole`.
    #[serde(default)]
    pub mask: Mask,
    /// Two percentiles, in percent, between which values are kept before that; by default none. nnU-Net has
    /// `clip: [0.5, 99.5]` with `mask: label` for CT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<[f64; 2]>,
}

/// `normalize:` one choice for all channels, or a list with one for each.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum NormalizeChannels {
    /// The same choice for each channel; statistics are of each channel.
    All(Normalize),
    /// One for each channel.
    Each(Vec<Normalize>),
}

impl Default for NormalizeChannels {
    fn default() -> Self {
        Self::All(Normalize::None)
    }
}

impl<'de> Deserialize<'de> for NormalizeChannels {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ChannelsVisitor)
    }
}

/// Tells a list from a choice before reading either, so that what is wrong within it is told and not hidden.
struct ChannelsVisitor;

impl<'de> serde::de::Visitor<'de> for ChannelsVisitor {
    type Value = NormalizeChannels;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a normalisation, or a list with one for each channel")
    }

    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Self::Value, E> {
        Normalize::deserialize(serde::de::value::StrDeserializer::new(word)).map(NormalizeChannels::All)
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Normalize::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(NormalizeChannels::All)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(serde::de::value::SeqAccessDeserializer::new(list)).map(NormalizeChannels::Each)
    }
}

/// What a normalisation must know.
#[derive(Clone, Debug, PartialEq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// Statistics of each volume and channel.
    Volume(StatisticsOptions),
    /// Statistics of each channel of all training subjects.
    Training(StatisticsOptions),
}

impl NormalizeChannels {
    /// Returns whether statistics of all training subjects are needed.
    pub fn needs_training(&self) -> bool {
        let of = |normalize: &Normalize| matches!(normalize.needs(), Needs::Training(_));
        match self {
            Self::All(normalize) => of(normalize),
            Self::Each(list) => list.iter().any(of),
        }
    }

    /// Returns the choice of a channel.
    ///
    /// # Panics
    /// Panics if there is a list and it has no such channel; [`NormalizeChannels::check`] and the number of channels rule
    /// that out.
    pub fn channel(&self, channel: usize) -> &Normalize {
        match self {
            Self::All(normalize) => normalize,
            Self::Each(list) => &list[channel],
        }
    }

    /// Checks each choice, and that there is one for each of `channels`.
    ///
    /// # Errors
    /// Names the key below `key` and what it must be.
    pub fn check(&self, key: &str, channels: usize) -> Result<(), Error> {
        match self {
            Self::All(normalize) => normalize.check(key),
            Self::Each(list) if list.len() != channels => Err(Error::choice(
                key,
                format!("one choice, or a list of {channels}, one for each channel"),
                list.len(),
            )),
            Self::Each(list) => list
                .iter()
                .enumerate()
                .try_for_each(|(at, normalize)| normalize.check(&format!("{key}[{at}]"))),
        }
    }
}

impl Normalize {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// Names the key below `key` and what it must be.
    pub fn check(&self, key: &str) -> Result<(), Error> {
        let ascends = |name: &str, [low, high]: [f64; 2]| {
            if low.is_finite() && high.is_finite() && low < high {
                Ok(())
            } else {
                let expected = "two finite numbers, the smaller one first";
                Err(Error::choice(format!("{key}.{name}"), expected, format_args!("[{low}, {high}]")))
            }
        };
        let percents = |name: &str, [low, high]: [f64; 2]| {
            if 0.0 <= low && low < high && high <= 100.0 {
                Ok(())
            } else {
                let expected = "two percentiles from 0 to 100, the smaller one first";
                Err(Error::choice(format!("{key}.{name}"), expected, format_args!("[{low}, {high}]")))
            }
        };
        let mask = |name: &str, mask: Mask| match mask {
            Mask::Above(bound) if !bound.is_finite() => {
                Err(Error::choice(format!("{key}.{name}.mask.above"), "a finite number", bound))
            }
            Mask::Whole | Mask::Nonzero | Mask::Above(_) | Mask::Label => Ok(()),
        };
        match self {
            Self::None => Ok(()),
            Self::ZScore(z) => mask("z_score", z.mask),
            Self::Percentiles(p) => {
                percents("percentiles.low and .high", [p.low, p.high])?;
                ascends("percentiles.to", p.to)?;
                mask("percentiles", p.mask)
            }
            Self::MinMax(m) => {
                ascends("min_max.to", m.to)?;
                mask("min_max", m.mask)
            }
            Self::CtWindow(c) => {
                ascends("ct_window.window", c.window)?;
                ascends("ct_window.to", c.to)
            }
            Self::Clip(c) => ascends("clip.low and .high", [c.low, c.high]),
            Self::MeanStd(m) => {
                if !m.mean.is_finite() {
                    return Err(Error::choice(format!("{key}.mean_std.mean"), "a finite number", m.mean));
                }
                if !(m.std.is_finite() && 0.0 < m.std) {
                    return Err(Error::choice(format!("{key}.mean_std.std"), "a positive number", m.std));
                }
                m.clip.map_or(Ok(()), |clip| ascends("mean_std.clip", clip))
            }
            Self::TrainingZScore(t) => {
                t.clip.map_or(Ok(()), |clip| percents("training_z_score.clip", clip))?;
                mask("training_z_score", t.mask)
            }
        }
    }

    /// Returns which statistics [`Normalize::rescale`] must be given.
    pub fn needs(&self) -> Needs {
        let of =
            |mask: Mask, percentiles: &[f64]| StatisticsOptions { mask, percentiles: percentiles.to_vec() };
        match self {
            Self::None | Self::CtWindow(_) | Self::Clip(_) | Self::MeanStd(_) => Needs::Nothing,
            Self::ZScore(z) => Needs::Volume(of(z.mask, &[])),
            Self::Percentiles(p) => Needs::Volume(of(p.mask, &[p.low, p.high])),
            Self::MinMax(m) => Needs::Volume(of(m.mask, &[])),
            Self::TrainingZScore(t) => Needs::Training(of(t.mask, t.clip.as_ref().map_or(&[], |clip| clip))),
        }
    }

    /// Returns what becomes of the stored values of a volume: the scaling of its file and this normalisation in one.
    ///
    /// # Errors
    /// Says so if `statistics` are not there or are others than [`Normalize::needs`] asked for.
    pub fn rescale(&self, statistics: Option<&Statistics>, scaling: Scaling) -> Result<Rescale, Error> {
        let Scaling { slope, inter } = scaling;
        let no = |key: &str, needed: &str, problem: &str| Error::NoStatistic {
            key: key.to_owned(),
            needed: needed.to_owned(),
            problem: problem.to_owned(),
        };
        let of = |key: &str| statistics.ok_or_else(|| no(key, "statistics", "there are none"));
        let percentile = |key: &str, percent: f64| {
            let needed = format!("the percentile {percent}");
            of(key)?.percentile(percent).ok_or_else(|| no(key, &needed, "it was not computed"))
        };
        // (value - from) * factor + to, of the scaled value.
        let linear = |from: f64, factor: f64, to: f64, clamp: Option<[f64; 2]>| Rescale {
            slope: slope * factor,
            inter: (inter - from) * factor + to,
            clamp: clamp.map(|ends| ends.map(|end| end as f32)),
        };
        let interval = |[a, b]: [f64; 2], to: [f64; 2], clip: bool| {
            linear(a, (to[1] - to[0]) / or_1(b - a), to[0], clip.then_some(to))
        };
        let score = |mean: f64, std: f64, clip: Option<[f64; 2]>| {
            let std = or_1(std);
            linear(mean, 1.0 / std, 0.0, clip.map(|ends| ends.map(|end| (end - mean) / std)))
        };
        Ok(match self {
            Self::None => Rescale { slope, inter, clamp: None },
            Self::ZScore(_) => {
                let of = of("z_score")?;
                score(of.mean, of.std, None)
            }
            Self::Percentiles(p) => {
                let ends = [percentile("percentiles", p.low)?, percentile("percentiles", p.high)?];
                interval(ends, p.to, p.clip)
            }
            Self::MinMax(m) => {
                let of = of("min_max")?;
                // With a mask, voxels outside of it may lie outside of the interval; rounding alone must not.
                interval([of.min, of.max], m.to, m.mask == Mask::Whole)
            }
            Self::CtWindow(c) => interval(c.window, c.to, true),
            Self::Clip(c) => Rescale { slope, inter, clamp: Some([c.low as f32, c.high as f32]) },
            Self::MeanStd(m) => score(m.mean, m.std, m.clip),
            Self::TrainingZScore(t) => {
                let of = of("training_z_score")?;
                let clip = match t.clip {
                    Some([low, high]) => {
                        Some([percentile("training_z_score", low)?, percentile("training_z_score", high)?])
                    }
                    None => None,
                };
                score(of.mean, of.std, clip)
            }
        })
    }
}

/// A spread of 0 counts as 1.
fn or_1(spread: f64) -> f64 {
    if spread == 0.0 { 1.0 } else { spread }
}

fn half_percent() -> f64 {
    0.5
}

fn all_but_half_percent() -> f64 {
    99.5
}

fn unit() -> [f64; 2] {
    [0.0, 1.0]
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voxels::VoxelSlice;

    fn read(text: &str) -> NormalizeChannels {
        serde_json::from_str(text).unwrap()
    }

    /// Normalises a volume on its own.
    fn normalized(text: &str, voxels: &[i16], scaling: Scaling) -> Vec<f32> {
        let NormalizeChannels::All(normalize) = read(text) else { panic!() };
        normalize.check("normalize").unwrap();
        let statistics = match normalize.needs() {
            Needs::Nothing => None,
            Needs::Volume(options) | Needs::Training(options) => {
                Some(Statistics::of(VoxelSlice::I16(voxels), scaling, None, &options).unwrap())
            }
        };
        let rescale = normalize.rescale(statistics.as_ref(), scaling).unwrap();
        voxels.iter().map(|&voxel| rescale.apply(f64::from(voxel))).collect()
    }

    const FILE: Scaling = Scaling { slope: -0.5, inter: 10.0 };

    #[test]
    fn each_choice_maps_the_scaled_values_as_it_says() {
        let voxels = [0, 20, 40, 60, 80];
        // Scaled: 10, 0, -10, -20, -30; mean -10, variance 200.
        assert_eq!(normalized(r#""none""#, &voxels, FILE), [10.0, 0.0, -10.0, -20.0, -30.0]);
        let score = normalized(r#"{"z_score":{}}"#, &voxels, FILE);
        for (found, expected) in score.iter().zip([20.0, 10.0, 0.0, -10.0, -20.0]) {
            assert!((f64::from(*found) - expected / 200.0_f64.sqrt()).abs() < 1e-6);
        }
        let score = normalized(r#"{"z_score":{"mask":"nonzero"}}"#, &voxels, FILE);
        // Of 10, -10, -20, -30: mean -12.5, variance 218.75; 0 is mapped as well.
        assert!((f64::from(score[1]) - 12.5 / 218.75_f64.sqrt()).abs() < 1e-6);
        assert_eq!(normalized(r#"{"min_max":{"to":[-1,1]}}"#, &voxels, FILE), [1.0, 0.5, 0.0, -0.5, -1.0]);
        assert_eq!(
            normalized(r#"{"percentiles":{"low":25,"high":75}}"#, &voxels, FILE),
            [1.0, 1.0, 0.5, 0.0, 0.0]
        );
        assert_eq!(
            normalized(r#"{"percentiles":{"low":25,"high":75,"clip":false}}"#, &voxels, FILE),
            [1.5, 1.0, 0.5, 0.0, -0.5]
        );
        assert_eq!(
            normalized(r#"{"ct_window":{"window":[-20,0],"to":[0,2]}}"#, &voxels, FILE),
            [2.0, 2.0, 1.0, 0.0, 0.0]
        );
        assert_eq!(
            normalized(r#"{"clip":{"low":-15,"high":5}}"#, &voxels, FILE),
            [5.0, 0.0, -10.0, -15.0, -15.0]
        );
        assert_eq!(
            normalized(r#"{"mean_std":{"mean":-10,"std":10,"clip":[-20,0]}}"#, &voxels, FILE),
            [1.0, 1.0, 0.0, -1.0, -1.0]
        );
        let clipped = normalized(r#"{"training_z_score":{"clip":[25,75]}}"#, &voxels, FILE);
        assert_eq!(clipped[0], (10.0 / 200.0_f64.sqrt()) as f32);
        assert_eq!((clipped[2], clipped[4]), (0.0, -clipped[0]));
    }

    #[test]
    fn a_constant_volume_becomes_constant_and_finite() {
        for text in [
            r#"{"z_score":{}}"#,
            r#"{"z_score":{"mask":{"above":1000}}}"#,
            r#"{"min_max":{}}"#,
            r#"{"percentiles":{}}"#,
            r#"{"training_z_score":{"clip":[0.5,99.5]}}"#,
        ] {
            let found = normalized(text, &[7; 30], FILE);
            assert!(found.iter().all(|&x| x == found[0] && x.is_finite()), "{text} {found:?}");
        }
        assert_eq!(normalized(r#"{"z_score":{}}"#, &[7; 30], FILE)[0], 0.0);
    }

    #[test]
    fn a_choice_is_one_for_all_channels_or_a_list_and_its_mistakes_are_told() {
        let each = read(r#"[{"ct_window":{"window":[0,1]}},"none"]"#);
        assert_eq!(each.channel(1), &Normalize::None);
        assert_eq!(
            serde_json::to_string(&each).unwrap(),
            r#"[{"ct_window":{"window":[0.0,1.0],"to":[0.0,1.0]}},"none"]"#
        );
        assert_eq!(
            each.check("normalize", 3).unwrap_err().to_string(),
            "`normalize` must be one choice, or a list of 3, one for each channel, found 2"
        );
        let unknown =
            serde_json::from_str::<NormalizeChannels>(r#"{"z_score":{"maks":"nonzero"}}"#).unwrap_err();
        assert!(unknown.to_string().contains("unknown field `maks`"), "{unknown}");
        let check = |text: &str| read(text).check("normalize", 1).unwrap_err().to_string();
        assert_eq!(
            check(r#"[{"ct_window":{"window":[1,1]}}]"#),
            "`normalize[0].ct_window.window` must be two finite numbers, the smaller one first, found [1, 1]"
        );
        assert!(check(r#"{"percentiles":{"low":60,"high":50}}"#).contains("percentiles.low and .high"));
        assert!(
            check(r#"{"mean_std":{"mean":0,"std":0}}"#)
                .starts_with("`normalize.mean_std.std` must be a positive")
        );
    }

    #[test]
    fn statistics_that_are_not_there_are_an_error() {
        let NormalizeChannels::All(normalize) = read(r#"{"percentiles":{"low":1}}"#) else { panic!() };
        assert_eq!(
            normalize.rescale(None, FILE).unwrap_err().to_string(),
            "`percentiles` needs statistics, and there are none"
        );
        let other = Statistics::of(VoxelSlice::U8(&[1]), FILE, None, &StatisticsOptions::default()).unwrap();
        assert_eq!(
            normalize.rescale(Some(&other), FILE).unwrap_err().to_string(),
            "`percentiles` needs the percentile 1, and it was not computed"
        );
    }
}
