"""Reading and writing rule documents: any JSON goes in, a typed rule or a complete list of problems comes out."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cronsim import CronSim, CronSimError

from engine.rules.actions import ActionReader, action_json
from engine.rules.conditions import condition_json, given, leaf_json, time_json
from engine.rules.errors import RuleInvalid
from engine.rules.findings import SECOND_MS, part, shown
from engine.rules.model import (
    AttributeLeaf,
    Clearing,
    Duration,
    Example,
    Expected,
    Given,
    Limits,
    Missing,
    MissingDo,
    Position,
    RuleDocument,
    Scalar,
    Schedule,
    Scope,
    Severity,
    Stretch,
    Tagged,
    TestDevice,
    TimeOfDay,
)

VERSION = 1
"""The version of rule documents written here. A later one adds fields; it never changes what these mean."""
MAX_DEVICES = 1_000
MAX_GROUPS = MAX_TAGS = MAX_WHERE = 20
MAX_EXAMPLES, MAX_GIVEN, MAX_GIVEN_VALUES, MAX_EXPECTED = 20, 200, 50, 50
MAX_CRON = 100
_OPTIONAL = ("description", "for", "clear", "limits", "trigger", "missing", "on_clear", "tests")


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
    clear, schedule, missing = document.clear, document.schedule, document.missing
    node = {
        "v": VERSION,
        "name": document.name,
        "description": document.description,
        "severity": document.severity.value,
        "scope": _scope_json(document.scope),
        "trigger": schedule and {"schedule": given({"cron": schedule.cron, "tz": schedule.tz})},
        "when": condition_json(document.when),
        "for": document.held_for and document.held_for.text,
        "clear": clear and {"when": condition_json(clear.when)} | _texts({"for": clear.held_for}),
        "missing": missing and {"after": missing.after.text, "do": missing.do.value},
        "limits": None if document.limits is None else _limits_json(document.limits),
        "then": [action_json(then) for then in document.then],
        "on_clear": None if document.on_clear is None else [action_json(then) for then in document.on_clear],
        "tests": None if document.examples is None else [_example_json(example) for example in document.examples],
    }
    return given(node)


def _scope_json(scope: Scope) -> dict[str, Any]:
    lists: Mapping[str, tuple[Any, ...] | None] = {
        "devices": scope.devices,
        "groups": scope.groups,
        "tags": scope.tags,
        "where": scope.where and tuple(map(leaf_json, scope.where)),
    }
    return {"profile": scope.profile} | {key: list(found) for key, found in lists.items() if found is not None}


def _limits_json(limits: Limits) -> dict[str, Any]:
    texts = _texts({"cooldown": limits.cooldown, "max_lateness": limits.max_lateness})
    quiet = None if limits.quiet is None else time_json(limits.quiet)
    return texts | given({"max_per_hour": limits.max_per_hour, "quiet": quiet})


def _example_json(example: Example) -> dict[str, Any]:
    messages = [_given_json(each) for each in example.given]
    expect = [
        given({"at": each.at and each.at.text, "do": "raise" if each.is_raise else "clear"}) for each in example.expect
    ]
    device, within = example.device, example.within
    return {"name": example.name, "given": messages, "expect": expect} | given(
        {
            "device": device and _test_device_json(device),
            "within": within and {"from": within.start.text, "to": within.end.text},
        }
    )


def _given_json(each: Given) -> dict[str, Any]:
    presence = None if each.is_online is None else "online" if each.is_online else "offline"
    told = given({"$presence": presence, "$event": each.event})
    return {"at": each.at.text} | told | {key: _value_json(value) for key, value in each.values}


def _test_device_json(device: TestDevice) -> dict[str, Any]:
    attributes = None if device.attributes is None else dict(device.attributes)
    lists = {"tags": device.tags, "groups": device.groups}
    return given({"attributes": attributes} | {key: found and list(found) for key, found in lists.items()})


def _value_json(value: Scalar | Position) -> Any:
    return {"lat": value.lat, "lon": value.lon} if isinstance(value, Position) else value


def _texts(durations: Mapping[str, Duration | None]) -> dict[str, str]:
    return {key: duration.text for key, duration in durations.items() if duration is not None}


class _Reader(ActionReader):
    """Reads one document; None stands for a part that could not be read, and then there is a problem that says why."""

    def document(self, node: object) -> RuleDocument | None:
        required = ("v", "name", "severity", "scope", "when", "then")
        found = self.fields(node, "$", required, _OPTIONAL)
        if found is None or not self._is_our_version(found):
            return None
        name = part(found, "$", "name", lambda each, path: self.text(each, path, 120))
        severity = part(found, "$", "severity", lambda each, path: self.choice(each, path, list(Severity)))
        scope = part(found, "$", "scope", self._scope)
        when = part(found, "$", "when", self.condition)
        then = part(found, "$", "then", self.actions)
        description = part(found, "$", "description", lambda each, path: self.text(each, path, 2_000, prose=True))
        held_for = part(found, "$", "for", self._wait)
        clear = part(found, "$", "clear", self._clear)
        limits = part(found, "$", "limits", self._limits)
        schedule = part(found, "$", "trigger", self._trigger)
        missing = part(found, "$", "missing", self._missing)
        on_clear = part(found, "$", "on_clear", lambda each, path: self.actions(each, path, is_clearing=True))
        examples = part(found, "$", "tests", self._examples)
        if name is None or severity is None or scope is None or when is None or then is None:
            return None
        return RuleDocument(
            name=name,
            severity=Severity(severity),
            scope=scope,
            when=when,
            then=then,
            description=description,
            held_for=held_for,
            clear=clear,
            limits=limits,
            schedule=schedule,
            missing=missing,
            on_clear=on_clear,
            examples=examples,
        )

    def _is_our_version(self, found: Mapping[str, object]) -> bool:
        if "v" not in found:
            return True  # already noted as missing; the rest may still be read and reported on
        version = found["v"]
        if version == VERSION and isinstance(version, int) and not isinstance(version, bool):
            return True
        self.add("$.v", f"This version of rule documents is not known: {shown(version)}.", f"Use {VERSION}.")
        return False

    def _scope(self, node: object, path: str) -> Scope | None:
        found = self.fields(node, path, ("profile",), ("devices", "groups", "tags", "where"))
        if found is None:
            return None
        profile = found.get("profile")
        if profile is not None and self.key(profile, f"{path}.profile", "a device profile, or null (any)") is None:
            return None
        devices = part(found, path, "devices", lambda each, at: self._ids(each, at, MAX_DEVICES, "device"))
        groups = part(found, path, "groups", lambda each, at: self._ids(each, at, MAX_GROUPS, "group"))
        tags = part(found, path, "tags", lambda each, at: self.each(each, at, MAX_TAGS, "tags", self.tag))
        where = part(found, path, "where", self._where)
        return Scope(profile if isinstance(profile, str) else None, devices, groups, tags, where)

    def _where(self, node: object, path: str) -> tuple[AttributeLeaf | Tagged, ...] | None:
        return self.each(node, path, MAX_WHERE, "facts", self._fact)

    def _ids(self, node: object, path: str, most: int, what: str) -> tuple[str, ...] | None:
        return self.each(node, path, most, f"{what}s", lambda each, at: self.uuid(each, at, what))

    def _fact(self, node: object, path: str) -> AttributeLeaf | Tagged | None:
        if isinstance(node, dict) and "tag" in node:
            return self.tag_leaf(node, path)
        if isinstance(node, dict):
            return self.attribute_leaf(node, path)
        self.fields(node, path, ())
        return None

    def _trigger(self, node: object, path: str) -> Schedule | None:
        found = self.fields(node, path, ("schedule",))
        return None if found is None else part(found, path, "schedule", self._schedule)

    def _schedule(self, node: object, path: str) -> Schedule | None:
        found = self.fields(node, path, ("cron",), ("tz",))
        if found is None:
            return None
        cron = part(found, path, "cron", self._cron)
        zone = part(found, path, "tz", self.zone)
        return None if cron is None else Schedule(cron, zone)

    def _cron(self, node: object, path: str) -> str | None:
        cron = self.text(node, path, MAX_CRON)
        if cron is None:
            return None
        wanted = "Write five fields: minute, hour, day of the month, month, day of the week, as in “0 6 * * 1-5”."
        if len(cron.split()) != 5:
            self.add(path, f"This is not a schedule: {shown(cron)} has {len(cron.split())} fields.", wanted)
            return None
        try:
            next(CronSim(cron, datetime(2026, 1, 1, tzinfo=UTC)))
        except CronSimError as error:
            self.add(path, f"This is not a schedule: {shown(cron)} ({str(error).lower()}).", wanted)
            return None
        except StopIteration:
            self.add(path, f"This schedule never comes: {shown(cron)}.", wanted)
            return None
        return cron

    def _clear(self, node: object, path: str) -> Clearing | None:
        found = self.fields(node, path, ("when",), ("for",))
        if found is None:
            return None
        when = part(found, path, "when", self.condition)
        held_for = part(found, path, "for", self._wait)
        return None if when is None else Clearing(when, held_for)

    def _missing(self, node: object, path: str) -> Missing | None:
        found = self.fields(node, path, ("after", "do"))
        if found is None:
            return None
        after = part(found, path, "after", lambda each, at: self.duration(each, at, 10 * SECOND_MS, "30d", None))
        do = part(found, path, "do", lambda each, at: self.choice(each, at, list(MissingDo)))
        return None if after is None or do is None else Missing(after, MissingDo(do))

    def _limits(self, node: object, path: str) -> Limits | None:
        found = self.fields(node, path, (), ("cooldown", "max_lateness", "max_per_hour", "quiet"))
        if found is None:
            return None
        lateness = part(found, path, "max_lateness", lambda each, at: self.duration(each, at, 60 * SECOND_MS, "30d"))
        per_hour = part(found, path, "max_per_hour", lambda each, at: self.whole(each, at, 1, 3_600))
        return Limits(part(found, path, "cooldown", self._wait), lateness, per_hour, self._quiet(found, path))

    def _quiet(self, found: Mapping[str, object], path: str) -> TimeOfDay | None:
        return part(found, path, "quiet", lambda each, at: self.time_of_day(each, at, ("from", "to")))

    def _wait(self, node: object, path: str) -> Duration | None:
        return self.duration(node, path, SECOND_MS, "30d")

    def _examples(self, node: object, path: str) -> tuple[Example, ...] | None:
        parts = self.list_of(node, path, MAX_EXAMPLES, "tests")
        if parts is None:
            return None
        read = [self._example(each, f"{path}[{at}]") for at, each in enumerate(parts)]
        return tuple(each for each in read if each is not None)

    def _example(self, node: object, path: str) -> Example | None:
        found = self.fields(node, path, ("name", "given", "expect"), ("device", "within"))
        if found is None:
            return None
        name = part(found, path, "name", lambda each, at: self.text(each, at, 120))
        device = part(found, path, "device", self._test_device)
        within = part(found, path, "within", self._within)
        messages = self.list_of(found.get("given"), f"{path}.given", MAX_GIVEN, "messages") or ()
        read = [self._given(each, f"{path}.given[{at}]") for at, each in enumerate(messages)]
        expect = found.get("expect")
        if isinstance(expect, list) and not expect:
            expected: list[Expected | None] = []  # nothing is to happen: a test like any other
        else:
            wanted = self.list_of(expect, f"{path}.expect", MAX_EXPECTED, "expectations") or ()
            expected = [self._expected(each, f"{path}.expect[{at}]") for at, each in enumerate(wanted)]
        if name is None:
            return None
        kept = tuple(m for m in read if m is not None), tuple(e for e in expected if e is not None)
        return Example(name, *kept, device, within)

    def _within(self, node: object, path: str) -> Stretch | None:
        found = self.fields(node, path, ("from", "to"))
        start = part(found or {}, path, "from", self._moment)
        end = part(found or {}, path, "to", self._moment)
        if start is None or end is None:
            return None
        if end.ms < start.ms:
            self.add(f"{path}.to", "This is before it begins.")
        return Stretch(start, end)

    def _test_device(self, node: object, path: str) -> TestDevice | None:
        found = self.fields(node, path, (), ("attributes", "tags", "groups"))
        if found is None:
            return None
        tags = part(found, path, "tags", lambda each, at: self.each(each, at, MAX_TAGS, "tags", self.tag))
        groups = part(
            found,
            path,
            "groups",
            lambda each, at: self.each(each, at, MAX_GROUPS, "groups", lambda one, on: self.uuid(one, on, "group")),
        )
        return TestDevice(part(found, path, "attributes", self._attributes), tags, groups)

    def _attributes(self, node: object, path: str) -> tuple[tuple[str, str], ...] | None:
        if not isinstance(node, dict) or len(node) > MAX_GIVEN_VALUES:
            self.add(path, f"This must be an object of at most {MAX_GIVEN_VALUES} attributes, not {shown(node)}.")
            return None
        read = [
            (self.attribute(key, path), self.text(value, f"{path}.{str(key)[:40]}", 256, blank=True))
            for key, value in node.items()
        ]
        return tuple((key, value) for key, value in read if key is not None and value is not None)

    def _given(self, node: object, path: str) -> Given | None:
        found = self.fields(node, path, ("at",), None)
        if found is None:
            return None
        if len(found) > MAX_GIVEN_VALUES:
            self.add(path, f"This message has {len(found)} fields, at most {MAX_GIVEN_VALUES} are allowed.")
            return None
        at, event, is_online, values = None, None, None, []
        for key, told in found.items():  # there may be thousands of messages
            if key == "at":
                at = self._moment(told, f"{path}.at")
            elif key == "$presence":
                presence = self.choice(told, f"{path}.$presence", ["online", "offline"])
                is_online = None if presence is None else presence == "online"
            elif key == "$event":
                event = self.key(told, f"{path}.$event", "a kind of device event")
            elif (metric := self.metric(key, f"{path}.{str(key)[:40]}")) is not None:
                value = self._test_value(told, f"{path}.{metric}")
                if value is not None:
                    values.append((metric, value))
        return None if at is None else Given(at, tuple(values), event, is_online)

    def _test_value(self, node: object, path: str) -> Scalar | Position | None:
        if not isinstance(node, dict):
            return self.scalar(node, path)
        found = self.fields(node, path, ("lat", "lon"))
        lat = part(found or {}, path, "lat", self.latitude)
        lon = part(found or {}, path, "lon", self.longitude)
        return None if lat is None or lon is None else Position(lat, lon)

    def _expected(self, node: object, path: str) -> Expected | None:
        found = self.fields(node, path, ("do",), ("at",))
        if found is None:
            return None
        do = part(found, path, "do", lambda each, at: self.choice(each, at, ["raise", "clear"]))
        return None if do is None else Expected(do == "raise", part(found, path, "at", self._moment))

    def _moment(self, node: object, path: str) -> Duration | None:
        return self.duration(node, path, 0, "30d")
