//! Networks that are trained by comparing samples: encoders, losses of their embeddings, mining in the batch, and the task.

mod embed;
mod encoder;
mod losses;
mod memory;
mod mining;
mod show;

use batchwright_config as config;
use batchwright_config::{Distance, MetricLoss, Mining};
use batchwright_core::BoxError;
use tch::{Device, Kind, Reduction, TchError, Tensor, nn};

pub use encoder::Encoder;
pub use losses::{
    Candidates, contrastive, contrastive_in_batch, multi_similarity, nt_xent, pairwise, prototypical,
    squared_distances, supervised_contrastive, triplet,
};
use memory::Memory;
pub use mining::{Triplets, all_triplets, hardness, mine, triplet_in_batch};
pub use show::scatter;

use crate::pictures::Pictures;
use crate::task::{Conclusion, Losses, Step, Task, Totals};
use crate::tensors::TensorBatch;
use crate::vae::uniform_fan_in;

/// Why there is no such network, or a batch does not fit it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// A number is out of its range.
    #[error("`model.siamese.{key}` is {found}; expected {expected}")]
    Range {
        /// Which one.
        key: &'static str,
        /// What it is.
        found: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// Two settings do not go together.
    #[error("`model.siamese.{key}` does not go with `{with}`: {why}")]
    Together {
        /// The one.
        key: &'static str,
        /// The other.
        with: &'static str,
        /// Why not.
        why: &'static str,
    },
    /// A sample has neither two nor three axes beside its channels.
    #[error("samples have the shape {shape:?}; a `siamese` takes images [C, y, x] and volumes [C, z, y, x]")]
    Axes {
        /// The shape of a sample.
        shape: Vec<usize>,
    },
    /// The image or volume is too small for so many blocks.
    #[error(
        "samples with the sides {} are too small for {blocks} blocks, each of which halves them: each side must have at least {least} {} (any \
         such size fits); give fewer `channels`",
        sized(sides), if sides.len() == 2 { "pixels" } else { "voxels" }
    )]
    TooSmall {
        /// Their sides, as the axes are in memory: height, width, or depth (z), height (y), width (x).
        sides: Vec<i64>,
        /// How many blocks.
        blocks: usize,
        /// The smallest side that fits.
        least: i64,
    },
    /// A batch has other fields than the loss takes.
    #[error("the loss `{loss}` takes {takes}; the batch has {found}")]
    Fields {
        /// The loss.
        loss: &'static str,
        /// What it takes.
        takes: &'static str,
        /// The fields that the batch has.
        found: String,
    },
    /// A field has another shape.
    #[error("the field `{field}` has the shape {found:?}; expected {expected:?}")]
    Shape {
        /// Which one.
        field: &'static str,
        /// What it is.
        found: Vec<i64>,
        /// What it has to be.
        expected: Vec<i64>,
    },
    /// Weights of samples where a loss is no sum over samples.
    #[error(
        "the loss `{loss}` of images with labels compares samples with each other, so that it cannot weigh them; leave `class_weight` out"
    )]
    Weights {
        /// The loss.
        loss: &'static str,
    },
    /// A negative pair where a loss takes positive ones.
    #[error(
        "the loss `{loss}` takes the two of every pair for the same, and one has `same` below 1; make `data.pairs` with `positives: 1`"
    )]
    Negative {
        /// The loss.
        loss: &'static str,
    },
    /// A label is no number of a class.
    #[error("a sample has the label {found}; classes are numbered from 0 to {}", u32::MAX)]
    Label {
        /// What it is.
        found: i64,
    },
    /// libtorch refused an operation.
    #[error("libtorch cannot build the network")]
    Torch {
        /// Why not.
        #[from]
        source: TchError,
    },
}

/// Says how large images (height x width) or volumes (x, y, z) are.
fn sized(sides: &[i64]) -> String {
    let text = |sides: &mut dyn Iterator<Item = &i64>| {
        sides.map(ToString::to_string).collect::<Vec<_>>().join(" x ")
    };
    if sides.len() == 2 { text(&mut sides.iter()) } else { text(&mut sides.iter().rev()) + " (x, y, z)" }
}

/// An encoder that is trained by comparing samples.
///
/// What a batch has decides how it is compared: pairs have the fields `a`, `b` and `same` (1 or 0); triplets `anchor`, `positive` and `negative`;
/// images with labels `image` and `label`. Samples are `[N, C, y, x]` or `[N, C, z, y, x]`, `f32`, or `u8` scaled by 1/255. Which of them a loss takes
/// stands with [`MetricLoss`].
///
/// A validation gives the mean loss of its batches (without the memory), and of pairs and triplets `auc`, `eer` and `accuracy` (at the threshold that is best
/// for them); of images with labels these over all pairs of at most 1,024 samples, taken at equal steps, and `knn` (5 neighbours),
/// `precision_at_1`, `r_precision` and `map_at_r` of at most 10,000, each sample among all others. It keeps the embeddings of the set on the CPU.
///
/// Weights of samples multiply the terms of pairs and triplets, and divide nothing: the loss is `sum(w * l) / N`.
#[derive(Debug)]
pub struct Siamese {
    encoder: Encoder,
    loss: MetricLoss,
    /// Of the loss `similarity`.
    head: Option<Head>,
    memory: Option<Memory>,
    sample: Vec<i64>,
    embedding: usize,
    device: Device,
}

/// Weighs the differences of each number of two embeddings.
#[derive(Debug)]
struct Head {
    weight: Tensor,
    bias: Tensor,
}

impl Head {
    /// How sure it is that samples are the same, `[n]`: a logit.
    fn logits(&self, a: &Tensor, b: &Tensor) -> Result<Tensor, TchError> {
        a.f_sub(b)?.f_abs()?.f_linear(&self.weight, Some(&self.bias))?.f_squeeze_dim(1)
    }
}

/// The samples of a batch.
enum Parts {
    Pairs { a: Tensor, b: Tensor, same: Tensor },
    Triplets { anchor: Tensor, positive: Tensor, negative: Tensor },
    Classes { image: Tensor, label: Tensor },
}

impl Siamese {
    /// Builds it for images of the shape `[C, y, x]` or volumes `[C, z, y, x]`, its parameters below `path`.
    ///
    /// # Errors
    /// Refuses settings out of their range or that do not go together, other numbers of axes, and images too small for the encoder.
    pub fn new(
        path: &nn::Path<'_>,
        settings: &config::Siamese,
        sample: impl AsRef<[usize]>,
    ) -> Result<Self, MetricError> {
        let sample = sample.as_ref();
        let config::Siamese { encoder, embedding, normalize, loss, memory } = settings;
        check(*loss)?;
        let encoder = Encoder::new(&(path / "encoder"), encoder, *embedding, *normalize, sample)?;
        let numbers = encoder.numbers(true) as i64;
        if encoder.numbers(false) != encoder.numbers(true) && *loss == MetricLoss::Similarity {
            let why = "it weighs the numbers that it was trained with";
            return Err(MetricError::Together { key: "loss: similarity", with: "encoder.histogram", why });
        }
        let head = if *loss == MetricLoss::Similarity {
            let path = path / "head";
            Some(Head {
                weight: path.f_var("weight", &[1, numbers], uniform_fan_in(numbers))?,
                bias: path.f_var("bias", &[1], uniform_fan_in(numbers))?,
            })
        } else {
            None
        };
        let memory = match memory {
            Some(_) if !loss.takes_memory() => {
                let why = "it compares the samples of one batch";
                return Err(MetricError::Together { key: "memory", with: loss.name(), why });
            }
            Some(memory) if memory.size == 0 => {
                let (key, expected) = ("memory.size", "at least 1");
                return Err(MetricError::Range { key, found: 0.0, expected });
            }
            Some(memory) => Some(Memory::new(&(path / "memory"), *memory, numbers)?),
            None => None,
        };
        Ok(Self {
            embedding: encoder.numbers(false),
            encoder,
            loss: *loss,
            head,
            memory,
            sample: sample.iter().map(|&n| n as i64).collect(),
            device: path.device(),
        })
    }

    /// Encodes images `[N, C, y, x]` or volumes `[N, C, z, y, x]`, floats or bytes, into embeddings `[N, embedding]`, as in evaluation.
    ///
    /// # Errors
    /// Gives libtorch's error where it refuses.
    pub fn encode(&self, samples: &Tensor) -> Result<Tensor, TchError> {
        self.encoder.encode(&floats(samples)?, false)
    }

    /// Returns how alike pairs of embeddings are, `[n]`: minus their distance, or what the loss `similarity` has learned; greater is more alike.
    ///
    /// # Errors
    /// Gives libtorch's error where it refuses.
    pub fn alike(&self, a: &Tensor, b: &Tensor) -> Result<Tensor, TchError> {
        match &self.head {
            Some(head) => head.logits(a, b),
            None => pairwise(a, b, Distance::Euclidean)?.f_neg(),
        }
    }

    /// Returns how many numbers an embedding has.
    pub fn embedding(&self) -> usize {
        self.embedding
    }

    /// Returns the device that it is on.
    pub fn device(&self) -> Device {
        self.device
    }

    fn parts(&self, batch: &TensorBatch) -> Result<Parts, BoxError> {
        let has = |name: &str| batch.fields().any(|field| field.name == name);
        if has("a") {
            let same = Self::column(batch, "same")?.f_to_kind(Kind::Float)?;
            Ok(Parts::Pairs { a: self.samples(batch, "a")?, b: self.samples(batch, "b")?, same })
        } else if has("anchor") {
            Ok(Parts::Triplets {
                anchor: self.samples(batch, "anchor")?,
                positive: self.samples(batch, "positive")?,
                negative: self.samples(batch, "negative")?,
            })
        } else {
            // Patches have a map of labels beside the class of their subject.
            let field = if has("class") { "class" } else { "label" };
            let label = Self::column(batch, field)?.f_to_kind(Kind::Int64)?;
            Ok(Parts::Classes { image: self.samples(batch, "image")?, label })
        }
    }

    fn samples(&self, batch: &TensorBatch, field: &'static str) -> Result<Tensor, BoxError> {
        let samples = batch.get(field)?;
        let size = samples.size();
        if size.len() != 1 + self.sample.len() || size[1..] != self.sample {
            let expected = [&[batch.len() as i64], self.sample.as_slice()].concat();
            return Err(MetricError::Shape { field, found: size, expected }.into());
        }
        Ok(floats(samples)?)
    }

    /// A field with one number of each sample.
    fn column(batch: &TensorBatch, field: &'static str) -> Result<Tensor, BoxError> {
        let column = batch.get(field)?;
        let expected = vec![batch.len() as i64];
        if column.size() != expected {
            return Err(MetricError::Shape { field, found: column.size(), expected }.into());
        }
        Ok(column.shallow_clone())
    }

    /// Encodes several parts at once.
    fn encode_parts<const N: usize>(
        &self,
        parts: [&Tensor; N],
        training: bool,
    ) -> Result<[Tensor; N], TchError> {
        let n = parts[0].size()[0];
        let all = self.encoder.encode(&Tensor::f_cat(&parts, 0)?, training)?;
        let mut each = Vec::with_capacity(N);
        for part in 0..N as i64 {
            each.push(all.f_narrow(0, part * n, n)?);
        }
        Ok(each.try_into().expect("there is one of each part"))
    }

    fn refuse(&self, batch: &TensorBatch) -> BoxError {
        let takes = match self.loss {
            MetricLoss::Contrastive { .. } => {
                "pairs (the fields `a`, `b`, `same`) or samples with classes (`image`, and `class` or `label`)"
            }
            MetricLoss::Triplet { .. } => {
                "triplets (the fields `anchor`, `positive`, `negative`) or samples with classes (`image`, and `class` or `label`)"
            }
            MetricLoss::Similarity => "pairs (the fields `a`, `b`, `same`)",
            MetricLoss::NtXent { .. } => "pairs of the same (the fields `a`, `b`, `same`)",
            MetricLoss::SupervisedContrastive { .. }
            | MetricLoss::MultiSimilarity { .. }
            | MetricLoss::Prototypical { .. } => {
                "samples with classes (the fields `image`, and `class` or `label`)"
            }
        };
        let found = batch.fields().map(|field| format!("`{}`", field.name)).collect::<Vec<_>>().join(", ");
        MetricError::Fields { loss: self.loss.name(), takes, found }.into()
    }

    /// The loss of a batch, and the embeddings of its parts.
    fn compute(&self, batch: &TensorBatch, step: Step) -> Result<Losses, BoxError> {
        let training = step.training;
        let weighted = |losses: &Tensor| -> Result<Tensor, TchError> {
            match &batch.weights {
                Some(weights) => losses.f_mul(weights)?.f_mean(None),
                None => losses.f_mean(None),
            }
        };
        match (self.parts(batch)?, self.loss) {
            (Parts::Pairs { a, b, same }, MetricLoss::Contrastive { margin }) => {
                let [a, b] = self.encode_parts([&a, &b], training)?;
                let losses = Losses::new(weighted(&contrastive(&a, &b, &same, margin)?)?);
                self.with_pairs(losses, &a, &b, &same, training)
            }
            (Parts::Pairs { a, b, same }, MetricLoss::Similarity) => {
                let [a, b] = self.encode_parts([&a, &b], training)?;
                let head = self.head.as_ref().expect("this loss has a head");
                let logits = head.logits(&a, &b)?;
                let terms = logits.f_binary_cross_entropy_with_logits::<&Tensor>(
                    &same,
                    None,
                    None,
                    Reduction::None,
                )?;
                self.with_pairs(Losses::new(weighted(&terms)?), &a, &b, &same, training)
            }
            (Parts::Pairs { a, b, same }, MetricLoss::NtXent { temperature }) => {
                // A training step does not wait for the device to tell.
                let told = !training || self.device == Device::Cpu;
                if told && same.f_min()?.f_double_value(&[])? != 1.0 {
                    return Err(MetricError::Negative { loss: self.loss.name() }.into());
                }
                let [a, b] = self.encode_parts([&a, &b], training)?;
                let terms = nt_xent(&a, &b, temperature)?;
                let of_samples = terms.f_view([2, -1])?.f_mean_dim(0_i64, false, None)?;
                self.with_pairs(Losses::new(weighted(&of_samples)?), &a, &b, &same, training)
            }
            (
                Parts::Triplets { anchor, positive, negative },
                MetricLoss::Triplet { margin, distance, .. },
            ) => {
                let [anchor, positive, negative] =
                    self.encode_parts([&anchor, &positive, &negative], training)?;
                let terms = triplet(&anchor, &positive, &negative, margin, distance)?;
                let losses = Losses::new(weighted(&terms)?);
                self.with_triplets(losses, &anchor, &positive, &negative, training)
            }
            (Parts::Classes { image, label }, loss) if in_batch(loss) => {
                if batch.weights.is_some() {
                    return Err(MetricError::Weights { loss: loss.name() }.into());
                }
                let embeddings = self.encoder.encode(&image, training)?;
                let losses = self.compare(&embeddings, &label, step)?;
                Ok(if training {
                    losses
                } else {
                    losses.with_rows("embedding", embeddings).with_rows("label", label)
                })
            }
            _ => Err(self.refuse(batch)),
        }
    }

    /// The loss of images with labels.
    fn compare(&self, embeddings: &Tensor, labels: &Tensor, step: Step) -> Result<Losses, TchError> {
        if let MetricLoss::Prototypical { shots, temperature } = self.loss {
            let (loss, accuracy) = prototypical(embeddings, labels, shots, temperature)?;
            return Ok(Losses::new(loss).with("query_accuracy", accuracy));
        }
        // An evaluation compares the samples of its batches alone, with the mining that training ends with, so that its losses can
        // be compared whatever came before.
        let at = if step.training { step.step } else { u64::MAX };
        let memory = self.memory.as_ref().filter(|_| step.training);
        let rows = memory.map(|memory| memory.rows(step.step)).transpose()?.flatten();
        let rows = rows.as_ref().map(|(embeddings, labels, valid)| (embeddings, labels, valid));
        let candidates = Candidates::with(embeddings, labels, rows)?;
        let losses = match self.loss {
            MetricLoss::Contrastive { margin } => Losses::new(contrastive_in_batch(&candidates, margin)?),
            MetricLoss::Triplet { margin, distance, mining } => {
                let (loss, active) = triplet_in_batch(&candidates, margin, distance, mining, at)?;
                let losses = Losses::new(loss).with("active", active);
                match mining {
                    Mining::Scheduled { .. } => losses.with_value("hardness", hardness(mining, at)),
                    _ => losses,
                }
            }
            MetricLoss::SupervisedContrastive { temperature } => {
                Losses::new(supervised_contrastive(&candidates, temperature)?)
            }
            MetricLoss::MultiSimilarity { alpha, beta, base, epsilon } => {
                Losses::new(multi_similarity(&candidates, alpha, beta, base, epsilon)?)
            }
            MetricLoss::Similarity | MetricLoss::NtXent { .. } | MetricLoss::Prototypical { .. } => {
                unreachable!("these do not compare candidates")
            }
        };
        if let Some(memory) = memory {
            memory.push(embeddings, labels)?;
        }
        Ok(losses)
    }

    fn with_pairs(
        &self,
        losses: Losses,
        a: &Tensor,
        b: &Tensor,
        same: &Tensor,
        training: bool,
    ) -> Result<Losses, BoxError> {
        if training {
            return Ok(losses);
        }
        Ok(losses.with_rows("alike", self.alike(a, b)?).with_rows("same", same.shallow_clone()))
    }

    fn with_triplets(
        &self,
        losses: Losses,
        anchor: &Tensor,
        positive: &Tensor,
        negative: &Tensor,
        training: bool,
    ) -> Result<Losses, BoxError> {
        let (near, far) = (
            self.alike(&anchor.f_detach()?, &positive.f_detach()?)?,
            self.alike(&anchor.f_detach()?, &negative.f_detach()?)?,
        );
        let right = far.f_lt_tensor(&near)?.f_to_kind(Kind::Float)?.f_mean(None)?;
        let losses = losses.with("triplet_accuracy", right);
        if training {
            return Ok(losses);
        }
        let same = Tensor::f_cat(&[near.f_ones_like()?, far.f_zeros_like()?], 0)?;
        Ok(losses.with_rows("alike", Tensor::f_cat(&[near, far], 0)?).with_rows("same", same))
    }
}

/// Returns floats; bytes are scaled by 1/255.
fn floats(samples: &Tensor) -> Result<Tensor, TchError> {
    match samples.f_kind()? {
        Kind::Float => Ok(samples.shallow_clone()),
        Kind::Uint8 => samples.f_to_kind(Kind::Float)?.f_div_scalar(255.0),
        _ => samples.f_to_kind(Kind::Float),
    }
}

fn in_batch(loss: MetricLoss) -> bool {
    loss.takes_memory() || matches!(loss, MetricLoss::Prototypical { .. })
}

fn check(loss: MetricLoss) -> Result<(), MetricError> {
    let above = |key, found: f64| {
        let expected = "finite and above 0";
        if 0.0 < found && found.is_finite() {
            Ok(())
        } else {
            Err(MetricError::Range { key, found, expected })
        }
    };
    match loss {
        MetricLoss::Contrastive { margin } => above("loss.contrastive.margin", margin),
        MetricLoss::Triplet { margin, mining, .. } => {
            match (margin, mining) {
                (config::Margin::Hard(margin), _) => above("loss.triplet.margin", margin)?,
                (config::Margin::Soft(_), Mining::All) => {
                    let why = "all triplets are counted by their margin, and `soft` is none";
                    return Err(MetricError::Together {
                        key: "loss.triplet.mining: all",
                        with: "margin: soft",
                        why,
                    });
                }
                _ => {}
            }
            if let Mining::Scheduled { from, to, .. } = mining {
                for (key, found) in
                    [("loss.triplet.mining.scheduled.from", from), ("loss.triplet.mining.scheduled.to", to)]
                {
                    if !(0.0..=1.0).contains(&found) {
                        return Err(MetricError::Range { key, found, expected: "0 to 1" });
                    }
                }
            }
            Ok(())
        }
        MetricLoss::Similarity => Ok(()),
        MetricLoss::NtXent { temperature } => above("loss.nt_xent.temperature", temperature),
        MetricLoss::SupervisedContrastive { temperature } => {
            above("loss.supervised_contrastive.temperature", temperature)
        }
        MetricLoss::MultiSimilarity { alpha, beta, base, epsilon } => {
            above("loss.multi_similarity.alpha", alpha)?;
            above("loss.multi_similarity.beta", beta)?;
            let rest = [
                ("loss.multi_similarity.base", base),
                ("loss.multi_similarity.epsilon", epsilon.unwrap_or(0.0)),
            ];
            match rest.into_iter().find(|(_, found)| !found.is_finite()) {
                Some((key, found)) => Err(MetricError::Range { key, found, expected: "finite" }),
                None => Ok(()),
            }
        }
        MetricLoss::Prototypical { shots: 0, .. } => {
            Err(MetricError::Range { key: "loss.prototypical.shots", found: 0.0, expected: "at least 1" })
        }
        MetricLoss::Prototypical { temperature, .. } => above("loss.prototypical.temperature", temperature),
    }
}

impl Task for Siamese {
    fn embed(&self, batch: &TensorBatch) -> Result<Tensor, BoxError> {
        let field = ["image", "a", "anchor"].into_iter().find(|name| batch.get(name).is_ok());
        Ok(self.encoder.encode(&self.samples(batch, field.unwrap_or("image"))?, false)?)
    }

    fn loss(&self, batch: &TensorBatch, step: Step) -> Result<Losses, BoxError> {
        self.compute(batch, step)
    }

    fn validate(&self, batch: &TensorBatch, step: Step) -> Result<Losses, BoxError> {
        self.compute(batch, Step { training: false, ..step })
    }

    fn conclude(&self, totals: &Totals) -> Conclusion {
        embed::conclude(totals, self.embedding)
    }

    fn pictures(&self, batch: &TensorBatch, step: Step, to: &mut dyn Pictures) -> Result<(), BoxError> {
        show::show(self, batch, step, to)
    }
}

#[cfg(test)]
mod tests;
