"""TLS towards devices: our own certificate, and whom a client's certificate may come from.

A client's certificate is asked for and need not be shown. One that is shown must chain to the authority of some tenant,
be a client's, and be valid now: OpenSSL refuses anything else in the handshake. Whose it is, is looked up afterwards by
its fingerprint, so that an authority can speak for nobody but its own tenant's devices.
"""

import asyncio
import logging
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine.settings import SettingError, Settings, variable
from ingest.database import Database
from ingest.newcomers import Newcomers

log = logging.getLogger(__name__)

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: forward secret and authenticated ones only (RFC 9325); those of 1.3 are all so."""

_SELF_MADE_LASTS = timedelta(days=365)
_VALID_UNTIL = "A certificate of this machine for itself, valid until "
_RENEW_BEFORE = timedelta(days=30)


def server_context(settings: Settings) -> ssl.SSLContext:
    """TLS 1.2 and 1.3 with our certificate. Raises SettingError when the files named cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    certificate, key = _files(settings)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise SettingError(
            f"{variable('tls_cert')} and {variable('tls_key')} must be a PEM certificate and its key; {certificate} "
            f"and {key} are not ({type(error).__name__})."
        ) from error
    return context


class Trust:
    """Keeps a listener's context believing the authorities of all tenants, those made meanwhile too."""

    def __init__(self, context: ssl.SSLContext, database: Database, newcomers: Newcomers | None = None) -> None:
        self._context = context
        self._database = database
        self._newcomers = newcomers
        self._known: set[str] = set()
        self._one_at_a_time = asyncio.Lock()

    async def refresh(self, _: object = None) -> None:
        """Believe whatever authorities there are now. Raises psycopg.Error or OSError."""
        async with self._one_at_a_time, self._database.transaction() as connection:
            rows = await (await connection.execute("SELECT * FROM app.authorities()")).fetchall()
            for certificate, _, _ in rows:
                if certificate not in self._known:
                    self._context.load_verify_locations(cadata=certificate)
                    self._known.add(certificate)
        if self._newcomers is not None:
            self._newcomers.believe(rows)

    async def close(self) -> None:
        """Give the connection back."""
        await self._database.drop()


def _files(settings: Settings) -> tuple[Path, Path]:
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise SettingError(f"{variable('tls_cert')} and {variable('tls_key')} belong together: set both or none.")
    if settings.tls_cert is not None and settings.tls_key is not None:
        return settings.tls_cert, settings.tls_key
    return self_made(settings.data_dir / "tls", settings.host)


def self_made(folder: Path, host: str = "127.0.0.1") -> tuple[Path, Path]:
    """A certificate of this machine for itself and its key, made when there is none that lasts another month.

    ``server.pem`` may be shown to anybody (devices take it as their --cafile), ``server.key`` only to its owner.
    """
    certificate, key = folder / "server.pem", folder / "server.key"
    if not (certificate.exists() and key.exists() and _ends(certificate) - datetime.now(UTC) > _RENEW_BEFORE):
        from ingest.self_made import make  # not at the top: it takes a fifth of what a start takes

        folder.mkdir(parents=True, exist_ok=True)
        until = (datetime.now(UTC) + _SELF_MADE_LASTS).replace(microsecond=0)
        made, secret = make(host, until)
        _write(key, secret, 0o600)
        _write(certificate, f"{_VALID_UNTIL}{until.isoformat()}\n".encode() + made, 0o644)
    return certificate, key


def _ends(certificate: Path) -> datetime:
    """When it ends: its first line says so, and only where that is missing is it decoded."""
    text = certificate.read_text()
    try:
        return datetime.fromisoformat(text.partition("\n")[0].removeprefix(_VALID_UNTIL))
    except ValueError:
        from ingest.self_made import ends

    try:
        return ends(text.encode())
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Whole or not at all."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
