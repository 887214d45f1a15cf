//! Negatives from a mined table.

use std::sync::Arc;

use batchwright_core::testing::check_dataset;
use batchwright_core::{Context, Dataset as _};
use batchwright_pairs::mining::{ByLabel, Mined, MiningOptions, mine};
use batchwright_pairs::{
    Embeddings, Facts, MinedNegatives, PairDataset, PairOptions, PairSampler, PairSource as _, Parts,
    TripletOptions, TripletSampler, TripletSource as _,
};

use crate::common::Numbers;

const CLASSES: [u32; 8] = [0, 0, 0, 1, 1, 1, 2, 2];

fn table(labels: &[u32]) -> Arc<Mined> {
    // On a line, in the order of the samples: the nearest of another label is at the border of the class.
    let values = (0..labels.len()).map(|at| at as f32).collect();
    let embeddings = Embeddings::new(values, 1, labels.to_vec()).unwrap();
    let options = MiningOptions { num_negatives: 1, ..MiningOptions::default() };
    Arc::new(mine(&embeddings, &ByLabel(labels), &options, 1, 0).unwrap())
}

#[test]
fn negatives_are_those_of_the_table_and_positives_as_they_were() {
    let facts = Facts::new(&CLASSES).unwrap();
    let plain = PairSampler::new(&facts, &PairOptions::default()).unwrap();
    let again = PairSampler::new(&facts, &PairOptions::default()).unwrap();
    let mut mined = MinedNegatives::new(again, 1.0).unwrap();
    let nearest = [3, 3, 3, 2, 2, 6, 5, 5]; // sample 4 has two as near, and the first counts
    for round in 0..2 {
        for position in 0..40 {
            let context = Context::new(3, 1, position);
            let index = position as usize % 8;
            let (was, is) = (plain.tuple(index, &context), mined.tuple(index, &context));
            if round == 0 || was.same == 1.0 {
                assert_eq!(was, is);
            } else {
                assert_eq!((is.a, is.b, is.same), (was.a, nearest[was.a], 0.0));
            }
        }
        let before = mined.fingerprint();
        mined.set(Some(table(&CLASSES))).unwrap();
        assert_eq!(before == mined.fingerprint(), round == 1, "the table is part of the fingerprint");
    }
    check_dataset(&PairDataset::new(Numbers::new(&CLASSES), mined, Parts::Independent).unwrap(), 8);
}

#[test]
fn a_share_of_negatives_is_mined() {
    let sampler = TripletSampler::new(&Facts::new(&CLASSES).unwrap(), &TripletOptions::default()).unwrap();
    let mut mined = MinedNegatives::new(sampler, 0.5).unwrap();
    mined.set(Some(table(&CLASSES))).unwrap();
    let count =
        (0..10_000).filter(|&position| mined.tuple(0, &Context::new(0, 0, position)).negative == 3).count();
    // Half, and of the other half one in five: binomial(10000, 0.6), whose standard deviation is 49.
    assert!((5700..=6300).contains(&count), "{count}");
}

#[test]
fn a_table_that_does_not_belong_is_refused() {
    let numbers = Numbers::new(&CLASSES);
    let sampler = PairSampler::new(&Facts::of(&numbers).unwrap(), &PairOptions::default()).unwrap();
    let mut mined = MinedNegatives::new(sampler, 1.0).unwrap();
    assert_eq!(
        mined.set(Some(table(&CLASSES[..6]))).unwrap_err().to_string(),
        "the mined table has 6 anchors, there are 8 samples"
    );
    assert_eq!(
        mined.set(Some(table(&[0, 0, 9, 1, 1, 1, 2, 2]))).unwrap_err().to_string(),
        "the mined table has sample 2 as a negative of sample 0, which the rules do not allow"
    );
    assert!(mined.table().is_none() && numbers.len() == 8);
    assert!(MinedNegatives::new((), 1.5).is_err());
}
