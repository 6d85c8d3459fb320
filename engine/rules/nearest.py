"""How near a rule came to firing: which devices of a backtest came nearest, and whether one look was a near miss."""

from collections.abc import Mapping
from math import inf
from typing import Any

from engine.rules.compile import CompiledRule
from engine.rules.conditions import derived_json
from engine.rules.findings import is_number
from engine.rules.model import Leaf, Op, RuleDocument, leaves
from engine.rules.record import Record
from engine.rules.resolve import resolved

MOST = 20
_RISING = frozenset({Op.GT, Op.GE})
_FALLING = frozenset({Op.LT, Op.LE})
_ORDERED = frozenset(op.value for op in (*_RISING, *_FALLING, Op.BETWEEN, Op.OUTSIDE))
_HOW = frozenset({"agg", "rate", "delta"})
_NEAR_OF_LIMIT, _NEAR_OF_RANGE = 0.1, 0.05


class Nearest:
    """The devices with data, by how far their values went to where the rule's first limit lies.

    Only the order of values is asked, so units do not matter.
    """

    def __init__(self, document: RuleDocument) -> None:
        limits = (leaf for _, leaf in leaves(document.when) if isinstance(leaf, Leaf) and leaf.op in _RISING | _FALLING)
        first = next(limits, None)
        self._metric = None if first is None else first.metric
        self._is_falling = first is not None and first.op in _FALLING
        self._met: list[tuple[float, str]] = []

    def meet(self, device: str, sent: Record) -> None:
        """This device has sent that."""
        if not sent:
            return
        seen = sent.columns.get(self._metric, ()) if self._metric else ()
        numbers = [value for value in seen if type(value) is float or type(value) is int]
        reached = min(numbers, default=inf) if self._is_falling else -max(numbers, default=-inf)
        self._met.append((reached, device))
        if len(self._met) > 2 * MOST:
            self._cut()

    @property
    def first(self) -> tuple[str, ...]:
        """The nearest ones, nearest first."""
        self._cut()
        return tuple(device for _, device in self._met)

    def _cut(self) -> None:
        self._met.sort()
        del self._met[MOST:]


def is_near_miss(rule: CompiledRule, tree: Mapping[str, Any]) -> bool:
    """Whether all but one of several parts were so, and that one almost; ``tree`` explains the rule's condition."""
    return len(tree.get("all", ())) > 1 and _is_near(rule, tree)


def _is_near(rule: CompiledRule, tree: Mapping[str, Any]) -> bool:
    """Whether what is not so almost is. What has no order is so or not: nothing is nearer to it than something else."""
    if tree["is"] is not False:
        return False  # what nobody knows is not almost so
    if "any" in tree:
        return any(_is_near(rule, part) for part in tree["any"])
    if "all" in tree:
        lacking = [part for part in tree["all"] if part["is"] is not True]
        return len(lacking) == 1 and _is_near(rule, lacking[0])
    leaf = tree.get("not", tree)
    seen, limits = leaf.get("seen"), _limits(leaf)
    if not limits or not is_number(seen):
        return True
    limit = min(limits, key=lambda each: abs(each - seen))
    return abs(limit - seen) <= _width(rule, leaf, limit)


def _limits(leaf: Mapping[str, Any]) -> list[float]:
    """What a comparison by order is held against, in the profile's unit; none where it asks something else."""
    if leaf.get("op") not in _ORDERED:
        return []
    value = leaf["value"]
    if isinstance(value, Mapping):
        other = leaf.get("against")
        return [other * value.get("times", 1) + value.get("plus", 0)] if is_number(other) else []
    return [each for each in (value if isinstance(value, list | tuple) else [value]) if is_number(each)]


def _width(rule: CompiledRule, leaf: Mapping[str, Any], limit: float) -> float:
    """How far from a limit is near: within the band that the rule's author left between its begin and its end.

    Where no end of its own says that, a part of what the metric can be at all; and else a part of the limit itself.
    """
    clear, metric = rule.document.clear, rule.vocabulary.metrics.get(leaf["metric"])
    if clear is not None:
        ends = (each for _, each in leaves(resolved(clear.when, rule.vocabulary)) if isinstance(each, Leaf))
        for end in ends:
            asked = {"metric": end.metric, **derived_json(end.how)}
            if is_number(end.value) and all(leaf.get(key) == each for key, each in asked.items()):
                return abs(limit - float(end.value))
    if metric is not None and metric.min is not None and metric.max is not None and not _HOW & leaf.keys():
        return _NEAR_OF_RANGE * (metric.max - metric.min)
    return _NEAR_OF_LIMIT * abs(limit)
