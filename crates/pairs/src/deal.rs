//! Dealing: so many slots of each kind into rows of different kinds, at random.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use batchwright_core::{Name, Permutation, Stream};

use crate::error::Error;

/// Rows that are mixed with each other.
const BLOCK: u64 = 256;
/// Rounds of mixing. After r rounds a slot may have come from any of 2^r rows, so eight reach the whole block.
const ROUNDS: usize = 10;
/// Slots of blocks that are kept: 8 bytes each.
const KEPT: usize = 1 << 21;

/// How often each kind comes, over rows that each have `width` different kinds.
///
/// Invariant: no count is above the number of rows, and the counts sum to rows x width.
#[derive(Clone, Debug)]
pub(crate) struct Deal {
    counts: Arc<[u32]>,
    rows: u64,
    width: u64,
}

impl Deal {
    /// Counts slots: each kind has at least `least[kind]` of them, in as few rows as can be, or in `rows` rows. What is over
    /// goes to the kinds whose `size` per slot is largest, so that what repeats, repeats as little as can be.
    ///
    /// There must be `width` kinds or more, `width` at least 1, no `least` and no size 0, and rows enough.
    pub(crate) fn new(least: &[u64], sizes: &[u64], width: u64, rows: Option<u64>) -> Result<Self, Error> {
        let sum: u64 = least.iter().sum();
        let most = least.iter().copied().max().unwrap_or(1);
        let rows = rows.unwrap_or_else(|| most.max(sum.div_ceil(width)));
        let slots = rows * width;
        if u64::from(u32::MAX) <= slots {
            let (what, expected) = ("the number of groups of an epoch", "below 4294967295".to_owned());
            return Err(Error::Setting { what, found: slots.to_string(), expected });
        }
        // As many slots as kinds take when each takes `level` a sample of its size, at least what it must, at most one a row.
        let at = |level: f64, kind: usize| ((level * sizes[kind] as f64) as u64).max(least[kind]).min(rows);
        let taken = |level: f64| (0..least.len()).map(|kind| at(level, kind)).sum::<u64>();
        let (mut low, mut high) = (0.0, rows as f64);
        for _ in 0..80 {
            let middle = 0.5 * (low + high);
            if taken(middle) <= slots {
                low = middle;
            } else {
                high = middle;
            }
        }
        let mut counts: Vec<u64> = (0..least.len()).map(|kind| at(low, kind)).collect();
        let mut over = slots - counts.iter().sum::<u64>();
        while 0 < over {
            let mut next: Vec<(f64, usize)> = (0..counts.len())
                .filter(|&kind| counts[kind] < rows)
                .map(|kind| ((counts[kind] + 1) as f64 / sizes[kind] as f64, kind))
                .collect();
            next.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            assert!(!next.is_empty(), "as many kinds as a row is wide fill every row");
            for &(_, kind) in next.iter().take(over as usize) {
                counts[kind] += 1;
                over -= 1;
            }
        }
        let counts = counts.into_iter().map(|count| count as u32).collect();
        Ok(Self { counts, rows, width })
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// Deals for an epoch. `which` tells the deals of one sampler apart.
    pub(crate) fn dealt(&self, seed: u64, epoch: u64, which: u64, names: Names) -> Dealt {
        let kinds = self.counts.len() as u64;
        let kind_order = Permutation::new(kinds, &mut Stream::new(seed, epoch, which, names.kinds));
        let mut starts = Vec::with_capacity(self.counts.len() + 1);
        let mut start = 0;
        starts.push(0);
        for nth in 0..kinds {
            start += self.counts[kind_order.at(nth) as usize];
            starts.push(start);
        }
        let row_order = Permutation::new(self.rows, &mut Stream::new(seed, epoch, which, names.rows));
        Dealt {
            deal: self.clone(),
            seed,
            epoch,
            which,
            names,
            kind_order,
            starts,
            row_order,
            blocks: Mutex::default(),
        }
    }
}

/// The names of the streams of one use of dealing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    /// The order of kinds.
    pub(crate) kinds: Name,
    /// The order of rows.
    pub(crate) rows: Name,
    /// The mixing of a block.
    pub(crate) mix: Name,
}

/// A slot: which kind, and which of its slots of the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dealing {
    pub(crate) kind: u32,
    pub(crate) nth: u32,
}

type Block = Arc<[Dealing]>;

/// The rows of one epoch.
///
/// The slots of all kinds, kind after kind in a random order, are numbered; slot s goes to column s modulo the number of
/// rows, so no column has two of one kind. Columns are taken in a random order, in blocks of 256, and mixed within a block:
/// in each of ten rounds columns are paired at random, and the kinds that only one of two has are dealt among both anew
/// (the "curveball" of Strona et al. 2014 and Carstens et al. 2018, which leaves all counts as they are and in the limit
/// makes every arrangement as likely as every other).
#[derive(Debug)]
pub(crate) struct Dealt {
    deal: Deal,
    seed: u64,
    epoch: u64,
    which: u64,
    names: Names,
    kind_order: Permutation,
    /// The first slot of each kind in that order, and after the last.
    starts: Vec<u32>,
    row_order: Permutation,
    blocks: Mutex<BTreeMap<u64, Block>>,
}

impl Dealt {
    /// Returns the slot in place `at` of a row.
    pub(crate) fn at(&self, row: u64, at: u64) -> Dealing {
        let block = self.block(row / BLOCK);
        block[((row % BLOCK) * self.deal.width + at) as usize]
    }

    fn block(&self, number: u64) -> Block {
        let lock = || self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(block) = lock().get(&number) {
            return Arc::clone(block);
        }
        let block = self.mixed(number);
        let mut blocks = lock();
        blocks.insert(number, Arc::clone(&block));
        let most = (KEPT / (BLOCK * self.deal.width) as usize).max(2);
        while most < blocks.len() {
            // The one farthest away: epochs are read from the front to the back.
            let (first, last) = (blocks.keys().next().copied(), blocks.keys().next_back().copied());
            let far = first.into_iter().chain(last).max_by_key(|&kept| kept.abs_diff(number));
            blocks.remove(&far.expect("there are blocks"));
        }
        block
    }

    fn mixed(&self, number: u64) -> Block {
        let (rows, width) = (self.deal.rows, self.deal.width as usize);
        let first = number * BLOCK;
        let count = BLOCK.min(rows - first) as usize;
        let mut block = Vec::with_capacity(count * width);
        for row in first..first + count as u64 {
            let column = self.row_order.at(row);
            for at in 0..width as u64 {
                let slot = (at * rows + column) as u32;
                let kind = self.starts.partition_point(|&start| start <= slot) - 1;
                block.push(Dealing {
                    kind: self.kind_order.at(kind as u64) as u32,
                    nth: slot - self.starts[kind],
                });
            }
        }
        let mut stream = Stream::new(self.seed, self.epoch, self.which << 32 | number, self.names.mix);
        let mut order: Vec<usize> = (0..count).collect();
        let mut pool = Pool::new(self.deal.counts.len());
        if 1 < width {
            for _ in 0..ROUNDS {
                stream.shuffle(&mut order);
                for pair in order.chunks_exact(2) {
                    pool.trade(&mut block, width, pair[0], pair[1], &mut stream);
                }
            }
            for row in block.chunks_exact_mut(width) {
                stream.shuffle(row);
            }
        }
        block.into()
    }
}

/// Working memory of trades.
#[derive(Debug)]
struct Pool {
    /// For each kind the mark of the trade that saw it last.
    seen: Vec<u32>,
    mark: u32,
    /// What only one of two rows has, and where that stands.
    trade: Vec<Dealing>,
    places: Vec<usize>,
}

impl Pool {
    fn new(kinds: usize) -> Self {
        Self { seen: vec![0; kinds], mark: 0, trade: Vec::new(), places: Vec::new() }
    }

    /// Deals the kinds that only one of two rows has among both anew.
    fn trade(&mut self, block: &mut [Dealing], width: usize, a: usize, b: usize, stream: &mut Stream) {
        let Self { seen, mark, trade, places } = self;
        let (only_a, both) = (*mark + 1, *mark + 2);
        *mark = both;
        trade.clear();
        places.clear();
        let row = |of: usize| of * width..(of + 1) * width;
        for slot in &block[row(a)] {
            seen[slot.kind as usize] = only_a;
        }
        for (place, &slot) in row(b).zip(&block[row(b)]) {
            let seen = &mut seen[slot.kind as usize];
            if *seen == only_a {
                *seen = both;
            } else {
                trade.push(slot);
                places.push(place);
            }
        }
        for (place, &slot) in row(a).zip(&block[row(a)]) {
            if seen[slot.kind as usize] == only_a {
                trade.push(slot);
                places.push(place);
            }
        }
        stream.shuffle(trade);
        for (&place, &slot) in places.iter().zip(&*trade) {
            block[place] = slot;
        }
    }
}
