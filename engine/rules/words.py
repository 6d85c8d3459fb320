"""Rules and alerts in plain English: one sentence for a rule, one for why an alert was raised, one for why it ended."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from engine.clock import from_ms
from engine.rules.compile import CompiledRule
from engine.rules.explain import explain
from engine.rules.findings import UNITS_MS, is_number
from engine.rules.logic import normal
from engine.rules.model import All, AnyOf, Condition, Duration, Leaf, Op, RuleDocument, Severity
from engine.rules.state import Clear, EndReason, Known, Raise
from engine.rules.vocabulary import Vocabulary

COMPARED: Mapping[Op, str] = {
    Op.NE: "not",
    Op.LT: "below",
    Op.LE: "at most",
    Op.GT: "above",
    Op.GE: "at least",
    Op.BETWEEN: "between",
    Op.OUTSIDE: "outside",
    Op.IN: "one of",
    Op.NOT_IN: "none of",
}
SIGNS: Mapping[str, str] = {
    "degC": "°C",
    "degF": "°F",
    "deg": "°",
    "percent": "%",
    "ohm": "Ω",
    "m2": "m²",
    "m3": "m³",
    "m3/h": "m³/h",
    "m/s2": "m/s²",
    "ug/m3": "µg/m³",
    "mg/m3": "mg/m³",
}
NAMED_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day"}


def sentence(document: RuleDocument, vocabulary: Vocabulary) -> str:
    """The rule as one sentence: "When temperature is above 8 °C for 10 minutes, raise a major alert; it clears …"."""
    article = "an" if document.severity is Severity.INFO else "a"
    text = f"When {_held(document.when, document.held_for, vocabulary)}, raise {article} {document.severity} alert"
    if document.clear is None:
        text += "; it clears when that is no longer so"
    else:
        text += f"; it clears when {_held(document.clear.when, document.clear.held_for, vocabulary)}"
    if document.limits is not None and document.limits.cooldown is not None:
        text += f", and no new one is raised for {_spelled(document.limits.cooldown)} after that"
    return text + "."


def why_raised(rule: CompiledRule, action: Raise) -> str:
    """Why it was raised, and the values seen: "temperature was 9.2 °C, above 8 °C, for 10 minutes since 14:02 UTC"."""
    return _evidence(rule.document.when, rule, action.seen) + _when(action.since, action.at, rule.document.held_for)


def why_cleared(rule: CompiledRule, action: Clear) -> str:
    """Why the alert ended: the values that cleared it, or what was done to its rule."""
    if action.reason is EndReason.RULE_CHANGED:
        return "the rule was changed"
    if action.reason is EndReason.RULE_STOPPED:
        return "the rule no longer watches this device"
    clear = rule.document.clear
    condition = normal(rule.document.when, negated=True) if clear is None else clear.when
    held_for = None if clear is None else clear.held_for
    return _evidence(condition, rule, action.seen) + _when(action.since, action.at, held_for)


def phrase(condition: Condition, vocabulary: Vocabulary) -> str:
    """The condition in words: "temperature is above 8 °C and either door is "open" or lamp is yes"."""
    return _phrase(normal(condition), vocabulary, 0)


def _held(condition: Condition, held_for: Duration | None, vocabulary: Vocabulary) -> str:
    text = phrase(condition, vocabulary)
    if held_for is None:
        return text
    comma = "," if isinstance(normal(condition), All | AnyOf) else ""  # "a or b, for 2 minutes" means both
    return f"{text}{comma} for {_spelled(held_for)}"


def _phrase(condition: Condition, vocabulary: Vocabulary, depth: int) -> str:
    if isinstance(condition, Leaf):
        return f"{_name(condition.metric, vocabulary)} is {_compared(condition, vocabulary)}"
    if not isinstance(condition, All | AnyOf):
        raise ValueError("a condition must be in normal form to be put into words")
    if len(condition.of) == 1:
        return _phrase(condition.of[0], vocabulary, depth)
    together, pair, many = ("and", "both", "all of") if isinstance(condition, All) else ("or", "either", "any of")
    text = _listed([_phrase(part, vocabulary, depth + 1) for part in condition.of], together)
    if depth == 0:
        return text
    return f"{pair} {text}" if depth == 1 and len(condition.of) == 2 else f"{many} ({text})"


def _compared(leaf: Leaf, vocabulary: Vocabulary) -> str:
    """How a metric is compared, without its name: ``above 8 °C``."""
    if isinstance(leaf.value, bool):
        return _value(leaf.value is (leaf.op is Op.EQ))  # "is no" rather than "is not yes"
    metric = vocabulary.metrics.get(leaf.metric)
    unit = "" if metric is None else _unit(metric.unit)
    values = [_value(value) for value in (leaf.value if isinstance(leaf.value, tuple) else (leaf.value,))]
    word = f"{COMPARED[leaf.op]} " if leaf.op in COMPARED else ""
    together = {Op.BETWEEN: "and", Op.OUTSIDE: "to"}.get(leaf.op, "or")
    return word + _listed(values, together) + unit


def _evidence(condition: Condition, rule: CompiledRule, seen: Mapping[str, Known]) -> str:
    """The comparisons that made ``condition`` true, with what was seen."""
    plain = normal(condition)
    facts = [_fact(leaf, rule.vocabulary, seen) for leaf in _true_leaves(plain, explain(plain, rule.vocabulary, seen))]
    if not facts:  # only if somebody else changed what was seen; an alert must be raised all the same
        return "its condition was met,"
    *others, last = dict.fromkeys(facts)
    text = f"{', '.join(others)}, and {last}" if others else last
    return f"{text}," if ", " in last else text


def _true_leaves(condition: Condition, tree: Mapping[str, Any]) -> Iterator[Leaf]:
    """The leaves that a true condition rests on; ``tree`` explains ``condition``, which is in normal form."""
    if tree["is"] is not True:
        return
    if isinstance(condition, Leaf):
        yield condition
    elif isinstance(condition, All | AnyOf):
        branches = tree["all" if isinstance(condition, All) else "any"]
        for part, branch in zip(condition.of, branches, strict=True):
            yield from _true_leaves(part, branch)


def _fact(leaf: Leaf, vocabulary: Vocabulary, seen: Mapping[str, Known]) -> str:
    name, metric = _name(leaf.metric, vocabulary), vocabulary.metrics[leaf.metric]
    was = f"{name} was {_value(seen[leaf.metric].value)}{_unit(metric.unit)}"
    return was if leaf.op is Op.EQ or isinstance(leaf.value, bool) else f"{was}, {_compared(leaf, vocabulary)}"


def _when(since: int, at: int, held_for: Duration | None) -> str:
    begun, ended = from_ms(since), from_ms(at)
    if at <= since:
        return f" at {_clock(ended, ended)}"
    lasted = _spelled(held_for) if held_for is not None and held_for.ms == at - since else spelled_ms(at - since)
    return f" for {lasted} since {_clock(begun, ended)}"


def _clock(at: datetime, beside: datetime) -> str:
    """The time of day; with the date if it is not the day of ``beside``."""
    day = "" if at.date() == beside.date() else f"{at.day} {at:%b %Y} "
    return f"{day}{at:%H:%M} UTC"


def _spelled(duration: Duration) -> str:
    return _counted(int(duration.text[:-1]), NAMED_UNITS[duration.text[-1]])


def spelled_ms(length_ms: int) -> str:
    """A length of time by its two largest units: "1 hour 30 minutes"."""
    seconds, parts = max(1, round(length_ms / 1000)), []
    for unit in reversed(UNITS_MS):
        count, seconds = divmod(seconds, UNITS_MS[unit] // 1000)
        if count:
            parts.append(_counted(count, NAMED_UNITS[unit]))
    return " ".join(parts[:2])


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _name(key: str, vocabulary: Vocabulary) -> str:
    """How people call a metric in the middle of a sentence; abbreviations keep their capitals."""
    metric = vocabulary.metrics.get(key)
    name = (metric.label if metric is not None else None) or key.replace("_", " ")
    return name[0].lower() + name[1:] if name[1:2].islower() else name


def _unit(unit: str | None) -> str:
    return "" if not unit else f" {SIGNS.get(unit, unit)}"


def _value(value: object) -> str:
    """A value as people write it: yes/no words, quoted texts, numbers of at most six digits after the point."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not is_number(value):
        return f'"{value}"'
    rounded = f"{value:.6g}"
    return rounded if "e" not in rounded and float(rounded) != int(value) else f"{value:.15g}"


def _listed(parts: Sequence[str], together: str) -> str:
    if len(parts) == 1:
        return parts[0]
    return f"{', '.join(parts[:-1])} {together} {parts[-1]}"
