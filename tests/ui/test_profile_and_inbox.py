"""Editing a profile, and reading what was not accepted."""

import inspect
from typing import Any

import pytest

from schema.wire.payloads import Reason
from tests.ui.support import Gateway, Visit
from ui.inbox_lines import group_line, outcome, rejected_line
from ui.pages.inbox import Inbox
from ui.pages.profile import Profile
from ui.pages.profile.drafts import (
    CommandDraft,
    Unclear,
    ValueDraft,
    commands_of,
    interval_of,
    interval_words,
    metrics_of,
    shadow_of,
)
from ui.rejected import REASONS, readable, reason_words

PROFILE: dict[str, Any] = {
    "id": "p1",
    "key": "cold-room",
    "name": "Cold room",
    "isStrict": True,
    "version": 3,
    "reportingIntervalS": 300,
    "retentionDays": 30,
    "metrics": [
        {"key": "temperature", "type": "NUMBER", "unit": "degC", "label": "Temperature", "min": -30.0, "max": 40.5},
        {"key": "door", "type": "BOOLEAN", "unit": None, "label": "", "min": None, "max": None},
    ],
    "commands": [
        {
            "key": "defrost",
            "label": "Defrost",
            "description": "Melts the ice.",
            "timeoutS": 60,
            "arguments": [
                {
                    "key": "mode",
                    "type": "STRING",
                    "label": "",
                    "unit": None,
                    "min": None,
                    "max": None,
                    "choices": ["gentle", "hot"],
                    "isRequired": False,
                },
            ],
        }
    ],
    "shadow": [
        {
            "path": "cooling.setpoint",
            "type": "NUMBER",
            "label": "Setpoint",
            "unit": "degC",
            "min": -30.0,
            "max": 10.0,
            "choices": [],
            "isWritable": True,
        },
    ],
}
VERSIONS: list[dict[str, Any]] = [
    {"version": 3, "changedBy": "ada@example.org", "changedAt": "2026-01-03T00:00:00Z", "changes": ["Added “door”."]},
    {"version": 2, "changedBy": "", "changedAt": "2026-01-02T00:00:00Z", "changes": ["Renamed."]},
]
REJECTED: dict[str, Any] = {
    "id": "m1",
    "deviceId": "d1",
    "receivedAt": "2026-01-01T00:00:00Z",
    "code": "RANGE",
    "about": "temperature",
    "decoder": 1,
    "isPartial": False,
    "leftOut": [],
    "isWaiting": False,
    "replayedAt": None,
    "reason": "“temperature” is 99, the profile allows -30 to 40.",
    "transport": "mqtt",
    "topic": "t/demo/d/cold-1/up/telemetry",
    "payload": '{"values":{"temperature":99}}',
    "sizeBytes": 29,
}
GROUP: dict[str, Any] = {
    "id": "0b5f8a52-7f0b-4d5e-9c3d-1f2e3d4c5b6a",
    "profileId": "p1",
    **{name: REJECTED[name] for name in ("code", "about", "reason")},
    "count": 25,
    "partial": 0,
    "kept": 20,
    "waiting": 0,
    "failed": 0,
    "devices": 5,
    "deviceIds": ["d1", "d2"],
    "firstAt": "2026-01-01T00:00:00Z",
    "lastAt": "2026-01-02T00:00:00Z",
    "newest": REJECTED,
}


def page(items: list[Any], end: str | None = None) -> dict[str, Any]:
    return {"items": items, "pageInfo": {"hasNextPage": end is not None, "endCursor": end}}


async def run(handler: Any) -> list[Any]:
    """Let a handler run to its end; what it handed to the browser."""
    if inspect.isasyncgen(handler):
        return [event async for event in handler]
    return [await handler]


def form(*rows: dict[str, str]) -> tuple[list[ValueDraft], dict[str, str]]:
    """The rows of a form and what the browser sends for them."""
    drafts = [ValueDraft(str(number)) for number in range(len(rows))]
    sent = {f"{name}-{number}": value for number, row in enumerate(rows) for name, value in row.items()}
    return drafts, sent


def test_the_rows_of_the_form_become_metrics_and_empty_ones_are_left_out() -> None:
    rows = form(
        {"key": " temp ", "type": "NUMBER", "label": "", "unit": "degC", "min": "-30", "max": "40,5"},
        {"key": "", "type": "NUMBER", "label": "", "unit": "", "min": "", "max": ""},
        {"key": "door", "type": "BOOLEAN", "label": "Door", "unit": "degC", "min": "1", "max": ""},
    )
    assert metrics_of(*rows) == [
        {"key": "temp", "type": "NUMBER", "label": None, "unit": "degC", "min": -30.0, "max": 40.5},
        {"key": "door", "type": "BOOLEAN", "label": "Door", "unit": None, "min": None, "max": None},
    ]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"key": "a"}, {"key": "a"}], "there twice"),
        ([{"label": "Nameless"}], "no name yet"),
        ([{"key": "7up"}], "cannot be a name"),
        ([{"key": "a", "min": "5", "max": "5"}], "below its highest"),
        ([{"key": "a", "min": "warm"}], "“warm” is none"),
        ([{"key": "a", "max": "inf"}], "“inf” is none"),
    ],
)
def test_a_row_that_cannot_be_used_is_explained(rows: list[dict[str, str]], words: str) -> None:
    with pytest.raises(Unclear, match=words):
        metrics_of(*form(*rows))


def test_thousands_and_decimals_are_read_as_written() -> None:
    rows = form({"key": "a", "min": "0.5", "max": "1,000,000.5"}, {"key": "b", "min": "1 000", "max": "1500"})
    assert [(each["min"], each["max"]) for each in metrics_of(*rows)] == [(0.5, 1_000_000.5), (1000, 1500)]


@pytest.fixture
async def editor(gateway: Gateway, visit: Visit) -> Profile:
    gateway.answers["Profile"] = {"profile": PROFILE, "profileVersions": page(VERSIONS, "c1")}
    state = visit(Profile, "/profiles/p1")
    await run(state.load())
    return state


def sent_form(state: Profile, **changed: str) -> dict[str, str]:
    """What the browser sends when nothing but `changed` was typed; a key names the first row's field."""
    names = ("key", "label", "type", "unit", "min", "max", "choices")
    arguments = [argument for command in state.commands for argument in command.arguments]
    values = [*state.rows, *arguments, *state.settings]
    sent = {f"{name}-{row.row}": getattr(row, name) for row in values for name in names}
    sent |= {f"is_ticked-{row.row}": "on" for row in (*arguments, *state.settings) if row.is_ticked}
    parts = ("key", "label", "description", "timeout")
    sent |= {f"{part}-{command.row}": getattr(command, part) for command in state.commands for part in parts}
    return sent | {f"{name}-{state.rows[0].row}": value for name, value in changed.items()}


async def test_opening_and_saving_a_profile_loses_nothing(editor: Profile, gateway: Gateway) -> None:
    gateway.answers["ProfileUpdate"] = {"profileUpdate": {"id": "p1"}}
    await run(editor.save(sent_form(editor)))
    metrics = [{**metric, "label": metric["label"] or None} for metric in PROFILE["metrics"]]
    (defrost,), (setpoint,) = PROFILE["commands"], PROFILE["shadow"]
    (mode,) = defrost["arguments"]
    wanted = {
        "name": "Cold room",
        "isStrict": True,
        "metrics": metrics,
        "reportingIntervalS": 300,
        "retentionDays": 30,
        "commands": [{**defrost, "arguments": [{**mode, "label": None}]}],
        "shadow": [setpoint],
    }
    assert gateway.variables("ProfileUpdate") == {"id": "p1", "input": wanted, "version": 3}
    assert editor.said.startswith("Saved.")


async def test_rows_are_added_and_removed_without_touching_the_others(editor: Profile) -> None:
    first, second = editor.rows
    editor.add()
    assert [each.row for each in editor.rows[:2]] == [first.row, second.row]
    assert len({each.row for each in editor.rows}) == 3
    editor.remove(first.row)
    assert editor.rows[0] == second


async def test_a_change_by_somebody_else_is_told_and_mine_is_not_lost(editor: Profile, gateway: Gateway) -> None:
    gateway.refuses("ProfileUpdate", "Somebody else has changed it meanwhile.", "VERSION_STALE")
    await run(editor.save(sent_form(editor, max="45")))
    assert (editor.is_stale, editor.problem, editor.is_busy) == (True, "", False)
    gateway.answers["ProfileUpdate"] = {"profileUpdate": {"id": "p1"}}
    await editor.insist()
    sent = gateway.variables("ProfileUpdate")
    assert (sent["version"], sent["input"]["metrics"][0]["max"]) == (None, 45.0)
    assert editor.is_stale is False


async def test_the_other_change_can_be_taken_instead(editor: Profile, gateway: Gateway) -> None:
    gateway.refuses("ProfileUpdate", "Somebody else has changed it meanwhile.", "VERSION_STALE")
    await run(editor.save(sent_form(editor)))
    gateway.answers["Profile"] = {
        "profile": {**PROFILE, "name": "Theirs", "version": 4},
        "profileVersions": page(VERSIONS),
    }
    await editor.take_theirs()
    assert (editor.name, editor.is_stale) == ("Theirs", False)


def test_an_interval_is_filled_in_as_people_say_it() -> None:
    assert [interval_words(seconds) for seconds in (None, 45, 300, 7_200, 86_400)] == [
        ("", "seconds"),
        ("45", "seconds"),
        ("5", "minutes"),
        ("2", "hours"),
        ("1", "days"),
    ]
    assert [interval_of(*said) for said in (("", "days"), ("1,5", "minutes"), ("2", "hours"))] == [0, 90, 7_200]
    for amount, unit in (("0", "seconds"), ("31", "days"), ("often", "minutes")):
        with pytest.raises(Unclear):
            interval_of(amount, unit)


async def test_the_page_says_when_a_device_counts_as_silent(editor: Profile) -> None:
    assert "after 15 minutes" in editor.silence_words
    editor.set_amount("2")
    editor.set_unit("seconds")
    assert "after 12 seconds" in editor.silence_words
    editor.set_amount("")
    assert "no device ever counts as silent" in editor.silence_words


async def test_commands_and_what_they_are_told_are_added_and_removed(editor: Profile) -> None:
    editor.add_command()
    added = editor.commands[1]
    editor.add_argument(added.row)
    editor.add_argument(editor.commands[0].row)
    assert [len(command.arguments) for command in editor.commands] == [2, 1]
    editor.remove_argument(editor.commands[0].arguments[0].row)
    editor.remove_command(added.row)
    assert [len(command.arguments) for command in editor.commands] == [1]
    editor.add_setting()
    editor.remove_setting(editor.settings[0].row)
    assert [setting.key for setting in editor.settings] == [""]


def test_a_name_that_a_device_knows_is_made_from_the_shown_one() -> None:
    block = CommandDraft("1", arguments=[ValueDraft("2")])
    sent = {"label-1": "Open the valve", "label-2": "How far", "type-2": "NUMBER", "min-2": "0", "max-2": "100"}
    (command,) = commands_of([block, CommandDraft("3")], sent)
    (argument,) = command["arguments"]
    assert (command["key"], command["timeoutS"], argument["key"], argument["isRequired"]) == (
        "open-the-valve",
        30,
        "how-far",
        False,
    )
    (leaf,) = shadow_of([ValueDraft("4")], {"label-4": "Target", "type-4": "STRING", "choices-4": "eco, full,eco"})
    assert (leaf["path"], leaf["choices"], leaf["isWritable"]) == ("target", ["eco", "full"], False)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"description-1": "Does it."}, "no name yet"),
        ({"key-1": "1st"}, "cannot be called “1st”"),
        ({"key-1": "run", "timeout-1": "0"}, "from 1 second to a day"),
        ({"key-1": "run", "label-2": "!"}, "What “run” is told cannot be called “”"),
        ({"key-1": "run", "key-2": "speed", "min-2": "9", "max-2": "1"}, "below its highest"),
    ],
)
def test_a_command_that_cannot_be_used_is_explained(sent: dict[str, str], words: str) -> None:
    with pytest.raises(Unclear, match=words):
        commands_of([CommandDraft("1", arguments=[ValueDraft("2")])], sent)


@pytest.mark.parametrize("path", ["a..b", "1st", "a.b.c.d.e.f"])
def test_a_setting_that_cannot_be_used_is_explained(path: str) -> None:
    with pytest.raises(Unclear, match="A setting cannot be called"):
        shadow_of([ValueDraft("1")], {"key-1": path})


async def test_earlier_versions_are_shown_and_can_be_brought_back(editor: Profile, gateway: Gateway) -> None:
    assert [(line.version, line.by) for line in editor.versions] == [(3, "ada@example.org"), (2, "")]
    gateway.answers["ProfileVersions"] = {"profileVersions": page([{**VERSIONS[1], "version": 1}])}
    await editor.show_older()
    assert (gateway.variables("ProfileVersions")["after"], editor.versions[-1].version) == ("c1", 1)
    assert editor.has_older is False
    gateway.answers["ProfileVersion"] = {"profileVersion": {**PROFILE, "name": "As it was", "reportingIntervalS": None}}
    await editor.bring_back(2)
    assert (editor.name, editor.amount, editor.version) == ("As it was", "", 3)
    assert "once you save it" in editor.said


async def test_a_new_profile_is_made_and_opened(gateway: Gateway, visit: Visit) -> None:
    gateway.answers["ProfileCreate"] = {"profileCreate": {"id": "p9"}}
    state = visit(Profile, "/profiles/new")
    await run(state.load())
    state.set_name("Wind mast 3")
    assert state.key == "wind-mast-3"
    events = await run(state.save({f"key-{state.rows[0].row}": "speed", f"type-{state.rows[0].row}": "NUMBER"}))
    made = gateway.variables("ProfileCreate")["input"]
    assert (made["key"], made["isStrict"], [each["key"] for each in made["metrics"]]) == (
        "wind-mast-3",
        False,
        ["speed"],
    )
    assert "/profiles/p9" in str(events[-1])


async def test_a_row_that_cannot_be_used_is_not_sent(editor: Profile, gateway: Gateway) -> None:
    await run(editor.save(sent_form(editor, key="not a name")))
    assert "cannot be a name" in editor.problem
    assert (editor.is_busy, "ProfileUpdate" in [name for name, _ in gateway.asked]) == (False, False)


async def test_a_profile_that_is_not_there_is_said_plainly(gateway: Gateway, visit: Visit) -> None:
    gateway.refuses("Profile", "There is no such profile, or none that you may see.", "PROFILE_NOT_FOUND")
    state = visit(Profile, "/profiles/other")
    await run(state.load())
    assert (state.is_gone, state.ready, state.problem) == (True, False, "")


def test_every_reason_of_the_wire_is_told_in_words() -> None:
    assert set(REASONS) == {str(reason) for reason in Reason}
    assert reason_words("BRAND_NEW") == "Brand new"


@pytest.mark.parametrize(
    ("payload", "text", "form"),
    [
        ('{"a":1}', '{\n  "a": 1\n}', "JSON"),
        ("21,5 Grad", "21,5 Grad", "text"),
        ('{"a": NaN}', '{"a": NaN}', "text"),
        (r"ok\xff\x80é", "0000  6f 6b ff 80 c3 a9                                ok····", "bytes"),
        ("\x00\x01", "0000  00 01                                            ··", "bytes"),
    ],
)
def test_a_payload_is_shown_so_that_people_can_read_it(payload: str, text: str, form: str) -> None:
    assert readable(payload) == (text, form)


def test_long_bytes_are_laid_out_in_rows() -> None:
    rows = readable("\x00" * 20)[0].splitlines()
    assert [row[:6] for row in rows] == ["0000  ", "0010  "]


def test_a_message_longer_than_what_was_kept_says_so() -> None:
    line = rejected_line({**REJECTED, "payload": "x" * 8192, "sizeBytes": 20_000}, "Cold room 1")
    assert line.form == "20,000 bytes, the first 8,192, shown as text, turned away by decoder 1"
    assert not line.is_whole


def test_a_group_says_how_many_of_whom_and_what_can_be_replayed() -> None:
    line = group_line(GROUP, {"d1": "Cold 1", "d2": "Cold 2"}, {"p1": "Cold room"})
    assert (line.title, line.about, line.profile) == ("A value lies outside its limits", "temperature", "Cold room")
    assert (line.numbers, line.others) == ("25 messages, 20 of them kept, from ", "and 3 more")
    assert (line.replay_words, line.kept_words, line.is_about_profile) == ("Replay all 20", "Look at all 20", True)
    assert (line.partly, line.discard_words[-34:]) == ("", "They stay counted as not accepted.")
    counted = group_line({**GROUP, "kept": 0, "newest": None}, {"d1": "", "d2": ""}, {})
    assert (counted.can_replay, counted.kept_words, counted.newest.id) == (False, "", "")


def test_what_was_left_out_of_a_reading_is_named_and_that_the_rest_was_stored() -> None:
    assert rejected_line(REJECTED, "").left_out == ""
    named = rejected_line({**REJECTED, "isPartial": True, "leftOut": ["temperature", "door"]}, "")
    assert named.left_out == "Left out: temperature, door. The other values of the reading were stored."
    assert named.discard_words.endswith("What was stored of the reading stays.")
    many = rejected_line({**REJECTED, "isPartial": True, "leftOut": [f"m{n}" for n in range(12)]}, "")
    assert "m8, m9 and 2 more. The" in many.left_out
    names = {"d1": "", "d2": ""}
    assert group_line({**GROUP, "partial": 25}, names, {}).partly == "stored in part"
    some = group_line({**GROUP, "partial": 3}, names, {})
    assert (some.partly, "of some of them stays" in some.discard_words) == ("3 stored in part", True)


@pytest.mark.parametrize(
    ("now", "words", "is_well"),
    [
        (None, "Replayed: 25 messages left the inbox.", True),
        ({**GROUP, "count": 5, "kept": 0}, "Replayed: 20 messages left the inbox.", True),
        ({**GROUP, "count": 6, "failed": 1}, "Replayed: 19 messages left the inbox. 1 were refused again", False),
        ({**GROUP, "failed": 20}, "Nothing could be stored", False),
        ({**GROUP, "waiting": 3}, "3 messages still wait", False),
    ],
)
def test_what_became_of_a_replay_is_told(now: dict[str, Any] | None, words: str, is_well: bool) -> None:
    told = outcome(GROUP, now)
    assert told[0].startswith(words)
    assert told[1] is is_well


@pytest.fixture
async def inbox(gateway: Gateway, visit: Visit) -> Inbox:
    gateway.answers["DeviceNames"] = {"devices": {"items": [{"id": "d1", "key": "cold-1", "name": ""}]}}
    gateway.answers["DeviceName"] = {"device": {"id": "d2", "key": "old-1", "name": "Old one"}}
    gateway.answers["InboxGroups"] = lambda variables: {
        "inboxGroups": page([GROUP], None if variables["after"] else "c1")
    }
    gateway.answers["InboxGroup"] = {"inboxGroup": GROUP}
    gateway.answers["Inbox"] = {"inbox": page([REJECTED, {**REJECTED, "deviceId": "d2"}])}
    state = visit(Inbox, "/inbox")
    await state.load()
    return state


async def test_each_group_names_its_devices_also_one_that_is_no_longer_listed(inbox: Inbox) -> None:
    assert [[each.name for each in group.devices] for group in inbox.groups] == [["cold-1", "Old one"]]
    assert inbox.groups[0].newest.device == "cold-1"


async def test_choosing_a_device_begins_at_the_first_page(inbox: Inbox, gateway: Gateway) -> None:
    await inbox.next_page()
    assert (inbox.number, inbox.has_next) == (2, False)
    await inbox.set_device("d1")
    asked = gateway.variables("InboxGroups")
    assert (inbox.number, asked["deviceId"], asked["after"]) == (1, "d1", None)


async def test_a_device_of_the_address_is_chosen_and_offered(inbox: Inbox, gateway: Gateway, visit: Visit) -> None:
    state = visit(Inbox, "/inbox?device=d2")
    await state.load()
    assert gateway.variables("InboxGroups")["deviceId"] == "d2"
    assert [each.name for each in state.devices] == ["cold-1", "Old one"]


async def test_a_group_of_the_address_shows_its_messages(inbox: Inbox, gateway: Gateway, visit: Visit) -> None:
    state = visit(Inbox, f"/inbox?group={GROUP['id']}")
    await state.load()
    assert gateway.variables("Inbox")["groupId"] == GROUP["id"]
    assert [each.device for each in state.messages] == ["cold-1", "Old one"]
    odd = visit(Inbox, "/inbox?group=none")
    await odd.load()
    assert (odd.group_id, len(odd.groups)) == ("", 1)


async def test_a_replay_is_followed_until_it_is_decided_and_told(
    inbox: Inbox, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.pages.inbox.LOOKS_EVERY_S", 0)
    gateway.answers["InboxGroupReplay"] = {"inboxGroupReplay": {"messages": 20}}
    assert await inbox.replay(GROUP["id"]) is not None
    assert gateway.variables("InboxGroupReplay") == {"id": GROUP["id"]}
    gateway.answers["InboxGroup"] = {"inboxGroup": {**GROUP, "waiting": 4}}
    assert await inbox.follow() is not None, "it is looked again"
    assert (inbox.replaying, inbox.said) == (GROUP["id"], "")
    gateway.answers["InboxGroup"] = {"inboxGroup": {**GROUP, "waiting": 0}}
    assert await inbox.follow() is None
    assert inbox.said
    assert inbox.said_of == GROUP["id"], "it stands where the button is"
    inbox._looks, inbox.replaying = 0, GROUP["id"]
    gateway.refuses("InboxGroup", "There is no such group in the inbox.", "INBOX_GROUP_NOT_FOUND")
    gateway.answers["InboxGroups"] = {
        "inboxGroups": {"items": [], "pageInfo": {"hasNextPage": False, "endCursor": None}}
    }
    assert await inbox.follow() is not None, "one is led to where it stands now"
    assert (inbox.replaying, inbox.said_of, inbox.went_well) == ("", "", True)
    assert inbox.said == "Replayed: 25 messages left the inbox."


async def test_what_is_thrown_away_is_told_and_gone(inbox: Inbox, gateway: Gateway) -> None:
    gateway.answers["InboxGroupDiscard"] = {"inboxGroupDiscard": {"messages": 25}}
    inbox.hesitate(GROUP["id"])
    await inbox.discard(GROUP["id"])
    assert (inbox.doubted, inbox.said) == ("", "Thrown away: 25 messages.")
    gateway.refuses("InboxGroupDiscard", "You may not.", "FORBIDDEN")
    await inbox.discard(GROUP["id"])
    assert (inbox.said, inbox.went_well) == ("You may not.", False)
