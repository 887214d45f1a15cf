//! Pairs and triplets that are written in a list.

use batchwright_core::testing::check_dataset;
use batchwright_core::{Context, Dataset as _};
use batchwright_pairs::{
    ListedBy, Names, Pair, PairDataset, PairList, PairSource as _, Parts, Triplet, TripletDataset,
    TripletList, TripletSource as _,
};

use crate::common::Numbers;

fn numbers() -> Numbers {
    Numbers::new(&[0, 0, 1, 1])
}

fn ids() -> Names {
    Names::of(&numbers(), ListedBy::Id).unwrap()
}

fn pairs(text: &str) -> Result<PairList, String> {
    PairList::parse("p.csv", text, &ids()).map_err(|error| error.to_string())
}

#[test]
fn a_list_of_pairs_is_read_and_becomes_samples() {
    let list = pairs("b, a ,same\nn1,n0,1\n\nn2,n0,FALSE\r\nn1,n0,true\n").unwrap();
    let rows: Vec<Pair> = (0..list.len()).map(|index| list.tuple(index, &Context::new(0, 0, 5))).collect();
    let pair = |a, b, same| Pair { a, b, same };
    assert_eq!(rows, [pair(0, 1, 1.0), pair(0, 2, 0.0), pair(0, 1, 1.0)]);
    assert_eq!(list.positives(), 2);
    let dataset = PairDataset::new(numbers(), list, Parts::Independent).unwrap();
    assert_eq!((dataset.len(), dataset.id(1)), (3, "n0 with n2".to_owned()));
    check_dataset(&dataset, 3);
}

#[test]
fn scores_and_indices_are_read_by_choice() {
    let names = Names::of(&numbers(), ListedBy::Index).unwrap();
    let list = PairList::parse("p.csv", "\u{feff}a,b,score\n0,3,-0.25\n1,2,3e1\n", &names).unwrap();
    let scores: Vec<f32> = (0..2).map(|index| list.fixed(index).unwrap().same).collect();
    assert_eq!(scores, [-0.25, 30.0]);
    let error = PairList::parse("p.csv", "a,b,score\n0,3,1\n0,4,1\n", &names).unwrap_err();
    assert_eq!(error.to_string(), "p.csv, line 3: there is no sample `4`; indices are 0 to 3");
}

#[test]
fn a_list_of_triplets_is_read_and_becomes_samples() {
    let text = "anchor,positive,negative\nn0,n1,n2\nn3,n2,n0\n";
    let list = TripletList::parse("t.csv", text, &ids()).unwrap();
    assert_eq!(list.fixed(1), Some(Triplet { anchor: 3, positive: 2, negative: 0 }));
    let dataset = TripletDataset::new(numbers(), list, Parts::Shared).unwrap();
    assert_eq!(dataset.id(0), "n0 with n1 against n2");
    check_dataset(&dataset, 2);
    let error = TripletList::parse("t.csv", "anchor,positive,negative\nn0,n1,n0\n", &ids()).unwrap_err();
    assert_eq!(error.to_string(), "t.csv, line 2: sample `n0` stands with itself");
}

#[test]
fn errors_name_the_line() {
    let error = |text: &str| pairs(text).unwrap_err();
    assert_eq!(error(""), "p.csv: the columns are none; expected `a`, `b` and `same` (or `score`)");
    assert_eq!(
        error("n0,n1,1\n"),
        "p.csv: the columns are `n0`, `n1`, `1`; expected `a`, `b` and `same` (or `score`)"
    );
    assert_eq!(error("a,b,same\n"), "p.csv: the list is empty");
    assert_eq!(
        error("a,b,same\nn0,n1,1\nn0,n9,1\n"),
        "p.csv, line 3: there is no sample `n9`; samples are named as `n0`"
    );
    assert_eq!(error("a,b,same\nn0,n1\n"), "p.csv, line 2: expected 3 values, found 2");
    assert_eq!(
        error("a,b,same\nn0,n1,2\n"),
        "p.csv, line 2: expected 1 or 0 (or true or false) in `same`, found `2`"
    );
    assert_eq!(
        error("a,b,score\nn0,n1,nan\n"),
        "p.csv, line 2: expected a finite number in `score`, found `nan`"
    );
    assert_eq!(error("a,b,same\n\n\nn2,n2,1\n"), "p.csv, line 4: sample `n2` stands with itself");
    assert_eq!(
        error("a,b,same\r\n\nn0,n1,1\r\n\nn2,n2,1\n"),
        "p.csv, line 5: sample `n2` stands with itself"
    );
    assert_eq!(
        error("a,b,same\nn0,n1,1\nn0,n2,0\nn1,n0,0\n"),
        "p.csv, line 4: `n1` and `n0` are not the same, which line 2 says otherwise"
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let path = std::path::Path::new("no/such/list.csv");
    assert_eq!(PairList::read(path, &ids()).unwrap_err().to_string(), "cannot read no/such/list.csv");
}

#[test]
fn a_change_of_the_list_shows_in_the_fingerprint() {
    let print = |text| pairs(text).unwrap().fingerprint();
    let was = print("a,b,same\nn0,n1,1\n");
    assert_eq!(was, print("a,b,same\nn0,n1,true\n"));
    assert_ne!(was, print("a,b,same\nn0,n1,0\n"));
    assert_ne!(was, print("a,b,same\nn1,n0,1\n"));
}
