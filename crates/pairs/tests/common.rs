//! Data sets and bounds that several tests use.

use std::collections::BTreeMap;

use batchwright_core::{Context, Dataset, Field, SampleError, Slot};
use batchwright_pairs::{Facts, Placed};
use proptest::prelude::*;

/// Samples that write their index, the number of their class, and one random number.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    pub(crate) classes: Vec<u32>,
    fields: Vec<Field>,
    /// A sample that cannot be read.
    pub(crate) bad: Option<usize>,
}

impl Numbers {
    pub(crate) fn new(classes: &[u32]) -> Self {
        let fields = vec![Field::new::<f32>("number", &[2]), Field::new::<i64>("label", &[])];
        Self { classes: classes.to_vec(), fields, bad: None }
    }
}

impl Dataset for Numbers {
    fn len(&self) -> usize {
        self.classes.len()
    }
    fn fields(&self) -> &[Field] {
        &self.fields
    }
    fn write(&self, index: usize, slot: &mut Slot<'_>, context: &Context<'_>) -> Result<(), SampleError> {
        let place = self.place(index, context)?;
        self.write_at(index, &place, slot, context)
    }
    fn id(&self, index: usize) -> String {
        format!("n{index}")
    }
    fn class(&self, index: usize) -> Option<u32> {
        Some(self.classes[index])
    }
    fn facts(&self) -> Vec<String> {
        vec!["parity".to_owned()]
    }
    fn fact(&self, index: usize, name: &str) -> Option<String> {
        (name == "parity").then(|| if index.is_multiple_of(2) { "even" } else { "odd" }.to_owned())
    }
}

/// A place on a line, of length 1.
impl Placed for Numbers {
    type Place = f64;
    fn place(&self, index: usize, context: &Context<'_>) -> Result<f64, SampleError> {
        if self.bad == Some(index) {
            return Err(SampleError::data("its bytes are wrong"));
        }
        Ok(context.stream("place").uniform_in(0.0, 10.0))
    }
    fn overlapping(
        &self,
        _: usize,
        place: &f64,
        overlap: f64,
        context: &Context<'_>,
    ) -> Result<f64, SampleError> {
        let side = if context.stream("side").chance(0.5) { 1.0 } else { -1.0 };
        Ok(place + side * (1.0 - overlap))
    }
    fn write_at(
        &self,
        index: usize,
        place: &f64,
        slot: &mut Slot<'_>,
        _: &Context<'_>,
    ) -> Result<(), SampleError> {
        if self.bad == Some(index) {
            return Err(SampleError::data("its bytes are wrong"));
        }
        slot.get::<f32>(0).copy_from_slice(&[index as f32, *place as f32]);
        // By its name in this data set, whatever it is called in a pair.
        slot.named::<i64>("label")[0] = i64::from(self.classes[index]);
        Ok(())
    }
}

/// Some classes of a few sizes, many of them 1, in any order.
pub(crate) fn histograms() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(prop_oneof![Just(1_usize), Just(2), 1..6_usize, 1..40_usize], 1..12)
        .prop_map(|sizes| {
            let mut classes = Vec::new();
            for (class, &size) in sizes.iter().enumerate() {
                classes.extend(std::iter::repeat_n(class as u32 * 3, size));
            }
            classes
        })
        .prop_shuffle()
}

/// Random facts: a class, a patient, a visit and a site, some of them missing.
pub(crate) fn facts() -> impl Strategy<Value = Facts> {
    let fact = |values: u32| proptest::option::weighted(0.95, 0..values);
    proptest::collection::vec((0..4_u32, fact(6), fact(3), fact(2)), 1..60).prop_map(|rows| {
        let text = |value: Option<u32>| value.map(|value| value.to_string());
        Facts::new(&rows.iter().map(|row| row.0).collect::<Vec<_>>())
            .unwrap()
            .with_optional("patient", rows.iter().map(|row| text(row.1)))
            .unwrap()
            .with_optional("visit", rows.iter().map(|row| text(row.2)))
            .unwrap()
            .with_optional("site", rows.iter().map(|row| text(row.3)))
            .unwrap()
    })
}

/// Checks that draws are as likely as expected.
///
/// Each count is binomial(trials, p). By Bernstein's inequality P(|count - mean| > t) <= 2 exp(-t^2 / (2 variance + 2 t / 3));
/// t = L / 3 + sqrt(L^2 / 9 + 2 variance L) makes that 2 e^-L. With L = 20, all of m counts hold but for a chance of
/// m * 2 * e^-20 < 5e-9 m; and the streams are fixed, so a test is not random.
pub(crate) fn is_likely(counts: &BTreeMap<usize, u64>, expected: &BTreeMap<usize, f64>, what: &str) {
    let trials: u64 = counts.values().sum();
    assert!(counts.keys().all(|key| expected.contains_key(key)), "{what}: {counts:?} beyond {expected:?}");
    for (key, p) in expected {
        let (mean, variance) = (trials as f64 * p, trials as f64 * p * (1.0 - p));
        let bound = 20.0 / 3.0 + (400.0 / 9.0 + 2.0 * variance * 20.0_f64).sqrt();
        let count = counts.get(key).copied().unwrap_or(0) as f64;
        assert!(
            (count - mean).abs() <= bound,
            "{what}: {key} came {count} times, expected {mean} +- {bound}"
        );
    }
}

/// Every one of these as likely as every other.
pub(crate) fn uniform(of: &[usize]) -> BTreeMap<usize, f64> {
    of.iter().map(|&index| (index, 1.0 / of.len() as f64)).collect()
}
