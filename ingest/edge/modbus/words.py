"""What a Modbus machine says no with, in words (Modbus application protocol 1.1b3, section 7)."""

from collections.abc import Mapping

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS = 1, 2
SMALLER_PARTS = frozenset({2, 3, 4})
"""What a part of the same registers may be read in spite of; some machines fail where others say no such address."""
NOBODY = frozenset({10, 11})
"""A gateway's word for a unit that does not answer."""

_WORDS: Mapping[int, str] = {
    1: "it does not know this kind of request (code 1): look in its manual which table the value is in",
    2: "it has no such register (code 2): look at the address, which counts from 0, and at the type",
    3: "it does not take this value, or so many registers at once (code 3): look at the range, or lower max_read",
    4: "it failed while doing so (code 4): look at the machine itself",
    5: "it has begun, and takes long (code 5): look at the value later",
    6: "it is busy (code 6): it is asked again later",
    7: "it cannot do that (code 7): look in its manual",
    8: "its memory is damaged (code 8): look at the machine itself",
    10: "the gateway has no way to it (code 10): look at the gateway's settings",
    11: "the gateway gets no answer of it (code 11): look at the unit number, its power and its line",
}


def of(code: int) -> str:
    """What an exception code means and what to do."""
    return _WORDS.get(code, f"it refuses with code {code}, which is its maker's own: look in its manual")
