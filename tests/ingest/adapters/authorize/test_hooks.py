"""What EMQX and VerneMQ ask and must be told, letter by letter, with the shared secret at the door."""

import base64
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from ingest.adapters.authorize import admitted, rights
from ingest.adapters.authorize.service import MAX_BODY_BYTES, routes
from ingest.adapters.base import Decision, GoneReason
from tests.ingest.adapters.mqtt.memory import MemoryAuthorizer

SECRET = "between-broker-and-gate"  # of these tests alone
NAME = "acme/d/pump-7"
HOME = "t/acme/d/pump-7"


@dataclass
class Register(MemoryAuthorizer):
    """Also knows whose login is no longer good, or does not answer."""

    gone: dict[str, GoneReason] = field(default_factory=dict)
    is_away: bool = False
    looked: int = 0

    async def dead(self, sessions: Iterable[Decision]) -> list[tuple[Decision, GoneReason]]:
        self.looked += 1
        if self.is_away:
            raise OSError("the database is away")
        return [(session, self.gone[session.device]) for session in sessions if session.device in self.gone]


class Broker:
    """Somebody who knows the secret and asks."""

    def __init__(self, register: Register) -> None:
        self.register = register
        transport = httpx.ASGITransport(Starlette(routes=routes(register, SECRET)))
        self.http = httpx.AsyncClient(transport=transport, base_url="http://gate")
        self.http.headers["Authorization"] = f"Bearer {SECRET}"

    async def emqx(self, question: str, body: Any) -> Any:
        answer = await self.http.post(f"/authorize/emqx/{question}", json=body)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        return answer.json()

    async def verne(self, hook: str, body: Any) -> Any:
        answer = await self.http.post("/authorize/vernemq", json=body, headers={"vernemq-hook": hook})
        assert answer.status_code == 200
        return answer.json()


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    made = Broker(Register())
    yield made
    await made.http.aclose()


LOGIN = {
    "clientid": "any", "username": NAME, "password": "token", "peerhost": "192.0.2.7", "cert_common_name": "undefined",
}  # fmt: skip


async def test_emqx_is_told_who_it_is_and_all_that_it_may_do(broker: Broker) -> None:
    assert await broker.emqx("authn", LOGIN) == {
        "result": "allow",
        "is_superuser": False,
        "client_attrs": {"tenant": "acme", "device": "pump-7"},
        "acl": [
            {"permission": "allow", "action": "publish", "topic": f"{HOME}/up/#"},
            {"permission": "allow", "action": "subscribe", "topic": f"{HOME}/down/#"},
            {"permission": "deny", "action": "all", "topic": "#"},
        ],
    }


async def test_emqx_is_told_in_whole_seconds_when_a_login_ends(broker: Broker) -> None:
    broker.register.lifetime_s = 3_600.5
    answer = await broker.emqx("authn", LOGIN)
    assert isinstance(answer["expire_at"], int)
    assert 3_500 < answer["expire_at"] - time.time() <= 3_601


@pytest.mark.parametrize(
    "change",
    [
        {"password": "wrong"},
        {"password": None},
        {"password": "undefined"},
        {"username": "acme/x/pump-7"},
        {"username": 7},
        {"username": "", "cert_common_name": NAME},
        {"cert_pem": "not a certificate"},
    ],
)
async def test_emqx_is_told_no_with_status_200_since_anything_else_would_ask_its_next_source(
    broker: Broker, change: dict[str, Any]
) -> None:
    assert await broker.emqx("authn", {**LOGIN, **change}) == {"result": "deny"}


async def test_a_login_that_cannot_be_checked_is_denied(broker: Broker) -> None:
    broker.register.refused[NAME] = "unavailable"
    assert await broker.emqx("authn", LOGIN) == {"result": "deny"}


TOPICS = [
    ("publish", f"{HOME}/up/telemetry", True),
    ("publish", f"{HOME}/down/cmd/1", False),
    ("publish", "t/acme/d/pump-8/up/telemetry", False),
    ("publish", "t/rival/d/pump-7/up/telemetry", False),
    ("publish", f"{HOME}/up/", False),
    ("publish", f"{HOME}/up/#", False),
    ("publish", "$SYS/brokers", False),
    ("subscribe", f"{HOME}/down/#", True),
    ("subscribe", f"{HOME}/down/cmd/+", True),
    ("subscribe", f"{HOME}/up/#", False),
    ("subscribe", "t/acme/d/+/down/#", False),
    ("subscribe", "t/+/d/pump-7/down/#", False),
    ("subscribe", f"{HOME}/down/#/x", False),
    ("subscribe", "$share/g/t/acme/d/pump-7/down/#", False),
    ("subscribe", "#", False),
    ("all", f"{HOME}/up/telemetry", False),
]


@pytest.mark.parametrize(("action", "topic", "is_allowed"), TOPICS)
async def test_emqx_is_told_for_one_topic(broker: Broker, action: str, topic: str, is_allowed: bool) -> None:
    asked = {"clientid": "any", "username": NAME, "action": action, "topic": topic, "qos": 1, "retain": False}
    assert await broker.emqx("authz", asked) == {"result": "allow" if is_allowed else "deny"}


def test_the_list_of_rights_says_what_the_single_answers_say() -> None:
    register = Decision(*[None, "acme", None, "pump-7", 1])  # type: ignore[arg-type]  # names are all that counts
    assert {(g.action, g.topic) for g in rights.acl(register)} == {
        ("publish", f"{HOME}/up/#"),
        ("subscribe", f"{HOME}/down/#"),
    }


async def test_who_was_revoked_may_do_nothing_any_more_and_is_looked_up_once_in_a_while(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    monkeypatch.setattr(admitted, "time", SimpleNamespace(monotonic=lambda: now[0]))
    telemetry = {"username": NAME, "action": "publish", "topic": f"{HOME}/up/telemetry"}
    await broker.emqx("authn", LOGIN)
    broker.register.gone["pump-7"] = "revoked"
    assert await broker.emqx("authz", telemetry) == {"result": "allow"}, "judged a moment ago"
    assert broker.register.looked == 0
    now[0] += admitted.RECHECK_S
    assert await broker.emqx("authz", telemetry) == {"result": "deny"}
    assert await broker.emqx("authz", telemetry) == {"result": "deny"}
    assert broker.register.looked == 1
    del broker.register.gone["pump-7"]
    await broker.emqx("authn", LOGIN)
    assert await broker.emqx("authz", telemetry) == {"result": "allow"}, "it has come in anew"


async def test_while_nobody_can_tell_whether_a_login_is_still_good_it_is_not(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admitted, "RECHECK_S", 0.0)
    await broker.emqx("authn", LOGIN)
    broker.register.is_away = True
    asked = {"username": NAME, "action": "publish", "topic": f"{HOME}/up/telemetry"}
    assert await broker.emqx("authz", asked) == {"result": "deny"}


REGISTER = {
    "peer_addr": "127.0.0.1", "peer_port": 8888, "username": NAME, "password": "token", "mountpoint": "",
    "client_id": "any", "clean_session": False,
}  # fmt: skip


@pytest.mark.parametrize("hook", ["auth_on_register", "auth_on_register_m5"])
async def test_vernemq_lets_a_device_in_or_not(broker: Broker, hook: str) -> None:
    assert await broker.verne(hook, REGISTER) == {"result": "ok"}
    assert await broker.verne(hook, {**REGISTER, "password": "wrong"}) == {"result": {"error": "not_allowed"}}
    assert await broker.verne(hook, {**REGISTER, "username": None}) == {"result": {"error": "not_allowed"}}


@pytest.mark.parametrize("hook", ["auth_on_publish", "auth_on_publish_m5"])
async def test_vernemq_lets_a_message_pass_or_not(broker: Broker, hook: str) -> None:
    asked = {"username": NAME, "client_id": "any", "mountpoint": "", "qos": 1, "payload": "e30=", "retain": False}
    assert await broker.verne(hook, {**asked, "topic": f"{HOME}/up/telemetry"}) == {"result": "ok"}
    foreign = await broker.verne(hook, {**asked, "topic": "t/rival/d/x/up/telemetry"})
    assert foreign == {"result": {"error": "not_allowed"}}


async def test_vernemq_is_told_for_each_filter_in_the_code_of_its_version(broker: Broker) -> None:
    mine, other = {"topic": f"{HOME}/down/#", "qos": 1}, {"topic": "t/acme/d/x/down/#", "qos": 1}
    asked = {"client_id": "any", "mountpoint": "", "username": NAME}
    assert await broker.verne("auth_on_subscribe", {**asked, "topics": [mine]}) == {"result": "ok"}
    assert await broker.verne("auth_on_subscribe", {**asked, "topics": [other]}) == {"result": {"error": "not_allowed"}}
    assert await broker.verne("auth_on_subscribe", {**asked, "topics": "all"}) == {"result": {"error": "not_allowed"}}
    assert await broker.verne("auth_on_subscribe", {**asked, "topics": [mine, other]}) == {
        "result": "ok",
        "topics": [mine, {**other, "qos": 128}],
    }
    assert await broker.verne("auth_on_subscribe_m5", {**asked, "topics": [mine, other], "properties": {}}) == {
        "result": "ok",
        "modifiers": {"topics": [mine, {**other, "qos": 135}]},
    }


async def test_vernemqs_other_hooks_are_left_to_others(broker: Broker) -> None:
    assert await broker.verne("on_client_gone", {"client_id": "any", "mountpoint": ""}) == {"result": "next"}


async def test_without_the_secret_nothing_is_answered(broker: Broker) -> None:
    basic = base64.b64encode(f"verne:{SECRET}".encode()).decode()
    for given, status in [
        ("", 401),
        ("Bearer wrong", 401),
        (f"Digest {SECRET}", 401),
        ("Basic !", 401),
        ("Basic " + base64.b64encode(b"\xff:x").decode(), 401),
        (f"Basic {basic}", 200),
        (f"bearer {SECRET}", 200),
    ]:
        headers = {"Authorization": given, "vernemq-hook": "auth_on_register"}
        answer = await broker.http.post("/authorize/vernemq", json=REGISTER, headers=headers)
        assert answer.status_code == status, given
        assert SECRET not in answer.text
    assert routes(broker.register, "") == [], "without a secret there is nothing to ask"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"\xff"])
async def test_what_is_no_question_is_refused(broker: Broker, body: bytes) -> None:
    answer = await broker.http.post("/authorize/emqx/authn", content=body)
    assert answer.status_code == 400


async def test_an_endless_question_is_not_read_to_its_end(broker: Broker) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b" " * 65_536

    answer = await broker.http.post("/authorize/emqx/authn", content=endless())
    assert answer.status_code == 413
    assert read <= MAX_BODY_BYTES // 65_536 + 2
