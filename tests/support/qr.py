"""Reads a QR code of our own kind back, strictly: what a camera would mend by the correction is an error here."""

import re

from ui.qr import QUIET, Matrix, masks, patterns, places, shape


class Unreadable(ValueError):
    """A codeword of the code is wrong."""


def modules(path: str, size: int) -> Matrix:
    """The modules that an SVG path of unit squares paints, without the white border."""
    dark = {(int(x) - QUIET, int(y) - QUIET) for x, y in re.findall(r"M(\d+) (\d+)h1v1h-1z", path)}
    side = range(size - 2 * QUIET)
    return [[(x, y) in dark for x in side] for y in side]


def read(matrix: Matrix) -> str:
    """The text of a code in bytes mode. Raises Unreadable when a single codeword is wrong."""
    version = (len(matrix) - 17) // 4
    mask = sum((matrix[8][x] ^ bool(0x5412 >> bit & 1)) << bit - 10 for x, bit in ((4, 10), (3, 11), (2, 12)))
    _, fixed = patterns(version, len(matrix))
    bits = "".join("01"[matrix[y][x] ^ masks[mask](x, y)] for x, y in places(fixed))
    words = [int(bits[at : at + 8], 2) for at in range(0, len(bits) - 7, 8)]
    text = "".join(f"{word:08b}" for word in _data(words, *shape(version)))
    start = 12 if version < 10 else 20
    length = int(text[4:start], 2)
    return bytes(int(text[start + 8 * at :][:8], 2) for at in range(length)).decode()


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
