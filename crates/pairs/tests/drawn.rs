//! Pairs and triplets that rules draw.

use std::collections::BTreeMap;
use std::sync::Arc;

use batchwright_core::{Context, Dataset as _, LastBatch, Plan, Rank, Shuffled, Stream, Uneven, verify};
use batchwright_pairs::{
    Draw, Facts, Kind, PairOptions, PairSampler, PairSource, Partners, Relation, Rule, TripletOptions,
    TripletSampler, TripletSource,
};
use proptest::prelude::*;

use crate::common::{Numbers, facts, histograms, is_likely, uniform};

/// What a rule says, read from the facts one by one.
fn allowed(facts: &Facts, rule: &Rule, a: usize) -> Vec<usize> {
    let value = |name: &String, index| facts.value(name, index);
    (0..facts.len())
        .filter(|&b| {
            let same = |name| value(name, a).is_some() && value(name, a) == value(name, b);
            let other = |name| {
                value(name, a).is_some() && value(name, b).is_some() && value(name, a) != value(name, b)
            };
            (a != b || rule.same.iter().any(|name| name == "index"))
                && rule.same.iter().all(same)
                && rule.different.iter().all(other)
        })
        .collect()
}

fn rules() -> impl Strategy<Value = Rule> {
    // Each fact is asked to be the same, to differ, or nothing.
    proptest::collection::vec(0..3_u8, 4).prop_map(|asked| {
        let names = ["class", "patient", "visit", "site"];
        let of =
            |what| names.iter().zip(&asked).filter(move |(_, asked)| **asked == what).map(|(name, _)| *name);
        Rule::same(of(1)).differing(of(2))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn partners_are_those_that_the_rule_says_and_no_others(facts in facts(), rule in rules(), by_class: bool) {
        let draw = if by_class { Draw::ByClass } else { Draw::Uniform };
        let partners = Partners::new(&facts, &rule, draw).unwrap();
        for a in 0..facts.len() {
            let expected = allowed(&facts, &rule, a);
            prop_assert_eq!(partners.fitting(a), expected.len());
            prop_assert_eq!(partners.has_partner(a), !expected.is_empty());
            for b in 0..facts.len() {
                prop_assert_eq!(partners.holds(a, b), expected.contains(&b), "{} {}", a, b);
            }
            if !expected.is_empty() {
                let mut stream = Stream::new(1, 0, a as u64, "test");
                for _ in 0..20 {
                    let drawn = partners.draw(a, &mut stream);
                    prop_assert!(expected.contains(&drawn), "{} with {}, expected {:?}", a, drawn, expected);
                }
            }
        }
    }

    #[test]
    fn every_anchor_comes_once_an_epoch_and_singletons_never(classes in histograms(), epoch in 0..9_u64, world in 1..4_usize) {
        let facts = Facts::new(&classes).unwrap();
        let count = |class: u32| classes.iter().filter(|&&other| other == class).count();
        let anchors: Vec<usize> = (0..classes.len()).filter(|&index| 1 < count(classes[index])).collect();
        let several = classes.iter().any(|&class| class != classes[0]);
        let sampler = PairSampler::new(&facts, &PairOptions::default());
        let triplets = TripletSampler::new(&facts, &TripletOptions::default());
        prop_assert_eq!(triplets.is_ok(), sampler.is_ok());
        let (Ok(sampler), Ok(triplets)) = (sampler, triplets) else {
            prop_assert!(anchors.is_empty() || !several);
            return Ok(());
        };
        prop_assert_eq!(sampler.len(), anchors.len());
        prop_assert_eq!(sampler.report().without_positive, classes.len() - anchors.len());
        let order: Arc<Shuffled> = Arc::new(Shuffled::new(sampler.len()));
        let plans: Vec<Plan> = (0..world).map(|index| {
            let rank = Rank { index, world };
            Plan::shared(Arc::clone(&order) as _, 7, 6 * world, LastBatch::Short, rank, Uneven::Exact)
        }).filter_map(Result::ok).collect();
        prop_assume!(plans.len() == world);
        // Ranks together take every anchor once.
        prop_assert_eq!(verify(&plans, epoch).unwrap().once, anchors.len() as u64);
        let (mut seen, mut positives) = (Vec::new(), 0);
        for plan in &plans {
            for sample in (0..plan.len()).flat_map(|batch| plan.batch(epoch, batch)) {
                let context = Context::new(7, epoch, sample.position);
                let pair = sampler.tuple(sample.index, &context);
                prop_assert_eq!(pair.a, sampler.anchor(sample.index));
                prop_assert_ne!(pair.a, pair.b, "an anchor is never its own partner");
                prop_assert_eq!(f32::from(u8::from(classes[pair.a] == classes[pair.b])), pair.same);
                prop_assert_eq!(pair, sampler.tuple(sample.index, &context));
                let triplet = triplets.tuple(sample.index, &context);
                prop_assert_eq!(triplet.anchor, pair.a);
                prop_assert_ne!(triplet.anchor, triplet.positive);
                prop_assert_eq!(classes[triplet.anchor], classes[triplet.positive]);
                prop_assert_ne!(classes[triplet.anchor], classes[triplet.negative], "no false negative");
                seen.push(pair.a);
                positives += pair.same as usize;
            }
        }
        seen.sort_unstable();
        prop_assert_eq!(&seen, &anchors);
        prop_assert_eq!(positives, (anchors.len() as f64 * 0.5).round() as usize);
        prop_assert_eq!(positives as u64, sampler.report().positives);
        for (at, &anchor) in anchors.iter().enumerate() {
            prop_assert_eq!(sampler.index_of(anchor), Some(at));
        }
    }

    #[test]
    fn the_share_of_positives_is_exact_over_an_epoch_and_to_one_over_any_stretch(
        n in 2..400_usize, share in 0.0..=1.0_f64, epoch: u64, start in 0..400_u64, length in 1..200_u64,
    ) {
        let facts = Facts::new(&(0..2 * n).map(|i| i as u32 % 2).collect::<Vec<_>>()).unwrap();
        let sampler = PairSampler::new(&facts, &PairOptions { positives: share, ..PairOptions::default() }).unwrap();
        let whole = (0..2 * n as u64).filter(|&at| sampler.is_positive(epoch, at)).count();
        let k = (2.0 * n as f64 * share).round();
        prop_assert_eq!(whole, k as usize);
        let stretch = (start..start + length).filter(|&at| sampler.is_positive(epoch, at)).count() as f64;
        prop_assert!((stretch - length as f64 * k / (2.0 * n as f64)).abs() < 1.0 + 1e-9, "{}", stretch);
    }
}

#[test]
fn a_place_is_a_positive_in_its_share_of_epochs() {
    let facts = Facts::new(&(0..1000).map(|i| i % 10).collect::<Vec<_>>()).unwrap();
    let sampler =
        PairSampler::new(&facts, &PairOptions { positives: 0.3, ..PairOptions::default() }).unwrap();
    for position in [0, 1, 500, 999] {
        let count = (0..1000).filter(|&epoch| sampler.is_positive(epoch, position)).count();
        // Multiples of the golden ratio: 1000 of them fall into an interval of 0.3 to within a few.
        assert!((297..=303).contains(&count), "{count}");
    }
}

fn drawn(partners: &dyn Relation, anchor: usize, trials: u64) -> BTreeMap<usize, u64> {
    let mut counts = BTreeMap::new();
    for position in 0..trials {
        let mut stream = Context::new(3, 1, position).stream("pairs/partner");
        *counts.entry(partners.draw(anchor, &mut stream)).or_insert(0) += 1;
    }
    counts
}

/// Facts with classes of sizes 1 to 9, two patients a class or so, sites and visits across.
fn mixed() -> Facts {
    let classes: Vec<u32> =
        (0..9_u32).flat_map(|class| std::iter::repeat_n(class, class as usize + 1)).collect();
    let n = classes.len();
    let text = |of: fn(usize) -> usize| (0..n).map(move |index| of(index).to_string());
    Facts::new(&classes)
        .unwrap()
        .with("patient", text(|index| index / 4))
        .unwrap()
        .with("visit", text(|index| index % 3))
        .unwrap()
        .with("site", text(|index| index * 7 % 5 / 2))
        .unwrap()
}

#[test]
fn draws_are_uniform_over_all_partners_that_fit() {
    let facts = mixed();
    for rule in [
        Rule::same(["class"]),
        Rule::different(["class"]),
        Rule::different(["patient"]).matching(["site"]),
        // Trying: two facts must differ that do not decide each other.
        Rule::different(["class", "visit"]),
        Rule::different(["visit", "patient", "site"]),
        Rule::same(["visit"]).differing(["class", "site"]),
        Rule::default(),
    ] {
        let partners = Partners::new(&facts, &rule, Draw::Uniform).unwrap();
        for anchor in [0, 1, 20, 44] {
            let fit = allowed(&facts, &rule, anchor);
            if !fit.is_empty() {
                let counts = drawn(&partners, anchor, 20_000);
                is_likely(&counts, &uniform(&fit), &format!("{rule}, {anchor}"));
            }
        }
    }
}

#[test]
fn draws_stay_uniform_where_trying_finds_nothing() {
    // Of 3000 samples of another class all but three have the anchor's visit: most draws give up trying and list.
    let mut classes = vec![0; 1];
    classes.extend(std::iter::repeat_n(1, 3000));
    let visits = (0..3001).map(|index| if [7, 1000, 3000].contains(&index) { "b" } else { "a" });
    let facts = Facts::new(&classes).unwrap().with("visit", visits).unwrap();
    for draw in [Draw::Uniform, Draw::ByClass] {
        let partners = Partners::new(&facts, &Rule::different(["class", "visit"]), draw).unwrap();
        is_likely(&drawn(&partners, 0, 3000), &uniform(&[7, 1000, 3000]), "listed");
        let tries = partners.tries();
        assert!(1000 < tries.listed && 64 * 1000 < tries.rejected, "{tries:?}");
    }
}

#[test]
fn by_class_every_class_is_as_likely_then_every_sample_of_it() {
    let facts = mixed();
    for rule in [
        Rule::different(["class"]),
        Rule::different(["patient"]),
        Rule::different(["class", "visit"]),
        Rule::different(["visit", "patient"]).matching(["site"]),
        Rule::default(),
    ] {
        let partners = Partners::new(&facts, &rule, Draw::ByClass).unwrap();
        for anchor in [0, 2, 20, 44] {
            let mut classes: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
            for index in allowed(&facts, &rule, anchor) {
                classes.entry(facts.class(index).unwrap()).or_default().push(index);
            }
            let each = 1.0 / classes.len() as f64;
            let expected: BTreeMap<usize, f64> = classes
                .values()
                .flat_map(|fit| fit.iter().map(move |&index| (index, each / fit.len() as f64)))
                .collect();
            if !expected.is_empty() {
                is_likely(&drawn(&partners, anchor, 20_000), &expected, &format!("{rule}, {anchor}"));
            }
        }
    }
}

#[test]
fn singletons_are_negatives_as_often_as_anybody() {
    let facts = Facts::new(&[0, 0, 0, 1, 2, 2]).unwrap();
    let sampler = PairSampler::new(&facts, &PairOptions::default()).unwrap();
    assert_eq!(sampler.report().without_positive_first, [3]);
    assert_eq!(sampler.index_of(3), None);
    let mut counts = BTreeMap::new();
    for position in 0..20_000 {
        let pair = sampler.pair(0, Kind::Negative, &mut Stream::new(0, 0, position, "test"));
        *counts.entry(pair.b).or_insert(0) += 1;
    }
    is_likely(&counts, &uniform(&[3, 4, 5]), "negatives");
}

#[test]
fn two_views_of_a_sample_are_a_positive_of_it_with_itself() {
    let options = PairOptions { positive: Rule::same(["index"]), ..PairOptions::default() };
    // Without classes negatives are any other sample.
    let any = PairOptions { negative: Rule::different(["index"]), ..options.clone() };
    let unlabelled = PairSampler::new(&Facts::unlabelled(7).unwrap(), &any).unwrap();
    let labelled = PairSampler::new(&Facts::new(&[0, 0, 1]).unwrap(), &options).unwrap();
    for position in 0..100 {
        let context = Context::new(1, 2, position);
        let pair = unlabelled.tuple(position as usize % 7, &context);
        assert_eq!(pair.a == pair.b, pair.same == 1.0);
        let pair = labelled.tuple(position as usize % 3, &context);
        assert_eq!(pair.a == pair.b, pair.same == 1.0);
        assert!(pair.same == 1.0 || (pair.a < 2) != (pair.b < 2));
    }
}

#[test]
fn facts_are_asked_of_a_data_set() {
    let numbers = Numbers::new(&[5, 5, 5, 5, 9, 9]);
    let facts = Facts::of(&numbers).unwrap();
    assert_eq!(facts.names(), ["class", "parity"]);
    let options =
        TripletOptions { positive: Rule::same(["class"]).differing(["parity"]), ..TripletOptions::default() };
    let sampler = TripletSampler::new(&facts, &options).unwrap();
    for index in 0..numbers.len() {
        let triplet = sampler.tuple(index, &Context::new(0, 0, index as u64));
        assert_eq!((triplet.anchor + triplet.positive) % 2, 1);
    }
}

#[test]
fn a_change_of_rules_or_facts_shows_in_the_fingerprint() {
    let print = |classes: &[u32], options: &PairOptions| {
        PairSampler::new(&Facts::new(classes).unwrap(), options).unwrap().fingerprint()
    };
    let options = PairOptions::default();
    let was = print(&[0, 0, 1, 1], &options);
    assert_eq!(was, print(&[0, 0, 1, 1], &options));
    assert_ne!(was, print(&[0, 1, 0, 1], &options));
    assert_ne!(was, print(&[0, 0, 1, 1], &PairOptions { positives: 0.25, ..options.clone() }));
    assert_ne!(was, print(&[0, 0, 1, 1], &PairOptions { negatives: Draw::ByClass, ..options }));
}
