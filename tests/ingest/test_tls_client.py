"""Believing an authority that somebody made for themselves, on every Python alike."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from ingest.tls_client import client_context
from tests.support.broker_certificates import write_certificates


def _meet(client: ssl.SSLContext, folder: Path, name: str = "127.0.0.1") -> None:
    """A whole handshake with a server whose certificate is in the folder. Raises ssl.SSLError."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem", folder / "server.key")
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    waiting = list(ends)
    while waiting:
        for end in tuple(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's defaults as they are from 3.13 on."""
    usual = ssl.create_default_context

    def as_later(*given: Any, **named: Any) -> ssl.SSLContext:
        context = usual(*given, **named)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", as_later)


@pytest.mark.usefixtures("strict")
def test_an_authority_that_was_named_need_not_be_as_a_public_one_is(tmp_path: Path) -> None:
    write_certificates(tmp_path, "ingest")
    with pytest.raises(ssl.SSLCertVerificationError, match="Missing Authority Key Identifier"):
        _meet(ssl.create_default_context(cafile=str(tmp_path / "ca.pem")), tmp_path)
    _meet(client_context(tmp_path / "ca.pem"), tmp_path)


@pytest.mark.usefixtures("strict")
def test_nobody_else_is_believed_for_that(tmp_path: Path) -> None:
    for name in ("own", "other"):
        (tmp_path / name).mkdir()
        write_certificates(tmp_path / name, "ingest")
    with pytest.raises(ssl.SSLCertVerificationError):
        _meet(client_context(tmp_path / "other" / "ca.pem"), tmp_path / "own")
    public = client_context(None)
    assert public.verify_flags & ssl.VERIFY_X509_STRICT
    with pytest.raises(ssl.SSLCertVerificationError):
        _meet(public, tmp_path / "own")


def test_a_server_of_another_name_is_refused(tmp_path: Path) -> None:
    write_certificates(tmp_path, "ingest")
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        _meet(client_context(tmp_path / "ca.pem"), tmp_path, "127.0.0.2")
