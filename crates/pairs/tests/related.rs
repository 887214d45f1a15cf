//! Relations by labels and by closures.

use std::collections::BTreeMap;
use std::sync::Arc;

use batchwright_core::{Context, Stream};
use batchwright_pairs::{
    Labels, PairSampler, PairSource as _, Predicate, Relation, SharedLabels, TripletSampler,
    TripletSource as _,
};
use proptest::prelude::*;

use crate::common::{is_likely, uniform};

fn labels() -> impl Strategy<Value = Vec<Vec<u32>>> {
    proptest::collection::vec(proptest::collection::vec(0..8_u32, 0..5), 1..40)
}

fn shared(sets: &[Vec<u32>], a: usize, b: usize) -> usize {
    (0..8).filter(|label| sets[a].contains(label) && sets[b].contains(label)).count()
}

proptest! {
    #[test]
    fn partners_share_as_many_labels_as_asked(sets in labels(), count in 0..4_usize) {
        let labels = Arc::new(Labels::new(sets.iter().cloned()).unwrap());
        let relations: Vec<(SharedLabels, bool)> = [
            SharedLabels::at_least(Arc::clone(&labels), count).map(|relation| (relation, true)),
            SharedLabels::at_most(labels, count).map(|relation| (relation, false)),
        ].into_iter().filter_map(Result::ok).collect();
        prop_assert_eq!(relations.len(), if count == 0 { 1 } else { 2 });
        for (relation, least) in relations {
            for a in 0..sets.len() {
                let fits = |b: usize| {
                    let shared = shared(&sets, a, b);
                    a != b && if least { count <= shared } else { shared <= count }
                };
                prop_assert!((0..sets.len()).all(|b| relation.holds(a, b) == fits(b)));
                prop_assert_eq!(relation.has_partner(a), (0..sets.len()).any(fits));
                if relation.has_partner(a) {
                    let mut stream = Stream::new(0, 0, a as u64, "test");
                    prop_assert!((0..20).all(|_| fits(relation.draw(a, &mut stream))));
                }
            }
        }
    }
}

fn drawn(relation: &dyn Relation, anchor: usize) -> BTreeMap<usize, u64> {
    let mut counts = BTreeMap::new();
    for position in 0..20_000 {
        let mut stream = Stream::new(1, 0, position, "test");
        *counts.entry(relation.draw(anchor, &mut stream)).or_insert(0) += 1;
    }
    counts
}

#[test]
fn samples_that_share_many_labels_are_drawn_no_more_often() {
    // Sample 0 shares 1, 2, 3 and 4 labels with the next four, and one common label with many.
    let mut sets = vec![vec![0, 1, 2, 3], vec![0], vec![0, 1], vec![0, 1, 2], vec![0, 1, 2, 3], vec![9]];
    sets.extend((0..30).map(|_| vec![3, 9]));
    let labels = Arc::new(Labels::new(sets.iter().cloned()).unwrap());
    for least in 1..=4 {
        let fit: Vec<usize> = (1..sets.len()).filter(|&b| least <= shared(&sets, 0, b)).collect();
        let relation = SharedLabels::at_least(Arc::clone(&labels), least).unwrap();
        is_likely(&drawn(&relation, 0), &uniform(&fit), &format!("at least {least}"));
        assert!(0 < relation.tries().rejected);
    }
    let relation = SharedLabels::at_most(labels, 1).unwrap();
    let fit: Vec<usize> = (1..sets.len()).filter(|&b| shared(&sets, 0, b) <= 1).collect();
    is_likely(&drawn(&relation, 0), &uniform(&fit), "at most 1");
}

#[test]
fn rare_partners_are_found_by_listing_and_stay_uniform() {
    // One in a thousand: trying 64 times mostly fails.
    let near = Predicate::new("every thousandth", 4000, |_, b| b % 1000 == 7).unwrap();
    let mut counts = BTreeMap::new();
    for position in 0..2000 {
        *counts.entry(near.draw(5, &mut Stream::new(1, 0, position, "test"))).or_insert(0) += 1;
    }
    is_likely(&counts, &uniform(&[7, 1007, 2007, 3007]), "rare");
    let tries = near.tries();
    assert!(1500 < tries.listed && 64 * 1500 < tries.rejected, "{tries:?}");
    // Labels, too: 4000 samples share one label with the anchor, two of them both.
    let sets = (0..4000_u32).map(|sample| if [0, 9, 3999].contains(&sample) { vec![1, 2] } else { vec![1] });
    let relation = SharedLabels::at_least(Arc::new(Labels::new(sets).unwrap()), 2).unwrap();
    let mut counts = BTreeMap::new();
    for position in 0..500 {
        *counts.entry(relation.draw(0, &mut Stream::new(1, 0, position, "test"))).or_insert(0) += 1;
    }
    is_likely(&counts, &uniform(&[9, 3999]), "labels");
    assert!(300 < relation.tries().listed);
}

#[test]
fn a_closure_makes_pairs_and_triplets() {
    let near = || Arc::new(Predicate::new("near", 20, |a: usize, b: usize| a.abs_diff(b) <= 2).unwrap());
    let far = || Arc::new(Predicate::new("far", 20, |a: usize, b: usize| 10 <= a.abs_diff(b)).unwrap());
    let pairs = PairSampler::of(near(), far(), 0.25).unwrap();
    let triplets = TripletSampler::of(near(), far()).unwrap();
    for position in 0..20 {
        let context = Context::new(4, 1, position);
        let pair = pairs.tuple(position as usize, &context);
        assert_eq!(pair.a.abs_diff(pair.b) <= 2, pair.same == 1.0);
        let triplet = triplets.tuple(position as usize, &context);
        assert!(
            triplet.anchor.abs_diff(triplet.positive) <= 2 && 10 <= triplet.anchor.abs_diff(triplet.negative)
        );
    }
    assert_eq!(pairs.report().positives, 5);
    let overlapping = Arc::new(Predicate::new("anybody", 20, |_, _| true).unwrap());
    let error = PairSampler::of(near(), overlapping, 0.5).unwrap_err().to_string();
    assert!(
        error.starts_with("the rules of positives (near) and of negatives (anybody) allow the same pair"),
        "{error}"
    );
    let fewer = Arc::new(Predicate::new("far", 19, |a: usize, b: usize| 10 <= a.abs_diff(b)).unwrap());
    assert_eq!(
        PairSampler::of(near(), fewer, 0.5).unwrap_err().to_string(),
        "positives are drawn among 20 samples, negatives among 19"
    );
}
