"""What an edge says of a platform that it does not reach: real servers that are wrong in one way each."""

import asyncio
import ipaddress
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from engine import clock
from ingest.edge import away
from ingest.edge.config import Platform


def platform(port: int, *, ca_file: Path | None = None, host: str = "127.0.0.1", is_tls: bool = True) -> Platform:
    return Platform(host, port, is_tls, "acme", "plant", Path("token"), None, None, ca_file)


def write_certificate(folder: Path, *, address: str = "127.0.0.1", from_days: int = -1, to_days: int = 1) -> Path:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(clock.now() + timedelta(days=from_days))
        .not_valid_after(clock.now() + timedelta(days=to_days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=True)
        .sign(key, SHA256())
    )
    file = folder / "server.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(secret + made.public_bytes(Encoding.PEM))
    return file


@asynccontextmanager
async def listening(certificate: Path | None = None) -> AsyncIterator[int]:
    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10_000)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    async with await asyncio.start_server(hear, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


async def told(where: Platform) -> str:
    """What is said of the first try to connect."""
    try:
        _, writer = await asyncio.open_connection(where.host, where.port, ssl=where.tls())
    except (OSError, ValueError) as error:
        return away.words(error, where)
    writer.close()
    return "connected"


async def test_a_certificate_that_is_not_believed_is_told_with_what_to_do(tmp_path: Path) -> None:
    for said, words in (
        ({"from_days": 1, "to_days": 2}, r"not valid yet: the computer's clock says \d{4}-.* UTC; set it, by NTP"),
        ({"from_days": -2, "to_days": -1}, r"has expired: renew it at the platform"),
        ({"address": "192.0.2.1"}, r"for another name than '127.0.0.1': write the name that it has as `host`"),
    ):
        certificate = write_certificate(tmp_path, **said)  # type: ignore[arg-type]
        async with listening(certificate) as port:
            assert re.search(
                f"127.0.0.1:{port}: .*{words}", found := await told(platform(port, ca_file=certificate))
            ), found
    async with listening(write_certificate(tmp_path)) as port:
        assert "not vouched for by the computer's authorities" in (found := await told(platform(port)))
        assert "name that file as `ca_file`" in found


async def test_a_clock_in_1970_is_told_of_and_not_a_certificate_that_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = write_certificate(tmp_path, from_days=-2, to_days=-1)
    async with listening(certificate) as port:
        monkeypatch.setattr("engine.clock.now_ms", lambda: 0)
        assert "not valid yet: the computer's clock says" in await told(platform(port, ca_file=certificate))


async def test_what_is_no_platform_is_told_with_what_to_look_at(unused_tcp_port: int) -> None:
    async with listening() as port:
        assert "does not speak TLS with us" in (said := await told(platform(port)))
        assert "`tls: false` is for a platform without TLS" in said
    assert "nobody listens there" in await told(platform(unused_tcp_port, is_tls=False))
    assert "'no.invalid' cannot be found" in await told(platform(port, host="no.invalid", is_tls=False))
    assert away.words(TimeoutError("timed out"), platform(1)).endswith("and what a firewall lets out")
    assert "leave out `tls: false`" in away.hung_up(platform(1, is_tls=False))
