//! Several samples written into one.

use std::fmt;

use batchwright_core::{Context, Dataset, Fault, Field, Layout, SampleError, Slot};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// How the random changes of the two (three) samples of a tuple are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Parts {
    /// Each by itself: streams are named `a/…` and `b/…` (`anchor/…`, `positive/…`, `negative/…`).
    #[default]
    Independent,
    /// The same for all: streams are named `parts/…`.
    Shared,
}

/// Where in their images or volumes the samples of a tuple are taken.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Places {
    /// At the place of the first, as the same box in the world.
    Same,
    /// At places that overlap that of the first by this fraction of a sample's extent, above 0 and at most 1.
    Overlapping(f64),
}

/// A data set whose samples are taken at a place that can be chosen: patches of volumes, crops of images.
///
/// [`PairDataset::placed`](crate::PairDataset::placed) takes both samples of a pair at one place, or at overlapping ones. The laws, with
/// those of [`Dataset`]:
///
/// 1. [`place`](Placed::place) and [`overlapping`](Placed::overlapping) are functions of their arguments; randomness comes
///    from [`Context::stream`] alone.
/// 2. `write(index, slot, context)` is `write_at(index, &place(index, context)?, slot, context)`.
/// 3. A place means the same in every sample: writing two samples at one place shows the same part of the world. A sample
///    that has no such place is an error of its data.
pub trait Placed: Dataset {
    /// A place, as a box in the world.
    type Place;

    /// Draws a place for sample `index`.
    ///
    /// # Errors
    /// As [`Dataset::write`].
    fn place(&self, index: usize, context: &Context<'_>) -> Result<Self::Place, SampleError>;

    /// Draws a place for sample `index` that shares a fraction `overlap` of its extent with another place.
    ///
    /// # Errors
    /// As [`Dataset::write`]; a sample that has no such place is an error of its data.
    fn overlapping(
        &self,
        index: usize,
        place: &Self::Place,
        overlap: f64,
        context: &Context<'_>,
    ) -> Result<Self::Place, SampleError>;

    /// Writes sample `index`, taken at `place`, into `slot`.
    ///
    /// # Errors
    /// As [`Dataset::write`].
    fn write_at(
        &self,
        index: usize,
        place: &Self::Place,
        slot: &mut Slot<'_>,
        context: &Context<'_>,
    ) -> Result<(), SampleError>;
}

impl<D: Placed + ?Sized> Placed for std::sync::Arc<D> {
    type Place = D::Place;

    fn place(&self, index: usize, context: &Context<'_>) -> Result<Self::Place, SampleError> {
        (**self).place(index, context)
    }

    fn overlapping(
        &self,
        index: usize,
        place: &Self::Place,
        overlap: f64,
        context: &Context<'_>,
    ) -> Result<Self::Place, SampleError> {
        (**self).overlapping(index, place, overlap, context)
    }

    fn write_at(
        &self,
        index: usize,
        place: &Self::Place,
        slot: &mut Slot<'_>,
        context: &Context<'_>,
    ) -> Result<(), SampleError> {
        (**self).write_at(index, place, slot, context)
    }
}

/// A sample of a pair that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{part}`, sample {index} ({id})")]
struct PartError {
    part: &'static str,
    index: usize,
    id: String,
    source: batchwright_core::BoxError,
}

/// Writes all parts: a function, so that a data set without places needs none of [`Placed`].
type Write<D> = fn(&Parted<D>, Places, &[usize], &mut Slot<'_>, &Context<'_>) -> Result<(), SampleError>;

/// Several samples of one data set, side by side.
pub(crate) struct Parted<D> {
    pub(crate) dataset: D,
    pub(crate) fields: Vec<Field>,
    /// The names of the parts.
    names: &'static [&'static str],
    parts: Parts,
    placed: Option<(Places, Write<D>)>,
    /// How many fields one sample has.
    inner: usize,
}

impl<D: Dataset> Parted<D> {
    /// Lays out the parts, then `more`, then the index of the sample of each part.
    pub(crate) fn new(
        dataset: D,
        names: &'static [&'static str],
        more: Vec<Field>,
        parts: Parts,
    ) -> Result<Self, Error> {
        let one = dataset.fields();
        let inner = one.len();
        if inner == 0 {
            return Err(Error::Fields { source: "a sample has no field".into() });
        }
        let mut fields = Vec::with_capacity(names.len() * (inner + 1) + more.len());
        for name in names {
            for (at, field) in one.iter().enumerate() {
                // The first field is the sample itself.
                let named = if at == 0 { (*name).to_owned() } else { format!("{name}_{}", field.name) };
                fields.push(Field { name: named, ..field.clone() });
            }
        }
        fields.extend(more);
        fields.extend(names.iter().map(|name| Field::new::<i64>(format!("{name}_index"), &[])));
        Layout::new(fields.clone(), 1).map_err(|source| Error::Fields { source })?;
        Ok(Self { dataset, fields, names, parts, placed: None, inner })
    }

    /// Returns the number of the first field after those of the parts.
    pub(crate) fn rest(&self) -> usize {
        self.names.len() * self.inner
    }

    /// Returns where the parts are taken, if together.
    pub(crate) fn places(&self) -> Option<Places> {
        self.placed.map(|(places, _)| places)
    }

    #[inline]
    pub(crate) fn context<'a>(&self, part: usize, context: &Context<'a>) -> Context<'a> {
        match self.parts {
            Parts::Independent => context.part(self.names[part]),
            Parts::Shared => context.part("parts"),
        }
    }

    fn error(&self, part: usize, index: usize, error: SampleError) -> SampleError {
        let fault = error.fault();
        let (part, id) = (self.names[part], self.dataset.id(index));
        let error = PartError { part, index, id, source: error.into_source() };
        match fault {
            Fault::Data => SampleError::data(error),
            Fault::Environment => SampleError::environment(error),
        }
    }

    /// Writes samples `indices`, one a part, and which they are.
    #[inline]
    pub(crate) fn write(
        &self,
        indices: &[usize],
        slot: &mut Slot<'_>,
        context: &Context<'_>,
    ) -> Result<(), SampleError> {
        // Who stands with the anchor is known only here.
        for &index in &indices[1..] {
            self.dataset.prefetch(index);
        }
        match self.placed {
            Some((places, write)) => write(self, places, indices, slot, context)?,
            None => {
                for (part, &index) in indices.iter().enumerate() {
                    let mut own =
                        slot.part_as(part * self.inner..(part + 1) * self.inner, self.dataset.fields());
                    self.dataset
                        .write(index, &mut own, &self.context(part, context))
                        .map_err(|error| self.error(part, index, error))?;
                }
            }
        }
        let first = self.fields.len() - indices.len();
        for (part, &index) in indices.iter().enumerate() {
            slot.get::<i64>(first + part)[0] = index as i64;
        }
        Ok(())
    }

    /// Returns what the parts depend on besides the data set and who they are.
    pub(crate) fn settings(&self) -> String {
        match self.placed {
            None => format!("{:?}", self.parts).to_lowercase(),
            Some((places, _)) => format!("{:?}, {places:?}", self.parts).to_lowercase(),
        }
    }
}

impl<D: Placed> Parted<D> {
    /// Takes the parts at one place, or at overlapping ones.
    pub(crate) fn at(self, places: Places) -> Result<Self, Error> {
        if let Places::Overlapping(overlap) = places
            && !(0.0 < overlap && overlap <= 1.0)
        {
            let (what, expected) = ("the overlap of places", "above 0 and at most 1".to_owned());
            return Err(Error::Setting { what, found: overlap.to_string(), expected });
        }
        Ok(Self { placed: Some((places, write_placed)), ..self })
    }
}

fn write_placed<D: Placed>(
    parted: &Parted<D>,
    places: Places,
    indices: &[usize],
    slot: &mut Slot<'_>,
    context: &Context<'_>,
) -> Result<(), SampleError> {
    let own = parted.context(0, context);
    let first = parted.dataset.place(indices[0], &own).map_err(|error| parted.error(0, indices[0], error))?;
    for (part, &index) in indices.iter().enumerate() {
        let context = parted.context(part, context);
        let mut slot = slot.part_as(part * parted.inner..(part + 1) * parted.inner, parted.dataset.fields());
        let written = match places {
            Places::Overlapping(overlap) if 0 < part => parted
                .dataset
                .overlapping(index, &first, overlap, &context)
                .and_then(|place| parted.dataset.write_at(index, &place, &mut slot, &context)),
            Places::Same | Places::Overlapping(_) => {
                parted.dataset.write_at(index, &first, &mut slot, &context)
            }
        };
        written.map_err(|error| parted.error(part, index, error))?;
    }
    Ok(())
}

impl<D> fmt::Debug for Parted<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parted")
            .field("names", &self.names)
            .field("parts", &self.parts)
            .field("places", &self.placed.map(|(places, _)| places))
            .finish_non_exhaustive()
    }
}
