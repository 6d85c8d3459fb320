"""Slack, Teams, Telegram and text messages: what apprise really sends, and to whom, seen by a server of our own."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import unquote_plus, urlsplit

import pytest
import requests

from engine.notifications import chat, contacts
from engine.notifications.contacts import Contact, SmsProvider
from engine.notifications.errors import Undelivered
from engine.notifications.model import Message
from tests.engine.notifications.test_contacts import ACCOUNT, AUTOMATE, SLACK, TEAMS, TOKEN
from tests.support.outside import Endpoint, endpoint

HOT = Message("alert.raised", "Hot <b>&", "It is *9.1* °C. <!channel>", link="/alerts", severity="major")
WAYS: Mapping[str, tuple[Contact, str, str, str]] = {
    "slack": (contacts.slack(SLACK), "", "hooks.slack.com", "/services/T0123ABCD/B0123ABCD/abcdefghijklmnopqrstuvwx"),
    "teams": (contacts.teams(TEAMS), "", "prod-12.westeurope.logic.azure.com", "/workflows/0123456789abcdef"),
    "automate": (contacts.teams(AUTOMATE), "", "default0123.45.environment.api.powerplatform.com", "/powerautomate/"),
    "telegram": (contacts.telegram(TOKEN, "-1001234567890"), "", "api.telegram.org", f"/bot{TOKEN}/send"),
    "twilio": (
        contacts.sms(SmsProvider.TWILIO, ACCOUNT, "abcdefgh12345678", "+4915112345678", ["+4915187654321"]),
        "+4915187654321",
        "api.twilio.com",
        f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
    ),
    "clicksend": (
        contacts.sms(SmsProvider.CLICKSEND, "me@desk.example", "abcdefgh12345678", "Tidegate", ["+4915187654321"]),
        "+4915187654321",
        "rest.clicksend.com",
        "/v3/sms/send",
    ),
    "messagebird": (
        contacts.sms(SmsProvider.MESSAGEBIRD, "", "abcdefghijklmnopqrstuvwxy", "+4915112345678", ["+4915187654321"]),
        "+4915187654321",
        "rest.messagebird.com",
        "/messages",
    ),
}


@asynccontextmanager
async def instead_of_the_internet(patch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Endpoint, list[str]]]:
    """Whatever `requests` connects to is our own server; where it wanted to go is noted."""
    real, wanted = requests.adapters.HTTPAdapter.send, []
    async with endpoint() as here:

        def send(self: requests.adapters.HTTPAdapter, request: requests.PreparedRequest, **how: object) -> object:
            wanted.append(str(request.url))
            parts = urlsplit(str(request.url))
            request.url = parts._replace(scheme="http", netloc=f"127.0.0.1:{here.port}").geturl()
            return real(self, request, **how)  # type: ignore[arg-type]

        patch.setattr(requests.adapters.HTTPAdapter, "send", send)
        yield here, wanted


@pytest.mark.parametrize("name", WAYS)
async def test_it_goes_to_the_service_and_nowhere_else(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    contact, to, host, path = WAYS[name]
    async with instead_of_the_internet(monkeypatch) as (here, wanted):
        here.answer, here.says = lambda _call: 201 if name in ("twilio", "messagebird") else 200, b"ok"
        await chat.send(
            contact.kind, HOT, to=to, settings=contact.settings, secrets=contact.secrets, origin="https://t.example"
        )
    assert {urlsplit(each).hostname for each in wanted} == {host}
    assert all(urlsplit(each).scheme == "https" and urlsplit(each).path.startswith(path) for each in wanted)
    (call,) = here.calls
    said = unquote_plus(call.body.decode())
    assert "9.1" in said
    assert "t.example" in said
    if contact.kind.value in ("slack", "telegram", "teams"):  # what reads marks is not given any
        assert "<b>" not in said.replace("<b>Hot", "")
        assert "<!channel>" not in said
    assert "http" not in said.replace("https://t.example", "").replace("http://adaptivecards.io", "")


async def test_what_the_service_answers_is_said_without_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    contact = WAYS["telegram"][0]
    async with instead_of_the_internet(monkeypatch) as (here, _):
        here.answer = lambda _call: 401
        with pytest.raises(Undelivered) as refusal:
            await _tell(contact)
    assert refusal.value.words == "Telegram answered 401."


async def test_a_redirect_of_a_service_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with instead_of_the_internet(monkeypatch) as (here, wanted):
        here.answer = lambda _call: 302
        with pytest.raises(Undelivered):
            await _tell(WAYS["slack"][0])
    assert len(wanted) == 1


async def test_no_token_gets_into_our_log(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    class Ours(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    ours, root = Ours(), logging.getLogger()
    monkeypatch.setattr(root, "handlers", [ours])
    monkeypatch.setattr(root, "level", logging.DEBUG)
    async with instead_of_the_internet(monkeypatch) as (here, _):
        here.answer = lambda _call: 500
        for contact in (WAYS["telegram"][0], WAYS["slack"][0]):
            with pytest.raises(Undelivered):
                await _tell(contact)
    assert not [each for each in said if TOKEN in each or "T0123ABCD" in each]


async def _tell(contact: Contact) -> None:
    await chat.send(
        contact.kind, HOT, to="", settings=contact.settings, secrets=contact.secrets, origin="https://t.example"
    )
