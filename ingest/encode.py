"""Decoded JSON becomes bytes again, however deep it nests: orjson reads four times as deep as it writes."""

from typing import Any

import orjson


def written(document: Any) -> bytes:
    """A document that orjson has read, as JSON without spaces."""
    try:
        return orjson.dumps(document)
    except orjson.JSONEncodeError:
        return b"".join(_pieces(document))


def _pieces(document: Any) -> list[bytes]:
    """Without recursion, which is what a deep document breaks: what is still to be written lies in a list."""
    pieces: list[bytes] = []
    waiting: list[Any] = [document]
    while waiting:
        value = waiting.pop()
        if type(value) is bytes:  # a sign put there below; JSON itself has no bytes
            pieces.append(value)
        elif type(value) is list:
            waiting.append(b"]")
            waiting.extend(_between(reversed(value)))
            pieces.append(b"[")
        elif type(value) is dict:
            waiting.append(b"}")
            members = (each for key in reversed(value) for each in (value[key], orjson.dumps(key) + b":"))
            waiting.extend(_between(members, of=2))
            pieces.append(b"{")
        else:
            pieces.append(orjson.dumps(value))
    return pieces


def _between(values: Any, of: int = 1) -> list[Any]:
    """The values with a comma between each `of` of them."""
    spread: list[Any] = []
    for n, value in enumerate(values):
        if n and n % of == 0:
            spread.append(b",")
        spread.append(value)
    return spread
