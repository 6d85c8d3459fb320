"""Conditions and actions in plain English, piece by piece: "the average temperature over 5 minutes is above 8 °C"."""

import re
from collections.abc import Mapping, Sequence
from math import floor, isfinite, log10

from engine.devices.yes_no import YesNo, yes_no
from engine.rules.conditions import is_over_midnight
from engine.rules.findings import UNITS_MS, is_number
from engine.rules.logic import normal
from engine.rules.model import (
    SITE,
    AddTag,
    Aggregate,
    All,
    AnyLeaf,
    AnyOf,
    AttributeLeaf,
    AttributeValue,
    CallWebhook,
    Changed,
    Circle,
    Condition,
    Derived,
    DeriveMetric,
    DeviceEvent,
    Duration,
    Fn,
    InGroup,
    Leaf,
    MetricType,
    Not,
    Notify,
    OfProfile,
    Online,
    Op,
    Operand,
    OtherMetric,
    Past,
    Place,
    Polygon,
    RaiseAlert,
    Rate,
    RemoveTag,
    SendCommand,
    SetAttribute,
    Severity,
    Silence,
    Stuck,
    Tagged,
    Then,
    TimeOfDay,
    Whereabouts,
    WindowValue,
)
from engine.rules.resolve import unit_of
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
MOST_DIGITS = 15
NAMED_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day"}
DAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")
_OF_WINDOW = {Fn.AVG: "the average {}", Fn.MIN: "the lowest {}", Fn.MAX: "the highest {}", Fn.SUM: "the sum of {}"}
_OF_LAST = {Fn.AVG: "the average", Fn.MIN: "the lowest", Fn.MAX: "the highest", Fn.SUM: "the sum"}
_AREA: Mapping[Whereabouts, tuple[str, str, str, str]] = {  # so, not so, was so, was not so
    Whereabouts.INSIDE: ("it is inside", "it is outside", "it was inside", "it was outside"),
    Whereabouts.OUTSIDE: ("it is outside", "it is inside", "it was outside", "it was inside"),
    Whereabouts.ENTERED: ("it enters", "it does not enter", "it entered", "it did not enter"),
    Whereabouts.LEFT: ("it leaves", "it does not leave", "it left", "it did not leave"),
}


_STEP = re.compile(r"\[(\d+)\]|\.([^.\[]+)")
_LISTS = ("all", "any")
_FIELDS: Mapping[str, str] = {
    "name": "its name",
    "severity": "how bad it is",
    "scope": "which devices it watches",
    "trigger": "when it is looked at",
    "when": "its condition",
    "for": "how long it waits",
    "clear": "when it is over",
    "missing": "what it does when values stay away",
    "then": "what it does",
    "on_clear": "what it does when it is over",
    "limits": "how often it fires",
    "tests": "its tests",
}


def phrase(condition: Condition, vocabulary: Vocabulary) -> str:
    """The condition in words: "temperature is above 8 °C and either mode is "a" or lamp is on"."""
    return _phrase(normal(condition), vocabulary, 0)


def _phrase(condition: Condition, vocabulary: Vocabulary, depth: int) -> str:
    match condition:
        case All(of=parts) | AnyOf(of=parts):
            if len(parts) == 1:
                return _phrase(parts[0], vocabulary, depth)
            words = ("and", "both", "all of") if isinstance(condition, All) else ("or", "either", "any of")
            together, pair, many = words
            text = listed([_phrase(part, vocabulary, depth + 1) for part in parts], together)
            if depth == 0:
                return text
            return f"{pair} {text}" if depth == 1 and len(parts) == 2 else f"{many} ({text})"
        case Not(of=inner):
            if isinstance(inner, All | AnyOf | Not):
                raise ValueError("a condition must be in normal form to be put into words")
            return leaf_phrase(inner, vocabulary, is_so=False)
        case leaf:
            return leaf_phrase(leaf, vocabulary)


def leaf_phrase(leaf: AnyLeaf, vocabulary: Vocabulary, *, is_so: bool = True, is_past: bool = False) -> str:
    """One leaf, or its opposite, in words: "nothing was heard of it for 30 minutes"."""
    is_ = "was" if is_past else "is"
    be = is_ if is_so else f"{is_} not"
    match leaf:
        case Leaf():
            return f"{subject(leaf, vocabulary)} {is_} {compared(leaf, vocabulary)}"
        case AttributeLeaf(attribute=key):
            return f"its {spoken(key)} {is_} {compared(leaf, vocabulary)}"
        case Changed(metric=key, over=over):
            have = ("had" if is_past else "has") + ("" if is_so else " not")
            return f"{name(key, vocabulary)} {have} changed within {spelled(over)}"
        case Stuck():
            return _stuck(leaf, vocabulary, is_so, is_past)
        case Tagged(tag=tag):
            return f"it {be} tagged “{tag}”"
        case InGroup(group=group):
            return f"it {be} in the group “{vocabulary.group_names.get(group, group)}”"
        case OfProfile(profile=profile):
            return f"it {be} of the profile “{vocabulary.profile_names.get(profile, profile)}”"
        case TimeOfDay():
            return f"it {be} {time_phrase(leaf)}"
        case Place():
            return _place(leaf, is_so, is_past)
        case Silence(held_for=held_for):
            said = "nothing was heard of it for" if is_so else "something was heard of it within"
            return f"{said} {spelled(held_for)}"
        case Online(is_online=is_online):
            return f"it {is_} {'online' if is_online is is_so else 'offline'}"
        case DeviceEvent(type=kind):
            came = "came" if is_past else "comes"
            return f"{'an' if is_so else 'no'} event “{kind}” {came}"


def subject(leaf: Leaf, vocabulary: Vocabulary) -> str:
    """What a comparison asks about: "the average temperature over 5 minutes"; "door" of "door open"."""
    if isinstance(leaf.value, bool):
        return said_yes_no(leaf.metric, vocabulary).subject
    return derived_phrase(leaf.metric, leaf.how, vocabulary)


def said_yes_no(key: str, vocabulary: Vocabulary) -> YesNo:
    """How a yes/no metric is said."""
    metric = vocabulary.metrics.get(key)
    return yes_no(key, None if metric is None else metric.label)


def derived_phrase(metric: str, how: Derived | None, vocabulary: Vocabulary) -> str:
    """A metric, or what is derived from it, in words."""
    called = name(metric, vocabulary)
    match how:
        case None:
            return called
        case Aggregate(fn=Fn.COUNT, over=None, last=last):
            return f"the number of the last {last} values of {called}"
        case Aggregate(fn=Fn.COUNT, over=Duration() as over):
            return f"the number of values of {called} in {spelled(over)}"
        case Aggregate(fn=fn, over=Duration() as over):
            return f"{_OF_WINDOW[fn].format(called)} over {spelled(over)}"
        case Aggregate(fn=fn, last=last):
            return f"{_OF_LAST[fn]} of the last {last} values of {called}"
        case Rate(per=per, over=over):
            every = NAMED_UNITS[per.text[-1]] if int(per.text[:-1]) == 1 else spelled(per)
            return f"the change of {called} per {every} over {spelled(over)}"
        case _:
            return f"the change of {called} over {spelled(how.over or Duration('', 0))}"


def compared(leaf: Leaf | AttributeLeaf, vocabulary: Vocabulary) -> str:
    """How a leaf compares, without what it asks about: ``above 8 °C``."""
    if isinstance(leaf.value, bool):
        asked = leaf.value is (leaf.op is Op.EQ)  # "is closed" rather than "is not open"
        if isinstance(leaf, AttributeLeaf):
            return value_text(asked)
        return said_yes_no(leaf.metric, vocabulary).state(asked)
    unit = _unit_written(leaf, vocabulary)
    word = f"{COMPARED[leaf.op]} " if leaf.op in COMPARED else ""
    if isinstance(leaf, Leaf) and isinstance(leaf.value, Operand):
        return word + _operand(leaf.metric, leaf.value, unit, vocabulary)
    values = [value_text(value) for value in (leaf.value if isinstance(leaf.value, tuple) else (leaf.value,))]
    together = {Op.BETWEEN: "and", Op.OUTSIDE: "to"}.get(leaf.op, "or")
    return word + listed(values, together) + unit


def _unit_written(leaf: Leaf | AttributeLeaf, vocabulary: Vocabulary) -> str:
    if isinstance(leaf, AttributeLeaf):
        return ""
    return unit_sign(leaf.unit or unit_of(leaf.metric, leaf.how, vocabulary))


def _operand(metric: str, operand: Operand, unit: str, vocabulary: Vocabulary) -> str:
    match operand:
        case AttributeValue(attribute=key):
            return f"its {spoken(key)}"
        case Past(metric=other, ago=ago):
            called = "its value" if other == metric else name(other, vocabulary)
            return f"{called} {spelled(ago)} ago"
        case OtherMetric(metric=other, plus=plus, times=times):
            text = name(other, vocabulary)
            text = text if times is None else f"{value_text(times)} times {text}"
            if not plus:
                return text
            return f"{text} {'plus' if plus > 0 else 'minus'} {value_text(abs(plus))}{unit}"


def _stuck(leaf: Stuck, vocabulary: Vocabulary, is_so: bool, is_past: bool) -> str:
    called, have = name(leaf.metric, vocabulary), "had" if is_past else "has"
    metric = vocabulary.metrics.get(leaf.metric)
    moved = "moved" if metric is None or metric.type is MetricType.NUMBER else "changed"
    if leaf.within:
        moved += f" by more than {value_text(leaf.within)}{unit_sign(unit_of(leaf.metric, None, vocabulary))}"
    if is_so:
        return f"{called} {have} not {moved} for {spelled(leaf.held_for)}"
    return f"{called} {have} {moved} within {spelled(leaf.held_for)}"


def _place(leaf: Place, is_so: bool, is_past: bool) -> str:
    return f"{_AREA[leaf.is_][2 * is_past + (not is_so)]} {area(leaf.of)}"


def area(shape: Circle | Polygon) -> str:
    """An area in words: "the 500 m around 52.52, 13.405"."""
    if isinstance(shape, Polygon):
        return f"the area with {len(shape.corners)} corners"
    return f"the {value_text(shape.radius_m)} m around {value_text(shape.lat)}, {value_text(shape.lon)}"


def time_phrase(time: TimeOfDay) -> str:
    """A time of day in words: "between 06:00 and 22:00 on weekdays (site's time)"."""
    said = []
    if time.start is not None or time.end is not None:
        start, end = time.start or "00:00", time.end or "24:00"
        over = " the next day" if is_over_midnight(time) and time.days is not None else ""
        if time.end is None:
            said.append(f"after {start}")
        else:
            said.append(f"before {end}" if time.start is None else f"between {start} and {end}{over}")
    if time.days is not None:
        said.append(_days(time.days))
    return f"{' '.join(said)} ({zone(time.tz)})"


def _days(days: Sequence[int]) -> str:
    chosen = set(days)
    if chosen == set(range(1, 8)):
        return "on any day"
    if chosen == {1, 2, 3, 4, 5}:
        return "on weekdays"
    if chosen == {6, 7}:
        return "at weekends"
    return f"on {listed([DAYS[day - 1] for day in sorted(chosen)], 'and')}"


def zone(tz: str | None) -> str:
    """A time zone in words."""
    if tz in (None, SITE):
        return "site's time"
    return "UTC" if tz == "UTC" else f"{tz} time"


def action_phrase(then: Then, severity: Severity, vocabulary: Vocabulary) -> str:
    """One action in words: "raise a major alert"."""
    match then:
        case RaiseAlert():
            return f"raise {'an' if severity is Severity.INFO else 'a'} {severity} alert"
        case Notify(policy=policy):
            return f"notify “{vocabulary.policy_names.get(policy, policy)}”"
        case CallWebhook(channel=channel):
            return f"call the webhook “{vocabulary.channel_names.get(channel, channel)}”"
        case SendCommand(command=command, arguments=arguments, device=device):
            told = [f"{key} {value_text(value)}" for key, value in arguments or ()]
            with_ = f" with {listed(told, 'and')}" if told else ""
            return f"send the command “{command}”{with_}{'' if device is None else ' to another device'}"
        case SetAttribute(attribute=attribute, value=value):
            return f"set its {spoken(attribute)} to {value_text(value)}"
        case AddTag(tag=tag):
            return f"tag it “{tag}”"
        case RemoveTag(tag=tag):
            return f"take the tag “{tag}” off"
        case DeriveMetric(metric=metric, value=value):
            return f"write {_made_of(value, vocabulary)} as {name(metric, vocabulary)}"


def _made_of(value: float | OtherMetric | WindowValue, vocabulary: Vocabulary) -> str:
    match value:
        case WindowValue(metric=metric, how=how):
            return derived_phrase(metric, how, vocabulary)
        case OtherMetric(metric=metric):
            return _operand("", value, unit_sign(unit_of(metric, None, vocabulary)), vocabulary)
        case number:
            return value_text(number)


def spelled(duration: Duration) -> str:
    """A duration as its author wrote it, in words: "90 seconds"."""
    return counted(int(duration.text[:-1]), NAMED_UNITS[duration.text[-1]])


def spelled_ms(length_ms: int) -> str:
    """A length of time by its two largest units: "1 hour 30 minutes"."""
    seconds, parts = max(1, round(length_ms / 1000)), []
    for unit in reversed(UNITS_MS):
        count, seconds = divmod(seconds, UNITS_MS[unit] // 1000)
        if count:
            parts.append(counted(count, NAMED_UNITS[unit]))
    return " ".join(parts[:2])


def place(path: str) -> str:
    """A place of a document, ``$.when.all[1].metric``, in words: "in its condition, part 2, “metric”"."""
    steps = _STEP.findall(path)
    if not steps:
        return "in the document as a whole"
    (_, first), *rest = steps
    said, holder = [_FIELDS.get(first, f"“{first}”")], first
    for at, key in rest:
        if at:
            said.append(f"{'part' if holder in _LISTS else 'number'} {int(at) + 1}")
        elif key == "when":
            said.append(_FIELDS[key])
        elif key not in (*_LISTS, "not"):
            said.append(f"“{key}”")
        holder = key or holder
    return f"in {', '.join(said)}"


def counted(count: int, noun: str) -> str:
    """So many of something: "1 day", "2 days"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def name(key: str, vocabulary: Vocabulary) -> str:
    """How people call a metric in the middle of a sentence; abbreviations keep their capitals."""
    metric = vocabulary.metrics.get(key)
    called = (metric.label if metric is not None else None) or spoken(key)
    return called[0].lower() + called[1:] if called[1:2].islower() else called


def spoken(key: str) -> str:
    """A key as people say it."""
    return key.replace("_", " ")


def unit_sign(unit: str | None) -> str:
    """A unit as it stands behind a number, with the blank before it."""
    return "" if not unit else f" {SIGNS.get(unit, unit)}"


def value_text(value: object) -> str:
    """A value as people write it: yes/no words, quoted texts, numbers of at most six digits after the point."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not is_number(value):
        return f"“{value}”"
    rounded = f"{value:.6g}"
    return rounded if "e" not in rounded and float(rounded) != int(value) else f"{value:.15g}"


def seen_text(value: object, beside: Sequence[object] = ()) -> str:
    """A value that was seen, with the digits that mean something, and those that tell it from what it is held against.

    77.2496 is "77.25"; beside a limit of 8, 8.0004 is "8.0004", since nobody would believe that 8 is above 8.
    """
    if not is_number(value) or not isfinite(value):
        return value_text(value)
    size = abs(value)
    digits = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 or not size else 2 - floor(log10(size))
    others = [other for other in beside if is_number(other)]
    for shown in range(digits, max(digits, MOST_DIGITS) + 1):
        text = f"{round(value, shown):.15g}"
        if all(_side(float(text), each) == _side(value, each) for each in others):
            return text
    return repr(value)


def _side(value: float, limit: float) -> int:
    return (value > limit) - (value < limit)


def listed(parts: Sequence[str], together: str) -> str:
    """Parts as a list in a sentence: "a, b and c"."""
    if len(parts) == 1:
        return parts[0]
    return f"{', '.join(parts[:-1])} {together} {parts[-1]}"
