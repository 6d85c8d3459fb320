"""A tenant's authority signs what devices ask for, as it decides and not as they ask."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from sqlalchemy import text

from engine.certificates import errors, service
from engine.certificates.model import Revoked
from engine.certificates.vault import LocalVault
from engine.certificates.x509 import make_authority, revocation_list
from engine.devices import service as devices
from engine.devices.errors import DeviceNotFound, DeviceStuck
from engine.store.pool import Store
from tests.support import csr
from tests.support.tenant import Tenant


@pytest.fixture
def vault(tmp_path: Path) -> LocalVault:
    return LocalVault(tmp_path / "vault.key")


async def test_the_name_and_the_uses_are_ours_to_decide(tenant: Tenant, store: Store, vault: LocalVault) -> None:
    pump = await tenant.device("pump-7")
    key = csr.key()
    async with store.as_tenant(tenant.principal()) as tx:
        signed = await service.sign(tx, vault, pump.id, csr.request("other-tenant/d/admin", key), 30)
        authority = await service.authority(tx)
    made = x509.load_pem_x509_certificate(signed.certificate.encode())
    issuer = x509.load_pem_x509_certificate(signed.authority.encode())
    assert made.subject.rfc4514_string() == f"CN={tenant.key}/d/pump-7"
    assert made.public_key() == key.public_key()
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    uses = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(uses) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert made.not_valid_after_utc - made.not_valid_before_utc == timedelta(days=30, minutes=5)
    made.verify_directly_issued_by(issuer)
    assert authority.certificate == signed.authority
    assert tenant.key in authority.subject
    assert isinstance(issuer.public_key(), ec.EllipticCurvePublicKey)


async def test_a_tenant_has_one_authority_and_the_database_holds_its_key_sealed_only(
    tenant: Tenant, neighbour: Tenant, store: Store, vault: LocalVault
) -> None:
    signed = []
    for each in (tenant, tenant, neighbour):
        device = await each.device()
        async with store.as_tenant(each.principal()) as tx:
            signed.append(await service.sign(tx, vault, device.id, csr.request()))
    assert signed[0].authority == signed[1].authority != signed[2].authority
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        [row] = await tx.rows(text("SELECT id, sealed_key FROM authorities"))
        [said] = await tx.rows(text("SELECT after::text AS said FROM audit WHERE action = 'authority.make'"))
    assert b"\x02\x01\x00" not in row["sealed_key"][:8], "no PKCS #8 in the clear"
    assert "sealed" not in said["said"]
    with pytest.raises(errors.VaultSealed):
        await vault.open(row["sealed_key"], b"tidegate authority 1|" + neighbour.id.bytes + row["id"].bytes)


async def test_certificates_are_credentials_and_several_are_valid_at_once(
    tenant: Tenant, store: Store, vault: LocalVault
) -> None:
    pump = await tenant.device()
    await tenant.device_token(pump)
    async with store.as_tenant(tenant.principal()) as tx:
        old = await service.sign(tx, vault, pump.id, csr.request())
        new = await service.sign(tx, vault, pump.id, csr.request())
        held = (await devices.credentials_of(tx, [pump.id]))[pump.id]
    assert [c.kind for c in held] == ["x509", "x509", "token"]
    assert [c.id for c in held[:2]] == [new.credential.id, old.credential.id]
    assert all(c.revoked_at is None for c in held)
    made = x509.load_pem_x509_certificate(new.certificate.encode())
    assert held[0].fingerprint == made.fingerprint(csr.SHA256()).hex()
    assert held[0].expires_at == made.not_valid_after_utc
    assert held[2].fingerprint is None


async def test_what_was_revoked_is_on_the_list_and_nothing_else(
    tenant: Tenant, store: Store, vault: LocalVault
) -> None:
    pump, gone = await tenant.device(), await tenant.device()
    async with store.as_tenant(tenant.principal()) as tx:
        with pytest.raises(errors.NoAuthority):
            await service.revocations(tx, vault)
        bad = await service.sign(tx, vault, pump.id, csr.request())
        good = await service.sign(tx, vault, pump.id, csr.request())
        of_gone = await service.sign(tx, vault, gone.id, csr.request())
        await devices.revoke_credential(tx, bad.credential.id)
        await devices.decommission(tx, gone.id)
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        listed = await service.revocations(tx, vault)
    made = x509.load_pem_x509_crl(listed.pem.encode())
    issuer = x509.load_pem_x509_certificate(good.authority.encode())
    key = issuer.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert made.is_signature_valid(key)
    serials = {x509.load_pem_x509_certificate(s.certificate.encode()).serial_number for s in (bad, of_gone)}
    assert {each.serial_number for each in made} == serials
    assert (listed.revoked, listed.issuer) == (2, issuer.subject.rfc4514_string())


def test_a_long_list_holds_all_that_was_taken_back_and_when() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    made, key = make_authority(uuid4(), "acme", now)
    taken = [Revoked(serial, now - timedelta(minutes=serial)) for serial in range(1, 4_001)]
    listed = revocation_list(made, key, taken, now)
    assert {(each.serial_number, each.revocation_date_utc) for each in listed} == {(r.serial, r.at) for r in taken}
    assert len(listed) == len(taken)


def _tampered() -> str:
    """A request that is not signed with the key it names."""
    lines = csr.request().splitlines()
    body = lines[-2]
    lines[-2] = ("A" if body[4] != "A" else "B").join([body[:4], body[5:]])
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        ("", errors.CsrMalformed),
        ("hello", errors.CsrMalformed),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", errors.CsrMalformed),
        ("x" * 20_000, errors.CsrMalformed),
        (_tampered(), errors.CsrMalformed),
        (csr.request(of=rsa.generate_private_key(65_537, 1_024)), errors.KeyWeak),
        (csr.request(of=ec.generate_private_key(ec.SECP256K1())), errors.KeyWeak),
    ],
    ids=["nothing", "no PEM", "no request", "too long", "wrong signature", "RSA 1024", "another curve"],
)
async def test_a_request_that_is_none_or_has_a_weak_key_is_refused(
    tenant: Tenant, store: Store, vault: LocalVault, request_: str, refusal: type[Exception]
) -> None:
    pump = await tenant.device()
    async with store.as_tenant(tenant.principal()) as tx:
        with pytest.raises(refusal):
            await service.sign(tx, vault, pump.id, request_)


async def test_strong_keys_of_each_kind_are_signed(tenant: Tenant, store: Store, vault: LocalVault) -> None:
    pump = await tenant.device()
    rsa_key = rsa.generate_private_key(65_537, 2_048)
    edwards = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")]))
        .sign(ed25519.Ed25519PrivateKey.generate(), None)
        .public_bytes(csr.Encoding.PEM)
        .decode()
    )
    for request_ in (csr.request(of=rsa_key), csr.request(of=ec.generate_private_key(ec.SECP384R1())), edwards):
        async with store.as_tenant(tenant.principal()) as tx:
            assert "BEGIN CERTIFICATE" in (await service.sign(tx, vault, pump.id, request_)).certificate


@pytest.mark.parametrize("days", [0, -1, 399, 10_000])
async def test_no_certificate_is_valid_longer_than_398_days_or_not_at_all(
    tenant: Tenant, store: Store, vault: LocalVault, days: int
) -> None:
    pump = await tenant.device()
    async with store.as_tenant(tenant.principal()) as tx:
        with pytest.raises(errors.ValidityMalformed):
            await service.sign(tx, vault, pump.id, csr.request(), days)


async def test_nothing_is_signed_for_a_neighbours_device_or_one_at_its_end(
    tenant: Tenant, neighbour: Tenant, store: Store, vault: LocalVault
) -> None:
    theirs, gone = await neighbour.device(), await tenant.device()
    async with store.as_tenant(tenant.principal()) as tx:
        with pytest.raises(DeviceNotFound):
            await service.sign(tx, vault, theirs.id, csr.request())
        await devices.decommission(tx, gone.id)
        with pytest.raises(DeviceStuck):
            await service.sign(tx, vault, gone.id, csr.request())
