//! Against pytorch-metric-learning and PyTorch (`tests/oracle/siamese.py`), and against brute force.

use std::collections::BTreeMap;

use batchwright_config::{CrossBatchMemory, Halve, Margin, Norm, Pool, Soft};
use batchwright_core::Field;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Oracle {
    n: i64,
    d: i64,
    embeddings: Vec<f32>,
    other: Vec<f32>,
    third: Vec<f32>,
    labels: Vec<i64>,
    same: Vec<f32>,
    head: Vec<f32>,
    bias: f32,
    losses: BTreeMap<String, Expected>,
    encoders: Vec<Outputs>,
}

#[derive(Deserialize)]
struct Expected {
    loss: f64,
    gradients: Vec<Vec<f64>>,
    accuracy: Option<f64>,
}

#[derive(Deserialize)]
struct Outputs {
    shape: Vec<usize>,
    residual: bool,
    norm: Norm,
    halve: Halve,
    pool: Pool,
    samples: Vec<f32>,
    training: Vec<f64>,
    evaluation: Vec<f64>,
}

fn oracle() -> Oracle {
    serde_json::from_str(include_str!("../../tests/oracle/siamese.json")).unwrap()
}

fn close(what: &str, tensor: &Tensor, expected: &[f64], tolerance: f64) {
    let found = Vec::<f64>::try_from(tensor.to_kind(Kind::Double).flatten(0, -1)).unwrap();
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() <= tolerance * expected.abs().max(1.0),
            "{what}: {found}, expected {expected}"
        );
    }
}

/// libtorch's generator belongs to the process.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static GENERATOR: std::sync::Mutex<()> = std::sync::Mutex::new(());
    GENERATOR.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

const STEP: Step = Step { step: 0, epoch: 0, training: true };

fn encoder_settings() -> config::Encoder {
    config::Encoder {
        channels: vec![4, 8],
        orientations: None,
        further: Vec::new(),
        histogram: None,
        residual: false,
        norm: Norm::Group,
        activation: config::Activation::Relu,
        halve: Halve::Pool,
        pool: Pool::Mean,
        dropout: 0.0,
    }
}

fn settings(loss: MetricLoss) -> config::Siamese {
    config::Siamese { encoder: encoder_settings(), embedding: 4, normalize: true, loss, memory: None }
}

#[test]
fn losses_and_their_gradients_are_those_of_other_libraries() {
    let Oracle { n, d, embeddings, other, third, labels, same, head, bias, losses, .. } = oracle();
    let leaf = |values: &[f32]| Tensor::from_slice(values).view([n, d]).set_requires_grad(true);
    let (a, b, c) = (leaf(&embeddings), leaf(&other), leaf(&third));
    let (labels, same) = (Tensor::from_slice(&labels), Tensor::from_slice(&same));
    let unit = |x: &Tensor| encoder::unit(x).unwrap();
    let of = |x: &Tensor| Candidates::new(x, &labels).unwrap();
    let euclidean = Distance::Euclidean;
    let mut seen = Vec::new();
    let mut check = |name: &str, loss: Tensor, leaves: &[&Tensor]| {
        let expected = &losses[name];
        close(name, &loss, &[expected.loss], 1e-5);
        let gradients = Tensor::run_backward(&[&loss], leaves, false, false);
        assert_eq!(gradients.len(), expected.gradients.len(), "{name}");
        for (found, expected) in gradients.iter().zip(&expected.gradients) {
            close(&format!("gradient of {name}"), found, expected, 1e-5);
        }
        seen.push(name.to_owned());
    };
    let mean = |terms: Tensor| terms.mean(Kind::Float);
    check("contrastive", mean(contrastive(&a, &b, &same, 2.5).unwrap()), &[&a, &b]);
    check("triplet", mean(triplet(&a, &b, &c, Margin::Hard(0.5), euclidean).unwrap()), &[&a, &b, &c]);
    let soft = Margin::Soft(Soft::Soft);
    check("triplet_soft", mean(triplet(&a, &b, &c, soft, euclidean).unwrap()), &[&a, &b, &c]);
    let head = Head { weight: Tensor::from_slice(&head).view([1, d]), bias: Tensor::from_slice(&[bias]) };
    let logits = head.logits(&a, &b).unwrap();
    let terms = logits.binary_cross_entropy_with_logits::<&Tensor>(&same, None, None, Reduction::Mean);
    check("similarity", terms, &[&a, &b]);
    check("nt_xent", mean(nt_xent(&unit(&a), &unit(&b), 0.5).unwrap()), &[&a, &b]);

    check("supervised_contrastive", supervised_contrastive(&of(&unit(&a)), 0.1).unwrap(), &[&a]);
    for (name, epsilon) in [("multi_similarity", None), ("multi_similarity_mined", Some(0.1))] {
        check(name, multi_similarity(&of(&unit(&a)), 2.0, 50.0, 0.5, epsilon).unwrap(), &[&a]);
    }
    check("contrastive_in_batch", contrastive_in_batch(&of(&a), 2.5).unwrap(), &[&a]);
    check("triplet_all", all_triplets(&of(&a), 0.5, euclidean).unwrap().0, &[&a]);
    check("triplet_all_squared", all_triplets(&of(&a), 0.5, Distance::Squared).unwrap().0, &[&a]);
    for (name, mining, margin) in [("triplet_hard", Mining::Hard, 0.5), ("triplet_easy", Mining::Easy, 5.0)] {
        let margin = Margin::Hard(margin);
        check(name, triplet_in_batch(&of(&a), margin, euclidean, mining, 0).unwrap().0, &[&a]);
    }
    for shots in [1, 2] {
        let name = format!("prototypical_{shots}");
        let (loss, accuracy) = prototypical(&a, &labels, shots, 2.0).unwrap();
        check(&name, loss, &[&a]);
        close(&name, &accuracy, &[losses[&name].accuracy.unwrap()], 1e-6);
    }
    assert_eq!(seen.len(), losses.len(), "every loss of the oracle is compared");
}

/// The weights of `oracle/siamese.py`, in the order that PyTorch counts parameters in.
fn fill(vs: &nn::VarStore, residual: bool, norm: Norm) {
    let variables: BTreeMap<String, Tensor> = vs.variables().into_iter().collect();
    let mut names = Vec::new();
    for block in 0..2 {
        let convolutions: &[&str] = if residual { &["first", "second"] } else { &["first"] };
        for convolution in convolutions {
            names.push(format!("{block}.{convolution}.weight"));
            if norm == Norm::None {
                names.push(format!("{block}.{convolution}.bias"));
            } else {
                names.extend(["scale", "shift"].map(|kind| format!("{block}.{convolution}_norm.{kind}")));
            }
        }
        if residual {
            names.extend(["weight", "bias"].map(|kind| format!("{block}.around.{kind}")));
        }
    }
    names.extend(["weight", "bias"].map(|kind| format!("embedding.{kind}")));
    let trained = variables.values().filter(|variable| variable.requires_grad()).count();
    assert_eq!(names.len(), trained);
    let _guard = tch::no_grad_guard();
    for (k, name) in names.iter().enumerate() {
        let mut variable = variables[name].shallow_clone();
        let more = if name.ends_with("scale") { 1.0 } else { 0.0 };
        let value = |i: usize| ((5 * i + 3 * k) % 7) as f32 / 16.0 - 3.0 / 16.0 + more;
        let values: Vec<f32> = (0..variable.numel()).map(value).collect();
        variable.copy_(&Tensor::from_slice(&values).view(variable.size().as_slice()));
    }
}

#[test]
fn encoders_compute_what_pytorchs_modules_do_in_training_and_in_evaluation() {
    let _alone = alone();
    for outputs in oracle().encoders {
        let Outputs { shape, residual, norm, halve, pool, samples, training, evaluation } = outputs;
        let what = format!("{shape:?} {residual} {norm:?} {halve:?} {pool:?}");
        let vs = nn::VarStore::new(Device::Cpu);
        let activation = config::Activation::Silu;
        let settings = config::Encoder {
            channels: vec![2, 6],
            orientations: None,
            further: Vec::new(),
            histogram: None,
            residual,
            norm,
            activation,
            halve,
            pool,
            dropout: 0.0,
        };
        let encoder = Encoder::new(&vs.root(), &settings, 4, true, &shape).unwrap();
        fill(&vs, residual, norm);
        let size: Vec<i64> = [3].into_iter().chain(shape.iter().map(|&n| n as i64)).collect();
        let samples = Tensor::from_slice(&samples).view(size.as_slice());
        close(&what, &encoder.encode(&samples, true).unwrap(), &training, 1e-5);
        close(&what, &encoder.encode(&samples, false).unwrap(), &evaluation, 1e-5);
    }
}

fn batch(fields: Vec<(&str, Tensor)>) -> TensorBatch {
    let fields = fields.into_iter().map(|(name, tensor)| {
        let shape: Vec<usize> = tensor.size()[1..].iter().map(|&n| n as usize).collect();
        (Field::new::<f32>(name, &shape), tensor)
    });
    TensorBatch::of(fields.collect(), None)
}

fn classes(n: i64, of: i64) -> TensorBatch {
    let labels = Tensor::arange(n, (Kind::Int64, Device::Cpu)).remainder(of);
    batch(vec![("image", Tensor::rand([n, 1, 8, 8], (Kind::Float, Device::Cpu))), ("label", labels)])
}

#[test]
fn a_memory_holds_the_last_embeddings_and_no_gradient_goes_there() {
    let _alone = alone();
    let vs = nn::VarStore::new(Device::Cpu);
    let memory = Memory::new(&vs.root(), CrossBatchMemory { size: 5, from: 2 }, 1).unwrap();
    let push = |values: &[f32]| {
        let rows = Tensor::from_slice(values).view([-1, 1]);
        memory.push(&rows, &rows.view([-1]).to_kind(Kind::Int64)).unwrap();
    };
    assert!(memory.rows(1).unwrap().is_none());
    let rows = || -> (Vec<f32>, Vec<i64>, Vec<bool>) {
        let (rows, labels, valid) = memory.rows(2).unwrap().unwrap();
        (rows.flatten(0, -1).try_into().unwrap(), labels.try_into().unwrap(), valid.try_into().unwrap())
    };
    push(&[1.0, 2.0, 3.0]);
    assert_eq!(
        rows(),
        (vec![1.0, 2.0, 3.0, 0.0, 0.0], vec![1, 2, 3, 0, 0], vec![true, true, true, false, false])
    );
    push(&[4.0, 5.0, 6.0]);
    assert_eq!(rows(), (vec![6.0, 2.0, 3.0, 4.0, 5.0], vec![6, 2, 3, 4, 5], vec![true; 5]));
    push(&[7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0]);
    let (rows, labels, _) = rows();
    let mut sorted = rows.clone();
    sorted.sort_by(f32::total_cmp);
    assert_eq!(sorted, [9.0, 10.0, 11.0, 12.0, 13.0], "the last five of seven");
    assert!(rows.iter().zip(labels).all(|(row, label)| *row as i64 == label));
}

#[test]
fn a_memory_counts_as_samples_of_the_batch_do() {
    let _alone = alone();
    tch::manual_seed(2);
    let rows = Tensor::randn([10, 3], (Kind::Float, Device::Cpu));
    let labels = Tensor::from_slice(&[0_i64, 0, 1, 1, 2, 2, 0, 1, 2, 0]);
    let (first, second) = (rows.narrow(0, 0, 6), rows.narrow(0, 6, 4));
    let (their, more) = (labels.narrow(0, 0, 6), labels.narrow(0, 6, 4));
    let valid = Tensor::from_slice(&[true; 4]);
    let with = Candidates::with(&first, &their, Some((&second, &more, &valid))).unwrap();
    let whole = Candidates::new(&rows, &labels).unwrap();
    for (mine, all) in [(&with.positive, &whole.positive), (&with.negative, &whole.negative)] {
        assert_eq!(*mine, all.narrow(0, 0, 6));
    }
    let empty = Tensor::from_slice(&[false; 4]);
    let masked = Candidates::with(&first, &their, Some((&second, &more, &empty))).unwrap();
    let plain = Candidates::new(&first, &their).unwrap();
    for loss in [supervised_contrastive, |candidates: &Candidates, _: f64| {
        Ok(all_triplets(candidates, 0.5, Distance::Euclidean)?.0)
    }] {
        let of = |candidates: &Candidates| loss(candidates, 0.5).unwrap().double_value(&[]);
        assert!((of(&masked) - of(&plain)).abs() < 1e-6, "what is not filled does not count");
        assert!((of(&with) - of(&plain)).abs() > 1e-3, "what is filled does");
    }
}

#[test]
fn a_batch_without_positives_or_negatives_has_a_loss_and_gradients_that_are_finite() {
    let _alone = alone();
    tch::manual_seed(3);
    let labels = [vec![0_i64, 1, 2, 3], vec![5; 4], vec![1]];
    for labels in labels {
        let n = labels.len() as i64;
        let x = Tensor::randn([n, 3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let labels = Tensor::from_slice(&labels);
        let candidates = Candidates::new(&x, &labels).unwrap();
        let margin = Margin::Hard(0.5);
        let mined = |mining| triplet_in_batch(&candidates, margin, Distance::Euclidean, mining, 3).unwrap().0;
        let losses = [
            supervised_contrastive(&candidates, 0.1).unwrap(),
            multi_similarity(&candidates, 2.0, 50.0, 0.5, Some(0.1)).unwrap(),
            contrastive_in_batch(&candidates, 1.0).unwrap(),
            prototypical(&x, &labels, 1, 1.0).unwrap().0,
            mined(Mining::Hard),
            mined(Mining::Easy),
            mined(Mining::SemiHard { cap: None }),
            mined(Mining::All),
            mined(Mining::Scheduled { from: 0.2, to: 0.8, steps: 7 }),
        ];
        for loss in losses {
            assert!(loss.double_value(&[]).is_finite());
            let gradients = Tensor::run_backward(&[&loss], &[&x], true, false);
            assert!(gradients[0].isfinite().all().int64_value(&[]) == 1);
        }
    }
}

#[test]
fn a_batch_of_other_fields_or_shapes_is_refused_with_what_the_loss_takes() {
    let _alone = alone();
    let vs = nn::VarStore::new(Device::Cpu);
    let similarity = Siamese::new(&vs.root(), &settings(MetricLoss::Similarity), [1, 8, 8]).unwrap();
    assert_eq!(
        similarity.loss(&classes(4, 2), STEP).unwrap_err().to_string(),
        "the loss `similarity` takes pairs (the fields `a`, `b`, `same`); the batch has `image`, `label`"
    );
    let loss = MetricLoss::SupervisedContrastive { temperature: 0.1 };
    let compared = Siamese::new(&(vs.root() / "b"), &settings(loss), [1, 8, 8]).unwrap();
    let images = Tensor::zeros([2, 1, 8, 9], (Kind::Float, Device::Cpu));
    let wrong = batch(vec![("image", images), ("label", Tensor::from_slice(&[0_i64, 1]))]);
    assert_eq!(
        compared.loss(&wrong, STEP).unwrap_err().to_string(),
        "the field `image` has the shape [2, 1, 8, 9]; expected [2, 1, 8, 8]"
    );
    let mut weighted = classes(4, 2);
    weighted.weights = Some(Tensor::from_slice(&[1.0_f32; 4]));
    assert!(compared.loss(&weighted, STEP).unwrap_err().to_string().contains("cannot weigh them"));
    let small = Siamese::new(&(vs.root() / "c"), &settings(loss), [1, 3, 8]).unwrap_err().to_string();
    assert_eq!(
        small,
        "samples with the sides 3 x 8 are too small for 2 blocks, each of which halves them: each side must have at least 4 pixels \
         (any such size fits); give fewer `channels`"
    );
    let views = MetricLoss::NtXent { temperature: 0.5 };
    let views = Siamese::new(&(vs.root() / "e"), &settings(views), [1, 8, 8]).unwrap();
    let pairs = |same: [f32; 3]| {
        let images = || Tensor::rand([3, 1, 8, 8], (Kind::Float, Device::Cpu));
        batch(vec![("a", images()), ("b", images()), ("same", Tensor::from_slice(&same))])
    };
    assert!(views.loss(&pairs([1.0; 3]), STEP).is_ok());
    let error = views.loss(&pairs([1.0, 0.0, 1.0]), STEP).unwrap_err().to_string();
    assert!(error.contains("takes the two of every pair for the same"), "{error}");
    let memory = Some(CrossBatchMemory { size: 8, from: 0 });
    let settings = config::Siamese { memory, ..settings(MetricLoss::Similarity) };
    let error = Siamese::new(&(vs.root() / "d"), &settings, [1, 8, 8]).unwrap_err().to_string();
    assert_eq!(
        error,
        "`model.siamese.memory` does not go with `similarity`: it compares the samples of one batch"
    );
}

/// Distances, positives and negatives of each anchor, from the definition.
struct Reference {
    distances: Vec<Vec<f64>>,
    labels: Vec<i64>,
}

impl Reference {
    fn new(rows: &Tensor, labels: &[i64]) -> Self {
        let n = labels.len();
        let rows = Vec::<Vec<f64>>::try_from(rows.to_kind(Kind::Double)).unwrap();
        let distance = |a: usize, b: usize| {
            rows[a].iter().zip(&rows[b]).map(|(x, y)| (x - y) * (x - y)).sum::<f64>().sqrt()
        };
        let distances = (0..n).map(|a| (0..n).map(|b| distance(a, b)).collect()).collect();
        Self { distances, labels: labels.to_vec() }
    }

    /// Those of the same or of another class, the nearest first.
    fn others(&self, anchor: usize, same: bool) -> Vec<usize> {
        let is = |b: &usize| *b != anchor && (self.labels[*b] == self.labels[anchor]) == same;
        let mut others: Vec<usize> = (0..self.labels.len()).filter(is).collect();
        let distances = &self.distances[anchor];
        others.sort_by(|a, b| distances[*a].total_cmp(&distances[*b]));
        others
    }
}

/// The triplets of an anchor, of its positives and its negatives, the nearest first.
type Choose<'a> = &'a dyn Fn(usize, &[usize], &[usize]) -> Vec<[usize; 3]>;

#[test]
fn mined_triplets_are_those_of_a_search_through_all() {
    let _alone = alone();
    tch::manual_seed(5);
    for (n, of) in [(2, 1), (7, 2), (24, 6), (40, 40), (61, 9)] {
        let rows = Tensor::randn([n, 3], (Kind::Float, Device::Cpu));
        // Classes of unequal sizes, some with one sample.
        let labels: Vec<i64> = (0..n).map(|i| (i * i) % of).collect();
        let reference = Reference::new(&rows, &labels);
        let candidates = Candidates::new(&rows, &Tensor::from_slice(&labels)).unwrap();
        let found = |mining, step| -> Vec<[usize; 3]> {
            let Triplets { anchors, positives, negatives, valid } = mine(&candidates, mining, step).unwrap();
            let list = |x: &Tensor| Vec::<i64>::try_from(x).unwrap();
            let valid: Vec<bool> = valid.try_into().unwrap();
            let (a, p, n) = (list(&anchors), list(&positives), list(&negatives));
            let all = (0..a.len()).filter(|&t| valid[t]);
            let mut all: Vec<_> = all.map(|t| [a[t], p[t], n[t]].map(|i| i as usize)).collect();
            all.sort_unstable();
            all
        };
        let expected = |choose: Choose<'_>| -> Vec<[usize; 3]> {
            let each = |a: usize| {
                let (positives, negatives) = (reference.others(a, true), reference.others(a, false));
                if positives.is_empty() || negatives.is_empty() {
                    return Vec::new();
                }
                choose(a, &positives, &negatives)
            };
            let mut all: Vec<_> = (0..n as usize).flat_map(each).collect();
            all.sort_unstable();
            all
        };
        let at = |list: &[usize], place: f64| list[((list.len() - 1) as f64 * place + 0.5).floor() as usize];
        let hardness = |h: f64| expected(&move |a, p, n| vec![[a, at(p, h), at(n, 1.0 - h)]]);
        assert_eq!(found(Mining::Hard, 0), hardness(1.0));
        assert_eq!(found(Mining::Easy, 0), hardness(0.0));
        let scheduled = Mining::Scheduled { from: 0.0, to: 0.9, steps: 10 };
        for (step, h) in [(0, 0.0), (5, 0.45), (10, 0.9), (1000, 0.9)] {
            assert_eq!(found(scheduled, step), hardness(h), "step {step}");
        }
        for cap in [None, Some(1), Some(3)] {
            let semi_hard = expected(&|a, p, n| {
                let distances = &reference.distances[a];
                let farthest = p.iter().rev().take(cap.unwrap_or(16));
                let negative = |p: &usize| n.iter().find(|n| distances[*p] < distances[**n]).or(n.last());
                farthest.map(|p| [a, *p, *negative(p).unwrap()]).collect()
            });
            assert_eq!(found(Mining::SemiHard { cap }, 0), semi_hard, "{n} samples, cap {cap:?}");
        }
        // All triplets that do not keep the margin.
        let (margin, mut sum, mut count) = (0.7, 0.0, 0.0);
        for a in 0..n as usize {
            for p in reference.others(a, true) {
                for n in reference.others(a, false) {
                    let term = reference.distances[a][p] - reference.distances[a][n] + margin;
                    if 0.0 < term {
                        sum += term;
                        count += 1.0;
                    }
                }
            }
        }
        let (loss, each) = all_triplets(&candidates, margin, Distance::Euclidean).unwrap();
        close("all", &loss, &[sum / f64::max(count, 1.0)], 1e-5);
        close("how many", &each, &[count / n as f64], 1e-6);
    }
}

#[test]
fn an_evaluation_gives_figures_of_embeddings_and_leaves_the_memory_alone() {
    let _alone = alone();
    tch::manual_seed(6);
    let vs = nn::VarStore::new(Device::Cpu);
    let memory = Some(CrossBatchMemory { size: 16, from: 0 });
    let loss = MetricLoss::SupervisedContrastive { temperature: 0.1 };
    let task = Siamese::new(&vs.root(), &config::Siamese { memory, ..settings(loss) }, [1, 8, 8]).unwrap();
    let batch = classes(12, 3);
    let count = || vs.variables()["memory.count"].int64_value(&[0]);
    let losses = task.validate(&batch, STEP).unwrap();
    assert_eq!(count(), 0);
    task.loss(&batch, STEP).unwrap();
    assert_eq!(count(), 12);
    let with: f64 = task.loss(&batch, STEP).unwrap().loss.double_value(&[]);
    assert!((with - losses.loss.double_value(&[])).abs() > 1e-3, "the memory counts in training");
    let rows = losses.rows.into_iter().collect();
    let totals = Totals { step: 1, samples: 12, sums: BTreeMap::new(), rows, metrics: BTreeMap::new() };
    let names: Vec<_> = task.conclude(&totals).metrics.into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        ["auc", "eer", "accuracy", "knn_accuracy", "precision_at_1", "r_precision", "map_at_r"]
    );
    let one = BTreeMap::from([
        ("alike", Tensor::from_slice(&[0.5_f32, 0.25])),
        ("same", Tensor::from_slice(&[1.0_f32, 1.0])),
    ]);
    let conclusion = task.conclude(&Totals { rows: one, ..totals });
    assert!(conclusion.metrics.is_empty());
    assert!(conclusion.warnings[0].starts_with("there are no figures of verification"), "{conclusion:?}");
}

#[test]
fn an_evaluation_mines_as_training_does_at_last() {
    let _alone = alone();
    let mining = Mining::Scheduled { from: 0.0, to: 1.0, steps: 1000 };
    let loss =
        |mining| MetricLoss::Triplet { margin: Margin::Hard(0.2), distance: Distance::Euclidean, mining };
    let batch = classes(12, 3);
    let of = |mining, training| {
        tch::manual_seed(9);
        let vs = nn::VarStore::new(Device::Cpu);
        let task = Siamese::new(&vs.root(), &settings(loss(mining)), [1, 8, 8]).unwrap();
        let losses = if training { task.loss(&batch, STEP) } else { task.validate(&batch, STEP) };
        losses.unwrap().loss.double_value(&[])
    };
    assert!((of(mining, false) - of(Mining::Hard, false)).abs() < 1e-9);
    assert!(of(mining, true) < of(mining, false) - 1e-4, "at step {} triplets are easy", STEP.step);
}

#[test]
fn patches_are_compared_by_the_class_of_their_subject() {
    let _alone = alone();
    tch::manual_seed(4);
    let vs = nn::VarStore::new(Device::Cpu);
    let loss = MetricLoss::SupervisedContrastive { temperature: 0.1 };
    let task = Siamese::new(&vs.root(), &settings(loss), [1, 8, 8, 8]).unwrap();
    let (image, map) = (
        Tensor::rand([6, 1, 8, 8, 8], (Kind::Float, Device::Cpu)),
        Tensor::zeros([6, 1, 8, 8, 8], (Kind::Int64, Device::Cpu)),
    );
    let class = Tensor::from_slice(&[0_i64, 1, 2, 0, 1, 2]);
    let of = |fields| task.loss(&batch(fields), STEP).map(|losses| losses.loss.double_value(&[]));
    let patches = of(vec![
        ("image", image.shallow_clone()),
        ("label", map.shallow_clone()),
        ("class", class.shallow_clone()),
    ]);
    let plain = of(vec![("image", image.shallow_clone()), ("label", class)]);
    assert!((patches.unwrap() - plain.unwrap()).abs() < 1e-9);
    let error = of(vec![("image", image), ("label", map)]).unwrap_err().to_string();
    assert_eq!(error, "the field `label` has the shape [6, 1, 8, 8, 8]; expected [6]");
}

#[test]
fn a_scatter_shows_each_label_in_its_colour() {
    let places = [[-3.0, -0.5], [3.0, 0.5], [3.0, -0.5], [-3.0, 0.5]];
    let picture = scatter(&places, &[0, 1, 0, 1]);
    assert_eq!(picture.shape()[..2], [1, 3]);
    let mut colours: Vec<[u32; 3]> = Vec::new();
    for (y, x) in (0..picture.shape()[2]).flat_map(|y| (0..picture.shape()[3]).map(move |x| (y, x))) {
        let colour = [0, 1, 2].map(|channel| picture[[0, channel, y, x]].to_bits());
        if !colours.contains(&colour) {
            colours.push(colour);
        }
    }
    assert_eq!(colours.len(), 3, "white and one colour for each label");
}

/// Stripes of 4 pixels in an image of 32 x 32, upright or lying.
fn stripes(upright: bool) -> Tensor {
    let pixel = |at: usize| {
        let along = if upright { at % 32 } else { at / 32 };
        if along / 4 % 2 == 0 { 1.0_f32 } else { 0.0 }
    };
    Tensor::from_slice(&(0..32 * 32).map(pixel).collect::<Vec<_>>()).view([1, 1, 32, 32])
}

#[test]
fn edges_of_drawings_have_directions_and_an_embedding_can_be_a_map_with_a_histogram_beside_it() {
    let store = nn::VarStore::new(Device::Cpu);
    let settings = config::Encoder {
        orientations: Some(4),
        further: vec![5],
        pool: Pool::Map,
        histogram: Some(0.5),
        ..encoder_settings()
    };
    let blocks = settings.channels.len();
    let encoder = Encoder::new(&store.root(), &settings, 3, true, [1, 32, 32]).unwrap();
    // Orientations halve the sides, and so does every block.
    let places = (32_usize >> (1 + blocks)).pow(2);
    assert_eq!((encoder.numbers(true), encoder.numbers(false)), (3 * places, 3 * places + 8 * 13 * 13));
    let encode = |drawing: &Tensor, training| {
        let _guard = tch::no_grad_guard();
        encoder.encode(drawing, training).unwrap()
    };
    let (upright, lying) = (stripes(true), stripes(false));
    assert_eq!(encode(&upright, true).size(), [1, 3 * places as i64]);
    let embedded = encode(&upright, false);
    let length = |part: Tensor| part.square().sum(Kind::Float).sqrt().double_value(&[]);
    assert!((length(embedded.narrow(1, 0, 3 * places as i64)) - 1.0).abs() < 1e-4);
    let histogram = |drawing: &Tensor| encode(drawing, false).narrow(1, 3 * places as i64, 8 * 13 * 13);
    assert!((length(histogram(&upright)) - 0.5).abs() < 1e-4);
    // The edges of upright stripes run along y: all their gradients have direction 0, those of lying ones the fifth of eight.
    for (drawing, direction) in [(&upright, 0), (&lying, 4)] {
        let shares =
            histogram(drawing).view([8, 13 * 13]).square().sum_dim_intlist(1_i64, false, Kind::Float);
        let inner = shares.double_value(&[direction]) / 0.25;
        // The border of the image has edges of its own.
        assert!(0.8 < inner, "{inner} of direction {direction}");
    }
    assert_eq!(encode(&upright, false), encode(&upright, false));
    let refused = |settings: config::Encoder, sample: &[usize]| {
        Encoder::new(&nn::VarStore::new(Device::Cpu).root(), &settings, 3, true, sample)
            .unwrap_err()
            .to_string()
    };
    assert!(refused(settings.clone(), &[3, 32, 32]).contains("one channel"));
    assert!(
        refused(config::Encoder { histogram: Some(-1.0), ..settings.clone() }, &[1, 32, 32])
            .contains("histogram")
    );
    let small = config::Encoder { orientations: None, ..settings };
    assert!(refused(small, &[1, 27, 32]).contains("28 x 28"));
}
