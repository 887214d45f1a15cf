"""Writes vae.json: likelihoods, divergences, and what networks with given weights put out, computed by PyTorch."""
import json
import pathlib

import torch
from torch import nn
from torch.distributions import Bernoulli, Normal, kl_divergence

torch.manual_seed(1)
torch.set_num_threads(1)
N, SHAPE, LATENT = 3, (2, 7, 5), 4

mean, log_variance = torch.randn(N, LATENT), torch.randn(N, LATENT)
images, decoded = torch.rand(N, *SHAPE), 2 * torch.randn(N, *SHAPE)
posterior = Normal(mean.double(), (0.5 * log_variance.double()).exp())
divergence = kl_divergence(posterior, Normal(torch.zeros(()).double(), torch.ones(()).double()))


def total(log_probability):
    return (-log_probability.flatten(1).sum(1)).tolist()


x, y = images.double(), decoded.double()
likelihoods = {
    # Grey values are means of bits: the cross-entropy, which is Bernoulli's logarithm extended to between 0 and 1.
    "bernoulli": total(Bernoulli(logits=y, validate_args=False).log_prob(x)),
    "gaussian_1": total(Normal(y, 1.0).log_prob(x)),
    "gaussian_0.3": total(Normal(y, 0.3).log_prob(x)),
}


def fill(module):
    """Weights that are exact in binary, the same in any language: ((5 i + 3 k) mod 7 - 3) / 16 for element i of parameter k."""
    for k, parameter in enumerate(module.parameters()):
        i = torch.arange(parameter.numel())
        parameter.data = (((5 * i + 3 * k) % 7 - 3) / 16).reshape(parameter.shape).float()
    return module


class Flat(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = fill(nn.Sequential(nn.Flatten(), nn.Linear(70, 6), nn.SiLU(), nn.Linear(6, 5), nn.SiLU(), nn.Linear(5, 8)))
        self.decoder = fill(nn.Sequential(nn.Linear(4, 5), nn.SiLU(), nn.Linear(5, 6), nn.SiLU(), nn.Linear(6, 70), nn.Unflatten(1, SHAPE)))


class Convolutional(nn.Module):
    """7 x 5 pixels become 3 x 2, then 1 x 1."""

    def __init__(self):
        super().__init__()
        self.encoder = fill(
            nn.Sequential(nn.Conv2d(2, 3, 4, 2, 1), nn.ReLU(), nn.Conv2d(3, 4, 4, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(4, 8))
        )
        self.decoder = fill(
            nn.Sequential(
                nn.Linear(4, 4), nn.ReLU(), nn.Unflatten(1, (4, 1, 1)),
                nn.ConvTranspose2d(4, 3, 4, 2, 1, output_padding=(1, 0)), nn.ReLU(),
                nn.ConvTranspose2d(3, 2, 4, 2, 1, output_padding=(1, 1)),
            )
        )


class Volumes(nn.Module):
    """7 x 4 x 5 voxels (z, y, x) become 3 x 2 x 2, then 1 x 1 x 1."""

    def __init__(self):
        super().__init__()
        self.encoder = fill(
            nn.Sequential(nn.Conv3d(2, 3, 4, 2, 1), nn.ReLU(), nn.Conv3d(3, 4, 4, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(4, 8))
        )
        self.decoder = fill(
            nn.Sequential(
                nn.Linear(4, 4), nn.ReLU(), nn.Unflatten(1, (4, 1, 1, 1)),
                nn.ConvTranspose3d(4, 3, 4, 2, 1, output_padding=(1, 0, 0)), nn.ReLU(),
                nn.ConvTranspose3d(3, 2, 4, 2, 1, output_padding=(1, 0, 1)),
            )
        )


networks = {}
for name, network in {"hidden": Flat(), "channels": Convolutional()}.items():
    with torch.no_grad():
        networks[name] = {
            "encoded": network.encoder(images).flatten().tolist(),
            "decoded": network.decoder(mean).flatten().tolist(),
        }

VOLUME = (2, 7, 4, 5)
volumes = torch.rand(N, *VOLUME)
network = Volumes()
with torch.no_grad():
    encoded, volumes_decoded = network.encoder(volumes), network.decoder(mean)
    # The bound of a code given, not drawn, so that it is one number in any language.
    posterior = [half.double() for half in encoded.chunk(2, 1)]
    divergences = kl_divergence(Normal(posterior[0], (0.5 * posterior[1]).exp()), Normal(torch.zeros(()).double(), torch.ones(()).double()))
    x, y = volumes.double(), network.decoder(encoded.chunk(2, 1)[0]).double()
    elbo = {
        "bernoulli": (-divergences.sum(1) + Bernoulli(logits=y, validate_args=False).log_prob(x).flatten(1).sum(1)).tolist(),
        "gaussian_0.3": (-divergences.sum(1) + Normal(y, 0.3).log_prob(x).flatten(1).sum(1)).tolist(),
    }

out = {
    "n": N, "shape": SHAPE, "latent": LATENT,
    "mean": mean.flatten().tolist(), "log_variance": log_variance.flatten().tolist(),
    "images": images.flatten().tolist(), "decoded": decoded.flatten().tolist(),
    "divergence": divergence.flatten().tolist(), "likelihoods": likelihoods, "networks": networks,
    "volumes": {
        "shape": VOLUME, "voxels": volumes.flatten().tolist(),
        "encoded": encoded.flatten().tolist(), "decoded": volumes_decoded.flatten().tolist(), "elbo": elbo,
    },
}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(out) + "\n")
