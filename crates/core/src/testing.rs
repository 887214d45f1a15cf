//! Conformance checks: the laws of the traits, to put any implementation through.
//!
//! Each check panics at the first broken law, with what was expected and found, so that it can stand in a test.

use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::batch::Batch;
use crate::buffer::Block;
use crate::dataset::{Context, Dataset};
use crate::loader::{Loader, LoaderOptions};
use crate::sampler::{Coverage, Sampler};
use crate::sequence::Sequence;
use crate::slot::{Layout, Rows};

/// Returns a digest of everything a batch is: its place, fields, contents, identities and weights.
pub fn digest(batch: &Batch) -> String {
    let mut hash = Sha256::new();
    let mut facts = format!("{} {} {} {:?} ", batch.epoch, batch.index, batch.len(), batch.samples);
    for field in batch.fields() {
        let _ = write!(facts, "{field} ");
    }
    if let Some(weights) = &batch.weights {
        let _ = write!(facts, "{:?}", weights.iter().map(|weight| weight.to_bits()).collect::<Vec<_>>());
    }
    hash.update(facts);
    for field in 0..batch.fields().len() {
        hash.update(batch.bytes(field));
    }
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Writes a sample into fresh memory filled with `pattern`, and returns the bytes of its fields.
fn written(
    dataset: &impl Dataset,
    index: usize,
    context: &Context<'_>,
    pattern: u8,
) -> Result<Vec<Vec<u8>>, String> {
    let layout = Arc::new(Layout::new(dataset.fields().to_vec(), 3).expect("the fields make a layout"));
    let mut block = Block::zeroed(layout.bytes()).expect("there is memory");
    block.elements_mut::<u8>(0, layout.bytes()).fill(pattern);
    let rows = Rows::new(Arc::clone(&layout), 3, block);
    let mut claim = rows.claim(3).expect("nobody else claims rows");
    let outcome = dataset.write(index, &mut claim.slot(1), context);
    let block = claim.finish().expect("all rows are finished");
    let row = |field: usize, row: usize| {
        let bytes = layout.fields()[field].bytes();
        block.elements::<u8>(layout.offset(field) + row * bytes, bytes).to_vec()
    };
    outcome.map_err(|error| error.chain())?;
    Ok((0..layout.fields().len()).map(|field| row(field, 1)).collect())
}

/// Puts a data set through its laws, on up to `most` of its samples, spread over it.
///
/// # Panics
/// Panics at the first broken law.
pub fn check_dataset(dataset: &impl Dataset, most: usize) {
    assert!(0 < dataset.len(), "an empty data set shows nothing");
    let step = dataset.len().div_ceil(most.max(1)).max(1);
    let indices: Vec<usize> = (0..dataset.len()).step_by(step).collect();
    for epoch in [0, 3] {
        let context = |index: usize| Context::new(11, epoch, 1_000_000 - index as u64);
        let first: Vec<_> =
            indices.iter().map(|&index| written(dataset, index, &context(index), 0x00)).collect();
        // Again, in the other order, over other memory, from several threads at once.
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let (first, indices) = (&first, &indices);
                scope.spawn(move || {
                    for at in (0..indices.len()).rev().filter(|at| at % 3 == thread) {
                        let index = indices[at];
                        let again = written(dataset, index, &context(index), 0xA5);
                        let id = dataset.id(index);
                        assert!(
                            again == first[at],
                            "sample {index} ({id}) is not a function of its index and context, or not written whole"
                        );
                    }
                });
            }
        });
        for &index in &indices {
            assert_eq!(dataset.id(index), dataset.id(index));
            assert_eq!(dataset.class(index), dataset.class(index));
        }
    }
    assert_eq!(dataset.fingerprint(), dataset.fingerprint());
}

/// Puts a sampler through its laws, over some seeds and epochs.
///
/// # Panics
/// Panics at the first broken law.
pub fn check_sampler(sampler: &impl Sampler) {
    let (len, samples) = (sampler.len(), sampler.samples());
    for (seed, epoch) in [(0, 0), (0, 1), (1, 0), (u64::MAX, 7)] {
        let order = sampler.order(seed, epoch);
        let forward: Vec<u64> = (0..len).map(|position| order.at(position)).collect();
        let fresh = sampler.order(seed, epoch);
        for position in (0..len).rev() {
            let index = fresh.at(position);
            assert_eq!(
                index, forward[position as usize],
                "position {position} depends on what was asked before"
            );
            assert!(index < samples, "position {position} has sample {index} of {samples}");
        }
        let mut counts = vec![0_u32; samples as usize];
        for &index in &forward {
            counts[index as usize] += 1;
        }
        match sampler.coverage() {
            Coverage::Once => assert!(counts.iter().all(|&count| count == 1), "not every sample comes once"),
            Coverage::AtMostOnce => assert!(counts.iter().all(|&count| count <= 1), "a sample comes twice"),
            Coverage::Repeating => {}
        }
    }
}

/// Puts a sequence through its laws: `get` in any order gives what the loader streams, for several numbers of workers and
/// depths of the queue, over the end of an epoch; and a run resumed after any batch goes on as if it had not been cut.
/// `make` makes the sequence anew.
///
/// # Panics
/// Panics at the first broken law.
pub fn check_sequence<S: Sequence + 'static>(make: impl Fn() -> S) {
    let len = make().len();
    assert!(0 < len, "an empty sequence shows nothing");
    let epochs = 2;
    let options = |workers: usize, max_queue_size: usize| LoaderOptions {
        workers,
        max_queue_size,
        epochs: Some(epochs),
        ..LoaderOptions::default()
    };
    let text = |result: Result<Batch, crate::error::LoadError>| match result {
        Ok(batch) => digest(&batch),
        Err(error) => format!("error: {}", crate::error::chain(&error)),
    };
    let stream = |loader: &mut Loader| {
        let mut all = Vec::new();
        while let Some(result) = loader.next_batch() {
            all.push(text(result));
        }
        all
    };
    let expected = stream(&mut Loader::new(make(), options(0, 1)));
    assert_eq!(
        expected.len(),
        len * epochs as usize,
        "an epoch has another number of batches than `len` says"
    );
    for (workers, depth) in [(1, 1), (2, 3), (5, 10)] {
        let found = stream(&mut Loader::new(make(), options(workers, depth)));
        assert!(found == expected, "{workers} workers give other batches than none");
    }
    let sequence = make();
    for index in (0..len).rev() {
        let found = match sequence.get(0, index) {
            Ok(mut batch) => {
                (batch.epoch, batch.index) = (0, index);
                digest(&batch)
            }
            Err(_) => continue,
        };
        assert!(found == expected[index], "`get(0, {index})` gives another batch than the stream");
    }
    for cut in 0..=expected.len() {
        let mut loader = Loader::new(make(), options(2, 4));
        for _ in 0..cut {
            let _ = loader.next_batch();
        }
        let state = serde_json::to_string(&loader.state()).expect("a state is JSON");
        // Errors are read again, unless a whole batch or the border of an epoch was passed since.
        let whole = expected[..cut].iter().rposition(|text| !text.starts_with("error"));
        let passed = whole.map_or(0, |at| at + 1).max(cut.saturating_sub(1) / len * len);
        let state = serde_json::from_str(&state).expect("a state is read back");
        let mut resumed = Loader::resume(make(), options(3, 2), &state).expect("the same data resumes");
        let rest = stream(&mut resumed);
        assert!(rest == expected[passed..], "resumed after batch {cut}, the rest is another");
    }
}
