"""TLS towards devices: our own certificate, and whom a client's certificate may come from.

A client's certificate is asked for and need not be shown. One that is shown must chain to the authority of some tenant,
be a client's, and be valid now: OpenSSL refuses anything else in the handshake. Whose it is, is looked up afterwards by
its fingerprint, so that an authority can speak for nobody but its own tenant's devices.
"""

import asyncio
import ipaddress
import logging
import os
import socket
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from engine.settings import SettingError, Settings, variable
from ingest.database import Database

log = logging.getLogger(__name__)

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: forward secret and authenticated ones only (RFC 9325); those of 1.3 are all so."""

_SELF_MADE_DAYS = 398
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

    def __init__(self, context: ssl.SSLContext, database: Database) -> None:
        self._context = context
        self._database = database
        self._known: set[str] = set()
        self._one_at_a_time = asyncio.Lock()

    async def refresh(self, _: object = None) -> None:
        """Believe whatever authorities there are now. Raises psycopg.Error or OSError."""
        async with self._one_at_a_time, self._database.transaction() as connection:
            rows = await (await connection.execute("SELECT certificate FROM app.authorities()")).fetchall()
            for (certificate,) in rows:
                if certificate not in self._known:
                    self._context.load_verify_locations(cadata=certificate)
                    self._known.add(certificate)

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
    if not (certificate.exists() and key.exists() and _lasts(certificate)):
        folder.mkdir(parents=True, exist_ok=True)
        made, secret = _make(_names(host))
        _write(key, secret, 0o600)
        _write(certificate, made, 0o644)
    return certificate, key


def _lasts(certificate: Path) -> bool:
    try:
        ends = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    except ValueError:
        return False
    return ends - datetime.now(UTC) > _RENEW_BEFORE


def _names(host: str) -> list[x509.GeneralName]:
    """How devices may call this machine."""
    addresses = {"127.0.0.1", "::1"}
    names = {"localhost", socket.gethostname()}
    try:
        addresses.add(str(ipaddress.ip_address(host)))
    except ValueError:
        names.add(host)
    addresses -= {"0.0.0.0", "::"}  # noqa: S104  # not bound
    return [
        *(x509.DNSName(name) for name in sorted(names) if name.isascii() and name),
        *(x509.IPAddress(ipaddress.ip_address(address)) for address in sorted(addresses)),
    ]


def _make(names: Iterable[x509.GeneralName]) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tidegate on this machine")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=_SELF_MADE_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM), secret


def _write(path: Path, content: bytes, mode: int) -> None:
    """Whole or not at all."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
