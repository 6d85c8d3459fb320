"""What the TLS listener for devices agrees to and what not, tried by clients that a careless server would take."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from engine.settings import Settings
from ingest import tls

OLD = {"TLS 1.0": ssl.TLSVersion.TLSv1, "TLS 1.1": ssl.TLSVersion.TLSv1_1}
WEAK = [
    "AES128-SHA",
    "AES256-GCM-SHA384",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-RSA-AES256-SHA",
    "ECDHE-RSA-NULL-SHA",
    "NULL-SHA256",
    "AECDH-AES128-SHA",
]
"""Without forward secrecy, authenticated encryption, encryption, or a certificate."""


class Listener:
    """A port with the context of the endpoint behind it."""

    def __init__(self, port: int, folder: Path) -> None:
        self.port = port
        self.certificate = folder / "tls" / "server.pem"

    async def greet(self, client: ssl.SSLContext) -> tuple[str, str, str | None]:
        """Version, cipher and compression that both agree on; raises ssl.SSLError or OSError when they do not."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=client, server_hostname="127.0.0.1")
        spoken: ssl.SSLObject = writer.get_extra_info("ssl_object")
        agreed = spoken.version() or "", (spoken.cipher() or ("", "", 0))[0], spoken.compression()
        writer.close()
        return agreed


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Listener]:
    async with _listening(tls.server_context(Settings(data_dir=tmp_path)), tmp_path) as listener:
        yield listener


@pytest.fixture(scope="module")
def rsa_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A certificate with which the old ciphers would work too."""
    folder = tmp_path_factory.mktemp("rsa")
    key = rsa.generate_private_key(65_537, 2_048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gate.example")])
    now = datetime.now(UTC)
    certificate = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    (folder / "cert.pem").write_bytes(certificate.sign(key, SHA256()).public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return Settings(data_dir=folder, tls_cert=folder / "cert.pem", tls_key=folder / "key.pem")


@contextlib.asynccontextmanager
async def _listening(context: ssl.SSLContext, folder: Path) -> AsyncIterator[Listener]:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    yield Listener(server.sockets[0].getsockname()[1], folder)
    server.close()
    await server.wait_closed()


def _careless(settings: Settings) -> ssl.SSLContext:
    """A server that takes anything, to prove that the client's wish is one that can be granted."""
    assert settings.tls_cert is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    context.load_cert_chain(settings.tls_cert, settings.tls_key)
    _lower(context, ssl.TLSVersion.TLSv1)
    return context


def _lower(context: ssl.SSLContext, version: ssl.TLSVersion) -> None:
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = version


def _client(level: int = 0) -> ssl.SSLContext:
    """One that would take anything: OpenSSL's own security level lowered, so that a refusal is the server's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers(f"ALL:COMPLEMENTOFALL:@SECLEVEL={level}")
    return context


@pytest.mark.parametrize("name", OLD)
async def test_an_old_version_is_not_spoken(rsa_settings: Settings, name: str) -> None:
    client = _client()
    _lower(client, OLD[name])
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        client.maximum_version = OLD[name]
    await _is_refused(client, rsa_settings)


@pytest.mark.parametrize("cipher", WEAK)
async def test_a_weak_cipher_is_not_agreed_to(rsa_settings: Settings, cipher: str) -> None:
    client = _client()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers(f"{cipher}:@SECLEVEL=0")
    await _is_refused(client, rsa_settings)


async def _is_refused(client: ssl.SSLContext, settings: Settings) -> None:
    async with _listening(_careless(settings), settings.data_dir) as careless:
        assert (await careless.greet(client))[0], "elsewhere this client would be served"
    async with _listening(tls.server_context(settings), settings.data_dir) as ours:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await ours.greet(client)


@pytest.mark.parametrize(
    ("version", "ciphers"),
    [
        (ssl.TLSVersion.TLSv1_2, ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"]),
        (ssl.TLSVersion.TLSv1_3, ["ALL"]),
    ],
)
async def test_a_client_of_today_is_served_without_compression(
    listener: Listener, version: ssl.TLSVersion, ciphers: list[str]
) -> None:
    for cipher in ciphers:
        client = _client()
        client.minimum_version = client.maximum_version = version
        client.set_ciphers(cipher)
        spoken, agreed, compression = await listener.greet(client)
        assert spoken == version.name.replace("_", ".")
        assert agreed.startswith(("ECDHE-ECDSA-", "TLS_"))
        assert compression is None


async def test_a_strict_client_believes_the_self_made_certificate_by_its_file_alone(listener: Listener) -> None:
    client = ssl.create_default_context(cafile=str(listener.certificate))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    assert (await listener.greet(client))[0] == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        await listener.greet(ssl.create_default_context())
    certificate = x509.load_pem_x509_certificate(listener.certificate.read_bytes())
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days <= 366
    assert {type(extension.value) for extension in certificate.extensions} >= {
        x509.AuthorityKeyIdentifier, x509.SubjectKeyIdentifier, x509.SubjectAlternativeName, x509.ExtendedKeyUsage,
    }  # fmt: skip


def test_a_client_cannot_ask_for_new_keys_to_wear_the_server_out(tmp_path: Path) -> None:
    options = tls.server_context(Settings(data_dir=tmp_path)).options
    assert options & ssl.OP_NO_RENEGOTIATION
    assert options & ssl.OP_NO_COMPRESSION
