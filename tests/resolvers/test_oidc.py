"""Signing in by a tenant's identity provider: who gets in, what every lie is answered with, and that A is never B."""

import asyncio
import base64
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psycopg
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from starlette.applications import Starlette

from engine.devices import groups
from engine.identity_providers import discovery
from engine.journal.bus import MemoryBus
from engine.settings import Settings
from engine.store.pool import Store
from engine.tenancy import Role
from engine.tenants import invitations, members
from engine.tenants.passwords import throttle
from infra.local.postgres import Postgres
from resolvers.gateway import Gate, Gateway
from tests.support.api import Api
from tests.support.oidc import CLIENT_ID, CLIENT_SECRET, OpenIdProvider, Person, openid_provider, query_of
from tests.support.patience import PATIENCE_S
from tests.support.people import colleague, sign_in
from tests.support.process import free_port
from tests.support.tenant import Tenant, found_tenant

REGISTER = (
    "mutation($i: IdentityProviderRegister!) { identityProviderRegister(input: $i) "
    "{ id name issuer clientId domains role isEnabled signInPath callbackPath version } }"
)
CHANGE = "mutation($id: ID!, $i: IdentityProviderUpdate!) { identityProviderUpdate(id: $id, input: $i) { version } }"
ME = "{ me { email role tenant { key } memberships { tenantKey } hasSecondFactor } }"


@pytest.fixture(scope="module")
async def loopback(postgres: Postgres, engines_dir: Path) -> AsyncIterator[Gateway]:
    """A gateway that may ask providers on this machine, as a developer's does."""
    settings = Settings(
        database_url=postgres.url("app"), http_port=free_port(), data_dir=engines_dir, outbound_loopback=True
    )
    gateway = Gateway(settings, bus=MemoryBus())
    async with gateway.running():
        while not gateway.changes.is_listening:
            await asyncio.sleep(0.01)
        yield gateway


@dataclass
class Browser:
    """A browser with its cookies, and the provider's pages at its hand."""

    api: Api

    @property
    def client(self) -> httpx.AsyncClient:
        """Its connection to us."""
        return self.api.client

    async def begin(self, path: str) -> str:
        """The provider's address that we send the browser to."""
        answer = await self.client.get(path)
        assert answer.status_code == 303, answer.text
        assert "tidegate_oidc=" in answer.headers["set-cookie"]
        return answer.headers["location"]

    async def at_provider(self, address: str) -> str:
        """Where the provider sends the browser back to: our path with its answer."""
        async with httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False) as client:
            back = urlsplit((await client.get(address)).headers["location"])
        return f"{back.path}?{back.query}"

    async def sign_in(self, path: str) -> httpx.Response:
        """All the way; the answer to the way back."""
        return await self.client.get(await self.at_provider(await self.begin(path)))

    @property
    def session(self) -> str:
        """The session's secret."""
        return self.client.cookies["tidegate_session"]


@pytest.fixture
async def browser(loopback: Gateway) -> AsyncIterator[Browser]:
    """A browser that has never been here."""
    throttle._failures.clear()  # every test fails on purpose, all from one address
    discovery = loopback.services.discovery
    for known in (discovery._metadata, discovery._keys, discovery._faults):
        known.clear()  # another test's provider may have had this one's port, and other keys
    app = Gate(Starlette(routes=loopback.routes()), loopback.origins)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        yield Browser(Api(client))


@pytest.fixture
async def provider() -> AsyncIterator[OpenIdProvider]:
    """Somebody's identity provider."""
    async with openid_provider() as provider:
        yield provider


async def registered(browser: Browser, tenant: Tenant, provider: OpenIdProvider, **more: Any) -> dict[str, Any]:
    """The provider, registered with the tenant by its owner."""
    given = {
        "name": "Customer's accounts",
        "issuer": provider.issuer,
        "clientId": CLIENT_ID,
        "clientSecret": CLIENT_SECRET,
        "domains": ["customer.example"],
        "role": "VIEWER",
        **more,
    }
    made = await browser.api.data(await tenant.api_token(), REGISTER, i=given)
    shown: dict[str, Any] = made["identityProviderRegister"]
    return shown


async def denials(browser: Browser, tenant: Tenant) -> list[str]:
    """Why sign-ins by a provider were denied, newest first."""
    entries = await browser.api.rest(await tenant.api_token(), "GET", "/audit", params={"first": 50})
    return [
        entry["reason"]
        for entry in entries.json()["items"]
        if entry["action"] == "session.open" and entry["actorKind"] == "provider"
    ]


def is_out(browser: Browser) -> bool:
    """Whether no session was opened."""
    return "tidegate_session" not in browser.client.cookies


async def test_somebody_new_comes_in_by_the_provider_as_what_newcomers_are(
    browser: Browser, tenant: Tenant, provider: OpenIdProvider
) -> None:
    made = await registered(browser, tenant, provider)
    assert made["callbackPath"] == "/auth/oidc/callback"
    asked = query_of(await browser.begin(made["signInPath"]))
    assert (asked["response_type"], asked["scope"], asked["client_id"]) == ("code", "openid email profile", CLIENT_ID)
    assert asked["code_challenge_method"] == "S256"
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3
    answer = await browser.sign_in(made["signInPath"] + "?next=/devices")
    assert (answer.status_code, answer.headers["location"]) == (303, "/devices")
    cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("tidegate_session="))
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    me = (await browser.api.data(browser.session, ME))["me"]
    assert (me["email"], me["role"], me["tenant"]) == ("somebody@customer.example", "VIEWER", {"key": tenant.key})
    again = await browser.sign_in(made["signInPath"])
    assert again.status_code == 303
    people = (await browser.api.rest(await tenant.api_token(), "GET", "/members")).json()
    assert sorted(person["email"] for person in people) == sorted([tenant.email, "somebody@customer.example"])


async def test_somebody_new_sees_only_the_groups_that_newcomers_are_limited_to(
    browser: Browser, tenant: Tenant, provider: OpenIdProvider, store: Store
) -> None:
    mine, _ = await tenant.device("mine"), await tenant.device("other")
    async with store.as_tenant(tenant.principal()) as tx:
        group = await groups.create(tx, key="site-7", name="Site 7")
        await groups.add_devices(tx, group.id, [mine.id])
    limit = [str(group.id)]
    made = await registered(browser, tenant, provider, role="OPERATOR", groupIds=limit)
    assert (await browser.sign_in(made["signInPath"])).status_code == 303
    seen = await browser.api.data(browser.session, "{ me { groupIds scopes } devices { items { key } } }")
    assert (seen["me"]["groupIds"], seen["devices"]["items"]) == (limit, [{"key": "mine"}])
    assert "tenant:read" not in seen["me"]["scopes"]
    owner, path = await tenant.api_token(), f"/identity-providers/{made['id']}"
    changes: tuple[tuple[dict[str, Any], int, list[str] | None], ...] = (
        ({"name": "Renamed"}, 200, limit),
        ({"groupIds": limit, "allDevices": True}, 422, limit),
        ({"groupIds": [str(mine.id)]}, 422, limit),
        ({"groupIds": limit, "onlyInvited": True}, 422, limit),
        ({"role": "VIEWER"}, 200, limit),
        ({"allDevices": True}, 200, None),
        ({"groupIds": limit}, 200, limit),
        ({"onlyInvited": True}, 200, None),
        ({"groupIds": limit}, 422, None),
    )
    for given, status, shown in changes:
        answer = await browser.api.rest(owner, "PATCH", path, json=given)
        assert answer.status_code == status, (given, answer.text)
        assert (await browser.api.rest(owner, "GET", path)).json()["groupIds"] == shown, given
    people = (await browser.api.rest(owner, "GET", "/members")).json()
    newcomer = next(each for each in people if each["email"] != tenant.email)
    assert newcomer["groupIds"] == limit, "members keep what they are"


async def test_a_member_with_that_address_is_that_member_and_stays_it_under_another_address(
    browser: Browser, tenant: Tenant, provider: OpenIdProvider
) -> None:
    operator = await colleague(tenant, Role.OPERATOR)
    domain = operator.home.email.partition("@")[2]
    made = await registered(browser, tenant, provider, domains=[domain, "customer.example"])
    provider.person = Person("subject-7", operator.home.email.upper())
    assert (await browser.sign_in(made["signInPath"])).status_code == 303
    assert (await browser.api.data(browser.session, ME))["me"]["role"] == "OPERATOR"
    provider.person = Person("subject-7", "married@customer.example")
    assert (await browser.sign_in(made["signInPath"])).status_code == 303
    assert (await browser.api.data(browser.session, ME))["me"]["email"] == operator.home.email


async def test_a_session_by_a_provider_shows_nothing_of_the_persons_other_tenants(
    browser: Browser, tenant: Tenant, provider: OpenIdProvider
) -> None:
    """The tenant decides who the provider says somebody is: what they have elsewhere is none of its business."""
    operator = await colleague(tenant, Role.OPERATOR)
    own = (await browser.api.data((await operator.sign_in()).secret, ME))["me"]
    assert {each["tenantKey"] for each in own["memberships"]} == {tenant.key, operator.home.key}
    made = await registered(browser, tenant, provider, domains=[operator.home.email.partition("@")[2]])
    provider.person = Person("subject-1", operator.home.email)
    await browser.sign_in(made["signInPath"])
    me = (await browser.api.data(browser.session, ME))["me"]
    assert me["memberships"] == [{"tenantKey": tenant.key}]


async def test_a_hostile_tenants_provider_never_reaches_anothers_member(
    browser: Browser, tenant: Tenant, neighbour: Tenant, provider: OpenIdProvider, postgres: Postgres
) -> None:
    """The neighbour's provider swears that somebody is our owner: they become a person of the neighbour's, alone."""
    before = _people(postgres, tenant.email)
    made = await registered(browser, neighbour, provider, domains=[tenant.email.partition("@")[2]], role="ADMIN")
    provider.person = Person("subject-1", tenant.email, "The Attacker")
    answer = await browser.sign_in(made["signInPath"])
    assert answer.status_code == 303, answer.text
    me = (await browser.api.data(browser.session, ME))["me"]
    assert (me["tenant"]["key"], me["role"]) == (neighbour.key, "ADMIN")
    assert me["memberships"] == [{"tenantKey": neighbour.key}]
    for key in (tenant.key, neighbour.key):  # nor by a session that nobody vouched for, in their own tenant first
        switch = {"data": {"tenant": key}, "headers": {"Sec-Fetch-Site": "same-origin"}}
        kept = await browser.client.post("/auth/switch", **switch)
        assert (kept.headers["location"], "set-cookie" in kept.headers) == ("/sign-in?error=not-a-member", False)
    people = (await browser.api.rest(browser.session, "GET", "/members")).json()
    theirs = next(person for person in people if person["email"] == tenant.email)
    assert theirs["id"] != str(tenant.user_id)
    assert theirs["name"] == "The Attacker"
    for tenant_key in (tenant.key, None):
        assert (await sign_in(tenant, tenant_key)).membership.tenant_id == tenant.id
    ours = (await browser.api.data((await sign_in(tenant)).secret, ME))["me"]
    assert [each["tenantKey"] for each in ours["memberships"]] == [tenant.key]
    assert [row for row in _people(postgres, tenant.email) if row[1] is None] == before
    reset = await browser.api.rest(
        (await sign_in(neighbour)).secret,
        "PATCH",
        f"/members/{theirs['id']}/second-factor/reset",
        json={"password": neighbour.password},
    )
    assert reset.json()["code"] == "NO_SECOND_FACTOR"  # and not BELONGS_ELSEWHERE, which would tell
    changed = {"current": tenant.password, "new": "a password of attackers"}
    answer = await browser.api.rest(browser.session, "PATCH", "/me/password", json=changed)
    assert answer.json()["code"] == "NOT_A_PERSON"


async def test_a_password_made_elsewhere_beforehand_opens_nothing_that_a_provider_gave(
    browser: Browser, tenant: Tenant, neighbour: Tenant, provider: OpenIdProvider, store: Store
) -> None:
    """Somebody takes an address before its owner comes (by an invitation to a tenant of theirs), and waits."""
    email = f"victim-{uuid4().hex[:8]}@customer.example"
    async with store.as_tenant(neighbour.principal()) as tx:
        _, secret = await invitations.invite(tx, email=email, role=Role.VIEWER)
    await invitations.accept(store, secret, name="Not They", password="a password of attackers")
    made = await registered(browser, tenant, provider)
    provider.person = Person("subject-1", email)
    assert (await browser.sign_in(made["signInPath"])).status_code == 303
    assert (await browser.api.data(browser.session, ME))["me"]["tenant"]["key"] == tenant.key
    form = {"email": email, "password": "a password of attackers", "tenant": tenant.key}
    attack = await browser.client.post("/auth/login", data=form, headers={"Accept": "application/json"})
    assert attack.json()["code"] == "BAD_CREDENTIALS"


LIES: tuple[dict[str, Any], ...] = (
    {"nonce": "another"},
    {"nonce": None},
    {"aud": "somebody-else"},
    {"aud": ["somebody-else", "and-another"]},
    {"aud": [CLIENT_ID, "somebody-else"]},
    {"aud": [CLIENT_ID, "somebody-else"], "azp": "somebody-else"},
    {"azp": "somebody-else"},
    {"iss": "https://another.example"},
    {"iss": None},
    {"exp": 1_700_000_000},
    {"exp": None},
    {"iat": 4_000_000_000},
    {"sub": None},
    {"sub": ""},
    {"sub": "x" * 256},
)


async def test_a_token_that_is_not_for_this_sign_in_lets_nobody_in(
    browser: Browser, tenant: Tenant, provider: OpenIdProvider
) -> None:
    made = await registered(browser, tenant, provider)
    for lie in LIES:
        throttle._failures.clear()
        provider.claims = lie
        answer = await browser.sign_in(made["signInPath"])
        assert (answer.status_code, is_out(browser)) == (403, True), lie
        assert "could not be verified" in answer.text, lie
    assert await denials(browser, tenant) == ["ID_TOKEN_UNPROVEN"] * len(LIES)
    provider.claims = {}
    assert (await browser.sign_in(made["signInPath"])).status_code == 303


async def test_a_token_of_another_signer_lets_nobody_in(
    browser: Browser, tenant: Tenant, provider: OpenIdProvider
) -> None:
    made = await registered(browser, tenant, provider)
    provider.signer = RSAKey.generate_key(2048, {"kid": "first"})
    answer = await browser.sign_in(made["signInPath"])
    assert (answer.status_code, is_out(browser)) == (403, True)
    assert await denials(browser, tenant) == ["ID_TOKEN_UNPROVEN"]


async def test_an_algorithm_that_was_not_discovered_lets_nobody_in(
    browser: Browser, tenant: Tenant, provider: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider announces RS256 (and none and HS256, which nobody may): what comes otherwise signed is a forgery."""
    made = await registered(browser, tenant, provider)
    honest, elliptic = provider.token, ECKey.generate_key("P-256", {"kid": "first"})

    def unsigned(nonce: str, algorithm: str) -> str:
        header = base64.urlsafe_b64encode(b'{"alg":"%s","kid":"first"}' % algorithm.encode()).rstrip(b"=").decode()
        return f"{header}.{honest(nonce).split('.')[1]}"

    def with_public_key(nonce: str) -> str:
        """Signed with what everybody knows, taken for a shared secret."""
        said = unsigned(nonce, "HS256")
        mac = hmac.digest(provider.key.as_pem(private=False), said.encode(), "sha256")
        return f"{said}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    for forged in (
        lambda nonce: f"{unsigned(nonce, 'none')}.",
        with_public_key,
        lambda nonce: jwt.encode(
            {"alg": "ES256", "kid": "first"}, jwt.decode(honest(nonce), provider.key).claims, elliptic, ["ES256"]
        ),
        lambda nonce: honest(nonce)[:-8],
        lambda nonce: "no token",
    ):
        monkeypatch.setattr(provider, "token", forged)
        answer = await browser.sign_in(made["signInPath"])
        assert (answer.status_code, is_out(browser)) == (403, True)
    assert await denials(browser, tenant) == ["ID_TOKEN_UNPROVEN"] * 5


async def test_a_provider_that_signs_with_es256_is_as_good_and_may_change_its_keys(
    browser: Browser, tenant: Tenant, provider: OpenIdProvider
) -> None:
    provider.algorithm, provider.key = "ES256", ECKey.generate_key("P-256", {"kid": "first"})
    made = await registered(browser, tenant, provider)
    assert (await browser.sign_in(made["signInPath"])).status_code == 303
    assert provider.asked == ["configuration", "jwks"]
    assert (await browser.sign_in(made["signInPath"])).status_code == 303
    assert provider.asked == ["configuration", "jwks"]


async def test_an_answer_counts_once_and_only_in_the_browser_that_began(
    browser: Browser, loopback: Gateway, tenant: Tenant, provider: OpenIdProvider
) -> None:
    made = await registered(browser, tenant, provider)
    begun = await browser.begin(made["signInPath"])
    ticket = browser.client.cookies["tidegate_oidc"]
    back = await browser.at_provider(begun)
    app = Gate(Starlette(routes=loopback.routes()), loopback.origins)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as other:
        assert (await other.get(back)).status_code == 410  # somebody else's link: no ticket, no session
        assert "tidegate_session" not in other.cookies
    assert (await browser.client.get(f"/auth/oidc/callback?code=x&state={'y' * 43}")).status_code == 410
    with_ticket = {"Cookie": f"tidegate_oidc={ticket}"}
    assert (await browser.client.get(back, headers=with_ticket)).status_code == 303
    provider._codes[query_of(back)["code"]] = query_of(begun)  # a provider that takes a code twice
    replayed = await browser.client.get(back, headers=with_ticket)
    assert replayed.status_code == 410
    assert not [c for c in replayed.headers.get_list("set-cookie") if c.startswith("tidegate_session")]


async def test_a_ticket_of_nobodys_making_is_worth_nothing(browser: Browser) -> None:
    for ticket in ("", "x", "A" * 400, "%00", "tgs_ticket"):
        back = "/auth/oidc/callback?code=x&state=y"
        answer = await browser.client.get(back, headers={"Cookie": f"tidegate_oidc={ticket}"})
        assert (answer.status_code, is_out(browser)) == (410, True), ticket


async def test_an_address_that_the_provider_does_not_vouch_for_or_of_another_domain_lets_nobody_in(
    browser: Browser, tenant: Tenant, provider: OpenIdProvider
) -> None:
    made = await registered(browser, tenant, provider)
    for is_verified in (False, None, "true", 1):
        provider.claims = {"email_verified": is_verified}
        answer = await browser.sign_in(made["signInPath"])
        assert (answer.status_code, is_out(browser)) == (403, True), is_verified
    for email in ("a@other.example", "a@sub.customer.example", "a@customer.example.other.example"):
        provider.claims = {"email": email}
        answer = await browser.sign_in(made["signInPath"])
        assert (answer.status_code, is_out(browser)) == (403, True), email
    assert await denials(browser, tenant) == ["DOMAIN_NOT_ALLOWED"] * 3 + ["EMAIL_UNVERIFIED"] * 4


async def test_where_only_invited_people_come_in_an_invitation_is_needed_and_spent(
    browser: Browser, tenant: Tenant, provider: OpenIdProvider, store: Store
) -> None:
    made = await registered(browser, tenant, provider, role=None, domains=None)
    answer = await browser.sign_in(made["signInPath"])
    assert (answer.status_code, is_out(browser)) == (403, True)
    assert await denials(browser, tenant) == ["NOT_INVITED"]
    async with store.as_tenant(tenant.principal()) as tx:
        _, secret = await invitations.invite(tx, email="somebody@customer.example", role=Role.DESIGNER)
    assert (await browser.sign_in(made["signInPath"])).status_code == 303
    assert (await browser.api.data(browser.session, ME))["me"]["role"] == "DESIGNER"
    looked = await browser.client.get(f"/auth/accept?token={secret}", headers={"Accept": "application/json"})
    assert looked.json()["code"] == "INVITATION_OVER"


async def test_whoever_was_sent_away_comes_back_by_invitation_only(
    browser: Browser, tenant: Tenant, provider: OpenIdProvider, store: Store
) -> None:
    made = await registered(browser, tenant, provider)
    await browser.sign_in(made["signInPath"])
    people = (await browser.api.rest(await tenant.api_token(), "GET", "/members")).json()
    theirs = next(person for person in people if person["email"] == "somebody@customer.example")
    async with store.as_tenant(tenant.principal()) as tx:
        await members.remove(tx, theirs["id"])
    browser.client.cookies.clear()
    assert (await browser.sign_in(made["signInPath"])).status_code == 403
    assert (await denials(browser, tenant))[0] == "NOT_INVITED"
    provider.person = Person("subject-2", "somebody@customer.example")  # nor under another name of the provider's
    assert (await browser.sign_in(made["signInPath"])).status_code == 403
    provider.person = Person("subject-1", "somebody@customer.example")
    async with store.as_tenant(tenant.principal()) as tx:
        await invitations.invite(tx, email="somebody@customer.example", role=Role.OPERATOR)
    assert (await browser.sign_in(made["signInPath"])).status_code == 303
    assert (await browser.api.data(browser.session, ME))["me"]["role"] == "OPERATOR"


async def test_an_address_given_to_somebody_else_at_the_provider_is_not_the_member(
    browser: Browser, tenant: Tenant, provider: OpenIdProvider
) -> None:
    made = await registered(browser, tenant, provider)
    await browser.sign_in(made["signInPath"])
    browser.client.cookies.clear()
    provider.person = Person("subject-2", "somebody@customer.example", "The Successor")
    answer = await browser.sign_in(made["signInPath"])
    assert (answer.status_code, is_out(browser)) == (403, True)
    assert await denials(browser, tenant) == ["IDENTITY_CHANGED"]


async def test_a_suspended_tenant_says_so_to_who_has_proven_themselves_and_lets_nobody_in(
    browser: Browser, postgres: Postgres, store: Store, provider: OpenIdProvider
) -> None:
    tenant = await found_tenant(postgres, store)
    made = await registered(browser, tenant, provider)
    await browser.sign_in(made["signInPath"])
    browser.client.cookies.clear()
    _suspend(postgres, tenant)
    answer = await browser.sign_in(made["signInPath"])
    assert (answer.status_code, is_out(browser)) == (403, True)
    assert "suspended" in answer.text
    provider.claims = {"nonce": "another"}
    assert "suspended" not in (await browser.sign_in(made["signInPath"])).text


async def test_what_a_provider_refuses_is_said_and_nothing_of_its_words_but_the_error(
    browser: Browser, tenant: Tenant, provider: OpenIdProvider
) -> None:
    made = await registered(browser, tenant, provider)
    provider.refuses = "access_denied"
    answer = await browser.sign_in(made["signInPath"])
    assert (answer.status_code, is_out(browser)) == (403, True)
    assert "access_denied" in answer.text
    provider.refuses = "<script>alert(1)</script>"
    assert "script" not in (await browser.sign_in(made["signInPath"])).text


async def test_an_answer_that_names_another_issuer_is_a_mix_up(
    browser: Browser, tenant: Tenant, provider: OpenIdProvider
) -> None:
    made = await registered(browser, tenant, provider)
    back = await browser.at_provider(await browser.begin(made["signInPath"]))
    answer = await browser.client.get(f"{back}&iss=https%3A%2F%2Fanother.example")
    assert (answer.status_code, is_out(browser)) == (410, True)


async def test_switching_off_and_removing_a_provider_ends_what_it_opened(
    browser: Browser, tenant: Tenant, provider: OpenIdProvider
) -> None:
    owner = await tenant.api_token()
    made = await registered(browser, tenant, provider)
    await browser.sign_in(made["signInPath"])
    by_password, by_provider = (await sign_in(tenant)).secret, browser.session
    await browser.api.data(owner, CHANGE, id=made["id"], i={"isEnabled": False})
    await _is_nobody(browser.api, by_provider)
    assert (await browser.api.rest(by_password, "GET", "/me")).status_code == 200
    assert (await browser.client.get(made["signInPath"])).status_code == 404
    await browser.api.data(owner, CHANGE, id=made["id"], i={"isEnabled": True})
    await browser.sign_in(made["signInPath"])
    assert (await browser.api.rest(owner, "DELETE", f"/identity-providers/{made['id']}")).status_code == 200
    await _is_nobody(browser.api, browser.session)
    assert (await browser.client.get(made["signInPath"])).status_code == 404


async def test_the_ways_into_a_tenant_are_found_by_its_key_and_strangers_learn_nothing(
    browser: Browser, tenant: Tenant, neighbour: Tenant, provider: OpenIdProvider
) -> None:
    made = await registered(browser, tenant, provider)
    one = await browser.client.get(f"/auth/oidc/start?tenant={tenant.key.upper()}&next=/rules")
    assert (one.status_code, one.headers["location"]) == (303, f"{made['signInPath']}?next=%2Frules")
    await registered(browser, tenant, provider, clientId="another-client", name="<b>Other</b>")
    await registered(browser, tenant, provider, clientId="a-third-client", name="Sign in by card")
    several = await browser.client.get(f"/auth/oidc/start/{tenant.key}")
    assert several.status_code == 200
    assert "Sign in with &lt;b&gt;Other&lt;/b&gt;" in several.text
    assert ">Sign in by card<" in several.text
    json = {"Accept": "application/json"}
    listed = (await browser.client.get(f"/auth/oidc/start/{tenant.key}", headers=json)).json()
    assert [each["name"] for each in listed["providers"]] == ["<b>Other</b>", "Customer's accounts", "Sign in by card"]
    unknown = [await browser.client.get(f"/auth/oidc/start/{key}") for key in (neighbour.key, "nobody", "' OR 1=1")]
    assert {(answer.status_code, answer.text) for answer in unknown} == {(404, unknown[0].text)}
    wrong = await browser.client.get(f"/auth/oidc/start/{neighbour.key}/{made['id']}")
    assert wrong.status_code == 404  # the provider of one tenant is none of another's


async def test_where_to_go_afterwards_is_never_another_site(
    browser: Browser, tenant: Tenant, provider: OpenIdProvider
) -> None:
    made = await registered(browser, tenant, provider)
    for elsewhere in ("https://elsewhere.example", "//elsewhere.example", "/\\elsewhere.example"):
        answer = await browser.sign_in(made["signInPath"] + "?" + str(httpx.QueryParams(next=elsewhere)))
        assert answer.headers["location"] == "/"


async def test_only_who_has_every_right_decides_who_vouches(
    browser: Browser, tenant: Tenant, provider: OpenIdProvider
) -> None:
    made = await registered(browser, tenant, provider)
    admin = await tenant.api_token(Role.ADMIN)
    given = {"name": "Mine", "issuer": provider.issuer, "clientId": "mine", "clientSecret": "mine"}
    assert await browser.api.code(admin, REGISTER, i=given) == "FORBIDDEN"
    assert await browser.api.code(admin, CHANGE, id=made["id"], i={"clientSecret": "mine"}) == "FORBIDDEN"
    assert (await browser.api.rest(admin, "GET", f"/identity-providers/{made['id']}")).status_code == 200
    owner = await tenant.api_token()
    for wrong, code in (
        ({"role": "OWNER", "domains": ["a.example"]}, "IDENTITY_PROVIDER_MALFORMED"),
        ({"role": "VIEWER"}, "IDENTITY_PROVIDER_MALFORMED"),
        ({"role": "PLATFORM", "domains": ["a.example"]}, "ROLE_TOO_WIDE"),
        ({"role": "CUSTOM", "domains": ["a.example"]}, "ROLE_UNCLEAR"),
        ({"domains": ["@a.example"]}, "IDENTITY_PROVIDER_MALFORMED"),
        ({"clientSecret": "ünprintable"}, "IDENTITY_PROVIDER_MALFORMED"),
        ({"clientId": CLIENT_ID}, "IDENTITY_PROVIDER_TAKEN"),
        ({"issuer": "http://10.0.0.1:99/"}, "ADDRESS_REFUSED"),
    ):
        assert await browser.api.code(owner, REGISTER, i={**given, **wrong}) == code, wrong


async def test_a_secret_is_sealed_and_never_shown(
    browser: Browser, tenant: Tenant, provider: OpenIdProvider, postgres: Postgres
) -> None:
    made = await registered(browser, tenant, provider)
    owner = await tenant.api_token()
    said = [
        (await browser.api.rest(owner, "GET", f"/identity-providers/{made['id']}")).text,
        (await browser.api.rest(owner, "GET", "/identity-providers")).text,
        (await browser.api.rest(owner, "GET", "/audit", params={"first": 50})).text,
    ]
    assert all(CLIENT_ID in text and CLIENT_SECRET not in text for text in said)
    with psycopg.connect(postgres.url("app")) as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", [str(tenant.id)])
        row = connection.execute("SELECT client_secret FROM identity_providers").fetchone()
    assert row is not None
    assert CLIENT_SECRET.encode() not in bytes(row[0])


async def test_an_issuer_is_checked_before_it_is_registered(
    browser: Browser, tenant: Tenant, provider: OpenIdProvider
) -> None:
    owner = await tenant.api_token()

    async def check(issuer: str) -> dict[str, Any]:
        answer = await browser.api.rest(owner, "POST", "/identity-providers/check", json={"issuer": issuer})
        said: dict[str, Any] = answer.json()
        return said

    fit = await check(provider.issuer)
    assert (fit["issuer"], fit["algorithms"]) == (provider.issuer, ["RS256"])
    for address in ("https://169.254.169.254/latest", "https://10.0.0.1", "http://192.168.0.1:8080"):
        assert (await check(address))["code"] == "ADDRESS_REFUSED"
    assert (await check(f"{provider.issuer}/elsewhere"))["code"] == "IDENTITY_PROVIDER_UNFIT"
    for lie in (
        {"issuer": "https://another.example"},
        {"token_endpoint": "ftp://another.example"},
        {"jwks_uri": None},
        {"id_token_signing_alg_values_supported": ["none", "HS256"]},
        {"token_endpoint_auth_methods_supported": ["private_key_jwt"]},
    ):
        async with openid_provider() as liar:
            liar.metadata = lie
            assert (await check(liar.issuer))["code"] == "IDENTITY_PROVIDER_UNFIT", lie


async def _is_nobody(api: Api, secret: str) -> None:
    for _ in range(1_500):
        if (await api.rest(secret, "GET", "/me")).status_code == 401:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("still somebody")


def _people(postgres: Postgres, email: str) -> list[Any]:
    with psycopg.connect(postgres.url("superuser")) as connection:
        query = "SELECT id, home_id, name, password_hash FROM users WHERE email = %s ORDER BY id"
        return connection.execute(query, [email]).fetchall()


def _suspend(postgres: Postgres, tenant: Tenant) -> None:
    with psycopg.connect(postgres.url("superuser")) as connection:
        connection.execute("UPDATE tenants SET suspended_at = now() WHERE id = %s", [tenant.id])


async def test_a_provider_may_change_its_keys_and_is_asked_for_them_again_but_seldom(
    browser: Browser, tenant: Tenant, provider: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await registered(browser, tenant, provider)
    assert (await browser.sign_in(made["signInPath"])).status_code == 303
    provider.key = RSAKey.generate_key(2048, {"kid": "first"})
    browser.client.cookies.clear()
    assert (await browser.sign_in(made["signInPath"])).status_code == 403  # asked for a moment ago
    assert provider.asked == ["configuration", "jwks"]
    monkeypatch.setattr(discovery, "KEYS_AGAIN_S", 0)
    assert (await browser.sign_in(made["signInPath"])).status_code == 303
    assert provider.asked == ["configuration", "jwks", "jwks"]


async def test_two_answers_at_once_open_one_session_and_two_first_sign_ins_make_one_member(
    browser: Browser, loopback: Gateway, tenant: Tenant, provider: OpenIdProvider
) -> None:
    made = await registered(browser, tenant, provider)
    back = await browser.at_provider(await browser.begin(made["signInPath"]))
    ticket = {"Cookie": f"tidegate_oidc={browser.client.cookies['tidegate_oidc']}"}
    both = await asyncio.gather(*(browser.client.get(back, headers=ticket) for _ in range(2)))
    assert sorted(answer.status_code for answer in both) == [303, 410]
    provider.person = Person("subject-9", "twice@customer.example")
    app = Gate(Starlette(routes=loopback.routes()), loopback.origins)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        other = Browser(Api(client))
        ways = [await each.at_provider(await each.begin(made["signInPath"])) for each in (browser, other)]
        answers = await asyncio.gather(browser.client.get(ways[0]), other.client.get(ways[1]))
    assert [answer.status_code for answer in answers] == [303, 303]
    people = (await browser.api.rest(await tenant.api_token(), "GET", "/members")).json()
    assert [person["email"] for person in people].count("twice@customer.example") == 1


async def test_an_invitation_after_a_removal_means_whoever_has_the_address_now(
    browser: Browser, tenant: Tenant, provider: OpenIdProvider, store: Store
) -> None:
    made = await registered(browser, tenant, provider)
    await browser.sign_in(made["signInPath"])
    people = (await browser.api.rest(await tenant.api_token(), "GET", "/members")).json()
    theirs = next(person for person in people if person["email"] == "somebody@customer.example")
    async with store.as_tenant(tenant.principal()) as tx:
        await members.remove(tx, theirs["id"])
        await invitations.invite(tx, email="somebody@customer.example", role=Role.OPERATOR)
    browser.client.cookies.clear()
    provider.person = Person("subject-2", "somebody@customer.example", "The Successor")
    assert (await browser.sign_in(made["signInPath"])).status_code == 303
    assert (await browser.api.data(browser.session, ME))["me"]["role"] == "OPERATOR"
    browser.client.cookies.clear()
    provider.person = Person("subject-1", "somebody@customer.example")
    assert (await browser.sign_in(made["signInPath"])).status_code == 403
    entries = (await browser.api.rest(await tenant.api_token(), "GET", "/audit", params={"first": 50})).json()["items"]
    denied = next(entry for entry in entries if entry["reason"] == "IDENTITY_CHANGED")
    assert denied["after"] == {"email": "somebody@customer.example"}


@pytest.mark.parametrize("home", ["nobody", "neighbour"])
def test_the_database_lets_a_tenant_make_people_of_its_own_only(
    postgres: Postgres, tenant: Tenant, neighbour: Tenant, home: str
) -> None:
    home_id = neighbour.id if home == "neighbour" else None
    statement = "INSERT INTO users (id, email, name, home_id) VALUES (%s, %s, 'x', %s)"
    with psycopg.connect(postgres.url("app")) as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", [str(tenant.id)])
        connection.execute(statement, [uuid4(), "own@customer.example", tenant.id])
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement, [uuid4(), "foreign@customer.example", home_id])


def test_a_tenants_key_shows_that_tenants_row_and_nothing_else(
    postgres: Postgres, tenant: Tenant, neighbour: Tenant
) -> None:
    with psycopg.connect(postgres.url("app")) as connection:
        assert connection.execute("SELECT id FROM tenants").fetchall() == []
        connection.execute("SELECT set_config('app.tenant_key', %s, true)", [tenant.key])
        assert connection.execute("SELECT id FROM tenants").fetchall() == [(tenant.id,)]
        for table in ("users", "memberships", "identity_providers", "identities", "sessions"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
