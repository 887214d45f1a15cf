#!/usr/bin/env python3
"""The VAE of configs/vae-fashion.yaml in PyTorch: the figure to compare with.

    python vae_fashion.py DATA [--epochs 10] [--threads 2] [--seed 0]

784-400-20-400-784 with ReLU, Bernoulli likelihood, Adam 1e-3, batches of 128, on Fashion-MNIST in DATA (the four IDX files).
Prints the test -ELBO (nats per sample, one draw of the latent code each) and the seconds of every epoch, as JSON lines.
"""
import argparse
import gzip
import json
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def images(path):
    with gzip.open(path) as file:
        return torch.from_numpy(np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784).copy())


class Vae(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.mean, self.log_variance = nn.Linear(784, 400), nn.Linear(400, 20), nn.Linear(400, 20)
        self.up, self.out = nn.Linear(20, 400), nn.Linear(400, 784)

    def loss(self, x):
        h = F.relu(self.hidden(x))
        mean, log_variance = self.mean(h), self.log_variance(h)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        logits = self.out(F.relu(self.up(z)))
        reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
        kl = -0.5 * torch.sum(1 + log_variance - mean**2 - log_variance.exp()) / len(x)
        return reconstruction, kl


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    train = images(f"{args.data}/train-images-idx3-ubyte.gz")
    test = images(f"{args.data}/t10k-images-idx3-ubyte.gz").float() / 255
    model = Vae()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(args.epochs):
        start = time.perf_counter()
        order = torch.randperm(len(train))
        for at in range(0, len(train), 128):
            x = train[order[at:at + 128]].float() / 255
            optimizer.zero_grad()
            reconstruction, kl = model.loss(x)
            (reconstruction + kl).backward()
            optimizer.step()
        seconds = time.perf_counter() - start
        with torch.no_grad():
            parts = [(len(x), *model.loss(x)) for x in test.split(128)]
        reconstruction = sum(n * float(r) for n, r, _ in parts) / len(test)
        kl = sum(n * float(k) for n, _, k in parts) / len(test)
        print(json.dumps(dict(epoch=epoch, seconds=round(seconds, 2), test_negative_elbo=round(reconstruction + kl, 3),
                              test_reconstruction=round(reconstruction, 3), test_kl=round(kl, 3))), flush=True)


main()
