//! Batches are a pure function; every sample comes exactly once.

use batchwright_core::testing::{check_dataset, check_sampler, check_sequence, digest};
use batchwright_core::{
    Balanced, LastBatch, Loader, LoaderOptions, OnError, Rank, Sequence, Sequential, Shuffled, Uneven,
    Weighted, Windowed,
};
use proptest::prelude::*;

use crate::common::{Fate, Samples, batches, within_a_minute};

fn digests(
    sequence: impl Sequence + 'static,
    workers: usize,
    depth: usize,
    bytes: Option<u64>,
    epochs: u64,
) -> Vec<String> {
    let options = LoaderOptions {
        workers,
        max_queue_size: depth,
        queue_bytes: bytes,
        epochs: Some(epochs),
        ..LoaderOptions::default()
    };
    let mut loader = Loader::new(sequence, options);
    let mut all = Vec::new();
    while let Some(batch) = loader.next_batch() {
        all.push(digest(&batch.unwrap()));
    }
    all
}

#[test]
fn the_samplers_keep_their_laws() {
    for n in [1, 2, 10, 333] {
        check_sampler(&Sequential::new(n));
        check_sampler(&Shuffled::new(n));
        check_sampler(&Windowed::new(n, 7, 3).unwrap());
        let weights: Vec<f64> = (0..n).map(|i| i as f64 + 0.5).collect();
        check_sampler(&Weighted::with_replacement(weights.clone(), 2 * n).unwrap());
        check_sampler(&Weighted::without_replacement(weights, n.div_ceil(2)).unwrap());
        let classes: Vec<u32> = (0..n as u32).map(|i| i * i % 5).collect();
        check_sampler(&Balanced::new(&classes, n + 1).unwrap());
    }
    check_sampler(&Shuffled::new(70_000));
}

#[test]
fn the_data_set_and_the_sequence_keep_their_laws() {
    check_dataset(&Samples::new(50), 20);
    within_a_minute(|| check_sequence(|| batches(Samples::new(23), Shuffled::new(23), |_| ())));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Over lengths, batch sizes, ends, workers, depths, budgets: the order and the content of every batch.
    #[test]
    fn batches_do_not_depend_on_workers_queue_or_budget(
        n in 1_usize..60, batch_size in 1_usize..20, drop_last: bool, depth in 1_usize..6,
        budget in prop_oneof![Just(None), (1_u64..4000).prop_map(Some)], window in 0_usize..3,
    ) {
        let batch_size = if drop_last { batch_size.min(n) } else { batch_size };
        let make = move || batches_of(n, window, batch_size, drop_last, Rank::default(), Uneven::Exact);
        within_a_minute(move || {
            let expected = digests(make(), 0, 1, None, 3);
            assert_eq!(expected.len(), make().len() * 3);
            for workers in [1, 2, 3, 4, 5, 6, 7, 8, 16] {
                assert_eq!(digests(make(), workers, depth, budget, 3), expected, "{workers} workers");
            }
        });
    }

    /// The ranks' samples, side by side, are the batches of one rank, draws included.
    #[test]
    fn ranks_slice_one_global_order(n in 8_usize..80, share in 1_usize..5, epoch in 0_u64..3) {
        within_a_minute(move || {
            let one = batches_of(n, 0, share * 4, false, Rank::default(), Uneven::Exact);
            for world in [2, 4] {
                let ranks: Vec<_> = (0..world)
                    .map(|index| batches_of(n, 0, share * 4, false, Rank { index, world }, Uneven::Exact))
                    .collect();
                for batch in 0..one.len() {
                    let whole = one.get(epoch, batch).unwrap();
                    let (mut indices, mut draws) = (Vec::new(), Vec::new());
                    for rank in ranks.iter().filter(|rank| batch < rank.len()) {
                        let part = rank.get(epoch, batch).unwrap();
                        indices.extend_from_slice(part.get::<i64>("index").unwrap());
                        draws.extend_from_slice(part.get::<f32>("draw").unwrap());
                    }
                    assert_eq!(indices, whole.get::<i64>("index").unwrap());
                    assert_eq!(draws, whole.get::<f32>("draw").unwrap());
                }
            }
        });
    }
}

fn batches_of(
    n: usize,
    window: usize,
    batch_size: usize,
    drop_last: bool,
    rank: Rank,
    uneven: Uneven,
) -> batchwright_core::Batches<Samples> {
    let change = |options: &mut batchwright_core::BatchOptions| {
        options.batch_size = batch_size;
        options.last = if drop_last { LastBatch::Drop } else { LastBatch::Short };
        (options.rank, options.uneven) = (rank, uneven);
    };
    match window {
        0 => batches(Samples::new(n), Shuffled::new(n), change),
        1 => batches(Samples::new(n), Sequential::new(n), change),
        window => batches(Samples::new(n), Windowed::new(n, 3, window).unwrap(), change),
    }
}

#[test]
fn one_batch_filled_by_several_threads_is_the_same() {
    within_a_minute(|| {
        // Dear enough to be shared out one by one, with bad samples among them.
        let make = || {
            let samples = (0..40).fold(Samples::new(40), |samples, index| {
                let time = std::time::Duration::from_micros(150);
                samples.with(index, if index % 9 == 4 { Fate::Bad } else { Fate::Slow(time) })
            });
            batches(samples, Shuffled::new(40), |options| {
                options.batch_size = 16;
                options.on_error = OnError::Substitute { budget: 10 };
            })
        };
        let expected = digests(make(), 0, 1, None, 3);
        for workers in [2, 3, 8] {
            assert_eq!(digests(make(), workers, 4, None, 3), expected, "{workers} workers");
        }
    });
}

#[test]
fn an_epoch_has_every_sample_once_and_the_next_another_order() {
    let mut loader = Loader::new(
        batches(Samples::new(101), Shuffled::new(101), |_| ()),
        LoaderOptions { workers: 4, ..LoaderOptions::default() },
    );
    let mut orders = Vec::new();
    for _ in 0..3 {
        let order: Vec<i64> =
            loader.epoch().flat_map(|batch| batch.unwrap().get::<i64>("index").unwrap().to_vec()).collect();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..101));
        orders.push(order);
    }
    assert!(orders[0] != orders[1] && orders[1] != orders[2]);
}

#[test]
fn class_weights_travel_with_the_batch() {
    let weights = [(0, 0.5), (1, 1.0), (2, 3.0)].into();
    let sequence =
        batches(Samples::new(10), Shuffled::new(10), |options| options.class_weight = Some(weights));
    let batch = sequence.get(0, 1).unwrap();
    let expected: Vec<f32> =
        batch.get::<i64>("index").unwrap().iter().map(|index| [0.5, 1.0, 3.0][*index as usize % 3]).collect();
    assert_eq!(batch.weights, Some(expected));
    let missing = batchwright_core::Batches::new(
        Samples::new(10),
        Shuffled::new(10),
        batchwright_core::BatchOptions {
            batch_size: 2,
            class_weight: Some([(0, 1.0), (1, 1.0)].into()),
            ..Default::default()
        },
    );
    assert_eq!(missing.unwrap_err().to_string(), "class 2 of sample 2 (row-2) has no weight");
}
