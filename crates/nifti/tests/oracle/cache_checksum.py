"""The checksum of cache files, from its description: prints the golden value of src/cache/checksum.rs."""

MASK = (1 << 64) - 1
MULTIPLIER = 0x9E3779B97F4A7C15


def step(state: int, word: int) -> int:
    product = ((state ^ word) * MULTIPLIER) & MASK
    return ((product << 29) | (product >> 35)) & MASK


def checksum(data: bytes) -> int:
    lanes = [MULTIPLIER * (2 * lane + 1) & MASK for lane in range(8)]
    padded = data + bytes(-len(data) % 64)
    for at in range(0, len(padded), 8):
        lane = at // 8 % 8
        lanes[lane] = step(lanes[lane], int.from_bytes(padded[at : at + 8], "little"))
    total = step(MULTIPLIER, len(data))
    for lane in lanes:
        total = step(total, lane)
        total ^= total >> 32
    return total


print(hex(checksum(bytes(i * 7 % 256 for i in range(1000)))))
