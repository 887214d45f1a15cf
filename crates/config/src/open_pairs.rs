//! Pairs and triplets of a configuration, over samples that are open.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use batchwright_pairs::{
    ClassBatches, Facts, MinedPairs, MinedPartners, MinedTriplets, Names, PairDataset, PairList, PairOptions,
    PairSampler, PairSource, RefreshOptions, TripletDataset, TripletList, TripletOptions, TripletSampler,
    TripletSource,
};

use crate::config::Config;
use crate::model::Model;
use crate::open_error::OpenError;
use crate::pairing::{Pairing, Pairs, Triplets};
use crate::read::{Reader, Set};
use crate::samples::Samples;
use crate::siamese::MetricLoss;

fn refused(key: &str) -> impl Fn(batchwright_pairs::Error) -> OpenError + '_ {
    |source| OpenError::Pairs { key: key.to_owned(), source: Box::new(source) }
}

fn mining_refused(key: &str) -> impl Fn(batchwright_pairs::EmbeddingError) -> OpenError + '_ {
    |source| OpenError::Mining { key: key.to_owned(), source: Box::new(source) }
}

/// Where tuples come from.
struct Tuples<S: ?Sized> {
    source: Arc<S>,
    /// What is mined for them.
    mined: Option<Arc<MinedPartners>>,
    /// Who is an anchor, and who is not.
    report: String,
}

/// Samples that stand together, or alone where the configuration pairs none.
pub(crate) struct Paired {
    pub(crate) data: Samples,
    pub(crate) mined: Option<Arc<MinedPartners>>,
    pub(crate) report: Option<String>,
}

impl Config {
    /// Makes pairs or triplets of samples, if the configuration has any; for training with what mining gives, if it mines.
    pub(crate) fn paired(&self, data: Samples, set: Set, root: &Path) -> Result<Paired, OpenError> {
        let Some(pairing) = &self.data.pairing else {
            return Ok(Paired { data, mined: None, report: None });
        };
        let key = format!("data.{}", pairing.key());
        let is_training = matches!(set, Set::Training);
        // A list is one of training samples: those of other sets are drawn by the rules.
        let list = pairing.list().filter(|_| is_training);
        let list = list.map(|path| self.find_list(path, root, &key)).transpose()?;
        let mining = pairing.mining().filter(|_| is_training);
        match pairing {
            Pairing::Pairs(pairs) => {
                let Tuples { source, mined, report } = self.pair_source(pairs, &data, list, mining, &key)?;
                let dataset = match pairs.places {
                    None => PairDataset::new(data, source, pairs.parts),
                    Some(places) => PairDataset::placed(data, source, pairs.parts, places),
                };
                let data = Samples::Pairs(Arc::new(dataset.map_err(refused(&key))?));
                Ok(Paired { data, mined, report: Some(format!("{}: {report}", pairing.key())) })
            }
            Pairing::Triplets(triplets) => {
                let Tuples { source, mined, report } =
                    self.triplet_source(triplets, &data, list, mining, &key)?;
                let dataset = match triplets.places {
                    None => TripletDataset::new(data, source, triplets.parts),
                    Some(places) => TripletDataset::placed(data, source, triplets.parts, places),
                };
                let data = Samples::Triplets(Arc::new(dataset.map_err(refused(&key))?));
                Ok(Paired { data, mined, report: Some(format!("{}: {report}", pairing.key())) })
            }
        }
    }

    fn pair_source(
        &self,
        pairs: &Pairs,
        data: &Samples,
        list: Option<PathBuf>,
        mining: Option<&RefreshOptions>,
        key: &str,
    ) -> Result<Tuples<dyn PairSource>, OpenError> {
        let refused = refused(key);
        if let Some(path) = list {
            let names = Names::of(data, pairs.listed_by).map_err(&refused)?;
            let list = PairList::read(&path, &names).map_err(&refused)?;
            let negatives = list.len() - list.positives();
            if 0 < negatives && self.takes_positives_alone() {
                return Err(OpenError::Negatives { key: key.to_owned(), path, negatives });
            }
            let report = format!("{} of {}", list.len(), path.display());
            return Ok(Tuples { source: Arc::new(list), mined: None, report });
        }
        let options = PairOptions {
            positives: pairs.positives,
            positive: pairs.positive.clone(),
            negative: pairs.negative.clone(),
            negatives: pairs.negatives,
        };
        let facts = Facts::of(data).map_err(&refused)?;
        let sampler = PairSampler::new(&facts, &options).map_err(&refused)?;
        let report = sampler.report().to_string();
        let Some(mining) = mining else {
            return Ok(Tuples { source: Arc::new(sampler), mined: None, report });
        };
        let mined = MinedPairs::new(sampler, mining.clone(), self.seed).map_err(mining_refused(key))?;
        let partners = Arc::clone(mined.partners());
        Ok(Tuples { source: Arc::new(mined), mined: Some(partners), report })
    }

    fn triplet_source(
        &self,
        triplets: &Triplets,
        data: &Samples,
        list: Option<PathBuf>,
        mining: Option<&RefreshOptions>,
        key: &str,
    ) -> Result<Tuples<dyn TripletSource>, OpenError> {
        let refused = refused(key);
        if let Some(path) = list {
            let names = Names::of(data, triplets.listed_by).map_err(&refused)?;
            let list = TripletList::read(&path, &names).map_err(&refused)?;
            let report = format!("{} of {}", list.len(), path.display());
            return Ok(Tuples { source: Arc::new(list), mined: None, report });
        }
        let options = TripletOptions {
            positive: triplets.positive.clone(),
            negative: triplets.negative.clone(),
            negatives: triplets.negatives,
        };
        let facts = Facts::of(data).map_err(&refused)?;
        let sampler = TripletSampler::new(&facts, &options).map_err(&refused)?;
        let report = sampler.report().to_string();
        let Some(mining) = mining else {
            return Ok(Tuples { source: Arc::new(sampler), mined: None, report });
        };
        let mined = MinedTriplets::new(sampler, mining.clone(), self.seed).map_err(mining_refused(key))?;
        let partners = Arc::clone(mined.partners());
        Ok(Tuples { source: Arc::new(mined), mined: Some(partners), report })
    }

    /// Returns whether the loss takes the two of every pair for the same.
    fn takes_positives_alone(&self) -> bool {
        matches!(&self.model, Some(Model::Siamese(siamese)) if matches!(siamese.loss, MetricLoss::NtXent { .. }))
    }

    /// Finds the table of tuples.
    fn find_list(&self, path: &Path, root: &Path, key: &str) -> Result<PathBuf, OpenError> {
        Reader { data: &self.data, root }.find(&format!("{key}.list"), path)
    }

    /// Returns the order of batches of classes.
    pub(crate) fn class_batches(
        options: &batchwright_pairs::ClassBatchOptions,
        data: &Samples,
    ) -> Result<ClassBatches, OpenError> {
        let refused = refused("loader.sampler.class_batches");
        ClassBatches::new(&Facts::of(data).map_err(&refused)?, options).map_err(&refused)
    }
}
