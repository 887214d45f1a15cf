//! Rules that cannot be say why, before anything is read.

use batchwright_pairs::{Facts, PairOptions, PairSampler, Rule, TripletOptions, TripletSampler};

fn scans() -> Facts {
    Facts::new(&[0, 0, 0, 1, 1, 1])
        .unwrap()
        .with("patient", ["ann", "ann", "bob", "bob", "cy", "cy"])
        .unwrap()
        .with("visit", ["1", "2", "1", "2", "1", "1"])
        .unwrap()
        .with("site", ["x", "x", "x", "y", "y", "y"])
        .unwrap()
}

fn error(positive: Rule, negative: Rule) -> String {
    let options = PairOptions { positive, negative, ..PairOptions::default() };
    let error = PairSampler::new(&scans(), &options).unwrap_err().to_string();
    let PairOptions { positive, negative, negatives, .. } = options;
    let triplets = TripletSampler::new(&scans(), &TripletOptions { positive, negative, negatives });
    assert_eq!(triplets.unwrap_err().to_string(), error);
    error
}

#[test]
fn groups_draw_from_the_same_patient_and_the_same_site() {
    let positive = Rule::same(["patient"]).differing(["visit"]);
    let negative = Rule::different(["patient"]).matching(["site"]);
    let sampler =
        PairSampler::new(&scans(), &PairOptions { positive, negative, ..PairOptions::default() }).unwrap();
    assert_eq!(sampler.report().to_string(), "4 of 6 samples are anchors; 2 have no positive (4, 5)");
}

#[test]
fn impossible_rules_say_why() {
    let other = || Rule::different(["class"]);
    assert_eq!(
        error(Rule::same(["ward"]), other()),
        "the rule of positives names `ward`, which samples do not have; they have `class`, `patient`, `site`, `visit`, \
         `index`"
    );
    assert_eq!(
        error(Rule::same(["class"]), other().matching(["class"])),
        "the rule of negatives (same class, different class) contradicts itself: two samples that are the same so cannot \
         differ in `class`"
    );
    assert_eq!(
        error(Rule::same(["index"]).differing(["visit"]), other()),
        "the rule of positives (same index, different visit) contradicts itself: two samples that are the same so cannot \
         differ in `visit`"
    );
    assert_eq!(
        error(Rule::same(["patient", "visit"]).differing(["site"]), other()),
        "the rule of positives (same patient and visit, different site) pairs nothing: of 6 samples 6 have the facts it \
         names; 2 of them have another with same patient and visit; 0 of them have another with same patient and visit, \
         different site"
    );
    assert_eq!(
        error(Rule::same(["class"]), Rule::different(["visit"])),
        "the rules of positives (same class) and of negatives (different visit) allow the same pair, as samples 0 and 1: \
         it would be a false negative; let negatives differ in what positives share"
    );
    let error = PairSampler::new(&Facts::new(&[3, 3]).unwrap(), &PairOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the rule of negatives (different class) pairs nothing: of 2 samples 2 have the facts it names; 0 of them have \
         another with different class"
    );
    for found in [-0.1, 1.5, f64::NAN] {
        let options = PairOptions { positives: found, ..PairOptions::default() };
        let error = PairSampler::new(&scans(), &options).unwrap_err().to_string();
        assert_eq!(error, format!("the share of positives is {found}; it must be from 0 to 1"));
    }
}

#[test]
fn rules_that_exclude_each_other_through_the_data_are_allowed() {
    // Sites differ wherever patients of one visit do not: no pair of this data is in both rules.
    let facts = Facts::unlabelled(4)
        .unwrap()
        .with("patient", ["ann", "ann", "bob", "bob"])
        .unwrap()
        .with("site", ["x", "x", "y", "y"])
        .unwrap();
    let options = PairOptions {
        positive: Rule::same(["patient"]),
        negative: Rule::different(["site"]),
        ..PairOptions::default()
    };
    assert_eq!(PairSampler::new(&facts, &options).unwrap().report().anchors, 4);
}

#[test]
fn nobody_with_both_a_positive_and_a_negative_is_an_error() {
    // Ann has positives and no negative at her site, the others the other way round.
    let facts = Facts::unlabelled(4)
        .unwrap()
        .with("patient", ["ann", "ann", "bob", "cy"])
        .unwrap()
        .with("site", ["x", "x", "y", "y"])
        .unwrap();
    let options = PairOptions {
        positive: Rule::same(["patient"]),
        negative: Rule::different(["patient"]).matching(["site"]),
        ..PairOptions::default()
    };
    assert_eq!(
        PairSampler::new(&facts, &options).unwrap_err().to_string(),
        "no sample has both a positive and a negative: of 4 samples 2 have a positive and 2 a negative"
    );
    // Only one kind is needed where the other never comes.
    let positives = PairOptions { positives: 1.0, ..options };
    assert_eq!(PairSampler::new(&facts, &positives).unwrap().report().anchors, 2);
}

#[test]
fn options_are_read_from_a_configuration() {
    let text = r#"{"positives": 0.25, "positive": {"same": ["patient"], "different": ["visit"]},
                   "negative": {"different": ["patient"], "same": ["site"]}, "negatives": "by_class"}"#;
    let options: PairOptions = serde_json::from_str(text).unwrap();
    assert_eq!(options.positive.to_string(), "same patient, different visit");
    let defaults: PairOptions = serde_json::from_str("{}").unwrap();
    assert_eq!(defaults, PairOptions::default());
    assert!(serde_json::from_str::<PairOptions>(r#"{"positive": {"equal": []}}"#).is_err());
}
