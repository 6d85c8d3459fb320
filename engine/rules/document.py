"""Reading and writing rule documents: any JSON goes in, a typed rule or a complete list of problems comes out."""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from uuid import UUID

from engine.rules.errors import RuleInvalid
from engine.rules.findings import SECOND_MS, Findings, is_number, shown
from engine.rules.model import (
    MAX_DEPTH,
    MAX_LEAVES,
    All,
    AnyOf,
    Clearing,
    Condition,
    Duration,
    Leaf,
    Limits,
    Not,
    Op,
    RuleDocument,
    Scalar,
    Scope,
    Severity,
    Then,
)

VERSION = 1
"""The version of rule documents written here. A later one adds fields; it never changes what these mean."""
MAX_CHOICES = 50
MAX_DEVICES = 1_000
_T = TypeVar("_T")
_PROFILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def parse(node: object) -> RuleDocument:
    """The rule that the JSON value ``node`` describes.

    Raises RuleInvalid with every problem found, and nothing else, whatever ``node`` is. For every valid document
    ``to_json(parse(node)) == node``.
    """
    reader = _Reader()
    document = reader.document(node)
    if document is None or reader.problems:
        raise RuleInvalid(reader.problems)
    return document


def to_json(document: RuleDocument) -> dict[str, Any]:
    """The document as JSON, with exactly the fields its author gave."""
    node: dict[str, Any] = {"v": VERSION, "name": document.name}
    if document.description is not None:
        node["description"] = document.description
    node |= {"severity": document.severity.value, "scope": _scope_json(document.scope)}
    node["when"] = condition_json(document.when)
    if document.held_for is not None:
        node["for"] = document.held_for.text
    if document.clear is not None:
        node["clear"] = {"when": condition_json(document.clear.when)} | _texts({"for": document.clear.held_for})
    if document.limits is not None:
        node["limits"] = _texts({"cooldown": document.limits.cooldown, "max_lateness": document.limits.max_lateness})
    node["then"] = [{"do": then.value} for then in document.then]
    return node


def condition_json(condition: Condition) -> dict[str, Any]:
    """One condition as JSON."""
    match condition:
        case All(of=parts):
            return {"all": [condition_json(part) for part in parts]}
        case AnyOf(of=parts):
            return {"any": [condition_json(part) for part in parts]}
        case Not(of=part):
            return {"not": condition_json(part)}
        case Leaf(metric=metric, op=op, value=value, unit=unit):
            found: dict[str, Any] = {"metric": metric, "op": op.value}
            found["value"] = list(value) if isinstance(value, tuple) else value
            return found if unit is None else {**found, "unit": unit}


def _scope_json(scope: Scope) -> dict[str, Any]:
    found: dict[str, Any] = {"profile": scope.profile}
    return found if scope.devices is None else {**found, "devices": list(scope.devices)}


def _texts(durations: Mapping[str, Duration | None]) -> dict[str, str]:
    return {key: duration.text for key, duration in durations.items() if duration is not None}


class _Reader(Findings):
    """Reads one document; None stands for a part that could not be read, and then there is a problem that says why."""

    def __init__(self) -> None:
        super().__init__()
        self._leaves = 0

    def document(self, node: object) -> RuleDocument | None:
        required = ("v", "name", "severity", "scope", "when", "then")
        found = self.fields(node, "$", required, ("description", "for", "clear", "limits"))
        if found is None or not self._is_our_version(found):
            return None
        name = _part(found, "$", "name", lambda part, path: self.text(part, path, 120))
        severity = _part(found, "$", "severity", lambda part, path: self.choice(part, path, list(Severity)))
        scope = _part(found, "$", "scope", self._scope)
        when = _part(found, "$", "when", self._condition)
        then = _part(found, "$", "then", self._then)
        description = _part(found, "$", "description", lambda part, path: self.text(part, path, 2_000, prose=True))
        held_for = _part(found, "$", "for", self._wait)
        clear = _part(found, "$", "clear", self._clear)
        limits = _part(found, "$", "limits", self._limits)
        if name is None or severity is None or scope is None or when is None or then is None:
            return None
        return RuleDocument(name, Severity(severity), scope, when, then, description, held_for, clear, limits)

    def _is_our_version(self, found: Mapping[str, object]) -> bool:
        if "v" not in found:
            return True  # already noted as missing; the rest may still be read and reported on
        version = found["v"]
        if version == VERSION and isinstance(version, int) and not isinstance(version, bool):
            return True
        self.add("$.v", f"This version of rule documents is not known: {shown(version)}.", f"Use {VERSION}.")
        return False

    def _scope(self, node: object, path: str) -> Scope | None:
        found = self.fields(node, path, ("profile",), ("devices",))
        if found is None:
            return None
        profile = found.get("profile")
        if profile is not None and not (isinstance(profile, str) and _PROFILE.fullmatch(profile)):
            self.add(f"{path}.profile", f"This must be a device profile's key or null (any), not {shown(profile)}.")
            return None
        return Scope(profile, _part(found, path, "devices", self._devices))

    def _devices(self, node: object, path: str) -> tuple[str, ...] | None:
        parts = self._list(node, path, MAX_DEVICES, "devices")
        if parts is None:
            return None
        devices = [self._device(part, f"{path}[{place}]") for place, part in enumerate(parts)]
        known = [device for device in devices if device is not None]
        if len(set(known)) < len(known):
            self.add(path, "A device is named twice.", "Name each device once.")
        return tuple(known)

    def _device(self, node: object, path: str) -> str | None:
        try:
            device = str(UUID(node)) if isinstance(node, str) else None
        except ValueError:
            device = None
        if device is None or device != node:
            suggestion = None if device is None else f'Write it as "{device}".'
            self.add(path, f"This must be a device's id (a UUID), not {shown(node)}.", suggestion)
            return None
        return device

    def _clear(self, node: object, path: str) -> Clearing | None:
        found = self.fields(node, path, ("when",), ("for",))
        if found is None:
            return None
        when = _part(found, path, "when", self._condition)
        held_for = _part(found, path, "for", self._wait)
        return None if when is None else Clearing(when, held_for)

    def _limits(self, node: object, path: str) -> Limits | None:
        found = self.fields(node, path, (), ("cooldown", "max_lateness"))
        if found is None:
            return None
        lateness = _part(found, path, "max_lateness", lambda part, at: self.duration(part, at, 60 * SECOND_MS, "30d"))
        return Limits(_part(found, path, "cooldown", self._wait), lateness)

    def _wait(self, node: object, path: str) -> Duration | None:
        return self.duration(node, path, SECOND_MS, "30d")

    def _then(self, node: object, path: str) -> tuple[Then, ...] | None:
        parts = self._list(node, path, len(Then), "actions")
        if parts is None:
            return None
        steps = [self._action(part, f"{path}[{place}]") for place, part in enumerate(parts)]
        return tuple(Then(step) for step in steps if step is not None)

    def _action(self, node: object, path: str) -> str | None:
        found = self.fields(node, path, ("do",))
        return None if found is None else _part(found, path, "do", lambda part, at: self.choice(part, at, list(Then)))

    def _list(self, node: object, path: str, most: int, what: str) -> list[object] | None:
        """``node`` as a list of 1 to ``most``; a longer one is not read at all, so that reading stays cheap."""
        if not isinstance(node, list):
            self.add(path, f"This must be a list, not {shown(node)}.")
        elif not node:
            self.add(path, "This list is empty.")
        elif len(node) > most:
            self.add(path, f"This list has {len(node)} {what}, at most {most} are allowed.")
        else:
            return node
        return None

    def _condition(self, node: object, path: str, depth: int = 1) -> Condition | None:
        if depth > MAX_DEPTH:
            self.add(path, f"The condition is nested too deeply: at most {MAX_DEPTH} levels.")
            return None
        if not isinstance(node, dict):
            self.add(path, f"This must be a condition (an object), not {shown(node)}.")
            return None
        kinds = [kind for kind in ("all", "any", "not") if kind in node]
        if not kinds:
            return self._leaf(node, path)
        kind = kinds[0]
        self.fields(node, path, (kind,))
        if kind == "not":
            part = self._condition(node["not"], f"{path}.not", depth + 1)
            return None if part is None else Not(part)
        parts = self._list(node[kind], f"{path}.{kind}", MAX_LEAVES, "parts") or ()
        read = [self._condition(part, f"{path}.{kind}[{at}]", depth + 1) for at, part in enumerate(parts)]
        known = tuple(part for part in read if part is not None)
        return None if not known else All(known) if kind == "all" else AnyOf(known)

    def _leaf(self, node: dict[str, object], path: str) -> Leaf | None:
        self._leaves += 1
        if self._leaves > MAX_LEAVES:
            if self._leaves == MAX_LEAVES + 1:
                self.add(path, f"The rule has too many comparisons: at most {MAX_LEAVES}.")
            return None
        found = self.fields(node, path, ("metric", "op", "value"), ("unit",))
        if found is None:
            return None
        metric = _part(found, path, "metric", lambda part, at: self.text(part, at, 100))
        op = _part(found, path, "op", lambda part, at: self.choice(part, at, list(Op)))
        unit = _part(found, path, "unit", lambda part, at: self.text(part, at, 40))
        if metric is None or op is None or "value" not in found:
            return None
        value = self._value(Op(op), found["value"], f"{path}.value")
        return None if value is None else Leaf(metric, Op(op), value, unit)

    def _value(self, op: Op, node: object, path: str) -> Scalar | tuple[Scalar, ...] | None:
        match op:
            case Op.EQ | Op.NE:
                return self.scalar(node, path)
            case Op.LT | Op.LE | Op.GT | Op.GE:
                return self.number(node, path)
            case Op.BETWEEN | Op.OUTSIDE:
                return self._range(node, path)
            case Op.IN | Op.NOT_IN:
                return self._choices(node, path)

    def _range(self, node: object, path: str) -> tuple[Scalar, ...] | None:
        if not isinstance(node, list) or len(node) != 2:
            self.add(path, f"This must be a list of two numbers, the lower and the upper end, not {shown(node)}.")
            return None
        low, high = (self.number(part, f"{path}[{place}]") for place, part in enumerate(node))
        if low is None or high is None:
            return None
        if low > high:
            self.add(path, f"The lower end {low} is above the upper end {high}.", f"Write [{high}, {low}].")
        return low, high

    def _choices(self, node: object, path: str) -> tuple[Scalar, ...] | None:
        parts = self._list(node, path, MAX_CHOICES, "choices")
        if parts is None:
            return None
        read = [self.scalar(part, f"{path}[{place}]") for place, part in enumerate(parts)]
        known = tuple(part for part in read if part is not None)
        if len({(is_number(part), isinstance(part, bool)) for part in known}) > 1:
            self.add(path, "The choices mix kinds of values.", "Use only numbers or only texts.")
        if len(set(known)) < len(known):
            self.add(path, "A choice is there twice.", "Name each choice once.")
        return known


def _part(found: Mapping[str, object], path: str, key: str, read: Callable[[object, str], _T]) -> _T | None:
    """The field ``key`` of ``found`` as ``read`` understands it; None if it is not there."""
    return read(found[key], f"{path}.{key}") if key in found else None
