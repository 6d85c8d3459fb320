"""Rules against each other: two that want different things of one device, and circles that set themselves off."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TypeAlias

from engine.rules.fights import Wish, at_once, may_meet, rivals, told, wishes
from engine.rules.inputs import inputs_of
from engine.rules.model import (
    AddTag,
    AttributeLeaf,
    DeriveMetric,
    OtherMetric,
    RemoveTag,
    RuleDocument,
    SetAttribute,
    Tagged,
    WindowValue,
)

MAX_TOLD = 10
MAX_RIVALS = 200
"""How many rules for one actuator are looked at closely; a tenant with more of them has been told before."""
Thing: TypeAlias = tuple[str, str]
"""What rules read and write: ("metric" | "attribute" | "tag", its key)."""


class Neighbour:
    """Another rule of the same tenant; what it reads and writes is found out once."""

    def __init__(self, name: str, document: RuleDocument) -> None:
        self.name = name
        self.document = document

    @cached_property
    def wishes(self) -> tuple[Wish, ...]:
        """What it wants of devices."""
        return wishes(self.document)

    @cached_property
    def reads(self) -> frozenset[Thing]:
        """What decides whether it does anything."""
        return read(self.document)

    @cached_property
    def writes(self) -> dict[Thing, str]:
        """What it changes."""
        return written(self.document)


@dataclass(frozen=True, slots=True)
class Feud:
    """One conflict between rules. ``weight`` is problem, warning or hint."""

    weight: str
    path: str
    message: str
    suggestion: str


def feuds(
    document: RuleDocument, others: Sequence[Neighbour], profiles: Mapping[str, str] | None = None
) -> Iterator[Feud]:
    """The conflicts of ``document`` with itself and with ``others``.

    ``profiles``: the profile's key of devices that commands name, as far as it is known.
    """
    yield from islice(_fights(document, others, profiles or {}), MAX_TOLD)
    yield from islice(_circles(document, others), MAX_TOLD)


def touches_others(document: RuleDocument) -> bool:
    """Whether it moves anything that another rule may read or move too."""
    return bool(wishes(document))


def _fights(document: RuleDocument, others: Sequence[Neighbour], profiles: Mapping[str, str]) -> Iterator[Feud]:
    """The surest first: two commands whose names do not tell that they are opposites are but a hint."""
    found = islice(_rivals(document, others, profiles), MAX_TOLD * MAX_TOLD)
    for mine, theirs, name, is_sure in sorted(found, key=lambda each: not each[3]):
        if is_sure:
            message = f"The rule “{name}” wants something else: it {told(theirs)}, this one {told(mine)}."
            suggestion = "Let the conditions exclude each other, or keep one of the two."
            yield Feud("warning", mine.path, message, suggestion)
        else:
            message = f"The rule “{name}” commands the same device: it {told(theirs)}, this one {told(mine)}."
            yield Feud("hint", mine.path, message, "See whether the two go together when both conditions hold.")


def _rivals(
    document: RuleDocument, others: Sequence[Neighbour], profiles: Mapping[str, str]
) -> Iterator[tuple[Wish, Wish, str, bool]]:
    """What ``document`` wants, what another rule wants at the same time, its name, and whether that is beyond doubt."""
    looked_at = 0
    for other in others:
        for mine in wishes(document):
            for theirs, is_sure in rivals(mine, document, other.wishes, other.document, profiles):
                looked_at += 1
                if looked_at > MAX_RIVALS:
                    return
                if at_once(mine, document, theirs, other.document):
                    yield mine, theirs, other.name, is_sure
                    break  # one quarrel with this rule about this is enough


def written(document: RuleDocument) -> dict[Thing, str]:
    """What a rule changes, with the path of the action that does."""
    found: dict[Thing, str] = {}
    for path, then in document.actions:
        match then:
            case SetAttribute(attribute=key):
                found.setdefault(("attribute", key), path)
            case AddTag(tag=key) | RemoveTag(tag=key):
                found.setdefault(("tag", key), path)
            case DeriveMetric(metric=key):
                found.setdefault(("metric", key), path)
    return found


def read(document: RuleDocument) -> frozenset[Thing]:
    """What decides whether a rule does anything: its conditions, its scope and what it derives from."""
    inputs = inputs_of(*(condition for _, condition in document.conditions))
    found = {("metric", each.metric) for each in inputs if each.metric is not None}
    found |= {(str(each.kind), each.key) for each in inputs if each.key is not None}
    found |= {("tag", tag) for tag in document.scope.tags or ()}
    for fact in document.scope.where or ():
        match fact:
            case AttributeLeaf(attribute=key):
                found.add(("attribute", key))
            case Tagged(tag=key):
                found.add(("tag", key))
    for _, then in document.actions:
        if isinstance(then, DeriveMetric) and isinstance(then.value, OtherMetric | WindowValue):
            found.add(("metric", then.value.metric))
    return frozenset(found)


def _circles(document: RuleDocument, others: Sequence[Neighbour]) -> Iterator[Feud]:
    mine, wanted = written(document), read(document)
    for thing in mine.keys() & wanted:
        kind, key = thing
        weight = "problem" if kind == "metric" else "warning"
        message = f"It changes the {kind} “{key}”, which it reads itself: it may set itself off again and again."
        yield Feud(weight, mine[thing], message, f"Write to another {kind}, or do not read this one.")
    if not mine:
        return
    links: dict[Thing, list[tuple[str, dict[Thing, str]]]] = {}
    for each in others:
        if each.writes and may_meet(document.scope, each.document.scope):
            for thing in each.reads:
                links.setdefault(thing, []).append((each.name, each.writes))
    for start, path in mine.items():
        names = _way_back(start, wanted, links)
        if names:
            around = " → ".join(["this rule", *(f"“{each}”" for each in names), "this rule"])
            message = f"These rules set each other off in a circle: {around}, by the {start[0]} “{start[1]}”."
            yield Feud("warning", path, message, "Take one of them out of the circle.")


def _way_back(
    start: Thing, wanted: frozenset[Thing], links: Mapping[Thing, list[tuple[str, dict[Thing, str]]]]
) -> list[str] | None:
    """The names of the rules over which a change of ``start`` comes to something of ``wanted``, the shortest way."""
    waiting: deque[tuple[Thing, list[str]]] = deque([(start, [])])
    met = {start}
    while waiting:
        thing, names = waiting.popleft()
        for name, writes in links.get(thing, ()):
            for next_thing in writes:
                if next_thing in wanted:
                    return [*names, name]
                if next_thing not in met:
                    met.add(next_thing)
                    waiting.append((next_thing, [*names, name]))
    return None
