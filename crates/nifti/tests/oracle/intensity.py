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


def histogram_shift(r):
    def f(x, curve):
        y = (x - x.min()) / np.ptp(x)
        return np.interp(y, np.linspace(0, 1, len(curve)), curve) * np.ptp(x) + x.min()
    return lambda a: per_channel(f)(a, r["channels"])


def kspace(x):
    return np.fft.fftshift(np.fft.fftn(x))


def image(k):
    return np.fft.ifftn(np.fft.ifftshift(k)).real


def planes(axis):
    """Indexes planes along x, y or z (0, 1, 2) of [z, y, x]."""
    return lambda i: tuple(i if a == 2 - axis else slice(None) for a in range(3))


@some
def ghosting(x, r):
    if x.shape[2 - r["axis"]] == 1:
        return x
    k, at = kspace(x), planes(r["axis"])
    middle = x.shape[2 - r["axis"]] // 2
    keep = k[at(middle)].copy()
    k[at(slice(None, None, r["ghosts"]))] *= 1 - r["intensity"]
    k[at(middle)] = keep
    return image(k)


@some
def spike(x, r):
    k = kspace(x)
    most = np.abs(k).max()
    for f in r["frequencies"]:
        k[tuple(c + n // 2 for c, n in zip(f[::-1], x.shape))] += r["intensity"] * most
    return image(k)


@some
def gibbs(x, r):
    f = np.meshgrid(*[np.arange(-(n // 2), n - n // 2) / n for n in x.shape], indexing="ij")
    whole = sum((n // 2 / n) ** 2 for n in x.shape) ** 0.5
    distance = np.sqrt(sum(c**2 for c in f))
    radius = (1 - r["alpha"]) * whole
    assert r["alpha"] == 1 or np.abs(distance - radius).min() > 1e-6
    return image(kspace(x) * (distance <= radius))


def moved(x, m):
    a, b, c = np.deg2rad(m["degrees"])
    rx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    ry = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    rz = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    s = np.diag(SPACING)
    matrix = (np.linalg.inv(s) @ rz @ ry @ rx @ s)[::-1, ::-1]  # in voxels, z, y, x
    middle = (np.array(x.shape) - 1) / 2
    offset = middle - matrix @ middle + (np.array(m["millimetres"]) / SPACING)[::-1]
    return ndimage.affine_transform(x, matrix, offset, order=1, mode="nearest")


@some
def motion(x, r):
    n, at = x.shape[2 - r["axis"]], planes(r["axis"])
    slab = np.array([sum(m["time"] * n <= p for m in r["moves"]) for p in range(n)])
    unmoved = slab[n // 2]
    images = [moved(x, m) for m in r["moves"]]
    images.insert(unmoved, x)
    k = kspace(x)
    for p in range(n):
        k[at(p)] = kspace(images[slab[p]])[at(p)]
    return image(k)


def box(origin, size):
    return tuple(slice(o, o + s) for o, s in zip(origin[::-1], size[::-1]))


@some
def cut_out(x, r):
    y = x.copy()
    fill = {"minimum": x.min(), "mean": x.mean()}[r["fill"]] if isinstance(r["fill"], str) else r["fill"]["value"]
    for o in r["origins"]:
        y[box(o, r["size"])] = fill
    return y


@some
def swap(x, r):
    y = x.copy()
    for a, b in r["pairs"]:
        a, b = box(a, r["size"]), box(b, r["size"])
        y[a], y[b] = y[b].copy(), y[a].copy()
    return y


MAKE = {
    "histogram_shift": histogram_shift, "ghosting": ghosting, "spike": spike, "gibbs": gibbs, "motion": motion,
    "cut_out": cut_out, "swap": swap,
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

BOTH = [True, True]
MOVES = [dict(degrees=[5.0, -7.0, 9.0], millimetres=[0.5, -1.0, 1.5], time=0.3),
         dict(degrees=[-4.0, 2.0, 12.0], millimetres=[-2.0, 0.0, 0.7], time=0.7)]
RECORDS += [
    {"histogram_shift": {"channels": [[0, 0.2, 0.3, 0.9, 1.0], None]}},
    {"histogram_shift": {"channels": [[0, 1.0], [0, 0.05, 0.4, 0.45, 0.5, 0.51, 0.9, 1.0]]}},
    *({"ghosting": dict(axis=axis, ghosts=g, intensity=0.75, channels=c)}
      for axis, g, c in [(0, 2, BOTH), (1, 3, [True, False]), (2, 4, BOTH)]),
    {"spike": dict(frequencies=[[-3, 2, -1], [1, -2, 0]], intensity=0.5, channels=BOTH, only="box")},
    {"spike": dict(frequencies=[[4, -4, 0]], intensity=-2.0, channels=[False, True], only="plane")},
    {"gibbs": dict(alpha=0.35, channels=BOTH)}, {"gibbs": dict(alpha=0.8, channels=[True, False])},
    {"gibbs": dict(alpha=1.0, channels=BOTH)},
    *({"motion": dict(axis=axis, moves=MOVES, channels=BOTH)} for axis in (0, 1, 2)),
    {"motion": dict(axis=2, moves=MOVES[:1], channels=[False, True], only="box")},
    {"cut_out": dict(origins=[[0, 1, 2], [4, 3, 0]], size=[3, 2, 2], fill="mean", channels=BOTH, only="box")},
    {"cut_out": dict(origins=[[0, 0, 0]], size=[1, 1, 1], fill={"value": 7.5}, channels=BOTH)},
    {"cut_out": dict(origins=[[3, 2, 0]], size=[4, 1, 1], fill="minimum", channels=[False, True], only="plane")},
    {"swap": dict(pairs=[[[0, 0, 0], [4, 4, 3]], [[1, 1, 0], [0, 3, 0]]], size=[3, 2, 2], channels=BOTH, only="box")},
]

cases = []
for record in RECORDS:
    (key, r), = record.items()
    only = r.pop("only", None)
    for name, a in PATCHES.items():
        if only and name != only:
            continue
        if "axis" in r and a.shape[3 - r["axis"]] == 1 and key == "motion":
            continue
        y = MAKE[key](r)(a.astype(np.float64))
        assert y.shape == a.shape and np.isfinite(y).all(), record
        cases.append(dict(patch=name, record=record, expected=[float(f"{v:.7g}") for v in y.ravel()]))
print(json.dumps(dict(
    patches={k: dict(size=SIZES[k], spacing=SPACING, voxels=[float(v) for v in a.ravel()]) for k, a in PATCHES.items()},
    cases=cases)))
