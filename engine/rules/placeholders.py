"""Placeholders in the texts of a rule: "{device} is at {value}", plain substitution and nothing else."""

import re
from collections.abc import Iterator, Mapping

from engine.rules.errors import Problem
from engine.rules.findings import clip, closest

KNOWN: Mapping[str, str] = {
    "device": "the device's name",
    "device.key": "the key under which the device sends",
    "rule": "the rule's name",
    "severity": "how bad it is",
    "value": "the value that made the rule fire; in a message with its unit",
    "time": "when it fired, in the site's time",
}
PREFIXES = ("metric:", "attribute:")
UNKNOWN = "—"
"""What stands for a value that is not known."""
MAX_TOLD = 3
_HOLE = re.compile(r"\{([^{}]*)\}")


def names_in(text: str) -> tuple[str, ...]:
    """The placeholders in ``text`` without their braces, in order, each once."""
    return tuple(dict.fromkeys(match[1] for match in _HOLE.finditer(text)))


def problems_in(text: str, path: str) -> Iterator[Problem]:
    """What is wrong with the placeholders of ``text``; whether its metrics exist is asked of the vocabulary."""
    told = 0
    for name in names_in(text):
        if told == MAX_TOLD:
            return
        if name in KNOWN or any(name.startswith(prefix) and len(name) > len(prefix) for prefix in PREFIXES):
            continue
        told += 1
        known = [*KNOWN, "metric:…", "attribute:…"]
        suggestion = closest(name, known) or f"There are: {', '.join('{' + each + '}' for each in known)}."
        yield Problem(path, f"There is no placeholder “{{{clip(name)}}}”.", suggestion)


def metrics_in(text: str) -> tuple[str, ...]:
    """The metrics that the placeholders of ``text`` name."""
    return tuple(name.removeprefix("metric:") for name in names_in(text) if name.startswith("metric:"))


def render(text: str, facts: Mapping[str, str]) -> str:
    """``text`` with its placeholders replaced by ``facts`` (by the name in the braces); what is not there is a dash.

    What is put in is not looked at again, so that a device called "{rule}" stays one.
    """
    return _HOLE.sub(lambda match: facts.get(match[1], UNKNOWN), text)
