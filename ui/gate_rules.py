"""A rule at the gate as lines to fill in: which new devices come in, wait, are turned away, or belong elsewhere."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# What a line may ask about; the second is what the line's field is for.
ASKS = (
    ("key_starts", "its key begins with", "pump-"),
    ("key_ends", "its key ends with", "-test"),
    ("key_is", "its key is one of", "pump-7, pump-8"),
    ("label_is", "it says of itself that", "7"),
    ("label_missing", "it does not say its", ""),
    ("subject_starts", "the name in its certificate begins with", "batch-5"),
    ("address_starts", "it comes from an address that begins with", "10.0."),
)
THENS = (
    ("in", "it comes in"),
    ("approval", "somebody has to say yes"),
    ("refuse", "it is turned away"),
    ("profile", "it gets the profile"),
    ("group", "it is put into the group"),
)
MAX_LINES = 20


@dataclass(frozen=True)
class GateLine:
    """One line: if a device is like this, then that follows."""

    number: int
    ask: str = "key_starts"
    label: str = ""
    value: str = ""
    then: str = "approval"
    extra: str = ""  # the words of a refusal, or the key of a profile or group


@dataclass(frozen=True)
class Verdict:
    """What the rule would do to one device, in words; `is_old`: the rule was changed since."""

    words: str
    is_in: bool
    is_old: bool = False


class TooClever(Exception):
    """The rule says more than lines can show; it has to be looked at as it is."""


def document(lines: Iterable[GateLine], otherwise: GateLine) -> dict[str, Any]:
    """The rule that the lines describe; raises ValueError with words to show."""
    cases = [{"when": _when(line), "then": _then(line)} for line in lines]
    return {"cases": cases, "otherwise": _then(otherwise)}


def lines_of(rule: Mapping[str, Any] | None) -> tuple[list[GateLine], GateLine]:
    """The lines of a rule, and what happens otherwise; raises TooClever for a rule that was not made of lines."""
    if not rule:
        return [], GateLine(0, then="in")
    lines = [_line(number, case) for number, case in enumerate(rule["cases"], 1)]
    then, extra = _read_then(rule["otherwise"])
    return lines, GateLine(0, then=then, extra=extra)


def verdict_words(found: Mapping[str, Any]) -> Verdict:
    """What the contract says would become of a device."""
    if not found["admits"]:
        return Verdict(f"It would be turned away: “{found['refusal']}”.", False)
    come = "It would wait until somebody says yes" if found["needsApproval"] else "It would come in"
    where = [f"with the profile “{found['profile']}”"] if found["profile"] else []
    where += [f"into the group “{key}”" for key in found["groups"]]
    return Verdict(" ".join([come, *where]) + ".", True)


def summary(rule: Mapping[str, Any] | None) -> str:
    """A rule in half a sentence, for the list."""
    if not rule:
        return ""
    count = len(rule["cases"])
    return f"asks {count} question{'s' if count != 1 else ''} at the door" if count else "treats all alike at the door"


def _when(line: GateLine) -> dict[str, Any]:
    value, label = line.value.strip(), line.label.strip()
    if line.ask.startswith("label") and not label:
        raise ValueError(f"Line {line.number}: please say which label, for example “site”.")
    if line.ask == "label_missing":
        return {"!": [{"exists": ["labels", label]}]}
    if not value:
        raise ValueError(f"Line {line.number}: please fill it in, or take it away.")
    if line.ask == "label_is":
        return {"and": [{"exists": ["labels", label]}, {"===": [{"val": ["labels", label]}, value]}]}
    if line.ask == "key_is":
        return {"in": [{"var": "device"}, [each.strip() for each in value.split(",") if each.strip()]]}
    what, _, how = line.ask.partition("_")
    asked = {"key": "device", "subject": "subject", "address": "address"}[what]
    return {f"{how}_with": [{"var": asked}, value]}


def _then(line: GateLine) -> dict[str, Any]:
    extra, where = line.extra.strip(), f"Line {line.number}" if line.number else "Otherwise"
    if line.then in ("refuse", "profile", "group") and not extra:
        missing = "what the device is told" if line.then == "refuse" else f"which {line.then}"
        raise ValueError(f"{where}: please say {missing}.")
    thens: dict[str, dict[str, Any]] = {
        "approval": {"approval": True},
        "refuse": {"refuse": extra},
        "profile": {"profile": extra},
        "group": {"groups": [extra]},
    }
    return thens.get(line.then, {})


def _line(number: int, case: Mapping[str, Any]) -> GateLine:
    then, extra = _read_then(case["then"])
    for found in _guesses(case["when"]):
        line = GateLine(number, **found, then=then, extra=extra)
        if _when(line) == case["when"]:
            return line
    raise TooClever


def _guesses(when: Any) -> Iterable[dict[str, str]]:
    """What a condition may have been made from; each guess is checked by making it again."""
    try:
        ((name, args),) = when.items()
        if name == "!":
            yield {"ask": "label_missing", "label": str(args[0]["exists"][1])}
        elif name == "and":
            yield {"ask": "label_is", "label": str(args[0]["exists"][1]), "value": str(args[1]["==="][1])}
        elif name == "in":
            yield {"ask": "key_is", "value": ", ".join(args[1])}
        elif name in ("starts_with", "ends_with"):
            what = {"device": "key"}.get(args[0]["var"], args[0]["var"])
            yield {"ask": f"{what}_{name.removesuffix('_with')}", "value": str(args[1])}
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return


def _read_then(then: Mapping[str, Any]) -> tuple[str, str]:
    if not then:
        return "in", ""
    if len(then) > 1 or len(then.get("groups", [""])) > 1:
        raise TooClever
    ((name, value),) = then.items()
    if name == "groups":
        return "group", str(value[0]) if value else ""
    return name, "" if name == "approval" else str(value)
