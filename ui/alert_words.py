"""An alert in words: why its rule fired, part by part, what happened to it since, and until when it is quiet."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import floor, log10
from typing import Any

from ui.channels import KINDS, STATES
from ui.command_words import plain
from ui.words import unit, words

COMPARED: Mapping[str, str] = {
    "==": "",
    "!=": "not ",
    "<": "below ",
    "<=": "at most ",
    ">": "above ",
    ">=": "at least ",
    "between": "between ",
    "outside": "outside ",
    "in": "one of ",
    "not in": "none of ",
}
VERDICTS: Mapping[Any, str] = {True: "yes", False: "no", None: "unknown"}
MOST_DIGITS = 15
MOST_DRAWN = 3
_SPANS = {"s": "second", "m": "minute", "h": "hour", "d": "day"}
_WINDOWS = {"avg": "the average {}", "min": "the lowest {}", "max": "the highest {}", "sum": "the sum of {}"}
_AREAS = {"inside": "it is inside", "outside": "it is outside", "entered": "it enters", "left": "it leaves"}
_DAYS = dict(enumerate(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), 1))

# Kind of happening → what is said of it, `{by}` being who did it.
HAPPENED: Mapping[str, tuple[str, str]] = {
    "ACKNOWLEDGED": ("{by} took note of it", "check"),
    "ASSIGNED": ("{by} gave it to", "user-round"),
    "COMMENTED": ("{by} wrote", "message-square"),
    "SNOOZED": ("{by} put it off", "alarm-clock"),
    "WOKEN": ("{by} ended the putting-off", "bell"),
    "SILENCED": ("Nobody was told, because of a silence", "bell-off"),
    "TOLD": ("It was sent out", "send"),
    "NOT_TOLD": ("Nobody was told", "circle-alert"),
}


@dataclass(frozen=True)
class WhyLine:
    """One part of a rule's condition: what was asked, what was seen, and whether it was so. `depth` from 0."""

    depth: int
    words: str
    seen: str
    verdict: str
    is_group: bool


@dataclass(frozen=True)
class Sent:
    """One message that went out about an alert: by which channel to whom, and what became of it."""

    id: str
    channel: str
    place: str
    stand: str
    badge: str
    ended_at: str
    trouble: str


@dataclass(frozen=True)
class Happened:
    """One entry of an alert's history, with what went out by it."""

    at: str
    kind: str
    icon: str
    words: str
    text: str
    sent: list[Sent] = field(default_factory=list)


@dataclass(frozen=True)
class Metric:
    """A metric as people call it. `when_true` and `when_false`: what a yes/no says, "door is open"; else ''."""

    label: str
    unit: str
    type: str
    when_true: str = ""
    when_false: str = ""


@dataclass(frozen=True)
class Drawn:
    """A metric as the chart takes it. `limits`: what it was held against."""

    key: str
    label: str
    unit: str
    type: str
    limits: list[float]


def metrics_of(profile: Mapping[str, Any]) -> dict[str, Metric]:
    """A profile's metrics by key."""
    return {
        each["key"]: Metric(
            each["label"] or words(each["key"]),
            unit(each["unit"]),
            each["type"],
            each.get("whenTrue") or "",
            each.get("whenFalse") or "",
        )
        for each in profile["metrics"]
    }


def why_lines(tree: Any, metrics: Mapping[str, Metric]) -> list[WhyLine]:
    """The explained condition (`Alert.why`) from top to bottom; nothing for a form that is not known here."""
    return list(_lines(tree, metrics, 0)) if isinstance(tree, Mapping) else []


def _lines(node: Mapping[str, Any], metrics: Mapping[str, Metric], depth: int) -> Iterator[WhyLine]:
    verdict = VERDICTS.get(node.get("is"), "unknown")
    for name, said in (("all", "All of these"), ("any", "At least one of these")):
        if isinstance(parts := node.get(name), list):
            if len(parts) > 1:
                yield WhyLine(depth, said, "", verdict, True)
            for part in parts:
                yield from _lines(part, metrics, depth + (len(parts) > 1))
            return
    inner = node.get("not")
    if isinstance(inner, Mapping) and not {"all", "any", "not"} & inner.keys():
        yield WhyLine(depth, _capital(_opposite(inner, metrics)), _seen(inner, metrics), verdict, False)
        return
    if isinstance(inner, Mapping):
        yield WhyLine(depth, "Not so:", "", verdict, True)
        yield from _lines(inner, metrics, depth + 1)
        return
    yield WhyLine(depth, _capital(_leaf(node, metrics)), _seen(node, metrics), verdict, False)


def _leaf(leaf: Mapping[str, Any], metrics: Mapping[str, Metric]) -> str:
    """What one comparison asks, as the rule's own sentence has it."""
    called = _called(str(leaf.get("metric", "")), metrics)
    match leaf:
        case {"metric": _, "missing": after}:
            return f"no {called} came for {span(after)}"
        case {"metric": _, "changed": {"over": over}}:
            return f"{called} has changed within {span(over)}"
        case {"metric": _, "stuck": {"for": held}}:
            return f"{called} stays the same for {span(held)}"
        case {"metric": key, "value": bool(value)} if said := _says(key, value is (leaf.get("op") == "=="), metrics):
            return said
        case {"metric": _}:
            return f"{_subject(leaf, called)} is {_compared(leaf, metrics)}"
        case {"attribute": key}:
            return f"its {words(str(key)).lower()} is {_compared(leaf, metrics)}"
        case {"tag": tag}:
            return f"it is tagged “{tag}”"
        case {"group": _}:
            return "it is in the rule's group"
        case {"profile": profile}:
            return f"it is of the profile “{profile}”"
        case {"time": time}:
            return _time(time)
        case {"place": {"is": is_}}:
            return f"{_AREAS.get(is_, 'it is in')} the area"
        case {"silence": held}:
            return f"nothing was heard of it for {span(held)}"
        case {"presence": presence}:
            return f"it is {presence}"
        case {"event": kind}:
            return f"an event “{kind}” comes"
    return "a condition that this page does not know"


def _says(key: Any, value: bool, metrics: Mapping[str, Metric]) -> str:
    """What a yes/no metric says by this value: "door is open"; '' where nobody worded it."""
    metric = metrics.get(str(key))
    return "" if metric is None else metric.when_true if value else metric.when_false


def _opposite(leaf: Mapping[str, Any], metrics: Mapping[str, Metric]) -> str:
    """What a comparison asks that must not be so: "door open is no", "it is not offline"."""
    if isinstance(leaf.get("value"), bool):
        return _leaf({**leaf, "value": not leaf["value"]}, metrics)
    said = _leaf(leaf, metrics)
    return said.replace(" is ", " is not ", 1) if " is " in said else f"not so: {said}"


def _subject(leaf: Mapping[str, Any], called: str) -> str:
    if isinstance(window := leaf.get("agg"), Mapping):
        fn, last = window.get("fn"), window.get("last")
        over = f" over {span(window['over'])}" if window.get("over") else ""
        if fn == "count":
            return f"the number of values of {called}{over or f' among the last {last}'}"
        what = _WINDOWS.get(str(fn), "{}")
        return what.format(called) + (over or f", of the last {last} values")
    if isinstance(rate := leaf.get("rate"), Mapping):
        return f"the change of {called} per {span(rate['per']).removeprefix('1 ')} over {span(rate['over'])}"
    if isinstance(delta := leaf.get("delta"), Mapping):
        return f"the change of {called} over {span(delta['over'])}"
    return called


def _compared(leaf: Mapping[str, Any], metrics: Mapping[str, Metric]) -> str:
    op, value = str(leaf.get("op")), leaf.get("value")
    sign = unit(leaf.get("unit"))
    behind = f" {sign}" if sign else ""
    if isinstance(value, bool):
        return "yes" if value is (op == "==") else "no"
    if isinstance(value, Mapping):
        against = leaf.get("against")
        seen = "" if against is None else f" ({_measured(against, leaf.get('seen'))}{behind})"
        return COMPARED.get(op, "") + _other(value, leaf, metrics) + seen
    if isinstance(value, list):
        together = {"between": " and ", "outside": " to "}.get(op, ", ")
        return COMPARED.get(op, "") + together.join(_value(each) for each in value) + behind
    return f"{COMPARED.get(op, '')}{_value(value)}{behind}"


def _other(value: Mapping[str, Any], leaf: Mapping[str, Any], metrics: Mapping[str, Metric]) -> str:
    if "attribute" in value:
        return f"its {words(str(value['attribute'])).lower()}"
    called = _called(str(value.get("metric", "")), metrics)
    if "ago" in value:
        return f"{'its value' if value.get('metric') == leaf.get('metric') else called} {span(value['ago'])} ago"
    times = f"{_value(value['times'])} times " if value.get("times") not in (None, 1) else ""
    plus = value.get("plus") or 0
    return times + called + (f" {'+' if plus > 0 else '-'} {_value(abs(plus))}" if plus else "")


def _time(time: Mapping[str, Any]) -> str:
    days = ", ".join(_DAYS.get(each, str(each)) for each in time.get("days") or [])
    hours = f"between {time['from']} and {time['to']}" if time.get("from") and time.get("to") else ""
    zone = str(time.get("tz") or "").replace("_", " ").rpartition("/")[2]
    said = " on ".join(filter(None, (hours, days))) or "any time"
    return f"it is {said}" + (f" ({zone})" if zone and hours else "")


def _seen(leaf: Mapping[str, Any], metrics: Mapping[str, Metric]) -> str:
    """What was seen where the rule looked; of a question with no value (an event, a place) its answer says all."""
    if not {"metric", "attribute"} & leaf.keys() or "missing" in leaf:
        return ""
    if leaf.get("seen") is None:
        return "no value was known"
    if "changed" in leaf or "stuck" in leaf:
        return ""
    if isinstance(leaf["seen"], bool) and (said := _says(leaf.get("metric"), leaf["seen"], metrics)):
        return f"seen: {said.partition(' is ')[2]}"
    sign = unit(leaf.get("unit"))
    told = f" {sign}" if sign and not isinstance(leaf["seen"], bool | str) else ""
    return f"seen: {_measured(leaf['seen'], leaf.get('value'), leaf.get('against'))}{told}"


def _measured(value: Any, *beside: Any) -> str:
    """A value with the digits that mean something, and those that tell it from what it was held against."""
    if not _is_number(value):
        return _value(value)
    size = abs(value)
    least = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 or not size else 2 - floor(log10(size))
    limits = [each for one in beside for each in _listed(one) if _is_number(each)]
    digits = least
    while digits < MOST_DIGITS and any(_side(round(value, digits), each) != _side(value, each) for each in limits):
        digits += 1
    return f"{round(value, digits):.15g}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _side(value: float, limit: float) -> int:
    return (value > limit) - (value < limit)


def _value(value: Any) -> str:
    """A value as somebody wrote it into the rule."""
    if isinstance(value, float):
        return f"{value:.15g}"
    return f"“{value}”" if isinstance(value, str) else plain(value)


def _called(key: str, metrics: Mapping[str, Metric]) -> str:
    label = metrics[key].label if key in metrics else words(key)
    is_name = label[1:2].isupper()  # CO2, pH stay as they are
    return label if is_name else label[:1].lower() + label[1:]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def span(text: Any) -> str:
    """A rule's span of time in words: `90s` is "90 seconds", `1h` is "1 hour"."""
    match = re.fullmatch(r"(\d+)([smhd])", str(text))
    if not match:
        return str(text)
    count, name = int(match[1]), _SPANS[match[2]]
    return f"{count} {name}" + ("" if count == 1 else "s")


def drawn(tree: Any, metrics: Mapping[str, Metric]) -> list[Drawn]:
    """The metrics that made a condition what it is, each with the limits it was held against; the first few.

    Of one that nothing made so, whatever it compares. Texts cannot be drawn, nor what is gone from the profile.
    """
    if not isinstance(tree, Mapping):
        return []
    found: dict[str, list[float]] = {}
    for leaf in list(_deciding(tree)) or list(_leaves(tree)):
        for key, limits in _compares(leaf):
            known = found.setdefault(key, [])
            known += [each for each in limits if each not in known]
    shown = [(key, metrics[key]) for key in found if key in metrics and metrics[key].type in ("NUMBER", "BOOLEAN")]
    return [Drawn(key, one.label, one.unit, one.type, found[key]) for key, one in shown[:MOST_DRAWN]]


def _leaves(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    inner = [node["not"]] if isinstance(node.get("not"), Mapping) else node.get("all") or node.get("any")
    if not isinstance(inner, list):
        yield node
        return
    for part in inner:
        yield from _leaves(part)


def _deciding(node: Mapping[str, Any], verdict: bool = True) -> Iterator[Mapping[str, Any]]:
    """The comparisons by which a condition is `verdict`: of a group those parts that are so themselves."""
    if node.get("is") is not verdict:
        return
    if isinstance(inner := node.get("not"), Mapping):
        yield from _deciding(inner, not verdict)
        return
    parts = node.get("all") or node.get("any")
    if not isinstance(parts, list):
        yield node
        return
    for part in parts:
        yield from _deciding(part, verdict)


def _compares(leaf: Mapping[str, Any]) -> Iterator[tuple[str, list[float]]]:
    """A comparison's metrics, with the limits that lie on the same scale: those of changes and of counts do not."""
    if not isinstance(key := leaf.get("metric"), str):
        return
    value, window = leaf.get("value"), leaf.get("agg")
    is_other = bool({"rate", "delta"} & leaf.keys()) or (
        isinstance(window, Mapping) and window.get("fn") in ("sum", "count")
    )
    yield key, [] if is_other else [float(each) for each in _listed(value) if _is_number(each)]
    if isinstance(value, Mapping) and isinstance(value.get("metric"), str):
        yield value["metric"], []


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def happened(entry: Mapping[str, Any]) -> Happened:
    """An entry of the history in words."""
    kind, text = entry["kind"], entry["text"] or ""
    said, icon = HAPPENED.get(kind, (f"{words(kind.lower())} by {{by}}", "circle"))
    who = "The platform" if entry["by"] == "system" else entry["by"]
    line = said.format(by=who)
    if kind == "ASSIGNED":
        line, text = (f"{line} {text}" if text else f"{who} took it from whoever had it"), ""
    return Happened(entry["at"], kind, icon, line, text)


def masked(kind: str, target: str) -> str:
    """Where something went, without telling a whole address or number to whoever reads over one's shoulder."""
    name, at, domain = target.rpartition("@")
    if kind == "EMAIL" and at:
        return f"{name[:1]}…@{domain}"
    return f"{target[:3]}…{target[-3:]}" if kind == "SMS" and len(target) > 6 else target


def sent(delivery: Mapping[str, Any]) -> Sent:
    """A delivery of the contract as the entry of an alert's history shows it."""
    state, badge = STATES.get(delivery["state"], (delivery["state"].lower(), "badge"))
    by = KINDS.get(delivery["kind"], ("Message", "", ""))[0]
    return Sent(
        delivery["id"],
        f"{by} “{delivery['channelName']}”" if delivery["channelName"] else by,
        masked(delivery["kind"], delivery["target"]),
        state,
        badge,
        delivery["endedAt"] or "",
        delivery["lastError"] or "" if delivery["state"] != "DELIVERED" else "",
    )


def with_sent(entries: Sequence[Happened], deliveries: Sequence[Mapping[str, Any]]) -> list[Happened]:
    """The history, each entry with what it sent out: that was made at its moment. Of two entries of one moment the
    first has it all."""
    by_moment: dict[str, list[Sent]] = {}
    for each in deliveries:
        by_moment.setdefault(each["createdAt"], []).append(sent(each))
    return [
        replace(each, sent=by_moment.pop(each.at, [])) if each.kind in ("TOLD", "NOT_TOLD") else each
        for each in entries
    ]


def minutes_until(moment: str) -> int:
    """Whole minutes from now until a moment given as ISO 8601, at least one; ValueError for anything else."""
    left = (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds() / 60
    return max(1, round(left))
