#!/usr/bin/env python3
"""Computes the golden values of tests/golden.rs without the crate: pairs, triplets and batches of classes.

Written from docs/reproducibility.md; the streams are those of crates/core/tests/golden/streams.py. Prints golden.json.
"""
import json
import math
import os

HERE = os.path.dirname(os.path.abspath(__file__))
CORE = open(os.path.join(HERE, "../../../core/tests/golden/streams.py")).read()
exec(CORE.rsplit("\nmain()", 1)[0])

GOLDEN = 0x9E3779B97F4A7C15
CLASSES = [0, 4, 4, 1, 0, 0, 9, 4, 1, 2, 0, 4, 7, 7, 4]
VISITS = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 0, 0]


def is_positive(n, share, epoch, position):
    k = math.floor(n * share + 0.5)
    shift = ((epoch * GOLDEN & MASK64) * n) >> 64
    return (position % n * k + shift) % n < k


def same_class(a, stream):
    """The bucket is the class; its last member stands in for the anchor."""
    bucket = [i for i, c in enumerate(CLASSES) if c == CLASSES[a]]
    drawn = bucket[stream.below32(len(bucket) - 1)]
    return bucket[-1] if drawn == a else drawn


def other_class(a, stream):
    """All samples sorted by class, without the anchor's stretch."""
    rest = [i for c in sorted(set(CLASSES)) for i, d in enumerate(CLASSES) if d == c and c != CLASSES[a]]
    return rest[stream.below32(len(rest))]


def other_class_and_visit(a, stream):
    """As other_class, tried again until the visit differs too (it does within 64 tries here)."""
    while True:
        b = other_class(a, stream)
        if VISITS[b] != VISITS[a]:
            return b


def by_class(a, stream):
    """A class other than the anchor's, then one of its samples."""
    kinds = sorted(set(CLASSES))
    own = kinds.index(CLASSES[a])
    run = stream.below32(len(kinds) - 1)
    run += own <= run
    members = [i for i, c in enumerate(CLASSES) if c == kinds[run]]
    while True:
        candidate = members[stream.below32(len(members))]
        if candidate != a:
            return candidate


def pairs(seed, epoch, share, negative):
    anchors = [i for i, c in enumerate(CLASSES) if CLASSES.count(c) > 1]
    order, out = permutation(len(anchors), Stream(seed, epoch, 0, "order/shuffled")), []
    for position in range(len(anchors)):
        a, s = anchors[order(position)], Stream(seed, epoch, position, "pairs/partner")
        same = is_positive(len(anchors), share, epoch, position)
        out.append([a, same_class(a, s) if same else negative(a, s), int(same)])
    return out


def triplets(seed, epoch):
    anchors = [i for i, c in enumerate(CLASSES) if CLASSES.count(c) > 1]
    order, out = permutation(len(anchors), Stream(seed, epoch, 0, "order/shuffled")), []
    for position in range(len(anchors)):
        a, s = anchors[order(position)], Stream(seed, epoch, position, "pairs/partner")
        positive = same_class(a, s)
        out.append([a, positive, by_class(a, s)])
    return out


def counts_of(least, sizes, width, rows=None):
    """How often each kind comes, and in how many rows."""
    if rows is None:
        rows = max(max(least), -(-sum(least) // width))
    slots = rows * width
    at = lambda level, kind: min(max(int(level * sizes[kind]), least[kind]), rows)
    low, high = 0.0, float(rows)
    for _ in range(80):
        middle = 0.5 * (low + high)
        if sum(at(middle, kind) for kind in range(len(least))) <= slots:
            low = middle
        else:
            high = middle
    counts = [at(low, kind) for kind in range(len(least))]
    while sum(counts) < slots:
        over = slots - sum(counts)
        keys = sorted(((counts[kind] + 1) / sizes[kind], kind) for kind in range(len(counts)) if counts[kind] < rows)
        for _, kind in keys[:over]:
            counts[kind] += 1
    return counts, rows


def dealt(counts, rows, width, seed, epoch, which, names):
    """The rows of an epoch as lists of (kind, how many-th)."""
    kinds = permutation(len(counts), Stream(seed, epoch, which, names[0]))
    slots = [(kinds(i), j) for i in range(len(counts)) for j in range(counts[kinds(i)])]
    order = permutation(rows, Stream(seed, epoch, which, names[1]))
    out = [[slots[at * rows + order(row)] for at in range(width)] for row in range(rows)]
    for block in range(0, rows, 256):
        count = min(256, rows - block)
        stream, turn = Stream(seed, epoch, which << 32 | block // 256, names[2]), list(range(count))
        if width > 1:
            for _ in range(10):
                shuffle(turn, stream)
                for a, b in zip(turn[::2], turn[1::2]):
                    trade(out[block + a], out[block + b], stream)
            for row in out[block:block + count]:
                shuffle(row, stream)
    return out


def shuffle(items, stream):
    for i in range(len(items) - 1, 0, -1):
        j = stream.below32(i + 1)
        items[i], items[j] = items[j], items[i]


def trade(a, b, stream):
    in_a, in_b = {kind for kind, _ in a}, {kind for kind, _ in b}
    places = [(b, i) for i, (kind, _) in enumerate(b) if kind not in in_a]
    places += [(a, i) for i, (kind, _) in enumerate(a) if kind not in in_b]
    slots = [row[i] for row, i in places]
    shuffle(slots, stream)
    for (row, i), slot in zip(places, slots):
        row[i] = slot


def turned(at, size, stream):
    bits = (size - 1).bit_length()
    mask, half = (1 << bits) - 1, max(bits // 2, 1)
    rounds = [(stream.bits32() | 1, stream.bits32()) for _ in range(4)]
    x = at
    while True:
        for times, plus in rounds:
            x = (x * times + plus) & mask
            x ^= x >> half
        if x < size:
            return x


def class_batches(classes, supers, groups, width, each, seed, epoch):
    """supers: the super-class of each class."""
    kinds = sorted(set(classes), key=lambda c: (supers[c], c))
    members = []
    for nth, c in enumerate(kinds):
        own = [i for i, d in enumerate(classes) if d == c]
        shuffle(own, Stream(seed, epoch, nth, "order/class_batches/samples"))
        members.append(own)
    of = [[n for n, c in enumerate(kinds) if supers[c] == s] for s in sorted(set(supers.values()))]
    share = width // groups
    sizes = [[len(members[n]) for n in own] for own in of]
    least = [[-(-size // each) for size in own] for own in sizes]
    rows = [counts_of(l, s, share)[1] for l, s in zip(least, sizes)]
    outer, batches = counts_of(rows, [sum(s) for s in sizes], groups)
    path = "order/class_batches/"
    inner = [dealt(*counts_of(least[u], sizes[u], share, outer[u]), share, seed, epoch, u,
                   (path + "classes", path + "groups", path + "classes/mix")) for u in range(len(of))]
    if len(of) == 1:
        which = [[(0, row)] for row in range(batches)]
    else:
        which = dealt(outer, batches, groups, seed, epoch, 0, (path + "super", path + "batches", path + "super/mix"))
    out = []
    for batch in which:
        for u, row in batch:
            for kind, nth in inner[u][row]:
                n = of[u][kind]
                size = len(members[n])
                for i in range(nth * each, nth * each + each):
                    turn, at = i // (size * each // math.gcd(size, each)), i % size
                    if turn:
                        at = turned(at, size, Stream(seed, epoch, turn * len(kinds) + n, path + "turn"))
                    out.append(members[n][at])
    return out


def main():
    out = []
    sizes = [3, 5, 2, 9, 4, 31, 6]
    classes = [c for c, size in enumerate(sizes) for _ in range(size)]
    for seed in (0, 42, MASK64):
        out.append({
            "seed": str(seed),
            "pairs": pairs(seed, 1, 0.3, other_class),
            "two_differ": pairs(seed, 0, 0.5, other_class_and_visit),
            "triplets": triplets(seed, 2),
            "class_batches": class_batches(classes, {c: 0 for c in range(7)}, 1, 3, 2, seed, 1),
            "within": class_batches(classes, {c: c % 3 for c in range(7)}, 2, 4, 3, seed, 0),
        })
    print(json.dumps(out))


main()
