"""Draws a QR code (ISO/IEC 18004, model 2) for a short text, here in the house: a secret in it goes to nobody else.

Bytes mode and error correction M (any 15% may be unreadable) in the smallest version that holds the text.
"""

from collections.abc import Callable, Iterator

Matrix = list[list[bool]]

# Of each version at level M, from 1: correction codewords in a block, and blocks (ISO/IEC 18004, table 9).
_CORRECTION = (10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26)
_BLOCKS = (1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16)
_LEVEL_M = 0b00
QUIET = 4  # modules of white around the code, which readers need
masks: tuple[Callable[[int, int], bool], ...] = (
    lambda x, y: (x + y) % 2 == 0,
    lambda x, y: y % 2 == 0,
    lambda x, y: x % 3 == 0,
    lambda x, y: (x + y) % 3 == 0,
    lambda x, y: (x // 3 + y // 2) % 2 == 0,
    lambda x, y: x * y % 2 + x * y % 3 == 0,
    lambda x, y: (x * y % 2 + x * y % 3) % 2 == 0,
    lambda x, y: ((x + y) % 2 + x * y % 3) % 2 == 0,
)


class TooLong(ValueError):
    """The text is longer than version 20 holds (666 bytes)."""


def svg_path(text: str) -> tuple[str, int]:
    """The dark modules of the text's code as one SVG path, and the length of a side, white border included."""
    matrix = encode(text)
    size = len(matrix) + 2 * QUIET
    dark = [(x + QUIET, y + QUIET) for y, row in enumerate(matrix) for x, is_dark in enumerate(row) if is_dark]
    return "".join(f"M{x} {y}h1v1h-1z" for x, y in dark), size


def encode(text: str) -> Matrix:
    """The code's modules row by row, True for dark, without the white border. Raises TooLong."""
    data = text.encode()
    version = _version_for(len(data))
    size = 17 + 4 * version
    modules, fixed = patterns(version, size)
    _place(modules, fixed, _interleaved(version, _codewords(version, data)))
    drawn = [_masked(modules, fixed, mask) for mask in range(len(masks))]
    return min(drawn, key=_penalty)


def _version_for(length: int) -> int:
    for version in range(1, len(_BLOCKS) + 1):
        if 4 + (8 if version < 10 else 16) + 8 * length <= 8 * _capacity(version):
            return version
    raise TooLong(f"{length} bytes do not fit into a QR code of version {len(_BLOCKS)}.")


def shape(version: int) -> tuple[int, int]:
    """Into how many blocks the codewords are split, and how many codewords of correction each has."""
    return _BLOCKS[version - 1], _CORRECTION[version - 1]


def _raw(version: int) -> int:
    """How many modules of this version carry codewords (Annex D's arithmetic; what is left over stays light)."""
    modules = (16 * version + 128) * version + 64
    if version >= 2:
        aligned = version // 7 + 2
        modules -= (25 * aligned - 10) * aligned - 55
    return modules - (36 if version >= 7 else 0)


def _capacity(version: int) -> int:
    """Data codewords."""
    blocks, correction = shape(version)
    return _raw(version) // 8 - blocks * correction


def _codewords(version: int, data: bytes) -> bytes:
    count_bits = 8 if version < 10 else 16
    bits = f"{0b0100:04b}{len(data):0{count_bits}b}" + "".join(f"{byte:08b}" for byte in data)
    room = 8 * _capacity(version)
    bits += "0" * min(4, room - len(bits))
    bits += "0" * (-len(bits) % 8)
    found = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    padding = bytes((0xEC, 0x11)) * (room // 16 + 1)
    return found + padding[: room // 8 - len(found)]


def _interleaved(version: int, data: bytes) -> bytes:
    """Data in blocks, each with its correction, read across the blocks."""
    count, correction = shape(version)
    short, longer = divmod(len(data), count)
    lengths = [short + (at >= count - longer) for at in range(count)]
    starts = [sum(lengths[:at]) for at in range(count)]
    blocks = [data[start : start + length] for start, length in zip(starts, lengths, strict=True)]
    checks = [_correction(block, correction) for block in blocks]
    across = [block[at] for at in range(short + 1) for block in blocks if at < len(block)]
    return bytes(across + [check[at] for at in range(correction) for check in checks])


def _times(a: int, b: int) -> int:
    """The product in GF(256) over x^8 + x^4 + x^3 + x^2 + 1."""
    product = 0
    for bit in range(7, -1, -1):
        product = (product << 1) ^ (product >> 7) * 0x11D
        product ^= (b >> bit & 1) * a
    return product


def _correction(block: bytes, count: int) -> bytes:
    """The remainder of the block by the generator polynomial with the roots 2^0 to 2^(count - 1)."""
    generator = [0] * (count - 1) + [1]
    root = 1
    for _ in range(count):
        generator = [
            _times(value, root) ^ following for value, following in zip(generator, [*generator[1:], 0], strict=True)
        ]
        root = _times(root, 2)
    return _remainder(block, generator)


def _remainder(block: bytes, generator: list[int]) -> bytes:
    rest = [0] * len(generator)
    for byte in block:
        factor = byte ^ rest[0]
        rest = [value ^ _times(part, factor) for value, part in zip([*rest[1:], 0], generator, strict=True)]
    return bytes(rest)


def patterns(version: int, size: int) -> tuple[Matrix, Matrix]:
    """What is the same for every text of a version, and where it lies (with the places of format and version)."""
    modules = [[False] * size for _ in range(size)]
    fixed = [[False] * size for _ in range(size)]

    def draw(x: int, y: int, is_dark: bool) -> None:
        if 0 <= x < size and 0 <= y < size:
            modules[y][x], fixed[y][x] = is_dark, True

    for at in range(size):
        draw(6, at, at % 2 == 0)
        draw(at, 6, at % 2 == 0)
    for cx, cy in ((3, 3), (size - 4, 3), (3, size - 4)):
        for dx, dy in _square(4):
            draw(cx + dx, cy + dy, max(abs(dx), abs(dy)) not in (2, 4))
    for cx, cy in _alignments(version, size):
        for dx, dy in _square(2):
            draw(cx + dx, cy + dy, max(abs(dx), abs(dy)) != 1)
    for x, y, _ in _format_places(size):
        draw(x, y, False)
    draw(8, size - 8, True)
    if version >= 7:
        for at in range(18):
            is_dark = bool(_version_bits(version) >> at & 1)
            draw(size - 11 + at % 3, at // 3, is_dark)
            draw(at // 3, size - 11 + at % 3, is_dark)
    return modules, fixed


def _square(radius: int) -> Iterator[tuple[int, int]]:
    return ((dx, dy) for dy in range(-radius, radius + 1) for dx in range(-radius, radius + 1))


def _alignments(version: int, size: int) -> list[tuple[int, int]]:
    if version == 1:
        return []
    count = version // 7 + 2
    step = (version * 4 + count * 2 + 1) // (count * 2 - 2) * 2
    lines = [6, *sorted(size - 7 - at * step for at in range(count - 1))]
    corners = {(6, 6), (6, lines[-1]), (lines[-1], 6)}
    return [(x, y) for x in lines for y in lines if (x, y) not in corners]


def _format_places(size: int) -> Iterator[tuple[int, int, int]]:
    """Where each of the 15 format bits lies, twice: x, y, bit."""
    first = [(8, y) for y in (0, 1, 2, 3, 4, 5, 7, 8)] + [(x, 8) for x in (7, 5, 4, 3, 2, 1, 0)]
    second = [(size - 1 - at, 8) for at in range(8)] + [(8, size - 7 + at) for at in range(7)]
    for places in (first, second):
        yield from ((x, y, bit) for bit, (x, y) in enumerate(places))


def _bch(value: int, polynomial: int, bits: int) -> int:
    rest = value
    for _ in range(bits):
        rest = (rest << 1) ^ (rest >> (bits - 1)) * polynomial
    return value << bits | rest


def _version_bits(version: int) -> int:
    return _bch(version, 0x1F25, 12)


def _place(modules: Matrix, fixed: Matrix, codewords: bytes) -> None:
    """Lay the bits in pairs of columns from the right, up and down in turn."""
    bits = (bool(byte >> at & 1) for byte in codewords for at in range(7, -1, -1))
    for x, y in places(fixed):
        modules[y][x] = next(bits, False)


def places(fixed: Matrix) -> Iterator[tuple[int, int]]:
    """The free modules in the order in which bits are laid."""
    size = len(fixed)
    for pair, right in enumerate(x for x in range(size - 1, 0, -2)):
        left_of_line = right - (right <= 6)  # the upright timing pattern takes a column of its own
        rows = range(size - 1, -1, -1) if pair % 2 == 0 else range(size)
        for y in rows:
            for x in (left_of_line, left_of_line - 1):
                if not fixed[y][x]:
                    yield x, y


def _masked(modules: Matrix, fixed: Matrix, mask: int) -> Matrix:
    flips = masks[mask]
    drawn = [
        [is_dark ^ (not fixed[y][x] and flips(x, y)) for x, is_dark in enumerate(row)] for y, row in enumerate(modules)
    ]
    format_bits = _bch(_LEVEL_M << 3 | mask, 0x537, 10) ^ 0x5412
    for x, y, bit in _format_places(len(modules)):
        drawn[y][x] = bool(format_bits >> bit & 1)
    return drawn


def _penalty(matrix: Matrix) -> int:
    """How hard a code is to read: long runs, blocks, what looks like a corner, too much of one colour."""
    size = len(matrix)
    lines = ["".join("#" if is_dark else "." for is_dark in row) for row in matrix]
    lines += ["".join(column) for column in zip(*lines, strict=True)]
    score = 0
    for line in lines:
        runs = line.replace("#.", "# .").replace(".#", ". #").split()
        score += sum(len(run) - 2 for run in runs if len(run) >= 5)
        score += 40 * sum(line[at : at + 11] in ("#.###.#....", "....#.###.#") for at in range(size - 10))
    for y in range(size - 1):
        for x in range(size - 1):
            score += 3 * (matrix[y][x] == matrix[y][x + 1] == matrix[y + 1][x] == matrix[y + 1][x + 1])
    dark = sum(map(sum, matrix))
    return score + 10 * (abs(20 * dark - 10 * size * size) // (size * size))
