"""Makes mining.json: triplets and draws of a small batch by pytorch-metric-learning 2.9.0.

python crates/pairs/tests/oracle/mining.py
"""
import json
from pathlib import Path

import numpy as np
import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.miners import BatchHardMiner, DistanceWeightedMiner, TripletMarginMiner
from pytorch_metric_learning.utils.loss_and_miner_utils import get_all_triplets_indices

rng = np.random.default_rng(9)
torch.manual_seed(1)
labels = np.array([i % 7 for i in range(28)] + [50, 51])
values = (rng.normal(size=(30, 6)) + 0.5 * rng.normal(size=(52, 6))[labels]).astype(np.float32)
e, l = torch.tensor(values), torch.tensor(labels)
plain = LpDistance(normalize_embeddings=False)

a, p, n = BatchHardMiner(distance=plain)(e, l)
hard = sorted(zip(a.tolist(), p.tolist(), n.tolist()))
a, p, n = TripletMarginMiner(margin=0.2, type_of_triplets="semihard", distance=plain)(e, l)
distances = plain(e).numpy()
best = {}
for i, j, k in zip(a.tolist(), p.tolist(), n.tolist()):
    if (i, j) not in best or distances[i, k] < distances[i, best[i, j]]:
        best[i, j] = k
semi = sorted((i, j, k) for (i, j), k in best.items())

miner = DistanceWeightedMiner(cutoff=0.5, nonzero_loss_cutoff=1.4)
counts = np.zeros(30, dtype=int)
for _ in range(3000):
    a, p, n = miner(e, l)
    counts += np.bincount(n[a == 0].numpy(), minlength=30)
unit = values.astype(np.float64) / np.linalg.norm(values.astype(np.float64), axis=1, keepdims=True)
negative = labels != labels[0]
Path(__file__).with_suffix(".json").write_text(json.dumps({
    "values": values.ravel().tolist(), "labels": labels.tolist(), "batch_hard": hard, "semi_hard_nearest": semi,
    "all": len(get_all_triplets_indices(l)[0]),
    "distance_weighted": {
        "distances": np.linalg.norm(unit[negative] - unit[0], axis=1).tolist(), "counts": counts[negative].tolist(),
    },
}) + "\n")
