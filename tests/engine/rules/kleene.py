"""The tests' reference: an independent interpreter of conditions, from the JSON, in Kleene's three-valued logic.

It shares no code with the engine: it walks the document itself, and compares with Python's own operators.
"""

import math
import operator
from collections.abc import Mapping
from typing import Any

_COMPARE = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "between": lambda seen, ends: ends[0] <= seen <= ends[1],
    "outside": lambda seen, ends: not ends[0] <= seen <= ends[1],
    "in": lambda seen, choices: seen in choices,
    "not in": lambda seen, choices: seen not in choices,
}


def kleene(condition: Mapping[str, Any], values: Mapping[str, object], types: Mapping[str, str]) -> bool | None:
    """True, False, or None for unknown; ``types`` gives number, boolean or string for every metric."""
    if "not" in condition:
        inner = kleene(condition["not"], values, types)
        return None if inner is None else not inner
    if "all" in condition:
        verdicts = [kleene(part, values, types) for part in condition["all"]]
        return False if any(v is False for v in verdicts) else None if None in verdicts else True
    if "any" in condition:
        verdicts = [kleene(part, values, types) for part in condition["any"]]
        return True if any(v is True for v in verdicts) else None if None in verdicts else False
    seen = _seen(values.get(condition["metric"]), types[condition["metric"]])
    return None if seen is None else bool(_COMPARE[condition["op"]](seen, condition["value"]))


def _seen(value: object, kind: str) -> bool | float | str | None:
    """The value if it is one of its type, numbers as doubles."""
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if kind == "string":
        is_text = isinstance(value, str) and "\x00" not in value
        return value if is_text and value.encode(errors="ignore").decode() == value else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(float(value)) else None
    except OverflowError:
        return None
