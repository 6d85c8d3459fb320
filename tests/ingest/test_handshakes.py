"""TLS handshakes that fail are counted by reason, and said in the log now and then: nobody else hears of them."""

import logging
import ssl
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from prometheus_client import REGISTRY

from engine import clock
from engine.certificates import x509
from engine.settings import Settings
from ingest import handshakes, tls
from ingest.handshakes import Handshakes
from tests.support import csr

DAY = timedelta(days=1)
NOW = clock.now()
AUTHORITY, KEY = x509.make_authority(UUID(int=7), "plant", NOW - 10 * DAY)
STRANGER, STRANGERS_KEY = x509.make_authority(UUID(int=8), "nobody", NOW - 10 * DAY)


class Server:
    """Our end: its context, what hears of failures, and its own certificate."""

    def __init__(self, folder: Path) -> None:
        certificate, key = tls.self_made(folder)
        self.certificate = certificate
        self.context = tls.server_context(Settings(tls_cert=certificate, tls_key=key))
        self.context.load_verify_locations(cadata=x509.pem(AUTHORITY))
        self.heard = Handshakes()
        self.heard.watch(self.context)


@pytest.fixture
async def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def client(folder: Path, begins: datetime, ends: datetime, *, is_strange: bool = False) -> ssl.SSLContext:
    """A device whose certificate is good for so long, of the tenant's authority or a stranger's."""
    key = csr.key()
    signer = (STRANGER, STRANGERS_KEY) if is_strange else (AUTHORITY, KEY)
    made = x509.sign(x509.read_csr(csr.request(of=key)), "plant/d/pump", *signer, begins, ends)
    (folder / "device.pem").write_text(x509.pem(made) + csr.pem(key))
    context = anybody()
    context.load_cert_chain(folder / "device.pem")
    return context


def anybody() -> ssl.SSLContext:
    """A device that believes us whoever we are, and shows nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def shake(ours: ssl.SSLContext, theirs: ssl.SSLContext) -> bool:
    """Let two ends meet in memory; whether our end is content."""
    to_us, to_them = ssl.MemoryBIO(), ssl.MemoryBIO()
    we, they = ours.wrap_bio(to_us, to_them, server_side=True), theirs.wrap_bio(to_them, to_us, server_hostname="us")
    is_done = False
    for _ in range(5):
        for end in (they, we):
            try:
                end.do_handshake()
                is_done = end is we or is_done
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                if end is we:
                    return False
    return is_done


def counted() -> dict[str, float]:
    """How many handshakes have failed in this process so far, by reason."""
    samples = (sample for metric in REGISTRY.collect() for sample in metric.samples)
    name = "tidegate_ingest_tls_failures_total"
    return {sample.labels["reason"]: sample.value for sample in samples if sample.name == name}


@pytest.fixture
def before() -> dict[str, float]:
    """What had been counted before the test."""
    return counted()


def since(before: dict[str, float]) -> dict[str, float]:
    """By how much the counts have grown."""
    return {why: n - before.get(why, 0) for why, n in counted().items() if n != before.get(why, 0)}


async def test_who_shows_a_good_certificate_or_none_is_let_in_and_not_counted(
    server: Server, tmp_path: Path, before: dict[str, float]
) -> None:
    assert shake(server.context, client(tmp_path, NOW - DAY, NOW + DAY))
    assert shake(server.context, anybody())
    assert since(before) == {}


async def test_each_certificate_that_is_refused_is_counted_with_why(
    server: Server, tmp_path: Path, before: dict[str, float]
) -> None:
    assert not shake(server.context, client(tmp_path, NOW - 5 * DAY, NOW - DAY))
    assert not shake(server.context, client(tmp_path, NOW + DAY, NOW + 5 * DAY))
    for _ in range(2):
        assert not shake(server.context, client(tmp_path, NOW - DAY, NOW + DAY, is_strange=True))
    assert since(before) == {"expired": 1, "not_yet_valid": 1, "unknown_authority": 2}


async def test_what_is_no_tls_or_does_not_believe_us_is_counted_apart(server: Server, before: dict[str, float]) -> None:
    to_us = ssl.MemoryBIO()
    to_us.write(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")  # MQTT's CONNECT, on the port of TLS
    with pytest.raises(ssl.SSLError):
        server.context.wrap_bio(to_us, ssl.MemoryBIO(), server_side=True).do_handshake()
    assert not shake(server.context, ssl.create_default_context())
    assert since(before) == {"no_tls": 1, "refused_by_client": 1}


async def test_the_log_says_it_once_a_minute_however_many_fail(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    at, device = [1_000.0], client(tmp_path, NOW - 5 * DAY, NOW - DAY)
    heard = Handshakes(lambda: at[0])
    heard.watch(server.context)
    waits: list[float] = []

    def fail(times: int) -> None:
        for _ in range(times):
            assert not shake(server.context, device)
        assert heard._telling is not None
        waits.append(heard._telling.when() - heard._telling._loop.time())  # type: ignore[attr-defined]

    with caplog.at_level(logging.WARNING, "ingest.handshakes"):
        fail(3)
        heard.tell()  # what the timer does
        at[0] += 10
        fail(2)
        heard.tell()
        heard.tell()
    assert [record.__dict__["reasons"] for record in caplog.records] == [{"expired": 3}, {"expired": 2}]
    assert 0 < waits[0] <= handshakes.FIRST_S < waits[1] <= handshakes.APART_S - 10
