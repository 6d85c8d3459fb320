"""Between which limits a device's next message leaves all rules as they stand, so that none of them need be asked.

A rule that compares newest values with constants changes its mind only where a value passes one of those constants. So
for each metric the constants of all rules that look at a message are put in order, once; the values of a message lie
in gaps between them, and the next message whose values lie in the same gaps is judged by every rule as this one was.
What comes of that depends on where the rules stand: whoever keeps gaps forgets them as soon as a rule moves.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import inf
from typing import Any, NamedTuple

from engine.rules.compile import CompiledRule
from engine.rules.findings import MAX_EXACT, is_number
from engine.rules.model import Leaf, Operand, leaves
from engine.rules.resolve import resolved
from engine.rules.values import plain

Limits = Mapping[str, tuple[float, ...]]
"""By metric: the numbers that rules compare it with, in order, each once; none where it is compared as yes or text."""


class Gaps(NamedTuple):
    """Where the values of a message lie. They bring every metric that is asked for here.

    ``numbers``: metrics whose number is greater than the one and less than the other. ``others``: metrics that are
    judged so as long as they stay exactly what they are.
    """

    numbers: tuple[tuple[str, float, float], ...]
    others: tuple[tuple[str, Any], ...]

    def hold(self, values: Mapping[str, Any]) -> bool:
        """Whether these values lie there too."""
        for metric, low, high in self.numbers:
            value = values[metric]
            kind = type(value)
            if (kind is not float and kind is not int) or not low < value < high:
                return False
        for metric, one in self.others:
            value = values[metric]
            if type(value) is not type(one) or value != one:
                return False
        return True


@lru_cache(maxsize=16_384)
def limits_of(rule: CompiledRule) -> Limits | None:
    """What makes the rule's condition true or not, in the profile's units; None where that is not constants alone."""
    found: dict[str, set[float]] = {}
    for _, leaf in leaves(resolved(rule.document.when, rule.vocabulary)):
        if not isinstance(leaf, Leaf) or leaf.how is not None or isinstance(leaf.value, Operand):
            return None
        values = leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)
        found.setdefault(leaf.metric, set()).update(value for value in values if is_number(value))
    return {metric: tuple(sorted(each)) for metric, each in found.items()}


def limits_of_all(rules: Iterable[CompiledRule]) -> Limits | None:
    """As ``limits_of``, for all these rules together."""
    found: dict[str, set[float]] = {}
    for rule in rules:
        limits = limits_of(rule)
        if limits is None:
            return None
        for metric, each in limits.items():
            found.setdefault(metric, set()).update(each)
    return {metric: tuple(sorted(each)) for metric, each in found.items()}


def gaps_at(limits: Limits, values: Mapping[str, Any]) -> Gaps | None:
    """Where these values lie; None where one of them is a limit itself, or nothing that rules can compare.

    Beyond what doubles hold exactly every message is looked at: there rounding may make a number a limit.
    """
    numbers, others = [], []
    for metric, cuts in limits.items():
        value = plain(values[metric])
        if value is None:
            return None
        if not is_number(value):
            others.append((metric, value))
            continue
        above = bisect_left(cuts, value)
        if above < len(cuts) and cuts[above] == value:
            return None
        low, high = (-inf, *cuts)[above], (*cuts, inf)[above]
        numbers.append((metric, max(low, -MAX_EXACT), min(high, MAX_EXACT)))
    return Gaps(tuple(numbers), tuple(others))
