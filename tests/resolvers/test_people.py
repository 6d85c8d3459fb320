"""Members, sessions and passwords through both faces, and how soon those who lose rights notice."""

import asyncio
import base64
import re
import time
from html import unescape
from types import SimpleNamespace
from typing import Any

import pytest

from engine.tenancy import Role
from engine.tenants.invitations import PER_ADDRESS
from engine.tenants.second_factor import STEP_S, code_at
from engine.tenants.sessions import LIFE
from tests.support.api import Api
from tests.support.people import colleague, sign_in
from tests.support.sockets import line
from tests.support.tenant import Tenant

CHANGE = "mutation($id: ID!, $to: MemberChange!) { memberChange(id: $id, input: $to) { email role } }"
STATUS = "subscription { deviceStatus { isOnline } }"


async def _is_nobody(api: Api, secret: str) -> None:
    """The database's notification reaches this process within moments; what was remembered would last 30 s."""
    for _ in range(1_500):
        if (await api.rest(secret, "GET", "/me")).status_code == 401:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("still somebody")


async def test_a_demoted_members_stream_is_cut_at_once(served: str, api: Api, tenant: Tenant) -> None:
    operator = await colleague(tenant, Role.OPERATOR)
    owner, theirs = await tenant.api_token(), (await operator.sign_in()).secret
    async with line(served, theirs) as live:
        await live.subscribe(STATUS)
        changed = await api.data(owner, CHANGE, id=str(operator.id), to={"role": "VIEWER"})
        assert changed["memberChange"] == {"email": operator.home.email, "role": "VIEWER"}
        assert await live.closed() == 4403
    assert (await api.data(theirs, "{ me { role } }"))["me"] == {"role": "VIEWER"}


async def test_a_removed_members_stream_is_cut_at_once_and_they_are_nobody(
    served: str, api: Api, tenant: Tenant
) -> None:
    viewer = await colleague(tenant, Role.VIEWER)
    owner, theirs = await tenant.api_token(), (await viewer.sign_in()).secret
    async with line(served, theirs) as live:
        await live.subscribe(STATUS)
        answer = await api.rest(owner, "DELETE", f"/members/{viewer.id}")
        assert (answer.status_code, answer.json()["email"]) == (200, viewer.home.email)
        assert await live.closed() == 4403
    await _is_nobody(api, theirs)


async def test_a_revoked_sessions_stream_is_cut_at_once(served: str, api: Api, tenant: Tenant) -> None:
    owner, session = await tenant.api_token(), await sign_in(tenant)
    async with line(served, session.secret) as live:
        await live.subscribe(STATUS)
        assert (await api.rest(owner, "DELETE", f"/members/{tenant.user_id}/sessions")).status_code == 200
        assert await live.closed() == 4403


async def test_what_would_exceed_ones_rights_or_leave_no_owner_is_refused_by_name(api: Api, tenant: Tenant) -> None:
    admin, owner = await tenant.api_token(Role.ADMIN), await tenant.api_token()
    viewer = await colleague(tenant, Role.VIEWER)
    for token, id_, role, code in (
        (admin, viewer.id, "OWNER", "ROLE_TOO_WIDE"),
        (admin, tenant.user_id, "VIEWER", "ROLE_TOO_WIDE"),
        (owner, tenant.user_id, "VIEWER", "LAST_OWNER"),
        (owner, tenant.id, "VIEWER", "MEMBER_NOT_FOUND"),
        (owner, viewer.id, "CUSTOM", "ROLE_UNCLEAR"),
        (await tenant.api_token(Role.OPERATOR), viewer.id, "VIEWER", "FORBIDDEN"),
    ):
        assert await api.code(token, CHANGE, id=str(id_), to={"role": role}) == code
    assert (await api.rest(owner, "DELETE", f"/members/{tenant.user_id}")).status_code == 409


async def test_ones_sessions_are_listed_and_ended_over_rest(api: Api, tenant: Tenant) -> None:
    old, here = await sign_in(tenant, agent="Old phone"), await sign_in(tenant, agent="This browser")
    listed = (await api.rest(here.secret, "GET", "/sessions")).json()
    assert [(item["agent"], item["isCurrent"]) for item in listed] == [("This browser", True), ("Old phone", False)]
    assert "secret" not in repr(listed).lower()
    ended = await api.rest(here.secret, "DELETE", "/sessions")
    assert [item["id"] for item in ended.json()] == [str(old.session_id)]
    await _is_nobody(api, old.secret)
    assert (await api.rest(here.secret, "DELETE", f"/sessions/{here.session_id}")).status_code == 200
    await _is_nobody(api, here.secret)


async def test_signing_in_notes_the_browser_and_the_address(api: Api, tenant: Tenant) -> None:
    await api.client.post(
        "/auth/login",
        data={"email": tenant.email, "password": tenant.password},
        headers={"User-Agent": "Mozilla/5.0 (A Browser)"},
    )
    owner = await tenant.api_token()
    query = "query($id: ID!) { memberSessions(id: $id) { agent address createdAt expiresAt isCurrent } }"
    seen = (await api.data(owner, query, id=str(tenant.user_id)))["memberSessions"][0]
    assert (seen["agent"], seen["address"], seen["isCurrent"]) == ("Mozilla/5.0 (A Browser)", "127.0.0.1", False)
    assert seen["createdAt"] < seen["expiresAt"]
    assert LIFE.days == 14


async def test_a_password_is_changed_by_its_person_only(api: Api, tenant: Tenant) -> None:
    here, other = await sign_in(tenant), await sign_in(tenant)
    new = {"current": tenant.password, "new": "seven sober otters"}
    assert (await api.rest(await tenant.api_token(), "PATCH", "/me/password", json=new)).status_code == 403
    wrong = await api.rest(here.secret, "PATCH", "/me/password", json={**new, "current": "guess"})
    assert (wrong.status_code, wrong.json()["code"]) == (403, "PASSWORD_WRONG")
    weak = await api.rest(here.secret, "PATCH", "/me/password", json={**new, "new": "password1234"})
    assert (weak.status_code, weak.json()["code"]) == (422, "PASSWORD_WEAK")
    done = await api.rest(here.secret, "PATCH", "/me/password", json=new)
    assert (done.status_code, done.json()) == (200, {"endedSessions": 1})
    await _is_nobody(api, other.secret)
    assert (await api.rest(here.secret, "GET", "/me")).json()["email"] == tenant.email


INVITE = "mutation($to: MemberInvite!) { memberInvite(input: $to) { secret link invitation { id status } } }"


async def _invited(api: Api, tenant: Tenant, email: str, role: str = "OPERATOR") -> dict[str, Any]:
    data = await api.data(await tenant.api_token(), INVITE, to={"email": email, "role": role})
    invited: dict[str, Any] = data["memberInvite"]
    return invited


async def test_an_invitations_link_leads_to_a_form_and_the_form_into_the_console(api: Api, tenant: Tenant) -> None:
    invited = await _invited(api, tenant, f"ada@{tenant.key}.example")
    form = await api.client.get(invited["link"], headers={"Accept": "text/html"})
    assert form.status_code == 200
    assert f"Join {tenant.key.upper()}" in form.text
    assert "default-src 'none'" in form.headers["content-security-policy"]
    given = {"token": invited["secret"], "name": "Ada <b>", "password": "short"}
    again = await api.client.post("/auth/accept", data=given, headers={"Accept": "text/html"})
    assert (again.status_code, "12 to 200 characters" in again.text) == (422, True)
    done = await api.client.post("/auth/accept", data={**given, "password": "seven sober otters"})
    assert (done.status_code, done.headers["location"]) == (303, "/")
    secret = done.cookies["tidegate_session"]
    api.client.cookies.clear()
    me = await api.data(secret, "{ me { name email role tenant { key } } }")
    assert me["me"] == {
        "name": "Ada <b>",
        "email": f"ada@{tenant.key}.example",
        "role": "OPERATOR",
        "tenant": {"key": tenant.key},
    }
    over = await api.client.get(invited["link"], headers={"Accept": "text/html"})
    assert over.status_code == 410
    assert "<form" not in over.text


async def test_an_invitation_is_accepted_as_json_too(api: Api, tenant: Tenant, neighbour: Tenant) -> None:
    invited = await _invited(api, tenant, neighbour.email, "VIEWER")
    json = {"Accept": "application/json"}
    offer = await api.client.get(invited["link"], headers=json)
    assert offer.json() == {
        "tenant": tenant.key.upper(),
        "email": neighbour.email,
        "role": "viewer",
        "isKnown": True,
        "needsCode": False,
    }
    given = {"token": invited["secret"], "password": "seven sober otters"}
    wrong = await api.client.post("/auth/accept", json=given, headers=json)
    assert (wrong.status_code, wrong.json()["code"]) == (401, "BAD_CREDENTIALS")
    foreign = await api.client.post("/auth/accept", json=given, headers={**json, "Sec-Fetch-Site": "cross-site"})
    assert (foreign.status_code, foreign.json()["code"]) == (403, "FOREIGN_ORIGIN")
    right = await api.client.post("/auth/accept", json={**given, "password": neighbour.password}, headers=json)
    assert right.status_code == 204
    secret = right.cookies["tidegate_session"]
    api.client.cookies.clear()
    assert {m["tenantKey"] for m in (await api.rest(secret, "GET", "/me")).json()["memberships"]} == {
        tenant.key,
        neighbour.key,
    }


async def test_what_an_invitation_says_cannot_become_markup(api: Api, tenant: Tenant) -> None:
    invited = await _invited(api, tenant, f'"><script>@{tenant.key}.example')
    form = await api.client.get(invited["link"], headers={"Accept": "text/html"})
    assert form.status_code == 200
    assert "<script" not in form.text
    assert "&lt;script&gt;" in form.text


async def test_invitations_are_listed_and_withdrawn_over_rest(api: Api, tenant: Tenant) -> None:
    owner = await tenant.api_token()
    made = await api.rest(owner, "POST", "/invitations", json={"email": "a@b.example", "role": "VIEWER"})
    assert made.status_code == 201
    id_ = made.json()["invitation"]["id"]
    assert (await api.rest(owner, "DELETE", f"/invitations/{id_}")).json()["status"] == "WITHDRAWN"
    listed = await api.rest(owner, "GET", "/invitations")
    assert [(each["id"], each["status"]) for each in listed.json()] == [(id_, "WITHDRAWN")]
    assert made.json()["secret"] not in listed.text
    assert (await api.rest(owner, "DELETE", f"/invitations/{tenant.id}")).status_code == 404


async def test_whoever_invites_too_often_is_told_until_when_by_both_faces(api: Api, tenant: Tenant) -> None:
    to = {"email": "flooded@mail.example", "role": "VIEWER"}
    owner = await tenant.api_token()
    for _ in range(PER_ADDRESS):
        assert (await api.rest(owner, "POST", "/invitations", json=to)).status_code == 201
    refused = await api.rest(owner, "POST", "/invitations", json=to)
    assert (refused.status_code, refused.json()["code"]) == (429, "INVITED_TOO_OFTEN")
    assert 23 * 3600 < int(refused.headers["retry-after"]) <= 24 * 3600
    assert "5 to one address" in refused.json()["detail"]
    assert await api.code(owner, INVITE, to=to) == "INVITED_TOO_OFTEN"


NOW = time.time()


@pytest.fixture
def _the_clock_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between making a code and asking about it no step of thirty seconds ends."""
    monkeypatch.setattr("engine.tenants.second_factor.time", SimpleNamespace(time=lambda: NOW))


def _codes(secret: str) -> list[str]:
    """The codes that are good at the moment: each once, and only in this order."""
    here = int(NOW // STEP_S)
    return [code_at(base64.b32decode(secret), step) for step in (here - 1, here, here + 1)]


@pytest.mark.usefixtures("_the_clock_stands")
async def test_signing_in_with_a_second_factor_takes_two_steps_in_the_browser(api: Api, tenant: Tenant) -> None:
    here = (await sign_in(tenant)).secret
    enrolled = await api.rest(here, "PATCH", "/me/second-factor", json={"password": tenant.password})
    codes = _codes(enrolled.json()["secret"])
    confirmed = await api.rest(here, "PATCH", "/me/second-factor/confirm", json={"code": codes[0]})
    assert confirmed.status_code == 200
    recovery = confirmed.json()["recoveryCodes"]
    me = (await api.rest(here, "GET", "/me")).json()
    assert (me["hasSecondFactor"], me["recoveryCodesLeft"]) == (True, 10)
    first = await api.client.post(
        "/auth/login", data={"email": tenant.email, "password": tenant.password, "next": "/devices"}
    )
    assert (first.status_code, "set-cookie" in first.headers) == (200, False)
    given = {
        name: unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', first.text)
    }
    wrong = await api.client.post("/auth/second", data={**given, "code": "wrong-code"})
    assert (wrong.status_code, "not right" in wrong.text, "set-cookie" in wrong.headers) == (401, True, False)
    right = await api.client.post("/auth/second", data={**given, "code": recovery[0]})
    assert (right.status_code, right.headers["location"]) == (303, "/devices")
    api.client.cookies.clear()
    again = await api.client.post("/auth/second", data={**given, "code": recovery[0]})
    assert again.status_code == 401


@pytest.mark.usefixtures("_the_clock_stands")
async def test_signing_in_with_a_second_factor_as_json(api: Api, tenant: Tenant) -> None:
    here = (await sign_in(tenant)).secret
    secret = (await api.rest(here, "PATCH", "/me/second-factor", json={"password": tenant.password})).json()["secret"]
    assert (await api.rest(here, "PATCH", "/me/second-factor/confirm", json={"code": "000000"})).status_code == 403
    done = await api.rest(here, "PATCH", "/me/second-factor/confirm", json={"code": _codes(secret)[0]})
    recovery = done.json()["recoveryCodes"]
    json, who = {"Accept": "application/json"}, {"email": tenant.email, "password": tenant.password}
    asked = await api.client.post("/auth/login", json=who, headers=json)
    assert (asked.status_code, asked.json()["code"]) == (401, "SECOND_FACTOR_NEEDED")
    given = {"challenge": asked.json()["details"]["challenge"], "code": recovery[0]}
    foreign = await api.client.post("/auth/second", json=given, headers={**json, "Origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert (await api.client.post("/auth/second", json=given, headers=json)).status_code == 204
    at_once = await api.client.post("/auth/login", json={**who, "code": recovery[1]}, headers=json)
    assert at_once.status_code == 204
    session = at_once.cookies["tidegate_session"]
    api.client.cookies.clear()
    off = {"password": tenant.password, "code": recovery[2]}
    removed = await api.rest(session, "PATCH", "/me/second-factor/remove", json=off)
    assert removed.json() == {"isOn": False}
    assert (await api.client.post("/auth/login", json=who, headers=json)).status_code == 204
    api.client.cookies.clear()


async def test_a_role_of_ones_own_is_made_given_and_changed_and_its_people_notice(
    served: str, api: Api, tenant: Tenant
) -> None:
    owner, viewer = await tenant.api_token(), await colleague(tenant, Role.VIEWER)
    made = await api.rest(owner, "POST", "/roles", json={"name": "Night", "scopes": ["devices:read"]})
    assert made.status_code == 201
    role = made.json()
    assert (await api.rest(owner, "GET", made.headers["location"].removeprefix("/api/v1"))).json() == role
    given = await api.data(owner, CHANGE, id=str(viewer.id), to={"role": "CUSTOM", "roleId": role["id"]})
    assert given["memberChange"]["role"] == "CUSTOM"
    theirs = (await viewer.sign_in()).secret
    async with line(served, theirs) as live:
        await live.subscribe(STATUS)
        stale = await api.rest(owner, "PATCH", f"/roles/{role['id']}", json={"name": "x"}, headers={"If-Match": '"v9"'})
        assert stale.status_code == 412
        changed = await api.rest(
            owner,
            "PATCH",
            f"/roles/{role['id']}",
            json={"scopes": ["devices:read", "alerts:read"]},
            headers={"If-Match": '"v1"'},
        )
        assert (changed.status_code, changed.json()["version"]) == (200, 2)
        assert await live.closed() == 4403
    me = (await api.rest(theirs, "GET", "/me")).json()
    assert (me["role"], me["roleName"], me["scopes"]) == ("CUSTOM", "Night", ["alerts:read", "devices:read"])
    assert (await api.rest(owner, "DELETE", f"/roles/{role['id']}")).json()["code"] == "ROLE_IN_USE"
    assert [each["name"] for each in (await api.rest(owner, "GET", "/roles")).json()] == ["Night"]
