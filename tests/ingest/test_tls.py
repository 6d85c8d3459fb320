"""Devices that show a certificate: made by openssl, used by mosquitto_pub, believed for what was signed and no more."""

import asyncio
import contextlib
import re
import shlex
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from sqlalchemy import text

from engine.certificates import service as certificates
from engine.certificates.model import Authority, Signed
from engine.certificates.vault import LocalVault
from engine.devices import service as devices
from engine.devices.model import Device
from engine.provisioning import succession
from engine.settings import SettingError, Settings
from infra.local.postgres import Postgres
from ingest import tls
from ingest.adapters.mqtt.encode import encode
from ingest.adapters.mqtt.packets import V5, Connect
from ingest.edge import config as edge_file
from ingest.edge.service import Edge
from tests.support import csr
from tests.support.line import Line
from tests.support.patience import PATIENCE_S, TOLD_S
from tests.support.process import IngestProcess, ingest_process
from tests.support.tenant import Tenant

KEY = "openssl ecparam -name prime256v1 -genkey -noout -out device.key"
REQUEST = "openssl req -new -key device.key -subj /CN=anything -out device.csr"
PUBLISH = (
    "mosquitto_pub -h 127.0.0.1 -p {port} --cafile tls/server.pem --cert {cert} --key {key} -V mqttv5 -q 1"
    " -t t/{tenant}/d/{device}/up/telemetry -m '{{\"temperature\": {value}}}'"
)


@pytest.fixture(scope="module")
async def process(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[IngestProcess]:
    """One ingest process for all; its data folder is where the pasted lines run."""
    log = tmp_path_factory.mktemp("tls") / "ingest.log"
    async with ingest_process(postgres.url("ingest"), log) as process:
        yield process


class Signing:
    """A tenant's side: it signs, and its authority's key can be stolen."""

    def __init__(self, tenant: Tenant, folder: Path) -> None:
        self.tenant = tenant
        self.folder = folder
        self._vault = LocalVault(folder / f"{tenant.key}.vault")

    async def sign(self, device: Device, request: str) -> Signed:
        """A certificate, as the API gives it."""
        async with self.tenant.store.as_tenant(self.tenant.principal()) as tx:
            return await certificates.sign(tx, self._vault, device.id, request)

    async def keep(self, name: str, device: Device) -> Signed:
        """Key and certificate of a device as files `name`.key and `name`.pem."""
        key = csr.key()
        signed = await self.sign(device, csr.request(of=key))
        (self.folder / f"{name}.pem").write_text(signed.certificate)
        (self.folder / f"{name}.key").write_text(csr.pem(key))
        return signed

    async def renew(self) -> Authority:
        """Give the authority a successor; the former one."""
        async with self.tenant.store.as_tenant(self.tenant.principal()) as tx:
            former = await certificates.authority(tx)
            await certificates.renew(tx, self._vault)
        return former

    async def stolen(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        """The authority's certificate and key."""
        async with self.tenant.store.as_tenant(self.tenant.principal()) as tx:
            newest = "SELECT id, certificate, sealed_key FROM authorities ORDER BY number DESC LIMIT 1"
            [row] = await tx.rows(text(newest))
        purpose = b"tidegate authority 1|" + self.tenant.id.bytes + row["id"].bytes
        key = load_der_private_key(await self._vault.open(row["sealed_key"], purpose), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return x509.load_pem_x509_certificate(row["certificate"].encode()), key


@pytest.fixture
def signing(tenant: Tenant, process: IngestProcess) -> Signing:
    return Signing(tenant, process.data_dir)


async def paste(line: str, folder: Path) -> tuple[int, str]:
    """Run a line as somebody would paste it; exit code and what it said."""
    running = await asyncio.create_subprocess_exec(
        *shlex.split(line), cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        said, _ = await asyncio.wait_for(running.communicate(), PATIENCE_S)
    except TimeoutError:
        running.kill()
        raise
    return running.returncode or 0, said.decode()


def publish(process: IngestProcess, tenant: Tenant, device: Device, name: str, value: float) -> str:
    """The line that publishes with the certificate and key of this name."""
    return PUBLISH.format(
        port=process.mqtts_port,
        cert=f"{name}.pem",
        key=f"{name}.key",
        tenant=tenant.key,
        device=device.key,
        value=value,
    )


async def believed(process: IngestProcess, line: str) -> None:
    """The process has heard of a new authority: a line that must work does, within seconds."""
    for _ in range(200):
        code, said = await paste(line, process.data_dir)
        if code == 0:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(said)


async def test_from_openssl_to_the_first_puback(
    postgres: Postgres, tenant: Tenant, process: IngestProcess, signing: Signing
) -> None:
    pump = await tenant.device("pump-7")
    folder = process.data_dir
    for line in (KEY, REQUEST):
        assert (await paste(line, folder))[0] == 0
    signed = await signing.sign(pump, (folder / "device.csr").read_text())
    (folder / "device.pem").write_text(signed.certificate)
    await believed(process, publish(process, tenant, pump, "device", 4.5))
    assert [values for *_, values in Line(postgres).stored(tenant)] == [{"temperature": 4.5}]


async def test_two_certificates_work_side_by_side_and_the_revoked_one_no_more(
    postgres: Postgres, tenant: Tenant, process: IngestProcess, signing: Signing
) -> None:
    pump = await tenant.device()
    old = await signing.keep("old", pump)
    await signing.keep("new", pump)
    for name in ("old", "new"):
        await believed(process, publish(process, tenant, pump, name, 1))
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.revoke_credential(tx, old.credential.id)
    code, said = await paste(publish(process, tenant, pump, "old", 2), process.data_dir)
    assert code != 0
    assert "not authori" in said.lower()
    assert (await paste(publish(process, tenant, pump, "new", 3), process.data_dir))[0] == 0
    assert {values["temperature"] for *_, values in Line(postgres).stored(tenant)} == {1, 3}


async def test_a_certificate_counts_for_its_own_device_whatever_topic_or_name_is_claimed(
    postgres: Postgres, tenant: Tenant, neighbour: Tenant, process: IngestProcess, signing: Signing
) -> None:
    pump, other, theirs = await tenant.device(), await tenant.device(), await neighbour.device()
    await signing.keep("own", pump)
    await believed(process, publish(process, tenant, pump, "own", 1))
    for victim, device in ((tenant, other), (neighbour, theirs)):
        await paste(publish(process, victim, device, "own", 2), process.data_dir)
        line = publish(process, victim, device, "own", 2) + f" -u {victim.key}/d/{device.key}"
        code, said = await paste(line, process.data_dir)
        assert code != 0
        assert "Bad User Name or Password" in said
    assert [row[0] for row in Line(postgres).stored(tenant)] == [pump.id]
    assert Line(postgres).stored(neighbour) == []


async def test_a_token_works_over_tls_too_and_a_certificate_is_no_password(
    postgres: Postgres, tenant: Tenant, process: IngestProcess, signing: Signing
) -> None:
    pump = await tenant.device()
    line = publish(process, tenant, pump, "none", 7).replace("--cert none.pem --key none.key", "")
    name = f" -u {tenant.key}/d/{pump.key} -P "
    assert (await paste(line + name + await tenant.device_token(pump), process.data_dir))[0] == 0
    assert [values for *_, values in Line(postgres).stored(tenant)] == [{"temperature": 7}]
    signed = await signing.sign(pump, csr.request())
    shown = x509.load_pem_x509_certificate(signed.certificate.encode()).public_bytes(csr.Encoding.DER)
    plain = Connect(V5, "c", username=f"{tenant.key}/d/{pump.key}", password=shown)
    assert await _connack(process.mqtt_port, None, plain) == 0x86
    assert await _connack(process.mqtt_port, None, Connect(V5, "c", username="/d/", password=shown)) == 0x86


@pytest.mark.parametrize("by", ["token", "certificate"])
async def test_an_edge_logs_in_over_tls(
    by: str, postgres: Postgres, tenant: Tenant, process: IngestProcess, signing: Signing
) -> None:
    """By a token or by a certificate that the tenant's authority has signed; the platform shows its self-made one."""
    plant = await tenant.device()
    folder = process.data_dir
    where = f"host: 127.0.0.1, port: {process.mqtts_port}, tenant: {tenant.key}, device: {plant.key}"
    if by == "token":
        (folder / "token").write_text(await tenant.device_token(plant))
        how = "token_file: token"
    else:
        await signing.keep("edge", plant)
        how = "certificate_file: edge.pem, key_file: edge.key"
    file = folder / f"{by}.yaml"
    file.write_text(f"platform: {{{where}, ca_file: tls/server.pem, {how}}}\nspool: {{folder: spool-{by}}}\n")
    edge = Edge(file, edge_file.load(file))
    await edge.start()
    try:
        async with asyncio.timeout(2 * PATIENCE_S):
            while not Line(postgres).stored(tenant):
                await asyncio.sleep(0.05)
    finally:
        await edge.stop()
    ((whose, *_, values),) = Line(postgres).stored(tenant)
    assert (whose, values["edge_dropped"]) == (plant.id, 0)


async def _connack(port: int, context: ssl.SSLContext | None, connect: Connect) -> int:
    """The reason of the CONNACK."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        writer.write(encode(connect, V5))
        return (await asyncio.wait_for(reader.readexactly(4), PATIENCE_S))[3]
    finally:
        writer.close()


def _context(folder: Path, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(folder / "tls/server.pem"))
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


async def test_a_live_session_ends_when_its_certificate_is_revoked_or_its_device_suspended(
    tenant: Tenant, process: IngestProcess, signing: Signing
) -> None:
    revoked, suspended = await tenant.device(), await tenant.device()
    signed = await signing.keep("revoked", revoked)
    await signing.keep("suspended", suspended)
    await believed(process, publish(process, tenant, revoked, "revoked", 1))
    lines = []
    for name in ("revoked", "suspended"):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", process.mqtts_port, ssl=_context(process.data_dir, name)
        )
        writer.write(encode(Connect(V5, "c"), V5))
        assert (await asyncio.wait_for(reader.readexactly(4), PATIENCE_S))[3] == 0
        lines.append((reader, writer))
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.revoke_credential(tx, signed.credential.id)
        await devices.suspend(tx, suspended.id)
    for reader, writer in lines:
        assert b"\xe0" in await asyncio.wait_for(reader.read(), TOLD_S), "a DISCONNECT, then the end"
        writer.close()


async def test_both_authorities_are_believed_until_the_former_is_retired_live_and_at_the_door(
    postgres: Postgres, tenant: Tenant, process: IngestProcess, signing: Signing
) -> None:
    """From openssl: the old certificate goes on, the new one works beside it, then the old one alone ends."""
    changed, late = await tenant.device(), await tenant.device()
    folder = process.data_dir
    for name in ("before", "after", "late"):
        for line in (KEY, REQUEST):
            assert (await paste(line.replace("device.", f"{name}."), folder))[0] == 0

    async def sign(name: str, device: Device) -> None:
        (folder / f"{name}.pem").write_text(
            (await signing.sign(device, (folder / f"{name}.csr").read_text())).certificate
        )

    await sign("before", changed)
    await sign("late", late)
    await believed(process, publish(process, tenant, changed, "before", 1))
    former = await signing.renew()
    await sign("after", changed)
    await believed(process, publish(process, tenant, changed, "after", 2))
    assert (await paste(publish(process, tenant, changed, "before", 3), folder))[0] == 0, "the old one works on"

    lines = {}
    for name in ("late", "after"):
        reader, writer = await asyncio.open_connection("127.0.0.1", process.mqtts_port, ssl=_context(folder, name))
        writer.write(encode(Connect(V5, name), V5))
        assert (await asyncio.wait_for(reader.readexactly(4), 20))[3] == 0
        lines[name] = reader, writer
    await asyncio.sleep(0.2)  # what follows the CONNACK's first bytes has come as well
    for reader, _ in lines.values():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reader.read(1_000), 0.2)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await succession.retire(tx, former.id, 2)
    assert (await asyncio.wait_for(lines["late"][0].read(1), 20)) == b"\xe0", "a DISCONNECT, then the end"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(lines["after"][0].read(1), 0.5)
    for _, writer in lines.values():
        writer.close()
    for name, device in (("before", changed), ("late", late)):
        code, said = await paste(publish(process, tenant, device, name, 66), folder)
        assert code != 0
        assert "not authori" in said.lower(), "it is refused by name, not by a handshake that fails"
    assert (await paste(publish(process, tenant, changed, "after", 4), folder))[0] == 0
    assert {values["temperature"] for *_, values in Line(postgres).stored(tenant)} == {1, 2, 3, 4}


async def test_a_successor_whose_key_was_stolen_speaks_for_nobody_either(
    postgres: Postgres, tenant: Tenant, neighbour: Tenant, process: IngestProcess, signing: Signing
) -> None:
    own, theirs = await tenant.device(), await neighbour.device()
    await signing.keep("first", own)
    await signing.renew()
    await signing.keep("second", own)
    await believed(process, publish(process, tenant, own, "second", 1))
    issuer, issuer_key = await signing.stolen()
    for victim, device in ((neighbour, theirs), (tenant, own)):
        key = csr.key()
        made = _forged(f"{victim.key}/d/{device.key}", issuer, issuer_key, key)
        (process.data_dir / "forged.pem").write_text(made.public_bytes(csr.Encoding.PEM).decode())
        (process.data_dir / "forged.key").write_text(csr.pem(key))
        code, said = await paste(publish(process, victim, device, "forged", 66), process.data_dir)
        assert code != 0
        assert "Bad User Name or Password" in said
    assert [values for *_, values in Line(postgres).stored(tenant)] == [{"temperature": 1}]
    assert Line(postgres).stored(neighbour) == []


Forge = Callable[[x509.CertificateBuilder], x509.CertificateBuilder]


def _plain(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    return builder


def _for_servers(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    return builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)


def _expired(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    builder._not_valid_after = datetime.now(UTC).replace(tzinfo=None) - timedelta(minutes=1)
    return builder


def _forged(
    name: str,
    issuer: x509.Certificate,
    issuer_key: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePrivateKey,
    forge: Forge = _plain,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    return forge(builder).sign(issuer_key, SHA256())


@pytest.mark.parametrize("forge", [_plain, _for_servers, _expired], ids=["sound", "a server's", "expired"])
async def test_an_authority_whose_key_was_stolen_speaks_for_nobody(
    postgres: Postgres, tenant: Tenant, neighbour: Tenant, process: IngestProcess, signing: Signing, forge: Forge
) -> None:
    """The name claims a neighbour's device, or one's own: nothing was written down, so nobody is recognised."""
    own, theirs = await tenant.device(), await neighbour.device()
    await signing.keep("good", own)
    await believed(process, publish(process, tenant, own, "good", 1))
    issuer, issuer_key = await signing.stolen()
    for victim, device in ((neighbour, theirs), (tenant, own)):
        key = csr.key()
        made = _forged(f"{victim.key}/d/{device.key}", issuer, issuer_key, key, forge)
        (process.data_dir / "forged.pem").write_text(made.public_bytes(csr.Encoding.PEM).decode())
        (process.data_dir / "forged.key").write_text(csr.pem(key))
        code, said = await paste(publish(process, victim, device, "forged", 66), process.data_dir)
        assert code != 0
        if forge is _plain:
            assert "Bad User Name or Password" in said, "TLS believes it, the door does not know it"
        else:
            assert "Bad User Name" not in said, "it does not come through the handshake"
    assert [values for *_, values in Line(postgres).stored(tenant)] == [{"temperature": 1}]
    assert Line(postgres).stored(neighbour) == []


async def test_a_devices_certificate_signs_nobody_and_a_strangers_authority_counts_for_nothing(
    tenant: Tenant, process: IngestProcess, signing: Signing
) -> None:
    pump = await tenant.device()
    signed = await signing.keep("issuer", pump)
    await believed(process, publish(process, tenant, pump, "issuer", 1))
    issuer = x509.load_pem_x509_certificate(signed.certificate.encode())
    issuer_key = load_pem_private_key((process.data_dir / "issuer.key").read_bytes(), None)
    stranger = csr.key()
    strange = _forged("nobody", issuer, stranger, stranger)
    for authority, authority_key in ((issuer, issuer_key), (strange, stranger)):
        key = csr.key()
        made = _forged(f"{tenant.key}/d/{pump.key}", authority, authority_key, key)
        chain = made.public_bytes(csr.Encoding.PEM) + authority.public_bytes(csr.Encoding.PEM)
        (process.data_dir / "child.pem").write_bytes(chain)
        (process.data_dir / "child.key").write_text(csr.pem(key))
        with pytest.raises((ssl.SSLError, asyncio.IncompleteReadError, ConnectionError)):
            await _connack(process.mqtts_port, _context(process.data_dir, "child"), Connect(V5, "c"))
    told = process.text("/metrics")
    assert 'tidegate_ingest_logins_total{result="accepted"}' in told
    assert 'tidegate_ingest_tls_failures_total{reason="unknown_authority"}' in told


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_old_tls_is_not_spoken_and_the_key_is_ours_alone(process: IngestProcess) -> None:
    for version in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=str(process.data_dir / "tls/server.pem"))
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        asked = _connack(process.mqtts_port, context, Connect(V5, "c"))
        if version is ssl.TLSVersion.TLSv1_1:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asked
        else:
            assert await asked == 0x86, "spoken, but nobody without a password"
    assert 'tidegate_ingest_tls_failures_total{reason="version"}' in process.text("/metrics")
    assert (process.data_dir / "tls/server.key").stat().st_mode & 0o777 == 0o600


def test_a_certificate_named_by_the_settings_must_be_there_with_its_key(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="belong together"):
        tls.server_context(Settings(tls_cert=tmp_path / "a.pem"))
    with pytest.raises(SettingError, match="TIDEGATE_TLS_CERT"):
        tls.server_context(Settings(tls_cert=tmp_path / "a.pem", tls_key=tmp_path / "a.key"))
    certificate, key = tls.self_made(tmp_path / "made")
    assert tls.server_context(Settings(tls_cert=certificate, tls_key=key)).verify_mode is ssl.CERT_OPTIONAL


def test_the_certificate_made_here_is_kept_from_start_to_start_and_made_anew_when_spoilt(tmp_path: Path) -> None:
    certificate, _ = tls.self_made(tmp_path)
    first = certificate.read_bytes()
    assert tls.self_made(tmp_path)[0].read_bytes() == first
    without_its_first_line = first.partition(b"\n")[2]
    certificate.write_bytes(without_its_first_line)
    assert tls.self_made(tmp_path)[0].read_bytes() == without_its_first_line
    certificate.write_bytes(re.sub(rb"until 20\d\d", b"until 2020", first))
    assert tls.self_made(tmp_path)[0].read_bytes() not in (first, without_its_first_line)
    certificate.write_text("spoilt")
    assert tls.self_made(tmp_path)[0].read_bytes() not in (first, b"spoilt")
