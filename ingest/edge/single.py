"""Numbers of 32 bits, as machines hold them."""

import struct


def shortest(value: float) -> float:
    """A 32-bit float as people write it: 0.1 where the machine means 0.1, and not 0.10000000149011612."""
    for digits in range(6, 9):
        candidate = float(f"{value:.{digits}g}")
        if struct.pack("<f", candidate) == struct.pack("<f", value):
            return candidate
    return float(f"{value:.9g}")
