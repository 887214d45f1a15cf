"""Writes fixtures/statistics.json: statistics of voxels by NumPy, in double precision.

    python tests/oracle/statistics.py > tests/fixtures/statistics.json

The voxels are made by a formula that src/preprocess/statistics.rs repeats, so that none are stored.
"""

import json
import sys

import numpy as np

N = 5003
PERCENTS = [0.0, 0.5, 1.0, 25.0, 50.0, 99.5, 100.0]


def voxels(dtype):
    i = np.arange(N, dtype=np.int64)
    k = (i * i * 31 + i * 7919) % 1009
    k[i % 7 == 0] = 504
    if dtype == "uint8":
        return (k % 256).astype(np.uint8)
    if dtype == "int8":
        return (k % 256 - 128).astype(np.int8)
    if dtype in ("uint16", "uint32", "uint64"):
        return (k * (1 if dtype == "uint16" else 1000)).astype(dtype)
    if dtype in ("int16", "int32", "int64"):
        return ((k - 504) * (1 if dtype == "int16" else 1000)).astype(dtype)
    with np.errstate(invalid="ignore"):
        x = ((k - 504) * 0.37).astype(dtype)
    x[i % 501 == 17] = np.nan
    x[i % 1001 == 18] = np.inf
    x[i % 1501 == 19] = -np.inf
    return x


def main():
    cases = []
    for dtype in ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]:
        raw = voxels(dtype)
        for slope, inter in [(1.0, 0.0), (-0.25, 300.5)]:
            x = raw.astype(np.float64) * slope + inter
            for mask in ["whole", "nonzero", {"above": 5.0}, "label"]:
                keep = np.isfinite(x)
                if mask == "nonzero":
                    keep &= x != 0
                elif mask == "label":
                    keep &= np.arange(N) % 3 == 1
                elif mask != "whole":
                    keep &= x > 5.0
                kept = x[keep]
                cases.append({
                    "dtype": dtype, "slope": slope, "inter": inter, "mask": mask,
                    "nan": int(np.isnan(x).sum()), "infinite": int(np.isinf(x).sum()), "count": int(keep.sum()),
                    "min": kept.min(), "max": kept.max(), "mean": kept.mean(), "std": kept.std(),
                    "percentiles": list(zip(PERCENTS, np.percentile(kept, PERCENTS).tolist())),
                })
    json.dump({"numpy": np.__version__, "cases": cases}, sys.stdout, indent=0)


main()
