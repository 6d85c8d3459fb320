"""The values a rule can compare: made plain once at the door, so that the evaluator meets nothing it refuses."""

import math
from collections.abc import Mapping

from engine.rules.findings import MAX_EXACT
from engine.rules.model import Scalar

MAX_TEXT = 257
"""One more than a rule's longest text: a longer value equals no rule's text, whether it is cut here or not."""


def plain(value: object) -> Scalar | None:
    """``value`` as a number, a yes/no or a text that rules can compare, or None (then a rule does not know the metric).

    Numbers are IEEE doubles: infinite and not-a-number become None, integers beyond 2^53 are rounded.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return value if -MAX_EXACT <= value <= MAX_EXACT else _rounded(value)
    if isinstance(value, str):
        return _text(value[:MAX_TEXT])
    return None


def all_plain(values: Mapping[str, object]) -> Mapping[str, Scalar | None]:
    """``values``, each made plain: the same mapping when they are so already, as nearly every message's are."""
    for value in values.values():
        kind = type(value)
        if kind is float:
            if not -math.inf < value < math.inf:  # type: ignore[operator]
                break
        elif kind is int:
            if not -MAX_EXACT <= value <= MAX_EXACT:  # type: ignore[operator]
                break
        elif kind is not bool and (kind is not str or plain(value) is not value):
            break
    else:
        return values  # type: ignore[return-value]
    return {metric: plain(value) for metric, value in values.items()}


def _rounded(value: int) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None


def _text(value: str) -> str | None:
    """``value``, or None if Postgres could not keep it in a state: with NUL or with lone surrogates."""
    if "\x00" in value:
        return None
    try:
        value.isascii() or value.encode()
    except UnicodeEncodeError:
        return None
    return value
