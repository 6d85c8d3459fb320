"""Reading and writing what a rule does when it fires and when it clears."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from engine.rules.conditions import ConditionReader, derived_json, given, value_json
from engine.rules.findings import is_number, part
from engine.rules.model import (
    AddTag,
    CallWebhook,
    DeriveMetric,
    Notify,
    OtherMetric,
    RaiseAlert,
    RemoveTag,
    Scalar,
    SendCommand,
    SetAttribute,
    Then,
    WindowValue,
)
from engine.rules.placeholders import problems_in

MAX_ACTIONS = 10
MAX_ARGUMENTS = 20
MAX_MESSAGE = 1_000
DOES = ("alert", "notify", "webhook", "command", "set", "tag", "derive")
_Read: TypeAlias = Callable[[dict[str, object], str], Then | None]


class ActionReader(ConditionReader):
    """Reads lists of actions."""

    def actions(self, node: object, path: str, *, is_clearing: bool = False) -> tuple[Then, ...] | None:
        """``node`` as a list of actions; an alert is raised at most once, and never on clearing."""
        parts = self.list_of(node, path, MAX_ACTIONS, "actions")
        if parts is None:
            return None
        read = [self._action(each, f"{path}[{at}]", is_clearing) for at, each in enumerate(parts)]
        if read.count(RaiseAlert()) > 1:
            self.add(path, "The alert is raised twice.", 'Keep one {"do": "alert"}.')
        return tuple(each for each in read if each is not None)

    def _action(self, node: object, path: str, is_clearing: bool) -> Then | None:
        kinds: Mapping[str, _Read] = {
            "alert": self._alert,
            "notify": self._notify,
            "webhook": self._webhook,
            "command": self._command,
            "set": self._set,
            "tag": self._tag,
            "derive": self._derive,
        }
        if not isinstance(node, dict) or "do" not in node:
            self.fields(node, path, ("do",))
            return None
        do = self.choice(node["do"], f"{path}.do", DOES)
        if do is None:
            return None
        if do == "alert" and is_clearing:
            self.add(path, "The alert ends by itself when the rule clears; none is raised then.", "Take this out.")
        return kinds[do](node, path)

    def _alert(self, node: dict[str, object], path: str) -> Then | None:
        return None if self.fields(node, path, ("do",)) is None else RaiseAlert()

    def _notify(self, node: dict[str, object], path: str) -> Then | None:
        found = self.fields(node, path, ("do", "policy"), ("message",)) or {}
        policy = part(found, path, "policy", lambda each, at: self.key(each, at, "a notification policy"))
        message = part(found, path, "message", lambda each, at: self.holed(each, at, MAX_MESSAGE))
        return None if policy is None else Notify(policy, message)

    def _webhook(self, node: dict[str, object], path: str) -> Then | None:
        found = self.fields(node, path, ("do", "channel")) or {}
        channel = part(found, path, "channel", lambda each, at: self.text(each, at, 120))
        return None if channel is None else CallWebhook(channel)

    def _command(self, node: dict[str, object], path: str) -> Then | None:
        found = self.fields(node, path, ("do", "command"), ("arguments", "device")) or {}
        command = part(found, path, "command", lambda each, at: self.key(each, at, "a command"))
        arguments = part(found, path, "arguments", self._arguments)
        device = part(found, path, "device", lambda each, at: self.uuid(each, at, "device"))
        return None if command is None else SendCommand(command, arguments, device)

    def _arguments(self, node: object, path: str) -> tuple[tuple[str, Scalar], ...] | None:
        if isinstance(node, dict) and len(node) > MAX_ARGUMENTS:
            self.add(path, f"There are {len(node)} arguments, at most {MAX_ARGUMENTS} are allowed.")
            return None
        found = self.fields(node, path, (), tuple(node) if isinstance(node, dict) else ())
        read = []
        for key, value in (found or {}).items():
            if self.key(key, f"{path}.{key[:64]}", "an argument") is None:
                continue
            scalar = self._scalar_or_holed(value, f"{path}.{key}")
            if scalar is not None:
                read.append((key, scalar))
        return tuple(read)

    def _scalar_or_holed(self, node: object, path: str) -> Scalar | None:
        return self.holed(node, path, 256, blank=True) if isinstance(node, str) else self.scalar(node, path)

    def holed(self, node: object, path: str, most: int, *, blank: bool = False) -> str | None:
        """``node`` as a text that may hold placeholders."""
        text = self.text(node, path, most, blank=blank, prose=not blank)
        for problem in problems_in(text or "", path):
            self.add(problem.path, problem.message, problem.suggestion)
        return text

    def _set(self, node: dict[str, object], path: str) -> Then | None:
        found = self.fields(node, path, ("do", "attribute", "value")) or {}
        key = part(found, path, "attribute", self.attribute)
        value = part(found, path, "value", self._scalar_or_holed)
        return None if key is None or value is None else SetAttribute(key, value)

    def _tag(self, node: dict[str, object], path: str) -> Then | None:
        kind = "remove" if "remove" in node and "add" not in node else "add"
        found = self.fields(node, path, ("do", kind)) or {}
        tag = part(found, path, kind, self.tag)
        return None if tag is None else AddTag(tag) if kind == "add" else RemoveTag(tag)

    def _derive(self, node: dict[str, object], path: str) -> Then | None:
        found = self.fields(node, path, ("do", "metric", "value")) or {}
        metric = part(found, path, "metric", self.metric)
        value = part(found, path, "value", self._derived)
        return None if metric is None or value is None else DeriveMetric(metric, value)

    def _derived(self, node: object, path: str) -> float | OtherMetric | WindowValue | None:
        if is_number(node) or not isinstance(node, dict):
            return self.number(node, path)
        if "agg" not in node:
            return self.other_metric(node, path)
        found = self.fields(node, path, ("metric", "agg")) or {}
        metric, how = part(found, path, "metric", self.metric), part(found, path, "agg", self.aggregate)
        return None if metric is None or how is None else WindowValue(metric, how)


def action_json(then: Then) -> dict[str, Any]:
    """One action as JSON."""
    match then:
        case RaiseAlert():
            return {"do": "alert"}
        case Notify(policy=policy, message=message):
            return {"do": "notify", "policy": policy} | given({"message": message})
        case CallWebhook(channel=channel):
            return {"do": "webhook", "channel": channel}
        case SendCommand(command=command, arguments=arguments, device=device):
            told = None if arguments is None else dict(arguments)
            return {"do": "command", "command": command} | given({"arguments": told, "device": device})
        case SetAttribute(attribute=attribute, value=value):
            return {"do": "set", "attribute": attribute, "value": value}
        case AddTag(tag=tag):
            return {"do": "tag", "add": tag}
        case RemoveTag(tag=tag):
            return {"do": "tag", "remove": tag}
        case DeriveMetric(metric=metric, value=value):
            return {"do": "derive", "metric": metric, "value": _derived_json(value)}


def _derived_json(value: float | OtherMetric | WindowValue) -> Any:
    if isinstance(value, WindowValue):
        return {"metric": value.metric} | derived_json(value.how)
    return value_json(value)
