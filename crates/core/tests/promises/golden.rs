//! Streams and orders, compared with an independent implementation: `tests/golden/streams.py` made `golden.json`.

use batchwright_core::{Balanced, Sampler, Shuffled, Stream, Weighted, Windowed};
use serde_json::Value;

fn numbers(value: &Value) -> Vec<u64> {
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
    value.as_array().unwrap().iter().map(|value| number(value).unwrap()).collect()
}

#[test]
fn streams_and_orders_are_those_of_an_independent_implementation() {
    let golden: Value = serde_json::from_str(include_str!("../golden/golden.json")).unwrap();
    let rows = golden.as_array().unwrap();
    assert_eq!(rows.len(), 3);
    for row in rows {
        let seed: u64 = row["seed"].as_str().unwrap().parse().unwrap();
        let mut stream = Stream::new(seed, 3, 1_234_567_890_123, "augment/rotate");
        let words: Vec<u64> = (0..70).map(|_| u64::from(stream.bits32())).collect();
        assert_eq!(words, numbers(&row["bits32"]));
        let mut stream = Stream::new(seed, 0, 1, "a");
        assert_eq!((0..5).map(|_| stream.bits64()).collect::<Vec<_>>(), numbers(&row["bits64"]));
        let attempt: u64 = row["attempt_2"].as_str().unwrap().parse().unwrap();
        assert_eq!(Stream::with_attempt(seed, 0, 1, "a", 2).bits64(), attempt);
        for (epoch, expected) in row["uniform"].as_array().unwrap().iter().enumerate() {
            assert_eq!(Stream::new(seed, epoch as u64, 0, "u").uniform(), expected.as_f64().unwrap());
        }
        let mut stream = Stream::new(seed, 1, 0, "below");
        let below: Vec<u64> =
            [1, 2, 3, 10, 1000, 1_000_000_000, 3 << 61].iter().map(|&n| stream.below(n)).collect();
        assert_eq!(below, numbers(&row["below"]));

        let mut stream = Stream::new(seed, 1, 0, "below32");
        let below: Vec<u64> =
            [1, 2, 3, 10, 1000, 3 << 30, u32::MAX].iter().map(|&n| u64::from(stream.below32(n))).collect();
        assert_eq!(below, numbers(&row["below32"]));

        let order = Shuffled::new(10).order(seed, 0);
        assert_eq!((0..10).map(|at| order.at(at)).collect::<Vec<_>>(), numbers(&row["shuffled_10"]));
        let order = Shuffled::new(1000).order(seed, 5);
        let found: Vec<u64> = (0..1000).step_by(50).map(|at| order.at(at)).collect();
        assert_eq!(found, numbers(&row["shuffled_1000"]));
        for n in [65_535, 65_536, 1_000_003, 1_000_000_000_u64] {
            let order = Shuffled::new(n as usize).order(seed, 2);
            let found: Vec<u64> = [0, 1, 2, n / 2, n - 2, n - 1].iter().map(|&at| order.at(at)).collect();
            assert_eq!(found, numbers(&row[format!("shuffled_{n}")]), "{n} samples");
        }
        let order = Windowed::new(103, 10, 3).unwrap().order(seed, 1);
        assert_eq!((0..103).map(|at| order.at(at)).collect::<Vec<_>>(), numbers(&row["windowed_103_10_3"]));
        let order = Balanced::new(&[0, 0, 0, 0, 0, 7, 7, 3], 24).unwrap().order(seed, 2);
        assert_eq!((0..24).map(|at| order.at(at)).collect::<Vec<_>>(), numbers(&row["balanced"]));
        let weights = vec![1.0, 0.0, 2.5, 7.0, 1e-3, 4.0, 0.25];
        let order = Weighted::with_replacement(weights.clone(), 40).unwrap().order(seed, 3);
        assert_eq!((0..40).map(|at| order.at(at)).collect::<Vec<_>>(), numbers(&row["weighted"]));
        let order = Weighted::without_replacement(weights, 6).unwrap().order(seed, 3);
        assert_eq!((0..6).map(|at| order.at(at)).collect::<Vec<_>>(), numbers(&row["weighted_without"]));
        let order = Shuffled::new(10).order(seed, 1);
        let substitutes: Vec<u64> = (1..9)
            .map(|attempt| {
                order.substitute(&mut Stream::with_attempt(seed, 1, 7, "order/substitute", attempt))
            })
            .collect();
        assert_eq!(substitutes, numbers(&row["substitutes_10"]));
        let mut normals = [0.0_f32; 16];
        Stream::new(seed, 0, 5, "n").fill_normal(&mut normals);
        for (found, expected) in normals.iter().zip(row["normals"].as_array().unwrap()) {
            assert!((f64::from(*found) - expected.as_f64().unwrap()).abs() < 2e-6, "{found} {expected}");
        }
        let mut stream = Stream::new(seed, 0, 0, "odd");
        stream.bits32();
        let odd: Vec<u64> = (0..40).map(|_| stream.bits64()).collect();
        assert_eq!(odd, numbers(&row["bits64_after_one_word"]));
    }
}

#[test]
fn names_seeds_epochs_positions_and_attempts_all_make_other_streams() {
    let mut firsts = std::collections::BTreeSet::new();
    let mut count = 0;
    for seed in [0, 1, 1 << 32, u64::MAX] {
        for epoch in [0, 1, 1 << 32] {
            for position in [0, 1, 2, 1 << 32] {
                for name in ["a", "b", "a/b", "ab", ""] {
                    for attempt in [0, 1] {
                        firsts.insert(Stream::with_attempt(seed, epoch, position, name, attempt).bits64());
                        count += 1;
                    }
                }
            }
        }
    }
    assert_eq!(firsts.len(), count);
}

#[test]
fn normal_draws_have_the_moments_of_the_standard_normal() {
    let mut draws = vec![0_f32; 200_001];
    Stream::new(1, 0, 0, "normal").fill_normal(&mut draws);
    let n = draws.len() as f64;
    let moment = |k: i32| draws.iter().map(|&x| f64::from(x).powi(k)).sum::<f64>() / n;
    // The standard errors of the first four moments are sqrt(1/n), sqrt(2/n), sqrt(15/n), sqrt(96/n); 6 of each.
    for (k, expected, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
        assert!(
            (moment(k) - expected).abs() < 6.0 * (variance / n as f64).sqrt(),
            "moment {k}: {}",
            moment(k)
        );
    }
    let mut stream = Stream::new(1, 0, 0, "normal");
    assert_eq!(stream.normal(), draws[0], "one at a time gives the first of each pair");
}
