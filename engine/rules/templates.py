"""Rules to begin with: a document with holes, what may go into each hole, and the rule that comes of filling them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import Any

from engine.rules.errors import Problem, RuleInvalid
from engine.rules.findings import clip, closest
from engine.rules.model import MetricType
from engine.rules.phrases import listed, unit_sign
from engine.rules.vocabulary import Metric, Vocabulary
from engine.units import conversion

HOLE = "hole"
"""In a template's document ``{"hole": "limit"}`` stands where the choice for ``limit`` goes."""

_VAGUE = ("percent", "ppm")


class HoleKind(StrEnum):
    """What goes into a hole."""

    METRIC = "metric"
    NUMBER = "number"
    DURATION = "duration"
    CLOCK = "clock"
    TEXT = "text"
    CIRCLE = "circle"


@dataclass(frozen=True, slots=True)
class Hole:
    """One thing to choose. ``default`` is what is taken where nothing is chosen; None: something has to be.

    For a metric ``type`` and ``unit`` say which fit (a unit that can be turned into it), and ``words`` how such a
    metric is often called. For a number ``unit`` is the one it is given in; ``follows`` names a hole before it that it
    stays as far from as the defaults are.
    """

    key: str
    kind: HoleKind
    label: str
    default: Any = None
    unit: str | None = None
    type: MetricType = MetricType.NUMBER
    words: tuple[str, ...] = ()
    follows: str | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """A rule to begin with. ``icon`` is the name of a Lucide icon."""

    key: str
    title: str
    description: str
    icon: str
    severity: str
    holes: tuple[Hole, ...]
    rule: Mapping[str, Any]

    @property
    def metric_holes(self) -> tuple[Hole, ...]:
        """The holes that want a metric of the profile."""
        return tuple(hole for hole in self.holes if hole.kind is HoleKind.METRIC)


def fill(
    template: Template,
    choices: Mapping[str, Any],
    vocabulary: Vocabulary,
    *,
    profile: str | None = None,
    policy: str | None = None,
) -> dict[str, Any]:
    """The document that ``choices`` (by hole) make of ``template``, for devices of ``profile``.

    What is not chosen is the hole's default, or the metric that fits best. With ``policy`` people are notified too.
    Raises RuleInvalid where a choice is unknown or missing; whether its value is right is asked of the document.
    """
    chosen = _chosen(template, choices, vocabulary)
    then = [{"do": "alert"}]
    if policy is not None:
        then.append({"do": "notify", "policy": policy, "message": "{device}: {rule} ({value})"})
    filled = _filled(template.rule, chosen, vocabulary)
    return {
        "v": 1,
        "name": template.title,
        "description": template.description,
        "severity": template.severity,
        "scope": {"profile": profile},
        **filled,
        "then": then,
    }


def fitting(hole: Hole, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The metrics that may go into ``hole``, the likeliest first."""
    fit = [metric for metric in vocabulary.metrics.values() if _fits(hole, metric)]
    return tuple(metric.key for metric in sorted(fit, key=lambda metric: -_likeness(hole, metric)))


def is_fitting(template: Template, vocabulary: Vocabulary) -> bool:
    """Whether a profile has what the template needs: for each hole a metric of its own."""
    return not _lacking(template, vocabulary)


def lack(template: Template, vocabulary: Vocabulary) -> str | None:
    """What a profile lacks: "Nothing measured here looks like “Flow” in l/min."; None where the template fits."""
    if not (holes := _lacking(template, vocabulary)):
        return None
    return f"Nothing measured here looks like {listed([_wanted(hole) for hole in holes], 'or')}."


def _lacking(template: Template, vocabulary: Vocabulary) -> list[Hole]:
    taken: list[str] = []
    missing = []
    for hole in template.metric_holes:
        found = _taken(hole, vocabulary, taken)
        if found is None:
            missing.append(hole)
        else:
            taken.append(found)
    return missing


_KINDS = {MetricType.BOOLEAN: " (yes or no)", MetricType.STRING: " (a text)", MetricType.OBJECT: " (a place)"}


def _wanted(hole: Hole) -> str:
    return f"“{hole.label}”" + (_KINDS.get(hole.type, "") if hole.unit is None else f" in{unit_sign(hole.unit)}")


def _chosen(template: Template, choices: Mapping[str, Any], vocabulary: Vocabulary) -> dict[str, Any]:
    keys = [hole.key for hole in template.holes]
    problems = [
        Problem(f"$.choices.{clip(key)}", "There is no such choice here.", closest(key, keys))
        for key in choices
        if key not in keys
    ]
    chosen: dict[str, Any] = {}
    for hole in template.holes:
        value = choices.get(hole.key)
        if value is None and hole.follows is not None:
            value = _following(hole, next(each for each in template.holes if each.key == hole.follows), chosen)
        if value is None:
            value = _taken(hole, vocabulary, chosen.values())
        if value is None:
            what = "Add such a metric to the device profile." if hole.kind is HoleKind.METRIC else None
            problems.append(Problem(f"$.choices.{hole.key}", f"“{hole.label}” has to be chosen.", what))
        chosen[hole.key] = value
    if problems:
        raise RuleInvalid(problems)
    return chosen


def _following(hole: Hole, followed: Hole, chosen: Mapping[str, Any]) -> Any:
    """As far from what was chosen there as the defaults are; None where that is no number, which is said there."""
    value = chosen.get(followed.key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    moved = round(value + hole.default - followed.default, 9)
    return min(max(moved, 0), 100) if hole.unit == "percent" else moved


def _taken(hole: Hole, vocabulary: Vocabulary, taken: Iterable[Any]) -> Any:
    if hole.kind is not HoleKind.METRIC:
        return hole.default
    others = {each for each in taken if isinstance(each, str)}
    return next((key for key in _likely(hole, vocabulary) if key not in others), None)


def _likely(hole: Hole, vocabulary: Vocabulary) -> list[str]:
    """The fitting metrics that may be taken unasked: percent may be anything, so its name has to say what it is."""
    found = [vocabulary.metrics[key] for key in fitting(hole, vocabulary)]
    return [metric.key for metric in found if _likeness(hole, metric) > 0 or _says_enough(hole, metric)]


def _says_enough(hole: Hole, metric: Metric) -> bool:
    return not hole.words or (hole.unit not in (*_VAGUE, None) and metric.unit is not None)


def _fits(hole: Hole, metric: Metric) -> bool:
    if metric.type is not hole.type:
        return False
    return hole.unit is None or metric.unit is None or conversion(hole.unit, metric.unit) is not None


def _likeness(hole: Hole, metric: Metric) -> int:
    """How much a metric's name sounds like what goes into the hole: the number of words met, first words count more."""
    said = f"{metric.key} {metric.label or ''}".lower()
    return sum(len(hole.words) - at for at, word in enumerate(hole.words) if word in said)


def _filled(node: Any, chosen: Mapping[str, Any], vocabulary: Vocabulary) -> Any:
    """``node`` with its holes filled; what is chosen is taken as it is and not looked into."""
    if isinstance(node, list):
        return [_filled(part, chosen, vocabulary) for part in node]
    if not isinstance(node, Mapping):
        return node
    if node.keys() == {HOLE}:
        return chosen[node[HOLE]]
    filled = {key: _filled(part, chosen, vocabulary) for key, part in node.items()}
    key = filled.get("metric")
    metric = vocabulary.metrics.get(key) if "unit" in filled and isinstance(key, str) else None
    if metric is not None and metric.unit in (None, filled["unit"]):
        del filled["unit"]  # it is the metric's own, or the metric could not be given in any
    return filled
