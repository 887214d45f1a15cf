"""Windows and blended volumes by NumPy, in double precision, for src/aggregate.

    python aggregate.py     # writes ../fixtures/aggregate/{windows,blended}.json
"""

import itertools
import json
import pathlib

import numpy as np

FOLDER = pathlib.Path(__file__).parent.parent / "fixtures" / "aggregate"


def window(blend, size):
    if blend == "constant":
        return np.ones(size)
    if blend == "hann":
        return np.hanning(size + 2)[1:-1]
    distance = np.arange(size) - (size - 1) / 2
    return np.exp(np.maximum(-0.5 * (distance / (blend["gaussian"] * size)) ** 2, -80))


def starts(length, size, overlap):
    if length <= size:
        return [(length - size) // 2]
    first = list(range(0, length - size, size - overlap))
    return first + [length - size]


def blended(case):
    (nx, ny, nz), (sx, sy, sz) = case["shape"], case["size"]
    axes = [starts(n, s, o) for n, s, o in zip(case["shape"], case["size"], case["overlap"])]
    wx, wy, wz = (window(case["blend"], s) for s in case["size"])
    weight = wz[:, None, None] * wy[None, :, None] * wx[None, None, :]
    pad = max(case["size"])
    total = np.zeros((nz + 2 * pad, ny + 2 * pad, nx + 2 * pad))
    sums = np.zeros((case["channels"],) + total.shape)
    count = 0
    for index, (z, y, x) in enumerate(itertools.product(axes[2], axes[1], axes[0])):
        # Patch `index` has the values (7919 index + 104729 i) mod 1009 - 500, i in C order of [C, z, y, x].
        i = np.arange(case["channels"] * sz * sy * sx, dtype=np.int64)
        values = ((7919 * index + 104729 * i) % 1009 - 500).astype(float).reshape(-1, sz, sy, sx)
        box = (slice(z + pad, z + pad + sz), slice(y + pad, y + pad + sy), slice(x + pad, x + pad + sx))
        sums[(slice(None),) + box] += weight * values
        total[box] += weight
        count = index + 1
    inner = (slice(pad, pad + nz), slice(pad, pad + ny), slice(pad, pad + nx))
    return {**case, "patches": count, "voxels": (sums[(slice(None),) + inner] / total[inner]).ravel().tolist()}


def main():
    FOLDER.mkdir(exist_ok=True)
    windows = [
        {"size": size, "blend": blend, "weights": window(blend, size).tolist()}
        for blend in ["constant", "hann", {"gaussian": 0.125}, {"gaussian": 0.05}]
        for size in [1, 2, 3, 16, 33, 96]
    ]
    (FOLDER / "windows.json").write_text(json.dumps(windows, separators=(",", ":")) + "\n")
    cases = [
        {"shape": [7, 5, 6], "size": [3, 2, 4], "overlap": [1, 1, 2], "channels": 1, "blend": "constant"},
        {"shape": [9, 4, 5], "size": [4, 6, 2], "overlap": [2, 0, 0], "channels": 2, "blend": {"gaussian": 0.125}},
        {"shape": [6, 6, 3], "size": [4, 4, 4], "overlap": [3, 1, 0], "channels": 1, "blend": "hann"},
        {"shape": [5, 6, 7], "size": [1, 6, 7], "overlap": [0, 0, 0], "channels": 1, "blend": "hann"},
        {"shape": [6, 5, 8], "size": [6, 5, 3], "overlap": [0, 0, 2], "channels": 1, "blend": {"gaussian": 0.05}},
    ]
    blends = [blended(case) for case in cases]
    (FOLDER / "blended.json").write_text(json.dumps(blends, separators=(",", ":")) + "\n")


main()
