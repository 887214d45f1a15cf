#!/usr/bin/env python3
"""Writes tests/fixtures/intensity.json: patches, records of intensity transforms, and what NumPy and SciPy make of them in f64.

Run with NumPy and SciPy: python intensity.py > ../fixtures/intensity.json
"""
import json
import numpy as np
from scipy import ndimage

rng = np.random.default_rng(20261124)


def patch(size, low=-2.0, high=3.0):
    x, y, z = size
    a = rng.uniform(low, high, (2, z, y, x))
    a = ndimage.gaussian_filter(a, (0, 0.6, 0.6, 0.6))
    return a.astype(np.float32)


SIZES = {"box": [7, 6, 5], "plane": [9, 8, 1], "line": [1, 1, 6]}
SPACING = [1.0, 0.8, 2.0]
PATCHES = {k: patch(v) for k, v in SIZES.items()}


def per_channel(f):
    """f(x[z, y, x] f64, parameter) for the channels whose parameter is not None."""
    def g(a, channels):
        return np.stack([x if p is None else f(x, p) for x, p in zip(a, channels)])
    return g


def blur(x, sigma):
    sigma = [s if n > 1 else 0 for s, n in zip(sigma[::-1], x.shape)]
    return ndimage.gaussian_filter(x, sigma, mode="reflect", truncate=4.0)


def sharpen(x, p):
    first = blur(x, p["sigma"])
    return first + p["amount"] * (first - blur(first, p["detail"]))


def gamma(r):
    def f(x, g):
        y = -x if r["invert"] else x
        if r["of"] == "range":
            low, extent = y.min(), np.ptp(y)
            y = ((y - low) / extent) ** g * extent + low
        else:
            y = np.sign(y) * np.abs(y) ** g
        y = -y if r["invert"] else y
        if r["retain_statistics"]:
            y = (y - y.mean()) / y.std() * x.std() + x.mean()
        return y
    return lambda a: per_channel(f)(a, r["channels"])


def contrast(r):
    def f(x, k):
        y = (x - x.mean()) * k + x.mean()
        return np.clip(y, x.min(), x.max()) if r["preserve_range"] else y
    return lambda a: per_channel(f)(a, r["channels"])


def factor(r):
    def f(x, k):
        return x * k + (x.mean() * (1 - k) if r["keep_mean"] else 0)
    return lambda a: per_channel(f)(a, r["channels"])


def shift(r):
    def f(x, o):
        return x + o * (x.std() if r["deviations"] else 1)
    return lambda a: per_channel(f)(a, r["channels"])


def coarse_line(x, axis, coarse):
    fine = x.shape[axis]
    if coarse >= fine:
        return x
    middle = (np.arange(coarse) + 0.5) * fine / coarse  # in voxels from the edge
    x = np.take(x, np.floor(middle).astype(int), axis)
    at = (np.arange(fine) + 0.5) * coarse / fine - 0.5
    return np.apply_along_axis(lambda line: np.interp(at, np.arange(coarse), line), axis, x)


def rounded(x):
    return max(1, int(np.floor(x + 0.5)))


def low_resolution(r):
    def f(x, zoom):
        for axis in range(3):
            x = coarse_line(x, axis, rounded(x.shape[axis] * zoom))
        return x
    return lambda a: per_channel(f)(a, r["channels"])


def some(f):
    return lambda r: lambda a: np.stack([f(x, r) if c else x for x, c in zip(a, r["channels"])])


@some
def anisotropy(x, r):
    axis = 2 - r["axis"]
    return coarse_line(x, axis, rounded(x.shape[axis] / r["factor"]))


def places(n):
    return np.linspace(-1, 1, n) if n > 1 else np.zeros(1)


@some
def bias_field(a, r):
    z, y, x = np.meshgrid(*map(places, a.shape), indexing="ij")
    n, c, total = r["order"], iter(r["coefficients"]), 0
    for i in range(n + 1):
        for j in range(n + 1 - i):
            for k in range(n + 1 - i - j):
                total = total + next(c) * x**i * y**j * z**k
    return a * np.exp(total)


MAKE = {
    "low_resolution": low_resolution, "anisotropy": anisotropy, "bias_field": bias_field,
    "blur": lambda r: lambda a: per_channel(blur)(a, r["channels"]),
    "sharpen": lambda r: lambda a: per_channel(sharpen)(a, r["channels"]),
    "gamma": gamma, "contrast": contrast, "brightness": factor, "scale_intensity": factor, "shift_intensity": shift,
}


def g(channels, of="range", invert=False, retain=False):
    return {"gamma": dict(channels=channels, of=of, invert=invert, retain_statistics=retain)}


RECORDS = [
    {"blur": {"channels": [[0.7, 1.0, 2.3], None]}},
    {"blur": {"channels": [[0.5, 0.5, 0.5], [3.0, 0.0, 1.5]]}},
    {"sharpen": {"channels": [{"sigma": [0.6, 0.8, 1.0], "detail": [0.5, 0.5, 0.7], "amount": 12.5}, None]}},
    g([0.7, 1.6]), g([None, 1.3], invert=True), g([0.8, 1.4], retain=True), g([1.5, 0.75], invert=True, retain=True),
    g([0.8, 1.3], of="size"), g([1.2, None], of="size", retain=True),
    {"contrast": {"channels": [0.75, 1.25], "preserve_range": True}},
    {"contrast": {"channels": [None, 1.25], "preserve_range": False}},
    {"brightness": {"channels": [0.9, 1.1], "keep_mean": False}},
    {"scale_intensity": {"channels": [1.2, 1.2], "keep_mean": True}},
    {"shift_intensity": {"channels": [0.125, None], "deviations": False}},
    {"shift_intensity": {"channels": [0.125, -0.5], "deviations": True}},
    {"low_resolution": {"channels": [0.5, None]}}, {"low_resolution": {"channels": [0.72, 0.3]}},
    {"anisotropy": {"axis": 0, "factor": 2.5, "channels": [True, True]}},
    {"anisotropy": {"axis": 1, "factor": 1.7, "channels": [True, False]}},
    {"anisotropy": {"axis": 2, "factor": 5.0, "channels": [True, True]}},
    {"bias_field": {"order": 3, "coefficients": [float(c) for c in rng.uniform(-0.5, 0.5, 20).round(3)], "channels": [True, True]}},
    {"bias_field": {"order": 1, "coefficients": [0.25, -0.5, 0.75, 1.0], "channels": [False, True]}},
]

cases = []
for record in RECORDS:
    (key, r), = record.items()
    only = r.pop("only", None)
    for name, a in PATCHES.items():
        if only and name != only:
            continue
        y = MAKE[key](r)(a.astype(np.float64))
        assert y.shape == a.shape and np.isfinite(y).all(), record
        cases.append(dict(patch=name, record=record, expected=[float(f"{v:.7g}") for v in y.ravel()]))
print(json.dumps(dict(
    patches={k: dict(size=SIZES[k], spacing=SPACING, voxels=[float(v) for v in a.ravel()]) for k, a in PATCHES.items()},
    cases=cases)))
