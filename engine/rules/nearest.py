"""Which of the devices that a backtest plays came nearest to firing, so that they can be looked at if none has."""

from math import inf

from engine.rules.model import Leaf, Op, RuleDocument, leaves
from engine.rules.record import Record

MOST = 20
_RISING = frozenset({Op.GT, Op.GE})
_FALLING = frozenset({Op.LT, Op.LE})


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
