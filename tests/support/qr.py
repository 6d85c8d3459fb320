"""Reads a QR code (ISO/IEC 18004, model 2, level M) back, strictly and by its own arithmetic: what a camera would mend
by the correction is an error here.
"""

import re
from collections.abc import Callable, Iterator

Matrix = list[list[bool]]

# Of each version at level M, from 1: correction codewords in a block, and blocks (ISO/IEC 18004, table 9).
_CORRECTION = (10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26)
_BLOCKS = (1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16)
_LEVEL_M = 0b00
_QUIET = 4
_MASKS: tuple[Callable[[int, int], bool], ...] = (
    lambda x, y: (x + y) % 2 == 0,
    lambda x, y: y % 2 == 0,
    lambda x, y: x % 3 == 0,
    lambda x, y: (x + y) % 3 == 0,
    lambda x, y: (x // 3 + y // 2) % 2 == 0,
    lambda x, y: x * y % 2 + x * y % 3 == 0,
    lambda x, y: (x * y % 2 + x * y % 3) % 2 == 0,
    lambda x, y: ((x + y) % 2 + x * y % 3) % 2 == 0,
)


class Unreadable(ValueError):
    """The border, a pattern, the format or a codeword of the code is wrong."""


def modules(path: str, size: int) -> Matrix:
    """The modules that an SVG path of unit squares paints, without the white border, which must be white."""
    dark = {(int(x) - _QUIET, int(y) - _QUIET) for x, y in re.findall(r"M(\d+) (\d+)h1v1h-1z", path)}
    side = range(size - 2 * _QUIET)
    if any(x not in side or y not in side for x, y in dark):
        raise Unreadable
    return [[(x, y) in dark for x in side] for y in side]


def read(matrix: Matrix) -> str:
    """The text of a code in bytes mode. Raises Unreadable when a single module that matters is wrong."""
    size = len(matrix)
    version = (size - 17) // 4
    mask = _mask(matrix)
    drawn, fixed = _patterns(version, size)
    loose = {(x, y) for x, y, _ in _format_places(size)}
    for y, row in enumerate(fixed):
        if any(matrix[y][x] != drawn[y][x] for x, is_fixed in enumerate(row) if is_fixed and (x, y) not in loose):
            raise Unreadable
    bits = "".join("01"[matrix[y][x] ^ _MASKS[mask](x, y)] for x, y in _places(fixed))
    words = [int(bits[at : at + 8], 2) for at in range(0, len(bits) - 7, 8)]
    text = "".join(f"{word:08b}" for word in _data(words, _BLOCKS[version - 1], _CORRECTION[version - 1]))
    start = 12 if version < 10 else 20
    length = int(text[4:start], 2)
    return bytes(int(text[start + 8 * at :][:8], 2) for at in range(length)).decode()


def _mask(matrix: Matrix) -> int:
    """Which mask both copies of the format name, at level M and with the right check bits."""
    copies = [0, 0]
    for at, (x, y, bit) in enumerate(_format_places(len(matrix))):
        copies[at // 15] |= matrix[y][x] << bit
    mask = (copies[0] ^ 0x5412) >> 10 & 0b111
    if copies != [_bch(_LEVEL_M << 3 | mask, 0x537, 10) ^ 0x5412] * 2:
        raise Unreadable
    return mask


def _patterns(version: int, size: int) -> tuple[Matrix, Matrix]:
    """What is the same for every text of a version, and where it lies (with the places of format and version)."""
    drawn = [[False] * size for _ in range(size)]
    fixed = [[False] * size for _ in range(size)]

    def draw(x: int, y: int, is_dark: bool) -> None:
        if 0 <= x < size and 0 <= y < size:
            drawn[y][x], fixed[y][x] = is_dark, True

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
            is_dark = bool(_bch(version, 0x1F25, 12) >> at & 1)
            draw(size - 11 + at % 3, at // 3, is_dark)
            draw(at // 3, size - 11 + at % 3, is_dark)
    return drawn, fixed


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


def _places(fixed: Matrix) -> Iterator[tuple[int, int]]:
    """The free modules in the order in which bits are laid: pairs of columns from the right, up and down in turn."""
    size = len(fixed)
    for pair, right in enumerate(x for x in range(size - 1, 0, -2)):
        left_of_line = right - (right <= 6)  # the upright timing pattern takes a column of its own
        rows = range(size - 1, -1, -1) if pair % 2 == 0 else range(size)
        for y in rows:
            for x in (left_of_line, left_of_line - 1):
                if not fixed[y][x]:
                    yield x, y


def _data(words: list[int], blocks: int, correction: int) -> list[int]:
    """The blocks' data one after another, after each block's correction was found to be right."""
    size = len(words) // blocks - correction
    longer = len(words) % blocks
    across = [at % blocks for at in range(size * blocks)] + list(range(blocks - longer, blocks))
    across += [at % blocks for at in range(correction * blocks)]
    found = [[word for word, block in zip(words, across, strict=True) if block == at] for at in range(blocks)]
    for block in found:
        if any(_value(block, root) for root in range(correction)):
            raise Unreadable
    return [word for block in found for word in block[:-correction]]


def _value(block: list[int], root: int) -> int:
    """The block as a polynomial over GF(256) at 2^root, by tables of logarithms; 0 for a block without error."""
    value = 0
    for word in block:
        value = word ^ (_EXP[(_LOG[value] + root) % 255] if value else 0)
    return value


_EXP = [1]
while len(_EXP) < 255:
    _EXP.append(_EXP[-1] << 1 ^ (0x11D if _EXP[-1] > 127 else 0))
_LOG = {value: at for at, value in enumerate(_EXP)}
