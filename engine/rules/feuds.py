"""Rules against each other: two that want different things of one device, and circles that set themselves off."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TypeAlias

from engine.rules.inputs import inputs_of
from engine.rules.model import (
    AddTag,
    All,
    AttributeLeaf,
    DeriveMetric,
    OtherMetric,
    RemoveTag,
    RuleDocument,
    Scope,
    SendCommand,
    SetAttribute,
    Tagged,
    Then,
    WindowValue,
)
from engine.rules.phrases import listed, value_text
from engine.rules.possible import Possible

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
    def reads(self) -> frozenset[Thing]:
        """What decides whether it does anything."""
        return read(self.document)

    @cached_property
    def writes(self) -> dict[Thing, str]:
        """What it changes."""
        return written(self.document)


@dataclass(frozen=True, slots=True)
class Feud:
    """One conflict between rules. ``weight`` is problem or warning."""

    weight: str
    path: str
    message: str
    suggestion: str


def feuds(document: RuleDocument, others: Sequence[Neighbour]) -> Iterator[Feud]:
    """The conflicts of ``document`` with itself and with ``others``."""
    yield from islice(_fights(document, others), MAX_TOLD)
    yield from islice(_circles(document, others), MAX_TOLD)


def touches_others(document: RuleDocument) -> bool:
    """Whether it moves anything that another rule may read or move too."""
    return any(_target(then) is not None for _, then in document.actions)


def _fights(document: RuleDocument, others: Sequence[Neighbour]) -> Iterator[Feud]:
    mine = [(path, then) for path, then in document.actions if path.startswith("$.then") and _target(then) is not None]
    if not mine:
        return
    looked_at = 0
    for other in others:
        if looked_at == MAX_RIVALS:
            return
        if not may_meet(document.scope, other.document.scope):
            continue
        theirs = [then for then in other.document.then if _target(then) is not None]
        for path, then in mine:
            rival = next(
                (each for each in theirs if _target(each) == _target(then) and _wants(each) != _wants(then)), None
            )
            looked_at += rival is not None
            if rival is not None and not _exclude_each_other(document, other.document):
                message = f"The rule “{other.name}” wants something else: it {_told(rival)}, this one {_told(then)}."
                yield Feud("warning", path, message, "Let the conditions exclude each other, or keep one of the two.")


def _target(then: Then) -> tuple[str, ...] | None:
    """What an action moves; None if nothing that another rule could move back."""
    match then:
        case SendCommand(command=command, device=device):
            return ("command", command, device or "")
        case SetAttribute(attribute=attribute):
            return ("attribute", attribute)
        case AddTag(tag=tag) | RemoveTag(tag=tag):
            return ("tag", tag)
        case DeriveMetric(metric=metric):
            return ("metric", metric)
    return None


def _wants(then: Then) -> object:
    match then:
        case SendCommand(arguments=arguments):
            return tuple(sorted(map(repr, arguments or ())))
        case SetAttribute(value=value):
            return repr(value)
        case DeriveMetric():
            return object()  # two rules that write one metric always mix
    return type(then)


def _told(then: Then) -> str:
    match then:
        case SendCommand(command=command, arguments=arguments):
            told = [f"{key} {value_text(value)}" for key, value in arguments or ()]
            return f"sends “{command}”" + (f" with {listed(told, 'and')}" if told else "")
        case SetAttribute(attribute=attribute, value=value):
            return f"sets {attribute} to {value_text(value)}"
        case AddTag(tag=tag):
            return f"adds the tag “{tag}”"
        case RemoveTag(tag=tag):
            return f"takes the tag “{tag}” off"
        case DeriveMetric(metric=metric):
            return f"writes {metric}"
    return "does something"


def _exclude_each_other(one: RuleDocument, other: RuleDocument) -> bool:
    """Whether the two can never fire at once, as far as that can be seen."""
    return Possible().walk(All((one.when, other.when)), "$") is None


def may_meet(one: Scope, other: Scope) -> bool:
    """Whether a device may be in both scopes, as far as the scopes say."""
    if one.profile is not None and other.profile is not None and one.profile != other.profile:
        return False
    if one.devices is not None and other.devices is not None:
        return bool(set(one.devices) & set(other.devices))
    return True


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
