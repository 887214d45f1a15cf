"""Writes optimizers.json: what PyTorch's optimizers make of the same parameters and gradients."""
import json
import pathlib

import torch

torch.manual_seed(0)
torch.set_num_threads(1)
SHAPES = {"a": (3, 4), "b": (5,)}
STEPS = 12
start = {name: torch.randn(shape) for name, shape in SHAPES.items()}
gradients = [{name: torch.randn(shape) * 10 ** torch.randn(1).item() for name, shape in SHAPES.items()} for _ in range(STEPS)]

CASES = {
    "adam": (torch.optim.Adam, {"lr": 0.01}, {"adam": {"lr": 0.01}}),
    "adam_decay": (
        torch.optim.Adam,
        {"lr": 0.003, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1},
        {"adam": {"lr": 0.003, "betas": [0.8, 0.95], "eps": 1e-6, "weight_decay": 0.1}},
    ),
    "adamw": (torch.optim.AdamW, {"lr": 0.01, "weight_decay": 0.1}, {"adamw": {"lr": 0.01, "weight_decay": 0.1}}),
    "sgd": (torch.optim.SGD, {"lr": 0.1}, {"sgd": {"lr": 0.1}}),
    "sgd_momentum": (
        torch.optim.SGD,
        {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.05},
        {"sgd": {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.05}},
    ),
    "sgd_nesterov": (
        torch.optim.SGD,
        {"lr": 0.02, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05},
        {"sgd": {"lr": 0.02, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05}},
    ),
}


def flat(tensors):
    return {name: tensor.flatten().tolist() for name, tensor in tensors.items()}


def train(optimizer_class, settings, clip=None):
    parameters = {name: value.clone().requires_grad_() for name, value in start.items()}
    # The plain implementation, one operation at a time.
    optimizer = optimizer_class(parameters.values(), foreach=False, **settings)
    for step in gradients:
        for name, parameter in parameters.items():
            parameter.grad = step[name].clone()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(parameters.values(), clip)
        optimizer.step()
    return flat({name: parameter.detach() for name, parameter in parameters.items()})


cases = {name: {"settings": ours, "end": train(cls, theirs)} for name, (cls, theirs, ours) in CASES.items()}
cases["sgd_clipped"] = {"settings": {"sgd": {"lr": 0.1}}, "clip": 2.5, "end": train(torch.optim.SGD, {"lr": 0.1}, clip=2.5)}
out = {"shapes": SHAPES, "start": flat(start), "gradients": [flat(step) for step in gradients], "cases": cases}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(out) + "\n")
