//! Pairs and triplets as samples.

use batchwright_core::testing::{check_dataset, check_sequence};
use batchwright_core::{
    BatchOptions, Batches, Context, Dataset as _, LastBatch, Sequence as _, Shuffled, chain,
};
use batchwright_pairs::{
    Facts, PairDataset, PairOptions, PairSampler, Parts, Places, Rule, TripletDataset, TripletOptions,
    TripletSampler,
};

use crate::common::Numbers;

const CLASSES: [u32; 12] = [0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 4, 4];

fn pairs(parts: Parts) -> PairDataset<Numbers, PairSampler> {
    let numbers = Numbers::new(&CLASSES);
    let sampler = PairSampler::new(&Facts::of(&numbers).unwrap(), &PairOptions::default()).unwrap();
    PairDataset::new(numbers, sampler, parts).unwrap()
}

fn triplets() -> TripletDataset<Numbers, TripletSampler> {
    let numbers = Numbers::new(&CLASSES);
    let sampler = TripletSampler::new(&Facts::of(&numbers).unwrap(), &TripletOptions::default()).unwrap();
    TripletDataset::new(numbers, sampler, Parts::Independent).unwrap()
}

fn placed(places: Places, parts: Parts) -> PairDataset<Numbers, PairSampler> {
    let numbers = Numbers::new(&CLASSES);
    let options = PairOptions { positive: Rule::same(["index"]), ..PairOptions::default() };
    let sampler = PairSampler::new(&Facts::of(&numbers).unwrap(), &options).unwrap();
    PairDataset::placed(numbers, sampler, parts, places).unwrap()
}

#[test]
fn pairs_and_triplets_keep_the_laws_of_data_sets() {
    check_dataset(&pairs(Parts::Independent), 20);
    check_dataset(&pairs(Parts::Shared), 20);
    check_dataset(&triplets(), 20);
    check_dataset(&placed(Places::Same, Parts::Independent), 20);
    check_dataset(&placed(Places::Overlapping(0.5), Parts::Shared), 20);
}

#[test]
fn batches_of_pairs_are_the_same_from_any_number_of_workers_and_resumed_anywhere() {
    let options = || BatchOptions { seed: 5, batch_size: 4, ..BatchOptions::default() };
    check_sequence(|| {
        let pairs = pairs(Parts::Independent);
        let n = pairs.len();
        Batches::new(pairs, Shuffled::new(n), options()).unwrap()
    });
    check_sequence(|| {
        let triplets = triplets();
        let n = triplets.len();
        Batches::new(triplets, Shuffled::new(n), options()).unwrap()
    });
}

#[test]
fn a_batch_holds_both_samples_what_they_are_and_which() {
    let dataset = pairs(Parts::Independent);
    let names: Vec<String> = dataset.fields().iter().map(|field| field.name.clone()).collect();
    assert_eq!(names, ["a", "a_label", "b", "b_label", "same", "a_index", "b_index"]);
    let n = dataset.len();
    assert_eq!(n, 11);
    let options = BatchOptions { seed: 9, batch_size: n, last: LastBatch::Drop, ..BatchOptions::default() };
    let batches = Batches::new(dataset, Shuffled::new(n), options).unwrap();
    let batch = batches.get(2, 0).unwrap();
    let (a, b) = (batch.get::<f32>("a").unwrap(), batch.get::<f32>("b").unwrap());
    let (a_index, b_index) = (batch.get::<i64>("a_index").unwrap(), batch.get::<i64>("b_index").unwrap());
    let same = batch.get::<f32>("same").unwrap();
    for (row, sample) in batch.samples.iter().enumerate() {
        let context = Context::new(9, 2, sample.position);
        let pair = batches.dataset().tuple(sample.index, &context);
        assert_eq!((a_index[row], b_index[row], same[row]), (pair.a as i64, pair.b as i64, pair.same));
        assert_eq!((a[2 * row], b[2 * row]), (pair.a as f32, pair.b as f32));
        assert_eq!(f32::from(u8::from(CLASSES[pair.a] == CLASSES[pair.b])), pair.same);
        // Independent changes: each part has streams of its own.
        let place = |part: &str| context.part(part).stream("place").uniform_in(0.0, 10.0) as f32;
        assert_eq!((a[2 * row + 1], b[2 * row + 1]), (place("a"), place("b")));
    }
    assert_eq!(same.iter().sum::<f32>(), 6.0, "half of 11, rounded");
}

/// The places of both samples of each pair of an epoch, and whether it is a positive.
fn places(dataset: PairDataset<Numbers, PairSampler>) -> Vec<(f32, f32, bool)> {
    let n = dataset.len();
    let options = BatchOptions { seed: 1, batch_size: n, ..BatchOptions::default() };
    let batch = Batches::new(dataset, Shuffled::new(n), options).unwrap().get(0, 0).unwrap();
    let (a, b) = (batch.get::<f32>("a").unwrap(), batch.get::<f32>("b").unwrap());
    let same = batch.get::<f32>("same").unwrap();
    (0..n).map(|row| (a[2 * row + 1], b[2 * row + 1], same[row] == 1.0)).collect()
}

#[test]
fn changes_are_drawn_apart_or_together_by_choice() {
    assert!(places(pairs(Parts::Independent)).iter().all(|(a, b, _)| a != b));
    assert!(places(pairs(Parts::Shared)).iter().all(|(a, b, _)| a == b));
}

#[test]
fn both_samples_are_taken_at_one_place_or_at_places_that_overlap() {
    for parts in [Parts::Independent, Parts::Shared] {
        assert!(places(placed(Places::Same, parts)).iter().all(|(a, b, _)| a == b));
        let apart = places(placed(Places::Overlapping(0.25), parts));
        assert!(apart.iter().all(|(a, b, _)| ((a - b).abs() - 0.75).abs() < 1e-5), "{apart:?}");
        // Positives and negatives alike, so that the place gives nothing away.
        assert!(apart.iter().any(|&(.., same)| same) && apart.iter().any(|&(.., same)| !same));
    }
    let numbers = Numbers::new(&CLASSES);
    let sampler = PairSampler::new(&Facts::of(&numbers).unwrap(), &PairOptions::default()).unwrap();
    assert_eq!(
        PairDataset::placed(numbers, sampler, Parts::Shared, Places::Overlapping(0.0))
            .unwrap_err()
            .to_string(),
        "the overlap of places is 0; it must be above 0 and at most 1"
    );
}

#[test]
fn an_error_names_the_part_and_the_sample() {
    let mut numbers = Numbers::new(&[0, 0]);
    numbers.bad = Some(1);
    let options = PairOptions { positives: 1.0, ..PairOptions::default() };
    let sampler = PairSampler::new(&Facts::of(&numbers).unwrap(), &options).unwrap();
    let pairs = PairDataset::new(numbers, sampler, Parts::Independent).unwrap();
    assert_eq!(pairs.id(0), "n0 with another");
    let options = BatchOptions { batch_size: 1, ..BatchOptions::default() };
    let batches = Batches::new(pairs, batchwright_core::Sequential::new(2), options).unwrap();
    let error = batches.get(0, 0).unwrap_err();
    let text = chain(error.as_ref());
    assert!(text.ends_with("cannot read `b`, sample 1 (n1): its bytes are wrong"), "{text}");
}

#[test]
fn a_data_set_of_other_samples_is_refused() {
    let sampler = PairSampler::new(&Facts::new(&[0, 0, 1]).unwrap(), &PairOptions::default()).unwrap();
    assert_eq!(
        PairDataset::new(Numbers::new(&[0, 0]), sampler, Parts::Shared).unwrap_err().to_string(),
        "pairs are drawn among 3 samples, the data set has 2"
    );
}
