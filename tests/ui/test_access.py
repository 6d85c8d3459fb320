"""Who may do what, in the console: rights in words, tokens, the audit log's sentences."""

import inspect
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.tenancy import ALL_SCOPES, WITHIN_GROUPS
from engine.tenancy import Role as EngineRole
from tests.ui.support import ME, Gateway, Visit
from ui.console import Console
from ui.deeds import changes, deed_line, nameless_devices, summary
from ui.pages.account import Account
from ui.pages.audit import Audit, midnight
from ui.pages.people import People
from ui.pages.roles import Roles
from ui.pages.tokens import FIRST_QUESTIONS, Tokens, chosen, curl, token_line
from ui.pages.usage import Usage
from ui.pages.ways_in import WaysIn
from ui.rights import ABOUT_DEVICES, ROLES, grouped, right_words
from ui.sessions import agent_words

NOW = datetime(2026, 5, 1, tzinfo=UTC)
TOKEN: dict[str, Any] = {
    "id": "t1",
    "name": "Canteen",
    "prefix": "tg_abcde",
    "scopes": ["devices:read", "telemetry:read"],
    "createdAt": "2026-01-01T00:00:00Z",
    "expiresAt": None,
    "lastUsedAt": None,
    "revokedAt": None,
    "groupIds": None,
}
ENTRY: dict[str, Any] = {
    "seq": 7,
    "at": "2026-01-01T00:00:00Z",
    "actorKind": "user",
    "actorId": "0190e6f2-0000-7000-8000-000000000001",
    "actorName": "Anna",
    "action": "device.change",
    "targetKind": "device",
    "targetId": "0190e6f2-0000-7000-8000-000000abcdef",
    "result": "DONE",
    "reason": None,
    "before": {"name": "Pump", "version": 1, "labels": {}},
    "after": {"name": "Main pump", "version": 2, "labels": {}},
    "address": "10.0.0.7",
}


def page(items: list[Any], end: str | None = None) -> dict[str, Any]:
    return {"items": items, "pageInfo": {"hasNextPage": end is not None, "endCursor": end}}


async def run(handler: Any) -> list[Any]:
    """Let a handler that shows its steps run to its end."""
    return [event async for event in handler]


def test_every_right_and_role_of_the_platform_has_words() -> None:
    assert {scope for scope in ALL_SCOPES if right_words(scope) == scope} == set()
    assert {role.name for role in EngineRole} <= set(ROLES)


def test_rights_are_grouped_by_what_they_are_about() -> None:
    groups = grouped(["devices:erase", "devices:write", "alerts:read", "devices:read", "moon:land"])
    assert [(group.title, [right.scope for right in group.rights]) for group in groups] == [
        ("Devices", ["devices:read", "devices:write", "devices:erase"]),
        ("Alerts", ["alerts:read"]),
        ("Moon", ["moon:land"]),
    ]


@pytest.mark.parametrize(
    ("revoked", "expires", "how"),
    [
        (None, None, ""),
        (None, NOW + timedelta(days=1), ""),
        (None, NOW, "expired"),
        (NOW, NOW - timedelta(days=1), "revoked"),
    ],
)
def test_a_token_says_how_it_ended(revoked: datetime | None, expires: datetime | None, how: str) -> None:
    dates = {"revokedAt": revoked and revoked.isoformat(), "expiresAt": expires and expires.isoformat()}
    line = token_line({**TOKEN, **dates}, NOW)
    assert (line.ended_how if line.ended_at else "") == how


def test_the_line_to_paste_asks_something_that_the_token_may_ask() -> None:
    assert curl("tg_x", ["alerts:read"]) == "curl -H 'Authorization: Bearer tg_x' %ORIGIN%/api/v1/alerts"
    assert curl("tg_x", ["devices:write"]).endswith("/me")
    assert set(FIRST_QUESTIONS) <= ALL_SCOPES


def test_only_ticked_boxes_become_rights() -> None:
    form = {"name": "x", "days": "30", "right rules:read": "on", "right alerts:read": True, "right devices:read": False}
    assert chosen(form) == ["alerts:read", "rules:read"]


@pytest.fixture
async def tokens(gateway: Gateway, visit: Visit) -> Tokens:
    gateway.answers["Tokens"] = {"tokens": [TOKEN, {**TOKEN, "id": "t0", "revokedAt": "2026-01-02T00:00:00Z"}]}
    gateway.answers["TokenIssue"] = {"tokenIssue": {"token": {"id": "t2", "name": "x", "scopes": []}, "secret": "tg_s"}}
    gateway.answers["Me"] = {**ME, "me": {**ME["me"], "scopes": ["devices:read", "tokens:write"]}}  # type: ignore[dict-item]
    state = visit(Tokens, "/access/tokens")
    await run(state.load())
    return state


async def test_working_and_ended_tokens_stand_apart(tokens: Tokens) -> None:
    assert [each.id for each in tokens.working] == ["t1"]
    assert [each.id for each in tokens.ended] == ["t0"]


async def test_only_rights_that_one_holds_are_offered(tokens: Tokens) -> None:
    assert [right.scope for group in tokens.groups for right in group.rights] == ["tokens:write", "devices:read"][::-1]


async def test_an_issued_secret_is_shown_until_one_comes_back(tokens: Tokens, gateway: Gateway) -> None:
    await tokens.issue({"name": " Canteen ", "days": "30", "right devices:read": "on"})
    sent = gateway.variables("TokenIssue")["input"]
    assert (sent["name"], sent["scopes"]) == ("Canteen", ["devices:read"])
    days = datetime.fromisoformat(sent["expiresAt"]) - datetime.now(UTC)
    assert timedelta(days=29, hours=23) < days <= timedelta(days=30)
    assert (tokens.secret, tokens.is_issuing) == ("tg_s", False)
    assert "tg_s" in tokens.command
    await run(tokens.load())
    assert (tokens.secret, tokens.command) == ("", "")


async def test_never_means_no_expiry(tokens: Tokens, gateway: Gateway) -> None:
    await tokens.issue({"name": "x", "days": "", "right devices:read": "on"})
    assert gateway.variables("TokenIssue")["input"]["expiresAt"] is None


async def test_a_token_without_a_right_is_not_sent(tokens: Tokens, gateway: Gateway) -> None:
    tokens.write(True)
    await tokens.issue({"name": "x", "days": "30"})
    assert "tick at least one right" in tokens.form_problem
    assert "TokenIssue" not in [name for name, _ in gateway.asked]


async def test_a_token_is_limited_to_groups_and_then_has_rights_about_devices_only(
    tokens: Tokens, gateway: Gateway
) -> None:
    gateway.answers["GroupNames"] = {"deviceGroups": {"items": [{"id": "g7", "name": "Site 7"}]}}
    gateway.answers["Tokens"] = {"tokens": [{**TOKEN, "groupIds": ["g7"]}]}
    await run(tokens.load())
    assert tokens.working[0].sees == "sees only the devices of Site 7"
    tokens.write(True)
    tokens.limit(True)
    assert [right.scope for group in tokens.groups for right in group.rights] == ["devices:read"]
    await tokens.issue({"name": "x", "days": "", "right devices:read": "on"})
    assert tokens.form_problem == "Choose at least one group, or all devices."
    tokens.pick("g7", True)
    await tokens.issue({"name": "x", "days": "", "right devices:read": "on"})
    assert gateway.variables("TokenIssue")["input"]["groupIds"] == ["g7"]
    tokens.write(True)
    assert (tokens.is_limited, tokens.picked) == (False, [])


def test_the_rights_about_devices_are_those_the_platform_gives_within_groups() -> None:
    assert ABOUT_DEVICES == WITHIN_GROUPS


async def test_revoking_names_the_token_and_asks_anew(tokens: Tokens, gateway: Gateway) -> None:
    gateway.answers["TokenRevoke"] = {"tokenRevoke": {"id": "t1"}}
    tokens.doubt("t1")
    await tokens.revoke("t1")
    assert gateway.variables("TokenRevoke") == {"id": "t1"}
    assert (tokens.revoking, tokens.said != "") == ("", True)


def test_a_deed_reads_as_a_sentence() -> None:
    line = deed_line(ENTRY, {})
    assert f"{line.who} {line.said} {line.target}: {line.summary}" == (
        "Anna changed the device Main pump: name Pump → Main pump"
    )
    assert line.page == "/devices/0190e6f2-0000-7000-8000-000000abcdef"
    assert "10.0.0.7" in line.foot


@pytest.mark.parametrize(
    ("action", "result", "reason", "said"),
    [
        ("session.open", "DONE", None, "signed in"),
        ("session.open", "DENIED", "BAD_CREDENTIALS", "could not sign in (the password was wrong)"),
        ("deviceUpdate", "DENIED", "FORBIDDEN", "was not allowed to change a device"),
        ("ruleUpdate", "REFUSED", "RULE_CHANGED", "tried to change a rule (somebody else had changed it meanwhile)"),
        ("credential.issue", "DONE", None, "issued a token for the device"),
        (
            "tokenIssue",
            "DENIED",
            "SCOPES_TOO_WIDE",
            "was not allowed to issue an API token (more rights than their own)",
        ),
        ("rocket.launch", "DONE", None, "launch the rocket"),
    ],
)
def test_what_was_done_and_what_was_not(action: str, result: str, reason: str | None, said: str) -> None:
    assert deed_line({**ENTRY, "action": action, "result": result, "reason": reason}, {}).said == said


def test_a_device_is_named_even_where_the_entry_does_not_say_its_name() -> None:
    issued = {**ENTRY, "action": "credential.issue", "before": None, "after": {"kind": "token"}}
    assert nameless_devices([ENTRY, issued]) == [ENTRY["targetId"]]
    assert deed_line(issued, {ENTRY["targetId"]: "Pump 7"}).target == "Pump 7"
    assert deed_line(issued, {}).target == "…abcdef"


def test_only_what_differs_is_listed_each_under_its_path() -> None:
    before = {"version": 1, "metrics": [{"key": "t", "max": 8.0}, {"key": "h"}], "document": {"when": {"op": ">"}}}
    after = {"version": 2, "metrics": [{"key": "h"}, {"key": "t", "max": 9.5}], "document": {"when": {"op": "<"}}}
    found = [(each.name, each.before, each.after) for each in changes(before, after)]
    assert ("metrics.t.max", "8", "9.5") in found
    assert ("document.when.op", ">", "<") in found
    assert len(found) == 2


def test_a_long_list_of_changes_is_told_in_one_line() -> None:
    found = changes({"a": "1", "b": "x" * 99, "c": True}, {"a": "2", "b": "y", "c": False, "d": "new"})
    assert summary(found) == "a 1 → 2, c yes → no and 2 more"


def test_values_of_the_log_read_as_people_write_them() -> None:
    group, member = "0190e6f2-0000-7000-8000-0000000000aa", "0190e6f2-0000-7000-8000-0000000000bb"
    after = {"scopes": ["devices:read", "x:y"], "expires_at": "2027-02-20T10:47:19.686250+01:00", "is_on": True}
    found = changes(None, {**after, "groups": [group, member]}, {group: "Basel"})
    assert [(each.name, each.after) for each in found] == [
        ("rights", "See devices and profiles, x:y"),
        ("expires at", "2027-02-20 09:47 UTC"),
        ("is on", "yes"),
        ("groups", "Basel, …0000bb"),
    ]


async def test_the_log_is_asked_with_what_was_chosen_and_from_its_beginning(gateway: Gateway, visit: Visit) -> None:
    gateway.answers["Audit"] = lambda variables: {"audit": page([ENTRY], None if variables["after"] else "c1")}
    state = visit(Audit, "/access/audit?target=d1")
    await state.load()
    assert gateway.variables("Audit")["targetId"] == "d1"
    await state.next_page()
    await state.set_actor(" ann ")
    await state.set_result("DENIED")
    asked = gateway.variables("Audit")
    assert (asked["actor"], asked["result"], asked["action"], asked["after"]) == ("ann", "DENIED", None, None)
    assert (state.number, state.is_filtered, len(state.deeds)) == (1, True, 1)


async def test_the_log_is_asked_for_the_visitors_own_days(gateway: Gateway, visit: Visit) -> None:
    gateway.answers["Audit"] = {"audit": page([ENTRY])}
    state = visit(Audit, "/access/audit")
    await state.load()
    assert (gateway.variables("Audit")["from"], gateway.variables("Audit")["to"]) == (None, None)
    await state.set_begin("2026-03-29", "Europe/Berlin")
    await state.set_end("2026-03-29", "Europe/Berlin")
    asked = gateway.variables("Audit")
    assert asked["from"] == "2026-03-28T23:00:00+00:00"
    assert asked["to"] == "2026-03-29T22:00:00+00:00", "a day of 23 hours, to its end"
    assert state.is_filtered
    await state.set_begin("", "Europe/Berlin")
    await state.set_end("9999-12-31", "Nowhere/At all")
    assert (gateway.variables("Audit")["from"], gateway.variables("Audit")["to"]) == (None, None)
    assert midnight("2026-01-01", "Nowhere/At all") == "2026-01-01T00:00:00+00:00"


def test_ending_somebody_elses_session_is_not_signing_out() -> None:
    ended = {**ENTRY, "action": "session.end", "targetKind": "user", "after": None}
    assert deed_line({**ended, "before": None}, {}).said == "signed out"
    assert deed_line({**ended, "before": {"agent": "x"}}, {}).said == "ended a session of another person"
    assert deed_line({**ended, "before": {"agent": "x"}, "targetId": ENTRY["actorId"]}, {}).said == "ended a session"


MEMBER = {
    "role": "OWNER",
    "customRole": None,
    "since": "2026-01-01T00:00:00Z",
    "hasSecondFactor": False,
    "groupIds": None,
}
MEMBERS = [
    {**MEMBER, "id": "u1", "email": "ada@example.org", "name": "Ada"},
    {**MEMBER, "id": "u2", "email": "bob@example.org", "name": "", "role": "VIEWER", "hasSecondFactor": True},
]


ROLES_OF_THEIR_OWN = [
    {"id": "r1", "name": "Night shift", "scopes": ["alerts:write", "alerts:read", "devices:read"], "version": 3}
]
INVITED = {
    "id": "i1",
    "email": "eve@example.org",
    "role": "OPERATOR",
    "roleId": None,
    "invitedBy": "Ada",
    "createdAt": "2026-01-01",
    "groupIds": None,
}
INVITATIONS = [
    {**INVITED, "expiresAt": "2026-01-08", "status": "PENDING"},
    {**INVITED, "id": "i0", "expiresAt": "2026-01-08", "status": "ACCEPTED"},
]


@pytest.fixture
async def people(gateway: Gateway, visit: Visit) -> People:
    gateway.answers["Members"] = {"members": MEMBERS, "invitations": INVITATIONS, "roles": ROLES_OF_THEIR_OWN}
    state = visit(People, "/access/people")
    await run(state.load())
    return state


async def test_people_are_listed_with_what_they_may_do(people: People) -> None:
    assert [(each.name, each.role_name, each.is_me) for each in people.members] == [
        ("Ada", "Owner", True),
        ("bob@example.org", "Viewer", False),
    ]


async def test_a_member_gets_another_role(people: People, gateway: Gateway) -> None:
    gateway.answers["MemberChange"] = {"memberChange": {"id": "u2"}}
    people.change("u2")
    assert people.role == "VIEWER"
    people.set_role("OPERATOR")
    await people.save()
    assert gateway.variables("MemberChange") == {"id": "u2", "input": {"role": "OPERATOR"}}
    assert (people.changing, people.said) == ("", "bob@example.org is Operator now.")


async def test_a_member_gets_a_role_of_the_organisations_own(people: People, gateway: Gateway) -> None:
    gateway.answers["MemberChange"] = {"memberChange": {"id": "u2"}}
    assert [(each.value, each.words) for each in people.own_roles] == [
        ("CUSTOM:r1", "may see devices and profiles, see alerts and 1 more")
    ]
    people.change("u2")
    people.set_role("CUSTOM:r1")
    await people.save()
    assert gateway.variables("MemberChange")["input"] == {"role": "CUSTOM", "roleId": "r1"}
    assert people.said == "bob@example.org is Night shift now."


@pytest.mark.parametrize("page", [People, Tokens, Roles, Usage, WaysIn])
async def test_who_lacks_the_right_to_a_page_is_not_asked_for_what_would_be_denied(
    page: type[Console], gateway: Gateway, visit: Visit
) -> None:
    # Within groups: to see devices is not enough for what is about all of them.
    me = {**ME["me"], "scopes": ["devices:read"], "groupIds": ["g7"]}  # type: ignore[dict-item]
    gateway.answers["Me"] = {"me": me}
    loading = visit(page, "/").load()  # type: ignore[attr-defined]
    came = await run(loading) if inspect.isasyncgen(loading) else await loading
    assert [name for name, _ in gateway.asked] == ["Me"]
    assert not any(came)  # and nobody is led away: the page says what is missing


@pytest.fixture
async def grouped_people(gateway: Gateway, visit: Visit) -> People:
    """As `people`, with two groups of devices; Bob is limited to one of them, and to one that is gone."""
    bob = {**MEMBERS[1], "groupIds": ["g7", "g0"]}
    gateway.answers["Me"] = {**ME, "me": {**ME["me"], "scopes": ["devices:read", "users:read", "users:write"]}}  # type: ignore[dict-item]
    gateway.answers["GroupNames"] = {"deviceGroups": {"items": [{"id": f"g{n}", "name": f"Site {n}"} for n in (7, 8)]}}
    invited = [{**INVITATIONS[0], "groupIds": ["g8"]}]
    gateway.answers["Members"] = {"members": [MEMBERS[0], bob], "invitations": invited, "roles": []}
    gateway.answers["MemberChange"] = {"memberChange": {"id": "u2"}}
    state = visit(People, "/access/people")
    await run(state.load())
    return state


async def test_it_is_said_which_devices_somebody_sees_where_it_is_not_all(grouped_people: People) -> None:
    assert [each.sees for each in grouped_people.members] == [
        "",
        "sees only the devices of Site 7, a group that is gone",
    ]
    assert grouped_people.invitations[0].sees == "sees only the devices of Site 8"


async def test_a_member_is_limited_to_other_groups_and_the_limit_is_lifted(
    grouped_people: People, gateway: Gateway
) -> None:
    people = grouped_people
    people.change("u2")
    assert (people.is_limited, people.picked) == (True, ["g7"])
    people.pick("g7", False)
    assert not people.can_save  # no group at all is no choice
    people.pick("g8", True)
    assert people.can_save
    await people.save()
    assert gateway.variables("MemberChange")["input"] == {"role": "VIEWER", "groupIds": ["g8"]}
    assert people.said == "bob@example.org is Viewer now, and sees only the devices of Site 8."
    people.change("u2")
    people.limit(False)
    await people.save()
    assert gateway.variables("MemberChange")["input"] == {"role": "VIEWER", "allDevices": True}


async def test_an_owner_is_limited_to_nothing(grouped_people: People, gateway: Gateway) -> None:
    grouped_people.change("u2")
    grouped_people.set_role("OWNER")
    await grouped_people.save()
    assert gateway.variables("MemberChange")["input"] == {"role": "OWNER", "allDevices": True}


async def test_somebody_is_invited_to_some_groups_and_at_least_one_is_asked_for(
    grouped_people: People, gateway: Gateway
) -> None:
    made = {"invitation": {"id": "i2"}, "link": "/auth/accept?token=tgi_x", "isMailed": False}
    gateway.answers["MemberInvite"] = {"memberInvite": made}
    people = grouped_people
    people.write(True)
    people.limit(True)
    await people.invite({"email": "eve@example.org"})
    assert people.form_problem == "Choose at least one group, or all devices."
    people.pick("g7", True)
    await people.invite({"email": "eve@example.org"})
    wanted = {"email": "eve@example.org", "role": "VIEWER", "groupIds": ["g7"]}
    assert gateway.variables("MemberInvite") == {"input": wanted}


async def test_whoever_has_an_own_role_is_shown_with_its_name(gateway: Gateway, visit: Visit) -> None:
    bob = {**MEMBERS[1], "role": "CUSTOM", "customRole": {"id": "r1", "name": "Night shift"}}
    invited = {**INVITATIONS[0], "role": "CUSTOM", "roleId": "r1"}
    gateway.answers["Members"] = {"members": [bob], "invitations": [invited], "roles": ROLES_OF_THEIR_OWN}
    state = visit(People, "/access/people")
    await run(state.load())
    assert (state.members[0].role, state.members[0].role_name) == ("CUSTOM:r1", "Night shift")
    assert state.invitations[0].role_name == "Night shift"


@pytest.fixture
async def roles(gateway: Gateway, visit: Visit) -> Roles:
    holders = [{"customRole": {"id": "r1"}}, {"customRole": None}]
    gateway.answers["Roles"] = {"roles": ROLES_OF_THEIR_OWN, "members": holders}
    gateway.answers["Me"] = {**ME, "me": {**ME["me"], "scopes": ["devices:read", "alerts:read", "users:read"]}}  # type: ignore[dict-item]
    state = visit(Roles, "/access/roles")
    await state.load()
    return state


async def test_a_role_is_shown_with_who_has_it_and_opens_with_its_rights_ticked(roles: Roles) -> None:
    assert [(each.name, each.people_words, len(each.rights)) for each in roles.roles] == [
        ("Night shift", "1 person", 3)
    ]
    roles.write("r1")
    ticked = {right.scope: right.is_chosen for group in roles.groups for right in group.rights}
    # What one does not hold is not offered.
    assert ticked == {"devices:read": True, "alerts:read": True, "users:read": False}


async def test_a_changed_role_is_sent_with_the_version_that_was_read(roles: Roles, gateway: Gateway) -> None:
    gateway.refuses("RoleUpdate", "Somebody else has changed this role.", "VERSION_STALE")
    roles.write("r1")
    await roles.save({"name": "Night", "right alerts:read": True})
    assert gateway.variables("RoleUpdate") == {
        "id": "r1",
        "input": {"name": "Night", "scopes": ["alerts:read"]},
        "version": 3,
    }
    assert (roles.writing, roles.form_problem) == ("r1", "Somebody else has changed this role.")


async def test_a_role_without_rights_is_not_sent(roles: Roles, gateway: Gateway) -> None:
    roles.write("new")
    await roles.save({"name": "Nobody"})
    assert "tick at least one right" in roles.form_problem
    assert "RoleCreate" not in [name for name, _ in gateway.asked]


async def test_a_role_in_use_stays_and_says_why(roles: Roles, gateway: Gateway) -> None:
    gateway.refuses("RoleDelete", "Somebody has this role.", "ROLE_IN_USE")
    roles.doubt("r1")
    await roles.delete("r1")
    assert (roles.deleting, roles.problem) == ("r1", "Somebody has this role.")


async def test_a_lost_second_factor_is_taken_away_with_ones_own_password(people: People, gateway: Gateway) -> None:
    gateway.refuses("MemberSecondFactorReset", "That is not your present password.", "PASSWORD_WRONG")
    people.change("u2")
    people.ask_to_take("u2")
    await people.take_factor({"password": "mine"})
    assert gateway.variables("MemberSecondFactorReset") == {"id": "u2", "input": {"password": "mine"}}
    assert (people.taking, people.problem) == ("u2", "That is not your present password.")
    gateway.answers["MemberSecondFactorReset"] = {"memberSecondFactorReset": {"endedSessions": 1}}
    await people.take_factor({"password": "mine"})
    assert (people.taking, "password alone" in people.said) == ("", True)


SESSION = {
    "id": "s1",
    "agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "address": "192.0.2.7",
    "createdAt": "2026-01-01T00:00:00Z",
    "lastSeenAt": "2026-01-02T00:00:00Z",
    "expiresAt": "2026-01-09T00:00:00Z",
    "isCurrent": False,
}


async def test_it_is_shown_where_a_member_is_signed_in_and_one_of_them_is_ended(
    people: People, gateway: Gateway
) -> None:
    there = [SESSION, {**SESSION, "id": "s2", "agent": "curl/8.0"}]
    gateway.answers["MemberSessions"] = lambda _: {"memberSessions": list(there)}
    gateway.answers["SessionRevoke"] = {"sessionRevoke": {"id": "s2"}}
    people.change("u2")
    await run(people.find_sessions("u2"))
    assert gateway.variables("MemberSessions") == {"id": "u2"}
    assert [(each.agent, each.address) for each in people.sessions] == [
        ("Firefox on Linux", "192.0.2.7"),
        ("curl", "192.0.2.7"),
    ]
    there.pop()
    await people.end_session("s2")
    assert gateway.variables("SessionRevoke") == {"id": "s2"}
    assert ([each.id for each in people.sessions], people.changing) == (["s1"], "u2"), "the form stays open"
    gateway.refuses("SessionRevoke", "This role has rights that you do not have.", "ROLE_TOO_WIDE")
    await people.end_session("s1")
    assert (people.session_problem, len(people.sessions)) == ("This role has rights that you do not have.", 1)
    there.clear()
    gateway.refuses("SessionRevoke", "There is no such session.", "SESSION_NOT_FOUND")
    await people.end_session("s1")
    assert (people.session_problem, people.sessions, people.knows_sessions) == ("", [], True)


async def test_sessions_that_cannot_be_listed_say_so_and_never_show_another_members(
    people: People, gateway: Gateway
) -> None:
    gateway.answers["MemberSessions"] = {"memberSessions": [SESSION]}
    await run(people.find_sessions("u2"))
    gateway.refuses("MemberSessions", "This needs the right users:write.", "FORBIDDEN")
    await run(people.find_sessions("u3"))
    assert (people.sessions, people.knows_sessions) == ([], False)
    assert people.session_problem == "This needs the right users:write."


async def test_only_open_invitations_are_listed(people: People) -> None:
    assert [(each.id, each.role_name) for each in people.invitations] == [("i1", "Operator")]


async def test_an_invitations_link_is_shown_until_one_comes_back(people: People, gateway: Gateway) -> None:
    made = {"invitation": {"id": "i2"}, "link": "/auth/accept?token=tgi_x", "isMailed": False}
    gateway.answers["MemberInvite"] = {"memberInvite": made}
    people.write(True)
    people.set_role("ADMIN")
    await people.invite({"email": " eve@example.org "})
    assert gateway.variables("MemberInvite") == {"input": {"email": "eve@example.org", "role": "ADMIN"}}
    assert (people.link, people.is_inviting) == ("%ORIGIN%/auth/accept?token=tgi_x", False)
    await run(people.load())
    assert people.link == ""


async def test_an_invitation_is_withdrawn_once_it_is_meant(people: People, gateway: Gateway) -> None:
    people.doubt_invitation("i1")
    assert (people.withdrawing, [name for name, _ in gateway.asked if name == "InvitationWithdraw"]) == ("i1", [])
    gateway.answers["InvitationWithdraw"] = {"invitationWithdraw": {"id": "i1"}}
    await people.withdraw("i1")
    assert gateway.variables("InvitationWithdraw") == {"id": "i1"}
    assert people.withdrawing == ""
    assert "no longer works" in people.said


async def test_a_refused_removal_leaves_the_form_open_and_says_why(people: People, gateway: Gateway) -> None:
    gateway.refuses("MemberRemove", "A tenant keeps at least one owner.", "LAST_OWNER")
    people.change("u2")
    people.doubt("u2")
    await people.remove()
    assert gateway.variables("MemberRemove") == {"id": "u2"}
    assert (people.changing, people.problem) == ("u2", "A tenant keeps at least one owner.")


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36", "Chrome on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/130.0 Safari/537.36 Edg/130.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Version/17.0 Safari/604.1", "Safari on iPhone"),
        ("curl/8.5.0", "curl"),
        ("", "An unknown program"),
    ],
)
def test_a_browser_is_named_as_people_know_it(agent: str, words: str) -> None:
    assert agent_words(agent) == words


@pytest.fixture
async def account(gateway: Gateway, visit: Visit) -> Account:
    session = {"id": "s1", "agent": "curl/8", "address": "", "createdAt": "2026-01-01", "lastSeenAt": "2026-01-01"}
    gateway.answers["Account"] = {
        "me": {
            "name": "Ada",
            "email": "ada@example.org",
            "role": "OWNER",
            "roleName": None,
            "tenant": {"name": "Demo"},
        },
        "sessions": [{**session, "expiresAt": "2026-01-02", "isCurrent": True}],
    }
    state = visit(Account, "/account")
    await state.load()
    return state


async def test_a_new_password_is_sent_and_forgotten(account: Account, gateway: Gateway) -> None:
    gateway.answers["PasswordChange"] = {"passwordChange": {"endedSessions": 2}}
    await account.change_password(
        {"current": "old secret", "new": "four plain words here", "again": "four plain words here"}
    )
    assert gateway.variables("PasswordChange") == {"input": {"current": "old secret", "new": "four plain words here"}}
    assert account.said == "Your password is changed. 2 other sessions ended."
    assert "four plain words" not in str(account.dict())


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"current": "", "new": "x" * 12, "again": "x" * 12}, "present password"),
        ({"current": "old", "new": "short", "again": "short"}, "at least 12"),
        ({"current": "old", "new": "x" * 12, "again": "x" * 13}, "differ"),
    ],
)
async def test_a_password_that_cannot_be_is_not_sent(
    account: Account, gateway: Gateway, form: dict[str, str], words: str
) -> None:
    await account.change_password(form)
    assert words in account.form_problem
    assert "PasswordChange" not in [name for name, _ in gateway.asked]


async def test_signing_out_elsewhere_names_the_session(account: Account, gateway: Gateway) -> None:
    gateway.answers["SessionRevoke"] = {"sessionRevoke": {"id": "s9"}}
    await account.end("s9")
    assert gateway.variables("SessionRevoke") == {"id": "s9"}
    assert account.said == "That session has ended."
