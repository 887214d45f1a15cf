//! Batches of P classes with K samples each.

use std::collections::{BTreeMap, BTreeSet};

use batchwright_core::testing::check_sampler;
use batchwright_core::{Coverage, LastBatch, Plan, Rank, Sampler as _, Stream, Uneven};
use batchwright_pairs::{ClassBatchOptions, ClassBatches, Facts, Singletons, Within};
use proptest::prelude::*;

use crate::common::{histograms, is_likely, uniform};

/// The samples of one epoch, batch by batch.
fn epoch(batches: &ClassBatches, seed: u64, epoch: u64) -> Vec<Vec<usize>> {
    let order = batches.order(seed, epoch);
    let all: Vec<usize> = (0..batches.len()).map(|position| order.at(position) as usize).collect();
    all.chunks(batches.batch_size()).map(<[usize]>::to_vec).collect()
}

fn sizes(classes: &[u32]) -> BTreeMap<u32, usize> {
    let mut sizes = BTreeMap::new();
    for &class in classes {
        *sizes.entry(class).or_insert(0) += 1;
    }
    sizes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_batch_has_its_classes_and_every_sample_comes(
        classes in histograms(), width in 2..5_usize, each in 2..6_usize, seed: u64,
    ) {
        let facts = Facts::new(&classes).unwrap();
        let sizes = sizes(&classes);
        let several: BTreeMap<u32, usize> = sizes.iter().filter(|(_, n)| 1 < **n).map(|(c, n)| (*c, *n)).collect();
        let mut options = ClassBatchOptions::new(width, each);
        if several.len() < sizes.len() {
            let error = ClassBatches::new(&facts, &options).unwrap_err().to_string();
            prop_assert!(error.contains("have a single sample"), "{}", error);
        }
        options.singletons = Singletons::Exclude;
        let batches = ClassBatches::new(&facts, &options);
        if several.len() < width {
            prop_assert!(batches.unwrap_err().to_string().starts_with("a batch takes"));
            return Ok(());
        }
        let batches = batches.unwrap();
        check_sampler(&batches);
        let report = batches.report().clone();
        // As few batches as can be: the largest class in each, or all groups by the classes of a batch.
        let groups: Vec<usize> = several.values().map(|n| n.div_ceil(each)).collect();
        let least = groups.iter().sum::<usize>().div_ceil(width).max(*groups.iter().max().unwrap());
        prop_assert_eq!(report.batches as usize, least);
        prop_assert_eq!(report.excluded as usize, sizes.len() - several.len());
        for at in [0, 3] {
            let mut counts = vec![0_u64; classes.len()];
            for batch in epoch(&batches, seed, at) {
                prop_assert_eq!(batch.len(), width * each);
                let mut seen = BTreeSet::new();
                for group in batch.chunks(each) {
                    let class = classes[group[0]];
                    prop_assert!(group.iter().all(|&index| classes[index] == class));
                    prop_assert!(seen.insert(class), "class {} comes twice in a batch", class);
                    let different: BTreeSet<usize> = group.iter().copied().collect();
                    prop_assert_eq!(different.len(), each.min(several[&class]), "{:?} of {}", group, class);
                    for &index in group {
                        counts[index] += 1;
                    }
                }
            }
            for class in &report.repeats {
                let own: Vec<u64> =
                    (0..classes.len()).filter(|&i| classes[i] == class.class).map(|i| counts[i]).collect();
                let (low, high) = (*own.iter().min().unwrap(), *own.iter().max().unwrap());
                prop_assert!(1 <= low && high - low <= 1, "{:?}", own);
                prop_assert_eq!(own.iter().sum::<u64>(), class.batches * each as u64);
                prop_assert_eq!(class.repeats, own.iter().sum::<u64>() as f64 / own.len() as f64);
                prop_assert_eq!(class.doubles, own.len() < each);
            }
            prop_assert_eq!(batches.coverage() == Coverage::Once, counts.iter().all(|&count| count == 1));
            for (index, &count) in counts.iter().enumerate() {
                prop_assert_eq!(count == 0, sizes[&classes[index]] == 1, "sample {}", index);
            }
        }
    }

    #[test]
    fn the_classes_of_a_batch_come_from_as_many_super_classes_as_asked(
        counts in proptest::collection::vec(proptest::collection::vec(2..30_usize, 4..8), 3..6),
        groups in 1..4_usize, share in 1..4_usize, each in 2..5_usize, seed: u64,
    ) {
        prop_assume!(2 <= groups * share);
        let (mut classes, mut supers) = (Vec::new(), Vec::new());
        for (of, sizes) in counts.iter().enumerate() {
            for (nth, &size) in sizes.iter().enumerate() {
                classes.extend(std::iter::repeat_n((10 * of + nth) as u32, size));
                supers.extend(std::iter::repeat_n(of as u32, size));
            }
        }
        let facts = Facts::new(&classes).unwrap().with_numbers("alphabet", &supers).unwrap();
        let within = Some(Within { fact: "alphabet".to_owned(), groups });
        let options = ClassBatchOptions { within, ..ClassBatchOptions::new(groups * share, each) };
        let batches = ClassBatches::new(&facts, &options).unwrap();
        check_sampler(&batches);
        let mut counts = vec![0; classes.len()];
        for batch in epoch(&batches, seed, 1) {
            let mut of: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
            for &index in &batch {
                of.entry(supers[index]).or_default().insert(classes[index]);
                counts[index] += 1;
            }
            prop_assert_eq!(of.len(), groups);
            prop_assert!(of.values().all(|classes| classes.len() == share), "{:?}", of);
        }
        prop_assert!(counts.iter().all(|&count| 1 <= count));
    }
}

#[test]
fn places_that_are_over_go_where_samples_repeat_least() {
    // The largest class is in all 250 batches; the middle one fills nearly all other places, and the small ones hardly repeat.
    let classes: Vec<u32> = [(0, 1000), (1, 500), (2, 8), (3, 8)]
        .iter()
        .flat_map(|&(class, size)| std::iter::repeat_n(class, size))
        .collect();
    let batches = ClassBatches::new(&Facts::new(&classes).unwrap(), &ClassBatchOptions::new(2, 4)).unwrap();
    let report = batches.report();
    assert_eq!(report.batches, 250);
    let repeats: Vec<f64> = report.repeats.iter().map(|class| class.repeats).collect();
    assert_eq!(repeats, [1.0, 1.952, 1.5, 1.5]);
    assert_eq!(
        report.to_string(),
        "250 batches an epoch; 1516 samples of 4 classes come 1.32 times on average, those of class 1 (500 samples) 1.95 times"
    );
}

#[test]
fn classes_meet_many_others_in_one_epoch() {
    // 40 classes of 16: each is in 8 batches, beside 24 others of 39 that could be there. A class meets 18.93 different
    // ones on average where batches are mixed for long (100 rounds, by another program); it meets 3 where they are not,
    // 18.6 after three rounds. The mean of 200 epochs varies by 0.13.
    let classes: Vec<u32> = (0..640).map(|index| index % 40).collect();
    let batches = ClassBatches::new(&Facts::new(&classes).unwrap(), &ClassBatchOptions::new(4, 2)).unwrap();
    let mut met = 0;
    let mut counts = BTreeMap::new();
    for at in 0..200 {
        let mut others = BTreeSet::new();
        for batch in epoch(&batches, 5, at) {
            let there: BTreeSet<usize> = batch.iter().map(|&index| classes[index] as usize).collect();
            if there.contains(&7) {
                others.extend(there.into_iter().filter(|&class| class != 7).inspect(|&class| {
                    *counts.entry(class).or_insert(0) += 1;
                }));
            }
        }
        met += others.len();
    }
    let mean = met as f64 / 200.0;
    assert!((18.5..=19.4).contains(&mean), "{mean}");
    // Meetings of one epoch shut each other out, so counts vary less than the bound of independent draws.
    let all: Vec<usize> = (0..40).filter(|&class| class != 7).collect();
    is_likely(&counts, &uniform(&all), "meetings");
}

#[test]
fn small_classes_come_in_other_groups_each_time_round() {
    // Class 1 has 4 samples and K = 2: two groups a time, which come 100 times. All 6 pairs of samples stand together.
    let classes: Vec<u32> = (0..404).map(|index| u32::from(400 <= index)).collect();
    let batches = ClassBatches::new(&Facts::new(&classes).unwrap(), &ClassBatchOptions::new(2, 2)).unwrap();
    let mut together = BTreeMap::new();
    for batch in epoch(&batches, 3, 0) {
        for group in batch.chunks(2).filter(|group| 400 <= group[0]) {
            let pair = (group[0].min(group[1]), group[0].max(group[1]));
            *together.entry(pair).or_insert(0) += 1;
        }
    }
    assert_eq!(together.values().sum::<usize>(), 200);
    assert_eq!(together.len(), 6, "{together:?}");
}

#[test]
fn a_plan_of_them_has_whole_batches_and_ranks_share_each() {
    let classes: Vec<u32> = (0..90).map(|index| index % 9).collect();
    let batches = ClassBatches::new(&Facts::new(&classes).unwrap(), &ClassBatchOptions::new(4, 3)).unwrap();
    let plan = |world, index| {
        let rank = Rank { index, world };
        Plan::new(batches.clone(), 1, batches.batch_size(), LastBatch::Short, rank, Uneven::Exact).unwrap()
    };
    let one = plan(1, 0);
    assert_eq!(one.len() as u64, batches.report().batches);
    for batch in 0..one.len() {
        let halves = [plan(2, 0).batch(2, batch), plan(2, 1).batch(2, batch)];
        assert_eq!(halves.concat(), one.batch(2, batch));
        for half in halves {
            let there: BTreeSet<u32> = half.iter().map(|sample| classes[sample.index]).collect();
            assert_eq!(there.len(), 2, "a rank has whole classes");
        }
    }
}

#[test]
fn a_substitute_is_of_a_class_as_often_as_the_class_comes() {
    let classes = [0, 0, 0, 0, 0, 0, 1, 1, 2, 2];
    let batches = ClassBatches::new(&Facts::new(&classes).unwrap(), &ClassBatchOptions::new(2, 2)).unwrap();
    let order = batches.order(0, 0);
    let mut counts = BTreeMap::new();
    for at in 0..20_000 {
        *counts.entry(order.substitute(&mut Stream::new(0, 0, at, "test")) as usize).or_insert(0) += 1;
    }
    let (repeats, positions) = (&batches.report().repeats, batches.report().positions as f64);
    let expected: BTreeMap<usize, f64> = classes
        .iter()
        .enumerate()
        .map(|(index, &class)| (index, repeats[class as usize].repeats / positions))
        .collect();
    is_likely(&counts, &expected, "substitutes");
}

#[test]
fn batches_that_cannot_be_say_why() {
    let error = |classes: &[u32], options: &ClassBatchOptions| {
        ClassBatches::new(&Facts::new(classes).unwrap(), options).unwrap_err().to_string()
    };
    let new = ClassBatchOptions::new;
    assert_eq!(error(&[0, 0], &new(1, 2)), "the number of classes of a batch is 1; it must be 2 or more");
    assert_eq!(error(&[0, 0], &new(2, 1)), "the samples of each class is 1; it must be 2 or more");
    assert_eq!(error(&[0, 0, 4, 4], &new(3, 2)), "a batch takes 3 classes, and there are 2");
    assert_eq!(
        error(&[0, 0, 4, 5, 5, 9], &new(2, 2)),
        "2 classes have a single sample, as 4, 9; a batch takes two samples or more of each class. Exclude them by choice \
         (`singletons: exclude`), or give them more samples"
    );
    let none = Facts::unlabelled(4).unwrap();
    assert_eq!(
        ClassBatches::new(&none, &new(2, 2)).unwrap_err().to_string(),
        "batches of classes need a class for every sample; sample 0 has none"
    );
    let within = |groups| ClassBatchOptions {
        within: Some(Within { fact: "alphabet".to_owned(), groups }),
        ..new(4, 2)
    };
    let alphabets =
        |names: [&str; 8]| Facts::new(&[0, 0, 1, 1, 2, 2, 3, 3]).unwrap().with("alphabet", names).unwrap();
    let error = |facts: &Facts, groups| ClassBatches::new(facts, &within(groups)).unwrap_err().to_string();
    let good = alphabets(["a", "a", "a", "a", "b", "b", "b", "b"]);
    assert_eq!(error(&good, 1), "a batch takes 4 classes of `alphabet` a, and there are 2");
    assert_eq!(error(&good, 4), "a batch takes classes of 4 different `alphabet`, and there are 2");
    assert_eq!(
        error(&good, 3),
        "the number of super-classes of a batch is 3; it must be 1 or more and share 4 classes equally"
    );
    let bad = alphabets(["a", "a", "a", "b", "b", "b", "b", "b"]);
    assert_eq!(error(&bad, 2), "class 1 has samples of several `alphabet`, as a and b");
    assert_eq!(
        ClassBatches::new(&Facts::new(&[0, 0, 1, 1]).unwrap(), &within(1)).unwrap_err().to_string(),
        "the rule names `alphabet`, which samples do not have; they have `class`, `index`"
    );
    assert!(ClassBatches::new(&good, &within(2)).is_ok());
}
