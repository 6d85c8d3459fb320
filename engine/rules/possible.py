"""Whether a condition can be true at all: walks it with what is already settled about each fact it reads."""

from collections.abc import Mapping
from typing import TypeAlias

from engine.rules.inputs import left
from engine.rules.model import All, AnyLeaf, AnyOf, AttributeLeaf, Condition, Leaf, Not, Online, Place, Whereabouts
from engine.rules.reach import Choices, Reach, reach_of

Clash: TypeAlias = tuple[tuple[AnyLeaf, bool], ...]
"""Leaves that exclude each other, each with whether it is meant the other way round."""
Context: TypeAlias = Mapping[str, tuple[Reach, Clash]]
"""What is settled, by the input's name: the values left, and the leaves that left them."""
MAX_VISITS = 2_000


class Possible:
    """Walks conditions in the profile's units. Sound, not complete: what it calls impossible is, the rest may be."""

    def __init__(self) -> None:
        self.clash: Clash | None = None
        self.unreachable: list[tuple[str, Clash | None]] = []
        self._path: str | None = None
        self._visits = 0

    def clash_path(self, otherwise: str) -> str:
        """Where the clash was met."""
        return self._path or otherwise

    def walk(
        self, condition: Condition, path: str, *, negated: bool = False, context: Context | None = None
    ) -> Context | None:
        """What is settled if ``condition`` (or its opposite) is true beside ``context``; None if it cannot be."""
        context = {} if context is None else context
        self._visits += 1
        if self._visits > MAX_VISITS:
            return context
        match condition:
            case Not(of=inner):
                return self.walk(inner, f"{path}.not", negated=not negated, context=context)
            case All(of=parts) | AnyOf(of=parts):
                word = "all" if isinstance(condition, All) else "any"
                placed = [(part, f"{path}.{word}[{at}]") for at, part in enumerate(parts)]
                if isinstance(condition, All) is not negated:
                    return self._together(placed, negated, context)
                return self._either(placed, negated, context)
            case leaf:
                return self._leaf(leaf, path, negated, context)

    def _together(self, parts: list[tuple[Condition, str]], negated: bool, context: Context) -> Context | None:
        """All of ``parts``; simple ones first, so that branches are judged beside all that is settled."""
        settled: Context | None = context
        for part, path in sorted(parts, key=lambda each: isinstance(each[0], All | AnyOf | Not)):
            settled = self.walk(part, path, negated=negated, context=settled)
            if settled is None:
                return None
        return settled

    def _either(self, parts: list[tuple[Condition, str]], negated: bool, context: Context) -> Context | None:
        found: list[Context] = []
        lost: list[tuple[str, Clash | None]] = []
        for part, path in parts:
            settled = self.walk(part, path, negated=negated, context=context)
            if settled is None:
                lost.append((path, self.clash))
            else:
                found.append(settled)
        if not found:
            return None
        self.unreachable += lost
        return found[0] if len(found) == 1 else context

    def _leaf(self, leaf: AnyLeaf, path: str, negated: bool, context: Context) -> Context | None:
        reach = _reach(leaf, negated)
        if reach is None:
            return context
        key = _subject(leaf, reach)
        before = context.get(key)
        left_over = reach if before is None else before[0].cut(reach)
        leaves = (*(() if before is None else before[1]), (leaf, negated))
        if left_over.is_empty:
            self.clash, self._path = leaves, path
            return None
        return {**context, key: (left_over, leaves)}


def _reach(leaf: AnyLeaf, negated: bool) -> Reach | None:
    if isinstance(leaf, Leaf | AttributeLeaf):
        return reach_of(leaf, negated=negated)
    is_so = not negated
    if leaf == Online(False) or (isinstance(leaf, Place) and leaf.is_ is Whereabouts.OUTSIDE):
        is_so = not is_so
    return Choices(frozenset({is_so}), is_boolean=True)


def _subject(leaf: AnyLeaf, reach: Reach) -> str:
    """What a leaf is about; an attribute by the type it is compared as, since another type is unknown, not false."""
    name = left(leaf).name
    kind = "boolean" if isinstance(reach, Choices) and reach.is_boolean else type(reach).__name__
    return f"{name}\t{kind}" if isinstance(leaf, AttributeLeaf) else name
