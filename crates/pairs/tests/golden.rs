//! Pairs, triplets and batches, compared with an independent implementation: `tests/golden/pairs.py` made `golden.json`.

use batchwright_core::{Context, Sampler as _, Shuffled};
use batchwright_pairs::{
    ClassBatchOptions, ClassBatches, Draw, Facts, PairOptions, PairSampler, PairSource as _, Rule,
    TripletOptions, TripletSampler, TripletSource as _, Within,
};
use serde_json::{Value, json};

const CLASSES: [u32; 15] = [0, 4, 4, 1, 0, 0, 9, 4, 1, 2, 0, 4, 7, 7, 4];
const VISITS: [u32; 15] = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 0, 0];

fn pairs(facts: &Facts, options: &PairOptions, seed: u64, epoch: u64) -> Value {
    let sampler = PairSampler::new(facts, options).unwrap();
    let order = Shuffled::new(sampler.len()).order(seed, epoch);
    let pairs = (0..sampler.len() as u64).map(|position| {
        let pair = sampler.tuple(order.at(position) as usize, &Context::new(seed, epoch, position));
        json!([pair.a, pair.b, pair.same as u8])
    });
    pairs.collect()
}

fn batches(facts: &Facts, options: &ClassBatchOptions, seed: u64, epoch: u64) -> Value {
    let batches = ClassBatches::new(facts, options).unwrap();
    let order = batches.order(seed, epoch);
    (0..batches.len()).map(|position| order.at(position)).collect()
}

#[test]
fn pairs_triplets_and_batches_are_those_of_an_independent_implementation() {
    let golden: Value = serde_json::from_str(include_str!("golden/golden.json")).unwrap();
    let rows = golden.as_array().unwrap();
    assert_eq!(rows.len(), 3);
    let facts = Facts::new(&CLASSES).unwrap().with_numbers("visit", &VISITS).unwrap();
    let sizes = [3, 5, 2, 9, 4, 31, 6];
    let classes: Vec<u32> =
        sizes.iter().enumerate().flat_map(|(class, &size)| std::iter::repeat_n(class as u32, size)).collect();
    let third: Vec<u32> = classes.iter().map(|class| class % 3).collect();
    let grouped = Facts::new(&classes).unwrap().with_numbers("third", &third).unwrap();
    for row in rows {
        let seed: u64 = row["seed"].as_str().unwrap().parse().unwrap();
        let plain = PairOptions { positives: 0.3, ..PairOptions::default() };
        assert_eq!(pairs(&facts, &plain, seed, 1), row["pairs"]);
        let two = PairOptions { negative: Rule::different(["class", "visit"]), ..PairOptions::default() };
        assert_eq!(pairs(&facts, &two, seed, 0), row["two_differ"]);
        let options = TripletOptions { negatives: Draw::ByClass, ..TripletOptions::default() };
        let sampler = TripletSampler::new(&facts, &options).unwrap();
        let order = Shuffled::new(sampler.len()).order(seed, 2);
        let triplets: Value = (0..sampler.len() as u64)
            .map(|position| {
                let triplet = sampler.tuple(order.at(position) as usize, &Context::new(seed, 2, position));
                json!([triplet.anchor, triplet.positive, triplet.negative])
            })
            .collect();
        assert_eq!(triplets, row["triplets"]);
        assert_eq!(batches(&grouped, &ClassBatchOptions::new(3, 2), seed, 1), row["class_batches"]);
        let within = Some(Within { fact: "third".to_owned(), groups: 2 });
        let options = ClassBatchOptions { within, ..ClassBatchOptions::new(4, 3) };
        assert_eq!(batches(&grouped, &options, seed, 0), row["within"]);
    }
}
