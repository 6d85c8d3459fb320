"""A secret that is planted in every kind of channel is found nowhere: in no answer, no log, no row, no audit."""

import logging
from typing import Any

import psycopg
import pytest
from psycopg import sql

from engine.notifications.postman import Postman, Ways
from engine.outbound.fetch import Outbound
from engine.store.pool import Store
from infra.local.postgres import Postgres
from resolvers.gateway import Gateway
from tests.engine.notifications.test_chat import instead_of_the_internet
from tests.support.api import Api
from tests.support.tenant import Tenant

MARK = "s3cretmarker"
UP = MARK.upper()
SIGNED = f"triggers/manual/paths/invoke?api-version=2016-06-01&sig={MARK}abcdefghijklmnop"
CHANNELS: dict[str, dict[str, Any]] = {
    "webhook": {"url": f"https://hooks.example/{MARK}?token={MARK}"},
    "slack": {"webhookUrl": f"https://hooks.slack.com/services/T0{UP}/B0{UP}/{MARK}abcdefghijkl"},
    "teams": {"webhookUrl": f"https://prod-1.logic.azure.com/workflows/{MARK}0123456789/{SIGNED}"},
    "telegram": {"botToken": f"123456789:AAF{MARK}abcdefghijklmnopqrstuvwxyz", "chat": "-1001234567890"},
    "sms": {
        "provider": "TWILIO",
        "account": "AC" + "0123456789abcdef" * 2,
        "secret": f"{MARK}12345678",
        "sender": "+4915112345678",
        "numbers": ["+4915187654321"],
    },
}
PAGES = ("/channels", "/deliveries", "/audit", "/notification-policies")


class _OurLog(logging.Handler):
    """What our log would get: what loggers keep to themselves, as apprise's does, is not in it."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.getMessage()} {record.__dict__}")


async def _here(_host: str, _port: int) -> list[str]:
    return ["127.0.0.1"]


async def test_a_planted_secret_is_found_nowhere(
    api: Api,
    tenant: Tenant,
    gateway: Gateway,
    worker_store: Store,
    postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    ours = _OurLog()
    monkeypatch.setattr(logging.getLogger(), "handlers", [ours])
    token, shown, heard = await tenant.api_token(), [], {}
    for kind, fields in CHANNELS.items():
        made = await api.rest(token, "PATCH", "/channels", json={"name": f"by {kind}", kind: fields})
        assert made.status_code == 200, made.text
        shown.append(str(made.json()["channel"]))
        channel = made.json()["channel"]["id"]
        heard[kind] = made.json()["secret"]
        sent = await api.rest(token, "POST", f"/channels/{channel}/test")
        shown.append(sent.text)
        mangled = {key: f"{MARK} {value}" if MARK in str(value).lower() else value for key, value in fields.items()}
        for wrong in ({**fields, "no": MARK}, mangled):
            refused = await api.rest(token, "PATCH", f"/channels/{channel}", json={kind: wrong})
            assert refused.status_code >= 400
            shown.append(refused.text)
    keys = [key for key in heard.values() if key]
    assert len(keys) == 1  # the webhook's, shown once
    outbound = Outbound(may_loop_back=True, resolve=_here)
    ways = Ways(gateway.services.vault, outbound, None, "https://tidegate.example")
    async with instead_of_the_internet(monkeypatch) as (here, wanted):
        here.answer = lambda _call: 500
        postman = Postman(worker_store, ways)
        postman.wake([tenant.id])
        await postman.rest()
    assert any(MARK in each for each in wanted)  # it was used where it belongs
    for path in PAGES:
        page = await api.rest(token, "GET", path)
        shown.append(page.text)
        for item in page.json()["items"] if path == "/deliveries" else ():
            assert item["lastError"]
    assert any("delivery.failed" in each for each in ours.lines)
    for name, text in (("answers", shown), ("log", ours.lines), ("rows", _rows(postgres))):
        for said in text:
            for secret in (MARK, *keys):
                assert secret.lower() not in said.lower(), name
                assert secret.encode().hex() not in said.lower(), name


def _rows(postgres: Postgres) -> list[str]:
    """Every row of every table, as text; bytes in hexadecimal."""
    with psycopg.connect(postgres.url("superuser")) as connection:
        tables = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') "
            "AND NOT relispartition"
        ).fetchall()
        return [
            str(row[0])
            for (table,) in tables
            for row in connection.execute(sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(table)))
        ]
