//! The volumes of a configuration, opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use batchwright_core::Dataset;
use batchwright_nifti as nifti;

use crate::config::Config;
use crate::data::{Fold, Held, Split, SplitBy};
use crate::nifti::Nifti;
use crate::open::{DataRoot, Singles};
use crate::open_error::OpenError;
use crate::read::{Reader, Set};
use crate::samples::Samples;
use crate::sources::Source;

/// The training subjects, and those that are validated on.
struct Sides {
    training: Vec<usize>,
    validation: Option<Vec<usize>>,
}

fn refused(key: &str) -> impl Fn(nifti::Error) -> OpenError + '_ {
    |source| OpenError::Volumes { key: key.to_owned(), source: Box::new(source) }
}

impl Config {
    /// Lists the subjects of each set that has a manifest (training and validation of a split together), and says how they
    /// are to be [checked](batchwright_nifti::check); nothing where the samples are not patches of files.
    ///
    /// # Errors
    /// Names the manifest and the place in it that cannot be used; files that are not there are left to the check.
    #[expect(clippy::type_complexity, reason = "two things that are asked for together")]
    pub fn volumes(
        &self,
        root: &DataRoot,
    ) -> Result<Option<(Vec<(&'static str, nifti::Subjects)>, nifti::CheckOptions)>, OpenError> {
        let Source::Nifti(nifti) = &self.data.source else { return Ok(None) };
        let Some(manifest) = &nifti.manifest else { return Ok(None) };
        let root = root.of(self);
        let options = nifti.options().map_err(refused("data.nifti"))?;
        let mut sets = Vec::new();
        for (set, key, manifest) in [
            (Set::Training, "data.nifti.manifest", Some(manifest)),
            (Set::Validation, "data.nifti.validation", nifti.validation.as_ref()),
            (Set::Test, "data.nifti.test", nifti.test.as_ref()),
        ] {
            let Some(manifest) = manifest else { continue };
            sets.push((set.name(), self.listed(nifti, manifest, &root, key)?));
        }
        let nifti::PatchSetOptions { read, labels, nan, patch, .. } = options;
        let weights = match patch.sampler {
            nifti::PatchSampler::Weights(name) => Some(name),
            _ => None,
        };
        Ok(Some((sets, nifti::CheckOptions { read, labels, nan, weights, ..nifti::CheckOptions::default() })))
    }

    pub(crate) fn open_volumes(&self, nifti: &Nifti, root: &Path) -> Result<Singles, OpenError> {
        let key = "data.nifti";
        let options = nifti.options().map_err(refused(key))?;
        // At fixed places; whether they are varied is seen to where they are read.
        let held =
            nifti::PatchSetOptions { augmentation: options.augmentation.clone(), ..options.for_validation() };
        let directory = nifti.cache.directory.as_ref().map(|directory| self.folder().join(directory));
        let cache = nifti::Cache::new(nifti::CacheOptions {
            budget: nifti.cache.budget.bytes(),
            directory,
            key: nifti.cache.key,
        });
        let cache = Arc::new(cache.map_err(refused("data.nifti.cache.directory"))?);
        if let Some(phantom) = &nifti.phantom {
            let names: Vec<String> = (0..phantom.subjects).map(|index| phantom.id(index)).collect();
            let sides = self.sides_of(root, names.len(), |split| split.of_names(&names))?;
            let set = |indices: &[usize], options: &nifti::PatchSetOptions, training| {
                nifti::PatchSet::phantom(phantom, indices, options.clone(), training, Arc::clone(&cache))
                    .map_err(refused("data.nifti.phantom"))
            };
            let statistics =
                Self::training_statistics(&options, |options| set(&sides.training, options, None))?;
            let training = set(&sides.training, &options, statistics.clone())?;
            let validation = sides.validation.map(|indices| set(&indices, &held, statistics)).transpose()?;
            return singles(training, validation, None);
        }
        let manifest = nifti.manifest.as_ref().expect("the check lets one of manifest and phantom through");
        let subjects = self.subjects(nifti, manifest, root, "data.nifti.manifest")?;
        let sides = self.sides_of(root, subjects.len(), |split| split.of(&subjects))?;
        let list = |set: Set, manifest: &Option<nifti::Manifest>| {
            let key = format!("data.nifti.{}", set.key());
            manifest.as_ref().map(|manifest| self.subjects(nifti, manifest, root, &key)).transpose()
        };
        let classes: Vec<String> = subjects.classes().into_iter().map(str::to_owned).collect();
        let set = |subjects: &nifti::Subjects, options: &nifti::PatchSetOptions, training| {
            nifti::PatchSet::new(subjects, options.clone(), &classes, training, Arc::clone(&cache))
                .map_err(refused(key))
        };
        let chosen = subjects.subset(&sides.training);
        let statistics = Self::training_statistics(&options, |options| set(&chosen, options, None))?;
        let training = set(&chosen, &options, statistics.clone())?;
        let validation = match sides.validation {
            Some(indices) => Some(subjects.subset(&indices)),
            None => list(Set::Validation, &nifti.validation)?,
        };
        let made = |subjects: Option<nifti::Subjects>| {
            subjects.map(|subjects| set(&subjects, &held, statistics.clone())).transpose()
        };
        singles(training, made(validation)?, made(list(Set::Test, &nifti.test)?)?)
    }

    /// Lists subjects, with their facts, whose files are there.
    fn subjects(
        &self,
        nifti: &Nifti,
        manifest: &nifti::Manifest,
        root: &Path,
        key: &str,
    ) -> Result<nifti::Subjects, OpenError> {
        let subjects = self.listed(nifti, manifest, root, key)?;
        subjects.check_files().map_err(refused(key))?;
        Ok(subjects)
    }

    /// Lists subjects, with their facts.
    fn listed(
        &self,
        nifti: &Nifti,
        manifest: &nifti::Manifest,
        root: &Path,
        key: &str,
    ) -> Result<nifti::Subjects, OpenError> {
        let reader = Reader { data: &self.data, root };
        reader.find(key, &manifest.needs())?;
        let mut subjects = manifest.subjects(root).map_err(refused(key))?;
        if let Some(facts) = &nifti.facts {
            reader.find("data.nifti.facts", facts)?;
            let table = nifti::FactsTable::from(facts.clone());
            subjects = subjects.with_facts(&table, root).map_err(refused("data.nifti.facts"))?;
        }
        if let Some(fact) = &nifti.class {
            subjects = subjects.classed_by(fact).map_err(refused("data.nifti.class"))?;
        }
        if let Some(fact) = &nifti.group {
            subjects = subjects.grouped_by(fact).map_err(refused("data.nifti.group"))?;
        }
        Ok(subjects)
    }

    /// Returns who is on which side of the split, if there is one.
    fn sides_of(
        &self,
        root: &Path,
        subjects: usize,
        split: impl Fn(&nifti::Split) -> Result<nifti::Sides, nifti::Error>,
    ) -> Result<Sides, OpenError> {
        let Some(choice) = &self.data.split else {
            return Ok(Sides { training: (0..subjects).collect(), validation: None });
        };
        let rule = self.rule_of(choice, root)?;
        let nifti::Sides { training, validation } = split(&rule).map_err(refused("data.split"))?;
        Ok(Sides { training, validation: Some(validation) })
    }

    fn rule_of(&self, split: &Split, root: &Path) -> Result<nifti::Split, OpenError> {
        let seed = self.seed;
        let by = match split.by {
            SplitBy::Sample | SplitBy::Subject => nifti::SplitBy::Subject,
            SplitBy::Group => nifti::SplitBy::Group,
            SplitBy::Class => {
                let message = "only classes of images can be held out".to_owned();
                return Err(OpenError::Classes { key: "data.split.by", message });
            }
        };
        Ok(match &split.validation {
            Held::Fraction(validation) => nifti::Split::Fraction { seed, validation: *validation, by },
            Held::Fold(Fold { fold, of }) => {
                nifti::Split::Folds { seed, folds: *of as usize, fold: *fold as usize, by }
            }
            Held::Listed(list) => {
                let path: PathBuf = Reader { data: &self.data, root }.find("data.split.validation", list)?;
                let text = std::fs::read_to_string(&path)
                    .map_err(|source| OpenError::List { path: path.clone(), source })?;
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                nifti::Split::List { validation: lines.map(str::to_owned).collect(), by }
            }
        })
    }

    /// Computes what a normalisation needs to know about all training subjects.
    fn training_statistics(
        options: &nifti::PatchSetOptions,
        set: impl Fn(&nifti::PatchSetOptions) -> Result<nifti::PatchSet, OpenError>,
    ) -> Result<Option<nifti::DatasetStatistics>, OpenError> {
        if !options.normalize.needs_training() {
            return Ok(None);
        }
        let plain = options.for_validation();
        set(&plain)?.training_statistics().map(Some).map_err(refused("data.nifti.normalize"))
    }
}

/// Puts the sets of volumes together, whose patches must have the same fields.
fn singles(
    training: nifti::PatchSet,
    validation: Option<nifti::PatchSet>,
    test: Option<nifti::PatchSet>,
) -> Result<Singles, OpenError> {
    for (name, other) in [(Set::Validation, &validation), (Set::Test, &test)] {
        let Some(other) = other else { continue };
        if training.fields() != other.fields() {
            let say = |set: &nifti::PatchSet| {
                set.fields().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
            };
            let key = format!("data.nifti.{}", name.key());
            return Err(OpenError::Different { key, expected: say(&training), found: say(other) });
        }
    }
    let samples = |set| Samples::Patches(Arc::new(set));
    Ok(Singles { training: samples(training), validation: validation.map(samples), test: test.map(samples) })
}
