"""Asking the contract: whose session counts, and what people are told when it says no."""

import httpx
import pytest

from tests.ui.support import Gateway
from ui import client
from ui.client import Refused, SignedOut, ask, session_secret


def test_the_session_is_read_from_among_other_cookies() -> None:
    assert session_secret("theme=dark; tidegate_session=abc; x=y") == "abc"


@pytest.mark.parametrize("header", ["", "theme=dark", "tidegate_session=", "=;;=", "tidegate_session_old=abc"])
def test_no_session_in_the_cookies_is_no_session(header: str) -> None:
    assert session_secret(header) == ""


async def test_the_session_travels_as_a_bearer_token(gateway: Gateway) -> None:
    await ask("abc", "me")
    assert gateway.bearers == ["Bearer abc"]


async def test_without_a_session_nothing_is_asked(gateway: Gateway) -> None:
    with pytest.raises(SignedOut):
        await ask("", "me")
    assert gateway.asked == []


async def test_a_session_that_ended_is_told_apart_from_other_refusals(gateway: Gateway) -> None:
    gateway.refuses("Me", "Sign in first.", "UNAUTHENTICATED")
    with pytest.raises(SignedOut):
        await ask("abc", "me")


async def test_a_refusal_carries_the_platforms_own_words(gateway: Gateway) -> None:
    gateway.refuses("DeviceProvision", "There is a device with this key already.", "DEVICE_KEY_TAKEN")
    with pytest.raises(Refused) as refused:
        await ask("abc", "device_provision", {"input": {}})
    assert refused.value.words == "There is a device with this key already."
    assert refused.value.code == "DEVICE_KEY_TAKEN"


def _silent(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


@pytest.mark.parametrize(
    "answer",
    [
        _silent,
        lambda request: httpx.Response(502, text="<html>Bad gateway</html>"),
        lambda request: httpx.Response(200, json={"data": None}),
    ],
    ids=["nobody there", "no JSON", "no data"],
)
async def test_a_silent_platform_is_said_in_plain_words(monkeypatch: pytest.MonkeyPatch, answer: object) -> None:
    broken = httpx.AsyncClient(transport=httpx.MockTransport(answer))  # type: ignore[arg-type]
    monkeypatch.setattr(client, "_http", broken)
    with pytest.raises(Refused, match="does not answer right now"):
        await ask("abc", "me")
