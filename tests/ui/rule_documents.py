"""Rule documents by chance: valid ones by the engine's own grammar, and ones with parts in them that nobody knows."""

import random
from copy import deepcopy
from typing import Any
from uuid import UUID

from tests.engine.rules import grown, making


def _actions(rng: random.Random, is_clearing: bool) -> list[dict[str, Any]]:
    every: list[dict[str, Any]] = [
        {"do": "notify", "policy": "on-call"},
        {"do": "notify", "policy": "on-call", "message": "{device}: {value}, {metric:temperature}"},
        {"do": "webhook", "channel": "Shift book"},
        {"do": "command", "command": "open-valve"},
        {"do": "command", "command": "set", "arguments": {"to": 4, "why": "{rule}"}, "device": str(UUID(int=7))},
        {"do": "set", "attribute": "state", "value": rng.choice(["bad", 3, True])},
        {"do": "tag", "add": "wet"},
        {"do": "tag", "remove": "wet"},
        {"do": "derive", "metric": "mean", "value": {"metric": "temperature", "agg": {"fn": "avg", "over": "5m"}}},
        {"do": "derive", "metric": "twice", "value": {"metric": "temperature", "times": 2}},
        {"do": "derive", "metric": "one", "value": 1},
    ]
    alert = [] if is_clearing or rng.random() < 0.2 else [{"do": "alert"}]
    return alert + rng.sample(every, rng.randint(1, 3))


def document(rng: random.Random) -> dict[str, Any]:
    """Any valid document with every optional part there or not."""
    found = making.document(grown.random_condition(rng), then=_actions(rng, False))
    found["scope"] = {"profile": rng.choice([None, "cold-room"])}
    parts: dict[str, Any] = {
        "description": "Two\nlines.",
        "for": rng.choice(["1s", "90s", "010m", "2h"]),
        "clear": {"when": grown.random_condition(rng)} | ({"for": "2m"} if rng.random() < 0.5 else {}),
        "missing": {"after": "30m", "do": rng.choice(["hold", "fire", "clear", "ignore"])},
        "trigger": {"schedule": {"cron": rng.choice(["0 6 * * 1-5", "5 23 * * *", "*/7 2 * * *"]), "tz": "site"}},
        "on_clear": _actions(rng, True),
        "tests": [{"name": "It fires", "given": [{"at": "0s", "temperature": 9}], "expect": [{"do": "raise"}]}],
    }
    limits: dict[str, Any] = {
        "cooldown": "15m",
        "max_lateness": "1h",
        "max_per_hour": 4,
        "quiet": {"from": "22:00", "to": "06:00", "days": [6, 7], "tz": "Europe/Berlin"},
    }
    scope: dict[str, Any] = {
        "devices": [str(UUID(int=1))],
        "groups": [grown.GROUPS[0]],
        "tags": ["outdoor"],
        "where": [{"attribute": "site", "op": "==", "value": "Kiel"}, {"tag": "old"}],
    }
    parts["limits"] = {key: value for key, value in limits.items() if rng.random() < 0.5}
    found["scope"] |= {key: value for key, value in scope.items() if rng.random() < 0.3}
    return found | {key: value for key, value in parts.items() if rng.random() < 0.5}


def _odd_condition(rng: random.Random) -> Any:
    return rng.choice(
        [
            None,
            {"x-later": {"all": [{"deep": [1, None, {"any": 2}]}]}},
            {"all": [grown.random_condition(rng, 1)], "note": "a group with a field of its own"},
            {"all": []},
            {"any": []},
            {"metric": "o'clock", "op": "~", "value": None},
            {"metric": "ü", "op": ">", "value": {"odd": {"metric": 1}}, "unit": "parsec"},
        ]
    )


def _groups(node: Any) -> list[list[Any]]:
    """The lists of all groups below a condition."""
    if not isinstance(node, dict):
        return []
    lists = [node[kind] for kind in ("all", "any") if isinstance(node.get(kind), list)]
    inner = [each for parts in lists for each in parts] + ([node["not"]] if "not" in node else [])
    return [*lists, *(each for part in inner for each in _groups(part))]


def odd(rng: random.Random) -> dict[str, Any]:
    """A document with parts that no view knows, and some that are yet to be filled in: all must be kept."""
    found = deepcopy(document(rng))
    wheres = [found, *([found["clear"]] if "clear" in found else [])]
    for each in (group for where in wheres for group in _groups(where["when"])):
        if rng.random() < 0.4:
            each.insert(rng.randint(0, len(each)), _odd_condition(rng))
    if rng.random() < 0.3:
        rng.choice(wheres)["when"] = _odd_condition(rng)
    if rng.random() < 0.5:
        found["then"].append({"do": "dance", "steps": [1, 2]})
    extra = {"x-kept": [None, {"a": 1}], "severity": "odd", "name": ""}
    found |= {key: value for key, value in extra.items() if rng.random() < 0.5}
    if "clear" in found:
        found["clear"]["later"] = 1
    if rng.random() < 0.2:
        del found["scope"]
    return found
