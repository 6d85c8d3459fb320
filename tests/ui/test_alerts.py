"""Alerts in the console: filters ask for the right thing, several are answered together, an alert explains itself."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.ui.support import ME, Gateway, Visit
from ui.alert_words import HAPPENED, Drawn, drawn, happened, metrics_of, minutes_until, span, why_lines, with_sent
from ui.components.alert_silences import Silences, about, silence_line
from ui.pages.alert import AlertDetail
from ui.pages.alerts import Alerts, become, rule_line

ALERT: dict[str, Any] = {
    "id": "a1",
    "severity": "MAJOR",
    "status": "ACTIVE",
    "reason": "temperature was 9 °C",
    "raisedAt": "2026-01-01T00:00:00Z",
    "assignedTo": None,
    "rule": {"id": "r1", "name": "Too warm"},
    "device": {"id": "d1", "name": "", "key": "cold-1"},
}
TEMPERATURE = {"key": "temperature", "label": "", "unit": "degC", "type": "NUMBER"}
DOOR_OPEN = {"key": "door", "label": "Door open", "unit": None, "type": "BOOLEAN"}
SAID = {"whenTrue": "door is open", "whenFalse": "door is closed"}
METRICS = metrics_of({"metrics": [TEMPERATURE, {**DOOR_OPEN, **SAID}]})
LEAF = {"metric": "temperature", "op": ">", "value": 8, "unit": "degC", "is": True, "seen": 9.25, "at": 1}
DOOR = {"metric": "door", "op": "==", "value": True, "unit": None, "is": None, "seen": None, "at": None}
SILENCE: dict[str, Any] = {
    "id": "s1",
    "reason": "Cleaning",
    "ruleId": None,
    "deviceId": None,
    "groupId": None,
    "fromAt": "2026-01-01T00:00:00Z",
    "untilAt": "2026-01-02T00:00:00Z",
    "endedAt": None,
    "createdBy": "Ada",
}


def page(items: list[Any], end: str | None = None) -> dict[str, Any]:
    return {"items": items, "pageInfo": {"hasNextPage": end is not None, "endCursor": end}}


async def run(handler: Any) -> None:
    """Let a handler that shows its steps run to its end."""
    async for _ in handler:
        pass


@pytest.fixture
async def alerts(gateway: Gateway, visit: Visit) -> Alerts:
    two = [ALERT, {**ALERT, "id": "a2", "severity": "CRITICAL", "assignedTo": "u1", "assignedName": "Ada"}]
    noted = {**ALERT, "id": "a3", "status": "ACKNOWLEDGED"}
    gateway.answers["Alerts"] = {"alerts": page([*two, noted])}
    gateway.answers["AlertsAcknowledge"] = {"alertsAcknowledge": []}
    state = visit(Alerts, "/alerts")
    await state.load()
    return state


async def test_the_worst_are_first_and_those_somebody_took_note_of_stand_apart(alerts: Alerts) -> None:
    assert [each.id for each in alerts.active] == ["a2", "a1"]
    assert [each.id for each in alerts.acknowledged] == ["a3"]


async def test_several_are_acknowledged_together_with_a_note(alerts: Alerts, gateway: Gateway) -> None:
    alerts.tick("a1")
    alerts.tick_all(True)
    alerts.tick("a2")
    assert alerts.chosen == ["a1"]
    alerts.tick("a2")
    await alerts.acknowledge_chosen({"note": "  on my way "})
    assert gateway.variables("AlertsAcknowledge") == {"ids": ["a1", "a2"], "note": "on my way"}
    assert alerts.chosen == []


async def test_several_are_put_off_together_and_what_had_ended_meanwhile_is_said(
    alerts: Alerts, gateway: Gateway
) -> None:
    gateway.answers["AlertsSnooze"] = {
        "alertsSnooze": [{"id": "a1", "status": "ACTIVE"}, {"id": "a2", "status": "CLEARED"}]
    }
    alerts.tick_all(True)
    alerts.put_off(True)
    await alerts.snooze_chosen({"until_at": ""})
    assert (alerts.problem, alerts.is_putting_off, alerts.chosen) == ("Say until when.", True, ["a2", "a1"])
    await alerts.snooze_chosen({"until_at": (datetime.now(UTC) + timedelta(minutes=30)).isoformat()})
    assert gateway.variables("AlertsSnooze") == {"ids": ["a2", "a1"], "minutes": 30}
    assert (alerts.problem, alerts.is_putting_off, alerts.chosen) == ("", False, [])
    assert alerts.said == "1 alert is put off. 1 had ended meanwhile."
    await alerts.set_severity("MAJOR")
    assert alerts.said == ""


def test_what_became_of_alerts_together_is_counted() -> None:
    assert become("put off", ["ACTIVE"] * 3) == "3 alerts are put off."
    assert become("acknowledged", ["CLEARED"] * 2) == "2 had ended meanwhile."


async def test_one_is_acknowledged_and_a_refusal_keeps_what_was_written(alerts: Alerts, gateway: Gateway) -> None:
    alerts.answer("a1")
    gateway.refuses("AlertsAcknowledge", "You may not do that.", "FORBIDDEN")
    await alerts.acknowledge({"note": ""})
    assert (alerts.problem, alerts.answering) == ("You may not do that.", "a1")
    gateway.answers["AlertsAcknowledge"] = {"alertsAcknowledge": []}
    await alerts.acknowledge({"note": ""})
    assert gateway.variables("AlertsAcknowledge") == {"ids": ["a1"], "note": None}
    assert alerts.answering == ""


async def test_what_is_ticked_and_then_gone_is_not_acknowledged_unseen(alerts: Alerts, gateway: Gateway) -> None:
    alerts.tick_all(True)
    gateway.answers["Alerts"] = {"alerts": page([ALERT])}
    await alerts.refresh()
    assert alerts.chosen == ["a1"]


async def test_the_filters_ask_for_the_right_thing(alerts: Alerts, gateway: Gateway) -> None:
    await alerts.set_severity("MAJOR")
    await alerts.set_whose("mine")
    asked = gateway.variables("Alerts")
    assert (asked["isOpen"], asked["severity"], asked["assignedTo"]) == (True, "MAJOR", "u1")
    await alerts.set_whose("nobody")
    assert gateway.variables("Alerts")["assignedTo"] is None
    assert [each.id for each in alerts.active] == ["a1"]


async def test_by_rule_each_rule_leads_to_its_alerts(alerts: Alerts, gateway: Gateway) -> None:
    group = {"open": 3, "unacknowledged": 2, "severity": "MAJOR", "oldestAt": "", "newestAt": "", "rule": ALERT["rule"]}
    gateway.answers["AlertGroups"] = {"alertGroups": [group]}
    await alerts.group(True)
    assert (alerts.groups[0].counted, alerts.groups[0].unseen) == ("3 alerts", "nobody has taken note of 2")
    await alerts.only_rule("r1")
    assert (alerts.by_rule, gateway.variables("Alerts")["ruleId"]) == (False, "r1")


@pytest.mark.parametrize(
    ("count", "unseen", "said"), [(1, 1, "nobody has taken note"), (2, 0, "somebody has taken note of all")]
)
def test_how_many_are_new_is_said(count: int, unseen: int, said: str) -> None:
    group = {"open": count, "unacknowledged": unseen, "severity": "INFO", "oldestAt": "", "newestAt": ""}
    assert rule_line({**group, "rule": ALERT["rule"]}).unseen == said


async def test_older_ones_that_are_over_are_added_below(alerts: Alerts, gateway: Gateway) -> None:
    gateway.answers["Alerts"] = lambda asked: {"alerts": page([ALERT], None if asked["after"] else "c1")}
    await alerts.show_tab("cleared")
    assert (len(alerts.cleared), alerts.has_more, gateway.variables("Alerts")["isOpen"]) == (1, True, False)
    await alerts.more()
    assert (len(alerts.cleared), alerts.has_more) == (2, False)


def test_each_part_of_a_condition_says_what_was_seen() -> None:
    nested = {"not": {"any": [DOOR, LEAF], "is": True}, "is": False}
    lines = why_lines({"all": [LEAF, {"not": DOOR, "is": None}, nested], "is": None}, METRICS)
    assert [(each.depth, each.words, each.seen, each.verdict) for each in lines] == [
        (0, "All of these", "", "unknown"),
        (1, "Temperature is above 8 °C", "seen: 9.25 °C", "yes"),
        (1, "Door is closed", "no value was known", "unknown"),
        (1, "Not so:", "", "no"),
        (2, "At least one of these", "", "yes"),
        (3, "Door is open", "no value was known", "unknown"),
        (3, "Temperature is above 8 °C", "seen: 9.25 °C", "yes"),
    ]


def test_a_yes_or_no_is_said_as_the_platform_words_it() -> None:
    (line,) = why_lines({**DOOR, "is": False, "seen": False}, METRICS)
    assert (line.words, line.seen) == ("Door is open", "seen: closed")
    (line,) = why_lines({**DOOR, "op": "!=", "is": True, "seen": False}, METRICS)
    assert line.words == "Door is closed"


def test_what_must_not_be_so_is_said_the_other_way_round() -> None:
    lines = [why_lines({"not": {"presence": "offline", "is": False}, "is": True}, METRICS)[0]]
    lines += why_lines({"not": {"event": "door", "is": False}, "is": True}, METRICS)
    assert [(each.words, each.verdict) for each in lines] == [
        ("It is not offline", "yes"),
        ("Not so: an event “door” comes", "yes"),
    ]


@pytest.mark.parametrize(
    ("leaf", "said"),
    [
        ({"agg": {"fn": "avg", "over": "5m"}}, "The average temperature over 5 minutes is above 8 °C"),
        ({"agg": {"fn": "max", "last": 3}}, "The highest temperature, of the last 3 values is above 8 °C"),
        ({"agg": {"fn": "count", "over": "1h"}}, "The number of values of temperature over 1 hour is above 8 °C"),
        ({"rate": {"per": "1m", "over": "10m"}}, "The change of temperature per minute over 10 minutes is above 8 °C"),
        ({"delta": {"over": "1d"}}, "The change of temperature over 1 day is above 8 °C"),
        ({"op": "outside", "value": [2, 8]}, "Temperature is outside 2 to 8 °C"),
        ({"op": "==", "value": 8}, "Temperature is 8 °C"),
        ({"value": {"attribute": "set_point"}, "against": 7.5}, "Temperature is above its set point (7.5 °C)"),
        ({"value": {"metric": "temperature", "ago": "1h"}}, "Temperature is above its value 1 hour ago"),
        ({"changed": {"over": "90s"}}, "Temperature has changed within 90 seconds"),
        ({"stuck": {"for": "2h"}}, "Temperature stays the same for 2 hours"),
    ],
)
def test_a_comparison_reads_as_its_rule_does(leaf: dict[str, Any], said: str) -> None:
    assert why_lines({**LEAF, **leaf}, METRICS)[0].words == said


@pytest.mark.parametrize(
    ("leaf", "said"),
    [
        ({"attribute": "site", "op": "in", "value": ["Basel", "Kiel"]}, "Its site is one of “Basel”, “Kiel”"),
        ({"tag": "spare"}, "It is tagged “spare”"),
        ({"silence": "30m"}, "Nothing was heard of it for 30 minutes"),
        ({"presence": "offline"}, "It is offline"),
        ({"event": "door"}, "An event “door” comes"),
        ({"place": {"metric": "at", "is": "left", "of": {}}}, "It leaves the area"),
        ({"time": {"days": [1], "from": "08:00", "to": "17:00", "tz": "Europe/Berlin"}},
         "It is between 08:00 and 17:00 on Mon (Berlin)"),
        ({"something": "new"}, "A condition that this page does not know"),
    ],
)  # fmt: skip
def test_what_is_no_metric_is_said_too(leaf: dict[str, Any], said: str) -> None:
    assert why_lines({**leaf, "is": True, "seen": True, "at": None}, METRICS)[0].words == said


@pytest.mark.parametrize(
    ("seen", "value", "said"),
    [(77.2496, 60, "77.25"), (8.0004, 8, "8.0004"), (253.04, [207, 253], "253.04"), (1013.25, 900, "1013")],
)
def test_what_was_seen_has_the_digits_that_mean_something(seen: float, value: Any, said: str) -> None:
    assert why_lines({**LEAF, "seen": seen, "value": value}, METRICS)[0].seen == f"seen: {said} °C"


def a_leaf(metric: str, is_: bool | None, value: Any = 8, **more: Any) -> dict[str, Any]:
    return {"metric": metric, "op": ">", "value": value, "is": is_, "seen": 1, "at": 1, **more}


DAMP = {"key": "humidity", "label": "", "unit": "percent", "type": "NUMBER"}
ALL_METRICS = {**METRICS, **metrics_of({"metrics": [DAMP, {**DAMP, "key": "mode", "type": "STRING"}]})}
WARM, FULL, OPEN = a_leaf("temperature", True), a_leaf("humidity", True, [40, 60]), a_leaf("door", True, True)
NOT_WARM, NOT_FULL = {**WARM, "is": False}, {**FULL, "is": False}


@pytest.mark.parametrize(
    ("tree", "keys"),
    [
        ({"any": [NOT_WARM, FULL], "is": True}, ["humidity"]),
        ({"any": [WARM, FULL, {**OPEN, "is": None}], "is": True}, ["temperature", "humidity"]),
        ({"all": [{"tag": "x", "is": True}, OPEN, WARM], "is": True}, ["door", "temperature"]),
        ({"all": [{"not": NOT_FULL, "is": True}, WARM], "is": True}, ["humidity", "temperature"]),
        ({"not": {"all": [WARM, NOT_FULL], "is": False}, "is": True}, ["humidity"]),
        ({"not": {"any": [NOT_WARM, NOT_FULL], "is": False}, "is": True}, ["temperature", "humidity"]),
        ({"any": [NOT_WARM, a_leaf("humidity", True, missing="30m")], "is": True}, ["humidity"]),
        ({"all": [{**WARM, "is": None}, {**OPEN, "is": None}], "is": None}, ["temperature", "door"]),
        (a_leaf("temperature", True, {"metric": "humidity", "plus": 2}), ["temperature", "humidity"]),
        (a_leaf("mode", True, "x"), []),
        (a_leaf("gone", True), []),
        ({"tag": "x", "is": True}, []),
        (None, []),
    ],
    ids=range(13),
)
def test_what_made_the_rule_fire_is_drawn_and_nothing_else(tree: Any, keys: list[str]) -> None:
    assert [each.key for each in drawn(tree, ALL_METRICS)] == keys


def test_a_metric_is_drawn_once_with_each_limit_that_lies_on_its_own_scale() -> None:
    steep = a_leaf("temperature", True, 2, rate={"per": "1m", "over": "10m"})
    many = a_leaf("temperature", True, 30, agg={"fn": "count", "over": "1h"})
    mean = a_leaf("temperature", True, 7.5, agg={"fn": "avg", "over": "1h"})
    assert [each.limits for each in drawn({"all": [WARM, steep, many, mean, WARM], "is": True}, METRICS)] == [[8, 7.5]]
    assert [each.limits for each in drawn(FULL, ALL_METRICS)] == [[40, 60]]
    assert [each.limits for each in drawn(OPEN, METRICS)] == [[]]


def test_a_value_that_stayed_away_is_said_to_have() -> None:
    line = why_lines({"metric": "temperature", "missing": "30m", "is": True, "seen": None, "at": 1}, METRICS)[0]
    assert (line.words, line.seen, line.verdict) == ("No temperature came for 30 minutes", "", "yes")


def test_a_span_of_time_is_spelled() -> None:
    assert (span("1h"), span("90s"), span("?")) == ("1 hour", "90 seconds", "?")


@pytest.mark.parametrize("kind", sorted(HAPPENED))
def test_all_that_can_happen_to_an_alert_has_words(kind: str) -> None:
    said = happened({"at": "", "kind": kind, "by": "Ada", "text": "Bob"})
    assert "{" not in said.words
    assert said.words[:1].isupper()


def test_an_assignment_names_both_and_the_platform_has_a_name() -> None:
    assert happened({"at": "", "kind": "ASSIGNED", "by": "Ada", "text": "Bob"}).words == "Ada gave it to Bob"
    assert happened({"at": "", "kind": "ASSIGNED", "by": "Ada", "text": None}).words.startswith("Ada took it from")
    assert happened({"at": "", "kind": "WOKEN", "by": "system", "text": None}).words.startswith("The platform")


def test_until_a_moment_there_are_whole_minutes_and_at_least_one() -> None:
    now = datetime.now(UTC)
    assert minutes_until((now + timedelta(hours=1)).isoformat()) == 60
    assert minutes_until((now - timedelta(hours=1)).isoformat()) == 1
    with pytest.raises(ValueError, match="isoformat"):
        minutes_until("tomorrow")


@pytest.fixture
async def detail(gateway: Gateway, visit: Visit) -> AlertDetail:
    whole = {
        **ALERT,
        "why": LEAF,
        "summary": "When temperature is above 8 °C, raise a major alert.",
        "device": {**ALERT["device"], "profile": {"metrics": [TEMPERATURE]}},
        "history": [
            {"at": "1", "kind": "NOT_TOLD", "by": "system", "text": "“Night”. No such policy."},
            {"at": "2", "kind": "COMMENTED", "by": "Ada", "text": "A fuse."},
        ],
    }
    gateway.answers["Me"] = {"me": {**ME["me"], "scopes": ["alerts:read", "telemetry:read", "devices:read"]}}  # type: ignore[dict-item]
    gateway.answers["Alert"] = {"alert": whole}
    state = visit(AlertDetail, "/alerts/a1")
    await state.load()
    return state


async def test_an_alert_is_told_to_whoever_may_see_neither_its_device_nor_values(
    gateway: Gateway, visit: Visit
) -> None:
    gateway.answers["Me"] = {"me": {**ME["me"], "scopes": ["alerts:read"]}}  # type: ignore[dict-item]
    gateway.answers["Alert"] = {"alert": {**ALERT, "why": LEAF, "history": []}}
    state = visit(AlertDetail, "/alerts/a1")
    await state.load()
    assert gateway.variables("Alert") == {"id": "a1", "readsDevices": False, "readsNotifications": False}
    assert (state.ready, state.problem, state.drawn) == (True, "", [])
    assert [each.words for each in state.why] == ["Temperature is above 8 °C"]


async def test_an_alert_tells_why_what_to_draw_who_was_told_and_what_happened(detail: AlertDetail) -> None:
    assert detail.alert.summary == "When temperature is above 8 °C, raise a major alert."
    assert [each.words for each in detail.why] == ["Temperature is above 8 °C"]
    assert detail.drawn == [Drawn("temperature", "Temperature", "°C", "NUMBER", [8])]
    assert [each.words for each in detail.told] == ["Nobody was told"]
    assert [each.text for each in detail.history] == ["A fuse.", "“Night”. No such policy."]


def test_an_entry_that_sent_something_out_says_by_what_to_whom_and_whether_it_arrived() -> None:
    told = [happened({"at": at, "kind": "TOLD", "by": "system", "text": "“Night”."}) for at in ("1", "1", "2")]
    mail = {
        "id": "m1",
        "kind": "EMAIL",
        "channelName": "Night shift",
        "target": "night@example.org",
        "state": "DELIVERED",
        "lastError": "It was slow.",
        "endedAt": "5",
        "createdAt": "1",
    }
    phone = {**mail, "id": "m2", "kind": "SMS", "target": "+491511234567", "state": "GIVEN_UP", "channelName": None}
    with_one = with_sent(told, [mail, phone, {**mail, "kind": "SLACK", "target": "hooks.slack.com", "createdAt": "2"}])
    assert [[(each.channel, each.place, each.stand, each.trouble) for each in entry.sent] for entry in with_one] == [
        [
            ("E-mail “Night shift”", "n…@example.org", "arrived", ""),
            ("Text message", "+49…567", "given up", "It was slow."),
        ],
        [],
        [("Slack “Night shift”", "hooks.slack.com", "arrived", "")],
    ]


async def test_what_is_done_to_an_alert_is_asked_for(detail: AlertDetail, gateway: Gateway) -> None:
    for name in ("AlertComment", "AlertAssign", "AlertSnooze", "AlertWake", "AlertsAcknowledge"):
        gateway.answers[name] = {name[0].lower() + name[1:]: {"id": "a1"}}
    await detail.comment({"text": " A fuse. "})
    assert gateway.variables("AlertComment") == {"id": "a1", "text": "A fuse."}
    await detail.assign("")
    assert gateway.variables("AlertAssign") == {"id": "a1", "userId": None}
    await detail.snooze({"until_at": (datetime.now(UTC) + timedelta(minutes=30)).isoformat()})
    assert gateway.variables("AlertSnooze") == {"id": "a1", "minutes": 30}
    await detail.wake()
    await detail.acknowledge({"note": "mine"})
    assert gateway.variables("AlertsAcknowledge") == {"ids": ["a1"], "note": "mine"}
    await detail.snooze({"until_at": ""})
    assert detail.problem == "Say until when."


async def test_who_sees_no_other_member_can_still_take_an_alert_on(detail: AlertDetail, gateway: Gateway) -> None:
    assert detail.assignees == [{"id": "u1", "name": "Ada"}]
    detail.alert = replace(detail.alert, assigned_to="u9", assigned_name="Eve")
    assert detail.assignees == [{"id": "u1", "name": "Ada"}, {"id": "u9", "name": "Eve"}]
    gateway.answers["Me"] = {"me": {**ME["me"], "scopes": ["alerts:read", "users:read"]}}  # type: ignore[dict-item]
    gateway.answers["MemberNames"] = {"members": [{"id": "u1", "name": "Ada"}, {"id": "u2", "name": "Bo"}]}
    await detail.load()
    assert [each["name"] for each in detail.members] == ["Ada", "Bo"]


async def test_an_alert_that_is_not_there_is_said_to_be_missing(gateway: Gateway, visit: Visit) -> None:
    gateway.refuses("Alert", "No alert has this id.", "ALERT_NOT_FOUND")
    state = visit(AlertDetail, "/alerts/a9")
    await state.load()
    assert (state.is_gone, state.ready, state.problem) == (True, False, "")


def test_a_silence_says_what_it_is_about() -> None:
    names = {"r1": "Too warm", "d1": "Cold room 1", "g1": "Basel"}
    assert about(SILENCE, names) == "any alert"
    assert about({**SILENCE, "ruleId": "r1", "deviceId": "d1"}, names) == "“Too warm” on Cold room 1"
    assert about({**SILENCE, "groupId": "g1"}, names) == "the devices of “Basel”"
    assert about({**SILENCE, "deviceId": "d9"}, names) == "a removed device"


def test_a_silence_is_to_come_or_on_or_over() -> None:
    def stands(day: int, **more: Any) -> tuple[bool, bool]:
        line = silence_line({**SILENCE, **more}, {}, datetime(2026, 1, day, 12, tzinfo=UTC))
        return line.is_coming, line.is_over

    assert stands(1) == (False, False)
    assert stands(2) == (False, True)
    assert stands(1, endedAt="2026-01-01T01:00:00Z") == (False, True)
    assert stands(1, fromAt="2026-01-01T20:00:00Z") == (True, False)


@pytest.fixture
async def silences(gateway: Gateway, visit: Visit) -> Silences:
    gateway.answers["Silences"] = lambda asked: {"silences": page([SILENCE] if asked["isOpen"] else [])}
    gateway.answers["RuleNames"] = {"rules": {"items": [{"id": "r1", "name": "Too warm"}]}}
    gateway.answers["DeviceName"] = {"device": {"id": "d7", "key": "cold-7", "name": "Cold room 7"}}
    gateway.answers["Devices"] = {"devices": {"items": [{"id": "d1", "key": "cold-1", "name": ""}]}}
    gateway.answers["SilenceCreate"] = {"silenceCreate": {"id": "s2"}}
    state = visit(Silences, "/alerts?silence_device=d7")
    await state.load()
    return state


async def test_a_silence_begun_elsewhere_knows_its_device(silences: Silences) -> None:
    assert (silences.is_making, silences.what, silences.chosen) == (True, "device", "d7")
    assert [each.name for each in silences.choices] == ["Cold room 7", "cold-1"]


async def test_a_silence_is_made_for_one_rule_or_for_everything(silences: Silences, gateway: Gateway) -> None:
    await run(silences.set_what("rule"))
    form = {"reason": " Cleaning ", "from_at": "", "until_at": "2026-01-02T00:00:00Z", "silence-span": "night"}
    await silences.create(form)
    asked = {"reason": "Cleaning", "fromAt": None, "untilAt": "2026-01-02T00:00:00Z"}
    assert gateway.variables("SilenceCreate") == {"input": {**asked, "ruleId": "r1"}}
    assert not silences.is_making
    await run(silences.set_what("all"))
    await silences.create(form)
    assert gateway.variables("SilenceCreate") == {"input": asked}
    await silences.create({**form, "until_at": ""})
    assert silences.problem == "Say until when."


async def test_a_silence_is_ended(silences: Silences, gateway: Gateway) -> None:
    gateway.answers["SilenceEnd"] = {"silenceEnd": {"id": "s1"}}
    await silences.end("s1")
    assert gateway.variables("SilenceEnd") == {"id": "s1"}
    assert silences.said.startswith("It is over.")
