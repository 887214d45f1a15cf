#!/usr/bin/env python3
"""Computes the golden values of tests/promises/golden.rs without the crate: ChaCha8, names, integers, floats, orders.

Written from docs/reproducibility.md alone; needs nothing but Python. Prints golden.json.
"""
import json
import math
import struct

MASK32, MASK64 = (1 << 32) - 1, (1 << 64) - 1


def fnv1a(text):
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = (h ^ byte) * 0x100000001B3 & MASK64
    return h


def chacha8_block(key, counter, nonce):
    def rotate(x, n):
        return (x << n | x >> (32 - n)) & MASK32

    start = list(struct.unpack("<4I", b"expand 32-byte k")) + list(struct.unpack("<8I", key))
    start += [counter & MASK32, counter >> 32, nonce & MASK32, nonce >> 32]
    x = start[:]

    def quarter(a, b, c, d):
        x[a] = (x[a] + x[b]) & MASK32; x[d] = rotate(x[d] ^ x[a], 16)
        x[c] = (x[c] + x[d]) & MASK32; x[b] = rotate(x[b] ^ x[c], 12)
        x[a] = (x[a] + x[b]) & MASK32; x[d] = rotate(x[d] ^ x[a], 8)
        x[c] = (x[c] + x[d]) & MASK32; x[b] = rotate(x[b] ^ x[c], 7)

    for _ in range(4):
        quarter(0, 4, 8, 12); quarter(1, 5, 9, 13); quarter(2, 6, 10, 14); quarter(3, 7, 11, 15)
        quarter(0, 5, 10, 15); quarter(1, 6, 11, 12); quarter(2, 7, 8, 13); quarter(3, 4, 9, 14)
    return [(a + b) & MASK32 for a, b in zip(x, start)]


class Stream:
    def __init__(self, seed, epoch, position, name, attempt=0):
        self.key = struct.pack("<4Q", seed, epoch, position, fnv1a(name))
        self.attempt, self.counter, self.words = attempt, 0, []

    def bits32(self):
        if not self.words:
            self.words = chacha8_block(self.key, self.counter, self.attempt)
            self.counter += 1
        return self.words.pop(0)

    def bits64(self):
        low = self.bits32()
        return low | self.bits32() << 32

    def uniform(self):
        return (self.bits64() >> 11) * 2.0 ** -53

    def below(self, n):
        while True:
            product = self.bits64() * n
            if (product & MASK64) >= (1 << 64) % n:
                return product >> 64


    def below32(self, n):
        while True:
            product = self.bits32() * n
            if (product & MASK32) >= (1 << 32) % n:
                return product >> 32


def permutation(n, stream):
    """The element at each position, as a function."""
    if n < 65536:
        items = list(range(n))
        for i in range(n - 1, 0, -1):
            j = stream.below32(i + 1)
            items[i], items[j] = items[j], items[i]
        return items.__getitem__
    bits = (n - 1).bit_length()
    low_bits = bits // 2
    keys = [stream.bits64() for _ in range(12)]

    def mix(half, key):
        z = half ^ key
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK64
        z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK64
        return z ^ z >> 31

    def at(position):
        x = position
        while True:
            low, high = x & (1 << low_bits) - 1, x >> low_bits
            for i in range(0, 12, 2):
                low ^= mix(high, keys[i]) & (1 << low_bits) - 1
                high ^= mix(low, keys[i + 1]) & (1 << bits - low_bits) - 1
            x = high << low_bits | low
            if x < n:
                return x
    return at


def shuffled(n, seed, epoch):
    return permutation(n, Stream(seed, epoch, 0, "order/shuffled"))


def windowed(n, block, window, seed, epoch):
    """All indices in order, the long way: lists of lists."""
    n_blocks = -(-n // block)
    blocks = permutation(n_blocks, Stream(seed, epoch, 0, "order/windowed/blocks"))
    order, whole = [blocks(i) for i in range(n_blocks)], []
    for w in range(0, n_blocks, window):
        samples = [i for b in order[w:w + window] for i in range(b * block, min(n, b * block + block))]
        at = permutation(len(samples), Stream(seed, epoch, w // window, "order/windowed/window"))
        whole += [samples[at(i)] for i in range(len(samples))]
    return whole


def balanced(classes, draws, seed, epoch):
    kinds = sorted(set(classes))
    members = [[i for i, c in enumerate(classes) if c == kind] for kind in kinds]
    out = []
    for position in range(draws):
        r, place = divmod(position, len(kinds))
        c = permutation(len(kinds), Stream(seed, epoch, r, "order/balanced/round"))(place)
        k, at = divmod(r, len(members[c]))
        order = permutation(len(members[c]), Stream(seed, epoch, k * len(kinds) + c, "order/balanced/class"))
        out.append(members[c][order(at)])
    return out


def alias_table(weights):
    """Vose's construction, in double precision, in this order of steps."""
    n, largest = len(weights), max(weights)
    total = 0.0
    for w in weights:
        total += w / largest
    share = [w / largest / total * n for w in weights]
    alias, keep = list(range(n)), [MASK64] * n
    small = [i for i in range(n) if share[i] < 1.0]
    large = [i for i in range(n) if not share[i] < 1.0]
    while large and small:
        poor, giver = small.pop(), large[-1]
        keep[poor] = min(int(share[poor] * 2.0 ** 64), MASK64)
        alias[poor] = giver
        share[giver] -= 1.0 - share[poor]
        if share[giver] < 1.0:
            small.append(large.pop())
    return keep, alias


def weighted(weights, draws, seed, epoch):
    keep, alias = alias_table(weights)
    out = []
    for position in range(draws):
        s = Stream(seed, epoch, position, "order/weighted")
        column = s.below(len(weights))
        out.append(column if s.bits64() < keep[column] else alias[column])
    return out


def weighted_without(weights, draws, seed, epoch):
    name, largest = "order/weighted/without_replacement", max(weights)
    keys = [(-math.log(1.0 - Stream(seed, epoch, i, name).uniform()) / (w / largest), i) for i, w in enumerate(weights) if w > 0]
    return [i for _, i in sorted(keys)[:draws]]


def normals(stream, count):
    """Double precision; the crate's are single."""
    out = []
    for _ in range(count // 2):
        a, b = stream.bits32(), stream.bits32()
        u, v = ((a >> 8) + 1) / 2**24, (b >> 8) / 2**24
        r = math.sqrt(-2 * math.log(u))
        out += [r * math.cos(2 * math.pi * v), r * math.sin(2 * math.pi * v)]
    return out


def main():
    out = []
    for seed in (0, 42, MASK64):
        s = Stream(seed, 3, 1234567890123, "augment/rotate")
        row = {"seed": str(seed), "bits32": [s.bits32() for _ in range(70)]}
        s = Stream(seed, 0, 1, "a")
        row["bits64"] = [str(s.bits64()) for _ in range(5)]
        row["attempt_2"] = str(Stream(seed, 0, 1, "a", 2).bits64())
        row["uniform"] = [Stream(seed, e, 0, "u").uniform() for e in range(5)]
        s = Stream(seed, 1, 0, "below")
        row["below"] = [s.below(n) for n in (1, 2, 3, 10, 1000, 10**9, 3 * 2**61)]
        row["below"] = [str(v) for v in row["below"]]
        s = Stream(seed, 1, 0, "below32")
        row["below32"] = [s.below32(n) for n in (1, 2, 3, 10, 1000, 3 * 2**30, MASK32)]
        at = shuffled(10, seed, 0)
        row["shuffled_10"] = [at(i) for i in range(10)]
        at = shuffled(1000, seed, 5)
        row["shuffled_1000"] = [at(i) for i in range(0, 1000, 50)]
        for n in (65535, 65536, 1_000_003, 10**9):
            at = shuffled(n, seed, 2)
            row[f"shuffled_{n}"] = [at(i) for i in (0, 1, 2, n // 2, n - 2, n - 1)]
        row["windowed_103_10_3"] = windowed(103, 10, 3, seed, 1)
        row["balanced"] = balanced([0, 0, 0, 0, 0, 7, 7, 3], 24, seed, 2)
        weights = [1.0, 0.0, 2.5, 7.0, 1e-3, 4.0, 0.25]
        row["weighted"] = weighted(weights, 40, seed, 3)
        row["weighted_without"] = weighted_without(weights, 6, seed, 3)
        row["substitutes_10"] = [Stream(seed, 1, 7, "order/substitute", t).below(10) for t in range(1, 9)]
        row["normals"] = normals(Stream(seed, 0, 5, "n"), 16)
        s = Stream(seed, 0, 0, "odd")
        s.bits32()
        row["bits64_after_one_word"] = [str(s.bits64()) for _ in range(40)]
        out.append(row)
    print(json.dumps(out))


main()
