"""Writes siamese.json: losses of embeddings and their gradients, by pytorch-metric-learning and PyTorch in double precision, and what encoders with
given weights put out."""
import json
import pathlib

import torch
from pytorch_metric_learning import distances, losses, miners, reducers
from torch import nn
from torch.nn import functional as F

torch.manual_seed(4)
torch.set_num_threads(1)
N, D = 12, 5
# Exact in single precision. Four classes; one of them has one sample, which is no anchor.
raw = (torch.randn(N, D) * 64).round() / 64
labels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 3])
other = (torch.randn(N, D) * 64).round() / 64
third = (torch.randn(N, D) * 64).round() / 64
same = torch.tensor([1, 0, 1, 1, 0, 0, 1, 0, 0, 1, 1, 0])
head = (torch.randn(D) * 64).round() / 64
BIAS = 0.25
out = {
    "n": N, "d": D, "embeddings": raw.flatten().tolist(), "other": other.flatten().tolist(), "third": third.flatten().tolist(),
    "labels": labels.tolist(), "same": same.tolist(), "head": head.tolist(), "bias": BIAS, "losses": {},
}


def record(name, loss, inputs):
    gradients = torch.autograd.grad(loss, inputs, retain_graph=True)
    out["losses"][name] = {"loss": loss.item(), "gradients": [g.flatten().tolist() for g in gradients]}


def leaf(x):
    return x.double().requires_grad_()


unit = F.normalize
euclidean = distances.LpDistance(normalize_embeddings=False, p=2, power=1)
squared = distances.LpDistance(normalize_embeddings=False, p=2, power=2)
dot = distances.DotProductSimilarity(normalize_embeddings=False)
mean = reducers.MeanReducer()

# Pairs and triplets.
a, b, c = leaf(raw), leaf(other), leaf(third)
d = F.pairwise_distance(a, b, eps=0)
record("contrastive", (same * d**2 + (1 - same) * (2.5 - d).clamp_min(0) ** 2).mean(), [a, b])
record("triplet", F.triplet_margin_loss(a, b, c, margin=0.5, eps=0), [a, b, c])
difference = F.pairwise_distance(a, b, eps=0) - F.pairwise_distance(a, c, eps=0)
record("triplet_soft", F.soft_margin_loss(-difference, torch.ones(N).double()), [a, b, c])
logits = (a - b).abs() @ head.double() + BIAS
record("similarity", F.binary_cross_entropy(torch.sigmoid(logits), same.double()), [a, b])
views = torch.cat([unit(a), unit(b)])
record("nt_xent", losses.NTXentLoss(temperature=0.5, distance=dot)(views, torch.arange(N).repeat(2)), [a, b])

# Images with labels.
x = leaf(raw)
u = unit(x)
record("supervised_contrastive", losses.SupConLoss(temperature=0.1, distance=dot)(u, labels), [x])
plain = losses.MultiSimilarityLoss(alpha=2, beta=50, base=0.5, distance=dot)
record("multi_similarity", plain(u, labels), [x])
mined = miners.MultiSimilarityMiner(epsilon=0.1, distance=dot)
record("multi_similarity_mined", plain(u, labels, mined(u, labels)), [x])
# The pairs of the contrastive loss are counted apart: positives by their mean, negatives by the mean of those within the margin.
pair = losses.ContrastiveLoss(pos_margin=0, neg_margin=1e9, distance=squared, reducer=reducers.DoNothingReducer())(x, labels)
positive = pair["pos_loss"]["losses"].mean()
distance = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")[labels[:, None] != labels[None]]
short = (2.5 - distance)[distance < 2.5]
record("contrastive_in_batch", positive + (short**2).mean(), [x])
record("triplet_all", losses.TripletMarginLoss(margin=0.5, distance=euclidean)(x, labels), [x])
record("triplet_all_squared", losses.TripletMarginLoss(margin=0.5, distance=squared)(x, labels), [x])
hard = miners.BatchHardMiner(distance=euclidean)(x, labels)
record("triplet_hard", losses.TripletMarginLoss(margin=0.5, distance=euclidean, reducer=mean)(x, labels, hard), [x])
easy = miners.BatchEasyHardMiner(pos_strategy="easy", neg_strategy="easy", distance=euclidean)(x, labels)
record("triplet_easy", losses.TripletMarginLoss(margin=5, distance=euclidean, reducer=mean)(x, labels, easy), [x])

# Prototypes of the first sample of each class, of the first two.
for shots in [1, 2]:
    classes = [c for c in range(4)]
    support = [torch.nonzero(labels == c).flatten()[:shots] for c in classes]
    queries = [q for c in classes for q in torch.nonzero(labels == c).flatten()[shots:].tolist()]
    prototypes = torch.stack([x[s].mean(0) for s in support])
    logits = -torch.cdist(x[queries], prototypes) ** 2 / 2.0
    record(f"prototypical_{shots}", F.cross_entropy(logits, labels[queries]), [x])
    out["losses"][f"prototypical_{shots}"]["accuracy"] = (logits.argmax(1) == labels[queries]).double().mean().item()


def fill(module):
    """Weights that are exact in binary, the same in any language: ((5 i + 3 k) mod 7 - 3) / 16 for element i of parameter k; scales are 1 more."""
    for k, (name, parameter) in enumerate(module.named_parameters()):
        i = torch.arange(parameter.numel())
        parameter.data = (((5 * i + 3 * k) % 7 - 3) / 16).reshape(parameter.shape).float() + (1 if name.endswith("scale.weight") else 0)
    return module


class Scale(nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def forward(self, x):
        return self.scale(x)


def norm(kind, channels, axes):
    if kind == "group":
        return Scale(nn.GroupNorm(2, channels) if channels == 2 else nn.GroupNorm(6, channels))
    if kind == "batch":
        return Scale((nn.BatchNorm2d if axes == 2 else nn.BatchNorm3d)(channels))
    return nn.Identity()


class Block(nn.Module):
    def __init__(self, start, end, axes, residual, kind, stride):
        super().__init__()
        conv = nn.Conv2d if axes == 2 else nn.Conv3d
        pool = nn.MaxPool2d if axes == 2 else nn.MaxPool3d
        mean = nn.AvgPool2d if axes == 2 else nn.AvgPool3d
        bias = kind == "none"
        first = conv(start, end, 4, 2, 1, bias=bias) if stride else nn.Sequential(conv(start, end, 3, 1, 1, bias=bias), pool(2))
        # In the order that parameters are counted in.
        self.first, self.first_norm = first, norm(kind, end, axes)
        if residual:
            self.second, self.second_norm = conv(end, end, 3, 1, 1, bias=bias), norm(kind, end, axes)
            self.around = nn.Sequential(mean(2), conv(start, end, 1))
        self.residual = residual

    def forward(self, x):
        y = F.silu(self.first_norm(self.first(x)))
        return F.silu(self.second_norm(self.second(y)) + self.around(x)) if self.residual else y


class Encoder(nn.Module):
    def __init__(self, shape, residual, kind, stride, flatten):
        super().__init__()
        axes = len(shape) - 1
        self.blocks = nn.Sequential(Block(shape[0], 2, axes, residual, kind, stride), Block(2, 6, axes, residual, kind, stride))
        places = torch.tensor([side // 4 for side in shape[1:]]).prod().item() if flatten else 1
        self.flatten, self.embedding = flatten, nn.Linear(6 * places, 4)

    def forward(self, x):
        y = self.blocks(x).flatten(2)
        return F.normalize(self.embedding(y.flatten(1) if self.flatten else y.mean(-1)))


out["encoders"] = []
for shape, residual, kind, stride, flatten in [
    ((2, 9, 7), False, "group", False, False),
    ((2, 9, 7), True, "group", False, True),
    ((2, 9, 7), True, "none", True, False),
    ((1, 8, 10), False, "batch", False, True),
    ((1, 5, 8, 4), True, "group", False, False),
    ((1, 5, 8, 4), False, "none", True, True),
]:
    samples = torch.rand(3, *shape)
    encoder = fill(Encoder(shape, residual, kind, stride, flatten))
    with torch.no_grad():
        training = encoder.train()(samples)
        evaluation = encoder.eval()(samples)  # with the running statistics after one step
    out["encoders"].append({
        "shape": shape, "residual": residual, "norm": kind, "halve": "stride" if stride else "pool",
        "pool": "flatten" if flatten else "mean", "samples": samples.flatten().tolist(),
        "training": training.flatten().tolist(), "evaluation": evaluation.flatten().tolist(),
    })

pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(out) + "\n")
