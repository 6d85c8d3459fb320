"""A deed of the audit log as a sentence, and what it changed as a short list."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ui.deed_words import ACTORS, CREDENTIALS, NOUNS, PLAINER, REASONS, SEEN, SELF, VERBS, VOUCHED, WHOLE
from ui.rights import right_words
from ui.words import words

# Which page shows a target of this kind.
PAGES = {"device": "/devices/", "profile": "/profiles/", "rule": "/rules/", "group": "/groups/"}
# What changes with everything and says nothing, or is said before the values.
DULL = frozenset({"version", "updated_at", "created_at", "id", "tenant_id", "changes"})
SHORT = 40
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?([+-]\d\d:\d\d|Z)")
SAID_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC")  # a moment as `_plain` writes it
SAID_HOUR = re.compile(r"\d\d:\d\d UTC")
QUOTED = re.compile(r"“[^”]*”")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Change:
    """One value before and after; '' where there was none."""

    name: str
    before: str
    after: str
    is_moment: bool = False  # whether both are, so that the reader's own clock may say them


@dataclass(frozen=True)
class DeedLine:
    """An entry of the audit log as the page shows it."""

    seq: int
    at: str
    who: str
    said: str
    target: str
    page: str
    summary: str
    result: str
    changes: list[Change]
    foot: str
    is_timed: bool = False  # whether the hours in the summary are the platform's, and none is of a text of people's


def nameless_devices(entries: list[dict[str, Any]]) -> list[str]:
    """The ids of devices to which something was done that does not say their name."""
    return [
        each["targetId"]
        for each in entries
        if each["targetKind"] == "device" and each["targetId"] and not _own_name(each)
    ]


def deed_line(entry: dict[str, Any], names: Mapping[str, str]) -> DeedLine:
    """An entry of the contract in words; `names` are those of devices and groups, by id."""
    found = changes(entry["before"], entry["after"], names)
    is_change = entry["before"] is not None and entry["after"] is not None
    kind = entry["targetKind"] or entry["action"].partition(".")[0]
    address = f" from {entry['address']}" if entry["address"] else ""
    by = actor(entry["actorKind"])[0]
    brief = spoken(entry, found) or (summary(found) if is_change else "")
    return DeedLine(
        entry["seq"],
        entry["at"],
        who(entry),
        said(entry),
        _name(entry, names),
        PAGES.get(kind, "") and entry["targetId"] and PAGES[kind] + entry["targetId"],
        brief,
        entry["result"],
        found,
        f"Entry {entry['seq']} · {entry['action']} · by {by}{address}",
        not any(map(SAID_HOUR.search, [*QUOTED.findall(brief), *_texts(found)])),
    )


def who(entry: dict[str, Any]) -> str:
    """Who did it: the name, or what acts where that has none."""
    kind, name = entry["actorKind"], entry["actorName"]
    if kind == "system" and name in ("", "system"):
        return actor(kind)[1]
    if kind == "provisioner" and name:  # it is called "key: Fans of May"
        return f"The way in “{name.partition(': ')[2] or name}”"
    if kind == "provider" and name:
        return f"The identity provider “{name}”"
    return name or actor(kind)[1]


def actor(kind: str) -> tuple[str, str]:
    """What acts, as it stands behind "by" and as a name; one newer than this console is named as it is."""
    return ACTORS.get(kind, (kind, words(kind)))


def said(entry: dict[str, Any]) -> str:
    """What was done, ready to follow who did it and to be followed by the thing's name: "changed the device"."""
    action = entry["action"]
    if action == "device.login":  # which is only noted when it is refused; how often and why, the entry says
        return WHOLE[action] if entry["targetKind"] == "device" else "refused logins of"
    if action == "session.end" and entry["before"] is not None:
        return "ended a session" if entry["actorId"] == entry["targetId"] else "ended a session of another person"
    if entry["result"] == "DONE":
        if action in ("credential.issue", "credential.revoke"):
            return _about_credential(entry)
        if entry["actorKind"] == "provider" and action in VOUCHED:
            return VOUCHED[action]
        return WHOLE.get(action) or _done(action)
    reason = REASONS.get(entry["reason"] or "", words((entry["reason"] or "").lower()).lower())
    is_plain = entry["result"] == "DENIED" and entry["reason"] == "FORBIDDEN"  # "was not allowed to" says it
    because = f" ({reason})" if reason and not is_plain else ""
    if action == "session.open":
        return f"could not {'vouch for' if entry['actorKind'] == 'provider' else 'sign in'}{because}"
    if action == "device.introduce":
        return f"turned a device away{because}"
    verb = "was not allowed to" if entry["result"] == "DENIED" else "tried to"
    return f"{verb} {_tried(action)}{because}"


def _about_credential(entry: dict[str, Any]) -> str:
    sides = [side for side in (entry["after"], entry["before"]) if isinstance(side, dict)]
    kind = next((str(side["kind"]) for side in sides if side.get("kind")), "token")
    what = CREDENTIALS.get(kind, "credential")
    if entry["action"] == "credential.revoke":
        return f"revoked a {what} of the device"
    deed = {"x509": "signed", "jwt": "registered"}.get(kind, "issued")
    return f"{deed} a {what} for the device"


def _done(action: str) -> str:
    noun, _, verb = action.partition(".")
    return f"{VERBS[verb][0] if verb in VERBS else words(verb).lower()} {_the(noun)}"


def _tried(action: str) -> str:
    """A deed that did not happen, from `rule.change` or from the contract's field `ruleUpdate`."""
    noun, _, verb = action.partition(".") if "." in action else split(action)
    if verb in ("read", "follow"):  # of a field of the contract, which names things: `memberSessions.read`
        plain = SEEN.get(noun) or " ".join(re.findall(r"[A-Z]?[a-z0-9]+", noun)).lower()
        return f"{'see' if verb == 'read' else 'follow'} {plain}"
    return f"{VERBS[verb][1] if verb in VERBS else words(verb).lower()} {_a(noun)}"


def split(field: str) -> tuple[str, str, str]:
    """A field of the contract like an action: `ruleUpdate` is `rule`, `.`, `update`."""
    *noun, verb = re.findall(r"[A-Z]?[a-z0-9]+", field) or [field]
    return "_".join(noun).lower(), ".", verb.lower()


def _the(noun: str) -> str:
    return f"the {NOUNS.get(noun, words(noun).lower())}".rstrip()


def _a(noun: str) -> str:
    plain = NOUNS.get(noun, words(noun).lower())
    if plain.startswith(("sessions", "alerts")):
        return plain
    return f"{'an' if plain[:1].lower() in 'aeiou' else 'a'} {plain}" if plain else ""


def _name(entry: dict[str, Any], names: Mapping[str, str]) -> str:
    """What the thing is called; the end of its id where it has no name."""
    if entry["action"] == "device.login" and entry["targetKind"] == "tenant":
        return "many devices" if entry["reason"] == "CREDENTIAL_WRONG" else "unknown devices"
    if entry["action"] in SELF and entry["actorKind"] != "provider":
        return ""
    return _own_name(entry) or names.get(entry["targetId"], "") or _short_id(entry)


def _own_name(entry: dict[str, Any]) -> str:
    """The name that the entry itself tells: what the thing was called afterwards, else before."""
    for side in (entry["after"], entry["before"]):
        if isinstance(side, dict):
            for word in ("reason",) if entry["targetKind"] == "silence" else ("name", "email", "key"):
                if isinstance(side.get(word), str) and side[word]:
                    return str(side[word])
    return ""


def _short_id(entry: dict[str, Any]) -> str:
    # The end of our ids is random, their beginning is the time: what tells two apart stands at the end.
    return f"…{entry['targetId'][-6:]}" if entry["targetId"] else ""


def changes(before: Any, after: Any, names: Mapping[str, str] | None = None) -> list[Change]:
    """What differs between the two, value by value, by its name; `names` are those of things, by id."""
    old, new = _flat(before), _flat(after)
    paths = [path for path in {**old, **new} if old.get(path) != new.get(path)]

    def said(side: dict[str, Any], path: str) -> str:
        return _plain(side[path], names or {}) if path in side else ""

    told = [(_called(path), said(old, path), said(new, path)) for path in paths]
    return [Change(*each, all(map(_is_moment, filter(None, each[1:])))) for each in told]


def _is_moment(text: str) -> bool:
    return SAID_MOMENT.fullmatch(text) is not None


def _texts(found: list[Change]) -> list[str]:
    """The values that people may have written: neither moments nor the platform's own sentence."""
    some = [each for each in found if not each.is_moment and each.name != "sentence"]
    return [text for each in some for text in (each.before, each.after)]


def _called(path: str) -> str:
    """A value by its name as people say it: `device_id` is the device, `scopes` are rights."""
    return {"scopes": "rights"}.get(path, path.replace("_", " ").removesuffix(" id"))


def _plain(value: Any, names: Mapping[str, str]) -> str:
    """A value as people write it: no brackets, no seconds of a moment, no ids where there are names."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_plain(each, names) for each in value)
    if isinstance(value, float):
        return f"{value:.12g}"
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if MOMENT.fullmatch(value):
        return f"{datetime.fromisoformat(value).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if UUID.fullmatch(value):
        return names.get(value) or f"…{value[-6:]}"
    return right_words(value)


def summary(found: list[Change]) -> str:
    """The first two changes in one line: `name Pump → Main pump`."""
    brief = [each for each in found if max(len(each.before), len(each.after)) <= SHORT][:2]
    told = ", ".join(f"{each.name} {each.before or 'nothing'} → {each.after or 'nothing'}" for each in brief)
    rest = len(found) - len(brief)
    if not told:
        return f"{rest} values" if rest > 1 else (found[0].name if found else "")
    return f"{told} and {rest} more" if rest else told


def spoken(entry: dict[str, Any], found: list[Change]) -> str:
    """What the entry itself says in sentences: what was changed, else what the thing says; '' if it says nothing."""
    after = entry["after"] if isinstance(entry["after"], dict) else {}
    if rights := _rights(entry["before"], entry["after"]):
        others = summary([each for each in found if each.name != "rights"])
        return f"{rights} Also: {others}." if others else rights
    told = after.get("changes")
    if isinstance(told, list) and told and all(isinstance(each, str) for each in told):
        return " ".join(told)
    sides = [side for side in (entry["before"], entry["after"]) if isinstance(side, dict)]
    sentence = sides[0].get("sentence") if len(sides) == 1 else None
    if not isinstance(sentence, str):
        return ""
    for noted, plainer in PLAINER.items():
        sentence = sentence.replace(noted, plainer)
    return sentence


def _rights(before: Any, after: Any) -> str:
    """Which rights came and went, in sentences; '' where none did."""
    sides = [side.get("scopes") if isinstance(side, dict) else None for side in (before, after)]
    if not all(isinstance(each, list) for each in sides):
        return ""
    old, new = (set(map(str, each or [])) for each in sides)
    said = (("Added: ", new - old), ("Removed: ", old - new))
    return " ".join(f"{name}{'; '.join(sorted(map(right_words, some)))}." for name, some in said if some)


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Every plain value under its path: `when.metric`, `metrics.temperature.max`, `metrics 2.max`."""
    if isinstance(value, dict) and value:
        pairs = {f"{path}.{name}" if path else name: part for name, part in value.items() if path or name not in DULL}
    elif isinstance(value, list) and value and all(isinstance(part, dict) for part in value):
        pairs = {f"{path}.{part['key']}" if "key" in part else f"{path} {i}": part for i, part in enumerate(value, 1)}
    elif value is None or value in ({}, []):
        return {}
    else:
        return {path: value}
    flat: dict[str, Any] = {}
    for name, part in pairs.items():
        flat |= _flat(part, name)
    return flat
