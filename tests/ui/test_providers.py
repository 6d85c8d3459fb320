"""Identity providers in the console: what is sent, what is said, and the buttons of the sign-in page."""

from typing import Any

import httpx
import pytest

from engine.identity_providers.model import CALLBACK_PATH
from tests.ui.support import Gateway, Visit
from ui import client
from ui.console import Console
from ui.pages.identity_providers import IdentityProviders
from ui.pages.sign_in import SignIn
from ui.providers import CALLBACK, button_words, domains_of, input_of, provider_line, sign_in_way

PROVIDER: dict[str, Any] = {
    "id": "i1",
    "name": "Acme",
    "issuer": "https://login.acme.example",
    "clientId": "tidegate",
    "domains": ["acme.example"],
    "role": "VIEWER",
    "roleId": None,
    "isEnabled": True,
    "signInPath": "/auth/oidc/start/demo/i1",
    "callbackPath": "/auth/oidc/callback",
    "version": 4,
}
FORM = {"name": " Acme ", "issuer": "https://a.example", "client": "c", "secret": "s", "domains": "acme.example"}


@pytest.fixture
async def providers(gateway: Gateway, visit: Visit) -> IdentityProviders:
    gateway.answers["IdentityProviders"] = {"identityProviders": [PROVIDER]}
    state = visit(IdentityProviders, "/access/identity-providers")
    await state.load()
    return state


def test_the_redirect_address_is_the_gateways() -> None:
    assert CALLBACK == CALLBACK_PATH


async def test_a_provider_is_registered(providers: IdentityProviders, gateway: Gateway) -> None:
    providers.write("new")
    gateway.answers["IdentityProviderRegister"] = {"identityProviderRegister": {"id": "i2"}}
    await providers.save({**FORM, "newcomers": "CUSTOM:r1"})
    assert gateway.variables("IdentityProviderRegister")["input"] == {
        "name": "Acme",
        "issuer": "https://a.example",
        "clientId": "c",
        "clientSecret": "s",
        "domains": ["acme.example"],
        "role": "CUSTOM",
        "roleId": "r1",
    }
    assert (providers.writing, "registered" in providers.said) == ("", True)


async def test_a_change_keeps_the_secret_unless_a_new_one_is_typed(
    providers: IdentityProviders, gateway: Gateway
) -> None:
    providers.write("i1")
    assert providers.now["newcomers"] == "VIEWER"
    gateway.answers["IdentityProviderUpdate"] = {"identityProviderUpdate": {"id": "i1", "version": 5}}
    await providers.save({"name": "Acme", "secret": "", "domains": "", "newcomers": ""})
    sent = gateway.variables("IdentityProviderUpdate")
    assert (sent["version"], sent["input"]) == (4, {"name": "Acme", "domains": [], "onlyInvited": True})


async def test_a_provider_is_checked_switched_off_and_removed(providers: IdentityProviders, gateway: Gateway) -> None:
    said = {"issuer": "x", "authorizationEndpoint": "https://login.acme.example/go?x=1", "algorithms": ["RS256"]}
    gateway.answers["IdentityProviderCheck"] = {"identityProviderCheck": said}
    async for _ in providers.check("https://login.acme.example"):
        pass
    assert "https://login.acme.example/go." in providers.said
    gateway.answers["IdentityProviderUpdate"] = {"identityProviderUpdate": {"id": "i1", "version": 5}}
    providers.hesitate("i1")
    assert (providers.pausing, [name for name, _ in gateway.asked if name == "IdentityProviderUpdate"]) == ("i1", [])
    await providers.switch("i1", False)
    assert providers.pausing == ""
    assert gateway.variables("IdentityProviderUpdate")["input"] == {"isEnabled": False}
    gateway.answers["IdentityProviderRemove"] = {"identityProviderRemove": {"id": "i1"}}
    await providers.remove("i1")
    assert gateway.variables("IdentityProviderRemove") == {"id": "i1"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": ""}, "name that stands on the button"),
        ({"issuer": "login.example"}, "https://"),
        ({"secret": ""}, "secret"),
        ({"newcomers": "VIEWER", "domains": ""}, "anybody in the world"),
        ({"domains": "acme.example, nonsense"}, "no domain"),
    ],
)
def test_a_form_that_is_unclear_says_what_is_missing(change: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        input_of({**FORM, **change}, is_new=True)


def test_domains_are_read_however_they_are_written() -> None:
    assert domains_of(" @Acme.example; b.example\nc.example ") == ["acme.example", "b.example", "c.example"]


def test_a_provider_says_who_comes_in_by_it() -> None:
    assert provider_line(PROVIDER, {}).newcomers_words == "Anybody of acme.example becomes Viewer."
    own = {**PROVIDER, "role": "CUSTOM", "roleId": "r1"}
    assert "becomes Night shift" in provider_line(own, {"r1": "Night shift"}).newcomers_words
    invited = provider_line({**PROVIDER, "role": None}, {}).newcomers_words
    assert invited == "Only people who were invited come in, with addresses of acme.example."


@pytest.mark.parametrize(
    ("name", "words"),
    [("Acme", "Sign in with Acme"), ("Sign in with Acme", "Sign in with Acme"), ("Log in by card", "Log in by card")],
)
def test_a_button_says_sign_in_once(name: str, words: str) -> None:
    assert button_words(name) == words


def test_a_button_leads_to_where_one_wanted_to_go() -> None:
    way = sign_in_way({"name": "Acme", "path": "/auth/oidc/start/demo/i1"}, "/devices?a=b&c")
    assert way.path == "/auth/oidc/start/demo/i1?next=%2Fdevices%3Fa%3Db%26c"


@pytest.fixture
def offering(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A gateway that offers one provider to `demo`; the addresses it was asked at."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        offered = [
            {"name": "Acme", "path": "/auth/oidc/start/demo/i1"},
            {"name": "Evil", "path": "https://evil.example"},
        ]
        return httpx.Response(200, json={"providers": offered if request.url.params["tenant"] == "demo" else []})

    monkeypatch.setattr(client, "_http", httpx.AsyncClient(transport=httpx.MockTransport(answer)))
    return asked


def test_the_organisation_that_was_typed_outlives_signing_in_and_out(visit: Visit) -> None:
    door = visit(SignIn, "/sign-in")
    door.organisation = "demo"
    root = door.parent_state
    assert root is not None
    console = root.get_substate(Console.get_full_name().split("."))
    console.reset()  # as when another person signs in
    assert door.organisation == "demo"


async def test_the_ways_into_an_organisation_are_found_and_remembered(visit: Visit, offering: list[str]) -> None:
    state = visit(SignIn, "/sign-in?next=/rules")
    await state.load()
    assert (offering, state.ways) == ([], [])
    await state.find({"tenant": " Demo "})
    assert [(each.words, each.path) for each in state.ways] == [
        ("Sign in with Acme", "/auth/oidc/start/demo/i1?next=%2Frules")
    ]
    assert state.organisation == "demo"
    await state.find({"tenant": "nobody"})
    assert (state.ways, "no sign-in of its own" in state.ways_problem) == ([], True)
    assert state.organisation == "demo"


async def test_an_organisation_in_the_address_offers_its_ways_at_once(visit: Visit, offering: list[str]) -> None:
    state = visit(SignIn, "/sign-in?tenant=demo")
    await state.load()
    assert len(state.ways) == 1
    await state.find({"tenant": "no such/name"})
    assert len(offering) == 1
