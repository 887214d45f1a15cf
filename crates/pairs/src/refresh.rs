//! Partners mined from embeddings, made anew at the border of epochs.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use batchwright_core::{
    Batch, BoxError, Context, Fingerprint, Layout, OnError, SampleError, SampleId, Sequence, Slot, Slots,
    Stages,
};
use serde::{Deserialize, Serialize};

use crate::mining::{
    ByRelation, Eligible as _, EmbeddingError, Embeddings, Mined, MiningOptions, MiningReport, mine,
};
use crate::pair_sampler::PairSampler;
use crate::relation::Relation;
use crate::source::{Pair, PairSource, Triplet, TripletSource};
use crate::triplet_sampler::TripletSampler;

/// The stream that says which of the mined partners stands with an anchor.
const MINED: &str = "pairs/mined";

/// When partners are mined, and which.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default, rename_all = "snake_case")]
pub struct RefreshOptions {
    /// The first epoch whose partners are mined, from 1; those before are drawn by the rules. Default: 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub from: u64,
    /// Epochs between two tables of partners. Default: 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub every: u64,
    /// The share of pairs or triplets whose partners are mined; those of the others, and of anchors for which nothing was
    /// found, are drawn by the rules. Default: 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1)))]
    pub share: f64,
    /// Which samples are candidates. By default the nearest negative and the farthest positive of each anchor.
    pub candidates: MiningOptions,
}

impl Default for RefreshOptions {
    fn default() -> Self {
        Self { from: 1, every: 1, share: 1.0, candidates: MiningOptions::default() }
    }
}

impl RefreshOptions {
    /// Checks the ranges; `key` is where the options stand.
    ///
    /// # Errors
    /// Names the first that cannot be.
    pub fn check(&self, key: &str) -> Result<(), EmbeddingError> {
        let Self { from, every, share, candidates } = self;
        for (name, value) in [("from", from), ("every", every)] {
            if *value == 0 {
                return Err(EmbeddingError::choice(format!("{key}.{name}"), "at least 1", 0));
            }
        }
        if !(0.0..=1.0).contains(share) {
            return Err(EmbeddingError::choice(format!("{key}.share"), "from 0 to 1", share));
        }
        candidates.check(&format!("{key}.candidates"))
    }
}

/// Batches of an epoch were asked for whose partners are not known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the partners of epoch {epoch} are mined from what a training has learned until then; known here are those of the \
     epochs {from} to {last}"
)]
pub struct NotMined {
    epoch: u64,
    from: u64,
    last: u64,
}

/// Partners that are mined from embeddings: what a run learns and feeds back into its batches.
///
/// Whoever trains embeds all samples before an epoch that [is due](Self::is_due) and hands the matrix to
/// [`refresh`](Self::refresh); the hook of [`Refreshed`] takes the table up at the border of the epochs. It is data: part of the
/// state of the sequence, and so of a checkpoint, with its hash.
#[derive(Debug)]
pub struct MinedPartners {
    options: RefreshOptions,
    seed: u64,
    positive: Arc<dyn Relation>,
    negative: Arc<dyn Relation>,
    /// The table of this epoch; none before the first.
    live: RwLock<Option<Mined>>,
    /// What the next epoch takes up.
    next: Mutex<Option<Mined>>,
}

impl MinedPartners {
    fn new(
        positive: &Arc<dyn Relation>,
        negative: &Arc<dyn Relation>,
        options: RefreshOptions,
        seed: u64,
    ) -> Result<Self, EmbeddingError> {
        options.check("mining")?;
        let (positive, negative) = (Arc::clone(positive), Arc::clone(negative));
        Ok(Self { options, seed, positive, negative, live: RwLock::new(None), next: Mutex::new(None) })
    }

    /// Returns whether partners are mined anew for an epoch.
    pub fn is_due(&self, epoch: u64) -> bool {
        epoch.checked_sub(self.options.from).is_some_and(|after| after.is_multiple_of(self.options.every))
    }

    /// Mines partners for `epoch` and those after it until the next is due. One row of `embeddings` for each sample, in order;
    /// which samples may be partners is for the rules to say, not for labels. Taken up when the epoch before it ends.
    ///
    /// # Errors
    /// As [`mine`]; refuses another number of samples.
    pub fn refresh(&self, epoch: u64, embeddings: &Embeddings) -> Result<MiningReport, EmbeddingError> {
        let samples = self.negative.samples();
        if embeddings.len() != samples {
            let expected = format!("one row for each of {samples} samples");
            return Err(EmbeddingError::choice("embeddings", expected, embeddings.len()));
        }
        let mined = mine(embeddings, &self.rules(), &self.options.candidates, self.seed, epoch)?;
        let report = *mined.report();
        *self.next() = Some(mined);
        Ok(report)
    }

    /// Returns whether the partners of an epoch are known.
    ///
    /// # Errors
    /// Says of which epochs they are.
    pub fn holds(&self, epoch: u64) -> Result<(), NotMined> {
        let known = self.epochs(self.live().as_ref());
        if known.contains(&epoch) {
            return Ok(());
        }
        Err(NotMined { epoch, from: known.start, last: known.end.saturating_sub(1) })
    }

    /// Returns what is known of the partners, as bytes: the table as [`Mined::to_bytes`] has it, which names its epoch and has
    /// its hash. Nothing before the first was mined.
    pub fn state(&self) -> Vec<u8> {
        self.live().as_ref().map_or_else(Vec::new, Mined::to_bytes)
    }

    /// Takes back what [`state`](Self::state) gave; what was mined for an epoch to come is forgotten.
    ///
    /// # Errors
    /// Refuses bytes that are not such a state, or one of another number of samples, and partners that the rules do not allow.
    pub fn restore(&self, state: &[u8]) -> Result<(), BoxError> {
        let table = if state.is_empty() {
            None
        } else {
            let mined = Mined::from_bytes(state)?;
            self.check(&mined)?;
            Some(mined)
        };
        *self.next() = None;
        self.put(table);
        Ok(())
    }

    /// Refuses a table of other samples, and one of other rules: it would bring false negatives.
    fn check(&self, mined: &Mined) -> Result<(), BoxError> {
        let (anchors, samples) = (mined.anchors(), self.negative.samples());
        if anchors != samples {
            return Err(format!("the stored partners are of {anchors} samples; there are {samples}").into());
        }
        let rules = self.rules();
        for anchor in 0..samples {
            let negatives = mined.negatives(anchor).iter().map(|&other| other as usize);
            let wrong = negatives.filter(|&other| !rules.negative(anchor, other));
            let positive = mined.positive(anchor).filter(|&other| !rules.positive(anchor, other));
            if let Some(other) = wrong.chain(positive).next() {
                let text =
                    format!("the stored partner {other} of sample {anchor} is not allowed by the rules");
                return Err(text.into());
            }
        }
        Ok(())
    }

    /// Takes up what was mined for the epoch after the one that is over; what is for a later one waits.
    fn turn(&self, over: u64) {
        let next = self.next().take_if(|next| next.epoch() == over + 1);
        if next.is_some() {
            self.put(next);
        }
    }

    fn rules(&self) -> ByRelation<'_> {
        ByRelation { positive: self.positive.as_ref(), negative: self.negative.as_ref() }
    }

    /// Returns the epochs that a table is for, or those before the first.
    fn epochs(&self, table: Option<&Mined>) -> Range<u64> {
        let from = table.map(Mined::epoch);
        from.map_or(0..self.options.from, |from| from..from.saturating_add(self.options.every))
    }

    fn put(&self, table: Option<Mined>) {
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = table;
    }

    fn live(&self) -> RwLockReadGuard<'_, Option<Mined>> {
        self.live.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> MutexGuard<'_, Option<Mined>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the mined positive and one of the mined negatives of an anchor at a place of the run, where there are any.
    fn partners(&self, anchor: usize, context: &Context<'_>) -> (Option<usize>, Option<usize>) {
        let live = self.live();
        let table = live.as_ref();
        let Some(mined) = table.filter(|_| self.epochs(table).contains(&context.epoch())) else {
            return (None, None);
        };
        let mut stream = context.stream(MINED);
        if !stream.chance(self.options.share) {
            return (None, None);
        }
        let negatives = mined.negatives(anchor);
        let negative = (!negatives.is_empty())
            .then(|| negatives[stream.below(negatives.len() as u64) as usize] as usize);
        (mined.positive(anchor), negative)
    }

    fn fingerprint(&self, drawn: Fingerprint) -> Fingerprint {
        drawn.with("mining", format!("{:?}", self.options))
    }
}

/// Pairs whose partners are mined, where any were found; the others are drawn.
///
/// Which pairs are positives is as [`PairSampler`] has it. A positive pair takes the mined positive of its anchor, a negative
/// one of its mined negatives, each as likely; from the stream `pairs/mined` of the place.
#[derive(Clone, Debug)]
pub struct MinedPairs {
    drawn: Arc<PairSampler>,
    mined: Arc<MinedPartners>,
}

impl MinedPairs {
    /// Draws pairs by the rules of a sampler, until partners are mined.
    ///
    /// # Errors
    /// Refuses options out of range.
    pub fn new(drawn: PairSampler, options: RefreshOptions, seed: u64) -> Result<Self, EmbeddingError> {
        let mined = MinedPartners::new(drawn.positive(), drawn.negative(), options, seed)?;
        Ok(Self { drawn: Arc::new(drawn), mined: Arc::new(mined) })
    }

    /// Returns what is mined: to be refreshed by whoever trains.
    pub fn partners(&self) -> &Arc<MinedPartners> {
        &self.mined
    }

    /// Returns what pairs are drawn by.
    pub fn drawn(&self) -> &PairSampler {
        &self.drawn
    }
}

impl PairSource for MinedPairs {
    fn len(&self) -> usize {
        self.drawn.len()
    }

    fn samples(&self) -> usize {
        self.drawn.samples()
    }

    fn anchor(&self, index: usize) -> usize {
        self.drawn.anchor(index)
    }

    fn allows(&self, pair: &Pair) -> bool {
        self.drawn.allows(pair)
    }

    fn tuple(&self, index: usize, context: &Context<'_>) -> Pair {
        let (positive, negative) = self.mined.partners(self.drawn.anchor(index), context);
        let is_positive = self.drawn.is_positive(context.epoch(), context.position());
        match if is_positive { positive } else { negative } {
            Some(b) => Pair { a: self.drawn.anchor(index), b, same: f32::from(u8::from(is_positive)) },
            None => self.drawn.tuple(index, context),
        }
    }

    fn fingerprint(&self) -> Fingerprint {
        self.mined.fingerprint(self.drawn.fingerprint())
    }
}

/// Triplets whose negatives, and positives where any are chosen, are mined, where any were found; the others are drawn.
#[derive(Clone, Debug)]
pub struct MinedTriplets {
    drawn: Arc<TripletSampler>,
    mined: Arc<MinedPartners>,
}

impl MinedTriplets {
    /// Draws triplets by the rules of a sampler, until partners are mined.
    ///
    /// # Errors
    /// Refuses options out of range.
    pub fn new(drawn: TripletSampler, options: RefreshOptions, seed: u64) -> Result<Self, EmbeddingError> {
        let mined = MinedPartners::new(drawn.positive(), drawn.negative(), options, seed)?;
        Ok(Self { drawn: Arc::new(drawn), mined: Arc::new(mined) })
    }

    /// Returns what is mined: to be refreshed by whoever trains.
    pub fn partners(&self) -> &Arc<MinedPartners> {
        &self.mined
    }

    /// Returns what triplets are drawn by.
    pub fn drawn(&self) -> &TripletSampler {
        &self.drawn
    }
}

impl TripletSource for MinedTriplets {
    fn len(&self) -> usize {
        self.drawn.len()
    }

    fn samples(&self) -> usize {
        self.drawn.samples()
    }

    fn anchor(&self, index: usize) -> usize {
        self.drawn.anchor(index)
    }

    fn allows(&self, triplet: &Triplet) -> bool {
        self.drawn.allows(triplet)
    }

    fn tuple(&self, index: usize, context: &Context<'_>) -> Triplet {
        let anchor = self.drawn.anchor(index);
        // A negative was mined against its positive: the two come together.
        match self.mined.partners(anchor, context) {
            (_, None) => self.drawn.tuple(index, context),
            (Some(positive), Some(negative)) => Triplet { anchor, positive, negative },
            (None, Some(negative)) => Triplet { negative, ..self.drawn.tuple(index, context) },
        }
    }

    fn fingerprint(&self) -> Fingerprint {
        self.mined.fingerprint(self.drawn.fingerprint())
    }
}

/// A sequence of tuples whose partners are mined anew at the border of some epochs: its hook takes up what
/// [`MinedPartners::refresh`] has made, and its state is the table.
///
/// Batches of an epoch whose partners are not known are an error. The hook and the state are those of the table alone: a
/// sequence that has some of its own cannot be wrapped.
#[derive(Debug)]
pub struct Refreshed<S> {
    inner: S,
    mined: Arc<MinedPartners>,
}

impl<S: Sequence> Refreshed<S> {
    /// Adds the hook to a sequence whose tuples come of `mined`.
    ///
    /// # Panics
    /// Panics if the sequence has a hook of its own.
    pub fn new(inner: S, mined: Arc<MinedPartners>) -> Self {
        assert!(!inner.has_epoch_hook(), "a sequence with a hook of its own cannot take another");
        Self { inner, mined }
    }
}

impl<S: Sequence> Sequence for Refreshed<S> {
    fn len(&self) -> usize {
        self.inner.len()
    }

    fn global_len(&self) -> usize {
        self.inner.global_len()
    }

    fn get(&self, epoch: u64, index: usize) -> Result<Batch, BoxError> {
        self.mined.holds(epoch)?;
        self.inner.get(epoch, index)
    }

    fn on_epoch_end(&mut self, epoch: u64) {
        self.mined.turn(epoch);
    }

    fn has_epoch_hook(&self) -> bool {
        true
    }

    fn state(&self) -> Vec<u8> {
        self.mined.state()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), BoxError> {
        self.mined.restore(state)
    }

    fn fingerprint(&self) -> Fingerprint {
        self.inner.fingerprint()
    }

    fn seed(&self) -> Option<u64> {
        self.inner.seed()
    }

    fn slots(&self) -> Option<&dyn Slots> {
        self.inner.slots().map(|_| self as &dyn Slots)
    }
}

impl<S: Sequence> Refreshed<S> {
    fn of_inner(&self) -> &dyn Slots {
        self.inner.slots().expect("only a sequence of slots is asked for slots")
    }
}

impl<S: Sequence> Slots for Refreshed<S> {
    fn layout(&self) -> &Arc<Layout> {
        self.of_inner().layout()
    }

    fn plan(&self, epoch: u64, index: usize) -> Vec<SampleId> {
        self.of_inner().plan(epoch, index)
    }

    fn prefetch(&self, index: usize) {
        self.of_inner().prefetch(index);
    }

    fn write(
        &self,
        epoch: u64,
        sample: &SampleId,
        slot: &mut Slot<'_>,
        stages: Option<&Stages>,
    ) -> Result<(), SampleError> {
        self.mined.holds(epoch).map_err(SampleError::environment)?;
        self.of_inner().write(epoch, sample, slot, stages)
    }

    fn id(&self, index: usize) -> String {
        self.of_inner().id(index)
    }

    fn weight(&self, index: usize) -> Option<f32> {
        self.of_inner().weight(index)
    }

    fn on_error(&self) -> OnError {
        self.of_inner().on_error()
    }

    fn substitute(&self, epoch: u64, position: u64, attempt: u64) -> usize {
        self.of_inner().substitute(epoch, position, attempt)
    }
}

#[cfg(test)]
mod tests {
    use batchwright_core::{BatchOptions, Batches, Dataset, Field, Loader, LoaderOptions, Shuffled};

    use super::*;
    use crate::facts::Facts;
    use crate::pair_sampler::PairOptions;
    use crate::parts::Parts;
    use crate::triplet_sampler::TripletOptions;
    use crate::{PairDataset, TripletDataset};

    const CLASSES: [u32; 24] = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 3];

    struct Numbers(Vec<Field>);

    impl Dataset for Numbers {
        fn len(&self) -> usize {
            CLASSES.len()
        }
        fn fields(&self) -> &[Field] {
            &self.0
        }
        fn write(&self, index: usize, slot: &mut Slot<'_>, context: &Context<'_>) -> Result<(), SampleError> {
            slot.get::<f32>(0)[0] = index as f32 + context.stream("noise").uniform() as f32;
            Ok(())
        }
    }

    fn numbers() -> Numbers {
        Numbers(vec![Field::new::<f32>("image", &[])])
    }

    /// As a network would: a function of what was learned until an epoch.
    fn embeddings(epoch: u64) -> Embeddings {
        let of = |index: usize| ((index as u64 * 37 + epoch * 11) % 50) as f32 * 0.1;
        Embeddings::new((0..CLASSES.len()).map(of).collect(), 1, vec![0; CLASSES.len()]).unwrap()
    }

    fn options() -> RefreshOptions {
        RefreshOptions {
            from: 2,
            every: 2,
            share: 0.75,
            candidates: MiningOptions { num_negatives: 3, ..MiningOptions::default() },
        }
    }

    fn triplets() -> MinedTriplets {
        let facts = Facts::new(&CLASSES).unwrap();
        let drawn = TripletSampler::new(&facts, &TripletOptions::default()).unwrap();
        MinedTriplets::new(drawn, options(), 7).unwrap()
    }

    fn sequence(triplets: &MinedTriplets) -> Refreshed<Batches<TripletDataset<Numbers, MinedTriplets>>> {
        let dataset = TripletDataset::new(numbers(), triplets.clone(), Parts::Independent).unwrap();
        let n = dataset.len();
        let options = BatchOptions { seed: 7, batch_size: 5, ..BatchOptions::default() };
        let batches = Batches::new(dataset, Shuffled::new(n), options).unwrap();
        Refreshed::new(batches, Arc::clone(triplets.partners()))
    }

    fn rows(batch: &Batch) -> Vec<f32> {
        ["anchor", "positive", "negative"]
            .iter()
            .flat_map(|name| batch.get::<f32>(name).unwrap().to_vec())
            .collect()
    }

    /// Trains for six epochs; from a state, if there is one. Returns every batch, and the state after so many.
    fn run(
        workers: usize,
        from: Option<&batchwright_core::LoaderState>,
        stop: usize,
    ) -> (Vec<Vec<f32>>, batchwright_core::LoaderState) {
        let triplets = triplets();
        let loader = LoaderOptions { workers, epochs: Some(6), ..LoaderOptions::default() };
        let mut loader = match from {
            None => Loader::new(sequence(&triplets), loader),
            Some(state) => Loader::resume(sequence(&triplets), loader, state).unwrap(),
        };
        let mut batches = Vec::new();
        loop {
            let at = loader.place();
            if at.batch == 0 && 0 < at.epoch && triplets.partners().is_due(at.epoch) {
                triplets.partners().refresh(at.epoch, &embeddings(at.epoch)).unwrap();
            }
            if batches.len() == stop {
                return (batches, loader.state());
            }
            let Some(batch) = loader.next_batch() else { return (batches, loader.state()) };
            batches.push(rows(&batch.unwrap()));
        }
    }

    #[test]
    fn a_run_goes_on_from_any_batch_with_any_number_of_workers() {
        let (whole, _) = run(0, None, usize::MAX);
        assert_eq!(whole.len(), 6 * 5);
        for workers in [1, 3] {
            assert_eq!(run(workers, None, usize::MAX).0, whole, "{workers} workers");
        }
        for stop in 0..whole.len() {
            let (first, state) = run(1, None, stop);
            let text = serde_json::to_string(&state).unwrap();
            let state = serde_json::from_str(&text).unwrap();
            let (rest, _) = run(2, Some(&state), usize::MAX);
            assert_eq!([first, rest].concat(), whole, "stopped after {stop} batches");
        }
    }

    #[test]
    fn mined_partners_are_those_that_the_rules_allow_and_come_as_often_as_chosen() {
        let triplets = triplets();
        let drawn = triplets.drawn();
        triplets.partners().refresh(2, &embeddings(2)).unwrap();
        triplets.partners().turn(1);
        let table = Mined::from_bytes(&triplets.partners().state()).unwrap();
        let (mut mined, mut all) = (0, 0);
        for position in 0..2000 {
            let context = Context::new(7, 2, position);
            let triplet = triplets.tuple(position as usize % drawn.len(), &context);
            let Triplet { anchor, positive, negative } = triplet;
            assert!(CLASSES[anchor] == CLASSES[positive] && anchor != positive);
            assert_ne!(CLASSES[anchor], CLASSES[negative]);
            let is_mined = table.negatives(anchor).contains(&(negative as u32));
            all += 1;
            mined += usize::from(is_mined && Some(positive) == table.positive(anchor));
            // Before and after the epochs of the table, the draw is that of the sampler.
            for epoch in [0, 4] {
                let context = Context::new(7, epoch, position);
                let index = position as usize % drawn.len();
                assert_eq!(triplets.tuple(index, &context), drawn.tuple(index, &context));
            }
        }
        // A draw by the rules meets the table by chance in a few cases; four deviations of a binomial are 0.04.
        let share = f64::from(mined as u32) / f64::from(all);
        assert!((0.71..0.83).contains(&share), "{share}");
    }

    #[test]
    fn pairs_keep_their_positives_where_they_are_mined() {
        let facts = Facts::new(&CLASSES).unwrap();
        let drawn = PairSampler::new(&facts, &PairOptions::default()).unwrap();
        let pairs = MinedPairs::new(drawn, RefreshOptions::default(), 7).unwrap();
        pairs.partners().refresh(1, &embeddings(1)).unwrap();
        pairs.partners().turn(0);
        let table = Mined::from_bytes(&pairs.partners().state()).unwrap();
        for position in 0..200 {
            let context = Context::new(7, 1, position);
            let index = position as usize % pairs.len();
            let (pair, was) = (pairs.tuple(index, &context), pairs.drawn().tuple(index, &context));
            assert_eq!((pair.a, pair.same), (was.a, was.same));
            let partner = if pair.same == 1.0 {
                table.positive(pair.a)
            } else {
                Some(table.negatives(pair.a)[0] as usize)
            };
            assert_eq!(Some(pair.b), partner);
        }
        let dataset = PairDataset::new(numbers(), pairs, Parts::Shared).unwrap();
        batchwright_core::testing::check_dataset(&dataset, 8);
    }

    #[test]
    fn batches_of_an_epoch_that_was_not_mined_are_an_error() {
        let sequence = sequence(&triplets());
        assert!(sequence.get(1, 0).is_ok());
        let text = "the partners of epoch 2 are mined from what a training has learned until then; known here are those \
                    of the epochs 0 to 1";
        assert_eq!(sequence.get(2, 0).unwrap_err().to_string(), text);
        let mut loader = Loader::new(sequence, LoaderOptions { epochs: Some(3), ..LoaderOptions::default() });
        let mut batches = std::iter::from_fn(|| loader.next_batch());
        assert!(batches.by_ref().take(10).all(|batch| batch.is_ok()));
        assert!(batch_error(batches.next()).contains("epoch 2 are mined"));
    }

    fn batch_error(batch: Option<Result<Batch, batchwright_core::LoadError>>) -> String {
        batchwright_core::chain(&batch.unwrap().unwrap_err())
    }

    #[test]
    fn a_table_waits_for_its_epoch() {
        let triplets = triplets();
        triplets.partners().refresh(2, &embeddings(2)).unwrap();
        triplets.partners().turn(0);
        assert!(triplets.partners().state().is_empty());
        triplets.partners().turn(1);
        assert!(triplets.partners().holds(2).is_ok());
    }

    #[test]
    fn states_of_other_samples_and_damaged_ones_are_refused() {
        let triplets = triplets();
        assert!(triplets.partners().state().is_empty());
        triplets.partners().refresh(2, &embeddings(2)).unwrap();
        triplets.partners().turn(1);
        let state = triplets.partners().state();
        let other = super::tests::triplets();
        other.partners().restore(&state).unwrap();
        assert_eq!(other.partners().state(), state);
        for cut in 0..state.len() {
            assert!(other.partners().restore(&state[..cut]).is_err() || cut == 0, "cut to {cut}");
        }
        for at in 0..state.len() {
            let mut damaged = state.clone();
            damaged[at] ^= 4;
            assert!(other.partners().restore(&damaged).is_err(), "byte {at}");
        }
        // A table mined for an epoch that a restored run has not reached is not taken up in it.
        other.partners().refresh(4, &embeddings(4)).unwrap();
        other.partners().restore(&state).unwrap();
        other.partners().turn(3);
        assert_eq!(other.partners().state(), state);
        let few = Embeddings::new(vec![0.0; 3], 1, vec![0; 3]).unwrap();
        assert!(triplets.partners().refresh(4, &few).unwrap_err().to_string().contains("24 samples"));
    }
}
