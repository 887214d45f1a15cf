"""Makes metrics.json: metrics of small sets by scikit-learn, SciPy, NumPy and pytorch-metric-learning.

python crates/pairs/tests/oracle/metrics.py   (scikit-learn 1.9.1, SciPy, NumPy 2.4.6, pytorch-metric-learning 2.9.0)
"""
import json
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from pytorch_metric_learning.distances import CosineSimilarity, LpDistance
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid, NearestNeighbors

rng = np.random.default_rng(4)


def verification(name, sense, values, same):
    values = values.astype(np.float32)
    score = -values if sense == "distance" else values
    fpr, tpr, thresholds = roc_curve(same, score, drop_intermediate=False)
    eer = brentq(lambda x: 1.0 - x - interp1d(fpr, tpr)(x), 0.0, 1.0, xtol=1e-15)
    accuracies = [np.mean((score >= t) == same) for t in thresholds]
    return {
        "name": name, "sense": sense, "values": values.tolist(), "same": same.tolist(),
        "auc": roc_auc_score(same, score), "eer": eer, "best_accuracy": max(accuracies),
        "tpr_at_0.1": tpr[fpr <= 0.1].max(),
    }


def blob(n, classes, dims, extra):
    centres = rng.normal(size=(classes, dims))
    labels = rng.integers(0, classes, n)
    labels[:3] = classes  # a class of its own
    if extra:
        labels[3:5] = 90 + np.arange(2)  # lone ones
    values = rng.normal(size=(n, dims)) * 0.9 + np.vstack([centres, np.zeros((200, dims))])[labels]
    return values.astype(np.float32), labels


out = {"verification": []}
same = rng.random(80) < 0.4
d = rng.normal(size=80) + np.where(same, 0.0, 1.2)
out["verification"].append(verification("continuous distances", "distance", np.abs(d), same))
out["verification"].append(verification("tied distances", "distance", np.round(np.abs(d) * 3), same))
out["verification"].append(verification("tied scores", "score", np.round(-d * 2) / 4, same))
out["verification"].append(verification("inverse scores", "score", d, same))
out["verification"].append(verification("separable", "distance", np.where(same, 1.0, 2.0) + d * 0.01, same))
out["verification"].append(verification("one value", "score", np.full(80, 0.5), same))

train, train_labels = blob(60, 5, 6, False)
# The centres of the test set are those of the train set: one draw of both.
both, both_labels = blob(110, 5, 6, True)
test, test_labels, train, train_labels = both[:50], both_labels[:50], both[50:], both_labels[50:]
for name, values, labels in [("train", train, train_labels), ("test", test, test_labels)]:
    out[name] = {"values": values.ravel().tolist(), "dims": 6, "labels": labels.tolist()}

METRIC = {"euclidean": "euclidean", "squared_euclidean": "sqeuclidean", "cosine": "cosine"}
out["neighbours"] = []
for among in ["train", "itself"]:
    for distance in METRIC:
        for k in [1, 4, 7]:
            reference, labels = (train, train_labels) if among == "train" else (test, test_labels)
            nn = NearestNeighbors(n_neighbors=k, metric=METRIC[distance], algorithm="brute").fit(reference)
            indices = nn.kneighbors(test if among == "train" else None, return_distance=False)
            predicted = []
            for row in labels[indices]:
                votes = Counter(row.tolist())
                most = max(votes.values())
                predicted.append(next(c for c in row.tolist() if votes[c] == most))
            if among == "train":
                sk = KNeighborsClassifier(k, metric=METRIC[distance], algorithm="brute").fit(train, train_labels).predict(test)
                unique = np.array([list(Counter(r.tolist()).values()).count(max(Counter(r.tolist()).values())) == 1 for r in labels[indices]])
                assert (sk[unique] == np.array(predicted)[unique]).all()
            out["neighbours"].append({
                "among": among, "distance": distance, "k": k, "classes": predicted,
                "accuracy": float(np.mean(np.array(predicted) == test_labels)),
            })

out["retrieval"] = []
for among in ["train", "itself"]:
    for distance in ["euclidean", "cosine"]:
        knn = CustomKNN(LpDistance(normalize_embeddings=False) if distance == "euclidean" else CosineSimilarity())
        calculator = AccuracyCalculator(
            include=("precision_at_1", "r_precision", "mean_average_precision_at_r"), knn_func=knn,
            device=torch.device("cpu"))
        q, ql = torch.tensor(test), torch.tensor(test_labels)
        if among == "train":
            got = calculator.get_accuracy(q, ql, torch.tensor(train), torch.tensor(train_labels))
            lone = sum(l not in set(train_labels.tolist()) for l in test_labels.tolist())
        else:
            got = calculator.get_accuracy(q, ql)
            lone = sum(test_labels.tolist().count(l) == 1 for l in test_labels.tolist())
        out["retrieval"].append({
            "among": among, "distance": distance, "without_match": lone,
            "precision_at_1": float(got["precision_at_1"]), "r_precision": float(got["r_precision"]),
            "map_at_r": float(got["mean_average_precision_at_r"]),
        })

out["classify"] = []


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


for distance in ["euclidean", "cosine"]:
    x, y = (train, test) if distance == "euclidean" else (unit(train), unit(test))
    classes = np.unique(train_labels)
    means = np.stack([x[train_labels == c].mean(0) for c in classes])
    if distance == "cosine":
        means = unit(means)
    predicted = classes[np.linalg.norm(y[:, None] - means[None], axis=-1).argmin(1)]
    if distance == "euclidean":
        assert (predicted == NearestCentroid().fit(train, train_labels).predict(test)).all()
    out["classify"].append({"distance": distance, "prototype": "mean", "classes": predicted.tolist()})
    nearest = train_labels[np.linalg.norm(y[:, None] - x[None], axis=-1).argmin(1)]
    out["classify"].append({"distance": distance, "prototype": "nearest", "classes": nearest.tolist()})

pca = PCA(n_components=3, svd_solver="full").fit(train.astype(np.float64))
signs = np.sign(pca.components_[np.arange(3), np.abs(pca.components_).argmax(1)])
out["pca"] = {
    "components": (pca.components_ * signs[:, None]).ravel().tolist(),
    "explained": pca.explained_variance_ratio_.tolist(),
    "projected": (pca.transform(train.astype(np.float64)) * signs).ravel().tolist(),
}

Path(__file__).with_suffix(".json").write_text(json.dumps(out) + "\n")
