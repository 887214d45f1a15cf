"""The places of patches, drawn anew in Python from what the documentation says, for src/places.

    python places.py        # writes ../fixtures/places.json
"""

import json
import math
import pathlib
import struct

MASK = (1 << 64) - 1


def fnv1a(text):
    hash = 0xCBF29CE484222325
    for byte in text.encode():
        hash = ((hash ^ byte) * 0x100000001B3) & MASK
    return hash


class Stream:
    """ChaCha with 8 rounds: key (seed, epoch, position, name), counter from 0, nonce 0."""

    def __init__(self, seed, epoch, position, name):
        self.key = struct.unpack("<8I", struct.pack("<4Q", seed, epoch, position, fnv1a(name)))
        self.counter = 0
        self.words = []

    def block(self):
        state = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574, *self.key]
        state += [self.counter & 0xFFFFFFFF, self.counter >> 32, 0, 0]
        x = list(state)

        def quarter(a, b, c, d):
            for p, q, r, by in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)]:
                x[p] = (x[p] + x[q]) & 0xFFFFFFFF
                v = x[r] ^ x[p]
                x[r] = ((v << by) | (v >> (32 - by))) & 0xFFFFFFFF

        for _ in range(4):
            for i in range(4):
                quarter(i, 4 + i, 8 + i, 12 + i)
            for i in range(4):
                quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
        self.counter += 1
        return [(a + b) & 0xFFFFFFFF for a, b in zip(x, state)]

    def bits64(self):
        if not self.words:
            self.words = self.block()
        low, high = self.words[:2]
        self.words = self.words[2:]
        return high << 32 | low

    def uniform(self):
        return (self.bits64() >> 11) / (1 << 53)

    def below(self, n):
        while True:
            product = self.bits64() * n
            if (1 << 64) % n <= product & MASK:
                return product >> 64


def valid(n, s):
    return min(0, n - s), max(0, n - s)


def uniform(case, stream):
    origin = []
    for n, s in zip(case["shape"], case["size"]):
        low, high = valid(n, s)
        origin.append(low + stream.below(high - low + 1))
    return origin


def around(case, offset, stream):
    nx, ny, _ = case["shape"]
    voxel = [offset % nx, offset // nx % ny, offset // (nx * ny)]
    origin = []
    for n, s, v in zip(case["shape"], case["size"], voxel):
        low, high = valid(n, s)
        margin = (s + 1) // 4
        # The places that have the voxel in the middle half, or the valid one nearest to them.
        places = [o for o in range(low, high + 1) if margin <= v - o <= s - 1 - margin]
        if not places:
            places = [min(range(low, high + 1), key=lambda o: min(abs(v - o - margin), abs(v - o - (s - 1 - margin))))]
        origin.append(places[0] + stream.below(len(places)))
    return origin


def split_mix(n):
    x = ((n + 1) * 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & MASK
    return x ^ x >> 31


def kept(labels, cap):
    classes = {}
    for offset, label in enumerate(labels):
        classes.setdefault(label, []).append(offset)
    return {k: (len(v), sorted(sorted(v, key=split_mix)[:cap])) for k, v in sorted(classes.items())}


def by_ratio(ratios, stream):
    at = stream.uniform() * math.fsum(r for _, r in ratios)
    total = 0.0
    for label, ratio in ratios:
        total += ratio
        if ratio > 0 and at < total:
            return label


def draw(case, sampler, labels, stream):
    if sampler == "uniform":
        return uniform(case, stream)
    (name, value), = sampler.items()
    classes = kept(labels, case["cap"])
    if name == "foreground":
        if not stream.uniform() < value:
            return uniform(case, stream)
        nth = stream.below(sum(count for k, (count, _) in classes.items() if k != 0))
        for label, (count, offsets) in classes.items():
            if label != 0:
                if nth < count:
                    break
                nth -= count
    elif name == "classes":
        ratios = sorted((int(k), r) for k, r in value.items())
        label = by_ratio(ratios, stream)
        if label not in classes:
            label = by_ratio([(k, r) for k, r in ratios if k in classes], stream)
        offsets = classes[label][1]
    else:
        # The labels are the weights, whole numbers.
        at, total = stream.uniform() * sum(labels), 0
        for offset, weight in enumerate(labels):
            total += weight
            if at < total:
                return around(case, offset, stream)
    return around(case, offsets[stream.below(len(offsets))], stream)


def main():
    cases = []
    for shape, size in [([20, 20, 20], [6, 8, 24]), ([20, 20, 20], [1, 20, 3]), ([20, 20, 20], [7, 5, 19])]:
        labels = [0] * 8000
        labels[4200:4230] = [1] * 30
        labels[7995:] = [2] * 5
        for sampler in [
            "uniform",
            {"foreground": 0.75},
            {"classes": {"0": 1, "1": 2, "5": 1}},
            {"weights": "label"},
        ]:
            case = {"shape": shape, "size": size, "cap": 12, "sampler": sampler}
            streams = [Stream(42, 1, position, "place") for position in range(12)]
            cases.append({**case, "origins": [draw(case, sampler, labels, stream) for stream in streams]})
    path = pathlib.Path(__file__).parent.parent / "fixtures" / "places.json"
    path.write_text(json.dumps(cases, separators=(",", ":")) + "\n")


main()
