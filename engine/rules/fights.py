"""Two rules on one actuator: what each wants of a device, while which conditions hold, and whether both may at once."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from engine.rules.bearing import asked_by
from engine.rules.model import (
    AddTag,
    All,
    Condition,
    DeriveMetric,
    Not,
    RemoveTag,
    RuleDocument,
    Scope,
    SendCommand,
    SetAttribute,
    Then,
)
from engine.rules.phrases import listed, value_text
from engine.rules.possible import Possible

_PAIRS = """on/off start/stop run/stop run/halt run/pause start/pause resume/pause start/halt open/close open/shut
enable/disable activate/deactivate up/down raise/lower increase/decrease lock/unlock arm/disarm heat/cool fill/drain
charge/discharge forward/reverse forward/backward left/right wake/sleep boost/stop on/stop run/off start/off"""
_OPPOSITE = frozenset(frozenset(pair.split("/")) for pair in _PAIRS.split())
_VERBS = frozenset(verb for pair in _OPPOSITE for verb in pair) | {"set", "turn", "switch", "to"}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")


@dataclass(frozen=True, slots=True)
class Wish:
    """One thing that a rule does to a device, and the condition under which it does so.

    ``device`` is the one it names (a UUID text), None the device that the rule watches.
    """

    path: str
    then: Then
    while_: Condition
    device: str | None

    @property
    def is_end(self) -> bool:
        """Whether it is done when the rule clears."""
        return self.path.startswith("$.on_clear")


def wishes(document: RuleDocument) -> tuple[Wish, ...]:
    """What a rule wants of devices: when it fires, and when it clears (by its own condition, or by the opposite)."""
    cleared = Not(document.when) if document.clear is None else document.clear.when
    return tuple(
        Wish(path, then, document.when if path.startswith("$.then") else cleared, _device(then))
        for path, then in document.actions
        if isinstance(then, SendCommand | SetAttribute | AddTag | RemoveTag | DeriveMetric)
    )


def rivals(
    mine: Wish, document: RuleDocument, theirs: Sequence[Wish], other: RuleDocument, profiles: Mapping[str, str]
) -> list[tuple[Wish, bool]]:
    """Those of ``theirs`` that want something else of a device that ``mine`` may be about, the surest first.

    With each, whether that is beyond doubt: the names of commands alone do not always tell. ``profiles`` tells the
    profile's key of devices that commands name.
    """
    found = []
    for each in theirs:
        is_sure = _differ(mine.then, each.then)
        if is_sure is not None and _is_one_device(mine, document.scope, each, other.scope, profiles):
            found.append((each, is_sure))
    return sorted(found, key=lambda pair: not pair[1])


def at_once(one: Wish, document: RuleDocument, other: Wish, their: RuleDocument) -> bool:
    """Whether both may be done at one time. What two devices measure never excludes each other."""
    decides = _watched(one, document.scope, other)
    if decides == "" or decides != _watched(other, their.scope, one):
        return True
    both = All((asked_by(document.scope), asked_by(their.scope), one.while_, other.while_))
    return bool(Possible().walk(both, "$"))


def told(wish: Wish) -> str:
    """What it does, to follow "it"."""
    said = _told(wish.then)
    return f"{said} when it clears" if wish.is_end else said


def _differ(one: Then, other: Then) -> bool | None:
    """Whether they want different things of one actuator: True, None for no, False if their names do not tell."""
    match one, other:
        case SendCommand(), SendCommand():
            return _commands_differ(one, other)
        case SetAttribute(), SetAttribute():
            return (one.attribute == other.attribute and repr(one.value) != repr(other.value)) or None
        case ((AddTag() | RemoveTag()), (AddTag() | RemoveTag())):
            return (one.tag == other.tag and type(one) is not type(other)) or None
        case DeriveMetric(), DeriveMetric():  # two rules that write one metric always mix
            return one.metric == other.metric or None
    return None


def _commands_differ(one: SendCommand, other: SendCommand) -> bool | None:
    if one.command == other.command:
        return _arguments(one) != _arguments(other) or None
    (thing, does), (their_thing, they_do) = _parts(one.command), _parts(other.command)
    if thing and their_thing and thing != their_thing:  # pump.on and lamp.off are two actuators of one device
        return False if thing < their_thing or their_thing < thing else None
    if any(frozenset((verb, their)) in _OPPOSITE for verb in does for their in they_do):
        return True
    return thing == their_thing and bool(thing)


@lru_cache(maxsize=4_096)
def _parts(command: str) -> tuple[frozenset[str], frozenset[str]]:
    """What a command is about (nothing: the device as a whole), and its verbs: `pump.on`, `setPump`, `stop`."""
    words = frozenset(word.lower() for word in _WORD.findall(command))
    verbs = words & _VERBS
    return (words - verbs if len(words) > 1 else frozenset()), verbs


def _arguments(then: SendCommand) -> tuple[str, ...]:
    return tuple(sorted(map(repr, then.arguments or ())))


def _device(then: Then) -> str | None:
    return then.device if isinstance(then, SendCommand) else None


def _is_one_device(one: Wish, scope: Scope, other: Wish, their: Scope, profiles: Mapping[str, str]) -> bool:
    """Whether both may be about the same device, as far as scopes and names tell."""
    if one.device is not None and other.device is not None:
        return one.device == other.device
    if one.device is not None:
        return _holds(their, one.device, profiles)
    if other.device is not None:
        return _holds(scope, other.device, profiles)
    return may_meet(scope, their)


def _holds(scope: Scope, device: str, profiles: Mapping[str, str]) -> bool:
    if scope.devices is not None and device not in scope.devices:
        return False
    return scope.profile is None or profiles.get(device, scope.profile) == scope.profile


def may_meet(one: Scope, other: Scope) -> bool:
    """Whether a device may be in both scopes, as far as the scopes say."""
    if one.profile is not None and other.profile is not None and one.profile != other.profile:
        return False
    if one.devices is not None and other.devices is not None:
        return bool(set(one.devices) & set(other.devices))
    return True


def _watched(wish: Wish, scope: Scope, other: Wish) -> str | None:
    """The device whose values decide: "" where there are several; None: the one device that both watch and move."""
    if wish.device is None:
        return other.device
    return scope.devices[0] if scope.devices is not None and len(scope.devices) == 1 else ""


def _told(then: Then) -> str:
    match then:
        case SendCommand(command=command, arguments=arguments):
            said = [f"{key} {value_text(value)}" for key, value in arguments or ()]
            return f"sends “{command}”" + (f" with {listed(said, 'and')}" if said else "")
        case SetAttribute(attribute=attribute, value=value):
            return f"sets {attribute} to {value_text(value)}"
        case AddTag(tag=tag):
            return f"adds the tag “{tag}”"
        case RemoveTag(tag=tag):
            return f"takes the tag “{tag}” off"
        case DeriveMetric(metric=metric):
            return f"writes {metric}"
    return "does something"
