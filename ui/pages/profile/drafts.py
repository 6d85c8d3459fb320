"""The rows of the profile's form: from the contract into the form, and from the filled-in form back."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ui.naming import propose_key
from ui.pages.profiles import plain_number
from ui.words import METRIC_KEY

WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
FIELDS = ("key", "label", "type", "unit", "min", "max", "choices")
UNITS = {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400}
MAX_DAYS = 90
MAX_INTERVAL_S = 30 * 86_400
_CALLED = "begin with a letter, then letters, digits, _ or - (at most 64)."


class Unclear(Exception):
    """Something in the form cannot be used; the message says what, in words for the person who filled it in."""


@dataclass(frozen=True)
class ValueDraft:
    """A metric, an argument or a setting as a row of the form; `row` stays the same while it is edited.

    `is_ticked`: an argument is needed, a setting may be set.
    """

    row: str
    key: str = ""
    label: str = ""
    type: str = "NUMBER"
    unit: str = ""
    min: str = ""
    max: str = ""
    choices: str = ""
    is_ticked: bool = True


@dataclass(frozen=True)
class CommandDraft:
    """A command as a block of the form, with its arguments."""

    row: str
    key: str = ""
    label: str = ""
    description: str = ""
    timeout: str = "30"
    arguments: list[ValueDraft] = field(default_factory=list)


def value_draft(row: int, said: dict[str, Any]) -> ValueDraft:
    """A metric, argument or setting of the contract as a row of the form."""
    low, high = ("" if said[end] is None else plain_number(said[end]) for end in ("min", "max"))
    return ValueDraft(
        str(row),
        said.get("path", said.get("key", "")),
        said["label"] or "",
        said["type"],
        said["unit"] or "",
        low,
        high,
        ", ".join(said.get("choices", ())),
        bool(said.get("isRequired", said.get("isWritable", True))),
    )


def interval_words(seconds: int | None) -> tuple[str, str]:
    """An interval as an amount and its unit for the form: 300 is ("5", "minutes")."""
    if not seconds:
        return "", "seconds"
    unit = next(unit for unit in reversed(UNITS) if seconds % UNITS[unit] == 0)
    return str(seconds // UNITS[unit]), unit


def interval_of(amount: str, unit: str) -> int:
    """What was filled in, in seconds; 0 for nothing. Raises Unclear."""
    number = _number("The interval has", amount)
    seconds = 0 if number is None else round(number * UNITS[unit])
    if number is not None and not 1 <= seconds <= MAX_INTERVAL_S:
        raise Unclear("Devices report every second at the most, and every 30 days at the least.")
    return seconds


def days_of(text: str) -> int:
    """For how many days values are kept, as filled in; 0 for nothing. Raises Unclear."""
    if text and not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_DAYS):
        raise Unclear(f"Values are kept for 1 to {MAX_DAYS} days; leave the field empty for as long as all others.")
    return int(text or 0)


def metrics_of(rows: Sequence[ValueDraft], form: dict[str, Any]) -> list[dict[str, Any]]:
    """The form's rows as the contract's metrics; raises Unclear for the first one that cannot be used.

    A row left empty altogether counts as not there.
    """
    found = []
    for row in rows:
        said = _said(row.row, form)
        if said is None:
            continue
        key = said["key"]
        if not key:
            raise Unclear("One value has no name yet. Fill in the name that devices send, or remove the row.")
        if not METRIC_KEY.fullmatch(key):
            raise Unclear(
                f"“{key}” cannot be a name: begin with a letter, then letters, digits, . _ or - (at most 64)."
            )
        unit, low, high = _limits(said)
        found.append({"key": key, "type": said["type"], "label": said["label"] or None, "unit": unit})
        found[-1] |= {"min": low, "max": high}
    _each_once([each["key"] for each in found], "each value needs a name of its own")
    return found


def commands_of(blocks: Sequence[CommandDraft], form: dict[str, Any]) -> list[dict[str, Any]]:
    """The form's blocks as the contract's commands, keys that were left out made from names; raises Unclear."""
    found = []
    for block in blocks:
        parts = ("key", "label", "description", "timeout")
        said = {part: str(form.get(f"{part}-{block.row}", "")).strip() for part in parts}
        arguments = _arguments_of(block, said["label"] or said["key"] or "a command", form)
        if not any(said[part] for part in ("key", "label", "description")) and not arguments:
            continue
        key = said["key"] or propose_key(said["label"])
        if not WORD.fullmatch(key):
            raise Unclear(f"A command cannot be called “{key}”: {_CALLED}" if key else "One command has no name yet.")
        seconds = _number(f"The time to wait for “{key}” has", said["timeout"] or "30")
        if seconds is None or not 1 <= seconds <= 86_400:
            raise Unclear(f"“{key}” can be waited for from 1 second to a day (86,400 seconds).")
        found.append({"key": key, "label": said["label"] or None, "description": said["description"] or None})
        found[-1] |= {"timeoutS": round(seconds), "arguments": arguments}
    _each_once([each["key"] for each in found], "each command needs a name of its own")
    return found


def shadow_of(rows: Sequence[ValueDraft], form: dict[str, Any]) -> list[dict[str, Any]]:
    """The form's rows as the settings of the contract; raises Unclear for the first one that cannot be used."""
    found = []
    for row in rows:
        said = _said(row.row, form)
        if said is None:
            continue
        path = said["key"] or propose_key(said["label"])
        names = path.split(".")
        if len(names) > 5 or not all(WORD.fullmatch(name) for name in names):
            raise Unclear(
                f"A setting cannot be called “{path}”: {_CALLED} Up to five such names may be joined by dots."
            )
        is_writable = bool(form.get(f"is_ticked-{row.row}"))
        found.append({"path": path, **_described(said), "isWritable": is_writable})
    _each_once([each["path"] for each in found], "each setting needs a name of its own")
    return found


def _arguments_of(block: CommandDraft, called: str, form: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for row in block.arguments:
        said = _said(row.row, form)
        if said is None:
            continue
        key = said["key"] or propose_key(said["label"])
        if not WORD.fullmatch(key):
            raise Unclear(f"What “{called}” is told cannot be called “{key}”: {_CALLED}")
        found.append({"key": key, **_described(said), "isRequired": bool(form.get(f"is_ticked-{row.row}"))})
    _each_once([each["key"] for each in found], f"“{called}” is told each thing once")
    return found


def _said(row: str, form: dict[str, Any]) -> dict[str, str] | None:
    """What was filled into a row, or None if nothing was."""
    said = {name: str(form.get(f"{name}-{row}", "")).strip() for name in FIELDS}
    said["type"] = said["type"] or "NUMBER"
    return said if any(said[name] for name in FIELDS if name != "type") else None


def _described(said: dict[str, str]) -> dict[str, Any]:
    unit, low, high = _limits(said)
    choices = list(dict.fromkeys(part.strip() for part in said["choices"].split(",") if part.strip()))
    described = {"type": said["type"], "label": said["label"] or None, "unit": unit, "min": low, "max": high}
    return described | {"choices": choices if said["type"] == "STRING" else []}


def _limits(said: dict[str, str]) -> tuple[str | None, float | None, float | None]:
    """Unit, lowest and highest: they belong to numbers only."""
    if said["type"] != "NUMBER":
        return None, None, None
    called = said["key"] or said["label"]
    low, high = (_number(f"The limits of “{called}” have", said[end]) for end in ("min", "max"))
    if low is not None and high is not None and low >= high:
        raise Unclear(f"The lowest value of “{called}” has to be below its highest.")
    return said["unit"] or None, low, high


def _number(what: str, text: str) -> float | None:
    """A number as people write it; `what` begins the sentence that says that it is none."""
    plain = text.replace(" ", "").replace(",", "." if text.count(",") == 1 and "." not in text else "")
    if not plain:
        return None
    try:
        number = float(plain)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise Unclear(f"{what} to be {'numbers' if what.endswith('have') else 'a number'}; “{text}” is none.")
    return number


def _each_once(keys: Sequence[str], why: str) -> None:
    for place, key in enumerate(keys):
        if key in keys[:place]:
            raise Unclear(f"“{key}” is there twice; {why}.")
